//! What does a key hold whose payload was taken over though something is wrong with it? The bytes as they came.
//!
//! With `sanitize-dump-payload no` only the frames of compact forms are checked, as Redis does it, which takes what
//! is wrong inside them over and goes down at the first look. Here the payload is kept without being made a value
//! (`rdb/unchecked.rs`): it can be moved, copied, saved and deleted, and whoever wants to look inside is refused.
//! See docs/decisions/0020-unchecked-values.md.
//!
//! Invariant: nothing ever reads the bytes but to write them elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the payload would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types of values")]
pub enum Collection {
    List,
    Set,
    Zset,
    Hash,
    Stream,
}

impl Collection {
    /// What TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Set => "set",
            Self::Zset => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }
}

/// What is wrong with a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What loading found, where Redis would miss an assertion.
    Assertion(Box<str>),
    /// A stream that says it has so many entries, and has none when it is read from its end: a panic of Redis with
    /// words of its own.
    NoLastId(u64),
}

/// A payload; see the top of this file.
#[derive(Debug)]
pub struct Unchecked {
    collection: Collection,
    encoding: &'static str,
    /// The byte that leads it in RDB files, and what stands behind that.
    kind: u8,
    payload: Arc<[u8]>,
    trouble: Trouble,
    /// The log has it.
    is_reported: AtomicBool,
}

impl Clone for Unchecked {
    fn clone(&self) -> Self {
        Self {
            payload: Arc::clone(&self.payload),
            trouble: self.trouble.clone(),
            is_reported: AtomicBool::new(self.is_reported.load(Ordering::Relaxed)),
            ..*self
        }
    }
}

impl Unchecked {
    /// A payload of this kind.
    pub fn new(
        collection: Collection,
        encoding: &'static str,
        kind: u8,
        payload: &[u8],
        trouble: Trouble,
    ) -> Self {
        let is_reported = AtomicBool::new(false);
        Self { collection, encoding, kind, payload: payload.into(), trouble, is_reported }
    }

    /// What it would be.
    pub fn collection(&self) -> Collection {
        self.collection
    }

    /// What OBJECT ENCODING says: that of the payload.
    pub fn encoding(&self) -> &'static str {
        self.encoding
    }

    /// The byte that leads the payload in RDB files.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The payload behind its kind.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What is wrong with it.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Whether nobody has asked this before: each is reported once, so that its readers cannot fill the log.
    pub fn is_news(&self) -> bool {
        !self.is_reported.swap(true, Ordering::Relaxed)
    }

    /// Allocated bytes.
    pub fn memory_bytes(&self) -> usize {
        let text = match &self.trouble {
            Trouble::Assertion(text) => text.len(),
            Trouble::NoLastId(_) => 0,
        };
        size_of::<Self>() + 2 * size_of::<usize>() + self.payload.len() + text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_reported_by_itself_unless_it_was_before() {
        let trouble = Trouble::Assertion("wrong".into());
        let one = Unchecked::new(Collection::Set, "intset", 11, b"payload", trouble);
        let early = one.clone();
        assert!(one.is_news() && !one.is_news());
        assert!(!one.clone().is_news());
        assert!(early.is_news());
        assert_eq!((early.payload(), early.kind()), (&b"payload"[..], 11));
    }
}
