//! Where on earth is a document, and how far is that from somewhere?
//!
//! The earth is Redis's sphere: distances are those of GEODIST. Points are held as 64-bit codes whose bits are those of
//! longitude and latitude in turn, good to a centimetre: what is near on earth is mostly near in the order of codes.

pub mod points;

use crate::args::{lossy, parse_number};

/// Radius of the sphere, in metres.
const EARTH_METRES: f64 = 6_372_797.560_856;
/// Latitudes beyond these have no place on the maps of EPSG:900913; RediSearch refuses them.
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;

/// A place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Degrees to the east.
    pub longitude: f64,
    /// Degrees to the north.
    pub latitude: f64,
}

impl Point {
    /// Reads `lon,lat` or `lon lat`.
    pub fn parse(text: &[u8]) -> Result<Point, String> {
        let format = || "Invalid lon/lat format. Use \"lon lat\" or \"lon,lat\"".to_owned();
        let text = text.trim_ascii();
        let comma = text.iter().position(|byte| *byte == b',');
        let cut =
            comma.or_else(|| text.iter().position(|byte| *byte == b' ')).ok_or_else(format)?;
        let longitude = parse_number(&text[..cut]).ok_or_else(format)?;
        let latitude = parse_number(&text[cut + 1..]).ok_or_else(format)?;
        if longitude.abs() > LONGITUDE_MAX || latitude.abs() > LATITUDE_MAX {
            return Err(format!("Invalid geo coordinates: {longitude:.6}, {latitude:.6}"));
        }
        Ok(Point { longitude, latitude })
    }

    /// Metres between two places along the sphere.
    pub fn distance(self, other: Point) -> f64 {
        let (lat1, lat2) = (self.latitude.to_radians(), other.latitude.to_radians());
        let v = ((other.longitude.to_radians() - self.longitude.to_radians()) / 2.0).sin();
        if v == 0.0 {
            return EARTH_METRES * (lat2 - lat1).abs();
        }
        let u = ((lat2 - lat1) / 2.0).sin();
        2.0 * EARTH_METRES * (u * u + lat1.cos() * lat2.cos() * v * v).sqrt().min(1.0).asin()
    }

    /// Its code.
    pub fn code(self) -> u64 {
        interleave(longitude_cell(self.longitude), latitude_cell(self.latitude))
    }

    /// The place that a code stands for: the middle of its cell.
    pub fn of_code(code: u64) -> Point {
        let degree =
            |cell: u32, whole: f64| (f64::from(cell) + 0.5) / 2f64.powi(32) * whole - whole / 2.0;
        let (x, y) = (squeeze(code), squeeze(code >> 1));
        Point { longitude: degree(x, 360.0), latitude: degree(y, 180.0) }
    }
}

/// Which of 2^32 strips a longitude lies in.
fn longitude_cell(degrees: f64) -> u32 {
    // A float that is out of range saturates.
    ((degrees + 180.0) / 360.0 * 2f64.powi(32)) as u32
}

/// As `longitude_cell`.
fn latitude_cell(degrees: f64) -> u32 {
    ((degrees + 90.0) / 180.0 * 2f64.powi(32)) as u32
}

/// Puts the bits of `x` on even places and those of `y` on odd ones.
fn interleave(x: u32, y: u32) -> u64 {
    spread(x) | spread(y) << 1
}

fn spread(value: u32) -> u64 {
    let mut bits = u64::from(value);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// The bits on even places.
fn squeeze(code: u64) -> u32 {
    let mut bits = code & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

/// All places within some distance of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circle {
    /// The middle.
    pub center: Point,
    /// The distance, in metres.
    pub metres: f64,
}

/// A rectangle of cells, both ends inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cells {
    x: (u32, u32),
    y: (u32, u32),
}

/// Cells per side that a rectangle is covered with, at most.
const COVER_SIDE: u32 = 4;

impl Circle {
    /// A circle out of the numbers and the unit of a clause.
    pub fn new(lon: f64, lat: f64, radius: f64, unit: &[u8]) -> Result<Circle, &'static str> {
        let factor = unit_metres(unit).ok_or("Invalid GeoFilter unit")?;
        if lat.abs() > 90.0 || lon.abs() > LONGITUDE_MAX {
            return Err("Invalid GeoFilter lat/lon");
        }
        if radius <= 0.0 || radius.is_nan() {
            return Err("Invalid GeoFilter radius");
        }
        Ok(Circle { center: Point { longitude: lon, latitude: lat }, metres: radius * factor })
    }

    /// Whether a place lies inside.
    pub fn contains(&self, point: Point) -> bool {
        self.center.distance(point) <= self.metres
    }

    /// Rectangles of cells that together hold the circle: two if it reaches over the 180th meridian.
    fn rectangles(&self) -> Vec<Cells> {
        // A little more than the angle, so that rounding leaves nothing out.
        let angle = (self.metres / EARTH_METRES) * (1.0 + 1e-9) + 1e-9;
        let lat = self.center.latitude.to_radians();
        let (south, north) = (lat - angle, lat + angle);
        let quarter = std::f64::consts::FRAC_PI_2;
        let y = (latitude_cell(south.to_degrees()), latitude_cell(north.to_degrees()));
        if south <= -quarter || north >= quarter {
            return vec![Cells { x: (0, u32::MAX), y }];
        }
        let width = (angle.sin() / lat.cos()).min(1.0).asin().to_degrees() + 1e-7;
        let (west, east) = (self.center.longitude - width, self.center.longitude + width);
        let strip = |from: f64, to: f64| Cells { x: (longitude_cell(from), longitude_cell(to)), y };
        if west < -180.0 {
            vec![strip(-180.0, east), strip(west + 360.0, 180.0)]
        } else if east > 180.0 {
            vec![strip(west, 180.0), strip(-180.0, east - 360.0)]
        } else {
            vec![strip(west, east)]
        }
    }

    /// Ranges of codes, both ends inside, that together hold the circle's: few, rising, apart from each other.
    fn code_ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = self.rectangles().iter().flat_map(cover).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last)
                }
                _ => merged.push((first, last)),
            }
        }
        merged
    }
}

