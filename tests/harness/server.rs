//! How is a server started, found ready, watched and ended by a test?
//!
//! The binary under test is `$MORTISE`, or the one cargo built beside the tests. The reference is `$REFERENCE_SERVER`,
//! or Debian's redis-server where it is installed.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::Client;
use super::value::Value;
use super::wait_until;

const DEBIAN_REFERENCE: &str = "/usr/bin/redis-server";

/// The server binary under test.
pub fn under_test() -> PathBuf {
    std::env::var_os("MORTISE")
        .map(PathBuf::from)
        .or_else(|| option_env!("CARGO_BIN_EXE_mortise").map(PathBuf::from))
        .expect("MORTISE names the server binary when cargo has not built it")
}

/// The reference server, if this machine has one.
pub fn reference() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("REFERENCE_SERVER") {
        return (!named.is_empty()).then(|| PathBuf::from(named));
    }
    Some(PathBuf::from(DEBIAN_REFERENCE)).filter(|path| path.exists())
}

/// A folder of this test's own, removed with the value.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a new one. Its path is short, since unix sockets go into it.
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mt-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Folder(path)
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into the folder and names it.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("the temporary folder is writable");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// How a server that ended by itself did so.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote, standard output and error together.
    pub output: String,
}

/// Runs the binary to its end with these arguments and this standard input.
pub fn run_to_end(binary: &Path, args: &[&str], stdin: &str) -> Ended {
    let folder = Folder::new();
    let mut command = Command::new(binary);
    command.args(args).current_dir(folder.path());
    let mut child = spawn(command, &folder, Stdio::piped());
    let mut pipe = child.stdin.take().expect("standard input is piped");
    // A server that does not read its input may be gone already.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    let mut status = None;
    wait_until("the process ends by itself", || {
        status = child.try_wait().expect("our child can be waited for");
        status.is_some()
    });
    Ended { status: status.expect("it ended"), output: read_log(&folder) }
}

