//! Do queries that are made to be expensive end in time?
//!
//! Each of them is run against an index with a large dictionary and long words, in both tiers, under a deadline. It
//! must be refused, or come to an end not much later than it should, and say so if that was too early.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::index::analysis::FieldValue;
use crate::index::deadline::Deadline;
use crate::index::search::{Found, Order, Request};
use crate::index::snapshot::Snapshot;
use crate::index::testing::{self, all, attributes, planned};
use crate::index::{Index, Work};
use crate::query::parser::Parameters;

/// What queries are given here, and what they may take at most: the machine may be busy.
const TIME: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

const DOCUMENTS: u32 = 12_500;

/// 100,000 words in 12,500 documents, some of them of thousands of letters.
fn snapshot() -> Arc<Snapshot> {
    static SNAPSHOT: OnceLock<Arc<Snapshot>> = OnceLock::new();
    let make = || {
        let schema = testing::schema("SCHEMA t TEXT NOSTEM n NUMERIC g TAG");
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
            let values = [bytes(text), bytes(number.to_string()), bytes(format!("tag{number}"))];
            index.put(&number.to_be_bytes(), &values, attributes(1.0)).unwrap();
        }
        index.snapshot()
    };
    Arc::clone(SNAPSHOT.get_or_init(make))
}

fn run(query: &str) -> Result<Found, Error> {
    let snapshot = snapshot();
    let start = Instant::now();
    let found = search(&snapshot, query);
    let shown: String = query.chars().take(40).collect();
    assert!(start.elapsed() < PATIENCE, "{shown}... took {:?}", start.elapsed());
    found
}

fn search(snapshot: &Snapshot, query: &str) -> Result<Found, Error> {
    let plan = planned(query, snapshot.schema(), &Parameters::new())?;
    let (limit, deadline) = (10, Deadline::after(TIME));
    let all = all(&plan, Order::Score);
    Ok(snapshot.search(&Request { with_scores: false, limit, deadline, ..all }))
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
