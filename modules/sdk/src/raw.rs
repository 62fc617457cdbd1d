//! How does safe code reach the C API?
//!
//! All `unsafe` of the crate is in this module. What it offers to the rest is safe to call, because
//! the pointers of the API are wrapped in handles that carry the proof with them:
//!
//! - A handle ([`Ctx`], [`Key`](keys::Key), [`Arg`](strings::Arg), ...) is created only here, from
//!   a pointer that the server has just given us, with a lifetime no longer than the server's
//!   promise for it. Wherever a comment says "live", this is meant.
//! - Handles of contexts and keys are neither `Send` nor `Sync`, so they stay on the thread that
//!   holds the server's lock; what may leave it says so where it is declared.
//! - The function pointers come from the server under the name whose C signature the table in
//!   `mortise-module-abi` declares, so calling one with arguments of these types is what the server
//!   expects.
//! - Nothing unwinds into the server: every function that it calls goes through [`boundary`].
#![allow(unsafe_code, reason = "this is the one place where the C API is called")]

mod alloc;
mod blocked;
mod calls;
mod collections;
mod context;
mod counting;
mod docs;
mod entry;
pub mod foreign;
mod keys;
mod moving;
mod native;
mod on_keys;
mod replies;
mod shared;
mod strings;
mod tables;
mod users;

use std::cell::Cell;
use std::ffi::{CStr, CString, c_void};
use std::mem::{size_of, transmute_copy};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

use mortise_module_abi as abi;
use mortise_module_abi::for_each_api;

use crate::error::Error;

pub use alloc::ModuleAllocator;
pub use counting::CountingAllocator;
pub use entry::{load, unload};
pub use moving::Mover;
pub use native::{RegisterType, Type, prefetch};
pub use strings::{Arg, OwnedString, Text};

pub(crate) use blocked::{Answer, BlockedHandle, Detached};
pub(crate) use calls::{Node, Reply, ReplyKind};
pub(crate) use collections::{Place, ScoreRange};
pub(crate) use context::{Ctx, Cursor};
pub(crate) use entry::CommandEntry;
pub(crate) use keys::{Key, OpenMode, OpenValue, any_open};
pub(crate) use native::{Digest, Io, LoadedBytes};
pub(crate) use on_keys::Ready;
pub(crate) use replies::Container;
pub(crate) use shared::ImportedService;
pub(crate) use tables::{ConfigRegistration, Info, LentString, has_configs};
pub(crate) use users::{OwnUser, UserHandle};

macro_rules! declare_api {
    ($($group:literal { $(
        $kind:ident $name:ident $since:literal ($($param:tt)*) $(-> $ret:ty)?;
    )* })*) => {
        /// Every function of the API that the server has.
        #[allow(non_snake_case, dead_code, reason = "one field per function, under its C name")]
        pub(crate) struct Api { $($(pub(crate) $name: Option<abi::api::$name>,)*)* }

        impl Api {
            fn find(get_api: abi::api::GetApi) -> Api {
                Api { $($(
                    // SAFETY: the name and the type come from one entry of the table.
                    $name: unsafe {
                        find(get_api, concat!("RedisModule_", stringify!($name), "\0"))
                    },
                )*)* }
            }
        }
    };
}

for_each_api!(declare_api);

/// Declares functions that are of use only together.
macro_rules! declare_group {
    ($(#[$doc:meta])* $group:ident: $($name:ident)*) => {
        $(#[$doc])*
        #[allow(non_snake_case, reason = "one field per function, under its C name")]
        pub(crate) struct $group { $(pub(crate) $name: abi::api::$name,)* }

        impl $group {
            fn from(api: &Api) -> Result<$group, Error> {
                Ok($group { $($name: api.$name.ok_or(Error::Unsupported(stringify!($name)))?,)* })
            }
        }
    };
}

declare_group! {
    /// The functions without which nothing works; a server that lacks one is refused at load.
    Core:
    Free Log SetModuleAttribs CreateCommand GetContextFlags GetSelectedDb SelectDb
    CreateString FreeString StringPtrLen
    ReplyWithLongLong ReplyWithError ReplyWithSimpleString ReplyWithArray ReplySetArrayLength
    ReplyWithStringBuffer ReplyWithString ReplyWithNull ReplyWithDouble WrongArity
    Call FreeCallReply CallReplyType CallReplyInteger CallReplyLength CallReplyArrayElement
    CallReplyStringPtr Replicate ReplicateVerbatim
    OpenKey CloseKey KeyType ValueLength DeleteKey GetExpire SetExpire StringSet StringDMA
    HashSet HashGet
}

declare_group! {
    /// What native types need.
    Types:
    CreateDataType ModuleTypeSetValue ModuleTypeGetType ModuleTypeGetValue
    SaveUnsigned LoadUnsigned SaveSigned LoadSigned SaveDouble LoadDouble SaveStringBuffer
    LoadStringBuffer EmitAOF DigestAddStringBuffer DigestAddLongLong DigestEndSequence
}

declare_group! {
    /// What threads and waiting clients need.
    Threads:
    BlockClient UnblockClient GetBlockedClientPrivateData GetThreadSafeContext
    FreeThreadSafeContext ThreadSafeContextLock ThreadSafeContextUnlock
}

/// The API as this module sees it.
pub(crate) struct Bound {
    pub(crate) core: Core,
    types: Result<Types, Error>,
    threads: Result<Threads, Error>,
    pub(crate) api: Api,
}

impl Bound {
    /// What native types need, or the error that names what is missing.
    pub(crate) fn types(&self) -> Result<&Types, Error> {
        self.types.as_ref().map_err(Error::clone)
    }

    /// What threads need, or the error that names what is missing.
    pub(crate) fn threads(&self) -> Result<&Threads, Error> {
        self.threads.as_ref().map_err(Error::clone)
    }
}

static BOUND: OnceLock<Bound> = OnceLock::new();

/// The functions of the server.
pub(crate) fn bound() -> &'static Bound {
    BOUND.get().expect("handles exist only after the entry point has bound the API")
}

/// The functions of the server, unless the module was never loaded (as in unit tests).
pub(crate) fn try_bound() -> Option<&'static Bound> {
    BOUND.get()
}

