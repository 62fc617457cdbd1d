//! Which bytes of the replication stream can still be had? The last ones, some more than `repl-backlog-size`, so that
//! a replica whose connection was cut goes on where it was; and all that some replica has still to be sent.
//!
//! Invariants: the bytes are without a gap, from `first` on; blocks leave from the front, and only while those that stay are
//! at least as many as wanted, and nobody has still to be sent them. Offsets count the stream's bytes from one, as clients know them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::outbox::SharedBytes;

/// Bytes of a block that is made of smaller pieces. A piece as large is a block of its own, shared with the replicas that are
/// still to get it.
const BLOCK_BYTES: usize = 16 * 1024;

/// Bytes that one piece of the stream has at most, if so many are to be kept.
pub fn piece_bytes_max(bytes_wanted: usize) -> usize {
    BLOCK_BYTES.max(bytes_wanted / 16)
}

/// Bytes of memory that a block takes.
fn memory_of(block: &SharedBytes) -> usize {
    // With its counters, and its place in the list.
    block.capacity() + size_of::<Vec<u8>>() + 3 * size_of::<usize>()
}

/// The last bytes of the replication stream.
#[derive(Debug)]
pub struct Backlog {
    blocks: VecDeque<SharedBytes>,
    /// The newest bytes, which are no block yet.
    open: Vec<u8>,
    bytes: usize,
    /// Bytes of memory that the blocks take.
    memory: usize,
    first: u64,
    bytes_wanted: usize,
}

impl Backlog {
    /// An empty backlog of a stream whose next byte has this offset.
    pub fn new(first: u64, bytes_wanted: usize) -> Self {
        Self { blocks: VecDeque::new(), open: Vec::new(), bytes: 0, memory: 0, first, bytes_wanted }
    }

    /// The offset of the first byte that is there, or would be.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The offset of the next byte that comes.
    pub fn end(&self) -> u64 {
        self.first + self.bytes as u64
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// How many bytes it is to keep.
    pub fn bytes_wanted(&self) -> usize {
        self.bytes_wanted
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.memory + self.open.capacity()
    }

    /// Changes how many bytes it is to keep.
    pub fn resize(&mut self, bytes_wanted: usize) {
        self.bytes_wanted = bytes_wanted;
    }

    /// Bytes of memory that it takes beyond its size.
    pub fn memory_excess(&self) -> usize {
        self.memory_bytes().saturating_sub(self.bytes_wanted)
    }

    /// Bytes that are there only because somebody has still to be sent them.
    pub fn excess(&self) -> usize {
        // The last block that may not leave yet can be so large.
        let slack = piece_bytes_max(self.bytes_wanted) + BLOCK_BYTES;
        self.bytes.saturating_sub(self.bytes_wanted + slack)
    }

    /// Has the bytes stand so much later in the stream.
    pub fn shift(&mut self, bytes: u64) {
        self.first += bytes;
    }

    /// Appends the next bytes. Those before them that have become a block by that are handed out: whoever has still to be sent the
    /// pieces that it is made of can hold it in their place.
    pub fn push(&mut self, piece: &SharedBytes) -> Option<SharedBytes> {
        self.bytes += piece.len();
        let is_block = piece.len() >= BLOCK_BYTES;
        let closed = match is_block || self.open.len() + piece.len() > BLOCK_BYTES {
            true => self.close(),
            false => None,
        };
        if is_block {
            self.add_block(Arc::clone(piece));
        } else {
            if self.open.capacity() == 0 {
                self.open.reserve_exact(BLOCK_BYTES);
            }
            self.open.extend_from_slice(piece);
        }
        closed
    }

    /// Whether the stream from this offset on is there.
    pub fn covers(&self, offset: u64) -> bool {
        (self.first..=self.end()).contains(&offset)
    }

    /// The stream from an offset on, if it is there.
    pub fn from(&self, offset: u64) -> Option<Vec<SharedBytes>> {
        if !self.covers(offset) {
            return None;
        }
        // No more than `bytes`, which is a usize.
        let mut skip = (offset - self.first) as usize;
        let mut pieces = Vec::new();
        for block in &self.blocks {
            match skip {
                0 => pieces.push(Arc::clone(block)),
                _ if skip < block.len() => pieces.push(Arc::new(block[skip..].to_vec())),
                _ => {}
            }
            skip = skip.saturating_sub(block.len());
        }
        if skip < self.open.len() {
            pieces.push(Arc::new(self.open[skip..].to_vec()));
        }
        Some(pieces)
    }

    fn close(&mut self) -> Option<SharedBytes> {
        if self.open.is_empty() {
            return None;
        }
        let block = Arc::new(std::mem::take(&mut self.open));
        self.add_block(Arc::clone(&block));
        Some(block)
    }

    fn add_block(&mut self, block: SharedBytes) {
        self.memory += memory_of(&block);
        self.blocks.push_back(block);
    }

    /// Drops what is too much, but not what somebody needs, who has the stream up to in front of an offset.
    pub fn trim(&mut self, needed: u64) {
        while let Some(oldest) = self.blocks.front()
            && self.bytes - oldest.len() >= self.bytes_wanted
            && self.first + oldest.len() as u64 <= needed
        {
            self.bytes -= oldest.len();
            self.memory -= memory_of(oldest);
            self.first += oldest.len() as u64;
            self.blocks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_hands_out_what_was_pushed(
            pieces in prop::collection::vec(1_usize..40_000, 1..60),
            wanted in 1_usize..100_000,
            resized in 1_usize..100_000,
        ) {
            let mut backlog = Backlog::new(1, wanted);
            let mut stream: Vec<u8> = Vec::new();
            for (number, len) in pieces.iter().enumerate() {
                let piece: Vec<u8> = (0..*len).map(|at| (at * 7 + number) as u8).collect();
                let before = stream.len();
                stream.extend_from_slice(&piece);
                if let Some(block) = backlog.push(&Arc::new(piece)) {
                    prop_assert_eq!(&block[..], &stream[before - block.len()..before]);
                }
                if number == 30 {
                    backlog.resize(resized);
                }
                let before = backlog.first();
                let needed = if number % 3 == 0 { backlog.end().saturating_sub(50_000) } else { u64::MAX };
                backlog.trim(needed);
                prop_assert!(backlog.first() <= needed.max(before));
                backlog.trim(u64::MAX);
                prop_assert_eq!(backlog.end(), stream.len() as u64 + 1);
                prop_assert!(backlog.len() >= wanted.min(resized).min(stream.len()));
                prop_assert!(backlog.len() <= backlog.bytes_wanted() + 40_000 + BLOCK_BYTES);
                let blocks: usize = backlog.blocks.iter().map(memory_of).sum();
                prop_assert_eq!(backlog.memory, blocks);
                let (first, end) = (backlog.first(), backlog.end());
                for offset in [first, (first + end) / 2, end] {
                    let got: Vec<u8> =
                        backlog.from(offset).unwrap().iter().flat_map(|p| p.to_vec()).collect();
                    prop_assert_eq!(&got[..], &stream[offset as usize - 1..]);
                }
                prop_assert!(backlog.from(end + 1).is_none());
                prop_assert!(first == 0 || backlog.from(first - 1).is_none());
            }
        }
    }
}
