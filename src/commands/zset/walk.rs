//! How does one go through a sorted set? Piece by piece by ZSCAN, at random by ZRANDMEMBER.

use super::{Show, read_zset, reply_element, reply_head, reply_scored};
use crate::base::number::{IntBuf, format_double};
use crate::base::random::{Random, below, distinct, shuffle_front};
use crate::commands::scan::{self, ScanOptions};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::zset::{Scored, Zset};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZSCAN",
        summary: "Iterates over members and scores of a sorted set.",
        since: "2.8.0",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::integer("cursor"),
            Arg::pattern("pattern").token("MATCH").optional(),
            Arg::integer("count").token("COUNT").optional(),
        ],
        run: Run::Read(zscan),
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANDMEMBER",
        summary: "Returns one or more random members from a sorted set.",
        since: "6.2.0",
        complexity: "O(N) where N is the number of members returned",
        group: Group::SortedSet,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::block(
                "options",
                &[Arg::integer("count"), Arg::flag("withscores", "WITHSCORES").optional()],
            )
            .optional(),
        ],
        run: Run::Read(zrandmember),
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
];

/// A reply of ZRANDMEMBER that is longer than this is refused: with a negative count its length is the
/// client's to choose.
const REPLY_BYTES_MAX: usize = 1 << 30;

fn zscan(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let cursor = scan::parse_cursor(argv[2])?;
    let Some(zset) = read_zset(ctx, argv[1])? else {
        scan::reply_page(reply, 0, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(Cursor::new(argv, 3), scan::Scanned::Members)?;
    let mut page = Vec::new();
    let mut items = 0;
    let mut writer = Reply::new(&mut page, reply.protocol());
    let mut digits = IntBuf::new();
    // A listpack shows its scores as they lie in it, a tree as the widest type of C prints them.
    let is_listpack = zset.as_listpack().is_some();
    let next = zset.scan(cursor, options.count, &mut |member, score| {
        if options.matches(member.text(&mut digits)) {
            items += 2;
            reply_element(member, &mut writer);
            if is_listpack {
                writer.bulk(format_double(score).as_bytes());
            } else {
                writer.bulk(seventeen_digits(score).as_bytes());
            }
        }
    });
    scan::reply_page(reply, next, items, &page);
    Ok(())
}

/// A score as C prints it by `%.17Lg`: seventeen digits without trailing zeros, with an exponent if
/// that is below -4 or above 16.
fn seventeen_digits(score: f64) -> String {
    if score == 0.0 || score.is_infinite() {
        return String::from_utf8_lossy(format_double(score).as_bytes()).into_owned();
    }
    let scientific = format!("{score:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if (-4..17).contains(&exponent) {
        let text = format!("{score:.*}", (16 - exponent).max(0) as usize);
        return if text.contains('.') { trimmed(&text) } else { text };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs())
}

/// How many members ZRANDMEMBER draws, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Draw {
    count: usize,
    /// A member may come more than once.
    repeats: bool,
    show: Show,
}

/// The count and what follows it.
fn parse_draw(argv: Argv<'_>) -> Result<Draw, CommandError> {
    let count = args::int(argv[2])?;
    if count == i64::MIN {
        return Err(CommandError::NotBetween(-i64::MAX, i64::MAX));
    }
    let show = match &argv[3..] {
        [] => Show::Members,
        [word] if args::is(word, "WITHSCORES") => Show::Scores,
        _ => return Err(CommandError::Syntax),
    };
    // With scores the reply has twice as many elements, which must be countable too.
    if show == Show::Scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::OutOfRange);
    }
    let drawn = usize::try_from(count.unsigned_abs()).map_err(|_| CommandError::OutOfRange)?;
    Ok(Draw { count: drawn, repeats: count < 0, show })
}

fn zrandmember(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let draw = if argv.len() > 2 { Some(parse_draw(argv)?) } else { None };
    let zset = read_zset(ctx, argv[1])?;
    let mut random = Random::new(ctx.env.random_seed());
    match (zset, draw) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(zset), None) => match one(zset, &mut random) {
            Some((member, _)) => reply_element(member, reply),
            None => reply.null(),
        },
        (Some(zset), Some(draw)) => {
            reply_draw(zset, draw, ctx.cut_off_bytes(), &mut random, reply)?;
        }
    }
    Ok(())
}

