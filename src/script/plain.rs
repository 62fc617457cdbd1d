//! Which scripts change no table, and how do they run?
//!
//! Most scripts call commands and compare what they get. Such a *plain* script has no instruction that stores into a table
//! that exists, and the globals that it names cannot be used to change one (`is_harmless`). So it may have what others must not:
//!
//! - the real table `redis`, where others look past a read-only proxy at each `redis.call`;
//! - tables KEYS and ARGV that were used before. They hold nothing but what [`run_plain`] put there, as no plain script can
//!   add to them, and no other script ever sees them.
//!
//! That needs globals of its own: the harmless ones, with these three. `bytecode` finds out which scripts are plain;
//! where `getfenv` is enabled, none is.
#![expect(unsafe_code, reason = "a C function that Lua calls")]

use std::cell::Cell;
use std::ffi::c_int;

use super::lua::{Lua, RawState, upvalue};
use super::sandbox;
use super::vm::write_result;

/// Globals that cannot be used to change a table that exists, nor to get at one that names more than these: no `_G`, `load`,
/// `setmetatable`, `getmetatable`, `rawset`, `table`, `coroutine`. Nor `error` and `assert`: where an error happened is noted
/// in the table that is raised.
const HARMLESS: &[&[u8]] = &[
    b"ARGV",
    b"KEYS",
    b"bit",
    b"cjson",
    b"cmsgpack",
    b"ipairs",
    b"math",
    b"next",
    b"os",
    b"pairs",
    b"pcall",
    b"redis",
    b"select",
    b"string",
    b"struct",
    b"tonumber",
    b"tostring",
    b"type",
    b"unpack",
    b"xpcall",
];

/// Whether a script that names this global may be plain.
pub(super) fn is_harmless(name: &[u8]) -> bool {
    HARMLESS.contains(&name)
}

/// Without one of these words, in whatever place, a script has neither a loop nor a function.
const TURNS: [&[u8]; 5] = [b"for", b"function", b"goto", b"repeat", b"while"];

/// A longer script might have enough instructions to be asked in between.
const STRAIGHT_BYTES_MAX: usize = 4096;

/// Whether a plain script runs each of its instructions once at most, so that it is through before it would be asked
/// whether to go on. (What library functions do for long, they report by themselves.)
pub(super) fn is_straight(body: &[u8]) -> bool {
    body.len() <= STRAIGHT_BYTES_MAX
        && !TURNS.iter().any(|word| body.windows(word.len()).any(|text| text == *word))
}

/// Elements of KEYS or ARGV up to which the table is used again: it keeps them, and the room, until the next script.
const REUSED_LEN_MAX: usize = 16;

/// How many elements the tables of plain scripts have.
#[derive(Default)]
pub(super) struct Lens {
    keys: Cell<usize>,
    args: Cell<usize>,
}

/// Upvalues of [`run_plain`].
const FUNCTIONS: c_int = 1;
const GLOBALS: c_int = 2;
const KEYS: Table = Table { table: 3, name: 4 };
const ARGV: Table = Table { table: 5, name: 6 };

/// Where one of the two tables and its name are.
#[derive(Clone, Copy)]
struct Table {
    table: c_int,
    name: c_int,
}

/// Where the function that runs plain scripts is in the table of compiled functions.
const RUNNER: c_int = 0;

/// Pushes that function.
#[inline]
pub(super) fn push_runner(lua: Lua, functions: c_int) {
    lua.raw_get_index(functions, RUNNER);
}

/// Gives the function on top the globals of plain scripts.
pub(super) fn give_globals(lua: Lua, functions: c_int) {
    push_runner(lua, functions);
    lua.push_upvalue(-1, GLOBALS);
    lua.remove(-2);
    lua.set_environment(-2);
}

