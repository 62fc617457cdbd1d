//! Keys of any type: whether they exist, how long they live, what they are called, what they hold.

pub mod keys;

pub mod expire;

pub mod ttl;

pub mod rename;

pub mod object;

pub mod dump;

pub mod migrate;

pub mod wait;
