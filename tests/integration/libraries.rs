//! Does `functions` load the libraries of a folder, beside those of the data set, and refuse the start when it cannot?

use std::fs;
use std::path::Path;

use crate::harness::server::{Folder, Server, free_port, run_to_end, under_test};
use crate::harness::value::Value;
use crate::harness::wait_until;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lua");
const ON: [&str; 2] = ["--appendonly", "yes"];

/// A library with one function that replies with a text.
fn library(name: &str, function: &str, text: &str) -> String {
    format!(
        "#!lua name={name}\nlocal function reply() return '{text}' end\nredis.register_function\
         {{function_name = '{function}', callback = reply, flags = {{'no-writes'}}}}\n"
    )
}

fn path(folder: &Folder) -> &str {
    folder.path().to_str().expect("the temporary folder's path is text")
}

/// The libraries' names, and none while a replica loads what its primary sends.
fn names(server: &Server) -> Vec<String> {
    let Value::Array(libraries) = server.client().call(&["FUNCTION", "LIST"]) else {
        return Vec::new();
    };
    let mut names: Vec<String> =
        libraries.into_iter().map(|library| library.items()[1].text()).collect();
    names.sort();
    names
}

/// Runs the server to its end, which must be a refusal that says `about`, and not start to serve.
fn refuses(args: &[&str], about: &[&str]) {
    let port = free_port().to_string();
    let args = [&["--port", &port, "--bind", "127.0.0.1", "--save", ""], args].concat();
    let ended = run_to_end(&under_test(), &args, "");
    assert_eq!(ended.status.code(), Some(1), "{args:?}: {}", ended.output);
    let told = ended.output.lines().any(|line| about.iter().all(|word| line.contains(word)));
    assert!(told, "{args:?} does not speak of {about:?}:\n{}", ended.output);
    assert!(!ended.output.contains("Ready to accept"), "{}", ended.output);
}

#[test]
fn the_shipped_libraries_are_loaded_by_an_argument_or_a_line() {
    let files = fs::read_dir(SHIPPED).expect("the folder is there");
    let mut shipped: Vec<String> = files
        .map(|file| file.expect("it can be read").file_name().to_string_lossy().into_owned())
        .filter_map(|file| file.strip_suffix(".lua").map(str::to_owned))
        .collect();
    shipped.sort();
    assert!(shipped.len() >= 12, "{shipped:?}");
    let server = Server::start(&["--functions", SHIPPED]);
    assert_eq!(names(&server), shipped);
    let mut client = server.client();
    let held = client.call(&["FCALL", "lock_acquire", "1", "lock", "token", "60000"]);
    assert_eq!(held.items(), [Value::Int(1), Value::Int(60000)]);
    assert_eq!(client.call(&["FCALL_RO", "lock_holder", "1", "lock"]).items()[0].text(), "token");
    assert_eq!(client.call(&["CONFIG", "GET", "functions"]).items()[1].text(), SHIPPED);
    let server = Server::start_with_config(&format!("functions {SHIPPED}\n"), &[]);
    assert_eq!(names(&server), shipped);
}

#[test]
fn other_files_are_left_alone() {
    let folder = Folder::new();
    folder.file("b.lua", &library("second", "g", "b"));
    folder.file("a.lua", &library("first", "f", "a"));
    folder.file("notes.txt", "not a library");
    folder.file("c.lua.bak", "not a library");
    let server = Server::start(&["--functions", path(&folder)]);
    assert_eq!(names(&server), ["first", "second"]);
    // By the names of the files.
    let log = server.log();
    let at = |file: &str| log.find(file).unwrap_or_else(|| panic!("no {file} in {log}"));
    assert!(at("a.lua") < at("b.lua"), "{log}");
}

#[test]
fn a_mistake_in_a_file_refuses_the_start_and_names_file_and_line() {
    let folder = Folder::new();
    let with = |name: &str, text: &str| folder.file(name, text);
    with("a.lua", &library("a", "f", "a"));
    let bad = with("bad.lua", "#!lua name=bad\n\nlocal x = = 1\n");
    refuses(&["--functions", path(&folder)], &["bad.lua:3: ", "compiling"]);
    with("bad.lua", "#!lua name=bad\n\n\nlocal x = nil + 1\n");
    refuses(&["--functions", path(&folder)], &["bad.lua:4: ", "arithmetic"]);
    with("bad.lua", "return 1\n");
    refuses(&["--functions", path(&folder)], &["bad.lua: ", "metadata"]);
    with("bad.lua", "#!lua name=bad\nwhile true do end\n");
    refuses(&["--functions", path(&folder)], &["bad.lua", "timeout"]);
    with("bad.lua", &library("a", "g", "x"));
    refuses(&["--functions", path(&folder)], &["bad.lua: ", "Library 'a' already exists"]);
    with("bad.lua", &library("bad", "f", "x"));
    refuses(&["--functions", path(&folder)], &["bad.lua: ", "Function f already exists"]);
    fs::remove_file(&bad).expect("it is there");
    fs::create_dir(&bad).expect("the folder is writable");
    refuses(&["--functions", path(&folder)], &["bad.lua"]);
    refuses(&["--functions", "/nonexistent/folder"], &["/nonexistent/folder"]);
}

