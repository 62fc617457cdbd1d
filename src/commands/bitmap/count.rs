//! How many bits are set, and where is the first one? BITCOUNT and BITPOS.

use super::bytes_of;
use crate::base::number::IntBuf;
use crate::engine::args;
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::bitmap;
use crate::resp::reply::Reply;

/// Whether a range counts bytes or bits.
const UNIT: Arg =
    Arg::one_of("unit", &[Arg::flag("byte", "BYTE"), Arg::flag("bit", "BIT")]).optional();

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BITCOUNT",
        summary: "Counts the number of set bits (population counting) in a string.",
        since: "2.6.0",
        complexity: "O(N)",
        group: Group::Bitmap,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::block("range", &[Arg::integer("start"), Arg::integer("end"), UNIT.since("7.0.0")])
                .optional(),
        ],
        run: Run::Read(bitcount),
        history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BITPOS",
        summary: "Finds the first set (1) or clear (0) bit in a string.",
        since: "2.8.7",
        complexity: "O(N)",
        group: Group::Bitmap,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::integer("bit"),
            Arg::block(
                "range",
                &[
                    Arg::integer("start"),
                    Arg::block("end-unit-block", &[Arg::integer("end"), UNIT.since("7.0.0")])
                        .optional(),
                ],
            )
            .optional(),
        ],
        run: Run::Read(bitpos),
        history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
        ..CommandSpec::BASE
    },
];

/// Whether a range counts bits, not bytes.
fn parse_unit(arg: &[u8]) -> Result<bool, CommandError> {
    match arg {
        _ if args::is(arg, "BIT") => Ok(true),
        _ if args::is(arg, "BYTE") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

/// The bits from `start` to `end`, both included, which are counted in bytes or bits and, if negative,
/// from the end. None if the range is empty.
fn bit_range(bytes: &[u8], start: i64, end: i64, in_bits: bool) -> Option<(usize, usize)> {
    let unit = if in_bits { 1 } else { 8 };
    // No string is so long that its bits could not be counted.
    let len = bytes.len() as i64 * 8 / unit;
    let from_front = |at: i64| if at < 0 { len.saturating_add(at).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(len - 1));
    if start > end {
        return None;
    }
    Some(((start * unit) as usize, (end * unit + unit - 1) as usize))
}

fn bitcount(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    // As in Redis, where nothing is or what is no string is said before the range is looked at.
    let Some(value) = ctx.string(argv[1])? else {
        reply.int(0);
        return Ok(());
    };
    let mut digits = IntBuf::new();
    let bytes = bytes_of(Some(value), &mut digits);
    let set = match &argv[2..] {
        [] => bitmap::count(bytes),
        [start, end, unit @ ..] if unit.len() <= 1 => {
            let (start, end) = (args::int(start)?, args::int(end)?);
            if start < 0 && end < 0 && start > end {
                0
            } else {
                let in_bits = unit.first().map_or(Ok(false), |unit| parse_unit(unit))?;
                bit_range(bytes, start, end, in_bits)
                    .map_or(0, |(first, last)| bitmap::count_bits(bytes, first, last))
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    reply.int(set as i64);
    Ok(())
}

/// Which bits BITPOS looks through.
struct Search {
    start: i64,
    /// Without an end the string goes on with zeros for ever.
    end: Option<i64>,
    in_bits: bool,
}

fn parse_search(range: Argv<'_>) -> Result<Search, CommandError> {
    let [start, rest @ ..] = range else {
        return Ok(Search { start: 0, end: None, in_bits: false });
    };
    if rest.len() > 2 {
        return Err(CommandError::Syntax);
    }
    let start = args::int(start)?;
    let in_bits = rest.get(1).map_or(Ok(false), |unit| parse_unit(unit))?;
    let end = rest.first().map(|end| args::int(end)).transpose()?;
    Ok(Search { start, end, in_bits })
}

fn bitpos(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let bit = match args::int(argv[2])? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::text("ERR The bit argument must be 1 or 0.")),
    };
    // Where nothing is, all bits are zero; as in Redis the range is not looked at then.
    let Some(value) = ctx.string(argv[1])? else {
        reply.int(if bit { -1 } else { 0 });
        return Ok(());
    };
    let search = parse_search(&argv[3..])?;
    let mut digits = IntBuf::new();
    let bytes = bytes_of(Some(value), &mut digits);
    let found = bit_range(bytes, search.start, search.end.unwrap_or(-1), search.in_bits).and_then(
        |(first, last)| {
            bitmap::find_bit(bytes, bit, first, last)
                .or_else(|| (!bit && search.end.is_none()).then_some(last + 1))
        },
    );
    reply.int(found.map_or(-1, |at| at as i64));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_and_counted_from_both_ends() {
        let bytes = b"abcd";
        assert_eq!(bit_range(bytes, 0, -1, false), Some((0, 31)));
        assert_eq!(bit_range(bytes, 0, -1, true), Some((0, 31)));
        assert_eq!(bit_range(bytes, -2, -2, false), Some((16, 23)));
        assert_eq!(bit_range(bytes, 5, 100, true), Some((5, 31)));
        assert_eq!(bit_range(bytes, 4, 100, false), None);
        assert_eq!(bit_range(bytes, i64::MIN, i64::MAX, false), Some((0, 31)));
        assert_eq!(bit_range(bytes, i64::MAX, i64::MIN, true), None);
        assert_eq!(bit_range(b"", 0, -1, false), None);
    }
}
