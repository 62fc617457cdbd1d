//! How is the primary's stream applied? Read in large pieces, split into commands, and run in holds of the lock as clients'
//! batches are; what was applied is relayed, byte for byte, to those who follow this server.
//!
//! Invariants: the offset moves by whole commands, and by whole transactions: of one that is cut off nothing was applied,
//! and it comes again. A hold of the lock ends after [`HOLD_COMMANDS_MAX`] commands or half a millisecond. Nothing is answered
//! but how far we are (REPLCONF ACK), once a second and when the primary asks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::saving::{announce, as_server};
use super::disk::DiskWatch;
use super::wire::{TICK, Wire, WireError};
use super::{Ended, Follower};
use crate::config::params::Param;
use crate::engine::call::{self, Access, HOLD_COMMANDS_MAX, Request, filtered};
use crate::engine::client::{Client, Mode, Session};
use crate::engine::ctx::Env;
use crate::engine::durable::Policy;
use crate::engine::effects::Unit;
use crate::engine::hooks::{Change, ServerEvent};
use crate::engine::log::encode;
use crate::engine::persistence::AofMode;
use crate::engine::replay;
use crate::engine::replication::link::LinkState;
use crate::engine::state::State;
use crate::persist::io::words;
use crate::resp::request::{Limits, Parser, RequestSpan, Stop as Parsed};

/// Time that one hold of the lock takes at most, unless a single command takes longer.
const HOLD_NANOS_MAX: u64 = 500_000;
/// Between two acknowledgements.
const ACK: Duration = Duration::from_secs(1);
/// The longest argument that a primary may send: what Redis lets no value exceed.
const BULK_BYTES_MAX: i64 = 5 << 30;
/// Replies to the primary's commands are thrown away; a buffer that has grown past this is given back.
const REPLY_BYTES_KEPT: usize = 64 * 1024;
/// Positions of the append-only file that are remembered until they are synced.
const POSITIONS_MAX: usize = 1024;
/// Bytes that are kept while CLIENT PAUSE lasts; then no more are read until it is over. The longest argument fits, so without
/// a pause the stream never comes to a stop here.
const PAUSED_BYTES_MAX: usize = 6 << 30;
/// Bytes of a reply that are told in the log.
const TOLD_BYTES_MAX: usize = 128;

/// A stream that is being applied.
struct Applying<'a> {
    follower: &'a Follower,
    client: &'a Arc<Client>,
    parser: Parser,
    out: Vec<u8>,
    /// Bytes at the front of the buffer that were applied and relayed.
    applied: usize,
    /// The offset that was applied last.
    offset: u64,
    /// What comes before them and was not relayed: the beginning of a transaction.
    aside: Vec<u8>,
    /// The primary wants to hear how far we are.
    asked: bool,
    /// Positions of the append-only file, and the offsets up to which they hold the stream.
    positions: VecDeque<(u64, u64)>,
    /// The offset up to which the stream is synced.
    synced: Option<u64>,
    disk: DiskWatch,
}

impl Follower {
    /// Follows the stream until it breaks off.
    pub(super) fn follow(&self, mut wire: Wire) -> Result<Infallible, Ended> {
        let shared = &self.engine.shared;
        let client = self.client(&wire).map_err(|_| Ended::Lost)?;
        let offset = {
            let mut state = self.state()?;
            client.session.lock().db = state.replication.stream_db;
            let offset = state.replication.offset();
            let now_ms = shared.now_ms();
            if let Some(link) = state.replication.link_mut() {
                link.state = LinkState::Connected;
                link.heard_ms = Some(now_ms);
                link.down_since_ms = None;
                link.read_offset = offset;
            }
            shared.note_role(&state);
            shared.clients.lock().insert(Arc::clone(&client));
            as_server(&mut state, shared, |ctx| {
                announce(ctx, ServerEvent::PrimaryLink(Change::Up));
            });
            offset
        };
        let mut applying = Applying {
            follower: self,
            client: &client,
            parser: Parser::default(),
            out: Vec::new(),
            applied: 0,
            offset,
            aside: Vec::new(),
            asked: false,
            positions: VecDeque::new(),
            synced: None,
            disk: DiskWatch::default(),
        };
        let result = applying.run(&mut wire);
        shared.clients.lock().remove(client.id);
        if !self.stop.is_ended() {
            tracing::info!("Connection with master lost.");
        }
        result
    }

    /// Tells the primary how far we are.
    pub(super) fn acknowledge(&self, wire: &mut Wire) -> Result<(), WireError> {
        let offset = self.engine.read_patiently().replication.offset();
        send_ack(wire, offset, None)
    }
}

fn send_ack(wire: &mut Wire, offset: u64, synced: Option<u64>) -> Result<(), WireError> {
    let (offset, synced) = (offset.to_string(), synced.map(|offset| offset.to_string()));
    let mut argv = vec![&b"REPLCONF"[..], b"ACK", offset.as_bytes()];
    if let Some(synced) = &synced {
        argv.extend([&b"FACK"[..], synced.as_bytes()]);
    }
    let mut bytes = Vec::new();
    encode(&mut bytes, &argv);
    wire.send(&bytes)
}

