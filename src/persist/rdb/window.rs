//! How does a reader of parts get at bytes that come in chunks? Through a window that grows until the next part fits: a
//! part that asks for more bytes is read again when they have come, so that the readers of values work on plain slices
//! and see either all of a value or nothing.
//!
//! Invariants: the window is never larger than the largest part and what was read ahead of it, twice at most. Its bytes never
//! change, so others may look at them while it has gone on. Checksums are summed where the bytes are read, chunk by
//! chunk; only for the last part of all the window sums what lies between a chunk's start and its end.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

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

/// Bytes of a file that stay when the window has gone on.
#[derive(Clone, Debug)]
pub(in crate::persist) struct View {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
    /// Where they begin in the file.
    pub(in crate::persist) offset: u64,
}

impl View {
    /// Those up to there in the file.
    pub(in crate::persist) fn until(mut self, end: u64) -> Self {
        let len = usize::try_from(end - self.offset).expect("it lies in the view");
        self.range.end = self.range.start + len;
        self
    }

    pub(in crate::persist) fn bytes(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

/// The bytes of a file that are being looked at.
pub(in crate::persist) struct Window<'a> {
    source: &'a mut dyn Chunks,
    bytes: Arc<Vec<u8>>,
    at: usize,
    /// Bytes in front of `at`.
    offset: u64,
    /// Where the chunks of the window begin, as offsets, and the checksum of all bytes before. The part that is behind
    /// ended in the first one or later.
    sums: Vec<(u64, u64)>,
    /// Bytes that the part which did not fit takes, as far as it says so.
    wanted: usize,
    /// Bytes of the file, if that is known.
    size: Option<u64>,
    ended: bool,
}

impl<'a> Window<'a> {
    /// A window on a file of so many bytes, if that is known.
    pub(in crate::persist) fn new(source: &'a mut dyn Chunks, size: Option<u64>) -> Self {
        let sums = vec![(0, 0)];
        Self {
            source,
            bytes: Arc::default(),
            at: 0,
            offset: 0,
            sums,
            wanted: 0,
            size,
            ended: false,
        }
    }

    /// Bytes that are behind.
    pub(in crate::persist) fn offset(&self) -> u64 {
        self.offset
    }

    /// The last so many bytes that are behind; they have come since the window grew.
    pub(in crate::persist) fn behind(&self, len: u64) -> View {
        let len = usize::try_from(len).expect("it lies in the window");
        let bytes = Arc::clone(&self.bytes);
        View { bytes, range: self.at - len..self.at, offset: self.offset - len as u64 }
    }

    /// The checksum of all that is behind.
    pub(in crate::persist) fn checksum(&self) -> u64 {
        let known = self.sums.iter().take_while(|(start, _)| *start <= self.offset).last();
        let (start, checksum) = known.copied().expect("the last part ended in one of them");
        crc64(checksum, self.behind(self.offset - start).bytes())
    }

    /// Reads a part; its reader may be called again from its start.
    pub(in crate::persist) fn part<T>(
        &mut self,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<T, RdbError>,
    ) -> Result<T, LoadError> {
        loop {
            match self.part_here(&mut read)? {
                Some(part) => return Ok(part),
                None => self.grow()?,
            }
        }
    }

    /// Reads a part if all of it is in the window; if not, the window is to grow.
    #[inline]
    pub(in crate::persist) fn part_here<T>(
        &mut self,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<T, RdbError>,
    ) -> Result<Option<T>, LoadError> {
        let mut reader = Reader::new(&self.bytes[self.at..]);
        match read(&mut reader) {
            Ok(part) => {
                self.at += reader.position();
                self.offset += reader.position() as u64;
                Ok(Some(part))
            }
            Err(RdbError::Truncated) if !self.ended => {
                self.wanted = reader.wanted();
                Ok(None)
            }
            Err(error) => Err(LoadError::Part { offset: self.offset, error }),
        }
    }

    /// How much is read of a part of which so many bytes are there: as much again, so that the work on a long part stays
    /// in proportion; or all, if it says how long it is and the file has so much.
    fn aim(&self, there: usize) -> usize {
        let left = self.size.map_or(0, |size| size.saturating_sub(self.offset));
        match u64::try_from(self.wanted) {
            Ok(wanted) if wanted <= left => self.wanted.max(2 * there),
            _ => 2 * there,
        }
    }

    /// Reads more.
    pub(in crate::persist) fn grow(&mut self) -> io::Result<()> {
        let rest = &self.bytes[self.at..];
        let mut start = self.offset + rest.len() as u64;
        let mut chunk = self.source.next()?;
        self.ended = chunk.is_last();
        self.sums.clear();
        self.sums.push((start, chunk.checksum));
        if rest.len() <= HEADROOM {
            let at = HEADROOM - rest.len();
            chunk.bytes[at..HEADROOM].copy_from_slice(rest);
            (self.bytes, self.at) = (Arc::new(chunk.bytes), at);
            return Ok(());
        }
        let wanted = self.aim(rest.len());
        let mut bytes = Vec::with_capacity(wanted + CHUNK_BYTES);
        bytes.extend_from_slice(rest);
        bytes.extend_from_slice(&chunk.bytes[HEADROOM..]);
        start += (chunk.bytes.len() - HEADROOM) as u64;
        while bytes.len() < wanted && !self.ended {
            let chunk = self.source.next()?;
            self.ended = chunk.is_last();
            self.sums.push((start, chunk.checksum));
            bytes.extend_from_slice(&chunk.bytes[HEADROOM..]);
            start += (chunk.bytes.len() - HEADROOM) as u64;
        }
        (self.bytes, self.at) = (Arc::new(bytes), 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right_wherever_a_part_ends() {
        for knows_size in [false, true] {
            check_parts(knows_size);
        }
    }

    fn check_parts(knows_size: bool) {
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 1000).map(|n| ((n * n) >> 7) as u8).collect();
        let mut source = &bytes[..];
        let mut chunks = Summing::new(&mut source);
        let size = knows_size.then_some(bytes.len() as u64);
        let mut window = Window::new(&mut chunks, size);
        let mut at = 0;
        for len in [1, 20_000, CHUNK_BYTES - 20_003, 5, 9, CHUNK_BYTES, CHUNK_BYTES / 2, 77] {
            let part = window.part(|reader| reader.take(len).map(<[u8]>::to_vec));
            assert_eq!(part.ok().as_deref(), Some(&bytes[at..at + len]));
            at += len;
            assert_eq!(window.offset(), at as u64);
            assert_eq!(window.checksum(), crc64(0, &bytes[..at]), "{at}");
            assert_eq!(window.behind(1).bytes(), &bytes[at - 1..at]);
        }
        assert!(window.part(|reader| reader.take(bytes.len()).map(<[u8]>::to_vec)).is_err());
        let rest = window.part(|reader| reader.take(bytes.len() - at).map(<[u8]>::len));
        assert_eq!(rest.ok(), Some(bytes.len() - at));
        assert_eq!(window.checksum(), crc64(0, &bytes));
    }
}
