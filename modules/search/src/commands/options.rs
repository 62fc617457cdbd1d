//! How are the options of FT.SEARCH read?

use crate::args::{Args, lossy, named_fields, parse_integer, parse_number};
use crate::commands::excerpts::Excerpts;
use crate::error::{ArgumentError, Error};
use crate::geo::Circle;
use crate::index::search::SORT_KEYS_MAX;
use crate::query::ast::Range;
use crate::query::expand::Expander;
use crate::query::parser::Parameters;
use crate::score::Scorer;
use crate::settings;

/// The newest grammar.
const DIALECT_MAX: i64 = 4;

/// What stands behind the query.
#[derive(Debug)]
pub struct Options<'a> {
    /// Only keys are wanted.
    pub no_content: bool,
    /// Words are not stemmed.
    pub verbatim: bool,
    /// What else words are looked up as.
    pub expander: Expander,
    /// Stop words count as words.
    pub no_stop_words: bool,
    /// Scores are wanted.
    pub with_scores: bool,
    /// Payloads are wanted; there are none.
    pub with_payloads: bool,
    /// The values that decide the order are wanted.
    pub with_sort_keys: bool,
    /// Which fields are wanted, and under which names; all if not given.
    pub fields: Option<Vec<Returned<'a>>>,
    /// Only these keys.
    pub in_keys: Option<&'a [&'a [u8]]>,
    /// Words count in these fields only.
    pub in_fields: Option<&'a [&'a [u8]]>,
    /// How many other words may stand between the query's.
    pub slop: Option<i64>,
    /// The words must stand in the query's order.
    pub in_order: bool,
    /// Language of the query's words.
    pub language: Option<&'a [u8]>,
    /// The formula.
    pub scorer: Scorer,
    /// The field that decides the order, and whether the greatest comes first.
    pub sort: Option<(&'a [u8], bool)>,
    /// Further fields, each for where those before it are equal.
    pub sort_more: Vec<(&'a [u8], bool)>,
    /// How many results to leave out.
    pub offset: usize,
    /// How many results to give.
    pub limit: usize,
    /// How long the query may take, in milliseconds, if it says so; 0 is for ever.
    pub timeout_ms: Option<u64>,
    /// What happens to the texts of the reply.
    pub excerpts: Excerpts<'a>,
    /// Scores are explained.
    pub explain_score: bool,
    /// What the scorer HAMMING compares documents' payloads with.
    pub payload: Option<&'a [u8]>,
    /// Values of `$name`.
    pub parameters: Parameters,
    /// Which grammar.
    pub dialect: u32,
    /// Intervals of numeric fields, in addition to the query's clauses.
    pub filters: Vec<(&'a [u8], Range)>,
    /// Circles of geographic fields, likewise.
    pub geo_filters: Vec<(&'a [u8], Circle)>,
}

/// A field that the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned<'a> {
    /// Where its value is found: a field of the schema, of the hash, or a JSON path.
    pub path: &'a [u8],
    /// How it is called in the reply.
    pub name: &'a [u8],
}

/// Clauses that FILTER and GEOFILTER may add: each is a level of the query's tree.
const FILTERS_MAX: usize = 100;

/// Reads everything behind the query.
pub fn read<'a>(items: &'a [&'a [u8]]) -> Result<Options<'a>, Error> {
    let mut args = Args::new(items);
    let mut options = Options::none();
    while !args.is_empty() {
        if !options.take(&mut args)? {
            let place = items.len() - args.len() + 1;
            let word = lossy(args.peek().unwrap_or_default());
            return Err(Error::UnknownArgumentAt(word, place));
        }
    }
    if options.filters.len() + options.geo_filters.len() > FILTERS_MAX {
        return Err(Error::Text("Too many FILTER and GEOFILTER arguments, at most 100"));
    }
    if options.explain_score && !options.with_scores {
        return Err(Error::Text("EXPLAINSCORE must be accompanied with WITHSCORES"));
    }
    Ok(options)
}

impl<'a> Options<'a> {
    /// What holds where nothing else is said.
    pub fn none() -> Options<'a> {
        Options {
            no_content: false,
            verbatim: false,
            no_stop_words: false,
            with_scores: false,
            with_payloads: false,
            with_sort_keys: false,
            fields: None,
            in_keys: None,
            in_fields: None,
            slop: None,
            in_order: false,
            language: None,
            expander: Expander::default(),
            scorer: settings::default_scorer(),
            sort: None,
            sort_more: Vec::new(),
            offset: 0,
            limit: 10,
            timeout_ms: None,
            excerpts: Excerpts::default(),
            explain_score: false,
            payload: None,
            parameters: Parameters::new(),
            dialect: settings::default_dialect(),
            filters: Vec::new(),
            geo_filters: Vec::new(),
        }
    }

    /// Reads one option, if one stands here.
    pub fn take(&mut self, args: &mut Args<'a>) -> Result<bool, Error> {
        Ok(self.flag(args)? || self.valued(args)? || self.listed(args)?)
    }

    /// Options without a value.
    fn flag(&mut self, args: &mut Args<'a>) -> Result<bool, Error> {
        if args.take("NOCONTENT") {
            self.no_content = true;
        } else if args.take("VERBATIM") {
            self.verbatim = true;
        } else if args.take("NOSTOPWORDS") {
            self.no_stop_words = true;
        } else if args.take("WITHSCORES") {
            self.with_scores = true;
        } else if args.take("WITHPAYLOADS") {
            self.with_payloads = true;
        } else if args.take("WITHSORTKEYS") {
            self.with_sort_keys = true;
        } else if args.take("INORDER") {
            self.in_order = true;
        } else if args.take("WITHCOUNT") || args.take("WITHOUTCOUNT") {
            // The exact count costs nothing extra here, so it is always given.
        } else if args.take("EXPLAINSCORE") {
            self.explain_score = true;
        } else if args.take("ADDSCORES") {
            return Err(Error::Text("ADDSCORES is not supported on FT.SEARCH"));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Options with one or a few values.
    fn valued(&mut self, args: &mut Args<'a>) -> Result<bool, Error> {
        if args.take("LIMIT") {
            (self.offset, self.limit) = limit(args)?;
        } else if args.take("SORTBY") {
            self.sort(args)?;
        } else if args.take("SLOP") {
            self.slop = Some(args.integer("SLOP")?);
        } else if args.take("LANGUAGE") {
            self.language = Some(args.value("LANGUAGE")?);
        } else if args.take("SCORER") {
            self.scorer = Scorer::find(args.value("SCORER")?)?;
        } else if args.take("EXPANDER") {
            self.expander = Expander::find(args.value("EXPANDER")?)?;
        } else if args.take("PAYLOAD") {
            self.payload = Some(args.value("PAYLOAD")?);
        } else if args.take("TIMEOUT") {
            self.timeout_ms = Some(timeout(args)?);
        } else if args.take("DIALECT") {
            self.dialect = dialect(args)?;
        } else if args.take("FORMAT") {
            format(args)?;
        } else if args.take("FILTER") {
            self.filters.push(filter(args)?);
        } else if args.take("GEOFILTER") {
            self.geo_filters.push(geo_filter(args)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Options with a counted list.
    fn listed(&mut self, args: &mut Args<'a>) -> Result<bool, Error> {
        if args.take("RETURN") {
            let list = args.list("RETURN")?;
            self.fields = Some(returned(list)?);
        } else if args.take("INKEYS") {
            self.in_keys = Some(args.list("INKEYS")?);
        } else if args.take("INFIELDS") {
            self.in_fields = Some(args.list("INFIELDS")?);
        } else if args.take("HIGHLIGHT") {
            self.excerpts.highlight(args)?;
        } else if args.take("SUMMARIZE") {
            self.excerpts.summarize(args)?;
        } else if args.take("PARAMS") {
            let list = args.list("PARAMS")?;
            parameters(&mut self.parameters, list)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn sort(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        if self.sort_more.len() + 1 == SORT_KEYS_MAX {
            return Err(Error::Text("SORTBY names too many fields"));
        }
        let field = args.next_arg().ok_or(Error::Text("Bad SORTBY arguments"))?;
        let descending = args.take("DESC");
        if !descending {
            args.take("ASC");
        }
        if args.take("MAX") {
            return Err(Error::Text("SORTBY MAX is not supported by FT.SEARCH"));
        }
        match self.sort {
            None => self.sort = Some((field, descending)),
            Some(_) => self.sort_more.push((field, descending)),
        }
        Ok(())
    }
}

/// How many results to leave out and how many to give.
pub fn limit(args: &mut Args<'_>) -> Result<(usize, usize), Error> {
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
    let max = settings::size(&settings::MAX_SEARCH_RESULTS) as u64;
    if limit > max {
        return Err(Error::LimitTooLarge(max));
    }
    if offset > max {
        return Err(Error::OffsetTooLarge(max));
    }
    let small = |number| usize::try_from(number).expect("below the limit");
    Ok((small(offset), small(limit)))
}

/// Takes in pairs of names and values.
pub fn parameters(all: &mut Parameters, list: &[&[u8]]) -> Result<(), Error> {
    if !list.len().is_multiple_of(2) || list.is_empty() {
        return Err(Error::Text("Parameters must be specified in PARAM VALUE pairs"));
    }
    for pair in list.chunks_exact(2) {
        if all.insert(pair[0].to_vec(), pair[1].to_vec()).is_some() {
            return Err(Error::DuplicateParameter(lossy(pair[0])));
        }
    }
    Ok(())
}

/// `field [AS name]...` as RETURN has it.
fn returned<'a>(list: &'a [&'a [u8]]) -> Result<Vec<Returned<'a>>, Error> {
    let pairs = named_fields(
        list,
        "RETURN path AS name - must be accompanied with NAME",
        "Alias for RETURN cannot be `AS`",
    )?;
    let named = |(path, name): (_, Option<_>)| Returned { path, name: name.unwrap_or(path) };
    Ok(pairs.into_iter().map(named).collect())
}

/// The value of DIALECT.
pub fn dialect(args: &mut Args<'_>) -> Result<u32, Error> {
    let value = args.next_arg().ok_or(Error::Text("Need an argument for DIALECT"))?;
    let dialect = parse_integer(value).filter(|dialect| (1..=DIALECT_MAX).contains(dialect));
    let dialect = dialect.and_then(|dialect| u32::try_from(dialect).ok());
    dialect.ok_or(Error::Text("DIALECT requires a non negative integer >=1 and <= 4"))
}

fn timeout(args: &mut Args<'_>) -> Result<u64, Error> {
    let value = args.next_arg().ok_or(Error::Text("Need argument for TIMEOUT"))?;
    let ms = parse_integer(value).and_then(|ms| u64::try_from(ms).ok());
    ms.ok_or(Error::Text("TIMEOUT requires a non negative integer"))
}

fn format(args: &mut Args<'_>) -> Result<(), Error> {
    let value = args.next_arg().ok_or(Error::Text("Need an argument for FORMAT"))?;
    if value.eq_ignore_ascii_case(b"STRING") {
        return Ok(());
    }
    if value.eq_ignore_ascii_case(b"EXPAND") {
        return Err(Error::Unsupported("FORMAT EXPAND".to_owned()));
    }
    Err(Error::InvalidFormat(lossy(value)))
}

/// `field min max`, each bound with `(` in front if it is outside itself.
fn filter<'a>(args: &mut Args<'a>) -> Result<(&'a [u8], Range), Error> {
    if args.len() < 3 {
        return Err(Error::Text("FILTER requires 3 arguments"));
    }
    let field = args.value("FILTER")?;
    let mut bound = |which: &str| {
        let text = args.value("FILTER")?;
        let (digits, exclusive) = match text.strip_prefix(b"(") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let number = parse_number(digits)
            .ok_or_else(|| Error::BadArgument(format!("{which} range"), ArgumentError::Parse))?;
        Ok::<_, Error>((number, exclusive))
    };
    let (min, min_exclusive) = bound("lower")?;
    let (max, max_exclusive) = bound("upper")?;
    Ok((field, Range { min, max, min_exclusive, max_exclusive }))
}

/// `field lon lat radius unit`.
fn geo_filter<'a>(args: &mut Args<'a>) -> Result<(&'a [u8], Circle), Error> {
    if args.len() < 5 {
        return Err(Error::Text("GEOFILTER requires 5 arguments"));
    }
    let field = args.value("<geo property>")?;
    let (lon, lat) = (args.number("<lon>")?, args.number("<lat>")?);
    let radius = args.number("<radius>")?;
    let unit = args.value("<unit>")?;
    if crate::geo::unit_metres(unit).is_none() {
        return Err(Error::Formatted(crate::geo::unknown_unit(unit)));
    }
    Ok((field, Circle::new(lon, lat, radius, unit).map_err(Error::Text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        read(&words).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn options_are_read_in_any_order() {
        let line = "NOCONTENT LIMIT 5 20 SORTBY n DESC RETURN 4 a AS b c INKEYS 1 k PARAMS 2 x 1 DIALECT 2 \
                    FILTER n (1 inf SLOP 2 WITHSCORES SCORER TFIDF";
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        let options = read(&words).unwrap();
        assert_eq!((options.offset, options.limit, options.dialect), (5, 20, 2));
        assert_eq!(options.sort, Some((&b"n"[..], true)));
        assert_eq!(
            options.fields,
            Some(vec![Returned { path: b"a", name: b"b" }, Returned { path: b"c", name: b"c" }])
        );
        assert!(options.filters[0].1.min_exclusive && options.filters[0].1.max == f64::INFINITY);
        assert_eq!(options.scorer, Scorer::TfIdf);
    }

    #[test]
    fn errors_are_those_of_redisearch() {
        let cases = [
            ("LIMIT 5", "LIMIT requires two arguments"),
            ("LIMIT a b", "LIMIT needs two numeric arguments"),
            ("LIMIT 5 0", "The `offset` of the LIMIT must be 0 when `num` is 0"),
            ("LIMIT 0 1000001", "LIMIT exceeds maximum of 1000000"),
            ("PARAMS 1 a", "Parameters must be specified in PARAM VALUE pairs"),
            ("PARAMS 4 a 1 a 2", "Duplicate parameter `a`"),
            ("DIALECT 9", "DIALECT requires a non negative integer >=1 and <= 4"),
            ("RETURN 2 a", "Bad arguments for RETURN: Expected an argument, but none provided"),
            ("RETURN 2 a AS", "RETURN path AS name - must be accompanied with NAME"),
            (
                "SORTBY a SORTBY b SORTBY c SORTBY d SORTBY e SORTBY f SORTBY g SORTBY h SORTBY i",
                "SORTBY names too many fields",
            ),
            ("NOCONTENT FOO", "Unknown argument `FOO` at position 2 for <main>"),
            ("GEOFILTER g 1 2", "GEOFILTER requires 5 arguments"),
            ("GEOFILTER g 1 2 3 furlong", "Unknown distance unit furlong"),
            (
                "GEOFILTER g x 2 3 km",
                "Bad arguments for <lon>: Could not convert argument to expected type",
            ),
            ("SUMMARIZE LEN x", "Bad arguments for SUMMARIZE"),
            ("HIGHLIGHT TAGS <i>", "Bad arguments for HIGHLIGHT"),
            ("EXPLAINSCORE", "EXPLAINSCORE must be accompanied with WITHSCORES"),
        ];
        for (line, expected) in cases {
            assert_eq!(error(line), expected);
        }
    }
}
