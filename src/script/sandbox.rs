//! What can a script see? Builds the globals and libraries of a new VM, all of them read-only.
//!
//! Redis has patched its Lua with a read-only mark on tables. LuaJIT has none, and its interpreter
//! writes to existing fields without asking anybody, so a read-only table is an *empty* one here, a
//! proxy: reads fall through `__index` to the real table, every write is a new field and meets
//! `__newindex`. The globals that functions are born with are such a proxy too.
//!
//! Invariants:
//! - No script ever holds a real table. They are reached only through metatables, and `getmetatable`
//!   is ours. Functions that look past metatables (`next`, `pairs`, `rawget`, `table.foreach`,
//!   `cjson.encode` ...) are ours and look at the real table for the length of the call; those that
//!   write past them (`rawset`, `setmetatable`, `table.insert`) refuse.
//! - Only names that Redis offers are there, whatever the Lua at hand would bring.
//! - Nothing that scripts hold has a finalizer (`newproxy` makes none), so no code of one script runs
//!   in the time of another.
//! - `getfenv` and `setfenv`, where they are enabled, deal in proxies: all functions are born with one.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::{CStr, c_int, c_void};

use mlua_sys as ffi;

use super::lua::{Function, GLOBALS, Kind, Lua, REGISTRY, RawState};
use super::state::Protected;
use super::vm::Purpose;
use super::{api, error, lib, plain, vm};

/// What a script gets that tries to write to a read-only table.
pub(super) const READ_ONLY: &[u8] = b"Attempt to modify a readonly table";

/// The libraries as Lua brings them; what is kept of them is listed below.
const STANDARD: &[(&CStr, Function)] = &[
    (c"", ffi::luaopen_base),
    (c"table", ffi::luaopen_table),
    (c"string", ffi::luaopen_string),
    (c"math", ffi::luaopen_math),
];

const BASE: &[&[u8]] =
    &[b"_VERSION", b"error", b"gcinfo", b"rawequal", b"select", b"tostring", b"type", b"unpack"];

const COROUTINE: &[&[u8]] = &[b"running", b"status"];

const TABLE: &[&[u8]] = &[b"concat"];

const STRING: &[&[u8]] = &[b"byte", b"char", b"dump", b"lower", b"reverse", b"sub", b"upper"];

const MATH: &[&[u8]] = &[
    b"abs", b"acos", b"asin", b"atan", b"atan2", b"ceil", b"cos", b"cosh", b"exp", b"floor",
    b"fmod", b"frexp", b"huge", b"ldexp", b"log", b"log10", b"max", b"min", b"modf", b"pi", b"pow",
    b"sin", b"sinh", b"sqrt", b"tan", b"tanh",
];

