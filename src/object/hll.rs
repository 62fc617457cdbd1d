//! How many different elements were there, about? A HyperLogLog, byte for byte as Redis keeps it in a
//! string, so that a key can move between servers.
//!
//! Each element is hashed to 64 bits. Fourteen of them choose one of 16,384 registers, which remembers
//! the longest run of zeros that the other fifty began with, plus one; from how often each value occurs
//! among the registers the number of elements follows, with a standard error of 0.81%. (Flajolet, Fusy,
//! Gandouet and Meunier, 2007; the estimator is Ertl's improved raw one, arXiv:1702.01284, section 4.)
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `HYLL` |
//! | 1 | 0 for dense, 1 for sparse |
//! | 3 | unused, kept as they are |
//! | 8 | the number counted last, little-endian; the highest bit is set when it is out of date |
//! | rest | the registers: `hll/dense.rs`, `hll/sparse.rs` |
//!
//! Invariants: what claims to be one is checked before it is used ([`encoding`]); a sparse string whose
//! runs do not cover the registers exactly is [`Corrupt`], which is noticed only where it matters.

use crate::object::hll::sparse::Edit;

mod dense;
pub mod self_test;
pub mod sparse;

/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// The most that a register can hold: fifty zeros and the bit behind them.
const RANK_MAX: usize = 64 - INDEX_BITS as usize + 1;
/// Values that six bits can have; those beyond [`RANK_MAX`] come from foreign strings only.
const VALUES: usize = 64;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
const HEADER_BYTES: usize = 16;
/// In the last byte of the cached number: it is out of date.
const STALE: u8 = 0x80;

/// How the registers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits for each.
    Dense = 0,
    /// As runs.
    Sparse = 1,
}

/// The runs of a sparse string do not cover the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// An empty one.
pub fn new() -> Vec<u8> {
    let mut hll = Vec::with_capacity(HEADER_BYTES + 8);
    hll.extend_from_slice(MAGIC);
    hll.push(Encoding::Sparse as u8);
    hll.resize(HEADER_BYTES, 0);
    sparse::push_run(&mut hll, 0, REGISTERS);
    hll
}

