//! How do some hundred fields, or members of a set, lie in memory? Packed into one buffer, found by a
//! sorted index of hashes.
//!
//! ```text
//! slots: | hash: u32, offset: u32 | ... sorted by hash
//! data:  at each offset
//!        | field mark: varint | value mark: varint | expiry: u64 if marked | field | value |
//! ```
//!
//! A mark is a length and flags. The members of a set are fields without values: what stands for the
//! value and its expiry is then left out (`VALUED` is false). Texts longer than [`INLINE_MAX`] lie outside,
//! reference-counted, and their "length" is a number in `large`: so a leaf stays a few KiB, and
//! copying one (which is what a write does while a snapshot holds it) copies no long text.
//!
//! Changing a value writes in place when the new entry is as long, and appends otherwise; the old
//! bytes are dead until a quarter of the buffer is, then everything is packed anew.
//!
//! Both buffers grow in the steps of the allocator's size classes, so little of them is unused. What a leaf
//! gives up when it grows another one takes, since there are always leaves of every size (`base/hasher.rs`).
//!
//! Invariants: slots are sorted; `dead` counts the bytes that no slot reaches; `expire_min` is at
//! most the earliest expiry in the leaf (it may be stale after a removal, never late).

use std::sync::Arc;

use crate::base::moving::Mover;
use crate::base::size_class::size_class;

/// Texts longer than this lie outside the buffer.
pub const INLINE_MAX: usize = 256;
/// A leaf with so many fields is split.
pub const FIELDS_MAX: usize = 128;
/// A leaf with more data than this is split, unless its fields are few.
pub const DATA_MAX: usize = 8 * 1024;
/// "Few" in the line above.
const FIELDS_FEW: usize = 16;
/// A slot that is not this near to where it is to be expected is looked for by bisection: three times
/// what the numbers of hashes in a range stray by.
const NEAR_MAX: usize = 16;
/// Most bytes of a mark of a text in the buffer, or of a number in `large` that is worth room for.
const MARK_BYTES_MAX: usize = 3;
/// Most bytes in front of the texts of an entry.
const HEAD_BYTES_MAX: usize = 2 * MARK_BYTES_MAX + 8;
/// The expiry of what does not expire.
pub const NEVER: u64 = u64::MAX;

/// Whether an expiry has come: the millisecond it names is still good, as in Redis.
#[inline]
pub fn is_expired(expire_at: u64, now: u64) -> bool {
    expire_at < now
}

/// The text lies outside; of either mark.
const OUTSIDE: usize = 1;
/// The entry expires; of the value's mark.
const EXPIRES: usize = 2;
/// How many bits of a mark are flags.
const FIELD_FLAG_BITS: u32 = 1;
const VALUE_FLAG_BITS: u32 = 2;

/// One field as it lies in a leaf.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub field: &'a [u8],
    /// Empty without values.
    pub value: &'a [u8],
    /// Unix time in milliseconds, or [`NEVER`].
    pub expire_at: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub hash: u32,
    offset: u32,
}

/// See the top of this file.
#[derive(Clone, Debug, Default)]
pub struct Leaf<const VALUED: bool> {
    slots: Vec<Slot>,
    data: Vec<u8>,
    /// Texts that lie outside; `None` where one was given up.
    large: Vec<Option<Arc<[u8]>>>,
    dead: usize,
    expire_min: Option<u64>,
}

/// Where the parts of an entry lie in the buffer.
struct Layout {
    field: Part,
    value: Part,
    expire_at: u64,
    expire_offset: usize,
    end: usize,
}

#[derive(Clone, Copy)]
enum Part {
    Inside { start: usize, end: usize },
    Outside(usize),
}

impl<const VALUED: bool> Leaf<VALUED> {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// At most the earliest expiry in here.
    pub fn expire_min(&self) -> u64 {
        self.expire_min.unwrap_or(NEVER)
    }

