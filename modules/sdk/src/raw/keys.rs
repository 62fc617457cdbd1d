//! How are keys opened, read and written?

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::slice;

use mortise_module_abi as abi;

use super::context::{Ctx, Cursor, ok};
use super::native::{NativeHandle, Type};
use super::strings::{Arg, OwnedString, Text};
use super::{bound, need};
use crate::error::Error;
use crate::native::Native;

/// Whether a key is opened to be looked at or to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    Read,
    Write,
}

impl OpenMode {
    /// The mode as the server has it.
    fn bits(self) -> c_int {
        match self {
            // Opening may delete an expired key, and with it what another handle of the same key
            // refers to. The time stands still during a command and, since Redis 7.2, during any
            // call; from then on there is this flag as well.
            OpenMode::Read if any_open() => abi::READ | supported_modes(abi::OPEN_KEY_NOEXPIRE),
            OpenMode::Read => abi::READ,
            OpenMode::Write => abi::READ | abi::WRITE,
        }
    }
}

/// An open key.
pub struct Key<'c> {
    key: NonNull<abi::Key>,
    context: PhantomData<&'c abi::Ctx>,
}

thread_local! {
    /// How many keys this module has open on this thread, which holds the server's lock.
    static OPEN_KEYS: Cell<usize> = const { Cell::new(0) };
}

/// Whether an outer call of this module has a key open. References into its value may exist, so
/// nothing may be changed now.
pub(crate) fn any_open() -> bool {
    OPEN_KEYS.with(|keys| keys.get() > 0)
}

/// Those of the modes that the server knows.
fn supported_modes(modes: c_int) -> c_int {
    // SAFETY: no preconditions.
    bound().api.GetOpenKeyModesAll.map_or(0, |all| unsafe { all() } & modes)
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        OPEN_KEYS.with(|keys| keys.set(keys.get() - 1));
        // SAFETY: the key is live and closed once; its context is still live.
        unsafe { (bound().core.CloseKey)(self.key.as_ptr()) };
    }
}

/// A native value in an open key.
pub(crate) struct OpenValue<'c, T> {
    value: NonNull<T>,
    /// The key, if the server has a handle for it; it is closed with this.
    key: Option<Key<'c>>,
}

impl<T> OpenValue<'_, T> {
    pub(crate) fn get(&self) -> &T {
        // SAFETY: as in `Key::native`; without a handle the value is counted as an open key all the same.
        unsafe { self.value.as_ref() }
    }

    /// The value for writing. It was opened to write.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        // SAFETY: as in `Key::native_mut`.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for OpenValue<'_, T> {
    fn drop(&mut self) {
        if self.key.is_none() {
            OPEN_KEYS.with(|keys| keys.set(keys.get() - 1));
        }
    }
}

impl<'h> Ctx<'h> {
    /// Opens a key for its native value. None: it does not exist.
    pub(crate) fn open_value<'c, T: Native>(
        self,
        name: &Text<'_>,
        ty: &Type<T>,
        mode: OpenMode,
    ) -> Result<Option<OpenValue<'c, T>>, Error>
    where
        'h: 'c,
    {
        let Some(open) = bound().api.MortiseOpenValue else {
            return self.open_value_by_handle(name, ty, mode);
        };
        let mut value: *mut c_void = ptr::null_mut();
        // SAFETY: context and name are live, and the type is NULL or registered; the server stores the pointer of a
        // value of this type, which stays until the key is written to in another way.
        let found =
            unsafe { open(self.ptr(), name.ptr(), ty.handle(), mode.bits(), &raw mut value) };
        match (found, NonNull::new(value.cast::<T>())) {
            (abi::OPEN_VALUE_FOUND, Some(value)) => {
                OPEN_KEYS.with(|keys| keys.set(keys.get() + 1));
                Ok(Some(OpenValue { value, key: None }))
            }
            (abi::OPEN_VALUE_MISSING, _) => Ok(None),
            (abi::OPEN_VALUE_REFUSED, _) => Err(Error::Refused("OpenKey")),
            _ => Err(Error::WrongType),
        }
    }

    fn open_value_by_handle<'c, T: Native>(
        self,
        name: &Text<'_>,
        ty: &Type<T>,
        mode: OpenMode,
    ) -> Result<Option<OpenValue<'c, T>>, Error>
    where
        'h: 'c,
    {
        let key = match (self.open_key(name, mode), mode) {
            (Some(key), _) => key,
            (None, OpenMode::Read) => return Ok(None),
            (None, OpenMode::Write) => return Err(Error::Refused("OpenKey")),
        };
        match key.native_ptr(ty) {
            Some(value) => Ok(Some(OpenValue { value, key: Some(key) })),
            None if key.kind() == abi::KEYTYPE_EMPTY => Ok(None),
            None => Err(Error::WrongType),
        }
    }

    /// Opens a key. None: it does not exist (only when reading).
    pub(crate) fn open_key<'c>(self, name: &Text<'_>, mode: OpenMode) -> Option<Key<'c>>
    where
        'h: 'c,
    {
        // SAFETY: both are live; the server keeps its own reference of the name.
        let key = unsafe { (bound().core.OpenKey)(self.ptr(), name.ptr(), mode.bits()) };
        let key = NonNull::new(key)?;
        OPEN_KEYS.with(|keys| keys.set(keys.get() + 1));
        Some(Key { key, context: PhantomData })
    }
}

