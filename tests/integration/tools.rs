//! Do the tools beside the server work as programs: by their names, with exit codes, on files of ours and of Redis?

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;

use crate::harness::client::Client;
use crate::harness::server::{Folder, Server, reference, run_to_end, under_test};
use crate::harness::value::Value;

#[test]
fn check_rdb_reads_what_was_saved() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.call(&["SET", "string", "v", "PX", "100000"]);
    client.call(&["RPUSH", "list", "a", "b"]);
    client.call(&["JSON.SET", "document", "$", "{\"a\": [1, 2]}"]);
    assert_eq!(client.call(&["SAVE"]).text(), "OK");
    let file = server.folder.path().join("dump.rdb");
    let shown = file.display().to_string();
    let ended = run_to_end(&under_test(), &["check-rdb", &shown], "");
    assert!(ended.status.success(), "{}", ended.output);
    assert!(
        ended.output.contains("\\o/ RDB looks OK! \\o/\n[info] 3 keys read\n[info] 1 expires\n")
    );
    // A link to the program is the tool of its name.
    let folder = Folder::new();
    let link = folder.path().join("redis-check-rdb");
    symlink(under_test(), &link).expect("links can be made");
    let ended = run_to_end(&link, &[&shown], "");
    assert!(ended.status.success(), "{}", ended.output);
    let mut bytes = fs::read(&file).expect("the file is there");
    bytes[20] ^= 1;
    fs::write(&file, bytes).expect("the file can be written");
    let ended = run_to_end(&link, &[&shown], "");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    assert!(ended.output.contains("--- RDB ERROR DETECTED ---"), "{}", ended.output);
}

#[test]
fn check_aof_mends_what_redis_left_behind() {
    let Some(redis) = reference() else {
        println!("skipped: there is no redis-server to write an append-only file");
        return;
    };
    let server = Server::start_binary(&redis, &["--appendonly", "yes"]);
    let mut client = server.client();
    for number in 0..100 {
        client.call(&["SET", &format!("key:{number}"), "v"]);
    }
    let folder = server.folder.path().join("appendonlydir");
    let manifest = folder.join("appendonly.aof.manifest").display().to_string();
    let check = |options: &[&str], answer: &str| {
        let args = [&["check-aof"], options, &[&*manifest]].concat();
        let ended = run_to_end(&under_test(), &args, answer);
        (ended.status.code(), ended.output)
    };
    let (code, said) = check(&[], "");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("All AOF files and manifest are valid\n"), "{said}");
    let last = folder.join("appendonly.aof.1.incr.aof");
    let whole = fs::metadata(&last).expect("the file is there").len();
    let mut file = OpenOptions::new().append(true).open(&last).expect("the file is there");
    file.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk").expect("the file can be written");
    let (code, said) = check(&[], "");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.ends_with("is not valid. Use the --fix option to try fixing it.\n"), "{said}");
    let (code, said) = check(&["--fix"], "y\n");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::metadata(&last).expect("the file is there").len(), whole);
}

/// What a server holds in a db: keys, digests and times of their end.
fn holds(server: &Server, db: &str) -> Vec<(String, String, i64)> {
    let mut client = server.client();
    client.call(&["AUTH", "secret"]);
    client.call(&["SELECT", db]);
    let mut all = Vec::new();
    for key in client.call(&["KEYS", "*"]).items().iter().map(Value::text) {
        let at = client.call(&["PEXPIRETIME", &key]).int();
        // The digest says whether a key expires, but not when.
        let digest = client.call(&["DEBUG", "DIGEST-VALUE", &key]).items()[0].text();
        all.push((key, digest, at));
    }
    all.sort();
    all
}

/// Fills three dbs, keys that expire among them.
fn fill(client: &mut Client) {
    for db in ["0", "3", "9"] {
        client.call(&["SELECT", db]);
        client.call(&["DEBUG", "POPULATE", "3000", &format!("many{db}"), "50"]);
        client.call(&["SET", "large", &"x".repeat(6 << 20)]);
        client.call(&["SET", "ending", "v", "PX", "10000000"]);
        client.call(&["HSET", "hash", "f", "1", "g", "two"]);
        client.call(&["ZADD", "zset", "1.5", "a", "-inf", "b"]);
        client.call(&["RPUSH", "list", "a", "b", "3"]);
        client.call(&["SADD", "set", "1", "2", "3"]);
        client.call(&["XADD", "stream", "1-1", "f", "v"]);
    }
}

fn import(from: &str, to: &str) -> (Option<i32>, String) {
    let ended = run_to_end(&under_test(), &["import", "--from", from, "--to", to], "");
    (ended.status.code(), ended.output)
}

#[test]
fn import_copies_all_dbs_of_a_running_server() {
    let args = ["--enable-debug-command", "yes", "--requirepass", "secret"];
    let source = Server::start(&args);
    let target = Server::start(&args);
    let mut client = source.client();
    client.call(&["AUTH", "secret"]);
    fill(&mut client);
    let mut other = target.client();
    other.call(&["AUTH", "secret"]);
    other.call(&["SET", "hash", "of another type"]);
    other.call(&["SET", "own", "stays"]);
    let from = format!("redis://:secret@127.0.0.1:{}", source.port);
    let to = format!("redis://default:secret@127.0.0.1:{}", target.port);
    let (code, said) = import(&from, &to);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("9021 keys copied from 127.0.0.1:"), "{said}");
    assert!(said.contains("0 gone meanwhile, 0 failed."), "{said}");
    assert_eq!(other.call(&["GET", "own"]).text(), "stays");
    other.call(&["DEL", "own"]);
    for db in ["0", "1", "3", "9"] {
        let (ours, theirs) = (holds(&target, db), holds(&source, db));
        assert_eq!(ours.len(), theirs.len(), "db {db}");
        for ((key, digest, at), (other, wanted, end)) in ours.iter().zip(&theirs) {
            assert_eq!((key, digest), (other, wanted));
            assert!((at - end).abs() < 5000 && (*at < 0) == (*end < 0), "{key}: {at}, {end}");
        }
    }
    // One db into another.
    let (code, said) = import(&format!("{from}/3"), &format!("{to}/1"));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(holds(&target, "1").len(), 3007);
}

#[test]
fn import_tells_what_it_could_not_copy() {
    let source = Server::start(&[]);
    let target = Server::start(&["--databases", "1", "--proto-max-bulk-len", "1048576"]);
    let mut client = source.client();
    client.call(&["SET", "small", "v"]);
    let address = |server: &Server| format!("redis://127.0.0.1:{}", server.port);
    client.call(&["JSON.SET", "document", "$", "[1]"]);
    let plain = Server::start(&["--default-modules", "no"]);
    let (code, said) = import(&address(&source), &address(&plain));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("document: ERR Bad data format"), "{said}");
    assert!(said.contains("1 keys copied from"), "{said}");
    assert!(said.contains("1 failed."), "{said}");
    client.call(&["SELECT", "7"]);
    client.call(&["SET", "k", "v"]);
    let (code, said) = import(&address(&source), &address(&target));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Import stopped: ERR DB index is out of range"), "{said}");
    let (code, said) = import(&address(&source), "redis://127.0.0.1:1");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("127.0.0.1:1: cannot connect: "), "{said}");
    let ended = run_to_end(&under_test(), &["import"], "");
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.output.contains("Usage: mortise import --from redis://"), "{}", ended.output);
}
