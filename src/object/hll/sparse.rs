//! How are registers written that are mostly zero? As runs of equal ones:
//!
//! | bits | registers |
//! |---|---|
//! | `00nnnnnn` | n + 1 zeros (ZERO) |
//! | `01nnnnnn nnnnnnnn` | n + 1 zeros, the high bits first (XZERO) |
//! | `1vvvvvnn` | n + 1 times the value v + 1 (VAL) |
//!
//! A register that changes splits its run in up to three; then neighbours with one value are joined again
//! where they fit one run. Which runs come of it is Redis's choice in every detail, or strings that hold
//! the same would differ between servers.
//!
//! The strings here are whole, with their header. Nothing is believed of what is behind it.

use super::{Corrupt, HEADER_BYTES, REGISTERS};

/// The largest value of a VAL; a register with a larger one makes the string dense.
const VALUE_MAX: u8 = 32;
/// Most registers of a VAL.
const VAL_LEN_MAX: usize = 4;
/// Most registers of a ZERO.
const ZERO_LEN_MAX: usize = 64;
/// Runs that are looked at for joining, from the one before the change on.
const JOIN_RUNS: usize = 5;

/// Equal registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Their value.
    pub value: u8,
    /// How many there are.
    pub len: usize,
    /// Bytes that say so.
    bytes: usize,
}

impl Run {
    /// Reads the run at a place, which is within the string. Where the second byte of an XZERO is missing
    /// it counts as zero, as in Redis, whose strings end so.
    fn read(hll: &[u8], at: usize) -> Self {
        let byte = hll[at];
        let low = usize::from(byte & 0x3f);
        if byte & 0x80 != 0 {
            Self { value: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 3) + 1, bytes: 1 }
        } else if byte & 0x40 != 0 {
            let next = usize::from(hll.get(at + 1).copied().unwrap_or(0));
            Self { value: 0, len: (low << 8 | next) + 1, bytes: 2 }
        } else {
            Self { value: 0, len: low + 1, bytes: 1 }
        }
    }

    /// Whether it has two bytes: Redis shows it by another letter.
    pub fn is_long(&self) -> bool {
        self.bytes == 2
    }
}

/// The runs of a string.
pub fn runs(hll: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = HEADER_BYTES;
    std::iter::from_fn(move || {
        let run = (at < hll.len()).then(|| Run::read(hll, at))?;
        at += run.bytes;
        Some(run)
    })
}

/// Appends a run of zeros, of any length, or of a value, of at most four registers; none if it is empty.
pub fn push_run(out: &mut Vec<u8>, value: u8, len: usize) {
    let Some(less) = len.checked_sub(1) else { return };
    if value > 0 {
        out.push(0x80 | (value - 1) << 2 | less as u8);
    } else if len > ZERO_LEN_MAX {
        out.extend_from_slice(&[0x40 | (less >> 8) as u8, less as u8]);
    } else {
        out.push(less as u8);
    }
}

/// What became of an attempt to raise a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It was as large already.
    Unchanged,
    /// It is larger now.
    Changed,
    /// The string cannot hold it, and is as it was.
    TooLong,
}

/// Where a run begins, and with which register.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    first: usize,
}

const START: Place = Place { at: HEADER_BYTES, first: 0 };

impl Place {
    /// The run here, and the place behind it. There must be one, and it must be whole.
    fn read(self, hll: &[u8]) -> Result<(Run, Place), Corrupt> {
        if self.at >= hll.len() {
            return Err(Corrupt);
        }
        let run = Run::read(hll, self.at);
        let behind = Place { at: self.at + run.bytes, first: self.first + run.len };
        if behind.at > hll.len() { Err(Corrupt) } else { Ok((run, behind)) }
    }
}

/// Gives a register a value if it has a smaller one and the string is then not longer than `bytes_max`.
pub fn raise(
    hll: &mut Vec<u8>,
    index: usize,
    value: u8,
    bytes_max: usize,
) -> Result<Edit, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Edit::TooLong);
    }
    let (mut place, mut before) = (START, None);
    loop {
        let (run, behind) = place.read(hll)?;
        if index < behind.first {
            return Ok(split(hll, place, run, before, (index, value), bytes_max));
        }
        before = Some(place);
        place = behind;
    }
}

/// Does the same for all registers that are not to be zero, one after the other, in one walk. What came
/// before a change need not be looked at again, but for the run right before, which may have been joined
/// with what came of the change.
pub fn raise_all(
    hll: &mut Vec<u8>,
    values: &[u8; REGISTERS],
    bytes_max: usize,
) -> Result<Edit, Corrupt> {
    let (mut place, mut passed) = (START, Vec::new());
    let mut all = Edit::Unchanged;
    for (index, &value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
        if value > VALUE_MAX {
            return Ok(Edit::TooLong);
        }
        let mut here = place.read(hll)?;
        while index >= here.1.first {
            passed.push(place);
            place = here.1;
            here = place.read(hll)?;
        }
        match split(hll, place, here.0, passed.last().copied(), (index, value), bytes_max) {
            Edit::Unchanged => {}
            Edit::TooLong => return Ok(Edit::TooLong),
            Edit::Changed => {
                all = Edit::Changed;
                place = passed.pop().unwrap_or(START);
            }
        }
    }
    Ok(all)
}

/// Raises a register of this run.
fn split(
    hll: &mut Vec<u8>,
    place: Place,
    run: Run,
    before: Option<Place>,
    (index, value): (usize, u8),
    bytes_max: usize,
) -> Edit {
    if run.value >= value {
        return Edit::Unchanged;
    }
    let mut parts = Vec::with_capacity(5);
    push_run(&mut parts, run.value, index - place.first);
    push_run(&mut parts, value, 1);
    push_run(&mut parts, run.value, place.first + run.len - 1 - index);
    if parts.len() > run.bytes && hll.len() + parts.len() - run.bytes > bytes_max {
        return Edit::TooLong;
    }
    hll.splice(place.at..place.at + run.bytes, parts);
    join(hll, before.unwrap_or(START).at);
    Edit::Changed
}

/// Joins runs of one value, from this place on.
fn join(hll: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_RUNS {
        if at >= hll.len() {
            return;
        }
        let run = Run::read(hll, at);
        let next = (at + 1 < hll.len()).then(|| Run::read(hll, at + 1));
        match next {
            Some(next)
                if run.value > 0
                    && next.value == run.value
                    && run.len + next.len <= VAL_LEN_MAX =>
            {
                hll[at] += next.len as u8;
                hll.remove(at + 1);
            }
            _ => at += run.bytes,
        }
    }
}
