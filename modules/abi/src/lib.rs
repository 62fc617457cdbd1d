//! What crosses the line between a server and a module, bit by bit?
//!
//! Redis modules are shared objects that speak one C ABI: a context whose first word is a function
//! that finds other functions by name, some 360 such functions, and a handful of structs passed by
//! value or by pointer. This crate writes that ABI down once, in Rust, for both sides of the line:
//! the server implements it, the SDK (`mortise-module`) calls it.
//!
//! - [`for_each_api!`] is the table of functions; [`api`] has one function pointer type for each
//!   of them and [`FUNCTIONS`] their names, groups and ages;
//! - [`types`](crate#structs) are the opaque handles, the callbacks and the structs, with their
//!   layouts checked at compile time;
//! - the constants are the numbers of the ABI under the names that the C header gives them.
//!
//! There is no logic here, no dependency and no `unsafe`.

#![no_std]

mod constants;
mod structs;
mod table;
mod types;

pub mod api;

pub use api::{FUNCTIONS, Function, Kind};
pub use constants::*;
pub use structs::*;
pub use types::*;
