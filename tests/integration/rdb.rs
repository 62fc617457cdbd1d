//! Does the data set survive: saved and loaded here, and exchanged with a real server by file? And what happens
//! around it: files that are broken, disks that refuse, replicas that follow, keys that move.

use std::fs;
use std::path::Path;

use crate::harness::client::Client;
use crate::harness::random::Random;
use crate::harness::server::{Folder, Server, reference, run_to_end, under_test};
use crate::harness::value::Value;
use crate::harness::wait_until;

/// A text: a number, a short one, a repetitive one or noise.
fn text(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => (random.below(1000) as i64 - 500).to_string().into_bytes(),
        1 => (random.next() as i64).to_string().into_bytes(),
        2 => format!("text:{}", random.below(100_000)).into_bytes(),
        3 => b"again and ".repeat(1 + random.below(40)),
        4 => (0..random.below(300)).map(|_| random.next() as u8).collect(),
        _ => vec![b'x'; random.below(3000)],
    }
}

fn score(random: &mut Random) -> String {
    match random.below(6) {
        0 => "inf".into(),
        1 => "-inf".into(),
        2 => format!("{}.5", random.below(1000) as i64 - 500),
        3 => format!("{}e{}", random.below(1000), random.below(200)),
        _ => (random.below(100_000) as i64).to_string(),
    }
}

/// The commands that make one key.
fn make(random: &mut Random, kind: &str, key: &str) -> Vec<Vec<Vec<u8>>> {
    let count = match random.below(3) {
        0 => 1 + random.below(5),
        1 => 1 + random.below(100),
        _ => 1 + random.below(1500),
    };
    let words = |words: &[&str]| -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    };
    let with_rest = |head: &[&str], rest: Vec<Vec<u8>>| [words(head), rest].concat();
    match kind {
        "string" => vec![with_rest(&["SET", key], vec![text(random)])],
        "integers" => {
            let members = (0..count).map(|_| random.below(1 << 20).to_string().into_bytes());
            vec![with_rest(&["SADD", key], members.collect())]
        }
        "set" => vec![with_rest(&["SADD", key], (0..count).map(|_| text(random)).collect())],
        "hash" => vec![with_rest(&["HSET", key], (0..2 * count).map(|_| text(random)).collect())],
        "zset" => {
            let pairs = (0..count).flat_map(|_| [score(random).into_bytes(), text(random)]);
            vec![with_rest(&["ZADD", key], pairs.collect())]
        }
        "list" => vec![with_rest(&["RPUSH", key], (0..count).map(|_| text(random)).collect())],
        "hyperloglog" => {
            vec![with_rest(&["PFADD", key], (0..3 * count).map(|_| text(random)).collect())]
        }
        "bitmap" => {
            let bit = |_| words(&["SETBIT", key, &random.below(20_000).to_string(), "1"]);
            (0..1 + count / 10).map(bit).collect()
        }
        "geo" => {
            let places = (0..count).flat_map(|_| {
                let mut degrees = |max: usize| {
                    format!("{}.{}", random.below(2 * max) as i64 - max as i64, random.below(1000))
                };
                let place = [degrees(179), degrees(84)].map(String::into_bytes);
                [&place[..], &[text(random)]].concat()
            });
            vec![with_rest(&["GEOADD", key], places.collect())]
        }
        _ => make_stream(random, key, count, &words),
    }
}

fn make_stream(
    random: &mut Random,
    key: &str,
    count: usize,
    words: &dyn Fn(&[&str]) -> Vec<Vec<u8>>,
) -> Vec<Vec<Vec<u8>>> {
    let mut commands = Vec::new();
    for number in 1..=count {
        let mut add = words(&["XADD", key, &format!("{number}-1")]);
        // Mostly the same fields, as entries have them.
        let other = random.one_in(5);
        for field in 0..1 + usize::from(other) * random.below(3) {
            add.push(format!("field{field}").into_bytes());
            add.push(text(random));
        }
        commands.push(add);
    }
    for _ in 0..random.below(10) {
        commands.push(words(&["XDEL", key, &format!("{}-1", 1 + random.below(count))]));
    }
    for group in ["first", "second"].iter().take(random.below(3)) {
        commands.push(words(&["XGROUP", "CREATE", key, group, "0"]));
        for consumer in ["one", "two"] {
            let some = (1 + random.below(20)).to_string();
            commands.push(words(&[
                "XREADGROUP",
                "GROUP",
                group,
                consumer,
                "COUNT",
                &some,
                "STREAMS",
                key,
                ">",
            ]));
        }
        commands.push(words(&["XACK", key, group, &format!("{}-1", 1 + random.below(count))]));
    }
    commands
}

