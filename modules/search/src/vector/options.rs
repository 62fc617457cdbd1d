//! How are the arguments of a VECTOR field read?
//!
//! `ALGORITHM count (NAME value)...`; names, order of checks and texts are RediSearch's.

use crate::args::{Args, lossy, parse_number};
use crate::error::{ArgumentError, Error};
use crate::vector::{Algorithm, ElementType, GraphOptions, Metric, Options, VamanaOptions};

/// Bytes of one vector. A block of vectors is copied when a write meets a search.
pub const VECTOR_BYTES_MAX: usize = 1 << 20;
/// Links of a vector in the graph.
pub const LINKS_MAX: usize = 512;
/// Candidates of insertions and searches.
pub const CANDIDATES_MAX: usize = 1 << 20;
/// Vectors that SVS-VAMANA waits for before it compresses; fewer are refused.
const TRAINING_MIN: usize = 1024;

const HNSW: GraphOptions =
    GraphOptions { links: 16, ef_construction: 200, ef_runtime: 10, epsilon: 0.01 };
/// RediSearch's graph of SVS has 32 links of any one vector; ours has twice as many as are named.
const VAMANA: GraphOptions = GraphOptions { links: 16, ..HNSW };

const COMPRESSIONS: [&str; 6] = ["LVQ8", "LVQ4", "LVQ4x4", "LVQ4x8", "LeanVec4x8", "LeanVec8x8"];

/// What was given so far.
struct Given {
    name: &'static str,
    element: Option<ElementType>,
    dimensions: Option<usize>,
    metric: Option<Metric>,
    graph: GraphOptions,
    compression: Option<&'static str>,
    degree: usize,
    training: bool,
    reduce: bool,
}

/// Reads everything behind the word VECTOR.
pub fn parse(args: &mut Args<'_>) -> Result<Options, Error> {
    let algorithm = args.value("vector similarity algorithm")?;
    let (name, graph) = match algorithm.to_ascii_uppercase().as_slice() {
        b"FLAT" => ("FLAT", HNSW),
        b"HNSW" => ("HNSW", HNSW),
        b"SVS-VAMANA" => ("SVS-VAMANA", VAMANA),
        _ => return Err(bad("vector similarity algorithm", ArgumentError::Unknown)),
    };
    let mut given = Given {
        name,
        element: None,
        dimensions: None,
        metric: None,
        graph,
        compression: None,
        degree: 2 * VAMANA.links,
        training: false,
        reduce: false,
    };
    let words = count(args, "vector similarity number of parameters", 0)?;
    if words % 2 == 1 {
        return Err(Error::Formatted(odd_count(name, words)));
    }
    let mut read = 0;
    while read < words / 2 && !args.is_empty() {
        if !(given.common(args)? || given.of_graph(args)? || given.of_vamana(args)?) {
            let word = lossy(args.peek().unwrap_or_default());
            return Err(Error::Formatted(format!("Bad arguments for algorithm {name}: {word}")));
        }
        read += 1;
    }
    if read < words / 2 {
        let text = format!("Expected {words} parameters but got {}", read * 2);
        return Err(Error::Formatted(text));
    }
    given.finish()
}

fn bad(what: &str, why: ArgumentError) -> Error {
    Error::BadArgument(what.to_owned(), why)
}

fn odd_count(name: &str, words: usize) -> String {
    let but = match name {
        "HNSW" => "even number (as algorithm parameters should be submitted as named arguments)",
        _ => "even number as algorithm parameters (should be submitted as named arguments)",
    };
    format!("Bad number of arguments for vector similarity index: got {words} but expected {but}")
}

/// A count of at least `min`.
fn count(args: &mut Args<'_>, what: &str, min: usize) -> Result<usize, Error> {
    let count = args.integer(what)?;
    let count = usize::try_from(count).ok().filter(|count| *count >= min);
    count.ok_or_else(|| bad(what, ArgumentError::Limit))
}

impl Given {
    /// How an error names a parameter.
    fn parameter(&self, name: &str) -> String {
        format!("vector similarity {} index `{name}`", self.name)
    }

    fn count(&self, args: &mut Args<'_>, name: &str, max: usize) -> Result<usize, Error> {
        let what = self.parameter(name);
        let count = count(args, &what, 1)?;
        if count > max { Err(bad(&what, ArgumentError::Limit)) } else { Ok(count) }
    }

    /// One of some words.
    fn choice<T: Copy>(
        &self,
        args: &mut Args<'_>,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<T, Error> {
        let what = self.parameter(name);
        let word = args.value(&what)?;
        let found = choices.iter().find(|(choice, _)| word.eq_ignore_ascii_case(choice.as_bytes()));
        found.map(|(_, value)| *value).ok_or_else(|| bad(&what, ArgumentError::Unknown))
    }

