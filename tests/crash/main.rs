//! Is anything lost that was acknowledged, or seen, when the process is killed? Clients write and read; at a random
//! moment the server dies by SIGKILL; on what it left behind a new one must hold all that the clients know of.
//!
//! Each writer has keys of its own and changes them in an order that can be checked afterwards: counters that only grow,
//! lists that are the numbers from 1, pairs of keys that a transaction or a script keeps equal. Readers note how far they
//! have seen others. `CRASH_ROUNDS` sets how many rounds each way of writing gets, `SEED` runs the same
//! choices again (not the same timing).

#[path = "../harness/mod.rs"]
mod harness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use harness::client::Client;
use harness::random::Random;
use harness::server::Server;
use harness::value::Value;

/// Rounds for each way of writing, as part of every test run.
const ROUNDS: usize = 4;
const WRITERS: usize = 8;
const READERS: usize = 2;

/// Adds one to two keys, in one script.
const SCRIPT: &str = "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])";

/// What a client knows of a writer's keys: the last number that was acknowledged or seen for each.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    counter: i64,
    list: i64,
    transaction: i64,
    script: i64,
    blocked: i64,
}

impl Known {
    fn max(self, other: Known) -> Known {
        Known {
            counter: self.counter.max(other.counter),
            list: self.list.max(other.list),
            transaction: self.transaction.max(other.transaction),
            script: self.script.max(other.script),
            blocked: self.blocked.max(other.blocked),
        }
    }
}

fn key(kind: &str, writer: usize) -> String {
    format!("{kind}:{writer}")
}

/// An integer reply, or None if the server is gone.
fn number(reply: std::io::Result<Value>) -> Option<i64> {
    match reply {
        Ok(value) if value.is_error() => panic!("a write was refused: {}", value.text()),
        Ok(value) => Some(value.int()),
        Err(_) => None,
    }
}

/// The number that a key holds; 0 if there is none.
fn held(value: &Value) -> i64 {
    match value {
        Value::Nil => 0,
        Value::Int(number) => *number,
        value => value.text().parse().expect("the key holds a number"),
    }
}

/// Writes until the server is gone; what was acknowledged.
fn write(port: u16, writer: usize, from: Known, mut random: Random) -> Known {
    let mut known = from;
    let Ok(mut client) = Client::tcp(port) else { return known };
    let names = |kinds: [&str; 2]| kinds.map(|kind| key(kind, writer));
    loop {
        let Some(()) = (|| {
            match random.below(5) {
                0 => known.counter = number(client.try_call(&["INCR", &key("counter", writer)]))?,
                1 => {
                    // Several in one write; replies may come for some of them only.
                    let next: Vec<i64> = (1..=8).map(|step| known.list + step).collect();
                    for number in &next {
                        let text = number.to_string();
                        client.send(&["RPUSH", &key("list", writer), &text]).ok()?;
                    }
                    for _ in next {
                        known.list = number(client.read())?;
                    }
                }
                2 => {
                    let [one, two] = names(["first", "second"]);
                    for argv in [&["MULTI"][..], &["INCR", &one], &["INCR", &two], &["EXEC"]] {
                        client.send(argv).ok()?;
                    }
                    for _ in 0..3 {
                        client.read().ok()?;
                    }
                    known.transaction = client.read().ok()?.items()[0].int();
                }
                3 => {
                    let [one, two] = names(["left", "right"]);
                    let argv = ["EVAL", SCRIPT, "2", &one, &two];
                    known.script = number(client.try_call(&argv))?;
                }
                _ => {
                    // What waits for it gets it at once, and so it never stays.
                    let next = (known.blocked + 1).to_string();
                    number(client.try_call(&["RPUSH", &key("queue", writer), &next]))?;
                    let popped = client
                        .try_call(&[
                            "BLMOVE",
                            &key("queue", writer),
                            &key("moved", writer),
                            "LEFT",
                            "RIGHT",
                            "0",
                        ])
                        .ok()?;
                    assert_eq!(popped.text(), next);
                    known.blocked += 1;
                }
            }
            Some(())
        })() else {
            return known;
        };
    }
}

/// Reads until the server is gone; what was seen of each writer.
fn read(port: u16, mut random: Random) -> [Known; WRITERS] {
    let mut seen = [Known::default(); WRITERS];
    let Ok(mut client) = Client::tcp(port) else { return seen };
    let mut read_number =
        move |argv: &[&str]| -> Option<i64> { Some(held(&client.try_call(argv).ok()?)) };
    loop {
        let writer = random.below(WRITERS);
        let known = &mut seen[writer];
        let Some(()) = (|| {
            known.counter = known.counter.max(read_number(&["GET", &key("counter", writer)])?);
            known.list = known.list.max(read_number(&["LLEN", &key("list", writer)])?);
            known.transaction =
                known.transaction.max(read_number(&["GET", &key("first", writer)])?);
            known.script = known.script.max(read_number(&["GET", &key("right", writer)])?);
            known.blocked = known.blocked.max(read_number(&["LLEN", &key("moved", writer)])?);
            Some(())
        })() else {
            return seen;
        };
    }
}

