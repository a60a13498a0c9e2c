//! The walks against a list that changes between two pages.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;
const LIMIT: u64 = 10;
const PAGE: usize = 10;

/// A list of Close: rows by time and id, with the precision of its filter, the rows that it cannot show, and its cap.
#[derive(Debug, Clone, Default)]
struct List {
    rows: BTreeSet<(i64, u64)>,
    hidden: BTreeSet<u64>,
    max_skip: Option<u64>,
    ignores_filter: bool,
}

impl List {
    fn of(rows: impl IntoIterator<Item = (i64, u64)>) -> Self {
        Self { rows: rows.into_iter().collect(), ..Self::default() }
    }

    /// The answer for rows in bounds, newest first, by whole seconds.
    fn created(&self, range: &Created) -> Result<Page, u64> {
        let second = |at: i64| Moment(at).second();
        let fits = |at: i64| {
            self.ignores_filter
                || range.from.is_none_or(|from| second(at) >= from) && range.to.is_none_or(|to| second(at) <= to)
        };
        self.cut(self.rows.iter().rev().filter(|(at, _)| fits(*at)), range.skip)
    }

    fn paged(&self, list: &Paged) -> Result<Page, u64> {
        self.cut(self.rows.iter().rev(), list.skip)
    }

    fn cut<'r>(&self, rows: impl Iterator<Item = &'r (i64, u64)> + Clone, skip: u64) -> Result<Page, u64> {
        if let Some(cap) = self.max_skip.filter(|cap| skip > *cap) {
            return Err(cap);
        }
        let total = rows.clone().count() as u64;
        let page = rows.skip(usize::try_from(skip).unwrap()).take(PAGE).filter(|(_, id)| !self.hidden.contains(id));
        let rows = page.map(|(at, id)| Mark { id: *id, created: Some(Moment(*at)) }).collect();
        Ok(Page { rows, has_more: Some(total > skip + LIMIT), total: Some(total), cursor: None, limit: LIMIT })
    }
}

/// Reads a range to its end; `between` happens after each page. Each row that is fresh is counted.
fn read(list: &mut List, mut range: Created, mut between: impl FnMut(usize, &mut List, &mut Created)) -> Reading {
    let mut reading = Reading::default();
    let mut memory = Memory::default();
    for page_number in 0..10_000 {
        let asked = range.clone();
        reading.pages += 1;
        match list.created(&asked) {
            Err(cap) => match range.capped(cap) {
                Ok(None) => {}
                Ok(Some(_)) => panic!("a sorted list is not cut at the cap"),
                Err(trouble) => {
                    reading.trouble.push(trouble);
                    memory = Memory::default();
                    if range.unsorted || range.is_empty() {
                        return reading;
                    }
                }
            },
            Ok(page) => {
                let turn = range.turn(&mut memory, &asked, &page);
                let turn = match turn {
                    Ok(turn) => turn,
                    Err(trouble) => {
                        reading.trouble.push(trouble);
                        return reading;
                    }
                };
                for (row, fresh) in page.rows.iter().zip(&turn.fresh) {
                    *reading.rows.entry(row.id).or_default() += u32::from(*fresh);
                }
                if turn.over {
                    return reading;
                }
            }
        }
        between(page_number, list, &mut range);
    }
    panic!("the walk never ends: {range:?}");
}

#[derive(Debug, Default)]
struct Reading {
    /// How often each row was fresh.
    rows: BTreeMap<u64, u32>,
    pages: usize,
    trouble: Vec<Trouble>,
}

impl Reading {
    fn add(&mut self, other: Self) {
        for (id, times) in other.rows {
            *self.rows.entry(id).or_default() += times;
        }
        self.pages += other.pages;
        self.trouble.extend(other.trouble);
    }

    fn has(&self, id: u64) -> bool {
        self.rows.get(&id).is_some_and(|times| *times > 0)
    }
}

fn spread(rows: u64) -> Vec<(i64, u64)> {
    (0..rows).map(|id| (i64::try_from(id).unwrap() * 3 * SECOND + 250_000, id)).collect()
}

#[test]
fn each_row_is_read_once_page_by_page() {
    let mut list = List::of(spread(95));
    let reading = read(&mut list, Created::default(), |_, _, _| {});
    assert_eq!(reading.rows.values().copied().collect::<Vec<_>>(), vec![1; 95]);
    // Each page but the first has one row that is known, the last of the page before.
    assert_eq!(reading.pages, 11);
}

