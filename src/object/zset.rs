//! How is a sorted set held?

/// A sorted set.
#[derive(Clone, Debug, Default)]
pub struct Zset {}

impl Zset {
    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        "listpack"
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there is none: the key must then go.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Allocated bytes, without this struct itself.
    pub fn memory_bytes(&self) -> usize {
        0
    }
}
