//! Do the functions that work on keys answer in our server as C modules expect, and as they do in Redis?
//!
//! `examples/keys.rs` is loaded into our server, if it has been built, and into `redis-server`, if that is installed;
//! `MORTISE_TEST_SERVERS` names others instead. Without a server the tests pass, saying so.

#[path = "../../sdk/tests/client/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the SDK, which use more of it")]
mod client;

use client::{Client, Server, check, example, in_each, only_ours, with_modules};

/// In our server and in Redis.
fn everywhere(test: impl Fn(&Server, &mut Client)) {
    with_modules(&[example("keys")], &[], test);
}

/// In our server alone: what 7.0 does not have, or leaves open.
fn in_ours(test: impl Fn(&Server, &mut Client)) {
    in_each(only_ours(), &[example("keys")], &[], test);
}

/// Runs steps on one handle of a key; their answers, one after the other.
fn steps(client: &mut Client, key: &str, modes: &str, steps: &[(&str, &str)]) {
    let line: Vec<&str> = steps.iter().map(|(step, _)| *step).collect();
    let expected: Vec<String> = steps.iter().map(|(_, answer)| format!("\"{answer}\"")).collect();
    let line = format!("abi.key {key} {modes} {}", line.join(" / "));
    assert_eq!(client.run(&line), format!("*[{}]", expected.join(" ")), "{line}");
}

#[test]
fn lists_are_edited_by_index_and_go_with_their_last_element() {
    everywhere(|_, client| {
        steps(
            client,
            "l",
            "rw",
            &[
                ("get 0", "null ENOTSUP"),
                ("pop head", "null ENOTSUP"),
                ("insert 0 b", "OK"),
                ("push head a", "OK"),
                ("push tail 42", "OK"),
                ("insert 1 x", "OK"),
                ("insert -2 y", "OK"),
                ("insert 5 end", "OK"),
                ("insert -7 start", "OK"),
                ("insert 9 z", "ERR EDOM"),
                ("len", "7"),
                ("get 5", "42"),
                ("get -7", "start"),
                ("get 7", "null EDOM"),
                ("get -8", "null EDOM"),
                ("set 1 A", "OK"),
                ("set 7 A", "ERR EDOM"),
                ("set 0", "ERR EINVAL"),
                ("push tail", "ERR EINVAL"),
            ],
        );
        check(client, &[("LRANGE l 0 -1", "*[\"start\" \"A\" \"x\" \"b\" \"y\" \"42\" \"end\"]")]);
        steps(
            client,
            "l",
            "rw",
            &[
                ("delete 1", "OK"),
                ("delete -1", "OK"),
                ("delete 5", "ERR EDOM"),
                ("pop head", "start"),
                ("pop tail", "42"),
                ("pop tail", "y"),
                ("pop tail", "b"),
                ("type", "2"),
                ("pop tail", "x"),
                ("type", "0"),
                ("delete 0", "ERR ENOTSUP"),
            ],
        );
        check(client, &[("EXISTS l", ":0"), ("RPUSH l a", ":1"), ("SET s x", "+OK")]);
        // Each function wants the mode that it is for.
        let refused = [
            ("push tail b", "ERR EBADF"),
            ("pop tail", "null EBADF"),
            ("set 0 b", "ERR EBADF"),
            ("insert 0 b", "ERR EBADF"),
            ("delete 0", "ERR EBADF"),
            ("get 0", "a"),
        ];
        steps(client, "l", "r", &refused);
        steps(client, "l", "w", &[("get 0", "null EBADF"), ("set 0 b", "OK")]);
        let other = [("push tail b", "ERR ENOTSUP"), ("get 0", "null ENOTSUP"), ("len", "1")];
        steps(client, "s", "rw", &other);
    });
}

#[test]
fn long_lists_are_edited_like_short_ones() {
    everywhere(|_, client| {
        check(client, &[("CONFIG SET list-max-listpack-size 2", "+OK")]);
        for number in 0..100 {
            client.run(&format!("RPUSH l {number}"));
        }
        steps(
            client,
            "l",
            "rw",
            &[
                ("get 50", "50"),
                ("insert 50 new", "OK"),
                ("insert -50 other", "OK"),
                ("get 50", "new"),
                ("get 51", "50"),
                ("get -50", "other"),
                ("delete 50", "OK"),
                ("set 50 fifty", "OK"),
                ("len", "101"),
            ],
        );
        check(client, &[("LRANGE l 48 53", "*[\"48\" \"49\" \"fifty\" \"other\" \"51\" \"52\"]")]);
    });
}

