//! Does the server behave as tests/data says? Runs every behaviour script in RESP2, in RESP3, and against a reference
//! server when the machine has one, so that an expectation that is wrong is found too.
//!
//! `SCRIPT=string/set` runs only the files whose path contains that text. `SCRIPTS_FILL=1` records (see scripts/fill.rs).

#[path = "scripts/fill.rs"]
mod fill;
mod harness;
#[path = "scripts/lexer.rs"]
mod lexer;
#[path = "scripts/pattern.rs"]
mod pattern;
#[path = "scripts/run.rs"]
mod run;
#[path = "scripts/script.rs"]
mod script;

use std::fs;
use std::path::{Path, PathBuf};

use harness::server::{Server, reference, under_test};
use pattern::Protocol;
use run::{Outcome, Runner};
use script::Script;

/// Parameters that scripts rely on: DEBUG, and no log of slow commands.
const ARGUMENTS: &[&str] = &["--enable-debug-command", "yes", "--enable-protected-configs", "yes"];

fn data_folder() -> PathBuf {
    harness::project_root().join("tests/data")
}

/// Every script, by its path below tests/data, without the extension.
fn all_scripts() -> Vec<(String, PathBuf)> {
    let wanted = std::env::var("SCRIPT").unwrap_or_default();
    let mut found = Vec::new();
    let groups = fs::read_dir(data_folder()).expect("tests/data is a folder");
    for group in groups {
        let group = group.expect("tests/data can be read").path();
        for file in fs::read_dir(&group).expect("tests/data holds only folders") {
            let path = file.expect("a group can be read").path();
            let stem =
                |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let name = format!("{}/{}", stem(&group), stem(&path));
            if name.contains(&wanted) {
                found.push((name, path));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no script is called {wanted:?}");
    found
}

fn load(path: &Path) -> Script {
    let text = fs::read_to_string(path).expect("scripts are UTF-8 text");
    Script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs every file against one server; starts another when a file has taken it down.
fn run_all(binary: &Path, protocol: Protocol) -> Vec<(String, PathBuf, Outcome)> {
    let mut server = Server::start_binary(binary, ARGUMENTS);
    let mut outcomes = Vec::new();
    for (name, path) in all_scripts() {
        let script = load(&path);
        let result = Runner::new(&server, protocol).and_then(|mut runner| runner.run(&script));
        let lost = result.is_err();
        let mut outcome = result.unwrap_or_else(|error| Outcome {
            failures: vec![format!("the server does not answer any more: {error}")],
            ..Outcome::default()
        });
        if lost || !server.is_alive() {
            let log = server.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            outcome
                .failures
                .push(format!("the server was given up; its log ends:\n{}", tail.join("\n")));
            server = Server::start_binary(binary, ARGUMENTS);
        }
        outcomes.push((name, path, outcome));
    }
    outcomes
}

fn judge(outcomes: &[(String, PathBuf, Outcome)], whom: &str) {
    let compared: usize = outcomes.iter().map(|(.., outcome)| outcome.compared).sum();
    let too_new: usize = outcomes.iter().map(|(.., outcome)| outcome.too_new).sum();
    println!("{whom}: {} files, {compared} replies, {too_new} blocks too new", outcomes.len());
    let mut report = String::new();
    for (name, _, outcome) in outcomes {
        for failure in &outcome.failures {
            report.push_str(&format!("  {name} {failure}\n"));
        }
        for line in outcome.recorded.keys() {
            report
                .push_str(&format!("  {name} line {line}: replies are missing (SCRIPTS_FILL=1)\n"));
        }
    }
    assert!(report.is_empty(), "{whom} does not behave as tests/data says:\n{report}");
}

#[test]
fn server_answers_as_written_in_resp2() {
    judge(&run_all(&under_test(), Protocol::Resp2), "the server under test");
}

#[test]
fn server_answers_as_written_in_resp3() {
    judge(&run_all(&under_test(), Protocol::Resp3), "the server under test");
}

#[test]
fn reference_answers_as_written() {
    let Some(binary) = reference() else {
        println!("skipped: no reference server on this machine");
        return;
    };
    if std::env::var_os("SCRIPTS_FILL").is_some() {
        return fill_in(&binary);
    }
    judge(&run_all(&binary, Protocol::Resp2), "the reference in RESP2");
    judge(&run_all(&binary, Protocol::Resp3), "the reference in RESP3");
}

fn fill_in(binary: &Path) {
    let resp2 = run_all(binary, Protocol::Resp2);
    let resp3 = run_all(binary, Protocol::Resp3);
    for ((name, path, two), (.., three)) in resp2.into_iter().zip(resp3) {
        let recorded: Vec<_> = two
            .recorded
            .into_iter()
            .filter_map(|(line, two)| Some((line, two, three.recorded.get(&line)?.clone())))
            .collect();
        if !recorded.is_empty() {
            let text = fs::read_to_string(&path).expect("it was read before");
            fs::write(&path, fill::fill(&text, &recorded)).expect("scripts can be written");
            println!("{name}: filled {} blocks", recorded.len());
        }
    }
}
