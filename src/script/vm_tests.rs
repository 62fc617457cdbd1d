//! Tests of the VM as a whole: what EVAL would answer.

use super::testing::{Bench, run};
use super::vm::VmOptions;
use crate::resp::reply::Protocol;

#[test]
fn values_become_replies() {
    for (source, expected) in [
        ("return 1", ":1\r\n"),
        ("return 3.99", ":3\r\n"),
        ("return 'hello'", "$5\r\nhello\r\n"),
        ("return true", ":1\r\n"),
        ("return false", "$-1\r\n"),
        ("return nil", "$-1\r\n"),
        ("return", "$-1\r\n"),
        ("return {1,2,{3,'x'},nil,4}", "*3\r\n:1\r\n:2\r\n*2\r\n:3\r\n$1\r\nx\r\n"),
        ("return {ok='fine'}", "+fine\r\n"),
        ("return {err='MY error'}", "-MY error\r\n"),
        ("return {err='a\\r\\nb'}", "-a  b\r\n"),
        ("return {}", "*0\r\n"),
        ("return function() end", "$-1\r\n"),
        ("return {double=3.5}", "$3\r\n3.5\r\n"),
        ("return {map={a=1}}", "*2\r\n$1\r\na\r\n:1\r\n"),
        ("return {set={a=true}}", "*1\r\n$1\r\na\r\n"),
        ("return {big_number='1\\n2'}", "$3\r\n1 2\r\n"),
        ("return {verbatim_string={format='txt',string='x'}}", "$1\r\nx\r\n"),
        ("return _G", "*0\r\n"),
    ] {
        assert_eq!(run(source), expected, "{source}");
    }
}

#[test]
fn resp3_clients_get_the_types() {
    let mut bench = Bench { protocol: Protocol::Resp3, ..Bench::default() };
    for (source, expected) in [
        ("return nil", "_\r\n"),
        ("return true", ":1\r\n"),
        ("return false", "_\r\n"),
        ("redis.setresp(3) return true", "#t\r\n"),
        ("redis.setresp(3) return false", "#f\r\n"),
        ("return {double=3.5}", ",3.5\r\n"),
        ("return {map={a=1}}", "%1\r\n$1\r\na\r\n:1\r\n"),
        ("return {set={a=true}}", "~1\r\n$1\r\na\r\n"),
        ("return {big_number='12'}", "(12\r\n"),
        ("return {verbatim_string={format='txt',string='x'}}", "=5\r\ntxt:x\r\n"),
        ("redis.setresp(3) return redis.call('protocol','map')", "%1\r\n$5\r\nfield\r\n:7\r\n"),
        ("return redis.call('protocol','map')", "*2\r\n$5\r\nfield\r\n:7\r\n"),
        ("redis.setresp(3) return redis.call('protocol','double')", ",3.25\r\n"),
        ("redis.setresp(3) return redis.call('protocol','null')", "_\r\n"),
        ("redis.setresp(3) return redis.call('protocol','verbatim')", "=13\r\ntxt:some text\r\n"),
        ("redis.setresp(3) return redis.call('protocol','attrib')", "$9\r\ndescribed\r\n"),
    ] {
        assert_eq!(bench.run(source), expected, "{source}");
    }
}

#[test]
fn errors_say_where() {
    for (source, expected) in [
        (
            "return redis.call('nosuch')",
            "-ERR Unknown Redis command called from script script: SHA, on @user_script:1.\r\n",
        ),
        ("\n\nerror('boom')", "-ERR user_script:3: boom script: SHA, on @user_script:3.\r\n"),
        (
            "return foo",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'foo' script: SHA, on @user_script:1.\r\n",
        ),
        (
            "foo = 1",
            "-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
        ),
        (
            "redis.call = 1",
            "-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
        ),
        (
            "return redis.call()",
            "-ERR Please specify at least one argument for this redis lib call script: SHA, on @user_script:1.\r\n",
        ),
        (
            "return redis.call('get', {})",
            "-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.\r\n",
        ),
        ("return redis.pcall('fail', 'WRONGTYPE no')", "-WRONGTYPE no\r\n"),
        (
            "return redis.call('fail', 'WRONGTYPE no')",
            "-WRONGTYPE no script: SHA, on @user_script:1.\r\n",
        ),
        ("return redis.error_reply('MY x')", "-MY x\r\n"),
        ("return redis.error_reply('x')", "-ERR x\r\n"),
        (
            "x(",
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'\r\n",
        ),
        (
            "return 1 +",
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'\r\n",
        ),
        (
            "# x",
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'\r\n",
        ),
        ("#!lua flags=x\n", "-ERR Unexpected flag in script shebang: x\r\n"),
        ("error({err='MY own'})", "-MY own script: SHA, on @user_script:1.\r\n"),
        ("error({})", "-ERR unknown error script: SHA, on @user_script:1.\r\n"),
        ("error()", "-ERR nil script: SHA, on @user_script:1.\r\n"),
        (
            "return string.rep()",
            "-ERR user_script:1: bad argument #1 to 'rep' (string expected, got no value) script: SHA, on @user_script:1.\r\n",
        ),
        (
            "local t = nil; return t.x",
            "-ERR user_script:1: attempt to index local 't' (a nil value) script: SHA, on @user_script:1.\r\n",
        ),
    ] {
        assert_eq!(run(source), expected, "{source}");
    }
}

