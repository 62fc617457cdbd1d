//! How does a snapshot see every entry as it was when it began, while writes go on?
//!
//! # What it promises
//! A [`Walk`] that was begun under the exclusive lock hands out each entry that was there then, once, with
//! the value that it had then, whatever is written, deleted, renamed, flushed or swapped meanwhile. Nobody
//! waits for it longer than one of its slices takes, and it costs memory only for what is written meanwhile.
//!
//! # How it works
//! The walk goes through the tables that had keys, one after the other, each in hash order
//! ([`super::scan`]), in slices under the lock. In each table it has a position: what lies behind it has been handed
//! out, and nobody cares what becomes of it. Whoever is about to change an entry ahead of it first hands the
//! old value over ([`super::hook`]) and marks the entry, which the walk then skips, clearing the mark. What
//! comes into a table ahead of the position is born marked. What leaves a table is handed over like
//! what changes; its value may come into a table again, as a new entry, marked or not as its new place
//! demands. So a rename across the position neither loses nor repeats anything.
//!
//! Short strings are copied. Everything else is shared: a large value is taken by its root, and whoever
//! writes to it then copies the nodes concerned. Only the values of modules must be encoded on the spot, by
//! their module's code.
//!
//! Tables, not dbs, are walked. When dbs are swapped the tables take their walks along; a table that is
//! cleared out of its db ahead of the position goes to the walk, which frees it.
//!
//! A walk that is given up goes on without handing anything out, to clear the marks that were set; then the next one may
//! begin.
//!
//! # Invariants
//! 1. Positions move under the shared lock at least, and are compared under the exclusive lock.
//! 2. In a walked table, an entry with a mark lies ahead of the position; `marks` is their number.
//! 3. Outside of walked tables no entry has a mark.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use super::Keyspace;
use super::entry::view::EntryRef;
use super::hash::{KeyHash, SeededHash};
use super::scan::POSITION_BITS;
use super::table::Table;
use super::value::{RAW_MAX_INLINE, StrRef, Value, ValueRef};
use crate::object::module::{KeyName, TypeVtable};
use crate::object::rdb;
use crate::object::rdb::write::{Style, Writer};

/// The position behind all entries.
const END: u64 = 1 << POSITION_BITS;

/// Bytes that an element of a collection is taken to need, where only the order of magnitude counts.
const ELEMENT_BYTES: usize = 16;

/// A batch that has more room than this gives it back when it is emptied.
const ROOM_KEPT_MAX: usize = 1 << 20;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// About how many bytes of memory are held for snapshots, and are given back by themselves: keys need not be
/// evicted for them, which would be handed over in their turn.
pub fn held_bytes() -> usize {
    HELD.load(Relaxed)
}

/// Says that so many more bytes are held, until [`let_go`] is called.
pub fn hold(bytes: usize) {
    HELD.fetch_add(bytes, Relaxed);
}

/// Says that bytes are held no more.
pub fn let_go(bytes: usize) {
    HELD.fetch_sub(bytes, Relaxed);
}

/// An entry as it was when the snapshot began.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    /// Its db's number then.
    pub db: u32,
    /// Its key.
    pub key: &'a [u8],
    /// The 24 bits of its access clock.
    pub clock: u32,
    /// When it expires, in unix milliseconds.
    pub expire_at: Option<i64>,
    /// Its value.
    pub value: SavedValue<'a>,
}

