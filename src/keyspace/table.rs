//! Where is the entry of a key? A directory of small segments, all in hash order.
//!
//! # What it promises
//! An insert moves the pointers of one segment at most (some hundred), so growth never pauses the
//! server. A lookup costs three cache lines: directory word, bucket, entry. Whoever walks the table
//! holds a position in hash space, which stays valid whatever is resized meanwhile.
//!
//! # How it works
//! The leading bits of a hash index the directory (extendible hashing, Fagin and others, 1979). A
//! segment of depth `d` holds all keys that share `d` leading bits, and all directory words with
//! that prefix point to it. It grows in steps of 14-25% up to 64 cache lines, then splits;
//! [`segment`] tells what it looks like.
//!
//! # When hashes are not even
//! A directory is at most two bits deeper than the mean, so that a few keys with long common
//! prefixes cannot blow it up. Where it would have to be deeper a nested directory takes its place,
//! with its own mean: a word then points to a `Node` instead of a segment. Directories so hold at
//! most a few words per hundred keys on each level, and levels end at `DEPTH_MAX` bits. Beyond
//! them a segment grows as large as it must, and lookups in it get slow; without knowing the seed
//! nobody can choose such keys.
//!
//! After deletions segments shrink, merge with their neighbours, directories halve, and a nested
//! directory of one word gives way to what it points to.
//!
//! # Invariants
//! 1. Every directory word points to a live segment or node that this directory owns; a child of
//!    depth `d` is pointed to by exactly the 2^(base + depth - d) words that share its prefix.
//! 2. `len` of a node is the number of entries in all its segments; `deepest` the number of its
//!    children that one word alone points to.
#![expect(unsafe_code, reason = "tagged pointers to entries and segments have no safe form")]

pub mod segment;

mod moving;
mod presize;

use std::marker::PhantomData;

use super::entry::Entry;
use super::entry::view::{EntryMut, EntryRef};
use super::hash::{KeyHash, SeededHash};
use segment::{CLASS_SPLIT, Segment, SegmentMut, SegmentPtr, Word, class_for, is_equal, window_of};

/// Deepest prefix of a segment. With the 16 bits that choose its home buckets it makes the 48 bits
/// of a position.
const DEPTH_MAX: u32 = 32;
/// Keys per segment for which the mean depth is computed; segments hold about 230 to 460.
const SEGMENT_MEAN: usize = 256;
/// Two neighbours merge when they have at most this many entries: half of what would split them
/// again.
const MERGE_MAX: usize = 230;

const STALE: &str = "a slot is used only until the table changes";

/// Where an entry was found. Valid until the next insert or removal in the same table; used later
/// it names another entry or panics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    hash: u64,
    index: u32,
}

impl Slot {
    /// The slot `index` of the segment of `hash`, which is the hash of the key there.
    pub(super) fn new(hash: u64, index: usize) -> Self {
        Self { hash, index: index as u32 }
    }

    /// The hash of the key.
    #[inline]
    pub fn hash(self) -> u64 {
        self.hash
    }
}

/// The table of one db.
pub struct Table<H: KeyHash = SeededHash> {
    root: Node,
    volatile: usize,
    hasher: PhantomData<fn() -> H>,
}

impl<H: KeyHash> Default for Table<H> {
    fn default() -> Self {
        Self { root: Node::new(0), volatile: 0, hasher: PhantomData }
    }
}

