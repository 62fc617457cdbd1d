//! How is a small value laid out as bytes?
//!
//! Every value that is not a large container is a run of bytes that knows its own length: scalars and strings always,
//! arrays and objects as long as all of it stays under [`BLOCK_BYTES_MAX`]. The first byte is the tag:
//!
//! ```text
//! 00 01 02      null, false, true
//! 03            float: 8 bytes
//! 04            unsigned integer above i64::MAX: 8 bytes
//! 05 06 07      string: length in 1, 2, 4 bytes, then UTF-8
//! 08..0F        integer in 1 to 8 bytes, sign-extended
//! 10..2F        float written as a decimal: bits 2-4 are the places after the point, bits 0-1 the bytes less one of the
//!               integer that follows (12.99 takes three bytes: 2 places, two bytes, 1299)
//! 30 31         array: bytes of the body and number of elements, in 1 or 2 bytes each, then the elements
//! 32 33         object: likewise; a member is its name, then its value
//! 40..7F        integer 0 to 63
//! 80..FF        string of 0 to 127 bytes
//! ```
//!
//! A name starts with its length (00..BF), with the upper bits of its number in the dictionary (C0..DF, one more byte
//! follows), or with E0 and a length in 4 bytes. Integers are little-endian.
//!
//! Invariants: bytes are only ever written by this module, so reading trusts them (a slice out of range would be a
//! broken invariant); text is valid UTF-8; names within an object are distinct; a decimal is used only if it reads
//! back as the same double, bit for bit. A number that was written over another may take more bytes than it needs. The
//! layout never leaves the process, so it may change freely.

mod print;

use super::names::{Name, NameId};

/// The largest run of bytes that may be a container. Up to here, reading skips over neighbours and writing copies the
/// whole run, each some 100 ns; above it a container becomes a tree node whose children are runs of their own.
/// Tests have a small one, so that small documents show all forms.
pub(super) const BLOCK_BYTES_MAX: usize = if cfg!(test) { 64 } else { 4096 };

const NULL: u8 = 0x00;
const FALSE: u8 = 0x01;
const TRUE: u8 = 0x02;
const FLOAT: u8 = 0x03;
const UNSIGNED: u8 = 0x04;
const TEXT_8: u8 = 0x05;
const TEXT_16: u8 = 0x06;
const TEXT_32: u8 = 0x07;
const INT: u8 = 0x08;
const DECIMAL: u8 = 0x10;
const DECIMAL_LAST: u8 = 0x2F;
const ARRAY_8: u8 = 0x30;
const ARRAY_16: u8 = 0x31;
const OBJECT_8: u8 = 0x32;
const OBJECT_16: u8 = 0x33;
const SMALL_INT: u8 = 0x40;
const SMALL_INT_LAST: u8 = 0x7F;
const SHORT_TEXT: u8 = 0x80;

const NAME_TEXT_LAST: u8 = 0xBF;
const NAME_ID: u8 = 0xC0;
const NAME_ID_LAST: u8 = 0xDF;
const NAME_LONG: u8 = 0xE0;

/// Bytes of a container's header in its short form; [`close`] widens it by two if it must.
pub(super) const HEADER_BYTES: usize = 3;

const POWERS: [f64; 8] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];

/// What a run of bytes says, without copying it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Packed<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(&'a [u8]),
    Array(Run<'a>),
    Object(Run<'a>),
}

/// The elements or members of a packed container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) body: &'a [u8],
    pub(super) count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Array,
    Object,
}

/// A member name as it was stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum NameRef<'a> {
    Text(&'a [u8]),
    Id(NameId),
}

impl<'a> NameRef<'a> {
    pub(super) fn text(self) -> &'a [u8] {
        match self {
            NameRef::Text(text) => text,
            NameRef::Id(id) => id.text(),
        }
    }

    /// Whether this is `name`, whose number the caller has looked up once for all members.
    #[inline]
    pub(super) fn is(self, name: &Name, id: Option<NameId>) -> bool {
        match self {
            NameRef::Text(text) => text == name.bytes(),
            NameRef::Id(own) => Some(own) == id,
        }
    }
}

// Writing.

pub(super) fn put_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

pub(super) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { TRUE } else { FALSE });
}

pub(super) fn put_int(out: &mut Vec<u8>, value: i64) {
    if (0..=i64::from(SMALL_INT_LAST - SMALL_INT)).contains(&value) {
        out.push(SMALL_INT + value as u8);
        return;
    }
    let width = int_width(value);
    out.push(INT + (width - 1) as u8);
    out.extend_from_slice(&value.to_le_bytes()[..width]);
}

