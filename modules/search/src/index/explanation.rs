//! How did a document get its score?
//!
//! The document is found once more, with a watch around each operator that tells which part of the plan it is; then
//! the formulas are gone through as for the score itself, and written down in RediSearch's words.

use crate::index::matching::Op;
use crate::index::opening::{Opener, Weights};
use crate::index::profile::Profile;
use crate::index::search::{Leaves, Request, Run};
use crate::index::snapshot::{Place, Snapshot};
use crate::index::task::Task;
use crate::index::tier::{Cursor, Tier};
use crate::query::plan::{Leaf, Plan, Step};
use crate::score::{Scorer, Scoring};

/// One line of an explanation, and those that it follows from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    /// The line.
    pub text: String,
    /// What it follows from.
    pub children: Vec<Explanation>,
}

impl Explanation {
    /// A line that follows from nothing else.
    pub fn leaf(text: String) -> Explanation {
        Explanation { text, children: Vec::new() }
    }
}

impl Task {
    /// How each of some results got its score.
    pub fn explain(&self, numbers: impl Iterator<Item = u32>) -> Vec<Explanation> {
        let mut deadline = self.deadline;
        let leaves = self.snapshot.look_up(&self.plan, &mut deadline);
        let request = self.request();
        let weights = self.snapshot.schema().weights().map(Weights::new);
        let profile = Profile::new(&self.plan);
        let run = self.snapshot.ready(&request, &leaves, weights.as_ref(), Some(&profile));
        numbers.map(|number| self.snapshot.explain(&request, &run, &leaves, number)).collect()
    }
}

impl Snapshot {
    fn explain(
        &self,
        request: &Request<'_>,
        run: &Run<'_>,
        leaves: &Leaves,
        number: u32,
    ) -> Explanation {
        match self.place(number) {
            Some(Place::Sealed(at, row)) => {
                let opener = run.opener(&*self.sealed[at].tier, leaves.in_sealed(at));
                self.explain_row(request, &opener, row)
            }
            Some(Place::Frozen(at, row)) => {
                let opener = run.opener(&*self.frozen[at].tier, leaves.in_frozen(at));
                self.explain_row(request, &opener, row)
            }
            Some(Place::Fresh(row)) => {
                self.explain_row(request, &run.opener(&*self.fresh, leaves.in_fresh()), row)
            }
            None => Explanation::default(),
        }
    }

    fn explain_row<T: Tier>(
        &self,
        request: &Request<'_>,
        opener: &Opener<'_, T>,
        row: u32,
    ) -> Explanation {
        let mut deadline = request.deadline;
        let mut op = opener.open(&mut deadline);
        op.next(row);
        if !op.matches(row) {
            return Explanation::default();
        }
        let rows = opener.tier.rows();
        let length_mean = self.length_sum as f64 / self.documents.max(1) as f64;
        let scoring = Scoring {
            scorer: request.scorer,
            length_mean,
            length: rows.length(row),
            counts_once: self.schema.omits.frequencies,
        };
        let (sum, inner) = Explainer { plan: request.plan, scoring: &scoring }.op(&mut op, None);
        let facts =
            Facts { own: rows.score(row).into(), frequency_max: rows.frequency_max(row), sum };
        total(&scoring, facts, op.distance(), inner)
    }
}

/// What the last line is made of.
#[derive(Clone, Copy)]
struct Facts {
    /// The document's own score.
    own: f64,
    frequency_max: u32,
    sum: f64,
}

/// The last line.
fn total(scoring: &Scoring, facts: Facts, slop: u32, inner: Explanation) -> Explanation {
    let Facts { own, frequency_max, sum } = facts;
    let above = |text: String| Explanation { text, children: vec![inner.clone()] };
    let standard = || format!("Final BM25 : words BM25 {sum:.2} * document score {own:.2}");
    let scaled = |norm: u32| {
        format!(
            "Final TFIDF : words TFIDF {sum:.2} * document score {own:.2} / norm {norm} / slop {slop}"
        )
    };
    match scoring.scorer {
        Scorer::Bm25Std | Scorer::Bm25StdNorm => above(standard()),
        Scorer::Bm25StdTanh => {
            let factor = crate::settings::TANH_FACTOR.get();
            let text = format!(
                "Final Normalized BM25 : tanh(stretch factor 1/{factor} * Final BM25 {:.2})",
                own * sum
            );
            Explanation { text, children: vec![above(standard())] }
        }
        Scorer::Bm25 => above(format!(
            "Final BM25 : words BM25 {sum:.2} * document score {own:.2} / slop {slop}"
        )),
        Scorer::TfIdf if frequency_max == 0 => {
            Explanation::leaf("Document max frequency is 0".to_owned())
        }
        Scorer::TfIdf => above(scaled(frequency_max)),
        Scorer::TfIdfDocNorm => above(scaled(scoring.length)),
        Scorer::DisMax => inner,
        Scorer::DocScore => Explanation::leaf(format!("Document's score is {own:.2}")),
        Scorer::Hamming => {
            Explanation::leaf("Payloads provided to scorer vary in length".to_owned())
        }
    }
}

struct Explainer<'a> {
    plan: &'a Plan,
    scoring: &'a Scoring,
}

