//! Which lock carries the engine? One and two threads that read or write in batches, with and without
//! work between the holds, over a mutex, a reader-writer lock that parks, and one that spins first.
//!
//! Prints nanoseconds of CPU time per command and the throughput of two threads relative to one.
//! Figures: docs/decisions/0001-lock.md.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

/// Commands per hold, as a pipeline of 16 gives.
const BATCH: usize = 16;
const KEYS: usize = 1 << 21;
const ROUND: Duration = Duration::from_millis(400);

/// A stand-in for the keyspace: a read or a write is a dependent access of about 100 ns.
struct Table(Vec<u64>);

impl Table {
    fn read(&self, seed: u64) -> u64 {
        (0..8).fold(seed, |at, _| self.0[(at as usize) & (KEYS - 1)].wrapping_mul(0x9E37_79B9) >> 3)
    }

    fn write(&mut self, seed: u64) {
        let at = self.read(seed) as usize & (KEYS - 1);
        self.0[at] ^= seed;
    }
}

trait Lock: Send + Sync + 'static {
    const NAME: &'static str;
    fn new(table: Table) -> Self;
    fn read(&self, f: impl FnOnce(&Table));
    fn write(&self, f: impl FnOnce(&mut Table));
}

struct PlainMutex(Mutex<Table>);
struct Parking(RwLock<Table>);
struct Spinning(RwLock<Table>);

impl Lock for PlainMutex {
    const NAME: &'static str = "mutex";
    fn new(table: Table) -> Self {
        Self(Mutex::new(table))
    }
    fn read(&self, f: impl FnOnce(&Table)) {
        f(&self.0.lock());
    }
    fn write(&self, f: impl FnOnce(&mut Table)) {
        f(&mut self.0.lock());
    }
}

impl Lock for Parking {
    const NAME: &'static str = "rwlock, parks";
    fn new(table: Table) -> Self {
        Self(RwLock::new(table))
    }
    fn read(&self, f: impl FnOnce(&Table)) {
        f(&self.0.read());
    }
    fn write(&self, f: impl FnOnce(&mut Table)) {
        f(&mut self.0.write());
    }
}

impl Lock for Spinning {
    const NAME: &'static str = "rwlock, spins then parks";
    fn new(table: Table) -> Self {
        Self(RwLock::new(table))
    }
    fn read(&self, f: impl FnOnce(&Table)) {
        for _ in 0..300 {
            if let Some(guard) = self.0.try_read() {
                return f(&guard);
            }
            std::hint::spin_loop();
        }
        f(&self.0.read());
    }
    fn write(&self, f: impl FnOnce(&mut Table)) {
        for _ in 0..300 {
            if let Some(mut guard) = self.0.try_write() {
                return f(&mut guard);
            }
            std::hint::spin_loop();
        }
        f(&mut self.0.write());
    }
}

#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    writes: bool,
    /// Steps of private work between two holds, standing for system calls and parsing.
    between: usize,
}

/// Commands per second of `threads` threads.
fn run<L: Lock>(load: Load, threads: usize) -> f64 {
    let lock = Arc::new(L::new(Table(
        (0..KEYS as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A)).collect(),
    )));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    let handles: Vec<_> = (0..threads as u64)
        .map(|thread| {
            let (lock, stop, done) = (Arc::clone(&lock), Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut seed = thread + 1;
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    if load.writes {
                        lock.write(|table| (0..BATCH as u64).for_each(|i| table.write(seed + i)));
                    } else {
                        lock.read(|table| {
                            for i in 0..BATCH as u64 {
                                black_box(table.read(seed + i));
                            }
                        });
                    }
                    for _ in 0..load.between {
                        seed =
                            black_box(seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                    }
                    seed = seed.wrapping_add(BATCH as u64);
                    count += BATCH as u64;
                }
                done.fetch_add(count, Ordering::Relaxed);
            })
        })
        .collect();
    std::thread::sleep(ROUND);
    stop.store(true, Ordering::Relaxed);
    for handle in handles {
        handle.join().expect("a benchmark thread does not panic");
    }
    done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

fn measure<L: Lock>(load: Load) {
    // The best of three rounds: what else runs on the machine only ever takes away.
    let best = |threads| (0..3).map(|_| run::<L>(load, threads)).fold(0.0, f64::max);
    let (one, two) = (best(1), best(2));
    println!(
        "{:<26} {:<26} {:>7.1} ns alone   two threads {:.2}x",
        load.name,
        L::NAME,
        1e9 / one,
        two / one
    );
}

fn main() {
    for load in [
        Load { name: "reads, saturated", writes: false, between: 0 },
        Load { name: "reads, work between", writes: false, between: 4000 },
        Load { name: "writes, saturated", writes: true, between: 0 },
        Load { name: "writes, work between", writes: true, between: 4000 },
    ] {
        measure::<PlainMutex>(load);
        measure::<Parking>(load);
        measure::<Spinning>(load);
    }
}
