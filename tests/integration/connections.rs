//! How do connections begin and end? Sockets, limits, time-outs, shutdown.

use std::net::Ipv6Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::value::Value;
use crate::harness::wait_until;

#[test]
fn tcp_and_unix_socket_lead_to_the_same_data() {
    let server = Server::start(&["--unixsocketperm", "700"]);
    assert_eq!(server.tcp().call(&["SET", "k", "v"]).text(), "OK");
    assert_eq!(server.client().call(&["GET", "k"]).text(), "v");
    let mode = std::fs::metadata(server.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn ipv6_is_listened_on_too() {
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    }
    let server = Server::start(&["--bind", "127.0.0.1", "::1"]);
    let address = (Ipv6Addr::LOCALHOST, server.port);
    let mut socket = std::net::TcpStream::connect(address).expect("::1 is listened on");
    std::io::Write::write_all(&mut socket, b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    std::io::Read::read_exact(&mut socket, &mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    assert_eq!(server.tcp().call(&["PING"]).text(), "PONG");
}

#[test]
fn one_client_too_many_is_told_and_the_others_stay() {
    let server = Server::start(&["--maxclients", "5"]);
    let mut inside: Vec<Client> = Vec::new();
    // The harness's own connection may take a moment to be noticed as closed.
    wait_until("five connections get in", || {
        inside = (0..5).map(|_| server.tcp()).collect();
        inside.iter_mut().all(|client| {
            matches!(client.try_call(&["PING"]), Ok(Value::Simple(text)) if text == b"PONG")
        })
    });
    let mut outside = server.tcp();
    let refusal = outside.read().expect("a refusal is written");
    assert_eq!(refusal.text(), "ERR max number of clients reached");
    assert!(outside.is_closed());
    for client in &mut inside {
        assert_eq!(client.call(&["PING"]).text(), "PONG");
    }
    inside.pop();
    wait_until("a place is free again", || {
        matches!(server.tcp().try_call(&["PING"]), Ok(Value::Simple(_)))
    });
}

#[test]
fn an_idle_client_is_closed_and_a_busy_one_is_not() {
    let server = Server::start(&["--timeout", "1"]);
    let mut idle = server.tcp();
    let mut busy = server.tcp();
    idle.call(&["PING"]);
    idle.patience(Duration::from_millis(50)).unwrap();
    wait_until("the idle client is closed", || {
        assert_eq!(busy.call(&["PING"]).text(), "PONG");
        idle.is_closed()
    });
}

#[test]
fn signals_end_the_process_in_order() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&[]);
        let mut client = server.tcp();
        client.call(&["SET", "k", "v"]);
        let socket = server.socket();
        server.signal(signal);
        assert!(client.read_to_end().unwrap().is_empty(), "{signal}");
        let ended = server.wait();
        assert_eq!(ended.status.code(), Some(0), "{signal}: {}", ended.output);
        assert!(!socket.exists(), "the unix socket is left behind");
    }
}

#[test]
fn shutdown_ends_the_process_and_answers_nothing() {
    let mut server = Server::start(&[]);
    let mut client = server.tcp();
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert!(client.read_to_end().unwrap().is_empty());
    assert_eq!(server.wait().status.code(), Some(0));
    assert!(Client::tcp(server.port).is_err());
}

#[test]
fn a_port_is_free_again_after_the_end() {
    let mut server = Server::start(&[]);
    let port = server.port.to_string();
    let mut client = server.tcp();
    client.call(&["PING"]);
    server.signal("TERM");
    server.wait();
    // The later --port wins over the harness's.
    let again = Server::start(&["--port", &port]);
    assert_eq!(again.info("tcp_port").unwrap(), port);
}

#[test]
fn clients_are_counted() {
    let server = Server::start(&[]);
    let clients: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = server.tcp();
            client.call(&["PING"]);
            client
        })
        .collect();
    let connected = || server.info("connected_clients").unwrap().parse::<usize>().unwrap();
    wait_until("all are counted", || connected() == clients.len() + 1);
    drop(clients);
    wait_until("nobody is counted any more", || connected() == 1);
}

#[test]
fn a_client_can_end_another_across_workers() {
    let server = Server::start(&[]);
    let mut victims: Vec<Client> = (0..8).map(|_| server.tcp()).collect();
    let mut killer = server.tcp();
    for victim in &mut victims {
        let id = victim.call(&["CLIENT", "ID"]).int().to_string();
        assert_eq!(killer.call(&["CLIENT", "KILL", "ID", &id]).int(), 1);
        assert!(victim.is_closed());
    }
    assert_eq!(killer.call(&["PING"]).text(), "PONG");
}

#[test]
fn replies_beyond_the_output_limit_are_not_sent_and_what_was_run_stays() {
    let server = Server::start(&["--client-output-buffer-limit", "normal", "100000", "0", "0"]);
    let mut control = server.client();
    control.call(&["SET", "big", &"x".repeat(40_000)]);
    let mut client = server.client();
    assert_eq!(client.call(&["GET", "big"]).text().len(), 40_000);
    // One reply alone, several of a pipeline, and those of a transaction.
    control.call(&["SET", "huge", &"x".repeat(150_000)]);
    client.send(&["GET", "huge"]).unwrap();
    assert!(client.read_to_end().unwrap().is_empty());
    let mut client = server.client();
    client.send_raw(b"SET before 1\r\nGET big\r\nGET big\r\nGET big\r\nSET behind 1\r\n").unwrap();
    assert!(client.read_to_end().unwrap().is_empty());
    let mut client = server.client();
    client.call(&["MULTI"]);
    client.call(&["GET", "huge"]);
    client.call(&["SET", "inside", "1"]);
    client.send(&["EXEC"]).unwrap();
    assert!(client.read_to_end().unwrap().is_empty());
    let exists = |client: &mut Client, key: &str| client.call(&["EXISTS", key]) == Value::Int(1);
    assert!(exists(&mut control, "before") && exists(&mut control, "inside"));
    assert!(!exists(&mut control, "behind"));
    assert!(server.log().contains("closed for overcoming of output buffer limits"));
    control.call(&["CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0"]);
    assert_eq!(control.call(&["GET", "huge"]).text().len(), 150_000);
}
