//! The bytes of a batch's records, end to end in one buffer.

/// Where one piece lies in an [`Arena`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

/// Keys, values and headers of a batch as they lie in the topic: a record costs no allocation of its own for them.
///
/// They are kept so that a record which cannot be stored can be set aside as it came.
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
}

impl Arena {
    /// Copies `piece` in.
    ///
    /// # Panics
    /// When the arena would pass 4 GiB; a batch is bounded far below that.
    pub fn push(&mut self, piece: &[u8]) -> Span {
        let start = self.end();
        self.bytes.extend_from_slice(piece);
        Span { start, len: self.end() - start }
    }

    /// Copies headers in, in their order; [`Arena::headers`] reads them back.
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
    /// When `span` is of another arena.
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

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn end(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a batch is bounded far below 4 GiB")
    }

    /// A length (-1 for null) and the bytes.
    fn push_sized(&mut self, piece: Option<&[u8]>) {
        let len = piece.map_or(-1, |piece| i32::try_from(piece.len()).expect("a header is far below 2 GiB"));
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(piece.unwrap_or_default());
    }
}

/// Takes one sized piece off the front; `None` at the end, `Some(None)` for a null.
#[expect(clippy::option_option, reason = "an end and a null are two things, and nobody else sees this")]
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
    fn what_goes_in_comes_out() {
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
