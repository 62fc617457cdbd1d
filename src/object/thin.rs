//! How does a small collection fit in one word? Owned bytes that know their own length, and the choice
//! between such bytes and something larger.
//!
//! A key of a few small elements is mostly overhead: a vector of three words, in a box, behind an entry
//! costs more than many a value. [`ThinBytes`] is a single pointer: the length stands in front of the
//! bytes themselves, where the listpack format has it anyway, and the capacity follows from the length
//! ([`size_class`]). The pointer is 8-aligned, so its low bits are free: one is a mark of the owner's, and
//! one tells [`Compact`], which is either bytes or a box, what it owns.
//!
//! Invariants, on which every SAFETY comment below rests:
//! 1. The word without its low three bits points to a block from `alloc` with `layout` of the length
//!    that the block's first four bytes say (little-endian), all of whose bytes up to that length are
//!    initialized; or, in a [`Compact`] with the bit `LARGE`, it comes from `Box::<L>::into_raw`.
//! 2. The value owns what its word points to, alone.
//! 3. The first four bytes change only together with the block: no `&mut` to them is given out.
#![expect(
    unsafe_code,
    reason = "a tagged pointer to a block that knows its length has no safe form"
)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZero;
use std::ptr::{self, NonNull};
use std::slice;

use crate::base::size_class::{QUANTUM, size_class};
use crate::object::listpack::Listpack;

/// Bytes that the length takes in front.
pub const LENGTH_BYTES: usize = 4;
/// Longest run of bytes.
pub const LEN_MAX: usize = 1 << 30;

/// Owned bytes with a mark of the owner's.
const MARK: usize = 1;
/// A box, in a [`Compact`].
const LARGE: usize = 2;
const TAGS: usize = QUANTUM - 1;

/// An owned run of bytes of which the first four are its length.
#[repr(transparent)]
pub struct ThinBytes {
    word: NonNull<u8>,
}

// SAFETY: the value owns its bytes (invariant 2), and bytes may be sent and shared.
unsafe impl Send for ThinBytes {}
// SAFETY: as above; nothing changes under `&`.
unsafe impl Sync for ThinBytes {}

/// The layout of a block of `len` bytes.
fn layout(len: usize) -> Layout {
    Layout::from_size_align(size_class(len), QUANTUM).expect("lengths are below LEN_MAX")
}

fn check_len(len: usize) {
    assert!((LENGTH_BYTES..=LEN_MAX).contains(&len), "no length of thin bytes: {len}");
}

impl ThinBytes {
    /// A copy of `bytes`, of which the first four become the length.
    pub fn new(bytes: &[u8]) -> Self {
        check_len(bytes.len());
        let layout = layout(bytes.len());
        // SAFETY: the layout has a size, since the length has four bytes at least.
        let block = unsafe { alloc(layout) };
        let block = NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout));
        // SAFETY: the block has room for all of them, and is new.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), block.as_ptr(), bytes.len()) };
        let mut new = Self { word: block };
        new.write_len(bytes.len());
        new
    }

    /// The address of the bytes.
    #[inline]
    fn block(&self) -> *mut u8 {
        self.word.as_ptr().map_addr(|address| address & !TAGS)
    }

    fn write_len(&mut self, len: usize) {
        // SAFETY: every block has four bytes for its length, and is 8-aligned.
        unsafe { self.block().cast::<u32>().write((len as u32).to_le()) };
    }

    /// How many bytes there are, the length in front included: never none.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        // SAFETY: the first four bytes are initialized and 8-aligned (invariant 1).
        u32::from_le(unsafe { self.block().cast::<u32>().read() }) as usize
    }

    /// Bytes that are allocated.
    pub fn capacity(&self) -> usize {
        size_class(self.len())
    }

    /// The bytes, the length in front included.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: so many bytes are initialized (invariant 1), and change only under `&mut`.
        unsafe { slice::from_raw_parts(self.block(), self.len()) }
    }

    /// The bytes from `at` on, to be changed; `at` is behind the length.
    #[inline]
    pub fn tail_mut(&mut self, at: usize) -> &mut [u8] {
        let len = self.len();
        assert!((LENGTH_BYTES..=len).contains(&at), "the length changes by `resize` only");
        // SAFETY: the bytes from `at` to the end are initialized and ours alone (invariants 1 and 2).
        unsafe { slice::from_raw_parts_mut(self.block().add(at), len - at) }
    }

    /// Cuts or lengthens, by bytes of zero.
    pub fn resize(&mut self, len: usize) {
        check_len(len);
        let old_len = self.len();
        let (old, new) = (layout(old_len), layout(len));
        if old != new {
            // SAFETY: the block was allocated with the old layout (invariant 1); the new size is not zero.
            let moved = unsafe { realloc(self.block(), old, new.size()) };
            let moved = NonNull::new(moved).unwrap_or_else(|| handle_alloc_error(new));
            let tags = self.word.addr().get() & TAGS;
            self.word = moved.map_addr(|address| address | tags);
        }
        self.write_len(len);
        if len > old_len {
            self.tail_mut(old_len).fill(0);
        }
    }

    /// The owner's mark.
    #[inline]
    pub fn mark(&self) -> bool {
        self.word.addr().get() & MARK != 0
    }

    /// Sets or clears the owner's mark.
    pub fn set_mark(&mut self, mark: bool) {
        let marked = |address: NonZero<usize>| {
            NonZero::new((address.get() & !MARK) | if mark { MARK } else { 0 })
                .expect("the address of a block remains")
        };
        self.word = self.word.map_addr(marked);
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.as_slice());
        copy.set_mark(self.mark());
        copy
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        // SAFETY: the block was allocated with the layout of its length (invariant 1), and is not used again.
        unsafe { dealloc(self.block(), layout(self.len())) };
    }
}

