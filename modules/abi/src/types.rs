//! Which handles and callbacks do the functions pass around?
//!
//! Handles are opaque: the server owns their layout and a module only ever holds pointers to them.
//! Callback types are nullable, because the C API accepts NULL for nearly all of them; they never
//! unwind.

use core::ffi::{c_char, c_int, c_longlong, c_uint, c_void};
use core::marker::{PhantomData, PhantomPinned};

use crate::api;
use crate::structs::Event;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name {
            _data: [u8; 0],
            // Neither Send nor Sync nor Unpin: what a handle allows is for its holder to prove.
            _marker: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )* };
}

opaque! {
    /// The context of one call into a module. Its first word is [`CtxHead`].
    Ctx;
    /// An open key.
    Key;
    /// A reference-counted string of the server; its bytes are followed by a NUL.
    ModuleString;
    /// A registered command.
    Command;
    /// A reply of a command that the module ran.
    CallReply;
    /// A registered native data type.
    ModuleType;
    /// A client that waits for the module.
    BlockedClient;
    /// A stream of saved values: RDB, DUMP or AOF.
    IO;
    /// The digest of a value under construction.
    Digest;
    /// The INFO text under construction.
    InfoCtx;
    /// A round of active defragmentation.
    DefragCtx;
    /// A sorted dictionary owned by the server.
    Dict;
    /// A position in a [`Dict`].
    DictIter;
    /// A registered command filter.
    CommandFilter;
    /// The command that a filter looks at.
    CommandFilterCtx;
    /// A parsed INFO text.
    ServerInfoData;
    /// A position in a scan.
    ScanCursor;
    /// A user of the access control list.
    User;
    /// The keys that a callback of a data type is about.
    KeyOptCtx;
    /// A file or stream that a whole RDB is read from or written to.
    RdbStream;
    /// A walk through the names of parameters.
    ConfigIterator;
    /// A C `long double`, seen only behind a pointer.
    LongDouble;
}

/// What a module may rely on in a [`Ctx`]: its first word finds the API.
#[repr(C)]
pub struct CtxHead {
    /// Looks a function up by its full name; returns 0 and stores it, or 1 and stores nothing.
    pub get_api: Option<api::GetApi>,
}

/// `ValkeyModule_ACLCheckKeyPrefixPermissions`, which differs from the function that Redis has under that name.
pub type ValkeyACLCheckKeyPrefixPermissions = unsafe extern "C" fn(
    user: *mut User,
    prefix: *const c_char,
    len: usize,
    flags: c_uint,
) -> c_int;

/// The identity of a timer; 0 is never used.
pub type TimerId = u64;

/// A function that passes a `long double` by value. The type says only that it is a function.
pub type LongDoubleFn = unsafe extern "C" fn();

