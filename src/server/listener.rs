//! Where do connections come from? Listening sockets, and the acceptor that deals them out to the
//! workers in turn.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use tokio::sync::mpsc::UnboundedSender;

use super::worker::{Accepted, Socket};
use crate::config::Config;
use crate::config::params::Param;
use crate::engine::client::{Client, Session};
use crate::engine::lock::Engine;

/// The acceptor: it knows the engine and the workers.
#[derive(Clone, Debug)]
pub struct Acceptor {
    engine: Arc<Engine>,
    workers: Vec<UnboundedSender<Accepted>>,
    next: Arc<AtomicUsize>,
}

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is \
enabled and no password is set for the default user. In this mode connections are only accepted \
from the loopback interface. If you want to connect from external computers to Redis you may adopt \
one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET \
protected-mode no' from the loopback interface by connecting to Redis from the same host the server \
is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use \
CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected \
mode by editing the Redis configuration file, and setting the protected mode option to 'no', and \
then restarting the server. 3) If you started the server manually just for testing, restart it with \
the '--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: \
You only need to do one of the above things in order for the server to start accepting connections \
from the outside.\r\n";

impl Acceptor {
    /// An acceptor that deals out to these workers.
    pub fn new(engine: Arc<Engine>, workers: Vec<UnboundedSender<Accepted>>) -> Self {
        Self { engine, workers, next: Arc::default() }
    }

    /// Takes in a TCP connection.
    pub fn tcp(&self, stream: std::net::TcpStream, peer: SocketAddr) {
        // A socket that is already broken shows it at its first read.
        let _ = stream.set_nodelay(true);
        let _ = self.keep_alive(&stream);
        let local = stream.local_addr().map(|a| a.to_string()).unwrap_or_default();
        let fd = stream.as_raw_fd();
        let outside = !is_loopback(peer.ip());
        let socket = Socket::Tcp(stream);
        self.admit(socket, unmapped(peer).to_string(), local, fd, outside);
    }

    /// Takes in a connection of the unix socket at `path`.
    pub fn unix(&self, stream: std::os::unix::net::UnixStream, path: &str) {
        let fd = stream.as_raw_fd();
        let name = format!("{path}:0");
        self.admit(Socket::Unix(stream), name.clone(), name, fd, false);
    }

