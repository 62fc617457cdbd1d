//! Which members lie around a place? GEOSEARCH and the older GEORADIUS family.

use super::super::zset::{read_zset, store};
use super::query::{Form, Grammar, Query, Store, to_zset};
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Begin, CommandSpec, Deprecated, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "GEOSEARCH",
        summary: "Queries a geospatial index for members inside an area of a box or a circle.",
        since: "6.2.0",
        complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
        group: Group::Geo,
        arity: Arity::AtLeast(7),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::one_of(
                "from",
                &[
                    Arg::string("member").token("FROMMEMBER"),
                    Arg::block("fromlonlat", &[Arg::double("longitude"), Arg::double("latitude")])
                        .token("FROMLONLAT"),
                ],
            ),
            Arg::one_of(
                "by",
                &[
                    Arg::block(
                        "circle",
                        &[
                            Arg::double("radius").token("BYRADIUS"),
                            Arg::one_of(
                                "unit",
                                &[
                                    Arg::flag("m", "m"),
                                    Arg::flag("km", "km"),
                                    Arg::flag("ft", "ft"),
                                    Arg::flag("mi", "mi"),
                                ],
                            ),
                        ],
                    ),
                    Arg::block(
                        "box",
                        &[
                            Arg::double("width").token("BYBOX"),
                            Arg::double("height"),
                            Arg::one_of(
                                "unit",
                                &[
                                    Arg::flag("m", "m"),
                                    Arg::flag("km", "km"),
                                    Arg::flag("ft", "ft"),
                                    Arg::flag("mi", "mi"),
                                ],
                            ),
                        ],
                    ),
                ],
            ),
            Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional(),
            Arg::block(
                "count-block",
                &[Arg::integer("count").token("COUNT"), Arg::flag("any", "ANY").optional()],
            )
            .optional(),
            Arg::flag("withcoord", "WITHCOORD").optional(),
            Arg::flag("withdist", "WITHDIST").optional(),
            Arg::flag("withhash", "WITHHASH").optional(),
        ],
        run: Run::Read(geosearch),
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GEOSEARCHSTORE",
        summary: "Queries a geospatial index for members inside an area of a box or a circle, optionally stores the result.",
        since: "6.2.0",
        complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
        group: Group::Geo,
        arity: Arity::AtLeast(8),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Overwrite), KeySpec::at(2, Access::Read)],
        args: &[
            Arg::key("destination"),
            Arg::key_of("source", 1),
            Arg::one_of(
                "from",
                &[
                    Arg::string("member").token("FROMMEMBER"),
                    Arg::block("fromlonlat", &[Arg::double("longitude"), Arg::double("latitude")])
                        .token("FROMLONLAT"),
                ],
            ),
            Arg::one_of(
                "by",
                &[
                    Arg::block(
                        "circle",
                        &[
                            Arg::double("radius").token("BYRADIUS"),
                            Arg::one_of(
                                "unit",
                                &[
                                    Arg::flag("m", "m"),
                                    Arg::flag("km", "km"),
                                    Arg::flag("ft", "ft"),
                                    Arg::flag("mi", "mi"),
                                ],
                            ),
                        ],
                    ),
                    Arg::block(
                        "box",
                        &[
                            Arg::double("width").token("BYBOX"),
                            Arg::double("height"),
                            Arg::one_of(
                                "unit",
                                &[
                                    Arg::flag("m", "m"),
                                    Arg::flag("km", "km"),
                                    Arg::flag("ft", "ft"),
                                    Arg::flag("mi", "mi"),
                                ],
                            ),
                        ],
                    ),
                ],
            ),
            Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional(),
            Arg::block(
                "count-block",
                &[Arg::integer("count").token("COUNT"), Arg::flag("any", "ANY").optional()],
            )
            .optional(),
            Arg::flag("storedist", "STOREDIST").optional(),
        ],
        run: Run::Write(geosearchstore),
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GEORADIUS",
        summary: "Queries a geospatial index for members within a distance from a coordinate, optionally stores the result.",
        since: "3.2.0",
        complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.",
        group: Group::Geo,
        arity: Arity::AtLeast(6),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[
            KeySpec::at(1, Access::Read),
            KeySpec {
                begin: Begin::Keyword("STORE", 6),
                ..KeySpec::range(0, 0, 1, Access::Overwrite)
            },
            KeySpec {
                begin: Begin::Keyword("STOREDIST", 6),
                ..KeySpec::range(0, 0, 1, Access::Overwrite)
            },
        ],
        args: &[
            Arg::key("key"),
            Arg::double("longitude"),
            Arg::double("latitude"),
            Arg::double("radius"),
            Arg::one_of(
                "unit",
                &[
                    Arg::flag("m", "m"),
                    Arg::flag("km", "km"),
                    Arg::flag("ft", "ft"),
                    Arg::flag("mi", "mi"),
                ],
            ),
            Arg::flag("withcoord", "WITHCOORD").optional(),
            Arg::flag("withdist", "WITHDIST").optional(),
            Arg::flag("withhash", "WITHHASH").optional(),
            Arg::block(
                "count-block",
                &[
                    Arg::integer("count").token("COUNT"),
                    Arg::flag("any", "ANY").optional().since("6.2.0"),
                ],
            )
            .optional(),
            Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional(),
            Arg::one_of(
                "store",
                &[
                    Arg::key_of("storekey", 1).token("STORE").shown_as("key"),
                    Arg::key_of("storedistkey", 2).token("STOREDIST").shown_as("key"),
                ],
            )
            .optional(),
        ],
        run: Run::Write(georadius),
        history: &[
            ("6.2.0", "Added the `ANY` option for `COUNT`."),
            ("7.0.0", "Added support for uppercase unit names."),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GEORADIUS_RO",
        summary: "Returns members from a geospatial index that are within a distance from a coordinate.",
        since: "3.2.10",
        complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.",
        group: Group::Geo,
        arity: Arity::AtLeast(6),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::double("longitude"),
            Arg::double("latitude"),
            Arg::double("radius"),
            Arg::one_of(
                "unit",
                &[
                    Arg::flag("m", "m"),
                    Arg::flag("km", "km"),
                    Arg::flag("ft", "ft"),
                    Arg::flag("mi", "mi"),
                ],
            ),
            Arg::flag("withcoord", "WITHCOORD").optional(),
            Arg::flag("withdist", "WITHDIST").optional(),
            Arg::flag("withhash", "WITHHASH").optional(),
            Arg::block(
                "count-block",
                &[
                    Arg::integer("count").token("COUNT"),
                    Arg::flag("any", "ANY").optional().since("6.2.0"),
                ],
            )
            .optional(),
            Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional(),
        ],
        run: Run::Read(georadius_ro),
        history: &[("6.2.0", "Added the `ANY` option for `COUNT`.")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` with the `BYRADIUS` argument",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GEORADIUSBYMEMBER",
        summary: "Queries a geospatial index for members within a distance from a member, optionally stores the result.",
        since: "3.2.0",
        complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.",
        group: Group::Geo,
        arity: Arity::AtLeast(5),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[
            KeySpec::at(1, Access::Read),
            KeySpec {
                begin: Begin::Keyword("STORE", 5),
                ..KeySpec::range(0, 0, 1, Access::Overwrite)
            },
            KeySpec {
                begin: Begin::Keyword("STOREDIST", 5),
                ..KeySpec::range(0, 0, 1, Access::Overwrite)
            },
        ],
        args: &[
            Arg::key("key"),
            Arg::string("member"),
            Arg::double("radius"),
            Arg::one_of(
                "unit",
                &[
                    Arg::flag("m", "m"),
                    Arg::flag("km", "km"),
                    Arg::flag("ft", "ft"),
                    Arg::flag("mi", "mi"),
                ],
            ),
            Arg::flag("withcoord", "WITHCOORD").optional(),
            Arg::flag("withdist", "WITHDIST").optional(),
            Arg::flag("withhash", "WITHHASH").optional(),
            Arg::block(
                "count-block",
                &[Arg::integer("count").token("COUNT"), Arg::flag("any", "ANY").optional()],
            )
            .optional(),
            Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional(),
            Arg::one_of(
                "store",
                &[
                    Arg::key_of("storekey", 1).token("STORE").shown_as("key"),
                    Arg::key_of("storedistkey", 2).token("STOREDIST").shown_as("key"),
                ],
            )
            .optional(),
        ],
        run: Run::Write(georadiusbymember),
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GEORADIUSBYMEMBER_RO",
        summary: "Returns members from a geospatial index that are within a distance from a member.",
        since: "3.2.10",
        complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.",
        group: Group::Geo,
        arity: Arity::AtLeast(5),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("member"),
            Arg::double("radius"),
            Arg::one_of(
                "unit",
                &[
                    Arg::flag("m", "m"),
                    Arg::flag("km", "km"),
                    Arg::flag("ft", "ft"),
                    Arg::flag("mi", "mi"),
                ],
            ),
            Arg::flag("withcoord", "WITHCOORD").optional(),
            Arg::flag("withdist", "WITHDIST").optional(),
            Arg::flag("withhash", "WITHHASH").optional(),
            Arg::block(
                "count-block",
                &[Arg::integer("count").token("COUNT"), Arg::flag("any", "ANY").optional()],
            )
            .optional(),
            Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional(),
        ],
        run: Run::Read(georadiusbymember_ro),
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        ..CommandSpec::BASE
    },
];

fn geosearch(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(ctx, argv, Form::Search, reply)
}

fn georadius_ro(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(ctx, argv, Form::AroundPoint, reply)
}

fn georadiusbymember_ro(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(ctx, argv, Form::AroundMember, reply)
}

fn search(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, form: Form, reply: &mut Reply<'_>) -> Outcome {
    let zset = read_zset(ctx, argv[1])?;
    let query = Query::parse(argv, Grammar { form, may_store: false, zset })?;
    let hits = zset.map(|zset| query.run(zset)).unwrap_or_default();
    query.reply(&hits, reply);
    Ok(())
}

fn geosearchstore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    search_and_store(ctx, argv, Form::SearchStore, "geosearchstore", reply)
}

fn georadius(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    search_and_store(ctx, argv, Form::AroundPoint, "georadiusstore", reply)
}

fn georadiusbymember(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    search_and_store(ctx, argv, Form::AroundMember, "georadiusstore", reply)
}

fn search_and_store(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    form: Form,
    event: &str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let limits = ctx.zset_limits();
    let from = if form == Form::SearchStore { argv[2] } else { argv[1] };
    let mut read = ctx.read();
    let zset = read_zset(&mut read, from)?;
    let query = Query::parse(argv, Grammar { form, may_store: true, zset })?;
    let hits = zset.map(|zset| query.run(zset)).unwrap_or_default();
    let Some(Store { key, distances }) = query.store else {
        query.reply(&hits, reply);
        return Ok(());
    };
    let result = to_zset(&hits, distances, limits);
    let stored = hits.len();
    reply.len(stored);
    store(ctx, key, result, event);
    // Each member counts; the key itself was counted.
    ctx.count_changes(stored.saturating_sub(1) as u64);
    Ok(())
}
