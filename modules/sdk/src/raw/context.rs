//! What can be asked of a context itself?

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::time::Duration;

use mortise_module_abi as abi;

use super::keys::Key;
use super::strings::{Arg, OwnedString, Text};
use super::{bound, need, with_c_string};
use crate::context::{Context, Origin};
use crate::error::Error;

/// A context that is live during `'h`, on a thread that may use it.
#[derive(Clone, Copy)]
pub struct Ctx<'h> {
    ctx: NonNull<abi::Ctx>,
    lender: PhantomData<&'h abi::Ctx>,
}

impl<'h> Ctx<'h> {
    /// Wraps a context of the server.
    ///
    /// # Safety
    /// `ctx` is NULL or stays live during `'h`, and this thread may use it.
    pub(super) unsafe fn from_ptr(ctx: *mut abi::Ctx) -> Option<Ctx<'h>> {
        NonNull::new(ctx).map(|ctx| Ctx { ctx, lender: PhantomData })
    }

    pub(super) fn ptr(self) -> *mut abi::Ctx {
        self.ctx.as_ptr()
    }

    pub(crate) fn flags(self) -> c_int {
        // SAFETY: the context is live.
        unsafe { (bound().core.GetContextFlags)(self.ptr()) }
    }

    /// Whether the client speaks RESP3. The flags tell as well, but a server has much to look at for them.
    pub(crate) fn is_resp3(self) -> bool {
        match bound().api.MortiseProtocol {
            // SAFETY: the context is live.
            Some(protocol) => unsafe { protocol(self.ptr()) == 3 },
            None => self.flags() & abi::CTX_FLAGS_RESP3 != 0,
        }
    }

    pub(crate) fn selected_db(self) -> c_int {
        // SAFETY: the context is live.
        unsafe { (bound().core.GetSelectedDb)(self.ptr()) }
    }

    pub(crate) fn select_db(self, db: c_int) -> Result<(), Error> {
        // SAFETY: the context is live; the server checks the number.
        ok(unsafe { (bound().core.SelectDb)(self.ptr(), db) }, "SelectDb")
    }

    pub(crate) fn client_id(self) -> Result<u64, Error> {
        let get_client_id = need!(GetClientId);
        // SAFETY: the context is live.
        Ok(unsafe { get_client_id(self.ptr()) })
    }

    pub(crate) fn yield_to_clients(self) -> Result<(), Error> {
        let yield_now = need!(Yield);
        // SAFETY: the context is live; without a text the server has its own.
        unsafe { yield_now(self.ptr(), abi::YIELD_FLAG_CLIENTS, std::ptr::null()) };
        Ok(())
    }

    pub(crate) fn db_size(self) -> Result<u64, Error> {
        let db_size = need!(DbSize);
        // SAFETY: the context is live.
        Ok(unsafe { db_size(self.ptr()) })
    }

    pub(crate) fn key_exists(self, name: &Text<'_>) -> Result<bool, Error> {
        let key_exists = need!(KeyExists);
        // SAFETY: both are live.
        Ok(unsafe { key_exists(self.ptr(), name.ptr()) } != 0)
    }

    pub(crate) fn replicate_verbatim(self) -> Result<(), Error> {
        // SAFETY: the context is live.
        ok(unsafe { (bound().core.ReplicateVerbatim)(self.ptr()) }, "ReplicateVerbatim")
    }

    pub(crate) fn replicate(self, command: &CStr, args: &[Text<'_>]) -> Result<(), Error> {
        let mut argv: Vec<_> = args.iter().map(Text::ptr).collect();
        // SAFETY: all pointers are live; the format "v" takes a vector and its length.
        let status = unsafe {
            (bound().core.Replicate)(
                self.ptr(),
                command.as_ptr(),
                c"v".as_ptr(),
                argv.as_mut_ptr(),
                argv.len(),
            )
        };
        ok(status, "Replicate")
    }

    pub(crate) fn notify(self, class: c_int, event: &str, key: &Text<'_>) -> Result<(), Error> {
        with_c_string(event, |event| self.announce(class, event, key))
    }

    pub(crate) fn announce(self, class: c_int, event: &CStr, key: &Text<'_>) -> Result<(), Error> {
        let notify = need!(NotifyKeyspaceEvent);
        // SAFETY: all pointers are live; the server does not keep them.
        let status = unsafe { notify(self.ptr(), class, event.as_ptr(), key.ptr()) };
        ok(status, "NotifyKeyspaceEvent")
    }

    pub(crate) fn signal_key_as_ready(self, key: &Text<'_>) -> Result<(), Error> {
        let signal = need!(SignalKeyAsReady);
        // SAFETY: both are live.
        unsafe { signal(self.ptr(), key.ptr()) };
        Ok(())
    }

    pub(crate) fn publish(self, channel: &Text<'_>, message: &Text<'_>) -> Result<usize, Error> {
        let publish = need!(PublishMessage);
        // SAFETY: all are live.
        let receivers = unsafe { publish(self.ptr(), channel.ptr(), message.ptr()) };
        Ok(usize::try_from(receivers).unwrap_or(0))
    }

    pub(crate) fn shared_api(self, name: &CStr) -> Result<Option<NonNull<c_void>>, Error> {
        let get_shared_api = need!(GetSharedAPI);
        // SAFETY: both are live.
        Ok(NonNull::new(unsafe { get_shared_api(self.ptr(), name.as_ptr()) }))
    }

    pub(crate) fn export_shared_api(
        self,
        name: &'static CStr,
        api: *mut c_void,
    ) -> Result<(), Error> {
        let export = need!(ExportSharedAPI);
        // SAFETY: the context is live. The server keeps the name's pointer, which is static, and
        // never looks behind `api`.
        ok(unsafe { export(self.ptr(), name.as_ptr(), api) }, "ExportSharedAPI")
    }

    pub(crate) fn set_module_options(self, options: c_int) {
        if let Some(set_module_options) = bound().api.SetModuleOptions {
            // SAFETY: the context is live.
            unsafe { set_module_options(self.ptr(), options) };
        }
    }

    /// Starts a one-shot timer.
    pub(crate) fn create_timer(self, after: Duration, job: Job) -> Result<abi::TimerId, Error> {
        let create_timer = need!(CreateTimer);
        let period = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        let data = Box::into_raw(Box::new(job)).cast::<c_void>();
        // SAFETY: the context is live; `timer_fired` takes the box back, once.
        Ok(unsafe { create_timer(self.ptr(), period, Some(timer_fired), data) })
    }

    /// Stops a timer that has not fired yet.
    pub(crate) fn stop_timer(self, id: abi::TimerId) -> Result<bool, Error> {
        let stop_timer = need!(StopTimer);
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: the context is live; `data` receives what `create_timer` was given.
        let status = unsafe { stop_timer(self.ptr(), id, &raw mut data) };
        if status != abi::OK || data.is_null() {
            return Ok(false);
        }
        // SAFETY: the server checks that the timer is this module's, and all of this module's
        // timers carry a box of this type; a stopped timer never fires.
        drop(unsafe { Box::from_raw(data.cast::<Job>()) });
        Ok(true)
    }

    /// Runs a job at the end of the execution unit that raised the current keyspace event.
    pub(crate) fn post_notification_job(self, job: Job) -> Result<(), Error> {
        let add = need!(AddPostNotificationJob);
        let data = Box::into_raw(Box::new(Some(job))).cast::<c_void>();
        // SAFETY: the context is live; `job_due` empties the box, `free_job` frees it.
        let status = unsafe { add(self.ptr(), Some(job_due), data, Some(free_job)) };
        if status != abi::OK {
            // SAFETY: the server did not take the box.
            unsafe { free_job(data) };
        }
        ok(status, "AddPostNotificationJob")
    }

    /// One step of a scan; false at the end.
    pub(crate) fn scan(
        self,
        cursor: &Cursor,
        callback: &mut ScanCallback<'_>,
    ) -> Result<bool, Error> {
        let scan = need!(Scan);
        let mut callback = callback;
        let data = (&raw mut callback).cast::<c_void>();
        // SAFETY: context and cursor are live; `scanned` reads `data` as what it is, during the call.
        let more = unsafe { scan(self.ptr(), cursor.cursor.as_ptr(), Some(scanned), data) };
        Ok(more != 0)
    }
}

