//! How does a message reach a client that did not ask for it just now? Through its outbox, and a note in the
//! mailbox of the worker that owns it.
//!
//! Whoever has something to say (PUBLISH, an invalidation, MONITOR, the answer of a blocked command) encodes it
//! for the receiver's protocol and appends it under the outbox's own short lock. Published payloads are shared by
//! all their receivers. The owner takes the messages when it has a turn: in front of the next command's reply,
//! behind the reply of the command that caused them, or because its mailbox woke it.
//!
//! Workers are woken once per hold of the engine lock and not per message ([`Post::deliver`]): a publisher with
//! thousands of subscribers pays for a few system calls, and what one batch publishes leaves together.
//!
//! Invariants: the messages of one sender arrive in order; the outbox's protocol is that of the client's next
//! reply; bytes that wait are bounded by `client-output-buffer-limit`, past which the client is cut off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::thread::Thread;

use parking_lot::Mutex;

use super::client::Client;
use super::state::Shared;
use crate::base::size_class::size_class;
use crate::resp::reply::Protocol;

/// Places for messages that an empty outbox keeps.
const QUEUE_KEPT: usize = 16;

/// Bytes from which on a message is a piece of its own rather than copied behind others.
const OWN_PIECE_BYTES: usize = 16 << 10;

/// What a shared piece takes beside its bytes.
const PIECE_OVERHEAD_BYTES: usize = size_of::<Vec<u8>>() + 3 * size_of::<usize>();

/// A message shared by those who get it.
pub type SharedBytes = Arc<Vec<u8>>;

/// A part of what waits.
#[derive(Debug)]
pub enum Piece {
    /// Messages of this client alone.
    Own(Vec<u8>),
    /// A message that others get too.
    Shared(SharedBytes),
    /// A piece of the replication stream: from a byte on.
    Stream(SharedBytes, usize),
}

impl Piece {
    /// The encoded bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
            Piece::Stream(bytes, from) => &bytes[*from..],
        }
    }

    /// The same piece for another client.
    fn share(&self) -> Piece {
        match self {
            Piece::Own(bytes) => Piece::Own(bytes.clone()),
            Piece::Shared(bytes) => Piece::Shared(Arc::clone(bytes)),
            Piece::Stream(bytes, from) => Piece::Stream(Arc::clone(bytes), *from),
        }
    }
}

/// Messages on their way to a connection from outside its own commands.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Piece>,
    bytes: usize,
    /// Messages that must not overtake the answer that is being made for the blocked client.
    behind_answer: Option<Vec<Piece>>,
    /// What messages are encoded for.
    pub protocol: Protocol,
    /// The owner knows already that it has to look here.
    pub noted: bool,
    /// The client's blocked command has its answer among the messages.
    pub unblocked: bool,
    /// Since when more waits than the soft limit allows, in unix milliseconds; 0 if it does not.
    over_since_ms: i64,
    /// Wakes the connection's task.
    pub waker: Option<Waker>,
    /// Bytes of memory of pieces of the replication stream that are in no block yet.
    loose: usize,
    /// The replication stream of a client whose snapshot is on its way: it leaves behind that.
    held: Option<HeldStream>,
    /// The thread that has more for the client and waits for room.
    pub sender: Option<Thread>,
}

/// What a replica gets behind its snapshot.
#[derive(Debug, Default)]
struct HeldStream {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

impl Outbox {
    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Appends a message that others get too.
    pub fn add_shared(&mut self, message: &SharedBytes) {
        self.push(Piece::Shared(Arc::clone(message)));
    }

    fn push(&mut self, piece: Piece) {
        self.bytes += piece.bytes().len();
        match &mut self.behind_answer {
            None => self.queue.push_back(piece),
            Some(later) => later.push(piece),
        }
    }

