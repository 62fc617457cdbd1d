//! How do modules written in C read documents?
//!
//! One table of C functions, exported under the names `RedisJSON_V1` to `RedisJSON_V9`; the layout is that of RedisJSON,
//! `include/rejson_api.h` declares it. Record 0025 tells why unsafe code may stand here.
//!
//! What C holds as a `RedisJSON` is one of two pointers, told apart by its lowest bit: to a [`View`] (in an iterator or in
//! a [`Place`]), or, with the bit, to the [`Document`] in a key, for which nothing could be freed if it were made here.
//!
//! The callers' side of the contract, on which every `SAFETY` below rests: a pointer that this table has given comes
//! back to the function it is for, before it is freed and before its document is written to; out pointers are NULL or
//! can be written; the server's lock is held. Views with a `'static` lifetime never leave this file otherwise.
#![allow(
    unsafe_code,
    reason = "the table's functions take pointers; see docs/decisions/0025-json-shared-api.md"
)]

use std::ffi::{CStr, c_char, c_double, c_int, c_longlong, c_void};
use std::ptr;
use std::rc::Rc;

use mortise_module::abi::{self, Ctx, Key, ModuleString};
use mortise_module::{Context, Error, foreign};

use crate::path::{Path, compiled};
use crate::rdb::{Document, JSON};
use crate::value::{Numbers, View};
use crate::write::{Format, Writer, to_text};

/// A `RedisJSON`.
type Json = *const c_void;

macro_rules! table {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $function:ident;)*) => {
        /// The functions in the order of the header.
        #[repr(C)]
        #[expect(non_snake_case, reason = "the names are those of the header")]
        struct Table { $($name: unsafe extern "C" fn($($type),*) $(-> $result)?,)* }

        static TABLE: Table = Table { $($name: $function,)* };
    };
}

table! {
    openKey(ctx: *mut Ctx, name: *mut ModuleString) -> Json = open_key;
    openKeyFromStr(ctx: *mut Ctx, name: *const c_char) -> Json = open_key_from_str;
    get(json: Json, path: *const c_char) -> *mut Results = get;
    next(results: *mut Results) -> Json = next;
    len(results: *const Results) -> usize = len;
    freeIter(results: *mut Results) = free_results;
    getLen(json: Json, len: *mut usize) -> c_int = get_len;
    getType(json: Json) -> c_int = get_type;
    getInt(json: Json, value: *mut c_longlong) -> c_int = get_int;
    getDouble(json: Json, value: *mut c_double) -> c_int = get_double;
    getBoolean(json: Json, value: *mut c_int) -> c_int = get_boolean;
    getString(json: Json, text: *mut *const c_char, len: *mut usize) -> c_int = get_string;
    getJSON(json: Json, ctx: *mut Ctx, text: *mut *mut ModuleString) -> c_int = get_json;
    isJSON(key: *mut Key) -> c_int = is_json;
    pathParse(path: *const c_char, ctx: *mut Ctx, error: *mut *mut ModuleString) -> *const Path = path_parse;
    pathFree(path: *const Path) = path_free;
    pathIsSingle(path: *const Path) -> c_int = path_is_single;
    pathHasDefinedOrder(path: *const Path) -> c_int = path_is_single;
    getJSONFromIter(results: *const Results, ctx: *mut Ctx, text: *mut *mut ModuleString) -> c_int = get_json_from_iter;
    resetIter(results: *mut Results) = reset_iter;
    getKeyValues(json: Json) -> *mut Members = get_key_values;
    freeKeyValuesIter(members: *mut Members) = free_members;
    openKeyWithFlags(ctx: *mut Ctx, name: *mut ModuleString, flags: c_int) -> Json = open_key_with_flags;
    allocJson() -> *mut Place = alloc_json;
    getAt(json: Json, index: usize, place: *mut Place) -> c_int = get_at;
    nextKeyValue(members: *mut Members, name: *mut *mut ModuleString, place: *mut Place) -> c_int = next_key_value;
    freeJson(place: *mut Place) = free_json;
    getArray(json: Json, len: *mut usize, kind: *mut c_int) -> *const c_void = get_array;
    getJsonFromHandle(key: *mut Key) -> Json = get_json_from_handle;
    getWithPath(json: Json, path: *const Path) -> *mut Results = get_with_path;
}

