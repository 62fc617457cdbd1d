//! What does FT.HYBRID ask for?
//!
//! Two searches, one by words and one by a vector, whose results are fused into one list by their ranks or their
//! scores. Orders, defaults and texts are RediSearch's.

use crate::aggregate::steps::{self, Arrange, Step};
use crate::args::{Args, lossy, parse_integer, parse_number};
use crate::commands::hybrid::fusion::Method;
use crate::commands::{cursor, options};
use crate::error::Error;
use crate::query::parser::Parameters;
use crate::score::Scorer;

/// Results of each search that are fused, if it is not said how many.
const WINDOW: usize = 20;
/// Results of each search that may be fused.
pub const WINDOW_MAX: usize = 1_000_000;
/// Neighbours, if it is not said how many.
const K: usize = 10;
/// Rows, if it is not said how many.
const ROWS: usize = 10;
const NO_DIALECT: &str = "DIALECT is not supported in FT.HYBRID or any of its subqueries. Please check the documentation on search-default-dialect configuration.";

/// Everything behind the name of the index.
#[derive(Debug)]
pub struct Request<'a> {
    /// The query of the search by words.
    pub query: &'a [u8],
    /// Its formula.
    pub scorer: Scorer,
    /// Name under which rows show their score by words.
    pub search_alias: Option<&'a [u8]>,
    /// The search by a vector.
    pub vector: VectorSearch<'a>,
    /// How the two are fused.
    pub method: Method,
    /// Results of each search that are fused.
    pub window: usize,
    /// Name under which rows show their fused score, if not the usual one.
    pub alias: Option<&'a [u8]>,
    /// What the fused rows run through, the best first.
    pub steps: Vec<Step<'a>>,
    /// Both searches' rows are wanted, by cursors of their own.
    pub cursor: Option<cursor::Options>,
    /// Values of `$name`.
    pub parameters: Parameters,
    /// When to stop, in milliseconds, if that is said; 0 is never.
    pub timeout_ms: Option<u64>,
    /// Rows show how they got their fused scores.
    pub explains: bool,
}

/// The search by a vector.
#[derive(Debug)]
pub struct VectorSearch<'a> {
    /// The field.
    pub field: &'a [u8],
    /// Name of the parameter that holds the vector.
    pub parameter: &'a [u8],
    /// What is asked.
    pub ask: Ask,
    /// What the documents must match.
    pub filter: Option<&'a [u8]>,
    /// Name under which rows show how near they are.
    pub alias: Option<&'a [u8]>,
}

/// What is asked about vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask {
    /// The nearest.
    Nearest {
        /// How many.
        k: usize,
        /// Candidates that a walk keeps.
        ef: Option<usize>,
    },
    /// Those within a distance.
    Within {
        /// The distance.
        radius: f64,
        /// How much farther a walk looks.
        epsilon: Option<f64>,
    },
}

/// Reads everything behind the name of the index.
pub fn read<'a>(items: &'a [&'a [u8]]) -> Result<Request<'a>, Error> {
    let mut args = Args::new(items);
    subqueries(&mut args)?;
    let query = args.next_arg().ok_or(Error::Text("No query string provided for SEARCH"))?;
    let (scorer, search_alias) = search_options(&mut args)?;
    let mut request = Request {
        query,
        scorer,
        search_alias,
        vector: vector_search(&mut args)?,
        method: Method::Ranks { constant: 60.0 },
        window: WINDOW,
        alias: None,
        steps: Vec::new(),
        cursor: None,
        parameters: Parameters::new(),
        timeout_ms: None,
        explains: false,
    };
    while !args.is_empty() {
        if !(request.option(&mut args)? || steps::take(&mut request.steps, &mut args)?) {
            let word = args.peek().unwrap_or_default();
            if word.eq_ignore_ascii_case(b"DIALECT") {
                return Err(Error::Text(NO_DIALECT));
            }
            return Err(Error::Formatted(format!("Unknown argument: `{}`", lossy(word))));
        }
    }
    if request.explains && request.steps.iter().any(|step| matches!(step, Step::Group(_))) {
        return Err(Error::Text("EXPLAINSCORE is not supported with GROUPBY"));
    }
    request.cut_rows();
    Ok(request)
}

fn subqueries(args: &mut Args<'_>) -> Result<(), Error> {
    if let Some(count) = args.peek().and_then(parse_integer) {
        args.next_arg();
        if count != 2 {
            return Err(Error::Text("FT.HYBRID currently supports only two subqueries"));
        }
        return match args.take("SEARCH") {
            true => Ok(()),
            false => Err(Error::Text("SEARCH keyword is required")),
        };
    }
    match args.take("SEARCH") {
        true => Ok(()),
        false => Err(Error::Text("Invalid subqueries count: expected an unsigned integer")),
    }
}

fn search_options<'a>(args: &mut Args<'a>) -> Result<(Scorer, Option<&'a [u8]>), Error> {
    let (mut scorer, mut alias) = (Scorer::default(), None);
    while !args.take("VSIM") {
        if args.take("SCORER") {
            scorer = Scorer::find(args.value("SCORER")?)?;
        } else if args.take("YIELD_SCORE_AS") {
            alias = Some(args.value("YIELD_SCORE_AS")?);
        } else {
            return Err(match args.peek() {
                None => Error::Text("VSIM argument is required"),
                Some(word) if word.eq_ignore_ascii_case(b"DIALECT") => Error::Text(NO_DIALECT),
                Some(word) => {
                    Error::Formatted(format!("Unknown argument `{}` in SEARCH", lossy(word)))
                }
            });
        }
    }
    Ok((scorer, alias))
}

