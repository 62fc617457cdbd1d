//! How is an entry looked at and changed in place, once the table has found it?
//!
//! [`EntryRef`] and [`EntryMut`] are borrowed blocks: `&Entry` and `&mut Entry` in all but form,
//! since the table keeps tagged addresses instead of entries. The invariants are those of
//! [`super`].
#![expect(unsafe_code, reason = "borrowed blocks behind thin pointers have no safe form")]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::base::moving::Mover;
use crate::base::size_class::size_class;
use crate::keyspace::value::{
    RAW_MAX_INLINE, StrEncoding, StrForm, StrRef, StrValue, Value, ValueKind, ValueMut, ValueRef,
    short_encoding,
};
use crate::object::{Hash, List, ModuleValue, Set, Stream, Unchecked, Zset};

use super::{CLOCK_MASK, EXPIRY_AT, Entry, Form, MARK_SNAPSHOT, Meta, Shape, WORD};

/// A borrowed block, to be read.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    block: NonNull<u8>,
    borrow: PhantomData<&'a Entry>,
}

impl<'a> EntryRef<'a> {
    /// Borrows a block that is owned as a pointer.
    ///
    /// # Safety
    /// `block` comes from [`Entry::into_raw`] and is neither taken back nor borrowed for change
    /// during `'a`.
    #[inline]
    pub(in crate::keyspace) unsafe fn from_raw(block: NonNull<u8>) -> Self {
        Self { block, borrow: PhantomData }
    }

    #[inline]
    fn at(self, offset: usize) -> *mut u8 {
        self.block.as_ptr().wrapping_add(offset)
    }

    #[inline]
    fn meta(self) -> Meta {
        // SAFETY: every block has an initialized, aligned meta word (invariant 1), which does not
        // change while it is borrowed.
        Meta(unsafe { self.at(4).cast::<u32>().read() })
    }

    /// Offset and length of the key.
    #[inline]
    fn key_place(self) -> (usize, usize) {
        let meta = self.meta();
        let words = usize::from(meta.0 & Meta::EXPIRY != 0) + usize::from(meta.is_heap());
        let at = EXPIRY_AT + WORD * words;
        let len = meta.key_len_short();
        if len < Meta::KEY_LONG as usize {
            return (at, len);
        }
        // SAFETY: the meta word says that the key's length stands here, before the key.
        (at + WORD, unsafe { self.at(at).cast::<u64>().read_unaligned() } as usize)
    }

    #[inline]
    pub(super) fn shape(self) -> Shape {
        let meta = self.meta();
        let form = meta.form();
        let value_len =
            if matches!(form, Form::Inline | Form::Edited) { meta.inline_len() } else { WORD };
        let has_expiry = meta.0 & Meta::EXPIRY != 0;
        Shape { kind: meta.kind(), form, has_expiry, key_len: self.key_place().1, value_len }
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let (at, len) = self.key_place();
        // SAFETY: the key's bytes are initialized (invariant 1) and do not change during `'a`.
        unsafe { slice::from_raw_parts(self.at(at), len) }
    }

    /// When the key expires, in unix milliseconds.
    #[inline]
    pub fn expire_at(self) -> Option<i64> {
        if !self.has_expiry() {
            return None;
        }
        // SAFETY: the meta word says that an expiry stands behind the header, which is 8-aligned
        // there.
        Some(unsafe { self.at(EXPIRY_AT).cast::<i64>().read() })
    }

    /// Whether the key expires at all.
    #[inline]
    pub fn has_expiry(self) -> bool {
        self.meta().0 & Meta::EXPIRY != 0
    }

    /// Whether the value lies in a block of its own, so that dropping it may take time.
    #[inline]
    pub fn is_heap(self) -> bool {
        self.meta().is_heap()
    }

    /// The type of the value.
    #[inline]
    pub fn kind(self) -> ValueKind {
        self.meta().kind()
    }

