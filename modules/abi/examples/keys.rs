//! A module for tests: what do the functions of the API that work on keys answer, called as C does?
//!
//! `abi.key <key> <modes> <step> / <step> ...` opens a key once and runs the steps on that handle, so that what a
//! handle remembers shows. A step is the name of a function in short and its arguments; each answers a line: `OK`, a
//! value, or what `errno` says. The other commands store values of a type of the module's own, and say what its callbacks
//! were told.
#![expect(unsafe_code, reason = "calls the functions of a C interface")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_ulong, c_void};
use std::ptr;
use std::sync::{Mutex, OnceLock};
use std::thread::ThreadId;

use mortise_module_abi as abi;

macro_rules! pointers {
    ($($group:literal { $(
        $kind:ident $name:ident $since:literal ($($param:tt)*) $(-> $ret:ty)?;
    )* })*) => {
        /// The functions of the server; those that it does not have are None.
        #[allow(non_snake_case, dead_code, reason = "fields are named after functions")]
        #[derive(Default)]
        struct Api { $($($name: Option<abi::api::$name>,)*)* }

        /// # Safety
        /// `get_api` is the server's.
        unsafe fn look_up(get_api: abi::api::GetApi) -> Api {
            let mut api = Api::default();
            $($({
                let name = concat!("RedisModule_", stringify!($name), "\0");
                let place: *mut Option<abi::api::$name> = &raw mut api.$name;
                // SAFETY: the name ends in NUL; the place is that of a function pointer.
                unsafe { get_api(name.as_ptr().cast(), place.cast()) };
            })*)*
            api
        }
    };
}
abi::for_each_api!(pointers);

static API: OnceLock<Api> = OnceLock::new();

/// Calls a function of the server by its name.
macro_rules! call {
    ($name:ident ( $($argument:expr),* $(,)? )) => {{
        let function = API.get().and_then(|api| api.$name).expect("the server has the function");
        // SAFETY: handles come from the server in this call; pointers are to live variables, or null.
        unsafe { function($($argument),*) }
    }};
}

type Str = *mut abi::ModuleString;

/// The handle that steps run on, and the arguments of one of them.
struct Step<'a> {
    ctx: *mut abi::Ctx,
    key: *mut abi::Key,
    words: &'a [&'a str],
}