/// The types' own first.
const KINDS: &[&str] = &[
    "string",
    "integers",
    "set",
    "hash",
    "zset",
    "list",
    "stream",
    "hyperloglog",
    "bitmap",
    "geo",
];

/// Thresholds that change encodings, with what is tried for each beside the default.
const THRESHOLDS: &[(&str, &[&str])] = &[
    ("--hash-max-listpack-entries", &["4", "2000"]),
    ("--hash-max-listpack-value", &["10", "4000"]),
    ("--zset-max-listpack-entries", &["4", "2000"]),
    ("--zset-max-listpack-value", &["10", "4000"]),
    ("--set-max-intset-entries", &["4", "2000"]),
    ("--list-max-listpack-size", &["4", "-5"]),
    ("--list-compress-depth", &["1"]),
    ("--stream-node-max-entries", &["4"]),
    ("--rdbcompression", &["no"]),
];

/// Fills two dbs with keys of all kinds.
pub fn fill(client: &mut Client, random: &mut Random, keys: usize) {
    for db in ["0", "3"] {
        assert_eq!(client.call(&["SELECT", db]).text(), "OK");
        for number in 0..keys {
            let key = format!("{}:{number}", KINDS[number % KINDS.len()]);
            for command in make(random, KINDS[number % KINDS.len()], &key) {
                if let Value::Error(error) = client.call(&command) {
                    panic!("{key}: {}", String::from_utf8_lossy(&error));
                }
            }
            if random.one_in(4) {
                client.call(&["EXPIRE", &key, "100000"]);
            }
        }
    }
}

/// All that a server holds, as text.
pub fn describe(client: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    for db in ["0", "3"] {
        client.call(&["SELECT", db]);
        let keys = client.call(&["KEYS", "*"]).items();
        for key in keys.iter().map(Value::text) {
            let kind = client.call(&["TYPE", &key]).text();
            let at = client.call(&["PEXPIRETIME", &key]).int();
            let (argv, ordered): (Vec<&str>, bool) = match kind.as_str() {
                "string" => (vec!["GET", &key], true),
                "hash" => (vec!["HGETALL", &key], false),
                "set" => (vec!["SMEMBERS", &key], false),
                "list" => (vec!["LRANGE", &key, "0", "-1"], true),
                "zset" => (vec!["ZRANGE", &key, "0", "-1", "WITHSCORES"], true),
                _ => (vec!["XINFO", "STREAM", &key, "FULL", "COUNT", "0"], true),
            };
            let value = client.call(&argv);
            let mut parts = match value {
                Value::Array(items) if kind == "hash" => {
                    items.chunks(2).map(|pair| format!("{pair:?}")).collect()
                }
                // Servers write the same number in different ways.
                Value::Array(items) if kind == "zset" => items
                    .chunks(2)
                    .map(|pair| format!("{:?} {:?}", pair[0], pair[1].text().parse::<f64>()))
                    .collect(),
                Value::Array(items) => items.iter().map(|item| format!("{item:?}")).collect(),
                other => vec![format!("{other:?}")],
            };
            if !ordered {
                parts.sort();
            }
            if kind == "stream" {
                // Counts of radix tree nodes are each server's own; so is what 7.2 added.
                parts = stream_parts(client, &key);
            }
            lines.push(format!("{db} {key} {kind} {at} {}", parts.join(" ")));
        }
    }
    lines.sort();
    lines
}

