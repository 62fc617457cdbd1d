//! What was a ziplist? The compact form of small collections before the listpack, in files of Redis 6.2 and older.
//!
//! ```text
//! | total bytes: u32 LE | offset of the last entry: u32 LE | entries: u16 LE, 65535 = unknown | entry ... | 0xff |
//! entry: | length of the entry before: u8, or 254 and u32 LE | encoding | data |
//! ```
//!
//! Invariant: nothing is read before it is known to be there, and a ziplist of which any byte contradicts
//! another is refused whole, as Redis does.

use crate::base::number::IntBuf;
use crate::object::listpack::{Element, Listpack};

const HEADER_LEN: usize = 10;
const END: u8 = 0xff;
/// The length of the entry before has four more bytes.
const BIG_BEFORE: u8 = 254;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// The elements, in order; None if the bytes are no ziplist.
pub fn elements(bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let [a, b, c, d, e, f, g, h, i, j, entries @ .., END] = bytes else { return None };
    if u32::from_le_bytes([*a, *b, *c, *d]) as usize != bytes.len() {
        return None;
    }
    let tail = u32::from_le_bytes([*e, *f, *g, *h]) as usize;
    let count = u16::from_le_bytes([*i, *j]);
    let mut found = Vec::new();
    let mut rest = entries;
    let (mut before, mut last) = (0, None);
    while !rest.is_empty() {
        let at = entries.len() - rest.len();
        let (element, after) = entry(rest, before)?;
        found.push(element);
        before = rest.len() - after.len();
        last = Some(at + HEADER_LEN);
        rest = after;
    }
    let tail_is_right = last.map_or(tail < bytes.len(), |last| last == tail);
    let count_is_right = count == COUNT_UNKNOWN || usize::from(count) == found.len();
    (tail_is_right && count_is_right).then_some(found)
}

/// The elements as a listpack; None if the bytes are no ziplist, or are too many for one.
pub fn to_listpack(bytes: &[u8]) -> Option<Listpack> {
    let mut listpack = Listpack::new();
    let mut buf = IntBuf::new();
    for element in elements(bytes)? {
        let text = element.text(&mut buf);
        if !listpack.has_room_for(text.len() + 16) {
            return None;
        }
        listpack.push_back(text);
    }
    Some(listpack)
}

/// The first entry, which must say that the one before it has `before` bytes, and what follows it.
fn entry(bytes: &[u8], before: usize) -> Option<(Element<'_>, &[u8])> {
    let (stated, rest) = match bytes {
        [BIG_BEFORE, a, b, c, d, rest @ ..] => {
            (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest)
        }
        [BIG_BEFORE..=u8::MAX, ..] | [] => return None,
        [short, rest @ ..] => (usize::from(*short), rest),
    };
    if stated != before {
        return None;
    }
    let (&encoding, rest) = rest.split_first()?;
    let (len, rest) = match encoding >> 6 {
        0 => (usize::from(encoding & 0x3f), rest),
        1 => {
            let (&low, rest) = rest.split_first()?;
            (usize::from(encoding & 0x3f) << 8 | usize::from(low), rest)
        }
        2 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u32::from_be_bytes(*len) as usize, rest)
        }
        _ => return integer(encoding, rest),
    };
    let (text, rest) = rest.split_at_checked(len)?;
    Some((Element::Str(text), rest))
}

fn integer(encoding: u8, rest: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let len = match encoding {
        0xf1..=0xfd => return Some((Element::Int(i64::from(encoding & 0x0f) - 1), rest)),
        0xfe => 1,
        0xc0 => 2,
        0xf0 => 3,
        0xd0 => 4,
        0xe0 => 8,
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(len)?;
    let mut wide = [if body[len - 1] & 0x80 == 0 { 0 } else { 0xff }; 8];
    wide[..len].copy_from_slice(body);
    Some((Element::Int(i64::from_le_bytes(wide)), rest))
}
