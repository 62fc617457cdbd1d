//! What is propagated of what a module does, in which order, and what belongs together?
//!
//! Each test loads `examples/unit.rs` into the servers that [`client::servers`] finds, and reads what went to the append-only file.

#[allow(dead_code, reason = "other tests use the rest")]
mod client;

use client::{Answer, Client, Server, example, with_modules};

/// Runs a test in each server of version 7.2 or later, whose rules these are.
fn with_unit(test: impl Fn(&Server, &mut Client)) {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    with_modules(&[example("unit")], &durable, |server, client| {
        let info = client.run("INFO server");
        let version = info.split("redis_version:").nth(1).unwrap_or_default();
        if version.starts_with("7.0") {
            eprintln!("skipped: too old");
            return;
        }
        client.run("DEBUG SET-ACTIVE-EXPIRE 0");
        test(server, client);
    });
}

/// What commands have written to the append-only file, after its first one.
fn written(server: &Server, client: &mut Client, commands: &[&str]) -> Vec<String> {
    let before = server.files("incr.aof").len();
    for command in commands {
        client.run(command);
    }
    let file = server.files("incr.aof");
    let mut lines = file[before..].split("\r\n");
    let mut found = Vec::new();
    while let Some(count) = lines.next().and_then(|line| line.strip_prefix('*')) {
        let count: usize = count.parse().expect("a number of words");
        let words: Vec<&str> = lines.by_ref().take(2 * count).skip(1).step_by(2).collect();
        found.push(words.join(" "));
    }
    found.retain(|line| !line.starts_with("SELECT"));
    found
}

#[test]
fn what_is_called_and_announced_goes_out_in_order_and_together() {
    with_unit(|server, client| {
        let one = ["MULTI", "INCR first", "INCR second", "INCR third", "EXEC"];
        assert_eq!(written(server, client, &["unit.mixed"]), one);
        let inside = &one[1..4];
        let two = [&one[..1], inside, &["SET k v"], inside, &one[4..]].concat();
        let unit = ["MULTI", "unit.mixed", "SET k v", "unit.mixed", "EXEC"];
        assert_eq!(written(server, client, &unit), two);
        let before = server.files("incr.aof").len();
        let script =
            b"redis.call('unit.mixed') redis.call('SET', 'k', 'v') redis.call('unit.mixed')";
        assert!(matches!(client.raw(&[b"EVAL", script, b"0"]), Answer::Null(_)));
        assert!(server.files("incr.aof")[before..].matches("MULTI").count() == 1);
    });
}

#[test]
fn what_nobody_asked_for_is_not_propagated() {
    with_unit(|server, client| {
        assert_eq!(written(server, client, &["unit.quiet"]), ["unit.quiet"]);
        assert_eq!(client.run("MGET first silent events"), "*[\"1\" \"1\" \"1\"]");
        assert!(written(server, client, &["unit.mute k"]).is_empty());
        assert_eq!(client.run("GET k"), "\"mute\"");
    });
}

#[test]
fn handlers_write_in_front_of_what_they_heard_of() {
    with_unit(|server, client| {
        let expected = ["MULTI", "INCR events", "SET watched:1 x", "EXEC"];
        assert_eq!(written(server, client, &["SET watched:1 x"]), expected);
        // A look-up in vain that makes somebody write counts as a write.
        let expected = ["MULTI", "INCR events", "GET watched:2", "EXEC"];
        assert_eq!(written(server, client, &["GET watched:2"]), expected);
    });
}

#[test]
fn jobs_come_behind_and_belong_to_the_unit() {
    with_unit(|server, client| {
        let expected = ["MULTI", "SET job:1 x", "SET chain:1 x", "SET chain:2 x", "EXEC"];
        assert_eq!(written(server, client, &["SET job:1 x"]), expected);
        let unit = ["MULTI", "SET job:2 x", "SET k x", "EXEC"];
        let expected =
            ["MULTI", "SET job:2 x", "SET k x", "SET chain:1 x", "SET chain:2 x", "EXEC"];
        assert_eq!(written(server, client, &unit), expected);
    });
}

