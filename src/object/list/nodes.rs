//! How does a long list change? By rules about its nodes that are Redis's, so that what clients see of
//! them (when a list counts as small again, what a dump holds) is the same.
//!
//! Elements go into the node where they belong, if the limits let it grow; else into a neighbour at
//! whose end they would stand, else into a node of their own, for which a full node is split. After a
//! split, small neighbours are merged. Deletions leave nodes as small as they become. One thing is
//! stricter than in Redis: a long element that replaces a short one, or comes to stand between others,
//! gets a node of its own, so that nodes stay small.

use super::node::{Needle, Node, NodeRef, Pack, seek};
use super::tree::{Place, Tree};
use super::{ELEMENT_OVERHEAD, End, ListLimits, Side};
use crate::object::listpack::{Bytes, Element, Listpack};

/// Bytes of a listpack without elements.
const EMPTY_BYTES: usize = 7;

/// A list of nodes.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    pub(super) tree: Tree,
}

impl Nodes {
    /// A list whose only node is this one, if it has elements.
    pub fn of(listpack: &Listpack) -> Self {
        let mut nodes = Self::default();
        if !listpack.is_empty() {
            nodes.tree.insert(0, Node::Packed(listpack.moved()));
        }
        nodes
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, text: &[u8], limits: ListLimits) {
        let nodes = self.tree.nodes();
        let number = self.last_number(end);
        if nodes > 0 && limits.admit(self.tree.node(number), text) {
            self.tree.edit(number, |node| push(node.listpack_mut(), end, text));
        } else {
            if nodes > 0 {
                self.trim(number);
            }
            let number = if end == End::Head { 0 } else { nodes };
            self.tree.insert(number, limits.single(text));
        }
    }

