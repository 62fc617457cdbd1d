//! How is it held who has read what? Consumer groups, their consumers, and the entries that were
//! delivered and not acknowledged yet.
//!
//! A pending entry stands twice: in the group by ID with its owner, and as an ID with its owner. Both
//! lists are trees whose clones share their nodes, consumers and groups are reference-counted: a snapshot
//! takes a reference, and a delivery then copies one consumer's record and a few tree nodes.
//!
//! Invariants: an entry is pending for a consumer just if the group's list names that consumer as its
//! owner (while a group is restored, entries may have none yet: [`Group::is_complete`]); a consumer keeps
//! its slot as long as it lives; `order` lists the slots in use by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::id::StreamId;
use super::log::Log;
use super::tree::{IdMap, Iter};
use crate::base::moving::Mover;

/// Where a group keeps a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSlot(u32);

/// The owner of an entry that was restored before its consumer.
const NOBODY: ConsumerSlot = ConsumerSlot(u32::MAX);

/// A pending entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub count: u64,
    /// To whom.
    pub owner: ConsumerSlot,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last tried to read or claim.
    pub seen_ms: i64,
    /// When it last got something.
    pub active_ms: Option<i64>,
    pending: IdMap<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Moves a leaf of what is pending for it, and, with the first, its own blocks; the ID to go on from, if there is
    /// more.
    fn move_leaf(this: &mut Arc<Self>, from: StreamId, mover: &mut Mover<'_>) -> Option<StreamId> {
        let own = if from == StreamId::MIN {
            let nobody = || Self {
                name: Box::default(),
                seen_ms: 0,
                active_ms: None,
                pending: IdMap::default(),
            };
            let own = mover.shared(this, nobody)?;
            mover.bytes(&mut own.name);
            own
        } else {
            Arc::get_mut(this)?
        };
        own.pending.move_leaf(from, mover, |(), _| {})
    }

    /// How many entries are pending for it.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The entries that are pending for it, from `from` on.
    pub fn pending_from(&self, from: StreamId) -> impl Iterator<Item = StreamId> + '_ {
        self.pending.iter_from(from).map(|(id, ())| id)
    }
}

/// A consumer group; see the top of this file.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last entry that was delivered.
    pub last_id: StreamId,
    /// How many entries of the stream were delivered or passed over, if that is known.
    pub entries_read: Option<i64>,
    pending: IdMap<Pending>,
    slots: Vec<Option<Arc<Consumer>>>,
    order: Vec<ConsumerSlot>,
}

impl Group {
    /// A group that has read up to an ID.
    pub fn new(last_id: StreamId, entries_read: Option<i64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entries from `from` on, in order.
    pub fn pending_from(&self, from: StreamId) -> Iter<'_, Pending> {
        self.pending.iter_from(from)
    }

    /// The first pending entry from `from` on.
    pub fn next_pending(&self, from: StreamId) -> Option<(StreamId, Pending)> {
        self.pending.at_or_after(from).map(|(id, pending)| (id, *pending))
    }

    /// The last pending entry.
    pub fn last_pending(&self) -> Option<StreamId> {
        self.pending.last().map(|(id, _)| id)
    }

