//! How is a string read? GET, and the forms that also end or change the key's life.

use super::{ExpiryOption, Unit, reply_old, reply_string};
use crate::base::number::IntBuf;
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{Freeing, ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::events::Departure;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "GET",
        summary: "Returns the string value of a key.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETDEL",
        summary: "Returns the string value of a key after deleting the key.",
        since: "6.2.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadDelete)],
        args: &[Arg::key("key")],
        run: Run::Write(getdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETEX",
        summary: "Returns the string value of a key after setting its expiration time.",
        since: "6.2.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate).note("RW and UPDATE because it changes the TTL")],
        args: &[
            Arg::key("key"),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").token("EX"),
                    Arg::integer("milliseconds").token("PX"),
                    Arg::unix_time("unix-time-seconds").token("EXAT"),
                    Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                    Arg::flag("persist", "PERSIST"),
                ],
            )
            .optional(),
        ],
        run: Run::Write(getex),
        ..CommandSpec::BASE
    },
];

fn get(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    match ctx.string(argv[1])? {
        Some(value) => reply_string(value, reply),
        None => reply.null(),
    }
    Ok(())
}

fn getdel(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if let Some(slot) = reply_old(ctx, argv[1], reply)? {
        delete(ctx, argv[1], slot, Departure::Deleted);
    }
    Ok(())
}

/// Removes the key and propagates that as a DEL.
fn delete(ctx: &mut WriteCtx<'_>, key: &[u8], slot: Slot, why: Departure) {
    ctx.remove_because(slot, Freeing::Prompt, why);
    ctx.changed(key);
    ctx.notify(EventClass::GENERIC, "del", key);
    if ctx.log_active() {
        ctx.propagate_as(&[b"DEL", key]);
    }
}

fn parse_getex(argv: Argv<'_>) -> Result<Option<ExpiryOption<'_>>, CommandError> {
    let mut expiry = None;
    let mut rest = Cursor::new(argv, 2);
    while let Some(word) = rest.next() {
        if args::is(word, "PERSIST") {
            ExpiryOption::Persist.join(&mut expiry)?;
        } else if let Some(option) = ExpiryOption::read(word, &mut rest) {
            option.join(&mut expiry)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(expiry)
}

fn getex(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let option = parse_getex(argv)?;
    let key = argv[1];
    let Some(slot) = reply_old(ctx, key, reply)? else { return Ok(()) };
    match option {
        None | Some(ExpiryOption::Keep) => {}
        // Only of a key that exists is the time judged.
        Some(ExpiryOption::At(unit, amount)) => {
            let at = unit.deadline(args::int(amount)?, ctx.now_ms(), "getex")?;
            let is_absolute = matches!(unit, Unit::AtSeconds | Unit::AtMillis);
            if is_absolute && at <= ctx.now_ms() {
                delete(ctx, key, slot, Departure::Expired);
            } else {
                expire_at(ctx, key, slot, at);
            }
        }
        Some(ExpiryOption::Persist) => {
            if ctx.db().expire_at(slot).is_some() {
                ctx.db_mut().set_expire(slot, None);
                ctx.changed(key);
                ctx.notify(EventClass::GENERIC, "persist", key);
                if ctx.log_active() {
                    ctx.propagate_as(&[b"PERSIST", key]);
                }
            }
        }
    }
    Ok(())
}

fn expire_at(ctx: &mut WriteCtx<'_>, key: &[u8], slot: Slot, at: i64) {
    ctx.db_mut().set_expire(slot, Some(at));
    ctx.changed(key);
    ctx.notify(EventClass::GENERIC, "expire", key);
    if ctx.log_active() {
        ctx.propagate_as(&[b"PEXPIREAT", key, IntBuf::new().i64(at)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn getex_takes_one_kind_of_expiry() {
        let parse = |words: &[&'static str]| {
            let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            parse_getex(Vec::leak(argv))
        };
        assert_eq!(parse(&["GETEX", "k"]), Ok(None));
        assert_eq!(parse(&["GETEX", "k", "persist"]), Ok(Some(ExpiryOption::Persist)));
        let at = Some(ExpiryOption::At(Unit::AtSeconds, b"9"));
        assert_eq!(parse(&["GETEX", "k", "exat", "9"]), Ok(at));
        for bad in [&["GETEX", "k", "EX"][..], &["GETEX", "k", "PERSIST", "EX", "1"]] {
            assert_eq!(parse(bad), Err(CommandError::Syntax));
        }
        assert_eq!(parse(&["GETEX", "k", "KEEPTTL"]), Err(CommandError::Syntax));
    }
}
