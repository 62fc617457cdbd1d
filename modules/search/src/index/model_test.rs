//! Does the index find what a scan of all documents finds?
//!
//! Random documents are put in, replaced and removed, batches are sealed and merged at random moments, and random
//! queries are answered by the index and by a model that knows no tiers, no postings and no cursors.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::index::analysis::FieldValue;
use crate::index::search::{Order, Request};
use crate::index::snapshot::Snapshot;
use crate::index::storing::tests::reloaded;
use crate::index::testing::{self, all, attributes, planned};
use crate::index::tier::Tier;
use crate::index::{Index, Work};
use crate::query::parser::Parameters;
use crate::query::plan::{Leaf, Plan, Proximity, Space, Step, stem_term, tag_term, word_term};
use crate::schema::{FieldMask, Schema, occurrence_weight};
use crate::tokenize::{Language, words};

const SCHEMAS: [&str; 3] = [
    "SCHEMA title TEXT body TEXT NOSTEM tag TAG num NUMERIC SORTABLE",
    "SCHEMA title TEXT WEIGHT 5 body TEXT WEIGHT 2 tag TAG CASESENSITIVE num NUMERIC",
    "SCORE 0.5 STOPWORDS 1 cat SCHEMA title TEXT SORTABLE body TEXT tag TAG SORTABLE num NUMERIC",
];
const WORDS: [&str; 10] =
    ["run", "running", "runs", "cat", "cats", "catalog", "the", "dog", "hires", "hired"];

#[derive(Debug, Clone)]
struct Document {
    title: String,
    body: String,
    tag: String,
    number: Option<i32>,
    score: f32,
}

#[derive(Debug, Clone)]
enum Operation {
    Put(u8, Document),
    Remove(u8),
    Seal,
    Search(String),
    /// A snapshot is kept, and asked again at the end.
    Keep(String),
    /// The index is written to disk and read again.
    Reload,
}

/// Positions and fields.
type Places = Vec<(u32, u8)>;

/// A document as the model sees it: terms with their positions and fields.
struct Seen {
    key: Vec<u8>,
    terms: BTreeMap<(Space, Vec<u8>), Places>,
    number: Option<f64>,
    length: u32,
    score: f64,
}

fn see(schema: &Schema, key: &[u8], document: &Document) -> Seen {
    let mut seen = Seen {
        key: key.to_vec(),
        terms: BTreeMap::new(),
        number: document.number.map(f64::from),
        length: 0,
        score: f64::from(document.score),
    };
    let mut position = 0;
    for (field, text) in [(0u8, &document.title), (1, &document.body)] {
        let crate::schema::FieldKind::Text { no_stem, weight, .. } =
            schema.fields[field as usize].kind
        else {
            unreachable!()
        };
        words(text.as_bytes(), &schema.stop_words, |word| {
            position += 1;
            seen.length += occurrence_weight(weight);
            let mut add = |term: crate::query::plan::Term| {
                seen.terms.entry((term.space, term.bytes)).or_default().push((position, field));
            };
            add(word_term(word));
            let stem = Language::default().stem(word).filter(|stem| stem != word);
            if let Some(stem) = stem.filter(|_| !no_stem && word.len() >= 4) {
                add(stem_term(&stem));
            }
        });
    }
    let tags = document.tag.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    for tag in tags {
        let case_sensitive = matches!(
            schema.fields[2].kind,
            crate::schema::FieldKind::Tag { case_sensitive: true, .. }
        );
        let tag = if case_sensitive { tag.to_owned() } else { tag.to_lowercase() };
        let term = tag_term(2, tag.as_bytes());
        seen.terms.insert((term.space, term.bytes), vec![]);
    }
    seen
}

/// A match of a step: what it scores, and where its words stand.
struct Match {
    score: f64,
    positions: Vec<u32>,
}

struct Model<'a> {
    schema: &'a Schema,
    seen: &'a [Seen],
    plan: &'a Plan,
}

