//! Positions on Earth, held as the scores of a sorted set: GEOADD and what reads single ones back.

use super::zset::add::{AddOptions, add};
use super::zset::read_zset;
use crate::base::extended::Extended;
use crate::base::number::IntBuf;
use crate::engine::args;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::geohash::Point;
use crate::object::zset::Zset;
use crate::resp::reply::Reply;

pub mod search;

mod query;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "GEOADD",
        summary: "Adds one or more members to a geospatial index. The key is created if it doesn't exist.",
        since: "3.2.0",
        complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        group: Group::Geo,
        arity: Arity::AtLeast(5),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::one_of("condition", &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX")])
                .optional()
                .since("6.2.0"),
            Arg::flag("change", "CH").optional().since("6.2.0"),
            Arg::block(
                "data",
                &[Arg::double("longitude"), Arg::double("latitude"), Arg::string("member")],
            )
            .multiple(),
        ],
        run: Run::Write(geoadd),
        history: &[("6.2.0", "Added the `CH`, `NX` and `XX` options.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GEOPOS",
        summary: "Returns the longitude and latitude of members from a geospatial index.",
        since: "3.2.0",
        complexity: "O(1) for each member requested.",
        group: Group::Geo,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::string("member").optional().multiple()],
        run: Run::Read(geopos),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GEODIST",
        summary: "Returns the distance between two members of a geospatial index.",
        since: "3.2.0",
        complexity: "O(1)",
        group: Group::Geo,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("member1"),
            Arg::string("member2"),
            Arg::one_of(
                "unit",
                &[
                    Arg::flag("m", "m"),
                    Arg::flag("km", "km"),
                    Arg::flag("ft", "ft"),
                    Arg::flag("mi", "mi"),
                ],
            )
            .optional(),
        ],
        run: Run::Read(geodist),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GEOHASH",
        summary: "Returns members from a geospatial index as geohash strings.",
        since: "3.2.0",
        complexity: "O(1) for each member requested.",
        group: Group::Geo,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::string("member").optional().multiple()],
        run: Run::Read(geohash),
        ..CommandSpec::BASE
    },
];

/// A longitude and a latitude.
fn parse_point(longitude: &[u8], latitude: &[u8]) -> Result<Point, CommandError> {
    let point = Point { longitude: args::float(longitude)?, latitude: args::float(latitude)? };
    if !point.is_valid() {
        let Point { longitude, latitude } = point;
        return Err(CommandError::owned(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        )));
    }
    Ok(point)
}

/// Metres in a unit.
fn parse_unit(arg: &[u8]) -> Result<f64, CommandError> {
    match arg {
        unit if args::is(unit, "M") => Ok(1.0),
        unit if args::is(unit, "KM") => Ok(1000.0),
        unit if args::is(unit, "FT") => Ok(0.3048),
        unit if args::is(unit, "MI") => Ok(1609.34),
        _ => Err(CommandError::text("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// Where a member is.
fn locate(zset: &Zset, member: &[u8]) -> Option<Point> {
    zset.score(member).map(Point::from_score)
}

/// Writes a distance with four decimals.
fn reply_distance(distance: f64, reply: &mut Reply<'_>) {
    let rounded = (distance * 10_000.0).round_ties_even() as i64;
    let sign = if rounded < 0 { "-" } else { "" };
    let (whole, part) = (rounded.unsigned_abs() / 10_000, rounded.unsigned_abs() % 10_000);
    reply.bulk(format!("{sign}{whole}.{part:04}").as_bytes());
}

/// Writes a longitude and a latitude, with seventeen decimals at most.
fn reply_point(point: Point, reply: &mut Reply<'_>) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = Extended::from_f64(degrees).map(Extended::to_text).unwrap_or_default();
        if reply.is_resp3() {
            reply.raw(&[b",", &text[..], b"\r\n"].concat());
        } else {
            reply.bulk(&text);
        }
    }
}

fn geoadd(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let mut options = AddOptions::default();
    let mut at = 2;
    while let Some(word) = argv.get(at) {
        match word {
            word if args::is(word, "NX") => options.nx = true,
            word if args::is(word, "XX") => options.xx = true,
            word if args::is(word, "CH") => options.ch = true,
            _ => break,
        }
        at += 1;
    }
    let (triples, []) = argv[at..].as_chunks::<3>() else { return Err(CommandError::Syntax) };
    if triples.is_empty() || options.nx && options.xx {
        return Err(CommandError::Syntax);
    }
    let mut members = Vec::with_capacity(triples.len());
    for [longitude, latitude, member] in triples {
        members.push((parse_point(longitude, latitude)?.to_score(), *member));
    }
    let added = add(ctx, key, options, members.iter().copied())?;
    if added.added + added.updated > 0 && ctx.log_active() {
        // What is replayed must not depend on how positions become scores.
        let mut argv_out: Vec<Vec<u8>> = vec![b"ZADD".to_vec()];
        argv_out.extend(argv[1..at].iter().map(|word| word.to_vec()));
        for (score, member) in &members {
            argv_out.push(IntBuf::new().i64(*score as i64).to_vec());
            argv_out.push(member.to_vec());
        }
        let argv_out: Vec<&[u8]> = argv_out.iter().map(Vec::as_slice).collect();
        ctx.propagate_as(&argv_out);
    }
    reply.len(added.added + if options.ch { added.updated } else { 0 });
    Ok(())
}

fn geopos(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = read_zset(ctx, argv[1])?;
    reply.array(argv.len() - 2);
    for member in &argv[2..] {
        match zset.and_then(|zset| locate(zset, member)) {
            Some(point) => reply_point(point, reply),
            None => reply.null_array(),
        }
    }
    Ok(())
}

fn geohash(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = read_zset(ctx, argv[1])?;
    reply.array(argv.len() - 2);
    for member in &argv[2..] {
        match zset.and_then(|zset| locate(zset, member)) {
            Some(point) => reply.bulk(&point.to_geohash()),
            None => reply.null(),
        }
    }
    Ok(())
}

fn geodist(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let unit_m = match &argv[4..] {
        [] => 1.0,
        [unit] => parse_unit(unit)?,
        _ => return Err(CommandError::Syntax),
    };
    let zset = read_zset(ctx, argv[1])?;
    let ends = zset.and_then(|zset| Some((locate(zset, argv[2])?, locate(zset, argv[3])?)));
    match ends {
        Some((from, to)) => reply_distance(from.distance_m(to) / unit_m, reply),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::reply::Protocol;

    #[test]
    fn distances_have_four_decimals() {
        for (distance, text) in [
            (0.0, "0.0000"),
            (0.00005, "0.0000"),
            (0.00006, "0.0001"),
            (166274.15156960033, "166274.1516"),
            (-0.01, "-0.0100"),
            (12.0, "12.0000"),
        ] {
            let mut out = Vec::new();
            reply_distance(distance, &mut Reply::new(&mut out, Protocol::Resp2));
            assert_eq!(out, format!("${}\r\n{text}\r\n", text.len()).as_bytes());
        }
    }
}
