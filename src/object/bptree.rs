//! How are members kept in order of score, so that ranks are as quick as scores? In a counted B+tree.
//!
//! Inner nodes hold, for each child, how many members lie below it and a separator; leaves hold the
//! members themselves (`bptree/leaf.rs`). All leaves are equally deep. A rank is a sum of counts on
//! the way down, a range is two descents and then leaf after leaf, and counting a range does not
//! visit it at all.
//!
//! Leaves have numbers (`bptree/slab.rs`) by which the caller remembers where a member is. A number
//! is good until the tree says that members moved ([`Moved`]): a split or a merge, at most one per
//! change, of one leaf.
//!
//! A separator is the shortest text between two leaves: a score alone, unless the last member before
//! and the first member behind it have the same, and then no more of the member than tells it from
//! the one before.
//!
//! What grows at its end (timestamps) or at its start keeps full leaves: there the new member alone
//! goes into a new leaf, elsewhere a full leaf is split in two parts. Nodes are reference-counted: cloning shares
//! everything, and writing then copies one path.
//!
//! Invariants: members below a child are not before its separator, all members further left are;
//! the first child's separator means nothing; counts are true; only the root of an empty tree has
//! an empty leaf.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use crate::base::moving::Mover;
use iter::{Iter, Run};
use leaf::{Leaf, compare};
use slab::{LeafId, Slab};

pub mod iter;
pub mod leaf;
pub mod slab;

/// An inner node with so many children is split. Tests have deep trees of few members.
const CHILDREN_MAX: usize = if cfg!(test) { 12 } else { 64 };
/// An inner node with fewer children looks for a neighbour to merge with.
const CHILDREN_MIN: usize = CHILDREN_MAX / 4;

/// A place between two members that are next to each other, or at an end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edge<'a> {
    /// Before everything.
    Start,
    /// Behind everything.
    End,
    /// Before the members with this score.
    Score(f64),
    /// Behind the members with this score.
    AboveScore(f64),
    /// Before this member, where all scores are the same.
    Member(&'a [u8]),
    /// Behind this member, where all scores are the same.
    AboveMember(&'a [u8]),
    /// Before this member with this score.
    Entry(f64, &'a [u8]),
}

impl<'a> Edge<'a> {
    /// Whether the edge lies behind a member; only some edges look at its text.
    #[inline]
    pub fn is_behind<'b>(&self, score: f64, member: impl FnOnce() -> &'b [u8]) -> bool {
        match *self {
            Edge::Start => false,
            Edge::End => true,
            Edge::Score(edge) => score < edge,
            Edge::AboveScore(edge) => score <= edge,
            Edge::Member(edge) => member() < edge,
            Edge::AboveMember(edge) => member() <= edge,
            Edge::Entry(edge, text) => score < edge || score == edge && member() < text,
        }
    }
}

/// Members that were in one leaf are now in another, at its end.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub from: LeafId,
    pub to: LeafId,
    /// Where in the other leaf they begin.
    pub first: usize,
}

/// Where a new member went; then, maybe, members moved, it may be among them.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub leaf: LeafId,
    pub moved: Option<Moved>,
}

/// What a removal took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub count: usize,
    pub moved: Option<Moved>,
}

/// See the top of this file.
#[derive(Clone, Debug)]
pub struct Tree {
    root: Arc<Inner>,
    slab: Slab,
    len: usize,
}

#[derive(Clone, Debug)]
struct Inner {
    children: Vec<Child>,
}

#[derive(Clone, Debug)]
struct Child {
    low: Separator,
    count: usize,
    node: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Inner(Arc<Inner>),
    Leaf(LeafId),
}

/// Something between two members; see the top of this file.
#[derive(Clone, Debug)]
struct Separator {
    score: f64,
    /// None is before all members with the score.
    member: Option<Arc<[u8]>>,
}

impl Separator {
    fn member(&self) -> &[u8] {
        self.member.as_deref().unwrap_or_default()
    }

    fn between(left: &Leaf, right: &Leaf) -> Self {
        let (before, behind) = (left.member(left.len() - 1), right.member(0));
        let score = right.score(0);
        if left.score(left.len() - 1) < score {
            return Self { score, member: None };
        }
        let common = before.iter().zip(behind).take_while(|(a, b)| a == b).count();
        Self { score, member: Some(behind[..=common].into()) }
    }
}

/// A member to be put in.
#[derive(Clone, Copy)]
struct New<'a> {
    score: f64,
    member: &'a [u8],
    hash: u32,
}

