//! Does the module do in real servers what scripts of commands and replies cannot show: files, events, effects?
//!
//! Each test loads the module into every server that [`client::servers`] finds and looks at it from outside. Without a
//! server the tests pass, saying so.

#[path = "../../sdk/tests/client/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the SDK, which use more of it")]
mod client;

use std::path::Path;
use std::time::{Duration, Instant};

use client::{Answer, Client, Server, check, library, with_modules};

fn with_module(arguments: &[&str], test: impl Fn(&Server, &mut Client)) {
    with_modules(&[library("mortise_json")], arguments, test);
}

const DOC: &str = r#"{"int":-7,"big":18446744073709551615,"float":1.5,"text":"é\n","list":[1,[],{}],"none":null,"yes":true}"#;

fn bulk(answer: Answer) -> Vec<u8> {
    match answer {
        Answer::Bulk(_, bytes) => bytes,
        other => panic!("{other}"),
    }
}

fn document(client: &mut Client, key: &str) -> String {
    String::from_utf8(bulk(client.raw(&[b"JSON.GET", key.as_bytes()]))).expect("JSON is UTF-8")
}

#[test]
fn documents_survive_dump_restore_copy_and_reload() {
    with_module(&[], |_, client| {
        client.raw(&[b"JSON.SET", b"a", b"$", DOC.as_bytes()]);
        let numbers: Vec<String> = (0..5000).map(|i| format!("{i}.25")).collect();
        let numbers = format!("[{}]", numbers.join(","));
        client.raw(&[b"JSON.SET", b"large", b"$", numbers.as_bytes()]);
        let dump = bulk(client.raw(&[b"DUMP", b"a"]));
        assert_eq!(client.raw(&[b"RESTORE", b"b", b"0", &dump]).to_string(), "+OK");
        check(client, &[("COPY a c", ":1"), ("JSON.SET c $.int 8", "+OK")]);
        let digest = client.run("DEBUG DIGEST-VALUE a");
        assert_eq!(digest, client.run("DEBUG DIGEST-VALUE b"));
        assert_ne!(digest, client.run("DEBUG DIGEST-VALUE c"));
        assert_eq!(client.run("DEBUG RELOAD"), "+OK");
        assert_eq!(document(client, "a"), DOC);
        assert_eq!(document(client, "b"), DOC);
        assert_eq!(document(client, "c"), DOC.replace("-7", "8"));
        assert_eq!(document(client, "large"), numbers);
        assert_eq!(digest, client.run("DEBUG DIGEST-VALUE a"));
        check(client, &[("TYPE a", "+ReJSON-RL"), ("UNLINK large", ":1"), ("FLUSHALL", "+OK")]);
    });
}

