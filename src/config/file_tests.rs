//! Do config files and command lines mean what they mean to Redis?

use proptest::prelude::*;

use super::*;
use crate::config::command_line::{Invocation, parse};
use crate::config::value::SavePoint;

fn loaded(text: &str) -> Result<Loaded, FileError> {
    load(text.as_bytes(), &mut |path| Err(format!("no file '{}'", String::from_utf8_lossy(path))))
}

fn shown(text: &str, name: &str) -> String {
    let loaded = loaded(text).unwrap();
    String::from_utf8(loaded.config.get(name.as_bytes()).unwrap()).unwrap()
}

fn report(text: &str) -> String {
    loaded(text).unwrap_err().report("Product 1.2.3")
}

/// The config that a command line gives.
fn from_args(args: &[&str]) -> Result<Loaded, FileError> {
    let args: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    let Invocation::Run(line) = parse(&args) else { panic!("it asks for help") };
    load(&line.options, &mut |_| Err(String::new()))
}

#[test]
fn lines_set_parameters() {
    let text = "\n# comment\n  PORT 7000  \r\nrequirepass \"a b\\x41\"\nslave-read-only no\n";
    assert_eq!(shown(text, "port"), "7000");
    assert_eq!(shown(text, "requirepass"), "a bA");
    assert_eq!(shown(text, "replica-read-only"), "no");
    assert_eq!(shown("logfile ''", "logfile"), "");
    assert_eq!(shown("port 1\nport 2", "port"), "2");
    assert_eq!(shown("hz 5000", "hz"), "500");
    assert_eq!(shown("lua-replicate-commands yes", "port"), "6379");
}

#[test]
fn save_points_add_up() {
    assert_eq!(shown("", "save"), "3600 1 300 100 60 10000");
    assert_eq!(shown("save 900 1\nsave 100 100", "save"), "900 1 100 100");
    assert_eq!(shown("save 900 1 100 100", "save"), "900 1 100 100");
    assert_eq!(shown("save 900 1\nsave \"\"\nsave 5 6", "save"), "5 6");
    assert_eq!(shown("save ''", "save"), "");
    assert_eq!(shown("save \"1 2 3 4\"", "save"), "1 2 3 4");
    let loaded = loaded("save 5 0").unwrap();
    assert_eq!(loaded.config.save_points(), [SavePoint { seconds: 5, changes: 0 }]);
}

#[test]
fn several_words() {
    let text = "client-output-buffer-limit replica 1mb 512kb 10\nbind 127.0.0.1 -::1\n";
    let limits = "normal 0 0 0 slave 1048576 524288 10 pubsub 33554432 8388608 60";
    assert_eq!(shown(text, "client-output-buffer-limit"), limits);
    assert_eq!(shown(text, "bind"), "127.0.0.1 -::1");
    assert_eq!(shown("replicaof host 6380", "slaveof"), "host 6380");
    assert_eq!(shown("replicaof NO one", "slaveof"), "");
    assert_eq!(
        shown("shutdown-on-sigint nosave force now", "shutdown-on-sigint"),
        "nosave now force"
    );
    let percentiles = "latency-tracking-info-percentiles 50 99.90 100";
    assert_eq!(shown(percentiles, "latency-tracking-info-percentiles"), "50 99.9 100");
}

