//! How does one connection live? It reads, runs what is complete, and writes, all in one poll of its
//! task.
//!
//! Invariants: the worker's buffers serve all its connections, so a connection owns bytes only while
//! a request is incomplete or a reply has not left; replies leave at the end of the worker's turn, those of all
//! connections one after the other (decision 0024), and writability is awaited only when the socket is full;
//! nothing is awaited while the engine lock is held.

mod input;
mod recycle;

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use self::recycle::recycle;
use super::gate::{Gate, HeldFor};
use super::stream::{Stream, Way};
use super::worker::{Scratch, Worker};
use crate::base::size_class::size_class;
use crate::engine::block::{self, GivenUp};
use crate::engine::call::{self, Caller, Request};
use crate::engine::client::{Client, Mode};
use crate::engine::effects::Block;
use crate::engine::hooks::Change;
use crate::engine::outbox::{Piece, SharedBytes};
use crate::engine::pubsub;
use crate::engine::registry::Names;
use crate::engine::transaction;
use crate::engine::visits::{RunVisitor, Visiting, run_while_busy};
use crate::module::tasks;
use crate::resp::reply::{Protocol, Reply};
use crate::resp::request::{Limits, Parser, Stop};

/// Reads of one connection before the other connections of the worker have their turn.
const READS_PER_TURN: usize = 16;

/// Bytes of one connection before the others have their turn: as many as the worker's buffer holds. So many
/// short commands take a fraction of a millisecond, and that is how long a PING of somebody else may wait.
const TURN_BYTES: usize = super::worker::READ_BUFFER_BYTES;

/// Messages that are copied together for one write; a longer one is sent from where it is, and stays shared while it
/// waits for the socket.
const MESSAGES_COPIED_BYTES: usize = 16 * 1024;

/// A connection that holds back more than this for the log reads no further.
const HELD_BYTES_MAX: usize = 1 << 20;

/// When a wait that could not be ended because a script keeps the engine is looked at again.
const RETRY: Duration = Duration::from_millis(10);

/// The shortest wait for keys. Redis looks at deadlines when its event loop turns, so that a wait of a
/// millisecond lasts for some; clients, and their tests, take it that a command which waits is seen to.
const WAIT_MIN: Duration = Duration::from_millis(10);

/// Replies wait for the end of the worker's turn only as long as a connection has fewer bytes of them: more are worth a
/// write of their own, and the copy would cost more than it saves.
const REPLIES_KEPT_BYTES: usize = 16 * 1024;

/// The same for the output buffer that a worker's connections share.
const SHARED_OUTPUT_KEPT_BYTES: usize = 4 << 20;

/// The list of arguments that they share is given back once it was longer than this.
const SHARED_ARGUMENTS_KEPT: usize = 16 * 1024;

/// Bytes that were sent are dropped from the front of the output once they are so many, and half of it.
const SENT_KEPT_BYTES: usize = 64 * 1024;

/// A client's socket and what is under way on it.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// The client, as the engine knows it.
    pub client: Arc<Client>,
    /// Bytes of an incomplete request, or of requests that wait behind a blocked command.
    input: Vec<u8>,
    /// Where the incomplete request stands.
    parser: Parser,
    /// What the last read of a long string brought: the next one makes room for twice as much.
    last_read: usize,
    /// A message that the socket has taken a part of; goes before `output`.
    message: Option<(SharedBytes, usize)>,
    /// Replies that the socket had no room for.
    output: Vec<u8>,
    /// How much of `output` has been sent.
    sent: usize,
    /// What must be durable before what follows `sent` leaves.
    gate: Gate,
    /// The worker knows that this connection holds output back, for that or until the turn ends.
    held: bool,
    /// The command that waits, and its deadline.
    blocked: Option<(Block, Option<Pin<Box<Sleep>>>)>,
    /// The connection ends when `output` is empty.
    closing: bool,
}

