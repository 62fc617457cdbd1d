//! Command filters: what modules do to commands before they are looked up.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_ulonglong};

use mortise_module_abi as abi;

use super::super::filters::Command;
use super::super::handle::{ModString, ModuleCtx};
use super::super::host::host;

/// The handle of a filter is its number, which modules only hand back.
pub(super) unsafe extern "C" fn register(
    ctx: *mut abi::Ctx,
    callback: abi::CommandFilterFunc,
    flags: c_int,
) -> *mut abi::CommandFilter {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::module_of(ctx) };
    let Some(module) = module else { return std::ptr::null_mut() };
    std::ptr::without_provenance_mut(host().filters.add(module, callback, flags) as usize)
}

pub(super) unsafe extern "C" fn unregister(
    ctx: *mut abi::Ctx,
    filter: *mut abi::CommandFilter,
) -> c_int {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::module_of(ctx) };
    match module.is_some_and(|module| host().filters.remove(module, filter.addr() as u64)) {
        true => abi::OK,
        false => abi::ERR,
    }
}

/// The command behind a handle; None for null.
///
/// # Safety
/// `handle` is null or what a filter got for the call that is under way, and no other reference made by this function
/// is in use.
unsafe fn borrow<'a>(handle: *mut abi::CommandFilterCtx) -> Option<&'a mut Command> {
    // SAFETY: alive during the filter's call, and not aliased, as the caller promises.
    unsafe { handle.cast::<Command>().as_mut() }
}

pub(super) unsafe extern "C" fn count(command: *mut abi::CommandFilterCtx) -> c_int {
    // SAFETY: filters pass what they got.
    unsafe { borrow(command) }.map_or(0, |command| command.args.len() as c_int)
}

pub(super) unsafe extern "C" fn get(
    command: *mut abi::CommandFilterCtx,
    at: c_int,
) -> *mut abi::ModuleString {
    // SAFETY: filters pass what they got.
    let command = unsafe { borrow(command) };
    let found = command.and_then(|command| command.args.get(usize::try_from(at).ok()?));
    found.copied().unwrap_or(std::ptr::null_mut())
}

/// Takes the reference to the string over, unless it answers that the position does not exist.
pub(super) unsafe extern "C" fn insert(
    command: *mut abi::CommandFilterCtx,
    at: c_int,
    arg: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: filters pass what they got.
    let (command, at) = (unsafe { borrow(command) }, usize::try_from(at));
    match (command, at) {
        (Some(command), Ok(at)) if at <= command.args.len() && !arg.is_null() => {
            command.args.insert(at, arg);
            abi::OK
        }
        _ => abi::ERR,
    }
}

/// Takes the reference to the string over, as [`insert`] does.
pub(super) unsafe extern "C" fn replace(
    command: *mut abi::CommandFilterCtx,
    at: c_int,
    arg: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: filters pass what they got.
    let command = unsafe { borrow(command) };
    let place = command.and_then(|command| command.args.get_mut(usize::try_from(at).ok()?));
    let Some(place) = place.filter(|_| !arg.is_null()) else { return abi::ERR };
    let before = std::mem::replace(place, arg);
    // SAFETY: the command held a reference to it, which is given up.
    unsafe { ModString::release(before) };
    abi::OK
}

pub(super) unsafe extern "C" fn delete(command: *mut abi::CommandFilterCtx, at: c_int) -> c_int {
    // SAFETY: filters pass what they got.
    let (command, at) = (unsafe { borrow(command) }, usize::try_from(at));
    match (command, at) {
        (Some(command), Ok(at)) if at < command.args.len() => {
            let before = command.args.remove(at);
            // SAFETY: the command held a reference to it, which is given up.
            unsafe { ModString::release(before) };
            abi::OK
        }
        _ => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn client(command: *mut abi::CommandFilterCtx) -> c_ulonglong {
    // SAFETY: filters pass what they got.
    unsafe { borrow(command) }.map_or(0, |command| command.client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_that_do_not_exist_change_nothing() {
        let string = |bytes: &[u8]| ModString::handle(ModString::create(bytes));
        let mut command = Command { args: vec![string(b"a"), string(b"b")], client: 7 };
        let handle: *mut abi::CommandFilterCtx = (&raw mut command).cast();
        let text = |at| {
            // SAFETY: the command is alive, and so are its arguments.
            let bytes = unsafe { ModString::borrow(get(handle, at)) };
            bytes.map(|string| string.as_bytes().to_vec())
        };
        let spare = string(b"spare");
        // SAFETY: the handle is that of a live command; references are handed over only where a call says OK.
        unsafe {
            assert_eq!((count(handle), client(handle)), (2, 7));
            for at in [-1, 2] {
                assert!(get(handle, at).is_null());
                assert_eq!(replace(handle, at, spare), abi::ERR);
                assert_eq!(delete(handle, at), abi::ERR);
            }
            assert_eq!(insert(handle, -1, spare), abi::ERR);
            assert_eq!(insert(handle, 3, spare), abi::ERR);
            assert_eq!(insert(handle, 2, spare), abi::OK);
            assert_eq!(replace(handle, 0, string(b"new")), abi::OK);
            assert_eq!(delete(handle, 1), abi::OK);
            assert_eq!(count(handle), 2);
            assert_eq!(count(std::ptr::null_mut()), 0);
        }
        assert_eq!((text(0), text(1)), (Some(b"new".to_vec()), Some(b"spare".to_vec())));
    }
}
