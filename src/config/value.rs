//! What is the value of a parameter, and how does it read and show?

use crate::base::number::{parse_i64, parse_memory};
use crate::config::choices::{all_words, number_of, words_of};
use crate::config::events;
use crate::config::params::{CORES_MAX, DEFAULT_IS_CORES, Flags, Kind, Number, Spec, Unit};
use crate::config::special::{self, OUTPUT_CLASSES, format_percentile};

/// Longest text of an error about a choice; Redis cuts there.
const CHOICE_ERROR_MAX: usize = 255;

/// A value; which kind it is follows from the parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` or `no`.
    Flag(bool),
    /// A text; empty if there is none.
    Text(Vec<u8>),
    /// The number of a word, or the bits of several.
    Choice(u32),
    /// A number; unsigned if the parameter says so, percents are negative.
    Number(i64),
    /// Save points.
    Save(Vec<SavePoint>),
    /// Limits of normal clients, replicas and subscribers.
    OutputLimits([OutputLimit; 3]),
    /// Scores as primary, as replica, of children.
    OomValues([i32; 3]),
    /// Classes of events, as bits of `events.rs`.
    Events(u32),
    /// Addresses.
    Bind(Vec<Vec<u8>>),
    /// Host and port of the primary.
    ReplicaOf(Option<(Vec<u8>, u16)>),
    /// Percentiles.
    Percentiles(Vec<f64>),
}

/// After so many seconds with so many changes a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// At least 1.
    pub seconds: u64,
    /// 0 saves even without changes.
    pub changes: u64,
}

/// How much output may wait for a client; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which the client is dropped at once.
    pub hard: u64,
    /// Bytes at which it is dropped after `soft_seconds`.
    pub soft: u64,
    /// See `soft`.
    pub soft_seconds: u64,
}

impl Value {
    /// What a parameter is at the start.
    pub fn default_of(spec: &Spec) -> Self {
        match spec.kind {
            Kind::Flag { default, .. } => Self::Flag(default),
            Kind::Text { default, .. } => Self::Text(default.as_bytes().to_vec()),
            Kind::Choice { choices, default, .. } => Self::Choice(
                number_of(choices, default.as_bytes()).expect("a default is one of the words"),
            ),
            Kind::Number(Number { default: DEFAULT_IS_CORES, min: 1, .. }) => {
                Self::Number(cores().min(CORES_MAX) as i64)
            }
            Kind::Number(number) => Self::Number(number.default),
            Kind::Special(special) => special::default(special),
        }
    }

    /// Reads the words of a value; `old` is the present one. A parameter that is not
    /// [`Flags::MULTI`] gets exactly one word.
    pub fn parse(spec: &Spec, words: &[&[u8]], old: &Self) -> Result<Self, String> {
        let first = words.first().copied().unwrap_or_default();
        match spec.kind {
            Kind::Flag { check, .. } => {
                let on = if first.eq_ignore_ascii_case(b"yes") {
                    true
                } else if first.eq_ignore_ascii_case(b"no") {
                    false
                } else {
                    return Err("argument must be 'yes' or 'no'".to_string());
                };
                check.map_or(Ok(()), |check| check(on))?;
                Ok(Self::Flag(on))
            }
            Kind::Text { check, .. } => {
                check.map_or(Ok(()), |check| check(first))?;
                Ok(Self::Text(first.to_vec()))
            }
            Kind::Choice { choices, check, .. } => {
                let several = spec.flags.has(Flags::MULTI);
                let numbers: Option<Vec<u32>> =
                    words.iter().map(|word| number_of(choices, word)).collect();
                let number = match numbers.as_deref() {
                    Some([one]) => *one,
                    Some(many @ [_, ..]) if several => many.iter().fold(0, |bits, n| bits | n),
                    _ => {
                        let mut error = format!(
                            "argument(s) must be one of the following: {}",
                            all_words(choices)
                        );
                        error.truncate(CHOICE_ERROR_MAX);
                        return Err(error);
                    }
                };
                check.map_or(Ok(()), |check| check(number))?;
                Ok(Self::Choice(number))
            }
            Kind::Number(number) => {
                let value = parse_number(number, first)?;
                check_bounds(number, value)?;
                Ok(Self::Number(value))
            }
            Kind::Special(special) => special::parse(special, words, old),
        }
    }

