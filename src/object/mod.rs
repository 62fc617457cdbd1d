//! What is the value of a key? The types of values and how they are held in memory.
//!
//! Pure: no clock (the time comes in as an argument), no I/O, no keyspace. A collection tells its
//! encoding, its memory and its elements; commands, scripts and RDB do the rest.

pub mod bitmap;
mod bptree;
pub mod geohash;
pub mod hash;
pub mod hll;
pub mod intset;
pub mod list;
pub mod listpack;
pub mod module;
pub mod rdb;
pub mod set;
pub mod stream;
mod table;
pub mod thin;
pub mod unchecked;
pub mod zset;

pub use hash::Hash;
pub use list::List;
pub use module::ModuleValue;
pub use set::Set;
pub use stream::Stream;
pub use unchecked::Unchecked;
pub use zset::Zset;
