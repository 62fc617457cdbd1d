//! Can any bytes be read as files of segments without harm?
//!
//! Input: a byte that chooses the kind of file, then the file, without checksums. Properties: reading does not panic and takes no
//! more memory than a small multiple of the input; what was read is written and read again as the same; vectors that were
//! read can be searched and removed.

use std::sync::{Arc, LazyLock};

use mortise_search::index::sealed::codec;
use mortise_search::schema::Schema;
use mortise_search::schema::parse::create;
use mortise_search::storage::codec::{Decoder, Encoder};
use mortise_search::storage::manifest::Manifest;
use mortise_search::vector::store::{Clock, Store, Wanted};

const SCHEMA: &str = "SCHEMA t TEXT SORTABLE n NUMERIC g GEO s GEOSHAPE FLAT \
    h VECTOR HNSW 8 TYPE INT8 DIM 2 DISTANCE_METRIC L2 M 2 \
    f VECTOR FLAT 6 TYPE FLOAT16 DIM 1 DISTANCE_METRIC COSINE";

static SCHEMA_READ: LazyLock<Schema> = LazyLock::new(|| {
    let words: Vec<&[u8]> = SCHEMA.split_ascii_whitespace().map(str::as_bytes).collect();
    create(b"idx", &words).expect("the schema is one")
});

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    match choice % 4 {
        0 => manifest(file),
        1 => drop(codec::check(file, &SCHEMA_READ.columns())),
        field => vectors(file, usize::from(field - 2)),
    }
}

fn manifest(file: &[u8]) {
    let Ok(manifest) = Manifest::decode(&mut Decoder::new(file)) else { return };
    let bytes = manifest.to_bytes().expect("memory takes all");
    let again = Manifest::of_bytes(&bytes).expect("our own is right");
    assert_eq!(format!("{manifest:?}"), format!("{again:?}"));
    assert!(manifest.files().count() <= file.len());
}

fn vectors(file: &[u8], field: usize) {
    let (_, options) = SCHEMA_READ.vector_fields().nth(field).expect("there are two");
    let Ok(mut store) = Store::decode(file, Arc::clone(options)) else { return };
    let mut bytes = Vec::new();
    store.encode(&mut Encoder::new(&mut bytes)).expect("memory takes all");
    let again = Store::decode(&bytes, Arc::clone(options)).expect("our own is right");
    assert_eq!(again.len(), store.len());
    let wanted = Wanted { vector: &[1, 2], k: 3, ef: None, slots: None };
    assert!(store.nearest(&wanted, &mut Clock::never()).len() <= 3);
    let slots = u32::try_from(file.len()).expect("inputs are short");
    let used: Vec<u32> = (0..slots).filter(|slot| store.number_of(*slot).is_some()).collect();
    used.into_iter().for_each(|slot| store.remove(slot));
    assert!(store.is_empty());
}
