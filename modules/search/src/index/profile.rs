//! What does each part of a query cost?
//!
//! A measured search puts a watch around every operator. It counts the documents that the operator gave, and the time
//! that was spent in it, its children included, over all pieces of the index.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::index::matching::Op;
use crate::index::search::Leaves;
use crate::query::plan::{Plan, Step, VectorAsk};

/// What one operator did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    /// Documents that it gave.
    pub documents: u64,
    /// Time spent in it and its children.
    pub time: Duration,
}

/// Measures of a plan's steps.
#[derive(Debug)]
pub struct Profile<'p> {
    /// Steps by the place where they lie, which is theirs as long as the plan is borrowed.
    numbers: HashMap<usize, usize>,
    measures: Vec<Cell<Measure>>,
    /// The steps that stand for the plan's questions about vectors.
    questions: Vec<Option<&'p Step>>,
}

impl<'p> Profile<'p> {
    /// Nothing measured yet.
    pub fn new(plan: &'p Plan) -> Profile<'p> {
        let mut numbers = HashMap::new();
        number(&plan.root, &mut numbers);
        let mut questions = vec![None; plan.vectors.len()];
        find_questions(&plan.root, &mut questions);
        for query in &plan.vectors {
            if let VectorAsk::Nearest { filter: Some(filter), .. } = &query.ask {
                number(filter, &mut numbers);
            }
        }
        let measures = vec![Cell::default(); numbers.len()];
        Profile { numbers, measures, questions }
    }

    /// Adds the time that a question about vectors took, which is asked before anything is walked.
    pub(super) fn asked(&self, question: usize, time: Duration) {
        if let Some(step) = self.questions[question] {
            let cell = self.cell(step);
            cell.set(Measure { time: cell.get().time + time, ..cell.get() });
        }
    }

    /// What was measured for a step of the plan.
    pub fn of(&self, step: &Step) -> Measure {
        self.cell(step).get()
    }

    fn cell(&self, step: &Step) -> &Cell<Measure> {
        &self.measures[self.numbers[&address(step)]]
    }

    /// Puts a watch around the operator of a step.
    pub(super) fn watch<'a, C>(&'a self, step: &'a Step, op: Op<'a, C>) -> Op<'a, C> {
        Op::Watched(Box::new(Watched { op, step, measure: self.cell(step) }))
    }
}

fn number(step: &Step, numbers: &mut HashMap<usize, usize>) {
    let next = numbers.len();
    numbers.insert(address(step), next);
    match step {
        Step::And { children, .. } | Step::Or { children, .. } => {
            children.iter().for_each(|child| number(child, numbers));
        }
        Step::Not(child)
        | Step::Optional { child, .. }
        | Step::Nested { candidates: child, .. } => {
            number(child, numbers);
        }
        _ => {}
    }
}

fn find_questions<'p>(step: &'p Step, questions: &mut [Option<&'p Step>]) {
    match step {
        Step::Vector { query, .. } => questions[*query] = Some(step),
        Step::And { children, .. } | Step::Or { children, .. } => {
            children.iter().for_each(|child| find_questions(child, questions));
        }
        Step::Not(child) | Step::Optional { child, .. } => find_questions(child, questions),
        _ => {}
    }
}

fn address(step: &Step) -> usize {
    std::ptr::from_ref(step).addr()
}

/// An operator with a watch around it.
pub struct Watched<'a, C> {
    op: Op<'a, C>,
    step: &'a Step,
    measure: &'a Cell<Measure>,
}

impl<'a, C> Watched<'a, C> {
    /// The part of the plan that it stands for.
    pub fn step(&self) -> &'a Step {
        self.step
    }

    /// The operator, for what is not worth measuring.
    pub fn op(&self) -> &Op<'a, C> {
        &self.op
    }

    /// See [`Watched::op`].
    pub fn op_mut(&mut self) -> &mut Op<'a, C> {
        &mut self.op
    }

    /// Runs `job` on the operator and adds the time it takes.
    pub fn timed<R>(&mut self, job: impl FnOnce(&mut Op<'a, C>) -> R) -> R {
        let start = Instant::now();
        let result = job(&mut self.op);
        let mut measure = self.measure.get();
        measure.time += start.elapsed();
        self.measure.set(measure);
        result
    }

    /// Counts a document if there is one.
    pub fn count(&self, matched: bool) {
        let mut measure = self.measure.get();
        measure.documents += u64::from(matched);
        self.measure.set(measure);
    }
}

impl Leaves {
    /// How many terms stand for a leaf: more than one only for a shape.
    pub fn terms(&self, leaf: usize) -> Vec<(&[u8], u64)> {
        self.totals(leaf).terms()
    }

    /// How many documents have the term of a leaf.
    pub fn documents(&self, leaf: usize) -> u64 {
        self.totals(leaf).documents()
    }
}
