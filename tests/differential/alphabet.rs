//! What do keys, values and numbers look like? Few of each, so that commands meet, and the edges of their ranges.

use crate::harness::random::Random;

/// Keys of each group.
const KEYS: usize = 4;

/// What a source draws from.
pub struct Generator<'a> {
    pub random: &'a mut Random,
    /// How the keys of the command's group begin.
    pub prefix: &'a str,
    /// The same for all groups.
    pub prefixes: &'a [String],
    /// The command before, if this one belongs to it.
    pub before: &'a [Vec<u8>],
}

/// Draws one argument.
pub type Source = fn(&mut Generator<'_>) -> Vec<u8>;

const SOURCES: &[(&str, Source)] = &[
    ("key", key),
    ("any", |g| {
        let prefix = g.prefixes[g.random.below(g.prefixes.len())].clone();
        name(g, &prefix)
    }),
    ("value", value),
    ("field", field),
    ("int", |g| pick(g, INTEGERS)),
    ("index", |g| pick(g, INDEXES)),
    ("count", |g| pick(g, COUNTS)),
    ("float", |g| pick(g, FLOATS)),
    ("score", |g| pick(g, SCORES)),
    ("scorerange", |g| pick(g, SCORE_RANGES)),
    ("lexrange", |g| pick(g, LEX_RANGES)),
    ("pattern", |g| pick(g, PATTERNS)),
    ("ttl", |g| lifetime(g, 1, SECONDS)),
    ("ttlms", |g| lifetime(g, 1000, MILLIS)),
    ("at", |g| pick(g, AT_SECONDS)),
    ("atms", |g| pick(g, AT_MILLIS)),
    ("offset", |g| pick(g, OFFSETS)),
    ("bitoffset", bit_offset),
    ("bit", |g| pick(g, BITS)),
    ("fieldtype", |g| pick(g, FIELD_TYPES)),
    ("element", |g| format!("e{}", g.random.below(2000)).into_bytes()),
    ("member", member),
    ("id", id),
    ("longitude", |g| pick(g, LONGITUDES)),
    ("latitude", |g| pick(g, LATITUDES)),
    ("dbnumber", |g| pick(g, DBS)),
    ("type", |g| pick(g, TYPES)),
    ("hll", hll),
    ("many", |g| format!("m{}", g.random.below(2000)).into_bytes()),
    ("manyscore", many_score),
    ("small", |g| (g.random.below(40) as i64 - 10).to_string().into_bytes()),
    ("sortvalue", sort_value),
    ("sortpattern", |g| pick(g, SORT_PATTERNS)),
    ("timeout", |g| pick(g, TIMEOUTS)),
    ("streamcount", |g| g.random.below(12).to_string().into_bytes()),
    ("distance", |g| pick(g, DISTANCES)),
    ("group", |g| format!("g{}", g.random.below(3)).into_bytes()),
    ("consumer", |g| format!("c{}", g.random.below(3)).into_bytes()),
    ("rangeid", range_id),
    ("none", |_| b"none".to_vec()),
    ("keyword", |g| pick(g, KEYWORDS)),
    ("scanloop", |_| SCAN_LOOP.as_bytes().to_vec()),
    ("onescore", |_| ONE_SCORE.as_bytes().to_vec()),
    ("restored", |_| RESTORED.as_bytes().to_vec()),
];

/// Follows the cursor of SCAN and its like to the end; answers with what it has seen, each once.
const SCAN_LOOP: &str = "\
local command, seen, all = {unpack(ARGV)}, {}, {} \
command[1] = string.upper(command[1]) \
local cursor = command[1] == 'SCAN' and 2 or 3 \
local width = (command[1] == 'HSCAN' or command[1] == 'ZSCAN') and 2 or 1 \
repeat \
  local page = redis.pcall(unpack(command)) \
  if page.err then return page end \
  command[cursor] = page[1] \
  for at = 1, #page[2], width do \
    local item = page[2][at] \
    if not seen[item] then \
      seen[item] = true \
      for part = at, at + width - 1 do all[#all + 1] = page[2][part] end \
    end \
  end \
until page[1] == '0' \
return all";

/// Runs a command, whose source is left out of its arguments, if all members of the source have one score.
const ONE_SCORE: &str = "\
local first = redis.pcall('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES') \
if first.err then return first end \
if #first > 0 and redis.call('ZCOUNT', KEYS[1], first[2], first[2]) ~= redis.call('ZCARD', KEYS[1]) then \
  return false \
end \
table.insert(ARGV, string.upper(ARGV[1]) == 'ZRANGESTORE' and 3 or 2, KEYS[1]) \
return redis.pcall(unpack(ARGV))";

/// Puts a copy of a value at another key by DUMP and RESTORE. A short HyperLogLog would be held as another kind of string
/// as soon as Redis looks at it, so there are no copies of them.
const RESTORED: &str = "\
local payload = redis.call('DUMP', KEYS[1]) \
if not payload then return false end \
if redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GETRANGE', KEYS[1], 0, 3) == 'HYLL' then return false end \
return redis.pcall('RESTORE', KEYS[2], ARGV[1], payload, unpack(ARGV, 2))";

/// The source of this name.
pub fn source(name: &str) -> Option<Source> {
    SOURCES.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}

/// An argument that hardly fits. No number here makes a reply or a string long, or a lifetime short.
pub fn junk(generator: &mut Generator<'_>) -> Vec<u8> {
    pick(generator, JUNK)
}

fn pick(g: &mut Generator<'_>, words: &[&str]) -> Vec<u8> {
    g.random.pick(words).as_bytes().to_vec()
}

fn name(g: &mut Generator<'_>, prefix: &str) -> Vec<u8> {
    format!("{prefix}{}", g.random.below(KEYS)).into_bytes()
}

/// A key of the group; now and then of another one, which holds another type.
fn key(g: &mut Generator<'_>) -> Vec<u8> {
    let other = g.prefixes[g.random.below(g.prefixes.len())].clone();
    let prefix = if g.random.one_in(16) { other } else { g.prefix.to_string() };
    name(g, &prefix)
}

fn value(g: &mut Generator<'_>) -> Vec<u8> {
    match g.random.below(12) {
        0..4 => pick(g, TEXTS),
        4..7 => pick(g, INTEGERS),
        7 => pick(g, FLOATS),
        8 => (0..g.random.below(12)).map(|_| g.random.next() as u8).collect(),
        9 => vec![b'a' + g.random.below(3) as u8; [43, 44, 45, 64, 65][g.random.below(5)]],
        10 => vec![b'a' + g.random.below(3) as u8; [100, 511, 512, 513, 700][g.random.below(5)]],
        _ => g.random.below(100).to_string().into_bytes(),
    }
}

fn field(g: &mut Generator<'_>) -> Vec<u8> {
    match g.random.below(20) {
        0 => vec![b'f'; 65],
        1 => pick(g, TEXTS),
        2 => pick(g, INTEGERS),
        _ => format!("f{}", g.random.below(8)).into_bytes(),
    }
}

fn member(g: &mut Generator<'_>) -> Vec<u8> {
    match g.random.below(16) {
        0 => vec![b'm'; 65],
        1 => pick(g, TEXTS),
        2..8 => g.random.below(20).to_string().into_bytes(),
        8 => pick(g, INTEGERS),
        _ => vec![b'a' + g.random.below(12) as u8],
    }
}

/// Scores of which many are the same, and some are not whole.
fn many_score(g: &mut Generator<'_>) -> Vec<u8> {
    match g.random.below(4) {
        0 => g.random.below(10).to_string().into_bytes(),
        1 => format!("{}.5", g.random.below(100)).into_bytes(),
        _ => g.random.below(1000).to_string().into_bytes(),
    }
}

/// What SORT sorts: small numbers, which name the keys that it sorts by, and now and then what is none.
fn sort_value(g: &mut Generator<'_>) -> Vec<u8> {
    match g.random.below(24) {
        0 => value(g),
        1 => pick(g, FLOATS),
        2..6 => vec![b'a' + g.random.below(4) as u8],
        _ => g.random.below(4).to_string().into_bytes(),
    }
}

/// Ends of a range of stream ids.
fn range_id(g: &mut Generator<'_>) -> Vec<u8> {
    match g.random.below(6) {
        0 => b"-".to_vec(),
        1 => b"+".to_vec(),
        2 => [&b"("[..], &id(g)].concat(),
        _ => id(g),
    }
}

/// Stream ids, mostly growing ones; none that the server makes of the time.
fn id(g: &mut Generator<'_>) -> Vec<u8> {
    match g.random.below(12) {
        0 => pick(g, IDS),
        1 => format!("{}-*", g.random.below(300)).into_bytes(),
        2..6 => g.random.below(300).to_string().into_bytes(),
        _ => format!("{}-{}", g.random.below(300), g.random.below(4)).into_bytes(),
    }
}

/// Hardly ever one that came before: of the same one twice in a millisecond GT and LT say what they like.
fn lifetime(g: &mut Generator<'_>, unit: usize, edges: &[&str]) -> Vec<u8> {
    if g.random.one_in(2) {
        return pick(g, edges);
    }
    ((5000 + g.random.below(95_000)) * unit).to_string().into_bytes()
}

fn bit_offset(g: &mut Generator<'_>) -> Vec<u8> {
    match g.random.below(8) {
        0 => pick(g, BAD_OFFSETS),
        1 => g.random.below(9000).to_string().into_bytes(),
        2 => format!("#{}", g.random.below(12)).into_bytes(),
        _ => g.random.below(120).to_string().into_bytes(),
    }
}

/// Strings that look like HyperLogLogs: whole ones, and ones of wrong encodings and lengths. They are so long that they
/// are stored as raw strings from the first, which Redis makes of a HyperLogLog when it merely looks at it.
fn hll(g: &mut Generator<'_>) -> Vec<u8> {
    let mut text = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    if g.random.one_in(2) {
        text[15] = 0x80;
    }
    if g.random.one_in(8) {
        text[4] = g.random.below(3) as u8;
    }
    text.extend_from_slice(&[0; 30]);
    const RUNS: [&[u8]; 6] = [
        b"\x7f\xe1",
        b"\x40\x05\x84\x7f\xda",
        b"",
        b"\x88\x05\x7f\xd7\x80\x81",
        b"\x80\x80\x80\x7f\xde",
        b"\x7f\xd0\x81",
    ];
    text.extend_from_slice(RUNS[g.random.below(RUNS.len())]);
    text
}

const SORT_PATTERNS: &[&str] = &[
    "sort*",
    "str*",
    "hash*->f1",
    "hash*->f2",
    "sort*->f1",
    "#",
    "*",
    "nosort",
    "",
    "*->f1",
    "hash*->",
    "->",
    "x*y*",
];
const DISTANCES: &[&str] =
    &["0", "1", "100", "500", "5000", "5000", "1000000", "-1", "x", "1e400", "nan", "inf", ""];
const TIMEOUTS: &[&str] = &["0", "0", "0", "1", "1", "0.01", "-1", "x", "inf", "1e400", ""];
const KEYWORDS: &[&str] = &["ALPHA", "DESC", "ASC", "LIMIT", "GET", "STORE"];
const TEXTS: &[&str] =
    &["", "a", "b", "abc", "hello world", "\r\n", "\"'\\", "\u{fc}", "foobar", "mynewtext"];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "5",
    "10",
    "100",
    "-100",
    "255",
    "256",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "9223372036854775806",
    "-0",
    "007",
    "+5",
    " 1",
    "1 ",
    "",
    "x",
    "1.0",
];
const INDEXES: &[&str] = &[
    "0",
    "0",
    "0",
    "1",
    "2",
    "3",
    "5",
    "-1",
    "-1",
    "-1",
    "-2",
    "-3",
    "-5",
    "10",
    "-10",
    "100",
    "-100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "x",
    "",
    "1.5",
];
const COUNTS: &[&str] = &[
    "0",
    "1",
    "1",
    "2",
    "2",
    "3",
    "5",
    "10",
    "1000",
    "-1",
    "-2",
    "-3",
    "-10",
    "x",
    "",
    "9223372036854775808",
];
const FLOATS: &[&str] = &[
    "0",
    "1",
    "-1",
    "0.1",
    "0.2",
    "1.5",
    "-2.25",
    "3.0e3",
    "1e-5",
    "1e10",
    "1e17",
    "-1e17",
    "1e308",
    "1e400",
    "inf",
    "-inf",
    "+inf",
    "nan",
    "-nan",
    "0x10",
    "0x1p3",
    "abc",
    "",
    "12345678901234567890",
    "0.30000000000000004",
    " 1",
    "1 ",
    "5.0e-324",
    "-0",
    "-0.0",
    "1.",
    ".5",
    "+1.5",
    "1e",
    "3.141592653589793238462643383279",
];
const SCORES: &[&str] = &[
    "0",
    "1",
    "1",
    "2",
    "2",
    "3",
    "5",
    "10",
    "-1",
    "-5",
    "1.5",
    "0.1",
    "1e10",
    "inf",
    "-inf",
    "nan",
    "x",
    "",
    "9007199254740993",
    "3.0e-5",
    "-0",
    "1e308",
];
const SCORE_RANGES: &[&str] = &[
    "-inf", "-inf", "+inf", "+inf", "inf", "0", "1", "(1", "2", "(2", "3", "(3", "5", "(5", "10",
    "-1", "1.5", "(1.5", "x", "(", "", "(inf", "nan",
];
const LEX_RANGES: &[&str] = &[
    "-", "-", "+", "+", "[a", "(a", "[c", "(c", "[f", "(f", "[k", "(k", "[", "(", "a", "", "[1",
    "(15",
];
const PATTERNS: &[&str] = &[
    "*", "*", "f*", "?1", "?[0-2]", "[a-c]*", "[^f]*", "\\*", "str*", "*1", "x", "", "**", "h*l*",
    "[", "[a-", "\\", "a?c",
];
const SECONDS: &[&str] =
    &["0", "-1", "x", "", "9223372036854775807", "9223372036854775", "-9223372036854775808", "1.5"];
