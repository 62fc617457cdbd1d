//! What do two strings have in common? LCS: their longest common subsequence.
//!
//! The textbook table: cell (i, j) is the length for the first i bytes of one and j of the other. Work
//! and memory are the product of the two lengths; the memory is limited by `proto-max-bulk-len`.

use std::sync::atomic::Ordering;

use crate::engine::args::{self, Cursor};
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::{StrRef, ValueRef};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "LCS",
    summary: "Finds the longest common substring.",
    since: "7.0.0",
    complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: &[Flag::ReadOnly],
    keys: &[KeySpec::range(1, 1, 1, Access::Read)],
    args: &[
        Arg::key("key1"),
        Arg::key("key2"),
        Arg::flag("len", "LEN").optional(),
        Arg::flag("idx", "IDX").optional(),
        Arg::integer("min-match-len").token("MINMATCHLEN").optional(),
        Arg::flag("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    run: Run::Read(lcs),
    ..CommandSpec::BASE
}];

const TOO_LARGE: CommandError = CommandError::text(
    "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
);
const NO_MEMORY: CommandError =
    CommandError::text("ERR Insufficient memory, failed allocating transient memory for LCS");

/// The options of LCS.
#[derive(Debug, Default, PartialEq, Eq)]
struct LcsOptions {
    len: bool,
    idx: bool,
    with_match_len: bool,
    match_len_min: usize,
}

fn parse_lcs(argv: Argv<'_>) -> Result<LcsOptions, CommandError> {
    let mut options = LcsOptions::default();
    let mut rest = Cursor::new(argv, 3);
    while let Some(word) = rest.next() {
        if args::is(word, "IDX") {
            options.idx = true;
        } else if args::is(word, "LEN") {
            options.len = true;
        } else if args::is(word, "WITHMATCHLEN") {
            options.with_match_len = true;
        } else if args::is(word, "MINMATCHLEN") {
            options.match_len_min = usize::try_from(rest.int()?).unwrap_or(0);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if options.len && options.idx {
        return Err(CommandError::text(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    Ok(options)
}

fn lcs(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (Ok(a), Ok(b)) = (string_or_empty(ctx, argv[1]), string_or_empty(ctx, argv[2])) else {
        return Err(CommandError::text("ERR The specified keys must contain string values"));
    };
    let options = parse_lcs(argv)?;
    let (a, b) = (a.to_cow(), b.to_cow());
    let bytes_max = ctx.env.shared.limits.bulk_bytes.load(Ordering::Relaxed);
    let table = Table::new(&a, &b, usize::try_from(bytes_max).unwrap_or(0))?;
    if options.idx {
        reply_matches(&table, &options, reply);
    } else if options.len {
        reply.len(table.len());
    } else {
        let mut common = Vec::with_capacity(table.len());
        for stretch in table.stretches().iter().rev() {
            common.extend_from_slice(&a[stretch.a..stretch.a + stretch.len]);
        }
        reply.bulk(&common);
    }
    Ok(())
}

fn string_or_empty<'a>(ctx: &mut ReadCtx<'a>, key: &[u8]) -> Result<StrRef<'a>, CommandError> {
    match ctx.value(key) {
        None => Ok(StrRef::Bytes(&[])),
        Some(ValueRef::Str(value)) => Ok(value),
        Some(_) => Err(CommandError::WrongType),
    }
}

fn reply_matches(table: &Table<'_>, options: &LcsOptions, reply: &mut Reply<'_>) {
    let range = |start: usize, len: usize, reply: &mut Reply<'_>| {
        reply.array(2);
        reply.len(start);
        reply.len(start + len - 1);
    };
    let mut stretches = table.stretches();
    stretches.retain(|stretch| stretch.len >= options.match_len_min);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(stretches.len());
    for stretch in &stretches {
        reply.array(2 + usize::from(options.with_match_len));
        range(stretch.a, stretch.len, reply);
        range(stretch.b, stretch.len, reply);
        if options.with_match_len {
            reply.len(stretch.len);
        }
    }
    reply.bulk(b"len");
    reply.len(table.len());
}

/// Bytes in a row that the common subsequence takes from both strings; never empty.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    a: usize,
    b: usize,
    len: usize,
}

struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    /// Row by row, `b.len() + 1` cells each.
    cells: Vec<u32>,
}