pub(super) fn put_unsigned(out: &mut Vec<u8>, value: u64) {
    match i64::try_from(value) {
        Ok(value) => put_int(out, value),
        Err(_) => {
            out.push(UNSIGNED);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

pub(super) fn put_float(out: &mut Vec<u8>, value: f64) {
    match decimal(value) {
        Some((places, integer)) => {
            let width = int_width(i64::from(integer));
            out.push(DECIMAL + (places << 2) + (width - 1) as u8);
            out.extend_from_slice(&integer.to_le_bytes()[..width]);
        }
        None => {
            out.push(FLOAT);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_text_header(out, text.len());
    out.extend_from_slice(text);
}

fn put_text_header(out: &mut Vec<u8>, len: usize) {
    match len {
        0..=127 => out.push(SHORT_TEXT + len as u8),
        128..=0xFF => out.extend_from_slice(&[TEXT_8, len as u8]),
        0x100..=0xFFFF => {
            out.push(TEXT_16);
            out.extend_from_slice(&(len as u16).to_le_bytes());
        }
        _ => {
            let len = u32::try_from(len).expect("a string argument is shorter than 4 GiB");
            out.push(TEXT_32);
            out.extend_from_slice(&len.to_le_bytes());
        }
    }
}

pub(super) fn put_name(out: &mut Vec<u8>, name: NameRef<'_>) {
    let name = match name {
        NameRef::Id(id) => {
            let number = id.number();
            out.extend_from_slice(&[NAME_ID + (number >> 8) as u8, number as u8]);
            return;
        }
        NameRef::Text(name) => name,
    };
    if name.len() <= usize::from(NAME_TEXT_LAST) {
        out.push(name.len() as u8);
    } else {
        let len = u32::try_from(name.len()).expect("a string argument is shorter than 4 GiB");
        out.push(NAME_LONG);
        out.extend_from_slice(&len.to_le_bytes());
    }
    out.extend_from_slice(name);
}

/// Starts a container: children are appended to `out` next, then [`close`] is called with what this returns.
pub(super) fn open(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    start
}

pub(super) fn close(out: &mut Vec<u8>, start: usize, kind: Container, count: usize) {
    let body = out.len() - start - HEADER_BYTES;
    let (short, wide) = match kind {
        Container::Array => (ARRAY_8, ARRAY_16),
        Container::Object => (OBJECT_8, OBJECT_16),
    };
    if let (Ok(body), Ok(count)) = (u8::try_from(body), u8::try_from(count)) {
        out[start..start + HEADER_BYTES].copy_from_slice(&[short, body, count]);
        return;
    }
    // Whoever packs keeps within a few times BLOCK_BYTES_MAX, and a child takes at least one byte.
    let body = u16::try_from(body).expect("a block stays far under 64 KiB");
    let count = u16::try_from(count).expect("a block stays far under 64 KiB");
    let end = out.len();
    out.extend_from_slice(&[0; 2]);
    out.copy_within(start + HEADER_BYTES..end, start + HEADER_BYTES + 2);
    out[start] = wide;
    out[start + 1..start + 3].copy_from_slice(&body.to_le_bytes());
    out[start + 3..start + 5].copy_from_slice(&count.to_le_bytes());
}

/// Writes an integer over the value that takes all of `bytes`, if it does not need more; it may need less than it is given.
pub(super) fn overwrite_int(bytes: &mut [u8], value: i64) -> bool {
    match bytes {
        [tag] => {
            let fits = (0..=i64::from(SMALL_INT_LAST - SMALL_INT)).contains(&value);
            if fits {
                *tag = SMALL_INT + value as u8;
            }
            fits
        }
        [tag, body @ ..] if (int_width(value)..=8).contains(&body.len()) => {
            *tag = INT + (body.len() - 1) as u8;
            body.copy_from_slice(&value.to_le_bytes()[..body.len()]);
            true
        }
        _ => false,
    }
}

/// The same for a float.
pub(super) fn overwrite_float(bytes: &mut [u8], value: f64) -> bool {
    match bytes {
        [tag, body @ ..] if body.len() == 8 => {
            *tag = FLOAT;
            body.copy_from_slice(&value.to_le_bytes());
            true
        }
        [tag, body @ ..] if (1..=4).contains(&body.len()) => match decimal(value) {
            Some((places, integer)) if int_width(i64::from(integer)) <= body.len() => {
                *tag = DECIMAL + (places << 2) + (body.len() - 1) as u8;
                body.copy_from_slice(&integer.to_le_bytes()[..body.len()]);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// Writes a boolean over another.
pub(super) fn overwrite_bool(bytes: &mut [u8], value: bool) -> bool {
    match bytes {
        [tag @ (FALSE | TRUE)] => {
            *tag = if value { TRUE } else { FALSE };
            true
        }
        _ => false,
    }
}

/// Bytes that hold `value` in two's complement.
fn int_width(value: i64) -> usize {
    let magnitude = if value < 0 { !value } else { value };
    let bits = 65 - magnitude.leading_zeros() as usize;
    bits.div_ceil(8)
}

/// `value` as an integer of 32 bits over a power of ten, if that is the same double.
///
/// Both operands of the division are exact, so its result is the double nearest to the decimal: equal bits mean that
/// nothing is lost. Most floats that people write (prices, coordinates, measurements) pass.
pub(crate) fn decimal(value: f64) -> Option<(u8, i32)> {
    debug_assert!(value.is_finite());
    for (places, power) in POWERS.iter().enumerate() {
        let scaled = value * power;
        if scaled.abs() >= f64::from(i32::MAX) {
            return None;
        }
        let integer = (scaled + 0.5_f64.copysign(scaled)) as i32;
        // A decimal of this many places is off by rounding only; skip the division where it is hopeless.
        if (scaled - f64::from(integer)).abs() > 1e-6 {
            continue;
        }
        if (f64::from(integer) / power).to_bits() == value.to_bits() {
            return Some((places as u8, integer));
        }
    }
    None
}

// Reading.

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

#[inline]
fn int_at(bytes: &[u8], at: usize, width: usize) -> i64 {
    let surplus = 64 - 8 * width;
    match bytes[at..].first_chunk() {
        // What follows is shifted out.
        Some(chunk) => i64::from_le_bytes(*chunk) << surplus >> surplus,
        None => {
            let mut wide = [0; 8];
            wide[8 - width..].copy_from_slice(&bytes[at..at + width]);
            i64::from_le_bytes(wide) >> surplus
        }
    }
}

/// Bytes of a value by its tag; 0 where they depend on the length that follows.
static FIXED_LEN: [u8; 256] = {
    let mut table = [0; 256];
    table[NULL as usize] = 1;
    table[FALSE as usize] = 1;
    table[TRUE as usize] = 1;
    table[FLOAT as usize] = 9;
    table[UNSIGNED as usize] = 9;
    let mut tag = INT as usize;
    while tag < 256 {
        table[tag] = match tag as u8 {
            tag @ INT..DECIMAL => 2 + (tag - INT),
            tag @ DECIMAL..=DECIMAL_LAST => 2 + (tag & 3),
            SMALL_INT..=SMALL_INT_LAST => 1,
            tag @ SHORT_TEXT.. => 1 + (tag - SHORT_TEXT),
            _ => 0,
        };
        tag += 1;
    }
    table
};

/// How many bytes the value at the start of `bytes` takes. Most of reading is skipping, so this is a look-up.
#[inline]
pub(super) fn value_len(bytes: &[u8]) -> usize {
    match FIXED_LEN[usize::from(bytes[0])] {
        0 => variable_len(bytes),
        len => usize::from(len),
    }
}

fn variable_len(bytes: &[u8]) -> usize {
    match bytes[0] {
        ARRAY_8 | OBJECT_8 => HEADER_BYTES + usize::from(bytes[1]),
        ARRAY_16 | OBJECT_16 => HEADER_BYTES + 2 + u16_at(bytes, 1),
        TEXT_8 => 2 + usize::from(bytes[1]),
        TEXT_16 => 3 + u16_at(bytes, 1),
        TEXT_32 => 5 + u32_at(bytes, 1),
        tag => unreachable!("tag {tag:#x} is never written"),
    }
}

/// Whether the value at the start of `bytes` is an array or an object.
#[inline]
pub(super) fn is_container(bytes: &[u8]) -> bool {
    (ARRAY_8..=OBJECT_16).contains(&bytes[0])
}

/// Reads the value at the start of `bytes`.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Packed<'_> {
    match bytes[0] {
        tag @ SHORT_TEXT.. => Packed::Text(&bytes[1..1 + usize::from(tag - SHORT_TEXT)]),
        tag @ SMALL_INT..=SMALL_INT_LAST => Packed::Int(i64::from(tag - SMALL_INT)),
        NULL => Packed::Null,
        FALSE => Packed::Bool(false),
        TRUE => Packed::Bool(true),
        tag @ INT..DECIMAL => Packed::Int(int_at(bytes, 1, usize::from(tag - INT) + 1)),
        tag @ DECIMAL..=DECIMAL_LAST => {
            let integer = int_at(bytes, 1, usize::from(tag & 3) + 1);
            Packed::Float(integer as f64 / POWERS[usize::from(tag - DECIMAL) >> 2])
        }
        ARRAY_8 => Packed::Array(short_run(bytes)),
        ARRAY_16 => Packed::Array(wide_run(bytes)),
        OBJECT_8 => Packed::Object(short_run(bytes)),
        OBJECT_16 => Packed::Object(wide_run(bytes)),
        FLOAT => Packed::Float(f64::from_bits(int_at(bytes, 1, 8) as u64)),
        UNSIGNED => Packed::Unsigned(int_at(bytes, 1, 8) as u64),
        TEXT_8 => Packed::Text(&bytes[2..2 + usize::from(bytes[1])]),
        TEXT_16 => Packed::Text(&bytes[3..3 + u16_at(bytes, 1)]),
        TEXT_32 => Packed::Text(&bytes[5..5 + u32_at(bytes, 1)]),
        tag => unreachable!("tag {tag:#x} is never written"),
    }
}

/// The members of the value at the start of `bytes`, if it is an object.
#[inline]
pub(super) fn read_object(bytes: &[u8]) -> Option<Run<'_>> {
    match bytes[0] {
        OBJECT_8 => Some(short_run(bytes)),
        OBJECT_16 => Some(wide_run(bytes)),
        _ => None,
    }
}

/// The elements of the value at the start of `bytes`, if it is an array.
#[inline]
pub(super) fn read_array(bytes: &[u8]) -> Option<Run<'_>> {
    match bytes[0] {
        ARRAY_8 => Some(short_run(bytes)),
        ARRAY_16 => Some(wide_run(bytes)),
        _ => None,
    }
}

#[inline]
fn short_run(bytes: &[u8]) -> Run<'_> {
    let len = usize::from(bytes[1]);
    Run { body: &bytes[HEADER_BYTES..HEADER_BYTES + len], count: u32::from(bytes[2]) }
}

#[inline]
fn wide_run(bytes: &[u8]) -> Run<'_> {
    let header = HEADER_BYTES + 2;
    let len = u16_at(bytes, 1);
    Run { body: &bytes[header..header + len], count: u16_at(bytes, 3) as u32 }
}

/// Reads the name at the start of `bytes` and says how many bytes it takes.
#[inline]
pub(super) fn read_name(bytes: &[u8]) -> (NameRef<'_>, usize) {
    match bytes[0] {
        len @ 0..=NAME_TEXT_LAST => {
            let end = 1 + usize::from(len);
            (NameRef::Text(&bytes[1..end]), end)
        }
        high @ NAME_ID..=NAME_ID_LAST => {
            let number = u16::from(high - NAME_ID) << 8 | u16::from(bytes[1]);
            (NameRef::Id(NameId::new(number)), 2)
        }
        NAME_LONG => {
            let end = 5 + u32_at(bytes, 1);
            (NameRef::Text(&bytes[5..end]), end)
        }
        lead => unreachable!("name lead {lead:#x} is never written"),
    }
}

/// A name to look for, as it may have been stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought<'n> {
    text: &'n [u8],
    /// Its number as it is written; zeros, which begin no number, if it has none.
    id: [u8; 2],
}

impl<'n> Sought<'n> {
    pub(super) fn new(name: &'n Name) -> Sought<'n> {
        let number = |id: NameId| [NAME_ID + (id.number() >> 8) as u8, id.number() as u8];
        Sought { text: name.bytes(), id: name.id().map_or([0; 2], number) }
    }

    /// Whether the name at the start of `bytes` is this one, and how many bytes it takes.
    #[inline]
    pub(super) fn is_at(self, bytes: &[u8]) -> (bool, usize) {
        match bytes[0] {
            len @ 0..=NAME_TEXT_LAST => {
                let end = 1 + usize::from(len);
                (end == 1 + self.text.len() && bytes[1..end] == *self.text, end)
            }
            NAME_ID..=NAME_ID_LAST => (bytes[..2] == self.id, 2),
            _ => {
                let (name, end) = read_name(bytes);
                (name.text() == self.text, end)
            }
        }
    }
}

/// The elements of a packed array, each as the bytes it takes.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Run<'a> {
    pub(super) fn elements(self) -> Elements<'a> {
        Elements(self.body)
    }

    pub(super) fn members(self) -> Members<'a> {
        Members(self.body)
    }

    /// The member of that name: its position and where its value begins. Reads nothing that it passes.
    #[inline]
    pub(super) fn find(self, sought: Sought<'_>) -> Option<(u32, &'a [u8])> {
        let (mut rest, mut position) = (self.body, 0);
        while let Some(&[first, second, tag]) = rest.first_chunk() {
            // Nearly all names are numbers; so one look tells the name, and how long what it stands for is.
            let (found, name_len, fixed_len) = match first {
                NAME_ID..=NAME_ID_LAST => {
                    ([first, second] == sought.id, 2, FIXED_LEN[usize::from(tag)])
                }
                _ => {
                    let (found, len) = sought.is_at(rest);
                    (found, len, FIXED_LEN[usize::from(rest[len])])
                }
            };
            if found {
                return Some((position, &rest[name_len..]));
            }
            let value_len = match fixed_len {
                0 => variable_len(&rest[name_len..]),
                len => usize::from(len),
            };
            rest = &rest[name_len + value_len..];
            position += 1;
        }
        // What is too short for that look is one member with an empty name and a value of one byte, or the end.
        let value = rest.get(1..).filter(|_| sought.text.is_empty())?;
        Some((position, value))
    }
}

/// The elements that follow one another in `body`.
pub(super) fn elements(body: &[u8]) -> Elements<'_> {
    Elements(body)
}