/// Offers the table under all its names.
pub(crate) fn export(ctx: &mut Context<'_>) -> Result<(), Error> {
    const NAMES: [&CStr; 9] = [
        c"RedisJSON_V1",
        c"RedisJSON_V2",
        c"RedisJSON_V3",
        c"RedisJSON_V4",
        c"RedisJSON_V5",
        c"RedisJSON_V6",
        c"RedisJSON_V7",
        c"RedisJSON_V8",
        c"RedisJSON_V9",
    ];
    NAMES.into_iter().try_for_each(|name| ctx.export_table(name, &TABLE))
}

/// What a path has matched, and how much of it has been taken.
struct Results {
    views: Vec<View<'static>>,
    taken: usize,
}

/// The members of an object that are still to come.
struct Members {
    object: View<'static>,
    /// Where the next one stands at the earliest.
    position: u32,
    left: usize,
}

/// A place for one value. C reads the first field: it is a `RedisJSON`.
#[repr(C)]
struct Place {
    json: Json,
    view: View<'static>,
}

impl Place {
    /// Puts a value there, or makes the place empty.
    fn fill(&mut self, view: Option<View<'static>>) -> c_int {
        self.view = view.unwrap_or(View::Null);
        self.json = match view {
            Some(_) => ptr::from_ref(&self.view).cast(),
            None => ptr::null(),
        };
        status(view.is_some())
    }
}

fn status(fine: bool) -> c_int {
    if fine { abi::OK } else { abi::ERR }
}

