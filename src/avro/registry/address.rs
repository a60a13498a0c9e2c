//! The addresses of the registry, and the credentials for it.

use towpath_api::{Error, ErrorType, Result};

use crate::avro::codes;

/// The URLs of `schema.registry.url`, separated from their credentials.
#[derive(Clone)]
pub(super) struct Address {
    /// Without trailing slashes and credentials.
    pub(super) urls: Vec<String>,
    /// User and password of the first URL that has them.
    pub(super) credentials: Option<(String, String)>,
}

impl Address {
    /// Parses URLs separated by commas.
    ///
    /// # Errors
    /// Fatal when a URL is not an HTTP URL, or when there is none. The error omits the text, which may contain a
    /// password.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut address = Self { urls: Vec::new(), credentials: None };
        for url in text.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            let mut url = reqwest::Url::parse(url).map_err(|error| refused().because(error))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(refused().because("it does not begin with http:// or https://"));
            }
            if !url.username().is_empty() && address.credentials.is_none() {
                let password = url.password().unwrap_or_default();
                address.credentials = Some((percent_decoded(url.username()), percent_decoded(password)));
            }
            // These fail only for URLs without a host; HTTP URLs have one.
            let _ = (url.set_username(""), url.set_password(None));
            address.urls.push(url.as_str().trim_end_matches('/').to_owned());
        }
        if address.urls.is_empty() { Err(refused().because("it is empty")) } else { Ok(address) }
    }
}

pub(super) fn refused() -> Error {
    Error::fatal(codes::REGISTRY_URL, ErrorType::Config, "use `schema.registry.url`")
        .with_help("set it to `http://host:port`, or to several such URLs separated by commas")
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let (decoded, taken) = if byte == b'%' { escaped.map_or((byte, 0), |escaped| (escaped, 2)) } else { (byte, 0) };
        bytes.push(decoded);
        rest = &tail[taken..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_urls_are_parsed_and_lose_their_credentials() {
        let address = Address::parse("https://u%40x:p%2Fw@one:1/api/, http://two:2").unwrap();
        assert_eq!(address.urls, ["https://one:1/api", "http://two:2"]);
        assert_eq!(address.credentials, Some(("u@x".to_owned(), "p/w".to_owned())));
        assert_eq!(percent_decoded("100%"), "100%");
    }

    #[test]
    fn an_invalid_url_is_refused_without_being_shown() {
        for text in ["", " , ", "registry:8081", "ftp://user:canary@host", "user:canary@host"] {
            let error = Address::parse(text).err().unwrap();
            assert!(!error.chain().contains("canary"), "{}", error.chain());
        }
    }
}
