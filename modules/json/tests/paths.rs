//! Do paths find what RedisJSON finds, and in the strict dialect what RFC 9535 says?
//!
//! Replays recorded answers (`paths/redisjson.txt`) and the compliance suite of the RFC (`paths/rfc9535.json`); needs no
//! server. docs/json-paths.md tells where both come from.

use std::collections::BTreeSet;

use mortise_json::codec::parse;
use mortise_json::path::{Dialect, Query, query};
use mortise_json::value::Value;
use mortise_json::write::{Format, Writer, to_text};
use serde_json::Value as Json;

/// What JSON.GET answers.
fn get(document: &Value, path: &str, dialect: Dialect) -> String {
    let query = match query(path, dialect) {
        Ok(query) => query,
        Err(error) => return format!("! {error}"),
    };
    let root = document.view();
    let mut writer = Writer::new(Format::COMPACT);
    match query {
        Query::Path(path) if path.is_legacy() => {
            return match path.first(root).expect("no costly path") {
                Some(view) => String::from_utf8(to_text(view, Format::COMPACT)).expect("UTF-8"),
                None => "! ERR Path does not exist".to_owned(),
            };
        }
        Query::Path(path) => writer.array(path.select(root).expect("no costly path").into_iter()),
        Query::Computed(computed) => {
            let values = computed.values(root).expect("no costly expression");
            writer.array(values.iter().map(Value::view));
        }
    }
    String::from_utf8(writer.finish()).expect("UTF-8")
}

/// A path that was asked, with the answers that stand below it.
struct Case<'t> {
    document: &'t str,
    path: &'t str,
    new: &'t str,
    ours: Option<&'t str>,
    reason: Option<&'t str>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    let mut document = "";
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let last: Option<&mut Case<'_>> = cases.last_mut();
        match (word, last) {
            ("" | "#", _) => {}
            ("doc", _) => document = rest,
            (">", _) => {
                cases.push(Case { document, path: rest, new: "", ours: None, reason: None });
            }
            ("=" | "new", Some(case)) => case.new = rest,
            ("8.8", Some(_)) => {}
            ("ours", Some(case)) => case.ours = Some(rest),
            ("why", Some(case)) => case.reason = Some(rest),
            _ => panic!("{line}"),
        }
    }
    cases
}

#[test]
fn paths_find_what_redisjson_finds() {
    let cases = cases(include_str!("paths/redisjson.txt"));
    assert!(cases.len() > 700, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let document = parse(case.document).expect("JSON").value;
        let answer = get(&document, case.path, Dialect::RedisJson);
        let expected = case.ours.unwrap_or(case.new);
        let right = match expected.strip_prefix("! position ") {
            Some(_) => answer.starts_with("! Error occurred at position "),
            None => answer == expected,
        };
        if !right {
            wrong.push(format!("{}\n  {answer}\n  {expected}", case.path));
        }
        assert_eq!(case.ours.is_some(), case.reason.is_some(), "{}", case.path);
        assert_ne!(case.ours, Some(case.new), "{}", case.path);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The suite's tests, each with what it is called.
fn suite() -> Vec<Json> {
    let suite: Json = serde_json::from_str(include_str!("paths/rfc9535.json")).expect("JSON");
    let tests = suite.as_array().expect("a list of tests").clone();
    assert!(tests.len() > 700, "{} tests", tests.len());
    tests
}

fn passes(test: &Json, dialect: Dialect) -> bool {
    let document = test["document"].to_string();
    let document = parse(&document).expect("JSON").value;
    let answer = get(&document, test["selector"].as_str().expect("a path"), dialect);
    if test["invalid_selector"] == true {
        return answer.starts_with("! Error occurred at position ");
    }
    let Ok(answer) = serde_json::from_str::<Json>(&answer) else { return false };
    match test["results"].as_array() {
        Some(results) => results.contains(&answer),
        None => test["result"] == answer,
    }
}

#[test]
fn the_strict_dialect_passes_the_compliance_suite() {
    let wrong: Vec<String> = suite()
        .iter()
        .filter(|test| !passes(test, Dialect::Rfc9535))
        .map(|test| format!("{}: {}", test["name"], test["selector"]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// RedisJSON's dialect goes its own way in places; which these are is written down, so that it cannot move unnoticed.
#[test]
fn the_dialect_differs_from_the_rfc_where_it_is_said_to() {
    let listed: BTreeSet<&str> =
        include_str!("paths/differs.txt").lines().filter(|line| !line.starts_with('#')).collect();
    let suite = suite();
    let differs: BTreeSet<&str> = suite
        .iter()
        .filter(|test| !passes(test, Dialect::RedisJson))
        .map(|test| test["name"].as_str().expect("a name"))
        .collect();
    let new: Vec<&&str> = differs.difference(&listed).collect();
    let gone: Vec<&&str> = listed.difference(&differs).collect();
    assert!(new.is_empty() && gone.is_empty(), "not listed: {new:#?}\nlisted in vain: {gone:#?}");
}
