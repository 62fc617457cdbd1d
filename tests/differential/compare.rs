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
    /// The same but for idle times, which stand third in each of a list's entries.
    Pending,
    /// The same but for times and for what is each server's own or newer in XINFO.
    Info,
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
            "pending" => Compare::Pending,
            "info" => Compare::Info,
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
            Compare::Pending => without_idle(ours) == without_idle(theirs),
            Compare::Info => without_times(ours) == without_times(theirs),
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

/// Entries of XPENDING without the time since they were delivered.
fn without_idle(value: &Value) -> Value {
    let of_entry = |entry: &Value| match entry {
        Value::Array(parts) if parts.len() == 4 => {
            Value::Array(vec![parts[0].clone(), parts[1].clone(), parts[3].clone()])
        }
        other => other.clone(),
    };
    match value {
        Value::Array(entries) => Value::Array(entries.iter().map(of_entry).collect()),
        other => other.clone(),
    }
}

/// What XINFO says without times, without what comes of how a server keeps a stream, and without what 7.2 added, as lists.
fn without_times(value: &Value) -> Value {
    const LEFT_OUT: &[&str] =
        &["radix-tree-keys", "radix-tree-nodes", "idle", "inactive", "seen-time", "active-time"];
    /// Milliseconds since 1970 are more, and nothing else here is.
    const TIME_MIN: i64 = 1_000_000_000_000;
    match value {
        Value::Map(_) => without_times(&Value::Array(value.items())),
        Value::Array(items) => {
            let mut kept = Vec::new();
            let mut rest = items.iter();
            while let Some(item) = rest.next() {
                if matches!(item, Value::Bulk(name) if LEFT_OUT.iter().any(|out| out.as_bytes() == name))
                {
                    rest.next();
                } else {
                    kept.push(without_times(item));
                }
            }
            Value::Array(kept)
        }
        Value::Int(number) if *number > TIME_MIN => Value::Nil,
        other => other.clone(),
    }
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
    let entry = |idle: i64, count: i64| {
        let parts = vec![bulk("1-0"), bulk("c"), Value::Int(idle), Value::Int(count)];
        Value::Array(vec![Value::Array(parts)])
    };
    assert!(Compare::Pending.same(&entry(5, 1), &entry(6, 1)));
    assert!(!Compare::Pending.same(&entry(5, 1), &entry(5, 2)));
    let info = |idle: i64, length: i64| {
        Value::Map(vec![(bulk("idle"), Value::Int(idle)), (bulk("length"), Value::Int(length))])
    };
    assert!(Compare::Info.same(&info(5, 1), &info(6, 1)));
    assert!(!Compare::Info.same(&info(5, 1), &info(5, 2)));
    assert!(Compare::Near.same(&Value::Int(100), &Value::Int(101)));
    assert!(!Compare::Near.same(&Value::Int(-1), &Value::Int(1)));
    assert!(!Compare::Near.same(&Value::Int(0), &Value::Int(1_000_000)));
    assert!(
        !Compare::Shape.same(&Value::Error(b"ERR a".to_vec()), &Value::Error(b"ERR b".to_vec()))
    );
}
