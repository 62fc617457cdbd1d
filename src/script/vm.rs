//! How is a script run? One Lua state, its compiled scripts, and the way in and out.
//!
//! The way of one EVAL: [`Vm::eval`] finds the compiled function by SHA1, notes for whom it runs in
//! `State::run`, and makes one protected call of `run_script`. That C function makes KEYS and
//! ARGV, calls the script and writes its value as a reply. An error comes out of the protected call
//! with its place noted by the handler and is written by a second protected call, of
//! `error::report`, since even that may lack memory.
//!
//! How the host gets its say while a script runs is told in `tick`. LuaJIT's compiler would not call hooks;
//! it stays off because its library is never opened.
#![expect(unsafe_code, reason = "makes and enters the raw Lua state")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;

use mlua_sys as ffi;

use super::bytecode::{self, Codes};
use super::error;
use super::flags;
use super::host::ScriptHost;
use super::lua::{CallError, GLOBALS, Lua, RawState, upvalue};
use super::random::Random;
use super::source;
use super::state::{Registered, Run, State};
use super::{convert, plain, sandbox, tick};
use crate::base::sha1::{self, DigestHash};
use crate::config::Config;
use crate::config::params::Param;
use crate::resp::reply::{Protocol, Reply};

/// Longer sources are refused: the compiler runs without a tick.
const SOURCE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Compiled scripts that a VM keeps; past that it forgets the one that was not used for longest. The
/// source is always at hand to compile it again.
const COMPILED_MAX: usize = 4096;

/// Garbage that scripts may leave before it is collected, between two of them. What stays alive is some 100 KiB, and
/// marking it costs the same however much garbage there is, so waiting pays; but only as long as the garbage stays in the caches, it
/// seems: a lock's release takes 5 to 9 % less processor time with this than with 512 KiB and a fixed window 2 %, and these and
/// a sliding window 1 to 5 % less than with 96 KiB.
const GARBAGE_BYTES_MIN: usize = 160 * 1024;

/// A heap above this is not collected at once on demand: that would take more than some milliseconds.
const COLLECT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is alive is rarely as much, so that another collection may find that it is not.
const LARGE_BYTES: usize = 4 * 1024 * 1024;

/// The collector's pace inside a script, in percent of what was alive: Lua's own.
const PACE: c_int = 200;

/// What a VM may do.
#[derive(Clone, Copy, Debug)]
pub struct VmOptions {
    /// Bytes of Lua values that scripts may hold before they get "not enough memory".
    pub memory_bytes_max: usize,
    /// Where `math.random` begins; `None` is where Redis begins.
    pub random_seed: Option<i32>,
    /// Whether scripts get `getfenv`, `setfenv` and `newproxy`, which Redis no longer offers unless
    /// `lua-enable-deprecated-api` says so.
    pub deprecated_api: bool,
    /// What it is for.
    pub purpose: Purpose,
}

impl Default for VmOptions {
    fn default() -> Self {
        Self {
            memory_bytes_max: 1 << 30,
            random_seed: None,
            deprecated_api: false,
            purpose: Purpose::Scripts,
        }
    }
}

impl VmOptions {
    /// What the configuration asks for.
    pub fn of(config: &Config) -> Self {
        Self { deprecated_api: config.flag(Param::LuaEnableDeprecatedApi), ..Self::default() }
    }
}

/// What runs in a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The scripts of EVAL, which find their arguments in KEYS and ARGV.
    Scripts,
    /// The functions of libraries, which get them as parameters.
    Functions,
}

/// There is not enough memory for a new VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// One run of a script.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The SHA1 of the source, in lower-case hexadecimal.
    pub sha: &'a [u8; 40],
    /// The source, shebang line included; read when it has to be compiled.
    pub source: &'a [u8],
    /// What it is called with.
    pub call: Call<'a>,
}

/// One run of a function, however it was found.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What errors call it: the SHA1 of a script, or a function's name.
    pub name: &'a [u8],
    /// KEYS.
    pub keys: &'a [&'a [u8]],
    /// ARGV.
    pub args: &'a [&'a [u8]],
    /// The protocol of the client that gets the reply.
    pub protocol: Protocol,
}

