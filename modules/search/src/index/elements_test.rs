//! Does a clause about elements find what a look at all elements finds?
//!
//! Random documents with arrays of objects are put in, replaced and removed, and sealed at random moments; random
//! conditions are answered by the index and by a model that looks at one element after the other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::index::analysis::FieldValue;
use crate::index::deadline::Deadline;
use crate::index::search::{Order, Request};
use crate::index::tier::Tier;
use crate::index::{Attributes, Index, Work};
use crate::query::expand::Expander;
use crate::query::parser::{Context, Parameters, parse};
use crate::query::plan::{Options, plan};
use crate::schema::parse::create;
use crate::schema::{ALL_FIELDS, Schema};
use crate::score::Scorer;
use crate::tokenize::Language;

/// Members stand in front of their NESTED field and behind it.
const SCHEMA: &str = "ON JSON SCHEMA $.o[*].t[*] AS t TAG INDEXMISSING $.o[*] AS o NESTED $.o[*].n AS n NUMERIC \
                      $.o[*].w AS w TEXT $.o[*].l[*].q AS q NUMERIC $.o[*].l[*] AS l NESTED $.top AS top TAG";
const WORDS: [&str; 6] = ["run", "running", "cat", "cats", "dog", "bird"];
const TAGS: [&str; 4] = ["red", "Green", "gray", "blue"];

#[derive(Debug, Clone)]
struct Element {
    tags: Vec<&'static str>,
    number: Option<i32>,
    words: Vec<&'static str>,
    lines: Vec<Option<i32>>,
}

#[derive(Debug, Clone)]
struct Document {
    elements: Vec<Element>,
    top: &'static str,
}

