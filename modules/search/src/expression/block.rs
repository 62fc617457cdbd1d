//! What is an expression worth on a block of rows?
//!
//! The tree is walked once per block, not once per row: each of its nodes is a loop over lanes (`lane`). `&&`, `||` and
//! `case()` work out an operand for those rows only that need it, as the interpreter of single rows does.
//!
//! The values are those of the interpreter. An error is not, since another row may be the first to meet one: whoever gets
//! one asks the interpreter, row by row, and answers what it says.

use crate::expression::functions::Run;
use crate::expression::lane::Lane;
use crate::expression::value::Value;
use crate::expression::{Call, Error, Expression};

/// Which rows of a block are looked at.
#[derive(Debug, Clone, Copy)]
pub enum Places<'p> {
    /// All of so many.
    All(usize),
    /// Those in these places, rising.
    Some(&'p [u32]),
}

impl Places<'_> {
    /// How many they are.
    pub fn len(&self) -> usize {
        match self {
            Places::All(rows) => *rows,
            Places::Some(places) => places.len(),
        }
    }

    /// Whether they are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place of the row of this number among them.
    fn place(&self, number: u32) -> u32 {
        match self {
            Places::All(_) => number,
            Places::Some(places) => places[number as usize],
        }
    }

    /// The places of those among them for which `choice` is `wanted`.
    fn chosen(&self, choice: &[bool], wanted: bool) -> Vec<u32> {
        let all = (0u32..).zip(choice).filter(|(_, choice)| **choice == wanted);
        all.map(|(number, _)| self.place(number)).collect()
    }
}

/// Where the values of a block's properties come from.
pub trait Columns<'v> {
    /// The values in a slot, of some rows.
    fn lane(&self, slot: usize, places: Places<'_>) -> Lane<'v>;
}

impl Expression {
    /// Its values on some rows of a block.
    pub fn evaluate_block<'v, C: Columns<'v> + ?Sized>(
        &'v self,
        columns: &C,
        places: Places<'_>,
    ) -> Result<Lane<'v>, Error> {
        Ok(match self {
            Expression::Null => Lane::Same(Some(Value::Null)),
            Expression::Number(number) => Lane::Same(Some(Value::Number(*number))),
            Expression::Text(text) => Lane::Same(Some(Value::text(text))),
            Expression::Property(property) => columns.lane(property.slot, places),
            Expression::Not(child) => child.evaluate_block(columns, places)?.negated(),
            Expression::And(children) => Lane::Truths(chain(children, columns, places, true)?),
            Expression::Or(children) => Lane::Truths(chain(children, columns, places, false)?),
            Expression::Compare(comparison, sides) => {
                let left = sides[0].evaluate_block(columns, places)?;
                let right = sides[1].evaluate_block(columns, places)?;
                Lane::Truths(left.compare(*comparison, &right, places.len()))
            }
            Expression::Arithmetic(operator, sides) => {
                let left = sides[0].evaluate_block(columns, places)?;
                left.arithmetic(*operator, sides[1].evaluate_block(columns, places)?)?
            }
            Expression::Call(call) => call.evaluate_block(columns, places)?,
        })
    }

    /// For which of some rows a condition holds.
    pub fn holds_block<'v, C: Columns<'v> + ?Sized>(
        &'v self,
        columns: &C,
        places: Places<'_>,
    ) -> Result<Vec<bool>, Error> {
        Ok(self.evaluate_block(columns, places)?.holds(places.len()))
    }
}

/// `&&` and `||`: an operand is looked at in those rows that the ones before it have left as `going_on`.
fn chain<'v, C: Columns<'v> + ?Sized>(
    children: &'v [Expression],
    columns: &C,
    places: Places<'_>,
    going_on: bool,
) -> Result<Vec<bool>, Error> {
    let mut truths = vec![going_on; places.len()];
    for child in children {
        // Numbers of the rows that are undecided.
        let open: Vec<u32> = Places::All(truths.len()).chosen(&truths, going_on);
        if open.is_empty() {
            break;
        }
        if open.len() == truths.len() {
            truths = child.holds_block(columns, places)?;
            continue;
        }
        let rest: Vec<u32> = open.iter().map(|number| places.place(*number)).collect();
        let holds = child.holds_block(columns, Places::Some(&rest))?;
        for (number, holds) in open.into_iter().zip(holds) {
            truths[number as usize] = holds;
        }
    }
    Ok(truths)
}

impl Call {
    fn evaluate_block<'v, C: Columns<'v> + ?Sized>(
        &'v self,
        columns: &C,
        places: Places<'_>,
    ) -> Result<Lane<'v>, Error> {
        let rows = places.len();
        let argument = |at: usize| self.arguments[at].evaluate_block(columns, places);
        match self.function.run() {
            Run::Exists => Ok(Lane::Truths(argument(0)?.exists(rows))),
            Run::Case => {
                let choice = self.arguments[0].holds_block(columns, places)?;
                let side = |at: usize, wanted: bool| {
                    let chosen = places.chosen(&choice, wanted);
                    match chosen.len() {
                        0 => Ok(Lane::Same(None)),
                        count if count == rows => argument(at),
                        _ => self.arguments[at].evaluate_block(columns, Places::Some(&chosen)),
                    }
                };
                let (yes, no) = (side(1, true)?, side(2, false)?);
                Ok(Lane::merged(&choice, yes, no))
            }
            Run::MatchedTerms(run) => {
                let mut terms = columns.lane(self.slot, places);
                let mut max = if self.arguments.is_empty() { None } else { Some(argument(0)?) };
                let mut values = Vec::with_capacity(rows);
                for row in 0..rows {
                    let max = max.as_mut().and_then(|max| max.take(row));
                    values.push(Some(run(terms.take(row), max.as_ref())));
                }
                Ok(Lane::Values(values))
            }
            Run::Math(function) => match argument(0)? {
                Lane::Numbers(mut numbers) => {
                    numbers.change(function);
                    Ok(Lane::Numbers(numbers))
                }
                lane => self.by_row(vec![lane], rows),
            },
            Run::Plain(_) | Run::WithNulls(_) => {
                let lanes = (0..self.arguments.len()).map(argument);
                self.by_row(lanes.collect::<Result<_, _>>()?, rows)
            }
        }
    }

    /// Calls a function for each row.
    fn by_row<'v>(&'v self, mut lanes: Vec<Lane<'v>>, rows: usize) -> Result<Lane<'v>, Error> {
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            values.push(self.with(|at| Ok(lanes[at].take(row)))?);
        }
        Ok(Lane::Values(values))
    }
}