/// Compares what there is with what a client knows; what there is.
fn check(client: &mut Client, writer: usize, known: Known) -> Known {
    let mut get = |kind: &str| -> i64 { held(&client.call(&["GET", &key(kind, writer)])) };
    let (counter, first, second) = (get("counter"), get("first"), get("second"));
    let (left, right) = (get("left"), get("right"));
    assert_eq!(first, second, "half a transaction of writer {writer}");
    assert_eq!(left, right, "half a script of writer {writer}");
    let mut list = |kind: &str| -> i64 {
        let items = client.call(&["LRANGE", &key(kind, writer), "0", "-1"]).items();
        for (at, item) in items.iter().enumerate() {
            assert_eq!(item.text(), (at + 1).to_string(), "a gap in {kind} of writer {writer}");
        }
        items.len() as i64
    };
    let (list, blocked) = (list("list"), list("moved"));
    // What was pushed and not moved is moved now, as if the writer had gone on.
    let queued = client.call(&["LLEN", &key("queue", writer)]).int();
    assert!(queued <= 1, "writer {writer} left {queued} elements");
    let mut blocked = blocked;
    if queued == 1 {
        let (from, to) = (key("queue", writer), key("moved", writer));
        client.call(&["LMOVE", &from, &to, "LEFT", "RIGHT"]);
        blocked += 1;
    }
    let there = Known { counter, list, transaction: first, script: left, blocked };
    for (what, there, known) in [
        ("counter", there.counter, known.counter),
        ("list", there.list, known.list),
        ("transaction", there.transaction, known.transaction),
        ("script", there.script, known.script),
        ("blocked", there.blocked, known.blocked),
    ] {
        assert!(there >= known, "writer {writer} lost some of its {what}: {there} < {known}");
    }
    there
}

/// Starts snapshots and rewrites until the server is gone.
fn disturb(port: u16, how: &str, stop: &AtomicBool, mut random: Random) {
    let Ok(mut client) = Client::tcp(port) else { return };
    while !stop.load(Ordering::Relaxed) && client.try_call(&[how]).is_ok() {
        thread::sleep(Duration::from_millis(random.below(60) as u64));
    }
}

fn join<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// One life of the server; what the clients know at its end.
fn live(
    server: &Server,
    from: [Known; WRITERS],
    how: Option<&str>,
    random: &mut Random,
) -> [Known; WRITERS] {
    let port = server.port;
    let mut known = from;
    let stop = AtomicBool::new(false);
    thread::scope(|threads| {
        let mut own = || Random::seeded("client", random.next());
        let writers: Vec<_> = from
            .into_iter()
            .enumerate()
            .map(|(number, from)| {
                let random = own();
                threads.spawn(move || write(port, number, from, random))
            })
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                let random = own();
                threads.spawn(move || read(port, random))
            })
            .collect();
        if let Some(how) = how {
            let (random, stop) = (own(), &stop);
            threads.spawn(move || disturb(port, how, stop, random));
        }
        thread::sleep(Duration::from_millis(20 + random.below(300) as u64));
        server.signal("KILL");
        stop.store(true, Ordering::Relaxed);
        for (known, writer) in known.iter_mut().zip(writers) {
            *known = join(writer);
        }
        for reader in readers {
            let seen = join(reader);
            for (known, seen) in known.iter_mut().zip(seen) {
                *known = known.max(seen);
            }
        }
    });
    known
}

fn crash(fsync: &str, how: Option<&str>, more: &[&str]) {
    let rounds = std::env::var("CRASH_ROUNDS").ok().and_then(|count| count.parse().ok());
    let mut random = Random::new("crash");
    let mut args = vec!["--appendonly", "yes", "--appendfsync", fsync];
    args.extend(more);
    let mut server = Server::start(&args);
    let mut known = [Known::default(); WRITERS];
    for round in 0..rounds.unwrap_or(ROUNDS) {
        known = live(&server, known, how, &mut random);
        server = server.start_again(&args);
        let mut client = server.client();
        for (writer, known) in known.iter_mut().enumerate() {
            *known = check(&mut client, writer, *known);
        }
        println!(
            "round {round}: {} writes there",
            known.iter().map(|k| k.counter + k.list).sum::<i64>()
        );
    }
}

#[test]
fn always() {
    crash("always", None, &[]);
}

#[test]
fn everysec() {
    crash("everysec", None, &[]);
}

#[test]
fn without_sync() {
    crash("no", None, &["--io-threads", "1"]);
}

#[test]
fn during_snapshots() {
    crash("everysec", Some("BGSAVE"), &[]);
}

#[test]
fn during_rewrites() {
    crash("everysec", Some("BGREWRITEAOF"), &[]);
}

#[test]
fn during_rewrites_always() {
    crash("always", Some("BGREWRITEAOF"), &["--aof-timestamp-enabled", "yes"]);
}
