//! What do commands do with a value that was taken over unchecked? No more than carry it about: for each command that
//! there is, with all sorts of arguments.

use proptest::prelude::*;

use super::survival::{engine, whole};
use super::*;
use crate::engine::error::CommandError;
use crate::engine::spec::{Arity, Run};
use crate::keyspace::value::{Value as KeyValue, ValueRef};
use crate::object::Unchecked;
use crate::object::unchecked::{Collection, Trouble};

const COLLECTIONS: [(Collection, &str, u8); 5] = [
    (Collection::List, "quicklist", 18),
    (Collection::Set, "listpack", 20),
    (Collection::Zset, "listpack", 17),
    (Collection::Hash, "listpack", 16),
    (Collection::Stream, "stream", 21),
];
const PAYLOAD: &[u8] = b"\x08\x08\0\0\0\x01\0\x0f\xff";

/// Puts the five values at the keys u0 to u4.
fn fill(engine: &TestEngine) {
    let mut state = engine.engine.write().expect("not busy");
    for (number, (collection, encoding, kind)) in COLLECTIONS.into_iter().enumerate() {
        let trouble = Trouble::Assertion("wrong".into());
        let value = Unchecked::new(collection, encoding, kind, PAYLOAD, trouble);
        let key = format!("u{number}");
        state.keyspace.db_mut(0).insert(key.as_bytes(), KeyValue::Unchecked(Box::new(value)), None);
    }
}

/// Puts an ordinary value of each type at other keys.
fn fill_others(engine: &TestEngine) {
    for line in ["SET s 1", "RPUSH l a", "SADD t a", "ZADD z 1 a", "HSET h f v", "XADD x 1-1 f v"] {
        engine.run(line);
    }
}

/// Whether what is left of the values is what they were.
fn are_untouched(engine: &TestEngine) -> bool {
    let state = engine.engine.read().expect("not busy");
    (0..5).all(|number| {
        let key = format!("u{number}");
        match state.keyspace.db(0).read(key.as_bytes(), START_MS) {
            Some((_, ValueRef::Unchecked(value))) => value.payload() == PAYLOAD,
            _ => true,
        }
    })
}

/// What such a command would end or wait for says nothing here.
fn is_left_out(name: &str) -> bool {
    matches!(name, "shutdown" | "debug" | "monitor" | "subscribe" | "psubscribe" | "ssubscribe")
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..5).prop_map(|number| format!("u{number}")),
        2 => prop::sample::select(vec!["s", "l", "t", "z", "h", "x", "new"]).prop_map(String::from),
        4 => prop::sample::select(vec!["0", "1", "2", "-1", "1-1", "$", ">", "*", "+", "-", "[a", "(1"])
            .prop_map(String::from),
        4 => prop::sample::select(vec![
            "LEFT", "RIGHT", "STREAMS", "GROUP", "FIELDS", "REPLACE", "COUNT", "WEIGHTS", "STORE",
            "CREATE", "MKSTREAM", "FULL", "STREAM", "GROUPS", "ENCODING", "USAGE", "FREQ", "BEFORE",
            "WITHSCORES", "FROMMEMBER", "BYRADIUS", "m", "km", "MAXLEN", "AND", "BY", "GET", "NX",
        ])
        .prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_command_looks_inside(words in prop::collection::vec(word(), 8), first in 0..5usize) {
        let engine = engine();
        fill_others(&engine);
        let registry = Arc::clone(&engine.engine.shared.registry.read());
        let mut all = Vec::new();
        for command in registry.commands() {
            if !matches!(command.spec.run, Run::Container) {
                all.push((vec![command.spec.name], command.spec));
            }
            for inner in &command.subcommands {
                all.push((vec![command.spec.name, inner.spec.name], inner.spec));
            }
        }
        for (name, spec) in all {
            if is_left_out(&name[0].to_lowercase()) {
                continue;
            }
            let least = match spec.arity {
                Arity::Exactly(count) | Arity::AtLeast(count) => count as usize,
            };
            for extra in 0..3 {
                // A command before may have deleted them.
                fill(&engine);
                let key = format!("u{first}");
                let mut argv: Vec<&[u8]> = name.iter().map(|word| word.as_bytes()).collect();
                argv.push(key.as_bytes());
                argv.extend(words.iter().map(|word| word.as_bytes()));
                let begin = name.len();
                argv.truncate((least + extra).max(begin));
                let client = Arc::new(client(engine.engine.shared.next_client.fetch_add(1, Ordering::Relaxed)));
                let (out, _) = engine.call(&client, &argv);
                whole(&out);
                prop_assert!(are_untouched(&engine), "{:?}", argv);
                crate::engine::block::leave(&engine.engine.shared, client.id);
                engine.engine.shared.pause.end();
            }
        }
    }
}

#[test]
fn such_a_key_can_be_moved_copied_and_deleted() {
    let engine = TestEngine::new();
    fill(&engine);
    fill_others(&engine);
    assert_eq!(engine.run("TYPE u4"), "stream");
    assert_eq!(engine.run("OBJECT ENCODING u1"), "listpack");
    assert_eq!(engine.run("COPY u4 copy"), "1");
    assert_eq!(engine.run("RENAME u4 other"), "OK");
    assert_eq!(engine.run("MOVE other 1"), "1");
    assert_eq!(engine.run("PEXPIRE copy 1000"), "1");
    assert_eq!(engine.run("SCAN 0 COUNT 1000 TYPE stream").matches("copy").count(), 1);
    let payload = engine.run("DUMP copy");
    assert_eq!(payload, engine.run("DUMP copy"));
    let bytes: usize = engine.run("MEMORY USAGE copy").parse().expect("a number");
    assert!((PAYLOAD.len()..1000).contains(&bytes));
    assert_eq!(engine.run("UNLINK copy u0"), "2");
    assert_eq!(engine.run("EXISTS copy u0 u1"), "1");
}

#[test]
fn who_looks_inside_is_told() {
    let engine = TestEngine::new();
    fill(&engine);
    fill_others(&engine);
    engine.prepare(&["SET other 1"]);
    let corrupt = CommandError::CorruptValue.to_string();
    for line in [
        "LPUSH u0 x",
        "LRANGE u0 0 -1",
        "SADD u1 x",
        "SINTER t u1",
        "ZUNION 2 z u1",
        "ZADD u2 1 x",
        "GEOPOS u2 m",
        "HGET u3 f",
        "HLEN u3",
        "XREAD STREAMS u4 $",
        "XADD u4 * f v",
        "XINFO STREAM u4 FULL",
        "SORT u0",
    ] {
        assert_eq!(engine.run(line), corrupt, "{line}");
    }
    // It would be of another type if it were good.
    for line in ["LPUSH u1 x", "GET u0", "HGET u4 f", "PFADD u3 x", "SINTER t u0"] {
        assert_eq!(engine.run(line), CommandError::WrongType.to_string(), "{line}");
    }
    assert_eq!(engine.run("EVAL return(redis.pcall('llen',KEYS[1])) 1 u0"), corrupt);
    assert!(engine.propagated().is_empty() && engine.events().is_empty());
    assert_eq!(engine.run("SET u0 x"), "OK");
    assert_eq!(engine.run("GET u0"), "x");
}