    /// Appends a piece of the replication stream.
    pub fn add_stream(&mut self, piece: &SharedBytes) {
        self.loose += piece.capacity() + PIECE_OVERHEAD_BYTES;
        let part = Piece::Stream(Arc::clone(piece), 0);
        match &mut self.held {
            None => self.push(part),
            Some(held) => {
                held.bytes += piece.len();
                held.pieces.push_back(part);
            }
        }
    }

    /// The pieces of the stream that came last make up this block, which the backlog keeps: those that wait still are let go for it,
    /// so that whoever lags behind holds no bytes of its own.
    pub fn fold_stream(&mut self, block: &SharedBytes) {
        self.loose = 0;
        let queue = match &mut self.held {
            None => &mut self.queue,
            Some(held) => &mut held.pieces,
        };
        let mut gone = block.len();
        // Those that are sent already are the first of them.
        while let Some(Piece::Stream(bytes, from)) = queue.back()
            && bytes.len() - from <= gone
            && gone > 0
        {
            gone -= bytes.len() - from;
            queue.pop_back();
        }
        if gone < block.len() {
            queue.push_back(Piece::Stream(Arc::clone(block), gone));
        }
    }

    /// From here on the replication stream is held back.
    pub fn hold_stream(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Holds back what another replica, whose snapshot is the same, will get behind it.
    pub fn hold_stream_of(&mut self, other: &Outbox) {
        let (pieces, bytes) = match &other.held {
            Some(held) => (held.pieces.iter().map(Piece::share).collect(), held.bytes),
            None => (VecDeque::new(), 0),
        };
        self.held = Some(HeldStream { pieces, bytes });
    }

    /// Lets the stream that was held back go.
    pub fn release_stream(&mut self) {
        for piece in self.held.take().into_iter().flat_map(|held| held.pieces) {
            self.push(piece);
        }
    }

    /// Bytes of the stream that wait, what is held back included.
    pub fn stream_bytes(&self) -> usize {
        self.held.as_ref().map_or(self.bytes, |held| held.bytes)
    }

    /// Bytes of memory that it takes itself to hold the stream, and that the pieces take which the backlog has in a block still to
    /// come.
    pub fn stream_overhead(&self) -> usize {
        let held = self.held.as_ref().map_or(0, |held| held.pieces.capacity());
        (self.queue.capacity() + held) * size_of::<Piece>() + self.loose
    }

    /// Appends what `write` encodes.
    pub fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let last = match &mut self.behind_answer {
            None => self.queue.back_mut(),
            Some(later) => later.last_mut(),
        };
        if let Some(Piece::Own(bytes)) = last {
            let before = bytes.len();
            write(bytes);
            self.bytes += bytes.len() - before;
            return;
        }
        let mut bytes = Vec::new();
        write(&mut bytes);
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            match &mut self.behind_answer {
                None => self.queue.push_back(Piece::Own(bytes)),
                Some(later) => later.push(Piece::Own(bytes)),
            }
        }
    }

    /// Appends what `write` encodes. Says how much memory that took.
    pub fn add_measured(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let before = (self.pieces(), self.room());
        self.add(write);
        match self.pieces() == before.0 {
            true => self.room() - before.1,
            false => self.room(),
        }
    }

    fn pieces(&self) -> usize {
        self.behind_answer.as_ref().map_or(self.queue.len(), Vec::len)
    }

    /// What the last piece takes, if it is of this client alone.
    fn room(&self) -> usize {
        let last = match &self.behind_answer {
            None => self.queue.back(),
            Some(later) => later.last(),
        };
        match last {
            Some(Piece::Own(bytes)) => size_class(bytes.capacity()),
            Some(Piece::Shared(_) | Piece::Stream(..)) | None => 0,
        }
    }

    /// Takes the oldest piece.
    pub fn take_piece(&mut self) -> Option<Piece> {
        let piece = self.queue.pop_front();
        match &piece {
            Some(piece) => self.bytes -= piece.bytes().len(),
            None => {
                self.queue.shrink_to(QUEUE_KEPT);
                if self.held.is_none() {
                    self.loose = 0;
                }
            }
        }
        piece
    }