/// The encoding of a string, if it is a HyperLogLog at all. A sparse one may still be corrupt.
pub fn encoding(string: &[u8]) -> Option<Encoding> {
    if string.len() < HEADER_BYTES || !string.starts_with(MAGIC) {
        return None;
    }
    match string[ENCODING_AT] {
        0 if string.len() == HEADER_BYTES + dense::BYTES => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

fn is_dense(hll: &[u8]) -> bool {
    hll[ENCODING_AT] == Encoding::Dense as u8
}

/// The number counted last, if nothing has changed since.
pub fn cached_count(hll: &[u8]) -> Option<u64> {
    let bytes = hll[CACHE_AT..HEADER_BYTES].try_into().expect("the header has eight bytes for it");
    (hll[HEADER_BYTES - 1] & STALE == 0).then_some(u64::from_le_bytes(bytes))
}

/// Keeps a number that was counted.
pub fn set_cached_count(hll: &mut [u8], count: u64) {
    hll[CACHE_AT..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Says that the number counted last is out of date.
pub fn invalidate(hll: &mut [u8]) {
    hll[HEADER_BYTES - 1] |= STALE;
}

/// What became of elements that were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// How many changed a register.
    pub changed: u64,
    /// Whether corrupt runs were met, behind which no element was added. What came before stays, as in
    /// Redis.
    pub corrupt: bool,
}

/// Adds elements. One that would become longer than `sparse_max` bytes becomes dense.
pub fn add(hll: &mut Vec<u8>, elements: &[&[u8]], sparse_max: usize) -> Added {
    let mut added = Added { changed: 0, corrupt: false };
    for element in elements {
        match add_one(hll, element, sparse_max) {
            Ok(is_changed) => added.changed += u64::from(is_changed),
            Err(Corrupt) => {
                added.corrupt = true;
                break;
            }
        }
    }
    added
}

/// Adds elements to a dense one; how many of them changed a register.
pub fn add_dense(hll: &mut [u8], elements: &[&[u8]]) -> u64 {
    let mut changed = 0;
    for element in elements {
        let (index, rank) = rank_of(element);
        changed += u64::from(dense::raise(&mut hll[HEADER_BYTES..], index, rank));
    }
    if changed > 0 {
        invalidate(hll);
    }
    changed
}

fn add_one(hll: &mut Vec<u8>, element: &[u8], sparse_max: usize) -> Result<bool, Corrupt> {
    let (index, rank) = rank_of(element);
    if !is_dense(hll) {
        match sparse::raise(hll, index, rank, sparse_max)? {
            Edit::Unchanged => return Ok(false),
            Edit::Changed => {
                invalidate(hll);
                return Ok(true);
            }
            Edit::TooLong => {
                to_dense(hll)?;
            }
        }
    }
    let changed = dense::raise(&mut hll[HEADER_BYTES..], index, rank);
    if changed {
        invalidate(hll);
    }
    Ok(changed)
}

/// Makes a sparse one dense; whether it was sparse. The number counted last stays.
pub fn to_dense(hll: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if is_dense(hll) {
        return Ok(false);
    }
    let mut registers = Registers::new();
    registers.merge(hll)?;
    write_dense(hll, &registers);
    Ok(true)
}

fn write_dense(hll: &mut Vec<u8>, registers: &Registers) {
    hll.truncate(HEADER_BYTES);
    hll[ENCODING_AT] = Encoding::Dense as u8;
    dense::pack(&registers.0, hll);
}

/// About how many different elements were added.
pub fn count(hll: &[u8]) -> Result<u64, Corrupt> {
    if is_dense(hll) {
        return Ok(estimate(&dense::histogram(&hll[HEADER_BYTES..])));
    }
    let mut histogram = [0; VALUES];
    let mut covered = 0;
    for run in sparse::runs(hll) {
        covered += run.len;
        histogram[usize::from(run.value)] += run.len;
    }
    if covered == REGISTERS { Ok(estimate(&histogram)) } else { Err(Corrupt) }
}

/// All registers, a byte for each: to merge several HyperLogLogs.
#[derive(Clone, Debug)]
pub struct Registers(Box<[u8; REGISTERS]>);

impl Registers {
    /// Those of an empty one.
    #[expect(clippy::new_without_default, reason = "an empty set is asked for by name")]
    pub fn new() -> Self {
        Self(Box::new([0; REGISTERS]))
    }

    /// The values in order.
    pub fn values(&self) -> &[u8] {
        &self.0[..]
    }

    /// Takes for each register the larger value. After an error nothing may be done with them.
    pub fn merge(&mut self, hll: &[u8]) -> Result<(), Corrupt> {
        if is_dense(hll) {
            dense::merge(&hll[HEADER_BYTES..], &mut self.0);
            return Ok(());
        }
        let mut at = 0;
        for run in sparse::runs(hll) {
            let covered = self.0.get_mut(at..at + run.len).ok_or(Corrupt)?;
            if run.value > 0 {
                covered.iter_mut().for_each(|register| *register = run.value.max(*register));
            }
            at += run.len;
        }
        if at == REGISTERS { Ok(()) } else { Err(Corrupt) }
    }

    /// About how many different elements they stand for.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; VALUES];
        for value in self.values() {
            histogram[usize::from(*value)] += 1;
        }
        estimate(&histogram)
    }

    /// Writes them into a HyperLogLog that they were merged from: no register gets smaller. A sparse one
    /// becomes dense if `dense` says so, or as in [`add`].
    pub fn store(&self, hll: &mut Vec<u8>, dense: bool, sparse_max: usize) -> Result<(), Corrupt> {
        let is_sparse = !dense && !is_dense(hll);
        if !is_sparse || sparse::raise_all(hll, &self.0, sparse_max)? == Edit::TooLong {
            write_dense(hll, self);
        }
        invalidate(hll);
        Ok(())
    }
}

/// The register of an element and the value that it wants there.
fn rank_of(element: &[u8]) -> (usize, u8) {
    const SEED: u64 = 0xadc8_3b19;
    let hash = murmur64a(element, SEED);
    // A bit behind the last one ends a run that nothing else does.
    let rest = (hash >> INDEX_BITS) | (1 << (RANK_MAX - 1));
    (hash as usize % REGISTERS, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A, by Austin Appleby, who placed it in the public domain.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ (hash >> SHIFT)
}

/// The number of elements, from how many registers have each value.
fn estimate(histogram: &[usize; VALUES]) -> u64 {
    /// 1 / (2 ln 2): Ertl's constant for infinitely many registers.
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let mut sum = m * tau((m - histogram[RANK_MAX] as f64) / m);
    for count in histogram[1..RANK_MAX].iter().rev() {
        sum = (sum + *count as f64) * 0.5;
    }
    sum += m * sigma(histogram[0] as f64 / m);
    (ALPHA * m * m / sum).round() as u64
}

/// x + x^2 + 2x^4 + 4x^8 + ...: what the registers that are still zero contribute.
fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut factor, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let before = sum;
        sum += power * factor;
        factor += factor;
        if sum == before {
            return sum;
        }
    }
}

/// What the registers that can grow no more contribute.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut factor, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
#[path = "hll/hll_tests.rs"]
mod tests;
