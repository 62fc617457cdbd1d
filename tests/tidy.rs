//! Does the tree keep the house rules that a machine can check? Each rule is a function from files to complaints, and each
//! has a test that it can fail. Lists of exceptions may only shrink.

#[path = "tidy/source.rs"]
mod source;

use source::{Source, all_files, closing, line_of, words};

/// Who may import whom: a room may name the rooms of lower rungs only. What is not in a room stands above all.
const LADDER: &[(&str, u8)] = &[
    ("server", 9),
    ("commands", 8),
    ("replication", 7),
    ("cluster", 7),
    ("module", 6),
    ("persist", 5),
    ("script", 4),
    ("engine", 3),
    ("keyspace", 2),
    ("object", 1),
    ("allocator", 0),
    ("resp", 1),
    ("config", 1),
    ("base", 0),
];

/// Longer files answer more than one question.
const LINES_MAX: usize = 800;
/// Files that may be longer: (path, reason).
const LONG_FILES: &[(&str, &str)] =
    &[("tests/outside/perf.py", "one tool in one file, to be copied to other machines")];

/// Where unsafe code may stand (STYLE: the C boundary, the raw Lua API, the table's memory, the allocator).
const UNSAFE_ALLOWED: &[&str] = &[
    "src/module/",
    "src/script/",
    "src/keyspace/entry.rs",
    "src/keyspace/entry/",
    "src/keyspace/table",         // table.rs and its child
    "src/allocator",              // allocator.rs and its child
    "src/object/thin.rs",         // docs/decisions/0008-small-collections.md
    "src/server/saving/child.rs", // docs/decisions/0009-snapshot.md
    "src/server/title.rs",        // docs/decisions/0023-process-title.md
    "modules/abi/",
    "modules/sdk/src/raw",
    "modules/json/src/shared_api/raw", // docs/decisions/0025-json-shared-api.md
    "modules/sdk/src/lib.rs",          // the macro that writes a module's entry points
];

/// The only rooms that know tasks and sockets.
const ASYNC_ROOMS: &[&str] = &["server", "replication", "cluster"];
/// Rooms that are functions of their input: no clock, no files, no sockets.
const PURE_ROOMS: &[&str] = &["base", "resp", "object", "keyspace", "engine", "commands"];
/// What those rooms must not name.
const OUTSIDE_WORLD: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "std::fs",
    "std::net",
    "tokio",
    "thread::spawn",
    "thread::sleep",
];

/// Words of how a text came about, which say nothing about the program. Written in two parts so as not to find themselves.
const FOREIGN_WORDS: &[&str] = &[
    concat!("sub", "agent"),
    concat!("chat", "gpt"),
    concat!("co", "pilot"),
    concat!("as an a", "i "),
];

/// The requests that the engine may leave for its host. A new one needs a place where it is answered.
const HOST_REQUESTS: &[&str] = &[
    "Shutdown",
    "Save",
    "BgSave",
    "RewriteAof",
    "BgRewriteAof",
    "DebugReload",
    "ModuleLoad",
    "ModuleUnload",
    "ConfigRewrite",
    "ConfigListen",
    "AclSave",
    "AclLoad",
    "Migrate",
    "Follow",
];

/// Where they are named all the same: (path, name, reason).
const OUTSIDE_ALLOWED: &[(&str, &str, &str)] = &[
    ("src/commands/server/debug.rs", "thread::sleep", "DEBUG SLEEP is meant to stop everything"),
    (
        "src/commands/server/info.rs",
        "std::fs",
        "INFO tells what the kernel knows about the process",
    ),
];

type Complaints = Vec<String>;

fn at(source: &Source, position: usize, what: &str) -> String {
    format!("{}:{}: {what}", source.path, line_of(&source.text, position))
}

fn rung(room: &str) -> Option<u8> {
    LADDER.iter().find(|(name, _)| *name == room).map(|(_, rung)| *rung)
}

