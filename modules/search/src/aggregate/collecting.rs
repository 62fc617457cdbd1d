//! COLLECT: which rows did a group have?
//!
//! Each group keeps the chosen properties of its rows, and at the end sorts, cuts and hands them out as maps. Where the
//! rows are sorted and cut, and none is left out as a double, no group ever holds more than twice what it will give.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::aggregate::interning::{Interner, Tuples};
use crate::aggregate::steps::bare;
use crate::aggregate::{Error as StepError, ROWS_MAX, Row, SORT_KEYS_MAX};
use crate::args::{Args, lossy, parse_integer};
use crate::error::{ArgumentError, Error};
use crate::expression::value::Value;

/// Properties of one COLLECT.
const FIELDS_MAX: i64 = 1000;

/// What COLLECT was asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Collecting {
    /// Names of the properties; they are the first inputs. None means all that there are.
    pub fields: Option<Vec<Box<[u8]>>>,
    /// Which way the keys sort, which are the inputs behind the fields: true if the greatest comes first.
    pub descending: Vec<bool>,
    /// Rows to leave out and to keep.
    pub limit: Option<(usize, usize)>,
    /// Rows that are alike count once.
    pub distinct: bool,
}

impl Collecting {
    /// Reads the arguments.
    pub fn read<'a>(args: &mut Args<'a>, inputs: &mut Vec<&'a [u8]>) -> Result<Collecting, Error> {
        let mut collecting = Collecting::default();
        if !args.take("FIELDS") {
            return Err(Error::Text(
                "Bad arguments for COLLECT: FIELDS: Required argument missing",
            ));
        }
        if !args.take("*") {
            let fields = fields(args)?;
            collecting.fields = Some(fields.iter().map(|name| Box::from(*name)).collect());
            inputs.extend(fields);
        }
        while !args.is_empty() {
            if args.take("SORTBY") {
                let mut list = Args::new(args.list("SORTBY")?);
                while let Some(word) = list.next_arg() {
                    let Some(name) = word.strip_prefix(b"@") else {
                        return Err(StepError::SortDirection(lossy(word)).into());
                    };
                    if collecting.descending.len() == SORT_KEYS_MAX {
                        return Err(Error::Text("SORTBY exceeds maximum of 8 fields"));
                    }
                    inputs.push(name);
                    let descending = list.take("DESC");
                    if !descending {
                        list.take("ASC");
                    }
                    collecting.descending.push(descending);
                }
            } else if args.take("LIMIT") {
                collecting.limit = Some(limit(args)?);
            } else if args.take("DISTINCT") {
                collecting.distinct = true;
            } else {
                let word = lossy(args.peek().unwrap_or_default());
                return Err(Error::UnknownArgument(word));
            }
        }
        Ok(collecting)
    }
}

fn fields<'a>(args: &mut Args<'a>) -> Result<Vec<&'a [u8]>, Error> {
    let count = args.next_arg().and_then(parse_integer);
    let count = count.ok_or(Error::Text("Expected number of fields or `*` after FIELDS"))?;
    if !(1..=FIELDS_MAX).contains(&count) {
        return Err(Error::BadArgument("FIELDS".to_owned(), ArgumentError::Limit));
    }
    let name = |_| match args.next_arg() {
        Some(name) if name.starts_with(b"@") || name.starts_with(b"$") => Ok(bare(name)),
        Some(name) => Err(StepError::WithoutAt(lossy(name)).into()),
        None => Err(Error::Text(
            "Not enough arguments were provided based on argument count for FIELDS",
        )),
    };
    (0..count).map(name).collect()
}

fn limit(args: &mut Args<'_>) -> Result<(usize, usize), Error> {
    let mut number = |least: u64, text: &'static str| {
        let number = args.next_arg().and_then(parse_integer);
        let number = number.and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| (least..=ROWS_MAX).contains(number));
        number.and_then(|number| usize::try_from(number).ok()).ok_or(Error::Text(text))
    };
    let offset = number(0, "LIMIT offset must be a non-negative integer")?;
    Ok((offset, number(1, "LIMIT count must be a positive integer")?))
}

/// A row that is kept.
#[derive(Debug)]
struct Entry {
    keys: Vec<Option<Value<'static>>>,
    fields: Vec<Option<Value<'static>>>,
}

/// The rows of all groups.
#[derive(Debug)]
pub struct Collector {
    options: Collecting,
    groups: Vec<Vec<Entry>>,
    /// What the entries take. Those that were cut off again are counted until the next cut.
    bytes: usize,
}

impl Entry {
    fn memory(&self) -> usize {
        let values = self.keys.iter().chain(&self.fields);
        let of_value = |value: &Option<Value<'_>>| {
            size_of::<Option<Value<'_>>>() + value.as_ref().map_or(0, Value::memory)
        };
        size_of::<Entry>() + values.map(of_value).sum::<usize>()
    }
}

impl Collector {
    /// No groups yet.
    pub fn new(options: Collecting) -> Collector {
        Collector { options, groups: Vec::new(), bytes: 0 }
    }

    /// Bytes on the heap, about.
    pub fn memory(&self) -> usize {
        size_of_val(&self.groups[..]) + self.bytes
    }

    /// Makes room for so many groups.
    pub fn grow(&mut self, groups: usize) {
        self.groups.resize_with(groups, Vec::new);
    }

