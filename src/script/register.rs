//! What does the text of a library register? `redis.register_function`, and what it takes.
//!
//! Arguments are checked while they stand on the Lua stack, so that an error leaves nothing behind. The function itself goes
//! to the table of pending functions under its number; the rest is in `State::registered` under the same number, from 0.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::c_int;

use super::error::raise_error;
use super::flags::ScriptFlags;
use super::lua::{Kind, Lua, REGISTRY, RawState};
use super::state::Registered;

/// Where the pending functions are in the registry: numbers lead to functions, names in lower case to true.
pub(super) const PENDING: &[u8] = b"pending functions";

/// Functions that one library may have.
const FUNCTIONS_MAX: usize = 16_384;

const BAD_NAME: &[u8] =
    b"Library names can only contain letters, numbers, or underscores(_) and must \
                          be at least one character long";

/// What was passed, borrowed from the Lua stack.
#[derive(Default)]
struct Arguments<'a> {
    name: Option<&'a [u8]>,
    description: Option<&'a [u8]>,
    /// Where the function is on the stack; 0 is nowhere.
    callback: c_int,
    flags: ScriptFlags,
}

/// Whether a library or a function may have this name.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// Why a name is none.
pub(super) fn name_error() -> Vec<u8> {
    BAD_NAME.to_vec()
}

/// `redis.register_function(name, function)`, or of a table with the named arguments `function_name`, `callback`,
/// `description` and `flags`.
pub(super) unsafe extern "C-unwind" fn register_function(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing with a destructor is alive where this raises.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    if !state.is_loading.get() {
        raise_error(lua, b"redis.register_function can only be called on FUNCTION LOAD command");
    }
    let read = match lua.top() {
        1 => read_named(lua),
        2 => read_positional(lua),
        _ => Err(&b"wrong number of arguments to redis.register_function"[..]),
    };
    let arguments = match read {
        Ok(arguments) => arguments,
        Err(text) => raise_error(lua, text),
    };
    let name = arguments.name.unwrap_or_default();
    if !is_name(name) {
        raise_error(lua, BAD_NAME);
    }
    // SAFETY: the one borrow: nothing below calls Lua code, and this ends with the function.
    let registered = unsafe { state.registered.borrow() };
    if registered.len() >= FUNCTIONS_MAX {
        raise_error(lua, b"Too many functions in one library");
    }
    lua.reserve_or_raise(8);
    lua.raw_get_field(REGISTRY, PENDING);
    let pending = lua.top();
    if !push_lower(lua, name) {
        raise_error(lua, BAD_NAME);
    }
    lua.copy(-1);
    lua.raw_get(pending);
    if lua.truth(-1) {
        raise_error(lua, b"Function already exists in the library");
    }
    lua.pop(1);
    lua.push_bool(true);
    lua.raw_set(pending);
    lua.copy(arguments.callback);
    // Nothing raises behind this.
    lua.raw_set_index(pending, registered.len() as i32 + 1);
    registered.push(Registered {
        name: name.into(),
        description: arguments.description.map(Into::into),
        flags: arguments.flags,
    });
    0
}

/// Longer names are refused; there is nothing to say that takes this much.
const NAME_BYTES_MAX: usize = 1024;

/// Pushes the name in lower case; false, and nothing, if it is too long.
fn push_lower(lua: Lua, name: &[u8]) -> bool {
    let mut lower = [0; NAME_BYTES_MAX];
    let Some(lower) = lower.get_mut(..name.len()) else { return false };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    lua.push_bytes(lower);
    true
}

fn read_positional<'a>(lua: Lua) -> Result<Arguments<'a>, &'static [u8]> {
    let name =
        lua.text(1).ok_or(&b"first argument to redis.register_function must be a string"[..])?;
    if lua.kind(2) != Kind::Function {
        return Err(b"second argument to redis.register_function must be a function");
    }
    Ok(Arguments { name: Some(name), callback: 2, ..Arguments::default() })
}

/// Values that are read stay on the stack, below the key that the walk is at.
fn read_named<'a>(lua: Lua) -> Result<Arguments<'a>, &'static [u8]> {
    if lua.kind(1) != Kind::Table {
        return Err(
            b"calling redis.register_function with a single argument is only applicable to Lua \
                     table (representing named arguments).",
        );
    }
    let mut arguments = Arguments::default();
    lua.push_nil();
    while lua.next(1) {
        lua.reserve_or_raise(8);
        let key = match lua.kind(-2) {
            Kind::String => lua.bytes(-2).unwrap_or_default(),
            // Numbers pass for strings, but none is a known name.
            Kind::Number => b"",
            _ => {
                return Err(b"named argument key given to redis.register_function is not a string");
            }
        };
        if key.eq_ignore_ascii_case(b"function_name") {
            let name = lua.text(-1);
            arguments.name = Some(name.ok_or(
                &b"function_name argument given to redis.register_function must be a string"[..],
            )?);
        } else if key.eq_ignore_ascii_case(b"description") {
            let text = lua.text(-1);
            arguments.description = Some(text.ok_or(
                &b"description argument given to redis.register_function must be a string"[..],
            )?);
        } else if key.eq_ignore_ascii_case(b"callback") {
            if lua.kind(-1) != Kind::Function {
                return Err(
                    b"callback argument given to redis.register_function must be a function",
                );
            }
            arguments.callback = lua.top() - 1;
        } else if key.eq_ignore_ascii_case(b"flags") {
            if lua.kind(-1) != Kind::Table {
                return Err(b"flags argument to redis.register_function must be a table \
                             representing function flags");
            }
            arguments.flags = read_flags(lua).ok_or(&b"unknown flag given"[..])?;
        } else {
            return Err(b"unknown argument given to redis.register_function");
        }
        lua.insert(-2);
    }
    if arguments.name.is_none() {
        return Err(b"redis.register_function must get a function name argument");
    }
    if arguments.callback == 0 {
        return Err(b"redis.register_function must get a callback argument");
    }
    Ok(arguments)
}

/// The flags in the table on top.
fn read_flags(lua: Lua) -> Option<ScriptFlags> {
    let table = lua.top();
    let mut flags = ScriptFlags::empty();
    for index in 1.. {
        lua.raw_get_index(table, index);
        if lua.kind(-1) == Kind::Nil {
            lua.pop(1);
            break;
        }
        flags |= lua.text(-1).and_then(ScriptFlags::by_name)?;
        lua.pop(1);
    }
    Some(flags)
}
