//! How are bytes read that say they are a listpack, when nobody has looked at their elements? Step by step: each
//! element is checked when it is come upon.

use super::encoding::{checked_len, decode, read_back_len, span};
use super::{COUNT_UNKNOWN, END, Element, HEADER_LEN};

/// What should be an element is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Bytes with the frame of a listpack: a header that says how long they are, and an end mark.
#[derive(Clone, Copy, Debug)]
pub struct Foreign<'a> {
    /// What stands between the two.
    body: &'a [u8],
    count: u16,
}

impl<'a> Foreign<'a> {
    /// These bytes, if they have the frame.
    pub fn framed(bytes: &'a [u8]) -> Option<Self> {
        let [a, b, c, d, e, f, body @ .., END] = bytes else { return None };
        let is_whole = u32::from_le_bytes([*a, *b, *c, *d]) as usize == bytes.len();
        is_whole.then(|| Self { body, count: u16::from_le_bytes([*e, *f]) })
    }

    /// How many elements the header says there are, if it says it.
    pub fn stated_len(self) -> Option<usize> {
        (self.count != COUNT_UNKNOWN).then(|| usize::from(self.count))
    }

    /// The elements from the front.
    pub fn steps(self) -> Steps<'a> {
        Steps { rest: self.body }
    }

    /// What stands where the bytes at the end say that the last element begins, if that could be an element.
    pub fn last(self) -> Option<Element<'a>> {
        let len = read_back_len(self.body)?;
        let begin = self.body.len().checked_sub(len + super::back_len(len))?;
        Steps { rest: &self.body[begin..] }.next().ok().flatten()
    }
}

/// Elements, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    rest: &'a [u8],
}

impl<'a> Steps<'a> {
    /// The next element; none at the end.
    #[expect(clippy::should_implement_trait, reason = "an iterator would go on behind an error")]
    pub fn next(&mut self) -> Result<Option<Element<'a>>, Broken> {
        // Within the body an end mark is as good as the end, as it is for Redis.
        if self.rest.first().is_none_or(|first| *first == END) {
            return Ok(None);
        }
        checked_len(self.rest).ok_or(Broken)?;
        let (element, _) = decode(self.rest);
        self.rest = &self.rest[span(self.rest)..];
        Ok(Some(element))
    }

    /// The next element, which must be an integer.
    pub fn int(&mut self) -> Result<i64, Broken> {
        self.next()?.and_then(Element::as_i64).ok_or(Broken)
    }

    /// Passes over some elements that must be there.
    pub fn skip(&mut self, count: i64) -> Result<(), Broken> {
        for _ in 0..count {
            self.next()?.ok_or(Broken)?;
        }
        Ok(())
    }
}

const _: () = assert!(HEADER_LEN == 6, "the pattern in `framed` spells it");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::object::listpack::Listpack;

    fn pack(texts: &[&str]) -> Vec<u8> {
        let mut pack: Listpack = Listpack::new();
        texts.iter().for_each(|text| pack.push_back(text.as_bytes()));
        pack.as_bytes().to_vec()
    }

    #[test]
    fn good_bytes_are_read_as_they_are() {
        let bytes = pack(&["one", "2", "3000", "four"]);
        let foreign = Foreign::framed(&bytes).unwrap();
        assert_eq!(foreign.stated_len(), Some(4));
        assert_eq!(foreign.last(), Some(Element::Str(b"four")));
        let mut steps = foreign.steps();
        assert_eq!(steps.next(), Ok(Some(Element::Str(b"one"))));
        assert_eq!((steps.int(), steps.int()), (Ok(2), Ok(3000)));
        assert_eq!((steps.int(), steps.next()), (Err(Broken), Ok(None)));
        assert!(Foreign::framed(&bytes[1..]).is_none());
        assert!(Foreign::framed(&bytes[..6]).is_none());
    }

    #[test]
    fn a_wrong_element_is_found_when_its_turn_comes() {
        let mut bytes = pack(&["1", "two", "3"]);
        let back = bytes.len() - 4;
        bytes[back] = 77;
        let mut steps = Foreign::framed(&bytes).unwrap().steps();
        assert_eq!((steps.int(), steps.next()), (Ok(1), Err(Broken)));
        assert_eq!(Foreign::framed(&bytes).unwrap().last(), Some(Element::Int(3)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_found_broken(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let len = (body.len() + 7) as u32;
            let bytes = [&len.to_le_bytes()[..], &[3, 0], &body, &[END]].concat();
            let foreign = Foreign::framed(&bytes).unwrap();
            foreign.last();
            let mut steps = foreign.steps();
            let mut count = 0;
            while let Ok(Some(_)) = steps.next() {
                count += 1;
            }
            prop_assert!(count * 2 <= body.len());
        }
    }
}
