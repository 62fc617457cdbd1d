//! How do the cache misses of a batch overlap? What its commands will read is asked for before the first
//! of them runs.
//!
//! A look-up in a keyspace larger than the caches waits for memory a few times, one after the other. The
//! commands of a batch have nothing to do with each other, so all buckets are asked for, then all entries,
//! then what leads to the members of large collections and into values of modules, step by step: each round
//! waits about as long as one command would.
//!
//! Nothing here changes anything, and nothing is promised: a command may name another key than it seems to.

use std::hint::black_box;

use super::call::{Access, Request};
use super::registry::Command;
use crate::base::hasher::position;
use crate::keyspace::db::Db;
use crate::keyspace::table::Slot;
use crate::keyspace::table::segment::prefetch;
use crate::keyspace::value::{TOUCH_STEPS, ValueRef};
use crate::object::module::ModuleValue;

/// Keys that are asked for.
const KEYS_MAX: usize = 64;
/// Members that are asked for.
const MEMBERS_MAX: usize = 32;

/// Asks for the memory of the keys that the requests name, and of members in there. Of keys that it has looked up for that,
/// `seen` gets the places, by requests.
pub(super) fn fetch(
    access: &Access<'_>,
    db: u32,
    hold: &[Request<'_>],
    seen: &mut Vec<Option<Slot>>,
) {
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
    let mut any_foreign = false;
    for (_, command, key) in named(hold) {
        any_foreign |= command.is_foreign;
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
    if any_foreign {
        fetch_values(db, hold, &hashes, seen);
    }
}

/// The requests that seem to name a key, with it: their numbers and commands.
fn named<'a>(hold: &[Request<'a>]) -> impl Iterator<Item = (usize, &'static Command, &'a [u8])> {
    let named = hold.iter().enumerate().filter_map(|(at, request)| {
        let command = request.command.filter(|command| command.likely_key > 0)?;
        Some((at, command, *request.argv.get(command.likely_key)?))
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
    for ((at, command, key), hash) in named(hold).zip(hashes) {
        let Some(texts) = command.likely_members.of(hold[at].argv) else { continue };
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

/// Asks for the values of modules that commands of modules name, step by step: the box, what the module keeps
/// there, and what that leads to.
fn fetch_values(
    db: &Db,
    hold: &[Request<'_>],
    hashes: &[u64; KEYS_MAX],
    seen: &mut Vec<Option<Slot>>,
) {
    let mut values: [Option<&ModuleValue>; KEYS_MAX] = [None; KEYS_MAX];
    let (mut count, mut missing) = (0, 0);
    let mut last = None;
    for ((at, command, key), hash) in named(hold).zip(hashes) {
        if !command.is_foreign {
            continue;
        }
        let slot = match last {
            Some((same, slot)) if same == key => slot,
            _ => {
                // No key is past the beginning of time: whether this one is past its own is for its command to see.
                let found = db.read_hashed(*hash, key, i64::MIN);
                match found {
                    Some((_, ValueRef::Module(value))) => {
                        prefetch(std::ptr::from_ref(value).cast());
                        values[count] = Some(value);
                        count += 1;
                    }
                    // Where one is something else, or more are missing than not, the others will be so too.
                    Some(_) => break,
                    None if missing > count => break,
                    None => missing += 1,
                }
                found.map(|(slot, _)| slot)
            }
        };
        last = Some((key, slot));
        if slot.is_some() {
            if seen.is_empty() {
                seen.resize(hold.len(), None);
            }
            seen[at] = slot;
        }
    }
    values[..count].iter().flatten().for_each(|value| value.fetch());
    values[..count].iter().flatten().for_each(|value| value.fetch_inside());
}
