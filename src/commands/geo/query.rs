//! What does a search around a place ask for, and what does it find? The options of GEOSEARCH and of the
//! GEORADIUS family, and the walk over the sorted set.
//!
//! The area becomes some ranges of scores (`object/geohash.rs`); of what lies in them, what is in the area
//! is kept, ordered if need be, and cut to the count.

use std::cmp::Ordering;

use super::super::reply_element;
use super::{locate, parse_point, parse_unit, reply_distance, reply_point};
use crate::base::number::{self, IntBuf};
use crate::engine::args::{self, Cursor};
use crate::engine::error::CommandError;
use crate::engine::spec::Argv;
use crate::object::geohash::{Area, Point, Shape};
use crate::object::listpack::Element;
use crate::object::zset::{Edge, Zset, ZsetLimits};
use crate::resp::reply::Reply;

/// The kinds of commands, by where the area and the options stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `GEORADIUS key longitude latitude radius unit`
    AroundPoint,
    /// `GEORADIUSBYMEMBER key member radius unit`
    AroundMember,
    /// `GEOSEARCH key`, all else by options.
    Search,
    /// `GEOSEARCHSTORE destination key`, the same.
    SearchStore,
}

/// Where an area is around.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Center {
    Point(Point),
    /// None where there is no sorted set to find the member in.
    Member(Option<Point>),
}

impl Center {
    /// Finds a member; a missing one is an error, unless there is no sorted set at all.
    fn member(zset: Option<&Zset>, member: &[u8]) -> Result<Self, CommandError> {
        let Some(zset) = zset else { return Ok(Center::Member(None)) };
        let point = locate(zset, member)
            .ok_or(CommandError::text("ERR could not decode requested zset member"))?;
        Ok(Center::Member(Some(point)))
    }

    fn point(self) -> Option<Point> {
        match self {
            Center::Point(point) => Some(point),
            Center::Member(point) => point,
        }
    }
}

/// A form, and metres in its unit.
type Extent = (Shape, f64);

/// Where the result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Distances are stored as scores, not positions.
    pub distances: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Query<'a> {
    center: Option<Center>,
    extent: Option<Extent>,
    with_distance: bool,
    with_hash: bool,
    with_position: bool,
    /// From near to far, or from far to near.
    order: Option<Order>,
    /// 0 is all.
    count: usize,
    /// Any of those in the area will do for the count.
    any: bool,
    /// To no key: to the client.
    pub store: Option<Store<'a>>,
}

/// How a command is to be read.
#[derive(Clone, Copy)]
pub struct Grammar<'z> {
    /// What the command is.
    pub form: Form,
    /// `STORE` and `STOREDIST` are options.
    pub may_store: bool,
    /// Where members are looked up.
    pub zset: Option<&'z Zset>,
}

impl<'a> Query<'a> {
    /// Reads a command. Members are looked up on the way, as Redis does: a missing one is the error
    /// even if another follows.
    pub fn parse(argv: Argv<'a>, grammar: Grammar<'_>) -> Result<Self, CommandError> {
        let mut query = Self::default();
        let first = match grammar.form {
            Form::AroundPoint => {
                query.center = Some(Center::Point(parse_point(argv[2], argv[3])?));
                query.extent = Some(parse_circle(argv[4], argv[5])?);
                6
            }
            Form::AroundMember => {
                query.center = Some(Center::member(grammar.zset, argv[2])?);
                // Without a sorted set nobody looks at the radius.
                if grammar.zset.is_some() {
                    query.extent = Some(parse_circle(argv[3], argv[4])?);
                }
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                query.store = Some(Store { key: argv[1], distances: false });
                3
            }
        };
        let mut rest = Cursor::new(argv, first);
        while let Some(word) = rest.next() {
            let is_taken = query.take_any(word, &mut rest)?
                || match grammar.form {
                    Form::Search | Form::SearchStore => {
                        query.take_search(word, &mut rest, grammar)?
                    }
                    _ => grammar.may_store && query.take_store(word, &mut rest)?,
                };
            if !is_taken {
                return Err(CommandError::Syntax);
            }
        }
        query.check(argv, grammar.form)?;
        Ok(query)
    }

