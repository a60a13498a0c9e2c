//! The address of Close and the key, as they are configured.

use reqwest::Url;
use towpath_api::{Error, ErrorType, Result};
use towpath_keys::Secret;

use crate::codes;

/// The address below which all paths are, with a slash at its end.
///
/// # Errors
/// Fatal [`codes::URL`] if the text is not an HTTP address without credentials.
pub(super) fn base(text: &str) -> Result<Url> {
    // The text may contain a password, so it is not shown.
    let refused = |why: &'static str| {
        Error::fatal(codes::URL, ErrorType::Config, "use `close.api.url`")
            .because(why)
            .with_help("set it to an address such as `https://api.close.com/api/v1`, without user and query")
    };
    let mut base = Url::parse(text.trim()).map_err(|_| refused("it is not a URL"))?;
    if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
        return Err(refused("it does not begin with http:// or https:// and a host"));
    }
    if !base.username().is_empty() || base.password().is_some() || base.query().is_some() || base.fragment().is_some() {
        return Err(refused("it has a user, a query or a fragment"));
    }
    let path = format!("{}/", base.path().trim_end_matches('/'));
    base.set_path(&path);
    Ok(base)
}

pub(super) fn url(base: &Url, path: &str, query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    // Without the slash at the end Close redirects.
    url.set_path(&format!("{}{}/", base.path(), path.trim_matches('/')));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// # Errors
/// The key has characters that no key has, so that a request with it would be refused in any case.
pub(super) fn check(key: &Secret) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if !key.reveal().is_empty() && key.reveal().bytes().all(is_plain) {
        return Ok(());
    }
    let doing = "use `close.api.key`: it is empty, or has characters that no key of Close has";
    Err(Error::fatal(codes::KEY_REFUSED, ErrorType::Auth, doing).with_help("copy the key again; it begins with `api_`"))
}
