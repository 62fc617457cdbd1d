//! How do some hundred members with their scores lie in memory? As a sorted row of scores, and the
//! members' bytes in one buffer.
//!
//! ```text
//! slots: | score: f64, offset: u16 | ... sorted by (score, member)
//! tags:  | u8 | ... in the same order
//! data:  at each offset  | length: u8 | member |
//!        or, of a member longer than INLINE_MAX,  | 255 | number in `large`: u16 LE |
//! ```
//!
//! A tag is the last byte of the member's hash: who knows the member and not its score finds it by
//! going over the tags, which fill two cache lines. Long members lie outside, reference-counted, with their hash: so a leaf
//! stays a few KiB, and copying, splitting or merging it touches no long text.
//!
//! Removed bytes are dead until a quarter of the buffer is, then everything is packed anew. Both
//! buffers grow in the steps of the allocator's size classes, so little of them is unused.
//!
//! Invariants: slots are sorted, each has its tag, no member is there twice, no score is nan; `dead` counts the bytes
//! that no slot reaches; offsets fit 16 bits, since a leaf that is full is split before the next
//! insertion.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::Edge;
use crate::base::hasher::position;
use crate::base::moving::Mover;

/// Members longer than this lie outside the buffer.
pub const INLINE_MAX: usize = 192;
/// A leaf with more members than this is split.
pub const MEMBERS_MAX: usize = 128;
/// A leaf with fewer members looks for a neighbour to merge with.
const MEMBERS_MIN: usize = MEMBERS_MAX / 4;
/// A leaf with more data than this is split, unless its members are few.
const DATA_MAX: usize = 8 * 1024;
/// "Few" in the line above.
const MEMBERS_FEW: usize = 16;
/// The length that stands for "outside".
const OUTSIDE: u8 = u8::MAX;
const _: () = assert!(INLINE_MAX < OUTSIDE as usize);

/// Ten bytes: a row of them is a good part of what a sorted set takes.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(2))]
struct Slot {
    score: f64,
    offset: u16,
}

/// A long member.
#[derive(Clone, Debug)]
struct Outside {
    hash: u32,
    text: Arc<[u8]>,
}

/// See the top of this file.
#[derive(Clone, Debug, Default)]
pub struct Leaf {
    slots: Vec<Slot>,
    tags: Vec<u8>,
    data: Vec<u8>,
    /// Members that lie outside; `None` where one was given up.
    large: Vec<Option<Outside>>,
    dead: usize,
}

impl Leaf {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Allocated bytes, the members outside included.
    #[inline]
    pub fn memory_bytes(&self) -> usize {
        let outside: usize = self.large.iter().flatten().map(|one| one.text.len() + 16).sum();
        size_of::<Self>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.tags.capacity()
            + self.data.capacity()
            + self.large.capacity() * size_of::<Option<Outside>>()
            + outside
    }

    /// Moves what it owns.
    pub fn move_blocks(&mut self, mover: &mut Mover<'_>) {
        mover.vec(&mut self.slots);
        mover.vec(&mut self.tags);
        mover.vec(&mut self.data);
        mover.vec(&mut self.large);
        self.large.iter_mut().flatten().for_each(|one| mover.text(&mut one.text));
    }

    /// Whether the leaf is to be split.
    pub fn is_full(&self) -> bool {
        self.slots.len() > MEMBERS_MAX
            || self.live_bytes() > DATA_MAX && self.slots.len() > MEMBERS_FEW
    }

    /// Where to split a full leaf: somewhere in the middle fourth, as the hash of a member has it.
    ///
    /// Halves would be as full as each other, and so would be all leaves of a set whose scores come in no
    /// order: their buffers would pass through the same sizes at the same time, and leave pages behind that
    /// the last of them keep from being freed. Of leaves of every size one takes what another gives up.
    pub fn uneven_cut(&self) -> usize {
        let len = self.len();
        let draw = self.hash(len / 2) as usize % (len / 4 + 1);
        (len * 3 / 8 + draw).clamp(1, len - 1)
    }

