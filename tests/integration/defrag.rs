//! Does `activedefrag` give memory back without changing anything? Nine of ten keys and elements are deleted, of all
//! types, and what is left is moved together while clients write and snapshots are taken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::{wait_until, wait_until_within};

/// Small keys of each type.
const KEYS: usize = 20_000;
/// Elements of each large value, to begin with.
const ELEMENTS: usize = 30_000;
/// Commands that are sent at once.
const BATCH: usize = 1000;
/// Keys of a writer.
const WRITTEN: usize = 3000;

/// Defragmentation that begins whatever there is to gain.
const EAGER: &[&str] = &[
    "--active-defrag-ignore-bytes",
    "1",
    "--active-defrag-threshold-lower",
    "1",
    "--active-defrag-cycle-max",
    "75",
    "--enable-debug-command",
    "yes",
];

/// Sends commands and reads all replies, of which none may be an error.
fn run_all(client: &mut Client, lines: impl Iterator<Item = String>) {
    let lines: Vec<_> = lines.collect();
    for lines in lines.chunks(BATCH) {
        for line in lines {
            client.send(&line.split(' ').collect::<Vec<_>>()).expect("the server reads");
        }
        for line in lines {
            let reply = client.read().expect("the server answers");
            assert!(!reply.is_error(), "{line}: {reply:?}");
        }
    }
}

/// What makes the small keys of a number.
fn small(n: usize) -> Vec<String> {
    let text = "x".repeat(n % 40);
    vec![
        format!("SET short:{n} value:{n}:{text}"),
        format!("SET number:{n} {n} EX 100000"),
        format!("SET long:{n} {}", format!("{n}:").repeat(150)),
        format!("HSET hash:{n} one {n} two {text}: three 3"),
        format!("RPUSH list:{n} a{n} {text}b c"),
        format!("SADD set:{n} m{n} {text}n"),
        format!("SADD ints:{n} {n} {} 7", n + 1),
        format!("ZADD zset:{n} 1 a{n} 2 {text}b"),
        format!("XADD stream:{n} {n}-1 field {text}v"),
        format!("JSON.SET doc:{n} $ {{\"n\":{n},\"text\":\"{text}and-more-of-it\"}}"),
    ]
}

const TYPES: [&str; 10] =
    ["short", "number", "long", "hash", "list", "set", "ints", "zset", "stream", "doc"];

/// What makes element `n` of the large values.
fn element(n: usize) -> Vec<String> {
    let text = "y".repeat(n % 60);
    vec![
        format!("HSET large:hash field:{n} {text}v"),
        format!("RPUSH large:list {n}:{text}"),
        format!("SADD large:set member:{n}:{text}"),
        format!("ZADD large:zset {n} member:{n}:{text}"),
        format!("XADD large:stream {}-1 field {text}v", n + 1),
    ]
}

/// What takes element `n` away again.
fn without(n: usize) -> Vec<String> {
    let text = "y".repeat(n % 60);
    vec![
        format!("HDEL large:hash field:{n}"),
        "LPOP large:list".to_owned(),
        format!("SREM large:set member:{n}:{text}"),
        format!("ZREM large:zset member:{n}:{text}"),
        format!("XDEL large:stream {}-1", n + 1),
    ]
}

fn is_kept(n: usize) -> bool {
    n.is_multiple_of(10)
}

/// Fills a server and deletes nine of ten.
fn fill(server: &Server) {
    let client = &mut server.client();
    run_all(client, (0..KEYS).flat_map(small));
    run_all(client, (0..ELEMENTS).flat_map(element));
    run_all(client, ["XGROUP CREATE large:stream group 0".to_owned()].into_iter());
    run_all(
        client,
        ["XREADGROUP GROUP group one COUNT 5000 STREAMS large:stream >".to_owned()].into_iter(),
    );
    let docs: Vec<_> = (0..ELEMENTS)
        .map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}", "z".repeat(n % 60)))
        .collect();
    run_all(client, [format!("JSON.SET large:doc $ {{\"all\":[{}]}}", docs.join(","))].into_iter());
    run_all(client, ["JSON.ARRTRIM large:doc $.all 0 3000".to_owned()].into_iter());
    let gone = (0..KEYS).filter(|n| !is_kept(*n));
    let keys = |n: usize| TYPES.map(|kind| format!("DEL {kind}:{n}"));
    run_all(client, gone.flat_map(keys));
    run_all(client, (0..ELEMENTS).filter(|n| !is_kept(*n)).flat_map(without));
}

/// What is left, as digests.
fn digests(client: &mut Client) -> Vec<String> {
    let large =
        ["hash", "list", "set", "zset", "stream", "doc"].map(|kind| format!("large:{kind}"));
    let small =
        (0..KEYS).filter(|n| is_kept(*n)).flat_map(|n| TYPES.map(|kind| format!("{kind}:{n}")));
    let keys: Vec<_> = small.chain(large).collect();
    let mut all = Vec::new();
    for keys in keys.chunks(BATCH) {
        let words = ["DEBUG", "DIGEST-VALUE"].into_iter().chain(keys.iter().map(String::as_str));
        let reply = client.call(&words.collect::<Vec<_>>());
        assert!(!reply.is_error(), "{reply:?}");
        all.push(format!("{reply:?}"));
    }
    all
}

fn figure(server: &Server, field: &str) -> u64 {
    server.info(field).and_then(|text| text.parse().ok()).expect("a number in INFO")
}

