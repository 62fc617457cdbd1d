//! FT.SYNUPDATE, FT.SYNDUMP, and FT.SYNADD, which only says that it is gone.

use std::sync::Arc;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::lossy;
use crate::commands::{bytes, permission};
use crate::docs;
use crate::error::Error;
use crate::schema::Schema;
use crate::{registry, scan};

/// FT.SYNUPDATE.
pub const UPDATE: Command = Command {
    name: "FT.SYNUPDATE",
    since: "1.2.0",
    summary: "Adds words to a group that counts as one word",
    complexity: "O(1), or O(N) where N is the number of keys in the keyspace if these are read again",
    arity: Arity::AtLeast(4),
    args: docs::SYNONYMS,
    tips: docs::TIPS,
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["search"],
    handler: update,
    ..Command::DEFAULT
};

/// FT.SYNDUMP.
pub const DUMP: Command = Command {
    name: "FT.SYNDUMP",
    since: "1.2.0",
    summary: "Lists the words that have synonyms, with their groups",
    arity: Arity::Exactly(2),
    args: docs::ONE_INDEX,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: dump,
    ..Command::DEFAULT
};

/// FT.SYNADD.
pub const ADD: Command = Command {
    name: "FT.SYNADD",
    summary: "Is gone; FT.SYNUPDATE does its work",
    arity: Arity::AtLeast(1),
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["search"],
    handler: |_, _| Err(Error::Text("No longer supported, use FT.SYNUPDATE").into()),
    ..Command::DEFAULT
};

fn update(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let (name, group) = (args[0], lossy(args[1]));
    let skip_scan = args[2].eq_ignore_ascii_case(b"SKIPINITIALSCAN");
    let words = &args[2 + usize::from(skip_scan)..];
    let schema = registry::with(|all| {
        let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
        let mut synonyms = Arc::clone(&entry.index.schema().synonyms);
        Arc::make_mut(&mut synonyms).add(&group, words)?;
        entry.each_index(|index| {
            let schema = index.schema().as_ref().clone();
            index.redefine(Arc::new(Schema { synonyms: Arc::clone(&synonyms), ..schema }));
        });
        Ok::<_, Error>(Arc::clone(entry.index.schema()))
    })?;
    if !skip_scan {
        scan::begin(ctx, &schema)?;
        scan::restart_rebuild(ctx, &schema)?;
    }
    ctx.replicate_verbatim()?;
    Ok(Reply::Ok)
}

fn dump(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let name = args[1].as_bytes();
    let schema = registry::with(|all| {
        let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
        Ok::<_, Error>(Arc::clone(entry.index.schema()))
    })?;
    permission::check(ctx, &schema, Access::Read)?;
    let synonyms = &schema.synonyms;
    let writer = ctx.reply();
    writer.map(synonyms.len());
    for (word, groups) in synonyms.iter() {
        writer.bulk(word);
        writer.array(groups.len());
        groups.iter().for_each(|group| writer.bulk(group.as_bytes()));
    }
    Ok(Reply::Written)
}
