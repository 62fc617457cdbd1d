//! Do messages leave what Redis's do? Propagation, events of reads, and what a client is sent beside its replies.

use super::testing::TestEngine;
use crate::engine::effects::{EventClass, Targets};

#[test]
fn publish_reaches_replicas_and_not_the_file() {
    let engine = TestEngine::new();
    engine.listen(Targets::REPLICAS);
    engine.run("PUBLISH c m");
    engine.run("SPUBLISH s m");
    engine.run("EVAL return(redis.call('publish','c','x')) 0");
    assert_eq!(engine.propagated(), ["PUBLISH c m", "SPUBLISH s m", "publish c x"]);
    assert_eq!(engine.dirty(), 0);
    engine.listen(Targets::AOF);
    engine.run("PUBLISH c m");
    engine.run("SET k v");
    assert_eq!(engine.propagated(), ["SET k v"], "nothing of PUBLISH is left for the next command");
}

#[test]
fn a_transaction_with_publish_propagates_in_order() {
    let engine = TestEngine::new();
    for line in ["MULTI", "SET k v", "PUBLISH c m", "INCR n", "EXEC"] {
        engine.run(line);
    }
    let expected = ["MULTI", "SET k v", "PUBLISH c m", "INCR n", "EXEC"];
    assert_eq!(engine.propagated(), expected);
}

#[test]
fn reads_in_vain_are_announced_when_somebody_listens() {
    let engine = TestEngine::new();
    engine.prepare(&["SET k v"]);
    engine.run("GET none");
    assert_eq!(engine.events(), [""; 0]);
    engine.hear(EventClass::all());
    for line in ["GET k", "GET none", "MGET k a b", "EXISTS c", "GETDEL d", "SET e v"] {
        engine.run(line);
    }
    let expected = ["keymiss none", "keymiss a", "keymiss b", "keymiss c", "keymiss d"];
    assert_eq!(engine.events(), [&expected[..], &["new e", "set e"]].concat());
}

#[test]
fn nothing_expires_while_clients_are_paused() {
    let engine = TestEngine::new();
    engine.prepare(&["SET k v PX 10", "CLIENT PAUSE 1000 WRITE"]);
    engine.advance_ms(20);
    assert_eq!(engine.run("GET k"), "nil");
    assert_eq!(engine.run("DBSIZE"), "1");
    assert_eq!((engine.propagated().len(), engine.events().len()), (0, 0));
    engine.advance_ms(1000);
    assert_eq!(engine.run("GET k"), "nil");
    assert_eq!(engine.run("DBSIZE"), "0");
    assert_eq!(engine.events(), ["expired k"]);
}

#[test]
fn messages_to_oneself_come_behind_the_reply() {
    let engine = TestEngine::new();
    engine.prepare(&["HELLO 3", "SUBSCRIBE c", "CLIENT TRACKING ON", "SET k 1", "GET k"]);
    assert_eq!(engine.run_all("PUBLISH c m"), ["1", "push[message, c, m]"]);
    assert_eq!(engine.run_all("SET k 2"), ["OK", "push[invalidate, [k]]"]);
    assert_eq!(engine.run_all("SET k 3"), ["OK"], "it has not been read since");
    assert_eq!(engine.run_all("UNSUBSCRIBE"), ["push[unsubscribe, c, 0]"]);
    engine.prepare(&["CLIENT TRACKING OFF", "CLIENT TRACKING ON BCAST PREFIX k", "MULTI"]);
    for line in ["SET k1 v", "SET other v", "SET k2 v"] {
        assert_eq!(engine.run(line), "QUEUED");
    }
    assert_eq!(engine.run_all("EXEC"), ["[OK, OK, OK]"]);
    // What is gathered by prefix is told when the lock is given back, behind everything.
    assert_eq!(engine.run_all("PING"), ["push[invalidate, [k1, k2]]", "PONG"]);
}
