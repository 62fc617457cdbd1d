//! Which functions are there?

use crate::expression::Error;
use crate::expression::value::{Value, text_to_number};

mod geo;

mod strings;

mod time;

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    name: &'static str,
    arguments_min: usize,
    arguments_max: usize,
    run: Run,
}

/// Takes the arguments' values.
pub(super) type Plain = for<'a> fn(&[Value<'a>]) -> Result<Value<'a>, Error>;

/// How a function is worked out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// From its arguments' values; NULL if one of them is.
    Plain(Plain),
    /// From its arguments' values, whatever they are.
    WithNulls(Plain),
    /// From one number; of anything else but NULL it is not a number.
    Math(fn(f64) -> f64),
    /// Whether the argument has a value.
    Exists,
    /// One of two arguments is worked out, by a condition.
    Case,
    /// From the row's list of terms and an upper bound.
    MatchedTerms(for<'a> fn(Option<Value<'a>>, Option<&Value<'a>>) -> Value<'a>),
}

impl Function {
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Least and greatest number of arguments.
    pub fn arity(&self) -> (usize, usize) {
        (self.arguments_min, self.arguments_max)
    }

    pub fn run(&self) -> Run {
        self.run
    }

    /// Whether it looks at the terms that the document matched.
    pub fn wants_terms(&self) -> bool {
        matches!(self.run, Run::MatchedTerms(_))
    }
}

/// Arguments of `format()`: as many as RediSearch counts.
const FORMAT_ARGUMENTS_MAX: usize = u16::MAX as usize;

const fn plain(name: &'static str, min: usize, max: usize, run: Plain) -> Function {
    Function { name, arguments_min: min, arguments_max: max, run: Run::Plain(run) }
}

const fn special(name: &'static str, min: usize, max: usize, run: Run) -> Function {
    Function { name, arguments_min: min, arguments_max: max, run }
}

/// All functions.
static FUNCTIONS: [Function; 35] = [
    special("abs", 1, 1, Run::Math(f64::abs)),
    special("ceil", 1, 1, Run::Math(f64::ceil)),
    special("floor", 1, 1, Run::Math(f64::floor)),
    special("log", 1, 1, Run::Math(f64::ln)),
    special("log2", 1, 1, Run::Math(f64::log2)),
    special("exp", 1, 1, Run::Math(f64::exp)),
    special("sqrt", 1, 1, Run::Math(f64::sqrt)),
    plain("lower", 1, 1, strings::lower),
    plain("upper", 1, 1, strings::upper),
    plain("substr", 3, 3, strings::substr),
    special("format", 1, FORMAT_ARGUMENTS_MAX, Run::WithNulls(strings::format)),
    plain("split", 1, 3, strings::split),
    plain("startswith", 2, 2, strings::startswith),
    plain("contains", 2, 2, strings::contains),
    plain("strlen", 1, 1, strings::strlen),
    special("matched_terms", 0, 1, Run::MatchedTerms(strings::matched_terms)),
    plain("to_number", 1, 1, to_number),
    plain("to_str", 1, 1, strings::to_str),
    special("exists", 1, 1, Run::Exists),
    special("case", 3, 3, Run::Case),
    plain("geodistance", 2, 4, geo::distance),
    plain("timefmt", 1, 2, time::timefmt),
    plain("parsetime", 2, 2, time::parsetime),
    plain("minute", 1, 1, |a| time::part(a, time::minute)),
    plain("hour", 1, 1, |a| time::part(a, time::hour)),
    plain("day", 1, 1, |a| time::part(a, time::day)),
    plain("month", 1, 1, |a| time::part(a, time::month)),
    plain("year", 1, 1, |a| time::part(a, time::year)),
    plain("dayofweek", 1, 1, |a| time::part(a, time::day_of_week)),
    plain("dayofmonth", 1, 1, |a| time::part(a, time::day_of_month)),
    plain("dayofyear", 1, 1, |a| time::part(a, time::day_of_year)),
    plain("monthofyear", 1, 1, |a| time::part(a, time::month_of_year)),
    // Names that RediSearch once had and that clients' documentation still shows.
    plain("time", 1, 2, time::timefmt),
    plain("parse_time", 2, 2, time::parsetime),
    plain("distance", 2, 4, geo::distance),
];

/// A function by its name, in any case.
pub(super) fn find(name: &[u8]) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| name.eq_ignore_ascii_case(function.name.as_bytes()))
}

fn to_number<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match arguments[0].to_number() {
        Some(number) => Ok(Value::Number(number)),
        None => Err(Error::Conversion(match &arguments[0] {
            Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        })),
    }
}

/// The text in an argument's place.
fn text<'v>(
    name: &'static str,
    arguments: &'v [Value<'_>],
    place: usize,
) -> Result<&'v [u8], Error> {
    match &arguments[place] {
        Value::Text(text) => Ok(text),
        Value::Several(several) => match several.items.first() {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(Error::ArgumentType(name, place, "a string")),
        },
        _ => Err(Error::ArgumentType(name, place, "a string")),
    }
}

/// The whole number in an argument's place.
fn whole(name: &'static str, arguments: &[Value<'_>], place: usize) -> Result<i64, Error> {
    match &arguments[place] {
        // Casts of floats saturate.
        Value::Number(number) => Ok(*number as i64),
        _ => Err(Error::ArgumentType(name, place, "a number")),
    }
}

/// A coordinate or a point's text as numbers.
fn coordinate(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Text(text) => text_to_number(text),
        value => value.to_number(),
    }
}
