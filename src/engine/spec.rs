//! What does a command declare about itself? Plain constant data that stands beside each handler.
//!
//! Everything that is not the handler's own work is derived from it: lookup, arity errors, the lock
//! mode, MULTI, ACL categories, key extraction, propagation, `COMMAND` and its subcommands. Names,
//! flags and key specifications are those of Redis, because clients read them through `COMMAND`.

use super::ctx::{ExclusiveCtx, ReadCtx, SessionCtx, WriteCtx};
use super::error::CommandError;
use super::state::State;
use crate::resp::reply::Reply;

/// A command's arguments; the first is its name.
pub type Argv<'a> = &'a [&'a [u8]];

/// What a handler returns: the reply has been written, or the error is to be.
pub type Outcome = Result<(), CommandError>;

/// A handler that reads keys. It cannot write: it has no `&mut` to the keyspace.
pub type ReadFn = fn(&mut ReadCtx<'_>, Argv<'_>, &mut Reply<'_>) -> Outcome;
/// A handler that writes keys.
pub type WriteFn = fn(&mut WriteCtx<'_>, Argv<'_>, &mut Reply<'_>) -> Outcome;
/// A handler that may touch the whole engine.
pub type ExclusiveFn = fn(&mut ExclusiveCtx<'_>, Argv<'_>, &mut Reply<'_>) -> Outcome;
/// A handler that touches its connection alone, and so needs no lock.
pub type SessionFn = fn(&mut SessionCtx<'_>, Argv<'_>, &mut Reply<'_>) -> Outcome;

/// Finds the positions of a command's keys; None if the arguments make no sense.
pub type FindKeysFn = fn(Argv<'_>) -> Option<Vec<usize>>;

/// Computes the flags of one call from those of the command.
pub type FlagsFn = fn(&State, Argv<'_>, u32) -> u32;

/// A command implemented outside the server, by a module.
pub trait ForeignCommand: Send + Sync {
    /// Runs it under the exclusive lock.
    fn call(&self, ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome;
    /// Runs it beside other readers, if its module declares that it may be.
    fn call_beside(&self, ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome;
    /// Asks the module for the key positions of a command flagged `getkeys-api`.
    fn keys(&self, argv: Argv<'_>) -> Option<Vec<super::keys::KeyAt>>;
    /// Asks the module for the channels that a command publishes to or begins to listen to.
    fn channels(&self, argv: Argv<'_>) -> Vec<super::keys::ChannelAt> {
        let _ = argv;
        Vec::new()
    }
}

/// How a command runs, and so which access it gets.
#[derive(Clone, Copy)]
pub enum Run {
    /// Shared lock, side by side with other readers.
    Read(ReadFn),
    /// Exclusive lock, the keyspace.
    Write(WriteFn),
    /// Exclusive lock, the whole engine.
    Exclusive(ExclusiveFn),
    /// No lock, the connection alone.
    Session(SessionFn),
    /// A container such as `CONFIG`: only its subcommands run.
    Container,
    /// Exclusive lock, foreign code.
    Foreign(&'static dyn ForeignCommand),
    /// Shared lock, foreign code that is declared to change nothing.
    ForeignRead(&'static dyn ForeignCommand),
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Run::Read(_) => "Read",
            Run::Write(_) => "Write",
            Run::Exclusive(_) => "Exclusive",
            Run::Session(_) => "Session",
            Run::Container => "Container",
            Run::Foreign(_) => "Foreign",
            Run::ForeignRead(_) => "ForeignRead",
        })
    }
}

/// How many arguments a command takes, its name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Just so many.
    Exactly(u16),
    /// So many or more.
    AtLeast(u16),
}

impl Arity {
    /// Whether a request of `len` arguments fits.
    #[inline]
    pub fn fits(self, len: usize) -> bool {
        match self {
            Arity::Exactly(n) => len == usize::from(n),
            Arity::AtLeast(n) => len >= usize::from(n),
        }
    }

    /// The number that `COMMAND` shows: negative for a minimum.
    pub fn number(self) -> i64 {
        match self {
            Arity::Exactly(n) => i64::from(n),
            Arity::AtLeast(n) => -i64::from(n),
        }
    }
}

/// Command flags; `COMMAND INFO` shows them under the names of [`Flag::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the field's own terms, explained by COMMAND INFO")]
pub enum Flag {
    Write,
    ReadOnly,
    DenyOom,
    Module,
    Admin,
    PubSub,
    NoScript,
    Blocking,
    Loading,
    Stale,
    SkipMonitor,
    SkipSlowlog,
    Asking,
    Fast,
    NoAuth,
    MayReplicate,
    NoMulti,
    MovableKeys,
    NoAsyncLoading,
    NoMandatoryKeys,
    Protected,
    AllowBusy,
    TouchesArbitraryKeys,
    /// Key positions come from the module itself (not shown).
    GetKeysApi,

    /// Runs at once between MULTI and EXEC (not shown).
    NotQueued,
    /// Runs what MULTI has queued (not shown).
    RunsQueue,
    /// Leaves the transaction, so it runs even without memory (not shown).
    EndsMulti,
    /// For the server's own parts and for tests: `syscmd` of `COMMAND DOCS` (not shown).
    System,
    /// Its replies are messages: they come even if CLIENT REPLY wants none (not shown).
    RepliesByPush,
    /// Runs in RESP2 while the client listens to a channel (not shown).
    WhileSubscribed,
    /// CLIENT CACHING goes on behind it (not shown).
    KeepsCaching,
}

impl Flag {
    /// The flag as one bit.
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }

    /// The name in `COMMAND INFO`; None for flags that are not shown.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Flag::Write => "write",
            Flag::ReadOnly => "readonly",
            Flag::DenyOom => "denyoom",
            Flag::Module => "module",
            Flag::Admin => "admin",
            Flag::PubSub => "pubsub",
            Flag::NoScript => "noscript",
            Flag::Blocking => "blocking",
            Flag::Loading => "loading",
            Flag::Stale => "stale",
            Flag::SkipMonitor => "skip_monitor",
            Flag::SkipSlowlog => "skip_slowlog",
            Flag::Asking => "asking",
            Flag::Fast => "fast",
            Flag::NoAuth => "no_auth",
            Flag::NoMulti => "no_multi",
            Flag::MovableKeys => "movablekeys",
            Flag::NoAsyncLoading => "no_async_loading",
            Flag::NoMandatoryKeys => "no_mandatory_keys",
            Flag::MayReplicate
            | Flag::Protected
            | Flag::TouchesArbitraryKeys
            | Flag::GetKeysApi
            | Flag::NotQueued
            | Flag::RunsQueue
            | Flag::EndsMulti
            | Flag::System
            | Flag::RepliesByPush
            | Flag::WhileSubscribed
            | Flag::KeepsCaching => return None,
            Flag::AllowBusy => "allow_busy",
        })
    }
}

/// The groups of the command documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of COMMAND DOCS")]
pub enum Group {
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Generic,
    Stream,
    Bitmap,
    Hyperloglog,
    Geo,
    Connection,
    Server,
    Transactions,
    Scripting,
    Pubsub,
    Cluster,
    Module,
}

impl Group {
    /// The name in `COMMAND DOCS`.
    pub fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Generic => "generic",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::Hyperloglog => "hyperloglog",
            Group::Geo => "geo",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Pubsub => "pubsub",
            Group::Cluster => "cluster",
            Group::Module => "module",
        }
    }
}

/// ACL categories, in the order of Redis's `ACL CAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of ACL CAT")]
pub enum Category {
    Keyspace,
    Read,
    Write,
    Set,
    SortedSet,
    List,
    Hash,
    String,
    Bitmap,
    Hyperloglog,
    Geo,
    Stream,
    Pubsub,
    Admin,
    Fast,
    Slow,
    Blocking,
    Dangerous,
    Connection,
    Transaction,
    Scripting,
}

impl Category {
    /// All categories, in order.
    pub const ALL: [Category; 21] = [
        Category::Keyspace,
        Category::Read,
        Category::Write,
        Category::Set,
        Category::SortedSet,
        Category::List,
        Category::Hash,
        Category::String,
        Category::Bitmap,
        Category::Hyperloglog,
        Category::Geo,
        Category::Stream,
        Category::Pubsub,
        Category::Admin,
        Category::Fast,
        Category::Slow,
        Category::Blocking,
        Category::Dangerous,
        Category::Connection,
        Category::Transaction,
        Category::Scripting,
    ];

    /// The category as one bit of a mask.
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// The name without `@`.
    pub fn name(self) -> &'static str {
        match self {
            Category::Keyspace => "keyspace",
            Category::Read => "read",
            Category::Write => "write",
            Category::Set => "set",
            Category::SortedSet => "sortedset",
            Category::List => "list",
            Category::Hash => "hash",
            Category::String => "string",
            Category::Bitmap => "bitmap",
            Category::Hyperloglog => "hyperloglog",
            Category::Geo => "geo",
            Category::Stream => "stream",
            Category::Pubsub => "pubsub",
            Category::Admin => "admin",
            Category::Fast => "fast",
            Category::Slow => "slow",
            Category::Blocking => "blocking",
            Category::Dangerous => "dangerous",
            Category::Connection => "connection",
            Category::Transaction => "transaction",
            Category::Scripting => "scripting",
        }
    }
}

/// What a command does with a key; expands to the flags that `COMMAND INFO` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads and returns the value: `RO ACCESS`.
    Read,
    /// Looks at metadata only (EXISTS, TYPE, STRLEN): `RO`.
    Peek,
    /// Replaces whatever is there: `OW UPDATE`.
    Overwrite,
    /// Replaces without reading, only if absent: `OW INSERT`.
    Create,
    /// Changes the value using it: `RW UPDATE`.
    Update,
    /// Changes the value and returns part of it: `RW ACCESS UPDATE`.
    ReadUpdate,
    /// Adds without touching what is there: `RW INSERT`.
    Insert,
    /// Removes elements: `RW DELETE`.
    Delete,
    /// Removes elements and returns them: `RW ACCESS DELETE`.
    ReadDelete,
    /// Removes the whole key: `RM DELETE`.
    Remove,
    /// An exact list of flags, for what fits none of the above.
    Flags(&'static [&'static str]),
}

