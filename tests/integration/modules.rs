//! Do the shipped modules load as files over the module ABI, from where they lie, and does what they store behave as keys do?

use std::fs;
use std::path::Path;

use crate::harness::client::Client;
use crate::harness::server::{Folder, Server, free_port, run_to_end, under_test};
use crate::harness::value::Value;
use crate::harness::wait_until;

const SHIPPED: &[&str] = &["libmortise_json.so", "libmortise_search.so"];

/// Our server, or nothing when the tests are tried on a reference that has no modules.
fn ours(args: &[&str]) -> Option<Server> {
    let server = Server::start(args);
    if server.is_ours() {
        return Some(server);
    }
    println!("skipped: {} has no modules of ours", under_test().display());
    None
}

fn loaded(client: &mut Client) -> Vec<String> {
    let mut names: Vec<String> = client
        .call(&["MODULE", "LIST"])
        .items()
        .iter()
        .map(|module| {
            let fields = module.items();
            let at = fields.iter().position(|field| *field == Value::Bulk(b"name".to_vec()));
            fields[at.expect("a module has a name") + 1].text()
        })
        .collect();
    names.sort();
    names
}

fn found(client: &mut Client, query: &str) -> Vec<String> {
    let reply = client.call(&["FT.SEARCH", "idx", query, "NOCONTENT", "LIMIT", "0", "1000"]);
    assert!(!reply.is_error(), "{query}: {reply:?}");
    let mut keys: Vec<String> = reply.items()[1..].iter().map(Value::text).collect();
    keys.sort();
    keys
}

#[test]
fn both_are_loaded_without_being_asked_for() {
    let Some(server) = ours(&[]) else { return };
    assert_eq!(loaded(&mut server.client()), ["ReJSON", "search"]);
}

#[test]
fn they_can_be_left_out() {
    if ours(&[]).is_none() {
        return;
    }
    let server = Server::start(&["--default-modules", "no"]);
    let mut client = server.client();
    assert!(loaded(&mut client).is_empty());
    let reply = client.call(&["JSON.SET", "k", "$", "1"]);
    assert!(reply.text().starts_with("ERR unknown command"), "{reply:?}");
}

