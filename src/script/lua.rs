//! How does Rust code stand on a Lua stack? The raw C API, once, behind a handle that is one pointer.
//!
//! [`Lua`] is made by `unsafe` entry points only, and its methods are safe to *call* because of what
//! its maker promised for as long as the handle is used (the contract of [`Lua::from_raw`]). That
//! keeps the functions above readable; what they must still keep in mind is stated here, once:
//!
//! - **Errors jump.** Every method marked "may raise" leaves the frame by a Lua error (unwinding with
//!   LuaJIT, `longjmp` with plain Lua). No value with a destructor may be alive across such a call.
//!   Buffers therefore live in [`State`](super::state::State), not in frames.
//! - **Strings are borrowed from the stack.** A slice got from the stack is good as long as the value
//!   stays on it (Lua's collector does not move strings).
//! - **Room.** A C function starts with room for `LUA_MINSTACK` (20) values; more needs [`Lua::reserve`].
#![expect(unsafe_code, reason = "the raw Lua API is reached here")]

use std::ffi::{CStr, c_int, c_void};

use mlua_sys as ffi;
pub(super) use mlua_sys::{
    lua_CFunction as Function, lua_State as RawState, lua_upvalueindex as upvalue,
};

use super::state::State;

/// All results, in calls.
pub(super) const ALL: c_int = ffi::LUA_MULTRET;
/// Where the globals of the running thread are.
pub(super) const GLOBALS: c_int = ffi::LUA_GLOBALSINDEX;
/// Where values are that scripts never see.
pub(super) const REGISTRY: c_int = ffi::LUA_REGISTRYINDEX;

/// The type of a value on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no such slot.
    None,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

/// A running Lua state as seen by the C function (or the entry point) that holds it.
#[derive(Clone, Copy)]
pub(super) struct Lua(*mut RawState);

/// A record of a frame on the call stack.
pub(super) struct Frame(ffi::lua_Debug);

impl Lua {
    /// # Safety
    ///
    /// `raw` is a live Lua state or coroutine of a [`Vm`](super::vm::Vm), entered by this thread
    /// alone. As long as the handle is used: indices name slots of the current frame (or are
    /// acceptable ones for methods that say so), no more values are pushed than there is room, calls
    /// that may raise happen under a protected call, and no destructor waits in a frame that a raise
    /// leaves.
    #[inline(always)]
    pub(super) unsafe fn from_raw(raw: *mut RawState) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub(super) fn raw(self) -> *mut RawState {
        self.0
    }

    /// The VM's own data.
    #[inline(always)]
    pub(super) fn state<'a>(self) -> &'a State {
        let mut data: *mut c_void = std::ptr::null_mut();
        // SAFETY: the handle is live; every state of a `Vm` is made with its `State` as the
        // allocator's data, which outlives the Lua state and is only ever shared.
        unsafe {
            ffi::lua_getallocf(self.0, &raw mut data);
            &*data.cast::<State>()
        }
    }
}

/// The stack itself.
impl Lua {
    #[inline(always)]
    pub(super) fn top(self) -> c_int {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_gettop(self.0) }
    }

    #[inline(always)]
    pub(super) fn set_top(self, top: c_int) {
        // SAFETY: contract of `from_raw`; growing fills with nil, within the room.
        unsafe { ffi::lua_settop(self.0, top) }
    }

    #[inline(always)]
    pub(super) fn pop(self, count: c_int) {
        // SAFETY: contract of `from_raw`: that many values are there.
        unsafe { ffi::lua_settop(self.0, -count - 1) }
    }

    #[inline(always)]
    pub(super) fn copy(self, index: c_int) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_pushvalue(self.0, index) }
    }

    pub(super) fn remove(self, index: c_int) {
        // SAFETY: contract of `from_raw`: a real slot.
        unsafe { ffi::lua_remove(self.0, index) }
    }

    pub(super) fn insert(self, index: c_int) {
        // SAFETY: contract of `from_raw`: a real slot.
        unsafe { ffi::lua_insert(self.0, index) }
    }

    pub(super) fn replace(self, index: c_int) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_replace(self.0, index) }
    }

    /// Makes room for `count` more values; false at the limit of a C function.
    #[inline]
    pub(super) fn reserve(self, count: c_int) -> bool {
        // SAFETY: contract of `from_raw`; the function reports lack of memory by its result.
        unsafe { ffi::lua_checkstack(self.0, count) != 0 }
    }

    /// Makes room for `count` more values. May raise.
    pub(super) fn reserve_or_raise(self, count: c_int) {
        if !self.reserve(count) {
            self.error(b"stack overflow");
        }
    }

    /// Moves the `count` topmost values to another coroutine of the same VM.
    pub(super) fn hand_over(self, to: Lua, count: c_int) {
        // SAFETY: both are states of one VM, and `to` has room (the caller reserved it).
        unsafe { ffi::lua_xmove(self.0, to.0, count) }
    }
}

