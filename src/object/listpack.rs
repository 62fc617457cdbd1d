//! How are small collections held? As a listpack: one allocation of elements one after another,
//! byte for byte the format that RDB files contain, so that saving and loading are a copy.
//!
//! ```text
//! | total bytes: u32 LE | elements: u16 LE, 65535 = "count them" | element ... | 0xff |
//! element: | encoding and data | length of that, readable backwards |
//! ```
//!
//! A text that is a canonical integer is stored as one, in 1 to 9 bytes. The length behind an
//! element holds seven bits a byte, the most significant first; all bytes but the first carry the
//! top bit, so that a reader coming from behind knows where to stop.
//!
//! Invariants: the bytes are valid as a whole ([`Listpack::from_bytes`] checks foreign ones, all
//! else keeps them so), and a [`Position`] is used with the listpack it came from, before the next
//! change in front of it. Finding and counting walk from the front: keep listpacks small.

mod encoding;

use std::fmt;

use encoding::{Encoded, back_len, decode, mark, put, read_back_len, span, validate};

use crate::base::number::{IntBuf, append_i64, parse_i64};
use crate::object::thin::{LENGTH_BYTES, ThinBytes};

const HEADER_LEN: usize = 6;
const END: u8 = 0xff;
/// The element count of the header meaning that it must be counted.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// No listpack grows beyond this; far below what its 32-bit length could say.
pub const BYTES_MAX: usize = crate::object::thin::LEN_MAX;

/// An element as it lies in the listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// A text that is a canonical integer.
    Int(i64),
    /// Any other text.
    Str(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The text of the element, in `buf` if it is an integer.
    #[inline]
    pub fn text<'b>(self, buf: &'b mut IntBuf) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Int(value) => buf.i64(value),
            Self::Str(text) => text,
        }
    }

    /// Appends the text of the element.
    pub fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => append_i64(out, value),
            Self::Str(text) => out.extend_from_slice(text),
        }
    }

    /// The text of the element, owned.
    pub fn to_vec(self) -> Vec<u8> {
        match self {
            Self::Int(value) => IntBuf::new().i64(value).to_vec(),
            Self::Str(text) => text.to_vec(),
        }
    }

    /// Length of the text.
    pub fn text_len(self) -> usize {
        match self {
            Self::Int(value) => IntBuf::new().i64(value).len(),
            Self::Str(text) => text.len(),
        }
    }

    /// Whether the text of the element is `other`.
    pub fn is(self, other: &[u8]) -> bool {
        match self {
            Self::Int(value) => parse_i64(other) == Some(value),
            Self::Str(text) => text == other,
        }
    }

    /// The integer that the text is, however it is stored.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Str(text) => parse_i64(text),
        }
    }
}

/// Where an element starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(usize);

/// Why foreign bytes are no listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListpackError {
    /// Header, length or end marker do not fit the bytes.
    Frame,
    /// An element is malformed or reaches out of the listpack.
    Element,
    /// The header counts other elements than there are.
    Count,
}

impl fmt::Display for ListpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "listpack frame is malformed",
            Self::Element => "listpack element is malformed",
            Self::Count => "listpack counts its elements wrongly",
        })
    }
}

impl std::error::Error for ListpackError {}

/// The collection; see the top of this file. One word: the bytes know their own length.
#[derive(Clone)]
#[repr(transparent)]
pub struct Listpack {
    bytes: ThinBytes,
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Listpack {}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl Listpack {
    /// An empty one.
    pub fn new() -> Self {
        Self { bytes: ThinBytes::new(&[0, 0, 0, 0, 0, 0, END]) }
    }

    /// Takes foreign bytes after checking every one of them.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ListpackError> {
        validate(&bytes)?;
        Ok(Self { bytes: ThinBytes::new(&bytes) })
    }

    /// The bytes, as RDB has them.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// A mark of the owner's, which is no part of the content.
    #[inline]
    pub fn mark(&self) -> bool {
        self.bytes.mark()
    }

    /// Sets or clears the owner's mark.
    pub fn set_mark(&mut self, mark: bool) {
        self.bytes.set_mark(mark);
    }

    /// Allocated bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether elements whose texts have `text_bytes` in all may still be added.
    pub fn has_room_for(&self, text_bytes: usize) -> bool {
        self.bytes.len().saturating_add(text_bytes) <= BYTES_MAX
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self.header_count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.as_bytes()[HEADER_LEN] == END
    }

