//! Where on Earth does a score point to? Positions as the 52-bit numbers that sorted sets hold, and the
//! cells of the grid that cover an area.
//!
//! Longitude and latitude are cut into 2^26 steps each, and the bits of the two are interleaved, the
//! longitude's higher: so what begins with the same bits lies in the same cell of a coarser grid, and a
//! cell is a range of scores. An area is searched by the cell that its centre is in and the eight around
//! it, of a size that makes them cover it.
//!
//! Steps, constants and the order of the arithmetic are Redis's, since scores are stored and compared
//! and distances are printed. The Earth is a ball for distances (haversine).

use std::ops::Range;

/// A position in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Degrees east.
    pub longitude: f64,
    /// Degrees north.
    pub latitude: f64,
}

/// Limits of what has a score: those of the web's map projection.
const LONGITUDE_MAX: f64 = 180.0;
const LATITUDE_MAX: f64 = 85.05112878;
/// The limits of the geohashes that others know.
const LATITUDE_MAX_STANDARD: f64 = 90.0;

/// Steps of each coordinate, as a power of two.
const STEP_MAX: u32 = 26;
/// The first score that is too large for 64 bits.
const BITS_END: f64 = 18_446_744_073_709_551_616.0;
const EARTH_RADIUS_M: f64 = 6_372_797.560856;
/// Half of the circumference on the map.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
const DEGREE: f64 = std::f64::consts::PI / 180.0;

impl Point {
    /// Whether there is a score for the position.
    pub fn is_valid(self) -> bool {
        (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&self.longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&self.latitude)
    }

    /// The score of a valid position.
    pub fn to_score(self) -> f64 {
        Cell::around(self, STEP_MAX, LATITUDE_MAX).bits as f64
    }

    /// The middle of the cell that a score stands for, any score.
    pub fn from_score(score: f64) -> Self {
        // Negative scores mean nothing, but must point somewhere.
        // What is no 64-bit number is what x86-64 makes of it, and Redis with it: nothing of a large one.
        let bits = if score < 0.0 {
            score as i64 as u64
        } else if score < BITS_END {
            score as u64
        } else {
            0
        };
        let area = Cell { bits, step: STEP_MAX }.area();
        let middle =
            |range: Range<f64>, max: f64| ((range.start + range.end) / 2.0).clamp(-max, max);
        Self {
            longitude: middle(area.longitude, LONGITUDE_MAX),
            latitude: middle(area.latitude, LATITUDE_MAX),
        }
    }

    /// The geohash in the usual alphabet. Eleven characters are 55 bits: the last one is made up.
    pub fn to_geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::around(self, STEP_MAX, LATITUDE_MAX_STANDARD).bits;
        let mut text = [b'0'; 11];
        for (at, byte) in text[..10].iter_mut().enumerate() {
            *byte = ALPHABET[(bits >> (52 - (at + 1) * 5) & 0x1f) as usize];
        }
        text
    }

    /// Distance in metres.
    pub fn distance_m(self, other: Point) -> f64 {
        let half = ((other.longitude * DEGREE - self.longitude * DEGREE) / 2.0).sin();
        if half == 0.0 {
            return self.latitude_distance_m(other);
        }
        let (from, to) = (self.latitude * DEGREE, other.latitude * DEGREE);
        let up = ((to - from) / 2.0).sin();
        let chord = up * up + from.cos() * to.cos() * half * half;
        2.0 * EARTH_RADIUS_M * chord.sqrt().asin()
    }

    /// The part of the distance that goes along a meridian.
    fn latitude_distance_m(self, other: Point) -> f64 {
        EARTH_RADIUS_M * (other.latitude * DEGREE - self.latitude * DEGREE).abs()
    }
}

/// A cell of the grid with 2^step cells in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    step: u32,
}

/// The degrees that a cell covers.
struct CellArea {
    longitude: Range<f64>,
    latitude: Range<f64>,
}

impl Cell {
    fn around(point: Point, step: u32, latitude_max: f64) -> Self {
        let steps = (1u64 << step) as f64;
        let part = |degrees: f64, max: f64| ((degrees + max) / (max + max) * steps) as u32;
        let latitude = part(point.latitude, latitude_max);
        let longitude = part(point.longitude, LONGITUDE_MAX);
        Self { bits: interleave(latitude, longitude), step }
    }

    fn area(self) -> CellArea {
        let steps = (1u64 << self.step) as f64;
        let (latitude, longitude) = deinterleave(self.bits);
        let degrees = |part: u32, max: f64| {
            let at = |part: u32| -max + f64::from(part) / steps * (max + max);
            at(part)..at(part.wrapping_add(1))
        };
        CellArea {
            longitude: degrees(longitude, LONGITUDE_MAX),
            latitude: degrees(latitude, LATITUDE_MAX),
        }
    }