/// Makes it, for the real globals and the table of compiled functions at these indices. May raise (no memory).
pub(super) fn make_runner(lua: Lua, globals: c_int, functions: c_int) {
    lua.copy(functions);
    lua.push_table(0, HARMLESS.len());
    let own = lua.top();
    for name in HARMLESS {
        lua.raw_get_field(globals, name);
        lua.raw_set_field(own, name);
    }
    lua.raw_get_field(globals, b"redis");
    sandbox::resolve(lua, own + 1);
    lua.raw_set_field(own, b"redis");
    lua.push_metatable(globals);
    lua.set_metatable(own);
    for name in [b"KEYS", b"ARGV"] {
        lua.push_table(REUSED_LEN_MAX, 0);
        lua.copy(-1);
        lua.raw_set_field(own, name);
        lua.push_bytes(name);
    }
    lua.push_function(run_plain, 6);
    lua.raw_set_index(functions, RUNNER);
}

/// The C function that a protected call enters to run the plain script of `State::run`.
///
/// It leaves true if the value is an error.
///
/// # Safety
///
/// Called by Lua with the upvalues that [`make_runner`] gives it, while `State::run` is set.
unsafe extern "C-unwind" fn run_plain(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    let run = state.run.get().expect("a script is being run");
    let lens = &state.plain_lens;
    fill(lua, KEYS, &lens.keys, run.call().keys);
    fill(lua, ARGV, &lens.args, run.call().args);
    lua.raw_get_index(upvalue(FUNCTIONS), run.slot);
    lua.call(0, 1);
    write_result(lua, run)
}

/// Gives the table these elements and no others. May raise (no memory): then the next one makes a new table.
fn fill(lua: Lua, Table { table, name }: Table, len: &Cell<usize>, elements: &[&[u8]]) {
    let before = len.replace(usize::MAX);
    let table = upvalue(table);
    if before.max(elements.len()) > REUSED_LEN_MAX {
        lua.copy(upvalue(name));
        lua.push_table(elements.len().max(REUSED_LEN_MAX), 0);
        lua.copy(-1);
        lua.replace(table);
        lua.raw_set(upvalue(GLOBALS));
    }
    for (index, element) in (1..).zip(elements) {
        lua.push_bytes(element);
        lua.raw_set_index(table, index);
    }
    if before <= REUSED_LEN_MAX {
        for index in elements.len() + 1..=before {
            lua.push_nil();
            lua.raw_set_index(table, index as c_int);
        }
    }
    len.set(elements.len());
}

#[cfg(test)]
mod tests {
    use super::super::host::KILLED;
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn what_changes_a_table_or_might_is_not_plain() {
        let mut bench = Bench::default();
        let plain = [
            "return 1",
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0",
            "local function f(x) return tonumber(x) + 1 end return f(ARGV[1])",
            "return {1, 'two', 3}",
            "return redis.pcall('set', KEYS[1], unpack(ARGV)).ok",
            "for i, v in ipairs(KEYS) do redis.call('incr', v) end",
            "local s = ('x'):rep(3) return s:upper()",
            "local x = {1, 2.5, 'x', true, a = -1, b = 2.5, c = 'x', [7] = false} local y = {} return x.a",
        ];
        for source in plain {
            assert_eq!(bench.is_plain(source), Some(true), "{source}");
        }
        let not_plain = [
            "KEYS[1] = 'x'",
            "KEYS.x = 'x'",
            "local i = tonumber(ARGV[1]) KEYS[i] = 'x'",
            "local f = function() redis.call = nil end return 1",
            "a = 1",
            "return rawset(KEYS, 1, 'x')",
            "return setmetatable(KEYS, {})",
            "return table.insert(KEYS, 'x')",
            "return _G.KEYS",
            "local f = loadstring('local r = ... r.call = 1') return f(redis)",
            "return load",
            "return {1, KEYS[1]}",
            "return getmetatable('').__index",
            "return coroutine.wrap(function() return 1 end)()",
            "return nosuchglobal",
            "error(KEYS)",
            "return assert(false, redis)",
        ];
        for source in not_plain {
            assert_eq!(bench.is_plain(source), Some(false), "{source}");
        }
    }

    #[test]
    fn what_has_loops_or_functions_is_not_straight() {
        assert!(is_straight(b"if redis.call('get', KEYS[1]) then return 1 else return {} end"));
        for source in [
            "while true do end",
            "repeat until false",
            "for i = 1, 2 do end",
            "::a:: goto a",
            "local function f() return f() end return f()",
        ] {
            assert!(!is_straight(source.as_bytes()), "{source}");
        }
        assert!(!is_straight(&[b' '; STRAIGHT_BYTES_MAX + 1]));
    }

