//! Clients by their ids, and the server's own figures.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_longlong, c_ulonglong, c_void};
use std::sync::Arc;

use mortise_module_abi as abi;

use super::super::handle::{
    ModString, ModuleCtx, Owned, c_bytes, c_slice, is_beside_readers, set_errno, with_current,
    with_current_reading,
};
use super::super::host::host;
use crate::base::number;
use crate::engine::acl;
use crate::engine::call::{self, Access};
use crate::engine::client::{Client, Mode, Session};
use crate::engine::tracking::TrackingMode;
use crate::resp::reply::Protocol;
use crate::resp::value::Value;

/// The client of this id.
fn find(id: u64) -> Option<Arc<Client>> {
    host().engine.get()?.shared.clients.lock().get(id).cloned()
}

/// Runs `f` with a client's session. That of the client whose command is running is locked already, and
/// reached through its call. None beside other readers for any other client: its own command may be waiting
/// for the session of ours.
fn with_session<R>(client: &Arc<Client>, f: impl FnOnce(&mut Session) -> R) -> Option<R> {
    let mut f = Some(f);
    let own = with_current_reading(|reader| {
        let is_own = reader.env.client.is_some_and(|running| running.id == client.id);
        is_own.then(|| f.take().map(|f| f(reader.session))).flatten()
    });
    match (own.flatten(), f) {
        (Some(result), _) => Some(result),
        (None, Some(_)) if is_beside_readers() => {
            set_errno(libc::EPERM);
            None
        }
        (None, Some(_)) if is_host(client) => {
            set_errno(libc::EBUSY);
            None
        }
        (None, Some(f)) => Some(f(&mut client.session.lock())),
        (None, None) => unreachable!("the function is taken only to be called"),
    }
}

/// Whether a command of this client keeps the lock and lets this one in.
fn is_host(client: &Client) -> bool {
    with_current_reading(|reader| reader.env.shared.visits.is_host(client.id)) == Some(true)
}

/// No connection is encrypted, so no client has shown a certificate.
pub(super) unsafe extern "C" fn certificate(_: *mut abi::Ctx, _: u64) -> *mut abi::ModuleString {
    std::ptr::null_mut()
}

pub(super) unsafe extern "C" fn info(out: *mut c_void, id: u64) -> c_int {
    let Some(client) = find(id) else { return abi::ERR };
    // SAFETY: null, or a struct of the module's.
    let Some(out) = (unsafe { out.cast::<abi::ClientInfo>().as_mut() }) else { return abi::OK };
    if out.version != 1 {
        return abi::ERR;
    }
    let Some(info) = describe(&client) else { return abi::ERR };
    *out = info;
    abi::OK
}

/// What modules learn of a client; None where its session is out of reach.
pub(super) fn describe(client: &Arc<Client>) -> Option<abi::ClientInfo> {
    let (db, mode) = with_session(client, |session| (session.db, session.mode))?;
    // While EXEC runs its commands nothing is queued any more.
    let in_exec = with_current_reading(|reader| {
        reader.unit.in_exec && reader.env.client.is_some_and(|running| running.id == client.id)
    });
    let in_multi = mode.contains(Mode::MULTI) || in_exec == Some(true);
    let tracks = client.tracking_mode().contains(TrackingMode::ON);
    let mut flags = 0;
    let mut set = |on: bool, flag: u64| flags |= if on { flag } else { 0 };
    set(mode.contains(Mode::BLOCKED), abi::CLIENTINFO_FLAG_BLOCKED);
    set(in_multi, abi::CLIENTINFO_FLAG_MULTI);
    set(mode.contains(Mode::SUBSCRIBED), abi::CLIENTINFO_FLAG_PUBSUB);
    set(tracks, abi::CLIENTINFO_FLAG_TRACKING);
    set(client.unix_socket, abi::CLIENTINFO_FLAG_UNIXSOCKET);
    let (host, port) = client.addr.rsplit_once(':').unwrap_or((&client.addr, "0"));
    let host = host.trim_matches(['[', ']']);
    let mut info = abi::ClientInfo {
        version: 1,
        flags,
        id: client.id,
        addr: [0; 46],
        port: port.parse().unwrap_or(0),
        db: db as u16,
    };
    // The last byte stays a NUL.
    for (to, from) in info.addr[..45].iter_mut().zip(host.bytes()) {
        *to = from.cast_signed();
    }
    Some(info)
}

/// A string of a client, or null if it is empty or the client is gone.
///
/// # Safety
/// `ctx` is null or a live context.
unsafe fn text_of(
    ctx: *mut abi::Ctx,
    id: u64,
    text: impl FnOnce(&Session) -> Vec<u8>,
) -> *mut abi::ModuleString {
    let text = find(id).map(|client| with_session(&client, |session| text(session)));
    let Some(text) = text.unwrap_or(Some(Vec::new())) else { return std::ptr::null_mut() };
    match Some(text).filter(|text| !text.is_empty()) {
        // SAFETY: the caller promises it.
        Some(text) => ModuleCtx::new_string(unsafe { ModuleCtx::borrow(ctx) }, &text),
        None => {
            set_errno(libc::ENOENT);
            std::ptr::null_mut()
        }
    }
}

