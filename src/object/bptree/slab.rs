//! Which leaf has a number? Leaves by number, in an array that is shared with snapshots.
//!
//! A leaf keeps its number for life, so the hash index can say in four bytes where a member is. The
//! array is a tree of three levels of 256 places each (the top one grows as need be): reading takes
//! three steps, writing copies what a snapshot holds of the three nodes and the leaf, nothing else.
//! Given-up numbers form a list through their places and are used again.
//!
//! Invariants: numbers in use have a leaf; `free` leads through all others.

use std::sync::Arc;

use super::leaf::Leaf;
use crate::base::moving::Mover;

const BITS: u32 = 8;
const PLACES: u32 = 1 << BITS;

/// The number of a leaf.
pub type LeafId = u32;

#[derive(Clone, Debug)]
enum Place {
    Leaf(Arc<Leaf>),
    /// The next number that is free.
    Free(Option<LeafId>),
}

type Row = Vec<Place>;
type Middle = Vec<Arc<Row>>;

/// See the top of this file.
#[derive(Clone, Debug, Default)]
pub struct Slab {
    top: Arc<Vec<Arc<Middle>>>,
    /// Numbers that were ever given out.
    places: u32,
    free: Option<LeafId>,
    /// Allocated bytes of the leaves.
    leaf_bytes: usize,
}

impl Slab {
    /// Allocated bytes; what is shared with a snapshot counts in both.
    pub fn memory_bytes(&self) -> usize {
        self.leaf_bytes + self.places as usize * (size_of::<Place>() + 1)
    }

    #[inline]
    pub fn get(&self, id: LeafId) -> &Leaf {
        match &self.top[top(id)][middle(id)][last(id)] {
            Place::Leaf(leaf) => leaf,
            Place::Free(_) => unreachable!("whoever has a number has it from `add`"),
        }
    }

    /// Changes a leaf.
    #[inline]
    pub fn edit<R>(&mut self, id: LeafId, action: impl FnOnce(&mut Leaf) -> R) -> R {
        let Place::Leaf(leaf) = self.place(id) else {
            unreachable!("whoever has a number has it from `add`")
        };
        // Before it may be copied, which trims its slack.
        let before = leaf.memory_bytes();
        let leaf = Arc::make_mut(leaf);
        let result = action(leaf);
        let after = leaf.memory_bytes();
        self.leaf_bytes = self.leaf_bytes + after - before;
        result
    }

    /// Adds a leaf; its number.
    pub fn add(&mut self, leaf: Leaf) -> LeafId {
        self.leaf_bytes += leaf.memory_bytes();
        let leaf = Place::Leaf(Arc::new(leaf));
        if let Some(id) = self.free {
            let place = self.place(id);
            let Place::Free(next) = *place else { unreachable!("the list has free numbers only") };
            *place = leaf;
            self.free = next;
            return id;
        }
        let id = self.places;
        self.places += 1;
        let top_row = Arc::make_mut(&mut self.top);
        if top(id) == top_row.len() {
            top_row.push(Arc::default());
        }
        let middle_row = Arc::make_mut(&mut top_row[top(id)]);
        if middle(id) == middle_row.len() {
            middle_row.push(Arc::default());
        }
        Arc::make_mut(&mut middle_row[middle(id)]).push(leaf);
        id
    }

    /// Takes a leaf out, and its number back.
    pub fn remove(&mut self, id: LeafId) -> Arc<Leaf> {
        let free = Place::Free(self.free);
        let Place::Leaf(leaf) = std::mem::replace(self.place(id), free) else {
            unreachable!("whoever has a number has it from `add`")
        };
        self.free = Some(id);
        self.leaf_bytes -= leaf.memory_bytes();
        leaf
    }

    /// Moves blocks from the leaf of this number on, until time is up; the number to go on from, if there is more.
    pub fn move_blocks(&mut self, from: LeafId, mover: &mut Mover<'_>) -> Option<LeafId> {
        let mut id = from;
        while id < self.places {
            id = self.move_leaf(id, mover);
            if !mover.goes_on() {
                return (id < self.places).then_some(id);
            }
        }
        None
    }

    /// Moves a leaf, and the nodes on the way to it of which it is the first; the number behind what was moved, or is
    /// shared.
    fn move_leaf(&mut self, id: LeafId, mover: &mut Mover<'_>) -> LeafId {
        let Some(top_row) = move_row(&mut self.top, id == 0, mover) else { return self.places };
        let is_first = middle(id) == 0 && last(id) == 0;
        let Some(middle_row) = move_row(&mut top_row[top(id)], is_first, mover) else {
            return (id | ((1 << (2 * BITS)) - 1)) + 1;
        };
        let Some(row) = move_row(&mut middle_row[middle(id)], last(id) == 0, mover) else {
            return (id | (PLACES - 1)) + 1;
        };
        if let Place::Leaf(leaf) = &mut row[last(id)]
            && let Some(leaf) = mover.shared(leaf, Leaf::default)
        {
            leaf.move_blocks(mover);
        }
        id + 1
    }

    #[inline]
    fn place(&mut self, id: LeafId) -> &mut Place {
        let middle_row = Arc::make_mut(&mut Arc::make_mut(&mut self.top)[top(id)]);
        &mut Arc::make_mut(&mut middle_row[middle(id)])[last(id)]
    }
}

/// A row of places, moved if that is asked for; none if others hold it.
fn move_row<'a, T>(
    row: &'a mut Arc<Vec<T>>,
    moves: bool,
    mover: &mut Mover<'_>,
) -> Option<&'a mut Vec<T>> {
    if !moves {
        return Arc::get_mut(row);
    }
    let own = mover.shared(row, Vec::new)?;
    mover.vec(own);
    Some(own)
}

#[inline]
fn top(id: LeafId) -> usize {
    (id >> (2 * BITS)) as usize
}

#[inline]
fn middle(id: LeafId) -> usize {
    (id >> BITS & (PLACES - 1)) as usize
}

#[inline]
fn last(id: LeafId) -> usize {
    (id & (PLACES - 1)) as usize
}
