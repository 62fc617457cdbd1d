//! What is a parameter? Its name, type, limits and flags; one [`Spec`] each, in the tables of
//! `table/`.
//!
//! [`Param`] numbers the parameters in the order of the tables, so that a value is found by
//! indexing; a test holds the two together. Names and aliases are looked up in any case.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::config::check::Checked;
use crate::config::choices::Choices;
use crate::config::table;

/// Largest C `int`.
pub const INT: u64 = i32::MAX as u64;
/// Largest C `unsigned int`.
pub const UINT: u64 = u32::MAX as u64;
/// Largest C `long`.
pub const LONG: u64 = i64::MAX as u64;
/// Stands for a default that is the number of cores, [`CORES_MAX`] at most.
pub const DEFAULT_IS_CORES: i64 = -1;
/// Worker threads that are started without being asked for.
pub const CORES_MAX: usize = 8;

/// A parameter as the tables describe it.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its number.
    pub param: Param,
    /// Its name.
    pub name: &'static str,
    /// Its former name, which is good as well.
    pub alias: Option<&'static str>,
    /// What values it takes.
    pub kind: Kind,
    /// What may be done with it.
    pub flags: Flags,
    /// What it does, in one sentence.
    pub doc: &'static str,
}

/// The type of a parameter, with its default.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Flag {
        /// Value at the start.
        default: bool,
        /// What else must hold.
        check: Option<fn(bool) -> Checked>,
    },
    /// Any bytes.
    Text {
        /// Value at the start.
        default: &'static str,
        /// Whether the empty text means that there is none: then it is never written to a file.
        optional: bool,
        /// What else must hold.
        check: Option<fn(&[u8]) -> Checked>,
    },
    /// One of some words, or several if the parameter is [`Flags::MULTI`].
    Choice {
        /// The words.
        choices: &'static Choices,
        /// Value at the start, one of them.
        default: &'static str,
        /// What else must hold.
        check: Option<fn(u32) -> Checked>,
    },
    /// A number.
    Number(Number),
    /// Something with rules of its own, in `special.rs`.
    Special(Special),
}

/// The type of a number. It is held in 64 bits, which mean an unsigned number if it says so.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Least value.
    pub min: i64,
    /// Largest value.
    pub max: u64,
    /// Value at the start.
    pub default: i64,
    /// How it is written.
    pub unit: Unit,
    /// Whether limits are compared, and shown in errors, as unsigned numbers.
    pub unsigned: bool,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Digits.
    Plain,
    /// Digits and perhaps `kb`, `mb`, ...
    Memory,
    /// The same, or digits and `%`, which is held as a negative number.
    MemoryOrPercent,
    /// Octal digits.
    Octal,
}

/// Parameters with rules of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The working directory.
    Dir,
    /// Save points.
    Save,
    /// Output buffer limits by class.
    OutputLimits,
    /// Three scores.
    OomValues,
    /// Event classes.
    Events,
    /// Addresses.
    Bind,
    /// Host and port.
    ReplicaOf,
    /// Percentiles.
    Percentiles,
}

/// A set of flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Cannot be set while the server runs.
    pub const IMMUTABLE: Self = Self(1);
    /// Takes several words.
    pub const MULTI: Self = Self(2);
    /// Must not show in logs.
    pub const SENSITIVE: Self = Self(4);
    /// Can be set only as `enable-protected-configs` says.
    pub const PROTECTED: Self = Self(8);
    /// Shown only when asked for by its whole name.
    pub const HIDDEN: Self = Self(16);
    /// Cannot be set while loading.
    pub const DENY_LOADING: Self = Self(32);
    /// Names something outside that may have changed: setting the same value is a change.
    pub const VOLATILE: Self = Self(64);
    /// Shown in crash reports.
    pub const DEBUG: Self = Self(128);

    /// Whether one of `flags` is set.
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

impl Spec {
    const fn new(param: Param, name: &'static str, kind: Kind) -> Self {
        Self { param, name, alias: None, kind, flags: Flags::NONE, doc: "" }
    }

    /// `yes` or `no`.
    pub const fn flag(param: Param, name: &'static str, default: bool) -> Self {
        Self::new(param, name, Kind::Flag { default, check: None })
    }

    /// A text, which may be empty.
    pub const fn text(param: Param, name: &'static str, default: &'static str) -> Self {
        Self::new(param, name, Kind::Text { default, optional: false, check: None })
    }

    /// A text, or none.
    pub const fn optional(param: Param, name: &'static str) -> Self {
        Self::new(param, name, Kind::Text { default: "", optional: true, check: None })
    }

