//! Write modules for Mortise, Redis and Valkey in safe Rust.
//!
//! A module is a shared library that a server loads to learn new commands and new types of values.
//! This crate speaks the C ABI of Redis modules (no C compiler and no libclang are needed to build
//! it), so the same file loads into Mortise, into Redis (tested with 7.0, 7.2 and 7.4; it needs
//! nothing newer than 6.0) and into Valkey. It contains all `unsafe` code there is; a module needs
//! none.
//!
//! # A first module
//!
//! `Cargo.toml` asks for a shared library:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! mortise-module = "0.1"
//! ```
//!
//! A module is a table of plain data. Handlers are functions; what is not set comes from a default.
//!
//! ```
//! use mortise_module::{
//!     Access, Arg, Arity, Command, CommandResult, Context, Flag, KeySpec, Module, NotifyClass, Reply,
//! };
//!
//! /// GREET key name: puts a greeting into a key.
//! fn greet(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
//!     // 1. Parse all arguments; args[0] is the command's name.
//!     let greeting = format!("Hello, {}!", args[2].to_str()?);
//!     // 2. Act.
//!     ctx.open_write(&args[1])?.set_string(&greeting)?;
//!     ctx.notify(NotifyClass::STRING, "greet", &args[1])?;
//!     ctx.replicate_verbatim()?;
//!     // 3. Reply.
//!     Ok(Reply::from(greeting))
//! }
//!
//! mortise_module::module!(Module {
//!     commands: &[Command {
//!         name: "GREET",
//!         summary: "Puts a greeting into a key.",
//!         arity: Arity::Exactly(3),
//!         flags: &[Flag::Write, Flag::DenyOom],
//!         keys: &[KeySpec::at(1, Access::Overwrite)],
//!         handler: greet,
//!         ..Command::DEFAULT
//!     }],
//!     ..Module::new("greeter", 100)
//! });
//! ```
//!
//! `redis-server --loadmodule ./libgreeter.so` runs it. `mortise module new NAME` writes such a crate, with
//! a test that loads it.
//!
//! # A guided tour
//!
//! Each of these is a file in `examples/`, loaded into real servers by this crate's tests, and
//! `docs/guides/modules.md` walks through them:
//!
//! - `hello.rs`: a module in 40 lines, with a [`TypedCommand`], whose arguments come parsed;
//! - `counter_type.rs`: a [`Native`] type, saved, copied, compared and weighed;
//! - `wait.rs`: clients that wait ([`Context::block_client_for`]);
//! - `background.rs`: a thread that takes the lock for a few keys at a time ([`BlockedClient::lock`]);
//! - `parallel.rs`: commands that run [side by side](#commands-side-by-side);
//! - `stores.rs`: lists, sorted sets, streams, [waiting for keys](Context::block_on_keys), [users](User).
//!
//! # Commands
//!
//! The server checks what a [`Command`] declares (flags, keys, ACL categories) and this crate its
//! [`Arity`] before the handler runs. A handler has three steps, in this order: parse all arguments,
//! act, reply; then an error found in the first has changed nothing.
//!
//! - What COMMAND DOCS and COMMAND INFO show comes from the declaration too: [`ArgSpec`]s, [`KeySpec`]s, history, tips,
//!   ACL categories. A declaration that contradicts itself refuses to load; [`Command::check`] tells it in a unit test.
//! - Arguments are [`Arg`]s: bytes, with `to_str`, `to_i64`, `to_f64` and [`Arg::is`] for options. A
//!   [`TypedCommand`] gets them as values of the types that it names, and its arity from them.
//! - An [`Error`] that a handler returns is the reply. [`Error::new`] adds the code word `ERR`.
//! - A [`Reply`] is a value; large ones are better written as they come by [`Context::reply`], a
//!   [`Writer`], after which the handler returns [`Reply::Written`]. Under RESP2 the server turns maps
//!   and sets into arrays, doubles into strings, booleans into 0 and 1. A handler that needs to know
//!   asks [`Context::is_resp3`].
//! - Writing a key tells nobody. What changes data must call [`Context::replicate_verbatim`] (or
//!   [`Context::replicate`]), or replicas and the append-only file will not have it, and
//!   [`Context::notify`], or search indexes and clients will not hear of it.
//! - A panic in a handler is caught and becomes an error reply and a line in the log; the server goes
//!   on. This needs `panic = "unwind"`, which is the default.
//!
//! # Commands side by side
//!
//! Mortise runs a command with [`Command::parallel`] on several threads at once, beside other readers. It only
//! reads, and what it shares with others of its kind is `Sync`, as everything that handlers reach has to be. In such
//! a command [`Context::open_write`] and whatever else changes something give [`Error::InParallel`],
//! [`Context::call`] runs commands that read, and the client cannot be made to wait. Servers that know nothing of it
//! run the command one at a time, with the same refusals.
//!
//! # Keys
//!
//! [`Context::open_read`] and [`Context::open_write`] give a [`ReadKey`] or a [`WriteKey`], which
//! knows strings, hashes, lists, sets, sorted sets, streams and the module's own types. Keys close when they are dropped.
//! [`Context::read_value`] and [`Context::write_value`] open a key for its native value alone.
//! A [`WriteKey`] borrows the context exclusively: one key at a time is changed, and neither commands
//! nor notifications run while it is open. For anything else there is [`Context::call`], which runs a
//! command and gives its [`Value`], or [reads](CallReply::read) it as numbers, texts, lists or pairs.
//!
//! # Types of values
//!
//! A type implements [`Native`], has a `static` [`Type`], and stands in [`Module::types`]:
//!
//! ```
//! use mortise_module::{AofWriter, Arg, Error, Module, Native, RdbReader, RdbWriter, Type};
//!
//! struct Counter(i64);
//! static COUNTER: Type<Counter> = Type::new();
//!
//! impl Native for Counter {
//!     const NAME: &'static str = "mycounter"; // exactly nine characters
//!     const ENCVER: i32 = 1;
//!
//!     fn rdb_save(&self, writer: &mut RdbWriter<'_>) {
//!         writer.i64(self.0);
//!     }
//!     fn rdb_load(reader: &mut RdbReader<'_>, _encver: i32) -> Result<Counter, Error> {
//!         Ok(Counter(reader.i64()?))
//!     }
//!     fn aof_rewrite(&self, writer: &mut AofWriter<'_>, key: &Arg<'_>) {
//!         writer.emit("COUNTER.SET", &[key, &self.0.to_string()]);
//!     }
//! }
//!
//! const MODULE: Module = Module { types: &[&COUNTER], ..Module::new("counter", 1) };
//! # fn increment(ctx: &mut mortise_module::Context<'_>, args: &[Arg<'_>]) -> Result<i64, Error> {
//! let mut key = ctx.open_write(&args[1])?;
//! let counter = key.value_or_insert_with(&COUNTER, || Counter(0))?;
//! counter.0 += 1;
//! # Ok(counter.0)
//! # }
//! ```
//!
//! That makes SAVE, DUMP, RESTORE, replication and DEBUG RELOAD work; further methods of the trait
//! serve COPY, MEMORY USAGE, DEBUG DIGEST and data that belongs to no key.
//!
//! # Threads and clients that wait
//!
//! A command that takes long blocks its client, works on a thread and answers from there:
//!
//! ```
//! # use mortise_module::{Arg, CommandResult, Context, Reply};
//! fn slow(ctx: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
//!     let client = ctx.block_client()?;
//!     std::thread::spawn(move || {
//!         let size = client.lock(|ctx| ctx.db_size()); // a look at the data, under the lock
//!         client.unblock(move |_| Ok(Reply::from(i64::try_from(size??).unwrap_or(i64::MAX))));
//!     });
//!     Ok(Reply::Written)
//! }
//! ```
//!
//! A reply that is long is written on the thread, without the lock, by [`BlockedClient::reply_with`].
//!
//! In MULTI and scripts nobody may wait; [`Context::may_block`] tells. [`Context::thread_context`] is
//! for threads that no client waits for, [`Context::set_timer`] for later. All data belongs to
//! whoever holds the server's lock; every handler runs with it.
//!
//! # Events, parameters, INFO
//!
//! [`Module::keyspace_events`] and [`Module::server_events`] subscribe handlers, [`Module::configs`]
//! declares parameters for CONFIG, [`Module::info`] fills a part of INFO, [`Module::services`] offers
//! functions to other modules ([`Context::service`]), and [`foreign`] is for those that are written in C.
//!
//! # Servers that lack something
//!
//! Functions of the API that a server does not have give [`Error::Unsupported`] with the function's
//! name. What exists to inform (documentation of commands, ACL categories, parameters) is left out
//! silently on servers that are too old for it. A server that lacks what a module cannot do without
//! (subcommands, for example) refuses to load it, and the log says what is missing.
//!
//! # Memory
//!
//! With [`ModuleAllocator`] as its global allocator, a module's memory counts as the server's.
//!
//! # Limits
//!
//! 256 commands with their subcommands ([`COMMANDS_MAX`]), 8 services ([`SERVICES_MAX`]).

