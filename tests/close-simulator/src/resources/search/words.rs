//! Text for search: words, ignoring case, found in the stored text without copying it.

/// How words must occur in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All words, in any order.
    FullWords,
    /// All words, in sequence.
    Phrase,
    /// All words, each possibly as the beginning of a word.
    Beginnings,
}

/// Words to search for, at most 64.
#[derive(Clone, Debug)]
pub struct Words {
    words: Vec<Box<str>>,
    mode: Mode,
}

impl Words {
    pub fn new(text: &str, mode: Mode) -> Self {
        Self { words: split(text).take(64).map(|word| word.to_lowercase().into()).collect(), mode }
    }

    /// Returns true if there are no words.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns true if a text contains the words.
    pub fn in_text(&self, text: &str) -> bool {
        let mut search = self.search();
        search.read(text);
        search.found()
    }

    /// Starts a search over several texts: words may be spread over them, a phrase must be in one.
    pub fn search(&self) -> Search<'_> {
        Search { words: self, missing: if self.words.len() == 64 { u64::MAX } else { (1 << self.words.len()) - 1 } }
    }
}

/// The words that are still missing.
pub struct Search<'w> {
    words: &'w Words,
    missing: u64,
}

impl Search<'_> {
    /// Reads a further text.
    pub fn read(&mut self, text: &str) {
        let words = &self.words.words;
        if self.words.mode == Mode::Phrase {
            let mut rest = split(text);
            loop {
                let mut here = rest.clone();
                if words.iter().all(|wanted| here.next().is_some_and(|word| same(word, wanted))) {
                    self.missing = 0;
                }
                if self.missing == 0 || rest.next().is_none() {
                    return;
                }
            }
        }
        let fits = if self.words.mode == Mode::Beginnings { begins } else { same };
        for word in split(text) {
            for (at, wanted) in words.iter().enumerate() {
                if self.missing & (1 << at) != 0 && fits(word, wanted) {
                    self.missing &= !(1 << at);
                }
            }
            if self.missing == 0 {
                return;
            }
        }
    }

    /// Returns true if no word is missing.
    pub fn found(&self) -> bool {
        self.missing == 0
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// `wanted` is in lower case.
fn same(word: &str, wanted: &str) -> bool {
    if word.is_ascii() {
        word.eq_ignore_ascii_case(wanted)
    } else {
        word.chars().flat_map(char::to_lowercase).eq(wanted.chars())
    }
}

fn begins(word: &str, wanted: &str) -> bool {
    let mut letters = word.chars().flat_map(char::to_lowercase);
    wanted.chars().all(|c| letters.next() == Some(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_anywhere_and_phrases_in_order() {
        let text = "Zieliński & Söhne GmbH, Straße 5";
        assert!(Words::new("söhne ZIELIŃSKI", Mode::FullWords).in_text(text));
        assert!(!Words::new("söhne zieliński", Mode::Phrase).in_text(text));
        assert!(Words::new("SÖHNE gmbh", Mode::Phrase).in_text(text));
        assert!(!Words::new("söhn", Mode::FullWords).in_text(text));
        assert!(Words::new("söhn stra", Mode::Beginnings).in_text(text));
        assert!(Words::new("", Mode::Phrase).in_text(text), "no words are found in everything");
    }
}