fn vector_search<'a>(args: &mut Args<'a>) -> Result<VectorSearch<'a>, Error> {
    let field = args.next_arg().ok_or(Error::Text("Missing vector field name"))?;
    let field =
        field.strip_prefix(b"@").ok_or(Error::Text("Missing @ prefix for vector field name"))?;
    let vector = args.next_arg().ok_or(Error::Text("Missing vector argument"))?;
    let parameter = vector
        .strip_prefix(b"$")
        .ok_or(Error::Text("Invalid vector argument, expected a parameter name starting with $"))?;
    let ask = Ask::Nearest { k: K, ef: None };
    let mut search = VectorSearch { field, parameter, ask, filter: None, alias: None };
    if args.take("KNN") {
        search.nearest(args)?;
    } else if args.take("RANGE") {
        search.range(args)?;
    }
    if args.take("FILTER") {
        search.filter(args)?;
    }
    if args.take("YIELD_SCORE_AS") {
        search.alias(args)?;
    }
    Ok(search)
}

/// The counted pairs behind a word.
fn pairs<'a>(args: &mut Args<'a>) -> Result<Args<'a>, Error> {
    let count = args.next_arg().ok_or(Error::Text("Missing argument count"))?;
    let count = parse_integer(count).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(Error::Text("Invalid argument count: expected an unsigned integer"))?;
    if count == 0 || count % 2 == 1 {
        return Err(Error::Formatted(format!(
            "Invalid argument count: {count} (must be a positive even number for key/value pairs)"
        )));
    }
    let rest = args.rest();
    if rest.len() < count {
        let (given, verb) = (rest.len(), if rest.len() == 1 { "was" } else { "were" });
        return Err(Error::Formatted(format!(
            "Expected arguments {count}, but {given} {verb} provided"
        )));
    }
    (0..count).for_each(|_| {
        args.next_arg();
    });
    Ok(Args::new(&rest[..count]))
}

/// A positive whole number.
fn positive(args: &mut Args<'_>, invalid: &'static str) -> Result<usize, Error> {
    let number = args.next_arg().and_then(parse_integer);
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or(Error::Text(invalid))
}

impl<'a> VectorSearch<'a> {
    fn nearest(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        let mut pairs = pairs(args)?;
        let (mut k, mut ef) = (None, None);
        while !pairs.is_empty() {
            if pairs.take("K") {
                once(&k, "Duplicate K argument")?;
                k = Some(positive(&mut pairs, "Invalid K value")?);
            } else if pairs.take("EF_RUNTIME") {
                once(&ef, "Duplicate EF_RUNTIME argument")?;
                ef = Some(positive(&mut pairs, "Invalid EF_RUNTIME value")?);
            } else if pairs.take("SHARD_K_RATIO") {
                // How many each shard gives of a cluster; here is one.
                let ratio = pairs.next_arg().and_then(parse_number);
                ratio.filter(|ratio| *ratio > 0.0 && *ratio <= 1.0).ok_or(Error::Text(
                    "Invalid shard k ratio value: must be greater than 0 and at most 1",
                ))?;
            } else if pairs.take("YIELD_SCORE_AS") {
                self.alias(&mut pairs)?;
            } else {
                let word = lossy(pairs.peek().unwrap_or_default());
                return Err(Error::Formatted(format!("Unknown argument `{word}` in KNN")));
            }
        }
        let k = k.ok_or(Error::Text("Missing required argument K"))?;
        self.ask = Ask::Nearest { k, ef };
        Ok(())
    }

