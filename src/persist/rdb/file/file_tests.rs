//! Is the file whole after whatever happened? Snapshots go one after the other to a disk that fails, comes short, is
//! full, and loses what was not synced; the process is killed or the power cut at any step. What then has the file's
//! name is one of the snapshots, whole, and none before the last that was said to be saved.

use super::*;
use crate::base::random::Random;
use crate::persist::io::faulty::FaultyDisk;
use crate::persist::rdb::disk;

const NAME: &str = "/d/dump.rdb";
const TEMPORARY: &str = "/d/temp-1-bg.rdb";

/// How a history ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The process is killed at some step.
    Killed,
    /// The power is cut there.
    PowerCut,
}

/// Where a save stops, because the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Writing(u64),
    Written,
    Sealed,
    Never,
}

/// The bytes of snapshot `number`, without their checksum.
fn contents(number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let len = random.draw() % 300;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((0..len).map(|_| random.draw() as u8));
    bytes
}

struct History {
    disk: FaultyDisk,
    random: Random,
    /// The number of the last snapshot that was said to be saved, and of the last that was begun.
    saved: u64,
    begun: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut history =
            Self { disk: FaultyDisk::new(seed), random: Random::new(seed), saved: 0, begun: 0 };
        history.save(Stop::Never);
        assert_eq!(history.saved, 1, "there are no faults yet");
        history
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random.draw() % below
    }

    fn set_faults(&mut self) {
        let fails = [0, 0, 12, 4][self.draw(4) as usize];
        let shortens = [0, 2][self.draw(2) as usize];
        let room = [usize::MAX, usize::MAX, 100][self.draw(3) as usize];
        self.disk.set_faults(fails, shortens);
        self.disk.set_room(room);
    }

    /// Saves the next snapshot as the server does, up to `stop`.
    fn save(&mut self, stop: Stop) {
        self.begun += 1;
        let bytes = contents(self.begun);
        let style = FileStyle { checksum: true, syncs: true };
        let disk = Arc::new(self.disk.clone());
        let Ok(mut file) = NewFile::create(disk, TEMPORARY.into(), style) else { return };
        for (number, piece) in (0..).zip(bytes.chunks(1 + self.draw(100) as usize)) {
            if stop == Stop::Writing(number) {
                return self.forget(file);
            }
            file.drain(&mut piece.to_vec());
        }
        if stop == Stop::Written {
            return self.forget(file);
        }
        if !disk::seal(&mut file) {
            return;
        }
        if stop == Stop::Sealed {
            return self.forget(file);
        }
        if disk::publish(file, Path::new(NAME), || Some(())) {
            self.saved = self.begun;
        }
    }

    /// The process ends: nothing is cleaned up.
    fn forget(&self, file: NewFile) {
        std::mem::forget(file);
    }

    fn end(mut self, end: End) {
        let stop = match self.draw(4) {
            0 => Stop::Writing(self.draw(4)),
            1 => Stop::Written,
            2 => Stop::Sealed,
            _ => Stop::Never,
        };
        self.save(stop);
        if end == End::PowerCut {
            self.disk.cut_power();
        }
        self.disk.set_faults(0, 0);
        let found = self.disk.read(Path::new(NAME)).expect("there is a file, whatever happened");
        let (bytes, checksum) = found.split_at(found.len().saturating_sub(8));
        assert_eq!(checksum, crc64(0, bytes).to_le_bytes(), "half a file");
        let number = bytes.first_chunk().map(|number| u64::from_le_bytes(*number));
        let number = number.expect("a number stands in front");
        assert_eq!(bytes, contents(number));
        let (saved, begun) = (self.saved, self.begun);
        assert!((saved..=begun).contains(&number), "{number} is not among {saved} to {begun}");
    }
}

fn run(end: End) {
    for seed in 0..2000 {
        println!("seed {seed}");
        let mut history = History::new(seed);
        for _ in 0..history.draw(8) {
            history.set_faults();
            history.save(Stop::Never);
        }
        history.end(end);
    }
}

#[test]
fn the_file_is_whole_when_the_process_was_killed() {
    run(End::Killed);
}

#[test]
fn the_file_is_whole_after_a_power_cut() {
    run(End::PowerCut);
}

#[test]
fn a_failed_save_leaves_no_temporary_file() {
    let history = History::new(1);
    history.disk.set_room(3);
    let mut history = history;
    history.save(Stop::Never);
    assert_eq!((history.saved, history.begun), (1, 2));
    assert!(history.disk.read(Path::new(TEMPORARY)).is_err());
    history.disk.set_room(usize::MAX);
    history.save(Stop::Never);
    assert_eq!(history.saved, 3);
}
