//! How is a script run against a server? One file at a time, from an empty keyspace, in one protocol.
//!
//! Invariants: a file cannot see what another left behind (keys, scripts, functions, parameters, connections); a failure
//! in one step is reported and the next step runs, unless the connection is gone.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use super::pattern::{Pattern, Protocol, Variables, render};
use super::script::{Action, Arg, Block, Script, Step, Version, parse_version};
use crate::harness::PATIENCE;
use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::value::Value;

/// A file with more failures than this has made its point.
const FAILURES_PER_FILE_MAX: usize = 20;
/// Replies are cut to this length in reports.
const SHOWN_CHARS_MAX: usize = 600;

struct Connection {
    client: Client,
    protocol: Protocol,
}

/// The replies of a block without expectations: (step, reply), for every step that has one.
pub type Recorded = Vec<Value>;

/// What running one file gave.
#[derive(Default)]
pub struct Outcome {
    /// Steps whose reply was compared.
    pub compared: usize,
    /// Blocks left out because the server is older than they are.
    pub too_new: usize,
    /// What did not fit.
    pub failures: Vec<String>,
    /// The replies of unfilled blocks, by the line after which they belong.
    pub recorded: HashMap<usize, Recorded>,
}

/// Runs files against one server.
pub struct Runner<'a> {
    server: &'a Server,
    protocol: Protocol,
    /// None: everything is run, whatever it is marked as.
    version: Option<Version>,
    control: Client,
    connections: HashMap<String, Connection>,
    saved: Variables,
    restore: Vec<(String, String)>,
}

impl<'a> Runner<'a> {
    /// Connects to a server. Our own must pass every block; another one those of its version.
    pub fn new(server: &'a Server, protocol: Protocol) -> io::Result<Runner<'a>> {
        let mut control = Client::unix(&server.socket())?;
        let info = control.try_call(&["INFO"])?.text();
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let version = match field("mortise_version:") {
            Some(_) => None,
            None => {
                let version = parse_version(field("redis_version:").unwrap_or_default());
                Some(version.map_err(io::Error::other)?)
            }
        };
        Ok(Runner {
            server,
            protocol,
            version,
            control,
            connections: HashMap::new(),
            saved: Variables::new(),
            restore: Vec::new(),
        })
    }

    /// Runs one file from a clean state and cleans up after it.
    pub fn run(&mut self, script: &Script) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        self.clean()?;
        for block in &script.blocks {
            let too_new =
                matches!((self.version, block.newer), (Some(have), Some(need)) if have < need);
            if too_new || !self.knows(block.needs.as_deref())? {
                outcome.too_new += 1;
                continue;
            }
            if let Err(error) = self.run_block(block, &mut outcome) {
                outcome.failures.push(error);
                break;
            }
            if outcome.failures.len() > FAILURES_PER_FILE_MAX {
                outcome.failures.push("... and no further".to_string());
                break;
            }
        }
        for (name, value) in std::mem::take(&mut self.restore) {
            let reply = self.control.try_call(&["CONFIG", "SET", &name, &value])?;
            if reply.is_error() {
                outcome.failures.push(format!("cannot restore {name}: {}", render(&reply)));
            }
        }
        self.connections.clear();
        Ok(outcome)
    }

    /// Whether the server has the command. Our own must have all that a script names.
    fn knows(&mut self, command: Option<&str>) -> io::Result<bool> {
        let (Some(command), Some(_)) = (command, self.version) else { return Ok(true) };
        let reply = self.control.try_call(&["COMMAND", "INFO", command])?;
        Ok(matches!(reply, Value::Array(found) if matches!(found[..], [Value::Array(_)])))
    }

    fn clean(&mut self) -> io::Result<()> {
        self.connections.clear();
        self.saved.clear();
        for command in [&["FLUSHALL"][..], &["SCRIPT", "FLUSH"], &["FUNCTION", "FLUSH"]] {
            // A server without functions has none to flush.
            self.control.try_call(command)?;
        }
        self.clean_users()
    }

    /// Removes all users but the default one, who may do everything again.
    fn clean_users(&mut self) -> io::Result<()> {
        if let Value::Array(users) = self.control.try_call(&["ACL", "USERS"])? {
            for user in users {
                if let Value::Bulk(name) = user {
                    self.control.try_call(&[&b"ACL"[..], b"DELUSER", &name])?;
                }
            }
        }
        let everything = ["reset", "on", "nopass", "~*", "&*", "+@all"];
        let set: Vec<&str> = ["ACL", "SETUSER", "default"].into_iter().chain(everything).collect();
        self.control.try_call(&set)?;
        self.control.try_call(&["ACL", "LOG", "RESET"])?;
        Ok(())
    }