/// Reading values. The index may name a missing slot.
impl Lua {
    #[inline(always)]
    pub(super) fn kind(self, index: c_int) -> Kind {
        // SAFETY: contract of `from_raw`; acceptable indices answer LUA_TNONE.
        match unsafe { ffi::lua_type(self.0, index) } {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TTHREAD => Kind::Thread,
            ffi::LUA_TNONE => Kind::None,
            _ => Kind::Userdata,
        }
    }

    /// Lua's name of the value's type.
    pub(super) fn kind_name<'a>(self, index: c_int) -> &'a [u8] {
        // SAFETY: contract of `from_raw`; type names are static C strings.
        unsafe { CStr::from_ptr(ffi::luaL_typename(self.0, index)).to_bytes() }
    }

    /// The number, or a string's value as a number, or 0.
    #[inline(always)]
    pub(super) fn number(self, index: c_int) -> f64 {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_tonumber(self.0, index) }
    }

    /// Whether it is a number or a string that reads as one.
    pub(super) fn is_numeric(self, index: c_int) -> bool {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_isnumber(self.0, index) != 0 }
    }

    #[inline(always)]
    pub(super) fn truth(self, index: c_int) -> bool {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_toboolean(self.0, index) != 0 }
    }

    /// The bytes of a string; a number at the index becomes a string in place. `None` for the rest.
    /// May raise (no memory) for numbers.
    #[inline(always)]
    pub(super) fn text<'a>(self, index: c_int) -> Option<&'a [u8]> {
        let mut len = 0;
        // SAFETY: contract of `from_raw`.
        let start = unsafe { ffi::lua_tolstring(self.0, index, &raw mut len) };
        if start.is_null() {
            return None;
        }
        // SAFETY: Lua gives the start and the length of the string's bytes, which stay where they
        // are while the value is on the stack.
        Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
    }

    /// The bytes of a string; `None` for everything else, numbers too.
    #[inline(always)]
    pub(super) fn bytes<'a>(self, index: c_int) -> Option<&'a [u8]> {
        if self.kind(index) == Kind::String { self.text(index) } else { None }
    }

    pub(super) fn is_c_function(self, index: c_int) -> bool {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_iscfunction(self.0, index) != 0 }
    }

    /// Where a light userdata points.
    pub(super) fn userdata(self, index: c_int) -> *mut c_void {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_touserdata(self.0, index) }
    }

    /// The identity of a table, function, thread or userdata.
    #[inline(always)]
    pub(super) fn identity(self, index: c_int) -> *const c_void {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_topointer(self.0, index) }
    }

    /// The coroutine at the index.
    pub(super) fn thread(self, index: c_int) -> Option<Lua> {
        // SAFETY: contract of `from_raw`.
        let thread = unsafe { ffi::lua_tothread(self.0, index) };
        if thread.is_null() { None } else { Some(Lua(thread)) }
    }

    /// `#value` without metamethods.
    #[inline(always)]
    pub(super) fn len(self, index: c_int) -> usize {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_objlen(self.0, index) }
    }
}

