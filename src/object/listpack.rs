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
pub mod foreign;
mod view;

use std::fmt;

use encoding::{Encoded, back_len, mark, put, span, validate};
pub use view::{Iter, View};

use crate::base::number::{IntBuf, append_i64, parse_i64};
use crate::object::thin::{LENGTH_BYTES, ThinBytes};

const HEADER_LEN: usize = 6;
const END: u8 = 0xff;
/// A listpack without elements.
const EMPTY: [u8; HEADER_LEN + 1] = [HEADER_LEN as u8 + 1, 0, 0, 0, 0, 0, END];
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

/// What holds the bytes of a listpack. The first four of them are their length, which it keeps up to date.
pub trait Bytes {
    /// A copy of `bytes`.
    fn new(bytes: &[u8]) -> Self;

    /// The bytes.
    fn as_slice(&self) -> &[u8];

    /// The bytes from `at` on, to be changed; `at` is behind the length.
    fn tail_mut(&mut self, at: usize) -> &mut [u8];

    /// Puts `added` bytes in the place of `removed` ones at `at`, which is behind the length; what they are
    /// is to be written next.
    fn splice(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8];

    /// Allocated bytes.
    fn capacity(&self) -> usize;
}

impl Bytes for ThinBytes {
    fn new(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        self.as_slice()
    }

    #[inline]
    fn tail_mut(&mut self, at: usize) -> &mut [u8] {
        self.tail_mut(at)
    }

    #[inline]
    fn splice(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        let old_len = self.len();
        // What stands behind moves before the bytes are cut, and after they are lengthened.
        if added > removed {
            self.resize(old_len + (added - removed));
        }
        self.tail_mut(at).copy_within(removed..old_len - at, added);
        if added < removed {
            self.resize(old_len - (removed - added));
        }
        &mut self.tail_mut(at)[..added]
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }
}

/// The collection; see the top of this file. Usually one word: the bytes know their own length.
#[derive(Clone)]
#[repr(transparent)]
pub struct Listpack<B = ThinBytes> {
    bytes: B,
}

impl<B: Bytes> PartialEq for Listpack<B> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<B: Bytes> Eq for Listpack<B> {}

impl<B: Bytes> Default for Listpack<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B: Bytes> fmt::Debug for Listpack<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl Listpack {
    /// An empty one.
    pub fn new() -> Self {
        Self::empty()
    }

    /// Takes foreign bytes after checking every one of them.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ListpackError> {
        validate(&bytes)?;
        Ok(Self { bytes: ThinBytes::new(&bytes) })
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
}

impl<B: Bytes> Listpack<B> {
    /// An empty one with whatever owner.
    fn empty() -> Self {
        Self { bytes: B::new(&EMPTY) }
    }

    /// The same elements, held otherwise.
    pub fn moved<C: Bytes>(&self) -> Listpack<C> {
        self.view().to_listpack()
    }

    /// What holds the bytes. It keeps them as they are.
    pub fn bytes_mut(&mut self) -> &mut B {
        &mut self.bytes
    }

    /// To be read.
    #[inline]
    pub fn view(&self) -> View<'_> {
        View::new(self.as_bytes())
    }

    /// The bytes, as RDB has them.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Allocated bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether elements whose texts have `text_bytes` in all may still be added.
    pub fn has_room_for(&self, text_bytes: usize) -> bool {
        self.as_bytes().len().saturating_add(text_bytes) <= BYTES_MAX
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    /// All elements from the front; can be taken from the back as well.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        self.view().iter()
    }

    /// The elements from `position` on.
    #[inline]
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        self.view().iter_from(position)
    }

    /// The first element.
    #[inline]
    pub fn first(&self) -> Option<Position> {
        self.view().first()
    }

    /// The last element.
    #[inline]
    pub fn last(&self) -> Option<Position> {
        self.view().last()
    }

    /// The element after `position`.
    #[inline]
    pub fn next(&self, position: Position) -> Option<Position> {
        self.view().next(position)
    }

    /// The element before `position`.
    #[inline]
    pub fn prev(&self, position: Position) -> Option<Position> {
        self.view().prev(position)
    }

    /// The element with this index; negative ones count from the back, -1 being the last.
    #[inline]
    pub fn seek(&self, index: i64) -> Option<Position> {
        self.view().seek(index)
    }

    /// The element at `position`.
    #[inline]
    pub fn get(&self, position: Position) -> Element<'_> {
        self.view().get(position)
    }

    /// As [`View::find`].
    #[inline]
    pub fn find(&self, from: Position, needle: &[u8], stride: usize) -> Option<Position> {
        self.view().find(from, needle, stride)
    }

    /// Adds an element at the end.
    pub fn push_back(&mut self, text: &[u8]) {
        self.splice(self.as_bytes().len() - 1, 0, Encoded::of(text), 1);
    }

    /// Adds an integer at the end.
    pub fn push_back_i64(&mut self, value: i64) {
        self.splice(self.as_bytes().len() - 1, 0, Encoded::of_i64(value), 1);
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
        self.splice(position.0 + self.view().span(position.0), 0, Encoded::of(text), 1);
    }

    /// Puts another text in the place of an element; `position` stays good.
    pub fn replace(&mut self, position: Position, text: &[u8]) {
        self.splice(position.0, self.view().span(position.0), Encoded::of(text), 0);
    }

    /// Puts an integer in the place of an element; `position` stays good.
    pub fn replace_i64(&mut self, position: Position, value: i64) {
        if let (0..=127, 0..mark::STR6) = (value, self.as_bytes()[position.0]) {
            // Both are their own encoding.
            self.bytes.tail_mut(position.0)[0] = value as u8;
            return;
        }
        self.splice(position.0, self.view().span(position.0), Encoded::of_i64(value), 0);
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
        self.bytes.splice(position.0, end - position.0, 0);
        self.count(-(deleted as i64));
        self.view().at(position.0)
    }

    /// Takes the elements from `position` on out into a listpack of their own.
    pub fn split_off(&mut self, position: Position) -> Self {
        let moved = self.iter_from(position).count();
        let mut tail = Self::empty();
        let elements = &self.as_bytes()[position.0..];
        let len = elements.len();
        tail.bytes.splice(HEADER_LEN, 1, len).copy_from_slice(elements);
        tail.count(moved as i64);
        self.bytes.splice(position.0, len - 1, 0);
        self.count(-(moved as i64));
        tail
    }

    /// Adds the elements of another one at the end.
    pub fn append(&mut self, other: View<'_>) {
        let added = &other.as_bytes()[HEADER_LEN..];
        let end = self.as_bytes().len() - 1;
        assert!(end + added.len() <= BYTES_MAX, "callers ask has_room_for");
        self.bytes.splice(end, 1, added.len()).copy_from_slice(added);
        self.count(other.len() as i64);
    }

    /// Replaces `removed` bytes at `offset` by an element, and counts `added` elements.
    fn splice(&mut self, offset: usize, removed: usize, new: Encoded<'_>, added: i64) {
        let len = new.len();
        let span = len + back_len(len);
        assert!(
            self.as_bytes().len() + span <= BYTES_MAX,
            "callers ask has_room_for before they add"
        );
        put(&new, self.bytes.splice(offset, removed, span), len);
        self.count(added);
    }

    /// Brings the count in the header up to date after `change` elements were added.
    fn count(&mut self, change: i64) {
        if change == 0 {
            return;
        }
        let count = match self.view().header_count() {
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

impl<'a, B: Bytes> IntoIterator for &'a Listpack<B> {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
#[path = "listpack_tests.rs"]
mod tests;
