//! ACL: who may do what, for administrators. The users and the checks are in `engine::acl`.

use crate::engine::spec::{Arg, Arity, CommandSpec, Flag, Group, Run};

mod facts;
mod users;

#[cfg(test)]
mod rules_tests;

const SUB: CommandSpec = CommandSpec {
    since: "6.0.0",
    group: Group::Server,
    flags: &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale],
    ..CommandSpec::BASE
};

/// What those may ask who administer nothing.
const FOR_ALL: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale];

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// The commands of this folder.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "ACL",
    summary: "A container for Access List Control commands.",
    since: "6.0.0",
    complexity: "Depends on subcommand.",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CAT",
        summary: "Lists the ACL categories, or the commands inside a category.",
        complexity: "O(1) since the categories and commands are a fixed set.",
        arity: Arity::AtLeast(2),
        flags: FOR_ALL,
        args: &[Arg::string("category").optional()],
        run: Run::Read(facts::cat),
        ..SUB
    },
    CommandSpec {
        name: "DELUSER",
        summary: "Deletes ACL users, and terminates their connections.",
        complexity: "O(1) amortized time considering the typical user.",
        arity: Arity::AtLeast(3),
        tips: EVERYWHERE,
        args: &[Arg::string("username").multiple()],
        run: Run::Exclusive(users::delete),
        ..SUB
    },
    CommandSpec {
        name: "DRYRUN",
        summary: "Simulates the execution of a command by a user, without executing the command.",
        since: "7.0.0",
        complexity: "O(1).",
        arity: Arity::AtLeast(4),
        args: &[
            Arg::string("username"),
            Arg::string("command"),
            Arg::string("arg").optional().multiple(),
        ],
        run: Run::Exclusive(facts::dry_run),
        ..SUB
    },
    CommandSpec {
        name: "GENPASS",
        summary: "Generates a pseudorandom, secure password that can be used to identify ACL users.",
        complexity: "O(1)",
        arity: Arity::AtLeast(2),
        flags: FOR_ALL,
        args: &[Arg::integer("bits").optional()],
        run: Run::Session(facts::generate),
        ..SUB
    },
    CommandSpec {
        name: "GETUSER",
        summary: "Lists the ACL rules of a user.",
        complexity: "O(N). Where N is the number of password, command and pattern rules that the user has.",
        arity: Arity::Exactly(3),
        args: &[Arg::string("username")],
        history: &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            (
                "7.0.0",
                "Added selectors and changed the format of key and channel patterns from a list to their rule representation.",
            ),
        ],
        run: Run::Session(users::get),
        ..SUB
    },
    CommandSpec {
        name: "HELP",
        summary: "Returns helpful text about the different subcommands.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: &[Flag::Loading, Flag::Stale],
        run: Run::Session(facts::help),
        ..SUB
    },
    CommandSpec {
        name: "LIST",
        summary: "Dumps the effective rules in ACL file format.",
        complexity: "O(N). Where N is the number of configured users.",
        arity: Arity::Exactly(2),
        run: Run::Session(users::list),
        ..SUB
    },
    CommandSpec {
        name: "LOAD",
        summary: "Reloads the rules from the configured ACL file.",
        complexity: "O(N). Where N is the number of configured users.",
        arity: Arity::Exactly(2),
        run: Run::Exclusive(users::load),
        ..SUB
    },
    CommandSpec {
        name: "LOG",
        summary: "Lists recent security events generated due to ACL rules.",
        complexity: "O(N) with N being the number of entries shown.",
        arity: Arity::AtLeast(2),
        args: &[Arg::one_of("operation", &[Arg::integer("count"), Arg::flag("reset", "RESET")])
            .optional()],
        history: &[("7.2.0", "Added entry ID, timestamp created, and timestamp last updated.")],
        run: Run::Session(facts::log),
        ..SUB
    },
    CommandSpec {
        name: "SAVE",
        summary: "Saves the effective ACL rules in the configured ACL file.",
        complexity: "O(N). Where N is the number of configured users.",
        arity: Arity::Exactly(2),
        tips: EVERYWHERE,
        run: Run::Exclusive(users::save),
        ..SUB
    },
    CommandSpec {
        name: "SETUSER",
        summary: "Creates and modifies an ACL user and its rules.",
        complexity: "O(N). Where N is the number of rules provided.",
        arity: Arity::AtLeast(3),
        tips: EVERYWHERE,
        args: &[Arg::string("username"), Arg::string("rule").optional().multiple()],
        history: &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            ("7.0.0", "Added selectors and key based permissions."),
        ],
        secrets: Some(|argv| (2..argv.len()).collect()),
        run: Run::Exclusive(users::set),
        ..SUB
    },
    CommandSpec {
        name: "USERS",
        summary: "Lists all ACL users.",
        complexity: "O(N). Where N is the number of configured users.",
        arity: Arity::Exactly(2),
        run: Run::Session(users::names),
        ..SUB
    },
    CommandSpec {
        name: "WHOAMI",
        summary: "Returns the authenticated username of the current connection.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: FOR_ALL,
        run: Run::Session(users::who_am_i),
        ..SUB
    },
];
