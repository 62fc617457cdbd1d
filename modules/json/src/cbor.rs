//! How is the encoding read in which RedisJSON 8.8 and later save documents?
//!
//! It is CBOR (RFC 8949) with definite lengths: null, booleans, integers, floats of 16, 32 and 64 bits, text, arrays,
//! and maps from text. An array of numbers of one type is a tag of RFC 8746 (bfloat16, which that lacks, has
//! `TAG_BF16`) around the little-endian numbers. Nothing here writes it: what is saved is text, which everybody reads.
//!
//! Numbers of typed arrays with less than 64 bits stand for the shortest decimal that rounds to them, as RedisJSON
//! prints them: `0.1` in 16 bits reads as 0.1, not as 0.0999755859375.
//!
//! Invariants: whatever bytes come, reading ends in a value that keeps the limits of `codec`, or in an error; nothing is
//! reserved by a count that the bytes claim, and every element of a container takes at least one of them.

use std::fmt;

use crate::codec::DEPTH_MAX;
use crate::value::{ArrayBuilder, Builder, Item, ObjectBuilder, Value};

/// Little-endian bfloat16: above all tags that have been registered.
const TAG_BF16: u64 = 0x10000;

/// Why bytes are no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CborError {
    /// They end within a value, or go on behind it.
    Length,
    /// They hold something that no document has: other tags, keys that are no text, integers beyond 64 bits.
    Unknown,
    /// Text is not UTF-8.
    Text,
    /// Containers stand inside one another too deep.
    Depth,
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CborError::Length => "a binary document ends too early or too late",
            CborError::Unknown => "a binary document holds something that is not JSON",
            CborError::Text => "a binary document holds text that is not UTF-8",
            CborError::Depth => "recursion limit exceeded",
        })
    }
}

impl std::error::Error for CborError {}

/// Reads one document.
pub fn parse(bytes: &[u8]) -> Result<Value, CborError> {
    let mut reader = Reader { rest: bytes };
    let mut builder = Builder::new(bytes.len());
    let root = reader.value(&mut builder, DEPTH_MAX)?;
    if !reader.rest.is_empty() {
        return Err(CborError::Length);
    }
    Ok(builder.finish(root))
}

struct Reader<'b> {
    rest: &'b [u8],
}

/// What a value begins with: its kind, and a number whose meaning depends on it.
struct Head {
    major: u8,
    /// How the number was written: itself below 24, then 24 to 27 for 1, 2, 4, 8 bytes.
    width: u8,
    number: u64,
}

impl<'b> Reader<'b> {
    fn take(&mut self, len: u64) -> Result<&'b [u8], CborError> {
        let len = usize::try_from(len).map_err(|_| CborError::Length)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(CborError::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, CborError> {
        let first = self.take(1)?[0];
        let (major, width) = (first >> 5, first & 31);
        let number = match width {
            0..=23 => u64::from(width),
            24..=27 => {
                let bytes = self.take(1 << (width - 24))?;
                bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
            }
            // Lengths that are not known beforehand are never written.
            _ => return Err(CborError::Unknown),
        };
        Ok(Head { major, width, number })
    }

    fn text(&mut self, len: u64) -> Result<&'b str, CborError> {
        std::str::from_utf8(self.take(len)?).map_err(|_| CborError::Text)
    }

    fn value(&mut self, builder: &mut Builder, levels_left: usize) -> Result<Item, CborError> {
        let head = self.head()?;
        let nested = || levels_left.checked_sub(1).ok_or(CborError::Depth);
        match head.major {
            0 => Ok(builder.unsigned(head.number)),
            1 => {
                let value = i64::try_from(head.number).map_err(|_| CborError::Unknown)?;
                Ok(Item::Int(!value))
            }
            3 => Ok(builder.text(self.text(head.number)?)),
            4 => {
                let levels_left = nested()?;
                let mut array = ArrayBuilder::begin(builder);
                for _ in 0..head.number {
                    let item = self.value(builder, levels_left)?;
                    array.add(builder, item);
                }
                Ok(array.finish(builder))
            }
            5 => {
                let levels_left = nested()?;
                let mut object = ObjectBuilder::begin(builder);
                for _ in 0..head.number {
                    let name = self.head()?;
                    if name.major != 3 {
                        return Err(CborError::Unknown);
                    }
                    object.name(builder, self.text(name.number)?);
                    let item = self.value(builder, levels_left)?;
                    object.add(builder, item);
                }
                Ok(object.finish(builder))
            }
            6 => {
                nested()?;
                self.numbers(builder, head.number)
            }
            7 => simple(builder, &head),
            _ => Err(CborError::Unknown),
        }
    }

