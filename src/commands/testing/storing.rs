//! What holds of values and files that somebody else wrote? The properties behind the fuzz targets `dump_payload` and
//! `rdb_file`, and the replay of their regressions.
//!
//! A payload's input: a byte that chooses the version, one that chooses the thresholds, the kind and the value; the footer is
//! added. A file's input is the file, whose checksum is not looked at. Properties: nothing panics; what is accepted is
//! written in every version and read back as the same; each command for its type gives one whole reply, and what these have
//! made of it is read back, too.

use super::survival::{engine, whole};
use super::*;
use crate::base::crc::crc64;
use crate::engine::ctx::Env;
use crate::engine::effects::Unit;
use crate::engine::spec::Argv;
use crate::object::rdb::kind;
use crate::persist::rdb::disk;
use crate::persist::rdb::load::{self, Options};
use crate::persist::rdb::save::Facts;

/// Bytes of one input.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Versions that a payload may claim.
const VERSIONS: [u16; 5] = [12, 11, 10, 9, 80];
/// Versions that are written.
const WRITTEN: [&str; 4] = ["12", "11", "10", "9"];
/// Thresholds far below the defaults, so that small values are large ones.
const LOW: [&str; 6] = [
    "hash-max-listpack-entries 2",
    "list-max-listpack-size 2",
    "set-max-intset-entries 2",
    "set-max-listpack-entries 2",
    "zset-max-listpack-entries 2",
    "stream-node-max-entries 2",
];

/// Commands that look at a value or change it; those for other types are errors.
const COMMANDS: [&str; 44] = [
    "TYPE k",
    "OBJECT ENCODING k",
    "STRLEN k",
    "APPEND k x",
    "GETRANGE k 0 -1",
    "LLEN k",
    "LRANGE k 0 -1",
    "LINDEX k -1",
    "RPUSH k 1 b",
    "LPUSH k c",
    "LINSERT k BEFORE b x",
    "LSET k 0 y",
    "LREM k -1 x",
    "LPOP k",
    "LTRIM k 0 20",
    "HGETALL k",
    "HRANDFIELD k 3",
    "HSET k f v 1 2",
    "HGET k f",
    "HDEL k f",
    "HSCAN k 0",
    "HTTL k FIELDS 1 1",
    "SMEMBERS k",
    "SADD k m 7",
    "SISMEMBER k 7",
    "SRANDMEMBER k 3",
    "SREM k m",
    "SSCAN k 0",
    "ZRANGE k 0 -1 WITHSCORES",
    "ZADD k 1.5 m 2 n",
    "ZRANK k n",
    "ZRANGEBYSCORE k -inf 0",
    "ZREM k m",
    "ZPOPMIN k",
    "ZSCAN k 0",
    "XRANGE k - +",
    "XREVRANGE k + - COUNT 3",
    "XINFO STREAM k FULL",
    "XADD k * f v",
    "XREADGROUP GROUP g c STREAMS k >",
    "XAUTOCLAIM k g c 0 0",
    "XTRIM k MAXLEN 3",
    "XDEL k 1-0",
    "COPY k other REPLACE",
];

/// Checks one DUMP payload.
pub fn check_payload(bytes: &[u8]) {
    let [version, thresholds, value @ ..] = bytes else { return };
    if value.len() > INPUT_BYTES_MAX {
        return;
    }
    let version = VERSIONS[usize::from(*version) % VERSIONS.len()];
    NOW_MS.set(START_MS);
    let engine = engine();
    if thresholds % 2 == 1 {
        LOW.iter().for_each(|parameter| {
            call_words(&engine, &format!("CONFIG SET {parameter}"));
        });
    }
    let mut payload = value.to_vec();
    payload.extend_from_slice(&version.to_le_bytes());
    payload.extend_from_slice(&crc64(0, &payload).to_le_bytes());
    if call(&engine, &[b"RESTORE", b"k", b"0", &payload]) != b"+OK\r\n" {
        return;
    }
    comes_back(&engine);
    for command in COMMANDS {
        assert_eq!(whole(&call_words(&engine, command)), 1, "{command}");
    }
    if call_words(&engine, "EXISTS k") == b":1\r\n" {
        comes_back(&engine);
    }
}

