//! What changes a field's value and its lifetime in one step? HGETDEL, HGETEX and HSETEX.

use super::expire::{Clock, deadline};
use super::{
    also_propagate_expiry, also_propagate_hdel, announce, announce_deletion, find, hash_mut,
    hash_time, limits, open, parse_fields, reply_element,
};
use crate::base::number::IntBuf;
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::ValueRef;
use crate::object::hash::Hash;
use crate::resp::reply::Reply;

const FIELDS: Arg =
    Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
        .token("FIELDS");

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HGETDEL",
        summary: "Returns the value of a field and deletes it from the hash.",
        since: "8.0.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadDelete)],
        args: &[Arg::key("key"), FIELDS],
        run: Run::Write(hgetdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HGETEX",
        summary: "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
        since: "8.0.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
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
            FIELDS,
        ],
        run: Run::Write(hgetex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HSETEX",
        summary: "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
        since: "8.0.0",
        complexity: "O(N) where N is the number of fields being set.",
        group: Group::Hash,
        arity: Arity::AtLeast(6),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::one_of("condition", &[Arg::flag("fnx", "FNX"), Arg::flag("fxx", "FXX")])
                .optional(),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").token("EX"),
                    Arg::integer("milliseconds").token("PX"),
                    Arg::unix_time("unix-time-seconds").token("EXAT"),
                    Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                    Arg::flag("keepttl", "KEEPTTL"),
                ],
            )
            .optional(),
            Arg::block(
                "fields",
                &[
                    Arg::integer("numfields"),
                    Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
                ],
            )
            .token("FIELDS"),
        ],
        run: Run::Write(hsetex),
        ..CommandSpec::BASE
    },
];

/// What becomes of the time when fields expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// What the command does without an option.
    Default,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Persist,
    /// It is this one, in unix milliseconds.
    Until(i64),
}

/// What a word means by the number behind it, if it has one.
fn clock_of(word: &[u8], command: &'static str) -> Option<Clock> {
    let clock = |unit_ms, from_now| Some(Clock { command, unit_ms, from_now });
    match word {
        _ if args::is(word, "EX") => clock(1000, true),
        _ if args::is(word, "PX") => clock(1, true),
        _ if args::is(word, "EXAT") => clock(1000, false),
        _ if args::is(word, "PXAT") => clock(1, false),
        _ => None,
    }
}

const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

fn hgetdel(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    // The type is judged before the arguments, as in Redis.
    let slot = find(ctx, key)?;
    let fields = parse_fields(argv, 2, NOT_POSITIVE)?;
    reply.array(fields.len());
    let Some(slot) = slot else {
        fields.iter().for_each(|_| reply.null());
        return Ok(());
    };
    let now = hash_time(ctx.expiry_ms());
    let hash = hash_mut(ctx, slot);
    let mut deleted = 0;
    for field in fields {
        reply_field(hash, field, now, reply);
        deleted += u64::from(hash.delete(field, now));
    }
    if deleted > 0 {
        announce_deletion(ctx, key, slot, deleted);
        let mut hdel: Vec<&[u8]> = vec![b"HDEL", key];
        hdel.extend(fields);
        ctx.propagate_as(&hdel);
    }
    Ok(())
}

/// Answers with a field's value; whether it is there.
fn reply_field(hash: &Hash, field: &[u8], now: u64, reply: &mut Reply<'_>) -> bool {
    let value = hash.get(field, now);
    match value {
        Some(value) => reply_element(value, reply),
        None => reply.null(),
    }
    value.is_some()
}

/// The options of HGETEX, and its fields.
fn parse_getex<'a>(argv: Argv<'a>, now_ms: i64) -> Result<(Life, Argv<'a>), CommandError> {
    let (life, fields_at) = if let Some(clock) = clock_of(argv[2], "hgetex") {
        (Life::Until(deadline(argv[3], clock, now_ms)?), 4)
    } else if args::is(argv[2], "PERSIST") {
        (Life::Persist, 3)
    } else {
        (Life::Default, 2)
    };
    Ok((life, parse_fields(argv, fields_at, NOT_POSITIVE)?))
}

