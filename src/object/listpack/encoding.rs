//! How is one element of a listpack written? The format is told in [`super`].

use super::{BYTES_MAX, COUNT_UNKNOWN, END, Element, ListpackError};
use crate::base::number::parse_i64;

/// Marks of the encodings; the comment tells the bits that belong to the value.
pub(super) mod mark {
    /// `0vvvvvvv`: integers 0 to 127. Above: `10llllll`, strings up to 63 bytes.
    pub const STR6: u8 = 0x80;
    /// `110vvvvv vvvvvvvv`: integers of 13 bits.
    pub const INT13: u8 = 0xc0;
    /// `1110llll llllllll`: strings up to 4095 bytes.
    pub const STR12: u8 = 0xe0;
    /// Strings with a length of four bytes.
    pub const STR32: u8 = 0xf0;
    /// Integers of 2, 3, 4 and 8 bytes.
    pub const INT16: u8 = 0xf1;
    pub const INT24: u8 = 0xf2;
    pub const INT32: u8 = 0xf3;
    pub const INT64: u8 = 0xf4;
}

/// An element about to be written.
pub(super) enum Encoded<'a> {
    Int { bytes: [u8; 9], len: usize },
    Str(&'a [u8]),
}

impl<'a> Encoded<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        match parse_i64(text) {
            Some(value) => Self::of_i64(value),
            None => Self::Str(text),
        }
    }

    pub(super) fn of_i64(value: i64) -> Self {
        let raw = value.to_le_bytes();
        let marked = |mark, count: usize| {
            let mut bytes = [0; 9];
            bytes[0] = mark;
            bytes[1..=count].copy_from_slice(&raw[..count]);
            Self::Int { bytes, len: count + 1 }
        };
        match value {
            0..=127 => Self::Int { bytes: [raw[0], 0, 0, 0, 0, 0, 0, 0, 0], len: 1 },
            -4096..=4095 => {
                let high = mark::INT13 | (raw[1] & 0x1f);
                Self::Int { bytes: [high, raw[0], 0, 0, 0, 0, 0, 0, 0], len: 2 }
            }
            -0x8000..=0x7fff => marked(mark::INT16, 2),
            -0x80_0000..=0x7f_ffff => marked(mark::INT24, 3),
            -0x8000_0000..=0x7fff_ffff => marked(mark::INT32, 4),
            _ => marked(mark::INT64, 8),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Int { len, .. } => *len,
            Self::Str(text) => {
                let head = match text.len() {
                    0..64 => 1,
                    64..4096 => 2,
                    _ => 5,
                };
                head + text.len()
            }
        }
    }

    /// Writes into a place of exactly [`Encoded::len`] bytes.
    fn write(&self, place: &mut [u8]) {
        match self {
            Self::Int { bytes, len } => place.copy_from_slice(&bytes[..*len]),
            Self::Str(text) => {
                let (head, body) = place.split_at_mut(place.len() - text.len());
                let len = text.len();
                match head {
                    [only] => *only = mark::STR6 | len as u8,
                    [high, low] => {
                        *high = mark::STR12 | (len >> 8) as u8;
                        *low = len as u8;
                    }
                    head => {
                        head[0] = mark::STR32;
                        head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
                    }
                }
                body.copy_from_slice(text);
            }
        }
    }
}

/// Length of the encoding and data that `bytes` start with, which are valid.
#[inline]
fn encoded_len(bytes: &[u8]) -> usize {
    match bytes[0] {
        0..mark::STR6 => 1,
        first @ mark::STR6..mark::INT13 => 1 + usize::from(first & 0x3f),
        mark::INT13..mark::STR12 => 2,
        first @ mark::STR12..mark::STR32 => {
            2 + (usize::from(first & 0x0f) << 8 | usize::from(bytes[1]))
        }
        mark::STR32 => 5 + u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize,
        mark::INT16 => 3,
        mark::INT24 => 4,
        mark::INT32 => 5,
        mark::INT64 => 9,
        other => unreachable!("encoding {other:#x} is refused by from_bytes"),
    }
}

