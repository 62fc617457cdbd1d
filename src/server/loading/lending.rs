//! Who is served while a command keeps the engine for as long as a data set takes to load (DEBUG RELOAD, DEBUG LOADAOF,
//! RdbLoad of modules)? Those who may be while it is being loaded; the rest is told that it is.
//!
//! A small file is loaded before anybody notices: they wait, as for every command. From the first
//! `loading-process-events-interval-bytes` on, or after some milliseconds where modules look at each key, the lock is lent as a
//! module that yields lends it (`engine/visits.rs`): other workers hand over what may run, or refuse it, and the connections
//! of this thread are looked at now and then.

use std::sync::Arc;
use std::time::Duration;

use crate::config::params::Param;
use crate::engine::call::{BatchEnd, Caller, Request};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::effects::EventClass;
use crate::engine::lock::Engine;
use crate::engine::visits;
use crate::module::host::host;
use crate::persist::rdb::load::{LoadError, Turns};

/// How long this thread's own connections wait at most until they are looked at, in microseconds.
const LOOK_MICROS: i64 = 1000;

/// How long loading takes before others are looked at, however few bytes that were, in microseconds, where modules look at each
/// key: they may have much to do with it.
const PATIENCE_MICROS: i64 = 2000;

/// How long a delay lasts before it is looked who waits.
const NAP: Duration = Duration::from_millis(5);

/// The lock as it is lent while one command loads. Dropped, it is lent no more.
pub struct Lending {
    /// None in tests that have no process around the engine: then all wait.
    engine: Option<Arc<Engine>>,
    /// Where in the file others were looked at first; None before that.
    since: Option<u64>,
    /// This is what lends; a module that yielded may have done so before.
    began: bool,
    /// When loading began, in unix microseconds; None before its first bytes.
    began_us: Option<i64>,
    /// When this thread's connections are looked at next, in unix microseconds.
    next_us: i64,
}

impl Lending {
    /// Nothing is lent yet.
    pub fn new() -> Self {
        Self {
            engine: host().engine.get().cloned(),
            since: None,
            began: false,
            began_us: None,
            next_us: 0,
        }
    }

    /// So many bytes are loaded: serves who may be served, if it is time.
    pub fn look(&mut self, ctx: &mut ExclusiveCtx<'_>, offset: u64) {
        let shared = ctx.env.shared;
        if self.since.is_none() {
            let interval = ctx.state.config.uint(Param::LoadingProcessEventsIntervalBytes);
            let now_us = (shared.clock.unix_us)();
            let took_us = now_us - *self.began_us.get_or_insert(now_us);
            let is_long = took_us >= PATIENCE_MICROS && shared.is_heard(EventClass::LOADED);
            // 0 is for never, as in Redis.
            if interval == 0 || offset < interval && !is_long {
                return;
            }
            self.since = Some(offset);
            self.began = self.engine.is_some() && shared.busy.begin_lending(None);
        }
        self.serve(ctx);
    }

    fn serve(&mut self, ctx: &mut ExclusiveCtx<'_>) {
        let (Some(engine), Some(_)) = (&self.engine, self.since) else { return };
        let shared = ctx.env.shared;
        shared.visits.receive(engine, ctx);
        let now_us = (shared.clock.unix_us)();
        if now_us < self.next_us {
            return;
        }
        self.next_us = now_us + LOOK_MICROS;
        let mut run =
            |caller: Caller<'_>, request: Request<'_>, out: &mut Vec<u8>, end: &mut BatchEnd| {
                visits::run(caller, ctx, request, out, end);
            };
        shared.host.serve_while_busy(Some(&mut run));
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        if let (true, Some(engine)) = (self.began, &self.engine) {
            engine.shared.busy.end_lending();
        }
    }
}

/// A command that keeps the engine while a snapshot is loaded.
pub struct Lent<'a, 'b> {
    /// The command.
    pub ctx: &'a mut ExclusiveCtx<'b>,
    /// How it lets others in.
    pub lending: &'a mut Lending,
}

impl Turns for Lent<'_, '_> {
    fn with(&mut self, f: &mut dyn FnMut(&mut ExclusiveCtx<'_>)) {
        f(self.ctx);
    }

    fn loaded(&mut self, offset: u64) -> Result<(), LoadError> {
        self.ctx.env.shared.loading.note(offset);
        self.lending.look(self.ctx, offset);
        Ok(())
    }

    fn idle(&mut self, time: Option<Duration>) {
        let mut left = time.unwrap_or_default();
        while !left.is_zero() {
            let nap = left.min(NAP);
            std::thread::sleep(nap);
            left -= nap;
            self.lending.serve(self.ctx);
        }
    }

    fn note_used_memory(&mut self, bytes: u64) {
        self.ctx.env.shared.loading.note_used_memory(bytes);
    }
}