#[test]
fn keys_that_end_take_with_them_what_handlers_do() {
    with_unit(|server, client| {
        client.run("SET job:1 x PX 1");
        client.run("SET plain 1 PX 1");
        client.run("SET watched:1 1 PX 1");
        std::thread::sleep(std::time::Duration::from_millis(10));
        let expected = ["MULTI", "DEL job:1", "SET chain:1 x", "SET chain:2 x", "EXEC"];
        assert_eq!(written(server, client, &["GET job:1"]), expected);
        assert_eq!(written(server, client, &["GET plain"]), ["DEL plain"]);
        // The key goes for all, though what the module calls is not to be propagated.
        let expected = ["MULTI", "DEL watched:1", "unit.look watched:1", "EXEC"];
        assert_eq!(written(server, client, &["unit.look watched:1"]), expected);
    });
}

/// Repeats until the module has heard of something, and says all that it has heard until then.
fn heard(client: &mut Client, expected: &str) -> String {
    let mut all = String::new();
    let start = std::time::Instant::now();
    while !all.contains(expected) {
        assert!(start.elapsed().as_secs() < 60, "{expected} is not in {all}");
        all.push_str(&client.run("unit.heard"));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    all
}

#[test]
fn what_happens_to_the_server_is_told() {
    with_unit(|server, client| {
        heard(client, "CronLoop { hz: 10 }");
        drop(server.client());
        heard(client, "client false");
        client.run("CONFIG SET maxmemory-samples 6 hz 20");
        heard(client, "ConfigChange { names: [\\\"maxmemory-samples\\\", \\\"hz\\\"] }");
        heard(client, "CronLoop { hz: 20 }");
        client.run("BGREWRITEAOF");
        let rewrite = heard(client, "Persistence(Ended)");
        assert!(rewrite.contains("Persistence(Aof)"), "{rewrite}");
        client.run("DEBUG LOADAOF");
        heard(client, "Loading(Start)");
        client.run("REPLICAOF 127.0.0.1 1");
        heard(client, "RoleChanged { primary: false }");
        client.run("REPLICAOF NO ONE");
        heard(client, "RoleChanged { primary: true }");
    });
}

#[test]
fn the_letters_of_call_are_obeyed() {
    with_unit(|server, client| {
        let refuses = |client: &mut Client, cases: &[(&str, &str)]| {
            for (command, reason) in cases {
                let answer = client.run(command);
                assert!(answer.starts_with(reason), "{command}: {answer}");
            }
        };
        assert_eq!(written(server, client, &["unit.call ! INCR both"]), ["INCR both"]);
        assert_eq!(written(server, client, &["unit.call !R INCR file"]), ["INCR file"]);
        assert!(written(server, client, &["unit.call !A INCR replicas"]).is_empty());
        assert!(written(server, client, &["unit.call A INCR nobody"]).is_empty());
        assert_eq!(client.run("MGET both file replicas nobody"), "*[\"1\" \"1\" \"1\" \"1\"]");
        let cases = [
            ("unit.call - NOSUCH a", "-ERR unknown command"),
            ("unit.call - GET", "-ERR wrong number of arguments for 'get' command"),
            (
                "unit.call W SET k v",
                "-ERR Write command 'set' was called while write is not allowed",
            ),
            ("unit.call S SUBSCRIBE c", "-ERR command 'subscribe' is not allowed on script mode"),
            ("unit.call D NOSUCH a", "-ERR unknown command"),
            ("unit.call D SET k v", "+OK"),
            ("EXISTS k", ":0"),
        ];
        refuses(client, &cases);
        client.run("CONFIG SET maxmemory 1");
        let cases =
            [("unit.call M SET k v", "-OOM command not allowed"), ("unit.call - SET k v", "+OK")];
        refuses(client, &cases);
        client.run("CONFIG SET maxmemory 0");
        client.run("ACL SETUSER limited on nopass ~* &* +@all -set");
        client.run("AUTH limited x");
        let cases = [("unit.call C SET k v", "-NOPERM"), ("unit.call - SET k v", "+OK")];
        refuses(client, &cases);
        client.run("REPLICAOF 127.0.0.1 1");
        let cases = [
            ("unit.call S INCR replica", "-READONLY"),
            ("unit.call S EXISTS k", ":1"),
            ("unit.call - INCR replica", ":1"),
        ];
        refuses(client, &cases);
    });
}
