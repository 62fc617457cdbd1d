//! How does one go through all keys? By SCAN, whose cursor is a position in hash order: nothing is kept
//! between calls. Its options are those of HSCAN and its kin too.

use crate::base::glob::{Case, glob_match};
use crate::base::number::{self, IntBuf};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{Arg, Argv, Arity, Category, CommandSpec, Flag, Group, Outcome, Run};
use crate::keyspace::value::{ValueKind, ValueRef};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "SCAN",
    summary: "Iterates over the key names in the database.",
    since: "2.8.0",
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: &[Flag::ReadOnly, Flag::TouchesArbitraryKeys],
    categories: &[Category::Keyspace],
    args: &[
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
        Arg::string("type").token("TYPE").optional().since("6.0.0"),
    ],
    run: Run::Read(scan),
    history: &[("6.0.0", "Added the `TYPE` subcommand.")],
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    ..CommandSpec::BASE
}];

/// What is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// The keys of a db: `TYPE` is an option.
    Db,
    /// The fields of a hash: `NOVALUES` is an option.
    Hash,
    /// The members of a set or a sorted set.
    Members,
}

/// The options of the scanning commands.
#[derive(Debug, PartialEq, Eq)]
pub struct ScanOptions<'a> {
    /// `COUNT`: about how much work one call does.
    pub count: usize,
    /// `MATCH`; None takes all.
    pub pattern: Option<&'a [u8]>,
    /// `TYPE`.
    pub kind: Option<&'a [u8]>,
    /// `NOVALUES`.
    pub no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options that are left.
    pub fn parse(mut rest: Cursor<'a>, scanned: Scanned) -> Result<Self, CommandError> {
        let mut options = Self { count: 10, pattern: None, kind: None, no_values: false };
        while let Some(word) = rest.next() {
            if args::is(word, "NOVALUES") {
                if scanned != Scanned::Hash {
                    return Err(CommandError::text(
                        "ERR NOVALUES option can only be used in HSCAN",
                    ));
                }
                options.no_values = true;
                continue;
            }
            let is_type = args::is(word, "TYPE") && scanned == Scanned::Db;
            let value = rest.value()?;
            if args::is(word, "COUNT") {
                let count = args::int(value)?;
                options.count = usize::try_from(count).map_err(|_| CommandError::Syntax)?;
                if count == 0 {
                    return Err(CommandError::Syntax);
                }
            } else if args::is(word, "MATCH") {
                options.pattern = (value != b"*").then_some(value);
            } else if is_type {
                options.kind = Some(value);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Whether `MATCH` takes this text.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_match(pattern, text, Case::Sensitive))
    }

    /// Whether `TYPE` takes this value.
    fn takes_kind(&self, value: ValueRef<'_>) -> bool {
        self.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(kind_name(&value).as_bytes()))
    }
}

/// What TYPE answers.
pub fn kind_name<'a>(value: &ValueRef<'a>) -> &'a str {
    match value {
        ValueRef::Module(value) => value.vtable().name(),
        ValueRef::Unchecked(value) => value.collection().name(),
        other => match other.kind() {
            ValueKind::String => "string",
            ValueKind::List => "list",
            ValueKind::Set => "set",
            ValueKind::Zset => "zset",
            ValueKind::Hash => "hash",
            ValueKind::Stream => "stream",
            ValueKind::Module | ValueKind::Unchecked => unreachable!("handled above"),
        },
    }
}

/// A cursor, as C's `strtoul` reads one: a sign is fine, and so is nothing.
pub fn parse_cursor(arg: &[u8]) -> Result<u64, CommandError> {
    match arg {
        b"" => Some(0),
        [b' ' | b'\t'..=b'\r', ..] => None,
        number => number::parse_strtoull(number),
    }
    .ok_or(CommandError::InvalidCursor)
}

/// Writes a page: the next cursor, and the items, which are encoded already.
pub fn reply_page(reply: &mut Reply<'_>, cursor: u64, items: usize, encoded: &[u8]) {
    reply.array(2);
    reply.bulk(IntBuf::new().u64(cursor));
    reply.array(items);
    reply.raw(encoded);
}

fn scan(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let cursor = parse_cursor(argv[1])?;
    let options = ScanOptions::parse(Cursor::new(argv, 2), Scanned::Db)?;
    let (db, now_ms) = (ctx.session.db, ctx.now_ms());
    let mut page = Vec::new();
    let mut items = 0;
    let mut writer = Reply::new(&mut page, reply.protocol());
    let unit = &mut *ctx.unit;
    let keys = ctx.state.keyspace.db(db as usize);
    let next = keys.scan(cursor, options.count, |key, value, expire_at| {
        if !options.matches(key) {
        } else if expire_at.is_some_and(|at| now_ms > at) {
            unit.note_expired(db, key);
        } else if options.takes_kind(value) {
            items += 1;
            writer.bulk(key);
        }
    });
    reply_page(reply, next, items, &page);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        words: &[&'static str],
        scanned: Scanned,
    ) -> Result<ScanOptions<'static>, CommandError> {
        let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        ScanOptions::parse(Cursor::new(Vec::leak(argv), 0), scanned)
    }

    #[test]
    fn cursors_are_read_as_strtoul_does() {
        assert_eq!(parse_cursor(b"0"), Ok(0));
        assert_eq!(parse_cursor(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_cursor(b"-1"), Ok(u64::MAX));
        assert_eq!(parse_cursor(b"007"), Ok(7));
        for bad in ["18446744073709551616", "x", " 1", "1 ", "+", "1x"] {
            assert_eq!(parse_cursor(bad.as_bytes()), Err(CommandError::InvalidCursor), "{bad}");
        }
    }

    #[test]
    fn options_depend_on_what_is_scanned() {
        let options = parse(&["match", "a*", "COUNT", "5", "type", "hash"], Scanned::Db);
        let options = options.expect("valid");
        assert_eq!(
            (options.count, options.pattern, options.kind),
            (5, Some(&b"a*"[..]), Some(&b"hash"[..]))
        );
        assert!(options.matches(b"abc") && !options.matches(b"b"));
        assert_eq!(parse(&["TYPE", "hash"], Scanned::Hash), Err(CommandError::Syntax));
        assert!(parse(&["NOVALUES"], Scanned::Hash).expect("valid").no_values);
        assert!(parse(&["NOVALUES"], Scanned::Db).is_err());
        for bad in [&["COUNT", "0"][..], &["COUNT", "-1"], &["COUNT"], &["MATCH"], &["FOO", "x"]] {
            assert_eq!(parse(bad, Scanned::Db), Err(CommandError::Syntax), "{bad:?}");
        }
        assert_eq!(parse(&["COUNT", "x"], Scanned::Db), Err(CommandError::NotAnInteger));
    }

    #[test]
    fn a_star_matches_even_the_empty_key() {
        assert!(parse(&["MATCH", "*"], Scanned::Db).expect("valid").matches(b""));
    }
}
