//! What is stored for one key? One heap block: header, expiry, key and, if it is short, the value.
//!
//! ```text
//! offset 0   access word  AtomicU32   bits 0-23 access clock, bits 24-31 snapshot marks
//!        4   meta         u32         see `Meta`; never changes under a shared reference
//!        8   expiry       i64         unix ms, only if the meta word says so
//!        .   heap value   8 bytes     only if the form is `Heap`: a pointer, or a collection of one word
//!        .   key length   u64         only if it does not fit the meta word
//!        .   key          bytes
//!        .   value        only if the form is not `Heap`: the bytes of a short string, or an integer
//! ```
//!
//! Invariants, on which every SAFETY comment below rests:
//! 1. `block` comes from `alloc` with `Shape::layout` of the shape that the block itself describes,
//!    8-aligned, and its first `Shape::size` bytes are initialized.
//! 2. There is a heap value exactly if the form is `Heap`. For a string it is a pointer from
//!    `Arc::<Vec<u8>>::into_raw`; for the kinds of one word (`Word`) it is the value itself; otherwise it
//!    comes from `Box::into_raw` of the kind's type. This block owns it.
//! 3. An [`Entry`] owns its block alone; [`EntryRef`] and [`view::EntryMut`] borrow it as `&` and
//!    `&mut` would.
//!
//! The capacity is a pure function of the content (`size_class`), so it needs no field: an edit
//! stays in place exactly if old and new size have the same class. What stands in front of the key is
//! 8-aligned, what stands behind it is not.
#![expect(unsafe_code, reason = "a variable-size block behind one thin pointer has no safe form")]

pub mod view;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::base::moving::Mover;
use crate::base::size_class::size_class;
use crate::object::{Hash, List, ModuleValue, Set, Stream, Unchecked, Zset};

use super::value::{RAW_MAX_INLINE, StrForm, StrRef, StrValue, Value, ValueKind, ValueRef};
use view::{EntryMut, EntryRef};

const EXPIRY_AT: usize = 8;
/// Bytes of a value that is not inline text: an integer or a pointer.
const WORD: usize = 8;
const CLOCK_MASK: u32 = 0x00ff_ffff;
/// What a snapshot was to have of the entry it has already, or the entry is not of it ([`super::snapshot`]).
const MARK_SNAPSHOT: u32 = 1 << 24;

/// How the value lies in the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// A string that is an integer.
    Int = 0,
    /// A short string as it was set.
    Inline = 1,
    /// A short string after an edit: reported as raw whatever its length.
    Edited = 2,
    /// A pointer to the value.
    Heap = 3,
}

/// The meta word: bits 0-2 kind, 3-4 form, 5 has an expiry, 6-7 free, 8-19 key length, 20-31 inline
/// length.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Meta(u32);

impl Meta {
    const EXPIRY: u32 = 1 << 5;
    /// All ones in the key length: it stands in the block as a u64 instead.
    const KEY_LONG: u32 = 0xfff;

    fn kind(self) -> ValueKind {
        match self.0 & 7 {
            0 => ValueKind::String,
            1 => ValueKind::List,
            2 => ValueKind::Set,
            3 => ValueKind::Zset,
            4 => ValueKind::Hash,
            5 => ValueKind::Module,
            6 => ValueKind::Stream,
            _ => ValueKind::Unchecked,
        }
    }

    fn form(self) -> Form {
        match (self.0 >> 3) & 3 {
            0 => Form::Int,
            1 => Form::Inline,
            2 => Form::Edited,
            _ => Form::Heap,
        }
    }

    #[inline]
    fn is_heap(self) -> bool {
        self.0 & (Form::Heap as u32) << 3 == (Form::Heap as u32) << 3
    }

    fn key_len_short(self) -> usize {
        ((self.0 >> 8) & Self::KEY_LONG) as usize
    }

    fn inline_len(self) -> usize {
        (self.0 >> 20) as usize
    }
}

/// What determines where everything lies in a block.
#[derive(Clone, Copy)]
struct Shape {
    kind: ValueKind,
    form: Form,
    has_expiry: bool,
    key_len: usize,
    /// Bytes of the value within the block.
    value_len: usize,
}

