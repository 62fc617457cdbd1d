//! Does BGSAVE show one point in time while clients write? Writers change many keys of all types in step, each step in
//! one transaction; the file must show every key of a writer at the same step.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::client::Client;
use crate::harness::server::{Folder, Server, under_test};
use crate::harness::value::Value;
use crate::harness::wait_until;

const WRITERS: usize = 2;
/// Keys that nobody changes: the walk takes longer because of them.
const FILLERS: usize = 1500;
/// Counters of a writer.
const COUNTERS: usize = 20;
/// Elements of the large collections at the start.
const ELEMENTS: usize = 1000;
/// Snapshots of one run.
const ROUNDS: usize = 3;

/// Words separated by spaces.
fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Sends commands at once and reads all replies, of which none may be an error.
fn pipeline(client: &mut Client, commands: &[Vec<String>]) {
    for command in commands {
        client.send(command).expect("the server reads");
    }
    for command in commands {
        let reply = client.read().expect("the server answers");
        assert!(!reply.is_error(), "{command:?}: {reply:?}");
    }
}

/// What a writer makes of its keys in step `n`.
fn step(writer: usize, n: usize, docs: bool) -> Vec<Vec<String>> {
    let w = writer;
    let mut commands = vec!["MULTI".to_owned()];
    commands.extend((0..COUNTERS).map(|counter| format!("INCR c:{w}:{counter}")));
    let text = format!("{n}:").repeat(300);
    commands.push(format!("SET text:{w} {text}"));
    commands.push(format!("APPEND log:{w} {n},"));
    let element = n * 37 % ELEMENTS;
    commands.push(format!("HSET hash:{w} last {n} field:{element} {n}"));
    commands.push(format!("HSET small:{w} last {n}"));
    commands.push(format!("RPUSH list:{w} {n}"));
    commands.push(format!("LSET list:{w} {element} {n}"));
    commands.push(format!("SADD set:{w} member:{n}"));
    commands.push(format!("ZADD zset:{w} {n} member:{element} {n} last"));
    commands.push(format!("XADD stream:{w} {n}-1 field {n}"));
    // One key that changes its name, one that changes its db, one that comes anew, and one that goes.
    commands.push(format!("RENAME name:{w}:{} name:{w}:{}", (n + 1) % 5, (n + 2) % 5));
    commands.push(format!("SET name:{w}:{} {n}", (n + 2) % 5));
    commands.push(format!("COPY text:{w} copy:{w} REPLACE"));
    commands.push(format!("SET new:{w}:{n} {n} EX 1000"));
    commands.push(format!("DEL new:{w}:{}", n.saturating_sub(1)));
    commands.push(format!("SET moves:{w} {n}"));
    commands.push(format!("MOVE moves:{w} 1"));
    commands.push("SELECT 1".into());
    commands.push(format!("DEL moved:{w}"));
    commands.push(format!("RENAME moves:{w} moved:{w}"));
    commands.push("SELECT 0".into());
    if docs {
        commands.extend((0..3).map(|doc| format!("JSON.SET doc:{w}:{doc} . {n}")));
        commands.push(format!("JSON.SET tree:{w} .n {n}"));
    }
    if writer == 0 {
        // A db that is flushed, filled and swapped with another one.
        commands.push("SELECT 5".into());
        commands.push("FLUSHDB".into());
        let pairs: Vec<String> = (0..50).map(|key| format!("k{key} {n}")).collect();
        commands.push(format!("MSET {}", pairs.join(" ")));
        commands.push("SWAPDB 5 6".into());
        commands.push("SELECT 0".into());
    }
    commands.push("EXEC".into());
    commands.iter().map(|line| words(line)).collect()
}

/// What is there before step 1.
fn fill(client: &mut Client, docs: bool) {
    for first in (0..FILLERS).step_by(100) {
        let pairs: Vec<String> =
            (first..first + 100).map(|key| format!("filler:{key} value:{key}")).collect();
        pipeline(client, &[words(&format!("MSET {}", pairs.join(" ")))]);
    }
    for w in 0..WRITERS {
        let elements = |one: &dyn Fn(usize) -> String| -> String {
            (0..ELEMENTS).map(one).collect::<Vec<_>>().join(" ")
        };
        let mut commands = vec![
            format!("HSET hash:{w} {}", elements(&|at| format!("field:{at} 0"))),
            format!("RPUSH list:{w} {}", elements(&|_| "0".into())),
            format!("SADD set:{w} {}", elements(&|at| format!("first:{at}"))),
            format!("ZADD zset:{w} {}", elements(&|at| format!("0 member:{at}"))),
            format!("SET name:{w}:2 0"),
        ];
        if docs {
            commands.push(format!("JSON.SET tree:{w} . {{\"n\":0,\"rest\":[1,2,3]}}"));
        }
        let commands: Vec<_> = commands.iter().map(|line| words(line)).collect();
        pipeline(client, &commands);
    }
}