    /// The value.
    #[inline]
    pub fn value(self) -> ValueRef<'a> {
        let shape = self.shape();
        match shape.form {
            Form::Int => {
                // SAFETY: the value of this form is an initialized integer (invariant 1).
                ValueRef::Str(StrRef::Int(unsafe {
                    self.at(shape.value_at()).cast::<i64>().read_unaligned()
                }))
            }
            Form::Inline | Form::Edited => {
                let from = self.at(shape.value_at());
                // SAFETY: the value's bytes are initialized (invariant 1) and do not change during
                // `'a`.
                ValueRef::Str(StrRef::Bytes(unsafe {
                    slice::from_raw_parts(from, shape.value_len)
                }))
            }
            Form::Heap => {
                let pointer = self.pointer(&shape);
                let word = self.at(shape.heap_at());
                match shape.kind {
                    ValueKind::String => {
                        // SAFETY: a string's pointer is the block's own Arc (invariant 2), alive
                        // during `'a`.
                        ValueRef::Str(StrRef::Bytes(unsafe { &*pointer.cast::<Vec<u8>>() }))
                    }
                    ValueKind::Hash => {
                        // SAFETY: the hash is this word of the block (invariant 2), shared during
                        // `'a`.
                        ValueRef::Hash(unsafe { &*word.cast::<Hash>() })
                    }
                    ValueKind::List => {
                        // SAFETY: as for the hash.
                        ValueRef::List(unsafe { &*word.cast::<List>() })
                    }
                    ValueKind::Set => {
                        // SAFETY: as for the hash.
                        ValueRef::Set(unsafe { &*word.cast::<Set>() })
                    }
                    ValueKind::Zset => {
                        // SAFETY: as for the hash.
                        ValueRef::Zset(unsafe { &*word.cast::<Zset>() })
                    }
                    ValueKind::Stream => {
                        // SAFETY: the pointer is the block's own box (invariant 2), shared during
                        // `'a`.
                        ValueRef::Stream(unsafe { &*pointer.cast::<Stream>() })
                    }
                    ValueKind::Module => {
                        // SAFETY: as for the stream.
                        ValueRef::Module(unsafe { &*pointer.cast::<ModuleValue>() })
                    }
                    ValueKind::Unchecked => {
                        // SAFETY: as for the stream.
                        ValueRef::Unchecked(unsafe { &*pointer.cast::<Unchecked>() })
                    }
                }
            }
        }
    }

    pub(super) fn pointer(self, shape: &Shape) -> *mut u8 {
        debug_assert!(shape.is_heap());
        // SAFETY: the value of this form is an initialized word, 8-aligned, that is a pointer or as good as
        // one (invariant 2).
        unsafe { self.at(shape.heap_at()).cast::<*mut u8>().read() }
    }

    /// Takes the heap value out, if there is one. The block still holds its pointer.
    ///
    /// # Safety
    /// `shape` is the block's own, and the caller owns the block and frees it, or overwrites the
    /// value, without reading the pointer again.
    pub(super) unsafe fn take_heap(self, shape: &Shape) -> Option<Value> {
        if shape.form != Form::Heap {
            return None;
        }
        let pointer = self.pointer(shape);
        let word = self.at(shape.heap_at());
        Some(match shape.kind {
            ValueKind::String => {
                // SAFETY: the pointer is the block's own Arc (invariant 2), and the caller gives it
                // up.
                let bytes = unsafe { Arc::from_raw(pointer.cast::<Vec<u8>>()) };
                Value::Str(StrValue(StrForm::Shared(bytes)))
            }
            ValueKind::Hash => {
                // SAFETY: the hash is this word of the block (invariant 2), and the caller gives it up.
                Value::Hash(unsafe { word.cast::<Hash>().read() })
            }
            ValueKind::List => {
                // SAFETY: as for the hash.
                Value::List(unsafe { word.cast::<List>().read() })
            }
            ValueKind::Set => {
                // SAFETY: as for the hash.
                Value::Set(unsafe { word.cast::<Set>().read() })
            }
            ValueKind::Zset => {
                // SAFETY: as for the hash.
                Value::Zset(unsafe { word.cast::<Zset>().read() })
            }
            ValueKind::Stream => {
                // SAFETY: the pointer is the block's own box (invariant 2), and the caller gives it
                // up.
                Value::Stream(unsafe { Box::from_raw(pointer.cast::<Stream>()) })
            }
            ValueKind::Module => {
                // SAFETY: as for the stream.
                Value::Module(unsafe { Box::from_raw(pointer.cast::<ModuleValue>()) })
            }
            ValueKind::Unchecked => {
                // SAFETY: as for the stream.
                Value::Unchecked(unsafe { Box::from_raw(pointer.cast::<Unchecked>()) })
            }
        })
    }

    /// What OBJECT ENCODING would say of a string; none for other types.
    pub fn str_encoding(self) -> Option<StrEncoding> {
        let shape = self.shape();
        Some(match shape.form {
            _ if shape.kind != ValueKind::String => return None,
            Form::Int => StrEncoding::Int,
            Form::Inline => short_encoding(shape.value_len, false),
            Form::Edited | Form::Heap => StrEncoding::Raw,
        })
    }

    /// A copy of a string; a large one is shared, not copied.
    pub fn to_str_value(self) -> Option<StrValue> {
        let shape = self.shape();
        let ValueRef::Str(string) = self.value() else { return None };
        Some(StrValue(match (shape.form, string) {
            (_, StrRef::Int(value)) => StrForm::Int(value),
            (Form::Heap, _) => StrForm::Shared(self.share(&shape)),
            (form, StrRef::Bytes(bytes)) => {
                StrForm::Short { bytes: bytes.into(), edited: form == Form::Edited }
            }
        }))
    }

    /// Another handle on a large string, which stays as it is for as long as the handle lives.
    pub fn shared_string(self) -> Option<Arc<Vec<u8>>> {
        let shape = self.shape();
        (shape.kind == ValueKind::String && shape.form == Form::Heap).then(|| self.share(&shape))
    }

    /// Callers have checked that the value is a string on the heap.
    fn share(self, shape: &Shape) -> Arc<Vec<u8>> {
        assert!(shape.kind == ValueKind::String && shape.form == Form::Heap);
        let pointer = self.pointer(shape).cast::<Vec<u8>>().cast_const();
        // SAFETY: the pointer is the block's own Arc (invariant 2), alive while the block is
        // borrowed.
        unsafe { Arc::increment_strong_count(pointer) };
        // SAFETY: this handle owns the count that was added just now.
        unsafe { Arc::from_raw(pointer) }
    }

    /// Bytes of the block, and of a large string behind it. Of other types only the block: their
    /// own accounting adds what they hold.
    pub fn memory_bytes(self) -> usize {
        let block = self.shape().layout().size();
        let ValueRef::Str(StrRef::Bytes(_)) = self.value() else { return block };
        match self.shared_string() {
            Some(string) => {
                block + size_class(size_of::<Vec<u8>>() + 2 * WORD) + size_class(string.capacity())
            }
            None => block,
        }
    }

    #[inline]
    pub(super) fn access(self) -> &'a AtomicU32 {
        // SAFETY: the access word is initialized and 4-aligned, lives for `'a`, and is written only
        // through the atomic while the block is shared.
        unsafe { AtomicU32::from_ptr(self.at(0).cast::<u32>()) }
    }

    /// The 24-bit access clock: for the caller to read as LRU time or as LFU time and counter.
    #[inline]
    pub fn clock(self) -> u32 {
        self.access().load(Relaxed) & CLOCK_MASK
    }

    /// Sets the access clock. Readers do this side by side: writing only what changed keeps the
    /// cache line shared, and the exchange keeps a mark that another one sets meanwhile.
    #[inline]
    pub fn set_clock(self, clock: u32) {
        let clock = clock & CLOCK_MASK;
        let _ = self.access().fetch_update(Relaxed, Relaxed, |word| {
            (word & CLOCK_MASK != clock).then_some(word & !CLOCK_MASK | clock)
        });
    }

    /// Whether the snapshot has this entry already.
    pub fn is_marked(self) -> bool {
        self.access().load(Relaxed) & MARK_SNAPSHOT != 0
    }

    /// Sets or clears the snapshot mark.
    pub fn set_marked(self, marked: bool) {
        if marked {
            self.access().fetch_or(MARK_SNAPSHOT, Relaxed);
        } else {
            self.access().fetch_and(!MARK_SNAPSHOT, Relaxed);
        }
    }
}

