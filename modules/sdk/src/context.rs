//! What can a handler do with the server?

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use mortise_module_abi as abi;

use crate::blocked::{BlockedClient, ThreadContext};
use crate::call::{CallFlags, CallReply};
use crate::dispatch;
use crate::error::Error;
use crate::events::NotifyClass;
use crate::key::{ReadKey, ReadValue, ScanCursor, WriteKey, WriteValue};
use crate::native::Native;
use crate::raw::{self, Answer, Arg, Ctx, OpenMode, OwnedString, Text, Type};
use crate::reply::{CommandResult, Progress, Reply, Writer};
use crate::service::Service;
use crate::string::Argument;

/// One call from the server into the module, and all that can be asked of the server during it.
///
/// The borrow of the context says what may happen at the same time. What takes `&self` only looks;
/// what takes `&mut self` may change keys, and so cannot run while a key is open: a [`ReadKey`]
/// borrows the context, a [`WriteKey`] borrows it exclusively. So references into native values
/// never outlive what they point to. Handlers that the server calls while an outer handler of the
/// same module has a key open (a keyspace event of a key that expires on access, for example) get
/// [`Error::KeysOpen`] from what changes keys.
pub struct Context<'h> {
    ctx: Ctx<'h>,
    origin: Origin,
    /// The client waits, so the handler owes no reply.
    blocked: Cell<bool>,
    progress: RefCell<Progress>,
}

/// Why the server calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client's command.
    Command,
    /// A client's command that may run beside others.
    Parallel,
    /// Anything else: nobody may be made to wait.
    Other,
}

impl<'h> Context<'h> {
    pub(crate) fn new(ctx: Ctx<'h>, origin: Origin) -> Context<'h> {
        Context { ctx, origin, blocked: Cell::new(false), progress: RefCell::default() }
    }

    pub(crate) fn raw(&self) -> Ctx<'h> {
        self.ctx
    }