fn text(client: &mut Client, line: &str) -> String {
    match client.call(&words(line)) {
        Value::Int(number) => number.to_string(),
        Value::Nil => "nothing".into(),
        reply => reply.text(),
    }
}

/// Checks that all that a writer has is of one step; which one.
fn check(client: &mut Client, w: usize, docs: bool) -> usize {
    let step = text(client, &format!("GET c:{w}:0"));
    if step == "nothing" {
        return 0;
    }
    let n: usize = step.parse().expect("a counter");
    let mut same = |line: &str, expected: &str| {
        assert_eq!(text(client, line), expected, "{line} at step {n}");
    };
    for counter in 0..COUNTERS {
        same(&format!("GET c:{w}:{counter}"), &step);
    }
    same(&format!("GET text:{w}"), &format!("{n}:").repeat(300));
    same(&format!("GET copy:{w}"), &format!("{n}:").repeat(300));
    let log: String = (1..=n).map(|n| format!("{n},")).collect();
    same(&format!("GET log:{w}"), &log);
    let element = n * 37 % ELEMENTS;
    same(&format!("HGET hash:{w} last"), &step);
    same(&format!("HGET hash:{w} field:{element}"), &step);
    same(&format!("HGET small:{w} last"), &step);
    same(&format!("LLEN list:{w}"), &(ELEMENTS + n).to_string());
    same(&format!("LINDEX list:{w} -1"), &step);
    same(&format!("LINDEX list:{w} {element}"), &step);
    same(&format!("SCARD set:{w}"), &(ELEMENTS + n).to_string());
    same(&format!("SISMEMBER set:{w} member:{n}"), "1");
    same(&format!("ZSCORE zset:{w} last"), &step);
    same(&format!("ZSCORE zset:{w} member:{element}"), &step);
    same(&format!("ZCOUNT zset:{w} ({n} +inf"), "0");
    same(&format!("XLEN stream:{w}"), &step);
    for name in 0..5 {
        let expected = if name == (n + 2) % 5 { step.as_str() } else { "nothing" };
        same(&format!("GET name:{w}:{name}"), expected);
    }
    same(&format!("GET new:{w}:{n}"), &step);
    same(&format!("GET new:{w}:{}", n + 1), "nothing");
    same(&format!("EXISTS new:{w}:{} moves:{w}", n - 1), "0");
    if docs {
        (0..3).for_each(|doc| same(&format!("JSON.GET doc:{w}:{doc}"), &step));
        same(&format!("JSON.GET tree:{w} .n"), &step);
    }
    same("SELECT 1", "OK");
    same(&format!("GET moved:{w}"), &step);
    same(&format!("EXISTS moves:{w}"), "0");
    if w == 0 {
        for (db, value) in [(6, n), (5, n - 1)] {
            same(&format!("SELECT {db}"), "OK");
            let there = value > 0;
            same("DBSIZE", if there { "50" } else { "0" });
            for key in (0..50).filter(|_| there) {
                same(&format!("GET k{key}"), &value.to_string());
            }
        }
    }
    same("SELECT 0", "OK");
    n
}

/// A server that loads a file.
fn load(file: &Path) -> Server {
    let folder = Folder::new();
    fs::copy(file, folder.path().join("dump.rdb")).expect("it was written");
    let dir = folder.path().display().to_string();
    let server = Server::start(&["--dir", &dir]);
    assert_ne!(server.info("rdb_last_load_keys_loaded"), Some("0".into()));
    server
}

fn bgsave(server: &Server) {
    assert_eq!(server.client().call(&["BGSAVE"]).text(), "Background saving started");
    wait_until("the snapshot is done", || {
        server.info("rdb_bgsave_in_progress") == Some("0".into())
    });
}