/// An optional function of the API, or the error that names it.
macro_rules! need {
    ($name:ident) => {
        $crate::raw::bound()
            .api
            .$name
            .ok_or($crate::error::Error::Unsupported(stringify!($name)))?
    };
}
use need;

/// Looks all functions up. Later calls change nothing.
fn bind(get_api: abi::api::GetApi) -> Result<&'static Bound, Error> {
    if let Some(bound) = BOUND.get() {
        return Ok(bound);
    }
    let api = Api::find(get_api);
    let (core, types, threads) = (Core::from(&api)?, Types::from(&api), Threads::from(&api));
    Ok(BOUND.get_or_init(|| Bound { core, types, threads, api }))
}

/// Finds one function.
///
/// # Safety
/// `F` is the function pointer type that the table declares for `name`, which ends in a NUL.
unsafe fn find<F: Copy>(get_api: abi::api::GetApi, name: &'static str) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let name = CStr::from_bytes_with_nul(name.as_bytes()).expect("the macro appends the NUL");
    let mut found: *mut c_void = ptr::null_mut();
    // SAFETY: the server stores a pointer into `found` or leaves it alone.
    let status = unsafe { get_api(name.as_ptr(), (&raw mut found).cast()) };
    if status != abi::OK || found.is_null() {
        return None;
    }
    // SAFETY: of equal size, checked above; the server's pointer is a function of type `F` by this
    // function's contract.
    Some(unsafe { transmute_copy::<*mut c_void, F>(&found) })
}

thread_local! {
    /// How many calls from the server into this module are on this thread's stack.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread is inside a call from the server, and so holds its lock.
pub(crate) fn inside_call() -> bool {
    DEPTH.with(|depth| depth.get() > 0)
}

/// Runs `body` as a part of a call from the server.
fn with_depth<R>(body: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(depth.get() - 1));
        }
    }
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let _leave = Leave;
    body()
}

/// Runs what the server called. A panic ends here, as its message.
pub(crate) fn boundary<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(|| with_depth(body))).map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "(no message)".to_owned());
        log_raw(None, abi::LOGLEVEL_WARNING, &format!("panic in a module callback: {text}"));
        text
    })
}

/// As [`boundary`], where the server offers no way to report a failure: the process ends rather than
/// go on with half a value.
pub(crate) fn boundary_or_abort<R>(what: &str, body: impl FnOnce() -> R) -> R {
    boundary(body).unwrap_or_else(|_| {
        log_raw(None, abi::LOGLEVEL_WARNING, &format!("cannot continue after a panic in {what}"));
        std::process::abort()
    })
}

/// Writes a line into the server's log; without a server, to standard error.
pub(crate) fn log_raw(ctx: Option<Ctx<'_>>, level: &CStr, text: &str) {
    let Some(bound) = try_bound() else {
        eprintln!("{}: {text}", level.to_string_lossy());
        return;
    };
    let ctx = ctx.map_or(ptr::null_mut(), Ctx::ptr);
    // The text is an argument, never the format, and carries its own length.
    let len = text.len().min(LOG_LINE_MAX) as std::ffi::c_int;
    // SAFETY: `ctx` is live or NULL, which Log allows; "%.*s" reads at most `len` bytes of the text.
    unsafe { (bound.core.Log)(ctx, level.as_ptr(), c"%.*s".as_ptr(), len, text.as_ptr()) };
}

/// The server cuts lines at 1 KiB anyway.
const LOG_LINE_MAX: usize = 1024;

/// A C string for names and short texts: what cannot be in one (NUL) is left out.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text)
        .unwrap_or_else(|_| CString::new(text.replace('\0', "")).expect("NULs are gone"))
}

/// Names up to this length cost no allocation.
const NAME_BYTES_USUAL: usize = 64;

/// Runs `f` with a name as a C string.
pub(crate) fn with_c_string<R>(name: &str, f: impl FnOnce(&CStr) -> R) -> R {
    let mut few = [0; NAME_BYTES_USUAL];
    if name.len() < few.len() {
        few[..name.len()].copy_from_slice(name.as_bytes());
        if let Ok(name) = CStr::from_bytes_with_nul(&few[..=name.len()]) {
            return f(name);
        }
    }
    f(&c_string(name))
}

/// The server's version as 0x00MMmmpp, 0 if it does not tell.
pub(crate) fn server_version() -> i32 {
    // SAFETY: no preconditions.
    bound().api.GetServerVersion.map_or(0, |version| unsafe { version() })
}

/// Whether `E` in a call's format is known (Redis 7.0).
pub(crate) fn has_error_replies() -> bool {
    bound().api.KeyExists.is_some()
}

/// Whether commands can be documented (Redis 7.0).
pub(crate) fn has_command_info() -> bool {
    bound().api.SetCommandInfo.is_some() && bound().api.GetCommand.is_some()
}

/// Whether commands can be declared parallel (Mortise).
pub(crate) fn has_parallel_commands() -> bool {
    bound().api.MortiseSetCommandParallel.is_some() && bound().api.GetCommand.is_some()
}

/// Whether commands can be put into ACL categories (Redis 7.2).
pub(crate) fn has_command_categories() -> bool {
    bound().api.SetCommandACLCategories.is_some() && bound().api.GetCommand.is_some()
}
