//! How well does a document match?
//!
//! RediSearch's formulas, to the last digit where their arithmetic is single precision. They differ from textbook
//! (and tantivy's) ones in what they count: frequency and length are those of the document over all its TEXT fields,
//! each occurrence as often as its field weighs, the length is exact, and a term's documents are counted over all
//! fields, superseded ones included until they are dropped from the index.

use crate::error::Error;
use crate::settings;

/// A formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scorer {
    /// Okapi BM25.
    #[default]
    Bm25Std,
    /// The same, mapped onto 0..1 by a hyperbolic tangent.
    Bm25StdTanh,
    /// The same, divided by the best score of the result.
    Bm25StdNorm,
    /// The variant that RediSearch had first.
    Bm25,
    /// TF-IDF over the frequency of the document's most frequent word.
    TfIdf,
    /// TF-IDF over the document's length.
    TfIdfDocNorm,
    /// Sum of frequencies, the greatest one among alternatives.
    DisMax,
    /// The document's own score.
    DocScore,
    /// Closeness of payloads, which only the command can read; here always 0.
    Hamming,
}

/// Saturation of the term frequency. RediSearch computes with single-precision constants; so do we.
const K1: f64 = 1.2f32 as f64;
const K1_PLUS_1: f64 = (1.2f32 + 1.0f32) as f64;
/// How much the length counts in the standard formula and in the old one.
const B: f32 = 0.75;
const B_OLD: f64 = 0.5;

impl Scorer {
    /// The formula of this name.
    pub fn find(name: &[u8]) -> Result<Scorer, Error> {
        let found = Scorer::ALL.into_iter().find(|(known, _)| known.as_bytes() == name);
        let unknown = || Error::NoSuchScorer(String::from_utf8_lossy(name).into_owned());
        found.map(|(_, scorer)| scorer).ok_or_else(unknown)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Scorer::ALL.into_iter().find(|(_, scorer)| *scorer == self);
        found.map(|(name, _)| name).expect("all have names")
    }

    const ALL: [(&'static str, Scorer); 9] = [
        ("BM25STD", Scorer::Bm25Std),
        ("BM25STD.TANH", Scorer::Bm25StdTanh),
        ("BM25STD.NORM", Scorer::Bm25StdNorm),
        ("BM25", Scorer::Bm25),
        ("TFIDF", Scorer::TfIdf),
        ("TFIDF.DOCNORM", Scorer::TfIdfDocNorm),
        ("DISMAX", Scorer::DisMax),
        ("DOCSCORE", Scorer::DocScore),
        ("HAMMING", Scorer::Hamming),
    ];

    /// Whether the formula asks how far apart the words stand.
    pub fn wants_distance(self) -> bool {
        matches!(self, Scorer::Bm25 | Scorer::TfIdf | Scorer::TfIdfDocNorm)
    }

    /// Whether the formula asks for anything but the document itself.
    #[inline]
    pub fn wants_matches(self) -> bool {
        !matches!(self, Scorer::DocScore | Scorer::Hamming)
    }
}

/// How rare a term is, in the two ways that the formulas use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rarity {
    standard: f64,
    old: f64,
}

impl Rarity {
    /// Of any tag: RediSearch does not look how many documents have it.
    pub const OF_TAGS: Rarity = Rarity { standard: 0.0, old: 1.0 };

    /// Of a term that `documents` of `total` have. Superseded documents may make it more than all.
    pub fn of(documents: u64, total: u64) -> Rarity {
        let (n, all) = (documents as f64, (total.max(documents)) as f64);
        Rarity {
            standard: (1.0 + (all - n + 0.5) / (n + 0.5)).ln(),
            old: (1.0 + (total as f64 + 1.0) / n.max(1.0)).log2().floor(),
        }
    }
}

impl Rarity {
    /// As the standard formula takes it.
    pub fn fine(self) -> f64 {
        self.standard
    }

    /// In whole steps, as the older formulas take it.
    pub fn rough(self) -> f64 {
        self.old
    }
}

/// What a formula needs to know of the index and of the document at hand.
#[derive(Debug, Clone, Copy)]
pub struct Scoring {
    /// The formula.
    pub scorer: Scorer,
    /// Mean length of a document.
    pub length_mean: f64,
    /// Length of this document.
    pub length: u32,
    /// Every term counts once, however often it occurs.
    pub counts_once: bool,
}

impl Scoring {
    /// How often a term counts that occurs `frequency` times.
    pub fn counted(&self, frequency: u32) -> u32 {
        if self.counts_once { 1 } else { frequency }
    }

