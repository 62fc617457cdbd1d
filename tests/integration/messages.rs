//! Do messages reach those who listen: in one order, behind the replies that they belong behind, and not without bound?

use crate::harness::client::{Client, encode};
use crate::harness::server::Server;
use crate::harness::value::Value;
use crate::harness::wait_until;

/// Subscribers of some tests, spread over all workers.
const SUBSCRIBERS: usize = 24;

fn subscribers(server: &Server, count: usize, channel: &str) -> Vec<Client> {
    let subscribed = |_| {
        let mut client = server.tcp();
        client.call(&["SUBSCRIBE", channel]);
        client
    };
    (0..count).map(subscribed).collect()
}

/// The text of the next message.
fn message(client: &mut Client) -> String {
    let message = client.read().expect("a message arrives");
    message.items().last().map(Value::text).unwrap_or_default()
}

#[test]
fn all_subscribers_see_one_order_of_all_publishers() {
    const EACH: usize = 300;
    let server = Server::start(&[]);
    let mut listening = subscribers(&server, SUBSCRIBERS, "c");
    std::thread::scope(|scope| {
        for publisher in 0..3 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.tcp();
                let batch: Vec<u8> = (0..EACH)
                    .flat_map(|n| encode(&["PUBLISH", "c", &format!("{publisher}:{n}")]))
                    .collect();
                client.send_raw(&batch).expect("the server reads");
                for _ in 0..EACH {
                    let receivers = client.read().expect("a reply").int();
                    assert_eq!(receivers, SUBSCRIBERS as i64);
                }
            });
        }
    });
    let seen: Vec<Vec<String>> = listening
        .iter_mut()
        .map(|client| (0..3 * EACH).map(|_| message(client)).collect())
        .collect();
    assert!(seen.iter().all(|one| *one == seen[0]), "two subscribers saw different orders");
    for publisher in 0..3 {
        let own = seen[0].iter().filter_map(|text| text.strip_prefix(&format!("{publisher}:")));
        assert!(own.map(|n| n.parse::<usize>().unwrap()).is_sorted());
    }
}

#[test]
fn a_long_message_reaches_slow_and_fast_readers_whole() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub", "0", "0", "0"]);
    let mut listening = subscribers(&server, SUBSCRIBERS, "c");
    let long: Vec<String> =
        (0..4).map(|n| n.to_string().repeat(300_000 + 7 * n)).chain(["end".to_string()]).collect();
    let mut publisher = server.tcp();
    for text in &long {
        assert_eq!(publisher.call(&["PUBLISH", "c", text]).int(), SUBSCRIBERS as i64);
    }
    // Nobody has read so far, so sockets are full and the rest waits.
    for client in &mut listening {
        for text in &long {
            assert!(message(client) == *text, "a message of {} bytes is torn", text.len());
        }
        client.call(&["PING"]);
    }
}

#[test]
fn replies_and_messages_keep_their_order_on_a_full_socket() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub", "0", "0", "0"]);
    let mut client = server.tcp();
    client.call(&["HELLO", "3"]);
    client.call(&["SET", "k", &"v".repeat(200_000)]);
    client.call(&["SUBSCRIBE", "c"]);
    let mut publisher = server.tcp();
    let long = "m".repeat(100_000);
    for n in 0..20 {
        client.send(&["GETRANGE", "k", "0", &format!("{}", 100_000 + n)]).expect("there is room");
        publisher.call(&["PUBLISH", "c", &format!("{n}:{long}")]);
    }
    let (mut replies, mut messages) = (0, 0);
    while replies < 20 || messages < 20 {
        match client.read().expect("neither is lost") {
            Value::Bulk(text) => {
                assert_eq!(text.len(), 100_001 + replies);
                replies += 1;
            }
            push => {
                let text = push.items().last().map(Value::text).unwrap_or_default();
                assert!(text.starts_with(&format!("{messages}:m")) && text.len() > 100_000);
                messages += 1;
            }
        }
    }
}

