//! What does a reference do differently for a good reason? Everything that is not listed here is a mismatch.
//!
//! Each reason was checked in the sources of the version that it names.

use crate::alike::{
    has_several_scores, in_order_of_keys, is_arity_error, is_error, is_text, same_but_for_names,
    without_consumer_events, without_digits, without_idle_consumers,
};
use crate::command::{Pair, Via};
use crate::compare::Compare;
use crate::events;
use crate::harness::value::Value;

/// A difference.
struct Known {
    /// References from this version on do as we do; [`NEVER`] where we chose to differ.
    fixed_in: [u32; 3],
    commands: &'static [&'static str],
    explains: fn(&Difference<'_>) -> bool,
    /// From here on the servers hold different things.
    diverges: bool,
    reason: &'static str,
}

const NEVER: [u32; 3] = [u32::MAX; 3];

/// Two replies that are not the same.
struct Difference<'a> {
    argv: &'a [Vec<u8>],
    compare: Compare,
    via: Via,
    /// What came before it, where that is compared too.
    before: Option<&'a Value>,
    ours: &'a Value,
    theirs: &'a Value,
}

/// Commands whose replies may hold scores.
const SHOW_SCORES: &[&str] = &[
    "sort",
    "sort_ro",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "eval",
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
    "zrevrange",
    "zrevrangebyscore",
    "zscan",
    "zscore",
    "zunion",
];

/// All commands.
const ANY: &[&str] = &[];

/// Commands that have a timeout.
const BLOCK: &[&str] = &[
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "xread",
    "xreadgroup",
];

