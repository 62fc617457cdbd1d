//! A module on the bare ABI whose values and globals take part in defragmentation, for `tests/moves.rs`.
//!
//! It speaks to the server as a C module does. Every block has a content that is checked whenever it has moved.
#![allow(unsafe_code, reason = "a module on the bare ABI")]
#![allow(unsafe_op_in_unsafe_fn, reason = "each function here is one sequence of foreign calls")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the server alone calls these functions, as the ABI says"
)]

use std::ffi::{CStr, c_char, c_int, c_longlong, c_ulong, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicUsize, Ordering::Relaxed};

use mortise_module_abi::{self as abi, api};

/// The functions that the module uses, each of which the server must have.
macro_rules! functions {
    ($($name:ident),* $(,)?) => {
        #[allow(non_snake_case, reason = "the names of the ABI")]
        struct Api { $($name: api::$name),* }

        impl Api {
            unsafe fn bind(get: unsafe extern "C" fn(*const c_char, *mut c_void) -> c_int) -> Option<Api> {
                Some(Api { $($name: {
                    let name = concat!("RedisModule_", stringify!($name), "\0");
                    let mut found: Option<api::$name> = None;
                    get(name.as_ptr().cast(), (&raw mut found).cast());
                    found?
                }),* })
            }
        }
    };
}

functions! {
    SetModuleAttribs, CreateCommand, CreateDataType, ReplyWithArray, ReplyWithLongLong,
    ReplyWithSimpleString, StringToLongLong, StringPtrLen, CreateString, OpenKey, CloseKey,
    ModuleTypeSetValue, ModuleTypeGetValue, Alloc, Free, CreateDict, DictSetC, DictGetC,
    RegisterDefragFunc, RegisterDefragFunc2, RegisterDefragCallbacks, DefragAlloc, DefragAllocRaw,
    DefragFreeRaw, DefragRedisModuleString, DefragRedisModuleDict, DefragShouldStop,
    DefragCursorSet, DefragCursorGet, GetKeyNameFromDefragCtx, GetDbIdFromDefragCtx,
}

static API: OnceLock<Api> = OnceLock::new();
static TYPE: AtomicPtr<abi::ModuleType> = AtomicPtr::new(null_mut());

/// What has happened so far, in the order of the reply of `moves.told`.
static MOVED: AtomicI64 = AtomicI64::new(0);
static WHOLE: AtomicI64 = AtomicI64::new(0);
static PIECES: AtomicI64 = AtomicI64::new(0);
static WRONG: AtomicI64 = AtomicI64::new(0);
static BEGUN: AtomicI64 = AtomicI64::new(0);
static ENDED: AtomicI64 = AtomicI64::new(0);
static ENTRIES: AtomicI64 = AtomicI64::new(0);
static RESUMED: AtomicI64 = AtomicI64::new(0);

/// Globals: strings, and a dictionary of blocks.
static STRINGS: AtomicPtr<*mut abi::ModuleString> = AtomicPtr::new(null_mut());
static DICT: AtomicPtr<abi::Dict> = AtomicPtr::new(null_mut());
static SEEK: AtomicPtr<abi::ModuleString> = AtomicPtr::new(null_mut());
static GLOBALS: AtomicUsize = AtomicUsize::new(0);

/// Bytes of a block.
const BLOCK_BYTES: usize = 104;

type Args = *mut *mut abi::ModuleString;

fn api() -> &'static Api {
    API.get().expect("bound when the module was loaded")
}

/// A value: so many blocks, each filled with its number.
#[repr(C)]
struct Value {
    count: usize,
    blocks: *mut *mut u8,
}

unsafe fn new_block(number: usize) -> *mut u8 {
    let block = (api().Alloc)(BLOCK_BYTES).cast::<u8>();
    block.write_bytes(number as u8, BLOCK_BYTES);
    block
}

unsafe fn is_sound(block: *const u8, number: usize) -> bool {
    std::slice::from_raw_parts(block, BLOCK_BYTES).iter().all(|byte| *byte == number as u8)
}

/// Has the server move a block; where it is now.
unsafe fn moved<T>(ctx: *mut abi::DefragCtx, block: *mut T) -> *mut T {
    let now = (api().DefragAlloc)(ctx, block.cast());
    if now.is_null() {
        return block;
    }
    MOVED.fetch_add(1, Relaxed);
    now.cast()
}

