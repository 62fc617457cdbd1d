//! How does a block move to a better place? Whoever owns it makes it anew, if that is worth it.
//!
//! An allocator has blocks of one size side by side, and gives such a place back only when all of them are free. Where a
//! few are left they can move to where most are: [`Mover`] asks for each block whether it should, and its owner then
//! allocates another one, which comes from a fuller place, and frees this one. What somebody else
//! holds too (an [`Arc`] that is shared with a snapshot or a reply) stays where it is, and so does all that it owns.
//!
//! Invariant: a move changes nothing but addresses, capacities included.

use std::sync::Arc;

/// Who knows which blocks lie badly, and how long the work may go on.
pub trait Judge {
    /// Whether a block of so many bytes should move; then the next block of this size that the thread allocates
    /// takes its place.
    fn should_move(&mut self, block: *const u8, bytes: usize) -> bool;

    /// Whether there is time for more.
    fn goes_on(&mut self) -> bool;
}

/// How far moving has come in a large value; by default, to its start. What the numbers mean is the value's own matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Which of its parts is next.
    pub part: u32,
    /// Which part of that.
    pub inner: u32,
    /// Where in there.
    pub at: u128,
}

impl Cursor {
    /// At this place of a value of one part.
    pub fn at(at: impl Into<u128>) -> Self {
        Self { at: at.into(), ..Self::default() }
    }

    /// Whether nothing has been moved yet.
    pub fn is_start(self) -> bool {
        self == Self::default()
    }
}

/// One round of moves; see the top of this file.
pub struct Mover<'a> {
    judge: &'a mut dyn Judge,
    /// Blocks that have moved.
    pub moved: u64,
    /// Blocks that were left where they are.
    pub stayed: u64,
}

impl std::fmt::Debug for Mover<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mover").field("moved", &self.moved).finish_non_exhaustive()
    }
}

impl<'a> Mover<'a> {
    /// Moves what this judge wants moved.
    pub fn new(judge: &'a mut dyn Judge) -> Self {
        Self { judge, moved: 0, stayed: 0 }
    }

    /// Whether this block, of so many bytes, is to move: whoever hears so moves it at once.
    pub fn wants<T: ?Sized>(&mut self, block: *const T, bytes: usize) -> bool {
        let moves = bytes > 0 && self.judge.should_move(block.cast(), bytes);
        self.moved += u64::from(moves);
        self.stayed += u64::from(!moves);
        moves
    }

    /// Whether there is time for more.
    pub fn goes_on(&mut self) -> bool {
        self.judge.goes_on()
    }

    /// Moves the elements of a vector, not what they own.
    pub fn vec<T>(&mut self, vec: &mut Vec<T>) {
        let bytes = vec.capacity() * size_of::<T>();
        if bytes > 0 && self.wants(vec.as_ptr(), bytes) {
            let mut moved = Vec::with_capacity(vec.capacity());
            moved.append(vec);
            *vec = moved;
        }
    }

    /// Moves what is in a box, not what that owns.
    pub fn boxed<T>(&mut self, boxed: Box<T>) -> Box<T> {
        if size_of::<T>() > 0 && self.wants(&raw const *boxed, size_of::<T>()) {
            Box::new(*boxed)
        } else {
            boxed
        }
    }

    /// Moves what is shared, if nobody else holds it, and hands it out, to go on with what it owns. What `stand_in` makes
    /// takes its place for a moment, so it should not allocate.
    pub fn shared<'s, T>(
        &mut self,
        shared: &'s mut Arc<T>,
        stand_in: impl FnOnce() -> T,
    ) -> Option<&'s mut T> {
        // Two counts lie in front.
        let bytes = size_of::<T>() + 2 * size_of::<usize>();
        let own = Arc::get_mut(shared)?;
        if self.wants(&raw const *own, bytes) {
            let value = std::mem::replace(own, stand_in());
            *shared = Arc::new(value);
        }
        Arc::get_mut(shared)
    }

    /// Moves bytes.
    pub fn bytes(&mut self, bytes: &mut Box<[u8]>) {
        if !bytes.is_empty() && self.wants(bytes.as_ptr(), bytes.len()) {
            *bytes = Box::from(&**bytes);
        }
    }

    /// Moves a shared text, if nobody else holds it.
    pub fn text(&mut self, text: &mut Arc<[u8]>) {
        let bytes = text.len() + 2 * size_of::<usize>();
        if Arc::get_mut(text).is_some() && self.wants(text.as_ptr(), bytes) {
            *text = Arc::from(&text[..]);
        }
    }
}

/// Judges for tests of what moves.
#[cfg(test)]
pub(crate) mod judges {
    use super::Judge;

    /// Moves all blocks, and stops every so many of them.
    #[derive(Debug, Default)]
    pub(crate) struct Everything {
        /// How often `goes_on` says so before it does not; without end if none.
        pub(crate) pieces: Option<usize>,
        /// How often it was asked since.
        pub(crate) asked: usize,
    }

    impl Judge for Everything {
        fn should_move(&mut self, _: *const u8, _: usize) -> bool {
            true
        }

        fn goes_on(&mut self) -> bool {
            self.asked += 1;
            self.pieces.is_none_or(|pieces| !self.asked.is_multiple_of(pieces))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::judges::Everything;
    use super::*;

    #[test]
    fn a_vector_keeps_its_elements_and_its_room() {
        let mut judge = Everything::default();
        let mut mover = Mover::new(&mut judge);
        let mut vec = Vec::with_capacity(100);
        vec.extend(0..50);
        let before = vec.as_ptr();
        mover.vec(&mut vec);
        assert!(vec.iter().copied().eq(0..50) && vec.capacity() == 100);
        assert_ne!(vec.as_ptr(), before);
        mover.vec(&mut Vec::<u8>::new());
        assert_eq!((mover.moved, mover.stayed), (1, 0));
    }

    #[test]
    fn what_others_hold_stays() {
        let mut judge = Everything::default();
        let mut mover = Mover::new(&mut judge);
        let mut shared = Arc::new(vec![1, 2, 3]);
        let other = Arc::clone(&shared);
        assert!(mover.shared(&mut shared, Vec::new).is_none() && Arc::ptr_eq(&shared, &other));
        drop(other);
        let before = Arc::as_ptr(&shared);
        assert!(mover.shared(&mut shared, Vec::new).is_some_and(|own| *own == [1, 2, 3]));
        assert_ne!(Arc::as_ptr(&shared), before);
        let mut text = Arc::<[u8]>::from(&b"text"[..]);
        let other = Arc::clone(&text);
        mover.text(&mut text);
        assert!(Arc::ptr_eq(&text, &other));
        drop(other);
        mover.text(&mut text);
        assert_eq!((&text[..], mover.moved), (&b"text"[..], 2));
    }
}