/// What a script's reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A value.
    Value,
    /// An error. Either a command inside the script gave it, so that it is in the figures already, or
    /// [`ScriptHost::count_error`] was called.
    Error,
}

/// A Lua state with the scripting sandbox. It may move between threads, one at a time inside.
pub struct Vm {
    state: NonNull<State>,
    lua: *mut RawState,
    compiled: HashMap<[u8; 40], Compiled, DigestHash>,
    /// The highest number that a function was given so far.
    slots: i32,
    /// Numbers of forgotten functions, to be used again.
    free_slots: Vec<i32>,
    runs: u64,
    /// The script that ran last, where it and what runs it are: often it is the next one, too.
    last: Option<([u8; 40], i32, Runner)>,
    /// Bytes in use at which garbage is collected after a script.
    collect_at: usize,
    /// The bytecode instructions that store, if scripts may run without proxies.
    pub(super) codes: Option<Codes>,
    options: VmOptions,
}

// SAFETY: the Lua state and `State` are reached through the `Vm` alone: nothing inside is tied to a
// thread, and scripts keep no pointer to what belongs to a run.
unsafe impl Send for Vm {}
// SAFETY: methods that take `&self` read plain fields and figures that only `&mut self` changes.
unsafe impl Sync for Vm {}

impl std::fmt::Debug for Vm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vm").field("compiled", &self.compiled.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Compiled {
    /// The index in the table of functions.
    slot: i32,
    /// What runs it.
    runner: Runner,
    /// When it ran last, in runs.
    used: u64,
}

/// Slots of the main thread's stack that stay: see `sandbox::build`.
const HANDLER: c_int = 1;
const RUN: c_int = 2;
pub(super) const FUNCTIONS: c_int = 3;

/// What runs a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runner {
    /// What runs all scripts and functions.
    Any,
    /// What runs plain scripts (see `plain`).
    Plain,
    /// The same, without a hook.
    Straight,
}

/// Upvalues of [`run_script`] and [`run_function`], which has the first three.
pub(super) const REAL_GLOBALS: c_int = 1;
pub(super) const GLOBALS_PROXY: c_int = 2;
const RUN_FUNCTIONS: c_int = 3;
const KEYS: c_int = 4;
const ARGV: c_int = 5;

impl Vm {
    /// A new VM.
    pub fn new(options: VmOptions) -> Result<Self, NoMemory> {
        let random = options.random_seed.map_or_else(Random::default, Random::seeded);
        let state = State::new(random, options);
        let state = Box::into_raw(Box::new(state));
        // SAFETY: `allocate` takes exactly this data, which lives until the state is closed.
        let raw = unsafe { ffi::lua_newstate(State::allocate, state.cast()) };
        let state = NonNull::new(state).expect("a box is never null");
        let mut vm = Self {
            state,
            lua: raw,
            compiled: HashMap::default(),
            slots: 0,
            free_slots: Vec::new(),
            runs: 0,
            last: None,
            collect_at: 0,
            codes: None,
            options,
        };
        if raw.is_null() {
            return Err(NoMemory);
        }
        let lua = vm.enter();
        lua.state().main.set(raw);
        lua.push_function(sandbox::build, 0);
        lua.protected_call(0, 3, 0).map_err(|_| NoMemory)?;
        tick::arm(lua);
        if !options.deprecated_api && load_text(lua, bytecode::PROBE, c"=probe") {
            vm.codes = Codes::from_probe(&lua.dump());
        }
        lua.set_top(FUNCTIONS);
        vm.collect();
        Ok(vm)
    }

    /// Forgets all scripts and everything that they left behind (SCRIPT FLUSH). `math.random` goes on
    /// where it stands.
    pub fn flush(&mut self) -> Result<(), NoMemory> {
        let fresh = Self::new(self.options)?;
        // SAFETY: both states are alive, and `&mut self` excludes a run.
        let random = unsafe { self.state.as_ref() }.random.get();
        // SAFETY: as above.
        unsafe { fresh.state.as_ref() }.random.set(random);
        *self = fresh;
        Ok(())
    }

    /// Bytes of Lua values and code.
    pub fn used_memory(&self) -> usize {
        // SAFETY: the state is alive; nobody changes the figure while `&self` is borrowed.
        unsafe { self.state.as_ref() }.memory_used.get()
    }

