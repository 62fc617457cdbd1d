//! How does the process end? By a signal or SHUTDOWN: a snapshot that is under way is given up, the data set is
//! saved if it is to be, modules are told, then the process leaves. Threads are not waited for; a script
//! that keeps the engine does not keep the process. If saving fails, the process goes on.
//!
//! A primary first waits for its replicas to have everything, for `shutdown-timeout` at most, and takes no writes
//! meanwhile (`ending/replicas.rs`).

mod replicas;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::appending::{self, Appender};
use super::replica::Links;
use super::{host, saving};
use crate::config::Config;
use crate::config::choices::{SHUTDOWN_FORCE, SHUTDOWN_NOSAVE, SHUTDOWN_NOW, SHUTDOWN_SAVE};
use crate::config::params::Param;
use crate::engine::effects::{Request, ShutdownSave};
use crate::engine::error::CommandError;
use crate::engine::lock::Engine;
use crate::engine::persistence::AofMode;
use crate::engine::state::State;
use crate::persist::rdb::disk;

/// How long a script may keep the engine from being put in order.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait before looking again.
const RETRY: Duration = Duration::from_millis(10);

/// Why the process is to end.
enum Why {
    Terminated,
    Interrupted,
    Asked {
        save: ShutdownSave,
        force: bool,
        now: bool,
        client: Option<u64>,
    },
    /// There is no data set to serve.
    NotLoaded,
}

impl Why {
    /// Who waits for the end, and is told if there is none.
    fn client(&self) -> Option<u64> {
        match self {
            Why::Asked { client, .. } => *client,
            Why::Terminated | Why::Interrupted | Why::NotLoaded => None,
        }
    }

    /// Whether replicas are waited for.
    fn is_patient(&self, config: &Config) -> bool {
        let bits = match self {
            Why::NotLoaded => return false,
            Why::Asked { now, .. } => return !now,
            Why::Terminated => config.choice(Param::ShutdownOnSigterm),
            Why::Interrupted => config.choice(Param::ShutdownOnSigint),
        };
        bits & SHUTDOWN_NOW == 0
    }
}

/// What has come of a plan to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The process may leave.
    Ready,
    /// It goes on.
    Failed,
    /// It was not to end after all.
    Dropped,
}

/// Answers the engine's requests until one of them, or a signal, ends the process; returns the exit code.
pub async fn serve_requests(
    engine: &Arc<Engine>,
    appender: &Arc<Appender>,
    mut requests: mpsc::UnboundedReceiver<Request>,
    mut failed: mpsc::UnboundedReceiver<()>,
) -> u8 {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        tracing::warn!("cannot listen for signals");
        return 1;
    };
    let links = Links::default();
    loop {
        let signals = &mut [&mut terminate, &mut interrupt];
        let why = next(engine, appender, &links, signals, &mut requests, &mut failed).await;
        if let Why::NotLoaded = why {
            return 1;
        }
        engine.shared.ending.want();
        let mut clients: Vec<u64> = why.client().into_iter().collect();
        if let Some(wait) = replicas::Wait::begin(engine, &why) {
            while !wait.is_over(engine) {
                let signals = &mut [&mut terminate, &mut interrupt];
                let more = next(engine, appender, &links, signals, &mut requests, &mut failed);
                if let Ok(more) = tokio::time::timeout(replicas::LOOK, more).await {
                    clients.extend(more.client());
                }
            }
        }
        match end(engine, appender, &why).await {
            Ended::Ready => {
                tracing::warn!("Mortise is now ready to exit, bye bye...");
                return 0;
            }
            Ended::Failed => tracing::warn!(
                "Errors trying to shut down the server. Check the logs for more information."
            ),
            Ended::Dropped => {}
        }
        let reply = CommandError::text("ERR Errors trying to SHUTDOWN. Check logs.").reply();
        for client in clients {
            let client = engine.shared.clients.lock().get(client).cloned();
            client.into_iter().for_each(|client| client.answer_wait(&reply));
        }
    }
}

/// Waits for a reason to end; other requests are answered meanwhile.
async fn next(
    engine: &Arc<Engine>,
    appender: &Arc<Appender>,
    links: &Links,
    [terminate, interrupt]: &mut [&mut Signal; 2],
    requests: &mut mpsc::UnboundedReceiver<Request>,
    failed: &mut mpsc::UnboundedReceiver<()>,
) -> Why {
    let announce = |name: &str| {
        if engine.shared.loading.is_on() {
            tracing::warn!("Received shutdown signal during loading, scheduling shutdown.");
        } else {
            tracing::warn!("Received {name} scheduling shutdown...");
        }
    };
    std::future::poll_fn(|cx| {
        if terminate.poll_recv(cx).is_ready() {
            announce("SIGTERM");
            return Poll::Ready(Why::Terminated);
        }
        if interrupt.poll_recv(cx).is_ready() {
            announce("SIGINT");
            return Poll::Ready(Why::Interrupted);
        }
        if let Poll::Ready(Some(())) = failed.poll_recv(cx) {
            return Poll::Ready(Why::NotLoaded);
        }
        while let Poll::Ready(request) = requests.poll_recv(cx) {
            match request {
                Some(Request::BgSave) => saving::start(engine),
                Some(Request::Follow { generation, follows }) => {
                    links.change(engine, generation, follows);
                }
                Some(Request::RewriteAof) => appending::rewrite::start(engine, appender),
                Some(Request::Shutdown { save, force, now, client }) => {
                    return Poll::Ready(Why::Asked { save, force, now, client });
                }
                // The engine, which holds the sender, lives as long as this function.
                None => break,
            }
        }
        Poll::Pending
    })
    .await
}

