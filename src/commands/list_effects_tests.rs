//! Do commands on lists leave the effects that Redis's do, also those that were served late?

use super::testing::TestEngine;

/// One command: what it propagates, which events it causes and how many changes it counts, after the
/// same preparation.
fn check(prepare: &[&str], cases: &[(&str, &[&str], &[&str], u64)]) {
    for (line, propagated, events, dirty) in cases {
        let engine = TestEngine::new();
        engine.prepare(prepare);
        let before = engine.dirty();
        let reply = engine.run(line);
        assert_eq!(engine.propagated(), *propagated, "propagated by {line}: {reply}");
        assert_eq!(engine.events(), *events, "events of {line}: {reply}");
        assert_eq!(engine.dirty() - before, *dirty, "changes by {line}: {reply}");
    }
}

#[test]
fn pushes_and_pops_are_announced_at_their_end() {
    check(
        &["RPUSH l a b c", "RPUSH one x"],
        &[
            ("LPUSH l d e", &["LPUSH l d e"], &["lpush l"], 2),
            ("RPUSH new d", &["RPUSH new d"], &["new new", "rpush new"], 1),
            ("RPUSHX l d", &["RPUSHX l d"], &["rpush l"], 1),
            ("LPUSHX none d", &[], &[], 0),
            ("LPOP l", &["LPOP l"], &["lpop l"], 1),
            ("RPOP l 2", &["RPOP l 2"], &["rpop l"], 2),
            ("LPOP l 9", &["LPOP l 9"], &["lpop l", "del l"], 3),
            ("RPOP one", &["RPOP one"], &["rpop one", "del one"], 1),
            ("LPOP l 0", &[], &[], 0),
            ("RPOP none", &[], &[], 0),
            ("LMPOP 2 none l LEFT COUNT 2", &["LPOP l 2"], &["lpop l"], 2),
            ("LMPOP 1 one RIGHT COUNT 5", &["RPOP one 1"], &["rpop one", "del one"], 1),
            ("LMPOP 1 none LEFT", &[], &[], 0),
            ("BLPOP none l 0", &["LPOP l"], &["lpop l"], 1),
            ("BRPOP one 0", &["RPOP one"], &["rpop one", "del one"], 1),
            ("BLMPOP 0 1 l RIGHT COUNT 2", &["RPOP l 2"], &["rpop l"], 2),
        ],
    );
}

#[test]
fn changes_inside_are_counted_by_elements() {
    check(
        &["RPUSH l a b a c a"],
        &[
            ("LSET l 0 x", &["LSET l 0 x"], &["lset l"], 1),
            ("LSET l 9 x", &[], &[], 0),
            ("LINSERT l BEFORE b x", &["LINSERT l BEFORE b x"], &["linsert l"], 1),
            ("LINSERT l BEFORE x x", &[], &[], 0),
            ("LREM l 2 a", &["LREM l 2 a"], &["lrem l"], 2),
            ("LREM l 0 x", &[], &[], 0),
            ("LTRIM l 1 2", &["LTRIM l 1 2"], &["ltrim l"], 3),
            ("LTRIM l 5 9", &["LTRIM l 5 9"], &["ltrim l", "del l"], 5),
            // Redis announces a trim that changes nothing, but does not propagate it.
            ("LTRIM l 0 -1", &[], &["ltrim l"], 0),
            ("LTRIM none 0 -1", &[], &[], 0),
        ],
    );
    check(&["RPUSH l a a"], &[("LREM l 0 a", &["LREM l 0 a"], &["lrem l", "del l"], 2)]);
}

#[test]
fn moves_are_announced_at_the_target_first() {
    let whole = &["new to", "lpush to", "rpop one", "del one"][..];
    check(
        &["RPUSH l a b", "RPUSH one x"],
        &[
            ("RPOPLPUSH one to", &["RPOPLPUSH one to"], whole, 1),
            ("LMOVE l one LEFT RIGHT", &["LMOVE l one LEFT RIGHT"], &["rpush one", "lpop l"], 1),
            (
                "LMOVE one one LEFT LEFT",
                &["LMOVE one one LEFT LEFT"],
                &["lpush one", "lpop one"],
                1,
            ),
            ("LMOVE none l LEFT LEFT", &[], &[], 0),
            ("BRPOPLPUSH one to 0", &["RPOPLPUSH one to"], whole, 1),
            ("BLMOVE l one right left 0", &["LMOVE l one right left"], &["lpush one", "rpop l"], 1),
        ],
    );
}