fn hgetex(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let slot = find(ctx, key)?;
    let (life, fields) = parse_getex(argv, ctx.now_ms())?;
    reply.array(fields.len());
    let Some(slot) = slot else {
        fields.iter().for_each(|_| reply.null());
        return Ok(());
    };
    let now = hash_time(ctx.expiry_ms());
    let hash = hash_mut(ctx, slot);
    let (mut changed, mut deleted) = (Vec::new(), Vec::new());
    for &field in fields {
        let is_there = reply_field(hash, field, now, reply);
        match life {
            _ if !is_there => {}
            Life::Default | Life::Keep => {}
            Life::Until(at) if hash_time(at) <= now => {
                hash.delete(field, now);
                deleted.push(field);
            }
            Life::Until(at) => {
                hash.set_field_expire(field, Some(hash_time(at)), now);
                changed.push(field);
            }
            Life::Persist => {
                if hash.field_expire(field, now).flatten().is_some() {
                    hash.set_field_expire(field, None, now);
                    changed.push(field);
                }
            }
        }
    }
    ctx.propagate_nothing();
    if !deleted.is_empty() {
        announce_deletion(ctx, key, slot, deleted.len() as u64);
        also_propagate_hdel(ctx, key, &deleted);
    } else if !changed.is_empty() {
        ctx.changed(key);
        ctx.count_changes(changed.len() as u64 - 1);
        let event = if life == Life::Persist { "hpersist" } else { "hexpire" };
        if let Life::Until(at) = life {
            ctx.db_mut().note_field_end(key, at);
        }
        ctx.notify(EventClass::HASH, event, key);
        propagate_life(ctx, key, life, &changed);
    }
    Ok(())
}

/// Propagates what HGETEX did to these fields by the commands that do that alone.
fn propagate_life(ctx: &mut WriteCtx<'_>, key: &[u8], life: Life, fields: &[&[u8]]) {
    if let Life::Until(at) = life {
        also_propagate_expiry(ctx, key, at, None, fields);
    } else {
        let mut count = IntBuf::new();
        let mut argv: Vec<&[u8]> =
            vec![b"HPERSIST", key, b"FIELDS", count.u64(fields.len() as u64)];
        argv.extend(fields);
        ctx.also_propagate(&argv);
    }
}

/// Which fields must be there already, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    /// `FNX`: none of them.
    None,
    /// `FXX`: all of them.
    All,
}

/// The options of HSETEX, and its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SetEx<'a> {
    condition: Condition,
    life: Life,
    /// Where the word stands that says how the time is counted, if there is one.
    clock_at: Option<usize>,
    pairs: &'a [[&'a [u8]; 2]],
}

fn parse_setex<'a>(argv: Argv<'a>, now_ms: i64) -> Result<SetEx<'a>, CommandError> {
    const ONE_CONDITION: CommandError =
        CommandError::text("ERR Only one of FXX or FNX arguments can be specified");
    const ONE_LIFE: CommandError = CommandError::text(
        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
    );
    let mut parsed =
        SetEx { condition: Condition::Always, life: Life::Default, clock_at: None, pairs: &[] };
    let mut rest = Cursor::new(argv, 2);
    while let Some(word) = rest.next() {
        if args::is(word, "FIELDS") {
            parsed.pairs = parse_pairs(rest.rest())?;
            return Ok(parsed);
        }
        let condition = match word {
            _ if args::is(word, "FNX") => Some(Condition::None),
            _ if args::is(word, "FXX") => Some(Condition::All),
            _ => None,
        };
        if let Some(condition) = condition {
            if parsed.condition != Condition::Always {
                return Err(ONE_CONDITION);
            }
            parsed.condition = condition;
            continue;
        }
        let clock = clock_of(word, "hsetex");
        if clock.is_none() && !args::is(word, "KEEPTTL") {
            let word = args::lossy(word);
            return Err(CommandError::owned(format!("ERR unknown argument: {word}")));
        }
        if parsed.life != Life::Default {
            return Err(ONE_LIFE);
        }
        parsed.life = Life::Keep;
        if let Some(clock) = clock {
            parsed.clock_at = Some(argv.len() - rest.left() - 1);
            let amount = rest.next().ok_or(CommandError::text("ERR missing expire time"))?;
            parsed.life = Life::Until(deadline(amount, clock, now_ms)?);
        }
    }
    Err(CommandError::Arity("hsetex".to_owned()))
}

/// The number of fields, and as many fields with their values.
fn parse_pairs<'a>(arguments: Argv<'a>) -> Result<&'a [[&'a [u8]; 2]], CommandError> {
    let arity = || CommandError::Arity("hsetex".to_owned());
    let [count, pairs @ ..] = arguments else { return Err(arity()) };
    if pairs.len() < 2 {
        return Err(arity());
    }
    let count = args::int_in(count, 1, i64::from(i32::MAX))
        .map_err(|_| CommandError::text("ERR invalid number of fields"))?;
    match pairs.as_chunks() {
        (pairs, []) if usize::try_from(count) == Ok(pairs.len()) => Ok(pairs),
        _ => Err(arity()),
    }
}

