//! How is a snapshot taken while the engine goes on? By a walk through the keyspace (`keyspace/snapshot.rs`) in slices
//! under the lock, encoded between them.
//!
//! A slice holds the shared lock for [`SLICE`] or so and copies what it comes to; values of modules, which their
//! module's code must encode, need the exclusive lock. What writes have handed over meanwhile is fetched after
//! each slice. All of it is encoded without a lock and goes into a pipe, at whose other end a thread writes the
//! file. While the pipe is full the walk waits, and puts old values aside (`persist/rdb/spill.rs`) when many wait.
//!
//! Invariant: whatever happens, the walk goes on to its end, in discard mode if need be, and the hooks of the keyspace
//! are off when [`walk`] returns.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{Job, facts};
use crate::config::params::Param;
use crate::engine::lock::Engine;
use crate::engine::persistence::Progress;
use crate::engine::state::{Shared, State};
use crate::keyspace::Keyspace;
use crate::keyspace::snapshot::{Batch, Step, Walk};
use crate::object::module::ModuleValue;
use crate::object::rdb::write::Writer;
use crate::persist::rdb::disk;
use crate::persist::rdb::pipe::{Inlet, Pipe};
use crate::persist::rdb::save::{Facts, Frame, Keys, SnapshotError};
use crate::persist::rdb::spill::{self, Spill};

/// How long a slice may hold the lock.
const SLICE: Duration = Duration::from_micros(50);

/// Steps of the walk, of some seven keys each, between two looks at the clock.
const STEPS_PER_LOOK: usize = 4;

/// About how many bytes a slice copies at most.
const SLICE_BYTES: usize = 256 * 1024;

/// How long the walk sleeps at once for `rdb-key-save-delay`.
const NAP: Duration = Duration::from_millis(10);

/// What is known of the slices, for the log.
#[derive(Debug, Default)]
struct Slices {
    count: u64,
    total: Duration,
    longest: Duration,
}

/// A snapshot that has begun.
pub(in crate::server) struct Begun {
    progress: Arc<Progress>,
    pub(super) marker: String,
    walk: Walk,
    frame: Frame<'static>,
    delay: Duration,
}

/// Begins a snapshot of what there is now.
pub(super) fn begin(state: &mut State, shared: &Shared, job: Job<'_>) -> Begun {
    let Job { progress, marker, base, rdb_version_max, at_start } = job;
    at_start(state);
    let delay_us = state.config.int(Param::RdbKeySaveDelay).max(0).unsigned_abs();
    let facts = Facts { base, rdb_version_max, ..facts(shared, (shared.clock.unix_us)()) };
    let frame = Frame::of(state, facts);
    let walk = state.keyspace.begin_snapshot(frame.style());
    progress.keys_total.store(frame.keys() as u64, Relaxed);
    let delay = Duration::from_micros(delay_us);
    Begun { progress, marker: marker.to_owned(), walk, frame, delay }
}

/// Gives up a snapshot that has begun.
pub(super) fn give_up(engine: &Engine, begun: Begun) {
    let Begun { progress, walk, delay, .. } = begun;
    Walker { engine, progress: &progress, walk, delay, slices: Slices::default() }.end();
}

/// Encodes it into the pipe.
pub(super) fn walk(engine: &Engine, begun: Begun, pipe: &Pipe) -> Result<(), SnapshotError> {
    let Begun { progress, marker, walk, frame, delay } = begun;
    let slices = Slices::default();
    let mut walker = Walker { engine, progress: &progress, walk, delay, slices };
    let spill = Spill::new(&frame, disk::spill_path(&marker), spill::WAITING_MAX);
    let result = walker.emit(&frame, spill, pipe);
    walker.end();
    result
}

struct Walker<'a> {
    engine: &'a Engine,
    progress: &'a Progress,
    walk: Walk,
    delay: Duration,
    slices: Slices,
}