const KNOWN: &[Known] = &[
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |it| {
            it.is_a("list") && is_text(it.ours, "listpack") && is_text(it.theirs, "quicklist")
        },
        diverges: false,
        reason: "7.2 keeps small lists in one listpack",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |it| {
            it.is_a("set") && is_text(it.ours, "listpack") && is_text(it.theirs, "hashtable")
        },
        diverges: false,
        reason: "7.2 keeps small sets of any members in one listpack",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |it| {
            it.is_a("hash") && is_text(it.ours, "hashtable") && is_text(it.theirs, "listpack")
        },
        diverges: false,
        reason: "7.2 counts the pairs of an HSET before it looks which fields are the same",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |it| {
            it.is_a("zset") && is_text(it.ours, "skiplist") && is_text(it.theirs, "listpack")
        },
        diverges: false,
        reason: "7.2 counts the pairs of a ZADD before it looks which members are the same",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: SHOW_SCORES,
        explains: |it| it.compare.same(&without_digits(it.ours), &without_digits(it.theirs)),
        diverges: false,
        reason: "7.2 shows scores with the fewest digits that mean them, older ones with seventeen",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["zrank", "zrevrank"],
        explains: |it| it.argv.len() > 3 && is_arity_error(it.theirs),
        diverges: false,
        reason: "WITHSCORE came with 7.2",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["xread", "xreadgroup"],
        explains: |it| {
            is_error(it.ours, "ERR Unbalanced 'xread")
                && is_error(it.theirs, "ERR Unbalanced XREAD list of streams: ")
        },
        diverges: false,
        reason: "7.2 names the command in this error",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: BLOCK,
        explains: |it| {
            is_error(it.ours, "ERR timeout is out of range")
                && is_error(it.theirs, "ERR timeout is negative")
        },
        diverges: false,
        reason: "7.2 tells a timeout that is too long for a deadline from one below zero",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: BLOCK,
        explains: |it| is_error(it.ours, "ERR timeout is out of range"),
        diverges: true,
        reason: "7.2 refuses a timeout whose deadline is too far away",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["xinfo"],
        explains: |it| {
            let of = |reply| in_order_of_keys(&without_idle_consumers(reply));
            Compare::Info.same(&of(it.ours), &of(it.theirs))
        },
        diverges: false,
        reason: "7.2 makes a consumer for XREADGROUP, XCLAIM and XAUTOCLAIM that find nothing for it",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["xgroup"],
        explains: |it| {
            it.argv[1].eq_ignore_ascii_case(b"createconsumer")
                && (it.ours, it.theirs) == (&Value::Int(0), &Value::Int(1))
        },
        diverges: false,
        reason: "7.2 made the consumer before, as above",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["xsetid"],
        explains: |it| {
            is_error(it.ours, "ERR The ID specified in XSETID is smaller than current max_deleted")
        },
        diverges: true,
        reason: "7.2 does not go back behind an entry that was deleted",
    },
    Known {
        fixed_in: NEVER,
        commands: &["sort"],
        explains: |it| it.is_a("set") && !it.has(b"store") && it.sorts_by_nothing(),
        diverges: false,
        reason: "the order of a set is nobody's business; SORT BY a text without a star shows it",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["object"],
        explains: |it| {
            it.is_a("set")
                && is_text(it.theirs, "intset")
                && (is_text(it.ours, "listpack") || is_text(it.ours, "hashtable"))
        },
        diverges: false,
        reason: "7.2 counts the members of a SADD before it looks which are the same",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &["lpos"],
        explains: |it| {
            is_error(
                it.ours,
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            )
        },
        diverges: false,
        reason: "7.2 refuses the smallest RANK, which has no absolute value",
    },
    Known {
        fixed_in: NEVER,
        commands: &["zlexcount", "zrange", "zrangebylex", "zrevrangebylex"],
        explains: |it| it.before.is_some_and(has_several_scores),
        diverges: false,
        reason: "what a lexicographic range means among different scores is said to be unspecified",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: ANY,
        explains: |it| {
            it.via == Via::Keys
                && it.argv.len() == 1
                && is_error(
                    it.theirs,
                    "ERR wrong number of arguments for 'command|getkeys' command",
                )
        },
        diverges: false,
        reason: "7.2 takes commands of one word, too",
    },
    Known {
        fixed_in: [7, 4, 0],
        commands: &["xread", "xreadgroup"],
        explains: |it| it.has(b"+") && is_error(it.theirs, "ERR Invalid stream ID"),
        diverges: false,
        reason: "the ID + came with 7.4",
    },
    Known {
        fixed_in: NEVER,
        commands: ANY,
        explains: |it| {
            it.via == Via::Script(3)
                && it.compare.same(&in_order_of_keys(it.ours), &in_order_of_keys(it.theirs))
        },
        diverges: false,
        reason: "a map that was a table of Lua is in any order",
    },
    Known {
        fixed_in: NEVER,
        commands: &["xadd"],
        explains: |it| {
            let are_ids = [it.ours, it.theirs].map(|id| matches!(id, Value::Bulk(_)));
            it.has(b"*") && are_ids == [true, true]
        },
        diverges: true,
        reason: "an ID of * is the time",
    },
    Known {
        fixed_in: NEVER,
        commands: &["hscan", "sscan", "zscan", "scan"],
        explains: |it| {
            let at = if it.argv[0].len() == 4 { 1 } else { 2 };
            let is_start = it.argv.get(at).is_some_and(|cursor| cursor == b"0");
            let is_page = |value: &Value| matches!(value, Value::Array(parts) if parts.len() == 2);
            !is_start && is_page(it.ours) && is_page(it.theirs)
        },
        diverges: false,
        reason: "a cursor means something to the server alone that gave it",
    },
    Known {
        fixed_in: NEVER,
        commands: &["sort", "sort_ro"],
        explains: |it| {
            let has_zero = |text: &Value| matches!(text, Value::Bulk(text) if text.contains(&0));
            it.has(b"alpha")
                && Compare::Sorted.same(it.ours, it.theirs)
                && it.ours.items().iter().any(has_zero)
        },
        diverges: false,
        reason: "C's strcoll, by which Redis sorts, takes a text for ended at a zero byte",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &[
            "geopos",
            "geosearch",
            "georadius",
            "georadius_ro",
            "georadiusbymember",
            "georadiusbymember_ro",
        ],
        explains: |it| {
            it.via == Via::Script(3)
                && it.compare.same(&without_digits(it.ours), &without_digits(it.theirs))
        },
        diverges: false,
        reason: "7.2 does so with coordinates that were numbers of Lua, too",
    },
    Known {
        fixed_in: NEVER,
        commands: ANY,
        explains: |it| {
            it.via == Via::Keys
                && is_error(it.ours, "ERR Invalid arguments specified for command")
                && matches!(it.theirs, Value::Array(_))
        },
        diverges: false,
        reason: "for a number of keys that is none Redis takes the digits that it begins with",
    },
    Known {
        fixed_in: NEVER,
        commands: &["pfadd"],
        explains: |it| is_error(it.ours, "INVALIDOBJ") && matches!(it.theirs, Value::Int(_)),
        diverges: true,
        reason: "where the last run of a HyperLogLog is cut off, Redis goes on behind the text's end",
    },
    Known {
        fixed_in: NEVER,
        commands: &["geosearch", "georadius", "georadiusbymember", "georadius_ro"],
        explains: |it| it.has(b"count") && same_but_for_names(it.ours, it.theirs),
        diverges: false,
        reason: "of several that are equally far away, COUNT takes those that Redis's partial sort leaves in front",
    },
    Known {
        fixed_in: [7, 2, 0],
        commands: &[events::LOOK],
        explains: |it| without_consumer_events(it.ours) == without_consumer_events(it.theirs),
        diverges: false,
        reason: "7.2 tells of such consumers, too",
    },
    Known {
        fixed_in: NEVER,
        commands: &[events::LOOK],
        explains: |it| {
            let [ours, theirs] = [it.ours, it.theirs].map(without_consumer_events);
            let mut left = &ours[..];
            theirs.iter().all(|event| match left {
                [first, rest @ ..] if first == event => {
                    left = rest;
                    true
                }
                _ => event.text().contains(" del "),
            }) && left.is_empty()
        },
        diverges: false,
        reason: "a command that leaves nothing at a key past its time says del in Redis; here it expired before",
    },
    Known {
        fixed_in: NEVER,
        commands: &["sort"],
        explains: |it| {
            it.is_a("zset") && is_error(it.theirs, "ERR One or more scores can't be converted")
        },
        diverges: true,
        reason: "SORT takes a score that was too small for a double, which it met in converting the set, for a weight",
    },
];

