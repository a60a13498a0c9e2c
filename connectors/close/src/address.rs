//! URLs of the config. Nothing here connects.

use std::net::IpAddr;

use reqwest::Url;

/// A URL for HTTP without credentials; otherwise the reason, without the text, which may hold a secret.
pub(crate) fn http_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|_| "must be a URL such as `https://example.com/`".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("must begin with `https://` or `http://`".to_owned());
    }
    if url.password().is_some() || !url.username().is_empty() {
        return Err("must not contain a user or a password".to_owned());
    }
    Ok(url)
}

/// True if the host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = host(url);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host, of an IPv6 address without its brackets.
pub(crate) fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

/// True if what is sent there can be read on its way.
pub(crate) fn is_unencrypted(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}