#[test]
fn rows_deleted_between_pages_hide_no_other() {
    let mut list = List::of(spread(100));
    let reading = read(&mut list, Created::default(), |_, list, _| {
        let newest: Vec<_> = list.rows.iter().rev().take(4).copied().collect();
        list.rows.retain(|row| !newest.contains(row));
    });
    assert!((0..60).all(|id| reading.has(id)), "{reading:?}");
}

#[test]
fn rows_created_between_pages_are_not_read_twice() {
    let mut list = List::of(spread(100));
    let reading = read(&mut list, Created::default(), |page, list, _| {
        list.rows.insert((1_000 * SECOND, 1_000 + page as u64));
    });
    assert!((0..100).all(|id| reading.rows.get(&id) == Some(&1)), "{reading:?}");
}

#[test]
fn quirk_11_a_second_with_more_rows_than_a_page_is_crossed() {
    let crowd = (0..75_i64).map(|id| (500 * SECOND + id, 1_000 + id.cast_unsigned()));
    let mut list = List::of(spread(30).into_iter().chain(crowd));
    let reading = read(&mut list, Created::default(), |_, _, _| {});
    assert_eq!(reading.rows.len(), 105);
    assert!(reading.rows.values().all(|times| *times == 1), "{reading:?}");
}

#[test]
fn deletes_within_a_crowded_second_hide_no_row() {
    let crowd = (0..200).map(|id: i64| (500 * SECOND + id, id.cast_unsigned()));
    let mut list = List::of(crowd);
    let reading = read(&mut list, Created::default(), |_, list, _| {
        let newest: Vec<_> = list.rows.iter().rev().take(3).copied().collect();
        list.rows.retain(|row| !newest.contains(row));
    });
    let left: Vec<u64> = list.rows.iter().map(|(_, id)| *id).collect();
    assert!(left.iter().all(|id| reading.has(*id)), "{left:?} {reading:?}");
}

#[test]
fn short_and_empty_pages_end_nothing() {
    let mut list = List { hidden: (20..45).chain(60..63).collect(), ..List::of(spread(95)) };
    let reading = read(&mut list, Created::default(), |_, _, _| {});
    assert!((0..95).filter(|id| !list.hidden.contains(id)).all(|id| reading.has(id)), "{reading:?}");
}

#[test]
fn a_list_with_a_low_cap_is_read_by_its_dates() {
    let mut list = List { max_skip: Some(20), ..List::of(spread(500)) };
    let reading = read(&mut list, Created::default(), |_, _, _| {});
    assert!((0..500).all(|id| reading.has(id)));
    assert_eq!(reading.trouble, []);
}

#[test]
fn a_second_with_more_rows_than_close_gives_is_reported() {
    let crowd = (0..75_i64).map(|id| (500 * SECOND + id, 1_000 + id.cast_unsigned()));
    let mut list = List { max_skip: Some(20), ..List::of(spread(30).into_iter().chain(crowd)) };
    let reading = read(&mut list, Created::default(), |_, _, _| {});
    assert_eq!(reading.trouble, [Trouble::Crowded(Moment(500 * SECOND))]);
    // What Close gives is read all the same: 20 skipped rows and a page.
    assert_eq!(reading.rows.keys().filter(|id| **id >= 1_000).count(), 30);
    assert!((0..30).all(|id| reading.has(id)));
}

#[test]
fn quirk_02_a_filter_without_effect_is_seen() {
    let mut list = List { ignores_filter: true, ..List::of(spread(50)) };
    let range = Created::range(None, Some(Moment(60 * SECOND)));
    assert_eq!(read(&mut list, range, |_, _, _| {}).trouble, [Trouble::NotFiltered]);
}

#[test]
fn both_parts_of_a_range_have_all_rows_of_it() {
    let mut list = List::of(spread(400));
    let mut lower = None;
    let mut reading = read(&mut list, Created::default(), |page, _, range| {
        if page == 3 {
            lower = range.split(Some(900 * SECOND));
        }
    });
    let lower = lower.expect("a range of 400 rows can be cut");
    assert!(lower.to < Some(Moment(400 * 3 * SECOND)));
    let rest = read(&mut list, lower, |_, _, _| {});
    assert!(rest.rows.len() > 100);
    reading.add(rest);
    assert_eq!(reading.rows.len(), 400);
    assert!(reading.rows.values().all(|times| *times <= 1), "{reading:?}");
}

