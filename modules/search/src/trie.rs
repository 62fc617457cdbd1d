//! Which texts begin so, the best first?
//!
//! A tree whose edges carry pieces of text: each node adds its label to those above it, and no two children of a
//! node begin with the same letter. Each node knows the best score below it, so the search for the best few leaves
//! out whatever cannot be among them. Nodes are shared between clones and copied when one of the clones changes
//! them. Texts are short (see `LETTERS_MAX`), so walking down is a recursion.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Letters of one text; an empty or a longer one is not taken in.
pub const LETTERS_MAX: usize = 255;

/// Texts with scores.
#[derive(Debug, Clone, Default)]
pub struct Trie {
    root: Arc<Node>,
    len: usize,
}

/// What is known of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// How good it is.
    pub score: f32,
    /// What the client wants to get back with it.
    pub payload: Option<Box<[u8]>>,
}

#[derive(Debug, Clone)]
struct Node {
    label: Box<str>,
    entry: Option<Box<Entry>>,
    /// The best score of this node and those below it.
    best: f32,
    /// In the order of their first letters.
    children: Vec<Arc<Node>>,
}

impl Default for Node {
    fn default() -> Node {
        Node { label: "".into(), entry: None, best: f32::NEG_INFINITY, children: Vec::new() }
    }
}

/// What happens to the score of a text that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The new one takes its place.
    Replace,
    /// The new one is added to it.
    Add,
}

/// A text that begins as asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The text.
    pub text: String,
    /// How well it fits.
    pub score: f32,
    /// What came with it.
    pub payload: Option<Box<[u8]>>,
}

impl Trie {
    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a text in. A payload takes the place of an older one; none leaves that as it is.
    pub fn insert(&mut self, text: &str, score: f32, how: Put, payload: Option<&[u8]>) {
        if text.is_empty() || text.chars().count() > LETTERS_MAX {
            return;
        }
        let mut place = |entry: &mut Option<Box<Entry>>| match entry {
            Some(entry) => {
                entry.score = if how == Put::Add { entry.score + score } else { score };
                if let Some(payload) = payload {
                    entry.payload = Some(payload.into());
                }
                0
            }
            None => {
                *entry = Some(Box::new(Entry { score, payload: payload.map(Box::from) }));
                1
            }
        };
        self.len += Arc::make_mut(&mut self.root).insert(text, &mut place);
    }

    /// Takes a text out; answers whether it was there.
    pub fn remove(&mut self, text: &str) -> bool {
        // Nothing is copied for a text that is not there.
        if self.get(text).is_none() {
            return false;
        }
        let removed = Arc::make_mut(&mut self.root).remove(text);
        self.len -= usize::from(removed);
        removed
    }

    /// What is known of a text.
    pub fn get(&self, text: &str) -> Option<&Entry> {
        let (mut node, mut rest) = (&self.root, text);
        while let Some(first) = rest.chars().next() {
            let at = node.child(first).ok()?;
            node = &node.children[at];
            rest = rest.strip_prefix(&*node.label)?;
        }
        node.entry.as_deref()
    }

    /// Calls `each` with every text, in order.
    pub fn each(&self, each: &mut dyn FnMut(&str, &Entry)) {
        self.root.each(&mut String::new(), each);
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.root.memory()
    }

    /// The best `limit` texts that begin with `prefix`, apart from `distance` letters that are missing, foreign or too
    /// many. Letters are compared without case. A text that is the prefix itself, in lower case, comes first; of the
    /// others those count less that are longer than the prefix, or differ from it.
    pub fn suggest(&self, prefix: &str, distance: u8, limit: usize) -> Vec<Suggestion> {
        let wanted: Vec<char> = prefix.chars().map(fold).collect();
        if wanted.len() > LETTERS_MAX || limit == 0 {
            return Vec::new();
        }
        let row: Vec<u8> =
            (0..=wanted.len()).map(|at| u8::try_from(at).unwrap_or(u8::MAX)).collect();
        let exact: String = wanted.iter().collect();
        let mut search = Search { wanted, exact, distance, limit, best: BinaryHeap::new() };
        let path = &mut Path { text: String::new(), letters: 0 };
        let start = State { nearest: search.reached(&row), row };
        search.visit(&self.root, path, start);
        let mut best = search.best.into_sorted_vec();
        best.truncate(limit);
        best.into_iter().map(|ranked| ranked.0).collect()
    }
}

