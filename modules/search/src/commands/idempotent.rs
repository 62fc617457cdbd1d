//! FT._CREATEIFNX, FT._ALTERIFNX, FT._DROPINDEXIFX, FT._DROPIFX: what RediSearch sends to its replicas and
//! append-only files, where the work may have been done already; and FT.DROP, the older FT.DROPINDEX.

use mortise_module::{Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::lossy;
use crate::commands::administration::{self, Documents};
use crate::docs;
use crate::error::Error;
use crate::registry;

/// FT._CREATEIFNX.
pub const CREATE: Command =
    Command { name: "FT._CREATEIFNX", handler: create, ..administration::CREATE };

/// FT._ALTERIFNX.
pub const ALTER: Command =
    Command { name: "FT._ALTERIFNX", handler: alter, ..administration::ALTER };

/// FT._DROPINDEXIFX.
pub const DROPINDEX: Command =
    Command { name: "FT._DROPINDEXIFX", handler: drop_index, ..administration::DROPINDEX };

/// FT.DROP.
pub const DROP: Command = Command {
    name: "FT.DROP",
    since: "1.0.0",
    summary: "Removes an index with its documents",
    complexity: "O(N) where N is the number of keys in the index",
    arity: Arity::Between(2, 3),
    args: docs::schema::DROP,
    flags: &[Flag::Write],
    categories: &["search", "dangerous"],
    handler: drop_all,
    ..Command::DEFAULT
};

/// FT._DROPIFX.
pub const DROP_IF_KNOWN: Command =
    Command { name: "FT._DROPIFX", handler: drop_all_if_known, ..DROP };

fn is_known(args: &[Arg<'_>]) -> bool {
    registry::with(|all| all.get(args[1].as_bytes()).is_some())
}

fn create(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    if is_known(args) { Ok(Reply::Ok) } else { (administration::CREATE.handler)(ctx, args) }
}

/// Fields that are there already are left as they are: so is the whole list if its first field is one of them.
fn alter(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    // FT._ALTERIFNX index [SKIPINITIALSCAN] SCHEMA ADD path [AS name] type...
    let add = args.iter().position(|arg| arg.is("ADD"));
    let field = add.and_then(|add| {
        let renamed = args.get(add + 2).is_some_and(|arg| arg.is("AS"));
        args.get(if renamed { add + 3 } else { add + 1 })
    });
    let known = field.is_some_and(|field| {
        registry::with(|all| {
            let entry = all.get(args[1].as_bytes());
            entry.is_some_and(|entry| entry.index.schema().field(field.as_bytes()).is_some())
        })
    });
    if known { Ok(Reply::Ok) } else { (administration::ALTER.handler)(ctx, args) }
}

fn drop_index(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    if is_known(args) { (administration::DROPINDEX.handler)(ctx, args) } else { Ok(Reply::Ok) }
}

fn drop_all(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let documents = match args.get(2) {
        None => Documents::Delete,
        Some(option) if option.is("KEEPDOCS") || option.is("_FORCEKEEPDOCS") => Documents::Keep,
        Some(option) => return Err(Error::UnknownArgument(lossy(option.as_bytes())).into()),
    };
    administration::drop_named(ctx, args[1].as_bytes(), documents)
}

fn drop_all_if_known(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    if is_known(args) { drop_all(ctx, args) } else { Ok(Reply::Ok) }
}
