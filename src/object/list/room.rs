//! How does a node take elements at its front without moving all others? Its bytes lie in a block with room on
//! both sides, and what is added or removed moves the side on which less stands.
//!
//! At the front that is the header of six bytes, at the end nothing but the end marker: LPUSH and LPOP cost
//! what RPUSH and RPOP do. The bytes themselves are a listpack at any time, so reading and saving know nothing
//! of this.
//!
//! A block that has become too small is replaced by one of the next power of two, which is what nodes are
//! limited to, unless much of it is room on the other side: then the bytes move within it. The side that
//! needs the room gets all of it but half of what the other side has left; a node that grows at one end only
//! so leaves nothing at the other, and one that grows at both has some at both. Blocks that are mostly empty
//! are replaced as well, and [`Roomy::trim`] leaves none where no more growth is expected.
//!
//! Invariants: the block holds `len` bytes from `start` on; the first four of them are `len`, little-endian.

use crate::base::moving::Mover;
use crate::base::size_class::size_class;
use crate::object::listpack::Bytes;

/// The smallest block that is made for growth.
const BLOCK_MIN: usize = 256;

/// Blocks double up to this size, the largest to which nodes of several elements are limited, and then grow by an eighth.
const DOUBLED_MAX: usize = 65_536;

/// The bytes of a node; see the top of this file.
#[derive(Clone, Debug)]
pub struct Roomy {
    block: Box<[u8]>,
    start: u32,
    len: u32,
}

/// A side of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Front,
    Back,
}

impl Roomy {
    fn start(&self) -> usize {
        self.start as usize
    }

    fn len(&self) -> usize {
        self.len as usize
    }

    /// Moves the block, room and all.
    pub fn move_block(&mut self, mover: &mut Mover<'_>) {
        mover.bytes(&mut self.block);
    }

    /// Gives back what stands empty.
    pub fn trim(&mut self) {
        if size_class(self.len()) < self.block.len() {
            *self = Self::new(self.as_slice());
        }
    }

    /// Makes the bytes longer by `more` bytes of whatever content on one side of `at`.
    fn grow(&mut self, side: Side, at: usize, more: usize) {
        let (start, len) = (self.start(), self.len());
        let behind = self.block.len() - start - len;
        let (here, there) = if side == Side::Front { (start, behind) } else { (behind, start) };
        if here < more {
            return self.make_room(side, at, more, there);
        }
        match side {
            Side::Front => {
                self.block.copy_within(start..start + at, start - more);
                self.start -= more as u32;
            }
            Side::Back => self.block.copy_within(start + at..start + len, start + at + more),
        }
        self.set_len(len + more);
    }

    /// The same where the side has too little room, and the other one has `there` bytes.
    #[cold]
    fn make_room(&mut self, side: Side, at: usize, more: usize, there: usize) {
        let (start, len) = (self.start(), self.len());
        let new_len = len + more;
        let size = self.block.len();
        let is_roomy = size >= new_len + size / 8;
        let new_size = if is_roomy { size } else { grown(new_len) };
        let kept = there.min(new_size - new_len) / 2;
        let new_start = match side {
            Side::Front => new_size - new_len - kept,
            Side::Back => kept,
        };
        if is_roomy {
            // What moves away from its neighbour goes first.
            let front = (start..start + at, new_start);
            let back = (start + at..start + len, new_start + at + more);
            let in_order = if new_start < start { [front, back] } else { [back, front] };
            for (from, to) in in_order {
                self.block.copy_within(from, to);
            }
        } else {
            let mut block = vec![0; new_size].into_boxed_slice();
            block[new_start..new_start + at].copy_from_slice(&self.block[start..start + at]);
            block[new_start + at + more..new_start + new_len]
                .copy_from_slice(&self.block[start + at..start + len]);
            self.block = block;
        }
        self.start = new_start as u32;
        self.set_len(new_len);
    }

    /// Takes `fewer` bytes at `at` out.
    fn shrink(&mut self, at: usize, fewer: usize) {
        let (start, len) = (self.start(), self.len());
        if at <= len - at - fewer {
            self.block.copy_within(start..start + at, start + fewer);
            self.start += fewer as u32;
        } else {
            self.block.copy_within(start + at + fewer..start + len, start + at);
        }
        self.set_len(len - fewer);
        if self.len() < self.block.len() / 4 && self.block.len() > BLOCK_MIN {
            self.trim();
        }
    }

