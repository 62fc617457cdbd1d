//! FT.EXPLAIN and FT.EXPLAINCLI.

use std::sync::Arc;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::lossy;
use crate::commands::{bytes, options, permission, search};
use crate::docs;
use crate::error::Error;
use crate::query::explain;
use crate::registry;

/// FT.EXPLAIN.
pub const EXPLAIN: Command = Command {
    name: "FT.EXPLAIN",
    summary: "Shows how a query is understood",
    arity: Arity::AtLeast(3),
    args: docs::search::EXPLAIN,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: explain,
    ..Command::DEFAULT
};

/// FT.EXPLAINCLI.
pub const EXPLAIN_LINES: Command =
    Command { name: "FT.EXPLAINCLI", handler: explain_lines, ..EXPLAIN };

fn text(ctx: &Context<'_>, args: &[Arg<'_>]) -> Result<String, Error> {
    let args = bytes(args);
    let options = options::read(&args[2..])?;
    let schema = registry::with(|all| {
        let entry = all.get(args[0]).ok_or_else(|| Error::NoSuchIndex(lossy(args[0])))?;
        Ok::<_, Error>(Arc::clone(entry.index.schema()))
    })?;
    permission::check(ctx, &schema, Access::Read)?;
    let (node, plan_options) = search::read_query(&schema, args[1], &options)?;
    explain::explain(&node, &schema, &plan_options)
}

fn explain(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    Ok(text(ctx, args)?.into())
}

fn explain_lines(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let text = text(ctx, args)?;
    let writer = ctx.reply();
    writer.array(text.split('\n').count());
    text.split('\n').for_each(|line| writer.simple(line));
    Ok(Reply::Written)
}
