//! What does the process arrange with the system? Room for its clients' sockets, life in the
//! background.

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};

/// Descriptors for everything that is not a client.
const RESERVED_FILES: u64 = 32;

/// Marks the environment of the process that the one on the terminal has started.
const BACKGROUND: &str = "MORTISE_BACKGROUND";

/// Raises the limit of open files so far that `wanted` clients fit; says how many do.
pub fn room_for_clients(wanted: usize) -> usize {
    let needed = (wanted as u64).saturating_add(RESERVED_FILES);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return wanted;
    }
    let raised =
        Rlimit { current: Some(needed), maximum: limit.maximum.map(|maximum| maximum.max(needed)) };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return wanted;
    }
    // Only the superuser may raise the upper limit; up to there anyone may go.
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let reached = match setrlimit(Resource::Nofile, most) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let files = reached.unwrap_or(needed).min(needed);
    usize::try_from(files.saturating_sub(RESERVED_FILES)).unwrap_or(wanted)
}

/// The limit of open files, for messages.
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Whether this is the process in the background already; it then leaves the terminal.
pub fn is_background() -> bool {
    let marked = std::env::var_os(BACKGROUND).is_some();
    if marked {
        // Fails only if it leads a session already.
        let _ = setsid();
    }
    marked
}

/// `daemonize`: starts this program again without a terminal. A second process, not a fork: by then
/// the configuration has been read and found good, and no thread can be lost. `stdin` is what was read
/// from standard input.
pub fn start_in_background(stdin: &[u8]) -> std::io::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(BACKGROUND, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A child that does not read its input has nothing to learn from it.
        let _ = input.write_all(stdin);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_clients_always_fit_and_too_many_are_cut() {
        assert_eq!(room_for_clients(1), 1);
        let room = room_for_clients(usize::MAX);
        assert!(room as u64 <= open_files());
    }
}
