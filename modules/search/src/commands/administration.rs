//! FT.CREATE, FT.ALTER, FT.DROPINDEX, FT._LIST.

use std::sync::Arc;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::commands::bytes;
use crate::commands::permission;
use crate::docs;
use crate::error::Error;
use crate::scan::Keys;
use crate::schema::alter::{self, Alter, Change};
use crate::schema::{Schema, parse};
use crate::{registry, scan, temporary};

/// FT.CREATE.
pub const CREATE: Command = Command {
    name: "FT.CREATE",
    summary: "Makes an index over hashes or JSON documents",
    complexity: "O(K) at creation where K is the number of fields, O(N) if scanning the keyspace is triggered",
    arity: Arity::AtLeast(4),
    args: docs::schema::CREATE,
    tips: docs::TIPS,
    history: docs::CREATE_HISTORY,
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["search"],
    handler: create,
    ..Command::DEFAULT
};

/// FT.ALTER.
pub const ALTER: Command = Command {
    name: "FT.ALTER",
    summary: "Adds fields to an index, drops some or changes their types",
    complexity: "O(N) where N is the number of keys in the keyspace",
    arity: Arity::AtLeast(5),
    args: docs::schema::ALTER,
    tips: docs::TIPS,
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["search"],
    handler: alter,
    ..Command::DEFAULT
};

/// FT.DROPINDEX.
pub const DROPINDEX: Command = Command {
    name: "FT.DROPINDEX",
    since: "2.0.0",
    summary: "Removes an index and leaves its keys",
    complexity: "O(1), or O(N) if documents are deleted, where N is the number of keys in the index",
    arity: Arity::Between(2, 3),
    args: docs::schema::DROP_INDEX,
    tips: docs::TIPS,
    flags: &[Flag::Write],
    categories: &["search", "dangerous"],
    handler: drop_index,
    ..Command::DEFAULT
};

/// FT._LIST.
pub const LIST: Command = Command {
    name: "FT._LIST",
    since: "2.0.0",
    summary: "Names all indexes",
    arity: Arity::Exactly(1),
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search", "admin"],
    handler: list,
    ..Command::DEFAULT
};

fn create(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let (name, rest) = args.split_first().expect("the arity says so");
    if registry::with(|all| all.get(name).is_some()) {
        return Err(Error::Text("Index already exists").into());
    }
    let schema = Schema { db: ctx.db(), ..parse::create(name, rest)? };
    ctx.hear_keyspace_events()?;
    let schema = registry::with(|all| all.create(schema))?;
    if !schema.skip_initial_scan {
        scan::begin(ctx, &schema)?;
    }
    ctx.replicate_verbatim()?;
    Ok(Reply::Ok)
}

fn alter(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let (name, rest) = args.split_first().expect("the arity says so");
    let Alter { schema, change, skip_initial_scan } = registry::with(|all| {
        let entry = all.get(name).ok_or(Error::Text("Unknown index name"))?;
        // What is being built counts as done, so that all servers which run the same commands come to the same schema.
        alter::alter(entry.latest(), rest)
    })?;
    let schema = Arc::new(schema);
    match change {
        Change::Grown => grow(ctx, &schema, skip_initial_scan)?,
        Change::Rebuilt => {
            let keys = if skip_initial_scan { Keys::Known } else { Keys::All };
            scan::begin_rebuild(ctx, &schema, keys)?;
        }
    }
    ctx.replicate_verbatim()?;
    Ok(Reply::Ok)
}

/// Adds fields to an index, or to the one that is being built in its place.
fn grow(
    ctx: &mut Context<'_>,
    schema: &Arc<Schema>,
    skip_scan: bool,
) -> Result<(), mortise_module::Error> {
    let rebuilds = registry::with(|all| {
        let Some(entry) = all.get(&schema.name) else { return false };
        match &mut entry.rebuild {
            Some(rebuild) => rebuild.index.alter(Arc::clone(schema)),
            None => entry.index.alter(Arc::clone(schema)),
        }
        entry.rebuild.is_some()
    });
    match (skip_scan, rebuilds) {
        (true, _) => Ok(()),
        (false, true) => scan::restart_rebuild(ctx, schema),
        (false, false) => scan::begin(ctx, schema),
    }
}

fn drop_index(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let documents = match args.get(1) {
        None => Documents::Keep,
        Some(option) if option.eq_ignore_ascii_case(b"DD") => Documents::Delete,
        Some(option) if option.eq_ignore_ascii_case(b"_FORCEKEEPDOCS") => Documents::Keep,
        Some(option) => return Err(Error::UnknownArgument(crate::args::lossy(option)).into()),
    };
    drop_named(ctx, args[0], documents)
}

/// What becomes of the keys of an index that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Documents {
    Keep,
    Delete,
}

/// Drops an index, by its name or an alias.
pub(super) fn drop_named(
    ctx: &mut Context<'_>,
    name: &[u8],
    documents: Documents,
) -> CommandResult {
    let schema = registry::with(|all| {
        let entry = all.get(name).ok_or(Error::Text("Unknown Index name"))?;
        Ok::<_, Error>(Arc::clone(entry.index.schema()))
    })?;
    if documents == Documents::Delete {
        permission::check(ctx, &schema, Access::Remove)?;
    }
    let entry = registry::with(|all| {
        all.aliases.forget(&schema.name);
        all.take(&schema.name)
    });
    match entry.filter(|_| documents == Documents::Delete) {
        Some(entry) => {
            temporary::delete_documents(ctx, &entry)?;
            temporary::replicate_end(ctx, &schema.name)?;
        }
        None => ctx.replicate_verbatim()?,
    }
    Ok(Reply::Ok)
}

fn list(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> CommandResult {
    let names = registry::with(|all| all.names());
    let writer = ctx.reply();
    writer.set(names.len());
    for name in names {
        writer.bulk(&name);
    }
    Ok(Reply::Written)
}
