//! Starts servers with modules loaded, and talks to them.

pub mod docs;

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server programs to test with: those in `MORTISE_TEST_SERVERS`, separated by colons; without it every one
/// of these that is there: ours, which Cargo has built beside this test, `redis-server`, and `valkey-server` (or
/// the program that `MORTISE_VALKEY` names).
pub fn servers() -> Vec<PathBuf> {
    if let Some(paths) = std::env::var_os("MORTISE_TEST_SERVERS") {
        return std::env::split_paths(&paths).collect();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path =
        |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|f| f.is_file());
    let valkey = match std::env::var_os("MORTISE_VALKEY") {
        // A program that was named must be there.
        Some(program) => Some(PathBuf::from(program)),
        None => in_path("valkey-server"),
    };
    [ours(), in_path("redis-server"), valkey].into_iter().flatten().collect()
}

/// Our own server, if Cargo has built it beside this test.
pub fn ours() -> Option<PathBuf> {
    Some(target().join("mortise")).filter(|file| file.is_file())
}

/// Those of [`servers`] that are ours: for what others do not have, or leave open.
pub fn only_ours() -> Vec<PathBuf> {
    servers().into_iter().filter(|program| program.ends_with("mortise")).collect()
}

/// Where Cargo has built what this test needs.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    test.parent().and_then(Path::parent).expect("it lies in target/profile/deps").to_owned()
}

/// A module that is an example of this package.
pub fn example(name: &str) -> PathBuf {
    target().join("examples").join(format!("lib{name}.so"))
}

/// A module that is the library of this package.
pub fn library(name: &str) -> PathBuf {
    // Building a test leaves it there, and not one folder up.
    target().join("deps").join(format!("lib{name}.so"))
}

fn run(program: &Path, arguments: &[String], directory: &Path) -> Child {
    let log = fs::File::options().create(true).append(true).open(directory.join("log"));
    let log = log.expect("a log file");
    Command::new(program)
        .args(["--port", "0", "--unixsocket", "socket", "--save", "", "--dir", "."])
        .args(["--enable-debug-command", "yes"])
        .args(arguments)
        .current_dir(directory)
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .expect("the server program runs")
}

/// Runs a test in every server that [`servers`] finds, each with these modules loaded and started with these
/// arguments. Without a server it passes, saying so.
pub fn with_modules(modules: &[PathBuf], arguments: &[&str], test: impl Fn(&Server, &mut Client)) {
    in_each(servers(), modules, arguments, test);
}

/// The same in servers of the caller's choice.
pub fn in_each(
    programs: Vec<PathBuf>,
    modules: &[PathBuf],
    arguments: &[&str],
    test: impl Fn(&Server, &mut Client),
) {
    if programs.is_empty() {
        eprintln!("skipped: no server found; build one, or set MORTISE_TEST_SERVERS");
    }
    for program in programs {
        eprintln!("in {}", program.display());
        let mut words: Vec<&str> = Vec::new();
        for module in modules {
            words.extend(["--loadmodule", module.to_str().expect("the target directory is text")]);
        }
        words.extend(arguments);
        if program.ends_with("mortise") {
            // It would load the modules that lie beside it first.
            words.extend(["--default-modules", "no"]);
        }
        let server = Server::start(&program, &words);
        let mut client = server.client();
        test(&server, &mut client);
        assert_eq!(client.run("PING"), "+PONG");
    }
}

/// A running server with its own directory, killed and removed at the end.
pub struct Server {
    child: Child,
    directory: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub fn start(program: &Path, arguments: &[&str]) -> Server {
        let mut server = Server::spawn(program, arguments);
        server.wait_until_it_answers();
        server
    }

