//! Which members lie in a range? ZRANGE and the older commands that it replaced; ZRANGESTORE.

use std::ops::Range;

use super::bounds::{Bounds, By};
use super::{Show, read_zset, reply_head, reply_scored, store};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Deprecated, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::zset::Zset;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZRANGE",
        summary: "Returns members in a sorted set within a range of indexes.",
        since: "1.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("start"),
            Arg::string("stop"),
            Arg::one_of("sortby", &[Arg::flag("byscore", "BYSCORE"), Arg::flag("bylex", "BYLEX")])
                .optional()
                .since("6.2.0"),
            Arg::flag("rev", "REV").optional().since("6.2.0"),
            Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .optional()
                .since("6.2.0"),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ],
        run: Run::Read(zrange),
        history: &[("6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANGESTORE",
        summary: "Stores a range of members from sorted set in a key.",
        since: "6.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(5),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Overwrite), KeySpec::at(2, Access::Read)],
        args: &[
            Arg::key("dst"),
            Arg::key_of("src", 1),
            Arg::string("min"),
            Arg::string("max"),
            Arg::one_of("sortby", &[Arg::flag("byscore", "BYSCORE"), Arg::flag("bylex", "BYLEX")])
                .optional(),
            Arg::flag("rev", "REV").optional(),
            Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .optional(),
        ],
        run: Run::Write(zrangestore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANGE",
        summary: "Returns members in a sorted set within a range of indexes in reverse order.",
        since: "1.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::integer("start"),
            Arg::integer("stop"),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ],
        run: Run::Read(zrevrange),
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` argument",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANGEBYSCORE",
        summary: "Returns members in a sorted set within a range of scores.",
        since: "1.0.5",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::double("min"),
            Arg::double("max"),
            Arg::flag("withscores", "WITHSCORES").optional().since("2.0.0"),
            Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .optional(),
        ],
        run: Run::Read(zrangebyscore),
        history: &[("2.0.0", "Added the `WITHSCORES` modifier.")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `BYSCORE` argument",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANGEBYSCORE",
        summary: "Returns members in a sorted set within a range of scores in reverse order.",
        since: "2.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::double("max"),
            Arg::double("min"),
            Arg::flag("withscores", "WITHSCORES").optional(),
            Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .optional(),
        ],
        run: Run::Read(zrevrangebyscore),
        history: &[("2.1.6", "`min` and `max` can be exclusive.")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANGEBYLEX",
        summary: "Returns members in a sorted set within a lexicographical range.",
        since: "2.8.9",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("min"),
            Arg::string("max"),
            Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .optional(),
        ],
        run: Run::Read(zrangebylex),
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `BYLEX` argument",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANGEBYLEX",
        summary: "Returns members in a sorted set within a lexicographical range in reverse order.",
        since: "2.8.9",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("max"),
            Arg::string("min"),
            Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .optional(),
        ],
        run: Run::Read(zrevrangebylex),
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` and `BYLEX` arguments",
        }),
        ..CommandSpec::BASE
    },
];

/// A range as a command asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    show: Show,
    /// `LIMIT`: a negative offset takes nothing, a negative count everything.
    offset: i64,
    count: i64,
}

/// What a command's name says already.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// None is for an option to say.
    by: Option<By>,
    reverse: Option<bool>,
    /// There is no client for scores to be shown to.
    stores: bool,
}

impl Form {
    const fn of(by: By, reverse: bool) -> Self {
        Self { by: Some(by), reverse: Some(reverse), stores: false }
    }
}

