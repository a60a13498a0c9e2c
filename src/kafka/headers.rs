//! Reads the headers of records, also of those whose names the client library cannot read.
//!
//! Kafka allows any bytes in the name of a header. `rdkafka` panics at a name that is not UTF-8, offers no other access
//! without `unsafe`, and ends a name at its first NUL. So the panic is caught: such a header is read as
//! [`UNREADABLE`], without its value, and the rest of the record is whole.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use rdkafka::message::{Header, Headers};

/// Stands for the name of a header that is not UTF-8.
pub const UNREADABLE: &str = "\u{fffd}";

thread_local! {
    /// True while a header is read: its panic is expected and not printed.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// The headers in their order; a value of `None` is Kafka's null.
pub fn read<H: Headers>(headers: &H) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !READING.get() {
                print(panic);
            }
        }));
    });
    (0..headers.count()).map(|at| {
        READING.set(true);
        // Nothing of ours changes in the call.
        let header = panic::catch_unwind(AssertUnwindSafe(|| headers.try_get(at)));
        READING.set(false);
        match header {
            Ok(Some(Header { key, value })) => (key, value),
            Ok(None) | Err(_) => (UNREADABLE, None),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers as the client library reads them; `None` stands for a name that is not UTF-8.
    struct Read(Vec<Option<&'static str>>);

    impl Headers for Read {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn try_get(&self, at: usize) -> Option<Header<'_, &[u8]>> {
            Some(Header { key: self.0[at].expect("canary: the name is UTF-8"), value: Some(b"v") })
        }
    }

    #[test]
    fn an_unreadable_name_spoils_no_other_header() {
        let headers = Read(vec![Some("a"), None, Some("b"), None]);
        let read: Vec<_> = read(&headers).collect();
        let value = Some(&b"v"[..]);
        assert_eq!(read, [("a", value), (UNREADABLE, None), ("b", value), (UNREADABLE, None)]);
    }
}
