//! When are two replies the same? Byte for byte, unless the command's line in the table says what may differ.

use crate::harness::value::Value;

/// How the replies of a command are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// They are the same.
    Exact,
    /// Elements of the outermost list come in any order.
    Sorted,
    /// Pairs of the outermost list or map come in any order.
    Pairs,
    /// SCAN and its like: the elements behind the cursor come in any order. Pages of an unfinished scan are not compared.
    Scan,
    /// The same for elements that come in pairs.
    ScanPairs,
    /// What comes is random: only the kind and the length of the reply are compared.
    Shape,
    /// Numbers, at any depth, may differ as the time does that passes between two servers.
    Near,
    /// Not at all: the command is there for what it does to the keyspace.
    Ignored,
}

/// Milliseconds that may pass between the same command on two servers.
const NEAR: i64 = 60_000;

impl Compare {
    /// As a line of the table writes it.
    pub fn parse(word: &str) -> Compare {
        match word {
            "exact" => Compare::Exact,
            "sorted" => Compare::Sorted,
            "pairs" => Compare::Pairs,
            "scan" => Compare::Scan,
            "scan-pairs" => Compare::ScanPairs,
            "shape" => Compare::Shape,
            "near" => Compare::Near,
            "ignored" => Compare::Ignored,
            _ => panic!("{word} is no way to compare replies"),
        }
    }

    /// Whether the replies are the same.
    pub fn same(self, ours: &Value, theirs: &Value) -> bool {
        if matches!((ours, theirs), (Value::Error(_), _) | (_, Value::Error(_)))
            && self != Compare::Ignored
        {
            return ours == theirs;
        }
        match self {
            Compare::Exact => ours == theirs,
            Compare::Sorted => ordered(ours.clone(), 1) == ordered(theirs.clone(), 1),
            Compare::Pairs => ordered(ours.clone(), 2) == ordered(theirs.clone(), 2),
            Compare::Scan => same_page(ours, theirs, 1),
            Compare::ScanPairs => same_page(ours, theirs, 2),
            Compare::Shape => shape(ours) == shape(theirs),
            Compare::Near => near(ours, theirs),
            Compare::Ignored => true,
        }
    }
}

/// The reply with groups of so many elements sorted.
fn ordered(value: Value, group: usize) -> Value {
    let sort = |items: Vec<Value>| {
        let mut groups: Vec<Vec<Value>> = items.chunks(group).map(<[Value]>::to_vec).collect();
        groups.sort_by_key(|group| format!("{group:?}"));
        groups.concat()
    };
    match value {
        Value::Array(items) => Value::Array(sort(items)),
        Value::Set(items) => Value::Set(sort(items)),
        Value::Map(mut pairs) => {
            pairs.sort_by_key(|pair| format!("{pair:?}"));
            Value::Map(pairs)
        }
        other => other,
    }
}

fn same_page(ours: &Value, theirs: &Value, group: usize) -> bool {
    let (Value::Array(a), Value::Array(b)) = (ours, theirs) else { return ours == theirs };
    let ([cursor_a, items_a], [cursor_b, items_b]) = (&a[..], &b[..]) else {
        return ours == theirs;
    };
    let end = Value::Bulk(b"0".to_vec());
    if *cursor_a != end || *cursor_b != end {
        return matches!((items_a, items_b), (Value::Array(_), Value::Array(_)));
    }
    ordered(items_a.clone(), group) == ordered(items_b.clone(), group)
}

/// The kind of a reply and its length.
fn shape(value: &Value) -> (&'static str, usize) {
    match value {
        Value::Array(items) => ("array", items.len()),
        Value::Set(items) => ("set", items.len()),
        Value::Map(pairs) => ("map", pairs.len()),
        Value::Bulk(_) => ("bulk", 0),
        Value::Int(_) => ("integer", 0),
        Value::Nil => ("nil", 0),
        Value::NilArray => ("nil array", 0),
        _ => ("other", 0),
    }
}

fn near(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Int(a), Value::Int(b)) => (*a < 0) == (*b < 0) && a.abs_diff(*b) <= NEAR as u64,
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && near(&a.1, &b.1))
        }
        _ => ours == theirs,
    }
}

#[test]
fn each_way_to_compare_can_fail() {
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    let list = |words: &[&str]| Value::Array(words.iter().map(|word| bulk(word)).collect());
    let (ab, ba, abab, baab) = (
        list(&["a", "b"]),
        list(&["b", "a"]),
        list(&["a", "1", "b", "2"]),
        list(&["b", "2", "a", "1"]),
    );
    assert!(!Compare::Exact.same(&ab, &ba));
    assert!(Compare::Sorted.same(&ab, &ba));
    assert!(!Compare::Sorted.same(&ab, &list(&["a", "a"])));
    assert!(Compare::Pairs.same(&abab, &baab));
    assert!(!Compare::Pairs.same(&abab, &list(&["a", "2", "b", "1"])));
    assert!(!Compare::Sorted.same(&ab, &Value::Set(vec![bulk("a"), bulk("b")])));
    let page = |cursor: &str, items: &Value| Value::Array(vec![bulk(cursor), items.clone()]);
    assert!(Compare::Scan.same(&page("0", &ab), &page("0", &ba)));
    assert!(!Compare::Scan.same(&page("0", &ab), &page("0", &list(&["a"]))));
    assert!(Compare::Scan.same(&page("5", &ab), &page("0", &list(&["a"]))));
    assert!(Compare::Shape.same(&ab, &list(&["x", "y"])));
    assert!(!Compare::Shape.same(&ab, &list(&["x"])));
    assert!(Compare::Near.same(&Value::Int(100), &Value::Int(101)));
    assert!(!Compare::Near.same(&Value::Int(-1), &Value::Int(1)));
    assert!(!Compare::Near.same(&Value::Int(0), &Value::Int(1_000_000)));
    assert!(
        !Compare::Shape.same(&Value::Error(b"ERR a".to_vec()), &Value::Error(b"ERR b".to_vec()))
    );
}
