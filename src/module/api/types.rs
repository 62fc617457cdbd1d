//! Native types: registering one, and the values that keys hold of it.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_longlong, c_void};
use std::sync::{Arc, OnceLock};

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, c_slice, c_text};
use super::super::host::host;
use super::super::native::{DigestWriter, NativeType, type_id};
use super::keys::{borrow, insert_module, look_up};
use crate::keyspace::value::ValueRef;
use crate::object::module::ModuleValue;

/// How many bytes of the method table each version of it has.
fn table_bytes(version: u64) -> usize {
    match version {
        0 | 1 => 56,
        2 => 80,
        3 => 112,
        4 => 144,
        _ => size_of::<abi::TypeMethods>(),
    }
}

pub(super) unsafe extern "C" fn method_version() -> c_int {
    abi::TYPE_METHOD_VERSION as c_int
}

pub(super) unsafe extern "C" fn create(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    encver: c_int,
    methods: *mut abi::TypeMethods,
) -> *mut abi::ModuleType {
    // SAFETY: modules pass a live context and a C string.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(ctx), c_text(name)) };
    let Some(module) = ctx.filter(|ctx| ctx.loading).and_then(|ctx| ctx.module.as_deref().cloned())
    else {
        return std::ptr::null_mut();
    };
    let Some(id) = type_id(&name, encver).filter(|id| *id != 0) else {
        return std::ptr::null_mut();
    };
    if methods.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the table begins with its version in every version of it.
    let version = unsafe { (&raw const (*methods).version).read() };
    if version == 0 {
        return std::ptr::null_mut();
    }
    let mut own = abi::TypeMethods::EMPTY;
    // SAFETY: a table of this version has at least so many bytes, and our copy has room for them; all
    // fields are numbers or nullable function pointers.
    unsafe {
        std::ptr::copy_nonoverlapping(
            methods.cast::<u8>(),
            (&raw mut own).cast::<u8>(),
            table_bytes(version),
        );
    }
    let mut records = host().records.lock();
    if records.types.iter().any(|known| known.name == name) {
        return std::ptr::null_mut();
    }
    let fetch = OnceLock::new();
    let native = Arc::new(NativeType { module, name, id, methods: own, fetch });
    records.types.push(Arc::clone(&native));
    handle(&native)
}

/// The handle of a type: the address of its record, which lives as long as the process.
fn handle(native: &Arc<NativeType>) -> *mut abi::ModuleType {
    Arc::as_ptr(native).cast_mut().cast()
}

/// The type behind a handle.
pub(super) fn find(handle_of: *const abi::ModuleType) -> Option<Arc<NativeType>> {
    let records = host().records.lock();
    records.types.iter().find(|native| handle(native).cast_const() == handle_of).cloned()
}

