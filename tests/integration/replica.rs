//! Does a replica have what its primary has, whoever that is: a server of ours, or Redis where it is installed?

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::harness::server::{Server, reference};
use crate::harness::value::Value;
use crate::harness::wait_until;

/// A primary of each kind, with these arguments.
fn primaries(args: &[&str]) -> Vec<Server> {
    let mut primaries = vec![Server::start(args)];
    match reference() {
        Some(redis) => primaries.push(Server::start_binary(&redis, args)),
        None => println!("skipped: there is no redis-server to be the primary"),
    }
    primaries
}

const AT_ONCE: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

fn follow(replica: &Server, primary: &Server) {
    let reply = replica.client().call(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    assert_eq!(reply.text(), "OK");
    wait_for_link(replica);
}

fn wait_for_link(replica: &Server) {
    wait_until("the link is up", || replica.info("master_link_status").as_deref() == Some("up"));
}

/// Waits until the replica has applied what the primary has written so far.
fn catch_up(replica: &Server, primary: &Server) {
    let offset =
        |server: &Server| -> Option<u64> { server.info("master_repl_offset")?.parse().ok() };
    let wanted = offset(primary);
    wait_until("the replica has caught up", || offset(replica) >= wanted);
}

/// Writes something of each type, some of it in a transaction, a script and other dbs.
fn write(primary: &Server, round: u32) {
    let mut client = primary.client();
    let key = |name: &str| format!("{name}:{round}");
    client.call(&["SELECT", "0"]);
    client.call(&["SET", &key("string"), "v", "PX", "100000000"]);
    client.call(&["RPUSH", &key("list"), "a", "b", "c"]);
    client.call(&["SADD", &key("set"), "a", "1"]);
    client.call(&["SELECT", "3"]);
    client.call(&["ZADD", &key("zset"), "1.5", "a", "2", "b"]);
    client.call(&["MULTI"]);
    client.call(&["HSET", &key("hash"), "f", "v"]);
    client.call(&["XADD", &key("stream"), "1-1", "f", "v"]);
    client.call(&["EXEC"]);
    client.call(&[
        "EVAL",
        "redis.call('INCR', KEYS[1]) redis.call('INCR', KEYS[1])",
        "1",
        &key("n"),
    ]);
    client.call(&["SPOP", &key("set")]);
    let big = "x".repeat(200_000);
    client.call(&["APPEND", &key("big"), &big]);
}

/// What there is of that, as DUMP would not tell alike for servers of two kinds.
fn read(server: &Server, rounds: u32) -> Vec<Value> {
    let mut client = server.client();
    let mut values = Vec::new();
    for round in 0..rounds {
        let key = |name: &str| format!("{name}:{round}");
        values.push(client.call(&["SELECT", "0"]));
        values.push(client.call(&["GET", &key("string")]));
        values.push(client.call(&["PEXPIRETIME", &key("string")]));
        values.push(client.call(&["LRANGE", &key("list"), "0", "-1"]));
        values.push(client.call(&["SORT_RO", &key("set"), "ALPHA"]));
        values.push(client.call(&["DBSIZE"]));
        values.push(client.call(&["SELECT", "3"]));
        values.push(client.call(&["ZRANGE", &key("zset"), "0", "-1", "WITHSCORES"]));
        values.push(client.call(&["HGETALL", &key("hash")]));
        values.push(client.call(&["XRANGE", &key("stream"), "-", "+"]));
        values.push(client.call(&["GET", &key("n")]));
        values.push(client.call(&["STRLEN", &key("big")]));
        values.push(client.call(&["DBSIZE"]));
    }
    values
}

#[test]
fn a_replica_gets_what_there_is_and_what_is_written_then() {
    for primary in primaries(&AT_ONCE) {
        for load in ["disabled", "on-empty-db", "swapdb"] {
            primary.client().call(&["FLUSHALL"]);
            write(&primary, 0);
            let replica = Server::start(&["--repl-diskless-load", load]);
            if load != "on-empty-db" {
                replica.client().call(&["SET", "own", "is gone then"]);
            }
            follow(&replica, &primary);
            write(&primary, 1);
            catch_up(&replica, &primary);
            assert_eq!(read(&replica, 2), read(&primary, 2), "{load}");
            let refused = replica.client().call(&["SET", "k", "v"]).text();
            assert_eq!(refused, "READONLY You can't write against a read only replica.");
            assert_eq!(replica.info("role").as_deref(), Some("slave"));
        }
    }
}

#[test]
fn a_link_that_was_cut_goes_on_where_it_was() {
    let Some(redis) = reference() else { return println!("skipped: there is no redis-server") };
    let primary = Server::start_binary(&redis, &AT_ONCE);
    let replica = Server::start(&[]);
    follow(&replica, &primary);
    for round in 0..4 {
        write(&primary, round);
        let kill = || match round % 2 {
            0 => replica.client().call(&["CLIENT", "KILL", "TYPE", "master"]),
            _ => primary.client().call(&["CLIENT", "KILL", "TYPE", "replica"]),
        };
        // The primary knows of the link a moment before the replica does.
        wait_until("there is a link to cut", || kill() == Value::Int(1));
        let times = (round + 1).to_string();
        wait_until("the replica is back", || {
            primary.info("sync_partial_ok").as_deref() == Some(&times)
                && primary.client().call(&["INFO"]).text().contains("state=online")
        });
        wait_for_link(&replica);
    }
    catch_up(&replica, &primary);
    assert_eq!(read(&replica, 4), read(&primary, 4));
    assert_eq!(primary.info("sync_full").as_deref(), Some("1"));
}

#[test]
fn a_promoted_replica_keeps_its_data_and_takes_writes() {
    for primary in primaries(&AT_ONCE) {
        let replica = Server::start(&[]);
        follow(&replica, &primary);
        write(&primary, 0);
        catch_up(&replica, &primary);
        let (id, offset) = (replica.info("master_replid"), replica.info("master_repl_offset"));
        assert_eq!(id, primary.info("master_replid"));
        assert_eq!(replica.client().call(&["REPLICAOF", "NO", "ONE"]).text(), "OK");
        assert_eq!(replica.info("role").as_deref(), Some("master"));
        assert_eq!(replica.info("master_replid2"), id);
        assert_ne!(replica.info("master_replid"), id);
        let end: u64 = offset.and_then(|text| text.parse().ok()).expect("it is a number");
        assert_eq!(replica.info("second_repl_offset"), Some((end + 1).to_string()));
        assert_eq!(read(&replica, 1), read(&primary, 1));
        assert_eq!(replica.client().call(&["SET", "k", "v"]).text(), "OK");
    }
}

#[test]
fn keys_past_their_time_are_invisible_and_stay_until_the_primary_says_so() {
    for primary in primaries(&AT_ONCE) {
        let replica = Server::start(&[]);
        follow(&replica, &primary);
        // The primary will not say so by itself, if it stops before the time is over.
        primary.client().call(&["SET", "gone", "v", "PX", "2000"]);
        primary.client().call(&["SET", "stays", "v"]);
        catch_up(&replica, &primary);
        primary.signal("STOP");
        let mut client = replica.client();
        wait_until("its time is over", || client.call(&["GET", "gone"]) == Value::Nil);
        assert_eq!(client.call(&["EXISTS", "gone"]), Value::Int(0));
        assert_eq!(client.call(&["DBSIZE"]), Value::Int(2));
        assert_eq!(replica.info("expired_keys").as_deref(), Some("0"));
        primary.signal("CONT");
        wait_until("the primary says so", || client.call(&["DBSIZE"]) == Value::Int(1));
    }
}

#[test]
fn without_a_link_stale_data_is_served_or_not() {
    let replica = Server::start(&["--replica-serve-stale-data", "no"]);
    let mut client = replica.client();
    client.call(&["SET", "k", "v"]);
    // Nobody listens there.
    assert_eq!(client.call(&["REPLICAOF", "127.0.0.1", "1"]).text(), "OK");
    let down = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    assert_eq!(client.call(&["GET", "k"]).text(), down);
    assert_eq!(client.call(&["EVAL", "return redis.call('GET', 'k')", "0"]).text(), down);
    assert_eq!(replica.info("master_link_status").as_deref(), Some("down"));
    client.call(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    assert_eq!(client.call(&["GET", "k"]).text(), "v");
    let again = client.call(&["REPLICAOF", "127.0.0.1", "1"]).text();
    assert_eq!(again, "OK Already connected to specified master");
    assert_eq!(client.call(&["REPLICAOF", "NO", "ONE"]).text(), "OK");
    assert_eq!(client.call(&["SET", "k", "w"]).text(), "OK");
}

#[test]
fn blocked_clients_are_told_when_the_role_changes() {
    let server = Server::start(&[]);
    let mut blocked = server.client();
    blocked.send(&["BLPOP", "list", "0"]).expect("the server is there");
    wait_until("it waits", || server.info("blocked_clients").as_deref() == Some("1"));
    server.client().call(&["REPLICAOF", "127.0.0.1", "1"]);
    let told = blocked.read().expect("the server is there").text();
    assert!(told.starts_with("UNBLOCKED force unblock"), "{told}");
}

#[test]
fn keys_that_clients_of_a_replica_write_expire_there() {
    let primary = Server::start(&AT_ONCE);
    let replica = Server::start(&["--replica-read-only", "no"]);
    follow(&replica, &primary);
    let mut client = replica.client();
    assert_eq!(client.call(&["SET", "own", "v", "PX", "1"]).text(), "OK");
    wait_until("it is gone", || replica.info("expired_keys").as_deref() == Some("1"));
    assert_eq!(client.call(&["DBSIZE"]), Value::Int(0));
    assert_eq!(replica.info("slave_expires_tracked_keys").as_deref(), Some("0"));
}

/// What a primary that is none answers, in order: to PING, to what it is told, to PSYNC, and then.
fn hostile_primary(rest: Vec<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // A replica that hangs up is what the test is about.
            let mut answer = |bytes: &[u8]| {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(bytes);
            };
            answer(b"+PONG\r\n");
            answer(b"+OK\r\n+OK\r\n+OK\r\n");
            rest.iter().for_each(|bytes| answer(bytes));
        }
    });
    port
}

