//! Does the server survive nonsense? Random commands with random arguments, and requests with flipped, cut and doubled
//! bytes; now and then the keyspace is looked over.
//!
//! `SEED` runs the same again, `FUZZ_REQUESTS` sets how many.

use std::time::Duration;

use crate::harness::client::{Client, encode};
use crate::harness::random::Random;
use crate::harness::server::Server;
use crate::harness::value::Value;

const REQUESTS: usize = 12_000;
const PIPELINE_MAX: usize = 40;
const ARGUMENTS_MAX: usize = 8;

/// Commands that end or stop the server, block, write files, change how replies come, or talk to other machines.
const LEFT_OUT: &[&str] = &[
    "shutdown",
    "debug",
    "monitor",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
    "client",
    "config",
    "acl",
    "module",
    "migrate",
    "save",
    "bgsave",
    "bgrewriteaof",
    "failover",
    "cluster",
    "replicaof",
    "slaveof",
    "psync",
    "sync",
    "replconf",
    "wait",
    "waitaof",
    "hello",
    "reset",
    "quit",
    "script",
    "function",
    "auth",
    "restore-asking",
    "pfselftest",
    "sentinel",
    "role",
    "lolwut",
    "readonly",
    "readwrite",
    "asking",
    "latency",
    "slowlog",
    "memory",
    "swapdb",
    "select",
];

const WORDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "10",
    "16",
    "100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4294967296",
    "1.5",
    "-0",
    "1e308",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "",
    " ",
    "*",
    "?",
    "[a-",
    "\\",
    "NX",
    "XX",
    "GT",
    "LT",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "KEEPTTL",
    "PERSIST",
    "GET",
    "COUNT",
    "MATCH",
    "TYPE",
    "WITHVALUES",
    "WITHSCORES",
    "LIMIT",
    "REPLACE",
    "DB",
    "BY",
    "ASC",
    "FIELDS",
    "IDX",
    "LEN",
    "$",
    ".",
    "$..a",
    "$.a[0]",
    "{\"a\":[1,{\"b\":null}]}",
    "[1,2",
    "null",
    "(",
    "@f:{x}",
    "@n:[1 2]",
    "SCHEMA",
    "TEXT",
    "TAG",
    "NUMERIC",
    "PREFIX",
    "ON",
    "JSON",
    "HASH",
    "return 1",
    "return redis.call('get', KEYS[1])",
    "return {1, {2}, ARGV}",
    "error('x')",
    "return #",
    "string",
    "hash",
];

fn command_names(server: &Server) -> Vec<String> {
    let commands = server.client().call(&["COMMAND"]).items();
    let mut names: Vec<String> = commands
        .iter()
        .filter_map(|command| {
            let fields = command.items();
            let flags: Vec<String> = fields[2].items().iter().map(Value::text).collect();
            let harmless = !flags.iter().any(|flag| flag == "blocking");
            let name = fields[0].text();
            (harmless && !LEFT_OUT.contains(&name.as_str())).then_some(name)
        })
        .collect();
    names.sort();
    assert!(names.len() > 50, "COMMAND lists {names:?}");
    names
}

fn argument(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0..4 => format!("k{}", random.below(12)).into_bytes(),
        4..7 => random.pick(WORDS).as_bytes().to_vec(),
        7 => (random.next() as i64 >> random.below(64)).to_string().into_bytes(),
        8 => (0..random.below(40)).map(|_| random.next() as u8).collect(),
        _ => vec![b'a' + random.below(26) as u8; random.below(2000)],
    }
}

