//! `pcall`, `next`, `rawset` and the other basic functions that are not left to Lua.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::{CStr, c_char, c_int, c_void};

use mlua_sys as ffi;

use super::super::error;
use super::super::lua::{
    ALL, CallError, Function, GLOBALS, Kind, Lua, REGISTRY, RawState, upvalue,
};
use super::super::sandbox::{check_writable, is_protected, resolve};
use super::super::source::{Place, keep_frames};
use super::super::tick;
use super::super::vm::load_text;
use super::Depth;

/// Where the registry keeps what `getmetatable("")` shows.
pub(in super::super) const STRING_METATABLE: &[u8] = b"mortise.strings";
/// Where the registry keeps what `getmetatable(_G)` shows.
pub(in super::super) const GLOBALS_METATABLE: &[u8] = b"mortise.globals";

const FUNCTIONS: &[(&[u8], Function)] = &[
    (b"assert", assert),
    (b"collectgarbage", collectgarbage),
    (b"getmetatable", getmetatable),
    (b"load", load),
    (b"loadstring", loadstring),
    (b"next", next),
    (b"pcall", pcall),
    (b"rawget", rawget),
    (b"rawset", rawset),
    (b"setmetatable", setmetatable),
    (b"tonumber", tonumber),
    (b"tostring", tostring),
    (b"xpcall", xpcall),
];

/// Functions that Redis offers only with `lua-enable-deprecated-api`.
const DEPRECATED: &[(&[u8], Option<Function>)] =
    &[(b"getfenv", None), (b"newproxy", Some(newproxy)), (b"setfenv", None)];

/// Adds the functions to the real globals. `GLOBALS` still has Lua's own.
pub(in super::super) fn add(lua: Lua, globals: c_int) {
    for &(name, function) in FUNCTIONS {
        lua.push_function(function, 0);
        lua.raw_set_field(globals, name);
    }
    // Lua's `next` is what the interpreter's loops know best; only read-only tables need ours.
    lua.raw_get_field(GLOBALS, b"next");
    lua.push_function(next, 0);
    lua.push_function(pairs, 2);
    lua.raw_set_field(globals, b"pairs");
    lua.raw_get_field(GLOBALS, b"ipairs");
    lua.push_table(0, 0);
    lua.call(1, 1);
    lua.push_function(ipairs, 1);
    lua.raw_set_field(globals, b"ipairs");
    if lua.state().deprecated_api {
        for &(name, ours) in DEPRECATED {
            match ours {
                Some(function) => lua.push_function(function, 0),
                None => lua.raw_get_field(GLOBALS, name),
            }
            lua.raw_set_field(globals, name);
        }
    }
}

/// `assert(value, message, ...)`.
unsafe extern "C-unwind" fn assert(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_any(1);
    if lua.truth(1) {
        return lua.top();
    }
    if lua.is_absent(2) {
        lua.error(b"assertion failed!");
    }
    lua.error(error::c_text(lua.check_text(2)));
}

/// `collectgarbage(what, number)`. A script may collect and ask, but not change for good how the VM
/// collects; those options answer what they would.
unsafe extern "C-unwind" fn collectgarbage(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    // The collector looks at all that is held.
    tick::work(lua, lua.state().memory_used.get());
    let what = if lua.is_absent(1) { b"collect" } else { lua.check_text(1) };
    let number = if lua.is_absent(2) { 0 } else { lua.check_int(2) };
    match what {
        b"collect" => {
            lua.collect(ffi::LUA_GCCOLLECT, 0);
            lua.push_number(0.0);
        }
        b"count" => {
            let kilobytes = f64::from(lua.collect(ffi::LUA_GCCOUNT, 0));
            let rest = f64::from(lua.collect(ffi::LUA_GCCOUNTB, 0));
            lua.push_number(kilobytes + rest / 1024.0);
        }
        b"step" => {
            let finished = lua.collect(ffi::LUA_GCSTEP, number.clamp(0, 1 << 20)) != 0;
            lua.push_bool(finished);
        }
        b"stop" | b"restart" => lua.push_number(0.0),
        b"setpause" | b"setstepmul" => lua.push_number(200.0),
        _ => lua.invalid_option(1),
    }
    1
}

