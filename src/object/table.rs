//! How does a large hash or set grow without pauses, answer HSCAN and SSCAN without state, and be
//! snapshotted at once?
//!
//! A trie over the leading bits of the fields' hashes, in hash order; what is called a hash here is the
//! position that `base/hasher.rs` makes of it. A branch looks at eight bits;
//! its children are leaves (some hundred fields, `table/leaf.rs`) or branches. A leaf covers a whole, a
//! half, a quarter ... of its branch's 256 places, as extendible hashing has it, but the directory
//! is local: a full leaf is halved, or becomes a branch when it covers a single place. So
//!
//! - no insertion ever moves more than one leaf and one branch's map;
//! - the order of fields, (hash, then order of arrival within a leaf), depends on nothing but the
//!   set of fields: a position in it, the hash, is a scan cursor that stays good while the table
//!   grows and shrinks. Fields with equal hashes are returned together. What is there during the
//!   whole scan is returned; what is moved by a split or a merge is neither lost nor repeated;
//! - cloning shares the root, and writing then copies only the path to the leaf: a snapshot costs
//!   nothing to take, and a write meanwhile a few KiB.
//!
//! The trie uses 32 bits of the hash. Fields that agree in all of them share a leaf however many
//! they are; as the hash is seeded, nobody can make many. Memory per field: its bytes, two or three
//! bytes of marks (one for the member of a set, which has no value), eight of index, and some ten
//! percent of slack.
//!
//! Invariants: a branch's children are in order and cover its 256 places without gap; `len` and
//! `expire_min` of a child are the number of fields below it and a lower bound of their expiries.

use std::sync::Arc;

use crate::base::hasher::position;
use crate::base::moving::Mover;
use crate::object::table::leaf::{Entry, FIELDS_MAX, Leaf, NEVER, is_expired};

pub mod leaf;

const BITS: u32 = 8;
const PLACES: usize = 1 << BITS;
/// Levels of branches that a 32-bit hash can tell apart.
const LEVELS: u32 = 4;
/// A leaf below this looks for a neighbour to merge with; the two must then be half full at most.
const FIELDS_MIN: usize = FIELDS_MAX / 4;

/// A map from fields to values with expiries or, if not `VALUED`, a set of members; see the top of
/// this file.
#[derive(Clone, Debug)]
pub struct Table<const VALUED: bool> {
    root: Arc<Branch<VALUED>>,
    len: usize,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Branch<const VALUED: bool> {
    /// Which child covers a place.
    map: [u8; PLACES],
    children: Vec<Child<VALUED>>,
}

#[derive(Clone, Debug)]
struct Child<const VALUED: bool> {
    /// How many of the branch's bits tell this child from others: it covers `256 >> depth` places.
    depth: u32,
    len: usize,
    expire_min: u64,
    node: Node<VALUED>,
}

#[derive(Clone, Debug)]
enum Node<const VALUED: bool> {
    Leaf(Arc<Leaf<VALUED>>),
    Branch(Arc<Branch<VALUED>>),
}

/// What an edit changed, on its way up.
struct Change {
    len: isize,
    bytes: isize,
    expire_min: u64,
}

/// What to do with the expiry of a field that gets a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Leave the one it has.
    Keep,
    /// Set it; [`NEVER`] removes it.
    Set(u64),
}

impl<const VALUED: bool> Default for Table<VALUED> {
    fn default() -> Self {
        let root = Branch::around(Child::new(0, Leaf::default()));
        let bytes = root.memory_bytes() + Leaf::<VALUED>::default().memory_bytes();
        Self { root: Arc::new(root), len: 0, bytes }
    }
}