    /// Collects all garbage now, unless there is so much alive that this would take long.
    pub fn collect_garbage(&mut self) {
        if self.used_memory() < COLLECT_BYTES_MAX {
            self.collect();
        }
    }

    /// How many scripts are compiled.
    pub fn compiled_len(&self) -> usize {
        self.compiled.len()
    }

    /// Whether the script is compiled.
    pub fn has(&self, sha: &[u8; 40]) -> bool {
        self.compiled.contains_key(sha)
    }

    /// Whether a compiled script is plain.
    #[cfg(test)]
    pub(super) fn is_plain(&self, sha: &[u8; 40]) -> Option<bool> {
        self.compiled.get(sha).map(|compiled| compiled.runner != Runner::Any)
    }

    /// Compiles a script, once. The error is what EVAL and SCRIPT LOAD answer, without the dash.
    pub fn compile(&mut self, sha: &[u8; 40], source: &[u8]) -> Result<(), Vec<u8>> {
        self.function(sha, source).map(|_| ())
    }

    /// Runs a script and appends its reply to `out`: its value, or the error that ended it, or why it
    /// cannot be compiled.
    pub fn eval(
        &mut self,
        invocation: &Invocation<'_>,
        host: &mut dyn ScriptHost,
        out: &mut Vec<u8>,
    ) -> Outcome {
        self.runs += 1;
        let call = &invocation.call;
        let (slot, runner) = match self.function(invocation.sha, invocation.source) {
            Ok(found) => found,
            Err(text) => {
                host.count_error(&text);
                Reply::new(out, call.protocol).error(&text);
                return Outcome::Error;
            }
        };
        self.run_slot(slot, runner, call, host, out)
    }

    /// Runs a function by its number, and appends its reply to `out`.
    pub(super) fn run_slot(
        &mut self,
        slot: i32,
        runner: Runner,
        call: &Call<'_>,
        host: &mut dyn ScriptHost,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let start = out.len();
        let run = self.begin(slot, call, host, out);
        let lua = self.enter();
        let state = lua.state();
        match runner {
            Runner::Any => lua.copy(RUN),
            Runner::Plain | Runner::Straight => plain::push_runner(lua, FUNCTIONS),
        }
        tick::prepare(lua, runner == Runner::Straight);
        let result = self.protected(0, 1, HANDLER);
        let outcome = match result {
            Ok(()) if lua.truth(-1) => Outcome::Error,
            Ok(()) => Outcome::Value,
            Err(failure) => {
                self.report(failure, run, start);
                Outcome::Error
            }
        };
        lua.set_top(FUNCTIONS);
        state.run.set(None);
        self.tidy();
        outcome
    }

    /// Notes for whom code runs from now on. `State::run` must be cleared before the borrows end.
    fn begin(
        &mut self,
        slot: i32,
        call: &Call<'_>,
        host: &mut dyn ScriptHost,
        out: &mut Vec<u8>,
    ) -> Run {
        // SAFETY: `State::run` is cleared before the borrows end, and they are exclusive until then.
        let run = unsafe { Run::new(host, call, out, slot) };
        let state = self.enter().state();
        state.resp3.set(false);
        state.depth.set(0);
        state.resume_depth.set(0);
        state.run.set(Some(run));
        run
    }

    /// Calls the function below its `arguments` for the run that has begun.
    fn protected(
        &mut self,
        arguments: c_int,
        results: c_int,
        handler: c_int,
    ) -> Result<(), CallError> {
        let lua = self.enter();
        let state = lua.state();
        state.memory_limited.set(true);
        let result = lua.protected_call(arguments, results, handler);
        // From here on lack of memory would meet nobody, and an error is small.
        state.memory_limited.set(false);
        if state.killed.take().is_some() {
            // No more raising, or the error could not be told.
            tick::arm(lua);
        }
        result
    }

    /// Runs the chunk on top, which registers functions, and leaves the error on the stack if there is one.
    pub(super) fn run_chunk(&mut self, host: &mut dyn ScriptHost) -> Result<(), CallError> {
        let mut out = Vec::new();
        let call = Call { name: b"", keys: &[], args: &[], protocol: Protocol::Resp2 };
        self.begin(0, &call, host, &mut out);
        let result = self.protected(0, 0, 0);
        self.enter().state().run.set(None);
        result
    }

