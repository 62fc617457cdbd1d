//! Do the word-wise algorithms say what a loop over single bits says?

use proptest::prelude::*;

use super::*;

/// All bits, one by one.
fn bits(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |at| byte & (0x80 >> at) != 0)).collect()
}

fn bytes_of(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|byte| byte.iter().enumerate().map(|(at, bit)| u8::from(*bit) << (7 - at)).sum())
        .collect()
}

/// Strings with long runs of equal bytes, as bitmaps have them.
fn bitmap() -> impl Strategy<Value = Vec<u8>> {
    let run = (prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 1..80usize);
    prop::collection::vec(run, 0..12)
        .prop_map(|runs| runs.into_iter().flat_map(|(byte, len)| vec![byte; len]).collect())
}

fn field_type() -> impl Strategy<Value = FieldType> {
    (any::<bool>(), 1..=64i64)
        .prop_filter_map("not a type", |(signed, bits)| FieldType::new(signed, bits))
}

#[test]
fn long_strings_are_counted_without_carries() {
    for len in [0, 1, 31, 32, 33, 31 * 32, 31 * 32 + 1, 10_000] {
        assert_eq!(count(&vec![0xff; len]), len as u64 * 8);
        assert_eq!(count(&vec![0; len]), 0);
    }
}

#[test]
fn combined_strings_go_over_several_blocks() {
    let long = vec![0b1010_1010; 3 * BLOCK_BYTES + 5];
    let short = vec![0b1100_1100; BLOCK_BYTES + 3];
    let and = combine(BitOp::And, &[&long, &short]);
    assert_eq!(and.len(), long.len());
    assert!(and[..short.len()].iter().all(|byte| *byte == 0b1000_1000));
    assert!(and[short.len()..].iter().all(|byte| *byte == 0));
    let or = combine(BitOp::Or, &[&short, &long]);
    assert!(or[..short.len()].iter().all(|byte| *byte == 0b1110_1110));
    assert!(or[short.len()..].iter().all(|byte| *byte == 0b1010_1010));
}

#[test]
fn types_are_bounded() {
    assert!(FieldType::new(true, 64).is_some());
    assert!(FieldType::new(false, 63).is_some());
    for (signed, bits) in [(true, 65), (false, 64), (true, 0), (false, -1), (true, i64::MAX)] {
        assert_eq!(FieldType::new(signed, bits), None);
    }
}

#[test]
fn values_that_do_not_fit_are_wrapped_or_saturated() {
    let kind = |signed, bits| FieldType::new(signed, bits).expect("a type");
    let (u8, i8, i64) = (kind(false, 8), kind(true, 8), kind(true, 64));
    assert_eq!(u8.fit(256, Overflow::Wrap), Some(0));
    assert_eq!(u8.fit(-1, Overflow::Wrap), Some(255));
    assert_eq!(u8.fit(256, Overflow::Saturate), Some(255));
    assert_eq!(u8.fit(-1, Overflow::Saturate), Some(0));
    assert_eq!(u8.fit_given(-1, Overflow::Saturate), Some(255));
    assert_eq!(i8.fit_given(i64::MIN + 128, Overflow::Saturate), Some(-128));
    assert_eq!(i8.fit_given(i64::MIN + 127, Overflow::Saturate), Some(127));
    assert_eq!(i64.fit_given(i64::MIN, Overflow::Saturate), Some(i64::MIN));
    assert_eq!(u8.fit(256, Overflow::Fail), None);
    assert_eq!(i8.fit(128, Overflow::Wrap), Some(-128));
    assert_eq!(i8.fit(-129, Overflow::Wrap), Some(127));
    assert_eq!(i8.fit(-129, Overflow::Saturate), Some(-128));
    let beyond = i128::from(i64::MAX) + 1;
    assert_eq!(i64.fit(beyond, Overflow::Wrap), Some(i64::MIN));
    assert_eq!(i64.fit(beyond, Overflow::Saturate), Some(i64::MAX));
    assert_eq!(i64.fit(beyond - 1, Overflow::Fail), Some(i64::MAX));
}

proptest! {
    #[test]
    fn counting_and_searching_agree_with_single_bits(
        bytes in bitmap(),
        ends in any::<(prop::sample::Index, prop::sample::Index)>(),
        bit in any::<bool>(),
    ) {
        let bits = bits(&bytes);
        prop_assert_eq!(count(&bytes), bits.iter().filter(|bit| **bit).count() as u64);
        if !bits.is_empty() {
            let (a, b) = (ends.0.index(bits.len()), ends.1.index(bits.len()));
            let (first, last) = (a.min(b), a.max(b));
            let range = &bits[first..=last];
            let set = range.iter().filter(|bit| **bit).count();
            prop_assert_eq!(count_bits(&bytes, first, last), set as u64);
            let found = range.iter().position(|other| *other == bit);
            prop_assert_eq!(find_bit(&bytes, bit, first, last), found.map(|at| first + at));
        }
    }

    #[test]
    fn operations_agree_with_single_bits(sources in prop::collection::vec(bitmap(), 1..5)) {
        let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let len = sources.iter().map(Vec::len).max().unwrap_or(0) * 8;
        let all: Vec<Vec<bool>> = sources.iter().map(|source| bits(source)).collect();
        let column = |at: usize| all.iter().map(move |bits| bits.get(at).is_some_and(|bit| *bit));
        let expected = |judge: &dyn Fn(usize) -> bool| bytes_of(&(0..len).map(judge).collect::<Vec<_>>());
        prop_assert_eq!(combine(BitOp::And, &slices), expected(&|at| column(at).all(|bit| bit)));
        prop_assert_eq!(combine(BitOp::Or, &slices), expected(&|at| column(at).any(|bit| bit)));
        let odd = |at| column(at).filter(|bit| *bit).count() % 2 == 1;
        prop_assert_eq!(combine(BitOp::Xor, &slices), expected(&odd));
        let inverted: Vec<bool> = all[0].iter().map(|bit| !bit).collect();
        prop_assert_eq!(invert(slices[0]), bytes_of(&inverted));
    }

    #[test]
    fn fields_agree_with_single_bits(
        bytes in prop::collection::vec(any::<u8>(), 9..20),
        position in 0..80usize,
        kind in field_type(),
        value in any::<i64>(),
    ) {
        let mut plain = bits(&bytes);
        plain.resize(plain.len().max(position + 64), false);
        let mut read = plain[position..][..kind.bits as usize]
            .iter()
            .fold(0i128, |read, bit| read * 2 + i128::from(*bit));
        if kind.signed && plain[position] {
            read -= 1 << kind.bits;
        }
        prop_assert_eq!(i128::from(field(&bytes, position, kind)), read);

        let len = (position + kind.bits as usize).div_ceil(8).max(bytes.len());
        let mut changed = bytes.clone();
        changed.resize(len, 0);
        let mut expected = bits(&changed);
        for at in 0..kind.bits {
            expected[position + at as usize] = value >> (kind.bits - 1 - at) & 1 == 1;
        }
        set_field(&mut changed, position, kind, value);
        prop_assert_eq!(changed, bytes_of(&expected));
    }
}
