//! What is in the table `redis`? Calling commands, replies, logging, and what surrounds them.
//!
//! `redis.call` is the hot path of every script: it reads its arguments in place, the command writes
//! its reply into a buffer that is kept, and the reply becomes Lua values straight from those bytes.
#![expect(unsafe_code, reason = "C functions that Lua calls; arguments borrowed from its stack")]

use std::ffi::c_int;

use super::convert;
use super::error::{push_error, raise_error};
use super::host::{LogLevel, ReplTargets};
use super::lib::builder::Builder;
use super::lua::{Function, Kind, Lua, RawState, to_integer};
use super::register;
use super::state::State;
use super::tick;
use super::vm::Purpose;
use crate::base::number::format_double;
use crate::base::sha1::sha1_hex;

/// What `redis.REDIS_VERSION` says.
const VERSION: &[u8] = b"7.4.0";
/// The same as `0x00MMmmpp`.
const VERSION_NUMBER: f64 = 0x0007_0400 as f64;

const REPL_AOF: i64 = 1;
const REPL_REPLICA: i64 = 2;

const FUNCTIONS: &[(&[u8], Function)] = &[
    (b"call", call),
    (b"pcall", pcall),
    (b"error_reply", error_reply),
    (b"status_reply", status_reply),
    (b"sha1hex", sha1hex),
    (b"log", log),
    (b"setresp", setresp),
    (b"set_repl", set_repl),
    (b"acl_check_cmd", acl_check_cmd),
];

/// What scripts have and functions do not.
const SCRIPT_FUNCTIONS: &[(&[u8], Function)] =
    &[(b"replicate_commands", replicate_commands), (b"breakpoint", breakpoint), (b"debug", debug)];

/// What the text of a library has while it is loaded.
const LOAD_FUNCTIONS: &[(&[u8], Function)] =
    &[(b"register_function", register::register_function), (b"log", log)];

const LOG_NUMBERS: &[(&[u8], f64)] = &[
    (b"LOG_DEBUG", 0.0),
    (b"LOG_VERBOSE", 1.0),
    (b"LOG_NOTICE", 2.0),
    (b"LOG_WARNING", 3.0),
    (b"REDIS_VERSION_NUM", VERSION_NUMBER),
];

const REPL_NUMBERS: &[(&[u8], f64)] = &[
    (b"REPL_NONE", 0.0),
    (b"REPL_AOF", REPL_AOF as f64),
    (b"REPL_SLAVE", REPL_REPLICA as f64),
    (b"REPL_REPLICA", REPL_REPLICA as f64),
    (b"REPL_ALL", (REPL_AOF | REPL_REPLICA) as f64),
];

/// Pushes a new table with everything that `redis` offers while scripts or functions run. May raise (no memory).
pub(super) fn push_table(lua: Lua) {
    lua.push_table(0, FUNCTIONS.len() + REPL_NUMBERS.len() + 8);
    add_functions(lua, FUNCTIONS);
    if lua.state().purpose == Purpose::Scripts {
        add_functions(lua, SCRIPT_FUNCTIONS);
    }
    add_numbers(lua, LOG_NUMBERS);
    add_numbers(lua, REPL_NUMBERS);
    add_version(lua);
}

/// Pushes a new table with what `redis` offers while a library is loaded. May raise (no memory).
pub(super) fn push_load_table(lua: Lua) {
    lua.push_table(0, LOAD_FUNCTIONS.len() + LOG_NUMBERS.len() + 1);
    add_functions(lua, LOAD_FUNCTIONS);
    add_numbers(lua, LOG_NUMBERS);
    add_version(lua);
}

fn add_version(lua: Lua) {
    let table = lua.top();
    lua.push_bytes(VERSION);
    lua.raw_set_field(table, b"REDIS_VERSION");
}

/// Adds to the table on top.
fn add_functions(lua: Lua, functions: &[(&[u8], Function)]) {
    let table = lua.top();
    for &(name, function) in functions {
        lua.push_function(function, 0);
        lua.raw_set_field(table, name);
    }
}