fn spawn(mut command: Command, folder: &Folder, stdin: Stdio) -> Child {
    let log = File::create(folder.path().join("log")).expect("the temporary folder is writable");
    let again = log.try_clone().expect("a file can be opened twice");
    command.stdin(stdin).stdout(log).stderr(again);
    command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

fn read_log(folder: &Folder) -> String {
    let bytes = fs::read(folder.path().join("log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub port: u16,
    /// Its folder, which is also its working directory.
    pub folder: Folder,
    child: Child,
}

impl Server {
    /// Starts the server under test with further arguments and waits until it answers.
    pub fn start(args: &[&str]) -> Server {
        Server::start_binary(&under_test(), args)
    }

    /// The same with a configuration on standard input.
    pub fn start_with_config(config: &str, args: &[&str]) -> Server {
        Server::start_any(&under_test(), Some(config), args, Server::answers)
    }

    /// Starts any server binary and waits until it answers.
    pub fn start_binary(binary: &Path, args: &[&str]) -> Server {
        Server::start_any(binary, None, args, Server::answers)
    }

    /// Starts the server under test and does not wait until it has loaded its data set.
    pub fn start_loading(args: &[&str]) -> Server {
        Server::start_any(&under_test(), None, args, |server| {
            Client::unix(&server.socket())
                .is_ok_and(|mut client| client.try_call(&["PING"]).is_ok())
        })
    }

    fn start_any(
        binary: &Path,
        config: Option<&str>,
        args: &[&str],
        is_up: fn(&Server) -> bool,
    ) -> Server {
        // Between asking for a free port and using it another process may take it; three tries make that a non-event.
        for _ in 0..3 {
            if let Ok(server) = Server::try_start(binary, config, args, is_up, Folder::new()) {
                return server;
            }
        }
        panic!("{} did not find a free port", binary.display());
    }

    /// Kills the process, if it still runs, and starts the server under test on what it left behind.
    pub fn start_again(mut self, args: &[&str]) -> Server {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.wait();
        let mut folder = std::mem::replace(&mut self.folder, Folder::new());
        for _ in 0..3 {
            match Server::try_start(&under_test(), None, args, Server::answers, folder) {
                Ok(server) => return server,
                Err(back) => folder = back,
            }
        }
        panic!("the server did not find a free port");
    }

    /// The folder comes back if the port was taken.
    fn try_start(
        binary: &Path,
        config: Option<&str>,
        args: &[&str],
        is_up: fn(&Server) -> bool,
        folder: Folder,
    ) -> Result<Server, Folder> {
        let port = free_port();
        let mut command = Command::new(binary);
        command.current_dir(folder.path());
        let mut stdin = Stdio::null();
        if let Some(config) = config {
            let path = folder.file("stdin", config);
            stdin = Stdio::from(File::open(path).expect("it was written a line ago"));
            command.arg("-");
        }
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.arg("--dir").arg(folder.path());
        command.arg("--unixsocket").arg(folder.path().join("socket"));
        command.args(args);
        let mut server = Server { port, child: spawn(command, &folder, stdin), folder };
        let mut gone = false;
        wait_until("the server answers PING", || {
            gone = !server.is_alive();
            gone || is_up(&server)
        });
        if gone {
            let log = server.log();
            assert!(log.contains("Failed listening on port"), "the server ended at once:\n{log}");
            return Err(std::mem::replace(&mut server.folder, Folder::new()));
        }
        Ok(server)
    }

    fn answers(&self) -> bool {
        let Ok(mut client) = Client::unix(&self.socket()) else { return false };
        match client.try_call(&["PING"]) {
            Ok(Value::Simple(_)) => true,
            // A server that wants a password is up too.
            Ok(Value::Error(text)) => !text.starts_with(b"LOADING"),
            _ => false,
        }
    }

    /// Where the unix socket is.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A new connection over the unix socket.
    pub fn client(&self) -> Client {
        Client::unix(&self.socket()).unwrap_or_else(|error| panic!("connect: {error}"))
    }

    /// A new connection over TCP.
    pub fn tcp(&self) -> Client {
        Client::tcp(self.port).unwrap_or_else(|error| panic!("connect: {error}"))
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What the server has written so far.
    pub fn log(&self) -> String {
        read_log(&self.folder)
    }

    /// Sends a signal by name, for example `TERM`.
    pub fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(self.pid().to_string());
        let status = kill.status().expect("kill is there");
        assert!(status.success(), "kill -{name} failed");
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> Ended {
        let mut status = None;
        wait_until("the server ends", || {
            status = self.child.try_wait().expect("our child can be waited for");
            status.is_some()
        });
        Ended { status: status.expect("it ended"), output: self.log() }
    }

    /// One field of INFO.
    pub fn info(&self, field: &str) -> Option<String> {
        let text = self.client().call(&["INFO"]).text();
        let wanted = format!("{field}:");
        let line = text.lines().find(|line| line.starts_with(&wanted))?;
        Some(line[wanted.len()..].trim().to_string())
    }

    /// Whether this is our own server, which has modules, and not a reference that the tests are tried on.
    pub fn is_ours(&self) -> bool {
        let ours = self.info("mortise_version").is_some();
        assert!(ours || std::env::var_os("MORTISE").is_some(), "INFO lacks mortise_version");
        ours
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> usize {
        let path = format!("/proc/{}/statm", self.pid());
        let text = fs::read_to_string(path).expect("the process is alive");
        let pages: usize = text
            .split_whitespace()
            .nth(1)
            .and_then(|field| field.parse().ok())
            .expect("the second field of statm is a number");
        pages * 4096
    }
}

impl Server {
    /// The most resident memory there has been, in bytes.
    pub fn resident_bytes_peak(&self) -> usize {
        let path = format!("/proc/{}/status", self.pid());
        let text = fs::read_to_string(path).expect("the process is alive");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let figure = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes: usize =
            figure.and_then(|figure| figure.parse().ok()).expect("status has VmHWM in kB");
        kibibytes * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(4000);
            let start = (start..log.len()).find(|&at| log.is_char_boundary(at)).unwrap_or(start);
            println!("--- the server's log ends:\n{}", &log[start..]);
        }
    }
}