/// A borrowed block, to be changed in place: what needs another block goes through the table.
pub struct EntryMut<'a> {
    block: NonNull<u8>,
    borrow: PhantomData<&'a mut Entry>,
}

impl<'a> EntryMut<'a> {
    /// Borrows a block that is owned as a pointer.
    ///
    /// # Safety
    /// `block` comes from [`Entry::into_raw`] and is neither taken back nor borrowed otherwise
    /// during `'a`.
    #[inline]
    pub(in crate::keyspace) unsafe fn from_raw(block: NonNull<u8>) -> Self {
        Self { block, borrow: PhantomData }
    }

    /// The block, to be read.
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_> {
        // SAFETY: the block is ours for `'a`, and `self` is borrowed for as long as the result.
        unsafe { EntryRef::from_raw(self.block) }
    }

    /// The value, to be changed.
    #[inline]
    pub fn into_value(self) -> ValueMut<'a> {
        let shape = self.as_ref().shape();
        if shape.kind == ValueKind::String {
            return ValueMut::Str(StrMut { entry: self });
        }
        let pointer = self.as_ref().pointer(&shape);
        let word = self.as_ref().at(shape.heap_at());
        match shape.kind {
            ValueKind::Hash => {
                // SAFETY: the hash is this word of the block (invariant 2), which we borrow alone during
                // `'a`; what is put in its place is a hash again.
                ValueMut::Hash(unsafe { &mut *word.cast::<Hash>() })
            }
            ValueKind::List => {
                // SAFETY: as for the hash.
                ValueMut::List(unsafe { &mut *word.cast::<List>() })
            }
            ValueKind::Set => {
                // SAFETY: as for the hash.
                ValueMut::Set(unsafe { &mut *word.cast::<Set>() })
            }
            ValueKind::Zset => {
                // SAFETY: as for the hash.
                ValueMut::Zset(unsafe { &mut *word.cast::<Zset>() })
            }
            ValueKind::Stream => {
                // SAFETY: the pointer is the block's own box (invariant 2), which we borrow alone
                // during `'a`.
                ValueMut::Stream(unsafe { &mut *pointer.cast::<Stream>() })
            }
            ValueKind::Module => {
                // SAFETY: as for the stream.
                ValueMut::Module(unsafe { &mut *pointer.cast::<ModuleValue>() })
            }
            ValueKind::Unchecked => ValueMut::Unchecked,
            ValueKind::String => unreachable!("handled above"),
        }
    }

    /// Overwrites an expiry; says false, and does nothing, if the block has no place for one.
    pub(in crate::keyspace) fn set_expiry(&mut self, at: i64) -> bool {
        if !self.as_ref().has_expiry() {
            return false;
        }
        // SAFETY: the meta word says that an expiry stands here, and we borrow the block alone.
        unsafe { self.as_ref().at(EXPIRY_AT).cast::<i64>().write(at) };
        true
    }

    /// Overwrites an integer; says false, and does nothing, if the value is none.
    pub(in crate::keyspace) fn set_int(&mut self, value: i64) -> bool {
        let shape = self.as_ref().shape();
        if shape.kind != ValueKind::String || shape.form != Form::Int {
            return false;
        }
        // SAFETY: the value of this form is an integer, and we borrow the block alone.
        unsafe { self.as_ref().at(shape.value_at()).cast::<i64>().write_unaligned(value) };
        true
    }

    /// Overwrites a short string or an integer with a short string; says false, and does nothing,
    /// if the block is of another size class or the expiry has or needs no place in it.
    #[inline]
    pub(in crate::keyspace) fn set_inline(&mut self, bytes: &[u8], expire_at: Option<i64>) -> bool {
        let old = self.as_ref().shape();
        let shape = Shape { form: Form::Inline, value_len: bytes.len(), ..old };
        if old.kind != ValueKind::String
            || old.form == Form::Heap
            || old.has_expiry != expire_at.is_some()
            || bytes.len() > RAW_MAX_INLINE
            || size_class(old.size()) != size_class(shape.size())
        {
            return false;
        }
        let entry = self.as_ref();
        // SAFETY: the meta word is 4-aligned, and we borrow the block alone; the key stays where it
        // is.
        unsafe { entry.at(4).cast::<u32>().write(shape.meta().0) };
        if let Some(at) = expire_at {
            // SAFETY: the block had an expiry, so its place is behind the header.
            unsafe { entry.at(EXPIRY_AT).cast::<i64>().write(at) };
        }
        // SAFETY: the block's size class has room for the new size; nobody holds a reference into a
        // block that we borrow alone, so `bytes` lies elsewhere.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), entry.at(shape.value_at()), bytes.len())
        };
        true
    }

    /// The vector of a large string, copied first if a reply or a snapshot still holds it.
    pub(in crate::keyspace) fn into_heap_string(self) -> Option<&'a mut Vec<u8>> {
        let shape = self.as_ref().shape();
        if shape.kind != ValueKind::String || shape.form != Form::Heap {
            return None;
        }
        let pointer = self.as_ref().pointer(&shape).cast::<Vec<u8>>();
        // SAFETY: the pointer is the block's own Arc (invariant 2); ManuallyDrop leaves it there.
        let mut string = ManuallyDrop::new(unsafe { Arc::from_raw(pointer) });
        let unique: *mut Vec<u8> = Arc::make_mut(&mut string);
        // `make_mut` may have moved to a copy, dropping our count on the original: store what it is
        // now.
        let now = Arc::as_ptr(&string).cast_mut().cast::<u8>();
        let to = self.as_ref().at(shape.heap_at());
        // SAFETY: the place of a heap value is 8 bytes, 8-aligned, and we borrow the block alone.
        unsafe { to.cast::<*mut u8>().write(now) };
        // SAFETY: `make_mut` made this Arc the only handle, and the block, which owns it, is ours
        // for `'a`.
        Some(unsafe { &mut *unique })
    }
}