impl<H: KeyHash> Table<H> {
    /// Number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.root.len
    }

    /// Whether there are no entries.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.root.len == 0
    }

    /// Number of entries with an expiry.
    #[inline]
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    /// Number of leading bits that the outermost directory looks at.
    pub fn depth(&self) -> u32 {
        self.root.depth
    }

    /// Words in all directories.
    pub fn directory_len(&self) -> usize {
        self.root.directory_len()
    }

    /// The segment of a hash; none if the table never had an entry.
    #[inline]
    pub fn segment(&self, hash: u64) -> Option<Segment<'_>> {
        match self.root.child(hash)? {
            Child::Segment(segment) => Some(segment),
            Child::Node(nested) => nested.segment(hash),
        }
    }

    fn segment_mut(&mut self, hash: u64) -> Option<SegmentMut<'_>> {
        let mut node = &mut self.root;
        loop {
            match node.child_mut(hash)? {
                ChildMut::Segment(segment) => return Some(segment),
                ChildMut::Node(nested) => node = nested,
            }
        }
    }

    /// Finds the entry of `key`, whose hash is `hash`.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Slot> {
        self.find_entry(hash, key).map(|(slot, _)| slot)
    }

    /// The same with the entry, which saves the way back to it.
    #[inline]
    pub fn find_entry(&self, hash: u64, key: &[u8]) -> Option<(Slot, EntryRef<'_>)> {
        let (index, entry) = self.segment(hash)?.find(hash, key)?;
        Some((Slot::new(hash, index), entry))
    }

    /// Finds the entry of `key` again, whatever has changed since it was seen; it is most likely where it was.
    #[inline]
    pub fn find_again(&self, seen: Slot, key: &[u8]) -> Option<Slot> {
        match self.entry_of(seen, key) {
            Some(_) => Some(seen),
            None => self.find(seen.hash, key),
        }
    }

    /// The entry of `key`, if it is in this slot, whatever has changed since the slot was found.
    #[inline]
    pub fn entry_of(&self, seen: Slot, key: &[u8]) -> Option<EntryRef<'_>> {
        let entry = self.segment(seen.hash)?.entry(seen.index as usize)?;
        is_equal(entry.key(), key).then_some(entry)
    }

    /// Asks for the cache line that [`Table::find`] will read first.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch_bucket(hash);
        }
    }

    /// Asks for the entry, if its home bucket has it.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch_entry(hash);
        }
    }

    /// The entry in a slot.
    #[inline]
    pub fn entry(&self, slot: Slot) -> EntryRef<'_> {
        self.segment(slot.hash).and_then(|segment| segment.entry(slot.index as usize)).expect(STALE)
    }

    /// The entry in a slot, to be changed in place.
    #[inline]
    pub fn entry_mut(&mut self, slot: Slot) -> EntryMut<'_> {
        self.segment_mut(slot.hash)
            .and_then(|segment| segment.into_entry(slot.index as usize))
            .expect(STALE)
    }

    /// Adds an entry whose key is not in the table.
    pub fn insert_new(&mut self, hash: u64, entry: Entry) -> Slot {
        self.root.make_room::<H>(hash);
        self.volatile += usize::from(entry.as_ref().has_expiry());
        let depth = self.segment(hash).expect("room was made").depth();
        let word = Word::new(entry, window_of(hash, depth));
        Slot::new(hash, self.segment_mut(hash).expect("room was made").place(word))
    }

    /// Puts another entry of the same key into a slot and hands out the old one.
    pub fn replace(&mut self, slot: Slot, entry: Entry) -> Entry {
        let mut old = None;
        self.update(slot, |entry_before| {
            old = Some(entry_before);
            entry
        });
        old.expect("update always calls its function")
    }

    /// Makes another entry, of the same key, out of the one in a slot.
    ///
    /// If `change` panics the entry is gone and the counts are off: no memory is misused, but the
    /// process should end, as it does.
    #[inline]
    pub fn update(&mut self, slot: Slot, change: impl FnOnce(Entry) -> Entry) {
        let mut segment = self.segment_mut(slot.hash).expect(STALE);
        let (was_volatile, is_volatile) = segment.update(slot.index as usize, change).expect(STALE);
        self.volatile = self.volatile + usize::from(is_volatile) - usize::from(was_volatile);
    }

    /// Takes an entry out.
    pub fn remove(&mut self, slot: Slot) -> Entry {
        let _ = self.entry(slot);
        let word = self.root.remove::<H>(slot);
        self.volatile -= usize::from(word.is_volatile());
        // SAFETY: the slot was occupied, as the first line made sure, and is vacant now.
        unsafe { word.into_entry() }
    }
}