macro_rules! callbacks {
    ($($(#[$doc:meta])* $name:ident($($param:tt)*) $(-> $ret:ty)?;)*) => { $(
        $(#[$doc])*
        pub type $name = Option<unsafe extern "C" fn($($param)*) $(-> $ret)?>;
    )* };
}

callbacks! {
    /// `RedisModule_OnLoad`, and what a command, reply or timeout callback looks like.
    CmdFunc(ctx: *mut Ctx, argv: *mut *mut ModuleString, argc: c_int) -> c_int;
    /// `RedisModule_OnUnload`.
    UnloadFunc(ctx: *mut Ctx) -> c_int;
    /// A blocked client went away.
    DisconnectFunc(ctx: *mut Ctx, client: *mut BlockedClient);
    /// A keyspace event happened.
    NotificationFunc(
        ctx: *mut Ctx, kind: c_int, event: *const c_char, key: *mut ModuleString
    ) -> c_int;
    /// The execution unit in which the job was queued is over.
    PostNotificationJobFunc(ctx: *mut Ctx, data: *mut c_void);
    /// Frees a callback's data.
    FreeFunc(data: *mut c_void);
    /// Frees the data of a blocked client.
    FreePrivdataFunc(ctx: *mut Ctx, data: *mut c_void);

    /// Reads a value back; NULL says that it could not.
    TypeLoadFunc(io: *mut IO, encver: c_int) -> *mut c_void;
    /// Writes a value.
    TypeSaveFunc(io: *mut IO, value: *mut c_void);
    /// Reads what [`TypeAuxSaveFunc`] wrote beside the keys.
    TypeAuxLoadFunc(io: *mut IO, encver: c_int, when: c_int) -> c_int;
    /// Writes module data that belongs to no key.
    TypeAuxSaveFunc(io: *mut IO, when: c_int);
    /// Emits the commands that would create the value.
    TypeRewriteFunc(io: *mut IO, key: *mut ModuleString, value: *mut c_void);
    /// Tells the memory that a value takes.
    TypeMemUsageFunc(value: *const c_void) -> usize;
    /// Tells the memory that a value takes, knowing its key, from a sample of the given size.
    TypeMemUsageFunc2(ctx: *mut KeyOptCtx, value: *const c_void, sample_size: usize) -> usize;
    /// Adds a value to a digest.
    TypeDigestFunc(digest: *mut Digest, value: *mut c_void);
    /// Frees a value.
    TypeFreeFunc(value: *mut c_void);
    /// Tells how much work it is to free a value.
    TypeFreeEffortFunc(key: *mut ModuleString, value: *const c_void) -> usize;
    /// Tells how much work it is to free a value, knowing its database too.
    TypeFreeEffortFunc2(ctx: *mut KeyOptCtx, value: *const c_void) -> usize;
    /// A value is about to leave the keyspace.
    TypeUnlinkFunc(key: *mut ModuleString, value: *const c_void);
    /// A value is about to leave the keyspace; knows its database too.
    TypeUnlinkFunc2(ctx: *mut KeyOptCtx, value: *const c_void);
    /// Asks for the memory that commands will read of a value. It may run beside readers, changes nothing and calls
    /// nothing of the server.
    TypeFetchFunc(value: *const c_void);
    /// Copies a value; NULL says that it could not.
    TypeCopyFunc(
        from: *mut ModuleString, to: *mut ModuleString, value: *const c_void
    ) -> *mut c_void;
    /// Copies a value, knowing both databases too.
    TypeCopyFunc2(ctx: *mut KeyOptCtx, value: *const c_void) -> *mut c_void;
    /// Moves a value to better memory; not 0 when there is more to do.
    TypeDefragFunc(
        ctx: *mut DefragCtx, key: *mut ModuleString, value: *mut *mut c_void
    ) -> c_int;

    /// A message of another cluster node arrived.
    ClusterMessageFunc(
        ctx: *mut Ctx, sender_id: *const c_char, kind: u8, payload: *const u8, len: u32
    );
    /// A timer fired.
    TimerFunc(ctx: *mut Ctx, data: *mut c_void);
    /// A command is about to be looked up.
    CommandFilterFunc(filter: *mut CommandFilterCtx);
    /// A forked child ended.
    ForkDoneFunc(exit_code: c_int, by_signal: c_int, data: *mut c_void);
    /// A key was met in a scan; `key` is NULL when it could not be opened.
    ScanFunc(ctx: *mut Ctx, name: *mut ModuleString, key: *mut Key, data: *mut c_void);
    /// An element was met in a scan of a key; `value` is NULL for sets.
    ScanKeyFunc(
        key: *mut Key, field: *mut ModuleString, value: *mut ModuleString, data: *mut c_void
    );
    /// Fills the module's part of INFO.
    InfoFunc(ctx: *mut InfoCtx, for_crash_report: c_int);
    /// Defragments what belongs to no key.
    DefragFunc(ctx: *mut DefragCtx);
    /// As [`DefragFunc`]; not 0 when there is more to do.
    DefragFunc2(ctx: *mut DefragCtx) -> c_int;
    /// Defragments a value of a dictionary, and says where it is then; not 0 when there is more to do.
    DefragDictValueFunc(
        ctx: *mut DefragCtx, data: *mut c_void, key: *mut u8, len: usize,
        moved: *mut *mut c_void
    ) -> c_int;
    /// A client that the module authenticated changed its user or left.
    UserChangedFunc(client_id: u64, data: *mut c_void);
    /// A promise was kept.
    OnUnblockedFunc(ctx: *mut Ctx, reply: *mut CallReply, data: *mut c_void);
    /// A client authenticates.
    AuthFunc(
        ctx: *mut Ctx, username: *mut ModuleString, password: *mut ModuleString,
        error: *mut *mut ModuleString
    ) -> c_int;
    /// A server event happened. The event is passed by value.
    EventFunc(ctx: *mut Ctx, event: Event, subevent: u64, data: *mut c_void);
    /// A file descriptor became ready.
    EventLoopFunc(fd: c_int, data: *mut c_void, mask: c_int);
    /// The event loop reached a one-shot job.
    EventLoopOneShotFunc(data: *mut c_void);

    /// Reads a string parameter; the result is borrowed.
    ConfigGetStringFunc(name: *const c_char, data: *mut c_void) -> *mut ModuleString;
    /// Reads a numeric parameter.
    ConfigGetNumericFunc(name: *const c_char, data: *mut c_void) -> c_longlong;
    /// Reads a boolean parameter.
    ConfigGetBoolFunc(name: *const c_char, data: *mut c_void) -> c_int;
    /// Reads an enum parameter.
    ConfigGetEnumFunc(name: *const c_char, data: *mut c_void) -> c_int;
    /// Sets a string parameter; an error goes into `error`.
    ConfigSetStringFunc(
        name: *const c_char, value: *mut ModuleString, data: *mut c_void,
        error: *mut *mut ModuleString
    ) -> c_int;
    /// Sets a numeric parameter; an error goes into `error`.
    ConfigSetNumericFunc(
        name: *const c_char, value: c_longlong, data: *mut c_void, error: *mut *mut ModuleString
    ) -> c_int;
    /// Sets a boolean parameter; an error goes into `error`.
    ConfigSetBoolFunc(
        name: *const c_char, value: c_int, data: *mut c_void, error: *mut *mut ModuleString
    ) -> c_int;
    /// Sets an enum parameter; an error goes into `error`.
    ConfigSetEnumFunc(
        name: *const c_char, value: c_int, data: *mut c_void, error: *mut *mut ModuleString
    ) -> c_int;
    /// All parameters of one CONFIG SET are in place.
    ConfigApplyFunc(ctx: *mut Ctx, data: *mut c_void, error: *mut *mut ModuleString) -> c_int;
}
