//! Do queries that are made to be expensive end in time, and in little memory?
//!
//! Each of them is run against an index with a large dictionary and long words, in both tiers. It must be refused, or come
//! to an end soon after its time is over, and say so if that was too early. Time is counted in steps, so that a busy machine
//! changes nothing; memory by the allocator.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mortise_module::CountingAllocator;

use crate::error::Error;
use crate::index::analysis::FieldValue;
use crate::index::deadline::Deadline;
use crate::index::search::{Found, Order, Request};
use crate::index::snapshot::Snapshot;
use crate::index::testing::{self, attributes};
use crate::index::{Index, Work};
use crate::query::expand::Expander;
use crate::query::explain::explain;
use crate::query::parser::{Context, Parameters, parse};
use crate::query::plan::{Options, plan};
use crate::schema::ALL_FIELDS;
use crate::score::Scorer;
use crate::tokenize::Language;

/// Looks at the clock that queries are given: half a million steps, some tens of milliseconds.
const LOOKS: u32 = 2000;
/// Steps that may be taken when the time is over: each list that is open may notice by itself.
const LATE_STEPS_MAX: u64 = 1 << 18;
/// What no query takes by the clock either, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a query may hold: its tree (64 MiB, and its plan as much), the lists (96 MiB and 256 bytes per document, see
/// `deadline.rs`, once while terms are looked up and once while they are walked), and some times its text.
fn memory_max(query: &str) -> usize {
    (128 << 20) + 2 * ((96 << 20) + 256 * DOCUMENTS as usize) + 64 * query.len()
}

const DOCUMENTS: u32 = 12_500;

/// 100,000 words in 12,500 documents, some of them of thousands of letters.
fn snapshot() -> Arc<Snapshot> {
    static SNAPSHOT: OnceLock<Arc<Snapshot>> = OnceLock::new();
    let make = || {
        let schema = testing::schema("SCHEMA t TEXT NOSTEM n NUMERIC g TAG a GEOSHAPE FLAT");
        let mut index = Index::new(schema, Work::Inline);
        for number in 0..DOCUMENTS {
            let word =
                |at: u32| format!("wo{:x}a{:x}", number * 8 + at, at.wrapping_mul(0x9e37_79b9));
            let mut text = (0..8).map(word).collect::<Vec<_>>().join(" ");
            if number % 500 == 0 {
                text.push(' ');
                text.push_str(&"a".repeat(4000));
                text.push_str(&number.to_string());
            }
            let bytes = |text: String| FieldValue::Bytes(text.into_bytes().into());
            let values = [
                bytes(text),
                bytes(number.to_string()),
                bytes(format!("tag{number}")),
                FieldValue::Missing,
            ];
            index.put(&number.to_be_bytes(), &values, attributes(1.0)).unwrap();
        }
        index.snapshot()
    };
    Arc::clone(SNAPSHOT.get_or_init(make))
}

fn run(query: &str) -> Result<Found, Error> {
    run_with(query, &Parameters::new(), None, 10).0
}

/// Runs and explains a query; answers what came out, and how much memory it took.
fn run_with(
    query: &str,
    parameters: &Parameters,
    slop: Option<i64>,
    limit: usize,
) -> (Result<Found, Error>, usize) {
    let snapshot = snapshot();
    let start = Instant::now();
    let job = || search(&snapshot, query, parameters, slop, limit);
    let (found, peak) = CountingAllocator::peak_memory(job);
    let late = Deadline::late_steps();
    let shown: String = query.chars().take(40).collect();
    let outcome = match &found {
        Ok(found) => {
            format!("{} found, over: {}, cut: {}", found.total, found.timed_out, found.cut)
        }
        Err(error) => error.to_string(),
    };
    println!("{shown}... {} KiB, {late} late steps, {:?}, {outcome}", peak >> 10, start.elapsed());
    assert!(peak <= memory_max(query), "{shown}... held {peak} bytes");
    assert!(late <= LATE_STEPS_MAX, "{shown}... took {late} steps more than it had");
    assert!(start.elapsed() < PATIENCE, "{shown}... took {:?}", start.elapsed());
    (found, peak)
}