/// Has another client wait for a key, and then a module write to it.
fn wait_and_step(server: &Server, client: &mut Client, wait: &[&[u8]], step: &str) -> String {
    let mut waiting = server.client();
    waiting.send(wait);
    while !client.run("INFO clients").contains("blocked_clients:1") {
        std::thread::yield_now();
    }
    client.run(step);
    waiting.receive().to_string()
}

#[test]
fn a_client_that_waits_gets_what_a_module_adds() {
    everywhere(|server, client| {
        let push = "abi.key l rw push tail x";
        let got = wait_and_step(server, client, &[b"BLPOP", b"l", b"0"], push);
        assert_eq!(got, "*[\"l\" \"x\"]");
        let add = "abi.key z rw zadd 1.5 m 0";
        let got = wait_and_step(server, client, &[b"BZPOPMIN", b"z", b"0"], add);
        assert_eq!(got, "*[\"z\" \"m\" \"1.5\"]");
        client.run("XADD s 1-1 a b");
        let read: &[&[u8]] = &[b"XREAD", b"BLOCK", b"0", b"STREAMS", b"s", b"$"];
        let got = wait_and_step(server, client, read, "abi.key s rw xadd 2-1 c d");
        assert_eq!(got, "*[*[\"s\" *[*[\"2-1\" *[\"c\" \"d\"]]]]]");
    });
}

#[test]
fn scores_are_given_under_conditions() {
    // In and out: XX 1, NX 2, ADDED 4, UPDATED 8, NOP 16, GT 32, LT 64.
    everywhere(|_, client| {
        steps(
            client,
            "z",
            "rw",
            &[
                ("zrem a", "0 0"),
                ("zscore a", "1 NaN"),
                ("zadd 1 a 0", "0 4"),
                ("zadd 1 a 0", "0 0"),
                ("zadd 2 a 0", "0 8"),
                ("zadd 3 a 2", "0 16"),
                ("zadd 3 b 1", "0 16"),
                ("zadd 1 a 32", "0 16"),
                ("zadd 3 a 32", "0 8"),
                ("zadd 4 a 64", "0 16"),
                ("zadd 2 a 65", "0 8"),
                ("zadd 9 c 32", "0 4"),
                ("zadd nan a 0", "1 0"),
                ("zincr 1.5 a 0", "0 8 3.5"),
                ("zincr 1 n 0", "0 4 1"),
                ("zincr -1 a 32", "0 16 NaN"),
                ("zincr 1 a 2", "0 16 NaN"),
                ("zincr inf i 0", "0 4 inf"),
                ("zincr -inf i 0", "1 0 NaN"),
                ("zscore a", "0 3.5"),
                ("len", "4"),
                ("zrem i", "0 1"),
                ("zrem i", "0 0"),
            ],
        );
        check(client, &[("ZRANGE z 0 -1 WITHSCORES", "*[\"n\" \"1\" \"a\" \"3.5\" \"c\" \"9\"]")]);
        steps(
            client,
            "z",
            "rw",
            &[("zrem n", "0 1"), ("zrem a", "0 1"), ("zrem c", "0 1"), ("type", "0")],
        );
        check(client, &[("EXISTS z", ":0"), ("ZADD z 1 a", ":1"), ("SET s x", "+OK")]);
        steps(client, "z", "r", &[("zadd 2 a 0", "1 0"), ("zrem a", "1 0"), ("zscore a", "0 1")]);
        steps(
            client,
            "s",
            "rw",
            &[("zadd 2 a 0", "1 0"), ("zrem a", "1 0"), ("zfirst 0 1 0 0", "1")],
        );
    });
}

