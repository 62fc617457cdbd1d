//! Payloads: bytes that a document carries for scorers and clients, in a field that FT.CREATE names.
//!
//! They are read from the keys when they are asked for, so the index keeps no copy.

use std::ops::ControlFlow;

use mortise_module::{Context, Error};

use crate::commands::loading::Reach;
use crate::commands::options::Options;
use crate::commands::search::{deadline, load_one};
use crate::index::search::Found;
use crate::schema::Schema;

/// The payload of a key.
pub fn payload(
    ctx: &mut Context<'_>,
    schema: &Schema,
    key: &[u8],
    options: &Options<'_>,
) -> Option<Vec<u8>> {
    let path = schema.payload_field.as_ref()?;
    load_one(ctx, schema, key, path, options.dialect)
}

/// Scores all that was found by the scorer HAMMING, puts it in order, and drops what is not on the page. False: the time was
/// over before that.
pub fn score_by_payload(
    reach: &mut Reach<'_, '_>,
    schema: &Schema,
    found: &mut Found,
    options: &Options<'_>,
) -> Result<bool, Error> {
    let wanted = options.payload.unwrap_or_default();
    let mut deadline = deadline(options.timeout_ms);
    reach.each(schema.db, found.hits.len(), |ctx, at| {
        if deadline.long_step() {
            return ControlFlow::Break(());
        }
        let hit = &mut found.hits[at];
        let own = payload(ctx, schema, &hit.key, options);
        hit.score = own.map_or(0.0, |own| hamming(&own, wanted));
        ControlFlow::Continue(())
    })?;
    found.hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.number.cmp(&b.number)));
    found.hits.truncate(options.offset.saturating_add(options.limit));
    found.hits.drain(..options.offset.min(found.hits.len()));
    Ok(!deadline.passed())
}

/// How near two texts of one length are: 1 if they are equal, less for each bit that differs.
fn hamming(a: &[u8], b: &[u8]) -> f64 {
    if a.len() != b.len() || a.is_empty() {
        return 0.0;
    }
    let bits: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum();
    1.0 / (f64::from(bits) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearness_counts_bits() {
        assert_eq!(hamming(b"aaaa", b"aaaa"), 1.0);
        assert_eq!(hamming(b"a", b"c"), 0.5);
        assert_eq!(hamming(b"a", b"aa"), 0.0);
        assert_eq!(hamming(b"", b""), 0.0);
    }
}