#[test]
fn who_does_not_read_is_cut_off_and_the_others_go_on() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"]);
    let mut deaf = subscribers(&server, 1, "c").remove(0);
    let mut keen = subscribers(&server, 1, "c").remove(0);
    let mut publisher = server.tcp();
    let text = "x".repeat(100_000);
    let mut published = 0;
    wait_until("the one that does not read is gone", || {
        published += 1;
        publisher.call(&["PUBLISH", "c", &text]);
        assert_eq!(message(&mut keen).len(), text.len());
        publisher.call(&["PUBSUB", "NUMSUB", "c"]).items()[1].int() == 1
    });
    assert!(deaf.read_to_end().is_ok(), "the connection is closed");
    assert!(server.log().contains("closed for overcoming of output buffer limits"));
    // Kernel buffers take a few megabytes of the loopback.
    assert!(published < 500, "{published} messages of 100 KB were kept for it");
}

#[test]
fn a_pause_stops_a_batch_at_the_first_command_that_waits() {
    let server = Server::start(&[]);
    let mut admin = server.tcp();
    let mut client = server.tcp();
    admin.call(&["SET", "k", "0"]);
    admin.call(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    let batch: Vec<u8> =
        [&["GET", "k"][..], &["PING"], &["INCR", "k"], &["GET", "k"], &["INCR", "k"], &["PING"]]
            .iter()
            .flat_map(|argv| encode(argv))
            .collect();
    client.send_raw(&batch).expect("the server reads");
    assert_eq!(client.read().unwrap().text(), "0");
    assert_eq!(client.read().unwrap().text(), "PONG");
    wait_until("the rest waits", || server.info("blocked_clients").unwrap() == "1");
    assert_eq!(admin.call(&["GET", "k"]).text(), "0");
    admin.call(&["CLIENT", "UNPAUSE"]);
    assert_eq!(client.read().unwrap().int(), 1);
    assert_eq!(client.read().unwrap().text(), "1");
    assert_eq!(client.read().unwrap().int(), 2);
    assert_eq!(client.read().unwrap().text(), "PONG");
    assert_eq!(server.info("blocked_clients").unwrap(), "0");
}

#[test]
fn clients_on_all_workers_wake_when_a_pause_is_over() {
    let server = Server::start(&[]);
    let mut admin = server.tcp();
    let mut clients: Vec<Client> = (0..SUBSCRIBERS).map(|_| server.tcp()).collect();
    admin.call(&["CLIENT", "PAUSE", "300"]);
    for client in &mut clients {
        client.send(&["INCR", "k"]).expect("the server reads");
    }
    let mut sum = 0;
    for client in &mut clients {
        sum += client.read().expect("the pause ends by itself").int();
    }
    assert_eq!(sum as usize, SUBSCRIBERS * (SUBSCRIBERS + 1) / 2);
    // One that leaves while it waits is forgotten.
    admin.call(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    let mut gone = server.tcp();
    gone.send(&["INCR", "k"]).expect("the server reads");
    wait_until("it waits", || server.info("blocked_clients").unwrap() == "1");
    drop(gone);
    wait_until("it is gone", || server.info("blocked_clients").unwrap() == "0");
    admin.call(&["CLIENT", "UNPAUSE"]);
    assert_eq!(admin.call(&["GET", "k"]).text(), SUBSCRIBERS.to_string());
}

#[test]
fn a_cache_is_never_left_with_an_old_value() {
    const WRITES: i64 = 2000;
    let server = Server::start(&[]);
    let mut cached = server.tcp();
    cached.call(&["HELLO", "3"]);
    cached.call(&["CLIENT", "TRACKING", "ON"]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = server.tcp();
            for n in 1..=WRITES {
                writer.call(&["SET", "k", &n.to_string()]);
            }
        });
        // As a client with a cache does: what was read is used until it is said to be old.
        loop {
            cached.send(&["GET", "k"]).expect("the server reads");
            let value = loop {
                match cached.read().expect("a reply or a message") {
                    Value::Push(_) => {}
                    Value::Nil => break 0,
                    value => break value.text().parse().expect("a number"),
                }
            };
            if value == WRITES {
                break;
            }
            // Without the message that the value is old this would wait in vain.
            let push = cached.read().expect("the value is said to be old");
            assert!(matches!(push, Value::Push(_)), "not a message");
        }
    });
}