impl<const VALUED: bool> Table<VALUED> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Allocated bytes; what is shared with a snapshot counts in both.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// At most the earliest expiry.
    pub fn expire_min(&self) -> u64 {
        self.root.expire_min()
    }

    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Entry<'_>> {
        self.get_at(position(field), field)
    }

    #[inline]
    pub fn get_at(&self, hash: u32, field: &[u8]) -> Option<Entry<'_>> {
        let (leaf, width) = self.leaf_of(hash);
        leaf.find(hash, width, field).ok().map(|at| leaf.entry(at))
    }

    /// Does the reads of a step of looking up a field at this position. The result means nothing.
    #[inline]
    pub fn touch(&self, hash: u32, step: usize) -> u32 {
        let (leaf, width) = self.leaf_of(hash);
        leaf.touch(hash, width, step)
    }

    /// Removes `field`; the expiry that it had if it was there.
    pub fn remove(&mut self, field: &[u8]) -> Option<u64> {
        self.remove_at(position(field), field)
    }

    pub fn remove_at(&mut self, hash: u32, field: &[u8]) -> Option<u64> {
        // Looked up first: what is not there must not copy nodes that a snapshot holds.
        let (leaf, width) = self.leaf_of(hash);
        let at = leaf.find(hash, width, field).ok()?;
        let expire_at = leaf.entry(at).expire_at;
        self.edit(hash, |leaf, _| leaf.remove(at));
        Some(expire_at)
    }

    /// The field with this rank in hash order.
    pub fn nth(&self, mut rank: usize) -> Option<Entry<'_>> {
        let mut branch = &self.root;
        loop {
            let child = branch.children.iter().find(|child| {
                let here = rank < child.len;
                if !here {
                    rank -= child.len;
                }
                here
            })?;
            match &child.node {
                Node::Leaf(leaf) => return Some(leaf.entry(rank)),
                Node::Branch(below) => branch = below,
            }
        }
    }

    /// The leaf that covers `hash`, and where the next leaf starts.
    pub fn leaf_at(&self, hash: u32) -> (&Leaf<VALUED>, Option<u32>) {
        let (leaf, width) = self.leaf_of(hash);
        let next = ((u64::from(hash) >> width) + 1) << width;
        (leaf, u32::try_from(next).ok())
    }

    /// The leaf that covers `hash`, and how many of the hash's last bits did not lead there.
    #[inline]
    fn leaf_of(&self, hash: u32) -> (&Leaf<VALUED>, u32) {
        let mut branch = &self.root;
        let mut level = 0;
        loop {
            let child = &branch.children[branch.child_of(hash, level)];
            match &child.node {
                Node::Branch(below) => branch = below,
                Node::Leaf(leaf) => {
                    return (leaf, 32 - level * BITS - child.depth);
                }
            }
            level += 1;
        }
    }

    /// Shows fields from position `cursor` on, at least `count` if there are so many, and returns
    /// the position to go on from: 0 at the end. Empty leaves count too, so the work is bounded.
    pub fn scan(&self, cursor: u32, count: usize, mut show: impl FnMut(Entry<'_>)) -> u32 {
        let mut shown = 0;
        let mut from = cursor;
        loop {
            let (leaf, next) = self.leaf_at(from);
            let start = leaf.lower_bound(from);
            let mut last = None;
            for (at, slot) in leaf.slots().iter().enumerate().skip(start) {
                if shown >= count && last != Some(slot.hash) {
                    return slot.hash;
                }
                show(leaf.entry(at));
                last = Some(slot.hash);
                shown += 1;
            }
            shown += usize::from(last.is_none());
            match next {
                None => return 0,
                Some(next) if shown >= count => return next,
                Some(next) => from = next,
            }
        }
    }

    /// Moves blocks from that of the leaf at this hash on, until time is up; the hash to go on from, if there is
    /// more.
    pub fn move_blocks(&mut self, from: u32, mover: &mut Mover<'_>) -> Option<u32> {
        let mut from = from;
        loop {
            from = Branch::move_leaf(&mut self.root, from, 0, mover)?;
            if !mover.goes_on() {
                return Some(from);
            }
        }
    }

    /// All entries in hash order.
    pub fn iter(&self) -> Iter<'_, VALUED> {
        let (leaf, next) = self.leaf_at(0);
        Iter { table: self, leaf, at: 0, next }
    }

    fn edit<R>(&mut self, hash: u32, action: impl FnOnce(&mut Leaf<VALUED>, u32) -> R) -> R {
        let (result, change) = Arc::make_mut(&mut self.root).edit(hash, 0, action);
        self.len = self.len.strict_add_signed(change.len);
        self.bytes = self.bytes.saturating_add_signed(change.bytes);
        result
    }
}

