//! Commands that a module has declared parallel: what the host lets them do beside readers, and what it refuses. The
//! module is tests/fixtures/parallel.c, built here; that such commands truly meet is tested with the SDK
//! (`modules/sdk/tests/tour.rs`).

use std::path::PathBuf;
use std::process::Command;

use crate::harness::server::{Folder, Server, under_test};
use crate::harness::value::Value;

/// The fixture as a shared object; None, and a line that says so, without a C compiler.
fn build(folder: &Folder) -> Option<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/parallel.c");
    let object = folder.path().join("parallel.so");
    let built = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&object)
        .arg(source)
        .status();
    match built {
        Ok(status) => {
            assert!(status.success(), "the fixture does not compile");
            Some(object)
        }
        Err(error) => {
            println!("skipped: no C compiler: {error}");
            None
        }
    }
}

/// A server with the fixture loaded; nothing on a reference, which has no such commands.
fn with_fixture(test: impl FnOnce(&Server)) {
    let folder = Folder::new();
    let Some(object) = build(&folder) else { return };
    let object = object.to_str().expect("a temporary folder is text");
    let server = Server::start(&["--loadmodule", object]);
    if !server.is_ours() {
        println!("skipped: {} runs all commands one at a time", under_test().display());
        return;
    }
    test(&server);
}

const EPERM: i64 = 1;
const ENOSPC: i64 = 28;

fn numbers(reply: Value) -> Vec<i64> {
    reply.items().iter().map(Value::int).collect()
}

#[test]
fn what_changes_something_is_refused_by_errno() {
    with_fixture(|server| {
        let mut client = server.client();
        client.call(&["SET", "k", "v"]);
        let dirty = |client: &mut crate::harness::client::Client| {
            let info = client.call(&["INFO", "persistence"]).text();
            info.lines().find(|line| line.starts_with("rdb_changes")).map(str::to_owned)
        };
        let before = dirty(&mut client);
        // Opening to write; writing by a key open to read (which has no errno); replicating; an event; calls.
        let all = [EPERM, 1, EPERM, EPERM, EPERM, ENOSPC, EPERM];
        assert_eq!(numbers(client.call(&["par.refused", "k"])), all);
        // The same where the lock is exclusive anyway.
        client.call(&["MULTI"]);
        client.call(&["SET", "other", "1"]);
        client.call(&["par.refused", "k"]);
        let replies = client.call(&["EXEC"]).items();
        assert_eq!(numbers(replies[1].clone()), all);
        assert_eq!(client.call(&["GET", "k"]).text(), "v");
        client.call(&["DEL", "other"]);
        assert_ne!(before, dirty(&mut client));
    });
}

#[test]
fn keys_and_commands_that_read_work() {
    with_fixture(|server| {
        let mut client = server.client();
        client.call(&["SET", "text", "some text"]);
        client.call(&["SET", "number", "12345"]);
        client.call(&["RPUSH", "list", "a"]);
        for (key, text) in
            [("text", "some text"), ("number", "12345"), ("list", "none"), ("nothing", "none")]
        {
            assert_eq!(client.call(&["par.read", key]).text(), text, "{key}");
        }
        assert_eq!(client.call(&["par.get", "text"]).text(), "some text");
        assert_eq!(client.call(&["par.get", "nothing"]), Value::Nil);
        assert!(client.call(&["par.get", "list"]).text().starts_with("WRONGTYPE"));
        assert_eq!(client.call(&["OBJECT", "ENCODING", "number"]).text(), "int");
        // A script that only reads may call them, beside others.
        let script = "return redis.call('par.get', KEYS[1])";
        assert_eq!(client.call(&["EVAL_RO", script, "1", "text"]).text(), "some text");
    });
}

#[test]
fn no_session_but_the_own_is_touched() {
    with_fixture(|server| {
        let first = server.client();
        let mut second = server.client();
        assert_eq!(numbers(second.call(&["par.name", "me"])), [1, EPERM, EPERM]);
        assert_eq!(second.call(&["CLIENT", "GETNAME"]).text(), "me");
        drop(first);
    });
}