    /// The cell so many to the east and to the north; the map goes round.
    fn neighbour(self, east: i32, north: i32) -> Self {
        let mask = (1u32 << self.step) - 1;
        let go =
            |part: u32, by: i32| if by == 0 { part } else { part.wrapping_add_signed(by) & mask };
        let (latitude, longitude) = deinterleave(self.bits);
        Self { bits: interleave(go(latitude, north), go(longitude, east)), ..self }
    }

    /// The scores of positions in the cell.
    fn scores(self) -> Range<f64> {
        let shift = 2 * (STEP_MAX - self.step);
        (self.bits << shift) as f64..((self.bits + 1) << shift) as f64
    }
}

/// Puts the bits of `even` at even places and those of `odd` at odd ones.
fn interleave(even: u32, odd: u32) -> u64 {
    spread(even) | spread(odd) << 1
}

fn deinterleave(bits: u64) -> (u32, u32) {
    (gather(bits), gather(bits >> 1))
}

/// Moves bit n to place 2n, halving the distance in each line.
fn spread(bits: u32) -> u64 {
    let mut wide = u64::from(bits);
    wide = (wide | wide << 16) & 0x0000_ffff_0000_ffff;
    wide = (wide | wide << 8) & 0x00ff_00ff_00ff_00ff;
    wide = (wide | wide << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    wide = (wide | wide << 2) & 0x3333_3333_3333_3333;
    (wide | wide << 1) & 0x5555_5555_5555_5555
}

/// Moves bit 2n to place n.
fn gather(bits: u64) -> u32 {
    let mut dense = bits & 0x5555_5555_5555_5555;
    dense = (dense | dense >> 1) & 0x3333_3333_3333_3333;
    dense = (dense | dense >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    dense = (dense | dense >> 4) & 0x00ff_00ff_00ff_00ff;
    dense = (dense | dense >> 8) & 0x0000_ffff_0000_ffff;
    (dense | dense >> 16) as u32
}

/// The form of an area, in units of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// All within a distance.
    Circle {
        /// The distance.
        radius: f64,
    },
    /// All within half of a width to the east and west, and half of a height to the north and south.
    Rectangle {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

/// An area around a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The centre.
    pub center: Point,
    /// The form.
    pub shape: Shape,
    /// Metres in a unit of the form.
    pub unit_m: f64,
}

impl Area {
    /// The distance in metres of a point from the centre, if it lies in the area.
    pub fn distance_inside_m(&self, point: Point) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => {
                let distance = self.center.distance_m(point);
                (distance <= radius * self.unit_m).then_some(distance)
            }
            Shape::Rectangle { width, height } => {
                let up = point.latitude_distance_m(self.center);
                if up > height * self.unit_m / 2.0 {
                    return None;
                }
                let level = Point { longitude: self.center.longitude, ..point };
                let aside = point.distance_m(level);
                (aside <= width * self.unit_m / 2.0).then(|| self.center.distance_m(point))
            }
        }
    }

    /// Ranges of scores that have all points of the area and some around it; none is empty, and none
    /// comes twice in a row.
    pub fn scores(&self) -> Vec<Range<f64>> {
        let mut cells: Vec<Cell> = self.cells();
        cells.dedup();
        cells.into_iter().map(Cell::scores).collect()
    }

    /// The centre's cell and those of its neighbours that may have a part of the area.
    fn cells(&self) -> Vec<Cell> {
        let bounds = self.bounds();
        let mut step = self.step();
        let mut center = Cell::around(self.center, step, LATITUDE_MAX);
        if step > 1 && !covers(center, &bounds) {
            step -= 1;
            center = Cell::around(self.center, step, LATITUDE_MAX);
        }
        // The neighbours of the coarsest grid are all there is.
        let own = center.area();
        let skip = |east: i32, north: i32| {
            step >= 2
                && (north < 0 && own.latitude.start < bounds.latitude.start
                    || north > 0 && own.latitude.end > bounds.latitude.end
                    || east < 0 && own.longitude.start < bounds.longitude.start
                    || east > 0 && own.longitude.end > bounds.longitude.end)
        };
        let order = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let kept = order.into_iter().filter(|(east, north)| !skip(*east, *north));
        kept.map(|(east, north)| center.neighbour(east, north)).collect()
    }

    /// Degrees between which the area lies, roughly: its sides are taken at the latitude where a degree
    /// is shortest in the north, and longest in the south, as Redis does.
    fn bounds(&self) -> CellArea {
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (self.unit_m * radius, self.unit_m * radius),
            Shape::Rectangle { width, height } => {
                (self.unit_m * (width / 2.0), self.unit_m * (height / 2.0))
            }
        };
        let Point { longitude, latitude } = self.center;
        let up = height / EARTH_RADIUS_M / DEGREE;
        let at = if latitude < 0.0 { latitude - up } else { latitude + up };
        let aside = width / EARTH_RADIUS_M / (at * DEGREE).cos() / DEGREE;
        CellArea {
            longitude: longitude - aside..longitude + aside,
            latitude: latitude - up..latitude + up,
        }
    }

    /// How fine the grid is whose nine cells cover the area, most of the time.
    fn step(&self) -> u32 {
        let radius = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        let mut reach = radius * self.unit_m;
        if reach == 0.0 {
            return STEP_MAX;
        }
        let mut step: i32 = 1;
        while reach < MERCATOR_MAX_M {
            reach *= 2.0;
            step += 1;
        }
        step -= 2;
        // Cells are narrower towards the poles.
        let latitude = self.center.latitude.abs();
        step -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        step.clamp(1, STEP_MAX as i32) as u32
    }
}