/// What a timer or a post-notification job runs.
pub(crate) type Job = Box<dyn FnOnce(&mut Context<'_>) + Send>;

/// What a scan calls for each key: its name, and the key unless it had to be left closed.
pub(crate) type ScanCallback<'a> = dyn FnMut(&Arg<'_>, Option<&Key<'_>>) + 'a;

unsafe extern "C" fn timer_fired(ctx: *mut abi::Ctx, data: *mut c_void) {
    // SAFETY: `data` is the box of `create_timer`, and a timer fires once.
    let job = unsafe { Box::from_raw(data.cast::<Job>()) };
    // SAFETY: the server's context is live during this call.
    let ctx = unsafe { Ctx::from_ptr(ctx) };
    super::boundary(|| run_job(ctx, *job)).ok();
}

unsafe extern "C" fn job_due(ctx: *mut abi::Ctx, data: *mut c_void) {
    // SAFETY: `data` is the box of `post_notification_job`, freed only by `free_job` later.
    let job = unsafe { &mut *data.cast::<Option<Job>>() };
    // SAFETY: the server's context is live during this call.
    let ctx = unsafe { Ctx::from_ptr(ctx) };
    super::boundary(|| job.take().map(|job| run_job(ctx, job))).ok();
}

unsafe extern "C" fn free_job(data: *mut c_void) {
    // SAFETY: `data` is the box of `post_notification_job`, and it is freed once.
    let job = unsafe { Box::from_raw(data.cast::<Option<Job>>()) };
    super::boundary(|| drop(job)).ok();
}

fn run_job(ctx: Option<Ctx<'_>>, job: Job) {
    if let Some(ctx) = ctx {
        job(&mut Context::new(ctx, Origin::Other));
    }
}

unsafe extern "C" fn scanned(
    _ctx: *mut abi::Ctx,
    name: *mut abi::ModuleString,
    key: *mut abi::Key,
    data: *mut c_void,
) {
    // SAFETY: `data` is the pointer that `scan` passed, valid during its call.
    let callback = unsafe { &mut *data.cast::<&mut ScanCallback<'_>>() };
    // SAFETY: the server lends name and key during this call.
    let (name, key) = unsafe { (Arg::from_ptr(name), Key::lent(key)) };
    if let Some(name) = name {
        super::boundary(|| callback(&name, key.as_deref())).ok();
    }
}

/// A position in a scan of the keyspace or of a key.
pub struct Cursor {
    cursor: NonNull<abi::ScanCursor>,
}

// SAFETY: a cursor is plain memory of ours that the server looks at only while it is handed over.
unsafe impl Send for Cursor {}

impl Cursor {
    pub(crate) fn new() -> Result<Cursor, Error> {
        let create = need!(ScanCursorCreate);
        need!(ScanCursorDestroy);
        // SAFETY: no preconditions.
        let cursor = NonNull::new(unsafe { create() }).ok_or(Error::Refused("ScanCursorCreate"))?;
        Ok(Cursor { cursor })
    }

    pub(super) fn ptr(&self) -> *mut abi::ScanCursor {
        self.cursor.as_ptr()
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if let Some(destroy) = bound().api.ScanCursorDestroy {
            // SAFETY: we created it and destroy it once.
            unsafe { destroy(self.cursor.as_ptr()) };
        }
    }
}

/// Turns a status into a result.
pub(super) fn ok(status: c_int, name: &'static str) -> Result<(), Error> {
    if status == abi::OK { Ok(()) } else { Err(Error::Refused(name)) }
}

impl OwnedString {
    /// The name of a random key of the selected database.
    pub(crate) fn random_key(ctx: Ctx<'_>) -> Result<Option<OwnedString>, Error> {
        let random_key = need!(RandomKey);
        // SAFETY: the context is live; the server gives the string away.
        Ok(unsafe { OwnedString::from_ptr(random_key(ctx.ptr())) })
    }
}
