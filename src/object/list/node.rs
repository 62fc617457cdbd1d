//! What is one node of a list? A listpack of elements, or a single element that is too long for one.
//!
//! Invariants: a node in a list is never empty; a plain one has exactly one element.

use super::room::Roomy;
use crate::base::moving::Mover;
use crate::base::number::parse_i64;
use crate::base::size_class::size_class;
use crate::object::listpack::{self, Element, Listpack, View};

/// A listpack as nodes have it.
pub type Pack = Listpack<Roomy>;

/// A node that is owned.
#[derive(Clone, Debug)]
pub enum Node {
    /// Elements one after another.
    Packed(Pack),
    /// One long element.
    Plain(Box<[u8]>),
}

/// A node, to be read.
#[derive(Clone, Copy, Debug)]
pub enum NodeRef<'a> {
    /// Elements one after another.
    Packed(View<'a>),
    /// One long element.
    Plain(&'a [u8]),
}

impl Node {
    /// A listpack with one element.
    pub fn packed(text: &[u8]) -> Self {
        // Made with the others' owner first, which leaves no room: a long element may stay alone.
        let mut listpack = Listpack::new();
        listpack.push_back(text);
        Self::Packed(listpack.moved())
    }

    /// The node, to be read.
    #[inline]
    pub fn as_ref(&self) -> NodeRef<'_> {
        match self {
            Self::Packed(listpack) => NodeRef::Packed(listpack.view()),
            Self::Plain(text) => NodeRef::Plain(text),
        }
    }

    /// Number of elements.
    #[inline]
    pub fn elements(&self) -> usize {
        match self {
            Self::Packed(listpack) => listpack.len(),
            Self::Plain(_) => 1,
        }
    }

    /// Bytes of the listpack, or of the long element.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.as_ref().bytes()
    }

    /// Whether it holds one long element.
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Allocated bytes behind this struct.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Packed(listpack) => listpack.memory_bytes(),
            Self::Plain(text) => text.len(),
        }
    }

    /// Whether it has much room for more elements.
    pub fn has_room(&self) -> bool {
        match self {
            Self::Packed(listpack) => size_class(self.bytes()) < listpack.memory_bytes(),
            Self::Plain(_) => false,
        }
    }

    /// Moves the block of its bytes.
    pub fn move_block(&mut self, mover: &mut Mover<'_>) {
        match self {
            Self::Packed(listpack) => listpack.bytes_mut().move_block(mover),
            Self::Plain(text) => mover.bytes(text),
        }
    }

    /// Gives back what stands empty, when no more elements are expected.
    pub fn trim(&mut self) {
        if let Self::Packed(listpack) = self {
            listpack.bytes_mut().trim();
        }
    }

    /// The listpack, for a change of its elements; callers have seen that it is one.
    pub fn listpack_mut(&mut self) -> &mut Pack {
        match self {
            Self::Packed(listpack) => listpack,
            Self::Plain(_) => unreachable!("long elements are replaced as whole nodes"),
        }
    }
}

impl<'a> NodeRef<'a> {
    /// Bytes of the listpack, or of the long element.
    #[inline]
    pub fn bytes(self) -> usize {
        match self {
            Self::Packed(listpack) => listpack.as_bytes().len(),
            Self::Plain(text) => text.len(),
        }
    }

    /// The element at `offset`, which is less than the number of elements.
    pub fn get(self, offset: usize) -> Element<'a> {
        match self {
            Self::Packed(listpack) => listpack.get(seek(listpack, offset)),
            Self::Plain(text) => Element::Str(text),
        }
    }

    /// The elements from `offset` on.
    #[inline]
    pub fn iter_from(self, offset: usize) -> NodeIter<'a> {
        match self {
            Self::Packed(listpack) if offset == 0 => NodeIter::Packed(listpack.iter()),
            Self::Packed(listpack) => NodeIter::Packed(listpack.iter_from(seek(listpack, offset))),
            Self::Plain(text) => NodeIter::Plain((offset == 0).then_some(text)),
        }
    }
}

/// Where the element at `offset` is, which is there: looked for from the nearer end.
pub fn seek(listpack: View<'_>, offset: usize) -> listpack::Position {
    let (offset, len) = (offset as i64, listpack.len() as i64);
    let index = if offset < len / 2 { offset } else { offset - len };
    listpack.seek(index).expect("callers stay within the node")
}

/// The elements of a node; from both ends.
#[derive(Clone, Debug)]
pub enum NodeIter<'a> {
    /// Those of a listpack.
    Packed(listpack::Iter<'a>),
    /// One, unless it was taken.
    Plain(Option<&'a [u8]>),
}

impl<'a> Iterator for NodeIter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Self::Packed(iter) => iter.next(),
            Self::Plain(text) => text.take().map(Element::Str),
        }
    }
}

impl DoubleEndedIterator for NodeIter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(iter) => iter.next_back(),
            Self::Plain(text) => text.take().map(Element::Str),
        }
    }
}

/// A text that elements are compared with; which integer it spells is found out once.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    text: &'a [u8],
    integer: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Makes a text ready to be compared.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, integer: parse_i64(text) }
    }

    /// Whether the text of an element is this one.
    #[inline]
    pub fn is(&self, element: Element<'_>) -> bool {
        match element {
            Element::Int(value) => self.integer == Some(value),
            Element::Str(text) => text == self.text,
        }
    }
}