/// Fields with values.
impl Table<true> {
    /// Gives `field` a value; the expiry that it had before if it was there.
    pub fn put(&mut self, field: &[u8], value: &[u8], expiry: Expiry) -> Option<u64> {
        self.put_at(position(field), field, value, expiry)
    }

    pub fn put_at(&mut self, hash: u32, field: &[u8], value: &[u8], expiry: Expiry) -> Option<u64> {
        self.edit(hash, |leaf, width| match leaf.find(hash, width, field) {
            Ok(at) => {
                let old = leaf.entry(at).expire_at;
                let new = if let Expiry::Set(new) = expiry { new } else { old };
                leaf.replace(at, value, new);
                Some(old)
            }
            Err(at) => {
                let expire_at = if let Expiry::Set(new) = expiry { new } else { NEVER };
                leaf.insert(at, hash, Entry { field, value, expire_at });
                None
            }
        })
    }

    /// Sets the expiry of `field`; whether it is there.
    pub fn set_expiry(&mut self, field: &[u8], expire_at: u64) -> bool {
        let hash = position(field);
        if self.get_at(hash, field).is_none() {
            return false;
        }
        self.edit(hash, |leaf, width| {
            if let Ok(at) = leaf.find(hash, width, field) {
                let value = leaf.entry(at).value.to_vec();
                leaf.replace(at, &value, expire_at);
            }
        });
        true
    }

    /// Removes up to `limit` fields that have expired at `now`, and returns their names.
    pub fn take_expired(&mut self, now: u64, limit: usize) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(hash) = self.root.first_due(0, now)
        {
            let budget = limit - taken.len();
            self.edit(hash, |leaf, _| {
                let mut left = budget;
                let mut at = 0;
                while at < leaf.len() && left > 0 {
                    let entry = leaf.entry(at);
                    if is_expired(entry.expire_at, now) {
                        taken.push(entry.field.to_vec());
                        leaf.remove(at);
                        left -= 1;
                    } else {
                        at += 1;
                    }
                }
                leaf.refresh_expire_min();
            });
        }
        taken
    }
}

/// Members without values.
impl Table<false> {
    /// Adds a member; whether it is new.
    #[inline]
    pub fn add(&mut self, member: &[u8]) -> bool {
        self.add_at(position(member), member)
    }

    pub fn add_at(&mut self, hash: u32, member: &[u8]) -> bool {
        // Looked up first: what is there already must not copy nodes that a snapshot holds.
        let (leaf, width) = self.leaf_of(hash);
        let Err(at) = leaf.find(hash, width, member) else { return false };
        let entry = Entry { field: member, value: b"", expire_at: NEVER };
        self.edit(hash, |leaf, _| leaf.insert(at, hash, entry));
        true
    }
}

impl<const VALUED: bool> Child<VALUED> {
    fn new(depth: u32, leaf: Leaf<VALUED>) -> Self {
        let (len, expire_min) = (leaf.len(), leaf.expire_min());
        Self { depth, len, expire_min, node: Node::Leaf(Arc::new(leaf)) }
    }
}

/// No children: what stands for a branch while it moves.
impl<const VALUED: bool> Default for Branch<VALUED> {
    fn default() -> Self {
        Self { map: [0; PLACES], children: Vec::new() }
    }
}

impl<const VALUED: bool> Branch<VALUED> {
    fn around(child: Child<VALUED>) -> Self {
        Self { map: [0; PLACES], children: vec![child] }
    }

    fn memory_bytes(&self) -> usize {
        // Children by their number, not by capacity: only then do the steps of accounting add up.
        size_of::<Self>() + self.children.len() * size_of::<Child<VALUED>>()
    }

    fn expire_min(&self) -> u64 {
        self.children.iter().map(|child| child.expire_min).min().unwrap_or(NEVER)
    }

    #[inline]
    fn child_of(&self, hash: u32, level: u32) -> usize {
        usize::from(self.map[place(hash, level)])
    }

