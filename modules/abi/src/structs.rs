//! Which structs cross the line by layout, and where exactly does each field lie?
//!
//! The asserts are the specification (x86-64 and 64-bit ARM); a field may never move.

use core::ffi::{c_char, c_int};
use core::mem::{align_of, offset_of, size_of};

use crate::types::*;

/// The id of a stream entry.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct StreamId {
    /// Milliseconds.
    pub ms: u64,
    /// Sequence number within the millisecond.
    pub seq: u64,
}

/// What a server event subscription names; passed by value, in two registers.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// One of the `EVENT_` constants.
    pub id: u64,
    /// The version of the event's data struct that the module understands.
    pub dataver: u64,
}

impl Event {
    /// The event `id` with its first, and so far only, data version.
    pub const fn new(id: u64) -> Event {
        Event { id, dataver: 1 }
    }
}

/// The callbacks of a native data type. The server reads only the part that `version` covers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TypeMethods {
    /// At most [`TYPE_METHOD_VERSION`](crate::TYPE_METHOD_VERSION); 0 is refused.
    pub version: u64,
    /// Since version 1.
    pub rdb_load: TypeLoadFunc,
    /// Since version 1.
    pub rdb_save: TypeSaveFunc,
    /// Since version 1.
    pub aof_rewrite: TypeRewriteFunc,
    /// Since version 1.
    pub mem_usage: TypeMemUsageFunc,
    /// Since version 1.
    pub digest: TypeDigestFunc,
    /// Since version 1.
    pub free: TypeFreeFunc,
    /// Since version 2.
    pub aux_load: TypeAuxLoadFunc,
    /// Since version 2.
    pub aux_save: TypeAuxSaveFunc,
    /// Since version 2: `AUX_BEFORE_RDB`, `AUX_AFTER_RDB` or both.
    pub aux_save_triggers: c_int,
    /// Since version 3.
    pub free_effort: TypeFreeEffortFunc,
    /// Since version 3.
    pub unlink: TypeUnlinkFunc,
    /// Since version 3.
    pub copy: TypeCopyFunc,
    /// Since version 3.
    pub defrag: TypeDefragFunc,
    /// Since version 4; wins over `mem_usage`.
    pub mem_usage2: TypeMemUsageFunc2,
    /// Since version 4; wins over `free_effort`.
    pub free_effort2: TypeFreeEffortFunc2,
    /// Since version 4; wins over `unlink`.
    pub unlink2: TypeUnlinkFunc2,
    /// Since version 4; wins over `copy`.
    pub copy2: TypeCopyFunc2,
    /// Since version 5; as `aux_save`, but leaves no trace in the file when it saves nothing.
    pub aux_save2: TypeAuxSaveFunc,
}

impl TypeMethods {
    /// A table with no callback set, of the newest version.
    pub const EMPTY: TypeMethods = TypeMethods {
        version: crate::TYPE_METHOD_VERSION,
        rdb_load: None,
        rdb_save: None,
        aof_rewrite: None,
        mem_usage: None,
        digest: None,
        free: None,
        aux_load: None,
        aux_save: None,
        aux_save_triggers: 0,
        free_effort: None,
        unlink: None,
        copy: None,
        defrag: None,
        mem_usage2: None,
        free_effort2: None,
        unlink2: None,
        copy2: None,
        aux_save2: None,
    };
}

/// The sizes that a module was compiled with, so that the server can walk its arrays.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CommandInfoVersion {
    /// 1.
    pub version: c_int,
    /// Stride of [`CommandInfo::history`].
    pub sizeof_historyentry: usize,
    /// Stride of [`CommandInfo::key_specs`].
    pub sizeof_keyspec: usize,
    /// Stride of [`CommandInfo::args`].
    pub sizeof_arg: usize,
}

impl CommandInfoVersion {
    /// The version that the structs of this crate have.
    pub const CURRENT: CommandInfoVersion = CommandInfoVersion {
        version: 1,
        sizeof_historyentry: size_of::<CommandHistoryEntry>(),
        sizeof_keyspec: size_of::<CommandKeySpec>(),
        sizeof_arg: size_of::<CommandArg>(),
    };
}

/// What COMMAND DOCS and COMMAND INFO tell about a command.
#[repr(C)]
pub struct CommandInfo {
    /// Points to a [`CommandInfoVersion`].
    pub version: *const CommandInfoVersion,
    /// One line.
    pub summary: *const c_char,
    /// Such as `O(1)`.
    pub complexity: *const c_char,
    /// The module version that introduced it.
    pub since: *const c_char,
    /// Ends with an entry whose `since` is NULL.
    pub history: *mut CommandHistoryEntry,
    /// Space-separated tips for clients.
    pub tips: *const c_char,
    /// Number of arguments with the name; `-n` means at least `n`.
    pub arity: c_int,
    /// Ends with an entry whose `begin_search_type` is 0.
    pub key_specs: *mut CommandKeySpec,
    /// Ends with an entry whose `name` is NULL.
    pub args: *mut CommandArg,
}

