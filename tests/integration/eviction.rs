//! Does the server stay below `maxmemory`, and does it give up the keys that the policy names?

use crate::harness::client::{Client, encode};
use crate::harness::server::Server;
use crate::harness::wait_until;

const KEYS: usize = 4000;
const VALUE_BYTES: usize = 512;

/// Sets keys of one prefix, with what follows the value in SET.
fn fill(client: &mut Client, prefix: &str, options: &[&str]) {
    let value = "v".repeat(VALUE_BYTES);
    let mut wire = Vec::new();
    for number in 0..KEYS {
        let key = format!("{prefix}:{number}");
        wire.extend(encode(&[&["SET", &key, &value][..], options].concat()));
    }
    client.send_raw(&wire).expect("the server reads");
    for _ in 0..KEYS {
        assert_eq!(client.read().expect("a reply").text(), "OK");
    }
}

/// How many keys of a prefix are left.
fn left(client: &mut Client, prefix: &str) -> usize {
    client.call(&["KEYS", &format!("{prefix}:*")]).items().len()
}

fn used(server: &Server) -> usize {
    server.info("used_memory").and_then(|text| text.parse().ok()).expect("a number of bytes")
}

/// Lowers the limit so far that about half of one [`fill`] has to go, and waits until it has.
fn squeeze(server: &Server, client: &mut Client, policy: &str) {
    client.call(&["CONFIG", "SET", "maxmemory-policy", policy]);
    let limit = used(server) - KEYS * VALUE_BYTES / 2;
    client.call(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    wait_until("memory is below its limit", || used(server) <= limit);
}

#[test]
fn only_keys_that_expire_go_under_a_volatile_policy() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let server = Server::start(&[]);
        let mut client = server.client();
        fill(&mut client, "stays", &[]);
        fill(&mut client, "may-go", &["EX", "10000"]);
        squeeze(&server, &mut client, policy);
        client.call(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(left(&mut client, "stays"), KEYS, "{policy}");
        let evicted = KEYS - left(&mut client, "may-go");
        assert!((KEYS / 4..KEYS).contains(&evicted), "{policy} evicted {evicted} of {KEYS}");
        assert_eq!(server.info("evicted_keys"), Some(evicted.to_string()), "{policy}");
    }
}

#[test]
fn the_key_that_expires_first_goes_first() {
    let server = Server::start(&["--maxmemory-samples", "10"]);
    let mut client = server.client();
    fill(&mut client, "soon", &["EX", "1000"]);
    fill(&mut client, "late", &["EX", "100000"]);
    squeeze(&server, &mut client, "volatile-ttl");
    let (soon, late) = (KEYS - left(&mut client, "soon"), KEYS - left(&mut client, "late"));
    assert!(soon > 50 * late, "{soon} of the early ones went, {late} of the late ones");
}

#[test]
fn what_is_used_often_stays_under_lfu() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lfu", "--lfu-log-factor", "0"]);
    let mut client = server.client();
    fill(&mut client, "rare", &[]);
    fill(&mut client, "often", &[]);
    for _ in 0..4 {
        let wire: Vec<u8> =
            (0..KEYS).flat_map(|n| encode(&["GET", &format!("often:{n}")])).collect();
        client.send_raw(&wire).expect("the server reads");
        (0..KEYS).for_each(|_| assert_eq!(client.read().unwrap().text().len(), VALUE_BYTES));
    }
    squeeze(&server, &mut client, "allkeys-lfu");
    let (rare, often) = (KEYS - left(&mut client, "rare"), KEYS - left(&mut client, "often"));
    assert!(rare > 50 * often, "{rare} of the rare ones went, {often} of the others");
}

#[test]
fn writes_go_on_at_the_limit_until_nothing_may_go() {
    let server = Server::start(&[]);
    let mut client = server.client();
    fill(&mut client, "old", &[]);
    squeeze(&server, &mut client, "allkeys-random");
    let before = left(&mut client, "old");
    // Four times what fits.
    for round in 0..2 {
        fill(&mut client, &format!("new{round}"), &[]);
    }
    assert!(left(&mut client, "old") < before);
    client.call(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    // The limit is looked at before a command, not after it.
    client.call(&["SETBIT", "one", &((64 << 20) - 1).to_string(), "1"]);
    let refused = client.try_call(&["SET", "two", "v"]).expect("a reply");
    assert_eq!(refused.text(), "OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(client.call(&["STRLEN", "one"]).int(), 8 << 20, "reads go on");
    client.call(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    assert!(client.try_call(&["SET", "two", "v"]).expect("a reply").is_error(), "no key expires");
}

#[test]
fn an_eviction_is_told_before_the_command_that_needed_the_room() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.call(&["HELLO", "3"]);
    client.call(&["CLIENT", "TRACKING", "on"]);
    client.call(&["CONFIG", "SET", "notify-keyspace-events", "Ee"]);
    let mut listener = server.tcp();
    listener.call(&["SUBSCRIBE", "__keyevent@0__:evicted"]);
    client.call(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    client.call(&["SET", "goes", "v", "EX", "1000"]);
    client.call(&["GET", "goes"]);
    let limit = used(&server) + (100 << 10);
    client.call(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    client.call(&["SETBIT", "large", "8000000", "1"]);
    let told = client.call(&["EXISTS", "goes"]);
    assert_eq!(told.items().first().map(|word| word.text()).as_deref(), Some("invalidate"));
    assert_eq!(client.read().expect("the reply").int(), 0);
    let event = listener.read().expect("an event");
    assert_eq!(event.items().last().map(|word| word.text()).as_deref(), Some("goes"));
}

#[test]
fn telling_caches_of_evicted_keys_evicts_no_more() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
    let mut control = server.client();
    let mut caches: Vec<Client> = (0..10).map(|_| server.client()).collect();
    for cache in &mut caches {
        cache.call(&["HELLO", "3"]);
        cache.call(&["CLIENT", "TRACKING", "ON"]);
    }
    for number in 0..300 {
        let key = format!("{number}{}", "x".repeat(1000));
        control.call(&["SET", &key, "v"]);
        caches.iter_mut().for_each(|cache| assert_eq!(cache.call(&["GET", &key]).text(), "v"));
    }
    let limit = used(&server) - 40_000;
    control.call(&["CONFIG", "SET", "maxmemory-eviction-tenacity", "100"]);
    control.call(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    // Each key is told ten times, and what is told is as long as the key.
    let left = control.call(&["DBSIZE"]).int();
    assert!((200..300).contains(&left), "{left} of 300 keys are left");
    for cache in &mut caches {
        assert_eq!(cache.read().expect("an invalidation").items()[0].text(), "invalidate");
    }
}
