//! What is a property of a block of rows?
//!
//! The values of some hundred rows side by side, as plain as they are: floats in one array, texts as slices of where they
//! lie. So an operation is a loop without branches, and what kind of values it works on is asked once per block.
//!
//! A row may lack a property (it is missing) or have NULL; numbers tell the three apart by a second array, which is only
//! there if it is needed.

use std::cmp::Ordering;

use crate::expression::evaluation::Operand;
use crate::expression::value::Value;
use crate::expression::{Comparison, Error, Operator};

/// Values of one property, by row of the block.
#[derive(Debug, Clone)]
pub enum Lane<'v> {
    /// All rows have this one, or none.
    Same(Option<Value<'v>>),
    /// Numbers.
    Numbers(Numbers),
    /// 1 where it is true, 0 elsewhere.
    Truths(Vec<bool>),
    /// Texts, some of them missing.
    Texts(Vec<Option<&'v [u8]>>),
    /// Anything.
    Values(Vec<Option<Value<'v>>>),
}

/// Why a row has no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// It has one.
    None,
    /// It has NULL.
    Null,
    /// It lacks the property.
    Missing,
}

/// Numbers by row of the block.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// The numbers; anything where there is none.
    pub values: Vec<f64>,
    /// Where there is none, if any row lacks one.
    pub gaps: Option<Vec<Gap>>,
}

impl Numbers {
    /// Numbers in which NaN stands for a missing one.
    pub fn without_nan(values: Vec<f64>) -> Numbers {
        // Adding them all up finds out faster than asking each, since it needs no branch.
        let any = values.iter().fold(false, |any, value| any | value.is_nan());
        let gap = |value: &f64| if value.is_nan() { Gap::Missing } else { Gap::None };
        Numbers { gaps: any.then(|| values.iter().map(gap).collect()), values }
    }

    /// Why a row has no number.
    #[inline]
    pub fn gap(&self, row: usize) -> Gap {
        self.gaps.as_ref().map_or(Gap::None, |gaps| gaps[row])
    }

    /// The number of a row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<f64> {
        (self.gap(row) == Gap::None).then(|| self.values[row])
    }

    fn value<'v>(&self, row: usize) -> Option<Value<'v>> {
        match self.gap(row) {
            Gap::None => Some(Value::Number(self.values[row])),
            Gap::Null => Some(Value::Null),
            Gap::Missing => None,
        }
    }

    /// The same number, or the same gap, in all rows.
    fn same(operand: Operand, rows: usize) -> Numbers {
        let (number, gap) = match operand {
            Operand::Number(number) => (number, Gap::None),
            Operand::Null => (0.0, Gap::Null),
            Operand::Missing => (0.0, Gap::Missing),
        };
        let gaps = (gap != Gap::None).then(|| vec![gap; rows]);
        Numbers { values: vec![number; rows], gaps }
    }

    /// Puts `gap` in all rows that have no greater one.
    fn cover(&mut self, gap: Gap) {
        let gaps = self.gaps.get_or_insert_with(|| vec![Gap::None; self.values.len()]);
        gaps.iter_mut().for_each(|own| *own = gap.max(*own));
    }

    fn cover_all(&mut self, other: Option<Vec<Gap>>) {
        match (&mut self.gaps, other) {
            (Some(own), Some(other)) => {
                own.iter_mut().zip(other).for_each(|(own, other)| *own = other.max(*own));
            }
            (own @ None, other) => *own = other,
            (Some(_), None) => {}
        }
    }

    /// Changes every number.
    pub fn change(&mut self, job: impl Fn(f64) -> f64) {
        self.values.iter_mut().for_each(|value| *value = job(*value));
    }
}

