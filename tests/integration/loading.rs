//! What is a server like while its data set is being loaded, and which files does it load at all?

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::server::{Folder, Server, free_port, reference, run_to_end, under_test};
use crate::harness::value::Value;
use crate::harness::wait_until;

const KEYS: usize = 300;

fn folder_with(bytes: &[u8]) -> Folder {
    let folder = Folder::new();
    fs::write(folder.path().join("dump.rdb"), bytes).expect("the folder is there");
    folder
}

/// A folder with a file of some hundred keys.
fn saved() -> Folder {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.call(&["DEBUG", "POPULATE", &KEYS.to_string(), "key", "100"]);
    assert_eq!(client.call(&["SAVE"]).text(), "OK");
    folder_with(&fs::read(server.folder.path().join("dump.rdb")).expect("it was saved"))
}

/// Starts a server that takes seconds to load.
fn start_slowly(folder: &Folder) -> Server {
    let dir = folder.path().display().to_string();
    let args =
        ["--dir", &dir, "--key-load-delay", "20000", "--loading-process-events-interval-bytes"];
    Server::start_loading(&[&args[..], &["1024", "--enable-debug-command", "yes"]].concat())
}

fn refused(value: &Value) -> bool {
    *value == Value::Error(b"LOADING Redis is loading the dataset in memory".to_vec())
}

fn info(client: &mut Client, field: &str) -> Option<String> {
    let text = client.call(&["INFO", "persistence"]).text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.map(str::to_owned)
}

#[test]
fn while_loading_only_what_needs_no_data_is_answered() {
    let folder = saved();
    let server = start_slowly(&folder);
    let mut client = server.client();
    let bytes = fs::metadata(folder.path().join("dump.rdb")).expect("it is there").len();
    assert_eq!(info(&mut client, "loading").as_deref(), Some("1"));
    assert_eq!(info(&mut client, "async_loading").as_deref(), Some("0"));
    assert_eq!(info(&mut client, "loading_total_bytes"), Some(bytes.to_string()));
    for field in ["start_time", "rdb_used_mem", "eta_seconds"] {
        let value = info(&mut client, &format!("loading_{field}")).expect("it is shown");
        assert!(value.parse::<u64>().is_ok_and(|value| value > 0), "{field}: {value}");
    }
    let loaded = |client: &mut Client| -> u64 {
        info(client, "loading_loaded_bytes").and_then(|text| text.parse().ok()).unwrap_or(bytes)
    };
    let before = loaded(&mut client);
    wait_until("more is loaded", || loaded(&mut client) > before);
    let percent = info(&mut client, "loading_loaded_perc").expect("it is shown");
    assert!(percent.parse::<f64>().is_ok_and(|percent| (0.0..100.0).contains(&percent)));

    for argv in [
        &["GET", "key:1"][..],
        &["PING"],
        &["SET", "k", "v"],
        &["EVAL", "return 1", "0"],
        &["SAVE"],
        &["DBSIZE"],
        &["FLUSHALL"],
        &["JSON.GET", "k"],
        &["DEBUG", "RELOAD"],
        &["CONFIG", "SET", "appendonly", "yes"],
    ] {
        assert!(refused(&client.call(argv)), "{argv:?}");
    }
    assert_eq!(client.call(&["CONFIG", "GET", "maxmemory"]).items().len(), 2);
    assert_eq!(client.call(&["SELECT", "1"]).text(), "OK");
    assert_eq!(client.call(&["CLIENT", "SETNAME", "me"]).text(), "OK");
    assert_eq!(client.call(&["MULTI"]).text(), "OK");
    assert!(refused(&client.call(&["GET", "key:1"])));
    let error = client.call(&["EXEC"]);
    let aborted = b"EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(error, Value::Error(aborted.to_vec()));
    client.call(&["MULTI"]);
    client.call(&["SELECT", "0"]);
    assert_eq!(client.call(&["EXEC"]).items().len(), 1);

    assert_eq!(client.call(&["CONFIG", "SET", "key-load-delay", "0"]).text(), "OK");
    wait_until("all is loaded", || info(&mut client, "loading").as_deref() == Some("0"));
    assert_eq!(client.call(&["DBSIZE"]).int(), KEYS as i64);
    assert_eq!(info(&mut client, "loading_total_bytes"), None);
    let loaded = Some(KEYS.to_string());
    assert_eq!(info(&mut client, "rdb_last_load_keys_loaded"), loaded);
    assert_eq!(info(&mut client, "rdb_changes_since_last_save").as_deref(), Some("0"));
    wait_until("the log says so", || server.log().contains("Ready to accept connections unix"));
    let log = server.log();
    let mut from = 0;
    for line in [
        "Server initialized",
        "Loading RDB produced by version ",
        "RDB age ",
        "RDB memory usage when created ",
        "Done loading RDB, keys loaded: 300, keys expired: 0.",
        "DB loaded from disk: ",
        "Ready to accept connections tcp",
    ] {
        from += log[from..].find(line).unwrap_or_else(|| panic!("{line}: {log}"));
    }
}

