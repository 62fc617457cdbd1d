//! What is in the append-only file? Since Redis 7 several files in a folder of their own: a base, which is an RDB file or
//! commands, and incremental files of commands, named by a manifest. Before it was one file.
//!
//! Here are the formats (`manifest`, `scan`) and the tool that checks them (`check`).

pub mod check;
pub mod manifest;
pub mod scan;