#[test]
fn a_list_that_repeats_its_page_is_given_up() {
    let mut range = Created::default();
    let mut memory = Memory::default();
    let rows = (0..LIMIT).map(|id| Mark { id, created: Some(Moment(0)) }).collect();
    let page = Page { rows, has_more: Some(true), total: None, cursor: None, limit: LIMIT };
    let turns = (0..1_000).map(|_| {
        let asked = range.clone();
        range.turn(&mut memory, &asked, &page).map(drop)
    });
    assert_eq!(turns.into_iter().find(Result::is_err), Some(Err(Trouble::Endless)));
}

#[test]
fn an_unsorted_list_is_paged() {
    // Ids in an order that has nothing to do with the dates.
    let order: Vec<(u64, i64)> =
        (0..60).map(|place| (place, i64::try_from(place * 37 % 60).unwrap() * SECOND)).collect();
    let (mut range, mut memory, mut seen) = (Created::default(), Memory::default(), BTreeMap::new());
    for _ in 0..100 {
        let asked = range.clone();
        let rows: Vec<Mark> = order
            .iter()
            .filter(|(_, at)| asked.to.is_none_or(|to| Moment(*at) <= to))
            .map(|(id, at)| Mark { id: *id, created: Some(Moment(*at)) })
            .collect();
        let total = rows.len() as u64;
        let page: Vec<Mark> = rows.into_iter().skip(usize::try_from(asked.skip).unwrap()).take(PAGE).collect();
        let page = Page {
            rows: page,
            has_more: Some(total > asked.skip + LIMIT),
            total: Some(total),
            cursor: None,
            limit: LIMIT,
        };
        let turn = range.turn(&mut memory, &asked, &page).unwrap();
        for (row, fresh) in page.rows.iter().zip(turn.fresh) {
            *seen.entry(row.id).or_insert(0) += u32::from(fresh);
        }
        if turn.over {
            break;
        }
    }
    assert_eq!(seen.values().copied().collect::<Vec<u32>>(), vec![1; 60]);
}

/// Reads a list that only pages.
fn read_paged(list: &mut List, mut between: impl FnMut(usize, &mut List)) -> Reading {
    let (mut walk, mut memory, mut reading) = (Paged::default(), Memory::default(), Reading::default());
    for number in 0..10_000 {
        let page = list.paged(&walk).unwrap();
        reading.pages += 1;
        let turn = walk.turn(&mut memory, &page).unwrap();
        for (row, fresh) in page.rows.iter().zip(&turn.fresh) {
            *reading.rows.entry(row.id).or_default() += u32::from(*fresh);
        }
        if turn.over {
            return reading;
        }
        between(number, list);
    }
    panic!("the walk never ends: {walk:?}");
}

#[test]
fn a_paged_list_sees_a_shift_and_goes_back() {
    let mut list = List::of(spread(100));
    let reading = read_paged(&mut list, |page, list| {
        if page % 2 == 1 {
            let newest: Vec<_> = list.rows.iter().rev().take(7).copied().collect();
            list.rows.retain(|row| !newest.contains(row));
        }
    });
    assert!(list.rows.iter().all(|(_, id)| reading.has(*id)), "{reading:?}");
    assert!(reading.rows.values().all(|times| *times <= 1));
}

#[test]
fn rows_that_close_cannot_show_end_the_passes() {
    let mut list = List { hidden: (20..45).collect(), ..List::of(spread(95)) };
    let reading = read_paged(&mut list, |_, _| {});
    assert_eq!(reading.rows.values().sum::<u32>(), 70);
    assert!(reading.pages < 60, "{}", reading.pages);
}

#[test]
fn a_bare_list_is_one_page() {
    let (mut walk, mut memory) = (Paged::default(), Memory::default());
    let rows = (0..250).map(|id| Mark { id, created: None }).collect();
    let turn = walk.turn(&mut memory, &Page { rows, limit: LIMIT, ..Page::default() }).unwrap();
    assert!(turn.over && turn.fresh.iter().all(|fresh| *fresh));
}

#[derive(Debug, Clone)]
enum Change {
    Delete(prop::sample::Index),
    Insert(i64),
    Kill,
}

fn changes() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let change = prop_oneof![
        4 => any::<prop::sample::Index>().prop_map(Change::Delete),
        4 => (0..90_i64).prop_map(Change::Insert),
        1 => Just(Change::Kill),
    ];
    prop::collection::vec(prop::collection::vec(change, 0..6), 60)
}