    #[inline]
    fn set_len(&mut self, len: usize) {
        self.len = u32::try_from(len).expect("listpacks are smaller");
        let start = self.start();
        self.block[start..start + 4].copy_from_slice(&self.len.to_le_bytes());
    }
}

/// The size of a block that is to take `len` bytes and more later.
fn grown(len: usize) -> usize {
    if len <= DOUBLED_MAX {
        len.next_power_of_two().max(BLOCK_MIN)
    } else {
        size_class(len + len / 8)
    }
}

impl Bytes for Roomy {
    fn new(bytes: &[u8]) -> Self {
        let mut block = vec![0; size_class(bytes.len())].into_boxed_slice();
        block[..bytes.len()].copy_from_slice(bytes);
        let mut new = Self { block, start: 0, len: 0 };
        new.set_len(bytes.len());
        new
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.block[self.start()..self.start() + self.len()]
    }

    #[inline]
    fn tail_mut(&mut self, at: usize) -> &mut [u8] {
        let (start, len) = (self.start(), self.len());
        assert!((4..=len).contains(&at), "the length changes by `splice` only");
        &mut self.block[start + at..start + len]
    }

    #[inline]
    fn splice(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        let behind = self.len() - at - removed;
        if added > removed {
            let side = if at < behind { Side::Front } else { Side::Back };
            self.grow(side, at, added - removed);
        } else if added < removed {
            self.shrink(at, removed - added);
        }
        &mut self.tail_mut(at)[..added]
    }

    fn capacity(&self) -> usize {
        self.block.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Roomy {
        fn check(&self) {
            assert!(self.start() + self.len() <= self.block.len());
            assert_eq!(self.as_slice()[..4], self.len.to_le_bytes());
        }
    }

    fn filled(len: usize, with: u8) -> Vec<u8> {
        let mut bytes = vec![with; len];
        bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn splices_as_a_vector_does(
            start in 4usize..300,
            changes in prop::collection::vec((any::<u16>(), 0usize..400, 0usize..400, 0u8..6), 0..200),
        ) {
            let mut model = filled(start, b'-');
            let mut bytes = Roomy::new(&model);
            for (step, (at, removed, added, shape)) in changes.into_iter().enumerate() {
                let held = (bytes.clone(), model.clone());
                // Mostly at the ends, where a listpack changes: behind its header, before its marker.
                let at = match shape {
                    0..2 => 4,
                    2..4 => model.len(),
                    _ => 4 + usize::from(at) % (model.len() - 3),
                };
                let removed = removed.min(model.len() - at);
                bytes.splice(at, removed, added).fill(step as u8);
                model.splice(at..at + removed, std::iter::repeat_n(step as u8, added));
                let len = model.len() as u32;
                model[..4].copy_from_slice(&len.to_le_bytes());
                if shape == 5 {
                    bytes.trim();
                    prop_assert_eq!(bytes.capacity(), size_class(model.len()));
                }
                bytes.check();
                prop_assert_eq!(bytes.as_slice(), &model[..]);
                prop_assert_eq!(held.0.as_slice(), &held.1[..]);
                prop_assert!(bytes.capacity() <= (4 * model.len()).max(2 * BLOCK_MIN));
            }
        }
    }

    #[test]
    fn a_node_that_grows_at_one_end_is_copied_a_few_times() {
        for front in [true, false] {
            let mut bytes = Roomy::new(&filled(7, 0));
            let mut blocks = 1;
            for _ in 0..200 {
                let before = bytes.capacity();
                let at = if front { 6 } else { bytes.len() - 1 };
                bytes.splice(at, 0, 40);
                blocks += usize::from(bytes.capacity() != before);
            }
            assert_eq!((bytes.len(), bytes.capacity(), blocks), (8007, 8192, 7));
        }
    }

    #[test]
    fn a_queue_stays_within_its_block() {
        let mut bytes = Roomy::new(&filled(1000, 0));
        for _ in 0..10_000 {
            let end = bytes.len() - 1;
            bytes.splice(end, 0, 40);
            bytes.splice(6, 40, 0);
        }
        assert_eq!((bytes.len(), bytes.capacity()), (1000, 2048));
    }
}
