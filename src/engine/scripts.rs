//! Which scripts does the engine know, and which one keeps everybody waiting?
//!
//! The sources of EVAL stand in [`Scripts`], so that each VM can compile what it has to run. [`Busy`] is what other
//! threads see of a script that runs for too long. How scripts are run is the business of `script`.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::error::CommandError;
use super::stats::ScriptStats;
use crate::base::moving::Mover;
use crate::base::sha1::{self, DigestHash};

/// The source of a script, known by its SHA1.
#[derive(Debug)]
pub struct ScriptSource {
    /// The SHA1 of its text, in lower-case hexadecimal.
    pub sha: [u8; 40],
    /// Its text.
    pub text: Box<[u8]>,
    /// What its shebang line declares, as bits that `script` defines.
    pub flags: u64,
    /// What it has cost so far.
    pub stats: ScriptStats,
}

/// The scripts of EVAL and SCRIPT LOAD.
#[derive(Default)]
pub struct Scripts {
    /// By the SHA1 of their text, in lower-case hexadecimal.
    cached: HashMap<[u8; 40], Arc<ScriptSource>, DigestHash>,
    /// The one that ran last: often it is the next one, too, and then is neither looked up nor counted as used twice.
    last: Option<Arc<ScriptSource>>,
    /// Those that came by EVAL, oldest first; the others by SCRIPT LOAD.
    pub from_eval: VecDeque<[u8; 40]>,
    /// Bytes of all texts.
    pub bytes: usize,
    /// Some of them say in their first line what they may do.
    pub any_declares: bool,
    /// Scripts that were forgotten because too many came by EVAL.
    pub evicted: u64,
    /// Grows with SCRIPT FLUSH, so that VMs forget what they compiled.
    pub generation: u64,
    /// The VM of scripts that may write; `script` knows its type. Taken out while it runs.
    pub vm: Option<Box<dyn Any + Send + Sync>>,
}

impl Scripts {
    /// The SHA1s of all that are known.
    pub fn sha1s(&self) -> Vec<[u8; 40]> {
        self.cached.keys().copied().collect()
    }

