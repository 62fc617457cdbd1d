//! Do stream commands leave the effects that Redis's do?

use crate::commands::effects_tests::check;
use crate::commands::testing::TestEngine;

#[test]
fn entries_are_propagated_with_the_ids_that_they_got() {
    check(
        &["XADD s 1-1 f v"],
        &[
            ("XADD s * f v", &["XADD s 1700000000000-0 f v"], &["xadd s"]),
            ("XADD s 1-* f v", &["XADD s 1-2 f v"], &["xadd s"]),
            ("XADD s 5-5 f v", &["XADD s 5-5 f v"], &["xadd s"]),
            ("XADD new 7 f v", &["XADD new 7 f v"], &["new new", "xadd new"]),
            ("XADD new NOMKSTREAM * f v", &[], &[]),
            ("XADD s 1-1 f v", &[], &[]),
            (
                "XADD s MAXLEN 1 * f v",
                &["XADD s MAXLEN 1 1700000000000-0 f v"],
                &["xadd s", "xtrim s"],
            ),
            (
                "XADD s NOMKSTREAM MAXLEN ~ 1 LIMIT 9 * f v",
                &["XADD s NOMKSTREAM MAXLEN = 2 LIMIT 9 1700000000000-0 f v"],
                &["xadd s"],
            ),
            ("XADD s MINID ~ 5 7-7 f v", &["XADD s MINID = 1-1 7-7 f v"], &["xadd s"]),
        ],
    );
}

#[test]
fn trims_and_deletions_are_propagated_as_what_they_did() {
    let prepare = &[
        "CONFIG SET stream-node-max-entries 2",
        "XADD s 1-0 f v",
        "XADD s 2-0 f v",
        "XADD s 3-0 f v",
    ];
    check(
        prepare,
        &[
            ("XTRIM s MAXLEN 2", &["XTRIM s MAXLEN 2"], &["xtrim s"]),
            ("XTRIM s MAXLEN ~ 1", &["XTRIM s MAXLEN = 1"], &["xtrim s"]),
            ("XTRIM s MAXLEN ~ 2", &[], &[]),
            ("XTRIM s MINID ~ 3-0", &["XTRIM s MINID = 3-0"], &["xtrim s"]),
            ("XTRIM s MAXLEN 5", &[], &[]),
            ("XDEL s 1-0 9-0", &["XDEL s 1-0 9-0"], &["xdel s"]),
            ("XDEL s 9-0", &[], &[]),
            ("XSETID s 9-0", &["XSETID s 9-0"], &["xsetid s"]),
            ("XSETID s 1-0", &[], &[]),
        ],
    );
}

#[test]
fn groups_are_propagated_and_announced() {
    check(
        &["XADD s 1-0 f v", "XGROUP CREATE s g 0", "XGROUP CREATECONSUMER s g c"],
        &[
            (
                "XGROUP CREATE new g $ MKSTREAM",
                &["XGROUP CREATE new g $ MKSTREAM"],
                &["new new", "xgroup-create new"],
            ),
            ("XGROUP CREATE s g $", &[], &[]),
            ("XGROUP CREATE s h 0", &["XGROUP CREATE s h 0"], &["xgroup-create s"]),
            ("XGROUP SETID s g $", &["XGROUP SETID s g $"], &["xgroup-setid s"]),
            ("XGROUP DESTROY s g", &["XGROUP DESTROY s g"], &["xgroup-destroy s"]),
            ("XGROUP DESTROY s x", &[], &[]),
            (
                "XGROUP CREATECONSUMER s g d",
                &["XGROUP CREATECONSUMER s g d"],
                &["xgroup-createconsumer s"],
            ),
            ("XGROUP CREATECONSUMER s g c", &[], &[]),
            ("XGROUP DELCONSUMER s g c", &["XGROUP DELCONSUMER s g c"], &["xgroup-delconsumer s"]),
            ("XGROUP DELCONSUMER s g d", &[], &[]),
        ],
    );
}

