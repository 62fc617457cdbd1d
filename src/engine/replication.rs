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

pub mod failover;

pub mod following;

pub mod link;

pub mod role;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::backlog::{Backlog, piece_bytes_max};
use self::failover::Failover;
use self::link::Link;
use super::client::Client;
use super::effects::Targets;
use super::hooks::Change;
use super::log::{Bond, Stream};
use super::outbox::{Outbox, SharedBytes};
use super::records::Records;
use super::spec::Argv;
use super::state::Shared;
use crate::base::sha1::sha1_hex;

/// What stands for the id of no history.
const NO_ID: &str = "0000000000000000000000000000000000000000";

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
    /// Replicas that got the stream or were gone, of which modules have not heard yet; the cron tells them.
    pub unheard: Vec<Change>,
    /// Keys that clients have written here, though this server is a replica, and that end.
    pub own_keys: role::OwnKeys,
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
    /// They were asked how far they are, in what is to be sent.
    asked_for_acks: bool,
    /// The snapshot that is being taken for some of them.
    snapshot: Option<Snapshot>,
    /// Synchronizations so far.
    pub counts: SyncCounts,
    /// The failover that is under way.
    pub failover: Option<Failover>,
    /// A snapshot for replicas has left a file that nobody may need.
    pub left_file: bool,
    /// Since when nobody follows, unix milliseconds.
    alone_since_ms: Option<i64>,
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

/// Synchronizations with replicas, for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncCounts {
    /// By snapshots.
    pub full: u64,
    /// By the stream alone.
    pub partial: u64,
    /// By the stream alone, if that had been possible.
    pub partial_refused: u64,
}

/// A client that follows this server.
#[derive(Debug)]
pub struct Replica {
    /// The client; `following` says what it has said about itself.
    pub client: Arc<Client>,
    /// How far it is.
    pub phase: Phase,
    /// Since when it waits for a snapshot, unix milliseconds.
    pub since_ms: i64,
}

/// A snapshot that is being taken for replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The offset of the history that it shows.
    pub offset: u64,
    /// Where it goes.
    pub way: Way,
    /// The version of its format.
    pub rdb_version: u32,
}

