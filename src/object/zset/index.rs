//! In which leaf is a member? A map from hashes of members (positions, `base/hasher.rs`) to numbers of
//! leaves, in hash order.
//!
//! The shape is that of a hash's table (`table.rs`): a trie over the leading bits of the hash
//! whose directories are local. A branch looks at eight bits; a leaf covers a whole, a half, a
//! quarter ... of its branch's 256 places, is halved when it is full, and becomes a branch when it
//! covers a single place. So no insertion moves more than one leaf; a position in hash order, the
//! hash itself, is a scan cursor that stays good whatever comes and goes; cloning shares the root,
//! and writing then copies one path.
//!
//! Here a leaf is a sorted row of eight bytes for each member. Members whose 32-bit hashes agree
//! have a slot each, in no order; who looks for one asks every leaf that is named.
//!
//! Invariants: a branch's children are in order and cover its 256 places without gap; slots are
//! sorted by hash.

use std::sync::Arc;

use crate::base::moving::Mover;
use crate::object::bptree::leaf::reserve;
use crate::object::bptree::slab::LeafId;

const BITS: u32 = 8;
const PLACES: usize = 1 << BITS;
/// Levels of branches that a 32-bit hash can tell apart.
const LEVELS: u32 = 4;
/// A leaf with more slots than this is split, if its hashes can be told apart.
const SLOTS_MAX: usize = 256;
/// A leaf below this looks for a neighbour to merge with; the two must then be half full at most.
const SLOTS_MIN: usize = SLOTS_MAX / 4;

/// A member's hash, and the leaf that has the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub hash: u32,
    pub leaf: LeafId,
}

type Leaf = Vec<Slot>;

/// See the top of this file.
#[derive(Clone, Debug)]
pub struct Index {
    root: Arc<Branch>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Branch {
    /// Which child covers a place.
    map: [u8; PLACES],
    children: Vec<Child>,
}

#[derive(Clone, Debug)]
struct Child {
    /// How many of the branch's bits tell this child from others: it covers `256 >> depth` places.
    depth: u32,
    node: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<Leaf>),
    Branch(Arc<Branch>),
}

impl Default for Index {
    fn default() -> Self {
        let root = Branch::around(Child { depth: 0, node: Node::Leaf(Arc::default()) });
        let bytes = root.memory_bytes() + leaf_bytes(&Leaf::new());
        Self { root: Arc::new(root), bytes }
    }
}

impl Index {
    /// Allocated bytes; what is shared with a snapshot counts in both.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// The slots with this hash.
    #[inline]
    pub fn get(&self, hash: u32) -> &[Slot] {
        let (leaf, _, width) = self.locate(hash);
        let from = near_lower_bound(leaf, hash, width);
        let count = leaf[from..].iter().take_while(|slot| slot.hash == hash).count();
        &leaf[from..from + count]
    }

    /// Reads what leads to a hash's slots.
    #[inline]
    pub fn touch_leaf(&self, hash: u32) -> u32 {
        self.locate(hash).0.len() as u32
    }

    /// Reads where a hash's slots are to be expected.
    #[inline]
    pub fn touch(&self, hash: u32) -> u32 {
        let (leaf, _, width) = self.locate(hash);
        leaf.get(expected(leaf, hash, width)).map_or(0, |slot| slot.hash)
    }

    pub fn insert(&mut self, hash: u32, leaf: LeafId) {
        self.edit(hash, |slots, width| {
            reserve(slots, 1);
            slots.insert(near_lower_bound(slots, hash, width), Slot { hash, leaf });
        });
    }

    /// Removes one slot, which is there.
    pub fn remove(&mut self, hash: u32, leaf: LeafId) {
        self.edit(hash, |slots, width| {
            if let Some(at) = find(slots, hash, width, leaf) {
                slots.remove(at);
                if slots.len() < slots.capacity() / 2 {
                    slots.shrink_to(slots.len() + slots.len() / 4);
                }
            }
        });
    }

    /// Has a slot, which is there, name another leaf.
    pub fn replace(&mut self, hash: u32, from: LeafId, to: LeafId) {
        self.edit(hash, |slots, width| {
            if let Some(at) = find(slots, hash, width, from) {
                slots[at].leaf = to;
            }
        });
    }

