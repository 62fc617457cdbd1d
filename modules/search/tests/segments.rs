//! Does an index that begins with segments from disk answer as one that is built from the keys?
//!
//! Servers are ended in all kinds of ways, some files are damaged, and each time a battery of queries is answered by the
//! index as it came back and by one that is built anew from the same keys. `MORTISE_SEARCH_ROUNDS` says how often the
//! server is killed at a random moment (4).

#[path = "../../sdk/tests/client/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the SDK, which use more of it")]
mod client;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::{Client, Server, servers};

/// The module as Cargo has built it beside this test.
fn module() -> String {
    let test = std::env::current_exe().expect("the test has a path");
    let module = test.parent().map(Path::to_owned).expect("it lies in deps");
    module.join("libmortise_search.so").to_str().expect("the target directory is text").to_owned()
}

fn programs() -> Vec<PathBuf> {
    let found = servers();
    if found.is_empty() {
        eprintln!("skipped: no server found; set MORTISE_TEST_SERVERS");
    }
    found
}

fn is_ours(program: &Path) -> bool {
    program.ends_with("mortise")
}

fn start(program: &Path, arguments: &[&str]) -> Server {
    let module = module();
    let mut all = vec!["--loadmodule", &module];
    if is_ours(program) {
        // It would load the module that lies beside it first.
        all.extend(["--default-modules", "no"]);
    }
    all.extend(arguments);
    Server::start(program, &all)
}

/// Our own server, if it was built.
fn ours(arguments: &[&str]) -> Option<Server> {
    let program = programs().into_iter().find(|program| is_ours(program))?;
    Some(start(&program, arguments))
}

const CREATE: &str = "FT.CREATE idx ON HASH PREFIX 1 h: SCHEMA title TEXT WEIGHT 2 body TEXT \
    NOSTEM kind TAG SORTABLE n NUMERIC SORTABLE place GEO shape GEOSHAPE FLAT flat VECTOR FLAT 6 TYPE \
    FLOAT32 DIM 2 DISTANCE_METRIC L2 graph VECTOR HNSW 8 TYPE FLOAT32 DIM 2 DISTANCE_METRIC COSINE M 4";

/// Puts in, or replaces, documents of these numbers; `salt` makes other documents of the same numbers.
fn fill(client: &mut Client, first: usize, last: usize, salt: usize) {
    let script = "local words = {'running','runs','cat','cats','fox','foxes','quick','lazy','dog'} \
        for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do local s = i + ARGV[3] \
        local word = function(k) return words[(s * k + k) % 9 + 1] end \
        redis.call('HSET', 'h:' .. i, 'title', word(1) .. ' ' .. word(2) .. ' w' .. i, \
          'body', 'the ' .. word(3) .. ' jumps over ' .. word(4) .. ' and ' .. word(5), \
          'kind', 'k' .. s % 7 .. ',all', 'n', i, 'place', s % 179 .. ',' .. s % 83, \
          'shape', 'POLYGON((0 0, ' .. s % 50 + 1 .. ' 0, 0 ' .. i % 40 + 1 .. '))', \
          'flat', struct.pack('<ff', s * 7 % 1013, i), 'graph', struct.pack('<ff', i + 1, s * 3 % 997 + 1)) end";
    let (first, last, salt) = (first.to_string(), last.to_string(), salt.to_string());
    let arguments = ["EVAL", script, "0", &first, &last, &salt].map(str::as_bytes);
    assert_eq!(client.raw(&arguments).to_string(), "$nil");
}

