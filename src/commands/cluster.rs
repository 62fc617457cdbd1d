//! CLUSTER and its relatives, as a server that is not a node of a cluster has them: they are known, and refused.

use crate::engine::ctx::SessionCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Arg, Argv, Arity, Category, CommandSpec, Deprecated, Flag, Group, Outcome, Run,
};
use crate::resp::reply::Reply;

/// What changes the cluster.
const CHANGES: &[Flag] = &[Flag::NoAsyncLoading, Flag::Admin, Flag::Stale];
const VARIES: &[&str] = &["nondeterministic_output"];

const SUB: CommandSpec = CommandSpec {
    since: "3.0.0",
    group: Group::Cluster,
    arity: Arity::Exactly(2),
    flags: &[Flag::Stale],
    run: Run::Session(refuse),
    ..CommandSpec::BASE
};

/// What concerns the connection alone.
const OWN: CommandSpec = CommandSpec {
    arity: Arity::Exactly(1),
    flags: &[Flag::Fast, Flag::Loading, Flag::Stale],
    categories: &[Category::Connection],
    ..SUB
};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CLUSTER",
        summary: "A container for Redis Cluster commands.",
        complexity: "Depends on subcommand.",
        arity: Arity::AtLeast(2),
        flags: &[],
        subcommands: SUBCOMMANDS,
        run: Run::Container,
        ..SUB
    },
    CommandSpec {
        name: "ASKING",
        summary: "Signals that a cluster client is following an -ASK redirect.",
        flags: &[Flag::Fast],
        ..OWN
    },
    CommandSpec {
        name: "READONLY",
        summary: "Enables read-only queries for a connection to a Redis Cluster replica node.",
        ..OWN
    },
    CommandSpec {
        name: "READWRITE",
        summary: "Enables read-write queries for a connection to a Reids Cluster replica node.",
        ..OWN
    },
];