/// A condition on one element.
#[derive(Debug, Clone)]
enum Condition {
    Tag(&'static str),
    TagPrefix(&'static str),
    Numbers(i32, i32),
    Word(&'static str),
    Phrase(&'static str, &'static str),
    MissingTag,
    Lines(i32, i32),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Optional(Box<Condition>),
}

/// A condition on a document.
#[derive(Debug, Clone)]
enum Query {
    Some(Condition),
    Top(&'static str),
    /// Of any element, as without NESTED.
    Flat(i32, i32),
    And(Vec<Query>),
    Or(Vec<Query>),
    Not(Box<Query>),
}

#[derive(Debug, Clone)]
enum Operation {
    Put(u8, Document),
    Remove(u8),
    Seal,
    Search(Query),
}

fn join<T>(children: &[T], text: impl Fn(&T) -> String, sign: &str) -> String {
    format!("({})", children.iter().map(text).collect::<Vec<_>>().join(sign))
}

impl Condition {
    fn text(&self) -> String {
        match self {
            Condition::Tag(tag) => format!("@t:{{{tag}}}"),
            Condition::TagPrefix(start) => format!("@t:{{{start}*}}"),
            Condition::Numbers(min, max) => format!("@n:[{min} {max}]"),
            Condition::Word(word) => format!("(@w:{word})"),
            Condition::Phrase(first, second) => format!("\"{first} {second}\""),
            Condition::MissingTag => "ismissing(@t)".to_owned(),
            Condition::Lines(min, max) => format!("@l:(@q:[{min} {max}])"),
            Condition::And(children) => join(children, Condition::text, " "),
            Condition::Or(children) => join(children, Condition::text, " | "),
            Condition::Not(child) => format!("-({})", child.text()),
            Condition::Optional(child) => format!("~({})", child.text()),
        }
    }

    fn holds(&self, element: &Element) -> bool {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        match self {
            Condition::Tag(tag) => element.tags.iter().any(|other| same(other, tag)),
            Condition::TagPrefix(start) => {
                element.tags.iter().any(|tag| tag.to_lowercase().starts_with(start))
            }
            Condition::Numbers(min, max) => {
                element.number.is_some_and(|n| (*min..=*max).contains(&n))
            }
            Condition::Word(word) => {
                let stem = |word: &str| Language::default().stem(word).unwrap();
                // Words of three letters have no stems of their own here.
                element.words.iter().any(|other| other == word || stem(other) == stem(word))
            }
            Condition::Phrase(first, second) => {
                element.words.windows(2).any(|pair| pair == [*first, *second])
            }
            Condition::MissingTag => element.tags.is_empty(),
            Condition::Lines(min, max) => {
                element.lines.iter().flatten().any(|q| (*min..=*max).contains(q))
            }
            Condition::And(children) => children.iter().all(|child| child.holds(element)),
            Condition::Or(children) => children.iter().any(|child| child.holds(element)),
            Condition::Not(child) => !child.holds(element),
            Condition::Optional(_) => true,
        }
    }
}

impl Query {
    fn text(&self) -> String {
        match self {
            Query::Some(condition) => format!("@o:({})", condition.text()),
            Query::Top(tag) => format!("@top:{{{tag}}}"),
            Query::Flat(min, max) => format!("@n:[{min} {max}]"),
            Query::And(children) => join(children, Query::text, " "),
            Query::Or(children) => join(children, Query::text, " | "),
            Query::Not(child) => format!("-({})", child.text()),
        }
    }

    fn holds(&self, document: &Document) -> bool {
        let elements = &document.elements;
        match self {
            Query::Some(condition) => elements.iter().any(|element| condition.holds(element)),
            Query::Top(tag) => document.top == *tag,
            Query::Flat(min, max) => {
                elements.iter().filter_map(|e| e.number).any(|n| (*min..=*max).contains(&n))
            }
            Query::And(children) => children.iter().all(|child| child.holds(document)),
            Query::Or(children) => children.iter().any(|child| child.holds(document)),
            Query::Not(child) => !child.holds(document),
        }
    }
}

fn array(values: Vec<FieldValue<'static>>) -> FieldValue<'static> {
    match values.len() {
        0 => FieldValue::Missing,
        _ => FieldValue::Array(values),
    }
}

fn elements(values: Vec<Vec<FieldValue<'static>>>) -> FieldValue<'static> {
    if values.is_empty() { FieldValue::Missing } else { FieldValue::Elements(values) }
}

/// The values of a document in the order of the schema, as a JSON document has them.
fn values(document: &Document) -> Vec<FieldValue<'static>> {
    let text = |text: String| FieldValue::Text(Cow::Owned(text.into_bytes()));
    let number = |n: Option<i32>| n.map_or(FieldValue::Missing, |n| FieldValue::Number(n.into()));
    let tags = |e: &Element| e.tags.iter().map(|tag| text((*tag).to_owned())).collect::<Vec<_>>();
    let words = |e: &Element| {
        if e.words.is_empty() { FieldValue::Missing } else { text(e.words.join(" ")) }
    };
    let lines = |e: &Element| e.lines.iter().map(|q| number(*q)).collect::<Vec<_>>();
    let all = &document.elements;
    let inner = |e: &Element| elements(e.lines.iter().map(|q| vec![number(*q)]).collect());
    let element =
        |e: &Element| vec![array(tags(e)), number(e.number), words(e), array(lines(e)), inner(e)];
    vec![
        array(all.iter().flat_map(tags).collect()),
        elements(all.iter().map(element).collect()),
        array(all.iter().map(|e| number(e.number)).collect()),
        array(all.iter().map(words).collect()),
        array(all.iter().flat_map(lines).collect()),
        elements(all.iter().flat_map(|e| e.lines.iter()).map(|q| vec![number(*q)]).collect()),
        text(document.top.to_owned()),
    ]
}

fn document() -> impl Strategy<Value = Document> {
    let element = (
        proptest::collection::vec(proptest::sample::select(&TAGS[..]), 0..3),
        proptest::option::of(0..6i32),
        proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..4),
        proptest::collection::vec(proptest::option::of(0..4i32), 0..3),
    )
        .prop_map(|(tags, number, words, lines)| Element { tags, number, words, lines });
    let top = proptest::sample::select(&["a", "b"][..]);
    (proptest::collection::vec(element, 0..4), top)
        .prop_map(|(elements, top)| Document { elements, top })
}

fn condition() -> impl Strategy<Value = Condition> {
    let word = || proptest::sample::select(&WORDS[..]);
    let leaf = prop_oneof![
        3 => proptest::sample::select(&TAGS[..]).prop_map(Condition::Tag),
        1 => proptest::sample::select(&["gr", "re"][..]).prop_map(Condition::TagPrefix),
        3 => (0..6i32, 0..3i32).prop_map(|(min, size)| Condition::Numbers(min, min + size)),
        2 => word().prop_map(Condition::Word),
        1 => (word(), word()).prop_map(|(a, b)| Condition::Phrase(a, b)),
        1 => Just(Condition::MissingTag),
        2 => (0..4i32, 0..2i32).prop_map(|(min, size)| Condition::Lines(min, min + size)),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            4 => several().prop_map(Condition::And),
            2 => several().prop_map(Condition::Or),
            1 => inner.clone().prop_map(|child| Condition::Not(Box::new(child))),
            1 => inner.prop_map(|child| Condition::Optional(Box::new(child))),
        ]
    })
}

fn query() -> impl Strategy<Value = Query> {
    let leaf = prop_oneof![
        6 => condition().prop_map(Query::Some),
        1 => proptest::sample::select(&["a", "b"][..]).prop_map(Query::Top),
        1 => (0..6i32, 0..3i32).prop_map(|(min, size)| Query::Flat(min, min + size)),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 2..3);
        prop_oneof![
            2 => several().prop_map(Query::And),
            1 => several().prop_map(Query::Or),
            1 => inner.prop_map(|child| Query::Not(Box::new(child))),
        ]
    })
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        8 => (0..16u8, document()).prop_map(|(key, document)| Operation::Put(key, document)),
        1 => (0..16u8).prop_map(Operation::Remove),
        1 => Just(Operation::Seal),
        6 => query().prop_map(Operation::Search),
    ];
    proptest::collection::vec(operation, 1..60)
}

