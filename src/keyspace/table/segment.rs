//! What is one segment made of? A header line and buckets of one cache line each, in hash order.
//!
//! A bucket is eight words: the addresses of entries, with more in their unused bits (`Word`).
//! The upper 16 are the window, 16 bits of the hash from the segment's depth, rounded down to a
//! multiple of four, on. By the window a lookup hardly ever touches a wrong entry, and moving
//! entries within a segment touches none; because of the rounding only every fourth split has to
//! hash keys again.
//!
//! What the window says behind the segment's prefix, as a fraction of 1, chooses the home bucket.
//! So any number of buckets will do, and homes are in hash order. A full bucket overflows into the
//! next ones, around the end of the segment. Each bucket counts the entries that passed it by;
//! where that is zero a search ends.
//!
//! Invariants:
//! 1. A `SegmentPtr` is made by `allocate` alone and carries the class and depth that it was made
//!    with.
//! 2. Every occupied word holds an address from `Entry::into_raw` that the table owns.
//! 3. `count` and `volatile` of a header are exact; `count` is below the number of slots, so that a
//!    search for a vacancy ends. An overflow count is exact below its maximum, where it sticks
//!    until the next rebuild.
#![expect(unsafe_code, reason = "tagged pointers in raw cache lines have no safe form")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};
use std::slice;

use crate::keyspace::entry::Entry;
use crate::keyspace::entry::view::{EntryMut, EntryRef};
use crate::keyspace::hash::KeyHash;

/// Words in a bucket.
pub(super) const SLOTS: usize = 8;
/// Bytes of a bucket and of a header.
pub(super) const LINE: usize = 64;
/// A segment of this class has 64 lines, and when it is full it splits if it may.
pub(super) const CLASS_SPLIT: u32 = 16;
/// Slots of a segment of that class.
pub const CLASS_SPLIT_SLOTS: usize = (lines(CLASS_SPLIT) - 1) * SLOTS;
/// Largest segment: its slots and its entries are counted by u32.
const LINES_MAX: usize = 1 << 28;
/// A segment is full when 59/64 of its slots are taken: beyond it overflow chains grow long.
const FULL: usize = 59;
/// A rebuilt segment is at most 52/64 full, so that some inserts fit before the next rebuild.
pub(super) const FIT: usize = 52;
/// A segment is sparse below 22/64: far enough from both that sizes do not swing.
const SPARSE: usize = 22;

/// One slot of a bucket: bits 3-47 the block's address, 48-63 the window of its hash, 0 whether the
/// key expires, 1-2 two bits of the bucket's overflow count (in the first three words), zero where
/// nothing is.
#[derive(Clone, Copy)]
pub(super) struct Word(*mut u8);

impl Word {
    const ADDRESS: usize = 0x0000_ffff_ffff_fff8;
    const VOLATILE: usize = 1;
    const COUNTER_SHIFT: u32 = 1;
    const COUNTER: usize = 3;

    /// The word of an entry, which it owns from here on; its counter bits are zero.
    pub(super) fn new(entry: Entry, window: u16) -> Self {
        let is_volatile = entry.as_ref().has_expiry();
        let block = entry.into_raw().as_ptr();
        assert!(block.addr() & !Self::ADDRESS == 0, "user space addresses have 48 bits");
        let tag = usize::from(window) << 48 | usize::from(is_volatile);
        Self(block.map_addr(|address| address | tag))
    }

    #[inline]
    fn is_vacant(self) -> bool {
        self.0.addr() & Self::ADDRESS == 0
    }

    #[inline]
    fn block(self) -> Option<NonNull<u8>> {
        NonNull::new(self.0.map_addr(|bits| bits & Self::ADDRESS))
    }

    #[inline]
    pub(super) fn window(self) -> u16 {
        (self.0.addr() >> 48) as u16
    }

    #[inline]
    pub(super) fn is_volatile(self) -> bool {
        self.0.addr() & Self::VOLATILE != 0
    }

    /// The same entry with another window.
    pub(super) fn with_window(self, window: u16) -> Self {
        let rest = usize::MAX >> 16;
        Self(self.0.map_addr(|bits| bits & rest | usize::from(window) << 48))
    }

    #[inline]
    fn counter(self) -> usize {
        (self.0.addr() >> Self::COUNTER_SHIFT) & Self::COUNTER
    }

