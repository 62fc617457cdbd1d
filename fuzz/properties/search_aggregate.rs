//! Do the steps of FT.AGGREGATE give the same rows, whatever way the documents and the rows take?
//!
//! Input: a query, then the arguments of FT.AGGREGATE behind it, one a line. Properties: the steps are read twice the same;
//! documents that were just put in and sealed ones give the same rows; rows that are taken one by one are those that are taken
//! at once; rows that come by other means than the index (as FT.HYBRID's do) go through, and are no more than they may be.

use std::borrow::Cow;

use mortise_search::aggregate::binding::{self, Bound, bind, bind_rows};
use mortise_search::aggregate::pipeline::{Load, Loader, Names, Pipeline};
use mortise_search::aggregate::steps::{self, Step};
use mortise_search::aggregate::{Limits, Row};
use mortise_search::args::Args;
use mortise_search::error::Error;
use mortise_search::expression::value::Value;
use mortise_search::index::analysis::FieldValue;
use mortise_search::index::deadline::Deadline;
use mortise_search::index::visit::Visit;
use mortise_search::index::{Attributes, Index};
use mortise_search::query::expand::Expander;
use mortise_search::query::parser::{Context, Parameters, parse};
use mortise_search::query::plan::{Options, Plan, plan};
use mortise_search::schema::{ALL_FIELDS, Schema};
use mortise_search::tokenize::Language;

use super::search_pieces::Pieces;

/// Longer requests add work but nothing new: arrays multiply where several are grouped by.
const TEXT_BYTES_MAX: usize = 512;
const SCHEMA: &str =
    "SCHEMA t TEXT SORTABLE u TEXT n NUMERIC SORTABLE m NUMERIC g TAG SORTABLE UNF h TAG";
const DOCUMENTS: &[[&str; 6]] = &[
    ["Ab", "one two", "1", "5", "x", "a,b"],
    ["ab", "two", "2.5", "-1", "X", "b"],
    ["", "three", "1", "1e9", "y", ""],
    ["b", "two three", "-3", "0", "x,y", "a"],
    ["\u{e9}", "", "40000", "7", "", "c,a"],
    ["ab", "one", "2.5", "5", "x", "a,b"],
];

fn put(index: &mut Index, number: usize, document: &[&str; 6]) {
    let value = |text: &&str| match *text {
        "" => FieldValue::Missing,
        text => FieldValue::Bytes(Cow::Owned(text.as_bytes().to_vec())),
    };
    let values: Vec<_> = document.iter().map(value).collect();
    let attributes = Attributes { language: Language::default(), score: 1.0, expires_at_ms: None };
    index.put(&[b'a' + number as u8], &values, attributes).expect("the documents fit the schema");
}

thread_local! {
    static PIECES: Pieces =
        Pieces::new(SCHEMA, DOCUMENTS.len(), |index, number| put(index, number, &DOCUMENTS[number]));
}

/// What matters besides the steps.
const BINDING: binding::Options = binding::Options {
    add_scores: false,
    dialect: 2,
    limits: Limits { groups: 1_000_000, bytes: 1 << 30 },
};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    if bytes.len() <= TEXT_BYTES_MAX {
        let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        PIECES.with(|pieces| request(pieces, lines[0], &lines[1..]));
    }
}

fn request(pieces: &Pieces, query: &[u8], arguments: &[&[u8]]) {
    let steps = read(arguments);
    assert_eq!(format!("{steps:?}"), format!("{:?}", read(arguments)));
    if steps.is_err() {
        return;
    }
    if let Ok(bound) =
        bind_rows(&pieces.schema, &[b"t", b"n"], read(arguments).expect("again"), BINDING)
    {
        rows_from_elsewhere(bound);
    }
    let Some(plan) = planned(&pieces.schema, query) else { return };
    // Samples are drawn by chance.
    let drawn = arguments.iter().any(|word| word.eq_ignore_ascii_case(b"RANDOM_SAMPLE"));
    let at_once = run(&pieces.fresh, &plan, arguments, usize::MAX);
    for (index, count) in [(&pieces.fresh, 1), (&pieces.sealed, usize::MAX), (&pieces.sealed, 2)] {
        let other = run(index, &plan, arguments, count);
        assert!(drawn || at_once == other, "{at_once:?} and {other:?}");
    }
}