impl Applying<'_> {
    fn run(&mut self, wire: &mut Wire) -> Result<Infallible, Ended> {
        let shared = &self.follower.engine.shared;
        let mut acked: Option<Instant> = None;
        loop {
            // CLIENT PAUSE holds back the primary as well: what comes is kept.
            match shared.pause.is_active(shared.now_ms()) {
                true => self.note_read(wire)?,
                false => self.apply(wire)?,
            }
            if self.asked || acked.is_none_or(|at| at.elapsed() >= ACK) {
                self.asked = false;
                acked = Some(Instant::now());
                let offset = self.look_around()?;
                send_ack(wire, offset, self.synced).map_err(|error| lost(&error))?;
            }
            match wire.unused().len() < PAUSED_BYTES_MAX {
                true => _ = wire.read_some().map_err(|error| lost(&error))?,
                false => self.follower.stop.wait(TICK),
            }
        }
    }

    /// Notes how much has come that was not applied.
    fn note_read(&mut self, wire: &Wire) -> Result<(), Ended> {
        if self.client.killed.load(Ordering::Relaxed) {
            return Err(Ended::Lost);
        }
        let waiting = wire.unused().len() + self.aside.len();
        self.follower.note(|link, now_ms| {
            link.heard_ms = Some(now_ms);
            link.read_offset = link.read_offset.max(self.offset + waiting as u64);
        })
    }

    /// The offset; what is synced meanwhile is noted.
    fn look_around(&mut self) -> Result<u64, Ended> {
        let shared = &self.follower.engine.shared;
        let state = self.follower.state()?;
        let offset = state.replication.offset();
        match state.persistence.aof.mode {
            AofMode::On => {
                let synced = shared.durable.synced();
                while self.positions.front().is_some_and(|(position, _)| *position <= synced) {
                    self.synced = self.positions.pop_front().map(|(_, offset)| offset);
                }
            }
            _ => {
                self.positions.clear();
                self.synced = None;
            }
        }
        Ok(offset)
    }

    /// Applies all whole commands that have come.
    fn apply(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        let limits = Limits { bulk_bytes_max: BULK_BYTES_MAX, authenticated: true };
        loop {
            let parsed = self.parser.parse(wire.unused(), limits);
            let (buf, mut done) = (wire.unused(), 0);
            while done < self.parser.requests().len() {
                done += self.hold(buf, done)?;
                self.write_log();
            }
            if let Parsed::Error(error) = &parsed {
                tracing::warn!("Protocol error from master: {error}");
                return Err(self.corrupt());
            }
            let consumed = self.parser.consumed();
            if consumed > self.applied {
                // The part of a transaction that has come, or lines without a command.
                self.put_aside(&buf[self.applied..consumed])?;
            }
            self.client.query_bytes.store(buf.len() - consumed, Ordering::Relaxed);
            self.parser.release();
            wire.at += consumed;
            self.applied = 0;
            if parsed != Parsed::BatchFull {
                return Ok(());
            }
        }
    }

    /// Bytes that were looked at, but are not to be relayed before the transaction ends that they are of.
    fn put_aside(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.aside.extend_from_slice(bytes);
        if !self.client.session.lock().mode.contains(Mode::MULTI) {
            let mut state = self.follower.state()?;
            state.replication.relay(&self.aside);
            self.aside.clear();
        }
        Ok(())
    }

    /// Applies requests from the one of this number on, in one hold of the lock; says how many.
    fn hold(&mut self, buf: &[u8], first: usize) -> Result<usize, Ended> {
        let Self { follower, client, parser, out, applied, asked, aside, disk, .. } = self;
        let spans = &parser.requests()[first..];
        let spans = &spans[..spans.len().min(HOLD_COMMANDS_MAX)];
        let shared = &follower.engine.shared;
        let mut args: Vec<&[u8]> = Vec::with_capacity(spans.len() * 4);
        let ends: Vec<usize> = spans
            .iter()
            .map(|span: &RequestSpan| {
                args.extend(parser.arguments(buf, *span));
                args.len()
            })
            .collect();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut state = follower.state()?;
        if client.killed.load(Ordering::Relaxed) {
            return Err(Ended::Lost);
        }
        let look_up = |(from, to): (usize, usize)| call::look_up(&state.registry, &args[from..to]);
        let requests: Vec<Request<'_>> = starts.zip(ends.iter().copied()).map(look_up).collect();
        let mut session = client.session.lock();
        let (clock, began_us) = (shared.clock, (shared.clock.unix_us)());
        let began_ns = (clock.mono_ns)();
        let mut env =
            Env { shared, stats: &shared.workers[0], worker: 0, client: None, now_us: began_us };
        let relayed = *applied;
        let mut before = match first {
            0 => 0,
            first => parser.requests()[first - 1].end,
        };
        replay::fetch_ahead(&state, &session, &requests);
        let mut done = 0;
        for (request, span) in requests.iter().zip(spans) {
            let is_inline = buf.get(before) != Some(&b'*');
            before = span.end;
            if is_inline {
                // Nobody is to have commands run here by what a confused server sends.
                break;
            }
            match asks_for_ack(request.argv) {
                true => *asked = true,
                false => {
                    disk.look(&state, shared, request);
                    apply_one(&mut state, &mut session, env, *request, out);
                }
            }
            done += 1;
            if !session.mode.contains(Mode::MULTI) {
                *applied = span.end;
            }
            let elapsed_ns = (clock.mono_ns)() - began_ns;
            env.now_us = began_us + (elapsed_ns / 1000) as i64;
            if elapsed_ns > HOLD_NANOS_MAX {
                break;
            }
        }
        if *applied > relayed {
            state.replication.relay(aside);
            aside.clear();
            state.replication.relay(&buf[relayed..*applied]);
        }
        let offset = state.replication.offset();
        state.replication.stream_db = session.db;
        if let Some(link) = state.replication.link_mut() {
            link.heard_ms = Some(env.now_us / 1000);
            link.read_offset = offset + (buf.len() - *applied) as u64;
        }
        client.active_ms.store(env.now_us / 1000, Ordering::Relaxed);
        let is_appended = state.persistence.aof.mode == AofMode::On;
        drop(session);
        drop(state);
        self.offset = offset;
        if is_appended {
            self.note_position(offset);
        }
        if done == 0 {
            tracing::warn!(
                "WARNING: Receiving inline protocol from master, master stream corruption? Closing the master \
                 connection and discarding the cached master."
            );
            return Err(self.corrupt());
        }
        Ok(done)
    }

    /// Notes that what was appended so far has the stream up to this offset.
    fn note_position(&mut self, offset: u64) {
        let position = self.follower.engine.shared.durable.appended();
        let is_full = self.positions.len() >= POSITIONS_MAX;
        match self.positions.back_mut() {
            Some(last) if last.0 == position || is_full => *last = (position, offset),
            _ => self.positions.push_back((position, offset)),
        }
    }

    /// Writes to the append-only file what was applied: no worker has a reply that waits for it.
    fn write_log(&self) {
        let shared = &self.follower.engine.shared;
        let durable = &shared.durable;
        if durable.appended() == durable.written() {
            return;
        }
        match durable.policy() {
            Policy::Always => shared.host.sync_log(durable),
            Policy::EverySecond | Policy::Never => shared.host.write_log(durable),
        }
    }

    /// What has come makes no sense, so nobody knows what was meant: the data set has to come anew.
    fn corrupt(&self) -> Ended {
        match self.follower.state() {
            Ok(mut state) => {
                state.replication.resumes = false;
                Ended::Lost
            }
            Err(ended) => ended,
        }
    }
}