/// Entries and groups of a stream.
fn stream_parts(client: &mut Client, key: &str) -> Vec<String> {
    let mut parts = vec![format!("{:?}", client.call(&["XRANGE", key, "-", "+"]))];
    for group in client.call(&["XINFO", "GROUPS", key]).items() {
        let items = group.items();
        let name = items[1].text();
        parts.push(format!("{:?}", &items[..10]));
        let pending = client.call(&["XPENDING", key, &name, "-", "+", "10000"]).items();
        for entry in pending {
            let entry = entry.items();
            parts.push(format!("{:?} {:?} {:?}", entry[0], entry[1], entry[3]));
        }
    }
    parts
}

/// Compares key by key, and shows the start of those that differ.
pub fn same(after: &[String], before: &[String]) {
    assert_eq!(after.len(), before.len(), "number of keys");
    let other = after.iter().zip(before).find(|(after, before)| after != before);
    if let Some((after, before)) = other {
        let at = after.bytes().zip(before.bytes()).take_while(|(one, two)| one == two).count();
        let part =
            |text: &str| text.chars().skip(at.saturating_sub(80)).take(300).collect::<String>();
        let name: String = after.chars().take(60).collect();
        panic!("{name} differs at {at}:\n  {}\n  {}", part(before), part(after));
    }
}

fn copy_dump(from: &Path) -> Folder {
    let folder = Folder::new();
    fs::copy(from.join("dump.rdb"), folder.path().join("dump.rdb")).expect("it was saved");
    folder
}

fn save(client: &mut Client) {
    assert_eq!(client.call(&["SAVE"]).text(), "OK");
}

#[test]
fn what_is_saved_is_there_after_a_restart_and_a_reload() {
    let mut random = Random::new("restart");
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    fill(&mut client, &mut random, 40);
    let before = describe(&mut client);
    let digest = client.call(&["DEBUG", "DIGEST"]).text();
    save(&mut client);
    let saved = fs::read(server.folder.path().join("dump.rdb")).unwrap();
    // The oldest knows less of streams.
    for version in ["12", "11", "10", "9"] {
        client.call(&["CONFIG", "SET", "rdb-target-version", version]);
        assert_eq!(client.call(&["DEBUG", "RELOAD"]).text(), "OK");
        assert_eq!(client.call(&["DEBUG", "DIGEST"]).text(), digest, "version {version}");
        if version != "9" {
            same(&describe(&mut client), &before);
        }
    }
    client.call(&["FLUSHALL"]);
    assert_ne!(client.call(&["DEBUG", "DIGEST"]).text(), digest);
    let folder = Folder::new();
    fs::write(folder.path().join("dump.rdb"), saved).unwrap();
    let dir = folder.path().display().to_string();
    let again = Server::start(&["--dir", &dir, "--enable-debug-command", "yes"]);
    let mut client = again.client();
    same(&describe(&mut client), &before);
    assert_eq!(client.call(&["DEBUG", "DIGEST"]).text(), digest);
    assert_eq!(again.info("rdb_last_load_keys_loaded"), Some("80".into()));
}

/// How each key is held.
fn encodings(client: &mut Client) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for db in ["0", "3"] {
        client.call(&["SELECT", db]);
        for key in client.call(&["KEYS", "*"]).items().iter().map(Value::text) {
            let encoding = client.call(&["OBJECT", "ENCODING", &key]).text();
            found.push((format!("{db} {key}"), encoding));
        }
    }
    found.sort();
    found
}

/// Whether 7.2 holds it so what 7.0 holds so: small lists and small sets of any members came to be listpacks.
fn is_held_alike(key: &str, ours: &str, theirs: &str) -> bool {
    let kind = |name: &str| key.split([' ', ':']).nth(1) == Some(name);
    match (ours, theirs) {
        ("listpack", "quicklist") => kind("list"),
        ("listpack", "hashtable") => kind("set") || kind("integers"),
        _ => ours == theirs,
    }
}

