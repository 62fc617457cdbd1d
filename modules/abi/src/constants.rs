//! Which numbers does the ABI assign?
//!
//! Names are those of the C header without their `REDISMODULE_` prefix. Modules should ask the
//! server which flags it knows (`GetContextFlagsAll` and its kin) rather than assume these.

use core::ffi::{CStr, c_int, c_long, c_longlong, c_uint};

use crate::types::ModuleString;

// Results and versions.

/// Success.
pub const OK: c_int = 0;
/// Failure.
pub const ERR: c_int = 1;
/// An authentication callback decided.
pub const AUTH_HANDLED: c_int = 0;
/// An authentication callback left the decision to the next one.
pub const AUTH_NOT_HANDLED: c_int = 1;
/// The only version of the API.
pub const APIVER_1: c_int = 1;

/// The newest layout of [`TypeMethods`](crate::TypeMethods).
pub const TYPE_METHOD_VERSION: u64 = 5;

// Modes of `OpenKey`; the high ones are hints.

/// Open for reading.
pub const READ: c_int = 1 << 0;
/// Open for writing.
pub const WRITE: c_int = 1 << 1;
/// Leave the access time alone.
pub const OPEN_KEY_NOTOUCH: c_int = 1 << 16;
/// No event when the key is missing.
pub const OPEN_KEY_NONOTIFY: c_int = 1 << 17;
/// Do not count a hit or a miss.
pub const OPEN_KEY_NOSTATS: c_int = 1 << 18;
/// Do not delete an expired key.
pub const OPEN_KEY_NOEXPIRE: c_int = 1 << 19;
/// No effect whatever.
pub const OPEN_KEY_NOEFFECTS: c_int = 1 << 20;
/// All modes of Redis 7.2.
pub const OPEN_KEY_ALL: c_int = READ
    | WRITE
    | OPEN_KEY_NOTOUCH
    | OPEN_KEY_NONOTIFY
    | OPEN_KEY_NOSTATS
    | OPEN_KEY_NOEXPIRE
    | OPEN_KEY_NOEFFECTS;

/// `MortiseOpenValue` has stored the value.
pub const OPEN_VALUE_FOUND: c_int = 1;
/// The key does not exist.
pub const OPEN_VALUE_MISSING: c_int = 0;
/// The key holds a value of another type.
pub const OPEN_VALUE_OTHER: c_int = -1;
/// The key cannot be opened in this mode now.
pub const OPEN_VALUE_REFUSED: c_int = -2;
/// The first element of a list.
pub const LIST_HEAD: c_int = 0;
/// The last element of a list.
pub const LIST_TAIL: c_int = 1;

// What `KeyType` answers.

/// No value.
pub const KEYTYPE_EMPTY: c_int = 0;
/// A string.
pub const KEYTYPE_STRING: c_int = 1;
/// A list.
pub const KEYTYPE_LIST: c_int = 2;
/// A hash.
pub const KEYTYPE_HASH: c_int = 3;
/// A set.
pub const KEYTYPE_SET: c_int = 4;
/// A sorted set.
pub const KEYTYPE_ZSET: c_int = 5;
/// A value of a module type.
pub const KEYTYPE_MODULE: c_int = 6;
/// A stream.
pub const KEYTYPE_STREAM: c_int = 7;

// What `CallReplyType` answers.

/// Not a reply.
pub const REPLY_UNKNOWN: c_int = -1;
/// A simple or bulk string.
pub const REPLY_STRING: c_int = 0;
/// An error.
pub const REPLY_ERROR: c_int = 1;
/// An integer.
pub const REPLY_INTEGER: c_int = 2;
/// An array.
pub const REPLY_ARRAY: c_int = 3;
/// Null.
pub const REPLY_NULL: c_int = 4;
/// A map.
pub const REPLY_MAP: c_int = 5;
/// A set.
pub const REPLY_SET: c_int = 6;
/// A boolean.
pub const REPLY_BOOL: c_int = 7;
/// A double.
pub const REPLY_DOUBLE: c_int = 8;
/// A big number, as text.
pub const REPLY_BIG_NUMBER: c_int = 9;
/// A string with a format.
pub const REPLY_VERBATIM_STRING: c_int = 10;
/// Attributes of the reply that follows.
pub const REPLY_ATTRIBUTE: c_int = 11;
/// The command blocked; the reply comes later.
pub const REPLY_PROMISE: c_int = 12;

