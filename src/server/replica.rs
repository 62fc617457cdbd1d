//! How does this server follow another one? By a thread for each link to a primary: it connects, comes to terms
//! (`handshake.rs`), receives and loads a snapshot if it has to (`sync.rs`), and applies the stream (`stream.rs`). When the
//! connection is lost it does so again, and goes on with the stream where it was, if the primary still can.
//!
//! What clients see of it is written to the engine's state ([`Link`]), and only there is it decided who follows whom. A link
//! has a number; when REPLICAOF has made another one, or none, the thread of the old one sees that as soon as it has the
//! lock, and ends without having done anything more.
//!
//! [`Link`]: crate::engine::replication::link::Link

mod wire;

mod handshake;

mod sync;

mod stream;

mod disk;

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};

use self::handshake::{Answer, Introduction, Refusal, ask, introduce};
use self::wire::{Cutter, Stop, Wire, WireError};
use super::saving::{announce, as_server};
use crate::config::params::Param;
use crate::engine::client::{Client, Mode, Session};
use crate::engine::hooks::{Change, ServerEvent};
use crate::engine::lock::{Engine, Writing};
use crate::engine::replication::failover;
use crate::engine::replication::link::LinkState;
use crate::persist::io::words;

/// Between two attempts to reach the primary.
const RETRY: Duration = Duration::from_secs(1);

/// The thread of the present link, for whoever ends it.
#[derive(Debug, Default)]
pub struct Links {
    current: Mutex<Option<(u64, Arc<Stop>)>>,
}

impl Links {
    /// Ends the thread of the link that was, and starts one for the link of this number, if there is one. Whoever calls
    /// has been told of a change of the state, which may have changed again.
    pub fn change(&self, engine: &Arc<Engine>, generation: u64, follows: bool) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|(known, _)| *known >= generation) {
            return;
        }
        let stop = Arc::new(Stop::default());
        if let Some((_, old)) = current.replace((generation, Arc::clone(&stop))) {
            old.end();
        }
        if !follows {
            return;
        }
        let link = Follower { engine: Arc::clone(engine), generation, stop };
        let started = std::thread::Builder::new().name("replica-link".into()).spawn(move || {
            crate::allocator::use_arena_of(1);
            link.run();
        });
        if let Err(error) = started {
            tracing::warn!("cannot start a thread to follow the primary: {error}");
        }
    }
}

/// A link of the state, and the thread that keeps it.
struct Follower {
    engine: Arc<Engine>,
    generation: u64,
    stop: Arc<Stop>,
}

/// Why an attempt came to its end.
#[derive(Debug)]
enum Ended {
    /// There is another link, or none.
    Replaced,
    /// It failed before the stream was followed; the log says why.
    Failed,
    /// The snapshot was not received or not loaded; the log says why.
    NotLoaded,
    /// The stream broke off.
    Lost,
}

/// What the state and the configuration say at the beginning of an attempt.
struct Plan {
    host: String,
    port: u16,
    source: Vec<u8>,
    timeout: Duration,
    own: Introduction,
}

