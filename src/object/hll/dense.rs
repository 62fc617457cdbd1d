//! How are registers written that are mostly not zero? Six bits for each, from the lowest bit of the first
//! byte on, so three bytes, read as a little-endian number, are four registers.
//!
//! The slices here are the registers alone, without the header, and have [`BYTES`] bytes.

use super::{REGISTERS, VALUES};

const BITS: usize = 6;
const MAX: u16 = (1 << BITS) - 1;

/// Bytes of all registers.
pub const BYTES: usize = REGISTERS * BITS / 8;

/// The values of each group of registers, in order.
fn groups(registers: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    let (groups, _) = registers.as_chunks::<3>();
    groups.iter().map(|&[a, b, c]| {
        let four = u32::from_le_bytes([a, b, c, 0]);
        [four, four >> 6, four >> 12, four >> 18].map(|value| value as u8 & MAX as u8)
    })
}

/// How many registers have each value.
pub fn histogram(registers: &[u8]) -> [usize; VALUES] {
    // One for each place in a group: equal values in a row would wait for one another's sum.
    let mut four = [[0u32; VALUES]; 4];
    for group in groups(registers) {
        for (histogram, value) in four.iter_mut().zip(group) {
            histogram[usize::from(value)] += 1;
        }
    }
    std::array::from_fn(|value| four.iter().map(|histogram| histogram[value] as usize).sum())
}

/// Raises each of `values` to what the register has.
pub fn merge(registers: &[u8], values: &mut [u8; REGISTERS]) {
    let (fours, _) = values.as_chunks_mut::<4>();
    for (four, group) in fours.iter_mut().zip(groups(registers)) {
        for (value, other) in four.iter_mut().zip(group) {
            *value = other.max(*value);
        }
    }
}

/// Appends values, which are below 64.
pub fn pack(values: &[u8; REGISTERS], out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve_exact(BYTES);
    out.resize(start + BYTES, 0);
    let (threes, _) = out[start..].as_chunks_mut::<3>();
    let (fours, _) = values.as_chunks::<4>();
    for (three, four) in threes.iter_mut().zip(fours) {
        let number = four.iter().rev().fold(0, |number, value| number << BITS | u32::from(*value));
        let [a, b, c, _] = number.to_le_bytes();
        *three = [a, b, c];
    }
}

/// The value of one register.
pub fn get(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * BITS / 8, index * BITS % 8);
    (pair(registers, at) >> shift & MAX) as u8
}

/// Gives a register a value, which is below 64, if it has a smaller one; whether it had.
pub fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    let is_larger = value > get(registers, index);
    if is_larger {
        set(registers, index, value);
    }
    is_larger
}

/// Gives a register a value, which is below 64.
pub fn set(registers: &mut [u8], index: usize, value: u8) {
    let (at, shift) = (index * BITS / 8, index * BITS % 8);
    let changed = (pair(registers, at) & !(MAX << shift)) | u16::from(value) << shift;
    for (byte, new) in registers[at..].iter_mut().zip(changed.to_le_bytes()) {
        *byte = new;
    }
}

/// A register lies in these two bytes; behind the last one, in which a register ends, there is none.
fn pair(registers: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([registers[at], registers.get(at + 1).copied().unwrap_or(0)])
}
