//! The bytes of a batch's records, end to end in one buffer.

/// The range of one piece within an [`Arena`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

/// Keys, values and headers of a batch, with the bytes of the topic. The batch has one buffer for all its records, so a
/// record needs no allocation for them.
///
/// A record that cannot be stored is dead-lettered with these bytes.
#[derive(Debug, Clone, Default)]
pub struct Arena {
    bytes: Vec<u8>,
}

impl Arena {
    /// Appends a copy of `piece`.
    ///
    /// # Panics
    /// If the arena would exceed 4 GiB; a batch is limited to far less.
    pub fn push(&mut self, piece: &[u8]) -> Span {
        let start = self.end();
        self.bytes.extend_from_slice(piece);
        Span { start, len: self.end() - start }
    }

    /// Appends a copy of `headers`, in their order; [`Arena::headers`] reads them.
    pub fn push_headers<'a>(&mut self, headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Span {
        let start = self.end();
        for (name, value) in headers {
            self.push_sized(Some(name.as_bytes()));
            self.push_sized(value);
        }
        Span { start, len: self.end() - start }
    }

    /// The bytes of a piece.
    ///
    /// # Panics
    /// May panic if `span` belongs to another arena.
    pub fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..(span.start + span.len) as usize]
    }

    /// The headers of a record, in their order; a value of `None` is Kafka's null.
    pub fn headers(&self, span: Span) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let mut rest = self.get(span);
        std::iter::from_fn(move || {
            let name = take_sized(&mut rest)??;
            let value = take_sized(&mut rest)?;
            Some((std::str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    /// The number of bytes in the arena.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns true if the arena has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn end(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a batch is limited to far less than 4 GiB")
    }

    /// Appends a length (-1 for null) and the bytes.
    fn push_sized(&mut self, piece: Option<&[u8]>) {
        let len = piece.map_or(-1, |piece| i32::try_from(piece.len()).expect("a header is far smaller than 2 GiB"));
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(piece.unwrap_or_default());
    }
}

/// Removes one sized piece from the front of `rest`; `None` at the end, `Some(None)` for a null.
#[expect(clippy::option_option, reason = "the end differs from a null, and the function is private")]
fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (len, tail) = rest.split_first_chunk::<4>()?;
    let Ok(len) = usize::try_from(i32::from_le_bytes(*len)) else {
        *rest = tail;
        return Some(None);
    };
    let (piece, tail) = tail.split_at_checked(len)?;
    *rest = tail;
    Some(Some(piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_headers_are_read_back_unchanged() {
        let mut arena = Arena::default();
        let key = arena.push(b"k");
        let headers =
            arena.push_headers([("id", Some(&b"e-1"[..])), ("none", None), ("empty", Some(&b""[..]))].into_iter());
        let value = arena.push(b"value");
        assert_eq!((arena.get(key), arena.get(value)), (&b"k"[..], &b"value"[..]));
        let read: Vec<_> = arena.headers(headers).collect();
        assert_eq!(read, [("id", Some(&b"e-1"[..])), ("none", None), ("empty", Some(&b""[..]))]);
    }
}