#[test]
fn members_are_walked_between_scores() {
    for limit in ["128", "1"] {
        everywhere(|_, client| {
            client.run(&format!("CONFIG SET zset-max-listpack-entries {limit}"));
            check(client, &[("ZADD z 1 a 2 b 2 c 3 d 4 5", ":5")]);
            steps(
                client,
                "z",
                "r",
                &[
                    ("zend", "1"),
                    ("znext", "0"),
                    ("zcur", "null"),
                    ("zfirst 1 3 1 0", "0"),
                    ("zend", "0"),
                    ("zcur", "b 2"),
                    ("znext", "1"),
                    ("zcur", "c 2"),
                    ("znext", "1"),
                    ("znext", "0"),
                    ("zend", "1"),
                    ("zcur", "d 3"),
                    ("zprev", "1"),
                    ("zcur", "c 2"),
                    ("zend", "1"),
                    ("zlast 1 4 0 1", "0"),
                    ("zcur", "d 3"),
                    ("zprev", "1"),
                    ("zprev", "1"),
                    ("zprev", "1"),
                    ("zcur", "a 1"),
                    ("zprev", "0"),
                    ("zend", "1"),
                    ("zfirst -inf inf 0 0", "0"),
                    ("zcur", "a 1"),
                    ("zlast -inf inf 0 0", "0"),
                    ("zcur", "5 4"),
                    ("zfirst 5 9 0 0", "0"),
                    ("zend", "1"),
                    ("zcur", "null"),
                    ("zlast 3 1 0 0", "0"),
                    ("zend", "1"),
                    ("zlast 1 1 0 0", "0"),
                    ("zstop", "stopped"),
                    ("zend", "1"),
                    ("zcur", "null"),
                    ("zprev", "0"),
                ],
            );
        });
    }
}

#[test]
fn members_are_walked_between_members() {
    for limit in ["128", "1"] {
        everywhere(|_, client| {
            client.run(&format!("CONFIG SET zset-max-listpack-entries {limit}"));
            check(client, &[("ZADD z 0 a 0 b 0 c 0 d", ":4")]);
            steps(
                client,
                "z",
                "r",
                &[
                    ("lexfirst (a [c", "0"),
                    ("zcur", "b 0"),
                    ("znext", "1"),
                    ("zcur", "c 0"),
                    ("znext", "0"),
                    ("zend", "1"),
                    ("lexlast - (d", "0"),
                    ("zcur", "c 0"),
                    ("zprev", "1"),
                    ("zprev", "1"),
                    ("zcur", "a 0"),
                    ("zprev", "0"),
                    ("lexlast - +", "0"),
                    ("zcur", "d 0"),
                    ("lexfirst + -", "0"),
                    ("zcur", "null"),
                    ("lexfirst a [c", "1"),
                    ("znext", "0"),
                    ("zcur", "null"),
                ],
            );
        });
    }
}

#[test]
fn a_walk_goes_on_from_a_member_that_is_gone() {
    // Redis leaves open what happens then.
    in_ours(|_, client| {
        check(client, &[("ZADD z 1 a 2 b 3 c 4 d", ":4")]);
        steps(
            client,
            "z",
            "rw",
            &[
                ("zfirst 1 4 0 0", "0"),
                ("znext", "1"),
                ("zrem b", "0 1"),
                ("zadd 2.5 new 0", "0 4"),
                ("znext", "1"),
                ("zcur", "new 2.5"),
                ("zrem new", "0 1"),
                ("zprev", "1"),
                ("zcur", "a 1"),
                ("zrem a", "0 1"),
                ("zrem c", "0 1"),
                ("zrem d", "0 1"),
                ("znext", "0"),
                ("zend", "1"),
            ],
        );
    });
}

#[test]
fn entries_are_added_deleted_and_trimmed() {
    everywhere(|_, client| {
        steps(
            client,
            "s",
            "rw",
            &[
                ("xdel 1-1", "ERR ENOTSUP"),
                ("xtrimlen 0 1", "ERR ENOTSUP"),
                ("xadd 0-0 a b", "ERR EDOM 0-0"),
                ("type", "0"),
                ("xadd 1-1 a b", "OK 1-1"),
                ("xadd 1-1 a b", "ERR EDOM 1-1"),
                ("xadd 1-2 c d e f", "OK 1-2"),
                ("xadd 2-1 g 1", "OK 2-1"),
                ("xadd 3-1 h i", "OK 3-1"),
                ("xdel 1-2", "OK"),
                ("xdel 1-2", "ERR ENOENT"),
                ("xdel", "ERR EINVAL"),
                ("xtrimlen 2 1", "ERR EINVAL"),
                ("xtrimlen 0 -1", "ERR EINVAL"),
                ("xtrimid 0 -", "ERR EINVAL"),
                ("xtrimid 0 2-0", "1"),
                ("xtrimlen 1 1", "0"),
                ("xtrimlen 0 1", "1"),
                ("len", "1"),
                ("xtrimlen 0 0", "1"),
                ("type", "7"),
                ("len", "0"),
                ("xadd *", "OK"),
                (
                    "xadd 18446744073709551615-18446744073709551615 a b",
                    "OK 18446744073709551615-18446744073709551615",
                ),
                ("xadd * a b", "ERR EFBIG"),
            ],
        );
        steps(
            client,
            "s",
            "r",
            &[
                ("xadd * a b", "ERR EBADF"),
                ("xdel 1-1", "ERR EBADF"),
                ("xtrimlen 0 0", "ERR EBADF"),
                ("xdelcur", "ERR EBADF"),
            ],
        );
        check(client, &[("SET t x", "+OK")]);
        let other = [
            ("xadd 1-1 a b", "ERR ENOTSUP 1-1"),
            ("xstart 0 - -", "ERR ENOTSUP"),
            ("xtrimid 0 1-1", "ERR ENOTSUP"),
        ];
        steps(client, "t", "rw", &other);
    });
}

