//! How are lengths, strings and numbers read from bytes that nobody vouches for?

use std::borrow::Cow;

use super::{RdbError, corrupt};
use crate::base::lzf::expand;
use crate::base::number::IntBuf;
use crate::object::listpack::Listpack;

/// A length, or how a string is encoded instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Plain(u64),
    /// An integer of so many bytes, in little-endian order, as decimal text.
    Integer(usize),
    /// Compressed.
    Lzf,
}

/// Reads from the front of some bytes. After an error its place means nothing.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bytes from the start that what was asked for last would have taken, if there had been so many.
    wanted: usize,
    /// Compact forms that were checked whole.
    pub checked: u64,
}

impl<'a> Reader<'a> {
    /// A reader at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, wanted: 0, checked: 0 }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// After [`RdbError::Truncated`]: how many bytes it takes from the start to come further. Nothing backs that number.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Reads some bytes as they are.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], RdbError> {
        let Some(taken) = self.rest().get(..len) else {
            self.wanted = self.at.saturating_add(len);
            return Err(RdbError::Truncated);
        };
        self.at += len;
        Ok(taken)
    }

    /// Reads so many bytes as they are.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let taken = self.rest().first_chunk().ok_or(RdbError::Truncated)?;
        self.at += N;
        Ok(*taken)
    }

    /// Reads one byte.
    pub fn byte(&mut self) -> Result<u8, RdbError> {
        Ok(self.array::<1>()?[0])
    }

    fn length(&mut self) -> Result<Length, RdbError> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        Ok(match first >> 6 {
            0 => Length::Plain(low),
            1 => Length::Plain(low << 8 | u64::from(self.byte()?)),
            2 => match first {
                0x80 => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
                0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
                _ => {
                    let text = format!("Unknown length encoding {} in rdbLoadLen()", first >> 6);
                    return Err(RdbError::Corrupt(text.into()));
                }
            },
            _ => match low {
                0 => Length::Integer(1),
                1 => Length::Integer(2),
                2 => Length::Integer(4),
                3 => Length::Lzf,
                _ => {
                    let text = format!("Unknown RDB string encoding type {low}");
                    return Err(RdbError::Corrupt(text.into()));
                }
            },
        })
    }

    /// Reads a length or another number that is written like one.
    pub fn number(&mut self) -> Result<u64, RdbError> {
        match self.length()? {
            Length::Plain(value) => Ok(value),
            Length::Integer(_) | Length::Lzf => Err(corrupt("a length is encoded as a string")),
        }
    }

    fn size(&mut self) -> Result<usize, RdbError> {
        // What does not fit an address cannot be backed by bytes either.
        usize::try_from(self.number()?).map_err(|_| RdbError::Truncated)
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, RdbError> {
        match self.length()? {
            Length::Plain(len) => {
                let len = usize::try_from(len).map_err(|_| RdbError::Truncated)?;
                Ok(Cow::Borrowed(self.take(len)?))
            }
            Length::Integer(bytes) => {
                let taken = self.take(bytes)?;
                let mut wide = [if taken[bytes - 1] & 0x80 == 0 { 0 } else { 0xff }; 8];
                wide[..bytes].copy_from_slice(taken);
                Ok(Cow::Owned(IntBuf::new().i64(i64::from_le_bytes(wide)).to_vec()))
            }
            Length::Lzf => {
                let (packed, unpacked) = (self.size()?, self.size()?);
                let packed = self.take(packed)?;
                expand(packed, unpacked)
                    .map(Cow::Owned)
                    .ok_or(corrupt("Invalid LZF compressed string"))
            }
        }
    }

    /// Passes over a string.
    pub fn skip_string(&mut self) -> Result<(), RdbError> {
        let len = match self.length()? {
            Length::Plain(len) => usize::try_from(len).map_err(|_| RdbError::Truncated)?,
            Length::Integer(bytes) => bytes,
            Length::Lzf => {
                let packed = self.size()?;
                self.number()?;
                packed
            }
        };
        self.take(len).map(drop)
    }

    /// Reads a string that is a listpack, every byte of which is checked.
    pub fn listpack(&mut self, complaint: &'static str) -> Result<Listpack, RdbError> {
        let bytes = self.string()?.into_owned();
        self.checked += 1;
        Listpack::from_bytes(bytes).map_err(|_| corrupt(complaint))
    }

    /// Reads a floating point number of eight bytes.
    pub fn double(&mut self) -> Result<f64, RdbError> {
        self.array().map(f64::from_le_bytes)
    }

    /// Reads a floating point number as decimal text, as the oldest versions wrote it.
    pub fn text_double(&mut self) -> Result<f64, RdbError> {
        let len = self.byte()?;
        match len {
            255 => return Ok(f64::NEG_INFINITY),
            254 => return Ok(f64::INFINITY),
            253 => return Ok(f64::NAN),
            _ => {}
        }
        let text = self.take(usize::from(len))?;
        let parsed = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
        parsed.ok_or(corrupt("a score is no number"))
    }

    /// Reads a point in time, in unix milliseconds.
    pub fn millis(&mut self) -> Result<i64, RdbError> {
        self.array().map(i64::from_le_bytes)
    }
}
