//! Does what fuzzing once found stay fixed? Replays `fuzz/regressions/<target>/*` and `fuzz/seeds/<target>/*` through the
//! properties that the fuzz targets check, without libFuzzer.
//!
//! The targets `engine`, `dump_payload` and `rdb_file` are replayed beside their properties, in `src/commands/testing/`; those of
//! the modules in `modules/*/tests/fuzz_regressions.rs`.

#[path = "../fuzz/properties/acl.rs"]
mod acl;
#[path = "../fuzz/properties/aof_file.rs"]
mod aof_file;
#[path = "../fuzz/properties/config_file.rs"]
mod config_file;
#[path = "../fuzz/properties/function_text.rs"]
mod function_text;
#[path = "../fuzz/properties/glob.rs"]
mod glob;
#[path = "../fuzz/properties/listpack.rs"]
mod listpack;
#[path = "../fuzz/properties/number.rs"]
mod number;
#[path = "../fuzz/properties/replay.rs"]
mod replay;
#[path = "../fuzz/properties/resp_request.rs"]
mod resp_request;
#[path = "../fuzz/properties/resp_value.rs"]
mod resp_value;
#[path = "../fuzz/properties/script.rs"]
mod script;
#[path = "../fuzz/properties/script_cjson.rs"]
mod script_cjson;
#[path = "../fuzz/properties/script_cmsgpack.rs"]
mod script_cmsgpack;
#[path = "../fuzz/properties/script_pattern.rs"]
mod script_pattern;
#[path = "../fuzz/properties/script_struct.rs"]
mod script_struct;
#[path = "../fuzz/properties/vm.rs"]
mod vm;

use replay::replay;

#[test]
fn files_of_users() {
    replay("acl", acl::check);
}

#[test]
fn append_only_files() {
    replay("aof_file", aof_file::check);
}

#[test]
fn config_files() {
    replay("config_file", config_file::check);
}

#[test]
fn globs() {
    replay("glob", glob::check);
}

#[test]
fn listpacks() {
    replay("listpack", listpack::check);
}

#[test]
fn numbers() {
    replay("number", number::check);
}

#[test]
fn requests() {
    replay("resp_request", resp_request::check);
}

#[test]
fn replies() {
    replay("resp_value", resp_value::check);
}

#[test]
fn texts_of_libraries() {
    replay("function_text", function_text::check);
}

#[test]
fn scripts() {
    replay("script", script::check);
}

#[test]
fn cjson_texts() {
    replay("script_cjson", script_cjson::check);
}

#[test]
fn packed_messages() {
    replay("script_cmsgpack", script_cmsgpack::check);
}

#[test]
fn patterns() {
    replay("script_pattern", script_pattern::check);
}

#[test]
fn structs() {
    replay("script_struct", script_struct::check);
}