#[test]
fn an_installed_server_finds_them_in_its_lib_folder() {
    if ours(&[]).is_none() {
        return;
    }
    let binary = under_test();
    let beside = binary.parent().expect("a binary lies in a folder");
    let prefix = Folder::new();
    let place = |from: &Path, to: &str| {
        let to = prefix.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    place(&binary, "bin/mortise");
    for name in SHIPPED {
        place(&beside.join(name), &format!("lib/mortise/{name}"));
    }
    let server = Server::start_binary(&prefix.path().join("bin/mortise"), &[]);
    assert_eq!(loaded(&mut server.client()), ["ReJSON", "search"]);
}

#[test]
fn a_file_that_is_no_module_is_told_and_ends_the_start() {
    let folder = Folder::new();
    let path = folder.file("bogus.so", "this is not a shared object");
    let path = path.to_str().unwrap();
    let port = free_port().to_string();
    let ended = run_to_end(&under_test(), &["--port", &port, "--loadmodule", path], "");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    assert!(ended.output.contains("bogus.so"), "{}", ended.output);
}

#[test]
fn a_document_is_a_key_like_any_other() {
    let Some(server) = ours(&[]) else { return };
    let mut client = server.client();
    assert_eq!(client.call(&["JSON.SET", "doc", "$", "{\"a\":[1,2,{\"b\":true}]}"]).text(), "OK");
    assert_eq!(client.call(&["TYPE", "doc"]).text(), "ReJSON-RL");
    assert!(client.call(&["GET", "doc"]).text().starts_with("WRONGTYPE"));
    assert!(client.call(&["HSET", "doc", "f", "v"]).text().starts_with("WRONGTYPE"));
    client.call(&["SET", "text", "v"]);
    assert!(client.call(&["JSON.GET", "text"]).text().contains("WRONGTYPE"));
    assert_eq!(client.call(&["COPY", "doc", "twin"]).int(), 1);
    assert_eq!(client.call(&["RENAME", "doc", "other"]).text(), "OK");
    client.call(&["JSON.SET", "twin", "$.a[0]", "99"]);
    assert_eq!(client.call(&["JSON.GET", "other", "$.a[0]"]).text(), "[1]");
    assert_eq!(client.call(&["EXPIRE", "other", "100"]).int(), 1);
    assert_eq!(client.call(&["PERSIST", "other"]).int(), 1);
    assert!(client.call(&["MEMORY", "USAGE", "other"]).int() > 0);
    assert_eq!(client.call(&["DEL", "other", "twin"]).int(), 2);
    assert_eq!(client.call(&["JSON.GET", "other"]), Value::Nil);
}

#[test]
fn a_script_and_a_transaction_may_use_module_commands() {
    let Some(server) = ours(&[]) else { return };
    let mut client = server.client();
    const SCRIPT: &str = "redis.call('json.set', KEYS[1], '$', ARGV[1]) \
        redis.call('json.numincrby', KEYS[1], '$.n', 2) return redis.call('json.get', KEYS[1], '$.n')";
    assert_eq!(client.call(&["EVAL", SCRIPT, "1", "doc", "{\"n\":40}"]).text(), "[42]");
    client.call(&["MULTI"]);
    client.call(&["JSON.SET", "doc", "$.n", "7"]);
    client.call(&["JSON.GET", "doc", "$.n"]);
    let replies = client.call(&["EXEC"]).items();
    assert_eq!(replies[1].text(), "[7]");
}

#[test]
fn an_index_follows_hashes_from_write_to_write() {
    let Some(server) = ours(&[]) else { return };
    let mut client = server.client();
    client.call(&["HSET", "h:before", "title", "early bird", "n", "1"]);
    let create = "FT.CREATE idx ON HASH PREFIX 1 h: SCHEMA title TEXT kind TAG n NUMERIC SORTABLE";
    let create: Vec<&str> = create.split(' ').collect();
    assert_eq!(client.call(&create).text(), "OK");
    wait_until("what was there before is indexed", || found(&mut client, "early") == ["h:before"]);
    for number in 0..50 {
        let key = format!("h:{number}");
        let n = number.to_string();
        client.call(&["HSET", &key, "title", "common bird", "kind", "even,odd", "n", &n]);
        let all = client.call(&["FT.SEARCH", "idx", "common", "NOCONTENT", "LIMIT", "0", "0"]);
        assert_eq!(all.items()[0].int(), number + 1, "not found by the next search");
    }
    assert_eq!(found(&mut client, "@n:[10 12] common"), ["h:10", "h:11", "h:12"]);
    assert_eq!(found(&mut client, "@n:[(10 (12] @kind:{odd}"), ["h:11"]);
    client.call(&["HSET", "h:11", "title", "rare bird"]);
    assert_eq!(found(&mut client, "rare"), ["h:11"]);
    assert_eq!(found(&mut client, "common @n:[11 11]"), Vec::<String>::new());
    client.call(&["DEL", "h:11"]);
    assert_eq!(found(&mut client, "rare"), Vec::<String>::new());
    client.call(&["RENAME", "h:12", "elsewhere"]);
    assert_eq!(found(&mut client, "@n:[12 12]"), Vec::<String>::new());
    client.call(&["PEXPIRE", "h:13", "1"]);
    wait_until("the expired one is not found", || found(&mut client, "@n:[13 13]").is_empty());
    // As in RediSearch, flushing takes the indexes along.
    client.call(&["FLUSHALL"]);
    assert!(client.call(&["FT._LIST"]).items().is_empty());
}

#[test]
fn info_tells_how_a_module_was_set_up() {
    let Some(server) = ours(&[]) else { return };
    let info = server.client().call(&["INFO", "modules"]).text();
    let line = info.lines().find(|line| line.starts_with("module:name=ReJSON,"));
    let line = line.expect("the module is listed");
    assert!(line.ends_with(",usedby=[],using=[],options=[handle-io-errors]"), "{line}");
}

#[test]
fn a_category_of_a_module_lists_its_commands_and_a_built_in_one_does_not() {
    let Some(server) = ours(&[]) else { return };
    let listed = |category: &str| {
        let commands = server.client().call(&["ACL", "CAT", category]).items();
        commands.iter().any(|command| command.text() == "json.get")
    };
    assert_eq!([listed("json"), listed("read")], [true, false]);
}

#[test]
fn a_command_names_the_categories_of_its_module() {
    let Some(server) = ours(&[]) else { return };
    for (command, category) in [("JSON.GET", "@json"), ("FT.SEARCH", "@search")] {
        let info = server.client().call(&["COMMAND", "INFO", command]).items();
        let categories: Vec<String> = info[0].items()[6].items().iter().map(Value::text).collect();
        assert!(categories.iter().any(|name| name == category), "{command}: {categories:?}");
        assert!(categories.iter().any(|name| name == "@read"), "{command}: {categories:?}");
    }
}
