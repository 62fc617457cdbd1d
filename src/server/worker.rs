//! What does a worker thread do? It owns its connections for their whole life: no hand-over, no
//! stealing. Its buffers are shared by all of them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use foldhash::fast::RandomState;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::connection::{Connection, serve};
use super::gate::HeldFor;
use super::stream::Stream;
use crate::engine::call::Request;
use crate::engine::client::Client;
use crate::engine::hooks::Change;
use crate::engine::lock::Engine;
use crate::engine::registry::Registry;
use crate::engine::state::Shared;
use crate::engine::stats::WorkerStats;
use crate::engine::visits::RunVisitor;
use crate::module::tasks;
use crate::resp::request::Parser;

/// Bytes of the read buffer that all connections of a worker share.
pub const READ_BUFFER_BYTES: usize = 32 * 1024;

/// Clients that are sent their messages before the connections of the worker have their turn: as many system calls,
/// a fraction of a millisecond.
const DELIVERIES_PER_TURN: usize = 64;

/// Empty output buffers that a worker keeps for its connections, and how large they may be.
const SPARE_BUFFERS_MAX: usize = 16;
const SPARE_BUFFER_BYTES_MAX: usize = 4 * 1024;

/// How long replies wait for those of other connections, in nanoseconds; a command that takes longer is waited for.
const TURN_NANOS_MAX: u64 = 250_000;

/// A socket on its way from the acceptor to a worker.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, in non-blocking mode.
    pub socket: Socket,
    /// The client that the engine knows it as.
    pub client: Arc<Client>,
}

/// A socket without a runtime.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A unix socket.
    Unix(std::os::unix::net::UnixStream),
}

/// Buffers used by one connection at a time.
#[derive(Debug, Default)]
pub struct Scratch {
    /// What was read.
    pub input: Vec<u8>,
    /// What is to be written.
    pub out: Vec<u8>,
    /// Empty buffers for what connections keep for themselves.
    pub spare: Vec<Vec<u8>>,
    /// Bytes that the connection whose turn it is has sent in it.
    pub turn_bytes: usize,
    /// The parser of connections that have no incomplete request.
    pub parser: Parser,
    /// Kept for its allocation.
    pub argv: Vec<&'static [u8]>,
    /// Kept for its allocation.
    pub requests: Vec<Request<'static>>,
    /// The registry as this thread last saw it, so that no reference count is shared between cores.
    registry: Option<Arc<Registry>>,
}

impl Scratch {
    fn new() -> Self {
        Self { input: vec![0; READ_BUFFER_BYTES], ..Self::default() }
    }

    /// Keeps a connection's buffer for the next one that needs one.
    #[inline]
    pub fn spare(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS_MAX && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Takes the current registry out, fetched anew only when it has changed; give it back with
    /// [`Scratch::return_registry`].
    #[inline]
    pub fn take_registry(&mut self, shared: &Shared) -> Arc<Registry> {
        let current = shared.registry_generation.load(Ordering::Acquire);
        match self.registry.take() {
            Some(registry) if registry.generation() == current => registry,
            _ => Arc::clone(&shared.registry.read()),
        }
    }

    /// Puts the registry back for the next batch.
    #[inline]
    pub fn return_registry(&mut self, registry: Arc<Registry>) {
        self.registry = Some(registry);
    }
}

/// What became of the end of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TurnEnd {
    /// It has come.
    Done,
    /// It is put off for a moment.
    Later,
}

/// A worker thread's state.
#[derive(Debug)]
pub struct Worker {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Its number; 0 is the main thread.
    pub number: usize,
    /// Its connections by client id.
    pub connections: RefCell<HashMap<u64, Rc<RefCell<Connection>>, RandomState>>,
    /// Its buffers.
    pub scratch: RefCell<Scratch>,
    /// The buffers used while a script runs inside a connection's turn.
    busy_scratch: RefCell<Scratch>,
    /// Clients whose output is held back until the turn ends or the log is durable.
    held: RefCell<Vec<u64>>,
    /// When the first of them was, as the engine's clock counts.
    held_since_ns: Cell<u64>,
    /// How many of them, from the front, were held before this turn.
    held_before: Cell<usize>,
    /// For how many of them, from the front, a sync was asked.
    held_asked: Cell<usize>,
    /// For how many of them the worker synced last.
    synced_for: Cell<usize>,
    incoming: RefCell<mpsc::UnboundedReceiver<Accepted>>,
}