    /// Shows the slots from position `cursor` on, all of a hash at once, until there were `count`;
    /// returns the position to go on from, 0 at the end. Empty leaves count too, so the work is
    /// bounded.
    pub fn scan(&self, cursor: u32, count: usize, mut show: impl FnMut(&[Slot])) -> u32 {
        let mut shown = 0;
        let mut from = cursor;
        loop {
            let (leaf, next) = self.leaf_at(from);
            let rest = &leaf[lower_bound(leaf, from)..];
            shown += usize::from(rest.is_empty());
            for group in rest.chunk_by(|a, b| a.hash == b.hash) {
                if shown >= count {
                    return group[0].hash;
                }
                show(group);
                shown += group.len();
            }
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

    /// The leaf that covers `hash`, and where the next leaf starts.
    fn leaf_at(&self, hash: u32) -> (&Leaf, Option<u32>) {
        let (leaf, next, _) = self.locate(hash);
        (leaf, next)
    }

    /// The same, and how many bits of the hash tell the leaf's slots apart.
    #[inline]
    fn locate(&self, hash: u32) -> (&Leaf, Option<u32>, u32) {
        let mut branch = &self.root;
        let mut level = 0;
        loop {
            let child = &branch.children[branch.child_of(hash, level)];
            match &child.node {
                Node::Branch(below) => branch = below,
                Node::Leaf(leaf) => {
                    let width = 32 - level * BITS - child.depth;
                    let next = ((u64::from(hash) >> width) + 1) << width;
                    return (leaf, u32::try_from(next).ok(), width);
                }
            }
            level += 1;
        }
    }

    /// Runs `action` on the leaf that covers `hash`, given how many bits tell its slots apart.
    fn edit(&mut self, hash: u32, action: impl FnOnce(&mut Leaf, u32)) {
        let change = Arc::make_mut(&mut self.root).edit(hash, 0, action);
        self.bytes = self.bytes.saturating_add_signed(change);
    }
}

/// No children: what stands for a branch while it moves.
impl Default for Branch {
    fn default() -> Self {
        Self { map: [0; PLACES], children: Vec::new() }
    }
}

impl Branch {
    fn around(child: Child) -> Self {
        Self { map: [0; PLACES], children: vec![child] }
    }

    fn memory_bytes(&self) -> usize {
        // Children by their number, not by capacity: only then do the steps of accounting add up.
        size_of::<Self>() + self.children.len() * size_of::<Child>()
    }

    #[inline]
    fn child_of(&self, hash: u32, level: u32) -> usize {
        usize::from(self.map[place(hash, level)])
    }

    /// Runs `action` on the leaf that covers `hash`, then restores the shape; the bytes added.
    fn edit(&mut self, hash: u32, level: u32, action: impl FnOnce(&mut Leaf, u32)) -> isize {
        let at = self.child_of(hash, level);
        let child = &mut self.children[at];
        match &mut child.node {
            Node::Branch(below) => {
                let below = Arc::make_mut(below);
                let change = below.edit(hash, level + 1, action);
                change + self.collapse(at)
            }
            Node::Leaf(leaf) => {
                // Before it may be copied, which trims its slack.
                let (len, bytes) = (leaf.len(), leaf_bytes(leaf));
                let leaf = Arc::make_mut(leaf);
                action(leaf, 32 - level * BITS - child.depth);
                let change = leaf_bytes(leaf) as isize - bytes as isize;
                if leaf.len() > SLOTS_MAX {
                    change + self.split(at, level)
                } else if leaf.len() < len.min(SLOTS_MIN) {
                    change + self.merge(place(hash, level))
                } else {
                    change
                }
            }
        }
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
                if let Some(slots) = mover.shared(leaf, Leaf::new) {
                    mover.vec(slots);
                }
                behind(hash, width - child.depth)
            }
        }
    }

