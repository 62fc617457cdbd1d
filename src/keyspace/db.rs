//! What can be done to the keys of one db? The only code on the tables.
//!
//! Reading takes `&`, so that commands that only read run side by side; a key past its expiry is invisible to [`Db::read`],
//! but stays until someone with `&mut` removes it. Every write goes through one of four private functions (`write_entry`,
//! `rewrite`, `put`, `take`), which tell the [`WriteHook`]; a table that leaves goes through `clear`, which does too.
//!
//! Invariants: a key is in the table at most once; a [`Slot`] is valid until the next insert or removal.

pub mod expiry;
pub mod moving;
pub mod prepared;

use std::sync::Arc;

use crate::base::number::IntBuf;

use super::entry::view::{EntryMut, EntryRef};
use super::entry::{Content, Entry};
use super::fields::EndingFields;
use super::hash::{KeyHash, SeededHash};
use super::hook::WriteHook;
use super::scan::{POSITION_BITS, Shape};
use super::snapshot::TableWalk;
pub use super::table::Slot;
use super::table::Table;
use super::value::{
    RAW_MAX_INLINE, StrEncoding, StrRef, StrValue, Value, ValueKind, ValueMut, ValueRef, int_form,
};

/// Draws of [`Db::random`] among which one unexpired key must be.
const RANDOM_DRAWS_MAX: u64 = 100;

/// Empty buckets that one call of [`Db::scan`] may go through for each key that it was asked for.
const SCAN_EMPTY_MAX: usize = 10;

/// Strings beyond this grow by an eighth instead of doubling: at 512 MB doubling would waste as
/// much again.
const DOUBLING_BYTES_MAX: usize = 1 << 20;

/// A value in whose place another one was put.
pub struct Displaced {
    /// The key, if the value is a module's, which is told of it; else empty.
    pub key: Box<[u8]>,
    /// The value.
    pub value: Value,
}

/// What becomes of a key's expiry when its value is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpireChange {
    /// The key does not expire any more.
    Clear,
    /// The key expires when it did.
    Keep,
    /// The key expires at this time, in unix milliseconds.
    At(i64),
}

impl ExpireChange {
    fn applied_to(self, before: Option<i64>) -> Option<i64> {
        match self {
            ExpireChange::Clear => None,
            ExpireChange::Keep => before,
            ExpireChange::At(at) => Some(at),
        }
    }
}

/// What a removal took out.
pub struct Removed {
    /// The value.
    pub value: Value,
    /// When the key would have expired, in unix milliseconds.
    pub expire_at: Option<i64>,
}

/// The contents of a db that was emptied: dropping it takes as long as it was large.
pub struct Detached<H: KeyHash = SeededHash> {
    len: usize,
    /// None if a snapshot keeps it.
    #[expect(dead_code, reason = "it is here to be dropped")]
    table: Option<Table<H>>,
    #[expect(dead_code, reason = "it is here to be dropped with the table")]
    ending: EndingFields,
}

impl<H: KeyHash> Detached<H> {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there were no keys.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// One numbered db.
pub struct Db<H: KeyHash = SeededHash> {
    table: Table<H>,
    hook: WriteHook<H>,
    /// Collections and module values that were overwritten, until somebody takes them.
    displaced: Vec<Displaced>,
    /// Hashes with fields that end.
    ending: EndingFields,
}

/// What there is at a key.
pub enum Found<'a> {
    /// No entry.
    Nothing,
    /// One whose time is over.
    Expired,
    /// One that counts, and where it is.
    Alive(Slot, EntryRef<'a>),
}

impl Db {
    /// An empty db.
    pub fn new() -> Self {
        Self::with_hasher()
    }

    /// The hash of a key in any real db: seeded once per process, so it can be had outside of the lock.
    #[inline]
    pub fn hash(key: &[u8]) -> u64 {
        SeededHash::hash(key)
    }
}

impl Default for Db {
    fn default() -> Self {
        Self::new()
    }
}

/// Reading.
impl<H: KeyHash> Db<H> {
    /// An empty db with a hash function of its own, for tests.
    pub fn with_hasher() -> Self {
        Self {
            table: Table::default(),
            hook: WriteHook::default(),
            displaced: Vec::new(),
            ending: EndingFields::default(),
        }
    }