/// One line of a command's history.
#[repr(C)]
pub struct CommandHistoryEntry {
    /// The version.
    pub since: *const c_char,
    /// What changed.
    pub changes: *const c_char,
}

/// Where a command's keys are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CommandKeySpec {
    /// Free text or NULL.
    pub notes: *const c_char,
    /// `CMD_KEY_` constants.
    pub flags: u64,
    /// One of the `KSPEC_BS_` constants; 0 ends the array.
    pub begin_search_type: c_int,
    /// Read according to `begin_search_type`.
    pub bs: BeginSearch,
    /// One of the `KSPEC_FK_` constants.
    pub find_keys_type: c_int,
    /// Read according to `find_keys_type`.
    pub fk: FindKeys,
}

/// Where the search for keys begins.
#[repr(C)]
#[derive(Clone, Copy)]
pub union BeginSearch {
    /// At an index.
    pub index: BeginIndex,
    /// After a keyword.
    pub keyword: BeginKeyword,
}

/// The search begins at an index.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct BeginIndex {
    /// The index in argv.
    pub pos: c_int,
}

/// The search begins after a keyword.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct BeginKeyword {
    /// The keyword.
    pub keyword: *const c_char,
    /// From where it is looked for; negative counts from the end.
    pub startfrom: c_int,
}

/// How keys are found from where the search began.
#[repr(C)]
#[derive(Clone, Copy)]
pub union FindKeys {
    /// A range.
    pub range: FindRange,
    /// A number of keys, then the keys.
    pub keynum: FindKeynum,
}

/// The keys are a range.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FindRange {
    /// Relative to the begin; negative counts from the end of argv.
    pub lastkey: c_int,
    /// Distance between keys.
    pub keystep: c_int,
    /// With `lastkey` -1: 2 means the first half of the remaining arguments, and so on.
    pub limit: c_int,
}

/// An argument tells how many keys follow.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FindKeynum {
    /// Where the number is, relative to the begin.
    pub keynumidx: c_int,
    /// Where the first key is, relative to the begin.
    pub firstkey: c_int,
    /// Distance between keys.
    pub keystep: c_int,
}

/// One argument of a command, for its documentation.
#[repr(C)]
pub struct CommandArg {
    /// NULL ends the array.
    pub name: *const c_char,
    /// One of the `ARG_TYPE_` constants.
    pub kind: c_int,
    /// For keys, the index of their key spec; otherwise -1.
    pub key_spec_index: c_int,
    /// The word before the argument, or NULL.
    pub token: *const c_char,
    /// One line, or NULL.
    pub summary: *const c_char,
    /// The version that introduced it, or NULL.
    pub since: *const c_char,
    /// `CMD_ARG_` constants.
    pub flags: c_int,
    /// The version that deprecated it, or NULL.
    pub deprecated_since: *const c_char,
    /// For the types that have them.
    pub subargs: *mut CommandArg,
    /// What to print instead of the name, or NULL.
    pub display_text: *const c_char,
}

/// A client, version 1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ClientInfo {
    /// Set by the caller to 1.
    pub version: u64,
    /// `CLIENTINFO_FLAG_` constants.
    pub flags: u64,
    /// The client's id.
    pub id: u64,
    /// IP address as text, NUL-terminated.
    pub addr: [c_char; 46],
    /// TCP port.
    pub port: u16,
    /// Selected database.
    pub db: u16,
}

/// Data of `EVENT_REPLICATION_ROLE_CHANGED`, version 1.
#[repr(C)]
pub struct ReplicationInfo {
    /// 1.
    pub version: u64,
    /// Not 0 when we are a primary now.
    pub master: c_int,
    /// The new primary's host.
    pub masterhost: *mut c_char,
    /// The new primary's port.
    pub masterport: c_int,
    /// Main replication id.
    pub replid1: *mut c_char,
    /// Secondary replication id.
    pub replid2: *mut c_char,
    /// Main offset.
    pub repl1_offset: u64,
    /// Up to which offset the secondary id is valid.
    pub repl2_offset: u64,
}

