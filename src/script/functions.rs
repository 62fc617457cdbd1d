//! How does a library become functions, and how is one run?
//!
//! The text of a library runs once in each VM that has to run one of its functions, and registers them there; the engine
//! keeps the texts and names ([`Libraries`]). While the text runs it sees nothing but a `redis` with
//! `register_function` and `log`, and it has a limited time.

use std::any::Any;
use std::collections::{HashMap, HashSet};

use super::error::c_text;
use super::flags::ScriptFlags;
use super::host::{LogLevel, ReplTargets, ScriptHost, Tick};
use super::lua::{Kind, REGISTRY};
use super::register::{PENDING, is_name, name_error};
use super::sandbox;
use super::source::Place;
use super::state::Registered;
use super::vm::{Call, FUNCTIONS, NoMemory, Outcome, Purpose, REAL_GLOBALS, Runner, Vm, VmOptions};
use crate::base::quoting::split_args;
use crate::engine::functions::{Collision, Found, Function, Functions, Libraries, Library};
use crate::resp::reply::{Protocol, Reply};

/// The name of the one engine that there is.
pub const ENGINE: &str = "LUA";

/// How long the text of a library may run when a client loads it, in milliseconds.
pub const LOAD_MS_MAX: u64 = 500;

/// What the first line of a library says.
#[derive(Debug, PartialEq, Eq)]
struct Header<'a> {
    name: Vec<u8>,
    /// The rest of the text, from the end of the first line on, so that lines keep their numbers.
    body: &'a [u8],
}

/// Reads the first line, `#!lua name=NAME`. The error is for the client, without its code (`ERR`).
fn read_header(text: &[u8]) -> Result<Header<'_>, Vec<u8>> {
    const INVALID: &[u8] = b"Invalid library metadata";
    if !text.starts_with(b"#!") {
        return Err(b"Missing library metadata".to_vec());
    }
    let end = memchr::memchr(b'\n', text).ok_or(INVALID)?;
    let words = split_args(&text[..end]).ok_or(INVALID)?;
    let (engine, words) = words.split_first().ok_or(INVALID)?;
    let mut name = None;
    for word in words {
        match word.split_at_checked(5) {
            Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                if name.replace(value.to_vec()).is_some() {
                    return Err(
                        b"Invalid metadata value, name argument was given multiple times".to_vec()
                    );
                }
            }
            _ => return Err([b"Invalid metadata value given: ", word.as_slice()].concat()),
        }
    }
    let name = name.ok_or(&b"Library name was not given"[..])?;
    if !is_name(&name) {
        return Err(name_error());
    }
    let engine = &engine[2..];
    if !engine.eq_ignore_ascii_case(ENGINE.as_bytes()) {
        return Err([b"Engine '", engine, b"' not found"].concat());
    }
    Ok(Header { name, body: &text[end..] })
}

/// One run of a function.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The function.
    pub found: &'a Found,
    /// Its first parameter.
    pub keys: &'a [&'a [u8]],
    /// Its second parameter.
    pub args: &'a [&'a [u8]],
    /// The protocol of the client that gets the reply.
    pub protocol: Protocol,
}

/// A VM that runs functions.
#[derive(Debug)]
pub struct FunctionVm {
    vm: Vm,
    /// By the number of the library: the numbers of its functions, in the order of [`Library::functions`].
    loaded: HashMap<u64, Box<[i32]>>,
    /// Those libraries' generation that were kept last.
    generation: u64,
}

impl FunctionVm {
    /// One without libraries.
    pub fn new(options: VmOptions) -> Result<Self, NoMemory> {
        let vm = Vm::new(VmOptions { purpose: Purpose::Functions, ..options })?;
        Ok(Self { vm, loaded: HashMap::new(), generation: 0 })
    }

    /// Bytes of Lua values and code.
    pub fn used_memory(&self) -> usize {
        self.vm.used_memory()
    }

    /// Collects all garbage now, unless there is so much alive that this would take long.
    pub fn collect_garbage(&mut self) {
        self.vm.collect_garbage();
    }

    /// Runs the text of a new library. The error is for the client, without its code (`ERR`).
    pub fn load(&mut self, text: &[u8], host: &mut dyn ScriptHost) -> Result<Library, Vec<u8>> {
        let header = read_header(text)?;
        let Registration { functions, slots } = self.register(header.body, host)?;
        if functions.is_empty() {
            return Err(b"No functions registered".to_vec());
        }
        let library = Library::new(&header.name, text, functions);
        self.loaded.insert(library.id, slots);
        Ok(library)
    }

