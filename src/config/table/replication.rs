//! Which settings concern replicas and the cluster?
//!
//! Plain data; `params.rs` says what the words mean.

use crate::config::check;
use crate::config::choices::{DISKLESS_LOAD, ENDPOINT, PROPAGATION_ERROR};
use crate::config::params::{INT, LONG, Param as P, Spec, Special};

/// The parameters, in the order that CONFIG GET shows them.
pub const REPLICATION: [Spec; 44] = [
    Spec::special(P::Replicaof, "replicaof", Special::ReplicaOf)
        .alias("slaveof")
        .immutable()
        .multi()
        .doc("Host and port of the primary."),
    Spec::optional(P::Masteruser, "masteruser")
        .sensitive()
        .doc("User to authenticate as at the primary."),
    Spec::optional(P::Masterauth, "masterauth")
        .sensitive()
        .doc("Password to authenticate with at the primary."),
    Spec::flag(P::ReplicaServeStaleData, "replica-serve-stale-data", true)
        .alias("slave-serve-stale-data")
        .doc("Serves old data while there is no link to the primary."),
    Spec::flag(P::ReplicaReadOnly, "replica-read-only", true)
        .alias("slave-read-only")
        .debug()
        .doc("Refuses writes of clients on a replica."),
    Spec::flag(P::ReplicaIgnoreMaxmemory, "replica-ignore-maxmemory", true)
        .alias("slave-ignore-maxmemory")
        .doc("Leaves eviction to the primary."),
    Spec::flag(P::ReplicaLazyFlush, "replica-lazy-flush", false)
        .alias("slave-lazy-flush")
        .doc("Frees the old data in the background before a full sync."),
    Spec::flag(P::ReplicaIgnoreDiskWriteErrors, "replica-ignore-disk-write-errors", false)
        .doc("Goes on when a replica cannot write to disk."),
    Spec::int(P::ReplicaPriority, "replica-priority", 0, INT, 100)
        .alias("slave-priority")
        .doc("Rank in failover; 0 for never."),
    Spec::flag(P::ReplicaAnnounced, "replica-announced", true)
        .doc("Shows this replica to Sentinel."),
    Spec::optional(P::ReplicaAnnounceIp, "replica-announce-ip")
        .alias("slave-announce-ip")
        .doc("Address that this replica tells its primary."),
    Spec::int(P::ReplicaAnnouncePort, "replica-announce-port", 0, 65535, 0)
        .alias("slave-announce-port")
        .doc("Port that this replica tells its primary."),
    Spec::flag(P::ReplDisklessSync, "repl-diskless-sync", true)
        .debug()
        .doc("Sends snapshots to replicas without a file."),
    Spec::int(P::ReplDisklessSyncDelay, "repl-diskless-sync-delay", 0, INT, 5)
        .doc("Seconds to wait for more replicas before a snapshot is sent."),
    Spec::int(P::ReplDisklessSyncMaxReplicas, "repl-diskless-sync-max-replicas", 0, INT, 0)
        .doc("Replicas that are not waited beyond; 0 for no limit."),
    Spec::choice(P::ReplDisklessLoad, "repl-diskless-load", &DISKLESS_LOAD, "disabled")
        .deny_loading()
        .debug()
        .doc("Loads a primary's snapshot without a file."),
    Spec::flag(P::ReplDisableTcpNodelay, "repl-disable-tcp-nodelay", false)
        .doc("Sends to replicas in fewer, larger packets."),
    Spec::int(P::ReplPingReplicaPeriod, "repl-ping-replica-period", 1, INT, 10)
        .alias("repl-ping-slave-period")
        .doc("Seconds between pings to replicas."),
    Spec::int(P::ReplTimeout, "repl-timeout", 1, INT, 60)
        .doc("Seconds after which a silent link is given up."),
    Spec::memory(P::ReplBacklogSize, "repl-backlog-size", 1, LONG, 1 << 20)
        .doc("Bytes kept for replicas that come back."),
    Spec::int(P::ReplBacklogTtl, "repl-backlog-ttl", 0, LONG, 3600)
        .doc("Seconds that those are kept without replicas; 0 for ever."),
    Spec::int(P::MinReplicasToWrite, "min-replicas-to-write", 0, INT, 0)
        .alias("min-slaves-to-write")
        .doc("Replicas without which writes are refused."),
    Spec::int(P::MinReplicasMaxLag, "min-replicas-max-lag", 0, INT, 10)
        .alias("min-slaves-max-lag")
        .doc("Seconds of lag that such a replica may have."),
    Spec::choice(
        P::PropagationErrorBehavior,
        "propagation-error-behavior",
        &PROPAGATION_ERROR,
        "ignore",
    )
    .doc("What a replica does with a command that fails."),
    Spec::flag(P::ClusterEnabled, "cluster-enabled", false)
        .immutable()
        .doc("Runs as a node of a cluster."),
    Spec::text(P::ClusterConfigFile, "cluster-config-file", "nodes.conf")
        .immutable()
        .doc("File that the node keeps the cluster's state in."),
    Spec::int(P::ClusterNodeTimeout, "cluster-node-timeout", 0, LONG, 15000)
        .doc("Milliseconds after which a silent node has failed."),
    Spec::int(P::ClusterPingInterval, "cluster-ping-interval", 0, LONG, 0)
        .hidden()
        .doc("Milliseconds between pings on the bus."),
    Spec::int(P::ClusterPort, "cluster-port", 0, 65535, 0)
        .immutable()
        .doc("Port of the bus; 0 for the port plus 10000."),
    Spec::optional(P::ClusterAnnounceIp, "cluster-announce-ip").doc("Address to tell other nodes."),
    Spec::int(P::ClusterAnnouncePort, "cluster-announce-port", 0, 65535, 0)
        .doc("Port to tell other nodes."),
    Spec::int(P::ClusterAnnounceTlsPort, "cluster-announce-tls-port", 0, 65535, 0)
        .doc("TLS port to tell other nodes."),
    Spec::int(P::ClusterAnnounceBusPort, "cluster-announce-bus-port", 0, 65535, 0)
        .doc("Bus port to tell other nodes."),
    Spec::optional(P::ClusterAnnounceHostname, "cluster-announce-hostname")
        .check_text(check::hostname)
        .doc("Host name to tell clients."),
    Spec::optional(P::ClusterAnnounceHumanNodename, "cluster-announce-human-nodename")
        .check_text(check::nodename)
        .doc("Name to show in logs."),
    Spec::choice(
        P::ClusterPreferredEndpointType,
        "cluster-preferred-endpoint-type",
        &ENDPOINT,
        "ip",
    )
    .doc("What redirections name."),
    Spec::memory(P::ClusterLinkSendbufLimit, "cluster-link-sendbuf-limit", 0, u64::MAX, 0)
        .unsigned()
        .doc("Most bytes waiting on a link of the bus; 0 for no limit."),
    Spec::int(P::ClusterMigrationBarrier, "cluster-migration-barrier", 0, INT, 1)
        .doc("Replicas that a primary keeps when others migrate."),
    Spec::flag(P::ClusterAllowReplicaMigration, "cluster-allow-replica-migration", true)
        .doc("Lets replicas move to primaries without any."),
    Spec::int(P::ClusterReplicaValidityFactor, "cluster-replica-validity-factor", 0, INT, 10)
        .alias("cluster-slave-validity-factor")
        .doc("How old a replica's data may be for a failover; 0 for any age."),
    Spec::flag(P::ClusterReplicaNoFailover, "cluster-replica-no-failover", false)
        .alias("cluster-slave-no-failover")
        .doc("Never starts a failover by itself."),
    Spec::flag(P::ClusterRequireFullCoverage, "cluster-require-full-coverage", true)
        .doc("Refuses queries while a slot has no node."),
    Spec::flag(P::ClusterAllowReadsWhenDown, "cluster-allow-reads-when-down", false)
        .doc("Serves reads while the cluster is down."),
    Spec::flag(P::ClusterAllowPubsubshardWhenDown, "cluster-allow-pubsubshard-when-down", true)
        .doc("Serves sharded pub/sub while the cluster is down."),
];
