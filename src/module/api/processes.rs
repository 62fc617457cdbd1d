//! Children that modules fork, and RDB files that they name.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;

use mortise_module_abi as abi;

use super::super::fork;
use super::super::handle::{ModuleCtx, c_bytes, set_errno, with_current};
use super::super::host::{Foreign, host};

pub(super) unsafe extern "C" fn fork(callback: abi::ForkDoneFunc, data: *mut c_void) -> c_int {
    let forked = with_current(|ctx| fork::fork(ctx, callback, Foreign(data)));
    // A thread without the lock could not give its child a data set that stands still.
    let forked = forked.unwrap_or_else(|| Err(std::io::Error::from_raw_os_error(libc::EPERM)));
    forked.unwrap_or_else(|error| {
        tracing::warn!("Can't fork for module: {}", crate::persist::io::words(&error));
        set_errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
        -1
    })
}

pub(super) unsafe extern "C" fn heartbeat(progress: f64) {
    fork::tell_progress(progress);
}

pub(super) unsafe extern "C" fn exit_from_child(code: c_int) -> c_int {
    fork::exit(code);
    abi::OK
}

pub(super) unsafe extern "C" fn kill_fork_child(pid: c_int) -> c_int {
    match with_current(|ctx| host().children.kill(pid, ctx)) {
        Some(true) => abi::OK,
        _ => abi::ERR,
    }
}

/// Where an RDB file is; the target of `RdbStream` handles.
struct Stream {
    path: PathBuf,
}

pub(super) unsafe extern "C" fn stream_of_file(name: *const c_char) -> *mut abi::RdbStream {
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: modules pass C strings.
    let Some(name) = (unsafe { c_bytes(name) }) else { return std::ptr::null_mut() };
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(name));
    Box::into_raw(Box::new(Stream { path })).cast()
}

pub(super) unsafe extern "C" fn free_stream(stream: *mut abi::RdbStream) {
    if !stream.is_null() {
        // SAFETY: `stream_of_file` made it from a box, and modules free it once.
        drop(unsafe { Box::from_raw(stream.cast::<Stream>()) });
    }
}

/// What both functions check: the stream's path, or the number of the error.
///
/// # Safety
/// `stream` is null or alive for `'a`.
unsafe fn check<'a>(stream: *mut abi::RdbStream, flags: c_int) -> Result<&'a PathBuf, c_int> {
    // SAFETY: alive, as the caller promises.
    match unsafe { stream.cast::<Stream>().as_ref() } {
        Some(stream) if flags == 0 => Ok(&stream.path),
        _ => Err(libc::EINVAL),
    }
}

/// Hands the outcome over as Redis does, which sets `errno` in either case.
fn answer(outcome: Result<(), c_int>) -> c_int {
    set_errno(outcome.err().unwrap_or(0));
    if outcome.is_ok() { abi::OK } else { abi::ERR }
}

pub(super) unsafe extern "C" fn rdb_load(
    ctx: *mut abi::Ctx,
    stream: *mut abi::RdbStream,
    flags: c_int,
) -> c_int {
    // SAFETY: modules pass a live context and a live stream, or null.
    let (ctx, path) = unsafe { (ModuleCtx::borrow(ctx), check(stream, flags)) };
    let loaded = path.and_then(|path| {
        let engine = ctx.and_then(ModuleCtx::engine).ok_or(libc::EINVAL)?;
        engine.env.shared.host.load_from(engine, path)
    });
    answer(loaded)
}

pub(super) unsafe extern "C" fn rdb_save(
    ctx: *mut abi::Ctx,
    stream: *mut abi::RdbStream,
    flags: c_int,
) -> c_int {
    // SAFETY: modules pass a live context and a live stream, or null.
    let (ctx, path) = unsafe { (ModuleCtx::borrow(ctx), check(stream, flags)) };
    let saved = path.and_then(|path| {
        let engine = ctx.and_then(ModuleCtx::engine).ok_or(libc::EINVAL)?;
        engine.env.shared.host.save_to(engine, path)
    });
    answer(saved)
}
