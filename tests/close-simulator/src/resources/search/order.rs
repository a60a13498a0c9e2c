//! The order of results: by values, missing values last, equal values by id.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{
    field::Field,
    types::{Subject, Target},
};
use crate::{
    model::{Id, Record, Value},
    world::view::View,
};

/// One property to sort by.
#[derive(Clone)]
pub struct Order {
    /// Objects of other types have no value.
    pub target: Target,
    /// The property; its first value is used.
    pub field: Field,
    /// Greatest first.
    pub descending: bool,
}

/// A value to sort by.
#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Rank {
    /// A moment in microseconds, or a date in days.
    Time(i64),
    Number(f64),
    /// A text in lower case.
    Text(String),
}

/// The position of an object in an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Its values, one for each order.
    pub ranks: Vec<Option<Rank>>,
    /// Breaks ties.
    pub id: Id,
}

impl Place {
    pub fn of<'v>(view: &'v View<'_>, record: &'v Record, orders: &[Order]) -> Self {
        let subject = Subject::Record(record);
        let rank = |order: &Order| {
            let mut rank = None;
            if order.target.fits(subject) {
                order.field.any(view, subject, &mut |value| {
                    rank = Rank::of(value);
                    rank.is_some()
                });
            }
            rank
        };
        Self { ranks: orders.iter().map(rank).collect(), id: record.id }
    }

    /// Compares two positions in the same orders.
    pub fn compare(&self, other: &Self, orders: &[Order]) -> Ordering {
        for ((a, b), order) in self.ranks.iter().zip(&other.ranks).zip(orders) {
            let ordering = match (a, b) {
                (Some(a), Some(b)) => {
                    let ordering = a.partial_cmp(b).unwrap_or(Ordering::Equal);
                    if order.descending { ordering.reverse() } else { ordering }
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        self.id.cmp(&other.id)
    }
}

impl Rank {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Moment(at) => Self::Time(at.0),
            Value::Day(day) => Self::Time(i64::from(day.0)),
            Value::Number(number) => Self::Number(number.as_f64()?),
            Value::Text(text) => Self::Text(text.to_lowercase()),
            _ => return None,
        })
    }
}

/// The first items of many in order, found without sorting the rest.
pub struct First<'o, T> {
    orders: &'o [Order],
    wanted: usize,
    kept: Vec<(Place, T)>,
}

impl<'o, T> First<'o, T> {
    pub fn new(orders: &'o [Order], wanted: usize) -> Self {
        Self { orders, wanted, kept: Vec::new() }
    }

    pub fn add(&mut self, place: Place, item: T) {
        self.kept.push((place, item));
        if self.kept.len() >= self.wanted.saturating_mul(2).saturating_add(64) {
            let orders = self.orders;
            self.kept.select_nth_unstable_by(self.wanted, |a, b| a.0.compare(&b.0, orders));
            self.kept.truncate(self.wanted);
        }
    }

    /// The kept items, in order.
    pub fn sorted(mut self) -> Vec<(Place, T)> {
        let orders = self.orders;
        self.kept.sort_unstable_by(|a, b| a.0.compare(&b.0, orders));
        self.kept.truncate(self.wanted);
        self.kept
    }
}