    fn with_counter(self, bits: usize) -> Self {
        let clear = !(Self::COUNTER << Self::COUNTER_SHIFT);
        Self(self.0.map_addr(|word| word & clear | bits << Self::COUNTER_SHIFT))
    }

    fn vacated(self) -> Self {
        Self(ptr::null_mut()).with_counter(self.counter())
    }

    /// Takes the entry back.
    ///
    /// # Safety
    /// The word is not vacant, and neither it nor a copy of it is used for the entry again.
    pub(super) unsafe fn into_entry(self) -> Entry {
        let block = self.block().expect("callers took an occupied word");
        // SAFETY: an occupied word owns its block (invariant 2), and the caller gives the word up.
        unsafe { Entry::from_raw(block) }
    }
}

/// One cache line of words.
#[repr(C, align(64))]
struct Bucket {
    words: [Word; SLOTS],
}

impl Bucket {
    const OVERFLOW_MAX: usize = 63;

    /// Bit `i` is set if word `i` has this window: nearly always the wanted entry, possibly a
    /// vacant word.
    #[inline]
    #[cfg(target_arch = "x86_64")]
    fn candidates(&self, window: u16) -> u32 {
        // SAFETY: every x86-64 has SSE2.
        unsafe { self.candidates_sse2(window) }
    }

    /// Gathers the windows of the eight words in one register, to compare them at once.
    #[inline]
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "sse2")]
    fn candidates_sse2(&self, window: u16) -> u32 {
        use std::arch::x86_64::*;
        let pairs = ptr::from_ref(self).cast::<__m128i>();
        let windows_from = |pair: usize| {
            // SAFETY: callers pass 0 or 2; a bucket is four 16-byte pairs of words, and 64-aligned.
            let low = unsafe { _mm_load_si128(pairs.add(pair)) };
            // SAFETY: as above, one pair further.
            let high = unsafe { _mm_load_si128(pairs.add(pair + 1)) };
            let (low, high) = (_mm_castsi128_ps(low), _mm_castsi128_ps(high));
            _mm_srai_epi32::<16>(_mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(low, high)))
        };
        let windows = _mm_packs_epi32(windows_from(0), windows_from(2));
        let equal = _mm_cmpeq_epi16(windows, _mm_set1_epi16(window.cast_signed()));
        _mm_movemask_epi8(_mm_packs_epi16(equal, equal)) as u32 & 0xff
    }

    #[inline]
    #[cfg(not(target_arch = "x86_64"))]
    fn candidates(&self, window: u16) -> u32 {
        let mut found = 0;
        for (i, word) in self.words.iter().enumerate() {
            found |= u32::from(word.window() == window) << i;
        }
        found
    }

    /// Where `key` is among the words with this window, and its entry.
    #[inline]
    fn find(&self, window: u16, key: &[u8]) -> Option<(usize, EntryRef<'_>)> {
        let mut candidates = self.candidates(window);
        while candidates != 0 {
            let i = candidates.trailing_zeros() as usize % SLOTS;
            // SAFETY: the table owns the block of an occupied word (invariant 2), and is borrowed
            // as we are.
            let entry = self.words[i].block().map(|block| unsafe { EntryRef::from_raw(block) });
            if let Some(entry) = entry.filter(|entry| is_equal(entry.key(), key)) {
                return Some((i, entry));
            }
            candidates &= candidates - 1;
        }
        None
    }

    /// How many entries passed this bucket by, from here or from before.
    #[inline]
    fn overflow(&self) -> usize {
        self.words[0].counter() | self.words[1].counter() << 2 | self.words[2].counter() << 4
    }

    #[inline]
    fn has_overflow(&self) -> bool {
        let bits = self.words[..3].iter().fold(0, |bits, word| bits | word.counter());
        bits != 0
    }

    fn set_overflow(&mut self, count: usize) {
        for (i, word) in self.words[..3].iter_mut().enumerate() {
            *word = word.with_counter((count >> (2 * i)) & Word::COUNTER);
        }
    }

    fn passed_by(&mut self) {
        let count = self.overflow();
        self.set_overflow((count + 1).min(Self::OVERFLOW_MAX));
    }

    fn passed_by_no_more(&mut self) {
        let count = self.overflow();
        if count < Self::OVERFLOW_MAX {
            self.set_overflow(count.checked_sub(1).expect("each entry that passed by was counted"));
        }
    }

    #[inline]
    fn vacancy(&self) -> Option<usize> {
        self.words.iter().position(|word| word.is_vacant())
    }
}

