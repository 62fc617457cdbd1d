//! Do lists, sorted sets, streams, waits for keys and users work as their documentation says, in every server that
//! has the functions for them?

#[allow(dead_code, reason = "other tests use the rest")]
mod client;

use client::{Client, Server, check, example, with_modules};

/// Runs a test in each server, unless a command says there that a function of the API is missing.
fn with_stores(test: impl Fn(&Server, &mut Client), probe: &str) {
    with_modules(&[example("stores")], &[], |server, client| {
        let answer = client.run(probe);
        if answer.contains("the server has no module API function") {
            eprintln!("skipped: {answer}");
            return;
        }
        client.run("FLUSHALL");
        test(server, client);
    });
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn lists() {
    let test = |_: &Server, client: &mut Client| {
        check(
            client,
            &[
                ("STORES.LIST lpop l", "$nil"),
                ("STORES.LIST get l 0", "$nil"),
                ("STORES.LIST rpush l b", "+OK"),
                ("STORES.LIST lpush l a", "+OK"),
                ("STORES.LIST rpush l 3", "+OK"),
                ("STORES.LIST all l", "*[\"a\" \"b\" \"3\"]"),
                ("STORES.LIST get l -1", "\"3\""),
                ("STORES.LIST set l 1 B", "+OK"),
                ("STORES.LIST insert l 1 between", "+OK"),
                ("LRANGE l 0 -1", "*[\"a\" \"between\" \"B\" \"3\"]"),
                ("STORES.LIST set l 9 x", "-ERR the server refused ListSet"),
                ("STORES.LIST delete l 9", "-ERR the server refused ListDelete"),
                ("STORES.LIST delete l 1", "+OK"),
                ("STORES.LIST rpop l", "\"3\""),
                ("STORES.LIST lpop l", "\"a\""),
                ("STORES.LIST lpop l", "\"B\""),
                ("EXISTS l", ":0"),
                ("SET s 1", "+OK"),
                ("STORES.LIST rpush s x", WRONG_TYPE),
                ("STORES.LIST get s 0", WRONG_TYPE),
                ("RPUSH n 1.5 2", ":2"),
                ("HSET pairs a 3 b 4", ":2"),
                ("STORES.SUM n", "\"10.5\""),
                ("RPUSH n x", ":3"),
            ],
        );
        let answer = client.run("STORES.SUM n");
        assert!(answer.starts_with("-ERR the command answered"), "{answer}");
    };
    with_stores(test, "STORES.LIST lpush l x");
}

#[test]
fn sorted_sets() {
    let test = |_: &Server, client: &mut Client| {
        check(
            client,
            &[
                ("STORES.ZSET up z 0 9 9", "*[]"),
                ("STORES.ZSET remove z a", ":0"),
                ("STORES.ZSET add z 1 a", "\"Added\""),
                ("STORES.ZSET add z 1 a", "\"None\""),
                ("STORES.ZSET add z 2 a", "\"Updated\""),
                ("STORES.ZSET new z 3 a", "\"None\""),
                ("STORES.ZSET there z 3 b", "\"None\""),
                ("STORES.ZSET new z 3 b", "\"Added\""),
                ("STORES.ZSET increment z 1.5 c", "\"1.5\""),
                ("STORES.ZSET increment z -1 c", "\"0.5\""),
                ("STORES.ZSET up z 0 9 9", "*[\"c=0.5\" \"a=2\" \"b=3\"]"),
                ("STORES.ZSET up z 0.5 3 9", "*[\"c=0.5\" \"a=2\"]"),
                ("STORES.ZSET down z 0 9 2", "*[\"b=3\" \"a=2\"]"),
                ("STORES.ZSET add z nan a", "-ERR value is not a valid float"),
                ("ZSCORE z b", "\"3\""),
                ("STORES.ZSET remove z a", ":1"),
                ("ZREM z b c", ":2"),
                ("EXISTS z", ":0"),
                ("SET s 1", "+OK"),
                ("STORES.ZSET add s 1 a", WRONG_TYPE),
                ("STORES.ZSET up s 0 1 1", WRONG_TYPE),
            ],
        );
    };
    with_stores(test, "STORES.ZSET add z 1 a");
}

#[test]
fn streams() {
    let test = |_: &Server, client: &mut Client| {
        check(
            client,
            &[
                ("STORES.STREAM up x", "*[]"),
                ("STORES.STREAM add x a 1", ":1"),
                ("STORES.STREAM add x b 2", ":1"),
                ("STORES.STREAM add x c 3", ":1"),
                ("XLEN x", ":3"),
                ("STORES.STREAM first x", ":1"),
                ("XLEN x", ":2"),
                ("STORES.STREAM trim x 1", ":1"),
                ("XLEN x", ":1"),
                ("SET s 1", "+OK"),
                ("STORES.STREAM add s a 1", WRONG_TYPE),
                ("STORES.STREAM up s", WRONG_TYPE),
            ],
        );
        client.run("STORES.STREAM add x d 4");
        let (c, d) = (r#"(\"c\", \"3\")"#, r#"(\"d\", \"4\")"#);
        let (up, down) = (client.run("STORES.STREAM up x"), client.run("STORES.STREAM down x"));
        assert!(up.find(c) < up.find(d) && up.contains(c), "{up}");
        assert!(down.find(d) < down.find(c) && down.contains(r#"(\"more\", \"x\")"#), "{down}");
    };
    with_stores(test, "STORES.STREAM add x a 1");
}

#[test]
fn clients_wait_for_keys() {
    let test = |server: &Server, client: &mut Client| {
        check(
            client,
            &[
                ("RPUSH q a", ":1"),
                ("STORES.TAKE q 0", "\"a\""),
                ("STORES.TAKE q 1", "*nil"),
                ("MULTI", "+OK"),
                ("STORES.TAKE q 0", "+QUEUED"),
                ("EXEC", "*[-ERR blocking is not allowed in this context]"),
            ],
        );
        let mut waiting = [server.client(), server.client()];
        for (number, other) in waiting.iter_mut().enumerate() {
            other.send(&[b"STORES.TAKE", b"q", b"0"]);
            client.until_contains("INFO clients", &format!("blocked_clients:{}", number + 1));
        }
        // In the order in which they came; a key of another kind serves nobody.
        client.run("RPUSH q 1 2 3");
        assert_eq!(waiting[0].receive().to_string(), "\"1\"");
        assert_eq!(waiting[1].receive().to_string(), "\"2\"");
        assert_eq!(client.run("LRANGE q 0 -1"), "*[\"3\"]");
    };
    with_stores(test, "STORES.TAKE nothing 1");
}

#[test]
fn users() {
    let test = |server: &Server, client: &mut Client| {
        client.run("ACL SETUSER ann on >secret ~a:* +get &other");
        check(
            client,
            &[
                ("STORES.USER ann", "*[\"default\" :1 :0 :1 :0 :0]"),
                ("STORES.USER default", "*[\"default\" :1 :1 :1 :1 :1]"),
                ("STORES.USER nobody", "$nil"),
            ],
        );
        let mut other = server.client();
        assert_eq!(other.run("STORES.LOGIN ann no"), "-WRONGPASS not the word");
        assert_eq!(other.run("ACL WHOAMI"), "\"default\"");
        assert_eq!(
            other.run("STORES.LOGIN nobody sesame"),
            "-ERR the server refused AuthenticateClientWithACLUser"
        );
        assert_eq!(other.run("STORES.LOGIN ann sesame"), "+OK");
        assert_eq!(other.run("GET a:1"), "$nil");
        assert!(other.run("GET b:1").starts_with("-NOPERM"));
    };
    with_stores(test, "STORES.USER default");
}
