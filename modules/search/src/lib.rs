//! Full-text search for Redis-compatible servers, as a module.
//!
//! A key that is written becomes a document of every index that follows it, inside the command that wrote it; a query
//! is parsed, planned against the index's schema, and run over the pieces of the index. In reading order:

use mortise_module::{Arg, Context, Error, Module};

// Pure parts, from the bottom up. Blank lines keep the reading order.

/// What a client can be told when a request is refused.
pub mod error;

/// Argument lists.
pub mod args;

/// Parameters.
pub mod settings;

/// Texts into words.
pub mod tokenize;

/// Places on earth.
pub mod geo;

/// Shapes on a plane and on a sphere.
pub mod shape;

/// Words by their sound.
pub mod phonetics;
/// Vectors and their neighbours.
pub mod vector;

/// Expressions over the properties of a row.
pub mod expression;
/// Words that mean the same.
pub mod synonyms;

/// What an index holds, and of which keys.
pub mod schema;

/// Query texts into plans.
pub mod query;

/// Values by row.
pub mod columns;

/// Formulas of relevance.
pub mod score;

/// Excerpts of texts.
pub mod highlight;

#[cfg(test)]
mod hostile_excerpts_test;

/// Documents of one index.
pub mod index;

/// Indexes on disk.
pub mod storage;

/// Rows grouped, sorted and computed with.
pub mod aggregate;
/// Texts by their beginnings.
pub mod trie;

// Parts that know the server.

/// Other names of indexes.
pub mod aliases;

/// Lists of words for spelling.
pub mod dictionaries;

/// The indexes of this process.
pub mod registry;

mod pool;

mod source;

mod scan;

mod temporary;

mod events;

mod persist;

mod persist_words;

mod persist_segments;

mod suggestions;

/// Their documentation.
mod docs;

mod commands;

/// The version of RediSearch whose behaviour this module has.
const VERSION: i32 = 80000;

/// Memory is counted by the server.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mortise_module::ModuleAllocator = mortise_module::ModuleAllocator;

/// Tests measure it themselves.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mortise_module::CountingAllocator = mortise_module::CountingAllocator;

mortise_module::module!(Module {
    commands: commands::COMMANDS,
    // In this order in files: what words belong to an index comes behind the index.
    types: &[
        &persist::DEFINITIONS,
        &persist_words::WORDS,
        // What a segment is read with are definitions and words.
        &persist_segments::SEGMENTS,
        &suggestions::SUGGESTIONS,
    ],
    configs: settings::ALL,
    categories: &["search"],
    keyspace_events: &[events::KEYS],
    // Writes cost nothing more as long as no index exists.
    keyspace_events_later: true,
    server_events: &events::SERVER,
    info: Some(commands::server_info),
    on_load: Some(load),
    on_unload: Some(unload),
    snapshot_safe: true,
    ..Module::new("search", VERSION)
});

fn load(_ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), Error> {
    storage::saving::begin();
    Ok(())
}

fn unload(_ctx: &mut Context<'_>) -> Result<(), Error> {
    registry::with(|all| all.clear());
    pool::stop();
    commands::cursor::clear();
    index::worker::stop();
    Ok(())
}
