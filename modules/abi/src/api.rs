//! What is the Rust type of each API function, and what are all their names?
//!
//! Everything here is derived from the table in [`for_each_api!`](crate::for_each_api).

use core::ffi::{c_char, c_int, c_long, c_longlong, c_uint, c_ulong, c_ulonglong, c_void};

use crate::for_each_api;
use crate::structs::*;
use crate::types::*;

/// How a function can be defined and called; see the table's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary C function.
    Fixed,
    /// A C-variadic function: Rust may call it but not define it.
    Variadic,
    /// Passes a C `long double` by value: Rust may neither call nor define it.
    LongDouble,
}

/// One function of the module API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// The name without `RedisModule_` or `ValkeyModule_`.
    pub name: &'static str,
    /// The part of the API it belongs to, such as `"keys"`.
    pub group: &'static str,
    /// The first Redis release whose server has it.
    pub since: &'static str,
    /// How it can be called.
    pub kind: Kind,
}

macro_rules! derive_types {
    ($($group:literal { $(
        $kind:ident $name:ident $since:literal ($($param:tt)*) $(-> $ret:ty)?;
    )* })*) => {
        $($(
            #[doc = concat!("`RedisModule_", stringify!($name), "` (", $group, ", since ", $since, ").")]
            pub type $name = derive_types!(@pointer $kind ($($param)*) $(-> $ret)?);
        )*)*

        /// Every function of the table, in its order.
        pub const FUNCTIONS: &[Function] = &[$($(
            Function {
                name: stringify!($name),
                group: $group,
                since: $since,
                kind: derive_types!(@kind $kind),
            },
        )*)*];
    };
    (@pointer long_double $($signature:tt)*) => { LongDoubleFn };
    (@pointer $kind:ident ($($param:tt)*) $(-> $ret:ty)?) => {
        unsafe extern "C" fn($($param)*) $(-> $ret)?
    };
    (@kind fixed) => { Kind::Fixed };
    (@kind variadic) => { Kind::Variadic };
    (@kind long_double) => { Kind::LongDouble };
}

for_each_api!(derive_types);