#[test]
fn errors_name_the_line() {
    assert_eq!(
        report("port 1\n  port x  "),
        "\n*** FATAL CONFIG FILE ERROR (Product 1.2.3) ***\n\
         Reading the configuration file, at line 2\n>>> 'port x'\n\
         argument couldn't be parsed into an integer\n"
    );
    for (text, message) in [
        ("port", "wrong number of arguments"),
        ("user", "Bad directive or wrong number of arguments"),
        ("port \"1", "Unbalanced quotes in configuration line"),
        ("port 65536", "argument must be between 0 and 65535 inclusive"),
        ("unixsocketperm 1000", "argument must be between 0 and 777 inclusive"),
        ("unixsocketperm 9", "argument couldn't be parsed as an octal number"),
        ("maxmemory x", "argument must be a memory value"),
        ("maxmemory-clients 1.5%", "argument must be a memory or percent value"),
        ("maxmemory-clients 101%", "percentage argument must be less or equal to 100"),
        ("maxclients 0", "argument must be between 1 and 4294967295 inclusive"),
        ("appendonly 1", "argument must be 'yes' or 'no'"),
        ("appendfsync x", "argument(s) must be one of the following: everysec, always, no"),
        ("save 1", "Invalid save parameters"),
        ("save 0 1", "Invalid save parameters"),
        ("replicaof a 70000", "Invalid master port"),
        ("replicaof a", "wrong number of arguments"),
        ("notify-keyspace-events Q", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
        (
            "shutdown-on-sigint save nosave",
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        ("mod.name", "Module config specified without value"),
        ("sentinel monitor x", "sentinel directive while not in sentinel mode"),
    ] {
        assert!(report(text).ends_with(&format!("\n>>> '{text}'\n{message}\n")), "{text}");
    }
    let nothing = "\n>>> 'nothing 1'\nBad directive or wrong number of arguments\n";
    assert!(report("default-modules no\nnothing 1").ends_with(nothing));
    // A shipped module may know it.
    let left = loaded("Nothing 1").unwrap();
    let refusal = left.refusal(b"nothing").expect("nobody has taken it");
    assert!(
        refusal
            .report("P")
            .ends_with("\n>>> 'Nothing 1'\nBad directive or wrong number of arguments\n")
    );
    let whole = report("cluster-enabled yes\nreplicaof a 1");
    assert!(whole.ends_with("***\nreplicaof directive not allowed in cluster mode\n"));
}

fn loaded_settings(text: &str) -> String {
    let [(name, value)] = &loaded(text).unwrap().module_settings[..] else { panic!("{text}") };
    [&name[..], &value[..]].map(String::from_utf8_lossy).join("=")
}

#[test]
fn other_parts_get_their_lines() {
    let text =
        "loadmodule /a.so x 'y z'\nuser joe on >secret\nrename-command KEYS ''\nm.a 1 2\nm.a 3\n";
    let loaded = loaded(text).unwrap();
    assert_eq!(loaded.modules[0].words, [&b"/a.so"[..], b"x", b"y z"]);
    assert_eq!(loaded.users[0].words, [&b"joe"[..], b"on", b">secret"]);
    assert_eq!(loaded.renames[0].words, [&b"KEYS"[..], b""]);
    assert_eq!(loaded.module_settings, [(b"m.a".to_vec(), b"3".to_vec())]);
    assert_eq!(loaded_settings("bare-level 7\nloadmodule /a.so\nbare-level 8"), "bare-level=8");
    assert_eq!(loaded_settings("loadmodule /a.so\nname two words"), "name=two words");
    let report = loaded.users[0].line.error("Error in user declaration").report("P");
    assert!(report.contains("at line 2\n>>> 'user joe on >secret'\nError"));
}

#[test]
fn files_include_files() {
    let mut read = |path: &[u8]| match path {
        b"a.conf" => Ok(b"port 1\ninclude b.conf".to_vec()),
        b"b.conf" => Ok(b"port 2\nhz x".to_vec()),
        b"self.conf" => Ok(b"include self.conf\ninclude self.conf".to_vec()),
        _ => Err("Fatal error, can't open config file 'x': gone".to_string()),
    };
    let error = load(b"\n\ninclude a.conf", &mut read).unwrap_err();
    assert!(error.report("P").contains("at line 2\n>>> 'hz x'"));
    assert!(load(b"include self.conf", &mut read).is_err());
    let error = load(b"include x", &mut read).unwrap_err();
    assert_eq!(error.report("P"), "Fatal error, can't open config file 'x': gone\n");
}

#[test]
fn a_cluster_has_one_db() {
    let loaded = loaded("cluster-enabled yes").unwrap();
    assert_eq!(loaded.config.int(Param::Databases), 1);
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn command_lines_are_config_lines() {
    for (args, name, value) in [
        (&["--port", "7777", "--save", "100", "100"][..], "save", "100 100"),
        (&["--save", "100", "100", "--port", "7777"], "port", "7777"),
        (&["--save", "", "--loglevel", "verbose"], "save", ""),
        (&["--save", "--loglevel", "verbose"], "save", ""),
        (&["--save", "--loglevel", "verbose"], "loglevel", "verbose"),
        (&["--loglevel", "verbose", "--save"], "save", ""),
        (&["--maxmemory 700mb", "--hz 20"], "maxmemory", "734003200"),
        (&["--maxmemory '700mb'"], "maxmemory", "734003200"),
        (&["x.conf", "loglevel", "verbose", "--hz 20"], "loglevel", "verbose"),
        (
            &["--proc-title-template", "--my--title", "--hz", "20"],
            "proc-title-template",
            "--my--title",
        ),
        (&["--proc-title-template", "--my--title", "--hz", "20"], "hz", "20"),
        (&["--proc-title-template --my--title", "--hz 20"], "proc-title-template", "--my--title"),
        (
            &["--proc-title-template", "--save", "--save", "", "--hz", "20"],
            "proc-title-template",
            "--save",
        ),
        (&["--proc-title-template", "--save", "--save", "", "--hz", "20"], "save", ""),
        (
            &["--shutdown-on-sigint", "nosave", "force", "now"],
            "shutdown-on-sigint",
            "nosave now force",
        ),
        (&["--shutdown-on-sigterm", "nosave force"], "shutdown-on-sigterm", "nosave force"),
        (&["--requirepass", "a \"b"], "requirepass", "a \"b"),
        (&["-", "--port", "7000"], "port", "7000"),
    ] {
        let loaded = from_args(args).unwrap();
        assert_eq!(loaded.config.get(name.as_bytes()).unwrap(), value.as_bytes(), "{args:?}");
    }
}

#[test]
fn errors_of_command_lines() {
    for (args, line, message) in [
        (&["--invalid"][..], "invalid", "Bad directive or wrong number of arguments"),
        (&["--port"], "port", "wrong number of arguments"),
        (&["--port", "6380", "--loglevel"], "loglevel", "wrong number of arguments"),
        (&["--port", "6379", "6380"], "port \"6379\" \"6380\"", "wrong number of arguments"),
        (
            &["--port", "--loglevel", "verbose"],
            "port \"--loglevel\" \"verbose\"",
            "wrong number of arguments",
        ),
        (
            &["--port", "--bla", "--loglevel", "x"],
            "port \"--bla\"",
            "argument couldn't be parsed into an integer",
        ),
        (
            &["--logfile", "--my", "--loglevel", "--bla"],
            "loglevel \"--bla\"",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        (
            &["--shutdown-on-sigint"],
            "shutdown-on-sigint",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        (
            &["--shutdown-on-sigint", "now force", "--shutdown-on-sigterm"],
            "shutdown-on-sigterm",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        (
            &["--replicaof", "127.0.0.1", "abc"],
            "replicaof \"127.0.0.1\" \"abc\"",
            "Invalid master port",
        ),
        (
            &["--replicaof", "--127.0.0.1", "--abc"],
            "replicaof \"--127.0.0.1\"",
            "wrong number of arguments",
        ),
    ] {
        let report = from_args(args).unwrap_err().report("P");
        assert!(report.ends_with(&format!(">>> '{line}'\n{message}\n")), "{args:?}: {report}");
    }
}

proptest! {
    #[test]
    fn never_panics(text: Vec<u8>) {
        let _ = load(&text, &mut |_| Ok(Vec::new()));
    }

    #[test]
    fn never_panics_on_names_of_parameters(
        at in 0usize..crate::config::params::specs().count(),
        words in prop::collection::vec("[-+0-9a-zA-Z%. \"']{0,8}", 0..6),
    ) {
        let name = crate::config::params::specs().nth(at).unwrap().name;
        let _ = loaded(&format!("{name} {}", words.join(" ")));
    }

    #[test]
    fn arguments_reach_the_parameter_unchanged(text in "[^-\0][^\0]{0,20}") {
        let loaded = from_args(&["--requirepass", &text]).unwrap();
        prop_assert_eq!(loaded.config.text(Param::Requirepass), text.as_bytes());
    }
}