    /// The text that CONFIG GET shows.
    pub fn show(&self, spec: &Spec) -> Vec<u8> {
        let text = match self {
            Self::Text(text) => return text.clone(),
            Self::Bind(addresses) => return addresses.join(&b' '),
            Self::ReplicaOf(None) => String::new(),
            Self::ReplicaOf(Some((host, port))) => {
                return [host.as_slice(), port.to_string().as_bytes()].join(&b' ');
            }
            Self::Flag(on) => (if *on { "yes" } else { "no" }).to_string(),
            Self::Choice(number) => match spec.kind {
                Kind::Choice { choices, .. } => words_of(choices, *number),
                _ => unreachable!("only choices hold a choice"),
            },
            Self::Number(value) => match spec.kind {
                Kind::Number(number) => show_number(number, *value),
                _ => unreachable!("only numbers hold a number"),
            },
            Self::Save(points) => {
                let points = points.iter().map(|p| format!("{} {}", p.seconds, p.changes));
                points.collect::<Vec<_>>().join(" ")
            }
            Self::OutputLimits(limits) => {
                let limits = OUTPUT_CLASSES.iter().zip(limits).map(|(class, limit)| {
                    format!("{class} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)
                });
                limits.collect::<Vec<_>>().join(" ")
            }
            Self::OomValues([a, b, c]) => format!("{a} {b} {c}"),
            Self::Events(flags) => events::format(*flags),
            Self::Percentiles(percentiles) => {
                let shown = percentiles.iter().map(|p| format_percentile(*p));
                shown.collect::<Vec<_>>().join(" ")
            }
        };
        text.into_bytes()
    }
}

/// The cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn parse_number(number: Number, word: &[u8]) -> Result<i64, String> {
    let percent = || {
        let digits = word.strip_suffix(b"%")?;
        parse_i64(digits).filter(|value| *value >= 0).map(|value| -value)
    };
    // Sizes use all 64 bits: those of unsigned parameters need them.
    let memory = || parse_memory(word).map(|value| value as i64);
    let (value, error) = match number.unit {
        Unit::Plain => (parse_i64(word), "argument couldn't be parsed into an integer"),
        Unit::Memory => (memory(), "argument must be a memory value"),
        Unit::MemoryOrPercent => {
            (memory().or_else(percent), "argument must be a memory or percent value")
        }
        Unit::Octal => {
            let text = std::str::from_utf8(word).ok();
            let value = text.and_then(|text| i64::from_str_radix(text, 8).ok());
            (value, "argument couldn't be parsed as an octal number")
        }
    };
    value.ok_or_else(|| error.to_string())
}

fn check_bounds(number: Number, value: i64) -> Result<(), String> {
    let Number { min, max, unit, unsigned, .. } = number;
    if unsigned {
        let (value, min) = (value as u64, min as u64);
        if (min..=max).contains(&value) {
            return Ok(());
        }
        return Err(match unit {
            Unit::Octal => format!("argument must be between {min:o} and {max:o} inclusive"),
            _ => format!("argument must be between {min} and {max} inclusive"),
        });
    }
    if unit == Unit::MemoryOrPercent && value < 0 {
        if value < min {
            return Err(format!("percentage argument must be less or equal to {}", -min));
        }
        return Ok(());
    }
    if value < min || value > max.min(i64::MAX as u64) as i64 {
        return Err(format!("argument must be between {min} and {max} inclusive"));
    }
    Ok(())
}

fn show_number(number: Number, value: i64) -> String {
    match number.unit {
        Unit::MemoryOrPercent if value < 0 => format!("{}%", value.unsigned_abs()),
        Unit::Octal => format!("{value:o}"),
        _ if number.unsigned => (value as u64).to_string(),
        _ => value.to_string(),
    }
}