/// A value as it was when the snapshot began.
#[derive(Clone, Copy)]
pub enum SavedValue<'a> {
    /// It is still to be encoded.
    Value(ValueRef<'a>),
    /// A module's, encoded (`object/rdb/module.rs`).
    Module(&'a [u8]),
    /// A module's, which cannot be saved.
    Unsavable(&'a dyn TypeVtable),
}

/// About how many bytes are handed over in one batch; fewer in tests, which have small keyspaces.
const HANDED_BYTES: usize = if cfg!(test) { 512 } else { 256 * 1024 };

/// Entries that were handed out or over.
#[derive(Default)]
pub struct Batch {
    /// Keys, each with the text that is its value, if it is one.
    bytes: Vec<u8>,
    records: Vec<Record>,
    /// About what the values hold that are not in `bytes`.
    held_bytes: usize,
}

struct Record {
    db: u32,
    clock: u32,
    expire_at: Option<i64>,
    key_len: usize,
    held: Held,
}

/// Where a value is.
enum Held {
    Int(i64),
    /// So many bytes behind the key.
    Text(usize),
    /// So many bytes behind the key, encoded.
    Module(usize),
    Unsavable(Arc<dyn TypeVtable>),
    /// Here: a large string or a collection, shared.
    Value(Value),
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Batch {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// About how much memory is held.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + self.records.len() * size_of::<Record>() + self.held_bytes
    }

    /// Memory that is allocated for it.
    fn room(&self) -> usize {
        self.bytes.capacity() + self.records.capacity() * size_of::<Record>() + self.held_bytes
    }

    /// Forgets the entries, and keeps the room if it is little.
    pub fn clear(&mut self) {
        if self.room() > ROOM_KEPT_MAX {
            *self = Self::default();
            return;
        }
        let_go(self.held_bytes);
        self.bytes.clear();
        self.records.clear();
        self.held_bytes = 0;
    }

    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = Saved<'_>> {
        let mut rest = &self.bytes[..];
        self.records.iter().map(move |record| {
            let mut next = |len: usize| {
                let (part, behind) = rest.split_at(len);
                rest = behind;
                part
            };
            let key = next(record.key_len);
            let value = match &record.held {
                Held::Int(number) => SavedValue::Value(ValueRef::Str(StrRef::Int(*number))),
                Held::Text(len) => SavedValue::Value(ValueRef::Str(StrRef::Bytes(next(*len)))),
                Held::Module(len) => SavedValue::Module(next(*len)),
                Held::Unsavable(vtable) => SavedValue::Unsavable(&**vtable),
                Held::Value(value) => SavedValue::Value(value.as_ref()),
            };
            let Record { db, clock, expire_at, .. } = *record;
            Saved { db, key, clock, expire_at, value }
        })
    }

    fn push(&mut self, db: u32, entry: EntryRef<'_>, style: Style) {
        let room = self.room();
        let key = entry.key();
        self.bytes.extend_from_slice(key);
        let held = match entry.value() {
            ValueRef::Str(StrRef::Int(number)) => Held::Int(number),
            ValueRef::Str(StrRef::Bytes(text)) if text.len() <= RAW_MAX_INLINE => {
                self.bytes.extend_from_slice(text);
                Held::Text(text.len())
            }
            ValueRef::Str(text) => {
                self.held_bytes += text.len();
                Held::Value(Value::Str(entry.to_str_value().expect("a string")))
            }
            ValueRef::Module(value) => {
                let name = KeyName { name: Some(key), db: db as i32 };
                let mut writer = Writer::new(style);
                if rdb::module::save(value, name, &mut writer) {
                    let encoded = writer.into_bytes();
                    self.bytes.extend_from_slice(&encoded);
                    Held::Module(encoded.len())
                } else {
                    Held::Unsavable(Arc::clone(value.vtable()))
                }
            }
            collection => {
                self.held_bytes += collection.elements() * ELEMENT_BYTES;
                Held::Value(collection.copy_collection().expect("all other types are handled"))
            }
        };
        let (clock, expire_at, key_len) = (entry.clock(), entry.expire_at(), key.len());
        self.records.push(Record { db, clock, expire_at, key_len, held });
        hold(self.room() - room);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let_go(self.room());
    }
}

/// Where old values are handed over: in batches that do not grow without end, since a writer would move all that is
/// in one when it grows.
#[derive(Debug)]
pub struct Handover {
    style: Style,
    waiting: Mutex<Waiting>,
    /// About how much was handed over.
    bytes: AtomicU64,
    /// The walk was given up: nothing is handed over any more, and no mark set.
    discards: AtomicBool,
}

/// What waits to be taken.
#[derive(Debug, Default)]
struct Waiting {
    /// Batches to which nothing is added any more, oldest first.
    full: VecDeque<Batch>,
    full_bytes: usize,
    open: Batch,
}

impl Handover {
    /// Takes some of what was handed over; false if nothing was. `batch` is empty, and its room is used again.
    pub fn take(&self, batch: &mut Batch) -> bool {
        debug_assert!(batch.is_empty(), "what is in there would be handed out again");
        let mut waiting = self.waiting.lock();
        match waiting.full.pop_front() {
            Some(full) => {
                waiting.full_bytes -= full.bytes();
                // Given back outside the lock.
                drop(waiting);
                *batch = full;
            }
            None => std::mem::swap(&mut waiting.open, batch),
        }
        !batch.is_empty()
    }

    /// About how much memory waits to be taken.
    pub fn waiting_bytes(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.full_bytes + waiting.open.bytes()
    }

    /// About how many bytes were handed over in all.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn discards(&self) -> bool {
        self.discards.load(Relaxed)
    }

    fn push(&self, db: u32, entry: EntryRef<'_>) {
        let mut waiting = self.waiting.lock();
        let Waiting { full, full_bytes, open } = &mut *waiting;
        let before = open.bytes();
        open.push(db, entry, self.style);
        self.bytes.fetch_add((open.bytes() - before) as u64, Relaxed);
        if open.bytes() >= HANDED_BYTES {
            *full_bytes += open.bytes();
            full.push_back(std::mem::take(open));
        }
    }
}

