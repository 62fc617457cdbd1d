//! Work on a thread of the module's own. `BACKGROUND.COUNT prefix` counts the keys of the client's database
//! that begin so: the thread takes the server's lock for a few keys at a time, so that other clients are
//! served in between, and answers the client at the end.

use std::thread;

use mortise_module::{
    BlockedClient, Command, CommandResult, Context, Error, Flag, Module, Reply, ScanCursor,
    TypedCommand,
};

struct Count;

impl TypedCommand for Count {
    type Args<'a> = (&'a [u8],);

    fn run(ctx: &mut Context<'_>, (prefix,): Self::Args<'_>) -> CommandResult {
        let prefix = prefix.to_vec();
        let client = ctx.block_client()?;
        thread::Builder::new()
            .name("background.count".to_owned())
            // Were the thread not to start, the client that went with it would get an error.
            .spawn(move || {
                let counted = count(&client, &prefix);
                client.reply(counted.map(Reply::from));
            })
            .map_err(Error::new)?;
        Ok(Reply::Written)
    }
}

fn count(client: &BlockedClient, prefix: &[u8]) -> Result<usize, Error> {
    let cursor = ScanCursor::new()?;
    // Keys may come twice while keys come and go, so a count of a moving database is about right.
    let mut count = 0;
    loop {
        // Under the lock: the body gets a context, and nothing of it can leave the body.
        let more = client.lock(|ctx| {
            ctx.scan_step(&cursor, |name, _| {
                count += usize::from(name.as_bytes().starts_with(prefix));
            })
        })??;
        if !more {
            return Ok(count);
        }
    }
}

mortise_module::module!(Module {
    commands: &[Command {
        name: "BACKGROUND.COUNT",
        summary: "Counts the keys that begin with some bytes.",
        flags: &[Flag::ReadOnly, Flag::Blocking],
        ..Command::typed::<Count>()
    }],
    ..Module::new("background", 100)
});
