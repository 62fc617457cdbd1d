//! What does the engine ask of the process? Ending, dropping large values elsewhere, serving
//! connections while a script runs.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as std_mpsc;

use tokio::sync::mpsc;

use super::appending::Appender;
use super::migration::Connections;
use super::oom::OomScore;
use super::saving::exchange;
use super::sockets::Sockets;
use super::title::ProcessTitle;
use super::{log, process, saving, syncing, users};
use crate::allocator::fragmentation;
use crate::config::Config;
use crate::config::params::Param;
use crate::config::rewrite::{Extra, Scope, rewrite};
use crate::config::title::title;
use crate::engine::client::Client;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::durable::Durable;
use crate::engine::effects::Request;
use crate::engine::hooks::ServerEvent;
use crate::engine::persistence::Reload;
use crate::engine::state::{Exchange, Exchanged, Host, LazyFree, SaveFailed, Shared, State};
use crate::engine::visits::RunVisitor;

/// The process around an engine.
#[derive(Debug)]
pub struct ProcessHost {
    requests: mpsc::UnboundedSender<Request>,
    garbage: std_mpsc::Sender<Garbage>,
    freeing: Arc<FreeingCount>,
    rewrites_everything: AtomicBool,
    sockets: Sockets,
    connections: Connections,
    oom_score: OomScore,
    title: ProcessTitle,
    appender: Arc<Appender>,
}

/// Something to be dropped, and how many objects it is.
type Garbage = (Box<dyn Any + Send>, u64);

/// Objects that are to be dropped, and that have been.
#[derive(Debug, Default)]
struct FreeingCount {
    pending: AtomicU64,
    freed: AtomicU64,
}

impl ProcessHost {
    /// A host, and where its requests arrive. Starts the thread that drops large values.
    pub fn start(
        sockets: Sockets,
        appender: Arc<Appender>,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<Request>)> {
        let (requests, receiver) = mpsc::unbounded_channel();
        let (garbage, dropped) = std_mpsc::channel::<Garbage>();
        let freeing = Arc::new(FreeingCount::default());
        let count = Arc::clone(&freeing);
        std::thread::Builder::new().name("lazy-free".into()).spawn(move || {
            let mut next = dropped.recv().ok();
            while let Some((value, objects)) = next {
                drop(value);
                count.freed.fetch_add(objects, Ordering::Relaxed);
                count.pending.fetch_sub(objects, Ordering::Relaxed);
                next = dropped.try_recv().ok().or_else(|| {
                    // Blocks that this thread keeps it would not use for long, and each keeps a slab of theirs from being given back.
                    fragmentation::flush_thread();
                    dropped.recv().ok()
                });
            }
        })?;
        let rewrites_everything = AtomicBool::new(false);
        let connections = Connections::default();
        let host = Self {
            requests,
            garbage,
            freeing,
            rewrites_everything,
            sockets,
            connections,
            oom_score: OomScore::default(),
            title: ProcessTitle::default(),
            appender,
        };
        Ok((host, receiver))
    }
}

