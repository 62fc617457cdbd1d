//! When does a field of a hash end? HEXPIRE and its relatives set the time; a time in the past deletes
//! the field at once.

use super::{
    also_propagate_expiry, also_propagate_hdel, announce_deletion, find, hash_mut, hash_time,
    parse_fields,
};
use crate::engine::args;
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::hash::Hash;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HEXPIRE",
        summary: "Set expiry for hash field using relative time to expire (seconds)",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(6),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
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
            .optional(),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Write(hexpire),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPEXPIRE",
        summary: "Set expiry for hash field using relative time to expire (milliseconds)",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(6),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
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
            .optional(),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Write(hpexpire),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HEXPIREAT",
        summary: "Set expiry for hash field using an absolute Unix timestamp (seconds)",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(6),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
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
            .optional(),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Write(hexpireat),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPEXPIREAT",
        summary: "Set expiry for hash field using an absolute Unix timestamp (milliseconds)",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(6),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
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
            .optional(),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Write(hpexpireat),
        ..CommandSpec::BASE
    },
];

/// The latest time, in unix milliseconds: two bits less than Redis keeps, some 2,200 years.
const DEADLINE_MAX: i64 = (1 << 46) - 1;

/// What each of these commands means by its number.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) command: &'static str,
    pub(super) unit_ms: i64,
    pub(super) from_now: bool,
}

fn hexpire(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(ctx, argv, Clock { command: "hexpire", unit_ms: 1000, from_now: true }, reply)
}

fn hpexpire(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(ctx, argv, Clock { command: "hpexpire", unit_ms: 1, from_now: true }, reply)
}

fn hexpireat(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(ctx, argv, Clock { command: "hexpireat", unit_ms: 1000, from_now: false }, reply)
}

fn hpexpireat(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(ctx, argv, Clock { command: "hpexpireat", unit_ms: 1, from_now: false }, reply)
}

/// The expiry in unix milliseconds.
pub(super) fn deadline(arg: &[u8], clock: Clock, now_ms: i64) -> Result<i64, CommandError> {
    let amount = args::int(arg)?;
    if amount < 0 {
        return Err(CommandError::text("ERR invalid expire time, must be >= 0"));
    }
    let base = if clock.from_now { now_ms } else { 0 };
    let at = amount.checked_mul(clock.unit_ms).and_then(|ms| ms.checked_add(base));
    at.filter(|at| *at <= DEADLINE_MAX)
        .ok_or_else(|| CommandError::InvalidExpire(clock.command.to_owned()))
}

/// When the time is set at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    /// `NX`: no time is set yet.
    Without,
    /// `XX`: a time is set.
    With,
    /// `GT`: the new time is later; none is the latest.
    Later,
    /// `LT`: the new time is earlier.
    Earlier,
}

impl Condition {
    fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            _ if args::is(word, "NX") => Condition::Without,
            _ if args::is(word, "XX") => Condition::With,
            _ if args::is(word, "GT") => Condition::Later,
            _ if args::is(word, "LT") => Condition::Earlier,
            _ => return None,
        })
    }

    fn is_met(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Without => old.is_none(),
            Condition::With => old.is_some(),
            Condition::Later => old.is_some_and(|old| new > old),
            Condition::Earlier => old.is_none_or(|old| new < old),
        }
    }
}

/// What became of a field, with the number that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Missing = -2,
    Unmet = 0,
    Set = 1,
    Deleted = 2,
}

fn expire(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, clock: Clock, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    // The type is judged before the arguments, as in Redis.
    let slot = find(ctx, key)?;
    let now = hash_time(ctx.expiry_ms());
    let at = deadline(argv[2], clock, ctx.now_ms())?;
    let condition = Condition::of(argv[3]);
    let fields = parse_fields(
        argv,
        if condition.is_some() { 4 } else { 3 },
        "ERR Parameter `numFields` should be greater than 0",
    )?;
    reply.array(fields.len());
    let Some(slot) = slot else {
        fields.iter().for_each(|_| reply.int(Fate::Missing as i64));
        return Ok(());
    };
    let (mut set, mut deleted) = (Vec::new(), Vec::new());
    let hash = hash_mut(ctx, slot);
    for &field in fields {
        let fate = settle(hash, field, hash_time(at), condition.unwrap_or(Condition::Always), now);
        match fate {
            Fate::Set => set.push(field),
            Fate::Deleted => deleted.push(field),
            Fate::Missing | Fate::Unmet => {}
        }
        reply.int(fate as i64);
    }
    if !set.is_empty() {
        ctx.db_mut().note_field_end(key, at);
    }
    if !deleted.is_empty() {
        announce_deletion(ctx, key, slot, (deleted.len() + set.len()) as u64);
    } else if !set.is_empty() {
        ctx.changed(key);
        ctx.count_changes(set.len() as u64 - 1);
        ctx.notify(EventClass::HASH, "hexpire", key);
    }
    ctx.propagate_nothing();
    also_propagate_hdel(ctx, key, &deleted);
    also_propagate_expiry(ctx, key, at, condition.map(|_| argv[3]), &set);
    Ok(())
}

/// Sets the time of one field, or deletes it.
fn settle(hash: &mut Hash, field: &[u8], at: u64, condition: Condition, now: u64) -> Fate {
    match hash.field_expire(field, now) {
        None => Fate::Missing,
        Some(old) if !condition.is_met(old, at) => Fate::Unmet,
        Some(_) if at <= now => {
            hash.delete(field, now);
            Fate::Deleted
        }
        Some(_) => {
            hash.set_field_expire(field, Some(at), now);
            Fate::Set
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_without_a_time_lives_longest() {
        assert!(Condition::Earlier.is_met(None, 5));
        assert!(!Condition::Later.is_met(None, 5));
        assert!(Condition::Later.is_met(Some(4), 5));
        assert!(!Condition::Later.is_met(Some(5), 5));
        assert!(!Condition::Earlier.is_met(Some(5), 5));
    }

    #[test]
    fn times_beyond_the_limit_are_refused() {
        let clock = Clock { command: "hexpireat", unit_ms: 1000, from_now: false };
        assert_eq!(deadline(b"5", clock, 7), Ok(5000));
        assert_eq!(deadline(b"5", Clock { from_now: true, ..clock }, 7), Ok(5007));
        let invalid = Err(CommandError::InvalidExpire("hexpireat".into()));
        assert_eq!(deadline(b"70368744177", clock, 7), Ok(70_368_744_177_000));
        assert_eq!(deadline(b"70368744178", clock, 7), invalid);
        assert_eq!(deadline(b"9223372036854775807", clock, 7), invalid);
        assert!(deadline(b"-1", clock, 7).is_err());
    }
}
