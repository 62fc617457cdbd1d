//! Does what fuzzing once found stay fixed? Replays the kept inputs of `fuzz/`; see `tests/fuzz_regressions.rs` of the server.

#[path = "../../../fuzz/properties/replay.rs"]
mod replay;
#[path = "../../../fuzz/properties/search_aggregate.rs"]
mod search_aggregate;
#[path = "../../../fuzz/properties/search_expression.rs"]
mod search_expression;
#[path = "../../../fuzz/properties/search_pieces.rs"]
mod search_pieces;
#[path = "../../../fuzz/properties/search_query.rs"]
mod search_query;
#[path = "../../../fuzz/properties/search_schema.rs"]
mod search_schema;
#[path = "../../../fuzz/properties/search_segments.rs"]
mod search_segments;

use replay::replay;

#[test]
fn aggregations() {
    replay("search_aggregate", search_aggregate::check);
}

#[test]
fn expressions() {
    replay("search_expression", search_expression::check);
}

#[test]
fn queries() {
    replay("search_query", search_query::check);
}

#[test]
fn schemas() {
    replay("search_schema", search_schema::check);
}

#[test]
fn segments() {
    replay("search_segments", search_segments::check);
}
