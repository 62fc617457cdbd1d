//! What does a reference do differently for a good reason? Everything that is not listed here is a mismatch.

use crate::harness::value::Value;
use crate::play::Command;

/// A difference.
struct Known {
    /// References from this version on do as we do; [`NEVER`] where we chose to differ.
    fixed_in: [u32; 3],
    commands: &'static [&'static str],
    explains: fn(&Command, &Value, &Value) -> bool,
    /// From here on the servers hold different things.
    diverges: bool,
    #[expect(dead_code, reason = "the reason is for who reads the table")]
    reason: &'static str,
}

const NEVER: [u32; 3] = [u32::MAX; 3];

/// Commands whose replies may hold scores.
const SHOW_SCORES: &[&str] = &[
    "exec",
    "eval",
    "sort",
    "sort_ro",
    "bzpopmax",
    "bzpopmin",
    "geopos",
    "geodist",
    "zadd",
    "zdiff",
    "zincrby",
    "zinter",
    "zmpop",
    "zmscore",
    "zpopmax",
    "zpopmin",
    "zrandmember",
    "zrange",
    "zrangebyscore",
    "zrank",
    "zrevrange",
    "zrevrangebyscore",
    "zrevrank",
    "zscan",
    "zscore",
    "zunion",
];

const KNOWN: &[Known] = &[
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |_, ours, theirs| {
            is_text(ours, "listpack")
                && (is_text(theirs, "quicklist") || is_text(theirs, "hashtable"))
        },
        diverges: false,
        reason: "7.2 keeps small lists and small sets of any members in one listpack",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |_, ours, theirs| is_text(ours, "hashtable") && is_text(theirs, "listpack"),
        diverges: false,
        reason: "7.2 counts the pairs of an HSET before it looks which fields are the same",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |_, ours, theirs| is_text(ours, "skiplist") && is_text(theirs, "listpack"),
        diverges: false,
        reason: "7.2 counts the pairs of a ZADD before it looks which members are the same",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: SHOW_SCORES,
        explains: |_, ours, theirs| same_but_for_digits(ours, theirs),
        diverges: false,
        reason: "7.2 shows scores with the fewest digits that mean them, older ones with seventeen",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["lpos", "exec", "eval"],
        explains: |_, ours, _| {
            is_error(ours, "ERR value is out of range, value must between -9223")
        },
        diverges: false,
        reason: "7.2 refuses the smallest RANK, which has no absolute value",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["xread", "xreadgroup", "exec", "eval"],
        explains: |_, ours, theirs| {
            is_error(ours, "ERR Unbalanced 'xread") && is_error(theirs, "ERR Unbalanced XREAD")
        },
        diverges: false,
        reason: "7.2 names the command in this error",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["zrank", "zrevrank", "exec", "eval"],
        explains: |command, ours, theirs| {
            let names_rank = |word: &Vec<u8>| {
                word.eq_ignore_ascii_case(b"zrank") || word.eq_ignore_ascii_case(b"zrevrank")
            };
            let is_refused = |value: &Value| is_error(value, "ERR wrong number of arguments");
            command.argv.iter().any(names_rank) && is_refused(theirs)
                || command.name() == "exec"
                    && is_error(ours, "ERR syntax error")
                    && matches!(theirs, Value::Array(all) if all.iter().any(is_refused))
        },
        diverges: false,
        reason: "WITHSCORE came with 7.2",
    },
    Known {
        fixed_in: [7, 4, 0],
        commands: &["xread", "exec", "eval"],
        explains: |_, _, theirs| is_error(theirs, "ERR Invalid stream ID"),
        diverges: false,
        reason: "the ID + came with 7.4",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |_, ours, theirs| is_text(ours, "listpack") && is_text(theirs, "skiplist"),
        diverges: false,
        reason: "7.2 makes what a STORE command leaves compact when it is small",
    },
    Known {
        fixed_in: NEVER,
        commands: &["hscan", "sscan", "zscan", "scan"],
        explains: |command, ours, theirs| {
            let at = if command.name() == "scan" { 1 } else { 2 };
            let is_start = command.argv.get(at).is_some_and(|cursor| cursor == b"0");
            let is_page = |value: &Value| matches!(value, Value::Array(parts) if parts.len() == 2);
            !is_start && is_page(ours) && is_page(theirs)
        },
        diverges: false,
        reason: "a cursor means something to the server alone that gave it",
    },
    Known {
        fixed_in: NEVER,
        commands: &["pfadd"],
        explains: |_, ours, theirs| {
            matches!(ours, Value::Error(text) if text.starts_with(b"INVALIDOBJ"))
                && matches!(theirs, Value::Int(_))
        },
        diverges: true,
        reason: "where the last run of a HyperLogLog is cut off, Redis goes on behind the string's end",
    },
];

/// What two different replies mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One of them is wrong.
    Mismatch,
    /// Both are right.
    Explained,
    /// Both are right, and there is nothing to compare any more.
    Diverged,
}

/// Judges two different replies.
pub fn judge(command: &Command, ours: &Value, theirs: &Value, version: [u32; 3]) -> Verdict {
    let name = command.name();
    let fits = |known: &&Known| {
        version < known.fixed_in
            && known.commands.contains(&name.as_str())
            && (known.explains)(command, ours, theirs)
    };
    match KNOWN.iter().find(fits) {
        None => Verdict::Mismatch,
        Some(known) if known.diverges => Verdict::Diverged,
        Some(_) => Verdict::Explained,
    }
}

/// Whether two replies are the same when numbers are compared by what they mean.
fn same_but_for_digits(ours: &Value, theirs: &Value) -> bool {
    let all = |one: &[Value], two: &[Value]| {
        one.len() == two.len() && one.iter().zip(two).all(|(a, b)| same_but_for_digits(a, b))
    };
    let number = |value: &Value| -> Option<f64> {
        match value {
            Value::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            Value::Double(text) => text.parse().ok(),
            _ => None,
        }
    };
    match (ours, theirs) {
        (Value::Array(one), Value::Array(two)) => all(one, two),
        _ => ours == theirs || number(ours).is_some_and(|one| number(theirs) == Some(one)),
    }
}

fn is_error(value: &Value, start: &str) -> bool {
    matches!(value, Value::Error(text) if text.starts_with(start.as_bytes()))
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::Bulk(bytes) if bytes == text.as_bytes())
}
