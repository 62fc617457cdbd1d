//! Who is served while a module keeps the exclusive lock? Commands that say of themselves that they may be.
//!
//! A module whose command takes long yields now and then. From then on, workers that would wait for the lock refuse
//! what their clients ask for, but for the commands that are allowed while the server is busy: those of modules need
//! the lock and are therefore handed over as visits, which the thread that has it runs when it yields the next
//! time. A command that loads a data set yields as well; then it is what may run while data is loaded. A worker takes a
//! visit back when the lock is to be had again before that.
//!
//! Invariants: a visit is run or taken back, never both; one that is run does not wait for anything, and those who
//! wait for its keys are served when the command that yields has ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::call::{
    Access, BatchEnd, Caller, Request, SILENT, client_call, end_unit, refuse, run_hold, silence,
};
use super::client::Client;
use super::ctx::{Env, ExclusiveCtx};
use super::effects::Unit;
use super::error::CommandError;
use super::lock::Engine;
use super::registry::Command;
use super::slow::observe;
use super::spec::{Flag, Run};
use super::state::Shared;

/// How long a worker waits before it looks whether the lock is free.
const PARK: Duration = Duration::from_millis(5);

/// Runs one request of a client whose turn it is not.
pub type RunVisitor<'a> = dyn FnMut(Caller<'_>, Request<'_>, &mut Vec<u8>, &mut BatchEnd) + 'a;

/// What becomes of a command that may run while a module keeps the lock.
pub enum Visiting<'a, 'b> {
    /// It is handed over to the thread that has the lock.
    HandOver,
    /// This thread has the lock, and runs it.
    Run(&'a mut RunVisitor<'b>),
    /// This thread has the lock, and a script runs that lets nobody in.
    Refuse,
}