impl Access {
    /// The flags as `COMMAND INFO` shows them.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Access::Read => &["RO", "access"],
            Access::Peek => &["RO"],
            Access::Overwrite => &["OW", "update"],
            Access::Create => &["OW", "insert"],
            Access::Update => &["RW", "update"],
            Access::ReadUpdate => &["RW", "access", "update"],
            Access::Insert => &["RW", "insert"],
            Access::Delete => &["RW", "delete"],
            Access::ReadDelete => &["RW", "access", "delete"],
            Access::Remove => &["RM", "delete"],
            Access::Flags(flags) => flags,
        }
    }
}

/// Where a run of keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(i32),
    /// Behind this word, searched from this argument (from the end if negative).
    Keyword(&'static str, i32),
    /// Only the command itself knows.
    Unknown,
}

/// Where a run of keys ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// `last` counts from the first key (negative: from the end of argv), every `step`-th argument;
    /// `limit` > 1 takes only that fraction of the rest.
    #[expect(missing_docs, reason = "explained above")]
    Range { last: i32, step: i32, limit: i32 },
    /// The count stands at `index` from the begin, the first key at `first`.
    #[expect(missing_docs, reason = "explained above")]
    KeyNum { index: i32, first: i32, step: i32 },
    /// Only the command itself knows.
    Unknown,
}