/// Whether the neighbours of a cell reach as far as an area on all sides.
fn covers(center: Cell, bounds: &CellArea) -> bool {
    let area = |east, north| center.neighbour(east, north).area();
    let is_short = area(0, 1).latitude.end < bounds.latitude.end
        || area(0, -1).latitude.start > bounds.latitude.start
        || area(1, 0).longitude.end < bounds.longitude.end
        || area(-1, 0).longitude.start > bounds.longitude.start;
    !is_short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Point = Point { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn known_places_have_their_scores_and_hashes() {
        assert_eq!(PALERMO.to_score(), 3479099956230698.0);
        assert_eq!(CATANIA.to_score(), 3479447370796909.0);
        let stored = Point::from_score(PALERMO.to_score());
        assert_eq!(&stored.to_geohash(), b"sqc8b49rny0");
        let distance = stored.distance_m(Point::from_score(CATANIA.to_score()));
        assert!((distance - 166274.1516).abs() < 0.0001, "{distance}");
    }

    #[test]
    fn any_score_points_somewhere() {
        for score in [0.0, -1.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, 0.5, -1e300] {
            assert!(Point::from_score(score).is_valid(), "{score}");
        }
        assert!(!Point { longitude: 180.1, latitude: 0.0 }.is_valid());
        assert!(!Point { longitude: 0.0, latitude: 85.06 }.is_valid());
        assert!(!Point { longitude: f64::NAN, latitude: 0.0 }.is_valid());
    }

    fn point() -> impl Strategy<Value = Point> {
        let point = |(longitude, latitude)| Point { longitude, latitude };
        (-180.0..=180.0f64, -85.0..=85.0f64).prop_map(point)
    }

    proptest! {
        #[test]
        fn bits_are_interleaved_and_back(even: u32, odd: u32) {
            prop_assert_eq!(deinterleave(interleave(even, odd)), (even, odd));
        }

        #[test]
        fn a_score_keeps_the_position(point in point()) {
            let back = Point::from_score(point.to_score());
            prop_assert!(point.distance_m(back) < 1.0);
            prop_assert_eq!(back.to_score(), point.to_score());
        }

        /// Areas that do not reach over the map's edges, where the grid is exact.
        #[test]
        fn an_area_is_covered_by_its_cells(
            longitude in -150.0..150.0f64,
            latitude in -60.0..60.0f64,
            radius in 1.0..400_000.0f64,
            angle in 0.0..std::f64::consts::TAU,
            part in 0.0..1.0f64,
        ) {
            let center = Point { longitude, latitude };
            let area = Area { center, shape: Shape::Circle { radius }, unit_m: 1.0 };
            let away = radius * part / EARTH_RADIUS_M / DEGREE;
            let point = Point {
                longitude: longitude + away * angle.cos() / (latitude * DEGREE).cos(),
                latitude: latitude + away * angle.sin(),
            };
            if area.distance_inside_m(point).is_some() {
                let score = point.to_score();
                prop_assert!(area.scores().iter().any(|range| range.contains(&score)));
            }
        }

        #[test]
        fn any_area_has_ranges_in_order(
            center in point(),
            radius in 0.0..1e9f64,
            width in 0.0..1e9f64,
        ) {
            for shape in [
                Shape::Circle { radius },
                Shape::Rectangle { width, height: radius },
            ] {
                let ranges = Area { center, shape, unit_m: 1.0 }.scores();
                prop_assert!((1..=9).contains(&ranges.len()));
                prop_assert!(ranges.iter().all(|range| range.start < range.end));
            }
        }
    }
}
