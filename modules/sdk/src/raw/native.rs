//! How do values of native types live in the server?
//!
//! A value is a `Box<T>` whose pointer the server keeps. Only [`Type<T>`] makes such pointers, under
//! a type that the server made for it, and the callbacks below, one set per `T`, are registered
//! with that type alone; so a pointer that a callback gets is always a box of its own `T`.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use mortise_module_abi as abi;

use super::context::Ctx;
use super::moving::{Mover, move_value};
use super::strings::{Arg, Text};
use super::{Types, bound, boundary, boundary_or_abort, c_string, need};
use crate::error::Error;
use crate::native::{AofWriter, AuxWhen, DigestWriter, Native, RdbReader, RdbWriter};

/// A native type's identity in the server. Declare it as a `static`, name it in
/// [`Module::types`](crate::Module::types), and pass it wherever a key is to hold a `T`.
pub struct Type<T> {
    handle: AtomicPtr<abi::ModuleType>,
    value: PhantomData<fn() -> T>,
}

impl<T: Native> Type<T> {
    /// A type that the server does not know yet.
    #[expect(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Type<T> {
        Type { handle: AtomicPtr::new(ptr::null_mut()), value: PhantomData }
    }
}

/// The server's name for a type; NULL before it is registered.
pub(super) trait NativeHandle {
    fn handle(&self) -> *mut abi::ModuleType;
}