/// One run of keys in a command's arguments.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Where it begins.
    pub begin: Begin,
    /// Where it ends.
    pub find: Find,
    /// What happens to these keys.
    pub access: Access,
    /// Further flags: `not_key`, `incomplete`, `variable_flags`.
    pub extra: &'static [&'static str],
    /// A remark for `COMMAND INFO`.
    pub notes: &'static str,
}

impl KeySpec {
    /// The one key at argument `position`.
    pub const fn at(position: i32, access: Access) -> Self {
        Self::range(position, 0, 1, access)
    }

    /// Keys from `first` to `last` (relative to `first`; negative: from the end), every `step`-th.
    pub const fn range(first: i32, last: i32, step: i32, access: Access) -> Self {
        Self {
            begin: Begin::Index(first),
            find: Find::Range { last, step, limit: 0 },
            access,
            extra: &[],
            notes: "",
        }
    }

    /// As many keys as the argument at `position` says, right behind it.
    pub const fn counted(position: i32, access: Access) -> Self {
        Self {
            begin: Begin::Index(position),
            find: Find::KeyNum { index: 0, first: 1, step: 1 },
            access,
            extra: &[],
            notes: "",
        }
    }

    /// With further flags.
    pub const fn with(mut self, extra: &'static [&'static str]) -> Self {
        self.extra = extra;
        self
    }

    /// With a remark.
    pub const fn note(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }
}