/// `getmetatable(value)`: of what is read-only, a picture of it that is read-only too.
unsafe extern "C-unwind" fn getmetatable(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_any(1);
    let kind = lua.kind(1);
    if kind == Kind::String {
        lua.raw_get_field(REGISTRY, STRING_METATABLE);
    } else if kind == Kind::Table && is_protected(lua, 1) {
        lua.copy(GLOBALS);
        let is_globals = lua.identity(-1) == lua.identity(1) || is_globals_proxy(lua);
        if is_globals {
            lua.raw_get_field(REGISTRY, GLOBALS_METATABLE);
        } else {
            lua.push_nil();
        }
    } else if !lua.push_meta_field(1, c"__metatable") && !lua.push_metatable(1) {
        lua.push_nil();
    }
    1
}

/// Whether the read-only table at 1 has the globals' `_G` behind it; a script may have given its
/// thread other globals.
fn is_globals_proxy(lua: Lua) -> bool {
    lua.copy(1);
    let copy = lua.top();
    resolve(lua, copy);
    lua.raw_get_field(copy, b"_G");
    let is_globals = lua.identity(-1) == lua.identity(1);
    lua.set_top(copy - 1);
    is_globals
}

/// `setmetatable(table, metatable)`.
unsafe extern "C-unwind" fn setmetatable(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    if !matches!(lua.kind(2), Kind::Nil | Kind::Table) {
        lua.argument_error(2, c"nil or table expected");
    }
    check_writable(lua, 1);
    if lua.push_meta_field(1, c"__metatable") {
        lua.error(b"cannot change a protected metatable");
    }
    lua.set_top(2);
    lua.set_metatable(1);
    1
}

/// `next(table, key)`.
unsafe extern "C-unwind" fn next(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    resolve(lua, 1);
    lua.set_top(2);
    if lua.next(1) {
        return 2;
    }
    lua.push_nil();
    1
}

/// `pairs(table)`. Its upvalues are Lua's `next` and ours.
unsafe extern "C-unwind" fn pairs(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    lua.copy(upvalue(if is_protected(lua, 1) { 2 } else { 1 }));
    lua.copy(1);
    lua.push_nil();
    3
}

/// `ipairs(table)`. Its upvalue is Lua's iterator. Read-only tables have no elements to see.
unsafe extern "C-unwind" fn ipairs(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    lua.copy(upvalue(1));
    lua.copy(1);
    lua.push_number(0.0);
    3
}

/// `tonumber(value, base)`.
unsafe extern "C-unwind" fn tonumber(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let base = if lua.is_absent(2) { 10 } else { lua.check_int(2) };
    if base == 10 {
        lua.check_any(1);
        if lua.is_numeric(1) && !is_binary(lua.bytes(1).unwrap_or_default()) {
            lua.push_number(lua.number(1));
        } else {
            lua.push_nil();
        }
        return 1;
    }
    let text = lua.check_text(1);
    if !(2..=36).contains(&base) {
        lua.argument_error(2, c"base out of range");
    }
    match leading_integer(text, base as u32) {
        Some(value) => lua.push_number(value as f64),
        None => lua.push_nil(),
    }
    1
}

/// `tostring(value)`.
unsafe extern "C-unwind" fn tostring(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_any(1);
    match lua.kind(1) {
        Kind::String => lua.copy(1),
        Kind::Number if lua.number(1).is_nan() => {
            // C shows the sign, and x86 computes nan with one.
            let is_negative = lua.number(1).is_sign_negative();
            lua.push_bytes(if is_negative { b"-nan" } else { b"nan" });
        }
        Kind::Table | Kind::Userdata if lua.push_meta_field(1, c"__tostring") => {
            lua.copy(1);
            let depth = Depth::enter(lua);
            lua.call(1, 1);
            depth.leave(lua.state());
        }
        _ => error::push_description(lua, 1),
    }
    1
}