    /// Number of keys, expired ones included until they are removed.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of keys with an expiry.
    #[inline]
    pub fn volatile_len(&self) -> usize {
        self.table.volatile_len()
    }

    /// Finds a key, expired or not.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Slot> {
        self.table.find(H::hash(key), key)
    }

    /// The same for a key whose hash is known.
    #[inline]
    pub fn find_hashed(&self, hash: u64, key: &[u8]) -> Option<Slot> {
        self.table.find(hash, key)
    }

    /// Finds a key again that was seen in this slot before whatever may have changed; `seen` has the key's hash.
    #[inline]
    pub fn find_again(&self, seen: Slot, key: &[u8]) -> Option<Slot> {
        self.table.find_again(seen, key)
    }

    /// Finds a key with its entry, which saves the ways back to it. If it was seen somewhere, whatever has changed since, it
    /// is looked for there first.
    #[inline]
    pub fn look_up(&self, seen: Option<Slot>, key: &[u8], now_ms: i64) -> Found<'_> {
        let seen = seen.and_then(|seen| Some((seen, self.table.entry_of(seen, key)?)));
        match seen.or_else(|| self.table.find_entry(H::hash(key), key)) {
            None => Found::Nothing,
            Some((_, entry)) if is_past(entry.expire_at(), now_ms) => Found::Expired,
            Some((slot, entry)) => Found::Alive(slot, entry),
        }
    }

    /// Finds a key that has not expired, and its value.
    #[inline]
    pub fn read(&self, key: &[u8], now_ms: i64) -> Option<(Slot, ValueRef<'_>)> {
        self.read_hashed(H::hash(key), key, now_ms)
    }

    /// The same for a key whose hash is known.
    #[inline]
    pub fn read_hashed(&self, hash: u64, key: &[u8], now_ms: i64) -> Option<(Slot, ValueRef<'_>)> {
        let (slot, entry) = self.table.find_entry(hash, key)?;
        (!is_past(entry.expire_at(), now_ms)).then(|| (slot, entry.value()))
    }

    /// When a key expires, in unix milliseconds.
    #[inline]
    pub fn expire_at(&self, slot: Slot) -> Option<i64> {
        self.table.entry(slot).expire_at()
    }

    /// Whether a key has expired at `now_ms`.
    #[inline]
    pub fn is_expired(&self, slot: Slot, now_ms: i64) -> bool {
        is_past(self.expire_at(slot), now_ms)
    }

    /// The value of a key.
    #[inline]
    pub fn value(&self, slot: Slot) -> ValueRef<'_> {
        self.table.entry(slot).value()
    }

    /// The key itself.
    #[inline]
    pub fn key(&self, slot: Slot) -> &[u8] {
        self.table.entry(slot).key()
    }

    /// What OBJECT ENCODING says of a string; none for other types.
    pub fn str_encoding(&self, slot: Slot) -> Option<StrEncoding> {
        self.table.entry(slot).str_encoding()
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self, slot: Slot) -> &'static str {
        match self.value(slot) {
            ValueRef::Str(_) => match self.str_encoding(slot) {
                Some(StrEncoding::Int) => "int",
                Some(StrEncoding::Embstr) => "embstr",
                Some(StrEncoding::Raw) | None => "raw",
            },
            ValueRef::Hash(value) => value.encoding(),
            ValueRef::List(value) => value.encoding(),
            ValueRef::Set(value) => value.encoding(),
            ValueRef::Zset(value) => value.encoding(),
            ValueRef::Stream(value) => value.encoding(),
            ValueRef::Module(_) => "raw",
            ValueRef::Unchecked(value) => value.encoding(),
        }
    }

    /// A copy of a string, sharing the bytes of a large one; none for other types.
    pub fn to_str_value(&self, slot: Slot) -> Option<StrValue> {
        self.table.entry(slot).to_str_value()
    }

    /// A handle on a large string, for a reply that leaves after the lock is released. None for
    /// short strings, which are to be copied, and for other types.
    pub fn shared_string(&self, slot: Slot) -> Option<Arc<Vec<u8>>> {
        self.table.entry(slot).shared_string()
    }

    /// The 24 bits of the access clock: LRU time, or LFU time and counter, as the policy has it.
    #[inline]
    pub fn clock(&self, slot: Slot) -> u32 {
        self.table.entry(slot).clock()
    }

    /// Sets the access clock; readers may.
    #[inline]
    pub fn touch(&self, slot: Slot, clock: u32) {
        self.table.entry(slot).set_clock(clock);
    }

    /// Bytes of the entry, of a large string behind it, and of its share of the table. What a hash
    /// or a module's value holds is to be added by who knows the type.
    pub fn memory_bytes(&self, slot: Slot) -> usize {
        self.table.entry(slot).memory_bytes() + size_of::<usize>()
    }

    /// Asks for the cache line that a lookup of `hash` reads first.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.table.prefetch_bucket(hash);
    }

    /// Asks for the entry; of use once its bucket has arrived.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        self.table.prefetch_entry(hash);
    }
}

