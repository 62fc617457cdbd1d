//! Do users outlive the server? In its config file, or in a file of their own; and what it says when they are wrong.

use std::fs;

use crate::harness::client::{Client, encode};
use crate::harness::server::{Folder, Server, run_to_end, under_test};
use crate::harness::value::Value;
use crate::harness::wait_until;

fn list(client: &mut Client) -> Vec<String> {
    client.call(&["ACL", "LIST"]).items().iter().map(Value::text).collect()
}

/// A server with a file of users of this text, and the file's path.
fn with_file(folder: &Folder, text: &str) -> (Server, String) {
    let path = folder.file("users.acl", text).display().to_string();
    (Server::start(&["--aclfile", &path]), path)
}

#[test]
fn users_come_from_lines_of_the_configuration() {
    let config =
        "user joe on >secret ~a* +get (+set ~b*)\nuser default on nopass +@all -debug ~* &*";
    let server = Server::start_with_config(config, &[]);
    let mut client = server.client();
    assert_eq!(client.call(&["ACL", "USERS"]).items().len(), 2);
    assert_eq!(client.call(&["AUTH", "joe", "secret"]).text(), "OK");
    assert!(client.call(&["SET", "a", "1"]).text().starts_with("NOPERM"));
    assert_eq!(client.call(&["SET", "b", "1"]).text(), "OK");
    let denied = server.client().call(&["DEBUG", "SLEEP", "0"]).text();
    assert!(denied.starts_with("NOPERM User default has no permissions"), "{denied}");
}

#[test]
fn commands_of_modules_may_stand_in_the_configuration() {
    let server = Server::start_with_config("user joe on nopass ~* -@all +json.get", &[]);
    let line = list(&mut server.client()).pop().expect("joe is the last");
    assert!(line.ends_with("-@all +json.get"), "{line}");
}

#[test]
fn a_rewritten_configuration_brings_the_users_back() {
    let folder = Folder::new();
    let path = folder.file("server.conf", "user old on +@all\nmaxclients 100\n");
    let path = path.to_str().expect("a name of ours");
    let port = crate::harness::server::free_port().to_string();
    let start = || {
        let mut command = std::process::Command::new(under_test());
        command.args([
            path,
            "--port",
            &port,
            "--save",
            "",
            "--dir",
            "/tmp",
            "--logfile",
            "/dev/null",
        ]);
        command.spawn().expect("the server starts")
    };
    let connect = || {
        wait_until("it answers", || {
            let client = Client::tcp(port.parse().expect("a number"));
            client.and_then(|mut client| client.try_call(&["PING"])).is_ok()
        });
        Client::tcp(port.parse().expect("a number")).expect("it listens")
    };
    let mut process = start();
    let mut client = connect();
    assert_eq!(client.call(&["ACL", "DELUSER", "old"]).int(), 1);
    let joe = ["ACL", "SETUSER", "joe", "on", ">secret", "~a*", "&c", "+@read", "(+set ~b)"];
    assert_eq!(client.call(&joe).text(), "OK");
    let before = list(&mut client);
    assert_eq!(client.call(&["CONFIG", "REWRITE"]).text(), "OK");
    process.kill().expect("it runs");
    process.wait().expect("it ends");
    let text = fs::read_to_string(path).expect("it was written");
    assert!(text.contains(&before[1]) && !text.contains("user old"), "{text}");
    let mut process = start();
    assert_eq!(list(&mut connect()), before);
    process.kill().expect("it runs");
    process.wait().expect("it ends");
}

#[test]
fn users_come_from_their_file_and_go_back_to_it() {
    let folder = Folder::new();
    let (server, path) =
        with_file(&folder, "user joe on nopass +@all ~*\n\nuser ann on >pw +ping\n");
    let mut client = server.client();
    // A file that does not name the default user leaves it as it is at first.
    let default = "user default on nopass sanitize-payload ~* &* +@all";
    assert_eq!(list(&mut client)[1], default);
    assert_eq!(client.call(&["ACL", "SETUSER", "ann", "+get", "~x"]).text(), "OK");
    let before = list(&mut client);
    assert_eq!(client.call(&["ACL", "SAVE"]).text(), "OK");
    let text = fs::read_to_string(&path).expect("it was written");
    assert_eq!(text.lines().collect::<Vec<_>>(), before);
    assert_eq!(
        fs::read_dir(folder.path()).expect("it is there").count(),
        1,
        "nothing is left aside"
    );
    assert_eq!(client.call(&["ACL", "DELUSER", "ann"]).int(), 1);
    assert_eq!(client.call(&["ACL", "LOAD"]).text(), "OK");
    assert_eq!(list(&mut client), before);
}

