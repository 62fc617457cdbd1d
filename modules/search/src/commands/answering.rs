//! Who replies the results of FT.SEARCH?
//!
//! The server's thread, if they are few. Otherwise a thread of the module's own reads the keys, in short holds of the server's
//! lock, and writes the reply without it; what has gone in between is left out.

use mortise_module::{BlockedClient, CommandResult, Context, Reply};

use crate::commands::loading::Reach;
use crate::commands::options::{self, Options};
use crate::commands::search::{Sorting, complete};
use crate::index::search::{Found, Hit};
use crate::index::task::Task;
use crate::schema::Schema;
use crate::{pool, registry};

/// Fields that are read in about the time that it takes to find their key.
const FIELDS_A_LOAD: usize = 8;

/// About how many steps of [`pool::INLINE_STEPS_MAX`] it takes to read and to write what is shown of the results.
pub(super) fn reply_cost(found: &Found, options: &Options<'_>) -> u64 {
    let loads = options.fields.as_ref().map_or(1, |fields| fields.len().div_ceil(FIELDS_A_LOAD));
    let loads = if options.no_content { 0 } else { loads as u64 };
    let each = loads.saturating_mul(pool::STEPS_OF_LOAD) + pool::STEPS_OF_REPLY;
    each.saturating_mul(found.hits.len() as u64)
}

/// Takes out results that have gone since the index was looked at.
pub(super) fn drop_vanished(found: &mut Found, mut is_there: impl FnMut(&Hit) -> bool) {
    let before = found.hits.len();
    found.hits.retain(|hit| is_there(hit));
    found.total -= (before - found.hits.len()) as u64;
}

/// Takes out those that have left the index.
fn drop_those_left(schema: &Schema, found: &mut Found) {
    // Others get at the indexes between any two.
    drop_vanished(found, |hit| {
        registry::with(|all| {
            let Some(entry) = all.get(&schema.name) else { return true };
            entry.index.expire(registry::now_ms());
            entry.index.contains(&hit.key)
        })
    });
}

/// Has a client's wait ended with the results: if they are few, by the server's thread.
pub(super) fn answer_later(
    client: BlockedClient,
    task: Task,
    found: Found,
    sorting: Sorting,
    argv: Vec<Vec<u8>>,
    is_resp3: bool,
) {
    let is_long = {
        let args: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        let options = options::read(&args[2..]);
        options.is_ok_and(|options| reply_cost(&found, &options) > pool::INLINE_STEPS_MAX)
    };
    match is_long {
        true => pool::read_next(move || {
            answer_apart(client, task, found, sorting, argv, is_resp3);
        }),
        false => {
            client.unblock(move |ctx| answer_blocked(ctx, &task, found, &sorting, &argv));
        }
    }
}

/// Ends a client's wait with the results, on a thread of the module's own.
pub(super) fn answer_apart(
    client: BlockedClient,
    task: Task,
    mut found: Found,
    sorting: Sorting,
    argv: Vec<Vec<u8>>,
    is_resp3: bool,
) {
    let Some(mut reach) = Reach::apart(&client, is_resp3) else {
        return client.unblock(move |ctx| answer_blocked(ctx, &task, found, &sorting, &argv));
    };
    let args: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
    drop_those_left(task.snapshot.schema(), &mut found);
    let completed = options::read(&args[2..]).map_err(mortise_module::Error::from);
    let completed = completed
        .and_then(|options| Ok((complete(&mut reach, &task, found, &sorting, &options)?, options)));
    match completed {
        Err(error) => client.reply(Err(error)),
        Ok((answer, options)) => client.reply_with(|writer| {
            answer.write(writer, is_resp3, &options);
            Ok(Reply::Written)
        }),
    }
}

/// Replies the results to a client that has waited.
fn answer_blocked(
    ctx: &mut Context<'_>,
    task: &Task,
    mut found: Found,
    sorting: &Sorting,
    argv: &[Vec<u8>],
) -> CommandResult {
    let args: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
    let options = options::read(&args[2..])?;
    drop_those_left(task.snapshot.schema(), &mut found);
    answer(ctx, task, found, sorting, &options)
}

/// Replies the results.
pub(super) fn answer(
    ctx: &mut Context<'_>,
    task: &Task,
    found: Found,
    sorting: &Sorting,
    options: &Options<'_>,
) -> CommandResult {
    let answer = complete(&mut Reach::here(ctx), task, found, sorting, options)?;
    answer.write(ctx.reply(), ctx.is_resp3(), options);
    Ok(Reply::Written)
}
