//! What do the opaque handles of the ABI point to? Contexts, strings and open keys.
//!
//! Invariants: a handle is a real pointer to one of these structs, made by the host and freed by the
//! host; a [`ModuleCtx`] lives on the host's stack for the time of one call into a module, or in a box
//! while a thread of a module owns it; a string counts its holders atomically, because threads of
//! modules let go of strings that commands retained for them.
#![expect(unsafe_code, reason = "handles of a C interface are raw pointers")]

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int};
use std::marker::PhantomPinned;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mortise_module_abi as abi;

use super::api::streams::StreamWalk;
use super::api::threads::Held;
use super::api::yielding::{self, Yielding};
use super::api::zsets::ZsetWalk;
use super::arguments::Arguments;
use super::blocked::{Blocked, BlockedCall};
use super::crash;
use super::host::{Module, ModuleRef};
use super::logins::Asking;
use crate::base::moving::Mover;
use crate::engine::acl::user::User;
use crate::engine::ctx::{ExclusiveCtx, ReadCtx};
use crate::engine::keys::{ChannelAt, KeyAt};
use crate::engine::state::State;
use crate::keyspace::db::Slot;
use crate::resp::reply::{Protocol, Reply};

/// A string that a module holds: bytes with a NUL behind them.
#[derive(Debug)]
pub struct ModString {
    references: AtomicUsize,
    /// The bytes, then a NUL that does not count.
    bytes: Vec<u8>,
}

impl ModString {
    /// A string with one reference, owned by whoever gets the pointer; in one that nobody holds if there is such.
    pub fn create(bytes: &[u8]) -> NonNull<ModString> {
        let spare = SPARE_STRINGS.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        if let Some(Spare(mut string)) = spare {
            *string.references.get_mut() = 1;
            string.refill(bytes);
            return NonNull::from(Box::leak(string));
        }
        let mut owned = Vec::with_capacity(bytes.len() + 1);
        owned.extend_from_slice(bytes);
        owned.push(0);
        let string = ModString { references: AtomicUsize::new(1), bytes: owned };
        NonNull::from(Box::leak(Box::new(string)))
    }