/// One word that owns a listpack, or a box of what a collection is when it has become large.
#[repr(transparent)]
pub struct Compact<L> {
    word: NonNull<u8>,
    owns: PhantomData<(Listpack, Box<L>)>,
}

/// What a [`Compact`] owns.
pub enum Form<'a, L> {
    /// A listpack.
    Small(&'a Listpack),
    /// Something larger.
    Large(&'a L),
}

/// What a [`Compact`] owns, to be changed.
pub enum FormMut<'a, L> {
    /// A listpack.
    Small(&'a mut Listpack),
    /// Something larger.
    Large(&'a mut L),
}

// SAFETY: it owns a listpack, which is Send, or a box, which is if its content is.
unsafe impl<L: Send> Send for Compact<L> {}
// SAFETY: likewise.
unsafe impl<L: Sync> Sync for Compact<L> {}

impl<L> Compact<L> {
    const ALIGNED: () = assert!(align_of::<L>() >= QUANTUM, "the low bits of a box are taken");

    /// Owns a listpack.
    pub fn small(listpack: Listpack) -> Self {
        const { assert!(size_of::<Listpack>() == size_of::<NonNull<u8>>()) };
        let listpack = ManuallyDrop::new(listpack);
        // SAFETY: a listpack is one word, the transparent wrapper of `ThinBytes`; it is not dropped here,
        // so that the word owns its block from now on.
        let word = unsafe { ptr::from_ref(&*listpack).cast::<NonNull<u8>>().read() };
        Self { word, owns: PhantomData }
    }

    /// Owns something larger.
    pub fn large(large: Box<L>) -> Self {
        let () = Self::ALIGNED;
        let block = NonNull::from(Box::leak(large)).cast::<u8>();
        Self { word: block.map_addr(|address| address | LARGE), owns: PhantomData }
    }

    /// Whether it owns a box.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.word.addr().get() & LARGE != 0
    }

    fn block(&self) -> *mut L {
        self.word.as_ptr().map_addr(|address| address & !TAGS).cast()
    }

    /// What it owns.
    #[inline]
    pub fn form(&self) -> Form<'_, L> {
        if self.is_large() {
            // SAFETY: the word comes from a box (invariant 1), which we borrow.
            Form::Large(unsafe { &*self.block() })
        } else {
            // SAFETY: the word is a listpack's own, of which `Listpack` is the transparent wrapper.
            Form::Small(unsafe { &*ptr::from_ref(&self.word).cast::<Listpack>() })
        }
    }

    /// What it owns, to be changed.
    #[inline]
    pub fn form_mut(&mut self) -> FormMut<'_, L> {
        if self.is_large() {
            // SAFETY: the word comes from a box (invariant 1), which we borrow alone.
            FormMut::Large(unsafe { &mut *self.block() })
        } else {
            // SAFETY: the word is a listpack's own, of which `Listpack` is the transparent wrapper. No
            // listpack has the bit `LARGE`, so that another one in its place is one here too.
            FormMut::Small(unsafe { &mut *ptr::from_mut(&mut self.word).cast::<Listpack>() })
        }
    }
}

impl<L: Clone> Clone for Compact<L> {
    fn clone(&self) -> Self {
        match self.form() {
            Form::Small(listpack) => Self::small(listpack.clone()),
            Form::Large(large) => Self::large(Box::new(large.clone())),
        }
    }
}

impl<L> Drop for Compact<L> {
    fn drop(&mut self) {
        if self.is_large() {
            // SAFETY: the word comes from a box (invariant 1) and is not used again.
            drop(unsafe { Box::from_raw(self.block()) });
        } else {
            drop(ThinBytes { word: self.word });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_are_a_vector_that_begins_with_its_length(
            steps in proptest::collection::vec((4..700usize, any::<u8>(), any::<bool>()), 1..30)
        ) {
            let mut model = vec![0u8; LENGTH_BYTES];
            let mut bytes = ThinBytes::new(&model);
            for (len, fill, mark) in steps {
                model.resize(len, 0);
                bytes.resize(len);
                if let Some(last) = model[LENGTH_BYTES..].last_mut() {
                    *last = fill;
                    *bytes.tail_mut(LENGTH_BYTES).last_mut().expect("as long as the model") = fill;
                }
                bytes.set_mark(mark);
                let copy = bytes.clone();
                prop_assert_eq!((copy.mark(), bytes.mark()), (mark, mark));
                prop_assert_eq!(&bytes.as_slice()[LENGTH_BYTES..], &model[LENGTH_BYTES..]);
                prop_assert_eq!(copy.as_slice(), bytes.as_slice());
                prop_assert_eq!(&bytes.as_slice()[..LENGTH_BYTES], &(len as u32).to_le_bytes());
                prop_assert!(bytes.capacity() >= len);
            }
        }
    }

    #[test]
    fn a_word_owns_one_thing_or_the_other() {
        let mut small = Listpack::new();
        small.push_back(b"text");
        small.set_mark(true);
        let mut one: Compact<Vec<u64>> = Compact::small(small);
        assert_eq!(size_of_val(&one), 8);
        if let FormMut::Small(listpack) = one.form_mut() {
            (0..100).for_each(|n| listpack.push_back_i64(n));
        }
        let copy = one.clone();
        assert!(matches!(copy.form(), Form::Small(l) if l.len() == 101 && l.mark()));
        one = Compact::large(Box::new(vec![1, 2, 3]));
        if let FormMut::Large(vector) = one.form_mut() {
            vector.push(4);
        }
        let copy = one.clone();
        assert!(copy.is_large() && matches!(copy.form(), Form::Large(v) if v.len() == 4));
    }
}
