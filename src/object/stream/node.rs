//! How do entries lie in a listpack? In the layout of Redis's stream nodes, which is also that of RDB
//! files.
//!
//! ```text
//! master entry: | live | deleted | fields | field ... | 0 |
//! entry:        | flags | ms | seq | fields | field | value | ... | elements |
//! same fields:  | flags | ms | seq | value | ... | elements |
//! ```
//!
//! The node has an ID, that of its first entry; `ms` and `seq` are differences from it. An entry with
//! the flag [`SAME_FIELDS`] has the fields of the master entry, which are those of the node's first
//! entry, and stores values only. The last element of an entry counts those before it, so that one can
//! read backwards; the 0 of the master entry ends that way. A deleted entry stays, flagged, until the
//! node goes with its last live one.
//!
//! Invariants: `live` and `deleted` count the entries by flag; a node has a live entry. Reading relies
//! on the shape alone, which [`check`] makes sure of for foreign bytes: what it does not find ends the
//! walk, it never panics.

use super::id::StreamId;
use crate::object::listpack::{self, BYTES_MAX, Element, Listpack, Position};

/// Fields with their values, as XADD has them.
pub type Pairs<'a> = &'a [[&'a [u8]; 2]];

/// The entry is deleted.
pub const DELETED: i64 = 1;
/// The entry has the fields of the master entry.
pub const SAME_FIELDS: i64 = 2;

/// Bytes that an element takes besides its text, at most.
const ELEMENT_OVERHEAD: usize = 10;

/// Bytes that an entry may add to a node, at most.
pub fn bytes_max(pairs: Pairs<'_>) -> usize {
    // Master entry and entry have four elements of their own each, beside the fields and the values.
    let elements = pairs.len().saturating_mul(2).saturating_add(9);
    text_bytes(pairs).saturating_add(elements.saturating_mul(ELEMENT_OVERHEAD))
}

/// Bytes of all fields and values.
pub fn text_bytes(pairs: Pairs<'_>) -> usize {
    pairs.iter().map(|[field, value]| field.len() + value.len()).sum()
}

/// Whether a node of its own can hold the entry.
pub fn fits(pairs: Pairs<'_>) -> bool {
    bytes_max(pairs) < BYTES_MAX / 2
}

/// A node with one entry.
pub fn begin(pairs: Pairs<'_>) -> Listpack {
    let mut pack = Listpack::new();
    pack.append_all(|out| {
        out.int(1);
        out.int(0);
        out.int(pairs.len() as i64);
        pairs.iter().for_each(|[field, _]| out.text(field));
        out.int(0);
        write_entry(out, SAME_FIELDS, (0, 0), pairs);
    });
    pack
}

/// Adds an entry behind all others of the node `node_id`.
pub fn append(pack: &mut Listpack, node_id: StreamId, id: StreamId, pairs: Pairs<'_>) {
    let Some(first) = pack.first() else { return };
    let mut master = pack.iter();
    let live = next_int(&mut master).unwrap_or(0);
    let same = has_fields(&mut master, pairs);
    pack.replace_i64(first, live + 1);
    let ms = id.ms.wrapping_sub(node_id.ms) as i64;
    let seq = id.seq.wrapping_sub(node_id.seq) as i64;
    let flags = if same { SAME_FIELDS } else { 0 };
    pack.append_all(|out| write_entry(out, flags, (ms, seq), pairs));
}

/// Whether the master entry, read up to `live`, has just these fields.
fn has_fields(master: &mut listpack::Iter<'_>, pairs: Pairs<'_>) -> bool {
    master.skip_elements(1);
    next_count(master) == Some(pairs.len())
        && pairs.iter().all(|[field, _]| master.next().is_some_and(|own| own.is(field)))
}

fn write_entry(
    out: &mut listpack::Appender<'_>,
    flags: i64,
    (ms, seq): (i64, i64),
    pairs: Pairs<'_>,
) {
    out.int(flags);
    out.int(ms);
    out.int(seq);
    let count = pairs.len() as i64;
    if flags & SAME_FIELDS != 0 {
        pairs.iter().for_each(|[_, value]| out.text(value));
        out.int(3 + count);
    } else {
        out.int(count);
        for [field, value] in pairs {
            out.text(field);
            out.text(value);
        }
        out.int(4 + count * 2);
    }
}

/// How many entries are live, and how many are deleted.
#[inline]
pub fn counts(pack: &Listpack) -> (u64, u64) {
    let mut elements = pack.iter();
    let mut count = || next_int(&mut elements).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    (count(), count())
}

/// The ID of the last entry, be it deleted or not.
pub fn last_id(node_id: StreamId, pack: &Listpack) -> Option<StreamId> {
    ReaderBack::new(node_id, pack).next().map(|raw| raw.id)
}

/// The ID of the first entry, be it deleted or not.
pub fn first_id(node_id: StreamId, pack: &Listpack) -> Option<StreamId> {
    Reader::new(node_id, pack).next().map(|raw| raw.id)
}

/// Marks the entry `id` as deleted; whether it was live.
pub fn delete(pack: &mut Listpack, node_id: StreamId, id: StreamId) -> bool {
    let found = Reader::new(node_id, pack).find(|raw| raw.id == id && !raw.is_deleted());
    let Some(raw) = found else { return false };
    let (at, flags) = (raw.at, raw.flags);
    pack.replace_i64(at, flags | DELETED);
    count_deleted(pack, 1);
    true
}

/// What [`delete_front`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Entries that it marked.
    pub marked: u64,
    /// The first live one behind them.
    pub first_id: Option<StreamId>,
}

/// Marks live entries from the front as deleted until `stop`, which is told the ID of each and how many
/// were marked before it, says so.
pub fn delete_front(
    pack: &mut Listpack,
    node_id: StreamId,
    stop: impl Fn(StreamId, u64) -> bool,
) -> Cut {
    let mut marks = Vec::new();
    let mut first_id = None;
    for raw in Reader::new(node_id, pack).filter(|raw| !raw.is_deleted()) {
        if stop(raw.id, marks.len() as u64) {
            first_id = Some(raw.id);
            break;
        }
        marks.push((raw.at, raw.flags | DELETED));
    }
    // With the mark the flags take one byte, as without it: what stands behind them stays there.
    let marked = marks.len() as u64;
    marks.into_iter().for_each(|(at, flags)| pack.replace_i64(at, flags));
    count_deleted(pack, marked);
    Cut { marked, first_id }
}

/// Moves entries from one count of the master entry to the other.
fn count_deleted(pack: &mut Listpack, marked: u64) {
    let (live, deleted) = counts(pack);
    let Some(first) = pack.first() else { return };
    pack.replace_i64(first, live.saturating_sub(marked) as i64);
    if let Some(second) = pack.next(first) {
        pack.replace_i64(second, (deleted + marked) as i64);
    }
}

#[inline]
fn next_int(elements: &mut listpack::Iter<'_>) -> Option<i64> {
    elements.next()?.as_i64()
}

#[inline]
fn next_count(elements: &mut listpack::Iter<'_>) -> Option<usize> {
    next_int(elements).and_then(|count| usize::try_from(count).ok())
}

/// An entry as it lies in its node.
#[derive(Clone, Debug)]
pub struct Raw<'a> {
    /// Its ID.
    pub id: StreamId,
    /// Its fields and values.
    pub fields: Fields<'a>,
    flags: i64,
    at: Position,
}