/// Whether a node is the first or the last of its level.
#[derive(Clone, Copy)]
struct Outermost {
    first: bool,
    last: bool,
}

/// What a removal looks for.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// This member, which is there.
    Entry(f64, &'a [u8]),
    /// The member with this rank, which there is.
    Rank(usize),
}

impl Default for Tree {
    fn default() -> Self {
        let mut slab = Slab::default();
        let first = slab.add(Leaf::default());
        Self { root: Arc::new(Inner::around(first)), slab, len: 0 }
    }
}

impl Tree {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Allocated bytes, but for the texts of separators. Inner nodes, of which there is one for
    /// some thousand members, are gone through.
    pub fn memory_bytes(&self) -> usize {
        self.slab.memory_bytes() + self.root.memory_bytes()
    }

    /// Moves leaves from this number on, until time is up; the number to go on from, if there is more.
    pub fn move_leaves(&mut self, from: LeafId, mover: &mut Mover<'_>) -> Option<LeafId> {
        self.slab.move_blocks(from, mover)
    }

    /// Moves inner nodes from that with the member of this rank on, until time is up; the rank to go on from, if there is
    /// more.
    pub fn move_inner(&mut self, from: usize, mover: &mut Mover<'_>) -> Option<usize> {
        let mut rank = from;
        while rank < self.len {
            rank = Inner::move_node(&mut self.root, 0, rank, mover);
            if !mover.goes_on() {
                return (rank < self.len).then_some(rank);
            }
        }
        None
    }

    /// The leaf with this number.
    #[inline]
    pub fn leaf(&self, id: LeafId) -> &Leaf {
        self.slab.get(id)
    }

    /// Puts a member in that is not there.
    pub fn insert(&mut self, score: f64, member: &[u8], hash: u32) -> Placed {
        let new = New { score, member, hash };
        let mut placed = Placed { leaf: 0, moved: None };
        let all = Outermost { first: true, last: true };
        let root = Arc::make_mut(&mut self.root);
        if let Some(right) = root.insert(&mut self.slab, new, all, &mut placed) {
            let left = Child {
                low: Separator { score: 0.0, member: None },
                count: self.len + 1 - right.count,
                node: Node::Inner(Arc::clone(&self.root)),
            };
            self.root = Arc::new(Inner { children: vec![left, right] });
        }
        self.len += 1;
        placed
    }

    /// Gives the member at `at` of a leaf another score, if that leaves it where it is.
    pub fn rescore(&mut self, leaf: LeafId, at: usize, score: f64) -> bool {
        // Asked first: what is not done must not copy nodes that a snapshot holds.
        self.leaf(leaf).can_rescore(at, score) && self.slab.edit(leaf, |l| l.rescore(at, score))
    }

    /// Takes up to `max` members out of one leaf, at least one, and tells `gone` in which leaf which
    /// hash was.
    pub fn take(
        &mut self,
        target: Target<'_>,
        max: usize,
        mut gone: impl FnMut(LeafId, u32),
    ) -> Taken {
        let mut taken = Taken { count: 0, moved: None };
        let root = Arc::make_mut(&mut self.root);
        root.take(&mut self.slab, target, max, &mut gone, &mut taken);
        self.len -= taken.count;
        if root.children.is_empty() {
            *root = Inner::around(self.slab.add(Leaf::default()));
        }
        while let [Child { node: Node::Inner(only), .. }] = self.root.children.as_slice() {
            self.root = Arc::clone(only);
        }
        taken
    }

    /// How many members lie before an edge.
    pub fn count_before(&self, edge: Edge<'_>) -> usize {
        let mut inner = &self.root;
        let mut rank = 0;
        loop {
            let at = inner.child_before(edge);
            rank += inner.children[..at].iter().map(|child| child.count).sum::<usize>();
            match &inner.children[at].node {
                Node::Inner(below) => inner = below,
                Node::Leaf(id) => return rank + self.leaf(*id).count_before(edge),
            }
        }
    }

    /// The leaf with the member of this rank, and its first member's rank.
    fn run_at(&self, rank: usize) -> Run<'_> {
        let mut inner = &self.root;
        let mut rest = rank;
        loop {
            let at = inner.child_with(&mut rest);
            match &inner.children[at].node {
                Node::Inner(below) => inner = below,
                Node::Leaf(id) => return Run { leaf: self.leaf(*id), start: rank - rest },
            }
        }
    }

    /// The member with this rank, which there is.
    pub fn nth(&self, rank: usize) -> (&[u8], f64) {
        self.run_at(rank).get(rank)
    }

    /// The members with these ranks, from either end.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        let ranks = ranks.start..ranks.end.min(self.len);
        Iter::new(self, ranks)
    }
}

