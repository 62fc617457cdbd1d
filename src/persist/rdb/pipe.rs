//! How do the bytes of a snapshot reach the thread that writes them? Through a queue that holds so many bytes;
//! whoever puts more in waits, and may do something useful meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::keyspace::snapshot;
use crate::object::rdb::write::Drain;

/// Bytes that may wait to be written.
pub const BYTES_MAX: usize = 32 << 20;

/// How long one waits for room before doing something else.
const PATIENCE: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Nothing more will come.
    ended: bool,
    /// Nobody will take anything more.
    abandoned: bool,
}

/// The queue.
#[derive(Debug)]
pub struct Pipe {
    queue: Mutex<Queue>,
    changed: Condvar,
    bytes_max: usize,
}

impl Pipe {
    /// A queue that is full when it holds so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { queue: Mutex::default(), changed: Condvar::new(), bytes_max }
    }

    /// The next bytes, when there are some; None at the end.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(chunk) = queue.chunks.pop_front() {
                queue.bytes -= chunk.len();
                snapshot::let_go(chunk.len());
                self.changed.notify_all();
                return Some(chunk);
            }
            if queue.ended {
                return None;
            }
            self.changed.wait(&mut queue);
        }
    }

    /// Says that nothing more will come.
    pub fn end(&self) {
        self.queue.lock().ended = true;
        self.changed.notify_all();
    }

    /// Says that nothing more will be taken, so that nobody waits for room.
    pub fn abandon(&self) {
        self.queue.lock().abandoned = true;
        self.changed.notify_all();
    }

    /// Whether nothing more will be taken.
    pub fn is_abandoned(&self) -> bool {
        self.queue.lock().abandoned
    }

    /// Puts bytes in when there is room. While there is none, `meanwhile` is called now and then.
    pub fn put(&self, chunk: Vec<u8>, meanwhile: &mut dyn FnMut()) {
        let mut queue = self.queue.lock();
        while queue.bytes >= self.bytes_max && !queue.abandoned {
            if self.changed.wait_for(&mut queue, PATIENCE).timed_out() {
                drop(queue);
                meanwhile();
                queue = self.queue.lock();
            }
        }
        if !queue.abandoned {
            queue.bytes += chunk.len();
            snapshot::hold(chunk.len());
            queue.chunks.push_back(chunk);
            self.changed.notify_all();
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        snapshot::let_go(self.queue.get_mut().bytes);
    }
}

/// The end of a pipe that bytes go into.
pub struct Inlet<'a> {
    /// The pipe.
    pub pipe: &'a Pipe,
    /// What is done now and then while it is full.
    pub meanwhile: &'a mut dyn FnMut(),
}

impl Drain for Inlet<'_> {
    fn drain(&mut self, bytes: &mut Vec<u8>) {
        self.pipe.put(std::mem::take(bytes), self.meanwhile);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    #[test]
    fn bytes_come_out_in_order_and_the_walker_waits_for_room() {
        let pipe = Pipe::new(MAX);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for byte in 0..5 {
                    let mut inlet = Inlet { pipe: &pipe, meanwhile: &mut || {} };
                    inlet.drain(&mut vec![byte; MAX / 2]);
                    assert!(pipe.queue.lock().bytes <= MAX + MAX / 2);
                }
                pipe.end();
            });
            for byte in 0..5 {
                let chunk = pipe.take().unwrap();
                assert!(chunk.len() == MAX / 2 && chunk[0] == byte);
            }
            assert_eq!(pipe.take(), None);
        });
    }

    #[test]
    fn who_waits_for_room_does_something_else() {
        let pipe = Pipe::new(MAX);
        pipe.put(vec![0; MAX], &mut || panic!("there is room"));
        let mut calls = 0;
        pipe.put(vec![1; 1], &mut || {
            calls += 1;
            if calls == 3 {
                assert_eq!(pipe.take().map(|chunk| chunk.len()), Some(MAX));
            }
        });
        assert_eq!(calls, 3);
    }

    #[test]
    fn nobody_waits_for_an_abandoned_pipe() {
        let pipe = Pipe::new(MAX);
        pipe.abandon();
        for _ in 0..5 {
            pipe.put(vec![0; MAX / 2], &mut || panic!("nobody waits"));
        }
        assert_eq!(pipe.queue.lock().bytes, 0);
    }
}