mod arg_spec;
mod args;
mod blocked;
mod call;
mod checks;
mod collections;
mod command;
mod config;
mod context;
mod dispatch;
mod error;
mod events;
mod info;
mod key;
mod key_spec;
mod module;
mod native;
mod raw;
mod registration;
mod reply;
mod service;
mod string;
mod user;

#[doc(hidden)]
pub use mortise_module_abi as abi;

pub use arg_spec::{ArgKind, ArgSpec};
pub use args::{Args, FromArgs, TypedCommand};
pub use blocked::{BlockedClient, ThreadContext};
pub use call::{CallFlags, CallReply, Elements, FromElements, FromReply, Pairs, Value};
pub use collections::{End, Order, StreamId, ZsetChange, ZsetWhen};
pub use command::{Arity, Command, Flag, Handler};
pub use config::{BoolConfig, Config, ConfigFlags, EnumConfig, IntConfig, StringConfig};
pub use context::{Context, ContextFlags, LogLevel, TimerId, log};
pub use error::Error;
pub use events::{
    KeyspaceEvent, KeyspaceSubscription, NotifyClass, Phase, Saving, ServerEvent, ServerEventKind,
    ServerSubscription,
};
pub use info::{InfoValue, InfoWriter};
pub use key::{KeyType, ReadKey, ReadValue, ScanCursor, WriteKey, WriteValue};
pub use key_spec::{Access, BeginKeys, FindKeys, KeyFlag, KeySpec};
pub use module::{
    COMMANDS_MAX, Module, OnLoad, OnUnload, SERVICES_MAX, ServiceHandler, ServiceSpec,
};
pub use native::{AofWriter, AuxWhen, DigestWriter, Native, RdbBytes, RdbReader, RdbWriter};
pub use raw::{
    Arg, CountingAllocator, ModuleAllocator, Mover, OwnedString, RegisterType, Type, foreign,
    prefetch,
};
pub use reply::{CommandResult, Reply, Writer};
pub use service::Service;
pub use string::Argument;
pub use user::{ModuleUser, User};

