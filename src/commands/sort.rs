//! In which order do the elements of a list, set or sorted set come, by themselves or by the values of
//! other keys? SORT answers, or stores the answer as a list; SORT_RO only answers.
//!
//! Texts are compared byte by byte, whatever the locale. Elements that weigh the same keep an order of
//! their own: by their bytes when sorted by number, the one in which they came otherwise.

use std::cmp::Ordering;

use crate::base::number;
use crate::engine::acl::check::may_read_all;
use crate::engine::args::{self, Cursor};
use crate::engine::client::Mode;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Begin, Category, CommandSpec, Find, Flag, Group, KeySpec, Outcome,
    Run,
};
use crate::keyspace::value::{Value, ValueMut, ValueRef};
use crate::object::list::{End, List};
use crate::object::listpack::Element;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SORT",
        summary: "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
        since: "1.0.0",
        complexity: COMPLEXITY,
        group: Group::Generic,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::DenyOom],
        categories: CATEGORIES,
        keys: &[KeySpec::at(1, Access::Read), PATTERN_KEYS, STORE_KEY],
        args: &[
            Arg::key("key"),
            BY,
            LIMIT,
            GET,
            ORDER,
            ALPHA,
            Arg::key_of("destination", 2).token("STORE").optional(),
        ],
        run: Run::Write(sort),
        find_keys: Some(sort_keys),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SORT_RO",
        summary: "Returns the sorted elements of a list, a set, or a sorted set.",
        since: "7.0.0",
        complexity: COMPLEXITY,
        group: Group::Generic,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly],
        categories: CATEGORIES,
        keys: &[KeySpec::at(1, Access::Read), PATTERN_KEYS],
        args: &[Arg::key("key"), BY, LIMIT, GET, ORDER, ALPHA],
        run: Run::Read(sort_ro),
        find_keys: Some(|_| Some(vec![1])),
        ..CommandSpec::BASE
    },
];

const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).";

const CATEGORIES: &[Category] =
    &[Category::Set, Category::SortedSet, Category::List, Category::Dangerous];

const PATTERN_KEYS: KeySpec = KeySpec {
    begin: Begin::Unknown,
    find: Find::Unknown,
    access: Access::Read,
    extra: &[],
    notes: "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
};

const STORE_KEY: KeySpec = KeySpec {
    begin: Begin::Unknown,
    find: Find::Unknown,
    access: Access::Overwrite,
    extra: &[],
    notes: "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
};

const BY: Arg = pattern_arg("by-pattern").token("BY").optional();
const GET: Arg = pattern_arg("get-pattern").token("GET").optional().multiple_token();
const LIMIT: Arg =
    Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")]).token("LIMIT").optional();
const ORDER: Arg =
    Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional();
const ALPHA: Arg = Arg::flag("sorting", "ALPHA").optional();

const fn pattern_arg(name: &'static str) -> Arg {
    let mut arg = Arg::pattern(name).shown_as("pattern");
    arg.key_spec = Some(1);
    arg
}

/// The keys that a SORT names itself: the one that it sorts, and where it stores (the last word on it
/// counts).
fn sort_keys(argv: Argv<'_>) -> Option<Vec<usize>> {
    let mut store = None;
    let mut at = 2;
    while let Some(word) = argv.get(at) {
        at += match word {
            _ if args::is(word, "LIMIT") => 3,
            _ if args::is(word, "GET") || args::is(word, "BY") => 2,
            _ if args::is(word, "STORE") && at + 1 < argv.len() => {
                store = Some(at + 1);
                1
            }
            _ => 1,
        };
    }
    Some([1].into_iter().chain(store).collect())
}

/// What the elements are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By<'a> {
    /// Themselves.
    Element,
    /// The value at the key, or in the field of the hash, that this pattern makes of each.
    Pattern(&'a [u8]),
    /// Nothing: they stay in their order.
    Nothing,
}