/// The kinds of arguments in `COMMAND DOCS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of COMMAND DOCS")]
pub enum ArgKind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl ArgKind {
    /// The name in `COMMAND DOCS`.
    pub fn name(self) -> &'static str {
        match self {
            ArgKind::String => "string",
            ArgKind::Integer => "integer",
            ArgKind::Double => "double",
            ArgKind::Key => "key",
            ArgKind::Pattern => "pattern",
            ArgKind::UnixTime => "unix-time",
            ArgKind::PureToken => "pure-token",
            ArgKind::OneOf => "oneof",
            ArgKind::Block => "block",
        }
    }

    /// Whether such an argument consists of arguments.
    pub fn has_parts(self) -> bool {
        matches!(self, ArgKind::OneOf | ArgKind::Block)
    }
}

/// One argument in `COMMAND DOCS`.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: ArgKind,
    /// The word that precedes it, or that it is.
    pub token: Option<&'static str>,
    /// Which of the command's key specs it belongs to.
    pub key_spec: Option<u8>,
    /// One line about it; only commands of modules have such.
    pub summary: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The token is repeated with it.
    pub multiple_token: bool,
    /// The version that brought it, if later than the command's.
    pub since: Option<&'static str>,
    /// The version that deprecated it.
    pub deprecated: Option<&'static str>,
    /// Its name in usage lines, if not `name`.
    pub shown_as: Option<&'static str>,
    /// What a block or a choice consists of.
    pub args: &'static [Arg],
}

impl Arg {
    const fn of(name: &'static str, kind: ArgKind) -> Self {
        Self {
            name,
            kind,
            token: None,
            key_spec: None,
            summary: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: None,
            deprecated: None,
            shown_as: None,
            args: &[],
        }
    }

    /// A key, of the command's first key spec.
    pub const fn key(name: &'static str) -> Self {
        let mut arg = Self::of(name, ArgKind::Key);
        arg.key_spec = Some(0);
        arg
    }

    /// A key of the given key spec.
    pub const fn key_of(name: &'static str, spec: u8) -> Self {
        let mut arg = Self::of(name, ArgKind::Key);
        arg.key_spec = Some(spec);
        arg
    }

    /// A string.
    pub const fn string(name: &'static str) -> Self {
        Self::of(name, ArgKind::String)
    }

    /// An integer.
    pub const fn integer(name: &'static str) -> Self {
        Self::of(name, ArgKind::Integer)
    }

    /// A floating point number.
    pub const fn double(name: &'static str) -> Self {
        Self::of(name, ArgKind::Double)
    }

    /// A glob-style pattern.
    pub const fn pattern(name: &'static str) -> Self {
        Self::of(name, ArgKind::Pattern)
    }

    /// A point in time.
    pub const fn unix_time(name: &'static str) -> Self {
        Self::of(name, ArgKind::UnixTime)
    }

    /// A word that stands for itself.
    pub const fn flag(name: &'static str, token: &'static str) -> Self {
        let mut arg = Self::of(name, ArgKind::PureToken);
        arg.token = Some(token);
        arg
    }

