//! What is a module made of? Tables of plain data, declared once.

use crate::config::Config;
use crate::context::Context;
use crate::error::Error;
use crate::events::{KeyspaceSubscription, ServerSubscription};
use crate::info::InfoWriter;
use crate::raw::{Arg, RegisterType};
use crate::reply::CommandResult;

/// How many commands, subcommands included, a module may have.
pub const COMMANDS_MAX: usize = 256;

/// How many services a module may export.
pub const SERVICES_MAX: usize = 8;

/// A module: its name, its version and the tables of what it offers.
///
/// Write a `const` of it with `..Module::new(name, version)` and hand it to
/// [`module!`](crate::module!).
pub struct Module {
    /// The name that MODULE LIST shows.
    pub name: &'static str,
    /// The version, by custom 10000 * major + 100 * minor + patch.
    pub version: i32,
    /// The commands.
    pub commands: &'static [Command],
    /// The native types.
    pub types: &'static [&'static dyn RegisterType],
    /// The parameters.
    pub configs: &'static [Config],
    /// ACL categories of the module's own, for its commands to be in. Servers before Redis 7.4
    /// cannot have them; commands then lack these categories there.
    pub categories: &'static [&'static str],
    /// Who hears of keyspace events.
    pub keyspace_events: &'static [KeyspaceSubscription],
    /// Who hears of server events; one handler for each kind of event.
    pub server_events: &'static [ServerSubscription],
    /// What other modules of this SDK may call; see [`Context::service`].
    pub services: &'static [ServiceSpec],
    /// Fills the module's part of INFO.
    pub info: Option<fn(&mut InfoWriter<'_>)>,
    /// Runs last when the module is loaded, with the arguments of `loadmodule`. An error refuses the
    /// load.
    pub on_load: Option<OnLoad>,
    /// Runs before the module is unloaded. An error refuses that. A module that has native types is
    /// never unloaded. Threads of the module must have ended when it returns.
    pub on_unload: Option<OnUnload>,
    /// The handlers of `keyspace_events` hear of nothing before [`Context::hear_keyspace_events`] is
    /// called. A server that nobody listens to spends nothing on events.
    pub keyspace_events_later: bool,
    /// The module wants keyspace events that its own handlers cause.
    pub nested_keyspace_events: bool,
    /// A replica may load new data beside the old, so that the module's types have values in both
    /// at the same time.
    pub async_loading: bool,
    /// Values of the module's types change by way of an open key alone: they have no shared parts
    /// that something else changes (cells, locks, statics). Mortise then takes snapshots while the module goes on,
    /// otherwise by a child process; other servers do not look at it.
    pub snapshot_safe: bool,
}

/// What runs when the module is loaded.
pub type OnLoad = fn(&mut Context<'_>, &[Arg<'_>]) -> Result<(), Error>;

/// What runs before the module is unloaded.
pub type OnUnload = fn(&mut Context<'_>) -> Result<(), Error>;

impl Module {
    /// A module without anything.
    pub const fn new(name: &'static str, version: i32) -> Module {
        Module {
            name,
            version,
            commands: &[],
            types: &[],
            configs: &[],
            categories: &[],
            keyspace_events: &[],
            server_events: &[],
            services: &[],
            info: None,
            on_load: None,
            on_unload: None,
            keyspace_events_later: false,
            nested_keyspace_events: false,
            async_loading: false,
            snapshot_safe: false,
        }
    }
}

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

/// What a command does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Reads and changes it.
    Update,
    /// Replaces it without reading.
    Overwrite,
    /// Deletes it.
    Remove,
}

/// Where keys are among a command's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// Where to look.
    pub find: FindKeys,
    /// What happens to them.
    pub access: Access,
}

/// Where to look for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindKeys {
    /// From the first to the last place, each `step`; a negative last place counts from the end.
    Range {
        /// The first place; 1 is the first argument after the name.
        first: i32,
        /// The last place.
        last: i32,
        /// The distance.
        step: i32,
    },
    /// The argument at this place tells how many keys follow it.
    Counted(i32),
}

impl KeySpec {
    /// One key.
    pub const fn at(place: i32, access: Access) -> KeySpec {
        KeySpec::range(place, place, 1, access)
    }

    /// Keys from `first` to `last`, each `step`.
    pub const fn range(first: i32, last: i32, step: i32, access: Access) -> KeySpec {
        KeySpec { find: FindKeys::Range { first, last, step }, access }
    }

    /// A number of keys at `place`, then the keys.
    pub const fn counted(place: i32, access: Access) -> KeySpec {
        KeySpec { find: FindKeys::Counted(place), access }
    }
}

/// A service: what other modules written with this SDK may call, by name.
#[derive(Clone, Copy)]
pub struct ServiceSpec {
    /// The name. A change of what request or answer mean needs a new one.
    pub name: &'static str,
    /// What answers: it reads the request and passes the answer on in one or more chunks.
    pub handler: ServiceHandler,
}

/// What answers a service's requests.
pub type ServiceHandler =
    fn(&mut Context<'_>, &[u8], answer: &mut dyn FnMut(&[u8])) -> Result<(), Error>;
