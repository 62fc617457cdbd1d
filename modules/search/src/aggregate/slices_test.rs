//! Are keys read a few at a time, as late as can be, and is what a command may hold limited?
//!
//! The loader stands for the keyspace, and notes how many rows it is given at a time.

use std::sync::Arc;

use crate::aggregate::pipeline::{Load, Loader, Names, Pipeline, SLICE_ROWS};
use crate::aggregate::testing::fed;
use crate::aggregate::{Limits, Row};
use crate::error::Error;
use crate::expression::value::{Value, number_text};
use crate::index::analysis::FieldValue;
use crate::index::{Attributes, Index, Work};
use crate::schema::parse::create;
use crate::tokenize::Language;

const DOCUMENTS: usize = 5000;

/// Documents of which `n` is the number, `g` a tag in the index that tells most apart, and `t` a text in the keys alone.
fn index() -> Index {
    let words: Vec<&[u8]> =
        "SCHEMA t TEXT n NUMERIC g TAG SORTABLE UNF".split(' ').map(str::as_bytes).collect();
    let mut index = Index::new(Arc::new(create(b"idx", &words).unwrap()), Work::Inline);
    let attributes = Attributes { language: Language::default(), score: 1.0, expires_at_ms: None };
    for number in 0..DOCUMENTS {
        let text = FieldValue::Bytes(b"word".as_slice().into());
        let values = [number.to_string(), format!("tag number {number}")];
        let [n, g] = values.each_ref().map(|text| FieldValue::Bytes(text.as_bytes().into()));
        index.put(number.to_string().as_bytes(), &[text, n, g], attributes).unwrap();
    }
    index
}

/// Gives every row its key modulo 5. Keys that are multiples of 10 have gone.
#[derive(Default)]
struct Keys {
    calls: Vec<usize>,
}

impl Loader for Keys {
    fn load(
        &mut self,
        load: &Load,
        rows: &mut [Row<'static>],
        _names: &mut Names,
    ) -> Result<Vec<bool>, Error> {
        self.calls.push(rows.len());
        let Load::Fields(fields) = load else { unreachable!("the tests name what they load") };
        let exist = rows.iter_mut().map(|row| {
            let key = String::from_utf8_lossy(row.key.as_ref().unwrap());
            let number: u32 = key.parse().unwrap();
            for field in fields {
                row.set(
                    field.slot,
                    Some(Value::Text((number % 5).to_string().into_bytes().into())),
                );
            }
            !number.is_multiple_of(10)
        });
        Ok(exist.collect())
    }
}

/// The next rows, at most `count`, each as text.
fn take(pipeline: &mut Pipeline, count: usize, keys: &mut Keys) -> Vec<String> {
    let taken = pipeline.take(count, keys).unwrap();
    let mut rows = Vec::new();
    pipeline.each_row(&taken, |row| {
        let fields = pipeline.fields(row).map(|(name, value)| {
            let value = match value {
                Value::Number(number) => number_text(*number),
                Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            };
            format!("{}={value}", String::from_utf8_lossy(name))
        });
        rows.push(fields.collect::<Vec<_>>().join(" "));
    });
    rows
}

fn run(line: &str, count: usize) -> (Vec<String>, Vec<usize>) {
    let mut keys = Keys::default();
    let mut pipeline = fed(&index(), line, Limits::default()).unwrap();
    (take(&mut pipeline, count, &mut keys), keys.calls)
}

#[test]
fn all_keys_are_read_in_slices() {
    let (rows, calls) = run("FILTER @n>=1000 GROUPBY 1 @t REDUCE COUNT 0 AS c", usize::MAX);
    // Of 4000 keys, those that are multiples of 10 have gone.
    assert_eq!(rows, ["t=1 c=800", "t=2 c=800", "t=3 c=800", "t=4 c=800", "t=0 c=400"]);
    assert_eq!(calls.iter().sum::<usize>(), 4000);
    assert!(calls.iter().all(|rows| *rows <= SLICE_ROWS), "{calls:?}");
    let (rows, calls) = run("LOAD 1 @t SORTBY 3 @t DESC @n MAX 2", usize::MAX);
    assert_eq!(rows, ["t=4 n=4", "t=4 n=9"]);
    assert_eq!(calls.iter().sum::<usize>(), DOCUMENTS);
}

#[test]
fn only_keys_that_are_answered_are_read() {
    let (rows, calls) = run("LOAD 1 @t SORTBY 2 @n DESC LIMIT 1 2", usize::MAX);
    assert_eq!((rows, calls), (vec!["t=3 n=4998".to_owned(), "t=2 n=4997".to_owned()], vec![2]));
    let (rows, calls) = run("LOAD 1 @t LIMIT 5 3", usize::MAX);
    assert_eq!((rows, calls), (vec!["t=0".into(), "t=1".into(), "t=2".into()], vec![3]));
    let (rows, calls) = run("LOAD 1 @t FILTER @n>4996", usize::MAX);
    let expected: Vec<String> =
        ["t=2 n=4997", "t=3 n=4998", "t=4 n=4999"].map(str::to_owned).into();
    assert_eq!((rows, calls), (expected, vec![3]));
    let (_, calls) = run("LOAD 1 @t GROUPBY 1 @g", usize::MAX);
    assert!(calls.is_empty(), "{calls:?}");
}

#[test]
fn a_cursor_reads_keys_as_it_goes_on() {
    let index = index();
    let mut keys = Keys::default();
    let mut pipeline = fed(&index, "LOAD 1 @t FILTER @t>=3", Limits::default()).unwrap();
    assert_eq!(pipeline.loads(4), 4);
    assert_eq!(take(&mut pipeline, 4, &mut keys), ["t=3", "t=4", "t=3", "t=4"]);
    // As many as are missing each time, until the filter has let enough through.
    assert!(keys.calls.iter().sum::<usize>() <= 10, "{:?}", keys.calls);
    assert!(pipeline.has_more() && pipeline.waiting() >= DOCUMENTS - 10);
    drop(index);
    assert_eq!(take(&mut pipeline, usize::MAX, &mut keys).len(), DOCUMENTS / 5 * 2 - 4);
    assert!(!pipeline.has_more());
}

#[test]
fn an_error_counts_only_if_its_row_is_reached() {
    // The first block has rows on which the second operand fails; the first row is none of them.
    let line = "APPLY case(@n<3,1,strlen(@n)) AS x LIMIT 0 3";
    assert_eq!(run(line, usize::MAX).0, ["n=0 x=1", "n=1 x=1", "n=2 x=1"]);
    let failed = fed(&index(), &line.replace("0 3", "0 4"), Limits::default()).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "Invalid type for argument 0 in function 'strlen'. Expected a string"
    );
}

