//! FT.EXPLAIN and FT.EXPLAINCLI.

use mortise_module::{Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::lossy;
use crate::commands::{bytes, options, search};
use crate::error::Error;
use crate::query::explain;
use crate::registry;

/// FT.EXPLAIN.
pub const EXPLAIN: Command = Command {
    name: "FT.EXPLAIN",
    summary: "Returns the execution plan for a complex query",
    arity: Arity::AtLeast(3),
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: explain,
    ..Command::DEFAULT
};

/// FT.EXPLAINCLI.
pub const EXPLAIN_LINES: Command =
    Command { name: "FT.EXPLAINCLI", handler: explain_lines, ..EXPLAIN };

fn text(args: &[Arg<'_>]) -> Result<String, Error> {
    let args = bytes(args);
    let options = options::read(&args[2..])?;
    registry::with(|all| {
        let entry = all.get(args[0]).ok_or_else(|| Error::NoSuchIndex(lossy(args[0])))?;
        let schema = entry.index.schema();
        let (node, plan_options) = search::read_query(schema, args[1], &options)?;
        explain::explain(&node, schema, &plan_options)
    })
}

fn explain(_ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    Ok(text(args)?.into())
}

fn explain_lines(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let text = text(args)?;
    let writer = ctx.reply();
    writer.array(text.split('\n').count());
    text.split('\n').for_each(|line| writer.simple(line));
    Ok(Reply::Written)
}
