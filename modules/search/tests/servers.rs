//! Does the module follow hashes in servers that are not ours, as far as their API lets it?
//!
//! Each test loads the module into every server that [`client::servers`] finds. Without a server the tests pass, saying so.

#[path = "../../sdk/tests/client/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the SDK, which use more of it")]
mod client;

use std::path::{Path, PathBuf};

use client::{Client, Server, servers};

/// The module as Cargo has built it beside this test.
fn module() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    test.parent().map(Path::to_owned).expect("it lies in deps").join("libmortise_search.so")
}

fn with_module(test: impl Fn(&mut Client)) {
    let module = module();
    let module = module.to_str().expect("the target directory is text");
    let found = servers();
    if found.is_empty() {
        eprintln!("skipped: no server found; set MORTISE_TEST_SERVERS");
    }
    for program in found {
        let mut arguments = vec!["--loadmodule", module];
        if program.ends_with("mortise") {
            // It would load the module that lies beside it first.
            arguments.extend(["--default-modules", "no"]);
        }
        let server = Server::start(&program, &arguments);
        let mut client = server.client();
        test(&mut client);
        assert_eq!(client.run("PING"), "+PONG");
    }
}

fn check(client: &mut Client, cases: &[(&str, &str)]) {
    for (command, expected) in cases {
        assert_eq!(client.run(command), *expected, "{command}");
    }
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
