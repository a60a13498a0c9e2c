//! A position in the log as text. It holds only the position, so all filters must be repeated beside it (reference,
//! section 6.2).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{model::Moment, world::events::Place};

/// The start and direction of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Towards newer events rather than older ones.
    pub(super) newer: bool,
    /// The last position of the page before; excluded from this page.
    pub(super) place: Place,
    /// Time of creation.
    pub(super) issued: Moment,
}

impl Cursor {
    pub(super) fn text(self, seed: u64) -> String {
        let mut bytes = Vec::with_capacity(29);
        bytes.push(u8::from(self.newer));
        bytes.extend_from_slice(&self.place.0.0.to_be_bytes());
        bytes.extend_from_slice(&self.place.1.to_be_bytes());
        bytes.extend_from_slice(&self.issued.0.to_be_bytes());
        bytes.extend_from_slice(&check(&bytes, seed));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` for a text that is not a cursor of this organization.
    pub(super) fn parse(text: &str, seed: u64) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, sum) = bytes.split_at_checked(25)?;
        if sum != check(body, seed) {
            return None;
        }
        let number = |at: usize| body[at..at + 8].try_into().map(i64::from_be_bytes).ok();
        Some(Self {
            newer: body[0] == 1,
            place: (Moment(number(1)?), number(9)?.cast_unsigned()),
            issued: Moment(number(17)?),
        })
    }
}

/// Rejects invented and damaged cursors; not a secret.
fn check(body: &[u8], seed: u64) -> [u8; 4] {
    let mut sum = seed ^ 0xcbf2_9ce4_8422_2325;
    for byte in body {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    ((sum ^ (sum >> 32)) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_and_one_other_character_is_refused() {
        let cursor = Cursor { newer: true, place: (Moment(-5), u64::MAX), issued: Moment(1_788_264_000_000_000) };
        let text = cursor.text(7);
        assert_eq!(Cursor::parse(&text, 7), Some(cursor));
        assert_eq!(Cursor::parse(&text, 8), None);
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(Cursor::parse(std::str::from_utf8(&other).unwrap(), 7), None, "at {at}");
        }
        assert_eq!(Cursor::parse("", 7), None);
    }
}