/// The part of a walk that concerns one table: what its db's hook goes by.
pub(super) struct TableWalk<H: KeyHash> {
    db: u32,
    /// The first position whose entries have not been handed out.
    position: AtomicU64,
    /// Entries with a mark.
    marks: AtomicUsize,
    /// The table itself, when it is in no db any more.
    orphan: Mutex<Option<Table<H>>>,
    handover: Arc<Handover>,
}

impl<H: KeyHash> TableWalk<H> {
    /// Whether the walk has still to come to the entries with this hash.
    #[inline]
    fn is_ahead(&self, hash: u64) -> bool {
        hash >> (u64::BITS - POSITION_BITS) >= self.position.load(Relaxed)
    }

    fn mark(&self, entry: EntryRef<'_>) {
        entry.set_marked(true);
        self.marks.fetch_add(1, Relaxed);
    }

    fn unmark(&self, entry: EntryRef<'_>) {
        entry.set_marked(false);
        self.marks.fetch_sub(1, Relaxed);
    }

    /// An entry is about to change.
    pub(super) fn before_write(&self, hash: u64, entry: EntryRef<'_>) {
        if !entry.is_marked() && self.is_ahead(hash) && !self.handover.discards() {
            self.handover.push(self.db, entry);
            self.mark(entry);
        }
    }

    /// An entry is about to leave the table.
    pub(super) fn before_leaving(&self, hash: u64, entry: EntryRef<'_>) {
        if entry.is_marked() {
            self.unmark(entry);
        } else if self.is_ahead(hash) && !self.handover.discards() {
            self.handover.push(self.db, entry);
        }
    }

    /// An entry is about to enter the table.
    pub(super) fn created(&self, hash: u64, entry: EntryRef<'_>) {
        if self.is_ahead(hash) && !self.handover.discards() {
            self.mark(entry);
        }
    }

    /// Takes over a table that leaves its db, if something of it is still to be handed out.
    pub(super) fn adopt(&self, table: Table<H>) -> Option<Table<H>> {
        if self.handover.discards() || self.position.load(Relaxed) == END {
            self.position.store(END, Relaxed);
            self.marks.store(0, Relaxed);
            return Some(table);
        }
        *self.orphan.lock() = Some(table);
        None
    }

    /// Hands out an entry that the walk has come to.
    fn visit(&self, entry: EntryRef<'_>, discards: bool, batch: &mut Batch) {
        if entry.is_marked() {
            self.unmark(entry);
        } else if !discards {
            batch.push(self.db, entry, self.handover.style);
        }
    }
}