impl Walker<'_> {
    fn emit(
        &mut self,
        frame: &Frame<'_>,
        spill: Spill<'_>,
        pipe: &Pipe,
    ) -> Result<(), SnapshotError> {
        let handover = Arc::clone(self.walk.handover());
        let spill = RefCell::new(spill);
        let mut meanwhile = || spill.borrow_mut().relieve(&handover);
        let mut inlet = Inlet { pipe, meanwhile: &mut meanwhile };
        let mut writer = Writer::draining(frame.style(), &mut inlet);
        frame.write_front(&mut writer);
        let mut keys = Keys::new(frame);
        let mut batch = Batch::default();
        loop {
            let step = self.slice(&mut batch);
            self.write(&mut keys, &mut batch, &mut writer)?;
            handover.take(&mut batch);
            self.write(&mut keys, &mut batch, &mut writer)?;
            self.progress.handed_bytes.store(handover.bytes(), Relaxed);
            spill.borrow_mut().take_error()?;
            if pipe.is_abandoned() {
                return Err(SnapshotError::Abandoned);
            }
            if step == Step::Done {
                break;
            }
        }
        // Nothing is handed over any more. What was put aside is complete, too.
        writer.flush();
        drop(writer);
        let mut inlet = Inlet { pipe, meanwhile: &mut || {} };
        let mut writer = Writer::draining(frame.style(), &mut inlet);
        let keys = spill.into_inner().write_back(&mut writer)?;
        self.pace(keys)?;
        frame.write_back(&mut writer);
        Ok(())
    }

    /// Encodes a batch and empties it.
    fn write(
        &self,
        keys: &mut Keys<'_>,
        batch: &mut Batch,
        writer: &mut Writer<'_>,
    ) -> Result<(), SnapshotError> {
        keys.write(batch, writer)?;
        let count = batch.len() as u64;
        batch.clear();
        self.pace(count)
    }

    /// Counts keys that were written; with `rdb-key-save-delay`, waits for each.
    fn pace(&self, keys: u64) -> Result<(), SnapshotError> {
        let cancelled = || self.progress.cancelled.load(Relaxed);
        for _ in 0..if self.delay.is_zero() { 0 } else { keys } {
            let mut left = self.delay;
            while !left.is_zero() && !cancelled() {
                let nap = left.min(NAP);
                std::thread::sleep(nap);
                left -= nap;
            }
            self.progress.keys.fetch_add(1, Relaxed);
        }
        if self.delay.is_zero() {
            self.progress.keys.fetch_add(keys, Relaxed);
        }
        if cancelled() { Err(SnapshotError::Cancelled) } else { Ok(()) }
    }

    /// Lets the walk go on for a while under the lock.
    fn slice(&mut self, batch: &mut Batch) -> Step {
        // With a time slice that has just begun the system is less likely to take the processor away under the lock.
        std::thread::yield_now();
        if ModuleValue::live() == 0 {
            let state = self.engine.read_patiently();
            // Values of modules come under the exclusive lock only.
            if ModuleValue::live() == 0 {
                let step = self.slice_of(&state.keyspace, batch);
                drop(state);
                drop(self.walk.take_garbage());
                return step;
            }
        }
        let state = self.engine.write_patiently();
        let step = self.slice_of(&state.keyspace, batch);
        // The values of modules in there are freed under the lock that they need.
        drop(self.walk.take_garbage());
        step
    }

    fn slice_of(&mut self, keyspace: &Keyspace, batch: &mut Batch) -> Step {
        let began = Instant::now();
        let mut steps = 0;
        let is_slow = !self.delay.is_zero();
        let step = self.walk.slice(keyspace, batch, |batch| {
            steps += 1;
            !is_slow
                && batch.bytes() < SLICE_BYTES
                && (steps % STEPS_PER_LOOK != 0 || began.elapsed() < SLICE)
        });
        let took = began.elapsed();
        self.slices.count += 1;
        self.slices.total += took;
        self.slices.longest = self.slices.longest.max(took);
        step
    }

    /// Goes on to the end, without handing anything out, and lets go of the keyspace.
    fn end(&mut self) {
        let mut batch = Batch::default();
        self.walk.discard();
        self.delay = Duration::ZERO;
        while self.slice(&mut batch) == Step::More {}
        self.engine.write_patiently().keyspace.end_snapshot(&self.walk);
        let Slices { count, total, longest } = self.slices;
        tracing::debug!(
            slices = count,
            total_us = total.as_micros() as u64,
            longest_us = longest.as_micros() as u64,
            handed_bytes = self.walk.handover().bytes(),
            "a snapshot was walked"
        );
    }
}