    /// Runs a function and appends its reply to `out`.
    pub fn call(
        &mut self,
        call: &Invocation<'_>,
        host: &mut dyn ScriptHost,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let library = &*call.found.library;
        if !self.loaded.contains_key(&library.id)
            && let Err(text) = self.load_again(library, host)
        {
            let text = [b"ERR ", text.as_slice()].concat();
            host.count_error(&text);
            Reply::new(out, call.protocol).error(&text);
            return Outcome::Error;
        }
        let slot = self.loaded[&library.id][call.found.index];
        let name = &*call.found.function().name;
        let Invocation { keys, args, protocol, .. } = *call;
        self.vm.run_slot(slot, Runner::Any, &Call { name, keys, args, protocol }, host, out)
    }

    /// Forgets libraries that are no longer there.
    pub fn keep(&mut self, functions: &Functions) {
        if self.generation == functions.generation() {
            return;
        }
        self.generation = functions.generation();
        let there: HashSet<u64> = functions.libraries().iter().map(|library| library.id).collect();
        let gone: Vec<u64> = self.loaded.keys().copied().filter(|id| !there.contains(id)).collect();
        for id in gone {
            let slots = self.loaded.remove(&id).unwrap_or_default();
            slots.iter().for_each(|slot| self.vm.forget_function(*slot));
        }
    }

    /// Runs the text of a library that another VM has loaded. It has to register the same functions.
    fn load_again(&mut self, library: &Library, host: &mut dyn ScriptHost) -> Result<(), Vec<u8>> {
        let header = read_header(&library.code)?;
        let Registration { functions, slots } = self.register(header.body, host)?;
        if functions != library.functions {
            slots.iter().for_each(|slot| self.vm.forget_function(*slot));
            return Err(b"The library has registered other functions than before".to_vec());
        }
        self.loaded.insert(library.id, slots);
        Ok(())
    }

    /// Runs the text of a library, and gives numbers to what it registers.
    fn register(
        &mut self,
        body: &[u8],
        host: &mut dyn ScriptHost,
    ) -> Result<Registration, Vec<u8>> {
        let vm = &mut self.vm;
        vm.load_body(body, Place::Chunk, c"@user_function")
            .map_err(|text| [b"Error compiling function: ", text.as_slice()].concat())?;
        vm.choose_globals();
        let lua = vm.enter();
        lua.push_table(0, 8);
        lua.raw_set_field(REGISTRY, PENDING);
        vm.push_run_upvalue(REAL_GLOBALS);
        sandbox::narrow_globals(lua);
        lua.state().is_loading.set(true);
        let result = vm.run_chunk(host);
        lua.state().is_loading.set(false);
        let registered = vm.take_registered();
        let error = result.err().map(|_| error_text(vm));
        lua.set_top(FUNCTIONS);
        vm.push_run_upvalue(REAL_GLOBALS);
        sandbox::widen_globals(lua);
        let result = match error {
            Some(text) => Err([b"Error registering functions: ", text.as_slice()].concat()),
            None => {
                lua.raw_get_field(REGISTRY, PENDING);
                let pending = lua.top();
                let slots = (1..=registered.len() as i32).map(|number| {
                    lua.raw_get_index(pending, number);
                    vm.keep_function()
                });
                let slots = slots.collect();
                Ok(Registration {
                    functions: registered.into_iter().map(Function::from).collect(),
                    slots,
                })
            }
        };
        lua.push_nil();
        lua.raw_set_field(REGISTRY, PENDING);
        lua.set_top(FUNCTIONS);
        vm.tidy();
        result
    }
}

/// What the text of a library has registered, and the numbers of that in the VM.
struct Registration {
    functions: Vec<Function>,
    slots: Box<[i32]>,
}

impl From<Registered> for Function {
    fn from(registered: Registered) -> Self {
        let Registered { name, description, flags } = registered;
        Self { name, description, flags: u64::from(flags.bits()) }
    }
}

