//! How does a small sorted set lie in a listpack? As member, score, member, score, ... in order.
//!
//! A score is an integer where it is one, else its text as replies have it. So -0 becomes 0 here, as in
//! Redis.
//!
//! Invariant: the number of elements is even, every second one is a score, no member is there
//! twice, and the pairs are in order.

use crate::base::number::{IntBuf, format_double, parse_f64};
use crate::object::bptree::Edge;
use crate::object::listpack::{self, Element, Listpack, Position};

/// Takes a listpack from outside; None if it has an odd number of elements, a member twice or
/// something that is no score. Pairs out of order are brought into it.
pub fn from_listpack(listpack: Listpack) -> Option<Listpack> {
    if !listpack.len().is_multiple_of(2) {
        return None;
    }
    let mut pairs = Vec::with_capacity(listpack.len() / 2);
    let mut elements = listpack.iter();
    while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
        pairs.push((parse_score(score)?, member.to_vec()));
    }
    let mut members: Vec<_> = pairs.iter().map(|(_, member)| member).collect();
    members.sort_unstable();
    if members.windows(2).any(|two| two[0] == two[1]) {
        return None;
    }
    if pairs.windows(2).all(|two| is_before(&two[0], &two[1])) {
        return Some(listpack);
    }
    let mut sorted = Listpack::new();
    pairs.iter().for_each(|(score, member)| sorted.insert_member(*score, member));
    Some(sorted)
}

/// A listpack as a small sorted set.
pub trait Small {
    /// Number of members.
    fn members(&self) -> usize;
    /// Where `member` is, and its score.
    fn find_member(&self, member: &[u8]) -> Option<(Position, f64)>;
    /// The score of the member at a place.
    fn score_of(&self, member: Position) -> f64;
    /// Puts a member in that is not there.
    fn insert_member(&mut self, score: f64, member: &[u8]);
    /// Removes the member at a place where one was found.
    fn remove_member(&mut self, at: Position);
    /// Removes `count` members from this rank on.
    fn remove_ranks(&mut self, rank: usize, count: usize);
    /// How many members lie before an edge.
    fn count_before(&self, edge: Edge<'_>) -> usize;
    /// The rank of the member at a place where one was found.
    fn rank_of(&self, place: Position) -> usize;
    /// The members with their scores.
    fn pairs(&self) -> Pairs<'_>;
}

impl Small for Listpack {
    fn members(&self) -> usize {
        self.len() / 2
    }

    #[inline]
    fn find_member(&self, member: &[u8]) -> Option<(Position, f64)> {
        let at = self.find(self.first()?, member, 2)?;
        Some((at, self.score_of(at)))
    }

    fn score_of(&self, member: Position) -> f64 {
        let at = self.next(member).expect("a member is followed by its score");
        score(self.get(at))
    }

    fn insert_member(&mut self, score: f64, member: &[u8]) {
        let text = format_double(if score == 0.0 { 0.0 } else { score });
        let edge = Edge::Entry(score, member);
        let mut digits = IntBuf::new();
        let mut next = self.first();
        while let Some(at) = next {
            if !edge.is_behind(self.score_of(at), || self.get(at).text(&mut digits)) {
                self.insert_before(at, member);
                self.insert_after(at, text.as_bytes());
                return;
            }
            next = self.next(at).and_then(|score| self.next(score));
        }
        self.push_back(member);
        self.push_back(text.as_bytes());
    }

    fn remove_member(&mut self, at: Position) {
        self.delete(at, 2);
    }

    fn remove_ranks(&mut self, rank: usize, count: usize) {
        if let Some(at) = self.seek(rank as i64 * 2) {
            self.delete(at, count * 2);
        }
    }

    fn count_before(&self, edge: Edge<'_>) -> usize {
        let mut digits = IntBuf::new();
        let mut pairs = Pairs(self.iter());
        let mut count = 0;
        while let Some((member, score)) = pairs.next()
            && edge.is_behind(score, || member.text(&mut digits))
        {
            count += 1;
        }
        count
    }

    fn rank_of(&self, place: Position) -> usize {
        let step = |at: &Position| self.next(self.next(*at)?);
        std::iter::successors(self.first(), step).take_while(|at| *at < place).count()
    }

    fn pairs(&self) -> Pairs<'_> {
        Pairs(self.iter())
    }
}

/// Members with their scores, from either end.
#[derive(Clone, Debug)]
pub struct Pairs<'a>(listpack::Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, score(self.0.next()?)))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = score(self.0.next_back()?);
        Some((self.0.next_back()?, score))
    }
}

/// The score that an element of ours is.
fn score(element: Element<'_>) -> f64 {
    parse_score(element).expect("what is not a score was refused")
}

fn parse_score(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Int(value) => Some(value as f64),
        Element::Str(text) => parse_f64(text),
    }
}

fn is_before(left: &(f64, Vec<u8>), right: &(f64, Vec<u8>)) -> bool {
    left.0 < right.0 || left.0 == right.0 && left.1 < right.1
}