#[test]
fn the_digest_of_a_document_does_not_depend_on_the_order_of_members() {
    with_module(&[], |_, client| {
        client.run(r#"JSON.SET a $ {"x":1,"y":[2]}"#);
        client.run(r#"JSON.SET b $ {"y":[2],"x":1}"#);
        let digest = client.run("DEBUG DIGEST-VALUE a");
        assert_eq!(digest, client.run("DEBUG DIGEST-VALUE b"));
    });
}

#[test]
fn memory_is_the_size_of_the_document() {
    with_module(&[], |_, client| {
        client.run("JSON.SET small $ 1");
        let text = format!("\"{}\"", "x".repeat(10_000));
        client.raw(&[b"JSON.SET", b"large", b"$", text.as_bytes()]);
        let usage = |client: &mut Client, command: &str| -> u64 {
            let answer = client.run(command);
            answer.trim_start_matches(':').parse().expect(&answer)
        };
        assert_eq!(usage(client, "JSON.DEBUG MEMORY small"), 16);
        assert_eq!(client.run("JSON.DEBUG MEMORY small $"), "*[:16]");
        let large = usage(client, "JSON.DEBUG MEMORY large");
        // Blocks come in steps of a quarter of a power of two.
        assert!((10_000..10_300).contains(&large), "{large}");
        assert!(usage(client, "MEMORY USAGE large") >= large);
        check(
            client,
            &[
                ("JSON.DEBUG MEMORY missing", ":0"),
                ("JSON.DEBUG MEMORY missing $", "*[]"),
                ("JSON.DEBUG MEMORY small .x", "-ERR Path does not exist"),
                ("JSON.DEBUG NOPE", "-ERR unknown subcommand - try `JSON.DEBUG HELP`"),
            ],
        );
    });
}

#[test]
fn memory_is_what_the_server_has_given() {
    let members: Vec<String> = (0..20_000)
        .map(|i| {
            format!(
                r#""member{i}":{{"name":"{}","sizes":[{i},2,3.5],"on":true}}"#,
                "x".repeat(i % 50)
            )
        })
        .collect();
    let numbers: Vec<String> = (0..200_000).map(|i| (i * 7).to_string()).collect();
    let documents = [format!("{{{}}}", members.join(",")), format!("[{}]", numbers.join(","))];
    with_module(&[], |_, client| {
        // What is freed in the background is still used.
        let used = |client: &mut Client| -> f64 {
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                let info = bulk(client.raw(&[b"INFO", b"memory"]));
                let info = String::from_utf8(info).expect("text");
                let field = |name| info.lines().find_map(|line| line.strip_prefix(name));
                if field("lazyfree_pending_objects:") == Some("0") {
                    return field("used_memory:").expect("servers tell").parse().expect("a number");
                }
                assert!(Instant::now() < deadline, "freeing does not end");
            }
        };
        for document in &documents {
            // The first time leaves buffers of the connection behind, and names in the dictionary.
            client.raw(&[b"JSON.SET", b"d", b"$", document.as_bytes()]);
            client.run("DEL d");
            let before = used(client);
            client.raw(&[b"JSON.SET", b"d", b"$", document.as_bytes()]);
            let told = client.run("JSON.DEBUG MEMORY d");
            let told: f64 = told.trim_start_matches(':').parse().expect(&told);
            let taken = used(client) - before;
            // What is told is rounded up as jemalloc does it, by up to a quarter; another allocator takes less.
            let is_jemalloc = client.run("INFO memory").contains("mem_allocator:jemalloc");
            let least = if is_jemalloc { 0.97 } else { 0.8 };
            assert!((least..1.3).contains(&(taken / told)), "{taken} taken, {told} told");
        }
    });
}

#[test]
fn who_watches_a_document_sees_that_it_changes_in_place() {
    with_module(&[], |server, client| {
        let mut other = server.client();
        let text = format!("JSON.SET k $ {{\"a\":1,\"t\":true,\"l\":[{}0]}}", "1,".repeat(9000));
        assert_eq!(client.run(&text), "+OK");
        for change in ["JSON.NUMINCRBY k $.a 1", "JSON.TOGGLE k $.t", "JSON.NUMINCRBY k $.l[7] 1"] {
            check(client, &[("WATCH k", "+OK"), ("MULTI", "+OK"), ("PING", "+QUEUED")]);
            assert!(other.run(change).starts_with(['"', '*']), "{change}");
            let answer = client.run("EXEC");
            assert!(answer.ends_with("nil"), "{change}: {answer}");
        }
    });
}

/// What changes something, with its event; what changes nothing.
const WRITES: &[(&str, &str)] = &[
    (r#"JSON.SET k $ {"a":[1,2,3],"n":1,"t":true,"s":"x"}"#, "json.set"),
    ("JSON.SET k $.a 0 NX", ""),
    ("JSON.SET k $.x.y 0", ""),
    ("JSON.NUMINCRBY k $.n 2", "json.numincrby"),
    ("JSON.NUMMULTBY k $.n 2", "json.nummultby"),
    ("JSON.NUMINCRBY k $.s 2", ""),
    ("JSON.NUMINCRBY k $.nothing 2", ""),
    ("JSON.TOGGLE k $.t", "json.toggle"),
    ("JSON.STRAPPEND k $.s \"y\"", "json.strappend"),
    ("JSON.ARRAPPEND k $.a 4", "json.arrappend"),
    ("JSON.ARRINSERT k $.a 0 0", "json.arrinsert"),
    ("JSON.ARRINSERT k $.a 99 0", ""),
    ("JSON.ARRPOP k $.a", "json.arrpop"),
    ("JSON.ARRPOP k $.n", ""),
    ("JSON.ARRTRIM k $.a 0 -1", ""),
    ("JSON.ARRTRIM k $.a 1 2", "json.arrtrim"),
    ("JSON.CLEAR k $.a", "json.clear"),
    ("JSON.CLEAR k $.a", ""),
    (r#"JSON.MERGE k $ {"m":1}"#, "json.merge"),
    ("JSON.MERGE k $.x.y 1", ""),
    ("JSON.MSET k $.m 2", "json.mset"),
    ("JSON.DEL k $.nothing", ""),
    ("JSON.DEL k $.m", "json.del"),
    ("JSON.FORGET k $.n", "json.del"),
];

#[test]
fn events_tell_what_changed() {
    with_module(&["--notify-keyspace-events", "Ed"], |server, client| {
        let mut listener = server.client();
        listener.run("PSUBSCRIBE __keyevent@0__:*");
        for (command, event) in WRITES {
            client.run(command);
            // A message of our own shows that nothing stood before it.
            client.run("PUBLISH __keyevent@0__:end k");
            if !event.is_empty() {
                let message = listener.receive().to_string();
                let expected = format!("\"__keyevent@0__:{event}\" \"k\"]");
                assert!(message.ends_with(&expected), "{command}: {message}");
            }
            let message = listener.receive().to_string();
            assert!(message.ends_with("\"__keyevent@0__:end\" \"k\"]"), "{command}: {message}");
        }
    });
}

#[test]
fn what_changed_something_is_logged_as_it_came() {
    let arguments =
        ["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no"];
    with_module(&arguments, |server, client| {
        let mut logged = 0;
        for (command, event) in WRITES {
            client.run(command);
            let log = server.files("incr.aof");
            let argv: String =
                command.split(' ').map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
            let count = log.matches("JSON.").count();
            if event.is_empty() {
                assert_eq!(count, logged, "{command}");
            } else {
                logged += 1;
                assert_eq!(count, logged, "{command}");
                assert!(log.ends_with(&argv), "{command}: {log}");
            }
        }
        client.run("BGREWRITEAOF");
        let done = "aof_rewrite_in_progress:0\\r\\naof_rewrite_scheduled:0";
        while !client.run("INFO persistence").contains(done) {}
        let base = server.files("base.aof");
        let expected =
            "JSON.SET\r\n$1\r\nk\r\n$1\r\n$\r\n$27\r\n{\"a\":[],\"t\":false,\"s\":\"xy\"}\r\n";
        assert!(base.contains(expected), "{base}");
        check(client, &[("DEBUG LOADAOF", "+OK")]);
        assert_eq!(document(client, "k"), r#"{"a":[],"t":false,"s":"xy"}"#);
    });
}

/// The value of DUMP for a module value of type ReJSON-RL: fields as the RDB format has them, version and checksum.
fn dump(encver: u64, fields: &[Field<'_>]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut id = 0u64;
    for byte in b"ReJSON-RL" {
        let digit = LETTERS.iter().position(|letter| letter == byte).expect("a letter of names");
        id = id << 6 | digit as u64;
    }
    let mut bytes = vec![7];
    put_len(&mut bytes, id << 10 | encver);
    for field in fields {
        match field {
            Field::Unsigned(value) => {
                put_len(&mut bytes, 2);
                put_len(&mut bytes, *value);
            }
            Field::Signed(value) => {
                // Servers save signed integers as unsigned ones.
                put_len(&mut bytes, 2);
                put_len(&mut bytes, *value as u64);
            }
            Field::Double(value) => {
                put_len(&mut bytes, 4);
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            Field::Text(text) => put_string(&mut bytes, text.as_bytes()),
            Field::Bytes(text) => put_string(&mut bytes, text),
        }
    }
    put_len(&mut bytes, 0);
    sealed(bytes)
}

/// The value with the version of the format that all servers read, and its checksum.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&9u16.to_le_bytes());
    let checksum = crc64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn put_string(bytes: &mut Vec<u8>, text: &[u8]) {
    put_len(bytes, 5);
    put_len(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

enum Field<'t> {
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Text(&'t str),
    Bytes(&'t [u8]),
}

fn put_len(bytes: &mut Vec<u8>, len: u64) {
    bytes.push(0x81);
    bytes.extend_from_slice(&len.to_be_bytes());
}

/// CRC-64 of Jones, reflected, as the RDB format has it.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0x95ac_9329_ac4b_c9b5 } else { crc >> 1 }
        })
    })
}

#[test]
fn older_encodings_are_read_and_broken_ones_refused() {
    use Field::{Bytes, Double, Signed, Text, Unsigned};
    const TREE: &[Field<'_>] = &[
        Unsigned(32),
        Unsigned(2),
        Unsigned(128),
        Text("list"),
        Unsigned(64),
        Unsigned(5),
        Unsigned(1),
        Unsigned(2),
        Text("text"),
        Unsigned(4),
        Double(2.5),
        Unsigned(8),
        Signed(-3),
        Unsigned(16),
        Text("1"),
        Unsigned(128),
        Text("none"),
        Unsigned(64),
        Unsigned(0),
    ];
    with_module(&[], |_, client| {
        let mut restored = |encver, fields: &[Field<'_>]| {
            client.run("DEL k");
            let answer = client.raw(&[b"RESTORE", b"k", b"0", &dump(encver, fields)]).to_string();
            if answer == "+OK" { document(client, "k") } else { answer }
        };
        let refused = "-ERR Bad data format";
        assert_eq!(restored(3, &[Text(r#"{"a":1}"#)]), r#"{"a":1}"#);
        assert_eq!(restored(2, &[Text("[1]"), Unsigned(0)]), "[1]");
        assert_eq!(restored(2, &[Text("[1]"), Unsigned(1), Text("x"), Text("y")]), "[1]");
        assert_eq!(restored(0, TREE), r#"{"list":[null,"text",2.5,-3,true],"none":[]}"#);
        assert_eq!(restored(3, &[Text(r#"{"a":1"#)]), refused);
        assert_eq!(restored(3, &[Unsigned(1)]), refused);
        assert_eq!(restored(2, &[Text("[1]")]), refused);
        assert_eq!(restored(1, &[Text("[1]")]), refused);
        assert_eq!(restored(0, &TREE[..8]), refused);
        assert_eq!(restored(0, &[Unsigned(4), Double(f64::NAN)]), refused);
        assert_eq!(restored(0, &[Unsigned(64), Unsigned(u64::MAX), Unsigned(1)]), refused);
        let deep: Vec<Field<'_>> =
            (0..400).map(|i| Unsigned(if i % 2 == 0 { 64 } else { 1 })).collect();
        assert_eq!(restored(0, &deep), refused);
        assert_eq!(restored(4, &[Bytes(b"\xa2\x61a\x82\x01\xfb\x3f\xb9\x99\x99\x99\x99\x99\x9a\x61b\xd8\x40\x42\x07\x08")]), r#"{"a":[1,0.1],"b":[7,8]}"#);
        assert_eq!(restored(4, &[Text("[1]")]), refused);
        assert_eq!(restored(5, &[Text("[1]")]), refused);
    });
}

/// Servers with the modules that documents come from and go to: the program and the module, from `MORTISE_JSON_PEERS` (as
/// `program=module`, separated by `:`).
fn peers() -> Vec<Server> {
    let Some(named) = std::env::var_os("MORTISE_JSON_PEERS") else {
        eprintln!("skipped: MORTISE_JSON_PEERS names no server with RedisJSON or valkey-json");
        return Vec::new();
    };
    let named = named.into_string().expect("names of files in tests are text");
    let pairs = named.split(':').map(|pair| pair.split_once('=').expect("program=module"));
    pairs
        .map(|(program, module)| Server::start(Path::new(program), &["--loadmodule", module]))
        .collect()
}

#[test]
fn documents_go_to_other_modules_and_come_from_them() {
    let documents = [
        DOC,
        r#"{"f":[0.5,1.25],"d":[0.1,0.3],"i":[1,2,300],"n":[-1,70000],"u":[18446744073709551615],"e":{},"m":[1,2.5,"x"]}"#,
        r#""text""#,
        "-0.0",
        "[]",
    ];
    let peers = peers();
    with_module(&[], |_, client| {
        for peer in &peers {
            let mut other = peer.client();
            for document in documents {
                client.raw(&[b"JSON.SET", b"ours", b".", document.as_bytes()]);
                other.raw(&[b"JSON.SET", b"theirs", b".", document.as_bytes()]);
                let ours = bulk(client.raw(&[b"DUMP", b"ours"]));
                let mut theirs = bulk(other.raw(&[b"DUMP", b"theirs"]));
                let before = |dump: &[u8]| dump[..dump.len() - 10].to_vec();
                let there =
                    other.raw(&[b"RESTORE", b"ours", b"0", &sealed(before(&ours)), b"REPLACE"]);
                assert_eq!(there.to_string(), "+OK", "{document}");
                theirs = sealed(before(&theirs));
                let here = client.raw(&[b"RESTORE", b"theirs", b"0", &theirs, b"REPLACE"]);
                assert_eq!(here.to_string(), "+OK", "{document}");
                // The order of members is nobody's promise, so each is compared with what the same module makes of the text.
                assert_eq!(
                    bulk(other.raw(&[b"JSON.GET", b"ours"])).len(),
                    bulk(other.raw(&[b"JSON.GET", b"theirs"])).len()
                );
                let digest = client.run("DEBUG DIGEST-VALUE ours");
                assert_eq!(client.run("DEBUG DIGEST-VALUE theirs"), digest, "{document}");
            }
        }
    });
}

#[test]
fn limits_are_parameters() {
    with_module(&[], |_, client| {
        if client.run("CONFIG GET rejson.max-path-limit") == "*[]" {
            return eprintln!("skipped: this server has no parameters of modules");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let deep = format!("JSON.SET k $ {}", nested(10_000));
        let deeper = format!("JSON.SET k $ {}", nested(128));
        check(
            client,
            &[
                ("CONFIG GET ReJSON.max-path-limit", "*[\"ReJSON.max-path-limit\" \"128\"]"),
                ("CONFIG GET ReJSON.max-document-size", "*[\"ReJSON.max-document-size\" \"0\"]"),
                (&deep, "-recursion limit exceeded at line 1 column 128"),
                (&deeper, "-recursion limit exceeded at line 1 column 128"),
                (&format!("JSON.SET k $ {}", nested(127)), "+OK"),
                ("CONFIG SET rejson.max-path-limit 3", "+OK"),
                ("JSON.SET k $ [[[]]]", "+OK"),
                ("JSON.SET k $ [[[[]]]]", "-ERR recursion limit exceeded"),
                ("JSON.SET k $[0][0] [[]]", "$nil"),
                ("JSON.SET k $[0][0] []", "+OK"),
                ("JSON.ARRAPPEND k $[0][0] []", "-ERR recursion limit exceeded"),
                ("CONFIG SET rejson.max-path-limit 128", "+OK"),
                ("JSON.ARRAPPEND k $[0][0] []", "*[:1]"),
                ("JSON.SET k $ [1]", "+OK"),
                ("CONFIG SET rejson.max-document-size 1kb", "+OK"),
            ],
        );
        let refused = client.run("CONFIG SET rejson.max-path-limit 129");
        assert!(refused.starts_with("-ERR CONFIG SET failed"), "{refused}");
        let long = format!("\"{}\"", "x".repeat(2000));
        let refused = "-LIMIT Document size limit is exceeded";
        for command in [
            "JSON.SET new $",
            "JSON.SET k $[0]",
            "JSON.ARRAPPEND k $",
            "JSON.MERGE k $",
            "JSON.MERGE new $",
            "JSON.MSET k $",
            "JSON.ARRINSERT k $ 0",
        ] {
            assert_eq!(client.run(&format!("{command} {long}")), refused, "{command}");
        }
        assert_eq!(document(client, "k"), "[1]");
        client.run("CONFIG SET rejson.max-document-size 0");
        client.run(&format!("JSON.SET k $ [1,{long}]"));
        let more = format!("JSON.ARRAPPEND k $ \"{}\"", "y".repeat(600));
        check(
            client,
            &[
                ("CONFIG SET rejson.max-document-size 1kb", "+OK"),
                (&more, refused),
                ("JSON.NUMINCRBY k $[0] 1", "\"[2]\""),
                ("JSON.ARRTRIM k $ 0 0", "*[:1]"),
                ("JSON.ARRAPPEND k $ 2", "*[:2]"),
                ("CONFIG SET rejson.max-reply-size 10", "+OK"),
                ("JSON.GET k $", "\"[[2,2]]\""),
                ("JSON.SET k $ [10,20,30,40]", "+OK"),
                ("JSON.GET k $", "-LIMIT Reply size limit is exceeded"),
                ("JSON.GET k .", "-LIMIT Reply size limit is exceeded"),
                ("JSON.MGET k k $", "-LIMIT Reply size limit is exceeded"),
                ("JSON.GET k $[0]", "\"[10]\""),
            ],
        );
    });
}

#[test]
fn keys_of_other_types_are_left_alone() {
    with_module(&[], |_, client| {
        client.run("SET text v");
        let refused = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        for command in [
            "JSON.SET text $ 1",
            "JSON.SET text $.a 1",
            "JSON.GET text",
            "JSON.DEL text",
            "JSON.TYPE text",
            "JSON.ARRAPPEND text $ 1",
            "JSON.MERGE text $ 1",
            "JSON.MSET new $ 1 text $ 1",
            "JSON.DEBUG MEMORY text",
        ] {
            assert_eq!(client.run(command), refused, "{command}");
        }
        check(
            client,
            &[("JSON.MGET text $", "*[$nil]"), ("GET text", "\"v\""), ("EXISTS new", ":0")],
        );
    });
}

#[test]
fn several_keys_are_set_together_or_not_at_all() {
    with_module(&[], |_, client| {
        check(
            client,
            &[
                (
                    r#"JSON.MSET a $ {"x":1} b $ 2 a $.y 3"#,
                    "-ERR new objects must be created at the root",
                ),
                ("EXISTS a b", ":0"),
                (r#"JSON.MSET a $ {"x":1} b $ 2"#, "+OK"),
                ("JSON.MSET a $.y 3 b $ 2", "+OK"),
                ("JSON.MGET a b $", r#"*["[{\"x\":1,\"y\":3}]" "[2]"]"#),
                ("JSON.MSET a $.x 9 missing $.x 1", "-ERR new objects must be created at the root"),
                ("JSON.MSET a $.x 9 b $ {", "-EOF while parsing an object at line 1 column 1"),
                ("JSON.MSET a $.x 9 b", "-ERR wrong number of arguments for 'json.mset' command"),
                ("JSON.MGET a b $", r#"*["[{\"x\":1,\"y\":3}]" "[2]"]"#),
                ("JSON.MSET a $.x 9 a $.no.way 1", "$nil"),
                ("JSON.MGET a b $", r#"*["[{\"x\":9,\"y\":3}]" "[2]"]"#),
            ],
        );
    });
}

#[test]
fn resp3_has_shapes_of_its_own() {
    with_module(&[], |_, client| {
        client.run(r#"JSON.SET k $ {"a":[1,2.5,"x",null,true,{"b":[]}],"n":1}"#);
        check(
            client,
            &[
                ("JSON.GET k FORMAT EXPAND $.n", "-ERR FORMAT argument is not supported on RESP2"),
                ("JSON.GET k $.n FORMAT EXPAND", "\"[1]\""),
                (
                    "JSON.ARRPOP k FORMAT STRINGS $.nothing",
                    "-ERR FORMAT argument is not supported on RESP2",
                ),
            ],
        );
        client.run("HELLO 3");
        check(
            client,
            &[
                ("JSON.TYPE k", "*[\"object\"]"),
                (
                    "JSON.TYPE k $.a[*]",
                    "*[*[\"integer\" \"number\" \"string\" \"null\" \"boolean\" \"object\"]]",
                ),
                ("JSON.TYPE missing", "*[_nil]"),
                ("JSON.NUMINCRBY k $..n 1", "*[:2]"),
                ("JSON.NUMINCRBY k .n 0.5", "*[,2.5]"),
                ("JSON.NUMINCRBY k $.a 1", "*[_nil]"),
                ("JSON.GET k FORMAT STRING $.n", "\"[2.5]\""),
                (
                    "JSON.GET k FORMAT EXPAND $.a $.n",
                    "*[*[*[:1 ,2.5 \"x\" _nil #t %[\"b\" *[]]]] *[,2.5]]",
                ),
                ("JSON.GET k FORMAT EXPAND1 $.a[*]", r#"*[*[:1 ,2.5 "x" _nil #t "{\"b\":[]}"]]"#),
                ("JSON.GET k FORMAT STRINGS $.n", "-ERR wrong reply format"),
                ("JSON.RESP k $.a", "*[*[+[ :1 ,2.5 \"x\" _nil +true *[+{ \"b\" *[+[]]]]"),
                ("JSON.ARRPOP k FORMAT EXPAND $.a", "*[%[\"b\" *[]]]"),
                ("JSON.ARRPOP k FORMAT STRING $.a", "-ERR wrong reply format"),
                (
                    "JSON.ARRPOP k FORMAT EXPAND .a",
                    "-Legacy paths are supported only with FORMAT STRINGS",
                ),
                ("JSON.ARRPOP k $.a 0", "*[\"1\"]"),
            ],
        );
    });
}