impl Explainer<'_> {
    /// What the row that matched last scores, and why; `step` is the part of the plan that `op` stands for.
    fn op<C: Cursor>(&self, op: &mut Op<'_, C>, step: Option<&Step>) -> (f64, Explanation) {
        match op {
            Op::Watched(watched) => {
                let step = watched.step();
                self.op(watched.op_mut(), Some(step))
            }
            Op::Term(term) => {
                let frequency = self.scoring.counted(term.frequency());
                let score = self.scoring.term(term.rarity, frequency, term.weight);
                let name = step.map(|step| self.name(step)).unwrap_or_default();
                let rarities = (term.rarity.fine(), term.rarity.rough());
                let text = self.term(&name, score, term.weight, rarities, frequency);
                (score, Explanation::leaf(text))
            }
            Op::And(and) => {
                let children = and.children.iter_mut().map(|child| self.op(child, None));
                self.several(children.collect(), and.weight)
            }
            Op::Or(or) => {
                let matched = or.children.iter_mut().zip(&or.matched).filter(|(_, m)| **m);
                let children = matched.map(|(child, _)| self.op(child, None));
                self.several(children.collect(), or.weight)
            }
            Op::Optional { child, matched: true, weight } | Op::Nested { child, weight, .. } => {
                let (score, explanation) = self.op(child, None);
                (score * *weight, explanation)
            }
            Op::All { weight } if self.is_standard() && *weight != 0.0 => {
                let score = self.scoring.everything(*weight);
                (score, Explanation::leaf(self.term("*", score, *weight, (1.0, 1.0), 1)))
            }
            op => {
                let score = op.score(self.scoring);
                (score, Explanation::leaf(self.valueless(score)))
            }
        }
    }

    fn is_standard(&self) -> bool {
        matches!(self.scoring.scorer, Scorer::Bm25Std | Scorer::Bm25StdTanh | Scorer::Bm25StdNorm)
    }

    /// The term of a leaf, as the dictionary has it.
    fn name(&self, step: &Step) -> String {
        let Step::Leaf { leaf, .. } = step else { return String::new() };
        match &self.plan.leaves[*leaf] {
            Leaf::Term(term) => String::from_utf8_lossy(&term.bytes).into_owned(),
            Leaf::Shape(shape) => {
                String::from_utf8_lossy(shape.pattern.literal_prefix()).into_owned()
            }
        }
    }

    fn term(
        &self,
        name: &str,
        score: f64,
        weight: f64,
        (fine, rough): (f64, f64),
        frequency: u32,
    ) -> String {
        let Scoring { length, length_mean, .. } = self.scoring;
        let f = f64::from(frequency);
        match self.scoring.scorer {
            Scorer::Bm25Std | Scorer::Bm25StdTanh | Scorer::Bm25StdNorm => format!(
                "{name}: ({score:.2} = Weight {weight:.2} * IDF {fine:.2} * (F {f:.2} * (k1 1.2 + 1)) / (F {f:.2} + \
                 k1 1.2 * (1 - b 0.75 + b 0.75 * Doc Len {length} / Average Doc Len {length_mean:.2})))"
            ),
            Scorer::Bm25 => format!(
                "({score:.2} = Weight {weight:.2} * IDF {rough:.2} * F {frequency} / (F {frequency} + k1 1.2 * (1 - b \
                 0.5 + b 0.5 * Average Len {length_mean:.2})))"
            ),
            Scorer::TfIdf | Scorer::TfIdfDocNorm => {
                format!("(TFIDF {score:.2} = Weight {weight:.2} * TF {frequency} * IDF {rough:.2})")
            }
            _ => format!("DISMAX {score:.2} = Weight {weight:.2} * Frequency {frequency}"),
        }
    }

    fn valueless(&self, score: f64) -> String {
        match self.scoring.scorer {
            Scorer::TfIdf | Scorer::TfIdfDocNorm => {
                format!("(TFIDF {score:.2} = Weight {score:.2} * Frequency 1)")
            }
            Scorer::DisMax => format!("DISMAX {score:.2} = Weight {score:.2} * Frequency 1"),
            Scorer::Bm25 if score == 0.0 => "Frequency 0 -> value 0".to_owned(),
            Scorer::Bm25 => format!(
                "({score:.2} = Weight 1.00 * F 1 / (F 1 + k1 1.2 * (1 - b 0.5 + b 0.5 * Average Len {:.2})))",
                self.scoring.length_mean
            ),
            _ => "Irrelevant token -> score is 0".to_owned(),
        }
    }

    fn several(&self, children: Vec<(f64, Explanation)>, weight: f64) -> (f64, Explanation) {
        let sum = children.iter().fold(0.0, |sum, (score, _)| match self.scoring.scorer {
            Scorer::DisMax => self.scoring.join(sum, *score),
            _ => sum + score,
        });
        let text = match self.scoring.scorer {
            Scorer::TfIdf | Scorer::TfIdfDocNorm => {
                format!("(Weight {weight:.2} * total children TFIDF {sum:.2})")
            }
            Scorer::DisMax => {
                format!("{:.2} = Weight {weight:.2} * children DISMAX {sum:.2}", weight * sum)
            }
            _ => format!("(Weight {weight:.2} * children BM25 {sum:.2})"),
        };
        let children = children.into_iter().map(|(_, explanation)| explanation).collect();
        (sum * weight, Explanation { text, children })
    }
}
