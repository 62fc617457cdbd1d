//! Does every script end that should, and does the host get its say while it runs? Exhaustion of stacks, memory and time.

use super::testing::Bench;
use super::vm::VmOptions;

/// Scripts of the corpus, and what their replies begin with.
fn exhausting() -> impl Iterator<Item = (&'static str, &'static str)> {
    let corpus = include_str!("corpus/exhaustion.txt");
    corpus.split("\n> ").skip(1).map(|block| {
        let (source, reply) = block.split_once("\n= ").expect("a script and its reply");
        (source, reply.trim_end())
    })
}

#[test]
fn exhausting_scripts_end_and_leave_the_vm_in_order() {
    let mut bench = Bench::default();
    let mut wrong = Vec::new();
    for (source, expected) in exhausting() {
        let reply = bench.run(source);
        let fits = match expected.strip_prefix('%') {
            Some(text) => reply.starts_with('-') && reply.contains(text),
            None => reply.starts_with(expected),
        };
        if !fits {
            let shown: String = reply.chars().take(200).collect();
            wrong.push(format!("{source}\n    expected {expected}\n    got {shown}"));
        }
        let next = bench.run("local t = {} for i = 1, 100 do t[i] = i end return #t");
        assert_eq!(next, ":100\r\n", "after {source}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let held = bench.vm.used_memory();
    assert!(held < 16 << 20, "{held} bytes are kept");
}

#[test]
fn replies_are_limited_and_tell_the_host() {
    // A few tables that hold each other twice are more elements than there are atoms.
    let bomb = "local t = {1} for i = 1, 200 do t = {t, t} end";
    for made in
        ["return t", "return {map = {a = t}}", "return {set = {[t] = 1}, t}", "return {{{t}}}"]
    {
        let source = format!("{bomb} {made}");
        let mut bench =
            Bench::with(VmOptions { memory_bytes_max: 8 << 20, ..VmOptions::default() });
        let reply = bench.run(&source);
        assert!(
            reply.contains("not enough memory") || reply.starts_with('~') || reply.starts_with('*'),
            "{}",
            &reply[..40]
        );
        let mut bench = Bench::default();
        bench.host.kill_after = Some(3);
        let reply = bench.run(&source);
        assert!(reply.contains("Script killed") || reply.len() < 100, "{}", &reply[..40]);
    }
    for codec in ["cjson.encode(t)", "cmsgpack.pack(t)"] {
        let mut bench = Bench::default();
        bench.host.kill_after = Some(3);
        let reply = bench.run(&format!("{bomb} return #{codec}"));
        assert!(
            reply.contains("Script killed") || reply.contains("xcessive") || reply.starts_with(':'),
            "{codec}: {reply}"
        );
    }
}

#[test]
fn one_instruction_that_takes_long_reports_to_the_host() {
    for (prepare, call) in [
        ("", "('x'):rep(1e8)"),
        ("", "('xyz'):rep(3e7)"),
        ("", "(('a'):rep(5e6)):gsub('a', 'b')"),
        ("", "(('a'):rep(5e6)):gsub('.', {a = 'b'})"),
        ("", "(('a'):rep(5e6)):gsub('', 'b')"),
        ("local t = {} for i = 1, 1e6 do t[i] = i * 7919 % 1000003 end", "table.sort(t)"),
        ("local t = {} for i = 1, 3e6 do t[i] = i end", "table.insert(t, 1, 0)"),
        ("local t = {} for i = 1, 3e6 do t[i] = i end", "table.remove(t, 1)"),
        ("local t = {} for i = 1, 1e6 do t[i] = i end", "table.maxn(t)"),
        ("local t = {} for i = 1, 1e6 do t[i] = i end", "cjson.encode(t)"),
        ("local s = '[' .. ('1,'):rep(1e6) .. '1]'", "cjson.decode(s)"),
        ("local t = {} for i = 1, 1e6 do t[i] = i end", "cmsgpack.pack(t)"),
        ("local s = '\\221\\0\\15\\66\\64' .. ('\\1'):rep(1e6)", "cmsgpack.unpack(s)"),
        ("local s = ('x'):rep(1e6)", "struct.unpack(('x'):rep(1e6), s)"),
        ("local s = ('x'):rep(8e6)", "redis.sha1hex(s)"),
        ("local s = ('x'):rep(2e6) local t = {} for i = 1, 20 do t[i] = s end", "table.concat(t)"),
        ("local s = ('x'):rep(2e7)", "s .. s"),
        ("local s = ('x'):rep(2e7)", "s:upper()"),
        ("local s = ('x'):rep(2e7)", "s:reverse()"),
        ("local s = ('x'):rep(2e7)", "redis.call('echo', s)"),
        ("local s = ('x'):rep(2e7)", "loadstring('return \"' .. s .. '\"')"),
        ("for i = 1, 20 do collectgarbage('step') end", "collectgarbage()"),
    ] {
        let mut bench = Bench::default();
        bench.run(prepare);
        let before = bench.host.ticks;
        let ran = bench.run(prepare);
        assert!(!ran.starts_with('-'), "{prepare}: {ran}");
        let prepared = bench.host.ticks - before;
        let before = bench.host.ticks;
        bench.run(&format!("{prepare} local r = {call} local x = 1 return x"));
        let asked = bench.host.ticks - before;
        assert!(
            asked > prepared || call == "collectgarbage()",
            "{call}: {asked} ticks, {prepared} of them before"
        );
    }
}

#[test]
fn instructions_that_take_long_without_allocating_are_not_a_hundred_thousand_between_ticks() {
    // Each holds some megabytes, and looks through them in one instruction.
    for (prepare, body) in [
        ("local a, b = ('x'):rep(8e6) .. 'a', ('x'):rep(8e6) .. 'b'", "local less = a < b"),
        ("local t = {} for i = 1, 5e5 do t[i] = i end for i = 1, 5e5 do t[i] = nil end", "next(t)"),
        ("local s = ('x'):rep(8e6)", "s:find('y', 1, true)"),
        ("local s = ('x'):rep(1e5)", "collectgarbage()"),
        ("local s = ('x'):rep(1e5)", "redis.sha1hex(s)"),
        ("", "redis.call('ping')"),
    ] {
        let mut bench = Bench::default();
        bench.run(&format!("{prepare} return 1"));
        let before = bench.host.ticks;
        bench.run(&format!("{prepare} for i = 1, 3000 do {body} end return 1"));
        let ticks = bench.host.ticks - before;
        assert!(ticks >= 1, "{body}: {ticks}");
    }
}

#[test]
fn a_script_that_only_counts_is_asked_every_hundred_thousand_instructions() {
    let mut bench = Bench::default();
    bench.run("for i = 1, 1e6 do end return 1");
    let ticks = bench.host.ticks;
    assert!((9..=11).contains(&ticks), "{ticks}");
    bench.run("return 1");
    assert_eq!(bench.host.ticks, ticks);
}

#[test]
fn what_was_killed_in_a_library_function_stays_dead() {
    for source in [
        "return (('a'):rep(30)):find(('a?'):rep(30) .. ('a'):rep(31))",
        "return (('a'):rep(1e5)):find('.-.-.-b')",
        "return (('a'):rep(1e5)):match('(.*)(.*)(.*)b')",
        "return (('a'):rep(1e5)):gsub('.-.-.-b', '')",
        "for word in (('a'):rep(1e5)):gmatch('.-.-.-b') do end",
        "while true do pcall(string.rep, 'x', 1e7) end",
        "while true do pcall(table.concat, {('x'):rep(1e7), ('y'):rep(1e7)}) end",
        "while true do pcall(cjson.encode, {('x'):rep(1e7)}) end",
        "while true do pcall(redis.sha1hex, ('x'):rep(1e7)) end",
        "while true do pcall(collectgarbage) end",
        "while true do pcall(loadstring, 'return 1') end",
        "local t = {} t[1] = t while true do pcall(cmsgpack.pack, t) end",
        "while true do redis.pcall('ping') end",
    ] {
        let mut bench = Bench::default();
        bench.host.kill_after = Some(3);
        let reply = bench.run(source);
        assert!(reply.starts_with("-ERR Script killed by user"), "{source}: {reply}");
        bench.host.kill_after = None;
        assert_eq!(bench.run("return 1"), ":1\r\n");
    }
}
