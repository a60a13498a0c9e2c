//! The signature of Close's posts (`close-api.md`, section 7.4):
//! `hex(HMAC-SHA256(hex-decoded key, timestamp header ‖ raw body))`.
//!
//! There is no window for the timestamp: Close repeats posts for three days, and a replayed post only makes the source
//! look at the log once more.

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::HeaderMap;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use towpath_keys::Secret;

const HASH: &str = "close-sig-hash";
const TIMESTAMP: &str = "close-sig-timestamp";
/// The longest timestamp: seconds since 1970, for a while.
const DIGITS: usize = 20;

/// Returns true if the post is signed with `key`, which is in hex.
pub(super) fn verify(key: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let (Some(hash), Some(timestamp)) = (header(HASH).and_then(unhex), header(TIMESTAMP)) else { return false };
    if timestamp.is_empty() || timestamp.len() > DIGITS || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    // A key that is not hex, or that is empty, verifies nothing.
    let Some(key) = unhex(key.reveal()).filter(|key| !key.is_empty()) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
    mac.update(timestamp.as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().as_slice().ct_eq(&hash).into()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const STAMP: &str = "1767225600";
    const BODY: &[u8] = concat!(
        r#"{"subscription_id":"whsub_0000000000000000000001","#,
        r#""event":{"id":"ev_0000000000000000000001","object_type":"lead","action":"deleted"}}"#
    )
    .as_bytes();
    const GOOD: &str = "042905c13a6e08934bc6c18518068b2ab0dc72607c5314060095cbec230a224d";
    /// With the key as text.
    const WRONG: &str = "f0c8267b351b8479219fe57f8755764d2b7c59d08b7d24742bb82ca41c2eb6b3";

    fn verified(key: &str, hash: &str, stamp: &str, body: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HASH, HeaderValue::from_str(hash).unwrap());
        headers.insert(TIMESTAMP, HeaderValue::from_str(stamp).unwrap());
        verify(&Secret::new(key), &headers, body)
    }

    #[test]
    fn quirk_31_the_test_vector_is_verified_and_nothing_else() {
        assert_eq!(BODY.len(), 133);
        assert!(verified(KEY, GOOD, STAMP, BODY));
        assert!(verified(KEY, &GOOD.to_uppercase(), STAMP, BODY));
        assert!(!verified(KEY, WRONG, STAMP, BODY), "the key is hex-decoded");
        assert!(!verified(KEY, GOOD, "1767225601", BODY));
        assert!(!verified(KEY, GOOD, STAMP, &BODY[..132]));
        assert!(!verified(KEY, &GOOD[..62], STAMP, BODY));
        assert!(!verified(KEY, "", STAMP, BODY));
        assert!(!verified(&KEY.replace("00", "01"), GOOD, STAMP, BODY));
        // The timestamp is not part of the body: moving the border between them changes nothing that is signed.
        let moved = [b"0", BODY].concat();
        assert!(verified(KEY, GOOD, "176722560", &moved), "Close's signature has no separator");
        assert!(!verify(&Secret::new(KEY), &HeaderMap::new(), BODY));
    }

    #[test]
    fn a_key_that_is_none_verifies_nothing() {
        for key in ["", "0", "zz"] {
            assert!(!verified(key, GOOD, STAMP, BODY), "{key}");
        }
    }
}
