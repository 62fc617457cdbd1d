//! Keys: opening them by name, their type, length, expiry, and the values of strings.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_longlong, c_ulonglong};

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, OpenKey, Owned, set_errno};
use super::super::native::KeyOptions;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::keyspace::db::{Db, ExpireChange, Slot};
use crate::keyspace::value::{StrRef, Value, ValueRef};
use crate::object::unchecked::Collection;

/// The key behind a handle; None for null.
///
/// # Safety
/// `key` is null or an open key, not otherwise referred to during `'a`.
pub(super) unsafe fn borrow<'a>(key: *mut abi::Key) -> Option<&'a mut OpenKey> {
    // SAFETY: the caller promises it.
    unsafe { key.cast::<OpenKey>().as_mut() }
}

impl OpenKey {
    pub(super) fn ctx(&mut self) -> Option<&mut ModuleCtx> {
        // SAFETY: a context outlives the keys opened with it, and API functions use one at a time.
        unsafe { self.ctx.as_mut() }
    }

    /// Runs `f` with the keyspace to write and where the key is now. None without an engine.
    pub(super) fn write<R>(
        &mut self,
        f: impl FnOnce(&mut WriteCtx<'_>, &[u8], Option<Slot>) -> R,
    ) -> Option<R> {
        let name = &*self.name;
        // SAFETY: as in `ctx`; the context and the name are different objects.
        let engine = unsafe { self.ctx.as_mut() }?.engine()?;
        let mut write = engine.write();
        Some(write.in_db(self.db, |write| {
            let slot = write.peek(name);
            f(write, name, slot)
        }))
    }

    /// Runs `f` with the db and where the key is now; None if the key is not there.
    pub(super) fn read<R>(&mut self, f: impl FnOnce(&Db, Slot) -> R) -> Option<R> {
        // SAFETY: as in `ctx`; the context and the name are different objects.
        let (state, now_ms) = unsafe { self.ctx.as_mut() }?.state()?;
        let db = state.keyspace.db(self.db as usize);
        self.seen = match self.seen {
            Some(seen) => db.find_again(seen, &self.name),
            None => db.find(&self.name),
        };
        let slot = self.seen.filter(|slot| !db.is_expired(*slot, now_ms))?;
        Some(f(db, slot))
    }

    /// Tells the watchers that the key has changed.
    fn touch_watchers(&mut self) {
        // SAFETY: as in `ctx`; the context and the name are different objects.
        if let Some(engine) = unsafe { self.ctx.as_mut() }.and_then(ModuleCtx::engine) {
            engine.write().in_db(self.db, |write| write.touch_watchers(&self.name));
        }
    }

    pub(super) fn is_writable(&self) -> bool {
        self.mode & abi::WRITE != 0
    }
}

pub(super) unsafe extern "C" fn modes_all() -> c_int {
    abi::OPEN_KEY_ALL
}

/// Runs `f` with the engine and a key's name, in the context's db.
///
/// # Safety
/// `ctx` is null or a live context, `name` null or a live string.
unsafe fn with_name<R>(
    ctx: *mut abi::Ctx,
    name: *mut abi::ModuleString,
    f: impl FnOnce(&mut ReadCtx<'_>, &[u8]) -> R,
) -> Option<R> {
    // SAFETY: the caller promises it.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(ctx)?, ModString::borrow(name)?) };
    Some(f(&mut ctx.reader()?, name.as_bytes()))
}

pub(super) unsafe extern "C" fn exists(ctx: *mut abi::Ctx, name: *mut abi::ModuleString) -> c_int {
    // SAFETY: modules pass a live context and a live string.
    let found = unsafe { with_name(ctx, name, |read, name| read.peek(name).is_some()) };
    c_int::from(found.unwrap_or(false))
}

/// Looks a key up for a handle: where it is. The modes say what that leaves behind; opening to write counts as
/// no look-up of a client.
pub(super) fn look_up(read: &mut ReadCtx<'_>, name: &[u8], mode: c_int) -> Option<Slot> {
    let without = |flags: c_int| mode & (flags | abi::OPEN_KEY_NOEFFECTS) == 0;
    let slot = match without(abi::OPEN_KEY_NOEXPIRE) {
        true => read.peek(name),
        false => read.db().read(name, read.expiry_ms()).map(|(slot, _)| slot),
    };
    let to_read = mode & abi::WRITE == 0;
    if to_read && without(abi::OPEN_KEY_NOSTATS) {
        let stats = read.env.stats;
        if slot.is_some() { stats.hits.add(1) } else { stats.misses.add(1) }
    }
    match slot {
        Some(slot) if without(abi::OPEN_KEY_NOTOUCH) => read.touch(slot),
        None if to_read
            && without(abi::OPEN_KEY_NONOTIFY)
            && read.env.shared.is_heard(EventClass::KEY_MISS) =>
        {
            read.unit.missed.push((read.session.db, name.into()));
        }
        _ => {}
    }
    slot
}

pub(super) unsafe extern "C" fn open(
    ctx: *mut abi::Ctx,
    name: *mut abi::ModuleString,
    mode: c_int,
) -> *mut abi::Key {
    // SAFETY: modules pass a live context.
    let beside_readers = unsafe { ModuleCtx::borrow(ctx) }.is_some_and(|c| c.is_beside_readers());
    if mode & abi::WRITE != 0 && beside_readers {
        set_errno(libc::EPERM);
        return std::ptr::null_mut();
    }
    // SAFETY: modules pass a live context and a live string.
    let found = unsafe {
        with_name(ctx, name, |read, name| {
            (look_up(read, name, mode), read.session.db, read.unit.frozen)
        })
    };
    let Some((found, db, frozen)) = found else { return std::ptr::null_mut() };
    if frozen && mode & abi::WRITE != 0 {
        return std::ptr::null_mut();
    }
    if found.is_none() && mode & abi::WRITE == 0 {
        return std::ptr::null_mut();
    }
    // SAFETY: as above.
    let (context, name) = unsafe { (ModuleCtx::borrow(ctx), ModString::borrow(name)) };
    let (Some(context), Some(name)) = (context, name) else { return std::ptr::null_mut() };
    let key = OpenKey::create(std::ptr::from_mut(context), db, name.as_bytes(), found, mode);
    let handle: *mut abi::Key = Box::into_raw(key).cast();
    context.own(Owned::Key(handle));
    handle
}

pub(crate) unsafe extern "C" fn close(key: *mut abi::Key) {
    if key.is_null() {
        return;
    }
    // SAFETY: `open` made it from a box, and modules close a key once.
    let mut key_box = unsafe { Box::from_raw(key.cast::<OpenKey>()) };
    if let Some(ctx) = key_box.ctx() {
        ctx.disown(Owned::Key(key));
    }
    if key_box.wrote {
        key_box.touch_watchers();
    }
    OpenKey::recycle(key_box);
}

pub(super) unsafe extern "C" fn key_type(key: *mut abi::Key) -> c_int {
    // SAFETY: modules pass null or an open key.
    let kind = unsafe { borrow(key) }.and_then(|key| {
        key.read(|db, slot| match db.value(slot) {
            ValueRef::Str(_) => abi::KEYTYPE_STRING,
            ValueRef::List(_) => abi::KEYTYPE_LIST,
            ValueRef::Set(_) => abi::KEYTYPE_SET,
            ValueRef::Zset(_) => abi::KEYTYPE_ZSET,
            ValueRef::Hash(_) => abi::KEYTYPE_HASH,
            ValueRef::Stream(_) => abi::KEYTYPE_STREAM,
            ValueRef::Module(_) => abi::KEYTYPE_MODULE,
            // The functions of that type find nothing in it.
            ValueRef::Unchecked(value) => match value.collection() {
                Collection::List => abi::KEYTYPE_LIST,
                Collection::Set => abi::KEYTYPE_SET,
                Collection::Zset => abi::KEYTYPE_ZSET,
                Collection::Hash => abi::KEYTYPE_HASH,
                Collection::Stream => abi::KEYTYPE_STREAM,
            },
        })
    });
    kind.unwrap_or(abi::KEYTYPE_EMPTY)
}

pub(super) unsafe extern "C" fn value_length(key: *mut abi::Key) -> usize {
    // SAFETY: modules pass null or an open key.
    let len = unsafe { borrow(key) }.and_then(|key| {
        key.read(|db, slot| match db.value(slot) {
            ValueRef::Str(text) => text.len(),
            ValueRef::Module(_) | ValueRef::Unchecked(_) => 0,
            collection => collection.elements(),
        })
    });
    len.unwrap_or(0)
}

pub(super) unsafe extern "C" fn delete(key: *mut abi::Key) -> c_int {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return abi::ERR };
    if !key.is_writable() {
        return abi::ERR;
    }
    key.write(|write, name, slot| {
        if let Some(slot) = slot {
            write.remove(slot);
            write.changed(name);
        }
    });
    key.wrote = true;
    abi::OK
}

pub(super) unsafe extern "C" fn abs_expire(key: *mut abi::Key) -> c_longlong {
    // SAFETY: modules pass null or an open key.
    let at = unsafe { borrow(key) }.and_then(|key| key.read(|db, slot| db.expire_at(slot)));
    at.flatten().unwrap_or(abi::NO_EXPIRE)
}

pub(super) unsafe extern "C" fn expire(key: *mut abi::Key) -> c_longlong {
    // SAFETY: modules pass null or an open key.
    let at = unsafe { abs_expire(key) };
    // SAFETY: as above.
    let now = unsafe { borrow(key) }.and_then(|key| Some(key.ctx()?.reader()?.now_ms()));
    match now {
        Some(now) if at != abi::NO_EXPIRE => (at - now).max(0),
        _ => abi::NO_EXPIRE,
    }
}

/// Sets or removes the expiry.
fn change_expire(key: &mut OpenKey, at: Option<i64>) -> c_int {
    if !key.is_writable() {
        return abi::ERR;
    }
    let done = key.write(|write, name, slot| {
        let Some(slot) = slot else { return false };
        write.db_mut().set_expire(slot, at);
        write.touch_watchers(name);
        true
    });
    if done == Some(true) { abi::OK } else { abi::ERR }
}

pub(super) unsafe extern "C" fn set_abs_expire(key: *mut abi::Key, at: c_longlong) -> c_int {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return abi::ERR };
    match at {
        abi::NO_EXPIRE => change_expire(key, None),
        at if at < 0 => abi::ERR,
        at => change_expire(key, Some(at)),
    }
}

