//! How do bytes come from the primary? Over one blocking connection, with one buffer for all that is not used yet: lines
//! of the handshake, the snapshot ([`Payload`]), the stream.
//!
//! Invariants: a read waits for [`TICK`] at most before it is looked whether the link is still wanted; silence of
//! `repl-timeout` ends the connection; a line is bounded; of a snapshot no byte too many is taken, so that the stream
//! behind it is whole.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memchr::{memchr, memmem};
use parking_lot::{Condvar, Mutex};
use rustix::buffer::spare_capacity;

/// How long a read waits at once.
pub(super) const TICK: Duration = Duration::from_millis(200);
/// Between two signs of life for a primary that waits for us.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The longest line of the handshake.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;
/// Bytes of the mark at the end of a snapshot of unknown length.
const MARK_BYTES: usize = 40;

/// Tells a link's thread that it is no longer wanted.
#[derive(Debug, Default)]
pub(super) struct Stop {
    ended: AtomicBool,
    socket: Mutex<Option<TcpStream>>,
    changed: Condvar,
}

impl Stop {
    /// Ends the link: its connection is closed, and its thread wakes up.
    pub(super) fn end(&self) {
        let socket = self.socket.lock();
        self.ended.store(true, Ordering::Release);
        close(socket.as_ref());
        self.changed.notify_all();
    }

    /// Closes the connection, if there is one; the link goes on.
    fn cut(&self) {
        close(self.socket.lock().as_ref());
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Waits, but not beyond the end.
    pub(super) fn wait(&self, time: Duration) {
        let mut socket = self.socket.lock();
        if !self.is_ended() {
            self.changed.wait_for(&mut socket, time);
        }
    }
}

fn close(socket: Option<&TcpStream>) {
    // One that is closed already needs nothing.
    let _ = socket.map(|socket| socket.shutdown(std::net::Shutdown::Both));
}

/// Closes the connection when the client that stands for it is killed.
pub(super) struct Cutter(pub(super) Arc<Stop>);

impl std::task::Wake for Cutter {
    fn wake(self: Arc<Self>) {
        self.0.cut();
    }
}

/// Why a read or a write failed.
#[derive(Debug)]
pub(super) enum WireError {
    /// The link is no longer wanted.
    Ended,
    /// Nothing came for `repl-timeout`.
    Silence,
    /// The connection failed.
    Io(io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        WireError::Io(error)
    }
}

impl From<WireError> for io::Error {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Ended => io::Error::other("the link has ended"),
            WireError::Silence => ErrorKind::TimedOut.into(),
            WireError::Io(error) => error,
        }
    }
}

/// The connection to the primary.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    stop: Arc<Stop>,
    /// What has come and is not used: from `at` on.
    pub(super) buf: Vec<u8>,
    pub(super) at: usize,
    /// How many seconds the primary may be silent.
    patience: Arc<AtomicU64>,
    heard: Instant,
    beat: Instant,
}

impl Drop for Wire {
    fn drop(&mut self) {
        *self.stop.socket.lock() = None;
    }
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        stop: Arc<Stop>,
        patience: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(Duration::from_secs(patience.load(Ordering::Relaxed))))?;
        *stop.socket.lock() = Some(stream.try_clone()?);
        if stop.is_ended() {
            // It ended before it knew of the socket.
            stop.cut();
        }
        let now = Instant::now();
        Ok(Self { stream, stop, buf: Vec::new(), at: 0, patience, heard: now, beat: now })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// What has come and is not used.
    pub(super) fn unused(&self) -> &[u8] {
        &self.buf[self.at..]
    }

    /// Sends bytes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.stream.write_all(bytes)?;
        self.beat = Instant::now();
        Ok(())
    }

    /// Sends a sign of life, if the last one was long ago: the primary waits while we receive and load.
    pub(super) fn keep_alive(&mut self) -> Result<(), WireError> {
        if self.beat.elapsed() < HEARTBEAT {
            return Ok(());
        }
        self.send(b"\n")
    }

    /// Reads what there is behind what is not used. After [`TICK`] without anything it comes back: 0 bytes.
    pub(super) fn read_some(&mut self) -> Result<usize, WireError> {
        if self.stop.is_ended() {
            return Err(WireError::Ended);
        }
        if self.at > 0 {
            self.buf.drain(..self.at);
            self.at = 0;
        }
        self.buf.reserve(READ_BYTES);
        match rustix::io::read(&self.stream, spare_capacity(&mut self.buf)) {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(count) => {
                self.heard = Instant::now();
                Ok(count)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                match self.heard.elapsed().as_secs() > self.patience.load(Ordering::Relaxed) {
                    true => Err(WireError::Silence),
                    false => Ok(0),
                }
            }
            Err(error) => Err(WireError::Io(error.into())),
        }
    }

    /// The next line, without its end.
    pub(super) fn read_line(&mut self) -> Result<Vec<u8>, WireError> {
        loop {
            if let Some(len) = memchr(b'\n', self.unused()) {
                let line = self.unused()[..len].trim_ascii_end().to_vec();
                self.at += len + 1;
                return Ok(line);
            }
            if self.unused().len() > LINE_BYTES_MAX {
                return Err(io::Error::new(ErrorKind::InvalidData, "the line is too long").into());
            }
            while self.read_some()? == 0 {}
        }
    }

    /// The next line that is not empty: empty ones say only that the primary is alive.
    pub(super) fn read_words(&mut self) -> Result<String, WireError> {
        loop {
            let line = self.read_line()?;
            if !line.is_empty() {
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }
}

/// How the length of a snapshot is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// So many bytes.
    Bytes(u64),
    /// Up to these bytes, which end it.
    Mark(Vec<u8>),
}

