//! Does the server start as Redis is started, and say clearly why when it cannot?

use std::net::TcpListener;

use crate::harness::client::Client;
use crate::harness::server::{Folder, Server, free_port, run_to_end, under_test};
use crate::harness::value::Value;
use crate::harness::wait_until;

/// Runs the server, which must refuse with exit code 1 and say `about` on one line.
fn refuses(args: &[&str], stdin: &str, about: &[&str]) {
    let ended = run_to_end(&under_test(), args, stdin);
    assert_eq!(ended.status.code(), Some(1), "{args:?}: {}", ended.output);
    let told = ended.output.lines().any(|line| about.iter().all(|word| line.contains(word)));
    assert!(told, "{args:?} does not speak of {about:?}:\n{}", ended.output);
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
}

fn config(server: &Server, name: &str) -> String {
    server.client().call(&["CONFIG", "GET", name]).items()[1].text()
}

#[test]
fn version_has_the_words_that_tools_parse() {
    for option in ["--version", "-v"] {
        let ended = run_to_end(&under_test(), &[option], "");
        assert_eq!(ended.status.code(), Some(0), "{option}");
        let words: Vec<&str> = ended.output.split_whitespace().collect();
        assert_eq!(ended.output.trim_end().lines().count(), 1, "{}", ended.output);
        assert_eq!(words[1], "server", "{words:?}");
        let version: Vec<&str> = words[2].strip_prefix("v=").expect("v=").split('.').collect();
        assert!(version.len() == 3 && version.iter().all(|part| part.parse::<u32>().is_ok()));
        for key in ["sha=", "malloc=", "bits=64", "build="] {
            assert!(words.iter().any(|word| word.starts_with(key)), "{key} in {words:?}");
        }
    }
}

#[test]
fn help_names_the_ways_to_start() {
    for option in ["--help", "-h"] {
        let ended = run_to_end(&under_test(), &[option], "");
        // Redis answers with 1 here; what matters is that nothing was started.
        assert!(ended.output.contains("--version") || ended.output.contains("-v"), "{option}");
        assert!(ended.output.contains("--port"), "{}", ended.output);
    }
}

#[test]
fn a_busy_port_is_told_and_ends_the_start() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = ["--port", &port, "--bind", "127.0.0.1", "--save", ""];
    refuses(&args, "", &["Failed listening on port", &port]);
}

#[test]
fn mistakes_in_directives_are_told_and_end_the_start() {
    let port = free_port().to_string();
    refuses(&["--port", &port, "--nosuchdirective", "x"], "", &["nosuchdirective"]);
    refuses(&["--port", "abc"], "", &["port"]);
    refuses(&["--port", &port, "--maxmemory-policy", "sometimes"], "", &["maxmemory-policy"]);
    refuses(&["--port", &port, "--maxclients", "0"], "", &["maxclients"]);
    refuses(&["--port", "65536"], "", &["port"]);
    refuses(&["-"], "maxclients many\n", &["maxclients"]);
    refuses(&["-"], "port 1 2 3\n", &["port"]);
    refuses(&["-"], "dir \"unbalanced\n", &["dir"]);
}

#[test]
fn missing_files_are_told_and_end_the_start() {
    let port = free_port().to_string();
    refuses(&["/nonexistent/server.conf"], "", &["/nonexistent/server.conf"]);
    refuses(&["--port", &port, "--dir", "/nonexistent/folder"], "", &["/nonexistent/folder"]);
    refuses(&["--port", &port, "--loadmodule", "/nonexistent/x.so"], "", &["/nonexistent/x.so"]);
    let socket = "/nonexistent/folder/socket";
    refuses(&["--port", &port, "--unixsocket", socket], "", &["socket"]);
}

#[test]
fn the_line_of_a_mistake_in_a_file_is_told() {
    let folder = Folder::new();
    let path = folder.file("server.conf", "# fine\nmaxclients 100\nbogus-name 1\n");
    let path = path.to_str().unwrap();
    let ended = run_to_end(&under_test(), &[path], "");
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.output.contains("line 3"), "{}", ended.output);
    assert!(ended.output.contains("bogus-name"), "{}", ended.output);
}

#[test]
fn a_config_file_is_read_and_the_command_line_wins() {
    let folder = Folder::new();
    let text = "# a comment\n\nmaxmemory 100mb\nmaxmemory-samples 7\nTIMEOUT 33\n\
                hash-max-listpack-value \"17\"\nproc-title-template 'a b'\n";
    let path = folder.file("server.conf", text);
    let server = start_with_file(path.to_str().unwrap(), &["--maxmemory-samples", "9"]);
    assert_eq!(config(&server, "maxmemory"), "104857600");
    assert_eq!(config(&server, "timeout"), "33");
    assert_eq!(config(&server, "hash-max-listpack-value"), "17");
    assert_eq!(config(&server, "maxmemory-samples"), "9");
}

