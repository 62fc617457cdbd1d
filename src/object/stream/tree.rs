//! How are things found by stream ID? In a B+tree of reference-counted nodes.
//!
//! A map from IDs to small values, for the nodes of a stream and for the lists of pending entries. Ids
//! mostly arrive in order and leave in order: a leaf that is full when an ID comes behind all others
//! stays full, and the new one begins a leaf of its own.
//!
//! Cloning takes the root: O(1). A change copies the nodes on its way from the root that others hold as
//! well, at most a few of [`FANOUT`] slots each, so no change costs more because a snapshot runs.
//!
//! Invariants: all leaves have the same depth; the ids of a leaf ascend, and so do the bounds of an inner
//! node; no id of a child is below its bound, nor at or above the next child's; no node is empty.

use std::sync::Arc;

use super::id::StreamId;
use crate::base::moving::Mover;

/// Slots of a node at most: three KiB of stream nodes, five of pending entries.
const FANOUT: usize = 128;

/// A node with fewer slots looks for a neighbour to join.
const SPARSE: usize = FANOUT / 4;

/// Two neighbours join if this many slots hold both, so that the next few additions do not split them.
const JOINED_MAX: usize = FANOUT / 2;

/// A map from IDs to values; see the top of this file.
#[derive(Clone, Debug)]
pub struct IdMap<V> {
    root: Option<Arc<Node<V>>>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node<V> {
    Leaf(Vec<(StreamId, V)>),
    /// Children with a bound that none of their ids is below.
    Inner(Vec<(StreamId, Arc<Node<V>>)>),
}

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

impl<V> IdMap<V> {
    /// Number of ids.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of an id.
    pub fn get(&self, id: StreamId) -> Option<&V> {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Inner(children) => node = &children[child_of(children, id)].1,
                Node::Leaf(slots) => {
                    let at = slots.binary_search_by_key(&id, |slot| slot.0).ok()?;
                    return Some(&slots[at].1);
                }
            }
        }
    }

    /// Moves the leaf in which `from` is or would be, the values in it by `value`, and the nodes above of which
    /// it is the first; the id behind what was moved, or is shared, if there is more.
    pub fn move_leaf(
        &mut self,
        from: StreamId,
        mover: &mut Mover<'_>,
        value: impl FnMut(&mut V, &mut Mover<'_>),
    ) -> Option<StreamId> {
        let root = self.root.as_mut()?;
        let is_first = from <= root.bound();
        Node::move_leaf(root, from, is_first, None, mover, value)
    }

    /// The largest id and its value.
    pub fn last(&self) -> Option<(StreamId, &V)> {
        self.at_or_before(StreamId::MAX)
    }

    /// The first id from `id` on.
    pub fn at_or_after(&self, id: StreamId) -> Option<(StreamId, &V)> {
        self.leaf_from(id).first().map(|(id, value)| (*id, value))
    }

    /// The last id up to `id`.
    pub fn at_or_before(&self, id: StreamId) -> Option<(StreamId, &V)> {
        self.leaf_to(id).last().map(|(id, value)| (*id, value))
    }

    /// The ids from `from` on, in order.
    pub fn iter_from(&self, from: StreamId) -> Iter<'_, V> {
        Iter { map: self, slots: [].iter(), from: Some(from) }
    }

    /// All ids, in order.
    pub fn iter(&self) -> Iter<'_, V> {
        self.iter_from(StreamId::MIN)
    }

    /// The ids down from `to`.
    pub fn iter_back(&self, to: StreamId) -> IterBack<'_, V> {
        IterBack { map: self, slots: [].iter(), to: Some(to) }
    }

    /// Allocated bytes, without what the values point to: close to the truth, without a walk.
    pub fn memory_bytes(&self) -> usize {
        let node = size_of::<Node<V>>() + 2 * size_of::<usize>();
        self.len.div_ceil(FANOUT) * node + self.len * size_of::<(StreamId, V)>()
    }

    /// The slots of one leaf from the first id at or behind `from`; none only if there is no such id.
    fn leaf_from(&self, from: StreamId) -> &[(StreamId, V)] {
        let Some(mut node) = self.root.as_deref() else { return &[] };
        let mut right = None;
        loop {
            match node {
                Node::Inner(children) => {
                    let at = child_of(children, from);
                    right = children.get(at + 1).map(|child| &*child.1).or(right);
                    node = &children[at].1;
                }
                Node::Leaf(slots) => {
                    let at = slots.partition_point(|slot| slot.0 < from);
                    return match right {
                        Some(right) if at == slots.len() => right.first_leaf(),
                        _ => &slots[at..],
                    };
                }
            }
        }
    }

    /// The slots of one leaf up to the last id at or before `to`; none only if there is no such id.
    fn leaf_to(&self, to: StreamId) -> &[(StreamId, V)] {
        let Some(mut node) = self.root.as_deref() else { return &[] };
        let mut left = None;
        loop {
            match node {
                Node::Inner(children) => {
                    let at = child_of(children, to);
                    if let Some(before) = at.checked_sub(1) {
                        left = Some(&*children[before].1);
                    }
                    node = &children[at].1;
                }
                Node::Leaf(slots) => {
                    let end = slots.partition_point(|slot| slot.0 <= to);
                    return match left {
                        Some(left) if end == 0 => left.last_leaf(),
                        _ => &slots[..end],
                    };
                }
            }
        }
    }
}