    fn run_block(&mut self, block: &Block, outcome: &mut Outcome) -> Result<(), String> {
        let mut recorded = Recorded::new();
        for step in &block.steps {
            let fatal = |error: io::Error| format!("line {}: {}: {error}", step.line, step.source);
            let Some(expected) = &step.expected else {
                let reply = self.perform(step, None).map_err(fatal)?;
                recorded.extend(reply);
                continue;
            };
            outcome.compared += 1;
            // HELLO and RESET change what their own reply is written in, so the protocol is looked up afterwards.
            let result = self.perform(step, Some(expected));
            let protocol = self.protocol_of(&step.connection);
            let (pattern, wanted) = expected.for_protocol(protocol);
            let got = match result {
                Ok(None) => continue,
                Ok(Some(reply)) if pattern.accepts(&reply, protocol, &self.saved) => continue,
                Ok(Some(reply)) => render(&reply),
                Err(error) if is_end(&error) => {
                    self.connections.remove(&step.connection);
                    if matches!(pattern, Pattern::Closed) {
                        continue;
                    }
                    "closed".to_string()
                }
                Err(error) => return Err(fatal(error)),
            };
            let (line, source) = (step.line, &step.source);
            let got: String = got.chars().take(SHOWN_CHARS_MAX).collect();
            outcome.failures.push(format!(
                "line {line} ({protocol:?}): {source}\n      expected {wanted}\n      got      {got}"
            ));
        }
        if let Some(line) = block.unfilled {
            outcome.recorded.insert(line, recorded);
        }
        Ok(())
    }

    fn protocol_of(&self, connection: &str) -> Protocol {
        self.connections.get(connection).map_or(self.protocol, |open| open.protocol)
    }

