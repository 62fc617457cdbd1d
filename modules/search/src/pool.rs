//! Who runs a query that takes long?
//!
//! Threads of the module's own, on a snapshot of the index, while the client waits; what they found is put into a
//! reply under the server's lock afterwards. They start when they are needed, and give way to the server's threads
//! where there are too few cores for all. Short queries run where their command is: handing one over costs more than
//! they do. Where a client cannot be made to wait (transactions, scripts) long ones do too.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use mortise_module::{BlockedClient, CommandResult, Context, LogLevel, Reply};

use crate::error::Error;
use crate::settings;

/// Work up to this many steps of some nanoseconds is done at once: a millisecond at most, mostly far less. Handing it
/// over takes some 50 us of CPU.
pub const INLINE_STEPS_MAX: u64 = 150_000;
/// Queries that may wait for a thread.
const QUEUE_MAX: usize = 10_000;
/// How far the threads stand back behind the server's, by the kernel's measure.
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads and what waits for them.
struct Pool {
    queue: VecDeque<Job>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    /// The threads are to end once the queue is empty.
    closing: bool,
}

static POOL: Mutex<Pool> =
    Mutex::new(Pool { queue: VecDeque::new(), threads: Vec::new(), idle: 0, closing: false });

/// Signalled when there is a job or the pool is closing.
static CHANGED: Condvar = Condvar::new();

fn pool() -> MutexGuard<'static, Pool> {
    // Jobs run outside of the lock; nothing inside it panics halfway.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether work of so many steps should be handed to [`run`].
pub fn takes(ctx: &Context<'_>, steps: u64) -> bool {
    steps > INLINE_STEPS_MAX && settings::WORKERS.get() > 0 && ctx.may_block()
}

/// Makes the client wait, runs `work` on a thread, and then `reply` as the handler of the command, under the server's
/// lock. Time has passed in between: keys and indexes may have changed.
pub fn run<T: Send + 'static>(
    ctx: &Context<'_>,
    work: impl FnOnce() -> T + Send + 'static,
    reply: impl FnOnce(&mut Context<'_>, T) -> CommandResult + Send + 'static,
) -> CommandResult {
    run_with(ctx, |_| work(), reply)
}

/// The same for work that asks the server something now and then, through the client that waits.
pub fn run_with<T: Send + 'static>(
    ctx: &Context<'_>,
    work: impl FnOnce(&BlockedClient) -> T + Send + 'static,
    reply: impl FnOnce(&mut Context<'_>, T) -> CommandResult + Send + 'static,
) -> CommandResult {
    if pool().queue.len() >= QUEUE_MAX {
        return Err(Error::Text("Too many queries are waiting for a thread").into());
    }
    let client = ctx.block_client()?;
    submit(Box::new(move || {
        // If this panics, the client is answered when it is dropped.
        let made = work(&client);
        client.unblock(move |ctx| reply(ctx, made));
    }));
    Ok(Reply::Written)
}

/// Queues a job, and starts a thread for it if one more may be started; without any thread it is run here.
fn submit(job: Job) {
    let mut pool = pool();
    pool.queue.push_back(job);
    if pool.idle < pool.queue.len() && pool.threads.len() < threads_max() {
        let name = format!("search-query-{}", pool.threads.len());
        match std::thread::Builder::new().name(name).spawn(work) {
            Ok(thread) => pool.threads.push(thread),
            Err(error) => {
                let text = format!("a thread for queries could not be started: {error}");
                mortise_module::log(LogLevel::Warning, &text);
            }
        }
    }
    if pool.threads.is_empty() {
        let job = pool.queue.pop_back();
        drop(pool);
        job.into_iter().for_each(|job| job());
        return;
    }
    drop(pool);
    CHANGED.notify_one();
}

fn threads_max() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    usize::try_from(settings::WORKERS.get()).unwrap_or(0).clamp(1, cores)
}

/// What a thread does.
fn work() {
    // It works as well without.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut state = pool();
    loop {
        if let Some(job) = state.queue.pop_front() {
            drop(state);
            // A panic has been logged, and the client is answered.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            state = pool();
        } else if state.closing {
            return;
        } else {
            state.idle += 1;
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// Finishes what is queued and ends the threads: the module's code may be gone afterwards.
pub fn stop() {
    let threads = {
        let mut pool = pool();
        pool.closing = true;
        std::mem::take(&mut pool.threads)
    };
    CHANGED.notify_all();
    for thread in threads {
        // It only fails if the thread panicked, which jobs cannot make it do.
        let _ = thread.join();
    }
    pool().closing = false;
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn all_jobs_are_done_before_the_threads_end() {
        let (sender, done) = channel();
        for number in 0..100 {
            let sender = sender.clone();
            submit(Box::new(move || {
                assert!(number != 50, "a job that panics takes no thread with it");
                sender.send(number).expect("the test waits");
            }));
        }
        stop();
        drop(sender);
        let mut numbers: Vec<i32> = done.iter().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).filter(|n| *n != 50).collect::<Vec<_>>());
        assert!(pool().threads.is_empty());
    }
}