/// A directory and what it points to.
#[repr(align(64))]
struct Node {
    /// Leading bits that all its entries share.
    base: u32,
    /// The bits behind them that index the directory.
    depth: u32,
    len: usize,
    deepest: usize,
    /// Empty, as only the outermost one ever is, or 2^depth words.
    directory: Vec<ChildPtr>,
}

/// A directory word: a [`SegmentPtr`], or the address of a boxed node tagged in the same way with
/// its depth and [`ChildPtr::NODE`] as class.
#[derive(Clone, Copy, PartialEq)]
struct ChildPtr(SegmentPtr);

// SAFETY: a node owns its children alone (invariant 1), and these own entries, which are Send.
unsafe impl Send for ChildPtr {}
// SAFETY: under a shared reference children are only read, and entries are Sync.
unsafe impl Sync for ChildPtr {}

impl ChildPtr {
    const NODE: u32 = u16::MAX as u32;

    fn of_node(node: Box<Node>) -> Self {
        let depth = node.base as usize;
        let address = Box::into_raw(node).cast::<u8>();
        assert!(address.addr() & !SegmentPtr::ADDRESS == 0, "user space addresses have 48 bits");
        Self(SegmentPtr(address.map_addr(|bits| bits | depth | (Self::NODE as usize) << 48)))
    }

    #[inline]
    fn is_node(self) -> bool {
        self.0.class() == Self::NODE
    }

    fn depth(self) -> u32 {
        self.0.depth()
    }

    #[inline]
    fn node(self) -> *mut Node {
        self.0.0.map_addr(|bits| bits & SegmentPtr::ADDRESS).cast()
    }
}

