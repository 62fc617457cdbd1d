//! Do commands leave the effects that Redis's do? What they propagate, announce and count.

use super::testing::{START_MS, TestEngine};

/// One command: what it propagates and which events it causes, after the same preparation.
pub(super) fn check(prepare: &[&str], cases: &[(&str, &[&str], &[&str])]) {
    for (line, propagated, events) in cases {
        let engine = TestEngine::new();
        engine.prepare(prepare);
        let reply = engine.run(line);
        assert_eq!(engine.propagated(), *propagated, "propagated by {line}: {reply}");
        assert_eq!(engine.events(), *events, "events of {line}: {reply}");
    }
}

const IN_TEN_SECONDS: &str = "1700000010000";

#[test]
fn set_propagates_points_in_time() {
    assert_eq!(START_MS + 10_000, IN_TEN_SECONDS.parse::<i64>().unwrap());
    let set_at = &["SET k v PXAT 1700000010000"][..];
    let events = &["set k", "expire k"][..];
    check(
        &["SET k old"],
        &[
            ("SET k v", &["SET k v"], &["set k"]),
            ("SET k v EX 10", set_at, events),
            ("SET k v PX 10000 GET", set_at, events),
            ("SET k v EXAT 1700000010 XX", set_at, events),
            ("SETEX k 10 v", set_at, events),
            ("PSETEX k 10000 v", set_at, events),
            ("SET k v XX PXAT 1700000010000", &["SET k v XX PXAT 1700000010000"], events),
            ("SET k v GET XX get", &["SET k v XX"], &["set k"]),
            ("SET k v KEEPTTL", &["SET k v KEEPTTL"], &["set k"]),
            ("SET k v NX", &[], &[]),
            ("SETNX k v", &[], &[]),
            ("SETNX new v", &["SETNX new v"], &["new new", "set new"]),
            ("GETSET k v", &["SET k v"], &["set k"]),
            ("SET k v EX 0", &[], &[]),
            ("MSETNX new v k v", &[], &[]),
            ("MSET new v k v", &["MSET new v k v"], &["new new", "set new", "set k"]),
        ],
    );
}

#[test]
fn getex_and_getdel_propagate_what_they_do_to_the_key() {
    let prepare = &["SET k v EX 100", "SET plain v", "HSET h f v"];
    check(
        prepare,
        &[
            ("GETEX k", &[], &[]),
            ("GETEX k EX 10", &["PEXPIREAT k 1700000010000"], &["expire k"]),
            ("GETEX k PXAT 1", &["DEL k"], &["del k"]),
            ("GETEX k PERSIST", &["PERSIST k"], &["persist k"]),
            ("GETEX plain PERSIST", &[], &[]),
            ("GETEX missing EX 0", &[], &[]),
            ("GETDEL k", &["DEL k"], &["del k"]),
            ("GETDEL missing", &[], &[]),
            ("GETDEL h", &[], &[]),
        ],
    );
}

#[test]
fn numbers_and_ranges_propagate_what_can_be_replayed() {
    check(
        &["SET n 10", "SET s abc"],
        &[
            ("INCRBY n 5", &["INCRBY n 5"], &["incrby n"]),
            ("DECR new", &["DECR new"], &["new new", "incrby new"]),
            ("INCR s", &[], &[]),
            ("INCRBYFLOAT n 0.5", &["SET n 10.5 KEEPTTL"], &["incrbyfloat n"]),
            ("APPEND s d", &["APPEND s d"], &["append s"]),
            ("APPEND new d", &["APPEND new d"], &["new new", "append new"]),
            ("SETRANGE s 1 xx", &["SETRANGE s 1 xx"], &["setrange s"]),
            ("SETRANGE s 1 ''", &[], &[]),
            ("SETBIT s 1 1", &[], &[]),
            ("SETBIT s 0 1", &["SETBIT s 0 1"], &["setbit s"]),
        ],
    );
}

#[test]
fn expiry_is_propagated_as_a_point_in_time() {
    let at = &["PEXPIREAT k 1700000010000"][..];
    check(
        &["SET k v"],
        &[
            ("EXPIRE k 10", at, &["expire k"]),
            ("PEXPIRE k 10000 NX", &["PEXPIREAT k 1700000010000 NX"], &["expire k"]),
            ("EXPIREAT k 1700000010", at, &["expire k"]),
            ("PEXPIREAT k 1700000010000", at, &["expire k"]),
            ("EXPIRE k 10 XX", &[], &[]),
            ("EXPIRE k -1", &["DEL k"], &["del k"]),
            ("EXPIREAT k 1700000000", &["DEL k"], &["del k"]),
            ("EXPIRE missing 10", &[], &[]),
            ("PERSIST k", &[], &[]),
        ],
    );
}

