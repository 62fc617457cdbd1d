//! What has a replica said about itself? REPLCONF writes it here, without the engine's lock.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed};

use bitflags::bitflags;
use parking_lot::Mutex;

/// The format of snapshots that every Redis of version 7 reads. Those before 7.2 read no later one, and no Redis of version 7 says
/// which it is.
const RDB_VERSION_OF_THE_SILENT: u32 = 10;

bitflags! {
    /// What a replica can do, and wants.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Traits: u8 {
        /// It finds the end of a snapshot whose size is not known (`capa eof`).
        const EOF = 1;
        /// It understands that a history has got another id (`capa psync2`).
        const PSYNC2 = 1 << 1;
        /// It came with SYNC, is not told of offsets and says none.
        const PLAIN = 1 << 2;
        /// It wants a snapshot and no stream (`rdb-only`).
        const SNAPSHOT_ONLY = 1 << 3;
        /// It wants no keys (`rdb-filter-only`).
        const NO_KEYS = 1 << 4;
        /// It wants no function libraries.
        const NO_FUNCTIONS = 1 << 5;
        /// It wants not all of the snapshot.
        const FILTERED = Self::NO_KEYS.bits() | Self::NO_FUNCTIONS.bits();
    }
}

/// What a client that follows this server has said about itself.
#[derive(Debug, Default)]
pub struct Following {
    /// It asked for a snapshot or for the stream.
    pub follows: AtomicBool,
    /// The host that it wants to be known by; empty for that of its connection.
    pub host: Mutex<String>,
    /// Where it takes clients itself.
    pub port: AtomicU16,
    /// How far it has followed.
    pub offset: AtomicU64,
    /// How far what it has followed is in its append-only file, on the disk.
    pub aof_offset: AtomicU64,
    /// When it said so, or began: unix milliseconds.
    pub heard_ms: AtomicI64,
    /// Its stream begins when it says that it is ready.
    pub begins_on_ack: AtomicBool,
    /// Its packets are to be few and large (`repl-disable-tcp-nodelay`); whoever owns the connection has still to see to that.
    pub has_time: AtomicBool,
    /// The version of snapshots that it reads, 0 if it has not said which it is.
    pub rdb_version: AtomicU64,
    traits: AtomicU8,
}

impl Following {
    /// What it can do, and wants.
    pub fn traits(&self) -> Traits {
        Traits::from_bits_retain(self.traits.load(Relaxed))
    }

    /// Notes that it has some of the traits, or has them no more.
    pub fn set(&self, traits: Traits, on: bool) {
        match on {
            true => self.traits.fetch_or(traits.bits(), Relaxed),
            false => self.traits.fetch_and(!traits.bits(), Relaxed),
        };
    }

    /// Whether it came with SYNC.
    pub fn is_plain(&self) -> bool {
        self.traits().contains(Traits::PLAIN)
    }

    /// Whether it wants no stream.
    pub fn is_snapshot_only(&self) -> bool {
        self.traits().contains(Traits::SNAPSHOT_ONLY)
    }

    /// Notes the version of the server that it is.
    pub fn note_version(&self, text: &str) {
        let mut numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
        let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let reads = if version >= (7, 2) { u32::MAX } else { RDB_VERSION_OF_THE_SILENT };
        self.rdb_version.store(u64::from(reads), Relaxed);
    }

    /// The latest version of snapshots that it is known to read.
    pub fn rdb_version(&self) -> u32 {
        match self.rdb_version.load(Relaxed) {
            0 => RDB_VERSION_OF_THE_SILENT,
            said => u32::try_from(said).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silent_and_the_old_get_an_old_format() {
        let following = Following::default();
        assert_eq!(following.rdb_version(), 10);
        for (version, reads) in
            [("7.0.15", 10), ("7.2.6", u32::MAX), ("9.1.2", u32::MAX), ("x", 10)]
        {
            following.note_version(version);
            assert_eq!(following.rdb_version(), reads, "{version}");
        }
    }

    #[test]
    fn traits_come_and_go() {
        let following = Following::default();
        following.set(Traits::EOF | Traits::SNAPSHOT_ONLY, true);
        following.set(Traits::SNAPSHOT_ONLY, false);
        assert_eq!(following.traits(), Traits::EOF);
    }
}