impl<'v> Lane<'v> {
    /// The value of a row, borrowed.
    #[inline]
    pub fn get(&self, row: usize) -> Option<Value<'_>> {
        match self {
            Lane::Same(value) => value.as_ref().map(Value::borrowed),
            Lane::Numbers(numbers) => numbers.value(row),
            Lane::Truths(truths) => Some(truth(truths[row])),
            Lane::Texts(texts) => texts[row].map(Value::text),
            Lane::Values(values) => values[row].as_ref().map(Value::borrowed),
        }
    }

    /// The value of a row, which is not asked for again.
    pub fn take(&mut self, row: usize) -> Option<Value<'v>> {
        match self {
            Lane::Same(value) => value.clone(),
            Lane::Numbers(numbers) => numbers.value(row),
            Lane::Truths(truths) => Some(truth(truths[row])),
            Lane::Texts(texts) => texts[row].map(Value::text),
            Lane::Values(values) => values[row].take(),
        }
    }

    /// The lane of some of the rows.
    pub fn pick(&self, rows: &[u32]) -> Lane<'v> {
        fn of<T: Clone>(all: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|row| all[*row as usize].clone()).collect()
        }
        match self {
            Lane::Same(value) => Lane::Same(value.clone()),
            Lane::Numbers(numbers) => Lane::Numbers(Numbers {
                values: of(&numbers.values, rows),
                gaps: numbers.gaps.as_ref().map(|gaps| of(gaps, rows)),
            }),
            Lane::Truths(truths) => Lane::Truths(of(truths, rows)),
            Lane::Texts(texts) => Lane::Texts(of(texts, rows)),
            Lane::Values(values) => Lane::Values(of(values, rows)),
        }
    }

    /// What APPLY makes of it: NULL where it is missing.
    pub fn or_null(self) -> Lane<'v> {
        match self {
            Lane::Same(value) => Lane::Same(Some(value.unwrap_or_default())),
            Lane::Numbers(mut numbers) => {
                if let Some(gaps) = &mut numbers.gaps {
                    gaps.iter_mut().for_each(|gap| *gap = Gap::Null.min(*gap));
                }
                Lane::Numbers(numbers)
            }
            Lane::Truths(truths) => Lane::Truths(truths),
            Lane::Texts(texts) if texts.iter().all(Option::is_some) => Lane::Texts(texts),
            Lane::Texts(texts) => {
                let value = |text: Option<&'v [u8]>| Some(text.map_or(Value::Null, Value::text));
                Lane::Values(texts.into_iter().map(value).collect())
            }
            Lane::Values(values) => {
                let value = |value: Option<Value<'v>>| Some(value.unwrap_or_default());
                Lane::Values(values.into_iter().map(value).collect())
            }
        }
    }

    /// It as numbers, if there is nothing but numbers and gaps in it.
    pub fn plain_numbers(self, rows: usize) -> Result<Numbers, Lane<'v>> {
        Ok(match self {
            Lane::Numbers(numbers) => numbers,
            Lane::Truths(truths) => {
                let values = truths.into_iter().map(|truth| f64::from(u8::from(truth)));
                Numbers { values: values.collect(), gaps: None }
            }
            Lane::Same(None) => Numbers::same(Operand::Missing, rows),
            Lane::Same(Some(Value::Null)) => Numbers::same(Operand::Null, rows),
            Lane::Same(Some(Value::Number(number))) => Numbers::same(Operand::Number(number), rows),
            other => return Err(other),
        })
    }

    /// It as what arithmetic is done with.
    fn operands(self) -> Result<Operands, Error> {
        Ok(match self {
            Lane::Same(value) => Operands::Same(Operand::of(value.as_ref())?),
            Lane::Texts(texts) => Operands::Each(gather(texts.len(), |row| {
                Operand::of(texts[row].map(Value::text).as_ref())
            })?),
            Lane::Values(values) => {
                Operands::Each(gather(values.len(), |row| Operand::of(values[row].as_ref()))?)
            }
            lane @ (Lane::Numbers(_) | Lane::Truths(_)) => match lane.plain_numbers(0) {
                Ok(numbers) => Operands::Each(numbers),
                Err(_) => unreachable!("these are numbers"),
            },
        })
    }

    /// Applies an operator row by row.
    pub fn arithmetic(self, operator: Operator, other: Lane<'v>) -> Result<Lane<'v>, Error> {
        Ok(match (self.operands()?, other.operands()?) {
            (Operands::Same(a), Operands::Same(b)) => Lane::Same(a.combine(operator, b).value()),
            (Operands::Each(mut a), Operands::Same(b)) => {
                match b {
                    Operand::Number(b) => apply(operator, &mut a.values, |_| b),
                    Operand::Null => a.cover(Gap::Null),
                    Operand::Missing => a.cover(Gap::Missing),
                }
                Lane::Numbers(a)
            }
            (Operands::Same(a), Operands::Each(b)) => {
                let mut a = Numbers::same(a, b.values.len());
                apply(operator, &mut a.values, |row| b.values[row]);
                a.cover_all(b.gaps);
                Lane::Numbers(a)
            }
            (Operands::Each(mut a), Operands::Each(b)) => {
                apply(operator, &mut a.values, |row| b.values[row]);
                a.cover_all(b.gaps);
                Lane::Numbers(a)
            }
        })
    }

    /// Compares row by row.
    pub fn compare(&self, comparison: Comparison, other: &Lane<'v>, rows: usize) -> Vec<bool> {
        match (self, other) {
            (Lane::Numbers(a), Lane::Same(Some(Value::Number(b)))) if a.gaps.is_none() => {
                compare(comparison, &a.values, |_| *b)
            }
            (Lane::Same(Some(Value::Number(a))), Lane::Numbers(b)) if b.gaps.is_none() => {
                compare(comparison.turned(), &b.values, |_| *a)
            }
            (Lane::Numbers(a), Lane::Numbers(b)) if a.gaps.is_none() && b.gaps.is_none() => {
                compare(comparison, &a.values, |row| b.values[row])
            }
            (Lane::Texts(a), Lane::Same(Some(Value::Text(b)))) => match comparison {
                Comparison::Equal => a.iter().map(|a| *a == Some(&**b)).collect(),
                _ => {
                    let holds = |a: &[u8]| comparison.holds(a.cmp(b));
                    a.iter().map(|a| a.is_some_and(holds)).collect()
                }
            },
            (Lane::Same(a), Lane::Same(b)) => {
                vec![comparison.between(a.as_ref(), b.as_ref()); rows]
            }
            (a, b) => {
                let between = |row| comparison.between(a.get(row).as_ref(), b.get(row).as_ref());
                (0..rows).map(between).collect()
            }
        }
    }

    /// The negation: missing where the value is.
    pub fn negated(self) -> Lane<'v> {
        let not = |value: Option<Value<'v>>| value.map(|value| truth(!value.is_true()));
        match self {
            Lane::Same(value) => Lane::Same(not(value)),
            Lane::Truths(truths) => Lane::Truths(truths.into_iter().map(|truth| !truth).collect()),
            Lane::Numbers(Numbers { values, gaps: None }) => {
                Lane::Truths(values.into_iter().map(|value| value == 0.0).collect())
            }
            Lane::Numbers(numbers) => {
                let rows = 0..numbers.values.len();
                Lane::Values(rows.map(|row| not(numbers.value(row))).collect())
            }
            Lane::Texts(texts) => {
                let value = |text: Option<&'v [u8]>| not(text.map(Value::text));
                Lane::Values(texts.into_iter().map(value).collect())
            }
            Lane::Values(values) => Lane::Values(values.into_iter().map(not).collect()),
        }
    }

    /// Where a condition holds that has these values.
    pub fn holds(self, rows: usize) -> Vec<bool> {
        let holds = |value: &Option<Value<'_>>| value.as_ref().is_some_and(Value::is_true);
        match self {
            Lane::Same(value) => vec![holds(&value); rows],
            Lane::Truths(truths) => truths,
            Lane::Numbers(Numbers { values, gaps: None }) => {
                values.into_iter().map(|value| value != 0.0).collect()
            }
            Lane::Numbers(numbers) => {
                (0..rows).map(|row| numbers.get(row).is_some_and(|value| value != 0.0)).collect()
            }
            Lane::Texts(texts) => {
                texts.into_iter().map(|text| text.is_some_and(|text| !text.is_empty())).collect()
            }
            Lane::Values(values) => values.iter().map(holds).collect(),
        }
    }

    /// Where it has a value that is not NULL.
    pub fn exists(self, rows: usize) -> Vec<bool> {
        match self {
            Lane::Numbers(Numbers { gaps: None, .. }) | Lane::Truths(_) => vec![true; rows],
            lane => {
                let exists = |value: Option<Value<'_>>| value.is_some_and(|v| v != Value::Null);
                (0..rows).map(|row| exists(lane.get(row))).collect()
            }
        }
    }

    /// A lane that has the next value of `yes` where `choice` says so, and of `no` elsewhere.
    pub fn merged(choice: &[bool], yes: Lane<'v>, no: Lane<'v>) -> Lane<'v> {
        let count = choice.iter().filter(|yes| **yes).count();
        if count == choice.len() {
            return yes;
        }
        if count == 0 {
            return no;
        }
        let plain = (yes.plain_numbers(count), no.plain_numbers(choice.len() - count));
        if let (Ok(yes), Ok(no)) = &plain {
            return Lane::Numbers(merged_numbers(choice, yes, no));
        }
        let lane = |found: Result<Numbers, Lane<'v>>| found.map_or_else(|lane| lane, Lane::Numbers);
        let (mut yes, mut no) = (lane(plain.0), lane(plain.1));
        let (mut next_yes, mut next_no) = (0.., 0..);
        let value = |choice: &bool| match choice {
            true => yes.take(next_yes.next()?),
            false => no.take(next_no.next()?),
        };
        Lane::Values(choice.iter().map(value).collect())
    }
}

