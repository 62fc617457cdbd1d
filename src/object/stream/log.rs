//! How are the entries of a stream held, added, found and deleted?
//!
//! In nodes (`node.rs`) of some KiB, ordered by the ID of their first entry. All but the last are in a
//! tree (`tree.rs`); the last stands by itself, because nearly every entry is added there, and because a
//! short stream then needs no tree. Nodes are reference-counted: what a snapshot holds is copied node by
//! node, as it is written to.
//!
//! Invariants: the tail is the last node, and there is one unless there is no entry; every node has a
//! live entry; `length` counts the live entries; `first_id` is the first of them, 0-0 if there is none.

use std::sync::Arc;

use super::id::StreamId;
use super::node::{self, Fields, Pairs, Raw, Reader, ReaderBack};
use super::tree::{self, IdMap};
use crate::base::moving::Mover;
use crate::object::listpack::{BYTES_MAX, Listpack};

/// When a node is full: `stream-node-max-bytes` and `stream-node-max-entries`, 0 for no limit.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Bytes of a node.
    pub bytes_max: usize,
    /// Entries of a node, deleted ones too.
    pub entries_max: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self { bytes_max: 4096, entries_max: 100 }
    }
}

/// The ID that a new entry is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// The time, or what comes behind the last one: `*`.
    Auto,
    /// This time and any number within it: `<ms>-*`.
    Within(u64),
    /// Just this one.
    Exact(StreamId),
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// There is no ID behind the last one.
    Exhausted,
    /// The ID is not behind the last one.
    NotBehind,
    /// The entry is too large for a node.
    TooLarge,
}

/// What a trim is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// So many entries.
    Length(u64),
    /// Those from this ID on.
    MinId(StreamId),
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is to be left.
    pub to: TrimTo,
    /// Whole nodes only.
    pub approximate: bool,
    /// Entries to delete at most.
    pub limit: Option<u64>,
}

/// A node and its ID.
#[derive(Clone, Debug)]
struct Tail {
    id: StreamId,
    pack: Arc<Listpack>,
}

/// The entries of a stream; see the top of this file.
#[derive(Clone, Debug, Default)]
pub struct Log {
    nodes: IdMap<Arc<Listpack>>,
    tail: Option<Tail>,
    length: u64,
    first_id: StreamId,
    /// The last ID that was given out, or as XSETID says.
    pub last_id: StreamId,
    /// The largest ID that XDEL deleted, or as XSETID says.
    pub max_deleted_id: StreamId,
    /// Entries that were ever added, or as XSETID says.
    pub entries_added: u64,
}

/// Nodes that [`Log::memory_bytes`] looks at; of more it takes the mean.
const MEASURED_MAX: usize = 64;

