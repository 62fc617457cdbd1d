//! Do grouping and sorting give what plain loops over the documents give?
//!
//! Random documents lie in fresh, frozen and sealed pieces, some of them dead. Each pipeline is run over the index and,
//! beside it, by the simplest code that could be right.

use std::cmp::Ordering;
use std::sync::Arc;

use proptest::prelude::*;

use crate::aggregate::pipeline::{Load, Loader, Names};
use crate::aggregate::testing::fed;
use crate::aggregate::{Limits, Row};
use crate::error::Error;
use crate::expression::value::{Value, number_text};
use crate::index::analysis::FieldValue;
use crate::index::{Attributes, Index, Work};
use crate::schema::parse::create;
use crate::tokenize::Language;

/// A document: a text that sorting sees in lower case, a number, a tag as it is.
#[derive(Debug, Clone)]
struct Document {
    text: Option<String>,
    number: Option<i32>,
    tag: Option<String>,
    alive: bool,
    /// The piece is sealed behind it.
    sealed: bool,
}

fn documents() -> impl Strategy<Value = Vec<Document>> {
    let document = (
        proptest::option::weighted(0.8, "[aAbB]{0,2}"),
        proptest::option::weighted(0.8, -3i32..400),
        proptest::option::weighted(0.8, "[xyZ]{1,2}"),
        proptest::bool::weighted(0.8),
        proptest::bool::weighted(0.1),
    );
    let document = document.prop_map(|(text, number, tag, alive, sealed)| Document {
        text,
        number,
        tag,
        alive,
        sealed,
    });
    proptest::collection::vec(document, 0..60)
}

fn index(documents: &[Document]) -> Index {
    let words: Vec<&[u8]> = "SCHEMA t TEXT SORTABLE n NUMERIC g TAG SORTABLE UNF"
        .split(' ')
        .map(str::as_bytes)
        .collect();
    let schema = Arc::new(create(b"idx", &words).unwrap());
    let mut index = Index::new(Arc::clone(&schema), Work::Inline);
    let attributes = Attributes { language: Language::default(), score: 1.0, expires_at_ms: None };
    let value = |text: Option<String>| match text {
        Some(text) => FieldValue::Bytes(text.into_bytes().into()),
        None => FieldValue::Missing,
    };
    for (at, document) in documents.iter().enumerate() {
        let values = [
            value(document.text.clone()),
            value(document.number.map(|number| number.to_string())),
            value(document.tag.clone()),
        ];
        index.put(at.to_string().as_bytes(), &values, attributes).unwrap();
        if document.sealed {
            index.alter(Arc::clone(&schema));
        }
    }
    for (at, document) in documents.iter().enumerate().filter(|(_, document)| !document.alive) {
        assert!(index.remove(at.to_string().as_bytes()), "{document:?}");
    }
    index
}

struct Nothing;

impl Loader for Nothing {
    fn load(
        &mut self,
        _load: &Load,
        _rows: &mut [Row<'static>],
        _names: &mut Names,
    ) -> Result<Vec<bool>, Error> {
        unreachable!("all properties have columns")
    }
}

const LIMITS: Limits = Limits { groups: 1_000_000, bytes: 1 << 30 };

/// The rows of a pipeline over all documents, each as text.
fn run(index: &Index, line: &str) -> Vec<String> {
    let mut pipeline = fed(index, line, LIMITS).unwrap();
    // As a cursor would, a few at a time.
    let mut rows = Vec::new();
    let field = |(name, value): (&[u8], &Value<'_>)| {
        format!("{}={}", String::from_utf8_lossy(name), shown(value))
    };
    loop {
        let some = pipeline.take(3, &mut Nothing).unwrap();
        let shown = |row: &Row<'_>| pipeline.fields(row).map(field).collect::<Vec<_>>().join(" ");
        pipeline.each_row(&some, |row| rows.push(shown(row)));
        if some.len() < 3 && !pipeline.has_more() {
            break;
        }
    }
    rows
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Number(number) => number_text(*number),
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(","))
        }
        other => format!("{other:?}"),
    }
}

/// What the index gives of a property.
fn property(document: &Document, name: &str) -> Option<Value<'static>> {
    let text = |text: String| Value::Text(text.into_bytes().into());
    match name {
        "t" => document.text.as_ref().map(|value| text(value.to_ascii_lowercase())),
        "n" => document.number.map(|number| Value::Number(number.into())),
        "g" => document.tag.clone().map(text),
        _ => unreachable!(),
    }
}

/// One group: its values, and its documents.
type Group<'d> = (Vec<Option<Value<'static>>>, Vec<&'d Document>);

fn grouped<'d>(documents: &'d [Document], names: &[&str]) -> Vec<Group<'d>> {
    let mut groups: Vec<Group<'d>> = Vec::new();
    for document in documents.iter().filter(|document| document.alive) {
        let key: Vec<_> = names.iter().map(|name| property(document, name)).collect();
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(document),
            None => groups.push((key, vec![document])),
        }
    }
    groups
}

