//! INFO sections that modules add.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_longlong, c_ulonglong};
use std::fmt::Write as _;
use std::sync::Arc;

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, c_text};
use super::super::host::{Module, host};
use super::strings::exact_double;

/// INFO text under construction; the target of `InfoCtx` handles.
#[derive(Debug)]
struct InfoText {
    module: Arc<Module>,
    sections: Vec<(String, String)>,
    /// Inside a field that holds several: whether one has been written.
    dict: Option<bool>,
}

impl InfoText {
    /// Ends the field that holds several, if one is begun.
    fn end_dict(&mut self) -> bool {
        let is_begun = self.dict.take().is_some();
        if let Some((_, text)) = self.sections.last_mut().filter(|_| is_begun) {
            text.push_str("\r\n");
        }
        is_begun
    }
}

/// Asks a module for its sections.
pub fn collect(module: &Arc<Module>, callback: abi::InfoFunc) -> Vec<(String, String)> {
    let mut info = InfoText { module: Arc::clone(module), sections: Vec::new(), dict: None };
    if let Some(callback) = callback {
        let _note = super::super::crash::note(module, "INFO");
        // SAFETY: the module is alive, and the text lives during the call.
        unsafe { callback(std::ptr::from_mut(&mut info).cast(), 0) };
    }
    info.sections
}

/// The text behind a handle.
///
/// # Safety
/// `info` is null or the handle that the module's callback got.
unsafe fn borrow<'a>(info: *mut abi::InfoCtx) -> Option<&'a mut InfoText> {
    // SAFETY: the caller promises it.
    unsafe { info.cast::<InfoText>().as_mut() }
}

pub(super) unsafe extern "C" fn register(ctx: *mut abi::Ctx, callback: abi::InfoFunc) -> c_int {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.module.as_deref().cloned());
    let Some(module) = module else { return abi::ERR };
    host().records.lock().infos.push((module, callback));
    abi::OK
}

pub(super) unsafe extern "C" fn add_section(info: *mut abi::InfoCtx, name: *const c_char) -> c_int {
    // SAFETY: modules pass the handle that their callback got, and a C string or null.
    let (info, name) = unsafe { (borrow(info), c_text(name)) };
    let Some(info) = info else { return abi::ERR };
    info.end_dict();
    let module = &info.module.name;
    let title = if name.is_empty() { module.clone() } else { format!("{module}_{name}") };
    info.sections.push((title, String::new()));
    abi::OK
}

pub(super) unsafe extern "C" fn begin_dict(info: *mut abi::InfoCtx, name: *const c_char) -> c_int {
    // SAFETY: modules pass the handle that their callback got, and a C string.
    let (info, name) = unsafe { (borrow(info), c_text(name)) };
    let Some(info) = info else { return abi::ERR };
    info.end_dict();
    let Some((_, text)) = info.sections.last_mut() else { return abi::ERR };
    let _ = write!(text, "{}_{}:", field_name(&info.module.name), field_name(&name));
    info.dict = Some(false);
    abi::OK
}

pub(super) unsafe extern "C" fn end_dict(info: *mut abi::InfoCtx) -> c_int {
    // SAFETY: modules pass the handle that their callback got.
    let Some(info) = (unsafe { borrow(info) }) else { return abi::ERR };
    if info.end_dict() { abi::OK } else { abi::ERR }
}

/// A name without what has a meaning in INFO.
fn field_name(name: &str) -> String {
    name.replace(['#', ':', '\r', '\n'], "_")
}

/// Adds a field to the section or to the open dictionary.
///
/// # Safety
/// `info` is null or the handle that the module's callback got; `name` a C string.
unsafe fn field(
    info: *mut abi::InfoCtx,
    name: *const c_char,
    value: impl std::fmt::Display,
) -> c_int {
    // SAFETY: the caller promises it.
    let (info, name) = unsafe { (borrow(info), c_text(name)) };
    let Some(info) = info else { return abi::ERR };
    let Some((_, text)) = info.sections.last_mut() else { return abi::ERR };
    match &mut info.dict {
        Some(begun) => {
            if std::mem::replace(begun, true) {
                text.push(',');
            }
            let _ = write!(text, "{name}={value}");
        }
        None => {
            let _ = write!(text, "{}_{name}:{value}\r\n", info.module.name);
        }
    }
    abi::OK
}

pub(super) unsafe extern "C" fn field_string(
    info: *mut abi::InfoCtx,
    name: *const c_char,
    value: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass the handle that their callback got, a C string and a live string.
    unsafe {
        let bytes = ModString::borrow(value).map_or(&[][..], ModString::as_bytes);
        field(info, name, String::from_utf8_lossy(bytes))
    }
}

pub(super) unsafe extern "C" fn field_c_string(
    info: *mut abi::InfoCtx,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: modules pass the handle that their callback got, and C strings.
    unsafe { field(info, name, c_text(value)) }
}

pub(super) unsafe extern "C" fn field_double(
    info: *mut abi::InfoCtx,
    name: *const c_char,
    value: f64,
) -> c_int {
    // SAFETY: modules pass the handle that their callback got, and a C string.
    unsafe { field(info, name, exact_double(value)) }
}

pub(super) unsafe extern "C" fn field_long_long(
    info: *mut abi::InfoCtx,
    name: *const c_char,
    value: c_longlong,
) -> c_int {
    // SAFETY: modules pass the handle that their callback got, and a C string.
    unsafe { field(info, name, value) }
}

pub(super) unsafe extern "C" fn field_ulong_long(
    info: *mut abi::InfoCtx,
    name: *const c_char,
    value: c_ulonglong,
) -> c_int {
    // SAFETY: modules pass the handle that their callback got, and a C string.
    unsafe { field(info, name, value) }
}
