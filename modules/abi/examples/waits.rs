//! A module on the bare ABI whose clients wait in every way there is, for `tests/waits.rs`.
//!
//! It speaks to the server as a C module does, so it also shows that the table of this crate is enough to
//! write one.
#![allow(unsafe_code, reason = "a module on the bare ABI")]
#![allow(unsafe_op_in_unsafe_fn, reason = "each function here is one sequence of foreign calls")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the server alone calls these functions, as the ABI says"
)]

use std::ffi::{CStr, c_char, c_int, c_longlong, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use mortise_module_abi::{self as abi, api};

/// The functions that the module uses, each of which the server must have.
macro_rules! functions {
    ($($name:ident),* $(,)?) => {
        #[allow(non_snake_case, reason = "the names of the ABI")]
        struct Api { $($name: api::$name),* }

        impl Api {
            unsafe fn bind(get: unsafe extern "C" fn(*const c_char, *mut c_void) -> c_int) -> Option<Api> {
                Some(Api { $($name: {
                    let name = concat!("RedisModule_", stringify!($name), "\0");
                    let mut found: Option<api::$name> = None;
                    get(name.as_ptr().cast(), (&raw mut found).cast());
                    found?
                }),* })
            }
        }
    };
}

functions! {
    SetModuleAttribs, CreateCommand, ReplyWithSimpleString, ReplyWithString, ReplyWithLongLong,
    ReplyWithCallReply, StringPtrLen, StringToLongLong, CreateString, OpenKey, CloseKey, ValueLength,
    BlockClient, UnblockClient, AbortBlock, BlockClientOnKeysWithFlags, BlockClientOnKeys,
    SignalKeyAsReady, GetBlockedClientReadyKey, GetBlockedClientPrivateData, SetDisconnectCallback,
    BlockClientSetPrivateData, BlockClientGetPrivateData, RegisterAuthCallback, BlockClientOnAuth,
    AuthenticateClientWithACLUser, GetThreadSafeContext, FreeThreadSafeContext, Call, CallReplyType,
    FreeCallReply, CallReplyPromiseSetUnblockHandler, CallReplyPromiseAbort, Yield,
}

static API: OnceLock<Api> = OnceLock::new();
/// Blocks of private data that came back.
static FREED: AtomicI64 = AtomicI64::new(0);
/// Clients that disconnected.
static GONE: AtomicI64 = AtomicI64::new(0);

type Args = *mut *mut abi::ModuleString;

fn api() -> &'static Api {
    API.get().expect("bound when the module was loaded")
}

unsafe fn text<'a>(string: *mut abi::ModuleString) -> &'a [u8] {
    let mut len = 0;
    let bytes = (api().StringPtrLen)(string, &raw mut len);
    std::slice::from_raw_parts(bytes.cast(), len)
}

unsafe fn number(string: *mut abi::ModuleString) -> c_longlong {
    let mut value = 0;
    (api().StringToLongLong)(string, &raw mut value);
    value
}

unsafe fn simple(ctx: *mut abi::Ctx, text: &CStr) -> c_int {
    (api().ReplyWithSimpleString)(ctx, text.as_ptr())
}

/// `waits.keys LEAST TIMEOUT deleted|created|endless KEY...`: waits until one of the lists has so many elements.
unsafe extern "C" fn keys(ctx: *mut abi::Ctx, argv: Args, argc: c_int) -> c_int {
    let argv = std::slice::from_raw_parts_mut(argv, argc as usize);
    let data = Box::into_raw(Box::new(number(argv[1]))).cast::<c_void>();
    let (timeout_ms, how) = (number(argv[2]), text(argv[3]));
    let flags = match how {
        b"deleted" => abi::BLOCK_UNBLOCK_DELETED,
        _ => abi::BLOCK_UNBLOCK_DEFAULT,
    };
    let timeout: abi::CmdFunc = if how == b"endless" { None } else { Some(timed_out) };
    let (wanted, count) = (argv[4..].as_mut_ptr(), argc - 4);
    let handle = if how == b"created" {
        (api().BlockClientOnKeys)(
            ctx,
            Some(ready),
            timeout,
            Some(free_data),
            timeout_ms,
            wanted,
            count,
            data,
        )
    } else {
        (api().BlockClientOnKeysWithFlags)(
            ctx,
            Some(ready),
            timeout,
            Some(free_data),
            timeout_ms,
            wanted,
            count,
            data,
            flags,
        )
    };
    (api().SetDisconnectCallback)(handle, Some(disconnected));
    abi::OK
}

