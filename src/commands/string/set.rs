//! How is a string stored? SET with its options, and the older commands that are cases of it.

use super::{ExpiryOption, Unit, propagate_set_at, reply_old, store};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Deprecated, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::ExpireChange;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SET",
        summary: "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::ReadUpdate)
            .with(&["variable_flags"])
            .note("RW and ACCESS due to the optional `GET` argument")],
        args: &[
            Arg::key("key"),
            Arg::string("value"),
            Arg::one_of("condition", &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX")])
                .optional()
                .since("2.6.12"),
            Arg::flag("get", "GET").optional().since("6.2.0"),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").token("EX").since("2.6.12"),
                    Arg::integer("milliseconds").token("PX").since("2.6.12"),
                    Arg::unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
                    Arg::unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
                    Arg::flag("keepttl", "KEEPTTL").since("6.0.0"),
                ],
            )
            .optional(),
        ],
        run: Run::Write(set),
        key_access: Some(set_access),
        history: &[
            ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
            ("6.0.0", "Added the `KEEPTTL` option."),
            ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
            ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
        ],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETNX",
        summary: "Set the string value of a key only when the key doesn't exist.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Create)],
        args: &[Arg::key("key"), Arg::string("value")],
        run: Run::Write(setnx),
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with the `NX` argument",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETEX",
        summary: "Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
        since: "2.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Overwrite)],
        args: &[Arg::key("key"), Arg::integer("seconds"), Arg::string("value")],
        run: Run::Write(setex),
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with the `EX` argument",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PSETEX",
        summary: "Sets both string value and expiration time in milliseconds of a key. The key is created if it doesn't exist.",
        since: "2.6.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Overwrite)],
        args: &[Arg::key("key"), Arg::integer("milliseconds"), Arg::string("value")],
        run: Run::Write(psetex),
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with the `PX` argument",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETSET",
        summary: "Returns the previous string value of a key after setting it to a new value.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::string("value")],
        run: Run::Write(getset),
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`SET` with the `!GET` argument",
        }),
        ..CommandSpec::BASE
    },
];

/// When SET stores at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Condition {
    #[default]
    Always,
    /// `NX`.
    Absent,
    /// `XX`.
    Present,
}

/// The options of SET.
#[derive(Debug, Default, PartialEq, Eq)]
struct SetOptions<'a> {
    condition: Condition,
    get: bool,
    expiry: Option<ExpiryOption<'a>>,
}