pub(super) unsafe extern "C" fn set_expire(key: *mut abi::Key, after: c_longlong) -> c_int {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return abi::ERR };
    if after == abi::NO_EXPIRE {
        return change_expire(key, None);
    }
    let now = key.ctx().and_then(|ctx| Some(ctx.engine()?.now_ms()));
    match now.and_then(|now| now.checked_add(after)) {
        Some(at) if after >= 0 => change_expire(key, Some(at)),
        _ => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn db_size(ctx: *mut abi::Ctx) -> c_ulonglong {
    // SAFETY: modules pass a live context.
    let reader = unsafe { ModuleCtx::borrow(ctx) }.and_then(ModuleCtx::reader);
    reader.map_or(0, |reader| reader.db().len() as u64)
}

pub(super) unsafe extern "C" fn random_key(ctx: *mut abi::Ctx) -> *mut abi::ModuleString {
    let mut random = [0u8; 8];
    // SAFETY: modules pass a live context.
    let Some(context) = (unsafe { ModuleCtx::borrow(ctx) }) else { return std::ptr::null_mut() };
    if getrandom::fill(&mut random).is_err() {
        return std::ptr::null_mut();
    }
    let name = context.reader().and_then(|reader| {
        let (index, now_ms) = (reader.session.db, reader.now_ms());
        let db = reader.state.keyspace.db(index as usize);
        let note = |key: &[u8]| reader.unit.note_expired(index, key);
        let slot = db.random(u64::from_le_bytes(random), now_ms, note)?;
        Some(db.key(slot).to_vec())
    });
    match name {
        Some(name) => ModuleCtx::new_string(Some(context), &name),
        None => std::ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn signal_modified(
    ctx: *mut abi::Ctx,
    name: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context and a live string.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(ctx), ModString::borrow(name)) };
    if let (Some(engine), Some(name)) = (ctx.and_then(ModuleCtx::engine), name) {
        engine.write().touch_watchers(name.as_bytes());
    }
    abi::OK
}

/// What a callback of a type may ask of the keys it is about.
///
/// # Safety
/// `options` is null or the handle that the callback got.
unsafe fn options<'a>(options: *mut abi::KeyOptCtx) -> Option<&'a KeyOptions> {
    // SAFETY: the caller promises it.
    unsafe { options.cast::<KeyOptions>().as_ref() }
}

pub(super) unsafe extern "C" fn opt_db(ctx: *mut abi::KeyOptCtx) -> c_int {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { options(ctx) }.map_or(-1, |options| options.from_db)
}

pub(super) unsafe extern "C" fn opt_to_db(ctx: *mut abi::KeyOptCtx) -> c_int {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { options(ctx) }.map_or(-1, |options| options.to_db)
}

pub(super) unsafe extern "C" fn opt_key(ctx: *mut abi::KeyOptCtx) -> *const abi::ModuleString {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { options(ctx) }.map_or(std::ptr::null(), |options| options.from)
}

pub(super) unsafe extern "C" fn opt_to_key(ctx: *mut abi::KeyOptCtx) -> *const abi::ModuleString {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { options(ctx) }.map_or(std::ptr::null(), |options| options.to)
}

pub(super) unsafe extern "C" fn name(key: *mut abi::Key) -> *const abi::ModuleString {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return std::ptr::null() };
    let name = key.name.clone();
    let Some(ctx) = key.ctx() else { return std::ptr::null() };
    // The string lives as long as the context, like the key.
    let string = ModString::handle(ModString::create(&name));
    ctx.owned.push(Owned::String(string));
    string
}