impl Model<'_> {
    fn rarity(&self, term: &(Space, Vec<u8>)) -> f64 {
        if term.0 == Space::Tags {
            return 0.0;
        }
        let n = self.seen.iter().filter(|seen| seen.terms.contains_key(term)).count() as f64;
        (1.0 + (self.seen.len() as f64 - n + 0.5) / (n + 0.5)).ln()
    }

    fn saturate(&self, seen: &Seen, rarity: f64, frequency: f64) -> f64 {
        let sum: u32 = self.seen.iter().map(|seen| seen.length).sum();
        let mean = f64::from(sum) / self.seen.len() as f64;
        let share = if mean > 0.0 { f64::from(seen.length) / mean } else { 0.0 };
        rarity * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * share))
    }

    fn term(&self, seen: &Seen, term: &(Space, Vec<u8>), fields: FieldMask) -> Option<Match> {
        let places = seen.terms.get(term)?;
        let wanted: Vec<u32> =
            places.iter().filter(|p| fields >> p.1 & 1 == 1).map(|p| p.0).collect();
        if term.0 == Space::Words && wanted.is_empty() {
            return None;
        }
        let stem = term.1.first() == Some(&b'+');
        let frequency = places.iter().map(|(_, field)| {
            let weight = self.schema.weights().map_or(1, |weights| weights[*field as usize]);
            if stem { (weight / 5).max(1) } else { weight }
        });
        let frequency = if term.0 == Space::Tags { 1 } else { frequency.sum() };
        let score = self.saturate(seen, self.rarity(term), f64::from(frequency));
        Some(Match { score, positions: wanted })
    }

    fn step(&self, seen: &Seen, step: &Step) -> Option<Match> {
        let scaled = |m: Match, weight: f64| Match { score: m.score * weight, ..m };
        match step {
            Step::Nothing => None,
            Step::All { weight } => {
                Some(Match { score: self.saturate(seen, 1.0, 1.0) * weight, positions: vec![] })
            }
            Step::Leaf { leaf, fields, weight } => match &self.plan.leaves[*leaf] {
                Leaf::Term(term) => self
                    .term(seen, &(term.space, term.bytes.clone()), *fields)
                    .map(|m| scaled(m, *weight)),
                Leaf::Shape(shape) => {
                    let terms =
                        seen.terms.keys().filter(|t| t.0 == shape.space && shape.matches(&t.1));
                    let matches = terms.filter_map(|term| self.term(seen, term, *fields));
                    let mut all: Vec<Match> = matches.collect();
                    let mut positions: Vec<u32> =
                        all.iter().take(1).flat_map(|m| m.positions.clone()).collect();
                    positions.sort_unstable();
                    if all.is_empty() {
                        return None;
                    }
                    Some(Match { score: all.remove(0).score * weight, positions })
                }
            },
            Step::And { children, weight, proximity } => {
                let matches: Vec<Match> =
                    children.iter().map(|child| self.step(seen, child)).collect::<Option<_>>()?;
                let lists: Vec<&[u32]> = matches
                    .iter()
                    .map(|m| m.positions.as_slice())
                    .filter(|l| !l.is_empty())
                    .collect();
                if lists.len() > 1 && proximity.is_some_and(|proximity| !close(&lists, proximity)) {
                    return None;
                }
                Some(add(matches, *weight))
            }
            Step::Or { children, weight } => {
                let matches: Vec<Match> =
                    children.iter().filter_map(|child| self.step(seen, child)).collect();
                (!matches.is_empty()).then(|| add(matches, *weight))
            }
            Step::Not(child) => match self.step(seen, child) {
                Some(_) => None,
                None => Some(Match { score: 0.0, positions: vec![] }),
            },
            Step::Optional { child, weight } => Some(match self.step(seen, child) {
                Some(m) => scaled(m, *weight),
                None => Match { score: 0.0, positions: vec![] },
            }),
            Step::Circle { .. }
            | Step::Shape { .. }
            | Step::Vector { .. }
            | Step::Nested { .. } => {
                unreachable!("the queries have none")
            }
            Step::Range { range, .. } => seen
                .number
                .filter(|n| range.contains(*n))
                .map(|_| Match { score: 0.0, positions: vec![] }),
        }
    }
}

fn add(matches: Vec<Match>, weight: f64) -> Match {
    let score = matches.iter().map(|m| m.score).sum::<f64>() * weight;
    let mut positions: Vec<u32> = matches.into_iter().flat_map(|m| m.positions).collect();
    positions.sort_unstable();
    Match { score, positions }
}

/// By trying all choices of one position per list.
fn close(lists: &[&[u32]], proximity: Proximity) -> bool {
    fn search(lists: &[&[u32]], chosen: &mut Vec<u32>, proximity: Proximity) -> bool {
        let Some((first, rest)) = lists.split_first() else {
            let (min, max) = (*chosen.iter().min().unwrap(), *chosen.iter().max().unwrap());
            let gaps = (max - min).saturating_sub(chosen.len() as u32 - 1);
            return min != max
                && proximity.slop.is_none_or(|slop| gaps <= slop)
                && (!proximity.in_order || chosen.windows(2).all(|pair| pair[0] < pair[1]));
        };
        first.iter().any(|position| {
            chosen.push(*position);
            let found = search(rest, chosen, proximity);
            chosen.pop();
            found
        })
    }
    search(lists, &mut Vec::new(), proximity)
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..7)
        .prop_map(|words| words.join(" "))
}

