//! Does the module follow hashes in servers that are not ours, as far as their API lets it?
//!
//! Each test loads the module into every server that [`client::servers`] finds. Without a server the tests pass, saying so.

#[path = "../../sdk/tests/client/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the SDK, which use more of it")]
mod client;

use client::{Client, library, with_modules};

fn with_module(test: impl Fn(&mut Client)) {
    with_modules(&[library("mortise_search")], &[], |_, client| test(client));
}

fn check(client: &mut Client, cases: &[(&str, &str)]) {
    for (command, expected) in cases {
        assert_eq!(client.run(command), *expected, "{command}");
    }
}

fn eval(client: &mut Client, script: &str) -> String {
    client.raw(&[b"EVAL", script.as_bytes(), b"0"]).to_string()
}

const CREATE: &str =
    "FT.CREATE idx ON HASH PREFIX 1 h: SCHEMA title TEXT kind TAG n NUMERIC SORTABLE";

#[test]
fn an_index_finds_what_was_there_and_what_comes() {
    with_module(|client| {
        check(client, &[("HSET h:1 title early kind a n 1", ":3"), (CREATE, "+OK")]);
        client.until("FT.SEARCH idx early NOCONTENT", "*[:1 \"h:1\"]");
        check(
            client,
            &[
                ("HSET h:2 title early kind a,b n 2", ":3"),
                ("HSET other title early kind a n 3", ":3"),
                ("FT.SEARCH idx early NOCONTENT SORTBY n DESC", "*[:2 \"h:2\" \"h:1\"]"),
                ("FT.SEARCH idx @kind:{b} RETURN 1 n", "*[:1 \"h:2\" *[\"n\" \"2\"]]"),
                ("FT._LIST", "*[\"idx\"]"),
            ],
        );
    });
}

#[test]
fn changes_of_keys_are_followed() {
    with_module(|client| {
        check(client, &[(CREATE, "+OK")]);
        for number in 1..=5 {
            client.run(&format!("HSET h:{number} title bird n {number}"));
        }
        check(
            client,
            &[
                ("HSET h:1 title fish", ":0"),
                ("DEL h:2", ":1"),
                ("RENAME h:3 gone", "+OK"),
                ("SET h:4 text", "+OK"),
                ("FT.SEARCH idx bird NOCONTENT", "*[:1 \"h:5\"]"),
                ("FT.SEARCH idx fish NOCONTENT", "*[:1 \"h:1\"]"),
                ("PEXPIRE h:5 1", ":1"),
            ],
        );
        client.until("FT.SEARCH idx bird NOCONTENT", "*[:0]");
        check(
            client,
            &[
                ("MULTI", "+OK"),
                ("HSET h:6 title bird", "+QUEUED"),
                ("FT.SEARCH idx bird NOCONTENT", "+QUEUED"),
                ("EXEC", "*[:1 *[:1 \"h:6\"]]"),
            ],
        );
    });
}

#[test]
fn an_index_outlives_the_snapshot_and_ends_with_the_data() {
    with_module(|client| {
        check(
            client,
            &[
                (CREATE, "+OK"),
                ("HSET h:1 title bird kind a n 1", ":3"),
                ("DEBUG RELOAD", "+OK"),
                ("FT._LIST", "*[\"idx\"]"),
            ],
        );
        client.until("FT.SEARCH idx bird NOCONTENT", "*[:1 \"h:1\"]");
        check(
            client,
            &[
                ("FT.ALTER idx SCHEMA ADD extra TEXT", "+OK"),
                ("HSET h:2 extra later", ":1"),
                ("FT.SEARCH idx later NOCONTENT", "*[:1 \"h:2\"]"),
                ("FLUSHALL", "+OK"),
                ("FT._LIST", "*[]"),
            ],
        );
    });
}

