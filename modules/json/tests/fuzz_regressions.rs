//! Does what fuzzing once found stay fixed? Replays the kept inputs of `fuzz/`; see `tests/fuzz_regressions.rs` of the server.

#[path = "../../../fuzz/properties/json_codec.rs"]
mod json_codec;
#[path = "../../../fuzz/properties/json_path.rs"]
mod json_path;
#[path = "../../../fuzz/properties/json_rdb.rs"]
mod json_rdb;
#[path = "../../../fuzz/properties/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn documents() {
    replay("json_codec", json_codec::check);
}

#[test]
fn paths() {
    replay("json_path", json_path::check);
}

#[test]
fn saved_documents() {
    replay("json_rdb", json_rdb::check);
}
