//! What happens by itself? Several times a second, on the main thread: keys whose time is over are
//! deleted, idle clients closed, rates and peaks sampled.
//!
//! Invariant: each visit to the engine holds its lock for well under a millisecond.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::appending::Appender;
use super::saving::announce_alone;
use crate::engine::call::{self, Access, filtered};
use crate::engine::client::Mode;
use crate::engine::ctx::{Env, expire_fields, expire_key};
use crate::engine::effects::Unit;
use crate::engine::events::Topics;
use crate::engine::evict;
use crate::engine::hooks::ServerEvent;
use crate::engine::lock::Engine;
use crate::engine::replication::role;
use crate::engine::state::State;

/// Segments of a key table that one slice of the expiry walk looks at.
const SEGMENTS_PER_SLICE: usize = 4;
/// Hashes whose fields are looked at under one hold of the lock; each may lose many.
const HASHES_PER_SLICE: usize = 16;
/// Keys written on a replica that one visit looks at.
const OWN_KEYS_PER_VISIT: usize = 256;
/// Time that the expiry walk may take of each second, over all visits.
const EXPIRE_BUDGET: Duration = Duration::from_millis(250);

/// Visits the engine for ever.
pub async fn run(engine: Arc<Engine>, appender: Arc<Appender>) {
    let (mut next, mut visits, mut seconds) = (Instant::now(), 0, 0);
    let mut last = [0; 5];
    loop {
        let hz = hz(&engine);
        next = Instant::now().max(next + Duration::from_secs(1) / hz);
        sleep_until(next).await;
        if engine.shared.debug.cron_paused.load(Ordering::Relaxed) {
            continue;
        }
        visits += 1;
        let began_ns = (engine.shared.clock.mono_ns)();
        sample_memory(&engine);
        engine.shared.client_memory.enforce(&engine.shared);
        // While the data set is loaded its keys are left alone.
        if !engine.shared.loading.is_on() {
            let expiry_ns = (engine.shared.clock.mono_ns)();
            expire(&engine, EXPIRE_BUDGET / hz);
            note_expiry(&engine, expiry_ns);
            super::syncing::tick(&engine);
            super::saving::visit(&engine);
            super::appending::visit(&engine, &appender);
        }
        if visits >= hz {
            (visits, seconds) = (0, seconds + 1);
            close_idle(&engine);
            super::syncing::tick_each_second(&engine, seconds);
            engine.shared.host.each_second();
            cut_off_deaf(&engine);
            engine.shared.client_memory.count_all(&engine.shared);
            last = sample_rates(&engine, last);
        }
        if engine.shared.attached.has_turns() {
            filtered::end_turn(&engine);
        }
        if engine.shared.heard.hears(Topics::CRON) {
            // A script that keeps the engine has the cron wait elsewhere, too.
            if let Ok(mut state) = engine.write() {
                announce_alone(&mut state, &engine.shared, ServerEvent::Cron(hz as i32));
            }
        }
        let rates = &engine.shared.rates;
        let spent_ns = (engine.shared.clock.mono_ns)() - began_ns;
        rates.cron_visits.fetch_add(1, Ordering::Relaxed);
        rates.cron_micros.fetch_add(spent_ns.div_ceil(1000), Ordering::Relaxed);
    }
}

/// Visits per second: `hz`.
fn hz(engine: &Engine) -> u32 {
    u32::try_from(engine.shared.limits.cron_hz.load(Ordering::Relaxed)).unwrap_or(1).max(1)
}

fn sample_memory(engine: &Engine) {
    let used = (engine.shared.used_memory)();
    engine.shared.peak_memory.fetch_max(used, Ordering::Relaxed);
}

