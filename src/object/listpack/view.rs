//! How is a listpack read? Through its bytes, whoever owns them.

use std::fmt;

use super::encoding::{back_len, decode, read_back_len, span};
use super::{Bytes, COUNT_UNKNOWN, END, Element, HEADER_LEN, Listpack, Position};
use crate::base::number::parse_i64;

/// A listpack, to be read.
#[derive(Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> View<'a> {
    /// The listpack that these bytes are known to be.
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// A copy.
    pub fn to_listpack<B: Bytes>(self) -> Listpack<B> {
        Listpack { bytes: B::new(self.bytes) }
    }

    /// The bytes, as RDB has them.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Number of elements.
    #[inline]
    pub fn len(self) -> usize {
        match self.header_count() {
            COUNT_UNKNOWN => self.counted_len(),
            count => usize::from(count),
        }
    }

    #[cold]
    fn counted_len(self) -> usize {
        self.iter().count()
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.bytes[HEADER_LEN] == END
    }

    /// All elements from the front; can be taken from the back as well.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        Iter { view: self, front: HEADER_LEN, back: self.bytes.len() - 1 }
    }

    /// The elements from `position` on.
    #[inline]
    pub fn iter_from(self, position: Position) -> Iter<'a> {
        Iter { view: self, front: position.0, back: self.bytes.len() - 1 }
    }

    /// The first element.
    #[inline]
    pub fn first(self) -> Option<Position> {
        self.at(HEADER_LEN)
    }

    /// The last element.
    pub fn last(self) -> Option<Position> {
        self.prev_of_offset(self.bytes.len() - 1)
    }

    /// The element after `position`.
    #[inline]
    pub fn next(self, position: Position) -> Option<Position> {
        self.at(position.0 + self.span(position.0))
    }

    /// The element before `position`.
    pub fn prev(self, position: Position) -> Option<Position> {
        self.prev_of_offset(position.0)
    }

    /// The element with this index; negative ones count from the back, -1 being the last.
    pub fn seek(self, index: i64) -> Option<Position> {
        let count = usize::try_from(index.unsigned_abs()).ok()?;
        if self.header_count() != COUNT_UNKNOWN {
            let len = usize::from(self.header_count());
            if index < 0 && count > len || index >= 0 && count >= len {
                return None;
            }
        }
        if index < 0 {
            (1..count).try_fold(self.last()?, |at, _| self.prev(at))
        } else {
            (0..count).try_fold(self.first()?, |at, _| self.next(at))
        }
    }

    /// The element at `position`.
    #[inline]
    pub fn get(self, position: Position) -> Element<'a> {
        decode(&self.bytes[position.0..]).0
    }

    /// The first element from `from` on whose text is `needle`, looking at that one and then at
    /// every `stride`-th (2 for the fields of a hash).
    pub fn find(self, from: Position, needle: &[u8], stride: usize) -> Option<Position> {
        let integer = parse_i64(needle);
        let bytes = self.bytes;
        let mut at = from.0;
        loop {
            let (element, len) = decode(&bytes[at..]);
            let found = match element {
                Element::Str(text) => text == needle,
                Element::Int(value) => integer == Some(value),
            };
            if found {
                return Some(Position(at));
            }
            at += len + back_len(len);
            for _ in 1..stride {
                if bytes[at] == END {
                    return None;
                }
                at += span(&bytes[at..]);
            }
            if bytes[at] == END {
                return None;
            }
        }
    }

    pub(super) fn header_count(self) -> u16 {
        u16::from_le_bytes([self.bytes[4], self.bytes[5]])
    }

    #[inline]
    pub(super) fn at(self, offset: usize) -> Option<Position> {
        (self.bytes[offset] != END).then_some(Position(offset))
    }

    fn prev_of_offset(self, offset: usize) -> Option<Position> {
        if offset == HEADER_LEN {
            return None;
        }
        let len = read_back_len(&self.bytes[..offset]).expect("elements end with their length");
        Some(Position(offset - len - back_len(len)))
    }

    /// Bytes of the element at `offset`, the length behind it included.
    #[inline]
    pub(super) fn span(self, offset: usize) -> usize {
        span(&self.bytes[offset..])
    }
}

/// The elements between two places.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    view: View<'a>,
    front: usize,
    back: usize,
}

impl Iter<'_> {
    /// Where the next element starts.
    #[inline]
    pub fn position(&self) -> Position {
        Position(self.front)
    }

    /// Goes past `count` elements, or to the end.
    #[inline]
    pub fn skip_elements(&mut self, count: usize) {
        for _ in 0..count {
            if self.front >= self.back {
                return;
            }
            self.front += self.view.span(self.front);
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (element, len) = decode(&self.view.bytes[self.front..]);
        self.front += len + back_len(len);
        Some(element)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = self.view.prev_of_offset(self.back)?.0;
        Some(decode(&self.view.bytes[self.back..]).0)
    }
}