enum Child<'a> {
    Segment(Segment<'a>),
    Node(&'a Node),
}

enum ChildMut<'a> {
    Segment(SegmentMut<'a>),
    Node(&'a mut Node),
}

impl Node {
    fn new(base: u32) -> Self {
        Self { base, depth: 0, len: 0, deepest: 0, directory: Vec::new() }
    }

    #[inline]
    fn index(&self, hash: u64) -> usize {
        // A shift by 64 would be one too far when the depth is zero.
        (((hash << self.base) >> 1) >> (63 - self.depth)) as usize
    }

    #[inline]
    fn child(&self, hash: u64) -> Option<Child<'_>> {
        let child = *self.directory.get(self.index(hash))?;
        Some(if child.is_node() {
            // SAFETY: a live node (invariant 1), which changes only under `&mut self`.
            Child::Node(unsafe { &*child.node() })
        } else {
            // SAFETY: a live segment (invariant 1), which changes only under `&mut self`.
            Child::Segment(unsafe { child.0.get() })
        })
    }

    #[inline]
    fn child_mut(&mut self, hash: u64) -> Option<ChildMut<'_>> {
        let child = *self.directory.get(self.index(hash))?;
        Some(if child.is_node() {
            // SAFETY: a live node (invariant 1), and we borrow all of them.
            ChildMut::Node(unsafe { &mut *child.node() })
        } else {
            // SAFETY: a live segment (invariant 1), and we borrow all of them.
            ChildMut::Segment(unsafe { child.0.get_mut() })
        })
    }

    /// The segment of a hash in a nested directory.
    #[cold]
    fn segment(&self, hash: u64) -> Option<Segment<'_>> {
        let mut node = self;
        loop {
            match node.child(hash)? {
                Child::Segment(segment) => return Some(segment),
                Child::Node(nested) => node = nested,
            }
        }
    }

    /// The segment behind a directory word, which must not be a node.
    fn segment_at(&self, at: usize) -> Segment<'_> {
        assert!(!self.directory[at].is_node(), "callers have looked");
        // SAFETY: a live segment (invariant 1), which changes only under `&mut self`.
        unsafe { self.directory[at].0.get() }
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        let mut before = None;
        self.directory.iter().filter_map(move |child| {
            let is_new = child.is_node() && before != Some(*child);
            before = Some(*child);
            // SAFETY: a live node (invariant 1), which changes only under `&mut self`.
            is_new.then(|| unsafe { &*child.node() })
        })
    }

    fn directory_len(&self) -> usize {
        self.directory.len() + self.nodes().map(Node::directory_len).sum::<usize>()
    }

    /// How many leading bits its children may share.
    fn depth_allowed(&self) -> u32 {
        (self.base + (self.len / SEGMENT_MEAN).max(1).ilog2() + 2).min(DEPTH_MAX)
    }

    /// Makes sure that the segment of `hash` takes one more entry, and counts it.
    fn make_room<H: KeyHash>(&mut self, hash: u64) {
        self.len += 1;
        if self.directory.is_empty() {
            self.directory.push(ChildPtr(SegmentPtr::allocate(0, self.base)));
            self.deepest = 1;
        }
        // Ends: each round makes the segment larger or deeper, and the depth has an end.
        loop {
            let at = self.index(hash);
            match self.child_mut(hash).expect("the index has as many bits as the directory") {
                ChildMut::Node(nested) => return nested.make_room::<H>(hash),
                ChildMut::Segment(_) => {}
            }
            let child = self.directory[at];
            if !self.segment_at(at).is_full() {
                return;
            }
            if child.0.class() < CLASS_SPLIT || child.depth() == DEPTH_MAX {
                self.rebuild(at, child.0.class() + 1);
            } else if child.depth() < self.depth_allowed() {
                self.split::<H>(at);
            } else {
                self.nest(at);
            }
        }
    }

    /// How many directory words point to a child of `depth`.
    fn span(&self, depth: u32) -> usize {
        1 << (self.base + self.depth - depth)
    }

    /// Points all words with the prefix of the child behind `at`, or of its parent, to `child`.
    fn link(&mut self, at: usize, child: ChildPtr) {
        let span = self.span(child.depth());
        let first = at & !(span - 1);
        self.directory[first..first + span].fill(child);
    }

    /// Moves a segment's words to one of another class. No entry is touched.
    fn rebuild(&mut self, at: usize, class: u32) {
        let old = self.directory[at];
        let new = SegmentPtr::allocate(class, old.depth());
        // SAFETY: the new segment is known to us alone.
        let mut target = unsafe { new.get_mut() };
        self.segment_at(at).each_word(false, |word| {
            target.place(word);
        });
        self.link(at, ChildPtr(new));
        // SAFETY: all words that pointed to it point to the new one, where its entries are.
        unsafe { old.0.free() };
    }

    /// Divides a segment by the first bit behind its prefix.
    fn split<H: KeyHash>(&mut self, at: usize) {
        let old = self.directory[at];
        let depth = old.depth();
        let at = if depth == self.base + self.depth { self.double(at) } else { at };
        let segment = self.segment_at(at);
        let high_count = segment.count_high();
        let low = SegmentPtr::allocate(class_for(segment.count() - high_count), depth + 1);
        let high = SegmentPtr::allocate(class_for(high_count), depth + 1);
        // SAFETY: the new segment is known to us alone.
        let mut low_target = unsafe { low.get_mut() };
        // SAFETY: as above.
        let mut high_target = unsafe { high.get_mut() };
        segment.each_word_at::<H>(depth + 1, |word, before| {
            let target = if segment.is_high(before) { &mut high_target } else { &mut low_target };
            target.place(word);
        });
        let span = self.span(depth);
        let first = at & !(span - 1);
        self.link(first, ChildPtr(low));
        self.link(first + span / 2, ChildPtr(high));
        if span == 2 {
            self.deepest += 2;
        }
        // SAFETY: all words that pointed to it point to the new ones, where its entries are.
        unsafe { old.0.free() };
    }

    /// Doubles the directory; says where the index is now.
    fn double(&mut self, at: usize) -> usize {
        let mut directory = Vec::with_capacity(self.directory.len() * 2);
        directory.extend(self.directory.iter().flat_map(|child| [*child, *child]));
        self.directory = directory;
        self.depth += 1;
        self.deepest = 0;
        at * 2
    }

    /// Puts a nested directory between this one and a segment.
    fn nest(&mut self, at: usize) {
        let child = self.directory[at];
        let mut nested = Box::new(Node::new(child.depth()));
        nested.len = self.segment_at(at).count();
        nested.deepest = 1;
        nested.directory.push(child);
        self.link(at, ChildPtr::of_node(nested));
    }

    /// Vacates a slot, which must be occupied.
    fn remove<H: KeyHash>(&mut self, slot: Slot) -> Word {
        self.len -= 1;
        let at = self.index(slot.hash);
        match self.child_mut(slot.hash).expect(STALE) {
            ChildMut::Segment(mut segment) => {
                let word = segment.vacate(slot.index as usize);
                if segment.is_sparse() {
                    self.shrink::<H>(at);
                }
                word
            }
            ChildMut::Node(nested) => {
                let word = nested.remove::<H>(slot);
                if nested.depth == 0 {
                    self.unnest(at);
                }
                word
            }
        }
    }

    /// Lets what a nested directory of one word points to take its place.
    fn unnest(&mut self, at: usize) {
        let node = self.directory[at].node();
        // SAFETY: boxed by `of_node`, and owned by this directory until `link` overwrites its
        // words.
        let mut nested = unsafe { Box::from_raw(node) };
        let child = nested.directory.pop().expect("a nested directory is never empty");
        self.link(at, child);
    }

    /// Gives memory back after a removal that left the segment behind `at` sparse.
    fn shrink<H: KeyHash>(&mut self, at: usize) {
        let depth = self.directory[at].depth();
        let count = self.segment_at(at).count();
        if depth > self.base && self.merged_count(at).is_some_and(|count| count <= MERGE_MAX) {
            self.merge::<H>(at);
        } else {
            let class = class_for(count);
            if class < self.directory[at].0.class() {
                self.rebuild(at, class);
            }
        }
        if self.base + self.depth > self.depth_allowed() + 1 {
            self.flatten::<H>();
        }
        self.halve();
    }

    /// The other half of what the child behind `at` was split from, if it was not split further.
    fn buddy(&self, at: usize) -> Option<usize> {
        let depth = self.directory[at].depth();
        let buddy = at ^ self.span(depth);
        (self.directory[buddy].depth() == depth).then_some(buddy)
    }

    /// The entries of two buddies that are segments.
    fn merged_count(&self, at: usize) -> Option<usize> {
        let buddy = self.buddy(at)?;
        let is_segments = !self.directory[at].is_node() && !self.directory[buddy].is_node();
        is_segments.then(|| self.segment_at(at).count() + self.segment_at(buddy).count())
    }

    /// Unites two buddies that are segments.
    fn merge<H: KeyHash>(&mut self, at: usize) {
        let buddy = self.buddy(at).expect("callers have looked");
        let depth = self.directory[at].depth() - 1;
        let old = [self.directory[at], self.directory[buddy]];
        let count = self.segment_at(at).count() + self.segment_at(buddy).count();
        let new = SegmentPtr::allocate(class_for(count), depth);
        // SAFETY: the new segment is known to us alone.
        let mut target = unsafe { new.get_mut() };
        for at in [at, buddy] {
            self.segment_at(at).each_word_at::<H>(depth, |word, _| {
                target.place(word);
            });
        }
        if self.span(depth) == 2 {
            self.deepest -= 2;
        }
        self.link(at, ChildPtr(new));
        for child in old {
            // SAFETY: all words that pointed to it point to the new one, where its entries are.
            unsafe { child.0.free() };
        }
    }

    /// Makes the directory one bit less deep than its deepest children: small ones merge, others
    /// get a nested directory. For when deletions left a few keys that share a long prefix.
    fn flatten<H: KeyHash>(&mut self) {
        for at in (0..self.directory.len()).step_by(2) {
            let (low, high) = (self.directory[at], self.directory[at + 1]);
            if low == high {
                continue;
            }
            if self.merged_count(at).is_some_and(|count| count <= MERGE_MAX) {
                self.merge::<H>(at);
                continue;
            }
            let mut nested = Box::new(Node::new(low.depth() - 1));
            nested.depth = 1;
            nested.deepest = 2;
            nested.directory = vec![low, high];
            nested.len = nested.count();
            self.deepest -= 2;
            self.link(at, ChildPtr::of_node(nested));
        }
    }

    /// Counts the entries of its children.
    fn count(&self) -> usize {
        let nested: usize = self.nodes().map(|node| node.len).sum();
        let segments = (0..self.directory.len()).filter(|at| {
            !self.directory[*at].is_node()
                && at.is_multiple_of(self.span(self.directory[*at].depth()))
        });
        nested + segments.map(|at| self.segment_at(at).count()).sum::<usize>()
    }

    /// Halves the directory while no child needs all of its bits.
    fn halve(&mut self) {
        while self.depth > 0 && self.deepest == 0 {
            let mut is_even = false;
            self.directory.retain(|_| {
                is_even = !is_even;
                is_even
            });
            self.depth -= 1;
            let deepest = self.base + self.depth;
            self.deepest = self.directory.iter().filter(|child| child.depth() == deepest).count();
            self.directory.shrink_to_fit();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut before = None;
        for child in std::mem::take(&mut self.directory) {
            if before.replace(child) == Some(child) {
                continue;
            }
            if child.is_node() {
                // SAFETY: boxed by `of_node` and owned by this directory, which is gone.
                drop(unsafe { Box::from_raw(child.node()) });
                continue;
            }
            // SAFETY: a live segment (invariant 1) that nobody else knows any more.
            unsafe { child.0.get() }.each_word(true, |word| {
                // SAFETY: occupied, and not looked at again.
                drop(unsafe { word.into_entry() });
            });
            // SAFETY: owned by this directory, which is gone; its entries were dropped just now.
            unsafe { child.0.free() };
        }
    }
}