    /// What a term adds that occurs `frequency` times.
    #[inline]
    pub fn term(&self, rarity: Rarity, frequency: u32, weight: f64) -> f64 {
        let f = f64::from(self.counted(frequency));
        match self.scorer {
            Scorer::Bm25Std | Scorer::Bm25StdTanh | Scorer::Bm25StdNorm => {
                self.standard(rarity.standard, f, weight)
            }
            Scorer::Bm25 => {
                weight * rarity.old * f / (f + K1 * (1.0 - B_OLD + B_OLD * self.length_mean))
            }
            Scorer::TfIdf | Scorer::TfIdfDocNorm => weight * f * rarity.old,
            Scorer::DisMax => f * weight,
            Scorer::DocScore | Scorer::Hamming => 0.0,
        }
    }

    #[inline]
    fn standard(&self, rarity: f64, f: f64, weight: f64) -> f64 {
        // Without any words there are no lengths to compare.
        let share = match self.length_mean > 0.0 {
            true => f64::from(B * self.length as f32) / self.length_mean,
            false => 0.0,
        };
        weight * rarity * f * K1_PLUS_1 / (f + K1 * (f64::from(1.0 - B) + share))
    }

    /// What the clause `*` adds.
    pub fn everything(&self, weight: f64) -> f64 {
        match self.scorer {
            _ if weight == 0.0 => 0.0,
            Scorer::Bm25Std | Scorer::Bm25StdTanh | Scorer::Bm25StdNorm => {
                self.standard(1.0, 1.0, weight)
            }
            _ => self.valueless(weight),
        }
    }

    /// What a clause adds that has neither frequency nor rarity: an interval of numbers.
    pub fn valueless(&self, weight: f64) -> f64 {
        match self.scorer {
            Scorer::Bm25Std
            | Scorer::Bm25StdTanh
            | Scorer::Bm25StdNorm
            | Scorer::DocScore
            | Scorer::Hamming => 0.0,
            Scorer::Bm25 => weight / (1.0 + K1 * (1.0 - B_OLD + B_OLD * self.length_mean)),
            Scorer::TfIdf | Scorer::TfIdfDocNorm | Scorer::DisMax => weight,
        }
    }

    /// How the alternatives of a union add up.
    #[inline]
    pub fn join(&self, left: f64, right: f64) -> f64 {
        if self.scorer == Scorer::DisMax { left.max(right) } else { left + right }
    }

    /// The score of a document from what its clauses add up to, its own score, the frequency of its most frequent
    /// word, and the distance of the words.
    #[inline]
    pub fn total(
        &self,
        sum: f64,
        own: f32,
        frequency_max: u32,
        distance: impl FnOnce() -> u32,
    ) -> f64 {
        let own = f64::from(own);
        match self.scorer {
            Scorer::Bm25Std | Scorer::Bm25StdNorm => own * sum,
            Scorer::Bm25StdTanh => (own * sum / settings::TANH_FACTOR.get() as f64).tanh(),
            Scorer::Bm25 => own * sum / f64::from(distance()),
            Scorer::TfIdf => normalized(own * sum, frequency_max, distance),
            Scorer::TfIdfDocNorm => normalized(own * sum, self.length, distance),
            Scorer::DisMax => sum,
            Scorer::DocScore => own,
            Scorer::Hamming => 0.0,
        }
    }
}

fn normalized(score: f64, norm: u32, distance: impl FnOnce() -> u32) -> f64 {
    if norm == 0 || score == 0.0 {
        return 0.0;
    }
    score / f64::from(norm) / f64::from(distance())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two documents, "the quick brown fox" (with its stems) and another; figures that redis-py's tests check.
    #[test]
    fn scores_are_those_that_clients_test_for() {
        let rarity = Rarity::of(1, 2);
        assert!((rarity.standard - 2f64.ln()).abs() < 1e-12);
        assert_eq!(rarity.old, 2.0);
        let scoring = |scorer| Scoring { scorer, length_mean: 4.0, length: 4, counts_once: false };
        let standard = scoring(Scorer::Bm25Std);
        assert!((standard.term(rarity, 1, 1.0) - 2f64.ln()).abs() < 1e-6);
        assert!((standard.everything(5.0) - 5.0).abs() < 1e-6);
        assert_eq!(scoring(Scorer::TfIdf).term(rarity, 3, 2.0), 12.0);
        assert_eq!(scoring(Scorer::TfIdf).total(4.0, 0.5, 2, || 1), 1.0);
        assert_eq!(scoring(Scorer::TfIdf).total(4.0, 0.5, 0, || 1), 0.0);
        assert_eq!(scoring(Scorer::DocScore).total(9.0, 0.5, 1, || 1), 0.5);
    }

    #[test]
    fn more_superseded_than_living_documents_give_no_nonsense() {
        let rarity = Rarity::of(10, 3);
        assert!(rarity.standard > 0.0 && rarity.old >= 0.0);
        assert!(Rarity::of(0, 0).standard.is_finite());
    }
}
