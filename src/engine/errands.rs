//! How does a worker do something for another thread, between the turns of its connections? It finds an errand in its inbox.
//!
//! What must hold the lock for a while is better done there than by a thread of its own: while a worker is busy the
//! system lets it run, whereas another thread can lose the processor under the lock, and then all wait for it. For
//! the same reason no worker takes a mutex here that whoever hands in takes too.
//!
//! Invariant: an errand is run once or, when the process ends, never; it must not block but for the lock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;

use parking_lot::Mutex;

use super::lock::Engine;

/// Something to be done by a worker.
pub type Errand = Box<dyn FnOnce(&Engine) + Send>;

/// Where errands for the workers are handed in.
pub struct Errands {
    slots: Box<[Slot]>,
    next: AtomicUsize,
}

struct Slot {
    sender: Sender<Errand>,
    /// Until the worker runs.
    receiver: Mutex<Option<Receiver<Errand>>>,
    /// The worker's, once it runs.
    waker: Mutex<Option<Waker>>,
}

/// A worker's end.
pub struct Inbox<'a> {
    slot: &'a Slot,
    receiver: Receiver<Errand>,
    registered: Option<Waker>,
}

impl std::fmt::Debug for Errands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errands").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Inbox<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Errands {
    /// Places for so many workers.
    pub fn new(workers: usize) -> Self {
        let slot = |_| {
            let (sender, receiver) = channel();
            Slot { sender, receiver: Mutex::new(Some(receiver)), waker: Mutex::default() }
        };
        Self { slots: (0..workers).map(slot).collect(), next: AtomicUsize::new(0) }
    }

    /// The inbox of a worker, for the one who asks first.
    pub fn open(&self, worker: usize) -> Option<Inbox<'_>> {
        let slot = &self.slots[worker];
        let receiver = slot.receiver.lock().take()?;
        Some(Inbox { slot, receiver, registered: None })
    }

    /// Gives an errand to the next worker that runs; if none does, it is dropped.
    pub fn hand_in(&self, errand: Errand) {
        for _ in 0..self.slots.len() {
            let slot = &self.slots[self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
            let waker = slot.waker.lock().clone();
            if let Some(waker) = waker {
                // The receiver is gone only when the process is ending already.
                let _ = slot.sender.send(errand);
                return waker.wake();
            }
        }
    }
}

impl Inbox<'_> {
    /// The oldest errand; if there is none, `waker` is woken when there is.
    pub fn take(&mut self, waker: &Waker) -> Option<Errand> {
        if !self.registered.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.registered = Some(waker.clone());
            *self.slot.waker.lock() = Some(waker.clone());
        }
        self.receiver.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn workers_that_run_take_turns() {
        let errands = Errands::new(3);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        errands.hand_in(Box::new(|_| panic!("nobody is there to run it")));
        let mut inboxes = [1, 2].map(|worker| errands.open(worker).unwrap());
        assert!(errands.open(1).is_none());
        assert!(inboxes.iter_mut().all(|inbox| inbox.take(&waker).is_none()));
        (0..4).for_each(|_| errands.hand_in(Box::new(|_| {})));
        assert_eq!(count.0.load(Ordering::Relaxed), 4);
        let took = inboxes.map(|mut inbox| std::iter::from_fn(|| inbox.take(&waker)).count());
        assert_eq!(took, [2, 2]);
    }
}