/// Takes the sums once a second and notes how much they have grown.
fn sample_rates(engine: &Engine, last: [u64; 5]) -> [u64; 5] {
    let shared = &engine.shared;
    let now = [
        shared.sum(|w| w.commands.get()),
        shared.sum(|w| w.net_input.get()),
        shared.sum(|w| w.net_output.get()),
        shared.cycles(),
        shared.cycle_micros(),
    ];
    let rates = &shared.rates;
    let grown = |i: usize| now[i].saturating_sub(last[i]);
    rates.ops.store(grown(0), Ordering::Relaxed);
    rates.input.store(grown(1), Ordering::Relaxed);
    rates.output.store(grown(2), Ordering::Relaxed);
    rates.cycles.store(grown(3), Ordering::Relaxed);
    rates.cycle_micros.store(grown(4).checked_div(grown(3)).unwrap_or(0), Ordering::Relaxed);
    now
}

/// `timeout`: closes clients that have been silent for too long.
fn close_idle(engine: &Engine) {
    let shared = &engine.shared;
    let seconds = shared.limits.idle_seconds.load(Ordering::Relaxed);
    if seconds == 0 {
        return;
    }
    let oldest = shared.now_ms() - i64::try_from(seconds * 1000).unwrap_or(i64::MAX);
    for client in shared.clients.lock().iter() {
        if client.active_ms.load(Ordering::Relaxed) >= oldest {
            continue;
        }
        // Who waits is not idle, and whose session is in use neither.
        if client.following.follows.load(Ordering::Relaxed) {
            continue;
        }
        let waits = client.session.try_lock().is_none_or(|s| s.mode.contains(Mode::BLOCKED));
        if !waits {
            tracing::debug!("Closing idle client");
            client.kill();
        }
    }
}

/// Closes clients that have left more unread than the soft limit for too long, though nothing was sent meanwhile.
fn cut_off_deaf(engine: &Engine) {
    for client in engine.shared.clients.lock().iter() {
        let outside = client.output_bytes.load(Ordering::Relaxed);
        let follows = client.following.follows.load(Ordering::Relaxed);
        if (outside != 0 || client.has_messages() || follows)
            && client.is_over_limit(&engine.shared, outside)
        {
            client.cut_off();
        }
    }
}

/// Notes how long a visit of the expiry took.
fn note_expiry(engine: &Engine, began_ns: u64) {
    let clock = engine.shared.clock;
    engine.shared.slow.event("expire-cycle", (clock.mono_ns)() - began_ns, (clock.unix_us)());
}

/// On a replica only what its own clients have written goes by itself.
fn expire_own(state: &mut State, env: Env<'_>) {
    if state.active_expire && !env.shared.pause.is_active(env.now_ms()) {
        let mut unit = Unit { scattered: true, ..Unit::default() };
        role::expire_own(state, &mut unit, env, OWN_KEYS_PER_VISIT);
        call::end_unit(&mut Access::Exclusive(state), &mut unit, env);
    }
}

/// Walks on through the key tables and deletes what is past its time, slice by slice.
fn expire(engine: &Engine, budget: Duration) {
    let shared = &engine.shared;
    let began = (shared.clock.mono_ns)();
    let budget = budget.as_nanos() as u64;
    let mut walked_dbs = 0;
    while (shared.clock.mono_ns)() - began < budget {
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
        let (db, mut position) = state.expire_walk;
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
            expire_key(&mut state, &mut unit, env, db, key);
            call::end_unit(&mut Access::Exclusive(&mut state), &mut unit, env);
        }
        unit.scattered = true;
        let hashes = state.keyspace.db_mut(db as usize).take_ending(env.now_ms(), HASHES_PER_SLICE);
        for key in &hashes {
            expire_fields(&mut state, &mut unit, env, db, key);
            state.keyspace.db_mut(db as usize).relist(key);
        }
        call::end_unit(&mut Access::Exclusive(&mut state), &mut unit, env);
        let dbs = state.keyspace.db_count() as u32;
        state.expire_walk = if walked.wrapped && hashes.len() < HASHES_PER_SLICE {
            walked_dbs += 1;
            ((db + 1) % dbs, 0)
        } else {
            (db, position)
        };
        if walked_dbs >= dbs {
            return;
        }
    }
}
