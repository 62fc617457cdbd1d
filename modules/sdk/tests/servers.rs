//! Does a module written with this SDK do in real servers what it should?
//!
//! Each test loads `examples/probe.rs` into every server that [`client::servers`] finds and looks at
//! it from outside. Without a server the tests pass, saying so.

#[allow(dead_code, reason = "other packages' tests use the rest")]
mod client;

use std::path::Path;
use std::thread;
use std::time::Duration;

use client::{Client, Server, check, example, servers, with_modules};

/// Runs a test in each server with the probe loaded.
fn with_probe(arguments: &[&str], test: impl Fn(&Server, &mut Client)) {
    with_modules(&[example("probe")], arguments, test);
}

/// Whether the server is Mortise.
fn is_ours(client: &mut Client) -> bool {
    client.run("INFO server").contains("mortise_version")
}

/// The server's version as a number, such as 700 for 7.0.
fn version(client: &mut Client) -> u32 {
    let info = client.run("INFO server");
    let version = info.split("redis_version:").nth(1).expect("every server tells its version");
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    parts.next().unwrap_or(0) * 100 + parts.next().unwrap_or(0)
}

#[test]
fn replies_take_the_form_of_the_protocol() {
    with_probe(&[], |_, client| {
        check(
            client,
            &[
                ("probe.reply ok", "+OK"),
                ("probe.reply null", "$nil"),
                ("probe.reply nullarray", "*nil"),
                ("probe.reply int", ":-42"),
                ("probe.reply double", "\"2.5\""),
                ("probe.reply true", ":1"),
                ("probe.reply simple", "+two  lines"),
                ("probe.reply bulk", "\"a\\x00b\\r\\n\""),
                ("probe.reply verbatim", "\"*x*\""),
                ("probe.reply big", "\"123456789012345678901234567890\""),
                ("probe.reply map", "*[\"a\" :1 \"b\" $nil]"),
                ("probe.reply set", "*[:1 :2]"),
                ("probe.reply nested", "*[:1 *[\"k\" *[*[] $nil]] *[]]"),
                ("probe.reply error", "*[-CODE of  its own]"),
                ("probe.reply protocol", ":2"),
            ],
        );
        client.run("HELLO 3");
        check(
            client,
            &[
                ("probe.reply null", "_nil"),
                ("probe.reply double", ",2.5"),
                ("probe.reply true", "#t"),
                ("probe.reply verbatim", "=\"mkd:*x*\""),
                ("probe.reply big", "(123456789012345678901234567890"),
                ("probe.reply map", "%[\"a\" :1 \"b\" _nil]"),
                ("probe.reply set", "~[:1 :2]"),
                ("probe.reply nested", "*[:1 %[\"k\" *[*[] _nil]] ~[]]"),
                ("probe.reply protocol", ":3"),
            ],
        );
    });
}

#[test]
fn broken_promises_still_give_whole_replies() {
    with_probe(&[], |server, client| {
        check(
            client,
            &[
                ("probe.reply nothing", "-ERR internal error: the command wrote no reply"),
                ("probe.reply short", "*[:1 $nil $nil]"),
                ("probe.reply broken", "*[*[\"k\" -ERR changed my mind] $nil]"),
                (
                    "probe.reply panic",
                    "*[-ERR internal error in probe.reply: asked to, with 100% of arguments $nil]",
                ),
            ],
        );
        let log = server.log();
        assert!(log.contains("panic in a module callback: asked to, with 100% of arguments"));
        assert!(log.contains("probe.reply wrote a reply that is not one value"));
    });
}

#[test]
fn arity_is_checked_before_the_handler() {
    with_probe(&[], |_, client| {
        check(
            client,
            &[
                ("probe.read", "-ERR wrong number of arguments for 'probe.read' command"),
                ("probe.key get", "-ERR wrong number of arguments for 'probe.key' command"),
                ("probe.key a b c d e f", "-ERR wrong number of arguments for 'probe.key' command"),
            ],
        );
    });
}

