//! Which parameters are there? Those of Redis 7.2 by the same names, and some of our own.

mod data;
mod replication;
mod serving;

pub use data::DATA;
pub use replication::REPLICATION;
pub use serving::SERVING;
