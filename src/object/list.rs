//! How is a list held? A short one as a listpack, a long one as nodes that are listpacks.
//!
//! The encodings are Redis's: `listpack` until what is added would make it longer than
//! `list-max-listpack-size` allows, `quicklist` from then on, and `listpack` again when removals have
//! left a single node of half that size, so that a list at the limit does not go to and fro. Nodes obey
//! the same limit. They are reference-counted and found through a tree that counts (`list/tree.rs`),
//! which makes both ends cheap, an index cost a few steps, and a clone O(1); that of a listpack copies
//! it. `list-compress-depth` has no effect: nodes are never compressed.

use crate::base::moving::{Cursor, Mover};
use crate::object::listpack::{BYTES_MAX, Element, Listpack};
use crate::object::thin::{Compact, Form, FormMut};

pub mod node;

mod nodes;

mod room;

mod tree;

use node::{Needle, Node, NodeRef};
use nodes::Nodes;
use tree::Place;

/// Most bytes of a node when its elements are counted.
const COUNTED_BYTES_MAX: usize = 8192;

/// Most bytes of a node for -1, -2 ... of `list-max-listpack-size`.
const SIZES: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// Bytes that a new element is taken to need besides its text.
const ELEMENT_OVERHEAD: usize = 8;

/// An element of this length has a node of its own, without a listpack around it, unless DEBUG says
/// otherwise.
pub const PLAIN_BYTES_MIN: usize = 1 << 30;

/// How large nodes, and lists without nodes, may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLimits {
    bytes_max: usize,
    len_max: usize,
    /// Most bytes for a list to lose its nodes again; half as many elements as `len_max` are the other
    /// condition.
    shrunk_bytes_max: usize,
    plain_min: usize,
}

impl ListLimits {
    /// The limits that `list-max-listpack-size` states: a number of elements, or one of five sizes if
    /// negative. Longer elements than `plain_min` go without a listpack.
    pub fn new(max_listpack_size: i64, plain_min: usize) -> Self {
        // Every text that goes into a listpack must find room in an empty one.
        let plain_min = plain_min.min(BYTES_MAX - 64);
        if max_listpack_size >= 0 {
            // Redis lets a list of any size that was trimmed to half the count become a listpack, which it
            // would not let grow to that size; here it must not be larger than one may grow.
            return Self {
                bytes_max: COUNTED_BYTES_MAX,
                len_max: usize::try_from(max_listpack_size).unwrap_or(usize::MAX).max(1),
                shrunk_bytes_max: COUNTED_BYTES_MAX,
                plain_min,
            };
        }
        let level = usize::try_from(-1 - max_listpack_size).unwrap_or(usize::MAX);
        let bytes_max = SIZES[level.min(SIZES.len() - 1)];
        Self { bytes_max, len_max: usize::MAX, shrunk_bytes_max: bytes_max / 2, plain_min }
    }

    /// Whether a node of this size is too large.
    #[inline]
    pub fn exceeded_by(self, bytes: usize, len: usize) -> bool {
        bytes > self.bytes_max || len > self.len_max
    }

    /// Whether a node may take up another element.
    #[inline]
    fn admit(self, node: &Node, text: &[u8]) -> bool {
        let bytes = node.bytes() + text.len() + ELEMENT_OVERHEAD;
        !node.is_plain() && !self.is_plain(text) && !self.exceeded_by(bytes, node.elements() + 1)
    }

    /// Whether an element is to go without a listpack.
    #[inline]
    fn is_plain(self, text: &[u8]) -> bool {
        text.len() >= self.plain_min
    }

    /// A node of one element.
    fn single(self, text: &[u8]) -> Node {
        if self.is_plain(text) { Node::Plain(text.into()) } else { Node::packed(text) }
    }
}

impl Default for ListLimits {
    fn default() -> Self {
        Self::new(-2, PLAIN_BYTES_MIN)
    }
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where index 0 is: the left one.
    Head,
    /// Where index -1 is: the right one.
    Tail,
}

/// Where an element goes, seen from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nearer to the head.
    Before,
    /// Nearer to the tail.
    After,
}

/// A list; see the top of this file. One word.
#[derive(Clone, Debug, Default)]
pub struct List {
    repr: Compact<Listpack, Nodes>,
}

