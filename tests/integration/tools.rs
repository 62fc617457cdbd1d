//! Do the tools beside the server work as programs: by their names, with exit codes, on files of ours and of Redis?

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;

use crate::harness::server::{Folder, Server, reference, run_to_end, under_test};

#[test]
fn check_rdb_reads_what_was_saved() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.call(&["SET", "string", "v", "PX", "100000"]);
    client.call(&["RPUSH", "list", "a", "b"]);
    client.call(&["JSON.SET", "document", "$", "{\"a\": [1, 2]}"]);
    assert_eq!(client.call(&["SAVE"]).text(), "OK");
    let file = server.folder.path().join("dump.rdb");
    let shown = file.display().to_string();
    let ended = run_to_end(&under_test(), &["check-rdb", &shown], "");
    assert!(ended.status.success(), "{}", ended.output);
    assert!(
        ended.output.contains("\\o/ RDB looks OK! \\o/\n[info] 3 keys read\n[info] 1 expires\n")
    );
    // A link to the program is the tool of its name.
    let folder = Folder::new();
    let link = folder.path().join("redis-check-rdb");
    symlink(under_test(), &link).expect("links can be made");
    let ended = run_to_end(&link, &[&shown], "");
    assert!(ended.status.success(), "{}", ended.output);
    let mut bytes = fs::read(&file).expect("the file is there");
    bytes[20] ^= 1;
    fs::write(&file, bytes).expect("the file can be written");
    let ended = run_to_end(&link, &[&shown], "");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    assert!(ended.output.contains("--- RDB ERROR DETECTED ---"), "{}", ended.output);
}

#[test]
fn check_aof_mends_what_redis_left_behind() {
    let Some(redis) = reference() else {
        println!("skipped: there is no redis-server to write an append-only file");
        return;
    };
    let server = Server::start_binary(&redis, &["--appendonly", "yes"]);
    let mut client = server.client();
    for number in 0..100 {
        client.call(&["SET", &format!("key:{number}"), "v"]);
    }
    let folder = server.folder.path().join("appendonlydir");
    let manifest = folder.join("appendonly.aof.manifest").display().to_string();
    let check = |options: &[&str], answer: &str| {
        let args = [&["check-aof"], options, &[&*manifest]].concat();
        let ended = run_to_end(&under_test(), &args, answer);
        (ended.status.code(), ended.output)
    };
    let (code, said) = check(&[], "");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("All AOF files and manifest are valid\n"), "{said}");
    let last = folder.join("appendonly.aof.1.incr.aof");
    let whole = fs::metadata(&last).expect("the file is there").len();
    let mut file = OpenOptions::new().append(true).open(&last).expect("the file is there");
    file.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk").expect("the file can be written");
    let (code, said) = check(&[], "");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.ends_with("is not valid. Use the --fix option to try fixing it.\n"), "{said}");
    let (code, said) = check(&["--fix"], "y\n");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::metadata(&last).expect("the file is there").len(), whole);
}
