//! Does Redis's Sentinel look after servers of ours, alone and among Redis's own? It is the real one, as the system has it.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::client::Client;
use crate::harness::server::{Folder, Server, free_port, reference, under_test};
use crate::harness::value::Value;
use crate::harness::{wait_until, wait_until_within};

/// A sentinel that watches one primary, and decides alone.
struct Sentinel {
    port: u16,
    child: Child,
    folder: Folder,
}

impl Sentinel {
    /// None if this machine has none.
    fn start(primary: &Server) -> Option<Sentinel> {
        let Some(redis) = reference() else {
            println!("skipped: there is no redis-server, which is also the sentinel");
            return None;
        };
        let (port, folder) = (free_port(), Folder::new());
        let config = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor drill 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds drill 1000\nsentinel failover-timeout drill 10000\n",
            primary.port
        );
        let path = folder.file("sentinel.conf", &config);
        let log = File::create(folder.path().join("log")).expect("the folder is writable");
        let child = Command::new(redis)
            .arg(path)
            .arg("--sentinel")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .expect("it is there");
        let sentinel = Sentinel { port, child, folder };
        wait_until("the sentinel answers", || Client::tcp(port).is_ok());
        Some(sentinel)
    }

    fn call(&self, argv: &[&str]) -> Value {
        Client::tcp(self.port).expect("the sentinel listens").call(argv)
    }

    /// The port of the server that it calls the primary.
    fn primary(&self) -> String {
        let address = self.call(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "drill"]);
        address.items().get(1).map(Value::text).unwrap_or_default()
    }

    /// A field of what it says of the primary.
    fn field(&self, name: &str) -> String {
        let fields = self.call(&["SENTINEL", "MASTER", "drill"]).items();
        let at = fields.iter().position(|field| field.text() == name);
        at.and_then(|at| fields.get(at + 1)).map(Value::text).unwrap_or_default()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            println!("--- the sentinel's log:\n{}", log.unwrap_or_default());
        }
    }
}

const AT_ONCE: [&str; 4] = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];

/// A field of a server's INFO; None if there is none, and if the connection was cut: when roles change, Sentinel has all clients
/// connect anew.
fn info(server: &Server, field: &str) -> Option<String> {
    let text = server.tcp().try_call(&["INFO"]).ok()?.text();
    let wanted = format!("{field}:");
    let line = text.lines().find(|line| line.starts_with(&wanted))?;
    Some(line[wanted.len()..].trim().to_owned())
}

/// What a command is answered, once the connection stays.
fn call(server: &Server, argv: &[&str]) -> String {
    let mut reply = None;
    wait_until("the connection stays", || {
        reply = server.tcp().try_call(argv).ok();
        reply.is_some()
    });
    reply.map(|reply| reply.text()).unwrap_or_default()
}

/// A failover takes its time: the sentinel looks once a second, and at INFO every ten.
const SECONDS: u64 = 60;

/// The primary dies; one of the two replicas takes its place, the other follows it, and so does the dead one when it is back.
fn drill(primary: &Path, replicas: [&Path; 2]) {
    let primary = Server::start_binary(primary, &AT_ONCE);
    let replicas = replicas.map(|binary| Server::start_binary(binary, &AT_ONCE));
    for replica in &replicas {
        let port = primary.port.to_string();
        assert_eq!(replica.client().call(&["REPLICAOF", "127.0.0.1", &port]).text(), "OK");
    }
    for replica in &replicas {
        wait_until("the link is up", || {
            replica.info("master_link_status").as_deref() == Some("up")
        });
    }
    let Some(sentinel) = Sentinel::start(&primary) else { return };
    wait_until_within(SECONDS, "the sentinel knows the replicas", || {
        sentinel.field("num-slaves") == "2" && sentinel.field("flags") == "master"
    });
    primary.client().call(&["SET", "k", "v"]);
    for replica in &replicas {
        wait_until("it has come", || {
            replica.client().call(&["GET", "k"]) == Value::Bulk(b"v".to_vec())
        });
    }
    primary.signal("KILL");
    let old = primary.port.to_string();
    wait_until_within(SECONDS, "another primary", || sentinel.primary() != old);
    let [first, second] = &replicas;
    let (new, other) = match sentinel.primary() == first.port.to_string() {
        true => (first, second),
        false => (second, first),
    };
    assert_eq!(info(new, "role").as_deref(), Some("master"));
    wait_until_within(SECONDS, "the other replica follows", || {
        info(other, "master_port") == Some(new.port.to_string())
            && info(other, "master_link_status").as_deref() == Some("up")
    });
    assert_eq!(call(new, &["SET", "k", "w"]), "OK");
    wait_until("it has come", || call(other, &["GET", "k"]) == "w");
    // It had all that the new primary had, so it went on from there.
    assert_eq!(info(new, "sync_full").as_deref(), Some("0"));
    assert_eq!(info(new, "sync_partial_ok").as_deref(), Some("1"));
}

#[test]
fn sentinel_fails_servers_of_ours_over() {
    let ours = under_test();
    drill(&ours, [&ours, &ours]);
}

#[test]
fn sentinel_fails_over_from_redis_to_ours_and_back() {
    let (ours, Some(redis)) = (under_test(), reference()) else {
        return println!("skipped: there is no redis-server");
    };
    drill(&redis, [&ours, &ours]);
    drill(&ours, [&redis, &ours]);
}
