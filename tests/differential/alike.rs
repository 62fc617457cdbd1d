//! What is the same in two replies that differ? Replies without what is known to differ, and what to know it by.

use crate::harness::value::Value;

/// Whether a reply to ZRANGE WITHSCORES has scores of which one is not the first.
pub fn has_several_scores(reply: &Value) -> bool {
    let Value::Array(items) = reply else { return false };
    let pairs: Vec<Value> = match items.first() {
        Some(Value::Array(_)) => items.iter().flat_map(Value::items).collect(),
        _ => items.clone(),
    };
    let mut scores = pairs.chunks(2).filter_map(|pair| pair.get(1));
    let first = scores.next();
    scores.any(|score| Some(score) != first)
}

/// A reply in which the same numbers are the same texts.
pub fn without_digits(value: &Value) -> Value {
    let all = |items: &[Value]| items.iter().map(without_digits).collect();
    // 7.2 keeps the sign of a zero, too, in a set that is large from the first.
    let number = |text: &str| text.parse::<f64>().ok().map(|number| format!("{:?}", number + 0.0));
    match value {
        Value::Bulk(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(number)
            .map_or_else(|| value.clone(), |text| Value::Bulk(text.into_bytes())),
        Value::Double(text) => number(text).map_or_else(|| value.clone(), Value::Double),
        Value::Array(items) => Value::Array(all(items)),
        other => other.clone(),
    }
}

/// Events without those of consumers that come and go.
pub fn without_consumer_events(events: &Value) -> Vec<Value> {
    const NAMES: [&str; 2] = [" xgroup-createconsumer ", " xgroup-delconsumer "];
    let is_other = |event: &Value| !NAMES.iter().any(|name| event.text().contains(name));
    events.items().into_iter().filter(is_other).collect()
}

/// Whether two lists of places, each with something beside its name, differ in names alone.
pub fn same_but_for_names(ours: &Value, theirs: &Value) -> bool {
    let beside = |reply: &Value| -> Option<Vec<Value>> {
        let Value::Array(places) = reply else { return None };
        places
            .iter()
            .map(|place| match place {
                Value::Array(parts) => Some(Value::Array(parts[1..].to_vec())),
                _ => None,
            })
            .collect()
    };
    beside(ours).is_some_and(|parts| Some(parts) == beside(theirs))
}

/// Whether a list may be a map in RESP2.
fn are_pairs(items: &[Value]) -> bool {
    items.len().is_multiple_of(2) && items.chunks(2).all(|pair| matches!(pair[0], Value::Bulk(_)))
}

/// A reply whose maps are sorted.
pub fn in_order_of_keys(value: &Value) -> Value {
    match value {
        Value::Array(items) if are_pairs(items) => {
            let mut pairs: Vec<[Value; 2]> =
                items.chunks(2).map(|pair| [pair[0].clone(), in_order_of_keys(&pair[1])]).collect();
            pairs.sort_by_key(|pair| format!("{:?}", pair[0]));
            Value::Array(pairs.concat())
        }
        Value::Array(items) => Value::Array(items.iter().map(in_order_of_keys).collect()),
        Value::Map(pairs) => {
            let ordered = |(key, value): &(Value, Value)| (key.clone(), in_order_of_keys(value));
            let mut pairs: Vec<(Value, Value)> = pairs.iter().map(ordered).collect();
            pairs.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Map(pairs)
        }
        other => other.clone(),
    }
}

/// A reply of XINFO, as lists, without the consumers that have nothing. XINFO GROUPS only counts them.
pub fn without_idle_consumers(value: &Value) -> Value {
    let items = match value {
        Value::Map(_) => value.items(),
        Value::Array(items) => items.clone(),
        other => return other.clone(),
    };
    let mut kept = Vec::new();
    let mut rest = items.iter().peekable();
    while let Some(item) = rest.next() {
        let is_count = is_text(item, "consumers") && matches!(rest.peek(), Some(Value::Int(_)));
        if is_count {
            rest.next();
        } else if !is_idle_consumer(item) {
            kept.push(without_idle_consumers(item));
        }
    }
    Value::Array(kept)
}

/// Whether these are the fields of a consumer without entries.
fn is_idle_consumer(value: &Value) -> bool {
    let items = match value {
        Value::Map(_) => value.items(),
        Value::Array(items) => items.clone(),
        _ => return false,
    };
    let field = |name: &str| {
        let found = items.chunks(2).find(|pair| is_text(&pair[0], name));
        found.and_then(|pair| pair.get(1))
    };
    let none = Some(&Value::Int(0));
    field("idle").is_some() && field("pending") == none
        || field("seen-time").is_some() && field("pel-count") == none
}

/// Whether this is an error that starts so.
pub fn is_error(value: &Value, start: &str) -> bool {
    matches!(value, Value::Error(text) if text.starts_with(start.as_bytes()))
}

/// Whether this is the error of too many arguments, in the words of a command by itself, and of one in a script.
pub fn is_arity_error(value: &Value) -> bool {
    is_error(value, "ERR wrong number of arguments for 'z")
        || is_error(value, "ERR Invalid number of arguments specified for command")
        || is_error(value, "ERR Wrong number of args calling Redis command from script")
}

/// Whether this is a text.
pub fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::Bulk(bytes) if bytes == text.as_bytes())
}