#[test]
fn what_is_served_late_is_a_unit_of_its_own() {
    let engine = TestEngine::new();
    let first = engine.wait("BLPOP a b 0");
    let second = engine.wait("BLMOVE a c LEFT RIGHT 0");
    let third = engine.wait("BLMPOP 0 1 c LEFT COUNT 9");
    let before = engine.dirty();
    assert_eq!(engine.run("RPUSH a 1 2 3"), "3");
    assert_eq!(first.reply().as_deref(), Some("[a, 1]"));
    assert_eq!(second.reply().as_deref(), Some("2"));
    assert_eq!(third.reply().as_deref(), Some("[c, [2]]"));
    let propagated = ["RPUSH a 1 2 3", "LPOP a", "LMOVE a c LEFT RIGHT", "LPOP c 1"];
    assert_eq!(engine.propagated(), propagated);
    let events = ["new a", "rpush a", "lpop a", "new c", "rpush c", "lpop a", "lpop c", "del c"];
    assert_eq!(engine.events(), events);
    assert_eq!(engine.dirty() - before, 6);
}

#[test]
fn a_transaction_leaves_before_those_whom_it_serves() {
    let engine = TestEngine::new();
    let waiting = engine.wait("BLPOP a 0");
    for line in ["MULTI", "RPUSH a 1", "RPUSH b 1", "EXEC"] {
        engine.run(line);
    }
    assert_eq!(waiting.reply().as_deref(), Some("[a, 1]"));
    let propagated = ["MULTI", "RPUSH a 1", "RPUSH b 1", "EXEC", "LPOP a"];
    assert_eq!(engine.propagated(), propagated);
}

#[test]
fn an_expired_list_serves_nobody() {
    let engine = TestEngine::new();
    engine.prepare(&["RPUSH a 1", "PEXPIRE a 10"]);
    engine.advance_ms(11);
    let waiting = engine.wait("BLPOP a 0");
    assert_eq!(engine.propagated(), ["DEL a"]);
    assert_eq!(engine.events(), ["expired a"]);
    // The element that takes the place of the old list is served.
    let other = engine.wait("BRPOPLPUSH x y 0");
    engine.run("RPUSH a 2");
    assert_eq!(waiting.reply().as_deref(), Some("[a, 2]"));
    assert_eq!(other.reply(), None);
}

#[test]
fn a_refused_target_costs_no_element() {
    let engine = TestEngine::new();
    engine.prepare(&["SET s v"]);
    let refused = engine.wait("BLMOVE a s LEFT LEFT 0");
    let served = engine.wait("BLPOP a 0");
    engine.run("RPUSH a 1");
    assert!(refused.reply().is_some_and(|reply| reply.starts_with("WRONGTYPE")));
    assert_eq!(served.reply().as_deref(), Some("[a, 1]"));
    assert_eq!(engine.propagated(), ["RPUSH a 1", "LPOP a"]);
}

#[test]
fn many_who_wait_for_many_keys_are_all_served() {
    let engine = TestEngine::new();
    let waiting: Vec<_> =
        (0..300).map(|n| engine.wait(&format!("BLPOP k{} all 0", n % 30))).collect();
    for n in 0..300 {
        engine.run(&format!("RPUSH {} {n}", if n < 30 { format!("k{n}") } else { "all".into() }));
    }
    let replies: Vec<_> = waiting.iter().map(|one| one.reply().expect("it was served")).collect();
    // The first thirty came for keys of their own, and the rest stand in line for the other.
    for (n, reply) in replies.iter().enumerate() {
        let key = if n < 30 { format!("k{n}") } else { "all".into() };
        assert_eq!(*reply, format!("[{key}, {n}]"));
    }
    assert_eq!(engine.run("EXISTS all"), "0");
}
