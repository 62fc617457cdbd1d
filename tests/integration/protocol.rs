//! What do raw bytes do? Pieces, pipelines, inline commands, and requests that lie about their lengths.

use std::time::Duration;

use crate::harness::client::{Client, encode};
use crate::harness::server::Server;
use crate::harness::value::Value;
use crate::harness::wait_until;

/// Sends bytes; what comes back until the server closes.
fn until_closed(server: &Server, bytes: &[u8]) -> String {
    let mut client = server.tcp();
    // The server may close before it has taken everything.
    let _ = client.send_raw(bytes);
    let shown: String = String::from_utf8_lossy(bytes).chars().take(40).collect();
    let reply = client.read_to_end().unwrap_or_else(|error| panic!("after {shown:?}: {error}"));
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn broken_requests_get_their_error_and_the_door() {
    let server = Server::start(&[]);
    let long = |start: &str| format!("{start}{}", "1".repeat(70_000));
    let cases: Vec<(String, &str)> = vec![
        ("*abc\r\n".into(), "invalid multibulk length"),
        ("*\r\n".into(), "invalid multibulk length"),
        ("* 1\r\n".into(), "invalid multibulk length"),
        ("*2147483648\r\n".into(), "invalid multibulk length"),
        ("*99999999999999999999\r\n".into(), "invalid multibulk length"),
        ("*1\r\nfoo\r\n".into(), "expected '$', got 'f'"),
        ("*1\r\n:1\r\n".into(), "expected '$', got ':'"),
        ("*2\r\n$3\r\nGET\r\n+k\r\n".into(), "expected '$', got '+'"),
        ("*1\r\n$-1\r\n".into(), "invalid bulk length"),
        ("*1\r\n$abc\r\n".into(), "invalid bulk length"),
        ("*1\r\n$\r\n".into(), "invalid bulk length"),
        ("*1\r\n$536870913\r\n".into(), "invalid bulk length"),
        ("*1\r\n$9223372036854775808\r\n".into(), "invalid bulk length"),
        ("SET k \"unbalanced\r\n".into(), "unbalanced quotes in request"),
        ("SET k 'unbalanced\r\n".into(), "unbalanced quotes in request"),
        ("SET k \"a\"b\r\n".into(), "unbalanced quotes in request"),
        (long("*"), "too big mbulk count string"),
        (long("*1\r\n$"), "too big bulk count string"),
        (long("SET k "), "too big inline request"),
    ];
    for (bytes, error) in cases {
        let shown: String = bytes.chars().take(40).collect();
        let reply = until_closed(&server, bytes.as_bytes());
        assert_eq!(reply, format!("-ERR Protocol error: {error}\r\n"), "after {shown:?}");
    }
    assert_eq!(server.client().call(&["PING"]).text(), "PONG");
}

#[test]
fn the_first_protocol_is_configured() {
    let server = Server::start(&["--client-default-resp", "3"]);
    let mut client = server.tcp();
    let mut line = |request: &str| {
        client.send_raw(request.as_bytes()).unwrap();
        client.read_line().unwrap()
    };
    assert_eq!(line("GET missing\r\n"), "_");
    assert_eq!(line("RESET\r\n"), "+RESET");
    assert_eq!(line("GET missing\r\n"), "_");
    assert!(line("HELLO 2\r\n").starts_with('*'));
}

#[test]
fn what_came_before_the_mistake_is_answered() {
    let server = Server::start(&[]);
    let mut bytes = encode(&["SET", "k", "v"]);
    bytes.extend(encode(&["GET", "k"]));
    bytes.extend(b"*1\r\n$oops\r\n");
    bytes.extend(encode(&["SET", "k", "never"]));
    let reply = until_closed(&server, &bytes);
    assert_eq!(reply, "+OK\r\n$1\r\nv\r\n-ERR Protocol error: invalid bulk length\r\n");
    assert_eq!(server.client().call(&["GET", "k"]).text(), "v");
}

#[test]
fn strangers_may_send_little() {
    let server = Server::start(&["--requirepass", "secret"]);
    let reply = until_closed(&server, b"*100\r\n");
    assert_eq!(reply, "-ERR Protocol error: unauthenticated multibulk length\r\n");
    let reply = until_closed(&server, b"*1\r\n$20000\r\n");
    assert_eq!(reply, "-ERR Protocol error: unauthenticated bulk length\r\n");
    let mut client = server.tcp();
    assert_eq!(client.call(&["AUTH", "secret"]).text(), "OK");
    let long = "x".repeat(20_000);
    assert_eq!(client.call(&["ECHO", &long]).text(), long);
}

#[test]
fn requests_of_nothing_are_passed_over() {
    let server = Server::start(&[]);
    let mut client = server.tcp();
    client.send_raw(b"\r\n\r\n*0\r\n*-1\r\n*-10\r\n   \r\nPING\r\n").unwrap();
    assert_eq!(client.read().unwrap().text(), "PONG");
}

#[test]
fn inline_commands_have_quotes_and_escapes() {
    let server = Server::start(&[]);
    let mut client = server.tcp();
    client.send_raw(b"SET  k   \"a\\x41\\n\\\"\"  \r\nGET k\n").unwrap();
    assert_eq!(client.read().unwrap().text(), "OK");
    assert_eq!(client.read().unwrap(), Value::Bulk(b"aA\n\"".to_vec()));
    client.send_raw(b"SET k 'it\\'s \\n'\r\nGET k\r\nset k ''\r\nstrlen k\r\n").unwrap();
    assert_eq!(client.read().unwrap().text(), "OK");
    assert_eq!(client.read().unwrap(), Value::Bulk(b"it's \\n".to_vec()));
    assert_eq!(client.read().unwrap().text(), "OK");
    assert_eq!(client.read().unwrap().int(), 0);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start(&[]);
    let mut client = server.tcp();
    let mut bytes = encode(&["SET", "key", "a value\r\nwith an end of line"]);
    bytes.extend(b"GET key\r\n");
    bytes.extend(encode(&["ECHO", ""]));
    for byte in bytes {
        client.send_raw(&[byte]).unwrap();
    }
    assert_eq!(client.read().unwrap().text(), "OK");
    assert_eq!(client.read().unwrap().text(), "a value\r\nwith an end of line");
    assert_eq!(client.read().unwrap().text(), "");
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    let server = Server::start(&[]);
    let mut client = server.tcp();
    const ROUNDS: usize = 200;
    const PER_ROUND: usize = 100;
    for round in 0..ROUNDS {
        let mut bytes = Vec::new();
        for number in 0..PER_ROUND {
            bytes.extend(encode(&["ECHO", &format!("{round}:{number}")]));
            bytes.extend(encode(&["INCR", "counter"]));
        }
        client.send_raw(&bytes).unwrap();
        for number in 0..PER_ROUND {
            assert_eq!(client.read().unwrap().text(), format!("{round}:{number}"));
            let count = round * PER_ROUND + number + 1;
            assert_eq!(client.read().unwrap().int(), count as i64);
        }
    }
}

#[test]
fn a_pipeline_cut_anywhere_is_the_same_pipeline() {
    let server = Server::start(&[]);
    let mut bytes = encode(&["SET", "k", "0123456789"]);
    bytes.extend(encode(&["APPEND", "k", "abc"]));
    bytes.extend(b"STRLEN k\r\n");
    bytes.extend(encode(&["GETDEL", "k"]));
    for cut in 1..bytes.len() {
        let mut client = server.client();
        client.send_raw(&bytes[..cut]).unwrap();
        // The first part is taken in before the second comes.
        assert_eq!(server.client().call(&["PING"]).text(), "PONG");
        client.send_raw(&bytes[cut..]).unwrap();
        assert_eq!(client.read().unwrap().text(), "OK", "cut at {cut}");
        assert_eq!(client.read().unwrap().int(), 13, "cut at {cut}");
        assert_eq!(client.read().unwrap().int(), 13, "cut at {cut}");
        assert_eq!(client.read().unwrap().text(), "0123456789abc", "cut at {cut}");
    }
}

#[test]
fn a_large_value_goes_in_and_out_whole() {
    let server = Server::start(&[]);
    let mut client = server.tcp();
    let value: Vec<u8> = (0..20_000_000u32).map(|number| (number / 251) as u8).collect();
    assert_eq!(client.call(&[b"SET", b"big", value.as_slice()]).text(), "OK");
    client.send_raw(&encode(&["GET", "big"]).repeat(3)).unwrap();
    for _ in 0..3 {
        assert!(
            client.read().unwrap() == Value::Bulk(value.clone()),
            "the value came back changed"
        );
    }
}

#[test]
fn who_stops_sending_still_gets_the_answers() {
    let server = Server::start(&[]);
    let mut client = server.tcp();
    client.send_raw(&encode(&["INCR", "n"]).repeat(1000)).unwrap();
    client.finish_sending().unwrap();
    // Redis drops answers that it had no chance to write; what arrives is a whole prefix, and the work was done.
    let mut answers = 0;
    while let Ok(reply) = client.read() {
        answers += 1;
        assert_eq!(reply.int(), answers);
    }
    wait_until("all requests were run", || server.client().call(&["GET", "n"]).text() == "1000");
}

#[test]
fn promises_of_much_cost_little() {
    let server = Server::start(&[]);
    let before = server.resident_bytes();
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..20 {
        let mut client = server.tcp();
        // A hundred megabytes announced and ten bytes sent; a million arguments announced and one sent.
        let start = if number % 2 == 0 {
            &b"*2\r\n$4\r\nECHO\r\n$100000000\r\n0123456789"[..]
        } else {
            &b"*1000000\r\n$4\r\nECHO\r\n$10\r\n0123"[..]
        };
        client.send_raw(start).unwrap();
        clients.push(client);
    }
    assert_eq!(server.client().call(&["PING"]).text(), "PONG");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MB for promises", grown >> 20);
}

#[test]
fn who_does_not_read_is_let_go_at_the_limit() {
    let server = Server::start(&["--client-output-buffer-limit", "normal", "8mb", "0", "0"]);
    let mut client = server.tcp();
    let value = "x".repeat(1 << 20);
    client.call(&["SET", "big", &value]);
    let before = server.resident_bytes();
    client.patience(Duration::from_millis(500)).unwrap();
    let request = encode(&["GET", "big"]);
    let mut most = 0;
    for _ in 0..2000 {
        if client.send_raw(&request).is_err() {
            break;
        }
        most = most.max(server.resident_bytes());
    }
    assert_eq!(server.client().call(&["PING"]).text(), "PONG");
    let grown = most.saturating_sub(before);
    assert!(grown < 100 << 20, "{} MB for one client that does not read", grown >> 20);
}

#[test]
fn a_request_beyond_the_query_buffer_limit_ends_the_connection() {
    let server = Server::start(&["--client-query-buffer-limit", "1mb"]);
    let mut client = server.tcp();
    const ANNOUNCED: usize = 50_000_000;
    client.send_raw(format!("*2\r\n$4\r\nECHO\r\n${ANNOUNCED}\r\n").as_bytes()).unwrap();
    let piece = [b'x'; 50_000];
    let taken = (0..ANNOUNCED / piece.len()).take_while(|_| client.send_raw(&piece).is_ok());
    assert!(taken.count() < ANNOUNCED / piece.len(), "nobody stopped the request");
    assert_eq!(server.client().call(&["PING"]).text(), "PONG");
}

#[test]
fn hundreds_of_half_requests_do_not_stop_the_others() {
    let server = Server::start(&[]);
    let mut halves: Vec<Client> = (0..300).map(|_| server.tcp()).collect();
    for half in &mut halves {
        half.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk").unwrap();
    }
    let mut client = server.tcp();
    for number in 0..100 {
        assert_eq!(client.call(&["INCR", "n"]).int(), number + 1);
    }
    for half in &mut halves {
        half.send_raw(b"\r\n$1\r\nv\r\n").unwrap();
        assert_eq!(half.read().unwrap().text(), "OK");
    }
}