/// The codes of the squares of one size that a rectangle touches.
fn cover(cells: &Cells) -> Vec<(u64, u64)> {
    let spans = |shift: u32| {
        let side = |(from, to): (u32, u32)| (to >> shift) - (from >> shift) < COVER_SIDE;
        side(cells.x) && side(cells.y)
    };
    let shift = (0..31).find(|shift| spans(*shift)).unwrap_or(31);
    let mut ranges = Vec::new();
    for y in cells.y.0 >> shift..=cells.y.1 >> shift {
        for x in cells.x.0 >> shift..=cells.x.1 >> shift {
            let first = interleave(x << shift, y << shift);
            ranges.push((first, first | ((1u64 << (2 * shift)) - 1)));
        }
    }
    ranges
}

/// How many metres a unit has.
pub fn unit_metres(unit: &[u8]) -> Option<f64> {
    match unit.to_ascii_lowercase().as_slice() {
        b"m" => Some(1.0),
        b"km" => Some(1000.0),
        b"ft" => Some(0.3048),
        b"mi" => Some(1609.34),
        _ => None,
    }
}

/// A text that names no unit, as the error of GEOFILTER shows it.
pub fn unknown_unit(unit: &[u8]) -> String {
    format!("Unknown distance unit {}", lossy(unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_become_points() {
        let point = |longitude, latitude| Ok(Point { longitude, latitude });
        assert_eq!(Point::parse(b"29.69465, 34.95126"), point(29.69465, 34.95126));
        assert_eq!(Point::parse(b"-1.5 2"), point(-1.5, 2.0));
        assert!(Point::parse(b"1").unwrap_err().starts_with("Invalid lon/lat format"));
        assert!(Point::parse(b"1,2,3").unwrap_err().starts_with("Invalid lon/lat format"));
        assert_eq!(
            Point::parse(b"1,86").unwrap_err(),
            "Invalid geo coordinates: 1.000000, 86.000000"
        );
    }

    /// Palermo and Catania, the figure that Redis's documentation gives for GEODIST.
    #[test]
    fn distances_are_those_of_geodist() {
        let palermo = Point { longitude: 13.361_389, latitude: 38.115_556 };
        let catania = Point { longitude: 15.087_269, latitude: 37.502_669 };
        assert!((palermo.distance(catania) - 166_274.15).abs() < 1.0);
    }

    #[test]
    fn clauses_are_checked_as_redisearch_does() {
        assert_eq!(Circle::new(0.0, 0.0, 1.0, b"parsec").unwrap_err(), "Invalid GeoFilter unit");
        assert_eq!(Circle::new(0.0, 91.0, 1.0, b"m").unwrap_err(), "Invalid GeoFilter lat/lon");
        assert_eq!(Circle::new(0.0, 0.0, 0.0, b"m").unwrap_err(), "Invalid GeoFilter radius");
        assert_eq!(Circle::new(0.0, 0.0, 2.0, b"KM").map(|circle| circle.metres), Ok(2000.0));
    }

    proptest! {
        #[test]
        fn codes_keep_places(longitude in -180.0..180.0f64, latitude in -85.0..85.0f64) {
            let point = Point { longitude, latitude };
            prop_assert!(point.distance(Point::of_code(point.code())) < 0.02);
        }

        #[test]
        fn ranges_hold_the_circle(
            center in (-180.0..180.0f64, -90.0..90.0f64), metres in prop_oneof![1.0..1e5f64, 1.0..2.1e7f64],
            bearing in 0.0..6.0f64, part in 0.0..1.0f64,
        ) {
            let center = Point { longitude: center.0, latitude: center.1 };
            let circle = Circle { center, metres };
            // A place in this direction, at a part of the distance.
            let (lat, angle) = (center.latitude.to_radians(), part * metres / EARTH_METRES);
            let sine = lat.sin() * angle.cos() + lat.cos() * angle.sin() * bearing.cos();
            let there = sine.clamp(-1.0, 1.0).asin();
            let east = (bearing.sin() * angle.sin() * lat.cos()).atan2(angle.cos() - lat.sin() * sine);
            let mut longitude = center.longitude + east.to_degrees();
            longitude -= 360.0 * ((longitude + 180.0) / 360.0).floor();
            let point = Point { longitude, latitude: there.to_degrees() };
            prop_assume!(point.latitude.abs() <= LATITUDE_MAX && circle.contains(point));
            let code = point.code();
            let ranges = circle.code_ranges();
            prop_assert!(ranges.iter().any(|(first, last)| (*first..=*last).contains(&code)));
            prop_assert!(ranges.len() <= 2 * (COVER_SIDE * COVER_SIDE) as usize);
        }
    }
}
