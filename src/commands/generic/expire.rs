//! When does a key end? EXPIRE and its relatives set the time; a time in the past deletes the key at
//! once.

use crate::base::number::IntBuf;
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{Freeing, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::events::Departure;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Category, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "EXPIRE",
        summary: "Sets the expiration time of a key in seconds.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::integer("seconds"),
            Arg::one_of(
                "condition",
                &[
                    Arg::flag("nx", "NX"),
                    Arg::flag("xx", "XX"),
                    Arg::flag("gt", "GT"),
                    Arg::flag("lt", "LT"),
                ],
            )
            .optional()
            .since("7.0.0"),
        ],
        run: Run::Write(expire),
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PEXPIRE",
        summary: "Sets the expiration time of a key in milliseconds.",
        since: "2.6.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::integer("milliseconds"),
            Arg::one_of(
                "condition",
                &[
                    Arg::flag("nx", "NX"),
                    Arg::flag("xx", "XX"),
                    Arg::flag("gt", "GT"),
                    Arg::flag("lt", "LT"),
                ],
            )
            .optional()
            .since("7.0.0"),
        ],
        run: Run::Write(pexpire),
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXPIREAT",
        summary: "Sets the expiration time of a key to a Unix timestamp.",
        since: "1.2.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::unix_time("unix-time-seconds"),
            Arg::one_of(
                "condition",
                &[
                    Arg::flag("nx", "NX"),
                    Arg::flag("xx", "XX"),
                    Arg::flag("gt", "GT"),
                    Arg::flag("lt", "LT"),
                ],
            )
            .optional()
            .since("7.0.0"),
        ],
        run: Run::Write(expireat),
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PEXPIREAT",
        summary: "Sets the expiration time of a key to a Unix milliseconds timestamp.",
        since: "2.6.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::unix_time("unix-time-milliseconds"),
            Arg::one_of(
                "condition",
                &[
                    Arg::flag("nx", "NX"),
                    Arg::flag("xx", "XX"),
                    Arg::flag("gt", "GT"),
                    Arg::flag("lt", "LT"),
                ],
            )
            .optional()
            .since("7.0.0"),
        ],
        run: Run::Write(pexpireat),
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        ..CommandSpec::BASE
    },
];

/// What each of these commands means by its number.
#[derive(Clone, Copy)]
struct Clock {
    command: &'static str,
    unit_ms: i64,
    from_now: bool,
}

const EXPIRE: Clock = Clock { command: "expire", unit_ms: 1000, from_now: true };
const PEXPIRE: Clock = Clock { command: "pexpire", unit_ms: 1, from_now: true };
const EXPIREAT: Clock = Clock { command: "expireat", unit_ms: 1000, from_now: false };
const PEXPIREAT: Clock = Clock { command: "pexpireat", unit_ms: 1, from_now: false };

fn expire(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiry(ctx, argv, EXPIRE, reply)
}

fn pexpire(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiry(ctx, argv, PEXPIRE, reply)
}

fn expireat(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiry(ctx, argv, EXPIREAT, reply)
}

fn pexpireat(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_expiry(ctx, argv, PEXPIREAT, reply)
}

/// When the time is set at all; what is given together must all hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Conditions {
    /// `NX`: no time is set yet.
    without: bool,
    /// `XX`: a time is set.
    with: bool,
    /// `GT`: the new time is later; none is the latest.
    later: bool,
    /// `LT`: the new time is earlier.
    earlier: bool,
}

