//! How are the steps of FT.AGGREGATE read?
//!
//! Steps stand in any order and any number. LIMIT and SORTBY between two GROUPBYs are one step, which stands where the
//! first of them did; that is how RediSearch reads them.

use crate::aggregate::reducers::Reduction;
use crate::aggregate::{
    Error as StepError, GROUP_PROPERTIES_MAX, OFFSET_MAX, ROWS_MAX, SORT_KEYS_MAX,
};
use crate::args::{Args, lossy, named_fields, parse_integer};
use crate::error::{ArgumentError, Error};
use crate::expression::Expression;

/// Steps of one command: each may hold a whole expression.
pub const STEPS_MAX: usize = 1000;

/// One step.
#[derive(Debug)]
pub enum Step<'a> {
    /// LOAD *
    LoadAll,
    /// LOAD
    Load(Vec<Loaded<'a>>),
    /// GROUPBY
    Group(Group<'a>),
    /// SORTBY and LIMIT
    Arrange(Arrange<'a>),
    /// APPLY
    Apply {
        /// What is computed.
        expression: Expression,
        /// The property that it becomes.
        name: &'a [u8],
    },
    /// FILTER
    Filter(Expression),
}

/// A field to load.
#[derive(Debug, Clone, Copy)]
pub struct Loaded<'a> {
    /// Where its value is found: a field of the schema, of the hash, or a JSON path.
    pub path: &'a [u8],
    /// The property that it becomes.
    pub name: &'a [u8],
}

/// GROUPBY and its REDUCEs.
#[derive(Debug)]
pub struct Group<'a> {
    /// Names, without `@`.
    pub properties: Vec<&'a [u8]>,
    /// What is worked out of each group.
    pub reductions: Vec<Reduction<'a>>,
}

/// SORTBY and LIMIT.
#[derive(Debug, Default)]
pub struct Arrange<'a> {
    /// Names, without `@`, and whether the greatest comes first.
    pub keys: Vec<(&'a [u8], bool)>,
    /// Whether there was a SORTBY.
    pub sorted: bool,
    /// Rows to leave out.
    pub offset: usize,
    /// Rows to keep, if anything says so.
    pub limit: Option<usize>,
}

impl Step<'_> {
    fn is_group(&self) -> bool {
        matches!(self, Step::Group(_))
    }
}

/// Reads one step, if one stands here.
pub fn take<'a>(steps: &mut Vec<Step<'a>>, args: &mut Args<'a>) -> Result<bool, Error> {
    if steps.len() >= STEPS_MAX {
        return Err(Error::Text("Too many steps"));
    }
    if args.take("LOAD") {
        steps.push(load(args)?);
    } else if args.take("GROUPBY") {
        steps.push(group(args)?);
    } else if args.take("APPLY") {
        let text = expression(args)?;
        let mut name = text;
        if args.take("AS") {
            name = args.next_arg().ok_or(Error::Text("AS needs argument"))?;
        }
        steps.push(Step::Apply { expression: Expression::parse(text)?, name });
    } else if args.take("FILTER") {
        let text = expression(args)?;
        steps.push(Step::Filter(Expression::parse(text)?));
    } else if args.take("SORTBY") {
        sort(steps, args)?;
    } else if args.take("LIMIT") {
        limit(steps, args)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn expression<'a>(args: &mut Args<'a>) -> Result<&'a [u8], Error> {
    args.next_arg()
        .ok_or_else(|| Error::BadArgument("APPLY/FILTER".to_owned(), ArgumentError::Missing))
}

/// A name without its `@`.
pub fn bare(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"@").unwrap_or(name)
}

fn load<'a>(args: &mut Args<'a>) -> Result<Step<'a>, Error> {
    if args.take("*") {
        return Ok(Step::LoadAll);
    }
    if args.peek().is_some_and(|count| parse_integer(count).is_none()) {
        return Err(Error::Text("Bad arguments for LOAD: Expected number of fields or `*`"));
    }
    let list = args.list("LOAD")?;
    let pairs = named_fields(
        list,
        "LOAD path AS name - must be accompanied with NAME",
        "Alias for LOAD cannot be `AS`",
    )?;
    let fields = pairs.into_iter().map(|(path, name)| {
        let path = bare(path);
        Loaded { path, name: name.unwrap_or(path) }
    });
    Ok(Step::Load(fields.collect()))
}