/// A reply length that is told later.
pub const POSTPONED_LEN: c_long = -1;
/// The key does not expire.
pub const NO_EXPIRE: c_longlong = -1;

// Flags of `ZsetAdd` and `ZsetIncrby`, in and out.

/// In: only update.
pub const ZADD_XX: c_int = 1 << 0;
/// In: only add.
pub const ZADD_NX: c_int = 1 << 1;
/// Out: an element was added.
pub const ZADD_ADDED: c_int = 1 << 2;
/// Out: a score changed.
pub const ZADD_UPDATED: c_int = 1 << 3;
/// Out: nothing was done.
pub const ZADD_NOP: c_int = 1 << 4;
/// In: only to greater scores.
pub const ZADD_GT: c_int = 1 << 5;
/// In: only to lower scores.
pub const ZADD_LT: c_int = 1 << 6;

// Flags of `HashSet` and `HashGet`.

/// None.
pub const HASH_NONE: c_int = 0;
/// Only add.
pub const HASH_NX: c_int = 1 << 0;
/// Only update.
pub const HASH_XX: c_int = 1 << 1;
/// Field names are C strings.
pub const HASH_CFIELDS: c_int = 1 << 2;
/// Tell only whether fields exist.
pub const HASH_EXISTS: c_int = 1 << 3;
/// Count added fields too.
pub const HASH_COUNT_ALL: c_int = 1 << 4;
/// Tell only when fields expire (since Redis 8).
pub const HASH_EXPIRE_TIME: c_int = 1 << 5;

/// The value that makes `HashSet` delete a field; no string lies at this address.
pub const HASH_DELETE: *mut ModuleString = core::ptr::without_provenance_mut(1);

// Flags of a configuration parameter.

/// None.
pub const CONFIG_DEFAULT: c_uint = 0;
/// Set at startup only.
pub const CONFIG_IMMUTABLE: c_uint = 1 << 0;
/// Its value is not logged.
pub const CONFIG_SENSITIVE: c_uint = 1 << 1;
/// Not listed by patterns.
pub const CONFIG_HIDDEN: c_uint = 1 << 4;
/// Immutable unless protected configs are enabled.
pub const CONFIG_PROTECTED: c_uint = 1 << 5;
/// Not while loading.
pub const CONFIG_DENY_LOADING: c_uint = 1 << 6;
/// A number of bytes that may have a unit.
pub const CONFIG_MEMORY: c_uint = 1 << 7;
/// A set of enum values.
pub const CONFIG_BITFLAGS: c_uint = 1 << 8;
/// Named without the module's prefix (Redis 8).
pub const CONFIG_UNPREFIXED: c_uint = 1 << 9;
/// The parameter is a text.
pub const CONFIG_TYPE_STRING: c_int = 0;
/// One of some words, or several.
pub const CONFIG_TYPE_ENUM: c_int = 1;
/// A number.
pub const CONFIG_TYPE_NUMERIC: c_int = 2;
/// `yes` or `no`.
pub const CONFIG_TYPE_BOOL: c_int = 3;

// Flags of the stream functions.

/// Let the server choose the id.
pub const STREAM_ADD_AUTOID: c_int = 1 << 0;
/// Leave out both ends.
pub const STREAM_ITERATOR_EXCLUSIVE: c_int = 1 << 0;
/// From the end.
pub const STREAM_ITERATOR_REVERSE: c_int = 1 << 1;
/// Trim to whole nodes only.
pub const STREAM_TRIM_APPROX: c_int = 1 << 0;

