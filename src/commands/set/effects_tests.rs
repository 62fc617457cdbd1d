//! Do the commands on sets leave the effects that Redis's do?

use crate::commands::effects_tests::check;
use crate::commands::testing::TestEngine;

#[test]
fn members_are_announced_with_the_set_that_they_make_or_end() {
    check(
        &["SADD s a b", "SADD one a"],
        &[
            ("SADD s a c", &["SADD s a c"], &["sadd s"]),
            ("SADD s a", &[], &[]),
            ("SADD new a", &["SADD new a"], &["new new", "sadd new"]),
            ("SREM s a x", &["SREM s a x"], &["srem s"]),
            ("SREM s a b", &["SREM s a b"], &["srem s", "del s"]),
            ("SREM s x", &[], &[]),
            ("SREM none x", &[], &[]),
        ],
    );
}

#[test]
fn a_moved_member_is_announced_at_both_ends() {
    check(
        &["SADD s a b", "SADD one a", "SADD other x"],
        &[
            ("SMOVE s other b", &["SMOVE s other b"], &["srem s", "sadd other"]),
            ("SMOVE s one a", &["SMOVE s one a"], &["srem s"]),
            (
                "SMOVE one new a",
                &["SMOVE one new a"],
                &["srem one", "del one", "new new", "sadd new"],
            ),
            ("SMOVE s other x", &[], &[]),
            ("SMOVE s s a", &[], &[]),
            ("SMOVE none s a", &[], &[]),
        ],
    );
}

#[test]
fn what_chance_takes_is_propagated_by_name() {
    check(
        &["SADD one a", "SADD s a b"],
        &[
            ("SPOP one", &["SREM one a"], &["spop one", "del one"]),
            ("SPOP one 1", &["DEL one"], &["spop one", "del one"]),
            ("SPOP s 5", &["DEL s"], &["spop s", "del s"]),
            ("SPOP s 0", &[], &[]),
            ("SPOP none", &[], &[]),
            ("SPOP none 3", &[], &[]),
            ("SRANDMEMBER s -5", &[], &[]),
        ],
    );
    let engine = TestEngine::new();
    engine.prepare(&["SADD s a b c"]);
    let popped = engine.run("SPOP s");
    assert_eq!(engine.propagated(), [format!("SREM s {popped}")]);
    assert_eq!(engine.events(), ["spop s"]);
    let popped = engine.run("SPOP s 1");
    assert_eq!(engine.propagated(), [format!("SREM s {}", popped.trim_matches(['[', ']']))]);
    assert_eq!(engine.events(), ["spop s"]);
}

#[test]
fn many_popped_members_are_propagated_in_several_commands() {
    let engine = TestEngine::new();
    let members: Vec<String> = (0..3000).map(|i| format!("m{i}")).collect();
    engine.prepare(&[&format!("SADD s {}", members.join(" "))]);
    let before = engine.dirty();
    engine.run("SPOP s 2500");
    let propagated = engine.propagated();
    assert_eq!((propagated[0].as_str(), propagated[4].as_str()), ("MULTI", "EXEC"));
    let words: Vec<usize> = propagated[1..4].iter().map(|line| line.split(' ').count()).collect();
    assert_eq!(words, [1026, 1026, 454]);
    assert!(propagated[1..4].iter().all(|line| line.starts_with("SREM s m")));
    assert_eq!(engine.dirty() - before, 2500);
    // Who replays it is left with the same set.
    let replica = TestEngine::new();
    replica.prepare(&[&format!("SADD s {}", members.join(" "))]);
    propagated[1..4].iter().for_each(|line| {
        replica.run(line);
    });
    let sorted = |engine: &TestEngine| {
        let reply = engine.run("SMEMBERS s");
        let mut members: Vec<String> =
            reply.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect();
        members.sort();
        members
    };
    assert_eq!(sorted(&replica), sorted(&engine));
    assert_eq!(sorted(&engine).len(), 500);
}

#[test]
fn a_stored_result_replaces_whatever_was_there() {
    check(
        &["SADD a 1 2", "SADD b 2 3", "SET t v"],
        &[
            ("SINTERSTORE t a b", &["SINTERSTORE t a b"], &["sinterstore t"]),
            ("SINTERSTORE new a b", &["SINTERSTORE new a b"], &["new new", "sinterstore new"]),
            ("SINTERSTORE t a none", &["SINTERSTORE t a none"], &["del t"]),
            ("SINTERSTORE none a none", &[], &[]),
            ("SUNIONSTORE t a b", &["SUNIONSTORE t a b"], &["sunionstore t"]),
            ("SUNIONSTORE t none", &["SUNIONSTORE t none"], &["del t"]),
            ("SDIFFSTORE a a b", &["SDIFFSTORE a a b"], &["sdiffstore a"]),
            ("SDIFFSTORE a a a", &["SDIFFSTORE a a a"], &["del a"]),
            ("SDIFFSTORE none none a", &[], &[]),
        ],
    );
}

#[test]
fn expired_sources_are_deleted_before_the_result_is_stored() {
    let engine = TestEngine::new();
    engine.prepare(&["SADD a 1 2", "SADD b 3", "PEXPIRE b 10"]);
    engine.advance_ms(11);
    assert_eq!(engine.run("SUNIONSTORE t a b"), "2");
    assert_eq!(engine.propagated(), ["MULTI", "DEL b", "SUNIONSTORE t a b", "EXEC"]);
    assert_eq!(engine.events(), ["expired b", "new t", "sunionstore t"]);
}
