//! "Run this Lua": the VM behind EVAL, its sandbox, and the translation between replies and values.
//!
//! One [`vm::Vm`] is one Lua state, entered by one thread at a time. A script reaches the server only
//! through [`host::ScriptHost`]. docs/decisions/0007-lua-vm.md tells why the raw API, and what it asks
//! of this code: read `lua` first.

mod blocks;
mod lua;
mod state;

pub mod host;

pub mod vm;

pub mod tick;

mod sandbox;

mod api;

mod convert;

mod register;

pub mod functions;

mod error;

mod source;

mod bytecode;

mod plain;

mod random;

pub mod flags;

mod lib;

#[cfg(test)]
mod testing;

#[cfg(test)]
mod vm_tests;

#[cfg(test)]
mod escape_tests;

#[cfg(test)]
mod limit_tests;

#[cfg(test)]
mod reach_tests;
