//! Does the arithmetic hold on this machine? What PFSELFTEST runs.

use super::{Encoding, HEADER_BYTES, REGISTERS, Registers};
use super::{add, add_dense, count, dense, encoding, new, write_dense};

/// Elements that PFSELFTEST adds: enough for all registers to be large.
pub const ELEMENTS: u64 = 10_000_000;
/// How often every register is written and read.
const CYCLES: usize = 1000;

/// Writes and reads all registers, then adds this many elements, dense and sparse, and compares the counts
/// with the truth at every power of ten. Says what is wrong.
pub fn run(elements: u64, seed: u64, sparse_max: usize) -> Result<(), String> {
    registers_keep_their_values(seed)?;
    counts_are_near_the_truth(elements, seed, sparse_max)
}

fn registers_keep_their_values(seed: u64) -> Result<(), String> {
    let mut state = seed | 1;
    let mut packed = vec![0; dense::BYTES];
    let mut plain = [0; REGISTERS];
    for _ in 0..CYCLES {
        for (index, value) in plain.iter_mut().enumerate() {
            // xorshift, by Marsaglia
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *value = state as u8 & 63;
            dense::set(&mut packed, index, *value);
        }
        for (index, value) in plain.iter().enumerate() {
            let read = dense::get(&packed, index);
            if read != *value {
                return Err(format!("Register {index} should be {value} but is {read}"));
            }
        }
    }
    Ok(())
}

fn counts_are_near_the_truth(elements: u64, seed: u64, sparse_max: usize) -> Result<(), String> {
    let standard_error = 1.04 / (REGISTERS as f64).sqrt();
    let (mut full, mut growing) = (new(), new());
    write_dense(&mut full, &Registers::new());
    debug_assert_eq!(full.len(), HEADER_BYTES + dense::BYTES);
    let mut checkpoint = 1;
    for number in 1..=elements {
        let element = (number ^ seed).to_le_bytes();
        add_dense(&mut full, &[&element]);
        if add(&mut growing, &[&element], sparse_max).corrupt {
            return Err("the sparse one is corrupt".to_owned());
        }
        if number != checkpoint {
            continue;
        }
        let early = number < sparse_max as u64 / 2;
        if early && encoding(&growing) != Some(Encoding::Sparse) {
            return Err("sparse encoding not used".to_owned());
        }
        let counted = count(&full).map_err(|_| "the dense one is corrupt")?;
        if count(&growing) != Ok(counted) {
            return Err("dense/sparse disagree".to_owned());
        }
        // Six standard errors; among ten elements two may well meet in one register.
        let allowed =
            if number == 10 { 1 } else { (standard_error * 6.0 * number as f64).ceil() as u64 };
        if counted.abs_diff(number) > allowed {
            let off = counted.abs_diff(number);
            return Err(format!("Too big error. card:{number} abserr:{off}"));
        }
        checkpoint *= 10;
    }
    Ok(())
}
