//! Does the real job run: a catalogue becomes documents, and questions about it get the right answers?
//!
//! `scripts/load-packages` loads tests/fixtures/packages.txt, a made-up catalogue in Debian's format.

use std::process::Command;

use crate::harness::client::Client;
use crate::harness::project_root;
use crate::harness::server::Server;
use crate::harness::value::Value;

const PACKAGES: i64 = 31;

fn load(server: &Server, more: &[&str]) -> String {
    let root = project_root();
    let output = Command::new("python3")
        .arg(root.join("scripts/load-packages"))
        .args(["--port", &server.port.to_string()])
        .arg("--file")
        .arg(root.join("tests/fixtures/packages.txt"))
        .args(more)
        .output()
        .expect("python3 was there a moment ago");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

fn ready() -> Option<Server> {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: python3 is not installed");
        return None;
    }
    let server = Server::start(&[]);
    if !server.is_ours() {
        println!("skipped: the server under test has no modules of ours");
        return None;
    }
    Some(server)
}

fn names(client: &mut Client, query: &[&str]) -> Vec<String> {
    let mut argv = vec!["FT.SEARCH", "packages"];
    argv.extend(query);
    argv.extend(["NOCONTENT", "DIALECT", "2", "LIMIT", "0", "100"]);
    let reply = client.call(&argv);
    assert!(!reply.is_error(), "{query:?}: {reply:?}");
    let keys = reply.items();
    assert_eq!(keys[0].int(), keys.len() as i64 - 1, "{query:?}");
    keys[1..].iter().map(|key| key.text().replace("package:", "")).collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn the_catalogue_is_loaded_and_answers_its_five_questions() {
    let Some(server) = ready() else { return };
    let text = load(&server, &[]);
    assert!(text.starts_with(&format!("{PACKAGES} packages of ")), "{text}");
    let counts: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().split_once(" found in ").map(|(count, _)| count))
        .collect();
    assert_eq!(counts, ["3", "3", "3", "4", "3"], "{text}");
    let mut client = server.client();
    assert_eq!(client.call(&["DBSIZE"]).int(), PACKAGES);
    assert_eq!(client.call(&["JSON.GET", "package:keybarn", "$.depends[0]"]).text(), "[\"libc6\"]");
    let long = client.call(&["JSON.GET", "package:keybarn", "$.description"]).text();
    assert!(long.contains("background.\\n\\nIt is"), "{long}");

    // Loading again replaces: nothing is found twice.
    let text = load(&server, &["--limit", "10"]);
    assert!(text.contains("10 packages of ") && text.contains("\n  3 found in "), "{text}");
    assert_eq!(client.call(&["DBSIZE"]).int(), PACKAGES);
}

#[test]
fn searches_of_the_catalogue_find_what_a_person_finds() {
    let Some(server) = ready() else { return };
    load(&server, &[]);
    let mut client = server.client();
    let mut ask = |query: &[&str]| names(&mut client, query);

    assert_eq!(
        ask(&[
            "@section:{games} @installed_size:[100000 +inf]",
            "SORTBY",
            "installed_size",
            "DESC"
        ]),
        ["castles-of-slate-data", "meadow-racer", "castles-of-slate"]
    );
    assert_eq!(
        sorted(ask(&["@depends:{libssl3} @section:{net|web}"])),
        ["curlew", "finch-mail", "mariadbridge", "webmeter"]
    );
    assert_eq!(
        sorted(ask(&["@name:(postgres*|mysql*|mariadb*) -@section:{doc}"])),
        ["mariadbridge", "mysqlite-tools", "postgresque"]
    );
    assert_eq!(
        sorted(ask(&["@description:\"web server\" @section:{httpd}"])),
        ["beaver-httpd", "beaver-httpd-mod-lua", "marmot-proxy"]
    );
    assert_eq!(sorted(ask(&["@tags:{use::editing}"])), ["quillpad", "quire"]);
    assert_eq!(ask(&["@priority:{required|important|standard} @section:{libs}"]), ["libsparrow3"]);
    assert_eq!(sorted(ask(&["@description:(text editor) -lightweight"])), ["quire"]);
    assert_eq!(
        sorted(ask(&["castle* | chess"])),
        ["castles-of-slate", "castles-of-slate-data", "tiny-chess"]
    );
    assert_eq!(ask(&["@installed_size:[(60 (65]"]), ["moonclock"]);
    assert_eq!(ask(&["nosuchword"]), Vec::<String>::new());

    // A package that is taken away is not found any more; one that changes is found by what it is now.
    let mut other = server.client();
    assert_eq!(other.call(&["DEL", "package:quire"]).int(), 1);
    let path = ["JSON.SET", "package:quillpad", "$.section", "\"misc\""];
    assert_eq!(other.call(&path), Value::Simple(b"OK".to_vec()));
    assert_eq!(ask(&["@tags:{use::editing}"]), ["quillpad"]);
    assert_eq!(ask(&["@section:{editors}"]), Vec::<String>::new());
    assert_eq!(ask(&["@section:{misc}"]), ["quillpad"]);
}
