//! How do keys that exist already get into an index?
//!
//! By one walk over the keyspace inside the command that asks for it. The names are taken first and the keys read
//! afterwards, since reading a JSON document is a call into another module.

use std::sync::Arc;

use mortise_module::{Context, Error, ScanCursor};

use crate::events::DATABASE;
use crate::schema::Schema;
use crate::{registry, source};

/// Puts all keys that an index follows into it.
pub fn scan(ctx: &mut Context<'_>, schema: &Arc<Schema>) -> Result<(), Error> {
    if ctx.db() != DATABASE {
        ctx.select_db(DATABASE)?;
    }
    let cursor = ScanCursor::new()?;
    let mut names: Vec<Vec<u8>> = Vec::new();
    loop {
        let more = ctx.scan_step(&cursor, |name, _| {
            if schema.follows(name.as_bytes()) {
                names.push(name.as_bytes().to_vec());
            }
        })?;
        for name in names.drain(..) {
            source::refresh_in(ctx, schema, &name);
        }
        if !more {
            return Ok(());
        }
    }
}

/// Empties all indexes and fills them from the keyspace.
pub fn rebuild_all(ctx: &mut Context<'_>) {
    let schemas = registry::with(|all| {
        let names = all.names();
        let schemas = names.iter().filter_map(|name| {
            let entry = all.take(name)?;
            all.create(entry.index.schema().as_ref().clone()).ok()
        });
        schemas.collect::<Vec<_>>()
    });
    for schema in schemas {
        if let Err(error) = scan(ctx, &schema) {
            let text = format!("an index could not be filled again: {error}");
            ctx.log(mortise_module::LogLevel::Warning, &text);
        }
    }
}