fn request(random: &mut Random, names: &[String]) -> Vec<Vec<u8>> {
    let name = &names[random.below(names.len())];
    let mut argv = vec![name.clone().into_bytes()];
    // Writing half the time by hand keeps values around for the rest to stumble over.
    match random.below(12) {
        0 => argv = vec![b"SET".to_vec(), argument(random), argument(random)],
        1 => argv = vec![b"HSET".to_vec(), argument(random), argument(random), argument(random)],
        2 => {
            let key = format!("k{}", random.below(12)).into_bytes();
            argv = vec![b"PEXPIRE".to_vec(), key, random.below(50).to_string().into_bytes()];
        }
        _ => argv.extend((0..random.below(ARGUMENTS_MAX)).map(|_| argument(random))),
    }
    argv
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len().max(1));
        match random.below(6) {
            _ if bytes.is_empty() => return,
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = b"*$+-:\r\n0123456789"[random.below(17)],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.next() as u8),
            4 => {
                let piece: Vec<u8> = bytes[at..(at + 20).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let end = (at + random.below(8)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
}

/// One pipeline of whole requests: each gets exactly one reply, MULTI or not.
fn run_whole(client: &mut Client, random: &mut Random, names: &[String]) -> usize {
    let requests: Vec<_> =
        (0..1 + random.below(PIPELINE_MAX)).map(|_| request(random, names)).collect();
    let wire: Vec<u8> = requests.iter().flat_map(|argv| encode(argv)).collect();
    client.send_raw(&wire).expect("the server reads");
    for argv in &requests {
        let reply = client.read();
        let shown: Vec<_> = argv.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
        assert!(reply.is_ok(), "{shown:?}: {reply:?}");
    }
    requests.len()
}

/// A broken pipeline on a connection of its own; whatever is answered, the server must let go when we do.
fn run_broken(server: &Server, random: &mut Random, names: &[String]) -> usize {
    let count = 1 + random.below(8);
    let mut wire: Vec<u8> = (0..count).flat_map(|_| encode(&request(random, names))).collect();
    mutate(random, &mut wire);
    let mut client = if random.one_in(2) { server.client() } else { server.tcp() };
    // Either may fail when the server has closed already.
    let _ = client.send_raw(&wire);
    let _ = client.finish_sending();
    client.read_to_end().expect("the server closes when the client has");
    count
}

/// What must hold for any keyspace, whatever led to it.
fn look_over(client: &mut Client) {
    let mut cursor = b"0".to_vec();
    let mut keys: Vec<Vec<u8>> = Vec::new();
    loop {
        let reply = client.call(&[b"SCAN".as_slice(), &cursor, b"COUNT", b"100"]).items();
        let (Value::Bulk(next), Value::Array(found)) = (&reply[0], &reply[1]) else {
            panic!("SCAN answers {reply:?}");
        };
        for key in found {
            let Value::Bulk(key) = key else { panic!("a key is {key:?}") };
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        cursor = next.clone();
        if cursor == b"0" {
            break;
        }
    }
    let size = client.call(&["DBSIZE"]).int();
    for key in &keys {
        check_key(client, key);
    }
    assert!(keys.len() as i64 >= client.call(&["DBSIZE"]).int().min(size) - 12, "SCAN misses keys");
}

fn check_key(client: &mut Client, key: &[u8]) {
    let shown = String::from_utf8_lossy(key).into_owned();
    // All in one step, since the key may end between two.
    const LOOK: &str = "local t = redis.call('type', KEYS[1]).ok \
        local ttl = redis.call('pttl', KEYS[1]) \
        if t == 'string' then \
            return {t, ttl, redis.call('strlen', KEYS[1]), #redis.call('get', KEYS[1])} end \
        if t == 'hash' then \
            return {t, ttl, redis.call('hlen', KEYS[1]) * 2, #redis.call('hgetall', KEYS[1])} end \
        return {t, ttl, redis.call('exists', KEYS[1]), t == 'none' and 0 or 1}";
    let reply = client.call(&[b"EVAL", LOOK.as_bytes(), b"1", key]);
    assert!(!reply.is_error(), "{shown:?}: {reply:?}");
    let fields = reply.items();
    assert_eq!(fields[2], fields[3], "{shown:?}: two lengths of one value");
    let ttl = fields[1].int();
    assert!(ttl >= -2, "{shown:?}: a ttl of {ttl}");
    assert_eq!(ttl == -2, fields[0].text() == "none", "{shown:?}: {fields:?}");
}

#[test]
fn random_requests_do_no_harm() {
    let mut random = Random::new("random requests");
    let wanted = std::env::var("FUZZ_REQUESTS").ok().and_then(|count| count.parse().ok());
    let wanted = wanted.unwrap_or(REQUESTS);
    let mut server = Server::start(&["--busy-reply-threshold", "0"]);
    let names = command_names(&server);
    let mut whole = server.client();
    let mut control = server.client();
    control.patience(Duration::from_secs(60)).unwrap();
    let (mut done, mut rounds) = (0, 0);
    while done < wanted {
        done += if random.one_in(3) {
            run_broken(&server, &mut random, &names)
        } else {
            run_whole(&mut whole, &mut random, &names)
        };
        rounds += 1;
        if rounds % 50 == 0 {
            look_over(&mut control);
        }
        if random.one_in(100) {
            whole = server.tcp();
        }
    }
    look_over(&mut control);
    assert!(server.is_alive());
    assert_eq!(server.client().call(&["PING"]).text(), "PONG");
    println!("{done} requests in {rounds} pipelines");
}