#[test]
fn a_primary_that_talks_nonsense_changes_nothing_and_is_tried_again() {
    let full = b"+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 1\r\n".to_vec();
    let with = |snapshot: &[u8]| vec![[&full, snapshot].concat()];
    let answers = [
        vec![b"+WHAT\r\n".to_vec()],
        vec![b"-ERR no\r\n".to_vec(), b"+WHAT\r\n".to_vec()],
        vec![b"+FULLRESYNC x y\r\n".to_vec()],
        with(b"$x\r\n"),
        with(b"$EOF:short\r\n"),
        with(b"$99999999999999999999\r\n"),
    ];
    for answer in answers {
        let text = format!("{answer:?}");
        let port = hostile_primary(answer);
        let mut replica = Server::start(&["--repl-diskless-load", "swapdb"]);
        let mut client = replica.client();
        client.call(&["SET", "k", "v"]);
        client.call(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
        wait_until("it was tried twice", || {
            replica.log().matches("MASTER <-> REPLICA sync started").count() >= 2
        });
        assert!(replica.is_alive(), "{text}");
        assert_eq!(client.call(&["GET", "k"]).text(), "v", "{text}");
    }
}

#[test]
fn a_snapshot_that_breaks_off_leaves_the_old_data_or_nothing() {
    let full = b"+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 1\r\n";
    let snapshot = b"$1000\r\nREDIS0011\xfe\x00\x00\x03new\x01vgarbage";
    for (load, left) in [("swapdb", Value::Int(1)), ("disabled", Value::Int(1))] {
        let port = hostile_primary(vec![[&full[..], snapshot].concat()]);
        let mut replica = Server::start(&["--repl-diskless-load", load]);
        let mut client = replica.client();
        client.call(&["SET", "k", "v"]);
        client.call(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
        wait_until("it was tried twice", || {
            replica.log().matches("MASTER <-> REPLICA sync started").count() >= 2
        });
        assert!(replica.is_alive());
        // In between it tries again, and is loading.
        wait_until("it serves", || client.call(&["DBSIZE"]) == left);
        wait_until("it has its key", || client.call(&["GET", "k"]) == Value::Bulk(b"v".to_vec()));
    }
}

#[test]
fn the_configuration_names_the_primary() {
    let primary = Server::start(&AT_ONCE);
    write(&primary, 0);
    let port = primary.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port]);
    wait_for_link(&replica);
    catch_up(&replica, &primary);
    assert_eq!(read(&replica, 1), read(&primary, 1));
    let mut client = replica.client();
    let shown = client.call(&["CONFIG", "GET", "replicaof"]);
    assert_eq!(shown.items()[1].text(), format!("127.0.0.1 {port}"));
}