    /// A word of a choice.
    pub const fn choice(
        param: Param,
        name: &'static str,
        choices: &'static Choices,
        default: &'static str,
    ) -> Self {
        Self::new(param, name, Kind::Choice { choices, default, check: None })
    }

    /// A number.
    pub const fn int(param: Param, name: &'static str, min: i64, max: u64, default: i64) -> Self {
        let number = Number { min, max, default, unit: Unit::Plain, unsigned: false };
        Self::new(param, name, Kind::Number(number))
    }

    /// A memory size.
    pub const fn memory(
        param: Param,
        name: &'static str,
        min: i64,
        max: u64,
        default: i64,
    ) -> Self {
        let number = Number { min, max, default, unit: Unit::Memory, unsigned: false };
        Self::new(param, name, Kind::Number(number))
    }

    /// Something with rules of its own.
    pub const fn special(param: Param, name: &'static str, special: Special) -> Self {
        Self::new(param, name, Kind::Special(special))
    }

    /// Makes a number unsigned.
    pub const fn unsigned(mut self) -> Self {
        if let Kind::Number(number) = &mut self.kind {
            number.unsigned = true;
        }
        self
    }

    /// Writes a number in octal.
    pub const fn octal(mut self) -> Self {
        if let Kind::Number(number) = &mut self.kind {
            number.unit = Unit::Octal;
        }
        self
    }

    /// Takes percents as well as a memory size.
    pub const fn percent(mut self) -> Self {
        if let Kind::Number(number) = &mut self.kind {
            number.unit = Unit::MemoryOrPercent;
        }
        self
    }

    /// Adds a rule for a flag.
    pub const fn check_flag(mut self, rule: fn(bool) -> Checked) -> Self {
        if let Kind::Flag { check, .. } = &mut self.kind {
            *check = Some(rule);
        }
        self
    }

    /// Adds a rule for a text.
    pub const fn check_text(mut self, rule: fn(&[u8]) -> Checked) -> Self {
        if let Kind::Text { check, .. } = &mut self.kind {
            *check = Some(rule);
        }
        self
    }

    /// Adds a rule for a choice.
    pub const fn check_choice(mut self, rule: fn(u32) -> Checked) -> Self {
        if let Kind::Choice { check, .. } = &mut self.kind {
            *check = Some(rule);
        }
        self
    }

    /// Sets the former name.
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Sets [`Flags::IMMUTABLE`].
    pub const fn immutable(self) -> Self {
        self.with(Flags::IMMUTABLE)
    }

    /// Sets [`Flags::MULTI`].
    pub const fn multi(self) -> Self {
        self.with(Flags::MULTI)
    }

    /// Sets [`Flags::SENSITIVE`].
    pub const fn sensitive(self) -> Self {
        self.with(Flags::SENSITIVE)
    }

    /// Sets [`Flags::PROTECTED`].
    pub const fn protected(self) -> Self {
        self.with(Flags::PROTECTED)
    }

    /// Sets [`Flags::HIDDEN`].
    pub const fn hidden(self) -> Self {
        self.with(Flags::HIDDEN)
    }

    /// Sets [`Flags::DENY_LOADING`].
    pub const fn deny_loading(self) -> Self {
        self.with(Flags::DENY_LOADING)
    }

    /// Sets [`Flags::VOLATILE`].
    pub const fn volatile(self) -> Self {
        self.with(Flags::VOLATILE)
    }

    /// Sets [`Flags::DEBUG`].
    pub const fn debug(self) -> Self {
        self.with(Flags::DEBUG)
    }

    /// Sets the sentence that says what the parameter does.
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    const fn with(mut self, flag: Flags) -> Self {
        self.flags.0 |= flag.0;
        self
    }
}

/// All parameters, by their numbers.
pub fn specs() -> impl Iterator<Item = &'static Spec> {
    table::SERVING.iter().chain(&table::DATA).chain(&table::REPLICATION)
}

/// The parameter with this number.
pub fn spec(param: Param) -> &'static Spec {
    ALL[param as usize]
}

static ALL: LazyLock<Vec<&'static Spec>> = LazyLock::new(|| specs().collect());

static BY_NAME: LazyLock<HashMap<&'static str, &'static Spec>> = LazyLock::new(|| {
    let names = |spec: &'static Spec| [Some(spec.name), spec.alias].into_iter().flatten();
    specs().flat_map(|spec| names(spec).map(move |name| (name, spec))).collect()
});

/// The parameter with this name or former name.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    let lower = name.to_ascii_lowercase();
    BY_NAME.get(std::str::from_utf8(&lower).ok()?).copied()
}