    /// Options of all forms.
    fn take_any(&mut self, word: &[u8], rest: &mut Cursor<'a>) -> Result<bool, CommandError> {
        match word {
            _ if args::is(word, "WITHDIST") => self.with_distance = true,
            _ if args::is(word, "WITHHASH") => self.with_hash = true,
            _ if args::is(word, "WITHCOORD") => self.with_position = true,
            _ if args::is(word, "ANY") => self.any = true,
            _ if args::is(word, "ASC") => self.order = Some(Order::Ascending),
            _ if args::is(word, "DESC") => self.order = Some(Order::Descending),
            _ if args::is(word, "COUNT") && rest.left() >= 1 => {
                self.count = usize::try_from(rest.int()?).unwrap_or(0);
                if self.count == 0 {
                    return Err(CommandError::text("ERR COUNT must be > 0"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Options of GEORADIUS and GEORADIUSBYMEMBER.
    fn take_store(&mut self, word: &[u8], rest: &mut Cursor<'a>) -> Result<bool, CommandError> {
        let distances = args::is(word, "STOREDIST");
        if !distances && !args::is(word, "STORE") || rest.left() == 0 {
            return Ok(false);
        }
        self.store = Some(Store { key: rest.value()?, distances });
        Ok(true)
    }

    /// Options of GEOSEARCH and GEOSEARCHSTORE.
    fn take_search(
        &mut self,
        word: &[u8],
        rest: &mut Cursor<'a>,
        grammar: Grammar<'_>,
    ) -> Result<bool, CommandError> {
        let has_point = matches!(self.center, Some(Center::Point(_)));
        let has_member = matches!(self.center, Some(Center::Member(_)));
        let has_circle = matches!(self.extent, Some((Shape::Circle { .. }, _)));
        let has_rectangle = matches!(self.extent, Some((Shape::Rectangle { .. }, _)));
        match word {
            _ if args::is(word, "STOREDIST") && grammar.form == Form::SearchStore => {
                self.store = self.store.map(|store| Store { distances: true, ..store });
            }
            _ if args::is(word, "FROMMEMBER") && rest.left() >= 1 && !has_point => {
                self.center = Some(Center::member(grammar.zset, rest.value()?)?);
            }
            _ if args::is(word, "FROMLONLAT") && rest.left() >= 2 && !has_member => {
                let point = parse_point(rest.value()?, rest.value()?)?;
                self.center = Some(Center::Point(point));
            }
            _ if args::is(word, "BYRADIUS") && rest.left() >= 2 && !has_rectangle => {
                self.extent = Some(parse_circle(rest.value()?, rest.value()?)?);
            }
            _ if args::is(word, "BYBOX") && rest.left() >= 3 && !has_circle => {
                let (width, height) = (rest.value()?, rest.value()?);
                self.extent = Some(parse_rectangle(width, height, rest.value()?)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What is missing, and what does not go together.
    fn check(&self, argv: Argv<'_>, form: Form) -> Result<(), CommandError> {
        let is_search = matches!(form, Form::Search | Form::SearchStore);
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_position) {
            let what = if is_search { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(CommandError::owned(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let one_of = |what: &str| {
            let command = args::lossy(argv[0]);
            CommandError::owned(format!("ERR exactly one of {what} can be specified for {command}"))
        };
        if is_search && self.center.is_none() {
            return Err(one_of("FROMMEMBER or FROMLONLAT"));
        }
        if is_search && self.extent.is_none() {
            return Err(one_of("BYRADIUS and BYBOX"));
        }
        if self.any && self.count == 0 {
            return Err(CommandError::text("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The area, unless there is nothing to search.
    fn area(&self) -> Option<Area> {
        let (shape, unit_m) = self.extent?;
        Some(Area { center: self.center?.point()?, shape, unit_m })
    }

    /// The members that lie in the area, in order and cut to the count.
    pub fn run<'z>(&self, zset: &'z Zset) -> Vec<Hit<'z>> {
        let Some(area) = self.area() else { return Vec::new() };
        let enough = if self.any { self.count } else { usize::MAX };
        let mut hits = Vec::new();
        for scores in area.scores() {
            let ranks = zset.between(Edge::Score(scores.start), Edge::Score(scores.end));
            for (member, score) in zset.range(ranks) {
                if hits.len() >= enough {
                    break;
                }
                let point = Point::from_score(score);
                if let Some(distance_m) = area.distance_inside_m(point) {
                    hits.push(Hit { member, score, point, distance: distance_m / area.unit_m });
                }
            }
        }
        // The nearest are meant if the count leaves some out.
        let nearest = (self.count > 0 && !self.any).then_some(Order::Ascending);
        if let Some(order) = self.order.or(nearest) {
            hits.sort_by(|a, b| {
                let by_distance = a.distance.partial_cmp(&b.distance).unwrap_or(Ordering::Equal);
                if order == Order::Ascending { by_distance } else { by_distance.reverse() }
            });
        }
        if self.count > 0 {
            hits.truncate(self.count);
        }
        hits
    }

    pub fn reply(&self, hits: &[Hit<'_>], reply: &mut Reply<'_>) {
        let options = [self.with_distance, self.with_hash, self.with_position];
        let options = options.iter().filter(|option| **option).count();
        reply.array(hits.len());
        for hit in hits {
            if options > 0 {
                reply.array(options + 1);
            }
            reply_element(hit.member, reply);
            if self.with_distance {
                reply_distance(hit.distance, reply);
            }
            if self.with_hash {
                reply.int(hit.score as i64);
            }
            if self.with_position {
                reply_point(hit.point, reply);
            }
        }
    }
}

/// A member in the area.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'z> {
    member: Element<'z>,
    score: f64,
    point: Point,
    /// In the query's unit.
    distance: f64,
}

/// The result as a sorted set.
pub fn to_zset(hits: &[Hit<'_>], distances: bool, limits: ZsetLimits) -> Zset {
    let mut result = Zset::new();
    result.reserve(hits.len(), limits);
    let mut digits = IntBuf::new();
    for hit in hits {
        let score = if distances { hit.distance } else { hit.score };
        result.set(hit.member.text(&mut digits), score, limits);
    }
    result
}

fn parse_circle(radius: &[u8], unit: &[u8]) -> Result<Extent, CommandError> {
    let radius = parse_length(radius, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CommandError::text("ERR radius cannot be negative"));
    }
    Ok((Shape::Circle { radius }, parse_unit(unit)?))
}

fn parse_rectangle(width: &[u8], height: &[u8], unit: &[u8]) -> Result<Extent, CommandError> {
    let width = parse_length(width, "ERR need numeric width")?;
    let height = parse_length(height, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::text("ERR height or width cannot be negative"));
    }
    Ok((Shape::Rectangle { width, height }, parse_unit(unit)?))
}

fn parse_length(arg: &[u8], error: &'static str) -> Result<f64, CommandError> {
    number::parse_f64(arg).ok_or(CommandError::text(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&'static str], form: Form) -> Result<Query<'static>, CommandError> {
        let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let mut zset = Zset::new();
        zset.set(b"here", Point { longitude: 1.0, latitude: 2.0 }.to_score(), Default::default());
        Query::parse(Vec::leak(argv), Grammar { form, may_store: true, zset: Some(&zset) })
    }

    #[test]
    fn one_center_and_one_form_are_needed() {
        let search = |options: &[&'static str]| {
            parse(&[&["geosearch", "k"], options].concat(), Form::Search)
        };
        let around = ["FROMLONLAT", "1", "2", "BYRADIUS", "3", "km"];
        let query = search(&around).expect("valid");
        assert_eq!(query.extent, Some((Shape::Circle { radius: 3.0 }, 1000.0)));
        assert!(search(&["FROMMEMBER", "here", "BYBOX", "1", "2", "m", "ASC"]).is_ok());
        for bad in [
            &["FROMLONLAT", "1", "2", "FROMMEMBER", "here", "BYRADIUS", "3", "km"][..],
            &["FROMMEMBER", "here", "BYBOX", "1", "2", "m", "BYRADIUS", "3", "km"],
            &["FROMMEMBER", "here", "BYBOX", "1", "2"],
            &["FROMLONLAT", "1", "2", "BYRADIUS", "3", "km", "STORE", "x"],
            &["FROMLONLAT", "1", "2", "BYRADIUS", "3", "km", "STOREDIST"],
            &["COUNT"],
        ] {
            assert_eq!(search(bad), Err(CommandError::Syntax), "{bad:?}");
        }
        for (bad, text) in [
            (&["BYRADIUS", "3", "km"][..], "exactly one of FROMMEMBER or FROMLONLAT"),
            (&["FROMLONLAT", "1", "2"], "exactly one of BYRADIUS and BYBOX"),
            (&["FROMMEMBER", "there"], "could not decode requested zset member"),
            (&["FROMLONLAT", "181", "2"], "invalid longitude,latitude pair 181.000000,2.000000"),
            (&["FROMLONLAT", "1", "2", "BYRADIUS", "-1", "m"], "radius cannot be negative"),
            (&["FROMLONLAT", "1", "2", "BYRADIUS", "1", "x"], "unsupported unit"),
            (&["COUNT", "0"], "COUNT must be > 0"),
        ] {
            let error = search(bad).expect_err("invalid").to_string();
            assert!(error.contains(text), "{bad:?}: {error}");
        }
    }

    #[test]
    fn what_is_stored_has_no_options_for_replies() {
        let radius = ["GEORADIUS", "k", "1", "2", "3", "km"];
        let query =
            |options: &[&'static str]| parse(&[&radius[..], options].concat(), Form::AroundPoint);
        let stored = query(&["STOREDIST", "to", "COUNT", "3", "ANY"]).expect("valid");
        assert_eq!(stored.store, Some(Store { key: b"to", distances: true }));
        assert!(query(&["STORE", "to", "WITHDIST"]).is_err());
        assert!(query(&["ANY"]).is_err());
        assert_eq!(query(&["FROMMEMBER", "here"]), Err(CommandError::Syntax));
    }
}