// What `GetContextFlags` answers.

/// In a script.
pub const CTX_FLAGS_LUA: c_int = 1 << 0;
/// In a transaction.
pub const CTX_FLAGS_MULTI: c_int = 1 << 1;
/// The server is a primary.
pub const CTX_FLAGS_MASTER: c_int = 1 << 2;
/// The server is a replica.
pub const CTX_FLAGS_SLAVE: c_int = 1 << 3;
/// The server is read-only.
pub const CTX_FLAGS_READONLY: c_int = 1 << 4;
/// Cluster mode.
pub const CTX_FLAGS_CLUSTER: c_int = 1 << 5;
/// The append-only file is on.
pub const CTX_FLAGS_AOF: c_int = 1 << 6;
/// RDB saving is on.
pub const CTX_FLAGS_RDB: c_int = 1 << 7;
/// A memory limit is set.
pub const CTX_FLAGS_MAXMEMORY: c_int = 1 << 8;
/// The memory limit evicts keys.
pub const CTX_FLAGS_EVICT: c_int = 1 << 9;
/// Over the memory limit.
pub const CTX_FLAGS_OOM: c_int = 1 << 10;
/// Less than a quarter of the memory is left.
pub const CTX_FLAGS_OOM_WARNING: c_int = 1 << 11;
/// The command comes from the primary.
pub const CTX_FLAGS_REPLICATED: c_int = 1 << 12;
/// Data is being loaded.
pub const CTX_FLAGS_LOADING: c_int = 1 << 13;
/// The replica has no link.
pub const CTX_FLAGS_REPLICA_IS_STALE: c_int = 1 << 14;
/// The replica is connecting.
pub const CTX_FLAGS_REPLICA_IS_CONNECTING: c_int = 1 << 15;
/// The replica receives its data.
pub const CTX_FLAGS_REPLICA_IS_TRANSFERRING: c_int = 1 << 16;
/// The replica is up to date.
pub const CTX_FLAGS_REPLICA_IS_ONLINE: c_int = 1 << 17;
/// A background save or fork runs.
pub const CTX_FLAGS_ACTIVE_CHILD: c_int = 1 << 18;
/// The next EXEC will fail.
pub const CTX_FLAGS_MULTI_DIRTY: c_int = 1 << 19;
/// In the forked child.
pub const CTX_FLAGS_IS_CHILD: c_int = 1 << 20;
/// The client may not block.
pub const CTX_FLAGS_DENY_BLOCKING: c_int = 1 << 21;
/// The client speaks RESP3.
pub const CTX_FLAGS_RESP3: c_int = 1 << 22;
/// Data is being loaded beside the old data.
pub const CTX_FLAGS_ASYNC_LOADING: c_int = 1 << 23;
/// The server starts.
pub const CTX_FLAGS_SERVER_STARTUP: c_int = 1 << 24;
/// All flags of Redis 7.2.
pub const CTX_FLAGS_ALL: c_int = (1 << 25) - 1;

// Classes of keyspace events.

