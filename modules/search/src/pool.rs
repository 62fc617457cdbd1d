//! Who runs a query that takes long?
//!
//! Threads of the module's own, on a snapshot of the index, while the client waits; what is long to read and to write is done by
//! others, which take the server's lock for some keys at a time. They start when they are needed, and give way to the server's threads
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
/// What a key that is read costs in such steps: some thousand of them take a millisecond.
pub const STEPS_OF_LOAD: u64 = 150;
/// The same of a row that is written into a reply.
pub const STEPS_OF_REPLY: u64 = 40;
/// Queries that may wait for a thread.
const QUEUE_MAX: usize = 10_000;
/// How far the threads stand back behind the server's, by the kernel's measure.
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// Threads and what waits for them.
struct Pool {
    name: &'static str,
    /// How far its threads stand back, if they do.
    nice: Option<i32>,
    state: Mutex<State>,
    /// Signalled when there is a job or the pool is closing.
    changed: Condvar,
}

struct State {
    queue: VecDeque<Job>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    /// The threads are to end once the queue is empty.
    closing: bool,
}

/// Who searches: on a snapshot, without any lock that others wait for.
static SEARCHING: Pool = Pool::new("search-query", Some(NICE));

/// Who takes the server's lock, again and again, and writes replies. A thread that stood back would keep the others waiting
/// whenever the kernel takes it off its core in the middle of a hold.
static READING: Pool = Pool::new("search-reply", None);

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
    search(ctx, |client| {
        let made = work();
        client.unblock(move |ctx| reply(ctx, made));
    })
}

/// Makes the client wait, and has a thread that stands back do `job`, which answers it or hands it on to [`read_next`].
pub fn search(
    ctx: &Context<'_>,
    job: impl FnOnce(BlockedClient) + Send + 'static,
) -> CommandResult {
    SEARCHING.take_on(ctx, job)
}

/// The same with a thread that does not stand back: `job` asks the server what it needs through the client, in short holds of the
/// lock, and writes a long reply without it.
pub fn read(ctx: &Context<'_>, job: impl FnOnce(BlockedClient) + Send + 'static) -> CommandResult {
    READING.take_on(ctx, job)
}

/// Has such a thread do `job`, which comes behind a search.
pub fn read_next(job: impl FnOnce() + Send + 'static) {
    READING.submit(Box::new(job));
}

/// Finishes what is queued and ends the threads: the module's code may be gone afterwards.
pub fn stop() {
    // Those who search may hand on to those who read.
    SEARCHING.stop();
    READING.stop();
}

impl Pool {
    const fn new(name: &'static str, nice: Option<i32>) -> Pool {
        let state = State { queue: VecDeque::new(), threads: Vec::new(), idle: 0, closing: false };
        Pool { name, nice, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Jobs run outside of the lock; nothing inside it panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_on(
        &'static self,
        ctx: &Context<'_>,
        job: impl FnOnce(BlockedClient) + Send + 'static,
    ) -> CommandResult {
        if self.state().queue.len() >= QUEUE_MAX {
            return Err(Error::Text("Too many queries are waiting for a thread").into());
        }
        let client = ctx.block_client()?;
        // If this panics, the client is answered when it is dropped.
        self.submit(Box::new(move || job(client)));
        Ok(Reply::Written)
    }

    /// Queues a job, and starts a thread for it if one more may be started; without any thread it is run here.
    fn submit(&'static self, job: Job) {
        let mut state = self.state();
        state.queue.push_back(job);
        if state.idle < state.queue.len() && state.threads.len() < threads_max() {
            let name = format!("{}-{}", self.name, state.threads.len());
            match std::thread::Builder::new().name(name).spawn(|| self.work()) {
                Ok(thread) => state.threads.push(thread),
                Err(error) => {
                    let text = format!("a thread for queries could not be started: {error}");
                    mortise_module::log(LogLevel::Warning, &text);
                }
            }
        }
        if state.threads.is_empty() {
            let job = state.queue.pop_back();
            drop(state);
            job.into_iter().for_each(|job| job());
            return;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// What a thread does.
    fn work(&self) {
        if let Some(nice) = self.nice {
            // It works as well without.
            let _ = rustix::process::setpriority_process(None, nice);
        }
        let mut state = self.state();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                // A panic has been logged, and the client is answered.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                state = self.state();
            } else if state.closing {
                return;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn stop(&self) {
        let threads = {
            let mut state = self.state();
            state.closing = true;
            std::mem::take(&mut state.threads)
        };
        self.changed.notify_all();
        for thread in threads {
            // It only fails if the thread panicked, which jobs cannot make it do.
            let _ = thread.join();
        }
        self.state().closing = false;
    }
}

fn threads_max() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    usize::try_from(settings::WORKERS.get()).unwrap_or(0).clamp(1, cores)
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
            SEARCHING.submit(Box::new(move || {
                assert!(number != 50, "a job that panics takes no thread with it");
                sender.send(number).expect("the test waits");
            }));
        }
        stop();
        drop(sender);
        let mut numbers: Vec<i32> = done.iter().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).filter(|n| *n != 50).collect::<Vec<_>>());
        assert!(SEARCHING.state().threads.is_empty());
    }
}
