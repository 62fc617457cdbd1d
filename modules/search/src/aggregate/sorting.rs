//! Which rows come first?
//!
//! A bounded heap keeps the best; a row that is beaten by all that are kept is not copied. Of a block that is sorted by
//! numbers, most rows are told by one comparison that they are too late. Where values of different kinds
//! mix, comparing need not be consistent; a heap then gives some order, where the standard sort may panic.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::aggregate::block::Block;
use crate::aggregate::{Limits, Row};
use crate::error::Error;
use crate::expression::block::{Columns, Places};
use crate::expression::lane::{Gap, Lane, Numbers};
use crate::expression::value::Value;

/// A slot to sort by, and whether the greatest comes first.
pub type Key = (usize, bool);

/// The best rows so far.
#[derive(Debug)]
pub struct Sorter {
    order: Arc<Order>,
    limit: usize,
    heap: BinaryHeap<Entry>,
    sequence: u64,
    limits: Limits,
    /// Bytes that the rows in the heap take.
    bytes: usize,
}

/// How rows compare.
#[derive(Debug)]
struct Order {
    keys: Box<[Key]>,
    /// Of rows that are alike, the later one comes first. So it is in RediSearch for documents whose last key descends.
    later_first: bool,
}

#[derive(Debug)]
struct Entry {
    row: Row<'static>,
    sequence: u64,
    order: Arc<Order>,
}

impl Order {
    fn compare(&self, a: (&Row<'_>, u64), b: (&Row<'_>, u64)) -> Ordering {
        for (slot, descending) in &self.keys {
            let order = match (a.0.get(*slot), b.0.get(*slot)) {
                (Some(a), Some(b)) if *descending => b.compare(a),
                (Some(a), Some(b)) => a.compare(b),
                // Rows without the property come last either way.
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            if order.is_ne() {
                return order;
            }
        }
        let by_age = a.1.cmp(&b.1);
        if self.later_first { by_age.reverse() } else { by_age }
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        self.order.compare((&self.row, self.sequence), (&other.row, other.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl Sorter {
    /// Keeps the first `limit` rows by `keys`; `documents` tells whether the rows are documents or groups.
    pub fn new(keys: Vec<Key>, limit: usize, documents: bool, limits: Limits) -> Sorter {
        let later_first = documents && keys.last().is_some_and(|(_, descending)| *descending);
        let order = Arc::new(Order { keys: keys.into(), later_first });
        Sorter { order, limit, heap: BinaryHeap::new(), sequence: 0, limits, bytes: 0 }
    }

    /// The slots that rows are sorted by.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.order.keys.iter().map(|(slot, _)| *slot)
    }

    /// Takes a row.
    pub fn add(&mut self, row: &Row<'_>) -> Result<(), Error> {
        match self.is_beaten(row, self.sequence) {
            true => {
                self.sequence += 1;
                Ok(())
            }
            false => self.push(row.clone().into_owned()),
        }
    }

    /// Takes the rows of a block, with their keys if these are wanted later.
    pub fn add_block(&mut self, block: &Block<'_>, with_keys: bool) -> Result<(), Error> {
        let all = Places::All(block.len());
        let lanes: Vec<(usize, Lane<'_>)> =
            self.slots().map(|slot| (slot, block.lane(slot, all))).collect();
        let first = match lanes.first() {
            Some((_, Lane::Numbers(numbers))) => Some(numbers),
            _ => None,
        };
        let begin = self.sequence;
        let mut candidate = Row::default();
        let mut next = 0;
        while let Some(place) = self.next_place(first, next, block.len()) {
            next = place + 1;
            self.sequence = begin + place as u64;
            for (slot, lane) in &lanes {
                candidate.set(*slot, lane.get(place));
            }
            if self.is_beaten(&candidate, self.sequence) {
                continue;
            }
            let mut row = Row::default();
            block.fill(place, &mut row);
            row.key = with_keys.then(|| block.key(place).into());
            self.push(row.into_owned())?;
        }
        self.sequence = begin + block.len() as u64;
        Ok(())
    }

    /// The next place of a block whose row the first number to sort by does not rule out.
    fn next_place(&self, first: Option<&Numbers>, from: usize, end: usize) -> Option<usize> {
        let rest = (from < end).then_some(from);
        let (Some(numbers), Some((slot, descending))) = (first, self.order.keys.first()) else {
            return rest;
        };
        let worst = self.heap.peek().filter(|_| self.heap.len() >= self.limit);
        let Some(Value::Number(worst)) = worst.and_then(|worst| worst.row.get(*slot)) else {
            return rest;
        };
        let values = &numbers.values[from..end];
        if let Some(gaps) = &numbers.gaps {
            // A number comes before what is missing; NULL is left to the comparison.
            let open = |(value, gap): (&f64, &Gap)| match gap {
                Gap::None if *descending => !less(*value, *worst),
                Gap::None => !less(*worst, *value),
                Gap::Null => true,
                Gap::Missing => false,
            };
            return values.iter().zip(&gaps[from..end]).position(open).map(|at| from + at);
        }
        let found = match descending {
            true => values.iter().position(|value| !less(*value, *worst)),
            false => values.iter().position(|value| !less(*worst, *value)),
        };
        found.map(|at| from + at)
    }

    /// Whether a row comes behind all that are kept.
    fn is_beaten(&self, row: &Row<'_>, sequence: u64) -> bool {
        self.heap.len() >= self.limit
            && self.heap.peek().is_none_or(|worst| {
                self.order.compare((row, sequence), (&worst.row, worst.sequence)).is_ge()
            })
    }

    /// Keeps a row, in place of the worst one if there are enough.
    fn push(&mut self, row: Row<'static>) -> Result<(), Error> {
        let (sequence, order) = (self.sequence, Arc::clone(&self.order));
        self.sequence += 1;
        if self.heap.len() >= self.limit
            && let Some(worst) = self.heap.pop()
        {
            self.bytes -= worst.row.memory();
        }
        self.bytes += row.memory();
        self.heap.push(Entry { row, sequence, order });
        self.limits.check(self.bytes)
    }

    /// The rows in order.
    pub fn finish(&mut self) -> Vec<Row<'static>> {
        let heap = std::mem::take(&mut self.heap);
        heap.into_sorted_vec().into_iter().map(|entry| entry.row).collect()
    }
}

/// Whether one number comes before another; of numbers without an order none does.
#[inline]
fn less(a: f64, b: f64) -> bool {
    a < b
}
