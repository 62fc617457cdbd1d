//! How does one go through a hash? Piece by piece by HSCAN, at random by HRANDFIELD.

use super::{hash_time, note_expired, reply_element};
use crate::base::number::IntBuf;
use crate::base::random::Random;
use crate::commands::scan::{self, ScanOptions};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::hash::{Hash, Pair};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HSCAN",
        summary: "Iterates over fields and values of a hash.",
        since: "2.8.0",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        group: Group::Hash,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::integer("cursor"),
            Arg::pattern("pattern").token("MATCH").optional(),
            Arg::integer("count").token("COUNT").optional(),
            Arg::flag("novalues", "NOVALUES").optional(),
        ],
        run: Run::Read(hscan),
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HRANDFIELD",
        summary: "Returns one or more random fields from a hash.",
        since: "6.2.0",
        complexity: "O(N) where N is the number of fields returned",
        group: Group::Hash,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::block(
                "options",
                &[Arg::integer("count"), Arg::flag("withvalues", "WITHVALUES").optional()],
            )
            .optional(),
        ],
        run: Run::Read(hrandfield),
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
];

/// A reply of HRANDFIELD that is longer than this is refused: with a negative count its length is the
/// client's to choose.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// The least that one field takes in it: `$0`, two ends of line, nothing between.
const ELEMENT_BYTES_MIN: usize = 6;

fn hscan(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let cursor = scan::parse_cursor(argv[2])?;
    let Some(hash) = ctx.hash(argv[1])? else {
        scan::reply_page(reply, 0, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(Cursor::new(argv, 3), scan::Scanned::Hash)?;
    let mut page = Vec::new();
    let mut items = 0;
    let mut writer = Reply::new(&mut page, reply.protocol());
    let mut digits = IntBuf::new();
    let now = hash_time(ctx.expiry_ms());
    let next = hash.scan(cursor, options.count, now, &mut |field, value| {
        if options.matches(field.text(&mut digits)) {
            items += 1;
            reply_element(field, &mut writer);
            if !options.no_values {
                items += 1;
                reply_element(value, &mut writer);
            }
        }
    });
    scan::reply_page(reply, next, items, &page);
    note_expired(ctx, argv[1], hash);
    Ok(())
}

/// How many fields HRANDFIELD draws, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Draw {
    count: usize,
    /// A field may come more than once.
    repeats: bool,
    with_values: bool,
}

/// The count and what follows it.
fn parse_draw(argv: Argv<'_>) -> Result<Draw, CommandError> {
    let count = args::int(argv[2])?;
    if count == i64::MIN {
        return Err(CommandError::NotBetween(-i64::MAX, i64::MAX));
    }
    let mut rest = Cursor::new(argv, 3);
    let with_values = match rest.next() {
        None => false,
        Some(word) if args::is(word, "WITHVALUES") => true,
        Some(_) => return Err(CommandError::Syntax),
    };
    rest.end()?;
    // With values the reply has twice as many elements, which must be countable too.
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::OutOfRange);
    }
    let drawn = usize::try_from(count.unsigned_abs()).map_err(|_| CommandError::OutOfRange)?;
    Ok(Draw { count: drawn, repeats: count < 0, with_values })
}

fn hrandfield(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let draw = if argv.len() > 2 { Some(parse_draw(argv)?) } else { None };
    let hash = ctx.hash(argv[1])?;
    let now = hash_time(ctx.expiry_ms());
    let mut random = Random::new(ctx.env.random_seed());
    let mut random = || random.draw();
    match (hash, draw) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(hash), None) => match hash.sampler(now).draw(&mut random) {
            Some((field, _)) => reply_element(field, reply),
            None => reply.null(),
        },
        (Some(hash), Some(draw)) => {
            let cut_off_bytes = ctx.cut_off_bytes();
            reply_draw(hash, draw, now, cut_off_bytes, &mut random, reply)?;
        }
    }
    if let Some(hash) = hash {
        note_expired(ctx, argv[1], hash);
    }
    Ok(())
}

fn reply_draw(
    hash: &Hash,
    draw: Draw,
    now: u64,
    cut_off_bytes: usize,
    random: &mut dyn FnMut() -> u64,
    reply: &mut Reply<'_>,
) -> Outcome {
    let visible = hash.visible_len(now);
    if draw.count == 0 || visible == 0 {
        reply.array(0);
    } else if draw.repeats {
        // What is certain to be too long is not begun: a gigabyte takes seconds.
        if cut_off_bytes == usize::MAX && draw.count > REPLY_BYTES_MAX / ELEMENT_BYTES_MIN {
            return Err(CommandError::OutOfRange);
        }
        let sampler = hash.sampler(now);
        let begin = reply.buffer().len();
        reply_head(draw, draw.count, reply);
        for _ in 0..draw.count {
            if let Some(pair) = sampler.draw(random) {
                reply_pair(draw, pair, reply);
            }
            match reply.buffer().len() - begin {
                len if len > cut_off_bytes => break,
                len if len > REPLY_BYTES_MAX => return Err(CommandError::OutOfRange),
                _ => {}
            }
        }
    } else if draw.count >= visible {
        reply_head(draw, visible, reply);
        hash.iter(now).for_each(|pair| reply_pair(draw, pair, reply));
    } else {
        let pairs = hash.random_distinct(draw.count, now, random);
        reply_head(draw, pairs.len(), reply);
        pairs.into_iter().for_each(|pair| reply_pair(draw, pair, reply));
    }
    Ok(())
}

/// RESP2 has fields and values in one row, RESP3 an array of pairs.
fn reply_head(draw: Draw, len: usize, reply: &mut Reply<'_>) {
    reply.array(if draw.with_values && !reply.is_resp3() { len * 2 } else { len });
}

fn reply_pair(draw: Draw, (field, value): Pair<'_>, reply: &mut Reply<'_>) {
    if draw.with_values && reply.is_resp3() {
        reply.array(2);
    }
    reply_element(field, reply);
    if draw.with_values {
        reply_element(value, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&'static str]) -> Result<Draw, CommandError> {
        let argv: Vec<&[u8]> =
            ["HRANDFIELD", "k"].iter().chain(words).map(|word| word.as_bytes()).collect();
        parse_draw(Vec::leak(argv))
    }

    #[test]
    fn the_sign_of_the_count_says_whether_fields_repeat() {
        assert_eq!(parse(&["3"]), Ok(Draw { count: 3, repeats: false, with_values: false }));
        let draw = Draw { count: 3, repeats: true, with_values: true };
        assert_eq!(parse(&["-3", "withvalues"]), Ok(draw));
    }

    #[test]
    fn counts_beyond_the_reply_are_refused() {
        let range = Err(CommandError::NotBetween(-i64::MAX, i64::MAX));
        assert_eq!(parse(&["-9223372036854775808"]), range);
        assert_eq!(parse(&["-9223372036854770000", "WITHVALUES"]), Err(CommandError::OutOfRange));
        assert_eq!(parse(&["x"]), Err(CommandError::NotAnInteger));
        assert_eq!(parse(&["1", "WITHVALUE"]), Err(CommandError::Syntax));
        assert_eq!(parse(&["1", "WITHVALUES", "x"]), Err(CommandError::Syntax));
    }
}
