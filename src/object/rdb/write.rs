//! How are lengths, strings and numbers written?
//!
//! A writer collects bytes; one that has a drain hands them over whenever a good many have come together, so
//! that a large value is never held twice. What goes wrong behind the drain is the drain's to remember.

use std::fmt;

use crate::base::lzf::Packer;
use crate::base::number::{IntBuf, parse_i64};

/// The newest version of the format that is known, that of Redis 7.4.
pub const VERSION_MAX: u32 = 12;

/// Bytes that come together before they are handed over.
const DRAIN_BYTES: usize = 64 * 1024;

/// The longest string that may be an integer of 32 bits.
const INT_TEXT_MAX: usize = 11;
/// Strings up to this length are not worth compressing.
const PLAIN_MAX: usize = 20;

/// Takes bytes out of a writer.
pub trait Drain {
    /// Takes what is there, leaving the vector empty.
    fn drain(&mut self, bytes: &mut Vec<u8>);
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The version of the format: readers of it can read all that is written, hashes with expiring
    /// fields aside, which need 12 and are written as they are rather than stripped.
    pub version: u32,
    /// Whether long strings are compressed.
    pub compress: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { version: 11, compress: true }
    }
}

/// Writes values.
pub struct Writer<'a> {
    bytes: Vec<u8>,
    /// How.
    pub style: Style,
    packer: Packer,
    drain: Option<&'a mut dyn Drain>,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("style", &self.style).finish_non_exhaustive()
    }
}

impl<'a> Writer<'a> {
    /// A writer that keeps everything.
    pub fn new(style: Style) -> Self {
        Self { bytes: Vec::new(), style, packer: Packer::default(), drain: None }
    }

    /// A writer that hands its bytes over.
    pub fn draining(style: Style, drain: &'a mut dyn Drain) -> Self {
        Self { drain: Some(drain), ..Self::new(style) }
    }

    /// What has not been handed over.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Hands over what is there.
    pub fn flush(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.drain(&mut self.bytes);
        }
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= DRAIN_BYTES {
            self.flush();
        }
    }

    /// Writes one byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Writes a length.
    pub fn number(&mut self, value: u64) {
        append_len(&mut self.bytes, value);
    }

    /// Writes a string in the shortest way.
    pub fn string(&mut self, text: &[u8]) {
        if text.len() <= INT_TEXT_MAX
            && let Some(value) = parse_i64(text)
            && self.int_form(value)
        {
            return;
        }
        self.blob(text);
    }

    /// Writes the text of an integer in the shortest way.
    pub fn int_string(&mut self, value: i64) {
        if !self.int_form(value) {
            self.blob(IntBuf::new().i64(value));
        }
    }

    /// Writes a string that is no integer.
    pub fn blob(&mut self, text: &[u8]) {
        if self.style.compress
            && text.len() > PLAIN_MAX
            && let Some(packed) = self.packer.pack(text)
        {
            self.byte(0xc3);
            self.number(packed.len() as u64);
            self.number(text.len() as u64);
            self.raw(&packed);
        } else {
            self.number(text.len() as u64);
            self.raw(text);
        }
    }

    /// Writes an integer that fits 32 bits; false if it does not.
    fn int_form(&mut self, value: i64) -> bool {
        let raw = value.to_le_bytes();
        match value {
            -0x80..=0x7f => self.raw(&[0xc0, raw[0]]),
            -0x8000..=0x7fff => self.raw(&[0xc1, raw[0], raw[1]]),
            -0x8000_0000..=0x7fff_ffff => self.raw(&[0xc2, raw[0], raw[1], raw[2], raw[3]]),
            _ => return false,
        }
        true
    }

    /// Writes a floating point number as its eight bytes.
    pub fn double(&mut self, value: f64) {
        self.raw(&value.to_le_bytes());
    }

    /// Writes a point in time.
    pub fn millis(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }
}

/// Appends a length: two bits of kind, then 6 or 14 bits, or 32 or 64 bits in network order.
pub fn append_len(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}
