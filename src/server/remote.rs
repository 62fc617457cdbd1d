//! How does the program talk to another server, as a client of it? Over one blocking connection: many commands are sent, then
//! as many replies read.
//!
//! Invariant: what the other side sends takes no more memory than it has sent, and nests no deeper than its commands'
//! replies do.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::base::number::parse_i64;
use crate::engine::log::encode;

/// The longest line of a reply.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// The longest bulk string: what Redis lets no value exceed, and some for what leads it in a payload.
const BULK_BYTES_MAX: u64 = 5 << 30;
/// How deep replies nest.
const DEPTH_MAX: usize = 8;
/// Bytes that are gathered before they are sent.
const SEND_BYTES: usize = 64 * 1024;

/// Where another server is, and as whom to go there: `redis://[user[:password]@]host[:port][/db]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The name or number of its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The words behind AUTH, if there are any.
    pub auth: Vec<Vec<u8>>,
    /// The db, if one is named.
    pub db: Option<u32>,
}

impl Address {
    /// Reads an address; what is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("'{text}' is no address: {why}"));
        let Some(rest) = text.strip_prefix("redis://") else {
            return wrong("it begins with redis:// (TLS is not supported)");
        };
        let (place, db) = rest.split_once('/').unwrap_or((rest, ""));
        let db = match db.trim_end_matches('/') {
            "" => None,
            number => match number.parse() {
                Ok(number) => Some(number),
                Err(_) => return wrong("a db is a number"),
            },
        };
        let (login, place) = place.rsplit_once('@').unwrap_or(("", place));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let mut auth = Vec::new();
        for word in [user, password].into_iter().filter(|word| !word.is_empty()) {
            match unescape(word) {
                Some(word) => auth.push(word),
                None => return wrong("a percent sign comes with two hexadecimal digits"),
            }
        }
        if !user.is_empty() && password.is_empty() {
            return wrong("a user has a password");
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(six) => {
                let (host, port) = six.split_once(']').unwrap_or((six, ""));
                (host, port.strip_prefix(':'))
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let Ok(port) = port.map_or(Ok(6379), str::parse) else {
            return wrong("a port is a number below 65536");
        };
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(Self { host: host.to_owned(), port, auth, db })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Puts bytes in place of their `%xx`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(bytes)
}

/// What another server replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A status.
    Status(Vec<u8>),
    /// An error.
    Error(Vec<u8>),
    /// A number.
    Int(i64),
    /// A text, or nothing.
    Bulk(Option<Vec<u8>>),
    /// Several.
    Array(Vec<Reply>),
}

/// Connects to a place, with small messages leaving at once.
pub fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut error = io::Error::from(ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                // Without it only slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(reason) => error = reason,
        }
    }
    Err(error)
}

/// A connection to another server.
#[derive(Debug)]
pub struct Remote {
    stream: BufReader<TcpStream>,
    unsent: Vec<u8>,
}

impl Remote {
    /// Connects; `timeout` is also how long each read and write may take.
    pub fn connect(address: &Address, timeout: Duration) -> io::Result<Self> {
        let stream = connect(&address.host, address.port, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream: BufReader::with_capacity(SEND_BYTES, stream), unsent: Vec::new() })
    }

    /// Adds a command to those that are to be sent.
    pub fn add(&mut self, argv: &[&[u8]]) -> io::Result<()> {
        encode(&mut self.unsent, argv);
        if self.unsent.len() >= SEND_BYTES { self.flush() } else { Ok(()) }
    }

    /// Sends the commands.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&self.unsent)?;
        self.unsent.clear();
        Ok(())
    }

    /// Sends a command and reads its reply.
    pub fn call(&mut self, argv: &[&[u8]]) -> io::Result<Reply> {
        self.add(argv)?;
        self.flush()?;
        self.read()
    }

    /// Reads the next reply.
    pub fn read(&mut self) -> io::Result<Reply> {
        read_reply(&mut self.stream, DEPTH_MAX)
    }
}

/// Reads a line without its end.
pub fn read_line(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    Read::take(stream, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line.pop_if(|last| *last == b'\r');
    Ok(line)
}

fn read_reply(stream: &mut impl BufRead, depth: usize) -> io::Result<Reply> {
    let odd = || io::Error::new(ErrorKind::InvalidData, "the reply is not one of a Redis server");
    let line = read_line(stream)?;
    let (kind, rest) = line.split_first().ok_or_else(odd)?;
    let number = || parse_i64(rest).ok_or_else(odd);
    Ok(match kind {
        b'+' => Reply::Status(rest.to_vec()),
        b'-' => Reply::Error(rest.to_vec()),
        b':' => Reply::Int(number()?),
        b'$' => match number()? {
            -1 => Reply::Bulk(None),
            len => {
                let len = u64::try_from(len).ok().filter(|len| *len <= BULK_BYTES_MAX);
                let len = len.ok_or_else(odd)?;
                let mut text = Vec::new();
                // It grows with what arrives, whatever was announced.
                Read::take(&mut *stream, len + 2).read_to_end(&mut text)?;
                if text.len() as u64 != len + 2 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                text.truncate(text.len() - 2);
                Reply::Bulk(Some(text))
            }
        },
        b'*' if depth > 0 => {
            let mut items = Vec::new();
            for _ in 0..number()?.max(0) {
                items.push(read_reply(stream, depth - 1)?);
            }
            Reply::Array(items)
        }
        _ => return Err(odd()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let address = |host: &str, port, auth: &[&str], db| {
            let auth = auth.iter().map(|word| word.as_bytes().to_vec()).collect();
            Ok(Address { host: host.into(), port, auth, db })
        };
        let parse = Address::parse;
        assert_eq!(parse("redis://"), address("127.0.0.1", 6379, &[], None));
        assert_eq!(parse("redis://host/"), address("host", 6379, &[], None));
        assert_eq!(parse("redis://host:7000/3"), address("host", 7000, &[], Some(3)));
        assert_eq!(parse("redis://:p%40ss@h"), address("h", 6379, &["p@ss"], None));
        assert_eq!(parse("redis://me:p:w@[::1]:1"), address("::1", 1, &["me", "p:w"], None));
        for wrong in ["host", "rediss://h", "redis://h:x", "redis://h/x", "redis://a:%4@h"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn replies_are_read_whole_or_refused() {
        let read = |mut bytes: &[u8]| read_reply(&mut bytes, DEPTH_MAX).ok();
        assert_eq!(read(b"+OK\r\n"), Some(Reply::Status(b"OK".to_vec())));
        assert_eq!(read(b":-3\r\n"), Some(Reply::Int(-3)));
        let items = vec![Reply::Bulk(Some(b"a\r\nb".to_vec())), Reply::Bulk(None)];
        assert_eq!(read(b"*2\r\n$4\r\na\r\nb\r\n$-1\r\n"), Some(Reply::Array(items)));
        assert_eq!(read(b"$10\r\nshort\r\n"), None);
        assert_eq!(read(b"$99999999999999\r\n"), None);
        assert_eq!(read(&b"*1\r\n".repeat(100)), None);
        assert_eq!(read(b"%1\r\n"), None);
        assert_eq!(read(b"\r\n"), None);
    }
}
