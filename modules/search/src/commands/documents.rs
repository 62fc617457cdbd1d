//! FT.DEL, FT.GET, FT.MGET: single documents by key, from the time before indexes followed keys by themselves.

use std::sync::Arc;

use mortise_module::{
    Access, Arg, Arity, Command, CommandResult, Context, Flag, KeySpec, Reply, Writer,
};

use crate::commands::{bytes, permission};
use crate::docs;
use crate::error::Error;
use crate::registry;
use crate::source::in_db;

/// FT.DEL.
pub const DEL: Command = Command {
    name: "FT.DEL",
    summary: "Deletes a document from the index and from the keyspace",
    arity: Arity::Between(3, 4),
    args: docs::DELETE_DOCUMENT,
    flags: &[Flag::Write],
    categories: &["search"],
    keys: &[KeySpec::at(2, Access::Remove)],
    handler: del,
    ..Command::DEFAULT
};

/// FT.GET.
pub const GET: Command = Command {
    name: "FT.GET",
    summary: "Returns the fields of a document of the index",
    arity: Arity::Exactly(3),
    args: docs::DOCUMENT,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    keys: &[KeySpec::at(2, Access::Read)],
    handler: get,
    ..Command::DEFAULT
};

/// FT.MGET.
pub const MGET: Command = Command {
    name: "FT.MGET",
    summary: "Returns the fields of documents of the index",
    complexity: "O(N) where N is the number of keys",
    arity: Arity::AtLeast(3),
    args: docs::DOCUMENTS,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    keys: &[KeySpec::range(2, -1, 1, Access::Read)],
    handler: mget,
    ..Command::DEFAULT
};

/// The database of an index, if the user may see its keys.
fn database(ctx: &Context<'_>, index: &[u8], access: Access) -> Result<i32, Error> {
    let schema = registry::with(|all| {
        let entry = all.get(index).ok_or(Error::Text("Unknown Index name"))?;
        entry.uses += 1;
        entry.index.expire(registry::now_ms());
        Ok::<_, Error>(Arc::clone(entry.index.schema()))
    })?;
    permission::check(ctx, &schema, access)?;
    Ok(schema.db)
}

/// Whether the index has a document of this key.
fn has(index: &[u8], key: &[u8]) -> bool {
    registry::with(|all| all.get(index).is_some_and(|entry| entry.index.contains(key)))
}

fn del(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let (index, key) = (args[0], args[1]);
    let db = database(ctx, index, Access::Remove)?;
    let existed = has(index, key);
    if existed {
        in_db(ctx, db, |ctx| ctx.open_write(key)?.delete())?;
        registry::with(|all| all.forget(db, key));
    }
    ctx.replicate_verbatim()?;
    Ok(Reply::Int(existed.into()))
}

fn get(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let db = database(ctx, args[0], Access::Read)?;
    in_db(ctx, db, |ctx| {
        write(ctx, ctx.reply(), args[0], args[1]);
        Ok(Reply::Written)
    })
}

fn mget(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let db = database(ctx, args[0], Access::Read)?;
    in_db(ctx, db, |ctx| {
        let writer = ctx.reply();
        writer.array(args.len() - 1);
        for key in &args[1..] {
            write(ctx, writer, args[0], key);
        }
        Ok(Reply::Written)
    })
}

/// The fields of a document as a flat list, or null.
fn write(ctx: &Context<'_>, writer: Writer<'_>, index: &[u8], key: &[u8]) {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    let read = has(index, key)
        && ctx
            .open_read(key)
            .hash_each(|field, value| fields.extend([field.to_vec(), value.to_vec()]))
            .is_ok();
    if !read || fields.is_empty() {
        return writer.null_array();
    }
    writer.array(fields.len());
    fields.iter().for_each(|text| writer.bulk(text));
}
