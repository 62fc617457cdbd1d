//! How are both servers given the same commands? In pipelines, over one connection each.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Pair};
use crate::compare::Compare;
use crate::events::{self, Listener};
use crate::harness::client::{Client, encode};
use crate::harness::random::Random;
use crate::harness::server::Server;
use crate::harness::value::Value;
use crate::known::{self, Verdict};
use crate::look;
use crate::shrink;
use crate::table::Table;

/// Commands whose replies are waited for together.
const PIPELINE_MAX: usize = 50;

/// Commands that begin with empty servers.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// 2 or 3.
    pub protocol: u8,
    /// Parameters that differ from their defaults.
    pub config: Vec<(&'static str, &'static str)>,
    pub commands: Vec<Command>,
}

/// Thresholds that sequences play with, so that values change their encodings early; the first is the default. What the
/// reference does not know is set for ours alone.
const THRESHOLDS: &[(&str, &[&str])] = &[
    ("hash-max-listpack-entries", &["512", "3", "0"]),
    ("hash-max-listpack-value", &["64", "8"]),
    ("list-max-listpack-size", &["-2", "3", "-1", "1"]),
    ("list-compress-depth", &["0", "1"]),
    ("set-max-intset-entries", &["512", "3", "0"]),
    ("set-max-listpack-entries", &["128", "3", "0"]),
    ("set-max-listpack-value", &["64", "8"]),
    ("zset-max-listpack-entries", &["128", "3", "0"]),
    ("zset-max-listpack-value", &["64", "8"]),
    ("stream-node-max-entries", &["100", "3"]),
    ("stream-node-max-bytes", &["4096", "128"]),
    ("hll-sparse-max-bytes", &["3000", "60", "18"]),
];

impl Sequence {
    /// The default of a parameter that sequences play with.
    pub fn default_of(name: &str) -> &'static str {
        let known = THRESHOLDS.iter().find(|(known, _)| *known == name);
        known.map_or("", |(_, values)| values[0])
    }

    /// A random one.
    pub fn generate(table: &Table, random: &mut Random, length: usize) -> Sequence {
        let protocol = if random.one_in(2) { 2 } else { 3 };
        let config = THRESHOLDS
            .iter()
            .map(|(name, values)| {
                (*name, values[if random.one_in(2) { random.below(values.len()) } else { 0 }])
            })
            .collect();
        let commands = (0..length).map(|_| table.generate(random)).collect();
        Sequence { protocol, config, commands }
    }
}

/// A command that the servers answered differently.
pub struct Mismatch {
    /// Its place in the sequence; behind its end if it is a look at what the sequence has left.
    pub at: usize,
    pub command: Command,
    pub compare: Compare,
    pub ours: Value,
    pub theirs: Value,
}

/// Why a sequence ended before its end.
enum Stop {
    Mismatch(Box<Mismatch>),
    Diverged,
}

/// A connection to the server under test, and one to the reference.
pub struct Both {
    ours: Client,
    theirs: Client,
    listeners: [Listener; 2],
    /// The reference's version.
    version: [u32; 3],
    /// Parameters that the reference has not.
    newer: BTreeSet<&'static str>,
    /// Commands that were compared.
    pub compared: usize,
    /// Replies of the reference that were errors.
    pub errors: usize,
    /// Events of the reference.
    pub events: usize,
    /// How many replies differed for each known reason.
    pub explained: BTreeMap<&'static str, usize>,
    /// Sequences that ended early for one.
    pub diverged: usize,
}

