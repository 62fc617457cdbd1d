//! Does a HyperLogLog in a string hold what plain registers hold, and is it the string that Redis makes?

use proptest::prelude::*;

use super::*;

const SPARSE_MAX: usize = 3000;

/// Plain registers, the model of both encodings.
#[derive(Clone, Default)]
struct Model(std::collections::BTreeMap<usize, u8>);

impl Model {
    fn raise(&mut self, index: usize, value: u8) -> bool {
        let register = self.0.entry(index).or_default();
        let is_larger = value > *register;
        *register = value.max(*register);
        is_larger
    }

    fn assert_is(&self, hll: &[u8]) {
        assert!(encoding(hll).is_some());
        let mut registers = Registers::new();
        registers.merge(hll).expect("not corrupt");
        for (index, value) in registers.values().iter().enumerate() {
            let expected = self.0.get(&index).copied().unwrap_or(0);
            assert_eq!(*value, expected, "register {index}");
        }
        assert_eq!(count(hll), Ok(registers.count()));
    }
}

fn raise(hll: &mut Vec<u8>, index: usize, value: u8, sparse_max: usize) -> bool {
    if !is_dense(hll) {
        match sparse::raise(hll, index, value, sparse_max).expect("not corrupt") {
            Edit::Unchanged => return false,
            Edit::Changed => return true,
            Edit::TooLong => assert_eq!(to_dense(hll), Ok(true)),
        }
    }
    dense::raise(&mut hll[HEADER_BYTES..], index, value)
}

fn runs_of(hll: &[u8]) -> Vec<(u8, usize)> {
    sparse::runs(hll).map(|run| (run.value, run.len)).collect()
}

