//! Which collection stands for a number? One of up to eight elements, of which more than four make it
//! large: so values are small and large, and become the other in place.

use crate::object::list::{End, ListLimits, PLAIN_BYTES_MIN};
use crate::object::set::SetLimits;
use crate::object::zset::ZsetLimits;
use crate::object::{List, Set, Zset};

const SMALL_MAX: usize = 4;

const SET: SetLimits = SetLimits {
    intset_entries_max: SMALL_MAX,
    listpack_entries_max: SMALL_MAX,
    listpack_value_max: 64,
};
const ZSET: ZsetLimits = ZsetLimits { entries_max: SMALL_MAX, value_max: 64 };

/// The texts of a number's collection; those of every other number are integers, for intsets.
fn texts(number: u64) -> Vec<Vec<u8>> {
    let prefix = if number.is_multiple_of(2) { "" } else { "n:" };
    (0..1 + number % 8).map(|at| format!("{prefix}{}{at}", number / 8).into_bytes()).collect()
}

/// The number whose texts these are.
fn number(mut found: Vec<Vec<u8>>) -> u64 {
    found.sort_unstable();
    let len = found.len() as u64;
    let first = String::from_utf8_lossy(&found[0]);
    let digits = first.trim_start_matches("n:").strip_suffix('0').expect("the first text ends so");
    let number = digits.parse::<u64>().expect("digits") * 8 + (len - 1);
    assert_eq!(found, texts(number), "nothing else is in it");
    number
}

pub fn fill_list(list: &mut List, number: u64) {
    let limits = ListLimits::new(SMALL_MAX as i64, PLAIN_BYTES_MIN);
    list.delete(0, list.len());
    list.shrink(limits);
    texts(number).iter().for_each(|text| list.push(End::Tail, &[text], limits));
    list.shrink(limits);
    assert!(list.encoding() == "quicklist" || list.len() <= SMALL_MAX);
}

pub fn number_of_list(list: &List) -> u64 {
    number(list.iter().map(|element| element.to_vec()).collect())
}

pub fn fill_set(set: &mut Set, number: u64) {
    let old: Vec<_> = set.iter().map(|element| element.to_vec()).collect();
    old.iter().for_each(|member| assert!(set.remove(member)));
    texts(number).iter().for_each(|member| assert!(set.add(member, SET)));
    assert!(set.encoding() == "hashtable" || set.len() <= SMALL_MAX);
}

pub fn number_of_set(set: &Set) -> u64 {
    number(set.iter().map(|element| element.to_vec()).collect())
}

pub fn fill_zset(zset: &mut Zset, number: u64) {
    zset.remove_ranks(0..zset.len());
    for (at, member) in texts(number).iter().enumerate() {
        assert_eq!(zset.set(member, at as f64, ZSET), None);
    }
    assert!(zset.encoding() == "skiplist" || zset.len() <= SMALL_MAX);
}

pub fn number_of_zset(zset: &Zset) -> u64 {
    number(zset.iter().map(|(member, _)| member.to_vec()).collect())
}

pub fn list_of(number: u64) -> List {
    let mut list = List::new();
    fill_list(&mut list, number);
    list
}

pub fn set_of(number: u64) -> Set {
    let mut set = Set::new();
    fill_set(&mut set, number);
    set
}

pub fn zset_of(number: u64) -> Zset {
    let mut zset = Zset::new();
    fill_zset(&mut zset, number);
    zset
}
