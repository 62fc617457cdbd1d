//! How do two lists of results become one?
//!
//! By ranks: reciprocal rank fusion (Cormack, Clarke, Büttcher), each list adding 1 / (constant + rank). Or by scores,
//! weighted; distances become scores first.

use std::collections::HashMap;

use crate::vector::Metric;

/// How results are fused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// By their ranks.
    Ranks {
        /// How little the first ranks stand out.
        constant: f64,
    },
    /// By their scores.
    Scores {
        /// Weight of the score by words.
        words: f64,
        /// Weight of the score by the vector.
        vector: f64,
    },
}

/// A fused result.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The document's number.
    pub number: u32,
    /// Its fused score.
    pub score: f64,
    /// Its score by words, if it was found by them.
    pub by_words: Option<f64>,
    /// Its score by the vector, if it was found by it.
    pub by_vector: Option<f64>,
    /// Its rank by each of them, from 1 on.
    pub ranks: [Option<usize>; 2],
}

/// How near a distance is: 1 for the same vector, 0 for the opposite or one far away.
pub fn nearness(metric: Metric, distance: f64) -> f64 {
    match metric {
        Metric::L2 => 1.0 / (1.0 + distance),
        // Both distances are one less a product.
        Metric::InnerProduct | Metric::Cosine => (2.0 - distance) / 2.0,
    }
}

/// Fuses results by words with results by a vector, both with the best first; the best comes first, of two equal ones
/// the older.
pub fn fuse(method: Method, by_words: &[(u32, f64)], by_vector: &[(u32, f64)]) -> Vec<Fused> {
    let mut places: HashMap<u32, usize> = HashMap::new();
    let mut fused: Vec<Fused> = Vec::with_capacity(by_words.len() + by_vector.len());
    let lists = [(by_words, Side::Words), (by_vector, Side::Vector)];
    for (list, side) in lists {
        for (rank, (number, score)) in list.iter().enumerate() {
            let place = *places.entry(*number).or_insert_with(|| {
                let none = Fused {
                    number: *number,
                    score: 0.0,
                    by_words: None,
                    by_vector: None,
                    ranks: [None; 2],
                };
                fused.push(none);
                fused.len() - 1
            });
            let result = &mut fused[place];
            result.score += match (method, side) {
                (Method::Ranks { constant }, _) => 1.0 / (constant + (rank + 1) as f64),
                (Method::Scores { words, .. }, Side::Words) => words * score,
                (Method::Scores { vector, .. }, Side::Vector) => vector * score,
            };
            result.ranks[side as usize] = Some(rank + 1);
            match side {
                Side::Words => result.by_words = Some(*score),
                Side::Vector => result.by_vector = Some(*score),
            }
        }
    }
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.number.cmp(&b.number)));
    fused
}

#[derive(Clone, Copy)]
enum Side {
    Words,
    Vector,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(fused: &[Fused]) -> Vec<(u32, f64)> {
        fused.iter().map(|result| (result.number, (result.score * 1e6).round() / 1e6)).collect()
    }

    /// The figures of redis-py's tests.
    #[test]
    fn ranks_are_fused_as_redisearch_does() {
        let (words, vector) = ([(0, 0.0), (2, 0.0), (5, 0.0)], [(2, 0.3), (7, 0.3), (12, 0.3)]);
        let fused = fuse(Method::Ranks { constant: 0.5 }, &words, &vector);
        let first: Vec<_> = scores(&fused).into_iter().take(3).collect();
        assert_eq!(first, [(2, 1.066_667), (0, 0.666_667), (7, 0.4)]);
        assert_eq!(fused.len(), 5);
        assert_eq!((fused[1].by_words, fused[1].by_vector), (Some(0.0), None));
        assert_eq!((fused[0].ranks, fused[1].ranks), ([Some(2), Some(1)], [Some(1), None]));
        let fused = fuse(Method::Ranks { constant: 60.0 }, &words, &vector);
        assert_eq!(scores(&fused)[0], (2, 0.032_522));
    }

    #[test]
    fn scores_are_weighted() {
        let method = Method::Scores { words: 0.5, vector: 0.25 };
        let fused = fuse(method, &[(1, 2.0), (2, 1.0)], &[(2, 4.0), (3, 2.0)]);
        assert_eq!(scores(&fused), [(2, 1.5), (1, 1.0), (3, 0.5)]);
        assert!(fuse(method, &[], &[]).is_empty());
        assert_eq!(nearness(Metric::L2, 1.0), 0.5);
        assert_eq!(nearness(Metric::Cosine, 0.0), 1.0);
    }
}
