//! Where does the index have the value of a slot?
//!
//! In a column, mostly. Values are read for one row, or for a whole batch as a lane.

use std::borrow::Cow;
use std::sync::Arc;

use crate::columns::Column;
use crate::expression::block::Places;
use crate::expression::lane::{Lane, Numbers};
use crate::expression::value::{Several, Value, number_text};
use crate::index::visit::Batch;
use crate::query::plan::{Leaf, STEM_MARK, Space};

/// Where a slot's value lies in the index.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// In a column.
    Column {
        /// The column.
        number: u16,
        /// How several numbers of a JSON array are shown: all of them, or the first.
        shows_all: bool,
    },
    /// The distance that a question about vectors found, by its number.
    Distance(usize),
    /// The score.
    Score,
    /// The key.
    Key,
    /// The terms of the query that the document has.
    Terms,
}

impl Source {
    /// The value of a row of a batch.
    #[inline]
    pub fn read<'a>(&self, batch: &Batch<'a, '_>, place: usize) -> Option<Value<'a>> {
        let row = batch.matched[place];
        match self {
            Source::Column { number, shows_all } => match batch.rows.column(*number)? {
                Column::Numbers(numbers) if numbers.has_several() => {
                    let all: Vec<f64> = numbers.all(row).collect();
                    match all.as_slice() {
                        [] => None,
                        [number] => Some(Value::Number(*number)),
                        all => Some(several(all, *shows_all)),
                    }
                }
                Column::Numbers(numbers) => numbers.first(row).map(Value::Number),
                Column::Texts(texts) => texts.get(row).map(Value::text),
                _ => None,
            },
            Source::Distance(query) => {
                let found = batch.vectors.get(*query)?;
                found.distance(batch.rows.number(row)).map(Value::Number)
            }
            Source::Score => batch.scores.get(place).map(|score| Value::Number(*score)),
            Source::Key => Some(Value::text(batch.rows.key(row))),
            Source::Terms => batch.terms.get(place).map(|terms| words(batch, terms)),
        }
    }

    /// The values of some rows of a batch.
    pub fn lane<'a>(&self, batch: &Batch<'a, '_>, places: Places<'_>) -> Lane<'a> {
        let rows = || match places {
            Places::All(_) => Cow::Borrowed(batch.matched),
            Places::Some(places) => {
                Cow::Owned(places.iter().map(|place| batch.matched[*place as usize]).collect())
            }
        };
        match self {
            Source::Column { number, .. } => match batch.rows.column(*number) {
                Some(Column::Numbers(numbers)) if !numbers.has_several() => {
                    return Lane::Numbers(Numbers::without_nan(numbers.firsts(&rows())));
                }
                Some(Column::Texts(texts)) => {
                    return Lane::Texts(rows().iter().map(|row| texts.get(*row)).collect());
                }
                Some(_) => {}
                None => return Lane::Same(None),
            },
            Source::Key => {
                return Lane::Texts(rows().iter().map(|row| Some(batch.rows.key(*row))).collect());
            }
            Source::Distance(_) | Source::Score | Source::Terms => {}
        }
        let value = |place: usize| self.read(batch, place);
        Lane::Values(match places {
            Places::All(rows) => (0..rows).map(value).collect(),
            Places::Some(places) => places.iter().map(|place| value(*place as usize)).collect(),
        })
    }
}

/// The words among some of the query's terms; a word and its stem are one.
fn words(batch: &Batch<'_, '_>, terms: &[u16]) -> Value<'static> {
    let mut words: Vec<&[u8]> = Vec::with_capacity(terms.len());
    for leaf in terms {
        if let Some(Leaf::Term(term)) = batch.leaves.get(usize::from(*leaf))
            && term.space == Space::Words
        {
            let word = term.bytes.strip_prefix(&[STEM_MARK as u8]).unwrap_or(&term.bytes);
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    Value::List(words.into_iter().map(|word| Value::text(word).into_owned()).collect())
}

fn several(numbers: &[f64], shows_all: bool) -> Value<'static> {
    let shown = match shows_all {
        true => {
            let texts: Vec<String> = numbers.iter().map(|number| number_text(*number)).collect();
            format!("[{}]", texts.join(","))
        }
        false => number_text(numbers[0]),
    };
    let items = numbers.iter().map(|number| Value::Number(*number)).collect();
    Value::Several(Arc::new(Several { shown: shown.into_bytes().into(), items }))
}