#[test]
fn the_end_of_a_loading_server_leaves_the_file_alone() {
    for how in ["TERM", "INT", "SHUTDOWN", "SAVE"] {
        let folder = saved();
        let file = folder.path().join("dump.rdb");
        let before = fs::read(&file).expect("it is there");
        let mut server = start_slowly(&folder);
        let mut client = server.client();
        client.call(&["CONFIG", "SET", "save", "900 0"]);
        match how {
            "SHUTDOWN" => client.send(&["SHUTDOWN"]).expect("it is connected"),
            "SAVE" => client.send(&["SHUTDOWN", "SAVE"]).expect("it is connected"),
            name => server.signal(name),
        }
        let ended = server.wait();
        assert_eq!(ended.status.code(), Some(0), "{how}: {}", ended.output);
        let said = ended.output.contains("Received shutdown signal during loading");
        assert_eq!(said, matches!(how, "TERM" | "INT"), "{}", ended.output);
        assert!(!ended.output.contains("DB loaded from disk"), "{}", ended.output);
        assert!(!ended.output.contains("Fatal error loading"), "{}", ended.output);
        assert!(fs::read(&file).expect("it is there") == before, "{how}");
    }
}

/// A file of these parts without a checksum.
fn file(magic: &str, parts: &[&[u8]]) -> Vec<u8> {
    [magic.as_bytes(), &parts.concat(), b"\xff", &[0; 8]].concat()
}

#[test]
fn what_belongs_to_missing_modules_is_refused() {
    // The id spells `mortise-x` and encoding version 3.
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |byte: u8| DIGITS.iter().position(|one| *one == byte).expect("a digit") as u64;
    let id = b"mortise-x".iter().fold(0, |id, byte| id << 6 | digit(*byte)) << 10 | 3;
    let id = [&[0x81], &id.to_be_bytes()[..]].concat();
    let key = [b"\x07\x01k", &id[..], b"\x05\x01v\x00"].concat();
    let data = [b"\xf7", &id[..], b"\x02\x01\x05\x01v\x00"].concat();
    for (part, line) in [
        (
            key,
            "The RDB file contains module data I can't load: no matching module type 'mortise-x'",
        ),
        (
            data,
            "The RDB file contains AUX module data I can't load: no matching module 'mortise-x'",
        ),
    ] {
        let folder = folder_with(&file("REDIS0011", &[b"\x00\x01a\x01b", &part]));
        let dir = folder.path().display().to_string();
        let port = free_port().to_string();
        let ended = run_to_end(&under_test(), &["--dir", &dir, "--port", &port], "");
        assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
        assert!(ended.output.contains(line), "{}", ended.output);
        assert!(!ended.output.contains("Ready to accept"), "{}", ended.output);
    }
}

