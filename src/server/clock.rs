//! What time is it? The only place that reads clocks for the engine.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::state::Clock;

/// The process's clocks.
pub const CLOCK: Clock = Clock { unix_us, mono_ns };

fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// From the processor's time stamp counter, a third of the cost of the system call.
fn mono_ns() -> u64 {
    static ORIGIN: OnceLock<(quanta::Clock, u64)> = OnceLock::new();
    let (clock, origin) = ORIGIN.get_or_init(|| {
        let clock = quanta::Clock::new();
        let origin = clock.raw();
        (clock, origin)
    });
    clock.delta_as_nanos(*origin, clock.raw()) + 1
}
