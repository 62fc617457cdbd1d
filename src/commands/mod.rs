//! "What clients can ask": declarations and handlers, a file per group.
//!
//! A command is added in one place: an entry in its file's `COMMANDS` and the handler below it.

use crate::engine::error::CommandError;
use crate::engine::spec::CommandSpec;
use crate::keyspace::db::Db;
use crate::object::listpack::Element;
use crate::resp::reply::Reply;

pub mod connection;

pub mod transactions;

pub mod server;

pub mod acl;

pub mod pubsub;

pub mod scripting;

pub mod module;

pub mod string;

pub mod bitmap;

pub mod hyperloglog;

pub mod cluster;

pub mod hash;

pub mod list;
pub mod set;
pub mod stream;
pub mod zset;

pub mod geo;

pub mod generic;

pub mod scan;

pub mod sort;

#[cfg(any(test, fuzzing))]
pub mod testing;

#[cfg(test)]
mod departures_tests;

#[cfg(test)]
mod effects_tests;

#[cfg(test)]
mod list_effects_tests;

#[cfg(test)]
mod pubsub_tests;

/// All built-in commands, group by group.
pub const TABLES: &[&[CommandSpec]] = &[
    connection::COMMANDS,
    transactions::COMMANDS,
    server::COMMANDS,
    acl::COMMANDS,
    cluster::COMMANDS,
    pubsub::COMMANDS,
    scripting::eval::COMMANDS,
    scripting::function::COMMANDS,
    module::COMMANDS,
    string::get::COMMANDS,
    string::set::COMMANDS,
    string::many::COMMANDS,
    string::ranges::COMMANDS,
    string::numbers::COMMANDS,
    string::lcs::COMMANDS,
    bitmap::bit::COMMANDS,
    bitmap::count::COMMANDS,
    bitmap::op::COMMANDS,
    bitmap::field::COMMANDS,
    hyperloglog::COMMANDS,
    hash::set::COMMANDS,
    hash::get::COMMANDS,
    hash::numbers::COMMANDS,
    hash::walk::COMMANDS,
    hash::expire::COMMANDS,
    hash::ttl::COMMANDS,
    set::change::COMMANDS,
    set::read::COMMANDS,
    set::random::COMMANDS,
    set::algebra::COMMANDS,
    hash::combined::COMMANDS,
    list::push::COMMANDS,
    list::pop::COMMANDS,
    list::read::COMMANDS,
    list::edit::COMMANDS,
    list::moving::COMMANDS,
    stream::add::COMMANDS,
    stream::trim::COMMANDS,
    stream::range::COMMANDS,
    stream::read::COMMANDS,
    stream::read_group::COMMANDS,
    stream::group::COMMANDS,
    stream::pending::COMMANDS,
    stream::claim::COMMANDS,
    stream::info::COMMANDS,
    zset::add::COMMANDS,
    zset::get::COMMANDS,
    zset::range::COMMANDS,
    zset::remove::COMMANDS,
    zset::pop::COMMANDS,
    zset::combine::COMMANDS,
    zset::walk::COMMANDS,
    geo::COMMANDS,
    geo::search::COMMANDS,
    generic::keys::COMMANDS,
    generic::expire::COMMANDS,
    generic::ttl::COMMANDS,
    generic::rename::COMMANDS,
    generic::object::COMMANDS,
    generic::dump::COMMANDS,
    generic::migrate::COMMANDS,
    generic::wait::COMMANDS,
    scan::COMMANDS,
    sort::COMMANDS,
];

/// Keys that [`fetch_ahead`] takes at a time.
pub const AHEAD_MAX: usize = 32;

/// Asks for the memory of the first [`AHEAD_MAX`] of many keys, so that their cache misses overlap.
/// One key alone is fetched by who asks for it.
#[inline]
pub fn fetch_ahead<'a>(db: &Db, keys: impl ExactSizeIterator<Item = &'a [u8]>) {
    if keys.len() > 1 {
        fetch_all_ahead(db, keys);
    }
}

fn fetch_all_ahead<'a>(db: &Db, keys: impl Iterator<Item = &'a [u8]>) {
    let mut hashes = [0; AHEAD_MAX];
    let mut count = 0;
    for (hash, key) in hashes.iter_mut().zip(keys) {
        *hash = Db::hash(key);
        db.prefetch_bucket(*hash);
        count += 1;
    }
    hashes[..count].iter().for_each(|hash| db.prefetch_entry(*hash));
}

/// The error for a subcommand with arguments that it does not take.
pub fn unknown_subcommand(container: &str, subcommand: &[u8]) -> CommandError {
    CommandError::owned(format!(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try {container} HELP.",
        String::from_utf8_lossy(subcommand)
    ))
}

/// Writes an element of a collection as a bulk string.
#[inline]
fn reply_element(element: Element<'_>, reply: &mut Reply<'_>) {
    match element {
        Element::Str(text) => reply.bulk(text),
        Element::Int(value) => reply.bulk_int(value),
    }
}

/// Writes the reply of a HELP subcommand: each entry is a usage and what it does.
pub fn reply_help(reply: &mut Reply<'_>, command: &str, entries: &[(&str, &str)]) {
    reply.array(entries.len() * 2 + 3);
    reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (usage, meaning) in entries.iter().chain(&[("HELP", "Print this help.")]) {
        reply.simple(usage);
        reply.simple(&format!("    {meaning}"));
    }
}