    /// What all algorithms take.
    fn common(&mut self, args: &mut Args<'_>) -> Result<bool, Error> {
        if args.take("TYPE") {
            self.element = Some(self.element(args)?);
        } else if args.take("DIM") {
            self.dimensions = Some(self.count(args, "DIM", usize::MAX)?);
        } else if args.take("DISTANCE_METRIC") {
            let metrics =
                [("L2", Metric::L2), ("IP", Metric::InnerProduct), ("COSINE", Metric::Cosine)];
            self.metric = Some(self.choice(args, "DISTANCE_METRIC", &metrics)?);
        } else if self.name != "SVS-VAMANA" && args.take("INITIAL_CAP") {
            // Blocks grow with the vectors; a wish for memory beforehand has nothing to act on.
            count(args, &self.parameter("INITIAL_CAP"), 0)?;
        } else if self.name == "FLAT" && args.take("BLOCK_SIZE") {
            self.count(args, "BLOCK_SIZE", usize::MAX)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn element(&self, args: &mut Args<'_>) -> Result<ElementType, Error> {
        let all = [
            ElementType::Float32,
            ElementType::Float64,
            ElementType::Float16,
            ElementType::BFloat16,
            ElementType::Int8,
            ElementType::Uint8,
        ];
        let element = self.choice(args, "TYPE", &all.map(|element| (element.name(), element)))?;
        if self.name == "SVS-VAMANA"
            && !matches!(element, ElementType::Float32 | ElementType::Float16)
        {
            return Err(Error::Text(
                "Not supported data type is given. Expected: FLOAT16, FLOAT32",
            ));
        }
        Ok(element)
    }

    fn of_graph(&mut self, args: &mut Args<'_>) -> Result<bool, Error> {
        if self.name == "HNSW" && args.take("M") {
            self.graph.links = self.count(args, "M", LINKS_MAX)?;
        } else if self.name == "HNSW" && args.take("EF_CONSTRUCTION") {
            self.graph.ef_construction = self.count(args, "EF_CONSTRUCTION", CANDIDATES_MAX)?;
        } else if self.name == "HNSW" && args.take("EF_RUNTIME") {
            self.graph.ef_runtime = self.count(args, "EF_RUNTIME", CANDIDATES_MAX)?;
        } else if self.name != "FLAT" && args.take("EPSILON") {
            let what = self.parameter("EPSILON");
            let text = args.value(&what)?;
            let epsilon = parse_number(text).ok_or_else(|| bad(&what, ArgumentError::Parse))?;
            if epsilon < 0.0 {
                return Err(bad(&what, ArgumentError::Limit));
            }
            self.graph.epsilon = epsilon;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn of_vamana(&mut self, args: &mut Args<'_>) -> Result<bool, Error> {
        if self.name != "SVS-VAMANA" {
            return Ok(false);
        }
        if args.take("GRAPH_MAX_DEGREE") {
            self.degree = self.count(args, "GRAPH_MAX_DEGREE", 2 * LINKS_MAX)?;
            self.graph.links = self.degree.div_ceil(2);
        } else if args.take("CONSTRUCTION_WINDOW_SIZE") {
            self.graph.ef_construction =
                self.count(args, "CONSTRUCTION_WINDOW_SIZE", CANDIDATES_MAX)?;
        } else if args.take("SEARCH_WINDOW_SIZE") {
            self.graph.ef_runtime = self.count(args, "SEARCH_WINDOW_SIZE", CANDIDATES_MAX)?;
        } else if args.take("COMPRESSION") {
            let names = COMPRESSIONS.map(|name| (name, name));
            self.compression = Some(self.choice(args, "COMPRESSION", &names)?);
        } else if args.take("TRAINING_THRESHOLD") {
            if self.count(args, "TRAINING_THRESHOLD", usize::MAX)? < TRAINING_MIN {
                let text = "Invalid TRAINING_THRESHOLD: cannot be lower than DEFAULT_BLOCK_SIZE";
                return Err(Error::Formatted(format!("{text} ({TRAINING_MIN})")));
            }
            self.training = true;
        } else if args.take("REDUCE") {
            self.count(args, "REDUCE", usize::MAX)?;
            self.reduce = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn finish(self) -> Result<Options, Error> {
        let missing = |what| {
            let name = self.name;
            let text = "Missing mandatory parameter: cannot create";
            Error::Formatted(format!("{text} {name} index without specifying {what} argument"))
        };
        let element = self.element.ok_or_else(|| missing("TYPE"))?;
        let dimensions = self.dimensions.ok_or_else(|| missing("DIM"))?;
        let metric = self.metric.ok_or_else(|| missing("DISTANCE_METRIC"))?;
        if self.training && self.compression.is_none() {
            return Err(Error::Text(
                "TRAINING_THRESHOLD is irrelevant when compression was not requested",
            ));
        }
        if self.reduce && !self.compression.is_some_and(|name| name.starts_with("LeanVec")) {
            return Err(Error::Text(
                "REDUCE is irrelevant when compression is not of type LeanVec",
            ));
        }
        let bytes = dimensions.saturating_mul(element.bytes());
        if bytes > VECTOR_BYTES_MAX {
            return Err(Error::Formatted(format!(
                "Vector index element size {bytes} exceeded maximum size allowed by server limit which is {VECTOR_BYTES_MAX}"
            )));
        }
        let algorithm = match self.name {
            "FLAT" => Algorithm::Flat,
            "HNSW" => Algorithm::Hnsw(self.graph),
            _ => {
                let (compression, degree) = (self.compression, self.degree);
                Algorithm::Vamana(self.graph, VamanaOptions { compression, degree })
            }
        };
        Ok(Options { algorithm, element, dimensions, metric })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        let mut args = Args::new(&words);
        let options = parse(&mut args).map_err(|error| error.to_string());
        assert!(options.is_err() || args.is_empty(), "{line}");
        options
    }

    #[test]
    fn definitions_are_read() {
        let options = read("flat 6 TYPE float32 DIM 4 DISTANCE_METRIC cosine").unwrap();
        assert_eq!((options.algorithm, options.dimensions), (Algorithm::Flat, 4));
        assert_eq!((options.metric, options.blob_bytes()), (Metric::Cosine, 16));
        let options = read(
            "HNSW 16 TYPE FLOAT64 DIM 2 DISTANCE_METRIC L2 INITIAL_CAP 10 M 40 EF_CONSTRUCTION 250 \
             EF_RUNTIME 20 EPSILON 0.8",
        );
        let graph = GraphOptions { links: 40, ef_construction: 250, ef_runtime: 20, epsilon: 0.8 };
        assert_eq!(options.unwrap().algorithm, Algorithm::Hnsw(graph));
        let options = read(
            "SVS-VAMANA 12 TYPE FLOAT16 DIM 8 DISTANCE_METRIC IP COMPRESSION LeanVec8x8 REDUCE 4 \
             TRAINING_THRESHOLD 2048",
        );
        assert_eq!(options.unwrap().algorithm_name(), "SVS-VAMANA");
    }

    #[test]
    fn errors_are_those_of_redisearch() {
        let cases = [
            (
                "",
                "Bad arguments for vector similarity algorithm: Expected an argument, but none provided",
            ),
            ("SORT 0", "Bad arguments for vector similarity algorithm: Unknown argument"),
            (
                "FLAT",
                "Bad arguments for vector similarity number of parameters: Expected an argument, but none provided",
            ),
            (
                "FLAT x",
                "Bad arguments for vector similarity number of parameters: Could not convert argument to expected type",
            ),
            (
                "FLAT 5 TYPE",
                "Bad number of arguments for vector similarity index: got 5 but expected even number as algorithm parameters (should be submitted as named arguments)",
            ),
            ("FLAT 2 M 16", "Bad arguments for algorithm FLAT: M"),
            (
                "HNSW 2 TYPE INT32",
                "Bad arguments for vector similarity HNSW index `TYPE`: Unknown argument",
            ),
            (
                "HNSW 2 DIM 0",
                "Bad arguments for vector similarity HNSW index `DIM`: Value is outside acceptable bounds",
            ),
            (
                "HNSW 2 M 513",
                "Bad arguments for vector similarity HNSW index `M`: Value is outside acceptable bounds",
            ),
            ("FLAT 6 TYPE FLOAT32 DIM 2", "Expected 6 parameters but got 4"),
            (
                "FLAT 4 TYPE FLOAT32 DIM 2",
                "Missing mandatory parameter: cannot create FLAT index without specifying DISTANCE_METRIC argument",
            ),
            (
                "FLAT 6 TYPE FLOAT64 DIM 1000000 DISTANCE_METRIC L2",
                "Vector index element size 8000000 exceeded maximum size allowed by server limit which is 1048576",
            ),
            (
                "SVS-VAMANA 2 TYPE INT8",
                "Not supported data type is given. Expected: FLOAT16, FLOAT32",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn json_numbers_become_elements() {
        let write = |element: ElementType, number| {
            let mut bytes = Vec::new();
            element.write(number, &mut bytes).then_some(bytes)
        };
        assert_eq!(write(ElementType::Int8, -1.0), Some(vec![255]));
        assert_eq!(write(ElementType::Uint8, 255.0), Some(vec![255]));
        assert_eq!(write(ElementType::Uint8, -1.0), None);
        assert_eq!(write(ElementType::Int8, 1.5), None);
        assert_eq!(write(ElementType::BFloat16, 1.0), Some(vec![0x80, 0x3f]));
        assert_eq!(write(ElementType::Float32, 1.0), Some(vec![0, 0, 0x80, 0x3f]));
    }
}
