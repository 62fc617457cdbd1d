//! What do the tests of the index have in common?
//!
//! An index of a schema that is written as in FT.CREATE, queries as plans, and the search that leaves nothing out.

use std::sync::Arc;

use crate::error::Error;
use crate::index::Attributes;
use crate::index::deadline::Deadline;
use crate::index::search::{Order, Request};
use crate::query::expand::Expander;
use crate::query::parser::{Context, Parameters, parse};
use crate::query::plan::{Options, Plan, plan};
use crate::schema::parse::create;
use crate::schema::{ALL_FIELDS, Schema};
use crate::score::Scorer;
use crate::tokenize::Language;

/// The schema of what stands behind the name in FT.CREATE.
pub fn schema(line: &str) -> Arc<Schema> {
    let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    Arc::new(create(b"idx", &words).unwrap())
}

/// Those of a document that says nothing but its score.
pub fn attributes(score: f32) -> Attributes {
    Attributes { language: Language::default(), score, expires_at_ms: None }
}

/// The plan of a query, without options.
pub fn planned(query: &str, schema: &Schema, parameters: &Parameters) -> Result<Plan, Error> {
    let context = Context { schema, stop_words: &schema.stop_words, parameters, dialect: 2 };
    let options = Options {
        verbatim: false,
        expander: Expander::default(),
        language: Language::default(),
        fields: ALL_FIELDS,
        slop: None,
        in_order: false,
    };
    plan(&parse(query.as_bytes(), context)?, schema, &options)
}

/// A search for all matches of a small index, with their scores.
pub fn all(plan: &Plan, order: Order) -> Request<'_> {
    Request {
        plan,
        scorer: Scorer::default(),
        with_scores: true,
        order,
        offset: 0,
        limit: 1000,
        only: None,
        deadline: Deadline::NONE,
    }
}