    /// All elements from the front; can be taken from the back as well.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { listpack: self, front: HEADER_LEN, back: self.bytes.len() - 1 }
    }

    /// The elements from `position` on.
    #[inline]
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        Iter { listpack: self, front: position.0, back: self.bytes.len() - 1 }
    }

    /// The first element.
    #[inline]
    pub fn first(&self) -> Option<Position> {
        self.at(HEADER_LEN)
    }

    /// The last element.
    pub fn last(&self) -> Option<Position> {
        self.prev_of_offset(self.bytes.len() - 1)
    }

    /// The element after `position`.
    #[inline]
    pub fn next(&self, position: Position) -> Option<Position> {
        self.at(position.0 + self.span(position.0))
    }

    /// The element before `position`.
    pub fn prev(&self, position: Position) -> Option<Position> {
        self.prev_of_offset(position.0)
    }

    /// The element with this index; negative ones count from the back, -1 being the last.
    pub fn seek(&self, index: i64) -> Option<Position> {
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
    pub fn get(&self, position: Position) -> Element<'_> {
        decode(&self.as_bytes()[position.0..]).0
    }

    /// The first element from `from` on whose text is `needle`, looking at that one and then at
    /// every `stride`-th (2 for the fields of a hash).
    pub fn find(&self, from: Position, needle: &[u8], stride: usize) -> Option<Position> {
        let integer = parse_i64(needle);
        let bytes = self.as_bytes();
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

    /// Adds an element at the end.
    pub fn push_back(&mut self, text: &[u8]) {
        self.splice(self.bytes.len() - 1, 0, Encoded::of(text), 1);
    }

    /// Adds an integer at the end.
    pub fn push_back_i64(&mut self, value: i64) {
        self.splice(self.bytes.len() - 1, 0, Encoded::of_i64(value), 1);
    }

    /// Adds many elements at the end, for the price of one count and, if they are short, one growth.
    #[inline]
    pub fn append_all(&mut self, write: impl FnOnce(&mut Appender<'_>)) {
        let end = self.bytes.len() - 1;
        let mut appender =
            Appender { bytes: &mut self.bytes, end, chunk: [0; CHUNK_BYTES], filled: 0, added: 0 };
        write(&mut appender);
        appender.flush();
        let Appender { end, added, .. } = appender;
        self.bytes.tail_mut(end)[0] = END;
        self.count(added);
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, text: &[u8]) {
        self.splice(HEADER_LEN, 0, Encoded::of(text), 1);
    }

    /// Adds an element in front of the one at `position`, which moves behind the new one's place.
    pub fn insert_before(&mut self, position: Position, text: &[u8]) {
        self.splice(position.0, 0, Encoded::of(text), 1);
    }

    /// Adds an element behind the one at `position`.
    pub fn insert_after(&mut self, position: Position, text: &[u8]) {
        self.splice(position.0 + self.span(position.0), 0, Encoded::of(text), 1);
    }

    /// Puts another text in the place of an element; `position` stays good.
    pub fn replace(&mut self, position: Position, text: &[u8]) {
        self.splice(position.0, self.span(position.0), Encoded::of(text), 0);
    }

    /// Puts an integer in the place of an element; `position` stays good.
    pub fn replace_i64(&mut self, position: Position, value: i64) {
        if let (0..=127, 0..mark::STR6) = (value, self.as_bytes()[position.0]) {
            // Both are their own encoding.
            self.bytes.tail_mut(position.0)[0] = value as u8;
            return;
        }
        self.splice(position.0, self.span(position.0), Encoded::of_i64(value), 0);
    }

    /// Removes up to `count` elements from `position` on; the element then at `position`, if any.
    pub fn delete(&mut self, position: Position, count: usize) -> Option<Position> {
        let bytes = self.as_bytes();
        let mut end = position.0;
        let mut deleted = 0;
        while deleted < count && bytes[end] != END {
            end += span(&bytes[end..]);
            deleted += 1;
        }
        let len = bytes.len() - (end - position.0);
        self.bytes.tail_mut(position.0).copy_within(end - position.0.., 0);
        self.bytes.resize(len);
        self.count(-(deleted as i64));
        self.at(position.0)
    }

    /// Takes the elements from `position` on out into a listpack of their own.
    pub fn split_off(&mut self, position: Position) -> Self {
        let moved = self.iter_from(position).count();
        let mut tail = Self::new();
        let elements = &self.as_bytes()[position.0..];
        tail.bytes.resize(HEADER_LEN + elements.len());
        tail.bytes.tail_mut(HEADER_LEN).copy_from_slice(elements);
        tail.count(moved as i64);
        self.bytes.resize(position.0 + 1);
        self.bytes.tail_mut(position.0)[0] = END;
        self.count(-(moved as i64));
        tail
    }

    /// Adds the elements of another one at the end.
    pub fn append(&mut self, other: &Self) {
        let added = &other.as_bytes()[HEADER_LEN..];
        let end = self.bytes.len() - 1;
        assert!(end + added.len() <= BYTES_MAX, "callers ask has_room_for");
        self.bytes.resize(end + added.len());
        self.bytes.tail_mut(end).copy_from_slice(added);
        self.count(other.len() as i64);
    }

    fn header_count(&self) -> u16 {
        u16::from_le_bytes([self.as_bytes()[4], self.as_bytes()[5]])
    }

    #[inline]
    fn at(&self, offset: usize) -> Option<Position> {
        (self.as_bytes()[offset] != END).then_some(Position(offset))
    }

    fn prev_of_offset(&self, offset: usize) -> Option<Position> {
        if offset == HEADER_LEN {
            return None;
        }
        let len =
            read_back_len(&self.as_bytes()[..offset]).expect("elements end with their length");
        Some(Position(offset - len - back_len(len)))
    }

    /// Bytes of the element at `offset`, the length behind it included.
    #[inline]
    fn span(&self, offset: usize) -> usize {
        span(&self.as_bytes()[offset..])
    }

    /// Replaces `removed` bytes at `offset` by an element, and counts `added` elements.
    fn splice(&mut self, offset: usize, removed: usize, new: Encoded<'_>, added: i64) {
        let len = new.len();
        let span = len + back_len(len);
        let old_len = self.bytes.len();
        assert!(old_len + span <= BYTES_MAX, "callers ask has_room_for before they add");
        // What stands behind moves before the bytes are cut, and after they are lengthened.
        if span > removed {
            self.bytes.resize(old_len + (span - removed));
        }
        let behind = removed..old_len - offset;
        self.bytes.tail_mut(offset).copy_within(behind, span);
        if span < removed {
            self.bytes.resize(old_len - (removed - span));
        }
        put(&new, &mut self.bytes.tail_mut(offset)[..span], len);
        self.count(added);
    }

    /// Brings the count in the header up to date after `change` elements were added.
    fn count(&mut self, change: i64) {
        if change == 0 {
            return;
        }
        let count = match self.header_count() {
            // Counted again only once it may fit.
            COUNT_UNKNOWN if change > 0 => return,
            COUNT_UNKNOWN => self.iter().count() as i64,
            count => i64::from(count) + change,
        };
        let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
        self.bytes.tail_mut(LENGTH_BYTES)[..2].copy_from_slice(&count.to_le_bytes());
    }
}

/// Bytes that an [`Appender`] collects before the listpack grows.
const CHUNK_BYTES: usize = 512;

/// Writes elements behind the last one; see [`Listpack::append_all`].
pub struct Appender<'a> {
    bytes: &'a mut ThinBytes,
    /// Where what is collected goes.
    end: usize,
    chunk: [u8; CHUNK_BYTES],
    filled: usize,
    added: i64,
}

