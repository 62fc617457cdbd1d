//! How do the bytes of a snapshot get to a replica's connection? Through its outbox, a little at a time: whoever sends them
//! waits until the worker that owns the connection has taken most of what is there.
//!
//! Invariant: no more than [`ROOM_BYTES`] and one piece wait in an outbox; a replica that takes nothing for `repl-timeout` is
//! cut off.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Begin, go_online, parts};
use crate::base::crc::crc64;
use crate::config::params::Param;
use crate::engine::client::Client;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::lock::Engine;
use crate::engine::outbox::SharedBytes;
use crate::engine::state::Shared;

/// Bytes of a snapshot that wait in an outbox before its sender waits.
pub(super) const ROOM_BYTES: usize = 512 * 1024;

/// Bytes that are sent as one piece.
const PIECE_BYTES: usize = 128 * 1024;

/// How long a sender waits before it looks whether the replica is still there.
const LOOK_AFTER: Duration = Duration::from_millis(50);

/// How long a replica may take nothing. It is asked for again while one is waited for, since it may be set meanwhile.
type Patience<'a> = &'a dyn Fn() -> Duration;

/// Waits for room in a client's outbox and adds a piece; false if the client is leaving, or does not read.
fn send(shared: &Shared, client: &Client, timeout: Patience<'_>, piece: &SharedBytes) -> bool {
    if !wait_for_room(client, timeout, ROOM_BYTES) {
        return false;
    }
    let posted = client.post(shared, |outbox| outbox.add_shared(piece));
    // There is no hold of the lock whose end would do that.
    shared.post.deliver();
    posted
}

/// Waits until no more than so many bytes are on their way to a client.
fn wait_for_room(client: &Client, timeout: Patience<'_>, bytes_max: usize) -> bool {
    let (mut waiting, mut since) = (usize::MAX, Instant::now());
    loop {
        if client.is_leaving() {
            return false;
        }
        let mut outbox = client.outbox.lock();
        let left = outbox.bytes() + client.output_bytes.load(std::sync::atomic::Ordering::Relaxed);
        if left <= bytes_max {
            return true;
        }
        outbox.sender = Some(std::thread::current());
        drop(outbox);
        if left < waiting {
            (waiting, since) = (left, Instant::now());
        } else if since.elapsed() > timeout() {
            tracing::warn!("Disconnecting timedout replica (full sync): {}", client.name());
            client.kill();
            return false;
        }
        std::thread::park_timeout(LOOK_AFTER);
    }
}

fn timeout(engine: &Engine) -> Duration {
    Duration::from_secs(engine.read_patiently().config.uint(Param::ReplTimeout))
}

/// Sends one snapshot to several replicas, whose end is a mark.
pub(super) struct FanOut<'a> {
    engine: &'a Engine,
    clients: Vec<Arc<Client>>,
    mark: String,
    checksum: Option<u64>,
}

impl<'a> FanOut<'a> {
    /// For these replicas; `checksum` if the snapshot is to have one.
    pub(super) fn new(engine: &'a Engine, clients: Vec<Arc<Client>>, checksum: bool) -> Self {
        let mark = engine.read_patiently().replication.draw_mark();
        Self { engine, clients, mark, checksum: checksum.then_some(0) }
    }

    /// Says what the end will look like.
    pub(super) fn begin(&mut self) {
        let text = format!("$EOF:{}\r\n", self.mark);
        self.send_all(text.into_bytes());
    }

    /// Sends the next bytes; false if nobody is left.
    pub(super) fn send(&mut self, bytes: Vec<u8>) -> bool {
        if let Some(checksum) = &mut self.checksum {
            *checksum = crc64(*checksum, &bytes);
        }
        self.send_all(bytes)
    }