/// Takes snapshots while writers write, and checks each.
fn shows_one_point_in_time(args: &[&str], docs: bool) {
    let server = Server::start(&[args, &["--rdb-key-save-delay", "200"]].concat());
    if docs && !server.is_ours() {
        println!("skipped: {} has no modules of ours", under_test().display());
        return;
    }
    fill(&mut server.client(), docs);
    let stop = AtomicBool::new(false);
    let mut files = Vec::new();
    thread::scope(|threads| {
        for w in 0..WRITERS {
            let (server, stop) = (&server, &stop);
            threads.spawn(move || {
                let mut client = server.client();
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    pipeline(&mut client, &step(w, n, docs));
                }
            });
        }
        // A panic in here must not leave the writers running.
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..ROUNDS {
                let step = |client: &mut Client| {
                    let value = client.call(&["GET", "c:0:0"]);
                    if value == Value::Nil { 0 } else { value.text().parse().expect("a counter") }
                };
                let before: usize = step(&mut server.client());
                bgsave(&server);
                let after = step(&mut server.client());
                assert_eq!(server.info("rdb_last_bgsave_status"), Some("ok".into()));
                let file = server.folder.path().join(format!("round-{round}.rdb"));
                fs::rename(server.folder.path().join("dump.rdb"), &file).expect("it was saved");
                files.push((file, before, after));
            }
        }));
        stop.store(true, Ordering::Relaxed);
        taken.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    for (file, before, after) in files {
        let loaded = load(&file);
        let mut client = loaded.client();
        let steps: Vec<usize> = (0..WRITERS).map(|w| check(&mut client, w, docs)).collect();
        assert!((before..=after).contains(&steps[0]), "{before} <= {steps:?} <= {after}");
        for key in (0..FILLERS).step_by(97) {
            assert_eq!(text(&mut client, &format!("GET filler:{key}")), format!("value:{key}"));
        }
        println!("{}: steps {before} to {after}, saved {steps:?}", file.display());
    }
}

#[test]
fn a_snapshot_under_writes_shows_one_point_in_time() {
    shows_one_point_in_time(&["--snapshot-method", "inline"], false);
}

#[test]
fn a_snapshot_of_documents_under_writes_shows_one_point_in_time() {
    // Ours are declared safe: there is no need for a child.
    shows_one_point_in_time(&[], true);
}

#[test]
fn a_child_shows_one_point_in_time() {
    shows_one_point_in_time(&["--snapshot-method", "fork"], true);
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("there is /proc").flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name, in parentheses, may hold anything.
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if rest.split(' ').nth(1).and_then(|parent| parent.parse().ok()) == Some(pid) {
            found.extend(entry.file_name().to_string_lossy().parse::<u32>().ok());
        }
    }
    found
}

#[test]
fn a_child_that_is_killed_leaves_the_old_file() {
    let server = Server::start(&["--snapshot-method", "fork"]);
    let mut client = server.client();
    pipeline(&mut client, &[words("SET k old"), words("BGSAVE")]);
    wait_until("the first snapshot is done", || {
        server.info("rdb_bgsave_in_progress") == Some("0".into())
    });
    let file = server.folder.path().join("dump.rdb");
    let old = fs::read(&file).expect("it was saved");
    pipeline(
        &mut client,
        &[words("CONFIG SET rdb-key-save-delay 10000000"), words("SET k new"), words("BGSAVE")],
    );
    wait_until("there is a child", || !children(server.pid()).is_empty());
    assert_eq!(server.info("rdb_bgsave_in_progress"), Some("1".into()));
    assert_eq!(client.call(&["GET", "k"]).text(), "new");
    for child in children(server.pid()) {
        let killed = std::process::Command::new("kill").arg("-9").arg(child.to_string()).status();
        assert!(killed.expect("kill is there").success());
    }
    wait_until("its end is noticed", || server.info("rdb_bgsave_in_progress") == Some("0".into()));
    assert_eq!(server.info("rdb_last_bgsave_status"), Some("err".into()));
    assert!(server.log().contains("Background saving terminated by signal 9"), "{}", server.log());
    assert_eq!(fs::read(&file).expect("it is still there"), old);
    // What is left behind is nothing.
    let temporary = |name: &str| name.starts_with("temp-");
    let names = fs::read_dir(server.folder.path()).expect("a folder").flatten();
    let left: Vec<_> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!left.iter().any(|name| temporary(name)), "{left:?}");
}