unsafe extern "C" fn defrag(
    ctx: *mut abi::DefragCtx,
    key: *mut abi::ModuleString,
    value: *mut *mut c_void,
) -> c_int {
    let mut cursor: c_ulong = 0;
    let in_pieces = (api().DefragCursorGet)(ctx, &raw mut cursor) == abi::OK;
    let of_key = (api().GetKeyNameFromDefragCtx)(ctx) == key.cast_const();
    if !of_key || (api().GetDbIdFromDefragCtx)(ctx) != 0 {
        WRONG.fetch_add(1, Relaxed);
    }
    if in_pieces {
        PIECES.fetch_add(1, Relaxed)
    } else {
        WHOLE.fetch_add(1, Relaxed)
    };
    let own = (*value).cast::<Value>();
    if cursor == 0 {
        (*own).blocks = moved(ctx, (*own).blocks);
        *value = moved(ctx, own).cast();
    }
    let own = &mut *(*value).cast::<Value>();
    for at in cursor as usize..own.count {
        let place = own.blocks.add(at);
        *place = moved(ctx, *place);
        if !is_sound(*place, at) {
            WRONG.fetch_add(1, Relaxed);
        }
        if at % 16 == 15 && at + 1 < own.count && (api().DefragShouldStop)(ctx) != 0 {
            if !in_pieces || (api().DefragCursorSet)(ctx, at as c_ulong + 1) != abi::OK {
                WRONG.fetch_add(1, Relaxed);
            }
            return 1;
        }
    }
    0
}

/// Moves the strings.
unsafe extern "C" fn globals(ctx: *mut abi::DefragCtx) {
    let strings = STRINGS.load(Relaxed);
    for at in 0..GLOBALS.load(Relaxed) {
        let place = strings.add(at);
        let now = (api().DefragRedisModuleString)(ctx, *place);
        if !now.is_null() {
            *place = now;
            MOVED.fetch_add(1, Relaxed);
        }
    }
    // Blocks of a round's own.
    let own = (api().DefragAllocRaw)(ctx, 64);
    (api().DefragFreeRaw)(ctx, own);
}

/// Moves a block of the dictionary.
unsafe extern "C" fn entry(
    ctx: *mut abi::DefragCtx,
    data: *mut c_void,
    key: *mut u8,
    len: usize,
    now: *mut *mut c_void,
) -> c_int {
    let key = std::slice::from_raw_parts(key, len);
    let number: usize = String::from_utf8_lossy(key).parse().unwrap_or(0);
    let block = moved(ctx, data.cast::<u8>());
    if !is_sound(block, number) {
        WRONG.fetch_add(1, Relaxed);
    }
    if block.cast() != data {
        *now = block.cast();
    }
    ENTRIES.fetch_add(1, Relaxed);
    0
}

/// Moves the dictionary, a piece at a time.
unsafe extern "C" fn globals_in_pieces(ctx: *mut abi::DefragCtx) -> c_int {
    let mut seek = SEEK.load(Relaxed);
    RESUMED.fetch_add(i64::from(!seek.is_null()), Relaxed);
    let dict = DICT.load(Relaxed);
    let now = (api().DefragRedisModuleDict)(ctx, dict, Some(entry), &raw mut seek);
    if !now.is_null() {
        DICT.store(now, Relaxed);
    }
    SEEK.store(seek, Relaxed);
    c_int::from(!seek.is_null())
}

unsafe extern "C" fn begun(_: *mut abi::DefragCtx) {
    BEGUN.fetch_add(1, Relaxed);
}

unsafe extern "C" fn ended(_: *mut abi::DefragCtx) {
    ENDED.fetch_add(1, Relaxed);
}

unsafe extern "C" fn free(value: *mut c_void) {
    let own = value.cast::<Value>();
    for at in 0..(*own).count {
        (api().Free)((*own).blocks.add(at).read().cast());
    }
    (api().Free)((*own).blocks.cast());
    (api().Free)(value);
}

unsafe extern "C" fn effort(_: *mut abi::ModuleString, value: *const c_void) -> usize {
    (*value.cast::<Value>()).count
}

unsafe fn number(string: *mut abi::ModuleString) -> c_longlong {
    let mut value = 0;
    (api().StringToLongLong)(string, &raw mut value);
    value
}

/// `moves.put KEY COUNT`: a value of so many blocks.
unsafe extern "C" fn put(ctx: *mut abi::Ctx, argv: Args, _: c_int) -> c_int {
    let count = number(*argv.add(2)) as usize;
    let value = (api().Alloc)(size_of::<Value>()).cast::<Value>();
    let blocks = (api().Alloc)(count.max(1) * size_of::<*mut u8>()).cast::<*mut u8>();
    for at in 0..count {
        blocks.add(at).write(new_block(at));
    }
    value.write(Value { count, blocks });
    let key = (api().OpenKey)(ctx, *argv.add(1), abi::READ | abi::WRITE);
    (api().ModuleTypeSetValue)(key, TYPE.load(Relaxed), value.cast());
    (api().CloseKey)(key);
    (api().ReplyWithSimpleString)(ctx, c"OK".as_ptr())
}