fn hsetex(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let parsed = parse_setex(argv, ctx.now_ms())?;
    let (now, limits) = (hash_time(ctx.expiry_ms()), limits(ctx));
    let found = find(ctx, key)?;
    let old = found.and_then(|slot| match ctx.db().value(slot) {
        ValueRef::Hash(hash) => Some(hash),
        _ => None,
    });
    let is_there = |[field, _]: &[&[u8]; 2]| old.is_some_and(|hash| hash.contains(field, now));
    let is_met = match parsed.condition {
        Condition::Always => true,
        Condition::None => !parsed.pairs.iter().any(is_there),
        Condition::All => parsed.pairs.iter().all(is_there),
    };
    if !is_met {
        reply.int(0);
        return Ok(());
    }
    let opened = open(ctx, key)?;
    let hash = hash_mut(ctx, opened.slot);
    hash.reserve(parsed.pairs.len(), limits);
    let mut deleted: Vec<&[u8]> = Vec::new();
    for [field, value] in parsed.pairs {
        match parsed.life {
            Life::Default | Life::Persist => {
                hash.set(field, value, now, limits);
            }
            Life::Keep => {
                hash.update(field, value, now, limits);
            }
            Life::Until(at) if hash_time(at) > now => {
                hash.update(field, value, now, limits);
                hash.set_field_expire(field, Some(hash_time(at)), now);
            }
            Life::Until(_) => {
                hash.delete(field, now);
                deleted.push(field);
            }
        }
    }
    ctx.count_changes(parsed.pairs.len() as u64 - 1);
    announce(ctx, key, &opened, "hset");
    if !deleted.is_empty() {
        announce_deletion(ctx, key, opened.slot, 1);
        ctx.propagate_nothing();
        also_propagate_hdel(ctx, key, &deleted);
    } else if let Life::Until(at) = parsed.life {
        ctx.db_mut().note_field_end(key, at);
        ctx.notify(EventClass::HASH, "hexpire", key);
        propagate_setex(ctx, argv, parsed.clock_at, at);
    }
    reply.int(1);
    Ok(())
}

/// Propagates HSETEX with a point in time, which means the same at any time.
fn propagate_setex(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, clock_at: Option<usize>, at_ms: i64) {
    let Some(clock_at) = clock_at.filter(|at| ctx.log_active() && !args::is(argv[*at], "PXAT"))
    else {
        return;
    };
    let mut digits = IntBuf::new();
    let mut argv = argv.to_vec();
    argv[clock_at] = b"PXAT";
    argv[clock_at + 1] = digits.i64(at_ms);
    ctx.propagate_as(&argv);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &'static str) -> Result<SetEx<'static>, String> {
        let argv: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        parse_setex(argv.leak(), 1000).map_err(|error| error.to_string())
    }

    #[test]
    fn options_stand_in_any_order_before_the_fields() {
        let parsed = parse("HSETEX h EX 5 FNX FIELDS 2 a 1 b 2").expect("fine");
        assert_eq!(parsed.life, Life::Until(6000));
        assert_eq!((parsed.condition, parsed.clock_at), (Condition::None, Some(2)));
        assert_eq!(parsed.pairs.len(), 2);
        let parsed = parse("HSETEX h FXX KEEPTTL FIELDS 1 a 1").expect("fine");
        assert_eq!((parsed.condition, parsed.life), (Condition::All, Life::Keep));
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for (words, error) in [
            ("HSETEX h EX 5 PX 5 FIELDS 1 a 1", "ERR Only one of EX, PX"),
            ("HSETEX h KEEPTTL EX 5 FIELDS 1 a 1", "ERR Only one of EX, PX"),
            ("HSETEX h FNX FXX FIELDS 1 a 1", "ERR Only one of FXX or FNX"),
            ("HSETEX h NX FIELDS 1 a 1", "ERR unknown argument: NX"),
            ("HSETEX h EX x FIELDS 1 a 1", "ERR value is not an integer"),
            ("HSETEX h EX -1 FIELDS 1 a 1", "ERR invalid expire time, must be >= 0"),
            ("HSETEX h FIELDS 0 a 1", "ERR invalid number of fields"),
            ("HSETEX h FIELDS 2 a 1", "ERR wrong number of arguments"),
            ("HSETEX h FIELDS 1 a 1 b", "ERR wrong number of arguments"),
            ("HSETEX h FNX KEEPTTL x", "ERR unknown argument: x"),
            ("HSETEX h FNX KEEPTTL", "ERR wrong number of arguments"),
        ] {
            let answer = parse(words).expect_err(words);
            assert!(answer.starts_with(error), "{words}: {answer}");
        }
    }
}
