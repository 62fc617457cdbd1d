//! How are both servers given the same commands? In pipelines, over one connection each.

use std::collections::BTreeSet;

use crate::compare::Compare;
use crate::harness::client::{Client, encode};
use crate::harness::random::Random;
use crate::harness::server::Server;
use crate::harness::value::Value;
use crate::known::{self, Verdict};
use crate::shrink;
use crate::table::Table;

/// Commands whose replies are waited for together.
const PIPELINE_MAX: usize = 50;

/// How a command reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// By itself.
    Plain,
    /// Alone between MULTI and EXEC.
    Transaction,
    /// From a script that returns what it gets.
    Script,
}

/// A command, and how its replies are compared.
#[derive(Clone, Debug)]
pub struct Command {
    pub argv: Vec<Vec<u8>>,
    pub compare: Compare,
    pub via: Via,
}

impl Command {
    /// A command that belongs to the test itself.
    pub fn of(words: &[&str], compare: Compare) -> Command {
        let argv = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Command { argv, compare, via: Via::Plain }
    }

    /// Its name in small letters.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.argv[0]).to_lowercase()
    }

    /// The requests that it takes.
    pub fn requests(&self) -> Vec<Vec<Vec<u8>>> {
        let of = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        match self.via {
            Via::Plain => vec![self.argv.clone()],
            Via::Transaction => vec![of(&["MULTI"]), self.argv.clone(), of(&["EXEC"])],
            Via::Script => {
                let mut eval: Vec<Vec<u8>> = of(&["EVAL", "return redis.pcall(unpack(ARGV))", "0"]);
                eval.extend(self.argv.clone());
                vec![eval]
            }
        }
    }

    /// The reply to the command itself, from those to its requests; all of them if it did not come so far.
    fn own_reply(&self, mut replies: Vec<Value>) -> Value {
        match (self.via, replies.last()) {
            (Via::Plain | Via::Script, _) => replies.remove(0),
            (Via::Transaction, Some(Value::Array(executed))) if executed.len() == 1 => {
                executed[0].clone()
            }
            (Via::Transaction, _) => Value::Array(replies),
        }
    }
}

/// Commands that begin with empty servers.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// 2 or 3.
    pub protocol: u8,
    /// Parameters that differ from their defaults.
    pub config: Vec<(&'static str, &'static str)>,
    pub commands: Vec<Command>,
}

/// Thresholds that sequences play with, so that values change their encodings early; the first is the default.
const THRESHOLDS: &[(&str, &[&str])] = &[
    ("hash-max-listpack-entries", &["512", "3", "0"]),
    ("hash-max-listpack-value", &["64", "8"]),
    ("list-max-listpack-size", &["-2", "3"]),
    ("set-max-intset-entries", &["512", "3"]),
    ("zset-max-listpack-entries", &["128", "3", "0"]),
    ("zset-max-listpack-value", &["64", "8"]),
    ("stream-node-max-entries", &["100", "3"]),
    ("hll-sparse-max-bytes", &["3000", "60", "18"]),
];

impl Sequence {
    /// A random one. It ends with a look at every key.
    pub fn generate(table: &Table, random: &mut Random, length: usize) -> Sequence {
        let protocol = if random.one_in(2) { 2 } else { 3 };
        let config = THRESHOLDS
            .iter()
            .map(|(name, values)| {
                (*name, values[if random.one_in(2) { random.below(values.len()) } else { 0 }])
            })
            .collect();
        let mut commands: Vec<Command> = (0..length).map(|_| table.generate(random)).collect();
        commands.extend(look_over(table));
        Sequence { protocol, config, commands }
    }
}