/// Moving.
impl EntryMut<'_> {
    /// Moves a large string, if nobody else holds it; not for others.
    pub(in crate::keyspace) fn move_string(&mut self, mover: &mut Mover<'_>) {
        let shape = self.as_ref().shape();
        if shape.kind != ValueKind::String || shape.form != Form::Heap {
            return;
        }
        let pointer = self.as_ref().pointer(&shape).cast::<Vec<u8>>();
        // SAFETY: the pointer is the block's own Arc (invariant 2), whose place is written anew below;
        // ManuallyDrop leaves the count to the block.
        let mut string = ManuallyDrop::new(unsafe { Arc::from_raw(pointer) });
        if let Some(bytes) = mover.shared(&mut string, Vec::new) {
            mover.vec(bytes);
        }
        let now = Arc::as_ptr(&string).cast_mut().cast::<u8>();
        let to = self.as_ref().at(shape.heap_at());
        // SAFETY: the place of a heap value is 8 bytes, 8-aligned, and we borrow the block alone.
        unsafe { to.cast::<*mut u8>().write(now) };
    }

    /// Moves the box of a value that is neither a string nor a collection of one word.
    pub(in crate::keyspace) fn move_box(&mut self, mover: &mut Mover<'_>) {
        let shape = self.as_ref().shape();
        if shape.form != Form::Heap {
            return;
        }
        let pointer = self.as_ref().pointer(&shape);
        let moved = match shape.kind {
            ValueKind::Stream => {
                // SAFETY: the pointer is the block's own box (invariant 2), whose place is written anew below.
                Box::into_raw(mover.boxed(unsafe { Box::from_raw(pointer.cast::<Stream>()) }))
                    .cast()
            }
            ValueKind::Module => {
                // SAFETY: as for the stream.
                let boxed = unsafe { Box::from_raw(pointer.cast::<ModuleValue>()) };
                Box::into_raw(mover.boxed(boxed)).cast()
            }
            ValueKind::Unchecked => {
                // SAFETY: as for the stream.
                let boxed = unsafe { Box::from_raw(pointer.cast::<Unchecked>()) };
                Box::into_raw(mover.boxed(boxed)).cast()
            }
            _ => return,
        };
        let to = self.as_ref().at(shape.heap_at());
        // SAFETY: the place of a heap value is 8 bytes, 8-aligned, and we borrow the block alone.
        unsafe { to.cast::<*mut u8>().write(moved) };
    }
}