/// `K`: publish to the channel of the key.
pub const NOTIFY_KEYSPACE: c_int = 1 << 0;
/// `E`: publish to the channel of the event.
pub const NOTIFY_KEYEVENT: c_int = 1 << 1;
/// `g`: DEL, EXPIRE, RENAME and the like.
pub const NOTIFY_GENERIC: c_int = 1 << 2;
/// `$`: strings.
pub const NOTIFY_STRING: c_int = 1 << 3;
/// `l`: lists.
pub const NOTIFY_LIST: c_int = 1 << 4;
/// `s`: sets.
pub const NOTIFY_SET: c_int = 1 << 5;
/// `h`: hashes.
pub const NOTIFY_HASH: c_int = 1 << 6;
/// `z`: sorted sets.
pub const NOTIFY_ZSET: c_int = 1 << 7;
/// `x`: a key expired.
pub const NOTIFY_EXPIRED: c_int = 1 << 8;
/// `e`: a key was evicted.
pub const NOTIFY_EVICTED: c_int = 1 << 9;
/// `t`: streams.
pub const NOTIFY_STREAM: c_int = 1 << 10;
/// `m`: a key was not found; not part of ALL.
pub const NOTIFY_KEY_MISS: c_int = 1 << 11;
/// A key was loaded from an RDB; modules only.
pub const NOTIFY_LOADED: c_int = 1 << 12;
/// `d`: module types.
pub const NOTIFY_MODULE: c_int = 1 << 13;
/// `n`: a key was created; not part of ALL.
pub const NOTIFY_NEW: c_int = 1 << 14;
/// `A`.
pub const NOTIFY_ALL: c_int = NOTIFY_GENERIC
    | NOTIFY_STRING
    | NOTIFY_LIST
    | NOTIFY_SET
    | NOTIFY_HASH
    | NOTIFY_ZSET
    | NOTIFY_EXPIRED
    | NOTIFY_EVICTED
    | NOTIFY_STREAM
    | NOTIFY_MODULE;

// Cluster.

/// This node.
pub const NODE_MYSELF: c_int = 1 << 0;
/// A primary.
pub const NODE_MASTER: c_int = 1 << 1;
/// A replica.
pub const NODE_SLAVE: c_int = 1 << 2;
/// Perhaps failing.
pub const NODE_PFAIL: c_int = 1 << 3;
/// Failing.
pub const NODE_FAIL: c_int = 1 << 4;
/// Does not fail over.
pub const NODE_NOFAILOVER: c_int = 1 << 5;

/// Length of a node id.
pub const NODE_ID_LEN: usize = 40;
/// None.
pub const CLUSTER_FLAG_NONE: u64 = 0;
/// No automatic failover.
pub const CLUSTER_FLAG_NO_FAILOVER: u64 = 1 << 1;
/// No redirection of clients.
pub const CLUSTER_FLAG_NO_REDIRECTION: u64 = 1 << 2;

// Log levels.

/// Level `debug`.
pub const LOGLEVEL_DEBUG: &CStr = c"debug";
/// Level `verbose`.
pub const LOGLEVEL_VERBOSE: &CStr = c"verbose";
/// Level `notice`.
pub const LOGLEVEL_NOTICE: &CStr = c"notice";
/// Level `warning`.
pub const LOGLEVEL_WARNING: &CStr = c"warning";

// When auxiliary data is written and read, how to yield and block, and what a filter sees.

/// Before the keys.
pub const AUX_BEFORE_RDB: c_int = 1 << 0;
/// After the keys.
pub const AUX_AFTER_RDB: c_int = 1 << 1;
/// Serve events only.
pub const YIELD_FLAG_NONE: c_int = 1 << 0;
/// Serve clients too.
pub const YIELD_FLAG_CLIENTS: c_int = 1 << 1;
/// Signal on creation only.
pub const BLOCK_UNBLOCK_DEFAULT: c_int = 0;
/// Signal on deletion too.
pub const BLOCK_UNBLOCK_DELETED: c_int = 1 << 0;
/// Skip what the module itself calls.
pub const CMDFILTER_NOSELF: c_int = 1 << 0;

// What a module declares with `SetModuleOptions`.

