//! How does the data set go to and come from a file that a module names? Now, under the lock of the module's command.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::loading::load_file;
use super::{announce, facts, give_up};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::hooks::{FileStep, ServerEvent};
use crate::engine::persistence::AofMode;
use crate::persist::io::LocalDisk;
use crate::persist::rdb::disk;
use crate::persist::rdb::file::NewFile;
use crate::persist::rdb::load::Options;

/// What Redis answers as well when a file is not what it should be.
const BROKEN: i32 = libc::EIO;

fn number_of(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(BROKEN)
}

/// Writes the data set to a file. It comes into being beside the old one, if there is one, and takes its place when it is
/// whole. Nothing counts as saved by that.
pub fn save_to(ctx: &mut ExclusiveCtx<'_>, path: &Path) -> Result<(), i32> {
    announce(ctx, ServerEvent::Saving(FileStep::Begins));
    let saved = write(ctx, path);
    let step = if saved.is_ok() { FileStep::Done } else { FileStep::Failed };
    announce(ctx, ServerEvent::Saving(step));
    saved
}

fn write(ctx: &mut ExclusiveCtx<'_>, path: &Path) -> Result<(), i32> {
    let shared = ctx.env.shared;
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.tmp", std::process::id()));
    let style = disk::file_style(&ctx.state.config);
    let file = NewFile::create(Arc::new(LocalDisk), PathBuf::from(aside), style)
        .map_err(|error| number_of(&error))?;
    let facts = facts(shared, (shared.clock.unix_us)());
    if !disk::save_as(ctx.state, &facts, file, path) {
        return Err(BROKEN);
    }
    tracing::info!("DB saved on disk");
    Ok(())
}

/// Puts what a file has in the place of the data set. Replicas come back for the new one, a snapshot that shows the old
/// one is given up, and the append-only file begins anew. A file that is not there changes nothing; one that is broken
/// leaves what could be read of it.
pub fn load_from(ctx: &mut ExclusiveCtx<'_>, path: &Path) -> Result<(), i32> {
    if ctx.state.replication.is_replica() {
        return Err(libc::ENOTSUP);
    }
    if ctx.env.shared.loading.is_on() {
        // Two loads at once would find each other's keys.
        return Err(libc::EBUSY);
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => libc::ENOENT,
        _ => BROKEN,
    })?;
    let shared = ctx.env.shared;
    ctx.state.replication.disconnect_replicas();
    ctx.state.replication.end_backlog();
    let had_aof = ctx.state.persistence.aof.mode != AofMode::Off;
    if had_aof {
        // Ending the file cannot fail.
        let _ = shared.host.append_only(ctx, false);
    }
    if let Some(bgsave) = &ctx.state.persistence.bgsave {
        give_up(&bgsave.progress);
    }
    announce(ctx, ServerEvent::Flush { db: None, done: false });
    // Values of modules are freed here, under the lock that they need.
    drop(ctx.state.keyspace.flush_all());
    drop(ctx.state.functions.clear());
    announce(ctx, ServerEvent::Flush { db: None, done: true });
    let loaded = load_file(ctx, file, Options::default());
    if had_aof && shared.host.append_only(ctx, true).is_err() {
        tracing::warn!("the append-only file cannot be begun anew after loading");
    }
    loaded.map(drop).map_err(|error| {
        tracing::warn!("{error}");
        BROKEN
    })
}
