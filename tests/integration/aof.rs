//! Does what was logged come back: after a restart, from a file that is cut off or of an older server, and between this
//! server and a real one? That nothing is lost in a crash is tests/crash's business.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::harness::client::{Client, encode};
use crate::harness::random::Random;
use crate::harness::server::{Folder, Server, reference, run_to_end, under_test};
use crate::harness::wait_until;
use crate::rdb::{describe, fill, same};

const ON: [&str; 2] = ["--appendonly", "yes"];

fn rewrite(server: &Server) {
    let said = server.client().call(&["BGREWRITEAOF"]).text();
    assert_eq!(said, "Background append only file rewriting started");
    wait_for_rewrite(server);
}

fn wait_for_rewrite(server: &Server) {
    let field = |name: &str| server.info(name).unwrap();
    wait_until("the rewrite ends", || field("aof_rewrite_in_progress") == "0");
    assert_eq!(field("aof_last_bgrewrite_status"), "ok");
}

/// The files that a server has written, in a new folder.
fn copy_files(server: &Server) -> Folder {
    let folder = Folder::new();
    let to = folder.path().join("appendonlydir");
    fs::create_dir(&to).expect("the folder is new");
    for entry in fs::read_dir(server.folder.path().join("appendonlydir")).expect("it is there") {
        let entry = entry.expect("it can be read");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
    }
    folder
}

fn start_on(binary: &Path, folder: &Folder, more: &[&str]) -> Server {
    let dir = folder.path().display().to_string();
    Server::start_binary(binary, &[&ON, more, &["--dir", &dir]].concat())
}

/// Fills a server, rewrites in between, and has another one load the files.
fn hand_over(from: &Path, to: &Path, more: &[&str], random: &mut Random) {
    // With `everysec` Redis keeps back what it has answered, as long as it syncs what was before.
    let server = Server::start_binary(from, &[&ON[..], more, &["--appendfsync", "no"]].concat());
    let mut client = server.client();
    if server.info("mortise_version").is_some() {
        // Debian's server reads no newer one.
        client.call(&["CONFIG", "SET", "rdb-target-version", "10"]);
    }
    fill(&mut client, random, 60);
    rewrite(&server);
    client.call(&["SELECT", "3"]);
    client.call(&["SET", "behind the base", "1"]);
    client.call(&["SELECT", "0"]);
    for number in 0..100 {
        client.call(&["RPUSH", "behind", &number.to_string()]);
    }
    let copy = start_on(to, &copy_files(&server), more);
    same(&describe(&mut copy.client()), &describe(&mut client));
}

#[test]
fn files_are_exchanged_with_a_real_server() {
    let Some(reference) = reference() else { return };
    let mut random = Random::new("exchange of append-only files");
    let ours = under_test();
    for preamble in ["yes", "no"] {
        let more = ["--aof-use-rdb-preamble", preamble];
        hand_over(&ours, &reference, &more, &mut random);
        hand_over(&reference, &ours, &more, &mut random);
        hand_over(&ours, &ours, &more, &mut random);
    }
}