fn group<'a>(args: &mut Args<'a>) -> Result<Step<'a>, Error> {
    let list = args.list("GROUPBY")?;
    if list.len() > GROUP_PROPERTIES_MAX {
        return Err(Error::BadArgument("GROUPBY".to_owned(), ArgumentError::Limit));
    }
    let mut properties = Vec::with_capacity(list.len());
    for name in list {
        properties.push(name.strip_prefix(b"@").ok_or_else(|| StepError::WithoutAt(lossy(name)))?);
    }
    let mut reductions = Vec::new();
    while args.take("REDUCE") {
        reductions.push(Reduction::read(args)?);
    }
    Ok(Step::Group(Group { properties, reductions }))
}

/// The arranging step that the next LIMIT or SORTBY belongs to.
fn arranging<'s, 'a>(steps: &'s mut Vec<Step<'a>>) -> &'s mut Arrange<'a> {
    let since_group = steps.iter().rposition(Step::is_group).map_or(0, |at| at + 1);
    let found = steps[since_group..].iter().position(|step| matches!(step, Step::Arrange(_)));
    let at = match found {
        Some(at) => since_group + at,
        None => {
            steps.push(Step::Arrange(Arrange::default()));
            steps.len() - 1
        }
    };
    let Step::Arrange(arrange) = &mut steps[at] else { unreachable!("just found or pushed") };
    arrange
}

fn sort<'a>(steps: &mut Vec<Step<'a>>, args: &mut Args<'a>) -> Result<(), Error> {
    let list = args.list("SORTBY")?;
    let mut keys: Vec<(&[u8], bool)> = Vec::new();
    for word in list {
        let descending = word.eq_ignore_ascii_case(b"DESC");
        if let Some(name) = word.strip_prefix(b"@") {
            if keys.len() == SORT_KEYS_MAX {
                return Err(Error::Text("Cannot sort by more than 8 fields"));
            }
            keys.push((name, false));
        } else if let Some((_, direction)) = keys.last_mut()
            && (descending || word.eq_ignore_ascii_case(b"ASC"))
        {
            *direction = descending;
        } else {
            return Err(StepError::SortDirection(lossy(word)).into());
        }
    }
    let mut max = None;
    if args.take("MAX") {
        let number = usize::try_from(args.integer("MAX")?);
        max = Some(number.map_err(|_| Error::BadArgument("MAX".to_owned(), ArgumentError::Limit))?);
    }
    if keys.is_empty() && max.is_none() {
        return Ok(());
    }
    let arrange = arranging(steps);
    if arrange.sorted {
        return Err(Error::Text(
            "Multiple SORTBY steps are not allowed. Sort multiple fields in a single step",
        ));
    }
    arrange.sorted = true;
    arrange.keys = keys;
    // MAX 0 is no bound, as in RediSearch.
    if let Some(max) = max.filter(|max| *max > 0) {
        arrange.limit = Some(max);
    }
    Ok(())
}

fn limit<'a>(steps: &mut Vec<Step<'a>>, args: &mut Args<'a>) -> Result<(), Error> {
    let (Some(offset), Some(limit)) = (args.next_arg(), args.next_arg()) else {
        return Err(Error::Text("LIMIT requires two arguments"));
    };
    let number = |text| parse_integer(text).and_then(|number| u64::try_from(number).ok());
    let (Some(offset), Some(limit)) = (number(offset), number(limit)) else {
        return Err(Error::Text("LIMIT needs two numeric arguments"));
    };
    if limit == 0 && offset != 0 {
        return Err(Error::Text("The `offset` of the LIMIT must be 0 when `num` is 0"));
    }
    if limit > ROWS_MAX {
        return Err(Error::LimitTooLarge(ROWS_MAX));
    }
    if offset > OFFSET_MAX {
        return Err(Error::OffsetTooLarge(OFFSET_MAX));
    }
    let arrange = arranging(steps);
    arrange.offset = usize::try_from(offset).expect("below OFFSET_MAX");
    arrange.limit = Some(usize::try_from(limit).expect("below ROWS_MAX"));
    Ok(())
}

