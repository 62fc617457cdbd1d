//! What does COMMAND DOCS say of the FT.* commands?
//!
//! Arguments are named as RediSearch names them, because clients complete what people type by it; what it leaves out (the
//! options of each type of field) is told too. The declarations of the commands use these constants. In reading order:

use mortise_module::ArgSpec;

/// Indexes and their fields.
pub mod schema;

/// Queries for documents.
pub mod search;

/// Queries for computed rows.
pub mod aggregate;

/// Words and vectors in one query.
pub mod hybrid;

/// Answers change with every write, so they are not worth keeping. (Suggestions are an exception, as in RediSearch.)
pub const TIPS: &[&str] = &["dont_cache"];

/// Answers of cursors depend on which process has them, too.
pub const CURSOR_TIPS: &[&str] = &["request_policy:special", "dont_cache"];

/// FT.CREATE's history.
pub const CREATE_HISTORY: &[(&str, &str)] = &[(
    "2.0.0",
    "`PAYLOAD_FIELD` was added for `WITHPAYLOADS` of `FT.SEARCH`, and deprecated with it.",
)];

/// FT.SEARCH's history.
pub const SEARCH_HISTORY: &[(&str, &str)] =
    &[("2.0.0", "`WITHPAYLOADS` and `PAYLOAD` were deprecated.")];

/// FT.SUGADD's history.
pub const SUGADD_HISTORY: &[(&str, &str)] = &[("2.0.0", "`PAYLOAD` was deprecated.")];

/// FT.SUGGET's history.
pub const SUGGET_HISTORY: &[(&str, &str)] = &[("2.0.0", "`WITHPAYLOADS` was deprecated.")];

/// FT.HYBRID's history.
pub const HYBRID_HISTORY: &[(&str, &str)] =
    &[("8.4.3", "A count, `POLICY` and `BATCH_SIZE` were added to `FILTER` of `VSIM`.")];

const INDEX: ArgSpec = ArgSpec::string("index");
const QUERY: ArgSpec = ArgSpec::string("query");
const TERMS: ArgSpec = ArgSpec::string("term").multiple();
const TIMEOUT: ArgSpec = ArgSpec::integer("timeout")
    .token("TIMEOUT")
    .optional()
    .about("In milliseconds; 0 is for ever.");
const DIALECT: ArgSpec = ArgSpec::integer("dialect")
    .token("DIALECT")
    .optional()
    .since("2.4.3")
    .about("Which grammar the query has, from 1 to 4.");
const PARAMS: ArgSpec = ArgSpec::block(
    "params",
    &[
        ArgSpec::flag("params", "PARAMS"),
        ArgSpec::integer("nargs"),
        ArgSpec::block("values", &[ArgSpec::string("name"), ArgSpec::string("value")]).multiple(),
    ],
)
.optional()
.about("Values for the names that stand as $name in the query.");
const LIMIT: ArgSpec = ArgSpec::block(
    "limit",
    &[ArgSpec::flag("limit", "LIMIT"), ArgSpec::integer("offset"), ArgSpec::integer("num")],
)
.optional();
const ORDER: ArgSpec =
    ArgSpec::one_of("order", &[ArgSpec::flag("asc", "ASC"), ArgSpec::flag("desc", "DESC")])
        .optional();

/// A command that takes an index alone.
pub const ONE_INDEX: &[ArgSpec] = &[INDEX];

/// FT.ALIASADD and FT.ALIASUPDATE
pub const ALIAS_OF: &[ArgSpec] = &[ArgSpec::string("alias"), INDEX];

/// FT.ALIASDEL
pub const ALIAS: &[ArgSpec] = &[ArgSpec::string("alias")];

/// FT.CONFIG GET and FT.CONFIG HELP
pub const OPTION: &[ArgSpec] = &[ArgSpec::string("option").about("A name, or * for all.")];

/// FT.CONFIG SET
pub const OPTION_AND_VALUE: &[ArgSpec] = &[ArgSpec::string("option"), ArgSpec::string("value")];

/// FT.DEBUG
pub const TIME_LEFT: &[ArgSpec] = &[ArgSpec::flag("ttl", "TTL"), INDEX];

/// FT.DICTADD and FT.DICTDEL
pub const DICTIONARY_AND_TERMS: &[ArgSpec] = &[ArgSpec::string("dict"), TERMS];

/// FT.DICTDUMP
pub const DICTIONARY: &[ArgSpec] = &[ArgSpec::string("dict")];

/// FT.DEL
pub const DELETE_DOCUMENT: &[ArgSpec] = &[
    INDEX,
    ArgSpec::key("key"),
    ArgSpec::flag("delete", "DD").optional().about("Accepted; the key goes in any case."),
];

/// FT.GET
pub const DOCUMENT: &[ArgSpec] = &[INDEX, ArgSpec::key("key")];

/// FT.MGET
pub const DOCUMENTS: &[ArgSpec] = &[INDEX, ArgSpec::key("key").multiple()];

/// FT.SUGADD
pub const SUGGEST: &[ArgSpec] = &[
    ArgSpec::key("key"),
    ArgSpec::string("string"),
    ArgSpec::double("score"),
    ArgSpec::one_of("increment score", &[ArgSpec::flag("incr", "INCR")]).optional(),
    ArgSpec::string("payload").token("PAYLOAD").optional(),
];

/// FT.SUGGET
pub const SUGGESTIONS: &[ArgSpec] = &[
    ArgSpec::key("key"),
    ArgSpec::string("prefix"),
    ArgSpec::flag("fuzzy", "FUZZY").optional(),
    ArgSpec::flag("withscores", "WITHSCORES").optional(),
    ArgSpec::flag("withpayloads", "WITHPAYLOADS").optional(),
    ArgSpec::integer("max").token("MAX").optional(),
];

/// FT.SUGDEL
pub const SUGGESTION: &[ArgSpec] = &[ArgSpec::key("key"), ArgSpec::string("string")];

/// FT.SUGLEN
pub const SUGGESTION_KEY: &[ArgSpec] = &[ArgSpec::key("key")];

/// FT.SYNUPDATE
pub const SYNONYMS: &[ArgSpec] = &[
    INDEX,
    ArgSpec::string("synonym_group_id"),
    ArgSpec::flag("skipinitialscan", "SKIPINITIALSCAN").optional(),
    TERMS,
];

/// FT.SPELLCHECK
pub const SPELLING: &[ArgSpec] = &[
    INDEX,
    QUERY,
    ArgSpec::integer("distance").token("DISTANCE").optional(),
    ArgSpec::block(
        "terms",
        &[
            ArgSpec::one_of(
                "inclusion",
                &[ArgSpec::flag("include", "INCLUDE"), ArgSpec::flag("exclude", "EXCLUDE")],
            ),
            ArgSpec::string("dictionary"),
        ],
    )
    .token("TERMS")
    .optional()
    .multiple_token(),
    PARAMS,
    DIALECT,
];

/// FT.TAGVALS
pub const TAG_FIELD: &[ArgSpec] = &[INDEX, ArgSpec::string("field_name")];
