//! What do a call and an execution unit leave behind? Effects are data: a handler records them, and
//! the engine acts on them at the two levels of ARCHITECTURE.md.
//!
//! - At the end of each *call* (also inside EXEC, scripts and module calls): the dirty count, watched
//!   keys, module notifications.
//! - At the end of the *unit* (a client's command, EXEC, a script, a timer): propagation, wrapped in
//!   MULTI/EXEC when it has more than one record; deletion of keys found expired by reads; service of
//!   those who wait for keys; requests to the host.
//!
//! Invariant: every write leaves by here; a handler never talks to a file, a replica or a socket.

use bitflags::bitflags;

use super::block::{Foreign, Ready, Wanted};
use super::durable::elsewhere::Wanted as Elsewhere;
use super::records::Records;
use crate::keyspace::table::Slot;

bitflags! {
    /// Classes of keyspace events, with the numbers that modules know.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EventClass: u32 {
        /// `K`: publish on `__keyspace@<db>__`.
        const KEYSPACE = 1 << 0;
        /// `E`: publish on `__keyevent@<db>__`.
        const KEYEVENT = 1 << 1;
        /// `g`: commands of no one type (DEL, EXPIRE, RENAME ...).
        const GENERIC = 1 << 2;
        /// `$`: string commands.
        const STRING = 1 << 3;
        /// `l`: list commands.
        const LIST = 1 << 4;
        /// `s`: set commands.
        const SET = 1 << 5;
        /// `h`: hash commands.
        const HASH = 1 << 6;
        /// `z`: sorted set commands.
        const ZSET = 1 << 7;
        /// `x`: a key expired.
        const EXPIRED = 1 << 8;
        /// `e`: a key was evicted.
        const EVICTED = 1 << 9;
        /// `t`: stream commands.
        const STREAM = 1 << 10;
        /// `m`: a key was looked up in vain.
        const KEY_MISS = 1 << 11;
        /// A key was loaded from disk (modules only).
        const LOADED = 1 << 12;
        /// `d`: commands of module types.
        const MODULE = 1 << 13;
        /// `n`: a key came into being.
        const NEW = 1 << 14;
    }
}

bitflags! {
    /// Which byte streams a record of the effect log goes to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Targets: u8 {
        /// The append-only file.
        const AOF = 1;
        /// The replicas.
        const REPLICAS = 2;
    }
}

/// How the call that is running will be propagated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagate {
    /// As it came in, if it changed something.
    #[default]
    Verbatim,
    /// As it came in, in any case (module calls that ask for it).
    Always,
    /// Not at all, or by records of its own.
    Replaced,
}

/// A request to the host that answers later, like a blocked client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// End the process.
    Shutdown {
        /// Whether to save the data set first.
        save: ShutdownSave,
        /// Even if saving fails.
        force: bool,
        /// Without waiting for replicas.
        now: bool,
        /// Who waits for it, and is to be told if it fails.
        client: Option<u64>,
    },
    /// Take the snapshot that [`Persistence`] says was begun.
    ///
    /// [`Persistence`]: super::persistence::Persistence
    BgSave,
    /// Rewrite the append-only file, as [`Aof`] says was begun.
    ///
    /// [`Aof`]: super::persistence::Aof
    RewriteAof,
    /// Follow the primary that the state names, or nobody.
    Follow {
        /// The number of the link.
        generation: u64,
        /// Whether there is a primary.
        follows: bool,
    },
}

/// Whether the end of the process saves the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownSave {
    /// If there are save points.
    IfConfigured,
    /// In any case.
    Yes,
    /// In no case.
    No,
}

/// What the client waits for when its command answers "not now".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Until somebody answers, or the deadline, answering with this reply.
    Until {
        /// Unix time in milliseconds; `None` waits for ever.
        deadline_ms: Option<i64>,
        /// The encoded reply at the deadline.
        on_timeout: Vec<u8>,
    },
    /// `WAIT`, `WAITAOF`: until replicas and files have what was written, or the deadline, when the reply is how many have:
    /// see [`super::durable::elsewhere`].
    Elsewhere {
        /// What is waited for.
        wanted: Elsewhere,
        /// Unix time in milliseconds; `None` waits for ever.
        deadline_ms: Option<i64>,
    },
    /// Until one of the keys has something, or the deadline (`BLPOP`, `XREAD BLOCK` ...): see
    /// [`super::block`].
    Keys {
        /// What is waited for.
        wanted: Wanted,
        /// Unix time in milliseconds; `None` waits for ever.
        deadline_ms: Option<i64>,
        /// The encoded reply at the deadline.
        on_timeout: Vec<u8>,
    },
    /// CLIENT PAUSE holds the command back: it has not run, and will when the pause is over.
    Paused {
        /// Unix time in milliseconds.
        until_ms: i64,
    },
    /// Until foreign code answers through the client's outbox. It sees to the deadline, too.
    Foreign {
        /// Who does.
        wait: Foreign,
        /// The keys that it is to be asked about.
        wanted: Option<Wanted>,
    },
}