/// It checks for errors when loading values.
pub const OPTIONS_HANDLE_IO_ERRORS: c_int = 1 << 0;
/// Closing a key does not signal WATCH; it does that itself.
pub const OPTION_NO_IMPLICIT_SIGNAL_MODIFIED: c_int = 1 << 1;
/// It copes with diskless loading beside the old data.
pub const OPTIONS_HANDLE_REPL_ASYNC_LOAD: c_int = 1 << 2;
/// It wants events that its own subscribers cause.
pub const OPTIONS_ALLOW_NESTED_KEYSPACE_NOTIFICATIONS: c_int = 1 << 3;
/// An extension of Mortise's, which others ignore: values of its types change only after having been asked for from a
/// key that is open to write, and not after the command, timer or locked section that asked. Without it snapshots
/// are taken by a child process while there are such values.
pub const OPTIONS_SNAPSHOT_SAFE: c_int = 1 << 24;
/// All options of Redis 7.2.
pub const OPTIONS_ALL: c_int = (1 << 4) - 1;

// Command arguments.

/// A string.
pub const ARG_TYPE_STRING: c_int = 0;
/// An integer.
pub const ARG_TYPE_INTEGER: c_int = 1;
/// A double.
pub const ARG_TYPE_DOUBLE: c_int = 2;
/// A key.
pub const ARG_TYPE_KEY: c_int = 3;
/// A pattern.
pub const ARG_TYPE_PATTERN: c_int = 4;
/// A time.
pub const ARG_TYPE_UNIX_TIME: c_int = 5;
/// A word.
pub const ARG_TYPE_PURE_TOKEN: c_int = 6;
/// One of its sub-arguments.
pub const ARG_TYPE_ONEOF: c_int = 7;
/// All of its sub-arguments.
pub const ARG_TYPE_BLOCK: c_int = 8;
/// None.
pub const CMD_ARG_NONE: c_int = 0;
/// May be left out.
pub const CMD_ARG_OPTIONAL: c_int = 1 << 0;
/// May be repeated.
pub const CMD_ARG_MULTIPLE: c_int = 1 << 1;
/// Its token is repeated with it.
pub const CMD_ARG_MULTIPLE_TOKEN: c_int = 1 << 2;
/// Ends an array.
pub const KSPEC_BS_INVALID: c_int = 0;
/// Keys begin nobody knows where.
pub const KSPEC_BS_UNKNOWN: c_int = 1;
/// Keys begin at an index.
pub const KSPEC_BS_INDEX: c_int = 2;
/// Keys begin after a keyword.
pub const KSPEC_BS_KEYWORD: c_int = 3;
/// Not given: one key.
pub const KSPEC_FK_OMITTED: c_int = 0;
/// Keys are nobody knows where.
pub const KSPEC_FK_UNKNOWN: c_int = 1;
/// Keys are a range.
pub const KSPEC_FK_RANGE: c_int = 2;
/// A number tells how many keys there are.
pub const KSPEC_FK_KEYNUM: c_int = 3;

// Flags of a key spec and of a channel.

/// Read only.
pub const CMD_KEY_RO: u64 = 1 << 0;
/// Read and written.
pub const CMD_KEY_RW: u64 = 1 << 1;
/// Overwritten.
pub const CMD_KEY_OW: u64 = 1 << 2;
/// Deleted.
pub const CMD_KEY_RM: u64 = 1 << 3;
/// Its value reaches the client.
pub const CMD_KEY_ACCESS: u64 = 1 << 4;
/// Its value is updated.
pub const CMD_KEY_UPDATE: u64 = 1 << 5;
/// Data is added.
pub const CMD_KEY_INSERT: u64 = 1 << 6;
/// Data is deleted.
pub const CMD_KEY_DELETE: u64 = 1 << 7;
/// Not a key, but routed as one.
pub const CMD_KEY_NOT_KEY: u64 = 1 << 8;
/// There may be more keys.
pub const CMD_KEY_INCOMPLETE: u64 = 1 << 9;
/// The flags depend on the arguments.
pub const CMD_KEY_VARIABLE_FLAGS: u64 = 1 << 10;
/// A pattern.
pub const CMD_CHANNEL_PATTERN: u64 = 1 << 0;
/// Published to.
pub const CMD_CHANNEL_PUBLISH: u64 = 1 << 1;
/// Subscribed to.
pub const CMD_CHANNEL_SUBSCRIBE: u64 = 1 << 2;
/// Unsubscribed from.
pub const CMD_CHANNEL_UNSUBSCRIBE: u64 = 1 << 3;