pub(super) unsafe extern "C" fn db(key: *mut abi::Key) -> c_int {
    // SAFETY: modules pass null or an open key.
    unsafe { borrow(key) }.map_or(-1, |key| key.db as c_int)
}

pub(super) unsafe extern "C" fn string_set(
    key: *mut abi::Key,
    value: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass null or an open key, and a live string.
    let (key, value) = unsafe { (borrow(key), ModString::borrow(value)) };
    let (Some(key), Some(value)) = (key, value) else { return abi::ERR };
    if !key.is_writable() {
        return abi::ERR;
    }
    key.write(|write, name, slot| {
        write.set_string(name, slot, value.as_bytes(), ExpireChange::Clear);
        write.changed(name);
    });
    key.wrote = true;
    abi::OK
}

pub(super) unsafe extern "C" fn string_dma(
    key: *mut abi::Key,
    len: *mut usize,
    mode: c_int,
) -> *mut c_char {
    const EMPTY: &std::ffi::CStr = c"";
    // SAFETY: null, or the module's variable for the length.
    let Some(len) = (unsafe { len.as_mut() }) else { return std::ptr::null_mut() };
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return std::ptr::null_mut() };
    let to_write = mode & abi::WRITE != 0;
    if to_write && !key.is_writable() {
        return std::ptr::null_mut();
    }
    if key.ctx().is_some_and(|ctx| ctx.is_beside_readers()) {
        return look_at_string(key, len).unwrap_or(std::ptr::null_mut());
    }
    let place = key.write(|write, name, slot| {
        let slot = slot?;
        match write.db().value(slot) {
            ValueRef::Str(StrRef::Bytes(bytes)) if !to_write => {
                Some((bytes.as_ptr().cast_mut().cast(), bytes.len()))
            }
            ValueRef::Str(_) => {
                if to_write {
                    write.changed(name);
                }
                let bytes = write.db_mut().string_bytes_mut(slot, 0)?;
                Some((bytes.as_mut_ptr().cast(), bytes.len()))
            }
            _ => None,
        }
    });
    key.wrote |= to_write;
    match place {
        Some(Some((data, bytes))) => {
            *len = bytes;
            data
        }
        // An empty key reads as the empty string; a key of another type as nothing.
        Some(None) if key.read(|_, _| ()).is_none() => {
            *len = 0;
            EMPTY.as_ptr().cast_mut()
        }
        _ => std::ptr::null_mut(),
    }
}

