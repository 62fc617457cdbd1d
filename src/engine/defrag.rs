//! How far has defragmentation come, and what is next? The walk of one round through all keys, and its figures.
//!
//! A round goes through the tables of all dbs bucket by bucket, and moves what the allocator would rather have elsewhere
//! (`base/moving.rs`). Keys with large values, or values of modules, wait in a list until the rest of their bucket has moved, and are moved piece
//! by piece; then come the texts of scripts, and modules move what belongs to no key. Between two steps anything may change: places are positions in hash
//! space, and keys are found again. When and how much of it is done, `server/defrag.rs` decides.
//!
//! Invariant: what steps do is seen by nobody: no reply, no event, no file.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::hooks::DefragPart;
use super::state::{Shared, State};
use crate::base::moving::{Cursor, Mover};
use crate::config::Config;
use crate::config::params::Param;
use crate::keyspace::db::moving::Keys;
use crate::object::module::KeyName;

/// Where a round stands.
#[derive(Debug, Default)]
pub struct Defrag {
    db: u32,
    /// In the hash space of its table.
    position: u64,
    /// Keys of the bucket before it that are to be moved piece by piece.
    later: Vec<Box<[u8]>>,
    /// Their db.
    later_db: u32,
    /// Where in the value of the last one of them.
    at: Cursor,
    /// Something of that value has moved.
    has_moved: bool,
    /// Modules know that a round runs.
    is_told: bool,
    /// Scripts whose texts are still to be moved, once the keys are done.
    scripts: Option<Vec<[u8; 40]>>,
}

/// Whether a round is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more.
    More,
    /// All was looked at.
    Done,
}

/// When defragmentation runs, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `active-defrag-ignore-bytes`.
    pub ignore_bytes: u64,
    /// `active-defrag-threshold-lower`, in percent.
    pub lower: u64,
    /// `active-defrag-threshold-upper`, in percent.
    pub upper: u64,
    /// `active-defrag-cycle-min`, in percent.
    pub cycle_min: u64,
    /// `active-defrag-cycle-max`, in percent.
    pub cycle_max: u64,
    /// `active-defrag-max-scan-fields`.
    pub elements_max: usize,
}