/// Whether a step left something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Go,
    Wait,
    End,
}

impl Connection {
    /// A connection for a socket that was accepted.
    pub fn new(stream: Stream, client: Arc<Client>) -> Self {
        Self {
            stream,
            client,
            input: Vec::new(),
            parser: Parser::default(),
            last_read: 0,
            message: None,
            output: Vec::new(),
            sent: 0,
            gate: Gate::default(),
            held: false,
            blocked: None,
            closing: false,
        }
    }

    /// Does all that can be done now. Ready when the connection has ended.
    pub fn poll(&mut self, worker: &Worker, cx: &mut Context<'_>) -> Poll<()> {
        self.register(cx);
        worker.end_long_turn();
        let mut scratch = worker.scratch.borrow_mut();
        let polled = self.take_turn(worker, &mut scratch, cx);
        // What an ended connection still had coming must not go to the next one.
        scratch.out.clear();
        polled
    }

    fn take_turn(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        scratch.turn_bytes = 0;
        for _ in 0..READS_PER_TURN {
            if self.client.killed.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            self.check_deadline(worker, scratch, cx);
            if self.flush_all(worker, scratch, &mut Way::Polled(cx)) == Step::End {
                return Poll::Ready(());
            }
            if !self.weigh(worker) {
                return Poll::Ready(());
            }
            if self.closing {
                return if self.has_output() { Poll::Pending } else { Poll::Ready(()) };
            }
            if self.held && self.output.len() > HELD_BYTES_MAX {
                return Poll::Pending;
            }
            match self.receive(worker, scratch, cx) {
                Step::End => return self.leave(worker, scratch),
                Step::Wait => return Poll::Pending,
                Step::Go => {}
            }
            if scratch.turn_bytes >= TURN_BYTES {
                break;
            }
        }
        if self.flush_all(worker, scratch, &mut Way::Polled(cx)) == Step::End || !self.weigh(worker)
        {
            return Poll::Ready(());
        }
        // Others first, also those whose bytes have arrived meanwhile: woken like this, the task comes
        // back only after the runtime has looked at its sockets. A plain wake would have a busy
        // connection run up to 61 times before that.
        pin!(tokio::task::yield_now()).poll(cx).map(|()| unreachable!("it yields first"))
    }

    /// Ends a connection that sends nothing more, when it has got its replies.
    fn leave(&mut self, worker: &Worker, scratch: &mut Scratch) -> Poll<()> {
        if !self.held || self.client.killed.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.closing = true;
        let step = self.flush_all(worker, scratch, &mut Way::Now);
        if step == Step::End || !self.has_output() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Counts what the client takes in memory, and has clients go if that of all is too much; false if this one does.
    #[inline]
    fn weigh(&self, worker: &Worker) -> bool {
        let shared = &worker.engine.shared;
        if !shared.client_memory.is_limited() {
            return true;
        }
        self.client.count_memory(shared);
        shared.client_memory.enforce(shared);
        !self.client.killed.load(Ordering::Acquire)
    }

    /// Lets others wake this task.
    fn register(&self, cx: &Context<'_>) {
        let mut outbox = self.client.outbox.lock();
        if !outbox.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            outbox.waker = Some(cx.waker().clone());
        }
    }

