//! Which keys and fields are deleted because their time is over, though nobody asks for them? A walk through the key tables,
//! a slice of each several times a second, and more of one while that pays.
//!
//! The rule is that of Redis ("active expire cycle"): as long as a large part of what has an expiry turns out to be past
//! it, the visit goes on. The walk is in order instead of at random, so that each key is seen, and reckons with a smaller part, since
//! looking at an entry costs little here, some 10 ns.
//!
//! Invariant: each hold of the engine's lock is well under a millisecond.

use std::time::Duration;

use crate::config::params::Param;
use crate::engine::call::{self, Access};
use crate::engine::ctx::{Env, expire_fields, expire_key};
use crate::engine::effects::Unit;
use crate::engine::evict;
use crate::engine::lock::Engine;
use crate::engine::replication::role;
use crate::engine::state::State;

/// Segments of a key table that one slice of the walk looks at.
const SEGMENTS_PER_SLICE: usize = 4;
/// Dbs that one visit looks into, at most.
const DBS_PER_VISIT: usize = 16;
/// Hashes whose fields are looked at under one hold of the lock; each may lose many.
const HASHES_PER_SLICE: usize = 16;
/// Keys written on a replica that one visit looks at.
const OWN_KEYS_PER_VISIT: usize = 256;

/// How eager the walk is, by `active-expire-effort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Effort {
    /// Time that all visits of a second may take.
    budget: Duration,
    /// A visit goes on where more than one of so many keys is past its time.
    one_of: usize,
}

impl Effort {
    /// From 1, a quarter of the time and 2.5 % of the keys, to 10, 43 % of the time and 0.25 % of the keys.
    fn new(effort: i64) -> Self {
        let more = effort.clamp(1, 10) as u64 - 1;
        Self { budget: Duration::from_millis(250 + 20 * more), one_of: 400 / (10 - more as usize) }
    }
}

/// One of so many visits a second: deletes what is past its time, and makes room.
pub fn visit(engine: &Engine, visits_per_second: u32) {
    let clock = engine.shared.clock;
    let began_ns = (clock.mono_ns)();
    walk(engine, began_ns, visits_per_second);
    engine.shared.slow.event("expire-cycle", (clock.mono_ns)() - began_ns, (clock.unix_us)());
}

fn walk(engine: &Engine, began_ns: u64, visits_per_second: u32) {
    let shared = &engine.shared;
    let (mut dbs_done, mut budget_ns) = (0, u64::MAX);
    loop {
        // A script that keeps the lock has its time frozen; expiry waits for the next visit.
        let Some(mut state) = engine.try_write() else { return };
        let now_us = (shared.clock.unix_us)();
        let env = Env { shared, stats: &shared.workers[0], worker: 0, client: None, now_us };
        call::drain_expired(&mut state, shared, env);
        shared.tracking.shrink(shared);
        if shared.wants_eviction() {
            evict::make_room(&mut Access::Exclusive(&mut state), env);
        }
        shared.pause.forget_if_over(env.now_ms());
        if state.replication.is_replica() {
            expire_own(&mut state, env);
            return;
        }
        if !state.active_expire || shared.pause.is_active(env.now_ms()) {
            return;
        }
        let effort = Effort::new(state.config.int(Param::ActiveExpireEffort));
        budget_ns = budget_ns.min((effort.budget / visits_per_second).as_nanos() as u64);
        let slice_ns = (shared.clock.mono_ns)();
        let goes_on = slice(&mut state, env, effort);
        let now_ns = (shared.clock.mono_ns)();
        let walk = &mut state.expire_walk;
        walk.nanos += now_ns - slice_ns;
        if !goes_on {
            walk.next_db();
            dbs_done += 1;
        }
        if dbs_done >= walk.positions.len().min(DBS_PER_VISIT) {
            return;
        }
        if now_ns - began_ns >= budget_ns {
            walk.budgets_used += 1;
            return;
        }
    }
}

/// Deletes what is past its time in the next segments of the db that the walk is in. Whether to look at more of it.
fn slice(state: &mut State, env: Env<'_>, effort: Effort) -> bool {
    let (db, mut position) = state.expire_walk.at();
    let mut found = Vec::new();
    let walked = state.keyspace.db(db as usize).collect_expired(
        &mut position,
        env.now_ms(),
        SEGMENTS_PER_SLICE,
        &mut found,
    );
    // Each goes for itself, with what modules do because of it.
    let mut unit = Unit::default();
    for key in &found {
        expire_key(state, &mut unit, env, db, key);
        call::end_unit(&mut Access::Exclusive(state), &mut unit, env);
    }
    unit.scattered = true;
    let hashes = state.keyspace.db_mut(db as usize).take_ending(env.now_ms(), HASHES_PER_SLICE);
    for key in &hashes {
        expire_fields(state, &mut unit, env, db, key);
        state.keyspace.db_mut(db as usize).relist(key);
    }
    call::end_unit(&mut Access::Exclusive(state), &mut unit, env);
    state.expire_walk.note(position, walked.volatile, found.len());
    let pays = found.len() * effort.one_of > walked.volatile;
    hashes.len() == HASHES_PER_SLICE || (pays && !walked.wrapped)
}

/// On a replica only what its own clients have written goes by itself.
fn expire_own(state: &mut State, env: Env<'_>) {
    if state.active_expire && !env.shared.pause.is_active(env.now_ms()) {
        let mut unit = Unit { scattered: true, ..Unit::default() };
        role::expire_own(state, &mut unit, env, OWN_KEYS_PER_VISIT);
        call::end_unit(&mut Access::Exclusive(state), &mut unit, env);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_grows_with_the_parameter() {
        let budget = Duration::from_millis;
        assert_eq!(Effort::new(1), Effort { budget: budget(250), one_of: 40 });
        assert_eq!(Effort::new(6), Effort { budget: budget(350), one_of: 80 });
        assert_eq!(Effort::new(10), Effort { budget: budget(430), one_of: 400 });
    }
}
