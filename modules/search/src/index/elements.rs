//! What does a document keep of the elements of a NESTED field, and does one of them match?
//!
//! The values of all members are kept by element, in one run of bytes for a document, in a column of texts:
//!
//! ```text
//! elements  any number of: len, then an element
//! element   any number of: 16 times the member's field number and the length of its values, at most 15; then, if it is 15, len
//!           less 15; then the values; a member without a value is left out
//! values    of NUMERIC: any number of: twice a whole number, zigzag; 4 times a number of hundredths, zigzag, and 1; or 3 and an f64
//!           of GEO: codes of points, u64s · of TAG: any number of: len, then a tag as it is indexed
//!           of TEXT: any number of: position, len, then a term as it is indexed: words, stems, sounds, groups of synonyms
//!           of NESTED: elements
//! len, position, numbers but f64: 7 bits a byte, the lowest first, the last without the highest bit
//! zigzag    0, -1, 1, -2, 2, ... are 0, 1, 2, 3, 4, ...
//! ```
//!
//! A clause is checked on this alone, so it needs neither the document nor the server. Which documents it is checked on
//! is decided by the lists and columns that the same conditions have for the document as a whole.

use crate::geo::Point;
use crate::index::proximity::{close_in_any_order, close_in_order};
use crate::query::nested::Test;
use crate::query::plan::Proximity;

/// Low bits of a member's head that are its length, and the length from which on it stands behind the head.
const LEN_BITS: u32 = 4;
const LEN_MAX: u32 = (1 << LEN_BITS) - 1;

/// Low bits that tell a number of hundredths, and what stands in front of an f64. A whole number has but one such bit, 0.
const HUNDREDTHS: u32 = 0b01;
const FLOAT: u32 = 0b11;

impl Test {
    /// Whether one of some elements passes.
    pub fn passes_any(&self, mut elements: &[u8]) -> bool {
        while let Some(element) = take_run(&mut elements) {
            if self.passes(element) {
                return true;
            }
        }
        false
    }

    fn passes(&self, element: &[u8]) -> bool {
        match self {
            Test::Always => true,
            Test::Never => false,
            Test::Word(..) | Test::WordShape(..) => self.occurrences(element).next().is_some(),
            Test::Tag(field, tag) => runs(member(element, *field)).any(|other| other == &**tag),
            Test::TagShape(field, pattern) => {
                runs(member(element, *field)).any(|tag| pattern.matches(tag))
            }
            Test::Numbers(field, range) => {
                values(member(element, *field)).any(|value| range.contains(value))
            }
            Test::Near(field, circle) => words_of_8(member(element, *field))
                .any(|bytes| circle.contains(Point::of_code(u64::from_le_bytes(bytes)))),
            Test::Missing(field) => member(element, *field).is_none(),
            Test::All(tests, proximity) => {
                tests.iter().all(|test| test.passes(element))
                    && proximity.is_none_or(|proximity| stand_close(tests, element, proximity))
            }
            Test::Any(tests) => tests.iter().any(|test| test.passes(element)),
            Test::Not(test) => !test.passes(element),
            Test::Element(field, test) => {
                member(element, *field).is_some_and(|elements| test.passes_any(elements))
            }
        }
    }

    /// Positions at which the words of a test about words occur.
    fn occurrences<'e>(&'e self, element: &'e [u8]) -> impl Iterator<Item = u32> + 'e {
        let fields = match self {
            Test::Word(fields, _) | Test::WordShape(fields, _) => fields.as_slice(),
            _ => &[],
        };
        let is_meant = move |term: &[u8]| match self {
            Test::Word(_, word) => **word == *term,
            Test::WordShape(_, shape) => shape.matches(term),
            _ => false,
        };
        let terms = fields.iter().flat_map(|field| terms(member(element, *field)));
        terms.filter(move |(_, term)| is_meant(term)).map(|(position, _)| position)
    }

    /// Appends the positions of the words by which an element passes.
    fn positions(&self, element: &[u8], out: &mut Vec<u32>) {
        match self {
            Test::Word(..) | Test::WordShape(..) => out.extend(self.occurrences(element)),
            Test::All(tests, _) => tests.iter().for_each(|test| test.positions(element, out)),
            Test::Any(tests) => {
                let passed = tests.iter().filter(|test| test.passes(element));
                passed.for_each(|test| test.positions(element, out));
            }
            _ => {}
        }
    }
}

fn stand_close(tests: &[Test], element: &[u8], proximity: Proximity) -> bool {
    let mut lists: Vec<Vec<u32>> = Vec::with_capacity(tests.len());
    for test in tests {
        let mut positions = Vec::new();
        test.positions(element, &mut positions);
        positions.sort_unstable();
        positions.dedup();
        if !positions.is_empty() {
            lists.push(positions);
        }
    }
    let mut reading: Vec<(usize, usize)> = (0..lists.len()).map(|at| (at, 0)).collect();
    lists.len() <= 1
        || match proximity.in_order {
            true => close_in_order(&lists, &mut reading, proximity.slop),
            false => close_in_any_order(&lists, &mut reading, proximity.slop.unwrap_or(u32::MAX)),
        }
}

/// The values of a member, if it has any.
fn member(mut element: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let head = take_number(&mut element)?;
        let mut len = head & LEN_MAX;
        if len == LEN_MAX {
            len = len.checked_add(take_number(&mut element)?)?;
        }
        let (values, behind) = element.split_at_checked(len as usize)?;
        element = behind;
        if head >> LEN_BITS == u32::from(wanted) {
            return Some(values);
        }
    }
}