    /// The length of the oldest piece.
    pub fn next_len(&self) -> Option<usize> {
        self.queue.front().map(|piece| piece.bytes().len())
    }

    /// Takes everything.
    pub fn drain_into(&mut self, out: &mut Vec<u8>) {
        while let Some(piece) = self.take_piece() {
            out.extend_from_slice(piece.bytes());
        }
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.behind_answer = None;
        self.held = None;
        self.loose = 0;
        self.bytes = 0;
    }

    /// Whether more waits than the limits of the client's class allow, `outside` bytes being on their way to
    /// the socket already.
    fn is_over(&mut self, limit: &OutputLimit, outside: usize, now_ms: impl Fn() -> i64) -> bool {
        // A snapshot is sent as fast as the client takes it, so what there is of it is no sign of anything.
        let waiting = match &self.held {
            Some(held) => held.bytes,
            None => self.bytes + outside,
        };
        let hard = limit.hard.load(Ordering::Relaxed);
        if hard != 0 && waiting > hard {
            return true;
        }
        let soft = limit.soft.load(Ordering::Relaxed);
        if soft == 0 || waiting <= soft {
            self.over_since_ms = 0;
            return false;
        }
        let now_ms = now_ms();
        if self.over_since_ms == 0 {
            self.over_since_ms = now_ms;
        }
        let seconds = limit.soft_seconds.load(Ordering::Relaxed);
        now_ms - self.over_since_ms > i64::try_from(seconds * 1000).unwrap_or(i64::MAX)
    }
}

/// `client-output-buffer-limit` of one class; 0 is none.
#[derive(Debug, Default)]
pub struct OutputLimit {
    /// Bytes past which a client is closed at once.
    pub hard: AtomicUsize,
    /// Bytes past which it is closed after a while.
    pub soft: AtomicUsize,
    /// That while.
    pub soft_seconds: AtomicU64,
}

impl Client {
    /// Whether messages wait. Exact for what happened before the caller got the engine lock.
    #[inline]
    pub fn has_messages(&self) -> bool {
        self.messages.load(Ordering::Relaxed)
    }

    /// Moves all messages into a buffer of replies. Only the owner may.
    #[cold]
    pub fn take_messages(&self, out: &mut Vec<u8>) {
        let mut outbox = self.outbox.lock();
        outbox.drain_into(out);
        self.settle(&mut outbox);
    }

    /// All messages are out: from the next one on the owner is to be told again.
    pub fn settle(&self, outbox: &mut Outbox) {
        self.note_waiting(outbox);
        self.messages.store(false, Ordering::Relaxed);
        outbox.noted = false;
        if let Some(sender) = outbox.sender.take() {
            sender.unpark();
        }
    }

    /// Changes the client's outbox and notes in its worker's mailbox that there is something in it. False if the
    /// client is leaving.
    pub fn post(&self, shared: &Shared, add: impl FnOnce(&mut Outbox)) -> bool {
        let mut outbox = self.outbox.lock();
        if self.is_leaving() {
            return false;
        }
        add(&mut outbox);
        self.note_waiting(&outbox);
        if outbox.is_empty() && outbox.held.is_none() {
            return true;
        }
        let limit = shared.limits.output_of(self);
        let outside = self.output_bytes.load(Ordering::Relaxed);
        if outbox.is_over(limit, outside, || shared.now_ms()) {
            outbox.clear();
            drop(outbox);
            self.end_passing(shared);
            self.cut_off();
            self.count_if_limited(shared);
            return false;
        }
        self.count_if_limited(shared);
        if outbox.is_empty() {
            return true;
        }
        self.messages.store(true, Ordering::Relaxed);
        if !std::mem::replace(&mut outbox.noted, true) {
            shared.post.note(self.worker, self.id);
        }
        true
    }

    /// Whether more waits for the client than it may leave unread; `outside` bytes are behind the outbox.
    pub fn is_over_limit(&self, shared: &Shared, outside: usize) -> bool {
        let limit = shared.limits.output_of(self);
        self.outbox.lock().is_over(limit, outside, || shared.now_ms())
    }