#[test]
fn only_errors_of_the_script_itself_are_counted_here() {
    let mut bench = Bench::default();
    bench.run("return redis.call('fail', 'WRONGTYPE no')");
    bench.run("return redis.pcall('fail', 'WRONGTYPE no')");
    assert!(bench.host.counted.is_empty());
    bench.run("return {redis.error_reply('A b'), {err='C d'}}");
    bench.run("x(");
    assert_eq!(bench.host.counted[..2], ["A b", "C d"]);
    assert!(bench.host.counted[2].starts_with("ERR Error compiling"));
    bench.run("error('x')");
    assert!(bench.host.counted[3].starts_with("ERR user_script:1: x script: "));
    assert_eq!(bench.host.counted.len(), 4);
}

#[test]
fn commands_get_arguments_as_bytes_and_give_values() {
    let mut bench = Bench::default();
    let reply = bench.raw(
        b"return redis.call('args', KEYS[1], ARGV[1], 1, -0, 1e15, 3.5, 2^53, 1e100, #KEYS)",
        &[b"k\0y"],
        &[b"\xff"],
    );
    assert_eq!(
        reply,
        b"*9\r\n$3\r\nk\0y\r\n$1\r\n\xff\r\n$1\r\n1\r\n$1\r\n0\r\n$16\r\n1000000000000000\r\n$3\r\n3.5\r\n$16\r\n9007199254740992\r\n$6\r\n1e+100\r\n$1\r\n1\r\n"
    );
    assert_eq!(bench.run("redis.call('set','a',1) return redis.call('incr','a') + 1"), ":3\r\n");
    assert_eq!(bench.run("return redis.call('set','a',1).ok"), "$2\r\nOK\r\n");
    assert_eq!(bench.run("return tostring(redis.call('get','none'))"), "$5\r\nfalse\r\n");
    let error = bench.run("redis.call('set','a','x') return redis.pcall('incr','a').err");
    assert_eq!(error, "$43\r\nERR value is not an integer or out of range\r\n");
}

#[test]
fn a_killed_script_ends_whatever_it_catches() {
    for source in [
        "while true do end",
        "local f = function() while 1 do redis.call('ping') end end while 1 do pcall(f) end",
        "while true do pcall(error, 'x') end",
        "local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end",
        "return ('a'):rep(60):find(('a*'):rep(40)..'b')",
        "while true do xpcall(function() while true do end end, function(e) while true do end end) end",
        "local function f() return f() end f()",
        "repeat local t = setmetatable({}, {__index = function() while true do end end}); pcall(function() return t.x end) until false",
    ] {
        let mut bench = Bench::default();
        bench.host.kill_after = Some(3);
        let reply = bench.run(source);
        assert!(
            reply.starts_with("-ERR Script killed by user with SCRIPT KILL..."),
            "{source}: {reply}"
        );
        // The next script runs undisturbed.
        bench.host.kill_after = None;
        assert_eq!(bench.run("for i = 1, 1000 do end return 1"), ":1\r\n");
    }
}

#[test]
fn memory_is_limited() {
    let mut bench = Bench::with(VmOptions { memory_bytes_max: 8 << 20, ..VmOptions::default() });
    for source in [
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 2^30)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "return string.format('%s', string.rep('x', 1e8))",
        "local c = {} while true do c[#c+1] = coroutine.create(function() end) end",
        "local t = 'x' for i = 1, 26 do t = t .. t end return t:gsub('x', 'yyyy')",
    ] {
        let reply = bench.run(source);
        assert!(reply.contains("not enough memory"), "{source}: {reply}");
    }
    assert_eq!(bench.run("return 1"), ":1\r\n");
    assert!(bench.vm.used_memory() < 9 << 20);
}

#[test]
fn nesting_is_limited() {
    for source in [
        "local function f() pcall(f) end f() return 1",
        "local function f() coroutine.wrap(f)() end pcall(f) return 1",
        "local function f() string.gsub('x', 'x', f) end pcall(f) return 1",
        "local function f() table.sort({1, 2, 3}, f) end pcall(f) return 1",
        "local function f() load(f) end pcall(f) return 1",
        "local function f() table.foreach({1}, f) end pcall(f) return 1",
        "local function f() xpcall(f, f) end pcall(f) return 1",
        "local function f() return 1 + f() end pcall(f) return 1",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t pcall(function() return t.x end) return 1",
        "local function f() local x = tostring(setmetatable({}, {__tostring = f})) end pcall(f) return 1",
        "local t = {} for i = 1, 1e4 do t = {t} end pcall(cjson.encode, t) return 1",
        "pcall(cjson.decode, ('['):rep(1e5)) return 1",
        "pcall(loadstring, ('('):rep(1e5)) return 1",
        "pcall(string.find, ('a'):rep(1e4), ('a?'):rep(1e4)) return 1",
    ] {
        assert_eq!(run(source), ":1\r\n", "{source}");
    }
    let endless = run("local a = {} a[1] = a return a");
    assert!(endless.ends_with("-ERR reached lua stack limit\r\n"));
}

#[test]
fn scripts_that_store_no_globals_get_the_real_ones() {
    let bench = Bench::default();
    assert!(bench.vm.codes.is_some());
}
