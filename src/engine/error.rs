//! Which errors can a client see? One variant per distinct error, its text in one place.
//!
//! Invariant: texts equal those of Redis 7.2 byte for byte, since clients match on them. A text
//! begins with its code (`ERR`, `WRONGTYPE`, ...), without the leading minus.

use std::borrow::Cow;

use crate::resp::reply::{Protocol, Reply};

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each variant says what it means")]
pub enum CommandError {
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error(
        "ERR the value at this key is corrupt: it was taken over unchecked (sanitize-dump-payload), and cannot be \
         read; the log says what is wrong"
    )]
    CorruptValue,
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("ERR value is not a valid float")]
    NotAFloat,
    #[error("ERR value is out of range")]
    OutOfRange,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR value is out of range, value must between {0} and {1}")]
    NotBetween(i64, i64),
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("ERR index out of range")]
    IndexOutOfRange,
    #[error("ERR source and destination objects are the same")]
    SameObject,
    #[error("ERR DB index is out of range")]
    DbOutOfRange,
    #[error("ERR invalid DB index")]
    InvalidDb,
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(String),
    #[error("ERR increment or decrement would overflow")]
    IncrementOverflow,
    #[error("ERR increment would produce NaN or Infinity")]
    IncrementNotFinite,
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    #[error("ERR offset is out of range")]
    OffsetOutOfRange,
    #[error("ERR hash value is not an integer")]
    HashNotAnInteger,
    #[error("ERR hash value is not a float")]
    HashNotAFloat,
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    #[error("ERR unknown subcommand '{0}'. Try {1} HELP.")]
    UnknownSubcommand(String, String),
    #[error("ERR unknown subcommand or wrong number of arguments for '{0}'. Try {1} HELP.")]
    SubcommandSyntax(String, &'static str),
    #[error("NOAUTH Authentication required.")]
    NoAuth,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPass,
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. Are you \
         sure your configuration is correct?"
    )]
    NoPasswordSet,
    #[error("NOPROTO unsupported protocol version")]
    NoProto,
    #[error("ERR MULTI calls can not be nested")]
    NestedMulti,
    #[error("ERR EXEC without MULTI")]
    ExecWithoutMulti,
    #[error("ERR DISCARD without MULTI")]
    DiscardWithoutMulti,
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInsideMulti,
    #[error("ERR Command not allowed inside a transaction")]
    NotInMulti,
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    ExecAbort,
    #[error("EXECABORT Transaction discarded because of: {0}")]
    ExecRefused(Box<str>),
    #[error(
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    )]
    Busy,
    #[error(
        "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
    )]
    BusyFunction,
    #[error("NOTBUSY No scripts in execution right now.")]
    NotBusy,
    #[error(
        "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
         either wait the script termination or kill the server in a hard way using the SHUTDOWN \
         NOSAVE command."
    )]
    Unkillable,
    #[error(
        "UNKILLABLE The busy script was sent by a master instance in the context of replication \
         and cannot be killed."
    )]
    UnkillableFromPrimary,
    #[error(
        "ERR Can't execute '{0}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context"
    )]
    OnlyWhileSubscribed(String),
    #[error("ERR {0} isn't allowed for a DENY BLOCKING client")]
    DenyBlocking(&'static str),
    #[error("ERR MONITOR isn't allowed for DENY BLOCKING client")]
    DenyMonitor,
    #[error("ERR Replica can't interact with the keyspace")]
    MonitorOnly,
    #[error("NOSCRIPT No matching script. Please use EVAL.")]
    NoScript,
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    #[error(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to \
         disk. Commands that may modify the data set are disabled, because this instance is configured \
         to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). \
         Please check the Redis logs for details about the RDB error."
    )]
    SaveFailed,
    #[error("MISCONF Errors writing to the AOF file: {0}")]
    AppendFailed(String),
    #[error("NOREPLICAS Not enough good replicas to write.")]
    NoReplicas,
    #[error("READONLY You can't write against a read only replica.")]
    ReadOnlyReplica,
    #[error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")]
    MasterDown,
    #[error("ERR This Redis command is not allowed from script")]
    NotInScript,
    #[error("ERR Write commands are not allowed from read-only scripts.")]
    WriteInReadOnlyScript,
    #[error("LOADING Redis is loading the dataset in memory")]
    Loading,
    #[error("BUSYKEY Target key name already exists.")]
    BusyKey,
    #[error("ERR timeout is not an integer or out of range")]
    TimeoutNotAnInteger,
    #[error("ERR timeout is not a float or out of range")]
    TimeoutNotAFloat,
    #[error("ERR timeout is negative")]
    TimeoutNegative,
    #[error("ERR timeout is out of range")]
    TimeoutOutOfRange,
    #[error("ERR invalid cursor")]
    InvalidCursor,
    /// Any other error of one command alone.
    #[error("{0}")]
    Text(Cow<'static, str>),
    /// A complete error reply made by foreign code or a script, without the leading minus.
    #[error("{}", String::from_utf8_lossy(.0))]
    Raw(Vec<u8>),
}

impl CommandError {
    /// An error that one command alone can give. The text begins with its code.
    pub const fn text(text: &'static str) -> Self {
        CommandError::Text(Cow::Borrowed(text))
    }

    /// As [`CommandError::text`], for texts that name what was wrong.
    pub fn owned(text: String) -> Self {
        CommandError::Text(Cow::Owned(text))
    }

    /// The code: the text's first word.
    pub fn code(text: &[u8]) -> &[u8] {
        text.split(|b| *b == b' ').next().unwrap_or_default()
    }

    /// The whole reply.
    pub fn reply(&self) -> Vec<u8> {
        let mut reply = Vec::new();
        Reply::new(&mut reply, Protocol::Resp2).error(&self.bytes());
        reply
    }

    /// The bytes of the reply, without the minus and the line's end.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            CommandError::Raw(bytes) => Cow::Borrowed(bytes),
            other => Cow::Owned(other.to_string().into_bytes()),
        }
    }
}