const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ADDSLOTS",
        summary: "Assigns new hash slots to a node.",
        complexity: "O(N) where N is the total number of hash slot arguments",
        arity: Arity::AtLeast(3),
        flags: CHANGES,
        args: &[Arg::integer("slot").multiple()],
        ..SUB
    },
    CommandSpec {
        name: "ADDSLOTSRANGE",
        summary: "Assigns new hash slot ranges to a node.",
        since: "7.0.0",
        complexity: "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
        arity: Arity::AtLeast(4),
        flags: CHANGES,
        args: &[
            Arg::block("range", &[Arg::integer("start-slot"), Arg::integer("end-slot")]).multiple()
        ],
        ..SUB
    },
    CommandSpec {
        name: "BUMPEPOCH",
        summary: "Advances the cluster config epoch.",
        flags: CHANGES,
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "COUNT-FAILURE-REPORTS",
        summary: "Returns the number of active failure reports active for a node.",
        complexity: "O(N) where N is the number of failure reports",
        arity: Arity::Exactly(3),
        flags: &[Flag::Admin, Flag::Stale],
        args: &[Arg::string("node-id")],
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "COUNTKEYSINSLOT",
        summary: "Returns the number of keys in a hash slot.",
        arity: Arity::Exactly(3),
        args: &[Arg::integer("slot")],
        ..SUB
    },
    CommandSpec {
        name: "DELSLOTS",
        summary: "Sets hash slots as unbound for a node.",
        complexity: "O(N) where N is the total number of hash slot arguments",
        arity: Arity::AtLeast(3),
        flags: CHANGES,
        args: &[Arg::integer("slot").multiple()],
        ..SUB
    },
    CommandSpec {
        name: "DELSLOTSRANGE",
        summary: "Sets hash slot ranges as unbound for a node.",
        since: "7.0.0",
        complexity: "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
        arity: Arity::AtLeast(4),
        flags: CHANGES,
        args: &[
            Arg::block("range", &[Arg::integer("start-slot"), Arg::integer("end-slot")]).multiple()
        ],
        ..SUB
    },
    CommandSpec {
        name: "FAILOVER",
        summary: "Forces a replica to perform a manual failover of its master.",
        arity: Arity::AtLeast(2),
        flags: CHANGES,
        args: &[Arg::one_of(
            "options",
            &[Arg::flag("force", "FORCE"), Arg::flag("takeover", "TAKEOVER")],
        )
        .optional()],
        ..SUB
    },
    CommandSpec {
        name: "FLUSHSLOTS",
        summary: "Deletes all slots information from a node.",
        flags: CHANGES,
        ..SUB
    },
    CommandSpec {
        name: "FORGET",
        summary: "Removes a node from the nodes table.",
        arity: Arity::Exactly(3),
        flags: CHANGES,
        args: &[Arg::string("node-id")],
        ..SUB
    },
    CommandSpec {
        name: "GETKEYSINSLOT",
        summary: "Returns the key names in a hash slot.",
        complexity: "O(N) where N is the number of requested keys",
        arity: Arity::Exactly(4),
        args: &[Arg::integer("slot"), Arg::integer("count")],
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "HELP",
        summary: "Returns helpful text about the different subcommands.",
        since: "5.0.0",
        flags: &[Flag::Loading, Flag::Stale],
        ..SUB
    },
    CommandSpec {
        name: "INFO",
        summary: "Returns information about the state of a node.",
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "KEYSLOT",
        summary: "Returns the hash slot for a key.",
        complexity: "O(N) where N is the number of bytes in the key",
        arity: Arity::Exactly(3),
        args: &[Arg::string("key")],
        ..SUB
    },
    CommandSpec {
        name: "LINKS",
        summary: "Returns a list of all TCP links to and from peer nodes.",
        since: "7.0.0",
        complexity: "O(N) where N is the total number of Cluster nodes",
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "MEET",
        summary: "Forces a node to handshake with another node.",
        arity: Arity::AtLeast(4),
        flags: CHANGES,
        args: &[
            Arg::string("ip"),
            Arg::integer("port"),
            Arg::integer("cluster-bus-port").optional().since("4.0.0"),
        ],
        history: &[("4.0.0", "Added the optional `cluster_bus_port` argument.")],
        ..SUB
    },
    CommandSpec { name: "MYID", summary: "Returns the ID of a node.", ..SUB },
    CommandSpec {
        name: "MYSHARDID",
        summary: "Returns the shard ID of a node.",
        since: "7.2.0",
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "NODES",
        summary: "Returns the cluster configuration for a node.",
        complexity: "O(N) where N is the total number of Cluster nodes",
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "REPLICAS",
        summary: "Lists the replica nodes of a master node.",
        since: "5.0.0",
        complexity: "O(N) where N is the number of replicas.",
        arity: Arity::Exactly(3),
        flags: &[Flag::Admin, Flag::Stale],
        args: &[Arg::string("node-id")],
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "REPLICATE",
        summary: "Configure a node as replica of a master node.",
        arity: Arity::Exactly(3),
        flags: CHANGES,
        args: &[Arg::string("node-id")],
        ..SUB
    },
    CommandSpec {
        name: "RESET",
        summary: "Resets a node.",
        complexity: "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
        arity: Arity::AtLeast(2),
        flags: &[Flag::Admin, Flag::Stale, Flag::NoScript],
        args: &[Arg::one_of("reset-type", &[Arg::flag("hard", "HARD"), Arg::flag("soft", "SOFT")])
            .optional()],
        ..SUB
    },
    CommandSpec {
        name: "SAVECONFIG",
        summary: "Forces a node to save the cluster configuration to disk.",
        flags: CHANGES,
        ..SUB
    },
    CommandSpec {
        name: "SET-CONFIG-EPOCH",
        summary: "Sets the configuration epoch for a new node.",
        arity: Arity::Exactly(3),
        flags: CHANGES,
        args: &[Arg::integer("config-epoch")],
        ..SUB
    },
    CommandSpec {
        name: "SETSLOT",
        summary: "Binds a hash slot to a node.",
        arity: Arity::AtLeast(4),
        flags: CHANGES,
        args: &[
            Arg::integer("slot"),
            Arg::one_of(
                "subcommand",
                &[
                    Arg::string("importing").token("IMPORTING").shown_as("node-id"),
                    Arg::string("migrating").token("MIGRATING").shown_as("node-id"),
                    Arg::string("node").token("NODE").shown_as("node-id"),
                    Arg::flag("stable", "STABLE"),
                ],
            ),
        ],
        ..SUB
    },
    CommandSpec {
        name: "SHARDS",
        summary: "Returns the mapping of cluster slots to shards.",
        since: "7.0.0",
        complexity: "O(N) where N is the total number of cluster nodes",
        flags: &[Flag::Loading, Flag::Stale],
        tips: VARIES,
        ..SUB
    },
    CommandSpec {
        name: "SLAVES",
        summary: "Lists the replica nodes of a master node.",
        complexity: "O(N) where N is the number of replicas.",
        arity: Arity::Exactly(3),
        flags: &[Flag::Admin, Flag::Stale],
        args: &[Arg::string("node-id")],
        tips: VARIES,
        deprecated: Some(Deprecated { since: "5.0.0", replaced_by: "`CLUSTER REPLICAS`" }),
        ..SUB
    },
    CommandSpec {
        name: "SLOTS",
        summary: "Returns the mapping of cluster slots to nodes.",
        complexity: "O(N) where N is the total number of Cluster nodes",
        flags: &[Flag::Loading, Flag::Stale],
        history: &[
            ("4.0.0", "Added node IDs."),
            ("7.0.0", "Added additional networking metadata field."),
        ],
        tips: VARIES,
        deprecated: Some(Deprecated { since: "7.0.0", replaced_by: "`CLUSTER SHARDS`" }),
        ..SUB
    },
];

fn refuse(_: &mut SessionCtx<'_>, _: Argv<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text("ERR This instance has cluster support disabled"))
}