/// Keys that reads may leave for deletion in one unit; more wait for the active cycle.
pub const EXPIRED_PER_UNIT_MAX: usize = 64;

/// What the call that is running leaves behind.
#[derive(Debug, Default)]
pub struct CallEffects {
    /// Changes made.
    pub dirty: u64,
    /// How it is propagated.
    pub propagate: Propagate,
    /// Where to (`redis.set_repl`, module flags); `None` is everywhere.
    pub targets: Option<Targets>,
    /// Records that replace or join it.
    pub records: Records,
}

/// The effects of one execution unit, and of the call that is running in it.
#[derive(Debug, Default)]
pub struct Unit {
    /// The call that is running; saved and restored around nested calls.
    pub call: CallEffects,
    /// What the unit propagates, in order.
    pub records: Records,
    /// Keys that a read found expired: (db, key).
    pub expired: Vec<(u32, Vec<u8>)>,
    /// Keys that the call has looked up in vain, if anybody listens to that: (db, key).
    pub missed: Vec<(u32, Box<[u8]>)>,
    /// A blocked command runs again, so monitors have seen it.
    pub again: bool,
    /// Keys that somebody waits for and that something has happened to.
    pub ready: Ready,
    /// A request to the host.
    pub request: Option<Request>,
    /// The command answers later.
    pub block: Option<Block>,
    /// The arguments with which a command that waits runs again, if not those that it came with.
    pub waiting_argv: Option<Vec<Box<[u8]>>>,
    /// Inside EXEC, a script or a module call: blocking is refused.
    pub deny_blocking: bool,
    /// Inside EXEC.
    pub in_exec: bool,
    /// Inside a script.
    pub in_script: bool,
    /// When the client's command began, as the engine's clock counts nanoseconds, if its caller has looked: a script
    /// takes it and need not look again.
    pub began_ns: u64,
    /// When the script ended that took `began_ns`, or 0: see [`Unit::take_end`].
    pub ended_ns: u64,
    /// Where the running command's key was when its memory was asked for (`ahead`): whoever looks a key up begins there,
    /// and makes sure.
    pub seen: Option<Slot>,
    /// Close the connection once the replies are out.
    pub close: bool,
    /// Whether a command of the unit has changed data.
    pub wrote: bool,
    /// Foreign code wants to be called at the end of the unit.
    pub has_jobs: bool,
    /// What is propagated does not belong together (keys that happened to expire).
    pub scattered: bool,
    /// Commands of the append-only file run again, which it need not get.
    pub replays: bool,
    /// Commands that ran elsewhere run here, too: no key is past its time, since none was there.
    pub trusts: bool,
    /// A module runs a command that it does not want propagated, so nothing that happens in it is, save that
    /// keys past their time go.
    pub muted: bool,
    /// A module runs a command without asking whether there is memory, so the scripts in it do not ask either.
    pub ignores_memory: bool,
    /// Foreign code looks at a key that is about to leave; nothing may change meanwhile.
    pub frozen: bool,
}

impl Block {
    /// When the wait ends by itself, in unix milliseconds.
    pub fn deadline_ms(&self) -> Option<i64> {
        match self {
            Block::Until { deadline_ms, .. }
            | Block::Elsewhere { deadline_ms, .. }
            | Block::Keys { deadline_ms, .. } => *deadline_ms,
            Block::Paused { until_ms } => Some(*until_ms),
            Block::Foreign { .. } => None,
        }
    }

    /// The encoded reply at the deadline, if that is known before.
    pub fn on_timeout(&self) -> Option<&[u8]> {
        match self {
            Block::Until { on_timeout, .. } | Block::Keys { on_timeout, .. } => Some(on_timeout),
            Block::Paused { .. } | Block::Foreign { .. } | Block::Elsewhere { .. } => None,
        }
    }
}

impl Unit {
    /// When the command ended that has just run: its script may have looked.
    #[inline]
    pub fn take_end(&mut self, mono_ns: fn() -> u64) -> u64 {
        match std::mem::take(&mut self.ended_ns) {
            0 => mono_ns(),
            ended_ns => ended_ns,
        }
    }

    /// Notes a key that a read found expired.
    pub fn note_expired(&mut self, db: u32, key: &[u8]) {
        if self.expired.len() < EXPIRED_PER_UNIT_MAX {
            self.expired.push((db, key.to_vec()));
        }
    }
}