    /// Runs `action` on the leaf that covers `hash`, then restores the shape and the sums of the
    /// path.
    fn edit<R>(
        &mut self,
        hash: u32,
        level: u32,
        action: impl FnOnce(&mut Leaf<VALUED>, u32) -> R,
    ) -> (R, Change) {
        let at = self.child_of(hash, level);
        let child = &mut self.children[at];
        match &mut child.node {
            Node::Branch(below) => {
                let below = Arc::make_mut(below);
                let (result, mut change) = below.edit(hash, level + 1, action);
                child.len = child.len.strict_add_signed(change.len);
                // What left an expiry behind makes the minimum of all children worth its cost.
                if child.expire_min < change.expire_min {
                    child.expire_min = below.expire_min();
                } else {
                    child.expire_min = change.expire_min;
                }
                change.expire_min = child.expire_min;
                if change.len < 0 {
                    change.bytes += self.collapse(at);
                }
                (result, change)
            }
            Node::Leaf(leaf) => {
                // Before it may be copied, which trims its slack.
                let (len, bytes) = (leaf.len(), leaf.memory_bytes());
                let leaf = Arc::make_mut(leaf);
                let result = action(leaf, 32 - level * BITS - child.depth);
                let mut change = Change {
                    len: leaf.len() as isize - len as isize,
                    bytes: leaf.memory_bytes() as isize - bytes as isize,
                    expire_min: leaf.expire_min(),
                };
                let (full, sparse) = (leaf.is_full(), leaf.len() < FIELDS_MIN);
                child.len = leaf.len();
                child.expire_min = leaf.expire_min();
                if full {
                    change.bytes += self.split(at, level);
                } else if sparse && change.len < 0 {
                    change.bytes += self.merge(place(hash, level));
                }
                (result, change)
            }
        }
    }

    /// Splits the leaf at `at` until it is not full, or its hashes are all the same; the bytes
    /// added.
    fn split(&mut self, at: usize, level: u32) -> isize {
        let child = &mut self.children[at];
        let Node::Leaf(leaf) = &mut child.node else { return 0 };
        if child.depth == BITS {
            if level + 1 == LEVELS {
                return 0;
            }
            let inner = Child { depth: 0, node: Node::Leaf(Arc::clone(leaf)), ..*child };
            let mut below = Branch::around(inner);
            // The leaf must not be held twice while it is split, or it would be copied.
            child.node = Node::Leaf(Arc::default());
            let own = below.memory_bytes() as isize;
            let grown = below.split(0, level + 1);
            child.node = Node::Branch(Arc::new(below));
            return own + grown;
        }
        let left = Arc::make_mut(leaf);
        let before = left.memory_bytes();
        let Some(any) = left.slots().first() else { return 0 };
        let bit = 31 - level * BITS - child.depth;
        let boundary = (any.hash >> bit | 1) << bit;
        let right = left.split_off(left.lower_bound(boundary));
        let mut grown = (left.memory_bytes() + right.memory_bytes() + size_of::<Child<VALUED>>())
            as isize
            - before as isize;
        child.depth += 1;
        child.len = left.len();
        child.expire_min = left.expire_min();
        let (left_full, right_full, depth) = (left.is_full(), right.is_full(), child.depth);
        self.children.insert(at + 1, Child::new(depth, right));
        self.rebuild_map();
        // Only one half can still be full unless the texts are long; the right one goes first so
        // that its index is not moved.
        if right_full {
            grown += self.split(at + 1, level);
        }
        if left_full {
            grown += self.split(at, level);
        }
        grown
    }

    /// Merges the leaf at a place with the other half of what they were split from, if both are
    /// small; the bytes added, less than none.
    fn merge(&mut self, place: usize) -> isize {
        let at = usize::from(self.map[place]);
        let depth = self.children[at].depth;
        if depth == 0 {
            return 0;
        }
        let width = PLACES >> depth;
        let other = usize::from(self.map[place & !(width - 1) ^ width]);
        let (low, high) = (at.min(other), at.max(other));
        let (left, right) = (&self.children[low], &self.children[high]);
        let (Node::Leaf(a), Node::Leaf(b)) = (&left.node, &right.node) else { return 0 };
        let fits = left.depth == right.depth && left.len + right.len <= FIELDS_MAX / 2;
        if !fits {
            return 0;
        }
        let before = a.memory_bytes() + b.memory_bytes() + size_of::<Child<VALUED>>();
        let right = self.children.remove(high);
        let left = &mut self.children[low];
        if let (Node::Leaf(a), Node::Leaf(b)) = (&mut left.node, &right.node) {
            let merged = Arc::make_mut(a);
            merged.absorb(b);
            left.depth -= 1;
            left.len = merged.len();
            left.expire_min = merged.expire_min();
            let after = merged.memory_bytes();
            self.rebuild_map();
            return after as isize - before as isize;
        }
        unreachable!("both children were leaves a moment ago")
    }

