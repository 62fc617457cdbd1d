//! Who looks after the process? systemd may want to be told when it is ready and when it ends: lines to a socket that an
//! environment variable names (`sd_notify`).

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;

const VARIABLE: &str = "NOTIFY_SOCKET";

/// The way to systemd, if it is to be told.
static SOCKET: OnceLock<UnixDatagram> = OnceLock::new();

/// Follows `supervised`, before there is a log; what is to be written to it.
pub fn find(supervised: &str) -> Option<Result<&'static str, String>> {
    let name = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
    let name = match (supervised, name) {
        ("systemd" | "auto", Some(name)) => name,
        ("systemd", None) => {
            return Some(Err("systemd supervision error: NOTIFY_SOCKET not found!".into()));
        }
        _ => return None,
    };
    let told = connect(&name).and_then(|socket| {
        socket.send(b"STATUS=Mortise is loading...\n")?;
        Ok(SOCKET.set(socket))
    });
    Some(match told {
        Ok(_) => Ok("Supervised by systemd. Please make sure you set appropriate values for \
                     TimeoutStartSec and TimeoutStopSec in your service unit."),
        Err(error) => Err(format!("systemd supervision error: sd_notify: {error}")),
    })
}

fn connect(name: &OsString) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A name with an at sign in front is an abstract one.
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// Who it is, in the words of INFO.
pub fn name() -> &'static str {
    if SOCKET.get().is_some() { "systemd" } else { "no" }
}

/// Tells it how far the process is.
pub fn tell(lines: &str) {
    if let Some(socket) = SOCKET.get()
        && let Err(error) = socket.send(lines.as_bytes())
    {
        tracing::warn!("systemd supervision error: sd_notify: {error}");
    }
}
