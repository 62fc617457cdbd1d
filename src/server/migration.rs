//! How do keys reach another server? Over connections that are kept for a while, since moving many keys takes many
//! commands. Blocking, with a time limit: the command holds the engine until the other side has answered, so
//! that no key is in two places.

use std::collections::HashMap;
use std::io::{BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::remote::{self, read_line};
use crate::engine::log::encode;
use crate::engine::state::{Exchange, ExchangeError, Exchanged};

/// Connections that are kept.
const CONNECTIONS_MAX: usize = 64;
/// How long an idle one is kept.
const IDLE: Duration = Duration::from_secs(10);

/// A connection to another server.
#[derive(Debug)]
struct Connection {
    stream: BufReader<TcpStream>,
    /// The db that is selected there, if that is known.
    db: Option<i64>,
    used: Instant,
}

/// The connections by host and port.
#[derive(Debug, Default)]
pub struct Connections(Mutex<HashMap<(String, u16), Connection>>);

/// How an attempt failed.
struct Failure {
    error: ExchangeError,
    /// Another attempt makes sense: the connection was an old one that the other side had closed.
    stale: bool,
}

impl Connections {
    /// How many are kept.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Closes those that have been idle for long.
    pub fn close_idle(&self) {
        self.0.lock().retain(|_, connection| connection.used.elapsed() < IDLE);
    }

    /// Sends commands and reads the first line of each answer.
    pub fn exchange(&self, exchange: &Exchange<'_>) -> Exchanged {
        let mut replies = Vec::new();
        let mut attempt = self.attempt(exchange, &mut replies);
        if let Err(Failure { stale: true, .. }) = attempt
            && replies.is_empty()
        {
            attempt = self.attempt(exchange, &mut replies);
        }
        Exchanged { replies, error: attempt.err().map(|failure| failure.error) }
    }

    fn attempt(&self, exchange: &Exchange<'_>, replies: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        let place = (exchange.host.to_owned(), exchange.port);
        let timeout = Duration::from_millis(exchange.timeout_ms.max(1));
        // Taken out for the time of its use, so that a failure forgets it.
        let mut connection = match self.0.lock().remove(&place) {
            Some(connection) => connection,
            None => connect(exchange, timeout)
                .ok_or(Failure { error: ExchangeError::Connecting, stale: false })?,
        };
        let stream = connection.stream.get_ref();
        let limited = stream
            .set_read_timeout(Some(timeout))
            .and_then(|()| stream.set_write_timeout(Some(timeout)));
        limited.map_err(|_| Failure { error: ExchangeError::Connecting, stale: false })?;
        run(&mut connection, exchange, replies)?;
        let refused = replies.iter().any(|line| line.starts_with(b"-"));
        connection.db = (!refused).then_some(exchange.db);
        connection.used = Instant::now();
        let mut kept = self.0.lock();
        if kept.len() < CONNECTIONS_MAX {
            kept.insert(place, connection);
        }
        Ok(())
    }
}

fn connect(exchange: &Exchange<'_>, timeout: Duration) -> Option<Connection> {
    let stream = remote::connect(exchange.host, exchange.port, timeout).ok()?;
    Some(Connection { stream: BufReader::new(stream), db: None, used: Instant::now() })
}

fn run(
    connection: &mut Connection,
    exchange: &Exchange<'_>,
    replies: &mut Vec<Vec<u8>>,
) -> Result<(), Failure> {
    let mut select = Vec::new();
    if connection.db != Some(exchange.db) {
        encode(&mut select, &[b"SELECT", exchange.db.to_string().as_bytes()]);
    }
    let fail = |error: ExchangeError, cause: &std::io::Error| Failure {
        error,
        stale: !matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    for part in [exchange.auth, &select, exchange.commands] {
        connection
            .stream
            .get_mut()
            .write_all(part)
            .map_err(|cause| fail(ExchangeError::Writing, &cause))?;
    }
    // What refuses the password or the db refuses every key.
    let mut refusal = None;
    for _ in [exchange.auth, &select].iter().filter(|part| !part.is_empty()) {
        let line = read_line(&mut connection.stream)
            .map_err(|cause| fail(ExchangeError::Reading, &cause))?;
        if line.starts_with(b"-") {
            refusal.get_or_insert(line);
        }
    }
    for _ in 0..exchange.replies {
        let line = read_line(&mut connection.stream)
            .map_err(|cause| fail(ExchangeError::Reading, &cause))?;
        replies.push(refusal.clone().unwrap_or(line));
    }
    Ok(())
}