    /// Splits the leaf at `at` until it is not full, or its hashes are all the same; the bytes
    /// added.
    fn split(&mut self, at: usize, level: u32) -> isize {
        let child = &mut self.children[at];
        let Node::Leaf(leaf) = &mut child.node else { return 0 };
        if leaf.len() <= SLOTS_MAX {
            return 0;
        }
        if child.depth == BITS {
            if level + 1 == LEVELS {
                return 0;
            }
            let inner = Child { depth: 0, node: Node::Leaf(std::mem::take(leaf)) };
            let mut below = Branch::around(inner);
            let own = below.memory_bytes() as isize;
            let grown = below.split(0, level + 1);
            child.node = Node::Branch(Arc::new(below));
            return own + grown;
        }
        let left = Arc::make_mut(leaf);
        let before = leaf_bytes(left);
        let bit = 31 - level * BITS - child.depth;
        let boundary = (left[0].hash >> bit | 1) << bit;
        let cut = lower_bound(left, boundary);
        let right = left.split_off(cut);
        let mut packed = Leaf::new();
        reserve(&mut packed, cut);
        packed.extend_from_slice(left);
        *left = packed;
        child.depth += 1;
        let depth = child.depth;
        let after = leaf_bytes(left) + leaf_bytes(&right) + size_of::<Child>();
        let grown = after as isize - before as isize;
        self.children.insert(at + 1, Child { depth, node: Node::Leaf(Arc::new(right)) });
        self.rebuild_map();
        // The right one goes first, so that the left one's index is not moved.
        grown + self.split(at + 1, level) + self.split(at, level)
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
        if left.depth != right.depth || a.len() + b.len() > SLOTS_MAX / 2 {
            return 0;
        }
        let before = leaf_bytes(a) + leaf_bytes(b) + size_of::<Child>();
        let merged = [a.as_slice(), b.as_slice()].concat();
        let after = leaf_bytes(&merged);
        self.children[low] = Child { depth: depth - 1, node: Node::Leaf(Arc::new(merged)) };
        self.children.remove(high);
        self.rebuild_map();
        after as isize - before as isize
    }

    /// Puts the only leaf of the branch at `at` in its place; the bytes added, less than none.
    fn collapse(&mut self, at: usize) -> isize {
        let child = &mut self.children[at];
        let Node::Branch(below) = &child.node else { return 0 };
        let [Child { node: Node::Leaf(leaf), .. }] = below.children.as_slice() else { return 0 };
        // A full one is about to be split again.
        if leaf.len() > SLOTS_MAX / 2 {
            return 0;
        }
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
}

fn leaf_bytes(leaf: &Leaf) -> usize {
    size_of::<Leaf>() + leaf.capacity() * size_of::<Slot>()
}

/// The first hash behind those that agree with `hash` in all but the last `width` bits.
fn behind(hash: u32, width: u32) -> Option<u32> {
    u32::try_from(((u64::from(hash) >> width) + 1) << width).ok()
}

#[inline]
fn place(hash: u32, level: u32) -> usize {
    (hash >> (32 - (level + 1) * BITS)) as usize & (PLACES - 1)
}

/// Number of the first slot whose hash is `hash` or more.
#[inline]
fn lower_bound(slots: &[Slot], hash: u32) -> usize {
    slots.partition_point(|slot| slot.hash < hash)
}

/// Where the slot of a hash is to be expected, in a leaf whose slots differ in `width` bits.
#[inline]
fn expected(slots: &[Slot], hash: u32, width: u32) -> usize {
    let within = u64::from(hash) & ((1 << width) - 1);
    ((within * slots.len() as u64) >> width) as usize
}

/// The same for a leaf whose slots differ in `width` bits. Hashes are spread evenly, so the place is
/// guessed and nearly always found within a few slots: in one cache line or two, not in the five or six
/// that halving the row would touch.
#[inline]
fn near_lower_bound(slots: &[Slot], hash: u32, width: u32) -> usize {
    const REACH: usize = 16;
    let guess = expected(slots, hash, width);
    let (low, high) = (guess.saturating_sub(REACH), slots.len().min(guess + REACH));
    let is_above = low == 0 || slots[low - 1].hash < hash;
    let is_below = high == slots.len() || slots[high].hash >= hash;
    if is_above && is_below {
        low + lower_bound(&slots[low..high], hash)
    } else {
        lower_bound(slots, hash)
    }
}

fn find(slots: &[Slot], hash: u32, width: u32, leaf: LeafId) -> Option<usize> {
    let from = near_lower_bound(slots, hash, width);
    let group = slots[from..].iter().take_while(|slot| slot.hash == hash);
    group.enumerate().find(|(_, slot)| slot.leaf == leaf).map(|(at, _)| from + at)
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