    #[test]
    fn endless_scripts_are_asked_after_any_number_of_straight_ones() {
        let mut bench = Bench::default();
        for straight in [0, 1, 15, 16, 17, 40] {
            for _ in 0..straight {
                assert_eq!(bench.raw(b"return #KEYS", &[b"k"], &[]), b":1\r\n");
            }
            bench.host.kill_after = Some(bench.host.ticks + 1);
            let out = bench.raw(b"while true do end", &[], &[]);
            assert!(String::from_utf8_lossy(&out).contains(KILLED), "{straight}");
            bench.host.kill_after = None;
        }
    }

    #[test]
    fn tables_that_are_used_again_have_what_was_given_and_no_more() {
        let mut bench = Bench::default();
        let source = b"local n = 0 for k, v in pairs(KEYS) do n = n + k end return {#KEYS, n, KEYS[1] or 'none', KEYS[#KEYS] or 'none', #ARGV, ARGV[1] or 'none'}";
        let texts: Vec<Vec<u8>> =
            (0..40u8).map(|i| vec![b'a' + i % 26; 1 + usize::from(i)]).collect();
        let texts: Vec<&[u8]> = texts.iter().map(|text| &text[..]).collect();
        for (keys, args) in [
            (1, 1),
            (3, 0),
            (2, 5),
            (0, 16),
            (16, 0),
            (17, 1),
            (2, 30),
            (1, 2),
            (0, 0),
            (40, 40),
            (0, 1),
            (1, 0),
        ] {
            let (keys, args) = (&texts[..keys], &texts[..args]);
            let shown = |texts: &[&[u8]], at: Option<usize>| {
                let text = at.and_then(|at| texts.get(at)).copied().unwrap_or(b"none");
                format!("${}\r\n{}\r\n", text.len(), String::from_utf8_lossy(text))
            };
            let sum = keys.len() * (keys.len() + 1) / 2;
            let expected = format!(
                "*6\r\n:{}\r\n:{sum}\r\n{}{}:{}\r\n{}",
                keys.len(),
                shown(keys, Some(0)),
                shown(keys, keys.len().checked_sub(1)),
                args.len(),
                shown(args, Some(0)),
            );
            assert_eq!(String::from_utf8_lossy(&bench.raw(source, keys, args)), expected);
        }
    }

    #[test]
    fn others_do_not_see_the_tables_of_plain_scripts() {
        let mut bench = Bench::default();
        let change: &[u8] = b"KEYS[2] = 'left' KEYS.x = 'behind' setmetatable(ARGV, {__index = {'y'}}) return #KEYS";
        let plain: &[u8] = b"local n = 0 for k in pairs(KEYS) do n = n + 1 end return {n, KEYS.x or 'none', ARGV[1] or 'none'}";
        let clean = b"*3\r\n:1\r\n$4\r\nnone\r\n$4\r\nnone\r\n";
        assert_eq!(bench.raw(plain, &[b"k"], &[]), clean);
        assert_eq!(bench.raw(change, &[b"k"], &[]), b":2\r\n");
        assert_eq!(bench.raw(plain, &[b"k"], &[]), clean);
        assert_eq!(bench.raw(change, &[b"k"], &[]), b":2\r\n");
    }

    #[test]
    fn the_real_table_looks_like_its_proxy() {
        let mut bench = Bench::default();
        let same = [
            "local n = 0 for k, v in pairs(redis) do n = n + 1 end return n",
            "return type(redis) .. type(next(redis)) .. #redis .. tostring(redis.nothing) .. select('#', redis)",
            "return cjson.encode(redis.LOG_DEBUG)",
            "return redis",
            "return KEYS.x.y",
            "return redis.call(redis)",
            "return redis()",
        ];
        for plain in same {
            // An instruction more makes it another kind of script.
            let other = format!("local t = {{}} t.x = 1 {plain}");
            assert_eq!((bench.is_plain(plain), bench.is_plain(&other)), (Some(true), Some(false)));
            assert_eq!(bench.run(plain), bench.run(&other), "{plain}");
        }
    }
}