impl<V: Clone> IdMap<V> {
    /// The value of an id, to change.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        // What is shared is copied for what is there alone.
        self.get(id)?;
        let mut node = Arc::make_mut(self.root.as_mut()?);
        loop {
            match node {
                Node::Inner(children) => {
                    let at = child_of(children, id);
                    node = Arc::make_mut(&mut children[at].1);
                }
                Node::Leaf(slots) => {
                    let at = slots.binary_search_by_key(&id, |slot| slot.0).ok()?;
                    return Some(&mut slots[at].1);
                }
            }
        }
    }

    /// Gives an id a value; the one that it had.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Arc::new(Node::Leaf(vec![(id, value)])));
            self.len = 1;
            return None;
        };
        let (old, split) = Arc::make_mut(root).insert(id, value);
        if let Some(right) = split {
            let left = Arc::clone(root);
            *root = Arc::new(Node::Inner(vec![(left.bound(), left), (right.bound(), right)]));
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Takes an id out; its value.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        self.get(id)?;
        let root = self.root.as_mut()?;
        let old = Arc::make_mut(root).remove(id);
        self.len -= 1;
        while let Node::Inner(children) = &**root
            && let [(_, only)] = &children[..]
        {
            *root = Arc::clone(only);
        }
        if self.len == 0 {
            self.root = None;
        }
        old
    }

    /// Takes the largest id out.
    pub fn pop_last(&mut self) -> Option<(StreamId, V)> {
        let (id, _) = self.last()?;
        self.remove(id).map(|value| (id, value))
    }
}

/// The child where an id is or would be.
#[inline]
fn child_of<V>(children: &[(StreamId, Arc<Node<V>>)], id: StreamId) -> usize {
    children.partition_point(|child| child.0 <= id).saturating_sub(1)
}

/// Puts an item into the slots of a node. If there is no room, those behind half, or the new one alone
/// if it comes last, are handed out for a node of their own.
fn put<T>(slots: &mut Vec<T>, at: usize, item: T) -> Option<Vec<T>> {
    if slots.len() < FANOUT {
        slots.insert(at, item);
        return None;
    }
    if at == slots.len() {
        return Some(vec![item]);
    }
    let half = slots.len() / 2;
    let mut right = slots.split_off(half);
    if at <= half {
        slots.insert(at, item);
    } else {
        right.insert(at - half, item);
    }
    Some(right)
}

impl<V> Node<V> {
    /// The smallest id of a leaf; a bound of an inner node's ids.
    /// See [`IdMap::move_leaf`]; `end` is the bound of the next node.
    fn move_leaf(
        this: &mut Arc<Self>,
        from: StreamId,
        is_first: bool,
        end: Option<StreamId>,
        mover: &mut Mover<'_>,
        mut value: impl FnMut(&mut V, &mut Mover<'_>),
    ) -> Option<StreamId> {
        let own = match is_first {
            true => mover.shared(this, || Node::Leaf(Vec::new())),
            false => Arc::get_mut(this),
        };
        match own {
            None => end,
            Some(Node::Leaf(slots)) => {
                mover.vec(slots);
                slots.iter_mut().for_each(|slot| value(&mut slot.1, mover));
                end
            }
            Some(Node::Inner(children)) => {
                if is_first {
                    mover.vec(children);
                }
                let at = child_of(children, from);
                let end = children.get(at + 1).map(|child| child.0).or(end);
                let (bound, child) = &mut children[at];
                let is_first = from <= *bound || is_first && at == 0;
                Self::move_leaf(child, from, is_first, end, mover, value)
            }
        }
    }

    fn bound(&self) -> StreamId {
        match self {
            Node::Leaf(slots) => slots[0].0,
            Node::Inner(children) => children[0].0,
        }
    }

    fn len(&self) -> usize {
        match self {
            Node::Leaf(slots) => slots.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn first_leaf(&self) -> &[(StreamId, V)] {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(slots) => return slots,
                Node::Inner(children) => node = &children[0].1,
            }
        }
    }

    fn last_leaf(&self) -> &[(StreamId, V)] {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(slots) => return slots,
                Node::Inner(children) => node = &children[children.len() - 1].1,
            }
        }
    }
}