/// `MortiseSetTypeFetch`, which no other server has: before the first command of a batch runs, `fetch` is called for the values
/// that its commands name, so that it asks for their memory while other commands wait for theirs.
pub(super) unsafe extern "C" fn set_fetch(
    kind: *mut abi::ModuleType,
    fetch: abi::TypeFetchFunc,
) -> c_int {
    let (Some(native), Some(fetch)) = (find(kind), fetch) else { return abi::ERR };
    match native.fetch.set(fetch) {
        Ok(()) => abi::OK,
        Err(_) => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn set_value(
    key: *mut abi::Key,
    kind: *mut abi::ModuleType,
    value: *mut c_void,
) -> c_int {
    // SAFETY: modules pass null or an open key.
    let key = unsafe { borrow(key) }.filter(|key| key.is_writable());
    let (Some(key), Some(native)) = (key, find(kind)) else { return abi::ERR };
    match insert_module(key, ModuleValue::new(native, value as usize)) {
        Some(()) => abi::OK,
        None => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn replace_value(
    key: *mut abi::Key,
    kind: *mut abi::ModuleType,
    value: *mut c_void,
    old: *mut *mut c_void,
) -> c_int {
    // SAFETY: modules pass null or an open key.
    let key = unsafe { borrow(key) }.filter(|key| key.is_writable());
    let (Some(key), Some(native)) = (key, find(kind)) else { return abi::ERR };
    let id = native.id;
    let swapped = key.write(|write, name, slot| {
        use crate::keyspace::value::ValueMut;
        let ValueMut::Module(place) = write.db_mut().value_mut(slot?) else { return None };
        if !place.is_type(id) {
            return None;
        }
        let before = std::mem::replace(place, ModuleValue::new(native, value as usize));
        write.touch_watchers(name);
        Some(before.into_pointer())
    });
    let Some(Some(before)) = swapped else { return abi::ERR };
    // SAFETY: null, or the module's variable.
    if let Some(old) = unsafe { old.as_mut() } {
        *old = before as *mut c_void;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn get_type(key: *mut abi::Key) -> *mut abi::ModuleType {
    // SAFETY: modules pass null or an open key.
    let found = unsafe { borrow(key) }.and_then(|key| {
        key.read(|db, slot| match db.value(slot) {
            // All types are records of this host, so the address of one is its handle.
            ValueRef::Module(value) => Arc::as_ptr(value.vtable()).cast_mut().cast(),
            _ => std::ptr::null_mut(),
        })
    });
    found.unwrap_or(std::ptr::null_mut())
}

pub(super) unsafe extern "C" fn get_value(key: *mut abi::Key) -> *mut c_void {
    // SAFETY: modules pass null or an open key. A module that opened the key to write may change the
    // value through the pointer: that is a write access, told to the keyspace here.
    let Some(key) = (unsafe { borrow(key) }) else { return std::ptr::null_mut() };
    let pointer = |value: &ModuleValue| value.pointer() as *mut c_void;
    let value = if key.is_writable() {
        use crate::keyspace::value::ValueMut;
        key.wrote = true;
        key.write(|write, _, slot| match write.db_mut().value_mut(slot?) {
            ValueMut::Module(value) => Some(pointer(value)),
            _ => None,
        })
    } else {
        key.read(|db, slot| match db.value(slot) {
            ValueRef::Module(value) => Some(pointer(value)),
            _ => None,
        })
    };
    value.flatten().unwrap_or(std::ptr::null_mut())
}

/// `MortiseOpenValue`, which no other server has: what OpenKey, ModuleTypeGetType, ModuleTypeGetValue and CloseKey do for a
/// value of a known type, with one look-up instead of three and without a handle. Most commands of a module that has a
/// type want just that. The value may be used until the key changes in another way, or the call into the module ends.
pub(super) unsafe extern "C" fn open_value(
    ctx: *mut abi::Ctx,
    name: *mut abi::ModuleString,
    kind: *mut abi::ModuleType,
    mode: c_int,
    value: *mut *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live context, a live string and their variable.
    let (ctx, name, place) =
        unsafe { (ModuleCtx::borrow(ctx), ModString::borrow(name), value.as_mut()) };
    let (Some(ctx), Some(name), Some(place)) = (ctx, name, place) else {
        return abi::OPEN_VALUE_REFUSED;
    };
    let name = name.as_bytes();
    let pointer_in = |value: ValueRef<'_>| match value {
        // All types are records of this host, so the address of one is its handle.
        ValueRef::Module(value) if std::ptr::eq(Arc::as_ptr(value.vtable()).cast(), kind) => {
            Some(value.pointer() as *mut c_void)
        }
        _ => None,
    };
    let found = if mode & abi::WRITE == 0 {
        let Some(mut read) = ctx.reader() else { return abi::OPEN_VALUE_REFUSED };
        match mode {
            // What a client's command does, in one way through the table.
            abi::READ => read.value(name).map(pointer_in),
            mode => look_up(&mut read, name, mode).map(|slot| pointer_in(read.db().value(slot))),
        }
    } else {
        let engine = ctx.engine().filter(|engine| !engine.unit.frozen);
        let Some(engine) = engine else { return abi::OPEN_VALUE_REFUSED };
        let mut write = engine.write();
        write.find_value(name, pointer_in).map(|(slot, pointer)| {
            let pointer = pointer?;
            // The module may change the value from now on: a write access, told to the keyspace and to the watchers.
            write.db().before_write(slot);
            write.touch_watchers(name);
            Some(pointer)
        })
    };
    match found {
        None => abi::OPEN_VALUE_MISSING,
        Some(None) => abi::OPEN_VALUE_OTHER,
        Some(Some(pointer)) => {
            *place = pointer;
            abi::OPEN_VALUE_FOUND
        }
    }
}

/// The writer behind a handle.
///
/// # Safety
/// `digest` is null or the handle that the module's callback got.
unsafe fn writer<'a>(digest: *mut abi::Digest) -> Option<&'a mut DigestWriter<'a>> {
    // SAFETY: the caller promises it; the lifetime is that of the callback.
    unsafe { digest.cast::<DigestWriter<'a>>().as_mut() }
}

pub(super) unsafe extern "C" fn digest_add_string(
    digest: *mut abi::Digest,
    data: *const c_char,
    len: usize,
) {
    // SAFETY: modules pass the handle that their callback got, and `len` bytes.
    if let Some(writer) = unsafe { writer(digest) } {
        // SAFETY: as above.
        writer.sink.add(unsafe { c_slice(data, len) });
    }
}

pub(super) unsafe extern "C" fn digest_add_int(digest: *mut abi::Digest, value: c_longlong) {
    // SAFETY: modules pass the handle that their callback got.
    if let Some(writer) = unsafe { writer(digest) } {
        writer.sink.add(value.to_string().as_bytes());
    }
}

pub(super) unsafe extern "C" fn digest_end(digest: *mut abi::Digest) {
    // SAFETY: modules pass the handle that their callback got.
    if let Some(writer) = unsafe { writer(digest) } {
        writer.sink.end_sequence();
    }
}

pub(super) unsafe extern "C" fn digest_db(digest: *mut abi::Digest) -> c_int {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { writer(digest) }.map_or(-1, |writer| writer.db)
}

pub(super) unsafe extern "C" fn digest_key(digest: *mut abi::Digest) -> *const abi::ModuleString {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { writer(digest) }.map_or(std::ptr::null(), |writer| writer.key)
}