/// `moves.check KEY`: how many blocks of a value are what they should be.
unsafe extern "C" fn check(ctx: *mut abi::Ctx, argv: Args, _: c_int) -> c_int {
    let key = (api().OpenKey)(ctx, *argv.add(1), abi::READ);
    let value = (api().ModuleTypeGetValue)(key).cast::<Value>();
    let own = &*value;
    let sound = (0..own.count).filter(|at| is_sound(*own.blocks.add(*at), *at)).count();
    (api().CloseKey)(key);
    (api().ReplyWithLongLong)(ctx, sound as c_longlong)
}

/// `moves.globals COUNT`: makes so many strings and entries of the dictionary; without a number, says how many of both
/// are what they should be.
unsafe extern "C" fn make_globals(ctx: *mut abi::Ctx, argv: Args, argc: c_int) -> c_int {
    if argc == 2 {
        let count = number(*argv.add(1)) as usize;
        let strings = (api().Alloc)(count * size_of::<*mut abi::ModuleString>());
        let strings = strings.cast::<*mut abi::ModuleString>();
        let dict = (api().CreateDict)(null_mut());
        for at in 0..count {
            let text = format!("global string {at}");
            strings.add(at).write((api().CreateString)(
                null_mut(),
                text.as_ptr().cast(),
                text.len(),
            ));
            let key = at.to_string();
            let key_at = key.as_ptr().cast_mut().cast();
            (api().DictSetC)(dict, key_at, key.len(), new_block(at).cast());
        }
        STRINGS.store(strings, Relaxed);
        DICT.store(dict, Relaxed);
        GLOBALS.store(count, Relaxed);
    }
    let dict = DICT.load(Relaxed);
    let is_right = |at: &usize| {
        let mut len = 0;
        let bytes = (api().StringPtrLen)(STRINGS.load(Relaxed).add(*at).read(), &raw mut len);
        let text = std::slice::from_raw_parts(bytes.cast::<u8>(), len);
        let key = at.to_string();
        let key_at = key.as_ptr().cast_mut().cast();
        let block = (api().DictGetC)(dict, key_at, key.len(), null_mut()).cast::<u8>();
        text == format!("global string {at}").as_bytes() && is_sound(block, *at)
    };
    let right = (0..GLOBALS.load(Relaxed)).filter(is_right).count();
    (api().ReplyWithLongLong)(ctx, right as c_longlong)
}

/// `moves.told`: blocks moved, values moved at once, pieces of values, what was wrong, rounds begun and ended, entries of the
/// dictionary, and how often it was resumed.
unsafe extern "C" fn told(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    let all = [&MOVED, &WHOLE, &PIECES, &WRONG, &BEGUN, &ENDED, &ENTRIES, &RESUMED];
    (api().ReplyWithArray)(ctx, all.len() as _);
    for one in all {
        (api().ReplyWithLongLong)(ctx, one.load(Relaxed));
    }
    abi::OK
}

/// What the server calls first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RedisModule_OnLoad(ctx: *mut abi::Ctx, _: Args, _: c_int) -> c_int {
    let Some(get) = ctx.cast::<abi::CtxHead>().read().get_api else { return abi::ERR };
    let Some(bound) = Api::bind(get) else { return abi::ERR };
    let api = API.get_or_init(|| bound);
    (api.SetModuleAttribs)(ctx, c"moves".as_ptr(), 1, 1);
    let mut methods = abi::TypeMethods {
        version: 4,
        free: Some(free),
        free_effort: Some(effort),
        defrag: Some(defrag),
        ..abi::TypeMethods::EMPTY
    };
    let kind = (api.CreateDataType)(ctx, c"abi-moves".as_ptr(), 0, &raw mut methods);
    TYPE.store(kind, Relaxed);
    let codes = [
        (api.RegisterDefragFunc)(ctx, Some(globals)),
        (api.RegisterDefragFunc2)(ctx, Some(globals_in_pieces)),
        (api.RegisterDefragCallbacks)(ctx, Some(begun), Some(ended)),
    ];
    let commands: [(&CStr, abi::CmdFunc); 4] = [
        (c"moves.put", Some(put)),
        (c"moves.check", Some(check)),
        (c"moves.globals", Some(make_globals)),
        (c"moves.told", Some(told)),
    ];
    for (name, function) in commands {
        (api.CreateCommand)(ctx, name.as_ptr(), function, c"write".as_ptr(), 0, 0, 0);
    }
    if codes == [abi::OK; 3] && !kind.is_null() { abi::OK } else { abi::ERR }
}
