//! Which settings concern keys, memory and files?
//!
//! Plain data; `params.rs` says what the words mean.

use crate::config::check;
use crate::config::choices::{EVICTION, FSYNC, SANITIZE, SNAPSHOT};
use crate::config::params::{INT, LONG, Param as P, Spec, Special};

/// The parameters, in the order that CONFIG GET shows them.
pub const DATA: [Spec; 60] = [
    Spec::special(P::Dir, "dir", Special::Dir)
        .protected()
        .deny_loading()
        .doc("Working directory, where the files of this section are."),
    Spec::text(P::Dbfilename, "dbfilename", "dump.rdb")
        .check_text(check::db_filename)
        .protected()
        .doc("Name of the RDB file."),
    Spec::special(P::Save, "save", Special::Save)
        .multi()
        .doc("Seconds and changes after which a snapshot is taken; any number of pairs."),
    Spec::flag(P::Rdbcompression, "rdbcompression", true).doc("Compresses strings in RDB files."),
    Spec::flag(P::Rdbchecksum, "rdbchecksum", true)
        .immutable()
        .doc("Ends RDB files with a checksum."),
    Spec::flag(P::RdbDelSyncFiles, "rdb-del-sync-files", false)
        .doc("Deletes RDB files of replication when nothing else persists."),
    Spec::flag(P::RdbSaveIncrementalFsync, "rdb-save-incremental-fsync", true)
        .doc("Syncs RDB files while they are written."),
    Spec::int(P::RdbKeySaveDelay, "rdb-key-save-delay", i32::MIN as i64, INT, 0)
        .hidden()
        .doc("Microseconds to wait after each saved key; for tests."),
    Spec::int(P::RdbTargetVersion, "rdb-target-version", 9, 12, 11)
        .doc("Version of RDB files that are written."),
    Spec::choice(P::SnapshotMethod, "snapshot-method", &SNAPSHOT, "auto")
        .doc("How snapshots are taken: inside the process, by fork, or by what the modules allow."),
    Spec::int(P::KeyLoadDelay, "key-load-delay", i32::MIN as i64, INT, 0)
        .hidden()
        .doc("Microseconds to wait after each loaded key; for tests."),
    Spec::int(
        P::LoadingProcessEventsIntervalBytes,
        "loading-process-events-interval-bytes",
        1024,
        INT,
        2 << 20,
    )
    .hidden()
    .doc("Loaded bytes between two looks at the clients."),
    Spec::choice(P::SanitizeDumpPayload, "sanitize-dump-payload", &SANITIZE, "no")
        .debug()
        .doc("Checks loaded values thoroughly."),
    Spec::flag(P::StopWritesOnBgsaveError, "stop-writes-on-bgsave-error", true)
        .doc("Refuses writes after a snapshot failed."),
    Spec::flag(P::Appendonly, "appendonly", false)
        .deny_loading()
        .doc("Logs all writes to the append-only file."),
    Spec::text(P::Appendfilename, "appendfilename", "appendonly.aof")
        .check_text(check::aof_filename)
        .immutable()
        .doc("Base name of the append-only files."),
    Spec::text(P::Appenddirname, "appenddirname", "appendonlydir")
        .check_text(check::aof_dirname)
        .immutable()
        .doc("Folder of the append-only files."),
    Spec::choice(P::Appendfsync, "appendfsync", &FSYNC, "everysec")
        .doc("When the append-only file is synced."),
    Spec::flag(P::NoAppendfsyncOnRewrite, "no-appendfsync-on-rewrite", false)
        .doc("Does not sync the append-only file during snapshots and rewrites."),
    Spec::int(P::AutoAofRewritePercentage, "auto-aof-rewrite-percentage", 0, INT, 100)
        .doc("Growth in percent that starts a rewrite of the append-only file; 0 for none."),
    Spec::memory(P::AutoAofRewriteMinSize, "auto-aof-rewrite-min-size", 0, LONG, 64 << 20)
        .doc("Size below which the append-only file is not rewritten by itself."),
    Spec::flag(P::AofRewriteIncrementalFsync, "aof-rewrite-incremental-fsync", true)
        .doc("Syncs a rewritten append-only file while it is written."),
    Spec::flag(P::AofLoadTruncated, "aof-load-truncated", true)
        .doc("Loads an append-only file whose end is missing."),
    Spec::flag(P::AofUseRdbPreamble, "aof-use-rdb-preamble", true)
        .doc("Starts rewritten append-only files with a snapshot."),
    Spec::flag(P::AofTimestampEnabled, "aof-timestamp-enabled", false)
        .doc("Notes the time in the append-only file."),
    Spec::flag(P::AofDisableAutoGc, "aof-disable-auto-gc", false)
        .hidden()
        .doc("Keeps append-only files that are no longer needed."),
    Spec::memory(P::Maxmemory, "maxmemory", 0, u64::MAX, 0)
        .unsigned()
        .doc("Memory for data; 0 for all there is."),
    Spec::choice(P::MaxmemoryPolicy, "maxmemory-policy", &EVICTION, "noeviction")
        .doc("Which keys to evict when memory is full."),
    Spec::int(P::MaxmemorySamples, "maxmemory-samples", 1, INT, 5)
        .doc("Keys to look at for one eviction."),
    Spec::int(P::MaxmemoryEvictionTenacity, "maxmemory-eviction-tenacity", 0, 100, 10)
        .doc("How long one round of eviction may take, in percent."),
    Spec::int(P::LfuLogFactor, "lfu-log-factor", 0, INT, 10)
        .doc("How slowly access counters rise."),
    Spec::int(P::LfuDecayTime, "lfu-decay-time", 0, INT, 1)
        .doc("Minutes after which access counters fall."),
    Spec::int(P::ActiveExpireEffort, "active-expire-effort", 1, 10, 1)
        .doc("How hard to look for expired keys."),
    Spec::flag(P::LazyfreeLazyEviction, "lazyfree-lazy-eviction", false)
        .debug()
        .doc("Frees evicted values in the background."),
    Spec::flag(P::LazyfreeLazyExpire, "lazyfree-lazy-expire", false)
        .debug()
        .doc("Frees expired values in the background."),
    Spec::flag(P::LazyfreeLazyServerDel, "lazyfree-lazy-server-del", false)
        .debug()
        .doc("Frees overwritten values in the background."),
    Spec::flag(P::LazyfreeLazyUserDel, "lazyfree-lazy-user-del", false)
        .debug()
        .doc("Makes DEL free in the background."),
    Spec::flag(P::LazyfreeLazyUserFlush, "lazyfree-lazy-user-flush", false)
        .debug()
        .doc("Makes FLUSHALL and FLUSHDB free in the background."),
    Spec::flag(P::Activerehashing, "activerehashing", true)
        .doc("Accepted for compatibility: tables do not need it."),
    Spec::flag(P::Activedefrag, "activedefrag", false)
        .check_flag(check::active_defrag)
        .debug()
        .doc("Compacts memory while serving."),
    Spec::int(P::ActiveDefragCycleMin, "active-defrag-cycle-min", 1, 99, 1)
        .doc("Least effort of compaction, in percent of CPU."),
    Spec::int(P::ActiveDefragCycleMax, "active-defrag-cycle-max", 1, 99, 25)
        .doc("Most effort of compaction, in percent of CPU."),
    Spec::int(P::ActiveDefragThresholdLower, "active-defrag-threshold-lower", 0, 1000, 10)
        .doc("Fragmentation in percent at which compaction starts."),
    Spec::int(P::ActiveDefragThresholdUpper, "active-defrag-threshold-upper", 0, 1000, 100)
        .doc("Fragmentation in percent at which compaction does its most."),
    Spec::memory(P::ActiveDefragIgnoreBytes, "active-defrag-ignore-bytes", 1, LONG, 100 << 20)
        .unsigned()
        .doc("Wasted bytes below which nothing is compacted."),
    Spec::int(P::ActiveDefragMaxScanFields, "active-defrag-max-scan-fields", 1, LONG, 1000)
        .doc("Size of collections that are compacted in pieces."),
    Spec::flag(P::JemallocBgThread, "jemalloc-bg-thread", true)
        .doc("Lets the allocator purge in the background."),
    Spec::int(P::HashMaxListpackEntries, "hash-max-listpack-entries", 0, LONG, 512)
        .unsigned()
        .alias("hash-max-ziplist-entries")
        .doc("Most fields of a hash held as a listpack."),
    Spec::memory(P::HashMaxListpackValue, "hash-max-listpack-value", 0, LONG, 64)
        .unsigned()
        .alias("hash-max-ziplist-value")
        .doc("Longest field or value of a hash held as a listpack."),
    Spec::int(P::ListMaxListpackSize, "list-max-listpack-size", i32::MIN as i64, INT, -2)
        .alias("list-max-ziplist-size")
        .doc("Elements of a list node, or its size if negative."),
    Spec::int(P::ListCompressDepth, "list-compress-depth", 0, INT, 0)
        .debug()
        .doc("Nodes at each end of a list that are not compressed; 0 for no compression."),
    Spec::int(P::SetMaxIntsetEntries, "set-max-intset-entries", 0, LONG, 512)
        .unsigned()
        .doc("Most members of a set held as an intset."),
    Spec::int(P::SetMaxListpackEntries, "set-max-listpack-entries", 0, LONG, 128)
        .unsigned()
        .doc("Most members of a set held as a listpack."),
    Spec::int(P::SetMaxListpackValue, "set-max-listpack-value", 0, LONG, 64)
        .unsigned()
        .doc("Longest member of a set held as a listpack."),
    Spec::int(P::ZsetMaxListpackEntries, "zset-max-listpack-entries", 0, LONG, 128)
        .unsigned()
        .alias("zset-max-ziplist-entries")
        .doc("Most members of a zset held as a listpack."),
    Spec::memory(P::ZsetMaxListpackValue, "zset-max-listpack-value", 0, LONG, 64)
        .unsigned()
        .alias("zset-max-ziplist-value")
        .doc("Longest member of a zset held as a listpack."),
    Spec::memory(P::HllSparseMaxBytes, "hll-sparse-max-bytes", 0, LONG, 3000)
        .unsigned()
        .doc("Longest sparse HyperLogLog."),
    Spec::memory(P::StreamNodeMaxBytes, "stream-node-max-bytes", 0, LONG, 4096)
        .unsigned()
        .doc("Size of a stream node."),
    Spec::int(P::StreamNodeMaxEntries, "stream-node-max-entries", 0, LONG, 100)
        .doc("Entries of a stream node."),
    Spec::special(P::NotifyKeyspaceEvents, "notify-keyspace-events", Special::Events)
        .doc("Which events of keys are published."),
];
