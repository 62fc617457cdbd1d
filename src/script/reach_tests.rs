//! What can a script reach, from everything that it is given? Walks tables and metatables, and compares with a closed list.
//!
//! A name that is new here is a door: it belongs into the list when somebody has looked at what it opens.

use super::functions::FunctionVm;
use super::host::ScriptHost;
use super::testing::{Bench, FakeHost};
use super::vm::{Purpose, VmOptions};
use crate::engine::functions::Found;
use crate::resp::reply::Protocol;

/// Lists what is reachable from the globals, from values of each type and from what the script was passed, a line for each
/// path: what it leads to, and where the same was met before.
const WALK: &str = "
    local lines, met = {}, {}
    local function walk(path, value)
        local kind = type(value)
        if met[value] then
            lines[#lines + 1] = path .. ' = ' .. met[value]
            return
        end
        lines[#lines + 1] = path .. ' ' .. kind
        if kind == 'table' or kind == 'userdata' or kind == 'function' or kind == 'thread' then met[value] = path end
        local meta = getmetatable(value)
        if meta ~= nil then walk(path .. '<meta>', meta) end
        if kind ~= 'table' then return end
        local keys = {}
        for key in pairs(value) do keys[#keys + 1] = key end
        table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
        for _, key in ipairs(keys) do walk(path .. '.' .. tostring(key), rawget(value, key)) end
    end
    walk('_G', _G)
    walk('string', '')
    walk('number', 1)
    walk('boolean', true)
    if getmetatable(nil) ~= nil then walk('nil', getmetatable(nil)) end
    walk('function', function() end)
    walk('thread', coroutine.create(function() end))
    walk('running', coroutine.running())
    walk('gmatch', ('x'):gmatch('x'))
    walk('wrap', coroutine.wrap(function() end))
    local iterator, state, start = pairs(redis)
    walk('pairs', iterator) walk('pairs state', state) walk('pairs start', start)
    iterator, state, start = ipairs({})
    walk('ipairs', iterator)
    walk('cjson.new', cjson.new())
    for index = 1, select('#', ...) do walk('...' .. index, (select(index, ...))) end
    return table.concat(lines, '\\n')";

const LIST: &str = include_str!("corpus/reachable.txt");

/// The lines of the list that hold in a place: those without a mark, and those with its mark.
fn expected(place: char) -> Vec<&'static str> {
    let lines = LIST.lines().filter(|line| !line.starts_with("--") && !line.is_empty());
    let here = lines.filter_map(|line| match line.split_once('\t') {
        Some((places, line)) => places.contains(place).then_some(line),
        None => Some(line),
    });
    here.collect()
}

fn assert_reaches(place: char, reply: &str) {
    let (_, text) = reply.split_once("\r\n").expect("a bulk string");
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if std::env::var_os("REACHABLE").is_some() {
        println!("{place}\n{}", lines.join("\n"));
    }
    let expected = expected(place);
    let unknown: Vec<_> = lines.iter().filter(|line| !expected.contains(line)).collect();
    assert!(unknown.is_empty(), "reachable for {place}, and not in the list: {unknown:#?}");
    let gone: Vec<_> = expected.iter().filter(|line| !lines.contains(line)).collect();
    assert!(gone.is_empty(), "in the list for {place}, and not reachable: {gone:#?}");
}

#[test]
fn scripts_reach_what_is_in_the_list() {
    assert_reaches('S', &Bench::default().run(WALK));
}

#[test]
fn scripts_with_deprecated_functions_reach_what_is_in_the_list() {
    let mut bench = Bench::with(VmOptions { deprecated_api: true, ..VmOptions::default() });
    assert_reaches('D', &bench.run(WALK));
}

/// Loads a library and calls its function `f` without keys and arguments.
fn call(vm: &mut FunctionVm, text: &str) -> String {
    let library = vm.load(text.as_bytes(), &mut FakeHost::default());
    let library = library.unwrap_or_else(|text| panic!("{}", String::from_utf8_lossy(&text)));
    let found = Found { library: std::sync::Arc::new(library), index: 0 };
    let call = super::functions::Invocation {
        found: &found,
        keys: &[],
        args: &[],
        protocol: Protocol::Resp2,
    };
    let mut out = Vec::new();
    vm.call(&call, &mut FakeHost::default() as &mut dyn ScriptHost, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn functions_reach_what_is_in_the_list() {
    let options = VmOptions { purpose: Purpose::Functions, ..VmOptions::default() };
    let mut vm = FunctionVm::new(options).unwrap();
    let text = format!("#!lua name=l\nredis.register_function('f', function(...) {WALK} end)");
    assert_reaches('F', &call(&mut vm, &text));
}

#[test]
fn a_library_that_is_loaded_reaches_redis_and_methods_of_strings() {
    let options =
        VmOptions { purpose: Purpose::Functions, deprecated_api: true, ..VmOptions::default() };
    let mut vm = FunctionVm::new(options).unwrap();
    let mut load = |text: &str| match vm
        .load(format!("#!lua name=l\n{text}").as_bytes(), &mut FakeHost::default())
    {
        Ok(_) => String::new(),
        Err(text) => String::from_utf8_lossy(&text).into_owned(),
    };
    let everywhere = LIST.lines().filter(|line| !line.starts_with("--"));
    let paths = everywhere
        .filter_map(|line| line.rsplit('\t').next()?.strip_prefix("_G.")?.split(' ').next());
    let mut names: Vec<&str> = paths.filter(|path| !path.contains(['.', '<'])).collect();
    names.extend([
        "print", "require", "package", "io", "debug", "dofile", "loadfile", "module", "jit", "ffi",
        "KEYS", "ARGV",
    ]);
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let error = load(&format!("local x = {name}"));
        let expected =
            if name == "redis" { "No functions registered" } else { "nonexistent global variable" };
        assert!(error.contains(expected), "{name}: {error}");
    }
    let members = LIST.lines().filter_map(|line| {
        line.rsplit('\t')
            .next()?
            .strip_prefix("_G.redis.")
            .filter(|name| !name.contains("<"))?
            .split(' ')
            .next()
    });
    let there = [
        "log",
        "LOG_DEBUG",
        "LOG_NOTICE",
        "LOG_VERBOSE",
        "LOG_WARNING",
        "REDIS_VERSION",
        "REDIS_VERSION_NUM",
        "register_function",
    ];
    for name in members.chain(["register_function"]) {
        let error = load(&format!("local x = redis.{name}"));
        let expected = if there.contains(&name) {
            "No functions registered"
        } else {
            "nonexistent global variable"
        };
        assert!(error.contains(expected), "redis.{name}: {error}");
    }
    for source in [
        "redis.x = 1",
        "x = 1",
        "_G.x = 1",
        "('').x = 1",
        "redis.log = 1",
        "local f = ('').dump(function() end) f()",
    ] {
        assert!(!load(source).contains("No functions registered"), "{source}");
    }
    // What a library keeps of the time when it was loaded is no more than it had then.
    let kept = "local r, s = redis, ('').rep redis.register_function('f', function() \
                local names = {} for name in pairs(r) do names[#names + 1] = name end \
                table.sort(names) return table.concat(names, ' ') end)";
    let reply = call(&mut vm, &format!("#!lua name=k\n{kept}"));
    assert!(
        reply.ends_with(&format!("\r\n{}\r\n", {
            let mut there = there;
            there.sort_unstable();
            there.join(" ")
        })),
        "{reply}"
    );
}

/// What one library leaves in variables of its own no other reaches; what it does to shared tables, nobody notices.
#[test]
fn libraries_do_not_reach_each_other() {
    let options =
        VmOptions { purpose: Purpose::Functions, deprecated_api: true, ..VmOptions::default() };
    let mut vm = FunctionVm::new(options).unwrap();
    for body in [
        "x = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "redis.call = nil",
        "rawset(redis, 'call', 1)",
        "getmetatable(_G).__index = nil",
        "getmetatable('').__index = nil",
        "setmetatable(redis, {})",
        "setfenv(0, {x = 1})",
        "setfenv(1, {x = 1})",
        "getfenv(0).x = 1",
        "setfenv(redis.call, {})",
        "rawset(getfenv(0), 'x', 1)",
        "table.insert(string, 1)",
        "string.rep = nil",
    ] {
        call(
            &mut vm,
            &format!("#!lua name=a\nredis.register_function('f', function() {body} end)"),
        );
        let reply = call(
            &mut vm,
            "#!lua name=b\nredis.register_function('f', function() \
             return {tostring(rawget(_G, 'x')), redis.call('ECHO', 'own'), ('x'):rep(2), type(redis.log)} end)",
        );
        assert_eq!(
            reply, "*4\r\n$3\r\nnil\r\n$3\r\nown\r\n$2\r\nxx\r\n$8\r\nfunction\r\n",
            "{body}"
        );
    }
}