/// Walking.
impl<H: KeyHash> Db<H> {
    /// Hands out keys from a position on until there were `count` of them, or a good many empty
    /// places, and returns the position to go on from; zero at the end. Expired keys are among
    /// them.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&[u8], ValueRef<'_>, Option<i64>),
    ) -> u64 {
        self.scan_entries(cursor, count, |entry| {
            visit(entry.key(), entry.value(), entry.expire_at());
        })
    }

    /// The same with all that an entry holds.
    pub fn scan_entries(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(EntryRef<'_>),
    ) -> u64 {
        let mut cursor = cursor;
        let mut seen = 0;
        for _ in 0..count.max(1).saturating_mul(SCAN_EMPTY_MAX) {
            cursor = self.table.scan(cursor, |entry| {
                seen += 1;
                visit(entry);
            });
            if cursor == 0 || seen >= count {
                break;
            }
        }
        cursor
    }

    /// Draws a key that has not expired; the same `random` draws the same key from the same db.
    /// None if there is none. Hands out the expired keys that it came upon.
    pub fn random(&self, random: u64, now_ms: i64, mut expired: impl FnMut(&[u8])) -> Option<Slot> {
        for n in 0..RANDOM_DRAWS_MAX {
            let draw = random.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let slot = self.table.random(draw)?;
            if !self.is_expired(slot, now_ms) {
                return Some(slot);
            }
            expired(self.key(slot));
        }
        self.next_alive(random >> (u64::BITS - POSITION_BITS), now_ms)
            .or_else(|| self.next_alive(0, now_ms))
    }

    /// The first key from a position on that has not expired.
    fn next_alive(&self, from: u64, now_ms: i64) -> Option<Slot> {
        let (mut position, mut found) = (from, None);
        while found.is_none() {
            position = self.table.scan(position, |entry| {
                if !is_past(entry.expire_at(), now_ms) {
                    found = self.find(entry.key());
                }
            });
            if position == 0 {
                break;
            }
        }
        found
    }

    /// How large the table of keys is.
    pub fn shape(&self) -> Shape {
        self.table.shape()
    }

    /// Draws a key, expired or not: for eviction.
    pub fn sample(&self, random: u64) -> Option<Slot> {
        self.table.random(random)
    }

    /// Draws a key that has an expiry, past or not: for eviction.
    pub fn sample_volatile(&self, random: u64) -> Option<Slot> {
        self.table.random_volatile(random)
    }
}