    /// Moves some of what others sent into the output, if the socket has taken all that came before; what it does
    /// not take stays in the outbox, where it is shared and counted.
    fn take_messages(&mut self, worker: &Worker, scratch: &mut Scratch) {
        if !self.client.has_messages() || self.has_output() || self.closing {
            return;
        }
        if self.client.following.has_time.load(Ordering::Relaxed) {
            self.client.following.has_time.store(false, Ordering::Relaxed);
            self.stream.save_packets();
        }
        let mut outbox = self.client.outbox.lock();
        // Whoever sent it may not have handed over yet what it logged.
        self.gate.await_hold(&worker.engine.shared.durable);
        while let Some(len) = outbox.next_len() {
            let alone = len > MESSAGES_COPIED_BYTES && scratch.out.is_empty();
            if !alone && !scratch.out.is_empty() && scratch.out.len() + len > MESSAGES_COPIED_BYTES
            {
                self.client.note_waiting(&outbox);
                return;
            }
            match outbox.take_piece() {
                Some(Piece::Shared(bytes)) if alone => {
                    self.message = Some((bytes, 0));
                    self.client.note_waiting(&outbox);
                    return;
                }
                Some(Piece::Own(bytes)) if alone => {
                    self.message = Some((Arc::new(bytes), 0));
                    self.client.note_waiting(&outbox);
                    return;
                }
                Some(Piece::Stream(bytes, from)) if alone => {
                    self.message = Some((bytes, from));
                    return;
                }
                Some(piece) => scratch.out.extend_from_slice(piece.bytes()),
                None => {}
            }
        }
        // Frees what the queue keeps too much of.
        outbox.take_piece();
        self.client.settle(&mut outbox);
        let unblocked = std::mem::take(&mut outbox.unblocked);
        drop(outbox);
        if unblocked && self.blocked.take().is_some() {
            self.resume(worker, scratch);
        }
    }

    /// Whether the socket has not taken everything yet.
    fn has_output(&self) -> bool {
        self.message.is_some() || !self.output.is_empty()
    }

    /// Whether output must wait for the log; the worker is told then.
    #[inline]
    fn must_wait(&mut self, worker: &Worker) -> bool {
        if !self.gate.is_closed(&worker.engine.shared.durable) {
            return false;
        }
        if !self.held {
            self.held = true;
            worker.hold(self.client.id);
        }
        true
    }

    /// Whether the replies that were just made wait until the turn ends; the worker is told then. The other end sleeps
    /// while it waits for replies, and waking it costs more than the replies do: once for all connections is enough.
    #[inline]
    fn may_wait(&mut self, worker: &Worker, scratch: &Scratch, way: &Way<'_, '_>) -> bool {
        let waits = matches!(way, Way::Polled(_))
            && !self.closing
            && self.message.is_none()
            && (self.held || self.output.is_empty())
            && self.output.len() + scratch.out.len() <= REPLIES_KEPT_BYTES;
        if waits && !self.held {
            self.held = true;
            worker.hold(self.client.id);
        }
        waits
    }

    /// Sends what was held back, if the log is durable up to there; otherwise it says what it waits for.
    pub fn release(&mut self, worker: &Worker, scratch: &mut Scratch) -> Result<(), HeldFor> {
        if self.gate.is_closed(&worker.engine.shared.durable) {
            return Err(self.gate.waits_for());
        }
        let was_full = self.output.len() > HELD_BYTES_MAX;
        self.held = false;
        match self.flush_all(worker, scratch, &mut Way::Now) {
            Step::Go if self.closing || was_full => self.client.wake(),
            Step::Wait if !self.held => self.client.wake(),
            Step::Go | Step::Wait => {}
            Step::End => self.client.kill(),
        }
        Ok(())
    }

    /// Sends what is there, replies and messages, until nothing is left or the socket is full.
    fn flush_all(&mut self, worker: &Worker, scratch: &mut Scratch, way: &mut Way<'_, '_>) -> Step {
        loop {
            self.take_messages(worker, scratch);
            let step = self.flush(worker, scratch, way);
            if step != Step::Go || !self.client.has_messages() || self.closing {
                return step;
            }
        }
    }

    /// Sends the messages that its mailbox told of, at once and without the connection's task, which is woken only
    /// if there is more to do.
    pub fn deliver(&mut self, worker: &Worker, scratch: &mut Scratch) {
        let has_answer = self.client.outbox.lock().unblocked;
        if has_answer || self.client.killed.load(Ordering::Relaxed) {
            self.client.wake();
        } else if !self.has_output() && !self.closing {
            match self.flush_all(worker, scratch, &mut Way::Now) {
                Step::Wait if !self.held => self.client.wake(),
                Step::Go | Step::Wait => {}
                Step::End => self.client.kill(),
            }
        }
    }