    /// Takes what the chunk has registered.
    pub(super) fn take_registered(&mut self) -> Vec<Registered> {
        // SAFETY: the state is alive and, with `&mut self` and no run, borrowed by nobody.
        unsafe { self.state.as_mut() }.registered.take()
    }

    /// Writes the error on top of the stack, and counts it unless a command has.
    fn report(&mut self, failure: CallError, mut run: Run, start: usize) {
        let lua = self.enter();
        let state = lua.state();
        // What was written of a value that could not be finished goes.
        // SAFETY: the run's buffer is alive, and this is the one use of it right now.
        unsafe { run.out.as_mut() }.truncate(start);
        lua.push_function(error::report, 0);
        lua.insert(-2);
        let mut counted = false;
        if failure != CallError::Handler && lua.protected_call(1, 1, 0).is_ok() {
            counted = lua.truth(-1);
        } else {
            // SAFETY: as above.
            let out = unsafe { run.out.as_mut() };
            out.truncate(start);
            error::write_plain(run, out, b"error in error handling");
        }
        if !counted {
            // SAFETY: as above.
            let out = unsafe { run.out.as_ref() };
            state.host().count_error(&out[start + 1..out.len() - 2]);
        }
    }

    /// What follows every script: a step of the collector now and then, no large buffers, and room.
    pub(super) fn tidy(&mut self) {
        // SAFETY: the state is alive and, with `&mut self` and no run, borrowed by nobody.
        unsafe { self.state.as_mut() }.trim();
        // Lua does not collect when it is refused memory, so the next script needs the room now.
        if self.used_memory() > self.collect_at.min(self.options.memory_bytes_max / 2) {
            self.collect();
        }
    }

    /// Collects all garbage, and keeps the collector from starting by itself before there is as much
    /// again and half more: a script that makes so much is collected while it runs.
    fn collect(&mut self) {
        let lua = self.enter();
        let mut before = self.used_memory();
        lua.collect(ffi::LUA_GCCOLLECT, 0);
        // A buffer in which Lua has joined strings shrinks by half with each collection, and counts as alive.
        while self.used_memory() > LARGE_BYTES && self.used_memory() < before / 4 * 3 {
            before = self.used_memory();
            lua.collect(ffi::LUA_GCCOLLECT, 0);
        }
        let alive = self.used_memory().max(1);
        self.collect_at = alive.saturating_mul(2).max(alive + GARBAGE_BYTES_MIN);
        let start = self.collect_at + self.collect_at / 2;
        // The collector takes a threshold only as a percentage of what is alive.
        let percent = c_int::try_from(start / (alive / 100).max(1)).unwrap_or(c_int::MAX);
        lua.collect(ffi::LUA_GCSETPAUSE, percent);
        lua.collect(ffi::LUA_GCRESTART, -1);
        lua.collect(ffi::LUA_GCSETPAUSE, PACE);
    }

    /// The handle of the main thread.
    pub(super) fn enter(&self) -> Lua {
        // SAFETY: the state is alive until `Drop`; only methods with `&mut self` (and `new`) do
        // anything with the handle, so one thread is inside, and they keep the stack in order.
        unsafe { Lua::from_raw(self.lua) }
    }

    /// The number of the compiled script and what runs it, compiling it if need be.
    fn function(&mut self, sha: &[u8; 40], source: &[u8]) -> Result<(i32, Runner), Vec<u8>> {
        if let Some((last, slot, runner)) = &self.last
            && sha1::is_same(last, sha)
        {
            return Ok((*slot, *runner));
        }
        if let Some(compiled) = self.compiled.get_mut(sha) {
            compiled.used = self.runs;
            self.last = Some((*sha, compiled.slot, compiled.runner));
            return Ok((compiled.slot, compiled.runner));
        }
        let (_, body) =
            flags::parse(source).map_err(|text| [&b"ERR "[..], text.as_slice()].concat())?;
        self.load(body)?;
        if self.compiled.len() >= COMPILED_MAX {
            self.forget_oldest();
        }
        let runner = match self.choose_globals() {
            Runner::Plain if plain::is_straight(body) => Runner::Straight,
            runner => runner,
        };
        let slot = self.keep_function();
        self.compiled.insert(*sha, Compiled { slot, runner, used: self.runs });
        Ok((slot, runner))
    }