    /// Whether the leaf should merge with a neighbour.
    pub fn is_sparse(&self) -> bool {
        self.slots.len() < MEMBERS_MIN && self.live_bytes() < DATA_MAX / 4
    }

    /// Whether this leaf and another would make one that is half full at most.
    pub fn fits_with(&self, other: &Self) -> bool {
        self.len() + other.len() <= MEMBERS_MAX / 2
            && self.live_bytes() + other.live_bytes() <= DATA_MAX / 2
    }

    fn live_bytes(&self) -> usize {
        self.data.len() - self.dead
    }

    #[inline]
    pub fn score(&self, at: usize) -> f64 {
        self.slots[at].score
    }

    #[inline]
    pub fn member(&self, at: usize) -> &[u8] {
        self.member_of(self.slots[at])
    }

    #[inline]
    fn member_of(&self, slot: Slot) -> &[u8] {
        let offset = usize::from(slot.offset);
        match self.data[offset] {
            OUTSIDE => &self.outside(offset).text,
            len => &self.data[offset + 1..offset + 1 + usize::from(len)],
        }
    }

    fn outside(&self, offset: usize) -> &Outside {
        let number = u16::from_le_bytes([self.data[offset + 1], self.data[offset + 2]]);
        self.large[usize::from(number)].as_ref().expect("a live slot keeps its member")
    }

    /// The hash of the member at `at`.
    #[inline]
    pub fn hash(&self, at: usize) -> u32 {
        let offset = usize::from(self.slots[at].offset);
        match self.data[offset] {
            OUTSIDE => self.outside(offset).hash,
            _ => position(self.member(at)),
        }
    }

    /// Where `member` is, whatever its score.
    #[inline]
    pub fn find(&self, hash: u32, member: &[u8]) -> Option<usize> {
        self.tagged(hash).find(|at| self.member(*at) == member)
    }

    /// Reads what [`Leaf::find`] begins with; the result means nothing.
    #[inline]
    pub fn touch(&self) -> u32 {
        self.tags.iter().step_by(64).fold(0, |sum, tag| sum ^ u32::from(*tag))
    }

