//! When are blocks moved to better memory, and how much at a time? A thread that is there while `activedefrag` is on.
//!
//! Once a second it asks the allocator how much is free in slabs of which something is used. Past
//! `active-defrag-ignore-bytes` and `active-defrag-threshold-lower` it begins a round through all keys (`engine/defrag.rs`), in
//! holds of the lock of at most 50 µs, with naps between them that leave the others their share of the time: from
//! `active-defrag-cycle-min` to `-max` percent are its own. A round runs to its end, however little there is left to gain; then the
//! same is asked again, at once.
//!
//! The thread has no cache of free blocks, as whoever moves must (`allocator/fragmentation.rs`). While a child process shares the
//! memory, or the data set is loaded, it rests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::allocator::fragmentation::{self, Compactor};
use crate::base::moving::{Judge, Mover};
use crate::engine::defrag::{self, Settings, Step};
use crate::engine::lock::Engine;

/// Longest hold of the lock, but for the last block or the last step of a module.
const HOLD: Duration = Duration::from_micros(50);

/// How long the holds are together between two naps.
const TURN: Duration = Duration::from_micros(200);

/// How long it waits for the lock before it naps again.
const PATIENCE: Duration = Duration::from_millis(5);

/// How often it looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(100);
/// How many of these are between two questions about waste.
const LOOKS_PER_QUESTION: u32 = 10;

/// How often the effort is thought over.
const ASK: Duration = Duration::from_secs(1);

/// How long it rests behind a round.
const BETWEEN: Duration = Duration::from_millis(10);

/// Starts the thread, if it is wanted and not there.
pub fn visit(engine: &Arc<Engine>) {
    let figures = &engine.shared.defrag;
    if !figures.wanted.load(Ordering::Relaxed) || figures.has_thread.load(Ordering::Acquire) {
        return;
    }
    figures.has_thread.store(true, Ordering::Release);
    let own = Arc::clone(engine);
    let started = thread::Builder::new().name("defrag".into()).spawn(move || {
        run(&own);
        own.shared.defrag.has_thread.store(false, Ordering::Release);
    });
    if let Err(error) = started {
        tracing::warn!("Can't start a thread for active defrag: {error}");
        figures.has_thread.store(false, Ordering::Release);
    }
}

/// Moves blocks for as long as that is wanted.
fn run(engine: &Engine) {
    let Some(mut compactor) = Compactor::for_this_thread() else {
        // Nobody else would try again with another result.
        engine.shared.defrag.wanted.store(false, Ordering::Relaxed);
        return;
    };
    let is_wanted = || engine.shared.defrag.wanted.load(Ordering::Relaxed);
    let mut looks = 0;
    while is_wanted() {
        if looks == 0 && !engine.shared.loading.is_on() {
            let settings = settings(engine);
            let found = fragmentation::figures();
            if settings.begins(found.wasted as u64, found.allocated as u64) {
                rounds(engine, &mut compactor);
            }
        }
        looks = (looks + 1) % LOOKS_PER_QUESTION;
        thread::sleep(LOOK);
    }
}

fn settings(engine: &Engine) -> Settings {
    Settings::of(&engine.read_patiently().config)
}

/// Who says what moves during one hold.
struct Hold<'a> {
    compactor: &'a mut Compactor,
    now_ns: fn() -> u64,
    end_ns: u64,
}

impl Judge for Hold<'_> {
    fn should_move(&mut self, block: *const u8, bytes: usize) -> bool {
        self.compactor.should_move(block, bytes)
    }

    fn goes_on(&mut self) -> bool {
        (self.now_ns)() < self.end_ns
    }
}

