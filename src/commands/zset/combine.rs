//! What do several sorted sets have together, in common, or apart? ZUNION, ZINTER, ZDIFF and their
//! relatives that store or count.

use super::algebra::{Aggregate, Operation, Weighted, compute, intersect};
use super::sources::Source;
use super::{Show, reply_head, reply_scored, store};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::listpack::Element;
use crate::object::zset::Zset;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZUNION",
        summary: "Returns the union of multiple sorted sets.",
        since: "6.2.0",
        complexity: "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::counted(1, Access::Read)],
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::integer("weight").token("WEIGHTS").optional().multiple(),
            Arg::one_of(
                "aggregate",
                &[Arg::flag("sum", "SUM"), Arg::flag("min", "MIN"), Arg::flag("max", "MAX")],
            )
            .token("AGGREGATE")
            .optional(),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ],
        run: Run::Read(zunion),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINTER",
        summary: "Returns the intersect of multiple sorted sets.",
        since: "6.2.0",
        complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::counted(1, Access::Read)],
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::integer("weight").token("WEIGHTS").optional().multiple(),
            Arg::one_of(
                "aggregate",
                &[Arg::flag("sum", "SUM"), Arg::flag("min", "MIN"), Arg::flag("max", "MAX")],
            )
            .token("AGGREGATE")
            .optional(),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ],
        run: Run::Read(zinter),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZDIFF",
        summary: "Returns the difference between multiple sorted sets.",
        since: "6.2.0",
        complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::counted(1, Access::Read)],
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ],
        run: Run::Read(zdiff),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZUNIONSTORE",
        summary: "Stores the union of multiple sorted sets in a key.",
        since: "2.0.0",
        complexity: "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Overwrite), KeySpec::counted(2, Access::Read)],
        args: &[
            Arg::key("destination"),
            Arg::integer("numkeys"),
            Arg::key_of("key", 1).multiple(),
            Arg::integer("weight").token("WEIGHTS").optional().multiple(),
            Arg::one_of(
                "aggregate",
                &[Arg::flag("sum", "SUM"), Arg::flag("min", "MIN"), Arg::flag("max", "MAX")],
            )
            .token("AGGREGATE")
            .optional(),
        ],
        run: Run::Write(zunionstore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINTERSTORE",
        summary: "Stores the intersect of multiple sorted sets in a key.",
        since: "2.0.0",
        complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Overwrite), KeySpec::counted(2, Access::Read)],
        args: &[
            Arg::key("destination"),
            Arg::integer("numkeys"),
            Arg::key_of("key", 1).multiple(),
            Arg::integer("weight").token("WEIGHTS").optional().multiple(),
            Arg::one_of(
                "aggregate",
                &[Arg::flag("sum", "SUM"), Arg::flag("min", "MIN"), Arg::flag("max", "MAX")],
            )
            .token("AGGREGATE")
            .optional(),
        ],
        run: Run::Write(zinterstore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZDIFFSTORE",
        summary: "Stores the difference of multiple sorted sets in a key.",
        since: "6.2.0",
        complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Overwrite), KeySpec::counted(2, Access::Read)],
        args: &[Arg::key("destination"), Arg::integer("numkeys"), Arg::key_of("key", 1).multiple()],
        run: Run::Write(zdiffstore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINTERCARD",
        summary: "Returns the number of members of the intersect of multiple sorted sets.",
        since: "7.0.0",
        complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::counted(1, Access::Read)],
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::integer("limit").token("LIMIT").optional(),
        ],
        run: Run::Read(zintercard),
        ..CommandSpec::BASE
    },
];

/// What the result is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Reply,
    Store,
    Count,
}

/// What follows the keys.
#[derive(Clone, Debug, PartialEq)]
struct Options {
    /// One for each source.
    weights: Vec<f64>,
    aggregate: Aggregate,
    show: Show,
    /// Where counting ends; 0 is nowhere.
    limit: usize,
}