/// The first path segments after `crate::`, also those of a group: `crate::{a::b, c}` names a and c.
fn named_rooms(code: &str) -> Vec<(usize, String)> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut named = Vec::new();
    for start in words(code, "crate") {
        let Some(rest) = code[start..].strip_prefix("crate::") else { continue };
        let inside = start + "crate::".len();
        if !rest.starts_with('{') {
            named.push((start, word(rest)));
            continue;
        }
        let group = &code[inside + 1..closing(code, inside) - 1];
        let mut depth = 0;
        let mut begin = 0;
        for (offset, character) in group.char_indices().chain([(group.len(), ',')]) {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    named.push((start, word(&group[begin..offset])));
                    begin = offset + 1;
                }
                _ => {}
            }
        }
    }
    named
}

fn imports_go_down(source: &Source) -> Complaints {
    let Some(room) = source.room() else { return Vec::new() };
    let code = source.code();
    let Some(own) = rung(room) else {
        return vec![format!("{}: {room} is not a room of the ladder", source.path)];
    };
    let mut complaints: Complaints = named_rooms(&code)
        .into_iter()
        .filter(|(_, target)| target != room && rung(target).is_some_and(|rung| rung >= own))
        .map(|(position, target)| at(source, position, &format!("{room} must not name {target}")))
        .collect();
    // Climbing to the crate's root by `super` would get around the rule above.
    let depth = source.path.split('/').count() - 1 - usize::from(source.path.ends_with("/mod.rs"));
    let climb = "super::".repeat(depth.max(1));
    if !source.is_test
        && let Some(position) = source.product_code().find(&climb)
    {
        complaints.push(at(source, position, "reach other rooms by crate::, not by super::"));
    }
    complaints
}

fn files_are_short(source: &Source) -> Complaints {
    let lines = source.text.lines().count();
    let code = [".rs", ".py", ".c", ".mjs"].iter().any(|end| source.path.ends_with(end));
    let listed = LONG_FILES.iter().any(|(path, _)| *path == source.path);
    if code && lines > LINES_MAX && !listed {
        return vec![format!("{}: {lines} lines, more than {LINES_MAX}", source.path)];
    }
    Vec::new()
}

fn files_say_their_question(source: &Source) -> Complaints {
    if source.is_rust() && !source.text.starts_with("//!") {
        return vec![format!("{}: does not open with //!", source.path)];
    }
    Vec::new()
}

fn unsafe_stays_in_its_places(source: &Source) -> Complaints {
    if !source.is_rust() || UNSAFE_ALLOWED.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let code = source.code();
    words(&code, "unsafe")
        .map(|position| at(source, position, "unsafe outside its places"))
        .collect()
}

fn nothing_is_left_open(source: &Source) -> Complaints {
    if !source.is_rust() {
        return Vec::new();
    }
    let code = source.code();
    let product = source.product_code();
    let mut complaints = Complaints::new();
    for name in ["todo!", "unimplemented!", "dbg!"] {
        let found = code.match_indices(name).map(|(position, _)| at(source, position, name));
        complaints.extend(found);
    }
    for (position, _) in product.match_indices(".unwrap()") {
        complaints.push(at(source, position, ".unwrap(): say why it cannot fail with expect()"));
    }
    for attribute in ["#[ignore", "#![ignore"] {
        let found = code.match_indices(attribute);
        complaints.extend(found.map(|(position, _)| at(source, position, "an ignored test")));
    }
    complaints
}

fn lints_are_silenced_with_a_reason(source: &Source) -> Complaints {
    if !source.is_rust() {
        return Vec::new();
    }
    let code = source.code();
    let mut complaints = Complaints::new();
    for start in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
        for (position, _) in code.match_indices(start) {
            let open = position + start.len() - 1;
            if !code[open..closing(&code, open)].contains("reason") {
                complaints.push(at(source, position, "a lint is silenced without a reason"));
            }
        }
    }
    complaints
}

fn tasks_stay_at_the_edge(source: &Source) -> Complaints {
    if !source.path.starts_with("src/")
        || source.room().is_some_and(|room| ASYNC_ROOMS.contains(&room))
    {
        return Vec::new();
    }
    let code = source.product_code();
    words(&code, "async").map(|position| at(source, position, "async outside the edge")).collect()
}

fn pure_rooms_know_no_world(source: &Source) -> Complaints {
    if !source.room().is_some_and(|room| PURE_ROOMS.contains(&room)) {
        return Vec::new();
    }
    let code = source.product_code();
    let found = OUTSIDE_WORLD.iter().flat_map(|name| words(&code, name).map(move |at| (at, name)));
    found
        .filter(|(_, name)| {
            !OUTSIDE_ALLOWED.iter().any(|(path, what, _)| *path == source.path && what == *name)
        })
        .map(|(position, name)| at(source, position, &format!("{name} in a pure room")))
        .collect()
}

