//! What is a command made of? Plain data beside its handler, from which the server's ACL, `COMMAND` and key extraction come.

use crate::arg_spec::ArgSpec;
use crate::context::Context;
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::raw::Arg;
use crate::reply::CommandResult;

/// What runs a command. The first argument is the command's name, as in the protocol.
pub type Handler = fn(&mut Context<'_>, &[Arg<'_>]) -> CommandResult;

/// A command. Start from [`Command::DEFAULT`].
#[derive(Clone, Copy)]
pub struct Command {
    /// The name, in upper case by custom.
    pub name: &'static str,
    /// One line for COMMAND DOCS.
    pub summary: &'static str,
    /// The version of the module that introduced it.
    pub since: &'static str,
    /// Such as `O(1)`.
    pub complexity: &'static str,
    /// How many arguments it takes, its name included; checked before the handler runs.
    pub arity: Arity,
    /// What it does, for the server.
    pub flags: &'static [Flag],
    /// ACL categories, beyond what the flags imply: `json`, `search`. Needs Redis 7.2; earlier
    /// servers do without.
    pub categories: &'static [&'static str],
    /// Which of its arguments are keys.
    pub keys: &'static [KeySpec],
    /// Its arguments, for COMMAND DOCS and the clients that complete what people type.
    pub args: &'static [ArgSpec],
    /// What changed: versions of the module, and one line each.
    pub history: &'static [(&'static str, &'static str)],
    /// Hints for clients and proxies, such as `dont_cache` and `nondeterministic_output`.
    pub tips: &'static [&'static str],
    /// Commands below this one. Its own handler is then never called.
    pub subcommands: &'static [Command],
    /// What runs it.
    pub handler: Handler,
    /// It only reads, so Mortise may run it on several threads at once, beside other readers. What changes
    /// something gives [`Error::InParallel`] in it, on every server, and it cannot make its client wait. Servers that
    /// know nothing of it run it as any other command. Needs [`Flag::ReadOnly`]; see
    /// [the crate's documentation](crate#commands-side-by-side).
    pub parallel: bool,
}

impl Command {
    /// A command that answers that it has no handler; to be completed by `..Command::DEFAULT`.
    pub const DEFAULT: Command = Command {
        name: "",
        summary: "",
        since: "1.0.0",
        complexity: "O(1)",
        arity: Arity::AtLeast(1),
        flags: &[],
        categories: &[],
        keys: &[],
        args: &[],
        history: &[],
        tips: &[],
        subcommands: &[],
        handler: |_, _| Err(Error::new("this command needs a subcommand")),
        parallel: false,
    };
}

/// How many arguments a command takes, its name included (for a subcommand: both names).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// From the first to the second, both included.
    Between(usize, usize),
}

impl Arity {
    pub(crate) fn accepts(self, count: usize) -> bool {
        match self {
            Arity::Exactly(n) => count == n,
            Arity::AtLeast(n) => count >= n,
            Arity::Between(low, high) => (low..=high).contains(&count),
        }
    }

    /// As COMMAND INFO tells it.
    pub(crate) fn wire(self) -> i32 {
        let wire = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        match self {
            Arity::Exactly(n) => wire(n),
            Arity::AtLeast(n) | Arity::Between(n, _) => -wire(n),
        }
    }
}

/// What a command does, for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// It may write.
    Write,
    /// It never writes.
    ReadOnly,
    /// It is refused when memory is out.
    DenyOom,
    /// It is for administrators.
    Admin,
    /// It is about publish and subscribe.
    PubSub,
    /// It is refused in scripts.
    NoScript,
    /// It runs while data is loaded.
    Loading,
    /// It runs on a replica without a link.
    Stale,
    /// MONITOR does not show it.
    SkipMonitor,
    /// The slow log does not show it.
    SkipSlowlog,
    /// It takes constant or logarithmic time.
    Fast,
    /// It is refused in cluster mode.
    NoCluster,
    /// Clients may use it before they authenticate.
    NoAuth,
    /// It may replicate though it does not write.
    MayReplicate,
    /// Its keys may all be left out.
    NoMandatoryKeys,
    /// It may block the client.
    Blocking,
    /// It runs while a script is past its time.
    AllowBusy,
}

impl Flag {
    /// The word in the flags of `CreateCommand`, and the first server version that knows it.
    pub(crate) fn word(self) -> (&'static str, i32) {
        match self {
            Flag::Write => ("write", 0),
            Flag::ReadOnly => ("readonly", 0),
            Flag::DenyOom => ("deny-oom", 0),
            Flag::Admin => ("admin", 0),
            Flag::PubSub => ("pubsub", 0),
            Flag::NoScript => ("deny-script", 0),
            Flag::Loading => ("allow-loading", 0),
            Flag::Stale => ("allow-stale", 0),
            Flag::SkipMonitor => ("no-monitor", 0),
            Flag::SkipSlowlog => ("no-slowlog", 0),
            Flag::Fast => ("fast", 0),
            Flag::NoCluster => ("no-cluster", 0),
            Flag::NoAuth => ("no-auth", 0),
            Flag::MayReplicate => ("may-replicate", 0x06_02_00),
            Flag::NoMandatoryKeys => ("no-mandatory-keys", 0x07_00_00),
            Flag::Blocking => ("blocking", 0x07_00_00),
            Flag::AllowBusy => ("allow-busy", 0x07_00_00),
        }
    }
}