#[test]
fn files_of_all_versions_are_loaded_and_libraries_kept() {
    let past = 1_000_000_000_000i64.to_le_bytes();
    let future = 9_000_000_000_000i64.to_le_bytes();
    let parts: &[&[u8]] = &[
        b"\xfa\x0avalkey-ver\x059.0.0",
        b"\xf5\x3d#!lua name=mylib\nredis.register_function('f', function() end)",
        b"\xfe\x00\xfb\x04\x02",
        // Slots of a cluster are of no interest.
        b"\xf4\x00\x04\x02",
        b"\xfc",
        &past,
        b"\x00\x04gone\x01v",
        b"\xfc",
        &future,
        b"\x00\x05later\x01v",
        // A set without members.
        b"\x02\x05empty\x00",
        // Older than the listpack: a ziplist of an integer.
        b"\x0a\x04list\x0d\x0d\0\0\0\x0a\0\0\0\x01\0\0\xf3\xff",
        b"\xfe\x02\x00\x05other\xc0\x07",
    ];
    for magic in ["REDIS0001", "REDIS0006", "REDIS0011", "REDIS0012", "VALKEY080"] {
        // A checksum, which zeros stand for, came with the fifth version.
        let mut bytes = file(magic, parts);
        if magic == "REDIS0001" {
            bytes.truncate(bytes.len() - 8);
        }
        let folder = folder_with(&bytes);
        let dir = folder.path().display().to_string();
        let server = Server::start(&["--dir", &dir]);
        let mut client = server.client();
        assert_eq!(client.call(&["DBSIZE"]).int(), 2, "{magic}");
        assert_eq!(client.call(&["GET", "later"]).text(), "v");
        assert_eq!(client.call(&["LRANGE", "list", "0", "-1"]).items()[0].text(), "2");
        client.call(&["SELECT", "2"]);
        assert_eq!(client.call(&["GET", "other"]).text(), "7");
        assert_eq!(server.info("rdb_last_load_keys_loaded").as_deref(), Some("3"));
        assert_eq!(server.info("rdb_last_load_keys_expired").as_deref(), Some("1"));
        let log = server.log();
        assert!(log.contains("Loading RDB produced by version 9.0.0"), "{log}");
        assert!(log.contains("rdbLoadObject skipping empty key: empty"), "{log}");
        assert!(log.contains("keys loaded: 3, keys expired: 1, empty keys skipped: 1."), "{log}");
        assert_eq!(client.call(&["FCALL", "F", "0"]), Value::Nil);
        assert_eq!(client.call(&["SAVE"]).text(), "OK");
        let written = fs::read(folder.path().join("dump.rdb")).expect("it was saved");
        let text = b"#!lua name=mylib";
        assert!(written.windows(text.len()).any(|part| part == text));
    }
    for (magic, line) in [
        ("REDIS0080", "Can't handle RDB format version 80"),
        ("VALKEY011", "Can't handle RDB format version 11"),
        ("VALKEY081", "Can't handle RDB format version 81"),
        ("REDIS0000", "Can't handle RDB format version 0"),
    ] {
        let folder = folder_with(&file(magic, parts));
        let dir = folder.path().display().to_string();
        let port = free_port().to_string();
        let ended = run_to_end(&under_test(), &["--dir", &dir, "--port", &port], "");
        assert_eq!(ended.status.code(), Some(1), "{magic}: {}", ended.output);
        assert!(ended.output.contains(line), "{magic}: {}", ended.output);
    }
}

#[test]
fn many_keys_of_a_real_server_are_all_there() {
    let Some(reference) = reference() else { return };
    let theirs = Server::start_binary(&reference, &["--enable-debug-command", "yes"]);
    let mut client = theirs.client();
    client.call(&["DEBUG", "POPULATE", "100000", "key", "40"]);
    client.call(&["SELECT", "5"]);
    client.call(&["DEBUG", "POPULATE", "30000", "other", "600"]);
    client.call(&["SAVE"]);
    let folder = folder_with(&fs::read(theirs.folder.path().join("dump.rdb")).expect("saved"));
    let dir = folder.path().display().to_string();
    let ours = Server::start(&["--dir", &dir]);
    let mut our = ours.client();
    assert_eq!(our.call(&["DBSIZE"]).int(), 100_000);
    for number in (0..100_000).step_by(997) {
        let value = our.call(&["GET", &format!("key:{number}")]).text();
        assert_eq!((value.len(), value.trim_end_matches('\0')), (40, &*format!("value:{number}")));
    }
    our.call(&["SELECT", "5"]);
    assert_eq!(our.call(&["DBSIZE"]).int(), 30_000);
    assert_eq!(our.call(&["STRLEN", "other:29999"]).int(), 600);
}