#[test]
fn loading_closes_whom_it_replaces_and_keeps_all_if_the_file_is_wrong() {
    let folder = Folder::new();
    let (server, path) = with_file(&folder, "user joe on nopass +@all ~*\n");
    let (mut joe, mut client) = (server.client(), server.client());
    assert_eq!(joe.call(&["AUTH", "joe", "any"]).text(), "OK");
    fs::write(&path, "user joe on nopass +nope\nuser ann\nuser ann\nusr\n").expect("it can be");
    let errors = client.call(&["ACL", "LOAD"]).text();
    let end =
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
    let expected = [
        format!(
            "{path}:1: Error in applying operation '+nope': Unknown command or category name in ACL. "
        ),
        "WARNING: Duplicate user 'ann' found on line 3. ".to_owned(),
        format!("{path}:4 should start with user keyword followed by the username. "),
    ];
    assert_eq!(errors, format!("ERR {}{end}", expected.concat()));
    assert_eq!(joe.call(&["ACL", "WHOAMI"]).text(), "joe");
    fs::write(&path, "user ann on\n").expect("it can be");
    assert_eq!(client.call(&["ACL", "LOAD"]).text(), "OK");
    assert!(joe.is_closed());
    assert_eq!(client.call(&["ACL", "WHOAMI"]).text(), "default");
    fs::remove_file(&path).expect("it is there");
    let gone = client.call(&["ACL", "LOAD"]).text();
    assert!(gone.starts_with("ERR Error loading ACLs, opening file"), "{gone}");
    assert!(gone.ends_with("No such file or directory"), "{gone}");
    assert_eq!(list(&mut client).len(), 2);
}

#[test]
fn wrong_users_are_told_and_end_the_start() {
    let folder = Folder::new();
    let path = folder.file("users.acl", "user joe +nope\n").display().to_string();
    let refuses = |config: &str, args: &[&str], about: &str| {
        let args = [&["-", "--port", "0", "--unixsocket", "/tmp/mortise-acl-never"], args].concat();
        let ended = run_to_end(&under_test(), &args, config);
        assert_eq!(ended.status.code(), Some(1), "{config}: {}", ended.output);
        assert!(
            ended.output.contains(about),
            "{config} does not tell {about:?}:\n{}",
            ended.output
        );
    };
    refuses(
        "user joe on\nuser joe off",
        &[],
        "Error in user declaration 'joe': Duplicate user found.",
    );
    refuses("user joe on nope", &[], "Syntax error");
    refuses("user joe on (+get", &[], "Unmatched parenthesis");
    refuses("user joe on +nope", &[], "Error loading ACL rule '+nope' for the user named 'joe'");
    refuses("user 'j e' on", &[], "Spaces not allowed in ACL usernames");
    refuses("user joe on", &["--aclfile", &path], "but not both");
    refuses("", &["--aclfile", &path], "Aborting Redis startup because of ACL errors");
    refuses("", &["--aclfile", "/nonexistent/x.acl"], "No such file or directory");
}

#[test]
fn what_a_removed_user_has_sent_already_is_not_run() {
    let server = Server::start(&[]);
    let (mut joe, mut client) = (server.client(), server.client());
    client.call(&["ACL", "SETUSER", "joe", "on", "nopass", "+@all", "~*"]);
    assert_eq!(joe.call(&["AUTH", "joe", "any"]).text(), "OK");
    let requests = [encode(&["ACL", "DELUSER", "joe"]), encode(&["SET", "k", "v"])].concat();
    joe.send_raw(&requests).expect("it is connected");
    assert_eq!(joe.read().expect("the reply comes before the end").int(), 1);
    assert!(joe.is_closed());
    assert_eq!(client.call(&["EXISTS", "k"]).int(), 0);
}
