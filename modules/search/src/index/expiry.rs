//! Which documents are about to vanish?
//!
//! A key that has expired is gone for every client before the server has got round to deleting it, and so is a field of
//! a hash. So the index keeps the times of documents that have one; those that are due are dropped, or read anew, before it
//! answers a query.

use std::collections::{BTreeSet, HashMap};

/// Times of documents, by number.
#[derive(Debug, Default)]
pub struct Expiry {
    by_time: BTreeSet<(i64, u32)>,
    by_number: HashMap<u32, i64>,
}

impl Expiry {
    /// Sets or clears the time (Unix, in milliseconds) at which a document vanishes.
    pub fn set(&mut self, number: u32, at_ms: Option<i64>) {
        if let Some(old) = self.by_number.remove(&number) {
            self.by_time.remove(&(old, number));
        }
        if let Some(at_ms) = at_ms {
            self.by_number.insert(number, at_ms);
            self.by_time.insert((at_ms, number));
        }
    }

    /// A document whose time has come.
    pub fn due(&self, now_ms: i64) -> Option<u32> {
        self.by_time.first().filter(|(at_ms, _)| *at_ms <= now_ms).map(|(_, number)| *number)
    }

    /// Bytes on the heap, roughly: nodes of the tree are about three quarters full.
    pub fn memory(&self) -> usize {
        let map = self.by_number.capacity() * 8 / 7 * (size_of::<(u32, i64)>() + 1);
        map + self.by_time.len() * size_of::<(i64, u32)>() * 4 / 3
    }

    /// Whether no document has a time.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Gives a document another number.
    pub fn renumber(&mut self, map: impl Fn(u32) -> u32) {
        let times = std::mem::take(&mut self.by_number);
        self.by_time.clear();
        for (number, at_ms) in times {
            self.set(map(number), Some(at_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_can_be_moved_and_cleared() {
        let mut expiry = Expiry::default();
        expiry.set(1, Some(100));
        expiry.set(2, Some(50));
        expiry.set(1, Some(40));
        assert_eq!((expiry.due(39), expiry.due(40)), (None, Some(1)));
        expiry.set(1, None);
        assert_eq!((expiry.due(49), expiry.due(60)), (None, Some(2)));
        expiry.renumber(|number| number + 10);
        assert_eq!(expiry.due(60), Some(12));
    }
}