    fn wait_until_it_answers(&mut self) {
        let start = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            let running = matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < PATIENCE;
            assert!(running, "the server does not start");
            thread::sleep(Duration::from_millis(5));
        }
        // It listens before it has read its files.
        self.client().until("PING", "+PONG");
    }

    /// Ends the server at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(self.socket());
    }

    /// Starts a server that has ended once more, in its directory, with some more arguments.
    pub fn start_again(&mut self, more: &[&str]) {
        let more = more.iter().map(|argument| (*argument).to_owned());
        let arguments: Vec<String> = self.arguments.iter().cloned().chain(more).collect();
        self.child = run(&self.program, &arguments, &self.directory);
        self.wait_until_it_answers();
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a server that need not come up.
    pub fn spawn(program: &Path, arguments: &[&str]) -> Server {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("mortise-sdk-{}-{}", unique.0, unique.1);
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a temporary directory");
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let child = run(program, &arguments, &directory);
        Server { child, directory, program: program.to_owned(), arguments }
    }

    /// Waits until the server ends by itself; true if it was content.
    pub fn wait(&mut self) -> bool {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status.success();
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// All files below the server's directory whose name contains `part`, as one text.
    pub fn files(&self, part: &str) -> String {
        fn walk(directory: &Path, part: &str, text: &mut String) {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    walk(&entry.path(), part, text);
                } else if entry.file_name().to_string_lossy().contains(part) {
                    let bytes = fs::read(entry.path()).unwrap_or_default();
                    text.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
        }
        let mut text = String::new();
        walk(&self.directory, part, &mut text);
        text
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    pub fn client(&self) -> Client {
        let stream = UnixStream::connect(self.socket()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Client { stream: BufReader::new(stream) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A connection.
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// What the server sent, close to how it sent it.
pub enum Answer {
    /// Types with one line: the type's character and the line.
    Line(char, String),
    Bulk(char, Vec<u8>),
    Null(char),
    Many(char, Vec<Answer>),
}

fn encoded(arguments: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        request.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        request.extend_from_slice(argument);
        request.extend_from_slice(b"\r\n");
    }
    request
}

impl Client {
    /// Sends a command and reads the answer.
    pub fn raw(&mut self, arguments: &[&[u8]]) -> Answer {
        self.send(arguments);
        self.receive()
    }

    pub fn send(&mut self, arguments: &[&[u8]]) {
        self.stream.get_mut().write_all(&encoded(arguments)).expect("the server reads");
    }

    /// Sends commands of words in one piece, so that the server has them at once.
    pub fn send_together(&mut self, commands: &[&str]) {
        let words =
            |command: &str| encoded(&command.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        let requests: Vec<u8> = commands.iter().flat_map(|command| words(command)).collect();
        self.stream.get_mut().write_all(&requests).expect("the server reads");
    }

    /// Sends a command of words and shows the answer.
    pub fn run(&mut self, command: &str) -> String {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.raw(&words).to_string()
    }

    /// Repeats a command until it answers what it should.
    pub fn until(&mut self, command: &str, expected: &str) {
        let start = Instant::now();
        loop {
            let answer = self.run(command);
            if answer == expected {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{command} still answers {answer}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Repeats a command until its answer contains what it should.
    pub fn until_contains(&mut self, command: &str, part: &str) {
        let start = Instant::now();
        loop {
            let answer = self.run(command);
            if answer.contains(part) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{command} still answers {answer}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn receive(&mut self) -> Answer {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        let line = line.trim_end_matches("\r\n");
        let kind = line.chars().next().expect("the server has not hung up");
        let rest = &line[1..];
        match kind {
            '$' | '=' | '!' => match rest.parse::<usize>() {
                Ok(len) => {
                    let mut bytes = vec![0; len + 2];
                    self.stream.read_exact(&mut bytes).expect("the announced bytes");
                    bytes.truncate(len);
                    Answer::Bulk(kind, bytes)
                }
                Err(_) => Answer::Null(kind),
            },
            '*' | '%' | '~' | '>' => match rest.parse::<usize>() {
                Ok(len) => {
                    let len = if kind == '%' { len * 2 } else { len };
                    Answer::Many(kind, (0..len).map(|_| self.receive()).collect())
                }
                Err(_) => Answer::Null(kind),
            },
            '_' => Answer::Null(kind),
            _ => Answer::Line(kind, rest.to_owned()),
        }
    }
}

/// One line: `+OK`, `:1`, `"bulk"`, `$nil`, `*[:1 "a"]`, `%[...]`.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Line(kind, line) => write!(f, "{kind}{line}"),
            Answer::Bulk('$', bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Answer::Bulk(kind, bytes) => write!(f, "{kind}\"{}\"", bytes.escape_ascii()),
            Answer::Null(kind) => write!(f, "{kind}nil"),
            Answer::Many(kind, answers) => {
                write!(f, "{kind}[")?;
                for (index, answer) in answers.iter().enumerate() {
                    write!(f, "{}{answer}", if index > 0 { " " } else { "" })?;
                }
                write!(f, "]")
            }
        }
    }
}

/// Runs commands and compares what is answered.
pub fn check(client: &mut Client, cases: &[(&str, &str)]) {
    for (command, expected) in cases {
        assert_eq!(client.run(command), *expected, "{command}");
    }
}