#[test]
fn keys_on_the_move_are_announced_at_both_ends() {
    check(
        &["SET a 1", "SET b 2"],
        &[
            ("RENAME a c", &["RENAME a c"], &["new c", "rename_from a", "rename_to c"]),
            ("RENAMENX a b", &[], &[]),
            ("RENAME a a", &[], &[]),
            ("COPY a c", &["COPY a c"], &["new c", "copy_to c"]),
            ("COPY a b", &[], &[]),
            ("MOVE a 1", &["MOVE a 1"], &["new a", "move_from a", "move_to a"]),
        ],
    );
}

#[test]
fn hashes_are_announced_with_their_last_field() {
    check(
        &["HSET h f 1 g 2"],
        &[
            ("HSET h f 3 i 4", &["HSET h f 3 i 4"], &["hset h"]),
            ("HMSET new f 3", &["HMSET new f 3"], &["new new", "hset new"]),
            ("HSETNX h f 3", &[], &[]),
            ("HDEL h f x", &["HDEL h f x"], &["hdel h"]),
            ("HDEL h f g", &["HDEL h f g"], &["hdel h", "del h"]),
            ("HDEL h x", &[], &[]),
            ("HINCRBY h f 1", &["HINCRBY h f 1"], &["hincrby h"]),
            ("HINCRBYFLOAT h f 0.5", &["HSET h f 1.5"], &["hincrbyfloat h"]),
        ],
    );
}

#[test]
fn field_expiry_is_propagated_field_by_field() {
    check(
        &["HSET h f 1 g 2", "HPEXPIREAT h 1700000099000 FIELDS 1 g"],
        &[
            (
                "HEXPIRE h 10 FIELDS 2 f x",
                &["HPEXPIREAT h 1700000010000 FIELDS 1 f"],
                &["hexpire h"],
            ),
            (
                "HPEXPIRE h 10000 NX FIELDS 2 f g",
                &["HPEXPIREAT h 1700000010000 NX FIELDS 1 f"],
                &["hexpire h"],
            ),
            ("HEXPIRE h 10 XX FIELDS 1 f", &[], &[]),
            ("HEXPIRE h 0 FIELDS 1 f", &["HDEL h f"], &["hdel h"]),
            (
                "HEXPIREAT h 1 FIELDS 2 f g",
                &["MULTI", "HDEL h f", "HDEL h g", "EXEC"],
                &["hdel h", "del h"],
            ),
            ("HPERSIST h FIELDS 2 f g", &["HPERSIST h FIELDS 2 f g"], &["hpersist h"]),
            ("HPERSIST h FIELDS 1 f", &[], &[]),
            (
                "HINCRBYFLOAT h g 0.5",
                &["MULTI", "HSET h g 2.5", "HPEXPIREAT h 1700000099000 FIELDS 1 g", "EXEC"],
                &["hincrbyfloat h"],
            ),
        ],
    );
}

#[test]
fn bitmaps_propagate_what_came_in() {
    check(
        &["SET a abc", "SET b xyz PX 5000", "HSET h f v"],
        &[
            ("BITOP AND a a b", &["BITOP AND a a b"], &["set a"]),
            ("BITOP OR new a", &["BITOP OR new a"], &["new new", "set new"]),
            ("BITOP AND b none", &["BITOP AND b none"], &["del b"]),
            ("BITOP AND none none", &[], &[]),
            ("BITOP AND a h", &[], &[]),
            ("BITFIELD a GET u8 0", &[], &[]),
            ("BITFIELD a SET u8 0 97", &[], &[]),
            ("BITFIELD a SET u8 0 5", &["BITFIELD a SET u8 0 5"], &["setbit a"]),
            ("BITFIELD a SET u8 24 0", &["BITFIELD a SET u8 24 0"], &["setbit a"]),
            ("BITFIELD n INCRBY u8 0 1", &["BITFIELD n INCRBY u8 0 1"], &["new n", "setbit n"]),
            ("BITFIELD a OVERFLOW FAIL SET u8 0 256", &[], &[]),
            // The string has grown, so replicas must hear of it.
            (
                "BITFIELD a OVERFLOW FAIL SET u8 24 256",
                &["BITFIELD a OVERFLOW FAIL SET u8 24 256"],
                &[],
            ),
        ],
    );
}

#[test]
fn bitfield_counts_what_it_changes() {
    let engine = TestEngine::new();
    assert_eq!(engine.run("BITFIELD k SET u8 0 1 SET u8 8 1 GET u8 0"), "[0, 0, 1]");
    assert_eq!(engine.dirty(), 2);
    assert_eq!(engine.run("BITFIELD k SET u8 0 1 SET u8 8 2"), "[1, 1]");
    assert_eq!(engine.dirty(), 3);
}

#[test]
fn a_hyperloglog_propagates_only_what_changed_it() {
    check(
        &["PFADD a 1 2 3", "PFADD b 4", "SET s x", "PFCOUNT b"],
        &[
            ("PFADD a 1", &[], &[]),
            ("PFADD a 1 5", &["PFADD a 1 5"], &["pfadd a"]),
            ("PFADD new", &["PFADD new"], &["new new", "pfadd new"]),
            ("PFADD s 1", &[], &[]),
            // The first count is kept in the string.
            ("PFCOUNT a", &["PFCOUNT a"], &[]),
            ("PFCOUNT b", &[], &[]),
            ("PFCOUNT a b", &[], &[]),
            ("PFMERGE new a b", &["PFMERGE new a b"], &["new new", "pfadd new"]),
            ("PFMERGE a b", &["PFMERGE a b"], &["pfadd a"]),
            ("PFMERGE new s", &[], &[]),
            ("PFDEBUG ENCODING a", &[], &[]),
            ("PFDEBUG TODENSE a", &["PFDEBUG TODENSE a"], &[]),
        ],
    );
}