/// Numbers.
fn values(values: Option<&[u8]>) -> impl Iterator<Item = f64> {
    let mut rest = values.unwrap_or_default();
    std::iter::from_fn(move || {
        let code = take_number(&mut rest)?;
        Some(match code & 0b11 {
            0b00 | 0b10 => unfold(code >> 1),
            HUNDREDTHS => unfold(code >> 2) / 100.0,
            _ => {
                let (bytes, behind) = rest.split_first_chunk()?;
                rest = behind;
                f64::from_le_bytes(*bytes)
            }
        })
    })
}

/// The whole number that a code stands for.
fn unfold(code: u32) -> f64 {
    let half = f64::from(code >> 1);
    if code & 1 == 0 { half } else { -half - 1.0 }
}

/// The code of a whole number, if it is small enough to leave so many bits free.
fn fold(number: f64, free_bits: u32) -> Option<u32> {
    // What has a fraction, or is too large, or is -0, does not come back.
    let code = match number < 0.0 {
        false => number * 2.0,
        true => -number * 2.0 - 1.0,
    };
    let fits = code < f64::from(1u32 << (u32::BITS - free_bits));
    let code = if fits { code as u32 } else { return None };
    (unfold(code).to_bits() == number.to_bits()).then_some(code)
}

/// Strings of bytes one after the other.
fn runs(values: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    let mut rest = values.unwrap_or_default();
    std::iter::from_fn(move || take_run(&mut rest))
}

/// Words of 8 bytes.
fn words_of_8(values: Option<&[u8]>) -> impl Iterator<Item = [u8; 8]> {
    values.unwrap_or_default().as_chunks().0.iter().copied()
}

/// Terms with their positions.
fn terms(values: Option<&[u8]>) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = values.unwrap_or_default();
    std::iter::from_fn(move || Some((take_number(&mut rest)?, take_run(&mut rest)?)))
}

fn take_run<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = take_number(rest)?;
    let (run, behind) = rest.split_at_checked(len as usize)?;
    *rest = behind;
    Some(run)
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in (0..u32::BITS).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Appends a number.
pub fn put_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a value of a NUMERIC member.
pub fn put_value(out: &mut Vec<u8>, value: f64) {
    let hundredths = (value * 100.0).round();
    let is_exact = hundredths / 100.0 == value && value != 0.0;
    if let Some(code) = fold(value, 1) {
        put_number(out, code << 1);
    } else if let Some(code) = fold(hundredths, 2).filter(|_| is_exact) {
        put_number(out, code << 2 | HUNDREDTHS);
    } else {
        put_number(out, FLOAT);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends a member with its values.
pub fn put_member(out: &mut Vec<u8>, field: u16, values: &[u8]) {
    let len = u32::try_from(values.len()).expect("a document has less than 4 GiB");
    put_number(out, u32::from(field) << LEN_BITS | len.min(LEN_MAX));
    if let Some(more) = len.checked_sub(LEN_MAX) {
        put_number(out, more);
    }
    out.extend_from_slice(values);
}

/// Appends a string of bytes with its length.
pub fn put_run(out: &mut Vec<u8>, run: &[u8]) {
    put_number(out, u32::try_from(run.len()).expect("a document has less than 4 GiB"));
    out.extend_from_slice(run);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            (-1000i32..1000).prop_map(f64::from),
            (-1000i32..1000).prop_map(|n| f64::from(n) / 100.0),
            any::<i32>().prop_map(f64::from),
            any::<i32>().prop_map(|n| f64::from(n) / 100.0),
            any::<i32>().prop_map(|n| f64::from(n) / 8.0),
            any::<i64>().prop_map(|n| n as f64),
            Just(-0.0),
            Just(0.0),
            Just(f64::NEG_INFINITY),
        ]
    }

    proptest! {
        #[test]
        fn members_and_numbers_come_back(
            members in proptest::collection::btree_map(any::<u16>(), proptest::collection::vec(number(), 0..12), 0..5),
            missing in any::<u16>(),
        ) {
            let mut element = Vec::new();
            for (field, numbers) in &members {
                let mut bytes = Vec::new();
                numbers.iter().for_each(|number| put_value(&mut bytes, *number));
                put_member(&mut element, *field, &bytes);
            }
            let bits = |number: f64| number.to_bits();
            for (field, numbers) in &members {
                let read: Vec<u64> = values(member(&element, *field)).map(bits).collect();
                prop_assert_eq!(read, numbers.iter().copied().map(bits).collect::<Vec<_>>());
            }
            prop_assert_eq!(member(&element, missing).is_some(), members.contains_key(&missing));
        }

        #[test]
        fn no_bytes_make_a_check_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), field in 0u16..20) {
            let _ = values(member(&bytes, field)).count();
            let _ = runs(member(&bytes, field)).count();
            let _ = terms(member(&bytes, field)).count();
        }
    }

    #[test]
    fn usual_numbers_take_few_bytes() {
        for (number, bytes) in
            [(0.0, 1), (7.0, 1), (-16.0, 1), (3650.0, 2), (12.5, 2), (9999.99, 4), (0.1 + 0.2, 9)]
        {
            let mut out = Vec::new();
            put_value(&mut out, number);
            assert_eq!(out.len(), bytes, "{number}");
        }
    }
}
