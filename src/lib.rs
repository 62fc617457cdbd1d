//! Mortise, a Redis-compatible server made to be extended.
//!
//! The modules in reading order; each imports only from those below it in the ladder of
//! ARCHITECTURE.md: `server`, `commands`, `module`, `persist`, `script`, `engine`, `keyspace`, then `object`,
//! `resp` and `config`, then `base`.

pub mod base;

pub mod resp;

pub mod object;

pub mod config;

pub mod keyspace;

pub mod engine;

pub mod script;

pub mod persist;

pub mod module;

pub mod commands;

pub mod server;

pub mod allocator;

/// Tests of hot paths count allocations.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: allocator::CountingAllocator = allocator::CountingAllocator;