    /// Does a step; its reply, if it has one that is still to be compared.
    fn perform(
        &mut self,
        step: &Step,
        expected: Option<&super::script::Expected>,
    ) -> io::Result<Option<Value>> {
        let name = step.connection.as_str();
        match &step.action {
            Action::Call { argv, save } => {
                let reply = self.call(name, argv, None)?;
                if let Some(save) = save {
                    self.saved.insert(save.clone(), reply.clone());
                }
                Ok(Some(reply))
            }
            Action::Read => self.open(name)?.client.read().map(Some),
            Action::Until(argv) => {
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let reply = self.call(name, argv, None)?;
                    let protocol = self.protocol_of(name);
                    let fits = expected.is_none_or(|expected| {
                        expected.for_protocol(protocol).0.accepts(&reply, protocol, &self.saved)
                    });
                    if fits || Instant::now() > deadline {
                        return Ok(Some(reply));
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            Action::Each { from, to, argv } => {
                let mut last = None;
                for number in *from..=*to {
                    let reply = self.call(name, argv, Some(number))?;
                    let protocol = self.protocol_of(name);
                    let fits = expected.is_none_or(|expected| {
                        expected.for_protocol(protocol).0.accepts(&reply, protocol, &self.saved)
                    });
                    last = Some(reply);
                    if !fits {
                        break;
                    }
                }
                Ok(last)
            }
            Action::Scan(argv) => self.scan(name, argv).map(Some),
            Action::Send(argv) => {
                let argv = self.resolve(argv, None)?;
                self.open(name)?.client.send(&argv)?;
                Ok(None)
            }
            Action::Raw(bytes) => {
                // A server may close while we still write; what matters is what can be read then.
                let _ = self.open(name)?.client.send_raw(bytes);
                Ok(None)
            }
            Action::Close => {
                self.connections.remove(name);
                Ok(None)
            }
            Action::Config(parameter, value) => self.configure(parameter, value).map(|()| None),
        }
    }

    fn open(&mut self, name: &str) -> io::Result<&mut Connection> {
        if !self.connections.contains_key(name) {
            let mut client = self.server.client();
            let mut protocol = self.protocol;
            if protocol == Protocol::Resp3 {
                match client.try_call(&["HELLO", "3"])? {
                    // A password is set. The script authenticates, in RESP2 until it says otherwise.
                    Value::Error(text) if text.starts_with(b"NOAUTH") => protocol = Protocol::Resp2,
                    reply if reply.is_error() => return Err(io::Error::other(render(&reply))),
                    _ => {}
                }
            }
            let connection = Connection { client, protocol };
            self.connections.insert(name.to_string(), connection);
        }
        Ok(self.connections.get_mut(name).expect("it was inserted above"))
    }

    fn call(&mut self, name: &str, argv: &[Arg], number: Option<i64>) -> io::Result<Value> {
        let argv = self.resolve(argv, number)?;
        let connection = self.open(name)?;
        let reply = connection.client.try_call(&argv)?;
        match (argv[0].to_ascii_uppercase().as_slice(), argv.get(1).map(Vec::as_slice)) {
            (b"HELLO", Some(b"2")) if !reply.is_error() => connection.protocol = Protocol::Resp2,
            (b"HELLO", Some(b"3")) if !reply.is_error() => connection.protocol = Protocol::Resp3,
            (b"RESET", _) if !reply.is_error() => connection.protocol = Protocol::Resp2,
            _ => {}
        }
        Ok(reply)
    }

    fn resolve(&self, argv: &[Arg], number: Option<i64>) -> io::Result<Vec<Vec<u8>>> {
        argv.iter()
            .map(|arg| match arg {
                Arg::Quoted(bytes) => Ok(bytes.clone()),
                Arg::Word(word) => match number {
                    Some(number) => Ok(word.replace("$i", &number.to_string()).into_bytes()),
                    None => self.resolve_word(word),
                },
            })
            .collect()
    }

    fn resolve_word(&self, word: &str) -> io::Result<Vec<u8>> {
        // `$`, `$.a` and `$$` are paths and words of commands, not names.
        let is_name = |name: &&str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let Some(name) = word.strip_prefix('$').filter(is_name) else {
            return Ok(word.as_bytes().to_vec());
        };
        match self.saved.get(name) {
            Some(Value::Bulk(text) | Value::Simple(text) | Value::Error(text)) => Ok(text.clone()),
            Some(Value::Int(number)) => Ok(number.to_string().into_bytes()),
            Some(other) => Err(io::Error::other(format!("${name} is {}", render(other)))),
            None => Err(io::Error::other(format!("${name} was never saved"))),
        }
    }

    /// Follows a cursor. What has values comes back as a map, the rest as an array without repetitions.
    fn scan(&mut self, name: &str, argv: &[Arg]) -> io::Result<Value> {
        let mut argv = self.resolve(argv, None)?;
        let at = argv.iter().position(|arg| arg == b"0").expect("%scan has a cursor 0");
        let mut all = Vec::new();
        loop {
            let reply = self.open(name)?.client.try_call(&argv)?;
            let Value::Array(parts) = &reply else { return Ok(reply) };
            let [Value::Bulk(cursor), Value::Array(items)] = parts.as_slice() else {
                return Ok(reply);
            };
            all.extend(items.iter().cloned());
            argv[at] = cursor.clone();
            if cursor == b"0" {
                break;
            }
        }
        let verb = argv[0].to_ascii_uppercase();
        let no_values = argv.iter().any(|arg| arg.eq_ignore_ascii_case(b"NOVALUES"));
        let pairs = matches!(verb.as_slice(), b"HSCAN" | b"ZSCAN") && !no_values;
        if pairs && self.protocol_of(name) == Protocol::Resp3 {
            let pairs = all.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            return Ok(Value::Map(pairs.collect()));
        }
        if !pairs {
            let mut seen: Vec<Value> = Vec::new();
            for item in all {
                if !seen.contains(&item) {
                    seen.push(item);
                }
            }
            all = seen;
        }
        Ok(Value::Array(all))
    }

    fn configure(&mut self, parameter: &str, value: &str) -> io::Result<()> {
        let before = self.control.try_call(&["CONFIG", "GET", parameter])?;
        let items = before.items();
        let [_, old] = items.as_slice() else {
            return Err(io::Error::other(format!("CONFIG GET {parameter}: {}", render(&before))));
        };
        if !self.restore.iter().any(|(name, _)| name == parameter) {
            self.restore.push((parameter.to_string(), old.text()));
        }
        let reply = self.control.try_call(&["CONFIG", "SET", parameter, value])?;
        if reply.is_error() {
            return Err(io::Error::other(format!("CONFIG SET {parameter}: {}", render(&reply))));
        }
        Ok(())
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}
