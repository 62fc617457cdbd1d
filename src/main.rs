//! The program: arguments, configuration, run, exit code.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use mortise::allocator::CountingAllocator;
use mortise::config::command_line::{CommandLine, Invocation, parse};
use mortise::config::params::Param;
use mortise::persist::aof::check::{Console, check_aof};
use mortise::persist::rdb::check::check_rdb;
use mortise::server::import::import;
use mortise::server::new_module::new_module;
use mortise::server::{process, run, startup, supervisor};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const HELP: &str = "Usage: mortise [/path/to/redis.conf] [options] [-]
       mortise - (read config from stdin)
       mortise -v or --version
       mortise -h or --help
       mortise check-aof [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>
       mortise check-rdb <rdb-file-name>
       mortise import --from redis://[[user]:password@]host[:port][/db] [--to redis://...]
       mortise module new NAME [--sdk FOLDER]

Examples:
       mortise (run the server with default conf)
       echo 'maxmemory 128mb' | mortise -
       mortise /etc/redis/6379.conf
       mortise --port 7777
       mortise --port 7777 --loadmodule /path/to/module.so
       mortise --port 7777 --functions /path/to/folder
       mortise /etc/myredis.conf --loglevel verbose -";

fn main() -> ExitCode {
    let args: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    if let Some((tool, args)) = Tool::of(std::env::args_os().next(), &args) {
        return tool.run(args).unwrap_or_else(|error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        });
    }
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

/// The tools beside the server, each by the first argument or by the name of a link to the program.
#[derive(Clone, Copy)]
enum Tool {
    CheckAof,
    CheckRdb,
    Import,
    NewModule,
}

impl Tool {
    /// The tool that is asked for, and its arguments.
    fn of(program: Option<OsString>, args: &[Vec<u8>]) -> Option<(Self, &[Vec<u8>])> {
        let program = program.unwrap_or_default();
        let program = Path::new(&program).file_name().unwrap_or_default().as_encoded_bytes();
        let ends = |name: &str| program.ends_with(name.as_bytes());
        match args.split_first() {
            _ if ends("check-aof") => Some((Tool::CheckAof, args)),
            _ if ends("check-rdb") => Some((Tool::CheckRdb, args)),
            Some((word, rest)) if word == b"check-aof" => Some((Tool::CheckAof, rest)),
            Some((word, rest)) if word == b"check-rdb" => Some((Tool::CheckRdb, rest)),
            Some((word, rest)) if word == b"import" => Some((Tool::Import, rest)),
            Some((word, rest)) if word == b"module" => Some((Tool::NewModule, rest)),
            _ => None,
        }
    }

    fn run(self, args: &[Vec<u8>]) -> std::io::Result<ExitCode> {
        let mut out = std::io::stdout().lock();
        let code = match self {
            Tool::CheckAof => {
                let answers = &mut std::io::stdin().lock();
                check_aof("mortise check-aof", args, &mut Console { out: &mut out, answers })?
            }
            Tool::CheckRdb => check_rdb("mortise check-rdb", args, &mut out)?,
            Tool::Import => import("mortise import", args, &mut out)?,
            Tool::NewModule => new_module("mortise module", args, &mut out)?,
        };
        Ok(ExitCode::from(code))
    }
}

fn serve(line: &CommandLine) -> anyhow::Result<ExitCode> {
    let stdin = startup::read_stdin(line)?;
    let loaded = startup::read_config(line, &stdin)?;
    let supervisor = supervisor::find(&loaded.config.choice_name(Param::Supervised));
    let is_supervised = matches!(supervisor, Some(Ok(_)));
    if loaded.config.flag(Param::Daemonize) && !is_supervised && !process::is_background() {
        process::start_in_background(&stdin)?;
        return Ok(ExitCode::SUCCESS);
    }
    let config_file = line
        .config_file
        .as_ref()
        .map(|path| std::path::absolute(String::from_utf8_lossy(path).as_ref()))
        .transpose()?
        .map(|path| path.display().to_string());
    match startup::prepare(loaded, config_file, supervisor) {
        Ok(prepared) => Ok(ExitCode::from(run(prepared)?)),
        Err(error) => {
            // The log is open by now, and may be a file: the line goes there and to the terminal.
            tracing::warn!("{error}");
            Err(error.into())
        }
    }
}
