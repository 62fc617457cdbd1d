//! Does a query find the same in documents that were just put in and in sealed ones?
//!
//! Input: a byte that chooses dialect, scorer and stemming, then the query. Properties: tokens follow each other inside the
//! text; the text is read the same twice; a planned query finds the same documents with the same scores in an index that is one
//! fresh batch and in one of two sealed segments; a page is a part of the whole, and every order has the same documents; a
//! measured search finds what an unmeasured one does; a planned query can be explained, and highlighting a text adds tags alone.

use std::borrow::Cow;

use mortise_search::highlight::{Limits, Summary, Tags, Wanted};
use mortise_search::index::analysis::FieldValue;
use mortise_search::index::deadline::Deadline;
use mortise_search::index::profile::Profile;
use mortise_search::index::search::{Hit, Order, Request};
use mortise_search::index::{Attributes, Index};
use mortise_search::query::expand::Expander;
use mortise_search::query::explain::explain;
use mortise_search::query::lexer::{Lexer, TokenKind};
use mortise_search::query::parser::{Context, Parameters, parse};
use mortise_search::query::plan::{Options, Plan, plan};
use mortise_search::schema::{ALL_FIELDS, Schema};
use mortise_search::score::Scorer;
use mortise_search::tokenize::Language;

use super::search_pieces::Pieces;

/// Longer queries add work but nothing new.
const TEXT_BYTES_MAX: usize = 512;
const SCORERS: [Scorer; 4] =
    [Scorer::Bm25Std, Scorer::Bm25StdTanh, Scorer::TfIdf, Scorer::TfIdfDocNorm];
const SCHEMA: &str = "SCHEMA title TEXT WEIGHT 5 body TEXT INDEXEMPTY name TEXT NOSTEM \
    tag TAG INDEXMISSING list TAG SEPARATOR ; CASESENSITIVE num NUMERIC SORTABLE other NUMERIC \
    at GEO flat GEOSHAPE FLAT globe GEOSHAPE v VECTOR HNSW 6 TYPE INT8 DIM 2 DISTANCE_METRIC L2 \
    f VECTOR FLAT 6 TYPE FLOAT16 DIM 1 DISTANCE_METRIC COSINE";
/// Of each document: a place, a shape, and vectors of two bytes.
const PLACES: [[&str; 3]; 3] = [
    ["2.35,48.86", "POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (2 2, 4 2, 4 4, 2 2))", "ab"],
    ["-179.9 -10", "POINT(3 3)", "cA"],
    ["12.5,41.9", "POLYGON((5 5, 20 5, 5 20))", "!z"],
];
const DOCUMENTS: &[[&str; 6]] = &[
    ["running cats", "the cat runs", "ann", "red,blue", "a;B", "1"],
    ["hello world", "a world of words", "bob", "red", "b", "2"],
    ["foo bar", "", "ann bob", "", "A;a", "-5.5"],
    ["cat", "cat cat dog", "carl", "foo bar", "x y", "1e9"],
    ["dog days", "hello cats and dogs", "dora", "blue", "", "3"],
    ["", "\u{e9}t\u{e9} stra\u{df}e 10", "\u{41f}\u{440}\u{438}", "\u{e9}", "\u{c9}", "0"],
];

/// What queries name by `$`.
fn parameters() -> Parameters {
    let parameters = [
        ("p", "cat"),
        ("n", "2"),
        ("e", ""),
        ("v", "bb"),
        ("km", "km"),
        ("s", "POLYGON((1 1, 8 1, 8 8, 1 8, 1 1))"),
    ];
    parameters.map(|(name, value)| (name.into(), value.into())).into()
}

fn put(index: &mut Index, number: usize, document: &[&str; 6]) {
    let mut values: Vec<_> =
        document.iter().map(|text| FieldValue::Bytes(Cow::Borrowed(text.as_bytes()))).collect();
    // The field `other` is missing everywhere, and one tag is.
    values.push(FieldValue::Missing);
    if number == 4 {
        values[3] = FieldValue::Missing;
    }
    let [place, shape, vector] =
        PLACES[number % PLACES.len()].map(|text| FieldValue::Bytes(Cow::Borrowed(text.as_bytes())));
    values.extend([place, shape.clone(), shape, vector.clone(), vector]);
    let attributes = Attributes { language: Language::default(), score: 1.0, expires_at_ms: None };
    index.put(&[b'a' + number as u8], &values, attributes).expect("the documents fit the schema");
}