    fn range(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        let mut pairs = pairs(args)?;
        let (mut radius, mut epsilon) = (None, None);
        while !pairs.is_empty() {
            if pairs.take("RADIUS") {
                once(&radius, "Duplicate RADIUS argument")?;
                let number = pairs.next_arg().and_then(parse_number).filter(|r| *r >= 0.0);
                radius = Some(number.ok_or(Error::Text("Invalid RADIUS value"))?);
            } else if pairs.take("EPSILON") {
                once(&epsilon, "Duplicate EPSILON argument")?;
                let number = pairs.next_arg().and_then(parse_number).filter(|e| *e > 0.0);
                epsilon = Some(number.ok_or(Error::Text("Invalid EPSILON value"))?);
            } else if pairs.take("YIELD_SCORE_AS") {
                self.alias(&mut pairs)?;
            } else {
                let word = lossy(pairs.peek().unwrap_or_default());
                return Err(Error::Formatted(format!("Unknown argument `{word}` in RANGE")));
            }
        }
        let radius = radius.ok_or(Error::Text("Missing required argument RADIUS"))?;
        self.ask = Ask::Within { radius, epsilon };
        Ok(())
    }

    /// `FILTER expression`, or counted with a policy, which is decided here by what each way would cost.
    fn filter(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        let first = args.next_arg().ok_or(Error::Text("Missing argument count for FILTER"))?;
        let Some(count) = parse_integer(first).and_then(|count| usize::try_from(count).ok()) else {
            self.filter = Some(first);
            return Ok(());
        };
        let rest = args.rest();
        if count > rest.len() {
            return Err(Error::Formatted(format!(
                "Not enough arguments in FILTER, specified {count} but provided only {}",
                rest.len()
            )));
        }
        let mut list = Args::new(&rest[..count]);
        (0..count).for_each(|_| {
            args.next_arg();
        });
        self.filter =
            Some(list.next_arg().ok_or(Error::Text("Missing filter-expression for FILTER"))?);
        while !list.is_empty() {
            if list.take("POLICY") {
                if !(list.take("ADHOC") || list.take("BATCHES")) {
                    return Err(Error::Text("FILTER: Invalid value for POLICY"));
                }
            } else if list.take("BATCH_SIZE") {
                positive(&mut list, "FILTER: Invalid value for BATCH_SIZE")?;
            } else {
                let word = lossy(list.peek().unwrap_or_default());
                return Err(Error::Formatted(format!("FILTER: Unknown argument `{word}`")));
            }
        }
        Ok(())
    }

    fn alias(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        once(&self.alias, "Duplicate YIELD_SCORE_AS argument")?;
        let name = args.next_arg();
        self.alias = Some(name.ok_or(Error::Text("Missing argument value for YIELD_SCORE_AS"))?);
        Ok(())
    }
}

fn once<T>(given: &Option<T>, duplicate: &'static str) -> Result<(), Error> {
    if given.is_some() { Err(Error::Text(duplicate)) } else { Ok(()) }
}

impl<'a> Request<'a> {
    fn option(&mut self, args: &mut Args<'a>) -> Result<bool, Error> {
        if args.take("COMBINE") {
            self.combine(args)?;
        } else if args.take("NOSORT") {
            // The order of the scores costs nothing.
        } else if args.take("EXPLAINSCORE") {
            self.explains = true;
        } else if args.take("WITHCURSOR") {
            self.cursor = Some(cursor::Options::read(args)?);
        } else if args.take("PARAMS") {
            let list = args.list("PARAMS")?;
            options::parameters(&mut self.parameters, list)?;
        } else if args.take("TIMEOUT") {
            let value = args.next_arg().ok_or(Error::Text("Need argument for TIMEOUT"))?;
            let ms = parse_integer(value).and_then(|ms| u64::try_from(ms).ok());
            let ms = ms.ok_or(Error::Text("TIMEOUT requires a non negative integer"))?;
            self.timeout_ms = Some(ms);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Without a LIMIT, ten rows are given.
    fn cut_rows(&mut self) {
        let last = self.steps.iter().rev().take_while(|step| !matches!(step, Step::Group(_)));
        let is_cut = last.into_iter().any(|step| match step {
            Step::Arrange(arrange) => arrange.sorted || arrange.limit.is_some(),
            _ => false,
        });
        if !is_cut {
            self.steps.push(Step::Arrange(Arrange { limit: Some(ROWS), ..Arrange::default() }));
        }
    }

    /// Whether it is said which fields are wanted.
    pub fn loads(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Load(_) | Step::LoadAll))
    }

