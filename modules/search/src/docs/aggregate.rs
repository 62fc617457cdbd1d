//! FT.AGGREGATE and FT.CURSOR, and the steps that FT.HYBRID has too.

use mortise_module::ArgSpec;

use super::{DIALECT, INDEX, LIMIT, ORDER, PARAMS, QUERY, TIMEOUT};

/// `LOAD count field...`
pub(super) const LOAD: ArgSpec = ArgSpec::block(
    "load",
    &[ArgSpec::string("count").token("LOAD"), ArgSpec::string("field").multiple()],
)
.optional();

/// `LOAD *`
pub(super) const LOAD_ALL: ArgSpec = ArgSpec::flag("loadall", "LOAD *").optional();

const FUNCTION: ArgSpec = ArgSpec::one_of(
    "function",
    &[
        ArgSpec::flag("count", "COUNT"),
        ArgSpec::flag("count_distinct", "COUNT_DISTINCT"),
        ArgSpec::flag("count_distinctish", "COUNT_DISTINCTISH"),
        ArgSpec::flag("sum", "SUM"),
        ArgSpec::flag("min", "MIN"),
        ArgSpec::flag("max", "MAX"),
        ArgSpec::flag("avg", "AVG"),
        ArgSpec::flag("stddev", "STDDEV"),
        ArgSpec::flag("quantile", "QUANTILE"),
        ArgSpec::flag("tolist", "TOLIST"),
        ArgSpec::flag("first_value", "FIRST_VALUE"),
        ArgSpec::flag("random_sample", "RANDOM_SAMPLE"),
        ArgSpec::flag("hll", "HLL"),
        ArgSpec::flag("hll_sum", "HLL_SUM"),
    ],
);

const GENERIC: ArgSpec = ArgSpec::block(
    "generic_body",
    &[FUNCTION, ArgSpec::integer("nargs"), ArgSpec::string("arg").optional().multiple()],
);

const COLLECT: ArgSpec = ArgSpec::block(
    "collect_body",
    &[
        ArgSpec::flag("collect_token", "COLLECT"),
        ArgSpec::integer("nargs"),
        ArgSpec::one_of(
            "fields_clause",
            &[
                ArgSpec::block(
                    "fields",
                    &[
                        ArgSpec::integer("num_fields").token("FIELDS"),
                        ArgSpec::string("field").multiple(),
                    ],
                ),
                ArgSpec::flag("fieldsall", "FIELDS *"),
            ],
        ),
        ArgSpec::block(
            "sortby",
            &[
                ArgSpec::flag("sortby_token", "SORTBY"),
                ArgSpec::integer("nargs"),
                ArgSpec::block("key", &[ArgSpec::string("field"), ORDER]).multiple(),
            ],
        )
        .optional(),
        ArgSpec::block(
            "limit",
            &[
                ArgSpec::flag("limit_token", "LIMIT"),
                ArgSpec::integer("offset"),
                ArgSpec::integer("count"),
            ],
        )
        .optional(),
        ArgSpec::flag("distinct", "DISTINCT").optional(),
    ],
)
.since("8.8.0");

/// `REDUCE function nargs arg... [AS name]`
pub(super) const REDUCE: ArgSpec = ArgSpec::block(
    "reduce",
    &[
        ArgSpec::flag("reduce_token", "REDUCE"),
        ArgSpec::one_of("reducer_body", &[GENERIC, COLLECT]),
        ArgSpec::string("name").token("AS").optional(),
    ],
)
.optional()
.multiple();

/// `APPLY expression [AS name]`
pub(super) const APPLY: ArgSpec = ArgSpec::block(
    "apply",
    &[ArgSpec::string("expression").token("APPLY"), ArgSpec::string("name").token("AS").optional()],
)
.optional()
.multiple();

/// `FILTER expression`
pub(super) const FILTER: ArgSpec =
    ArgSpec::string("filter").token("FILTER").optional().multiple_token();

const CURSOR_OF_QUERY: ArgSpec = ArgSpec::block(
    "cursor",
    &[
        ArgSpec::flag("withcursor", "WITHCURSOR"),
        ArgSpec::integer("read_size").token("COUNT").optional(),
        ArgSpec::integer("idle_time").token("MAXIDLE").optional().about("In milliseconds."),
    ],
)
.optional();

/// FT.AGGREGATE
pub const AGGREGATE: &[ArgSpec] = &[
    INDEX,
    QUERY,
    ArgSpec::flag("verbatim", "VERBATIM").optional(),
    LOAD,
    TIMEOUT,
    LOAD_ALL,
    ArgSpec::block(
        "groupby",
        &[
            ArgSpec::integer("nargs").token("GROUPBY"),
            ArgSpec::string("property").optional().multiple(),
            REDUCE,
        ],
    )
    .optional()
    .multiple(),
    ArgSpec::block(
        "sortby",
        &[
            ArgSpec::integer("nargs").token("SORTBY"),
            ArgSpec::block("fields", &[ArgSpec::string("property"), ORDER]).optional().multiple(),
            ArgSpec::integer("num").token("MAX").optional(),
        ],
    )
    .optional(),
    APPLY,
    LIMIT,
    FILTER,
    CURSOR_OF_QUERY,
    ArgSpec::flag("addscores", "ADDSCORES").optional(),
    ArgSpec::flag("withcount", "WITHCOUNT").optional(),
    PARAMS,
    DIALECT,
];

const CURSOR_ID: ArgSpec = ArgSpec::integer("cursor_id");

/// FT.CURSOR
pub const CURSOR: &[ArgSpec] = &[ArgSpec::one_of(
    "subcommand",
    &[
        ArgSpec::block(
            "read",
            &[INDEX, CURSOR_ID, ArgSpec::integer("read size").token("COUNT").optional()],
        )
        .token("READ"),
        ArgSpec::block("del", &[INDEX, CURSOR_ID]).token("DEL"),
        ArgSpec::block("gc", &[INDEX, CURSOR_ID.optional()]).token("GC"),
    ],
)];
