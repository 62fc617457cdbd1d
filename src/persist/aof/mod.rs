//! What is in the append-only file? Since Redis 7 several files in a folder of their own: a base, which is an RDB file or
//! commands, and incremental files of commands, named by a manifest. Before it was one file.
//!
//! Here are the formats (`manifest`, `scan`), the folder, who writes the current file (`writer`), and the tool that
//! checks all that (`check`).

pub mod manifest;

pub mod scan;

pub mod folder;

pub mod writer;

pub mod load;

pub mod commands;

pub mod convert;

pub mod check;
