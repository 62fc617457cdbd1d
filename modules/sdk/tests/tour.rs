//! Do the modules of the guided tour do what their first lines say, in every server that is there?

#[allow(dead_code, reason = "other tests use the rest")]
mod client;

use client::{Client, Server, check, example, with_modules};

/// Runs a test in each server with an example loaded.
fn with_example(name: &str, arguments: &[&str], test: impl Fn(&Server, &mut Client)) {
    with_modules(&[example(name)], arguments, test);
}

#[test]
fn hello_greets() {
    with_example("hello", &[], |_, client| {
        check(
            client,
            &[
                ("HELLO.GREET k world", "\"Hello, world!\""),
                ("HELLO.GREET k world Hi", "\"Hi, world!\""),
                ("GET k", "\"Hi, world!\""),
                ("COMMAND GETKEYS HELLO.GREET k world", "*[\"k\"]"),
            ],
        );
        for command in ["HELLO.GREET k", "HELLO.GREET k a b c"] {
            // Servers spell the name in their own case.
            let answer = client.run(command).to_lowercase();
            assert_eq!(answer, "-err wrong number of arguments for 'hello.greet' command");
        }
        let bad = client.raw(&[b"HELLO.GREET", b"k", b"\xff"]).to_string();
        assert_eq!(bad, "-ERR invalid UTF-8");
        assert_eq!(client.run("GET k"), "\"Hi, world!\"");
    });
}

#[test]
fn counters_are_values_like_any_other() {
    let aof = ["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no"];
    with_example("counter_type", &aof, |server, client| {
        check(
            client,
            &[
                ("COUNTER.GET c", "$nil"),
                ("COUNTER.INCR c", ":1"),
                ("COUNTER.INCR c -3", ":-2"),
                ("COUNTER.INCR c x", "-ERR value is not an integer or out of range"),
                ("COUNTER.INCR c -9223372036854775807", "-ERR the counter would overflow"),
                ("COUNTER.GET c", "*[\"value\" :-2 \"changes\" :2 \"recent\" *[:1 :-3]]"),
                ("TYPE c", "+sdkcountr"),
                ("COPY c d", ":1"),
                ("COUNTER.INCR d", ":-1"),
                ("COUNTER.GET c", "*[\"value\" :-2 \"changes\" :2 \"recent\" *[:1 :-3]]"),
                ("SET s 1", "+OK"),
                (
                    "COUNTER.INCR s",
                    "-WRONGTYPE Operation against a key holding the wrong kind of value",
                ),
            ],
        );
        let usage = client.run("MEMORY USAGE c");
        assert!(usage[1..].parse::<u32>().expect("a number") > 40, "{usage}");
        let digest = client.run("DEBUG DIGEST-VALUE c");
        assert_ne!(digest, client.run("DEBUG DIGEST-VALUE d"));

        // The file, by commands and then rewritten; RDB by DUMP and RESTORE.
        client.run("BGREWRITEAOF");
        client.until_contains(
            "INFO persistence",
            "aof_rewrite_in_progress:0\\r\\naof_rewrite_scheduled:0",
        );
        let base = server.files("base.aof");
        // Ours writes values of modules as RESTORE commands.
        let by_command = base.contains("COUNTER.LOAD") && base.contains("1,-3");
        assert!(by_command || is_ours(client) && base.contains("RESTORE"), "{base}");
        assert_eq!(client.run("DEBUG LOADAOF"), "+OK");
        assert_eq!(client.run("DEBUG DIGEST-VALUE c"), digest);
        let client::Answer::Bulk(_, dump) = client.raw(&[b"DUMP", b"c"]) else {
            panic!("DUMP gives bytes");
        };
        assert_eq!(client.raw(&[b"RESTORE", b"r", b"0", &dump]).to_string(), "+OK");
        assert_eq!(client.run("DEBUG DIGEST-VALUE r"), digest);
    });
}