#[test]
fn each_database_has_indexes_of_its_own_keys() {
    with_module(|client| {
        check(
            client,
            &[
                ("SELECT 1", "+OK"),
                ("HSET h:1 title one", ":1"),
                ("FT.CREATE other ON HASH PREFIX 1 h: SCHEMA title TEXT", "+OK"),
                ("SELECT 0", "+OK"),
                (CREATE, "+OK"),
                ("HSET h:1 title zero", ":1"),
                ("FT.SEARCH other *", "*[:1 \"h:1\" *[\"title\" \"one\"]]"),
                ("FT.SEARCH idx *", "*[:1 \"h:1\" *[\"title\" \"zero\"]]"),
                ("MOVE h:1 1", ":0"),
                ("HSET h:2 title both", ":1"),
                ("MOVE h:2 1", ":1"),
                ("FT.SEARCH idx both NOCONTENT", "*[:0]"),
                ("FT.SEARCH other both NOCONTENT", "*[:1 \"h:2\"]"),
                ("SWAPDB 0 1", "+OK"),
                ("FT.SEARCH idx * SORTBY title NOCONTENT", "*[:2 \"h:2\" \"h:1\"]"),
                ("FT.SEARCH other *", "*[:1 \"h:1\" *[\"title\" \"zero\"]]"),
                ("DEBUG RELOAD", "+OK"),
                ("FT.SEARCH other *", "*[:1 \"h:1\" *[\"title\" \"zero\"]]"),
                ("FLUSHDB", "+OK"),
                ("FT._LIST", "*[\"other\"]"),
            ],
        );
    });
}

#[test]
fn many_keys_come_in_slices_and_what_is_written_meanwhile_counts() {
    with_module(|client| {
        eval(
            client,
            "for i = 1, 30000 do redis.call('HSET', 'h:' .. i, 'title', 'bird', 'n', i) end",
        );
        check(
            client,
            &[
                (CREATE, "+OK"),
                ("HSET h:29999 title fish", ":0"),
                ("DEL h:30000", ":1"),
                ("FT.ALTER idx SCHEMA ADD extra TAG", "+OK"),
                ("HSET h:29998 extra x", ":1"),
            ],
        );
        client.until("FT.SEARCH idx bird LIMIT 0 0", "*[:29998]");
        check(
            client,
            &[
                ("FT.SEARCH idx fish NOCONTENT", "*[:1 \"h:29999\"]"),
                ("FT.SEARCH idx @extra:{x} NOCONTENT", "*[:1 \"h:29998\"]"),
            ],
        );
        let info = client.run("FT.INFO idx");
        assert!(info.contains("indexing\" :0") || info.contains("+indexing :0"), "{info}");
    });
}

const ROLES: &str = "FT.CREATE idx ON HASH PREFIX 1 h: SCHEMA title TEXT kind TEXT n NUMERIC";

/// Fifty thousand documents: some walks are needed to read them all.
fn many(client: &mut Client) {
    let script = "for i = 1, 50000 do redis.call('HSET', 'h:' .. i, 'title', 'bird', 'kind', 'k' .. i % 10, 'n', i) end";
    eval(client, script);
    check(client, &[(ROLES, "+OK")]);
    client.until("FT.SEARCH idx bird LIMIT 0 0", "*[:50000]");
}

#[test]
fn an_index_that_is_built_anew_answers_in_full_until_the_new_one_does() {
    with_module(|client| {
        many(client);
        check(client, &[("FT.ALTER idx SCHEMA MODIFY kind TAG n TEXT", "+OK")]);
        let info = client.run("FT.INFO idx");
        assert!(info.contains("rebuild"), "{info}");
        check(
            client,
            &[
                ("HSET h:50001 title bird kind k1 n 50001", ":3"),
                ("HSET h:2 kind zebra", ":0"),
                ("DEL h:1", ":1"),
                ("HSET h:1 title fish", ":1"),
                ("DEL h:1", ":1"),
            ],
        );
        let mut old = 0;
        loop {
            // The old schema knows all numbers, the new one none.
            match client.run("FT.SEARCH idx @n:[-inf,inf] LIMIT 0 0").as_str() {
                "*[:50000]" => old += 1,
                "*[:0]" => break,
                part => panic!("an index answers in part: {part}"),
            }
        }
        assert!(old > 0, "nothing was asked in between");
        check(
            client,
            &[
                ("FT.SEARCH idx bird LIMIT 0 0", "*[:50000]"),
                ("FT.SEARCH idx @kind:{k1} LIMIT 0 0", "*[:5000]"),
                ("FT.SEARCH idx @kind:{k2} LIMIT 0 0", "*[:4999]"),
                ("FT.SEARCH idx @kind:{zebra} NOCONTENT", "*[:1 \"h:2\"]"),
                ("FT.SEARCH idx fish LIMIT 0 0", "*[:0]"),
                ("FT.SEARCH idx @n:50001 NOCONTENT", "*[:1 \"h:50001\"]"),
            ],
        );
        let info = client.run("FT.INFO idx");
        assert!(!info.contains("rebuild") && info.contains("num_docs :50000"), "{info}");
    });
}