    /// Pops the function on top and gives it a number.
    pub(super) fn keep_function(&mut self) -> i32 {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots
        });
        self.enter().raw_set_index(FUNCTIONS, slot);
        slot
    }

    /// Forgets the function of this number.
    pub(super) fn forget_function(&mut self, slot: i32) {
        let lua = self.enter();
        lua.push_nil();
        lua.raw_set_index(FUNCTIONS, slot);
        self.free_slots.push(slot);
    }

    /// Compiles the body of a script and leaves the function on the stack.
    fn load(&mut self, body: &[u8]) -> Result<(), Vec<u8>> {
        let (place, chunk) = (source::Place::Script, c"@user_script");
        self.load_body(body, place, chunk).map_err(|text| {
            [b"ERR Error compiling script (new function): ", text.as_slice()].concat()
        })
    }

    /// Compiles a text and leaves the function on the stack. The error is Lua's.
    pub(super) fn load_body(
        &mut self,
        body: &[u8],
        place: source::Place,
        chunk: &CStr,
    ) -> Result<(), Vec<u8>> {
        if body.len() > SOURCE_BYTES_MAX {
            return Err(b"the script is too long".to_vec());
        }
        let lua = self.enter();
        // Whatever a script did to the globals of the thread ends with that script.
        self.push_run_upvalue(GLOBALS_PROXY);
        lua.replace(GLOBALS);
        // SAFETY: the one borrow: compiling runs no code of scripts, and this ends with the function.
        let rewritten = unsafe { lua.state().source.borrow() };
        if source::keep_frames(body, place, rewritten) && load_text(lua, rewritten, chunk) {
            return Ok(());
        }
        // The text as it came, for the error to show what stands there.
        lua.set_top(FUNCTIONS);
        if load_text(lua, body, chunk) {
            return Ok(());
        }
        let text = error::c_text(lua.text(-1).unwrap_or(b"unknown error")).to_vec();
        lua.set_top(FUNCTIONS);
        Err(text)
    }

    /// Gives the function on top the real globals if it cannot harm them; what is to run it.
    pub(super) fn choose_globals(&mut self) -> Runner {
        let lua = self.enter();
        let facts =
            self.codes.and_then(|codes| bytecode::examine(&lua.dump(), codes, plain::is_harmless));
        let Some(facts) = facts.filter(|facts| !facts.stores_globals) else { return Runner::Any };
        if facts.may_change_tables || self.options.purpose == Purpose::Functions {
            self.push_run_upvalue(REAL_GLOBALS);
            lua.set_environment(-2);
            return Runner::Any;
        }
        plain::give_globals(lua, FUNCTIONS);
        Runner::Plain
    }

    /// Pushes an upvalue of the function that runs scripts.
    pub(super) fn push_run_upvalue(&self, index: c_int) {
        // SAFETY: the function at `RUN` is the closure of `run_script` or `run_function` with its upvalues.
        unsafe {
            ffi::lua_getupvalue(self.lua, RUN, index);
        }
    }

    fn forget_oldest(&mut self) {
        // While a script runs again and again its time is not noted.
        if let Some((last, ..)) = self.last.take()
            && let Some(compiled) = self.compiled.get_mut(&last)
        {
            compiled.used = self.runs;
        }
        let oldest = self.compiled.iter().min_by_key(|(_, compiled)| compiled.used);
        let Some(sha) = oldest.map(|(sha, _)| *sha) else { return };
        let compiled = self.compiled.remove(&sha).expect("it was just found");
        self.forget_function(compiled.slot);
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if !self.lua.is_null() {
            // SAFETY: made by `new`, closed here alone; no finalizer runs code of scripts.
            unsafe { ffi::lua_close(self.lua) };
        }
        // SAFETY: made by `Box::into_raw` in `new`; the Lua state that used it is closed.
        drop(unsafe { Box::from_raw(self.state.as_ptr()) });
    }
}