    /// Whether a property is loaded by its own name.
    pub fn loads_by_name(&self, name: &[u8]) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Load(fields) => fields.iter().any(|field| field.name == name),
            _ => false,
        })
    }

    /// `RRF n ...` or `LINEAR n ...`, perhaps with a name for the score behind.
    fn combine(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        let name = args.next_arg().ok_or(Error::Text("Missing argument value for COMBINE"))?;
        let (name, by_ranks) = match name.to_ascii_uppercase().as_slice() {
            b"RRF" => ("RRF", true),
            b"LINEAR" => ("LINEAR", false),
            _ => {
                let text = format!("Unknown COMBINE method `{}`", lossy(name));
                return Err(Error::Formatted(text));
            }
        };
        let mut list = Args::new(method_arguments(name, args)?);
        let (mut constant, mut alpha, mut beta) = (None, None, None);
        while !list.is_empty() {
            let number = |list: &mut Args<'_>, what: &str| {
                let number = list.next_arg().and_then(parse_number);
                let text = format!("{name}: Invalid value for {what}");
                number.ok_or(Error::Formatted(text)).map(Some)
            };
            if by_ranks && list.take("CONSTANT") {
                constant = number(&mut list, "CONSTANT")?;
            } else if !by_ranks && list.take("ALPHA") {
                alpha = number(&mut list, "ALPHA")?;
            } else if !by_ranks && list.take("BETA") {
                beta = number(&mut list, "BETA")?;
            } else if list.take("WINDOW") {
                let window = positive(&mut list, "WINDOW: Value must be a positive number")?;
                self.window = window.min(WINDOW_MAX);
            } else if list.take("YIELD_SCORE_AS") {
                self.alias = list.next_arg();
            } else {
                let word = lossy(list.peek().unwrap_or_default());
                return Err(Error::Formatted(format!("{name}: Unknown argument `{word}`")));
            }
        }
        self.method = match (by_ranks, alpha, beta) {
            (true, ..) => Method::Ranks { constant: constant.unwrap_or(60.0) },
            (false, Some(words), Some(vector)) => Method::Scores { words, vector },
            (false, None, None) => Method::Scores { words: 0.3, vector: 0.7 },
            (false, Some(_), None) => return Err(Error::Text("Missing value for BETA")),
            (false, None, Some(_)) => return Err(Error::Text("Missing value for ALPHA")),
        };
        if args.take("YIELD_SCORE_AS") {
            once(&self.alias, "YIELD_SCORE_AS specified more than once")?;
            let alias = args.next_arg();
            let alias = alias.ok_or(Error::Text("Missing argument value for YIELD_SCORE_AS"))?;
            self.alias = Some(alias);
        }
        Ok(())
    }
}