    /// Whether more waits for the client than `hard`, the limit of its class, with replies that are still to be sent.
    #[inline]
    pub fn has_too_much(&self, hard: usize, replies: usize) -> bool {
        hard != 0 && replies.saturating_add(self.output_bytes.load(Ordering::Relaxed)) > hard
    }

    /// Ends a connection whose client does not read.
    #[cold]
    pub fn cut_off(&self) {
        tracing::warn!(
            "Client id={} addr={} closed for overcoming of output buffer limits.",
            self.id,
            self.addr
        );
        self.kill();
    }

    /// Answers its blocked command with encoded bytes and wakes its owner.
    pub fn unblock(&self, reply: &[u8]) {
        self.unblock_by(|outbox| outbox.add(|out| out.extend_from_slice(reply)));
    }

    /// As [`Client::unblock`], with bytes that nobody else has: they are not copied if they are many.
    pub fn unblock_with(&self, reply: Vec<u8>) {
        match reply.len() {
            ..OWN_PIECE_BYTES => self.unblock(&reply),
            _ => self.unblock_by(|outbox| outbox.push(Piece::Own(reply))),
        }
    }

    fn unblock_by(&self, add: impl FnOnce(&mut Outbox)) {
        {
            let mut outbox = self.outbox.lock();
            let later = outbox.behind_answer.take();
            add(&mut outbox);
            outbox.queue.extend(later.into_iter().flatten());
            outbox.unblocked = true;
            self.note_waiting(&outbox);
            self.messages.store(true, Ordering::Relaxed);
        }
        self.wake();
    }

    /// Answers the command that the client waits for, unless somebody else has.
    pub fn answer_wait(&self, reply: &[u8]) {
        let mut session = self.session.lock();
        let waits = session.blocked_reply.take().is_some();
        let is_silent = session.drops_reply();
        drop(session);
        if waits {
            self.unblock(if is_silent { b"" } else { reply });
        }
    }

    /// The command that the client waits for runs now, elsewhere: what is sent to the client from here on comes
    /// behind its answer, or once [`Client::still_waits`] says that there is none.
    pub fn begin_answer(&self) {
        self.outbox.lock().behind_answer = Some(Vec::new());
    }

    /// The command found nothing and waits on.
    pub fn still_waits(&self, shared: &Shared) {
        self.post(shared, |outbox| {
            let later = outbox.behind_answer.take();
            outbox.queue.extend(later.into_iter().flatten());
        });
    }

    /// Changes what messages are encoded for. Those that wait are moved out first, since they were encoded for
    /// the protocol before.
    pub fn set_protocol(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let mut outbox = self.outbox.lock();
        outbox.drain_into(out);
        outbox.protocol = protocol;
        self.settle(&mut outbox);
    }
}

/// The clients of one worker that have messages.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Mailbox {
    clients: Mutex<Vec<u64>>,
    waker: Mutex<Option<Waker>>,
}

/// The mailboxes of the workers.
#[derive(Debug)]
pub struct Post {
    mailboxes: Box<[Mailbox]>,
    /// Which of them have something that their worker does not know of, a bit each; workers past the 64th
    /// share bits.
    undelivered: AtomicU64,
}

