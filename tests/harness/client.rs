//! How does a test speak to the server? One connection, over TCP or a unix socket, with a deadline on every read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::PATIENCE;
use super::value::Value;

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(buf),
            Socket::Unix(socket) => socket.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.write(buf),
            Socket::Unix(socket) => socket.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection.
pub struct Client {
    input: BufReader<Socket>,
}

impl Client {
    /// Connects to a port of this machine.
    pub fn tcp(port: u16) -> io::Result<Client> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        Client::over(Socket::Tcp(socket))
    }

    /// Connects to a unix socket.
    pub fn unix(path: &Path) -> io::Result<Client> {
        Client::over(Socket::Unix(UnixStream::connect(path)?))
    }

    fn over(socket: Socket) -> io::Result<Client> {
        let client = Client { input: BufReader::new(socket) };
        client.patience(PATIENCE)?;
        Ok(client)
    }

    /// Changes how long a read waits.
    pub fn patience(&self, patience: Duration) -> io::Result<()> {
        match self.input.get_ref() {
            Socket::Tcp(socket) => {
                socket.set_write_timeout(Some(patience))?;
                socket.set_read_timeout(Some(patience))
            }
            Socket::Unix(socket) => {
                socket.set_write_timeout(Some(patience))?;
                socket.set_read_timeout(Some(patience))
            }
        }
    }

    /// Writes bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.get_mut().write_all(bytes)
    }

    /// Writes what fits into the socket now; how many bytes that was.
    pub fn send_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.get_mut().write(bytes)
    }

    /// Writes one request.
    pub fn send<A: AsRef<[u8]>>(&mut self, argv: &[A]) -> io::Result<()> {
        self.send_raw(&encode(argv))
    }

    /// Reads one reply.
    pub fn read(&mut self) -> io::Result<Value> {
        Value::read(&mut self.input)
    }

    /// Reads up to the end of a line, which is left out.
    pub fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        Ok(line.trim_end().to_string())
    }

    /// Reads so many bytes.
    pub fn read_bytes(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends one request and reads its reply.
    pub fn try_call<A: AsRef<[u8]>>(&mut self, argv: &[A]) -> io::Result<Value> {
        self.send(argv)?;
        self.read()
    }

    /// Sends one request and reads its reply; panics when the connection fails.
    pub fn call<A: AsRef<[u8]>>(&mut self, argv: &[A]) -> Value {
        self.try_call(argv).unwrap_or_else(|error| {
            panic!("{}: {error}", String::from_utf8_lossy(argv[0].as_ref()))
        })
    }

    /// Waits for the server to close the connection; the bytes that came before it did.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        match self.input.read_to_end(&mut rest) {
            Ok(_) => Ok(rest),
            // A server that closes with unread input resets the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(rest),
            Err(error) => Err(error),
        }
    }

    /// Whether the server has closed the connection, waiting at most the client's patience.
    pub fn is_closed(&mut self) -> bool {
        match self.input.fill_buf() {
            Ok(buf) => buf.is_empty(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Closes our sending half: the server sees end of file and may still answer.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        match self.input.get_ref() {
            Socket::Tcp(socket) => socket.shutdown(std::net::Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(std::net::Shutdown::Write),
        }
    }
}

/// One request on the wire.
pub fn encode<A: AsRef<[u8]>>(argv: &[A]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", argv.len()).into_bytes();
    for arg in argv {
        let arg = arg.as_ref();
        wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        wire.extend_from_slice(arg);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}
