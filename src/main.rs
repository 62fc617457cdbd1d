//! The program: arguments, configuration, run, exit code.

use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use mortise::allocator::CountingAllocator;
use mortise::config::command_line::{CommandLine, Invocation, parse};
use mortise::config::params::Param;
use mortise::server::{process, run, startup};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const HELP: &str = "Usage: mortise [/path/to/redis.conf] [options] [-]
       mortise - (read config from stdin)
       mortise -v or --version
       mortise -h or --help

Examples:
       mortise (run the server with default conf)
       echo 'maxmemory 128mb' | mortise -
       mortise /etc/redis/6379.conf
       mortise --port 7777
       mortise --port 7777 --loadmodule /path/to/module.so
       mortise /etc/myredis.conf --loglevel verbose -";

fn main() -> ExitCode {
    let args: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    match parse(&args) {
        Invocation::Version => {
            println!("{}", startup::version_line());
            ExitCode::SUCCESS
        }
        Invocation::Help => {
            eprintln!("{HELP}");
            ExitCode::FAILURE
        }
        Invocation::Run(line) => serve(&line).unwrap_or_else(|error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        }),
    }
}

fn serve(line: &CommandLine) -> anyhow::Result<ExitCode> {
    let stdin = startup::read_stdin(line)?;
    let loaded = startup::read_config(line, &stdin)?;
    let supervised = loaded.config.choice(Param::Supervised) != 0;
    if loaded.config.flag(Param::Daemonize) && !supervised && !process::is_background() {
        process::start_in_background(&stdin)?;
        return Ok(ExitCode::SUCCESS);
    }
    let config_file = line
        .config_file
        .as_ref()
        .map(|path| std::path::absolute(String::from_utf8_lossy(path).as_ref()))
        .transpose()?
        .map(|path| path.display().to_string());
    match startup::prepare(loaded, config_file) {
        Ok(prepared) => Ok(ExitCode::from(run(prepared)?)),
        Err(error) => {
            // The log is open by now, and may be a file: the line goes there and to the terminal.
            tracing::warn!("{error}");
            Err(error.into())
        }
    }
}
