//! The host of the module ABI: modules compiled for Redis or Valkey load here, and run unchanged.
//!
//! All of it is the far side of a C interface, so this is where the server's unsafe code lives. Rules:
//! a raw pointer becomes a checked handle in the first line of a function and stays one; nothing
//! unwinds into foreign code (an `extern "C"` function that panics aborts); foreign code is called
//! only while no borrow of the keyspace is alive; a module context reborrows the engine in stack
//! discipline (see [`handle::ModuleCtx::engine`]).

pub mod handle;

pub mod host;

pub mod loader;

pub mod command;

pub mod call_reply;

pub mod encoding;

pub mod native;

pub mod tasks;

mod arguments;

mod blocked;

pub mod logins;

pub mod promise;

pub mod settings;

pub mod crash;

pub mod filters;

pub mod defrag;

pub mod descriptors;

pub mod fork;

pub mod api;
