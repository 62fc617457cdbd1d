//! Do modules hear of each key that leaves, why it does, and before it has?

use super::testing::TestEngine;

fn check(engine: &TestEngine, cases: &[(&str, &[&str])]) {
    for (command, expected) in cases {
        engine.run(command);
        assert_eq!(engine.events(), *expected, "{command}");
    }
}

#[test]
fn a_value_that_takes_the_place_of_another_overwrites() {
    let engine = TestEngine::new();
    engine.hear_departures();
    check(
        &engine,
        &[
            ("SET k 1", &[]),
            ("SET k 2", &["Overwritten k"]),
            ("SET k 3 EX 100", &["Overwritten k"]),
            ("GETSET k 4", &["Overwritten k"]),
            ("MSET k 5 l 1", &["Overwritten k"]),
            ("SETNX k 6", &[]),
            // What is changed stays.
            ("INCR k", &[]),
            ("APPEND k x", &[]),
            ("SETRANGE k 0 y", &[]),
            ("EXPIRE k 100", &[]),
            ("SADD s a b", &[]),
            ("SINTERSTORE k s", &["Overwritten k"]),
            ("LPUSH list b a", &[]),
            ("SORT list ALPHA STORE k", &["Overwritten k"]),
        ],
    );
}

#[test]
fn keys_are_deleted_by_name_or_with_their_last_element() {
    let engine = TestEngine::new();
    engine.prepare(&["SET a 1", "SET b 1", "HSET h f v", "SADD s m", "ZADD z 1 m", "RPUSH l x"]);
    engine.hear_departures();
    check(
        &engine,
        &[
            ("DEL a nothing", &["Deleted a"]),
            ("UNLINK b", &["Deleted b"]),
            ("HDEL h f", &["Deleted h"]),
            ("SPOP s", &["Deleted s"]),
            ("ZREM z m", &["Deleted z"]),
            ("LPOP l", &["Deleted l"]),
            ("SET a 1", &[]),
            ("SET b 2", &[]),
            ("RENAME a b", &["Deleted b", "Deleted a"]),
            ("MOVE b 1", &["Deleted b"]),
            ("SET c 1", &[]),
            ("GETDEL c", &["Deleted c"]),
            ("SET e 1", &[]),
            ("FLUSHALL", &[]),
        ],
    );
}

#[test]
fn keys_past_their_time_expire() {
    let engine = TestEngine::new();
    engine.prepare(&["SET a 1 PX 10", "SET b 1 PX 10"]);
    engine.hear_departures();
    engine.advance_ms(20);
    check(&engine, &[("GET a", &["Expired a"]), ("SET b 1", &["Expired b"])]);
    check(
        &engine,
        &[("EXPIRE b -1", &["Expired b"]), ("SET c 1", &[]), ("GETEX c PXAT 1", &["Expired c"])],
    );
}

#[test]
fn nothing_can_be_changed_by_whoever_looks() {
    let engine = TestEngine::new();
    engine.prepare(&["SET guarded 1"]);
    engine.hear_departures();
    let expected = "Deleted guarded: -ERR 'set' writes, and nothing may change now";
    check(&engine, &[("DEL guarded", &[expected]), ("EXISTS guarded", &[])]);
}
