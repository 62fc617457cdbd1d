//! How is a key or a db held in memory? DEBUG OBJECT, LISTPACK, QUICKLIST, HTSTATS and HTSTATS-KEY.
//!
//! The replies have Redis's form where our structures have what it tells of, and nothing in place of what
//! they do not have: there are no addresses to show, and no chains of buckets.

use std::fmt::Write as _;

use crate::commands::generic::object::references;
use crate::config::params::Param;
use crate::engine::access::idle_seconds;
use crate::engine::args;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::Outcome;
use crate::keyspace::db::Slot;
use crate::keyspace::value::ValueRef;
use crate::object::List;
use crate::object::list::node::NodeRef;
use crate::object::listpack::{Listpack, View};
use crate::object::module::KeyName;
use crate::object::rdb::write::Writer;
use crate::persist::rdb::value;
use crate::resp::reply::Reply;

/// Where a key is, also one whose time is over.
fn find(ctx: &ExclusiveCtx<'_>, key: &[u8]) -> Result<Slot, CommandError> {
    let db = ctx.state.keyspace.db(ctx.session.db as usize);
    db.find(key).ok_or(CommandError::NoSuchKey)
}

/// DEBUG OBJECT.
pub(super) fn object(ctx: &mut ExclusiveCtx<'_>, key: &[u8], reply: &mut Reply<'_>) -> Outcome {
    let slot = find(ctx, key)?;
    let db = ctx.state.keyspace.db(ctx.session.db as usize);
    let (found, clock) = (db.value(slot), db.clock(slot));
    let mut writer = Writer::new(value::style(&ctx.state.config));
    let name = KeyName { name: Some(key), db: ctx.session.db as i32 };
    value::save(&found, name, &mut writer)
        .map_err(|error| CommandError::owned(format!("ERR {error}")))?;
    let mut text = format!(
        "Value at:0x0 refcount:{} encoding:{} serializedlength:{} lru:{clock} lru_seconds_idle:{}",
        references(&found, &ctx.state.config),
        db.encoding(slot),
        writer.into_bytes().len(),
        idle_seconds(clock, ctx.env.now_us),
    );
    if let ValueRef::List(list) = found
        && list.encoding() == "quicklist"
    {
        describe_nodes(list, ctx.state.config.int(Param::ListMaxListpackSize), &mut text);
    }
    reply.simple(&text);
    Ok(())
}

/// Nodes are not compressed, whatever `list-compress-depth` says.
fn describe_nodes(list: &List, listpack_max: i64, text: &mut String) {
    let bytes: usize = nodes(list).map(|node| node_bytes(&node)).sum();
    let _ = write!(
        text,
        " ql_nodes:{} ql_avg_node:{:.2} ql_listpack_max:{listpack_max} ql_compressed:0 \
         ql_uncompressed_size:{bytes}",
        list.nodes(),
        list.len() as f64 / list.nodes().max(1) as f64,
    );
}

fn nodes(list: &List) -> impl Iterator<Item = NodeRef<'_>> {
    (0..list.nodes()).map(|number| list.node(number))
}

fn node_bytes(node: &NodeRef<'_>) -> usize {
    match node {
        NodeRef::Packed(listpack) => listpack.as_bytes().len(),
        NodeRef::Plain(text) => text.len(),
    }
}

/// DEBUG LISTPACK: writes the elements of a compact value to the log.
pub(super) fn listpack(ctx: &mut ExclusiveCtx<'_>, key: &[u8], reply: &mut Reply<'_>) -> Outcome {
    const REFUSAL: CommandError = CommandError::text("ERR Not a listpack encoded object.");
    let slot = find(ctx, key)?;
    let db = ctx.state.keyspace.db(ctx.session.db as usize);
    if db.encoding(slot) != "listpack" {
        return Err(REFUSAL);
    }
    let listpack = match db.value(slot) {
        ValueRef::Hash(hash) => hash.as_listpack().map(Listpack::view),
        ValueRef::Set(set) => set.as_listpack().map(Listpack::view),
        ValueRef::Zset(zset) => zset.as_listpack().map(Listpack::view),
        ValueRef::List(list) => match list.node(0) {
            NodeRef::Packed(listpack) => Some(listpack),
            NodeRef::Plain(_) => None,
        },
        ValueRef::Str(_) | ValueRef::Stream(_) | ValueRef::Module(_) | ValueRef::Unchecked(_) => {
            None
        }
    };
    log_listpack(listpack.ok_or(REFUSAL)?);
    reply.simple("Listpack structure printed on stdout");
    Ok(())
}

fn log_listpack(listpack: View<'_>) {
    tracing::info!("listpack: {} elements, {} bytes", listpack.len(), listpack.as_bytes().len());
    for (number, element) in listpack.iter().enumerate() {
        tracing::info!("element {number}: {element:?}");
    }
}

/// DEBUG QUICKLIST: writes the nodes of a list to the log.
pub(super) fn quicklist(ctx: &mut ExclusiveCtx<'_>, key: &[u8], reply: &mut Reply<'_>) -> Outcome {
    let slot = find(ctx, key)?;
    let db = ctx.state.keyspace.db(ctx.session.db as usize);
    let ValueRef::List(list) = db.value(slot) else {
        return Err(CommandError::text("ERR Not a quicklist encoded object."));
    };
    if list.encoding() != "quicklist" {
        return Err(CommandError::text("ERR Not a quicklist encoded object."));
    }
    for (number, node) in nodes(list).enumerate() {
        let bytes = node_bytes(&node);
        match node {
            NodeRef::Packed(listpack) => {
                tracing::info!("node {number}: {} elements, {bytes} bytes", listpack.len());
            }
            NodeRef::Plain(_) => tracing::info!("node {number}: plain, {bytes} bytes"),
        }
    }
    reply.simple("Quicklist structure printed on stdout");
    Ok(())
}

/// DEBUG HTSTATS: the key table of a db. Expiries stand in its entries, not in a table of their own.
pub(super) fn table(ctx: &ExclusiveCtx<'_>, db: &[u8], reply: &mut Reply<'_>) -> Outcome {
    let number =
        usize::try_from(args::int(db)?).ok().filter(|n| *n < ctx.state.keyspace.db_count());
    let number = number.ok_or(CommandError::text("ERR Out of range database"))?;
    let db = ctx.state.keyspace.db(number);
    let shape = db.shape();
    let text = format!(
        "[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: {}\n number of elements: \
         {}\n segments: {}\n[Expires HT]\n number of elements: {}\n",
        shape.slots,
        db.len(),
        shape.segments,
        db.volatile_len(),
    );
    reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// DEBUG HTSTATS-KEY: the same of a value that is held in a table.
pub(super) fn value_table(
    ctx: &mut ExclusiveCtx<'_>,
    key: &[u8],
    reply: &mut Reply<'_>,
) -> Outcome {
    let slot = find(ctx, key)?;
    let db = ctx.state.keyspace.db(ctx.session.db as usize);
    if !matches!(db.encoding(slot), "hashtable" | "skiplist") {
        return Err(CommandError::text(
            "ERR The value stored at the specified key is not represented using an hash table",
        ));
    }
    let value = db.value(slot);
    let text = format!(
        "Hash table 0 stats (main hash table):\n number of elements: {}\n bytes: {}\n",
        value.elements(),
        value.collection_bytes(),
    );
    reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}
