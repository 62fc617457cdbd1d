//! Who seals, merges and writes to disk?
//!
//! Three threads for all indexes of the process, one for each kind of work, so that a long merge does not keep fresh
//! documents waiting. They start with the first job. Jobs are given all that they need and send back what they made;
//! they never touch an index or the server.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

/// A piece of work.
pub type Job = Box<dyn FnOnce() + Send>;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A batch becomes a segment.
    Seal,
    /// Segments become one.
    Merge,
    /// Segments become files.
    Store,
}

struct Thread {
    jobs: Sender<Job>,
    handle: JoinHandle<()>,
}

static THREADS: [Mutex<Option<Thread>>; 3] = [const { Mutex::new(None) }; 3];

/// Hands a job over; runs it here and now if no thread can be had.
pub fn submit(lane: Lane, job: Job) {
    let mut slot = THREADS[lane as usize].lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = start(lane);
    }
    let refused = match &*slot {
        Some(thread) => thread.jobs.send(job).err().map(|error| error.0),
        None => Some(job),
    };
    drop(slot);
    if let Some(job) = refused {
        job();
    }
}

fn start(lane: Lane) -> Option<Thread> {
    let (jobs, received) = channel::<Job>();
    let name = match lane {
        Lane::Seal => "search-seal",
        Lane::Merge => "search-merge",
        Lane::Store => "search-store",
    };
    let run = move || {
        for job in received {
            // A job that panics sends nothing back; whoever waits for it sees its channel close.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    };
    let handle = std::thread::Builder::new().name(name.to_owned()).spawn(run).ok()?;
    Some(Thread { jobs, handle })
}

/// Finishes all jobs and ends the threads: the module's code may be gone afterwards.
pub fn stop() {
    for slot in &THREADS {
        let thread = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Thread { jobs, handle }) = thread {
            drop(jobs);
            // It only fails if the thread panicked, which jobs cannot make it do.
            let _ = handle.join();
        }
    }
}
