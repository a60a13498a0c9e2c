//! The results of a query, one page at a time. In the order of creation a page costs its own length; any other order
//! scans everything and keeps only the page.

use super::{
    field::Field,
    order::{First, Order, Place, Rank},
    query::Query,
    types::Subject,
};
use crate::{
    model::{Kind, Moment, Record},
    world::view::View,
};

/// A query over objects of some kinds.
pub struct Found<'q> {
    pub query: &'q Query,
    pub kinds: &'q [Kind],
}

impl Found<'_> {
    /// The first `wanted` results after a position, in order.
    pub fn after<'v>(&'v self, view: &'v View<'_>, place: Option<&Place>, wanted: usize) -> Vec<(Place, &'v Record)> {
        match (&self.query.orders[..], self.kinds) {
            ([], kinds) => self.by_creation(view, kinds, true, place, wanted),
            ([Order { field: Field::Created, descending, .. }], kinds @ [_]) => {
                self.by_creation(view, kinds, *descending, place, wanted)
            }
            (orders, _) => {
                let mut first = First::new(orders, wanted);
                for record in self.all(view) {
                    let here = Place::of(view, record, orders);
                    if place.is_none_or(|place| here.compare(place, orders).is_gt()) {
                        first.add(here, record);
                    }
                }
                first.sorted()
            }
        }
    }

    /// All results, in no guaranteed order.
    pub fn all<'v>(&'v self, view: &'v View<'_>) -> impl Iterator<Item = &'v Record> {
        self.kinds.iter().flat_map(|kind| self.of_kind(view, *kind, (Moment(i64::MIN), Moment::LAST)))
    }

    /// One kind after the other, each in the order of creation.
    fn by_creation<'v>(
        &'v self,
        view: &'v View<'_>,
        kinds: &[Kind],
        descending: bool,
        place: Option<&Place>,
        wanted: usize,
    ) -> Vec<(Place, &'v Record)> {
        let mut found = Vec::new();
        let last = place.and_then(|place| match place.ranks.first() {
            Some(Some(Rank::Time(at))) => Some((Moment(*at), place.id)),
            _ => None,
        });
        let reached = last.and_then(|(_, id)| kinds.iter().position(|kind| *kind == id.kind())).unwrap_or(0);
        for (at, kind) in kinds.iter().enumerate().skip(reached) {
            let last = last.filter(|_| at == reached);
            let bounds = match last {
                None => (Moment(i64::MIN), Moment::LAST),
                Some((moment, _)) if descending => (Moment(i64::MIN), moment),
                Some((moment, _)) => (moment, Moment::LAST),
            };
            let beyond = |record: &&Record| match last {
                None => true,
                Some(last) if descending => (record.created, record.id) < last,
                Some(last) => (record.created, record.id) > last,
            };
            let rest = wanted - found.len();
            let records = self.of_kind(view, *kind, bounds);
            let records: Vec<&Record> = if descending {
                records.rev().filter(beyond).take(rest).collect()
            } else {
                records.filter(beyond).take(rest).collect()
            };
            found.extend(
                records
                    .into_iter()
                    .map(|record| (Place { ranks: vec![Some(Rank::Time(record.created.0))], id: record.id }, record)),
            );
            if found.len() == wanted {
                break;
            }
        }
        found
    }

    fn of_kind<'v>(
        &'v self,
        view: &'v View<'_>,
        kind: Kind,
        bounds: (Moment, Moment),
    ) -> Box<dyn DoubleEndedIterator<Item = &'v Record> + 'v> {
        let node = &self.query.node;
        let holds = move |record: &&'v Record| node.holds(view, Subject::Record(record));
        if let Some(id) = node.only() {
            let only =
                view.see(id).filter(|record| record.kind() == kind && (bounds.0..=bounds.1).contains(&record.created));
            return Box::new(only.into_iter().filter(holds));
        }
        let created = node.created();
        let (from, to) = (created.0.max(bounds.0), created.1.min(bounds.1));
        if from > to {
            return Box::new(std::iter::empty());
        }
        Box::new(view.range(kind, from, to).filter(holds))
    }
}