impl Conditions {
    fn parse(argv: Argv<'_>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for word in Cursor::new(argv, 3) {
            match word {
                _ if args::is(word, "NX") => conditions.without = true,
                _ if args::is(word, "XX") => conditions.with = true,
                _ if args::is(word, "GT") => conditions.later = true,
                _ if args::is(word, "LT") => conditions.earlier = true,
                _ => {
                    let word = args::lossy(word);
                    return Err(CommandError::owned(format!("ERR Unsupported option {word}")));
                }
            }
        }
        let Self { without, with, later, earlier } = conditions;
        if without && (with || later || earlier) {
            return Err(CommandError::text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if later && earlier {
            return Err(CommandError::text(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(conditions)
    }

    fn are_met(self, old: Option<i64>, new: i64) -> bool {
        !(self.without && old.is_some()
            || self.with && old.is_none()
            || self.later && old.is_none_or(|old| new <= old)
            || self.earlier && old.is_some_and(|old| new >= old))
    }
}

/// The expiry in unix milliseconds, which may lie before 1970.
fn deadline(arg: &[u8], clock: Clock, now_ms: i64) -> Result<i64, CommandError> {
    let base = if clock.from_now { now_ms } else { 0 };
    args::int(arg)?
        .checked_mul(clock.unit_ms)
        .and_then(|ms| ms.checked_add(base))
        .ok_or_else(|| CommandError::InvalidExpire(clock.command.to_owned()))
}

fn set_expiry(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    clock: Clock,
    reply: &mut Reply<'_>,
) -> Outcome {
    let conditions = Conditions::parse(argv)?;
    let at = deadline(argv[2], clock, ctx.now_ms())?;
    let key = argv[1];
    let slot = ctx.find(key).filter(|slot| conditions.are_met(ctx.db().expire_at(*slot), at));
    let Some(slot) = slot else {
        reply.int(0);
        return Ok(());
    };
    if at <= ctx.expiry_ms() {
        ctx.remove_because(slot, Freeing::Prompt, Departure::Expired);
        ctx.changed(key);
        ctx.notify(EventClass::GENERIC, "del", key);
        if ctx.log_active() {
            ctx.propagate_as(&[b"DEL", key]);
        }
    } else {
        ctx.db_mut().set_expire(slot, Some(at));
        ctx.changed(key);
        ctx.notify(EventClass::GENERIC, "expire", key);
        propagate(ctx, argv, clock, at);
    }
    reply.int(1);
    Ok(())
}

/// As a PEXPIREAT, which means the same at any time.
fn propagate(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, clock: Clock, at: i64) {
    let is_same = !clock.from_now && clock.unit_ms == 1;
    if is_same || !ctx.log_active() {
        return;
    }
    let mut digits = IntBuf::new();
    let mut rewritten: Vec<&[u8]> = vec![b"PEXPIREAT", argv[1], digits.i64(at)];
    rewritten.extend(&argv[3..]);
    ctx.propagate_as(&rewritten);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&'static str]) -> Result<Conditions, CommandError> {
        let argv: Vec<&[u8]> =
            ["EXPIRE", "k", "1"].iter().chain(words).map(|word| word.as_bytes()).collect();
        Conditions::parse(&argv)
    }

    #[test]
    fn some_conditions_exclude_each_other() {
        for words in [&["nx", "xx"][..], &["NX", "GT"], &["LT", "NX"]] {
            let text = parse(words).expect_err("contradiction").to_string();
            assert!(text.starts_with("ERR NX and XX"), "{text}");
        }
        assert!(
            parse(&["GT", "LT"])
                .expect_err("contradiction")
                .to_string()
                .starts_with("ERR GT and LT")
        );
        assert_eq!(parse(&["AB"]), Err(CommandError::owned("ERR Unsupported option AB".into())));
        assert!(parse(&["XX", "GT", "xx"]).is_ok());
    }

    #[test]
    fn a_key_without_expiry_lives_longest() {
        let later = parse(&["GT"]).expect("valid");
        assert!(later.are_met(Some(4), 5) && !later.are_met(Some(5), 5) && !later.are_met(None, 5));
        let earlier = parse(&["LT"]).expect("valid");
        assert!(earlier.are_met(None, 5) && !earlier.are_met(Some(5), 5));
        let both = parse(&["XX", "LT"]).expect("valid");
        assert!(!both.are_met(None, 5) && both.are_met(Some(6), 5));
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        let invalid = |command: &str| Err(CommandError::InvalidExpire(command.into()));
        assert_eq!(deadline(b"-5", EXPIRE, 7000), Ok(2000));
        assert_eq!(deadline(b"9223372036854776", EXPIRE, 0), invalid("expire"));
        assert_eq!(deadline(b"-9223372036854776", EXPIREAT, 0), invalid("expireat"));
        assert_eq!(deadline(b"9223372036854775807", PEXPIRE, 1), invalid("pexpire"));
        assert_eq!(deadline(b"9223372036854775807", PEXPIREAT, 1), Ok(i64::MAX));
    }
}
