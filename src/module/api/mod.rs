//! The functions of the module API, an area per file, and the table by which modules find them.
//!
//! A function that is not in the table is missing: the lookup leaves the module's pointer null, as the
//! ABI demands, and notes the name for the log. Signatures are checked against `mortise-module-abi` when
//! the table is compiled.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::sync::LazyLock;

use mortise_module_abi as abi;
use mortise_module_abi::api;
use parking_lot::Mutex;

use super::crash::Missing;
use super::handle::c_bytes;

pub mod memory;

pub mod strings;

pub mod reply;

pub mod keys;

pub mod lists;

pub mod zsets;

pub mod hashes;

pub mod streams;

pub mod call;

pub mod types;

pub mod commands;

pub mod command_info;

pub mod context;

pub mod io;

pub mod clients;

pub mod users;

pub mod dict;

pub mod config;

pub mod blocked;

pub mod threads;

pub mod timers;

pub mod yielding;

pub mod events;

pub mod server_events;

pub mod info;

pub mod scan;

pub mod filters;

pub mod event_loop;

pub mod processes;

pub mod cluster;

pub mod config_access;

pub mod eviction;

pub mod defrag;

/// A function of the API, as an address.
#[derive(Clone, Copy)]
struct Address(*const ());

// SAFETY: the address of code, which no thread owns.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

/// Builds the table; each line is a compile error if the function's type is not that of the ABI.
macro_rules! table {
    ($($name:ident => $function:path),* $(,)?) => {
        const TABLE: &[(&str, Address)] = &[$(
            (stringify!($name), Address({ const F: api::$name = $function; F as *const () })),
        )*];
    };
}

unsafe extern "C" {
    fn mortise_api_call(
        ctx: *mut abi::Ctx,
        name: *const c_char,
        format: *const c_char,
        ...
    ) -> *mut abi::CallReply;
    fn mortise_api_replicate(
        ctx: *mut abi::Ctx,
        name: *const c_char,
        format: *const c_char,
        ...
    ) -> c_int;
    fn mortise_api_emit_aof(io: *mut abi::IO, name: *const c_char, format: *const c_char, ...);
    fn mortise_api_create_string_from_long_double();
    fn mortise_api_string_to_long_double(
        string: *const abi::ModuleString,
        out: *mut abi::LongDouble,
    ) -> c_int;
    fn mortise_api_reply_with_long_double();
    fn mortise_api_save_long_double();
    fn mortise_api_load_long_double();
    fn mortise_api_hash_set(key: *mut abi::Key, flags: c_int, ...) -> c_int;
    fn mortise_api_hash_get(key: *mut abi::Key, flags: c_int, ...) -> c_int;
    fn mortise_api_log(ctx: *mut abi::Ctx, level: *const c_char, format: *const c_char, ...);
    fn mortise_api_log_io_error(io: *mut abi::IO, level: *const c_char, format: *const c_char, ...);
    fn mortise_api_create_string_printf(
        ctx: *mut abi::Ctx,
        format: *const c_char,
        ...
    ) -> *mut abi::ModuleString;
    fn mortise_api_reply_with_error_format(ctx: *mut abi::Ctx, format: *const c_char, ...)
    -> c_int;
}