/// The options of SORT.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    by: By<'a>,
    /// `LIMIT`: the first one shown and how many, all if negative.
    offset: i64,
    count: i64,
    /// `GET`: what is shown of each element, itself if empty.
    gets: Vec<&'a [u8]>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Reads them; `reads_all` says whether the user may read every key, as patterns do.
    fn parse(argv: Argv<'a>, may_store: bool, reads_all: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            by: By::Element,
            offset: 0,
            count: -1,
            gets: Vec::new(),
            descending: false,
            alpha: false,
            store: None,
        };
        let mut rest = Cursor::new(argv, 2);
        while let Some(word) = rest.next() {
            if args::is(word, "ASC") {
                options.descending = false;
            } else if args::is(word, "DESC") {
                options.descending = true;
            } else if args::is(word, "ALPHA") {
                options.alpha = true;
            } else if args::is(word, "LIMIT") && rest.left() >= 2 {
                options.offset = rest.int()?;
                options.count = rest.int()?;
            } else if args::is(word, "STORE") && may_store {
                options.store = Some(rest.value()?);
            } else if args::is(word, "BY") {
                let pattern = rest.value()?;
                if pattern.contains(&b'*') && !reads_all {
                    return Err(denied("BY"));
                }
                // A pattern that is the same for all elements sorts nothing, whatever else is said.
                if !pattern.contains(&b'*') || options.by == By::Nothing {
                    options.by = By::Nothing;
                } else {
                    options.by = By::Pattern(pattern);
                }
            } else if args::is(word, "GET") {
                let pattern = rest.value()?;
                if !reads_all {
                    return Err(denied("GET"));
                }
                options.gets.push(pattern);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// The part of `len` elements that is shown.
    fn range(&self, len: usize) -> std::ops::Range<usize> {
        let clamp = |number: i64| usize::try_from(number).unwrap_or(0).min(len);
        let start = clamp(self.offset);
        let end = if self.count < 0 { len } else { (start + clamp(self.count)).min(len) };
        start..end
    }
}

fn denied(option: &str) -> CommandError {
    let text = format!("ERR {option} option of SORT denied due to insufficient ACL permissions.");
    CommandError::owned(text)
}

/// Where SORT looks keys up: for writing, what has expired is deleted before the command; for reading,
/// it is passed over.
trait Keys {
    fn value(&mut self, key: &[u8]) -> Option<ValueRef<'_>>;
    fn now(&self) -> u64;
    /// Whether the order must be the same wherever the command runs.
    fn is_replayed(&self) -> bool;
}

impl Keys for ReadCtx<'_> {
    fn value(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        ReadCtx::value(self, key)
    }

    fn now(&self) -> u64 {
        self.expiry_ms().max(0) as u64
    }

    fn is_replayed(&self) -> bool {
        self.session.mode.contains(Mode::SCRIPT)
    }
}

impl Keys for WriteCtx<'_> {
    fn value(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        let slot = self.find_counted(key)?;
        Some(self.db().value(slot))
    }

    fn now(&self) -> u64 {
        self.expiry_ms().max(0) as u64
    }

    fn is_replayed(&self) -> bool {
        self.session.mode.contains(Mode::SCRIPT)
    }
}

/// Elements in their own order.
struct Elements {
    texts: Vec<Vec<u8>>,
    /// Whether that order means something.
    ordered: bool,
}

/// The elements of a value; none if it cannot be sorted.
fn elements(value: ValueRef<'_>) -> Option<Elements> {
    match value {
        ValueRef::Set(set) => {
            Some(Elements { texts: set.iter().map(Element::to_vec).collect(), ordered: false })
        }
        ValueRef::List(list) => {
            Some(Elements { texts: list.iter().map(Element::to_vec).collect(), ordered: true })
        }
        ValueRef::Zset(zset) => {
            let texts = zset.iter().map(|(member, _)| member.to_vec()).collect();
            Some(Elements { texts, ordered: true })
        }
        ValueRef::Str(_)
        | ValueRef::Hash(_)
        | ValueRef::Stream(_)
        | ValueRef::Module(_)
        | ValueRef::Unchecked(_) => None,
    }
}

/// A list of these texts, of which there is one at least.
fn list_of(ctx: &WriteCtx<'_>, texts: &[Vec<u8>]) -> Value {
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let mut list = List::new();
    list.push(End::Tail, &texts, ctx.list_limits());
    Value::List(list)
}

fn sort(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let reads_all = may_read_all(ctx.session, ctx.env, argv);
    let options = Options::parse(argv, true, reads_all)?;
    if let Some(slot) = ctx.peek(argv[1])
        && let ValueRef::Zset(zset) = ctx.db().value(slot)
        && zset.as_listpack().is_some()
        && let ValueMut::Zset(zset) = ctx.db_mut().value_mut(slot)
    {
        // Redis holds what it sorts so from then on, and OBJECT ENCODING shows it.
        zset.make_large();
    }
    let sorted = sorted(ctx, argv[1], &options)?;
    match options.store {
        Some(target) => store(ctx, target, &sorted, &options, reply),
        None => {
            show(ctx, &sorted, &options, reply);
            Ok(())
        }
    }
}

fn sort_ro(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let reads_all = may_read_all(ctx.session, ctx.env, argv);
    let options = Options::parse(argv, false, reads_all)?;
    let sorted = sorted(ctx, argv[1], &options)?;
    show(ctx, &sorted, &options, reply);
    Ok(())
}