    /// Nothing may be changed in a parallel command, nor while an outer call of this module looks at a key.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        self.alone()?;
        self.unwatched()
    }

    /// A parallel command has no say in what others see.
    fn alone(&self) -> Result<(), Error> {
        if self.origin == Origin::Parallel { Err(Error::InParallel) } else { Ok(()) }
    }

    /// Some functions that look may have the server delete what is past its time.
    fn unwatched(&self) -> Result<(), Error> {
        if raw::any_open() { Err(Error::KeysOpen) } else { Ok(()) }
    }

    // Replies.

    /// Writes the reply element by element.
    pub fn reply(&self) -> Writer<'_> {
        Writer::new(self.ctx, &self.progress)
    }

    /// Ends the reply of a handler.
    pub(crate) fn finish(&self, what: &str, result: CommandResult) {
        if self.blocked.get() && matches!(result, Ok(Reply::Written)) {
            return;
        }
        if !self.reply().finish(result) {
            self.log(LogLevel::Warning, &format!("{what} wrote a reply that is not one value"));
        }
    }

    // Facts.

    /// Facts about the server and the client.
    pub fn flags(&self) -> ContextFlags {
        ContextFlags(self.ctx.flags())
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.ctx.is_resp3()
    }

    /// The number of the selected database.
    pub fn db(&self) -> i32 {
        self.ctx.selected_db()
    }

    /// Selects another database for the rest of this call. A client whose command this is keeps it afterwards, so a
    /// command that only wants to look elsewhere selects its own again.
    pub fn select_db(&mut self, db: i32) -> Result<(), Error> {
        self.ctx.select_db(db)
    }

    /// How many keys the selected database has.
    pub fn db_size(&self) -> Result<u64, Error> {
        self.ctx.db_size()
    }

    /// The client's id.
    pub fn client_id(&self) -> Result<u64, Error> {
        self.ctx.client_id()
    }

    /// The server's version as 0x00MMmmpp, 0 if it does not tell.
    pub fn server_version(&self) -> i32 {
        raw::server_version()
    }

    // Keys.

    /// Opens a key to look at it. A missing key is an empty one.
    pub fn open_read<'c>(&'c self, name: &(impl Argument + ?Sized)) -> ReadKey<'c> {
        ReadKey::new(self.ctx.open_key(&name.text(), OpenMode::Read))
    }

    /// Opens a key to change it. A missing key is an empty one.
    pub fn open_write<'c>(
        &'c mut self,
        name: &(impl Argument + ?Sized),
    ) -> Result<WriteKey<'c>, Error> {
        self.writable()?;
        let key = self.ctx.open_key(&name.text(), OpenMode::Write);
        let key = ReadKey::new(Some(key.ok_or(Error::Refused("OpenKey"))?));
        Ok(WriteKey::new(key, self))
    }

    /// Opens a key to look at its native value; None if it does not exist. For a command that wants nothing else of the
    /// key: the server is asked once, where it offers that.
    pub fn read_value<'c, T: Native>(
        &'c self,
        name: &(impl Argument + ?Sized),
        ty: &Type<T>,
    ) -> Result<Option<ReadValue<'c, T>>, Error> {
        Ok(self.ctx.open_value(&name.text(), ty, OpenMode::Read)?.map(ReadValue::new))
    }

    /// Opens a key to change its native value in place; None if it does not exist.
    pub fn write_value<'c, T: Native>(
        &'c mut self,
        name: &(impl Argument + ?Sized),
        ty: &Type<T>,
    ) -> Result<Option<WriteValue<'c, T>>, Error> {
        self.writable()?;
        Ok(self.ctx.open_value(&name.text(), ty, OpenMode::Write)?.map(WriteValue::new))
    }

    /// Whether a key exists, without opening it.
    pub fn key_exists(&self, name: &(impl Argument + ?Sized)) -> Result<bool, Error> {
        self.ctx.key_exists(&name.text())
    }

    /// The name of a random key.
    pub fn random_key(&mut self) -> Result<Option<OwnedString>, Error> {
        self.unwatched()?;
        OwnedString::random_key(self.ctx)
    }

    /// One step of a scan of the selected database: calls `each` with some keys, open for reading
    /// unless the server could not open them. False: the scan is complete. Keys that stay during the
    /// whole scan are met at least once.
    pub fn scan_step(
        &mut self,
        cursor: &ScanCursor,
        mut each: impl FnMut(&Arg<'_>, &ReadKey<'_>),
    ) -> Result<bool, Error> {
        self.unwatched()?;
        self.ctx.scan(cursor.raw(), &mut |name, key| each(name, &ReadKey::lent(key)))
    }

    /// A whole scan of the selected database.
    pub fn scan(&mut self, mut each: impl FnMut(&Arg<'_>, &ReadKey<'_>)) -> Result<(), Error> {
        let cursor = ScanCursor::new()?;
        while self.scan_step(&cursor, &mut each)? {}
        Ok(())
    }

    // Commands.

    /// Runs a command. An error that the command replies is an `Err`. A parallel command may run commands that only
    /// read: [`CallFlags::NO_WRITES`] is added.
    pub fn call(
        &mut self,
        command: &str,
        args: &[&dyn Argument],
        flags: CallFlags,
    ) -> Result<CallReply<'h>, Error> {
        self.unwatched()?;
        let flags = match self.alone() {
            Ok(()) => flags,
            // Without the letter for it, nothing keeps writes away.
            Err(refusal) if !raw::has_error_replies() => return Err(refusal),
            Err(_) => flags.and(CallFlags::NO_WRITES),
        };
        crate::call::call(self.ctx, command, args, flags)
    }

    // Effects.

    /// Sends the command, as the client sent it, to replicas and the append-only file.
    pub fn replicate_verbatim(&self) -> Result<(), Error> {
        self.alone()?;
        self.ctx.replicate_verbatim()
    }

    /// Sends another command to replicas and the append-only file.
    pub fn replicate(&self, command: &str, args: &[&dyn Argument]) -> Result<(), Error> {
        self.alone()?;
        let args: Vec<Text<'_>> = args.iter().map(|arg| arg.text()).collect();
        self.ctx.replicate(&raw::c_string(command), &args)
    }

    /// Announces a keyspace event. Writing to keys announces nothing by itself.
    pub fn notify(
        &mut self,
        class: NotifyClass,
        event: &str,
        key: &(impl Argument + ?Sized),
    ) -> Result<(), Error> {
        self.writable()?;
        self.ctx.notify(class.bits(), event, &key.text())
    }

    /// As [`Context::notify`], for an event whose name is a C string already, which saves making one.
    pub fn announce(
        &mut self,
        class: NotifyClass,
        event: &CStr,
        key: &(impl Argument + ?Sized),
    ) -> Result<(), Error> {
        self.writable()?;
        self.ctx.announce(class.bits(), event, &key.text())
    }

    /// Lets clients that wait for this key try again.
    pub fn signal_key_as_ready(&self, key: &(impl Argument + ?Sized)) -> Result<(), Error> {
        self.alone()?;
        self.ctx.signal_key_as_ready(&key.text())
    }

    /// Publishes a message; tells how many clients of this server received it.
    pub fn publish(
        &self,
        channel: &(impl Argument + ?Sized),
        message: &(impl Argument + ?Sized),
    ) -> Result<usize, Error> {
        self.alone()?;
        self.ctx.publish(&channel.text(), &message.text())
    }

    /// From now on [`Module::keyspace_events`](crate::Module::keyspace_events) are heard, if the module
    /// declares that they are heard later. They are heard as long as the module is loaded; calling this
    /// again changes nothing.
    pub fn hear_keyspace_events(&self) -> Result<(), Error> {
        dispatch::hear_keyspace_events(self.ctx)
    }

    /// Runs `job` once this keyspace event's command is complete, when writing is allowed. Redis 7.2.
    pub fn after_notification(
        &self,
        job: impl FnOnce(&mut Context<'_>) + Send + 'static,
    ) -> Result<(), Error> {
        self.alone()?;
        self.ctx.post_notification_job(Box::new(job))
    }

    // Time and threads.

    /// Runs `job` after a while, on the server's main thread.
    pub fn set_timer(
        &self,
        after: Duration,
        job: impl FnOnce(&mut Context<'_>) + Send + 'static,
    ) -> Result<TimerId, Error> {
        self.ctx.create_timer(after, Box::new(job)).map(TimerId)
    }

    /// Stops a timer. False: it has run already.
    pub fn stop_timer(&self, timer: TimerId) -> Result<bool, Error> {
        self.ctx.stop_timer(timer.0)
    }

    /// Whether this client may be made to wait. It may not inside MULTI, scripts and calls of other
    /// modules, and in contexts without a client.
    pub fn may_block(&self) -> bool {
        let flags = self.flags();
        self.origin == Origin::Command
            && !(flags.contains(ContextFlags::DENY_BLOCKING)
                || flags.contains(ContextFlags::MULTI)
                || flags.contains(ContextFlags::LUA))
    }

    /// Makes the client wait until the [`BlockedClient`] is answered, from any thread. The handler
    /// returns [`Reply::Written`]. Fails where [`Context::may_block`] says no; a handler that asks
    /// first can do its work at once instead.
    pub fn block_client(&self) -> Result<BlockedClient, Error> {
        self.block(None)
    }

    /// As [`Context::block_client`], but after a while `on_timeout` answers instead. CLIENT UNBLOCK
    /// has no power over these clients.
    pub fn block_client_for(
        &self,
        timeout: Duration,
        on_timeout: impl FnOnce(&mut Context<'_>) -> CommandResult + Send + 'static,
    ) -> Result<BlockedClient, Error> {
        self.block(Some((timeout, Box::new(on_timeout))))
    }

    /// Makes the client wait for keys, as BLPOP does. `ready` is called, with the key, whenever one of them has come
    /// into being or a module has said that it is ready ([`Context::signal_key_as_ready`]); None waits on, and must
    /// not have written a reply. `on_timeout` answers when the time is over; without a time the client waits for
    /// ever. The handler returns [`Reply::Written`]. It looks first whether a key is ready already.
    pub fn block_on_keys(
        &self,
        keys: &[&dyn Argument],
        timeout: Option<Duration>,
        ready: impl FnMut(&mut Context<'_>, &Arg<'_>) -> Option<CommandResult> + Send + 'static,
        on_timeout: impl FnOnce(&mut Context<'_>) -> CommandResult + Send + 'static,
    ) -> Result<(), Error> {
        if !self.may_block() || self.blocked.get() {
            return Err(Error::CannotBlock);
        }
        let keys: Vec<Text<'_>> = keys.iter().map(|key| key.text()).collect();
        self.ctx.block_on_keys(&keys, timeout, Box::new(ready), Box::new(on_timeout))?;
        self.blocked.set(true);
        Ok(())
    }

    fn block(&self, timeout: Option<(Duration, Answer)>) -> Result<BlockedClient, Error> {
        if !self.may_block() || self.blocked.get() {
            return Err(Error::CannotBlock);
        }
        let handle = self.ctx.block_client(timeout)?;
        self.blocked.set(true);
        Ok(BlockedClient::new(handle))
    }

    /// A way back into the server for the module's own threads.
    pub fn thread_context(&self) -> Result<ThreadContext, Error> {
        ThreadContext::new(self.ctx)
    }

    // Other modules.

    /// Finds a service of another module written with this SDK; None if none offers it now. While
    /// this module holds on to it, the other cannot be unloaded.
    pub fn service(&self, name: &str) -> Result<Option<Service>, Error> {
        Service::find(self.ctx, name)
    }

    /// Exports a pointer, usually to a static table of C functions, for modules in any language.
    pub fn export_api(&self, name: &'static CStr, api: NonNull<c_void>) -> Result<(), Error> {
        self.ctx.export_shared_api(name, api.as_ptr())
    }

    /// A pointer that another module exported; what is behind it is for the modules to agree on.
    pub fn import_api(&self, name: &CStr) -> Result<Option<NonNull<c_void>>, Error> {
        self.ctx.shared_api(name)
    }

    // Logging.

    /// Writes a line into the server's log.
    pub fn log(&self, level: LogLevel, text: &str) {
        raw::log_raw(Some(self.ctx), level.c_name(), text);
    }
}

/// Writes a line into the server's log from anywhere in the module, from any thread. Before the
/// module is loaded, and in unit tests, it goes to standard error.
pub fn log(level: LogLevel, text: &str) {
    raw::log_raw(None, level.c_name(), text);
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// Rarely useful.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// What an operator must know.
    Warning,
}

impl LogLevel {
    fn c_name(self) -> &'static CStr {
        match self {
            LogLevel::Debug => abi::LOGLEVEL_DEBUG,
            LogLevel::Verbose => abi::LOGLEVEL_VERBOSE,
            LogLevel::Notice => abi::LOGLEVEL_NOTICE,
            LogLevel::Warning => abi::LOGLEVEL_WARNING,
        }
    }
}

/// A timer that has not run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId(abi::TimerId);

/// Facts about the server and the client, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextFlags(i32);

macro_rules! context_flags {
    ($($(#[$doc:meta])* $name:ident = $value:ident;)*) => {
        impl ContextFlags {
            $($(#[$doc])* pub const $name: ContextFlags = ContextFlags(abi::$value);)*

            /// Whether all of `flags` are true.
            pub const fn contains(self, flags: ContextFlags) -> bool {
                self.0 & flags.0 == flags.0
            }
        }
    };
}

context_flags! {
    /// In a script.
    LUA = CTX_FLAGS_LUA;
    /// In a transaction.
    MULTI = CTX_FLAGS_MULTI;
    /// The server is a primary.
    PRIMARY = CTX_FLAGS_MASTER;
    /// The server is a replica.
    REPLICA = CTX_FLAGS_SLAVE;
    /// The server is read-only.
    READONLY = CTX_FLAGS_READONLY;
    /// The server is in cluster mode.
    CLUSTER = CTX_FLAGS_CLUSTER;
    /// The append-only file is on.
    AOF = CTX_FLAGS_AOF;
    /// Saving to RDB files is on.
    RDB = CTX_FLAGS_RDB;
    /// A memory limit is set.
    MAXMEMORY = CTX_FLAGS_MAXMEMORY;
    /// Keys may be evicted at the memory limit.
    EVICT = CTX_FLAGS_EVICT;
    /// The memory limit is exceeded.
    OOM = CTX_FLAGS_OOM;
    /// The command comes from the primary.
    REPLICATED = CTX_FLAGS_REPLICATED;
    /// Data is being loaded.
    LOADING = CTX_FLAGS_LOADING;
    /// A child is saving, or another one runs.
    ACTIVE_CHILD = CTX_FLAGS_ACTIVE_CHILD;
    /// This is the child.
    IS_CHILD = CTX_FLAGS_IS_CHILD;
    /// The client cannot be made to wait.
    DENY_BLOCKING = CTX_FLAGS_DENY_BLOCKING;
    /// The client speaks RESP3.
    RESP3 = CTX_FLAGS_RESP3;
    /// The server is starting. Redis 7.2.
    SERVER_STARTUP = CTX_FLAGS_SERVER_STARTUP;
}
