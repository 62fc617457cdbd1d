//! How do the bytes of a snapshot reach the thread that writes them, so that the engine is not kept waiting for the
//! disk? Through a queue that holds so many bytes; a walker that is further ahead waits.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use crate::object::rdb::write::Drain;

/// Bytes that may wait to be written. Data sets that are encoded to fewer do not keep the engine's lock for
/// longer than their encoding takes.
pub const BYTES_MAX: usize = 256 << 20;

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
#[derive(Debug, Default)]
pub struct Pipe {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Pipe {
    /// The next bytes, when there are some; None at the end.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(chunk) = queue.chunks.pop_front() {
                queue.bytes -= chunk.len();
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

    fn put(&self, chunk: Vec<u8>) {
        let mut queue = self.queue.lock();
        while queue.bytes >= BYTES_MAX && !queue.abandoned {
            self.changed.wait(&mut queue);
        }
        if !queue.abandoned {
            queue.bytes += chunk.len();
            queue.chunks.push_back(chunk);
            self.changed.notify_all();
        }
    }
}

/// The end of a pipe that bytes go into.
#[derive(Clone, Copy, Debug)]
pub struct Inlet<'a>(pub &'a Pipe);

impl Drain for Inlet<'_> {
    fn drain(&mut self, bytes: &mut Vec<u8>) {
        self.0.put(std::mem::take(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_the_walker_waits_for_room() {
        let pipe = Pipe::default();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for byte in 0..5 {
                    Inlet(&pipe).drain(&mut vec![byte; BYTES_MAX / 2]);
                    assert!(pipe.queue.lock().bytes <= BYTES_MAX + BYTES_MAX / 2);
                }
                pipe.end();
            });
            for byte in 0..5 {
                let chunk = pipe.take().unwrap();
                assert!(chunk.len() == BYTES_MAX / 2 && chunk[0] == byte);
            }
            assert_eq!(pipe.take(), None);
        });
    }

    #[test]
    fn nobody_waits_for_an_abandoned_pipe() {
        let pipe = Pipe::default();
        pipe.abandon();
        for _ in 0..5 {
            Inlet(&pipe).drain(&mut vec![0; BYTES_MAX / 2]);
        }
        assert_eq!(pipe.queue.lock().bytes, 0);
    }
}
