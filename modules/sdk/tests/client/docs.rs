//! What COMMAND DOCS says of commands' arguments, as lines that people read and tests compare.

use super::{Answer, Client};

/// The arguments of a command: a line each, those within others set in by two blanks.
pub fn arguments(client: &mut Client, command: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let docs = client.raw(&[b"COMMAND", b"DOCS", command.as_bytes()]);
    if let Some(docs) = many(&docs).get(1)
        && let Some(args) = field(docs, "arguments")
    {
        describe(args, 0, &mut lines);
    }
    lines
}

/// The commands of a module, in order.
pub fn commands(client: &mut Client, module: &str) -> Vec<String> {
    let list = client.raw(&[b"COMMAND", b"LIST", b"FILTERBY", b"MODULE", module.as_bytes()]);
    let mut names: Vec<String> = many(&list).iter().map(text).collect();
    names.sort();
    names
}

fn describe(args: &Answer, depth: usize, lines: &mut Vec<String>) {
    for arg in many(args) {
        let of = |name| field(arg, name).map(text).unwrap_or_default();
        let mut line = format!("{}{} {}", "  ".repeat(depth), of("type"), of("name"));
        for name in ["token", "key_spec_index", "since", "deprecated_since"] {
            if let Some(value) = field(arg, name) {
                line.push_str(&format!(" {name}={}", text(value)));
            }
        }
        if !matches!(of("display_text"), shown if shown.is_empty() || shown == of("name")) {
            line.push_str(&format!(" shown as {}", of("display_text")));
        }
        for flag in field(arg, "flags").map(many).unwrap_or_default() {
            line.push_str(&format!(" {}", text(flag)));
        }
        lines.push(line);
        if let Some(inner) = field(arg, "arguments") {
            describe(inner, depth + 1, lines);
        }
    }
}

/// The value of a field of a map, as RESP2 sends it.
fn field<'a>(map: &'a Answer, name: &str) -> Option<&'a Answer> {
    let mut pairs = many(map).chunks_exact(2);
    pairs.find(|pair| text(&pair[0]) == name).map(|pair| &pair[1])
}

fn many(answer: &Answer) -> &[Answer] {
    match answer {
        Answer::Many(_, answers) => answers,
        _ => &[],
    }
}

fn text(answer: &Answer) -> String {
    match answer {
        Answer::Bulk(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Answer::Line(_, line) => line.clone(),
        other => other.to_string(),
    }
}
