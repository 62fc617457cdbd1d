//! RDB: values of keys (`value.rs`), the order of a file's parts (`save.rs`, `load.rs`), and the file itself
//! (`file.rs`, `pipe.rs`, `spill.rs`); `check.rs` is the tool that reads one and says what is in it. docs/formats/rdb.md describes the bytes.

pub mod value;

pub mod save;

pub mod spill;

pub mod load;

mod ahead;

mod decode;

pub(in crate::persist) mod parts;

pub(in crate::persist) mod window;

pub mod file;

pub mod pipe;

pub mod disk;

pub mod check;