/// What two different replies mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One of them is wrong.
    Mismatch,
    /// Both are right, for this reason.
    Explained(&'static str),
    /// Both are right, and there is nothing to compare any more.
    Diverged(&'static str),
}

/// Judges two different replies.
pub fn judge(pair: &Pair<'_>, via: Via, version: [u32; 3]) -> Verdict {
    let it = Difference {
        argv: &pair.step.argv,
        compare: pair.step.compare,
        via,
        before: pair.before.as_ref(),
        ours: &pair.ours,
        theirs: &pair.theirs,
    };
    let name = pair.step.name();
    let fits = |known: &&Known| {
        version < known.fixed_in
            && (known.commands.is_empty() || known.commands.contains(&name.as_str()))
            && (known.explains)(&it)
    };
    match KNOWN.iter().find(fits) {
        None => Verdict::Mismatch,
        Some(known) if known.diverges => Verdict::Diverged(known.reason),
        Some(known) => Verdict::Explained(known.reason),
    }
}

impl Difference<'_> {
    /// Whether a TYPE before it has said so.
    fn is_a(&self, kind: &str) -> bool {
        matches!(self.before, Some(Value::Simple(text)) if text == kind.as_bytes())
    }

    /// Whether this word, given in small letters, is among the arguments.
    fn has(&self, word: &[u8]) -> bool {
        self.argv.iter().any(|argument| argument.eq_ignore_ascii_case(word))
    }

    /// Whether there is a BY whose pattern has no star.
    fn sorts_by_nothing(&self) -> bool {
        let is_such =
            |pair: &[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"by") && !pair[1].contains(&b'*');
        self.argv.windows(2).any(is_such)
    }
}
