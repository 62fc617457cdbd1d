//! The same documents as one fresh batch and in sealed segments, for properties that compare the two.

use std::sync::Arc;

use mortise_search::index::{Index, Work};
use mortise_search::schema::Schema;
use mortise_search::schema::parse::create;

/// An index that is one fresh batch, and one that is sealed behind every third document.
pub struct Pieces {
    pub schema: Arc<Schema>,
    pub fresh: Index,
    pub sealed: Index,
}

impl Pieces {
    /// Of so many documents, which `put` puts in by number.
    pub fn new(schema: &str, documents: usize, put: impl Fn(&mut Index, usize)) -> Pieces {
        let words: Vec<&[u8]> = schema.split_ascii_whitespace().map(str::as_bytes).collect();
        let schema = Arc::new(create(b"idx", &words).expect("the schema is one"));
        let mut fresh = Index::new(Arc::clone(&schema), Work::Inline);
        let mut sealed = Index::new(Arc::clone(&schema), Work::Inline);
        for number in 0..documents {
            put(&mut fresh, number);
            put(&mut sealed, number);
            if number % 3 == 2 {
                // A schema with more fields seals what came under the one before.
                sealed.alter(Arc::clone(&schema));
                sealed.finish_jobs();
            }
        }
        Pieces { schema, fresh, sealed }
    }
}
