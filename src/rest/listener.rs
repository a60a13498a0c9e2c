//! The form of `listeners`: `http://host:port`, as in Kafka Connect.

/// Connect's port.
const DEFAULT_PORT: u16 = 8083;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address; `0.0.0.0` where the URL has none.
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
}

/// Why a URL is no listener.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ListenerError {
    /// TLS is not built in yet.
    #[error("https is not supported here; use http on the loopback, and a proxy in front of it for TLS")]
    Https,
    /// Something else than http.
    #[error("the URL has to begin with `http://`")]
    Scheme,
    /// More than scheme, host and port.
    #[error("the URL has to end after the port")]
    Path,
    /// No port number where one should be.
    #[error("`{0}` is no port")]
    Port(String),
}

/// Reads a listener; the config check and the server use the same.
///
/// # Errors
/// When it is not `http://host:port`; the port may be left out, and the host, which then is every address.
pub fn check_listener(url: &str) -> Result<Address, ListenerError> {
    let lower = url.to_ascii_lowercase();
    if lower.starts_with("https://") {
        return Err(ListenerError::Https);
    }
    let rest = lower.strip_prefix("http://").ok_or(ListenerError::Scheme)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err(ListenerError::Path);
    }
    // An IPv6 address is in brackets, and its own colons are not the port's.
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(text) => text.parse().map_err(|_| ListenerError::Port(text.to_owned()))?,
        None => DEFAULT_PORT,
    };
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Ok(Address { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read_with_connects_defaults() {
        for (url, host, port) in [
            ("http://127.0.0.1:8083", "127.0.0.1", 8083),
            ("http://localhost", "localhost", 8083),
            ("http://:29083", "0.0.0.0", 29083),
            ("HTTP://[::1]:0/", "::1", 0),
            ("http://[::]", "::", 8083),
        ] {
            assert_eq!(check_listener(url), Ok(Address { host: host.to_owned(), port }), "{url}");
        }
    }

    #[test]
    fn what_is_no_listener_is_refused_with_the_reason() {
        assert_eq!(check_listener("https://127.0.0.1:8083"), Err(ListenerError::Https));
        assert_eq!(check_listener("127.0.0.1:8083"), Err(ListenerError::Scheme));
        assert_eq!(check_listener("http://127.0.0.1:8083/api"), Err(ListenerError::Path));
        assert_eq!(check_listener("http://127.0.0.1:80830"), Err(ListenerError::Port("80830".into())));
        assert_eq!(check_listener("http://127.0.0.1:"), Err(ListenerError::Port(String::new())));
    }
}