/// Writes the value in each version and reads it back.
fn comes_back(engine: &TestEngine) {
    let before = contents(engine, "k");
    let mut has_lifetimes = false;
    for version in WRITTEN {
        call_words(engine, &format!("CONFIG SET rdb-target-version {version}"));
        let dumped = call_words(engine, "DUMP k");
        let payload = match Value::read(&dumped).expect("a reply") {
            (Value::Bulk(payload), _) => payload,
            // A hash whose fields are all past their time.
            (Value::Null, _) => return,
            _ => panic!("DUMP answers {dumped:?}"),
        };
        // Only the newest version has lifetimes of fields, and old ones keep those that are past theirs.
        has_lifetimes |= matches!(payload[0], kind::HASH_METADATA | kind::HASH_LISTPACK_EX);
        let restored = call(engine, &[b"RESTORE", b"copy", b"0", payload, b"REPLACE"]);
        assert_eq!(restored, b"+OK\r\n", "version {version}");
        if version == WRITTEN[0] || !has_lifetimes {
            assert_eq!(contents(engine, "copy"), before, "version {version}");
        }
    }
}

fn is_hash(engine: &TestEngine) -> bool {
    call_words(engine, "TYPE k") == b"+hash\r\n"
}

/// What is in a value; of a hash what is not past its time, since that may be gone at any moment.
fn contents(engine: &TestEngine, key: &str) -> String {
    if !is_hash(engine) {
        return String::from_utf8_lossy(&call_words(engine, &format!("DEBUG DIGEST-VALUE {key}")))
            .into_owned();
    }
    let pairs = call_words(engine, &format!("HGETALL {key}"));
    let items = match Value::read(&pairs).expect("a reply") {
        (Value::Array(items), _) => items,
        // What was taken over unchecked is not looked into.
        (Value::Error(text), _) if text.starts_with(b"ERR the value at this key is corrupt") => {
            return String::from_utf8_lossy(text).into_owned();
        }
        _ => panic!("HGETALL answers {pairs:?}"),
    };
    let with_lifetime = |pair: &[Value<'_>]| {
        let field = pair[0].as_bytes().expect("a field is a text");
        let argv = [b"HPEXPIRETIME", key.as_bytes(), b"FIELDS", b"1", field];
        format!("{pair:?} {:?}", call(engine, &argv))
    };
    let mut fields: Vec<String> = items.chunks(2).map(with_lifetime).collect();
    fields.sort();
    fields.join("\n")
}

/// Checks one file.
pub fn check_file(bytes: &[u8]) {
    if bytes.len() > INPUT_BYTES_MAX {
        return;
    }
    NOW_MS.set(START_MS);
    let (first, second) = (engine(), engine());
    if !load_into(&first, bytes) {
        return;
    }
    let digest = call_words(&first, "DEBUG DIGEST");
    let mut state = first.engine.write().expect("not busy");
    let facts = Facts {
        version: "7.2.6",
        now_us: START_MS * 1000,
        used_memory: 0,
        base: false,
        rdb_version_max: u32::MAX,
    };
    let saved = disk::snapshot(&state, &facts).expect("there are no values of modules");
    state.persistence.skip_checksum = false;
    drop(state);
    assert!(load_into(&second, &saved), "what was saved can be loaded");
    assert_eq!(call_words(&second, "DEBUG DIGEST"), digest);
}

/// Loads a file; whether that went well.
fn load_into(engine: &TestEngine, mut bytes: &[u8]) -> bool {
    let shared = &engine.engine.shared;
    let mut state = engine.engine.write().expect("not busy");
    state.persistence.skip_checksum = true;
    let now_us = (shared.clock.unix_us)();
    let env = Env { shared, stats: &shared.workers[0], worker: 0, client: None, now_us };
    let (mut session, mut unit) = (Session::default(), Unit::default());
    let mut ctx = ExclusiveCtx { state: &mut state, session: &mut session, unit: &mut unit, env };
    load::load(&mut ctx, &mut bytes, Options { replace: true, ..Options::default() }).is_ok()
}

fn call_words(engine: &TestEngine, line: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    call(engine, &words)
}

fn call(engine: &TestEngine, argv: Argv<'_>) -> Vec<u8> {
    let (out, _) = engine.call(&engine.client, argv);
    // Nobody reads what is propagated.
    engine.engine.write().expect("not busy").log.take();
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn replay(target: &str, check: fn(&[u8])) {
        let fuzz = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"));
        let folders = ["regressions", "seeds"].map(|kind| fuzz.join(kind).join(target));
        let entries = folders.iter().flat_map(std::fs::read_dir).flatten();
        let mut files: Vec<_> =
            entries.map(|entry| entry.expect("the folder can be read").path()).collect();
        assert!(!files.is_empty(), "{target} has neither seeds nor regressions");
        files.sort();
        for file in files {
            println!("{}", file.display());
            check(&std::fs::read(&file).expect("the file can be read"));
        }
    }

    #[test]
    fn payloads_are_good_or_refused() {
        replay("dump_payload", check_payload);
    }

    #[test]
    fn files_are_good_or_refused() {
        replay("rdb_file", check_file);
    }
}
