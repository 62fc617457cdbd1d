//! LOLWUT: which server is this, and what does its name mean?

use super::{REDIS_VERSION, SERVER};
use crate::engine::args;
use crate::engine::ctx::SessionCtx;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Outcome, Run};
use crate::resp::reply::Reply;

/// LOLWUT.
pub const LOLWUT: CommandSpec = CommandSpec {
    name: "LOLWUT",
    summary: "Displays computer art and the Redis version.",
    since: "5.0.0",
    complexity: "",
    arity: Arity::AtLeast(1),
    flags: &[Flag::ReadOnly, Flag::Fast],
    args: &[Arg::integer("version").token("VERSION").optional()],
    run: Run::Session(lolwut),
    ..SERVER
};

/// A tenon on its way into its mortise.
const JOINT: &str = "
  .--------------.
  |        ______|     .----------------.
  |       |           _|                |
  | mortise          |_  tenon          |
  |       |______      |                |
  |              |     '----------------'
  '--------------'

";

fn lolwut(_: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if let [_, word, version, ..] = argv
        && word.eq_ignore_ascii_case(b"version")
    {
        // Whatever version is asked for, there is one piece of art.
        args::int(version)?;
    }
    reply.verbatim(b"txt", format!("{JOINT}Redis ver. {REDIS_VERSION}\n").as_bytes());
    Ok(())
}