fn bytes<'a>(string: *const abi::ModuleString) -> &'a [u8] {
    let mut len = 0;
    let data = call!(StringPtrLen(string, &raw mut len));
    // SAFETY: the server's strings have so many bytes, and live longer than what is made of them here.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

fn text(string: *const abi::ModuleString) -> String {
    String::from_utf8_lossy(bytes(string)).into_owned()
}

fn set_errno(value: c_int) {
    unsafe extern "C" {
        fn __errno_location() -> *mut c_int;
    }
    // SAFETY: the place is this thread's own.
    unsafe { *__errno_location() = value }
}

/// The last error's name.
fn errno() -> String {
    let known = [
        (0, "none"),
        (2, "ENOENT"),
        (9, "EBADF"),
        (22, "EINVAL"),
        (27, "EFBIG"),
        (33, "EDOM"),
        (34, "ERANGE"),
        (95, "ENOTSUP"),
    ];
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    known
        .iter()
        .find(|(known, _)| *known == code)
        .map_or_else(|| code.to_string(), |(_, name)| (*name).to_owned())
}

fn status(code: c_int) -> String {
    if code == abi::OK { "OK".to_owned() } else { format!("ERR {}", errno()) }
}

impl Step<'_> {
    fn word(&self, at: usize) -> &str {
        self.words.get(at).copied().unwrap_or_default()
    }

    fn number(&self, at: usize) -> i64 {
        self.word(at).parse().unwrap_or(0)
    }

    fn score(&self, at: usize) -> f64 {
        self.word(at).parse().unwrap_or(0.0)
    }

    /// A string with the text of a word, freed with the context; null for none.
    fn string(&self, at: usize) -> Str {
        match self.words.get(at) {
            Some(word) => call!(CreateString(self.ctx, word.as_ptr().cast(), word.len())),
            None => ptr::null_mut(),
        }
    }

    fn shown(string: Str) -> String {
        if string.is_null() { format!("null {}", errno()) } else { text(string) }
    }

    fn end(&self, at: usize) -> c_int {
        if self.word(at) == "head" { abi::LIST_HEAD } else { abi::LIST_TAIL }
    }

    /// An ID written `ms-seq`; None for `-`.
    fn id(&self, at: usize) -> Option<abi::StreamId> {
        let (ms, seq) = self.word(at).split_once('-').filter(|(ms, _)| !ms.is_empty())?;
        Some(abi::StreamId { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }

    fn run(&self) -> String {
        set_errno(0);
        let name = self.word(0);
        let answer = self.list(name).or_else(|| self.zset(name));
        let answer = answer.or_else(|| self.stream(name)).or_else(|| self.hash(name));
        answer.or_else(|| self.any(name)).unwrap_or_else(|| "no such step".to_owned())
    }

    fn list(&self, name: &str) -> Option<String> {
        let key = self.key;
        Some(match name {
            "push" => status(call!(ListPush(key, self.end(1), self.string(2)))),
            "pop" => Self::shown(call!(ListPop(key, self.end(1)))),
            "get" => Self::shown(call!(ListGet(key, self.number(1) as c_long))),
            "set" => status(call!(ListSet(key, self.number(1) as c_long, self.string(2)))),
            "insert" => status(call!(ListInsert(key, self.number(1) as c_long, self.string(2)))),
            "delete" => status(call!(ListDelete(key, self.number(1) as c_long))),
            _ => return None,
        })
    }

    fn zset(&self, name: &str) -> Option<String> {
        let key = self.key;
        let (mut score, mut flags) = (f64::NAN, self.number(3) as c_int);
        let outside = |at: usize| self.number(at) as c_int;
        Some(match name {
            "zadd" => {
                let code = call!(ZsetAdd(key, self.score(1), self.string(2), &raw mut flags));
                format!("{code} {flags}")
            }
            "zincr" => {
                let flags = &raw mut flags;
                let (by, member) = (self.score(1), self.string(2));
                let code = call!(ZsetIncrby(key, by, member, flags, &raw mut score));
                // SAFETY: a pointer to the variable above.
                format!("{code} {} {score}", unsafe { *flags })
            }
            "zrem" => {
                let code = call!(ZsetRem(key, self.string(1), &raw mut flags));
                format!("{code} {flags}")
            }
            "zscore" => {
                let code = call!(ZsetScore(key, self.string(1), &raw mut score));
                format!("{code} {score}")
            }
            "zfirst" => call!(ZsetFirstInScoreRange(
                key,
                self.score(1),
                self.score(2),
                outside(3),
                outside(4)
            ))
            .to_string(),
            "zlast" => call!(ZsetLastInScoreRange(
                key,
                self.score(1),
                self.score(2),
                outside(3),
                outside(4)
            ))
            .to_string(),
            "lexfirst" => {
                call!(ZsetFirstInLexRange(key, self.string(1), self.string(2))).to_string()
            }
            "lexlast" => call!(ZsetLastInLexRange(key, self.string(1), self.string(2))).to_string(),
            "znext" => call!(ZsetRangeNext(key)).to_string(),
            "zprev" => call!(ZsetRangePrev(key)).to_string(),
            "zend" => call!(ZsetRangeEndReached(key)).to_string(),
            "zstop" => {
                call!(ZsetRangeStop(key));
                "stopped".to_owned()
            }
            "zcur" => {
                let member = call!(ZsetRangeCurrentElement(key, &raw mut score));
                if member.is_null() {
                    "null".to_owned()
                } else {
                    format!("{} {score}", text(member))
                }
            }
            _ => return None,
        })
    }

    fn stream(&self, name: &str) -> Option<String> {
        let key = self.key;
        let show = |id: abi::StreamId| format!("{}-{}", id.ms, id.seq);
        let pointer =
            |id: &mut Option<abi::StreamId>| id.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let mut found = abi::StreamId { ms: 0, seq: 0 };
        let flags = self.number(1) as c_int;
        Some(match name {
            "xadd" => {
                let auto = self.word(1) == "*";
                let mut id = self.id(1).unwrap_or(found);
                let mut fields: Vec<Str> =
                    (2..self.words.len()).map(|at| self.string(at)).collect();
                let flags = if auto { abi::STREAM_ADD_AUTOID } else { 0 };
                let (argv, pairs) = (fields.as_mut_ptr(), fields.len() as i64 / 2);
                let code = call!(StreamAdd(key, flags, &raw mut id, argv, pairs));
                if auto { status(code) } else { format!("{} {}", status(code), show(id)) }
            }
            "xdel" => status(call!(StreamDelete(key, pointer(&mut self.id(1))))),
            "xstart" => {
                let (mut start, mut end) = (self.id(2), self.id(3));
                status(call!(StreamIteratorStart(
                    key,
                    flags,
                    pointer(&mut start),
                    pointer(&mut end)
                )))
            }
            "xstop" => status(call!(StreamIteratorStop(key))),
            "xnext" => {
                let mut fields = 0;
                match call!(StreamIteratorNextID(key, &raw mut found, &raw mut fields)) {
                    abi::OK => format!("{} {fields}", show(found)),
                    code => status(code),
                }
            }
            "xfield" => {
                let (mut field, mut value) = (ptr::null_mut(), ptr::null_mut());
                match call!(StreamIteratorNextField(key, &raw mut field, &raw mut value)) {
                    abi::OK => format!("{} {}", text(field), text(value)),
                    code => status(code),
                }
            }
            "xdelcur" => status(call!(StreamIteratorDelete(key))),
            "xtrimlen" => match call!(StreamTrimByLength(key, flags, self.number(2))) {
                -1 => status(abi::ERR),
                taken => taken.to_string(),
            },
            "xtrimid" => match call!(StreamTrimByID(key, flags, pointer(&mut self.id(2)))) {
                -1 => status(abi::ERR),
                taken => taken.to_string(),
            },
            _ => return None,
        })
    }

    fn hash(&self, name: &str) -> Option<String> {
        let key = self.key;
        let flags = self.number(1) as c_int;
        let field = CString::new(self.word(2)).unwrap_or_default();
        let is_c = flags & abi::HASH_CFIELDS != 0;
        let (string, null) = (self.string(2), ptr::null_mut::<c_void>());
        let name_of: *const c_void = if is_c { field.as_ptr().cast() } else { string.cast() };
        Some(match name {
            // `!` stands for the mark that deletes.
            "hset" => {
                let value = if self.word(3) == "!" { abi::HASH_DELETE } else { self.string(3) };
                let count = call!(HashSet(key, flags, name_of, value, null));
                format!("{count} {}", errno())
            }
            "hget" => {
                let mut value: Str = ptr::null_mut();
                let code = call!(HashGet(key, flags, name_of, &raw mut value, null));
                let value = if value.is_null() { "null".to_owned() } else { text(value) };
                format!("{code} {value}")
            }
            "hhas" => {
                let mut has: c_int = -1;
                let flags = flags | abi::HASH_EXISTS;
                let code = call!(HashGet(key, flags, name_of, &raw mut has, null));
                format!("{code} {has}")
            }
            "hexpires" => {
                let mut at: i64 = 0;
                let flags = flags | abi::HASH_EXPIRE_TIME;
                let code = call!(HashGet(key, flags, name_of, &raw mut at, null));
                format!("{code} {at}")
            }
            "hminexpire" => call!(HashFieldMinExpire(key)).to_string(),
            _ => return None,
        })
    }

    fn any(&self, name: &str) -> Option<String> {
        let key = self.key;
        let mut value = -2;
        Some(match name {
            "type" => call!(KeyType(key)).to_string(),
            "len" => call!(ValueLength(key)).to_string(),
            "setlru" => call!(SetLRU(key, self.number(1))).to_string(),
            "getlru" => {
                let code = call!(GetLRU(key, &raw mut value));
                format!("{code} {value}")
            }
            "setlfu" => call!(SetLFU(key, self.number(1))).to_string(),
            "getlfu" => {
                let code = call!(GetLFU(key, &raw mut value));
                format!("{code} {value}")
            }
            "scan" => {
                let mut found: Vec<String> = Vec::new();
                let cursor = call!(ScanCursorCreate());
                let data = (&raw mut found).cast();
                while call!(ScanKey(key, cursor, Some(note_element), data)) != 0 {}
                let after = errno();
                let again = call!(ScanKey(key, cursor, Some(note_element), data));
                call!(ScanCursorDestroy(cursor));
                found.sort();
                format!("{} {after} {again} {}", found.join(","), errno())
            }
            _ => return None,
        })
    }
}

/// Notes an element of a key that is scanned.
extern "C" fn note_element(_: *mut abi::Key, field: Str, value: Str, found: *mut c_void) {
    // SAFETY: the pointer that was handed to the scan.
    let found = unsafe { &mut *found.cast::<Vec<String>>() };
    let value = if value.is_null() { "null".to_owned() } else { text(value) };
    found.push(format!("{}={value}", text(field)));
}

/// Opens a key as the letters say: `r` and `w`.
fn open(ctx: *mut abi::Ctx, name: Str, modes: &str) -> *mut abi::Key {
    let mode = |letter, bit| if modes.contains(letter) { bit } else { 0 };
    call!(OpenKey(ctx, name, mode('r', abi::READ) | mode('w', abi::WRITE)))
}

extern "C" fn key(ctx: *mut abi::Ctx, argv: *mut Str, argc: c_int) -> c_int {
    if argc < 4 {
        return call!(WrongArity(ctx));
    }
    // SAFETY: the server passes so many arguments.
    let argv = unsafe { std::slice::from_raw_parts(argv, argc as usize) };
    call!(AutoMemory(ctx));
    let words: Vec<String> = argv.iter().map(|word| text(*word)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let key = open(ctx, argv[1], words[2]);
    let steps = words[3..].split(|word| *word == "/");
    let answers: Vec<String> = steps.map(|words| Step { ctx, key, words }.run()).collect();
    call!(CloseKey(key));
    reply_lines(ctx, &answers)
}

/// A value of the module's type.
struct Note {
    text: String,
    effort: usize,
}

/// What callbacks were told, and the thread on which commands run.
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
static MAIN: OnceLock<ThreadId> = OnceLock::new();
static TYPES: OnceLock<[usize; 2]> = OnceLock::new();

fn note(line: String) {
    TOLD.lock().expect("no callback panics").push(line);
}

/// The value behind a pointer that the server kept.
fn value_of<'a>(value: *const c_void) -> &'a Note {
    // SAFETY: the server gives back what `put` gave it, until `free`.
    unsafe { &*value.cast::<Note>() }
}

fn key_of(options: *mut abi::KeyOptCtx) -> String {
    let name = call!(GetKeyNameFromOptCtx(options));
    format!("{} {}", text(name), call!(GetDbIdFromOptCtx(options)))
}

extern "C" fn free(value: *mut c_void) {
    // SAFETY: made by `put` or `copy2` from a box, and freed once.
    let value = unsafe { Box::from_raw(value.cast::<Note>()) };
    let is_main = MAIN.get() == Some(&std::thread::current().id());
    note(format!("free {} {}", value.text, if is_main { "here" } else { "elsewhere" }));
}

extern "C" fn free_plain(_: *mut c_void) {}

extern "C" fn unlink2(options: *mut abi::KeyOptCtx, _: *const c_void) {
    note(format!("unlink2 {}", key_of(options)));
}

extern "C" fn free_effort2(options: *mut abi::KeyOptCtx, value: *const c_void) -> usize {
    note(format!("free_effort2 {}", key_of(options)));
    value_of(value).effort
}

extern "C" fn mem_usage2(options: *mut abi::KeyOptCtx, _: *const c_void, samples: usize) -> usize {
    note(format!("mem_usage2 {} {samples}", key_of(options)));
    1000
}

extern "C" fn copy2(options: *mut abi::KeyOptCtx, value: *const c_void) -> *mut c_void {
    let value = value_of(value);
    if value.text == "no" {
        return ptr::null_mut();
    }
    let to = call!(GetToKeyNameFromOptCtx(options));
    let to_db = call!(GetToDbIdFromOptCtx(options));
    note(format!("copy2 {} {} {to_db}", key_of(options), text(to)));
    let copy = Note { text: value.text.clone(), effort: value.effort };
    Box::into_raw(Box::new(copy)).cast()
}

extern "C" fn save(_: *mut abi::IO, _: *mut c_void) {}

extern "C" fn load(_: *mut abi::IO, _: c_int) -> *mut c_void {
    ptr::null_mut()
}

/// Makes a type; as a number, since a pointer cannot be kept in a static.
fn create_type(ctx: *mut abi::Ctx, name: &CStr, methods: abi::TypeMethods) -> usize {
    let mut methods = abi::TypeMethods {
        // The fifth version begins with Redis 7.2.
        version: 4,
        rdb_load: Some(load),
        rdb_save: Some(save),
        ..methods
    };
    call!(CreateDataType(ctx, name.as_ptr(), 0, &raw mut methods)) as usize
}

/// Stores a value: `abi.put <key> <effort> <text>`, or `abi.plain <key>` one whose type has no callbacks.
extern "C" fn put(ctx: *mut abi::Ctx, argv: *mut Str, argc: c_int) -> c_int {
    // SAFETY: the server passes so many arguments.
    let argv = unsafe { std::slice::from_raw_parts(argv, argc as usize) };
    let _ = MAIN.set(std::thread::current().id());
    let types = TYPES.get().expect("the module has loaded");
    let (kind, value) = match argv {
        [_, _, effort, words] => {
            let effort = text(*effort).parse().unwrap_or(1);
            (types[0], Box::into_raw(Box::new(Note { text: text(*words), effort })))
        }
        [_, _] => (types[1], ptr::dangling_mut()),
        _ => return call!(WrongArity(ctx)),
    };
    let key = open(ctx, argv[1], "rw");
    call!(ModuleTypeSetValue(key, kind as *mut abi::ModuleType, value.cast()));
    call!(CloseKey(key));
    call!(ReplyWithSimpleString(ctx, c"OK".as_ptr()))
}

/// What callbacks were told, which is forgotten unless there is another word.
extern "C" fn tell(ctx: *mut abi::Ctx, _: *mut Str, argc: c_int) -> c_int {
    let mut told = TOLD.lock().expect("no callback panics");
    let lines = if argc == 1 { std::mem::take(&mut *told) } else { told.clone() };
    drop(told);
    reply_lines(ctx, &lines)
}

extern "C" fn defragment(_: *mut abi::DefragCtx) {}

extern "C" fn defragment_some(_: *mut abi::DefragCtx) -> c_int {
    0
}

/// What the functions say that move memory.
extern "C" fn defrag(ctx: *mut abi::Ctx, _: *mut Str, _: c_int) -> c_int {
    let none: *mut abi::DefragCtx = ptr::null_mut();
    let (mut cursor, mut seek): (c_ulong, Str) = (0, ptr::dangling_mut());
    let string = call!(CreateString(ptr::null_mut(), c"x".as_ptr(), 1));
    let dict = call!(CreateDict(ptr::null_mut()));
    let block = call!(Alloc(8));
    let is_null = |is_null| if is_null { "null" } else { "moved" };
    let raw = call!(DefragAllocRaw(none, 8));
    let registered = [
        call!(RegisterDefragFunc(ctx, Some(defragment))),
        call!(RegisterDefragFunc2(ctx, Some(defragment_some))),
        call!(RegisterDefragCallbacks(ctx, Some(defragment), Some(defragment))),
    ];
    let moved_dict = call!(DefragRedisModuleDict(none, dict, None, &raw mut seek));
    let moved_string = call!(DefragRedisModuleString(none, string));
    let same_string = call!(DefragValkeyModuleString(none, string));
    let lines = [
        registered.map(|code| code.to_string()).join(" "),
        is_null(call!(DefragAlloc(none, block)).is_null()).to_owned(),
        call!(MallocSize(raw)).min(8).to_string(),
        format!(
            "{} {} {}",
            is_null(moved_string.is_null() && same_string.is_null()),
            is_null(moved_dict.is_null()),
            i32::from(seek.is_null())
        ),
        format!(
            "{} {} {}",
            call!(DefragShouldStop(none)),
            call!(DefragCursorSet(none, 5)),
            call!(DefragCursorGet(none, &raw mut cursor))
        ),
        format!(
            "{} {}",
            is_null(call!(GetKeyNameFromDefragCtx(none)).is_null()),
            call!(GetDbIdFromDefragCtx(none))
        ),
    ];
    call!(DefragFreeRaw(none, raw));
    call!(Free(block));
    call!(FreeDict(ptr::null_mut(), dict));
    call!(FreeString(ptr::null_mut(), string));
    reply_lines(ctx, &lines)
}

fn reply_lines(ctx: *mut abi::Ctx, lines: &[String]) -> c_int {
    call!(ReplyWithArray(ctx, lines.len() as c_long));
    for line in lines {
        call!(ReplyWithStringBuffer(ctx, line.as_ptr().cast(), line.len()));
    }
    abi::OK
}

fn create(
    ctx: *mut abi::Ctx,
    name: &CStr,
    function: abi::CmdFunc,
    flags: &CStr,
    keys: c_int,
) -> c_int {
    call!(CreateCommand(ctx, name.as_ptr(), function, flags.as_ptr(), keys, keys, keys))
}

/// The entry of the module.
///
/// # Safety
/// The server calls it with the context of a module that loads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RedisModule_OnLoad(ctx: *mut abi::Ctx, _: *mut Str, _: c_int) -> c_int {
    const NAME: *const c_char = c"abi".as_ptr();
    // SAFETY: the context of a module that loads begins with this function.
    let Some(get_api) = (unsafe { (*ctx.cast::<abi::CtxHead>()).get_api }) else { return abi::ERR };
    // SAFETY: it is the server's.
    API.get_or_init(|| unsafe { look_up(get_api) });
    call!(SetModuleAttribs(ctx, NAME, 1, 1));
    let note = abi::TypeMethods {
        free: Some(free),
        unlink2: Some(unlink2),
        free_effort2: Some(free_effort2),
        mem_usage2: Some(mem_usage2),
        copy2: Some(copy2),
        ..abi::TypeMethods::EMPTY
    };
    let plain = abi::TypeMethods { free: Some(free_plain), ..abi::TypeMethods::EMPTY };
    let types = [create_type(ctx, c"abi-note-", note), create_type(ctx, c"abi-plain", plain)];
    let _ = TYPES.set(types);
    let commands: [(&CStr, abi::CmdFunc, c_int); 5] = [
        (c"abi.key", Some(key), 1),
        (c"abi.put", Some(put), 1),
        (c"abi.plain", Some(put), 1),
        (c"abi.told", Some(tell), 0),
        (c"abi.defrag", Some(defrag), 0),
    ];
    let codes = commands.map(|(name, function, keys)| create(ctx, name, function, c"write", keys));
    if codes == [abi::OK; 5] { abi::OK } else { abi::ERR }
}