#[test]
fn a_change_of_the_schema_outlives_a_restart_and_ends_with_its_index() {
    with_module(|client| {
        many(client);
        check(
            client,
            &[
                ("FT.ALTER idx SCHEMA MODIFY kind TAG", "+OK"),
                // The one that is being built is what the next change begins from.
                ("FT.ALTER idx SCHEMA DROP n", "+OK"),
                ("FT.ALTER idx SCHEMA MODIFY n TAG", "-Unknown field: `n`"),
                ("FT.ALTER idx SCHEMA ADD n TAG", "+OK"),
                ("DEBUG RELOAD", "+OK"),
            ],
        );
        client.until("FT.SEARCH idx @kind:{k1} LIMIT 0 0", "*[:5000]");
        check(client, &[("FT.SEARCH idx @n:{50000} NOCONTENT", "*[:1 \"h:50000\"]")]);
        check(
            client,
            &[
                ("FT.ALTER idx SCHEMA DROP kind", "+OK"),
                ("FT.DROPINDEX idx", "+OK"),
                (ROLES, "+OK"),
            ],
        );
        client.until("FT.SEARCH idx @kind:k1 LIMIT 0 0", "*[:5000]");
        check(
            client,
            &[
                ("FT.ALTER idx SCHEMA DROP kind", "+OK"),
                ("FT.DROPINDEX idx DD", "+OK"),
                ("DBSIZE", ":0"),
                ("FT._LIST", "*[]"),
            ],
        );
    });
}

#[test]
fn fields_that_have_expired_are_found_no_more() {
    with_module(|client| {
        check(
            client,
            &[
                ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK"),
                (CREATE, "+OK"),
                ("HSET h:1 title bird n 1", ":2"),
                ("HSET h:2 title bird n 2", ":2"),
            ],
        );
        if client.run("HPEXPIRE h:1 1 FIELDS 1 title").starts_with("-ERR unknown command") {
            return;
        }
        client.until("FT.SEARCH idx bird NOCONTENT", "*[:1 \"h:2\"]");
        check(client, &[("FT.SEARCH idx @n:[1,1] NOCONTENT", "*[:1 \"h:1\"]")]);
    });
}

#[test]
fn cursors_and_facts_are_for_those_who_may_ask_the_index() {
    with_module(|client| {
        check(
            client,
            &[
                (CREATE, "+OK"),
                ("FT.CREATE open ON HASH PREFIX 1 o: SCHEMA title TEXT", "+OK"),
                ("HSET h:1 title bird", ":1"),
                ("HSET h:2 title bird", ":1"),
                ("HSET h:3 title bird", ":1"),
                ("ACL SETUSER all on nopass ~h:* +@all", "+OK"),
                ("ACL SETUSER some on nopass ~o:* +@all", "+OK"),
            ],
        );
        let cursor = |client: &mut Client| {
            let answer = client.run("FT.AGGREGATE idx bird LOAD 1 title WITHCURSOR COUNT 1");
            let id = answer.rsplit(':').next().and_then(|id| id.strip_suffix(']'));
            id.expect("a cursor's number comes last").to_owned()
        };
        let id = cursor(client);
        let refused = "-NOPERM User does not have the required permissions to query the index";
        assert_eq!(client.run("AUTH some x"), "+OK");
        for command in [
            format!("FT.CURSOR READ idx {id}"),
            format!("FT.CURSOR READ open {id}"),
            format!("FT.CURSOR DEL idx {id}"),
            "FT.AGGREGATE idx bird LOAD 1 title".to_owned(),
            "FT.INFO idx".to_owned(),
            "FT.SYNDUMP idx".to_owned(),
            "FT.ALIASLIST idx".to_owned(),
        ] {
            assert_eq!(client.run(&command), refused, "{command}");
        }
        // Whoever may ask the index reads on what another has begun.
        assert_eq!(client.run("AUTH all x"), "+OK");
        let answer = client.run(&format!("FT.CURSOR READ idx {id}"));
        assert!(answer.contains("bird"), "{answer}");
        assert_eq!(client.run(&format!("FT.CURSOR DEL idx {id}")), "+OK");
    });
}

#[test]
fn an_unused_temporary_index_takes_its_documents_along() {
    with_module(|client| {
        check(
            client,
            &[
                ("FT.CREATE tmp ON HASH PREFIX 1 t: TEMPORARY 1 SCHEMA title TEXT", "+OK"),
                ("HSET t:1 title bird", ":1"),
                ("HSET u:1 title bird", ":1"),
            ],
        );
        let left = client.run("FT.DEBUG TTL tmp");
        assert!(left == ":0" || left == ":1", "{left}");
        client.until("FT._LIST", "*[]");
        check(client, &[("EXISTS t:1 u:1", ":1")]);
    });
}

