//! How did a row of FT.HYBRID get its score?
//!
//! The fusion's sum first, then what each of the two searches brought to it, in RediSearch's words; for the search by words
//! with how that score came about.

use crate::commands::hybrid::fusion::{Fused, Method};
use crate::commands::hybrid::request::{Ask, Request};
use crate::index::explanation::Explanation;

/// What stands in the place of a search that has not found the document.
const NO_MATCH: &str = "<no match>";

/// Explains a fused score; `words` is how the one by words came about.
pub fn explain(request: &Request<'_>, fused: &Fused, words: Explanation) -> Explanation {
    let window = request.window;
    let fusion = match request.method {
        Method::Ranks { constant } => {
            format!("Hybrid score (RRF: window={window}, constant={constant:.2})")
        }
        Method::Scores { words, vector } => {
            format!("Hybrid score (LINEAR: alpha={words:.4}, beta={vector:.4}, window={window})")
        }
    };
    let branches = vec![by_words(request, fused, words), by_vector(request, fused)];
    above(sum(request.method, fused), vec![above(fusion, branches)])
}

fn above(text: String, children: Vec<Explanation>) -> Explanation {
    Explanation { text, children }
}

/// The sum that the score is.
fn sum(method: Method, fused: &Fused) -> String {
    let [by_words, by_vector] = fused.ranks;
    let terms = match method {
        Method::Ranks { constant } => {
            let term = |rank| format!("1 / (constant {constant:.2} + rank {rank})");
            [by_words.map(term), by_vector.map(term)]
        }
        Method::Scores { words, vector } => [
            fused.by_words.map(|score| format!("{words:.4} * {score:.4}")),
            fused.by_vector.map(|score| format!("{vector:.4} * {score:.4}")),
        ],
    };
    let [words, vector] = terms;
    let words = words.unwrap_or_else(|| "0 [text: no match]".to_owned());
    let vector = vector.unwrap_or_else(|| "0 [vector: no match]".to_owned());
    format!("final score: {words} + {vector} = {}", digits(fused.score))
}

fn by_words(request: &Request<'_>, fused: &Fused, words: Explanation) -> Explanation {
    let mut children = vec![words];
    let text = match (request.method, fused.ranks[0], fused.by_words) {
        (Method::Ranks { .. }, Some(rank), _) => format!("text rank = {rank}"),
        (Method::Ranks { .. }, None, _) => {
            return Explanation::leaf(format!("text rank = {NO_MATCH}"));
        }
        (Method::Scores { words, .. }, _, Some(score)) => {
            let normalized = format!("normalized text score = {score:.4}");
            children.insert(0, Explanation::leaf(normalized));
            format!("text contribution = {words:.4} * {score:.4} = {:.4}", words * score)
        }
        (Method::Scores { .. }, _, None) => {
            return Explanation::leaf(format!("text contribution = {NO_MATCH}"));
        }
    };
    let scorer = format!("Text scorer: {}", request.scorer.name());
    above(text, vec![above(scorer, children)])
}

fn by_vector(request: &Request<'_>, fused: &Fused) -> Explanation {
    let mut children = Vec::new();
    let text = match request.vector.ask {
        Ask::Nearest { .. } => "vector branch (KNN)".to_owned(),
        Ask::Within { radius, epsilon } => {
            children.push(format!("matched within radius = {}", fused.by_vector.is_some()));
            let epsilon = epsilon.map(|epsilon| format!(", epsilon={epsilon}"));
            format!("vector branch (RANGE: radius={radius:.4}{})", epsilon.unwrap_or_default())
        }
    };
    match (request.method, fused.ranks[1], fused.by_vector) {
        (Method::Ranks { .. }, Some(rank), _) => children.push(format!("vector rank = {rank}")),
        (Method::Ranks { .. }, None, _) => children.push(format!("vector rank = {NO_MATCH}")),
        (Method::Scores { vector, .. }, _, Some(score)) => {
            let product = vector * score;
            children.push(format!("vector contribution = {vector:.4} * {score:.4} = {product:.4}"));
            children.push(format!("normalized vector score = {score:.4}"));
        }
        (Method::Scores { .. }, _, None) => {
            children.push(format!("vector contribution = {NO_MATCH}"));
        }
    }
    above(text, children.into_iter().map(Explanation::leaf).collect())
}

