//! How does the append-only file come back? By its manifest, file for file; a single file of a server before Redis 7
//! first becomes the base of a folder. Then the last incremental file is appended to, or a new one.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Instant;

use super::super::loading::lending::{Lending, Lent};
use super::super::loading::load_rdb;
use super::super::saving::{announce, announce_alone, as_server};
use super::{Appender, base_format};
use crate::config::params::Param;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::hooks::{FileStep, Origin, ServerEvent};
use crate::engine::lock::Engine;
use crate::engine::persistence::AofMode;
use crate::engine::state::{SaveFailed, Shared, State};
use crate::object::module::KeyName;
use crate::persist::aof::convert::{ask_module, convert};
use crate::persist::aof::folder::{BaseFormat, Folder, path_of};
use crate::persist::aof::load::{End, Replay};
use crate::persist::aof::manifest::{Manifest, Part, Role};
use crate::persist::io::{words, write_all};
use crate::persist::progress::{self, Kind};
use crate::persist::rdb::disk;
use crate::persist::rdb::load::{LoadError, Options, load_in_turns};
use crate::persist::rdb::value::limits;

/// Who holds the engine while files are loaded.
pub enum Holder<'a, 'b> {
    /// Nobody: it is taken for a slice at a time.
    Nobody(&'a Engine),
    /// The command that asked for it, which lets others in.
    Command(&'a mut ExclusiveCtx<'b>, Lending),
}

impl std::fmt::Debug for Holder<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holder").finish_non_exhaustive()
    }
}

impl Holder<'_, '_> {
    fn with<R>(&mut self, f: impl FnOnce(&mut ExclusiveCtx<'_>) -> R) -> R {
        match self {
            Holder::Nobody(engine) => as_server(&mut engine.write_patiently(), &engine.shared, f),
            Holder::Command(ctx, _) => f(ctx),
        }
    }

    fn shared(&self) -> &Shared {
        match self {
            Holder::Nobody(engine) => &engine.shared,
            Holder::Command(ctx, _) => ctx.env.shared,
        }
    }

    fn load_rdb(&mut self, file: &mut File, options: Options) -> Result<(), LoadError> {
        match self {
            Holder::Nobody(engine) => {
                load_rdb(engine, file, options, &engine.shared.loading).map(drop)
            }
            Holder::Command(ctx, lending) => {
                let start = file.stream_position()?;
                let outcome = load_in_turns(&mut Lent { ctx, lending }, file, options)?;
                ctx.env.shared.loading.end_part(outcome.bytes);
                file.seek(SeekFrom::Start(start + outcome.bytes))?;
                Ok(())
            }
        }
    }

    /// So many bytes of commands are loaded: others have their turn.
    fn look(&mut self, offset: u64) {
        if let Holder::Command(ctx, lending) = self {
            lending.look(ctx, offset);
        }
    }
}

/// The files to load, and their bytes.
#[derive(Debug)]
struct Files {
    manifest: Manifest,
    sizes: Vec<u64>,
}

impl Appender {
    /// Loads the files; says whether there was anything to load. An error was reported. Whoever calls says when loading
    /// is over.
    pub fn load(&self, mut holder: Holder<'_, '_>) -> Result<bool, SaveFailed> {
        holder.with(|ctx| self.open_folder(&ctx.state.config))?;
        let files = self.with_folder(|folder| {
            adopt_old_file(folder)?;
            let manifest = folder.manifest().clone();
            let sizes = manifest.files().map(|part| size_of_part(folder, part));
            let sizes = sizes.collect::<Result<Vec<u64>, SaveFailed>>()?;
            Ok(Files { manifest, sizes })
        })??;
        let total = files.sizes.iter().sum();
        if total == 0 {
            return Ok(false);
        }
        let shared = holder.shared();
        let now = shared.now_ms() / 1000;
        holder.with(|ctx| {
            ctx.env.shared.loading.begin(now, total);
            announce(ctx, ServerEvent::Loading(Origin::Log, FileStep::Begins));
        });
        let loaded = self.load_files(&mut holder, &files);
        holder.with(|ctx| {
            let step = if loaded.is_ok() { FileStep::Done } else { FileStep::Failed };
            announce(ctx, ServerEvent::Loading(Origin::Log, step));
            let base = if files.manifest.base.is_some() { files.sizes[0] } else { 0 };
            let last = files.sizes.last().copied().unwrap_or(0);
            let aof = &mut ctx.state.persistence.aof;
            aof.base_bytes = base;
            aof.other_bytes = total - if files.manifest.incremental.is_empty() { 0 } else { last };
        });
        loaded.map(|()| true)
    }