/// Adds to the table on top.
fn add_numbers(lua: Lua, numbers: &[(&[u8], f64)]) {
    let table = lua.top();
    for &(name, value) in numbers {
        lua.push_number(value);
        lua.raw_set_field(table, name);
    }
}

/// `redis.call`: an error of the command is raised.
unsafe extern "C-unwind" fn call(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    command(unsafe { Lua::from_raw(raw) }, true)
}

/// `redis.pcall`: an error of the command is returned.
unsafe extern "C-unwind" fn pcall(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    command(unsafe { Lua::from_raw(raw) }, false)
}

fn command(lua: Lua, raises: bool) -> c_int {
    let state = lua.state();
    if let Err(text) = collect_arguments(lua, state) {
        push_error(lua, text);
        if raises {
            lua.raise()
        }
        return 1;
    }
    let is_error = run_command(state);
    // The arguments have been used; this makes room for the result.
    lua.set_top(0);
    // SAFETY: the one borrow: converting calls no Lua code, so no other command begins.
    convert::push_reply(lua, unsafe { state.reply.borrow() });
    if raises && is_error {
        lua.raise()
    }
    1
}

/// Has the host run the collected arguments; the reply is in `state.reply`. Returns whether it is an
/// error.
fn run_command(state: &State) -> bool {
    // SAFETY: the one borrow: the host does not call into the VM, and this ends with the function.
    let (argv, reply) = unsafe { (state.argv.borrow(), state.reply.borrow()) };
    reply.clear();
    state.host().call(argv, state.resp3.get(), reply);
    argv.clear();
    tick::note(state, tick::COMMAND_WORK_BYTES + reply.len());
    reply.first() == Some(&b'-')
}

