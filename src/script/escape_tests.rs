//! Do the published ways out of Redis's Lua lead anywhere here? One test for each, written from what the advisories say about
//! the mechanism; and one for what they have in common: another script finds everything as it was.
//!
//! What crashes a server crashes these tests. Where the process around the VM matters, `tests/integration/scripts.rs` goes
//! the same ways over a connection.

use super::testing::{Bench, run};
use super::vm::VmOptions;

/// A VM with everything that a configuration can enable, and little memory, so that the collector works.
fn permissive() -> Bench {
    Bench::with(VmOptions {
        memory_bytes_max: 32 << 20,
        deprecated_api: true,
        ..VmOptions::default()
    })
}

/// Runs a script in an ordinary and in a permissive VM; the reply must contain the text.
fn expect(source: &str, text: &str) {
    for mut bench in [Bench::default(), permissive()] {
        let reply = bench.run(source);
        assert!(reply.contains(text), "{source}: {reply}");
        assert_undisturbed(&mut bench);
    }
}

/// What other users' scripts rely on, and what they would find if somebody had got into their way.
const WITNESS: &str = "\
    local found = {}
    for _, global in ipairs({'x', 'evil', 'print', 'require', 'package', 'io', 'debug'}) do
        if rawget(_G, global) ~= nil then found[#found + 1] = global end
    end
    if redis.call('ECHO', 'own') ~= 'own' then found[#found + 1] = 'call' end
    if ('x'):rep(3) ~= 'xxx' or ('%d'):format(7) ~= '7' or #'abc' ~= 3 then found[#found + 1] = 'strings' end
    if ('').evil ~= nil or ('x').x ~= nil then found[#found + 1] = 'string fields' end
    for _, value in ipairs({1, true, print == nil, tostring}) do
        if getmetatable(value) ~= nil then found[#found + 1] = 'metatable of ' .. type(value) end
    end
    if tostring(1) ~= '1' or type(nil) ~= 'nil' or math.floor(1.5) ~= 1 then found[#found + 1] = 'basics' end
    if cjson.encode({1}) ~= '[1]' or cmsgpack.unpack(cmsgpack.pack(7)) ~= 7 then found[#found + 1] = 'codecs' end
    if not pcall(function() return 1 + 1 end) then found[#found + 1] = 'pcall' end
    return table.concat(found, ' ')";

fn assert_undisturbed(bench: &mut Bench) {
    // `print` in the list of values is false: reading a global that is not there is an error.
    let witness = WITNESS.replace("print == nil", "false");
    assert_eq!(bench.run(&witness), "$0\r\n\r\n");
}

/// CVE-2015-4335: bytecode made or changed by a script is run without a check, and reaches any address.
#[test]
fn bytecode_is_never_run() {
    for source in [
        "return loadstring(string.dump(function() return 1 end))",
        "return loadstring(string.dump(function() return 1 end), 'name')",
        "local code = string.dump(loadstring('return 1')) return load(function() local c = code code = nil return c end)",
        "local parts = {'\\27', 'LJ\\2', ''} local i = 0 return load(function() i = i + 1 return parts[i] end)",
        "return loadstring('\\27LJ\\2\\10\\0')",
        "return loadstring('\\27Lua\\81\\0\\1\\4\\8\\4\\8\\0')",
        "return loadstring('#\\n\\27LJ\\2\\10\\0')",
    ] {
        expect(
            &format!(
                "local f, e = (function() {source} end)() return tostring(f) .. ' ' .. tostring(e)"
            ),
            "nil ",
        );
    }
    for text in [&b"\x1bLJ\x02\x0a\0"[..], b"\x1bLua\x51\0\x01\x04\x08", b"#!lua\n\x1bLJ\x02\x0a\0"]
    {
        let reply = Bench::default().raw(text, &[], &[]);
        assert!(reply.starts_with(b"-ERR Error compiling script"), "{reply:?}");
    }
}

/// CVE-2015-8080 and CVE-2020-14147, the same again: a size in a format of `struct` is read into an int that wraps, and what is
/// left of it indexes the stack.
#[test]
fn sizes_in_formats_of_struct_do_not_wrap() {
    for size in [
        "33",
        "2147483647",
        "2147483648",
        "4294967295",
        "4294967297",
        "4294967300",
        "99999999999999999999",
        "0",
    ] {
        for format in ["I", "i", ">I", "<i", "!", "=!"] {
            let source =
                format!("local ok, e = pcall(struct.pack, '{format}{size}', 10) return 'ended'");
            expect(&source, "ended");
            let source = format!(
                "local ok, e = pcall(struct.unpack, '{format}{size}', ('x'):rep(64)) return 'ended'"
            );
            expect(&source, "ended");
            let source =
                format!("local ok, e = pcall(struct.size, '{format}{size}') return 'ended'");
            expect(&source, "ended");
        }
    }
    expect("return struct.pack('>I2147483648', '10')", "-ERR ");
    expect("return struct.unpack('I4294967297', 'xxxxxxxx')", "-ERR ");
}

/// CVE-2018-11218: packing or unpacking more values than fit overflows the stack of `cmsgpack`.
#[test]
fn cmsgpack_takes_no_more_than_there_is_room_for() {
    for source in [
        "local t = {} for i = 1, 7000 do t[i] = i end return #cmsgpack.pack(unpack(t))",
        "return select('#', cmsgpack.unpack(('\\1'):rep(1e6)))",
        "return select('#', cmsgpack.unpack_limit(('\\1'):rep(1e6), 1e6))",
        "return select('#', cmsgpack.unpack_limit(('\\1'):rep(1e5), 2^31 - 1, -5))",
        "return type(cmsgpack.unpack(('\\145'):rep(1e6)))",
        "return type(cmsgpack.unpack(('\\129\\161a'):rep(1e5)))",
        "local t = {} for i = 1, 1e5 do t = {t} end return #cmsgpack.pack(t)",
        "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
        "return cmsgpack.unpack('\\223\\255\\255\\255\\255')",
        "return cmsgpack.unpack('\\219\\255\\255\\255\\255x')",
        "return cmsgpack.unpack('\\199')",
    ] {
        expect(&format!("local ok, e = pcall(function() {source} end) return 'ended'"), "ended");
    }
}

/// CVE-2018-11219: sizes and positions of `struct.unpack` are added up in an int, and the sum passes the check.
#[test]
fn positions_of_struct_unpack_do_not_wrap() {
    for source in [
        "struct.unpack('c4294967295', 'abc')",
        "struct.unpack('c2147483647', 'abc', 2)",
        "struct.unpack('c-1', 'abc')",
        "struct.unpack('>I4c0', '\\255\\255\\255\\255abc')",
        "struct.unpack('>i4c0', '\\255\\255\\255\\255abc')",
        "struct.unpack('I4', 'abcd', 2147483647)",
        "struct.unpack('I4', 'abcd', 4294967296)",
        "struct.unpack('I4', 'abcd', -1)",
        "struct.unpack('!16I4', 'abcd', 2147483640)",
        "struct.unpack('s', 'abc', 2147483647)",
        "struct.unpack(('c1'):rep(3), 'abc', 2)",
        "struct.unpack(('x'):rep(100000) .. 'I4', 'abcd')",
    ] {
        expect(&format!("return {source}"), "-ERR ");
    }
}

/// CVE-2021-32626: what is pushed for a script (a large or deep reply, many arguments) overflows its stack.
#[test]
fn replies_and_arguments_that_do_not_fit_are_errors() {
    let mut bench = Bench::default();
    let deep = [b"*1\r\n".repeat(100_000), b":1\r\n".to_vec()].concat();
    let wide = [b"*200000\r\n".to_vec(), b"$1\r\nx\r\n".repeat(200_000)].concat();
    let lying = b"*2147483647\r\n:1\r\n".to_vec();
    let deep_map = [b"%1\r\n+a\r\n".repeat(100_000), b":1\r\n".to_vec()].concat();
    for (reply, expected) in [
        (deep, "cannot be read"),
        (wide, ":200000"),
        (lying, "cannot be read"),
        (deep_map, "cannot be read"),
    ] {
        let source =
            b"local r = redis.pcall('raw', ARGV[1]) return type(r) == 'table' and (r.err or #r) or r";
        let out = bench.raw(source, &[], &[&reply]);
        let out = String::from_utf8_lossy(&out);
        assert!(out.contains(expected), "{out}");
        let out =
            bench.raw(b"redis.setresp(3) return type(redis.pcall('raw', ARGV[1]))", &[], &[&reply]);
        assert_eq!(out, b"$5\r\ntable\r\n");
    }
    for source in [
        "redis.call(unpack(t))",
        "redis.pcall(unpack(t))",
        "redis.log(redis.LOG_DEBUG, unpack(t))",
        "redis.debug(unpack(t))",
        "redis.breakpoint(unpack(t))",
        "redis.sha1hex(unpack(t))",
        "redis.acl_check_cmd(unpack(t))",
        "redis.error_reply(unpack(t))",
        "struct.pack(('I4'):rep(7990), unpack(t))",
        "struct.unpack(('c1'):rep(1e6), ('x'):rep(1e6))",
        "string.char(unpack(t))",
        "string.format(('%s'):rep(7990), unpack(t))",
        "math.max(unpack(t))",
        "bit.bor(unpack(t))",
        "coroutine.wrap(function(...) return ... end)(unpack(t))",
        "(function(...) return select('#', ...) end)(unpack(t))",
        "table.concat(t, ('x'):rep(100))",
        "tostring(unpack(t))",
    ] {
        let source = format!(
            "local t = {{}} for i = 1, 7990 do t[i] = 120 end local ok, e = pcall(function() return {source} end) return 'ended'"
        );
        expect(&source, "ended");
    }
}

/// CVE-2022-0543: a package of Lua leaves `package` behind, and with it the way to load libraries of C.
#[test]
fn there_is_no_way_to_files_and_libraries() {
    for name in [
        "package", "require", "module", "io", "dofile", "loadfile", "debug", "print", "ffi", "jit",
        "getfenv", "setfenv", "newproxy", "arg", "loadlib", "_LOADED", "_ENV", "_R",
    ] {
        let mut bench = Bench::default();
        let reply = bench.run(&format!("return {name}"));
        assert!(reply.contains(&format!("nonexistent global variable '{name}'")), "{reply}");
        assert_eq!(bench.run(&format!("return rawget(_G, '{name}') == nil")), ":1\r\n");
    }
    for member in
        ["execute", "exit", "getenv", "remove", "rename", "setlocale", "tmpname", "time", "date"]
    {
        assert_eq!(run(&format!("return type(os.{member})")), "$3\r\nnil\r\n", "{member}");
    }
}

/// Ways to leave something behind where other scripts find it. Each must fail, or have no effect.
const INJECTIONS: &[&str] = &[
    "x = 1",
    "_G.x = 1",
    "rawset(_G, 'x', 1)",
    "rawset(redis, 'call', print)",
    "redis.call = function() return 'evil' end",
    "redis['call'] = nil",
    "string.rep = function() return 'evil' end",
    "string.evil = 1",
    "table.insert(string, 'evil')",
    "table.insert(_G, 1, 'evil')",
    "table.remove(redis)",
    "table.sort(_G)",
    "table.foreach(redis, function(k) redis[k] = nil end)",
    "for k in pairs(_G) do _G[k] = nil end",
    "setmetatable(_G, {__index = function() return 'evil' end})",
    "setmetatable(_G, nil)",
    "setmetatable(redis, {__index = {evil = 1}})",
    "setmetatable(string, {})",
    "setmetatable('', {})",
    "getmetatable(_G).__index = function() return 'evil' end",
    "getmetatable(_G).__newindex = nil",
    "rawset(getmetatable(_G), '__newindex', nil)",
    "setmetatable(getmetatable(_G), {})",
    "rawset(getmetatable(_G).__index, 'x', 1)",
    "getmetatable('').__index = {evil = 1}",
    "getmetatable('').__index.evil = 1",
    "getmetatable('').__add = function() return 1 end",
    "getmetatable('').__call = function() return 1 end",
    "rawset(getmetatable(''), '__index', {})",
    "rawset(getmetatable('').__index, 'rep', 1)",
    "setmetatable(getmetatable(''), {})",
    "('').x = 1",
    "rawset('', 'x', 1)",
    "getmetatable(redis).__index.call = nil",
    "getmetatable(redis).__newindex = nil",
    "getmetatable(1).__index = {x = 1}",
    "getmetatable(nil).__index = {x = 1}",
    "getmetatable(tostring).__index = {x = 1}",
    "getmetatable(true).__call = tostring",
    "setmetatable(1, {__index = {x = 1}})",
    "setmetatable(nil, {__index = {x = 1}})",
    "setmetatable(tostring, {__call = tostring})",
    "setmetatable(coroutine.create(function() end), {})",
    "KEYS.x = 1 ARGV.x = 1 KEYS, ARGV = 1, 1",
    "cjson.encode = nil",
    "rawset(cjson, 'encode', nil)",
    "setmetatable(cjson.null, {})",
    "local e = cjson.new() e.encode = nil rawset(e, 'decode', nil)",
    "coroutine.wrap(function() x = 1 rawset(_G, 'x', 1) end)()",
    "loadstring('x = 1')()",
    "loadstring('rawset(_G, \"x\", 1)')()",
    "load(function() return nil end)() x = 1",
    "__redis__err__handler = nil",
    "table.setn(_G, 1)",
    "_G._G = {}",
    "next(_G, nil); _G[1] = 2",
];

/// Those that need `getfenv`, `setfenv` or `newproxy`.
const DEPRECATED_INJECTIONS: &[&str] = &[
    "setfenv(0, {}) x = 1",
    "setfenv(1, {x = 1})",
    "setfenv(redis.call, {})",
    "setfenv(string.rep, {})",
    "setfenv(pcall, setmetatable({}, {}))",
    "setfenv(coroutine.create(function() end), {})",
    "setfenv(0, setmetatable({}, {__index = function() return 'evil' end}))",
    "getfenv(0).x = 1",
    "getfenv(1).x = 1",
    "getfenv(redis.call).x = 1",
    "rawset(getfenv(0), 'x', 1)",
    "rawset(getfenv(redis.call), 'x', 1)",
    "getfenv(string.gsub).redis = nil",
    "getmetatable(getfenv(0)).__newindex = nil",
    "setmetatable(getfenv(0), {})",
    "newproxy(true)",
    "getmetatable(newproxy(true)).__gc = function() end",
    "local p = newproxy(false) setmetatable(p, {__gc = function() end})",
    "local p = newproxy() local q = newproxy(p)",
];

/// CVE-2022-24735: a script changes what others find, and so runs its code with the rights of who runs theirs. CVE-2025-46818:
/// the same through metatables of basic types.
#[test]
fn nothing_is_left_behind_for_other_scripts() {
    let mut bench = Bench::default();
    for source in INJECTIONS {
        bench.run(source);
        bench.run(&format!("pcall(function() {source} end)"));
        bench.run(&format!("coroutine.wrap(function() {source} end)()"));
        assert_undisturbed(&mut bench);
    }
    let mut bench = permissive();
    for source in INJECTIONS.iter().chain(DEPRECATED_INJECTIONS) {
        bench.run(source);
        bench.run(&format!("pcall(function() {source} end)"));
        bench.run(&format!("coroutine.wrap(function() {source} end)()"));
        bench.run(&format!("setfenv(1, setmetatable({{}}, {{__index = _G}})) {source}"));
        assert_undisturbed(&mut bench);
    }
}

/// CVE-2022-24736: the error of a malformed script is no text, or there is none, and the null that stands for it is read.
#[test]
fn errors_of_any_kind_are_told() {
    for value in [
        "nil",
        "",
        "true",
        "1",
        "{}",
        "{err=1}",
        "{err={}}",
        "{err=nil, line=1}",
        "{source={}, line={}, err='x'}",
        "tostring",
        "function() end",
        "coroutine.create(function() end)",
        "cjson.null",
        "setmetatable({}, {__index = error})",
        "setmetatable({}, {__index = function(t, k) return t[k] end})",
        "setmetatable({}, {__tostring = error})",
        "''",
        "'\\0'",
        "'\\r\\n'",
        "('x'):rep(1e6)",
        "redis",
        "_G",
        "{err=('x'):rep(1e6)}",
        "{err='\\r\\n'}",
    ] {
        expect(&format!("error({value})"), "-");
        if !value.is_empty() {
            expect(&format!("error({value}, 0)"), "-");
            expect(&format!("error({value}, 100)"), "-");
            // A metamethod that fails makes `pcall` fail, as in Redis.
            expect(&format!("return {{pcall(pcall, error, {value})}}"), "*");
            expect(
                &format!(
                    "local ok, e = xpcall(function() error({value}) end, function(e) error(e) end) return 'ended'"
                ),
                "ended",
            );
            expect(&format!("coroutine.wrap(function() error({value}) end)()"), "-");
        }
    }
    for source in [
        &b"\0"[..],
        b"",
        b"\xff\xfe",
        b"#!",
        b"#!\n",
        b"#!lua",
        b"#!lua \n\0",
        b"return",
        b"return \0 1",
        b"x.x",
        b"x.",
        b"x:",
        b"'",
        b"\"",
        b"[[",
        b"[=[",
        b"--[[",
        b"--[==[",
        b"return '\\",
        b"return '\\999'",
        b"return 0x",
        b"return 1e",
        b"goto x",
        b"::x::",
        b"break",
        b"return ...",
        b"local function",
        b"for",
        b"for i=",
        b"if",
        b"end",
        b"until 1",
        b"a.b:c = 1",
        b"\r",
        b"return 1;;",
        b"(",
        b")",
        b"}",
        b"return {",
        b"return {,}",
        b"return f'",
        b"return f{",
        b"return -",
        b"return not",
    ] {
        let reply = Bench::default().raw(source, &[], &[]);
        assert!(reply.ends_with(b"\r\n"), "{source:?}");
    }
}

/// CVE-2024-31449: a number of digits that has no positive counterpart makes `bit.tohex` write past its buffer.
#[test]
fn bit_tohex_writes_eight_digits_at_most() {
    for digits in [
        "-2147483648",
        "2147483648",
        "-2147483647",
        "2147483647",
        "4294967296",
        "-9",
        "9",
        "1e300",
        "-1e300",
        "0/0",
        "1/0",
    ] {
        expect(&format!("return #bit.tohex(-1, {digits}) <= 8"), ":1\r\n");
    }
    expect("return bit.tohex(255, -2147483648)", "$8\r\n000000FF\r\n");
    expect("return bit.tohex(255, 0)", "$0\r\n\r\n");
}

/// CVE-2024-46981: a finalizer runs while the state is being closed, or in another script, and uses what is freed.
#[test]
fn no_code_of_a_script_runs_in_the_collector() {
    let mut bench = permissive();
    for source in [
        "for i = 1, 1000 do setmetatable({}, {__gc = function() redis.call('SET', 'evil', 1) end}) end collectgarbage()",
        "for i = 1, 1000 do setmetatable({}, {__mode = 'kv', __gc = error}) end collectgarbage('step', 1e9)",
        "local t = setmetatable({}, {__mode = 'k'}) for i = 1, 1000 do t[{}] = function() return t end end collectgarbage() return #t",
        "local p = newproxy(true) getmetatable(p).__gc = function() redis.call('SET', 'evil', 1) end",
        "local c = coroutine.wrap(function() coroutine.yield(setmetatable({}, {__gc = error})) end) c() c = nil collectgarbage()",
        "for _, what in ipairs({'stop', 'restart', 'collect', 'count', 'step', 'setpause', 'setstepmul', 'generational'}) do pcall(collectgarbage, what, -2^31) pcall(collectgarbage, what, 2^31) end",
    ] {
        bench.run(source);
        bench.run(&format!("local ok = coroutine.wrap(function() {source} end)() return 1"));
        assert_undisturbed(&mut bench);
        bench.vm.flush().unwrap();
        assert_undisturbed(&mut bench);
    }
    assert!(!bench.host.keys.contains_key(&b"evil"[..]));
}

/// CVE-2025-46817: the number of values that `unpack` is to return wraps.
#[test]
fn unpack_counts_what_it_returns() {
    for range in [
        "0, 2^31 - 1",
        "-2^31, 2^31 - 1",
        "1, 2^31 - 1",
        "-2^31, 0",
        "-1, 2^31 - 2",
        "2^31 - 1e6, 2^31 - 1",
        "1, 8e6",
        "-2^31, -2^31 + 1e6",
    ] {
        expect(&format!("return select('#', unpack({{}}, {range}))"), "too many results to unpack");
    }
    for range in ["2^31 - 1, 2^31 - 1", "-2^31, -2^31", "2^31 - 1, -2^31", "0, -1", "5, 1"] {
        expect(&format!("return select('#', unpack({{}}, {range})) <= 1"), ":1\r\n");
    }
}

/// CVE-2025-46819: the end of a long bracket is looked for behind the end of the text.
#[test]
fn long_brackets_end_with_the_text() {
    let long = "=".repeat(100_000);
    for text in [
        "[",
        "[=",
        "[==",
        "--[",
        "--[=",
        "return [",
        "return [=",
        "return [=[",
        "return [=[ ]",
        "return [=[ ]=",
        "x = [[\n]",
        "[=[\n",
    ] {
        for tail in ["", &long, &format!("{long}["), &format!("{long}]")] {
            let source = format!("{text}{tail}");
            let reply = Bench::default().raw(source.as_bytes(), &[], &[]);
            assert!(reply.ends_with(b"\r\n"), "{}", &source[..source.len().min(20)]);
            let reply =
                Bench::default().raw(b"return {loadstring(ARGV[1])}", &[], &[source.as_bytes()]);
            assert!(reply.starts_with(b"*"), "{}", &source[..source.len().min(20)]);
        }
    }
    let right = format!("return #[{long}[abc]{long}]");
    assert_eq!(run(&right), ":3\r\n");
}

/// CVE-2025-49844: the name of a text that is being compiled is collected while the compiler still holds it.
#[test]
fn names_of_texts_stay_as_long_as_they_are_compiled() {
    let mut bench = Bench::with(VmOptions { memory_bytes_max: 8 << 20, ..VmOptions::default() });
    let source = "
        local bad = 0
        for i = 1, 300 do
            local text = {}
            for j = 1, 200 do text[j] = 'local v' .. (j % 150) .. i .. ' = \"' .. j .. ('k'):rep(50) .. i .. j .. '\"' end
            text = 'do ' .. table.concat(text, ' end do ') .. ' end +'
            local f, e = loadstring(text, '=' .. ('n'):rep(40) .. i)
            if f or not e:find('^' .. ('n'):rep(40) .. i .. ':1:') then bad = bad + 1 end
            local piece = 0
            f, e = load(function()
                collectgarbage(i % 10 == 0 and 'collect' or 'step')
                piece = piece + 1
                return piece < 5 and 'local a' .. piece .. i .. ' = 1 ' or piece == 5 and '+' or nil
            end, '=' .. ('m'):rep(40) .. i)
            if f or not e:find('^' .. ('m'):rep(40) .. i .. ':1:') then bad = bad + 1 end
        end
        return bad";
    assert_eq!(bench.run(source), ":0\r\n");
}

/// Found here: what calls into Lua without being counted, or counts for too little, overflows the machine's stack.
#[test]
fn nested_calls_into_lua_are_counted_by_what_they_take() {
    for source in [
        // `pcall` asks the error for its field `err`, by a metamethod.
        "local m, n = {}, 0
         local function go() n = n + 1 return pcall(error, setmetatable({}, m)) end
         m.__index = function() if n % 1500 == 1499 then n = n + 1 return coroutine.wrap(go)() end return go() end
         pcall(go) return 'ended'",
        // `load` calls its function from inside the compiler, whose own stack grows with the syntax.
        "local function nest() local i = 0 return load(function() i = i + 1 if i == 1 then return 'return ' .. ('('):rep(190) end nest() end) end
         nest() return 'ended'",
        "local function nest() local i = 0 return load(function() i = i + 1 if i == 1 then return 'return ' .. ('{'):rep(190) end nest() end) end
         nest() return 'ended'",
        "local function nest() local i = 0 return load(function() i = i + 1 if i == 1 then return ('if a then '):rep(190) end nest() end) end
         coroutine.wrap(nest)() return 'ended'",
        // All of them in turn.
        "local n, go = 0
         local ways = {
             function() return pcall(go) end,
             function() return xpcall(go, go) end,
             function() return coroutine.wrap(go)() end,
             function() return (('x'):gsub('x', go)) end,
             function() return table.sort({2, 1}, go) end,
             function() return table.foreach({1}, go) end,
             function() local i = 0 return load(function() i = i + 1 if i == 1 then return 'return ' .. ('('):rep(190) end go() end) end,
             function() return tostring(setmetatable({}, {__tostring = go})) end,
             function() return (('x'):gsub('x', setmetatable({}, {__index = go}))) end,
             function() return pcall(error, setmetatable({}, {__index = go})) end,
             function() local m = {__lt = go} return table.sort({setmetatable({}, m), setmetatable({}, m)}) end,
         }
         go = function() n = n + 1 if n < 1e4 then pcall(ways[n % #ways + 1]) end end
         pcall(go) return 'ended'",
    ] {
        expect(source, "ended");
    }
}