    /// Ends the wait of a blocked command whose time is over.
    fn check_deadline(&mut self, worker: &Worker, scratch: &mut Scratch, cx: &mut Context<'_>) {
        let Some((block, Some(timer))) = &mut self.blocked else { return };
        if timer.as_mut().poll(cx).is_pending() || self.client.outbox.lock().unblocked {
            return;
        }
        if let Block::Paused { .. } = block
            && !worker.engine.shared.pause.leave(self.client.id)
        {
            // CLIENT UNPAUSE has it go on.
            return;
        }
        let mut on_timeout = block.on_timeout().map(<[u8]>::to_vec);
        if let Block::Elsewhere { .. } = block {
            let durable = &worker.engine.shared.durable;
            match durable.elsewhere.leave(self.client.id, durable.kept()) {
                // The answer is on its way.
                None => return,
                reply => on_timeout = reply,
            }
        }
        if let Block::Keys { .. } = block {
            // With the lock held nobody is being served, so whoever is still in the table was not.
            let Ok(_state) = worker.engine.read() else {
                timer.as_mut().reset(Instant::now() + RETRY);
                // Polled so that it wakes this task.
                let _ = timer.as_mut().poll(cx);
                return;
            };
            let how = GivenUp::TimedOut;
            if !block::give_up(&worker.engine.shared, worker.number, self.client.id, how) {
                return;
            }
        }
        if let Some(on_timeout) = on_timeout
            && !self.client.session.lock().drops_reply()
        {
            scratch.out.extend_from_slice(&on_timeout);
        }
        self.blocked = None;
        self.resume(worker, scratch);
    }

    /// Runs what arrived behind a command that was blocked.
    fn resume(&mut self, worker: &Worker, scratch: &mut Scratch) {
        let mut session = self.client.session.lock();
        // A reply that CLIENT REPLY SKIP dropped is behind us.
        session.mode.remove(Mode::BLOCKED | Mode::REPLY_SKIP);
        session.blocked_reply = None;
        session.foreign = None;
        session.waiting_argv_bytes = 0;
        self.client.note_session(&session);
        drop(session);
        if !self.input.is_empty() {
            self.run_own_input(worker, scratch);
        }
    }

    /// Sends what is in the worker's and the connection's output buffers.
    fn flush(&mut self, worker: &Worker, scratch: &mut Scratch, way: &mut Way<'_, '_>) -> Step {
        if (self.has_output() || !scratch.out.is_empty()) && self.must_wait(worker) {
            self.keep_output(worker, scratch, 0);
            return self.settle_output(worker, scratch);
        }
        if !scratch.out.is_empty() && self.may_wait(worker, scratch, way) {
            // It does not count as the client's memory, since it is about to leave.
            self.take_buffer(scratch);
            self.output.extend_from_slice(&scratch.out);
            scratch.out.clear();
            return Step::Wait;
        }
        match self.send_parts(worker, scratch, way) {
            Ok(()) => self.settle_output(worker, scratch),
            Err(_) => {
                scratch.out.clear();
                Step::End
            }
        }
    }

    /// Sends the parts in their order; what the socket does not take is kept.
    fn send_parts(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        way: &mut Way<'_, '_>,
    ) -> io::Result<()> {
        if let Some((bytes, at)) = self.message.take() {
            let at = self.stream.write(worker, way, &bytes, at)?;
            if at < bytes.len() {
                self.message = Some((bytes, at));
                self.keep_output(worker, scratch, 0);
                return Ok(());
            }
        }
        if self.output.is_empty() {
            let at = self.stream.write(worker, way, &scratch.out, 0)?;
            self.keep_output(worker, scratch, at);
        } else {
            self.keep_output(worker, scratch, 0);
            self.sent = self.stream.write(worker, way, &self.output, self.sent)?;
        }
        Ok(())
    }

