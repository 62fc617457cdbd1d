//! Is what was promised there after a crash? Random units go to random files on a disk that fails, comes short and loses
//! what was not synced; what a new process would read is compared with what was written or synced by then.

use std::sync::Arc;

use super::Writer;
use crate::base::random::Random;
use crate::config::Config;
use crate::engine::durable::{Durable, Policy};
use crate::engine::effects::Targets;
use crate::engine::log::{Bond, EffectLog};
use crate::engine::records::Records;
use crate::persist::aof::folder::Folder;
use crate::persist::aof::scan::{Item, ScanError, Scanner};
use crate::persist::io::Disk;
use crate::persist::io::faulty::FaultyDisk;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    Killed,
    PowerCut,
}

/// A log whose units are numbered: unit n sets one key to n, or several in a transaction.
struct Process {
    disk: FaultyDisk,
    folder: Folder,
    writer: Writer,
    durable: Durable,
    log: EffectLog,
    random: Random,
    /// Where in the log each unit ends.
    ends: Vec<u64>,
}

impl Process {
    fn new(seed: u64, policy: Policy) -> Self {
        let disk = FaultyDisk::new(seed);
        let mut folder = Folder::open(Arc::new(disk.clone()), &Config::default()).expect("empty");
        folder.create().expect("no faults yet");
        let durable = Durable::new(0);
        durable.set_policy(policy);
        let (writer, mut log) = (Writer::default(), EffectLog::default());
        next_file(&mut folder, &writer, &durable).expect("no faults yet");
        log.begin_aof(false);
        let random = Random::new(seed);
        Self { disk, folder, writer, durable, log, random, ends: Vec::new() }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random.draw() % below
    }

    fn step(&mut self) {
        match self.draw(12) {
            0..=4 => self.log_unit(),
            5..=7 => _ = self.writer.write(&self.durable, 0),
            8 | 9 => {
                if let Ok(Some(what)) = self.writer.write_for_sync(&self.durable, 0) {
                    // A sync that fails promises nothing.
                    let _ = self.writer.sync(&self.durable, what);
                }
            }
            10 => {
                // As a rewrite does; what fails leaves the old file in use.
                if self.writer.write(&self.durable, 0)
                    && next_file(&mut self.folder, &self.writer, &self.durable).is_some()
                {
                    self.log.begin_aof(false);
                }
            }
            _ => {
                let fails = [0, 0, 8, 3][self.draw(4) as usize];
                let shortens = [0, 2][self.draw(2) as usize];
                self.disk.set_faults(fails, shortens);
                let room = [usize::MAX, usize::MAX, 40][self.draw(3) as usize];
                self.disk.set_room(room);
            }
        }
    }

    fn log_unit(&mut self) {
        let number = self.ends.len().to_string().into_bytes();
        let count = 1 + self.draw(3);
        let db = self.draw(2) as u32;
        let mut records = Records::default();
        for _ in 0..count {
            records.push(db, Targets::all(), &[b"SET", b"key", &number]);
        }
        self.log.append(&records, Bond::Together, 0);
        self.log.hand_over(&self.durable);
        self.ends.push(self.durable.appended());
    }

    /// Crashes, and compares what is left with what was promised.
    fn crash(self, how: Crash) {
        let promised = match how {
            Crash::Killed => self.durable.written(),
            Crash::PowerCut => self.durable.synced(),
        };
        let promised = self.ends.iter().filter(|end| **end <= promised).count();
        if how == Crash::PowerCut {
            self.disk.cut_power();
        }
        self.disk.set_faults(0, 0);
        let folder = Folder::open(Arc::new(self.disk.clone()), &Config::default());
        let folder = folder.unwrap_or_else(|error| panic!("the manifest is broken: {error}"));
        let names: Vec<_> = folder.manifest().files().map(|part| part.name.clone()).collect();
        let texts: Vec<_> = names
            .iter()
            .map(|name| self.disk.read(&folder.path_to(name)).expect("listed files are there"))
            .collect();
        let mut found = 0;
        for (at, text) in texts.iter().enumerate() {
            let is_last = texts[at + 1..].iter().all(Vec::is_empty);
            read(text, is_last, &mut found);
        }
        assert!(found >= promised, "{found} units are left of {promised}");
    }
}

/// Opens the next file and writes to it, if nothing fails.
fn next_file(folder: &mut Folder, writer: &Writer, durable: &Durable) -> Option<()> {
    let (manifest, part) = folder.with_new_incremental(folder.manifest());
    let file = folder.open_file(&part.name, true).ok()?;
    folder.persist(manifest).ok()?;
    writer.switch(file, 0, durable.appended());
    Some(())
}

/// Reads units in order; the last one of the last file may be cut off.
fn read(text: &[u8], is_last: bool, found: &mut usize) {
    let mut scanner = Scanner::new(text, 0);
    let mut in_transaction = false;
    loop {
        let argv = match scanner.next_item() {
            Ok(Some(Item::Command(argv))) => argv,
            Ok(Some(Item::Note(_))) => continue,
            Ok(None) => return assert!(is_last || !in_transaction),
            Err(ScanError::Truncated(_)) => {
                return assert!(is_last, "a file before the last is cut");
            }
            Err(error) => panic!("{error:?}"),
        };
        match argv[0].as_slice() {
            b"SELECT" => continue,
            b"MULTI" => in_transaction = true,
            b"EXEC" => in_transaction = false,
            _ => assert_eq!(argv[2], found.to_string().into_bytes(), "a unit is missing"),
        }
        if !in_transaction {
            *found += 1;
        }
    }
}

fn run(policy: Policy, how: Crash) {
    for seed in 0..400 {
        let mut process = Process::new(seed, policy);
        for _ in 0..process.draw(200) {
            process.step();
        }
        process.crash(how);
    }
}

#[test]
fn what_was_written_survives_the_process() {
    run(Policy::EverySecond, Crash::Killed);
}

#[test]
fn what_was_synced_survives_a_power_cut() {
    run(Policy::Always, Crash::PowerCut);
}

#[test]
fn a_full_disk_is_told_of_and_recovers() {
    let mut process = Process::new(1, Policy::EverySecond);
    process.log_unit();
    assert!(process.writer.write(&process.durable, 0));
    process.disk.set_room(10);
    process.log_unit();
    assert!(!process.writer.write(&process.durable, 0));
    assert_eq!(process.durable.failure().as_deref(), Some("No space left on device"));
    assert_eq!(process.durable.released(), process.ends[0]);
    process.log_unit();
    assert!(!process.writer.write(&process.durable, 0));
    process.disk.set_room(usize::MAX);
    assert!(process.writer.write(&process.durable, 0));
    assert_eq!((process.durable.failure(), process.durable.released()), (None, process.ends[2]));
    process.crash(Crash::Killed);
}