#[test]
fn systemd_hears_when_all_is_ready() {
    let folder = saved();
    let socket = folder.path().join("notify");
    let notified = UnixDatagram::bind(&socket).expect("the folder is writable");
    notified.set_read_timeout(Some(Duration::from_secs(20))).expect("it is not zero");
    let mut child = Command::new(under_test())
        .args(["--port", &free_port().to_string(), "--supervised", "systemd", "--daemonize", "yes"])
        .arg("--dir")
        .arg(folder.path())
        .arg("--logfile")
        .arg(folder.path().join("log"))
        .env("NOTIFY_SOCKET", &socket)
        .spawn()
        .expect("it can be started");
    let heard = || {
        let mut buffer = [0; 200];
        let len = notified.recv(&mut buffer).expect("it tells");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    assert_eq!(heard(), "STATUS=Mortise is loading...\n");
    assert_eq!(heard(), "STATUS=Ready to accept connections\nREADY=1\n");
    // Who is looked after does not go into the background.
    assert!(matches!(child.try_wait(), Ok(None)));
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.expect("kill is there").success());
    assert_eq!(heard(), "STOPPING=1\n");
    assert_eq!(child.wait().expect("it is ours").code(), Some(0));
    let log = fs::read_to_string(folder.path().join("log")).expect("it was written");
    assert!(log.contains("Supervised by systemd."), "{log}");
}

/// A command that loads lets others see that it does; what needs no data runs meanwhile, wherever its connection lives.
#[test]
fn a_reload_tells_others_that_it_is_loading() {
    for threads in ["1", "4"] {
        let server = Server::start(&[
            "--enable-debug-command",
            "yes",
            "--io-threads",
            threads,
            "--loading-process-events-interval-bytes",
            "1024",
        ]);
        let mut client = server.client();
        client.call(&["DEBUG", "POPULATE", &KEYS.to_string(), "key", "100"]);
        client.call(&["CONFIG", "SET", "key-load-delay", "20000"]);
        client.call(&["CLIENT", "SETNAME", "onlooker"]);
        let mut loader = server.client();
        loader.call(&["CLIENT", "SETNAME", "loader"]);
        loader.send(&["DEBUG", "RELOAD"]).expect("it is connected");
        loader.send(&["DBSIZE"]).expect("it is connected");
        wait_until("it is loading", || info(&mut client, "loading").as_deref() == Some("1"));
        for argv in [&["GET", "key:1"][..], &["PING"], &["SET", "k", "v"], &["DEBUG", "RELOAD"]] {
            assert!(refused(&client.call(argv)), "{argv:?}");
        }
        let mut late = server.client();
        assert_eq!(late.call(&["CONFIG", "GET", "maxmemory"]).items().len(), 2);
        assert!(refused(&late.call(&["DBSIZE"])));
        // The session of the client that loads is locked all the time.
        assert!(client.call(&["INFO", "clients"]).text().contains("blocked_clients:0"));
        let list = client.call(&["CLIENT", "LIST"]).text();
        assert!(list.contains("name=onlooker") && !list.contains("name=loader"), "{list}");
        client.call(&["MULTI"]);
        client.call(&["CONFIG", "SET", "key-load-delay", "0"]);
        assert_eq!(client.call(&["EXEC"]).items().len(), 1);
        assert_eq!(loader.read().expect("it is loaded").text(), "OK");
        assert_eq!(loader.read().expect("and goes on").int(), KEYS as i64);
        assert_eq!(info(&mut client, "loading").as_deref(), Some("0"));
        assert_eq!(client.call(&["GET", "key:1"]).text().len(), 100);
    }
}