fn search(
    snapshot: &Snapshot,
    query: &str,
    parameters: &Parameters,
    slop: Option<i64>,
    limit: usize,
) -> Result<Found, Error> {
    let deadline = Deadline::after_looks(LOOKS);
    let schema = snapshot.schema();
    let context = Context { schema, stop_words: &schema.stop_words, parameters, dialect: 2 };
    let node = parse(query.as_bytes(), context)?;
    let options = Options {
        verbatim: false,
        language: Language::default(),
        fields: ALL_FIELDS,
        slop,
        in_order: false,
        expander: Expander::default(),
    };
    if let Ok(text) = explain(&node, schema, &options) {
        assert!(text.len() < 17 << 20);
    }
    let plan = plan(&node, schema, &options)?;
    Ok(snapshot.search(&Request {
        plan: &plan,
        scorer: Scorer::default(),
        with_scores: false,
        order: Order::Score,
        offset: limit / 2,
        limit,
        only: None,
        deadline,
    }))
}

/// Complete, or marked as cut.
fn check(query: &str, total: u64) {
    let found = run(query).unwrap();
    let partial = found.timed_out || found.cut;
    assert!(found.total == total || partial && found.total <= total, "{}", found.total);
}

#[test]
fn many_terms() {
    let words: Vec<String> = (0..10_000u32).map(|at| format!("wo{at:x}a0")).collect();
    check(&words.join("|"), 1_250);
    check(&words.join(" "), 0);
    check(&format!("\"{}\"", words.join(" ")), 0);
    check(&format!("-({})", words.join("|")), u64::from(DOCUMENTS) - 1_250);
    let tags: Vec<String> = (0..10_000).map(|at| format!("tag{at}")).collect();
    check(&format!("@g:{{{}}}", tags.join("|")), 10_000);
    let too_many = vec!["bb"; 70_000].join("|");
    assert!(run(&too_many).is_err());
}

#[test]
fn patterns_over_a_large_dictionary() {
    check("*wo*", u64::from(DOCUMENTS));
    check("w'*a*a*a*a*a*a*a*a*a*b'", 0);
    check(&format!("w'{}b'", "*a".repeat(1_000)), 0);
    check(&format!("w'{}'", "?".repeat(4_000)), 0);
    check(&format!("w'{}'", "*".repeat(100_000)), u64::from(DOCUMENTS));
    check(&format!("*{}*", "a".repeat(3_999)), 25);
    run("%%%wo1a%%%").unwrap();
    check(&format!("%%%{}%%%", "a".repeat(100)), 0);
    check(&vec!["*wo*"; 200].join("|"), u64::from(DOCUMENTS));
    check(&vec!["wo*"; 200].join(" "), u64::from(DOCUMENTS));
}

#[test]
fn ranges_that_must_look_far_ahead() {
    let ranges: Vec<String> = (0..3_000).map(|at| format!("@n:[{} {}]", at * 4, at * 4)).collect();
    check(&ranges.join("|"), 3_000);
    check(&format!("-zebra|{}", ranges.join("|")), u64::from(DOCUMENTS));
    check(&format!("~{}", ranges.join(" ~")), u64::from(DOCUMENTS));
    check(&format!("-{}", ranges.join(" -")), u64::from(DOCUMENTS) - 3_000);
}

#[test]
fn deep_nesting() {
    for (open, close) in [("(", ")"), ("-(", ")"), ("~(", ")"), ("-", ""), ("@t:(", ")")] {
        for depth in [50, 10_000, 1_000_000] {
            let query = format!("{}a{}", open.repeat(depth), close.repeat(depth));
            // Either is fine, as long as it ends.
            let _ = run(&query);
        }
    }
}

/// Patterns that are written differently and mean the same: all words.
fn all_words(count: usize) -> Vec<String> {
    let pattern = |at: usize| format!("w'{}wo*{}'", "*".repeat(at % 40), "*".repeat(at / 40));
    (0..count).map(pattern).collect()
}

#[test]
fn a_thousand_shapes_of_everything() {
    let shapes = all_words(1_000);
    check(&shapes.join(" "), u64::from(DOCUMENTS));
    check(&shapes.join("|"), u64::from(DOCUMENTS));
    check(&format!("~{}", shapes.join(" ~")), u64::from(DOCUMENTS));
    for slop in [Some(0), Some(1_000)] {
        let (found, _) = run_with(&shapes.join(" "), &Parameters::new(), slop, 10);
        assert!(found.unwrap().total <= u64::from(DOCUMENTS));
    }
    let prefixes: Vec<String> = (0..1_000u32).map(|at| format!("wo{at:x}*")).collect();
    check(&prefixes.join(" "), 0);
    let (found, _) = run_with(&prefixes.join("|"), &Parameters::new(), Some(3), 10);
    assert!(found.unwrap().total <= u64::from(DOCUMENTS));
}