impl<V: Clone> Node<V> {
    /// The old value, and the node that has to stand behind this one.
    fn insert(&mut self, id: StreamId, value: V) -> (Option<V>, Option<Arc<Node<V>>>) {
        match self {
            Node::Leaf(slots) => match slots.binary_search_by_key(&id, |slot| slot.0) {
                Ok(at) => (Some(std::mem::replace(&mut slots[at].1, value)), None),
                Err(at) => {
                    let right = put(slots, at, (id, value));
                    (None, right.map(|slots| Arc::new(Node::Leaf(slots))))
                }
            },
            Node::Inner(children) => {
                let at = child_of(children, id);
                let (old, split) = Arc::make_mut(&mut children[at].1).insert(id, value);
                let right = split.and_then(|right| put(children, at + 1, (right.bound(), right)));
                // Only the first child takes ids below its bound.
                let first = &mut children[0].0;
                *first = (*first).min(id);
                (old, right.map(|children| Arc::new(Node::Inner(children))))
            }
        }
    }

    fn remove(&mut self, id: StreamId) -> Option<V> {
        match self {
            Node::Leaf(slots) => {
                let at = slots.binary_search_by_key(&id, |slot| slot.0).ok()?;
                Some(slots.remove(at).1)
            }
            Node::Inner(children) => {
                let at = child_of(children, id);
                let old = Arc::make_mut(&mut children[at].1).remove(id);
                tidy(children, at);
                old
            }
        }
    }
}

/// Removes a child that has become empty, and joins a sparse one to a neighbour if they fit.
fn tidy<V: Clone>(children: &mut Vec<(StreamId, Arc<Node<V>>)>, at: usize) {
    let len = children[at].1.len();
    if len == 0 {
        children.remove(at);
        return;
    }
    if len >= SPARSE {
        return;
    }
    let fits = |neighbour: usize| {
        children.get(neighbour).is_some_and(|child| child.1.len() + len <= JOINED_MAX)
    };
    let left = match at.checked_sub(1) {
        Some(before) if fits(before) => before,
        _ if fits(at + 1) => at,
        _ => return,
    };
    let right = Arc::unwrap_or_clone(children.remove(left + 1).1);
    match (Arc::make_mut(&mut children[left].1), right) {
        (Node::Leaf(slots), Node::Leaf(more)) => slots.extend(more),
        (Node::Inner(slots), Node::Inner(more)) => slots.extend(more),
        _ => unreachable!("all leaves have the same depth"),
    }
}

/// Ids with their values, in order.
#[derive(Clone, Debug)]
pub struct Iter<'a, V> {
    map: &'a IdMap<V>,
    slots: std::slice::Iter<'a, (StreamId, V)>,
    /// Where the leaf behind `slots` begins.
    from: Option<StreamId>,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (StreamId, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((id, value)) = self.slots.next() {
                return Some((*id, value));
            }
            let leaf = self.map.leaf_from(self.from.take()?);
            self.from = leaf.last().and_then(|last| last.0.next());
            self.slots = leaf.iter();
        }
    }
}

/// Ids with their values, backwards.
#[derive(Clone, Debug)]
pub struct IterBack<'a, V> {
    map: &'a IdMap<V>,
    slots: std::slice::Iter<'a, (StreamId, V)>,
    /// Where the leaf before `slots` ends.
    to: Option<StreamId>,
}

impl<'a, V> Iterator for IterBack<'a, V> {
    type Item = (StreamId, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((id, value)) = self.slots.next_back() {
                return Some((*id, value));
            }
            let leaf = self.map.leaf_to(self.to.take()?);
            self.to = leaf.first().and_then(|first| first.0.prev());
            self.slots = leaf.iter();
        }
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