    /// Puts the only leaf of the branch at `at` in its place; the bytes added, less than none.
    fn collapse(&mut self, at: usize) -> isize {
        let child = &mut self.children[at];
        let Node::Branch(below) = &child.node else { return 0 };
        let [Child { node: Node::Leaf(leaf), .. }] = below.children.as_slice() else { return 0 };
        let leaf = Arc::clone(leaf);
        let freed = below.memory_bytes();
        child.node = Node::Leaf(leaf);
        -(freed as isize)
    }

    fn rebuild_map(&mut self) {
        let mut start = 0;
        for (at, child) in self.children.iter().enumerate() {
            let end = start + (PLACES >> child.depth);
            self.map[start..end].fill(at as u8);
            start = end;
        }
        debug_assert_eq!(start, PLACES, "children cover all places");
    }

    /// Moves the leaf that covers `hash`, and, if that is its first, the branch; the hash behind what was moved, or
    /// is shared.
    fn move_leaf(
        branch: &mut Arc<Self>,
        hash: u32,
        level: u32,
        mover: &mut Mover<'_>,
    ) -> Option<u32> {
        let width = 32 - level * BITS;
        let is_first = u64::from(hash) & ((1 << width) - 1) == 0;
        let own = match is_first {
            true => mover.shared(branch, Self::default),
            false => Arc::get_mut(branch),
        };
        let Some(own) = own else { return behind(hash, width) };
        if is_first {
            mover.vec(&mut own.children);
        }
        let at = own.child_of(hash, level);
        let child = &mut own.children[at];
        match &mut child.node {
            Node::Branch(below) => Self::move_leaf(below, hash, level + 1, mover),
            Node::Leaf(leaf) => {
                if let Some(leaf) = mover.shared(leaf, Leaf::default) {
                    leaf.move_blocks(mover);
                }
                behind(hash, width - child.depth)
            }
        }
    }

    /// A hash in the range of the first leaf that may hold a field expired at `now`.
    fn first_due(&self, level: u32, now: u64) -> Option<u32> {
        let mut start = 0;
        for child in &self.children {
            if is_expired(child.expire_min, now) {
                let prefix = (start as u32) << (32 - (level + 1) * BITS);
                return match &child.node {
                    Node::Leaf(_) => Some(prefix),
                    Node::Branch(below) => Some(prefix | below.first_due(level + 1, now)?),
                };
            }
            start += PLACES >> child.depth;
        }
        None
    }
}

/// The first hash behind those that agree with `hash` in all but the last `width` bits.
fn behind(hash: u32, width: u32) -> Option<u32> {
    u32::try_from(((u64::from(hash) >> width) + 1) << width).ok()
}

#[inline]
fn place(hash: u32, level: u32) -> usize {
    (hash >> (32 - (level + 1) * BITS)) as usize & (PLACES - 1)
}

/// Entries in hash order.
#[derive(Clone, Debug)]
pub struct Iter<'a, const VALUED: bool> {
    table: &'a Table<VALUED>,
    leaf: &'a Leaf<VALUED>,
    at: usize,
    next: Option<u32>,
}

impl<'a, const VALUED: bool> Iterator for Iter<'a, VALUED> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        while self.at == self.leaf.len() {
            (self.leaf, self.next) = self.table.leaf_at(self.next?);
            self.at = 0;
        }
        self.at += 1;
        Some(self.leaf.entry(self.at - 1))
    }
}

#[cfg(test)]
#[path = "table/table_tests.rs"]
mod tests;