impl Settings {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            ignore_bytes: config.uint(Param::ActiveDefragIgnoreBytes),
            lower: config.uint(Param::ActiveDefragThresholdLower),
            upper: config.uint(Param::ActiveDefragThresholdUpper),
            cycle_min: config.uint(Param::ActiveDefragCycleMin),
            cycle_max: config.uint(Param::ActiveDefragCycleMax),
            elements_max: config.size(Param::ActiveDefragMaxScanFields),
        }
    }

    /// Whether so many wasted bytes of so many allocated ones are enough to begin a round.
    pub fn begins(&self, wasted: u64, allocated: u64) -> bool {
        wasted >= self.ignore_bytes && percent(wasted, allocated) >= self.lower as f64
    }

    /// The effort for that, in percent of the time: between the least and the most as the waste is between
    /// the thresholds.
    pub fn effort(&self, wasted: u64, allocated: u64) -> u64 {
        let (from, to) = (self.lower as f64, (self.upper as f64).max(self.lower as f64 + 1.0));
        let share = (percent(wasted, allocated) - from) / (to - from);
        let (least, most) = (self.cycle_min.min(self.cycle_max), self.cycle_max);
        let effort = least as f64 + share * (most - least) as f64;
        (effort as u64).clamp(least, most)
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// What INFO says; written by the thread that moves.
#[derive(Debug, Default)]
pub struct DefragFigures {
    /// `activedefrag`.
    pub wanted: AtomicBool,
    /// There is a thread that moves.
    pub has_thread: AtomicBool,
    /// The effort of the round that runs, in percent; 0 if none does.
    pub running: AtomicU64,
    /// Blocks that were moved.
    pub hits: AtomicU64,
    /// Blocks that were left.
    pub misses: AtomicU64,
    /// Keys of which something was moved.
    pub key_hits: AtomicU64,
    /// Keys of which nothing was.
    pub key_misses: AtomicU64,
    /// Nanoseconds of the rounds before.
    pub total_ns: AtomicU64,
    /// When the round that runs began, by the monotonic clock; 0 if none does.
    pub began_ns: AtomicU64,
}

impl DefragFigures {
    /// Milliseconds of all rounds, and of the one that runs.
    pub fn millis(&self, now_ns: u64) -> (u64, u64) {
        let current = match self.began_ns.load(Relaxed) {
            0 => 0,
            began => now_ns.saturating_sub(began),
        };
        ((self.total_ns.load(Relaxed) + current) / 1_000_000, current / 1_000_000)
    }

    /// A round begins.
    pub fn begin(&self, effort: u64, now_ns: u64) {
        self.running.store(effort, Relaxed);
        self.began_ns.store(now_ns.max(1), Relaxed);
    }

    /// It is over.
    pub fn end(&self, now_ns: u64) {
        self.running.store(0, Relaxed);
        let began = self.began_ns.swap(0, Relaxed);
        self.total_ns.fetch_add(now_ns.saturating_sub(began), Relaxed);
    }

    /// Begins to count anew (`CONFIG RESETSTAT`).
    pub fn reset(&self) {
        for figure in [&self.hits, &self.misses, &self.key_hits, &self.key_misses, &self.total_ns] {
            figure.store(0, Relaxed);
        }
    }

    fn note_keys(&self, keys: Keys) {
        self.key_hits.fetch_add(keys.moved, Relaxed);
        self.key_misses.fetch_add(keys.stayed, Relaxed);
    }
}

/// Moves on until time is up or the round is over.
pub fn step(
    state: &mut State,
    shared: &Shared,
    elements_max: usize,
    mover: &mut Mover<'_>,
) -> Step {
    let figures = &shared.defrag;
    let before = (mover.moved, mover.stayed);
    let mut keys = Keys::default();
    let result = loop {
        if state.defrag.later.is_empty() {
            if !next_bucket(state, elements_max, &mut keys, mover) {
                break Step::Done;
            }
        } else {
            next_piece(state, elements_max, &mut keys, mover);
        }
        if !mover.goes_on() {
            break Step::More;
        }
    };
    figures.note_keys(keys);
    figures.hits.fetch_add(mover.moved - before.0, Relaxed);
    figures.misses.fetch_add(mover.stayed - before.1, Relaxed);
    result
}

/// Gives the round up, or ends it.
pub fn forget(state: &mut State) {
    let defrag = std::mem::take(&mut state.defrag);
    if defrag.is_told
        && let Some(hooks) = state.hooks.clone()
    {
        let mut nobody = Nothing;
        hooks.move_globals(DefragPart::End, &mut Mover::new(&mut nobody));
    }
}

/// Wants nothing moved.
#[derive(Debug)]
struct Nothing;

impl crate::base::moving::Judge for Nothing {
    fn should_move(&mut self, _: *const u8, _: usize) -> bool {
        false
    }

    fn goes_on(&mut self) -> bool {
        false
    }
}

/// Moves a bucket, or what modules have beside their keys behind the last one; false at the end.
fn next_bucket(
    state: &mut State,
    elements_max: usize,
    keys: &mut Keys,
    mover: &mut Mover<'_>,
) -> bool {
    let State { keyspace, defrag, hooks, scripts, .. } = state;
    if !defrag.is_told {
        defrag.is_told = true;
        if let Some(hooks) = hooks.clone() {
            hooks.move_globals(DefragPart::Begin, mover);
        }
        return true;
    }
    if defrag.db as usize >= keyspace.db_count() {
        let left = defrag.scripts.get_or_insert_with(|| scripts.sha1s());
        if let Some(sha1) = left.pop() {
            scripts.move_blocks(&sha1, mover);
            return true;
        }
        return hooks.clone().is_some_and(|hooks| hooks.move_globals(DefragPart::Globals, mover));
    }
    defrag.later_db = defrag.db;
    let db = keyspace.db_mut(defrag.db as usize);
    let Defrag { position, later, .. } = defrag;
    *position = db.move_bucket(*position, elements_max, later, keys, mover);
    defrag.db += u32::from(*position == 0);
    true
}

/// Moves the next piece of the value of the last key that waits.
fn next_piece(state: &mut State, elements_max: usize, keys: &mut Keys, mover: &mut Mover<'_>) {
    let (db, from) = (state.defrag.later_db, state.defrag.at);
    let Some(key) = state.defrag.later.pop() else { return };
    let before = mover.moved;
    let mut next = state.keyspace.db_mut(db as usize).move_value(&key, from, mover);
    if let Some((vtable, value)) = state.keyspace.db(db as usize).module_value(&key) {
        let name = KeyName { name: Some(&key), db: db as i32 };
        // Zero stands for a value that always takes long.
        let effort = vtable.free_effort(name, value);
        let in_pieces = !from.is_start() || effort == 0 || effort > elements_max;
        let (now, goes_on_at) =
            vtable.move_blocks(name, value, in_pieces.then_some(from.at as u64), mover);
        state.keyspace.db_mut(db as usize).relocate(&key, value, now);
        next = goes_on_at.map(Cursor::at);
    }
    let defrag = &mut state.defrag;
    defrag.has_moved |= mover.moved > before;
    match next {
        Some(at) => {
            defrag.at = at;
            defrag.later.push(key);
        }
        None => {
            keys.moved += u64::from(defrag.has_moved);
            keys.stayed += u64::from(!defrag.has_moved);
            (defrag.at, defrag.has_moved) = (Cursor::default(), false);
        }
    }
}