    /// The bytes without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - 1]
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.pop();
        self.bytes.extend_from_slice(bytes);
        self.bytes.push(0);
    }

    /// How many hold the string.
    pub fn references(&self) -> usize {
        self.references.load(Ordering::Acquire)
    }

    /// One more holder.
    pub fn retain(&self) {
        self.references.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts other bytes into a string that nobody but the caller holds.
    #[inline]
    pub fn refill(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.reserve(bytes.len() + 1);
        self.bytes.extend_from_slice(bytes);
        self.bytes.push(0);
    }

    /// Bytes that it has room for.
    pub fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// Memory taken, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }

    /// Gives back unused memory.
    pub fn trim(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Moves a string that nobody else holds; where it is now, if it is elsewhere.
    ///
    /// # Safety
    /// It is alive, leaked from a box by `create_in`, and used under its new address if there is one.
    pub unsafe fn moved(string: NonNull<Self>, mover: &mut Mover<'_>) -> Option<NonNull<Self>> {
        // SAFETY: the string is alive.
        if unsafe { string.as_ref() }.references() != 1 {
            return None;
        }
        // SAFETY: from a box, and whoever called has the only reference.
        let mut own = unsafe { Box::from_raw(string.as_ptr()) };
        mover.vec(&mut own.bytes);
        Some(NonNull::from(Box::leak(mover.boxed(own)))).filter(|now| *now != string)
    }

    /// The handle of this string.
    pub fn handle(string: NonNull<ModString>) -> *mut abi::ModuleString {
        string.as_ptr().cast()
    }

    /// The string behind a handle; None for null.
    ///
    /// # Safety
    /// `handle` is null or came from [`ModString::handle`] of a string that is alive for `'a`.
    pub unsafe fn borrow<'a>(handle: *const abi::ModuleString) -> Option<&'a ModString> {
        // SAFETY: not null after the check, and alive as the caller promises.
        unsafe { handle.cast::<ModString>().as_ref() }
    }

    /// One holder less; the last one frees.
    ///
    /// # Safety
    /// `handle` is null or the handle of a live string of which the caller gives up one reference.
    pub unsafe fn release(handle: *mut abi::ModuleString) {
        // SAFETY: passed on.
        if let Some(spare) = unsafe { Self::give_up(handle) } {
            // A thread that ends keeps nothing.
            let _ = SPARE_STRINGS.try_with(|spares| keep_spare(&mut spares.borrow_mut(), spare));
        }
    }

    /// As [`ModString::release`], but what nobody holds any more is handed over.
    ///
    /// # Safety
    /// As for [`ModString::release`].
    #[inline]
    unsafe fn give_up(handle: *mut abi::ModuleString) -> Option<Spare> {
        let string = NonNull::new(handle.cast::<ModString>())?;
        // SAFETY: the string is alive until its last reference is given up.
        let references = &unsafe { string.as_ref() }.references;
        // Whoever has the only reference need not count it down: nobody else can make another.
        let is_last = references.load(Ordering::Acquire) == 1
            || references.fetch_sub(1, Ordering::AcqRel) == 1;
        // SAFETY: it was leaked from a box by `create`, and nobody holds it any more.
        is_last.then(|| Spare(unsafe { Box::from_raw(string.as_ptr()) }))
    }
}

/// Strings that a thread keeps for use again, and the room that such a one has at most: commands with few short
/// arguments are to cost no allocation.
const SPARE_STRINGS_MAX: usize = 32;
const SPARE_BYTES_MAX: usize = 128;

thread_local! {
    static SPARE_STRINGS: RefCell<Vec<Spare>> = const { RefCell::new(Vec::new()) };
}

/// A string that nobody holds, with its box.
struct Spare(Box<ModString>);

/// Keeps a string that nobody holds any more among the others, or frees it.
#[inline]
fn keep_spare(spares: &mut Vec<Spare>, mut spare: Spare) {
    if spare.0.bytes.capacity() <= SPARE_BYTES_MAX && spares.len() < SPARE_STRINGS_MAX {
        spare.0.bytes.clear();
        spares.push(spare);
    }
}

/// A key that a module has opened. It is found again by its name at each use, because calls between
/// two uses may have changed anything.
#[derive(Debug)]
pub struct OpenKey {
    /// The context it was opened with; contexts outlive their keys.
    pub ctx: *mut ModuleCtx,
    /// Its db.
    pub db: u32,
    /// Its name.
    pub name: Vec<u8>,
    /// Where it was when it was last looked for.
    pub seen: Option<Slot>,
    /// `READ`, `WRITE` and hints.
    pub mode: c_int,
    /// Something was written through it, so that closing it signals the change.
    pub wrote: bool,
    /// Where the module stands among the elements.
    pub walk: Walk,
}

/// Where a module stands among the elements of a key that it has opened.
#[derive(Debug, Default)]
pub enum Walk {
    /// It goes through none.
    #[default]
    None,
    /// It goes through members of a sorted set.
    Zset(Box<ZsetWalk>),
    /// It goes through entries of a stream.
    Stream(Box<StreamWalk>),
}

/// Handles of keys that a thread keeps for use again, and the room for a name that such a one has at most.
const SPARE_KEYS_MAX: usize = 8;
const SPARE_NAME_BYTES_MAX: usize = 256;

thread_local! {
    static SPARE_KEYS: RefCell<Vec<SpareKey>> = const { RefCell::new(Vec::new()) };
}

/// A handle that nobody uses, with its box.
struct SpareKey(Box<OpenKey>);

impl OpenKey {
    /// A handle of the key, to be given back by [`OpenKey::recycle`].
    pub fn create(
        ctx: *mut ModuleCtx,
        db: u32,
        name: &[u8],
        seen: Option<Slot>,
        mode: c_int,
    ) -> Box<OpenKey> {
        let spare = SPARE_KEYS.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let mut key = match spare {
            Some(SpareKey(key)) => key,
            None => {
                let (name, walk) = (Vec::new(), Walk::None);
                Box::new(OpenKey { ctx, db, name, seen, mode, wrote: false, walk })
            }
        };
        key.name.extend_from_slice(name);
        (key.ctx, key.db, key.seen, key.mode) = (ctx, db, seen, mode);
        key
    }

    /// Keeps a handle that nobody uses any more, or frees it.
    pub fn recycle(mut key: Box<OpenKey>) {
        if key.name.capacity() > SPARE_NAME_BYTES_MAX {
            return;
        }
        key.name.clear();
        key.wrote = false;
        key.walk = Walk::None;
        // A thread that ends keeps nothing.
        let _ = SPARE_KEYS.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_KEYS_MAX {
                spare.push(SpareKey(key));
            }
        });
    }
}

