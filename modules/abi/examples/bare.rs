//! A module without an SDK: what the SDK does not wrap, called as C modules call it, and every way to break a process.
//! `tests/servers.rs` looks at it from outside.
#![expect(unsafe_code, reason = "without an SDK a module is foreign code")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicPtr, AtomicUsize, Ordering};

use mortise_module_abi as abi;

macro_rules! functions {
    ($($group:literal { $(
        $kind:ident $name:ident $since:literal ($($param:tt)*) $(-> $ret:ty)?;
    )* })*) => {
        /// The server's functions.
        #[allow(non_snake_case, dead_code, reason = "fields are named after functions")]
        struct Api { $($($name: Option<abi::api::$name>,)*)* }

        impl Api {
            unsafe fn find(get_api: abi::api::GetApi) -> Self {
                Self { $($($name: {
                    let mut found: *const c_void = std::ptr::null();
                    let name = concat!("RedisModule_", stringify!($name), "\0");
                    // SAFETY: a C string, and a variable for a pointer.
                    unsafe { get_api(name.as_ptr().cast(), (&raw mut found).cast()) };
                    // SAFETY: null, or a function of the type that the ABI has under this name.
                    unsafe { std::mem::transmute::<*const c_void, Option<abi::api::$name>>(found) }
                },)*)* }
            }
        }
    };
}

mortise_module_abi::for_each_api!(functions);

static API: OnceLock<Api> = OnceLock::new();

/// Calls a function of the server.
macro_rules! api {
    ($name:ident($($argument:expr),* $(,)?)) => {{
        let function = API.get().and_then(|api| api.$name).expect("the server has it");
        // SAFETY: the arguments are what the function wants: handles that are alive, C strings and our variables.
        unsafe { function($($argument),*) }
    }};
}

type Argv = *mut *mut abi::ModuleString;

/// A context that is not a call's.
static OWN: AtomicPtr<abi::Ctx> = AtomicPtr::new(null_mut());
/// A function that no server has.
static NO_SUCH: AtomicUsize = AtomicUsize::new(0);
static FILTER: AtomicPtr<abi::CommandFilter> = AtomicPtr::new(null_mut());
static CHILD: AtomicI32 = AtomicI32::new(0);
static CHILD_ENDED: AtomicI64 = AtomicI64::new(-1);
static TURNS: [AtomicI64; 2] = [AtomicI64::new(0), AtomicI64::new(0)];
static PIPE: AtomicI32 = AtomicI32::new(-1);

unsafe extern "C" {
    fn raise(signal: c_int) -> c_int;
    fn abort() -> !;
    fn pipe(fds: *mut c_int) -> c_int;
    fn read(fd: c_int, into: *mut c_void, len: usize) -> isize;
    fn write(fd: c_int, from: *const c_void, len: usize) -> isize;
    fn close(fd: c_int) -> c_int;
    fn usleep(micros: u32) -> c_int;
}

