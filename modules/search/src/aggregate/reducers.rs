//! What can be worked out of the rows of a group, and how is it asked for?

use crate::aggregate::collecting::Collecting;
use crate::aggregate::steps::bare;
use crate::aggregate::{Error as StepError, SAMPLE_MAX};
use crate::args::{Args, lossy, parse_integer, parse_number};
use crate::error::{ArgumentError, Error};

/// REDUCE and its arguments.
#[derive(Debug)]
pub struct Reduction<'a> {
    /// What is worked out.
    pub kind: Kind,
    /// Names of the properties that it looks at, without `@`.
    pub inputs: Vec<&'a [u8]>,
    /// The property that it becomes.
    pub name: Vec<u8>,
}

/// What a reducer works out.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The number of rows.
    Count,
    /// The sum.
    Sum,
    /// The mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The deviation of the sample.
    StdDev,
    /// The value below which this part of the values lies.
    Quantile(f64),
    /// The number of different values.
    CountDistinct,
    /// The same, roughly.
    CountDistinctish,
    /// The sketch that the rough number comes from.
    Hll,
    /// The rough number out of several sketches.
    HllSum,
    /// The different values.
    ToList,
    /// The value of the first row.
    FirstValue,
    /// The value of the row that comes first by another property.
    FirstValueBy {
        /// Whether that is the row with the greatest one.
        descending: bool,
    },
    /// Some values, by chance.
    RandomSample(usize),
    /// The rows themselves.
    Collect(Collecting),
}

impl<'a> Reduction<'a> {
    /// Reads what stands behind REDUCE.
    pub fn read(args: &mut Args<'a>) -> Result<Reduction<'a>, Error> {
        let function = args.value("REDUCE")?;
        let name = lossy(function);
        let list = args.list(&name)?;
        let alias = match args.take("AS") {
            true => args.value("AS")?.to_vec(),
            false => generated_name(function, list),
        };
        let mut rest = Args::new(list);
        let mut inputs = Vec::new();
        let kind = kind(&name, &mut rest, &mut inputs)?;
        Ok(Reduction { kind, inputs, name: alias })
    }
}

/// The name of what has none: the function and its arguments.
fn generated_name(function: &[u8], arguments: &[&[u8]]) -> Vec<u8> {
    let mut name = b"__generated_alias".to_vec();
    name.extend_from_slice(function);
    for (at, argument) in arguments.iter().enumerate() {
        if at > 0 {
            name.push(b',');
        }
        let start = argument.iter().take_while(|byte| **byte == b'@').count();
        name.extend_from_slice(&argument[start..]);
    }
    name.to_ascii_lowercase()
}

fn kind<'a>(name: &str, args: &mut Args<'a>, inputs: &mut Vec<&'a [u8]>) -> Result<Kind, Error> {
    let upper = name.to_ascii_uppercase();
    if upper == "COUNT" {
        return match args.is_empty() {
            true => Ok(Kind::Count),
            false => Err(Error::Text("Count accepts 0 values only")),
        };
    }
    if upper == "COLLECT" {
        return Ok(Kind::Collect(Collecting::read(args, inputs)?));
    }
    let simple = match upper.as_str() {
        "SUM" => Some(Kind::Sum),
        "AVG" => Some(Kind::Avg),
        "MIN" => Some(Kind::Min),
        "MAX" => Some(Kind::Max),
        "STDDEV" => Some(Kind::StdDev),
        "COUNT_DISTINCT" => Some(Kind::CountDistinct),
        "COUNT_DISTINCTISH" => Some(Kind::CountDistinctish),
        "HLL" => Some(Kind::Hll),
        "HLL_SUM" => Some(Kind::HllSum),
        "TOLIST" => Some(Kind::ToList),
        "QUANTILE" | "FIRST_VALUE" | "RANDOM_SAMPLE" => None,
        _ => return Err(StepError::NoSuchReducer(name.to_owned()).into()),
    };
    let mut property = |args: &mut Args<'a>| {
        let argument =
            args.next_arg().ok_or_else(|| StepError::MissingArguments(name.to_owned()))?;
        inputs.push(bare(argument));
        Ok::<_, Error>(())
    };
    property(args)?;
    match (simple, upper.as_str()) {
        // As in RediSearch, what stands behind the property is not looked at.
        (Some(kind), _) => Ok(kind),
        (None, "QUANTILE") => quantile(name, args),
        (None, "RANDOM_SAMPLE") => {
            let size = args.next_arg().map(parse_integer);
            let bad = |why| Error::BadArgument("<sample size>".to_owned(), why);
            let size = size.ok_or_else(|| bad(ArgumentError::Missing))?;
            let size = size.ok_or_else(|| bad(ArgumentError::Parse))?;
            let size = usize::try_from(size).map_err(|_| bad(ArgumentError::Limit))?;
            match size <= SAMPLE_MAX {
                true => Ok(Kind::RandomSample(size)),
                false => Err(Error::Text("Sample size too large")),
            }
        }
        (None, _) => {
            let by = args.take("BY");
            let mut descending = false;
            if by {
                property(args)?;
                descending = args.take("DESC");
                if !descending {
                    args.take("ASC");
                }
            }
            consumed(name, args, 1 + 2 * usize::from(by))?;
            Ok(if by { Kind::FirstValueBy { descending } } else { Kind::FirstValue })
        }
    }
}

fn quantile(name: &str, args: &mut Args<'_>) -> Result<Kind, Error> {
    let bad = |why| Error::BadArgument(name.to_owned(), why);
    let part = args.next_arg().ok_or_else(|| bad(ArgumentError::Missing))?;
    let part = parse_number(part).ok_or_else(|| bad(ArgumentError::Parse))?;
    if !(0.0..=1.0).contains(&part) {
        return Err(Error::Text("Percentage must be between 0.0 and 1.0"));
    }
    if let Some(resolution) = args.next_arg() {
        // How coarse the answer may be; ours is exact.
        parse_integer(resolution)
            .filter(|number| (1..=SAMPLE_MAX as i64).contains(number))
            .ok_or(Error::Text("Invalid resolution"))?;
    }
    consumed(name, args, 3)?;
    Ok(Kind::Quantile(part))
}

fn consumed(name: &str, args: &Args<'_>, place: usize) -> Result<(), Error> {
    match args.peek() {
        None => Ok(()),
        Some(word) => Err(StepError::UnknownArgument(lossy(word), place, name.to_owned()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_generated_and_errors_are_those_of_redisearch() {
        let read = |line: &str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let reduction = Reduction::read(&mut Args::new(&words));
            reduction.map(|r| lossy(&r.name)).unwrap_or_else(|error| error.to_string())
        };
        let cases = [
            ("COUNT 0", "__generated_aliascount"),
            ("QUANTILE 2 @Random_num 0.5", "__generated_aliasquantilerandom_num,0.5"),
            ("SUM 1 @n AS Sum", "Sum"),
            ("COUNT 1 @n", "Count accepts 0 values only"),
            ("SUM 0", "Missing arguments for SUM"),
            ("SUM", "Bad arguments for SUM: Expected an argument, but none provided"),
            ("SUM 1 @n AS", "Bad arguments for AS: Expected an argument, but none provided"),
            (
                "QUANTILE 1 @n",
                "Bad arguments for QUANTILE: Expected an argument, but none provided",
            ),
            ("QUANTILE 2 @n 2", "Percentage must be between 0.0 and 1.0"),
            ("RANDOM_SAMPLE 2 @n 1001", "Sample size too large"),
            ("FIRST_VALUE 2 @n x", "Unknown argument `x` at position 1 for FIRST_VALUE"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
