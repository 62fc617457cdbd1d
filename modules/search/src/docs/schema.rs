//! FT.CREATE, FT.ALTER, FT.DROPINDEX and their kin.

use mortise_module::ArgSpec;

use super::INDEX;

const WITH_SUFFIX_TRIE: ArgSpec = ArgSpec::flag("withsuffixtrie", "WITHSUFFIXTRIE").optional();
const INDEX_EMPTY: ArgSpec = ArgSpec::flag("INDEXEMPTY", "INDEXEMPTY").optional();
const INDEX_MISSING: ArgSpec = ArgSpec::flag("indexmissing", "INDEXMISSING").optional();

const TEXT: ArgSpec = ArgSpec::block(
    "text",
    &[
        ArgSpec::flag("text", "TEXT"),
        ArgSpec::flag("nostem", "NOSTEM").optional(),
        ArgSpec::double("weight").token("WEIGHT").optional(),
        ArgSpec::string("matcher")
            .token("PHONETIC")
            .optional()
            .about("Finds words that sound alike: dm:en, dm:fr, dm:pt or dm:es."),
        WITH_SUFFIX_TRIE,
        INDEX_EMPTY,
        INDEX_MISSING,
    ],
);
const TAG: ArgSpec = ArgSpec::block(
    "tag",
    &[
        ArgSpec::flag("tag", "TAG"),
        ArgSpec::string("separator").token("SEPARATOR").optional(),
        ArgSpec::flag("casesensitive", "CASESENSITIVE").optional(),
        WITH_SUFFIX_TRIE,
        INDEX_EMPTY,
        INDEX_MISSING,
    ],
);
const NUMERIC: ArgSpec =
    ArgSpec::block("numeric", &[ArgSpec::flag("numeric", "NUMERIC"), INDEX_MISSING]);
const GEO: ArgSpec = ArgSpec::block("geo", &[ArgSpec::flag("geo", "GEO"), INDEX_MISSING]);
const GEOSHAPE: ArgSpec = ArgSpec::block(
    "geoshape",
    &[
        ArgSpec::flag("geoshape", "GEOSHAPE"),
        ArgSpec::one_of(
            "coordinates",
            &[ArgSpec::flag("spherical", "SPHERICAL"), ArgSpec::flag("flat", "FLAT")],
        )
        .optional(),
        INDEX_MISSING,
    ],
);
const VECTOR: ArgSpec = ArgSpec::block(
    "vector",
    &[
        ArgSpec::flag("vector", "VECTOR"),
        ArgSpec::one_of(
            "algorithm",
            &[
                ArgSpec::flag("flat", "FLAT"),
                ArgSpec::flag("hnsw", "HNSW"),
                ArgSpec::flag("svs-vamana", "SVS-VAMANA"),
            ],
        ),
        ArgSpec::integer("count"),
        ArgSpec::block(
            "attribute",
            &[ArgSpec::string("attribute_name"), ArgSpec::string("attribute_value")],
        )
        .multiple()
        .about("TYPE, DIM and DISTANCE_METRIC must be there."),
        INDEX_MISSING,
    ],
);

const FIELD_TYPE: ArgSpec =
    ArgSpec::one_of("field_type", &[TEXT, TAG, NUMERIC, GEO, GEOSHAPE, VECTOR]);
const SORTABLE: ArgSpec = ArgSpec::block(
    "sortable",
    &[ArgSpec::flag("sortable", "SORTABLE"), ArgSpec::flag("UNF", "UNF").optional()],
)
.optional();
const NO_INDEX: ArgSpec = ArgSpec::flag("noindex", "NOINDEX").optional();

/// A field: where it is found, how it is called, and what is done with it.
const FIELD: ArgSpec = ArgSpec::block(
    "field",
    &[
        ArgSpec::string("field_name"),
        ArgSpec::string("alias").token("AS").optional(),
        FIELD_TYPE,
        SORTABLE,
        NO_INDEX,
    ],
)
.multiple();

/// A field that keeps its name and its place.
const CHANGED_FIELD: ArgSpec =
    ArgSpec::block("field", &[ArgSpec::string("field_name"), FIELD_TYPE, SORTABLE, NO_INDEX])
        .multiple();

/// FT.CREATE
pub const CREATE: &[ArgSpec] = &[
    INDEX,
    ArgSpec::one_of("data_type", &[ArgSpec::flag("hash", "HASH"), ArgSpec::flag("json", "JSON")])
        .token("ON")
        .optional(),
    ArgSpec::one_of(
        "indexall",
        &[ArgSpec::flag("enable", "ENABLE"), ArgSpec::flag("disable", "DISABLE")],
    )
    .token("INDEXALL")
    .optional()
    .since("8.0.0"),
    ArgSpec::block(
        "prefix",
        &[ArgSpec::integer("count").token("PREFIX"), ArgSpec::string("prefix").multiple()],
    )
    .optional(),
    ArgSpec::string("filter").token("FILTER").optional(),
    ArgSpec::string("default_lang").token("LANGUAGE").optional(),
    ArgSpec::string("lang_attribute").token("LANGUAGE_FIELD").optional(),
    ArgSpec::double("default_score").token("SCORE").optional(),
    ArgSpec::string("score_attribute").token("SCORE_FIELD").optional(),
    ArgSpec::string("payload_attribute").token("PAYLOAD_FIELD").optional(),
    ArgSpec::flag("maxtextfields", "MAXTEXTFIELDS").optional(),
    ArgSpec::double("seconds")
        .token("TEMPORARY")
        .optional()
        .about("The index goes when nobody has used it for so long."),
    ArgSpec::flag("nooffsets", "NOOFFSETS").optional(),
    ArgSpec::flag("nohl", "NOHL").optional(),
    ArgSpec::flag("nofields", "NOFIELDS").optional(),
    ArgSpec::flag("nofreqs", "NOFREQS").optional(),
    ArgSpec::block(
        "stopwords",
        &[ArgSpec::integer("count"), ArgSpec::string("stopword").optional().multiple()],
    )
    .token("STOPWORDS")
    .optional(),
    ArgSpec::flag("skipinitialscan", "SKIPINITIALSCAN").optional(),
    ArgSpec::flag("schema", "SCHEMA"),
    FIELD,
];

/// FT.ALTER
pub const ALTER: &[ArgSpec] = &[
    INDEX,
    ArgSpec::flag("skipinitialscan", "SKIPINITIALSCAN").optional(),
    ArgSpec::flag("schema", "SCHEMA"),
    ArgSpec::one_of(
        "change",
        &[
            ArgSpec::block("add_fields", &[ArgSpec::flag("add", "ADD"), FIELD]),
            ArgSpec::block(
                "drop_fields",
                &[ArgSpec::flag("drop", "DROP"), ArgSpec::string("field_name").multiple()],
            ),
            ArgSpec::block("modify_fields", &[ArgSpec::flag("modify", "MODIFY"), CHANGED_FIELD]),
        ],
    ),
];

/// FT.DROPINDEX
pub const DROP_INDEX: &[ArgSpec] = &[
    INDEX,
    ArgSpec::one_of("delete docs", &[ArgSpec::flag("delete docs", "DD")])
        .optional()
        .about("Deletes the keys of the index too."),
];

/// FT.DROP
pub const DROP: &[ArgSpec] = &[
    INDEX,
    ArgSpec::flag("keep docs", "KEEPDOCS").optional().about("Leaves the keys of the index."),
];
