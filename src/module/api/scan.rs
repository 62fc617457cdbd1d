//! Walking over keys, and over the elements of one key.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_void};

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, OpenKey, set_errno};
use super::keys;
use super::strings::exact_double;
use crate::base::number::format_double;
use crate::keyspace::value::ValueRef;

/// A position in a walk; the target of `ScanCursor` handles.
#[derive(Debug, Default)]
struct Cursor {
    position: u64,
    done: bool,
}

/// Elements that one step of a walk visits, about.
const STEP: usize = 10;

pub(super) unsafe extern "C" fn create() -> *mut abi::ScanCursor {
    Box::into_raw(Box::<Cursor>::default()).cast()
}

pub(super) unsafe extern "C" fn restart(cursor: *mut abi::ScanCursor) {
    // SAFETY: modules pass a live cursor.
    if let Some(cursor) = unsafe { cursor.cast::<Cursor>().as_mut() } {
        *cursor = Cursor::default();
    }
}

pub(super) unsafe extern "C" fn destroy(cursor: *mut abi::ScanCursor) {
    if !cursor.is_null() {
        // SAFETY: `create` made it from a box; it is destroyed once.
        drop(unsafe { Box::from_raw(cursor.cast::<Cursor>()) });
    }
}

pub(super) unsafe extern "C" fn scan(
    ctx: *mut abi::Ctx,
    cursor: *mut abi::ScanCursor,
    callback: abi::ScanFunc,
    data: *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live context and a live cursor.
    let (context, cursor) = unsafe { (ModuleCtx::borrow(ctx), cursor.cast::<Cursor>().as_mut()) };
    let (Some(context), Some(cursor), Some(callback)) = (context, cursor, callback) else {
        return 0;
    };
    let Some(reader) = context.reader().filter(|_| !cursor.done) else {
        set_errno(libc::ENOENT);
        return 0;
    };
    let now_ms = reader.now_ms();
    let mut names: Vec<Vec<u8>> = Vec::new();
    cursor.position = reader.db().scan(cursor.position, STEP, |key, _, expire_at| {
        if expire_at.is_none_or(|at| at >= now_ms) {
            names.push(key.to_vec());
        }
    });
    cursor.done = cursor.position == 0;
    // The module runs only after the walk has let go of the keyspace.
    for name in names {
        let name = ModString::handle(ModString::create(&name));
        // SAFETY: the context is live, the string too; the key is closed here, and the reference given up.
        unsafe {
            let key = keys::open(ctx, name, abi::READ | abi::OPEN_KEY_NOEFFECTS);
            if !key.is_null() {
                callback(ctx, name, key, data);
            }
            keys::close(key);
            ModString::release(name);
        }
    }
    set_errno(0);
    c_int::from(!cursor.done)
}

/// An element with what belongs to it; members of sets have nothing.
type ScannedElement = (Vec<u8>, Option<Vec<u8>>);

/// The elements of one step of a walk, copied so that the module runs without a hold on the keyspace, and where the
/// next step begins. An `errno` if there is none.
fn step(key: &mut OpenKey, cursor: &Cursor) -> Result<(Vec<ScannedElement>, u64), c_int> {
    let now = key.ctx().and_then(|ctx| Some(ctx.reader()?.now_ms())).unwrap_or(0).max(0) as u64;
    let from = cursor.position;
    let mut found: Vec<ScannedElement> = Vec::new();
    let next = key.read(|db, slot| {
        if cursor.done {
            return Err(libc::ENOENT);
        }
        Ok(match db.value(slot) {
            ValueRef::Hash(hash) => hash.scan(from, STEP, now, &mut |field, value| {
                found.push((field.to_vec(), Some(value.to_vec())));
            }),
            ValueRef::Set(set) => set.scan(from, STEP, &mut |member| {
                found.push((member.to_vec(), None));
            }),
            ValueRef::Zset(zset) => {
                // Redis shows the text of a small form, and all digits otherwise.
                let is_large = zset.is_large();
                zset.scan(from, STEP, &mut |member, score| {
                    let score = match is_large {
                        true => exact_double(score).into_bytes(),
                        false => format_double(score).as_bytes().to_vec(),
                    };
                    found.push((member.to_vec(), Some(score)));
                })
            }
            _ => return Err(libc::EINVAL),
        })
    });
    Ok((found, next.unwrap_or(Err(libc::EINVAL))?))
}

pub(super) unsafe extern "C" fn scan_key(
    key: *mut abi::Key,
    cursor: *mut abi::ScanCursor,
    callback: abi::ScanKeyFunc,
    data: *mut c_void,
) -> c_int {
    // SAFETY: modules pass an open key and a live cursor.
    let (open, cursor) = unsafe { (keys::borrow(key), cursor.cast::<Cursor>().as_mut()) };
    let (Some(open), Some(cursor), Some(callback)) = (open, cursor, callback) else {
        set_errno(libc::EINVAL);
        return 0;
    };
    let step = step(open, cursor);
    let (elements, next) = match step {
        Ok(step) => step,
        Err(error) => {
            set_errno(error);
            return 0;
        }
    };
    cursor.position = next;
    cursor.done = next == 0;
    let make = |bytes: Vec<u8>| ModString::handle(ModString::create(&bytes));
    for (field, value) in elements {
        let (field, value) = (make(field), value.map_or(std::ptr::null_mut(), make));
        // SAFETY: the key is open and the strings live during the call; their references are given up.
        unsafe {
            callback(key, field, value, data);
            ModString::release(field);
            ModString::release(value);
        }
    }
    set_errno(0);
    c_int::from(next != 0)
}