pub(super) unsafe extern "C" fn name(ctx: *mut abi::Ctx, id: u64) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live context or null.
    unsafe { text_of(ctx, id, |session| session.name.to_vec()) }
}

pub(super) unsafe extern "C" fn user_name(ctx: *mut abi::Ctx, id: u64) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live context or null.
    unsafe {
        text_of(ctx, id, |session| {
            session.user.as_ref().map(|user| user.name.to_vec()).unwrap_or_default()
        })
    }
}

pub(super) unsafe extern "C" fn current_user(ctx: *mut abi::Ctx) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return std::ptr::null_mut() };
    let user = ctx.reader().map(|reader| match &reader.session.user {
        Some(user) => user.name.clone(),
        None => acl::DEFAULT.into(),
    });
    match user {
        Some(user) => ModuleCtx::new_string(Some(ctx), &user),
        None => std::ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn set_name(id: u64, name: *mut abi::ModuleString) -> c_int {
    // SAFETY: modules pass a live string.
    let name = unsafe { ModString::borrow(name) }.map_or(&[][..], ModString::as_bytes);
    let Some(client) = find(id) else {
        set_errno(libc::ENOENT);
        return abi::ERR;
    };
    if !name.iter().all(|b| (b'!'..=b'~').contains(b)) {
        set_errno(libc::EINVAL);
        return abi::ERR;
    }
    match with_session(&client, |session| session.name = name.into()) {
        Some(()) => abi::OK,
        None => abi::ERR,
    }
}

/// The target of `ServerInfoData` handles: the fields of INFO.
#[derive(Debug, Default)]
struct ServerInfo {
    fields: HashMap<Vec<u8>, CString>,
}

/// What INFO says of these sections.
fn read_info(ctx: &mut ModuleCtx, section: &[u8]) -> Option<ServerInfo> {
    let engine = ctx.engine()?;
    let argv: &[&[u8]] = if section.is_empty() { &[b"INFO"] } else { &[b"INFO", section] };
    let command = engine.state.registry.lookup(argv[0])?;
    let mut session = Session::internal(Mode::MODULE, engine.session.db);
    session.protocol = Protocol::Resp2;
    let mut raw = Vec::new();
    let mut access = Access::Exclusive(engine.state);
    call::nested(&mut access, &mut session, engine.unit, engine.env, command, argv, &mut raw);
    let (value, _) = Value::read(&raw).ok()?;
    let mut info = ServerInfo::default();
    for line in value.as_bytes()?.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        if let Ok(text) = CString::new(&line[colon + 1..]) {
            info.fields.insert(line[..colon].to_vec(), text);
        }
    }
    Some(info)
}

pub(super) unsafe extern "C" fn server_info(
    ctx: *mut abi::Ctx,
    section: *const c_char,
) -> *mut abi::ServerInfoData {
    // SAFETY: modules pass a live context, and a C string or null.
    let (ctx, section) = unsafe { (ModuleCtx::borrow(ctx), c_bytes(section)) };
    let Some(ctx) = ctx else { return std::ptr::null_mut() };
    let info = read_info(ctx, section.unwrap_or_default()).unwrap_or_default();
    let handle: *mut abi::ServerInfoData = Box::into_raw(Box::new(info)).cast();
    ctx.own(Owned::ServerInfo(handle));
    handle
}

pub(super) unsafe extern "C" fn free_server_info(
    ctx: *mut abi::Ctx,
    data: *mut abi::ServerInfoData,
) {
    // SAFETY: modules pass a live context or null.
    if let Some(ctx) = unsafe { ModuleCtx::borrow(ctx) } {
        ctx.disown(Owned::ServerInfo(data));
    }
    // SAFETY: passed on.
    unsafe { release(data) }
}

/// Frees the fields.
///
/// # Safety
/// `data` is null or live, and nobody uses it any more.
pub unsafe fn release(data: *mut abi::ServerInfoData) {
    if !data.is_null() {
        // SAFETY: `server_info` made it from a box; the caller frees it once.
        drop(unsafe { Box::from_raw(data.cast::<ServerInfo>()) });
    }
}

/// The text of a field.
///
/// # Safety
/// `data` is null or live during `'a`; `field` is null or a C string.
unsafe fn field<'a>(data: *mut abi::ServerInfoData, field: *const c_char) -> Option<&'a CString> {
    // SAFETY: the caller promises it.
    unsafe { data.cast::<ServerInfo>().as_ref()?.fields.get(c_bytes(field)?) }
}

