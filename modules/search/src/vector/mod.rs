//! Which documents have vectors near a given one?
//!
//! One store per VECTOR field of an index. It keeps each vector once, in blocks of slots; the documents' rows name their
//! slots in a column, a slot names the number of its document. FLAT looks at all slots (or at those of a filter), HNSW
//! walks a graph of slots. Blocks are shared by reference and copied when a writer meets a reader, so a copy of a store
//! is cheap and stays as it was.
//!
//! SVS-VAMANA is served by the graph of HNSW: its parameters are taken for their nearest kin there, and vectors are not
//! compressed.

pub mod element;
pub mod graph;
mod heap;
pub mod options;
pub mod store;

/// How a field's vectors are searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// All of them are looked at.
    Flat,
    /// Along a graph of near ones.
    Hnsw(GraphOptions),
    /// The same, under the name and with the parameters of RediSearch's third one.
    Vamana(GraphOptions, VamanaOptions),
}

/// Parameters of a graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphOptions {
    /// Links of a vector per layer; twice as many in the lowest.
    pub links: usize,
    /// How many candidates an insertion weighs.
    pub ef_construction: usize,
    /// How many candidates a search keeps.
    pub ef_runtime: usize,
    /// How much farther than its radius a range search looks.
    pub epsilon: f64,
}

/// What FT.INFO shows of SVS-VAMANA beyond that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VamanaOptions {
    /// Wanted, not done.
    pub compression: Option<&'static str>,
    /// GRAPH_MAX_DEGREE.
    pub degree: usize,
}

/// What the numbers of a vector are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ElementType {
    Float32,
    Float64,
    Float16,
    BFloat16,
    Int8,
    Uint8,
}

/// How far apart two vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The square of the straight distance.
    L2,
    /// One less the inner product.
    InnerProduct,
    /// One less the cosine of the angle.
    Cosine,
}

/// Definition of a VECTOR field.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How it is searched.
    pub algorithm: Algorithm,
    /// Type of the numbers.
    pub element: ElementType,
    /// How many numbers a vector has.
    pub dimensions: usize,
    /// How distances are measured.
    pub metric: Metric,
}

impl ElementType {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            ElementType::Float64 => 8,
            ElementType::Float32 => 4,
            ElementType::Float16 | ElementType::BFloat16 => 2,
            ElementType::Int8 | ElementType::Uint8 => 1,
        }
    }

    /// As FT.CREATE names it.
    pub fn name(self) -> &'static str {
        match self {
            ElementType::Float32 => "FLOAT32",
            ElementType::Float64 => "FLOAT64",
            ElementType::Float16 => "FLOAT16",
            ElementType::BFloat16 => "BFLOAT16",
            ElementType::Int8 => "INT8",
            ElementType::Uint8 => "UINT8",
        }
    }

    /// Appends a number of a JSON array as a hash would hold it; false if the type has no such number.
    pub fn write(self, number: f64, out: &mut Vec<u8>) -> bool {
        match self {
            ElementType::Float32 => out.extend((number as f32).to_le_bytes()),
            ElementType::Float64 => out.extend(number.to_le_bytes()),
            ElementType::Float16 => {
                out.extend(element::Half::from_f32(number as f32).0.to_le_bytes());
            }
            ElementType::BFloat16 => {
                out.extend(element::Brain::from_f32(number as f32).0.to_le_bytes());
            }
            ElementType::Int8 | ElementType::Uint8 => {
                let (min, max) = match self {
                    ElementType::Int8 => (-128.0, 127.0),
                    _ => (0.0, 255.0),
                };
                if number.fract() != 0.0 || !(min..=max).contains(&number) {
                    return false;
                }
                // Exact: it was just found to be a whole number of that range.
                out.push(if number < 0.0 { number as i8 as u8 } else { number as u8 });
            }
        }
        true
    }
}

impl Metric {
    /// As FT.CREATE names it.
    pub fn name(self) -> &'static str {
        match self {
            Metric::L2 => "L2",
            Metric::InnerProduct => "IP",
            Metric::Cosine => "COSINE",
        }
    }
}

impl Options {
    /// Bytes of one vector as clients write it.
    pub fn blob_bytes(&self) -> usize {
        self.dimensions * self.element.bytes()
    }

    /// The graph's parameters, if there is one.
    pub fn graph(&self) -> Option<&GraphOptions> {
        match &self.algorithm {
            Algorithm::Flat => None,
            Algorithm::Hnsw(options) | Algorithm::Vamana(options, _) => Some(options),
        }
    }

    /// Name of the algorithm, as FT.CREATE was given it.
    pub fn algorithm_name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Flat => "FLAT",
            Algorithm::Hnsw(_) => "HNSW",
            Algorithm::Vamana(..) => "SVS-VAMANA",
        }
    }
}