/// Puts everything in order as soon as that can be.
async fn end(engine: &Arc<Engine>, appender: &Appender, why: &Why) -> Ended {
    let ending = &engine.shared.ending;
    if ending.is_dropped() {
        return Ended::Dropped;
    }
    // Signals are a matter of what is done periodically.
    let waits_for_cron = matches!(why, Why::Terminated | Why::Interrupted);
    while waits_for_cron && engine.shared.debug.cron_paused.load(Ordering::Relaxed) {
        if ending.is_dropped() {
            return Ended::Dropped;
        }
        tokio::time::sleep(RETRY).await;
    }
    let loading = &engine.shared.loading;
    // What is half loaded is not to be saved over what is whole.
    let saves = !loading.is_on();
    if !saves {
        loading.cancel();
    }
    let is_busy = || engine.shared.busy.is_on();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline && !is_busy() {
        if ending.is_dropped() {
            return Ended::Dropped;
        }
        if let Some(mut state) = engine.try_write() {
            if !ending.begin() {
                return Ended::Dropped;
            }
            let _insistence = Insistence::watch();
            return match put_in_order(engine, appender, &mut state, why, saves) {
                true => Ended::Ready,
                false => Ended::Failed,
            };
        }
        tokio::time::sleep(RETRY).await;
    }
    if ending.begin() { Ended::Ready } else { Ended::Dropped }
}

/// While it lives, the next SIGINT ends the process at once: the last snapshot may take long, and keeps the main thread.
struct Insistence {
    /// Dropped to end the thread.
    _stop: Option<oneshot::Sender<()>>,
}

impl Insistence {
    fn watch() -> Self {
        let (stop, mut stopped) = oneshot::channel::<()>();
        let watched = std::thread::Builder::new().name("insistence".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut interrupt = signal(SignalKind::interrupt())?;
                std::future::poll_fn(|cx| {
                    if interrupt.poll_recv(cx).is_ready() {
                        leave_at_once();
                    }
                    Pin::new(&mut stopped).poll(cx).map(drop)
                })
                .await;
                std::io::Result::Ok(())
            })
        });
        // Who cannot watch lets the snapshot come to its end.
        Self { _stop: watched.is_ok().then_some(stop) }
    }
}

fn leave_at_once() -> ! {
    tracing::warn!("You insist... exiting now.");
    let _ = std::fs::remove_file(disk::temporary(std::process::id(), ""));
    std::process::exit(1)
}

fn put_in_order(
    engine: &Engine,
    appender: &Appender,
    state: &mut State,
    why: &Why,
    saves: bool,
) -> bool {
    let (save, force) = match why {
        _ if !saves => (ShutdownSave::No, false),
        Why::Asked { save, force, .. } => (*save, *force),
        Why::NotLoaded => (ShutdownSave::No, true),
        Why::Terminated => of_choice(state.config.choice(Param::ShutdownOnSigterm)),
        Why::Interrupted => of_choice(state.config.choice(Param::ShutdownOnSigint)),
    };
    replicas::report(state, engine.shared.now_ms());
    if !close_append_only(engine, appender, state, force) {
        return false;
    }
    saving::cancel(state);
    let wanted = match save {
        ShutdownSave::Yes => true,
        ShutdownSave::No => false,
        ShutdownSave::IfConfigured => !state.config.save_points().is_empty(),
    };
    if wanted {
        tracing::info!("Saving the final RDB snapshot before exiting.");
        if saving::as_server(state, &engine.shared, saving::save).is_err() {
            if !force {
                tracing::warn!("Error trying to save the DB, can't exit.");
                return false;
            }
            tracing::warn!("Error trying to save the DB. Exit anyway.");
        }
    }
    host::announce_shutdown(state, &engine.shared);
    true
}

/// Has the append-only file hold all that was written; false if it cannot, and the process is to go on.
fn close_append_only(engine: &Engine, appender: &Appender, state: &mut State, force: bool) -> bool {
    if let Some(rewrite) = &state.persistence.aof.rewrite {
        if state.persistence.aof.mode == AofMode::Waiting {
            if !force {
                tracing::warn!("Writing initial AOF, can't exit.");
                return false;
            }
            tracing::warn!("Writing initial AOF. Exit anyway.");
        }
        tracing::warn!("There is a child rewriting the AOF. Killing it!");
        saving::give_up(&rewrite.progress);
    }
    if state.persistence.aof.mode != AofMode::Off {
        tracing::info!("Calling fsync() on the AOF file.");
        // What went wrong is in the log; writes have been refused since then.
        let _ = appender.flush(state, &engine.shared);
    }
    true
}

/// What `shutdown-on-sigterm` and `shutdown-on-sigint` say.
fn of_choice(bits: u32) -> (ShutdownSave, bool) {
    let save = if bits & SHUTDOWN_SAVE != 0 {
        ShutdownSave::Yes
    } else if bits & SHUTDOWN_NOSAVE != 0 {
        ShutdownSave::No
    } else {
        ShutdownSave::IfConfigured
    };
    (save, bits & SHUTDOWN_FORCE != 0)
}