/// The part of the elements that is asked for, in the order that is.
fn sorted(
    keys: &mut impl Keys,
    key: &[u8],
    options: &Options<'_>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let Elements { mut texts, ordered } = match keys.value(key) {
        Some(value) => elements(value).ok_or(CommandError::WrongType)?,
        None => Elements { texts: Vec::new(), ordered: true },
    };
    let (mut by, mut alpha) = (options.by, options.alpha);
    // The order of a set is nobody's business but the server's: what others repeat must not show it.
    if by == By::Nothing && !ordered && (options.store.is_some() || keys.is_replayed()) {
        (by, alpha) = (By::Element, true);
    }
    match by {
        By::Nothing if ordered && options.descending => texts.reverse(),
        By::Nothing => {}
        By::Element | By::Pattern(_) if alpha => {
            texts = in_order_of_text(keys, texts, by, options.descending);
        }
        By::Element | By::Pattern(_) => {
            texts = in_order_of_number(keys, texts, by, options.descending)?;
        }
    }
    let range = options.range(texts.len());
    texts.truncate(range.end);
    texts.drain(..range.start.min(texts.len()));
    Ok(texts)
}

/// What an element is sorted by, if there is such a value.
fn weight(keys: &mut impl Keys, by: By<'_>, element: &[u8]) -> Option<Vec<u8>> {
    match by {
        By::Pattern(pattern) => look_up(keys, pattern, element),
        By::Element | By::Nothing => Some(element.to_vec()),
    }
}

fn in_order_of_text(
    keys: &mut impl Keys,
    texts: Vec<Vec<u8>>,
    by: By<'_>,
    descending: bool,
) -> Vec<Vec<u8>> {
    if by == By::Element {
        let mut texts = texts;
        texts.sort_by(|a, b| directed(a.cmp(b), descending));
        return texts;
    }
    // What has no value comes first.
    let weighed = texts.into_iter().map(|text| (weight(keys, by, &text), text));
    let mut weighed: Vec<(Option<Vec<u8>>, Vec<u8>)> = weighed.collect();
    weighed.sort_by(|a, b| directed(a.0.cmp(&b.0), descending));
    weighed.into_iter().map(|(_, text)| text).collect()
}

fn in_order_of_number(
    keys: &mut impl Keys,
    texts: Vec<Vec<u8>>,
    by: By<'_>,
    descending: bool,
) -> Result<Vec<Vec<u8>>, CommandError> {
    const BAD_SCORE: CommandError =
        CommandError::text("ERR One or more scores can't be converted into double");
    let mut weighed: Vec<(f64, Vec<u8>)> = Vec::with_capacity(texts.len());
    for text in texts {
        // What has no value weighs nothing.
        let number = match by {
            By::Element | By::Nothing => Some(parse_score(&text).ok_or(BAD_SCORE)?),
            By::Pattern(pattern) => match look_up(keys, pattern, &text) {
                Some(value) => Some(parse_score(&value).ok_or(BAD_SCORE)?),
                None => None,
            },
        };
        weighed.push((number.unwrap_or(0.0), text));
    }
    weighed.sort_by(|a, b| {
        let order = a.0.partial_cmp(&b.0).expect("nan is no score");
        directed(order.then_with(|| a.1.cmp(&b.1)), descending)
    });
    Ok(weighed.into_iter().map(|(_, text)| text).collect())
}

fn directed(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}

/// The number that a text spells, as C reads it: up to a zero byte, with blanks in front, and nothing
/// is nought. A decimal number so small that a double keeps only a part of its digits is out of range.
fn parse_score(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let number = number::parse_f64(&text[blanks..])?;
    let is_hex = || text.iter().any(|byte| matches!(byte, b'x' | b'X'));
    (!number.is_subnormal() || is_hex()).then_some(number)
}

/// The value that a pattern names for an element: the element itself for `#`; else its first star
/// stands for the element, and what follows `->` behind it is the field of a hash.
fn look_up(keys: &mut impl Keys, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = memchr::memchr(b'*', pattern)?;
    let (front, behind) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = memchr::memmem::find(behind, b"->").filter(|arrow| arrow + 2 < behind.len());
    let (back, field) = match arrow {
        Some(arrow) => (&behind[..arrow], Some(&behind[arrow + 2..])),
        None => (behind, None),
    };
    let key = [front, element, back].concat();
    let now = keys.now();
    match (keys.value(&key)?, field) {
        (ValueRef::Str(value), None) => Some(value.to_cow().into_owned()),
        (ValueRef::Hash(hash), Some(field)) => hash.get(field, now).map(Element::to_vec),
        _ => None,
    }
}

/// Answers with what is asked for of each element.
fn show(keys: &mut impl Keys, sorted: &[Vec<u8>], options: &Options<'_>, reply: &mut Reply<'_>) {
    reply.array(sorted.len() * options.gets.len().max(1));
    for element in sorted {
        if options.gets.is_empty() {
            reply.bulk(element);
        }
        for pattern in &options.gets {
            match look_up(keys, pattern, element) {
                Some(value) => reply.bulk(&value),
                None => reply.null(),
            }
        }
    }
}