#[test]
fn files_are_exchanged_with_a_real_server() {
    let Some(reference) = reference() else { return };
    let mut random = Random::new("exchange");
    let mut args = vec!["--enable-debug-command", "yes"];
    for (name, values) in THRESHOLDS {
        if random.one_in(2) {
            args.extend([*name, random.pick(values)]);
        }
    }
    println!("{args:?}");
    // The same commands on both; then each loads what the other has saved.
    let ours = Server::start_binary(&under_test(), &args);
    let theirs = Server::start_binary(&reference, &args);
    let (mut our, mut their) = (ours.client(), theirs.client());
    fill(&mut our, &mut random.clone(), 80);
    fill(&mut their, &mut random, 80);
    our.call(&["CONFIG", "SET", "rdb-target-version", "10"]);
    for client in [&mut our, &mut their] {
        // Loading may hold things in another way than the commands that made them.
        assert_eq!(client.call(&["DEBUG", "RELOAD"]).text(), "OK");
        save(client);
    }
    let (our_folder, their_folder) =
        (copy_dump(ours.folder.path()), copy_dump(theirs.folder.path()));
    let start = |binary: &Path, folder: &Folder| {
        let dir = folder.path().display().to_string();
        Server::start_binary(binary, &[&args[..], &["--dir", &dir]].concat())
    };
    let (ours_of_theirs, theirs_of_ours) =
        (start(&under_test(), &their_folder), start(&reference, &our_folder));
    let (mut our_copy, mut their_copy) = (ours_of_theirs.client(), theirs_of_ours.client());
    same(&describe(&mut our_copy), &describe(&mut their));
    same(&describe(&mut their_copy), &describe(&mut our));
    // A digest means something to the servers of one kind.
    let digest = |client: &mut Client| client.call(&["DEBUG", "DIGEST"]).text();
    assert_eq!(digest(&mut our_copy), digest(&mut our));
    assert_eq!(digest(&mut their_copy), digest(&mut their));
    let held = encodings(&mut our);
    for ((key, ours), (other, copied)) in held.iter().zip(encodings(&mut our_copy)) {
        assert!(
            *key == other && is_held_alike(key, ours, &copied),
            "{key} {ours}, {other} {copied}"
        );
    }
    assert_eq!(encodings(&mut their_copy), encodings(&mut their));
    for ((key, ours), (other, theirs)) in held.iter().zip(encodings(&mut their)) {
        assert_eq!(*key, other);
        assert!(is_held_alike(key, ours, &theirs), "{key} is {ours} here, {theirs} there");
    }
    values_are_exchanged(&mut our, &mut their_copy);
    values_are_exchanged(&mut their, &mut our_copy);
}

/// Values one by one, by DUMP and RESTORE.
fn values_are_exchanged(from: &mut Client, to: &mut Client) {
    for client in [&mut *from, &mut *to] {
        client.call(&["SELECT", "3"]);
    }
    for (number, kind) in KINDS.iter().enumerate() {
        let key = format!("{kind}:{number}");
        let payload = from.call(&["DUMP", &key]);
        let Value::Bulk(payload) = payload else { panic!("{key} is there") };
        let restore = [b"RESTORE".to_vec(), b"copy".to_vec(), b"0".to_vec(), payload];
        let restored = to.call(&[&restore[..], &[b"REPLACE".to_vec()]].concat());
        assert_eq!(restored.text(), "OK", "{key}");
        // The digest also says whether the key expires, as the copy does not.
        to.call(&["PERSIST", &key]);
        let digest = |client: &mut Client, key: &str| {
            client.call(&["DEBUG", "DIGEST-VALUE", key]).items()[0].text()
        };
        assert_eq!(digest(to, "copy"), digest(to, &key), "{key}");
    }
}