// Event loop.

/// Wait until it can be read.
pub const EVENTLOOP_READABLE: c_int = 1;
/// Wait until it can be written.
pub const EVENTLOOP_WRITABLE: c_int = 2;

// Server events.

/// The server became a primary or a replica.
pub const EVENT_REPLICATION_ROLE_CHANGED: u64 = 0;
/// A save or rewrite started or ended.
pub const EVENT_PERSISTENCE: u64 = 1;
/// Databases are being flushed.
pub const EVENT_FLUSHDB: u64 = 2;
/// Loading started or ended.
pub const EVENT_LOADING: u64 = 3;
/// A client came or went.
pub const EVENT_CLIENT_CHANGE: u64 = 4;
/// The server shuts down.
pub const EVENT_SHUTDOWN: u64 = 5;
/// A replica came or went.
pub const EVENT_REPLICA_CHANGE: u64 = 6;
/// The link to the primary came up or broke.
pub const EVENT_MASTER_LINK_CHANGE: u64 = 7;
/// The periodic job ran.
pub const EVENT_CRON_LOOP: u64 = 8;
/// A module was loaded or unloaded.
pub const EVENT_MODULE_CHANGE: u64 = 9;
/// Loading made progress.
pub const EVENT_LOADING_PROGRESS: u64 = 10;
/// Two databases were swapped.
pub const EVENT_SWAPDB: u64 = 11;
/// Never sent since Redis 7.0.
pub const EVENT_REPL_BACKUP: u64 = 12;
/// A child was forked or ended.
pub const EVENT_FORK_CHILD: u64 = 13;
/// Diskless loading beside the old data.
pub const EVENT_REPL_ASYNC_LOAD: u64 = 14;
/// The event loop is about to sleep or woke.
pub const EVENT_EVENTLOOP: u64 = 15;
/// Parameters changed.
pub const EVENT_CONFIG: u64 = 16;
/// A key is about to be removed.
pub const EVENT_KEY: u64 = 17;
/// Events of Redis 7.2; ids from here on are unknown to it.
pub const EVENT_COUNT: u64 = 18;

// What a server event tells beside its id.

