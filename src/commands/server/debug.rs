//! DEBUG: what tests and administrators need to look inside.

use std::sync::atomic::Ordering;

use super::digest;
use crate::allocator::fragmentation;
use crate::base::number::parse_memory;
use crate::config::params::Param;
use crate::engine::args;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::error::CommandError;
use crate::engine::persistence::Reload;
use crate::engine::spec::{Argv, Arity, CommandSpec, Flag, Group, Outcome, Run};
use crate::keyspace::db::ExpireChange;
use crate::resp::reply::{Protocol, Reply};

mod inspect;

/// The longest DEBUG SLEEP, in seconds.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

/// The command.
pub const DEBUG: CommandSpec = CommandSpec {
    name: "DEBUG",
    summary: "A container for debugging commands.",
    complexity: "Depends on subcommand.",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: &[
        Flag::Admin,
        Flag::NoScript,
        Flag::Loading,
        Flag::Stale,
        Flag::Protected,
        Flag::System,
    ],
    run: Run::Exclusive(debug),
    ..CommandSpec::BASE
};

fn debug(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let allowed = match ctx.state.config.choice(Param::EnableDebugCommand) {
        0 => false,
        1 => true,
        _ => ctx.env.client.is_none_or(|c| c.is_local()),
    };
    if !allowed {
        return Err(CommandError::text(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", \
             you can run it from a local connection, otherwise you need to set this option in the \
             configuration file, and then restart the server.",
        ));
    }
    let word = argv[1].to_ascii_uppercase();
    match (word.as_slice(), &argv[2..]) {
        (b"SLEEP", [seconds]) => {
            let seconds = args::float(seconds)?.clamp(0.0, SLEEP_SECONDS_MAX);
            std::thread::sleep(std::time::Duration::from_secs_f64(seconds));
            reply.ok();
        }
        (b"SET-ACTIVE-EXPIRE", [on]) => {
            ctx.state.active_expire = number(on) != 0;
            reply.ok();
        }
        (b"CHANGE-REPL-ID", []) => {
            tracing::info!("Changing replication IDs after receiving DEBUG change-repl-id");
            ctx.state.replication.begin_history();
            reply.ok();
        }
        (b"REPLICATE", [_, ..]) => {
            ctx.state.replication.feed_plain(&argv[2..]);
            reply.ok();
        }
        (b"OBJECT", [key]) => inspect::object(ctx, key, reply)?,
        (b"POPULATE", [count, rest @ ..]) => populate(ctx, count, rest, reply)?,
        (b"QUICKLIST-PACKED-THRESHOLD", [bytes]) => {
            packed_threshold(ctx, bytes)?;
            reply.ok();
        }
        (b"LISTPACK", [key]) => inspect::listpack(ctx, key, reply)?,
        (b"QUICKLIST", [key] | [key, _]) => inspect::quicklist(ctx, key, reply)?,
        (b"LOG", [text]) => {
            tracing::warn!("DEBUG LOG: {}", args::lossy(text));
            reply.ok();
        }
        (b"ERROR", [text]) => {
            // A line end would end the error too early.
            let line = text.iter().map(|byte| match byte {
                b'\r' | b'\n' => b' ',
                byte => *byte,
            });
            return Err(CommandError::Raw(line.collect()));
        }
        (b"PAUSE-CRON", [on]) => {
            ctx.env.shared.debug.cron_paused.store(number(on) != 0, Ordering::Relaxed);
            reply.ok();
        }
        (b"SET-DISABLE-DENY-SCRIPTS", [on]) => {
            ctx.env.shared.debug.scripts_call_all.store(number(on) != 0, Ordering::Relaxed);
            reply.ok();
        }
        // Reply buffers here are given back once they are empty, and have no peak to forget.
        (b"REPLYBUFFER", [_, _]) => reply.ok(),
        (b"PROTOCOL", [kind]) => protocol(kind, reply)?,
        (b"DIGEST", []) => reply.simple(&digest::of_all(&ctx.state.keyspace)),
        (b"DIGEST-VALUE", keys) => {
            reply.array(keys.len());
            for key in keys {
                let (db, mut read) = (ctx.session.db, ctx.read());
                let slot = read.peek(key);
                let value = slot.map(|slot| read.db().value(slot));
                reply.simple(&digest::of_value(value, key, db));
            }
        }
        (b"RELOAD", options) => {
            let how = reload_options(options)?;
            if ctx.env.shared.loading.is_on() {
                // Two loads at once would find each other's keys.
                return Err(CommandError::Loading);
            }
            let host = &ctx.env.shared.host;
            host.reload(ctx, how).map_err(CommandError::text)?;
            reply.ok();
        }
        (b"LOADAOF", []) => {
            if ctx.env.shared.loading.is_on() {
                return Err(CommandError::Loading);
            }
            let host = &ctx.env.shared.host;
            host.reload_aof(ctx).map_err(|_| {
                CommandError::text("ERR Error trying to load the AOF files, check server logs.")
            })?;
            reply.ok();
        }
        (b"AOF-FLUSH-SLEEP", [micros]) => {
            ctx.env.shared.host.delay_aof(u64::try_from(number(micros)).unwrap_or(0));
            reply.ok();
        }
        (b"SET-SKIP-CHECKSUM-VALIDATION", [on]) => {
            ctx.state.persistence.skip_checksum = number(on) != 0;
            reply.ok();
        }
        (b"CONFIG-REWRITE-FORCE-ALL", []) => {
            ctx.env.shared.host.rewrite_everything();
            reply.ok();
        }
        (b"STRINGMATCH-LEN", [pattern, text]) => {
            use crate::base::glob::{Case, glob_match};
            reply.int(i64::from(glob_match(pattern, text, Case::Sensitive)));
        }
        (b"HTSTATS", [db, ..]) => inspect::table(ctx, db, reply)?,
        (b"HTSTATS-KEY", [key, ..]) => inspect::value_table(ctx, key, reply)?,
        (b"MALLCTL", [name]) => match fragmentation::read(&String::from_utf8_lossy(name)) {
            Some(value) => reply.int(value),
            None => return Err(CommandError::text("ERR No such file or directory")),
        },
        // The one thing of this kind that concerns a worker.
        (b"MALLCTL-STR", [b"thread.tcache.flush", b"VOID"]) => {
            match fragmentation::flush_thread() {
                true => reply.ok(),
                false => return Err(CommandError::text("ERR Bad address")),
            }
        }
        (b"HELP", []) => super::super::reply_help(
            reply,
            "DEBUG",
            &[
                ("CONFIG-REWRITE-FORCE-ALL", "Make CONFIG REWRITE write defaults too."),
                ("DIGEST", "Return a hash of the whole data set."),
                ("DIGEST-VALUE <key> [<key> ...]", "Return a hash of what each key holds."),
                ("ERROR <string>", "Reply with an error."),
                ("HTSTATS <dbid>", "Show how large the key table of a db is."),
                ("HTSTATS-KEY <key>", "Show how large the table of a value is."),
                ("LISTPACK <key>", "Write the listpack of a key to the server's log."),
                ("LOG <message>", "Write to the server's log."),
                ("MALLCTL <key>", "Return a number that the allocator has under this name."),
                (
                    "MALLCTL-STR thread.tcache.flush VOID",
                    "Let the worker give the free blocks that it keeps back.",
                ),
                ("OBJECT <key>", "Show how a key is stored."),
                ("PAUSE-CRON <0|1>", "Stop what is done periodically."),
                ("POPULATE <count> [<prefix>] [<size>]", "Create string keys."),
                ("PROTOCOL <type>", "Reply with a value of this type."),
                ("QUICKLIST <key>", "Write the nodes of a list to the server's log."),
                (
                    "QUICKLIST-PACKED-THRESHOLD <size>",
                    "Let elements of lists of this size go without a listpack; 0 for the default.",
                ),
                (
                    "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
                    "Save the data set and load it again; without forgetting it, without saving it, \
                     replacing keys.",
                ),
                ("LOADAOF", "Load the append-only files in place of the data set."),
                (
                    "AOF-FLUSH-SLEEP <microseconds>",
                    "Wait before each write to the append-only file.",
                ),
                ("CHANGE-REPL-ID", "Begin a new history, so that replicas synchronize anew."),
                ("REPLICATE <command> [<arg> ...]", "Send replicas a command."),
                ("SET-DISABLE-DENY-SCRIPTS <0|1>", "Let scripts call all commands."),
                ("SET-SKIP-CHECKSUM-VALIDATION <0|1>", "Accept wrong checksums in RDB."),
                ("SET-ACTIVE-EXPIRE <0|1>", "Switch active expiry off or on."),
                ("SLEEP <seconds>", "Keep the server busy."),
            ],
        ),
        _ => {
            return Err(CommandError::SubcommandSyntax(args::lossy(argv[1]), "DEBUG"));
        }
    }
    Ok(())
}

