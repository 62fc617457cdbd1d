//! How is a snapshot taken while the engine goes on? By a walk through the keyspace (`keyspace/snapshot.rs`) in slices
//! under the lock, encoded between them.
//!
//! A slice holds the shared lock for [`SLICE`] or so and copies what it comes to; values of modules, which their
//! module's code must encode, need the exclusive lock. It is done by a worker between the turns of its connections
//! (`engine/errands.rs`, decision 0021), so that nobody waits for a thread that has lost the processor while it held the
//! lock; by the walker itself only when no worker comes. What writes have handed over meanwhile comes with the
//! slice. All of it is encoded without a lock and goes into a pipe, at whose other end a thread writes the
//! file. While the pipe is full the walk waits, and puts old values aside (`persist/rdb/spill.rs`) when many wait.
//!
//! Invariant: whatever happens, the walk goes on to its end, in discard mode if need be, and the hooks of the keyspace
//! are off when [`walk`] returns.

use std::cell::RefCell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::{Job, facts};
use crate::engine::lock::{Busy, Engine};
use crate::engine::persistence::Progress;
use crate::engine::state::{Shared, State};
use crate::keyspace::Keyspace;
use crate::keyspace::snapshot::{Batch, Handover, Step, Walk};
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

/// How long the walk sleeps at once for `rdb-key-save-delay`, and while a script keeps the lock.
const NAP: Duration = Duration::from_millis(10);

/// How many times as long as a slice took the walk rests before the next, while clients keep the workers busy.
const REST: u32 = 4;

/// Commands since the last slice from which on they count as busy.
const BUSY_COMMANDS: u64 = 8;

/// How long a slice waits for a worker that does it.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is known of the slices, for the log.
#[derive(Debug, Default)]
struct Figures {
    count: u64,
    /// Those that no worker came for.
    own: u64,
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
    // Whether it is set already makes no difference: a snapshot has one file.
    let _ = progress.temporary.set(disk::temporary(std::process::id(), marker));
    let delay = disk::key_delay(&state.config);
    let facts = Facts { base, rdb_version_max, ..facts(shared, (shared.clock.unix_us)()) };
    let frame = Frame::of(state, facts);
    let walk = state.keyspace.begin_snapshot(frame.style());
    progress.keys_total.store(frame.keys() as u64, Relaxed);
    Begun { progress, marker: marker.to_owned(), walk, frame, delay }
}

/// Gives up a snapshot that has begun.
pub(super) fn give_up(engine: &Engine, begun: Begun) {
    Course::new(engine, begun.walk, begun.delay).end();
}

/// Encodes it into the pipe.
pub(super) fn walk(engine: &Engine, begun: Begun, pipe: &Pipe) -> Result<(), SnapshotError> {
    let Begun { progress, marker, walk, frame, delay } = begun;
    let course = Course::new(engine, walk, delay);
    let spill = Spill::new(&frame, disk::spill_path(&marker), spill::WAITING_MAX);
    let walker = Walker { course: &course, progress: &progress, delay };
    let result = walker.emit(&frame, spill, pipe);
    course.end();
    result
}

/// What a slice works on.
struct Slice {
    walk: Walk,
    /// What it has come to.
    batch: Batch,
    /// What writes have handed over.
    handed: Vec<Batch>,
    /// One step at a time, for `rdb-key-save-delay`.
    is_slow: bool,
    /// What came of it; None while it is to be done.
    step: Option<Step>,
    /// How long it took.
    took: Duration,
    figures: Figures,
}

impl Slice {
    /// Does it under the lock; without patience not if a script keeps that.
    fn run(&mut self, engine: &Engine, patience: bool) -> Result<(), Busy> {
        if ModuleValue::live() == 0 {
            let state = insist(patience, || engine.read())?;
            // Values of modules come under the exclusive lock only.
            if ModuleValue::live() == 0 {
                self.go_on(&state.keyspace);
                return Ok(());
            }
        }
        let state = insist(patience, || engine.write())?;
        self.go_on(&state.keyspace);
        // The values of modules in there are freed under the lock that they need.
        drop(self.walk.take_garbage());
        Ok(())
    }

    fn go_on(&mut self, keyspace: &Keyspace) {
        let began = Instant::now();
        let mut steps = 0;
        let is_slow = self.is_slow;
        self.step = Some(self.walk.slice(keyspace, &mut self.batch, |batch| {
            steps += 1;
            !is_slow
                && batch.bytes() < SLICE_BYTES
                && (steps % STEPS_PER_LOOK != 0 || began.elapsed() < SLICE)
        }));
        let mut handed = Batch::default();
        while self.walk.handover().take(&mut handed) {
            self.handed.push(std::mem::take(&mut handed));
        }
        let took = began.elapsed();
        self.took = took;
        self.figures.count += 1;
        self.figures.total += took;
        self.figures.longest = self.figures.longest.max(took);
    }
}