impl<'a> Table<'a> {
    fn new(a: &'a [u8], b: &'a [u8], bytes_max: usize) -> Result<Self, CommandError> {
        if a.len().max(b.len()) >= u32::MAX as usize - 1 {
            return Err(CommandError::text("ERR String too long for LCS"));
        }
        let width = b.len() + 1;
        let size = width.checked_mul(a.len() + 1).ok_or(TOO_LARGE)?;
        if size.checked_mul(size_of::<u32>()).is_none_or(|bytes| bytes > bytes_max) {
            return Err(TOO_LARGE);
        }
        let mut cells = Vec::new();
        cells.try_reserve_exact(size).map_err(|_| NO_MEMORY)?;
        cells.resize(width, 0);
        for byte in a {
            cells.push(0);
            for other in b {
                let (left, above) = (cells.len() - 1, cells.len() - width);
                let cell = match byte == other {
                    true => cells[above - 1] + 1,
                    false => cells[above].max(cells[left]),
                };
                cells.push(cell);
            }
        }
        Ok(Self { a, b, cells })
    }

    fn at(&self, i: usize, j: usize) -> usize {
        self.cells[i * (self.b.len() + 1) + j] as usize
    }

    fn len(&self) -> usize {
        self.at(self.a.len(), self.b.len())
    }

    /// The stretches of one longest common subsequence, from the last to the first.
    fn stretches(&self) -> Vec<Stretch> {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut is_open = false;
        while i > 0 && j > 0 {
            if self.a[i - 1] == self.b[j - 1] {
                (i, j) = (i - 1, j - 1);
                match stretches.last_mut() {
                    Some(stretch) if is_open => {
                        *stretch = Stretch { a: i, b: j, len: stretch.len + 1 }
                    }
                    _ => stretches.push(Stretch { a: i, b: j, len: 1 }),
                }
                is_open = true;
            } else {
                is_open = false;
                if self.at(i - 1, j) > self.at(i, j - 1) { i -= 1 } else { j -= 1 }
            }
        }
        stretches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(a: &[u8], b: &[u8]) -> (usize, Vec<u8>) {
        let table = Table::new(a, b, 1 << 20).expect("small");
        let mut text = Vec::new();
        for stretch in table.stretches().iter().rev() {
            assert_eq!(
                a[stretch.a..stretch.a + stretch.len],
                b[stretch.b..stretch.b + stretch.len]
            );
            text.extend_from_slice(&a[stretch.a..stretch.a + stretch.len]);
        }
        (table.len(), text)
    }

    #[test]
    fn the_longest_common_subsequence_is_found() {
        assert_eq!(common(b"ohmytext", b"mynewtext"), (6, b"mytext".to_vec()));
        assert_eq!(common(b"", b"abc"), (0, vec![]));
        assert_eq!(common(b"abc", b"abc"), (3, b"abc".to_vec()));
        assert_eq!(common(b"abc", b"xyz"), (0, vec![]));
    }

    #[test]
    fn memory_is_limited() {
        assert_eq!(Table::new(b"abc", b"abc", 63).err(), Some(TOO_LARGE));
        assert!(Table::new(b"abc", b"abc", 64).is_ok());
    }

    /// Whether `part` comes out of `whole` by leaving bytes out.
    fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
        let mut rest = whole.iter();
        part.iter().all(|byte| rest.any(|other| other == byte))
    }

    proptest::proptest! {
        #[test]
        fn it_is_a_subsequence_of_both_and_as_long_as_any(a in "[abc]{0,9}", b in "[abc]{0,9}") {
            let (len, text) = common(a.as_bytes(), b.as_bytes());
            proptest::prop_assert_eq!(text.len(), len);
            let mut longest = 0;
            for mask in 0u32..1 << a.len() {
                let kept: Vec<u8> =
                    a.bytes().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, b)| b).collect();
                if is_subsequence(&kept, b.as_bytes()) {
                    longest = longest.max(kept.len());
                }
            }
            proptest::prop_assert_eq!(len, longest);
        }
    }
}