    /// Where members are that may have this hash.
    #[inline]
    pub fn tagged(&self, hash: u32) -> impl Iterator<Item = usize> + '_ {
        memchr::memchr_iter(hash as u8, &self.tags)
    }

    /// How many members lie before an edge.
    #[inline]
    pub fn count_before(&self, edge: Edge<'_>) -> usize {
        self.slots.partition_point(|slot| edge.is_behind(slot.score, || self.member_of(*slot)))
    }

    /// Puts a member in front of slot `at`, where it belongs.
    pub fn insert(&mut self, at: usize, score: f64, member: &[u8], hash: u32) {
        let offset = self.append(member, hash);
        reserve(&mut self.slots, 1);
        self.slots.insert(at, Slot { score, offset });
        reserve(&mut self.tags, 1);
        self.tags.insert(at, hash as u8);
        debug_assert!(self.is_sorted_around(at), "a member is put where it belongs");
    }

    /// Gives the member at `at` another score, if it stays between its neighbours here; a member at
    /// an end does not, since what is beyond is not known.
    pub fn rescore(&mut self, at: usize, score: f64) -> bool {
        if !self.can_rescore(at, score) {
            return false;
        }
        self.slots[at].score = score;
        true
    }

    /// Whether [`Leaf::rescore`] would do it.
    pub fn can_rescore(&self, at: usize, score: f64) -> bool {
        let order =
            |left: (f64, &[u8]), right: (f64, &[u8])| compare(left, right) == Ordering::Less;
        let own = (score, self.member(at));
        at > 0
            && at + 1 < self.len()
            && order((self.score(at - 1), self.member(at - 1)), own)
            && order(own, (self.score(at + 1), self.member(at + 1)))
    }

    fn is_sorted_around(&self, at: usize) -> bool {
        let entry = |at: usize| (self.score(at), self.member(at));
        let after = at == 0 || compare(entry(at - 1), entry(at)) == Ordering::Less;
        after && (at + 1 == self.len() || compare(entry(at), entry(at + 1)) == Ordering::Less)
    }

    /// Removes the members of some slots.
    pub fn remove(&mut self, range: Range<usize>) {
        for at in range.clone() {
            let offset = usize::from(self.slots[at].offset);
            self.dead += span(self.data[offset]);
            if self.data[offset] == OUTSIDE {
                let number = u16::from_le_bytes([self.data[offset + 1], self.data[offset + 2]]);
                self.large[usize::from(number)] = None;
            }
        }
        self.slots.drain(range.clone());
        self.tags.drain(range);
        if self.dead > 128 && self.dead * 4 > self.data.len() {
            *self = self.packed(0..self.len());
        }
    }

    /// Takes the slots from `at` on into a leaf of their own.
    pub fn split_off(&mut self, at: usize) -> Self {
        let right = self.packed(at..self.len());
        *self = self.packed(0..at);
        right
    }

    /// Appends the members of a leaf that all lie behind this one's.
    pub fn absorb(&mut self, right: &Self) {
        reserve(&mut self.slots, right.len());
        reserve(&mut self.tags, right.len());
        self.tags.extend_from_slice(&right.tags);
        for slot in &right.slots {
            let offset = self.copy_member(right, usize::from(slot.offset));
            self.slots.push(Slot { offset, ..*slot });
        }
    }

    fn packed(&self, range: Range<usize>) -> Self {
        let slots = &self.slots[range.clone()];
        let bytes = slots.iter().map(|slot| span(self.data[usize::from(slot.offset)])).sum();
        let mut packed = Self::default();
        reserve(&mut packed.slots, slots.len());
        reserve(&mut packed.tags, slots.len());
        packed.tags.extend_from_slice(&self.tags[range]);
        reserve(&mut packed.data, bytes);
        for slot in slots {
            let offset = packed.copy_member(self, usize::from(slot.offset));
            packed.slots.push(Slot { offset, ..*slot });
        }
        packed
    }

    /// Appends a member of another leaf; a text outside is shared, not copied.
    fn copy_member(&mut self, from: &Self, offset: usize) -> u16 {
        match from.data[offset] {
            OUTSIDE => self.append_outside(from.outside(offset).clone()),
            len => self.append_bytes(&from.data[offset..offset + span(len)]),
        }
    }

    fn append(&mut self, member: &[u8], hash: u32) -> u16 {
        if member.len() > INLINE_MAX {
            return self.append_outside(Outside { hash, text: Arc::from(member) });
        }
        reserve(&mut self.data, member.len() + 1);
        let offset = self.append_bytes(&[member.len() as u8]);
        self.data.extend_from_slice(member);
        offset
    }

    fn append_outside(&mut self, outside: Outside) -> u16 {
        let number = self.large.len() as u16;
        self.large.push(Some(outside));
        let [low, high] = number.to_le_bytes();
        self.append_bytes(&[OUTSIDE, low, high])
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> u16 {
        let offset = u16::try_from(self.data.len()).expect("a leaf is split long before");
        reserve(&mut self.data, bytes.len());
        self.data.extend_from_slice(bytes);
        offset
    }
}

/// The order of sorted sets: by score, then by bytes. No score is nan.
#[inline]
pub fn compare(left: (f64, &[u8]), right: (f64, &[u8])) -> Ordering {
    match left.0.partial_cmp(&right.0) {
        Some(Ordering::Equal) | None => left.1.cmp(right.1),
        Some(order) => order,
    }
}

/// Bytes that a member takes in the buffer, by its first byte.
#[inline]
fn span(first: u8) -> usize {
    if first == OUTSIDE { 3 } else { usize::from(first) + 1 }
}

/// Makes room for `more` elements, up to the end of an allocator's size class: four of them lie
/// between a power of two and the next.
#[inline]
pub fn reserve<T>(row: &mut Vec<T>, more: usize) {
    let needed = row.len() + more;
    if needed > row.capacity() {
        let bytes = needed * size_of::<T>();
        let step = (bytes.next_power_of_two() / 8).max(8);
        let capacity = bytes.next_multiple_of(step) / size_of::<T>();
        row.reserve_exact(capacity - row.len());
    }
}