    fn load_files(&self, holder: &mut Holder<'_, '_>, files: &Files) -> Result<(), SaveFailed> {
        for (at, part) in files.manifest.files().enumerate() {
            let began = Instant::now();
            let name = String::from_utf8_lossy(&part.name).into_owned();
            let path = self.with_folder(|folder| folder.path_to(&part.name))?;
            let is_old = self.with_folder(|folder| folder.name() == part.name)?;
            let file = File::open(&path).map_err(|error| {
                let words = words(&error);
                tracing::warn!(
                    "Fatal error: can't open the append log file {name} for reading: {words}"
                );
                SaveFailed
            })?;
            let end = load_file(holder, file, &name, is_old)?;
            if let End::Truncated(len) = end {
                // A new file is listed before the last command goes to the one before.
                let is_last = files.sizes[at + 1..].iter().all(|size| *size == 0);
                if !is_last {
                    if holder.with(|ctx| ctx.state.config.flag(Param::AofLoadTruncated)) {
                        tracing::warn!("Fatal error: the truncated file is not the last file");
                    } else {
                        tell_unexpected_end(&name);
                    }
                    return Err(SaveFailed);
                }
                self.cut(holder, &path, &name, len)?;
            }
            let kind = if part.role == Role::Base { "base" } else { "incr" };
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!("DB loaded from {kind} file {name}: {seconds:.3} seconds");
        }
        Ok(())
    }

    /// Cuts off what is not whole at the end of the last file, if that is allowed.
    fn cut(
        &self,
        holder: &mut Holder<'_, '_>,
        path: &std::path::Path,
        name: &str,
        len: u64,
    ) -> Result<(), SaveFailed> {
        if !holder.with(|ctx| ctx.state.config.flag(Param::AofLoadTruncated)) {
            tell_unexpected_end(name);
            return Err(SaveFailed);
        }
        tracing::warn!("!!! Warning: short read while loading the AOF file {name}!!!");
        tracing::warn!("!!! Truncating the AOF {name} at offset {len} !!!");
        let cut = File::options().write(true).open(path).and_then(|file| {
            file.set_len(len)?;
            file.sync_all()
        });
        if let Err(error) = cut {
            tracing::warn!("Error truncating the AOF file {name}: {}", words(&error));
            tell_unexpected_end(name);
            return Err(SaveFailed);
        }
        self.writer.note_cut(len);
        tracing::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
        Ok(())
    }

    /// Opens the file that is appended to from now on. To be called when the files are loaded.
    pub fn open(&self, state: &mut State, shared: &Shared) -> Result<(), SaveFailed> {
        self.open_folder(&state.config)?;
        let format = base_format(&state.config);
        let begins_new = self.with_folder(|folder| folder.manifest().files().next().is_none())?;
        if begins_new {
            announce_alone(state, shared, ServerEvent::Rewriting(FileStep::Begins));
        }
        let facts = super::super::saving::facts_of_base(shared);
        let (file, len) = self.with_folder(|folder| -> Result<_, SaveFailed> {
            folder.create().map_err(|_| SaveFailed)?;
            let mut manifest = folder.manifest().clone();
            if manifest.files().next().is_none() {
                let (with_base, base) = folder.with_new_base(&manifest, format);
                write_base(folder, &base, format, state, &facts)?;
                manifest = with_base;
                let name = String::from_utf8_lossy(&base.name);
                tracing::info!("Creating AOF base file {name} on server start");
            }
            let is_new = manifest.incremental.is_empty();
            if is_new {
                manifest = folder.with_new_incremental(&manifest).0;
            }
            let Some(last) = manifest.incremental.last().cloned() else {
                return Err(SaveFailed);
            };
            let file = folder.open_file(&last.name, false).map_err(|_| SaveFailed)?;
            if manifest != *folder.manifest() {
                folder.persist(manifest).map_err(|_| SaveFailed)?;
            }
            let name = String::from_utf8_lossy(&last.name);
            let verb = if is_new { "Creating" } else { "Opening" };
            tracing::info!("{verb} AOF incr file {name} on server start");
            let len = file.len().map_err(|_| SaveFailed)?;
            Ok((file, len))
        })??;
        if begins_new {
            announce_alone(state, shared, ServerEvent::Rewriting(FileStep::Done));
        }
        self.begin_file(state, shared, file, len);
        state.persistence.aof.mode = AofMode::On;
        shared.durable.set_based(true);
        Ok(())
    }

