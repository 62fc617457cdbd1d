//! How do entries, and the segments that hold them, get to better memory? Bucket by bucket, at a position in hash space as
//! other walks have it ([`crate::keyspace::scan`]).
//!
//! A segment moves as it is rebuilt when it grows, to one of the same class. Nested directories stay: they are few.

use super::segment::SLOTS;
use super::{ChildMut, Node, Table};
use crate::base::moving::Mover;
use crate::keyspace::entry::Entry;
use crate::keyspace::hash::KeyHash;
use crate::keyspace::scan::{BELOW, POSITION_BITS, Parts};

/// Buckets whose entries are asked for in advance.
const AHEAD: usize = 2;

impl<H: KeyHash> Table<H> {
    /// Calls `rework` for each entry that lies in the bucket at `position`, which is to give the same back, and returns the
    /// position behind the bucket; zero at the end. No slot of the bucket's segment is good afterwards.
    ///
    /// What is in the table from the first call to the last is seen, unless its segment was rebuilt meanwhile.
    pub fn rework_bucket(
        &mut self,
        position: u64,
        mover: &mut Mover<'_>,
        mut rework: impl FnMut(&mut Mover<'_>, Entry) -> Entry,
    ) -> u64 {
        if position >> POSITION_BITS != 0 {
            return 0;
        }
        let hash = position << BELOW;
        let Some(segment) = self.segment(hash) else { return 0 };
        let parts = Parts::of(segment);
        let bucket = parts.home(hash);
        if bucket == 0 {
            (0..AHEAD).for_each(|bucket| segment.prefetch_entries(bucket));
        }
        // Behind the last home there may be buckets without hashes of their own.
        let end = if parts.is_last(bucket) { parts.buckets } else { bucket + 1 };
        (bucket..end).for_each(|bucket| segment.prefetch_entries(bucket + AHEAD));
        let next = parts.behind(hash, bucket);
        if bucket == 0 {
            self.root.move_segment(hash, mover);
        }
        let mut segment = self.segment_mut(hash).expect("it was there a moment ago");
        for index in bucket * SLOTS..end * SLOTS {
            let expiries = segment.update(index, |entry| rework(mover, entry));
            debug_assert!(expiries.is_none_or(|(before, after)| before == after));
        }
        next.map_or(0, |next| next >> BELOW)
    }

    /// Moves the outermost directory.
    pub fn move_directory(&mut self, mover: &mut Mover<'_>) {
        mover.vec(&mut self.root.directory);
    }
}

impl Node {
    fn move_segment(&mut self, hash: u64, mover: &mut Mover<'_>) {
        let at = self.index(hash);
        match self.child_mut(hash).expect("callers have found it") {
            ChildMut::Node(nested) => return nested.move_segment(hash, mover),
            ChildMut::Segment(_) => {}
        }
        let segment = self.directory[at].0;
        if mover.wants(segment.address(), segment.bytes()) {
            self.rebuild(at, segment.class());
        }
    }
}
