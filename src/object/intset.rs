//! How are small sets of integers held? As an intset: one sorted array.
//!
//! ```text
//! here:   | bytes in all: u32 LE                  | bytes per integer: u32 LE | integer LE, ascending ... |
//! in RDB: | bytes per integer: u32 LE (2, 4 or 8) | integers: u32 LE          | integer LE, ascending ... |
//! ```
//!
//! All integers are as wide as the widest needs, and never become narrower again, as in Redis. The header
//! begins with the length so that one word owns it all (`thin.rs`); the rest is what RDB files contain.
//!
//! Invariants: the integers ascend strictly ([`Intset::from_bytes`] checks foreign ones); the mark of the
//! thin bytes is set, which tells an intset from a listpack. A change moves what lies behind it: keep
//! intsets small.

use std::fmt;

use crate::object::thin::{self, LENGTH_BYTES, ThinBytes};

const HEADER_LEN: usize = 8;

/// No intset has more integers than this: a change moves up to all of them, and thin bytes have room for
/// twice as many.
pub const LEN_MAX: usize = 1 << 26;
const _: () = assert!(HEADER_LEN + (LEN_MAX + 1) * 8 <= thin::LEN_MAX);

/// Why foreign bytes are no intset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntsetError {
    /// The width is none of the three, or width and count do not fit the number of bytes.
    Frame,
    /// There is no integer: such a set does not exist.
    Empty,
    /// The integers do not ascend.
    Order,
}

impl fmt::Display for IntsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "intset frame is malformed",
            Self::Empty => "intset is empty",
            Self::Order => "intset is not in ascending order",
        })
    }
}

impl std::error::Error for IntsetError {}

/// How many bytes an integer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    fn of(value: i64) -> Self {
        if i16::try_from(value).is_ok() {
            Self::Two
        } else if i32::try_from(value).is_ok() {
            Self::Four
        } else {
            Self::Eight
        }
    }

    fn bytes(self) -> usize {
        self as usize
    }
}

/// The collection; see the top of this file. One word: the bytes know their own length.
#[derive(Clone)]
#[repr(transparent)]
pub struct Intset {
    bytes: ThinBytes,
}

impl PartialEq for Intset {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.as_slice() == other.bytes.as_slice()
    }
}

impl Eq for Intset {}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Intset {
    /// An empty one.
    pub fn new() -> Self {
        Self::of(Width::Two, &[])
    }

    /// One of integers that ascend, as they lie in memory.
    fn of(width: Width, integers: &[u8]) -> Self {
        let mut bytes = ThinBytes::new(&[0, 0, 0, 0, width as u8, 0, 0, 0]);
        bytes.resize(HEADER_LEN + integers.len());
        bytes.tail_mut(HEADER_LEN).copy_from_slice(integers);
        bytes.set_mark(true);
        Self { bytes }
    }

