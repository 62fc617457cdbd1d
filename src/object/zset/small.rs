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

/// A listpack of members and scores.
#[derive(Clone, Debug, Default)]
pub struct Small {
    pub listpack: Listpack,
}

impl Small {
    /// Takes a listpack from outside; None if it has an odd number of elements, a member twice or
    /// something that is no score. Pairs out of order are brought into it.
    pub fn from_listpack(listpack: Listpack) -> Option<Self> {
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
            return Some(Self { listpack });
        }
        let mut sorted = Self::default();
        pairs.iter().for_each(|(score, member)| sorted.insert(*score, member));
        Some(sorted)
    }

    pub fn len(&self) -> usize {
        self.listpack.len() / 2
    }

    /// Where `member` is, and its score.
    #[inline]
    pub fn find(&self, member: &[u8]) -> Option<(Position, f64)> {
        let at = self.listpack.find(self.listpack.first()?, member, 2)?;
        Some((at, self.score_of(at)))
    }

    fn score_of(&self, member: Position) -> f64 {
        let at = self.listpack.next(member).expect("a member is followed by its score");
        score(self.listpack.get(at))
    }

    /// Puts a member in that is not there.
    pub fn insert(&mut self, score: f64, member: &[u8]) {
        let text = format_double(if score == 0.0 { 0.0 } else { score });
        let edge = Edge::Entry(score, member);
        let mut digits = IntBuf::new();
        let mut next = self.listpack.first();
        while let Some(at) = next {
            if !edge.is_behind(self.score_of(at), || self.listpack.get(at).text(&mut digits)) {
                self.listpack.insert_before(at, member);
                self.listpack.insert_after(at, text.as_bytes());
                return;
            }
            next = self.listpack.next(at).and_then(|score| self.listpack.next(score));
        }
        self.listpack.push_back(member);
        self.listpack.push_back(text.as_bytes());
    }

    /// Removes the member at a place where one was found.
    pub fn remove(&mut self, at: Position) {
        self.listpack.delete(at, 2);
    }

    /// Removes `count` members from this rank on.
    pub fn remove_ranks(&mut self, rank: usize, count: usize) {
        if let Some(at) = self.listpack.seek(rank as i64 * 2) {
            self.listpack.delete(at, count * 2);
        }
    }

    /// How many members lie before an edge.
    pub fn count_before(&self, edge: Edge<'_>) -> usize {
        let mut digits = IntBuf::new();
        let mut pairs = Pairs(self.listpack.iter());
        let mut count = 0;
        while let Some((member, score)) = pairs.next()
            && edge.is_behind(score, || member.text(&mut digits))
        {
            count += 1;
        }
        count
    }

    /// The rank of the member at a place where one was found.
    pub fn rank_of(&self, place: Position) -> usize {
        let step = |at: &Position| self.listpack.next(self.listpack.next(*at)?);
        std::iter::successors(self.listpack.first(), step).take_while(|at| *at < place).count()
    }

    /// The members with their scores.
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs(self.listpack.iter())
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
