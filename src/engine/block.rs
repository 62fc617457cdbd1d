//! Who waits for which keys? Blocked commands, in the order of their arrival at each key.
//!
//! A command that finds nothing to take says so with [`wait_for`]; it is kept with its arguments under
//! the lock that it ran under. What brings a key into being, or changes one in a way that somebody may
//! wait for, marks it ready in its unit. At the unit's end, when its effects are complete, the waiters of
//! ready keys run their commands again, oldest first, each as a unit of its own, whose effects may make
//! further keys ready; a command that still finds nothing keeps its place.
//!
//! Invariants: a waiter is in the table from the hold of the lock that blocked it until it is served, its
//! time is over, it is unblocked or its client leaves; whoever takes it out of the table answers it, and
//! serving happens under the exclusive lock only, so a timeout that holds the shared lock cannot cross
//! it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::call::{Access, end_unit, perform};
use super::client::{Client, Mode};
use super::ctx::Env;
use super::effects::{Block, Unit};
use super::registry::Command;
use super::spec::Argv;
use super::state::Shared;
use crate::keyspace::value::ValueKind;

/// Rounds of serving at the end of one unit, after which the rest waits for the next write: chains of
/// BLMOVE could go on for ever.
const ROUNDS_MAX: usize = 10_000;

/// The keys that a command waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The keys, in the order of the command.
    pub keys: Vec<Box<[u8]>>,
    /// The type that they must have to be of use.
    pub kind: ValueKind,
    /// The command also runs again when a key goes (XREADGROUP).
    pub on_deletion: bool,
}

/// A blocked command.
#[derive(Clone, Debug)]
struct Waiter {
    client: Arc<Client>,
    command: &'static Command,
    argv: Arc<[Box<[u8]>]>,
    db: u32,
    wanted: Arc<Wanted>,
}

/// The blocked commands, by client and by key.
#[derive(Debug, Default)]
pub struct WaitTable {
    /// Arrival numbers by client.
    by_client: HashMap<u64, u64>,
    /// By arrival.
    waiters: BTreeMap<u64, Waiter>,
    /// Arrival numbers of those who wait for a key, in order.
    by_key: HashMap<(u32, Box<[u8]>), VecDeque<u64>>,
    arrivals: u64,
}

impl WaitTable {
    /// How many commands wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// How many keys are waited for, and by commands that a deletion ends.
    pub fn keys(&self) -> (usize, usize) {
        let on_deletion = |queue: &&VecDeque<u64>| {
            queue.iter().any(|one| self.waiters.get(one).is_some_and(|w| w.wanted.on_deletion))
        };
        (self.by_key.len(), self.by_key.values().filter(on_deletion).count())
    }

    fn add(&mut self, waiter: Waiter) {
        self.arrivals += 1;
        self.by_client.insert(waiter.client.id, self.arrivals);
        for key in &waiter.wanted.keys {
            let queue = self.by_key.entry((waiter.db, key.clone())).or_default();
            // A key that the command names twice is waited for once.
            if queue.back() != Some(&self.arrivals) {
                queue.push_back(self.arrivals);
            }
        }
        self.waiters.insert(self.arrivals, waiter);
    }