fn reduced(members: &[&Document]) -> String {
    let numbers: Vec<f64> = members.iter().filter_map(|d| d.number.map(f64::from)).collect();
    let sum = match numbers.len() {
        0 => f64::NAN,
        _ => numbers.iter().sum(),
    };
    let max = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut list: Vec<Value<'static>> = Vec::new();
    for value in members.iter().filter_map(|document| property(document, "g")) {
        if !list.contains(&value) {
            list.push(value);
        }
    }
    let first = property(members[0], "t").unwrap_or_default();
    format!(
        "c={} s={} m={} d={} l={} f={}",
        members.len(),
        number_text(sum),
        number_text(max),
        list.len(),
        shown(&Value::List(list.into())),
        shown(&first)
    )
}

const REDUCERS: &str = "REDUCE COUNT 0 AS c REDUCE SUM 1 @n AS s REDUCE MAX 1 @n AS m \
    REDUCE COUNT_DISTINCT 1 @g AS d REDUCE TOLIST 1 @g AS l REDUCE FIRST_VALUE 1 @t AS f";

fn order(a: &Document, b: &Document, keys: &[(&str, bool)]) -> Ordering {
    for (name, descending) in keys {
        let order = match (property(a, name), property(b, name)) {
            (Some(a), Some(b)) if *descending => b.compare(&a),
            (Some(a), Some(b)) => a.compare(&b),
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

proptest! {
    // A case seals several pieces, so the usual number of them takes long.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn groups_are_those_of_a_plain_loop(
        documents in documents(),
        names in prop::sample::subsequence(vec!["t", "n", "g"], 0..=3).prop_shuffle(),
        // With a step in between, rows go one by one.
        apply in any::<bool>(),
    ) {
        let index = index(&documents);
        let properties: Vec<String> = names.iter().map(|name| format!("@{name} ")).collect();
        let step = if apply { "APPLY 1 AS one " } else { "" };
        let line = format!("{step}GROUPBY {} {}{REDUCERS}", names.len(), properties.concat());
        let expected: Vec<String> = grouped(&documents, &names)
            .into_iter()
            .map(|(key, members)| {
                let fields = names.iter().zip(&key).map(|(name, value)| {
                    format!("{name}={} ", shown(value.as_ref().unwrap_or(&Value::Null)))
                });
                fields.collect::<String>() + &reduced(&members)
            })
            .collect();
        prop_assert_eq!(run(&index, &line), expected, "{}", line);
    }

    #[test]
    fn sorting_is_that_of_the_standard_library(
        documents in documents(),
        keys in prop::sample::subsequence(vec!["t", "n", "g"], 1..=3).prop_shuffle(),
        directions in proptest::collection::vec(any::<bool>(), 3),
        offset in 0usize..4,
        limit in 1usize..40,
        filter in any::<bool>(),
    ) {
        let index = index(&documents);
        let keys: Vec<(&str, bool)> = keys.into_iter().zip(directions).collect();
        let words: Vec<String> = keys
            .iter()
            .map(|(name, descending)| format!("@{name} {}", if *descending { "DESC" } else { "ASC" }))
            .collect();
        let step = if filter { "FILTER @n>100 " } else { "" };
        let count = words.len() * 2;
        let line = format!("{step}SORTBY {count} {} LIMIT {offset} {limit}", words.join(" "));
        let mut sorted: Vec<&Document> = documents
            .iter()
            .filter(|document| document.alive)
            .filter(|document| !filter || document.number.is_some_and(|number| number > 100))
            .collect();
        // Documents that are alike come in the order of their age, or, if the last key descends, against it.
        if keys[keys.len() - 1].1 {
            sorted.reverse();
        }
        sorted.sort_by(|a, b| order(a, b, &keys));
        let mut names: Vec<&str> = if filter { vec!["n"] } else { Vec::new() };
        names.extend(keys.iter().map(|(name, _)| *name).filter(|name| !filter || *name != "n"));
        let expected: Vec<String> = sorted
            .into_iter()
            .skip(offset)
            .take(limit)
            .map(|document| {
                let fields = names.iter().filter_map(|name| {
                    Some(format!("{name}={}", shown(&property(document, name)?)))
                });
                fields.collect::<Vec<_>>().join(" ")
            })
            .collect();
        prop_assert_eq!(run(&index, &line), expected, "{}", line);
    }

    #[test]
    fn pages_of_groups_are_parts_of_the_whole(
        documents in documents(), offset in 0usize..5, limit in 1usize..5,
    ) {
        let index = index(&documents);
        let whole = run(&index, "GROUPBY 1 @t REDUCE COUNT 0 AS c SORTBY 2 @c DESC LIMIT 0 1000");
        let line = format!(
            "GROUPBY 1 @t REDUCE COUNT 0 AS c SORTBY 2 @c DESC LIMIT {offset} {limit}"
        );
        let part: Vec<String> = whole.into_iter().skip(offset).take(limit).collect();
        prop_assert_eq!(run(&index, &line), part);
    }
}
