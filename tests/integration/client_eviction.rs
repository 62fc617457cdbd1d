//! Does `maxmemory-clients` disconnect the clients that take most, and no others?

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::wait_until;

const MIB: usize = 1 << 20;

/// A figure of CLIENT LIST, of the client with this name; none if it is gone.
fn figure(control: &mut Client, name: &str, field: &str) -> Option<usize> {
    let list = control.call(&["CLIENT", "LIST"]).text();
    let line = list.lines().find(|line| line.contains(&format!(" name={name} ")))?;
    let word = line.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    Some(word.expect("the field").parse().expect("a number"))
}

fn named(server: &Server, name: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.call(&["CLIENT", "SETNAME", name]).text(), "OK");
    client
}

/// A client that has sent so many bytes of a request and not its end, all of which were read.
fn half_sent(server: &Server, control: &mut Client, name: &str, bytes: usize) -> Client {
    let mut client = named(server, name);
    let head = format!("*1\r\n${bytes}\r\n");
    client.send_raw(&[head.as_bytes(), &vec![b'x'; bytes]].concat()).expect("the server reads");
    wait_until("all was read", || figure(control, name, "qbuf") == Some(bytes));
    client
}

fn evicted(server: &Server) -> usize {
    server.info("evicted_clients").and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn the_largest_go_until_the_rest_fits() {
    let server = Server::start(&[]);
    let mut control = named(&server, "control");
    let small = half_sent(&server, &mut control, "small", MIB / 2);
    let mut large = half_sent(&server, &mut control, "large", 4 * MIB);
    let middle = half_sent(&server, &mut control, "middle", 2 * MIB);
    assert!(figure(&mut control, "middle", "tot-mem") >= Some(2 * MIB));
    control.call(&["CONFIG", "SET", "maxmemory-clients", "4mb"]);
    assert!(large.is_closed());
    assert_eq!(figure(&mut control, "large", "id"), None);
    assert_eq!(evicted(&server), 1);
    control.call(&["CONFIG", "SET", "maxmemory-clients", "1mb"]);
    wait_until("the next one goes", || figure(&mut control, "middle", "id").is_none());
    assert!(figure(&mut control, "small", "id").is_some());
    assert_eq!(evicted(&server), 2);
    control.call(&["CONFIG", "RESETSTAT"]);
    assert_eq!(evicted(&server), 0);
    drop((small, middle));
}

#[test]
fn who_may_not_go_counts_and_stays() {
    let server = Server::start(&["--maxmemory-clients", "3mb"]);
    let mut control = named(&server, "control");
    let mut spared = named(&server, "spared");
    spared.call(&["CLIENT", "NO-EVICT", "ON"]);
    spared.send_raw(format!("*1\r\n${}\r\n", 2 * MIB).as_bytes()).expect("the server reads");
    spared.send_raw(&vec![b'x'; 2 * MIB]).expect("the server reads");
    wait_until("all was read", || figure(&mut control, "spared", "qbuf") == Some(2 * MIB));
    let mut other = named(&server, "other");
    // The server may close it before it has sent everything.
    let _ = other.send_raw(format!("*1\r\n${}\r\n", 2 * MIB).as_bytes());
    let _ = other.send_raw(&vec![b'x'; 2 * MIB]);
    wait_until("the other one goes", || figure(&mut control, "other", "id").is_none());
    assert!(figure(&mut control, "spared", "id").is_some());
    assert!(figure(&mut control, "control", "id").is_some());
}

#[test]
fn a_request_that_makes_its_client_too_large_does_not_run() {
    let server = Server::start(&["--maxmemory-clients", "1mb"]);
    let mut control = named(&server, "control");
    let mut client = named(&server, "large");
    let value = "v".repeat(2 * MIB);
    let argv = ["SET", "key", &value];
    assert!(client.try_call(&argv).is_err(), "it is disconnected");
    assert_eq!(control.call(&["EXISTS", "key"]).int(), 0);
    assert_eq!(evicted(&server), 1);
}

#[test]
fn replies_and_messages_that_nobody_reads_count() {
    let server = Server::start(&["--maxmemory-clients", "5%", "--maxmemory", "100mb"]);
    let mut control = named(&server, "control");
    let payload = "v".repeat(MIB);
    assert_eq!(control.call(&["SET", "key", &payload]).text(), "OK");
    let mut reader = named(&server, "reader");
    let mut listener = named(&server, "listener");
    listener.call(&["SUBSCRIBE", "channel"]);
    wait_until("the reader goes", || {
        let _ = reader.send(&["GET", "key"]);
        figure(&mut control, "reader", "id").is_none()
    });
    wait_until("the listener goes", || {
        control.call(&["PUBLISH", "channel", &payload]);
        figure(&mut control, "listener", "id").is_none()
    });
    assert_eq!(server.info("evicted_keys").as_deref(), Some("0"));
}

#[test]
fn a_queue_counts_and_what_ends_it_frees_that() {
    let server = Server::start(&["--maxmemory-clients", "2mb"]);
    let mut control = named(&server, "control");
    let mut client = named(&server, "queues");
    let value = "v".repeat(MIB / 2);
    for _ in 0..4 {
        client.call(&["MULTI"]);
        assert_eq!(client.call(&["SET", "key", &value]).text(), "QUEUED");
        assert!(figure(&mut control, "queues", "multi-mem") >= Some(MIB / 2));
        client.call(&["EXEC"]);
    }
    client.call(&["MULTI"]);
    let mut queue = || client.try_call(&["SET", "key", &value]);
    assert!((0..8).any(|_| queue().is_err()), "it is disconnected");
    assert_eq!(figure(&mut control, "queues", "id"), None);
}

#[test]
fn a_reply_past_the_limit_is_not_written_to_its_end() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 1000000 0 0"]);
    let mut control = server.client();
    control.call(&["HSET", "hash", "a", "b"]);
    control.call(&["SADD", "set", "a"]);
    control.call(&["ZADD", "zset", "1", "a"]);
    for (name, key) in [("HRANDFIELD", "hash"), ("SRANDMEMBER", "set"), ("ZRANDMEMBER", "zset")] {
        let mut client = server.client();
        // Written whole it would be gigabytes.
        assert!(client.try_call(&[name, key, "-999999999"]).is_err(), "{name}");
    }
    let script = "return #redis.call('SRANDMEMBER', 'set', '-200000')";
    assert_eq!(control.call(&["EVAL", script, "0"]).int(), 200_000);
}