impl<'c> Key<'c> {
    /// A key that the server lends and closes itself.
    ///
    /// # Safety
    /// `key` is NULL or stays live during `'c`.
    pub(super) unsafe fn lent(key: *mut abi::Key) -> Option<ManuallyDrop<Key<'c>>> {
        NonNull::new(key).map(|key| ManuallyDrop::new(Key { key, context: PhantomData }))
    }

    pub(super) fn ptr(&self) -> *mut abi::Key {
        self.key.as_ptr()
    }

    pub(crate) fn kind(&self) -> c_int {
        // SAFETY: the key is live.
        unsafe { (bound().core.KeyType)(self.ptr()) }
    }

    pub(crate) fn value_length(&self) -> usize {
        // SAFETY: the key is live.
        unsafe { (bound().core.ValueLength)(self.ptr()) }
    }

    pub(crate) fn expire(&self) -> i64 {
        // SAFETY: the key is live.
        unsafe { (bound().core.GetExpire)(self.ptr()) }
    }

    pub(crate) fn abs_expire(&self) -> Result<i64, Error> {
        let get = need!(GetAbsExpire);
        // SAFETY: the key is live.
        Ok(unsafe { get(self.ptr()) })
    }

    /// The bytes of a string value. The server may put another object into the key for it, which
    /// would pull the old one away from under other handles of the key, so there must be none.
    pub(crate) fn string(&self) -> Result<&[u8], Error> {
        if self.kind() != abi::KEYTYPE_STRING {
            return Err(Error::WrongType);
        }
        if OPEN_KEYS.with(Cell::get) > 1 {
            return Err(Error::KeysOpen);
        }
        let mut len = 0;
        // SAFETY: the key is live and holds a string.
        let data = unsafe { (bound().core.StringDMA)(self.ptr(), &raw mut len, abi::READ) };
        // SAFETY: the bytes stay until the value changes, which takes `&mut self` or the context's
        // `&mut`, which the borrow of `self` keeps away.
        Ok(unsafe { super::strings::bytes(data, len) })
    }

    /// A field of a hash. The key must hold a hash or nothing.
    pub(crate) fn hash_get(&self, field: &Text<'_>) -> Result<Option<OwnedString>, Error> {
        let mut value: *mut abi::ModuleString = ptr::null_mut();
        let end: *mut c_void = ptr::null_mut();
        // SAFETY: the key and the field are live; the arguments are a field, a place for its value,
        // and the NULL that ends the list.
        let status = unsafe {
            (bound().core.HashGet)(self.ptr(), abi::HASH_NONE, field.ptr(), &raw mut value, end)
        };
        if status != abi::OK {
            return Err(Error::WrongType);
        }
        // SAFETY: the server gives the value away.
        Ok(unsafe { OwnedString::from_ptr(value) })
    }

    /// When the first of a hash's fields expires that has not yet, in milliseconds of unix time; negative if none does.
    pub(crate) fn hash_min_expire(&self) -> Result<i64, Error> {
        let min_expire = need!(HashFieldMinExpire);
        // SAFETY: the key is live.
        Ok(unsafe { min_expire(self.ptr()) })
    }

    /// When a field of a hash expires, in milliseconds of unix time; negative if it does not.
    pub(crate) fn hash_expire(&self, field: &Text<'_>) -> Result<i64, Error> {
        // A server that does not know the flag would write the value's address into our number; both came together.
        need!(HashFieldMinExpire);
        let mut at: i64 = abi::NO_EXPIRE;
        let end: *mut c_void = ptr::null_mut();
        // SAFETY: the key and the field are live; the arguments are a field, a place for its time, and the NULL that
        // ends the list.
        let status = unsafe {
            let flags = abi::HASH_EXPIRE_TIME;
            (bound().core.HashGet)(self.ptr(), flags, field.ptr(), &raw mut at, end)
        };
        if status != abi::OK {
            return Err(Error::WrongType);
        }
        Ok(at)
    }

    /// One step through a hash, set or sorted set; false at the end.
    pub(crate) fn scan(
        &self,
        cursor: &Cursor,
        callback: &mut ElementCallback<'_>,
    ) -> Result<bool, Error> {
        let scan_key = need!(ScanKey);
        let mut callback = callback;
        let data = (&raw mut callback).cast::<c_void>();
        // SAFETY: key and cursor are live; `scanned` reads `data` as what it is, during the call.
        Ok(unsafe { scan_key(self.ptr(), cursor.ptr(), Some(scanned), data) } != 0)
    }

    pub(crate) fn zset_score(&self, member: &Text<'_>) -> Result<Option<f64>, Error> {
        let zset_score = need!(ZsetScore);
        let mut score = 0.0;
        // SAFETY: all are live; the server checks the type.
        let status = unsafe { zset_score(self.ptr(), member.ptr(), &raw mut score) };
        Ok((status == abi::OK).then_some(score))
    }

    /// The native value, if it is one of this type.
    pub(crate) fn native<T: Native>(&self, ty: &Type<T>) -> Option<&T> {
        // SAFETY: the value is a live box of a `T`. It changes or goes away only through
        // `&mut self` or the context's `&mut`, which the borrow of `self` keeps away; calls nested
        // by the server are kept away by `any_open`.
        self.native_ptr(ty).map(|value| unsafe { value.as_ref() })
    }

    /// The native value for writing. The key is open for writing.
    pub(crate) fn native_mut<T: Native>(&mut self, ty: &Type<T>) -> Option<&mut T> {
        // SAFETY: as above; a key is open for writing only while its context is borrowed
        // exclusively, so this is the only reference.
        self.native_ptr(ty).map(|mut value| unsafe { value.as_mut() })
    }

    /// Whether the value is one of this type.
    pub(crate) fn is_native<T: Native>(&self, ty: &Type<T>) -> bool {
        let Ok(api) = bound().types() else { return false };
        // SAFETY: the key is live; for any value but one of a module type the answer is NULL.
        let found = unsafe { (api.ModuleTypeGetType)(self.ptr()) };
        !found.is_null() && found == ty.handle()
    }

    fn native_ptr<T: Native>(&self, ty: &Type<T>) -> Option<NonNull<T>> {
        if !self.is_native(ty) {
            return None;
        }
        let api = bound().types().ok()?;
        // SAFETY: the key is live and holds a value of a module type; values of this type are boxes of `T`, because only `Type<T>` makes them.
        NonNull::new(unsafe { (api.ModuleTypeGetValue)(self.ptr()) }.cast())
    }

    /// Puts a native value into the key, freeing what it held. The key is open for writing.
    pub(crate) fn set_native<T: Native>(&mut self, ty: &Type<T>, value: T) -> Result<(), Error> {
        let (api, handle) = (bound().types()?, ty.handle());
        if handle.is_null() {
            return Err(Error::new("the native type is not in the module's list of types"));
        }
        let value = Box::into_raw(Box::new(value));
        // SAFETY: the key is live, the type registered, and the value a box of its `T`.
        let status = unsafe { (api.ModuleTypeSetValue)(self.ptr(), handle, value.cast()) };
        if status != abi::OK {
            // SAFETY: the server did not take the box.
            drop(unsafe { Box::from_raw(value) });
        }
        ok(status, "ModuleTypeSetValue")
    }

    pub(crate) fn set_string(&mut self, value: &Text<'_>) -> Result<(), Error> {
        // SAFETY: both are live; the server takes its own reference.
        ok(unsafe { (bound().core.StringSet)(self.ptr(), value.ptr()) }, "StringSet")
    }

    /// Sets a field, or deletes it if there is no value. True if something was there before.
    pub(crate) fn hash_set(
        &mut self,
        field: &Text<'_>,
        value: Option<&Text<'_>>,
    ) -> Result<bool, Error> {
        let value = value.map_or(abi::HASH_DELETE, Text::ptr);
        let end: *mut c_void = ptr::null_mut();
        // SAFETY: all are live; the arguments are a field, its value, and the NULL that ends the
        // list.
        let changed =
            unsafe { (bound().core.HashSet)(self.ptr(), abi::HASH_NONE, field.ptr(), value, end) };
        Ok(changed > 0)
    }

    pub(crate) fn delete(&mut self) -> Result<(), Error> {
        // SAFETY: the key is live and open for writing; references into its value are gone.
        ok(unsafe { (bound().core.DeleteKey)(self.ptr()) }, "DeleteKey")
    }

    pub(crate) fn unlink(&mut self) -> Result<(), Error> {
        match bound().api.UnlinkKey {
            // SAFETY: as in `delete`.
            Some(unlink) => ok(unsafe { unlink(self.ptr()) }, "UnlinkKey"),
            None => self.delete(),
        }
    }

    /// Sets the time to live in milliseconds; `abi::NO_EXPIRE` removes it.
    pub(crate) fn set_expire(&mut self, ttl_ms: i64) -> Result<(), Error> {
        // SAFETY: the key is live; the server checks value and mode.
        ok(unsafe { (bound().core.SetExpire)(self.ptr(), ttl_ms) }, "SetExpire")
    }

    pub(crate) fn set_abs_expire(&mut self, at_ms: i64) -> Result<(), Error> {
        let set = need!(SetAbsExpire);
        // SAFETY: the key is live; the server checks value and mode.
        ok(unsafe { set(self.ptr(), at_ms) }, "SetAbsExpire")
    }
}