/// Has the module see this error in `errno`.
pub fn set_errno(error: c_int) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() = error };
}

/// What a context frees at its end if the module asked for automatic memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// A string.
    String(*mut abi::ModuleString),
    /// An open key.
    Key(*mut abi::Key),
    /// A call reply.
    Reply(*mut abi::CallReply),
    /// A dictionary.
    Dict(*mut abi::Dict),
    /// Fields of INFO.
    ServerInfo(*mut abi::ServerInfoData),
}

thread_local! {
    /// The engine of the innermost context on this thread, for functions of the ABI that come without
    /// one; no engine outside of calls into modules.
    static CURRENT: Cell<Reach> = const { Cell::new(Reach::Nothing) };
}

/// What of the engine a context reaches.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// Nothing: nobody holds the lock for it.
    Nothing,
    /// All of it: an `ExclusiveCtx`.
    All(*mut ()),
    /// What may be read, beside other readers: a `ReadCtx`.
    Reading(*mut ()),
}

/// Runs `f` with this engine as the current one.
fn as_current<R>(engine: Reach, f: impl FnOnce() -> R) -> R {
    let before = CURRENT.replace(engine);
    let result = f();
    CURRENT.set(before);
    result
}

impl Reach {
    /// The whole engine.
    ///
    /// # Safety
    /// What `self` points to is alive during `'a` and not referred to otherwise; see [`ModuleCtx::engine`].
    unsafe fn all<'a, 'e>(self) -> Option<&'a mut ExclusiveCtx<'e>> {
        match self {
            Reach::Nothing => None,
            // SAFETY: `All` is made of references of this type up to their lifetime; the caller promises the rest.
            Reach::All(engine) => unsafe { engine.cast::<ExclusiveCtx<'e>>().as_mut() },
            Reach::Reading(_) => {
                set_errno(libc::EPERM);
                None
            }
        }
    }

    /// What may be read.
    ///
    /// # Safety
    /// As for [`Reach::all`].
    unsafe fn reading<'a>(self) -> Option<ReadCtx<'a>> {
        match self {
            Reach::Nothing => None,
            Reach::All(engine) => {
                // SAFETY: as in `all`.
                unsafe { engine.cast::<ExclusiveCtx<'a>>().as_mut() }.map(ExclusiveCtx::read)
            }
            Reach::Reading(reader) => {
                // SAFETY: `Reading` is made of references of this type up to their lifetime; the caller promises
                // the rest.
                let reader: &'a mut ReadCtx<'a> = unsafe { reader.cast::<ReadCtx<'a>>().as_mut() }?;
                let ReadCtx { state, session, unit, env } = reader;
                Some(ReadCtx { state, session, unit, env: *env })
            }
        }
    }
}

impl Reach {
    /// The state, and the time by which keys are past theirs.
    ///
    /// # Safety
    /// As for [`Reach::all`].
    unsafe fn state<'a>(self) -> Option<(&'a State, i64)> {
        match self {
            Reach::Nothing => None,
            Reach::All(engine) => {
                // SAFETY: as in `all`.
                let engine = unsafe { engine.cast::<ExclusiveCtx<'a>>().as_ref() }?;
                Some((&*engine.state, engine.expiry_ms()))
            }
            Reach::Reading(reader) => {
                // SAFETY: as in `reading`.
                let reader = unsafe { reader.cast::<ReadCtx<'a>>().as_ref() }?;
                Some((reader.state, reader.expiry_ms()))
            }
        }
    }
}

/// Calls a function of a module that gets no context, so that functions which need none find the engine.
pub fn with_engine<R>(engine: &mut ExclusiveCtx<'_>, f: impl FnOnce() -> R) -> R {
    as_current(Reach::All(std::ptr::from_mut(engine).cast()), f)
}

/// Runs `f` with the engine of the call into a module that this thread is in; None if there is none.
pub fn with_current<R>(f: impl FnOnce(&mut ExclusiveCtx<'_>) -> R) -> Option<R> {
    // SAFETY: set for the time of a call to the engine of its context, of which `ModuleCtx::engine` says
    // why it may be used; only functions of the ABI that got no context come here.
    unsafe { CURRENT.get().all() }.map(f)
}

/// As [`with_current`], for what only looks.
pub fn with_current_reading<R>(f: impl FnOnce(&mut ReadCtx<'_>) -> R) -> Option<R> {
    // SAFETY: as above.
    unsafe { CURRENT.get().reading() }.map(|mut reader| f(&mut reader))
}

/// Whether this thread runs a command of a module beside other readers.
pub fn is_beside_readers() -> bool {
    matches!(CURRENT.get(), Reach::Reading(_))
}

/// The context of one call into a module.
#[repr(C)]
pub struct ModuleCtx {
    /// What modules read: the function that finds the others.
    head: abi::CtxHead,
    /// The module.
    pub module: Option<ModuleRef>,
    /// The engine for the time of the call.
    engine: Reach,
    /// Where replies go; null where there is nobody to answer.
    out: *mut Vec<u8>,
    /// The protocol of replies.
    pub protocol: Protocol,
    /// Where the arrays of unknown length began, innermost last.
    pub postponed: Vec<usize>,
    /// Automatic memory is on.
    pub auto_memory: bool,
    /// What automatic memory frees.
    pub owned: Vec<Owned>,
    /// The arguments of the command that is running.
    pub argv: Arguments,
    /// Its name.
    pub command: Cow<'static, str>,
    /// Key positions that the module reports, when it is asked for them.
    pub key_positions: Option<Vec<KeyAt>>,
    /// Channels that it reports likewise.
    pub channel_positions: Option<Vec<ChannelAt>>,
    /// The user as whom it calls commands, if it has chosen one.
    pub user: Option<Arc<User>>,
    /// By which handle; null if it has chosen none.
    pub user_handle: *const abi::User,
    /// The load is under way: commands and types may be registered.
    pub loading: bool,
    /// The blocked client that the context is for.
    pub blocked: Option<BlockedCall>,
    /// The selected db while there is no engine.
    pub db: u32,
    /// How it lets others in.
    pub yielding: Yielding,
    /// It is a thread-safe one: where this thread is called by the host and so has the engine, the context may be used
    /// without being locked, as in Redis, whose main thread holds the lock then.
    pub(super) is_free: bool,
    /// The module is asked whether a client may log in.
    pub asking: Option<Asking>,
    /// What a thread's context owns while it has the lock; null otherwise.
    held: *mut Held,
    /// Modules keep its address. Also tells the compiler that a reference to it is not the only way to
    /// it: threads read `module` of a context that another has locked.
    _pinned: PhantomPinned,
}

impl ModuleCtx {
    /// A context without engine or client.
    pub fn detached(module: Option<Arc<Module>>) -> Self {
        Self::of(module.map(ModuleRef::held), Reach::Nothing)
    }

    #[inline]
    fn of(module: Option<ModuleRef>, engine: Reach) -> Self {
        Self {
            head: abi::CtxHead { get_api: Some(super::api::get_api) },
            module,
            engine,
            out: std::ptr::null_mut(),
            protocol: Protocol::Resp2,
            postponed: Vec::new(),
            auto_memory: false,
            owned: Vec::new(),
            argv: Arguments::default(),
            command: Cow::Borrowed(""),
            key_positions: None,
            channel_positions: None,
            user: None,
            user_handle: std::ptr::null(),
            loading: false,
            blocked: None,
            db: 0,
            yielding: Yielding::default(),
            is_free: false,
            asking: None,
            held: std::ptr::null_mut(),
            _pinned: PhantomPinned,
        }
    }

    /// Runs `f` with the handle of a context over this engine and, if there is one, this reply.
    /// Afterwards everything that the context owns is freed.
    pub fn with<R>(
        module: &Arc<Module>,
        engine: &mut ExclusiveCtx<'_>,
        reply: Option<&mut Reply<'_>>,
        prepare: impl FnOnce(&mut ModuleCtx),
        f: impl FnOnce(*mut abi::Ctx) -> R,
    ) -> R {
        Self::over(module, Reach::All(std::ptr::from_mut(engine).cast()), reply, prepare, f)
    }

    /// As [`ModuleCtx::with`], beside other readers: functions that change something find no engine, and say so
    /// by errno (EPERM).
    pub fn with_reader<R>(
        module: &Arc<Module>,
        reader: &mut ReadCtx<'_>,
        reply: Option<&mut Reply<'_>>,
        prepare: impl FnOnce(&mut ModuleCtx),
        f: impl FnOnce(*mut abi::Ctx) -> R,
    ) -> R {
        Self::over(module, Reach::Reading(std::ptr::from_mut(reader).cast()), reply, prepare, f)
    }

    fn over<R>(
        module: &Arc<Module>,
        engine: Reach,
        reply: Option<&mut Reply<'_>>,
        prepare: impl FnOnce(&mut ModuleCtx),
        f: impl FnOnce(*mut abi::Ctx) -> R,
    ) -> R {
        // SAFETY: the context does not leave this function, and its parts are not handed out.
        let module_of = unsafe { ModuleRef::lent(module) };
        let mut ctx = ModuleCtx::of(Some(module_of), engine);
        if let Some(reply) = reply {
            ctx.protocol = reply.protocol();
            ctx.out = std::ptr::from_mut(reply.buffer());
        }
        prepare(&mut ctx);
        let handle = std::ptr::from_mut(&mut ctx);
        // SAFETY: `ctx` is alive during the call.
        let engine = unsafe { (*handle).engine };
        let result =
            crash::within(Some(module), handle, || as_current(engine, || f(handle.cast())));
        // SAFETY: `ctx` is alive, and foreign code, which held the handle, has returned.
        unsafe { (*handle).finish() };
        result
    }

    /// Runs `f` with the handle of the context that a module loads with: one without a module yet.
    pub fn with_loading<R>(engine: &mut ExclusiveCtx<'_>, f: impl FnOnce(*mut abi::Ctx) -> R) -> R {
        let mut ctx = ModuleCtx::detached(None);
        ctx.engine = Reach::All(std::ptr::from_mut(engine).cast());
        ctx.loading = true;
        let handle = std::ptr::from_mut(&mut ctx);
        // SAFETY: `ctx` is alive during the call.
        let engine = unsafe { (*handle).engine };
        crash::next_is("OnLoad");
        let result = crash::within(None, handle, || as_current(engine, || f(handle.cast())));
        // SAFETY: as in `with`.
        unsafe { (*handle).finish() };
        result
    }

    /// The context behind a handle; None for null.
    ///
    /// # Safety
    /// `handle` is null or the handle of a context whose call is under way on this thread, and no other
    /// reference made by this function is in use.
    pub unsafe fn borrow<'a>(handle: *mut abi::Ctx) -> Option<&'a mut ModuleCtx> {
        // SAFETY: not null after the check; alive and not aliased, as the caller promises.
        unsafe { handle.cast::<ModuleCtx>().as_mut() }
    }

    /// The module of a context, which may be in use on another thread: it never changes once the
    /// module is loaded.
    ///
    /// # Safety
    /// `handle` is null or the handle of a live context.
    pub unsafe fn module_of<'a>(handle: *mut abi::Ctx) -> Option<&'a Arc<Module>> {
        let ctx = handle.cast::<ModuleCtx>();
        if ctx.is_null() {
            return None;
        }
        // SAFETY: alive, as the caller promises; the field is only read while threads share it.
        unsafe { (*ctx).module.as_deref() }
    }

    /// Has replies go to a blocked client, once it is unblocked. The caller keeps it alive in
    /// `blocked`.
    pub fn reply_through(&mut self, blocked: &Arc<Blocked>) {
        self.out = blocked.replies();
        self.protocol = blocked.protocol;
        self.db = blocked.db;
    }

    /// The selected db.
    pub fn selected_db(&mut self) -> u32 {
        match self.reader() {
            Some(reader) => reader.session.db,
            None => self.db,
        }
    }

    /// Gives the context the engine, until [`ModuleCtx::let_go`].
    pub(super) fn hold(&mut self, held: *mut Held, access: ExclusiveCtx<'static>) {
        self.held = held;
        self.engine = Reach::All(Box::into_raw(Box::new(access)).cast());
        CURRENT.set(self.engine);
    }

    /// Takes the engine back; what was held with it, None if it was not.
    pub(super) fn let_go(&mut self) -> Option<*mut Held> {
        let held = std::mem::replace(&mut self.held, std::ptr::null_mut());
        if held.is_null() {
            return None;
        }
        yielding::end(&mut self.yielding);
        let access = std::mem::replace(&mut self.engine, Reach::Nothing);
        CURRENT.set(Reach::Nothing);
        if let Reach::All(access) = access {
            // SAFETY: `hold` made it from a box of this type, and it is taken out once.
            drop(unsafe { Box::from_raw(access.cast::<ExclusiveCtx<'static>>()) });
        }
        Some(held)
    }

    /// The engine, for the time of one API function.
    ///
    /// Calls into modules nest, and each level has a context whose pointer was derived from the
    /// reference that the level above used to make the call. While the inner level runs, the outer does
    /// not touch the engine; so at any time one of the references is in use, the youngest, which is the
    /// stack discipline that Rust's reborrows have.
    ///
    /// A command that runs beside other readers gets none: what asks for it here is refused there.
    pub fn engine(&mut self) -> Option<&mut ExclusiveCtx<'_>> {
        // SAFETY: `with` stored the pointer of a reference that outlives the context, of this type up to
        // its lifetime, which is shortened here to that of `&mut self`; the argument above excludes
        // another use at the same time.
        unsafe { self.reach().all() }
    }

    /// What may be read of the engine, for the time of one API function; also for a command that runs beside
    /// other readers.
    pub fn reader(&mut self) -> Option<ReadCtx<'_>> {
        // SAFETY: as in `engine`; `with_reader` stored what it stored likewise.
        unsafe { self.reach().reading() }
    }

    /// The engine's state, and the time in unix milliseconds by which keys are past theirs: what suffices to look at
    /// a key that is open.
    pub fn state(&mut self) -> Option<(&State, i64)> {
        // SAFETY: as in `reader`.
        unsafe { self.reach().state() }
    }

    /// What the context has itself, or, as the innermost level, may use without having it.
    fn reach(&self) -> Reach {
        match self.engine {
            Reach::Nothing if self.is_free => CURRENT.get(),
            engine => engine,
        }
    }

    /// Whether the context is that of a command which runs beside other readers.
    pub fn is_beside_readers(&self) -> bool {
        matches!(self.engine, Reach::Reading(_))
    }

    /// The buffer of replies, if there is somebody to answer.
    pub fn out(&mut self) -> Option<&mut Vec<u8>> {
        // SAFETY: `with` stored the pointer of a buffer that outlives the context; the engine's writer of
        // the same buffer is not used while the call into the module is under way.
        unsafe { self.out.as_mut() }
    }

    /// A writer of replies.
    pub fn reply(&mut self) -> Option<Reply<'_>> {
        let protocol = self.protocol;
        self.out().map(|out| Reply::new(out, protocol))
    }

    /// Makes a string for the module, owned by the context if automatic memory is on.
    pub fn new_string(ctx: Option<&mut ModuleCtx>, bytes: &[u8]) -> *mut abi::ModuleString {
        let handle = ModString::handle(ModString::create(bytes));
        if let Some(ctx) = ctx {
            ctx.own(Owned::String(handle));
        }
        handle
    }

    /// Notes something that automatic memory is to free.
    pub fn own(&mut self, what: Owned) {
        if self.auto_memory {
            self.owned.push(what);
        }
    }

    /// Takes something out of automatic memory; true if it was there.
    pub fn disown(&mut self, what: Owned) -> bool {
        match self.owned.iter().rposition(|owned| *owned == what) {
            Some(at) => {
                self.owned.swap_remove(at);
                true
            }
            None => false,
        }
    }

    /// Frees what the context owns.
    pub fn finish(&mut self) {
        yielding::end(&mut self.yielding);
        for owned in std::mem::take(&mut self.owned).into_iter().rev() {
            match owned {
                // SAFETY: automatic memory holds a reference to each string that it lists.
                Owned::String(string) => unsafe { ModString::release(string) },
                // SAFETY: keys listed are open, and are closed once.
                Owned::Key(key) => unsafe { super::api::keys::close(key) },
                // SAFETY: replies listed are roots that were not freed.
                Owned::Reply(reply) => unsafe { super::api::call::free(reply) },
                // SAFETY: dictionaries listed were not freed.
                Owned::Dict(dict) => unsafe { super::api::dict::release(dict) },
                // SAFETY: as are fields.
                Owned::ServerInfo(data) => unsafe { super::api::clients::release(data) },
            }
        }
        self.argv.give_back();
        if !self.postponed.is_empty() {
            tracing::warn!(
                "module {} left {} replies of postponed length open",
                self.module.as_ref().map_or("?", |module| &module.name),
                self.postponed.len()
            );
        }
    }
}

/// The text of a C string; None for null.
///
/// # Safety
/// `text` is null or points to bytes that end in NUL and do not change during `'a`.
pub unsafe fn c_bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller promises a C string.
    Some(unsafe { std::ffi::CStr::from_ptr(text) }.to_bytes())
}

/// The text of a C string, with what is not UTF-8 replaced; empty for null.
///
/// # Safety
/// As for [`c_bytes`].
pub unsafe fn c_text(text: *const c_char) -> String {
    // SAFETY: passed on.
    unsafe { c_text_lossy(text) }.into_owned()
}

/// The same, copied only if something was replaced.
///
/// # Safety
/// As for [`c_bytes`].
pub unsafe fn c_text_lossy<'a>(text: *const c_char) -> Cow<'a, str> {
    // SAFETY: passed on.
    let bytes = unsafe { c_bytes(text) }.unwrap_or_default();
    String::from_utf8_lossy(bytes)
}

/// Bytes given as pointer and length; empty if the pointer is null.
///
/// # Safety
/// `data` is null or points to `len` bytes that do not change during `'a`.
pub unsafe fn c_slice<'a>(data: *const c_char, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller promises so many bytes.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}