impl Options {
    fn parse(
        mut rest: Cursor<'_>,
        sources: usize,
        operation: Operation,
        purpose: Purpose,
    ) -> Result<Self, CommandError> {
        let mut options = Self {
            weights: vec![1.0; sources],
            aggregate: Aggregate::Sum,
            show: Show::Members,
            limit: 0,
        };
        let computes = operation != Operation::Diff && purpose != Purpose::Count;
        while let Some(word) = rest.next() {
            if computes && rest.left() >= sources && args::is(word, "WEIGHTS") {
                for weight in &mut options.weights {
                    *weight = args::float(rest.value()?)
                        .map_err(|_| CommandError::text("ERR weight value is not a float"))?;
                }
            } else if computes && rest.left() >= 1 && args::is(word, "AGGREGATE") {
                options.aggregate = match rest.value()? {
                    word if args::is(word, "SUM") => Aggregate::Sum,
                    word if args::is(word, "MIN") => Aggregate::Min,
                    word if args::is(word, "MAX") => Aggregate::Max,
                    _ => return Err(CommandError::Syntax),
                };
            } else if purpose == Purpose::Reply && args::is(word, "WITHSCORES") {
                options.show = Show::Scores;
            } else if purpose == Purpose::Count && rest.left() >= 1 && args::is(word, "LIMIT") {
                let limit = args::int(rest.value()?).ok().and_then(|n| usize::try_from(n).ok());
                options.limit = limit.ok_or(CommandError::text("ERR LIMIT can't be negative"))?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

/// Reads the sources, whose number stands at `at`, and the options. The sources' types are judged
/// before the options, as in Redis.
fn read<'a>(
    ctx: &mut ReadCtx<'a>,
    argv: Argv<'_>,
    at: usize,
    operation: Operation,
    purpose: Purpose,
) -> Result<(Vec<Weighted<'a>>, Options), CommandError> {
    let count = args::int(argv[at])?;
    let keys = &argv[at + 1..];
    if count < 1 {
        return Err(CommandError::owned(format!(
            "ERR at least 1 input key is needed for '{}' command",
            args::lossy(argv[0]).to_ascii_lowercase()
        )));
    }
    let count = usize::try_from(count).ok().filter(|count| *count <= keys.len());
    let count = count.ok_or(CommandError::Syntax)?;
    let mut sources = Vec::with_capacity(count);
    for key in &keys[..count] {
        sources.push(Source::read(ctx, key)?);
    }
    let rest = Cursor::new(argv, at + 1 + count);
    let options = Options::parse(rest, count, operation, purpose)?;
    let weights = options.weights.iter();
    let weighted = sources.into_iter().zip(weights);
    let mut sources: Vec<_> =
        weighted.map(|(source, weight)| Weighted { source, weight: *weight }).collect();
    if operation != Operation::Diff {
        // The smallest one decides how much there is to do.
        sources.sort_by_key(|one| one.source.len());
    }
    Ok((sources, options))
}

fn zunion(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine(ctx, argv, Operation::Union, reply)
}

fn zinter(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine(ctx, argv, Operation::Inter, reply)
}

fn zdiff(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine(ctx, argv, Operation::Diff, reply)
}

fn combine(
    ctx: &mut ReadCtx<'_>,
    argv: Argv<'_>,
    operation: Operation,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (sources, options) = read(ctx, argv, 1, operation, Purpose::Reply)?;
    let mut result = compute(&sources, operation, options.aggregate);
    // No score is nan; zeros of both signs are equal.
    result.sort_unstable_by(|a, b| {
        a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.1.cmp(&b.1))
    });
    reply_head(options.show, result.len(), reply);
    for (score, member) in &result {
        reply_scored(options.show, (Element::Str(member), *score), reply);
    }
    Ok(())
}

fn zunionstore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine_and_store(ctx, argv, Operation::Union, "zunionstore", reply)
}

fn zinterstore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine_and_store(ctx, argv, Operation::Inter, "zinterstore", reply)
}

fn zdiffstore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine_and_store(ctx, argv, Operation::Diff, "zdiffstore", reply)
}

fn combine_and_store(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    operation: Operation,
    event: &str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let limits = ctx.zset_limits();
    let result: Vec<_> = {
        let mut ctx = ctx.read();
        let (sources, options) = read(&mut ctx, argv, 2, operation, Purpose::Store)?;
        let result = compute(&sources, operation, options.aggregate);
        result.into_iter().map(|(score, member)| (score, member.into_owned())).collect()
    };
    reply.len(result.len());
    store(ctx, argv[1], Zset::from_members(result, limits), event);
    Ok(())
}

fn zintercard(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (sources, options) = read(ctx, argv, 1, Operation::Inter, Purpose::Count)?;
    let mut count = 0;
    intersect(&sources, Aggregate::Sum, |_, _| {
        count += 1;
        count != options.limit
    });
    reply.len(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_depend_on_the_command() {
        let parse = |words: &[&'static str], operation, purpose| {
            let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            Options::parse(Cursor::new(Vec::leak(argv), 0), 2, operation, purpose)
        };
        let options = parse(
            &["weights", "1", "-2.5", "aggregate", "max", "withscores"],
            Operation::Union,
            Purpose::Reply,
        );
        let expected = Options {
            weights: vec![1.0, -2.5],
            aggregate: Aggregate::Max,
            show: Show::Scores,
            limit: 0,
        };
        assert_eq!(options, Ok(expected));
        let syntax = Err(CommandError::Syntax);
        assert_eq!(parse(&["WEIGHTS", "1"], Operation::Inter, Purpose::Store), syntax);
        assert_eq!(parse(&["WITHSCORES"], Operation::Inter, Purpose::Store), syntax);
        assert_eq!(parse(&["WEIGHTS", "1", "2"], Operation::Diff, Purpose::Reply), syntax);
        assert_eq!(parse(&["LIMIT", "1"], Operation::Inter, Purpose::Reply), syntax);
        assert_eq!(parse(&["AGGREGATE"], Operation::Inter, Purpose::Reply), syntax);
        let limit = parse(&["LIMIT", "3"], Operation::Inter, Purpose::Count);
        assert_eq!(limit.map(|options| options.limit), Ok(3));
        assert!(parse(&["LIMIT", "-1"], Operation::Inter, Purpose::Count).is_err());
    }
}