impl Shape {
    fn has_long_key(&self) -> bool {
        self.key_len >= Meta::KEY_LONG as usize
    }

    fn is_heap(&self) -> bool {
        self.form == Form::Heap
    }

    /// Where a heap value is.
    #[inline]
    fn heap_at(&self) -> usize {
        EXPIRY_AT + WORD * usize::from(self.has_expiry)
    }

    #[inline]
    fn key_at(&self) -> usize {
        self.heap_at() + WORD * (usize::from(self.is_heap()) + usize::from(self.has_long_key()))
    }

    /// Where a value is that is no heap value.
    #[inline]
    fn value_at(&self) -> usize {
        self.key_at() + self.key_len
    }

    fn size(&self) -> usize {
        self.value_at() + if self.is_heap() { 0 } else { self.value_len }
    }

    fn layout(&self) -> Layout {
        Layout::from_size_align(size_class(self.size()), 8)
            .expect("a key in memory leaves room for its header")
    }

    fn meta(&self) -> Meta {
        let key_len = self.key_len.min(Meta::KEY_LONG as usize) as u32;
        let inline_len = if matches!(self.form, Form::Inline | Form::Edited) {
            self.value_len as u32
        } else {
            0
        };
        let expiry = if self.has_expiry { Meta::EXPIRY } else { 0 };
        Meta(self.kind as u32 | (self.form as u32) << 3 | expiry | key_len << 8 | inline_len << 20)
    }
}

/// A collection of one word: it stands in the block itself.
trait Word: Send + Sync + Sized {
    const FITS: () = assert!(size_of::<Self>() == WORD && align_of::<Self>() == WORD);
}

impl Word for Hash {}
impl Word for List {}
impl Word for Set {}
impl Word for Zset {}

/// A value on its way into an entry.
pub(super) enum Content<'a> {
    /// A string that is an integer.
    Int(i64),
    /// At most [`RAW_MAX_INLINE`] bytes.
    Inline {
        bytes: &'a [u8],
        edited: bool,
    },
    Shared(Arc<Vec<u8>>),
    Hash(Hash),
    List(List),
    Set(Set),
    Zset(Zset),
    Stream(Box<Stream>),
    Module(Box<ModuleValue>),
    Unchecked(Box<Unchecked>),
}

impl Content<'_> {
    /// Calls `give` with what an owned value holds.
    pub(super) fn with_value<R>(value: Value, give: impl FnOnce(Content<'_>) -> R) -> R {
        match value {
            Value::Str(StrValue(StrForm::Int(number))) => give(Content::Int(number)),
            Value::Str(StrValue(StrForm::Short { bytes, edited })) => {
                give(Content::Inline { bytes: &bytes, edited })
            }
            Value::Str(StrValue(StrForm::Shared(bytes))) => give(Content::Shared(bytes)),
            Value::Hash(hash) => give(Content::Hash(hash)),
            Value::List(value) => give(Content::List(value)),
            Value::Set(value) => give(Content::Set(value)),
            Value::Zset(value) => give(Content::Zset(value)),
            Value::Stream(value) => give(Content::Stream(value)),
            Value::Module(module) => give(Content::Module(module)),
            Value::Unchecked(value) => give(Content::Unchecked(value)),
        }
    }

    fn shape(&self, key_len: usize, has_expiry: bool) -> Shape {
        let (kind, form, value_len) = match self {
            Content::Int(_) => (ValueKind::String, Form::Int, WORD),
            Content::Inline { bytes, edited } => {
                assert!(bytes.len() <= RAW_MAX_INLINE, "callers share what is longer");
                (ValueKind::String, if *edited { Form::Edited } else { Form::Inline }, bytes.len())
            }
            Content::Shared(_) => (ValueKind::String, Form::Heap, WORD),
            Content::Hash(_) => (ValueKind::Hash, Form::Heap, WORD),
            Content::List(_) => (ValueKind::List, Form::Heap, WORD),
            Content::Set(_) => (ValueKind::Set, Form::Heap, WORD),
            Content::Zset(_) => (ValueKind::Zset, Form::Heap, WORD),
            Content::Stream(_) => (ValueKind::Stream, Form::Heap, WORD),
            Content::Module(_) => (ValueKind::Module, Form::Heap, WORD),
            Content::Unchecked(_) => (ValueKind::Unchecked, Form::Heap, WORD),
        };
        Shape { kind, form, has_expiry, key_len, value_len }
    }
}