#[test]
fn a_child_ends_with_its_parent() {
    let args = ["--snapshot-method", "fork", "--rdb-key-save-delay", "20000"];
    let mut server = Server::start(&args);
    let mut client = server.client();
    for key in 0..1000 {
        client.call(&["SET", &format!("key:{key}"), "v"]);
    }
    pipeline(&mut client, &[words("BGSAVE")]);
    wait_until("there is a child", || !children(server.pid()).is_empty());
    let child = children(server.pid())[0];
    server.signal("KILL");
    let _ = server.wait();
    let stat = format!("/proc/{child}/stat");
    // It may stay as a zombie until whoever has adopted it looks.
    wait_until("the child ends", || {
        fs::read_to_string(&stat).is_ok_and(|text| text.contains(") Z "))
            || !Path::new(&stat).exists()
    });
}

/// FLUSHALL gives a snapshot up; the next one shows what came after.
fn a_flush_gives_it_up(method: &str) {
    let server = Server::start(&["--snapshot-method", method]);
    let mut client = server.client();
    for key in 0..2000 {
        client.call(&["SET", &format!("old:{key}"), "v"]);
    }
    pipeline(&mut client, &[words("CONFIG SET rdb-key-save-delay 20000"), words("BGSAVE")]);
    wait_until("it is under way", || {
        server.info("current_save_keys_processed").is_some_and(|keys| keys != "0")
    });
    for key in 0..500 {
        client.call(&["SET", &format!("old:{key}"), "w"]);
        client.call(&["SET", &format!("new:{key}"), "w"]);
    }
    pipeline(&mut client, &[words("FLUSHALL"), words("SET only v")]);
    wait_until("it has ended", || server.info("rdb_bgsave_in_progress") == Some("0".into()));
    assert!(server.log().contains("Background saving terminated by signal 10"), "{}", server.log());
    assert_eq!(server.info("rdb_last_bgsave_status"), Some("ok".into()));
    assert!(!server.folder.path().join("dump.rdb").exists(), "nothing was saved");
    pipeline(&mut client, &[words("CONFIG SET rdb-key-save-delay 0")]);
    bgsave(&server);
    let loaded = load(&server.folder.path().join("dump.rdb"));
    assert_eq!(text(&mut loaded.client(), "DBSIZE"), "1");
    assert_eq!(text(&mut loaded.client(), "GET only"), "v");
}

#[test]
fn a_flush_gives_a_walk_up() {
    a_flush_gives_it_up("inline");
}

#[test]
fn a_flush_ends_a_child() {
    a_flush_gives_it_up("fork");
}

#[test]
fn what_a_snapshot_holds_evicts_no_keys() {
    let server = Server::start(&["--rdb-key-save-delay", "200", "--snapshot-method", "inline"]);
    let mut client = server.client();
    let value = "v".repeat(100);
    let set = |client: &mut Client, from: usize, count: usize| {
        for first in (from..from + count).step_by(100) {
            let sets: Vec<_> =
                (first..first + 100).map(|key| words(&format!("SET key:{key} {value}"))).collect();
            pipeline(client, &sets);
        }
    };
    set(&mut client, 0, 10_000);
    let number = |field: &str| -> usize {
        server.info(field).and_then(|text| text.parse().ok()).expect("a number")
    };
    let limit = number("used_memory") + 100_000;
    pipeline(
        &mut client,
        &[
            words(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-random")),
            words("BGSAVE"),
        ],
    );
    // Each new key takes the place of an old one, most of which the snapshot still has to get.
    set(&mut client, 10_000, 3_000);
    assert_eq!(number("rdb_bgsave_in_progress"), 1);
    assert!(number("mem_not_counted_for_evict") > 0);
    let (evicted, left) = (number("evicted_keys"), text(&mut client, "DBSIZE"));
    assert!(evicted > 0 && evicted < 6_000, "{evicted} evicted, {left} left");
    pipeline(&mut client, &[words("CONFIG SET rdb-key-save-delay 0")]);
    wait_until("the snapshot is done", || number("rdb_bgsave_in_progress") == 0);
    // The file has what was evicted meanwhile.
    let loaded = load(&server.folder.path().join("dump.rdb"));
    assert_eq!(text(&mut loaded.client(), "DBSIZE"), "10000");
    assert_eq!(number("mem_not_counted_for_evict"), 0);
}
