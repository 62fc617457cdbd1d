//! What is the ID of a stream's entry? A time in milliseconds and a number within it, written
//! `<ms>-<seq>`.

use std::fmt;

use crate::base::number::parse_strtoull;

/// The ID of an entry; the order of IDs is that of the entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds, of the unix epoch if the server chose it.
    pub ms: u64,
    /// The number of the entry within the millisecond.
    pub seq: u64,
}

/// An ID longer than this is none, as in Redis; it bounds what zeros in front could add.
const TEXT_LEN_MAX: usize = 127;

impl StreamId {
    /// The smallest: no entry has it.
    pub const MIN: StreamId = StreamId::new(0, 0);
    /// The largest.
    pub const MAX: StreamId = StreamId::new(u64::MAX, u64::MAX);

    /// An ID.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The ID behind this one.
    #[inline]
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The ID before this one.
    #[inline]
    pub fn prev(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads `<ms>-<seq>`, or `<ms>` alone, to which `missing_seq` is added. As in Redis, blanks and a sign may
    /// stand in front of either number, and a zero byte ends the text.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        if text.len() > TEXT_LEN_MAX {
            return None;
        }
        let text = match memchr::memchr(0, text) {
            None => text,
            Some(end) => &text[..end],
        };
        match memchr::memchr(b'-', text) {
            None => Some(Self { ms: parse_strtoull(text)?, seq: missing_seq }),
            Some(at) => {
                let (ms, seq) = (&text[..at], &text[at + 1..]);
                Some(Self { ms: parse_strtoull(ms)?, seq: parse_strtoull(seq)? })
            }
        }
    }

    /// The text of the ID.
    #[inline]
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; IdText::LEN_MAX], len: 0 };
        let mut digits = itoa::Buffer::new();
        text.push(digits.format(self.ms).as_bytes());
        text.push(b"-");
        text.push(digits.format(self.seq).as_bytes());
        text
    }

    /// The sixteen bytes that RDB files have.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.ms.to_be_bytes());
        bytes[8..].copy_from_slice(&self.seq.to_be_bytes());
        bytes
    }

    /// The ID that sixteen bytes of an RDB file are.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { ms: (both >> 64) as u64, seq: both as u64 }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The text of an ID, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; IdText::LEN_MAX],
    len: u8,
}

impl IdText {
    /// Two numbers of twenty digits and the dash.
    const LEN_MAX: usize = 41;

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + text.len()].copy_from_slice(text);
        self.len += text.len() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        for (text, id) in [
            ("1-2", Some(StreamId::new(1, 2))),
            ("5", Some(StreamId::new(5, 9))),
            ("007-01", Some(StreamId::new(7, 1))),
            ("18446744073709551615-18446744073709551615", Some(StreamId::MAX)),
            (" 1", Some(StreamId::new(1, 9))),
            ("+5-+6", Some(StreamId::new(5, 6))),
            ("5- -1", Some(StreamId::new(5, u64::MAX))),
            ("5\0-x", Some(StreamId::new(5, 9))),
            ("18446744073709551616-0", None),
            ("1 ", None),
            ("", None),
            ("-", None),
            ("1-", None),
            ("-1", None),
            ("1-2-3", None),
            ("1-*", None),
            ("a", None),
        ] {
            assert_eq!(StreamId::parse(text.as_bytes(), 9), id, "{text}");
        }
        assert_eq!(StreamId::parse(&[b'0'; 127], 0), Some(StreamId::MIN));
        assert_eq!(StreamId::parse(&[b'0'; 128], 0), None);
    }

    #[test]
    fn neighbours_carry_between_the_parts() {
        let end = StreamId::new(4, u64::MAX);
        assert_eq!(end.next(), Some(StreamId::new(5, 0)));
        assert_eq!(StreamId::new(5, 0).prev(), Some(end));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.prev(), None);
    }

    proptest! {
        #[test]
        fn ids_round_trip(ms: u64, seq: u64) {
            let id = StreamId::new(ms, seq);
            prop_assert_eq!(StreamId::parse(id.text().as_bytes(), 0), Some(id));
            prop_assert_eq!(id.to_string().into_bytes(), id.text().as_bytes().to_vec());
            prop_assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        }
    }
}
