//! How does the process live? Sockets, threads, signals: everything asynchronous, around the engine.
//!
//! Startup is told here: configuration, log, listening sockets, engine, modules, workers, the thread that loads the
//! data set and then the libraries of functions, acceptor, cron; then the main thread waits for a signal or SHUTDOWN (`ending.rs`).

pub mod startup;

pub mod listener;

pub mod sockets;

pub mod worker;

pub mod connection;

pub mod stream;

pub mod gate;

pub mod cron;

pub mod expiry;

pub mod defrag;

pub mod host;

pub mod users;

pub mod module_tasks;

pub mod log;

pub mod process;

pub mod supervisor;

pub mod oom;

pub mod saving;

pub mod syncing;

pub mod appending;

pub mod loading;

pub mod libraries;

pub mod replica;

pub mod ending;

pub mod migration;

pub mod remote;

pub mod import;

pub mod new_module;

pub mod title;

pub mod clock;

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{mpsc, watch};

use crate::engine::effects::Request;
use crate::engine::lock::Engine;
use listener::Acceptor;
use loading::Loading;
use sockets::Exchange;
use startup::Prepared;

/// How long connections wait to be accepted while the data set is loaded.
const QUIET_LOADING: Duration = Duration::from_millis(50);

/// Runs a prepared server until it is told to end; returns the exit code.
pub fn run(prepared: Prepared) -> Result<u8> {
    let Prepared { engine, libraries, tcp, exchanges, unix, workers, appender, requests, pid_file } =
        prepared;
    let names = [("tcp", !tcp.is_empty()), ("unix", unix.is_some())];
    let names = names.into_iter().filter_map(|(name, listens)| listens.then_some(name)).collect();
    let mut senders = Vec::with_capacity(workers);
    for number in 1..=workers {
        let (sender, receiver) = mpsc::unbounded_channel();
        senders.push(sender);
        let engine = Arc::clone(&engine);
        std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || worker::run(engine, number, receiver))
            .context("cannot start a worker thread")?;
    }
    let kept = senders.clone();
    appending::start_syncing(&engine, &appender).context("cannot start a thread")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    let code = tasks.block_on(&runtime, async {
        let Loading { done, failed } =
            loading::start(&engine, &appender, libraries).context("cannot start a thread")?;
        let acceptor = Acceptor::new(Arc::clone(&engine), senders);
        let listeners = Listeners { tcp, exchanges, unix: clone_unix(&unix)? };
        tokio::task::spawn_local(listen(acceptor, listeners, done.clone()));
        tokio::task::spawn_local(cron::run(Arc::clone(&engine), Arc::clone(&appender)));
        tokio::task::spawn_local(begin_work(Arc::clone(&engine), names, done));
        anyhow::Ok(ending::serve_requests(&engine, &appender, requests, failed).await)
    })?;
    // Who sees its connection end must not find the server there again: workers end, and their connections with them,
    // only when nothing can be sent to them any more.
    engine.shared.host.stop_listening();
    drop(tasks);
    drop(kept);
    if let Some((_, path)) = &unix {
        // Whoever removed it before us did the same.
        let _ = std::fs::remove_file(path);
    }
    if let Some(path) = pid_file {
        let _ = std::fs::remove_file(path);
    }
    Ok(code)
}

/// The sockets to accept connections from.
struct Listeners {
    tcp: Vec<TcpListener>,
    exchanges: mpsc::UnboundedReceiver<Exchange>,
    unix: Option<(UnixListener, String)>,
}

fn clone_unix(unix: &Option<(UnixListener, String)>) -> Result<Option<(UnixListener, String)>> {
    let Some((listener, path)) = unix else { return Ok(None) };
    Ok(Some((listener.try_clone()?, path.clone())))
}

/// Accepts connections. What is loaded in no time at all is loaded first: clients wait for that little, and need not be
/// told to come again.
async fn listen(acceptor: Acceptor, listeners: Listeners, mut done: watch::Receiver<bool>) {
    let loaded = done.wait_for(|done| *done);
    // Whichever comes first, and also if loading has failed.
    let _ = tokio::time::timeout(QUIET_LOADING, loaded).await;
    if let Some((listener, path)) = listeners.unix {
        tokio::task::spawn_local(listener::accept_unix(acceptor.clone(), listener, path));
    }
    sockets::accept(acceptor, listeners.tcp, listeners.exchanges).await;
}

/// Once the data set is loaded, modules may work by themselves, and the log and the supervisor hear that all is ready.
async fn begin_work(
    engine: Arc<Engine>,
    listeners: Vec<&'static str>,
    mut done: watch::Receiver<bool>,
) {
    if done.wait_for(|done| *done).await.is_err() {
        return;
    }
    follow_primary(&engine);
    for name in listeners {
        tracing::info!("Ready to accept connections {name}");
    }
    supervisor::tell("STATUS=Ready to accept connections\nREADY=1\n");
    module_tasks::run(engine).await;
}

/// Has the primary followed that the configuration names, if it names one: what was loaded is what can be gone on with.
fn follow_primary(engine: &Engine) {
    let state = engine.read_patiently();
    let (generation, follows) = (state.replication.links, state.replication.is_replica());
    if follows {
        engine.shared.host.request(Request::Follow { generation, follows });
    }
}
