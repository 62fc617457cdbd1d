//! When, or how often, was a key accessed? The 24 bits that an entry keeps for eviction and OBJECT.
//!
//! Usually they are a clock in seconds, which begins anew every half year. Under an LFU policy they are
//! the minute of the last access, in 16 bits, and a counter in 8 that grows the more slowly the larger it
//! is and falls with the minutes that pass. A change of the policy leaves the old bits to be misread
//! until the next access, as in Redis.

use crate::config::Config;
use crate::config::params::Param;

/// Bits of the clock.
const CLOCK_MASK: u32 = 0x00ff_ffff;
/// The numbers of `volatile-lfu` and `allkeys-lfu` among the choices of `maxmemory-policy`.
const POLICIES_LFU: [u32; 2] = [1, 5];
/// The counter of a new key, so that it is not the first to go.
const COUNT_INITIAL: u32 = 5;
const COUNT_MAX: u32 = 255;

/// The clock's reading in seconds.
#[inline]
pub fn clock_seconds(now_us: i64) -> u32 {
    (now_us / 1_000_000) as u32 & CLOCK_MASK
}

/// Seconds since the access that left this reading.
pub fn idle_seconds(clock: u32, now_us: i64) -> u32 {
    clock_seconds(now_us).wrapping_sub(clock) & CLOCK_MASK
}

/// The reading that an access so many seconds ago left; those before the clock last began anew count as that.
pub fn access_at(idle_seconds: u64, now_us: i64) -> u32 {
    let idle = idle_seconds.min(u64::from(CLOCK_MASK)) as u32;
    clock_seconds(now_us).wrapping_sub(idle) & CLOCK_MASK
}

fn clock_minutes(now_us: i64) -> u32 {
    (now_us / 60_000_000) as u32 & 0xffff
}

/// How accesses are counted under an LFU policy.
#[derive(Clone, Copy, Debug)]
pub struct Lfu {
    /// `lfu-decay-time`: minutes in which the counter falls by one; 0 is never.
    decay_minutes: u32,
    /// `lfu-log-factor`: how slowly it grows.
    log_factor: f64,
}

impl Lfu {
    /// The counting that the configuration asks for, if the policy is an LFU one.
    #[inline]
    pub fn of(config: &Config) -> Option<Self> {
        if !POLICIES_LFU.contains(&config.choice(Param::MaxmemoryPolicy)) {
            return None;
        }
        Some(Self {
            decay_minutes: config.int(Param::LfuDecayTime) as u32,
            log_factor: config.int(Param::LfuLogFactor) as f64,
        })
    }

    /// The counter now.
    pub fn count(self, clock: u32, now_us: i64) -> u32 {
        let passed = clock_minutes(now_us).wrapping_sub(clock >> 8) & 0xffff;
        (clock & COUNT_MAX).saturating_sub(passed.checked_div(self.decay_minutes).unwrap_or(0))
    }

    /// The bits of a new key.
    pub fn begin(now_us: i64) -> u32 {
        clock_minutes(now_us) << 8 | COUNT_INITIAL
    }

    /// The bits of a key that was saved with this counter, or with none.
    pub fn with_count(count: Option<u8>, now_us: i64) -> u32 {
        clock_minutes(now_us) << 8 | count.map_or(COUNT_INITIAL, u32::from)
    }

    /// The bits after one more access. `random` is uniform over 64 bits.
    pub fn accessed(self, clock: u32, now_us: i64, random: u64) -> u32 {
        let count = self.count(clock, now_us);
        let above = f64::from(count.saturating_sub(COUNT_INITIAL));
        let chance = 1.0 / (above * self.log_factor + 1.0);
        let grows = count < COUNT_MAX && (random as f64) < chance * u64::MAX as f64;
        clock_minutes(now_us) << 8 | (count + u32::from(grows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::choices::{EVICTION, number_of};

    const MINUTE: i64 = 60_000_000;
    const LFU: Lfu = Lfu { decay_minutes: 1, log_factor: 10.0 };

    #[test]
    fn lfu_policies_are_known_by_number() {
        let number = |name: &str| number_of(&EVICTION, name.as_bytes());
        assert_eq!([number("volatile-lfu"), number("allkeys-lfu")], POLICIES_LFU.map(Some));
    }

    #[test]
    fn the_clock_survives_its_wrap() {
        assert_eq!(idle_seconds(CLOCK_MASK, (CLOCK_MASK as i64 + 3) * 1_000_000), 3);
        assert_eq!(idle_seconds(clock_seconds(5_000_000), 5_999_999), 0);
        let now = 3_000_000;
        assert_eq!(
            [0, 2, 100_000].map(|idle| idle_seconds(access_at(idle, now), now)),
            [0, 2, 100_000]
        );
        assert_eq!(idle_seconds(access_at(u64::MAX, now), now), CLOCK_MASK);
    }

    #[test]
    fn the_counter_falls_with_time() {
        let new = Lfu::begin(100 * MINUTE);
        assert_eq!(LFU.count(new, 100 * MINUTE), 5);
        assert_eq!(LFU.count(new, 103 * MINUTE), 2);
        assert_eq!(LFU.count(new, 200 * MINUTE), 0);
        assert_eq!(Lfu { decay_minutes: 0, ..LFU }.count(new, 200 * MINUTE), 5);
    }

    #[test]
    fn the_counter_grows_ever_more_slowly() {
        let now = 100 * MINUTE;
        assert_eq!(LFU.accessed(Lfu::begin(now), now, u64::MAX / 2) & 255, 6);
        let often = clock_minutes(now) << 8 | 100;
        assert_eq!(LFU.accessed(often, now, u64::MAX / 2) & 255, 100);
        assert_eq!(LFU.accessed(often, now, 0) & 255, 101);
        assert_eq!(LFU.accessed(clock_minutes(now) << 8 | 255, now, 0) & 255, 255);
    }
}
