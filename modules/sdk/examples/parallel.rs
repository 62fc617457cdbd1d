//! Commands that run side by side. Mortise runs what is declared `parallel` on all its threads at once, beside
//! other readers; other servers run it as any command, one at a time.
//!
//! - `PARALLEL.SUM key` adds up the numbers in a hash.
//! - `PARALLEL.MEET count ms` waits inside the command, which no other should do, until so many clients are in
//!   it, and answers how many it has met: 1 where commands run one at a time.
//! - `PARALLEL.ALONE count ms` is the same without the declaration.
//! - `PARALLEL.TRY what key` shows what such a command may not do.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use mortise_module::{
    Access, Arg, CallFlags, Command, CommandResult, Context, Error, Flag, KeySpec, Module,
    NotifyClass, Reply, TypedCommand,
};

struct Sum;

impl TypedCommand for Sum {
    type Args<'a> = (Arg<'a>,);

    fn run(ctx: &mut Context<'_>, (key,): Self::Args<'_>) -> CommandResult {
        let mut sum = 0.0;
        ctx.open_read(&key).hash_each(|_, value| {
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
            sum += number.unwrap_or(0.0);
        })?;
        Ok(sum.into())
    }
}

/// How many clients are inside, and the largest number since it was empty. State that commands share must be
/// `Sync`; the compiler refuses a module whose parallel commands share anything else.
static INSIDE: Mutex<(usize, usize)> = Mutex::new((0, 0));
static CHANGED: Condvar = Condvar::new();

struct Meet;

impl TypedCommand for Meet {
    type Args<'a> = (usize, u32);

    fn run(_: &mut Context<'_>, (count, ms): Self::Args<'_>) -> CommandResult {
        let patience = Duration::from_millis(ms.min(10_000).into());
        let mut inside = INSIDE.lock().unwrap_or_else(PoisonError::into_inner);
        inside.0 += 1;
        inside.1 = inside.1.max(inside.0);
        CHANGED.notify_all();
        let waited = CHANGED.wait_timeout_while(inside, patience, |inside| inside.1 < count);
        let (mut inside, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let met = inside.1;
        inside.0 -= 1;
        if inside.0 == 0 {
            inside.1 = 0;
        }
        Ok(met.into())
    }
}

struct Try;

impl TypedCommand for Try {
    type Args<'a> = (&'a str, Arg<'a>);

    fn run(ctx: &mut Context<'_>, (what, key): Self::Args<'_>) -> CommandResult {
        match what {
            "open" => ctx.open_write(&key)?.delete().map(Reply::from),
            "set" => Ok(ctx.call("SET", &[&key, &"1"], CallFlags::NONE)?.value().into()),
            "get" => Ok(ctx.call("GET", &[&key], CallFlags::NONE)?.value().into()),
            "keys" => Ok(ctx.call("KEYS", &[&key], CallFlags::NONE)?.value().into()),
            "config" => Ok(ctx.call("CONFIG", &[&"GET", &key], CallFlags::NONE)?.value().into()),
            "notify" => ctx.notify(NotifyClass::MODULE, "try", &key).map(|()| Reply::Ok),
            "replicate" => ctx.replicate_verbatim().map(|()| Reply::Ok),
            "wait" => ctx.block_client().map(|_| Reply::Written),
            _ => Err(Error::new("open, set, get, keys, config, notify, replicate or wait?")),
        }
    }
}

const READ: &[Flag] = &[Flag::ReadOnly];
const KEY: &[KeySpec] = &[KeySpec::at(1, Access::Read)];

mortise_module::module!(Module {
    commands: &[
        Command {
            name: "PARALLEL.SUM",
            summary: "Adds up the numbers in a hash.",
            flags: READ,
            keys: KEY,
            parallel: true,
            ..Command::typed::<Sum>()
        },
        Command {
            name: "PARALLEL.MEET",
            summary: "Tells how many clients were in this command at once.",
            flags: READ,
            parallel: true,
            ..Command::typed::<Meet>()
        },
        Command {
            name: "PARALLEL.ALONE",
            summary: "The same for a command that is not declared parallel.",
            flags: READ,
            ..Command::typed::<Meet>()
        },
        Command {
            name: "PARALLEL.TRY",
            summary: "Tries what a parallel command may not do.",
            flags: READ,
            keys: &[KeySpec::at(2, Access::Read)],
            parallel: true,
            ..Command::typed::<Try>()
        },
    ],
    ..Module::new("parallel", 100)
});