/// Answers requests while a script or a module keeps the lock: what needs no lock runs, and so does what a module
/// has let in; the rest is refused.
pub fn run_while_busy(
    caller: Caller<'_>,
    hold: &[Request<'_>],
    out: &mut Vec<u8>,
    end: &mut BatchEnd,
    mut visiting: Visiting<'_, '_>,
) {
    for request in hold {
        if let Some(command) = request.command.filter(|command| may_visit(caller, command)) {
            match &mut visiting {
                Visiting::Run(run) => {
                    run(caller, *request, out, end);
                    continue;
                }
                Visiting::HandOver => {
                    caller.engine.shared.visits.go(caller, (command, *request), out, end);
                    continue;
                }
                Visiting::Refuse => {}
            }
        }
        let allowed = request.command.is_none_or(|command| {
            let asks_modules =
                command.spec.logs_in && caller.engine.shared.modules_log_in.load(Ordering::Relaxed);
            let needs_no_lock = matches!(command.spec.run, Run::Session(_)) && !asks_modules;
            needs_no_lock && command.has(lets_in(&caller.engine.shared))
        });
        if allowed {
            run_hold(caller, Access::Session, std::slice::from_ref(request), out, end);
        } else {
            let shared = &caller.engine.shared;
            let stats = &shared.workers[caller.worker];
            let now_us = (shared.clock.unix_us)();
            let client = Some(caller.client);
            let env = Env { shared, stats, worker: caller.worker, client, now_us };
            let mut session = caller.client.session.lock();
            let before = out.len();
            // The script may be one of the append-only file.
            let why = match shared.loading.is_on() {
                true => CommandError::Loading,
                false => shared.busy.refusal(),
            };
            refuse(&mut session, env, *request, why, out);
            if session.mode.intersects(SILENT) {
                silence(&mut session, before, out);
            }
            end.done += 1;
        }
    }
}

/// Whether a command may run while another one keeps the lock. Of those that are allowed while a module is busy, which
/// concern the module, only its own need the lock; of those that are allowed while data is loaded all may.
fn may_visit(caller: Caller<'_>, command: &Command) -> bool {
    let shared = &caller.engine.shared;
    let is_of_module = matches!(command.spec.run, Run::Foreign(_) | Run::ForeignRead(_));
    let needs_lock = !matches!(command.spec.run, Run::Session(_));
    let visits = if shared.loading.is_on() { needs_lock } else { is_of_module };
    visits && command.has(lets_in(shared)) && shared.busy.lends()
}

/// What a command says of itself that may run now.
fn lets_in(shared: &Shared) -> Flag {
    if shared.loading.is_on() { Flag::Loading } else { Flag::AllowBusy }
}

/// A command on its way to the thread that has the lock.
#[derive(Debug)]
struct Visit {
    client: Arc<Client>,
    worker: usize,
    generation: u64,
    command: &'static Command,
    argv: Vec<Box<[u8]>>,
    answer: Mutex<Option<(Vec<u8>, bool)>>,
    answered: Condvar,
}

/// The commands that wait for a module to yield.
#[derive(Debug, Default)]
pub struct Visits {
    queue: Mutex<VecDeque<Arc<Visit>>>,
    waiting: AtomicUsize,
    /// One is being run.
    running: AtomicBool,
    /// The clients whose commands keep the lock meanwhile: their sessions are locked.
    hosts: Mutex<Vec<u64>>,
}

impl Visits {
    /// Hands a request over and waits for its answer. False if nobody yields any more: then nothing has happened.
    pub fn go(
        &self,
        caller: Caller<'_>,
        (command, request): (&'static Command, Request<'_>),
        out: &mut Vec<u8>,
        end: &mut BatchEnd,
    ) -> bool {
        let visit = Arc::new(Visit {
            client: Arc::clone(caller.client),
            worker: caller.worker,
            generation: caller.generation,
            command,
            argv: request.argv.iter().map(|arg| Box::from(*arg)).collect(),
            answer: Mutex::default(),
            answered: Condvar::new(),
        });
        self.queue.lock().push_back(Arc::clone(&visit));
        self.waiting.fetch_add(1, Ordering::Release);
        let mut answer = visit.answer.lock();
        loop {
            if let Some((reply, close)) = answer.take() {
                out.extend_from_slice(&reply);
                end.done += 1;
                end.close |= close;
                return true;
            }
            let _ = visit.answered.wait_for(&mut answer, PARK);
            if answer.is_none() && !caller.engine.shared.busy.lends() && self.take_back(&visit) {
                return false;
            }
        }
    }

    fn take_back(&self, visit: &Arc<Visit>) -> bool {
        let mut queue = self.queue.lock();
        let Some(at) = queue.iter().position(|one| Arc::ptr_eq(one, visit)) else { return false };
        queue.remove(at);
        self.waiting.fetch_sub(1, Ordering::Release);
        true
    }

    /// Runs what waits. To be called by who has the lock.
    pub fn receive(&self, engine: &Engine, host: &mut ExclusiveCtx<'_>) {
        while self.waiting.load(Ordering::Acquire) > 0 {
            let Some(visit) = self.queue.lock().pop_front() else { return };
            self.waiting.fetch_sub(1, Ordering::Release);
            let argv: Vec<&[u8]> = visit.argv.iter().map(|arg| &**arg).collect();
            let request = Request { command: Some(visit.command), argv: &argv };
            let (client, worker) = (&visit.client, visit.worker);
            let caller = Caller { engine, client, worker, generation: visit.generation };
            let (mut out, mut end) = (Vec::new(), BatchEnd::default());
            run(caller, host, request, &mut out, &mut end);
            *visit.answer.lock() = Some((out, end.close));
            visit.answered.notify_one();
        }
    }

    /// Whether one is being run. Then more than one session is locked by this thread.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether a command of this client keeps the lock while another one visits, so that its session is locked by this
    /// very thread: whoever looks at all sessions passes it over.
    pub fn is_host(&self, client: u64) -> bool {
        self.is_running() && self.hosts.lock().contains(&client)
    }
}

/// Runs one request inside the command that yields. The keys that it makes ready are left to that one's unit.
pub fn run(
    caller: Caller<'_>,
    host: &mut ExclusiveCtx<'_>,
    request: Request<'_>,
    out: &mut Vec<u8>,
    end: &mut BatchEnd,
) {
    let shared = &caller.engine.shared;
    let visits = &shared.visits;
    let was_running = visits.running.swap(true, Ordering::Relaxed);
    visits.hosts.lock().push(host.env.client.map_or(0, |client| client.id));
    let (client, worker, stats) = (caller.client, caller.worker, &shared.workers[caller.worker]);
    let now_us = (shared.clock.unix_us)();
    let env = Env { shared, stats, worker, client: Some(client), now_us };
    let mut session = client.session.lock();
    let began_ns = (shared.clock.mono_ns)();
    let mut unit = Unit { deny_blocking: true, began_ns, ..Unit::default() };
    let mut access = Access::Exclusive(host.state);
    let ran = client_call(&mut access, &mut session, &mut unit, env, request, out);
    // A pause would hold it back until the lock is free at the earliest.
    unit.block = None;
    if let Some(command) = ran {
        let nanos = (shared.clock.mono_ns)() - began_ns;
        observe(command, nanos, request.argv, &session, env);
    }
    drop(session);
    host.unit.ready.append(std::mem::take(&mut unit.ready));
    end_unit(&mut access, &mut unit, env);
    if client.has_messages() {
        client.take_messages(out);
    }
    end.done += 1;
    end.close |= unit.close;
    visits.hosts.lock().pop();
    visits.running.store(was_running, Ordering::Relaxed);
}