/// Bytes of the element that `bytes` start with, the length behind it included.
#[inline]
pub(super) fn span(bytes: &[u8]) -> usize {
    let len = encoded_len(bytes);
    len + back_len(len)
}

/// The element that `bytes` start with, and the length of its encoding and data.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> (Element<'_>, usize) {
    let len = encoded_len(bytes);
    let signed = |shift: u32, body: &[u8]| {
        let mut raw = [0; 8];
        raw[..body.len()].copy_from_slice(body);
        Element::Int(i64::from_le_bytes(raw) << shift >> shift)
    };
    let element = match bytes[0] {
        first @ 0..mark::STR6 => Element::Int(i64::from(first)),
        mark::STR6..mark::INT13 => Element::Str(&bytes[1..len]),
        first @ mark::INT13..mark::STR12 => signed(51, &[bytes[1], first & 0x1f]),
        mark::STR12..mark::STR32 => Element::Str(&bytes[2..len]),
        mark::STR32 => Element::Str(&bytes[5..len]),
        _ => signed(64 - 8 * (len as u32 - 1), &bytes[1..len]),
    };
    (element, len)
}

/// Bytes that the length behind an element takes. The bounds are the format's, off by one as they
/// are.
#[inline]
pub(super) fn back_len(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

fn write_back_len(len: usize, place: &mut [u8]) {
    let count = place.len();
    for (at, byte) in place.iter_mut().enumerate() {
        let bits = (len >> (7 * (count - 1 - at))) as u8 & 0x7f;
        *byte = if at == 0 { bits } else { bits | 0x80 };
    }
}

/// Reads the length that `bytes` end with.
pub(super) fn read_back_len(bytes: &[u8]) -> Option<usize> {
    let mut len = 0;
    for (step, &byte) in bytes.iter().rev().take(5).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * step);
        if byte & 0x80 == 0 {
            return Some(len);
        }
    }
    None
}

/// Writes an element into a place of exactly its size; `len` is that without the length behind it.
#[inline]
pub(super) fn put(element: &Encoded<'_>, place: &mut [u8], len: usize) {
    element.write(&mut place[..len]);
    write_back_len(len, &mut place[len..]);
}

/// Length of the encoding and data that foreign bytes start with; none unless a whole element stands there.
#[inline]
pub(super) fn checked_len(bytes: &[u8]) -> Option<usize> {
    let head = match *bytes.first()? {
        mark::STR12..mark::STR32 => 2,
        mark::STR32 => 5,
        0..mark::STR32 | mark::INT16..=mark::INT64 => 1,
        _ => return None,
    };
    if bytes.len() < head {
        return None;
    }
    let len = encoded_len(bytes);
    let span = len + back_len(len);
    (bytes.len() >= span && read_back_len(&bytes[..span]) == Some(len)).then_some(len)
}

/// Whether foreign bytes are a listpack.
pub(super) fn validate(bytes: &[u8]) -> Result<(), ListpackError> {
    let [a, b, c, d, e, f, body @ .., END] = bytes else { return Err(ListpackError::Frame) };
    if u32::from_le_bytes([*a, *b, *c, *d]) as usize != bytes.len() || bytes.len() > BYTES_MAX {
        return Err(ListpackError::Frame);
    }
    let mut rest = body;
    let mut count: usize = 0;
    while !rest.is_empty() {
        let len = checked_len(rest).ok_or(ListpackError::Element)?;
        rest = &rest[len + back_len(len)..];
        count += 1;
    }
    match u16::from_le_bytes([*e, *f]) {
        COUNT_UNKNOWN => Ok(()),
        stated if usize::from(stated) == count => Ok(()),
        _ => Err(ListpackError::Count),
    }
}
