//! What does a filled db cost under the allocator that this binary was built with?
//!
//! Prints resident bytes a key, processor time of an insert, and what stays resident after nine of ten
//! keys are gone and after as many bytes of longer values have come in their place. `KEYS` sets the
//! number of keys. Each size runs in a process of its own, so that nothing is left over from another.

use std::process::Command;
use std::time::Duration;

use mortise::keyspace::db::{Db, ExpireChange};
use rustix::time::{ClockId, clock_gettime};

const KEYS_DEFAULT: usize = 1_000_000;
const VALUE: [u8; 32] = [b'x'; 32];
const LONGER: [u8; 100] = [b'y'; 100];

fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Resident bytes of this process.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("its second field is a number") * 4096
}

/// Keys in an order without a pattern: all numbers below a power of two, each once.
fn key_of(number: usize, keys: usize) -> Vec<u8> {
    let mask = keys.next_power_of_two() - 1;
    format!("key:{:012}", number.wrapping_mul(0x9E37_79B1) & mask).into_bytes()
}

fn measure(name: &str, keys: usize) {
    let mut db = Db::new();
    let before = resident();
    let start = cpu_ns();
    for number in 0..keys {
        db.set_string(&key_of(number, keys), None, &VALUE, ExpireChange::Clear);
    }
    let insert_ns = (cpu_ns() - start) / keys as u64;
    std::thread::sleep(Duration::from_secs(1));
    let full = resident() - before;
    for number in (0..keys).filter(|number| number % 10 != 0) {
        let slot = db.find(&key_of(number, keys)).expect("it was put there");
        drop(db.delete(slot));
    }
    std::thread::sleep(Duration::from_secs(1));
    let thinned = resident() - before;
    for number in keys..keys + keys / 4 {
        db.set_string(format!("new:{number:012}").as_bytes(), None, &LONGER, ExpireChange::Clear);
    }
    let refilled = resident() - before;
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    println!(
        "{name:<24} {keys:>8} keys: {:>5.1} bytes a key, insert {insert_ns} ns, {:.0} MB -> {:.0} MB \
         without 90 % -> {:.0} MB with 25 % longer ones",
        full as f64 / keys as f64,
        megabytes(full),
        megabytes(thinned),
        megabytes(refilled),
    );
}

/// Measures one size, or starts itself anew for each.
pub fn run(name: &str) {
    let given = |variable| std::env::var(variable).ok().and_then(|text| text.parse().ok());
    if let Some(keys) = given("MEASURE") {
        return measure(name, keys);
    }
    if std::env::args().any(|argument| argument == "--test") {
        return measure(name, 10_000);
    }
    let keys: usize = given("KEYS").unwrap_or(KEYS_DEFAULT);
    for keys in [keys, 3 * keys] {
        let own = std::env::current_exe().expect("the binary runs");
        let status = Command::new(own).env("MEASURE", keys.to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "measuring {keys} keys");
    }
}