impl Inner {
    /// Moves the lowest inner node with the member of this rank, and those above it of which it is the first; `first` is
    /// the rank of the node's first member. The rank behind what was moved, or is shared.
    fn move_node(node: &mut Arc<Self>, first: usize, rank: usize, mover: &mut Mover<'_>) -> usize {
        let end = first + node.children.iter().map(|child| child.count).sum::<usize>();
        let own = match rank == first {
            true => mover.shared(node, || Self { children: Vec::new() }),
            false => Arc::get_mut(node),
        };
        let Some(own) = own else { return end };
        if rank == first {
            mover.vec(&mut own.children);
            let members = own.children.iter_mut().filter_map(|child| child.low.member.as_mut());
            members.for_each(|text| mover.text(text));
        }
        let mut first = first;
        for child in &mut own.children {
            if rank < first + child.count
                && let Node::Inner(below) = &mut child.node
            {
                return Self::move_node(below, first, rank, mover);
            }
            first += child.count;
        }
        end
    }
}

impl Inner {
    fn around(leaf: LeafId) -> Self {
        let low = Separator { score: 0.0, member: None };
        Self { children: vec![Child { low, count: 0, node: Node::Leaf(leaf) }] }
    }

    fn memory_bytes(&self) -> usize {
        let below = self.children.iter().map(|child| match &child.node {
            Node::Inner(below) => below.memory_bytes(),
            Node::Leaf(_) => 0,
        });
        size_of::<Self>() + self.children.capacity() * size_of::<Child>() + below.sum::<usize>()
    }

    /// The child in which a member is, or would be.
    #[inline]
    fn child_of(&self, score: f64, member: &[u8]) -> usize {
        self.children[1..].partition_point(|child| {
            compare((child.low.score, child.low.member()), (score, member)) != Ordering::Greater
        })
    }

    /// The child in which an edge is.
    #[inline]
    fn child_before(&self, edge: Edge<'_>) -> usize {
        self.children[1..]
            .partition_point(|child| edge.is_behind(child.low.score, || child.low.member()))
    }

    /// The child in which a rank is; it becomes a rank in there.
    #[inline]
    fn child_with(&self, rank: &mut usize) -> usize {
        let mut at = 0;
        while *rank >= self.children[at].count {
            *rank -= self.children[at].count;
            at += 1;
        }
        at
    }

    /// Puts a member in; the right half of this node, if it was split.
    fn insert(
        &mut self,
        slab: &mut Slab,
        new: New<'_>,
        outermost: Outermost,
        placed: &mut Placed,
    ) -> Option<Child> {
        let at = self.child_of(new.score, new.member);
        let outermost = Outermost {
            first: outermost.first && at == 0,
            last: outermost.last && at + 1 == self.children.len(),
        };
        let child = &mut self.children[at];
        child.count += 1;
        match &mut child.node {
            Node::Inner(below) => {
                let right = Arc::make_mut(below).insert(slab, new, outermost, placed)?;
                child.count -= right.count;
                self.children.insert(at + 1, right);
            }
            Node::Leaf(id) => {
                let id = *id;
                placed.leaf = id;
                let (place, is_full) = slab.edit(id, |leaf| {
                    let place = leaf.count_before(Edge::Entry(new.score, new.member));
                    leaf.insert(place, new.score, new.member, new.hash);
                    (place, leaf.is_full())
                });
                if !is_full {
                    return None;
                }
                let len = slab.get(id).len();
                let to = if outermost.last && place + 1 == len {
                    self.split_leaf(slab, at, len - 1)
                } else if outermost.first && place == 0 {
                    self.split_leaf_left(slab, at)
                } else {
                    let cut = slab.get(id).uneven_cut();
                    self.split_leaf(slab, at, cut)
                };
                placed.moved = Some(Moved { from: id, to, first: 0 });
            }
        }
        let len = self.children.len();
        if len < CHILDREN_MAX {
            return None;
        }
        // As with leaves: what grows at its end stays full.
        let cut = if outermost.last { len - 1 } else { len / 2 };
        let children = self.children.split_off(cut);
        self.children.shrink_to(cut + cut / 4);
        let count = children.iter().map(|child| child.count).sum();
        let low = children[0].low.clone();
        Some(Child { low, count, node: Node::Inner(Arc::new(Self { children })) })
    }