table! {
    GetApi => get_api,
    Alloc => memory::alloc, TryAlloc => memory::alloc, Realloc => memory::realloc,
    TryRealloc => memory::realloc, Free => memory::free, Calloc => memory::calloc,
    TryCalloc => memory::calloc, Strdup => memory::strdup, MallocSize => memory::malloc_size,
    MallocUsableSize => memory::malloc_size, MallocSizeString => memory::malloc_size_string,
    GetUsedMemoryRatio => memory::used_memory_ratio,
    CreateString => strings::create, CreateStringFromLongLong => strings::create_from_long_long,
    CreateStringFromULongLong => strings::create_from_ulong_long,
    CreateStringFromDouble => strings::create_from_double,
    CreateStringFromString => strings::create_from_string,
    CreateStringPrintf => mortise_api_create_string_printf,
    FreeString => strings::free, StringPtrLen => strings::ptr_len,
    StringToLongLong => strings::to_long_long, StringToULongLong => strings::to_ulong_long,
    StringToDouble => strings::to_double, StringAppendBuffer => strings::append_buffer,
    TrimStringAllocation => strings::trim, RetainString => strings::retain,
    HoldString => strings::hold, StringCompare => strings::compare,
    WrongArity => reply::wrong_arity, ReplyWithLongLong => reply::long_long,
    ReplyWithError => reply::error, ReplyWithErrorFormat => mortise_api_reply_with_error_format,
    ReplyWithSimpleString => reply::simple, ReplyWithArray => reply::array,
    ReplyWithMap => reply::map, ReplyWithSet => reply::set,
    ReplyWithAttribute => reply::attribute, ReplyWithNullArray => reply::null_array,
    ReplyWithEmptyArray => reply::empty_array, ReplySetArrayLength => reply::set_array_length,
    ReplySetMapLength => reply::set_map_length, ReplySetSetLength => reply::set_set_length,
    ReplySetAttributeLength => reply::set_attribute_length,
    ReplyWithStringBuffer => reply::string_buffer, ReplyWithCString => reply::c_string,
    ReplyWithString => reply::string, ReplyWithEmptyString => reply::empty_string,
    ReplyWithVerbatimString => reply::verbatim,
    ReplyWithVerbatimStringType => reply::verbatim_type, ReplyWithNull => reply::null,
    ReplyWithBool => reply::bool, ReplyWithDouble => reply::double,
    ReplyWithBigNumber => reply::big_number, ReplyWithCallReply => reply::call_reply,
    KeyExists => keys::exists, OpenKey => keys::open, GetOpenKeyModesAll => keys::modes_all,
    CloseKey => keys::close, KeyType => keys::key_type, ValueLength => keys::value_length,
    DeleteKey => keys::delete, UnlinkKey => keys::delete, GetExpire => keys::expire,
    SetExpire => keys::set_expire, GetAbsExpire => keys::abs_expire,
    SetAbsExpire => keys::set_abs_expire, DbSize => keys::db_size,
    RandomKey => keys::random_key, SignalModifiedKey => keys::signal_modified,
    GetDbIdFromOptCtx => keys::opt_db, GetToDbIdFromOptCtx => keys::opt_to_db,
    GetKeyNameFromOptCtx => keys::opt_key, GetToKeyNameFromOptCtx => keys::opt_to_key,
    GetKeyNameFromModuleKey => keys::name, GetDbIdFromModuleKey => keys::db,
    StringSet => keys::string_set, StringDMA => keys::string_dma,
    StringTruncate => keys::string_truncate,
    ListPush => lists::push, ListPop => lists::pop, ListGet => lists::get, ListSet => lists::set,
    ListInsert => lists::insert, ListDelete => lists::delete,
    ZsetAdd => zsets::add, ZsetIncrby => zsets::increment, ZsetRem => zsets::remove,
    ZsetScore => zsets::score, ZsetFirstInScoreRange => zsets::first_in_scores,
    ZsetLastInScoreRange => zsets::last_in_scores, ZsetFirstInLexRange => zsets::first_in_members,
    ZsetLastInLexRange => zsets::last_in_members,
    ZsetRangeCurrentElement => zsets::current, ZsetRangeNext => zsets::next,
    ZsetRangePrev => zsets::previous, ZsetRangeEndReached => zsets::end_reached,
    ZsetRangeStop => zsets::stop,
    StreamAdd => streams::add, StreamDelete => streams::delete,
    StreamIteratorStart => streams::start, StreamIteratorStop => streams::stop,
    StreamIteratorNextID => streams::next_id, StreamIteratorNextField => streams::next_field,
    StreamIteratorDelete => streams::delete_current,
    StreamTrimByLength => streams::trim_by_length, StreamTrimByID => streams::trim_by_id,
    HashSet => mortise_api_hash_set, HashGet => mortise_api_hash_get,
    HashFieldMinExpire => hashes::min_expire,
    CallReplyPromiseSetUnblockHandler => call::set_unblock_handler,
    CallReplyPromiseAbort => call::abort,
    Call => mortise_api_call, CallReplyProto => call::proto, FreeCallReply => call::free,
    CallReplyType => call::kind, CallReplyInteger => call::integer,
    CallReplyDouble => call::double, CallReplyBool => call::bool,
    CallReplyBigNumber => call::big_number, CallReplyVerbatim => call::verbatim,
    CallReplySetElement => call::element, CallReplyMapElement => call::map_element,
    CallReplyAttribute => call::attribute, CallReplyAttributeElement => call::attribute_element,
    CallReplyLength => call::length, CallReplyArrayElement => call::element,
    CallReplyStringPtr => call::string_ptr, CreateStringFromCallReply => call::create_string,
    Replicate => mortise_api_replicate, ReplicateVerbatim => call::replicate_verbatim,
    CreateDataType => types::create, ModuleTypeSetValue => types::set_value,
    ModuleTypeReplaceValue => types::replace_value, ModuleTypeGetType => types::get_type,
    ModuleTypeGetValue => types::get_value, GetTypeMethodVersion => types::method_version,
    DigestAddStringBuffer => types::digest_add_string, DigestAddLongLong => types::digest_add_int,
    DigestEndSequence => types::digest_end, GetDbIdFromDigest => types::digest_db,
    GetKeyNameFromDigest => types::digest_key,
    SaveUnsigned => io::save_unsigned, LoadUnsigned => io::load_unsigned,
    SaveSigned => io::save_signed, LoadSigned => io::load_signed,
    SaveDouble => io::save_double, LoadDouble => io::load_double,
    SaveFloat => io::save_float, LoadFloat => io::load_float,
    SaveString => io::save_string, LoadString => io::load_string,
    SaveStringBuffer => io::save_string_buffer, LoadStringBuffer => io::load_string_buffer,
    IsIOError => io::is_error, GetKeyNameFromIO => io::key_name, GetDbIdFromIO => io::db,
    GetContextFromIO => io::context, EmitAOF => mortise_api_emit_aof,
    SaveDataTypeToString => io::save_to_string,
    LoadDataTypeFromString => io::load_from_string,
    LoadDataTypeFromStringEncver => io::load_from_string_encver,
    RegisterBoolConfig => config::register_bool,
    RegisterNumericConfig => config::register_numeric,
    RegisterStringConfig => config::register_string, RegisterEnumConfig => config::register_enum,
    LoadConfigs => config::load,
    CreateDict => dict::create, FreeDict => dict::free, DictSize => dict::size,
    MallocSizeDict => dict::malloc_size, DictSetC => dict::set_c, DictReplaceC => dict::replace_c,
    DictSet => dict::set, DictReplace => dict::replace, DictGetC => dict::get_c,
    DictGet => dict::get, DictDelC => dict::del_c, DictDel => dict::del,
    DictIteratorStartC => dict::start_c, DictIteratorStart => dict::start,
    DictIteratorStop => dict::stop, DictIteratorReseekC => dict::reseek_c,
    DictIteratorReseek => dict::reseek, DictNextC => dict::next_c, DictPrevC => dict::prev_c,
    DictNext => dict::next, DictPrev => dict::prev, DictCompareC => dict::compare_c,
    DictCompare => dict::compare,
    GetClientInfoById => clients::info, GetClientNameById => clients::name,
    GetClientCertificate => clients::certificate,
    SetClientNameById => clients::set_name, GetClientUserNameById => clients::user_name,
    CreateModuleUser => users::create, FreeModuleUser => users::free,
    SetModuleUserACL => users::set_acl, SetModuleUserACLString => users::set_acl_string,
    GetModuleUserACLString => users::acl_string, GetModuleUserFromUserName => users::by_name,
    ACLCheckCommandPermissions => users::check_command, ACLCheckKeyPermissions => users::check_key,
    ACLCheckChannelPermissions => users::check_channel, ACLAddLogEntry => users::add_log_entry,
    ACLAddLogEntryByUserName => users::add_log_entry_by_name,
    AuthenticateClientWithUser => users::log_in_as,
    AuthenticateClientWithACLUser => users::log_in_by_name,
    DeauthenticateAndCloseClient => users::log_out, SetContextUser => users::set_context_user,
    RedactClientCommandArgument => users::redact,
    IsChannelsPositionRequest => commands::is_channels_request,
    ChannelAtPosWithFlags => commands::channel_at_with_flags,
    GetCurrentUserName => clients::current_user, GetServerInfo => clients::server_info,
    FreeServerInfo => clients::free_server_info, ServerInfoGetField => clients::field_string,
    ServerInfoGetFieldC => clients::field_c, ServerInfoGetFieldSigned => clients::field_signed,
    ServerInfoGetFieldUnsigned => clients::field_unsigned,
    ServerInfoGetFieldDouble => clients::field_double, ResetDataset => clients::reset_dataset,
    CreateStringFromStreamID => clients::stream_id_string,
    StringToStreamID => clients::string_to_stream_id,
    CreateStringFromLongDouble => mortise_api_create_string_from_long_double,
    StringToLongDouble => mortise_api_string_to_long_double,
    ReplyWithLongDouble => mortise_api_reply_with_long_double,
    SaveLongDouble => mortise_api_save_long_double,
    LoadLongDouble => mortise_api_load_long_double,
    BlockClientOnKeys => blocked::block_on_keys,
    BlockClientOnKeysWithFlags => blocked::block_on_keys_with,
    RegisterAuthCallback => blocked::register_log_in, BlockClientOnAuth => blocked::block_on_log_in,
    SignalKeyAsReady => blocked::signal_ready, GetBlockedClientReadyKey => blocked::ready_key,
    BlockClient => blocked::block, UnblockClient => blocked::unblock,
    AbortBlock => blocked::abort, BlockClientGetPrivateData => blocked::data,
    BlockClientSetPrivateData => blocked::set_data,
    SetDisconnectCallback => blocked::set_disconnect,
    BlockedClientMeasureTimeStart => blocked::measure_start,
    BlockedClientMeasureTimeEnd => blocked::measure_end,
    IsBlockedReplyRequest => blocked::is_reply, IsBlockedTimeoutRequest => blocked::is_timeout,
    BlockedClientDisconnected => blocked::is_disconnected,
    GetBlockedClientPrivateData => blocked::context_data,
    GetBlockedClientHandle => blocked::context_handle,
    GetThreadSafeContext => threads::create,
    GetDetachedThreadSafeContext => threads::create_detached,
    FreeThreadSafeContext => threads::free, ThreadSafeContextLock => threads::lock,
    ThreadSafeContextTryLock => threads::try_lock, ThreadSafeContextUnlock => threads::unlock,
    Yield => yielding::yield_now,
    CreateTimer => timers::create, StopTimer => timers::stop, GetTimerInfo => timers::info,
    AddPostNotificationJob => timers::add_job,
    SetModuleAttribs => commands::set_attribs, IsModuleNameBusy => commands::is_name_busy,
    SetModuleOptions => commands::set_options, GetModuleOptionsAll => commands::options_all,
    CreateCommand => commands::create, CreateSubcommand => commands::create_sub,
    GetCommandKeys => commands::keys_of, GetCommandKeysWithFlags => commands::keys_with_flags,
    GetCommand => commands::get,
    SetCommandInfo => commands::set_info, SetCommandACLCategories => commands::set_categories,
    MortiseSetCommandParallel => commands::set_parallel,
    MortiseAllocate => memory::allocate, MortiseAllocateZeroed => memory::allocate_zeroed,
    MortiseReallocate => memory::reallocate, MortiseDeallocate => memory::deallocate,
    MortiseOpenValue => types::open_value, MortiseProtocol => context::protocol,
    MortiseSetTypeFetch => types::set_fetch,
    AddACLCategory => commands::add_category, IsKeysPositionRequest => commands::is_keys_request,
    KeyAtPos => commands::key_at, KeyAtPosWithFlags => commands::key_at_with_flags,
    GetCurrentCommandName => commands::current_name,
    GetSelectedDb => context::selected_db, SelectDb => context::select_db,
    GetContextFlags => context::flags, GetContextFlagsAll => context::flags_all,
    AutoMemory => context::auto_memory, PoolAlloc => context::pool_alloc,
    GetClientId => context::client_id, GetServerVersion => context::server_version,
    Milliseconds => context::milliseconds, Microseconds => context::microseconds,
    CachedMicroseconds => context::cached_microseconds,
    MonotonicMicroseconds => context::monotonic_microseconds,
    GetRandomBytes => context::random_bytes, GetRandomHexChars => context::random_hex,
    Log => mortise_api_log, LogIOError => mortise_api_log_io_error, _Assert => context::assert,
    LatencyAddSample => context::latency_sample, ExportSharedAPI => context::export_shared,
    GetSharedAPI => context::get_shared, AvoidReplicaTraffic => context::avoid_replica_traffic,
    SubscribeToKeyspaceEvents => events::subscribe, NotifyKeyspaceEvent => events::notify,
    GetKeyspaceNotificationFlagsAll => events::flags_all,
    GetNotifyKeyspaceEvents => events::configured,
    SubscribeToServerEvent => events::subscribe_server,
    IsSubEventSupported => events::is_sub_event_supported,
    RegisterInfoFunc => info::register, InfoAddSection => info::add_section,
    InfoBeginDictField => info::begin_dict, InfoEndDictField => info::end_dict,
    InfoAddFieldString => info::field_string, InfoAddFieldCString => info::field_c_string,
    InfoAddFieldDouble => info::field_double, InfoAddFieldLongLong => info::field_long_long,
    InfoAddFieldULongLong => info::field_ulong_long,
    SetLRU => eviction::set_idle, GetLRU => eviction::idle, SetLFU => eviction::set_frequency,
    GetLFU => eviction::frequency,
    RegisterDefragFunc => defrag::register, RegisterDefragFunc2 => defrag::register_with_result,
    RegisterDefragCallbacks => defrag::register_callbacks, DefragAlloc => defrag::alloc,
    DefragAllocRaw => defrag::alloc_raw, DefragFreeRaw => defrag::free_raw,
    DefragRedisModuleString => defrag::string, DefragValkeyModuleString => defrag::string,
    DefragRedisModuleDict => defrag::dict, DefragShouldStop => defrag::should_stop,
    DefragCursorSet => defrag::set_cursor, DefragCursorGet => defrag::cursor,
    GetKeyNameFromDefragCtx => defrag::key_name, GetDbIdFromDefragCtx => defrag::db,
    ScanCursorCreate => scan::create, ScanCursorRestart => scan::restart,
    ScanCursorDestroy => scan::destroy, Scan => scan::scan, ScanKey => scan::scan_key,
    RegisterCommandFilter => filters::register, UnregisterCommandFilter => filters::unregister,
    CommandFilterArgsCount => filters::count, CommandFilterArgGet => filters::get,
    CommandFilterArgInsert => filters::insert, CommandFilterArgReplace => filters::replace,
    Fork => processes::fork, SendChildHeartbeat => processes::heartbeat,
    ExitFromChild => processes::exit_from_child, KillForkChild => processes::kill_fork_child,
    RdbStreamCreateFromFile => processes::stream_of_file, RdbStreamFree => processes::free_stream,
    RdbLoad => processes::rdb_load, RdbSave => processes::rdb_save,
    PublishMessage => cluster::publish, PublishMessageShard => cluster::publish_shard,
    RegisterClusterMessageReceiver => cluster::register_receiver,
    SendClusterMessage => cluster::send_message, GetClusterNodeInfo => cluster::node_info,
    GetClusterNodesList => cluster::nodes, FreeClusterNodesList => cluster::free_nodes,
    GetMyClusterID => cluster::own_id, GetClusterSize => cluster::size,
    SetClusterFlags => cluster::set_flags, ClusterKeySlot => cluster::slot_of,
    ClusterCanonicalKeyNameInSlot => cluster::name_in_slot,
    LoadDefaultConfigs => config::load_defaults,
    ConfigIteratorCreate => config_access::iterate, ConfigIteratorNext => config_access::next,
    ConfigIteratorRelease => config_access::release, ConfigGetType => config_access::kind,
    ConfigGet => config_access::get, ConfigGetBool => config_access::get_bool,
    ConfigGetEnum => config_access::get_enum, ConfigGetNumeric => config_access::get_numeric,
    ConfigSet => config_access::set, ConfigSetBool => config_access::set_bool,
    ConfigSetEnum => config_access::set_enum, ConfigSetNumeric => config_access::set_numeric,
    ACLCheckKeyPrefixPermissions => users::check_prefix, GetContextUser => users::context_user,
    GetUserUsername => users::username, MustObeyClient => users::must_obey,
    UnsubscribeFromKeyspaceEvents => events::unsubscribe,
    EventLoopAdd => event_loop::add, EventLoopDel => event_loop::del,
    EventLoopAddOneShot => event_loop::add_one_shot,
    CommandFilterArgDelete => filters::delete, CommandFilterGetClientId => filters::client,
}

