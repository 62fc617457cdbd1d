//! How does a table get the size that it will need, before its keys come? Loading knows how many there will be: with
//! segments of the right depth and class from the start, no insert splits or moves anything.

use super::segment::{FIT, SegmentPtr, class_for};
use super::{ChildPtr, DEPTH_MAX, Entry, KeyHash, Table};

/// Keys that a segment has room for at most before it would have split.
const SEGMENT_KEYS: usize = 400;

/// Of 64 slots of a segment so many are taken in the mean, as in tables that have grown; the few that get more keys grow
/// once.
const FIT_MEAN: usize = 56;

impl<H: KeyHash> Table<H> {
    /// An empty table with room for so many entries.
    pub(in crate::keyspace) fn with_room(entries: usize) -> Self {
        let depth = entries.div_ceil(SEGMENT_KEYS).next_power_of_two().ilog2().min(DEPTH_MAX);
        let mut table = Self::default();
        if depth == 0 {
            return table;
        }
        let segments = 1usize << depth;
        let class = class_for(entries.div_ceil(segments) * FIT / FIT_MEAN);
        let root = &mut table.root;
        root.depth = depth;
        root.deepest = segments;
        root.directory.reserve_exact(segments);
        for _ in 0..segments {
            root.directory.push(ChildPtr(SegmentPtr::allocate(class, depth)));
        }
        table
    }

    /// Asks for what an insert of this entry touches.
    #[inline]
    pub(in crate::keyspace) fn prefetch_insert(&self, hash: u64, entry: &Entry) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch_insert(hash, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::hash::SeededHash;
    use crate::keyspace::value::{StrValue, Value};

    fn fill(table: &mut Table, keys: usize) {
        for n in 0..keys {
            let key = n.to_string();
            let value = Value::Str(StrValue::new(key.clone().into_bytes()));
            let hash = SeededHash::hash(key.as_bytes());
            assert!(table.find(hash, key.as_bytes()).is_none());
            table.insert_new(hash, Entry::new(key.as_bytes(), value, None));
        }
    }

    fn empty(table: &mut Table, keys: impl Iterator<Item = usize>) {
        for n in keys {
            let key = n.to_string();
            let slot = table.find(SeededHash::hash(key.as_bytes()), key.as_bytes());
            drop(table.remove(slot.expect("it was added")));
        }
    }

    #[test]
    fn keys_that_were_announced_find_their_segments() {
        const KEYS: usize = 20_000;
        let mut table = Table::with_room(KEYS);
        let directory = table.directory_len();
        table.check();
        fill(&mut table, KEYS);
        table.check();
        assert_eq!((table.len(), table.directory_len()), (KEYS, directory));
        empty(&mut table, 0..KEYS);
        table.check();
        assert_eq!((table.len(), table.directory_len()), (0, 1));
    }

    #[test]
    fn a_wrong_announcement_does_no_harm() {
        for (announced, keys) in [(1, 5000), (1000, 20_000), (100_000, 300), (100_000, 1)] {
            let mut table = Table::with_room(announced);
            fill(&mut table, keys);
            table.check();
            empty(&mut table, (0..keys).rev());
            table.check();
            assert_eq!(table.len(), 0);
        }
    }
}