/// An RDB is being saved.
pub const SUBEVENT_PERSISTENCE_RDB_START: u64 = 0;
/// The append-only file is being rewritten.
pub const SUBEVENT_PERSISTENCE_AOF_START: u64 = 1;
/// An RDB is being saved in the foreground.
pub const SUBEVENT_PERSISTENCE_SYNC_RDB_START: u64 = 2;
/// It succeeded.
pub const SUBEVENT_PERSISTENCE_ENDED: u64 = 3;
/// It failed.
pub const SUBEVENT_PERSISTENCE_FAILED: u64 = 4;
/// The append-only file is being rewritten in the foreground.
pub const SUBEVENT_PERSISTENCE_SYNC_AOF_START: u64 = 5;
/// From an RDB.
pub const SUBEVENT_LOADING_RDB_START: u64 = 0;
/// From the append-only file.
pub const SUBEVENT_LOADING_AOF_START: u64 = 1;
/// From the primary.
pub const SUBEVENT_LOADING_REPL_START: u64 = 2;
/// It succeeded.
pub const SUBEVENT_LOADING_ENDED: u64 = 3;
/// It failed.
pub const SUBEVENT_LOADING_FAILED: u64 = 4;
/// A client came.
pub const SUBEVENT_CLIENT_CHANGE_CONNECTED: u64 = 0;
/// A client went.
pub const SUBEVENT_CLIENT_CHANGE_DISCONNECTED: u64 = 1;
/// The link is up.
pub const SUBEVENT_MASTER_LINK_UP: u64 = 0;
/// The link is down.
pub const SUBEVENT_MASTER_LINK_DOWN: u64 = 1;
/// A replica came.
pub const SUBEVENT_REPLICA_CHANGE_ONLINE: u64 = 0;
/// A replica went.
pub const SUBEVENT_REPLICA_CHANGE_OFFLINE: u64 = 1;
/// We are a primary now.
pub const EVENT_REPLROLECHANGED_NOW_MASTER: u64 = 0;
/// We are a replica now.
pub const EVENT_REPLROLECHANGED_NOW_REPLICA: u64 = 1;
/// The data is about to go.
pub const SUBEVENT_FLUSHDB_START: u64 = 0;
/// The data is gone.
pub const SUBEVENT_FLUSHDB_END: u64 = 1;
/// It was loaded.
pub const SUBEVENT_MODULE_LOADED: u64 = 0;
/// It was unloaded.
pub const SUBEVENT_MODULE_UNLOADED: u64 = 1;
/// They changed.
pub const SUBEVENT_CONFIG_CHANGE: u64 = 0;
/// Of an RDB.
pub const SUBEVENT_LOADING_PROGRESS_RDB: u64 = 0;
/// Of the append-only file.
pub const SUBEVENT_LOADING_PROGRESS_AOF: u64 = 1;
/// It started.
pub const SUBEVENT_REPL_ASYNC_LOAD_STARTED: u64 = 0;
/// It was aborted.
pub const SUBEVENT_REPL_ASYNC_LOAD_ABORTED: u64 = 1;
/// It is complete.
pub const SUBEVENT_REPL_ASYNC_LOAD_COMPLETED: u64 = 2;
/// It was forked.
pub const SUBEVENT_FORK_CHILD_BORN: u64 = 0;
/// It ended.
pub const SUBEVENT_FORK_CHILD_DIED: u64 = 1;
/// About to sleep.
pub const SUBEVENT_EVENTLOOP_BEFORE_SLEEP: u64 = 0;
/// Just woke.
pub const SUBEVENT_EVENTLOOP_AFTER_SLEEP: u64 = 1;
/// Deleted.
pub const SUBEVENT_KEY_DELETED: u64 = 0;
/// Expired.
pub const SUBEVENT_KEY_EXPIRED: u64 = 1;
/// Evicted.
pub const SUBEVENT_KEY_EVICTED: u64 = 2;
/// Overwritten.
pub const SUBEVENT_KEY_OVERWRITTEN: u64 = 3;

// Flags of a client.

/// Connected by TLS.
pub const CLIENTINFO_FLAG_SSL: u64 = 1 << 0;
/// Subscribed to channels.
pub const CLIENTINFO_FLAG_PUBSUB: u64 = 1 << 1;
/// Waits in a blocking command.
pub const CLIENTINFO_FLAG_BLOCKED: u64 = 1 << 2;
/// Tracks keys.
pub const CLIENTINFO_FLAG_TRACKING: u64 = 1 << 3;
/// Connected by a unix socket.
pub const CLIENTINFO_FLAG_UNIXSOCKET: u64 = 1 << 4;
/// In a transaction.
pub const CLIENTINFO_FLAG_MULTI: u64 = 1 << 5;

// Reasons of an entry in the ACL log.

/// A failed authentication.
pub const ACL_LOG_AUTH: c_int = 0;
/// A forbidden command.
pub const ACL_LOG_CMD: c_int = 1;
/// A forbidden key.
pub const ACL_LOG_KEY: c_int = 2;
/// A forbidden channel.
pub const ACL_LOG_CHANNEL: c_int = 3;

/// The error of a command that met a value of another type.
pub const ERRORMSG_WRONGTYPE: &CStr =
    c"WRONGTYPE Operation against a key holding the wrong kind of value";
