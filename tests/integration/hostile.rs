//! What do clients cost who promise much, send little, stop in the middle or never read? Bounded memory each, and nothing
//! to the others.
//!
//! Memory is that of the process, in whole pages: limits here are far above what a healthy server takes and far below what
//! one client could make it take.

use std::time::{Duration, Instant};

use crate::harness::client::{Client, encode};
use crate::harness::server::Server;
use crate::harness::value::Value;
use crate::harness::wait_until;

/// How much the server has grown, at its largest, since it had `before` bytes.
fn grown(server: &Server, before: usize) -> usize {
    server.resident_bytes_peak().saturating_sub(before)
}

/// Others are served without delay: a few requests in a time that even a crowded machine has.
fn assert_served(server: &Server) {
    let mut client = server.tcp();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.call(&["PING"]).text(), "PONG");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "others wait {:?}", began.elapsed());
}

fn connected(server: &Server) -> usize {
    let count = server.info("connected_clients").expect("INFO has it");
    count.parse().expect("it is a number")
}

/// Waits until the server has taken in what was sent to it, by its own count of bytes.
fn wait_until_read(server: &Server, wanted: u64) {
    wait_until("the server has read everything", || {
        let read = server.info("total_net_input_bytes").expect("INFO has it");
        read.parse::<u64>().expect("it is a number") >= wanted
    });
}

#[test]
fn promises_of_many_clients_cost_little() {
    const CLIENTS: usize = 400;
    // A million arguments, the first of half a gigabyte, of which a little has come.
    const START: &[u8] = b"*1048576\r\n$536870912\r\nabc";
    let server = Server::start(&[]);
    assert_served(&server);
    let before = server.resident_bytes();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.send_raw(START).unwrap();
    }
    wait_until_read(&server, (CLIENTS * START.len()) as u64);
    // A little more of it, in pieces that arrive one by one.
    for _ in 0..3 {
        for client in &mut clients {
            client.send_raw(b"d").unwrap();
        }
    }
    wait_until_read(&server, (CLIENTS * (START.len() + 3)) as u64);
    let each = grown(&server, before) / CLIENTS;
    assert!(each < 128 << 10, "{} KiB for each promise", each >> 10);
    assert_served(&server);
}

#[test]
fn half_a_request_keeps_no_room_for_the_pipeline_before_it() {
    const CLIENTS: usize = 200;
    let server = Server::start(&[]);
    assert_served(&server);
    let before = server.resident_bytes();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.tcp()).collect();
    const PIPELINED: usize = 5000;
    let mut bytes = b"PING\r\n".repeat(PIPELINED);
    bytes.extend(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n");
    for round in 0..3 {
        for client in &mut clients {
            client.send_raw(&bytes).unwrap();
            for _ in 0..PIPELINED {
                client.read().unwrap();
            }
            if round < 2 {
                client.send_raw(b"v\r\n").unwrap();
                assert_eq!(client.read().unwrap().text(), "OK");
            }
        }
    }
    let each = grown(&server, before) / CLIENTS;
    assert!(each < 96 << 10, "{} KiB for each half request", each >> 10);
    for client in &mut clients {
        client.send_raw(b"v\r\n").unwrap();
        assert_eq!(client.read().unwrap().text(), "OK");
    }
}

