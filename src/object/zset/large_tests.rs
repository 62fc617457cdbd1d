//! Are members whose hashes agree told apart, and all of them scanned while scores change?

use std::collections::{HashMap, HashSet};

use super::*;

/// Two members with one hash: among so many there are some in any process.
fn twins() -> (Vec<u8>, Vec<u8>) {
    let mut seen: HashMap<u32, Vec<u8>> = HashMap::new();
    for i in 0..2_000_000u32 {
        let member = i.to_string().into_bytes();
        if let Some(other) = seen.insert(position(&member), member.clone()) {
            return (other, member);
        }
    }
    panic!("a hash of 32 bits has no collision among two million texts");
}

#[test]
fn members_with_one_hash_are_two_members() {
    let (a, b) = twins();
    for scores in [(1.0, 2.0), (1.0, 1000.0)] {
        let mut large = Large::default();
        for i in 0..1000u32 {
            large.insert(f64::from(i), &[0, (i >> 8) as u8, i as u8]);
        }
        large.insert(scores.0, &a);
        assert!(large.find(&b).is_none());
        large.insert(scores.1, &b);
        large.check();
        assert_eq!(large.find(&a).map(|found| found.score), Some(scores.0));
        assert_eq!(large.find(&b).map(|found| found.score), Some(scores.1));
        let mut shown = Vec::new();
        assert_eq!(large.scan(0, usize::MAX, |member, _| shown.push(member.to_vec())), 0);
        assert_eq!(shown.len(), 1002);
        assert_eq!(shown.iter().collect::<HashSet<_>>().len(), 1002);
        let found = large.find(&a).unwrap();
        large.remove(found, &a);
        large.check();
        assert!(large.find(&a).is_none());
        assert!(large.find(&b).is_some());
    }
}

#[test]
fn what_stays_is_scanned_while_scores_change() {
    let mut large = Large::default();
    let member = |i: u32| format!("member:{i}").into_bytes();
    for i in 0..5000 {
        large.insert(0.0, &member(i));
    }
    let mut shown = HashSet::new();
    let mut cursor = 0;
    let mut round = 0;
    loop {
        cursor = large.scan(cursor, 10, |member, _| {
            shown.insert(member.to_vec());
        });
        if cursor == 0 {
            break;
        }
        round += 1;
        for i in 0..20 {
            let name = member(round * 20 % 5000 + i);
            if let Some(found) = large.find(&name) {
                large.rescore(found, f64::from(5000 - round), &name);
            }
            let passing = format!("passing:{round}:{i}").into_bytes();
            large.insert(f64::from(i), &passing);
            if i % 2 == 0 {
                let found = large.find(&passing).unwrap();
                large.remove(found, &passing);
            }
        }
    }
    large.check();
    for i in 0..5000 {
        assert!(shown.contains(&member(i)), "{i}");
    }
}

/// What a member of 13 bytes takes, counted by capacity: the allocator rounds little up, since rows
/// grow in its steps. Whatever the number of members: there are always leaves of every fullness.
#[test]
fn a_member_takes_little_more_than_its_bytes() {
    let mut large = Large::default();
    for i in 0..240_000u32 {
        let number = i.wrapping_mul(0x9e37_79b1) % 1_000_000_007;
        large.insert(f64::from(number % 65_521), format!("m:{i:011}").as_bytes());
        if i >= 100_000 && i % 20_000 == 0 {
            let each = large.memory_bytes() as f64 / f64::from(i);
            assert!(each < 40.0, "{each} bytes for each of {i} members");
        }
    }
}