/// The steps that go to an entry and read its field, as Redis wants it before the next entry.
fn visit(id: &str) -> [(&str, &str); 2] {
    [("xnext", id), ("xfield", "n x")]
}

fn add_five_entries(client: &mut Client) {
    check(client, &[("CONFIG SET stream-node-max-entries 2", "+OK")]);
    for number in 1..=5 {
        client.run(&format!("XADD s {number}-0 n x"));
    }
}

#[test]
fn entries_are_walked_either_way() {
    const LAST: &str = "18446744073709551615-18446744073709551615";
    everywhere(|_, client| {
        add_five_entries(client);
        let from_last = format!("xstart 1 {LAST} -");
        let mut walk = vec![
            ("xnext", "ERR EBADF"),
            ("xfield", "ERR EBADF"),
            ("xstop", "ERR EBADF"),
            ("xstart 4 - -", "ERR EINVAL"),
            ("xstart 0 2-0 4-0", "OK"),
            ("xstart 0 2-0 4-0", "ERR EBADF"),
            ("xdel 5-0", "ERR EBADF"),
            ("xfield", "ERR ENOENT"),
            ("xdelcur", "ERR ENOENT"),
        ];
        walk.extend(visit("2-0 1"));
        walk.push(("xfield", "ERR ENOENT"));
        walk.extend(visit("3-0 1"));
        walk.extend([("xdelcur", "OK"), ("xdelcur", "ERR ENOENT"), ("xfield", "ERR ENOENT")]);
        walk.extend(visit("4-0 1"));
        walk.extend([("xnext", "ERR ENOENT"), ("xstop", "OK"), ("xstart 2 - -", "OK")]);
        walk.extend(["5-0 1", "4-0 1", "2-0 1", "1-0 1"].into_iter().flat_map(visit));
        walk.extend([("xnext", "ERR ENOENT"), ("xstop", "OK"), ("xstart 1 1-0 5-0", "OK")]);
        walk.extend(["2-0 1", "4-0 1"].into_iter().flat_map(visit));
        walk.extend([
            ("xnext", "ERR ENOENT"),
            ("xstop", "OK"),
            ("xstart 1 - 0-0", "ERR EDOM"),
            (&from_last, "ERR EDOM"),
            ("xstart 0 3-0 2-0", "OK"),
            ("xnext", "ERR ENOENT"),
        ]);
        steps(client, "s", "rw", &walk);
        check(client, &[("XLEN s", ":4")]);
    });
}

#[test]
fn entries_are_deleted_on_the_way_until_none_is_left() {
    everywhere(|_, client| {
        for flags in ["0", "2"] {
            client.run("DEL s");
            add_five_entries(client);
            let start = format!("xstart {flags} - -");
            let mut entries = ["1-0 1", "2-0 1", "3-0 1", "4-0 1", "5-0 1"];
            if flags == "2" {
                entries.reverse();
            }
            let mut walk = vec![(&*start, "OK")];
            for entry in entries {
                walk.extend(visit(entry));
                walk.push(("xdelcur", "OK"));
            }
            walk.extend([("xnext", "ERR ENOENT"), ("len", "0"), ("xstop", "OK")]);
            walk.push(("xadd 6-0 a b", "OK 6-0"));
            steps(client, "s", "rw", &walk);
        }
    });
}

#[test]
fn fields_may_be_left_unread() {
    // Redis goes astray then.
    in_ours(|_, client| {
        add_five_entries(client);
        let walk = [
            ("xstart 0 - -", "OK"),
            ("xnext", "1-0 1"),
            ("xnext", "2-0 1"),
            ("xdelcur", "OK"),
            ("xnext", "3-0 1"),
            ("xfield", "n x"),
        ];
        steps(client, "s", "rw", &walk);
    });
}

