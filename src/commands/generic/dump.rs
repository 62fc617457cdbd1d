//! DUMP and RESTORE: values as bytes that another server understands.

use crate::config::params::Param;
use crate::engine::access::{Lfu, clock_seconds};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{ExclusiveCtx, ReadCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Category, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::module::KeyName;
use crate::object::rdb::RdbError;
use crate::persist::rdb::value::{self, Origin, PayloadError};
use crate::resp::reply::Reply;

const GENERIC: CommandSpec =
    CommandSpec { group: Group::Generic, since: "2.6.0", ..CommandSpec::BASE };

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DUMP",
        summary: "Returns a serialized representation of the value stored at a key.",
        complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        tips: &["nondeterministic_output"],
        // Values of modules are saved by code that believes to hold the lock alone.
        run: Run::Exclusive(dump),
        ..GENERIC
    },
    RESTORE,
    CommandSpec {
        name: "RESTORE-ASKING",
        summary: "An internal command for migrating keys in a cluster.",
        since: "3.0.0",
        group: Group::Server,
        flags: &[Flag::Write, Flag::DenyOom, Flag::Asking, Flag::System],
        ..RESTORE
    },
];

const RESTORE: CommandSpec = CommandSpec {
    name: "RESTORE",
    summary: "Creates a key from the serialized representation of a value.",
    complexity: "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
    arity: Arity::AtLeast(4),
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &[Category::Keyspace, Category::Dangerous],
    keys: &[KeySpec::at(1, Access::Overwrite)],
    args: &[
        Arg::key("key"),
        Arg::integer("ttl"),
        Arg::string("serialized-value"),
        Arg::flag("replace", "REPLACE").optional().since("3.0.0"),
        Arg::flag("absttl", "ABSTTL").optional().since("5.0.0"),
        Arg::integer("seconds").token("IDLETIME").optional().since("5.0.0"),
        Arg::integer("frequency").token("FREQ").optional().since("5.0.0"),
    ],
    history: &[
        ("3.0.0", "Added the `REPLACE` modifier."),
        ("5.0.0", "Added the `ABSTTL` modifier."),
        ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
    ],
    run: Run::Exclusive(restore),
    ..GENERIC
};

fn dump(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let style = value::style(&ctx.state.config);
    let key = KeyName { name: Some(argv[1]), db: ctx.session.db as i32 };
    let Some(found) = ctx.read().value(argv[1]) else {
        reply.null();
        return Ok(());
    };
    let payload = value::dump(&found, key, style)
        .map_err(|error| CommandError::owned(format!("ERR {error}")))?;
    reply.bulk(&payload);
    Ok(())
}

/// What RESTORE is asked for besides key, time to live and payload.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle: Option<i64>,
    frequency: Option<i64>,
}

impl Options {
    fn parse(argv: Argv<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut rest = Cursor::new(argv, 4);
        while let Some(option) = rest.next() {
            if args::is(option, "REPLACE") {
                options.replace = true;
            } else if args::is(option, "ABSTTL") {
                options.absolute = true;
            } else if args::is(option, "IDLETIME") && options.frequency.is_none() {
                let seconds = args::int(rest.next().ok_or(CommandError::Syntax)?)?;
                if seconds < 0 {
                    return Err(CommandError::text("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle = Some(seconds);
            } else if args::is(option, "FREQ") && options.idle.is_none() {
                let frequency = args::int(rest.next().ok_or(CommandError::Syntax)?)?;
                if !(0..=255).contains(&frequency) {
                    return Err(CommandError::text(
                        "ERR Invalid FREQ value, must be >= 0 and <= 255",
                    ));
                }
                options.frequency = Some(frequency);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// The access clock of the key, if it is not that of a new one.
    fn clock(&self, ctx: &ReadCtx<'_>) -> Option<u32> {
        let now_us = ctx.env.now_us;
        match (Lfu::of(&ctx.state.config), self.frequency, self.idle) {
            (Some(_), Some(frequency), _) => Some(Lfu::with_count(Some(frequency as u8), now_us)),
            (None, _, Some(seconds)) => {
                Some(clock_seconds(now_us.saturating_sub(seconds.saturating_mul(1_000_000))))
            }
            _ => None,
        }
    }
}

fn restore(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::parse(argv)?;
    let key = argv[1];
    if ctx.write().find(key).is_some() && !options.replace {
        return Err(CommandError::BusyKey);
    }
    let ttl = args::int(argv[2])?;
    if ttl < 0 {
        return Err(CommandError::text("ERR Invalid TTL value, must be >= 0"));
    }
    let expire_at = match (ttl, options.absolute) {
        (0, _) => None,
        (ttl, true) => Some(ttl),
        (ttl, false) => Some(ttl.saturating_add(ctx.now_ms())),
    };
    let name = KeyName { name: Some(key), db: ctx.session.db as i32 };
    // What a file or a primary has was let in before, and some users are believed.
    let is_checked = ctx.session.user.as_ref().is_some_and(|user| user.rules().sanitizes);
    let origin = match ctx.unit.replays || !is_checked {
        true => Origin::Trusted,
        false => Origin::Client,
    };
    let value = value::restore(argv[3], name, origin, ctx.state).map_err(refusal)?;
    let clock = options.clock(&ctx.read());

    let lazy = ctx.state.config.flag(Param::LazyfreeLazyServerDel);
    let mut write = ctx.write();
    let old = write.find(key);
    if let Some(slot) = old {
        write.remove(slot);
    }
    reply.ok();
    if expire_at.is_some_and(|at| at <= write.expiry_ms()) {
        if old.is_some() {
            let delete: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
            write.propagate_as(&[delete, key]);
            write.changed(key);
            write.notify(EventClass::GENERIC, "del", key);
        }
        return Ok(());
    }
    let slot = write.insert(key, value, expire_at);
    if let Some(clock) = clock {
        write.db().touch(slot, clock);
    }
    write.created(key);
    write.changed(key);
    write.notify(EventClass::GENERIC, "restore", key);
    if let (Some(at), false) = (expire_at, options.absolute)
        && write.log_active()
    {
        let at = at.to_string();
        let mut argv = argv.to_vec();
        argv[2] = at.as_bytes();
        argv.push(b"ABSTTL");
        write.propagate_as(&argv);
    }
    Ok(())
}

/// The error of a payload that is not accepted. What exactly is wrong stands in the log.
fn refusal(error: PayloadError) -> CommandError {
    match error {
        PayloadError::Footer => {
            CommandError::text("ERR DUMP payload version or checksum are wrong")
        }
        PayloadError::Value(error) => {
            match error {
                RdbError::Empty => {}
                // Redis would have gone down.
                RdbError::Unreadable(_) => tracing::error!("{error}"),
                error => tracing::debug!(
                    "Internal error in RDB reading offset 0, function at value.rs -> {error}"
                ),
            }
            CommandError::text("ERR Bad data format")
        }
    }
}