#[cfg(test)]
impl<H: KeyHash> Table<H> {
    /// Asserts all invariants of the table.
    pub(super) fn check(&self) {
        let (len, volatile) = self.root.check::<H>(0);
        assert_eq!((len, volatile), (self.len(), self.volatile));
    }
}

#[cfg(test)]
impl Node {
    fn check<H: KeyHash>(&self, prefix: u64) -> (usize, usize) {
        let (mut len, mut volatile, mut deepest, mut at) = (0, 0, 0, 0);
        assert!(self.directory.is_empty() || self.directory.len() == 1 << self.depth);
        while at < self.directory.len() {
            let child = self.directory[at];
            let span = self.span(child.depth());
            assert!(at.is_multiple_of(span), "a child starts where its prefix does");
            assert!(self.directory[at..at + span].iter().all(|other| *other == child));
            let child_prefix = prefix << (child.depth() - self.base) | (at / span) as u64;
            deepest += usize::from(span == 1);
            let (more, more_volatile) = if child.is_node() {
                let node = self
                    .nodes()
                    .find(|node| std::ptr::eq(*node, child.node()))
                    .expect("one of them");
                assert!(node.base == child.depth() && node.depth > 0);
                node.check::<H>(child_prefix)
            } else {
                let segment = self.segment_at(at);
                segment.check::<H>(child_prefix);
                (segment.count(), segment.volatile())
            };
            len += more;
            volatile += more_volatile;
            at += span;
        }
        assert_eq!((len, deepest), (self.len, self.deepest));
        (len, volatile)
    }
}