impl Extent {
    /// What the first line of a snapshot says: `$<bytes>` or `$EOF:<mark>`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let length = line.strip_prefix('$')?;
        match length.strip_prefix("EOF:") {
            Some(mark) if mark.len() == MARK_BYTES => Some(Extent::Mark(mark.as_bytes().to_vec())),
            Some(_) => None,
            None => length.parse().ok().map(Extent::Bytes),
        }
    }

    /// Its bytes, if that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Extent::Bytes(bytes) => Some(*bytes),
            Extent::Mark(_) => None,
        }
    }
}

/// A snapshot that comes over the wire.
pub(super) struct Payload<'a> {
    pub(super) wire: &'a mut Wire,
    extent: Extent,
    read: u64,
    ended: bool,
    /// Told how many bytes have come.
    note: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Payload<'a> {
    pub(super) fn new(wire: &'a mut Wire, extent: Extent, note: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { wire, extent, read: 0, ended: false, note }
    }

    /// How many of the bytes that have come may be handed out.
    fn ready(&mut self) -> usize {
        let unused = self.wire.unused();
        match &self.extent {
            Extent::Bytes(bytes) => {
                let left = bytes - self.read;
                self.ended = left == 0;
                unused.len().min(usize::try_from(left).unwrap_or(usize::MAX))
            }
            Extent::Mark(mark) => match memmem::find(unused, mark) {
                Some(0) => {
                    self.ended = true;
                    self.wire.at += MARK_BYTES;
                    0
                }
                Some(before) => before,
                // The last bytes may be the beginning of the mark.
                None => unused.len().saturating_sub(MARK_BYTES - 1),
            },
        }
    }

    /// Whether all of it was handed out.
    pub(super) fn is_over(&mut self) -> bool {
        if !self.ended {
            self.ready();
        }
        self.ended
    }

    fn read_into(&mut self, out: &mut [u8]) -> Result<usize, WireError> {
        loop {
            let ready = if self.ended { 0 } else { self.ready() };
            if self.ended || out.is_empty() {
                return Ok(0);
            }
            if ready > 0 {
                let count = ready.min(out.len());
                out[..count].copy_from_slice(&self.wire.unused()[..count]);
                self.wire.at += count;
                self.read += count as u64;
                (self.note)(self.read);
                return Ok(count);
            }
            self.wire.keep_alive()?;
            self.wire.read_some()?;
        }
    }
}

impl Read for Payload<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.read_into(out).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn wire(parts: &'static [&'static [u8]]) -> (Wire, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let stream =
            TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (mut other, _) = listener.accept().expect("it has connected");
        other.set_nodelay(true).expect("it is open");
        let sender = std::thread::spawn(move || {
            for part in parts {
                other.write_all(part).expect("the test reads");
            }
        });
        let wire =
            Wire::new(stream, Arc::default(), Arc::new(AtomicU64::new(60))).expect("it is open");
        (wire, sender)
    }

    fn read(wire: &mut Wire, extent: Extent, at_once: usize) -> Vec<u8> {
        let mut payload = Payload::new(wire, extent, &|_| {});
        let (mut bytes, mut part) = (Vec::new(), vec![0; at_once]);
        loop {
            match payload.read(&mut part).expect("all of it comes") {
                0 => break,
                count => bytes.extend_from_slice(&part[..count]),
            }
        }
        assert!(payload.is_over());
        bytes
    }

    const MARK: &[u8] = b"0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_snapshot_ends_with_its_mark_and_the_stream_behind_it_is_whole() {
        let parts: &[&[u8]] = &[b"data0123", b"456789abcdef0123456789", b"abcdef", b"01234567*1"];
        for at_once in [1, 7, 100] {
            let (mut wire, sender) = wire(parts);
            let extent = Extent::Mark(MARK.to_vec());
            assert_eq!(read(&mut wire, extent, at_once), b"data");
            sender.join().expect("it sends all");
            while wire.unused().len() < 2 {
                wire.read_some().expect("the rest comes");
            }
            assert_eq!(wire.unused(), b"*1");
        }
    }

    #[test]
    fn a_snapshot_of_known_length_takes_no_byte_too_many() {
        let (mut wire, sender) = wire(&[b"\n$4\r\nda", b"ta+OK\r\n"]);
        let line = wire.read_words().expect("a line comes");
        assert_eq!(read(&mut wire, Extent::parse(&line).expect("it says how long"), 3), b"data");
        assert_eq!(wire.read_words().expect("a line comes"), "+OK");
        sender.join().expect("it sends all");
    }

    #[test]
    fn what_says_nothing_about_a_length_is_refused() {
        for line in ["$", "$x", "$-1", "4", "$EOF:", "$EOF:0123", "-ERR"] {
            assert_eq!(Extent::parse(line), None, "{line}");
        }
        assert_eq!(Extent::parse("$0"), Some(Extent::Bytes(0)));
    }

    #[test]
    fn a_link_that_has_ended_reads_no_more() {
        let (mut wire, sender) = wire(&[]);
        let stop = Arc::clone(wire.stop());
        let ender = std::thread::spawn(move || stop.end());
        while !matches!(wire.read_some(), Err(WireError::Ended)) {}
        ender.join().expect("it ends");
        sender.join().expect("there is nothing to send");
    }
}