/// Functions that Valkey has with another signature than Redis, under their full names.
const OF_VALKEY: &[(&str, Address)] = &[(
    "ValkeyModule_ACLCheckKeyPrefixPermissions",
    Address({
        const F: abi::ValkeyACLCheckKeyPrefixPermissions = users::check_prefix_of_valkey;
        F as *const ()
    }),
)];

static BY_NAME: LazyLock<HashMap<&'static str, Address>> =
    LazyLock::new(|| TABLE.iter().copied().collect());

/// What was looked up in vain since [`take_missing`].
static MISSING: Mutex<Vec<Missing>> = Mutex::new(Vec::new());

/// What modules looked up in vain since the last call.
pub fn take_missing() -> Vec<Missing> {
    std::mem::take(&mut *MISSING.lock())
}

/// Runs `f` with what was looked up in vain so far, unless somebody is just looking something up. For signal handlers,
/// which must not wait.
pub fn with_missing(f: impl FnOnce(&[Missing])) {
    if let Some(missing) = MISSING.try_lock() {
        f(&missing);
    }
}

/// `GetApi`: finds a function under its Redis or its Valkey name.
///
/// # Safety
/// `name` is a C string or null; `out` is null or points to a variable for a function pointer.
pub unsafe extern "C" fn get_api(name: *const c_char, out: *mut c_void) -> c_int {
    // SAFETY: modules pass C strings.
    let Some(name) = (unsafe { c_bytes(name) }) else { return 1 };
    let Ok(name) = std::str::from_utf8(name) else { return 1 };
    let plain = name.strip_prefix("RedisModule_").or_else(|| name.strip_prefix("ValkeyModule_"));
    let of_family =
        OF_VALKEY.iter().find(|(theirs, _)| *theirs == name).map(|(_, address)| address);
    match of_family.or_else(|| plain.and_then(|plain| BY_NAME.get(plain))) {
        Some(address) if !out.is_null() => {
            // SAFETY: `out` points to the module's variable for a function pointer.
            unsafe { out.cast::<*const ()>().write(address.0) };
            0
        }
        _ => {
            MISSING.lock().push(Missing { name: name.to_owned(), variable: out.addr() });
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_under_both_families_and_no_others() {
        let find = |name: &std::ffi::CStr| {
            let mut found: *const () = std::ptr::null();
            // SAFETY: a C string, and a variable for a pointer.
            let code = unsafe { get_api(name.as_ptr(), (&raw mut found).cast()) };
            (code, found)
        };
        let (code, redis) = find(c"RedisModule_Alloc");
        assert!(code == 0 && !redis.is_null());
        assert_eq!(find(c"ValkeyModule_Alloc"), (0, redis));
        assert_eq!(find(c"RedisModule_ReplySetPushLength"), (1, std::ptr::null()));
        assert_eq!(find(c"Alloc"), (1, std::ptr::null()));
    }
}
