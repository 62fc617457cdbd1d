//! JSON documents as a data type: the JSON.* commands, with RedisJSON's paths, replies and errors.
//!
//! Reading order: `value` (how a document is kept), `codec` and `write` (text to value and back, over `sink`,
//! the bytes on their way out), `cbor` (what newer RedisJSON saves), `saved` (all that has been saved), `path` (which parts a
//! path names), `ops` (what commands do to a document), `rdb` (how it lives in a key), `commands` (arguments and
//! replies). Below `rdb` nothing knows of a server.

pub mod cbor;
pub mod codec;
pub mod error;
pub mod ops;
pub mod path;
pub mod saved;
pub mod value;
pub mod write;

mod commands;
mod docs;
mod limits;
mod rdb;
mod shared_api;
mod sink;

use mortise_module::{Module, ModuleAllocator};

/// Memory of documents is counted by the server.
#[global_allocator]
static ALLOCATOR: ModuleAllocator = ModuleAllocator;

/// By which clients find the module and judge what it can do: 8.0.0.
const VERSION: i32 = 8_00_00;

mortise_module::module!(Module {
    commands: commands::COMMANDS,
    types: &[&rdb::JSON],
    configs: limits::CONFIGS,
    categories: &["json"],
    services: &[shared_api::SERVICE],
    on_load: Some(|ctx, _| shared_api::raw::export(ctx)),
    snapshot_safe: true,
    ..Module::new("ReJSON", VERSION)
});