    /// A typed array.
    fn numbers(&mut self, builder: &mut Builder, tag: u64) -> Result<Item, CborError> {
        let head = self.head()?;
        if head.major != 2 {
            return Err(CborError::Unknown);
        }
        let number = Number::of_tag(tag).ok_or(CborError::Unknown)?;
        let bytes = self.take(head.number)?;
        let numbers = bytes.chunks_exact(number.bytes());
        if !numbers.remainder().is_empty() {
            return Err(CborError::Length);
        }
        let mut array = ArrayBuilder::begin(builder);
        for bytes in numbers {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            let item = number.item(builder, u64::from_le_bytes(wide));
            array.add(builder, item);
        }
        Ok(array.finish(builder))
    }
}

fn simple(builder: &mut Builder, head: &Head) -> Result<Item, CborError> {
    match (head.width, head.number) {
        (20, _) => Ok(builder.bool(false)),
        (21, _) => Ok(builder.bool(true)),
        (22, _) => Ok(builder.null()),
        // A float is written in as few bits as hold it.
        (25, bits) => Ok(float(builder, widen(bits, 5, 10))),
        (26, bits) => Ok(float(builder, f64::from(f32::from_bits(bits as u32)))),
        (27, bits) => Ok(float(builder, f64::from_bits(bits))),
        _ => Err(CborError::Unknown),
    }
}

/// JSON has neither infinities nor NaN; RedisJSON reads them as null.
fn float(builder: &mut Builder, value: f64) -> Item {
    if value.is_finite() { Item::Float(value) } else { builder.null() }
}

/// The type of the numbers of a typed array.
#[derive(Clone, Copy, Debug)]
enum Number {
    /// An integer of so many bytes, below zero or not.
    Signed(u8),
    Unsigned(u8),
    /// A float with so many bits for the exponent and for the fraction.
    Float(u32, u32),
}

impl Number {
    fn of_tag(tag: u64) -> Option<Number> {
        Some(match tag {
            64 => Number::Unsigned(1),
            69 => Number::Unsigned(2),
            70 => Number::Unsigned(4),
            71 => Number::Unsigned(8),
            72 => Number::Signed(1),
            77 => Number::Signed(2),
            78 => Number::Signed(4),
            79 => Number::Signed(8),
            84 => Number::Float(5, 10),
            85 => Number::Float(8, 23),
            86 => Number::Float(11, 52),
            TAG_BF16 => Number::Float(8, 7),
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Number::Signed(bytes) | Number::Unsigned(bytes) => usize::from(bytes),
            Number::Float(exponent, fraction) => (1 + exponent + fraction) as usize / 8,
        }
    }

    fn item(self, builder: &mut Builder, bits: u64) -> Item {
        match self {
            Number::Unsigned(_) => builder.unsigned(bits),
            Number::Signed(bytes) => {
                let unused = 64 - 8 * u32::from(bytes);
                Item::Int((bits << unused) as i64 >> unused)
            }
            Number::Float(11, _) => float(builder, f64::from_bits(bits)),
            Number::Float(exponent, fraction) => float(builder, shortest(bits, exponent, fraction)),
        }
    }
}

/// A float with so many bits for the exponent and for the fraction, as a double, which holds all of them.
fn widen(bits: u64, exponent_bits: u32, fraction_bits: u32) -> f64 {
    let fraction = bits & ((1 << fraction_bits) - 1);
    let exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
    let negative = bits >> (exponent_bits + fraction_bits) & 1 == 1;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let exponent_max = (1 << exponent_bits) - 1;
    let scale = 2f64.powi(-(fraction_bits as i32));
    let magnitude = match exponent {
        0 => fraction as f64 * scale * 2f64.powi(1 - bias),
        _ if exponent == exponent_max && fraction == 0 => f64::INFINITY,
        _ if exponent == exponent_max => f64::NAN,
        _ => (1.0 + fraction as f64 * scale) * 2f64.powi(exponent as i32 - bias),
    };
    if negative { -magnitude } else { magnitude }
}

/// The decimal with the fewest digits that rounds to the float.
fn shortest(bits: u64, exponent_bits: u32, fraction_bits: u32) -> f64 {
    /// As many as a float of 32 bits may need.
    const DIGITS_MAX: usize = 9;
    let sign = 1u64 << (exponent_bits + fraction_bits);
    let magnitude = bits & (sign - 1);
    let value = widen(magnitude, exponent_bits, fraction_bits);
    let with_sign = |value: f64| if bits & sign == 0 { value } else { -value };
    if magnitude == 0 || !value.is_finite() {
        return with_sign(value);
    }
    let below = widen(magnitude - 1, exponent_bits, fraction_bits);
    let above = widen(magnitude + 1, exponent_bits, fraction_bits);
    // Beyond the largest float the distance stays what it was.
    let above = if above.is_finite() { above } else { value + (value - below) };
    let rounds_to_it =
        |decimal: f64| (below + value) / 2.0 < decimal && decimal < (value + above) / 2.0;
    let decimals = (0..DIGITS_MAX).filter_map(|digits| format!("{value:.digits$e}").parse().ok());
    with_sign(decimals.into_iter().find(|&decimal| rounds_to_it(decimal)).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::tests::text_of;

    fn read(bytes: &[u8]) -> Result<String, CborError> {
        parse(bytes).map(|value| text_of(&value))
    }

    #[test]
    fn a_document_of_redisjson_reads_as_it_prints() {
        // What RedisJSON 8.8 saves for the text below, with typed arrays where it finds them.
        let bytes = b"\xaf\x61a\xd8\x4d\x46\x01\x00\x02\x00\x2c\x01\x61b\xd8\x54\x44\x00\x3e\x00\x41\
            \x61c\xd8\x56\x50\x9a\x99\x99\x99\x99\x99\xb9\x3f\x33\x33\x33\x33\x33\x33\xd3\x3f\
            \x61d\x62\xc3\xa9\x61e\x83\xf9\x3e\x00\x02\x61x\x61f\x22\x61g\xf9\x3d\x00\
            \x61h\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x61i\xd8\x47\x48\xff\xff\xff\xff\xff\xff\xff\xff\
            \x61j\xd8\x4d\x44\xff\xff\x2c\x01\x61k\xf6\x61l\x81\xf5\x61m\xa0\x61n\x80\x61o\xf9\x42\x00";
        let text = concat!(
            r#"{"a":[1,2,300],"b":[1.5,2.5],"c":[0.1,0.3],"d":"é","e":[1.5,2,"x"],"f":-3,"g":1.25,"#,
            r#""h":18446744073709551615,"i":[18446744073709551615],"j":[-1,300],"k":null,"l":[true],"#,
            r#""m":{},"n":[],"o":3.0}"#
        );
        assert_eq!(read(bytes).as_deref(), Ok(text));
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Err(CborError::Length), "{end}");
        }
        assert_eq!(read(&[&bytes[..], b"\x00"].concat()), Err(CborError::Length));
    }