/// A member at random.
fn one<'a>(zset: &'a Zset, random: &mut Random) -> Option<Scored<'a>> {
    zset.nth(below(zset.len(), &mut || random.draw()))
}

fn reply_draw(
    zset: &Zset,
    draw: Draw,
    cut_off_bytes: usize,
    random: &mut Random,
    reply: &mut Reply<'_>,
) -> Outcome {
    if draw.count == 0 {
        reply.array(0);
    } else if draw.repeats {
        let begin = reply.buffer().len();
        reply_head(draw.show, draw.count, reply);
        for _ in 0..draw.count {
            if let Some(member) = one(zset, random) {
                reply_scored(draw.show, member, reply);
            }
            match reply.buffer().len() - begin {
                len if len > cut_off_bytes => break,
                len if len > REPLY_BYTES_MAX => return Err(CommandError::OutOfRange),
                _ => {}
            }
        }
    } else if draw.count >= zset.len() {
        reply_head(draw.show, zset.len(), reply);
        zset.iter().for_each(|member| reply_scored(draw.show, member, reply));
    } else {
        reply_head(draw.show, draw.count, reply);
        for rank in distinct_ranks(zset.len(), draw.count, random) {
            if let Some(member) = zset.nth(rank) {
                reply_scored(draw.show, member, reply);
            }
        }
    }
    Ok(())
}

/// `count` different numbers below `len`, which is more. A small part is drawn until all differ, a larger
/// one is the beginning of all numbers shuffled.
fn distinct_ranks(len: usize, count: usize, random: &mut Random) -> Vec<usize> {
    if count < len / 4 {
        return distinct(len, count, &mut || random.draw());
    }
    let mut ranks: Vec<usize> = (0..len).collect();
    shuffle_front(&mut ranks, count, &mut || random.draw());
    ranks.truncate(count);
    ranks
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn scores_are_printed_with_seventeen_digits() {
        for (score, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-12.5, "-12.5"),
            (0.1, "0.10000000000000001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (3.5e-100, "3.5000000000000001e-100"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (1234567.0, "1234567"),
            (9.999999999999999e16, "99999999999999984"),
        ] {
            assert_eq!(seventeen_digits(score), text);
        }
    }

    #[test]
    fn ranks_are_different_and_any() {
        let mut random = Random::new(1);
        for (len, count) in [(10, 9), (10, 1), (1000, 100), (1000, 500), (2, 1)] {
            let mut hit = HashSet::new();
            for _ in 0..200 {
                let ranks = distinct_ranks(len, count, &mut random);
                assert_eq!(ranks.len(), count);
                assert_eq!(ranks.iter().collect::<HashSet<_>>().len(), count);
                assert!(ranks.iter().all(|rank| *rank < len));
                hit.extend(ranks);
            }
            assert!(hit.len() >= len.min(150), "{len} {count}: {}", hit.len());
        }
    }

    #[test]
    fn counts_beyond_the_reply_are_refused() {
        let parse = |words: &[&'static str]| {
            let argv: Vec<&[u8]> =
                ["ZRANDMEMBER", "k"].iter().chain(words).map(|word| word.as_bytes()).collect();
            parse_draw(Vec::leak(argv))
        };
        let draw = Draw { count: 3, repeats: true, show: Show::Scores };
        assert_eq!(parse(&["-3", "withscores"]), Ok(draw));
        let range = Err(CommandError::NotBetween(-i64::MAX, i64::MAX));
        assert_eq!(parse(&["-9223372036854775808"]), range);
        assert_eq!(parse(&["-9223372036854770000", "WITHSCORES"]), Err(CommandError::OutOfRange));
        assert_eq!(parse(&["x"]), Err(CommandError::NotAnInteger));
        assert_eq!(parse(&["1", "WITHSCORES", "x"]), Err(CommandError::Syntax));
    }
}