/// Reads all that the servers hold.
fn look_over(table: &Table) -> Vec<Command> {
    let mut commands = vec![Command::of(&["KEYS", "*"], Compare::Sorted)];
    for key in
        table.prefixes().iter().flat_map(|prefix| (0..4).map(move |n| format!("{prefix}{n}")))
    {
        let look = |words: &[&str], compare| {
            let mut words = words.to_vec();
            words.insert(1, &key);
            Command::of(&words, compare)
        };
        // For keys of another type each of these is an error, which is compared too.
        commands.extend([
            look(&["TYPE"], Compare::Exact),
            look(&["PTTL"], Compare::Near),
            look(&["GET"], Compare::Exact),
            look(&["HGETALL"], Compare::Pairs),
            look(&["LRANGE", "0", "-1"], Compare::Exact),
            look(&["SMEMBERS"], Compare::Sorted),
            look(&["ZRANGE", "0", "-1", "WITHSCORES"], Compare::Exact),
            look(&["XRANGE", "-", "+"], Compare::Exact),
            Command::of(&["OBJECT", "ENCODING", &key], Compare::Exact),
        ]);
    }
    commands.retain(|command| table.knows(&command.name()));
    commands
}

/// A command that the servers answered differently.
pub struct Mismatch {
    /// Its place in the sequence.
    pub at: usize,
    pub ours: Value,
    pub theirs: Value,
}

/// A connection to the server under test, and one to the reference.
pub struct Both {
    ours: Client,
    theirs: Client,
    /// The reference's version.
    version: [u32; 3],
    /// Replies of the reference that were errors.
    pub errors: usize,
}

impl Both {
    /// Connects to both.
    pub fn new(ours: &Server, theirs: &Server) -> Both {
        let version = theirs.info("redis_version").expect("INFO names the version");
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let version = [(); 3].map(|()| parts.next().unwrap_or(0));
        Both { ours: ours.client(), theirs: theirs.client(), version, errors: 0 }
    }

    /// The reference's version.
    pub fn version_text(&self) -> String {
        self.version.map(|part| part.to_string()).join(".")
    }

    /// The commands of both servers, in small letters.
    pub fn command_names(&mut self) -> (BTreeSet<String>, BTreeSet<String>) {
        let names = |client: &mut Client| {
            let commands = client.call(&["COMMAND"]).items();
            commands.iter().map(|command| command.items()[0].text()).collect()
        };
        (names(&mut self.ours), names(&mut self.theirs))
    }

    /// Runs a sequence up to the first mismatch.
    pub fn play(&mut self, sequence: &Sequence) -> Option<Mismatch> {
        self.reset(sequence);
        let mut at = 0;
        for batch in sequence.commands.chunks(PIPELINE_MAX) {
            let requests = batch.iter().flat_map(Command::requests);
            let wire: Vec<u8> = requests.flat_map(|argv| encode(&argv)).collect();
            self.ours.send_raw(&wire).expect("the server under test reads");
            self.theirs.send_raw(&wire).expect("the reference reads");
            let replies: Vec<(Value, Value)> =
                batch.iter().map(|command| self.read(command)).collect();
            for (command, (ours, theirs)) in batch.iter().zip(replies) {
                self.errors += usize::from(theirs.is_error());
                if !command.compare.same(&ours, &theirs) {
                    match known::judge(command, &ours, &theirs, self.version) {
                        Verdict::Mismatch => return Some(Mismatch { at, ours, theirs }),
                        Verdict::Explained => {}
                        Verdict::Diverged => return None,
                    }
                }
                at += 1;
            }
        }
        None
    }

    fn read(&mut self, command: &Command) -> (Value, Value) {
        let read = |client: &mut Client, whose: &str| {
            let one = |_| {
                client.read().unwrap_or_else(|error| {
                    panic!("{whose} does not answer {}: {error}", shrink::written(command))
                })
            };
            command.own_reply((0..command.requests().len()).map(one).collect())
        };
        (read(&mut self.ours, "the server under test"), read(&mut self.theirs, "the reference"))
    }

    fn reset(&mut self, sequence: &Sequence) {
        for client in [&mut self.ours, &mut self.theirs] {
            let protocol = sequence.protocol.to_string();
            let mut call = |words: &[&str]| {
                let reply = client.call(words);
                assert!(!reply.is_error(), "{words:?}: {reply:?}");
            };
            call(&["HELLO", &protocol]);
            call(&["FLUSHALL"]);
            for (name, value) in &sequence.config {
                call(&["CONFIG", "SET", name, value]);
            }
        }
    }
}
