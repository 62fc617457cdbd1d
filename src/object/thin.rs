//! How does a small collection fit in one word? Owned bytes that know their own length, and the choice
//! between such bytes and something larger.
//!
//! A key of a few small elements is mostly overhead: a vector of three words, in a box, behind an entry
//! costs more than many a value. [`ThinBytes`] is a single pointer: the length stands in front of the
//! bytes themselves, where the listpack format has it anyway, and the capacity follows from the length
//! ([`size_class`]). The pointer is 8-aligned, so its low bits are free: one is a mark of the owner's, and
//! one tells [`Compact`], which is either bytes or a box, what it owns. Types that are such bytes and
//! nothing else are [`Thin`]; [`Pack`] is one of two of them, as its mark says.
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
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZero;
use std::ptr::{self, NonNull};
use std::slice;

use crate::base::moving::Mover;
use crate::base::size_class::{QUANTUM, size_class};
use crate::object::intset::Intset;
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

    /// Moves the bytes, if they should move.
    pub fn move_block(&mut self, mover: &mut Mover<'_>) {
        if mover.wants(self.block(), self.capacity()) {
            *self = self.clone();
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

/// A type that is [`ThinBytes`] and nothing else, so that one stands for the other.
///
/// # Safety
/// The type is a transparent wrapper of [`ThinBytes`], and safe code of its own handles whatever bytes
/// those are.
pub unsafe trait Thin: Sized {}

// SAFETY: a transparent wrapper; its module is free of unsafe code.
unsafe impl Thin for Listpack {}
// SAFETY: as for the listpack.
unsafe impl Thin for Intset {}
// SAFETY: a transparent wrapper, whatever its bytes and their mark are.
unsafe impl Thin for Pack {}

/// Bytes as what they are.
#[inline]
fn wrap<T: Thin>(bytes: &ThinBytes) -> &T {
    // SAFETY: `T` is a transparent wrapper of `ThinBytes`.
    unsafe { &*ptr::from_ref(bytes).cast::<T>() }
}

/// Bytes as what they are, to be changed.
#[inline]
fn wrap_mut<T: Thin>(bytes: &mut ThinBytes) -> &mut T {
    // SAFETY: `T` is a transparent wrapper of `ThinBytes`: what is put in its place is thin bytes too.
    unsafe { &mut *ptr::from_mut(bytes).cast::<T>() }
}

/// The bytes that something is.
#[inline]
fn unwrap<T: Thin>(thin: T) -> ThinBytes {
    let thin = ManuallyDrop::new(thin);
    // SAFETY: `T` is a transparent wrapper of `ThinBytes`, and is not dropped: its bytes move.
    unsafe { ptr::from_ref(&*thin).cast::<ThinBytes>().read() }
}

/// An intset or a listpack, one word as each of them. Every intset has the mark, and no listpack in here.
#[derive(Clone)]
#[repr(transparent)]
pub struct Pack {
    bytes: ThinBytes,
}

/// What a [`Pack`] is.
pub enum PackRef<'a> {
    /// Integers in order.
    Ints(&'a Intset),
    /// Elements one after another.
    List(&'a Listpack),
}

/// What a [`Pack`] is, to be changed.
pub enum PackMut<'a> {
    /// Integers in order.
    Ints(&'a mut Intset),
    /// Elements one after another.
    List(&'a mut Listpack),
}

impl Pack {
    /// What it is.
    #[inline]
    pub fn get(&self) -> PackRef<'_> {
        if self.bytes.mark() {
            PackRef::Ints(wrap(&self.bytes))
        } else {
            PackRef::List(wrap(&self.bytes))
        }
    }

    /// What it is, to be changed.
    #[inline]
    pub fn get_mut(&mut self) -> PackMut<'_> {
        if self.bytes.mark() {
            PackMut::Ints(wrap_mut(&mut self.bytes))
        } else {
            PackMut::List(wrap_mut(&mut self.bytes))
        }
    }
}

impl From<Intset> for Pack {
    fn from(intset: Intset) -> Self {
        let bytes = unwrap(intset);
        debug_assert!(bytes.mark(), "every intset has the mark");
        Self { bytes }
    }
}

impl From<Listpack> for Pack {
    fn from(listpack: Listpack) -> Self {
        let mut bytes = unwrap(listpack);
        bytes.set_mark(false);
        Self { bytes }
    }
}

/// One word that owns something small, or a box of what a collection is when it has become large.
#[repr(transparent)]
pub struct Compact<S: Thin, L> {
    word: NonNull<u8>,
    owns: PhantomData<(S, Box<L>)>,
}

/// What a [`Compact`] owns.
pub enum Form<'a, S, L> {
    /// A listpack or the like.
    Small(&'a S),
    /// Something larger.
    Large(&'a L),
}

/// What a [`Compact`] owns, to be changed.
pub enum FormMut<'a, S, L> {
    /// A listpack or the like.
    Small(&'a mut S),
    /// Something larger.
    Large(&'a mut L),
}

// SAFETY: it owns thin bytes, which are Send, or a box, which is if its content is.
unsafe impl<S: Thin, L: Send> Send for Compact<S, L> {}
// SAFETY: likewise.
unsafe impl<S: Thin, L: Sync> Sync for Compact<S, L> {}

impl<S: Thin, L> Compact<S, L> {
    const ALIGNED: () = assert!(align_of::<L>() >= QUANTUM, "the low bits of a box are taken");

    /// Owns something small.
    pub fn small(small: S) -> Self {
        // Not dropped here, so that the word owns the block from now on.
        let bytes = ManuallyDrop::new(unwrap(small));
        Self { word: bytes.word, owns: PhantomData }
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

    /// Moves the one block of something small, or the box of something larger, but not what is in the box.
    pub fn move_block(&mut self, mover: &mut Mover<'_>) {
        if !self.is_large() {
            // SAFETY: the word is that of thin bytes, of which `ThinBytes` is the transparent wrapper, and none
            // have the bit `LARGE`; the copy that may take their place has the same mark.
            let bytes = unsafe { &mut *ptr::from_mut(&mut self.word).cast::<ThinBytes>() };
            bytes.move_block(mover);
            return;
        }
        if mover.wants(self.block().cast_const(), size_of::<L>()) {
            // SAFETY: the word comes from a box (invariant 1), and gives way to that of another one.
            let large = unsafe { Box::from_raw(self.block()) };
            let moved = Self::large(Box::new(*large));
            // Not dropped: what it owned is in the other box.
            std::mem::forget(std::mem::replace(self, moved));
        }
    }

    /// What it owns.
    #[inline]
    pub fn form(&self) -> Form<'_, S, L> {
        if self.is_large() {
            // SAFETY: the word comes from a box (invariant 1), which we borrow.
            Form::Large(unsafe { &*self.block() })
        } else {
            // SAFETY: the word is that of thin bytes, of which `ThinBytes` is the transparent wrapper.
            Form::Small(wrap(unsafe { &*ptr::from_ref(&self.word).cast::<ThinBytes>() }))
        }
    }

    /// What it owns, to be changed.
    #[inline]
    pub fn form_mut(&mut self) -> FormMut<'_, S, L> {
        if self.is_large() {
            // SAFETY: the word comes from a box (invariant 1), which we borrow alone.
            FormMut::Large(unsafe { &mut *self.block() })
        } else {
            // SAFETY: the word is that of thin bytes, of which `ThinBytes` is the transparent wrapper. None
            // have the bit `LARGE`, so that others in their place are such here too.
            FormMut::Small(wrap_mut(unsafe {
                &mut *ptr::from_mut(&mut self.word).cast::<ThinBytes>()
            }))
        }
    }
}

impl<S: Thin + Default, L> Default for Compact<S, L> {
    fn default() -> Self {
        Self::small(S::default())
    }
}

impl<S: Thin + fmt::Debug, L: fmt::Debug> fmt::Debug for Compact<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form() {
            Form::Small(small) => small.fmt(f),
            Form::Large(large) => large.fmt(f),
        }
    }
}

impl<S: Thin + Clone, L: Clone> Clone for Compact<S, L> {
    fn clone(&self) -> Self {
        match self.form() {
            Form::Small(small) => Self::small(small.clone()),
            Form::Large(large) => Self::large(Box::new(large.clone())),
        }
    }
}

impl<S: Thin, L> Drop for Compact<S, L> {
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
#[path = "thin/thin_tests.rs"]
mod tests;