/// `0b101` is a number to LuaJIT, and none to Lua 5.1.
fn is_binary(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    matches!(digits, [b'0', b'b' | b'B', ..])
}

/// The whole text as an integer of that base, as C's `strtoul` computes it: blanks around, a sign
/// that wraps, the largest value for what does not fit.
fn leading_integer(text: &[u8], base: u32) -> Option<u64> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|b| !blank(b))?;
    let (negative, digits) = match &text[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = match digits {
        [b'0', b'x' | b'X', rest @ ..]
            if base == 16 && rest.first().is_some_and(u8::is_ascii_hexdigit) =>
        {
            rest
        }
        digits => digits,
    };
    let len = digits.iter().take_while(|&&b| char::from(b).is_digit(base)).count();
    if len == 0 || !digits[len..].iter().take_while(|&&b| b != 0).all(blank) {
        return None;
    }
    let value = digits[..len].iter().try_fold(0u64, |value, &digit| {
        let digit = char::from(digit).to_digit(base).unwrap_or(0);
        value.checked_mul(u64::from(base))?.checked_add(u64::from(digit))
    });
    Some(match value {
        None => u64::MAX,
        Some(value) if negative => value.wrapping_neg(),
        Some(value) => value,
    })
}

/// `rawget(table, key)`.
unsafe extern "C-unwind" fn rawget(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    lua.check_any(2);
    resolve(lua, 1);
    lua.set_top(2);
    lua.raw_get(1);
    1
}

/// `rawset(table, key, value)`.
unsafe extern "C-unwind" fn rawset(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    lua.check_any(2);
    lua.check_any(3);
    check_writable(lua, 1);
    lua.set_top(3);
    lua.raw_set(1);
    1
}

/// `newproxy(what)`: a userdata of its own identity. Metatables for it are not given out: a finalizer
/// in one would run inside another script.
unsafe extern "C-unwind" fn newproxy(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    if lua.truth(1) {
        lua.argument_error(1, c"proxies with a metatable are not available");
    }
    lua.push_empty_userdata();
    1
}

/// `pcall(f, ...)`. As in Redis, a table with `err` comes back as that text.
unsafe extern "C-unwind" fn pcall(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    if lua.top() == 0 {
        lua.push_nil();
    }
    lua.push_bool(true);
    lua.insert(1);
    let depth = Depth::enter(lua);
    let result = lua.protected_call(lua.top() - 2, ALL, 0);
    depth.leave(state);
    if result.is_err() {
        lua.remove(1);
        let object = lua.top();
        if lua.kind(object) == Kind::Table {
            lua.push_bytes(b"err");
            // This may call a metamethod, which is one more call into Lua.
            let depth = Depth::enter(lua);
            lua.get(object);
            depth.leave(state);
            if matches!(lua.kind(-1), Kind::String | Kind::Number) {
                lua.replace(object);
            }
        }
        lua.push_bool(false);
        lua.insert(1);
    }
    lua.top()
}

/// `xpcall(f, handler)`. The handler is called when the stack has been left: with no `debug` library it
/// cannot tell, and inside an error of the hook no hook would be called, so that a handler which loops
/// could not be killed.
unsafe extern "C-unwind" fn xpcall(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    lua.check_any(2);
    lua.set_top(2);
    lua.copy(1);
    let depth = Depth::enter(lua);
    let result = lua.protected_call(0, ALL, 0);
    let handled = match result {
        Err(CallError::Raised) => {
            lua.copy(2);
            lua.insert(-2);
            lua.protected_call(1, 1, 0)
        }
        _ => Ok(()),
    };
    depth.leave(state);
    if handled.is_err() {
        lua.set_top(2);
        lua.push_bytes(b"error in error handling");
    }
    lua.push_bool(result.is_ok());
    lua.insert(3);
    lua.top() - 2
}