/// A letter as it is compared; those whose lower case is several letters stay as they are.
fn fold(letter: char) -> char {
    let mut lower = letter.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

impl Node {
    /// The child whose label begins with `first`, or where it would be.
    fn child(&self, first: char) -> Result<usize, usize> {
        self.children.binary_search_by_key(&Some(first), |child| child.label.chars().next())
    }

    fn insert(
        &mut self,
        rest: &str,
        place: &mut dyn FnMut(&mut Option<Box<Entry>>) -> usize,
    ) -> usize {
        let added = match rest.chars().next() {
            None => place(&mut self.entry),
            Some(first) => match self.child(first) {
                Ok(at) => {
                    let child = Arc::make_mut(&mut self.children[at]);
                    let common = common_bytes(&child.label, rest);
                    if common < child.label.len() {
                        child.split(common);
                    }
                    child.insert(&rest[common..], place)
                }
                Err(at) => {
                    let mut child = Node { label: rest.into(), ..Node::default() };
                    let added = child.insert("", place);
                    self.children.insert(at, Arc::new(child));
                    added
                }
            },
        };
        self.update_best();
        added
    }

    /// Cuts the label at a byte: what lies behind becomes a child that has everything.
    fn split(&mut self, at: usize) {
        let (head, tail) = self.label.split_at(at);
        let (head, tail) = (Box::from(head), Box::from(tail));
        let below = Node {
            label: tail,
            entry: self.entry.take(),
            best: self.best,
            children: std::mem::take(&mut self.children),
        };
        self.label = head;
        self.children = vec![Arc::new(below)];
    }

    fn remove(&mut self, rest: &str) -> bool {
        let removed = match rest.chars().next() {
            None => self.entry.take().is_some(),
            Some(first) => {
                let Ok(at) = self.child(first) else { return false };
                let child = Arc::make_mut(&mut self.children[at]);
                let Some(tail) = rest.strip_prefix(&*child.label) else { return false };
                let removed = child.remove(tail);
                if child.entry.is_none() && child.children.is_empty() {
                    self.children.remove(at);
                } else if child.entry.is_none() && child.children.len() == 1 {
                    child.join();
                }
                removed
            }
        };
        self.update_best();
        removed
    }

    /// Takes the only child's place.
    fn join(&mut self) {
        let Some(child) = self.children.pop() else { return };
        let child = Arc::unwrap_or_clone(child);
        let label = [&*self.label, &*child.label].concat();
        *self = Node { label: label.into(), ..child };
    }

    fn update_best(&mut self) {
        let own = self.entry.as_ref().map_or(f32::NEG_INFINITY, |entry| entry.score);
        self.best = self.children.iter().map(|child| child.best).fold(own, f32::max);
    }

    fn each(&self, text: &mut String, each: &mut dyn FnMut(&str, &Entry)) {
        let start = text.len();
        text.push_str(&self.label);
        if let Some(entry) = &self.entry {
            each(text, entry);
        }
        self.children.iter().for_each(|child| child.each(text, each));
        text.truncate(start);
    }

    fn memory(&self) -> usize {
        let payload = |entry: &Entry| entry.payload.as_ref().map_or(0, |payload| payload.len());
        let entry = self.entry.as_deref().map_or(0, |entry| size_of::<Entry>() + payload(entry));
        // The node itself with the counters of its Arc.
        size_of::<Node>()
            + 16
            + self.label.len()
            + entry
            + self.children.capacity() * 8
            + self.children.iter().map(|child| child.memory()).sum::<usize>()
    }
}

/// How many bytes two texts have in common, in whole letters.
fn common_bytes(a: &str, b: &str) -> usize {
    let same = a.char_indices().zip(b.chars()).take_while(|((_, x), y)| x == y);
    same.map(|((at, letter), _)| at + letter.len_utf8()).last().unwrap_or(0)
}

/// A search under way.
struct Search {
    wanted: Vec<char>,
    /// The prefix in lower case; the text that is equal to it comes first.
    exact: String,
    distance: u8,
    limit: usize,
    /// The least of what is kept is on top.
    best: BinaryHeap<Ranked>,
}

/// The text of the node that is being looked at.
struct Path {
    text: String,
    letters: usize,
}

/// How far the text so far is from the prefix.
#[derive(Clone)]
struct State {
    /// The edit distance to each beginning of the prefix.
    row: Vec<u8>,
    /// The least distance to the whole prefix that the text, or a beginning of it, has; above the limit: not yet.
    nearest: u8,
}

impl Search {
    fn reached(&self, row: &[u8]) -> u8 {
        row.last().copied().unwrap_or(u8::MAX)
    }

    fn visit(&mut self, node: &Node, path: &mut Path, mut state: State) {
        let start = (path.text.len(), path.letters);
        for letter in node.label.chars() {
            self.step(&mut state, letter);
            path.text.push(letter);
            path.letters += 1;
            if self.is_hopeless(&state) {
                (path.letters, _) = (start.1, path.text.truncate(start.0));
                return;
            }
        }
        if let Some(entry) = &node.entry
            && state.nearest <= self.distance
        {
            self.offer(entry, path, state.nearest);
        }
        // The best branch first, so that the others are soon known to be worse.
        let mut order: Vec<&Arc<Node>> = node.children.iter().collect();
        order.sort_by(|a, b| b.best.total_cmp(&a.best));
        for child in order {
            if !self.is_beaten(child, path) {
                self.visit(child, path, state.clone());
            }
        }
        path.text.truncate(start.0);
        path.letters = start.1;
    }

    /// One more letter of the text.
    fn step(&self, state: &mut State, letter: char) {
        if state.nearest == 0 {
            return;
        }
        let letter = fold(letter);
        let row = &mut state.row;
        let mut diagonal = row[0];
        row[0] = row[0].saturating_add(1);
        for (at, wanted) in self.wanted.iter().enumerate() {
            let changed = diagonal.saturating_add(u8::from(*wanted != letter));
            diagonal = row[at + 1];
            row[at + 1] = changed.min(diagonal.saturating_add(1)).min(row[at].saturating_add(1));
        }
        state.nearest = state.nearest.min(self.reached(&state.row));
    }

    /// Whether no longer text can match.
    fn is_hopeless(&self, state: &State) -> bool {
        state.nearest > self.distance && state.row.iter().all(|distance| *distance > self.distance)
    }

    /// Whether nothing below a node can be among the best.
    fn is_beaten(&self, node: &Node, path: &Path) -> bool {
        let full = self.best.len() >= self.limit;
        // The exact match is worth more than its score says.
        if !full || self.exact.starts_with(&path.text) {
            return false;
        }
        let longer = path.letters.saturating_sub(self.wanted.len());
        let bound = (f64::from(node.best.max(0.0)) / (1.0 + longer as f64).sqrt()) as f32;
        self.best.peek().is_some_and(|worst| worst.0.score > bound)
    }

    fn offer(&mut self, entry: &Entry, path: &Path, distance: u8) {
        let mut score = if path.text == self.exact && !self.exact.is_empty() {
            i32::MAX as f32
        } else {
            entry.score
        };
        // Single precision after each step, as in RediSearch: clients compare the digits.
        if self.distance > 0 {
            score = (f64::from(score) * (-2.0 * f64::from(distance)).exp()) as f32;
        }
        let difference = path.letters.abs_diff(self.wanted.len());
        score = (f64::from(score) / (1.0 + difference as f64).sqrt()) as f32;
        let beats = |worst: &Ranked| {
            Ranked::order(score, &path.text, worst.0.score, &worst.0.text) == Ordering::Less
        };
        if self.best.len() >= self.limit && !self.best.peek().is_some_and(beats) {
            return;
        }
        let payload = entry.payload.clone();
        self.best.push(Ranked(Suggestion { text: path.text.clone(), score, payload }));
        if self.best.len() > self.limit {
            self.best.pop();
        }
    }
}

/// A suggestion and its place: the least is the best.
struct Ranked(Suggestion);

impl Ranked {
    fn order(a: f32, a_text: &str, b: f32, b_text: &str) -> Ordering {
        b.total_cmp(&a).then_with(|| a_text.cmp(b_text))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        Ranked::order(self.0.score, &self.0.text, other.0.score, &other.0.text)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests;
