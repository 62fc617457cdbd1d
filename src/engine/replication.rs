//! Whom does this server follow, who follows it, and how far are they? The facts of replication, under the engine's lock.
//!
//! A *history* is a stream of bytes with an id. A primary makes it of its effects ([`Replication::feed`]); a replica takes over
//! that of its primary, byte by byte ([`Replication::relay`]), so that those who follow it follow the same history. What comes
//! together in one hold of the exclusive lock leaves at its end as shared pieces ([`Replication::send`]), into the backlog and to
//! every replica.
//!
//! Invariants: `offset` is that of the last byte of the history; the backlog ends there as soon as `send` has been called, which
//! the lock does before it is given back. As long as there is no backlog no bytes are made, and there is one as long as
//! somebody follows. Nothing here does I/O or reads a clock.

pub mod backlog;

pub mod link;

pub mod role;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::backlog::Backlog;
use self::link::Link;
use super::client::Client;
use super::effects::{Record, Targets};
use super::log::{Bond, Stream};
use super::outbox::SharedBytes;
use super::spec::Argv;
use super::state::Shared;
use crate::base::sha1::sha1_hex;

/// Bytes that one piece of the stream has at most, and of its sixteenth part of the backlog at least.
const PIECE_BYTES_MIN: usize = 16 * 1024;

/// The facts of replication.
#[derive(Debug)]
pub struct Replication {
    /// Whom this server follows.
    pub role: Role,
    /// The id of the history.
    pub id: String,
    /// The history that this one goes on from.
    pub earlier: Option<Earlier>,
    /// A primary may be asked to go on with the history.
    pub resumes: bool,
    /// The db that the primary's stream has selected.
    pub stream_db: u32,
    /// Commands of the primary that failed here.
    pub errors: u64,
    /// How many links to primaries there have been, and the number of the present one.
    pub links: u64,
    /// The offset of the history's last byte.
    offset: u64,
    backlog: Option<Backlog>,
    /// `repl-backlog-size`.
    backlog_bytes: usize,
    /// What is to be sent at the end of the hold.
    stream: Stream,
    replicas: Vec<Replica>,
    /// Where ids come from: a secret, and how many were drawn.
    seed: (String, u64),
}

/// Whom this server follows.
#[derive(Debug)]
pub enum Role {
    /// Nobody.
    Primary,
    /// Another server.
    Replica(Box<Link>),
}

/// A history that ended and went on under another id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its id.
    pub id: String,
    /// The offset of the first byte that it has not: who followed it up to there can go on.
    pub end: u64,
}

/// A client that follows this server.
#[derive(Debug)]
pub struct Replica {
    /// The client; `following` says what it has said about itself.
    pub client: Arc<Client>,
    /// How far it is.
    pub phase: Phase,
    /// The stream behind its snapshot, while that is on its way.
    waiting: Vec<SharedBytes>,
    waiting_bytes: usize,
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for a snapshot to begin; the stream does not concern it yet.
    Asked,
    /// Its snapshot is being taken.
    Saving,
    /// It is being sent its snapshot.
    Sending,
    /// It gets the stream.
    Online,
}

impl Phase {
    /// Its name in INFO.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Asked | Phase::Saving => "wait_bgsave",
            Phase::Sending => "send_bulk",
            Phase::Online => "online",
        }
    }
}

impl Replication {
    /// A primary that nobody follows, with a new history; `secret` is nobody else's.
    pub fn new(secret: &str, backlog_bytes: usize) -> Self {
        let mut replication = Self {
            role: Role::Primary,
            id: String::new(),
            earlier: None,
            resumes: false,
            stream_db: 0,
            errors: 0,
            links: 0,
            offset: 0,
            backlog: None,
            backlog_bytes,
            stream: Stream::new(Targets::REPLICAS),
            replicas: Vec::new(),
            seed: (secret.to_owned(), 0),
        };
        replication.id = replication.draw_id();
        replication
    }

    fn draw_id(&mut self) -> String {
        self.seed.1 += 1;
        let text = format!("{}:{}", self.seed.0, self.seed.1);
        String::from_utf8_lossy(&sha1_hex(text.as_bytes())).into_owned()
    }

    /// Follows another server from the start of the process.
    pub fn begin_as_replica(&mut self, host: &str, port: u16) {
        self.links += 1;
        self.role = Role::Replica(Box::new(Link::new(host.to_owned(), port, self.links)));
    }

    /// Whether this server follows another one.
    #[inline]
    pub fn is_replica(&self) -> bool {
        matches!(self.role, Role::Replica(_))
    }

    /// The link to the primary, if there is one to follow.
    pub fn link(&self) -> Option<&Link> {
        match &self.role {
            Role::Primary => None,
            Role::Replica(link) => Some(link),
        }
    }

