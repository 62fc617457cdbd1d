//! Do the servers hold the same in the end? A look at every key by the commands that show what is in it.

use crate::command::{Command, Step, Via};
use crate::compare::Compare;
use crate::harness::value::Value;

/// The dbs that sequences use.
pub const DBS: &[&str] = &["0", "1"];

/// Looks for all keys.
pub fn at_keys() -> Vec<Command> {
    let keys = |db: &&str| command(db, &[&[b"KEYS", b"*"]], Compare::Sorted);
    DBS.iter().map(keys).collect()
}

/// The keys that such a look has found.
pub fn keys_in(reply: &Value) -> Vec<Vec<u8>> {
    let bytes = |item: Value| match item {
        Value::Bulk(bytes) => bytes,
        other => panic!("KEYS answered {other:?}"),
    };
    reply.items().into_iter().map(bytes).collect()
}

/// A look at what kind of value a key has.
pub fn at_type(db: &str, key: &[u8]) -> Command {
    command(db, &[&[b"TYPE", key]], Compare::Exact)
}

/// Looks at all of a key's value, whose type is known.
pub fn at_value(db: &str, key: &[u8], kind: &str) -> Vec<Command> {
    let mut looks = vec![
        command(db, &[&[b"PTTL", key]], Compare::Near),
        command(db, &[&[b"TYPE", key], &[b"OBJECT", b"ENCODING", key]], Compare::Exact),
    ];
    let mut look = |words: &[&[u8]], compare| looks.push(command(db, &[words], compare));
    match kind {
        "string" => look(&[b"GET", key], Compare::Exact),
        "hash" => look(&[b"HGETALL", key], Compare::Pairs),
        "list" => look(&[b"LRANGE", key, b"0", b"-1"], Compare::Exact),
        "set" => look(&[b"SMEMBERS", key], Compare::Sorted),
        "zset" => look(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"], Compare::Exact),
        "stream" => {
            look(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"], Compare::Info);
            look(&[b"XINFO", b"STREAM", key], Compare::Info);
            look(&[b"XINFO", b"GROUPS", key], Compare::Exact);
        }
        other => panic!("TYPE answered {other}"),
    }
    looks
}

fn command(db: &str, steps: &[&[&[u8]]], compare: Compare) -> Command {
    let select = Step::of(&[b"SELECT", db.as_bytes()], Compare::Exact);
    let (last, before) = steps.split_last().expect("there is a look");
    let mut all = vec![select];
    all.extend(before.iter().map(|words| Step::of(words, Compare::Exact)));
    all.push(Step::of(last, compare));
    Command { steps: all, via: Via::Plain }
}