#[test]
fn the_string_is_the_one_that_redis_makes() {
    let mut hll = new();
    let elements: [&[u8]; 5] = [b"a", b"b", b"c", b"", b"hello-world-long"];
    assert_eq!(add(&mut hll, &elements, SPARSE_MAX), Added { changed: 5, corrupt: false });
    let registers = b"W1\x84I\xc0\x80Iw\x80G8\x84K\xfb\x80BZ";
    assert_eq!(&hll[..HEADER_BYTES], b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80");
    assert_eq!(&hll[HEADER_BYTES..], registers);
    assert_eq!(cached_count(&hll), None);
    assert_eq!(count(&hll), Ok(5));
    assert_eq!(add(&mut hll, &elements, SPARSE_MAX), Added { changed: 0, corrupt: false });
}

#[test]
fn an_empty_one_is_one_run() {
    let hll = new();
    assert_eq!(hll, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    assert_eq!(count(&hll), Ok(0));
    assert_eq!(cached_count(&hll), Some(0));
}

#[test]
fn a_register_splits_its_run() {
    let mut hll = new();
    for (index, value) in [(1000, 2), (1020, 3), (1021, 3)] {
        assert_eq!(sparse::raise(&mut hll, index, value, SPARSE_MAX), Ok(Edit::Changed));
    }
    let runs = [(0, 1000), (2, 1), (0, 19), (3, 2), (0, 15362)];
    assert_eq!(runs_of(&hll), runs);
    assert_eq!(sparse::raise(&mut hll, 1021, 3, SPARSE_MAX), Ok(Edit::Unchanged));
    assert_eq!(sparse::raise(&mut hll, 1021, 33, SPARSE_MAX), Ok(Edit::TooLong));
    let len = hll.len();
    assert_eq!(sparse::raise(&mut hll, 5, 1, len), Ok(Edit::TooLong));
    assert_eq!(runs_of(&hll), runs);
}

#[test]
fn what_is_no_hyperloglog_is_told_apart() {
    let mut dense = new();
    assert_eq!(to_dense(&mut dense), Ok(true));
    assert_eq!(encoding(&dense), Some(Encoding::Dense));
    assert_eq!(encoding(&dense[..dense.len() - 1]), None);
    assert_eq!(encoding(b"HYLL\x01"), None);
    assert_eq!(encoding(b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"), None);
    assert_eq!(encoding(b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"), None);
}

#[test]
fn corrupt_runs_are_found() {
    let (short, long) = (&b"\x7f\xfe"[..], &b"\x7f\xff\x88"[..]);
    for tail in [short, long, b"", b"\x7f", b"\x7f\xff\x7f\xff"] {
        let mut hll = new();
        hll.truncate(HEADER_BYTES);
        hll.extend_from_slice(tail);
        let before = hll.clone();
        assert_eq!(count(&hll), Err(Corrupt), "{tail:?}");
        assert_eq!(Registers::new().merge(&hll), Err(Corrupt), "{tail:?}");
        assert_eq!(to_dense(&mut hll), Err(Corrupt), "{tail:?}");
        assert_eq!(hll, before);
    }
}

#[test]
fn elements_before_corrupt_runs_stay() {
    // Half of the registers are there.
    let mut hll = new();
    hll.truncate(HEADER_BYTES);
    hll.extend_from_slice(b"\x5f\xff");
    let names: Vec<Vec<u8>> = (0..20).map(|n: u32| n.to_string().into_bytes()).collect();
    let elements: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let first_bad = elements.iter().position(|element| rank_of(element).0 >= REGISTERS / 2);
    let first_bad = first_bad.expect("one of twenty");
    let added = add(&mut hll, &elements, SPARSE_MAX);
    assert_eq!(added, Added { changed: first_bad as u64, corrupt: true });
    assert_eq!(sparse::runs(&hll).map(|run| run.len).sum::<usize>(), REGISTERS / 2);
}

#[test]
fn the_self_test_passes() {
    assert_eq!(self_test::run(100_000, 42, SPARSE_MAX), Ok(()));
}

proptest! {
    #[test]
    fn registers_agree_with_the_model(
        raises in prop::collection::vec((0..300usize, 1..51u8), 1..300),
        spread in 1..54usize,
        sparse_max in 16..400usize,
    ) {
        let (mut hll, mut model) = (new(), Model::default());
        for (index, value) in raises {
            let value = if value > 34 { value % 3 + 1 } else { value };
            let index = index * spread;
            let is_changed = raise(&mut hll, index, value, sparse_max);
            prop_assert_eq!(is_changed, model.raise(index, value));
            prop_assert!(is_dense(&hll) || hll.len() <= sparse_max.max(18));
        }
        model.assert_is(&hll);
    }

    #[test]
    fn raising_all_is_raising_one_after_the_other(
        before in prop::collection::vec((0..200usize, 1..4u8), 0..150),
        merged in prop::collection::vec((0..200usize, 1..4u8), 0..150),
        sparse_max in 60..400usize,
    ) {
        let mut hll = new();
        for (index, value) in before {
            raise(&mut hll, index, value, SPARSE_MAX);
        }
        let mut registers = Registers::new();
        registers.merge(&hll).expect("not corrupt");
        for (index, value) in merged {
            registers.0[index] = value.max(registers.0[index]);
        }
        let mut slowly = hll.clone();
        for (index, value) in registers.values().iter().enumerate() {
            raise(&mut slowly, index, *value, sparse_max);
        }
        invalidate(&mut slowly);
        prop_assert_eq!(registers.store(&mut hll, false, sparse_max), Ok(()));
        prop_assert_eq!(hll, slowly);
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        tail in prop::collection::vec(any::<u8>(), 0..40),
        elements in prop::collection::vec(any::<u64>(), 1..10),
    ) {
        let mut hll = new();
        hll.truncate(HEADER_BYTES);
        hll.extend_from_slice(&tail);
        let _ = count(&hll);
        let mut registers = Registers::new();
        if registers.merge(&hll).is_ok() {
            registers.store(&mut hll.clone(), false, SPARSE_MAX).expect("it was merged");
        }
        let elements: Vec<[u8; 8]> = elements.iter().map(|element| element.to_le_bytes()).collect();
        let elements: Vec<&[u8]> = elements.iter().map(|element| &element[..]).collect();
        let added = add(&mut hll, &elements, SPARSE_MAX);
        prop_assert!(added.changed <= elements.len() as u64);
    }

    #[test]
    fn packed_registers_are_read_back(seed in any::<u64>()) {
        let mut values = [0; REGISTERS];
        let mut state = seed;
        for value in &mut values {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *value = (state >> 58) as u8;
        }
        let mut packed = Vec::new();
        dense::pack(&values, &mut packed);
        prop_assert_eq!(packed.len(), dense::BYTES);
        let mut read = [0; REGISTERS];
        dense::merge(&packed, &mut read);
        prop_assert_eq!(&read[..], &values[..]);
        let histogram = dense::histogram(&packed);
        for (value, count) in histogram.into_iter().enumerate() {
            prop_assert_eq!(count, values.iter().filter(|v| usize::from(**v) == value).count());
        }
        prop_assert!((0..REGISTERS).all(|index| dense::get(&packed, index) == values[index]));
    }
}