#[test]
fn documents_and_their_indexes_come_back() {
    let more = ["--aof-use-rdb-preamble", "no"];
    let server = Server::start(&[&ON[..], &more].concat());
    let mut client = server.client();
    let index = ["FT.CREATE", "index", "ON", "JSON", "PREFIX", "1", "doc:"];
    let schema = ["SCHEMA", "$.title", "AS", "title", "TEXT"];
    assert_eq!(client.call(&[&index[..], &schema].concat()).text(), "OK");
    client.call(&["JSON.SET", "doc:1", "$", r#"{"title": "first"}"#]);
    rewrite(&server);
    client.call(&["JSON.SET", "doc:2", "$", r#"{"title": "second"}"#]);
    let server = server.start_again(&[&ON[..], &more].concat());
    let mut client = server.client();
    for (key, title) in [("doc:1", "first"), ("doc:2", "second")] {
        let found = client.call(&["JSON.GET", key, "$.title"]).text();
        assert_eq!(found, format!("[\"{title}\"]"));
    }
    wait_until("the index is filled", || {
        client.call(&["FT.SEARCH", "index", "second", "NOCONTENT"]).items().len() == 2
    });
}

#[test]
fn a_file_can_be_switched_on_and_off() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.call(&["SET", "before", "1"]);
    assert_eq!(client.call(&["CONFIG", "SET", "appendonly", "yes"]).text(), "OK");
    client.call(&["SET", "behind", "1"]);
    wait_for_rewrite(&server);
    assert_eq!(client.call(&["WAITAOF", "1", "0", "0"]).items()[0].int(), 1);
    let copy = start_on(&under_test(), &copy_files(&server), &[]);
    assert_eq!(copy.client().call(&["EXISTS", "before", "behind"]).int(), 2);
    client.call(&["CONFIG", "SET", "appendonly", "no"]);
    assert_eq!(server.info("aof_enabled").as_deref(), Some("0"));
    let refused = client.call(&["WAITAOF", "1", "0", "0"]);
    assert!(refused.is_error());
    client.call(&["SET", "later", "1"]);
    let copy = start_on(&under_test(), &copy_files(&server), &[]);
    assert_eq!(copy.client().call(&["EXISTS", "before", "behind", "later"]).int(), 2);
}

#[test]
fn what_is_cut_off_is_dropped_or_refused() {
    let server = Server::start(&ON);
    let mut client = server.client();
    client.call(&["SET", "whole", "1"]);
    let incremental = "appendonlydir/appendonly.aof.1.incr.aof";
    let append = |folder: &Folder, bytes: &[u8]| {
        let file = OpenOptions::new().append(true).open(folder.path().join(incremental));
        file.and_then(|mut file| file.write_all(bytes)).expect("the file is there");
    };
    // A transaction without its end.
    let torn = [encode(&["MULTI"]), encode(&["SET", "half", "1"])].concat();
    let folder = copy_files(&server);
    append(&folder, &torn);
    let dir = folder.path().display().to_string();
    let args = [&ON[..], &["--dir", &dir, "--port", "0", "--aof-load-truncated", "no"]].concat();
    let args = [&args[..], &["--unixsocket", "s"]].concat();
    let ended = run_to_end(&under_test(), &args, "");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    let last = ended.output.trim_end().lines().last().unwrap_or_default().to_string();
    assert!(last.contains("Unexpected end of file reading the append only file"), "{last}");
    let copy = start_on(&under_test(), &folder, &[]);
    assert_eq!(copy.client().call(&["EXISTS", "whole", "half"]).int(), 1);
    // What was cut off is gone, and the next start finds nothing to mend.
    copy.client().call(&["SET", "next", "1"]);
    let copy =
        copy.start_again(&[&ON[..], &["--dir", &dir, "--aof-load-truncated", "no"]].concat());
    assert_eq!(copy.client().call(&["EXISTS", "whole", "half", "next"]).int(), 2);
    // What is no command is not mended.
    let folder = copy_files(&server);
    append(&folder, b"!!!");
    let dir = folder.path().display().to_string();
    let args = [&ON[..], &["--dir", &dir, "--port", "0", "--unixsocket", "s"]].concat();
    let ended = run_to_end(&under_test(), &args, "");
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.output.contains("Bad file format reading the append only file"));
}

#[test]
fn the_file_of_an_older_server_is_taken_over() {
    let folder = Folder::new();
    let old = [encode(&["SELECT", "2"]), encode(&["RPUSH", "list", "a", "b"])].concat();
    fs::write(folder.path().join("appendonly.aof"), old).expect("the folder is writable");
    let server = start_on(&under_test(), &folder, &[]);
    let mut client: Client = server.client();
    client.call(&["SELECT", "2"]);
    assert_eq!(client.call(&["LLEN", "list"]).int(), 2);
    assert!(!folder.path().join("appendonly.aof").exists());
    assert!(folder.path().join("appendonlydir/appendonly.aof").exists());
    rewrite(&server);
    assert!(!folder.path().join("appendonlydir/appendonly.aof").exists());
}