/// Pushing values. What allocates may raise (no memory).
impl Lua {
    #[inline(always)]
    pub(super) fn push_nil(self) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_pushnil(self.0) }
    }

    #[inline(always)]
    pub(super) fn push_number(self, value: f64) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_pushnumber(self.0, value) }
    }

    #[inline(always)]
    pub(super) fn push_len(self, value: usize) {
        self.push_number(value as f64);
    }

    #[inline(always)]
    pub(super) fn push_bool(self, value: bool) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_pushboolean(self.0, c_int::from(value)) }
    }

    #[inline(always)]
    pub(super) fn push_bytes(self, bytes: &[u8]) {
        // SAFETY: contract of `from_raw`; Lua copies the bytes.
        unsafe { ffi::lua_pushlstring_(self.0, bytes.as_ptr().cast(), bytes.len()) }
    }

    pub(super) fn push_light(self, pointer: *mut c_void) {
        // SAFETY: contract of `from_raw`; Lua never follows the pointer.
        unsafe { ffi::lua_pushlightuserdata(self.0, pointer) }
    }

    /// Pushes a C function that keeps the `upvalues` topmost values, which it pops.
    pub(super) fn push_function(self, function: Function, upvalues: c_int) {
        // SAFETY: contract of `from_raw`; all functions handed in follow Lua's calling convention.
        unsafe { ffi::lua_pushcclosure(self.0, function, upvalues) }
    }

    #[inline(always)]
    pub(super) fn push_table(self, array_len: usize, fields: usize) {
        let clamp = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX);
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_createtable(self.0, clamp(array_len), clamp(fields)) }
    }

    /// Pushes a userdata of no bytes.
    pub(super) fn push_empty_userdata(self) {
        // SAFETY: contract of `from_raw`.
        unsafe {
            ffi::lua_newuserdata(self.0, 0);
        }
    }

    /// Pushes a userdata that holds `value`.
    pub(super) fn push_userdata<T>(self, value: T) {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 8) }
        // SAFETY: contract of `from_raw`.
        let place = unsafe { ffi::lua_newuserdata(self.0, size_of::<T>()) };
        // SAFETY: Lua gives that many bytes, aligned for a double; nothing was there before, and
        // nothing has to be dropped when they are collected.
        unsafe { place.cast::<T>().write(value) }
    }

    /// Pushes a new coroutine.
    pub(super) fn push_thread(self) -> Lua {
        // SAFETY: contract of `from_raw`; the new state belongs to the same VM.
        Lua(unsafe { ffi::lua_newthread(self.0) })
    }

    /// Joins the `count` topmost strings and numbers into one.
    pub(super) fn concat(self, count: c_int) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_concat(self.0, count) }
    }
}

/// Tables.
impl Lua {
    /// Replaces the key on top by `table[key]`, without metamethods.
    #[inline(always)]
    pub(super) fn raw_get(self, table: c_int) {
        // SAFETY: contract of `from_raw`: `table` is one.
        unsafe { ffi::lua_rawget_(self.0, table) }
    }

    /// Pushes `table[index]`, without metamethods.
    #[inline(always)]
    pub(super) fn raw_get_index(self, table: c_int, index: c_int) {
        // SAFETY: contract of `from_raw`: `table` is one.
        unsafe { ffi::lua_rawgeti_(self.0, table, index) }
    }

    /// Pushes `table[name]`, without metamethods. `table` is a positive or pseudo index.
    #[inline]
    pub(super) fn raw_get_field(self, table: c_int, name: &[u8]) {
        debug_assert!(table > 0 || table <= REGISTRY);
        self.push_bytes(name);
        self.raw_get(table);
    }

    /// `table[key] = value` for the two topmost values, which it pops; without metamethods.
    #[inline(always)]
    pub(super) fn raw_set(self, table: c_int) {
        // SAFETY: contract of `from_raw`: `table` is one and the key is neither nil nor nan (Lua
        // raises then).
        unsafe { ffi::lua_rawset(self.0, table) }
    }

    /// `table[index] = value` for the topmost value, which it pops; without metamethods.
    #[inline(always)]
    pub(super) fn raw_set_index(self, table: c_int, index: c_int) {
        // SAFETY: contract of `from_raw`: `table` is one.
        unsafe { ffi::lua_rawseti_(self.0, table, index) }
    }

    /// `table[name] = value` for the topmost value, which it pops. `table` is positive or pseudo.
    #[inline]
    pub(super) fn raw_set_field(self, table: c_int, name: &[u8]) {
        debug_assert!(table > 0 || table <= REGISTRY);
        self.push_bytes(name);
        self.insert(-2);
        self.raw_set(table);
    }