impl<T> NativeHandle for Type<T> {
    fn handle(&self) -> *mut abi::ModuleType {
        self.handle.load(Ordering::Acquire)
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::Type<T> {}
}

/// A [`Type`] of any value, for the list in [`Module::types`](crate::Module::types).
pub trait RegisterType: Sync + sealed::Sealed {
    #[doc(hidden)]
    fn register(&self, ctx: Ctx<'_>) -> Result<(), Error>;
}

impl<T: Native> RegisterType for Type<T> {
    fn register(&self, ctx: Ctx<'_>) -> Result<(), Error> {
        const { assert!(T::NAME.len() == 9, "a type name has exactly 9 characters") };
        const { assert!(T::ENCVER >= 0 && T::ENCVER < 1024, "an encoding version is below 1024") };
        let create_data_type = bound().types()?.CreateDataType;
        let mut methods = methods::<T>();
        let name = c_string(T::NAME);
        // SAFETY: the context is live; the server copies the table.
        let handle =
            unsafe { create_data_type(ctx.ptr(), name.as_ptr(), T::ENCVER, &raw mut methods) };
        if handle.is_null() {
            return Err(Error::Refused("CreateDataType"));
        }
        self.handle.store(handle, Ordering::Release);
        if let (true, Some(set)) = (T::FETCHES, bound().api.MortiseSetTypeFetch) {
            // SAFETY: the type was just made, and its values are boxes of `T`. A refusal only costs time.
            unsafe { set(handle, Some(fetch::<T>)) };
        }
        Ok(())
    }
}

fn methods<T: Native>() -> abi::TypeMethods {
    // SAFETY: no preconditions.
    let version = bound().api.GetTypeMethodVersion.map_or(1, |version| unsafe { version() });
    let mut methods = abi::TypeMethods {
        rdb_load: Some(rdb_load::<T>),
        rdb_save: Some(rdb_save::<T>),
        aof_rewrite: Some(aof_rewrite::<T>),
        mem_usage: Some(mem_usage::<T>),
        digest: Some(digest::<T>),
        free: Some(free::<T>),
        free_effort: Some(free_effort::<T>),
        unlink: Some(unlink::<T>),
        copy: Some(copy::<T>),
        defrag: Some(defrag::<T>),
        ..abi::TypeMethods::EMPTY
    };
    methods.aux_save_triggers = match T::AUX {
        AuxWhen::Never => 0,
        AuxWhen::BeforeKeys => abi::AUX_BEFORE_RDB,
        AuxWhen::AfterKeys => abi::AUX_AFTER_RDB,
    };
    if methods.aux_save_triggers != 0 {
        methods.aux_load = Some(aux_load::<T>);
        // The newer callback leaves nothing in the file when the module has nothing to save.
        if version >= 5 {
            methods.aux_save2 = Some(aux_save2::<T>);
        } else {
            methods.aux_save = Some(aux_save::<T>);
        }
    }
    methods
}

unsafe extern "C" fn rdb_load<T: Native>(io: *mut abi::IO, encver: c_int) -> *mut c_void {
    // SAFETY: the stream is live during this call.
    let Some(io) = (unsafe { Io::from_ptr(io) }) else { return ptr::null_mut() };
    match boundary(|| T::rdb_load(&mut RdbReader::new(io), encver)) {
        Ok(Ok(value)) => Box::into_raw(Box::new(value)).cast(),
        Ok(Err(error)) => {
            let text = format!("a value of type {} does not load: {error}", T::NAME);
            super::log_raw(None, abi::LOGLEVEL_WARNING, &text);
            ptr::null_mut()
        }
        Err(_) => ptr::null_mut(),
    }
}

unsafe extern "C" fn rdb_save<T: Native>(io: *mut abi::IO, value: *mut c_void) {
    // SAFETY: the value is a box of `T`, see the head of this file; the stream is live.
    let (io, value) = unsafe { (Io::from_ptr(io), value_ref::<T>(value)) };
    if let (Some(io), Some(value)) = (io, value) {
        boundary_or_abort("rdb_save", || value.rdb_save(&mut RdbWriter::new(io)));
    }
}

unsafe extern "C" fn aux_load<T: Native>(io: *mut abi::IO, encver: c_int, when: c_int) -> c_int {
    // SAFETY: the stream is live during this call.
    let Some(io) = (unsafe { Io::from_ptr(io) }) else { return abi::ERR };
    let _ = when; // A type saves at one of the two times only.
    match boundary(|| T::aux_load(&mut RdbReader::new(io), encver)) {
        Ok(Ok(())) => abi::OK,
        Ok(Err(error)) => {
            let text = format!("the data beside the keys of {} does not load: {error}", T::NAME);
            super::log_raw(None, abi::LOGLEVEL_WARNING, &text);
            abi::ERR
        }
        Err(_) => abi::ERR,
    }
}

unsafe extern "C" fn aux_save2<T: Native>(io: *mut abi::IO, when: c_int) {
    if boundary(T::aux_is_empty) != Ok(true) {
        // SAFETY: passed on.
        unsafe { aux_save::<T>(io, when) };
    }
}

unsafe extern "C" fn aux_save<T: Native>(io: *mut abi::IO, _when: c_int) {
    // SAFETY: the stream is live during this call.
    if let Some(io) = unsafe { Io::from_ptr(io) } {
        boundary_or_abort("aux_save", || T::aux_save(&mut RdbWriter::new(io)));
    }
}

unsafe extern "C" fn aof_rewrite<T: Native>(
    io: *mut abi::IO,
    key: *mut abi::ModuleString,
    value: *mut c_void,
) {
    // SAFETY: the value is a box of `T`; stream and key are live during this call.
    let (io, key, value) = unsafe { (Io::from_ptr(io), Arg::from_ptr(key), value_ref::<T>(value)) };
    if let (Some(io), Some(key), Some(value)) = (io, key, value) {
        boundary_or_abort("aof_rewrite", || value.aof_rewrite(&mut AofWriter::new(io), &key));
    }
}

unsafe extern "C" fn fetch<T: Native>(value: *const c_void) {
    // SAFETY: the value is a box of `T`.
    if let Some(value) = unsafe { value_ref::<T>(value) } {
        // The depth of calls is not counted: nothing of the server is called.
        catch_unwind(AssertUnwindSafe(|| value.fetch())).ok();
    }
}

/// Asks the processor for the memory at `address`, whatever that is, as it will be read soon.
#[inline]
pub fn prefetch(address: *const c_void) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on the cache, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

unsafe extern "C" fn mem_usage<T: Native>(value: *const c_void) -> usize {
    // SAFETY: the value is a box of `T`.
    let value = unsafe { value_ref::<T>(value) };
    value.and_then(|value| boundary(|| value.mem_usage()).ok()).unwrap_or(0)
}

unsafe extern "C" fn digest<T: Native>(digest: *mut abi::Digest, value: *mut c_void) {
    // SAFETY: the value is a box of `T`; the digest is live during this call.
    let (digest, value) = unsafe { (Digest::from_ptr(digest), value_ref::<T>(value)) };
    if let (Some(digest), Some(value)) = (digest, value) {
        boundary(|| value.digest(&mut DigestWriter::new(digest))).ok();
    }
}

unsafe extern "C" fn free<T: Native>(value: *mut c_void) {
    if value.is_null() {
        return;
    }
    // SAFETY: the value is a box of `T` that the server gives back, once. It may do so on a thread
    // of its own: `T` is `Send`.
    let value = unsafe { Box::from_raw(value.cast::<T>()) };
    boundary(|| drop(value)).ok();
}

unsafe extern "C" fn free_effort<T: Native>(
    _key: *mut abi::ModuleString,
    value: *const c_void,
) -> usize {
    // SAFETY: the value is a box of `T`.
    let value = unsafe { value_ref::<T>(value) };
    value.and_then(|value| boundary(|| value.free_effort()).ok()).unwrap_or(1)
}

unsafe extern "C" fn unlink<T: Native>(key: *mut abi::ModuleString, value: *const c_void) {
    // SAFETY: the value is a box of `T`; the key is live during this call.
    let (key, value) = unsafe { (Arg::from_ptr(key), value_ref::<T>(value)) };
    if let (Some(key), Some(value)) = (key, value) {
        boundary(|| value.unlink(&key)).ok();
    }
}

unsafe extern "C" fn copy<T: Native>(
    from: *mut abi::ModuleString,
    to: *mut abi::ModuleString,
    value: *const c_void,
) -> *mut c_void {
    // SAFETY: the value is a box of `T`; the keys are live during this call.
    let (from, to, value) =
        unsafe { (Arg::from_ptr(from), Arg::from_ptr(to), value_ref::<T>(value)) };
    let (Some(from), Some(to), Some(value)) = (from, to, value) else { return ptr::null_mut() };
    match boundary(|| value.copy(&from, &to)) {
        Ok(Some(copy)) => Box::into_raw(Box::new(copy)).cast(),
        _ => ptr::null_mut(),
    }
}

unsafe extern "C" fn defrag<T: Native>(
    ctx: *mut abi::DefragCtx,
    _key: *mut abi::ModuleString,
    value: *mut *mut c_void,
) -> c_int {
    // SAFETY: the handle is live during this call, and `value` is a variable of the server.
    let (mover, place) = unsafe { (Mover::from_ptr(ctx), value.as_mut()) };
    let (Some(mut mover), Some(place)) = (mover, place.filter(|place| !place.is_null())) else {
        return 0;
    };
    if mover.cursor() == 0 {
        // SAFETY: the value is a box of `T`, and the server takes its new place from the variable.
        *place = unsafe { move_value::<T>(&mut mover, *place) };
    }
    // SAFETY: the value is a box of `T` that nobody else refers to during this call.
    let value = unsafe { &mut *place.cast::<T>() };
    match boundary(|| value.move_blocks(&mut mover)) {
        Ok(()) => c_int::from(mover.is_stopped()),
        Err(_) => 0,
    }
}

/// A value as the callbacks get it.
///
/// # Safety
/// `value` is NULL or a live box of `T` that nothing changes during `'v`.
unsafe fn value_ref<'v, T>(value: *const c_void) -> Option<&'v T> {
    // SAFETY: by the caller.
    unsafe { value.cast::<T>().as_ref() }
}

/// A stream that values are saved to or loaded from, live during the callback that got it.
pub struct Io<'i> {
    io: NonNull<abi::IO>,
    api: &'static Types,
    lender: PhantomData<&'i abi::IO>,
}

/// Reads one value of the stream.
macro_rules! load {
    ($self:ident, $name:ident) => {{
        // SAFETY: the stream is live; a mismatch is reported by `check`.
        let value = unsafe { ($self.api.$name)($self.io.as_ptr()) };
        $self.check().map(|()| value)
    }};
}

impl<'i> Io<'i> {
    /// Wraps a stream of the server.
    ///
    /// # Safety
    /// `io` is NULL or stays live during `'i`.
    unsafe fn from_ptr(io: *mut abi::IO) -> Option<Io<'i>> {
        // Types are registered only where the group is complete.
        let api = bound().types().ok()?;
        NonNull::new(io).map(|io| Io { io, api, lender: PhantomData })
    }