#[test]
fn groups_are_limited() {
    let index = index();
    let limits = |groups| Limits { groups, ..Limits::default() };
    let line = "GROUPBY 1 @g REDUCE COUNT 0";
    assert!(fed(&index, line, limits(DOCUMENTS)).is_ok());
    let refused = fed(&index, line, limits(DOCUMENTS - 1)).unwrap_err().to_string();
    assert_eq!(refused, "Aggregate GROUPBY exceeded MAX_AGGREGATE_GROUPS limit of 4999 groups");
    // A row that is in several groups.
    let line = "APPLY split('a,b,c') AS s APPLY split('d,e,f') AS u GROUPBY 2 @s @u";
    assert!(fed(&index, line, limits(9)).is_ok());
    assert!(fed(&index, line, limits(8)).is_err());
}

#[test]
fn memory_is_limited() {
    let index = index();
    let refused = |line: &str, bytes: usize| {
        let limits = Limits { bytes, ..Limits::default() };
        let taken =
            fed(&index, line, limits).and_then(|mut p| p.take(usize::MAX, &mut Keys::default()));
        match taken {
            Ok(_) => false,
            Err(error) => {
                let text = "Not enough memory available to execute the query";
                assert_eq!(error.to_string(), text, "{line}");
                true
            }
        }
    };
    let lines = [
        "GROUPBY 1 @g",
        "GROUPBY 2 @g @n REDUCE COUNT 0",
        "GROUPBY 0 REDUCE TOLIST 1 @g",
        "GROUPBY 0 REDUCE COUNT_DISTINCT 1 @g",
        "GROUPBY 1 @n REDUCE QUANTILE 2 @n 0.5",
        "GROUPBY 1 @n REDUCE COUNT_DISTINCTISH 1 @g",
        "GROUPBY 1 @n REDUCE FIRST_VALUE 1 @g",
        "GROUPBY 1 @n REDUCE FIRST_VALUE 3 @g BY @n",
        "GROUPBY 1 @n REDUCE RANDOM_SAMPLE 2 @g 10",
        "GROUPBY 0 REDUCE COLLECT 3 FIELDS 1 @g",
        "SORTBY 1 @g MAX 5000",
        "LOAD 1 @t APPLY @g AS h",
        "APPLY @g AS h FILTER @n>=0",
        "GROUPBY 1 @g APPLY upper(@g) AS h",
        "LOAD 1 @t SORTBY 1 @t MAX 5000",
        "LOAD 1 @t GROUPBY 2 @t @g",
    ];
    for line in lines {
        assert!(refused(line, 60_000), "{line}");
        assert!(!refused(line, 4_000_000), "{line}");
    }
    assert!(!refused("GROUPBY 0 REDUCE COUNT 0 REDUCE MAX 1 @n REDUCE AVG 1 @n", 5_000));
    assert!(!refused("SORTBY 1 @g MAX 5", 5_000));
    assert!(!refused("GROUPBY 0 REDUCE COLLECT 9 FIELDS 1 @g SORTBY 1 @n LIMIT 0 5", 200_000));
}