/// An owning, thin pointer to the block of one key.
#[repr(transparent)]
pub struct Entry {
    block: NonNull<u8>,
}

// SAFETY: an entry owns its block and the value in it (invariant 3); all that a block can own
// (the collections, `ModuleValue`, `Arc<Vec<u8>>`) is Send, which `assert_shareable` checks.
unsafe impl Send for Entry {}
// SAFETY: under `&Entry` only the access word changes, and that is atomic; the values are Sync,
// which `assert_shareable` checks.
unsafe impl Sync for Entry {}

const fn assert_shareable<T: Send + Sync>() {}
const _: () = {
    assert_shareable::<Hash>();
    assert_shareable::<List>();
    assert_shareable::<Set>();
    assert_shareable::<Zset>();
    assert_shareable::<Stream>();
    assert_shareable::<ModuleValue>();
    assert_shareable::<Unchecked>();
    assert_shareable::<Arc<Vec<u8>>>();
};

impl Entry {
    /// Builds the entry of `key`.
    pub fn new(key: &[u8], value: Value, expire_at: Option<i64>) -> Self {
        Content::with_value(value, |content| Self::with(key, content, expire_at))
    }

    /// Builds the entry of `key` from a value that need not be owned.
    pub(super) fn with(key: &[u8], content: Content<'_>, expire_at: Option<i64>) -> Self {
        let shape = content.shape(key.len(), expire_at.is_some());
        let mut entry = Self::allocate(&shape);
        entry.write_header(0, &shape);
        // SAFETY: the block has `shape.size()` bytes, of which the key takes `key_len` from
        // `key_at`; a new block overlaps nothing.
        unsafe { ptr::copy_nonoverlapping(key.as_ptr(), entry.at(shape.key_at()), key.len()) };
        entry.write_expiry(&shape, expire_at);
        entry.write_content(&shape, content);
        entry
    }