#[test]
fn what_a_corrupt_hyperloglog_took_is_propagated() {
    let engine = TestEngine::new();
    engine.prepare(&["SET half HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x5f\x7f"]);
    assert_eq!(engine.run("PFADD half a"), "INVALIDOBJ Corrupted HLL object detected");
    assert_eq!(engine.propagated(), [""; 0]);
    assert_eq!(engine.run("PFADD half d a"), "INVALIDOBJ Corrupted HLL object detected");
    assert_eq!(engine.propagated(), ["PFADD half d a"]);
    assert_eq!(engine.dirty(), 2);
}

#[test]
fn values_and_lifetimes_of_fields_are_propagated_together() {
    check(
        &["HSET h f 1 g 2", "HPEXPIREAT h 1700000099000 FIELDS 1 g"],
        &[
            ("HGETDEL h FIELDS 2 f x", &["HDEL h f x"], &["hdel h"]),
            ("HGETDEL h FIELDS 2 f g", &["HDEL h f g"], &["hdel h", "del h"]),
            ("HGETDEL h FIELDS 1 x", &[], &[]),
            ("HGETEX h FIELDS 1 f", &[], &[]),
            (
                "HGETEX h EX 10 FIELDS 2 f x",
                &["HPEXPIREAT h 1700000010000 FIELDS 1 f"],
                &["hexpire h"],
            ),
            ("HGETEX h PERSIST FIELDS 2 f g", &["HPERSIST h FIELDS 1 g"], &["hpersist h"]),
            ("HGETEX h PERSIST FIELDS 1 f", &[], &[]),
            (
                "HGETEX h EXAT 1 FIELDS 2 f g",
                &["MULTI", "HDEL h f", "HDEL h g", "EXEC"],
                &["hdel h", "del h"],
            ),
            ("HSETEX h FIELDS 1 f 5", &["HSETEX h FIELDS 1 f 5"], &["hset h"]),
            (
                "HSETEX h FXX EX 10 FIELDS 1 f 5",
                &["HSETEX h FXX PXAT 1700000010000 FIELDS 1 f 5"],
                &["hset h", "hexpire h"],
            ),
            (
                "HSETEX new PXAT 1700000010000 FIELDS 1 f 5",
                &["HSETEX new PXAT 1700000010000 FIELDS 1 f 5"],
                &["new new", "hset new", "hexpire new"],
            ),
            ("HSETEX h FNX FIELDS 1 f 5", &[], &[]),
            ("HSETEX h EX 0 FIELDS 1 f 5", &["HDEL h f"], &["hset h", "hdel h"]),
        ],
    );
}

#[test]
fn an_expired_key_is_deleted_before_the_command_goes_on() {
    let engine = TestEngine::new();
    engine.prepare(&["SET k v PX 10"]);
    engine.advance_ms(11);
    assert_eq!(engine.run("APPEND k w"), "1");
    assert_eq!(engine.events(), ["expired k", "new k", "append k"]);
    assert_eq!(engine.propagated(), ["MULTI", "DEL k", "APPEND k w", "EXEC"]);
}

#[test]
fn expired_fields_are_deleted_before_the_command_goes_on() {
    let engine = TestEngine::new();
    engine.prepare(&["HSET h f 1 g 2", "HPEXPIRE h 10 FIELDS 2 f g"]);
    engine.advance_ms(11);
    assert_eq!(engine.run("HGET h f"), "nil");
    assert_eq!(engine.run("HLEN h"), "0");
    assert_eq!(engine.run("HINCRBY h f 5"), "5");
    assert_eq!(engine.events(), ["hexpired h", "del h", "new h", "hincrby h"]);
    // The read that finds them has them deleted, each for itself.
    assert_eq!(engine.propagated(), ["HDEL h f", "HDEL h g", "HINCRBY h f 5"]);
    assert_eq!(engine.run("HTTL h FIELDS 1 f"), "[-1]");
}

#[test]
fn randomkey_has_the_expired_keys_that_it_met_deleted_each_for_itself() {
    let engine = TestEngine::new();
    engine.prepare(&["SET a v PX 10", "SET b v PX 10"]);
    engine.advance_ms(11);
    // Which keys its draws meet is left to chance.
    let mut propagated = Vec::new();
    for _ in 0..1000 {
        assert_eq!(engine.run("RANDOMKEY"), "nil");
        propagated.extend(engine.propagated());
    }
    propagated.sort();
    assert_eq!(propagated, ["DEL a", "DEL b"]);
}
