//! FT.SEARCH, FT.EXPLAIN and FT.PROFILE.

use mortise_module::ArgSpec;

use super::{DIALECT, INDEX, LIMIT, ORDER, PARAMS, QUERY, TIMEOUT};

const FIELDS: ArgSpec = ArgSpec::block(
    "fields",
    &[ArgSpec::string("count").token("FIELDS"), ArgSpec::string("field").multiple()],
)
.optional();

const RADIUS_UNIT: ArgSpec = ArgSpec::one_of(
    "radius_type",
    &[
        ArgSpec::flag("m", "m"),
        ArgSpec::flag("km", "km"),
        ArgSpec::flag("mi", "mi"),
        ArgSpec::flag("ft", "ft"),
    ],
);

const FILTER: ArgSpec = ArgSpec::block(
    "filter",
    &[
        ArgSpec::string("numeric_field").token("FILTER"),
        ArgSpec::double("min"),
        ArgSpec::double("max"),
    ],
)
.optional()
.multiple();

const GEO_FILTER: ArgSpec = ArgSpec::block(
    "geo_filter",
    &[
        ArgSpec::string("geo_field").token("GEOFILTER"),
        ArgSpec::double("lon"),
        ArgSpec::double("lat"),
        ArgSpec::double("radius"),
        RADIUS_UNIT,
    ],
)
.optional()
.multiple();

const RETURN: ArgSpec = ArgSpec::block(
    "return",
    &[
        ArgSpec::string("count").token("RETURN"),
        ArgSpec::block(
            "identifiers",
            &[ArgSpec::string("identifier"), ArgSpec::string("property").token("AS").optional()],
        )
        .multiple(),
    ],
)
.optional();

const SUMMARIZE: ArgSpec = ArgSpec::block(
    "summarize",
    &[
        ArgSpec::flag("summarize", "SUMMARIZE"),
        FIELDS,
        ArgSpec::integer("num").token("FRAGS").optional(),
        ArgSpec::integer("fragsize").token("LEN").optional(),
        ArgSpec::string("separator").token("SEPARATOR").optional(),
    ],
)
.optional();

const HIGHLIGHT: ArgSpec = ArgSpec::block(
    "highlight",
    &[
        ArgSpec::flag("highlight", "HIGHLIGHT"),
        FIELDS,
        ArgSpec::block(
            "tags",
            &[ArgSpec::flag("tags", "TAGS"), ArgSpec::string("open"), ArgSpec::string("close")],
        )
        .optional(),
    ],
)
.optional();

/// FT.SEARCH
pub const SEARCH: &[ArgSpec] = &[
    INDEX,
    QUERY,
    ArgSpec::flag("nocontent", "NOCONTENT").optional(),
    ArgSpec::flag("verbatim", "VERBATIM").optional(),
    ArgSpec::flag("nostopwords", "NOSTOPWORDS").optional(),
    ArgSpec::flag("withscores", "WITHSCORES").optional(),
    ArgSpec::flag("withpayloads", "WITHPAYLOADS").optional(),
    ArgSpec::flag("withsortkeys", "WITHSORTKEYS").optional(),
    FILTER,
    GEO_FILTER,
    ArgSpec::block(
        "in_keys",
        &[ArgSpec::string("count").token("INKEYS"), ArgSpec::string("key").multiple()],
    )
    .optional(),
    ArgSpec::block(
        "in_fields",
        &[ArgSpec::string("count").token("INFIELDS"), ArgSpec::string("field").multiple()],
    )
    .optional(),
    RETURN,
    SUMMARIZE,
    HIGHLIGHT,
    ArgSpec::integer("slop").token("SLOP").optional(),
    TIMEOUT,
    ArgSpec::flag("inorder", "INORDER").optional(),
    ArgSpec::string("language").token("LANGUAGE").optional(),
    ArgSpec::string("expander").token("EXPANDER").optional(),
    ArgSpec::string("scorer").token("SCORER").optional(),
    ArgSpec::flag("explainscore", "EXPLAINSCORE").optional(),
    ArgSpec::string("payload").token("PAYLOAD").optional(),
    ArgSpec::block("sortby", &[ArgSpec::string("sortby").token("SORTBY"), ORDER]).optional(),
    LIMIT,
    PARAMS,
    DIALECT,
];

/// FT.EXPLAIN and FT.EXPLAINCLI
pub const EXPLAIN: &[ArgSpec] = &[INDEX, QUERY, DIALECT];

/// FT.PROFILE
pub const PROFILE: &[ArgSpec] = &[
    INDEX,
    ArgSpec::one_of(
        "querytype",
        &[
            ArgSpec::flag("search", "SEARCH"),
            ArgSpec::flag("aggregate", "AGGREGATE"),
            ArgSpec::flag("hybrid", "HYBRID"),
        ],
    ),
    ArgSpec::flag("limited", "LIMITED").optional(),
    ArgSpec::flag("queryword", "QUERY"),
    QUERY.about("The query, and what that command takes behind it."),
    ArgSpec::string("option").optional().multiple(),
];
