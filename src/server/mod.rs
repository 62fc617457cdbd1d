//! How does the process live? Sockets, threads, signals: everything asynchronous, around the engine.
//!
//! Startup is told here: configuration, log, listening sockets, engine, modules, workers, acceptor,
//! cron; then the main thread waits for a signal or SHUTDOWN, and `shutdown` ends it.

pub mod startup;

pub mod listener;

pub mod sockets;

pub mod worker;

pub mod connection;

pub mod cron;

pub mod host;

pub mod module_tasks;

pub mod log;

pub mod process;

pub mod clock;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use crate::engine::effects::Request;
use crate::engine::lock::Engine;
use listener::Acceptor;
use startup::Prepared;

/// Runs a prepared server until it is told to end; returns the exit code.
pub fn run(prepared: Prepared) -> Result<u8> {
    let Prepared { engine, tcp, exchanges, unix, workers, requests, pid_file } = prepared;
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    let code = tasks.block_on(&runtime, async {
        let acceptor = Acceptor::new(Arc::clone(&engine), senders);
        if !tcp.is_empty() {
            tracing::info!("Ready to accept connections tcp");
        }
        tokio::task::spawn_local(sockets::accept(acceptor.clone(), tcp, exchanges));
        if let Some((listener, path)) = &unix {
            let listener = listener.try_clone()?;
            tokio::task::spawn_local(listener::accept_unix(
                acceptor.clone(),
                listener,
                path.clone(),
            ));
            tracing::info!("Ready to accept connections unix");
        }
        tokio::task::spawn_local(cron::run(Arc::clone(&engine)));
        tokio::task::spawn_local(module_tasks::run(Arc::clone(&engine)));
        anyhow::Ok(until_end(&engine, requests).await)
    })?;
    if let Some((_, path)) = &unix {
        // Whoever removed it before us did the same.
        let _ = std::fs::remove_file(path);
    }
    if let Some(path) = pid_file {
        let _ = std::fs::remove_file(path);
    }
    Ok(code)
}

/// Waits for a signal or a request to end; returns the exit code.
async fn until_end(engine: &Arc<Engine>, mut requests: mpsc::UnboundedReceiver<Request>) -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        tracing::warn!("cannot listen for signals");
        return 1;
    };
    let why = std::future::poll_fn(|cx| {
        if terminate.poll_recv(cx).is_ready() {
            return Poll::Ready("Received SIGTERM scheduling shutdown...");
        }
        if interrupt.poll_recv(cx).is_ready() {
            return Poll::Ready("Received SIGINT scheduling shutdown...");
        }
        match requests.poll_recv(cx) {
            Poll::Ready(Some(Request::Shutdown { .. }) | None) => {
                Poll::Ready("User requested shutdown...")
            }
            Poll::Pending => Poll::Pending,
        }
    });
    tracing::warn!("{}", why.await);
    shutdown(engine).await;
    0
}

/// Ends in order: modules are told, then the process leaves. Threads are not waited for; a script
/// that keeps the engine does not keep the process.
async fn shutdown(engine: &Arc<Engine>) {
    let is_busy = || engine.shared.busy.slow.load(Ordering::Acquire) > 0;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(3);
    while tokio::time::Instant::now() < deadline && !is_busy() {
        if let Some(mut state) = engine.try_write() {
            host::announce_shutdown(&mut state, &engine.shared);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    tracing::warn!("Mortise is now ready to exit, bye bye...");
}