#[test]
fn fields_are_set_under_conditions_and_counted() {
    // NX 1, XX 2, CFIELDS 4, COUNT_ALL 16.
    everywhere(|_, client| {
        steps(
            client,
            "h",
            "rw",
            &[
                ("hset 2 f v", "0 ENOENT"),
                ("hset 0 f !", "0 ENOENT"),
                ("type", "0"),
                ("hset 0 f v", "0 ENOENT"),
                ("hset 0 f w", "1 none"),
                ("hset 16 g x", "1 none"),
                ("hset 1 f y", "0 ENOENT"),
                ("hset 17 n y", "1 none"),
                ("hset 2 n z", "1 none"),
                ("hset 4 c 1", "0 ENOENT"),
                ("hset 8 c 1", "0 EINVAL"),
                ("hget 0 f", "0 w"),
                ("hget 4 c", "0 1"),
                ("hget 0 none", "0 null"),
                ("hhas 0 f", "0 1"),
                ("hhas 4 none", "0 0"),
                ("hset 0 none !", "0 ENOENT"),
                ("hset 1 f !", "0 ENOENT"),
                ("hset 0 f !", "1 none"),
                ("hset 0 g !", "1 none"),
                ("hset 2 n !", "1 none"),
                ("hset 4 c !", "1 none"),
                ("type", "0"),
            ],
        );
        check(client, &[("EXISTS h", ":0"), ("HSET h f v", ":1"), ("SET s x", "+OK")]);
        steps(client, "h", "r", &[("hset 0 f w", "0 EBADF"), ("hget 0 f", "0 v")]);
        steps(client, "s", "rw", &[("hset 0 f w", "0 ENOTSUP"), ("hget 0 f", "1 null")]);
    });
}

#[test]
fn fields_tell_when_they_expire() {
    for limit in ["128", "1"] {
        in_ours(|_, client| {
            client.run(&format!("CONFIG SET hash-max-listpack-entries {limit}"));
            check(client, &[("HSET h a 1 b 2 c 3", ":3")]);
            steps(client, "h", "r", &[("hminexpire", "-1"), ("hexpires 0 a", "0 -1")]);
            client.run("HPEXPIREAT h 70000000000000 FIELDS 1 a");
            client.run("HPEXPIREAT h 60000000000000 FIELDS 1 b");
            let told = [
                ("hminexpire", "60000000000000"),
                ("hexpires 0 a", "0 70000000000000"),
                ("hexpires 4 b", "0 60000000000000"),
                ("hexpires 0 c", "0 -1"),
                ("hexpires 0 none", "0 -1"),
            ];
            steps(client, "h", "r", &told);
            client.run("HPERSIST h FIELDS 1 b");
            steps(client, "h", "r", &[("hminexpire", "70000000000000")]);
            check(client, &[("SET s x", "+OK")]);
            steps(client, "s", "r", &[("hminexpire", "-1")]);
        });
    }
}

#[test]
fn elements_of_collections_are_scanned() {
    for limit in ["128", "2"] {
        everywhere(|_, client| {
            for parameter in ["hash-max-listpack-entries", "zset-max-listpack-entries"] {
                client.run(&format!("CONFIG SET {parameter} {limit}"));
            }
            client.run(&format!("CONFIG SET set-max-intset-entries {limit}"));
            client.run("HSET h a 1 b x c 3");
            client.run("ZADD z 1 a 2.5 b 3 c");
            client.run("SADD n 1 2 3");
            client.run("RPUSH l a");
            // After the last step there is nothing, and `errno` says so.
            let scans = [
                ("h", "a=1,b=x,c=3 none 0 ENOENT"),
                ("z", "a=1,b=2.5,c=3 none 0 ENOENT"),
                ("n", "1=null,2=null,3=null none 0 ENOENT"),
                ("l", " EINVAL 0 EINVAL"),
            ];
            for (key, expected) in scans {
                steps(client, key, "r", &[("scan", expected)]);
            }
            steps(client, "none", "rw", &[("scan", " EINVAL 0 EINVAL")]);
        });
    }
}

#[test]
fn scores_are_shown_as_exactly_as_they_are_stored() {
    in_ours(|_, client| {
        check(client, &[("ZADD z 0.1 a", ":1")]);
        steps(client, "z", "r", &[("scan", "a=0.1 none 0 ENOENT")]);
        check(client, &[("CONFIG SET zset-max-listpack-entries 1", "+OK"), ("ZADD z 3 b", ":1")]);
        steps(client, "z", "r", &[("scan", "a=0.10000000000000001,b=3 none 0 ENOENT")]);
    });
}