unsafe extern "C" fn ready(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    let name = (api().GetBlockedClientReadyKey)(ctx);
    let least = (api().GetBlockedClientPrivateData)(ctx).cast::<c_longlong>().read();
    let key = (api().OpenKey)(ctx, name, abi::READ);
    if key.is_null() {
        return simple(ctx, c"gone");
    }
    let len = (api().ValueLength)(key.cast());
    (api().CloseKey)(key.cast());
    if (len as c_longlong) < least {
        return abi::ERR;
    }
    (api().ReplyWithString)(ctx, name)
}

unsafe extern "C" fn timed_out(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    simple(ctx, c"too late")
}

unsafe extern "C" fn free_data(_: *mut abi::Ctx, data: *mut c_void) {
    drop(Box::from_raw(data.cast::<c_longlong>()));
    FREED.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn disconnected(_: *mut abi::Ctx, _: *mut abi::BlockedClient) {
    GONE.fetch_add(1, Ordering::Relaxed);
}

/// `waits.signal KEY`: says that something has happened to a key.
unsafe extern "C" fn signal(ctx: *mut abi::Ctx, argv: Args, _: c_int) -> c_int {
    (api().SignalKeyAsReady)(ctx, *argv.add(1));
    simple(ctx, c"OK")
}

/// `waits.freed`: blocks of private data that came back; `waits.gone`: clients that disconnected.
unsafe extern "C" fn freed(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    (api().ReplyWithLongLong)(ctx, FREED.load(Ordering::Relaxed))
}

unsafe extern "C" fn gone(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    (api().ReplyWithLongLong)(ctx, GONE.load(Ordering::Relaxed))
}

/// `waits.guard`: has a say in who logs in from now on. The password says what that is.
unsafe extern "C" fn guard(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    (api().RegisterAuthCallback)(ctx, Some(asked));
    simple(ctx, c"OK")
}

/// What is said later.
const ALLOW: c_longlong = 1;
const DENY: c_longlong = 2;

unsafe extern "C" fn asked(
    ctx: *mut abi::Ctx,
    username: *mut abi::ModuleString,
    password: *mut abi::ModuleString,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    match text(password) {
        b"allow" => say(ctx, username, ALLOW, error),
        b"deny" => say(ctx, username, DENY, error),
        later @ (b"later allow" | b"later deny" | b"later nothing" | b"later abort") => {
            let handle = (api().BlockClientOnAuth)(ctx, Some(said), Some(free_data));
            let handle = handle as usize;
            let later = later.to_vec();
            std::thread::spawn(move || {
                let verdict = match &later[6..] {
                    b"allow" => ALLOW,
                    b"deny" => DENY,
                    _ => 0,
                };
                let handle = handle as *mut abi::BlockedClient;
                // SAFETY: the handle is alive until it is unblocked, which may happen on any thread.
                unsafe {
                    if later.ends_with(b"abort") {
                        (api().AbortBlock)(handle);
                    } else {
                        (api().UnblockClient)(handle, Box::into_raw(Box::new(verdict)).cast());
                    }
                }
            });
            abi::AUTH_HANDLED
        }
        _ => abi::AUTH_NOT_HANDLED,
    }
}

unsafe extern "C" fn said(
    ctx: *mut abi::Ctx,
    username: *mut abi::ModuleString,
    _: *mut abi::ModuleString,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    let verdict = (api().GetBlockedClientPrivateData)(ctx).cast::<c_longlong>().read();
    say(ctx, username, verdict, error)
}

unsafe fn say(
    ctx: *mut abi::Ctx,
    username: *mut abi::ModuleString,
    verdict: c_longlong,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    match verdict {
        ALLOW => {
            let name = text(username);
            let (name, len, none) = (name.as_ptr().cast(), name.len(), std::ptr::null_mut());
            (api().AuthenticateClientWithACLUser)(ctx, name, len, None, none, std::ptr::null_mut());
            abi::AUTH_HANDLED
        }
        DENY => {
            let why = b"not today";
            *error = (api().CreateString)(ctx, why.as_ptr().cast(), why.len());
            abi::AUTH_HANDLED
        }
        _ => abi::AUTH_NOT_HANDLED,
    }
}

/// `waits.call COMMAND ARGUMENT...`: calls a command that may wait, and notes that it has ended in the key `kept`.
unsafe extern "C" fn call(ctx: *mut abi::Ctx, argv: Args, argc: c_int) -> c_int {
    let name = (api().StringPtrLen)(*argv.add(1), std::ptr::null_mut());
    let reply = (api().Call)(ctx, name, c"!KEv".as_ptr(), argv.add(2), (argc - 2) as usize);
    if (api().CallReplyType)(reply) != abi::REPLY_PROMISE {
        (api().ReplyWithCallReply)(ctx, reply);
        (api().FreeCallReply)(reply);
        return abi::OK;
    }
    let handle = (api().BlockClient)(ctx, None, None, Some(free_promise), 0);
    (api().SetDisconnectCallback)(handle, Some(give_up));
    (api().BlockClientSetPrivateData)(handle, reply.cast());
    (api().CallReplyPromiseSetUnblockHandler)(reply, Some(kept), handle.cast());
    abi::OK
}

unsafe extern "C" fn kept(ctx: *mut abi::Ctx, reply: *mut abi::CallReply, data: *mut c_void) {
    let noted = (api().Call)(ctx, c"INCR".as_ptr(), c"!c".as_ptr(), c"kept".as_ptr());
    (api().FreeCallReply)(noted);
    let handle = data.cast::<abi::BlockedClient>();
    let answer = (api().GetThreadSafeContext)(handle);
    (api().ReplyWithCallReply)(answer, reply);
    (api().FreeThreadSafeContext)(answer);
    (api().FreeCallReply)(reply);
    (api().UnblockClient)(handle, (api().BlockClientGetPrivateData)(handle));
}

unsafe extern "C" fn give_up(_: *mut abi::Ctx, handle: *mut abi::BlockedClient) {
    GONE.fetch_add(1, Ordering::Relaxed);
    let promise = (api().BlockClientGetPrivateData)(handle).cast::<abi::CallReply>();
    let mut data = std::ptr::null_mut();
    let aborted = (api().CallReplyPromiseAbort)(promise, &raw mut data);
    assert!(aborted == abi::OK && data.cast() == handle, "what was promised is given up");
    let again = (api().CallReplyPromiseAbort)(promise, std::ptr::null_mut());
    assert_eq!(again, abi::ERR, "once");
    (api().FreeCallReply)(promise);
    (api().AbortBlock)(handle);
}

unsafe extern "C" fn free_promise(_: *mut abi::Ctx, promise: *mut c_void) {
    (api().FreeCallReply)(promise.cast());
    FREED.fetch_add(1, Ordering::Relaxed);
}

/// Whether `waits.busy` goes on.
static BUSY: AtomicBool = AtomicBool::new(false);

/// `waits.busy [quietly]`: keeps the server until somebody stops it, or for some 100 milliseconds quietly.
unsafe extern "C" fn busy(ctx: *mut abi::Ctx, _: Args, argc: c_int) -> c_int {
    BUSY.store(true, Ordering::Relaxed);
    let mut rounds = 0;
    while BUSY.load(Ordering::Relaxed) && (argc == 1 || rounds < 100) {
        let flags = if argc == 1 { abi::YIELD_FLAG_CLIENTS } else { abi::YIELD_FLAG_NONE };
        (api().Yield)(ctx, flags, c"at work".as_ptr());
        std::thread::sleep(std::time::Duration::from_millis(1));
        rounds += 1;
    }
    simple(ctx, c"done")
}

/// `waits.stop`: stops that.
unsafe extern "C" fn stop(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    BUSY.store(false, Ordering::Relaxed);
    simple(ctx, c"OK")
}

/// What the server calls first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RedisModule_OnLoad(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    let Some(get) = ctx.cast::<abi::CtxHead>().read().get_api else { return abi::ERR };
    let Some(bound) = Api::bind(get) else { return abi::ERR };
    let api = API.get_or_init(|| bound);
    (api.SetModuleAttribs)(ctx, c"waits".as_ptr(), 1, 1);
    let commands: [(&CStr, abi::CmdFunc, &CStr); 8] = [
        (c"waits.keys", Some(keys), c""),
        (c"waits.signal", Some(signal), c""),
        (c"waits.freed", Some(freed), c""),
        (c"waits.gone", Some(gone), c""),
        (c"waits.guard", Some(guard), c""),
        (c"waits.call", Some(call), c"write"),
        (c"waits.busy", Some(busy), c""),
        (c"waits.stop", Some(stop), c"allow-busy"),
    ];
    for (name, function, flags) in commands {
        if (api.CreateCommand)(ctx, name.as_ptr(), function, flags.as_ptr(), 0, 0, 0) != abi::OK {
            return abi::ERR;
        }
    }
    abi::OK
}
