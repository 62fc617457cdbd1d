//! How do modules call each other without knowing each other's pointers?
//!
//! A service is one C function of a fixed type that a module exports under a name. It takes bytes
//! and hands chunks of bytes to a sink, so that both sides stay in safe code; the wire format is
//! theirs to agree on, versions belong into the name.

use std::ffi::{CString, c_int, c_void};
use std::slice;

use mortise_module_abi as abi;

use super::boundary;
use super::context::Ctx;
use crate::dispatch;
use crate::error::Error;
use crate::module::SERVICES_MAX;

/// Takes a chunk of the answer, or the text of the error.
type Sink = unsafe extern "C" fn(data: *mut c_void, kind: c_int, bytes: *const u8, len: usize);

/// The C type of a service. Returns 0, or 1 after it has passed an error to the sink.
type ServiceFunc = unsafe extern "C" fn(
    ctx: *mut abi::Ctx,
    request: *const u8,
    len: usize,
    sink: Sink,
    data: *mut c_void,
) -> c_int;

const CHUNK: c_int = 0;
const ERROR: c_int = 1;

fn c_name(name: &str) -> CString {
    super::c_string(&format!("mortise-service:{name}"))
}

unsafe extern "C" fn service_entry<const INDEX: usize>(
    ctx: *mut abi::Ctx,
    request: *const u8,
    len: usize,
    sink: Sink,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the caller's context is live during this call, and the request with it.
    let (ctx, request) =
        unsafe { (Ctx::from_ptr(ctx), super::strings::bytes(request.cast(), len)) };
    let Some(ctx) = ctx else { return abi::ERR };
    let mut answer = |chunk: &[u8]| {
        // SAFETY: the sink takes its own data and `len` bytes.
        unsafe { sink(data, CHUNK, chunk.as_ptr(), chunk.len()) };
    };
    let result = boundary(|| dispatch::run_service(INDEX, ctx, request, &mut answer));
    let error = match result {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => format!("ERR the service panicked: {panic}"),
    };
    // SAFETY: as above.
    unsafe { sink(data, ERROR, error.as_ptr(), error.len()) };
    abi::ERR
}

const SERVICE_ENTRIES: [ServiceFunc; SERVICES_MAX] = [
    service_entry::<0>,
    service_entry::<1>,
    service_entry::<2>,
    service_entry::<3>,
    service_entry::<4>,
    service_entry::<5>,
    service_entry::<6>,
    service_entry::<7>,
];

impl Ctx<'_> {
    pub(crate) fn export_service(self, name: &str, index: usize) -> Result<(), Error> {
        // The server keeps the pointer, so the name is never freed; there are few of them.
        let name = Box::leak(c_name(name).into_boxed_c_str());
        self.export_shared_api(name, SERVICE_ENTRIES[index] as *mut c_void)
    }
}

/// A service of another module. The server does not unload that module while we use it.
#[derive(Clone, Copy)]
pub struct ImportedService {
    function: ServiceFunc,
}

/// What the sink of a call needs: the caller's closure, and where an error goes.
struct Receiver<'a> {
    chunk: &'a mut dyn FnMut(&[u8]),
    error: Option<String>,
}

impl ImportedService {
    pub(crate) fn find(ctx: Ctx<'_>, name: &str) -> Result<Option<ImportedService>, Error> {
        let found = ctx.shared_api(&c_name(name))?;
        Ok(found.map(|function| {
            // SAFETY: only `export_service` registers names with this prefix, with this type.
            let function =
                unsafe { std::mem::transmute::<*mut c_void, ServiceFunc>(function.as_ptr()) };
            ImportedService { function }
        }))
    }

    pub(crate) fn call(
        self,
        ctx: Ctx<'_>,
        request: &[u8],
        chunk: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        let mut receiver = Receiver { chunk, error: None };
        let data = (&raw mut receiver).cast::<c_void>();
        // SAFETY: the context is live; `receive` reads `data` as what it is, during this call.
        let status =
            unsafe { (self.function)(ctx.ptr(), request.as_ptr(), request.len(), receive, data) };
        match receiver.error {
            None if status == abi::OK => Ok(()),
            error => {
                Err(Error::with_code(error.unwrap_or_else(|| "ERR the service failed".to_owned())))
            }
        }
    }
}

unsafe extern "C" fn receive(data: *mut c_void, kind: c_int, bytes: *const u8, len: usize) {
    // SAFETY: `data` is the receiver of the `call` that is running.
    let receiver = unsafe { &mut *data.cast::<Receiver<'_>>() };
    let bytes = if bytes.is_null() || len == 0 {
        &[]
    } else {
        // SAFETY: the service passes `len` bytes that live during this call.
        unsafe { slice::from_raw_parts(bytes, len) }
    };
    if kind == CHUNK {
        if let Err(panic) = boundary(|| (receiver.chunk)(bytes)) {
            receiver.error = Some(format!("ERR {panic}"));
        }
    } else {
        receiver.error = Some(String::from_utf8_lossy(bytes).into_owned());
    }
}