/// The counted arguments of a way to combine.
fn method_arguments<'a>(name: &str, args: &mut Args<'a>) -> Result<&'a [&'a [u8]], Error> {
    let missing = || Error::Formatted(format!("Missing {name} argument count"));
    let count = args.next_arg().ok_or_else(missing)?;
    let count = parse_integer(count).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or_else(|| {
        Error::Formatted(format!(
            "Invalid {name} argument count, error: Could not convert argument to expected type"
        ))
    })?;
    if count % 2 == 1 {
        return Err(Error::Formatted(format!(
            "{name} expects pairs of key value arguments, argument count must be an even number"
        )));
    }
    let rest = args.rest();
    if count > rest.len() {
        return Err(Error::Formatted(format!(
            "Not enough arguments in {name}, specified {count} but provided only {}",
            rest.len()
        )));
    }
    (0..count).for_each(|_| {
        args.next_arg();
    });
    Ok(&rest[..count])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(line: &str, look: impl FnOnce(Result<Request<'_>, String>) -> T) -> T {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        look(read(&words).map_err(|error| error.to_string()))
    }

    #[test]
    fn options_are_read() {
        with("SEARCH shoes VSIM @v $b", |request| {
            let request = request.unwrap();
            assert_eq!(request.window, 20);
            assert!(matches!(&request.steps[..], [Step::Arrange(a)] if a.limit == Some(10)));
            assert_eq!(request.method, Method::Ranks { constant: 60.0 });
            assert_eq!(request.vector.ask, Ask::Nearest { k: 10, ef: None });
        });
        let line = "2 SEARCH shoes SCORER TFIDF YIELD_SCORE_AS s VSIM @v $b KNN 4 K 3 EF_RUNTIME 7 FILTER 3 @n:[1] POLICY ADHOC \
                    YIELD_SCORE_AS d COMBINE LINEAR 6 ALPHA 0.5 BETA 0.25 WINDOW 5 YIELD_SCORE_AS c LOAD 4 @a AS b @c \
                    SORTBY 3 @b DESC @c LIMIT 1 2 PARAMS 2 b xx TIMEOUT 7";
        with(line, |request| {
            let request = request.unwrap();
            assert_eq!((request.scorer, request.window), (Scorer::TfIdf, 5));
            assert_eq!(request.method, Method::Scores { words: 0.5, vector: 0.25 });
            assert_eq!(request.vector.ask, Ask::Nearest { k: 3, ef: Some(7) });
            assert_eq!(request.vector.filter, Some(&b"@n:[1]"[..]));
            let names = [request.search_alias, request.vector.alias, request.alias];
            assert_eq!(names, [Some(&b"s"[..]), Some(b"d"), Some(b"c")]);
            assert_eq!(request.timeout_ms, Some(7));
            assert!(request.loads_by_name(b"b") && !request.loads_by_name(b"a"));
            assert_eq!(request.steps.len(), 2);
        });
        with("SEARCH x VSIM @v $b RANGE 4 RADIUS 0.5 EPSILON 0.1 NOSORT", |request| {
            let request = request.unwrap();
            assert_eq!(request.vector.ask, Ask::Within { radius: 0.5, epsilon: Some(0.1) });
        });
    }

    #[test]
    fn errors_are_those_of_redisearch() {
        let cases = [
            ("x", "Invalid subqueries count: expected an unsigned integer"),
            ("3 SEARCH x", "FT.HYBRID currently supports only two subqueries"),
            ("2 x", "SEARCH keyword is required"),
            ("SEARCH", "No query string provided for SEARCH"),
            ("SEARCH x", "VSIM argument is required"),
            ("SEARCH x FOO", "Unknown argument `FOO` in SEARCH"),
            ("SEARCH x VSIM", "Missing vector field name"),
            ("SEARCH x VSIM v", "Missing @ prefix for vector field name"),
            ("SEARCH x VSIM @v", "Missing vector argument"),
            (
                "SEARCH x VSIM @v b",
                "Invalid vector argument, expected a parameter name starting with $",
            ),
            ("SEARCH x VSIM @v $b KNN", "Missing argument count"),
            (
                "SEARCH x VSIM @v $b KNN 1 K",
                "Invalid argument count: 1 (must be a positive even number for key/value pairs)",
            ),
            ("SEARCH x VSIM @v $b KNN 2 K", "Expected arguments 2, but 1 was provided"),
            ("SEARCH x VSIM @v $b KNN 2 K 0", "Invalid K value"),
            ("SEARCH x VSIM @v $b KNN 2 EF_RUNTIME 4", "Missing required argument K"),
            ("SEARCH x VSIM @v $b KNN 4 K 1 K 2", "Duplicate K argument"),
            ("SEARCH x VSIM @v $b KNN 2 FOO 2", "Unknown argument `FOO` in KNN"),
            ("SEARCH x VSIM @v $b RANGE 2 RADIUS -1", "Invalid RADIUS value"),
            ("SEARCH x VSIM @v $b RANGE 2 EPSILON 1", "Missing required argument RADIUS"),
            ("SEARCH x VSIM @v $b COMBINE FOO", "Unknown COMBINE method `FOO`"),
            (
                "SEARCH x VSIM @v $b COMBINE RRF 1 WINDOW",
                "RRF expects pairs of key value arguments, argument count must be an even number",
            ),
            ("SEARCH x VSIM @v $b COMBINE LINEAR 2 ALPHA 1", "Missing value for BETA"),
            (
                "SEARCH x VSIM @v $b COMBINE LINEAR 4 ALPHA 1",
                "Not enough arguments in LINEAR, specified 4 but provided only 2",
            ),
            ("SEARCH x VSIM @v $b FOO", "Unknown argument: `FOO`"),
            ("SEARCH x VSIM @v $b DIALECT 2", NO_DIALECT),
            (
                "SEARCH x VSIM @v $b EXPLAINSCORE GROUPBY 1 @a",
                "EXPLAINSCORE is not supported with GROUPBY",
            ),
        ];
        for (line, expected) in cases {
            with(line, |request| assert_eq!(request.map(|_| ()).unwrap_err(), expected, "{line}"));
        }
    }
}