/// Data of `EVENT_FLUSHDB`, version 1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FlushInfo {
    /// 1.
    pub version: u64,
    /// Not 0 when the memory is freed before the command returns.
    pub sync: i32,
    /// The database, or -1 for all.
    pub dbnum: i32,
}

/// Data of `EVENT_MODULE_CHANGE`, version 1.
#[repr(C)]
pub struct ModuleChange {
    /// 1.
    pub version: u64,
    /// The module's name.
    pub module_name: *const c_char,
    /// The module's version.
    pub module_version: i32,
}

/// Data of `EVENT_CONFIG`, version 1.
#[repr(C)]
pub struct ConfigChange {
    /// 1.
    pub version: u64,
    /// Length of `config_names`.
    pub num_changes: u32,
    /// The parameters that changed.
    pub config_names: *mut *const c_char,
}

/// Data of `EVENT_CRON_LOOP`, version 1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CronLoop {
    /// 1.
    pub version: u64,
    /// About how often per second.
    pub hz: i32,
}

/// Data of `EVENT_LOADING_PROGRESS`, version 1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LoadingProgress {
    /// 1.
    pub version: u64,
    /// About how often per second.
    pub hz: i32,
    /// Between 0 and 1024, or -1 when unknown.
    pub progress: i32,
}

/// Data of `EVENT_SWAPDB`, version 1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SwapDbInfo {
    /// 1.
    pub version: u64,
    /// One database.
    pub dbnum_first: i32,
    /// The other.
    pub dbnum_second: i32,
}

/// Data of `EVENT_KEY`, version 1.
#[repr(C)]
pub struct KeyInfo {
    /// 1.
    pub version: u64,
    /// The key, open for reading.
    pub key: *mut Key,
}

macro_rules! layout {
    ($($name:ty: $size:literal, $($field:ident @ $offset:literal),*;)*) => {
        $(const _: () = {
            assert!(size_of::<$name>() == $size);
            assert!(align_of::<$name>() <= 8);
            $(assert!(offset_of!($name, $field) == $offset);)*
        };)*
    };
}

layout! {
    CtxHead: 8, get_api @ 0;
    StreamId: 16, ms @ 0, seq @ 8;
    Event: 16, id @ 0, dataver @ 8;
    TypeMethods: 152, version @ 0, rdb_load @ 8, rdb_save @ 16, aof_rewrite @ 24, mem_usage @ 32,
        digest @ 40, free @ 48, aux_load @ 56, aux_save @ 64, aux_save_triggers @ 72,
        free_effort @ 80, unlink @ 88, copy @ 96, defrag @ 104, mem_usage2 @ 112,
        free_effort2 @ 120, unlink2 @ 128, copy2 @ 136, aux_save2 @ 144;
    CommandInfoVersion: 32, version @ 0, sizeof_historyentry @ 8, sizeof_keyspec @ 16,
        sizeof_arg @ 24;
    CommandInfo: 72, version @ 0, summary @ 8, complexity @ 16, since @ 24, history @ 32,
        tips @ 40, arity @ 48, key_specs @ 56, args @ 64;
    CommandHistoryEntry: 16, since @ 0, changes @ 8;
    CommandKeySpec: 56, notes @ 0, flags @ 8, begin_search_type @ 16, bs @ 24,
        find_keys_type @ 40, fk @ 44;
    BeginKeyword: 16, keyword @ 0, startfrom @ 8;
    FindRange: 12, lastkey @ 0, keystep @ 4, limit @ 8;
    FindKeynum: 12, keynumidx @ 0, firstkey @ 4, keystep @ 8;
    CommandArg: 72, name @ 0, kind @ 8, key_spec_index @ 12, token @ 16, summary @ 24, since @ 32,
        flags @ 40, deprecated_since @ 48, subargs @ 56, display_text @ 64;
    ClientInfo: 80, version @ 0, flags @ 8, id @ 16, addr @ 24, port @ 70, db @ 72;
    ReplicationInfo: 64, version @ 0, master @ 8, masterhost @ 16, masterport @ 24, replid1 @ 32,
        replid2 @ 40, repl1_offset @ 48, repl2_offset @ 56;
    FlushInfo: 16, version @ 0, sync @ 8, dbnum @ 12;
    ModuleChange: 24, version @ 0, module_name @ 8, module_version @ 16;
    ConfigChange: 24, version @ 0, num_changes @ 8, config_names @ 16;
    CronLoop: 16, version @ 0, hz @ 8;
    LoadingProgress: 16, version @ 0, hz @ 8, progress @ 12;
    SwapDbInfo: 16, version @ 0, dbnum_first @ 8, dbnum_second @ 12;
    KeyInfo: 16, version @ 0, key @ 8;
}
