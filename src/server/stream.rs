//! How are bytes read from a client's socket and written to it? Through the runtime, or at once without it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::worker::Worker;

/// How the socket is written to.
pub enum Way<'a, 'b> {
    /// Through the runtime, which wakes the connection's task when there is room again.
    Polled(&'a mut Context<'b>),
    /// Once, without the runtime.
    Now,
}

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP, version 4 or 6.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Reads what there is.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    /// Has what is written leave in few packets, which come later.
    pub fn save_packets(&self) {
        if let Stream::Tcp(stream) = self {
            // If that cannot be, they are more.
            let _ = stream.set_nodelay(false);
        }
    }

    /// Reads without the runtime, for the moments when a script keeps the thread.
    pub fn read_now(&self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Stream::Tcp(stream) => rustix::io::read(stream, buf),
            Stream::Unix(stream) => rustix::io::read(stream, buf),
        };
        read.map_err(io::Error::from)
    }

    /// Writes from `at` on until all is out or the socket is full; how far that was.
    pub fn write(
        &mut self,
        worker: &Worker,
        way: &mut Way<'_, '_>,
        bytes: &[u8],
        mut at: usize,
    ) -> io::Result<usize> {
        while at < bytes.len() {
            let written = match way {
                Way::Polled(cx) => self.poll_write(cx, &bytes[at..]),
                Way::Now => match self.write_now(&bytes[at..]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                    written => Poll::Ready(written),
                },
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => {
                    at += n;
                    worker.stats().net_output.add(n as u64);
                    worker.stats().writes_processed.add(1);
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(at)
    }

    /// Writes without the runtime; by `send`, since `write` takes a longer way to a socket.
    fn write_now(&self, buf: &[u8]) -> io::Result<usize> {
        let written = match self {
            Stream::Tcp(stream) => send(stream, buf, SendFlags::NOSIGNAL),
            Stream::Unix(stream) => send(stream, buf, SendFlags::NOSIGNAL),
        };
        written.map_err(io::Error::from)
    }
}