impl List {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.repr.form() {
            Form::Small(_) => "listpack",
            Form::Large(_) => "quicklist",
        }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match self.repr.form() {
            Form::Small(listpack) => listpack.len(),
            Form::Large(nodes) => nodes.tree.len(),
        }
    }

    /// Whether there is none: the key must then go.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self.repr.form() {
            Form::Small(listpack) => listpack.is_empty(),
            Form::Large(nodes) => nodes.tree.nodes() == 0,
        }
    }

    /// Allocated bytes, without this struct itself.
    pub fn memory_bytes(&self) -> usize {
        match self.repr.form() {
            Form::Small(listpack) => listpack.memory_bytes(),
            Form::Large(nodes) => size_of::<Nodes>() + nodes.tree.memory_bytes(),
        }
    }

    /// The number of nodes, for [`List::node`]; 1 if there are none but a listpack.
    pub fn nodes(&self) -> usize {
        match self.repr.form() {
            Form::Small(_) => 1,
            Form::Large(nodes) => nodes.tree.nodes(),
        }
    }

    /// A node by its number, or the listpack of a list without nodes.
    pub fn node(&self, number: usize) -> NodeRef<'_> {
        match self.repr.form() {
            Form::Small(listpack) => NodeRef::Packed(listpack.view()),
            Form::Large(nodes) => nodes.tree.node(number).as_ref(),
        }
    }

    /// Adds a listpack at the end, as a node: for loading, which [`List::settle`] ends. An empty one
    /// adds nothing.
    pub fn append_listpack(&mut self, listpack: Listpack) {
        if !listpack.is_empty() {
            self.append_node(Node::Packed(listpack.moved()));
        }
    }

    /// Adds one element at the end, as a node of its own: for loading, which [`List::settle`] ends.
    pub fn append_plain(&mut self, text: Vec<u8>) {
        self.append_node(Node::Plain(text.into_boxed_slice()));
    }

    fn append_node(&mut self, node: Node) {
        let tree = &mut self.make_nodes().tree;
        tree.insert(tree.nodes(), node);
    }

    /// Gives a list that was built node by node the encoding that it should have.
    pub fn settle(&mut self, limits: ListLimits) {
        match self.repr.form() {
            Form::Small(listpack) => {
                if limits.exceeded_by(listpack.as_bytes().len(), listpack.len()) {
                    self.make_nodes();
                }
            }
            Form::Large(_) => self.take_only_node(limits.bytes_max, limits.len_max),
        }
    }

    /// Gives a list that has lost something the encoding that it should have.
    pub fn shrink(&mut self, limits: ListLimits) {
        self.take_only_node(limits.shrunk_bytes_max, limits.len_max / 2);
    }

    /// Becomes a listpack again, if there is but one node, and that is small.
    fn take_only_node(&mut self, bytes_max: usize, len_max: usize) {
        let FormMut::Large(nodes) = self.repr.form_mut() else { return };
        if nodes.tree.nodes() != 1 {
            return;
        }
        let node = nodes.tree.node(0);
        if node.is_plain() || node.bytes() > bytes_max || node.elements() > len_max {
            return;
        }
        if let Some(Node::Packed(listpack)) = std::mem::take(&mut nodes.tree).into_only() {
            self.repr = Compact::small(listpack.moved());
        }
    }

    /// Moves its blocks from `from` on, until time is up; where to go on, if there is more. Something small is moved at once.
    pub fn move_blocks(&mut self, from: Cursor, mover: &mut Mover<'_>) -> Option<Cursor> {
        if from.is_start() {
            self.repr.move_block(mover);
        }
        match self.repr.form_mut() {
            FormMut::Small(_) => None,
            FormMut::Large(nodes) => {
                let next = nodes.tree.move_blocks(from.at as usize, mover);
                next.map(|number| Cursor::at(number as u64))
            }
        }
    }

    fn make_nodes(&mut self) -> &mut Nodes {
        if let FormMut::Small(listpack) = self.repr.form_mut() {
            let nodes = Nodes::of(listpack);
            self.repr = Compact::large(Box::new(nodes));
        }
        match self.repr.form_mut() {
            FormMut::Large(nodes) => nodes,
            FormMut::Small(_) => unreachable!("it was replaced above"),
        }
    }

    /// Prepares for elements to be added, whose size decides the encoding at once.
    #[inline]
    pub fn grow(&mut self, texts: &[&[u8]], limits: ListLimits) {
        if let Form::Small(listpack) = self.repr.form() {
            let bytes: usize = texts.iter().map(|text| text.len()).sum();
            let (bytes, len) = (listpack.as_bytes().len() + bytes, listpack.len() + texts.len());
            if limits.exceeded_by(bytes, len) {
                self.make_nodes();
            }
        }
    }

    /// Adds elements at an end, one after the other.
    #[inline]
    pub fn push(&mut self, end: End, texts: &[&[u8]], limits: ListLimits) {
        self.grow(texts, limits);
        if let FormMut::Small(listpack) = self.repr.form_mut()
            && end == End::Tail
            && texts.len() > 1
        {
            return listpack.append_all(|out| texts.iter().for_each(|text| out.text(text)));
        }
        for text in texts {
            match self.repr.form_mut() {
                FormMut::Small(listpack) => nodes::push(listpack, end, text),
                FormMut::Large(nodes) => nodes.push(end, text, limits),
            }
        }
    }

    /// Takes the element at an end out, after it was shown; false if there is none. [`List::shrink`] is
    /// to follow.
    #[inline]
    pub fn pop(&mut self, end: End, show: impl FnOnce(Element<'_>)) -> bool {
        match self.repr.form_mut() {
            FormMut::Small(listpack) => {
                let last = if end == End::Head { listpack.first() } else { listpack.last() };
                let Some(position) = last else { return false };
                show(listpack.get(position));
                listpack.delete(position, 1);
                true
            }
            FormMut::Large(nodes) => nodes.pop(end, show),
        }
    }

    /// The place of an index, which counts from the tail if it is negative, if it is in the list.
    #[inline]
    pub fn index(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let distance = usize::try_from(index.unsigned_abs()).ok()?;
        if index >= 0 { (distance < len).then_some(distance) } else { len.checked_sub(distance) }
    }

    /// The element of an index.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        if index >= self.len() {
            return None;
        }
        Some(match self.repr.form() {
            Form::Small(listpack) => NodeRef::Packed(listpack.view()).get(index),
            Form::Large(nodes) => {
                let Place { node, offset } = nodes.tree.find(index);
                nodes.tree.node(node).as_ref().get(offset)
            }
        })
    }

    /// All elements; can be taken from the tail as well.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Element<'_>> {
        (0..self.nodes()).flat_map(|number| self.node(number).iter_from(0))
    }

    /// Shows elements from an index on; they are all there.
    #[inline]
    pub fn each(&self, index: usize, count: usize, mut show: impl FnMut(Element<'_>)) {
        if count == 0 {
            return;
        }
        let Place { mut node, mut offset } = match self.repr.form() {
            Form::Small(_) => Place { node: 0, offset: index },
            Form::Large(nodes) => nodes.tree.find(index),
        };
        let mut left = count;
        while left > 0 {
            for element in self.node(node).iter_from(offset).take(left) {
                show(element);
                left -= 1;
            }
            (node, offset) = (node + 1, 0);
        }
    }

    /// Puts another text in the place of the element of an index, which is there. [`List::shrink`] is to
    /// follow.
    pub fn set(&mut self, index: usize, text: &[u8], limits: ListLimits) {
        self.grow(&[text], limits);
        match self.repr.form_mut() {
            FormMut::Small(listpack) => listpack.replace(node::seek(listpack.view(), index), text),
            FormMut::Large(nodes) => nodes.replace(index, text, limits),
        }
    }

    /// Adds an element beside the first one with the text of `pivot`; false if there is none.
    pub fn insert(&mut self, pivot: &[u8], side: Side, text: &[u8], limits: ListLimits) -> bool {
        let needle = Needle::new(pivot);
        let Some(index) = self.iter().position(|element| needle.is(element)) else { return false };
        self.insert_at(index, side, text, limits);
        true
    }

    /// Adds an element beside that of an index, which is there.
    pub fn insert_at(&mut self, index: usize, side: Side, text: &[u8], limits: ListLimits) {
        self.grow(&[text], limits);
        match self.repr.form_mut() {
            FormMut::Small(listpack) => {
                let position = node::seek(listpack.view(), index);
                match side {
                    Side::Before => listpack.insert_before(position, text),
                    Side::After => listpack.insert_after(position, text),
                }
            }
            FormMut::Large(nodes) => nodes.insert(index, side, text, limits),
        }
    }

    /// Removes elements from an index on; they are all there. [`List::shrink`] is to follow.
    pub fn delete(&mut self, index: usize, count: usize) {
        match self.repr.form_mut() {
            FormMut::Small(listpack) if count > 0 => {
                listpack.delete(node::seek(listpack.view(), index), count);
            }
            FormMut::Small(_) => {}
            FormMut::Large(nodes) => nodes.delete(index, count),
        }
    }

    /// Removes up to `limit` elements with this text, from an end on; says how many there were.
    /// [`List::shrink`] is to follow.
    pub fn remove(&mut self, text: &[u8], from: End, limit: usize) -> usize {
        let needle = Needle::new(text);
        match self.repr.form_mut() {
            FormMut::Small(listpack) => nodes::remove(listpack, needle, from, limit),
            FormMut::Large(nodes) => nodes.remove(needle, from, limit),
        }
    }
}

#[cfg(test)]
#[path = "list/list_tests.rs"]
mod tests;