impl Log {
    /// Number of entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Moves blocks from the node with this ID on, until time is up; the ID to go on from, if there is more.
    pub(super) fn move_blocks(
        &mut self,
        from: StreamId,
        mover: &mut Mover<'_>,
    ) -> Option<StreamId> {
        let move_pack = |pack: &mut Arc<Listpack>, mover: &mut Mover<'_>| {
            if let Some(pack) = mover.shared(pack, Listpack::default) {
                pack.bytes_mut().move_block(mover);
            }
        };
        if from == StreamId::MIN
            && let Some(tail) = &mut self.tail
        {
            move_pack(&mut tail.pack, mover);
        }
        let mut from = from;
        loop {
            from = self.nodes.move_leaf(from, mover, move_pack)?;
            if !mover.goes_on() {
                return Some(from);
            }
        }
    }

    /// The ID of the first entry; 0-0 if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The ID of the last entry that is not deleted.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The ID of the first entry, be it deleted or not.
    pub fn first_stored_id(&self) -> Option<StreamId> {
        let (id, pack) = self.nodes().next()?;
        node::first_id(id, pack)
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len() + usize::from(self.tail.is_some())
    }

    /// Allocated bytes, without this struct itself: of a long stream an estimate.
    pub fn memory_bytes(&self) -> usize {
        let counted = 2 * size_of::<usize>() + size_of::<Listpack>();
        let measured: usize = self
            .nodes
            .iter()
            .take(MEASURED_MAX)
            .map(|(_, pack)| counted + pack.memory_bytes())
            .sum();
        let sealed = match self.nodes.len() {
            0..=MEASURED_MAX => measured,
            len => measured / MEASURED_MAX * len,
        };
        let tail = self.tail.as_ref().map_or(0, |tail| counted + tail.pack.memory_bytes());
        self.nodes.memory_bytes() + sealed + tail
    }

    /// The ID that an entry added now would get.
    #[inline]
    pub fn next_id(&self, wanted: NewId, now_ms: u64) -> Result<StreamId, AddError> {
        let next = self.last_id.next().ok_or(AddError::Exhausted)?;
        let id = match wanted {
            NewId::Auto if now_ms > self.last_id.ms => StreamId::new(now_ms, 0),
            NewId::Auto => next,
            NewId::Within(ms) if ms == next.ms && ms == self.last_id.ms => next,
            NewId::Within(ms) => StreamId::new(ms, 0),
            NewId::Exact(id) => id,
        };
        if id > self.last_id { Ok(id) } else { Err(AddError::NotBehind) }
    }

    /// Adds an entry with an ID that [`Log::next_id`] gave.
    pub fn append(
        &mut self,
        id: StreamId,
        pairs: Pairs<'_>,
        limits: NodeLimits,
    ) -> Result<(), AddError> {
        if !node::fits(pairs) {
            return Err(AddError::TooLarge);
        }
        if self.tail.as_ref().is_some_and(|tail| is_full(&tail.pack, pairs, limits)) {
            self.seal();
        }
        match &mut self.tail {
            Some(tail) => node::append(Arc::make_mut(&mut tail.pack), tail.id, id, pairs),
            None => self.tail = Some(Tail { id, pack: Arc::new(node::begin(pairs)) }),
        }
        self.length += 1;
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// Puts the tail, which is full, among the other nodes.
    fn seal(&mut self) {
        let Some(Tail { id, pack }) = self.tail.take() else { return };
        self.nodes.insert(id, pack);
    }

    /// Deletes entries; how many there were of them.
    pub fn delete(&mut self, ids: &[StreamId]) -> u64 {
        let mut deleted = 0;
        let mut first_is_gone = false;
        for &id in ids {
            if self.delete_one(id) {
                first_is_gone |= id == self.first_id;
                self.max_deleted_id = self.max_deleted_id.max(id);
                deleted += 1;
            }
        }
        if first_is_gone {
            self.find_first();
        }
        deleted
    }

    fn delete_one(&mut self, id: StreamId) -> bool {
        let Some((node_id, pack)) = self.node_of(id).filter(|_| self.contains(id)) else {
            return false;
        };
        let (live, _) = node::counts(pack);
        self.length -= 1;
        if live <= 1 {
            self.remove_node(node_id);
        } else if let Some(pack) = self.node_mut(node_id) {
            node::delete(pack, node_id, id);
        }
        true
    }

    /// Deletes entries from the front; how many.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let mut trimmed = 0;
        while let Some((id, pack)) = self.nodes().next() {
            if matches!(trim.to, TrimTo::Length(length) if self.length <= length) {
                break;
            }
            let (live, _) = node::counts(pack);
            if trim.limit.is_some_and(|limit| trimmed + live > limit) {
                break;
            }
            let whole = match trim.to {
                TrimTo::Length(length) => self.length.saturating_sub(live) >= length,
                TrimTo::MinId(min) => node::last_id(id, pack).is_none_or(|last| last < min),
            };
            if !whole {
                if !trim.approximate {
                    return trimmed + self.trim_node(id, trim.to);
                }
                break;
            }
            self.remove_node(id);
            self.length = self.length.saturating_sub(live);
            trimmed += live;
        }
        if trimmed > 0 {
            self.find_first();
        }
        trimmed
    }

    /// Deletes entries from the front of the first node; how many.
    fn trim_node(&mut self, id: StreamId, to: TrimTo) -> u64 {
        let excess = match to {
            TrimTo::Length(length) => self.length.saturating_sub(length),
            TrimTo::MinId(_) => u64::MAX,
        };
        let Some(pack) = self.node_mut(id) else { return 0 };
        let cut = node::delete_front(pack, id, |entry, marked| match to {
            TrimTo::Length(_) => marked >= excess,
            TrimTo::MinId(min) => entry >= min,
        });
        self.length = self.length.saturating_sub(cut.marked);
        match cut.first_id {
            Some(first) => self.first_id = first,
            // The entries behind the ID had all been deleted before.
            None => {
                self.remove_node(id);
                self.find_first();
            }
        }
        cut.marked
    }

    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        self.first_id = first.map_or(StreamId::MIN, |entry| entry.id);
    }

    /// The node where an ID is or would be.
    fn node_of(&self, id: StreamId) -> Option<(StreamId, &Listpack)> {
        match &self.tail {
            Some(tail) if tail.id <= id => Some((tail.id, &tail.pack)),
            _ => self.nodes.at_or_before(id).map(|(id, pack)| (id, &**pack)),
        }
    }

    /// The node of this ID, to change.
    fn node_mut(&mut self, id: StreamId) -> Option<&mut Listpack> {
        match &mut self.tail {
            Some(tail) if tail.id == id => Some(Arc::make_mut(&mut tail.pack)),
            _ => self.nodes.get_mut(id).map(Arc::make_mut),
        }
    }

    fn remove_node(&mut self, id: StreamId) {
        if self.tail.as_ref().is_some_and(|tail| tail.id == id) {
            self.tail = self.nodes.pop_last().map(|(id, pack)| Tail { id, pack });
        } else {
            self.nodes.remove(id);
        }
    }

    /// All nodes in order, with their ids: what RDB files contain.
    pub fn nodes(&self) -> Nodes<'_> {
        self.nodes_from(StreamId::MIN)
    }

    /// The nodes from that where an ID is or would be.
    fn nodes_from(&self, id: StreamId) -> Nodes<'_> {
        let tail = self.tail.as_ref();
        let sealed = match tail {
            // Those who read as entries come have no way to go.
            Some(tail) if tail.id <= id => None,
            _ => {
                let from = self.nodes.at_or_before(id).map_or(id, |(id, _)| id);
                Some(self.nodes.iter_from(from))
            }
        };
        Nodes { sealed, tail }
    }

    /// The entries from `start` to `end`, both included, in order.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range { nodes: self.nodes_from(start), reader: None, start, end }
    }

    /// The same entries backwards.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        let tail = self.tail.as_ref().filter(|tail| tail.id <= end);
        RangeBack { tail, sealed: self.nodes.iter_back(end), reader: None, start, end }
    }

    /// Whether XDEL may have deleted an entry from `start` on, among those that are there.
    pub fn has_gaps_from(&self, start: StreamId) -> bool {
        self.length > 0
            && self.max_deleted_id != StreamId::MIN
            && self.first_id <= self.max_deleted_id
            && start <= self.max_deleted_id
    }

    /// How many entries were ever added up to an ID, if that can be told without counting.
    pub fn added_up_to(&self, id: StreamId) -> Option<i64> {
        let added = self.entries_added as i64;
        if added == 0 || id == self.last_id || (self.length == 0 && id < self.last_id) {
            return Some(added);
        }
        let is_whole = self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id;
        if id > self.last_id || !is_whole {
            return None;
        }
        let before_first = added.wrapping_sub(self.length as i64);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less => Some(before_first),
            std::cmp::Ordering::Equal => Some(before_first.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// The entry of an ID.
    pub fn entry(&self, id: StreamId) -> Option<Entry<'_>> {
        let (node_id, pack) = self.node_of(id)?;
        let mut entries = Reader::new(node_id, pack).filter(|raw| !raw.is_deleted());
        entries.find(|raw| raw.id >= id).filter(|raw| raw.id == id).and_then(Entry::live)
    }

    /// Whether the entry is there.
    pub fn contains(&self, id: StreamId) -> bool {
        self.entry(id).is_some()
    }

    /// Adds a node of an RDB file behind all others, after checking every byte; false if it is none or
    /// stands in the wrong place.
    pub fn restore_node(&mut self, id: StreamId, bytes: Vec<u8>) -> bool {
        let Ok(pack) = Listpack::from_bytes(bytes) else { return false };
        if self.tail.as_ref().is_some_and(|tail| tail.id >= id) || !node::check(id, &pack) {
            return false;
        }
        self.length = self.length.saturating_add(node::counts(&pack).0);
        self.seal();
        self.tail = Some(Tail { id, pack: Arc::new(pack) });
        if self.nodes.is_empty() {
            self.find_first();
        }
        true
    }
}