    /// A pending entry.
    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(id).copied()
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.order.len()
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.order.iter().filter_map(|slot| self.consumer(*slot))
    }

    /// Where a consumer is.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerSlot> {
        self.search(name).ok().map(|at| self.order[at])
    }

    /// The consumer at a slot; there is one, unless nobody has the entry whose owner it is.
    pub fn consumer(&self, slot: ConsumerSlot) -> Option<&Consumer> {
        self.slots.get(slot.0 as usize)?.as_deref()
    }

    /// The name of an entry's owner.
    pub fn owner_name(&self, pending: Pending) -> &[u8] {
        self.consumer(pending.owner).map_or(b"", Consumer::name)
    }

    /// The consumer at a slot, to change.
    pub fn consumer_mut(&mut self, slot: ConsumerSlot) -> Option<&mut Consumer> {
        self.slots.get_mut(slot.0 as usize)?.as_mut().map(Arc::make_mut)
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        let name_of = |slot: &ConsumerSlot| self.consumer(*slot).map_or(&b""[..], Consumer::name);
        self.order.binary_search_by(|slot| name_of(slot).cmp(name))
    }

    /// Adds a consumer; none if there is one of that name.
    pub fn add_consumer(
        &mut self,
        name: &[u8],
        seen_ms: i64,
        active_ms: Option<i64>,
    ) -> Option<ConsumerSlot> {
        let Err(at) = self.search(name) else { return None };
        let free = self.slots.iter().position(Option::is_none).filter(|_| self.has_free_slot());
        let index = free.unwrap_or(self.slots.len());
        // The number that means nobody is no slot; nobody has four billion consumers.
        let slot = u32::try_from(index).ok().map(ConsumerSlot).filter(|slot| *slot != NOBODY)?;
        let consumer =
            Arc::new(Consumer { name: name.into(), seen_ms, active_ms, pending: IdMap::default() });
        match self.slots.get_mut(index) {
            Some(place) => *place = Some(consumer),
            None => self.slots.push(Some(consumer)),
        }
        self.order.insert(at, slot);
        Some(slot)
    }

    fn has_free_slot(&self) -> bool {
        self.order.len() < self.slots.len()
    }

    /// Deletes a consumer with what is pending for it; how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let at = self.search(name).ok()?;
        let slot = self.order.remove(at);
        let consumer = self.slots.get_mut(slot.0 as usize)?.take()?;
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        Some(consumer.pending_len())
    }

    /// Notes that an entry was delivered to a consumer, who owns it from now on.
    pub fn assign(&mut self, id: StreamId, pending: Pending) {
        let before = self.pending.insert(id, pending);
        if before.is_some_and(|before| before.owner == pending.owner) {
            return;
        }
        if let Some(before) = before {
            self.disown(id, before.owner);
        }
        if let Some(consumer) = self.consumer_mut(pending.owner) {
            consumer.pending.insert(id, ());
        }
    }

    /// Takes an entry off the lists; whether it was pending.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        match self.pending.remove(id) {
            Some(pending) => {
                self.disown(id, pending.owner);
                true
            }
            None => false,
        }
    }

    fn disown(&mut self, id: StreamId, owner: ConsumerSlot) {
        if let Some(consumer) = self.consumer_mut(owner) {
            consumer.pending.remove(id);
        }
    }

    /// Notes that the group has got the entries up to one, if that is new.
    pub fn advance(&mut self, log: &Log, id: StreamId) -> bool {
        if id <= self.last_id {
            return false;
        }
        self.entries_read = match self.entries_read {
            Some(read) if !log.has_gaps_from(id) => Some(read.wrapping_add(1)),
            read if log.entries_added == 0 => read,
            _ => log.added_up_to(id),
        };
        self.last_id = id;
        true
    }

    /// Adds a pending entry of an RDB file, whose owner comes later; false if there is one already.
    pub fn restore_pending(&mut self, id: StreamId, delivered_ms: i64, count: u64) -> bool {
        let is_new = self.pending.get(id).is_none();
        if is_new {
            self.pending.insert(id, Pending { delivered_ms, count, owner: NOBODY });
        }
        is_new
    }

    /// Gives a restored entry its owner; false if there is no such entry, or it has one.
    pub fn restore_owner(&mut self, id: StreamId, owner: ConsumerSlot) -> bool {
        match self.pending.get_mut(id) {
            Some(pending) if pending.owner == NOBODY => pending.owner = owner,
            _ => return false,
        }
        self.consumer_mut(owner).is_some_and(|own| own.pending.insert(id, ()).is_none())
    }

    /// Whether every restored entry has got its owner; until then the group must not be used.
    pub fn is_complete(&self) -> bool {
        let owned: usize = self.consumers().map(Consumer::pending_len).sum();
        owned == self.pending.len()
    }

    /// Moves blocks: its own with part 0, those of the consumer at a slot with the parts behind that, each from an ID on,
    /// until time is up; where to go on, if there is more.
    fn move_blocks(
        &mut self,
        part: u32,
        from: StreamId,
        mover: &mut Mover<'_>,
    ) -> Option<(u32, StreamId)> {
        let (mut part, mut from) = (part, from);
        if part == 0 && from == StreamId::MIN {
            mover.vec(&mut self.slots);
            mover.vec(&mut self.order);
        }
        while part as usize <= self.slots.len() {
            let next = match part.checked_sub(1) {
                None => self.pending.move_leaf(from, mover, |_, _| {}),
                Some(slot) => self.slots[slot as usize]
                    .as_mut()
                    .and_then(|consumer| Consumer::move_leaf(consumer, from, mover)),
            };
            (part, from) = next.map_or((part + 1, StreamId::MIN), |id| (part, id));
            if !mover.goes_on() {
                return Some((part, from));
            }
        }
        None
    }

    fn memory_bytes(&self) -> usize {
        let consumer = |own: &Consumer| {
            size_of::<Consumer>()
                + 2 * size_of::<usize>()
                + own.name.len()
                + own.pending.memory_bytes()
        };
        let slots = self.slots.capacity() * size_of::<Option<Arc<Consumer>>>()
            + self.order.capacity() * size_of::<ConsumerSlot>();
        self.pending.memory_bytes() + slots + self.consumers().map(consumer).sum::<usize>()
    }
}