/// Writes keys of all kinds to another db until it is told to stop.
fn write(server: &Server, stop: &AtomicBool) -> usize {
    let client = &mut server.client();
    run_all(client, ["SELECT 1".to_owned()].into_iter());
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        rounds += 1;
        let of = |n: usize| {
            let n = (n * 7 + rounds * 131) % WRITTEN;
            let mut lines = small(n);
            lines.push(format!("HSET grown field:{n} {rounds}"));
            lines.push(format!("ZADD ordered {rounds} member:{n}"));
            if (n + rounds).is_multiple_of(3) {
                lines.extend(TYPES.map(|kind| format!("DEL {kind}:{n}")));
            }
            lines.into_iter().filter(|line| !line.starts_with("XADD")).collect::<Vec<_>>()
        };
        run_all(client, (0..50).flat_map(of));
    }
    rounds
}

#[test]
fn what_is_left_of_all_types_moves_together_while_clients_write() {
    let server = Server::start(EAGER);
    if !server.is_ours() {
        return;
    }
    fill(&server);
    let client = &mut server.client();
    let before = digests(client);
    let (active, wasted) =
        (figure(&server, "allocator_active"), figure(&server, "allocator_frag_bytes"));
    let stop = AtomicBool::new(false);
    thread::scope(|threads| {
        let writer = threads.spawn(|| write(&server, &stop));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run_all(&mut server.client(), ["CONFIG SET activedefrag yes".to_owned()].into_iter());
            wait_until_within(120, "most of the waste is given back", || {
                figure(&server, "allocator_frag_bytes") < wasted / 2
            });
            // A snapshot sees what there is, while more is moved.
            run_all(&mut server.client(), ["BGSAVE".to_owned()].into_iter());
            wait_until("the snapshot is done", || {
                server.info("rdb_bgsave_in_progress") == Some("0".into())
            });
            wait_until_within(120, "the large values have moved", || {
                figure(&server, "active_defrag_key_misses")
                    > figure(&server, "active_defrag_key_hits") / 4
            });
        }));
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let rounds = writer.join().expect("the writer ends");
        println!("{rounds} rounds of writes");
    });
    assert_eq!(server.info("rdb_last_bgsave_status"), Some("ok".into()));
    assert!(digests(client) == before, "something has changed");
    let (hits, misses) =
        (figure(&server, "active_defrag_hits"), figure(&server, "active_defrag_misses"));
    assert!(hits > KEYS as u64 && misses > 0, "{hits} blocks moved, {misses} left");
    let now = figure(&server, "allocator_active");
    println!("active: {active} before, {now} now; {hits} blocks moved, {misses} left");
    assert!(now * 3 < active * 2, "{active} bytes active before, {now} now");
    // What was moved is sound to its last byte: it is saved, and loaded.
    run_all(
        client,
        ["CONFIG SET activedefrag no".to_owned(), "DEBUG RELOAD".to_owned()].into_iter(),
    );
    assert!(digests(client) == before, "something has changed in the file");
    wait_until("the round ends", || figure(&server, "active_defrag_running") == 0);
}

#[test]
fn the_figures_tell_of_a_round() {
    let server = Server::start(EAGER);
    if !server.is_ours() {
        return;
    }
    let fields = ["active_defrag_running", "active_defrag_hits", "total_active_defrag_time"];
    assert_eq!(fields.map(|field| figure(&server, field)), [0; 3]);
    let client = &mut server.client();
    run_all(client, (0..KEYS).map(|n| format!("SET short:{n} value:{n}")));
    run_all(client, (0..KEYS).filter(|n| !is_kept(*n)).map(|n| format!("DEL short:{n}")));
    run_all(client, ["CONFIG SET activedefrag yes".to_owned()].into_iter());
    wait_until("keys have moved", || figure(&server, "active_defrag_key_hits") > KEYS as u64 / 20);
    wait_until("a round takes time", || figure(&server, "total_active_defrag_time") > 0);
    run_all(client, ["CONFIG SET activedefrag no".to_owned()].into_iter());
    wait_until("the round ends", || figure(&server, "active_defrag_running") == 0);
    assert_eq!(figure(&server, "current_active_defrag_time"), 0);
    run_all(client, ["CONFIG RESETSTAT".to_owned()].into_iter());
    assert_eq!(figure(&server, "active_defrag_hits"), 0);
}

#[test]
fn nothing_runs_below_the_thresholds() {
    let server = Server::start(&["--activedefrag", "yes"]);
    if !server.is_ours() {
        return;
    }
    let client = &mut server.client();
    run_all(client, (0..KEYS).map(|n| format!("SET short:{n} value:{n}")));
    run_all(client, (0..KEYS).filter(|n| !is_kept(*n)).map(|n| format!("DEL short:{n}")));
    wait_until("there is a thread for it", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
        tasks.flatten().any(|task| {
            std::fs::read_to_string(task.path().join("comm"))
                .is_ok_and(|name| name.trim() == "defrag")
        })
    });
    assert_eq!(figure(&server, "active_defrag_hits"), 0);
    let eager = "CONFIG SET active-defrag-ignore-bytes 1 active-defrag-threshold-lower 1";
    run_all(client, [eager.to_owned()].into_iter());
    wait_until("blocks move", || figure(&server, "active_defrag_hits") > 0);
}