/// What a slow replica has still to be sent stays in the backlog beyond its size, so that another one can go on with it; and that
/// one gets all of it.
#[test]
fn a_replica_goes_on_with_what_is_kept_for_a_slow_one() {
    let slow = ["--rdb-key-save-delay", "1000000", "--repl-backlog-size", "16384"];
    let primary = Server::start(&[&AT_ONCE[..], &slow].concat());
    let mut client = primary.client();
    // Each takes a second to save.
    for number in 0..100 {
        client.call(&["SET", &format!("slow:{number}"), "v"]);
    }
    let replica = Server::start(&[]);
    replica.client().call(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    wait_until("its snapshot is being taken", || {
        primary.info("slave0").is_some_and(|fields| fields.contains("wait_bgsave"))
            && primary.info("rdb_bgsave_in_progress").as_deref() == Some("1")
    });
    let value = "x".repeat(10_000);
    for number in 0..100 {
        client.call(&["SET", &format!("k:{number}"), &value]);
    }
    let field = |name: &str| primary.info(name).expect("it is there");
    let number = |name: &str| field(name).parse::<usize>().expect("it is a number");
    assert!(number("repl_backlog_histlen") > 1_000_000);
    let first = field("repl_backlog_first_byte_offset");
    let mut asking = primary.client();
    asking.send(&["PSYNC", &field("master_replid"), &first]).expect("the server is there");
    let answer = asking.read_line().expect("it is answered");
    assert!(answer.starts_with("+CONTINUE"), "{answer}");
    let stream = asking.read_bytes(number("repl_backlog_histlen")).expect("all of it comes");
    assert_eq!(stream.windows(5).filter(|bytes| bytes == b"k:99\r").count(), 1);
    client.call(&["SET", "last", "v"]);
    let want = b"*3\r\n$3\r\nSET\r\n$4\r\nlast\r\n$1\r\nv\r\n";
    let mut rest = Vec::new();
    wait_until("what comes then comes as well", || {
        rest.extend(asking.read_bytes(1).expect("it comes"));
        rest.ends_with(want)
    });
    client.call(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
}

/// A replica that cannot save does not go on with writes of its primary, unless it is told to.
#[test]
fn a_replica_whose_disk_fails_ends_or_says_so() {
    for ignores in ["yes", "no"] {
        let primary = Server::start(&AT_ONCE);
        let saves = ["--save", "900 1000", "--replica-ignore-disk-write-errors", ignores];
        let mut replica = Server::start(&saves);
        follow(&replica, &primary);
        // The file's name is taken by a folder with something in it.
        let taken = replica.folder.path().join("dump.rdb");
        let _ = std::fs::remove_file(&taken);
        std::fs::create_dir(&taken).expect("the folder is writable");
        std::fs::write(taken.join("x"), "").expect("the folder is writable");
        replica.client().call(&["BGSAVE"]);
        wait_until("the snapshot fails", || {
            replica.info("rdb_last_bgsave_status").as_deref() == Some("err")
        });
        primary.client().call(&["SET", "k", "v"]);
        if ignores == "yes" {
            catch_up(&replica, &primary);
            assert_eq!(replica.client().call(&["GET", "k"]).text(), "v");
            let told = "Replica is applying a command even though it is unable to write to disk.";
            assert!(replica.log().contains(told));
        } else {
            wait_until("it has ended", || !replica.is_alive());
            assert!(replica.log().contains("Replica was unable to write command to disk."));
        }
    }
}