fn check(
    index: &Index,
    schema: &Schema,
    documents: &BTreeMap<u8, Document>,
    query: &Query,
) -> Result<(), TestCaseError> {
    let (text, parameters) = (query.text(), Parameters::new());
    let context =
        Context { schema, stop_words: &schema.stop_words, parameters: &parameters, dialect: 2 };
    let node = parse(text.as_bytes(), context).unwrap();
    let options = Options {
        verbatim: false,
        expander: Expander::default(),
        language: Language::default(),
        fields: ALL_FIELDS,
        slop: None,
        in_order: false,
    };
    let request = Request {
        plan: &plan(&node, schema, &options).unwrap(),
        scorer: Scorer::Bm25Std,
        with_scores: true,
        order: Order::Score,
        offset: 0,
        limit: 100,
        only: None,
        deadline: Deadline::NONE,
    };
    let found = index.snapshot().search(&request);
    let mut keys: Vec<u8> = found.hits.iter().map(|hit| hit.key[0]).collect();
    keys.sort_unstable();
    let holds = documents.iter().filter(|(_, document)| query.holds(document));
    let expected: Vec<u8> = holds.map(|(key, _)| *key).collect();
    prop_assert_eq!(&keys, &expected, "{}", text);
    prop_assert_eq!(found.total, expected.len() as u64);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn elements_are_found_as_by_looking_at_all(operations in operations()) {
        let line: Vec<&[u8]> = SCHEMA.split_whitespace().map(str::as_bytes).collect();
        let schema = Arc::new(create(b"idx", &line).unwrap());
        let mut index = Index::new(Arc::clone(&schema), Work::Inline);
        let mut documents = BTreeMap::new();
        for operation in &operations {
            match operation {
                Operation::Put(key, document) => {
                    let attributes =
                        Attributes { language: Language::default(), score: 1.0, expires_at_ms: None };
                    index.put(&[*key], &values(document), attributes).unwrap();
                    documents.insert(*key, document.clone());
                }
                Operation::Remove(key) => {
                    prop_assert_eq!(index.remove(&[*key]), documents.remove(key).is_some());
                }
                Operation::Seal if !index.now.fresh.rows().is_empty() => index.freeze(),
                Operation::Seal => {}
                Operation::Search(query) => check(&index, &schema, &documents, query)?,
            }
        }
    }
}