/// How snapshots reach replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a file, once it is written.
    Disk,
    /// While they are taken.
    Sockets,
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
            unheard: Vec::new(),
            own_keys: Default::default(),
            links: 0,
            offset: 0,
            backlog: None,
            backlog_bytes,
            stream: Stream::new(Targets::REPLICAS),
            replicas: Vec::new(),
            asked_for_acks: false,
            snapshot: None,
            counts: SyncCounts::default(),
            failover: None,
            left_file: false,
            alone_since_ms: None,
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

    /// Forty letters that stand in no snapshot, to be known as its end.
    pub fn draw_mark(&self) -> String {
        let text = format!("{}:{}:{}:mark", self.seed.0, self.seed.1, self.offset);
        String::from_utf8_lossy(&sha1_hex(text.as_bytes())).into_owned()
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

    /// The id of the history that this one goes on from; zeros if there is none.
    pub fn earlier_id(&self) -> &str {
        self.earlier.as_ref().map_or(NO_ID, |earlier| &earlier.id)
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

    /// Takes up the history that a file is of, up to this offset. A replica can go on with it; those who followed a primary
    /// up to there can go on with what it does from now on. Bytes that were fed while the file was loaded come behind it.
    pub fn take_up(&mut self, id: String, offset: u64, db: u32) {
        if self.is_replica() {
            self.id = id;
            self.offset = offset;
            self.resumes = true;
            self.stream_db = db;
            return;
        }
        self.earlier = Some(Earlier { id, end: offset + 1 });
        self.offset += offset;
        if let Some(backlog) = &mut self.backlog {
            backlog.shift(offset);
        }
        self.stream.selected = None;
    }

    /// Has a backlog from here on, if there is none.
    pub fn begin_backlog(&mut self) {
        if self.backlog.is_none() {
            self.backlog = Some(Backlog::new(self.offset + 1, self.backlog_bytes));
            self.stream.selected = None;
        }
    }

    /// Forgets the backlog.
    pub fn end_backlog(&mut self) {
        self.backlog = None;
        self.stream.bytes.clear();
    }

    /// Forgets the backlog of a primary that nobody has followed for so long; whether it did. What is missed from here on cannot
    /// be known, so that a new history begins.
    pub fn drop_backlog_after(&mut self, ttl_ms: i64, now_ms: i64) -> bool {
        if !self.replicas.is_empty() || self.is_replica() || self.backlog.is_none() {
            self.alone_since_ms = None;
            return false;
        }
        let since_ms = *self.alone_since_ms.get_or_insert(now_ms);
        if now_ms - since_ms <= ttl_ms {
            return false;
        }
        self.begin_history();
        self.end_backlog();
        true
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

    /// The db in which whoever goes on with the history begins, if somebody could.
    pub fn current_db(&self) -> Option<u32> {
        match &self.role {
            Role::Primary => self.backlog.as_ref().map(|_| self.stream.selected.unwrap_or(0)),
            Role::Replica(_) => Some(self.stream_db),
        }
    }

    /// Has the next record name its db: somebody comes who has not heard the stream so far.
    pub fn forget_selected(&mut self) {
        self.stream.selected = None;
    }

    /// Adds a unit's records to the history, if they become part of it; whether any did.
    pub fn feed(&mut self, records: &Records, bond: Bond) -> bool {
        let bytes = if self.is_fed() { self.stream.append(records, bond) } else { 0 };
        self.offset += bytes as u64;
        bytes > 0
    }

    /// Asks the replicas how far they are, once in a hold of the lock.
    pub fn ask_for_acks(&mut self) {
        if !std::mem::replace(&mut self.asked_for_acks, true) {
            self.feed_plain(&[b"REPLCONF", b"GETACK", b"*"]);
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
        if !self.has_news() {
            return;
        }
        let mut waiting = Waiting::default();
        for bytes in self.stream.bytes.chunks(piece_bytes_max(self.backlog_bytes)) {
            let piece: SharedBytes = Arc::new(bytes.to_vec());
            let closed = self.backlog.as_mut().and_then(|backlog| backlog.push(&piece));
            waiting = Waiting::default();
            self.replicas.retain_mut(|replica| {
                let taken = replica.take(&piece, closed.as_ref(), shared);
                if taken.is_none() && replica.is_announced() {
                    note(&mut self.unheard, Change::Down);
                }
                taken.map(|own| waiting.add(own)).is_some()
            });
        }
        self.trim(waiting, shared);
        self.asked_for_acks = false;
        self.stream.bytes.clear();
        if self.stream.bytes.capacity() > STREAM_KEPT_BYTES {
            self.stream.bytes = Vec::new();
        }
    }

    /// Forgets replicas that are gone, and drops what the backlog need not keep for any replica now.
    pub fn tidy(&mut self, shared: &Shared) {
        self.forget_gone();
        let outboxes = self.replicas.iter().filter(|replica| replica.phase != Phase::Asked);
        let mut waiting = Waiting::default();
        for replica in outboxes {
            waiting.add(replica.waiting(&replica.client.outbox.lock()));
        }
        self.trim(waiting, shared);
    }

    /// Drops it, when so much waits for replicas.
    fn trim(&mut self, waiting: Waiting, shared: &Shared) {
        let Some(backlog) = &mut self.backlog else {
            return shared.replica_bytes.store(0, Ordering::Relaxed);
        };
        backlog.trim((self.offset + 1).saturating_sub(waiting.bytes as u64));
        let uncounted = backlog.memory_excess() + waiting.overhead;
        shared.replica_bytes.store(uncounted, Ordering::Relaxed);
    }

    /// A client has asked for a snapshot.
    pub fn ask(&mut self, client: &Arc<Client>, now_ms: i64) {
        self.add(client, Phase::Asked, now_ms);
    }

    /// A client goes on from an offset that [`Replication::can_continue`] has found good. Nothing was added since.
    pub fn go_on(
        &mut self,
        client: &Arc<Client>,
        offset: u64,
        now_ms: i64,
        shared: &Shared,
    ) -> usize {
        assert!(!self.has_news(), "what came after that would be missed");
        let pieces = self.backlog.as_ref().and_then(|backlog| backlog.from(offset));
        let pieces = pieces.expect("a replica that goes on misses nothing");
        self.add(client, Phase::Online, now_ms);
        note(&mut self.unheard, Change::Up);
        client.post(shared, |outbox| pieces.iter().for_each(|piece| outbox.add_shared(piece)));
        pieces.iter().map(|piece| piece.len()).sum()
    }

    fn add(&mut self, client: &Arc<Client>, phase: Phase, now_ms: i64) {
        self.forget_gone();
        client.following.follows.store(true, Ordering::Relaxed);
        client.following.heard_ms.store(now_ms, Ordering::Relaxed);
        self.replicas.push(Replica { client: Arc::clone(client), phase, since_ms: now_ms });
    }

    /// Whether a client that knows a history up to in front of an offset can go on with the stream from there. What there is was
    /// sent, so that it is in the backlog and nothing leaves that any more.
    pub fn can_continue(&self, id: &str, offset: i64) -> Result<u64, Refusal> {
        if id.starts_with('?') {
            return Err(Refusal::Requested);
        }
        let offset = u64::try_from(offset).unwrap_or(0);
        if !id.eq_ignore_ascii_case(&self.id) {
            match &self.earlier {
                Some(earlier) if id.eq_ignore_ascii_case(&earlier.id) => {
                    if offset > earlier.end {
                        return Err(Refusal::Forked(earlier.end));
                    }
                }
                _ => return Err(Refusal::OtherHistory),
            }
        }
        match self.backlog.as_ref().is_some_and(|backlog| backlog.covers(offset)) {
            true => Ok(offset),
            false => Err(Refusal::Gone),
        }
    }

    /// The snapshot that is being taken.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Begins a snapshot of now for all who wait for one: from here on the stream is held back for them.
    pub fn begin_snapshot(&mut self, way: Way, rdb_version: u32, shared: &Shared) {
        self.send(shared);
        // Whoever comes in here knows no db yet.
        self.stream.selected = None;
        self.snapshot = Some(Snapshot { offset: self.offset, way, rdb_version });
        let header = self.header();
        for replica in self.replicas.iter_mut().filter(|r| r.phase == Phase::Asked) {
            replica.phase = Phase::Saving;
            replica.greet(&header, shared, Outbox::hold_stream);
        }
    }

    /// A replica that has asked takes part in the snapshot that is being taken, if it can: it gets what the others get.
    pub fn join_snapshot(&mut self, client: &Client, shared: &Shared) -> bool {
        self.send(shared);
        let header = self.header();
        let fits = |snapshot: &Snapshot| {
            snapshot.way == Way::Disk && client.following.rdb_version() >= snapshot.rdb_version
        };
        if !self.snapshot.as_ref().is_some_and(fits) {
            return false;
        }
        let others = self.replicas.iter().find(|replica| {
            replica.phase == Phase::Saving && !replica.client.following.is_snapshot_only()
        });
        let Some(other) = others.map(|other| Arc::clone(&other.client)) else { return false };
        let Some(own) = self.replicas.iter_mut().find(|own| own.client.id == client.id) else {
            return false;
        };
        own.phase = Phase::Saving;
        let other = other.outbox.lock();
        own.greet(&header, shared, |outbox| outbox.hold_stream_of(&other));
        true
    }

    /// A replica gets a snapshot of its own, from now on.
    pub fn greet_alone(&mut self, client: &Client, shared: &Shared) {
        self.send(shared);
        self.stream.selected = None;
        let header = format!("+FULLRESYNC {} {}\r\n", self.id, self.offset);
        if let Some(own) = self.replicas.iter_mut().find(|own| own.client.id == client.id) {
            own.phase = Phase::Online;
            own.greet(&header, shared, Outbox::hold_stream);
        }
    }

    /// What a replica is told when its snapshot begins.
    fn header(&self) -> String {
        let offset = self.snapshot.as_ref().map_or(self.offset, |snapshot| snapshot.offset);
        format!("+FULLRESYNC {} {offset}\r\n", self.id)
    }

    /// The snapshot was taken, or was not: those who were waiting for it are in this phase now.
    pub fn end_snapshot(&mut self, next: Phase) -> Vec<Arc<Client>> {
        self.snapshot = None;
        let mut clients = Vec::new();
        for replica in self.replicas.iter_mut().filter(|r| r.phase == Phase::Saving) {
            replica.phase = next;
            clients.push(Arc::clone(&replica.client));
        }
        clients
    }

    /// A replica has been sent its snapshot; false if it is not there any more.
    pub fn put_online(&mut self, client: &Client, now_ms: i64) -> bool {
        let Some(replica) = self.replicas.iter_mut().find(|r| r.client.id == client.id) else {
            return false;
        };
        replica.phase = Phase::Online;
        note(&mut self.unheard, Change::Up);
        // It may have been busy for long.
        client.following.heard_ms.store(now_ms, Ordering::Relaxed);
        true
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

    /// The replicas that get the stream.
    pub fn online_clients(&self) -> impl Iterator<Item = Arc<Client>> {
        let online = self.replicas.iter().filter(|replica| replica.phase == Phase::Online);
        online.map(|replica| Arc::clone(&replica.client))
    }

    /// Forgets the replicas that are gone.
    pub fn forget_gone(&mut self) {
        self.replicas.retain(|replica| {
            let is_gone = replica.client.killed.load(Ordering::Relaxed);
            if is_gone {
                // Its connection has still to end, and holds what the backlog need not keep any more.
                replica.client.outbox.lock().clear();
                if replica.is_announced() {
                    note(&mut self.unheard, Change::Down);
                }
            }
            !is_gone
        });
    }

    /// Cuts all replicas off, so that they ask anew.
    pub fn disconnect_replicas(&mut self) {
        for replica in self.replicas.drain(..) {
            if replica.is_announced() {
                note(&mut self.unheard, Change::Down);
            }
            replica.client.kill();
        }
    }
}

/// What of replicas that come and go is kept for modules; nobody may listen.
const UNHEARD_MAX: usize = 256;

fn note(unheard: &mut Vec<Change>, change: Change) {
    if unheard.len() < UNHEARD_MAX {
        unheard.push(change);
    }
}

/// A buffer of the stream that has grown past this is given back.
const STREAM_KEPT_BYTES: usize = 1 << 20;

/// Why a client cannot go on with the stream and needs a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It wants one.
    Requested,
    /// It has followed another history.
    OtherHistory,
    /// It has followed the earlier history further than up to here, where this one left it.
    Forked(u64),
    /// The stream is not there from where it is.
    Gone,
}

/// What waits for replicas.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// Bytes of the stream, for the slowest.
    bytes: usize,
    /// Memory that their outboxes take for that themselves.
    overhead: usize,
}

impl Waiting {
    /// Adds another replica's.
    fn add(&mut self, other: Waiting) {
        self.bytes = self.bytes.max(other.bytes);
        self.overhead += other.overhead;
    }
}

impl Replica {
    /// Whether modules were told that it gets the stream.
    fn is_announced(&self) -> bool {
        self.phase == Phase::Online && !self.client.following.is_snapshot_only()
    }

    /// Takes a piece of the stream; those before have become a block, perhaps. What waits now; None if the replica is gone.
    fn take(
        &mut self,
        piece: &SharedBytes,
        closed: Option<&SharedBytes>,
        shared: &Shared,
    ) -> Option<Waiting> {
        if self.phase == Phase::Asked || self.client.following.is_snapshot_only() {
            return (!self.client.is_leaving()).then(Waiting::default);
        }
        let mut waiting = Waiting::default();
        let posted = self.client.post(shared, |outbox| {
            if let Some(block) = closed {
                outbox.fold_stream(block);
            }
            outbox.add_stream(piece);
            waiting = self.waiting(outbox);
        });
        posted.then_some(waiting)
    }

    /// What is on its way to it.
    fn waiting(&self, outbox: &Outbox) -> Waiting {
        let bytes = outbox.stream_bytes() + self.client.output_bytes.load(Ordering::Relaxed);
        Waiting { bytes, overhead: outbox.stream_overhead() }
    }

    /// Tells of its snapshot, unless it came with SYNC.
    fn greet(&self, header: &str, shared: &Shared, hold: impl FnOnce(&mut Outbox)) {
        self.client.post(shared, |outbox| {
            hold(outbox);
            if !self.client.following.is_plain() {
                outbox.add(|out| out.extend_from_slice(header.as_bytes()));
            }
        });
    }
}

#[cfg(test)]
mod replication_tests;
