//! How does a reader of parts get at bytes that come in chunks? Through a window that grows until the next part fits: a
//! part that asks for more bytes is read again when they have come, so that the readers of values work on plain slices
//! and see either all of a value or nothing.
//!
//! Invariants: the window is never larger than the largest part and what was read ahead of it, twice at most.
//! Checksums are summed where the bytes are read, chunk by chunk; only for the last part of all the window sums
//! what lies between a chunk's start and its end.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::load::LoadError;
use crate::base::crc::crc64;
use crate::object::rdb::RdbError;
use crate::object::rdb::read::Reader;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Room in front of each chunk: what is left of the chunk before, if it is no longer, is put there, and nothing else
/// need be copied.
const HEADROOM: usize = 4096;

/// Some bytes of a file behind the headroom.
pub(in crate::persist) struct Chunk {
    bytes: Vec<u8>,
    /// The checksum of all bytes of the file in front of them.
    checksum: u64,
}

/// Where chunks come from.
pub(in crate::persist) trait Chunks {
    /// The next one.
    fn next(&mut self) -> io::Result<Chunk>;
}

/// Reads a file in chunks and sums them up.
pub(in crate::persist) struct Summing<'a> {
    source: &'a mut dyn Read,
    checksum: u64,
}

impl<'a> Summing<'a> {
    pub(in crate::persist) fn new(source: &'a mut dyn Read) -> Self {
        Self { source, checksum: 0 }
    }
}

impl Chunks for Summing<'_> {
    fn next(&mut self) -> io::Result<Chunk> {
        let mut bytes = Vec::with_capacity(HEADROOM + CHUNK_BYTES);
        bytes.resize(HEADROOM, 0);
        (&mut *self.source).take(CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
        let checksum = self.checksum;
        self.checksum = crc64(checksum, &bytes[HEADROOM..]);
        Ok(Chunk { bytes, checksum })
    }
}

impl Chunk {
    /// Whether there are no more.
    pub(in crate::persist) fn is_last(&self) -> bool {
        self.bytes.len() < HEADROOM + CHUNK_BYTES
    }
}

/// The bytes of a file that are being looked at.
pub(in crate::persist) struct Window<'a> {
    source: &'a mut dyn Chunks,
    bytes: Vec<u8>,
    at: usize,
    /// Bytes in front of `at`.
    offset: u64,
    /// Where the chunks of the window begin, as offsets, and the checksum of all bytes before. The part that is behind
    /// ended in the first one or later.
    sums: VecDeque<(u64, u64)>,
    ended: bool,
}

impl<'a> Window<'a> {
    pub(in crate::persist) fn new(source: &'a mut dyn Chunks) -> Self {
        let sums = VecDeque::from([(0, 0)]);
        Self { source, bytes: Vec::new(), at: 0, offset: 0, sums, ended: false }
    }

    /// Bytes that are behind.
    pub(in crate::persist) fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum of these.
    pub(in crate::persist) fn checksum(&self) -> u64 {
        let known = self.sums.iter().take_while(|(start, _)| *start <= self.offset).last();
        let (start, checksum) = known.copied().expect("the last part ended in one of them");
        let len = usize::try_from(self.offset - start).expect("it lies in the window");
        crc64(checksum, &self.bytes[self.at - len..self.at])
    }

    /// Reads a part; its reader may be called again from its start.
    #[inline]
    pub(in crate::persist) fn part<T>(
        &mut self,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<T, RdbError>,
    ) -> Result<T, LoadError> {
        loop {
            let mut reader = Reader::new(&self.bytes[self.at..]);
            match read(&mut reader) {
                Ok(part) => {
                    self.at += reader.position();
                    self.offset += reader.position() as u64;
                    return Ok(part);
                }
                Err(RdbError::Truncated) if !self.ended => self.grow()?,
                Err(error) => return Err(LoadError::Part { offset: self.offset, error }),
            }
        }
    }

    /// Reads as much again as there is, so that the work on a long part stays in proportion.
    #[cold]
    fn grow(&mut self) -> io::Result<()> {
        let rest = self.bytes.len() - self.at;
        let mut start = self.offset + rest as u64;
        if rest <= HEADROOM {
            let mut chunk = self.source.next()?;
            self.ended = chunk.is_last();
            let at = HEADROOM - rest;
            chunk.bytes[at..HEADROOM].copy_from_slice(&self.bytes[self.at..]);
            (self.bytes, self.at) = (chunk.bytes, at);
            self.sums.clear();
            self.sums.push_back((start, chunk.checksum));
            return Ok(());
        }
        self.forget();
        let wanted = start + rest as u64;
        while start < wanted && !self.ended {
            let chunk = self.source.next()?;
            self.ended = chunk.is_last();
            self.sums.push_back((start, chunk.checksum));
            let bytes = &chunk.bytes[HEADROOM..];
            self.bytes.extend_from_slice(bytes);
            start += bytes.len() as u64;
        }
        Ok(())
    }

    /// Drops what lies behind, but for the start of the present chunk: the checksum may be wanted in it.
    fn forget(&mut self) {
        while self.sums.get(1).is_some_and(|(start, _)| *start <= self.offset) {
            self.sums.pop_front();
        }
        let chunk = self.sums.front().map_or(0, |(start, _)| *start);
        let kept = self.offset.saturating_sub(chunk);
        let behind = self.at - usize::try_from(kept).expect("it lies in the window").min(self.at);
        self.bytes.drain(..behind);
        self.at -= behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right_wherever_a_part_ends() {
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 1000).map(|n| ((n * n) >> 7) as u8).collect();
        let mut source = &bytes[..];
        let mut chunks = Summing::new(&mut source);
        let mut window = Window::new(&mut chunks);
        let mut at = 0;
        for len in [1, 20_000, CHUNK_BYTES - 20_003, 5, 9, CHUNK_BYTES, CHUNK_BYTES / 2, 77] {
            let part = window.part(|reader| reader.take(len).map(<[u8]>::to_vec));
            assert_eq!(part.ok().as_deref(), Some(&bytes[at..at + len]));
            at += len;
            assert_eq!(window.offset(), at as u64);
            assert_eq!(window.checksum(), crc64(0, &bytes[..at]), "{at}");
        }
        assert!(window.part(|reader| reader.take(bytes.len()).map(<[u8]>::to_vec)).is_err());
        let rest = window.part(|reader| reader.take(bytes.len() - at).map(<[u8]>::len));
        assert_eq!(rest.ok(), Some(bytes.len() - at));
        assert_eq!(window.checksum(), crc64(0, &bytes));
    }
}
