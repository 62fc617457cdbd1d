//! When do temporary indexes end?
//!
//! When no command has named them for a while; their documents end with them. The primary decides and tells its
//! replicas, as with keys that expire.

use std::time::Instant;

use mortise_module::{CallFlags, Context, ContextFlags, Error, LogLevel, ServerEvent};

use crate::schema::Schema;
use crate::{registry, source};

/// Looks whether an index has been idle for too long; runs several times per second.
pub fn on_cron(ctx: &mut Context<'_>, _event: &ServerEvent<'_>) {
    if !registry::has_temporary() || !ctx.flags().contains(ContextFlags::PRIMARY) {
        return;
    }
    for schema in registry::with(|all| all.idle(Instant::now())) {
        let ended = end(ctx, &schema);
        if let Err(error) = ended {
            ctx.log(LogLevel::Warning, &format!("a temporary index could not be ended: {error}"));
        }
    }
}

fn end(ctx: &mut Context<'_>, schema: &Schema) -> Result<(), Error> {
    let entry = registry::with(|all| {
        all.aliases.forget(&schema.name);
        all.take(&schema.name)
    });
    if let Some(entry) = entry {
        delete_documents(ctx, &entry)?;
        replicate_end(ctx, &schema.name)?;
    }
    Ok(())
}

/// Deletes the keys of an index that has been taken out. Replicas are told of each one: their indexes need not hold the
/// same keys, while a walk fills one of them.
pub fn delete_documents(ctx: &mut Context<'_>, entry: &registry::Entry) -> Result<(), Error> {
    source::in_db(ctx, entry.index.schema().db, |ctx| {
        for key in entry.index.snapshot().keys() {
            ctx.call("DEL", &[&key], CallFlags::REPLICATE)?;
        }
        Ok(())
    })
}

/// Tells replicas and the append-only file that an index has ended whose keys [`delete_documents`] has deleted.
pub fn replicate_end(ctx: &Context<'_>, name: &[u8]) -> Result<(), Error> {
    ctx.replicate("FT.DROPINDEX", &[&name, &"_FORCEKEEPDOCS"])
}
