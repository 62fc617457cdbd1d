//! Do both servers tell of the same events? A second connection to each is subscribed to all of them.

use crate::command::{Command, Step, Via};
use crate::compare::Compare;
use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::value::Value;

/// A channel that no command writes to.
const END: &str = "__keyevent@0__:end";
/// When a key is found to be expired is each server's own affair.
const LEFT_OUT: &str = ":expired";

/// Who listens to one server.
pub struct Listener {
    control: Client,
    subscriber: Client,
    /// Ends of sequences so far.
    ends: u64,
}

impl Listener {
    /// Listens from now on.
    pub fn new(server: &Server) -> Listener {
        let (mut control, mut subscriber) = (server.client(), server.client());
        control.call(&["CONFIG", "SET", "notify-keyspace-events", "EA"]);
        subscriber.call(&["PSUBSCRIBE", "__keyevent@*__:*"]);
        Listener { control, subscriber, ends: 0 }
    }

    /// The events since the last call, as `db event key`, each a text.
    pub fn take(&mut self) -> Value {
        self.ends += 1;
        let end = self.ends.to_string();
        self.control.call(&["PUBLISH", END, &end]);
        let mut events = Vec::new();
        loop {
            let message = self.subscriber.read().expect("an end was published").items();
            let (channel, key) = (message[2].text(), &message[3]);
            if channel == END && key.text() == end {
                return Value::Array(events);
            }
            if channel != END && !channel.ends_with(LEFT_OUT) {
                let Value::Bulk(key) = key else { panic!("a key is a text") };
                let name = channel.trim_start_matches("__keyevent@").replace("__:", " ");
                events.push(Value::Bulk([name.as_bytes(), b" ", key].concat()));
            }
        }
    }
}

/// What stands for the comparison of events in a list of commands, as if it were a command.
pub const LOOK: &str = "ping";

/// Such a command.
pub fn look() -> Command {
    let step = Step::of(&[LOOK.as_bytes(), b"and compare events"], Compare::Exact);
    Command { steps: vec![step], via: Via::Plain }
}
