//! Whom does the kernel end first when memory runs out? The process's `oom_score_adj`, as the configuration asks
//! for it.
//!
//! Invariant: what stood there before the first change is kept, is what relative values count from, and comes
//! back when the setting is switched off.

use parking_lot::Mutex;

use crate::config::Config;
use crate::config::params::Param;

const FILE: &str = "/proc/self/oom_score_adj";
/// The ends of the kernel's range.
const SCORE_MIN: i32 = -1000;
const SCORE_MAX: i32 = 1000;

/// The adjustment of this process.
#[derive(Debug, Default)]
pub struct OomScore {
    /// What stood there before it was changed, while it is.
    base: Mutex<Option<i32>>,
}

impl OomScore {
    /// Writes what the configuration asks for.
    pub fn follow(&self, config: &Config) -> std::io::Result<()> {
        let mut base = self.base.lock();
        let mode = config.choice_name(Param::OomScoreAdj);
        let [primary, replica, _] = config.oom_values();
        let own = if config.replica_of().is_some() { replica } else { primary };
        let score = match (mode.as_ref(), *base) {
            ("no", None) => return Ok(()),
            ("no", Some(before)) => {
                *base = None;
                before
            }
            (mode, before) => {
                let before = before.map_or_else(read, Ok)?;
                *base = Some(before);
                let relative = if mode == "absolute" { 0 } else { before };
                (own + relative).clamp(SCORE_MIN, SCORE_MAX)
            }
        };
        std::fs::write(FILE, format!("{score}\n"))
    }
}

fn read() -> std::io::Result<i32> {
    let text = std::fs::read_to_string(FILE)?;
    text.trim().parse().map_err(|_| std::io::Error::other("it is no number"))
}