    /// Has a buffer for output, if there is one to be had.
    #[inline]
    fn take_buffer(&mut self, scratch: &mut Scratch) {
        if self.output.capacity() == 0 {
            self.output = scratch.spare.pop().unwrap_or_default();
        }
    }

    /// Takes over what the socket had no room for, from byte `at` on.
    fn keep_output(&mut self, worker: &Worker, scratch: &mut Scratch, at: usize) {
        let is_large = scratch.out.capacity() > SHARED_OUTPUT_KEPT_BYTES;
        if is_large && self.output.is_empty() && at < scratch.out.len() {
            (self.output, self.sent) = (std::mem::take(&mut scratch.out), at);
            return;
        }
        if at == scratch.out.len() {
            scratch.out.clear();
            return;
        }
        self.take_buffer(scratch);
        let needed = self.output.len() + scratch.out.len() - at;
        if needed > self.output.capacity() && worker.engine.shared.client_memory.is_limited() {
            // Counted before it is taken: clients go rather than keys.
            let grown = size_class(needed.max(2 * self.output.capacity()));
            self.client.footprint.output.store(grown, Ordering::Relaxed);
            self.weigh(worker);
        }
        if !self.client.killed.load(Ordering::Relaxed) {
            self.output.extend_from_slice(&scratch.out[at..]);
        }
        scratch.out.clear();
        if is_large {
            scratch.out = Vec::new();
        }
    }

    /// Sends what it can in the middle of a batch, without waiting for more room; ends the connection if too
    /// much is left.
    fn spill(&mut self, worker: &Worker, scratch: &mut Scratch) -> Step {
        worker.write_log();
        self.flush(worker, scratch, &mut Way::Now)
    }

    /// Forgets what was sent; ends the connection if too much is waiting.
    fn settle_output(&mut self, worker: &Worker, scratch: &mut Scratch) -> Step {
        self.client.end_passing(&worker.engine.shared);
        if self.sent == self.output.len() {
            self.sent = 0;
            if self.output.capacity() > 0 {
                scratch.spare(std::mem::take(&mut self.output));
            }
            if self.message.is_none() {
                if self.client.output_bytes.load(Ordering::Relaxed) != 0 {
                    self.client.output_bytes.store(0, Ordering::Relaxed);
                    self.client.footprint.output.store(0, Ordering::Relaxed);
                }
                return Step::Go;
            }
        }
        if self.sent > SENT_KEPT_BYTES.max(self.output.len() / 2) {
            // A client that is always a little behind must not make the buffer grow for ever.
            self.output = self.output.split_off(self.sent);
            self.sent = 0;
        }
        let message = self.message.as_ref().map_or(0, |(bytes, at)| bytes.len() - at);
        let waiting = message + self.output.len() - self.sent;
        self.client.output_bytes.store(waiting, Ordering::Relaxed);
        let held = message + size_class(self.output.capacity());
        self.client.footprint.output.store(held, Ordering::Relaxed);
        if self.client.is_over_limit(&worker.engine.shared, waiting) {
            self.client.cut_off();
            return Step::End;
        }
        if self.weigh(worker) { Step::Wait } else { Step::End }
    }