    /// The same, to change it.
    pub fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.role {
            Role::Primary => None,
            Role::Replica(link) => Some(link),
        }
    }

    /// The offset of the history's last byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The backlog, if there is one.
    pub fn backlog(&self) -> Option<&Backlog> {
        self.backlog.as_ref()
    }

    /// Who follows this server.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// Whether effects of this server become part of the history.
    #[inline]
    pub fn is_fed(&self) -> bool {
        self.backlog.is_some() && !self.is_replica()
    }

    /// Begins a history that nobody knows yet: the old one cannot be gone on with.
    pub fn begin_history(&mut self) {
        self.id = self.draw_id();
        self.earlier = None;
    }

    /// Goes on with the history under an id of its own, as a replica that becomes a primary does; those who know the old
    /// id can follow.
    pub fn fork_history(&mut self) {
        let id = self.draw_id();
        self.rename_history(id);
    }

    /// Goes on with the history under the id that the primary says it has now.
    pub fn rename_history(&mut self, id: String) {
        self.earlier =
            Some(Earlier { id: std::mem::replace(&mut self.id, id), end: self.offset + 1 });
        self.stream.selected = None;
    }

    /// Takes over a history as it is at an offset, as a replica does that has loaded its primary's snapshot. The backlog begins
    /// there.
    pub fn adopt_history(&mut self, id: String, offset: u64) {
        self.id = id;
        self.earlier = None;
        self.offset = offset;
        self.stream.bytes.clear();
        self.stream.selected = None;
        self.backlog = Some(Backlog::new(offset + 1, self.backlog_bytes));
    }

    /// Has a backlog from here on, if there is none.
    pub fn begin_backlog(&mut self) {
        if self.backlog.is_none() {
            self.backlog = Some(Backlog::new(self.offset + 1, self.backlog_bytes));
            self.stream.selected = None;
        }
    }

    /// Forgets the backlog. What was missed cannot be known any more, so a primary begins a new history.
    pub fn end_backlog(&mut self) {
        self.backlog = None;
        self.stream.bytes.clear();
    }

    /// Changes the size of the backlog (`repl-backlog-size`).
    pub fn resize_backlog(&mut self, bytes: usize) {
        self.backlog_bytes = bytes;
        if let Some(backlog) = &mut self.backlog {
            backlog.resize(bytes);
        }
    }

    /// The db that the stream has selected, if it has said so.
    pub fn selected(&self) -> Option<u32> {
        self.stream.selected
    }

    /// Has the next record name its db: somebody comes who has not heard the stream so far.
    pub fn forget_selected(&mut self) {
        self.stream.selected = None;
    }

    /// Adds a unit's records to the history, if they become part of it.
    pub fn feed(&mut self, records: &[Record], bond: Bond) {
        if self.is_fed() {
            self.offset += self.stream.append(records, bond) as u64;
        }
    }

    /// Adds a command that concerns no db to the history of a primary (PING, REPLCONF GETACK).
    pub fn feed_plain(&mut self, argv: Argv<'_>) {
        if self.is_fed() {
            let before = self.stream.bytes.len();
            super::log::encode(&mut self.stream.bytes, argv);
            self.offset += (self.stream.bytes.len() - before) as u64;
        }
    }

    /// Adds bytes of the primary's stream, verbatim. They are whole commands, or transactions, that were applied.
    pub fn relay(&mut self, bytes: &[u8]) {
        if self.backlog.is_some() {
            self.stream.bytes.extend_from_slice(bytes);
        }
        self.offset += bytes.len() as u64;
    }

    /// Whether something is to be sent.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.stream.bytes.is_empty()
    }

    /// Puts what has come into the backlog and sends it to the replicas. The lock calls this before it is given back.
    #[cold]
    pub fn send(&mut self, shared: &Shared) {
        for bytes in self.stream.bytes.chunks(PIECE_BYTES_MIN.max(self.backlog_bytes / 16)) {
            let piece: SharedBytes = Arc::new(bytes.to_vec());
            if let Some(backlog) = &mut self.backlog {
                backlog.push(&piece);
            }
            self.replicas.retain_mut(|replica| replica.take(&piece, shared));
        }
        self.stream.bytes.clear();
        if self.stream.bytes.capacity() > STREAM_KEPT_BYTES {
            self.stream.bytes = Vec::new();
        }
    }

    /// A client follows from here on.
    pub fn follow(&mut self, client: &Arc<Client>, phase: Phase, now_ms: i64) {
        self.forget_gone();
        client.following.follows.store(true, Ordering::Relaxed);
        client.following.offset.store(self.offset, Ordering::Relaxed);
        client.following.heard_ms.store(now_ms, Ordering::Relaxed);
        self.replicas.push(Replica {
            client: Arc::clone(client),
            phase,
            waiting: Vec::new(),
            waiting_bytes: 0,
        });
        self.stream.selected = None;
    }

    /// Whether the client follows already.
    pub fn is_followed_by(&self, client: &Client) -> bool {
        self.replicas.iter().any(|known| known.client.id == client.id)
    }

    /// How many replicas that get the stream were heard of in the last so many seconds.
    pub fn close_replicas(&self, seconds: i64, now_ms: i64) -> usize {
        let is_close = |replica: &&Replica| {
            let heard_ms = replica.client.following.heard_ms.load(Ordering::Relaxed);
            replica.phase == Phase::Online
                && !replica.client.killed.load(Ordering::Relaxed)
                && (now_ms - heard_ms) / 1000 <= seconds
        };
        self.replicas.iter().filter(is_close).count()
    }

    /// Forgets the replicas that are gone.
    pub fn forget_gone(&mut self) {
        self.replicas.retain(|replica| !replica.client.killed.load(Ordering::Relaxed));
    }

    /// Cuts all replicas off, so that they ask anew.
    pub fn disconnect_replicas(&mut self) {
        self.replicas.drain(..).for_each(|replica| replica.client.kill());
    }
}

/// A buffer of the stream that has grown past this is given back.
const STREAM_KEPT_BYTES: usize = 1 << 20;

impl Replica {
    /// Takes a piece of the stream; false if the replica is gone.
    fn take(&mut self, piece: &SharedBytes, shared: &Shared) -> bool {
        match self.phase {
            Phase::Asked => !self.client.is_leaving(),
            Phase::Saving | Phase::Sending => {
                self.waiting.push(Arc::clone(piece));
                self.waiting_bytes += piece.len();
                !self.client.is_leaving()
            }
            Phase::Online => self.client.post(shared, |outbox| outbox.add_shared(piece)),
        }
    }
}
