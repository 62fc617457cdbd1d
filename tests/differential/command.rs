//! How does a generated command reach a server, and which of the replies belong to it?

use crate::compare::Compare;
use crate::harness::value::Value;

/// How a command reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Its steps one after the other.
    Plain,
    /// Its steps between MULTI and EXEC.
    Transaction,
    /// From a script that returns what it gets, which speaks this protocol.
    Script(u8),
    /// Not at all: COMMAND GETKEYS only says which keys it has.
    Keys,
}

/// One request, and how its replies are compared.
#[derive(Clone, Debug)]
pub struct Step {
    pub argv: Vec<Vec<u8>>,
    pub compare: Compare,
}

impl Step {
    /// A request that belongs to the test itself.
    pub fn of(words: &[&[u8]], compare: Compare) -> Step {
        Step { argv: words.iter().map(|word| word.to_vec()).collect(), compare }
    }

    /// Its name in small letters.
    pub fn name(&self) -> String {
        self.argv
            .first()
            .map_or_else(String::new, |name| String::from_utf8_lossy(name).to_lowercase())
    }
}

/// Requests that belong together: mostly one; otherwise each leads to the last one, or they are a transaction.
#[derive(Clone, Debug)]
pub struct Command {
    pub steps: Vec<Step>,
    pub via: Via,
}

/// Two replies to be compared.
pub struct Pair<'a> {
    pub step: &'a Step,
    /// What the server under test answered to the step before.
    pub before: Option<Value>,
    pub ours: Value,
    pub theirs: Value,
    /// Whether the step was carried out: it was not, if this is what came of queueing it.
    pub carried_out: bool,
}

impl Command {
    /// The requests that it takes.
    pub fn requests(&self) -> Vec<Vec<Vec<u8>>> {
        let of = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let steps = self.steps.iter().map(|step| step.argv.clone());
        match self.via {
            Via::Plain => steps.collect(),
            Via::Transaction => {
                let mut requests = vec![of(&["MULTI"])];
                requests.extend(steps);
                requests.push(of(&["EXEC"]));
                requests
            }
            Via::Script(protocol) => {
                let speak = if protocol == 3 { "redis.setresp(3) " } else { "" };
                let script = format!("{speak}return redis.pcall(unpack(ARGV))");
                let eval = |argv| [of(&["EVAL", &script, "0"]), argv].concat();
                steps.map(eval).collect()
            }
            Via::Keys => steps.map(|argv| [of(&["COMMAND", "GETKEYS"]), argv].concat()).collect(),
        }
    }

    /// What is to be compared of the replies to its requests.
    pub fn pairs(&self, ours: Vec<Value>, theirs: Vec<Value>) -> Vec<Pair<'_>> {
        if self.via != Via::Transaction {
            return self.pair_up(ours, theirs, true);
        }
        let executed = |replies: &[Value]| match replies.last() {
            Some(Value::Array(all)) if all.len() == self.steps.len() => Some(all.clone()),
            _ => None,
        };
        if let (Some(ours), Some(theirs)) = (executed(&ours), executed(&theirs)) {
            return self.pair_up(ours, theirs, true);
        }
        let queued = |replies: &[Value]| replies[1..].to_vec();
        let mut pairs = self.pair_up(queued(&ours), queued(&theirs), false);
        let last = |mut replies: Vec<Value>| replies.pop().expect("EXEC is answered");
        pairs.push(Pair {
            step: &self.steps[0],
            before: None,
            ours: last(ours),
            theirs: last(theirs),
            carried_out: false,
        });
        pairs
    }

    fn pair_up(&self, ours: Vec<Value>, theirs: Vec<Value>, carried_out: bool) -> Vec<Pair<'_>> {
        let mut before = None;
        let replies = ours.into_iter().zip(theirs);
        let pair = |(step, (ours, theirs)): (_, (Value, _))| {
            let before = before.replace(ours.clone());
            Pair { step, before, ours, theirs, carried_out }
        };
        self.steps.iter().zip(replies).map(pair).collect()
    }
}