fn document() -> impl Strategy<Value = Document> {
    let tag =
        proptest::sample::select(&["", "red", "red,Green", "green , blue", "x y", "green"][..]);
    (
        text(),
        text(),
        tag,
        proptest::option::of(-3..12i32),
        proptest::sample::select(&[1.0f32, 1.0, 0.5][..]),
    )
        .prop_map(|(title, body, tag, number, score)| Document {
            title,
            body,
            tag: tag.into(),
            number,
            score,
        })
}

fn clause() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(&WORDS[..]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        6 => word.clone(),
        1 => Just("zebra".to_owned()),
        1 => proptest::sample::select(&["ru*", "ca*", "cat*", "*ed", "*at*", "%cot%", "w'h?r*'"][..]).prop_map(str::to_owned),
        2 => (word.clone(), word).prop_map(|(a, b)| format!("\"{a} {b}\"")),
        1 => proptest::sample::select(&["@tag:{red}", "@tag:{green|x y}", "@tag:{gr*|Green}", "@title:(run|cat)"][..]).prop_map(str::to_owned),
        1 => (-3..12i32, 0..8i32).prop_map(|(min, size)| format!("@num:[{min} ({}]", min + size)),
        1 => Just("@num>3".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let list = |sep: &'static str| {
            proptest::collection::vec(inner.clone(), 2..4)
                .prop_map(move |c| format!("({})", c.join(sep)))
        };
        let weight = proptest::sample::select(
            &["$weight: 2", "$slop: 0", "$slop: 2; $inorder: true", "$slop: 1"][..],
        );
        prop_oneof![
            list(" "),
            list("|"),
            inner.clone().prop_map(|c| format!("-{c}")),
            inner.clone().prop_map(|c| format!("~{c}")),
            (list(" "), weight).prop_map(|(c, attribute)| format!("{c}=>{{{attribute}}}")),
        ]
    })
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        8 => (0..24u8, document()).prop_map(|(key, document)| Operation::Put(key, document)),
        2 => (0..24u8).prop_map(Operation::Remove),
        2 => Just(Operation::Seal),
        3 => clause().prop_map(Operation::Search),
        1 => clause().prop_map(Operation::Keep),
        1 => Just(Operation::Reload),
    ];
    proptest::collection::vec(operation, 1..80)
}

fn put(index: &mut Index, key: &[u8], document: &Document) {
    let bytes = |text: &str| FieldValue::Bytes(text.as_bytes().to_vec().into());
    let number = document.number.map_or(FieldValue::Missing, |number| bytes(&number.to_string()));
    let values = [bytes(&document.title), bytes(&document.body), bytes(&document.tag), number];
    index.put(key, &values, attributes(document.score)).unwrap();
}

fn check(
    index: &Snapshot,
    schema: &Schema,
    documents: &[(u8, Document)],
    query: &str,
) -> Result<(), TestCaseError> {
    let Ok(plan) = planned(query, schema, &Parameters::new()) else { return Ok(()) };
    let request = all(&plan, Order::Score);
    let found = index.search(&request);
    let seen: Vec<Seen> =
        documents.iter().map(|(key, document)| see(schema, &[*key], document)).collect();
    let model = Model { schema, seen: &seen, plan: &plan };
    let expected: BTreeMap<Vec<u8>, f64> = seen
        .iter()
        .filter_map(|seen| {
            Some((seen.key.clone(), model.step(seen, &plan.root)?.score * seen.score))
        })
        .collect();
    let keys: Vec<Vec<u8>> = found.hits.iter().map(|hit| hit.key.to_vec()).collect();
    let mut sorted = keys.clone();
    sorted.sort();
    prop_assert_eq!(sorted, expected.keys().cloned().collect::<Vec<_>>(), "{}", query);
    prop_assert_eq!(found.total, expected.len() as u64);
    // Superseded documents count in the rarity of terms until they are dropped.
    let nothing_dead = index.all_rows().all(|(_, dead)| dead.is_empty());
    for hit in found.hits.iter().filter(|_| nothing_dead) {
        let score = expected[&hit.key.to_vec()];
        prop_assert!((hit.score - score).abs() < 1e-5, "{}: {} is not {}", query, hit.score, score);
    }
    for pair in found.hits.windows(2) {
        prop_assert!((pair[0].score, pair[1].number) > (pair[1].score, pair[0].number));
    }
    let first = index.search(&Request { limit: 3, offset: 1, ..request });
    let page: Vec<Vec<u8>> = first.hits.iter().map(|hit| hit.key.to_vec()).collect();
    prop_assert_eq!(page, keys.iter().skip(1).take(3).cloned().collect::<Vec<_>>());
    check_sorted(index, &plan, &seen, expected.len())
}