/// Writing.
impl<H: KeyHash> Db<H> {
    /// The value of a key, to be changed. Whatever is asked for here counts as written.
    #[inline]
    pub fn value_mut(&mut self, slot: Slot) -> ValueMut<'_> {
        self.write_entry(slot).into_value()
    }

    /// Sets a key to a string, which becomes an integer if it spells one. `slot` is where the key
    /// was found.
    pub fn set_string(
        &mut self,
        key: &[u8],
        slot: Option<Slot>,
        value: &[u8],
        expire: ExpireChange,
    ) -> Slot {
        let hash = slot.map_or_else(|| H::hash(key), Slot::hash);
        self.set_string_hashed(hash, key, slot, value, expire)
    }

    /// The same for a key whose hash is known.
    pub fn set_string_hashed(
        &mut self,
        hash: u64,
        key: &[u8],
        slot: Option<Slot>,
        value: &[u8],
        expire: ExpireChange,
    ) -> Slot {
        let content = match int_form(value) {
            Some(number) => Content::Int(number),
            None if value.len() <= RAW_MAX_INLINE => {
                Content::Inline { bytes: value, edited: false }
            }
            None => Content::Shared(Arc::new(value.to_vec())),
        };
        self.set_content(hash, key, slot, content, expire)
    }

    /// Sets a key to a string that stays text even if it spells an integer.
    pub fn set_text(
        &mut self,
        key: &[u8],
        slot: Option<Slot>,
        value: &[u8],
        expire: ExpireChange,
    ) -> Slot {
        let hash = slot.map_or_else(|| H::hash(key), Slot::hash);
        let content = match value.len() <= RAW_MAX_INLINE {
            true => Content::Inline { bytes: value, edited: false },
            false => Content::Shared(Arc::new(value.to_vec())),
        };
        self.set_content(hash, key, slot, content, expire)
    }

    /// Sets a key to an integer.
    pub fn set_int(
        &mut self,
        key: &[u8],
        slot: Option<Slot>,
        value: i64,
        expire: ExpireChange,
    ) -> Slot {
        if let (Some(slot), ExpireChange::Keep) = (slot, expire)
            && self.write_entry(slot).set_int(value)
        {
            return slot;
        }
        let hash = slot.map_or_else(|| H::hash(key), Slot::hash);
        self.set_content(hash, key, slot, Content::Int(value), expire)
    }

    /// The bytes of a string, which becomes a raw one of at least `len_min` bytes, padded with zero
    /// bytes: what APPEND, SETRANGE and SETBIT write into. None if the value is no string.
    pub fn string_bytes_mut(&mut self, slot: Slot, len_min: usize) -> Option<&mut [u8]> {
        let entry = self.table.entry(slot);
        let ValueRef::Str(string) = entry.value() else { return None };
        let len = string.len().max(len_min);
        if entry.is_heap() {
            let bytes =
                self.write_entry(slot).into_heap_string().expect("a heap entry that is a string");
            reserve(bytes, len);
            bytes.resize(len, 0);
            return Some(bytes);
        }
        if len > RAW_MAX_INLINE {
            let mut text = Vec::new();
            reserve(&mut text, len);
            string.write_to(&mut text);
            text.resize(len, 0);
            self.rewrite_keeping_expiry(slot, Content::Shared(Arc::new(text)));
            return self.table.entry_mut(slot).into_heap_string().map(Vec::as_mut_slice);
        }
        if let StrRef::Int(number) = string {
            let mut text = IntBuf::new();
            self.rewrite_keeping_expiry(
                slot,
                Content::Inline { bytes: text.i64(number), edited: true },
            );
        }
        self.rewrite(slot, |entry| entry.with_inline_len(len));
        let ValueMut::Str(string) = self.table.entry_mut(slot).into_value() else {
            unreachable!("checked above")
        };
        string.into_bytes()
    }

    /// Appends to a string, which becomes a raw one; says how long it is now. None if the value is
    /// no string.
    pub fn append(&mut self, slot: Slot, bytes: &[u8]) -> Option<usize> {
        let ValueRef::Str(string) = self.value(slot) else { return None };
        let (old_len, new_len) = (string.len(), string.len() + bytes.len());
        self.string_bytes_mut(slot, new_len)?[old_len..].copy_from_slice(bytes);
        Some(new_len)
    }

    /// Lets `edit` change a string as it likes and stores it as a raw one. None, without a call, if
    /// the value is no string.
    pub fn edit_string<R>(
        &mut self,
        slot: Slot,
        edit: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Option<R> {
        let entry = self.table.entry(slot);
        let ValueRef::Str(string) = entry.value() else { return None };
        if entry.is_heap() {
            return self.write_entry(slot).into_heap_string().map(edit);
        }
        let mut text = Vec::new();
        string.write_to(&mut text);
        let result = edit(&mut text);
        let content = match text.len() <= RAW_MAX_INLINE {
            true => Content::Inline { bytes: &text, edited: true },
            false => Content::Shared(Arc::new(text)),
        };
        self.rewrite_keeping_expiry(slot, content);
        Some(result)
    }

    /// Sets a key to a value, whatever it was before.
    pub fn insert(&mut self, key: &[u8], value: Value, expire_at: Option<i64>) -> Slot {
        let hash = H::hash(key);
        let slot = self.table.find(hash, key);
        let expire = expire_at.map_or(ExpireChange::Clear, ExpireChange::At);
        let ending = next_field_end(value.as_ref());
        let slot = Content::with_value(value, |content| {
            self.set_content(hash, key, slot, content, expire)
        });
        if let Some(at_ms) = ending {
            self.ending.note(key, at_ms);
        }
        slot
    }

    /// Adds a key that is known to be absent.
    pub fn insert_new(&mut self, key: &[u8], value: Value, expire_at: Option<i64>) -> Slot {
        debug_assert!(self.find(key).is_none(), "the caller looked for the key");
        if let Some(at_ms) = next_field_end(value.as_ref()) {
            self.ending.note(key, at_ms);
        }
        self.put(H::hash(key), Entry::new(key, value, expire_at))
    }

    /// Takes a key out.
    pub fn remove(&mut self, slot: Slot) -> Removed {
        let (value, expire_at) = self.take(slot).into_parts();
        Removed { value, expire_at }
    }

    /// Deletes a key. A value that is not a short string is handed out, to be dropped where it
    /// holds up nobody.
    pub fn delete(&mut self, slot: Slot) -> Option<Value> {
        let entry = self.take(slot);
        entry.as_ref().is_heap().then(|| entry.into_parts().0)
    }

    /// Sets or clears the expiry of a key.
    pub fn set_expire(&mut self, slot: Slot, expire_at: Option<i64>) -> Slot {
        let mut entry = self.write_entry(slot);
        if let Some(at) = expire_at
            && entry.set_expiry(at)
        {
            return slot;
        }
        self.rewrite(slot, |entry| entry.with_expiry(expire_at));
        slot
    }

    /// The collections and module values that writes have put others in place of since the last
    /// call. Dropping them takes as long as they are large and may run a module's code, so it is
    /// not done here: to be called after each command.
    #[inline]
    pub fn take_displaced(&mut self) -> Option<Vec<Displaced>> {
        (!self.displaced.is_empty()).then(|| std::mem::take(&mut self.displaced))
    }

    /// Says that a field of the hash at this key ends at this time. Whoever gives a field of a hash in
    /// the db an end says so; what comes into the db by [`Db::insert`] says so by itself.
    pub fn note_field_end(&mut self, key: &[u8], at_ms: i64) {
        self.ending.note(key, at_ms);
    }

    /// Takes up to `count` keys of hashes of which a field may be at its end; who has removed those
    /// fields calls [`Db::relist`].
    pub fn take_ending(&mut self, now_ms: i64, count: usize) -> Vec<Arc<[u8]>> {
        self.ending.take_due(now_ms, count)
    }

    /// Looks when the next field ends of a hash that was taken from the list.
    pub fn relist(&mut self, key: &[u8]) {
        let next = self.find(key).and_then(|slot| next_field_end(self.value(slot)));
        if let Some(at_ms) = next {
            self.ending.note(key, at_ms);
        }
    }

    /// Empties the db.
    pub fn clear(&mut self) -> Detached<H> {
        let (table, ending) = (std::mem::take(&mut self.table), std::mem::take(&mut self.ending));
        Detached { len: table.len(), table: self.hook.release(table), ending }
    }

    /// Stores a short string or an integer anew; the caller has seen that nothing is lost by that.
    fn rewrite_keeping_expiry(&mut self, slot: Slot, content: Content<'_>) {
        self.rewrite(slot, |entry| {
            let expire_at = entry.as_ref().expire_at();
            entry.with_content(content, expire_at).0
        });
    }

    fn set_content(
        &mut self,
        hash: u64,
        key: &[u8],
        slot: Option<Slot>,
        content: Content<'_>,
        expire: ExpireChange,
    ) -> Slot {
        let Some(slot) = slot else {
            return self.put(hash, Entry::with(key, content, expire.applied_to(None)));
        };
        debug_assert!(self.key(slot) == key, "the slot is the key's");
        self.forget_fields(slot);
        let expire_at = expire.applied_to(self.expire_at(slot));
        if let Content::Inline { bytes, edited: false } = content
            && self.write_entry(slot).set_inline(bytes, expire_at)
        {
            return slot;
        }
        let mut old = None;
        self.rewrite(slot, |entry| {
            let (entry, heap) = entry.with_content(content, expire_at);
            old = heap;
            entry
        });
        // A string costs one deallocation; what else there is may cost more, and may run foreign
        // code.
        if let Some(value) = old.filter(|old| old.kind() != ValueKind::String) {
            let named = value.kind() == ValueKind::Module;
            let key = if named { key.into() } else { Box::default() };
            self.displaced.push(Displaced { key, value });
        }
        slot
    }

    /// The table, for tests of its invariants.
    #[cfg(test)]
    pub(super) fn table(&self) -> &Table<H> {
        &self.table
    }

    /// An entry, to be changed in place.
    #[inline]
    fn write_entry(&mut self, slot: Slot) -> EntryMut<'_> {
        self.before_write(slot);
        self.table.entry_mut(slot)
    }

    /// An entry, to become another one of the same key.
    #[inline]
    fn rewrite(&mut self, slot: Slot, change: impl FnOnce(Entry) -> Entry) {
        self.before_write(slot);
        self.table.update(slot, change);
    }

    /// A value is about to change, perhaps by way of a pointer that its module has.
    #[inline]
    pub fn before_write(&self, slot: Slot) {
        if self.hook.is_on() {
            self.hook.before_write(slot.hash(), self.table.entry(slot));
        }
    }

    /// An entry, to come into the table.
    fn put(&mut self, hash: u64, entry: Entry) -> Slot {
        if self.hook.is_on() {
            self.hook.created(hash, entry.as_ref());
        }
        self.table.insert_new(hash, entry)
    }

    /// A value leaves: if it is a hash, its fields need not be watched any more.
    #[inline]
    fn forget_fields(&mut self, slot: Slot) {
        if !self.ending.is_empty() {
            let entry = self.table.entry(slot);
            if matches!(entry.value(), ValueRef::Hash(_)) {
                self.ending.forget(entry.key());
            }
        }
    }

    /// An entry, to leave the table.
    fn take(&mut self, slot: Slot) -> Entry {
        self.forget_fields(slot);
        if self.hook.is_on() {
            self.hook.before_leaving(slot.hash(), self.table.entry(slot));
        }
        self.table.remove(slot)
    }
}

