//! FT.TAGVALS.

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::lossy;
use crate::commands::permission;
use crate::docs;
use crate::error::Error;
use crate::index::deadline::Deadline;
use crate::query::pattern::Pattern;
use crate::query::plan::{Shape, Space};
use crate::registry;
use crate::schema::{ALL_FIELDS, FieldKind};
use crate::source;

/// FT.TAGVALS.
pub const TAG_VALUES: Command = Command {
    name: "FT.TAGVALS",
    summary: "Lists the values of a TAG field",
    complexity: "O(N) where N is the number of distinct tags of the field",
    arity: Arity::Exactly(3),
    args: docs::TAG_FIELD,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search", "dangerous"],
    handler: tag_values,
    ..Command::DEFAULT
};

fn tag_values(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let (name, field) = (args[1].as_bytes(), args[2].as_bytes());
    source::refresh_faded(ctx, name);
    let snapshot = registry::with(|all| {
        let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
        entry.index.before_search(registry::now_ms());
        Ok::<_, Error>(entry.index.snapshot())
    })?;
    permission::check(ctx, snapshot.schema(), Access::Read)?;
    let (number, field) = snapshot.schema().field(field).ok_or(Error::Text("No such field"))?;
    if !matches!(field.kind, FieldKind::Tag { .. }) {
        return Err(Error::Text("Not a tag field").into());
    }
    let prefix = number.to_be_bytes();
    let shape =
        Shape { space: Space::Tags, prefix: prefix.to_vec(), pattern: Pattern::Prefix(Vec::new()) };
    let terms = snapshot.vocabulary(&shape, ALL_FIELDS, &mut { Deadline::NONE });
    let writer = ctx.reply();
    writer.set(terms.len());
    terms.keys().for_each(|term| writer.bulk(&term[prefix.len()..]));
    Ok(Reply::Written)
}