/// What the index answers, in an order that does not depend on when documents were put in.
fn battery(client: &mut Client) -> Vec<String> {
    let sorted = "NOCONTENT SORTBY n LIMIT 0 100000";
    let queries = [
        "*",
        "running",
        "cats",
        "@title:fox",
        "@body:run*",
        "*ning",
        "%foxs%",
        "\"quick lazy\"",
        "\"jumps over\"",
        "quick|dog -cat",
        "@kind:{k3}",
        "@kind:{al*}",
        "@n:[100 (300]",
        "@place:[20 20 3000 km]",
        "@kind:{k1} @n:[50 900] fox",
        "w1*",
        "@title:(runs cat)=>{$slop:1}",
    ];
    let mut answers = Vec::new();
    for query in queries {
        let mut words: Vec<&[u8]> = vec![b"FT.SEARCH", b"idx", query.as_bytes(), b"DIALECT", b"2"];
        words.extend(sorted.split(' ').map(str::as_bytes));
        words.extend([b"TIMEOUT".as_slice(), b"0"]);
        answers.push(format!("{query}: {}", client.raw(&words)));
    }
    // Between the points, so that no two documents are as near: which of them counts would be left open.
    let vector: Vec<u8> = [300.3f32, 450.4].iter().flat_map(|n| n.to_le_bytes()).collect();
    for query in [
        "*=>[KNN 9 @flat $v AS d]",
        "@kind:{k2}=>[KNN 9 @graph $v EF_RUNTIME 5000 AS d]",
        "*=>[KNN 9 @graph $v EF_RUNTIME 5000 AS d]",
        "@flat:[VECTOR_RANGE 20000 $v]=>{$yield_distance_as: d}",
    ] {
        let words: &[&[u8]] = &[
            b"FT.SEARCH",
            b"idx",
            query.as_bytes(),
            b"PARAMS",
            b"2",
            b"v",
            &vector,
            b"DIALECT",
            b"2",
            b"RETURN",
            b"1",
            b"d",
            b"SORTBY",
            b"n",
            b"LIMIT",
            b"0",
            b"50",
            b"TIMEOUT",
            b"0",
        ];
        answers.push(format!("{query}: {}", client.raw(words)));
    }
    let shape: &[&[u8]] = &[
        b"FT.SEARCH",
        b"idx",
        b"@shape:[CONTAINS $s]",
        b"PARAMS",
        b"2",
        b"s",
        b"POINT(15 15)",
        b"DIALECT",
        b"3",
        b"NOCONTENT",
        b"SORTBY",
        b"n",
        b"LIMIT",
        b"0",
        b"100000",
    ];
    answers.push(client.raw(shape).to_string());
    for command in [
        "FT.SEARCH idx running HIGHLIGHT SUMMARIZE FIELDS 1 body LEN 3 SORTBY n DESC LIMIT 0 20",
        "FT.TAGVALS idx kind",
        "FT.AGGREGATE idx * GROUPBY 1 @kind REDUCE COUNT 0 AS c REDUCE SUM 1 @n AS s SORTBY 2 @kind ASC",
        "FT.AGGREGATE idx fox LOAD 1 @title SORTBY 2 @n DESC LIMIT 0 30",
    ] {
        answers.push(format!("{command}: {}", client.run(command)));
    }
    answers
}

/// Compares the index with one that is built from the keys, and leaves that one in its place.
#[track_caller]
fn check_against_fresh(client: &mut Client) {
    // The log may make an index that is filled when loading is over.
    wait_for_scan(client);
    let answers = battery(client);
    client.run("FT.DROPINDEX idx");
    assert_eq!(client.run(CREATE), "+OK");
    wait_for_scan(client);
    for (answer, expected) in answers.iter().zip(battery(client)) {
        assert_eq!(*answer, expected);
    }
}

fn wait_for_scan(client: &mut Client) {
    let start = Instant::now();
    while info(client, "indexing") != 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "the index is not built");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number of FT.INFO.
