//! Does COMMAND DOCS describe the arguments of our commands as RedisJSON's does?
//!
//! `docs.txt` has what RedisJSON 8.8 answers, one line an argument, in our words for it (`client::docs`). Lines with `+` are
//! what only we take, lines with `-` what only RedisJSON takes. Where `MORTISE_REJSON` names RedisJSON's library and
//! `MORTISE_VALKEY` a server to load it, the file is held against what they answer.

#[path = "../../sdk/tests/client/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the SDK, which use more of it")]
mod client;

use std::fmt::Write;
use std::path::PathBuf;

use client::{Client, Server, docs, library, with_modules};

const RECORDED: &str = include_str!("docs.txt");

/// The recorded lines for one of the two, without marks.
fn recorded(foreign: char) -> String {
    let mut text = String::new();
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        match line.chars().next() {
            Some(mark) if mark == foreign => {}
            _ => writeln!(text, "{}", line.get(1..).unwrap_or_default()).expect("memory"),
        }
    }
    text
}

/// The same from a server.
fn answered(client: &mut Client) -> String {
    let mut text = String::new();
    for command in docs::commands(client, "ReJSON") {
        writeln!(text, "{command}").expect("memory");
        for line in docs::arguments(client, &command) {
            writeln!(text, "    {line}").expect("memory");
        }
    }
    text
}

#[test]
fn arguments_are_those_of_redisjson() {
    with_modules(&[library("mortise_json")], &[], |_, client| {
        assert_eq!(answered(client), recorded('-'));
    });
}

#[test]
fn the_record_is_what_redisjson_answers() {
    let given = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(module), Some(server)) = (given("MORTISE_REJSON"), given("MORTISE_VALKEY")) else {
        eprintln!("skipped: MORTISE_REJSON and MORTISE_VALKEY name no library and no server");
        return;
    };
    let module = module.to_str().expect("a path of text");
    let server = Server::start(&server, &["--loadmodule", module]);
    assert_eq!(answered(&mut server.client()), recorded('+'));
}

#[test]
fn commands_show_what_they_do_with_keys() {
    with_modules(&[library("mortise_json")], &[], |_, client| {
        let flags = |client: &mut Client, command: &str| {
            let info = client.run(&format!("COMMAND INFO {command}"));
            let flags = info.split("\"flags\" *[").nth(1).expect("a key").to_owned();
            flags.split(']').next().expect("the end of a list").to_owned()
        };
        for (command, expected) in [
            ("JSON.GET", "+RO +access"),
            ("JSON.TYPE", "+RO"),
            ("JSON.SET", "+RW +update"),
            ("JSON.NUMINCRBY", "+RW +access +update"),
            ("JSON.ARRAPPEND", "+RW +insert"),
            ("JSON.ARRPOP", "+RW +access +delete"),
            ("JSON.DEL", "+RW +delete"),
        ] {
            assert_eq!(flags(client, command), expected, "{command}");
        }
        let keys = client.run("COMMAND GETKEYS JSON.MSET a $ 1 b $ 2");
        assert_eq!(keys, "*[\"a\" \"b\"]");
    });
}
