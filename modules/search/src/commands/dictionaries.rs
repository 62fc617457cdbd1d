//! FT.DICTADD, FT.DICTDEL, FT.DICTDUMP.

use mortise_module::{Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::commands::bytes;
use crate::docs;
use crate::registry;

/// FT.DICTADD.
pub const ADD: Command = Command {
    name: "FT.DICTADD",
    since: "1.4.0",
    summary: "Puts words into a dictionary",
    complexity: "O(N) where N is the number of terms",
    arity: Arity::AtLeast(3),
    args: docs::DICTIONARY_AND_TERMS,
    tips: docs::TIPS,
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["search"],
    handler: add,
    ..Command::DEFAULT
};

/// FT.DICTDEL.
pub const DELETE: Command = Command {
    name: "FT.DICTDEL",
    summary: "Takes words out of a dictionary",
    flags: &[Flag::Write],
    handler: delete,
    ..ADD
};

/// FT.DICTDUMP.
pub const DUMP: Command = Command {
    name: "FT.DICTDUMP",
    summary: "Lists the words of a dictionary",
    complexity: "O(N), where N is the size of the dictionary",
    arity: Arity::Exactly(2),
    args: docs::DICTIONARY,
    flags: &[Flag::ReadOnly],
    handler: dump,
    ..ADD
};

fn add(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let added = registry::with(|all| all.dictionaries.add(args[0], &args[1..]));
    ctx.replicate_verbatim()?;
    Ok(added.into())
}

fn delete(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let removed = registry::with(|all| all.dictionaries.remove(args[0], &args[1..]));
    ctx.replicate_verbatim()?;
    Ok(removed.into())
}

fn dump(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let name = args[1].as_bytes();
    let words = registry::with(|all| all.dictionaries.get(name).cloned().unwrap_or_default());
    let writer = ctx.reply();
    writer.set(words.len());
    words.iter().for_each(|word| writer.bulk(word));
    Ok(Reply::Written)
}