    /// Takes a client's command out; false if it does not wait (any more).
    pub fn remove(&mut self, client: u64) -> bool {
        let Some(arrival) = self.by_client.remove(&client) else { return false };
        let Some(waiter) = self.waiters.remove(&arrival) else { return false };
        for key in &waiter.wanted.keys {
            let place = (waiter.db, key.clone());
            if let Some(queue) = self.by_key.get_mut(&place) {
                queue.retain(|one| *one != arrival);
                if queue.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
        true
    }

    /// The next waiter of a key behind `after`.
    fn next(&self, db: u32, key: &[u8], after: u64) -> Option<(u64, Waiter)> {
        let queue = self.by_key.get(&(db, key.into()))?;
        let arrival = *queue.iter().find(|arrival| **arrival > after)?;
        Some((arrival, self.waiters.get(&arrival)?.clone()))
    }

    /// The keys of a db that are waited for.
    fn keys_of(&self, db: u32) -> impl Iterator<Item = &[u8]> {
        self.by_key.keys().filter(move |(other, _)| *other == db).map(|(_, key)| &**key)
    }
}

/// Has the running command wait for keys, or answer as at its deadline where nobody may wait (in EXEC,
/// scripts and module calls); then nothing is written and the caller replies itself: true means that
/// the command waits.
pub fn wait_for(
    unit: &mut Unit,
    env: Env<'_>,
    wanted: Wanted,
    deadline_ms: Option<i64>,
    on_timeout: &[u8],
) -> bool {
    if unit.deny_blocking || env.client.is_none() {
        return false;
    }
    let on_timeout = on_timeout.to_vec();
    unit.block = Some(Block::Keys { wanted, deadline_ms, on_timeout });
    true
}

/// Puts a command that waits into the table. To be called before the lock that it ran under is released.
pub fn enter(
    shared: &Shared,
    client: &Arc<Client>,
    command: &'static Command,
    argv: Argv<'_>,
    db: u32,
    wanted: &Wanted,
) {
    let argv = argv.iter().map(|arg| Box::from(*arg)).collect();
    let (client, wanted) = (Arc::clone(client), Arc::new(wanted.clone()));
    let mut table = shared.waiters.lock();
    table.add(Waiter { client, command, argv, db, wanted });
    shared.waiting.store(table.len(), Ordering::Relaxed);
}

/// Takes a client's command out of the table; false if it does not wait for keys (any more). Whoever gets
/// true answers the client. The caller holds the engine lock in some mode, so that the command is not
/// being served.
pub fn leave(shared: &Shared, client: u64) -> bool {
    let mut table = shared.waiters.lock();
    let found = table.remove(client);
    shared.waiting.store(table.len(), Ordering::Relaxed);
    found
}

/// Marks a key as ready, if anybody waits for any.
#[inline]
pub fn signal(shared: &Shared, unit: &mut Unit, db: u32, key: &[u8]) {
    if shared.waiting.load(Ordering::Relaxed) != 0 {
        unit.ready.push((db, key.into()));
    }
}

/// Marks all keys of a db that are waited for: its contents were exchanged.
pub fn signal_db(shared: &Shared, unit: &mut Unit, db: u32) {
    if shared.waiting.load(Ordering::Relaxed) != 0 {
        let table = shared.waiters.lock();
        unit.ready.extend(table.keys_of(db).map(|key| (db, Box::from(key))));
    }
}

/// Serves the waiters of the keys that a unit made ready, and of those that this makes ready.
#[cold]
pub fn serve(access: &mut Access<'_>, unit: &mut Unit, env: Env<'_>) {
    let mut ready: VecDeque<(u32, Box<[u8]>)> = std::mem::take(&mut unit.ready).into();
    for _ in 0..ROUNDS_MAX {
        let Some((db, key)) = ready.pop_front() else { return };
        ready.retain(|other| (other.0, &other.1) != (db, &key));
        let mut after = 0;
        while let Some((arrival, waiter)) = env.shared.waiters.lock().next(db, &key, after) {
            after = arrival;
            if concerns(access, &waiter, db, &key, env) {
                ready.extend(serve_one(access, &waiter, env));
            }
        }
    }
}

/// Whether what became of the key is what the waiter waits for.
fn concerns(access: &Access<'_>, waiter: &Waiter, db: u32, key: &[u8], env: Env<'_>) -> bool {
    let Access::Exclusive(state) = access else { return false };
    let db = state.keyspace.db(db as usize);
    match db.read(key, env.now_ms()) {
        Some((_, value)) => value.kind() == waiter.wanted.kind || waiter.wanted.on_deletion,
        None => waiter.wanted.on_deletion,
    }
}

/// Runs a blocked command again; the keys that this made ready.
fn serve_one(access: &mut Access<'_>, waiter: &Waiter, env: Env<'_>) -> Vec<(u32, Box<[u8]>)> {
    let argv: Vec<&[u8]> = waiter.argv.iter().map(|arg| &**arg).collect();
    let mut session = waiter.client.session.lock();
    let mut unit = Unit { again: true, ..Unit::default() };
    // What the command changes may be in the client's own cache.
    waiter.client.begin_answer();
    let mut out = Vec::new();
    let env = Env { client: Some(&waiter.client), ..env };
    perform(access, &mut session, &mut unit, env, waiter.command, &argv, &mut out);
    let served = unit.block.take().is_none();
    if served {
        session.mode.remove(Mode::BLOCKED);
        session.blocked_reply = None;
    }
    drop(session);
    if served {
        leave(env.shared, waiter.client.id);
        waiter.client.unblock(&out);
    } else {
        waiter.client.still_waits(env.shared);
    }
    let ready = std::mem::take(&mut unit.ready);
    end_unit(access, &mut unit, env);
    ready
}

#[cfg(test)]
mod tests {
    use super::*;

    // What the table promises is tested through commands, in `commands` and in tests/data; here only
    // what no command shows.
    #[test]
    fn an_empty_table_has_nobody() {
        let mut table = WaitTable::default();
        assert!(!table.remove(1));
        assert!(table.next(0, b"k", 0).is_none());
        assert_eq!((table.len(), table.keys()), (0, (0, 0)));
    }
}