    fn keep_alive(&self, stream: &std::net::TcpStream) -> io::Result<()> {
        let seconds = self.engine.shared.limits.keepalive_seconds.load(Ordering::Relaxed);
        if seconds == 0 {
            return Ok(());
        }
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(seconds))
            .with_interval(Duration::from_secs((seconds / 3).max(1)))
            .with_retries(3);
        SockRef::from(stream).set_tcp_keepalive(&keepalive)
    }

    fn admit(&self, socket: Socket, addr: String, laddr: String, fd: i32, outside: bool) {
        let shared = &self.engine.shared;
        let open = shared.connections.fetch_add(1, Ordering::Relaxed);
        let stats = &shared.workers[0];
        let lets_in = shared.users.default_user().lets_in();
        let refusal = if open >= shared.limits.clients.load(Ordering::Relaxed) {
            Some(TOO_MANY)
        } else if outside && lets_in && shared.limits.protected_mode.load(Ordering::Relaxed) {
            Some(PROTECTED)
        } else {
            None
        };
        if let Some(text) = refusal {
            stats.rejected_connections.add(1);
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            refuse(&socket, text);
            return;
        }
        stats.connections.add(1);
        let now_ms = shared.now_ms();
        let protocol = shared.first_protocol();
        let session = Session { protocol, ..Session::of_default_user(&shared.users) };
        // The main thread, number 0, has no connections.
        let worker = 1 + self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        let id = shared.next_client.fetch_add(1, Ordering::Relaxed);
        let unix_socket = matches!(socket, Socket::Unix(_));
        let client = Client::new(id, addr, laddr, fd, session, now_ms);
        let client = Arc::new(Client { unix_socket, worker, ..client });
        shared.clients.lock().insert(Arc::clone(&client));
        client.count_memory(shared);
        if self.workers[worker - 1].send(Accepted { socket, client }).is_err() {
            if let Some(client) = shared.clients.lock().remove(id) {
                client.forget_memory(shared);
            }
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Tells a client why it is refused. The socket's buffer is empty, so the text fits.
fn refuse(socket: &Socket, text: &[u8]) {
    let _ = match socket {
        Socket::Tcp(stream) => rustix::io::write(stream, text),
        Socket::Unix(stream) => rustix::io::write(stream, text),
    };
}

/// The version 4 address inside a mapped version 6 one.
fn unmapped(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The addresses of a `bind` word: `*` and `::*` are all addresses of version 4 and 6.
fn addresses(word: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match word {
        "*" => Ok(vec![SocketAddr::from(([0, 0, 0, 0], port))]),
        "::*" => Ok(vec![SocketAddr::from(([0u16; 8], port))]),
        word => Ok((word, port).to_socket_addrs()?.collect()),
    }
}

/// Opens the TCP sockets that `port` and `bind` ask for, but keeps those of `open` that they ask for too.
pub fn bind_configured(
    config: &Config,
    open: &[std::net::TcpListener],
) -> Result<Vec<std::net::TcpListener>, String> {
    let port = config.int(Param::Port) as u16;
    if port == 0 {
        return Ok(Vec::new());
    }
    let words: Vec<String> =
        config.bind().iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    bind(&words, port, config.int(Param::TcpBacklog) as i32, open)
}

/// Opens the listening sockets of a `bind` line. A word behind `-` may fail when its address does not
/// exist here.
fn bind(
    words: &[String],
    port: u16,
    backlog: i32,
    open: &[std::net::TcpListener],
) -> Result<Vec<std::net::TcpListener>, String> {
    let kept = |address| open.iter().find(|socket| socket.local_addr().ok() == Some(address));
    let mut listeners = Vec::new();
    for word in words {
        let (word, optional) = match word.strip_prefix('-') {
            Some(word) => (word, true),
            None => (word.as_str(), false),
        };
        let opened = addresses(word, port).and_then(|addresses| {
            addresses
                .into_iter()
                .map(|address| match kept(address) {
                    Some(socket) => socket.try_clone(),
                    None => listen(address, backlog),
                })
                .collect()
        });
        match opened {
            Ok(opened) => {
                let opened: Vec<_> = opened;
                listeners.extend(opened);
            }
            Err(error) if optional && is_absent(&error) => {}
            Err(error) => {
                return Err(format!(
                    "Could not create server TCP listening socket {word}:{port}: {}",
                    describe("bind", &error)
                ));
            }
        }
    }
    Ok(listeners)
}

/// Whether the address or its whole version does not exist on this machine.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
}

/// An error without the number that the standard library adds.
fn describe(call: &str, error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("{call}: {text}")
}

/// Opens a listening socket.
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Opens the unix socket at `path`, replacing a stale one.
pub fn bind_unix(path: &str, mode: u32) -> Result<std::os::unix::net::UnixListener, String> {
    use std::os::unix::fs::PermissionsExt;
    // Nothing there is the usual case.
    let _ = std::fs::remove_file(path);
    let open = || -> io::Result<_> {
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        if mode != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map_err(|error| format!("Failed opening Unix socket: {}", describe("bind", &error)))
}

/// Accepts TCP connections for ever.
pub async fn accept_tcp(acceptor: Acceptor, listener: std::net::TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Ok(stream) = stream.into_std() {
                    acceptor.tcp(stream, peer);
                }
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Accepts connections of a unix socket for ever.
pub async fn accept_unix(
    acceptor: Acceptor,
    listener: std::os::unix::net::UnixListener,
    path: String,
) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(stream) = stream.into_std() {
                    acceptor.unix(stream, &path);
                }
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Without file descriptors, accepting fails at once again and again.
async fn pause_after(error: &io::Error) {
    tracing::warn!("Accepting client connection: {error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