    /// Replaces the key on top by `value[key]`, with metamethods. May raise.
    pub(super) fn get(self, value: c_int) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_gettable_(self.0, value) }
    }

    /// Replaces the key on top by the pair that follows it; false, and nothing, at the end.
    #[inline(always)]
    pub(super) fn next(self, table: c_int) -> bool {
        // SAFETY: contract of `from_raw`: `table` is one. An unknown key raises.
        unsafe { ffi::lua_next(self.0, table) != 0 }
    }

    /// Pushes the value's metatable; false, and nothing, if it has none.
    #[inline(always)]
    pub(super) fn push_metatable(self, index: c_int) -> bool {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_getmetatable(self.0, index) != 0 }
    }

    /// Sets the metatable of the value to the topmost table or nil, which it pops.
    pub(super) fn set_metatable(self, index: c_int) {
        // SAFETY: contract of `from_raw`.
        unsafe {
            ffi::lua_setmetatable(self.0, index);
        }
    }

    /// Pushes an upvalue of the function; nothing if it has fewer.
    pub(super) fn push_upvalue(self, function: c_int, number: c_int) {
        // SAFETY: contract of `from_raw`: a function.
        unsafe {
            ffi::lua_getupvalue(self.0, function, number);
        }
    }

    /// Pushes the metatable's field of that name; false, and nothing, if there is none.
    pub(super) fn push_meta_field(self, index: c_int, name: &CStr) -> bool {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::luaL_getmetafield_(self.0, index, name.as_ptr()) != 0 }
    }

    /// Sets the environment of the function or thread to the topmost table, which it pops.
    #[inline(always)]
    pub(super) fn set_environment(self, index: c_int) -> bool {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_setfenv(self.0, index) != 0 }
    }
}