    /// Adds a row to a group.
    pub fn add(&mut self, group: u32, inputs: &[usize], row: &Row<'_>) {
        let (fields, keys) = inputs.split_at(inputs.len() - self.options.descending.len());
        let copy = |slots: &[usize]| {
            slots
                .iter()
                .map(|slot| row.get(*slot).map(|value| value.clone().into_owned()))
                .collect()
        };
        let entry = Entry { keys: copy(keys), fields: copy(fields) };
        let options = &self.options;
        let entries = &mut self.groups[group as usize];
        self.bytes += entry.memory();
        entries.push(entry);
        if let (Some((offset, count)), false) = (options.limit, options.distinct) {
            let keep = offset.saturating_add(count);
            let full = keep.saturating_mul(2).max(1000);
            if !options.descending.is_empty() && entries.len() < full {
                return;
            }
            if !options.descending.is_empty() {
                let unsorted = std::mem::take(entries);
                *entries = sorted(unsorted, &options.descending);
            }
            let cut = entries.get(keep..).unwrap_or_default().iter().map(Entry::memory);
            self.bytes -= cut.sum::<usize>();
            entries.truncate(keep);
        }
    }

    /// The rows of a group, as maps.
    pub fn value(&self, group: u32) -> Value<'static> {
        let mut entries: Vec<&Entry> = self.groups[group as usize].iter().collect();
        let options = &self.options;
        if !options.descending.is_empty() {
            entries = sorted(entries, &options.descending);
        }
        if options.distinct {
            let mut values = Interner::default();
            let names = options.fields.as_ref().map_or(0, Vec::len);
            let mut tuples = Tuples::new(names);
            let mut next = 0;
            entries.retain(|entry| {
                let number = |value: &Option<Value<'static>>| match value {
                    Some(value) => values.intern(value),
                    None => u32::MAX,
                };
                let tuple: Vec<u32> = entry.fields.iter().map(number).collect();
                let is_new = tuples.intern(&tuple) == next;
                next += u32::from(is_new);
                is_new
            });
        }
        let (offset, count) = options.limit.unwrap_or((0, usize::MAX));
        let names = options.fields.as_deref().unwrap_or_default();
        let maps = entries.into_iter().skip(offset).take(count).map(|entry| {
            let fields = names.iter().zip(&entry.fields);
            let fields = fields.filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
            Value::Map(Arc::from_iter(fields))
        });
        Value::List(maps.collect())
    }
}

/// Sorted by the keys; rows without one come last either way. By merging insertions, since what clients store need not have
/// a consistent order and the standard sort may refuse it.
fn sorted<E: Borrow<Entry>>(mut items: Vec<E>, descending: &[bool]) -> Vec<E> {
    if items.len() < 2 {
        return items;
    }
    let right = items.split_off(items.len() / 2);
    let left = sorted(items, descending);
    let right = sorted(right, descending);
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let right_first = compare(b.borrow(), a.borrow(), descending).is_lt();
        out.extend(if right_first { right.next() } else { left.next() });
    }
    out.extend(left);
    out.extend(right);
    out
}

fn compare(a: &Entry, b: &Entry, descending: &[bool]) -> Ordering {
    for ((a, b), descending) in a.keys.iter().zip(&b.keys).zip(descending) {
        let order = match (a, b) {
            (Some(a), Some(b)) if *descending => b.compare(a),
            (Some(a), Some(b)) => a.compare(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(line: &str, rows: &[[&'static str; 2]]) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut inputs = Vec::new();
        let options = Collecting::read(&mut Args::new(&words), &mut inputs).unwrap();
        let slots: Vec<usize> =
            inputs.iter().map(|name| usize::from(*name != b"a".as_slice())).collect();
        let mut collector = Collector::new(options);
        collector.grow(1);
        for row in rows {
            let value = |text: &&'static str| match *text {
                "-" => None,
                text => Some(Value::text(text.as_bytes())),
            };
            collector.add(0, &slots, &Row { slots: row.iter().map(value).collect(), key: None });
        }
        let Value::List(maps) = collector.value(0) else { unreachable!() };
        let shown = maps.iter().map(|map| {
            let Value::Map(fields) = map else { unreachable!() };
            let fields = fields.iter().map(|(_, value)| match value {
                Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                _ => unreachable!(),
            });
            fields.collect::<Vec<_>>().join("")
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_are_sorted_cut_and_told_apart() {
        let rows = [["x", "3"], ["y", "1"], ["x", "3"], ["z", "-"], ["x", "2"]];
        let cases = [
            ("FIELDS 2 @a @b", "x3 y1 x3 z x2"),
            ("FIELDS 1 @a DISTINCT", "x y z"),
            ("FIELDS 2 @a @b SORTBY 1 @b", "y1 x2 x3 x3 z"),
            ("FIELDS 2 @a @b SORTBY 2 @b DESC LIMIT 1 2", "x3 x2"),
            ("FIELDS 1 @b SORTBY 3 @a @b DESC", "3 3 2 1 "),
            ("FIELDS 1 @a LIMIT 0 2", "x y"),
        ];
        for (line, expected) in cases {
            assert_eq!(collect(line, &rows), expected, "{line}");
        }
    }

    #[test]
    fn errors_name_the_argument() {
        let read = |line: &str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            Collecting::read(&mut Args::new(&words), &mut Vec::new()).unwrap_err().to_string()
        };
        assert_eq!(read("FIELDS x"), "Expected number of fields or `*` after FIELDS");
        assert_eq!(read("FIELDS 1 @a LIMIT 0 0"), "LIMIT count must be a positive integer");
        assert_eq!(read("FIELDS 1 @a WHAT"), "Unknown argument `WHAT`");
        assert_eq!(
            read("FIELDS 2 @a"),
            "Not enough arguments were provided based on argument count for FIELDS"
        );
    }
}