    fn check(&self) -> Result<(), Error> {
        match bound().api.IsIOError {
            // SAFETY: the stream is live.
            Some(is_error) if unsafe { is_error(self.io.as_ptr()) } != 0 => {
                Err(Error::new("the stream ends early or holds another kind of value"))
            }
            _ => Ok(()),
        }
    }

    /// The context of the load or save that is under way.
    pub(crate) fn context(&mut self) -> Result<Ctx<'_>, Error> {
        let get = need!(GetContextFromIO);
        // SAFETY: the stream is live, and its context lives as long as it does.
        let ctx = unsafe { Ctx::from_ptr(get(self.io.as_ptr())) };
        ctx.ok_or(Error::Unsupported("GetContextFromIO"))
    }

    pub(crate) fn save_u64(&mut self, value: u64) {
        // SAFETY: the stream is live.
        unsafe { (self.api.SaveUnsigned)(self.io.as_ptr(), value) };
    }

    pub(crate) fn save_i64(&mut self, value: i64) {
        // SAFETY: the stream is live.
        unsafe { (self.api.SaveSigned)(self.io.as_ptr(), value) };
    }

    pub(crate) fn save_f64(&mut self, value: f64) {
        // SAFETY: the stream is live.
        unsafe { (self.api.SaveDouble)(self.io.as_ptr(), value) };
    }

    pub(crate) fn save_bytes(&mut self, bytes: &[u8]) {
        let (data, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: the stream is live; the server reads `len` bytes.
        unsafe { (self.api.SaveStringBuffer)(self.io.as_ptr(), data, len) };
    }

    pub(crate) fn load_u64(&mut self) -> Result<u64, Error> {
        load!(self, LoadUnsigned)
    }

    pub(crate) fn load_i64(&mut self) -> Result<i64, Error> {
        load!(self, LoadSigned)
    }

    pub(crate) fn load_f64(&mut self) -> Result<f64, Error> {
        load!(self, LoadDouble)
    }

    pub(crate) fn load_bytes(&mut self) -> Result<LoadedBytes, Error> {
        let mut len = 0;
        // SAFETY: the stream is live.
        let data = unsafe { (self.api.LoadStringBuffer)(self.io.as_ptr(), &raw mut len) };
        // Wrapped before the check, so that it is freed in any case.
        let bytes = NonNull::new(data.cast::<u8>()).map(|data| LoadedBytes { data, len });
        self.check()?;
        bytes.ok_or_else(|| Error::new("the stream holds no string here"))
    }

    pub(crate) fn emit(&mut self, command: &str, args: &[Text<'_>]) {
        let command = c_string(command);
        // The key's name may lie on the server's stack, where it cannot be shared as "v" does.
        let held: Vec<_> = args.iter().map(|arg| arg.as_arg().hold()).collect();
        let mut argv: Vec<_> = held.iter().map(|arg| arg.as_arg().ptr()).collect();
        // SAFETY: all are live; the format "v" takes a vector and its length.
        unsafe {
            (self.api.EmitAOF)(
                self.io.as_ptr(),
                command.as_ptr(),
                c"v".as_ptr(),
                argv.as_mut_ptr(),
                argv.len(),
            )
        };
    }

    pub(crate) fn key_name(&self) -> Option<Arg<'_>> {
        let key_name = bound().api.GetKeyNameFromIO?;
        // SAFETY: the stream is live, and its key with it.
        unsafe { Arg::from_ptr(key_name(self.io.as_ptr())) }
    }
}