impl Follower {
    fn run(&self) {
        loop {
            match self.attempt() {
                Ended::Replaced => return,
                Ended::Failed => {
                    if self.fall_back(None).is_err() {
                        return;
                    }
                    self.stop.wait(RETRY);
                }
                Ended::NotLoaded => {
                    if self.fall_back(Some("after failure")).is_err() {
                        return;
                    }
                    self.stop.wait(RETRY / 10);
                }
                Ended::Lost => {
                    if self.fall_back(Some("")).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// The state, unless there is another link by now.
    fn state(&self) -> Result<Writing<'_>, Ended> {
        let state = self.engine.write_patiently();
        match state.replication.link() {
            Some(link) if link.generation == self.generation => Ok(state),
            _ => Err(Ended::Replaced),
        }
    }

    /// Changes what is known of the link.
    fn note(
        &self,
        f: impl FnOnce(&mut crate::engine::replication::link::Link, i64),
    ) -> Result<(), Ended> {
        let mut state = self.state()?;
        let now_ms = self.engine.shared.now_ms();
        if let Some(link) = state.replication.link_mut() {
            f(link, now_ms);
        }
        self.engine.shared.note_role(&state);
        Ok(())
    }

    /// The link is down.
    fn fall_back(&self, again: Option<&str>) -> Result<(), Ended> {
        let mut was_up = false;
        self.note(|link, now_ms| {
            was_up = link.is_up();
            if was_up {
                link.down_since_ms = Some(now_ms);
            }
            link.state = LinkState::Connect;
            link.transfer = None;
            link.heard_ms = None;
            if let Some(why) = again {
                let text = format!("Reconnecting to MASTER {}:{} {why}", link.host, link.port);
                tracing::info!("{}", text.trim_end());
            }
        })?;
        if was_up {
            let mut state = self.state()?;
            as_server(&mut state, &self.engine.shared, |ctx| {
                announce(ctx, ServerEvent::PrimaryLink(Change::Down));
            });
        }
        Ok(())
    }

    fn plan(&self) -> Result<Plan, Ended> {
        let mut state = self.state()?;
        let mut own = Introduction::of(&state.config);
        let source = state.config.text(Param::BindSourceAddr).to_vec();
        let timeout = Duration::from_secs(state.config.uint(Param::ReplTimeout));
        let Some(link) = state.replication.link_mut() else { return Err(Ended::Replaced) };
        link.state = LinkState::Connecting;
        own.takes_over = link.takes_over;
        let (host, port) = (link.host.clone(), link.port);
        Ok(Plan { host, port, source, timeout, own })
    }

    /// The history that can be gone on with, and the offset of the next byte.
    fn history(&self) -> Result<Option<(String, u64)>, Ended> {
        let state = self.state()?;
        let replication = &state.replication;
        Ok(replication.resumes.then(|| (replication.id.clone(), replication.offset() + 1)))
    }

    /// One connection from its beginning to its end.
    fn attempt(&self) -> Ended {
        match self.try_to_follow() {
            Ok(never) => match never {},
            Err(_) if self.stop.is_ended() => Ended::Replaced,
            Err(ended) => ended,
        }
    }

    fn try_to_follow(&self) -> Result<std::convert::Infallible, Ended> {
        let Plan { host, port, source, timeout, mut own } = self.plan()?;
        tracing::info!("Connecting to MASTER {host}:{port}");
        let stream = connect(&host, port, &source, timeout).map_err(|error| {
            tracing::warn!("Unable to connect to MASTER: {}", words(&error));
            Ended::Failed
        })?;
        tracing::info!("MASTER <-> REPLICA sync started");
        self.note(|link, _| link.state = LinkState::Handshake)?;
        let patience = Arc::clone(&self.engine.shared.limits.replication_seconds);
        let mut wire =
            Wire::new(stream, Arc::clone(&self.stop), patience).map_err(|_| Ended::Failed)?;
        introduce(&mut wire, &own).map_err(|refusal| told(&refusal))?;
        own.history = self.history()?;
        let answer = ask(&mut wire, &own);
        if own.takes_over {
            self.end_failover(&answer)?;
        }
        let answer = answer.map_err(|refusal| told(&refusal))?;
        match answer {
            Answer::Continues(id) => self.go_on(id)?,
            Answer::Full { id, offset } => {
                tracing::info!("Full resync from master: {id}:{offset}");
                self.synchronize(&mut wire, Some((id, offset)))?;
            }
            Answer::FullUnknown => self.synchronize(&mut wire, None)?,
        }
        self.follow(wire)
    }

    /// The primary was asked to lead, and has answered, perhaps.
    fn end_failover(&self, answer: &Result<Answer, Refusal>) -> Result<(), Ended> {
        let shared = &self.engine.shared;
        let mut state = self.state()?;
        match answer {
            Ok(_) => failover::end(&mut state.replication, shared),
            Err(Refusal::Told) => as_server(&mut state, shared, |ctx| {
                failover::abort(ctx, "Failover target rejected psync request");
            }),
            // It is asked again.
            Err(Refusal::Wire(_)) => {}
        }
        Ok(())
    }

    /// The primary goes on with the history that we have.
    fn go_on(&self, id: Option<String>) -> Result<(), Ended> {
        let mut state = self.state()?;
        tracing::info!("Successful partial resynchronization with master.");
        let replication = &mut state.replication;
        if let Some(id) = id.filter(|id| *id != replication.id) {
            tracing::info!("Master replication ID changed to {id}");
            replication.rename_history(id);
            // They have to hear of it, and can go on at once.
            replication.disconnect_replicas();
        }
        replication.begin_backlog();
        tracing::info!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
        Ok(())
    }

    /// The client that stands for the primary in the table of clients.
    fn client(&self, wire: &Wire) -> io::Result<Arc<Client>> {
        use std::os::fd::AsRawFd;
        let (shared, stream) = (&self.engine.shared, wire.stream());
        let id = shared.next_client.fetch_add(1, Ordering::Relaxed);
        let (addr, laddr) = (stream.peer_addr()?.to_string(), stream.local_addr()?.to_string());
        let session = Session::internal(Mode::PRIMARY, 0);
        let fd = stream.as_raw_fd();
        let client = Client::new(id, addr, laddr, fd, session, shared.now_ms());
        // It is sent nothing.
        client.leaving.store(true, Ordering::Relaxed);
        client.footprint.apart.store(true, Ordering::Relaxed);
        let waker = Waker::from(Arc::new(Cutter(Arc::clone(wire.stop()))));
        client.outbox.lock().waker = Some(waker);
        Ok(Arc::new(client))
    }
}

/// Writes to the log why the handshake failed.
fn told(refusal: &Refusal) -> Ended {
    match refusal {
        Refusal::Told | Refusal::Wire(WireError::Ended) => {}
        Refusal::Wire(WireError::Silence) => tracing::warn!("Timeout connecting to the MASTER..."),
        Refusal::Wire(WireError::Io(error)) => {
            tracing::warn!("Failed to read response from the server: {}", words(error));
            tracing::warn!("Master did not respond to command during SYNC handshake");
        }
    }
    Ended::Failed
}

/// Connects to a place, from the address that the configuration names.
fn connect(host: &str, port: u16, source: &[u8], timeout: Duration) -> io::Result<TcpStream> {
    let mut error = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match connect_to(address, source, timeout) {
            Ok(stream) => return Ok(stream),
            Err(reason) => error = reason,
        }
    }
    Err(error)
}

fn connect_to(address: SocketAddr, source: &[u8], timeout: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if !source.is_empty() {
        let source = String::from_utf8_lossy(source);
        let from =
            (&*source, 0).to_socket_addrs()?.find(|from| from.is_ipv4() == address.is_ipv4());
        if let Some(from) = from {
            socket.bind(&from.into())?;
        }
    }
    socket.connect_timeout(&address.into(), timeout)?;
    let stream = TcpStream::from(socket);
    // Without it acknowledgements only come later.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}