/// A switch as C's `atoi` reads it: 0 is what is no number.
fn number(arg: &[u8]) -> i64 {
    crate::base::number::parse_i64(arg).unwrap_or(0)
}

fn reload_options(options: Argv<'_>) -> Result<Reload, CommandError> {
    let mut how = Reload { save: true, flush: true, merge: false };
    for option in options {
        if args::is(option, "MERGE") {
            how.merge = true;
        } else if args::is(option, "NOFLUSH") {
            how.flush = false;
        } else if args::is(option, "NOSAVE") {
            how.save = false;
        } else {
            return Err(CommandError::text(
                "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
            ));
        }
    }
    Ok(how)
}

/// Sets from which size on the elements of lists have nodes of their own.
fn packed_threshold(ctx: &ExclusiveCtx<'_>, bytes: &[u8]) -> Outcome {
    // Redis keeps the sizes of nodes in 32 bits.
    const BYTES_MAX: u64 = (1 << 32) - (1 << 20);
    let bytes = parse_memory(bytes).filter(|bytes| *bytes <= BYTES_MAX);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or(CommandError::text(
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
    ))?;
    ctx.env.shared.limits.list_plain_bytes.store(bytes, Ordering::Relaxed);
    Ok(())
}

/// Creates keys `prefix:0` ... with values `value:0` ..., filled up to a size.
fn populate(
    ctx: &mut ExclusiveCtx<'_>,
    count: &[u8],
    rest: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let count = args::int_in(count, 0, i64::MAX)?;
    let prefix = rest.first().copied().unwrap_or(b"key");
    let size = rest.get(1).map(|size| args::int_in(size, 0, 1 << 29)).transpose()?;
    let mut write = ctx.write();
    for i in 0..count {
        let number = i.to_string();
        let key = [prefix, b":", number.as_bytes()].concat();
        if write.peek(&key).is_some() {
            continue;
        }
        let mut value = format!("value:{i}").into_bytes();
        if let Some(size) = size {
            value.resize(size as usize, 0);
        }
        write.set_string(&key, None, &value, ExpireChange::Clear);
        write.touch_watchers(&key);
    }
    reply.ok();
    Ok(())
}

/// Replies with one value of a kind, for tests of clients.
fn protocol(kind: &[u8], reply: &mut Reply<'_>) -> Outcome {
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => {
            // The number that Redis answers, which is not meant as pi.
            #[expect(clippy::approx_constant, reason = "clients' tests expect these digits")]
            reply.double(3.141);
        }
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|i| reply.int(i));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|i| reply.int(i));
        }
        b"map" => {
            reply.map(3);
            for i in 0..3 {
                reply.int(i);
                reply.bool(i == 1);
            }
        }
        b"attrib" => {
            if reply.protocol() == Protocol::Resp3 {
                reply.raw(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
        }
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        other => {
            return Err(CommandError::owned(format!(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|null|array|set|map|attrib|push|verbatim|true|false, not {}",
                args::lossy(other)
            )));
        }
    }
    Ok(())
}