fn merged_numbers(choice: &[bool], yes: &Numbers, no: &Numbers) -> Numbers {
    let (mut next_yes, mut next_no) = (0, 0);
    let mut merged = Numbers::default();
    let mut gaps = Vec::with_capacity(choice.len());
    for choice in choice {
        let (from, next) = if *choice { (yes, &mut next_yes) } else { (no, &mut next_no) };
        merged.values.push(from.values[*next]);
        gaps.push(from.gap(*next));
        *next += 1;
    }
    merged.gaps = (yes.gaps.is_some() || no.gaps.is_some()).then_some(gaps);
    merged
}

/// What arithmetic is done with, by row.
enum Operands {
    Same(Operand),
    Each(Numbers),
}

/// Operands that are worked out one by one.
fn gather(rows: usize, of: impl Fn(usize) -> Result<Operand, Error>) -> Result<Numbers, Error> {
    let mut numbers = Numbers { values: Vec::with_capacity(rows), gaps: None };
    for row in 0..rows {
        let (number, gap) = match of(row)? {
            Operand::Number(number) => (number, Gap::None),
            Operand::Null => (0.0, Gap::Null),
            Operand::Missing => (0.0, Gap::Missing),
        };
        numbers.values.push(number);
        if gap != Gap::None {
            numbers.gaps.get_or_insert_with(|| vec![Gap::None; rows])[row] = gap;
        }
    }
    Ok(numbers)
}