/// Stores what is asked for of each element as a list, the empty text where there is nothing.
fn store(
    ctx: &mut WriteCtx<'_>,
    target: &[u8],
    sorted: &[Vec<u8>],
    options: &Options<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let mut shown = Vec::new();
    for element in sorted {
        for pattern in &options.gets {
            shown.push(look_up(ctx, pattern, element).unwrap_or_default());
        }
    }
    let texts = if options.gets.is_empty() { sorted } else { &shown };
    if !texts.is_empty() {
        let is_new = ctx.replace(target, list_of(ctx, texts));
        ctx.changed(target);
        ctx.count_changes(texts.len() as u64 - 1);
        if is_new {
            ctx.created(target);
        }
        ctx.notify(EventClass::LIST, "sortstore", target);
    } else if let Some(slot) = ctx.peek(target) {
        ctx.remove(slot);
        ctx.changed(target);
        ctx.notify(EventClass::GENERIC, "del", target);
    }
    reply.len(texts.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&'static str]) -> Argv<'static> {
        Vec::leak(words.iter().map(|word| word.as_bytes()).collect())
    }

    #[test]
    fn options_may_come_in_any_order_and_number() {
        let words =
            ["SORT", "k", "get", "#", "DESC", "LIMIT", "1", "-2", "by", "w_*", "GET", "x", "asc"];
        let options = Options::parse(argv(&words), true, true).expect("valid");
        assert_eq!((options.offset, options.count), (1, -2));
        assert_eq!(options.by, By::Pattern(b"w_*"));
        assert_eq!(options.gets, [&b"#"[..], b"x"]);
        assert!(!options.descending && !options.alpha && options.store.is_none());
        let parse = |words: &[&'static str], may_store| {
            Options::parse(argv(words), may_store, true).map(|options| (options.by, options.store))
        };
        let nothing = Ok((By::Nothing, Some(&b"t"[..])));
        assert_eq!(parse(&["S", "k", "BY", "x", "BY", "w*", "STORE", "t"], true), nothing);
        assert_eq!(parse(&["S", "k", "STORE", "t"], false), Err(CommandError::Syntax));
        for bad in [&["S", "k", "LIMIT", "1"][..], &["S", "k", "BY"], &["S", "k", "NOPE"]] {
            assert_eq!(parse(bad, true), Err(CommandError::Syntax), "{bad:?}");
        }
        let bad = parse(&["S", "k", "LIMIT", "a", "1"], true);
        assert_eq!(bad, Err(CommandError::NotAnInteger));
    }

    #[test]
    fn limits_are_cut_to_what_there_is() {
        let range = |offset: i64, count: i64, len| {
            let options = Options::parse(argv(&["S", "k"]), true, true).expect("valid");
            Options { offset, count, ..options }.range(len)
        };
        assert_eq!(range(0, -1, 5), 0..5);
        assert_eq!(range(2, 2, 5), 2..4);
        assert_eq!(range(2, 0, 5), 2..2);
        assert_eq!(range(-3, 2, 5), 0..2);
        assert_eq!(range(7, 2, 5), 5..5);
        assert_eq!(range(2, i64::MAX, 5), 2..5);
        assert_eq!(range(i64::MIN, i64::MIN, 5), 0..5);
    }

    #[test]
    fn scores_are_read_as_c_does() {
        for (text, number) in [
            (&b""[..], 0.0),
            (b"12", 12.0),
            (b" -1.5e3", -1500.0),
            (b"\t\n7", 7.0),
            (b"0x10", 16.0),
            (b"0x1p-1074", 5e-324),
            (b"5\0x", 5.0),
            (b"\0", 0.0),
            (b"inf", f64::INFINITY),
            (b"-INFINITY", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_score(text), Some(number), "{text:?}");
        }
        for bad in
            [&b"x"[..], b"1x", b"1 ", b" ", b"nan", b"1e999", b"5e-324", b"1e-310", b"--1", b"a1"]
        {
            assert_eq!(parse_score(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_last_store_names_the_key() {
        let keys = |words: &[&'static str]| sort_keys(argv(words));
        assert_eq!(keys(&["SORT", "k"]), Some(vec![1]));
        assert_eq!(keys(&["SORT", "k", "STORE", "a", "store", "b"]), Some(vec![1, 5]));
        assert_eq!(keys(&["SORT", "k", "GET", "store", "BY", "STORE"]), Some(vec![1]));
        assert_eq!(keys(&["SORT", "k", "LIMIT", "1", "store", "STORE", "t"]), Some(vec![1, 6]));
        assert_eq!(keys(&["SORT", "k", "STORE"]), Some(vec![1]));
    }
}