pub(super) unsafe extern "C" fn field_string(
    ctx: *mut abi::Ctx,
    data: *mut abi::ServerInfoData,
    name: *const c_char,
) -> *mut abi::ModuleString {
    // SAFETY: modules pass live data and a C string.
    match unsafe { field(data, name) } {
        // SAFETY: modules pass a live context or null.
        Some(text) => ModuleCtx::new_string(unsafe { ModuleCtx::borrow(ctx) }, text.to_bytes()),
        None => std::ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn field_c(
    data: *mut abi::ServerInfoData,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: modules pass live data and a C string.
    unsafe { field(data, name) }.map_or(std::ptr::null(), |text| text.as_ptr())
}

/// A field as a number; 0 with an error if it is none.
///
/// # Safety
/// As for [`field`]; `error` is null or a variable.
unsafe fn numeric<T: Default>(
    data: *mut abi::ServerInfoData,
    name: *const c_char,
    error: *mut c_int,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> T {
    // SAFETY: the caller promises it.
    let value = unsafe { field(data, name) }.and_then(|text| parse(text.to_bytes()));
    // SAFETY: as above.
    if let Some(error) = unsafe { error.as_mut() } {
        *error = if value.is_some() { abi::OK } else { abi::ERR };
    }
    value.unwrap_or_default()
}

pub(super) unsafe extern "C" fn field_signed(
    data: *mut abi::ServerInfoData,
    name: *const c_char,
    error: *mut c_int,
) -> c_longlong {
    // SAFETY: modules pass live data, a C string, and null or a variable.
    unsafe { numeric(data, name, error, number::parse_i64) }
}

pub(super) unsafe extern "C" fn field_unsigned(
    data: *mut abi::ServerInfoData,
    name: *const c_char,
    error: *mut c_int,
) -> c_ulonglong {
    // SAFETY: modules pass live data, a C string, and null or a variable.
    unsafe { numeric(data, name, error, number::parse_u64) }
}

pub(super) unsafe extern "C" fn field_double(
    data: *mut abi::ServerInfoData,
    name: *const c_char,
    error: *mut c_int,
) -> f64 {
    // SAFETY: modules pass live data, a C string, and null or a variable.
    unsafe { numeric(data, name, error, number::parse_f64) }
}

pub(super) unsafe extern "C" fn stream_id_string(
    ctx: *mut abi::Ctx,
    id: *const abi::StreamId,
) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live context or null, and an id.
    let (ctx, id) = unsafe { (ModuleCtx::borrow(ctx), id.as_ref()) };
    match id {
        Some(id) => ModuleCtx::new_string(ctx, format!("{}-{}", id.ms, id.seq).as_bytes()),
        None => std::ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn string_to_stream_id(
    string: *const abi::ModuleString,
    out: *mut abi::StreamId,
) -> c_int {
    // SAFETY: modules pass a live string and a variable.
    let (string, out) = unsafe { (ModString::borrow(string), out.as_mut()) };
    let (Some(string), Some(out)) = (string, out) else { return abi::ERR };
    let id = match string.as_bytes() {
        b"-" => Some(abi::StreamId { ms: 0, seq: 0 }),
        b"+" => Some(abi::StreamId { ms: u64::MAX, seq: u64::MAX }),
        text => parse_stream_id(text),
    };
    match id {
        Some(id) => {
            *out = id;
            abi::OK
        }
        None => abi::ERR,
    }
}

fn parse_stream_id(text: &[u8]) -> Option<abi::StreamId> {
    match text.iter().position(|b| *b == b'-') {
        Some(dash) => Some(abi::StreamId {
            ms: number::parse_u64(&text[..dash])?,
            seq: number::parse_u64(&text[dash + 1..])?,
        }),
        None => Some(abi::StreamId { ms: number::parse_u64(text)?, seq: 0 }),
    }
}

pub(super) unsafe extern "C" fn reset_dataset(_: c_int, _: c_int) {
    with_current(|engine| {
        let Some(command) = engine.state.registry.lookup(b"FLUSHALL") else { return };
        let mut session = Session::internal(Mode::MODULE, engine.session.db);
        let mut raw = Vec::new();
        let argv: &[&[u8]] = &[b"FLUSHALL"];
        // What the module resets is its own affair: neither the log nor replicas hear of it.
        let before = engine.unit.call.targets.replace(crate::engine::effects::Targets::empty());
        let mut access = Access::Exclusive(engine.state);
        call::nested(&mut access, &mut session, engine.unit, engine.env, command, argv, &mut raw);
        engine.unit.call.targets = before;
    });
}

/// What the C shim calls with the text of a `long double`.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_reply_long_double(
    ctx: *mut abi::Ctx,
    data: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: the shim passes a live context and `len` bytes.
    let (ctx, text) = unsafe { (ModuleCtx::borrow(ctx), c_slice(data, len)) };
    if let Some(mut reply) = ctx.and_then(ModuleCtx::reply) {
        if reply.is_resp3() {
            reply.raw(b",");
            reply.raw(text);
            reply.raw(b"\r\n");
        } else {
            reply.bulk(text);
        }
    }
    abi::OK
}
