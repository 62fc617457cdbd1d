//! How do tests have the steps of a line run over all documents of an index?

use crate::aggregate::binding::{Options, bind};
use crate::aggregate::pipeline::Pipeline;
use crate::aggregate::{Limits, steps};
use crate::args::Args;
use crate::error::Error;
use crate::index::Index;
use crate::index::deadline::Deadline;
use crate::index::visit::Visit;
use crate::query::plan::{Plan, Step};

/// A pipeline that has got all documents.
pub fn fed(index: &Index, line: &str, limits: Limits) -> Result<Pipeline, Error> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut args = Args::new(&words);
    let mut parsed = Vec::new();
    while !args.is_empty() {
        assert!(steps::take(&mut parsed, &mut args).unwrap(), "{line}");
    }
    let plan = Plan { root: Step::All { weight: 1.0 }, leaves: Vec::new(), vectors: Vec::new() };
    let options = Options { add_scores: false, dialect: 2, limits };
    let bound = bind(index.schema(), &plan, parsed, options)?;
    let mut pipeline = Pipeline::new(bound, false, Deadline::NONE);
    let visit = Visit {
        plan: &plan,
        scorer: None,
        score_divisor: 1.0,
        with_terms: false,
        only: None,
        profile: None,
    };
    let snapshot = index.snapshot();
    let leaves = snapshot.look_up(&plan, &mut Deadline::NONE.clone());
    pipeline.feed(&snapshot, &visit, &leaves)?;
    Ok(pipeline)
}
