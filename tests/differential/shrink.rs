//! What is the shortest way to a mismatch? Commands are taken out as long as the last one is still answered differently.

use crate::command::{Command, Step};
use crate::events;
use crate::harness::value::Value;
use crate::play::{Both, Mismatch, Sequence};

/// Replays that one mismatch may cost.
const REPLAYS_MAX: usize = 600;

/// Mismatches about the same are reported once.
pub fn about(mismatch: &Mismatch) -> String {
    let last = mismatch.command.steps.last();
    let name = last.map(Step::name).unwrap_or_default();
    if name != events::LOOK {
        return name;
    }
    // The first events that differ.
    let [ours, theirs] = [&mismatch.ours, &mismatch.theirs].map(Value::items);
    let at = ours.iter().zip(&theirs).take_while(|(one, two)| one == two).count();
    let name = |events: &[Value]| {
        let event = events.get(at).map(Value::text).unwrap_or_default();
        event.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    format!("{} and {}", name(&ours), name(&theirs))
}

/// The mismatch with as few commands before it as was found, in words.
pub fn report(both: &mut Both, sequence: Sequence, mismatch: Mismatch) -> String {
    let mut shortest = sequence;
    if mismatch.at == shortest.commands.len() {
        shortest.commands.push(mismatch.command.clone());
    }
    shortest.commands.truncate(mismatch.at + 1);
    let mut last = mismatch;
    let mut replays = 0;
    let mut step = shortest.commands.len() / 2;
    while step > 0 && replays < REPLAYS_MAX {
        let mut start = 0;
        // The last command stays: it is the one that differs.
        while start + 1 < shortest.commands.len() && replays < REPLAYS_MAX {
            let end = (start + step).min(shortest.commands.len() - 1);
            let mut shorter = shortest.clone();
            shorter.commands.drain(start..end);
            replays += 1;
            match both.play(&shorter) {
                Some(found) if found.at + 1 == shorter.commands.len() => {
                    (shortest, last) = (shorter, found);
                }
                _ => start = end,
            }
        }
        step /= 2;
    }
    without_defaults(both, &mut shortest);
    written_report(&shortest, &last)
}

/// Leaves out parameters that have nothing to do with it.
fn without_defaults(both: &mut Both, sequence: &mut Sequence) {
    let mut at = 0;
    while at < sequence.config.len() {
        let mut plainer = sequence.clone();
        let default = Sequence::default_of(plainer.config[at].0);
        if plainer.config[at].1 == default {
            at += 1;
            continue;
        }
        plainer.config[at].1 = default;
        match both.play(&plainer) {
            Some(found) if found.at + 1 == plainer.commands.len() => *sequence = plainer,
            _ => at += 1,
        }
    }
}

fn written_report(sequence: &Sequence, mismatch: &Mismatch) -> String {
    let mut text = format!("RESP{}", sequence.protocol);
    for (name, value) in &sequence.config {
        if *value != Sequence::default_of(name) {
            text += &format!("\n%config {name} {value}");
        }
    }
    for command in &sequence.commands {
        text += &format!("\n{}", written(command));
    }
    let (ours, theirs) = (shown(&mismatch.ours), shown(&mismatch.theirs));
    format!("{text}\n  compared {:?}\n  ours:   {ours}\n  theirs: {theirs}\n", mismatch.compare)
}

/// A command as tests/data writes it.
pub fn written(command: &Command) -> String {
    let request = |argv: &Vec<Vec<u8>>| {
        let words: Vec<String> = argv.iter().map(|argument| quoted(argument)).collect();
        words.join(" ")
    };
    let requests: Vec<String> = command.requests().iter().map(request).collect();
    requests.join("\n")
}

fn quoted(argument: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+*:()<>=?/".contains(byte);
    if !argument.is_empty() && argument.iter().all(plain) {
        return String::from_utf8_lossy(argument).into_owned();
    }
    if argument.len() > 20 && argument.iter().all(|byte| *byte == argument[0]) {
        return format!("\"{}\"*{}", escaped(&argument[..1]), argument.len());
    }
    format!("\"{}\"", escaped(argument))
}

fn escaped(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'"' => "\\\"".to_string(),
        b'\\' => "\\\\".to_string(),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    bytes.iter().map(one).collect()
}

fn shown(value: &Value) -> String {
    let list = |items: &[Value]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match value {
        Value::Simple(text) => format!("+{}", escaped(text)),
        Value::Error(text) => format!("-{}", escaped(text)),
        Value::Int(number) => number.to_string(),
        Value::Bulk(text) => format!("\"{}\"", escaped(text)),
        Value::Nil => "nil".to_string(),
        Value::NilArray => "nil[]".to_string(),
        Value::Array(items) => format!("[{}]", list(items)),
        Value::Set(items) => format!("set[{}]", list(items)),
        Value::Map(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{}: {}", shown(key), shown(value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        other => format!("{other:?}"),
    }
}
