//! Invariant 6: a script that is cached and a function that is loaded allocate only what their values need.
//!
//! A run makes the tables of its keys and arguments, the strings in them, and what the script makes itself; the way there and
//! back allocates nothing, and commands inside allocate what they store.

use crate::base::sha1::sha1_hex;
use crate::commands::testing::TestEngine;

/// Its text, keys and arguments, and how many blocks its Lua values may take: a table is two, a string one.
type Script = (&'static str, &'static [&'static [u8]], &'static [&'static [u8]], u64);

const SCRIPTS: &[Script] = &[
    ("return 1", &[], &[], 4),
    ("return redis.call('GET', KEYS[1])", &[b"k"], &[], 5),
    (
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
        &[b"none"],
        &[b"token"],
        6,
    ),
    (
        "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n",
        &[b"n"],
        &[b"60000"],
        6,
    ),
    ("return redis.call('HGET', KEYS[1], ARGV[1])", &[b"h"], &[b"f"], 6),
];

fn quiet() -> TestEngine {
    let engine = TestEngine::new();
    engine.be_quiet();
    engine.run("SET k value");
    engine.run("SET n 5");
    engine.run("HSET h f v");
    engine
}

#[test]
fn a_cached_script_allocates_only_its_values() {
    let engine = quiet();
    for &(source, keys, args, blocks) in SCRIPTS {
        assert!(!engine.command(&[b"SCRIPT", b"LOAD", source.as_bytes()]).starts_with("ERR"));
        let sha = sha1_hex(source.as_bytes());
        let count = keys.len().to_string();
        for name in [&b"EVALSHA"[..], b"EVALSHA_RO"] {
            if name == b"EVALSHA_RO" && source.contains("INCR") {
                continue;
            }
            let head = [name, &sha, count.as_bytes()];
            let argv: Vec<&[u8]> = [&head[..], keys, args].concat();
            let (own, lua) = engine.allocations(&argv);
            assert_eq!(own, 0, "{source}");
            assert!(lua <= blocks, "{source}: {lua} blocks of Lua");
        }
    }
}

#[test]
fn a_function_allocates_only_its_values() {
    let engine = quiet();
    for &(source, keys, args, blocks) in SCRIPTS {
        let body = source.replace("KEYS", "keys").replace("ARGV", "args");
        let text = format!(
            "#!lua name=lib\nredis.register_function('f', function(keys, args) {body} end)\n\
             redis.register_function{{function_name='g', callback=function(keys, args) {body} end, flags={{'no-writes'}}}}"
        );
        assert_eq!(engine.command(&[b"FUNCTION", b"LOAD", b"REPLACE", text.as_bytes()]), "lib");
        let count = keys.len().to_string();
        for (name, function) in [(&b"FCALL"[..], &b"f"[..]), (b"FCALL_RO", b"g")] {
            if name == b"FCALL_RO" && source.contains("INCR") {
                continue;
            }
            let head = [name, function, count.as_bytes()];
            let argv: Vec<&[u8]> = [&head[..], keys, args].concat();
            let (own, lua) = engine.allocations(&argv);
            assert_eq!(own, 0, "{source}");
            assert!(lua <= blocks, "{source}: {lua} blocks of Lua");
        }
    }
}

#[test]
fn plain_commands_allocate_only_what_they_store() {
    let engine = quiet();
    for argv in [
        &[&b"GET"[..], b"k"][..],
        &[b"GET", b"none"],
        &[b"INCR", b"n"],
        &[b"HGET", b"h", b"f"],
        &[b"SET", b"n", b"7"],
        &[b"PING"],
    ] {
        assert_eq!(engine.allocations(argv).0, 0, "{}", String::from_utf8_lossy(&argv.concat()));
    }
}

/// A thousand scripts, ten million calls when `CALLS` says so: what is held afterwards is what was held after the first
/// rounds.
#[test]
fn memory_does_not_grow_with_the_number_of_calls() {
    const SCRIPTS: usize = 1000;
    let calls: usize =
        std::env::var("CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(40_000);
    let engine = quiet();
    let sources: Vec<String> = (0..SCRIPTS)
        .map(|i| format!("local t = {{}} for i = 1, 10 do t[i] = KEYS[1] .. i .. ARGV[1] end return {{redis.call('GET', KEYS[1]), #t, {i}}}"))
        .collect();
    let shas: Vec<[u8; 40]> = sources.iter().map(|source| sha1_hex(source.as_bytes())).collect();
    for source in &sources {
        engine.command(&[b"SCRIPT", b"LOAD", source.as_bytes()]);
    }
    let mut held = Vec::new();
    for call in 0..calls {
        if call % (calls / 20) == 0 {
            held.push(crate::allocator::used_memory());
        }
        let argument = call.to_string();
        engine.command(&[b"EVALSHA", &shas[call % SCRIPTS], b"1", b"k", argument.as_bytes()]);
    }
    let early = held[2..6].iter().max().copied().unwrap_or(0);
    let late = held[16..].iter().max().copied().unwrap_or(0);
    println!("held: {held:?}");
    assert!(late < early + early / 10, "{held:?}");
}

#[test]
fn texts_of_eval_are_bounded_and_loaded_ones_stay() {
    let engine = quiet();
    let field = |name: &str| {
        let text = engine.command(&[b"INFO", b"everything"]);
        let at = text.find(&format!("{name}:")).expect("INFO has it") + name.len() + 1;
        let digits: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().expect("a number")
    };
    let loaded: Vec<String> = (0..50).map(|i| format!("return {i} -- loaded")).collect();
    for source in &loaded {
        engine.command(&[b"SCRIPT", b"LOAD", source.as_bytes()]);
    }
    for i in 0..2000 {
        engine.command(&[b"EVAL", format!("return {i}").as_bytes(), b"0"]);
    }
    assert_eq!(field("number_of_cached_scripts"), 550);
    assert_eq!(field("evicted_scripts"), 1500);
    for source in &loaded {
        let sha = sha1_hex(source.as_bytes());
        assert!(!engine.command(&[b"EVALSHA", &sha, b"0"]).starts_with("NOSCRIPT"));
    }
    // One that is loaded on purpose later stays as well.
    engine.command(&[b"SCRIPT", b"LOAD", b"return 1999"]);
    for i in 0..600 {
        engine.command(&[b"EVAL", format!("return {i}, 1").as_bytes(), b"0"]);
    }
    assert_eq!(engine.command(&[b"EVALSHA", &sha1_hex(b"return 1999"), b"0"]), "1999");
    for i in 0..200 {
        engine.command(&[b"EVAL_RO", format!("return {i}, 2").as_bytes(), b"0"]);
    }
    assert_eq!(field("number_of_cached_scripts"), 551);
    assert!(field("used_memory_vm_eval") < 8 << 20);
}
