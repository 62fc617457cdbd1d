//! Does our server do for a module without an SDK what the ABI says, and what does it say of one that breaks it?
//!
//! The tests load `examples/bare.rs` into the server that was built beside them, and into those of
//! `MORTISE_TEST_SERVERS` that are ours: the module needs functions of Redis 8. Without one they pass, saying so.

#[allow(dead_code, reason = "other packages' tests use the rest")]
#[path = "../../sdk/tests/client/mod.rs"]
mod client;

use client::{Client, Server, check, example, only_ours};

/// Runs a test in our server with the module loaded.
fn with_bare(arguments: &[&str], test: impl Fn(&mut Server, &mut Client)) {
    let bare = example("bare");
    let bare = bare.to_str().expect("the target directory is text");
    for program in only_ours() {
        let arguments: Vec<&str> =
            ["--loadmodule", bare].iter().chain(arguments).copied().collect();
        let mut server = Server::start(&program, &arguments);
        let mut client = server.client();
        test(&mut server, &mut client);
    }
}

#[test]
fn a_broken_module_is_named_in_the_log() {
    let command = "inside module 'bare' (version 3), in command 'bare.break'";
    let cases: &[(&str, &[&str])] = &[
        ("bare.break memory", &["signal 11 (SIGSEGV)", "accessing address 0x8", command]),
        ("bare.break missing", &["at instruction 0x0", "RedisModule_NoSuchFunction", command]),
        (
            "bare.break thread",
            &[
                "signal 11 (SIGSEGV)",
                "(bare + 0x",
                "inside module 'bare' (version 3), in a thread of its own",
            ],
        ),
        ("bare.break abort", &["signal 6 (SIGABRT)", command]),
        (
            "bare.later abort",
            &["inside module 'bare' (version 3), in reply callback of 'bare.later'"],
        ),
        ("bare.break assert", &["ASSERTION FAILED", "'never' is not true", command]),
        ("bare.break 8", &["signal 8 (SIGFPE)", command]),
        ("bare.break 4", &["signal 4 (SIGILL)", command]),
        ("bare.break 7", &["signal 7 (SIGBUS)", command]),
        (
            "bare.nested",
            &[command, "called from module 'bare' (version 3), in command 'bare.nested'"],
        ),
    ];
    for (broken, expected) in cases {
        with_bare(&[], |server, client| {
            client.send(&broken.split(' ').map(str::as_bytes).collect::<Vec<_>>());
            assert!(!server.wait(), "{broken} ends the process badly");
            let log = server.log();
            for text in *expected {
                assert!(log.contains(text), "{broken}: no {text} in\n{log}");
            }
            assert!(log.contains("MORTISE BUG REPORT END"), "{log}");
        });
    }
}

#[test]
fn a_module_that_breaks_while_it_loads_is_named_as_well() {
    let bare = example("bare");
    let bare = bare.to_str().expect("the target directory is text");
    for program in only_ours() {
        let mut server = Server::spawn(&program, &["--loadmodule", bare, "early"]);
        assert!(!server.wait());
        let log = server.log();
        assert!(log.contains("inside module 'bare' (version 3), in OnLoad"), "{log}");
    }
}

#[test]
fn filters_change_commands_from_wherever_they_come() {
    with_bare(&[], |_, client| {
        let id = client.run("CLIENT ID");
        check(
            client,
            &[
                ("ECHO @one", "\"@one\""),
                ("bare.filter on", ":1"),
                ("ECHO @one", "\"two\""),
                ("RPUSH list @gone a @more", ":3"),
                ("LRANGE list 0 -1", "*[\"a\" \"@more\" \"still more\"]"),
                ("@gone", "-ERR unknown command '', with args beginning with: "),
                ("EVAL return(redis.call('ECHO','@one')) 0", "\"two\""),
                // What a read-only script calls goes by them: it may run beside readers.
                ("EVAL_RO return(redis.call('ECHO','@one')) 0", "\"@one\""),
                ("EVAL_RO return(ARGV[1]) 0 @one", "\"two\""),
                ("bare.echo", "\"two\""),
                ("MULTI", "+OK"),
                ("ECHO @one", "+QUEUED"),
                ("EXEC", "*[\"two\"]"),
            ],
        );
        assert_eq!(client.run("ECHO @client"), format!("\"{}\"", &id[1..]));
        assert_ne!(client.run("EVAL return(redis.call('ECHO','@client')) 0"), "\"0\"");
        check(client, &[("bare.filter off", ":0"), ("ECHO @one", "\"@one\"")]);
        check(client, &[("bare.filter off", ":1"), ("bare.filter noself", ":1")]);
        check(client, &[("ECHO @one", "\"two\""), ("bare.echo", "\"@one\"")]);
    });
}

#[test]
fn a_command_that_a_pause_holds_back_is_filtered_once() {
    with_bare(&[], |server, client| {
        check(client, &[("bare.filter on", ":1"), ("CLIENT PAUSE 100000 WRITE", "+OK")]);
        let mut writer = server.client();
        writer.send(&[b"RPUSH", b"held", b"@more"]);
        while !client.run("INFO clients").contains("blocked_clients:1") {
            std::thread::yield_now();
        }
        assert_eq!(client.run("CLIENT UNPAUSE"), "+OK");
        assert_eq!(writer.receive().to_string(), ":2");
    });
}