/// The text of a string beside other readers, where an integer cannot become text in its place: the context
/// holds a copy then.
fn look_at_string(key: &mut OpenKey, len: &mut usize) -> Option<*mut c_char> {
    let (found, integer) = key
        .read(|db, slot| match db.value(slot) {
            ValueRef::Str(StrRef::Bytes(bytes)) => {
                (Some((bytes.as_ptr().cast_mut().cast(), bytes.len())), None)
            }
            ValueRef::Str(StrRef::Int(value)) => (None, Some(value.to_string().into_bytes())),
            _ => (None, None),
        })
        .unwrap_or((None, Some(Vec::new())));
    let place: (*mut c_char, usize) = match integer {
        None => found?,
        Some(text) => {
            let string = ModString::create(&text);
            key.ctx()?.owned.push(Owned::String(ModString::handle(string)));
            // SAFETY: just made, and held by the context until its end.
            let bytes = unsafe { string.as_ref() }.as_bytes();
            (bytes.as_ptr().cast_mut().cast(), bytes.len())
        }
    };
    *len = place.1;
    Some(place.0)
}

/// The longest string that a module may make by StringTruncate, as in Redis.
const STRING_BYTES_MAX: usize = 512 << 20;

pub(super) unsafe extern "C" fn string_truncate(key: *mut abi::Key, len: usize) -> c_int {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return abi::ERR };
    if !key.is_writable() || len > STRING_BYTES_MAX {
        return abi::ERR;
    }
    let done = key.write(|write, name, slot| {
        let slot = match slot {
            Some(slot) => slot,
            None if len == 0 => return true,
            None => write.set_string(name, None, b"", ExpireChange::Clear),
        };
        let edited = write.db_mut().edit_string(slot, |bytes| bytes.resize(len, 0)).is_some();
        if edited {
            write.changed(name);
        }
        edited
    });
    key.wrote = true;
    if done == Some(true) { abi::OK } else { abi::ERR }
}

/// Puts a value of a module's type into a key, whatever was there.
pub(super) fn insert_module(
    key: &mut OpenKey,
    value: crate::object::module::ModuleValue,
) -> Option<()> {
    key.wrote = true;
    key.write(|write, name, slot| {
        if let Some(slot) = slot {
            write.remove(slot);
        }
        write.insert(name, Value::Module(Box::new(value)), None);
        write.changed(name);
        if slot.is_none() {
            write.created(name);
        }
    })
}