/// Snapshots.
impl<H: KeyHash> Db<H> {
    /// Whether a snapshot walks the table.
    pub(super) fn is_walked(&self) -> bool {
        self.hook.is_on()
    }

    /// The table, if this walk goes through it.
    pub(super) fn table_walked_by(&self, walk: &Arc<TableWalk<H>>) -> Option<&Table<H>> {
        self.hook.is_of(walk).then_some(&self.table)
    }

    /// From now on the walk is told of writes.
    pub(super) fn begin_walk(&mut self, walk: Arc<TableWalk<H>>) {
        self.hook.begin(walk);
    }

    /// From now on nobody is told.
    pub(super) fn end_walk(&mut self) {
        self.hook.end();
        #[cfg(test)]
        assert!(!self.has_marks(), "no mark is left");
    }

    /// Whether any entry has a mark.
    #[cfg(test)]
    fn has_marks(&self) -> bool {
        let (mut position, mut found) = (0, false);
        loop {
            position = self.table.scan(position, |entry| found |= entry.is_marked());
            if position == 0 {
                return found;
            }
        }
    }
}

/// When the first field of a hash ends, in unix milliseconds; never, for other values.
fn next_field_end(value: ValueRef<'_>) -> Option<i64> {
    let ValueRef::Hash(hash) = value else { return None };
    hash.next_expire().map(|at_ms| i64::try_from(at_ms).unwrap_or(i64::MAX))
}

/// A key lives up to its expiry and is gone one millisecond later, as in Redis.
#[inline]
fn is_past(expire_at: Option<i64>, now_ms: i64) -> bool {
    expire_at.is_some_and(|at| now_ms > at)
}

/// Makes room for a string to grow to `len`, and for more growth after it.
fn reserve(bytes: &mut Vec<u8>, len: usize) {
    if len <= bytes.capacity() {
        return;
    }
    let spare = if len < DOUBLING_BYTES_MAX { len } else { (len / 8).max(DOUBLING_BYTES_MAX) };
    bytes.reserve_exact(len + spare - bytes.len());
}
