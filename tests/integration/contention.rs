//! Do locks and rate limiters by EVAL hold when eight processes fight for them? Judged outside the server.
//!
//! A contender is this test binary, started again for the one test `contender`, which does nothing unless it is told to by
//! its environment. Two holders of a lock are caught by a file that only one process can create; the limiter by adding up
//! what every process was allowed.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::{PATIENCE, wait_until};

const PROCESSES: usize = 8;
const ROUNDS: usize = 100;
/// Longer than a crowded machine may stall a holder: a lease that ends early would be a second holder by right.
const LEASE_MS: &str = "120000";

const RELEASE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
    return redis.call('del', KEYS[1]) else return 0 end";

/// A fixed window: ARGV are its length in ms and the limit. Answers the window's number, and whether this call is allowed.
const LIMITER: &str = "local now = redis.call('time') \
    local ms = now[1] * 1000 + math.floor(now[2] / 1000) \
    local window = math.floor(ms / ARGV[1]) \
    local key = KEYS[1] .. ':' .. window \
    local count = redis.call('incr', key) \
    if count == 1 then redis.call('pexpire', key, ARGV[1] * 2) end \
    if count <= tonumber(ARGV[2]) then return {window, 1} end \
    return {window, 0}";

struct Contenders {
    children: Vec<Child>,
}

impl Contenders {
    /// Starts the processes and lets them go together.
    fn start(server: &Server, role: &str) -> Contenders {
        let own = std::env::current_exe().expect("a process knows its binary");
        let children = (0..PROCESSES)
            .map(|number| {
                Command::new(&own)
                    .args(["--exact", "contention::contender", "--nocapture"])
                    .env("CONTENDER_ROLE", role)
                    .env("CONTENDER_NUMBER", number.to_string())
                    .env("CONTENDER_FOLDER", server.folder.path())
                    .stdout(Stdio::null())
                    .spawn()
                    .expect("this binary can be started again")
            })
            .collect();
        let mut client = server.client();
        let all = PROCESSES.to_string();
        wait_until("all contenders are there", || {
            let waiting = client.call(&["GET", "waiting"]);
            !matches!(&waiting, crate::harness::value::Value::Nil) && waiting.text() == all
        });
        client.call(&["SET", "go", "1"]);
        Contenders { children }
    }

    /// Waits for their end; each must have found everything in order.
    fn finish(mut self) {
        for child in &mut self.children {
            let status = child.wait().expect("our child can be waited for");
            assert!(status.success(), "a contender found two holders, or lost its connection");
        }
    }
}

impl Drop for Contenders {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Only does something in the processes that `Contenders` starts.
#[test]
fn contender() {
    let Some(folder) = std::env::var_os("CONTENDER_FOLDER") else { return };
    let folder = PathBuf::from(folder);
    let number = std::env::var("CONTENDER_NUMBER").expect("the parent sets it");
    let mut client = Client::unix(&folder.join("socket")).expect("the parent's server is up");
    client.call(&["INCR", "waiting"]);
    wait_until("the start", || client.call(&["EXISTS", "go"]).int() == 1);
    match std::env::var("CONTENDER_ROLE").expect("the parent sets it").as_str() {
        "lock" => take_turns(&mut client, &folder, &number),
        "limit" => ask_often(&mut client, &folder, &number),
        role => panic!("no such role: {role}"),
    }
}

fn take_turns(client: &mut Client, folder: &Path, number: &str) {
    let fence = folder.join("holder");
    let total = folder.join("total");
    for round in 0..ROUNDS {
        let token = format!("{number}:{round}");
        wait_until("the lock is free", || {
            !matches!(
                client.call(&["SET", "lock", &token, "NX", "PX", LEASE_MS]),
                crate::harness::value::Value::Nil
            )
        });
        let alone = OpenOptions::new().write(true).create_new(true).open(&fence);
        assert!(alone.is_ok(), "{number} holds the lock, and so does somebody else");
        // Reading, adding and writing back would lose counts if two did it at once.
        let before: usize = fs::read_to_string(&total).map_or(0, |text| text.parse().unwrap());
        fs::write(&total, (before + 1).to_string()).unwrap();
        fs::remove_file(&fence).unwrap();
        let wrong = client.call(&["EVAL", RELEASE, "1", "lock", "somebody else's token"]);
        assert_eq!(wrong.int(), 0, "a stranger released the lock");
        let released = client.call(&["EVAL", RELEASE, "1", "lock", &token]);
        assert_eq!(released.int(), 1, "the lock was not ours any more");
    }
}

fn ask_often(client: &mut Client, folder: &Path, number: &str) {
    let mut allowed: HashMap<i64, usize> = HashMap::new();
    let mut ask = |key: &str, window_ms: &str, limit: &str| {
        let reply = client.call(&["EVAL", LIMITER, "1", key, window_ms, limit]).items();
        (reply[0].int(), reply[1].int() == 1)
    };
    for _ in 0..ROUNDS * 20 {
        let (window, yes) = ask("short", SHORT_MS, &SHORT_LIMIT.to_string());
        *allowed.entry(window).or_default() += usize::from(yes);
    }
    let long = (0..ROUNDS).filter(|_| ask("long", LONG_MS, &LONG_LIMIT.to_string()).1).count();
    let mut lines: Vec<String> =
        allowed.iter().map(|(window, count)| format!("{window} {count}")).collect();
    lines.push(format!("-1 {long}"));
    fs::write(folder.join(format!("allowed-{number}")), lines.join("\n")).unwrap();
}

const SHORT_MS: &str = "50";
const SHORT_LIMIT: usize = 40;
/// A window that outlasts the test: its limit must be used up exactly.
const LONG_MS: &str = "100000000000";
const LONG_LIMIT: usize = 250;

#[test]
fn a_lock_never_has_two_holders() {
    let server = Server::start(&[]);
    let started = std::time::Instant::now();
    Contenders::start(&server, "lock").finish();
    let total = fs::read_to_string(server.folder.path().join("total")).unwrap();
    assert_eq!(total, (PROCESSES * ROUNDS).to_string(), "a turn was lost");
    assert_eq!(server.client().call(&["EXISTS", "lock"]).int(), 0);
    println!("{total} turns in {:?}, patience {PATIENCE:?}", started.elapsed());
}

#[test]
fn a_rate_limit_is_never_exceeded() {
    let server = Server::start(&[]);
    Contenders::start(&server, "limit").finish();
    let mut windows: HashMap<i64, usize> = HashMap::new();
    for number in 0..PROCESSES {
        let path = server.folder.path().join(format!("allowed-{number}"));
        for line in fs::read_to_string(path).unwrap().lines() {
            let (window, count) = line.split_once(' ').unwrap();
            *windows.entry(window.parse().unwrap()).or_default() += count.parse::<usize>().unwrap();
        }
    }
    let long = windows.remove(&-1).unwrap();
    assert_eq!(long, LONG_LIMIT, "one window for everybody");
    let used_up = windows.values().filter(|&&count| count == SHORT_LIMIT).count();
    println!("{} windows, {used_up} of them used up", windows.len());
    for (window, count) in &windows {
        assert!(*count <= SHORT_LIMIT, "window {window} let {count} through");
    }
    assert!(used_up > 0, "no window was ever full: the limit was not tried");
}