impl Raw<'_> {
    /// Whether it counts as deleted.
    #[inline]
    pub fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }
}

/// Fields with their values, in order.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// The names, if they stand in the master entry.
    names: Option<listpack::Iter<'a>>,
    items: listpack::Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.names {
            Some(names) => names.next()?,
            None => self.items.next()?,
        };
        Some((field, self.items.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// The entries of a node in order, deleted ones too.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    pack: &'a Listpack,
    node_id: StreamId,
    /// The fields of the master entry.
    names: listpack::Iter<'a>,
    names_len: usize,
    rest: listpack::Iter<'a>,
}

impl<'a> Reader<'a> {
    /// Stands before the first entry.
    pub fn new(node_id: StreamId, pack: &'a Listpack) -> Self {
        let mut rest = pack.iter();
        rest.skip_elements(2);
        let names_len = next_count(&mut rest).unwrap_or(0);
        let names = rest.clone();
        rest.skip_elements(names_len.saturating_add(1));
        Self { pack, node_id, names, names_len, rest }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Raw<'a>;

    #[inline]
    fn next(&mut self) -> Option<Raw<'a>> {
        let at = self.rest.position();
        let flags = next_int(&mut self.rest)?;
        let ms = next_int(&mut self.rest)? as u64;
        let seq = next_int(&mut self.rest)? as u64;
        let id =
            StreamId::new(self.node_id.ms.wrapping_add(ms), self.node_id.seq.wrapping_add(seq));
        let (names, left, elements) = if flags & SAME_FIELDS != 0 {
            (Some(self.names.clone()), self.names_len, self.names_len)
        } else {
            let left = next_count(&mut self.rest)?;
            (None, left, left.saturating_mul(2))
        };
        let fields = Fields { names, items: self.rest.clone(), left };
        self.rest.skip_elements(elements.saturating_add(1));
        Some(Raw { id, fields, flags, at })
    }
}

/// The entries of a node backwards, deleted ones too.
#[derive(Clone, Debug)]
pub struct ReaderBack<'a> {
    reader: Reader<'a>,
    /// The last element of the entry to come.
    end: Option<Position>,
}