#[test]
fn a_snapshot_in_the_background_does_not_keep_the_server() {
    let server = Server::start(&["--rdb-key-save-delay", "200000"]);
    let mut client = server.client();
    for number in 0..5 {
        client.call(&["SET", &format!("k{number}"), "old"]);
    }
    assert_eq!(client.call(&["BGSAVE"]).text(), "Background saving started");
    let error = client.call(&["BGSAVE"]);
    assert_eq!(error, Value::Error(b"ERR Background save already in progress".to_vec()));
    assert_eq!(client.call(&["SAVE"]), error);
    assert_eq!(server.info("rdb_bgsave_in_progress"), Some("1".into()));
    client.call(&["SET", "late", "new"]);
    assert_eq!(client.call(&["GET", "late"]).text(), "new");
    wait_until("the snapshot is done", || {
        server.info("rdb_bgsave_in_progress") == Some("0".into())
    });
    assert_eq!(server.info("rdb_last_bgsave_status"), Some("ok".into()));
    assert!(server.folder.path().join("dump.rdb").exists());
    let log = server.log();
    assert!(log.contains("Background saving terminated with success"), "{log}");
}

#[test]
fn a_save_point_saves_by_itself() {
    let server = Server::start(&["--save", "1 3"]);
    let mut client = server.client();
    for key in ["a", "b", "c"] {
        client.call(&["SET", key, "v"]);
    }
    let file = server.folder.path().join("dump.rdb");
    wait_until("the save point is reached", || file.exists());
    wait_until("nothing is left to save", || {
        server.info("rdb_changes_since_last_save") == Some("0".into())
    });
    assert!(server.log().contains("3 changes in 1 seconds. Saving..."));
}

#[test]
fn the_end_saves_if_it_is_to() {
    for (save, how, exists) in [
        ("", "SHUTDOWN", false),
        ("900 1", "SHUTDOWN", true),
        ("900 1", "NOSAVE", false),
        ("", "SAVE", true),
        ("900 1", "TERM", true),
        ("", "TERM", false),
    ] {
        let mut server = Server::start(&["--save", save]);
        let mut client = server.client();
        client.call(&["SET", "k", "v"]);
        match how {
            "TERM" => server.signal("TERM"),
            "SHUTDOWN" => client.send(&["SHUTDOWN"]).unwrap(),
            word => client.send(&["SHUTDOWN", word]).unwrap(),
        }
        let ended = server.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
        let file = server.folder.path().join("dump.rdb");
        assert_eq!(file.exists(), exists, "save {save:?}, {how}: {}", ended.output);
        assert!(ended.output.contains("ready to exit, bye bye"));
    }
}

