//! Which TCP sockets listen now? CONFIG SET port and bind exchange them while the server runs.
//!
//! Invariants: the set that listens is always a whole one, the old or the new; a socket whose address
//! stays is kept, so nobody who waits in its queue is turned away. The accepting tasks live on the main
//! thread; an exchange waits until they have let go of the old sockets.

use std::net::{Shutdown, TcpListener};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::sync::mpsc;

use super::listener::{self, Acceptor};
use crate::config::Config;
use crate::config::params::Param;

/// How long an exchange waits for the main thread.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(2);

/// A set of sockets on its way to the accepting tasks.
#[derive(Debug)]
pub struct Exchange {
    sockets: Vec<TcpListener>,
    done: std_mpsc::Sender<()>,
}

/// The sockets that listen.
#[derive(Debug)]
pub struct Sockets {
    open: Mutex<Vec<TcpListener>>,
    exchanges: mpsc::UnboundedSender<Exchange>,
}

impl Sockets {
    /// The sockets that were opened at the start, and where exchanges arrive.
    pub fn new(open: Vec<TcpListener>) -> (Self, mpsc::UnboundedReceiver<Exchange>) {
        let (exchanges, receiver) = mpsc::unbounded_channel();
        (Self { open: Mutex::new(open), exchanges }, receiver)
    }

    /// Has everybody refused who connects from now on, also where others have the same sockets.
    pub fn close(&self) {
        for socket in self.open.lock().drain(..) {
            // What cannot be shut down is closed.
            let _ = SockRef::from(&socket).shutdown(Shutdown::Both);
        }
    }

    /// Listens where the configuration says from now on; on an error, where it did before.
    pub fn follow(&self, config: &Config) -> Result<(), String> {
        let mut open = self.open.lock();
        let result = match listener::bind_configured(config, &open) {
            Ok(sockets) => self.install(&mut open, sockets),
            // Perhaps an old socket is in the way of a new one, as `127.0.0.1` is of `*`.
            Err(_) => self.reopen(&mut open, config),
        };
        result.inspect_err(|error| tracing::warn!("{error}"))
    }

    /// Closes the old sockets before it opens the new ones.
    fn reopen(&self, open: &mut Vec<TcpListener>, config: &Config) -> Result<(), String> {
        let addresses: Vec<_> = open.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        self.install(open, Vec::new())?;
        match listener::bind_configured(config, &[]) {
            Ok(sockets) => self.install(open, sockets),
            Err(error) => {
                let backlog = config.int(Param::TcpBacklog) as i32;
                let old = addresses.into_iter().map(|at| listener::listen(at, backlog));
                let old = old.collect::<std::io::Result<Vec<_>>>();
                self.install(open, old.map_err(|error| error.to_string())?)?;
                Err(error)
            }
        }
    }

    /// Hands sockets to the accepting tasks and waits until they have let go of the old ones.
    fn install(
        &self,
        open: &mut Vec<TcpListener>,
        sockets: Vec<TcpListener>,
    ) -> Result<(), String> {
        let copies = sockets.iter().map(TcpListener::try_clone).collect::<std::io::Result<_>>();
        let (done, finished) = std_mpsc::channel();
        let exchange = Exchange { sockets: copies.map_err(|error| error.to_string())?, done };
        // Without a receiver the server is ending.
        let _ = self.exchanges.send(exchange);
        let _ = finished.recv_timeout(EXCHANGE_TIMEOUT);
        *open = sockets;
        Ok(())
    }
}

/// Accepts on these sockets, and on those that take their place.
pub async fn accept(
    acceptor: Acceptor,
    sockets: Vec<TcpListener>,
    mut exchanges: mpsc::UnboundedReceiver<Exchange>,
) {
    let spawn = |socket| tokio::task::spawn_local(listener::accept_tcp(acceptor.clone(), socket));
    let mut tasks: Vec<_> = sockets.into_iter().map(spawn).collect();
    while let Some(exchange) = exchanges.recv().await {
        for task in tasks.drain(..) {
            task.abort();
            // Its end is all that matters: by then its socket is closed.
            let _ = task.await;
        }
        tasks.extend(exchange.sockets.into_iter().map(spawn));
        let _ = exchange.done.send(());
    }
}
