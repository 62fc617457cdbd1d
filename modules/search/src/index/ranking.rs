//! Which of two results comes first?
//!
//! By score, by one or several values, or by age; where those are equal the older one, except that a descending order
//! of values turns the order by age around too.

use std::cmp::{Ordering, Reverse};

use crate::columns::Column;
use crate::index::search::SortValue;

/// A result and its place in the order: the least is the best.
pub struct Ranked {
    /// What decides.
    pub rank: Rank,
    /// The document.
    pub number: u32,
    /// Its score.
    pub score: f64,
}

/// What decides a result's place.
pub enum Rank {
    /// The score.
    Score(Reverse<TotalOrder>),
    /// A value.
    Value {
        /// The value.
        value: SortValue,
        /// Whether the greatest comes first.
        descending: bool,
    },
    /// Several values, each with whether the greatest comes first.
    Values(Box<[(SortValue, bool)]>),
    /// The document's number.
    Age,
}

/// A float in IEEE's total order.
#[derive(Clone, Copy, PartialEq)]
pub struct TotalOrder(pub f64);

impl Eq for TotalOrder {}

impl PartialOrd for TotalOrder {
    fn partial_cmp(&self, other: &TotalOrder) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TotalOrder {
    fn cmp(&self, other: &TotalOrder) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Ranked {
    /// Whether it comes before a document with this value and number.
    pub fn beats(&self, value: &Borrowed<'_>, number: u32, descending: bool) -> bool {
        match &self.rank {
            Rank::Value { value: own, .. } => {
                let order = by_value(&own.borrowed(), value, descending);
                order.then(by_age(self.number, number, descending)) == Ordering::Less
            }
            Rank::Values(_) | Rank::Score(_) | Rank::Age => false,
        }
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        match (&self.rank, &other.rank) {
            (Rank::Score(a), Rank::Score(b)) => a.cmp(b).then(self.number.cmp(&other.number)),
            (Rank::Value { value: a, descending }, Rank::Value { value: b, .. }) => by_value(
                &a.borrowed(),
                &b.borrowed(),
                *descending,
            )
            .then(by_age(self.number, other.number, *descending)),
            (Rank::Values(a), Rank::Values(b)) => {
                let pairs = a.iter().zip(b);
                let orders = pairs.map(|((a, descending), (b, _))| {
                    by_value(&a.borrowed(), &b.borrowed(), *descending)
                });
                let descending = a.first().is_some_and(|(_, descending)| *descending);
                orders.fold(Ordering::Equal, Ordering::then).then(by_age(
                    self.number,
                    other.number,
                    descending,
                ))
            }
            _ => self.number.cmp(&other.number),
        }
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// A sort value in its column.
pub enum Borrowed<'a> {
    /// There is none.
    Absent,
    /// A number.
    Number(f64),
    /// A byte string.
    Text(&'a [u8]),
}

impl<'a> Borrowed<'a> {
    /// The first value of a row.
    pub fn of(column: Option<&'a Column>, row: u32) -> Borrowed<'a> {
        match column {
            Some(Column::Numbers(numbers)) => {
                numbers.first(row).map_or(Borrowed::Absent, Borrowed::Number)
            }
            Some(Column::Texts(texts)) => texts.get(row).map_or(Borrowed::Absent, Borrowed::Text),
            Some(Column::Points(_) | Column::Shapes(_)) | None => Borrowed::Absent,
        }
    }

    /// A copy.
    pub fn owned(&self) -> SortValue {
        match self {
            Borrowed::Absent => SortValue::Absent,
            Borrowed::Number(number) => SortValue::Number(*number),
            Borrowed::Text(text) => SortValue::Text(text.to_vec()),
        }
    }
}

/// Documents without a value come last in both directions.
pub fn by_value(a: &Borrowed<'_>, b: &Borrowed<'_>, descending: bool) -> Ordering {
    let turn = |order: Ordering| if descending { order.reverse() } else { order };
    match (a, b) {
        (Borrowed::Absent, Borrowed::Absent) => Ordering::Equal,
        (Borrowed::Absent, _) => Ordering::Greater,
        (_, Borrowed::Absent) => Ordering::Less,
        (Borrowed::Number(a), Borrowed::Number(b)) => turn(a.total_cmp(b)),
        (Borrowed::Text(a), Borrowed::Text(b)) => turn(a.cmp(b)),
        // A column has one kind; loaded values may be mixed.
        (Borrowed::Number(_), Borrowed::Text(_)) => turn(Ordering::Less),
        (Borrowed::Text(_), Borrowed::Number(_)) => turn(Ordering::Greater),
    }
}

/// The older document first, or the younger one.
pub fn by_age(a: u32, b: u32, descending: bool) -> Ordering {
    if descending { b.cmp(&a) } else { a.cmp(&b) }
}