#[test]
fn an_end_that_a_signal_asks_for_can_be_called_off() {
    let mut server = Server::start(&["--enable-debug-command", "yes", "--save", ""]);
    let mut client = server.client();
    let none = Value::Error(b"ERR No shutdown in progress.".to_vec());
    assert_eq!(client.call(&["SHUTDOWN", "ABORT"]), none);
    // Signals are a matter of what is done periodically.
    client.call(&["DEBUG", "PAUSE-CRON", "1"]);
    server.signal("TERM");
    wait_until("the signal has come", || server.log().contains("Received SIGTERM"));
    wait_until("it is called off", || client.call(&["SHUTDOWN", "ABORT"]) != none);
    assert_eq!(client.call(&["SHUTDOWN", "ABORT"]), none);
    client.call(&["DEBUG", "PAUSE-CRON", "0"]);
    assert!(server.log().contains("Shutdown manually aborted."));
    assert_eq!(client.call(&["SET", "k", "v"]).text(), "OK");
    assert!(server.is_alive() && !server.log().contains("bye bye"));
    server.signal("TERM");
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn who_interrupts_twice_does_not_wait_for_the_last_snapshot() {
    let mut server = Server::start(&["--save", "900 1", "--rdb-key-save-delay", "1000000"]);
    let mut client = server.client();
    for key in 0..100 {
        client.call(&["SET", &format!("key:{key}"), "v"]);
    }
    let folder = server.folder.path().to_owned();
    let temporary = folder.join(format!("temp-{}.rdb", server.pid()));
    server.signal("INT");
    wait_until("the last snapshot has begun", || temporary.exists());
    // Whoever looks for the second one may need a moment to start.
    wait_until("it ends", || {
        server.signal("INT");
        !server.is_alive()
    });
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    assert!(ended.output.contains("You insist... exiting now."));
    assert!(!temporary.exists() && !folder.join("dump.rdb").exists());
}

#[test]
fn a_snapshot_that_the_end_gives_up_leaves_nothing() {
    for method in ["inline", "fork"] {
        let args = ["--save", "", "--rdb-key-save-delay", "10000000", "--snapshot-method", method];
        let mut server = Server::start(&args);
        let mut client = server.client();
        client.call(&["SET", "k", "v"]);
        client.call(&["BGSAVE"]);
        let folder = server.folder.path().to_owned();
        let names = || -> Vec<String> {
            let entries = fs::read_dir(&folder).expect("it is there").flatten();
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.filter(|name| name.starts_with("temp-")).collect()
        };
        wait_until("there is a file", || !names().is_empty());
        if method == "fork" {
            let started = format!("Background saving started by pid {}", &names()[0][5..]);
            let started = started.trim_end_matches(".rdb").to_owned();
            wait_until("the log names the child", || server.log().contains(&started));
            assert!(!names()[0].contains(&server.pid().to_string()));
        }
        let address = ("127.0.0.1", server.port);
        client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
        assert!(client.read().is_err(), "the connection ends");
        assert!(std::net::TcpStream::connect(address).is_err(), "and there is nobody any more");
        let ended = server.wait();
        assert!(ended.output.contains("There is a child saving an .rdb. Killing it!"));
        assert_eq!(names(), [""; 0], "{method}");
    }
}

#[test]
fn what_cannot_be_saved_does_not_end_the_server_and_stops_writes() {
    let mut server = Server::start(&["--save", "900 1", "--enable-protected-configs", "yes"]);
    let mut client = server.client();
    client.call(&["SET", "k", "v"]);
    let mut other = server.client();
    other.call(&["MULTI"]);
    other.call(&["SET", "k", "queued"]);
    // The file's name is taken by a folder with something in it.
    let folder = server.folder.path().join("dump.rdb");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("x"), "").unwrap();
    let error = client.call(&["SHUTDOWN"]);
    assert_eq!(error, Value::Error(b"ERR Errors trying to SHUTDOWN. Check logs.".to_vec()));
    assert!(server.is_alive());
    assert!(server.log().contains("Error trying to save the DB, can't exit."));
    client.call(&["BGSAVE"]);
    wait_until("the snapshot fails", || {
        server.info("rdb_last_bgsave_status") == Some("err".into())
    });
    let refused = |value: &Value| matches!(value, Value::Error(text) if text.starts_with(b"MISCONF Redis is configured"));
    assert!(refused(&client.call(&["SET", "k", "w"])));
    assert!(refused(&client.call(&["PING"])));
    let started = |value: &Value, start: &str| matches!(value, Value::Error(text) if text.starts_with(start.as_bytes()));
    let aborted = "EXECABORT Transaction discarded because of: MISCONF Redis is configured";
    assert!(started(&other.call(&["EXEC"]), aborted));
    let script = |client: &mut Client, text: &str| client.call(&["EVAL", text, "1", "k"]);
    let write = "return redis.call('SET', KEYS[1], 'x')";
    assert!(refused(&script(&mut client, write)));
    let declared = script(&mut client, &format!("#!lua\n{write}"));
    assert!(matches!(declared, Value::Error(text) if text.ends_with(b"for read only scripts.")));
    let read = "return redis.call('GET', KEYS[1])";
    assert_eq!(script(&mut client, read).text(), "v");
    assert_eq!(script(&mut client, &format!("#!lua flags=no-writes\n{read}")).text(), "v");
    assert_eq!(client.call(&["GET", "k"]).text(), "v");
    client.call(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
    assert_eq!(client.call(&["SET", "k", "w"]).text(), "OK");
    client.call(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"]);
    assert!(refused(&client.call(&["SET", "k", "x"])));
    client.call(&["CONFIG", "SET", "dbfilename", "other.rdb"]);
    assert_eq!(client.call(&["SAVE"]).text(), "OK");
    assert_eq!(client.call(&["SET", "k", "x"]).text(), "OK");
    client.call(&["CONFIG", "SET", "dbfilename", "dump.rdb"]);
    client.send(&["SHUTDOWN", "FORCE"]).unwrap();
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.output.contains("Error trying to save the DB. Exit anyway."));
}

#[test]
fn broken_files_end_the_start() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.call(&["SET", "key", "a value of some length"]);
    client.call(&["HSET", "hash", "f", "v"]);
    save(&mut client);
    let good = fs::read(server.folder.path().join("dump.rdb")).unwrap();
    let start = |bytes: &[u8]| {
        let folder = Folder::new();
        fs::write(folder.path().join("dump.rdb"), bytes).unwrap();
        let dir = folder.path().display().to_string();
        let port = crate::harness::server::free_port().to_string();
        run_to_end(&under_test(), &["--dir", &dir, "--port", &port], "")
    };
    let mut flipped = good.clone();
    let at = good.len() - 20;
    flipped[at] ^= 1;
    let mut other_magic = good.clone();
    other_magic[0] = b'X';
    let mut newer = good.clone();
    newer[5..9].copy_from_slice(b"0099");
    for (bytes, line) in [
        (&good[..good.len() - 3], "Short read or OOM loading DB"),
        (&good[..good.len() / 2], "Internal error in RDB"),
        (&good[..4], "Unexpected EOF reading RDB file"),
        (&flipped, "reading failure"),
        (&other_magic, "Wrong signature trying to load DB from file"),
        (&newer, "Can't handle RDB format version 99"),
    ] {
        let ended = start(bytes);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
        assert!(ended.output.contains(line), "{line}: {}", ended.output);
    }
}