/// A library: its name, what is kept of Lua's own, and how ours is added to the table on top.
type Library = (&'static [u8], &'static [&'static [u8]], fn(Lua));

const LIBRARIES: &[Library] = &[
    (b"table", TABLE, lib::table::add),
    (b"string", STRING, lib::string::add),
    (b"math", MATH, lib::math::add),
    (b"bit", &[], lib::bit::add),
    (b"coroutine", COROUTINE, lib::coroutine::add),
    (b"os", &[], lib::os::add),
    (b"cjson", &[], lib::cjson::add),
    (b"cmsgpack", &[], lib::cmsgpack::add),
    (b"struct", &[], lib::structs::add),
];

/// Builds the globals and pushes what the VM keeps on its stack: the error handler, the function that
/// runs scripts, and the table of compiled functions. A C function for a protected call.
///
/// # Safety
///
/// Called by Lua on the main thread of a new state.
pub(super) unsafe extern "C-unwind" fn build(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    for &(name, open) in STANDARD {
        lua.push_function(open, 0);
        lua.push_bytes(name.to_bytes());
        lua.call(1, 0);
    }
    let mut identities = Identities::default();
    lua.push_table(0, 64);
    let globals = lua.top();
    copy_fields(lua, GLOBALS, globals, BASE);
    for &(name, kept, add) in LIBRARIES {
        build_library(lua, name, kept, add, &mut identities);
        lua.raw_set_field(globals, name);
    }
    api::push_table(lua);
    protect(lua, &mut identities);
    lua.raw_set_field(globals, b"redis");
    let purpose = lua.state().purpose;
    if purpose == Purpose::Scripts {
        lua.push_function(error::handler, 0);
        lua.raw_set_field(globals, b"__redis__err__handler");
    }

    protect_strings(lua, globals, &mut identities);
    protect_globals(lua, globals, &mut identities);
    // The stack: the real globals, their proxy, the tables that `getmetatable` shows.
    lib::base::add(lua, globals);
    forget_standard(lua, globals + 1);
    if purpose == Purpose::Functions {
        prepare_loading(lua, globals, &mut identities);
    }
    identities.publish(lua);

    lua.push_function(error::handler, 0);
    lua.push_table(16, 0);
    let functions = lua.top();
    lua.copy(globals);
    lua.copy(globals + 1);
    lua.copy(functions);
    match purpose {
        Purpose::Scripts => {
            lua.push_bytes(b"KEYS");
            lua.push_bytes(b"ARGV");
            lua.push_function(vm::run_script, 5);
        }
        Purpose::Functions => lua.push_function(vm::run_function, 3),
    }
    lua.insert(functions);
    if purpose == Purpose::Scripts {
        plain::make_runner(lua, globals, functions + 1);
    }
    3
}

/// Copies the named fields from one table to another. Those that this Lua lacks are left out.
fn copy_fields(lua: Lua, from: c_int, to: c_int, names: &[&[u8]]) {
    for name in names {
        lua.raw_get_field(from, name);
        lua.raw_set_field(to, name);
    }
}

/// Pushes the proxy of a library.
fn build_library(lua: Lua, name: &[u8], kept: &[&[u8]], add: fn(Lua), identities: &mut Identities) {
    lua.raw_get_field(GLOBALS, name);
    let standard = lua.top();
    lua.push_table(0, kept.len() + 8);
    if lua.kind(standard) == Kind::Table {
        copy_fields(lua, standard, standard + 1, kept);
    }
    add(lua);
    lua.remove(standard);
    protect(lua, identities);
}

/// Replaces the table on top by a proxy for reading it.
fn protect(lua: Lua, identities: &mut Identities) {
    let real = lua.top();
    lua.push_table(0, 0);
    lua.push_table(0, 2);
    lua.copy(real);
    lua.raw_set_field(real + 2, b"__index");
    lua.push_function(reject_write, 0);
    lua.raw_set_field(real + 2, b"__newindex");
    lua.set_metatable(real + 1);
    lua.remove(real);
    identities.add(lua.identity(real));
}

/// Gives strings their methods, and pushes nothing; what `getmetatable` shows goes to the registry.
fn protect_strings(lua: Lua, globals: c_int, identities: &mut Identities) {
    lua.raw_get_field(globals, b"string");
    let proxy = lua.top();
    push_real(lua, proxy);
    lua.push_bytes(b"");
    lua.push_table(0, 1);
    lua.copy(proxy + 1);
    lua.raw_set_field(proxy + 3, b"__index");
    lua.set_metatable(proxy + 2);
    lua.set_top(proxy);
    lua.push_table(0, 1);
    lua.insert(proxy);
    lua.raw_set_field(proxy, b"__index");
    protect(lua, identities);
    lua.raw_set_field(REGISTRY, lib::base::STRING_METATABLE);
}

/// Pushes the proxy of the real globals at `globals`; what `getmetatable` shows of it goes to the
/// registry.
fn protect_globals(lua: Lua, globals: c_int, identities: &mut Identities) {
    lua.push_table(0, 1);
    lua.push_function(missing_global, 0);
    lua.raw_set_field(globals + 1, b"__index");
    lua.set_metatable(globals);

    lua.push_table(0, 1);
    lua.push_function(missing_global, 0);
    lua.raw_set_field(globals + 1, b"__index");
    protect(lua, identities);
    lua.raw_set_field(REGISTRY, lib::base::GLOBALS_METATABLE);

    lua.copy(globals);
    protect(lua, identities);
    lua.copy(globals + 1);
    lua.raw_set_field(globals, b"_G");
}

/// Empties what the standard libraries left behind and makes the proxy at `proxy` the globals.
fn forget_standard(lua: Lua, proxy: c_int) {
    lua.copy(GLOBALS);
    let standard = lua.top();
    lua.push_nil();
    while lua.next(standard) {
        lua.pop(1);
        lua.copy(-1);
        lua.push_nil();
        lua.raw_set(standard);
    }
    lua.set_top(standard - 1);
    lua.push_nil();
    lua.raw_set_field(REGISTRY, b"_LOADED");
    lua.copy(proxy);
    lua.replace(GLOBALS);
}

/// Where all globals of functions are kept while a library sees only some.
const ALL_GLOBALS: &[u8] = b"all globals";

/// Where that is which is called `redis` while a library is loaded.
const LOAD_API: &[u8] = b"load API";

/// Keeps in the registry what [`narrow_globals`] and [`widen_globals`] need.
fn prepare_loading(lua: Lua, globals: c_int, identities: &mut Identities) {
    lua.push_table(0, 64);
    let all = lua.top();
    lua.push_nil();
    while lua.next(globals) {
        lua.copy(-2);
        lua.insert(-2);
        lua.raw_set(all);
    }
    lua.raw_set_field(REGISTRY, ALL_GLOBALS);

    api::push_load_table(lua);
    lua.push_table(0, 1);
    let table = lua.top();
    lua.push_function(missing_global, 0);
    lua.raw_set_field(table, b"__index");
    lua.set_metatable(-2);
    protect(lua, identities);
    lua.raw_set_field(REGISTRY, LOAD_API);
}

/// Takes everything out of the real globals on top, which it pops, but a `redis` that can register functions: that is
/// what the text of a library sees. Raises nothing, since no field is new.
pub(super) fn narrow_globals(lua: Lua) {
    let globals = lua.top();
    lua.raw_get_field(REGISTRY, ALL_GLOBALS);
    lua.push_nil();
    while lua.next(globals + 1) {
        lua.pop(1);
        lua.copy(-1);
        lua.push_nil();
        lua.raw_set(globals);
    }
    lua.raw_get_field(REGISTRY, LOAD_API);
    lua.raw_set_field(globals, b"redis");
    lua.set_top(globals - 1);
}

/// Gives the real globals on top, which it pops, back what [`narrow_globals`] took.
pub(super) fn widen_globals(lua: Lua) {
    let globals = lua.top();
    lua.raw_get_field(REGISTRY, ALL_GLOBALS);
    lua.push_nil();
    while lua.next(globals + 1) {
        lua.copy(-2);
        lua.insert(-2);
        lua.raw_set(globals);
    }
    lua.set_top(globals - 1);
}

/// Pushes the real table behind the proxy at `index`, an absolute one.
fn push_real(lua: Lua, index: c_int) {
    lua.push_metatable(index);
    lua.push_bytes(b"__index");
    lua.raw_get(-2);
    lua.remove(-2);
}

/// Whether the value is a table that scripts must not write to.
#[inline]
pub(super) fn is_protected(lua: Lua, index: c_int) -> bool {
    lua.state().protected.get().is_some_and(|tables| tables.contains(lua.identity(index)))
}

/// Replaces a read-only table at the absolute `index` of a C function's frame by the real one, for
/// reading past metatables. The caller must not let it out.
#[inline]
pub(super) fn resolve(lua: Lua, index: c_int) {
    if is_protected(lua, index) {
        push_real(lua, index);
        lua.replace(index);
    }
}

/// Raises if the value is a read-only table. Library functions say so without a position.
#[inline]
pub(super) fn check_writable(lua: Lua, index: c_int) {
    if is_protected(lua, index) {
        lua.error_bare(READ_ONLY);
    }
}

/// `__newindex` of proxies.
unsafe extern "C-unwind" fn reject_write(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    unsafe { Lua::from_raw(raw) }.error(READ_ONLY)
}

/// `__index` of the globals.
unsafe extern "C-unwind" fn missing_global(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    if lua.top() != 2 {
        lua.error(b"Wrong number of arguments to luaProtectedTableError");
    }
    match lua.text(2) {
        Some(name) => lua.error_parts(&[
            b"Script attempted to access nonexistent global variable '",
            error::c_text(name),
            b"'",
        ]),
        None => lua.error(b"Second argument to luaProtectedTableError must be a string or number"),
    }
}

/// The proxies made so far. On the stack of `build`, so without a destructor.
#[derive(Clone, Copy)]
struct Identities {
    tables: [*const c_void; Self::MAX],
    len: usize,
}

impl Default for Identities {
    fn default() -> Self {
        Self { tables: [std::ptr::null(); Self::MAX], len: 0 }
    }
}

impl Identities {
    /// More than there are libraries.
    const MAX: usize = 24;

    fn add(&mut self, table: *const c_void) {
        self.tables[self.len] = table;
        self.len += 1;
    }

    /// Makes them known to [`is_protected`].
    fn publish(self, lua: Lua) {
        let protected = Protected::new(self.tables[..self.len].to_vec());
        let first = lua.state().protected.set(protected);
        assert!(first.is_ok(), "a VM is built once");
    }
}