/// The number of a parameter, named like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Param {
    /// `port`
    Port,
    /// `bind`
    Bind,
    /// `bind-source-addr`
    BindSourceAddr,
    /// `unixsocket`
    Unixsocket,
    /// `unixsocketperm`
    Unixsocketperm,
    /// `tcp-backlog`
    TcpBacklog,
    /// `tcp-keepalive`
    TcpKeepalive,
    /// `timeout`
    Timeout,
    /// `socket-mark-id`
    SocketMarkId,
    /// `protected-mode`
    ProtectedMode,
    /// `maxclients`
    Maxclients,
    /// `maxmemory-clients`
    MaxmemoryClients,
    /// `client-query-buffer-limit`
    ClientQueryBufferLimit,
    /// `client-output-buffer-limit`
    ClientOutputBufferLimit,
    /// `client-default-resp`
    ClientDefaultResp,
    /// `proto-max-bulk-len`
    ProtoMaxBulkLen,
    /// `io-threads`
    IoThreads,
    /// `io-threads-do-reads`
    IoThreadsDoReads,
    /// `tracking-table-max-keys`
    TrackingTableMaxKeys,
    /// `requirepass`
    Requirepass,
    /// `aclfile`
    Aclfile,
    /// `acl-pubsub-default`
    AclPubsubDefault,
    /// `acllog-max-len`
    AcllogMaxLen,
    /// `enable-protected-configs`
    EnableProtectedConfigs,
    /// `enable-debug-command`
    EnableDebugCommand,
    /// `enable-module-command`
    EnableModuleCommand,
    /// `databases`
    Databases,
    /// `daemonize`
    Daemonize,
    /// `supervised`
    Supervised,
    /// `pidfile`
    Pidfile,
    /// `loglevel`
    Loglevel,
    /// `logfile`
    Logfile,
    /// `log-format`
    LogFormat,
    /// `syslog-enabled`
    SyslogEnabled,
    /// `syslog-ident`
    SyslogIdent,
    /// `syslog-facility`
    SyslogFacility,
    /// `always-show-logo`
    AlwaysShowLogo,
    /// `set-proc-title`
    SetProcTitle,
    /// `proc-title-template`
    ProcTitleTemplate,
    /// `locale-collate`
    LocaleCollate,
    /// `crash-log-enabled`
    CrashLogEnabled,
    /// `crash-memcheck-enabled`
    CrashMemcheckEnabled,
    /// `use-exit-on-panic`
    UseExitOnPanic,
    /// `ignore-warnings`
    IgnoreWarnings,
    /// `disable-thp`
    DisableThp,
    /// `oom-score-adj`
    OomScoreAdj,
    /// `oom-score-adj-values`
    OomScoreAdjValues,
    /// `server_cpulist`
    ServerCpulist,
    /// `bio_cpulist`
    BioCpulist,
    /// `aof_rewrite_cpulist`
    AofRewriteCpulist,
    /// `bgsave_cpulist`
    BgsaveCpulist,
    /// `shutdown-timeout`
    ShutdownTimeout,
    /// `shutdown-on-sigint`
    ShutdownOnSigint,
    /// `shutdown-on-sigterm`
    ShutdownOnSigterm,
    /// `hz`
    Hz,
    /// `dynamic-hz`
    DynamicHz,
    /// `watchdog-period`
    WatchdogPeriod,
    /// `slowlog-log-slower-than`
    SlowlogLogSlowerThan,
    /// `slowlog-max-len`
    SlowlogMaxLen,
    /// `latency-monitor-threshold`
    LatencyMonitorThreshold,
    /// `latency-tracking`
    LatencyTracking,
    /// `latency-tracking-info-percentiles`
    LatencyTrackingInfoPercentiles,
    /// `busy-reply-threshold`
    BusyReplyThreshold,
    /// `lua-enable-deprecated-api`
    LuaEnableDeprecatedApi,
    /// `default-modules`
    DefaultModules,
    /// `functions`
    Functions,
    /// `module-threads`
    ModuleThreads,
    /// `tls-port`
    TlsPort,
    /// `tls-session-cache-size`
    TlsSessionCacheSize,
    /// `tls-session-cache-timeout`
    TlsSessionCacheTimeout,
    /// `tls-cluster`
    TlsCluster,
    /// `tls-replication`
    TlsReplication,
    /// `tls-auth-clients`
    TlsAuthClients,
    /// `tls-prefer-server-ciphers`
    TlsPreferServerCiphers,
    /// `tls-session-caching`
    TlsSessionCaching,
    /// `tls-cert-file`
    TlsCertFile,
    /// `tls-key-file`
    TlsKeyFile,
    /// `tls-key-file-pass`
    TlsKeyFilePass,
    /// `tls-client-cert-file`
    TlsClientCertFile,
    /// `tls-client-key-file`
    TlsClientKeyFile,
    /// `tls-client-key-file-pass`
    TlsClientKeyFilePass,
    /// `tls-dh-params-file`
    TlsDhParamsFile,
    /// `tls-ca-cert-file`
    TlsCaCertFile,
    /// `tls-ca-cert-dir`
    TlsCaCertDir,
    /// `tls-protocols`
    TlsProtocols,
    /// `tls-ciphers`
    TlsCiphers,
    /// `tls-ciphersuites`
    TlsCiphersuites,
    /// `dir`
    Dir,
    /// `dbfilename`
    Dbfilename,
    /// `save`
    Save,
    /// `rdbcompression`
    Rdbcompression,
    /// `rdbchecksum`
    Rdbchecksum,
    /// `rdb-del-sync-files`
    RdbDelSyncFiles,
    /// `rdb-save-incremental-fsync`
    RdbSaveIncrementalFsync,
    /// `rdb-key-save-delay`
    RdbKeySaveDelay,
    /// `rdb-target-version`
    RdbTargetVersion,
    /// `snapshot-method`
    SnapshotMethod,
    /// `key-load-delay`
    KeyLoadDelay,
    /// `loading-process-events-interval-bytes`
    LoadingProcessEventsIntervalBytes,
    /// `sanitize-dump-payload`
    SanitizeDumpPayload,
    /// `stop-writes-on-bgsave-error`
    StopWritesOnBgsaveError,
    /// `appendonly`
    Appendonly,
    /// `appendfilename`
    Appendfilename,
    /// `appenddirname`
    Appenddirname,
    /// `appendfsync`
    Appendfsync,
    /// `no-appendfsync-on-rewrite`
    NoAppendfsyncOnRewrite,
    /// `auto-aof-rewrite-percentage`
    AutoAofRewritePercentage,
    /// `auto-aof-rewrite-min-size`
    AutoAofRewriteMinSize,
    /// `aof-rewrite-incremental-fsync`
    AofRewriteIncrementalFsync,
    /// `aof-load-truncated`
    AofLoadTruncated,
    /// `aof-use-rdb-preamble`
    AofUseRdbPreamble,
    /// `aof-timestamp-enabled`
    AofTimestampEnabled,
    /// `aof-disable-auto-gc`
    AofDisableAutoGc,
    /// `maxmemory`
    Maxmemory,
    /// `maxmemory-policy`
    MaxmemoryPolicy,
    /// `maxmemory-samples`
    MaxmemorySamples,
    /// `maxmemory-eviction-tenacity`
    MaxmemoryEvictionTenacity,
    /// `lfu-log-factor`
    LfuLogFactor,
    /// `lfu-decay-time`
    LfuDecayTime,
    /// `active-expire-effort`
    ActiveExpireEffort,
    /// `lazyfree-lazy-eviction`
    LazyfreeLazyEviction,
    /// `lazyfree-lazy-expire`
    LazyfreeLazyExpire,
    /// `lazyfree-lazy-server-del`
    LazyfreeLazyServerDel,
    /// `lazyfree-lazy-user-del`
    LazyfreeLazyUserDel,
    /// `lazyfree-lazy-user-flush`
    LazyfreeLazyUserFlush,
    /// `activerehashing`
    Activerehashing,
    /// `activedefrag`
    Activedefrag,
    /// `active-defrag-cycle-min`
    ActiveDefragCycleMin,
    /// `active-defrag-cycle-max`
    ActiveDefragCycleMax,
    /// `active-defrag-threshold-lower`
    ActiveDefragThresholdLower,
    /// `active-defrag-threshold-upper`
    ActiveDefragThresholdUpper,
    /// `active-defrag-ignore-bytes`
    ActiveDefragIgnoreBytes,
    /// `active-defrag-max-scan-fields`
    ActiveDefragMaxScanFields,
    /// `jemalloc-bg-thread`
    JemallocBgThread,
    /// `hash-max-listpack-entries`
    HashMaxListpackEntries,
    /// `hash-max-listpack-value`
    HashMaxListpackValue,
    /// `list-max-listpack-size`
    ListMaxListpackSize,
    /// `list-compress-depth`
    ListCompressDepth,
    /// `set-max-intset-entries`
    SetMaxIntsetEntries,
    /// `set-max-listpack-entries`
    SetMaxListpackEntries,
    /// `set-max-listpack-value`
    SetMaxListpackValue,
    /// `zset-max-listpack-entries`
    ZsetMaxListpackEntries,
    /// `zset-max-listpack-value`
    ZsetMaxListpackValue,
    /// `hll-sparse-max-bytes`
    HllSparseMaxBytes,
    /// `stream-node-max-bytes`
    StreamNodeMaxBytes,
    /// `stream-node-max-entries`
    StreamNodeMaxEntries,
    /// `notify-keyspace-events`
    NotifyKeyspaceEvents,
    /// `replicaof`
    Replicaof,
    /// `masteruser`
    Masteruser,
    /// `masterauth`
    Masterauth,
    /// `replica-serve-stale-data`
    ReplicaServeStaleData,
    /// `replica-read-only`
    ReplicaReadOnly,
    /// `replica-ignore-maxmemory`
    ReplicaIgnoreMaxmemory,
    /// `replica-lazy-flush`
    ReplicaLazyFlush,
    /// `replica-ignore-disk-write-errors`
    ReplicaIgnoreDiskWriteErrors,
    /// `replica-priority`
    ReplicaPriority,
    /// `replica-announced`
    ReplicaAnnounced,
    /// `replica-announce-ip`
    ReplicaAnnounceIp,
    /// `replica-announce-port`
    ReplicaAnnouncePort,
    /// `repl-diskless-sync`
    ReplDisklessSync,
    /// `repl-diskless-sync-delay`
    ReplDisklessSyncDelay,
    /// `repl-diskless-sync-max-replicas`
    ReplDisklessSyncMaxReplicas,
    /// `repl-diskless-load`
    ReplDisklessLoad,
    /// `repl-disable-tcp-nodelay`
    ReplDisableTcpNodelay,
    /// `repl-ping-replica-period`
    ReplPingReplicaPeriod,
    /// `repl-timeout`
    ReplTimeout,
    /// `repl-backlog-size`
    ReplBacklogSize,
    /// `repl-backlog-ttl`
    ReplBacklogTtl,
    /// `min-replicas-to-write`
    MinReplicasToWrite,
    /// `min-replicas-max-lag`
    MinReplicasMaxLag,
    /// `propagation-error-behavior`
    PropagationErrorBehavior,
    /// `cluster-enabled`
    ClusterEnabled,
    /// `cluster-config-file`
    ClusterConfigFile,
    /// `cluster-node-timeout`
    ClusterNodeTimeout,
    /// `cluster-ping-interval`
    ClusterPingInterval,
    /// `cluster-port`
    ClusterPort,
    /// `cluster-announce-ip`
    ClusterAnnounceIp,
    /// `cluster-announce-port`
    ClusterAnnouncePort,
    /// `cluster-announce-tls-port`
    ClusterAnnounceTlsPort,
    /// `cluster-announce-bus-port`
    ClusterAnnounceBusPort,
    /// `cluster-announce-hostname`
    ClusterAnnounceHostname,
    /// `cluster-announce-human-nodename`
    ClusterAnnounceHumanNodename,
    /// `cluster-preferred-endpoint-type`
    ClusterPreferredEndpointType,
    /// `cluster-link-sendbuf-limit`
    ClusterLinkSendbufLimit,
    /// `cluster-migration-barrier`
    ClusterMigrationBarrier,
    /// `cluster-allow-replica-migration`
    ClusterAllowReplicaMigration,
    /// `cluster-replica-validity-factor`
    ClusterReplicaValidityFactor,
    /// `cluster-replica-no-failover`
    ClusterReplicaNoFailover,
    /// `cluster-require-full-coverage`
    ClusterRequireFullCoverage,
    /// `cluster-allow-reads-when-down`
    ClusterAllowReadsWhenDown,
    /// `cluster-allow-pubsubshard-when-down`
    ClusterAllowPubsubshardWhenDown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places() {
        for (at, spec) in specs().enumerate() {
            assert_eq!(spec.param as usize, at, "{}", spec.name);
            assert!(!spec.doc.is_empty() && spec.doc.ends_with('.'), "{}", spec.name);
        }
    }

    #[test]
    fn names_are_unique_and_lower_case() {
        let names = specs().flat_map(|spec| [Some(spec.name), spec.alias]).flatten();
        let names: Vec<_> = names.collect();
        assert_eq!(names.len(), BY_NAME.len());
        assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(find(b"MaxMemory").unwrap().param, Param::Maxmemory);
        assert_eq!(find(b"slaveof").unwrap().param, Param::Replicaof);
        assert!(find(b"nothing").is_none());
        assert!(find(b"\xff").is_none());
    }
}