    /// Takes foreign bytes after checking every one of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IntsetError> {
        let (width, rest) = frame(bytes).ok_or(IntsetError::Frame)?;
        if rest.is_empty() {
            return Err(IntsetError::Empty);
        }
        let intset = Self::of(width, rest);
        if !intset.iter().is_sorted_by(|a, b| a < b) {
            return Err(IntsetError::Order);
        }
        Ok(intset)
    }

    /// The bytes that RDB has.
    pub fn to_bytes(&self) -> Vec<u8> {
        let width = (self.width() as u32).to_le_bytes();
        let len = (self.len() as u32).to_le_bytes();
        [&width, &len, self.integers()].concat()
    }

    /// Allocated bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Number of integers.
    #[inline]
    pub fn len(&self) -> usize {
        (self.bytes.len() - HEADER_LEN) >> self.width().bytes().trailing_zeros()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_LEN
    }

    /// The integer of this rank, the smallest having rank 0.
    #[inline]
    pub fn get(&self, rank: usize) -> Option<i64> {
        (rank < self.len()).then(|| self.at(self.width(), rank))
    }

    /// The smallest one.
    pub fn first(&self) -> Option<i64> {
        self.get(0)
    }

    /// The largest one.
    pub fn last(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Whether `value` is in it.
    #[inline]
    pub fn contains(&self, value: i64) -> bool {
        Width::of(value) <= self.width() && self.find(value).is_ok()
    }

    /// Adds `value`; whether it is new.
    pub fn add(&mut self, value: i64) -> bool {
        let width = self.width();
        if Width::of(value) > width {
            self.widen_and_add(value);
            return true;
        }
        let Err(rank) = self.find(value) else { return false };
        debug_assert!(self.len() <= LEN_MAX, "who adds watches the limit");
        let (bytes, offset) = (width.bytes(), HEADER_LEN + rank * width.bytes());
        let old_len = self.bytes.len();
        self.bytes.resize(old_len + bytes);
        self.bytes.tail_mut(offset).copy_within(..old_len - offset, bytes);
        self.write(width, rank, value);
        true
    }

    /// Removes `value`; whether it was in it.
    pub fn remove(&mut self, value: i64) -> bool {
        match self.find(value) {
            Ok(rank) => self.remove_rank(rank).is_some(),
            Err(_) => false,
        }
    }

    /// Removes the integer of this rank.
    pub fn remove_rank(&mut self, rank: usize) -> Option<i64> {
        let value = self.get(rank)?;
        let width = self.width().bytes();
        self.bytes.tail_mut(HEADER_LEN + rank * width).copy_within(width.., 0);
        self.bytes.resize(self.bytes.len() - width);
        Some(value)
    }

    /// All integers, the smallest first.
    pub fn iter(&self) -> Iter<'_> {
        Iter { intset: self, next: 0 }
    }

    #[inline]
    fn width(&self) -> Width {
        match self.bytes.as_slice()[LENGTH_BYTES] {
            2 => Width::Two,
            4 => Width::Four,
            8 => Width::Eight,
            _ => unreachable!("the width was checked or written here"),
        }
    }

    /// The integers as they lie in memory.
    #[inline]
    fn integers(&self) -> &[u8] {
        &self.bytes.as_slice()[HEADER_LEN..]
    }

    #[inline]
    fn at(&self, width: Width, rank: usize) -> i64 {
        let integers = self.integers();
        let whole = "there are `len` whole integers";
        match width {
            Width::Two => {
                let bytes = integers[rank * 2..].first_chunk().expect(whole);
                i64::from(i16::from_le_bytes(*bytes))
            }
            Width::Four => {
                let bytes = integers[rank * 4..].first_chunk().expect(whole);
                i64::from(i32::from_le_bytes(*bytes))
            }
            Width::Eight => {
                let bytes = integers[rank * 8..].first_chunk().expect(whole);
                i64::from_le_bytes(*bytes)
            }
        }
    }

    /// Writes an integer that fits the width: the low bytes are its two's complement in that width.
    fn write(&mut self, width: Width, rank: usize, value: i64) {
        let (bytes, offset) = (width.bytes(), HEADER_LEN + rank * width.bytes());
        self.bytes.tail_mut(offset)[..bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }

    /// The rank of `value`, or the one that it would have.
    #[inline]
    fn find(&self, value: i64) -> Result<usize, usize> {
        let (width, len) = (self.width(), self.len());
        // Sets are often filled in ascending order.
        if len == 0 || value > self.at(width, len - 1) {
            return Err(len);
        }
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low) / 2;
            let there = self.at(width, middle);
            if there == value {
                return Ok(middle);
            }
            if there < value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Err(low)
    }

    /// Adds a value that is wider than all others: it is less or greater than all of them.
    fn widen_and_add(&mut self, value: i64) {
        let (old, width, len) = (self.width(), Width::of(value), self.len());
        debug_assert!(len <= LEN_MAX, "who adds watches the limit");
        self.bytes.resize(HEADER_LEN + (len + 1) * width.bytes());
        let (shift, rank) = if value < 0 { (1, 0) } else { (0, len) };
        // From the last one on: the new place of an integer lies behind the old ones of those before it.
        for at in (0..len).rev() {
            let integer = self.at(old, at);
            self.write(width, at + shift, integer);
        }
        self.write(width, rank, value);
        self.bytes.tail_mut(LENGTH_BYTES)[0] = width as u8;
    }
}