/// Whether an entry goes to another node.
#[inline]
fn is_full(pack: &Listpack, pairs: Pairs<'_>, limits: NodeLimits) -> bool {
    let bytes_max = match limits.bytes_max {
        0 => BYTES_MAX,
        bytes => bytes.min(BYTES_MAX),
    };
    let bytes = pack.as_bytes().len();
    if bytes + node::text_bytes(pairs) >= bytes_max || !pack.has_room_for(node::bytes_max(pairs)) {
        return true;
    }
    let (live, deleted) = node::counts(pack);
    limits.entries_max != 0 && live + deleted >= limits.entries_max as u64
}

/// An entry.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: StreamId,
    /// Its fields and values.
    pub fields: Fields<'a>,
}

impl<'a> Entry<'a> {
    fn live(raw: Raw<'a>) -> Option<Self> {
        (!raw.is_deleted()).then_some(Self { id: raw.id, fields: raw.fields })
    }
}

/// Nodes in order.
#[derive(Clone, Debug)]
pub struct Nodes<'a> {
    sealed: Option<tree::Iter<'a, Arc<Listpack>>>,
    tail: Option<&'a Tail>,
}

impl<'a> Iterator for Nodes<'a> {
    type Item = (StreamId, &'a Listpack);

    fn next(&mut self) -> Option<Self::Item> {
        match self.sealed.as_mut().and_then(Iterator::next) {
            Some((id, pack)) => Some((id, pack)),
            None => self.tail.take().map(|tail| (tail.id, &*tail.pack)),
        }
    }
}

/// Entries in order.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    nodes: Nodes<'a>,
    reader: Option<Reader<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            while let Some(raw) = self.reader.as_mut().and_then(Iterator::next) {
                if raw.id > self.end && !raw.is_deleted() {
                    return None;
                }
                if raw.id >= self.start
                    && let Some(entry) = Entry::live(raw)
                {
                    return Some(entry);
                }
            }
            let (id, pack) = self.nodes.next()?;
            if id > self.end {
                return None;
            }
            self.reader = Some(Reader::new(id, pack));
        }
    }
}

/// Entries backwards.
#[derive(Clone, Debug)]
pub struct RangeBack<'a> {
    tail: Option<&'a Tail>,
    sealed: tree::IterBack<'a, Arc<Listpack>>,
    reader: Option<ReaderBack<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            while let Some(raw) = self.reader.as_mut().and_then(Iterator::next) {
                if raw.id < self.start && !raw.is_deleted() {
                    return None;
                }
                if raw.id <= self.end
                    && let Some(entry) = Entry::live(raw)
                {
                    return Some(entry);
                }
            }
            let (id, pack) = match self.tail.take() {
                Some(tail) => (tail.id, &*tail.pack),
                None => self.sealed.next().map(|(id, pack)| (id, &**pack))?,
            };
            self.reader = Some(ReaderBack::new(id, pack));
        }
    }
}
