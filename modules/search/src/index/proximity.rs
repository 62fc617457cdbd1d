//! How close do the words of a document stand?
//!
//! Each clause of a query brings the rising list of positions at which its words stand.

/// Whether one position can be taken from each list so that they rise from list to list and no more than `slop`
/// others lie between them in sum. Greedy from each start: the nearest next position is never worse than a later one.
///
/// `reading` names the lists, two at least and none empty, in the order of the clauses, each with 0.
pub fn close_in_order(
    lists: &[Vec<u32>],
    reading: &mut [(usize, usize)],
    slop: Option<u32>,
) -> bool {
    let Some(((first, _), others)) = reading.split_first_mut() else { return true };
    for start in &lists[*first] {
        let (mut last, mut gaps) = (*start, 0u32);
        let mut fits = true;
        for (list, at) in others.iter_mut() {
            let list = &lists[*list];
            while list.get(*at).is_some_and(|position| *position <= last) {
                *at += 1;
            }
            let Some(position) = list.get(*at) else { return false };
            gaps = gaps.saturating_add(position - last - 1);
            if slop.is_some_and(|slop| gaps > slop) {
                fits = false;
                break;
            }
            last = *position;
        }
        if fits {
            return true;
        }
    }
    false
}

/// Whether one position can be taken from each list so that no more than `slop` others lie among them. The least of
/// the current positions is moved on until the span is small enough or its list ends. One word cannot stand for all
/// clauses: where all lists are at the same position, the nearest other one is tried beside it.
///
/// `reading` is as for [`close_in_order`].
pub fn close_in_any_order(lists: &[Vec<u32>], reading: &mut [(usize, usize)], slop: u32) -> bool {
    let others = u32::try_from(reading.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let mut max = reading.iter().map(|(list, at)| lists[*list][*at]).max().unwrap_or(0);
    loop {
        let least = reading.iter().enumerate().min_by_key(|(_, (list, at))| lists[*list][*at]);
        let Some((least, (list, at))) = least else { return true };
        let min = lists[*list][*at];
        let span_end = match min == max {
            false => Some(max),
            true => reading.iter().filter_map(|(list, at)| lists[*list].get(at + 1).copied()).min(),
        };
        if span_end.is_some_and(|end| (end - min).saturating_sub(others) <= slop) {
            return true;
        }
        let (list, at) = &mut reading[least];
        *at += 1;
        let Some(position) = lists[*list].get(*at) else { return false };
        max = max.max(*position);
    }
}

/// The least distance between a position of one list and one of the other, not looked for below 1.
pub fn least_gap(a: &[u32], b: &[u32]) -> u32 {
    let (mut i, mut j) = (0, 0);
    let mut least = u32::MAX;
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        least = least.min(x.abs_diff(*y));
        if least <= 1 {
            break;
        }
        if y > x { i += 1 } else { j += 1 }
    }
    least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All ways to take one position per list.
    fn choices(lists: &[Vec<u32>]) -> Vec<Vec<u32>> {
        lists.iter().fold(vec![vec![]], |choices, list| {
            let extend = |choice: &Vec<u32>| {
                list.iter().map(|p| [choice.as_slice(), &[*p]].concat()).collect::<Vec<_>>()
            };
            choices.iter().flat_map(extend).collect()
        })
    }

    fn list() -> impl Strategy<Value = Vec<u32>> {
        proptest::collection::btree_set(1u32..25, 1..6).prop_map(|set| set.into_iter().collect())
    }

    proptest! {
        #[test]
        fn ordered_proximity_is_what_it_says(lists in proptest::collection::vec(list(), 2..4), slop in 0u32..6) {
            let reading: Vec<(usize, usize)> = (0..lists.len()).map(|list| (list, 0)).collect();
            let rising = |c: &Vec<u32>| c.windows(2).all(|pair| pair[0] < pair[1]);
            let gaps = |c: &Vec<u32>| c[c.len() - 1] - c[0] - (c.len() as u32 - 1);
            let expected = choices(&lists).iter().any(|c| rising(c) && gaps(c) <= slop);
            prop_assert_eq!(close_in_order(&lists, &mut reading.clone(), Some(slop)), expected);
            prop_assert_eq!(close_in_order(&lists, &mut reading.clone(), None), choices(&lists).iter().any(rising));
        }

        #[test]
        fn unordered_proximity_is_what_it_says(lists in proptest::collection::vec(list(), 2..4), slop in 0u32..6) {
            let mut reading: Vec<(usize, usize)> = (0..lists.len()).map(|list| (list, 0)).collect();
            let close = |c: &Vec<u32>| {
                let (min, max) = (c.iter().min().unwrap(), c.iter().max().unwrap());
                min != max && (max - min).saturating_sub(c.len() as u32 - 1) <= slop
            };
            prop_assert_eq!(close_in_any_order(&lists, &mut reading, slop), choices(&lists).iter().any(close));
        }
    }
}