impl Appender<'_> {
    /// Adds a text.
    #[inline]
    pub fn text(&mut self, text: &[u8]) {
        self.element(&Encoded::of(text));
    }

    /// Adds an integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        self.element(&Encoded::of_i64(value));
    }

    #[inline]
    fn element(&mut self, element: &Encoded<'_>) {
        let len = element.len();
        let span = len + back_len(len);
        assert!(
            self.end + self.filled + span < BYTES_MAX,
            "callers ask has_room_for before they add"
        );
        self.added += 1;
        if self.filled + span > CHUNK_BYTES {
            self.flush();
        }
        if span > CHUNK_BYTES {
            self.bytes.resize(self.end + span + 1);
            put(element, &mut self.bytes.tail_mut(self.end)[..span], len);
            self.end += span;
        } else {
            put(element, &mut self.chunk[self.filled..self.filled + span], len);
            self.filled += span;
        }
    }

    /// Appends what is collected, and leaves a byte behind it for the end marker.
    fn flush(&mut self) {
        self.bytes.resize(self.end + self.filled + 1);
        self.bytes.tail_mut(self.end)[..self.filled].copy_from_slice(&self.chunk[..self.filled]);
        self.end += self.filled;
        self.filled = 0;
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The elements between two places.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    listpack: &'a Listpack,
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
            self.front += self.listpack.span(self.front);
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
        let (element, len) = decode(&self.listpack.as_bytes()[self.front..]);
        self.front += len + back_len(len);
        Some(element)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = self.listpack.prev_of_offset(self.back)?.0;
        Some(decode(&self.listpack.as_bytes()[self.back..]).0)
    }
}

#[cfg(test)]
#[path = "listpack_tests.rs"]
mod tests;