/// Whether a walk is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more.
    More,
    /// Everything has been handed out or over; from now on nothing is.
    Done,
}

/// A snapshot that is being taken; see the top of this file.
pub struct Walk<H: KeyHash = SeededHash> {
    tables: Vec<Arc<TableWalk<H>>>,
    /// Those before it are done.
    at: usize,
    /// The table at `at`, if it is in no db.
    orphan: Option<Table<H>>,
    garbage: Vec<Table<H>>,
    handover: Arc<Handover>,
}

impl<H: KeyHash> fmt::Debug for Walk<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<H: KeyHash> Walk<H> {
    /// Where old values are handed over; to be emptied now and then, and once more at the end.
    pub fn handover(&self) -> &Arc<Handover> {
        &self.handover
    }

    /// Gives the snapshot up. Slices go on until they are done.
    pub fn discard(&self) {
        self.handover.discards.store(true, Relaxed);
        // Dropped outside the lock.
        drop(std::mem::take(&mut *self.handover.waiting.lock()));
    }

    /// Hands out entries for as long as `goes_on`, which is asked after every few, wants more. Under the shared lock,
    /// or the exclusive one if there are values of modules.
    pub fn slice(
        &mut self,
        keyspace: &Keyspace<H>,
        batch: &mut Batch,
        mut goes_on: impl FnMut(&Batch) -> bool,
    ) -> Step {
        let discards = self.handover.discards();
        while let Some(own) = self.tables.get(self.at) {
            if self.orphan.is_none() {
                self.orphan = own.orphan.lock().take();
            }
            if discards && own.marks.load(Relaxed) == 0 {
                own.position.store(END, Relaxed);
            }
            let mut position = own.position.load(Relaxed);
            while position != END {
                let table = self.orphan.as_ref().or_else(|| keyspace.walked_table(own));
                let table = table.expect("a walked table is in a db, or was given to its walk");
                let mut is_over = false;
                let visit = |batch: &mut Batch, entry: EntryRef<'_>| {
                    own.visit(entry, discards, batch);
                };
                let next = table.scan_segment(position, batch, visit, |batch| {
                    is_over = !goes_on(batch);
                    !is_over
                });
                position = if next == 0 { END } else { next };
                own.position.store(position, Relaxed);
                if is_over || !goes_on(batch) {
                    return Step::More;
                }
            }
            self.garbage.extend(self.orphan.take());
            self.at += 1;
        }
        Step::Done
    }

    /// Tables that are in no db any more. Dropping one takes as long as it is large; under the exclusive lock, if there are
    /// values of modules.
    pub fn take_garbage(&mut self) -> Vec<Table<H>> {
        std::mem::take(&mut self.garbage)
    }

    /// The walks of its tables, by the numbers of their dbs.
    pub(super) fn begin(
        style: Style,
        dbs: impl Iterator<Item = u32>,
    ) -> (Self, Vec<Arc<TableWalk<H>>>) {
        let handover = Arc::new(Handover {
            style,
            waiting: Mutex::default(),
            bytes: AtomicU64::new(0),
            discards: AtomicBool::new(false),
        });
        let table = |db| {
            Arc::new(TableWalk {
                db,
                position: AtomicU64::new(0),
                marks: AtomicUsize::new(0),
                orphan: Mutex::new(None),
                handover: Arc::clone(&handover),
            })
        };
        let tables: Vec<_> = dbs.map(table).collect();
        let walk =
            Self { tables: tables.clone(), at: 0, orphan: None, garbage: Vec::new(), handover };
        (walk, tables)
    }

    /// Asserts that the walk is over and has left nothing behind.
    pub(super) fn assert_over(&self) {
        assert_eq!(self.at, self.tables.len(), "a walk is ended when it is done");
        for own in &self.tables {
            debug_assert_eq!(own.marks.load(Relaxed), 0, "no mark is left in db {}", own.db);
        }
    }
}