/// Seventeen significant digits without needless zeros, as C's `%.17g`.
fn digits(number: f64) -> String {
    let (mantissa, exponent) = split(number);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if !number.is_finite() {
        return number.to_string();
    }
    match usize::try_from(16 - exponent) {
        Ok(decimals) if exponent >= -4 => trim(&format!("{number:.decimals$}")),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trim(&mantissa), exponent.abs())
        }
    }
}

/// The digits of a number, and its power of ten.
fn split(number: f64) -> (String, i32) {
    let text = format!("{number:.16e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa.to_owned(), exponent.parse().unwrap_or(0)),
        None => (text, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::hybrid::request::read;

    fn lines(explanation: &Explanation, depth: usize, out: &mut Vec<String>) {
        out.push(format!("{}{}", " ".repeat(depth), explanation.text));
        explanation.children.iter().for_each(|child| lines(child, depth + 1, out));
    }

    fn explained(line: &str, fused: &Fused) -> Vec<String> {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        let request = read(&words).unwrap();
        let mut out = Vec::new();
        lines(&explain(&request, fused, Explanation::leaf("inner".to_owned())), 0, &mut out);
        out
    }

    #[test]
    fn ranks_and_scores_are_explained() {
        let both = Fused {
            number: 0,
            score: 2.0 / 61.0,
            by_words: Some(0.25),
            by_vector: Some(0.5),
            ranks: [Some(1), Some(1)],
        };
        assert_eq!(
            explained("SEARCH x VSIM @v $b EXPLAINSCORE", &both),
            [
                "final score: 1 / (constant 60.00 + rank 1) + 1 / (constant 60.00 + rank 1) = 0.032786885245901641",
                " Hybrid score (RRF: window=20, constant=60.00)",
                "  text rank = 1",
                "   Text scorer: BM25STD",
                "    inner",
                "  vector branch (KNN)",
                "   vector rank = 1",
            ]
        );
        let words = Fused { by_vector: None, ranks: [Some(3), None], score: 0.175, ..both.clone() };
        assert_eq!(
            explained(
                "SEARCH x SCORER TFIDF VSIM @v $b RANGE 4 RADIUS 0.7 EPSILON 0.5 COMBINE LINEAR 4 ALPHA 0.7 BETA 0.3",
                &words
            ),
            [
                "final score: 0.7000 * 0.2500 + 0 [vector: no match] = 0.17499999999999999",
                " Hybrid score (LINEAR: alpha=0.7000, beta=0.3000, window=20)",
                "  text contribution = 0.7000 * 0.2500 = 0.1750",
                "   Text scorer: TFIDF",
                "    normalized text score = 0.2500",
                "    inner",
                "  vector branch (RANGE: radius=0.7000, epsilon=0.5)",
                "   matched within radius = false",
                "   vector contribution = <no match>",
            ]
        );
        let vector = Fused { by_words: None, ranks: [None, Some(2)], ..both };
        let lines = explained("SEARCH x VSIM @v $b RANGE 2 RADIUS 1", &vector);
        assert!(
            lines[0].starts_with("final score: 0 [text: no match] + 1 / (constant 60.00 + rank 2)")
        );
        assert_eq!(lines[2], "  text rank = <no match>");
        assert_eq!(
            lines[3..],
            [
                "  vector branch (RANGE: radius=1.0000)",
                "   matched within radius = true",
                "   vector rank = 2",
            ]
        );
    }

    #[test]
    fn digits_are_those_of_c() {
        assert_eq!(digits(0.1), "0.10000000000000001");
        assert_eq!(digits(0.0), "0");
        assert_eq!(digits(12.5), "12.5");
        assert_eq!(digits(1e-7), "9.9999999999999995e-08");
        assert_eq!(digits(1e20), "1e+20");
    }
}