const DOCUMENT_BIT: usize = 1;
const _: () =
    assert!(align_of::<Document>() > DOCUMENT_BIT && align_of::<View<'_>>() > DOCUMENT_BIT);

fn handle(document: *const Document) -> Json {
    if document.is_null() {
        return ptr::null();
    }
    document.cast::<c_void>().map_addr(|address| address | DOCUMENT_BIT)
}

/// # Safety
/// `json` is NULL or a value that this table has given, and still good.
unsafe fn view_of(json: Json) -> Option<View<'static>> {
    if json.is_null() {
        return None;
    }
    if json.addr() & DOCUMENT_BIT != 0 {
        let document = json.map_addr(|address| address & !DOCUMENT_BIT).cast::<Document>();
        // SAFETY: only `handle` sets the bit, on a pointer to the document of a key, which is still good.
        return Some(unsafe { &*document }.0.view());
    }
    // SAFETY: without the bit it points to a view of an iterator or a place, which is still good.
    Some(unsafe { *json.cast::<View<'static>>() })
}

/// # Safety
/// `out` is NULL or can be written.
unsafe fn put<T>(out: *mut T, value: Option<T>) -> c_int {
    match value {
        Some(value) if !out.is_null() => {
            // SAFETY: by the caller.
            unsafe { out.write(value) };
            abi::OK
        }
        _ => abi::ERR,
    }
}

/// # Safety
/// `text` is NULL or a C string.
unsafe fn text_of<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: by the caller.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}

/// # Safety
/// As for `put`; the context is NULL or live.
unsafe fn put_text(ctx: *mut Ctx, out: *mut *mut ModuleString, text: &[u8]) -> c_int {
    if out.is_null() {
        return abi::ERR;
    }
    // SAFETY: by the caller, who has the string from now on.
    let string = unsafe { foreign::make_string(ctx, text) };
    // SAFETY: by the caller.
    unsafe { put(out, (!string.is_null()).then_some(string)) }
}

fn results(root: View<'static>, path: &Path) -> *mut Results {
    match path.select(root) {
        Ok(views) => Box::into_raw(Box::new(Results { views, taken: 0 })),
        Err(_) => ptr::null_mut(),
    }
}

unsafe extern "C" fn open_key(ctx: *mut Ctx, name: *mut ModuleString) -> Json {
    // SAFETY: context and name are the caller's.
    foreign::guarded(ptr::null(), || handle(unsafe { foreign::read_value(ctx, name, 0, &JSON) }))
}

unsafe extern "C" fn open_key_with_flags(
    ctx: *mut Ctx,
    name: *mut ModuleString,
    flags: c_int,
) -> Json {
    foreign::guarded(ptr::null(), || {
        // SAFETY: context and name are the caller's.
        handle(unsafe { foreign::read_value(ctx, name, flags, &JSON) })
    })
}

unsafe extern "C" fn open_key_from_str(ctx: *mut Ctx, name: *const c_char) -> Json {
    foreign::guarded(ptr::null(), || {
        if name.is_null() {
            return ptr::null();
        }
        // SAFETY: a C string of the caller.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        // SAFETY: the context is the caller's.
        let name = unsafe { foreign::make_string(ctx, name) };
        // SAFETY: the context is the caller's, the name was just made.
        let document = unsafe { foreign::read_value(ctx, name, 0, &JSON) };
        // SAFETY: it was made above with this context and is not used any more.
        unsafe { foreign::free_string(ctx, name) };
        handle(document)
    })
}

unsafe extern "C" fn get(json: Json, path: *const c_char) -> *mut Results {
    foreign::guarded(ptr::null_mut(), || {
        // SAFETY: a value of this table, and a C string.
        let (root, path) = unsafe { (view_of(json), text_of(path)) };
        match (root, path.and_then(|path| compiled(path).ok())) {
            (Some(root), Some(path)) => results(root, &path),
            _ => ptr::null_mut(),
        }
    })
}

unsafe extern "C" fn get_with_path(json: Json, path: *const Path) -> *mut Results {
    foreign::guarded(ptr::null_mut(), || {
        // SAFETY: a value of this table, and NULL or a path from `path_parse`.
        match unsafe { (view_of(json), path.as_ref()) } {
            (Some(root), Some(path)) => results(root, path),
            _ => ptr::null_mut(),
        }
    })
}

unsafe extern "C" fn next(results: *mut Results) -> Json {
    // SAFETY: NULL or an iterator from `get`, which nobody else uses now.
    let Some(results) = (unsafe { results.as_mut() }) else { return ptr::null() };
    let Some(view) = results.views.get(results.taken) else { return ptr::null() };
    results.taken += 1;
    ptr::from_ref(view).cast()
}

unsafe extern "C" fn len(results: *const Results) -> usize {
    // SAFETY: NULL or an iterator from `get`.
    unsafe { results.as_ref() }.map_or(0, |results| results.views.len())
}

unsafe extern "C" fn reset_iter(results: *mut Results) {
    // SAFETY: NULL or an iterator from `get`, which nobody else uses now.
    if let Some(results) = unsafe { results.as_mut() } {
        results.taken = 0;
    }
}

unsafe extern "C" fn free_results(results: *mut Results) {
    if !results.is_null() {
        // SAFETY: an iterator from `get`, where it was a box; it is not used any more.
        drop(unsafe { Box::from_raw(results) });
    }
}

unsafe extern "C" fn get_len(json: Json, out: *mut usize) -> c_int {
    // SAFETY: a value of this table.
    let len = match unsafe { view_of(json) } {
        Some(View::Text(text)) => Some(text.len()),
        Some(View::Array(array)) => Some(array.len()),
        Some(View::Object(object)) => Some(object.len()),
        _ => None,
    };
    // SAFETY: NULL or a place of the caller.
    unsafe { put(out, len) }
}

unsafe extern "C" fn get_type(json: Json) -> c_int {
    // SAFETY: a value of this table.
    match unsafe { view_of(json) } {
        Some(View::Text(_)) => 0,
        Some(View::Int(_)) => 1,
        Some(View::Unsigned(_) | View::Float(_)) => 2,
        Some(View::Bool(_)) => 3,
        Some(View::Object(_)) => 4,
        Some(View::Array(_)) => 5,
        Some(View::Null) | None => 6,
    }
}

unsafe extern "C" fn get_int(json: Json, out: *mut c_longlong) -> c_int {
    // SAFETY: a value of this table.
    let value = match unsafe { view_of(json) } {
        Some(View::Int(value)) => Some(value),
        _ => None,
    };
    // SAFETY: NULL or a place of the caller.
    unsafe { put(out, value) }
}

unsafe extern "C" fn get_double(json: Json, out: *mut c_double) -> c_int {
    // SAFETY: a value of this table.
    let value = match unsafe { view_of(json) } {
        Some(View::Int(value)) => Some(value as f64),
        Some(View::Unsigned(value)) => Some(value as f64),
        Some(View::Float(value)) => Some(value),
        _ => None,
    };
    // SAFETY: NULL or a place of the caller.
    unsafe { put(out, value) }
}

unsafe extern "C" fn get_boolean(json: Json, out: *mut c_int) -> c_int {
    // SAFETY: a value of this table.
    let value = match unsafe { view_of(json) } {
        Some(View::Bool(value)) => Some(c_int::from(value)),
        _ => None,
    };
    // SAFETY: NULL or a place of the caller.
    unsafe { put(out, value) }
}

unsafe extern "C" fn get_string(json: Json, out: *mut *const c_char, len: *mut usize) -> c_int {
    // SAFETY: a value of this table.
    let Some(View::Text(text)) = (unsafe { view_of(json) }) else { return abi::ERR };
    // SAFETY: NULL or a place of the caller; the text lies in the document, not in the view.
    if unsafe { put(out, Some(text.as_ptr().cast())) } != abi::OK {
        return abi::ERR;
    }
    // SAFETY: as above.
    unsafe { put(len, Some(text.len())) }
}

unsafe extern "C" fn get_json(json: Json, ctx: *mut Ctx, out: *mut *mut ModuleString) -> c_int {
    foreign::guarded(abi::ERR, || {
        // SAFETY: a value of this table.
        let Some(view) = (unsafe { view_of(json) }) else { return abi::ERR };
        // SAFETY: context and place are the caller's.
        unsafe { put_text(ctx, out, &to_text(view, Format::COMPACT)) }
    })
}

unsafe extern "C" fn get_json_from_iter(
    results: *const Results,
    ctx: *mut Ctx,
    out: *mut *mut ModuleString,
) -> c_int {
    foreign::guarded(abi::ERR, || {
        // SAFETY: NULL or an iterator from `get`.
        let results =
            unsafe { results.as_ref() }.filter(|results| results.taken < results.views.len());
        let Some(results) = results else { return abi::ERR };
        let mut writer = Writer::new(Format::COMPACT);
        writer.array(results.views.iter().copied());
        // SAFETY: context and place are the caller's.
        unsafe { put_text(ctx, out, &writer.finish()) }
    })
}

unsafe extern "C" fn is_json(key: *mut Key) -> c_int {
    // SAFETY: NULL or a key of the caller.
    let document = foreign::guarded(ptr::null(), || unsafe { foreign::value_in(key, &JSON) });
    c_int::from(!document.is_null())
}

unsafe extern "C" fn get_json_from_handle(key: *mut Key) -> Json {
    // SAFETY: NULL or a key of the caller.
    foreign::guarded(ptr::null(), || handle(unsafe { foreign::value_in(key, &JSON) }))
}

unsafe extern "C" fn path_parse(
    path: *const c_char,
    ctx: *mut Ctx,
    error: *mut *mut ModuleString,
) -> *const Path {
    foreign::guarded(ptr::null(), || {
        // SAFETY: NULL or a C string.
        let Some(path) = (unsafe { text_of(path) }) else { return ptr::null() };
        match compiled(path) {
            Ok(path) => Rc::into_raw(path),
            Err(refused) => {
                // SAFETY: context and place are the caller's.
                unsafe { put_text(ctx, error, refused.to_string().as_bytes()) };
                ptr::null()
            }
        }
    })
}

unsafe extern "C" fn path_free(path: *const Path) {
    if !path.is_null() {
        // SAFETY: from `path_parse`, where it was an `Rc`; it is not used any more.
        drop(unsafe { Rc::from_raw(path) });
    }
}

unsafe extern "C" fn path_is_single(path: *const Path) -> c_int {
    // SAFETY: NULL or a path from `path_parse`.
    c_int::from(unsafe { path.as_ref() }.is_some_and(|path| path.last_step().is_some()))
}

unsafe extern "C" fn get_key_values(json: Json) -> *mut Members {
    // SAFETY: a value of this table.
    match unsafe { view_of(json) } {
        Some(View::Object(object)) => {
            let members = Members { object: View::Object(object), position: 0, left: object.len() };
            Box::into_raw(Box::new(members))
        }
        _ => ptr::null_mut(),
    }
}

unsafe extern "C" fn next_key_value(
    members: *mut Members,
    name: *mut *mut ModuleString,
    place: *mut Place,
) -> c_int {
    foreign::guarded(abi::ERR, || {
        // SAFETY: NULL or from `get_key_values` and `alloc_json`; nobody else uses them now.
        let (Some(members), Some(place)) = (unsafe { (members.as_mut(), place.as_mut()) }) else {
            return abi::ERR;
        };
        let View::Object(object) = members.object else { return place.fill(None) };
        if members.left == 0 {
            return place.fill(None);
        }
        let Some(member) = object.members_from(members.position).next() else {
            return place.fill(None);
        };
        members.left -= 1;
        members.position = member.position + 1;
        // SAFETY: the place for the name is the caller's; strings without a context need none.
        if unsafe { put_text(ptr::null_mut(), name, member.name()) } != abi::OK {
            return place.fill(None);
        }
        place.fill(Some(member.value))
    })
}

unsafe extern "C" fn free_members(members: *mut Members) {
    if !members.is_null() {
        // SAFETY: from `get_key_values`, where it was a box; it is not used any more.
        drop(unsafe { Box::from_raw(members) });
    }
}

unsafe extern "C" fn alloc_json() -> *mut Place {
    Box::into_raw(Box::new(Place { json: ptr::null(), view: View::Null }))
}

unsafe extern "C" fn free_json(place: *mut Place) {
    if !place.is_null() {
        // SAFETY: from `alloc_json`, where it was a box; it is not used any more.
        drop(unsafe { Box::from_raw(place) });
    }
}

unsafe extern "C" fn get_at(json: Json, index: usize, place: *mut Place) -> c_int {
    // The array may be what the place itself holds, so it is read first.
    // SAFETY: a value of this table.
    let element = match unsafe { view_of(json) } {
        Some(View::Array(array)) => array.get(index),
        _ => None,
    };
    // SAFETY: NULL or from `alloc_json`; nobody else uses it now.
    unsafe { place.as_mut() }.map_or(abi::ERR, |place| place.fill(element))
}

unsafe extern "C" fn get_array(json: Json, len: *mut usize, kind: *mut c_int) -> *const c_void {
    const HETEROGENEOUS: c_int = 0;
    const I64: c_int = 10;
    const F64: c_int = 12;
    // SAFETY: a value of this table.
    let Some(View::Array(array)) = (unsafe { view_of(json) }) else {
        // SAFETY: NULL or a place of the caller.
        unsafe { put(len, Some(0)) };
        return ptr::null();
    };
    let (numbers, array_kind) = match array.numbers() {
        Some(Numbers::Ints(ints)) => (ints.as_ptr().cast(), I64),
        Some(Numbers::Floats(floats)) => (floats.as_ptr().cast(), F64),
        // Not to be read, but not NULL either.
        None => (json, HETEROGENEOUS),
    };
    // SAFETY: NULL or places of the caller.
    unsafe {
        put(len, Some(array.len()));
        put(kind, Some(array_kind));
    }
    numbers
}
