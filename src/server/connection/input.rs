//! How do bytes come in? They are read into the worker's buffer, or, if they belong to a long string, into place.
//!
//! Invariants: what is complete runs at once; what a connection keeps of its own is one incomplete request, or what
//! waits behind a blocked command, and no more of it than `client-query-buffer-limit`.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::{Connection, Step};
use crate::base::size_class::size_class;
use crate::resp::request::Parser;
use crate::server::worker::{Scratch, Worker};

/// From this many missing bytes on, a string is read into its own buffer and not through the shared
/// one, which saves a copy.
const DIRECT_READ_BYTES: usize = 32 * 1024;

/// So much of an incomplete request is moved to the front of the shared buffer when more of it comes.
const INPUT_MOVED_BYTES: usize = 4096;

/// A byte of a long string is only copied, which takes so much less time than running what has short ones.
const COPIED_PER_RUN: usize = 32;

/// A string's buffer grows at most this far ahead of what has arrived, whatever its length claims.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;

/// An input buffer that is mostly empty is given back from this size on.
const INPUT_KEPT_BYTES: usize = 64 * 1024;

impl Connection {
    /// Reads once and runs what is complete.
    pub(super) fn receive(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> Step {
        let wanted = self.parser.bytes_wanted(self.input.len());
        if wanted >= DIRECT_READ_BYTES {
            return self.receive_direct(worker, scratch, wanted, cx);
        }
        let mut input = std::mem::take(&mut scratch.input);
        // What there is of an incomplete request goes in front, so that the whole can be parsed where it is.
        let before = self.input.len();
        let before = if before <= INPUT_MOVED_BYTES { before } else { 0 };
        input[..before].copy_from_slice(&self.input[..before]);
        let mut buf = ReadBuf::new(&mut input[before..]);
        let step = match self.stream.poll_read(cx, &mut buf) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                let got = buf.filled().len();
                worker.stats().net_input.add(got as u64);
                worker.stats().reads_processed.add(1);
                let step = self.accept_bytes(worker, scratch, &input[..before + got], before);
                let is_copy = self.parser.bytes_wanted(self.input.len()) >= DIRECT_READ_BYTES;
                scratch.turn_bytes += if is_copy { got / COPIED_PER_RUN } else { got };
                step
            }
            Poll::Ready(_) => Step::End,
        };
        scratch.input = input;
        step
    }

    /// Reads a long string straight into place.
    fn receive_direct(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        wanted: usize,
        cx: &mut Context<'_>,
    ) -> Step {
        let before = self.input.len();
        // Clearing the room takes time, too: who sends single bytes gets little of it.
        let ahead = (2 * self.last_read).clamp(DIRECT_READ_BYTES, READ_AHEAD_BYTES_MAX);
        let room = wanted.min(ahead);
        self.make_room(room, wanted);
        self.input.resize(before + room, 0);
        let mut buf = ReadBuf::new(&mut self.input[before..]);
        let polled = self.stream.poll_read(cx, &mut buf);
        let got = buf.filled().len();
        self.input.truncate(before + got);
        self.last_read = got;
        match polled {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(())) if got > 0 => {
                worker.stats().net_input.add(got as u64);
                scratch.turn_bytes += got / COPIED_PER_RUN;
                if got < wanted {
                    self.check_input(worker)
                } else {
                    self.run_own_input(worker, scratch)
                }
            }
            Poll::Ready(_) => Step::End,
        }
    }

    /// Makes room for more input, twice as much as there was, or just what will be filled by the string of which `wanted`
    /// bytes are missing.
    fn make_room(&mut self, more: usize, wanted: usize) {
        let (len, capacity) = (self.input.len(), self.input.capacity());
        if capacity - len < more {
            let target = match len + wanted {
                whole if wanted >= more && whole <= 4 * capacity => whole,
                _ => (len + more).max(2 * capacity),
            };
            self.input.reserve_exact(target - len);
        }
    }

    /// Takes bytes that arrived in the shared buffer, the first `before` of which are the connection's own.
    fn accept_bytes(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        data: &[u8],
        before: usize,
    ) -> Step {
        if self.blocked.is_some() {
            self.input.extend_from_slice(&data[before..]);
            return self.check_input(worker);
        }
        if self.input.len() == before {
            let mut parser = std::mem::take(&mut scratch.parser);
            match parser.resume(std::mem::take(&mut self.parser)) {
                Ok(()) => return self.run_shared(worker, scratch, parser, data),
                Err(own) => (self.parser, scratch.parser) = (own, parser),
            }
        }
        let wanted = self.parser.bytes_wanted(self.input.len());
        self.make_room(data.len() - before, wanted);
        self.input.extend_from_slice(&data[before..]);
        self.run_own_input(worker, scratch)
    }

    /// Runs what is complete in the shared buffer, and keeps the rest.
    fn run_shared(
        &mut self,
        worker: &Worker,
        scratch: &mut Scratch,
        mut parser: Parser,
        data: &[u8],
    ) -> Step {
        let mut own = std::mem::take(&mut self.input);
        let (used, step) = self.run(worker, scratch, &mut parser, data);
        if used < data.len() && !self.closing {
            own.clear();
            if own.capacity() > INPUT_MOVED_BYTES {
                own = Vec::new();
            }
            own.extend_from_slice(&data[used..]);
            self.input = own;
            self.parser = parser.split_off();
        }
        parser.reset();
        scratch.parser = parser;
        if step == Step::Go { self.check_input(worker) } else { step }
    }

    /// Runs what is complete in the connection's own buffer.
    pub(super) fn run_own_input(&mut self, worker: &Worker, scratch: &mut Scratch) -> Step {
        self.note_input();
        if !self.weigh(worker) {
            return Step::End;
        }
        let mut input = std::mem::take(&mut self.input);
        let mut parser = std::mem::take(&mut self.parser);
        let (used, step) = self.run(worker, scratch, &mut parser, &input);
        if used < input.len() {
            input.drain(..used);
            if input.capacity() > INPUT_KEPT_BYTES.max(4 * input.len()) {
                input.shrink_to_fit();
            }
            parser.trim();
            self.input = input;
            self.parser = parser;
        }
        if step == Step::Go { self.check_input(worker) } else { step }
    }

    /// Notes what the connection keeps of its own.
    fn note_input(&self) {
        let client = &self.client;
        let bytes = size_class(self.input.capacity()) + self.parser.memory_bytes();
        client.footprint.input.store(bytes, Ordering::Relaxed);
        let understood = self.parser.understood().min(self.input.len());
        client.argument_bytes.store(understood, Ordering::Relaxed);
        client.query_bytes.store(self.input.len() - understood, Ordering::Relaxed);
    }

    /// Ends the connection if what is incomplete has grown past `client-query-buffer-limit`.
    pub(super) fn check_input(&mut self, worker: &Worker) -> Step {
        // Many short arguments take more room than they have bytes.
        let bytes = self.input.len() + self.parser.memory_bytes();
        self.note_input();
        let limit = worker.engine.shared.limits.query_bytes.load(Ordering::Relaxed);
        if bytes > limit {
            tracing::warn!(
                "Closing client that reached max query buffer length: id={}",
                self.client.id
            );
            return Step::End;
        }
        Step::Go
    }
}