/// Takes a lock, again and again if need be.
fn insist<T>(patience: bool, take: impl Fn() -> Result<T, Busy>) -> Result<T, Busy> {
    loop {
        match take() {
            Err(Busy) if patience => std::thread::sleep(NAP),
            taken => return taken,
        }
    }
}

/// The walk through the keyspace, which workers take further.
struct Course<'a> {
    engine: &'a Engine,
    slice: Arc<Mutex<Slice>>,
    handover: Arc<Handover>,
    /// Commands that had run when the last slice was asked for.
    commands: AtomicU64,
}

impl<'a> Course<'a> {
    fn new(engine: &'a Engine, walk: Walk, delay: Duration) -> Self {
        let handover = Arc::clone(walk.handover());
        let (batch, is_slow) = (Batch::default(), !delay.is_zero());
        let slice = Slice {
            walk,
            batch,
            handed: Vec::new(),
            is_slow,
            step: None,
            took: Duration::ZERO,
            figures: Figures::default(),
        };
        Self { engine, slice: Arc::new(Mutex::new(slice)), handover, commands: AtomicU64::new(0) }
    }

    /// Leaves the workers to their clients for a while, if they are busy with them.
    fn rest(&self, took: Duration) {
        let commands = self.engine.shared.sum(|worker| worker.commands.get());
        let since = commands.wrapping_sub(self.commands.swap(commands, Relaxed));
        if since >= BUSY_COMMANDS {
            std::thread::sleep(took * REST);
        }
    }

    /// Has a slice done; what came of it.
    fn slice(&self) -> (Step, MutexGuard<'_, Slice>) {
        let took = {
            let mut slice = self.slice.lock();
            slice.step = None;
            slice.took
        };
        self.rest(took);
        let slice = Arc::clone(&self.slice);
        let (done, is_done) = mpsc::channel();
        // One that comes late does the slice that is due then, or nothing if the walker is at it.
        self.engine.shared.errands.hand_in(Box::new(move |engine| {
            if let Some(mut slice) = slice.try_lock()
                && slice.step.is_none()
            {
                let _ = slice.run(engine, false);
            }
            // The walker may have gone on without.
            let _ = done.send(());
        }));
        // The walker holds nothing while a worker may want it, since it could lose the processor just then. If no
        // worker takes the errand, or a script keeps the lock, it does the slice itself.
        let _ = is_done.recv_timeout(PATIENCE);
        let mut slice = self.slice.lock();
        loop {
            if let Some(step) = slice.step {
                // Tables that were flushed meanwhile, without values of modules; it may take long.
                let garbage = slice.walk.take_garbage();
                if !garbage.is_empty() {
                    MutexGuard::unlocked(&mut slice, || drop(garbage));
                }
                return (step, slice);
            }
            slice.figures.own += 1;
            // Patience meets no refusal.
            let _ = slice.run(self.engine, true);
        }
    }

    /// Goes on to the end, without handing anything out, and lets go of the keyspace.
    fn end(self) {
        {
            let mut slice = self.slice.lock();
            slice.walk.discard();
            slice.is_slow = false;
        }
        loop {
            let (step, mut slice) = self.slice();
            slice.batch.clear();
            slice.handed.clear();
            if step == Step::Done {
                break;
            }
        }
        let slice = self.slice.lock();
        self.engine.write_patiently().keyspace.end_snapshot(&slice.walk);
        let Figures { count, own, total, longest } = slice.figures;
        tracing::debug!(
            slices = count,
            own,
            total_us = total.as_micros() as u64,
            longest_us = longest.as_micros() as u64,
            handed_bytes = self.handover.bytes(),
            "a snapshot was walked"
        );
    }
}

struct Walker<'a> {
    course: &'a Course<'a>,
    progress: &'a Progress,
    delay: Duration,
}

impl Walker<'_> {
    fn emit(&self, frame: &Frame<'_>, spill: Spill<'_>, pipe: &Pipe) -> Result<(), SnapshotError> {
        let handover = &self.course.handover;
        let spill = RefCell::new(spill);
        let mut meanwhile = || spill.borrow_mut().relieve(handover);
        let mut inlet = Inlet { pipe, meanwhile: &mut meanwhile };
        let mut writer = Writer::draining(frame.style(), &mut inlet);
        frame.write_front(&mut writer);
        let mut keys = Keys::new(frame);
        let mut batch = Batch::default();
        loop {
            let (step, mut slice) = self.course.slice();
            std::mem::swap(&mut slice.batch, &mut batch);
            let handed = std::mem::take(&mut slice.handed);
            drop(slice);
            self.write(&mut keys, &mut batch, &mut writer)?;
            for mut batch in handed {
                self.write(&mut keys, &mut batch, &mut writer)?;
            }
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
}
