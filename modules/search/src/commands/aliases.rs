//! FT.ALIASADD, FT.ALIASUPDATE, FT.ALIASDEL, FT.ALIASLIST, and the forms of the first and third that forgive.

use std::sync::Arc;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::lossy;
use crate::commands::{bytes, permission};
use crate::docs;
use crate::error::Error;
use crate::registry::{self, Registry};

const DEFAULT: Command = Command {
    since: "1.0.0",
    complexity: "O(1)",
    tips: docs::TIPS,
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["search"],
    ..Command::DEFAULT
};

/// FT.ALIASADD.
pub const ADD: Command = Command {
    name: "FT.ALIASADD",
    summary: "Gives an index a further name",
    arity: Arity::Exactly(3),
    args: docs::ALIAS_OF,
    handler: add,
    ..DEFAULT
};

/// FT._ALIASADDIFNX: an alias that stands for this index already is no error.
pub const ADD_IF_NEW: Command = Command { name: "FT._ALIASADDIFNX", handler: add_if_new, ..ADD };

/// FT.ALIASUPDATE.
pub const UPDATE: Command = Command {
    name: "FT.ALIASUPDATE",
    summary: "Gives a further name to an index, or to another than before",
    arity: Arity::Exactly(3),
    args: docs::ALIAS_OF,
    handler: update,
    ..DEFAULT
};

/// FT.ALIASDEL.
pub const DELETE: Command = Command {
    name: "FT.ALIASDEL",
    summary: "Takes a further name away",
    arity: Arity::Exactly(2),
    args: docs::ALIAS,
    flags: &[Flag::Write],
    handler: delete,
    ..DEFAULT
};

/// FT._ALIASDELIFX: a missing alias is no error.
pub const DELETE_IF_KNOWN: Command =
    Command { name: "FT._ALIASDELIFX", handler: delete_if_known, ..DELETE };

/// FT.ALIASLIST.
pub const LIST: Command = Command {
    name: "FT.ALIASLIST",
    summary: "Lists the further names of an index",
    complexity: "O(N) where N is the number of aliases of all indexes",
    arity: Arity::Exactly(2),
    args: docs::ONE_INDEX,
    flags: &[Flag::ReadOnly],
    handler: list,
    ..DEFAULT
};

/// Checks that `alias` may stand for `index`.
fn check(all: &Registry, alias: &[u8], index: &[u8]) -> Result<(), Error> {
    if !all.contains(index) {
        return Err(Error::Text("Unknown index name (or name is an alias itself)"));
    }
    if all.contains(alias) {
        return Err(Error::Text("Alias conflicts with an existing index name"));
    }
    Ok(())
}

fn add(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let (alias, index) = (args[0], args[1]);
    registry::with(|all| {
        check(all, alias, index)?;
        if all.aliases.index(alias).is_some() {
            return Err(Error::Text("Alias already exists"));
        }
        all.aliases.set(alias, index);
        Ok(())
    })?;
    ctx.replicate("FT._ALIASADDIFNX", &[&alias, &index])?;
    Ok(Reply::Ok)
}

fn add_if_new(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let values = bytes(args);
    let (alias, index) = (values[0], values[1]);
    let known = registry::with(|all| {
        check(all, alias, index)?;
        Ok::<_, Error>(all.aliases.index(alias) == Some(index))
    })?;
    if known {
        return Ok(Reply::Ok);
    }
    add(ctx, args)
}

fn update(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    registry::with(|all| {
        check(all, args[0], args[1])?;
        all.aliases.set(args[0], args[1]);
        Ok::<_, Error>(())
    })?;
    ctx.replicate_verbatim()?;
    Ok(Reply::Ok)
}

fn delete(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let alias = args[0];
    registry::with(|all| match all.aliases.remove(alias) {
        true => Ok(()),
        false if all.contains(alias) => Err(Error::Text("Alias does not belong to provided spec")),
        false => Err(Error::Text("Alias does not exist")),
    })?;
    ctx.replicate("FT._ALIASDELIFX", &[&alias])?;
    Ok(Reply::Ok)
}

fn delete_if_known(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let known = registry::with(|all| all.get(args[1].as_bytes()).is_some());
    if known { delete(ctx, args) } else { Ok(Reply::Ok) }
}

fn list(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let index = args[1].as_bytes();
    let (schema, aliases) = registry::with(|all| {
        if !all.contains(index) {
            return Err(Error::NoSuchIndex(lossy(index)));
        }
        let aliases = all.aliases.of(index).into_iter().map(<[u8]>::to_vec);
        let aliases: Vec<Vec<u8>> = aliases.collect();
        let entry = all.get(index).ok_or_else(|| Error::NoSuchIndex(lossy(index)))?;
        Ok((Arc::clone(entry.index.schema()), aliases))
    })?;
    permission::check(ctx, &schema, Access::Read)?;
    let writer = ctx.reply();
    writer.set(aliases.len());
    aliases.iter().for_each(|alias| writer.bulk(alias));
    Ok(Reply::Written)
}