#[test]
fn users_see_an_index_if_they_see_all_of_its_keys() {
    with_module(|client| {
        check(
            client,
            &[
                (CREATE, "+OK"),
                ("HSET h:1 title bird", ":1"),
                ("ACL SETUSER all on nopass ~h:* +@all", "+OK"),
                ("ACL SETUSER some on nopass ~h:1* ~h:? ~x:* +@all", "+OK"),
                ("AUTH all x", "+OK"),
                ("FT.SEARCH idx bird NOCONTENT", "*[:1 \"h:1\"]"),
                ("AUTH some x", "+OK"),
            ],
        );
        let refused = "-NOPERM User does not have the required permissions to query the index";
        check(client, &[("FT.SEARCH idx bird", refused), ("FT.GET idx h:1", refused)]);
    });
}

#[test]
fn long_queries_answer_on_every_server() {
    with_module(|client| {
        check(client, &[(CREATE, "+OK")]);
        eval(
            client,
            "for i = 1, 40000 do redis.call('HSET', 'h:' .. i, 'title', 'bird w' .. i) end",
        );
        check(
            client,
            &[
                ("FT.SEARCH idx *w3999* LIMIT 0 0", "*[:11]"),
                ("FT.SEARCH idx * LIMIT 0 0 TIMEOUT 0", "*[:40000]"),
                ("MULTI", "+OK"),
                ("FT.SEARCH idx *w3999* LIMIT 0 0", "+QUEUED"),
                ("EXEC", "*[*[:11]]"),
            ],
        );
        let script = "return redis.call('FT.SEARCH', 'idx', '*w3999*', 'LIMIT', 0, 0)";
        assert_eq!(eval(client, script), "*[:11]");
    });
}