    /// Allocated bytes, the texts outside included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.data.capacity()
            + self.large.capacity() * size_of::<Option<Arc<[u8]>>>()
            + self.large.iter().flatten().map(|text| text.len() + 16).sum::<usize>()
    }

    /// Whether the leaf should be split, if its hashes can be told apart.
    pub fn is_full(&self) -> bool {
        self.slots.len() >= FIELDS_MAX
            || self.data.len() - self.dead > DATA_MAX && self.slots.len() > FIELDS_FEW
    }

    /// Number of the first slot whose hash is `hash` or more.
    #[inline]
    pub fn lower_bound(&self, hash: u32) -> usize {
        self.slots.partition_point(|slot| slot.hash < hash)
    }

    /// Reads of [`Leaf::find`], whose results mean nothing here: the leaf itself, the slot that is expected,
    /// the text that it leads to.
    #[inline]
    pub fn touch(&self, hash: u32, width: u32, step: usize) -> u32 {
        match step {
            0 => self.slots.len() as u32,
            1 => self.slots.get(self.expected(hash, width)).map_or(0, |slot| slot.hash),
            _ => {
                let slot = self.slots.get(self.lower_bound_near(hash, width));
                let offset = slot.filter(|slot| slot.hash == hash).map(|slot| slot.offset as usize);
                let byte = offset.and_then(|at| self.data.get(at)).or(self.data.last());
                byte.map_or(0, |byte| u32::from(*byte))
            }
        }
    }

    /// Where the slot of a hash is to be expected.
    #[inline]
    fn expected(&self, hash: u32, width: u32) -> usize {
        let share = u64::from(hash.checked_shl(32 - width).unwrap_or(0));
        ((share * self.slots.len() as u64) >> 32) as usize
    }

    /// As [`Leaf::lower_bound`], from where the slot is to be expected: hashes are uniform, so those few
    /// bits tell where among the others it lies, within a cache line or two, whereas bisection starts
    /// with the lines that are nobody's neighbours.
    #[inline]
    fn lower_bound_near(&self, hash: u32, width: u32) -> usize {
        let guess = self.expected(hash, width);
        let first = guess.saturating_sub(NEAR_MAX);
        let last = (guess + NEAR_MAX).min(self.slots.len());
        let mut at = guess;
        while at > first && self.slots[at - 1].hash >= hash {
            at -= 1;
        }
        if at < guess {
            let before = if at == first { &self.slots[..at] } else { &[] };
            return at - before.len() + before.partition_point(|slot| slot.hash < hash);
        }
        while at < last && self.slots[at].hash < hash {
            at += 1;
        }
        let behind = if at == last { &self.slots[at..] } else { &[] };
        at + behind.partition_point(|slot| slot.hash < hash)
    }

    /// The slot of `field`, or where it would go. `width` is the number of the hash's last bits that the
    /// leaf's hashes do not share.
    #[inline]
    pub fn find(&self, hash: u32, width: u32, field: &[u8]) -> Result<usize, usize> {
        let mut at = self.lower_bound_near(hash, width);
        while let Some(slot) = self.slots.get(at)
            && slot.hash == hash
        {
            if self.text(self.layout(slot.offset).field) == field {
                return Ok(at);
            }
            at += 1;
        }
        Err(at)
    }

    /// The entry of slot `at`.
    #[inline]
    pub fn entry(&self, at: usize) -> Entry<'_> {
        let layout = self.layout(self.slots[at].offset);
        Entry {
            field: self.text(layout.field),
            value: self.text(layout.value),
            expire_at: layout.expire_at,
        }
    }

    /// Adds an entry at slot `at`, where [`Leaf::find`] did not find its field.
    pub fn insert(&mut self, at: usize, hash: u32, entry: Entry<'_>) {
        let offset = self.append(entry);
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(slots_for(self.slots.len() + 1) - self.slots.len());
        }
        self.slots.insert(at, Slot { hash, offset });
    }

    /// Gives the field of slot `at` another value and expiry.
    pub fn replace(&mut self, at: usize, value: &[u8], expire_at: u64) {
        let offset = self.slots[at].offset;
        let layout = self.layout(offset);
        let same_expiry = (layout.expire_at == NEVER) == (expire_at == NEVER);
        match layout.value {
            Part::Inside { start, end } if same_expiry && end - start == value.len() => {
                self.data[start..end].copy_from_slice(value);
                self.write_expiry(&layout, expire_at);
            }
            Part::Outside(number) if same_expiry && value.len() > INLINE_MAX => {
                self.large[number] = Some(Arc::from(value));
                self.write_expiry(&layout, expire_at);
            }
            _ => {
                let field = self.text(layout.field).to_vec();
                self.release(offset);
                self.slots[at].offset = self.append(Entry { field: &field, value, expire_at });
                self.pack_if_wasteful();
            }
        }
    }

    /// Removes slot `at`.
    pub fn remove(&mut self, at: usize) {
        let slot = self.slots.remove(at);
        self.release(slot.offset);
        self.pack_if_wasteful();
    }

    /// Sets `expire_min` to the truth.
    pub fn refresh_expire_min(&mut self) {
        let earliest = (0..self.len()).map(|at| self.entry(at).expire_at).min();
        self.expire_min = earliest.filter(|&at| at != NEVER);
    }

    /// Takes the slots from `at` on into a leaf of their own.
    pub fn split_off(&mut self, at: usize) -> Self {
        let right = self.packed(at..self.len());
        *self = self.packed(0..at);
        right
    }

    /// Appends the entries of a leaf whose hashes all lie behind this one's.
    pub fn absorb(&mut self, right: &Self) {
        for at in 0..right.len() {
            self.insert(self.len(), right.slots[at].hash, right.entry(at));
        }
        self.pack_if_wasteful();
    }

    /// Moves what it owns.
    pub fn move_blocks(&mut self, mover: &mut Mover<'_>) {
        mover.vec(&mut self.slots);
        mover.vec(&mut self.data);
        mover.vec(&mut self.large);
        self.large.iter_mut().flatten().for_each(|text| mover.text(text));
    }

    fn packed(&self, range: std::ops::Range<usize>) -> Self {
        let mut data = 0;
        for slot in &self.slots[range.clone()] {
            data += self.layout(slot.offset).end - slot.offset as usize;
        }
        let mut packed = Self {
            slots: Vec::with_capacity(slots_for(range.len())),
            data: Vec::with_capacity(size_class(data)),
            ..Self::default()
        };
        for at in range {
            let offset = packed.copy_entry(self, self.slots[at].offset);
            packed.slots.push(Slot { hash: self.slots[at].hash, offset });
        }
        packed
    }

    /// Appends an entry of another leaf; texts outside are shared, not copied.
    fn copy_entry(&mut self, from: &Self, offset: u32) -> u32 {
        let layout = from.layout(offset);
        let mut marks = [Mark::Inside(0); 2];
        for (mark, part) in marks.iter_mut().zip([layout.field, layout.value]) {
            *mark = match part {
                Part::Inside { start, end } => Mark::Inside(end - start),
                Part::Outside(number) => {
                    self.large.push(from.large[number].clone());
                    Mark::Outside(self.large.len() - 1)
                }
            };
        }
        let start = self.data.len() as u32;
        self.append_head(marks, layout.expire_at);
        for part in [layout.field, layout.value] {
            if let Part::Inside { start, end } = part {
                self.data.extend_from_slice(&from.data[start..end]);
            }
        }
        start
    }

    fn append(&mut self, entry: Entry<'_>) -> u32 {
        let texts = entry.field.len().min(INLINE_MAX) + entry.value.len().min(INLINE_MAX);
        let need = self.data.len() + texts + if VALUED { HEAD_BYTES_MAX } else { MARK_BYTES_MAX };
        if self.data.capacity() < need {
            self.data.reserve_exact(size_class(need) - self.data.len());
        }
        let mut marks = [Mark::Inside(0); 2];
        for (mark, text) in marks.iter_mut().zip([entry.field, entry.value]) {
            *mark = if text.len() > INLINE_MAX {
                self.large.push(Some(Arc::from(text)));
                Mark::Outside(self.large.len() - 1)
            } else {
                Mark::Inside(text.len())
            };
        }
        let start = self.data.len() as u32;
        self.append_head(marks, entry.expire_at);
        for (mark, text) in marks.into_iter().zip([entry.field, entry.value]) {
            if let Mark::Inside(_) = mark {
                self.data.extend_from_slice(text);
            }
        }
        start
    }

    fn append_head(&mut self, marks: [Mark; 2], expire_at: u64) {
        let [field, value] = marks;
        self.append_varint(field.bits(FIELD_FLAG_BITS));
        if !VALUED {
            debug_assert!(matches!(value, Mark::Inside(0)) && expire_at == NEVER, "just a member");
            return;
        }
        let expires = if expire_at == NEVER { 0 } else { EXPIRES };
        self.append_varint(value.bits(VALUE_FLAG_BITS) | expires);
        if expires != 0 {
            self.data.extend_from_slice(&expire_at.to_le_bytes());
            self.expire_min = Some(self.expire_min().min(expire_at));
        }
    }

    #[inline]
    fn append_varint(&mut self, mut rest: usize) {
        while rest >= 0x80 {
            self.data.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.data.push(rest as u8);
    }

    fn write_expiry(&mut self, layout: &Layout, expire_at: u64) {
        if expire_at != NEVER {
            let place = layout.expire_offset;
            self.data[place..place + 8].copy_from_slice(&expire_at.to_le_bytes());
            self.expire_min = Some(self.expire_min().min(expire_at));
        }
    }

    /// Gives up the entry at `offset`: its bytes are dead, its texts outside are freed.
    fn release(&mut self, offset: u32) {
        let layout = self.layout(offset);
        self.dead += layout.end - offset as usize;
        for part in [layout.field, layout.value] {
            if let Part::Outside(number) = part {
                self.large[number] = None;
            }
        }
    }

    fn pack_if_wasteful(&mut self) {
        if self.dead > 128 && self.dead * 4 > self.data.len() {
            *self = self.packed(0..self.len());
        }
    }

    #[inline]
    fn text(&self, part: Part) -> &[u8] {
        match part {
            Part::Inside { start, end } => &self.data[start..end],
            Part::Outside(number) => {
                self.large[number].as_deref().expect("a live entry keeps its texts")
            }
        }
    }

    #[inline]
    fn layout(&self, offset: u32) -> Layout {
        let mut at = offset as usize;
        let field = self.varint(&mut at);
        let value = if VALUED { self.varint(&mut at) } else { 0 };
        let mut expire_at = NEVER;
        let expire_offset = at;
        if value & EXPIRES != 0 {
            let raw = self.data[at..at + 8].try_into().expect("eight bytes are eight bytes");
            expire_at = u64::from_le_bytes(raw);
            at += 8;
        }
        let mut part = |mark: usize, flag_bits: u32| {
            if mark & OUTSIDE != 0 {
                return Part::Outside(mark >> flag_bits);
            }
            let start = at;
            at += mark >> flag_bits;
            Part::Inside { start, end: at }
        };
        let field = part(field, FIELD_FLAG_BITS);
        let value = part(value, VALUE_FLAG_BITS);
        Layout { field, value, expire_at, expire_offset, end: at }
    }

    #[inline]
    fn varint(&self, at: &mut usize) -> usize {
        let first = self.data[*at];
        *at += 1;
        if first < 0x80 {
            return usize::from(first);
        }
        let mut value = usize::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.data[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }
}

/// A mark before it is written: a length, or a number in `large`.
#[derive(Clone, Copy)]
enum Mark {
    Inside(usize),
    Outside(usize),
}

impl Mark {
    #[inline]
    fn bits(self, flag_bits: u32) -> usize {
        match self {
            Mark::Inside(len) => len << flag_bits,
            Mark::Outside(number) => number << flag_bits | OUTSIDE,
        }
    }
}

/// How much room an index of `len` slots gets.
fn slots_for(len: usize) -> usize {
    size_class(len * size_of::<Slot>()) / size_of::<Slot>()
}