impl Both {
    /// Connects to both.
    pub fn new(ours: &Server, theirs: &Server) -> Both {
        let version = theirs.info("redis_version").expect("INFO names the version");
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let version = [(); 3].map(|()| parts.next().unwrap_or(0));
        let listeners = [Listener::new(ours), Listener::new(theirs)];
        let (ours, mut theirs) = (ours.client(), theirs.client());
        let mut is_newer = |name: &&str| theirs.call(&["CONFIG", "GET", name]).items().is_empty();
        let newer = THRESHOLDS.iter().map(|(name, _)| *name).filter(&mut is_newer).collect();
        Both {
            ours,
            theirs,
            listeners,
            version,
            newer,
            compared: 0,
            errors: 0,
            events: 0,
            explained: BTreeMap::new(),
            diverged: 0,
        }
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

    /// Runs a sequence up to the first mismatch, and looks at what it has left.
    pub fn play(&mut self, sequence: &Sequence) -> Option<Mismatch> {
        self.reset(sequence);
        let played = self
            .run(&sequence.commands, 0)
            .and_then(|()| self.compare_events(sequence))
            .and_then(|()| self.look_over(sequence));
        match played {
            Ok(()) => None,
            Err(Stop::Mismatch(mismatch)) => Some(*mismatch),
            Err(Stop::Diverged) => {
                self.diverged += 1;
                None
            }
        }
    }

    fn compare_events(&mut self, sequence: &Sequence) -> Result<(), Stop> {
        let look = events::look();
        let [ours, theirs] = self.listeners.each_mut().map(Listener::take);
        self.events += theirs.items().len();
        // Once it was reported it stands at the end of the commands.
        let last = sequence.commands.last();
        let is_last = last.is_some_and(|command| command.steps[0].argv == look.steps[0].argv);
        let at = sequence.commands.len() - usize::from(is_last);
        self.judge(&look, at, look.pairs(vec![ours], vec![theirs]))
    }

    fn look_over(&mut self, sequence: &Sequence) -> Result<(), Stop> {
        let end = sequence.commands.len();
        let mut types = Vec::new();
        for (db, look) in look::DBS.iter().zip(look::at_keys()) {
            self.run(std::slice::from_ref(&look), end)?;
            let found = self.ours.call(&["KEYS", "*"]);
            types.extend(look::keys_in(&found).into_iter().map(|key| (*db, key)));
        }
        let looks: Vec<Command> = types.iter().map(|(db, key)| look::at_type(db, key)).collect();
        self.run(&looks, end)?;
        let mut values = Vec::new();
        for (db, key) in types {
            self.ours.call(&["SELECT", db]);
            let kind = self.ours.call(&[b"TYPE", &key[..]]).text();
            values.extend(look::at_value(db, &key, &kind));
        }
        self.run(&values, end)
    }

    /// Runs commands of which the first stands at this place; looks behind the end stand all at the end.
    fn run(&mut self, commands: &[Command], start: usize) -> Result<(), Stop> {
        let mut at = start;
        for batch in commands.chunks(PIPELINE_MAX) {
            let requests = batch.iter().flat_map(Command::requests);
            let wire: Vec<u8> = requests.flat_map(|argv| encode(&argv)).collect();
            self.ours.send_raw(&wire).expect("the server under test reads");
            self.theirs.send_raw(&wire).expect("the reference reads");
            let replies: Vec<_> = batch.iter().map(|command| self.read(command)).collect();
            for (command, (ours, theirs)) in batch.iter().zip(replies) {
                self.compared += 1;
                self.judge(command, at, command.pairs(ours, theirs))?;
                at += usize::from(start == 0);
            }
        }
        Ok(())
    }

    fn judge(&mut self, command: &Command, at: usize, pairs: Vec<Pair<'_>>) -> Result<(), Stop> {
        for pair in pairs {
            self.errors += usize::from(pair.theirs.is_error());
            if pair.step.compare.same(&pair.ours, &pair.theirs) {
                continue;
            }
            match known::judge(&pair, command.via, self.version) {
                Verdict::Explained(reason) if pair.carried_out => {
                    *self.explained.entry(reason).or_default() += 1;
                }
                // What one of them has not even queued, only the other one does.
                Verdict::Explained(reason) | Verdict::Diverged(reason) => {
                    *self.explained.entry(reason).or_default() += 1;
                    return Err(Stop::Diverged);
                }
                Verdict::Mismatch => {
                    let (command, compare) = (command.clone(), pair.step.compare);
                    let Pair { ours, theirs, .. } = pair;
                    let mismatch = Mismatch { at, command, compare, ours, theirs };
                    return Err(Stop::Mismatch(Box::new(mismatch)));
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, command: &Command) -> (Vec<Value>, Vec<Value>) {
        let read = |client: &mut Client, whose: &str| -> Vec<Value> {
            let one = |_| {
                client.read().unwrap_or_else(|error| {
                    panic!("{whose} does not answer {}: {error}", shrink::written(command))
                })
            };
            (0..command.requests().len()).map(one).collect()
        };
        (read(&mut self.ours, "the server under test"), read(&mut self.theirs, "the reference"))
    }

    fn reset(&mut self, sequence: &Sequence) {
        // What a sequence that ended early has left.
        self.listeners.iter_mut().for_each(|listener| drop(listener.take()));
        let is_theirs = [false, true];
        for (client, is_theirs) in [&mut self.ours, &mut self.theirs].into_iter().zip(is_theirs) {
            let protocol = sequence.protocol.to_string();
            let mut call = |words: &[&str]| {
                let reply = client.call(words);
                assert!(!reply.is_error(), "{words:?}: {reply:?}");
            };
            call(&["RESET"]);
            call(&["HELLO", &protocol]);
            call(&["FLUSHALL"]);
            for (name, value) in &sequence.config {
                if !(is_theirs && self.newer.contains(name)) {
                    call(&["CONFIG", "SET", name, value]);
                }
            }
        }
    }
}
