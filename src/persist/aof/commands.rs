//! Which commands make a value anew? The form that a base has with `aof-use-rdb-preamble no`: the commands of Redis's
//! own rewrites, collections in pieces of 64 elements. What has no commands, values of modules and unchecked ones, comes as RESTORE.
//!
//! What commands cannot say is lost, as with Redis: pending entries of streams that were deleted, and when consumers
//! were active.

use crate::base::crc::crc64;
use crate::base::number::{IntBuf, format_double};
use crate::engine::log::encode;
use crate::keyspace::value::ValueRef;
use crate::object::stream::{Group, Stream, StreamId};

/// Elements that one command adds at most.
const ELEMENTS_MAX: usize = 64;

/// A command whose arguments are gathered, and written when there are enough.
struct Pieces<'a> {
    out: &'a mut Vec<u8>,
    head: [&'a [u8]; 2],
    words: Vec<Vec<u8>>,
    elements: usize,
}

impl<'a> Pieces<'a> {
    fn new(out: &'a mut Vec<u8>, command: &'a [u8], key: &'a [u8]) -> Self {
        Self { out, head: [command, key], words: Vec::new(), elements: 0 }
    }

    /// Adds an element of some words.
    fn add(&mut self, words: &[&[u8]]) {
        self.words.extend(words.iter().map(|word| word.to_vec()));
        self.elements += 1;
        if self.elements == ELEMENTS_MAX {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.elements > 0 {
            let argv: Vec<&[u8]> =
                self.head.iter().copied().chain(self.words.iter().map(Vec::as_slice)).collect();
            encode(self.out, &argv);
        }
        self.words.clear();
        self.elements = 0;
    }
}

/// Adds the commands that make a key with this value; none for what has none, and goes by [`write_restore`].
pub fn write_value(key: &[u8], value: &ValueRef<'_>, out: &mut Vec<u8>) {
    let (mut one, mut two) = (IntBuf::new(), IntBuf::new());
    match value {
        ValueRef::Str(text) => encode(out, &[b"SET", key, &text.to_cow()]),
        ValueRef::List(list) => {
            let mut pieces = Pieces::new(out, b"RPUSH", key);
            list.iter().for_each(|element| pieces.add(&[&element.to_vec()]));
            pieces.end();
        }
        ValueRef::Set(set) => {
            let mut pieces = Pieces::new(out, b"SADD", key);
            set.iter().for_each(|member| pieces.add(&[member.text(&mut one)]));
            pieces.end();
        }
        ValueRef::Zset(zset) => {
            let mut pieces = Pieces::new(out, b"ZADD", key);
            for (member, score) in zset.iter() {
                pieces.add(&[format_double(score).as_bytes(), member.text(&mut one)]);
            }
            pieces.end();
        }
        ValueRef::Hash(hash) => {
            let mut pieces = Pieces::new(out, b"HMSET", key);
            for entry in hash.entries() {
                pieces.add(&[entry.field.text(&mut one), entry.value.text(&mut two)]);
            }
            pieces.end();
            for entry in hash.entries() {
                if let Some(at) = entry.expire_at {
                    let (at, field) = (at.to_string(), entry.field.text(&mut one));
                    let argv: [&[u8]; 6] =
                        [b"HPEXPIREAT", key, at.as_bytes(), b"FIELDS", b"1", field];
                    encode(out, &argv);
                }
            }
        }
        ValueRef::Stream(stream) => write_stream(key, stream, out),
        ValueRef::Module(_) | ValueRef::Unchecked(_) => {}
    }
}

/// Adds the command that makes a key of a value as RDB files of this version have it, of this kind.
pub fn write_restore(key: &[u8], kind: u8, bytes: &[u8], version: u32, out: &mut Vec<u8>) {
    let mut payload = [&[kind], bytes, &(version as u16).to_le_bytes()].concat();
    let checksum = crc64(0, &payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    encode(out, &[b"RESTORE", key, b"0", &payload]);
}

fn write_stream(key: &[u8], stream: &Stream, out: &mut Vec<u8>) {
    let log = &stream.log;
    let (mut one, mut two) = (IntBuf::new(), IntBuf::new());
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        let mut words = Vec::new();
        for (field, value) in entry.fields {
            words.push(field.text(&mut one).to_vec());
            words.push(value.text(&mut two).to_vec());
        }
        let id = entry.id.text();
        let head: [&[u8]; 3] = [b"XADD", key, id.as_bytes()];
        let argv: Vec<&[u8]> = head.into_iter().chain(words.iter().map(Vec::as_slice)).collect();
        encode(out, &argv);
    }
    if log.is_empty() {
        // An entry that goes at once leaves an empty stream.
        encode(out, &[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
    }
    let (last, deleted) = (log.last_id.text(), log.max_deleted_id.text());
    let added = log.entries_added.to_string();
    encode(
        out,
        &[
            b"XSETID",
            key,
            last.as_bytes(),
            b"ENTRIESADDED",
            added.as_bytes(),
            b"MAXDELETEDID",
            deleted.as_bytes(),
        ],
    );
    stream.groups.iter().for_each(|(name, group)| write_group(key, name, group, out));
}

fn write_group(key: &[u8], name: &[u8], group: &Group, out: &mut Vec<u8>) {
    let read = group.entries_read.unwrap_or(-1).to_string();
    let id = group.last_id.text();
    encode(out, &[b"XGROUP", b"CREATE", key, name, id.as_bytes(), b"ENTRIESREAD", read.as_bytes()]);
    for consumer in group.consumers() {
        if consumer.pending_len() == 0 {
            encode(out, &[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
        }
        for id in consumer.pending_from(StreamId::MIN) {
            let Some(pending) = group.pending(id) else { continue };
            let (time, count) = (pending.delivered_ms.to_string(), pending.count.to_string());
            let id = id.text();
            let argv: [&[u8]; 12] = [
                b"XCLAIM",
                key,
                name,
                consumer.name(),
                b"0",
                id.as_bytes(),
                b"TIME",
                time.as_bytes(),
                b"RETRYCOUNT",
                count.as_bytes(),
                b"JUSTID",
                b"FORCE",
            ];
            encode(out, &argv);
        }
    }
}