/// The file must come first, before the harness's own arguments; `include` on standard input does the same.
fn start_with_file(path: &str, args: &[&str]) -> Server {
    Server::start_with_config(&format!("include {path}\n"), args)
}

#[test]
fn a_config_is_read_from_standard_input() {
    let server = Server::start_with_config("maxmemory-samples 8\ntimeout 44", &[]);
    assert_eq!(config(&server, "maxmemory-samples"), "8");
    assert_eq!(config(&server, "timeout"), "44");
}

#[test]
fn one_argument_may_hold_a_directive_and_its_value() {
    let server = Server::start(&["--maxmemory 200mb", "--timeout", "5"]);
    assert_eq!(config(&server, "maxmemory"), "209715200");
    assert_eq!(config(&server, "timeout"), "5");
}

#[test]
fn the_log_says_what_supervisors_wait_for() {
    let server = Server::start(&["--always-show-logo", "yes"]);
    // It answers a moment before it says so.
    wait_until("the server is ready", || server.log().contains("Ready to accept"));
    let log = server.log();
    let pid = format!(" PID: {}", server.pid());
    let place = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text:?} in:\n{log}"));
    assert!(place(&pid) < place("Server initialized"));
    assert!(place("Server initialized") < place("Ready to accept"));
}

#[test]
fn the_process_is_the_one_that_was_started() {
    let server = Server::start(&[]);
    assert_eq!(server.info("process_id").unwrap(), server.pid().to_string());
    assert_eq!(server.info("tcp_port").unwrap(), server.port.to_string());
}

#[test]
fn the_kernel_is_told_how_soon_to_end_the_process() {
    let score = |process: &str| -> i32 {
        let text = std::fs::read_to_string(format!("/proc/{process}/oom_score_adj")).unwrap();
        text.trim().parse().unwrap()
    };
    let base = score("self");
    let server = Server::start(&["--oom-score-adj", "yes", "--oom-score-adj-values", "10 20 30"]);
    let process = server.info("process_id").expect("INFO names it");
    assert_eq!(score(&process), base + 10);
    let mut client = server.client();
    let mut set = |pairs: &[&str]| client.call(&[&["CONFIG", "SET"][..], pairs].concat());
    assert_eq!(set(&["oom-score-adj-values", "15 20 30"]).text(), "OK");
    assert_eq!(score(&process), base + 15);
    assert_eq!(set(&["oom-score-adj", "absolute"]).text(), "OK");
    assert_eq!(score(&process), 15);
    assert_eq!(set(&["oom-score-adj", "no"]).text(), "OK");
    assert_eq!(score(&process), base);
    // A change that fails as a whole takes the score back.
    let failed =
        set(&["oom-score-adj", "absolute", "oom-score-adj-values", "25 0 0", "dir", "/nowhere"]);
    assert!(matches!(failed, Value::Error(_)), "{failed:?}");
    assert_eq!(score(&process), base);
    assert_eq!(config(&server, "oom-score-adj"), "no");
}

#[test]
fn a_server_in_the_background_leaves_its_number() {
    let folder = Folder::new();
    let (dir, file) = (folder.path().display().to_string(), folder.path().join("pid"));
    let port = free_port();
    let (number, pid_file) = (port.to_string(), file.display().to_string());
    let args = ["--port", &number, "--daemonize", "yes", "--dir", &dir, "--pidfile", &pid_file];
    let ended = run_to_end(&under_test(), &args, "");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    let answers = || Client::tcp(port).and_then(|mut client| client.try_call(&["PING"]));
    wait_until("it answers", || answers().is_ok());
    let pid = std::fs::read_to_string(&file).expect("it was written");
    let kill = std::process::Command::new("kill").arg(pid.trim()).status();
    assert!(kill.expect("kill is there").success());
    wait_until("it has ended", || !file.exists());
}

#[test]
fn the_process_title_follows_its_template() {
    let server = Server::start(&[]);
    let title = || {
        let line = std::fs::read(format!("/proc/{}/cmdline", server.pid())).expect("it runs");
        // One argument, which ends like any other.
        line.strip_suffix(b"\0").expect("the end").to_vec()
    };
    let port = config(&server, "port");
    let program = under_test().display().to_string();
    assert_eq!(title(), format!("{program} 127.0.0.1:{port}").into_bytes());
    let mut client = server.client();
    client.call(&["CONFIG", "SET", "proc-title-template", "{{a long} title {port} {config-file}"]);
    assert_eq!(title(), format!("{{a long}} title {port} -").into_bytes());
    client.call(&["CONFIG", "SET", "proc-title-template", "short"]);
    assert_eq!(title(), b"short");
    assert!(client.call(&["CONFIG", "SET", "proc-title-template", "{what}"]).is_error());
    assert_eq!(title(), b"short");
    let server = Server::start(&["--set-proc-title", "no"]);
    let line = std::fs::read(format!("/proc/{}/cmdline", server.pid())).expect("it runs");
    assert!(line.split(|byte| *byte == 0).any(|word| word == b"--set-proc-title"));
}