    /// Moves the blocks of a script, unless somebody else holds it.
    pub fn move_blocks(&mut self, sha1: &[u8; 40], mover: &mut Mover<'_>) {
        let Some(source) = self.cached.get_mut(sha1) else { return };
        let stand_in = || ScriptSource {
            sha: [0; 40],
            text: Box::default(),
            flags: 0,
            stats: ScriptStats::default(),
        };
        if let Some(own) = mover.shared(source, stand_in) {
            mover.bytes(&mut own.text);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cached.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cached.is_empty()
    }

    /// The script of this SHA1.
    pub fn get(&self, sha: &[u8; 40]) -> Option<&Arc<ScriptSource>> {
        self.cached.get(sha)
    }

    /// The same for one that is about to run; [`Scripts::put_back`] when it has.
    pub fn take(&mut self, sha: &[u8; 40]) -> Option<Arc<ScriptSource>> {
        let last = self.last.take_if(|last| sha1::is_same(&last.sha, sha));
        last.or_else(|| self.cached.get(sha).map(Arc::clone))
    }

    /// What ran may be the next that runs, unless it was forgotten meanwhile.
    pub fn put_back(&mut self, source: Arc<ScriptSource>) {
        if Arc::strong_count(&source) > 1 {
            self.last = Some(source);
        }
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ScriptSource>> {
        self.cached.values()
    }

    /// Adds a script.
    pub fn insert(&mut self, source: Arc<ScriptSource>) {
        self.bytes += source.text.len();
        self.cached.insert(source.sha, source);
    }

    /// Forgets the scripts that came by EVAL, the oldest first, until so many are left.
    pub fn keep_newest(&mut self, max: usize) {
        while self.from_eval.len() > max {
            if let Some(oldest) = self.from_eval.pop_front()
                && let Some(source) = self.cached.remove(&oldest)
            {
                self.bytes -= source.text.len();
                self.evicted += 1;
                self.last = None;
            }
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.cached.clear();
        self.last = None;
        self.any_declares = false;
        self.from_eval.clear();
        self.bytes = 0;
        self.generation += 1;
        self.vm = None;
    }
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripts").field("cached", &self.cached.len()).finish_non_exhaustive()
    }
}

/// The scripts that keep the lock too long, seen from other threads.
#[derive(Debug, Default)]
pub struct Busy {
    /// How many have run longer than `busy-reply-threshold`: one that may write, or some that may not.
    slow: AtomicUsize,
    /// What was settled about them: nothing yet (0), or one of the constants below. Whichever comes first
    /// stands, so that a script which was promised to be killed has not written, and the other way round.
    fate: AtomicU8,
    /// The one that made it known last is a function.
    is_function: AtomicBool,
    /// That one.
    running: Mutex<Option<RunningScript>>,
    /// A module keeps the lock, lets others in when it yields, and has this to say to the rest.
    lending: Mutex<Option<Vec<u8>>>,
    lends: AtomicBool,
}

/// A script that has been running for too long.
#[derive(Clone, Debug, Default)]
pub struct RunningScript {
    /// The function's name, or the script's SHA1.
    pub name: Vec<u8>,
    /// The command that runs it.
    pub argv: Vec<Vec<u8>>,
    /// When it began, as the engine's clock counts nanoseconds.
    pub began_ns: u64,
}

impl Busy {
    /// The one that may write has written, so it can no longer be killed.
    pub const WROTE: u8 = 1;
    /// It is to end.
    pub const KILL: u8 = 2;
    /// It came from the primary, so it cannot be killed.
    pub const FROM_PRIMARY: u8 = 3;

    /// A script has become slow.
    pub fn begin(&self, script: RunningScript, is_function: bool) {
        let mut running = self.running.lock();
        if self.slow.load(Ordering::Acquire) == 0 {
            // A SCRIPT KILL that came as the last one ended was not meant for this one.
            self.fate.store(0, Ordering::Release);
        }
        *running = Some(script);
        self.is_function.store(is_function, Ordering::Release);
        self.slow.fetch_add(1, Ordering::AcqRel);
    }

    /// A slow script has ended.
    pub fn end(&self) {
        let mut running = self.running.lock();
        if self.slow.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.fate.store(0, Ordering::Release);
            *running = None;
        }
    }

    /// A module that keeps the lock has yielded; true if it is the first to do so. The text is for those who are
    /// refused.
    pub fn begin_lending(&self, text: Option<&[u8]>) -> bool {
        const GENERAL: &[u8] = b"Redis is busy running a module command.";
        let text = [b"BUSY ", text.unwrap_or(GENERAL)].concat();
        let is_first = self.lending.lock().replace(text).is_none();
        if is_first {
            self.lends.store(true, Ordering::Release);
            self.slow.fetch_add(1, Ordering::AcqRel);
        }
        is_first
    }

    /// It has ended.
    pub fn end_lending(&self) {
        if self.lending.lock().take().is_some() {
            self.lends.store(false, Ordering::Release);
            self.slow.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether a module lets others in.
    pub fn lends(&self) -> bool {
        self.lends.load(Ordering::Acquire)
    }

    /// Settles what has not been settled; the error is what has been.
    pub fn settle(&self, fate: u8) -> Result<(), u8> {
        match self.fate.compare_exchange(0, fate, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(settled) if settled == fate => Ok(()),
            Err(settled) => Err(settled),
        }
    }

    /// What has been settled, or 0.
    pub fn fate(&self) -> u8 {
        self.fate.load(Ordering::Acquire)
    }

    /// Settles it whatever has been settled.
    pub fn overrule(&self, fate: u8) {
        self.fate.store(fate, Ordering::Release);
    }

    /// Whether a slow script is to end.
    pub fn is_killed(&self) -> bool {
        self.fate() == Self::KILL
    }

    /// Whether a script has been running for too long.
    pub fn is_on(&self) -> bool {
        self.slow.load(Ordering::Acquire) > 0
    }

    /// Whether what runs is a function.
    pub fn is_function(&self) -> bool {
        self.is_function.load(Ordering::Acquire)
    }

    /// What clients are answered meanwhile.
    pub fn refusal(&self) -> CommandError {
        if let Some(text) = &*self.lending.lock() {
            return CommandError::Raw(text.clone());
        }
        if self.is_function() { CommandError::BusyFunction } else { CommandError::Busy }
    }

    /// The slow script.
    pub fn running(&self) -> Option<RunningScript> {
        self.running.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_first_stands_until_the_last_one_ends() {
        let busy = Busy::default();
        busy.begin(RunningScript::default(), true);
        assert!(busy.is_on() && busy.is_function() && !busy.is_killed());
        assert_eq!(busy.settle(Busy::WROTE), Ok(()));
        assert_eq!(busy.settle(Busy::KILL), Err(Busy::WROTE));
        busy.begin(RunningScript { name: b"b".to_vec(), ..RunningScript::default() }, false);
        busy.end();
        assert_eq!(busy.settle(Busy::KILL), Err(Busy::WROTE));
        assert_eq!(busy.running().map(|script| script.name), Some(b"b".to_vec()));
        busy.end();
        assert!(!busy.is_on() && busy.running().is_none());
        assert_eq!(busy.settle(Busy::KILL), Ok(()));
    }

    #[test]
    fn a_module_that_yields_has_its_own_words() {
        let busy = Busy::default();
        assert!(busy.begin_lending(None) && busy.is_on() && busy.lends());
        assert_eq!(busy.refusal().to_string(), "BUSY Redis is busy running a module command.");
        assert!(!busy.begin_lending(Some(b"later")) && busy.running().is_none());
        assert_eq!(busy.refusal().to_string(), "BUSY later");
        busy.end_lending();
        busy.end_lending();
        assert!(!busy.is_on() && !busy.lends());
    }

    #[test]
    fn a_kill_that_comes_late_is_not_for_the_next_one() {
        let busy = Busy::default();
        assert_eq!(busy.settle(Busy::KILL), Ok(()));
        busy.begin(RunningScript::default(), false);
        assert!(!busy.is_killed());
    }
}
