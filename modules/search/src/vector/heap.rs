//! Who are the nearest so far?

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something at a distance; of two at the same one the lower id is the nearer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The distance.
    pub distance: f64,
    /// A slot or a document's number.
    pub id: u32,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Near) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Near) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The nearest ones, up to a number.
#[derive(Debug)]
pub struct Nearest {
    keep: usize,
    heap: BinaryHeap<Near>,
}

impl Nearest {
    /// Keeps `keep` of them.
    pub fn new(keep: usize) -> Nearest {
        Nearest { keep, heap: BinaryHeap::new() }
    }

    /// Takes one in if it is near enough.
    #[inline]
    pub fn offer(&mut self, near: Near) {
        if self.heap.len() < self.keep {
            self.heap.push(near);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && near < *worst
        {
            *worst = near;
        }
    }

    /// The farthest that is kept, once there are enough.
    #[inline]
    pub fn limit(&self) -> Option<Near> {
        self.heap.peek().filter(|_| self.heap.len() >= self.keep).copied()
    }

    /// The nearest first.
    pub fn sorted(self) -> Vec<Near> {
        self.heap.into_sorted_vec()
    }
}