/// `loadstring(text, name)`: source text only.
unsafe extern "C-unwind" fn loadstring(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let text = lua.check_text(1);
    // The name stays on the stack while the text is compiled.
    if lua.is_absent(2) {
        lua.set_top(1);
        lua.copy(1);
    }
    lua.check_text(2);
    lua.set_top(2);
    compile(lua, text, 2)
}

/// Compiles a text under the name at the index: the function, or nil and the error.
fn compile(lua: Lua, text: &[u8], name: c_int) -> c_int {
    let name = chunk_name(lua, name);
    let state = lua.state();
    // SAFETY: the one borrow: compiling runs no Lua code, and this ends with the function.
    let buffer = unsafe { state.source.borrow() };
    if keep_frames(text, Place::Chunk, buffer) {
        let top = lua.top();
        if load_text(lua, buffer, name) {
            return 1;
        }
        lua.set_top(top);
    }
    if load_text(lua, text, name) {
        return 1;
    }
    lua.push_nil();
    lua.insert(-2);
    2
}

/// The string at the index as a C string: Lua ends strings with a zero byte.
fn chunk_name<'a>(lua: Lua, index: c_int) -> &'a CStr {
    let text = lua.text(index).unwrap_or_default();
    // SAFETY: `text` is from `lua_tolstring`, which puts a zero byte behind every string.
    unsafe { CStr::from_ptr(text.as_ptr().cast()) }
}

/// What one `load` counts for among nested calls: its function is called from inside the compiler, which may be two hundred
/// levels of syntax deep then.
const LOAD_DEPTH: u32 = 50;

/// `load(f, name)`: `f` gives the text piece by piece.
unsafe extern "C-unwind" fn load(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    if lua.is_absent(2) {
        lua.set_top(1);
        lua.push_bytes(b"=(load)");
    }
    lua.check_text(2);
    if lua.kind(1) != Kind::Function {
        lua.type_error(1, c"function");
    }
    lua.set_top(2);
    let name = chunk_name(lua, 2);
    // The reserved slot where the piece that is being read stays.
    lua.push_nil();
    let mut reader = Pieces { started: false };
    let depth = Depth::enter_by(lua, LOAD_DEPTH);
    // SAFETY: `read_piece` is the reader for this data, which lives during the call; it finds the
    // function at 1 and the reserved slot at 3.
    let loaded = unsafe { lua.load(read_piece, (&raw mut reader).cast(), name) };
    depth.leave(lua.state());
    if loaded {
        return 1;
    }
    lua.push_nil();
    lua.insert(-2);
    2
}

/// Whether the leading blank (see `vm::load_text`) was given out.
struct Pieces {
    started: bool,
}

unsafe extern "C-unwind" fn read_piece(
    raw: *mut RawState,
    data: *mut c_void,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    // SAFETY: `load` hands its reader and a place for the length through Lua.
    let (reader, len) = unsafe { (&mut *data.cast::<Pieces>(), &mut *len) };
    if !reader.started {
        reader.started = true;
        *len = 1;
        return c" ".as_ptr();
    }
    if !lua.reserve(2) {
        lua.error(b"too many nested functions");
    }
    lua.copy(1);
    lua.call(0, 1);
    match lua.kind(-1) {
        Kind::Nil => {
            lua.pop(1);
            *len = 0;
            std::ptr::null()
        }
        Kind::String | Kind::Number => {
            let text = lua.text(-1).expect("a string or a number");
            lua.replace(3);
            *len = text.len();
            text.as_ptr().cast()
        }
        _ => lua.error(b"reader function must return a string"),
    }
}
