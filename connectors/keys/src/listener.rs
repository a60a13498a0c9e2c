//! Addresses to listen on: `http://host:port`, as in Kafka Connect's `listeners`.
//!
//! Nothing here binds. The check of a config and the servers use this one parser.

use std::{fmt, str::FromStr};

use super::{ConfigValue, Given, Invalid};

/// An address to listen on: `http://host:port`.
///
/// * Without a host, or with an empty one: all IPv4 addresses, `0.0.0.0`.
/// * An IPv6 address is in brackets: `http://[::1]:8080`.
/// * Port 0 lets the system choose. Without a port, the server has a default.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenerAddress {
    host: String,
    port: Option<u16>,
}

/// The reason why a URL is not a listener address. Its text does not quote the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListenerAddressError {
    /// The servers have no TLS.
    #[error("https is not supported here; use http on the loopback, and a proxy in front of it for TLS")]
    Https,
    /// The scheme is missing or unknown.
    #[error("the URL has to begin with `http://`")]
    Scheme,
    /// There is more than scheme, host and port.
    #[error("the URL has to end after the port")]
    Path,
    /// The host is not a name or address.
    #[error("the host has to be a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// The text after the colon is not a port.
    #[error("the port has to be a number from 0 to 65535")]
    Port,
}

impl ListenerAddress {
    /// An address with a port. An IPv6 `host` has no brackets here.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port: Some(port) }
    }

    /// The host: a name or an address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if the URL has one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host and port to bind to; `default_port` if the URL has none.
    pub fn socket(&self, default_port: u16) -> (&str, u16) {
        (&self.host, self.port.unwrap_or(default_port))
    }
}

impl FromStr for ListenerAddress {
    type Err = ListenerAddressError;

    fn from_str(url: &str) -> Result<Self, ListenerAddressError> {
        let lower = url.to_ascii_lowercase();
        if lower.starts_with("https://") {
            return Err(ListenerAddressError::Https);
        }
        let rest = lower.strip_prefix("http://").ok_or(ListenerAddressError::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(ListenerAddressError::Path);
        }
        // An IPv6 address has colons, so its brackets are removed before the port is split off.
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => match rest.split_once(']').ok_or(ListenerAddressError::Host)? {
                (host, "") => (host, None),
                (host, after) => (host, Some(after.strip_prefix(':').ok_or(ListenerAddressError::Port)?)),
            },
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        if host.contains(char::is_whitespace) || (rest.starts_with('[') && host.is_empty()) {
            return Err(ListenerAddressError::Host);
        }
        let port = port.map(|text| text.parse().map_err(|_| ListenerAddressError::Port)).transpose()?;
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for ListenerAddress {
    /// The URL, with the host written out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "http://[{}]", self.host)?;
        } else {
            write!(f, "http://{}", self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl ConfigValue for ListenerAddress {
    fn type_name() -> String {
        "URL".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        let Some(url) = given.text() else { return Err(given.mismatch("a URL such as `http://127.0.0.1:8083`")) };
        url.parse().map_err(|error: ListenerAddressError| {
            given.mismatch(format_args!("a URL such as `http://127.0.0.1:8083` ({error})"))
        })
    }

    fn to_text(&self, _key: &str) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read_as_connect_reads_them() {
        for (url, host, port, printed) in [
            ("http://127.0.0.1:8083", "127.0.0.1", 8083, "http://127.0.0.1:8083"),
            ("http://0.0.0.0:8080", "0.0.0.0", 8080, "http://0.0.0.0:8080"),
            ("http://localhost", "localhost", 1, "http://localhost"),
            ("http://:29083", "0.0.0.0", 29083, "http://0.0.0.0:29083"),
            ("HTTP://[::1]:0/", "::1", 0, "http://[::1]:0"),
            ("http://[::]", "::", 1, "http://[::]"),
        ] {
            let address: ListenerAddress = url.parse().unwrap();
            assert_eq!((address.socket(1), address.to_string().as_str()), ((host, port), printed), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused_with_the_reason() {
        for (url, error) in [
            ("https://127.0.0.1:8083", ListenerAddressError::Https),
            ("127.0.0.1:8083", ListenerAddressError::Scheme),
            ("", ListenerAddressError::Scheme),
            ("http://127.0.0.1:8083/api", ListenerAddressError::Path),
            ("http://user@host:1", ListenerAddressError::Path),
            ("http://127.0.0.1:80830", ListenerAddressError::Port),
            ("http://127.0.0.1:", ListenerAddressError::Port),
            ("http://host:x", ListenerAddressError::Port),
            ("http://[::1]80", ListenerAddressError::Port),
            ("http://::1:80", ListenerAddressError::Port),
            ("http://[::1:80", ListenerAddressError::Host),
            ("http://[]:80", ListenerAddressError::Host),
            ("http://a b:80", ListenerAddressError::Host),
        ] {
            assert_eq!(url.parse::<ListenerAddress>(), Err(error), "{url}");
        }
        assert!(ListenerAddressError::Https.to_string().contains("https is not supported here"));
    }
}
