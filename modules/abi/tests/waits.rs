//! Do clients wait for modules as they should? The module is `examples/waits.rs`.
//!
//! The servers are those of [`client::servers`] that are ours.

#[path = "../../sdk/tests/client/mod.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod client;

use client::{Client, Server, example, in_each, only_ours};

/// Runs a test in each server with the module loaded.
fn with_waits(test: impl Fn(&Server, &mut Client)) {
    in_each(only_ours(), &[example("waits")], &[], test);
}

/// Sends a command and waits until the server has it.
fn begin(client: &mut Client, command: &str, observer: &mut Client, blocked: usize) {
    let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
    client.send(&words);
    until_blocked(observer, blocked);
}

fn until_blocked(observer: &mut Client, blocked: usize) {
    let wanted = format!("blocked_clients:{blocked}\\r\\n");
    while !observer.run("INFO clients").contains(&wanted) {
        std::thread::yield_now();
    }
}

#[test]
fn modules_wait_for_keys_in_the_same_queues_as_commands() {
    with_waits(|server, client| {
        let mut waiters: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let commands = [
            "BLPOP k 0",
            "waits.keys 2 0 endless other k",
            "BLPOP k 0",
            "waits.keys 1 0 created k",
        ];
        for (at, command) in commands.iter().enumerate() {
            begin(&mut waiters[at], command, client, at + 1);
        }
        // The second wants two and is passed over; the others take or look, in order.
        assert_eq!(client.run("RPUSH k a b c d"), ":4");
        let answers: Vec<String> =
            waiters.iter_mut().map(|one| one.receive().to_string()).collect();
        assert_eq!(answers, ["*[\"k\" \"a\"]", "\"k\"", "*[\"k\" \"b\"]", "\"k\""]);
        until_blocked(client, 0);
        client.until("waits.freed", ":2");
        assert_eq!(client.run("waits.gone"), ":0");
        let stats = client.run("INFO commandstats");
        assert!(stats.contains("cmdstat_waits.keys:calls=2,"), "{stats}");
        assert!(stats.contains("cmdstat_blpop:calls=2,"), "{stats}");
    });
}

#[test]
fn a_wait_for_keys_goes_on_until_the_module_is_content() {
    with_waits(|server, client| {
        let mut waiter = server.client();
        client.run("RPUSH k a");
        begin(&mut waiter, "waits.keys 3 0 created k", client, 1);
        // A list that grows is no news, unless a module says so.
        assert_eq!(client.run("RPUSH k b c"), ":3");
        assert_eq!(client.run("DEL k"), ":1");
        assert_eq!(client.run("RPUSH k a b"), ":2");
        assert_eq!(client.run("RPUSH k c"), ":3");
        until_blocked(client, 1);
        assert_eq!(client.run("waits.signal k"), "+OK");
        assert_eq!(waiter.receive().to_string(), "\"k\"");
        begin(&mut waiter, "waits.keys 9 0 deleted k", client, 1);
        assert_eq!(client.run("waits.signal k"), "+OK");
        assert_eq!(client.run("DEL k"), ":1");
        assert_eq!(waiter.receive().to_string(), "+gone");
        assert_eq!(client.run("waits.freed"), ":2");
    });
}

#[test]
fn a_wait_for_keys_ends_by_time_by_others_or_with_the_connection() {
    with_waits(|server, client| {
        let mut waiter = server.client();
        assert_eq!(waiter.run("waits.keys 1 20 created k"), "+too late");
        let id = waiter.run("CLIENT ID").trim_start_matches(':').to_owned();
        begin(&mut waiter, "waits.keys 1 0 created k", client, 1);
        assert_eq!(client.run(&format!("CLIENT UNBLOCK {id}")), ":1");
        assert_eq!(waiter.receive().to_string(), "+too late");
        begin(&mut waiter, "waits.keys 1 0 created k", client, 1);
        assert_eq!(client.run(&format!("CLIENT UNBLOCK {id} ERROR")), ":1");
        let error = "-UNBLOCKED client unblocked via CLIENT UNBLOCK";
        assert_eq!(waiter.receive().to_string(), error);
        client.until("waits.freed", ":3");
        // Only an error and the end of the connection count as leaving.
        assert_eq!(client.run("waits.gone"), ":1");
        begin(&mut waiter, "waits.keys 1 0 endless k", client, 1);
        assert_eq!(client.run(&format!("CLIENT UNBLOCK {id} ERROR")), ":0");
        drop(waiter);
        until_blocked(client, 0);
        client.until("waits.freed", ":4");
        assert_eq!(client.run("waits.gone"), ":2");
        assert_eq!(client.run("RPUSH k a"), ":1");
        assert_eq!(client.run("LLEN k"), ":1");
    });
}

#[test]
fn where_nobody_may_wait_there_is_an_error_and_a_dead_handle() {
    with_waits(|_, client| {
        assert_eq!(client.run("MULTI"), "+OK");
        assert_eq!(client.run("waits.keys 1 0 created k"), "+QUEUED");
        let error = "-ERR Blocking module command called from transaction";
        assert_eq!(client.run("EXEC"), format!("*[{error}]"));
        let script = b"return redis.pcall('waits.keys', 1, 0, 'created', 'k').err";
        let answer = client.raw(&[b"EVAL", script, b"0"]).to_string();
        assert_eq!(answer, "\"ERR Blocking module command called from Lua script\"");
    });
}

