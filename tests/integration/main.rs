//! Does the server hold as a process among processes? What needs a start, a signal, several clients or raw bytes.
//!
//! Replies of single commands are tests/data's business. Each test has a server of its own.

#[path = "../harness/mod.rs"]
mod harness;

mod acl;
mod aof;
mod blocking;
mod client_eviction;
mod connections;
mod contention;
mod defrag;
mod eviction;
mod expiry;
mod functions;
mod hostile;
mod libraries;
mod loading;
mod messages;
mod modules;
mod new_module;
mod packages;
mod parallel;
mod protocol;
mod random_requests;
mod rdb;
mod readme;
mod replica;
mod scripts;
mod sentinel;
mod snapshot;
mod startup;
mod tools;