/// Refuses a LIMIT beyond what replies may have.
pub fn check_rows(steps: &[Step<'_>], rows_max: usize, offset_max: usize) -> Result<(), Error> {
    for step in steps {
        if let Step::Arrange(Arrange { offset, limit: Some(limit), .. }) = step {
            if *limit > rows_max {
                return Err(Error::LimitTooLarge(rows_max as u64));
            }
            if *offset > offset_max {
                return Err(Error::OffsetTooLarge(offset_max as u64));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<String, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut args = Args::new(&words);
        let mut steps = Vec::new();
        while !args.is_empty() {
            if !take(&mut steps, &mut args).map_err(|error| error.to_string())? {
                return Err("unknown".to_owned());
            }
        }
        let shown = |step: &Step<'_>| match step {
            Step::LoadAll => "load*".to_owned(),
            Step::Load(fields) => format!("load{}", fields.len()),
            Step::Group(group) => {
                format!("group{}/{}", group.properties.len(), group.reductions.len())
            }
            Step::Arrange(arrange) => {
                format!("arrange{}:{}+{:?}", arrange.keys.len(), arrange.offset, arrange.limit)
            }
            Step::Apply { name, .. } => format!("apply {}", lossy(name)),
            Step::Filter(_) => "filter".to_owned(),
        };
        Ok(steps.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn steps_stand_in_any_order() {
        let line = "LOAD 3 @a b AS c APPLY @a+1 AS d FILTER @d>1 SORTBY 3 @a DESC @d GROUPBY 1 @d REDUCE COUNT 0 \
                    REDUCE SUM 1 @a AS s LIMIT 1 2 SORTBY 1 @s MAX 7";
        assert_eq!(
            read(&line.replace("b AS c", "b")).unwrap_err(),
            "unknown",
            "the count of LOAD counts AS"
        );
        assert_eq!(read(line.trim()).map_err(|_| ()), read(line.trim()).map_err(|_| ()),);
        let line = line.replace("LOAD 3", "LOAD 4");
        assert_eq!(
            read(&line).unwrap(),
            "load2 apply d filter arrange2:0+None group1/2 arrange1:1+Some(7)"
        );
        assert_eq!(read("LIMIT 0 5 APPLY 1 SORTBY 1 @a").unwrap(), "arrange1:0+Some(5) apply 1");
        assert_eq!(read("SORTBY 0 MAX 3").unwrap(), "arrange0:0+Some(3)");
        assert_eq!(read("SORTBY 0").unwrap(), "");
    }

    #[test]
    fn errors_are_those_of_redisearch() {
        let cases = [
            ("LOAD", "Bad arguments for LOAD: Expected an argument, but none provided"),
            ("LOAD 2 a", "Bad arguments for LOAD: Expected an argument, but none provided"),
            ("LOAD x", "Bad arguments for LOAD: Expected number of fields or `*`"),
            ("LOAD 2 a AS", "LOAD path AS name - must be accompanied with NAME"),
            ("GROUPBY 1 a", "Bad arguments for GROUPBY: Unknown property `a`. Did you mean `@a`?"),
            ("SORTBY 1 a", "MISSING ASC or DESC after sort field (a)"),
            (
                "SORTBY 1 @a SORTBY 1 @b",
                "Multiple SORTBY steps are not allowed. Sort multiple fields in a single step",
            ),
            ("LIMIT 1", "LIMIT requires two arguments"),
            ("LIMIT 1 0", "The `offset` of the LIMIT must be 0 when `num` is 0"),
            ("APPLY", "Bad arguments for APPLY/FILTER: Expected an argument, but none provided"),
            ("APPLY 1 AS", "AS needs argument"),
            ("FILTER x(1)", "Unknown function name 'x'"),
            ("GROUPBY 0 REDUCE nope 0", "No such reducer: nope"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line).unwrap_err(), expected, "{line}");
        }
    }
}
