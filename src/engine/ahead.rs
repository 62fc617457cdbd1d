//! How do the cache misses of a batch overlap? What its commands will read is asked for before the first
//! of them runs.
//!
//! A look-up in a keyspace larger than the caches waits for memory a few times, one after the other. The
//! commands of a batch have nothing to do with each other, so all buckets are asked for, then all entries,
//! then what leads to the members of large collections, step by step: each round waits about as long as one
//! command would.
//!
//! Nothing here changes anything, and nothing is promised: a command may name another key than it seems to.

use std::hint::black_box;

use super::call::{Access, Request};
use super::registry::Command;
use crate::base::hasher::position;
use crate::keyspace::db::Db;
use crate::keyspace::value::{TOUCH_STEPS, ValueRef};

/// Keys that are asked for.
const KEYS_MAX: usize = 64;
/// Members that are asked for.
const MEMBERS_MAX: usize = 32;

/// Asks for the memory of the keys that the requests name, and of members in there.
pub(super) fn fetch(access: &Access<'_>, db: u32, hold: &[Request<'_>]) {
    let keyspace = match access {
        Access::Session => return,
        Access::Shared(state) => &state.keyspace,
        Access::Exclusive(state) => &state.keyspace,
    };
    let db = keyspace.db(db as usize);
    let mut hashes = [0u64; KEYS_MAX];
    let mut count = 0;
    // Many batches name one key all the time.
    let mut last = None;
    for (_, key, _) in named(hold) {
        hashes[count] = match last {
            Some((same, hash)) if same == key => hash,
            _ => {
                let hash = Db::hash(key);
                db.prefetch_bucket(hash);
                hash
            }
        };
        last = Some((key, hashes[count]));
        count += 1;
    }
    for (at, hash) in hashes[..count].iter().enumerate() {
        if at == 0 || hashes[at - 1] != *hash {
            db.prefetch_entry(*hash);
        }
    }
    fetch_members(db, hold, &hashes);
}

/// The requests that seem to name a key, with it.
fn named<'a>(
    hold: &[Request<'a>],
) -> impl Iterator<Item = (&'static Command, &'a [u8], &'a [&'a [u8]])> {
    let named = hold.iter().filter_map(|request| {
        let command = request.command.filter(|command| command.likely_key > 0)?;
        Some((command, *request.argv.get(command.likely_key)?, request.argv))
    });
    named.take(KEYS_MAX)
}

/// Reads what leads to the members that the requests name, if they are in large collections.
#[inline]
fn fetch_members(db: &Db, hold: &[Request<'_>], hashes: &[u64; KEYS_MAX]) {
    let mut members: [Option<(ValueRef<'_>, u32)>; MEMBERS_MAX] = [None; MEMBERS_MAX];
    let mut count = 0;
    let mut sum = 0;
    let mut last: Option<(&[u8], Option<ValueRef<'_>>)> = None;
    for ((command, key, argv), hash) in named(hold).zip(hashes) {
        let Some(texts) = command.likely_members.of(argv) else { continue };
        let value = match last {
            Some((same, value)) if same == key => value,
            _ => db.find_hashed(*hash, key).map(|slot| db.value(slot)),
        };
        last = Some((key, value));
        // Where one is small, or no collection, the others will be so too: they are not worth looking.
        let Some(value) = value.filter(ValueRef::is_large) else { break };
        for (text, member) in texts.zip(&mut members[count..]) {
            let position = position(text);
            sum ^= value.touch(position, 0);
            *member = Some((value, position));
            count += 1;
        }
    }
    for step in 1..TOUCH_STEPS {
        for (value, position) in members[..count].iter().flatten() {
            sum ^= value.touch(*position, step);
        }
    }
    black_box(sum);
}
