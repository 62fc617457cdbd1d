//! Which members come when chance decides? SPOP takes them out, SRANDMEMBER leaves them.

use super::{
    announce_departure, find, limits, read_set, remove_if_empty, reply_element, set_at, set_mut,
};
use crate::base::random::Random;
use crate::config::params::Param;
use crate::engine::args;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::object::set::Set;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SPOP",
        summary: "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped.",
        since: "1.0.0",
        complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
        group: Group::Set,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadDelete)],
        args: &[Arg::key("key"), Arg::integer("count").optional().since("3.2.0")],
        run: Run::Write(spop),
        history: &[("3.2.0", "Added the `count` argument.")],
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SRANDMEMBER",
        summary: "Get one or multiple random members from a set",
        since: "1.0.0",
        complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
        group: Group::Set,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::integer("count").optional().since("2.6.0")],
        run: Run::Read(srandmember),
        history: &[("2.6.0", "Added the optional `count` argument.")],
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
];

/// Members that one propagated SREM names.
const SREM_MEMBERS_MAX: usize = 1024;

/// A reply of SRANDMEMBER that is longer than this is refused: with a negative count its length is the
/// client's to choose.
const REPLY_BYTES_MAX: usize = 1 << 30;

fn spop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    match *argv {
        [_, key] => pop_one(ctx, key, reply),
        [_, key, count] => {
            let count = args::int(count).map_err(|_| CommandError::NotPositive)?;
            let count = usize::try_from(count).map_err(|_| CommandError::NotPositive)?;
            pop_several(ctx, key, count, reply)
        }
        _ => Err(CommandError::Syntax),
    }
}

fn pop_one(ctx: &mut WriteCtx<'_>, key: &[u8], reply: &mut Reply<'_>) -> Outcome {
    let mut random = Random::new(ctx.env.random_seed());
    let popped = match find(ctx, key)? {
        Some(slot) => set_mut(ctx, slot).pop(&mut || random.draw()).map(|member| (slot, member)),
        None => None,
    };
    let Some((slot, member)) = popped else {
        reply.null();
        return Ok(());
    };
    let is_gone = remove_if_empty(ctx, slot);
    ctx.changed(key);
    ctx.propagate_as(&[b"SREM", key, &member]);
    announce_departure(ctx, key, "spop", is_gone);
    reply.bulk(&member);
    Ok(())
}

fn pop_several(ctx: &mut WriteCtx<'_>, key: &[u8], count: usize, reply: &mut Reply<'_>) -> Outcome {
    let Some(slot) = find(ctx, key)?.filter(|_| count > 0) else {
        reply.set(0);
        return Ok(());
    };
    let len = set_at(ctx, slot).len();
    let is_gone = count >= len;
    if is_gone {
        pop_all(ctx, key, slot, reply);
    } else {
        pop_some(ctx, key, slot, count, reply);
    }
    ctx.changed(key);
    ctx.count_changes(count.min(len) as u64 - 1);
    announce_departure(ctx, key, "spop", is_gone);
    Ok(())
}

/// Takes all members, which is propagated as the deletion that it is.
fn pop_all(ctx: &mut WriteCtx<'_>, key: &[u8], slot: Slot, reply: &mut Reply<'_>) {
    let set = set_at(ctx, slot);
    reply.set(set.len());
    set.iter().for_each(|member| reply_element(member, reply));
    ctx.remove(slot);
    let lazy = ctx.config().flag(Param::LazyfreeLazyServerDel);
    ctx.propagate_as(&[if lazy { b"UNLINK" } else { b"DEL" }, key]);
}

/// Takes fewer members than there are.
fn pop_some(ctx: &mut WriteCtx<'_>, key: &[u8], slot: Slot, count: usize, reply: &mut Reply<'_>) {
    let limits = limits(ctx.config());
    let is_heard = ctx.log_active();
    let mut random = Random::new(ctx.env.random_seed());
    let mut popped: Vec<Vec<u8>> = Vec::new();
    reply.set(count);
    let mut show = |member: &[u8]| {
        reply.bulk(member);
        if is_heard {
            popped.push(member.to_vec());
        }
    };
    set_mut(ctx, slot).pop_many(count, limits, &mut || random.draw(), &mut show);
    ctx.propagate_nothing();
    for members in popped.chunks(SREM_MEMBERS_MAX) {
        let mut argv: Vec<&[u8]> = vec![b"SREM", key];
        argv.extend(members.iter().map(Vec::as_slice));
        ctx.also_propagate(&argv);
    }
}

/// How many members SRANDMEMBER draws, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Draw {
    count: usize,
    /// A member may come more than once.
    repeats: bool,
}

fn parse_draw(count: &[u8]) -> Result<Draw, CommandError> {
    let count = args::int(count)?;
    if count == i64::MIN {
        return Err(CommandError::NotBetween(-i64::MAX, i64::MAX));
    }
    let drawn = usize::try_from(count.unsigned_abs()).map_err(|_| CommandError::OutOfRange)?;
    Ok(Draw { count: drawn, repeats: count < 0 })
}

fn srandmember(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let draw = match *argv {
        [_, _] => None,
        [_, _, count] => Some(parse_draw(count)?),
        _ => return Err(CommandError::Syntax),
    };
    let set = read_set(ctx, argv[1])?;
    let mut random = Random::new(ctx.env.random_seed());
    let mut random = || random.draw();
    match (set, draw) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), None) => match set.random(&mut random) {
            Some(member) => reply_element(member, reply),
            None => reply.null(),
        },
        (Some(set), Some(draw)) => {
            reply_draw(set, draw, ctx.cut_off_bytes(), &mut random, reply)?;
        }
    }
    Ok(())
}

fn reply_draw(
    set: &Set,
    draw: Draw,
    cut_off_bytes: usize,
    random: &mut dyn FnMut() -> u64,
    reply: &mut Reply<'_>,
) -> Outcome {
    if draw.repeats {
        let begin = reply.buffer().len();
        reply.array(draw.count);
        for _ in 0..draw.count {
            let Some(member) = set.random(random) else { break };
            reply_element(member, reply);
            match reply.buffer().len() - begin {
                len if len > cut_off_bytes => break,
                len if len > REPLY_BYTES_MAX => return Err(CommandError::OutOfRange),
                _ => {}
            }
        }
    } else if draw.count >= set.len() {
        reply.array(set.len());
        set.iter().for_each(|member| reply_element(member, reply));
    } else {
        reply.array(draw.count);
        let members = set.random_distinct(draw.count, random);
        members.into_iter().for_each(|member| reply_element(member, reply));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_of_the_count_says_whether_members_repeat() {
        assert_eq!(parse_draw(b"3"), Ok(Draw { count: 3, repeats: false }));
        assert_eq!(parse_draw(b"-3"), Ok(Draw { count: 3, repeats: true }));
        assert_eq!(parse_draw(b"0"), Ok(Draw { count: 0, repeats: false }));
        let range = Err(CommandError::NotBetween(-i64::MAX, i64::MAX));
        assert_eq!(parse_draw(b"-9223372036854775808"), range);
        assert_eq!(parse_draw(b"x"), Err(CommandError::NotAnInteger));
    }
}
