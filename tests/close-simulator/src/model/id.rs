//! Identifiers: a kind and a serial number inside, opaque text outside.
//!
//! Close's ids are a prefix and 43 or 22 base62 characters, not ordered by time (reference, section 1.7). Here the text
//! is a bijection of (kind, serial) under the seed of the organization: no table of texts is needed, the same seed
//! gives the same ids, and an id of another organization is recognized as foreign.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::kind::Kind;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters that carry the 64 bits; the characters before them are a checksum that fills the length.
const CODE_LEN: usize = 11;
const SERIAL_BITS: u32 = 56;

/// The id of one object: never reused, not ordered by time in its text form. 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(NonZeroU64);

impl Id {
    /// The `serial`th object of a kind, counted from 1; `serial` is below 2^56.
    ///
    /// # Panics
    /// Panics if `serial` is 0 or exceeds 56 bits.
    pub fn new(kind: Kind, serial: u64) -> Self {
        assert!(serial > 0 && serial >> SERIAL_BITS == 0, "serial {serial} is out of range");
        Self(NonZeroU64::new((u64::from(kind as u8) << SERIAL_BITS) | serial).expect("serial is not zero"))
    }

    pub fn kind(self) -> Kind {
        Kind::of((self.0.get() >> SERIAL_BITS) as u8).expect("only `new` and `parse` make ids")
    }

    /// The serial within its kind, from 1.
    pub fn serial(self) -> u64 {
        self.0.get() & ((1 << SERIAL_BITS) - 1)
    }

    /// Appends the text form, without quotes.
    pub fn write(self, seed: u64, out: &mut Vec<u8>) {
        let kind = self.kind();
        if let Some(literal) = kind.literal(self.serial()) {
            out.extend_from_slice(literal.as_bytes());
            return;
        }
        out.extend_from_slice(kind.prefix().as_bytes());
        out.push(b'_');
        let mut text = [0u8; 43];
        let body = &mut text[..kind.id_len()];
        fill(self.0.get(), seed, body);
        out.extend_from_slice(body);
    }

    pub fn text(self, seed: u64) -> String {
        let mut out = Vec::with_capacity(56);
        self.write(seed, &mut out);
        String::from_utf8(out).expect("ids are ASCII")
    }

    /// Parses an id; `None` for a text that is not an id of this organization.
    pub fn parse(text: &str, seed: u64) -> Option<Self> {
        if let Some((kind, serial)) = Kind::of_literal(text) {
            return Some(Self::new(kind, serial));
        }
        let (prefix, body) = text.split_once('_')?;
        if !matches!(body.len(), 22 | 43) || !body.is_ascii() {
            return None;
        }
        let mut code = 0u64;
        for byte in &body.as_bytes()[body.len() - CODE_LEN..] {
            let digit = ALPHABET.binary_search(byte).ok()? as u64;
            code = code.checked_mul(62)?.checked_add(digit)?;
        }
        let raw = unmix(code) ^ mix(seed);
        let kind = Kind::of((raw >> SERIAL_BITS) as u8)?;
        let id = Self(NonZeroU64::new(raw)?);
        if id.serial() == 0 || kind.prefix() != prefix || kind.id_len() != body.len() {
            return None;
        }
        let mut expected = [0u8; 43];
        fill(raw, seed, &mut expected[..body.len()]);
        (&expected[..body.len()] == body.as_bytes()).then_some(id)
    }
}

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}#{}", self.kind(), self.serial())
    }
}

fn fill(raw: u64, seed: u64, body: &mut [u8]) {
    let (padding, code) = body.split_at_mut(body.len() - CODE_LEN);
    let mut state = raw ^ seed.rotate_left(17);
    for chunk in padding.chunks_mut(8) {
        state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut digits = [0; 8];
        put_digits(state, &mut digits);
        chunk.copy_from_slice(&digits[..chunk.len()]);
    }
    let mut digits = [0; 12];
    put_digits(mix(raw ^ mix(seed)), &mut digits);
    for (byte, digit) in code.iter_mut().rev().zip(digits) {
        *byte = digit;
    }
}

/// Writes the last digits of a number, lowest first, filling `out` (a multiple of four). Ids are most of the bytes of a
/// list, so one division gives four digits, through a table.
fn put_digits(mut number: u64, out: &mut [u8]) {
    const PAIR: u32 = 62 * 62;
    static PAIRS: [[u8; 2]; PAIR as usize] = {
        let mut pairs = [[0; 2]; PAIR as usize];
        let mut at = 0;
        while at < pairs.len() {
            pairs[at] = [ALPHABET[at % 62], ALPHABET[at / 62]];
            at += 1;
        }
        pairs
    };
    for four in out.chunks_exact_mut(4) {
        let low = (number % u64::from(PAIR * PAIR)) as u32;
        number /= u64::from(PAIR * PAIR);
        four[..2].copy_from_slice(&PAIRS[(low % PAIR) as usize]);
        four[2..].copy_from_slice(&PAIRS[(low / PAIR) as usize]);
    }
}

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014), which is a bijection, and its inverse.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn unmix(mut z: u64) -> u64 {
    z = (z ^ (z >> 31) ^ (z >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    z = (z ^ (z >> 27) ^ (z >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    z ^ (z >> 30) ^ (z >> 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_leads_back_to_its_id(kind in 0..Kind::COUNT as u8, serial in 100u64..1 << 56, seed: u64) {
            let id = Id::new(Kind::of(kind).unwrap(), serial);
            let text = id.text(seed);
            prop_assert_eq!(Id::parse(&text, seed), Some(id));
            prop_assert_eq!(text.len(), id.kind().prefix().len() + 1 + id.kind().id_len());
        }

        #[test]
        fn a_foreign_or_damaged_id_is_unknown(serial in 100u64..1 << 56, at in 5usize..48) {
            let id = Id::new(Kind::Lead, serial);
            prop_assert_eq!(Id::parse(&id.text(1), 2), None);
            let mut text = id.text(1).into_bytes();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            prop_assert_eq!(Id::parse(std::str::from_utf8(&text).unwrap(), 1), None);
        }
    }

    #[test]
    fn the_text_of_an_id_is_for_good() {
        assert_eq!(Id::new(Kind::Lead, 1).text(7), "lead_wECIzv2ksrHG75lbZkFVXDeOlBzlr2Zh8Rpb2vyX5ch");
    }

    #[test]
    fn built_in_roles_have_literal_ids() {
        let id = Id::parse("admin", 7).unwrap();
        assert_eq!((id.kind(), id.text(7).as_str()), (Kind::Role, "admin"));
    }
}