/// Fills `state.argv` from the stack. What it holds is good as long as the stack is left alone.
fn collect_arguments(lua: Lua, state: &State) -> Result<(), &'static [u8]> {
    let count = lua.top();
    if count == 0 {
        return Err(b"Please specify at least one argument for this redis lib call");
    }
    // SAFETY: the one borrow: nothing below calls Lua code, and this ends with the function.
    let (argv, numbers) = unsafe { (state.argv.borrow(), state.numbers.borrow()) };
    argv.clear();
    numbers.clear();
    // Texts of numbers are pointed at, so their vector must not move.
    numbers.reserve(count as usize);
    for index in 1..=count {
        let argument: &[u8] = match lua.kind(index) {
            Kind::String => lua.text(index).expect("its kind is string"),
            Kind::Number => {
                let value = lua.number(index);
                // Integers are written as such however large, and zero without a sign.
                numbers.push(format_double(if value == 0.0 { 0.0 } else { value }));
                numbers.last().expect("just pushed").as_bytes()
            }
            _ => {
                argv.clear();
                return Err(b"Lua redis lib command arguments must be strings or integers");
            }
        };
        // SAFETY: only the lifetime changes. The bytes are on the Lua stack or in `numbers`, which
        // both stay as they are until the command has run; then `argv` is cleared.
        argv.push(unsafe { std::mem::transmute::<&[u8], &'static [u8]>(argument) });
    }
    Ok(())
}

/// `redis.error_reply(text)`: a table to return as an error.
unsafe extern "C-unwind" fn error_reply(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    match single_text(lua) {
        Some([b'-', ..]) => push_error(lua, lua.bytes(1).expect("its kind is string")),
        Some(_) => {
            // The first word is the code, with or without the dash.
            lua.push_bytes(b"-");
            lua.copy(1);
            lua.concat(2);
            push_error(lua, lua.bytes(-1).expect("two strings make one"));
        }
        None => push_error(lua, b"wrong number or type of arguments"),
    }
    1
}

/// `redis.status_reply(text)`: a table to return as a status.
unsafe extern "C-unwind" fn status_reply(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    if single_text(lua).is_some() {
        lua.push_table(0, 1);
        lua.push_bytes(b"ok");
        lua.copy(1);
        lua.raw_set(-3);
    } else {
        push_error(lua, b"wrong number or type of arguments");
    }
    1
}

/// The argument, if there is exactly one and it is a string.
fn single_text<'a>(lua: Lua) -> Option<&'a [u8]> {
    if lua.top() == 1 { lua.bytes(1) } else { None }
}

/// `redis.sha1hex(text)`.
unsafe extern "C-unwind" fn sha1hex(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    if lua.top() != 1 {
        raise_error(lua, b"wrong number of arguments");
    }
    // What is no text counts as the empty one.
    let text = lua.text(1).unwrap_or_default();
    // A byte takes about four times what copying it does.
    tick::work(lua, text.len().saturating_mul(4));
    let digest = sha1_hex(text);
    lua.push_bytes(&digest);
    1
}

/// `redis.log(level, ...)`.
unsafe extern "C-unwind" fn log(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let count = lua.top();
    if count < 2 {
        raise_error(lua, b"redis.log() requires two arguments or more.");
    }
    if !lua.is_numeric(1) {
        raise_error(lua, b"First argument must be a number (log level).");
    }
    let level = match to_integer(lua.number(1)) {
        0 => LogLevel::Debug,
        1 => LogLevel::Verbose,
        2 => LogLevel::Notice,
        3 => LogLevel::Warning,
        _ => raise_error(lua, b"Invalid debug level."),
    };
    // Numbers become strings on the stack.
    for index in 2..=count {
        lua.text(index);
    }
    let mut line = Builder::new(lua);
    for index in 2..=count {
        if let Some(text) = lua.bytes(index) {
            if index > 2 {
                line.add(b" ");
            }
            line.add(text);
        }
    }
    lua.state().host().log(level, line.bytes());
    line.discard();
    0
}

/// `redis.setresp(version)`: the protocol of what `redis.call` returns.
unsafe extern "C-unwind" fn setresp(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    if lua.top() != 1 {
        raise_error(lua, b"redis.setresp() requires one argument.");
    }
    match to_integer(lua.number(1)) {
        2 => lua.state().resp3.set(false),
        3 => lua.state().resp3.set(true),
        _ => raise_error(lua, b"RESP version must be 2 or 3."),
    }
    0
}

/// `redis.set_repl(targets)`.
unsafe extern "C-unwind" fn set_repl(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    if lua.top() != 1 {
        raise_error(lua, b"redis.set_repl() requires one argument.");
    }
    let bits = to_integer(lua.number(1));
    if bits & !(REPL_AOF | REPL_REPLICA) != 0 {
        raise_error(
            lua,
            b"Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        );
    }
    let targets = ReplTargets { aof: bits & REPL_AOF != 0, replicas: bits & REPL_REPLICA != 0 };
    lua.state().host().set_repl(targets);
    0
}

/// `redis.replicate_commands()`: effects are always what is replicated.
unsafe extern "C-unwind" fn replicate_commands(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    unsafe { Lua::from_raw(raw) }.push_bool(true);
    1
}

/// `redis.acl_check_cmd(name, ...)`.
unsafe extern "C-unwind" fn acl_check_cmd(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    if let Err(text) = collect_arguments(lua, state) {
        raise_error(lua, text);
    }
    // SAFETY: the one borrow: the host does not call into the VM, and this ends with the statement.
    let permitted = state.host().acl_check_cmd(unsafe { state.argv.borrow() });
    // SAFETY: as above.
    unsafe { state.argv.borrow() }.clear();
    match permitted {
        Some(permitted) => lua.push_bool(permitted),
        None => raise_error(lua, b"Invalid command passed to redis.acl_check_cmd()"),
    }
    1
}

/// `redis.breakpoint()`: false, as outside of the debugger.
unsafe extern "C-unwind" fn breakpoint(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    unsafe { Lua::from_raw(raw) }.push_bool(false);
    1
}

/// `redis.debug(...)`: nothing, as outside of the debugger.
unsafe extern "C-unwind" fn debug(_raw: *mut RawState) -> c_int {
    0
}