/// Running code.
impl Lua {
    /// Calls the function below its `arguments`. May raise.
    #[inline(always)]
    pub(super) fn call(self, arguments: c_int, results: c_int) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_call(self.0, arguments, results) }
    }

    /// Calls the function below its `arguments`; an error is left on top, having gone through the
    /// function at `handler` (0 is none).
    #[inline(always)]
    pub(super) fn protected_call(
        self,
        arguments: c_int,
        results: c_int,
        handler: c_int,
    ) -> Result<(), CallError> {
        // SAFETY: contract of `from_raw`.
        match unsafe { ffi::lua_pcall(self.0, arguments, results, handler) } {
            ffi::LUA_OK => Ok(()),
            ffi::LUA_ERRMEM => Err(CallError::Memory),
            ffi::LUA_ERRERR => Err(CallError::Handler),
            _ => Err(CallError::Raised),
        }
    }

    /// Continues a coroutine with the `arguments` on its stack. `Ok(true)`: it has yielded.
    pub(super) fn resume(self, arguments: c_int) -> Result<bool, ()> {
        // SAFETY: contract of `from_raw`; the caller checked that the coroutine is suspended.
        match unsafe { ffi::lua_resume_(self.0, arguments) } {
            ffi::LUA_OK => Ok(false),
            ffi::LUA_YIELD => Ok(true),
            _ => Err(()),
        }
    }

    /// Ends the running coroutine's C function with a yield of the topmost `results` values. What is
    /// returned here must be returned to Lua.
    pub(super) fn suspend(self, results: c_int) -> c_int {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::lua_yield(self.0, results) }
    }

    /// Lua's status of a coroutine: `Ok(true)` suspended in a yield, `Ok(false)` otherwise alive.
    pub(super) fn thread_status(self) -> Result<bool, ()> {
        // SAFETY: contract of `from_raw`.
        match unsafe { ffi::lua_status(self.0) } {
            ffi::LUA_OK => Ok(false),
            ffi::LUA_YIELD => Ok(true),
            _ => Err(()),
        }
    }

    /// Compiles what `reader` yields and pushes the function, or the error's text.
    ///
    /// # Safety
    ///
    /// `reader` follows Lua's protocol with `data`, which is alive during the call.
    pub(super) unsafe fn load(
        self,
        reader: ffi::lua_Reader,
        data: *mut c_void,
        chunk_name: &CStr,
    ) -> bool {
        // SAFETY: contract of `from_raw` and of this function.
        unsafe { ffi::lua_load(self.0, reader, data, chunk_name.as_ptr()) == ffi::LUA_OK }
    }

    /// The bytecode of the Lua function on top; empty if there is none.
    pub(super) fn dump(self) -> Vec<u8> {
        unsafe extern "C-unwind" fn write(
            _lua: *mut RawState,
            part: *const c_void,
            len: usize,
            out: *mut c_void,
        ) -> c_int {
            // SAFETY: `dump` hands its vector through Lua, and Lua `len` bytes.
            unsafe {
                let part = std::slice::from_raw_parts(part.cast::<u8>(), len);
                (*out.cast::<Vec<u8>>()).extend_from_slice(part);
            }
            0
        }
        let mut out = Vec::new();
        // SAFETY: contract of `from_raw`; an error comes back as the result, it is not raised.
        let status = unsafe { ffi::lua_dump_(self.0, write, (&raw mut out).cast()) };
        if status != 0 {
            out.clear();
        }
        out
    }

    /// Calls `hook` at the given events. The hook is the VM's own (see `vm`).
    pub(super) fn set_hook(self, hook: ffi::lua_Hook, events: c_int, count: c_int) {
        // SAFETY: contract of `from_raw`; the hook follows Lua's calling convention.
        unsafe {
            ffi::lua_sethook(self.0, Some(hook), events, count);
        }
    }

    /// Calls no hook from now on.
    pub(super) fn remove_hook(self) {
        // SAFETY: contract of `from_raw`.
        unsafe {
            ffi::lua_sethook(self.0, None, 0, 0);
        }
    }

    /// Runs the garbage collector's operation `what`.
    pub(super) fn collect(self, what: c_int, data: c_int) -> c_int {
        // SAFETY: contract of `from_raw`. No finalizer of a script exists (see `lib::base`).
        unsafe { ffi::lua_gc(self.0, what, data) }
    }

    /// The frame `level` above the running function (level 0), if there is one.
    pub(super) fn frame(self, level: c_int) -> Option<Frame> {
        // SAFETY: a record of integers and pointers; all zeros is a valid one.
        let mut record: ffi::lua_Debug = unsafe { std::mem::zeroed() };
        // SAFETY: contract of `from_raw`.
        let found = unsafe { ffi::lua_getstack(self.0, level, &raw mut record) } != 0;
        if !found {
            return None;
        }
        // SAFETY: the record was just filled by `lua_getstack` for a frame that is still there.
        unsafe {
            ffi::lua_getinfo(self.0, c"Sl".as_ptr(), &raw mut record);
        }
        Some(Frame(record))
    }
}

impl Frame {
    /// Whether the frame is one of a C function.
    pub(super) fn is_c(&self) -> bool {
        // SAFETY: `what` was filled by `lua_getinfo("S")` with a static C string.
        unsafe { CStr::from_ptr(self.0.what) == c"C" }
    }

    /// The name of the chunk, `@user_script`; good until the next push.
    pub(super) fn source(&self) -> &[u8] {
        // SAFETY: `source` was filled by `lua_getinfo("S")`; the chunk's name lives while its
        // function is on the call stack.
        unsafe { CStr::from_ptr(self.0.source).to_bytes() }
    }

    /// The line that runs, -1 in C functions.
    pub(super) fn line(&self) -> i32 {
        self.0.currentline
    }
}

/// Why a protected call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// An error was raised.
    Raised,
    /// There was no memory; the handler was not called.
    Memory,
    /// The error handler itself failed.
    Handler,
}

/// Raising errors, and checking arguments: all of these may raise.
impl Lua {
    /// Raises the value on top.
    pub(super) fn raise(self) -> ! {
        // SAFETY: contract of `from_raw`: a protected call is active.
        unsafe { ffi::lua_error(self.0) }
    }

    /// Raises `text` behind the position of the caller.
    #[cold]
    pub(super) fn error(self, text: &[u8]) -> ! {
        self.error_parts(&[text])
    }

    /// Raises the joined parts behind the position of the caller.
    #[cold]
    pub(super) fn error_parts(self, parts: &[&[u8]]) -> ! {
        self.reserve(parts.len() as c_int + 1);
        self.push_position(1);
        for part in parts {
            self.push_bytes(part);
        }
        self.concat(parts.len() as c_int + 1);
        self.raise()
    }

