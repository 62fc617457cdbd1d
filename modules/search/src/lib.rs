//! Full-text search for Redis-compatible servers, as a module.
//!
//! A key that is written becomes a document of every index that follows it, inside the command that wrote it; a query
//! is parsed, planned against the index's schema, and run over the pieces of the index. In reading order:

use mortise_module::{Context, Error, Module, ModuleAllocator};

// Pure parts, from the bottom up. Blank lines keep the reading order.

/// What a client can be told when a request is refused.
pub mod error;

/// Argument lists.
pub mod args;

/// Texts into words.
pub mod tokenize;

/// Places on earth.
pub mod geo;

/// Shapes on a plane and on a sphere.
pub mod shape;

/// Vectors and their neighbours.
pub mod vector;

/// Expressions over the properties of a row.
pub mod expression;

/// What an index holds, and of which keys.
pub mod schema;

/// Query texts into plans.
pub mod query;

/// Values by row.
pub mod columns;

/// Formulas of relevance.
pub mod score;

/// Documents of one index.
pub mod index;

/// Rows grouped, sorted and computed with.
pub mod aggregate;

// Parts that know the server.

/// The indexes of this process.
pub mod registry;

/// Parameters.
pub mod settings;

mod pool;

mod source;

mod scan;

mod temporary;

mod events;

mod persist;

mod commands;

/// The version of RediSearch whose behaviour this module has.
const VERSION: i32 = 80000;

/// Memory is counted by the server.
#[global_allocator]
static ALLOCATOR: ModuleAllocator = ModuleAllocator;

mortise_module::module!(Module {
    commands: commands::COMMANDS,
    types: &[&persist::DEFINITIONS],
    configs: settings::ALL,
    categories: &["search"],
    keyspace_events: &[events::KEYS],
    // Writes cost nothing more as long as no index exists.
    keyspace_events_later: true,
    server_events: &events::SERVER,
    info: Some(commands::server_info),
    on_unload: Some(unload),
    snapshot_safe: true,
    ..Module::new("search", VERSION)
});

fn unload(_ctx: &mut Context<'_>) -> Result<(), Error> {
    registry::with(|all| all.clear());
    pool::stop();
    commands::cursor::clear();
    index::worker::stop();
    Ok(())
}
