//! Which libraries of functions does the server load by itself? Those of the folder that `functions` names: every file
//! whose name ends in `.lua`, in the order of the names.
//!
//! The files are read, and tried in a VM of their own, before anything else is loaded, so that a mistake in one ends the
//! start at once, with its file and line. When the data set is there, each takes the place of the data set's library of
//! the same name, unless the texts are equal: then nothing is written. A replica loads none: its primary's functions are
//! part of the data set that it gets.

use std::fs;
use std::path::{Path, PathBuf};

use super::clock::CLOCK;
use super::startup::StartError;
use crate::config::Config;
use crate::config::params::Param;
use crate::engine::call::{Access, end_unit};
use crate::engine::ctx::Env;
use crate::engine::effects::{Targets, Unit};
use crate::engine::functions::Functions;
use crate::engine::lock::Engine;
use crate::engine::state::{SaveFailed, Shared, State};
use crate::persist::io::words;
use crate::script::functions::{self, LOAD_MS_MAX, LoadOptions};
use crate::script::vm::VmOptions;

/// Bytes of a file: far more than a library has, and not so much that a wrong folder fills the memory.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Files of a folder.
const FILES_MAX: usize = 1000;

/// A library that was read and tried.
#[derive(Debug)]
pub struct LibraryFile {
    /// Where it stands.
    path: PathBuf,
    /// The library's name.
    name: Box<[u8]>,
    /// The file's text, which is the library's code.
    text: Vec<u8>,
}

/// Reads and tries the files of the folder that the configuration names, if it names one.
pub fn read(config: &Config) -> Result<Vec<LibraryFile>, StartError> {
    let folder = String::from_utf8_lossy(config.text(Param::Functions)).into_owned();
    if folder.is_empty() {
        return Ok(Vec::new());
    }
    let paths = files_of(Path::new(&folder)).map_err(|error| {
        StartError(format!("cannot read the functions' folder '{folder}': {}", words(&error)))
    })?;
    if paths.len() > FILES_MAX {
        let len = paths.len();
        return Err(StartError(format!("{len} libraries in '{folder}', {FILES_MAX} at most")));
    }
    let mut tried = Functions::default();
    paths.into_iter().map(|path| read_file(config, path, &mut tried)).collect()
}

/// The files of a folder that hold libraries, in the order of their names.
fn files_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "lua") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_file(
    config: &Config,
    path: PathBuf,
    tried: &mut Functions,
) -> Result<LibraryFile, StartError> {
    let file = path.display();
    let text = fs::metadata(&path).and_then(|metadata| {
        if metadata.len() > FILE_BYTES_MAX {
            let text = format!("more than {FILE_BYTES_MAX} bytes");
            return Err(std::io::Error::other(text));
        }
        fs::read(&path)
    });
    let text = text.map_err(|error| {
        StartError(format!("cannot read functions of {file}: {}", words(&error)))
    })?;
    let name =
        functions::load(tried, &text, options(config, false, LOAD_MS_MAX)).map_err(|error| {
            StartError(format!("cannot load functions of {}", place(&path, &error)))
        })?;
    Ok(LibraryFile { path, name, text })
}

/// An error with its file, and with the line that Lua names, if it does.
fn place(path: &Path, error: &[u8]) -> String {
    let (file, error) = (path.display(), String::from_utf8_lossy(error));
    let line = error.split_once("user_function:").and_then(|(_, rest)| {
        let rest = rest.trim_start();
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        (digits > 0).then(|| &rest[..digits])
    });
    match line {
        Some(line) => format!("{file}:{line}: {error}"),
        None => format!("{file}: {error}"),
    }
}

/// Puts the libraries beside those of the data set, which is there by now. An error was reported: the process is to end.
pub(super) fn load(engine: &Engine, files: &[LibraryFile]) -> Result<(), SaveFailed> {
    if files.is_empty() {
        return Ok(());
    }
    let mut state = engine.write_patiently();
    if state.replication.is_replica() {
        tracing::info!("functions of files are not loaded: a replica has those of its primary");
        return Ok(());
    }
    for file in files {
        let known = state.functions.libraries().get(&file.name);
        if known.is_some_and(|library| *library.code == *file.text) {
            continue;
        }
        let replaces = known.is_some();
        load_one(&mut state, &engine.shared, file).map_err(|error| {
            tracing::warn!("cannot load functions of {}", place(&file.path, &error));
            SaveFailed
        })?;
        let (path, name) = (file.path.display(), String::from_utf8_lossy(&file.name));
        let how = if replaces { ", in the place of the data set's" } else { "" };
        tracing::info!("functions of library '{name}' loaded from {path}{how}");
    }
    Ok(())
}

/// Loads a library, which is written and replicated as if a client had sent it. It was tried, so it may take its time.
fn load_one(state: &mut State, shared: &Shared, file: &LibraryFile) -> Result<(), Vec<u8>> {
    functions::load(&mut state.functions, &file.text, options(&state.config, true, 0))?;
    state.dirty += 1;
    let mut unit = Unit::default();
    if state.is_logged() {
        let argv = [b"FUNCTION", &b"LOAD"[..], b"REPLACE", &file.text];
        unit.records.push(0, Targets::all(), &argv);
    }
    let now_us = (shared.clock.unix_us)();
    let env = Env { shared, stats: &shared.workers[0], worker: 0, client: None, now_us };
    end_unit(&mut Access::Exclusive(state), &mut unit, env);
    Ok(())
}

fn options(config: &Config, replace: bool, ms_max: u64) -> LoadOptions {
    LoadOptions { replace, ms_max, clock: CLOCK.mono_ns, vm: VmOptions::of(config) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_and_the_line_that_lua_names() {
        let place = |error: &str| place(Path::new("a/b.lua"), error.as_bytes());
        let error = "Error compiling function: @user_function:12: oops";
        assert_eq!(place(error), format!("a/b.lua:12: {error}"));
        let error = "Error registering functions: @user_function: 3: oops";
        assert_eq!(place(error), format!("a/b.lua:3: {error}"));
        for error in
            ["Missing library metadata", "user_function:", "user_function:x", "user_function:7"]
        {
            assert_eq!(place(error), format!("a/b.lua: {error}"));
        }
    }
}
