//! Do keys end when they should: not read a moment too late, not kept for ever, and counted?

use crate::harness::server::Server;
use crate::harness::value::Value;
use crate::harness::wait_until;

/// The server's clock and a key's value in one step: {ms, value or false, pttl}.
const LOOK: &str = "local now = redis.call('time') \
    return {now[1] * 1000 + math.floor(now[2] / 1000), redis.call('get', KEYS[1]), \
            redis.call('pttl', KEYS[1])}";

#[test]
fn a_key_is_there_until_its_moment_and_not_after() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let now = |reply: &[Value]| reply[0].int();
    // Our clock stands still while a script runs. Redis 7.0's TIME does not, so it may tell a moment after the GET.
    let slack = if server.is_ours() { 0 } else { 1000 };
    for span in [1, 3, 10, 30, 100] {
        let start = now(&client.call(&["EVAL", LOOK, "1", "k"]).items());
        let end = start + span;
        client.call(&["SET", "k", "v", "PXAT", &end.to_string()]);
        let mut seen = 0;
        loop {
            let reply = client.call(&["EVAL", LOOK, "1", "k"]).items();
            let alive = reply[1] != Value::Nil;
            assert!(!alive || now(&reply) <= end + slack, "read {} ms late", now(&reply) - end);
            assert!(alive || now(&reply) >= end, "gone {} ms early", end - now(&reply));
            let left = reply[2].int();
            if alive {
                seen += 1;
                assert!((0..=span).contains(&left), "{left} ms left of {span}");
            } else {
                assert_eq!(left, -2);
                break;
            }
        }
        assert!(seen > 0 || span < 10, "the key was never seen alive");
        assert_eq!(client.call(&["EXISTS", "k"]).int(), 0);
    }
}

#[test]
fn keys_that_nobody_touches_are_removed_too() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let mut wire = Vec::new();
    for number in 0..5000 {
        let key = format!("brief:{number}");
        let life = (1 + number % 50).to_string();
        wire.extend(crate::harness::client::encode(&["SET", &key, "v", "PX", &life]));
    }
    client.send_raw(&wire).unwrap();
    for _ in 0..5000 {
        assert_eq!(client.read().unwrap().text(), "OK");
    }
    client.call(&["SET", "lasting", "v"]);
    client.call(&["SET", "long", "v", "EX", "1000"]);
    let stale = || server.info("expired_stale_perc").unwrap().parse::<f64>().unwrap();
    wait_until("some were found stale", || !server.is_ours() || stale() > 0.0);
    wait_until("only what lasts is left", || client.call(&["DBSIZE"]).int() == 2);
    assert_eq!(server.info("expired_keys").unwrap(), "5000");
    assert_eq!(client.call(&["MGET", "lasting", "long"]).items().len(), 2);
}

#[test]
fn few_dead_among_many_living_go_too() {
    let server = Server::start(&[]);
    if !server.is_ours() {
        // Redis looks at keys at random, so that the last ones may stay for minutes.
        return;
    }
    let mut client = server.client();
    let mut wire = Vec::new();
    for number in 0..20_000 {
        let (key, life) = (format!("k:{number}"), if number % 200 == 0 { "1" } else { "1000000" });
        wire.extend(crate::harness::client::encode(&["SET", &key, "v", "PX", life]));
    }
    client.send_raw(&wire).unwrap();
    for _ in 0..20_000 {
        assert_eq!(client.read().unwrap().text(), "OK");
    }
    wait_until("the dead are gone", || client.call(&["DBSIZE"]).int() == 19_900);
    assert_eq!(server.info("expired_keys").unwrap(), "100");
}

#[test]
fn other_databases_are_cleaned_as_well() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for db in 0..16 {
        client.call(&["SELECT", &db.to_string()]);
        client.call(&["SET", "brief", "v", "PX", "5"]);
    }
    wait_until("all sixteen are gone", || server.info("expired_keys").as_deref() == Some("16"));
    for db in 0..16 {
        client.call(&["SELECT", &db.to_string()]);
        assert_eq!(client.call(&["DBSIZE"]).int(), 0);
    }
}

#[test]
fn a_scan_and_a_random_key_never_show_the_dead() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    for number in 0..100 {
        client.call(&["SET", &format!("dead:{number}"), "v", "PX", "1"]);
    }
    client.call(&["SET", "alive", "v"]);
    wait_until("the last one is dead", || client.call(&["EXISTS", "dead:99"]).int() == 0);
    let mut cursor = "0".to_string();
    let mut keys = Vec::new();
    loop {
        let reply = client.call(&["SCAN", &cursor]).items();
        cursor = reply[0].text();
        keys.extend(reply[1].items());
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(keys, [Value::Bulk(b"alive".to_vec())]);
    assert_eq!(client.call(&["RANDOMKEY"]).text(), "alive");
    assert_eq!(client.call(&["KEYS", "*"]).items().len(), 1);
}

#[test]
fn a_lease_that_ended_can_be_taken_by_one_only() {
    let server = Server::start(&[]);
    let mut clients: Vec<_> = (0..4).map(|_| server.tcp()).collect();
    for round in 0..50 {
        clients[0].call(&["SET", "lease", "old", "PX", "2"]);
        let mut winners = 0;
        wait_until("somebody takes the lease", || {
            for (number, client) in clients.iter_mut().enumerate() {
                let taken =
                    client.call(&["SET", "lease", &number.to_string(), "NX", "PX", "60000"]);
                winners += usize::from(taken != Value::Nil);
            }
            winners > 0
        });
        assert_eq!(winners, 1, "round {round}");
        clients[0].call(&["DEL", "lease"]);
    }
}

#[test]
fn a_paused_cron_removes_nothing() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    if !server.is_ours() {
        // Redis looks for expired keys outside its cron as well.
        return;
    }
    let mut client = server.client();
    client.call(&["DEBUG", "PAUSE-CRON", "1"]);
    client.call(&["SET", "k", "v", "PX", "1"]);
    let mut millis = || {
        let time = client.call(&["TIME"]).items();
        time[0].text().parse::<i64>().unwrap() * 1000
            + time[1].text().parse::<i64>().unwrap() / 1000
    };
    // Three visits of the cron would have come by.
    let end = millis() + 350;
    wait_until("time has passed", || millis() > end);
    assert_eq!(client.call(&["DBSIZE"]).int(), 1);
    client.call(&["DEBUG", "PAUSE-CRON", "0"]);
    wait_until("the key is removed", || client.call(&["DBSIZE"]).int() == 0);
}
