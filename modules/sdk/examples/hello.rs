//! The smallest module: one command, whose arguments come parsed. `HELLO.GREET key name [word]` puts a
//! greeting into a key and answers it.

use mortise_module::{
    Access, Arg, ArgSpec, Command, CommandResult, Context, Flag, KeySpec, Module, NotifyClass,
    TypedCommand,
};

struct Greet;

impl TypedCommand for Greet {
    type Args<'a> = (Arg<'a>, &'a str, Option<&'a str>);

    fn run(ctx: &mut Context<'_>, (key, name, word): Self::Args<'_>) -> CommandResult {
        // The arguments are parsed: act, tell others of it, reply.
        let greeting = format!("{}, {name}!", word.unwrap_or("Hello"));
        ctx.open_write(&key)?.set_string(&greeting)?;
        ctx.notify(NotifyClass::STRING, "hello.greet", &key)?;
        ctx.replicate_verbatim()?;
        Ok(greeting.into())
    }
}

mortise_module::module!(Module {
    commands: &[Command {
        name: "HELLO.GREET",
        summary: "Puts a greeting into a key.",
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Overwrite)],
        args: &[ArgSpec::key("key"), ArgSpec::string("name"), ArgSpec::string("word").optional(),],
        ..Command::typed::<Greet>()
    }],
    ..Module::new("hello", 100)
});
