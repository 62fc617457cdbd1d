//! What would an experienced administrator say? The reports of LATENCY DOCTOR and MEMORY DOCTOR.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::engine::slow::Series;

/// Explains the latency events in words.
pub fn latency(events: &BTreeMap<&'static str, Series>, now: i64) -> String {
    if events.is_empty() {
        return "No event was slow enough to be recorded. CONFIG SET latency-monitor-threshold \
                <milliseconds> says from which duration on events are.\n"
            .into();
    }
    let mut text = String::from("These kinds of events were slow:\n\n");
    for (i, (name, series)) in events.iter().enumerate() {
        let samples: Vec<_> = series.samples().collect();
        let count = samples.len() as u64;
        let mean = samples.iter().map(|s| s.millis).sum::<u64>() / count.max(1);
        let spread = samples.iter().map(|s| s.millis.abs_diff(mean)).sum::<u64>() / count.max(1);
        let period = samples.first().map_or(0, |first| now - first.at).max(1) as f64;
        let _ = writeln!(
            text,
            "{}. {name}: {count} samples, {mean} ms on average, {spread} ms mean deviation, one \
             every {:.1} seconds, {} ms at worst.",
            i + 1,
            period / count.max(1) as f64,
            series.millis_max
        );
    }
    text.push('\n');
    for (name, advice) in ADVICE {
        if events.contains_key(name) {
            let _ = writeln!(text, "- {advice}");
        }
    }
    text
}

const ADVICE: [(&str, &str); 3] = [
    ("command", "Look at SLOWLOG GET: commands over many elements keep all other writers waiting."),
    (
        "fast-command",
        "Commands of constant cost were slow: the machine itself may be busy, swapping or a guest of \
         a busy host.",
    ),
    ("expire-cycle", "Many keys end at the same time: spread their times to live."),
];

/// What MEMORY DOCTOR goes by, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct MemoryFigures {
    /// Allocated now.
    pub used: usize,
    /// Allocated at most so far.
    pub peak: usize,
    /// The process's resident memory.
    pub resident: usize,
}

/// Below this there is nothing to say.
const SMALL_BYTES: usize = 5 << 20;

/// Explains the use of memory in words.
pub fn memory(figures: MemoryFigures) -> String {
    let MemoryFigures { used, peak, resident } = figures;
    if used < SMALL_BYTES {
        return "There is too little data to say anything about its memory.".into();
    }
    let mut text = String::new();
    if peak as f64 > used as f64 * 1.5 {
        text.push_str(
            "- At its peak the data took more than 150% of what it takes now, so some of the \
             process's memory waits for reuse.\n",
        );
    }
    if resident as f64 > used as f64 * 1.4 {
        text.push_str(
            "- The process holds over 40% more memory than its data takes: much was freed in small \
             pieces. MEMORY PURGE gives back what lies in whole pages.\n",
        );
    }
    if text.is_empty() {
        return "No problem with memory was found.".into();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_judged_by_its_ratios() {
        let judge = |used: usize, peak: usize, resident: usize| {
            memory(MemoryFigures { used: used << 20, peak: peak << 20, resident: resident << 20 })
        };
        assert!(judge(1, 100, 100).starts_with("There is too little"));
        assert!(judge(100, 110, 120).starts_with("No problem"));
        assert!(judge(100, 200, 120).starts_with("- At its peak"));
        assert_eq!(judge(100, 200, 200).lines().count(), 2);
    }
}
