//! What do several sets come to? Their intersection, union or difference, as a reply or as a new set.

use super::{limits, read_set, reply_element};
use crate::commands::fetch_ahead;
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::Value;
use crate::object::set::{Set, SetLimits, algebra};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SINTER",
        summary: "Returns the intersect of multiple sets.",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        run: Run::Read(sinter),
        ..READS
    },
    CommandSpec {
        name: "SINTERCARD",
        summary: "Returns the number of members of the intersect of multiple sets.",
        since: "7.0.0",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        arity: Arity::AtLeast(3),
        keys: &[KeySpec::counted(1, Access::Read)],
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::integer("limit").token("LIMIT").optional(),
        ],
        run: Run::Read(sintercard),
        tips: &[],
        ..READS
    },
    CommandSpec {
        name: "SINTERSTORE",
        summary: "Stores the intersect of multiple sets in a key.",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        keys: &[KeySpec::at(1, Access::Update), KeySpec::range(2, -1, 1, Access::Read)],
        run: Run::Write(sinterstore),
        ..STORES
    },
    CommandSpec {
        name: "SUNION",
        summary: "Returns the union of multiple sets.",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        run: Run::Read(sunion),
        ..READS
    },
    CommandSpec {
        name: "SUNIONSTORE",
        summary: "Stores the union of multiple sets in a key.",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        run: Run::Write(sunionstore),
        ..STORES
    },
    CommandSpec {
        name: "SDIFF",
        summary: "Returns the difference of multiple sets.",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        run: Run::Read(sdiff),
        ..READS
    },
    CommandSpec {
        name: "SDIFFSTORE",
        summary: "Stores the difference of multiple sets in a key.",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        run: Run::Write(sdiffstore),
        ..STORES
    },
];

/// What the commands that reply have in common.
const READS: CommandSpec = CommandSpec {
    since: "1.0.0",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: &[Flag::ReadOnly],
    keys: &[KeySpec::range(1, -1, 1, Access::Read)],
    args: &[Arg::key("key").multiple()],
    tips: &["nondeterministic_output_order"],
    ..CommandSpec::BASE
};

/// What the commands that store have in common.
const STORES: CommandSpec = CommandSpec {
    since: "1.0.0",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: &[Flag::Write, Flag::DenyOom],
    keys: &[KeySpec::at(1, Access::Overwrite), KeySpec::range(2, -1, 1, Access::Read)],
    args: &[Arg::key("destination"), Arg::key_of("key", 1).multiple()],
    ..CommandSpec::BASE
};

/// The sets at these keys; none where there is none.
fn sets<'a>(ctx: &mut ReadCtx<'a>, keys: Argv<'_>) -> Result<Vec<Option<&'a Set>>, CommandError> {
    fetch_ahead(ctx.db(), keys.iter().copied());
    keys.iter().map(|key| read_set(ctx, key)).collect()
}

fn reply_members(set: &Set, reply: &mut Reply<'_>) {
    reply.set(set.len());
    set.iter().for_each(|member| reply_element(member, reply));
}

fn sinter(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let sets = sets(ctx, &argv[1..])?;
    let head = reply.deferred();
    let mut len = 0;
    algebra::intersect(&sets, &mut |member| {
        len += 1;
        reply_element(member, reply);
        true
    });
    reply.close_set(head, len);
    Ok(())
}

fn sunion(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let limits = limits(&ctx.state.config);
    let sets = sets(ctx, &argv[1..])?;
    reply_members(&algebra::union(&sets, limits), reply);
    Ok(())
}

fn sdiff(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let limits = limits(&ctx.state.config);
    let sets = sets(ctx, &argv[1..])?;
    reply_members(&algebra::difference(&sets, limits), reply);
    Ok(())
}

/// The options of SINTERCARD.
#[derive(Debug, PartialEq, Eq)]
struct CardOptions<'a> {
    keys: Argv<'a>,
    /// Counting ends here.
    limit: usize,
}