impl Post {
    /// Mailboxes for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            mailboxes: (0..workers).map(|_| Mailbox::default()).collect(),
            undelivered: AtomicU64::new(0),
        }
    }

    fn note(&self, worker: usize, client: u64) {
        self.mailboxes[worker].clients.lock().push(client);
        // Set in any case: who reads the bit first may read it from before it was taken away.
        self.undelivered.fetch_or(1 << (worker % 64), Ordering::Release);
    }

    /// Wakes the workers that have new messages. To be called when the lock is given back.
    #[inline]
    pub fn deliver(&self) {
        if self.undelivered.load(Ordering::Relaxed) != 0 {
            self.wake_workers();
        }
    }

    #[cold]
    fn wake_workers(&self) {
        let bits = self.undelivered.swap(0, Ordering::AcqRel);
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            if bits & 1 << (worker % 64) == 0 {
                continue;
            }
            if let Some(waker) = &*mailbox.waker.lock() {
                waker.wake_by_ref();
            }
        }
    }

    /// Takes the clients of a worker that have messages, and has `waker` woken when there are more.
    pub fn collect(&self, worker: usize, waker: &Waker, into: &mut Vec<u64>) {
        let mailbox = &self.mailboxes[worker];
        {
            let mut known = mailbox.waker.lock();
            if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                *known = Some(waker.clone());
            }
        }
        into.append(&mut mailbox.clients.lock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outbox: &mut Outbox) -> String {
        let mut out = Vec::new();
        outbox.drain_into(&mut out);
        String::from_utf8(out).expect("messages here are text")
    }

    #[test]
    fn messages_leave_in_order_and_are_counted() {
        let mut outbox = Outbox::default();
        let shared = Arc::new(b"shared ".to_vec());
        outbox.add(|out| out.extend_from_slice(b"a "));
        outbox.add(|out| out.extend_from_slice(b"b "));
        outbox.add_shared(&shared);
        outbox.add(|out| out.extend_from_slice(b"c"));
        outbox.add(|_| {});
        assert_eq!((outbox.bytes(), outbox.next_len(), outbox.queue.len()), (12, Some(4), 3));
        assert_eq!(text(&mut outbox), "a b shared c");
        assert_eq!((outbox.bytes(), outbox.is_empty(), Arc::strong_count(&shared)), (0, true, 1));
    }

    #[test]
    fn a_block_takes_the_place_of_the_pieces_that_it_is_made_of() {
        let piece = |text: &str| Arc::new(text.as_bytes().to_vec());
        for sent in 0..=4 {
            for is_held in [false, true] {
                let mut outbox = Outbox::default();
                outbox.add_shared(&piece("reply "));
                outbox.add_stream(&piece("before "));
                ["a ", "b ", "c "].iter().for_each(|text| outbox.add_stream(&piece(text)));
                for _ in 0..sent {
                    outbox.take_piece();
                }
                let wanted: Vec<u8> =
                    outbox.queue.iter().flat_map(|p| p.bytes().to_vec()).collect();
                let bytes = outbox.bytes();
                if is_held {
                    let pieces = std::mem::take(&mut outbox.queue);
                    outbox.held = Some(HeldStream { pieces, bytes });
                }
                outbox.fold_stream(&piece("a b c "));
                if is_held {
                    outbox.bytes = 0;
                    outbox.release_stream();
                }
                assert_eq!(outbox.queue.len(), [3, 2, 1, 1, 1][sent]);
                assert_eq!(outbox.bytes(), bytes);
                assert_eq!(text(&mut outbox).as_bytes(), wanted);
                // All of it is out, and nothing comes twice.
                outbox.fold_stream(&piece("d "));
                assert!(outbox.is_empty());
            }
        }
    }

    #[test]
    fn limits_are_hard_or_need_time() {
        let limit = OutputLimit::default();
        limit.hard.store(10, Ordering::Relaxed);
        limit.soft.store(4, Ordering::Relaxed);
        limit.soft_seconds.store(2, Ordering::Relaxed);
        let mut outbox = Outbox::default();
        outbox.add(|out| out.extend_from_slice(b"12345"));
        assert!(!outbox.is_over(&limit, 5, || 1_000));
        assert!(outbox.is_over(&limit, 6, || 1_000));
        assert!(!outbox.is_over(&limit, 0, || 3_000));
        assert!(outbox.is_over(&limit, 0, || 3_001));
        text(&mut outbox);
        assert!(!outbox.is_over(&limit, 4, || 9_000));
        outbox.add(|out| out.push(b'x'));
        assert!(!outbox.is_over(&limit, 4, || 9_000), "the while begins anew");
    }
}
