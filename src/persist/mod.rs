//! How does the data set outlive the process? RDB files and DUMP payloads, and the append-only file.
//!
//! Values are encoded by `object/rdb`; here are the files around them. Nothing in this room decides when to
//! save or load, and nothing of it is asynchronous: `server` calls it, on a thread that may wait.

pub mod io;

pub mod aof;
pub mod rdb;

pub mod progress;