fn modules_use_the_abi_alone(source: &Source) -> Complaints {
    if !source.path.starts_with("modules/") || !source.is_rust() {
        return Vec::new();
    }
    let code = source.code();
    let found = code.match_indices("mortise::").map(|(position, _)| position);
    found.map(|position| at(source, position, "a module reaches into the server")).collect()
}

/// Names of this machine: where the tree lies, and the home of whoever works on it.
fn machine_paths() -> Vec<String> {
    const COMMON: &[&str] =
        &["tmp", "usr", "var", "opt", "srv", "etc", "mnt", "app", "src", "builds", "data", "code"];
    let mut paths = Vec::new();
    let root = source::root();
    let parent = root.parent().map(|parent| format!("{}/", parent.display()));
    let first =
        root.components().nth(1).map(|first| first.as_os_str().to_string_lossy().into_owned());
    let common = first.as_deref().is_none_or(|first| COMMON.contains(&first));
    paths.extend(parent.filter(|_| !common));
    paths.push("/root/".to_string());
    paths.extend(std::env::var("HOME").ok().filter(|home| home.len() > 5).map(|home| home + "/"));
    paths
}

fn texts_are_about_the_program(source: &Source, paths: &[String]) -> Complaints {
    if source.path == "Cargo.lock" {
        return Vec::new();
    }
    let lower = source.text.to_lowercase();
    let foreign = FOREIGN_WORDS.iter().filter_map(|word| Some((lower.find(word)?, *word)));
    let mut complaints: Complaints =
        foreign.map(|(_, word)| format!("{}: says {word:?}", source.path)).collect();
    for path in paths.iter().filter(|path| !source.path.starts_with("tests/tidy") || path.len() > 6)
    {
        if let Some(position) = source.text.find(path.as_str()) {
            complaints.push(at(
                source,
                position,
                &format!("names a place of one machine ({path})"),
            ));
        }
    }
    for mark in ["TODO", "FIXME", "XXX"] {
        for position in words(&source.text, mark) {
            let about_itself = source.path.starts_with("tests/tidy") || source.path == "STYLE.md";
            if !about_itself && !source.text[position + mark.len()..].starts_with("(#") {
                complaints.push(at(source, position, "an open end without an issue number"));
            }
        }
    }
    complaints
}

fn host_requests_are_known(source: &Source) -> Complaints {
    if source.path != "src/engine/effects.rs" {
        return Vec::new();
    }
    let code = source.code();
    let Some(start) = code.find("enum Request") else {
        return vec![format!("{}: enum Request is gone; tell tests/tidy.rs", source.path)];
    };
    let open = start + code[start..].find('{').expect("an enum has a body");
    variants(&code[open..closing(&code, open)])
        .into_iter()
        .filter(|name| !HOST_REQUESTS.contains(&name.as_str()))
        .map(|name| format!("{}: Request::{name} is not on the closed list", source.path))
        .collect()
}