fn info(client: &mut Client, name: &str) -> u64 {
    let text = client.run("FT.INFO idx");
    let name = format!("+{name} :");
    let at = text.find(&name).unwrap_or_else(|| panic!("no {name} in {text}"));
    let digits: String = text[at + name.len()..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// A number of INFO search.
fn section(client: &mut Client, name: &str) -> u64 {
    let text = client.run("INFO modules");
    let name = format!("search_{name}:");
    let at = text.find(&name).unwrap_or_else(|| panic!("no {name} in {text}"));
    let digits: String = text[at + name.len()..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

fn wait_for_saves(client: &mut Client, count: u64) {
    let start = Instant::now();
    while section(client, "segments_saves") < count {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was saved");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn segment_files(server: &Server) -> Vec<PathBuf> {
    let folder = server.directory().join("search-segments");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn restart(server: &mut Server, more: &[&str]) -> Client {
    server.kill();
    server.start_again(more);
    server.client()
}

/// Documents in several segments, some of them replaced and deleted, some not sealed yet.
fn prepare(client: &mut Client) {
    assert_eq!(client.run(CREATE), "+OK");
    for part in 0..4 {
        fill(client, part * 500 + 1, part * 500 + 500, 0);
        fill(client, part * 300 + 1, part * 300 + 700, 5);
        client.run("FT.SEARCH idx running LIMIT 0 0");
    }
    for number in (1..1500).step_by(7) {
        client.run(&format!("DEL h:{number}"));
    }
    client.run("HSET h:7 n none");
    client.run("RENAME h:9 h:9000");
    client.run("HSET h:9000 n 9000");
    client.run("HSET other title running");
}

#[test]
fn an_index_is_after_save_what_it_was_before() {
    for program in programs() {
        let mut server = start(&program, &[]);
        let mut client = server.client();
        prepare(&mut client);
        let before = battery(&mut client);
        assert_eq!(client.run("SAVE"), "+OK");
        assert_eq!(section(&mut client, "segments_saves"), 1);
        let mut client = restart(&mut server, &[]);
        assert!(info(&mut client, "segments_loaded") > 0, "{}", server.log());
        assert!(section(&mut client, "segments_loaded_bytes") > 10_000);
        assert_eq!(battery(&mut client), before, "{}", program.display());
        // The one document that was refused was read and refused again.
        assert_eq!(info(&mut client, "hash_indexing_failures"), 1);
        check_against_fresh(&mut client);
    }
}

#[test]
fn a_snapshot_by_bgsave_is_loaded_everywhere() {
    for program in programs() {
        let mut server = start(&program, &[]);
        let mut client = server.client();
        prepare(&mut client);
        let before = battery(&mut client);
        assert!(client.run("BGSAVE").starts_with('+'));
        client.until_contains("INFO persistence", "rdb_bgsave_in_progress:0");
        if is_ours(&program) {
            wait_for_saves(&mut client, 1);
        }
        let mut client = restart(&mut server, &[]);
        // A child of Redis writes no segments.
        assert_eq!(info(&mut client, "segments_loaded") > 0, is_ours(&program));
        assert_eq!(battery(&mut client), before, "{}", program.display());
    }
}

#[test]
fn what_is_written_while_a_snapshot_is_taken_is_not_in_it() {
    for method in ["inline", "fork"] {
        let Some(mut server) = ours(&["--snapshot-method", method]) else { return };
        let mut client = server.client();
        prepare(&mut client);
        let before = battery(&mut client);
        assert_eq!(client.run("CONFIG SET rdb-key-save-delay 100"), "+OK");
        assert_eq!(client.run("BGSAVE"), "+Background saving started");
        fill(&mut client, 100, 1600, 77);
        client.run("DEL h:5 h:6 h:50");
        assert!(client.run("INFO persistence").contains("rdb_bgsave_in_progress:1"));
        assert_eq!(client.run("CONFIG SET rdb-key-save-delay 0"), "+OK");
        client.until_contains("INFO persistence", "rdb_bgsave_in_progress:0");
        wait_for_saves(&mut client, 1);
        let mut client = restart(&mut server, &[]);
        assert!(info(&mut client, "segments_loaded") > 0, "{}", server.log());
        assert_eq!(battery(&mut client), before);
        check_against_fresh(&mut client);
    }
}

#[test]
fn commands_behind_a_base_are_followed() {
    let Some(mut server) = ours(&["--appendonly", "yes"]) else { return };
    let mut client = server.client();
    prepare(&mut client);
    assert!(client.run("BGREWRITEAOF").starts_with('+'));
    // The first was taken of nothing, when the server started.
    client.until_contains("INFO persistence", "aof_rewrite_in_progress:0");
    wait_for_saves(&mut client, 1);
    fill(&mut client, 40, 90, 900);
    for command in [
        "DEL h:100",
        "RENAME h:120 h:9001",
        "RENAME h:121 gone",
        "SET h:122 text",
        "HSET h:9001 n 9001",
        "COPY h:123 h:9002",
        "HSET h:9002 n 9002",
        "HDEL h:124 title kind",
        "PEXPIREAT h:125 1000",
        "EXPIRE h:126 1000",
        "HSET h:127 n none",
    ] {
        client.run(command);
    }
    let before = battery(&mut client);
    let mut client = restart(&mut server, &[]);
    assert!(info(&mut client, "segments_loaded") > 0, "{}", server.log());
    assert_eq!(battery(&mut client), before);
    check_against_fresh(&mut client);
}

#[test]
fn definitions_that_change_behind_a_base_are_followed() {
    let Some(mut server) = ours(&["--appendonly", "yes"]) else { return };
    let mut client = server.client();
    prepare(&mut client);
    client.run("FT.CREATE dropped PREFIX 1 h: SCHEMA title TEXT");
    client.run("BGREWRITEAOF");
    client.until_contains("INFO persistence", "aof_rewrite_in_progress:0");
    wait_for_saves(&mut client, 1);
    client.run("FT.DROPINDEX dropped");
    client.run("FT.CREATE later PREFIX 1 h: SCHEMA title TEXT");
    client.run("FT.ALTER idx SCHEMA ADD extra TAG");
    client.run("HSET h:30 extra x");
    client.until_contains("FT.INFO later", "+indexing :0");
    let all = client.run("FT.SEARCH later * LIMIT 0 0");
    let mut client = restart(&mut server, &[]);
    assert_eq!(client.run("FT._LIST"), "*[\"idx\" \"later\"]");
    wait_for_scan(&mut client);
    assert_eq!(client.run("FT.SEARCH idx @extra:{x} NOCONTENT"), "*[:1 \"h:30\"]");
    client.until("FT.SEARCH later * LIMIT 0 0", &all);
    check_against_fresh(&mut client);
}

#[test]
fn keys_that_expired_meanwhile_are_gone_and_others_still_expire() {
    let Some(mut server) = ours(&[]) else { return };
    let mut client = server.client();
    prepare(&mut client);
    client.run("PEXPIRE h:2000 3600000");
    client.run("PEXPIRE h:1999 300");
    client.run("PEXPIRE h:1998 20000");
    assert_eq!(client.run("SAVE"), "+OK");
    server.kill();
    std::thread::sleep(Duration::from_millis(300));
    server.start_again(&[]);
    let mut client = server.client();
    assert!(info(&mut client, "segments_loaded") > 0);
    let found = |number: u32| format!("FT.SEARCH idx w{number} NOCONTENT");
    assert_eq!(client.run(&found(1999)), "*[:0]");
    assert_eq!(client.run(&found(2000)), "*[:1 \"h:2000\"]");
    assert_eq!(client.run(&found(1998)), "*[:1 \"h:1998\"]");
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    client.run("PEXPIRE h:1998 1");
    client.until(&found(1998), "*[:0]");
    check_against_fresh(&mut client);
}

#[test]
fn damaged_or_missing_files_are_noticed() {
    let Some(mut server) = ours(&[]) else { return };
    let mut client = server.client();
    prepare(&mut client);
    let before = battery(&mut client);
    assert_eq!(client.run("SAVE"), "+OK");
    server.kill();
    let files = segment_files(&server);
    assert!(files.len() >= 4, "{files:?}");
    let mut damages: Vec<(&PathBuf, Option<Vec<u8>>)> = Vec::new();
    for path in &files {
        let bytes = fs::read(path).expect("it is there");
        damages.push((path, None));
        damages.push((path, Some(bytes[..bytes.len() / 2].to_vec())));
        let mut longer = bytes.clone();
        longer.push(0);
        damages.push((path, Some(longer)));
        for region in 0..8 {
            let mut changed = bytes.clone();
            let at = region * (bytes.len() - 1) / 7;
            changed[at] ^= 1 << region;
            damages.push((path, Some(changed)));
        }
    }
    for (path, content) in damages {
        let good = fs::read(path).expect("it is there");
        match &content {
            Some(bytes) => fs::write(path, bytes).expect("it can be written"),
            None => fs::remove_file(path).expect("it can be removed"),
        }
        // Otherwise what nobody needs would be removed after the load.
        let kept: Vec<(PathBuf, Vec<u8>)> = files
            .iter()
            .filter(|other| *other != path)
            .map(|path| (path.clone(), fs::read(path).expect("it is there")))
            .collect();
        server.start_again(&[]);
        let mut client = server.client();
        assert_eq!(info(&mut client, "segments_loaded"), 0, "{}", path.display());
        assert_eq!(battery(&mut client), before, "{}", path.display());
        server.kill();
        let restore = kept.iter().map(|(path, bytes)| (path, bytes)).chain([(path, &good)]);
        restore.for_each(|(path, bytes)| fs::write(path, bytes).expect("it can be written"));
    }
    let mut client = restart(&mut server, &[]);
    assert!(info(&mut client, "segments_loaded") > 0, "all is as it was");
    assert_eq!(battery(&mut client), before);
}

#[test]
fn other_snapshots_settings_and_no_wish_lead_to_the_keys() {
    let Some(mut server) = ours(&[]) else { return };
    let mut client = server.client();
    prepare(&mut client);
    assert_eq!(client.run("SAVE"), "+OK");
    let before = battery(&mut client);
    let dump = server.directory().join("dump.rdb");
    let older = server.directory().join("older.rdb");
    fs::copy(&dump, &older).expect("it can be copied");
    fill(&mut client, 1, 60, 333);
    assert_eq!(client.run("SAVE"), "+OK");
    let later = battery(&mut client);
    assert_ne!(before, later);
    // Of the older one there are no segments any more.
    let mut client = restart(&mut server, &["--dbfilename", "older.rdb"]);
    assert_eq!((info(&mut client, "segments_loaded"), battery(&mut client)), (0, before));
    let renamed = server.directory().join("renamed.rdb");
    fs::rename(&dump, &renamed).expect("it can be renamed");
    let mut client = restart(&mut server, &["--dbfilename", "renamed.rdb"]);
    assert!(info(&mut client, "segments_loaded") > 0, "{}", server.log());
    assert_eq!(battery(&mut client), later);
    let mut client =
        restart(&mut server, &["--dbfilename", "renamed.rdb", "--search-min-stem-len", "6"]);
    assert_eq!(info(&mut client, "segments_loaded"), 0);
    check_against_fresh(&mut client);
    let mut client =
        restart(&mut server, &["--dbfilename", "renamed.rdb", "--search-persist-segments", "no"]);
    assert_eq!((info(&mut client, "segments_loaded"), battery(&mut client)), (0, later.clone()));
    // Without segments the snapshot names none.
    assert_eq!(client.run("SAVE"), "+OK");
    assert_eq!(section(&mut client, "segments_saves"), 0);
    let mut client = restart(&mut server, &["--dbfilename", "renamed.rdb"]);
    assert_eq!((info(&mut client, "segments_loaded"), battery(&mut client)), (0, later));
}

#[test]
fn files_are_written_once_and_go_when_nothing_needs_them() {
    let Some(mut server) = ours(&[]) else { return };
    let mut client = server.client();
    prepare(&mut client);
    assert_eq!(client.run("SAVE"), "+OK");
    let written = section(&mut client, "segments_last_save_bytes_written");
    client.run("SET other 1");
    assert_eq!(client.run("SAVE"), "+OK");
    let again = section(&mut client, "segments_last_save_bytes_written");
    // The batch that is not sealed yet is written again, and the manifest.
    assert!(again < written / 2, "{again} bytes after {written}");
    for round in 0..12 {
        fill(&mut client, 1, 1500, round * 13);
        client.run("FT.SEARCH idx running LIMIT 0 0");
        assert_eq!(client.run("SAVE"), "+OK");
    }
    let folder: u64 =
        segment_files(&server).iter().map(|path| fs::metadata(path).expect("a file").len()).sum();
    assert_eq!(folder, section(&mut client, "segments_last_save_bytes"));
    let strange = server.directory().join("search-segments/notes.txt");
    fs::write(&strange, "mine").expect("it can be written");
    fs::write(segment_files(&server)[0].with_extension("segment.tmp"), "half").expect("written");
    let mut client = restart(&mut server, &[]);
    let before = battery(&mut client);
    client.run("FT.CREATE small PREFIX 1 s: SCHEMA title TEXT");
    client.run("FT.DROPINDEX idx");
    assert_eq!(client.run("SAVE"), "+OK");
    let left = segment_files(&server);
    assert!(left.len() == 2 && left.contains(&strange), "{left:?}");
    client.run("FT.DROPINDEX small");
    assert_eq!(client.run("SAVE"), "+OK");
    assert_eq!(segment_files(&server), [strange]);
    let mut client = restart(&mut server, &[]);
    assert_eq!(client.run(CREATE), "+OK");
    wait_for_scan(&mut client);
    assert_eq!(battery(&mut client), before);
}

#[test]
fn debug_reload_comes_back_with_the_same_index() {
    let Some(server) = ours(&[]) else { return };
    let mut client = server.client();
    prepare(&mut client);
    let before = battery(&mut client);
    assert_eq!(client.run("DEBUG RELOAD"), "+OK");
    assert!(info(&mut client, "segments_loaded") > 0);
    assert_eq!(battery(&mut client), before);
    assert_eq!(client.run("DEBUG RELOAD"), "+OK");
    assert_eq!(battery(&mut client), before);
    check_against_fresh(&mut client);
}

/// Ends the server in the middle of indexing, sealing, merging, saving and writing segments.
fn kill_at_any_moment(arguments: &[&str], save: &'static str) {
    let rounds = std::env::var("MORTISE_SEARCH_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(4);
    let Some(mut server) = ours(arguments) else { return };
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let mut random = time.subsec_nanos() as usize;
    let mut client = server.client();
    prepare(&mut client);
    client.run("SAVE");
    for round in 0..rounds {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wait = Duration::from_millis((random >> 33) as u64 % 1200);
        eprintln!("round {round}: killed after {wait:?}");
        let over = AtomicBool::new(false);
        let over = &over;
        let (mut writer, mut saver) = (server.client(), server.client());
        std::thread::scope(|threads| {
            threads.spawn(move || {
                for at in 0.. {
                    let first = at * 83 % 1900 + 1;
                    // A thread that talks to a server that has ended panics; that is its end.
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        fill(&mut writer, first, first + 60, at + random % 1000);
                        writer.run(&format!("DEL h:{} h:{}", first + 3, first + 500));
                        writer.run("FT.SEARCH idx running LIMIT 0 0");
                    }));
                    if done.is_err() || over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            threads.spawn(move || {
                loop {
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        saver.run(save);
                    }));
                    if done.is_err() || over.load(Ordering::Relaxed) {
                        return;
                    }
                    // Longer than the segments take, so that some of the kills find them whole.
                    std::thread::sleep(Duration::from_millis(150));
                }
            });
            std::thread::sleep(wait);
            server.kill();
            over.store(true, Ordering::Relaxed);
        });
        server.start_again(&[]);
        let mut client = server.client();
        eprintln!("round {round}: {} segments", info(&mut client, "segments_loaded"));
        check_against_fresh(&mut client);
    }
    assert!(segment_files(&server).len() < 60, "{:?}", segment_files(&server));
}

#[test]
fn kills_while_snapshots_are_taken_leave_right_indexes() {
    kill_at_any_moment(&[], "BGSAVE");
}

#[test]
fn kills_while_the_log_is_rewritten_leave_right_indexes() {
    kill_at_any_moment(&["--appendonly", "yes"], "BGREWRITEAOF");
}
