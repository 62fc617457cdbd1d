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
        commands: &[
            "zadd",
            "zincrby",
            "zscore",
            "zmscore",
            "zrange",
            "zrevrange",
            "zrangebyscore",
            "zrevrangebyscore",
            "zpopmin",
            "zpopmax",
            "zmpop",
            "zunion",
            "zinter",
            "zdiff",
            "zscan",
        ],
        explains: |_, ours, theirs| same_scores(ours, theirs),
        diverges: false,
        reason: "7.2 writes the fewest digits that read back as the score, not seventeen",
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

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::Bulk(bytes) if bytes == text.as_bytes())
}

/// Whether replies differ only in how they write the same doubles.
fn same_scores(ours: &Value, theirs: &Value) -> bool {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same_scores(a, b))
        }
        (Value::Bulk(a), Value::Bulk(b)) => {
            a == b
                || matches!((number(a), number(b)), (Some(a), Some(b)) if a.to_bits() == b.to_bits())
        }
        (Value::Double(a), Value::Double(b)) => {
            matches!((number(a.as_bytes()), number(b.as_bytes())), (Some(a), Some(b)) if a.to_bits() == b.to_bits())
        }
        _ => ours == theirs,
    }
}
