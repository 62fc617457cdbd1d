//! What does a replica do with its primary's writes while it cannot write to its own disk? It ends, since what it has then is not
//! what it would have after a restart; `replica-ignore-disk-write-errors` has it go on, and say so now and then.

use std::process::exit;
use std::time::{Duration, Instant};

use crate::config::params::Param;
use crate::engine::call::Request;
use crate::engine::spec::Flag;
use crate::engine::state::{Shared, State};

/// Between two lines of the log about that.
const SILENCE: Duration = Duration::from_secs(10);

/// When that was told.
#[derive(Debug, Default)]
pub(super) struct DiskWatch {
    told: Option<Instant>,
}

impl DiskWatch {
    /// Looks, before a command of the primary is applied.
    pub(super) fn look(&mut self, state: &State, shared: &Shared, request: &Request<'_>) {
        if !shared.disk_fails() || !request.command.is_some_and(|own| own.has(Flag::Write)) {
            return;
        }
        if !state.config.flag(Param::ReplicaIgnoreDiskWriteErrors) {
            tracing::error!("Replica was unable to write command to disk.");
            exit(1);
        }
        if self.told.is_none_or(|told| told.elapsed() > SILENCE) {
            self.told = Some(Instant::now());
            tracing::warn!(
                "Replica is applying a command even though it is unable to write to disk."
            );
        }
    }
}