#[test]
fn descriptors_and_one_shots_are_served() {
    with_bare(&[], |_, client| {
        assert_eq!(client.run("bare.watch hello"), "+OK");
        client.until("GET bare:read", "\"hello1\"");
        assert_eq!(client.run("bare.once"), "+OK");
        client.until("GET bare:once", "\"done\"");
        let turns = |client: &mut Client| {
            let shown = client.run("bare.turns");
            let numbers = shown.trim_start_matches("*[:").trim_end_matches(']').to_owned();
            let (before, after) = numbers.split_once(" :").expect("two numbers");
            assert_eq!(before, after);
            before.parse::<u64>().expect("a number")
        };
        let first = turns(client);
        assert!(turns(client) > first);
    });
}

#[test]
fn children_save_and_tell_how_they_end() {
    with_bare(&[], |server, client| {
        check(client, &[("SET k before", "+OK"), ("bare.fork 3 200000 child.rdb", "+OK")]);
        check(client, &[("SET k after", "+OK"), ("bare.fork 1 1", ":17")]);
        assert!(client.run("INFO persistence").contains("module_fork_in_progress:1"));
        client.until("bare.child", ":7000003");
        assert!(client.run("INFO persistence").contains("module_fork_in_progress:0"));
        check(client, &[("bare.rdb load child.rdb", "+OK"), ("GET k", "\"before\"")]);
        check(client, &[("bare.fork 3 100000000", "+OK"), ("bare.child kill", ":0")]);
        check(client, &[("bare.child kill", ":1"), ("bare.child", ":-1")]);
        assert!(server.log().contains("Received SIGUSR1 in child, exiting now."));
    });
}

#[test]
fn the_data_set_goes_to_files_and_comes_back() {
    with_bare(&[], |_, client| {
        check(
            client,
            &[
                ("SET k 1", "+OK"),
                ("bare.rdb save own.rdb", "+OK"),
                ("bare.rdb save own.rdb 1", ":22"),
                ("bare.rdb save no/such/folder.rdb", ":2"),
                ("bare.rdb load none.rdb", ":2"),
                ("SET k 2", "+OK"),
                ("SET other 2", "+OK"),
                ("bare.rdb load own.rdb", "+OK"),
                ("GET k", "\"1\""),
                ("EXISTS other", ":0"),
                ("REPLICAOF 127.0.0.1 1", "+OK"),
                ("bare.rdb load own.rdb", ":95"),
                ("bare.rdb save own.rdb", "+OK"),
                ("REPLICAOF NO ONE", "+OK"),
            ],
        );
    });
}

#[test]
fn messages_go_to_both_kinds_of_channels() {
    with_bare(&[], |server, client| {
        let mut listener = server.client();
        listener.run("SUBSCRIBE news");
        listener.run("SSUBSCRIBE news");
        assert_eq!(client.run("bare.publish news hello"), ":11");
        assert_eq!(listener.receive().to_string(), "*[\"message\" \"news\" \"hello\"]");
        assert_eq!(listener.receive().to_string(), "*[\"smessage\" \"news\" \"hello\"]");
        assert_eq!(client.run("bare.publish nobody hello"), ":0");
    });
}

#[test]
fn without_a_cluster_there_is_nobody() {
    with_bare(&[], |_, client| {
        // 12182 is the slot of `foo`.
        let shown = client.run("bare.cluster foo");
        assert!(shown.starts_with("*[:1 :1 :1 :12182 \""), "{shown}");
        let name = shown.rsplit('"').nth(1).expect("a name");
        assert!(client.run(&format!("bare.cluster {name}")).contains(":12182"));
    });
}

#[test]
fn the_configuration_is_read_and_set_by_type() {
    with_bare(&["--bare-level", "7"], |_, client| {
        check(
            client,
            &[
                ("bare.config type bare-level", ":2"),
                ("bare.config number bare-level", ":7"),
                ("bare.config setnumber bare-level 8", "+OK"),
                ("CONFIG GET bare-level", "*[\"bare-level\" \"8\"]"),
                (
                    "bare.config setnumber bare-level 10",
                    "\"argument must be between 0 and 9 inclusive\"",
                ),
                ("bare.config type appendonly", ":3"),
                ("bare.config bool appendonly", ":0"),
                ("bare.config number appendonly", "$nil"),
                ("bare.config setbool lazyfree-lazy-expire 1", "+OK"),
                ("bare.config bool lazyfree-lazy-expire", ":1"),
                ("bare.config setnumber maxmemory-clients -50", "+OK"),
                ("bare.config get maxmemory-clients", "\"50%\""),
                ("bare.config number maxmemory-clients", ":-50"),
                ("bare.config setenum maxmemory-policy allkeys-lru", "+OK"),
                ("bare.config enum maxmemory-policy", "\"allkeys-lru\""),
                (
                    "bare.config set appendfsync maybe",
                    "\"argument(s) must be one of the following: everysec, always, no\"",
                ),
                ("bare.config set no-such 1", "\"Config not found\""),
                ("bare.config setbool maxmemory 1", "\"Config type mismatch\""),
                ("bare.config get no-such", "$nil"),
                ("bare.config names maxmemory-pol*", ":1"),
                ("bare.config names bare-*", ":1"),
            ],
        );
    });
}
