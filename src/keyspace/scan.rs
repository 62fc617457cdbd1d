//! How does one walk a table that changes meanwhile? By a position in hash space instead of a place
//! in memory.
//!
//! # What it promises
//! [`Table::scan`] takes a position, hands out the entries of one home bucket from there on, and
//! returns the position behind them. What is in the table from the first call to the last is handed
//! out, exactly once if nobody moves the position backwards; what comes or goes meanwhile may or
//! may not be.
//!
//! # How it works
//! A position is the leading [`POSITION_BITS`] bits of a hash (clients parse cursors as JavaScript
//! numbers). A segment is a range of hash space, its home buckets are consecutive parts of that
//! range, and an entry's home follows from its hash. So "all entries at home in this bucket" is
//! "all entries with hashes from here to there", and the end of that range means the same whatever
//! the table has become by the next call. When the position falls inside a bucket, because buckets
//! were others when it was drawn, hashes are compared.
//!
//! # Limits
//! Entries with equal positions come in one call. So do all entries of a bucket, about seven, more
//! in a segment that could not split.

use super::entry::view::EntryRef;
use super::hash::KeyHash;
use super::table::segment::{CLASS_SPLIT_SLOTS, Segment};
use super::table::{Slot, Table};
use crate::base::random::Random;

/// Bits of a position; a cursor at or beyond 2^48 is behind the end.
pub const POSITION_BITS: u32 = 48;

/// What lies below a position in a hash.
pub(super) const BELOW: u32 = u64::BITS - POSITION_BITS;

/// Draws of [`Table::random`] before it settles for the next entry that it can find.
const DRAWS_MAX: usize = 64;

/// Tables up to this depth are measured before drawing, so that tiny ones hit at once.
const MEASURED_DEPTH_MAX: u32 = 4;

/// What a walk over volatile entries went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Segments, looked at or skipped.
    pub segments: usize,
    /// Entries with an expiry.
    pub volatile: usize,
    /// Whether the end of the table was reached; the position is at the start again.
    pub wrapped: bool,
}

/// How large a table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Its segments.
    pub segments: usize,
    /// Their places for entries.
    pub slots: usize,
}

impl<H: KeyHash> Table<H> {
    /// Hands out the entries of the home bucket at `cursor` that do not lie before it, and returns
    /// the position behind the bucket; zero at the end.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(EntryRef<'_>)) -> u64 {
        if cursor >> POSITION_BITS != 0 {
            return 0;
        }
        let hash = cursor << BELOW;
        let Some(segment) = self.segment(hash) else { return 0 };
        let parts = Parts::of(segment);
        let bucket = parts.home(hash);
        let start = start_of(hash, segment.depth());
        // No overflow: the bucket begins at or before `hash`.
        if start + parts.offset(bucket) < hash {
            segment.each_at_home(bucket, |entry| {
                if H::hash(entry.key()) >= hash {
                    visit(entry);
                }
            });
        } else {
            segment.each_at_home(bucket, visit);
        }
        parts.behind(hash, bucket).map_or(0, |end| end >> BELOW)
    }

    /// Does as [`Table::scan`] does for the home buckets from `cursor` on, for as long as `goes_on`, which is asked
    /// behind each of them, and to the end of the segment at most. What will be needed soon is asked
    /// for in advance. Both functions work on `state`.
    pub fn scan_segment<S>(
        &self,
        cursor: u64,
        state: &mut S,
        visit: impl Fn(&mut S, EntryRef<'_>),
        mut goes_on: impl FnMut(&S) -> bool,
    ) -> u64 {
        const AHEAD: usize = 3;
        if cursor >> POSITION_BITS != 0 {
            return 0;
        }
        let hash = cursor << BELOW;
        let Some(segment) = self.segment(hash) else { return 0 };
        let parts = Parts::of(segment);
        let start = start_of(hash, segment.depth());
        let first = parts.home(hash);
        (first..first + AHEAD).for_each(|bucket| segment.prefetch_entries(bucket));
        for bucket in first..parts.buckets {
            segment.prefetch_entries(bucket + AHEAD);
            // Only the first bucket may begin before `hash`.
            if start + parts.offset(bucket) < hash {
                segment.each_at_home(bucket, |entry| {
                    if H::hash(entry.key()) >= hash {
                        visit(state, entry);
                    }
                });
            } else {
                segment.each_at_home(bucket, |entry| visit(state, entry));
            }
            // Behind the last home there may be buckets without hashes of their own.
            if parts.is_last(bucket) {
                break;
            }
            if !goes_on(state) {
                return (start + parts.offset(bucket + 1)) >> BELOW;
            }
        }
        end_of(hash, segment.depth()).map_or(0, |end| end >> BELOW)
    }

    /// Hands out the entries with an expiry of up to `segments_max` segments from `position` on,
    /// and moves the position behind them; at the end of the table it returns to the start.
    pub fn walk_volatile(
        &self,
        position: &mut u64,
        segments_max: usize,
        mut visit: impl FnMut(EntryRef<'_>),
    ) -> Walked {
        let mut walked = Walked::default();
        while walked.segments < segments_max && !walked.wrapped {
            let hash = *position << BELOW;
            let Some(segment) = self.segment(hash) else {
                *position = 0;
                walked.wrapped = true;
                break;
            };
            walked.segments += 1;
            walked.volatile += segment.volatile();
            if segment.volatile() > 0 {
                segment.each_volatile(&mut visit);
            }
            let end = end_of(hash, segment.depth());
            *position = end.map_or(0, |end| end >> BELOW);
            walked.wrapped = end.is_none();
        }
        walked
    }

    /// Draws an entry; all are equally likely as long as no segment is larger than usual. The same
    /// `seed` draws the same entry from the same table.
    pub fn random(&self, seed: u64) -> Option<Slot> {
        if self.is_empty() {
            return None;
        }
        let mut draws = Random::new(seed);
        let frame = self.largest_segment();
        for _ in 0..DRAWS_MAX {
            let hash = draws.draw();
            let segment = self.segment(hash).expect("a table that has entries has a directory");
            // A segment takes the more of hash space the less deep it is: it is drawn by its first
            // part alone.
            let part = end_of(start_of(hash, segment.depth()), self.depth().max(segment.depth()));
            if part.is_some_and(|end| hash >= end) {
                continue;
            }
            let index = below(draws.draw(), frame.max(segment.slot_count()));
            if let Some(entry) = segment.entry(index) {
                return Some(Slot::new(H::hash(entry.key()), index));
            }
        }
        self.next_occupied(draws.draw(), draws.draw())
    }

    /// Draws an entry with an expiry: one of the first segment from a random position on that has any. The same
    /// `seed` draws the same entry from the same table.
    pub fn random_volatile(&self, seed: u64) -> Option<Slot> {
        if self.volatile_len() == 0 {
            return None;
        }
        let mut draws = Random::new(seed);
        let mut hash = draws.draw();
        loop {
            let segment = self.segment(hash)?;
            if segment.volatile() > 0 {
                let mut left = below(draws.draw(), segment.volatile());
                let mut found = None;
                segment.each_volatile(&mut |entry: EntryRef<'_>| {
                    if left == 0 && found.is_none() {
                        found = self.find(H::hash(entry.key()), entry.key());
                    }
                    left = left.saturating_sub(1);
                });
                return found;
            }
            hash = end_of(hash, segment.depth()).unwrap_or(0);
        }
    }

    /// The number of slots among which a slot is drawn, if the segment has as many.
    fn largest_segment(&self) -> usize {
        if self.depth() > MEASURED_DEPTH_MAX {
            return CLASS_SPLIT_SLOTS;
        }
        let (mut largest, mut hash) = (0, Some(0));
        while let Some(segment) = hash.and_then(|hash| self.segment(hash)) {
            largest = segment.slot_count().max(largest);
            hash = hash.and_then(|hash| end_of(hash, segment.depth()));
        }
        largest
    }

    /// How many segments there are, and slots in them.
    pub fn shape(&self) -> Shape {
        let (mut shape, mut hash) = (Shape::default(), Some(0));
        while let Some(segment) = hash.and_then(|hash| self.segment(hash)) {
            shape.segments += 1;
            shape.slots += segment.slot_count();
            hash = hash.and_then(|hash| end_of(hash, segment.depth()));
        }
        shape
    }

    /// The first entry in memory order from a random place on.
    fn next_occupied(&self, hash: u64, slot: u64) -> Option<Slot> {
        let first = self.segment(hash)?;
        let mut slots = below(slot, first.slot_count())..first.slot_count();
        let (mut hash, mut is_wrapped) = (hash, false);
        loop {
            let segment = self.segment(hash)?;
            if let Some((index, entry)) =
                slots.find_map(|index| Some((index, segment.entry(index)?)))
            {
                return Some(Slot::new(H::hash(entry.key()), index));
            }
            hash = match end_of(hash, segment.depth()) {
                Some(end) => end,
                None if is_wrapped => return None,
                None => {
                    is_wrapped = true;
                    0
                }
            };
            slots = 0..self.segment(hash)?.slot_count();
        }
    }
}