/// The members that follow one another in `body`.
pub(super) fn members(body: &[u8]) -> Members<'_> {
    Members(body)
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (element, rest) = self.0.split_at(value_len(self.0));
        self.0 = rest;
        Some(element)
    }
}

/// The members of a packed object: the name, the bytes that the name takes, the bytes of the value.
#[derive(Clone, Debug)]
pub(super) struct Members<'a>(&'a [u8]);

#[derive(Clone, Copy, Debug)]
pub(super) struct PackedMember<'a> {
    pub(super) name: NameRef<'a>,
    pub(super) name_bytes: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> Iterator for Members<'a> {
    type Item = PackedMember<'a>;

    #[inline]
    fn next(&mut self) -> Option<PackedMember<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let (name, len) = read_name(self.0);
        let (name_bytes, rest) = self.0.split_at(len);
        let (value, rest) = rest.split_at(value_len(rest));
        self.0 = rest;
        Some(PackedMember { name, name_bytes, value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::names::Names;
    use super::*;

    fn packed(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out);
        assert_eq!(value_len(&out), out.len());
        out
    }

    #[test]
    fn small_values_take_the_bytes_that_the_layout_promises() {
        assert_eq!(packed(|out| put_int(out, 63)).len(), 1);
        assert_eq!(packed(|out| put_int(out, 64)).len(), 2);
        assert_eq!(packed(|out| put_int(out, -128)).len(), 2);
        assert_eq!(packed(|out| put_int(out, 128)).len(), 3);
        assert_eq!(packed(|out| put_int(out, i64::MIN)).len(), 9);
        assert_eq!(packed(|out| put_float(out, 12.99)).len(), 3);
        assert_eq!(packed(|out| put_float(out, -73.935242)).len(), 5);
        assert_eq!(packed(|out| put_float(out, -0.0)).len(), 9);
        assert_eq!(packed(|out| put_float(out, 1e300)).len(), 9);
        assert_eq!(packed(|out| put_text(out, b"abc")).len(), 4);
    }

    #[test]
    fn numbers_are_written_over_what_has_room_for_them() {
        let ints = (0..63).flat_map(|bit| [1i64 << bit, (1 << bit) - 1, -(1 << bit), i64::MIN]);
        for value in ints.chain([i64::MAX]) {
            let needs = packed(|out| put_int(out, value)).len();
            for room in 1..12 {
                let mut bytes = vec![NULL; room];
                let fits = overwrite_int(&mut bytes, value);
                assert_eq!(fits, if room == 1 { needs == 1 } else { (needs..=9).contains(&room) });
                if fits {
                    assert_eq!(value_len(&bytes), room);
                    assert!(matches!(read(&bytes), Packed::Int(back) if back == value));
                }
            }
        }
        for value in [0.0, -0.0, 1.5, -12.99, 1e300, 0.1 + 0.2, 5e-324, 20_000.25] {
            let needs = packed(|out| put_float(out, value)).len();
            for room in 1..12 {
                let mut bytes = vec![NULL; room];
                let fits = overwrite_float(&mut bytes, value);
                assert_eq!(fits, room == 9 || (needs..=5).contains(&room), "{value} in {room}");
                if fits {
                    assert_eq!(value_len(&bytes), room);
                    let same = |back: f64| back.to_bits() == value.to_bits();
                    assert!(matches!(read(&bytes), Packed::Float(back) if same(back)));
                }
            }
        }
        assert!(!overwrite_bool(&mut [NULL], true));
    }

    #[test]
    fn a_member_is_found_by_any_form_of_its_name() {
        let admitted = "packed-test-admitted";
        for _ in 0..100 {
            Names::lock().stored(admitted.as_bytes());
        }
        let long = "x".repeat(1000);
        let names = ["a", admitted, long.as_str(), "bc", ""];
        // Each name in each place, the last one included, before values of some length and of one byte.
        for turn in 0..names.len() {
            let mut names = names;
            names.rotate_left(turn);
            for text in ["", "t", &long] {
                let bytes = packed(|out| {
                    let start = open(out);
                    for name in names {
                        put_name(out, Names::lock().stored(name.as_bytes()));
                        if text.is_empty() { put_null(out) } else { put_text(out, text.as_bytes()) }
                    }
                    close(out, start, Container::Object, names.len());
                });
                let run = read_object(&bytes).expect("an object was written");
                for (position, name) in names.iter().enumerate() {
                    let (found, value) =
                        run.find(Sought::new(&Name::new(name))).expect("it is there");
                    assert_eq!(found as usize, position);
                    assert!(match read(value) {
                        Packed::Null => text.is_empty(),
                        Packed::Text(found) => found == text.as_bytes(),
                        _ => false,
                    });
                }
                assert!(run.find(Sought::new(&Name::new("packed-test-other"))).is_none());
            }
        }
        let empty = packed(|out| {
            let start = open(out);
            close(out, start, Container::Object, 0);
        });
        assert!(
            read_object(&empty).expect("an object").find(Sought::new(&Name::new(""))).is_none()
        );
        assert!(read_array(&empty).is_none());
    }

    #[test]
    fn a_container_with_many_children_gets_the_wide_header() {
        let bytes = packed(|out| {
            let start = open(out);
            for i in 0..300 {
                put_int(out, i);
            }
            close(out, start, Container::Array, 300);
        });
        let Packed::Array(run) = read(&bytes) else { panic!("an array was written") };
        assert_eq!(run.count, 300);
        let items: Vec<i64> = run
            .elements()
            .map(|bytes| match read(bytes) {
                Packed::Int(value) => value,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(items, (0..300).collect::<Vec<i64>>());
    }

    proptest! {
        #[test]
        fn integers_read_back(value: i64) {
            let bytes = packed(|out| put_int(out, value));
            prop_assert!(matches!(read(&bytes), Packed::Int(back) if back == value));
        }

        #[test]
        fn floats_read_back_bit_for_bit(value in prop_oneof![
            any::<f64>(),
            (any::<i32>(), 0..9i32).prop_map(|(m, e)| f64::from(m) / 10f64.powi(e)),
            (any::<i32>(), 0..9i32).prop_map(|(m, e)| format!("{m}e-{e}").parse().unwrap()),
        ]) {
            prop_assume!(value.is_finite());
            let bytes = packed(|out| put_float(out, value));
            prop_assert!(
                matches!(read(&bytes), Packed::Float(back) if back.to_bits() == value.to_bits())
            );
        }

        #[test]
        fn texts_and_names_read_back(text in "\\PC{0,300}", repeat in 1usize..300) {
            let text = text.repeat(repeat);
            let bytes = packed(|out| put_text(out, text.as_bytes()));
            prop_assert!(matches!(read(&bytes), Packed::Text(back) if back == text.as_bytes()));
            let mut name = Vec::new();
            put_name(&mut name, NameRef::Text(text.as_bytes()));
            let (back, len) = read_name(&name);
            prop_assert_eq!(back.text(), text.as_bytes());
            prop_assert_eq!(len, name.len());
        }
    }
}