/// One loop per operator, so that none asks in every row which it is.
fn apply(operator: Operator, values: &mut [f64], other: impl Fn(usize) -> f64) {
    fn each(values: &mut [f64], other: impl Fn(usize) -> f64, job: impl Fn(f64, f64) -> f64) {
        for (row, value) in values.iter_mut().enumerate() {
            *value = job(*value, other(row));
        }
    }
    match operator {
        Operator::Add => each(values, other, |a, b| a + b),
        Operator::Subtract => each(values, other, |a, b| a - b),
        Operator::Multiply => each(values, other, |a, b| a * b),
        Operator::Divide => each(values, other, |a, b| a / b),
        Operator::Modulo | Operator::Power => each(values, other, |a, b| operator.apply(a, b)),
    }
}

/// The same for comparisons. Numbers that have no order are equal.
fn compare(comparison: Comparison, values: &[f64], other: impl Fn(usize) -> f64) -> Vec<bool> {
    fn each(
        values: &[f64],
        other: impl Fn(usize) -> f64,
        holds: impl Fn(bool, bool) -> bool,
    ) -> Vec<bool> {
        let rows = values.iter().enumerate();
        rows.map(|(row, value)| holds(*value < other(row), *value > other(row))).collect()
    }
    match comparison {
        Comparison::Equal => each(values, other, |less, greater| !less & !greater),
        Comparison::Unequal => each(values, other, |less, greater| less | greater),
        Comparison::Less => each(values, other, |less, _| less),
        Comparison::LessOrEqual => each(values, other, |_, greater| !greater),
        Comparison::Greater => each(values, other, |_, greater| greater),
        Comparison::GreaterOrEqual => each(values, other, |less, _| !less),
    }
}

fn truth<'v>(holds: bool) -> Value<'v> {
    Value::Number(f64::from(u8::from(holds)))
}

impl Comparison {
    /// What holds between b and a where this holds between a and b.
    fn turned(self) -> Comparison {
        match self {
            Comparison::Equal | Comparison::Unequal => self,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }

    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    pub(super) fn between(self, left: Option<&Value<'_>>, right: Option<&Value<'_>>) -> bool {
        match (left, right) {
            (Some(left), Some(right)) => self.holds(left.compare(right)),
            (None, Some(Value::Null)) | (Some(Value::Null), None) => self == Comparison::Equal,
            _ => false,
        }
    }
}