    /// Parses and runs requests from `data`; returns how many bytes of it are done with.
    fn run(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        parser: &mut Parser,
        data: &[u8],
    ) -> (usize, Step) {
        let mut used = 0;
        self.client.query_bytes.store(data.len(), Ordering::Relaxed);
        self.client.argument_bytes.store(0, Ordering::Relaxed);
        loop {
            let stop = parser.parse(&data[used..], self.limits(worker));
            let found = parser.requests().len();
            if found > 0 {
                let (end, step) = self.run_requests(worker, scratch, parser, &data[used..]);
                if end.close || step == Step::End {
                    self.closing = true;
                    parser.reset();
                    return (data.len(), step);
                }
                if let Some(block) = end.block {
                    // A command that CLIENT PAUSE holds back is not done.
                    let next = match end.done {
                        0 => 0,
                        done => parser.requests()[done - 1].end,
                    };
                    parser.reset();
                    self.block(block);
                    return (used + next, Step::Go);
                }
                used += parser.consumed();
                parser.release();
            } else {
                let gone = parser.consumed();
                parser.release();
                used += gone;
            }
            match stop {
                Stop::NeedMore => return (used, Step::Go),
                Stop::BatchFull => {}
                // Requests before it may have changed what is allowed (AUTH), so look again.
                Stop::Error(_) if found > 0 => {}
                Stop::Error(error) => {
                    let text = format!("ERR {error}");
                    worker.stats().error(text.as_bytes());
                    Reply::new(&mut scratch.out, Protocol::Resp2).error(text.as_bytes());
                    self.closing = true;
                    parser.reset();
                    return (data.len(), Step::Go);
                }
            }
        }
    }

    fn limits(&self, worker: &Worker) -> Limits {
        let limits = &worker.engine.shared.limits;
        let mode = self.client.session.lock().mode;
        Limits {
            bulk_bytes_max: limits.bulk_bytes.load(Ordering::Relaxed),
            authenticated: !mode.contains(Mode::UNAUTHENTICATED)
                || worker.engine.shared.users.default_user().lets_in(),
        }
    }

    /// Looks the parsed requests up and hands them to the engine. Long output is sent on the way; the step says
    /// whether that ended the connection.
    fn run_requests(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        parser: &Parser,
        data: &[u8],
    ) -> (call::BatchEnd, Step) {
        let registry = scratch.take_registry(&worker.engine.shared);
        let mut argv: Vec<&[u8]> = recycle(std::mem::take(&mut scratch.argv));
        for request in parser.requests() {
            argv.extend(parser.arguments(data, *request));
        }
        let mut requests: Vec<Request<'_>> = recycle(std::mem::take(&mut scratch.requests));
        let mut rest = &argv[..];
        let mut names = Names::new(&registry);
        for request in parser.requests() {
            let (own, after) = rest.split_at(request.len);
            rest = after;
            requests.push(Request { command: names.resolve(own), argv: own });
        }
        let mut done = 0;
        let (mut end, step) = loop {
            let caller = Caller {
                engine: &worker.engine,
                client: &self.client,
                worker: worker.number,
                generation: registry.generation(),
            };
            let end = call::run_batch(caller, &mut requests[done..], &mut scratch.out);
            done += end.done;
            if end.shows_data {
                self.gate.await_log(&worker.engine.shared.durable);
            }
            if done == requests.len() || end.close || end.block.is_some() {
                break (end, Step::Go);
            }
            if self.spill(worker, scratch) == Step::End {
                break (end, Step::End);
            }
        };
        end.done = done;
        scratch.requests = recycle(requests);
        scratch.argv = recycle(argv);
        if scratch.argv.capacity() > SHARED_ARGUMENTS_KEPT {
            scratch.argv = Vec::new();
        }
        scratch.return_registry(registry);
        (end, step)
    }

    /// Begins to wait for a command's answer.
    fn block(&mut self, block: Block) {
        let timer = block.deadline_ms().map(|at| {
            let now = (super::clock::CLOCK.unix_us)() / 1000;
            let wait = Duration::from_millis(u64::try_from(at - now).unwrap_or(0));
            let wait = match block {
                Block::Keys { .. } => wait.max(WAIT_MIN),
                Block::Until { .. }
                | Block::Elsewhere { .. }
                | Block::Foreign { .. }
                | Block::Paused { .. } => wait,
            };
            Box::pin(sleep_until(Instant::now() + wait))
        });
        self.blocked = Some((block, timer));
    }

