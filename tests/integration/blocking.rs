//! Do clients that wait get what they wait for, each element once, whoever owns their connections?

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use crate::harness::client::Client;
use crate::harness::random::Random;
use crate::harness::server::Server;
use crate::harness::value::Value;
use crate::harness::wait_until;

const CONSUMERS: usize = 48;
const PRODUCERS: usize = 4;
const EACH: usize = 500;

/// A server whose connections are spread over several threads.
fn server() -> Server {
    Server::start(&["--io-threads", "4"])
}

fn wait_until_blocked(client: &mut Client, number: usize) {
    let line = format!("blocked_clients:{number}\r\n");
    wait_until(&line, || client.call(&["INFO", "clients"]).text().contains(&line));
}

/// Timeouts of a few milliseconds race with pushes: what is taken reaches a reply, and no reply is of
/// something that was not taken.
#[test]
fn each_element_is_served_once_while_timeouts_race_with_pushes() {
    let server = server();
    let taken = Mutex::new(Vec::new());
    let total = PRODUCERS * EACH;
    let mut random = Random::new("blocking");
    let seeds: Vec<u64> = (0..CONSUMERS + PRODUCERS).map(|_| random.next()).collect();
    thread::scope(|scope| {
        for seed in &seeds[..CONSUMERS] {
            let (server, taken) = (&server, &taken);
            scope.spawn(move || consume(&mut server.tcp(), *seed, taken, total));
        }
        for (number, seed) in seeds[CONSUMERS..].iter().enumerate() {
            let server = &server;
            scope.spawn(move || produce(&mut server.tcp(), *seed, number * EACH));
        }
    });
    let taken = taken.into_inner().unwrap();
    let distinct: BTreeSet<usize> = taken.iter().copied().collect();
    assert_eq!(taken.len(), total, "an element was served twice");
    assert_eq!(distinct, (0..total).collect());
    let mut client = server.client();
    assert_eq!(client.call(&["DBSIZE"]).int(), 0);
    assert_eq!(server.info("blocked_clients").as_deref(), Some("0"));
}

/// Waits with short timeouts until everything was taken by somebody.
fn consume(client: &mut Client, seed: u64, taken: &Mutex<Vec<usize>>, total: usize) {
    let timeouts = ["0.001", "0.005", "0.01", "0.02", "0.5"];
    let mut turn = seed as usize;
    while taken.lock().unwrap().len() < total {
        turn = turn.wrapping_add(1);
        let timeout = timeouts[turn % timeouts.len()];
        let reply = match turn % 3 {
            0 => client.call(&["BLPOP", "q1", "q2", "q1", timeout]),
            1 => client.call(&["BRPOP", "q2", "q3", timeout]),
            _ => client.call(&["BLMPOP", timeout, "3", "q3", "q2", "q1", "LEFT", "COUNT", "3"]),
        };
        let Value::Array(parts) = reply else { continue };
        let elements = match &parts[1] {
            Value::Array(elements) => elements.clone(),
            element => vec![element.clone()],
        };
        let numbers = elements.iter().map(|element| element.text().parse::<usize>().unwrap());
        taken.lock().unwrap().extend(numbers);
    }
}

/// Pushes numbers, one by one, several at once, in transactions and by moves.
fn produce(client: &mut Client, seed: u64, first: usize) {
    let mut turn = seed as usize;
    let mut number = first;
    while number < first + EACH {
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let queue = ["q1", "q2", "q3"][(turn >> 8) % 3];
        let (one, other) = (number.to_string(), (number + 1).to_string());
        match (turn >> 16) % 4 {
            0 => _ = client.call(&["LPUSH", queue, &one, &other]),
            1 => {
                for words in
                    [&["MULTI"][..], &["RPUSH", queue, &one], &["LPUSH", "q1", &other], &["EXEC"]]
                {
                    client.call(words);
                }
            }
            2 => {
                // Through a list of its own, which nobody waits for.
                let own = format!("own:{first}");
                client.call(&["RPUSH", &own, &one, &other]);
                client.call(&["RPOPLPUSH", &own, queue]);
                client.call(&["LMOVE", &own, queue, "LEFT", "RIGHT"]);
            }
            _ => {
                client.call(&["RPUSH", queue, &one]);
                client.call(&["LPUSH", queue, &other]);
            }
        }
        number += 2;
    }
}

#[test]
fn many_are_served_in_the_order_of_their_arrival() {
    let server = server();
    let mut control = server.client();
    let mut waiting: Vec<Client> = (0..100).map(|_| server.tcp()).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        client.send(&["BLPOP", "line", "0"]).unwrap();
        wait_until_blocked(&mut control, number + 1);
    }
    let numbers: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let push: Vec<&str> =
        ["RPUSH", "line"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    assert_eq!(control.call(&push).int(), 100);
    for (number, client) in waiting.iter_mut().enumerate() {
        assert_eq!(client.read().unwrap().items()[1].text(), number.to_string());
    }
    assert_eq!(control.call(&["EXISTS", "line"]).int(), 0);
}

#[test]
fn those_who_leave_or_are_killed_take_nothing() {
    let server = server();
    let mut control = server.client();
    let mut waiting: Vec<Client> = (0..60).map(|_| server.tcp()).collect();
    for client in &mut waiting {
        client.send(&["BLMOVE", "from", "to", "LEFT", "RIGHT", "0"]).unwrap();
    }
    wait_until_blocked(&mut control, 60);
    let mut stay = waiting.split_off(40);
    drop(waiting.split_off(20));
    wait_until_blocked(&mut control, 40);
    let killed = control.call(&["CLIENT", "LIST"]).text();
    let blocked: Vec<String> = killed
        .lines()
        .filter(|line| line.contains(" flags=b "))
        .map(|line| line.split([' ', '=']).nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(blocked.len(), 40);
    // Those who came first have the lower numbers.
    let mut ids: Vec<u64> = blocked.iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    for id in &ids[..20] {
        assert_eq!(control.call(&["CLIENT", "KILL", "ID", &id.to_string()]).int(), 1);
    }
    wait_until_blocked(&mut control, 20);
    assert!(waiting.iter_mut().all(Client::is_closed));
    for _ in 0..30 {
        control.call(&["RPUSH", "from", "x"]);
    }
    for client in &mut stay {
        assert_eq!(client.read().unwrap().text(), "x");
    }
    assert_eq!(control.call(&["LLEN", "from"]).int(), 10);
    assert_eq!(control.call(&["LLEN", "to"]).int(), 20);
}

/// A ring of moves: each of a hundred stations takes from the one before, across all threads.
#[test]
fn an_element_goes_round_a_ring_of_waiting_clients() {
    const STATIONS: usize = 100;
    let server = server();
    let mut control = server.client();
    let mut ring: Vec<Client> = (0..STATIONS).map(|_| server.tcp()).collect();
    for (number, client) in ring.iter_mut().enumerate() {
        let (from, to) = (format!("ring:{number}"), format!("ring:{}", (number + 1) % STATIONS));
        client.send(&["BLMOVE", &from, &to, "LEFT", "RIGHT", "0"]).unwrap();
    }
    wait_until_blocked(&mut control, STATIONS);
    control.call(&["RPUSH", "ring:7", "token"]);
    for client in &mut ring {
        assert_eq!(client.read().unwrap().text(), "token");
    }
    assert_eq!(control.call(&["LRANGE", "ring:7", "0", "-1"]).items()[0].text(), "token");
    assert_eq!(control.call(&["DBSIZE"]).int(), 1);
    assert!(matches!(control.call(&["GET", "none"]), Value::Nil));
}
