//! "Did you mean": the known word nearest to a typed word.

/// The candidate nearest to `typed`; `None` if no candidate is near.
///
/// Counts letters that are added, omitted, replaced or swapped with a neighbor. A quarter of the letters may differ, or
/// two if that is more (one in words of up to three letters).
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = typed.chars().count();
    let tolerated = if length <= 3 { 1 } else { (length / 4).max(2) };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= tolerated && *distance < candidate.chars().count())
        .min_by(|(a, x), (b, y)| {
            let closeness = |word| strsim::jaro_winkler(typed, word);
            a.cmp(b).then_with(|| closeness(y).total_cmp(&closeness(x)))
        })
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: [&str; 6] = ["name", "connector.class", "connection.url", "batch.max.rows", "delete.mode", "topics"];

    #[derive(Debug, Clone, Copy)]
    enum Typo {
        Add,
        Drop,
        Replace,
        Swap,
    }

    proptest! {
        #[test]
        fn the_nearest_key_of_a_typo_in_one_letter_is_the_key(
            key in prop::sample::select(&KEYS[..]),
            typo in prop::sample::select(&[Typo::Add, Typo::Drop, Typo::Replace, Typo::Swap][..]),
            letter in prop::char::range('a', 'z'),
            place in any::<prop::sample::Index>(),
        ) {
            let mut typed: Vec<char> = key.chars().collect();
            let at = place.index(typed.len() - 1);
            match typo {
                Typo::Add => typed.insert(at, letter),
                Typo::Drop => { typed.remove(at); }
                Typo::Replace => typed[at] = letter,
                Typo::Swap => typed.swap(at, at + 1),
            }
            let typed: String = typed.into_iter().collect();
            prop_assert_eq!(nearest(&typed, KEYS), Some(key));
        }
    }

    #[test]
    fn nothing_is_suggested_for_a_word_that_resembles_none() {
        assert_eq!(nearest("poll.interval", KEYS), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