    /// Serves this connection while a script of its thread keeps the engine lock: only what needs no
    /// lock is answered, the rest is refused with -BUSY.
    pub fn serve_while_busy(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        run: Option<&mut RunVisitor<'_>>,
    ) {
        if self.blocked.is_some() || self.closing || self.client.killed.load(Ordering::Relaxed) {
            return;
        }
        let mut input = std::mem::take(&mut scratch.input);
        if let Ok(n) = self.stream.read_now(&mut input)
            && n > 0
        {
            self.input.extend_from_slice(&input[..n]);
            self.answer_while_busy(worker, scratch, run);
        }
        scratch.input = input;
        // The limits hold now as well; the connection's task comes to its end after the script.
        if self.spill(worker, scratch) == Step::End || self.check_input(worker) == Step::End {
            self.client.killed.store(true, Ordering::Release);
        }
    }

    fn answer_while_busy(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        mut run: Option<&mut RunVisitor<'_>>,
    ) {
        // What cannot be parsed now is an error that the connection's task reports later.
        let mut parser = std::mem::take(&mut self.parser);
        let _ = parser.parse(&self.input, self.limits(worker));
        let registry = scratch.take_registry(&worker.engine.shared);
        let caller = Caller {
            engine: &worker.engine,
            client: &self.client,
            worker: worker.number,
            generation: registry.generation(),
        };
        let mut end = call::BatchEnd::default();
        for request in parser.requests() {
            let argv: Vec<&[u8]> = parser.arguments(&self.input, *request).collect();
            let request = call::look_up(&registry, &argv);
            let visiting = run.as_deref_mut().map_or(Visiting::Refuse, Visiting::Run);
            run_while_busy(caller, &[request], &mut scratch.out, &mut end, visiting);
        }
        scratch.return_registry(registry);
        let gone = parser.consumed();
        parser.release();
        self.input.drain(..gone);
        self.parser = parser;
        self.closing |= end.close;
    }

    /// Forgets the client.
    pub fn close(&mut self, worker: &Worker) {
        let shared = &worker.engine.shared;
        tasks::client_changed(&worker.engine, &self.client, Change::Down);
        let mut session = self.client.session.lock();
        transaction::forget_watches(shared, &mut session, self.client.id);
        pubsub::forget_all(&mut session, shared, &self.client);
        session.tell_of_user(self.client.id);
        drop(session);
        shared.tracking.disable(&self.client);
        shared.monitors.remove(self.client.id);
        match &self.blocked {
            Some((Block::Foreign { .. }, _)) => {
                let wait = self.client.session.lock().foreign.take();
                if let Some(wait) = wait {
                    wait.0.ended(&worker.engine);
                }
            }
            Some((Block::Keys { .. }, _)) => _ = block::leave(shared, self.client.id),
            Some((Block::Paused { .. }, _)) => _ = shared.pause.leave(self.client.id),
            Some((Block::Elsewhere { .. }, _)) => {
                _ = shared.durable.elsewhere.leave(self.client.id, None);
            }
            Some((Block::Until { .. }, _)) | None => {}
        }
        (self.input, self.output, self.message) = (Vec::new(), Vec::new(), None);
        // Whoever sends it something is told that nobody reads it any more.
        self.client.forget_memory(shared);
        shared.clients.lock().remove(self.client.id);
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        self.client.outbox.lock().waker = None;
        self.client.end_passing(shared);
        if self.client.following.follows.load(Ordering::Relaxed) {
            super::syncing::replica_gone(&worker.engine, &self.client);
        }
    }
}

/// The task of a connection.
pub async fn serve(worker: Rc<Worker>, connection: Rc<std::cell::RefCell<Connection>>) {
    std::future::poll_fn(|cx| connection.borrow_mut().poll(&worker, cx)).await;
    connection.borrow_mut().close(&worker);
    let id = connection.borrow().client.id;
    worker.connections.borrow_mut().remove(&id);
}