impl<'a> Query<'a> {
    /// Reads the bounds, which stand at `at`, and the options behind them.
    fn parse(argv: Argv<'a>, at: usize, form: Form) -> Result<Self, CommandError> {
        let (mut by, mut reverse) = (form.by, form.reverse);
        let (mut show, mut offset, mut count) = (Show::Members, 0, -1);
        let mut rest = Cursor::new(argv, at + 2);
        while let Some(word) = rest.next() {
            if !form.stores && args::is(word, "WITHSCORES") {
                show = Show::Scores;
            } else if args::is(word, "LIMIT") && rest.left() >= 2 {
                (offset, count) = (rest.int()?, rest.int()?);
            } else if reverse.is_none() && args::is(word, "REV") {
                reverse = Some(true);
            } else if by.is_none() && args::is(word, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && args::is(word, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if count != -1 && by == By::Rank {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if show == Show::Scores && by == By::Lex {
            return Err(CommandError::text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (mut low, mut high) = (argv[at], argv[at + 1]);
        if reverse && by != By::Rank {
            std::mem::swap(&mut low, &mut high);
        }
        let bounds = Bounds::parse(by, low, high)?;
        Ok(Self { bounds, reverse, show, offset, count })
    }

    /// The ranks of what is asked for.
    fn ranks(&self, zset: &Zset) -> Range<usize> {
        let all = self.bounds.ranks(zset, self.reverse);
        if let Bounds::Ranks(..) = self.bounds {
            return all;
        }
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let offset = offset.min(all.len());
        if self.reverse {
            let end = all.end - offset;
            all.start.max(end.saturating_sub(count))..end
        } else {
            let start = all.start + offset;
            start..all.end.min(start.saturating_add(count))
        }
    }

    fn reply(&self, zset: &Zset, reply: &mut Reply<'_>) {
        let ranks = self.ranks(zset);
        reply_head(self.show, ranks.len(), reply);
        let members = zset.range(ranks);
        if self.reverse {
            members.rev().for_each(|one| reply_scored(self.show, one, reply));
        } else {
            members.for_each(|one| reply_scored(self.show, one, reply));
        }
    }
}

fn zrange(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    range(ctx, argv, Form { by: None, reverse: None, stores: false }, reply)
}

fn zrevrange(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    range(ctx, argv, Form::of(By::Rank, true), reply)
}

fn zrangebyscore(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    range(ctx, argv, Form::of(By::Score, false), reply)
}

fn zrevrangebyscore(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    range(ctx, argv, Form::of(By::Score, true), reply)
}

fn zrangebylex(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    range(ctx, argv, Form::of(By::Lex, false), reply)
}

fn zrevrangebylex(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    range(ctx, argv, Form::of(By::Lex, true), reply)
}

fn range(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, form: Form, reply: &mut Reply<'_>) -> Outcome {
    let query = Query::parse(argv, 2, form)?;
    match read_zset(ctx, argv[1])? {
        Some(zset) => query.reply(zset, reply),
        None => reply.array(0),
    }
    Ok(())
}

fn zrangestore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (to, from) = (argv[1], argv[2]);
    let query = Query::parse(argv, 3, Form { by: None, reverse: None, stores: true })?;
    let limits = ctx.zset_limits();
    let mut result = Zset::new();
    if let Some(zset) = read_zset(&mut ctx.read(), from)? {
        let ranks = query.ranks(zset);
        result.reserve(ranks.len(), limits);
        for (member, score) in zset.range(ranks) {
            result.set(member.text(&mut Default::default()), score, limits);
        }
    }
    reply.len(result.len());
    store(ctx, to, result, "zrangestore");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Form = Form { by: None, reverse: None, stores: false };

    fn parse(words: &[&'static str], form: Form) -> Result<Query<'static>, CommandError> {
        let argv: Vec<&[u8]> =
            ["ZRANGE", "k"].iter().chain(words).map(|word| word.as_bytes()).collect();
        Query::parse(Vec::leak(argv), 2, form)
    }

    #[test]
    fn limits_count_from_where_the_range_begins() {
        let mut zset = Zset::new();
        for i in 0..10 {
            zset.set(&[b'a' + i], f64::from(i), Default::default());
        }
        let ranks = |words: &[&'static str]| parse(words, ANY).expect("valid").ranks(&zset);
        assert_eq!(ranks(&["2", "7", "BYSCORE"]), 2..8);
        assert_eq!(ranks(&["2", "7", "BYSCORE", "LIMIT", "1", "2"]), 3..5);
        assert_eq!(ranks(&["7", "2", "BYSCORE", "REV", "LIMIT", "1", "2"]), 5..7);
        assert_eq!(ranks(&["2", "7", "BYSCORE", "LIMIT", "1", "-1"]), 3..8);
        assert_eq!(ranks(&["7", "2", "BYSCORE", "REV", "LIMIT", "2", "99"]), 2..6);
        assert!(ranks(&["2", "7", "BYSCORE", "LIMIT", "9", "9"]).is_empty());
        assert!(ranks(&["2", "7", "BYSCORE", "LIMIT", "-1", "9"]).is_empty());
        assert!(ranks(&["2", "7", "BYSCORE", "LIMIT", "0", "0"]).is_empty());
        assert!(ranks(&["7", "2", "BYSCORE"]).is_empty());
        assert_eq!(ranks(&["0", "1", "REV"]), 8..10);
        assert_eq!(ranks(&["[c", "+", "BYLEX", "LIMIT", "1", "1"]), 3..4);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        assert!(parse(&["0", "1", "LIMIT", "0", "1"], ANY).is_err());
        assert!(parse(&["0", "1", "LIMIT", "0", "-1"], ANY).is_ok());
        assert!(parse(&["-", "+", "BYLEX", "WITHSCORES"], ANY).is_err());
        for bad in
            [&["0", "1", "LIMIT", "0"][..], &["0", "1", "BYLEX", "BYSCORE"], &["0", "1", "X"]]
        {
            assert_eq!(parse(bad, ANY), Err(CommandError::Syntax), "{bad:?}");
        }
        assert_eq!(parse(&["0", "1", "REV"], Form::of(By::Rank, true)), Err(CommandError::Syntax));
        let stores = Form { stores: true, ..ANY };
        assert_eq!(parse(&["0", "1", "WITHSCORES"], stores), Err(CommandError::Syntax));
    }
}