#[test]
fn dribbled_bytes_are_taken_in_as_they_come() {
    let server = Server::start(&[]);
    let mut client = server.tcp();
    const LENGTH: usize = 3_000_000;
    const DRIBBLED: usize = 2000;
    client.send_raw(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${LENGTH}\r\n").as_bytes()).unwrap();
    let value: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    let (start, rest) = value.split_at(LENGTH / 2);
    let (dribbled, end) = rest.split_at(DRIBBLED);
    client.send_raw(start).unwrap();
    for byte in dribbled {
        client.send_raw(&[*byte]).unwrap();
    }
    assert_served(&server);
    client.send_raw(end).unwrap();
    client.send_raw(b"\r\n").unwrap();
    assert_eq!(client.read().unwrap().text(), "OK");
    assert!(client.call(&["GET", "big"]) == Value::Bulk(value), "the value came in changed");
}

#[test]
fn a_short_pipeline_of_large_replies_stays_within_the_output_limit() {
    let server = Server::start(&["--client-output-buffer-limit", "normal", "8mb", "0", "0"]);
    let mut client = server.tcp();
    client.call(&["SET", "big", &"x".repeat(1 << 20)]);
    assert_served(&server);
    let before = server.resident_bytes();
    // Twenty kilobytes that ask for two gigabytes.
    client.send_raw(&b"GET big\r\n".repeat(2000)).unwrap();
    wait_until("the client is let go", || connected(&server) == 1);
    let most = grown(&server, before);
    assert!(most < 64 << 20, "{} MB for one client that does not read", most >> 20);
    let log = server.log();
    assert!(log.contains("closed for overcoming of output buffer limits"), "{log}");
    assert_served(&server);
}

#[test]
fn a_client_that_is_always_a_little_behind_costs_what_it_is_behind() {
    let server = Server::start(&["--client-output-buffer-limit", "normal", "64mb", "0", "0"]);
    let mut client = server.tcp();
    let value = "x".repeat(100_000);
    client.call(&["SET", "big", &value]);
    let before = server.resident_bytes();
    let request = encode(&["GET", "big"]);
    // More than the sockets' buffers hold is always under way, so the server's output is never empty.
    client.send_raw(&request.repeat(150)).unwrap();
    for _ in 0..3000 {
        client.send_raw(&request).unwrap();
        assert_eq!(client.read().unwrap().text().len(), value.len());
    }
    let most = grown(&server, before);
    assert!(most < 80 << 20, "{} MB for 15 MB that were under way", most >> 20);
}

#[test]
fn a_transaction_grows_to_the_query_buffer_limit_and_no_further() {
    let server = Server::start(&["--client-query-buffer-limit", "4mb"]);
    let mut client = server.tcp();
    assert_eq!(client.call(&["MULTI"]).text(), "OK");
    let before = server.resident_bytes();
    // Small commands: what they take is mostly not their own bytes.
    let bytes = encode(&["PING"]).repeat(1000);
    let mut queued = 0;
    'all: for _ in 0..1000 {
        if client.send_raw(&bytes).is_err() {
            break;
        }
        for _ in 0..1000 {
            match client.read() {
                Ok(reply) if reply.text() == "QUEUED" => queued += 1,
                _ => break 'all,
            }
        }
    }
    assert!((10_000..200_000).contains(&queued), "{queued} commands were queued");
    let most = grown(&server, before);
    assert!(most < 32 << 20, "{} MB for {queued} queued commands", most >> 20);
    assert_served(&server);
    wait_until("the client is let go", || connected(&server) == 1);
}

