//! How is a member of a large sorted set found by name, by score and by rank? Members and scores lie
//! once, in the leaves of a counted B+tree (`bptree.rs`); a hash index (`index.rs`) says in which
//! leaf a member is.
//!
//! A look-up by name goes to the leaf and there over one byte for each member. So a member takes its
//! bytes, a byte of length, ten of slot, one of tag and eight of index, and some ten percent of slack. What was
//! tried on paper: member bytes in both structures take 60% more; members in the index alone make
//! each step of a range a look-up; an index of scores alone cannot tell members of one score apart,
//! so that ZSCAN, whose order must not depend on scores that change meanwhile, would have none.
//!
//! When a leaf is split or merged, the index is told of the members that moved: once for each member
//! on average, and never more than a leaf's at a time.
//!
//! Invariants: the index has a slot for each member, with its hash and the leaf that it is in, and no
//! other.

use std::ops::Range;

use super::index::Index;
use crate::base::hasher::position;
use crate::base::moving::{Cursor, Mover};
use crate::object::bptree::iter::Iter;
use crate::object::bptree::slab::LeafId;
use crate::object::bptree::{Edge, Moved, Target, Tree};

/// See the top of this file.
#[derive(Clone, Debug, Default)]
pub struct Large {
    tree: Tree,
    index: Index,
}

/// Where a member is.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    leaf: LeafId,
    at: usize,
    hash: u32,
    pub score: f64,
}

impl Large {
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Allocated bytes; what is shared with a snapshot counts in both.
    pub fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes() + self.index.memory_bytes()
    }

    /// Moves blocks, of the index first, then the leaves, then what leads to them.
    pub fn move_blocks(&mut self, from: Cursor, mover: &mut Mover<'_>) -> Option<Cursor> {
        const INDEX: u32 = 0;
        const LEAVES: u32 = 1;
        const INNER: u32 = 2;
        let mut from = from;
        loop {
            let at = from.at as u32;
            let next = match from.part {
                INDEX => self.index.move_blocks(at, mover).map(u128::from),
                LEAVES => self.tree.move_leaves(at, mover).map(u128::from),
                INNER => self.tree.move_inner(from.at as usize, mover).map(|rank| rank as u128),
                _ => return None,
            };
            from = match next {
                Some(at) => return Some(Cursor { at, ..from }),
                None => Cursor { part: from.part + 1, ..Cursor::default() },
            };
        }
    }

    #[inline]
    pub fn find(&self, member: &[u8]) -> Option<Found> {
        let hash = position(member);
        self.index.get(hash).iter().find_map(|slot| {
            let leaf = self.tree.leaf(slot.leaf);
            let at = leaf.find(hash, member)?;
            Some(Found { leaf: slot.leaf, at, hash, score: leaf.score(at) })
        })
    }

    /// Reads of looking up a member with this hash, whose results mean nothing here: the index's leaf, the
    /// slot that is expected in there, the leaf that it leads to.
    #[inline]
    pub fn touch(&self, hash: u32, step: usize) -> u32 {
        match step {
            0 => self.index.touch_leaf(hash),
            1 => self.index.touch(hash),
            _ => {
                let slots = self.index.get(hash).iter();
                slots.fold(0, |sum, slot| sum ^ self.tree.leaf(slot.leaf).touch())
            }
        }
    }

    /// Puts a member in that is not there.
    pub fn insert(&mut self, score: f64, member: &[u8]) {
        let hash = position(member);
        let placed = self.tree.insert(score, member, hash);
        self.index.insert(hash, placed.leaf);
        self.settle(placed.moved);
    }

    /// Gives a member that was found another score.
    pub fn rescore(&mut self, found: Found, score: f64, member: &[u8]) {
        if self.tree.rescore(found.leaf, found.at, score) {
            return;
        }
        // Its slot in the index stays, and is told of the new leaf: changing the row twice would move half
        // of it twice.
        let taken = self.tree.take(Target::Entry(found.score, member), 1, |_, _| {});
        self.settle(taken.moved);
        let placed = self.tree.insert(score, member, found.hash);
        if placed.leaf != found.leaf {
            self.index.replace(found.hash, found.leaf, placed.leaf);
        }
        self.settle(placed.moved);
    }

    /// Removes a member that was found.
    pub fn remove(&mut self, found: Found, member: &[u8]) {
        self.take(Target::Entry(found.score, member), 1);
    }

    /// Removes the members with these ranks.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        let mut left = ranks.len();
        while left > 0 {
            left -= self.take(Target::Rank(ranks.start), left);
        }
    }

    fn take(&mut self, target: Target<'_>, max: usize) -> usize {
        let index = &mut self.index;
        let taken = self.tree.take(target, max, |leaf, hash| index.remove(hash, leaf));
        self.settle(taken.moved);
        taken.count
    }

    /// Tells the index of members that are in another leaf now.
    fn settle(&mut self, moved: Option<Moved>) {
        let Some(moved) = moved else { return };
        let leaf = self.tree.leaf(moved.to);
        for at in moved.first..leaf.len() {
            self.index.replace(leaf.hash(at), moved.from, moved.to);
        }
    }

    /// How many members lie before an edge.
    #[inline]
    pub fn count_before(&self, edge: Edge<'_>) -> usize {
        self.tree.count_before(edge)
    }

    /// The members with these ranks.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        self.tree.range(ranks)
    }

    /// The member with this rank, which there is.
    pub fn nth(&self, rank: usize) -> (&[u8], f64) {
        self.tree.nth(rank)
    }

    /// Shows members from `cursor` on, a position in hash order; the cursor to go on with, 0 at the
    /// end.
    pub fn scan(&self, cursor: u32, count: usize, mut show: impl FnMut(&[u8], f64)) -> u32 {
        self.index.scan(cursor, count, |slots| {
            for (number, slot) in slots.iter().enumerate() {
                // A leaf with several members of this hash is named several times, and shown once.
                if slots[..number].contains(slot) {
                    continue;
                }
                let leaf = self.tree.leaf(slot.leaf);
                for at in leaf.tagged(slot.hash).filter(|at| leaf.hash(*at) == slot.hash) {
                    show(leaf.member(at), leaf.score(at));
                }
            }
        })
    }

    #[cfg(test)]
    pub fn check(&self) {
        self.tree.check();
        self.index.check();
        let mut slots = 0;
        self.index.scan(0, usize::MAX, |group| slots += group.len());
        assert_eq!(slots, self.len());
        // Whatever is there or not, reading ahead finds its way.
        for hash in (0..64).map(|n| n << 26 | n) {
            (0..4).for_each(|step| _ = self.touch(hash, step));
        }
    }
}

#[cfg(test)]
#[path = "large_tests.rs"]
mod tests;
