//! What happens when the data set is saved to its file? The steps, and the lines in the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::file::{FileStyle, NewFile};
use super::load::LoadError;
use super::pipe::Pipe;
use super::save::{Facts, Frame, SnapshotError, write_all, write_framed};
use super::value::style;
use crate::config::Config;
use crate::config::params::Param;
use crate::engine::state::State;
use crate::object::rdb::write::{Drain, Writer};
use crate::persist::io::{LocalDisk, words};

/// Where the configuration wants the file to be, from the working directory.
pub fn path(config: &Config) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(config.text(Param::Dbfilename)))
}

/// How the configuration wants files to be written.
pub fn file_style(config: &Config) -> FileStyle {
    FileStyle {
        checksum: config.flag(Param::Rdbchecksum),
        syncs: config.flag(Param::RdbSaveIncrementalFsync),
    }
}

/// How long to wait after each key (`rdb-key-save-delay`), so that one can see a snapshot under way.
pub fn key_delay(config: &Config) -> Duration {
    Duration::from_micros(config.int(Param::RdbKeySaveDelay).max(0).unsigned_abs())
}

fn working_directory() -> String {
    std::env::current_dir().map_or_else(|_| "unknown".into(), |path| path.display().to_string())
}

/// The temporary name of a file that a process writes; `marker` tells it from its others.
pub fn temporary(pid: u32, marker: &str) -> PathBuf {
    PathBuf::from(format!("temp-{pid}{marker}.rdb"))
}

/// Makes a file under a temporary name.
pub fn create(marker: &str, style: FileStyle) -> Option<NewFile> {
    let name = temporary(std::process::id(), marker);
    NewFile::create(Arc::new(LocalDisk), name.clone(), style)
        .inspect_err(|error| {
            tracing::warn!(
                "Failed opening the temp RDB file {} (in server root dir {}) for saving: {}",
                name.display(),
                working_directory(),
                words(error)
            );
        })
        .ok()
}

/// Completes a file and gives it its name; false if that failed.
pub fn complete(mut file: NewFile, name: &Path) -> bool {
    seal(&mut file) && publish(file, name, || Some(()))
}

/// Completes a file; false if that failed.
pub fn seal(file: &mut NewFile) -> bool {
    let sealed = file.seal().inspect_err(|error| {
        tracing::warn!("Write error while saving DB to the disk(rdbSaveRio): {}", words(error));
    });
    sealed.is_ok()
}

/// Gives a sealed file its name, while what `permit` hands out lives; false if it hands out nothing or that failed.
pub fn publish<P>(mut file: NewFile, name: &Path, permit: impl FnOnce() -> Option<P>) -> bool {
    // Kept open until the permit is given back: the system takes milliseconds to free a large file that is replaced.
    let replaced = std::fs::File::open(name);
    let Some(permit) = permit() else { return false };
    let temporary = file.path().to_owned();
    let renamed = file.rename(name);
    drop(permit);
    drop(replaced);
    let published = renamed.and_then(|()| file.sync_folder(name)).inspect_err(|error| {
        tracing::warn!(
            "Error moving temp DB file {} on the final destination {} (in server root dir {}): {}",
            temporary.display(),
            name.display(),
            working_directory(),
            words(error)
        );
    });
    published.is_ok()
}

/// Saves the data set, now; false if that failed.
pub fn save(state: &State, facts: &Facts<'_>) -> bool {
    let file = create("", file_style(&state.config));
    file.is_some_and(|file| save_as(state, facts, file, &path(&state.config)))
}

/// Saves the data set to a new file under this name, now; false if that failed.
pub fn save_as(state: &State, facts: &Facts<'_>, mut file: NewFile, name: &Path) -> bool {
    let mut writer = Writer::draining(style(&state.config), &mut file);
    let delay = key_delay(&state.config);
    let mut nap = |keys: u64| {
        if !delay.is_zero() {
            (0..keys).for_each(|_| std::thread::sleep(delay));
        }
        Ok(())
    };
    let frame = Frame::of(state, facts.clone());
    if let Err(error) = write_framed(state, &frame, &mut writer, &mut nap) {
        tracing::warn!("Write error while saving DB to the disk(rdbSaveRio): {error}");
        return false;
    }
    drop(writer);
    complete(file, name)
}

/// The data set as the bytes of a file, checksum included.
pub fn snapshot(state: &State, facts: &Facts<'_>) -> Result<Vec<u8>, SnapshotError> {
    let mut writer = Writer::new(style(&state.config));
    write_all(state, facts, &mut writer)?;
    let mut bytes = writer.into_bytes();
    let checksum = match state.config.flag(Param::Rdbchecksum) {
        true => crate::base::crc::crc64(0, &bytes),
        false => 0,
    };
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Writes what comes through a pipe to a file until its end; false, after having told the log, if that fails.
pub fn write_from(pipe: &Pipe, file: &mut NewFile) -> bool {
    while let Some(mut chunk) = pipe.take() {
        file.drain(&mut chunk);
        if let Some(error) = file.take_error() {
            tracing::warn!(
                "Write error while saving DB to the disk(rdbSaveRio): {}",
                words(&error)
            );
            return false;
        }
    }
    true
}

/// Bytes that are read of a file at once.
const PART_BYTES: u64 = 256 * 1024;

/// Hands the bytes of a file to `give` in parts, until that says no more; whether they were all.
pub fn read_in_parts(
    path: &Path,
    give: &mut (dyn FnMut(Vec<u8>) -> bool + Send),
) -> std::io::Result<bool> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    loop {
        let mut part = Vec::new();
        if file.by_ref().take(PART_BYTES).read_to_end(&mut part)? == 0 {
            return Ok(true);
        }
        if !give(part) {
            return Ok(false);
        }
    }
}

/// The name of a temporary file for what a snapshot puts aside.
pub fn spill_path(marker: &str) -> PathBuf {
    PathBuf::from(format!("temp-{}{marker}.old", std::process::id()))
}

/// Writes to the log why a file was not loaded. The process is to end then.
pub fn report(error: &LoadError) {
    use crate::object::rdb::RdbError;
    match error {
        LoadError::Io(_) => {}
        LoadError::Part { error: RdbError::Truncated, .. } => {
            tracing::warn!("Short read or OOM loading DB. Unrecoverable error, aborting now.");
            tracing::warn!("{error}");
        }
        error => tracing::warn!("{error}"),
    }
    match error {
        LoadError::Part { offset, error } => {
            tracing::warn!("--- RDB ERROR DETECTED ---");
            tracing::warn!("[offset {offset}] {error}");
        }
        LoadError::Checksum { .. } => {
            tracing::warn!("--- RDB ERROR DETECTED ---");
            tracing::warn!("RDB CRC error");
        }
        _ => {}
    }
    match error {
        LoadError::Part { .. } | LoadError::Checksum { .. } => {
            tracing::warn!("Terminating server after rdb file reading failure.");
        }
        _ => tracing::warn!("Fatal error loading the DB, check server logs. Exiting."),
    }
}