#[test]
fn a_hundred_thousand_requests_in_one_write_are_answered_in_order() {
    const REQUESTS: usize = 100_000;
    let server = Server::start(&[]);
    let mut client = server.tcp();
    let mut bytes = Vec::new();
    for _ in 0..REQUESTS {
        bytes.extend(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
    }
    // The server goes on reading while nobody reads its answers.
    client.send_raw(&bytes).unwrap();
    assert_served(&server);
    for number in 1..=REQUESTS {
        assert_eq!(client.read().unwrap().int(), number as i64);
    }
}

#[test]
fn who_leaves_in_the_middle_of_a_request_leaves_nothing() {
    let server = Server::start(&[]);
    assert_served(&server);
    let before = server.resident_bytes();
    let mut half = encode(&["SET", "k", "v"]);
    half.truncate(half.len() - 3);
    // Inside a long string, too, where bytes are read straight into place.
    let mut long = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000000\r\n".to_vec();
    long.extend(vec![b'x'; 300_000]);
    for round in 0..100 {
        let mut client = server.tcp();
        client.send_raw(if round % 2 == 0 { &half } else { &long }).unwrap();
        if round % 3 == 0 {
            client.finish_sending().unwrap();
            assert!(client.read_to_end().unwrap().is_empty());
        }
    }
    wait_until("nobody is connected any more", || connected(&server) == 1);
    assert_eq!(server.client().call(&["EXISTS", "k"]).int(), 0);
    let most = grown(&server, before);
    assert!(most < 48 << 20, "{} MB are left of those who left", most >> 20);
}

#[test]
fn half_closed_connections_do_not_stay() {
    let server = Server::start(&[]);
    let mut clients: Vec<Client> = (0..50).map(|_| server.tcp()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        match number % 3 {
            0 => client.send_raw(b"*2\r\n$4\r\nECHO\r\n$5\r\nab").unwrap(),
            1 => assert_eq!(client.call(&["PING"]).text(), "PONG"),
            _ => client.send_raw(b"BLPOP nothing 0\r\n").unwrap(),
        }
        client.finish_sending().unwrap();
    }
    wait_until("the server has closed its half as well", || connected(&server) == 1);
    for client in &mut clients {
        let left = client.read_to_end().unwrap();
        assert!(left.is_empty() || left.starts_with(b"-ERR unknown command"), "{left:?}");
    }
}

#[test]
fn limits_hold_while_a_script_keeps_the_server_busy() {
    let server = Server::start(&[
        "--busy-reply-threshold",
        "1",
        "--client-query-buffer-limit",
        "1mb",
        "--client-output-buffer-limit",
        "normal",
        "1mb",
        "0",
        "0",
    ]);
    // On every worker somebody sends a string that does not end, and somebody asks and never reads.
    let mut senders: Vec<Client> = (0..8).map(|_| server.tcp()).collect();
    let mut askers: Vec<Client> = (0..8).map(|_| server.tcp()).collect();
    let mut killer = server.tcp();
    let before = server.resident_bytes();
    let mut scripts = server.tcp();
    scripts.send(&["EVAL", "while true do end", "0"]).unwrap();
    wait_until("the script is noticed", || killer.call(&["PING"]).is_error());
    for client in &mut senders {
        client.patience(Duration::from_millis(20)).unwrap();
        let _ = client.send_raw(b"*2\r\n$4\r\nECHO\r\n$500000000\r\n");
    }
    for client in &mut askers {
        client.patience(Duration::from_millis(20)).unwrap();
    }
    let piece = vec![b'x'; 1 << 20];
    let questions = b"GET k\r\n".repeat(100_000);
    for _ in 0..8 {
        for client in &mut senders {
            let _ = client.send_some(&piece);
        }
        for client in &mut askers {
            let _ = client.send_some(&questions);
        }
    }
    let most = grown(&server, before);
    assert!(most < 160 << 20, "{} MB while a script runs", most >> 20);
    assert_eq!(killer.call(&["SCRIPT", "KILL"]).text(), "OK");
    assert!(scripts.read().unwrap().is_error());
    assert_served(&server);
}

#[test]
fn what_an_ended_client_had_coming_goes_to_nobody_else() {
    let server = Server::start(&["--client-query-buffer-limit", "1mb"]);
    let mut client = server.tcp();
    assert_eq!(client.call(&["MULTI"]).text(), "OK");
    // The queue grows past the limit in the middle of a pipeline whose answers are not sent yet.
    let bytes = encode(&["PING"]).repeat(1000);
    while client.send_raw(&bytes).is_ok() {
        if (0..1000).any(|_| client.read().is_err()) {
            break;
        }
    }
    // Whichever worker they are on.
    let mut others: Vec<Client> = (0..8).map(|_| server.tcp()).collect();
    for other in &mut others {
        assert_eq!(other.call(&["PING"]).text(), "PONG");
    }
    drop(others);
    wait_until("the client is let go", || connected(&server) == 1);
}