/// The text of the error on top.
fn error_text(vm: &Vm) -> Vec<u8> {
    let lua = vm.enter();
    let table = lua.top();
    match lua.kind(-1) {
        Kind::Table => {
            lua.raw_get_field(table, b"err");
            c_text(lua.text(-1).unwrap_or(b"(null)")).to_vec()
        }
        _ => [b"ERR ", c_text(lua.text(-1).unwrap_or(b"unknown error"))].concat(),
    }
}

/// What a function declares about itself.
pub fn flags_of(function: &Function) -> ScriptFlags {
    ScriptFlags::from_bits_truncate(function.flags as u8)
}

/// How the text of a library is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// A library of the same name gives way.
    pub replace: bool,
    /// How long the text may run, in milliseconds; 0 is for ever.
    pub ms_max: u64,
    /// Nanoseconds that never go back.
    pub clock: fn() -> u64,
    /// For a VM that has to be made.
    pub vm: VmOptions,
}

/// Loads a library into the server. Gives its name; the error is for the client, without its code (`ERR`).
pub fn load(
    functions: &mut Functions,
    text: &[u8],
    options: LoadOptions,
) -> Result<Box<[u8]>, Vec<u8>> {
    check_name(functions.libraries(), text, options)?;
    let library = create(functions, text, options)?;
    let name = library.name.clone();
    let added = functions.change(|libraries| libraries.add(library, options.replace));
    added.map(|()| name).map_err(|collision| collision.text())
}

/// Loads a library into a set of its own, for one that may take the place of the server's.
pub fn load_apart(
    functions: &mut Functions,
    libraries: &mut Libraries,
    text: &[u8],
    options: LoadOptions,
) -> Result<(), Vec<u8>> {
    check_name(libraries, text, options)?;
    let library = create(functions, text, options)?;
    libraries.add(library, options.replace).map_err(|collision| collision.text())
}

/// Complains early of a name that is taken: the text need not run then.
fn check_name(libraries: &Libraries, text: &[u8], options: LoadOptions) -> Result<(), Vec<u8>> {
    let name = read_header(text)?.name;
    if libraries.get(&name).is_some() && !options.replace {
        return Err(Collision::Library(name.into()).text());
    }
    Ok(())
}

/// Runs the text of a library in the server's VM.
fn create(
    functions: &mut Functions,
    text: &[u8],
    options: LoadOptions,
) -> Result<Library, Vec<u8>> {
    with_vm(functions, options.vm, |vm, _| vm.load(text, &mut Loading::begin(options)))
        .map_err(|NoMemory| b"not enough memory for a Lua state".to_vec())?
}

/// Runs `f` with the server's VM, taken out of `functions` for that time.
fn with_vm<R>(
    functions: &mut Functions,
    options: VmOptions,
    f: impl FnOnce(&mut FunctionVm, &Functions) -> R,
) -> Result<R, NoMemory> {
    let mut vm = take_vm(functions, options)?;
    let result = f(&mut vm, functions);
    functions.vm = Some(vm);
    Ok(result)
}

/// Takes the server's VM, making it if there is none. It is to be put back into [`Functions::vm`].
pub fn take_vm(functions: &mut Functions, options: VmOptions) -> Result<Box<FunctionVm>, NoMemory> {
    let mut vm = match functions.vm.take().map(<Box<dyn Any + Send + Sync>>::downcast) {
        Some(Ok(vm)) => vm,
        Some(Err(_)) | None => Box::new(FunctionVm::new(options)?),
    };
    vm.keep(functions);
    Ok(vm)
}

/// The server, as the text of a library sees it.
struct Loading {
    began_ns: u64,
    options: LoadOptions,
}

impl Loading {
    fn begin(options: LoadOptions) -> Self {
        Self { began_ns: (options.clock)(), options }
    }
}

impl ScriptHost for Loading {
    fn call(&mut self, _: &[&[u8]], _: bool, reply: &mut Vec<u8>) {
        Reply::new(reply, Protocol::Resp2).error(b"ERR Commands cannot be called from here");
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        level.write(message);
    }

    fn set_repl(&mut self, _: ReplTargets) {}

    fn acl_check_cmd(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }

    fn tick(&mut self) -> Tick {
        let elapsed_ms = ((self.options.clock)() - self.began_ns) / 1_000_000;
        match self.options.ms_max {
            0 => Tick::Continue,
            max if elapsed_ms <= max => Tick::Continue,
            _ => Tick::Kill("FUNCTION LOAD timeout"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeHost;
    use super::*;

    /// Loads texts and calls functions, with a clock that stands still.
    struct Bench {
        functions: Functions,
        host: FakeHost,
    }

    const OPTIONS: LoadOptions = LoadOptions {
        replace: false,
        ms_max: 0,
        clock: || 0,
        vm: VmOptions {
            memory_bytes_max: 1 << 24,
            random_seed: None,
            deprecated_api: false,
            purpose: Purpose::Functions,
        },
    };

    impl Bench {
        fn new() -> Self {
            Self { functions: Functions::default(), host: FakeHost::default() }
        }

        fn load(&mut self, text: &str, replace: bool) -> String {
            let options = LoadOptions { replace, ..OPTIONS };
            let result = load(&mut self.functions, text.as_bytes(), options);
            let text = match &result {
                Ok(name) => &name[..],
                Err(text) => &text[..],
            };
            String::from_utf8(text.to_vec()).unwrap()
        }

        fn call(&mut self, name: &str) -> String {
            let mut vm = take_vm(&mut self.functions, OPTIONS.vm).unwrap();
            let found = self.functions.libraries().find(name.as_bytes()).unwrap();
            let (keys, args) = (&[&b"k"[..]][..], &[&b"a"[..], b"b"][..]);
            let call = Invocation { found, keys, args, protocol: Protocol::Resp2 };
            let mut out = Vec::new();
            vm.call(&call, &mut self.host, &mut out);
            self.functions.vm = Some(vm);
            String::from_utf8(out).unwrap()
        }
    }

    /// The text of a library `l` with a function `f`.
    fn library(body: &str) -> String {
        format!("#!lua name=l\nredis.register_function('f', function(keys, args) {body} end)")
    }

    #[test]
    fn functions_get_keys_and_arguments_and_see_no_others() {
        let mut bench = Bench::new();
        assert_eq!(bench.load(&library("return {keys[1], #args}"), false), "l");
        assert_eq!(bench.call("F"), "*2\r\n$1\r\nk\r\n:2\r\n");
        bench.load(&library("return KEYS"), true);
        let error = bench.call("f");
        assert_eq!(
            error,
            "-ERR user_function:2: Script attempted to access nonexistent global variable 'KEYS' \
             script: f, on @user_function:2.\r\n"
        );
        bench.load(&library("return {type(redis.call), type(redis.register_function)}"), true);
        assert_eq!(bench.call("f"), "*2\r\n$8\r\nfunction\r\n$3\r\nnil\r\n");
    }

    #[test]
    fn variables_of_a_library_stay_until_it_is_replaced() {
        let text = "#!lua name=l\nlocal n = 0\nredis.register_function('f', function() n = n + 1 return n end)\n\
                    redis.register_function('g', function() return n end)";
        let mut bench = Bench::new();
        bench.load(text, false);
        assert_eq!((bench.call("f"), bench.call("f")), (":1\r\n".into(), ":2\r\n".into()));
        assert_eq!(bench.call("g"), ":2\r\n");
        assert_eq!(bench.load(text, false), "Library 'l' already exists");
        assert_eq!(bench.call("g"), ":2\r\n");
        bench.load(text, true);
        assert_eq!(bench.call("g"), ":0\r\n");
        bench.call("f");
        // Another VM has variables of its own.
        bench.functions.vm = None;
        assert_eq!(bench.call("g"), ":0\r\n");
    }

    #[test]
    fn while_it_is_loaded_a_library_can_register_and_log_only() {
        let mut bench = Bench::new();
        for (text, error) in [
            ("redis.call('x')", "global variable 'call'"),
            ("local x = math", "global variable 'math'"),
            ("local x = _G", "global variable '_G'"),
            ("x = 1", "Attempt to modify a readonly table"),
            ("redis.x = 1", "Attempt to modify a readonly table"),
        ] {
            let reply = bench.load(&format!("#!lua name=l\n{text}"), false);
            let start = "Error registering functions: ERR user_function:2: ";
            assert!(reply.starts_with(start) && reply.contains(error), "{text}: {reply}");
        }
        assert_eq!(bench.load("#!lua name=l\nreturn 1", false), "No functions registered");
        assert_eq!(
            bench.load("#!lua name=l\nreturn x x", false),
            "Error compiling function: user_function:2: '<eof>' expected near 'x'"
        );
        let late = "#!lua name=l\nlocal r = redis\n\
                    r.register_function('f', function() return r.register_function('g', r.log) end)";
        assert_eq!(bench.load(late, false), "l");
        assert!(bench.call("f").contains("can only be called on FUNCTION LOAD command"));
        assert!(bench.functions.libraries().find(b"g").is_none());
    }

    #[test]
    fn arguments_of_register_function_are_checked() {
        let mut bench = Bench::new();
        let f = "function() end";
        for (arguments, error) in [
            ("", "wrong number of arguments to redis.register_function"),
            ("'f'", "calling redis.register_function with a single argument is only applicable"),
            ("{}, 1", "first argument to redis.register_function must be a string"),
            ("'f', 1", "second argument to redis.register_function must be a function"),
            ("{[1]=1}", "unknown argument given to redis.register_function"),
            ("{[true]=1}", "named argument key given to redis.register_function is not a string"),
            ("{function_name={}}", "function_name argument given"),
            ("{description={}}", "description argument given"),
            ("{callback=1}", "callback argument given"),
            ("{flags=1}", "flags argument to redis.register_function must be a table"),
            ("{flags={'x'}}", "unknown flag given"),
            ("{function_name='f'}", "must get a callback argument"),
            ("{callback=function() end}", "must get a function name argument"),
            ("'a-b', function() end", "can only contain letters, numbers, or underscores(_)"),
        ] {
            let text = format!("#!lua name=l\nredis.register_function({arguments})");
            let reply = bench.load(&text, false);
            let start = "Error registering functions: ERR ";
            assert!(reply.starts_with(start) && reply.contains(error), "{arguments}: {reply}");
        }
        let twice = format!(
            "#!lua name=l\nredis.register_function('f', {f}) redis.register_function('F', {f})"
        );
        assert!(bench.load(&twice, false).contains("Function already exists in the library"));
        let named = format!(
            "#!lua name=l\nredis.register_function{{Function_Name=7, description='d', callback={f}, \
             flags={{'no-writes', 'ALLOW-OOM'}}}}"
        );
        assert_eq!(bench.load(&named, false), "l");
        let found = bench.functions.libraries().find(b"7").unwrap();
        assert_eq!(flags_of(found.function()), ScriptFlags::NO_WRITES | ScriptFlags::ALLOW_OOM);
        assert_eq!(found.function().description.as_deref(), Some(&b"d"[..]));
    }

    #[test]
    fn first_lines_are_checked() {
        for (text, error) in [
            ("lua name=l\n", "Missing library metadata"),
            ("#!lua name=l", "Invalid library metadata"),
            ("#!lua name='l\n", "Invalid library metadata"),
            ("#!lua\n", "Library name was not given"),
            (
                "#!lua name=a name=b\n",
                "Invalid metadata value, name argument was given multiple times",
            ),
            ("#!lua x=a\n", "Invalid metadata value given: x=a"),
            ("#!lua name=\"a b\"\n", "Library names can only contain letters"),
            ("#!js name=l\n", "Engine 'js' not found"),
        ] {
            let reply = Bench::new().load(text, false);
            assert!(reply.starts_with(error), "{text}: {reply}");
        }
        let header = read_header(b"#!LUA NAME=l\nx").unwrap();
        assert_eq!((header.name.as_slice(), header.body), (&b"l"[..], &b"\nx"[..]));
    }

    #[test]
    fn a_text_that_does_not_end_is_ended() {
        use std::cell::Cell;
        thread_local!(static NOW: Cell<u64> = const { Cell::new(0) });
        let clock = || NOW.replace(NOW.get() + 200_000_000);
        let mut functions = Functions::default();
        let options = LoadOptions { ms_max: LOAD_MS_MAX, clock, ..OPTIONS };
        let error = load(&mut functions, b"#!lua name=l\nwhile true do end", options).unwrap_err();
        assert_eq!(error, b"Error registering functions: ERR FUNCTION LOAD timeout");
        let mut bench = Bench { functions, host: FakeHost::default() };
        assert_eq!(bench.load(&library("return 1"), false), "l");
        assert_eq!(bench.call("f"), ":1\r\n");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut bench = Bench::new();
        for _ in 0..3 {
            bench.load(&library("return 1"), true);
        }
        bench.functions.change(|libraries| libraries.remove(b"l"));
        let vm = take_vm(&mut bench.functions, OPTIONS.vm).unwrap();
        assert!(vm.loaded.is_empty());
    }
}