/// Goes through all keys, again and again while there is enough to gain, or until it is not wanted any more.
fn rounds(engine: &Engine, compactor: &mut Compactor) {
    let figures = &engine.shared.defrag;
    let now_ns = engine.shared.clock.mono_ns;
    let mut pace = Pace::new(engine);
    figures.begin(pace.effort, now_ns());
    let (waste, effort) = (pace.waste_percent, pace.effort);
    tracing::debug!("Starting active defrag, frag={waste:.0}%, cpu={effort}%");
    loop {
        round(engine, compactor, &mut pace);
        defrag::forget(&mut engine.write_patiently());
        let found = fragmentation::figures();
        let goes_on = pace.settings.begins(found.wasted as u64, found.allocated as u64);
        if !goes_on || !figures.wanted.load(Ordering::Relaxed) {
            break;
        }
        // What is left may want less effort.
        pace = Pace::new(engine);
        figures.running.store(pace.effort, Ordering::Relaxed);
        thread::sleep(BETWEEN);
    }
    figures.end(now_ns());
    tracing::debug!("Active defrag done");
}

/// Goes through all keys once, or until it is not wanted any more.
fn round(engine: &Engine, compactor: &mut Compactor, pace: &mut Pace) {
    let figures = &engine.shared.defrag;
    let now_ns = engine.shared.clock.mono_ns;
    let mut asked_ns = now_ns();
    while figures.wanted.load(Ordering::Relaxed) {
        if now_ns() - asked_ns > ASK.as_nanos() as u64 {
            asked_ns = now_ns();
            pace.ask(engine);
            figures.running.store(pace.effort, Ordering::Relaxed);
        }
        compactor.survey_if_due(now_ns());
        let turn = turn(engine, compactor, pace.settings.elements_max);
        if turn.step == Step::Done {
            break;
        }
        thread::sleep(pace.nap_after(turn.held));
    }
}

/// How much of the time the round may take.
struct Pace {
    settings: Settings,
    effort: u64,
    waste_percent: f64,
}

impl Pace {
    fn new(engine: &Engine) -> Self {
        let settings = settings(engine);
        let mut new = Self { settings, effort: 0, waste_percent: 0.0 };
        new.ask(engine);
        new
    }

    /// Asks how much waste there is. The effort grows with it, and does not sink during a round unless the settings
    /// have changed.
    fn ask(&mut self, engine: &Engine) {
        let settings = settings(engine);
        let found = fragmentation::figures();
        let effort = settings.effort(found.wasted as u64, found.allocated as u64);
        let is_as_before = settings == self.settings;
        self.effort = if is_as_before { self.effort.max(effort) } else { effort };
        self.settings = settings;
        self.waste_percent = found.wasted as f64 * 100.0 / found.allocated.max(1) as f64;
    }

    /// How long to rest after so much work.
    fn nap_after(&self, held: Duration) -> Duration {
        let effort = self.effort.clamp(1, 99) as u32;
        (held * (100 - effort) / effort).max(HOLD)
    }
}

/// What was done between two naps.
struct Turn {
    step: Step,
    held: Duration,
}

/// Some holds of the lock.
fn turn(engine: &Engine, compactor: &mut Compactor, elements_max: usize) -> Turn {
    let shared = &engine.shared;
    let now_ns = shared.clock.mono_ns;
    let mut turn = Turn { step: Step::More, held: Duration::ZERO };
    while turn.step == Step::More && turn.held < TURN {
        // A script that keeps the lock, or a command that lends the keyspace, goes first.
        let Some(mut state) = engine.write_within(PATIENCE) else { return turn };
        if shared.loading.is_on() || state.persistence.has_child() {
            drop(state);
            thread::sleep(LOOK);
            return turn;
        }
        let began_ns = now_ns();
        let end_ns = began_ns + HOLD.as_nanos() as u64;
        let mut hold = Hold { compactor: &mut *compactor, now_ns, end_ns };
        let mut mover = Mover::new(&mut hold);
        turn.step = defrag::step(&mut state, shared, elements_max, &mut mover);
        drop(state);
        let took_ns = now_ns() - began_ns;
        shared.slow.event("active-defrag-cycle", took_ns, (shared.clock.unix_us)());
        turn.held += Duration::from_nanos(took_ns);
    }
    turn
}