fn parse_card(argv: Argv<'_>) -> Result<CardOptions<'_>, CommandError> {
    let count = args::int(argv[1]).ok().filter(|count| *count >= 1);
    let count = count.ok_or(CommandError::text("ERR numkeys should be greater than 0"))?;
    let keys = usize::try_from(count).ok().and_then(|count| argv[2..].get(..count));
    let keys =
        keys.ok_or(CommandError::text("ERR Number of keys can't be greater than number of args"))?;
    let mut limit = 0;
    let mut rest = Cursor::new(argv, 2 + keys.len());
    while let Some(word) = rest.next() {
        if !args::is(word, "LIMIT") {
            return Err(CommandError::Syntax);
        }
        let number = args::int(rest.value()?).ok().and_then(|limit| usize::try_from(limit).ok());
        limit = number.ok_or(CommandError::text("ERR LIMIT can't be negative"))?;
    }
    Ok(CardOptions { keys, limit: if limit == 0 { usize::MAX } else { limit } })
}

fn sintercard(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = parse_card(argv)?;
    let sets = sets(ctx, options.keys)?;
    let mut len = 0;
    algebra::intersect(&sets, &mut |_| {
        len += 1;
        len < options.limit
    });
    reply.len(len);
    Ok(())
}

fn sinterstore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine_and_store(ctx, argv, algebra::intersection, "sinterstore", reply)
}

fn sunionstore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine_and_store(ctx, argv, algebra::union, "sunionstore", reply)
}

fn sdiffstore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    combine_and_store(ctx, argv, algebra::difference, "sdiffstore", reply)
}

fn combine_and_store(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    combine: fn(&[Option<&Set>], SetLimits) -> Set,
    event: &str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (target, keys) = (argv[1], &argv[2..]);
    // What has expired is deleted before the command, also in what is propagated.
    keys.iter().for_each(|key| {
        ctx.peek(key);
    });
    let limits = limits(ctx.config());
    let result = combine(&sets(&mut ctx.read(), keys)?, limits);
    let len = result.len();
    if len > 0 {
        let is_new = ctx.replace(target, Value::Set(result));
        ctx.changed(target);
        if is_new {
            ctx.created(target);
        }
        ctx.notify(EventClass::SET, event, target);
    } else if let Some(slot) = ctx.peek(target) {
        ctx.remove(slot);
        ctx.changed(target);
        ctx.notify(EventClass::GENERIC, "del", target);
    }
    reply.len(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sintercard_counts_its_keys_and_then_has_options() {
        let parse = |words: &[&'static str]| {
            let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            parse_card(Vec::leak(argv)).map(|options| (options.keys.len(), options.limit))
        };
        assert_eq!(parse(&["SINTERCARD", "2", "a", "b"]), Ok((2, usize::MAX)));
        assert_eq!(parse(&["SINTERCARD", "1", "a", "limit", "5", "LIMIT", "3"]), Ok((1, 3)));
        assert_eq!(parse(&["SINTERCARD", "1", "a", "LIMIT", "0"]), Ok((1, usize::MAX)));
        assert_eq!(parse(&["SINTERCARD", "1", "a", "b"]), Err(CommandError::Syntax));
        assert_eq!(parse(&["SINTERCARD", "1", "a", "LIMIT"]), Err(CommandError::Syntax));
        let few = Err(CommandError::text("ERR numkeys should be greater than 0"));
        assert_eq!(parse(&["SINTERCARD", "0", "a"]), few);
        assert_eq!(parse(&["SINTERCARD", "x", "a"]), few);
        let many = CommandError::text("ERR Number of keys can't be greater than number of args");
        assert_eq!(parse(&["SINTERCARD", "2", "a"]), Err(many));
        let limit = Err(CommandError::text("ERR LIMIT can't be negative"));
        assert_eq!(parse(&["SINTERCARD", "1", "a", "LIMIT", "-1"]), limit);
    }
}
