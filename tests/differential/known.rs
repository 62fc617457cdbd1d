//! What does a reference do differently for a good reason? Everything that is not listed here is a mismatch.

use crate::harness::value::Value;
use crate::play::Command;

/// A difference.
struct Known {
    /// References from this version on do as we do; [`NEVER`] where we chose to differ.
    fixed_in: [u32; 3],
    command: &'static str,
    explains: fn(&Command, &Value, &Value) -> bool,
    #[expect(dead_code, reason = "the reason is for who reads the table")]
    reason: &'static str,
}

const NEVER: [u32; 3] = [u32::MAX; 3];

const KNOWN: &[Known] = &[
    Known {
        fixed_in: [7, 2, 0],
        command: "object",
        explains: |_, ours, theirs| {
            is_text(ours, "listpack")
                && (is_text(theirs, "quicklist") || is_text(theirs, "hashtable"))
        },
        reason: "7.2 keeps small lists and small sets of any members in one listpack",
    },
    Known {
        fixed_in: NEVER,
        command: "object",
        explains: |command, ours, theirs| {
            is_text(ours, "embstr")
                && is_text(theirs, "raw")
                && command.argv.get(2).is_some_and(|key| key.starts_with(b"hll"))
        },
        reason: "Redis stores a HyperLogLog anew, as a raw string, when it merely looks at it",
    },
    Known { fixed_in: NEVER, command: "hscan", explains: foreign_cursor, reason: FOREIGN_CURSOR },
    Known { fixed_in: NEVER, command: "sscan", explains: foreign_cursor, reason: FOREIGN_CURSOR },
    Known { fixed_in: NEVER, command: "zscan", explains: foreign_cursor, reason: FOREIGN_CURSOR },
    Known { fixed_in: NEVER, command: "scan", explains: foreign_cursor, reason: FOREIGN_CURSOR },
];

const FOREIGN_CURSOR: &str = "a cursor means something to the server alone that gave it";

fn foreign_cursor(command: &Command, ours: &Value, theirs: &Value) -> bool {
    let at = if command.name() == "scan" { 1 } else { 2 };
    let is_start = command.argv.get(at).is_some_and(|cursor| cursor == b"0");
    let is_page = |value: &Value| matches!(value, Value::Array(parts) if parts.len() == 2);
    !is_start && is_page(ours) && is_page(theirs)
}

/// Whether two different replies are both right.
pub fn explains(command: &Command, ours: &Value, theirs: &Value, version: [u32; 3]) -> bool {
    let name = command.name();
    KNOWN.iter().any(|known| {
        version < known.fixed_in && known.command == name && (known.explains)(command, ours, theirs)
    })
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::Bulk(bytes) if bytes == text.as_bytes())
}