#[test]
fn a_module_that_yields_lets_some_in_and_has_the_others_refused() {
    with_waits(|server, client| {
        assert_eq!(client.run("CONFIG SET busy-reply-threshold 20"), "+OK");
        let mut module = server.client();
        // On every thread that serves connections.
        let mut others: Vec<Client> = (0..6).map(|_| server.client()).collect();
        for round in 0..6 {
            module.send(&[b"waits.busy"]);
            others[round].until("SET k v", "-BUSY at work");
            assert_eq!(
                others[round].run("SCRIPT KILL"),
                "-NOTBUSY No scripts in execution right now."
            );
            assert_eq!(others[5 - round].run("SET k v"), "-BUSY at work");
            assert_eq!(others[round].run("waits.stop"), "+OK");
            assert_eq!(module.receive().to_string(), "+done");
            assert_eq!(others[round].run("SET k v"), "+OK");
        }
        module.send(&[b"waits.busy", b"quietly"]);
        for other in &mut others {
            assert_eq!(other.run("SET k v"), "+OK");
        }
        assert_eq!(module.receive().to_string(), "+done");
    });
}

#[test]
fn modules_have_a_say_in_who_logs_in() {
    const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
    with_waits(|server, client| {
        assert_eq!(client.run("ACL SETUSER alice on >secret ~* +@all"), "+OK");
        assert_eq!(client.run("waits.guard"), "+OK");
        let mut guest = server.client();
        for (password, answer) in [
            ("allow", "+OK"),
            ("deny", "-ERR not today"),
            ("secret", "+OK"),
            ("other", WRONG),
            ("later allow", "+OK"),
            ("later deny", "-ERR not today"),
            ("later nothing", WRONG),
            ("later abort", WRONG),
        ] {
            let command: [&[u8]; 3] = [b"AUTH", b"alice", password.as_bytes()];
            assert_eq!(guest.raw(&command).to_string(), answer, "{password}");
            let hello: [&[u8]; 7] =
                [b"HELLO", b"2", b"AUTH", b"alice", password.as_bytes(), b"SETNAME", b"x"];
            let hello = guest.raw(&hello).to_string();
            assert_eq!(hello.contains("\"server\""), answer == "+OK", "{password}: {hello}");
        }
        let stats = client.run("INFO commandstats");
        assert!(stats.contains("cmdstat_auth:calls=8,"), "{stats}");
        assert!(stats.contains("cmdstat_hello:calls=8,"), "{stats}");
        client.run("ACL SETUSER alice off");
        assert_eq!(guest.run("AUTH alice allow"), WRONG);
        // One that leaves while the module thinks is nobody's business any more.
        let mut leaving = server.client();
        leaving.send(&[b"AUTH", b"alice", b"later nothing"]);
        drop(leaving);
        assert_eq!(client.run("MULTI"), "+OK");
        assert_eq!(client.raw(&[b"AUTH", b"alice", b"later deny"]).to_string(), "+QUEUED");
        let error = "-ERR Blocking module command called from transaction";
        assert_eq!(client.run("EXEC"), format!("*[{error}]"));
    });
}

#[test]
fn commands_that_modules_call_may_wait_and_are_promised() {
    with_waits(|server, client| {
        let mut waiter = server.client();
        assert_eq!(waiter.run("waits.call SET a b"), "+OK");
        begin(&mut waiter, "waits.call BLPOP k 0", client, 1);
        assert_eq!(client.run("RPUSH k a"), ":1");
        assert_eq!(waiter.receive().to_string(), "*[\"k\" \"a\"]");
        assert_eq!(client.run("GET kept"), "\"1\"");
        // Calls in calls, of commands of modules that wait for keys.
        begin(&mut waiter, "waits.call waits.call waits.keys 1 0 created k", client, 1);
        assert_eq!(client.run("RPUSH k a"), ":1");
        assert_eq!(waiter.receive().to_string(), "\"k\"");
        assert_eq!(client.run("GET kept"), "\"3\"");
        assert_eq!(waiter.run("waits.call BLPOP none 0.02"), "*nil");
        assert_eq!(waiter.run("waits.call WAIT 1 20"), ":0");
        assert_eq!(waiter.run("waits.call waits.keys 1 20 created none"), "+too late");
        assert_eq!(client.run("GET kept"), "\"6\"");
        // A client that leaves has its command given up. The module frees what was promised, and gets it no second time.
        let freed = client.run("waits.freed");
        begin(&mut waiter, "waits.call waits.call BLPOP k2 0", client, 1);
        drop(waiter);
        until_blocked(client, 0);
        client.until("waits.gone", ":2");
        assert_eq!(client.run("RPUSH k2 a"), ":1");
        assert_eq!(client.run("LLEN k2"), ":1");
        assert_eq!(client.run("GET kept"), "\"6\"");
        assert_eq!(client.run("waits.freed"), freed);
    });
}