    /// `DEBUG LOADAOF`: loads the files in place of what there is.
    pub fn reload(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        if ctx.state.persistence.aof.mode == AofMode::On {
            self.flush(ctx.state, ctx.env.shared);
        }
        self.close_folder();
        drop(ctx.state.keyspace.flush_all());
        self.open_folder(&ctx.state.config)?;
        self.remove_history(&ctx.state.config);
        let exists = self.with_folder(|folder| folder.manifest().files().next().is_some())?;
        let loaded = self.load(Holder::Command(ctx, Lending::new()));
        ctx.env.shared.loading.end();
        loaded?;
        if !exists {
            return Err(SaveFailed);
        }
        ctx.state.dirty = 0;
        tracing::info!("Append Only File loaded by DEBUG LOADAOF");
        Ok(())
    }
}

fn tell_unexpected_end(name: &str) {
    tracing::warn!(
        "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF file, \
         then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
         'aof-load-truncated' configuration option to yes and restart the server."
    );
}

/// Loads one file: a snapshot at its front, if there is one, and commands.
fn load_file(
    holder: &mut Holder<'_, '_>,
    mut file: File,
    name: &str,
    is_old: bool,
) -> Result<End, SaveFailed> {
    let failed = |error: io::Error| {
        let words = words(&error);
        tracing::warn!("Unrecoverable error reading the append only file {name}: {words}");
        SaveFailed
    };
    let mut start = 0;
    if is_snapshot(&mut file).map_err(failed)? {
        match is_old {
            true => tracing::info!("Reading RDB preamble from AOF file..."),
            false => tracing::info!("Reading RDB base file on AOF loading..."),
        }
        let options = Options { keep_expired: true, ..Options::default() };
        holder.load_rdb(&mut file, options).map_err(|error| {
            disk::report(&error);
            let what = if is_old { "preamble of the AOF" } else { "base" };
            tracing::warn!("Error reading the RDB {what} file {name}, AOF loading aborted");
            SaveFailed
        })?;
        start = file.stream_position().map_err(failed)?;
        if is_old {
            tracing::info!("Reading the remaining AOF tail...");
        }
    }
    let mut replay = Replay::new(file, start, name).map_err(failed)?;
    loop {
        let step = holder.with(|ctx| {
            let end = replay.step(ctx);
            ctx.env.shared.loading.note(replay.position() - start);
            progress::tell(ctx, Kind::Commands);
            end
        });
        if holder.shared().loading.is_cancelled() {
            return Err(SaveFailed);
        }
        holder.look(replay.position() - start);
        let end = step.map_err(|error| {
            tracing::warn!("{error}");
            SaveFailed
        })?;
        if let Some(end) = end {
            holder.shared().loading.end_part(replay.position() - start);
            return Ok(end);
        }
    }
}

/// Whether a file begins with a snapshot; it stands at its front afterwards.
fn is_snapshot(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(6).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(magic.starts_with(b"REDIS") || magic == b"VALKEY")
}

fn size_of_part(folder: &Folder, part: &Part) -> Result<u64, SaveFailed> {
    fs::metadata(folder.path_to(&part.name)).map(|meta| meta.len()).map_err(|error| {
        let name = String::from_utf8_lossy(&part.name);
        tracing::warn!("Unable to obtain the AOF file {name} length. stat: {}", words(&error));
        SaveFailed
    })
}

/// Has the single file of a server before Redis 7 become the base. If that is interrupted, it goes on with the next
/// start.
fn adopt_old_file(folder: &mut Folder) -> Result<(), SaveFailed> {
    let old = path_of(folder.name());
    if !old.exists() {
        return Ok(());
    }
    let manifest = folder.manifest();
    let names_old = manifest.base.as_ref().is_some_and(|base| base.name == folder.name());
    let is_empty = manifest.files().next().is_none();
    let is_interrupted =
        names_old && manifest.incremental.is_empty() && !folder.path_to(folder.name()).exists();
    if !(is_empty || is_interrupted) {
        return Ok(());
    }
    folder.create().map_err(|_| SaveFailed)?;
    let base = Part { name: folder.name().to_vec(), number: 1, role: Role::Base };
    let mut manifest = manifest.clone();
    manifest.base = Some(base);
    folder.persist(manifest).map_err(|_| SaveFailed)?;
    let target = folder.path_to(folder.name());
    let (name, path) = (String::from_utf8_lossy(folder.name()), folder.path().display());
    folder.disk().rename(&old, &target).map_err(|error| {
        let words = words(&error);
        tracing::warn!("Error trying to move the old AOF file {name} into dir {path}: {words}");
        SaveFailed
    })?;
    tracing::info!(
        "Successfully migrated an old-style AOF file ({name}) into the AOF directory ({path})."
    );
    Ok(())
}

/// Writes a base of what there is.
fn write_base(
    folder: &Folder,
    base: &Part,
    format: BaseFormat,
    state: &State,
    facts: &crate::persist::rdb::save::Facts<'_>,
) -> Result<(), SaveFailed> {
    let snapshot = disk::snapshot(state, facts).map_err(|error| {
        tracing::warn!("Write error writing append only file on disk: {error}");
        SaveFailed
    })?;
    let bytes = match format {
        BaseFormat::Rdb => snapshot,
        BaseFormat::Commands => {
            let mut commands = Vec::new();
            let mut write = |bytes: &[u8]| {
                commands.extend_from_slice(bytes);
                Ok(())
            };
            let timestamp = super::timestamp(&state.config);
            let limits = limits(&state.config);
            let mut ask =
                |key: KeyName<'_>, bytes: &[u8], dialect| ask_module(state, key, bytes, dialect);
            convert(&mut &*snapshot, limits, timestamp, &mut ask, &mut write).map_err(|error| {
                tracing::warn!("Write error writing append only file on disk: {error}");
                SaveFailed
            })?;
            commands
        }
    };
    let file = folder.open_file(&base.name, true).map_err(|_| SaveFailed)?;
    let written = write_all(&*file, &bytes).and_then(|()| file.sync());
    written.map_err(|error| {
        tracing::warn!("Write error writing append only file on disk: {}", words(&error));
        SaveFailed
    })
}
