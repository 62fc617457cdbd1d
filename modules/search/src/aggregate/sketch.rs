//! How many different values were there, roughly?
//!
//! HyperLogLog (Flajolet et al., 2007) with 2^8 registers and linear counting below 2.5 values per register. HLL hands a
//! sketch out as bytes, which HLL_SUM adds up: four bytes of zeros, the number of index bits, then the registers.

use std::hash::Hasher;

use crate::expression::value::Value;

/// Bits of a hash that choose the register.
const INDEX_BITS: u8 = 8;
/// Index bits that a sketch from outside may have.
const INDEX_BITS_RANGE: std::ops::RangeInclusive<u8> = 4..=20;
/// Bytes before the registers.
const HEADER_BYTES: usize = 5;

/// A sketch.
#[derive(Debug, Clone)]
pub struct Sketch {
    registers: Box<[u8]>,
}

impl Default for Sketch {
    fn default() -> Sketch {
        Sketch { registers: vec![0; 1 << INDEX_BITS].into() }
    }
}

impl Sketch {
    /// What one that is made here has on the heap.
    pub const BYTES: usize = 1 << INDEX_BITS;

    /// Counts a value.
    pub fn add(&mut self, value: &Value<'_>) {
        let hash = stable_hash(value);
        let index = (hash >> (64 - INDEX_BITS)) as usize;
        let rank = ((hash << INDEX_BITS).leading_zeros() + 1).min(57) as u8;
        self.registers[index] = self.registers[index].max(rank);
    }

    /// Counts what another has counted; answers whether that can be, which it can with as many registers.
    pub fn merge(&mut self, other: &Sketch) -> bool {
        if self.registers.len() != other.registers.len() {
            return false;
        }
        for (own, other) in self.registers.iter_mut().zip(&other.registers) {
            *own = (*own).max(*other);
        }
        true
    }

    /// How many different values there were.
    pub fn count(&self) -> f64 {
        let size = self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
        let zeros = self.registers.iter().filter(|rank| **rank == 0).count();
        let bias = match self.registers.len() {
            16 => 0.673,
            32 => 0.697,
            64 => 0.709,
            _ => 0.7213 / (1.0 + 1.079 / size),
        };
        let estimate = bias * size * size / sum;
        match zeros {
            1.. if estimate <= 2.5 * size => (size * (size / zeros as f64).ln()).floor(),
            _ => estimate.floor(),
        }
    }

    /// The sketch as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bits = self.registers.len().trailing_zeros() as u8;
        let mut bytes = vec![0, 0, 0, 0, bits];
        bytes.extend_from_slice(&self.registers);
        bytes
    }

    /// A sketch out of bytes; none if they are not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Sketch> {
        let (header, registers) = bytes.split_at_checked(HEADER_BYTES)?;
        let bits = header[HEADER_BYTES - 1];
        let fits = INDEX_BITS_RANGE.contains(&bits) && registers.len() == 1 << bits;
        fits.then(|| Sketch { registers: registers.into() })
    }
}

/// A hash that is the same in every process, since sketches may be kept: FNV-1a with a finish that spreads it.
fn stable_hash(value: &Value<'_>) -> u64 {
    let mut state = Fnv(0xcbf2_9ce4_8422_2325);
    fold(value, &mut state);
    let mut hash = state.0;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

fn fold(value: &Value<'_>, state: &mut Fnv) {
    match value {
        Value::Null | Value::Map(_) => state.write_u8(0),
        Value::Number(number) => state.write_u64((number + 0.0).to_bits()),
        Value::Text(text) => state.write(text),
        Value::List(items) => items.iter().for_each(|item| fold(item, state)),
        Value::Several(several) => state.write(&several.shown),
    }
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(range: std::ops::Range<u32>) -> Sketch {
        let mut sketch = Sketch::default();
        for number in range {
            sketch.add(&Value::Number(number.into()));
            sketch.add(&Value::Number(number.into()));
        }
        sketch
    }

    #[test]
    fn few_values_are_counted_exactly_and_many_nearly() {
        assert_eq!(Sketch::default().count(), 0.0);
        let mut sketch = Sketch::default();
        ["RediSearch", "RedisAI", "RedisJson"]
            .iter()
            .for_each(|t| sketch.add(&Value::text(t.as_bytes())));
        assert_eq!(sketch.count(), 3.0);
        for count in [100u32, 1000, 50_000] {
            let estimate = counted(0..count).count();
            // Five standard deviations of 1.04 / sqrt(256).
            let error = (estimate / f64::from(count) - 1.0).abs();
            assert!(error < 0.33, "{estimate} for {count}");
        }
    }

    #[test]
    fn sketches_add_up() {
        let mut sum = counted(0..600);
        assert!(sum.merge(&counted(300..900)));
        assert_eq!(sum.count(), counted(0..900).count());
        let read = Sketch::from_bytes(&sum.to_bytes()).unwrap();
        assert_eq!(read.count(), sum.count());
        assert!(Sketch::from_bytes(b"").is_none() && Sketch::from_bytes(&[0; 261]).is_none());
        let small =
            Sketch::from_bytes(&[0, 0, 0, 0, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert!(!sum.merge(&small.unwrap()));
    }
}