fn incremental_len(server: &Server) -> u64 {
    let folder = server.folder.path().join("appendonlydir");
    let files =
        fs::read_dir(folder).expect("it is there").map(|file| file.expect("it can be read"));
    let incremental =
        files.filter(|file| file.file_name().to_string_lossy().ends_with(".incr.aof"));
    incremental.map(|file| file.metadata().expect("it can be read").len()).sum()
}

#[test]
fn what_the_data_set_has_is_replaced_only_if_the_text_differs() {
    let folder = Folder::new();
    folder.file("lib.lua", &library("lib", "f", "old"));
    let args = [&ON[..], &["--functions", path(&folder)]].concat();
    let server = Server::start(&args);
    assert_eq!(server.client().call(&["FCALL", "f", "0"]).text(), "old");
    let other = library("other", "g", "kept");
    assert_eq!(server.client().call(&["FUNCTION", "LOAD", &other]).text(), "other");
    let len = incremental_len(&server);
    // The same text again: nothing is said or written.
    let server = server.start_again(&args);
    assert!(!server.log().contains("lib.lua"), "{}", server.log());
    assert_eq!(
        (incremental_len(&server), names(&server)),
        (len, vec!["lib".into(), "other".into()])
    );
    folder.file("lib.lua", &library("lib", "f", "new"));
    let server = server.start_again(&args);
    let log = server.log();
    assert!(log.contains("lib.lua, in the place of the data set's"), "{log}");
    assert_eq!(server.client().call(&["FCALL", "f", "0"]).text(), "new");
    assert_eq!(server.client().call(&["FCALL", "g", "0"]).text(), "kept");
    // It was written: it stays without the folder.
    let server = server.start_again(&ON);
    assert_eq!(server.client().call(&["FCALL", "f", "0"]).text(), "new");
    // What collides with the data set's ends the start, which by then has loaded it.
    folder.file("lib.lua", &library("mine", "g", "x"));
    let dir = path(&server.folder).to_owned();
    let mut server = server;
    server.signal("TERM");
    server.wait();
    let args = [&args[..], &["--dir", &dir]].concat();
    refuses(&args, &["lib.lua: ", "Function g already exists"]);
}

#[test]
fn a_snapshot_s_libraries_are_replaced_too() {
    let folder = Folder::new();
    folder.file("lib.lua", &library("lib", "f", "old"));
    let server = Server::start(&["--functions", path(&folder)]);
    assert_eq!(server.client().call(&["SAVE"]).text(), "OK");
    folder.file("lib.lua", &library("lib", "f", "new"));
    let server = server.start_again(&["--functions", path(&folder)]);
    assert_eq!(server.client().call(&["FCALL", "f", "0"]).text(), "new");
    assert!(Path::new(&server.folder.path().join("dump.rdb")).exists());
}

#[test]
fn a_replica_has_its_primary_s_libraries_and_no_others() {
    let (on_primary, on_replica) = (Folder::new(), Folder::new());
    on_primary.file("lib.lua", &library("lib", "f", "of the primary"));
    on_replica.file("lib.lua", &library("lib", "f", "of the replica"));
    on_replica.file("more.lua", &library("more", "g", "of the replica"));
    let primary =
        Server::start(&["--functions", path(&on_primary), "--repl-diskless-sync-delay", "0"]);
    let port = primary.port.to_string();
    let replica =
        Server::start(&["--replicaof", "127.0.0.1", &port, "--functions", path(&on_replica)]);
    assert!(replica.log().contains("functions of files are not loaded"), "{}", replica.log());
    wait_until("the replica has the data set", || names(&replica) == ["lib"]);
    assert_eq!(replica.client().call(&["FCALL_RO", "f", "0"]).text(), "of the primary");
}