/// The groups of a stream, by name.
#[derive(Clone, Debug, Default)]
pub struct Groups(Option<Arc<ByName>>);

type ByName = BTreeMap<Box<[u8]>, Arc<Group>>;

impl Groups {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |groups| groups.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All groups in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.0.iter().flat_map(|groups| groups.iter()).map(|(name, group)| (&**name, &**group))
    }

    /// A group.
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.0.as_ref()?.get(name).map(|group| &**group)
    }

    /// A group, to change.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.get(name)?;
        Arc::make_mut(self.0.as_mut()?).get_mut(name).map(Arc::make_mut)
    }

    /// Adds a group; false if there is one of that name.
    pub fn add(&mut self, name: &[u8], group: Group) -> bool {
        if self.get(name).is_some() {
            return false;
        }
        Arc::make_mut(self.0.get_or_insert_default()).insert(name.into(), Arc::new(group));
        true
    }

    /// Deletes a group; it is handed out, since it may be large.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Group>> {
        self.get(name)?;
        let groups = Arc::make_mut(self.0.as_mut()?);
        let group = groups.remove(name);
        if groups.is_empty() {
            self.0 = None;
        }
        group
    }

    /// Moves blocks of the group that is at `group` in the order of names and of those behind it, as
    /// [`Group::move_blocks`] says; where to go on, if there is more.
    pub(super) fn move_blocks(
        &mut self,
        group: u32,
        part: u32,
        from: StreamId,
        mover: &mut Mover<'_>,
    ) -> Option<(u32, u32, StreamId)> {
        let groups = Arc::get_mut(self.0.as_mut()?)?;
        let (mut part, mut from) = (part, from);
        for (number, one) in (0..).zip(groups.values_mut()).skip(group as usize) {
            let own = match part == 0 && from == StreamId::MIN {
                true => mover.shared(one, Group::default),
                false => Arc::get_mut(one),
            };
            if let Some((part, id)) = own.and_then(|own| own.move_blocks(part, from, mover)) {
                return Some((number, part, id));
            }
            (part, from) = (0, StreamId::MIN);
            if !mover.goes_on() {
                return Some((number + 1, part, from));
            }
        }
        None
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let overhead = size_of::<(Box<[u8]>, Arc<Group>)>() + size_of::<Group>() + 16;
        self.iter().map(|(name, group)| name.len() + overhead + group.memory_bytes()).sum()
    }
}
