//! Which rows come first?
//!
//! A bounded heap keeps the best; a row that is beaten by all that are kept is not copied. Where values of different kinds
//! mix, comparing need not be consistent; a heap then gives some order, where the standard sort may panic.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::aggregate::Row;

/// A slot to sort by, and whether the greatest comes first.
pub type Key = (usize, bool);

/// The best rows so far.
#[derive(Debug)]
pub struct Sorter {
    order: Arc<Order>,
    limit: usize,
    heap: BinaryHeap<Entry>,
    sequence: u64,
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
    pub fn new(keys: Vec<Key>, limit: usize, documents: bool) -> Sorter {
        let later_first = documents && keys.last().is_some_and(|(_, descending)| *descending);
        let order = Arc::new(Order { keys: keys.into(), later_first });
        Sorter { order, limit, heap: BinaryHeap::new(), sequence: 0 }
    }

    /// The slots that rows are sorted by.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.order.keys.iter().map(|(slot, _)| *slot)
    }

    /// Takes a row.
    pub fn add(&mut self, row: &Row<'_>) {
        let sequence = self.sequence;
        self.sequence += 1;
        if self.heap.len() >= self.limit {
            let beaten = self.heap.peek().is_none_or(|worst| {
                self.order.compare((row, sequence), (&worst.row, worst.sequence)).is_ge()
            });
            if beaten {
                return;
            }
            self.heap.pop();
        }
        let row = row.clone().into_owned();
        self.heap.push(Entry { row, sequence, order: Arc::clone(&self.order) });
    }

    /// The rows in order.
    pub fn finish(&mut self) -> Vec<Row<'static>> {
        let heap = std::mem::take(&mut self.heap);
        heap.into_sorted_vec().into_iter().map(|entry| entry.row).collect()
    }
}
