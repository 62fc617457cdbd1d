//! Which functions does the module API have, and what is the C signature of each?
//!
//! This is the one table that the server and the SDK share. Nothing else in the tree may spell a
//! signature of the API: the SDK derives its struct of function pointers from here, the server its
//! name table and the check of its own definitions, the tests the list of names.
//!
//! An entry reads `kind Name "since" (parameters) -> result;` inside a block named after its group.
//! `since` is the first Redis release whose server has the function; in the group `mortise`, which no
//! other server has, the first release of Mortise. The kinds are
//!
//! - `fixed`: an ordinary C function;
//! - `variadic`: ends in `...`; Rust may call it, only C (or assembly) may define it;
//! - `long_double`: passes or returns a C `long double` by value, which Rust can neither define nor
//!   call. The parameters are for the reader; the derived type is the opaque
//!   [`LongDoubleFn`](crate::LongDoubleFn).

mod data;
mod newer;

/// Calls `$callback!` with the whole table of API functions.
///
/// The callback matches
/// `$( $group:literal { $( $kind:ident $name:ident $since:literal ($($param:tt)*) $(-> $ret:ty)?; )* } )*`.
/// A callback outside this crate should ignore the parameters and use the derived types
/// [`api::Name`](crate::api), so that it need not import every type they mention.
///
/// ```
/// macro_rules! count {
///     ($($group:literal { $($kind:ident $name:ident $since:literal
///         ($($param:tt)*) $(-> $ret:ty)?;)* })*) => {
///         [$($(stringify!($name)),*),*].len()
///     };
/// }
/// assert_eq!(mortise_module_abi::for_each_api!(count), mortise_module_abi::FUNCTIONS.len());
/// ```
#[macro_export]
macro_rules! for_each_api {
    ($callback:ident) => {
        $crate::with_data_api! { $callback
        "core" {
            fixed GetApi "4.0.0" (name: *const c_char, out: *mut c_void) -> c_int;
        }
        "memory" {
            fixed Alloc "4.0.0" (bytes: usize) -> *mut c_void;
            fixed TryAlloc "7.0.0" (bytes: usize) -> *mut c_void;
            fixed Realloc "4.0.0" (ptr: *mut c_void, bytes: usize) -> *mut c_void;
            fixed Free "4.0.0" (ptr: *mut c_void);
            fixed Calloc "4.0.0" (nmemb: usize, size: usize) -> *mut c_void;
            fixed Strdup "4.0.0" (str: *const c_char) -> *mut c_char;
            fixed PoolAlloc "4.0.0" (ctx: *mut Ctx, bytes: usize) -> *mut c_void;
            fixed GetUsedMemoryRatio "6.0.0" () -> f32;
            fixed MallocSize "6.0.0" (ptr: *mut c_void) -> usize;
            fixed MallocUsableSize "7.0.1" (ptr: *mut c_void) -> usize;
            fixed MallocSizeString "7.0.0" (str: *mut ModuleString) -> usize;
            fixed MallocSizeDict "7.0.0" (dict: *mut Dict) -> usize;
            fixed TryCalloc "7.4.0" (nmemb: usize, size: usize) -> *mut c_void;
            fixed TryRealloc "7.4.0" (ptr: *mut c_void, bytes: usize) -> *mut c_void;
        }
        "module-info/time" {
            fixed SetModuleAttribs "4.0.0" (
                ctx: *mut Ctx, name: *const c_char, ver: c_int, apiver: c_int
            );
            fixed IsModuleNameBusy "4.0.3" (name: *const c_char) -> c_int;
            fixed SetModuleOptions "6.0.0" (ctx: *mut Ctx, options: c_int);
            fixed Milliseconds "4.0.0" () -> c_longlong;
            fixed MonotonicMicroseconds "7.0.0" () -> u64;
            fixed Microseconds "7.2.0" () -> c_longlong;
            fixed CachedMicroseconds "7.2.0" () -> c_longlong;
            fixed GetModuleOptionsAll "7.2.0" () -> c_int;
            fixed GetServerVersion "6.0.9" () -> c_int;
        }
        "commands" {
            fixed CreateCommand "4.0.0" (
                ctx: *mut Ctx, name: *const c_char, cmdfunc: CmdFunc, strflags: *const c_char,
                firstkey: c_int, lastkey: c_int, keystep: c_int
            ) -> c_int;
            fixed GetCommand "7.0.0" (ctx: *mut Ctx, name: *const c_char) -> *mut Command;
            fixed CreateSubcommand "7.0.0" (
                parent: *mut Command, name: *const c_char, cmdfunc: CmdFunc,
                strflags: *const c_char, firstkey: c_int, lastkey: c_int, keystep: c_int
            ) -> c_int;
            fixed SetCommandInfo "7.0.0" (command: *mut Command, info: *const CommandInfo) -> c_int;
            fixed SetCommandACLCategories "7.2.0" (
                command: *mut Command, ctgrsflags: *const c_char
            ) -> c_int;
            fixed IsKeysPositionRequest "4.0.0" (ctx: *mut Ctx) -> c_int;
            fixed KeyAtPos "4.0.0" (ctx: *mut Ctx, pos: c_int);
            fixed KeyAtPosWithFlags "7.0.0" (ctx: *mut Ctx, pos: c_int, flags: c_int);
            fixed IsChannelsPositionRequest "7.0.0" (ctx: *mut Ctx) -> c_int;
            fixed ChannelAtPosWithFlags "7.0.0" (ctx: *mut Ctx, pos: c_int, flags: c_int);
            fixed GetCommandKeys "6.0.9" (
                ctx: *mut Ctx, argv: *mut *mut ModuleString, argc: c_int, num_keys: *mut c_int
            ) -> *mut c_int;
            fixed GetCommandKeysWithFlags "7.0.0" (
                ctx: *mut Ctx, argv: *mut *mut ModuleString, argc: c_int, num_keys: *mut c_int,
                out_flags: *mut *mut c_int
            ) -> *mut c_int;
            fixed GetCurrentCommandName "6.2.5" (ctx: *mut Ctx) -> *const c_char;
            fixed AddACLCategory "7.4.0" (ctx: *mut Ctx, name: *const c_char) -> c_int;
        }
        "context" {
            fixed GetSelectedDb "4.0.0" (ctx: *mut Ctx) -> c_int;
            fixed SelectDb "4.0.0" (ctx: *mut Ctx, newid: c_int) -> c_int;
            fixed GetContextFlags "4.0.3" (ctx: *mut Ctx) -> c_int;
            fixed AvoidReplicaTraffic "6.0.0" () -> c_int;
            fixed GetContextFlagsAll "6.0.9" () -> c_int;
        }
        "strings" {
            fixed CreateString "4.0.0" (
                ctx: *mut Ctx, ptr: *const c_char, len: usize
            ) -> *mut ModuleString;
            fixed CreateStringFromLongLong "4.0.0" (
                ctx: *mut Ctx, ll: c_longlong
            ) -> *mut ModuleString;
            fixed CreateStringFromULongLong "7.0.3" (
                ctx: *mut Ctx, ull: c_ulonglong
            ) -> *mut ModuleString;
            fixed CreateStringFromDouble "6.0.0" (ctx: *mut Ctx, d: f64) -> *mut ModuleString;
            long_double CreateStringFromLongDouble "6.0.0" (
                ctx: *mut Ctx, ld: LongDouble, humanfriendly: c_int
            ) -> *mut ModuleString;
            fixed CreateStringFromString "4.0.0" (
                ctx: *mut Ctx, str: *const ModuleString
            ) -> *mut ModuleString;
            fixed CreateStringFromStreamID "6.2.0" (
                ctx: *mut Ctx, id: *const StreamId
            ) -> *mut ModuleString;
            variadic CreateStringPrintf "4.0.0" (
                ctx: *mut Ctx, fmt: *const c_char, ...
            ) -> *mut ModuleString;
            fixed FreeString "4.0.0" (ctx: *mut Ctx, str: *mut ModuleString);
            fixed StringPtrLen "4.0.0" (str: *const ModuleString, len: *mut usize) -> *const c_char;
            fixed StringToLongLong "4.0.0" (str: *const ModuleString, ll: *mut c_longlong) -> c_int;
            fixed StringToULongLong "7.0.3" (
                str: *const ModuleString, ull: *mut c_ulonglong
            ) -> c_int;
            fixed StringToDouble "4.0.0" (str: *const ModuleString, d: *mut f64) -> c_int;
            fixed StringToLongDouble "6.0.0" (
                str: *const ModuleString, d: *mut LongDouble
            ) -> c_int;
            fixed StringToStreamID "6.2.0" (str: *const ModuleString, id: *mut StreamId) -> c_int;
            fixed StringAppendBuffer "4.0.0" (
                ctx: *mut Ctx, str: *mut ModuleString, buf: *const c_char, len: usize
            ) -> c_int;
            fixed TrimStringAllocation "7.0.0" (str: *mut ModuleString);
            fixed RetainString "4.0.0" (ctx: *mut Ctx, str: *mut ModuleString);
            fixed HoldString "6.0.7" (ctx: *mut Ctx, str: *mut ModuleString) -> *mut ModuleString;
            fixed StringCompare "4.0.0" (a: *const ModuleString, b: *const ModuleString) -> c_int;
        }
        "reply" {
            fixed WrongArity "4.0.0" (ctx: *mut Ctx) -> c_int;
            fixed ReplyWithLongLong "4.0.0" (ctx: *mut Ctx, ll: c_longlong) -> c_int;
            fixed ReplyWithError "4.0.0" (ctx: *mut Ctx, err: *const c_char) -> c_int;
            variadic ReplyWithErrorFormat "7.2.0" (ctx: *mut Ctx, fmt: *const c_char, ...) -> c_int;
            fixed ReplyWithSimpleString "4.0.0" (ctx: *mut Ctx, msg: *const c_char) -> c_int;
            fixed ReplyWithArray "4.0.0" (ctx: *mut Ctx, len: c_long) -> c_int;
            fixed ReplyWithMap "7.0.0" (ctx: *mut Ctx, len: c_long) -> c_int;
            fixed ReplyWithSet "7.0.0" (ctx: *mut Ctx, len: c_long) -> c_int;
            fixed ReplyWithAttribute "7.0.0" (ctx: *mut Ctx, len: c_long) -> c_int;
            fixed ReplyWithNullArray "6.0.0" (ctx: *mut Ctx) -> c_int;
            fixed ReplyWithEmptyArray "6.0.0" (ctx: *mut Ctx) -> c_int;
            fixed ReplySetArrayLength "4.0.0" (ctx: *mut Ctx, len: c_long);
            fixed ReplySetMapLength "7.0.0" (ctx: *mut Ctx, len: c_long);
            fixed ReplySetSetLength "7.0.0" (ctx: *mut Ctx, len: c_long);
            fixed ReplySetAttributeLength "7.0.0" (ctx: *mut Ctx, len: c_long);
            fixed ReplySetPushLength "7.0.0" (ctx: *mut Ctx, len: c_long);
            fixed ReplyWithStringBuffer "4.0.0" (
                ctx: *mut Ctx, buf: *const c_char, len: usize
            ) -> c_int;
            fixed ReplyWithCString "5.0.6" (ctx: *mut Ctx, buf: *const c_char) -> c_int;
            fixed ReplyWithString "4.0.0" (ctx: *mut Ctx, str: *mut ModuleString) -> c_int;
            fixed ReplyWithEmptyString "6.0.0" (ctx: *mut Ctx) -> c_int;
            fixed ReplyWithVerbatimString "6.0.0" (
                ctx: *mut Ctx, buf: *const c_char, len: usize
            ) -> c_int;
            fixed ReplyWithVerbatimStringType "7.0.0" (
                ctx: *mut Ctx, buf: *const c_char, len: usize, ext: *const c_char
            ) -> c_int;
            fixed ReplyWithNull "4.0.0" (ctx: *mut Ctx) -> c_int;
            fixed ReplyWithBool "7.0.0" (ctx: *mut Ctx, b: c_int) -> c_int;
            long_double ReplyWithLongDouble "6.0.0" (ctx: *mut Ctx, d: LongDouble) -> c_int;
            fixed ReplyWithDouble "4.0.0" (ctx: *mut Ctx, d: f64) -> c_int;
            fixed ReplyWithBigNumber "7.0.0" (
                ctx: *mut Ctx, bignum: *const c_char, len: usize
            ) -> c_int;
            fixed ReplyWithCallReply "4.0.0" (ctx: *mut Ctx, reply: *mut CallReply) -> c_int;
        }
        "call" {
            variadic Call "4.0.0" (
                ctx: *mut Ctx, cmdname: *const c_char, fmt: *const c_char, ...
            ) -> *mut CallReply;
            fixed CallReplyProto "4.0.0" (reply: *mut CallReply, len: *mut usize) -> *const c_char;
            fixed FreeCallReply "4.0.0" (reply: *mut CallReply);
            fixed CallReplyType "4.0.0" (reply: *mut CallReply) -> c_int;
            fixed CallReplyInteger "4.0.0" (reply: *mut CallReply) -> c_longlong;
            fixed CallReplyDouble "7.0.0" (reply: *mut CallReply) -> f64;
            fixed CallReplyBool "7.0.0" (reply: *mut CallReply) -> c_int;
            fixed CallReplyBigNumber "7.0.0" (
                reply: *mut CallReply, len: *mut usize
            ) -> *const c_char;
            fixed CallReplyVerbatim "7.0.0" (
                reply: *mut CallReply, len: *mut usize, format: *mut *const c_char
            ) -> *const c_char;
            fixed CallReplySetElement "7.0.0" (reply: *mut CallReply, idx: usize) -> *mut CallReply;
            fixed CallReplyMapElement "7.0.0" (
                reply: *mut CallReply, idx: usize, key: *mut *mut CallReply,
                val: *mut *mut CallReply
            ) -> c_int;
            fixed CallReplyAttributeElement "7.0.0" (
                reply: *mut CallReply, idx: usize, key: *mut *mut CallReply,
                val: *mut *mut CallReply
            ) -> c_int;
            fixed CallReplyPromiseSetUnblockHandler "7.2.0" (
                reply: *mut CallReply, on_unblock: OnUnblockedFunc, private_data: *mut c_void
            );
            fixed CallReplyPromiseAbort "7.2.0" (
                reply: *mut CallReply, private_data: *mut *mut c_void
            ) -> c_int;
            fixed CallReplyAttribute "7.0.0" (reply: *mut CallReply) -> *mut CallReply;
            fixed CallReplyLength "4.0.0" (reply: *mut CallReply) -> usize;
            fixed CallReplyArrayElement "4.0.0" (
                reply: *mut CallReply, idx: usize
            ) -> *mut CallReply;
            fixed CallReplyStringPtr "4.0.0" (
                reply: *mut CallReply, len: *mut usize
            ) -> *const c_char;
            fixed CreateStringFromCallReply "4.0.0" (reply: *mut CallReply) -> *mut ModuleString;
            fixed SetContextUser "7.0.6" (ctx: *mut Ctx, user: *const User);
        }
        "replication" {
            variadic Replicate "4.0.0" (
                ctx: *mut Ctx, cmdname: *const c_char, fmt: *const c_char, ...
            ) -> c_int;
            fixed ReplicateVerbatim "4.0.0" (ctx: *mut Ctx) -> c_int;
        }
        "keyspace-events" {
            fixed GetKeyspaceNotificationFlagsAll "6.0.9" () -> c_int;
            fixed SubscribeToKeyspaceEvents "4.0.9" (
                ctx: *mut Ctx, types: c_int, cb: NotificationFunc
            ) -> c_int;
            fixed AddPostNotificationJob "7.2.0" (
                ctx: *mut Ctx, callback: PostNotificationJobFunc, pd: *mut c_void, free_pd: FreeFunc
            ) -> c_int;
            fixed NotifyKeyspaceEvent "6.0.0" (
                ctx: *mut Ctx, kind: c_int, event: *const c_char, key: *mut ModuleString
            ) -> c_int;
            fixed GetNotifyKeyspaceEvents "6.0.0" () -> c_int;
        }
        "server-events" {
            fixed SubscribeToServerEvent "6.0.0" (
                ctx: *mut Ctx, event: Event, callback: EventFunc
            ) -> c_int;
            fixed IsSubEventSupported "6.0.9" (event: Event, subevent: u64) -> c_int;
        }
        "blocked-clients" {
            fixed RegisterAuthCallback "7.2.0" (ctx: *mut Ctx, cb: AuthFunc);
            fixed BlockClientOnKeys "6.0.0" (
                ctx: *mut Ctx, reply_callback: CmdFunc, timeout_callback: CmdFunc,
                free_privdata: FreePrivdataFunc, timeout_ms: c_longlong,
                keys: *mut *mut ModuleString, numkeys: c_int, privdata: *mut c_void
            ) -> *mut BlockedClient;
            fixed BlockClientOnKeysWithFlags "7.2.0" (
                ctx: *mut Ctx, reply_callback: CmdFunc, timeout_callback: CmdFunc,
                free_privdata: FreePrivdataFunc, timeout_ms: c_longlong,
                keys: *mut *mut ModuleString, numkeys: c_int, privdata: *mut c_void, flags: c_int
            ) -> *mut BlockedClient;
            fixed SignalKeyAsReady "6.0.0" (ctx: *mut Ctx, key: *mut ModuleString);
            fixed GetBlockedClientReadyKey "6.0.0" (ctx: *mut Ctx) -> *mut ModuleString;
            fixed BlockClient "4.0.0" (
                ctx: *mut Ctx, reply_callback: CmdFunc, timeout_callback: CmdFunc,
                free_privdata: FreePrivdataFunc, timeout_ms: c_longlong
            ) -> *mut BlockedClient;
            fixed BlockClientGetPrivateData "7.2.0" (
                blocked_client: *mut BlockedClient
            ) -> *mut c_void;
            fixed BlockClientSetPrivateData "7.2.0" (
                blocked_client: *mut BlockedClient, private_data: *mut c_void
            );
            fixed BlockClientOnAuth "7.2.0" (
                ctx: *mut Ctx, reply_callback: AuthFunc, free_privdata: FreePrivdataFunc
            ) -> *mut BlockedClient;
            fixed UnblockClient "4.0.0" (bc: *mut BlockedClient, privdata: *mut c_void) -> c_int;
            fixed IsBlockedReplyRequest "4.0.0" (ctx: *mut Ctx) -> c_int;
            fixed IsBlockedTimeoutRequest "4.0.0" (ctx: *mut Ctx) -> c_int;
            fixed GetBlockedClientPrivateData "4.0.0" (ctx: *mut Ctx) -> *mut c_void;
            fixed GetBlockedClientHandle "5.0.0" (ctx: *mut Ctx) -> *mut BlockedClient;
            fixed AbortBlock "4.0.0" (bc: *mut BlockedClient) -> c_int;
            fixed BlockedClientMeasureTimeStart "6.2.0" (bc: *mut BlockedClient) -> c_int;
            fixed BlockedClientMeasureTimeEnd "6.2.0" (bc: *mut BlockedClient) -> c_int;
            fixed BlockedClientDisconnected "5.0.0" (ctx: *mut Ctx) -> c_int;
            fixed SetDisconnectCallback "5.0.0" (bc: *mut BlockedClient, callback: DisconnectFunc);
        }
        "threads" {
            fixed GetThreadSafeContext "4.0.0" (bc: *mut BlockedClient) -> *mut Ctx;
            fixed GetDetachedThreadSafeContext "6.0.9" (ctx: *mut Ctx) -> *mut Ctx;
            fixed FreeThreadSafeContext "4.0.0" (ctx: *mut Ctx);
            fixed ThreadSafeContextLock "4.0.0" (ctx: *mut Ctx);
            fixed ThreadSafeContextTryLock "6.0.8" (ctx: *mut Ctx) -> c_int;
            fixed ThreadSafeContextUnlock "4.0.0" (ctx: *mut Ctx);
        }
        "timers" {
            fixed CreateTimer "5.0.0" (
                ctx: *mut Ctx, period: c_longlong, callback: TimerFunc, data: *mut c_void
            ) -> TimerId;
            fixed StopTimer "5.0.0" (ctx: *mut Ctx, id: TimerId, data: *mut *mut c_void) -> c_int;
            fixed GetTimerInfo "5.0.0" (
                ctx: *mut Ctx, id: TimerId, remaining: *mut u64, data: *mut *mut c_void
            ) -> c_int;
        }
        "eventloop" {
            fixed EventLoopAdd "7.0.0" (
                fd: c_int, mask: c_int, func: EventLoopFunc, user_data: *mut c_void
            ) -> c_int;
            fixed EventLoopDel "7.0.0" (fd: c_int, mask: c_int) -> c_int;
            fixed EventLoopAddOneShot "7.0.0" (
                func: EventLoopOneShotFunc, user_data: *mut c_void
            ) -> c_int;
        }
        "scan" {
            fixed ScanCursorCreate "6.0.0" () -> *mut ScanCursor;
            fixed ScanCursorRestart "6.0.0" (cursor: *mut ScanCursor);
            fixed ScanCursorDestroy "6.0.0" (cursor: *mut ScanCursor);
            fixed Scan "6.0.0" (
                ctx: *mut Ctx, cursor: *mut ScanCursor, callback: ScanFunc, privdata: *mut c_void
            ) -> c_int;
            fixed ScanKey "6.0.0" (
                key: *mut Key, cursor: *mut ScanCursor, callback: ScanKeyFunc, privdata: *mut c_void
            ) -> c_int;
        }
        "dict" {
            fixed CreateDict "5.0.0" (ctx: *mut Ctx) -> *mut Dict;
            fixed FreeDict "5.0.0" (ctx: *mut Ctx, d: *mut Dict);
            fixed DictSize "5.0.0" (d: *mut Dict) -> u64;
            fixed DictSetC "5.0.0" (
                d: *mut Dict, key: *mut c_void, keylen: usize, ptr: *mut c_void
            ) -> c_int;
            fixed DictReplaceC "5.0.0" (
                d: *mut Dict, key: *mut c_void, keylen: usize, ptr: *mut c_void
            ) -> c_int;
            fixed DictSet "5.0.0" (d: *mut Dict, key: *mut ModuleString, ptr: *mut c_void) -> c_int;
            fixed DictReplace "5.0.0" (
                d: *mut Dict, key: *mut ModuleString, ptr: *mut c_void
            ) -> c_int;
            fixed DictGetC "5.0.0" (
                d: *mut Dict, key: *mut c_void, keylen: usize, nokey: *mut c_int
            ) -> *mut c_void;
            fixed DictGet "5.0.0" (
                d: *mut Dict, key: *mut ModuleString, nokey: *mut c_int
            ) -> *mut c_void;
            fixed DictDelC "5.0.0" (
                d: *mut Dict, key: *mut c_void, keylen: usize, oldval: *mut c_void
            ) -> c_int;
            fixed DictDel "5.0.0" (
                d: *mut Dict, key: *mut ModuleString, oldval: *mut c_void
            ) -> c_int;
            fixed DictIteratorStartC "5.0.0" (
                d: *mut Dict, op: *const c_char, key: *mut c_void, keylen: usize
            ) -> *mut DictIter;
            fixed DictIteratorStart "5.0.0" (
                d: *mut Dict, op: *const c_char, key: *mut ModuleString
            ) -> *mut DictIter;
            fixed DictIteratorStop "5.0.0" (di: *mut DictIter);
            fixed DictIteratorReseekC "5.0.0" (
                di: *mut DictIter, op: *const c_char, key: *mut c_void, keylen: usize
            ) -> c_int;
            fixed DictIteratorReseek "5.0.0" (
                di: *mut DictIter, op: *const c_char, key: *mut ModuleString
            ) -> c_int;
            fixed DictNextC "5.0.0" (
                di: *mut DictIter, keylen: *mut usize, dataptr: *mut *mut c_void
            ) -> *mut c_void;
            fixed DictPrevC "5.0.0" (
                di: *mut DictIter, keylen: *mut usize, dataptr: *mut *mut c_void
            ) -> *mut c_void;
            fixed DictNext "5.0.0" (
                ctx: *mut Ctx, di: *mut DictIter, dataptr: *mut *mut c_void
            ) -> *mut ModuleString;
            fixed DictPrev "5.0.0" (
                ctx: *mut Ctx, di: *mut DictIter, dataptr: *mut *mut c_void
            ) -> *mut ModuleString;
            fixed DictCompareC "5.0.0" (
                di: *mut DictIter, op: *const c_char, key: *mut c_void, keylen: usize
            ) -> c_int;
            fixed DictCompare "5.0.0" (
                di: *mut DictIter, op: *const c_char, key: *mut ModuleString
            ) -> c_int;
        }
        "config" {
            fixed RegisterBoolConfig "7.0.0" (
                ctx: *mut Ctx, name: *const c_char, default_val: c_int, flags: c_uint,
                getfn: ConfigGetBoolFunc, setfn: ConfigSetBoolFunc, applyfn: ConfigApplyFunc,
                privdata: *mut c_void
            ) -> c_int;
            fixed RegisterNumericConfig "7.0.0" (
                ctx: *mut Ctx, name: *const c_char, default_val: c_longlong, flags: c_uint,
                min: c_longlong, max: c_longlong, getfn: ConfigGetNumericFunc,
                setfn: ConfigSetNumericFunc, applyfn: ConfigApplyFunc, privdata: *mut c_void
            ) -> c_int;
            fixed RegisterStringConfig "7.0.0" (
                ctx: *mut Ctx, name: *const c_char, default_val: *const c_char, flags: c_uint,
                getfn: ConfigGetStringFunc, setfn: ConfigSetStringFunc, applyfn: ConfigApplyFunc,
                privdata: *mut c_void
            ) -> c_int;
            fixed RegisterEnumConfig "7.0.0" (
                ctx: *mut Ctx, name: *const c_char, default_val: c_int, flags: c_uint,
                enum_values: *mut *const c_char, int_values: *const c_int, num_enum_vals: c_int,
                getfn: ConfigGetEnumFunc, setfn: ConfigSetEnumFunc, applyfn: ConfigApplyFunc,
                privdata: *mut c_void
            ) -> c_int;
            fixed LoadConfigs "7.0.0" (ctx: *mut Ctx) -> c_int;
            fixed LoadDefaultConfigs "8.0.0" (ctx: *mut Ctx) -> c_int;
        }
        "info" {
            fixed RegisterInfoFunc "6.0.0" (ctx: *mut Ctx, cb: InfoFunc) -> c_int;
            fixed InfoAddSection "6.0.0" (ctx: *mut InfoCtx, name: *const c_char) -> c_int;
            fixed InfoBeginDictField "6.0.0" (ctx: *mut InfoCtx, name: *const c_char) -> c_int;
            fixed InfoEndDictField "6.0.0" (ctx: *mut InfoCtx) -> c_int;
            fixed InfoAddFieldString "6.0.0" (
                ctx: *mut InfoCtx, field: *const c_char, value: *mut ModuleString
            ) -> c_int;
            fixed InfoAddFieldCString "6.0.0" (
                ctx: *mut InfoCtx, field: *const c_char, value: *const c_char
            ) -> c_int;
            fixed InfoAddFieldDouble "6.0.0" (
                ctx: *mut InfoCtx, field: *const c_char, value: f64
            ) -> c_int;
            fixed InfoAddFieldLongLong "6.0.0" (
                ctx: *mut InfoCtx, field: *const c_char, value: c_longlong
            ) -> c_int;
            fixed InfoAddFieldULongLong "6.0.0" (
                ctx: *mut InfoCtx, field: *const c_char, value: c_ulonglong
            ) -> c_int;
        }
        "server-info" {
            fixed GetServerInfo "6.0.0" (
                ctx: *mut Ctx, section: *const c_char
            ) -> *mut ServerInfoData;
            fixed FreeServerInfo "6.0.0" (ctx: *mut Ctx, data: *mut ServerInfoData);
            fixed ServerInfoGetField "6.0.0" (
                ctx: *mut Ctx, data: *mut ServerInfoData, field: *const c_char
            ) -> *mut ModuleString;
            fixed ServerInfoGetFieldC "6.0.0" (
                data: *mut ServerInfoData, field: *const c_char
            ) -> *const c_char;
            fixed ServerInfoGetFieldSigned "6.0.0" (
                data: *mut ServerInfoData, field: *const c_char, out_err: *mut c_int
            ) -> c_longlong;
            fixed ServerInfoGetFieldUnsigned "6.0.0" (
                data: *mut ServerInfoData, field: *const c_char, out_err: *mut c_int
            ) -> c_ulonglong;
            fixed ServerInfoGetFieldDouble "6.0.0" (
                data: *mut ServerInfoData, field: *const c_char, out_err: *mut c_int
            ) -> f64;
        }
        "shared-api" {
            fixed ExportSharedAPI "5.0.4" (
                ctx: *mut Ctx, apiname: *const c_char, func: *mut c_void
            ) -> c_int;
            fixed GetSharedAPI "5.0.4" (ctx: *mut Ctx, apiname: *const c_char) -> *mut c_void;
        }
        "log" {
            fixed _Assert "6.0.0" (estr: *const c_char, file: *const c_char, line: c_int);
            fixed LatencyAddSample "6.0.0" (event: *const c_char, latency: c_longlong);
            variadic Log "4.0.0" (ctx: *mut Ctx, level: *const c_char, fmt: *const c_char, ...);
            variadic LogIOError "4.0.0" (
                io: *mut IO, levelstr: *const c_char, fmt: *const c_char, ...
            );
        }
        "auto-memory" {
            fixed AutoMemory "4.0.0" (ctx: *mut Ctx);
        }
        "client" {
            fixed GetClientId "4.0.0" (ctx: *mut Ctx) -> c_ulonglong;
            fixed GetClientUserNameById "6.2.1" (ctx: *mut Ctx, id: u64) -> *mut ModuleString;
            fixed GetClientInfoById "6.0.0" (ci: *mut c_void, id: u64) -> c_int;
            fixed GetClientNameById "7.0.3" (ctx: *mut Ctx, id: u64) -> *mut ModuleString;
            fixed SetClientNameById "7.0.3" (id: u64, name: *mut ModuleString) -> c_int;
        }
        "acl/auth" {
            fixed CreateModuleUser "6.0.0" (name: *const c_char) -> *mut User;
            fixed FreeModuleUser "6.0.0" (user: *mut User);
            fixed SetModuleUserACL "6.0.0" (user: *mut User, acl: *const c_char) -> c_int;
            fixed SetModuleUserACLString "7.0.6" (
                ctx: *mut Ctx, user: *mut User, acl: *const c_char, error: *mut *mut ModuleString
            ) -> c_int;
            fixed GetModuleUserACLString "7.0.6" (user: *mut User) -> *mut ModuleString;
            fixed GetCurrentUserName "7.0.0" (ctx: *mut Ctx) -> *mut ModuleString;
            fixed GetModuleUserFromUserName "7.0.0" (name: *mut ModuleString) -> *mut User;
            fixed ACLCheckCommandPermissions "7.0.0" (
                user: *mut User, argv: *mut *mut ModuleString, argc: c_int
            ) -> c_int;
            fixed ACLCheckKeyPermissions "7.0.0" (
                user: *mut User, key: *mut ModuleString, flags: c_int
            ) -> c_int;
            fixed ACLCheckChannelPermissions "7.0.0" (
                user: *mut User, ch: *mut ModuleString, literal: c_int
            ) -> c_int;
            fixed ACLAddLogEntry "7.0.0" (
                ctx: *mut Ctx, user: *mut User, object: *mut ModuleString, reason: c_int
            );
            fixed ACLAddLogEntryByUserName "7.2.0" (
                ctx: *mut Ctx, user: *mut ModuleString, object: *mut ModuleString, reason: c_int
            );
            fixed AuthenticateClientWithACLUser "6.0.0" (
                ctx: *mut Ctx, name: *const c_char, len: usize, callback: UserChangedFunc,
                privdata: *mut c_void, client_id: *mut u64
            ) -> c_int;
            fixed AuthenticateClientWithUser "6.0.0" (
                ctx: *mut Ctx, user: *mut User, callback: UserChangedFunc, privdata: *mut c_void,
                client_id: *mut u64
            ) -> c_int;
            fixed DeauthenticateAndCloseClient "6.0.0" (ctx: *mut Ctx, client_id: u64) -> c_int;
            fixed RedactClientCommandArgument "7.0.0" (ctx: *mut Ctx, pos: c_int) -> c_int;
            fixed GetClientCertificate "6.0.9" (ctx: *mut Ctx, id: u64) -> *mut ModuleString;
        }
        "command-filters" {
            fixed RegisterCommandFilter "5.0.5" (
                ctx: *mut Ctx, cb: CommandFilterFunc, flags: c_int
            ) -> *mut CommandFilter;
            fixed UnregisterCommandFilter "5.0.5" (
                ctx: *mut Ctx, filter: *mut CommandFilter
            ) -> c_int;
            fixed CommandFilterArgsCount "5.0.5" (fctx: *mut CommandFilterCtx) -> c_int;
            fixed CommandFilterArgGet "5.0.5" (
                fctx: *mut CommandFilterCtx, pos: c_int
            ) -> *mut ModuleString;
            fixed CommandFilterArgInsert "5.0.5" (
                fctx: *mut CommandFilterCtx, pos: c_int, arg: *mut ModuleString
            ) -> c_int;
            fixed CommandFilterArgReplace "5.0.5" (
                fctx: *mut CommandFilterCtx, pos: c_int, arg: *mut ModuleString
            ) -> c_int;
            fixed CommandFilterArgDelete "5.0.5" (fctx: *mut CommandFilterCtx, pos: c_int) -> c_int;
            fixed CommandFilterGetClientId "7.2.0" (fctx: *mut CommandFilterCtx) -> c_ulonglong;
        }
        "pubsub" {
            fixed PublishMessage "6.0.0" (
                ctx: *mut Ctx, channel: *mut ModuleString, message: *mut ModuleString
            ) -> c_int;
            fixed PublishMessageShard "7.0.0" (
                ctx: *mut Ctx, channel: *mut ModuleString, message: *mut ModuleString
            ) -> c_int;
        }
        "eviction" {
            fixed SetLRU "6.0.0" (key: *mut Key, lru_idle: c_longlong) -> c_int;
            fixed GetLRU "6.0.0" (key: *mut Key, lru_idle: *mut c_longlong) -> c_int;
            fixed SetLFU "6.0.0" (key: *mut Key, lfu_freq: c_longlong) -> c_int;
            fixed GetLFU "6.0.0" (key: *mut Key, lfu_freq: *mut c_longlong) -> c_int;
        }
        "defrag" {
            fixed RegisterDefragFunc "6.2.0" (ctx: *mut Ctx, func: DefragFunc) -> c_int;
            fixed DefragAlloc "6.2.0" (ctx: *mut DefragCtx, ptr: *mut c_void) -> *mut c_void;
            fixed DefragRedisModuleString "6.2.0" (
                ctx: *mut DefragCtx, str: *mut ModuleString
            ) -> *mut ModuleString;
            fixed DefragShouldStop "6.2.0" (ctx: *mut DefragCtx) -> c_int;
            fixed DefragCursorSet "6.2.0" (ctx: *mut DefragCtx, cursor: c_ulong) -> c_int;
            fixed DefragCursorGet "6.2.0" (ctx: *mut DefragCtx, cursor: *mut c_ulong) -> c_int;
            fixed GetDbIdFromDefragCtx "7.0.0" (ctx: *mut DefragCtx) -> c_int;
            fixed GetKeyNameFromDefragCtx "7.0.0" (ctx: *mut DefragCtx) -> *const ModuleString;
            fixed RegisterDefragCallbacks "8.0.0" (
                ctx: *mut Ctx, start: DefragFunc, end: DefragFunc
            ) -> c_int;
            fixed RegisterDefragFunc2 "8.0.0" (ctx: *mut Ctx, func: DefragFunc2) -> c_int;
            fixed DefragAllocRaw "8.0.0" (ctx: *mut DefragCtx, bytes: usize) -> *mut c_void;
            fixed DefragFreeRaw "8.0.0" (ctx: *mut DefragCtx, ptr: *mut c_void);
            fixed DefragRedisModuleDict "8.0.0" (
                ctx: *mut DefragCtx, dict: *mut Dict, value: DefragDictValueFunc,
                seek_to: *mut *mut ModuleString
            ) -> *mut Dict;
            fixed DefragValkeyModuleString "8.0.0" (
                ctx: *mut DefragCtx, str: *mut ModuleString
            ) -> *mut ModuleString;
        }
        "fork" {
            fixed Fork "6.0.0" (cb: ForkDoneFunc, user_data: *mut c_void) -> c_int;
            fixed SendChildHeartbeat "6.2.0" (progress: f64);
            fixed ExitFromChild "6.0.0" (retcode: c_int) -> c_int;
            fixed KillForkChild "6.0.0" (child_pid: c_int) -> c_int;
        }
        "rdb-stream" {
            fixed RdbStreamCreateFromFile "7.2.0" (filename: *const c_char) -> *mut RdbStream;
            fixed RdbStreamFree "7.2.0" (stream: *mut RdbStream);
            fixed RdbLoad "7.2.0" (ctx: *mut Ctx, stream: *mut RdbStream, flags: c_int) -> c_int;
            fixed RdbSave "7.2.0" (ctx: *mut Ctx, stream: *mut RdbStream, flags: c_int) -> c_int;
        }
        "cluster" {
            fixed RegisterClusterMessageReceiver "5.0.0" (
                ctx: *mut Ctx, kind: u8, callback: ClusterMessageFunc
            );
            fixed SendClusterMessage "5.0.0" (
                ctx: *mut Ctx, target_id: *const c_char, kind: u8, msg: *const c_char, len: u32
            ) -> c_int;
            fixed GetClusterNodeInfo "5.0.0" (
                ctx: *mut Ctx, id: *const c_char, ip: *mut c_char, master_id: *mut c_char,
                port: *mut c_int, flags: *mut c_int
            ) -> c_int;
            fixed GetClusterNodesList "5.0.0" (
                ctx: *mut Ctx, numnodes: *mut usize
            ) -> *mut *mut c_char;
            fixed FreeClusterNodesList "5.0.0" (ids: *mut *mut c_char);
            fixed GetMyClusterID "5.0.0" () -> *const c_char;
            fixed GetClusterSize "5.0.0" () -> usize;
            fixed SetClusterFlags "5.0.0" (ctx: *mut Ctx, flags: u64);
            fixed ClusterKeySlot "7.4.0" (key: *mut ModuleString) -> c_uint;
            fixed ClusterCanonicalKeyNameInSlot "7.4.0" (slot: c_uint) -> *const c_char;
        }
        "util" {
            fixed GetRandomBytes "5.0.0" (dst: *mut u8, len: usize);
            fixed GetRandomHexChars "5.0.0" (dst: *mut c_char, len: usize);
        }
        "mortise" {
            fixed MortiseSetCommandParallel "0.1.0" (command: *mut Command) -> c_int;
            fixed MortiseAllocate "0.1.0" (bytes: usize, align: usize) -> *mut c_void;
            fixed MortiseAllocateZeroed "0.1.0" (bytes: usize, align: usize) -> *mut c_void;
            fixed MortiseReallocate "0.1.0" (
                block: *mut c_void, bytes: usize, align: usize, new_bytes: usize
            ) -> *mut c_void;
            fixed MortiseDeallocate "0.1.0" (block: *mut c_void, bytes: usize, align: usize);
            fixed MortiseOpenValue "0.1.0" (
                ctx: *mut Ctx, name: *mut ModuleString, kind: *mut ModuleType, mode: c_int,
                value: *mut *mut c_void
            ) -> c_int;
            fixed MortiseProtocol "0.1.0" (ctx: *mut Ctx) -> c_int;
            fixed MortiseSetTypeFetch "0.1.0" (kind: *mut ModuleType, fetch: TypeFetchFunc) -> c_int;
        }
        "yield" {
            fixed Yield "7.0.0" (ctx: *mut Ctx, flags: c_int, busy_reply: *const c_char);
        }
        }
    };
}