#[test]
fn accesses_are_told_and_set_as_the_policy_counts_them() {
    everywhere(|_, client| {
        check(client, &[("CONFIG SET maxmemory-policy allkeys-lru", "+OK"), ("SET s x", "+OK")]);
        steps(
            client,
            "s",
            "rw",
            &[
                ("setlru 100000", "0"),
                ("getlru", "0 100000"),
                ("setlru -1", "1"),
                ("getlfu", "0 -1"),
                ("setlfu 100", "1"),
            ],
        );
        assert!(
            ["100", "101"]
                .map(|seconds| format!(":{seconds}"))
                .contains(&client.run("OBJECT IDLETIME s"))
        );
        steps(client, "none", "rw", &[("setlru 1", "1"), ("getlru", "1 -1"), ("getlfu", "1 -1")]);
        check(client, &[("CONFIG SET maxmemory-policy allkeys-lfu", "+OK")]);
        steps(
            client,
            "s",
            "rw",
            &[
                ("setlfu 100", "0"),
                ("getlfu", "0 100"),
                ("setlfu -1", "1"),
                ("getlru", "0 -1"),
                ("setlru 1", "1"),
            ],
        );
    });
}

#[test]
fn nothing_is_moved_without_a_handle() {
    in_ours(|_, client| {
        check(
            client,
            &[("abi.defrag", "*[\"0 0 0\" \"null\" \"8\" \"null null 1\" \"1 1 1\" \"null -1\"]")],
        );
    });
}

/// What the callbacks of the module's type were told since the last question.
fn told(client: &mut Client) -> String {
    client.run("abi.told")
}

#[test]
fn a_type_is_told_of_what_becomes_of_its_values() {
    // 7.0 does not know the last of the callbacks, but all of these.
    everywhere(|_, client| {
        check(client, &[("abi.put a 1 x", "+OK"), ("abi.put b 1 y", "+OK"), ("SELECT 3", "+OK")]);
        check(client, &[("abi.put c 1 z", "+OK")]);
        assert_eq!(told(client), "*[]");
        // A value that is written over, one deleted, one copied, one asked for its size.
        check(client, &[("SET c string", "+OK")]);
        assert_eq!(told(client), "*[\"unlink2 c 3\" \"free z here\"]");
        check(client, &[("SELECT 0", "+OK"), ("DEL a", ":1")]);
        assert_eq!(told(client), "*[\"unlink2 a 0\" \"free x here\"]");
        check(client, &[("COPY b d DB 2", ":1")]);
        assert_eq!(told(client), "*[\"copy2 b 0 d 2\"]");
        client.run("MEMORY USAGE b SAMPLES 7");
        assert_eq!(told(client), "*[\"mem_usage2 b 0 7\"]");
        check(client, &[("abi.put b 1 new", "+OK")]);
        assert_eq!(told(client), "*[\"unlink2 b 0\" \"free y here\"]");
        check(client, &[("PEXPIRE b 1", ":1")]);
        while client.run("EXISTS b") == ":1" {
            std::thread::yield_now();
        }
        let mut all = String::new();
        while !all.contains("free new here") {
            all = client.run("abi.told keep");
        }
        assert_eq!(told(client), "*[\"unlink2 b 0\" \"free new here\"]");
    });
}

#[test]
fn copies_fail_for_different_reasons() {
    everywhere(|_, client| {
        check(client, &[("abi.put a 1 no", "+OK")]);
        assert_eq!(client.run("COPY a b"), "-ERR module key failed to copy");
        check(client, &[("EXISTS b", ":0"), ("abi.plain p", "+OK")]);
        assert_eq!(client.run("COPY p b"), "-ERR not supported for this module key");
    });
}

#[test]
fn what_is_much_work_to_free_is_freed_elsewhere_when_asked() {
    everywhere(|_, client| {
        for (effort, place) in [("64", "here"), ("65", "elsewhere"), ("0", "elsewhere")] {
            check(client, &[(&format!("abi.put k {effort} x"), "+OK"), ("UNLINK k", ":1")]);
            let first = ["unlink2 k 0", "free_effort2 k 0"].map(|line| format!("\"{line}\""));
            let all = format!("*[{} {} \"free x {place}\"]", first[0], first[1]);
            client.until("abi.told keep", &all);
            told(client);
            // Without being asked it is freed at once.
            check(client, &[(&format!("abi.put k {effort} x"), "+OK"), ("DEL k", ":1")]);
            assert_eq!(told(client), "*[\"unlink2 k 0\" \"free x here\"]");
        }
    });
}