    /// A block for `shape`, nothing of it written yet: the caller writes all `shape.size()` bytes.
    fn allocate(shape: &Shape) -> Self {
        let layout = shape.layout();
        // SAFETY: the layout's size is never zero, a block starts with its header.
        let block = unsafe { alloc(layout) };
        Self { block: NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout)) }
    }

    /// The address `offset` bytes into the block.
    #[inline]
    fn at(&self, offset: usize) -> *mut u8 {
        self.block.as_ptr().wrapping_add(offset)
    }

    fn write_header(&mut self, access: u32, shape: &Shape) {
        // SAFETY: every block has at least 8 bytes and is 8-aligned.
        unsafe { self.at(0).cast::<u32>().write(access) };
        // SAFETY: as above.
        unsafe { self.at(4).cast::<u32>().write(shape.meta().0) };
        if shape.has_long_key() {
            let len_at = shape.key_at() - WORD;
            // SAFETY: `key_at` leaves the 8 bytes before the key to the length of a long key.
            unsafe { self.at(len_at).cast::<u64>().write_unaligned(shape.key_len as u64) };
        }
    }

    fn write_expiry(&mut self, shape: &Shape, expire_at: Option<i64>) {
        debug_assert_eq!(shape.has_expiry, expire_at.is_some());
        if let Some(at) = expire_at {
            // SAFETY: callers pass the expiry that `shape` was made for, so the 8 bytes behind the
            // header are the expiry's.
            unsafe { self.at(EXPIRY_AT).cast::<i64>().write(at) };
        }
    }

    /// Writes the value; what lay there before must have been taken out.
    fn write_content(&mut self, shape: &Shape, content: Content<'_>) {
        match content {
            Content::Int(value) => {
                // SAFETY: the value's place is `value_len` bytes, 8 for an integer.
                unsafe { self.at(shape.value_at()).cast::<i64>().write_unaligned(value) }
            }
            Content::Inline { bytes, .. } => {
                let to = self.at(shape.value_at());
                // SAFETY: the value's place is `bytes.len()` bytes; nobody holds a reference into a
                // block that we own, so `bytes` lies elsewhere.
                unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
            }
            Content::Shared(bytes) => {
                self.write_pointer(shape, Arc::into_raw(bytes).cast_mut().cast())
            }
            Content::Hash(hash) => self.write_word(shape, hash),
            Content::List(value) => self.write_word(shape, value),
            Content::Set(value) => self.write_word(shape, value),
            Content::Zset(value) => self.write_word(shape, value),
            Content::Stream(value) => self.write_pointer(shape, Box::into_raw(value).cast()),
            Content::Module(module) => self.write_pointer(shape, Box::into_raw(module).cast()),
            Content::Unchecked(value) => self.write_pointer(shape, Box::into_raw(value).cast()),
        }
    }

    fn write_pointer(&mut self, shape: &Shape, pointer: *mut u8) {
        debug_assert!(shape.is_heap());
        // SAFETY: the place of a heap value is 8 bytes, 8-aligned, a pointer's size (checked below).
        unsafe { self.at(shape.heap_at()).cast::<*mut u8>().write(pointer) };
    }

    fn write_word<W: Word>(&mut self, shape: &Shape, word: W) {
        let () = W::FITS;
        debug_assert!(shape.is_heap());
        // SAFETY: the place of a heap value is 8 bytes, 8-aligned, as `FITS` says of the value.
        unsafe { self.at(shape.heap_at()).cast::<W>().write(word) };
    }

    /// The block, to be changed in place.
    pub(super) fn as_mut(&mut self) -> EntryMut<'_> {
        // SAFETY: the block is ours, and `self` is borrowed alone for as long as the result.
        unsafe { EntryMut::from_raw(self.block) }
    }

    /// The block, to be read.
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_> {
        // SAFETY: the block is ours, and `self` is borrowed for as long as the result.
        unsafe { EntryRef::from_raw(self.block) }
    }

    /// Where the block is, for the cache alone.
    #[inline]
    pub(super) fn as_ptr(&self) -> *const u8 {
        self.block.as_ptr()
    }

    /// Gives the block up as a pointer; [`Entry::from_raw`] takes it back.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).block
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// `block` comes from [`Entry::into_raw`], was not taken back since, and nothing borrows it.
    #[inline]
    pub(super) unsafe fn from_raw(block: NonNull<u8>) -> Self {
        Self { block }
    }

    /// Takes the entry apart.
    pub fn into_parts(self) -> (Value, Option<i64>) {
        let expire_at = self.as_ref().expire_at();
        let shape = self.as_ref().shape();
        // SAFETY: the shape was read just now, and the block is freed below without another look.
        let value = match unsafe { self.as_ref().take_heap(&shape) } {
            Some(value) => value,
            None => {
                let form = match self.as_ref().value() {
                    ValueRef::Str(StrRef::Int(value)) => StrForm::Int(value),
                    ValueRef::Str(StrRef::Bytes(bytes)) => {
                        StrForm::Short { bytes: bytes.into(), edited: shape.form == Form::Edited }
                    }
                    _ => unreachable!("only strings are stored inline"),
                };
                Value::Str(StrValue(form))
            }
        };
        self.free_block(&shape);
        (value, expire_at)
    }

    /// Frees the block without looking at the value, which the caller has taken out.
    fn free_block(self, shape: &Shape) {
        let block = self.into_raw();
        // SAFETY: allocated with the layout of its shape (invariant 1) and owned by us until here.
        unsafe { dealloc(block.as_ptr(), shape.layout()) };
    }

    /// The same key and access word with another value and expiry, in the same block if its size
    /// class allows. A heap value that was there is handed back, for the caller to drop when
    /// nothing hangs on it.
    pub(super) fn with_content(
        self,
        content: Content<'_>,
        expire_at: Option<i64>,
    ) -> (Self, Option<Value>) {
        let old = self.as_ref().shape();
        let shape = content.shape(old.key_len, expire_at.is_some());
        // SAFETY: the shape was read just now, and the new value is written over the pointer below,
        // in a block that nothing looks at in between.
        let heap = unsafe { self.as_ref().take_heap(&old) };
        let mut entry = self.reshape(&old, &shape, 0);
        entry.write_expiry(&shape, expire_at);
        entry.write_content(&shape, content);
        (entry, heap)
    }

    /// The same entry, in another block if this one should move.
    pub(super) fn moved(self, mover: &mut Mover<'_>) -> Self {
        let shape = self.as_ref().shape();
        if !mover.wants(self.as_ptr(), shape.layout().size()) {
            return self;
        }
        let entry = Self::allocate(&shape);
        // SAFETY: both blocks have so many bytes, all of them initialized in the old one (invariant 1); two blocks do
        // not overlap.
        unsafe { ptr::copy_nonoverlapping(self.at(0), entry.at(0), shape.size()) };
        // What the block owned belongs to the new one.
        self.free_block(&shape);
        entry
    }

    /// The same entry with another expiry.
    pub(super) fn with_expiry(self, expire_at: Option<i64>) -> Self {
        let old = self.as_ref().shape();
        let shape = Shape { has_expiry: expire_at.is_some(), ..old };
        let mut entry = self.reshape(&old, &shape, old.value_len);
        entry.write_expiry(&shape, expire_at);
        entry
    }

    /// The same short string as an edited one of `len` bytes, cut or padded with zero bytes.
    ///
    /// Panics if the string is not inline or `len` is beyond [`RAW_MAX_INLINE`].
    pub(super) fn with_inline_len(self, len: usize) -> Self {
        let old = self.as_ref().shape();
        assert!(
            matches!(old.form, Form::Inline | Form::Edited) && len <= RAW_MAX_INLINE,
            "not a short string"
        );
        let shape = Shape { form: Form::Edited, value_len: len, ..old };
        let expire_at = self.as_ref().expire_at();
        let kept = old.value_len.min(len);
        let mut entry = self.reshape(&old, &shape, kept);
        entry.write_expiry(&shape, expire_at);
        // SAFETY: the value's place is `len` bytes, of which `reshape` wrote the first `kept`.
        unsafe { ptr::write_bytes(entry.at(shape.value_at() + kept), 0, len - kept) };
        entry
    }

    /// Moves access word, key and the first `kept` bytes of the value to where `shape` wants them,
    /// in the same block if the size class is the same. What is kept has the same form before and after.
    /// The caller writes the expiry and the rest of the value.
    fn reshape(mut self, old: &Shape, shape: &Shape, kept: usize) -> Self {
        debug_assert!(
            old.key_len == shape.key_len && kept <= old.value_len && kept <= shape.value_len
        );
        let access = self.as_ref().access().load(Relaxed);
        let heap = (kept > 0 && old.is_heap()).then(|| self.as_ref().pointer(old));
        let moved = old.key_len + if heap.is_some() { 0 } else { kept };
        if old.layout() == shape.layout() {
            if old.key_at() != shape.key_at() {
                // SAFETY: both ranges lie within the block, whose size is the same class for both
                // shapes; `copy` allows them to overlap.
                unsafe { ptr::copy(self.at(old.key_at()), self.at(shape.key_at()), moved) };
            }
            self.write_header(access, shape);
            // The word, whatever it is, stays what it was; only its place changes.
            heap.into_iter().for_each(|word| self.write_pointer(shape, word));
            return self;
        }
        let mut entry = Self::allocate(shape);
        entry.write_header(access, shape);
        // SAFETY: key and kept value are `moved` bytes in the old block from `key_at`, and fit the
        // new block, since `kept` is at most its `value_len`; two blocks do not overlap.
        unsafe { ptr::copy_nonoverlapping(self.at(old.key_at()), entry.at(shape.key_at()), moved) };
        heap.into_iter().for_each(|word| entry.write_pointer(shape, word));
        self.free_block(old);
        entry
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let shape = self.as_ref().shape();
        // SAFETY: the shape was read just now, and the block is freed without another look.
        drop(unsafe { self.as_ref().take_heap(&shape) });
        // SAFETY: allocated with the layout of its shape (invariant 1); nobody else owns it, and a
        // value that it owned was dropped just now.
        unsafe { dealloc(self.block.as_ptr(), shape.layout()) };
    }
}

const _: () = assert!(size_of::<*mut u8>() == WORD, "the table tags 64-bit pointers");
