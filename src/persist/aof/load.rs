//! How do the commands of a file come back? Read one by one and run again, through the engine's pipeline but
//! without the checks that clients are subject to; a transaction takes effect with its EXEC, so one that is cut off leaves
//! nothing behind.
//!
//! While they run, no key is past its time: none was when they ran first, and what has expired since will do so
//! afterwards.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::time::Duration;

use super::scan::{Item, ScanError, Scanner};
use crate::config::params::Param;
use crate::engine::call::Access;
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::{Env, ExclusiveCtx};
use crate::engine::replay;
use crate::persist::io::words;

/// Commands that are run between two looks at the time.
const COMMANDS_PER_STEP: usize = 1024;

/// Errors of replayed commands that are logged by name; the rest is counted.
const ERRORS_LOGGED_MAX: u64 = 16;

/// How the end of a file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Behind a whole command.
    Whole,
    /// Within a command or a transaction: whole up to this byte.
    Truncated(u64),
}

/// Why a file was not loaded; the log says more.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error("Unrecoverable error reading the append only file {name}: {words}", words = words(error))]
    #[expect(missing_docs, reason = "explained above")]
    Io { name: String, error: io::Error },
    /// There is something else than commands.
    #[error(
        "Bad file format reading the append only file {0}: make a backup of your AOF file, then use \
         ./redis-check-aof --fix <filename.manifest>"
    )]
    Format(String),
    /// It has a command that is not known.
    #[error("Unknown command '{command}' reading the append only file {name}")]
    #[expect(missing_docs, reason = "explained above")]
    Unknown { command: String, name: String },
}

/// A file whose commands are being run.
#[derive(Debug)]
pub struct Replay {
    scanner: Scanner<File>,
    name: String,
    session: Session,
    /// The byte behind the last whole command, and behind the last before MULTI.
    valid_up_to: u64,
    valid_before_multi: u64,
    out: Vec<u8>,
    errors: u64,
}

impl Replay {
    /// A file whose first `start` bytes are behind; `name` is what the log calls it.
    pub fn new(mut file: File, start: u64, name: &str) -> io::Result<Self> {
        file.seek(SeekFrom::Start(start))?;
        Ok(Self {
            scanner: Scanner::new(file, start),
            name: name.to_owned(),
            session: Session::default(),
            valid_up_to: start,
            valid_before_multi: start,
            out: Vec::new(),
            errors: 0,
        })
    }

    /// Bytes of the file that are behind.
    pub fn position(&self) -> u64 {
        self.scanner.position()
    }

    /// Runs some commands; None if there may be more.
    pub fn step(&mut self, ctx: &mut ExclusiveCtx<'_>) -> Result<Option<End>, ReplayError> {
        for _ in 0..COMMANDS_PER_STEP {
            let item = match self.scanner.next_item() {
                Ok(item) => item,
                Err(ScanError::Truncated(_)) => return Ok(Some(self.cut_off())),
                Err(ScanError::Format(_)) => return Err(ReplayError::Format(self.name.clone())),
                Err(ScanError::Io(error)) => {
                    return Err(ReplayError::Io { name: self.name.clone(), error });
                }
            };
            match item {
                Some(Item::Command(argv)) => {
                    self.run(ctx, &argv)?;
                    let delay = ctx.state.config.int(Param::KeyLoadDelay);
                    if delay > 0 {
                        // A parameter for tests; others have their turn after each command then.
                        std::thread::sleep(Duration::from_micros(delay.unsigned_abs()));
                        return Ok(None);
                    }
                }
                Some(Item::Note(_)) => {}
                None if self.session.mode.contains(Mode::MULTI) => return Ok(Some(self.cut_off())),
                None => {
                    self.tell_errors();
                    return Ok(Some(End::Whole));
                }
            }
        }
        Ok(None)
    }

    fn cut_off(&self) -> End {
        self.tell_errors();
        if self.session.mode.contains(Mode::MULTI) {
            let name = &self.name;
            tracing::warn!("Revert incomplete MULTI/EXEC transaction in AOF file {name}");
            return End::Truncated(self.valid_before_multi);
        }
        End::Truncated(self.valid_up_to)
    }

    fn run(&mut self, ctx: &mut ExclusiveCtx<'_>, argv: &[Vec<u8>]) -> Result<(), ReplayError> {
        let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        let Some(command) = ctx.state.registry.resolve(&argv) else {
            let command = String::from_utf8_lossy(argv.first().copied().unwrap_or_default());
            return Err(ReplayError::Unknown {
                command: command.into_owned(),
                name: self.name.clone(),
            });
        };
        if command.spec.name == "MULTI" && !self.session.mode.contains(Mode::MULTI) {
            self.valid_before_multi = self.valid_up_to;
        }
        let env = Env { client: None, ..ctx.env };
        let mut access = Access::Exclusive(ctx.state);
        replay::replay(
            replay::Source::File,
            &mut access,
            &mut self.session,
            env,
            command,
            &argv,
            &mut self.out,
        );
        if self.out.starts_with(b"-") {
            self.errors += 1;
            if self.errors <= ERRORS_LOGGED_MAX {
                let reply = String::from_utf8_lossy(self.out.trim_ascii_end());
                tracing::warn!(
                    "== CRITICAL == This server is sending an error to its AOF-loading-client: '{reply}' after \
                     processing the command '{}'",
                    command.name
                );
            }
        }
        self.out.clear();
        self.valid_up_to = self.scanner.position();
        Ok(())
    }

    fn tell_errors(&self) {
        if self.errors > ERRORS_LOGGED_MAX {
            tracing::warn!("{} commands of {} were answered with errors", self.errors, self.name);
        }
    }
}
