//! How is a range of members gone through? Leaf by leaf, from either end; the next leaf is found by the rank of
//! its first member.

use std::ops::Range;

use super::Tree;
use super::leaf::Leaf;

/// A leaf, and the rank of its first member.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub leaf: &'a Leaf,
    pub start: usize,
}

impl<'a> Run<'a> {
    fn has(self, rank: usize) -> bool {
        rank >= self.start && rank - self.start < self.leaf.len()
    }

    #[inline]
    pub fn get(self, rank: usize) -> (&'a [u8], f64) {
        let at = rank - self.start;
        (self.leaf.member(at), self.leaf.score(at))
    }
}

/// Members with their scores, in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    tree: &'a Tree,
    ranks: Range<usize>,
    front: Option<Run<'a>>,
    back: Option<Run<'a>>,
}

impl<'a> Iter<'a> {
    /// The members of a tree with these ranks, which there are.
    pub fn new(tree: &'a Tree, ranks: Range<usize>) -> Self {
        Self { tree, ranks, front: None, back: None }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next()?;
        let run = match self.front {
            Some(run) if run.has(rank) => run,
            _ => *self.front.insert(self.tree.run_at(rank)),
        };
        Some(run.get(rank))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }

    /// Leaf by leaf, which is what long replies are made of.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        while let Some(first) = self.next() {
            folded = f(folded, first);
            let Some(run) = self.front else { continue };
            let here = self.ranks.start - run.start..run.leaf.len().min(self.ranks.end - run.start);
            self.ranks.start += here.len();
            for at in here {
                folded = f(folded, (run.leaf.member(at), run.leaf.score(at)));
            }
        }
        folded
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next_back()?;
        let run = match self.back {
            Some(run) if run.has(rank) => run,
            _ => *self.back.insert(self.tree.run_at(rank)),
        };
        Some(run.get(rank))
    }
}