fn check_sorted(
    index: &Snapshot,
    plan: &Plan,
    seen: &[Seen],
    total: usize,
) -> Result<(), TestCaseError> {
    let number = index.schema().field(b"num").unwrap().1.column.unwrap();
    for descending in [false, true] {
        let request = Request { limit: 5, ..all(plan, Order::Column { number, descending }) };
        let hits = index.search(&request).hits;
        prop_assert_eq!(hits.len(), total.min(5));
        let value = |key: &[u8]| seen.iter().find(|seen| seen.key == key).unwrap().number;
        for pair in hits.windows(2) {
            match (value(&pair[0].key), value(&pair[1].key)) {
                (Some(a), Some(b)) if descending => prop_assert!(a >= b),
                (Some(a), Some(b)) => prop_assert!(a <= b),
                (None, Some(_)) => prop_assert!(false, "absent values come last"),
                _ => {}
            }
        }
    }
    Ok(())
}

/// A snapshot, what was in the index then, and what it is asked at the end.
type Kept = (Arc<Snapshot>, Vec<(u8, Document)>, String);

fn run(schema: usize, work: Work, operations: &[Operation]) -> Result<(), TestCaseError> {
    let schema = testing::schema(SCHEMAS[schema]);
    let mut index = Index::new(Arc::clone(&schema), work);
    let mut documents: Vec<(u8, Document)> = Vec::new();
    let mut kept: Vec<Kept> = Vec::new();
    for operation in operations {
        match operation {
            Operation::Put(key, document) => {
                put(&mut index, &[*key], document);
                documents.retain(|(other, _)| other != key);
                documents.push((*key, document.clone()));
            }
            Operation::Remove(key) => {
                let existed = documents.iter().any(|(other, _)| other == key);
                documents.retain(|(other, _)| other != key);
                prop_assert_eq!(index.remove(&[*key]), existed);
            }
            Operation::Seal if !index.now.fresh.rows().is_empty() => index.freeze(),
            Operation::Seal => {}
            Operation::Search(query) => check(&index.snapshot(), &schema, &documents, query)?,
            Operation::Keep(query) => {
                kept.push((index.snapshot(), documents.clone(), query.clone()));
            }
            Operation::Reload => index = reloaded(&mut index, work),
        }
        prop_assert_eq!(index.len(), documents.len());
    }
    index.finish_jobs();
    prop_assert!(index.now.frozen.is_empty() && index.statistics.last_job_error.is_none());
    for query in ["*", "run", "cat -dog", "\"running cat\""] {
        check(&index.snapshot(), &schema, &documents, query)?;
    }
    for (snapshot, documents, query) in &kept {
        check(snapshot, &schema, documents, query)?;
        check(snapshot, &schema, documents, "*")?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_index_finds_what_a_scan_finds(schema in 0..SCHEMAS.len(), operations in operations()) {
        run(schema, Work::Inline, &operations)?;
    }

    #[test]
    fn threads_change_nothing(schema in 0..SCHEMAS.len(), operations in operations()) {
        run(schema, Work::Background, &operations)?;
    }
}

#[test]
fn many_batches_are_merged_and_numbers_begin_anew() {
    let schema = testing::schema(SCHEMAS[0]);
    let mut index = Index::new(Arc::clone(&schema), Work::Inline);
    index.next_number = u32::MAX - 9_000;
    let document = |at: usize| Document {
        title: WORDS[at % WORDS.len()].to_owned(),
        body: format!("word{}", at % 100),
        tag: "red".into(),
        number: Some(at as i32),
        score: 1.0,
    };
    for at in 0..12_000usize {
        index.searched = true;
        put(&mut index, &(at % 10_000).to_be_bytes(), &document(at));
    }
    assert_eq!(index.len(), 10_000);
    assert!(index.next_number < 20_000, "numbers have begun anew");
    assert!(index.now.sealed.len() < 10, "{} segments", index.now.sealed.len());
    for at in 0..10_000usize {
        assert!(index.contains(&at.to_be_bytes()));
    }
    for at in 0..5_000usize {
        assert!(index.remove(&at.to_be_bytes()));
    }
    assert_eq!(index.len(), 5_000);
    assert_eq!(index.snapshot().keys().count(), 5_000);
}