fn apply(list: &mut List, step: &[Change], next: &mut u64) -> bool {
    let mut kill = false;
    for change in step {
        match change {
            Change::Delete(index) if !list.rows.is_empty() => {
                let row = *index.get(&list.rows.iter().copied().collect::<Vec<_>>());
                list.rows.remove(&row);
            }
            Change::Insert(second) => {
                *next += 1;
                list.rows.insert((second * SECOND, *next));
            }
            Change::Delete(_) => {}
            Change::Kill => kill = true,
        }
    }
    kill
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Rows crowd within few seconds, some are hidden, and between two pages rows come and go and the process is
    /// killed.
    #[test]
    fn a_row_that_exists_throughout_is_read(
        rows in prop::collection::btree_map(0..1_000_u64, 0..40_i64, 0..160),
        hidden in prop::collection::btree_set(0..1_000_u64, 0..40),
        steps in changes(),
    ) {
        let mut list = List { hidden, ..List::of(rows.into_iter().map(|(id, second)| (second * SECOND, id))) };
        let (mut range, mut memory, mut read) = (Created::default(), Memory::default(), BTreeSet::new());
        let mut throughout = list.rows.clone();
        let (mut next, mut steps) = (10_000, steps.into_iter());
        for _ in 0..2_000 {
            let asked = range.clone();
            let page = list.created(&asked).unwrap();
            let turn = range.turn(&mut memory, &asked, &page).unwrap();
            read.extend(page.rows.iter().zip(&turn.fresh).filter(|(_, fresh)| **fresh).map(|(row, _)| row.id));
            if turn.over {
                break;
            }
            if apply(&mut list, &steps.next().unwrap_or_default(), &mut next) {
                memory = Memory::default();
            }
            throughout.retain(|row| list.rows.contains(row));
        }
        for (_, id) in throughout.iter().filter(|(_, id)| !list.hidden.contains(id)) {
            prop_assert!(read.contains(id), "{id} is missing");
        }
    }

    #[test]
    fn a_paged_list_shows_what_exists_throughout(
        rows in prop::collection::btree_map(0..1_000_u64, 0..40_i64, 0..160),
        steps in changes(),
    ) {
        let mut list = List::of(rows.into_iter().map(|(id, second)| (second * SECOND, id)));
        let (mut walk, mut memory, mut read) = (Paged::default(), Memory::default(), BTreeSet::new());
        let mut throughout = list.rows.clone();
        let (mut next, mut steps) = (10_000, steps.into_iter());
        for _ in 0..2_000 {
            let page = list.paged(&walk).unwrap();
            let turn = walk.turn(&mut memory, &page).unwrap();
            read.extend(page.rows.iter().zip(&turn.fresh).filter(|(_, fresh)| **fresh).map(|(row, _)| row.id));
            if turn.over {
                break;
            }
            if apply(&mut list, &steps.next().unwrap_or_default(), &mut next) {
                memory = Memory::default();
            }
            throughout.retain(|row| list.rows.contains(row));
        }
        for (_, id) in &throughout {
            prop_assert!(read.contains(id), "{id} is missing");
        }
    }
}

mod searches {
    use super::*;

    /// A search: rows with their dates, sorted; sequences of cursors end after `sequence` rows.
    struct Index {
        rows: BTreeSet<(i64, u64)>,
        sequence: usize,
    }

    impl Index {
        fn page(&self, range: &Found, cursor: &Cursor) -> Page {
            let fits =
                |at: i64| range.from.is_none_or(|from| at >= from.0) && range.before.is_none_or(|before| at < before.0);
            let found: Vec<_> = self.rows.iter().filter(|(at, _)| fits(*at)).collect();
            let skip: usize = cursor.text.as_ref().map_or(0, |text| text.parse().unwrap());
            let end = (skip + PAGE).min(found.len()).min(self.sequence);
            let rows = found[skip..end].iter().map(|(at, id)| Mark { id: *id, created: Some(Moment(*at)) }).collect();
            let cursor = (end < found.len() && end < self.sequence).then(|| end.to_string());
            Page { rows, has_more: None, total: Some(found.len() as u64), cursor, limit: LIMIT }
        }
    }

