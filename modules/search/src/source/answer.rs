//! How are the values read that a JSON document answers with?
//!
//! The format is that of the service, which the JSON module describes (`shared_api.rs`). Texts stay where they are. What
//! does not have the format yields nothing.

use std::borrow::Cow;

use crate::index::analysis::FieldValue;
use crate::schema::nested::{Group, Member};

/// Values by their first byte.
pub const NULL: u8 = 0;
/// See [`NULL`].
pub const FALSE: u8 = 1;
/// See [`NULL`].
pub const TRUE: u8 = 2;
/// Eight bytes follow.
pub const NUMBER: u8 = 3;
/// A string follows.
pub const STRING: u8 = 4;
/// A count and values follow.
pub const ARRAY: u8 = 5;
/// An object, or an array that is not opened.
pub const OTHER: u8 = 6;
/// JSON text follows, as a string.
pub const TEXT: u8 = 7;
/// A count and numbers follow, of eight bytes each.
pub const NUMBERS: u8 = 8;

/// How deep arrays are opened.
pub const ARRAYS_DEEP: usize = 2;

/// An answer that is being read.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    rest: &'a [u8],
}

impl<'a> Answer<'a> {
    /// At its beginning.
    pub fn new(bytes: &'a [u8]) -> Answer<'a> {
        Answer { rest: bytes }
    }

    /// What the objects have that the path of a NESTED field found.
    pub fn elements(&mut self, group: &Group) -> Option<FieldValue<'a>> {
        let count = self.len()?;
        if count == 0 {
            return Some(FieldValue::Missing);
        }
        let mut elements = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            let value = |member: &Member| match &member.group {
                Some(group) => self.elements(group),
                None => self.field(),
            };
            elements.push(group.members.iter().map(value).collect::<Option<_>>()?);
        }
        Some(FieldValue::Elements(elements))
    }

    /// All that a path found, as the value of a field: itself if there is one, else an array.
    pub fn field(&mut self) -> Option<FieldValue<'a>> {
        match self.len()? {
            0 => Some(FieldValue::Missing),
            1 => self.value(0),
            many => self.several(many, 0),
        }
    }

    /// The first value that a path found, if it did; JSON null is [`FieldValue::Missing`].
    pub fn first(&mut self) -> Option<Option<FieldValue<'a>>> {
        match self.len()? {
            0 => Some(None),
            _ => self.value(0).map(Some),
        }
    }

    /// The text that JSON.GET answers, if it does.
    pub fn text(&mut self) -> Option<Option<&'a [u8]>> {
        match (self.len()?, self.rest.split_first()) {
            (0, _) => Some(None),
            (_, Some((&TEXT, rest))) => {
                self.rest = rest;
                self.string().map(Some)
            }
            _ => None,
        }
    }

    fn value(&mut self, depth: usize) -> Option<FieldValue<'a>> {
        let (tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(match *tag {
            NULL => FieldValue::Missing,
            FALSE => FieldValue::Boolean(false),
            TRUE => FieldValue::Boolean(true),
            NUMBER => FieldValue::Number(self.number()?),
            STRING | TEXT => FieldValue::Text(Cow::Borrowed(self.string()?)),
            OTHER => FieldValue::Object,
            ARRAY if depth < ARRAYS_DEEP => {
                let count = self.len()?;
                self.several(count, depth + 1)?
            }
            NUMBERS => {
                let count = self.len()?;
                let (numbers, rest) = self.rest.split_at_checked(count.checked_mul(8)?)?;
                self.rest = rest;
                FieldValue::Numbers(
                    numbers.as_chunks().0.iter().map(|n| f64::from_le_bytes(*n)).collect(),
                )
            }
            _ => return None,
        })
    }

    fn several(&mut self, count: usize, depth: usize) -> Option<FieldValue<'a>> {
        // Each takes a byte at least, so that the room that is made is bounded by what came.
        let room = count.min(self.rest.len());
        if self.rest.first() == Some(&NUMBER) {
            // Mostly all of them are numbers.
            let (start, mut numbers) = (self.rest, Vec::with_capacity(room / 9));
            while numbers.len() < count && self.rest.first() == Some(&NUMBER) {
                self.rest = &self.rest[1..];
                numbers.push(self.number()?);
            }
            if numbers.len() == count {
                return Some(FieldValue::Numbers(numbers));
            }
            self.rest = start;
        }
        let mut values = Vec::with_capacity(room);
        for _ in 0..count {
            values.push(self.value(depth)?);
        }
        Some(FieldValue::Array(values))
    }

    fn number(&mut self) -> Option<f64> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(f64::from_le_bytes(*number))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let len = self.len()?;
        let (string, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(string)
    }

    fn len(&mut self) -> Option<usize> {
        let (len, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*len) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::by_command::put_matches;

    /// What a field gets of these matches.
    fn field(matches: &str) -> FieldValue<'static> {
        let matches: Vec<serde_json::Value> = serde_json::from_str(matches).unwrap();
        let mut bytes = Vec::new();
        put_matches(&mut bytes, matches.iter());
        Answer::new(bytes.leak()).field().unwrap()
    }

    #[test]
    fn matches_become_values() {
        let text = |text: &'static str| FieldValue::Text(Cow::Borrowed(text.as_bytes()));
        let numbers = |numbers: &[f64]| FieldValue::Numbers(numbers.to_vec());
        assert_eq!(field("[]"), FieldValue::Missing);
        assert_eq!(field("[null]"), FieldValue::Missing);
        assert_eq!(field(r#"["a"]"#), text("a"));
        assert_eq!(field("[[1,2]]"), numbers(&[1.0, 2.0]));
        assert_eq!(field("[1,2.5]"), numbers(&[1.0, 2.5]));
        assert_eq!(field("[[]]"), FieldValue::Array(vec![]));
        let mixed =
            FieldValue::Array(vec![FieldValue::Number(1.0), FieldValue::Missing, text("x")]);
        assert_eq!(field(r#"[1,null,"x"]"#), mixed);
        assert_eq!(field(r#"[[1,null,"x"]]"#), mixed);
        let vectors = FieldValue::Array(vec![numbers(&[1.0, 2.0]), numbers(&[3.0])]);
        assert_eq!(field("[[[1,2],[3]]]"), vectors);
        assert_eq!(field("[[1,2],[3]]"), vectors);
        assert_eq!(
            field("[[[[1]],{}]]"),
            FieldValue::Array(vec![
                FieldValue::Array(vec![FieldValue::Object]),
                FieldValue::Object,
            ])
        );
        assert_eq!(field("[{}]"), FieldValue::Object);
        assert_eq!(field("[true]"), FieldValue::Boolean(true));
    }

    #[test]
    fn broken_answers_yield_nothing() {
        for broken in [
            &b"\x01\0\0"[..],
            b"\x01\0\0\0",
            b"\x01\0\0\0\x03abc",
            b"\x01\0\0\0\x04\xff\xff\xff\xff",
            b"\x02\0\0\0\x00",
            b"\x01\0\0\0\x08\xff\xff\xff\xff",
            b"\x01\0\0\0\x09",
        ] {
            assert_eq!(Answer::new(broken).field(), None, "{broken:?}");
        }
    }
}
