//! Clients that wait. `BELL.WAIT seconds` waits for the next `BELL.RING message` and answers the message,
//! or null when the time is over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mortise_module::{
    BlockedClient, Command, CommandResult, Context, Error, Flag, Module, Reply, TypedCommand,
};

/// Who waits. Entries of clients whose time is over or who are gone stay until the next ring, so there
/// is a limit.
static WAITING: Mutex<Vec<BlockedClient>> = Mutex::new(Vec::new());
const WAITING_MAX: usize = 10_000;

struct Wait;

impl TypedCommand for Wait {
    type Args<'a> = (f64,);

    fn run(ctx: &mut Context<'_>, (seconds,): Self::Args<'_>) -> CommandResult {
        let timeout = Duration::try_from_secs_f64(seconds)
            .map_err(|_| Error::new("timeout is not a positive number of seconds"))?;
        // In MULTI, in scripts and in calls of other modules nobody can wait.
        if !ctx.may_block() {
            return Ok(Reply::Null);
        }
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            return Err(Error::new("too many clients wait for the bell"));
        }
        waiting.push(ctx.block_client_for(timeout, |_| Ok(Reply::Null))?);
        // The answer comes later.
        Ok(Reply::Written)
    }
}

struct Ring;

impl TypedCommand for Ring {
    type Args<'a> = (&'a str,);

    fn run(_: &mut Context<'_>, (message,): Self::Args<'_>) -> CommandResult {
        let waiting = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
        let count = waiting.len();
        for client in waiting {
            let message = message.to_owned();
            // Runs under the server's lock, unless the client's time is over or it is gone.
            client.unblock(move |_| Ok(message.into()));
        }
        Ok(count.into())
    }
}

mortise_module::module!(Module {
    commands: &[
        Command {
            name: "BELL.WAIT",
            summary: "Waits for the bell.",
            flags: &[Flag::Blocking],
            ..Command::typed::<Wait>()
        },
        Command {
            name: "BELL.RING",
            summary: "Rings the bell; tells how many waited, or had waited.",
            ..Command::typed::<Ring>()
        },
    ],
    ..Module::new("bell", 100)
});
