//! Does the README's tour work as printed? Its lines go through redis-cli, and its output must be what the README shows.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::project_root;
use crate::harness::server::Server;

const PROMPT: &str = "127.0.0.1:6379> ";

/// (command, printed output) of every example in the text.
fn examples(text: &str) -> Vec<(String, String)> {
    let mut examples: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = false;
        } else if let Some(command) = line.strip_prefix(PROMPT) {
            inside = true;
            examples.push((command.to_string(), String::new()));
        } else if inside {
            let (_, output) = examples.last_mut().expect("a prompt came first");
            output.push_str(line);
            output.push('\n');
        }
    }
    examples
}

#[test]
fn the_tour_prints_what_the_readme_shows() {
    let text = fs::read_to_string(project_root().join("README.md")).expect("there is a README");
    let examples = examples(&text);
    assert!(examples.len() >= 10, "the README has {} examples", examples.len());
    if Command::new("redis-cli").arg("--version").output().is_err() {
        println!("skipped: redis-cli is not installed");
        return;
    }
    let server = Server::start(&[]);
    if !server.is_ours() {
        println!("skipped: the server under test has no modules of ours");
        return;
    }
    let mut child = Command::new("redis-cli")
        .args(["-p", &server.port.to_string(), "--no-raw"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli was there a moment ago");
    let commands: String = examples.iter().map(|(command, _)| format!("{command}\n")).collect();
    let mut stdin = child.stdin.take().expect("standard input is piped");
    stdin.write_all(commands.as_bytes()).unwrap();
    drop(stdin);
    let printed = child.wait_with_output().unwrap().stdout;
    let wanted: String = examples.iter().map(|(_, output)| output.as_str()).collect();
    let printed = String::from_utf8_lossy(&printed);
    for (line, (got, want)) in printed.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(got, want, "line {} of the tour's output:\n{printed}", line + 1);
    }
    assert_eq!(printed.lines().count(), wanted.lines().count(), "{printed}");
}

#[test]
fn examples_are_found_in_a_text() {
    let text = "```\n127.0.0.1:6379> PING\nPONG\n127.0.0.1:6379> GET k\n(nil)\n```\nnot output\n";
    assert_eq!(
        examples(text),
        [("PING".into(), "PONG\n".into()), ("GET k".into(), "(nil)\n".into())]
    );
}