    /// Moves the members from `cut` on of the leaf at `at` to a new leaf behind it.
    fn split_leaf(&mut self, slab: &mut Slab, at: usize, cut: usize) -> LeafId {
        let child = &mut self.children[at];
        let Node::Leaf(id) = child.node else { unreachable!("the caller saw a leaf") };
        let right = slab.edit(id, |leaf| leaf.split_off(cut));
        let low = Separator::between(slab.get(id), &right);
        let count = right.len();
        child.count -= count;
        let to = slab.add(right);
        self.children.insert(at + 1, Child { low, count, node: Node::Leaf(to) });
        to
    }

    /// Moves the first member of the leaf at `at` to a new leaf in front of it.
    fn split_leaf_left(&mut self, slab: &mut Slab, at: usize) -> LeafId {
        let child = &mut self.children[at];
        let Node::Leaf(id) = child.node else { unreachable!("the caller saw a leaf") };
        let left = slab.edit(id, |leaf| {
            let right = leaf.split_off(1);
            std::mem::replace(leaf, right)
        });
        let low = Separator::between(&left, slab.get(id));
        let low = std::mem::replace(&mut child.low, low);
        child.count -= 1;
        let to = slab.add(left);
        self.children.insert(at, Child { low, count: 1, node: Node::Leaf(to) });
        to
    }

    fn take(
        &mut self,
        slab: &mut Slab,
        target: Target<'_>,
        max: usize,
        gone: &mut impl FnMut(LeafId, u32),
        taken: &mut Taken,
    ) {
        let (at, target) = match target {
            Target::Entry(score, member) => (self.child_of(score, member), target),
            Target::Rank(mut rank) => (self.child_with(&mut rank), Target::Rank(rank)),
        };
        let child = &mut self.children[at];
        match &mut child.node {
            Node::Inner(below) => Arc::make_mut(below).take(slab, target, max, gone, taken),
            Node::Leaf(id) => {
                let id = *id;
                taken.count = slab.edit(id, |leaf| {
                    let from = match target {
                        Target::Entry(score, member) => {
                            leaf.count_before(Edge::Entry(score, member))
                        }
                        Target::Rank(rank) => rank,
                    };
                    let to = leaf.len().min(from.saturating_add(max));
                    (from..to).for_each(|at| gone(id, leaf.hash(at)));
                    leaf.remove(from..to);
                    to - from
                });
            }
        }
        child.count -= taken.count;
        self.mend(slab, at, taken);
    }

    /// Removes the child at `at` if nothing is left of it, and merges it with a neighbour if little
    /// is.
    fn mend(&mut self, slab: &mut Slab, at: usize, taken: &mut Taken) {
        let child = &self.children[at];
        if child.count == 0 {
            if let Node::Leaf(id) = child.node {
                slab.remove(id);
            }
            self.children.remove(at);
            return;
        }
        let is_sparse = match &child.node {
            Node::Leaf(id) => slab.get(*id).is_sparse(),
            Node::Inner(inner) => inner.children.len() < CHILDREN_MIN,
        };
        if !is_sparse || self.children.len() < 2 {
            return;
        }
        let left = at.min(self.children.len() - 2);
        let (before, behind) = self.children.split_at_mut(left + 1);
        let (left_child, right_child) = (&mut before[left], &mut behind[0]);
        match (&mut left_child.node, &mut right_child.node) {
            (Node::Leaf(to), Node::Leaf(from)) => {
                if !slab.get(*to).fits_with(slab.get(*from)) {
                    return;
                }
                let right = slab.remove(*from);
                let first = slab.get(*to).len();
                slab.edit(*to, |leaf| leaf.absorb(&right));
                taken.moved = Some(Moved { from: *from, to: *to, first });
            }
            (Node::Inner(to), Node::Inner(from)) => {
                if to.children.len() + from.children.len() > CHILDREN_MAX / 2 {
                    return;
                }
                let mut moved = from.children.clone();
                // The first separator means nothing in its own node, but does in the middle of one.
                moved[0].low = right_child.low.clone();
                Arc::make_mut(to).children.append(&mut moved);
            }
            _ => unreachable!("all leaves are equally deep"),
        }
        left_child.count += right_child.count;
        self.children.remove(left + 1);
    }
}

#[cfg(test)]
#[path = "bptree/bptree_tests.rs"]
mod tests;