#[test]
fn fields_that_expire_are_known_where_there_are_some() {
    with_probe(&[], |_, client| {
        check(
            client,
            &[
                ("HSET h f 1 g 2", ":2"),
                ("SET s x", "+OK"),
                ("probe.key hexpiring h", ":0"),
                ("probe.key hexpiring s", ":0"),
            ],
        );
        let far = "HPEXPIREAT h 4102444800000 FIELDS 1 f";
        // Where fields do not expire, or modules cannot ask when, none does.
        if client.run(far) == "*[:1]" && client.run("probe.key hexpiring h") == ":1" {
            check(
                client,
                &[
                    ("probe.key hexpires h f", ":4102444800000"),
                    ("probe.key hexpires h g", "$nil"),
                    ("probe.key hexpires h x", "$nil"),
                    ("probe.key hexpires x x", "$nil"),
                    (
                        "probe.key hexpires s f",
                        "-WRONGTYPE Operation against a key holding the wrong kind of value",
                    ),
                ],
            );
        }
    });
}

#[test]
fn keys_of_all_types_are_read_and_written() {
    with_probe(&[], |_, client| {
        check(
            client,
            &[
                ("probe.key kind s", "\"Empty 0\""),
                ("probe.key get s", "$nil"),
                ("probe.key set s hello", "+OK"),
                ("probe.key get s", "\"hello\""),
                ("probe.key shout s", "\"HELLO\""),
                ("SET n 42", "+OK"),
                ("probe.key get n", "\"42\""),
                ("probe.key twice s", "*[:1 \"HELLO\"]"),
                ("probe.key kind s", "\"String 5\""),
                (
                    "probe.key hget s f",
                    "-WRONGTYPE Operation against a key holding the wrong kind of value",
                ),
                (
                    "probe.key hset s f 1",
                    "-WRONGTYPE Operation against a key holding the wrong kind of value",
                ),
                ("probe.key hset h f 1", "+OK"),
                ("probe.key hset h g 2", "+OK"),
                ("HGETALL h", "*[\"f\" \"1\" \"g\" \"2\"]"),
                ("probe.key hget h f", "\"1\""),
                ("probe.key hget h x", "$nil"),
                ("probe.key hget x x", "$nil"),
                ("probe.key hall h", "\"f=1,g=2\""),
                ("probe.key hdel h f", ":1"),
                ("probe.key hdel h f", ":0"),
                ("probe.key hdel x f", ":0"),
                ("probe.key hdel h g", ":1"),
                ("EXISTS h x", ":0"),
                ("SADD set b a", ":2"),
                ("SADD intset 1 2", ":2"),
                ("ZADD z 2.5 m", ":1"),
                ("probe.key ttl s 100000", ":1"),
                ("probe.key ttl s 0", "$nil"),
                ("TTL s", ":-1"),
                ("probe.key expireat s 4102444800000", "\"4102444800000\""),
                ("PEXPIRETIME s", ":4102444800000"),
                ("probe.key exists s", ":1"),
                ("probe.key delete s", ":1"),
                ("probe.key delete s", ":0"),
                ("probe.key unlink n", ":1"),
                ("probe.key exists s", ":0"),
                ("RPUSH list a b", ":2"),
                ("probe.key kind list", "\"List 2\""),
                ("XADD stream 1-1 f v", "\"1-1\""),
                ("probe.key kind stream", "\"Stream 1\""),
                (
                    "probe.scan",
                    "*[\"intset:Set\" \"list:List\" \"set:Set\" \"stream:Stream\" \"z:Zset\"]",
                ),
            ],
        );
        let scores = [
            ("SET s 1", "+OK"),
            ("probe.key score z m", "\"2.5\""),
            ("probe.key score z x", "$nil"),
            (
                "probe.key score s m",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ];
        check(client, &scores);
        let sets = [("probe.key sall set", "\"a,b\""), ("probe.key sall intset", "\"1,2\"")];
        check(client, &sets);
        for i in 0..1000 {
            client.run(&format!("HSET large field{i} value{i}"));
        }
        let all = client.run("probe.key hall large");
        assert_eq!(all.split(',').count(), 1000);
        assert!(all.contains("field999=value999"));
    });
}

#[test]
fn native_values_live_in_keys() {
    with_probe(&[], |_, client| {
        check(
            client,
            &[
                ("probe.read k", "$nil"),
                ("probe.note k first", "+CREATED"),
                ("probe.note k second", "+CHANGED"),
                ("probe.read k", "\"second\""),
                ("TYPE k", "+probeNote"),
                ("OBJECT ENCODING k", "\"raw\""),
                ("SET s 1", "+OK"),
                (
                    "probe.read s",
                    "-WRONGTYPE Operation against a key holding the wrong kind of value",
                ),
                (
                    "probe.note s x",
                    "-WRONGTYPE Operation against a key holding the wrong kind of value",
                ),
                ("COPY k copy", ":1"),
                ("probe.read copy", "\"second k>copy\""),
                ("probe.note one single", "+CREATED"),
                ("probe.living", "*[:3 :0]"),
            ],
        );
        // What is overwritten or deleted may be freed on a thread.
        for (command, living) in
            [("SET copy overwritten", ":2"), ("DEL one", ":1"), ("FLUSHALL", ":0")]
        {
            client.run(command);
            client.until("probe.living", &format!("*[{living} :0]"));
        }
        assert_eq!(client.run("probe.sub living"), "*[:0 :0]");
        assert!(client.run("COPY nothing here").starts_with(":0"));
        client.run("probe.note one single");
        assert!(client.run("COPY one other").starts_with("-ERR"));
        assert_ne!(
            client.run("DEBUG DIGEST-VALUE one"),
            "*[+0000000000000000000000000000000000000000]"
        );
        let usage = client.run("MEMORY USAGE one");
        assert!(usage[1..].parse::<u32>().expect("a number") > 30, "{usage}");
    });
}

#[test]
fn the_values_of_a_batch_are_asked_for_before_it_runs() {
    with_probe(&[], |_, client| {
        client.run("probe.note k text");
        client.run("SET s 1");
        let counts: &[(&[&str], i64)] = &[
            (&["probe.read k"], 0),
            (&["probe.read k", "probe.read k", "probe.read none", "probe.read k"], 2),
            (&["GET k", "probe.read k"], 1),
            (&["probe.read s", "probe.read k"], 0),
            (&["DEL k", "probe.read k"], 1),
        ];
        let ours = is_ours(client);
        for (commands, expected) in counts {
            let fetched = |client: &mut Client| {
                let answer = client.run("probe.sub fetched");
                answer[1..].parse::<i64>().expect("a number")
            };
            let before = fetched(client);
            client.send_together(commands);
            let answers: Vec<_> = commands.iter().map(|_| client.receive().to_string()).collect();
            let expected = if ours { *expected } else { 0 };
            assert_eq!(fetched(client) - before, expected, "{commands:?}: {answers:?}");
        }
    });
}

#[test]
fn native_values_are_dumped_restored_and_reloaded() {
    with_probe(&[], |_, client| {
        client.run("probe.note k text");
        let client::Answer::Bulk(_, dump) = client.raw(&[b"DUMP", b"k"]) else {
            panic!("DUMP gives bytes");
        };
        assert_eq!(client.raw(&[b"RESTORE", b"r", b"0", &dump]).to_string(), "+OK");
        assert_eq!(client.run("probe.read r"), "\"text\"");

        // Aux data counts up whenever it is read back.
        assert_eq!(client.run("DEBUG RELOAD"), "+OK");
        check(client, &[("probe.read k", "\"text\"")]);
        // The old values may be freed on a thread.
        client.until("probe.living", "*[:2 :1]");

        client.run("probe.note panic panic");
        let panic = [b"probe.note".as_slice(), b"panic", b"panic on load"];
        client.raw(&panic);
        let client::Answer::Bulk(_, dump) = client.raw(&[b"DUMP", b"panic"]) else {
            panic!("DUMP gives bytes");
        };
        let refused = client.raw(&[b"RESTORE", b"x", b"0", &dump]).to_string();
        assert_eq!(refused, "-ERR Bad data format");
    });
}

/// The probe does not say that a snapshot may be taken while it goes on.
#[test]
fn a_child_saves_native_values_that_are_not_declared_safe() {
    with_probe(&[], |_, client| {
        client.run("probe.note k text");
        assert_eq!(client.run("BGSAVE"), "+Background saving started");
        for _ in 0..1000 {
            if client.run("INFO persistence").contains("rdb_bgsave_in_progress:0") {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(client.run("INFO persistence").contains("rdb_last_bgsave_status:ok"));
        assert!(client.run("INFO stats").contains("total_forks:1"));
        assert_eq!(client.run("DEBUG RELOAD NOSAVE"), "+OK");
        check(client, &[("probe.read k", "\"text\"")]);
    });
}

/// DUMP payloads with every single byte changed, their checksum put right by not checking it.
#[test]
fn hostile_dumps_are_refused_or_read() {
    with_probe(&["--sanitize-dump-payload", "no"], |_, client| {
        client.run("probe.note k text");
        let client::Answer::Bulk(_, dump) = client.raw(&[b"DUMP", b"k"]) else {
            panic!("DUMP gives bytes");
        };
        // A checksum of zero is not checked.
        let (body, _checksum) = dump.split_at(dump.len() - 8);
        // The type's id decides which module reads it; what follows is ours.
        for place in 10..body.len() - 2 {
            for change in [0x01, 0x80, 0xff] {
                let mut hostile = body.to_vec();
                hostile[place] ^= change;
                hostile.extend_from_slice(&[0; 8]);
                client.raw(&[b"RESTORE", b"hostile", b"0", &hostile, b"REPLACE"]);
                assert_eq!(client.run("PING"), "+PONG");
            }
        }
    });
}

#[test]
fn the_append_only_file_has_commands_and_rewrites() {
    let arguments =
        ["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no"];
    with_probe(&arguments, |server, client| {
        client.run("probe.note k text");
        client.run("probe.replicate r");
        client.run("probe.call ! SET called 1");
        client.run("probe.call - SET silent 1");
        let file = server.files("incr.aof");
        let has = |file: &str, words: &[&str]| {
            let text: Vec<_> =
                words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
            file.contains(&text.concat())
        };
        assert!(has(&file, &["probe.note", "k", "text"]), "{file}");
        assert!(has(&file, &["SET", "r", "replicated", "EX", "100"]), "{file}");
        assert!(has(&file, &["called", "1"]) && !has(&file, &["silent", "1"]), "{file}");

        client.run("BGREWRITEAOF");
        let done = "aof_rewrite_in_progress:0\\r\\naof_rewrite_scheduled:0";
        while !client.run("INFO persistence").contains(done) {
            thread::yield_now();
        }
        let base = server.files("base.aof");
        // Ours has the child that it needs for such values write an RDB file.
        let in_child = is_ours(client) && server.files("base.rdb").contains("text");
        assert!(has(&base, &["probe.note", "k", "text"]) || in_child, "{base}");
    });
}

#[test]
fn commands_are_called_and_their_replies_read() {
    with_probe(&[], |_, client| {
        check(
            client,
            &[
                ("probe.call - SET k v", "\"OK\""),
                ("probe.call - GET k", "\"v\""),
                ("probe.call - GET nothing", "$nil"),
                ("probe.call - STRLEN k", ":1"),
                ("probe.call - MGET k nothing", "*[\"v\" $nil]"),
                ("probe.call - HSET h f 1", ":1"),
                ("probe.call - HGETALL h", "*[\"f\" \"1\"]"),
                ("probe.call 3 HGETALL h", "*[\"f\" \"1\"]"),
                ("probe.call 3 ZADD z 1.5 m", ":1"),
                ("probe.call 3 ZSCORE z m", "\"double 1.5\""),
                ("probe.call 3 SMEMBERS nothing", "*[\"set\"]"),
                ("probe.call - EXEC", "-ERR EXEC without MULTI"),
                (
                    "probe.call - LPUSH k v",
                    "-WRONGTYPE Operation against a key holding the wrong kind of value",
                ),
                (
                    "probe.call 0 LPUSH k v",
                    "-WRONGTYPE Operation against a key holding the wrong kind of value",
                ),
                ("probe.call 0 HGETALL h", "*[\"f\" \"1\"]"),
                ("probe.call C GET k", "\"v\""),
                ("probe.call S GET k", "\"v\""),
                ("probe.call M SET k w", "\"OK\""),
                ("probe.call - probe.call - GET k", "\"w\""),
            ],
        );
        for (command, part) in [
            ("probe.call - NOSUCH a", "-ERR"),
            ("probe.call - GET", "-ERR"),
            ("probe.call W SET k x", "-ERR"),
            ("probe.call S BLPOP k 0", "-"),
        ] {
            let answer = client.run(command);
            assert!(answer.starts_with(part), "{command}: {answer}");
        }
        assert_eq!(client.run("GET k"), "\"w\"");
        if version(client) >= 702 {
            assert_eq!(client.run("probe.call D SET k x"), "$nil");
            assert_eq!(client.run("GET k"), "\"w\"");
        }
        client.run("HELLO 3");
        assert_eq!(client.run("probe.call 0 HGETALL h"), "%[\"f\" \"1\"]");
        assert_eq!(client.run("probe.call - HGETALL h"), "*[\"f\" \"1\"]");
        assert_eq!(client.run("probe.call 3 HGETALL h"), "%[\"f\" \"1\"]");
    });
}

#[test]
fn events_reach_their_handlers() {
    with_probe(&[], |server, client| {
        client.run("SELECT 2");
        client.run("probe.events");
        client.run("SET k v");
        client.run("HSET h f v");
        client.run("DEL h");
        client.run("probe.note n text");
        assert_eq!(
            client.run("probe.events"),
            "*[\"set k 2\" \"hset h 2\" \"del h 2\" \"probe.note n 2\"]"
        );
        client.run("FLUSHDB");
        client.run("SWAPDB 0 2");
        client.run("CONFIG SET maxmemory-samples 6");
        let events = client.run("probe.events");
        for expected in [
            "\"FlushDb { phase: Start, db: Some(2) }\" \"FlushDb { phase: End, db: Some(2) }\"",
            "\"SwapDb { first: 0, second: 2 }\"",
            "ConfigChange { names: [\\\"maxmemory-samples\\\"] }",
        ] {
            assert!(events.contains(expected), "{events}");
        }
        // A handler that panics is not the end.
        client.run("SET panic 1");
        assert!(server.log().contains("panic in a module callback: asked to, in an event"));
        client.run("DEBUG RELOAD");
        let events = client.run("probe.events");
        // Valkey flushes in between.
        let (start, end) = (events.find("\"Loading(Start)\""), events.find("\"Loading(End)\""));
        assert!(start.is_some() && start < end, "{events}");
    });
}

#[test]
fn jobs_after_notifications_may_write() {
    with_probe(&[], |_, client| {
        client.run("probe.events");
        client.run("SET later 1");
        let events = client.run("probe.events");
        if version(client) >= 702 {
            assert_eq!(client.run("GET after"), "\"1\"");
            assert!(events.contains("job true"), "{events}");
        } else {
            let missing = "ERR the server has no module API function AddPostNotificationJob";
            assert!(events.contains(missing), "{events}");
        }
    });
}

#[test]
fn nothing_changes_while_a_key_is_open() {
    with_probe(&[], |_, client| {
        client.run("DEBUG SET-ACTIVE-EXPIRE 0");
        client.run("probe.note watched over");
        client.run("SET short 1 PX 1");
        thread::sleep(std::time::Duration::from_millis(20));
        client.run("probe.events");
        assert_eq!(client.run("probe.nested short"), "*[:0 \"over\"]");
        let events = client.run("probe.events");
        if events == "*[\"expired short 0\" \"del Ok(())\"]" && is_ours(client) {
            // The key is deleted at the end of the command, when nothing is open any more.
            assert_eq!(client.run("probe.read watched"), "$nil");
            return;
        }
        // Newer servers leave the key alone while another is open, and so have no event.
        if version(client) < 702 {
            assert_eq!(events, "*[\"expired short 0\" \"del Err(KeysOpen)\"]");
        } else {
            assert_eq!(events, "*[]");
        }
        assert_eq!(client.run("probe.read watched"), "\"over\"");
    });
}

#[test]
fn others_are_let_in_while_data_of_no_key_is_loaded() {
    with_probe(&[], |server, client| {
        if !is_ours(client) {
            return;
        }
        assert_eq!(client.run("probe.patience"), ":1");
        let mut other = server.client();
        client.send(&[b"DEBUG", b"RELOAD"]);
        other.until_contains("GET k", "-LOADING");
        assert_eq!(other.run("probe.patience"), ":2");
        assert_eq!(client.receive().to_string(), "+OK");
    });
}

#[test]
fn clients_wait_for_threads() {
    with_probe(&[], |_, client| {
        client.run("SELECT 5");
        client.run("SET k v");
        check(
            client,
            &[
                ("probe.wait thread", ":1"),
                ("probe.wait value", "\"ready\""),
                ("probe.wait panic", "-ERR internal error: asked to, in an answer"),
                ("probe.wait write", "*[:1 *[\"half\" \"0.5\"] *[:0 :1 :2]]"),
                ("probe.wait write-error", "-ERR written"),
                ("probe.wait write-panic", "*[:1 -ERR internal error: asked to, while writing]"),
                ("probe.wait write-late", "\"too late\""),
                ("probe.wait drop", "-ERR the module gave up on this command without an answer"),
                ("probe.wait again", "\"ERR blocking is not allowed in this context\""),
                ("probe.wait timeout 10000 1", "\"in time\""),
                ("probe.wait timeout 1 200", "\"too late\""),
                ("probe.wait timeout 0 200", "\"too late\""),
                ("probe.call - probe.wait value", "-ERR blocking is not allowed in this context"),
                ("MULTI", "+OK"),
                ("probe.wait value", "+QUEUED"),
                ("EXEC", "*[-ERR blocking is not allowed in this context]"),
            ],
        );
        let script = b"return redis.pcall('probe.wait', 'value').err";
        let answer = client.raw(&[b"EVAL", script, b"0"]).to_string();
        assert!(answer.contains("blocking is not allowed"), "{answer}");
    });
}

/// Answer and timeout at the same moment: one of them reaches the client, always.
#[test]
fn answers_and_timeouts_race_without_harm() {
    with_probe(&[], |server, _| {
        let waits = |delay: usize| {
            let mut client = server.client();
            for round in 0..40 {
                let ms = round % 5;
                let work_ms = (ms + delay % 3).saturating_sub(1);
                let answer = client.run(&format!("probe.wait timeout {ms} {work_ms}"));
                assert!(["\"in time\"", "\"too late\""].contains(&answer.as_str()), "{answer}");
            }
        };
        thread::scope(|scope| {
            for delay in 0..6 {
                scope.spawn(move || waits(delay));
            }
        });
    });
}

#[test]
fn clients_may_go_away_while_they_wait() {
    with_probe(&[], |server, client| {
        for _ in 0..20 {
            let mut other = server.client();
            other.send(&[b"probe.wait", b"timeout", b"5", b"200"]);
            other.send(&[b"probe.wait", b"thread"]);
        }
        thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(client.run("probe.wait timeout 1 2000"), "\"too late\"");
        assert_eq!(client.run("probe.wait value"), "\"ready\"");
    });
}

#[test]
fn threads_and_timers_take_the_lock() {
    with_probe(&[], |_, client| {
        assert_eq!(
            client.run("probe.background t"),
            "\"ERR this thread already holds the server\\'s lock\""
        );
        client.until("GET t", "\"from a thread\"");
        assert_eq!(client.run("probe.timer k"), "*[:1 :0]");
        client.until("GET k", "\"from a timer\"");
        assert!(!client.run("probe.events").contains("must not run"));
    });
}

#[test]
fn parameters_are_the_servers_too() {
    let arguments = ["--probe.limit", "7"];
    with_probe(&arguments, |_, client| {
        check(
            client,
            &[
                ("probe.configs", "\"true 7 1 none\""),
                ("CONFIG SET probe.switch no probe.color green probe.title a%sb", "+OK"),
                ("probe.configs", "\"false 7 2 a%sb\""),
                ("CONFIG GET probe.title", "*[\"probe.title\" \"a%sb\"]"),
                ("CONFIG GET probe.color", "*[\"probe.color\" \"green\"]"),
                ("CONFIG GET probe.limit", "*[\"probe.limit\" \"7\"]"),
                ("CONFIG GET probe.switch", "*[\"probe.switch\" \"no\"]"),
            ],
        );
        for (bad, part) in
            [("limit 101", "between"), ("limit 13", "13 is unlucky"), ("color blue", "-ERR")]
        {
            let answer = client.run(&format!("CONFIG SET probe.{bad}"));
            assert!(answer.starts_with("-ERR") && answer.contains(part), "{bad}: {answer}");
        }
        assert_eq!(client.run("probe.configs"), "\"false 7 2 a%sb\"");
    });
}

#[test]
fn info_log_facts_and_services_work() {
    with_probe(&[], |server, client| {
        client.run("probe.note n text");
        let info = client.run("INFO probe_things");
        for line in ["probe_living:1", "probe_crash:no", "probe_parts:count=2,share=0.5"] {
            assert!(info.contains(line), "{info}");
        }
        assert_eq!(client.run("probe.log %s%n%x"), "+OK");
        assert!(server.log().contains("<probe> %s%n%x"));

        client.run("SELECT 3");
        client.run("SET only 1");
        // Modules see the server's own version, not the one of Redis that it is like.
        let own = client.run("INFO server");
        let major = match own.split("valkey_version:").nth(1) {
            Some(own) => {
                own.split('.').next().and_then(|major| major.parse().ok()).expect("a number")
            }
            None => version(client) / 100,
        };
        assert_eq!(client.run("probe.facts"), format!("*[:3 :1 :1 :1 :0 :{major} \"only\"]"));
        check(
            client,
            &[
                ("probe.service hello", "\"hello in 3\""),
                ("probe.service error", "-ECHO refused"),
                ("probe.service panic", "-ERR the service panicked: asked to, in a service"),
            ],
        );
    });
}

#[test]
fn commands_are_documented() {
    with_probe(&[], |_, client| {
        let docs = client.run("COMMAND DOCS probe.note");
        assert!(docs.contains("\"Sets a note.\"") && docs.contains("\"probe\""), "{docs}");
        assert_eq!(client.run("COMMAND GETKEYS probe.note k v"), "*[\"k\"]");
        assert_eq!(client.run("COMMAND GETKEYS probe.sub count 2 a b c"), "*[\"a\" \"b\"]");
        assert_eq!(client.run("probe.sub count 2 a b c"), ":6");
        assert!(client.run("probe.sub nothing").starts_with("-ERR"));
        if version(client) >= 704 {
            let listed = client.run("COMMAND LIST FILTERBY ACLCAT probes");
            assert_eq!(listed, "*[\"probe.note\"]");
        }
    });
}

#[test]
fn arguments_and_keys_are_documented_in_full() {
    with_probe(&[], |_, client| {
        let mut expected: Vec<&str> = vec![
            "integer number shown as numkeys",
            "key key key_spec_index=0 multiple",
            "block limit token=LIMIT since=1.1.0 optional",
            "  integer offset",
            "  integer count",
            "pattern pattern token=BY deprecated_since=1.2.0 optional multiple multiple_token",
            "oneof when optional",
            "  pure-token nx token=NX",
            "  unix-time time token=AT",
            "double factor optional",
            "key destination token=STORE key_spec_index=1 since=1.2.0 optional",
        ];
        if version(client) < 702 {
            // Redis 7.0 tells of no display text.
            expected[0] = "integer number";
        }
        assert_eq!(client::docs::arguments(client, "probe.documented"), expected);
        let docs = client.run("COMMAND DOCS probe.documented");
        assert!(docs.contains("\"By which scores are multiplied.\""), "{docs}");
        let history = "*[*[\"1.1.0\" \"Takes LIMIT.\"] *[\"1.2.0\" \"Takes STORE.\"]]";
        assert!(docs.contains(history), "{docs}");
        let info = client.run("COMMAND INFO probe.documented");
        for part in [
            "nondeterministic_output",
            "request_policy:all_shards",
            "\"notes\" \"What is looked at.\" \"flags\" *[+RO +access]",
            "\"flags\" *[+OW +update +incomplete]",
            "\"keyword\" \"STORE\" \"startfrom\" :3",
            "\"flags\" *[+RO +not_key]",
            "\"firstkey\" :1",
        ] {
            assert!(info.contains(part), "{part} in {info}");
        }
        // One run of keys is incomplete, so the others are all that is known.
        let keys = client.run("COMMAND GETKEYS probe.documented 2 a b STORE c");
        assert!(keys == "*[\"a\" \"b\" \"c\"]" || keys.starts_with("-ERR"), "{keys}");
    });
}

#[test]
fn memory_is_the_servers() {
    with_probe(&[], |server, client| {
        let used = |client: &mut Client| {
            let info = client.run("INFO memory");
            let number = info.split("used_memory:").nth(1).expect("a number");
            let end = number.find('\\').expect("the end of the line");
            number[..end].parse::<usize>().expect("a number")
        };
        let before = used(client);
        client.run("probe.hold 20000000");
        let after = used(client);
        assert!(after - before >= 20_000_000, "{before} {after}");
        client.run("probe.hold 0");
        assert!(used(client) < after - 19_000_000);
        assert_eq!(client.run("probe.align"), ":1");
        assert!(!server.log().contains("memory is not accounted"));
    });
}

#[test]
fn a_module_may_refuse_to_load() {
    let probe = example("probe");
    let probe = probe.to_str().expect("the target directory is text");
    for program in servers() {
        let mut server = Server::spawn(&program, &["--loadmodule", probe, "fail"]);
        assert!(!server.wait());
        assert!(server.log().contains("loading failed: asked to fail"), "{}", server.log());
    }
}

#[test]
fn the_probe_exports_both_entry_points() {
    let bytes = std::fs::read(example("probe")).expect("Cargo has built the example");
    let has = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    assert!(has(b"RedisModule_OnLoad\0") && has(b"ValkeyModule_OnLoad\0"));
    assert!(Path::new(&example("probe")).is_file());
}