    #[test]
    fn floats_of_few_bits_are_the_decimals_they_were_written_as() {
        // 0.1, 0.2, 100.5, 65504, the smallest; then the same as bfloat16 and as 32 bits.
        let half = b"\xd8\x54\x4a\x66\x2e\x66\x32\x48\x56\xff\x7b\x01\x00";
        assert_eq!(read(half).as_deref(), Ok("[0.1,0.2,100.5,65500.0,6e-8]"));
        let brain = b"\xda\x00\x01\x00\x00\x46\xcd\x3d\x4d\x3e\xc9\xc2";
        assert_eq!(read(brain).as_deref(), Ok("[0.1,0.2,-100.5]"));
        let single = b"\xd8\x55\x48\xcd\xcc\xcc\x3d\x00\x00\x80\xff";
        assert_eq!(read(single).as_deref(), Ok("[0.1,null]"));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for (bytes, error) in [
            (&b"\x40"[..], CborError::Unknown),
            (b"\xa1\x01\x01", CborError::Unknown),
            (b"\x9f\x01\xff", CborError::Unknown),
            (b"\xd8\x64\x41\x01", CborError::Unknown),
            (b"\xd8\x40\x01", CborError::Unknown),
            (b"\xd8\x45\x41\x01", CborError::Length),
            (b"\x62\xff\xff", CborError::Text),
            (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", CborError::Unknown),
            (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01", CborError::Length),
            (b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff\x01", CborError::Length),
        ] {
            assert_eq!(read(bytes), Err(error), "{bytes:x?}");
        }
        let nested = |depth: usize| [vec![0x81; depth], vec![0x80]].concat();
        assert!(read(&nested(DEPTH_MAX - 1)).is_ok());
        assert_eq!(read(&nested(DEPTH_MAX)), Err(CborError::Depth));
        assert_eq!(read(&nested(1_000_000)), Err(CborError::Depth));
    }

    proptest! {
        #[test]
        fn thirty_two_bits_print_as_rust_prints_them(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            let expected: f64 = value.to_string().parse().unwrap();
            let found = shortest(u64::from(bits), 8, 23);
            prop_assert_eq!(found as f32, value);
            prop_assert!(found.to_bits() == expected.to_bits() || found as f32 == expected as f32);
            prop_assert_eq!(widen(u64::from(bits), 8, 23).to_bits(), f64::from(value).to_bits());
        }

        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = parse(&bytes) {
                let text = text_of(&value);
                prop_assert!(crate::codec::parse(&text).unwrap().value == value, "{}", text);
            }
        }
    }
}