/// A string read from a stream.
pub struct LoadedBytes {
    data: NonNull<u8>,
    len: usize,
}

impl std::ops::Deref for LoadedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the server gave us `len` bytes at `data`, which only we know.
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl Drop for LoadedBytes {
    fn drop(&mut self) {
        // SAFETY: it was allocated by the server's Alloc and given to us.
        unsafe { (bound().core.Free)(self.data.as_ptr().cast()) };
    }
}

/// A digest under construction, live during the callback that got it.
pub struct Digest<'d> {
    digest: NonNull<abi::Digest>,
    api: &'static Types,
    lender: PhantomData<&'d abi::Digest>,
}

impl<'d> Digest<'d> {
    /// Wraps a digest of the server.
    ///
    /// # Safety
    /// `digest` is NULL or stays live during `'d`.
    unsafe fn from_ptr(digest: *mut abi::Digest) -> Option<Digest<'d>> {
        let api = bound().types().ok()?;
        NonNull::new(digest).map(|digest| Digest { digest, api, lender: PhantomData })
    }

    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        let (data, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: the digest is live; the server reads `len` bytes.
        unsafe { (self.api.DigestAddStringBuffer)(self.digest.as_ptr(), data, len) };
    }

    pub(crate) fn add_i64(&mut self, value: i64) {
        // SAFETY: the digest is live.
        unsafe { (self.api.DigestAddLongLong)(self.digest.as_ptr(), value) };
    }

    pub(crate) fn end_sequence(&mut self) {
        // SAFETY: the digest is live.
        unsafe { (self.api.DigestEndSequence)(self.digest.as_ptr()) };
    }
}