fn bytes<'a>(string: *const abi::ModuleString) -> &'a [u8] {
    let mut len = 0;
    let data = api!(StringPtrLen(string, &raw mut len));
    // SAFETY: so many bytes, alive as long as the string, which our callers hold.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

fn args<'a>(argv: Argv, argc: c_int) -> Vec<&'a [u8]> {
    // SAFETY: the server passes so many strings, alive during the call.
    let argv = unsafe { std::slice::from_raw_parts(argv, argc as usize) };
    argv.iter().map(|arg| bytes(*arg)).collect()
}

fn text(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("words without a NUL")
}

fn number(bytes: &[u8]) -> i64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn string(bytes: &[u8]) -> *mut abi::ModuleString {
    api!(CreateString(null_mut(), bytes.as_ptr().cast(), bytes.len()))
}

fn answer(ctx: *mut abi::Ctx, code: c_int) -> c_int {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    match code {
        abi::OK => api!(ReplyWithSimpleString(ctx, c"OK".as_ptr())),
        _ => api!(ReplyWithLongLong(ctx, i64::from(errno))),
    }
}

/// SET, by whatever context.
fn set(ctx: *mut abi::Ctx, key: &CStr, value: &[u8]) {
    let value = text(value);
    let reply = api!(Call(ctx, c"SET".as_ptr(), c"cc".as_ptr(), key.as_ptr(), value.as_ptr()));
    if !reply.is_null() {
        api!(FreeCallReply(reply));
    }
}

unsafe extern "C" fn break_process(_: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    match args(argv, argc).get(1).copied().unwrap_or_default() {
        b"memory" => {
            // SAFETY: none; that is the point.
            unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
        }
        b"missing" => {
            let missing = NO_SUCH.load(Ordering::Relaxed);
            // SAFETY: none; a C module does just this with a function that it has not found.
            unsafe { std::mem::transmute::<usize, unsafe extern "C" fn()>(missing)() };
        }
        b"thread" => {
            // SAFETY: none, as above.
            let broken = || unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
            let _ = std::thread::spawn(broken).join();
        }
        // SAFETY: ends the process.
        b"abort" => unsafe { abort() },
        b"assert" => api!(_Assert(c"never".as_ptr(), c"bare.rs".as_ptr(), 1)),
        signal => {
            let signal = number(signal) as c_int;
            // SAFETY: a plain call.
            unsafe { raise(signal) };
        }
    }
    abi::OK
}

unsafe extern "C" fn nested(ctx: *mut abi::Ctx, _: Argv, _: c_int) -> c_int {
    let reply = api!(Call(ctx, c"bare.break".as_ptr(), c"c".as_ptr(), c"abort".as_ptr()));
    api!(FreeCallReply(reply));
    abi::OK
}

unsafe extern "C" fn break_later(ctx: *mut abi::Ctx, _: Argv, _: c_int) -> c_int {
    let client = api!(BlockClient(ctx, Some(break_process), None, None, 0));
    api!(UnblockClient(client, null_mut()))
}

unsafe extern "C" fn filter(command: *mut abi::CommandFilterCtx) {
    let mut at = 0;
    while at < api!(CommandFilterArgsCount(command)) {
        match bytes(api!(CommandFilterArgGet(command, at))) {
            b"@gone" => {
                api!(CommandFilterArgDelete(command, at));
                continue;
            }
            b"@one" => _ = api!(CommandFilterArgReplace(command, at, string(b"two"))),
            b"@more" => _ = api!(CommandFilterArgInsert(command, at + 1, string(b"still more"))),
            b"@client" => {
                let id = api!(CommandFilterGetClientId(command)).to_string();
                api!(CommandFilterArgReplace(command, at, string(id.as_bytes())));
            }
            _ => {}
        }
        at += 1;
    }
}

unsafe extern "C" fn switch_filter(ctx: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    match args(argv, argc).get(1).copied() {
        Some(b"off") => {
            let code =
                api!(UnregisterCommandFilter(ctx, FILTER.swap(null_mut(), Ordering::Relaxed)));
            api!(ReplyWithLongLong(ctx, i64::from(code)))
        }
        how => {
            let flags = if how == Some(b"noself") { abi::CMDFILTER_NOSELF } else { 0 };
            let new = api!(RegisterCommandFilter(ctx, Some(filter), flags));
            FILTER.store(new, Ordering::Relaxed);
            api!(ReplyWithLongLong(ctx, i64::from(!new.is_null())))
        }
    }
}

unsafe extern "C" fn echo(ctx: *mut abi::Ctx, _: Argv, _: c_int) -> c_int {
    let reply = api!(Call(ctx, c"ECHO".as_ptr(), c"c".as_ptr(), c"@one".as_ptr()));
    let code = api!(ReplyWithCallReply(ctx, reply));
    api!(FreeCallReply(reply));
    code
}

unsafe extern "C" fn readable(fd: c_int, _: *mut c_void, mask: c_int) {
    let mut buffer = [0u8; 64];
    // SAFETY: so many bytes of ours.
    let len = unsafe { read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    let read = &buffer[..usize::try_from(len).unwrap_or(0)];
    set(OWN.load(Ordering::Relaxed), c"bare:read", &[read, mask.to_string().as_bytes()].concat());
    api!(EventLoopDel(fd, abi::EVENTLOOP_READABLE));
    // SAFETY: both ends are ours.
    unsafe { (close(fd), close(PIPE.load(Ordering::Relaxed))) };
}

unsafe extern "C" fn watch(ctx: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    let mut ends = [0; 2];
    // SAFETY: room for two numbers.
    unsafe { pipe(ends.as_mut_ptr()) };
    PIPE.store(ends[1], Ordering::Relaxed);
    let code = api!(EventLoopAdd(ends[0], abi::EVENTLOOP_READABLE, Some(readable), null_mut()));
    let text = args(argv, argc)[1];
    // SAFETY: so many bytes of ours.
    unsafe { write(ends[1], text.as_ptr().cast(), text.len()) };
    answer(ctx, code)
}

unsafe extern "C" fn once(_: *mut c_void) {
    set(OWN.load(Ordering::Relaxed), c"bare:once", b"done");
}

unsafe extern "C" fn one_shot(ctx: *mut abi::Ctx, _: Argv, _: c_int) -> c_int {
    let code = api!(EventLoopAddOneShot(Some(once), null_mut()));
    answer(ctx, code)
}

unsafe extern "C" fn turned(_: *mut abi::Ctx, _: abi::Event, sub: u64, _: *mut c_void) {
    TURNS[usize::from(sub == abi::SUBEVENT_EVENTLOOP_AFTER_SLEEP)].fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn turns(ctx: *mut abi::Ctx, _: Argv, _: c_int) -> c_int {
    let [before, after] = [0, 1].map(|at| TURNS[at].load(Ordering::Relaxed));
    api!(ReplyWithArray(ctx, 2));
    api!(ReplyWithLongLong(ctx, before));
    api!(ReplyWithLongLong(ctx, after))
}

unsafe extern "C" fn ended(code: c_int, signal: c_int, data: *mut c_void) {
    let number = i64::from(code) + 1000 * i64::from(signal) + 1_000_000 * data.addr() as i64;
    CHILD_ENDED.store(number, Ordering::Relaxed);
}

unsafe extern "C" fn fork(ctx: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    let args = args(argv, argc);
    CHILD_ENDED.store(-1, Ordering::Relaxed);
    let child = api!(Fork(Some(ended), std::ptr::without_provenance_mut(7)));
    match child {
        0 => {
            let flags = api!(GetContextFlags(ctx));
            let is_child = flags & abi::CTX_FLAGS_IS_CHILD != 0;
            api!(SendChildHeartbeat(0.5));
            if let Some(path) = args.get(3) {
                let path = text(path);
                let stream = api!(RdbStreamCreateFromFile(path.as_ptr()));
                api!(RdbSave(ctx, stream, 0));
                api!(RdbStreamFree(stream));
            }
            // SAFETY: a plain call.
            unsafe { usleep(number(args[2]) as u32) };
            api!(ExitFromChild(if is_child { number(args[1]) as c_int } else { 99 }))
        }
        -1 => answer(ctx, abi::ERR),
        child => {
            CHILD.store(child, Ordering::Relaxed);
            answer(ctx, abi::OK)
        }
    }
}

unsafe extern "C" fn child(ctx: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    if args(argv, argc).get(1).copied() == Some(b"kill") {
        let code = api!(KillForkChild(CHILD.load(Ordering::Relaxed)));
        return api!(ReplyWithLongLong(ctx, i64::from(code)));
    }
    api!(ReplyWithLongLong(ctx, CHILD_ENDED.load(Ordering::Relaxed)))
}

unsafe extern "C" fn rdb(ctx: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    let args = args(argv, argc);
    let path = text(args[2]);
    let stream = api!(RdbStreamCreateFromFile(path.as_ptr()));
    let flags = args.get(3).map_or(0, |flags| number(flags) as c_int);
    let code = match args[1] {
        b"save" => api!(RdbSave(ctx, stream, flags)),
        _ => api!(RdbLoad(ctx, stream, flags)),
    };
    let code = answer(ctx, code);
    api!(RdbStreamFree(stream));
    code
}

unsafe extern "C" fn publish(ctx: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    assert_eq!(argc, 3);
    // SAFETY: three arguments.
    let [channel, message] = [1, 2].map(|at| unsafe { *argv.add(at) });
    let receivers = api!(PublishMessage(ctx, channel, message));
    let of_shard = api!(PublishMessageShard(ctx, channel, message));
    api!(ReplyWithLongLong(ctx, i64::from(receivers + 10 * of_shard)))
}

unsafe extern "C" fn cluster(ctx: *mut abi::Ctx, argv: Argv, _: c_int) -> c_int {
    let mut count = 7;
    let nodes = api!(GetClusterNodesList(ctx, &raw mut count));
    api!(FreeClusterNodesList(nodes));
    let id = c"0123456789012345678901234567890123456789".as_ptr();
    let none = null_mut();
    let info = api!(GetClusterNodeInfo(ctx, id, null_mut(), null_mut(), none, null_mut()));
    let sent = api!(SendClusterMessage(ctx, id, 1, c"x".as_ptr(), 1));
    api!(RegisterClusterMessageReceiver(ctx, 1, None));
    api!(SetClusterFlags(ctx, abi::CLUSTER_FLAG_NO_FAILOVER));
    // SAFETY: there is an argument.
    let slot = api!(ClusterKeySlot(*argv.add(1)));
    let name = api!(ClusterCanonicalKeyNameInSlot(slot));
    let none = nodes.is_null() && api!(GetMyClusterID()).is_null() && api!(GetClusterSize()) == 0;
    api!(ReplyWithArray(ctx, 5));
    api!(ReplyWithLongLong(ctx, i64::from(none)));
    api!(ReplyWithLongLong(ctx, i64::from(info)));
    api!(ReplyWithLongLong(ctx, i64::from(sent)));
    api!(ReplyWithLongLong(ctx, i64::from(slot)));
    api!(ReplyWithCString(ctx, name))
}

unsafe extern "C" fn config(ctx: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    let args = args(argv, argc);
    let name = text(args[2]);
    let (name, mut error) = (name.as_ptr(), null_mut());
    let value = args.get(3).copied().unwrap_or_default();
    let (mut found, mut int, mut long) = (null_mut(), -1, -1);
    let code = match args[1] {
        b"names" => {
            let names = api!(ConfigIteratorCreate(ctx, name));
            let mut count = 0;
            while !api!(ConfigIteratorNext(names)).is_null() {
                count += 1;
            }
            api!(ConfigIteratorRelease(ctx, names));
            return api!(ReplyWithLongLong(ctx, count));
        }
        b"type" => match api!(ConfigGetType(name, &raw mut int)) {
            abi::OK => return api!(ReplyWithLongLong(ctx, i64::from(int))),
            code => code,
        },
        b"bool" => match api!(ConfigGetBool(ctx, name, &raw mut int)) {
            abi::OK => return api!(ReplyWithLongLong(ctx, i64::from(int))),
            code => code,
        },
        b"number" => match api!(ConfigGetNumeric(ctx, name, &raw mut long)) {
            abi::OK => return api!(ReplyWithLongLong(ctx, long)),
            code => code,
        },
        b"get" | b"enum" => {
            let code = match args[1] {
                b"get" => api!(ConfigGet(ctx, name, &raw mut found)),
                _ => api!(ConfigGetEnum(ctx, name, &raw mut found)),
            };
            if code == abi::OK {
                let code = api!(ReplyWithString(ctx, found));
                api!(FreeString(ctx, found));
                return code;
            }
            code
        }
        b"setbool" => api!(ConfigSetBool(ctx, name, number(value) as c_int, &raw mut error)),
        b"setnumber" => api!(ConfigSetNumeric(ctx, name, number(value), &raw mut error)),
        how => {
            let value = string(value);
            let code = match how {
                b"setenum" => api!(ConfigSetEnum(ctx, name, value, &raw mut error)),
                _ => api!(ConfigSet(ctx, name, value, &raw mut error)),
            };
            api!(FreeString(null_mut(), value));
            code
        }
    };
    if error.is_null() {
        return match code {
            abi::OK => api!(ReplyWithSimpleString(ctx, c"OK".as_ptr())),
            _ => api!(ReplyWithNull(ctx)),
        };
    }
    let code = api!(ReplyWithString(ctx, error));
    api!(FreeString(ctx, error));
    code
}

static LEVEL: AtomicI64 = AtomicI64::new(0);

unsafe extern "C" fn get_level(_: *const c_char, _: *mut c_void) -> i64 {
    LEVEL.load(Ordering::Relaxed)
}

unsafe extern "C" fn set_level(
    _: *const c_char,
    level: i64,
    _: *mut c_void,
    _: *mut *mut abi::ModuleString,
) -> c_int {
    LEVEL.store(level, Ordering::Relaxed);
    abi::OK
}

/// Loads the module. With the argument `early` it breaks while it loads.
///
/// # Safety
/// Called by a server, with what it passes to this function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RedisModule_OnLoad(ctx: *mut abi::Ctx, argv: Argv, argc: c_int) -> c_int {
    // SAFETY: the first word of a context is the function that finds the others.
    let Some(get_api) = (unsafe { (*ctx.cast::<abi::CtxHead>()).get_api }) else {
        return abi::ERR;
    };
    // SAFETY: passed on.
    let _ = API.set(unsafe { Api::find(get_api) });
    let no_such = NO_SUCH.as_ptr().cast();
    // SAFETY: a C string, and a variable for a pointer.
    if unsafe { get_api(c"RedisModule_NoSuchFunction".as_ptr(), no_such) } == 0 {
        return abi::ERR;
    }
    api!(SetModuleAttribs(ctx, c"bare".as_ptr(), 3, abi::APIVER_1));
    if args(argv, argc).first().copied() == Some(b"early") {
        // SAFETY: none, and none is needed.
        unsafe { abort() };
    }
    let commands: &[(&CStr, &CStr, abi::CmdFunc)] = &[
        (c"bare.break", c"", Some(break_process)),
        (c"bare.nested", c"", Some(nested)),
        (c"bare.later", c"", Some(break_later)),
        (c"bare.filter", c"", Some(switch_filter)),
        (c"bare.echo", c"", Some(echo)),
        (c"bare.watch", c"", Some(watch)),
        (c"bare.once", c"", Some(one_shot)),
        (c"bare.turns", c"", Some(turns)),
        (c"bare.fork", c"", Some(fork)),
        (c"bare.child", c"", Some(child)),
        (c"bare.rdb", c"", Some(rdb)),
        (c"bare.publish", c"", Some(publish)),
        (c"bare.cluster", c"", Some(cluster)),
        (c"bare.config", c"", Some(config)),
    ];
    for (name, flags, function) in commands {
        let code = api!(CreateCommand(ctx, name.as_ptr(), *function, flags.as_ptr(), 0, 0, 0));
        if code != abi::OK {
            return abi::ERR;
        }
    }
    let event = abi::Event { id: abi::EVENT_EVENTLOOP, dataver: 1 };
    api!(SubscribeToServerEvent(ctx, event, Some(turned)));
    let (own, name) = (api!(GetDetachedThreadSafeContext(ctx)), c"bare-level".as_ptr());
    OWN.store(own, Ordering::Relaxed);
    let (min, max, flags) = (0, 9, abi::CONFIG_UNPREFIXED);
    let (get, set, apply) = (Some(get_level as _), Some(set_level as _), None);
    let data = null_mut();
    if api!(RegisterNumericConfig(ctx, name, 5, flags, min, max, get, set, apply, data)) != abi::OK
    {
        return abi::ERR;
    }
    // Defaults first; then what the administrator has set.
    if api!(LoadDefaultConfigs(ctx)) != abi::OK || LEVEL.load(Ordering::Relaxed) != 5 {
        return abi::ERR;
    }
    api!(LoadConfigs(ctx))
}