const MILLIS: &[&str] = &[
    "0",
    "-1",
    "x",
    "",
    "9223372036854775807",
    "9223372036854775000",
    "-9223372036854775808",
    "1.5",
];
const AT_SECONDS: &[&str] =
    &["33177117420", "33177117421", "1", "0", "-1", "x", "9223372036854775807", "9223372036854776"];
const AT_MILLIS: &[&str] = &[
    "33177117420000",
    "33177117420001",
    "1",
    "0",
    "-1",
    "x",
    "9223372036854775807",
    "9223372036854775000",
];
const OFFSETS: &[&str] =
    &["0", "1", "2", "5", "10", "40", "600", "-1", "x", "536870912", "9223372036854775807", ""];
const BITS: &[&str] = &["0", "1", "1", "1", "0", "2", "-1", "x", "", "10"];
const BAD_OFFSETS: &[&str] =
    &["-1", "x", "", "4294967296", "9223372036854775807", "#", "#-1", "#x", "1.5"];
const FIELD_TYPES: &[&str] = &[
    "u1", "u2", "u4", "u8", "i8", "u8", "i5", "u13", "u16", "i16", "u32", "i32", "u63", "i64",
    "i1", "u64", "i65", "u0", "i0", "u", "x8", "", "I8", "u-1", "u08",
];
const IDS: &[&str] = &[
    "0",
    "0-0",
    "0-1",
    "-",
    "+",
    "$",
    ">",
    "18446744073709551615-18446744073709551615",
    "x",
    "",
    "1-x",
    "1-1-1",
    "18446744073709551616",
];
const LONGITUDES: &[&str] =
    &["13.361389", "15.087269", "2.349014", "-0.1", "180", "-180", "181", "0", "x", ""];
const LATITUDES: &[&str] =
    &["38.115556", "37.502669", "48.864716", "51.5", "85.05112878", "-85", "86", "0", "x", ""];
const DBS: &[&str] = &["0", "1", "1", "15", "16", "-1", "x", "4294967296"];
const TYPES: &[&str] = &["string", "hash", "list", "set", "zset", "stream", "STRING", "x", ""];
const JUNK: &[&str] = &[
    "0",
    "-1",
    "x",
    "",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "NX",
    "XX",
    "GET",
    "EX",
    "KEEPTTL",
    "COUNT",
    "MATCH",
    "LIMIT",
    "WITHSCORES",
    "REPLACE",
    "STORE",
    "BIT",
    "*",
    "-inf",
    "FIELDS",
    "LEN",
    "IDX",
    "GT",
    "CH",
    "INCR",
];