#[test]
fn clients_wait_for_the_bell() {
    with_example("wait", &[], |server, client| {
        check(
            client,
            &[
                ("BELL.RING nobody", ":0"),
                ("BELL.WAIT 0.001", "$nil"),
                ("BELL.WAIT -1", "-ERR timeout is not a positive number of seconds"),
                ("MULTI", "+OK"),
                ("BELL.WAIT 100", "+QUEUED"),
                ("EXEC", "*[$nil]"),
            ],
        );
        let mut waiting = [server.client(), server.client()];
        for other in &mut waiting {
            other.send(&[b"BELL.WAIT", b"100"]);
        }
        client.until_contains("INFO clients", "blocked_clients:2");
        // The one whose time was over above is still on the list.
        assert_eq!(client.run("BELL.RING ding"), ":3");
        for other in &mut waiting {
            assert_eq!(other.receive().to_string(), "\"ding\"");
        }
    });
}

#[test]
fn a_thread_counts_while_others_are_served() {
    with_example("background", &[], |server, client| {
        client.run("SELECT 4");
        for i in 0..500 {
            client.run(&format!("SET a{i} 1"));
        }
        client.run("SET b 1");
        let mut other = server.client();
        other.send(&[b"BACKGROUND.COUNT", b"a"]);
        check(
            client,
            &[("BACKGROUND.COUNT a", ":500"), ("BACKGROUND.COUNT x", ":0"), ("GET b", "\"1\"")],
        );
        // Another database.
        assert_eq!(other.receive().to_string(), ":0");
        let refused = client.run("MULTI");
        assert_eq!(refused, "+OK");
        client.run("BACKGROUND.COUNT a");
        assert_eq!(client.run("EXEC"), "*[-ERR blocking is not allowed in this context]");
    });
}

/// Whether this server runs parallel commands side by side.
fn is_ours(client: &mut Client) -> bool {
    client.run("INFO server").contains("mortise_version")
}

#[test]
fn parallel_commands_meet_and_others_do_not() {
    with_example("parallel", &[], |server, client| {
        let ours = is_ours(client);
        if ours {
            // Each connection belongs to one of these threads, in turn.
            assert_eq!(client.run("CONFIG GET io-threads"), "*[\"io-threads\" \"2\"]");
        }
        let mut others = [server.client(), server.client()];
        let mut meet = |command: &str, ms: &str| {
            for other in &mut others {
                other.send(&[command.as_bytes(), b"2", ms.as_bytes()]);
            }
            others.each_mut().map(|other| other.receive().to_string())
        };
        if ours {
            assert_eq!(meet("PARALLEL.MEET", "10000"), [":2", ":2"]);
        } else {
            assert_eq!(meet("PARALLEL.MEET", "20"), [":1", ":1"]);
        }
        assert_eq!(meet("PARALLEL.ALONE", "20"), [":1", ":1"]);
    });
}

#[test]
fn parallel_commands_change_nothing_on_any_server() {
    with_example("parallel", &[], |_, client| {
        let refused = "-ERR not possible in a parallel command";
        check(
            client,
            &[
                ("HSET h a 1 b 2.5 c x", ":3"),
                ("PARALLEL.SUM h", "\"3.5\""),
                ("PARALLEL.SUM nothing", "\"0\""),
                ("SET k v", "+OK"),
                ("PARALLEL.TRY get k", "\"v\""),
                ("PARALLEL.TRY get nothing", "$nil"),
                ("PARALLEL.TRY keys h*", "*[\"h\"]"),
                ("PARALLEL.TRY open k", refused),
                ("PARALLEL.TRY notify k", refused),
                ("PARALLEL.TRY replicate k", refused),
                ("PARALLEL.TRY wait k", "-ERR blocking is not allowed in this context"),
                (
                    "PARALLEL.TRY set k",
                    "-ERR Write command 'set' was called while write is not allowed.",
                ),
                ("GET k", "\"v\""),
                ("MULTI", "+OK"),
                ("PARALLEL.TRY open k", "+QUEUED"),
                ("PARALLEL.TRY get k", "+QUEUED"),
                ("EXEC", "*[-ERR not possible in a parallel command \"v\"]"),
            ],
        );
        let config = client.run("PARALLEL.TRY config maxmemory");
        if is_ours(client) {
            // It needs the whole server, which a command beside others cannot have.
            assert_eq!(config, "-ERR command 'config|get' is not allowed in a parallel command");
        } else {
            assert_eq!(config, "*[\"maxmemory\" \"0\"]");
        }
        let script = b"return redis.call('parallel.try', 'get', 'k')";
        assert_eq!(client.raw(&[b"EVAL_RO", script, b"0"]).to_string(), "\"v\"");
        assert_eq!(client.run("PARALLEL.TRY get k"), "\"v\"");
    });
}