/// A string, to be edited without changing its length.
pub struct StrMut<'a> {
    entry: EntryMut<'a>,
}

impl<'a> StrMut<'a> {
    /// The string, to be read.
    pub fn as_ref(&self) -> StrRef<'_> {
        match self.entry.as_ref().value() {
            ValueRef::Str(string) => string,
            _ => unreachable!("only a string's entry is wrapped"),
        }
    }

    /// The bytes, for overwriting; none if the string is an integer. From here on the string is a
    /// raw one.
    pub fn into_bytes(self) -> Option<&'a mut [u8]> {
        let shape = self.entry.as_ref().shape();
        match shape.form {
            Form::Int => None,
            Form::Heap => self.entry.into_heap_string().map(Vec::as_mut_slice),
            Form::Inline | Form::Edited => {
                let edited = Shape { form: Form::Edited, ..shape };
                let entry = self.entry.as_ref();
                // SAFETY: the meta word is 4-aligned, and we borrow the block alone; the two forms
                // lie alike.
                unsafe { entry.at(4).cast::<u32>().write(edited.meta().0) };
                // SAFETY: the value's bytes are initialized (invariant 1), and we borrow the block
                // alone.
                Some(unsafe {
                    slice::from_raw_parts_mut(entry.at(shape.value_at()), shape.value_len)
                })
            }
        }
    }
}
