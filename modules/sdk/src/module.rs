//! What is a module made of? Tables of plain data, declared once.

use crate::command::Command;
use crate::config::Config;
use crate::context::Context;
use crate::error::Error;
use crate::events::{KeyspaceSubscription, ServerSubscription};
use crate::info::InfoWriter;
use crate::raw::{Arg, RegisterType};

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
