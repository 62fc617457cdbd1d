//! The server's configuration and that of other modules, as modules read and set it (since Redis 8).
//!
//! Reading goes to the parameters themselves. Setting runs CONFIG SET, which checks, applies and takes back as it does
//! for clients.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{CString, c_char, c_int, c_longlong};

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, c_bytes, with_current};
use super::super::settings;
use crate::base::number::parse_i64;
use crate::config::params::{self, Kind};
use crate::engine::call::{self, Access};
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::ExclusiveCtx;

/// Names that iterators go through, and the one that was handed out last.
struct Names {
    names: std::vec::IntoIter<CString>,
    last: Option<CString>,
}

/// The type of a parameter, as `CONFIG_TYPE_*`; None if there is none of this name.
fn type_of(name: &[u8]) -> Option<c_int> {
    match params::find(name) {
        Some(spec) => Some(match spec.kind {
            Kind::Flag { .. } => abi::CONFIG_TYPE_BOOL,
            Kind::Choice { .. } => abi::CONFIG_TYPE_ENUM,
            Kind::Number(_) => abi::CONFIG_TYPE_NUMERIC,
            Kind::Text { .. } | Kind::Special(_) => abi::CONFIG_TYPE_STRING,
        }),
        None => settings::type_of(name),
    }
}

/// The value of a parameter as CONFIG GET shows it.
fn value_of(ctx: &ExclusiveCtx<'_>, name: &[u8]) -> Option<Vec<u8>> {
    ctx.state.config.get(name).or_else(|| settings::show(name))
}

/// The value of a parameter of this type.
///
/// # Safety
/// `ctx` is null or a live context, `name` null or a C string.
unsafe fn read(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    kinds: &[c_int],
) -> Option<(Vec<u8>, Vec<u8>)> {
    // SAFETY: as the caller promises.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(ctx), c_bytes(name)?) };
    let found = kinds.is_empty() || kinds.contains(&type_of(name)?);
    let engine = ctx.and_then(ModuleCtx::engine).filter(|_| found)?;
    Some((name.to_vec(), value_of(engine, name)?))
}

/// A number as modules see it: percents are negative, octal digits are read.
fn number_of(name: &[u8], value: &[u8]) -> Option<i64> {
    use crate::config::params::Unit;
    if let Some(percent) = value.strip_suffix(b"%") {
        return Some(-parse_i64(percent)?);
    }
    match params::find(name).map(|spec| spec.kind) {
        Some(Kind::Number(number)) if number.unit == Unit::Octal => {
            i64::from_str_radix(std::str::from_utf8(value).ok()?, 8).ok()
        }
        _ => {
            let text = std::str::from_utf8(value).ok()?;
            // Those beyond 63 bits are held in the same bits.
            parse_i64(value).or_else(|| text.parse::<u64>().ok().map(|number| number as i64))
        }
    }
}

/// Hands a value out as a string that the module owns.
///
/// # Safety
/// `out` is null or the module's variable; `ctx` null or a live context.
unsafe fn give(
    ctx: *mut abi::Ctx,
    found: Option<(Vec<u8>, Vec<u8>)>,
    out: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: as the caller promises.
    let (ctx, out) = unsafe { (ModuleCtx::borrow(ctx), out.as_mut()) };
    let (Some((_, value)), Some(out)) = (found, out) else { return abi::ERR };
    *out = ModuleCtx::new_string(ctx, &value);
    abi::OK
}

pub(super) unsafe extern "C" fn kind(name: *const c_char, out: *mut c_int) -> c_int {
    // SAFETY: modules pass a C string and a variable.
    let (found, out) = unsafe { (c_bytes(name).and_then(type_of), out.as_mut()) };
    let (Some(found), Some(out)) = (found, out) else { return abi::ERR };
    *out = found;
    abi::OK
}

pub(super) unsafe extern "C" fn get(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    out: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context, a C string and a variable.
    unsafe { give(ctx, read(ctx, name, &[]), out) }
}

pub(super) unsafe extern "C" fn get_enum(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    out: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context, a C string and a variable.
    unsafe { give(ctx, read(ctx, name, &[abi::CONFIG_TYPE_ENUM]), out) }
}