/// Integers in ascending order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    intset: &'a Intset,
    next: usize,
}

impl Iterator for Iter<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        let value = self.intset.get(self.next)?;
        self.next += 1;
        Some(value)
    }
}

/// How wide the integers of foreign bytes are, and the integers themselves.
fn frame(bytes: &[u8]) -> Option<(Width, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
    let [w0, w1, w2, w3, n0, n1, n2, n3] = *header;
    let width = match u32::from_le_bytes([w0, w1, w2, w3]) {
        2 => Width::Two,
        4 => Width::Four,
        8 => Width::Eight,
        _ => return None,
    };
    let len = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
    (len <= LEN_MAX && len * width.bytes() == rest.len()).then_some((width, rest))
}

/// How many integers foreign bytes say they are, whatever their order.
pub fn stated_len(bytes: &[u8]) -> Option<usize> {
    frame(bytes).map(|(width, rest)| rest.len() / width.bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = i64> {
        prop_oneof![
            -20i64..20,
            Just(i64::from(i16::MAX)),
            Just(i64::from(i16::MIN) - 1),
            Just(i64::from(i32::MIN)),
            Just(i64::from(i32::MAX) + 1),
            any::<i64>(),
            any::<i32>().prop_map(i64::from),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set(
            changes in prop::collection::vec((value(), 0..3u8), 0..200),
        ) {
            let mut intset = Intset::new();
            let mut model = BTreeSet::new();
            for (value, action) in changes {
                match action {
                    0 => prop_assert_eq!(intset.remove(value), model.remove(&value)),
                    _ => prop_assert_eq!(intset.add(value), model.insert(value)),
                }
                prop_assert!(intset.iter().eq(model.iter().copied()));
                prop_assert_eq!(intset.len(), model.len());
                prop_assert_eq!(intset.contains(value), model.contains(&value));
                prop_assert_eq!(intset.first(), model.first().copied());
                prop_assert_eq!(intset.last(), model.last().copied());
                let loaded = Intset::from_bytes(&intset.to_bytes());
                let expected =
                    if model.is_empty() { Err(IntsetError::Empty) } else { Ok(intset.clone()) };
                prop_assert_eq!(loaded, expected);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_readable(bytes in prop::collection::vec(0u8..10, 0..40)) {
            if let Ok(intset) = Intset::from_bytes(&bytes) {
                prop_assert_eq!(intset.iter().count(), intset.len());
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut intset = Intset::new();
        intset.add(-2);
        intset.add(258);
        assert_eq!(intset.to_bytes(), [2, 0, 0, 0, 2, 0, 0, 0, 0xfe, 0xff, 2, 1]);
        intset.add(70_000);
        intset.remove(-2);
        intset.remove(258);
        assert_eq!(intset.to_bytes(), [4, 0, 0, 0, 1, 0, 0, 0, 0x70, 0x11, 1, 0]);
        intset.add(i64::MIN);
        let wide = [&[8, 0, 0, 0, 2, 0, 0, 0][..], &[0, 0, 0, 0, 0, 0, 0, 0x80]].concat();
        assert_eq!(intset.to_bytes(), [&wide[..], &[0x70, 0x11, 1, 0, 0, 0, 0, 0]].concat());
    }

    #[test]
    fn foreign_bytes_are_checked() {
        let load = |bytes: &[u8]| Intset::from_bytes(bytes).err();
        assert_eq!(load(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0]), None);
        assert_eq!(load(&[2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 2, 0]), Some(IntsetError::Order));
        assert_eq!(load(&[2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0]), Some(IntsetError::Order));
        assert_eq!(load(&[2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 0]), Some(IntsetError::Frame));
        assert_eq!(load(&[3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2]), Some(IntsetError::Frame));
        assert_eq!(load(&[2, 0, 0, 0, 0, 0, 0, 0]), Some(IntsetError::Empty));
        assert_eq!(load(&[2, 0, 0, 0, 0, 0, 0]), Some(IntsetError::Frame));
        assert_eq!(load(&[8, 0, 0, 0, 255, 255, 255, 255, 1]), Some(IntsetError::Frame));
    }
}