impl<'a> ReaderBack<'a> {
    /// Stands behind the last entry.
    pub fn new(node_id: StreamId, pack: &'a Listpack) -> Self {
        Self { reader: Reader::new(node_id, pack), end: pack.last() }
    }
}

impl<'a> Iterator for ReaderBack<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        let pack = self.reader.pack;
        let mut at = self.end.take()?;
        let elements = pack.get(at).as_i64()?;
        // The master entry ends with a zero.
        if elements <= 0 {
            return None;
        }
        for _ in 0..elements {
            at = pack.prev(at)?;
        }
        self.end = pack.prev(at);
        self.reader.rest = pack.iter_from(at);
        self.reader.next()
    }
}

/// Whether a listpack has the shape of a node, true counts, a live entry, and live entries in order of
/// their ids.
pub fn check(node_id: StreamId, pack: &Listpack) -> bool {
    check_shape(pack).is_some() && check_ids(node_id, pack)
}

fn check_shape(pack: &Listpack) -> Option<()> {
    let mut rest = pack.iter();
    let (live, deleted) = (next_count(&mut rest)?, next_count(&mut rest)?);
    let names_len = next_count(&mut rest)?;
    for _ in 0..names_len {
        rest.next()?;
    }
    let mut ok = next_int(&mut rest)? == 0 && live > 0;
    let (mut live_seen, mut deleted_seen) = (0, 0);
    while let Some(flags) = rest.next() {
        let flags = flags.as_i64()?;
        next_int(&mut rest)?;
        next_int(&mut rest)?;
        let (own, elements) = match flags & SAME_FIELDS {
            0 => (4, next_count(&mut rest)?.checked_mul(2)?),
            _ => (3, names_len),
        };
        for _ in 0..elements {
            rest.next()?;
        }
        // The mark of a deletion is written over the flags in place, so they take one byte.
        ok &= next_count(&mut rest)? == own + elements && (0..=3).contains(&flags);
        match flags & DELETED {
            0 => live_seen += 1,
            _ => deleted_seen += 1,
        }
    }
    (ok && live == live_seen && deleted == deleted_seen).then_some(())
}