/// First line of a segment.
#[repr(C, align(64))]
struct Header {
    count: u32,
    /// Entries with an expiry.
    volatile: u32,
}

/// The address of a segment: bits 6-47 the address, 0-5 the depth, 48-63 the class, from which its
/// size follows.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct SegmentPtr(pub(super) *mut u8);

impl SegmentPtr {
    pub(super) const ADDRESS: usize = 0x0000_ffff_ffff_ffc0;
    pub(super) const DEPTH: usize = 0x3f;

    /// An empty segment.
    pub(super) fn allocate(class: u32, depth: u32) -> Self {
        let layout = Self::layout(class);
        // SAFETY: no class has zero lines.
        let address = unsafe { alloc_zeroed(layout) };
        if address.is_null() {
            handle_alloc_error(layout);
        }
        assert!(address.addr() & !Self::ADDRESS == 0, "user space addresses have 48 bits");
        Self(address.map_addr(|bits| bits | depth as usize | (class as usize) << 48))
    }

    fn layout(class: u32) -> Layout {
        assert!(lines(class) <= LINES_MAX, "a segment has fewer than 2^32 slots");
        Layout::from_size_align(lines(class) * LINE, LINE).expect("far below the address space")
    }

    #[inline]
    pub(super) fn depth(self) -> u32 {
        (self.0.addr() & Self::DEPTH) as u32
    }

    #[inline]
    pub(super) fn class(self) -> u32 {
        (self.0.addr() >> 48) as u32
    }

    #[inline]
    pub(super) fn address(self) -> *mut u8 {
        self.0.map_addr(|bits| bits & Self::ADDRESS)
    }

    pub(super) fn bytes(self) -> usize {
        lines(self.class()) * LINE
    }

    #[inline]
    fn first_bucket(self) -> *mut Bucket {
        self.address().wrapping_add(LINE).cast()
    }

    /// # Safety
    /// The segment is live and not borrowed for change during `'a`.
    #[inline]
    pub(super) unsafe fn get<'a>(self) -> Segment<'a> {
        Segment {
            // SAFETY: a live segment starts with its header, zeroed or written since.
            header: unsafe { &*self.address().cast::<Header>() },
            // SAFETY: behind the header a segment of this class has that many buckets, zeroed
            // (which is vacant) or written since.
            buckets: unsafe { slice::from_raw_parts(self.first_bucket(), lines(self.class()) - 1) },
            depth: self.depth(),
        }
    }

    /// # Safety
    /// The segment is live and not borrowed otherwise during `'a`.
    #[inline]
    pub(super) unsafe fn get_mut<'a>(self) -> SegmentMut<'a> {
        SegmentMut {
            // SAFETY: as in `get`; header and buckets do not overlap.
            header: unsafe { &mut *self.address().cast::<Header>() },
            // SAFETY: as in `get`.
            buckets: unsafe {
                slice::from_raw_parts_mut(self.first_bucket(), lines(self.class()) - 1)
            },
            depth: self.depth(),
        }
    }

    /// # Safety
    /// The segment is live, not borrowed, and not used again; its entries have gone elsewhere.
    pub(super) unsafe fn free(self) {
        // SAFETY: allocated with the layout of its class, and live until here.
        unsafe { dealloc(self.address(), Self::layout(self.class())) };
    }
}

/// Lines of a segment of `class`: 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... as the allocator's sizes
/// go.
#[inline]
const fn lines(class: u32) -> usize {
    (4 + (class & 3) as usize) << (class >> 2)
}

/// The smallest class in which `count` entries fit with some room.
pub(super) fn class_for(count: usize) -> u32 {
    let fits = |class: &u32| count <= (lines(*class) - 1) * SLOTS * FIT / 64;
    (0..=u32::from(u16::MAX)).find(fits).expect("classes go beyond any memory")
}

/// The 16 bits of `hash` that a word keeps in a segment of `depth`.
#[inline]
pub(super) fn window_of(hash: u64, depth: u32) -> u16 {
    ((hash << (depth & !3)) >> 48) as u16
}

