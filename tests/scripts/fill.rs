//! How does a new script get its expectations? `SCRIPTS_FILL=1` writes the reference server's replies below every `----`
//! that has nothing under it. The author reads them, and loosens by hand what may vary (order, ids, times).

use super::pattern::render;
use super::run::Recorded;
use crate::harness::value::Value;

/// The file's text with the recorded replies of both protocols put in. `recorded` holds (line, RESP2, RESP3).
pub fn fill(text: &str, recorded: &[(usize, Recorded, Recorded)]) -> String {
    let mut filled = String::new();
    for (index, line) in text.lines().enumerate() {
        filled.push_str(line);
        filled.push('\n');
        if let Some((_, resp2, resp3)) = recorded.iter().find(|(at, ..)| *at == index + 1) {
            for (two, three) in resp2.iter().zip(resp3) {
                filled.push_str(&merge(two, three));
                filled.push('\n');
            }
        }
    }
    filled
}

/// One expectation for two replies, or a line for each protocol where one notation cannot mean both.
fn merge(resp2: &Value, resp3: &Value) -> String {
    let (two, three) = (render(resp2), render(resp3));
    if means(resp2, resp3) { three } else { format!("2> {two}\n3> {three}") }
}

/// Whether the RESP3 reply's notation also describes the RESP2 reply.
fn means(resp2: &Value, resp3: &Value) -> bool {
    let all = |two: &[Value], three: &[Value]| {
        two.len() == three.len() && two.iter().zip(three).all(|(two, three)| means(two, three))
    };
    match (resp2, resp3) {
        (Value::Array(two), Value::Map(pairs)) => {
            let three: Vec<Value> =
                pairs.iter().flat_map(|(k, v)| [k.clone(), v.clone()]).collect();
            all(two, &three)
        }
        (Value::Array(two), Value::Array(three) | Value::Set(three) | Value::Push(three)) => {
            all(two, three)
        }
        (Value::Bulk(two), Value::Double(three) | Value::Big(three)) => two == three.as_bytes(),
        (Value::Bulk(two), Value::Verbatim(three)) => three.get(4..) == Some(two),
        (Value::Int(two), Value::Bool(three)) => *two == i64::from(*three),
        _ => resp2 == resp3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_go_below_their_rule() {
        let one = |value: Value| vec![value];
        let recorded = [
            (2, one(Value::Simple(b"PONG".to_vec())), one(Value::Simple(b"PONG".to_vec()))),
            (5, one(Value::Bulk(b"1".to_vec())), one(Value::Int(1))),
        ];
        let filled = fill("PING\n----\n\nX\n----\n", &recorded);
        assert_eq!(filled, "PING\n----\nPONG\n\nX\n----\n2> \"1\"\n3> 1\n");
    }

    #[test]
    fn nulls_of_both_kinds_need_two_lines() {
        assert_eq!(merge(&Value::Nil, &Value::Nil), "nil");
        assert_eq!(merge(&Value::NilArray, &Value::Nil), "2> nil[]\n3> nil");
    }
}
