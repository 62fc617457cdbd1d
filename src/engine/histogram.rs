//! How long did the calls of one command take? A histogram of durations, a few per cent exact.
//!
//! Durations below `EXACT` nanoseconds have a counter each; above, every doubling is cut into
//! `PARTS` equal parts (the scheme of HdrHistogram, with fewer digits). Invariant: like all of a
//! worker's figures it has one writer, so counting is a plain load and store.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Parts of each doubling, as a power of two: 32 parts, so a value is off by 3% at most.
const PART_BITS: u32 = 5;
const PARTS: usize = 1 << PART_BITS;
/// Durations from here on share a counter with others.
const EXACT: u64 = 2 << PART_BITS;
/// Longer calls count as this long: about a second, as in Redis.
const NANOS_MAX: u64 = 1_000_000_000;
const COUNTERS: usize = index_of(NANOS_MAX) + 1;

const fn index_of(nanos: u64) -> usize {
    if nanos < EXACT {
        return nanos as usize;
    }
    let doubling = 63 - nanos.leading_zeros() - PART_BITS;
    (doubling as usize) * PARTS + (nanos >> doubling) as usize
}

/// The longest duration that this counter counts.
fn highest_of(index: usize) -> u64 {
    if index < EXACT as usize {
        return index as u64;
    }
    let doubling = index / PARTS - 1;
    let part = (index - doubling * PARTS) as u64;
    ((part + 1) << doubling) - 1
}

/// One worker's histogram of one command. It takes memory with its first duration.
#[derive(Debug, Default)]
pub struct Histogram(OnceLock<Box<[AtomicU32]>>);

impl Histogram {
    /// Counts a duration; only the owner may call it.
    #[inline]
    pub fn record(&self, nanos: u64) {
        let counters = self.0.get_or_init(|| (0..COUNTERS).map(|_| AtomicU32::new(0)).collect());
        let counter = &counters[index_of(nanos.min(NANOS_MAX))];
        counter.store(counter.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// Back to nothing; a duration that comes at the same moment may be lost or kept.
    pub fn reset(&self) {
        for counter in self.0.get().into_iter().flat_map(|counters| counters.iter()) {
            counter.store(0, Relaxed);
        }
    }
}

/// The histograms of all workers, added up.
#[derive(Debug)]
pub struct Durations {
    counts: Vec<u64>,
    total: u64,
}

impl Durations {
    /// Adds histograms up; None if they have counted nothing.
    pub fn of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Option<Self> {
        let mut counts = vec![0; COUNTERS];
        for counters in histograms.filter_map(|histogram| histogram.0.get()) {
            for (sum, counter) in counts.iter_mut().zip(counters.iter()) {
                *sum += u64::from(counter.load(Relaxed));
            }
        }
        let total = counts.iter().sum();
        (total > 0).then_some(Self { counts, total })
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration that so many per cent of all do not exceed, in nanoseconds.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (percent / 100.0 * self.total as f64 + 0.5) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted.max(1) {
                return highest_of(index);
            }
        }
        NANOS_MAX
    }

    /// How many durations do not exceed this one.
    pub fn up_to(&self, nanos: u64) -> u64 {
        self.counts[..=index_of(nanos.min(NANOS_MAX))].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(values: &[u64]) -> Durations {
        let histogram = Histogram::default();
        values.iter().for_each(|nanos| histogram.record(*nanos));
        Durations::of([&histogram].into_iter()).expect("something was recorded")
    }

    #[test]
    fn nothing_recorded_is_no_durations() {
        let histogram = Histogram::default();
        assert!(Durations::of([&histogram].into_iter()).is_none());
        histogram.record(7);
        histogram.reset();
        assert!(Durations::of([&histogram].into_iter()).is_none());
    }

    #[test]
    fn percentiles_are_durations_that_so_many_do_not_exceed() {
        let values: Vec<u64> = (1..=1000).map(|i| i * 1000).collect();
        let found = durations(&values);
        for (percent, exact) in [(0.0, 1000.0), (50.0, 500_000.0), (99.9, 999_000.0)] {
            let value = found.percentile(percent) as f64;
            assert!((value / exact - 1.0).abs() < 0.04, "{percent}: {value}");
        }
        assert_eq!(durations(&[u64::MAX]).percentile(100.0), highest_of(COUNTERS - 1));
    }

    proptest::proptest! {
        #[test]
        fn every_duration_lies_within_three_per_cent_of_its_counter(nanos in 0..=NANOS_MAX) {
            let highest = highest_of(index_of(nanos));
            proptest::prop_assert!(highest >= nanos);
            proptest::prop_assert!((highest - nanos) as f64 <= nanos as f64 * 0.032);
            proptest::prop_assert!(index_of(highest + 1) == index_of(nanos) + 1);
        }

        #[test]
        fn sums_agree_with_counting(values in proptest::collection::vec(0..2_000_000u64, 1..50)) {
            let found = durations(&values);
            proptest::prop_assert_eq!(found.total(), values.len() as u64);
            let bound = highest_of(index_of(1 << 20));
            let want = values.iter().filter(|value| **value <= bound).count();
            proptest::prop_assert_eq!(found.up_to(1 << 20), want as u64);
        }
    }
}
