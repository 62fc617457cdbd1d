//! What does a document keep of the elements of a NESTED field, and does one of them match?
//!
//! The values of all members are kept by element, in one run of bytes for a document, in a column of texts:
//!
//! ```text
//! elements  any number of: len, then an element
//! element   any number of: the member's field number, len, then its values; a member without a value is left out
//! values    of NUMERIC: f64s · of GEO: codes of points, u64s · of TAG: any number of: len, then a tag as it is indexed
//!           of TEXT: any number of: position, len, then a term as it is indexed: words, stems, sounds, groups of synonyms
//!           of NESTED: elements
//! len, position, field number: 7 bits a byte, the lowest first, the last without the highest bit
//! ```
//!
//! A clause is checked on this alone, so it needs neither the document nor the server. Which documents it is checked on
//! is decided by the lists and columns that the same conditions have for the document as a whole.

use crate::geo::Point;
use crate::index::proximity::{close_in_any_order, close_in_order};
use crate::query::nested::Test;
use crate::query::plan::Proximity;

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
            Test::Numbers(field, range) => words_of_8(member(element, *field))
                .any(|bytes| range.contains(f64::from_le_bytes(bytes))),
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
        let field = take_number(&mut element)?;
        let values = take_run(&mut element)?;
        if field == u32::from(wanted) {
            return Some(values);
        }
    }
}

/// Strings of bytes one after the other.
fn runs(values: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    let mut rest = values.unwrap_or_default();
    std::iter::from_fn(move || take_run(&mut rest))
}

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

/// Appends a string of bytes with its length.
pub fn put_run(out: &mut Vec<u8>, run: &[u8]) {
    put_number(out, u32::try_from(run.len()).expect("a document has less than 4 GiB"));
    out.extend_from_slice(run);
}