#[test]
fn a_group_read_is_propagated_as_claims() {
    let claim = |id: &str, last: &str| {
        format!("XCLAIM s g c 0 {id} TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID {last}")
    };
    let first = claim("1-0", "1-0");
    check(
        &["XADD s 1-0 f v", "XADD s 2-0 f v", "XGROUP CREATE s g 0"],
        &[
            (
                "XREADGROUP GROUP g c STREAMS s >",
                &["MULTI", &first, &claim("2-0", "2-0"), "EXEC"],
                &["xgroup-createconsumer s"],
            ),
            ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", &[&first], &["xgroup-createconsumer s"]),
            (
                "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >",
                &[
                    "MULTI",
                    "XGROUP CREATECONSUMER s g c",
                    "XGROUP SETID s g 1-0 ENTRIESREAD 1",
                    "EXEC",
                ],
                &["xgroup-createconsumer s"],
            ),
            ("XREADGROUP GROUP g c STREAMS s 0", &[], &["xgroup-createconsumer s"]),
            ("XREADGROUP GROUP x c STREAMS s >", &[], &[]),
        ],
    );
}

#[test]
fn claims_are_propagated_one_by_one() {
    let prepare = &[
        "XADD s 1-0 f v",
        "XADD s 2-0 f v",
        "XADD s 3-0 f v",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g a COUNT 2 STREAMS s >",
        "XDEL s 2-0",
        "XGROUP CREATECONSUMER s g b",
    ];
    let taken = "XCLAIM s g b 0 1-0 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 2-0";
    // What is no longer there goes from the lists of a replica by the same way.
    let gone = "XCLAIM s g a 0 2-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-0";
    check(
        prepare,
        &[
            ("XCLAIM s g b 0 1-0", &[taken], &[]),
            ("XCLAIM s g b 0 1 2-0", &["MULTI", &taken.replace("0 1-0", "0 1"), gone, "EXEC"], &[]),
            ("XCLAIM s g b 99 1-0", &[], &[]),
            ("XCLAIM s g b 99 1-0 LASTID 3-0", &["XGROUP SETID s g 3-0 ENTRIESREAD 2"], &[]),
            (
                "XCLAIM s g c 0 3-0 FORCE JUSTID TIME 5 RETRYCOUNT 7 LASTID 3-0",
                &["XCLAIM s g c 0 3-0 TIME 5 RETRYCOUNT 7 FORCE JUSTID LASTID 3-0"],
                &["xgroup-createconsumer s"],
            ),
            ("XAUTOCLAIM s g b 0 0", &["MULTI", taken, gone, "EXEC"], &[]),
            ("XAUTOCLAIM s g b 0 0 COUNT 1", &[taken], &[]),
            ("XAUTOCLAIM s g b 99 1-0 COUNT 1", &[gone], &[]),
            ("XACK s g 1-0 9-0", &["XACK s g 1-0 9-0"], &[]),
            ("XACK s g 9-0", &[], &[]),
            ("XACK s x 1-0", &[], &[]),
        ],
    );
}

#[test]
fn what_is_propagated_leads_to_the_same_group() {
    let run = |lines: &[&str]| {
        let engine = TestEngine::new();
        engine.prepare(lines);
        engine
    };
    let lines = [
        "XADD s 1-0 f v",
        "XADD s 2-0 f v",
        "XADD s 3-0 f v",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g a COUNT 1 STREAMS s >",
        "XREADGROUP GROUP g b NOACK COUNT 1 STREAMS s >",
        "XREADGROUP GROUP g b STREAMS s >",
        "XCLAIM s g a 0 3-0",
        "XDEL s 1-0",
        "XAUTOCLAIM s g b 0 0",
    ];
    let primary = TestEngine::new();
    for line in lines {
        primary.run(line);
    }
    let log = primary.propagated();
    let replica = run(&log.iter().map(String::as_str).collect::<Vec<_>>());
    for question in
        ["XRANGE s - +", "XINFO STREAM s", "XPENDING s g", "XPENDING s g - + 9", "DEBUG DIGEST"]
    {
        assert_eq!(replica.run(question), primary.run(question), "{question}");
    }
}

#[test]
fn changes_are_counted_as_redis_counts_them() {
    let engine = TestEngine::new();
    engine.prepare(&["XADD s 1-0 f v", "XADD s 2-0 f v", "XGROUP CREATE s g 0"]);
    for (line, changes) in [
        ("XADD s 3-0 f v", 1),
        ("XREADGROUP GROUP g c STREAMS s >", 2),
        ("XREADGROUP GROUP g c STREAMS s 0", 1),
        ("XCLAIM s g c 0 1-0 2-0", 2),
        ("XACK s g 1-0 2-0", 2),
        ("XDEL s 1-0 2-0", 2),
        ("XTRIM s MAXLEN 0", 1),
    ] {
        let before = engine.dirty();
        engine.run(line);
        assert_eq!(engine.dirty() - before, changes, "{line}");
    }
}