pub(super) unsafe extern "C" fn get_bool(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    out: *mut c_int,
) -> c_int {
    // SAFETY: modules pass a live context, a C string and a variable.
    let (found, out) = unsafe { (read(ctx, name, &[abi::CONFIG_TYPE_BOOL]), out.as_mut()) };
    let (Some((_, value)), Some(out)) = (found, out) else { return abi::ERR };
    *out = c_int::from(value == b"yes");
    abi::OK
}

pub(super) unsafe extern "C" fn get_numeric(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    out: *mut c_longlong,
) -> c_int {
    // SAFETY: modules pass a live context, a C string and a variable.
    let (found, out) = unsafe { (read(ctx, name, &[abi::CONFIG_TYPE_NUMERIC]), out.as_mut()) };
    let number = found.and_then(|(name, value)| number_of(&name, &value));
    let (Some(number), Some(out)) = (number, out) else { return abi::ERR };
    *out = number;
    abi::OK
}

/// Runs CONFIG SET; on an error the reason.
fn change(engine: &mut ExclusiveCtx<'_>, name: &[u8], value: &[u8]) -> Result<(), Vec<u8>> {
    let argv: &[&[u8]] = &[b"CONFIG", b"SET", name, value];
    let Some(command) = engine.state.registry.resolve(argv) else { return Err(Vec::new()) };
    let mut session = Session::internal(Mode::MODULE, engine.session.db);
    let mut reply = Vec::new();
    let env = engine.env;
    let mut access = Access::Exclusive(engine.state);
    call::nested(&mut access, &mut session, engine.unit, env, command, argv, &mut reply);
    match reply.strip_prefix(b"-") {
        None => Ok(()),
        Some(error) => Err(reason_of(error).to_vec()),
    }
}

/// What is behind the words that every error of CONFIG SET begins with.
fn reason_of(error: &[u8]) -> &[u8] {
    let error = error.strip_suffix(b"\r\n").unwrap_or(error);
    let behind = |mark: &[u8]| {
        let at = error.windows(mark.len()).position(|part| part == mark)?;
        error.get(at + mark.len()..)
    };
    behind(b"') - ").or_else(|| error.strip_prefix(b"ERR ")).unwrap_or(error)
}

/// Sets a parameter of one of these types; the reason of an error goes to `error` as a string that the module owns.
///
/// # Safety
/// `ctx` is null or a live context, `name` null or a C string, `error` null or the module's variable.
unsafe fn write(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    kinds: &[c_int],
    value: &[u8],
    error: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: as the caller promises.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(ctx), c_bytes(name).unwrap_or_default()) };
    let Some(ctx) = ctx else { return abi::ERR };
    let changed = match type_of(name) {
        None => Err(b"Config not found".to_vec()),
        Some(kind) if !kinds.is_empty() && !kinds.contains(&kind) => {
            Err(b"Config type mismatch".to_vec())
        }
        Some(_) => match ctx.engine() {
            Some(engine) => change(engine, name, value),
            None => Err(b"The lock is not held".to_vec()),
        },
    };
    let Err(reason) = changed else { return abi::OK };
    // SAFETY: as the caller promises.
    if let Some(error) = unsafe { error.as_mut() } {
        *error = ModuleCtx::new_string(Some(ctx), &reason);
    }
    abi::ERR
}

/// The bytes of a string of the module.
///
/// # Safety
/// `value` is null or alive for `'a`.
unsafe fn bytes<'a>(value: *mut abi::ModuleString) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe { ModString::borrow(value) }.map_or(&[], ModString::as_bytes)
}

pub(super) unsafe extern "C" fn set(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    value: *mut abi::ModuleString,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context, a C string, a live string and a variable.
    unsafe { write(ctx, name, &[], bytes(value), error) }
}

pub(super) unsafe extern "C" fn set_enum(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    value: *mut abi::ModuleString,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context, a C string, a live string and a variable.
    unsafe { write(ctx, name, &[abi::CONFIG_TYPE_ENUM], bytes(value), error) }
}

