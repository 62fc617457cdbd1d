//! Which small pure things does the wire demand? Numbers as text, glob patterns, checksums,
//! digests.
//!
//! Nothing here knows of commands, keys or clients, and nothing here can fail with anything but
//! `None`: the callers own the error texts.

pub mod crc;
pub mod extended;
pub mod glob;
pub mod hasher;
pub mod lzf;
pub mod moving;
pub(crate) mod natural;
pub mod number;
pub mod quoting;
pub mod random;
pub mod sha1;
pub mod shortest;
pub mod size_class;