/// The C function that a protected call enters to run the script of [`State::run`].
///
/// It leaves true if the value is an error.
///
/// # Safety
///
/// Called by Lua with the upvalues that `sandbox::build` gives it, while `State::run` is set.
pub(super) unsafe extern "C-unwind" fn run_script(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    let run = state.run.get().expect("a script is being run");
    lua.copy(upvalue(KEYS));
    push_array(lua, run.call().keys);
    lua.raw_set(upvalue(REAL_GLOBALS));
    lua.copy(upvalue(ARGV));
    push_array(lua, run.call().args);
    lua.raw_set(upvalue(REAL_GLOBALS));
    lua.raw_get_index(upvalue(RUN_FUNCTIONS), run.slot);
    if state.deprecated_api {
        // What an earlier script gave the thread or its own function for globals ends here.
        lua.copy(upvalue(GLOBALS_PROXY));
        lua.replace(GLOBALS);
        lua.copy(upvalue(GLOBALS_PROXY));
        lua.set_environment(-2);
    }
    lua.call(0, 1);
    write_result(lua, run)
}

/// The C function that a protected call enters to run the function of [`State::run`].
///
/// It leaves true if the value is an error.
///
/// # Safety
///
/// Called by Lua with the upvalues that `sandbox::build` gives it, while `State::run` is set.
pub(super) unsafe extern "C-unwind" fn run_function(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    let run = state.run.get().expect("a function is being run");
    if state.deprecated_api {
        // What an earlier function gave the thread for globals ends here.
        lua.copy(upvalue(GLOBALS_PROXY));
        lua.replace(GLOBALS);
    }
    lua.raw_get_index(upvalue(RUN_FUNCTIONS), run.slot);
    push_array(lua, run.call().keys);
    push_array(lua, run.call().args);
    lua.call(2, 1);
    write_result(lua, run)
}

/// Writes the value on top as the reply, and pushes whether it is an error.
pub(super) fn write_result(lua: Lua, run: Run) -> c_int {
    // SAFETY: `Vm::run_slot` holds the exclusive borrow of the buffer for the length of the run, and does
    // nothing with it meanwhile.
    let out = unsafe { &mut *run.out.as_ptr() };
    let mut reply = Reply::new(out, run.call().protocol);
    let is_error = convert::write_value(lua, lua.state(), &mut reply);
    lua.push_bool(is_error);
    1
}

fn push_array(lua: Lua, elements: &[&[u8]]) {
    lua.push_table(elements.len(), 0);
    for (index, element) in (1..).zip(elements) {
        lua.push_bytes(element);
        lua.raw_set_index(-2, index);
    }
}

/// What [`read_text`] yields: a blank, then the text. The blank keeps Lua from taking a text for
/// compiled code or from skipping a first line that begins with `#`.
struct TextReader<'a> {
    parts: [&'a [u8]; 2],
    next: usize,
}

unsafe extern "C-unwind" fn read_text(
    _lua: *mut RawState,
    data: *mut c_void,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: `load_text` hands its reader and a place for the length through Lua.
    let (reader, len) = unsafe { (&mut *data.cast::<TextReader<'_>>(), &mut *len) };
    match reader.parts.get(reader.next) {
        Some(part) if !part.is_empty() => {
            reader.next += 1;
            *len = part.len();
            part.as_ptr().cast()
        }
        _ => {
            *len = 0;
            std::ptr::null()
        }
    }
}

/// More of these in a text are refused: each branch of a chain makes the compiler go through all before it, and it runs
/// without a tick. A chain of a third as many is too long for it anyway.
const BRANCHES_MAX: usize = 30_000;

/// Compiles a text and pushes the function, or the error's text.
pub(super) fn load_text(lua: Lua, text: &[u8], chunk_name: &CStr) -> bool {
    if memchr::memmem::find_iter(text, b"elseif").nth(BRANCHES_MAX).is_some() {
        lua.push_bytes(b"control structure too long");
        return false;
    }
    let mut reader = TextReader { parts: [b" ", text], next: 0 };
    // SAFETY: `read_text` is the reader for this data, which lives during the call.
    unsafe { lua.load(read_text, (&raw mut reader).cast(), chunk_name) }
}
