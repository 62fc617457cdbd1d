//! How does the process live? Sockets, threads, signals: everything asynchronous, around the engine.
//!
//! Startup is told here: configuration, log, listening sockets, engine, modules, workers, acceptor,
//! cron; then the main thread waits for a signal or SHUTDOWN (`ending.rs`).

pub mod startup;

pub mod listener;

pub mod sockets;

pub mod worker;

pub mod connection;

pub mod stream;

pub mod cron;

pub mod host;

pub mod module_tasks;

pub mod log;

pub mod process;

pub mod oom;

pub mod saving;

pub mod ending;

pub mod migration;

pub mod clock;

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::mpsc;

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
        anyhow::Ok(ending::serve_requests(&engine, requests).await)
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
