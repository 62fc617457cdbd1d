//! Does a sorted set behave as a map of scores, in both encodings?

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SMALL: ZsetLimits = ZsetLimits { entries_max: 16, value_max: 20 };

fn members(zset: &Zset) -> Vec<(f64, Vec<u8>)> {
    zset.iter().map(|(member, score)| (score, member.to_vec())).collect()
}

fn sorted(model: &HashMap<Vec<u8>, f64>) -> Vec<(f64, Vec<u8>)> {
    let mut all: Vec<_> = model.iter().map(|(member, score)| (*score, member.clone())).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all
}

fn check(zset: &Zset, model: &HashMap<Vec<u8>, f64>) {
    zset.check();
    let all = sorted(model);
    assert_eq!(members(zset), all);
    assert_eq!(zset.len(), all.len());
    for (rank, (score, member)) in all.iter().enumerate() {
        assert_eq!(zset.score(member), Some(*score));
        assert_eq!(zset.rank(member), Some((rank, *score)));
        assert_eq!(zset.nth(rank).map(|(m, s)| (s, m.to_vec())), Some((*score, member.clone())));
    }
    assert!(zset.nth(all.len()).is_none());
    let mut shown = HashMap::new();
    let mut cursor = 0;
    loop {
        cursor = zset.scan(cursor, 5, &mut |member, score| {
            assert_eq!(shown.insert(member.to_vec(), score), None);
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&shown, model);
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-5i32..5).prop_map(f64::from),
        any::<f64>().prop_filter("scores are numbers", |score| !score.is_nan()),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(1e20),
        Just(0.1),
    ]
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0u32..60).prop_map(|n| n.to_string().into_bytes()),
        (0u32..400).prop_map(|n| format!("m:{n}").into_bytes()),
        (0usize..3).prop_map(|n| vec![b'x'; n * 150]),
        Just(b"007".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn behaves_as_a_map_of_scores(
        entries_max in prop_oneof![Just(16usize), Just(1000)],
        steps in prop::collection::vec((member(), score(), 0u8..12), 0..500),
    ) {
        let limits = ZsetLimits { entries_max, value_max: 500 };
        let mut zset = Zset::new();
        let mut model: HashMap<Vec<u8>, f64> = HashMap::new();
        let mut snapshot = (zset.clone(), model.clone());
        for (round, (member, score, action)) in steps.into_iter().enumerate() {
            match action {
                0 => prop_assert_eq!(zset.remove(&member), model.remove(&member)),
                1 => {
                    let all = sorted(&model);
                    let ranks = round % (all.len() + 1)..(round % (all.len() + 1) + 5);
                    all.iter().skip(ranks.start).take(5).for_each(|(_, m)| {
                        model.remove(m);
                    });
                    zset.remove_ranks(ranks);
                }
                2 => {
                    let all = sorted(&model);
                    let below = all.iter().filter(|one| one.0 < score).count();
                    let up_to = all.iter().filter(|one| one.0 <= score).count();
                    let range = zset.between(Edge::Score(score), Edge::AboveScore(score));
                    prop_assert_eq!(range.clone(), below..up_to);
                    let shown = zset.range(range.clone()).rev().map(|(m, _)| m.to_vec());
                    prop_assert!(shown.eq(all[range].iter().rev().map(|(_, m)| m.clone())));
                }
                3 => {
                    let old = zset.update(&member, limits, |old| old.map(|old| old / 2.0));
                    prop_assert_eq!(old, model.get(&member).copied());
                    if let Some(old) = model.get_mut(&member) {
                        *old /= 2.0;
                    }
                }
                _ => {
                    let old = zset.set(&member, score, limits);
                    prop_assert_eq!(old, model.insert(member, score));
                }
            }
            if round % 50 == 0 {
                check(&zset, &model);
                check(&snapshot.0, &snapshot.1);
                snapshot = (zset.clone(), model.clone());
            }
        }
        check(&zset, &model);
        check(&snapshot.0, &snapshot.1);
    }
}

#[test]
fn the_encoding_follows_number_and_length() {
    let mut zset = Zset::new();
    for i in 0..16 {
        zset.set(&[b'a' + i], 1.0, SMALL);
    }
    assert_eq!(zset.encoding(), "listpack");
    zset.set(b"a", 2.0, SMALL);
    assert_eq!(zset.encoding(), "listpack");
    zset.set(b"z", 2.0, SMALL);
    assert_eq!(zset.encoding(), "skiplist");
    zset.remove(b"z");
    assert_eq!(zset.encoding(), "skiplist", "it never goes back");
    let mut zset = Zset::new();
    zset.set(&[b'x'; 20], 1.0, SMALL);
    assert_eq!(zset.encoding(), "listpack");
    zset.set(&[b'x'; 21], 1.0, SMALL);
    assert_eq!(zset.encoding(), "skiplist");
    let mut zset = Zset::new();
    zset.reserve(17, SMALL);
    assert_eq!(zset.encoding(), "skiplist");
}

#[test]
fn minus_zero_equals_zero() {
    for (limits, is_kept) in [(SMALL, false), (ZsetLimits { entries_max: 0, value_max: 0 }, true)] {
        let mut zset = Zset::new();
        zset.set(b"b", -0.0, limits);
        zset.set(b"a", 0.0, limits);
        let all: Vec<_> = zset.iter().map(|(m, s)| (m.to_vec(), s.is_sign_negative())).collect();
        assert_eq!(all, [(b"a".to_vec(), false), (b"b".to_vec(), is_kept)]);
        zset.set(b"a", -0.0, limits);
        assert!(!zset.score(b"a").unwrap().is_sign_negative(), "an equal score is no change");
    }
}

#[test]
fn a_listpack_is_the_one_that_rdb_has() {
    let mut zset = Zset::new();
    for (member, score) in [("b", 2.0), ("a", 1.5), ("12", -1e20), ("c", f64::INFINITY)] {
        zset.set(member.as_bytes(), score, SMALL);
    }
    let listpack = zset.as_listpack().unwrap();
    let texts: Vec<_> = listpack.iter().map(Element::to_vec).collect();
    let expected = ["12", "-1e+20", "a", "1.5", "b", "2", "c", "inf"];
    assert_eq!(texts, expected.map(|text| text.as_bytes().to_vec()));
    let again = Zset::from_listpack(listpack.clone()).unwrap();
    assert_eq!(members(&again), members(&zset));

    let of = |texts: &[&str]| {
        let mut listpack = Listpack::new();
        texts.iter().for_each(|text| listpack.push_back(text.as_bytes()));
        Zset::from_listpack(listpack)
    };
    assert!(of(&["a", "1", "b"]).is_none());
    assert!(of(&["a", "x"]).is_none());
    assert!(of(&["a", "nan"]).is_none());
    assert!(of(&["a", "1", "a", "2"]).is_none());
    assert!(of(&["a", "2", "b", "1", "a", "1"]).is_none());
    let unsorted = of(&["a", "2", "b", "1"]).unwrap();
    assert_eq!(members(&unsorted), [(1.0, b"b".to_vec()), (2.0, b"a".to_vec())]);
}