    /// Sends the end; false if nobody is left.
    pub(super) fn finish(&mut self) -> bool {
        let mut end = self.checksum.unwrap_or(0).to_le_bytes().to_vec();
        end.extend_from_slice(self.mark.as_bytes());
        let sent = self.send_all(end);
        let left = self.clients.len();
        tracing::info!("Diskless rdb transfer, done reading from pipe, {left} replicas still up.");
        sent
    }

    fn send_all(&mut self, bytes: Vec<u8>) -> bool {
        let (shared, timeout) = (&self.engine.shared, || timeout(self.engine));
        let pieces = match bytes.len() {
            ..=PIECE_BYTES => vec![Arc::new(bytes)],
            _ => bytes.chunks(PIECE_BYTES).map(|piece| Arc::new(piece.to_vec())).collect(),
        };
        for piece in &pieces {
            self.clients.retain(|client| send(shared, client, &timeout, piece));
        }
        !self.clients.is_empty()
    }
}

/// Starts the thread that sends a replica its snapshot, which is in a file.
pub(super) fn start_file(engine: &Arc<Engine>, client: &Arc<Client>, path: &Path) {
    // Opened now, since the next snapshot may take its name.
    let file = File::open(path);
    let (engine, own) = (Arc::clone(engine), Arc::clone(client));
    let run = move || {
        let sent = file.and_then(|file| send_file(&engine, &own, file));
        end(&engine, &own, sent, Begin::Now);
    };
    if let Err(error) = std::thread::Builder::new().name("replica-transfer".into()).spawn(run) {
        tracing::warn!("SYNC failed. Can't start a thread: {error}");
        client.kill();
    }
}

/// Sends a file; false if the replica is gone.
fn send_file(engine: &Engine, client: &Client, mut file: File) -> io::Result<bool> {
    let timeout = || timeout(engine);
    let length = file.metadata()?.len();
    let mut piece = format!("${length}\r\n").into_bytes();
    loop {
        let got = file.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        if got == 0 {
            return Ok(true);
        }
        if !send(&engine.shared, client, &timeout, &Arc::new(std::mem::take(&mut piece))) {
            return Ok(false);
        }
    }
}

/// A replica has been sent its snapshot, or has not.
fn end(engine: &Engine, client: &Client, sent: io::Result<bool>, begin: Begin) {
    match sent {
        Ok(true) => {
            go_online(&mut engine.write_patiently(), &engine.shared, client, begin);
            if client.following.is_snapshot_only() && wait_for_room(client, &|| timeout(engine), 0)
            {
                client.kill();
            }
        }
        Ok(false) => tracing::warn!("Connection with replica {} lost.", client.name()),
        Err(error) => {
            tracing::warn!(
                "Read error sending DB to replica: {}",
                crate::persist::io::words(&error)
            );
            client.kill();
        }
    }
}

/// Starts the thread that sends a replica a snapshot of parts alone.
pub(super) fn start_parts(ctx: &mut ExclusiveCtx<'_>, client: &Arc<Client>) {
    let bytes = parts(ctx, client.following.traits());
    let mark = ctx.state.replication.draw_mark();
    tracing::info!("Starting BGSAVE for SYNC with target: replicas sockets");
    ctx.state.replication.greet_alone(client, ctx.env.shared);
    let timeout = Duration::from_secs(ctx.state.config.uint(Param::ReplTimeout));
    let text = [format!("$EOF:{mark}\r\n").into_bytes(), bytes, mark.into_bytes()].concat();
    client.post(ctx.env.shared, |outbox| outbox.add_shared(&Arc::new(text)));
    let own = Arc::clone(client);
    let run = move || {
        if wait_for_room(&own, &|| timeout, 0) && own.following.is_snapshot_only() {
            own.kill();
        }
    };
    client.following.begins_on_ack.store(true, std::sync::atomic::Ordering::Relaxed);
    if let Err(error) = std::thread::Builder::new().name("replica-transfer".into()).spawn(run) {
        tracing::warn!("SYNC failed. Can't start a thread: {error}");
        client.kill();
    }
}