#[doc(hidden)]
pub use raw::{load, unload};

/// Makes the crate a module: exports the functions that the server looks for, under the names of
/// Redis and of Valkey. To be used once, with a [`Module`] that can be a constant.
#[macro_export]
macro_rules! module {
    ($module:expr) => {
        const _: () = {
            static MODULE: $crate::Module = $module;

            #[allow(unsafe_code, reason = "the server finds the entry point by its name")]
            #[unsafe(no_mangle)]
            extern "C" fn RedisModule_OnLoad(
                ctx: *mut $crate::abi::Ctx,
                argv: *mut *mut $crate::abi::ModuleString,
                argc: ::core::ffi::c_int,
            ) -> ::core::ffi::c_int {
                // SAFETY: only the server calls this, with what a module's entry point gets.
                unsafe { $crate::load(ctx, argv, argc, &MODULE) }
            }

            #[allow(unsafe_code, reason = "Valkey's name for the same")]
            #[unsafe(no_mangle)]
            extern "C" fn ValkeyModule_OnLoad(
                ctx: *mut $crate::abi::Ctx,
                argv: *mut *mut $crate::abi::ModuleString,
                argc: ::core::ffi::c_int,
            ) -> ::core::ffi::c_int {
                RedisModule_OnLoad(ctx, argv, argc)
            }

            #[allow(unsafe_code, reason = "the server finds the exit point by its name")]
            #[unsafe(no_mangle)]
            extern "C" fn RedisModule_OnUnload(ctx: *mut $crate::abi::Ctx) -> ::core::ffi::c_int {
                // SAFETY: only the server calls this, with its context.
                unsafe { $crate::unload(ctx) }
            }

            #[allow(unsafe_code, reason = "Valkey's name for the same")]
            #[unsafe(no_mangle)]
            extern "C" fn ValkeyModule_OnUnload(ctx: *mut $crate::abi::Ctx) -> ::core::ffi::c_int {
                RedisModule_OnUnload(ctx)
            }
        };
    };
}
