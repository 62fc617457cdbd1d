//! Do the commands on sorted sets leave the effects that Redis's do?

use crate::commands::effects_tests::check;
use crate::commands::testing::TestEngine;

#[test]
fn scores_are_announced_where_they_change() {
    check(
        &["ZADD z 1 a 2 b"],
        &[
            ("ZADD z 1 a 3 b", &["ZADD z 1 a 3 b"], &["zadd z"]),
            ("ZADD z 1 a 2 b", &[], &[]),
            ("ZADD z GT CH 0 a", &[], &[]),
            ("ZADD z XX 5 c", &[], &[]),
            ("ZADD none XX 5 c", &[], &[]),
            ("ZADD new 1 a", &["ZADD new 1 a"], &["new new", "zadd new"]),
            ("ZADD z INCR 1 a", &["ZADD z INCR 1 a"], &["zincr z"]),
            ("ZINCRBY z 1 c", &["ZINCRBY z 1 c"], &["zincr z"]),
            ("ZINCRBY z 0 a", &[], &[]),
        ],
    );
}

#[test]
fn the_last_member_takes_the_key_along() {
    check(
        &["ZADD z 1 a 2 b"],
        &[
            ("ZREM z a x", &["ZREM z a x"], &["zrem z"]),
            ("ZREM z a b", &["ZREM z a b"], &["zrem z", "del z"]),
            ("ZREM z x", &[], &[]),
            ("ZREMRANGEBYRANK z 0 0", &["ZREMRANGEBYRANK z 0 0"], &["zremrangebyrank z"]),
            (
                "ZREMRANGEBYSCORE z 0 9",
                &["ZREMRANGEBYSCORE z 0 9"],
                &["zremrangebyscore z", "del z"],
            ),
            ("ZREMRANGEBYLEX z (b +", &[], &[]),
            ("ZPOPMIN z", &["ZPOPMIN z"], &["zpopmin z"]),
            ("ZPOPMAX z 5", &["ZPOPMAX z 5"], &["zpopmax z", "del z"]),
            ("ZPOPMAX z 0", &[], &[]),
        ],
    );
}

#[test]
fn what_was_chosen_among_keys_is_propagated_as_what_was_taken() {
    check(
        &["ZADD z 1 a 2 b"],
        &[
            ("ZMPOP 2 none z MIN", &["ZPOPMIN z 1"], &["zpopmin z"]),
            ("ZMPOP 2 none z MAX COUNT 9", &["ZPOPMAX z 2"], &["zpopmax z", "del z"]),
            ("ZMPOP 1 none MAX", &[], &[]),
            ("BZPOPMIN none z 0", &["ZPOPMIN z"], &["zpopmin z"]),
            ("BZPOPMAX z 0", &["ZPOPMAX z"], &["zpopmax z"]),
            ("BZMPOP 0 1 z MIN COUNT 9", &["ZPOPMIN z 2"], &["zpopmin z", "del z"]),
        ],
    );
}

#[test]
fn results_are_announced_at_their_destination() {
    check(
        &["ZADD z 1 a 2 b", "SET old v"],
        &[
            ("ZUNIONSTORE new 1 z", &["ZUNIONSTORE new 1 z"], &["new new", "zunionstore new"]),
            ("ZINTERSTORE old 1 z", &["ZINTERSTORE old 1 z"], &["zinterstore old"]),
            ("ZDIFFSTORE old 2 z z", &["ZDIFFSTORE old 2 z z"], &["del old"]),
            ("ZDIFFSTORE new 2 z z", &[], &[]),
            ("ZRANGESTORE old z 0 0", &["ZRANGESTORE old z 0 0"], &["zrangestore old"]),
            ("ZRANGESTORE old z 5 5", &["ZRANGESTORE old z 5 5"], &["del old"]),
            ("ZRANGESTORE new none 0 0", &[], &[]),
        ],
    );
}

#[test]
fn positions_are_propagated_as_scores() {
    check(
        &["GEOADD g 13.361389 38.115556 a", "SET old v"],
        &[
            ("GEOADD g CH 15.087269 37.502669 b", &["ZADD g CH 3479447370796909 b"], &["zadd g"]),
            (
                "GEOADD new NX 15.087269 37.502669 b",
                &["ZADD new NX 3479447370796909 b"],
                &["new new", "zadd new"],
            ),
            ("GEOADD g 13.361389 38.115556 a", &[], &[]),
            (
                "GEOSEARCHSTORE old g FROMMEMBER a BYRADIUS 1 km",
                &["GEOSEARCHSTORE old g FROMMEMBER a BYRADIUS 1 km"],
                &["geosearchstore old"],
            ),
            ("GEORADIUS g 0 0 1 km STORE old", &["GEORADIUS g 0 0 1 km STORE old"], &["del old"]),
            (
                "GEORADIUSBYMEMBER g a 1 km STOREDIST new",
                &["GEORADIUSBYMEMBER g a 1 km STOREDIST new"],
                &["new new", "georadiusstore new"],
            ),
            ("GEORADIUS g 13 38 900 km", &[], &[]),
        ],
    );
}

#[test]
fn changes_are_counted_by_member() {
    let engine = TestEngine::new();
    let mut before = 0;
    for (line, changes) in [
        ("ZADD z 1 a 2 b 3 c 4 d", 4),
        ("ZADD z 1 a 9 b 5 e", 2),
        ("ZREM z a x", 1),
        ("ZPOPMIN z 2", 2),
        ("ZUNIONSTORE to 1 z", 1),
        ("ZREMRANGEBYRANK z 0 -1", 2),
        ("GEOADD g 1 1 a 2 2 b", 2),
        ("GEOSEARCHSTORE to g FROMLONLAT 1 1 BYRADIUS 9999 km", 2),
        ("ZRANGE to 0 -1", 0),
        ("ZADD to NX 1 a", 0),
    ] {
        engine.run(line);
        assert_eq!(engine.dirty() - before, changes, "{line}");
        before = engine.dirty();
    }
}