fn read<'a>(arguments: &'a [&'a [u8]]) -> Result<Vec<Step<'a>>, Error> {
    let mut args = Args::new(arguments);
    let mut steps = Vec::new();
    while !args.is_empty() {
        if !steps::take(&mut steps, &mut args)? {
            return Err(Error::Text("no step"));
        }
    }
    Ok(steps)
}

fn planned(schema: &Schema, query: &[u8]) -> Option<Plan> {
    let parameters = Parameters::new();
    let context =
        Context { schema, stop_words: &schema.stop_words, parameters: &parameters, dialect: 2 };
    let options = Options {
        verbatim: false,
        expander: Expander::default(),
        language: Language::default(),
        fields: ALL_FIELDS,
        slop: None,
        in_order: false,
    };
    plan(&parse(query, context).ok()?, schema, &options).ok()
}

/// A key has something by every name that begins with a letter of the first half; the document `c` has gone.
struct Keys;

impl Loader for Keys {
    fn load(
        &mut self,
        load: &Load,
        rows: &mut [Row<'static>],
        names: &mut Names,
    ) -> Result<Vec<bool>, Error> {
        Ok(rows.iter_mut().map(|row| load_row(load, row, names)).collect())
    }
}

fn load_row(load: &Load, row: &mut Row<'_>, names: &mut Names) -> bool {
    match load {
        Load::All => {
            let slot = names.slot(b"all");
            row.set(slot, Some(Value::Number(7.0)));
        }
        Load::Fields(fields) => {
            for field in fields {
                let found = field.path.first().is_some_and(|byte| *byte < b'n');
                let value = Value::Text(Cow::Owned(field.path.to_vec()));
                row.set(field.slot, found.then_some(value));
            }
        }
    }
    row.key.as_deref() != Some(b"c")
}

/// All rows, `count` at a time, or what went wrong.
fn run(index: &Index, plan: &Plan, arguments: &[&[u8]], count: usize) -> Result<String, String> {
    let shown = |error: Error| error.to_string();
    let steps = read(arguments).expect("the steps have been read");
    let bound = bind(index.schema(), plan, steps, BINDING).map_err(shown)?;
    let mut pipeline = Pipeline::new(bound, true, Deadline::NONE);
    let visit = Visit {
        plan,
        scorer: None,
        score_divisor: 1.0,
        with_terms: pipeline.wants_terms(),
        only: None,
        profile: None,
    };
    let snapshot = index.snapshot();
    let leaves = snapshot.look_up(plan, &mut { Deadline::NONE });
    pipeline.feed(&snapshot, &visit, &leaves).map_err(shown)?;
    let mut rows = String::new();
    loop {
        let some = pipeline.take(count, &mut Keys).map_err(shown)?;
        pipeline.each_row(&some, |row| {
            let fields: Vec<_> = pipeline.fields(row).collect();
            rows.push_str(&format!("{fields:?}\n"));
        });
        if some.len() < count {
            assert!(!pipeline.has_more());
            return Ok(rows);
        }
    }
}

fn rows_from_elsewhere(bound: Bound) {
    let mut pipeline = Pipeline::new(bound, false, Deadline::NONE);
    let row = |at: u8| Row {
        slots: vec![(at != 1).then(|| Value::Text(Cow::Owned(vec![b'a' + at]))), None],
        key: Some(Cow::Owned(vec![b'a' + at])),
    };
    pipeline.push_rows((0..4).map(row).collect()).expect("four rows are few");
    let grouped = pipeline.is_grouped();
    if let Ok(rows) = pipeline.take(usize::MAX, &mut Keys) {
        assert!(grouped || rows.len() <= 4);
    }
}
