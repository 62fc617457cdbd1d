//! How do members get their scores? ZADD with its conditions, ZINCRBY.

use super::{find, zset_mut};
use crate::engine::args;
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::Value;
use crate::object::Zset;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZADD",
        summary: "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
        since: "1.2.0",
        complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::one_of("condition", &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX")])
                .optional()
                .since("3.0.2"),
            Arg::one_of("comparison", &[Arg::flag("gt", "GT"), Arg::flag("lt", "LT")])
                .optional()
                .since("6.2.0"),
            Arg::flag("change", "CH").optional().since("3.0.2"),
            Arg::flag("increment", "INCR").optional().since("3.0.2"),
            Arg::block("data", &[Arg::double("score"), Arg::string("member")]).multiple(),
        ],
        run: Run::Write(zadd),
        history: &[
            ("2.4.0", "Accepts multiple elements."),
            ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
            ("6.2.0", "Added the `GT` and `LT` options."),
        ],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINCRBY",
        summary: "Increments the score of a member in a sorted set.",
        since: "1.2.0",
        complexity: "O(log(N)) where N is the number of elements in the sorted set.",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::integer("increment"), Arg::string("member")],
        run: Run::Write(zincrby),
        ..CommandSpec::BASE
    },
];

/// The options of ZADD, and the pairs of scores and members behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::commands) struct AddOptions {
    /// `NX`: only members that are not there.
    pub nx: bool,
    /// `XX`: only members that are there.
    pub xx: bool,
    /// `GT`: members that are there only get higher scores.
    pub gt: bool,
    /// `LT`: or lower ones.
    pub lt: bool,
    /// `CH`: changed scores are counted too.
    pub ch: bool,
    /// `INCR`: the score is added to the one that is there.
    pub incr: bool,
}

impl AddOptions {
    /// Takes an option; whether the word is one.
    fn take(&mut self, word: &[u8]) -> bool {
        let option = match word.len() {
            2 if args::is(word, "NX") => &mut self.nx,
            2 if args::is(word, "XX") => &mut self.xx,
            2 if args::is(word, "GT") => &mut self.gt,
            2 if args::is(word, "LT") => &mut self.lt,
            2 if args::is(word, "CH") => &mut self.ch,
            4 if args::is(word, "INCR") => &mut self.incr,
            _ => return false,
        };
        *option = true;
        true
    }

    fn check(self, pairs: usize) -> Result<(), CommandError> {
        if self.nx && self.xx {
            return Err(CommandError::text(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if self.nx && (self.gt || self.lt) || self.gt && self.lt {
            return Err(CommandError::text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.incr && pairs > 1 {
            return Err(CommandError::text(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// The score that a member is to have, if it is to be touched at all; nan is for the caller to
    /// refuse.
    #[inline]
    fn decide(self, old: Option<f64>, score: f64) -> Option<f64> {
        let Some(old) = old else { return (!self.xx).then_some(score) };
        let new = if self.incr { old + score } else { score };
        let is_unmet = self.nx || self.lt && new >= old || self.gt && new <= old;
        (!is_unmet).then_some(new)
    }
}

/// What became of the members.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::commands) struct Added {
    /// Members that are new.
    pub added: usize,
    /// Members whose score is another.
    pub updated: usize,
    /// The score of the last member, if the conditions let it be touched.
    pub score: Option<f64>,
}

fn zadd(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    add_command(ctx, argv, AddOptions::default(), reply)
}

fn zincrby(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    add_command(ctx, argv, AddOptions { incr: true, ..AddOptions::default() }, reply)
}

fn add_command(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    mut options: AddOptions,
    reply: &mut Reply<'_>,
) -> Outcome {
    let mut at = 2;
    while at < argv.len() && options.take(argv[at]) {
        at += 1;
    }
    let (pairs, []) = argv[at..].as_chunks::<2>() else { return Err(CommandError::Syntax) };
    let [[first, member], rest @ ..] = pairs else { return Err(CommandError::Syntax) };
    options.check(pairs.len())?;
    // The first score stands apart, so that one pair needs no allocation.
    let first = args::float(first)?;
    let others: Vec<f64> =
        rest.iter().map(|[score, _]| args::float(score)).collect::<Result<_, _>>()?;
    let others = others.into_iter().zip(rest.iter().map(|[_, member]| *member));
    let added = add(ctx, argv[1], options, std::iter::once((first, *member)).chain(others))?;
    match (options.incr, added.score) {
        (true, Some(score)) => reply.double(score),
        (true, None) => reply.null(),
        (false, _) if options.ch => reply.len(added.added + added.updated),
        (false, _) => reply.len(added.added),
    }
    Ok(())
}

/// Gives members their scores, with what this leaves behind.
pub(in crate::commands) fn add<'a>(
    ctx: &mut WriteCtx<'_>,
    key: &[u8],
    options: AddOptions,
    members: impl Iterator<Item = (f64, &'a [u8])>,
) -> Result<Added, CommandError> {
    let limits = ctx.zset_limits();
    let mut done = Added::default();
    let (slot, is_new) = match find(ctx, key)? {
        Some(slot) => (slot, false),
        None if options.xx => return Ok(done),
        None => (ctx.insert(key, Value::Zset(Zset::new()), None), true),
    };
    let zset = zset_mut(ctx, slot);
    zset.reserve(members.size_hint().0, limits);
    for (score, member) in members {
        let mut new = None;
        let old = zset.update(member, limits, |old| {
            new = options.decide(old, score);
            new.filter(|score| !score.is_nan())
        });
        match (old, new) {
            // Infinities of both signs; only INCR comes here, with a member that was there.
            (_, Some(new)) if new.is_nan() => {
                return Err(CommandError::text("ERR resulting score is not a number (NaN)"));
            }
            (None, Some(_)) => done.added += 1,
            (Some(old), Some(new)) => done.updated += usize::from(new != old),
            (_, None) => {}
        }
        done.score = new;
    }
    let changes = done.added + done.updated;
    if changes > 0 {
        ctx.changed(key);
        ctx.count_changes(changes as u64 - 1);
        if is_new {
            ctx.created(key);
        }
        ctx.notify(EventClass::ZSET, if options.incr { "zincr" } else { "zadd" }, key);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_look_at_the_score_that_is_there() {
        let of = |words: &[&str]| {
            let mut options = AddOptions::default();
            assert!(words.iter().all(|word| options.take(word.as_bytes())));
            options
        };
        assert_eq!(of(&[]).decide(None, 1.0), Some(1.0));
        assert_eq!(of(&["xx"]).decide(None, 1.0), None);
        assert_eq!(of(&["NX"]).decide(Some(0.0), 1.0), None);
        assert_eq!(of(&["GT"]).decide(None, 1.0), Some(1.0));
        assert_eq!(of(&["GT"]).decide(Some(1.0), 1.0), None);
        assert_eq!(of(&["GT"]).decide(Some(1.0), 2.0), Some(2.0));
        assert_eq!(of(&["LT"]).decide(Some(1.0), 2.0), None);
        assert_eq!(of(&["LT", "incr"]).decide(Some(1.0), -1.0), Some(0.0));
        assert!(!AddOptions::default().take(b"N"));
    }
}