impl Host for ProcessHost {
    fn supervisor(&self) -> &'static str {
        super::supervisor::name()
    }

    fn request(&self, request: Request) {
        // The receiver is gone only when the process is ending already.
        let _ = self.requests.send(request);
    }

    fn set_log_level(&self, name: &str) {
        log::set_level(name);
    }

    fn set_log_format(&self, json: bool) {
        log::set_format(if json { log::Format::Json } else { log::Format::Human });
    }

    fn show_role(&self, is_replica: bool) {
        log::show_role(is_replica);
    }

    fn listen(&self, config: &Config) -> Result<(), String> {
        self.sockets.follow(config)
    }

    fn room_for_clients(&self, wanted: usize) -> usize {
        process::room_for_clients(wanted)
    }

    fn adjust_oom_score(&self, config: &Config) -> Result<(), String> {
        self.oom_score.follow(config).map_err(|error| {
            tracing::warn!("Unable to write oom_score_adj: {error}");
            "Failed to set current oom_score_adj. Check server logs.".to_owned()
        })
    }

    fn show_title(&self, config: &Config, config_file: Option<&str>) {
        use std::os::unix::ffi::OsStrExt;
        if config.flag(Param::SetProcTitle) {
            let program = std::env::args_os().next().unwrap_or_default();
            self.title.show(&title(config, program.as_bytes(), config_file));
        }
    }

    fn rewrite_everything(&self) {
        self.rewrites_everything.store(true, Ordering::Relaxed);
    }

    fn change_directory(&self, path: &str) -> Result<(), String> {
        std::env::set_current_dir(path).map_err(|error| {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        })
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        getrandom::fill(bytes).is_ok()
    }

    fn read_users(&self, path: &str) -> Result<Vec<u8>, String> {
        users::read(path)
    }

    fn write_users(&self, path: &str, text: &[u8]) -> Result<(), SaveFailed> {
        users::write(path, text)
    }

    fn rewrite_config(&self, path: &str, config: &Config, extras: &[Extra]) -> Result<(), String> {
        let old = match std::fs::read(path) {
            Ok(old) => old,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.to_string()),
        };
        let scope = match self.rewrites_everything.load(Ordering::Relaxed) {
            true => Scope::Everything,
            false => Scope::Changed,
        };
        let new = rewrite(&old, config, extras, scope);
        // Written aside and moved into place, so that a crash leaves one of the two whole.
        let aside = format!("{path}.{}.tmp", std::process::id());
        std::fs::write(&aside, new)
            .and_then(|()| std::fs::rename(&aside, path))
            .map_err(|error| error.to_string())
    }

    fn free_later(&self, value: Box<dyn Any + Send>, objects: u64) {
        self.freeing.pending.fetch_add(objects, Ordering::Relaxed);
        // The thread ends only with this host.
        let _ = self.garbage.send((value, objects));
    }

    fn lazy_free(&self) -> LazyFree {
        LazyFree {
            pending: self.freeing.pending.load(Ordering::Relaxed),
            freed: self.freeing.freed.load(Ordering::Relaxed),
        }
    }

    fn reset_freed(&self) {
        self.freeing.freed.store(0, Ordering::Relaxed);
    }

    fn wake_modules(&self) {
        super::module_tasks::wake();
    }

    fn serve_while_busy(&self, run: Option<&mut RunVisitor<'_>>) {
        super::worker::serve_while_busy(run);
    }

    fn release_output(&self) {
        super::worker::release_output();
    }

    fn save(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        saving::save(ctx)
    }

    fn save_to(&self, ctx: &mut ExclusiveCtx<'_>, path: &Path) -> Result<(), i32> {
        exchange::save_to(ctx, path)
    }

    fn load_from(&self, ctx: &mut ExclusiveCtx<'_>, path: &Path) -> Result<(), i32> {
        exchange::load_from(ctx, path)
    }

    fn begin_saving(&self, ctx: &mut ExclusiveCtx<'_>) {
        saving::begin(ctx);
    }

    fn reload(&self, ctx: &mut ExclusiveCtx<'_>, how: Reload) -> Result<(), &'static str> {
        saving::reload(ctx, how)
    }

    fn exchange(&self, exchange: &Exchange<'_>) -> Exchanged {
        self.connections.exchange(exchange)
    }

    fn stop_listening(&self) {
        self.sockets.close();
    }

    fn kept_connections(&self) -> usize {
        self.connections.count()
    }

    fn each_second(&self) {
        self.connections.close_idle();
    }

    fn append_only(&self, ctx: &mut ExclusiveCtx<'_>, on: bool) -> Result<(), SaveFailed> {
        self.appender.switch(ctx, on)
    }

    fn begin_rewrite(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        self.appender.begin_rewrite(ctx)
    }

    fn reload_aof(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        self.appender.reload(ctx)
    }

    fn remove_history(&self, config: &Config) {
        self.appender.remove_history(config);
    }

    fn aof_bytes(&self, durable: &Durable) -> (u64, usize) {
        self.appender.bytes(durable)
    }

    fn delay_aof(&self, micros: u64) {
        self.appender.delay(micros);
    }

    fn sync_log(&self, durable: &Durable) {
        self.appender.sync_now(durable);
    }

    fn write_log(&self, durable: &Durable) {
        self.appender.write(durable);
    }

    fn replica_asks(&self, ctx: &mut ExclusiveCtx<'_>, client: &Arc<Client>) {
        syncing::replica_asks(ctx, client);
    }
}

/// Tells modules that the process is about to end.
pub fn announce_shutdown(state: &mut State, shared: &Shared) {
    let Some(hooks) = state.hooks.clone() else { return };
    saving::as_server(state, shared, |ctx| hooks.server_event(ctx, ServerEvent::Shutdown));
}
