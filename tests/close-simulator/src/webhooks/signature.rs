//! The signature of deliveries (reference, section 7.4).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::model::Id;

/// The key of a subscription, 64 hex characters, derived from the seed and the id.
pub fn key(seed: u64, subscription: Id) -> String {
    let mut digest = Sha256::new();
    digest.update(b"signature key");
    digest.update(seed.to_be_bytes());
    digest.update(subscription.serial().to_be_bytes());
    hex(&digest.finalize())
}

/// `close-sig-hash`: hex of HMAC-SHA256 with the decoded key over the timestamp's digits followed by the raw body.
///
/// # Panics
/// Panics if the key is not hex.
pub fn sign(key: &str, timestamp: &str, body: &[u8]) -> String {
    let key: Vec<u8> = (0..key.len() / 2)
        .map(|at| u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).expect("signature keys are hex"))
        .collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(timestamp.as_bytes());
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn the_signature_is_that_of_the_published_vector() {
        let body = concat!(
            r#"{"subscription_id":"whsub_0000000000000000000001","#,
            r#""event":{"id":"ev_0000000000000000000001","object_type":"lead","action":"deleted"}}"#
        )
        .as_bytes();
        assert_eq!(body.len(), 133);
        let hash = sign("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "1767225600", body);
        assert_eq!(hash, "042905c13a6e08934bc6c18518068b2ab0dc72607c5314060095cbec230a224d");
    }

    #[test]
    fn a_key_is_64_hex_characters_of_its_own_subscription() {
        let key_of = |seed, serial| key(seed, Id::new(Kind::Webhook, serial));
        assert_eq!(key_of(1, 1), key_of(1, 1));
        assert!(key_of(1, 1) != key_of(1, 2) && key_of(1, 1) != key_of(2, 1));
        assert!(key_of(1, 1).len() == 64 && key_of(1, 1).bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