thread_local! {
    static PIECES: (Pieces, Parameters) = {
        let put = |index: &mut Index, number| put(index, number, &DOCUMENTS[number]);
        (Pieces::new(SCHEMA, DOCUMENTS.len(), put), parameters())
    };
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&choice, text)) = bytes.split_first() else { return };
    if text.len() <= TEXT_BYTES_MAX {
        tokens(text);
        PIECES.with(|(pieces, parameters)| query(pieces, parameters, choice, text));
    }
}

fn tokens(text: &[u8]) {
    let mut lexer = Lexer::new(text);
    let mut behind = 0;
    loop {
        let token = lexer.next_token();
        assert!(behind <= token.offset && token.offset <= token.end && token.end <= text.len());
        if token.kind == TokenKind::End {
            return;
        }
        assert!(token.end > behind, "no progress");
        behind = token.end;
    }
}

fn query(pieces: &Pieces, parameters: &Parameters, choice: u8, text: &[u8]) {
    let context = Context {
        schema: &pieces.schema,
        stop_words: &pieces.schema.stop_words,
        parameters,
        dialect: u32::from(choice & 3) + 1,
    };
    let node = parse(text, context);
    // Numbers may be nan, which is unlike itself; their text is not.
    assert_eq!(format!("{node:?}"), format!("{:?}", parse(text, context)));
    let Ok(node) = node else { return };
    let options = Options {
        verbatim: choice & 4 != 0,
        expander: Expander::default(),
        language: Language::default(),
        fields: if choice & 8 == 0 { ALL_FIELDS } else { 1 },
        slop: (choice & 16 != 0).then_some(1),
        in_order: choice & 32 != 0,
    };
    let Ok(plan) = plan(&node, &pieces.schema, &options) else { return };
    explain(&node, &pieces.schema, &options).expect("what can be planned can be explained");
    excerpts(&pieces.schema, &plan, text);
    let scorer = SCORERS[usize::from(choice >> 6)];
    let fresh = search(&pieces.fresh, &plan, scorer);
    let sealed = search(&pieces.sealed, &plan, scorer);
    assert_eq!(keys(&fresh), keys(&sealed));
    for (a, b) in fresh.iter().zip(&sealed) {
        let same = (a.score - b.score).abs() <= 1e-5 * a.score.abs().max(1.0);
        assert!(same || a.score.is_nan() && b.score.is_nan(), "{} and {}", a.score, b.score);
    }
}

/// The query is a text like any other.
fn excerpts(schema: &Schema, plan: &Plan, text: &[u8]) {
    let wanted = Wanted::new(plan, schema, Language::default(), |_| 1.0);
    let tags = Tags { open: b"\xfe", close: b"\xff" };
    let mut limits = Limits::new(Deadline::NONE);
    if let Some(marked) = wanted.highlight(text, 0, &tags, &mut limits) {
        let ours = |byte: &&u8| **byte < 0xfe;
        let bare: Vec<&u8> = marked.iter().filter(ours).collect();
        assert_eq!(bare, text.iter().filter(ours).collect::<Vec<_>>());
    }
    let summary = Summary { fragments: 2, words: 3, separator: b"|" };
    wanted.summarize(text, 0, &summary, Some(&tags), &mut limits);
    assert!(!limits.is_exceeded());
}

/// All hits, by number; that pages and other orders have the same is checked on the way.
fn search(index: &Index, plan: &Plan, scorer: Scorer) -> Vec<Hit> {
    let order = Order::Score;
    let request = Request {
        plan,
        scorer,
        with_scores: true,
        order,
        offset: 0,
        limit: 100,
        only: None,
        deadline: Deadline::NONE,
    };
    let found = index.search(&request);
    assert_eq!(found.total, found.hits.len() as u64);
    let snapshot = index.snapshot();
    let leaves = snapshot.look_up(plan, &mut { Deadline::NONE });
    let measured = snapshot.search_measured(&request, &leaves, Some(&Profile::new(plan)));
    assert_eq!(keys(&found.hits), keys(&measured.hits));
    let page = index.search(&Request { offset: 1, limit: 2, ..request });
    assert_eq!(page.total, found.total);
    let part: Vec<_> = found.hits.iter().skip(1).take(2).map(|hit| &hit.key).collect();
    assert_eq!(page.hits.iter().map(|hit| &hit.key).collect::<Vec<_>>(), part);
    let mut hits = found.hits;
    hits.sort_by_key(|hit| hit.number);
    let number = 0;
    for order in [Order::Age, Order::Column { number, descending: true }] {
        let mut other = index.search(&Request { order, with_scores: false, ..request }).hits;
        other.sort_by_key(|hit| hit.number);
        assert_eq!(keys(&hits), keys(&other), "in {order:?}");
    }
    hits
}

fn keys(hits: &[Hit]) -> Vec<&[u8]> {
    hits.iter().map(|hit| &*hit.key).collect()
}
