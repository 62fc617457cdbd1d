//! Do tries do what a map does, and find what is near?

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a trie is meant to be.
#[derive(Clone, Default)]
struct Model(BTreeMap<String, Entry>);

impl Model {
    fn insert(&mut self, text: &str, score: f32, how: Put, payload: Option<&[u8]>) {
        if text.is_empty() || text.chars().count() > LETTERS_MAX {
            return;
        }
        match self.0.get_mut(text) {
            Some(entry) => {
                entry.score = if how == Put::Add { entry.score + score } else { score };
                if let Some(payload) = payload {
                    entry.payload = Some(payload.into());
                }
            }
            None => {
                let entry = Entry { score, payload: payload.map(Box::from) };
                self.0.insert(text.to_owned(), entry);
            }
        }
    }

    fn suggest(&self, prefix: &str, distance: u8, limit: usize) -> Vec<Suggestion> {
        let wanted: Vec<char> = prefix.chars().map(fold).collect();
        let exact: String = wanted.iter().collect();
        let mut found = Vec::new();
        for (text, entry) in &self.0 {
            let letters: Vec<char> = text.chars().map(fold).collect();
            let beginnings = (0..=letters.len()).map(|end| edits(&letters[..end], &wanted));
            let nearest = beginnings.min().unwrap();
            if nearest > usize::from(distance) {
                continue;
            }
            let is_exact = *text == exact && !exact.is_empty();
            let mut score = if is_exact { i32::MAX as f32 } else { entry.score };
            if distance > 0 {
                score = (f64::from(score) * (-2.0 * nearest as f64).exp()) as f32;
            }
            let difference = letters.len().abs_diff(wanted.len());
            score = (f64::from(score) / (1.0 + difference as f64).sqrt()) as f32;
            let payload = entry.payload.clone();
            found.push(Suggestion { text: text.clone(), score, payload });
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.text.cmp(&b.text)));
        found.truncate(limit);
        found
    }
}

/// The textbook recursion.
fn edits(a: &[char], b: &[char]) -> usize {
    match (a, b) {
        ([], rest) | (rest, []) => rest.len(),
        ([x, a_rest @ ..], [y, b_rest @ ..]) => (edits(a_rest, b_rest) + usize::from(x != y))
            .min(edits(a_rest, b) + 1)
            .min(edits(a, b_rest) + 1),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(String, f32, bool, Option<Vec<u8>>),
    Remove(String),
    Suggest(String, u8, usize),
    Clone,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[abAé]{0,5}", "[abc]{1,3}", Just("x".repeat(LETTERS_MAX + 1))]
}

fn step() -> impl Strategy<Value = Step> {
    let score = prop_oneof![(-3i32..40).prop_map(|n| n as f32 / 4.0), Just(1.0)];
    let payload = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..3));
    prop_oneof![
        6 => (text(), score, any::<bool>(), payload).prop_map(|(t, s, a, p)| Step::Insert(t, s, a, p)),
        3 => text().prop_map(Step::Remove),
        4 => ("[abAé]{0,3}", 0u8..3, 0usize..6).prop_map(|(t, d, l)| Step::Suggest(t, d, l)),
        1 => Just(Step::Clone),
    ]
}

fn contents(trie: &Trie) -> Vec<(String, Entry)> {
    let mut found = Vec::new();
    trie.each(&mut |text, entry| found.push((text.to_owned(), entry.clone())));
    found
}

fn is_tidy(node: &Node, is_root: bool) -> bool {
    let own = node.entry.as_ref().map_or(f32::NEG_INFINITY, |entry| entry.score);
    let best = node.children.iter().map(|child| child.best).fold(own, f32::max);
    (is_root || !node.label.is_empty())
        && (is_root || node.entry.is_some() || node.children.len() > 1)
        && best == node.best
        && node.children.is_sorted_by_key(|child| child.label.chars().next())
        && node.children.iter().all(|child| is_tidy(child, false))
}

proptest! {
    #[test]
    fn a_trie_does_what_a_map_does(steps in proptest::collection::vec(step(), 0..60)) {
        let (mut trie, mut model) = (Trie::default(), Model::default());
        let mut copies: Vec<(Trie, Model)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(text, score, adds, payload) => {
                    let how = if adds { Put::Add } else { Put::Replace };
                    trie.insert(&text, score, how, payload.as_deref());
                    model.insert(&text, score, how, payload.as_deref());
                }
                Step::Remove(text) => {
                    prop_assert_eq!(trie.remove(&text), model.0.remove(&text).is_some());
                }
                Step::Suggest(prefix, distance, limit) => {
                    let expected = model.suggest(&prefix, distance, limit);
                    prop_assert_eq!(trie.suggest(&prefix, distance, limit), expected);
                }
                Step::Clone => copies.push((trie.clone(), model.clone())),
            }
            prop_assert!(is_tidy(&trie.root, true));
            for (trie, model) in copies.iter().chain([&(trie.clone(), model.clone())]) {
                prop_assert_eq!(trie.len(), model.0.len());
                let expected: Vec<_> = model.0.iter().map(|(t, e)| (t.clone(), e.clone())).collect();
                prop_assert_eq!(contents(trie), expected);
            }
        }
        for (text, entry) in &model.0 {
            prop_assert_eq!(trie.get(text), Some(entry));
        }
    }
}

#[test]
fn scores_are_those_of_redisearch() {
    let mut trie = Trie::default();
    trie.insert("hello world", 1.0, Put::Replace, None);
    trie.insert("hello", 3.0, Put::Replace, Some(b"p"));
    let found = trie.suggest("hello", 0, 5);
    assert_eq!(found[0].score, 2147483648.0);
    assert_eq!(found[1].score, (1.0 / 7f64.sqrt()) as f32);
    let found = trie.suggest("hullo", 1, 5);
    assert_eq!(found[0].score, (f64::from((3.0 * (-2f64).exp()) as f32) / 1.0) as f32);
}
