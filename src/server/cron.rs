//! What happens by itself? Several times a second, on the main thread: keys whose time is over are
//! deleted (`expiry`), idle clients closed, rates and peaks sampled.
//!
//! Invariant: each visit to the engine holds its lock for well under a millisecond.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::appending::Appender;
use super::saving::announce_alone;
use crate::engine::call::filtered;
use crate::engine::client::Mode;
use crate::engine::events::Topics;
use crate::engine::hooks::ServerEvent;
use crate::engine::lock::Engine;

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
            super::expiry::visit(&engine, hz);
            super::syncing::tick(&engine);
            super::saving::visit(&engine);
            super::appending::visit(&engine, &appender);
            super::defrag::visit(&engine);
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
