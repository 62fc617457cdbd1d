//! Functions of time.
//!
//! Times are seconds since 1970 in UTC. The patterns of `timefmt()` and `parsetime()` are those of C's strftime and strptime
//! in the C locale.

use std::borrow::Cow;

use crate::expression::Error;
use crate::expression::functions::text;
use crate::expression::value::Value;

mod calendar;

mod patterns;

pub(super) use calendar::Time;

/// Longest text that `timefmt()` makes; a longer one is NULL, as in RediSearch.
const TEXT_BYTES_MAX: usize = 1023;

/// What a function of a time takes.
type Part = fn(&Time, f64) -> f64;

/// A function of one time; NULL for what is no time, and for times before 1970.
pub(super) fn part<'a>(arguments: &[Value<'a>], part: Part) -> Result<Value<'a>, Error> {
    let number = arguments[0].to_number().filter(|number| *number >= 0.0);
    let time = number.and_then(|number| Some((Time::from_number(number)?, number)));
    Ok(time.map_or(Value::Null, |(time, number)| Value::Number(part(&time, number))))
}

/// The beginning of the minute.
pub(super) fn minute(_: &Time, number: f64) -> f64 {
    (number - number % 60.0).floor()
}

/// The beginning of the hour.
pub(super) fn hour(time: &Time, _: f64) -> f64 {
    (time.seconds() - i64::from(time.minute) * 60 - i64::from(time.second)) as f64
}

/// The beginning of the day.
pub(super) fn day(time: &Time, _: f64) -> f64 {
    (time.seconds() - time.seconds().rem_euclid(calendar::DAY_S)) as f64
}

/// The beginning of the month.
pub(super) fn month(time: &Time, number: f64) -> f64 {
    day(time, number) - (i64::from(time.day - 1) * calendar::DAY_S) as f64
}

/// The year.
pub(super) fn year(time: &Time, _: f64) -> f64 {
    time.year as f64
}

/// The day of the week; Sunday is 0.
pub(super) fn day_of_week(time: &Time, _: f64) -> f64 {
    time.week_day.into()
}

/// The day of the month, from 1.
pub(super) fn day_of_month(time: &Time, _: f64) -> f64 {
    time.day.into()
}

/// The day of the year, from 0.
pub(super) fn day_of_year(time: &Time, _: f64) -> f64 {
    time.year_day.into()
}

/// The month of the year, from 0.
pub(super) fn month_of_year(time: &Time, _: f64) -> f64 {
    (time.month - 1).into()
}

/// `timefmt(time, pattern)`: NULL for what is no time.
pub(super) fn timefmt<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let pattern =
        if arguments.len() > 1 { text("timefmt", arguments, 1)? } else { b"%FT%TZ" as &[u8] };
    let Some(time) = arguments[0].to_number().and_then(Time::from_number) else {
        return Ok(Value::Null);
    };
    let shown = patterns::show(&time, pattern, TEXT_BYTES_MAX);
    Ok(match shown {
        Some(text) if !text.is_empty() => Value::Text(Cow::Owned(text)),
        _ => Value::Null,
    })
}

/// `parsetime(text, pattern)`: NULL if the text does not follow the pattern.
pub(super) fn parsetime<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let whole = text("parsetime", arguments, 0)?;
    let pattern = text("parsetime", arguments, 1)?;
    Ok(match patterns::read(whole, pattern) {
        Some(seconds) => Value::Number(seconds as f64),
        None => Value::Null,
    })
}
