//! Do operations do to a document what they do to a naive tree, and nothing if they fail?

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::codec::{Parsed, parse};
use crate::path::compiled;
use crate::value::tests::{documents, names, text_of, value};

/// Runs `operation` on a document; its result in the debug form, and the document after it.
fn run<T: std::fmt::Debug>(
    document: &str,
    path: &str,
    operation: impl FnOnce(&mut Value, &Path) -> Result<T, JsonError>,
) -> (String, String) {
    let mut value = value(document);
    let result = operation(&mut value, &compiled(path).unwrap());
    let result = match result {
        Ok(result) => format!("{result:?}"),
        Err(error) => error.to_string(),
    };
    (result, text_of(&value))
}

fn set_to(document: &str, path: &str, new: &str, condition: Condition) -> (String, String) {
    let new = parse(new).unwrap();
    run(document, path, |document, path| {
        set(document, path, &new, condition).map(|outcome| (outcome.changed, outcome.complete))
    })
}

fn pair(result: &str, document: &str) -> (String, String) {
    (result.to_owned(), document.to_owned())
}

#[test]
fn set_replaces_adds_or_declines() {
    use Condition::{Absent, Always, Present};
    let doc = r#"{"a":{"b":1},"c":[1,2]}"#;
    let done = "(true, true)";
    let nothing = ("(false, false)", doc);
    for (path, condition, (result, after)) in [
        ("$", Always, (done, "0")),
        ("$", Absent, nothing),
        ("$.a.b", Always, (done, r#"{"a":{"b":0},"c":[1,2]}"#)),
        ("$.a.b", Present, (done, r#"{"a":{"b":0},"c":[1,2]}"#)),
        ("$.a.b", Absent, nothing),
        ("$.a.x", Always, (done, r#"{"a":{"b":1,"x":0},"c":[1,2]}"#)),
        ("$.a.x", Absent, (done, r#"{"a":{"b":1,"x":0},"c":[1,2]}"#)),
        ("a.x", Always, (done, r#"{"a":{"b":1,"x":0},"c":[1,2]}"#)),
        ("$.a.x", Present, nothing),
        ("$.x.y", Always, nothing),
        ("$.c.y", Always, nothing),
        ("$.c[1]", Always, (done, r#"{"a":{"b":1},"c":[1,0]}"#)),
        ("$.c[5]", Always, ("ERR array index out of range", doc)),
        ("$..x", Always, ("Err wrong static path", doc)),
        ("$..x", Present, nothing),
        ("$..b", Absent, ("Err wrong static path", doc)),
        ("$.c[1]", Absent, nothing),
        ("$.*", Always, (done, r#"{"a":0,"c":0}"#)),
        ("$..*", Always, (done, r#"{"a":0,"c":0}"#)),
    ] {
        let expected = pair(result, after);
        assert_eq!(set_to(doc, path, "0", condition), expected, "{path} {condition:?}");
    }
}

#[test]
fn nothing_nests_deeper_than_the_limit() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let deep = nested(DEPTH_MAX - 2);
    let doc = format!(r#"{{"a":{deep}}}"#);
    let (result, after) =
        set_to(r#"{"a":{"x":[]}}"#, "$.a.x", &nested(DEPTH_MAX - 2), Condition::Always);
    assert_eq!(result, "(true, true)");
    assert_eq!(parse(&after).unwrap().depth, DEPTH_MAX);
    let refused = set_to(r#"{"a":{"x":[]}}"#, "$.a.x", &nested(DEPTH_MAX - 1), Condition::Always);
    assert_eq!(refused, pair("(false, false)", r#"{"a":{"x":[]}}"#));
    let refused = set_to(r#"{"a":{}}"#, "$.a.x", &nested(DEPTH_MAX - 1), Condition::Always);
    assert_eq!(refused, pair("(false, false)", r#"{"a":{}}"#));
    let values = [parse("[]").unwrap(), parse("[[]]").unwrap()];
    let append = |values: &[Parsed]| {
        let at = format!("$.a{}", "[0]".repeat(DEPTH_MAX - 3));
        run(&doc, &at, |document, path| {
            append(document, path, values).map(|done| done.results.into_vec())
        })
        .0
    };
    assert_eq!(append(&values[..1]), "[Some(1)]");
    assert_eq!(append(&values), "ERR recursion limit exceeded");
    let (result, after) = run(r#"{"a":{"b":{}}}"#, "$.a", |document, path| {
        let patch = parse(&format!(r#"{{"b":{{"c":{}}}}}"#, nested(DEPTH_MAX - 3))).unwrap();
        assert_eq!(patch.depth, DEPTH_MAX - 1);
        merge(document, path, &patch)
    });
    assert_eq!(result, "Outcome { changed: true, complete: true }");
    assert_eq!(parse(&after).unwrap().depth, DEPTH_MAX);
}

#[test]
fn numbers_stay_what_they_are_or_the_command_fails() {
    let add = |document: &str, operand: &str| {
        run(document, "$..a", |document, path| {
            let operand = Number::parse(operand);
            arithmetic(document, path, Arithmetic::Add, &operand)
                .map(|done| done.results.into_vec())
        })
    };
    assert_eq!(
        add(r#"[{"a":1},{"a":2.5},{"a":"x"}]"#, "2"),
        pair("[Some(Int(3)), Some(Float(4.5)), None]", r#"[{"a":3},{"a":4.5},{"a":"x"}]"#)
    );
    assert_eq!(add(r#"{"a":5.0}"#, "2").1, r#"{"a":7.0}"#);
    let edge = format!(r#"[{{"a":1}},{{"a":{}}}]"#, i64::MAX);
    assert_eq!(add(&edge, "1"), pair("ERR numeric overflow", &edge));
    let huge = r#"[{"a":1},{"a":1e308}]"#;
    assert_eq!(add(huge, "1e308").0, "ERR result is not a number");
    assert_eq!(add(r#"{"a":18446744073709551615}"#, "1").1, r#"{"a":1.8446744073709552e19}"#);
    assert_eq!(add(r#"{"a":1}"#, "\"1\"").0, "bad input number");
    assert_eq!(add(r#"{"a":1}"#, "x").0, "ERR expected value at line 1 column 1");
    assert_eq!(add(r#"{"a":"1"}"#, "x").0, "[None]", "there is nothing to add it to");
    let power = |operand| {
        run("3", "$", |document, path| {
            let operand = Number::parse(operand);
            arithmetic(document, path, Arithmetic::Power, &operand)
                .map(|done| done.results.into_vec())
        })
    };
    assert_eq!(power("4").1, "81");
    assert_eq!(power("-1").0, "ERR numeric overflow");
    assert_eq!(power("-1.0").1, "0.3333333333333333");
    assert_eq!(power("41").0, "ERR numeric overflow");
    assert_eq!(power("0.5").1, "1.7320508075688772");
}

#[test]
fn delete_counts_the_topmost_matches() {
    let del = |document: &str, path: &str| {
        run(document, path, |document, path| {
            delete(document, path).map(|done| (done.count, done.nothing_left))
        })
    };
    assert_eq!(del(r#"{"a":1,"b":2}"#, "$").0, "(1, true)");
    assert_eq!(del(r#"{"a":1,"b":2}"#, "$.x"), pair("(0, false)", r#"{"a":1,"b":2}"#));
    assert_eq!(del(r#"{"a":{"a":1},"b":{"a":2}}"#, "$..a"), pair("(2, false)", r#"{"b":{}}"#));
    assert_eq!(del(r#"{"a":{"a":1}}"#, "$..a"), pair("(1, true)", "{}"));
    assert_eq!(del("{}", "$.a").0, "(0, false)");
    let many: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    let kept = "[0,2,4,6,8,10,12,14,16,18]";
    let path = "$[1,3,5,7,9,11,13,15,17,19]";
    assert_eq!(del(&format!("[{}]", many.join(",")), path), pair("(10, false)", kept));
}

#[test]
fn merge_follows_the_rfc_but_for_what_it_adds() {
    let merged = |document: &str, path: &str, patch: &str| {
        let patch = parse(patch).unwrap();
        run(document, path, |document, path| {
            merge(document, path, &patch).map(|outcome| outcome.complete)
        })
    };
    let doc = r#"{"a":{"b":1,"c":2},"d":[1]}"#;
    for (path, patch, result, after) in [
        (
            "$",
            r#"{"a":{"b":null,"x":{"y":null,"z":[null]}}}"#,
            "true",
            r#"{"a":{"c":2,"x":{"z":[null]}},"d":[1]}"#,
        ),
        ("$", "1", "true", "1"),
        ("$.a", r#"{"b":{"n":{"m":null}}}"#, "true", r#"{"a":{"b":{"n":{}},"c":2},"d":[1]}"#),
        ("$.d", "[2]", "true", r#"{"a":{"b":1,"c":2},"d":[2]}"#),
        ("$.e", r#"{"f":null}"#, "true", r#"{"a":{"b":1,"c":2},"d":[1],"e":{"f":null}}"#),
        ("$.x.y", "1", "false", doc),
        ("$..x", "1", "Err wrong static path", doc),
        ("$.d[7]", "1", "ERR array index out of range", doc),
    ] {
        assert_eq!(merged(doc, path, patch), pair(result, after), "{path} {patch}");
    }
}

#[test]
fn matches_within_matches_see_what_was_done_before() {
    let merged = |document: &str, path: &str, patch: &str| {
        let patch = parse(patch).unwrap();
        run(document, path, |document, path| {
            merge(document, path, &patch).map(|outcome| outcome.complete)
        })
    };
    // The outer ones first, so the inner ones may be new, or gone.
    assert_eq!(
        merged(r#"{"a":{"a":{"a":[1]},"b":{"a":true}},"b":"x"}"#, "$..a", r#"{"a":5}"#),
        pair("true", r#"{"a":{"a":{"a":{"a":5}},"b":{"a":{"a":5}}},"b":"x"}"#)
    );
    assert_eq!(
        merged(r#"{"a":{"a":{"a":1}},"b":{"x":{"a":2}}}"#, "$..a", r#"{"a":null}"#),
        pair("true", r#"{"a":{},"b":{"x":{"a":{}}}}"#)
    );
    let popped = |document: &str, path: &str| {
        run(document, path, |document, path| {
            pop(document, path, -1).map(|done| {
                let answer = done.answer;
                let text = |value: &Option<Option<Value>>| {
                    value.as_ref().and_then(Option::as_ref).map_or("-".to_owned(), text_of)
                };
                (done.results.iter().map(text).collect::<Vec<String>>().join(" "), answer)
            })
        })
    };
    // The inner ones first.
    assert_eq!(popped("[[1,[2]],3]", "$..*"), pair(r#"("[] - - 2 -", Some(3))"#, "[[1],3]"));
    assert_eq!(popped("[[1,2,3]]", "$[0,0]").1, "[[1]]");
    let last = |path| popped(r#"{"b":[1],"a":[[2],[3]],"c":4}"#, path).0;
    assert_eq!(last("$..*"), r#"("1 [] - - 2 3 - -", Some(5))"#);
    // RedisJSON answers for the one that it changes last.
    assert_eq!(last("..*"), r#"("1 [] - - 2 3 - -", Some(0))"#);
    let added = run(r#"[1,["x"]]"#, "$[0,0]", |document, path| {
        arithmetic(document, path, Arithmetic::Add, &Ok(Number::Int(2)))
            .map(|done| done.results.into_vec())
    });
    assert_eq!(added, pair("[Some(Int(3)), Some(Int(5))]", r#"[5,["x"]]"#));
    let values = [parse("0").unwrap()];
    let refused = run("[[],[[1]]]", "$..*", |document, path| {
        insert(document, path, 1, &values).map(|done| done.changed)
    });
    assert_eq!(refused, pair("ERR index out of bounds", "[[],[[1]]]"));
}

#[test]
fn targets_are_found_before_anything_changes() {
    let put = |document: &str, paths: &[(&str, &str)]| {
        let mut document = Some(value(document));
        let targets: Result<Vec<Target>, JsonError> = paths
            .iter()
            .map(|(path, _)| Target::of(document.as_ref(), &compiled(path).unwrap()))
            .collect();
        let targets = match targets {
            Ok(targets) => targets,
            Err(error) => return (error.to_string(), text_of(&document.unwrap())),
        };
        let done: Vec<bool> = targets
            .iter()
            .zip(paths)
            .map(|(target, (_, new))| target.put(&mut document, &parse(new).unwrap()).complete)
            .collect();
        (format!("{done:?}"), text_of(&document.unwrap()))
    };
    assert_eq!(put(r#"{"a":1}"#, &[("$.b", "2"), ("$.b", "3")]), {
        pair("[true, false]", r#"{"a":1,"b":2}"#)
    });
    assert_eq!(put(r#"{"a":1}"#, &[("$.b", "{}"), ("$.b.c", "3")]).0, "[true, false]");
    assert_eq!(put("[1,2,3]", &[("$", "[]"), ("$[2]", "3")]), pair("[true, false]", "[]"));
    assert_eq!(put("[[1],2]", &[("$..[0]", "7")]), pair("[true]", "[7,2]"));
    assert_eq!(put("[1]", &[("$[0]", "7"), ("$[1]", "8")]).0, "ERR array index out of range");
}

#[test]
fn what_is_missing_is_made_in_every_place_or_nowhere() {
    let made = |document: &str, path: &str, leaf: &str| {
        let leaf = parse(leaf).unwrap();
        run(document, path, |document, path| create(document, path, &leaf))
    };
    let doc = r#"{"a":[{"b":1},{},{"b":{"c":2}}]}"#;
    assert_eq!(made(doc, "$.a[*].b.c", "0"), {
        pair("1", r#"{"a":[{"b":1},{"b":{"c":0}},{"b":{"c":2}}]}"#)
    });
    assert_eq!(made(doc, "$.x.y.z", "[]").1, {
        r#"{"a":[{"b":1},{},{"b":{"c":2}}],"x":{"y":{"z":[]}}}"#
    });
    assert_eq!(made(r#"{"a":{"a":{}}}"#, "$..a.n", "1"), {
        pair("2", r#"{"a":{"a":{"n":1},"n":1}}"#)
    });
    for nothing in ["$", "$.a[5].x", "$..x", "$.a[0].b.c", "$.a.x"] {
        assert_eq!(made(doc, nothing, "0"), pair("0", doc), "{nothing}");
    }
    let deep = "[".repeat(DEPTH_MAX - 1) + &"]".repeat(DEPTH_MAX - 1);
    assert_eq!(made("{}", "$.x", &deep).0, "1");
    assert_eq!(made("{}", "$.x.y", &deep).0, "ERR recursion limit exceeded");
}

#[test]
fn arrays_are_searched_within_bounds() {
    let document = value(r#"[0,1,3.0,3,2,1,0,3,[1,{"a":2}]]"#);
    let find = |wanted: &str, start, stop| {
        index_of(document.view(), value(wanted).view(), Range { start, stop }).unwrap()
    };
    assert_eq!(find("3", 0, 0), Some(3));
    assert_eq!(find("3.0", 0, 0), Some(2));
    assert_eq!(find("3", 4, 0), Some(7));
    assert_eq!(find("3", 0, 3), None);
    assert_eq!(find("3", -5, -1), Some(7));
    assert_eq!(find(r#"[1,{"a":2}]"#, 100, 0), Some(8));
    assert_eq!(find(r#"[1,{"a":2}]"#, 0, -1), None);
    assert_eq!(index_of(value("[]").view(), value("1").view(), Range::default()), Some(None));
    assert_eq!(index_of(value("1").view(), value("1").view(), Range::default()), None);
}

/// A step into a serde_json value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Index(usize),
    Name(String),
}

fn steps(document: &Value, location: &[u32]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (depth, &position) in location.iter().enumerate() {
        steps.push(match document.at(&location[..depth]).unwrap() {
            View::Object(object) => {
                let member = object.iter().find(|member| member.position == position).unwrap();
                Step::Name(String::from_utf8(member.name().to_vec()).unwrap())
            }
            _ => Step::Index(position as usize),
        });
    }
    steps
}

fn at<'j>(json: &'j mut Json, steps: &[Step]) -> &'j mut Json {
    steps.iter().fold(json, |json, step| match step {
        Step::Index(index) => &mut json[*index],
        Step::Name(name) => &mut json[name],
    })
}

fn exists(json: &Json, steps: &[Step]) -> bool {
    let found = steps.iter().try_fold(json, |json, step| match step {
        Step::Index(index) => json.as_array()?.get(*index),
        Step::Name(name) => json.as_object()?.get(name),
    });
    found.is_some()
}

/// One operation with small arguments.
#[derive(Clone, Debug)]
enum Op {
    Set(Json),
    Delete,
    Clear,
    Toggle,
    Increment(i32),
    StrAppend(String),
    Append(Vec<Json>),
    Insert(i64, Vec<Json>),
    Pop(i64),
    Trim(i64, i64),
    Merge(Json),
}

fn operations() -> impl Strategy<Value = Op> {
    let index = || -8..8i64;
    prop_oneof![
        documents().prop_map(Op::Set),
        Just(Op::Delete),
        Just(Op::Clear),
        Just(Op::Toggle),
        any::<i32>().prop_map(Op::Increment),
        "\\PC{0,30}".prop_map(Op::StrAppend),
        vec(documents(), 1..3).prop_map(Op::Append),
        (index(), vec(documents(), 1..3)).prop_map(|(at, values)| Op::Insert(at, values)),
        index().prop_map(Op::Pop),
        (index(), index()).prop_map(|(start, stop)| Op::Trim(start, stop)),
        vec((names(), documents()), 0..4)
            .prop_map(|members| Op::Merge(Json::Object(members.into_iter().collect()))),
    ]
}

fn parsed(values: &[Json]) -> Vec<Parsed> {
    values.iter().map(|json| parse(&json.to_string()).unwrap()).collect()
}

fn perform(document: &mut Value, path: &Path, op: &Op) -> Result<(), JsonError> {
    match op {
        Op::Set(new) => {
            let new = parse(&new.to_string()).unwrap();
            set(document, path, &new, Condition::Present).map(|_| ())
        }
        Op::Delete => delete(document, path).map(|_| ()),
        Op::Clear => clear(document, path).map(|_| ()),
        Op::Toggle => toggle(document, path).map(|_| ()),
        Op::Increment(by) => {
            let by = Number::Int(i64::from(*by));
            arithmetic(document, path, Arithmetic::Add, &Ok(by)).map(|_| ())
        }
        Op::StrAppend(suffix) => strappend(document, path, Ok(suffix.as_bytes())).map(|_| ()),
        Op::Append(values) => append(document, path, &parsed(values)).map(|_| ()),
        Op::Insert(at, values) => insert(document, path, *at, &parsed(values)).map(|_| ()),
        Op::Pop(at) => pop(document, path, *at).map(|_| ()),
        Op::Trim(start, stop) => trim(document, path, *start, *stop).map(|_| ()),
        Op::Merge(patch) => {
            let patch = parse(&patch.to_string()).unwrap();
            merge(document, path, &patch).map(|_| ())
        }
    }
}

/// What the operation does to one value of a naive tree; false if it fails.
fn naive(json: &mut Json, op: &Op) -> bool {
    match (op, json) {
        (Op::Set(new), json) => *json = new.clone(),
        (Op::Delete, _) => {}
        (Op::Clear, Json::Array(items)) => items.clear(),
        (Op::Clear, Json::Object(members)) => members.clear(),
        (Op::Clear, json) if json.as_f64().is_some_and(|number| number != 0.0) => *json = json!(0),
        (Op::Toggle, Json::Bool(value)) => *value = !*value,
        (Op::Increment(by), json) if json.is_number() => match json.as_i64() {
            Some(value) => match value.checked_add(i64::from(*by)) {
                Some(sum) => *json = json!(sum),
                None => return false,
            },
            None => *json = json!(json.as_f64().unwrap() + f64::from(*by)),
        },
        (Op::StrAppend(suffix), Json::String(text)) => text.push_str(suffix),
        (Op::Append(values), Json::Array(items)) => items.extend_from_slice(values),
        (Op::Insert(index, values), Json::Array(items)) => {
            let len = items.len() as i64;
            let index = if *index < 0 { len + index } else { *index };
            if index < 0 || index > len {
                return false;
            }
            items.splice(index as usize..index as usize, values.iter().cloned());
        }
        (Op::Pop(index), Json::Array(items)) if !items.is_empty() => {
            let len = items.len() as i64;
            let index = if *index < 0 { (len + index).max(0) } else { (*index).min(len - 1) };
            items.remove(index as usize);
        }
        (Op::Trim(start, stop), Json::Array(items)) => {
            let len = items.len() as i64;
            let from_end = |index: i64| if index < 0 { (len + index).max(0) } else { index };
            let mut index = -1;
            items.retain(|_| {
                index += 1;
                (from_end(*start)..=from_end(*stop)).contains(&index)
            });
        }
        (Op::Merge(patch), json) => json_merge(json, patch),
        _ => {}
    }
    true
}

fn json_merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            json_merge(target.entry(name.clone()).or_insert(Json::Null), value);
        }
    }
}

fn naive_remove(json: &mut Json, steps: &[Step]) {
    let (last, parent) = steps.split_last().unwrap();
    match (at(json, parent), last) {
        (Json::Array(items), Step::Index(index)) => drop(items.remove(*index)),
        (Json::Object(members), Step::Name(name)) => drop(members.remove(name)),
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Indices of more than one digit, in any order, some twice.
    #[test]
    fn delete_removes_the_elements_named_and_no_others(
        len in 1usize..40, indices in vec(0usize..45, 2..30),
    ) {
        let numbers: Vec<String> = (0..len).map(|i| i.to_string()).collect();
        let mut value = value(&format!("[{}]", numbers.join(",")));
        let list: Vec<String> = indices.iter().map(|i| i.to_string()).collect();
        let path = compiled(&format!("$[{}]", list.join(","))).unwrap();
        let kept: Vec<&str> = (0..len)
            .filter(|i| !indices.contains(i))
            .map(|i| numbers[i].as_str())
            .collect();
        let deleted = delete(&mut value, &path).unwrap();
        prop_assert_eq!(deleted.count, len - kept.len());
        prop_assert_eq!(text_of(&value), format!("[{}]", kept.join(",")));
    }

    #[test]
    fn operations_do_what_they_do_to_a_naive_tree(
        document in documents(),
        path in prop_oneof![
            "(\\.[a-e]|\\[[0-3]\\]|\\.\\*){0,3}", "\\.\\.([a-e]|\\*)", "\\.\\.([a-e]|\\*)(\\.[a-e]|\\[0\\])"
        ],
        op in operations(),
    ) {
        let path = compiled(&format!("${path}")).unwrap();
        let mut value = value(&document.to_string());
        let before = value.clone();
        let mut naively = document.clone();

        let locations = path.locate(value.view()).unwrap().locations;
        let mut matches: Vec<&[u32]> = (0..locations.len()).map(|i| locations.get(i)).collect();
        matches.sort();
        matches.dedup();
        if matches!(op, Op::Set(_) | Op::Delete) {
            let all = matches.clone();
            matches.retain(|one| !all.iter().any(|other| one != other && one.starts_with(other)));
        }
        let mut works = true;
        if matches!(op, Op::Delete) && matches.first().is_some_and(|root| root.is_empty()) {
            prop_assert!(delete(&mut value, &path).unwrap().nothing_left);
            return Ok(());
        }
        if !matches!(op, Op::Merge(_)) {
            matches.reverse();
        }
        for location in &matches {
            let steps = steps(&before, location);
            match op {
                Op::Delete => naive_remove(&mut naively, &steps),
                // An outer merge may have removed it.
                Op::Merge(_) if !exists(&naively, &steps) => {}
                _ => works &= naive(at(&mut naively, &steps), &op),
            }
        }
        // Adding what is not there yet has tests of its own.
        prop_assume!(!(matches.is_empty() && matches!(op, Op::Merge(_))));
        match perform(&mut value, &path, &op) {
            Ok(()) => {
                prop_assert!(works);
                let after: Json = serde_json::from_str(&text_of(&value)).unwrap();
                prop_assert_eq!(after, naively);
            }
            Err(error) => {
                prop_assert!(!works, "{}", error);
                prop_assert_eq!(text_of(&value), text_of(&before));
            }
        }
    }
}
