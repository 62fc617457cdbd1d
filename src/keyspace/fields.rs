//! Which hashes have fields that end, and when does the first one of each? So that fields go in time that
//! nobody asks for.
//!
//! Invariant: a hash of the db with a field that ends is listed, at a time that is not later than the
//! first of its ends. The time may be too early, when a field was given more of it, and a listed hash
//! may have no such field any more: whoever takes one looks, and lists it anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The list, in order of time.
#[derive(Debug, Default)]
pub struct EndingFields {
    by_time: BTreeSet<(i64, Arc<[u8]>)>,
    by_key: HashMap<Arc<[u8]>, i64>,
}

impl EndingFields {
    /// Whether no hash is listed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Number of hashes listed.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Lists a hash, a field of which ends at this time; an earlier time stays.
    pub fn note(&mut self, key: &[u8], at_ms: i64) {
        let (key, before) = match self.by_key.get_key_value(key) {
            Some((_, before)) if *before <= at_ms => return,
            Some((key, before)) => (Arc::clone(key), Some(*before)),
            None => (Arc::from(key), None),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, Arc::clone(&key)));
        }
        self.by_key.insert(Arc::clone(&key), at_ms);
        self.by_time.insert((at_ms, key));
    }

    /// Takes a hash off the list, because it is gone.
    pub fn forget(&mut self, key: &[u8]) {
        if let Some((key, at_ms)) = self.by_key.remove_entry(key) {
            self.by_time.remove(&(at_ms, key));
        }
    }

    /// Takes up to `count` hashes off the list whose time has come.
    pub fn take_due(&mut self, now_ms: i64, count: usize) -> Vec<Arc<[u8]>> {
        let mut due = Vec::new();
        while due.len() < count
            && self.by_time.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms)
            && let Some((_, key)) = self.by_time.pop_first()
        {
            self.by_key.remove(&key);
            due.push(key);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(list: &mut EndingFields, now_ms: i64, count: usize) -> Vec<String> {
        let keys = list.take_due(now_ms, count);
        keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    #[test]
    fn hashes_come_in_the_order_of_their_times() {
        let mut list = EndingFields::default();
        for (key, at) in [("a", 30), ("b", 10), ("c", 20), ("d", 40)] {
            list.note(key.as_bytes(), at);
        }
        assert_eq!(due(&mut list, 9, 10), [""; 0]);
        assert_eq!(due(&mut list, 30, 2), ["b", "c"]);
        assert_eq!(due(&mut list, 30, 2), ["a"]);
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn the_earliest_time_counts() {
        let mut list = EndingFields::default();
        list.note(b"a", 20);
        list.note(b"a", 30);
        list.note(b"a", 10);
        assert_eq!((list.len(), list.by_time.len()), (1, 1));
        assert_eq!(due(&mut list, 10, 10), ["a"]);
        assert!(list.is_empty());
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut list = EndingFields::default();
        list.note(b"a", 20);
        list.forget(b"a");
        list.forget(b"b");
        assert!(list.is_empty() && list.by_time.is_empty());
    }
}
