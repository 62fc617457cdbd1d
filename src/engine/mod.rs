//! "Run one command": synchronous; given time, randomness and argv, yields reply and effects.
//!
//! A client's command, a command inside EXEC, `redis.call` and `RedisModule_Call` are the same call
//! with another context, so each rule is enforced once, in [`call`].

pub mod spec;

pub mod registry;

pub mod keys;

pub mod args;

pub mod ending;

pub mod errands;

pub mod error;

pub mod ctx;

mod sizes;

pub mod access;

mod ahead;

pub mod call;

pub mod replay;

pub mod state;

pub mod expire_walk;

pub mod scripts;

pub mod functions;

pub mod lock;

pub mod loading;

pub mod effects;

pub mod records;

pub mod events;

pub mod evict;

pub mod defrag;

pub mod log;

pub mod durable;

pub mod replication;

pub mod client;

pub mod client_memory;

pub mod client_info;

pub mod acl;

pub mod outbox;

pub mod pubsub;

pub mod tracking;

pub mod monitor;

pub mod pause;

pub mod transaction;

pub mod unchecked;

pub mod block;

pub mod visits;

pub mod log_in;

pub mod stats;

pub mod histogram;

pub mod hooks;

pub mod slow;

pub mod persistence;