fn check_ids(node_id: StreamId, pack: &Listpack) -> bool {
    let live = Reader::new(node_id, pack).filter(|raw| !raw.is_deleted());
    live.map(|raw| raw.id).is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: StreamId = StreamId::new(100, 5);

    fn pairs<'a>(texts: &[(&'a str, &'a str)]) -> Vec<[&'a [u8]; 2]> {
        texts.iter().map(|(field, value)| [field.as_bytes(), value.as_bytes()]).collect()
    }

    fn sample() -> Listpack {
        let mut pack = begin(&pairs(&[("a", "1"), ("b", "x")]));
        append(&mut pack, NODE, StreamId::new(100, 6), &pairs(&[("a", "2"), ("b", "y")]));
        append(&mut pack, NODE, StreamId::new(200, 0), &pairs(&[("c", "3")]));
        pack
    }

    fn show(raw: Raw<'_>) -> String {
        let pairs = raw.fields.map(|(field, value)| {
            let text = |element: Element<'_>| String::from_utf8(element.to_vec()).unwrap();
            format!("{}={}", text(field), text(value))
        });
        format!("{} {}", raw.id, pairs.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn the_layout_is_that_of_redis() {
        // As redis-server 7 saves these three entries, the node's ID being that of the first.
        let expected: Vec<u8> = [
            &[3, 1, 0, 1, 2, 1][..],
            &[0x81, b'a', 2, 0x81, b'b', 2, 0, 1],
            &[2, 1, 0, 1, 0, 1, 1, 1, 0x81, b'x', 2, 5, 1],
            &[2, 1, 0, 1, 1, 1, 2, 1, 0x81, b'y', 2, 5, 1],
            &[0, 1, 100, 1, 0xdf, 0xfb, 2, 1, 1, 0x81, b'c', 2, 3, 1, 6, 1],
        ]
        .concat();
        let pack = sample();
        assert_eq!(&pack.as_bytes()[6..pack.as_bytes().len() - 1], expected);
        assert!(check(NODE, &pack));
    }

    #[test]
    fn entries_are_read_both_ways() {
        let pack = sample();
        let expected = ["100-5 a=1,b=x", "100-6 a=2,b=y", "200-0 c=3"];
        assert_eq!(Reader::new(NODE, &pack).map(show).collect::<Vec<_>>(), expected);
        let mut back: Vec<_> = ReaderBack::new(NODE, &pack).map(show).collect();
        back.reverse();
        assert_eq!(back, expected);
        assert_eq!(first_id(NODE, &pack), Some(NODE));
        assert_eq!(last_id(NODE, &pack), Some(StreamId::new(200, 0)));
    }

    #[test]
    fn deleted_entries_stay_and_are_counted() {
        let mut pack = sample();
        assert!(delete(&mut pack, NODE, StreamId::new(100, 6)));
        assert!(!delete(&mut pack, NODE, StreamId::new(100, 6)));
        assert!(!delete(&mut pack, NODE, StreamId::new(100, 7)));
        assert_eq!(counts(&pack), (2, 1));
        assert!(check(NODE, &pack));
        let last = StreamId::new(200, 0);
        let cut = delete_front(&mut pack, NODE, |id, _| id >= last);
        assert_eq!(cut, Cut { marked: 1, first_id: Some(last) });
        assert_eq!(counts(&pack), (1, 2));
        let deleted: Vec<_> = Reader::new(NODE, &pack).map(|raw| raw.is_deleted()).collect();
        assert_eq!(deleted, [true, true, false]);
    }

    #[test]
    fn what_is_no_node_is_refused() {
        let pack = sample();
        let count = pack.len() as i64;
        for at in 0..count {
            let mut short = pack.clone();
            short.delete(short.seek(at).unwrap(), usize::MAX);
            let entries = Reader::new(NODE, &short).count();
            assert!(entries <= 3);
            assert!(!check(NODE, &short), "cut at element {at}");
            let mut other = pack.clone();
            other.replace(other.seek(at).unwrap(), b"-7");
            Reader::new(NODE, &other).map(show).count();
            ReaderBack::new(NODE, &other).map(show).count();
        }
        assert!(!check(NODE, &Listpack::new()));
        // Ids that do not ascend.
        let mut pack = begin(&pairs(&[("a", "1")]));
        append(&mut pack, NODE, StreamId::new(100, 4), &pairs(&[("a", "1")]));
        assert!(!check(NODE, &pack));
    }
}