    fn read(index: &Index, mut range: Found, mut between: impl FnMut(usize, &mut Found, &mut Cursor)) -> Reading {
        let (mut memory, mut cursor, mut reading) = (Memory::default(), Cursor::default(), Reading::default());
        for number in 0..10_000 {
            let asked = range.clone();
            let page = index.page(&asked, &cursor);
            reading.pages += 1;
            match range.turn(&mut memory, &mut cursor, &asked, &page) {
                Ok(turn) => {
                    for (row, fresh) in page.rows.iter().zip(&turn.fresh) {
                        *reading.rows.entry(row.id).or_default() += u32::from(*fresh);
                    }
                    reading.trouble.extend(turn.crowded.map(Trouble::Crowded));
                    if turn.over {
                        return reading;
                    }
                }
                Err(trouble) => {
                    reading.trouble.push(trouble);
                    return reading;
                }
            }
            between(number, &mut range, &mut cursor);
        }
        panic!("the search never ends: {range:?}");
    }

    fn index(rows: impl IntoIterator<Item = (i64, u64)>) -> Index {
        Index { rows: rows.into_iter().collect(), sequence: 10_000 }
    }

    #[test]
    fn rows_of_the_same_time_are_crossed_by_the_cursor() {
        let crowd = (0..75).map(|id| (500 * SECOND, 1_000 + id));
        let reading = read(&index(spread(300).into_iter().chain(crowd)), Found::default(), |_, _, _| {});
        assert_eq!(reading.rows.len(), 375);
        assert!(reading.rows.values().all(|times| *times == 1), "{reading:?}");
    }

    #[test]
    fn quirk_09_an_expired_cursor_begins_the_crowd_again_and_repeats_no_row() {
        let reading = read(&index((0..75).map(|id| (0, id))), Found::default(), |page, _, cursor| {
            if page == 3 {
                *cursor = Cursor::default();
            }
        });
        assert_eq!(reading.rows.len(), 75);
        assert!(reading.rows.values().all(|times| *times == 1), "{reading:?}");
    }

    #[test]
    fn quirk_09_a_crowd_beyond_the_sequence_is_reported_and_the_rest_is_read() {
        let crowd = (0..10_050).map(|id| (0, id));
        let reading = read(
            &index(crowd.chain(spread(50).into_iter().map(|(at, id)| (at, 90_000 + id)))),
            Found::default(),
            |_, _, _| {},
        );
        assert_eq!(reading.trouble, [Trouble::Crowded(Moment(0))]);
        assert_eq!(reading.rows.len(), 10_000 + 50);
    }

    #[test]
    fn a_cursor_that_repeats_is_refused() {
        let (mut range, mut memory, mut cursor) = (Found::default(), Memory::default(), Cursor::default());
        let rows: Vec<Mark> = (0..LIMIT).map(|id| Mark { id, created: Some(Moment(7)) }).collect();
        let page = Page { rows, has_more: None, total: None, cursor: Some("same".to_owned()), limit: LIMIT };
        let mut turn = |range: &mut Found| {
            let asked = range.clone();
            range.turn(&mut memory, &mut cursor, &asked, &page)
        };
        assert!(turn(&mut range).is_ok());
        assert!(turn(&mut range).is_ok());
        assert_eq!(turn(&mut range), Err(Trouble::Endless));
    }

    #[test]
    fn both_parts_of_a_search_have_all_rows_of_it() {
        let index = index(spread(400));
        let mut newer = None;
        let mut reading = read(&index, Found::default(), |page, range, _| {
            if page == 3 {
                newer = range.split(Moment(400 * 3 * SECOND));
            }
        });
        let rest = read(&index, newer.expect("a search of 400 rows can be cut"), |_, _, _| {});
        assert!(rest.rows.len() > 100);
        reading.add(rest);
        assert_eq!(reading.rows.len(), 400);
        assert!(reading.rows.values().all(|times| *times <= 1));
    }

    #[test]
    fn unsorted_or_unfiltered_answers_are_seen() {
        let row = |id, at| Mark { id, created: Some(Moment(at)) };
        let turn = |from, rows: Vec<Mark>| {
            let mut range = Found::range(from, None);
            let asked = range.clone();
            let page = Page { rows, ..Page::default() };
            range.turn(&mut Memory::default(), &mut Cursor::default(), &asked, &page)
        };
        assert_eq!(turn(None, vec![row(1, 5), row(2, 4)]), Err(Trouble::NotSorted));
        assert_eq!(turn(Some(Moment(5)), vec![row(1, 4)]), Err(Trouble::NotFiltered));
    }
}