fn parse_set(argv: Argv<'_>) -> Result<SetOptions<'_>, CommandError> {
    let mut options = SetOptions::default();
    let mut rest = Cursor::new(argv, 3);
    while let Some(word) = rest.next() {
        if args::is(word, "NX") && options.condition != Condition::Present {
            options.condition = Condition::Absent;
        } else if args::is(word, "XX") && options.condition != Condition::Absent {
            options.condition = Condition::Present;
        } else if args::is(word, "GET") {
            options.get = true;
        } else if args::is(word, "KEEPTTL") {
            ExpiryOption::Keep.join(&mut options.expiry)?;
        } else if let Some(expiry) = ExpiryOption::read(word, &mut rest) {
            expiry.join(&mut options.expiry)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

/// The key is read only if GET stands somewhere behind the value.
fn set_access(argv: Argv<'_>) -> Access {
    match argv.iter().skip(3).any(|arg| args::is(arg, "GET")) {
        true => Access::ReadUpdate,
        false => Access::Overwrite,
    }
}

fn set(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if argv.len() == 3 {
        let slot = ctx.find(argv[1]);
        store(ctx, argv[1], slot, argv[2], ExpireChange::Clear);
        reply.ok();
        return Ok(());
    }
    set_with_options(ctx, argv, reply)
}

fn set_with_options(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = parse_set(argv)?;
    let (key, value) = (argv[1], argv[2]);
    let expire = match options.expiry {
        Some(ExpiryOption::At(unit, amount)) => {
            ExpireChange::At(unit.deadline(args::int(amount)?, ctx.now_ms(), "set")?)
        }
        Some(ExpiryOption::Keep) => ExpireChange::Keep,
        Some(ExpiryOption::Persist) | None => ExpireChange::Clear,
    };
    let slot = if options.get { reply_old(ctx, key, reply)? } else { ctx.find(key) };
    let refused = match options.condition {
        Condition::Always => false,
        Condition::Absent => slot.is_some(),
        Condition::Present => slot.is_none(),
    };
    if !refused {
        store(ctx, key, slot, value, expire);
        if let ExpireChange::At(_) = expire {
            ctx.notify(EventClass::GENERIC, "expire", key);
        }
        propagate(ctx, argv, &options, expire);
    }
    match (options.get, refused) {
        (true, _) => {}
        (false, true) => reply.null(),
        (false, false) => reply.ok(),
    }
    Ok(())
}

/// Times are propagated as points in time, and GET, which is for the client alone, not at all.
fn propagate(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    options: &SetOptions<'_>,
    expire: ExpireChange,
) {
    match (options.expiry, expire) {
        // A point in time already: it goes out as it came.
        (Some(ExpiryOption::At(Unit::AtMillis, _)), _) => {}
        (_, ExpireChange::At(at)) => propagate_set_at(ctx, argv[1], argv[2], at),
        _ if options.get && ctx.log_active() => {
            let (fixed, rest) = argv.split_at(3);
            let kept = rest.iter().filter(|word| !args::is(word, "GET"));
            let argv: Vec<&[u8]> = fixed.iter().chain(kept).copied().collect();
            ctx.propagate_as(&argv);
        }
        _ => {}
    }
}

fn setnx(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let is_new = ctx.find(argv[1]).is_none();
    if is_new {
        store(ctx, argv[1], None, argv[2], ExpireChange::Clear);
    }
    reply.int(i64::from(is_new));
    Ok(())
}

fn setex(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_for(ctx, argv, Unit::Seconds, "setex", reply)
}

fn psetex(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_for(ctx, argv, Unit::Millis, "psetex", reply)
}

/// SETEX and PSETEX.
fn set_for(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    unit: Unit,
    command: &str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (key, value) = (argv[1], argv[3]);
    let at = unit.deadline(args::int(argv[2])?, ctx.now_ms(), command)?;
    let slot = ctx.find(key);
    store(ctx, key, slot, value, ExpireChange::At(at));
    ctx.notify(EventClass::GENERIC, "expire", key);
    propagate_set_at(ctx, key, value, at);
    reply.ok();
    Ok(())
}

fn getset(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let slot = reply_old(ctx, argv[1], reply)?;
    store(ctx, argv[1], slot, argv[2], ExpireChange::Clear);
    if ctx.log_active() {
        ctx.propagate_as(&[b"SET", argv[1], argv[2]]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<SetOptions<'_>, CommandError> {
        let argv: Vec<&[u8]> = ["SET", "k", "v"]
            .into_iter()
            .chain(words.split_whitespace())
            .map(str::as_bytes)
            .collect();
        parse_set(Vec::leak(argv))
    }

    #[test]
    fn options_come_in_any_order_and_case() {
        let options = parse("px 10 get nx").expect("valid");
        assert_eq!(options.condition, Condition::Absent);
        assert!(options.get);
        assert_eq!(options.expiry, Some(ExpiryOption::At(Unit::Millis, b"10")));
        assert_eq!(parse("KEEPTTL").map(|o| o.expiry), Ok(Some(ExpiryOption::Keep)));
    }

    #[test]
    fn the_last_of_one_word_counts() {
        let options = parse("EX 10 EX 20").expect("valid");
        assert_eq!(options.expiry, Some(ExpiryOption::At(Unit::Seconds, b"20")));
    }

    #[test]
    fn contradictions_are_syntax_errors() {
        for words in [
            "NX XX",
            "XX NX",
            "EX 1 PX 1",
            "EX 1 KEEPTTL",
            "KEEPTTL PXAT 1",
            "EX",
            "PERSIST",
            "FOO",
        ] {
            assert_eq!(parse(words), Err(CommandError::Syntax), "{words}");
        }
    }
}