#[test]
fn a_page_far_away() {
    let (found, peak) = run_with("*", &Parameters::new(), None, 1_000_000);
    assert!(found.unwrap().hits.is_empty());
    assert!(peak < 4 << 20, "{peak}");
    let (found, peak) = run_with("wo*", &Parameters::new(), None, usize::MAX);
    assert!(found.unwrap().hits.is_empty() && peak < 32 << 20, "{peak}");
}

#[test]
fn parameters_that_are_named_many_times() {
    let long = "a".repeat(1 << 20).into_bytes();
    let parameters = Parameters::from([(b"p".to_vec(), long)]);
    for (name, separator) in [("$p", "|"), ("%$p%", " "), ("@g:{$p}", "|"), ("w'$p'", " ")] {
        let query = vec![name; 10_000].join(separator);
        let (found, peak) = run_with(&query, &parameters, None, 10);
        assert!(found.is_err(), "{name}");
        assert!(peak < 256 << 20, "{name}: {peak}");
    }
    let corners = (0..10_000).map(|at| format!("{at} {}", at * at % 997)).collect::<Vec<_>>();
    let shape = format!("POLYGON(({}, 0 0))", corners.join(", ")).into_bytes();
    let parameters = Parameters::from([(b"p".to_vec(), shape)]);
    let query = vec!["@a:[WITHIN $p]"; 10_000].join("|");
    assert!(run_with(&query, &parameters, None, 10).0.is_err());
}

#[test]
fn a_long_text_of_short_words() {
    // Each of these is refused, whichever limit it meets first.
    for text in ["a|", "a ", "-a ", "@t:a ", "@g:{a} ", "@n:[1 2] ", "w'*' ", "%a% "] {
        assert!(run(&format!("{}a", text.repeat(400_000))).is_err(), "{text}");
    }
    assert!(run(&format!("\"{}\"", "a b ".repeat(500_000))).is_err());
    assert!(run(&format!("@g:{{{}b}}", "a|".repeat(1_000_000))).is_err());
    // Lines that are far to the right.
    let deep = format!("{}{}{}", "(a ".repeat(150), "a|".repeat(60_000), "b)".repeat(150));
    let _ = run(&deep);
}

/// A ring of so many corners, around a place.
fn ring(corners: usize, x: f64, y: f64) -> String {
    let mut text = String::from("POLYGON((");
    for at in 0..corners {
        let angle = at as f64 / corners as f64 * std::f64::consts::TAU;
        let radius = if at % 2 == 0 { 10.0 } else { 9.5 };
        write!(text, "{} {}, ", x + radius * angle.cos(), y + radius * angle.sin()).unwrap();
    }
    write!(text, "{} {}))", x + 10.0, y).unwrap();
    text
}

#[test]
fn shapes_of_very_many_corners() {
    let mut index = Index::new(testing::schema("SCHEMA a GEOSHAPE FLAT"), Work::Inline);
    for number in 0..8u32 {
        let text = ring(9_000, f64::from(number) / 8.0, 0.0).into_bytes();
        let values = [FieldValue::Bytes(text.into())];
        index.put(&number.to_be_bytes(), &values, attributes(1.0)).unwrap();
    }
    let parameters =
        |corners| Parameters::from([(b"p".to_vec(), ring(corners, 0.5, 0.5).into_bytes())]);
    let snapshot = index.snapshot();
    for relation in ["WITHIN", "CONTAINS", "INTERSECTS", "DISJOINT"] {
        let query = format!("@a:[{relation} $p]");
        let refused = search(&snapshot, &query, &parameters(100_000), None, 10);
        assert!(refused.unwrap_err().to_string().contains("corners"));
        let job = || search(&snapshot, &query, &parameters(9_000), None, 10);
        let (found, peak) = CountingAllocator::peak_memory(job);
        assert!(found.unwrap().total <= 8);
        assert!(peak < 16 << 20, "{peak}");
    }
}