    /// One of several.
    pub const fn one_of(name: &'static str, args: &'static [Arg]) -> Self {
        let mut arg = Self::of(name, ArgKind::OneOf);
        arg.args = args;
        arg
    }

    /// Several in a row.
    pub const fn block(name: &'static str, args: &'static [Arg]) -> Self {
        let mut arg = Self::of(name, ArgKind::Block);
        arg.args = args;
        arg
    }

    /// Preceded by a word.
    pub const fn token(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }

    /// May be left out.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// May be repeated.
    pub const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// May be repeated together with its word.
    pub const fn multiple_token(mut self) -> Self {
        self.multiple = true;
        self.multiple_token = true;
        self
    }

    /// Deprecated by this version.
    pub const fn deprecated(mut self, version: &'static str) -> Self {
        self.deprecated = Some(version);
        self
    }

    /// Named otherwise in usage lines.
    pub const fn shown_as(mut self, text: &'static str) -> Self {
        self.shown_as = Some(text);
        self
    }

    /// Brought by this version.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }
}

/// Where a command names channels that it publishes to or begins to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSpec {
    /// The first one's position.
    pub first: usize,
    /// All arguments from there on are channels.
    pub many: bool,
    /// They are patterns of channels.
    pub patterns: bool,
}

/// What replaces a deprecated command.
#[derive(Clone, Copy, Debug)]
pub struct Deprecated {
    /// The version that deprecated it.
    pub since: &'static str,
    /// What to use instead.
    pub replaced_by: &'static str,
}

/// A command or subcommand, as its file declares it.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// The name in upper case; of a subcommand, its own word alone.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The Redis version that brought it.
    pub since: &'static str,
    /// Its cost, as `COMMAND DOCS` states it.
    pub complexity: &'static str,
    /// Its group.
    pub group: Group,
    /// How many arguments.
    pub arity: Arity,
    /// Its flags.
    pub flags: &'static [Flag],
    /// ACL categories beyond what group and flags imply.
    pub categories: &'static [Category],
    /// Bits of categories that modules have brought.
    pub module_categories: u64,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Which channels it uses.
    pub channels: Option<ChannelSpec>,
    /// Its arguments.
    pub args: &'static [Arg],
    /// Its subcommands.
    pub subcommands: &'static [CommandSpec],
    /// How it runs.
    pub run: Run,
    /// What changed, by version.
    pub history: &'static [(&'static str, &'static str)],
    /// Hints for proxies and clients, as in `COMMAND INFO`.
    pub tips: &'static [&'static str],
    /// Whether it is deprecated.
    pub deprecated: Option<Deprecated>,
    /// The key positions, for commands whose keys no [`KeySpec`] can describe.
    pub find_keys: Option<FindKeysFn>,
    /// The flags of one call, for commands whose arguments (a script) have flags of their own.
    pub flags_of: Option<FlagsFn>,
    /// What happens to the keys, if it depends on the arguments (`variable_flags`).
    pub key_access: Option<fn(Argv<'_>) -> Access>,
    /// The arguments that no log may show, for commands that take secrets.
    pub secrets: Option<fn(Argv<'_>) -> Vec<usize>>,
    /// It logs a client in, in which modules may have a say: then it needs the exclusive lock.
    pub logs_in: bool,
    /// The argument that is a script's text. Where the slow log cuts it, it says which script that is.
    pub script_text: Option<usize>,
}

impl CommandSpec {
    /// What most commands have in common; completes a declaration by `..CommandSpec::BASE`.
    pub const BASE: CommandSpec = CommandSpec {
        name: "",
        summary: "",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::AtLeast(1),
        flags: &[],
        categories: &[],
        module_categories: 0,
        keys: &[],
        channels: None,
        args: &[],
        subcommands: &[],
        run: Run::Container,
        history: &[],
        tips: &[],
        deprecated: None,
        find_keys: None,
        key_access: None,
        flags_of: None,
        secrets: None,
        logs_in: false,
        script_text: None,
    };
}