/// What of a window lies behind the prefix of a segment of `depth`, as 16-bit fraction of the
/// segment.
#[inline]
fn fraction(window: u16, depth: u32) -> u16 {
    window << (depth & 3)
}

#[inline]
fn home(window: u16, depth: u32, buckets: usize) -> usize {
    (usize::from(fraction(window, depth)) * buckets) >> 16
}

/// Whether two keys are the same: without a call for the usual lengths, where a call is half of the
/// cost.
#[inline]
pub(super) fn is_equal(first: &[u8], second: &[u8]) -> bool {
    if first.len() != second.len() {
        return false;
    }
    match first.len() {
        8..=16 => {
            let ends = |key: &[u8]| Some((*key.first_chunk::<8>()?, *key.last_chunk::<8>()?));
            ends(first) == ends(second)
        }
        17..=32 => {
            let ends = |key: &[u8]| Some((*key.first_chunk::<16>()?, *key.last_chunk::<16>()?));
            ends(first) == ends(second)
        }
        _ => first == second,
    }
}

/// The cache line at `address` will be read soon. Does nothing where there is no stable intrinsic
/// for it.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on the cache, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A segment, to be read.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    header: &'a Header,
    buckets: &'a [Bucket],
    depth: u32,
}

impl<'a> Segment<'a> {
    /// How many leading bits all its hashes share.
    #[inline]
    pub fn depth(self) -> u32 {
        self.depth
    }

    /// Number of entries.
    pub fn count(self) -> usize {
        self.header.count as usize
    }

    /// Number of entries with an expiry.
    pub fn volatile(self) -> usize {
        self.header.volatile as usize
    }

    /// Number of home buckets.
    pub fn bucket_count(self) -> usize {
        self.buckets.len()
    }

    /// Number of slots, occupied or not.
    pub fn slot_count(self) -> usize {
        self.buckets.len() * SLOTS
    }

    pub(super) fn is_full(self) -> bool {
        self.count() >= self.slot_count() * FULL / 64
    }

    #[inline]
    pub(super) fn word(self, index: usize) -> Option<Word> {
        Some(self.buckets.get(index / SLOTS)?.words[index % SLOTS])
    }