#[test]
fn a_replica_gets_a_snapshot_and_then_every_write() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.call(&["SET", "before", "v"]);
    let mut replica = server.tcp();
    assert_eq!(replica.call(&["REPLCONF", "version", "7.4.0"]).text(), "OK");
    let Value::Bulk(snapshot) = read_snapshot(&mut replica) else { panic!("a snapshot") };
    assert!(snapshot.starts_with(b"REDIS0011"));
    assert!(snapshot.windows(6).any(|window| window == b"before"));
    assert_eq!(server.info("connected_slaves"), Some("1".into()));
    client.call(&["SET", "after", "v", "EX", "100"]);
    client.call(&["SELECT", "2"]);
    client.call(&["MULTI"]);
    client.call(&["INCR", "n"]);
    client.call(&["INCR", "n"]);
    client.call(&["EXEC"]);
    client.call(&["GET", "n"]);
    let mut next = || {
        let items = replica.read().unwrap().items();
        items.iter().map(Value::text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(next(), "SELECT 0");
    assert!(next().starts_with("SET after v PXAT "));
    let rest: Vec<String> = (0..5).map(|_| next()).collect();
    assert_eq!(rest, ["MULTI", "SELECT 2", "INCR n", "INCR n", "EXEC"]);
    drop(replica);
    wait_until("the replica is forgotten", || server.info("connected_slaves") == Some("0".into()));
}

#[test]
fn a_replica_that_keeps_up_lets_writes_through() {
    let server = Server::start(&["--min-replicas-to-write", "1"]);
    let mut client = server.client();
    let refused = Value::Error(b"NOREPLICAS Not enough good replicas to write.".to_vec());
    assert_eq!(client.call(&["SET", "k", "v"]), refused);
    let mut replica = server.tcp();
    assert_eq!(replica.call(&["REPLCONF", "listening-port", "7777"]).text(), "OK");
    read_snapshot(&mut replica);
    wait_until("the replica counts", || client.call(&["SET", "k", "v"]).text() == "OK");
    assert_eq!(server.info("min_slaves_good_slaves"), Some("1".into()));
    let role = client.call(&["ROLE"]).items();
    let follower: Vec<String> = role[2].items()[0].items().iter().map(Value::text).collect();
    assert_eq!(follower, ["127.0.0.1", "7777", "0"]);
    // What it has got, in its own words; REPLCONF ACK is not answered.
    let offset = role[1].int().to_string();
    replica.send_raw(format!("REPLCONF ACK {offset}\r\n").as_bytes()).unwrap();
    wait_until("the offset is known", || {
        let line = server.info("slave0").unwrap_or_default();
        line.contains("port=7777") && line.contains(&format!("offset={offset},lag=0"))
    });
    drop(replica);
    wait_until("the replica is missed", || client.call(&["SET", "k", "v"]) == refused);
}

/// SYNC's answer has no line end behind its bytes.
fn read_snapshot(replica: &mut Client) -> Value {
    replica.send_raw(b"SYNC\r\n").unwrap();
    // Empty lines say that the server lives.
    let mut lines = std::iter::repeat_with(|| replica.read_line().unwrap());
    let header = lines.find(|line| !line.is_empty()).expect("lines without end");
    let len: usize = header.strip_prefix('$').and_then(|len| len.parse().ok()).expect("a length");
    Value::Bulk(replica.read_bytes(len).unwrap())
}

#[test]
fn keys_move_to_another_server() {
    let (here, there) = (Server::start(&[]), Server::start(&["--requirepass", "secret"]));
    let mut client = here.client();
    let port = there.port.to_string();
    let migrate = |client: &mut Client, rest: &[&str]| {
        client.call(&[&["MIGRATE", "127.0.0.1", &port][..], rest].concat())
    };
    let error = |text: &str| Value::Error(text.as_bytes().to_vec());
    client.call(&["SET", "a", "1", "EX", "100"]);
    client.call(&["HSET", "h", "f", "v"]);
    let refused = migrate(&mut client, &["a", "0", "5000"]);
    assert!(matches!(refused, Value::Error(text)
        if text.starts_with(b"ERR Target instance replied with error: NOAUTH")));
    let auth = ["AUTH", "secret"];
    let with = |words: &[&'static str]| [words, &auth[..]].concat();
    assert_eq!(migrate(&mut client, &with(&["a", "5", "5000", "COPY"])).text(), "OK");
    assert_eq!(client.call(&["EXISTS", "a"]).int(), 1);
    assert_eq!(
        migrate(&mut client, &with(&["a", "5", "5000"])),
        error("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
    );
    assert_eq!(migrate(&mut client, &with(&["a", "5", "5000", "REPLACE"])).text(), "OK");
    assert_eq!(client.call(&["EXISTS", "a"]).int(), 0);
    client.call(&["SET", "b", "2"]);
    let many = ["", "5", "5000", "AUTH2", "default", "secret", "KEYS", "b", "missing", "h"];
    assert_eq!(migrate(&mut client, &many).text(), "OK");
    assert_eq!(client.call(&["DBSIZE"]).int(), 0);
    assert_eq!(migrate(&mut client, &["b", "5", "5000"]).text(), "NOKEY");
    let mut other = there.client();
    other.call(&["AUTH", "secret"]);
    other.call(&["SELECT", "5"]);
    assert_eq!(
        other.call(&["MGET", "a", "b"]).items().iter().map(Value::text).collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert_eq!(other.call(&["HGET", "h", "f"]).text(), "v");
    assert!((1..=100).contains(&other.call(&["TTL", "a"]).int()));
    assert_eq!(here.info("migrate_cached_sockets"), Some("1".into()));
    assert_eq!(
        migrate(&mut client, &["k", "0", "10", "KEYS", "x"]),
        error(
            "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
        )
    );
    assert_eq!(
        migrate(&mut client, &["k", "0", "x"]),
        error("ERR value is not an integer or out of range")
    );
    client.call(&["SET", "k", "v"]);
    let nobody = crate::harness::server::free_port().to_string();
    assert_eq!(
        client.call(&["MIGRATE", "127.0.0.1", &nobody, "k", "0", "1000"]),
        error("IOERR error or timeout connecting to the client")
    );
    assert_eq!(client.call(&["EXISTS", "k"]).int(), 1);
}