/// Whether the primary asks how far we are.
fn asks_for_ack(argv: &[&[u8]]) -> bool {
    matches!(argv, [name, what, ..]
        if name.eq_ignore_ascii_case(b"REPLCONF") && what.eq_ignore_ascii_case(b"GETACK"))
}

/// Applies one command. An error means that the two data sets differ.
fn apply_one(
    state: &mut State,
    session: &mut Session,
    env: Env<'_>,
    request: Request<'_>,
    out: &mut Vec<u8>,
) {
    out.clear();
    let mut access = Access::Exclusive(state);
    let mut unit = Unit::default();
    let kept = filtered::look(&mut access, session, &mut unit, env, request.argv);
    call::end_unit(&mut access, &mut unit, env);
    let argv = kept.as_ref().map(filtered::slices);
    let request = argv.as_ref().map_or(request, |argv| filtered::request(&access, argv));
    match request.command {
        Some(command) => {
            let source = replay::Source::Primary;
            replay::replay(source, &mut access, session, env, command, request.argv, out);
        }
        None => out.extend_from_slice(b"-ERR unknown command"),
    }
    if out.starts_with(b"-") {
        state.replication.errors += 1;
        let name = String::from_utf8_lossy(request.argv.first().copied().unwrap_or_default());
        let reply = String::from_utf8_lossy(&out[1..out.len().min(TOLD_BYTES_MAX)]);
        tracing::warn!(
            "== CRITICAL == This replica is sending an error to its master: '{}' after processing the command \
             '{}'",
            reply.trim_end(),
            name.to_lowercase()
        );
        // The choices that begin with the second end the process, unless the data set may differ, since others write here.
        let panics = state.config.choice(Param::PropagationErrorBehavior) != 0;
        if panics && state.config.flag(Param::ReplicaReadOnly) {
            tracing::warn!("This replica panicked sending an error to its master");
            std::process::exit(1);
        }
    }
    if out.capacity() > REPLY_BYTES_KEPT {
        *out = Vec::new();
    }
}

/// Writes to the log why the stream broke off.
fn lost(error: &WireError) -> Ended {
    match error {
        WireError::Ended => {}
        WireError::Silence => {
            tracing::warn!("MASTER timeout: no data nor PING received...");
        }
        WireError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
        WireError::Io(error) => tracing::warn!("Reading from master: {}", words(error)),
    }
    Ended::Lost
}