    /// Takes the element at an end out, after it was shown; false if there is none.
    pub fn pop(&mut self, end: End, show: impl FnOnce(Element<'_>)) -> bool {
        if self.tree.nodes() == 0 {
            return false;
        }
        let number = self.last_number(end);
        let node = self.tree.node(number);
        if node.elements() == 1 {
            show(node.as_ref().get(0));
            self.tree.remove(number);
            return true;
        }
        self.tree.edit(number, |node| {
            let listpack = node.listpack_mut();
            let last = if end == End::Head { listpack.first() } else { listpack.last() };
            let position = last.expect("no node is empty");
            show(listpack.get(position));
            listpack.delete(position, 1);
        });
        true
    }

    /// Lets a node that is an end of the list no more give back its room.
    fn trim(&mut self, number: usize) {
        if self.tree.node(number).has_room() {
            self.tree.edit(number, Node::trim);
        }
    }

    fn last_number(&self, end: End) -> usize {
        match end {
            End::Head => 0,
            End::Tail => self.tree.nodes().saturating_sub(1),
        }
    }

    /// Adds an element beside that of an index, which is there.
    pub fn insert(&mut self, index: usize, side: Side, text: &[u8], limits: ListLimits) {
        let Place { node: at, offset } = self.tree.find(index);
        let node = self.tree.node(at);
        let is_after = side == Side::After;
        let is_at_end = if is_after { offset + 1 == node.elements() } else { offset == 0 };
        let admits = |number: usize| {
            number < self.tree.nodes() && limits.admit(self.tree.node(number), text)
        };
        // The neighbour at whose end the new element would stand.
        let neighbour = if is_after { at + 1 } else { at.wrapping_sub(1) };
        if admits(at) {
            self.tree.edit(at, |node| {
                let listpack = node.listpack_mut();
                let position = seek(listpack.view(), offset);
                match side {
                    Side::Before => listpack.insert_before(position, text),
                    Side::After => listpack.insert_after(position, text),
                }
            });
        } else if is_at_end && admits(neighbour) {
            let end = if is_after { End::Head } else { End::Tail };
            self.tree.edit(neighbour, |node| push(node.listpack_mut(), end, text));
        } else if is_at_end {
            self.tree.insert(at + usize::from(is_after), limits.single(text));
        } else {
            self.split(at, offset + usize::from(is_after));
            // The new element joins the part that the old one is not in, if that lets it.
            let (joined, end) = if is_after { (at + 1, End::Head) } else { (at, End::Tail) };
            if limits.admit(self.tree.node(joined), text) {
                self.tree.edit(joined, |node| push(node.listpack_mut(), end, text));
                self.merge_around(if is_after { at } else { at + 1 }, limits);
            } else {
                self.tree.insert(at + 1, limits.single(text));
            }
        }
    }

    /// Puts another text in the place of the element of an index, which is there.
    pub fn replace(&mut self, index: usize, text: &[u8], limits: ListLimits) {
        let Place { node: at, offset } = self.tree.find(index);
        let node = self.tree.node(at);
        let (len, bytes) = (node.elements(), node.bytes());
        // What an integer takes has little to do with its text.
        let old_bytes = match node.as_ref().get(offset) {
            Element::Str(text) => text.len(),
            Element::Int(_) => 1,
        };
        if limits.is_plain(text) || node.is_plain() {
            self.replace_by_node(at, offset, text, limits);
            return;
        }
        let grown = bytes - old_bytes + text.len() + ELEMENT_OVERHEAD;
        if len > 1 && text.len() > old_bytes && limits.exceeded_by(grown, len) {
            self.replace_by_node(at, offset, text, limits);
            return;
        }
        self.tree.edit(at, |node| {
            let listpack = node.listpack_mut();
            listpack.replace(seek(listpack.view(), offset), text);
        });
        // What was alone because it was long may go back to the others.
        if limits.exceeded_by(bytes, len) {
            self.merge_around(at, limits);
        }
    }

    /// Puts a node of its own in the place of an element.
    fn replace_by_node(&mut self, at: usize, offset: usize, text: &[u8], limits: ListLimits) {
        if offset + 1 < self.tree.node(at).elements() {
            self.split(at, offset + 1);
        }
        self.tree.insert(at + 1, limits.single(text));
        if offset == 0 {
            self.tree.remove(at);
            self.merge_around(at, limits);
        } else {
            self.delete_at(Place { node: at, offset }, 1);
            self.merge_around(at + 1, limits);
        }
    }

    /// Removes elements from an index on; they are all there.
    pub fn delete(&mut self, index: usize, count: usize) {
        if count == 0 {
            return;
        }
        let Place { node: mut at, mut offset } = self.tree.find(index);
        let mut left = count;
        while left > 0 {
            let len = self.tree.node(at).elements();
            let here = left.min(len - offset);
            self.delete_at(Place { node: at, offset }, here);
            // What is behind a node that is gone has its number now.
            at += usize::from(here < len);
            left -= here;
            offset = 0;
        }
    }

    /// Removes elements of one node, and the node with its last one.
    fn delete_at(&mut self, place: Place, count: usize) {
        if self.tree.node(place.node).elements() == count {
            self.tree.remove(place.node);
        } else {
            self.tree.edit(place.node, |node| {
                let listpack = node.listpack_mut();
                listpack.delete(seek(listpack.view(), place.offset), count);
            });
        }
    }

    /// Removes up to `limit` elements with this text, from an end on; says how many there were.
    pub fn remove(&mut self, needle: Needle<'_>, from: End, limit: usize) -> usize {
        let mut removed = 0;
        let mut seen = 0;
        // Counted from the end where it begins, so that nodes which go do not shift those to come.
        while seen < self.tree.nodes() && removed < limit {
            let number = if from == End::Head { seen } else { self.tree.nodes() - 1 - seen };
            let node = self.tree.node(number);
            let len = node.elements();
            // Nodes without a match are left alone, also by copies.
            if !node.as_ref().iter_from(0).any(|element| needle.is(element)) {
                seen += 1;
                continue;
            }
            if len == 1 {
                self.tree.remove(number);
                removed += 1;
                continue;
            }
            let here = self
                .tree
                .edit(number, |node| remove(node.listpack_mut(), needle, from, limit - removed));
            removed += here;
            if here == len {
                self.tree.remove(number);
            } else {
                seen += 1;
            }
        }
        removed
    }

    /// Splits a node; its elements from `offset` on become the next one.
    fn split(&mut self, at: usize, offset: usize) {
        let right = self.tree.edit(at, |node| {
            let listpack = node.listpack_mut();
            listpack.split_off(seek(listpack.view(), offset))
        });
        self.tree.insert(at + 1, Node::Packed(right));
    }

    /// Merges the neighbours of a node with theirs, and with it, as far as the limits let them.
    fn merge_around(&mut self, center: usize, limits: ListLimits) {
        let mut center = center;
        if center >= 2 && self.merge(center - 2, limits) {
            center -= 1;
        }
        self.merge(center + 1, limits);
        if center >= 1 && self.merge(center - 1, limits) {
            center -= 1;
        }
        self.merge(center, limits);
    }

    /// Merges a node with the next one, if there is one and the limits let them.
    fn merge(&mut self, left: usize, limits: ListLimits) -> bool {
        if left + 1 >= self.tree.nodes() {
            return false;
        }
        let (one, other) = (self.tree.node(left), self.tree.node(left + 1));
        if one.is_plain() || other.is_plain() {
            return false;
        }
        let bytes = one.bytes() + other.bytes() - EMPTY_BYTES;
        if limits.exceeded_by(bytes, one.elements() + other.elements()) {
            return false;
        }
        let NodeRef::Packed(other) = other.as_ref() else { return false };
        let other: Pack = other.to_listpack();
        self.tree.edit(left, |node| node.listpack_mut().append(other.view()));
        self.tree.remove(left + 1);
        true
    }
}

/// Adds an element at an end of a listpack.
#[inline]
pub fn push<B: Bytes>(listpack: &mut Listpack<B>, end: End, text: &[u8]) {
    match end {
        End::Head => listpack.push_front(text),
        End::Tail => listpack.push_back(text),
    }
}

/// Removes up to `limit` elements with this text, from an end on; says how many there were.
pub fn remove<B: Bytes>(
    listpack: &mut Listpack<B>,
    needle: Needle<'_>,
    from: End,
    limit: usize,
) -> usize {
    let mut removed = 0;
    let mut at = if from == End::Head { listpack.first() } else { listpack.last() };
    while let Some(position) = at
        && removed < limit
    {
        let is_match = needle.is(listpack.get(position));
        removed += usize::from(is_match);
        at = match from {
            End::Head if is_match => listpack.delete(position, 1),
            End::Head => listpack.next(position),
            End::Tail => {
                let before = listpack.prev(position);
                if is_match {
                    listpack.delete(position, 1);
                }
                before
            }
        };
    }
    removed
}