#[test]
fn keys_are_read_in_many_short_holds_of_the_lock() {
    // A number that INFO shows; servers put different things in front of the name.
    fn fact(client: &mut Client, name: &str) -> u64 {
        let info = client.run("INFO everything");
        let at = info.find(&format!("{name}:")).expect("the module shows it") + name.len() + 1;
        let digits: String = info[at..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("it is a number")
    }
    with_module(|client| {
        check(client, &[("FT.CREATE idx ON HASH PREFIX 1 h: SCHEMA kind TAG n NUMERIC", "+OK")]);
        let fill = "for i = 1, 50000 do redis.call('HSET', 'h:' .. i, 'kind', i % 2, 'n', i) end";
        eval(client, fill);
        let query = "FT.AGGREGATE idx * TIMEOUT 0 GROUPBY 1 @kind REDUCE COUNT 0 AS c";
        let rows = "*[:2 *[\"kind\" \"1\" \"c\" \"25000\"] *[\"kind\" \"0\" \"c\" \"25000\"]]";
        check(client, &[(query, rows)]);
        assert_eq!(fact(client, "loaded_rows"), 50_000);
        let holds = fact(client, "load_holds");
        assert!(holds >= 50_000 / 512, "no hold loads more than 512 rows: {holds}");
        // The rows of a small reply are loaded where the command is.
        let query = "FT.AGGREGATE idx * LOAD 1 @kind LIMIT 0 3";
        let first = "*[:3 *[\"kind\" \"1\"] *[\"kind\" \"0\"] *[\"kind\" \"1\"]]";
        check(client, &[(query, first)]);
        assert_eq!(fact(client, "load_holds"), holds + 1);
        // Where a client cannot wait, all happens at once.
        check(
            client,
            &[
                ("MULTI", "+OK"),
                ("FT.AGGREGATE idx * TIMEOUT 0 GROUPBY 1 @kind REDUCE COUNT 0 AS c", "+QUEUED"),
            ],
        );
        assert_eq!(client.run("EXEC"), format!("*[{rows}]"));
        // A cursor's reads go the same way.
        let read = "local r = redis.call('FT.AGGREGATE', 'idx', '*', 'TIMEOUT', '0', 'LOAD', '1', '@kind', \
                    'WITHCURSOR', 'COUNT', '10') return tostring(r[2])";
        let id = eval(client, read);
        let before = fact(client, "load_holds");
        let rest = client.run(&format!("FT.CURSOR READ idx {} COUNT 40000", id.trim_matches('"')));
        assert!(rest.starts_with("*[*[:"), "{}", &rest[..40.min(rest.len())]);
        assert!(fact(client, "load_holds") >= before + 40_000 / 512);
    });
}

/// Puts in documents that long replies are asked of.
fn fill_for_long_replies(client: &mut Client, count: usize) {
    let create =
        "FT.CREATE idx ON HASH PREFIX 1 h: PAYLOAD_FIELD p SCHEMA title TEXT kind TAG n NUMERIC";
    check(client, &[(create, "+OK")]);
    let script = format!(
        "for i = 1, {count} do redis.call('HSET', 'h:' .. i, 'title', 'a bird in the sky', \
         'kind', 'k' .. i * 7 % 1000, 'n', i, 'p', 'payload' .. i) end return 'filled'"
    );
    assert_eq!(eval(client, &script), "\"filled\"");
}

#[test]
fn long_replies_are_what_they_would_be_in_a_transaction() {
    let queries = [
        "FT.SEARCH idx * NOCONTENT LIMIT 0 5000",
        "FT.SEARCH idx bird WITHSCORES WITHPAYLOADS LIMIT 0 5000",
        "FT.SEARCH idx * SORTBY kind WITHSORTKEYS LIMIT 100 4000 RETURN 2 n kind",
        "FT.SEARCH idx * SORTBY kind LIMIT 0 3",
        "FT.SEARCH idx bird SUMMARIZE FIELDS 1 title HIGHLIGHT LIMIT 0 5000",
        "FT.SEARCH idx bird NOCONTENT WITHSCORES EXPLAINSCORE LIMIT 0 4000",
        "FT.SEARCH idx bird SCORER HAMMING PAYLOAD payload7 LIMIT 0 4000",
        "FT.AGGREGATE idx * APPLY @n*2 AS twice",
        "FT.AGGREGATE idx * LOAD 2 @__key @kind SORTBY 2 @n DESC MAX 5000",
        "FT.AGGREGATE idx * GROUPBY 1 @n REDUCE COUNT 0",
        "FT.AGGREGATE idx * APPLY unknown(@n) AS a",
    ];
    with_module(|client| {
        fill_for_long_replies(client, 5000);
        for protocol in ["2", "3"] {
            // Redis before 6 has only the first.
            if client.run(&format!("HELLO {protocol}")).starts_with('-') {
                continue;
            }
            for query in queries {
                let query = format!("{query} TIMEOUT 0");
                let answer = client.run(&query);
                check(client, &[("MULTI", "+OK"), (&query, "+QUEUED")]);
                assert!(client.run("EXEC") == format!("*[{answer}]"), "{query}");
            }
            // A cursor's number comes behind the rows.
            let first = client.run("FT.AGGREGATE idx * TIMEOUT 0 WITHCURSOR COUNT 4500");
            let id = first.trim_end_matches(']').rsplit(':').next().expect("a number is last");
            let rest = client.run(&format!("FT.CURSOR READ idx {id}"));
            assert!(rest.ends_with(" :0]"), "{}", &rest[rest.len() - 40..]);
            assert!(client.run(&format!("FT.CURSOR READ idx {id}")).starts_with("-"));
        }
    });
}

#[test]
fn what_is_deleted_while_a_reply_is_made_is_left_out() {
    with_modules(&[library("mortise_search")], &[], |server, client| {
        fill_for_long_replies(client, 20_000);
        let mut other = server.client();
        let deleting = std::thread::spawn(move || {
            for number in 1..=5000 {
                assert_eq!(other.run(&format!("DEL h:{number}")), ":1");
            }
        });
        loop {
            let is_over = deleting.is_finished();
            let query = "FT.SEARCH idx * TIMEOUT 0 RETURN 1 n LIMIT 0 100000";
            let words: Vec<&[u8]> = query.split(' ').map(str::as_bytes).collect();
            let client::Answer::Many(_, items) = client.raw(&words) else { panic!("no list") };
            assert_eq!(items[0].to_string(), format!(":{}", items.len() / 2));
            let fields = items[1..].chunks(2).map(|pair| pair[1].to_string());
            fields.for_each(|fields| assert!(fields.starts_with("*[\"n\""), "{fields}"));
            if is_over {
                assert_eq!(items.len(), 1 + 2 * 15_000);
                break;
            }
        }
        deleting.join().expect("all keys were deleted");
    });
}

#[test]
fn several_fields_decide_the_order_one_after_the_other() {
    with_module(|client| {
        check(
            client,
            &[
                (
                    "FT.CREATE idx SCHEMA name TAG SORTABLE n NUMERIC SORTABLE m NUMERIC t TEXT",
                    "+OK",
                ),
                ("HSET a name x n 1 m 3", ":3"),
                ("HSET b name y n 1 m 2", ":3"),
                ("HSET c name x n 2 m 1", ":3"),
                ("HSET d name y n 1 m 2", ":3"),
                ("HSET e name y", ":1"),
                (
                    "FT.SEARCH idx * NOCONTENT SORTBY name SORTBY n DESC",
                    "*[:5 \"c\" \"a\" \"b\" \"d\" \"e\"]",
                ),
                (
                    "FT.SEARCH idx * NOCONTENT SORTBY n SORTBY m LIMIT 1 3",
                    "*[:5 \"d\" \"a\" \"c\"]",
                ),
                (
                    "FT.SEARCH idx * NOCONTENT SORTBY n DESC SORTBY m",
                    "*[:5 \"c\" \"d\" \"b\" \"a\" \"e\"]",
                ),
                ("FT.SEARCH idx * SORTBY n SORTBY t", "-SORTBY of several fields needs SORTABLE"),
            ],
        );
    });
}

#[test]
fn what_is_shown_is_bounded_as_well() {
    with_module(|client| {
        check(client, &[(CREATE, "+OK")]);
        let fill = "for i = 1, 20000 do redis.call('HSET', 'h:'..i, 'title', 'bird song '..i, 'x', i) end \
                    redis.call('HSET', 'h:long', 'title', string.rep('bird ', 20000))";
        eval(client, fill);
        client.until("FT.SEARCH idx @title:(bird) LIMIT 0 0", "*[:20001]");

        // Each value of a key that is sorted by has to be read, which takes longer than a millisecond.
        let over = "-Timeout limit was reached";
        let ends = |reply: String| assert!(reply.starts_with(over) || reply == "*[:0]", "{reply}");
        ends(client.run("FT.SEARCH idx bird SORTBY title NOCONTENT TIMEOUT 1 LIMIT 0 1"));
        let page = client.run("FT.SEARCH idx bird LIMIT 0 20001 TIMEOUT 1");
        assert!(page.matches("\"h:").count() < 20_001, "a part of it is shown");

        let raw = |client: &mut Client, words: &[&str], more: &[String]| {
            let all = words.iter().copied().chain(more.iter().map(String::as_str));
            let all: Vec<&[u8]> = all.map(str::as_bytes).collect();
            client.raw(&all).to_string()
        };
        let search = ["FT.SEARCH", "idx", "@n:[1 2]|bird"];
        let filters: Vec<String> =
            "FILTER n 0 9 ".repeat(50_000).split_whitespace().map(String::from).collect();
        let reply = raw(client, &search, &filters);
        assert!(reply.starts_with("-Too many FILTER"), "{reply}");

        // Ten thousand names for one field, and as many parameters that nobody asks for.
        let mut more: Vec<String> = ["LIMIT", "0", "2", "RETURN", "30000"].map(String::from).into();
        more.extend((0..10_000).flat_map(|at| ["title".into(), "AS".into(), format!("t{at}")]));
        more.extend(["HIGHLIGHT", "PARAMS", "20000"].map(String::from));
        more.extend((0..20_000).map(|at| format!("p{at}")));
        let reply = raw(client, &["FT.SEARCH", "idx", "song", "TIMEOUT", "0"], &more);
        assert_eq!(
            reply.matches("<b>song</b>").count(),
            20_000,
            "two documents, ten thousand times"
        );

        // A long tag around each of many words.
        let tags = ["HIGHLIGHT", "TAGS"].map(String::from).into_iter();
        let tags: Vec<String> = tags.chain([1, 2].map(|_| "<".repeat(4 << 10))).collect();
        let reply = raw(client, &["FT.SEARCH", "idx", "bird", "INKEYS", "1", "h:long"], &tags);
        assert!(reply.starts_with("-HIGHLIGHT and SUMMARIZE would add more"), "{}", reply.len());

        // Words that are compared with all of the dictionary, far too many of them.
        let words: Vec<String> = (0..20_000).map(|at| format!("unknown{at}")).collect();
        let query = words.join(" ");
        let reply = raw(client, &["FT.SPELLCHECK", "idx", &query, "DISTANCE", "4"], &[]);
        assert!(reply.starts_with(over), "{}", &reply[..reply.len().min(100)]);
    });
}