    /// The entry in slot `index`, if there is one.
    #[inline]
    pub fn entry(self, index: usize) -> Option<EntryRef<'a>> {
        // SAFETY: the table owns the block (invariant 2) and is borrowed as this segment is.
        self.word(index)?.block().map(|block| unsafe { EntryRef::from_raw(block) })
    }

    /// The slot of `key`, whose hash is `hash`, and its entry.
    #[inline]
    pub(super) fn find(self, hash: u64, key: &[u8]) -> Option<(usize, EntryRef<'a>)> {
        let window = window_of(hash, self.depth);
        let at = home(window, self.depth, self.buckets.len());
        let bucket = self.buckets.get(at)?;
        match bucket.find(window, key) {
            Some((i, entry)) => Some((at * SLOTS + i, entry)),
            None if bucket.has_overflow() => self.find_further(at, window, key),
            None => None,
        }
    }

    /// The same for an entry that is not in its home bucket `at`.
    #[cold]
    fn find_further(self, at: usize, window: u16, key: &[u8]) -> Option<(usize, EntryRef<'a>)> {
        let (behind, before) = (at + 1..self.buckets.len(), 0..at);
        for at in behind.chain(before) {
            let bucket = &self.buckets[at];
            if let Some((i, entry)) = bucket.find(window, key) {
                return Some((at * SLOTS + i, entry));
            }
            if !bucket.has_overflow() {
                return None;
            }
        }
        None
    }

    /// Asks for the home bucket of `hash`.
    #[inline]
    pub(super) fn prefetch_bucket(self, hash: u64) {
        let at = home(window_of(hash, self.depth), self.depth, self.buckets.len());
        prefetch(ptr::from_ref(&self.buckets[at]).cast());
    }

    /// Asks for what an insert of an entry touches: the header, the home bucket and the entry's own header.
    #[inline]
    pub(super) fn prefetch_insert(self, hash: u64, entry: &Entry) {
        prefetch(ptr::from_ref(self.header).cast());
        self.prefetch_bucket(hash);
        prefetch(entry.as_ptr());
    }

    /// Asks for the first two cache lines of the entry of `hash`, if its home bucket has it.
    #[inline]
    pub(super) fn prefetch_entry(self, hash: u64) {
        let window = window_of(hash, self.depth);
        let bucket = &self.buckets[home(window, self.depth, self.buckets.len())];
        let candidates = bucket.candidates(window);
        if candidates != 0
            && let Some(block) = bucket.words[candidates.trailing_zeros() as usize].block()
        {
            prefetch(block.as_ptr());
            // Blocks are 8-aligned, most of them straddle a line.
            prefetch(block.as_ptr().wrapping_add(LINE - 8));
        }
    }

    /// Asks for the first two cache lines of each entry in a bucket, if there is such a bucket.
    pub(in crate::keyspace) fn prefetch_entries(self, bucket: usize) {
        let words = self.buckets.get(bucket).into_iter().flat_map(|bucket| bucket.words);
        for block in words.filter_map(Word::block) {
            prefetch(block.as_ptr());
            prefetch(block.as_ptr().wrapping_add(LINE - 8));
        }
    }

    /// Calls `visit` for each entry whose home is `bucket`, wherever it ended up.
    pub fn each_at_home(self, bucket: usize, mut visit: impl FnMut(EntryRef<'a>)) {
        let count = self.buckets.len();
        let mut at = bucket;
        for _ in 0..count {
            for (i, word) in self.buckets[at].words.iter().enumerate() {
                if !word.is_vacant() && home(word.window(), self.depth, count) == bucket {
                    visit(self.entry(at * SLOTS + i).expect("the word is not vacant"));
                }
            }
            if !self.buckets[at].has_overflow() {
                break;
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
    }

    /// Calls `visit` for each entry that expires.
    pub fn each_volatile(self, mut visit: impl FnMut(EntryRef<'a>)) {
        for index in 0..self.slot_count() {
            if self.word(index).is_some_and(Word::is_volatile) {
                visit(self.entry(index).expect("a vacant word has no flag"));
            }
        }
    }

    /// How many entries have a one as first bit behind the prefix.
    pub(super) fn count_high(self) -> usize {
        let words = self.buckets.iter().flat_map(|bucket| bucket.words);
        words.filter(|word| !word.is_vacant() && self.is_high(*word)).count()
    }

    /// Whether the first bit behind the prefix is one.
    pub(super) fn is_high(self, word: Word) -> bool {
        fraction(word.window(), self.depth) >> 15 == 1
    }

    /// Calls `visit` for each occupied word, its counter bits cleared. With `reads_entries` the
    /// blocks of the following buckets are asked for in advance.
    pub(super) fn each_word(self, reads_entries: bool, mut visit: impl FnMut(Word)) {
        const AHEAD: usize = 2;
        let prefetch_blocks = |bucket: &Bucket| {
            bucket
                .words
                .iter()
                .filter_map(|word| word.block())
                .for_each(|block| prefetch(block.as_ptr()));
        };
        if reads_entries {
            self.buckets.iter().take(AHEAD).for_each(prefetch_blocks);
        }
        for (i, bucket) in self.buckets.iter().enumerate() {
            if reads_entries && let Some(next) = self.buckets.get(i + AHEAD) {
                prefetch_blocks(next);
            }
            bucket
                .words
                .iter()
                .filter(|word| !word.is_vacant())
                .for_each(|word| visit(word.with_counter(0)));
        }
    }

    /// Calls `visit` for each occupied word as it is to stand in a segment of `depth`, with the
    /// word as it was. Keys are hashed again only where the window starts elsewhere.
    pub(super) fn each_word_at<H: KeyHash>(self, depth: u32, mut visit: impl FnMut(Word, Word)) {
        let is_moved = self.depth & !3 != depth & !3;
        self.each_word(is_moved, |word| {
            if !is_moved {
                return visit(word, word);
            }
            let block = word.block().expect("only occupied words are visited");
            // SAFETY: the table owns the block (invariant 2) and is borrowed as this segment is.
            let key = unsafe { EntryRef::from_raw(block) }.key();
            visit(word.with_window(window_of(H::hash(key), depth)), word);
        });
    }
}

/// A segment, to be changed.
pub(super) struct SegmentMut<'a> {
    header: &'a mut Header,
    buckets: &'a mut [Bucket],
    depth: u32,
}

impl<'a> SegmentMut<'a> {
    /// Puts a word, its counter bits zero, into the first vacancy from its home on; says in which
    /// slot.
    pub(super) fn place(&mut self, word: Word) -> usize {
        let count = self.buckets.len();
        let mut at = home(word.window(), self.depth, count);
        self.header.count += 1;
        self.header.volatile += u32::from(word.is_volatile());
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(i) = bucket.vacancy() {
                bucket.words[i] = word.with_counter(bucket.words[i].counter());
                return at * SLOTS + i;
            }
            bucket.passed_by();
            at = if at + 1 == count { 0 } else { at + 1 };
        }
    }

    /// Vacates slot `index`, which must be occupied, and hands out the word.
    pub(super) fn vacate(&mut self, index: usize) -> Word {
        let count = self.buckets.len();
        let (bucket, i) = (index / SLOTS, index % SLOTS);
        let word = self.buckets[bucket].words[i];
        self.buckets[bucket].words[i] = word.vacated();
        self.header.count -= 1;
        self.header.volatile -= u32::from(word.is_volatile());
        let mut at = home(word.window(), self.depth, count);
        while at != bucket {
            self.buckets[at].passed_by_no_more();
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        word
    }

    /// The entry in slot `index`, to be changed in place.
    #[inline]
    pub(super) fn into_entry(self, index: usize) -> Option<EntryMut<'a>> {
        let block = self.buckets.get(index / SLOTS)?.words[index % SLOTS].block()?;
        // SAFETY: the table owns the block (invariant 2) and is borrowed for change as this segment
        // is.
        Some(unsafe { EntryMut::from_raw(block) })
    }

    /// Makes another entry, of the same key, out of the one in slot `index`; says whether each had
    /// an expiry.
    #[inline]
    pub(super) fn update(
        &mut self,
        index: usize,
        change: impl FnOnce(Entry) -> Entry,
    ) -> Option<(bool, bool)> {
        let word = &mut self.buckets.get_mut(index / SLOTS)?.words[index % SLOTS];
        let before = *word;
        let block = before.block()?;
        // Should `change` panic, the slot is vacant and the counts are off, but no block is owned
        // twice.
        *word = before.vacated();
        // SAFETY: the word owned the block (invariant 2), and was vacated.
        let entry = change(unsafe { Entry::from_raw(block) });
        let after = Word::new(entry, before.window());
        *word = after.with_counter(before.counter());
        self.header.volatile =
            self.header.volatile + u32::from(after.is_volatile()) - u32::from(before.is_volatile());
        Some((before.is_volatile(), after.is_volatile()))
    }

    pub(super) fn is_sparse(&self) -> bool {
        (self.header.count as usize) < self.buckets.len() * SLOTS * SPARSE / 64
    }
}

#[cfg(test)]
impl Segment<'_> {
    /// Asserts all invariants of a segment whose hashes begin with `prefix`.
    pub(super) fn check<H: KeyHash>(self, prefix: u64) {
        let buckets = self.buckets.len();
        let mut overflow = vec![0; buckets];
        let (mut count, mut volatile) = (0, 0);
        for index in 0..self.slot_count() {
            let word = self.word(index).expect("in range");
            let Some(entry) = self.entry(index) else {
                assert!(
                    word.with_counter(0).0.is_null(),
                    "a vacant word has nothing but its counter bits"
                );
                continue;
            };
            let hash = H::hash(entry.key());
            assert_eq!(hash.checked_shr(64 - self.depth).unwrap_or(0), prefix);
            assert_eq!(word.window(), window_of(hash, self.depth));
            assert_eq!(word.is_volatile(), entry.has_expiry());
            count += 1;
            volatile += usize::from(entry.has_expiry());
            let mut at = home(word.window(), self.depth, buckets);
            while at != index / SLOTS {
                overflow[at] += 1;
                at = (at + 1) % buckets;
            }
        }
        assert_eq!((count, volatile), (self.count(), self.volatile()));
        assert!(count < self.slot_count());
        for (bucket, exact) in self.buckets.iter().zip(overflow) {
            assert!(bucket.overflow() == exact || bucket.overflow() == Bucket::OVERFLOW_MAX);
        }
    }
}