/// What a scan of a key calls for each element: field and value, or member and score.
pub(crate) type ElementCallback<'a> = dyn FnMut(&Arg<'_>, Option<&Arg<'_>>) + 'a;

unsafe extern "C" fn scanned(
    _key: *mut abi::Key,
    field: *mut abi::ModuleString,
    value: *mut abi::ModuleString,
    data: *mut c_void,
) {
    // SAFETY: `data` is the pointer that `Key::scan` passed, valid during its call.
    let callback = unsafe { &mut *data.cast::<&mut ElementCallback<'_>>() };
    // SAFETY: the server lends both during this call.
    let (field, value) = unsafe { (Arg::from_ptr(field), Arg::from_ptr(value)) };
    if let Some(field) = field {
        super::boundary(|| callback(&field, value.as_ref())).ok();
    }
}

/// A writable view of a string value, which is kept for the few who need it.
impl Key<'_> {
    /// Changes a string value in place, at its present length.
    pub(crate) fn string_mut(&mut self) -> Option<&mut [u8]> {
        if self.kind() != abi::KEYTYPE_STRING {
            return None;
        }
        let mut len = 0;
        // SAFETY: the key is live, holds a string and is open for writing.
        let data =
            unsafe { (bound().core.StringDMA)(self.ptr(), &raw mut len, abi::READ | abi::WRITE) };
        if data.is_null() {
            return None;
        }
        // SAFETY: the server unshares the value and promises `len` writable bytes until it changes.
        Some(unsafe { slice::from_raw_parts_mut(data.cast(), len) })
    }
}