pub(super) unsafe extern "C" fn set_bool(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    value: c_int,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    let value: &[u8] = match value {
        0 => b"no",
        1 => b"yes",
        _ => b"neither",
    };
    // SAFETY: modules pass a live context, a C string and a variable.
    unsafe { write(ctx, name, &[abi::CONFIG_TYPE_BOOL], value, error) }
}

pub(super) unsafe extern "C" fn set_numeric(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    value: c_longlong,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    use crate::config::params::Unit;
    // SAFETY: modules pass C strings.
    let spec = params::find(unsafe { c_bytes(name) }.unwrap_or_default());
    let text = match spec.map(|spec| spec.kind) {
        Some(Kind::Number(number)) => match number.unit {
            Unit::MemoryOrPercent if value < 0 => format!("{}%", value.unsigned_abs()),
            Unit::Octal => format!("{value:o}"),
            _ if number.unsigned => (value as u64).to_string(),
            _ => value.to_string(),
        },
        _ => value.to_string(),
    };
    // SAFETY: modules pass a live context, a C string and a variable.
    unsafe { write(ctx, name, &[abi::CONFIG_TYPE_NUMERIC], text.as_bytes(), error) }
}

pub(super) unsafe extern "C" fn iterate(
    _: *mut abi::Ctx,
    pattern: *const c_char,
) -> *mut abi::ConfigIterator {
    // SAFETY: modules pass a C string or null, which stands for all.
    let pattern = unsafe { c_bytes(pattern) }.unwrap_or(b"*");
    let names = with_current(|ctx| {
        let mut found = ctx.state.config.matching(&[pattern]);
        found.extend(settings::matching(&[pattern]));
        found.into_iter().filter_map(|(name, _)| CString::new(name).ok()).collect::<Vec<_>>()
    });
    let Some(names) = names else { return std::ptr::null_mut() };
    Box::into_raw(Box::new(Names { names: names.into_iter(), last: None })).cast()
}

pub(super) unsafe extern "C" fn next(names: *mut abi::ConfigIterator) -> *const c_char {
    // SAFETY: modules pass a live iterator, which only they use.
    let Some(names) = (unsafe { names.cast::<Names>().as_mut() }) else { return std::ptr::null() };
    names.last = names.names.next();
    names.last.as_ref().map_or(std::ptr::null(), |name| name.as_ptr())
}

pub(super) unsafe extern "C" fn release(_: *mut abi::Ctx, names: *mut abi::ConfigIterator) {
    if !names.is_null() {
        // SAFETY: `iterate` made it from a box, and modules release it once.
        drop(unsafe { Box::from_raw(names.cast::<Names>()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_they_are_held_as() {
        assert_eq!(number_of(b"maxmemory-clients", b"50%"), Some(-50));
        assert_eq!(number_of(b"unixsocketperm", b"700"), Some(0o700));
        assert_eq!(number_of(b"maxmemory", b"18446744073709551615"), Some(-1));
        assert_eq!(number_of(b"hz", b"10"), Some(10));
        assert_eq!(number_of(b"hz", b"ten"), None);
    }

    #[test]
    fn reasons_come_without_the_words_in_front() {
        let error = b"ERR CONFIG SET failed (possibly related to argument 'port') - in use\r\n";
        assert_eq!(reason_of(error), b"in use");
        assert_eq!(reason_of(b"ERR what\r\n"), b"what");
    }

    #[test]
    fn types_are_those_of_the_header() {
        assert_eq!(type_of(b"appendonly"), Some(abi::CONFIG_TYPE_BOOL));
        assert_eq!(type_of(b"PORT"), Some(abi::CONFIG_TYPE_NUMERIC));
        assert_eq!(type_of(b"logfile"), Some(abi::CONFIG_TYPE_STRING));
        assert_eq!(type_of(b"maxmemory-policy"), Some(abi::CONFIG_TYPE_ENUM));
        assert_eq!(type_of(b"oom-score-adj-values"), Some(abi::CONFIG_TYPE_STRING));
        assert_eq!(type_of(b"no-such-parameter"), None);
    }
}