/// How the range of a segment divides into home buckets, in 16-bit fractions of the segment.
pub(super) struct Parts {
    depth: u32,
    pub(super) buckets: usize,
    /// Fractions are multiples of this: the window has no bits below.
    grain: usize,
}

impl Parts {
    pub(super) fn of(segment: Segment<'_>) -> Self {
        Self {
            depth: segment.depth(),
            buckets: segment.bucket_count(),
            grain: 1 << (segment.depth() & 3),
        }
    }

    pub(super) fn home(&self, hash: u64) -> usize {
        let fraction = ((hash << self.depth) >> 48) as usize;
        ((fraction & !(self.grain - 1)) * self.buckets) >> 16
    }

    /// The first fraction at home in `bucket` or behind it; 2^16 or more behind the last.
    fn begin(&self, bucket: usize) -> usize {
        (bucket << 16).div_ceil(self.buckets).next_multiple_of(self.grain)
    }

    /// The first hash behind those at home in `bucket` of the segment that holds `hash`; none behind the last.
    pub(super) fn behind(&self, hash: u64, bucket: usize) -> Option<u64> {
        match self.begin(bucket + 1) {
            1..=0xffff => Some(start_of(hash, self.depth) + self.offset(bucket + 1)),
            _ => end_of(hash, self.depth),
        }
    }

    /// Whether no hash is at home behind `bucket`.
    pub(super) fn is_last(&self, bucket: usize) -> bool {
        self.begin(bucket + 1) > 0xffff
    }

    /// The same as distance from the segment's first hash.
    fn offset(&self, bucket: usize) -> u64 {
        (self.begin(bucket) as u64) << (48 - self.depth)
    }
}

/// The first hash of the segment of `depth` that holds `hash`.
fn start_of(hash: u64, depth: u32) -> u64 {
    if depth == 0 { 0 } else { hash >> (u64::BITS - depth) << (u64::BITS - depth) }
}

/// The first hash behind the segment of `depth` that holds `hash`; none behind the last.
fn end_of(hash: u64, depth: u32) -> Option<u64> {
    if depth == 0 { None } else { start_of(hash, depth).checked_add(1 << (u64::BITS - depth)) }
}

/// A number below `limit`, each as likely as `random` is.
fn below(random: u64, limit: usize) -> usize {
    ((u128::from(random) * limit as u128) >> 64) as usize
}
