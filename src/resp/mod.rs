//! "Bytes in, values out": the Redis serialization protocol. Knows no command.
//!
//! `request` parses what clients send, `reply` writes what they get, `value` reads a reply back
//! (for scripts, modules and tests).

pub mod request;

pub mod reply;

pub mod value;
