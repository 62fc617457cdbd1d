//! FT.HYBRID.

use mortise_module::ArgSpec;

use super::aggregate::{APPLY, FILTER, LOAD, LOAD_ALL, REDUCE};
use super::{INDEX, LIMIT, ORDER, PARAMS, TIMEOUT};

const SCORE_NAME: ArgSpec = ArgSpec::string("yield_score_as").token("YIELD_SCORE_AS").optional();

const WORDS: ArgSpec = ArgSpec::block(
    "search_clause",
    &[
        ArgSpec::flag("search", "SEARCH"),
        ArgSpec::string("query"),
        ArgSpec::string("scorer").token("SCORER").optional(),
        SCORE_NAME,
    ],
);

const NEAREST: ArgSpec = ArgSpec::block(
    "knn_clause",
    &[
        ArgSpec::flag("knn", "KNN"),
        ArgSpec::integer("count"),
        ArgSpec::integer("k").token("K"),
        ArgSpec::integer("ef_runtime").token("EF_RUNTIME").optional(),
        ArgSpec::double("shard_k_ratio").token("SHARD_K_RATIO").optional().since("8.6.1"),
        SCORE_NAME,
    ],
);

const WITHIN: ArgSpec = ArgSpec::block(
    "range_clause",
    &[
        ArgSpec::flag("range", "RANGE"),
        ArgSpec::integer("count"),
        ArgSpec::double("radius").token("RADIUS"),
        ArgSpec::double("epsilon").token("EPSILON").optional(),
        SCORE_NAME,
    ],
);

const VECTOR_FILTER: ArgSpec = ArgSpec::block(
    "filter",
    &[
        ArgSpec::integer("count").optional().since("8.4.3"),
        ArgSpec::string("filter_expression"),
        ArgSpec::one_of(
            "policy",
            &[
                ArgSpec::flag("adhoc", "ADHOC"),
                ArgSpec::block(
                    "batches_policy",
                    &[
                        ArgSpec::flag("batches", "BATCHES"),
                        ArgSpec::integer("batch_size_value")
                            .token("BATCH_SIZE")
                            .optional()
                            .since("8.4.3"),
                    ],
                ),
            ],
        )
        .token("POLICY")
        .optional()
        .since("8.4.3"),
    ],
)
.token("FILTER")
.optional();

const VECTORS: ArgSpec = ArgSpec::block(
    "vsim_clause",
    &[
        ArgSpec::flag("vsim", "VSIM"),
        ArgSpec::string("field"),
        ArgSpec::string("vector"),
        ArgSpec::one_of("vector_query_type", &[NEAREST, WITHIN]).optional(),
        VECTOR_FILTER,
    ],
);

const BY_RANK: ArgSpec = ArgSpec::block(
    "rrf_method",
    &[
        ArgSpec::flag("rrf", "RRF"),
        ArgSpec::integer("count"),
        ArgSpec::double("constant").token("CONSTANT").optional(),
        ArgSpec::integer("window").token("WINDOW").optional(),
    ],
);

const BY_SCORE: ArgSpec = ArgSpec::block(
    "linear_method",
    &[
        ArgSpec::flag("linear", "LINEAR"),
        ArgSpec::integer("count"),
        ArgSpec::block(
            "weights",
            &[ArgSpec::double("alpha").token("ALPHA"), ArgSpec::double("beta").token("BETA")],
        )
        .optional(),
        ArgSpec::integer("window").token("WINDOW").optional(),
    ],
);

const COMBINE: ArgSpec = ArgSpec::block(
    "combine",
    &[
        ArgSpec::flag("combine", "COMBINE"),
        ArgSpec::one_of("method", &[BY_RANK, BY_SCORE]),
        SCORE_NAME,
    ],
)
.optional();

const SORTING: ArgSpec = ArgSpec::one_of(
    "sorting",
    &[
        ArgSpec::block("sortby", &[ArgSpec::string("sortby").token("SORTBY"), ORDER]),
        ArgSpec::flag("nosort", "NOSORT"),
    ],
)
.optional();

/// FT.HYBRID
pub const HYBRID: &[ArgSpec] = &[
    INDEX,
    WORDS,
    VECTORS,
    COMBINE,
    LIMIT,
    SORTING,
    PARAMS,
    TIMEOUT,
    LOAD,
    LOAD_ALL,
    ArgSpec::block(
        "groupby",
        &[
            ArgSpec::flag("groupby", "GROUPBY"),
            ArgSpec::integer("nproperties"),
            ArgSpec::string("property").multiple(),
            REDUCE,
        ],
    )
    .optional(),
    APPLY,
    FILTER,
];