thread_local! {
    static WORKER: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

impl Worker {
    /// The worker's figures.
    #[inline]
    pub fn stats(&self) -> &WorkerStats {
        &self.engine.shared.workers[self.number]
    }

    fn adopt(self: &Rc<Self>, accepted: Accepted) {
        let stream = match accepted.socket {
            Socket::Tcp(socket) => tokio::net::TcpStream::from_std(socket).map(Stream::Tcp),
            Socket::Unix(socket) => tokio::net::UnixStream::from_std(socket).map(Stream::Unix),
        };
        match stream {
            Ok(stream) => {
                let id = accepted.client.id;
                tasks::client_changed(&self.engine, &accepted.client, Change::Up);
                let connection = Connection::new(stream, accepted.client);
                let connection = Rc::new(RefCell::new(connection));
                self.connections.borrow_mut().insert(id, Rc::clone(&connection));
                tokio::task::spawn_local(serve(Rc::clone(self), connection));
            }
            Err(error) => {
                tracing::warn!("cannot serve an accepted connection: {error}");
                self.engine.shared.clients.lock().remove(accepted.client.id);
                accepted.client.forget_memory(&self.engine.shared);
                self.engine.shared.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Sends the messages of some clients.
    fn deliver(&self, clients: &[u64]) {
        let mut scratch = self.scratch.borrow_mut();
        for id in clients {
            let connection = self.connections.borrow().get(id).cloned();
            // No connection has its turn now, so none is borrowed.
            if let Some(connection) = connection
                && let Ok(mut connection) = connection.try_borrow_mut()
            {
                connection.deliver(self, &mut scratch);
            }
        }
    }

    /// Notes that a client's output is held back. It is released at the end of the turn in which the connections do what
    /// they can, so that one write to the log serves all of them, or when the log is synced.
    pub fn hold(&self, client: u64) {
        let shared = &self.engine.shared;
        let mut held = self.held.borrow_mut();
        if held.len() == self.held_before.get() {
            self.held_since_ns.set((shared.clock.mono_ns)());
            shared.durable.wake(self.number);
        }
        held.push(client);
    }

    /// Releases output in the middle of a turn that takes long.
    #[inline]
    pub fn end_long_turn(&self) {
        let shared = &self.engine.shared;
        if self.held.borrow().len() > self.held_before.get()
            && (shared.clock.mono_ns)() - self.held_since_ns.get() > TURN_NANOS_MAX
            && !shared.durable.waits_for_sync()
        {
            let _ = self.end_turn();
        }
    }

    /// Writes the log, unless output waits for more than that anyway.
    pub fn write_log(&self) {
        let shared = &self.engine.shared;
        if !shared.durable.waits_for_sync() && shared.durable.written() < shared.durable.appended()
        {
            shared.host.write_log(&shared.durable);
        }
    }

    /// Ends the turn: has written or synced what was logged in it, and releases the output that was held for that.
    /// Or says that the turn should go on, since more connections are about to ask for the same sync.
    fn end_turn(&self) -> TurnEnd {
        if self.held.borrow().is_empty() {
            return TurnEnd::Done;
        }
        let shared = &self.engine.shared;
        if let Some(sync_ns) = shared.durable.quick_sync_ns() {
            if self.gathers(sync_ns) {
                return TurnEnd::Later;
            }
            self.synced_for.set(self.held.borrow().len());
            shared.host.sync_log(&shared.durable);
        } else {
            self.write_log();
        }
        self.release_held(&mut self.scratch.borrow_mut());
        TurnEnd::Done
    }

    /// Whether a sync waits, no longer than it will take, for as many connections as the last one was for: they ask again
    /// at about the same time, and one that leaves without most of them has them wait for two.
    fn gathers(&self, sync_ns: u64) -> bool {
        let (shared, held) = (&self.engine.shared, self.held.borrow().len());
        held < self.synced_for.get()
            && shared.durable.synced() < shared.durable.appended()
            && (shared.clock.mono_ns)() - self.held_since_ns.get() < sync_ns
    }

    /// Releases the output of what is durable by now, and sees to it that the rest will be.
    fn release_held(&self, scratch: &mut Scratch) {
        let mut held = std::mem::take(&mut *self.held.borrow_mut());
        self.held_before.set(0);
        let (mut wait_for_lock, mut at, mut asked) = (false, 0, 0);
        held.retain(|id| {
            at += 1;
            let connection = self.connections.borrow().get(id).cloned();
            let Some(connection) = connection else { return false };
            // One that has its turn now does this itself.
            let Ok(mut connection) = connection.try_borrow_mut() else { return true };
            let released = connection.release(self, scratch);
            wait_for_lock |= released == Err(HeldFor::Lock);
            asked += usize::from(released.is_err() && at <= self.held_asked.get());
            released.is_err()
        });
        let durable = &self.engine.shared.durable;
        let waits = durable.waits_for_sync();
        if waits && held.len() > asked {
            durable.ask_for_sync(held.len() - asked);
        }
        self.held_asked.set(if waits { held.len() } else { 0 });
        // Those that were held anew meanwhile come behind; they have woken this task.
        self.held_before.set(held.len());
        held.append(&mut self.held.borrow_mut());
        *self.held.borrow_mut() = held;
        if wait_for_lock {
            durable.wake(self.number);
        }
    }

    /// Serves the other connections for a moment while a script keeps this thread.
    fn serve_while_busy(self: &Rc<Self>, mut run: Option<&mut RunVisitor<'_>>) {
        let Ok(mut scratch) = self.busy_scratch.try_borrow_mut() else { return };
        if scratch.input.is_empty() {
            *scratch = Scratch::new();
        }
        while let Ok(accepted) = self.incoming.borrow_mut().try_recv() {
            self.adopt(accepted);
        }
        let connections: Vec<_> = self.connections.borrow().values().cloned().collect();
        for connection in connections {
            // The one that runs the script is borrowed, and passed over.
            if let Ok(mut connection) = connection.try_borrow_mut() {
                connection.serve_while_busy(self, &mut scratch, run.as_deref_mut());
            }
        }
    }
}

/// Empties the worker's mailbox for ever.
async fn deliver_messages(worker: Rc<Worker>) {
    let mut clients = Vec::new();
    loop {
        std::future::poll_fn(|cx| {
            worker.engine.shared.post.collect(worker.number, cx.waker(), &mut clients);
            if clients.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        for some in clients.chunks(DELIVERIES_PER_TURN) {
            worker.deliver(some);
            if clients.len() > DELIVERIES_PER_TURN {
                tokio::task::yield_now().await;
            }
        }
        clients.clear();
    }
}

/// Ends the worker's turns for ever.
async fn end_turns(worker: Rc<Worker>) {
    std::future::poll_fn(|cx| -> Poll<()> {
        worker.engine.shared.durable.register(worker.number, cx.waker());
        match worker.end_turn() {
            TurnEnd::Done => Poll::Pending,
            TurnEnd::Later => {
                // Clients first that want this core; then the sockets, which a plain wake would not look at.
                std::thread::yield_now();
                pin!(tokio::task::yield_now()).poll(cx)
            }
        }
    })
    .await;
}

/// Serves the connections of the thread that runs a long script or a module's long command; nothing on other threads.
pub fn serve_while_busy(run: Option<&mut RunVisitor<'_>>) {
    let worker = WORKER.with(|worker| worker.borrow().clone());
    if let Some(worker) = worker {
        worker.serve_while_busy(run);
    }
}

/// Releases what this thread's worker holds back, in the middle of a connection's turn that takes long; nothing on other
/// threads. What must be written to the log first stays.
pub fn release_output() {
    let worker = WORKER.with(|worker| worker.borrow().clone());
    if let Some(worker) = worker
        && worker.held.borrow().len() > worker.held_before.get()
        && let Ok(mut scratch) = worker.busy_scratch.try_borrow_mut()
    {
        worker.release_held(&mut scratch);
    }
}

/// Does what other threads ask for, between the turns of the connections, for ever.
async fn run_errands(worker: Rc<Worker>) {
    let engine = &worker.engine;
    let Some(mut inbox) = engine.shared.errands.open(worker.number) else { return };
    loop {
        let errand =
            std::future::poll_fn(|cx| inbox.take(cx.waker()).map_or(Poll::Pending, Poll::Ready));
        errand.await(engine);
        tokio::task::yield_now().await;
    }
}

/// Runs a worker until the acceptor is gone. Blocks the thread.
pub fn run(
    engine: Arc<Engine>,
    number: usize,
    incoming: mpsc::UnboundedReceiver<Accepted>,
) -> std::io::Result<()> {
    // Known by its number, so that what is loaded can be put into it.
    crate::allocator::use_arena_of(number);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let worker = Rc::new(Worker {
        engine,
        number,
        connections: RefCell::default(),
        scratch: RefCell::new(Scratch::new()),
        busy_scratch: RefCell::default(),
        held: RefCell::default(),
        held_since_ns: Cell::new(0),
        held_before: Cell::new(0),
        held_asked: Cell::new(0),
        synced_for: Cell::new(0),
        incoming: RefCell::new(incoming),
    });
    WORKER.with(|own| *own.borrow_mut() = Some(Rc::clone(&worker)));
    let tasks = LocalSet::new();
    tasks.spawn_local(deliver_messages(Rc::clone(&worker)));
    tasks.spawn_local(end_turns(Rc::clone(&worker)));
    tasks.spawn_local(run_errands(Rc::clone(&worker)));
    tasks.block_on(&runtime, async move {
        while let Some(accepted) =
            std::future::poll_fn(|cx| worker.incoming.borrow_mut().poll_recv(cx)).await
        {
            worker.adopt(accepted);
        }
    });
    Ok(())
}
