use super::*;
use crate::{
    catalogue::kind,
    walk::{Created, Mark},
};

fn reading(walk: Walk) -> (Board, Reader) {
    let note = kind("note").unwrap();
    let mut board = Board { objects: vec![Object::new(note, None)] };
    assert_eq!(board.next(Moment(0)), Job::Begin(0));
    assert!(board.begin(0, || vec![walk]).is_some());
    assert_eq!(board.next(Moment(0)), Job::Read(0, 0));
    (board, Reader::new(note, Vec::new(), Vec::new(), std::sync::Arc::new(tokio::sync::Semaphore::new(1))))
}

/// A page of the newest rows, a second each, of this number.
fn turn(board: &mut Board, reader: &Reader, newest: i64, total: Option<u64>) {
    let row = |at: i64| Mark { id: at.unsigned_abs(), created: Some(Moment(at * 1_000_000)) };
    let rows = (0..100).map(|row_number| row(newest - row_number)).collect();
    let page = Page { rows, has_more: Some(true), total, cursor: None, limit: 100 };
    let asked = board.asked(0, 0).unwrap();
    board.turn(0, 0, &asked, &page, reader).unwrap().unwrap();
}

#[test]
fn an_idle_reader_takes_half_of_what_is_left() {
    let (mut board, reader) = reading(Walk::Created(Created::default()));
    turn(&mut board, &reader, 100_000, Some(5_000));
    assert_eq!(board.next(Moment(0)), Job::Split(0, 0));
    let (rest, (number, other)) = board.split(0, 0, &reader, Moment(0)).unwrap();
    assert_eq!(board.next(Moment(0)), Job::Read(0, number));
    let (Walk::Created(rest), Walk::Created(other)) = (rest, other) else { panic!("both are ranges") };
    assert_eq!((rest.to, other.from), (Some(Moment(99_901_000_000)), None));
    assert_eq!(other.to.map(|to| to.0 + 1_000_000), rest.from.map(|from| from.0));
    assert_eq!(board.left(0), Some(4_900));
}

#[test]
fn a_list_without_a_total_is_cut_after_some_pages() {
    let (mut board, reader) = reading(Walk::Created(Created::default()));
    for page in 0..4 {
        assert_eq!(board.next(Moment(0)), Job::Wait);
        turn(&mut board, &reader, 100_000 - 99 * page, None);
    }
    assert_eq!(board.next(Moment(0)), Job::Split(0, 0));
    let (_, (_, other)) = board.split(0, 0, &reader, Moment(0)).unwrap();
    let Walk::Created(other) = other else { panic!("it is a range") };
    assert!(other.from.is_none() && other.to < Some(Moment((100_000 - 8 * 390) * 1_000_000)));
}

#[test]
fn what_cannot_be_cut_is_left_alone() {
    let (mut board, reader) = reading(Walk::Found(crate::walk::Found::default()));
    board.objects[0].walks.get_mut(&0).unwrap().left = Some(9_000);
    let now = Moment(500_000);
    let live = board.objects[0].walks.get_mut(&0).unwrap();
    live.walk = Some(Walk::Found(crate::walk::Found::range(Some(Moment(100)), None)));
    assert_eq!(board.next(now), Job::Split(0, 0));
    assert!(board.split(0, 0, &reader, now).is_none());
    assert_eq!(board.next(now), Job::Wait);
}

#[test]
fn a_parent_whose_list_is_too_long_ends_the_reading_of_no_other() {
    let kind = kind("custom_object").unwrap();
    let parents = ["lead_1", "lead_2", "lead_3"].map(str::to_owned).to_vec();
    let reader = Reader::new(kind, parents, Vec::new(), std::sync::Arc::new(tokio::sync::Semaphore::new(1)));
    let mut board = Board { objects: vec![Object::new(kind, None)] };
    board.next(Moment(0));
    board.begin(0, || vec![Walk::Parents(crate::walk::Parents::default())]);
    board.next(Moment(0));
    let mut read = Vec::new();
    while let Some(Asked { walk: Walk::Parents(walk), .. }) = board.asked(0, 0) {
        let parent = reader.parent(&walk).unwrap().to_owned();
        if parent == "lead_2" {
            let capped = board.capped(0, 0, 250, &reader).unwrap();
            assert!(capped.rest.is_some() && capped.incomplete.is_some_and(|reason| reason.contains("250")));
        } else {
            let asked = board.asked(0, 0).unwrap();
            board.turn(0, 0, &asked, &Page::default(), &reader).unwrap().unwrap();
        }
        read.push(parent);
    }
    assert_eq!(read, ["lead_1", "lead_2", "lead_3"]);
    assert!(matches!(board.end_of(0), ObjectEnd::Incomplete { .. }), "and it is said");
}
