//! What does COMMAND DOCS say of the JSON.* commands, and which permissions do their keys need?
//!
//! Arguments are named as RedisJSON names them (tests/docs.txt), because clients complete what people type by it; what
//! only we take follows. The declarations of the commands use these constants.

use mortise_module::{Access, ArgSpec, KeySpec};

/// What most commands cost.
pub(crate) const BY_PATH: &str = "O(1) if the path names one value, O(N) with N the size of the document if it has to be searched";

/// One document of which only a kind, a length or a size is told.
pub(crate) const PEEK: &[KeySpec] = &[KeySpec::at(1, Access::Peek)];
/// The same, behind the name of a subcommand.
pub(crate) const PEEK_SECOND: &[KeySpec] = &[KeySpec::at(2, Access::Peek)];
/// One document that is changed, and returned in part.
pub(crate) const READ_UPDATE: &[KeySpec] = &[KeySpec::at(1, Access::ReadUpdate)];
/// One document that is added to.
pub(crate) const INSERT: &[KeySpec] = &[KeySpec::at(1, Access::Insert)];
/// One document that is made smaller.
pub(crate) const DELETE: &[KeySpec] = &[KeySpec::at(1, Access::Delete)];
/// One document that is made smaller, where what goes is returned.
pub(crate) const READ_DELETE: &[KeySpec] = &[KeySpec::at(1, Access::ReadDelete)];

const KEY: ArgSpec = ArgSpec::key("key");
const PATH: ArgSpec = ArgSpec::string("path");
const JSON: ArgSpec = ArgSpec::string("json");

/// What makes the parents that are missing; ours alone.
const CREATE: ArgSpec = ArgSpec::flag("create", "CREATE")
    .optional()
    .about("Makes what the path names and the document lacks.");

/// How a value that comes in is written.
const FORMAT_IN: ArgSpec = ArgSpec::block(
    "format",
    &[ArgSpec::one_of(
        "format-token",
        &[ArgSpec::flag("STRING", "STRING"), ArgSpec::flag("JSON", "JSON")],
    )],
)
.token("FORMAT")
.optional();

/// JSON.SET
pub(crate) const SET: &[ArgSpec] = &[
    KEY,
    PATH,
    JSON,
    ArgSpec::one_of("condition", &[ArgSpec::flag("nx", "NX"), ArgSpec::flag("xx", "XX")])
        .optional(),
    ArgSpec::block(
        "fpha",
        &[ArgSpec::one_of(
            "fpha-type",
            &[
                ArgSpec::flag("BF16", "BF16"),
                ArgSpec::flag("FP16", "FP16"),
                ArgSpec::flag("FP32", "FP32"),
                ArgSpec::flag("FP64", "FP64"),
            ],
        )],
    )
    .token("FPHA")
    .optional(),
    FORMAT_IN,
    CREATE,
];

/// JSON.MSET
pub(crate) const MSET: &[ArgSpec] = &[ArgSpec::block("triplet", &[KEY, PATH, JSON]).multiple()];

/// JSON.MERGE
pub(crate) const MERGE: &[ArgSpec] = &[KEY, PATH, JSON, FORMAT_IN, CREATE];

/// A key and perhaps a path: what most commands take.
pub(crate) const ONE_PLACE: &[ArgSpec] = &[KEY, PATH.optional()];

/// JSON.TOGGLE
pub(crate) const TOGGLE: &[ArgSpec] = &[KEY, PATH];

/// JSON.NUMINCRBY, JSON.NUMMULTBY and JSON.NUMPOWBY
pub(crate) const NUMBER: &[ArgSpec] = &[KEY, PATH, ArgSpec::double("number"), CREATE];

/// JSON.STRAPPEND
pub(crate) const STRAPPEND: &[ArgSpec] =
    &[KEY, PATH.optional(), ArgSpec::string("json-string"), CREATE];

/// JSON.ARRAPPEND
pub(crate) const ARRAPPEND: &[ArgSpec] = &[KEY, PATH, JSON.multiple(), CREATE];

/// JSON.ARRINSERT
pub(crate) const ARRINSERT: &[ArgSpec] = &[KEY, PATH, ArgSpec::integer("index"), JSON.multiple()];

/// JSON.ARRPOP
pub(crate) const ARRPOP: &[ArgSpec] = &[
    KEY,
    ArgSpec::block(
        "format",
        &[ArgSpec::one_of(
            "format-token",
            &[
                ArgSpec::flag("STRINGS", "STRINGS"),
                ArgSpec::flag("EXPAND1", "EXPAND1"),
                ArgSpec::flag("EXPAND", "EXPAND"),
            ],
        )],
    )
    .token("FORMAT")
    .optional(),
    ArgSpec::block("path_index", &[PATH, ArgSpec::integer("index").optional()]).optional(),
];

/// JSON.ARRTRIM
pub(crate) const ARRTRIM: &[ArgSpec] =
    &[KEY, PATH, ArgSpec::integer("start"), ArgSpec::integer("stop")];

/// JSON.ARRINDEX
pub(crate) const ARRINDEX: &[ArgSpec] = &[
    KEY,
    PATH,
    ArgSpec::string("json-value"),
    ArgSpec::block("range", &[ArgSpec::integer("start"), ArgSpec::integer("stop").optional()])
        .optional(),
];

/// JSON.GET
pub(crate) const GET: &[ArgSpec] = &[
    KEY,
    ArgSpec::block("indent", &[ArgSpec::string("indent")]).token("INDENT").optional(),
    ArgSpec::block("newline", &[ArgSpec::string("newline")]).token("NEWLINE").optional(),
    ArgSpec::block("space", &[ArgSpec::string("space")]).token("SPACE").optional(),
    ArgSpec::block(
        "format",
        &[ArgSpec::one_of(
            "format-token",
            &[
                ArgSpec::flag("STRING", "STRING"),
                ArgSpec::flag("EXPAND1", "EXPAND1"),
                ArgSpec::flag("EXPAND", "EXPAND"),
            ],
        )],
    )
    .token("FORMAT")
    .optional(),
    ArgSpec::one_of(
        "dialect",
        &[ArgSpec::flag("rfc9535", "RFC9535"), ArgSpec::flag("redisjson", "REDISJSON")],
    )
    .token("DIALECT")
    .optional()
    .about("By which grammar paths are read."),
    PATH.optional().multiple(),
];

/// JSON.MGET
pub(crate) const MGET: &[ArgSpec] = &[KEY.multiple(), PATH];

/// JSON.DEBUG
pub(crate) const DEBUG: &[ArgSpec] = &[ArgSpec::one_of(
    "subcommand",
    &[ArgSpec::block("memory", ONE_PLACE).token("MEMORY"), ArgSpec::flag("help", "HELP")],
)];
