//! When do temporary indexes end?
//!
//! When no command has named them for a while; their documents end with them. The primary decides and tells its
//! replicas, as with keys that expire.

use std::time::Instant;

use mortise_module::{Context, ContextFlags, Error, LogLevel, ServerEvent};

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
        ctx.replicate("FT.DROPINDEX", &[&&*schema.name, &"DD"])?;
    }
    Ok(())
}

/// Deletes the keys of an index that has been taken out.
pub fn delete_documents(ctx: &mut Context<'_>, entry: &registry::Entry) -> Result<(), Error> {
    let db = entry.index.schema().db;
    source::in_db(ctx, db, |ctx| {
        for key in entry.index.snapshot().keys() {
            ctx.open_write(key)?.delete()?;
            registry::with(|all| all.forget(db, key));
        }
        Ok(())
    })
}