/// The names at the outermost level of an enum's body.
fn variants(body: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut fresh) = (0, true);
    for (offset, byte) in body.bytes().enumerate() {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            b',' if depth == 1 => fresh = true,
            _ if depth == 1 && fresh && byte.is_ascii_uppercase() => {
                let rest = body[offset..].chars();
                names.push(rest.take_while(|c| c.is_alphanumeric()).collect());
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn check(rule: impl Fn(&Source) -> Complaints) {
    let complaints: Complaints = all_files().iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_tree_imports_downwards_only() {
    check(imports_go_down);
}

#[test]
fn no_file_is_too_long() {
    check(files_are_short);
}

#[test]
fn exceptions_are_still_needed() {
    let files = all_files();
    for (path, reason) in LONG_FILES {
        let file = files.iter().find(|file| file.path == *path);
        let lines = file.map_or(0, |file| file.text.lines().count());
        assert!(lines > LINES_MAX, "{path} ({reason}) is no longer long: take it off the list");
    }
    for (path, name, reason) in OUTSIDE_ALLOWED {
        let file = files.iter().find(|file| file.path == *path);
        let there = file.is_some_and(|file| file.product_code().contains(name));
        assert!(there, "{path} ({reason}) does not name {name}: take it off the list");
    }
}

#[test]
fn every_file_says_its_question() {
    check(files_say_their_question);
}

#[test]
fn unsafe_code_is_where_it_may_be() {
    check(unsafe_stays_in_its_places);
}

#[test]
fn no_stub_no_unwrap_no_ignored_test() {
    check(nothing_is_left_open);
}

#[test]
fn silenced_lints_say_why() {
    check(lints_are_silenced_with_a_reason);
}

#[test]
fn async_is_at_the_edge() {
    check(tasks_stay_at_the_edge);
}

#[test]
fn handlers_do_no_io_and_read_no_clock() {
    check(pure_rooms_know_no_world);
}

#[test]
fn modules_reach_the_server_by_the_abi() {
    check(modules_use_the_abi_alone);
}

#[test]
fn texts_name_no_machine_and_no_open_ends() {
    let paths = machine_paths();
    check(|source| texts_are_about_the_program(source, &paths));
}

#[test]
fn requests_to_the_host_are_a_closed_list() {
    check(host_requests_are_known);
}

#[test]
fn each_rule_can_fail() {
    let source = |path: &str, text: &str| Source::new(path, text.to_string());
    let engine = |text: &str| source("src/engine/x.rs", text);
    let fails = |complaints: Complaints, what: &str| {
        assert_eq!(complaints.len(), 1, "{what}: {complaints:?}")
    };

    fails(imports_go_down(&engine("use crate::script::Vm;")), "upwards");
    fails(imports_go_down(&engine("use crate::{base::glob, commands::{a, b}};")), "in a group");
    fails(imports_go_down(&engine("fn f() { super::super::server::go() }")), "by super");
    fails(imports_go_down(&source("src/object/x.rs", "use crate::resp::Value;")), "same rung");
    fails(imports_go_down(&source("src/misc/x.rs", "")), "unknown room");
    let fine =
        engine("use crate::{base::glob, keyspace::{Db, scan}, engine::args};\n//! crate::server");
    assert!(imports_go_down(&fine).is_empty());

    fails(files_are_short(&engine(&"\n".repeat(LINES_MAX + 1))), "long");
    fails(files_say_their_question(&engine("use a;")), "no question");
    fails(unsafe_stays_in_its_places(&engine("unsafe { go() }")), "unsafe");
    assert!(unsafe_stays_in_its_places(&source("src/module/x.rs", "unsafe {}")).is_empty());
    assert!(unsafe_stays_in_its_places(&engine("#![deny(unsafe_code)] // unsafe")).is_empty());
    fails(nothing_is_left_open(&engine("fn f() { a.unwrap() }")), "unwrap");
    fails(nothing_is_left_open(&engine(concat!("fn f() { to", "do!() }"))), "stub");
    fails(nothing_is_left_open(&engine("#[ignore] fn f() {}")), "ignored");
    fails(lints_are_silenced_with_a_reason(&engine("#[allow(dead_code)]")), "silent");
    assert!(lints_are_silenced_with_a_reason(&engine("#[allow(x, reason = \"y\")]")).is_empty());
    fails(tasks_stay_at_the_edge(&engine("async fn f() {}")), "async");
    assert!(tasks_stay_at_the_edge(&source("src/server/x.rs", "async fn f() {}")).is_empty());
    fails(pure_rooms_know_no_world(&engine("let now = Instant::now();")), "clock");
    fails(
        modules_use_the_abi_alone(&source("modules/json/src/a.rs", "use mortise::engine;")),
        "ABI",
    );
    let paths = vec!["/somewhere/".to_string()];
    fails(texts_are_about_the_program(&source("README.md", "see /somewhere/x"), &paths), "path");
    fails(texts_are_about_the_program(&source("a.md", concat!("TO", "DO later")), &paths), "open");
    assert!(
        texts_are_about_the_program(&source("a.md", concat!("TO", "DO(#7): x")), &paths).is_empty()
    );
    let enumeration = "pub enum Request {\n Shutdown { save: bool },\n Save(Vec<Odd>),\n Dance,\n}";
    fails(host_requests_are_known(&source("src/engine/effects.rs", enumeration)), "request");
}