    /// Raises `text` as it is, without a position.
    #[cold]
    pub(super) fn error_bare(self, text: &[u8]) -> ! {
        self.push_bytes(text);
        self.raise()
    }

    /// Pushes `chunk:line:` of the frame at `level`, or an empty string.
    pub(super) fn push_position(self, level: c_int) {
        // SAFETY: contract of `from_raw`.
        unsafe { ffi::luaL_where(self.0, level) }
    }

    /// Raises "bad argument #n to 'f' (text)".
    #[cold]
    pub(super) fn argument_error(self, argument: c_int, text: &CStr) -> ! {
        // SAFETY: contract of `from_raw`; it does not return.
        unsafe {
            ffi::luaL_argerror(self.0, argument, text.as_ptr());
        }
        unreachable!("luaL_argerror raises")
    }

    /// Raises that the string at `argument` is no known option.
    #[cold]
    pub(super) fn invalid_option(self, argument: c_int) -> ! {
        self.push_bytes(b"invalid option '");
        self.copy(argument);
        self.push_bytes(b"'");
        self.concat(3);
        self.argument_error_on_top(argument)
    }

    /// Raises "bad argument #n to 'f'" with the string on top for the text.
    #[cold]
    pub(super) fn argument_error_on_top(self, argument: c_int) -> ! {
        let text = self.text(-1).unwrap_or_default();
        // SAFETY: Lua ends its strings with a zero byte.
        let text = unsafe { CStr::from_ptr(text.as_ptr().cast()) };
        self.argument_error(argument, text)
    }

    /// Raises "bad argument #n to 'f' (expected expected, got ...)".
    #[cold]
    pub(super) fn type_error(self, argument: c_int, expected: &CStr) -> ! {
        // SAFETY: contract of `from_raw`; it does not return.
        unsafe {
            ffi::luaL_typerror(self.0, argument, expected.as_ptr());
        }
        unreachable!("luaL_typerror raises")
    }

    #[inline]
    pub(super) fn check_table(self, argument: c_int) {
        if self.kind(argument) != Kind::Table {
            self.type_error(argument, c"table");
        }
    }

    /// Some value must be there, nil too.
    pub(super) fn check_any(self, argument: c_int) {
        if self.kind(argument) == Kind::None {
            self.argument_error(argument, c"value expected");
        }
    }

    /// A string, or a number, which becomes a string in place.
    #[inline]
    pub(super) fn check_text<'a>(self, argument: c_int) -> &'a [u8] {
        match self.text(argument) {
            Some(bytes) => bytes,
            None => self.type_error(argument, c"string"),
        }
    }

    #[inline]
    pub(super) fn check_number(self, argument: c_int) -> f64 {
        if self.kind(argument) == Kind::Number || self.is_numeric(argument) {
            self.number(argument)
        } else {
            self.type_error(argument, c"number")
        }
    }

    /// A number without its fraction, in the range of C's `ptrdiff_t` (as x86 converts it).
    #[inline]
    pub(super) fn check_integer(self, argument: c_int) -> i64 {
        to_integer(self.check_number(argument))
    }

    /// A number without its fraction, cut to C's `int`.
    #[inline]
    pub(super) fn check_int(self, argument: c_int) -> i32 {
        self.check_integer(argument) as i32
    }

    /// Whether the argument is absent or nil.
    #[inline]
    pub(super) fn is_absent(self, argument: c_int) -> bool {
        matches!(self.kind(argument), Kind::None | Kind::Nil)
    }
}

/// The integer that x86 makes of a double: cut towards zero, and the smallest one for what does not
/// fit or is no number.
#[inline]
pub(super) fn to_integer(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_become_integers_as_on_x86() {
        assert_eq!(to_integer(3.99), 3);
        assert_eq!(to_integer(-3.99), -3);
        assert_eq!(to_integer(f64::NAN), i64::MIN);
        assert_eq!(to_integer(1e300), i64::MIN);
        assert_eq!(to_integer(-9_223_372_036_854_775_808.0), i64::MIN);
    }
}
