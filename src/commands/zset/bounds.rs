//! Which members does a range mean? Two bounds given as ranks, scores or members.

use std::ops::Range;

use crate::base::number;
use crate::engine::args;
use crate::engine::error::CommandError;
use crate::object::zset::{Edge, Zset, member_edge};

/// What the bounds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Numbers in the order of the range, negative ones from its end.
    Rank,
    /// Scores, exclusive behind `(`.
    Score,
    /// Members, exclusive behind `(`, inclusive behind `[`; `-` and `+` are the ends.
    Lex,
}

/// Two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds<'a> {
    /// The first and the last rank.
    Ranks(i64, i64),
    /// What lies between two edges.
    Edges(Edge<'a>, Edge<'a>),
}

impl<'a> Bounds<'a> {
    /// Reads the lower and the upper bound (of ranks, the first and the last).
    pub fn parse(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Self, CommandError> {
        Ok(match by {
            By::Rank => Bounds::Ranks(args::int(low)?, args::int(high)?),
            By::Score => {
                let bad = CommandError::text("ERR min or max is not a float");
                let (Some(low), Some(high)) = (score_bound(low), score_bound(high)) else {
                    return Err(bad);
                };
                Bounds::Edges(low.lower(), high.upper())
            }
            By::Lex => {
                let bad = CommandError::text("ERR min or max not valid string range item");
                let (Some(low), Some(high)) = (member_edge(low, true), member_edge(high, false))
                else {
                    return Err(bad);
                };
                Bounds::Edges(low, high)
            }
        })
    }

    /// The ranks of what lies between the bounds; ranks count from the end if `reverse`.
    pub fn ranks(self, zset: &Zset, reverse: bool) -> Range<usize> {
        match self {
            Bounds::Edges(low, high) => zset.between(low, high),
            Bounds::Ranks(first, last) => {
                let len = zset.len();
                let ranks = rank_range(first, last, len);
                if reverse { len - ranks.end..len - ranks.start } else { ranks }
            }
        }
    }
}

/// A range of ranks cut to what there is; an empty one is at 0.
fn rank_range(first: i64, last: i64, len: usize) -> Range<usize> {
    let from_end = |rank: i64| if rank < 0 { len as i64 + rank } else { rank };
    let (first, last) = (from_end(first).max(0), from_end(last));
    if first > last || first >= len as i64 {
        return 0..0;
    }
    first as usize..(last as usize).saturating_add(1).min(len)
}

struct ScoreBound {
    score: f64,
    exclusive: bool,
}

impl ScoreBound {
    fn lower<'a>(&self) -> Edge<'a> {
        if self.exclusive { Edge::AboveScore(self.score) } else { Edge::Score(self.score) }
    }

    fn upper<'a>(&self) -> Edge<'a> {
        if self.exclusive { Edge::Score(self.score) } else { Edge::AboveScore(self.score) }
    }
}

fn score_bound(arg: &[u8]) -> Option<ScoreBound> {
    let (exclusive, text) = match arg {
        [b'(', text @ ..] => (true, text),
        text => (false, text),
    };
    loose_f64(text).map(|score| ScoreBound { score, exclusive })
}

/// A number as C's `strtod` reads one if it must read all of the text: blanks before it are skipped, no
/// text is zero, what is too large is infinite.
fn loose_f64(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let number = text.trim_ascii_start();
    number::parse_f64(number).or_else(|| {
        let value: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        (!value.is_nan()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_cut_to_what_there_is() {
        for (first, last, expected) in [
            (0, -1, 0..5),
            (1, 2, 1..3),
            (-2, -1, 3..5),
            (-100, 100, 0..5),
            (3, 2, 0..0),
            (5, 9, 0..0),
            (0, -6, 0..0),
            (i64::MIN, i64::MAX, 0..5),
            (i64::MAX, i64::MIN, 0..0),
        ] {
            assert_eq!(rank_range(first, last, 5), expected, "{first} {last}");
        }
        assert_eq!(rank_range(0, -1, 0), 0..0);
    }

    #[test]
    fn scores_are_read_as_strtod_does() {
        let parse = |low, high| Bounds::parse(By::Score, low, high);
        let edges = |low, high| Ok(Bounds::Edges(low, high));
        assert_eq!(parse(b"1", b"2"), edges(Edge::Score(1.0), Edge::AboveScore(2.0)));
        assert_eq!(parse(b"(1", b"(2"), edges(Edge::AboveScore(1.0), Edge::Score(2.0)));
        assert_eq!(
            parse(b"-inf", b"+inf"),
            edges(Edge::Score(f64::NEG_INFINITY), Edge::AboveScore(f64::INFINITY))
        );
        assert_eq!(parse(b"", b"("), edges(Edge::Score(0.0), Edge::Score(0.0)));
        assert_eq!(
            parse(b" 1", b"1e999"),
            edges(Edge::Score(1.0), Edge::AboveScore(f64::INFINITY))
        );
        for bad in [&b"nan"[..], b"x", b"1x", b"((1", b" ", b"1 "] {
            assert!(parse(bad, b"1").is_err() && parse(b"1", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn members_say_whether_they_are_included() {
        let parse = |low, high| Bounds::parse(By::Lex, low, high);
        let edges = |low, high| Ok(Bounds::Edges(low, high));
        assert_eq!(parse(b"-", b"+"), edges(Edge::Start, Edge::End));
        assert_eq!(parse(b"+", b"-"), edges(Edge::End, Edge::Start));
        assert_eq!(parse(b"[a", b"(b"), edges(Edge::Member(b"a"), Edge::Member(b"b")));
        assert_eq!(parse(b"(a", b"[b"), edges(Edge::AboveMember(b"a"), Edge::AboveMember(b"b")));
        assert_eq!(parse(b"(", b"["), edges(Edge::AboveMember(b""), Edge::AboveMember(b"")));
        for bad in [&b""[..], b"a", b"--", b"++", b"1"] {
            assert!(parse(bad, b"+").is_err() && parse(b"-", bad).is_err(), "{bad:?}");
        }
    }
}
