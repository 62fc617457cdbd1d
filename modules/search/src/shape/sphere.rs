//! How does a shape of the sphere look on a plane?
//!
//! By the gnomonic projection: places are seen from the middle of the earth on the plane that touches it at a chosen
//! middle. Great circles become straight lines, so whether edges cross and what they surround stays as it is. Only the
//! hemisphere around the middle is seen.

use crate::shape::plane::{Outline, Ring, XY};
use crate::shape::{Bounds, Shape};

/// A place as a vector from the middle of the earth.
type Vector = [f64; 3];

/// How far above the rim of the hemisphere a place must lie to be drawn: about 0.06 degrees.
const RIM: f64 = 1e-3;

fn vector(place: XY) -> Vector {
    let (lon, lat) = (place.x.to_radians(), place.y.to_radians());
    [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn unit(a: Vector) -> Option<Vector> {
    let length = dot(a, a).sqrt();
    (length > 1e-9).then(|| a.map(|part| part / length))
}

/// The middle of a shape's corners; none if they balance around the earth.
fn middle(shape: &Shape) -> Option<Vector> {
    let sum = shape
        .corners()
        .map(vector)
        .fold([0.0; 3], |sum, v| [sum[0] + v[0], sum[1] + v[1], sum[2] + v[2]]);
    unit(sum)
}

/// Refuses places that the globe does not have.
pub fn check(shape: &Shape) -> Result<(), String> {
    let on_earth =
        |place: XY| (-180.0..=180.0).contains(&place.x) && (-90.0..=90.0).contains(&place.y);
    match shape.corners().all(on_earth) {
        true => Ok(()),
        false => Err("invalid geometry: Geometry has invalid coordinate(s)".to_owned()),
    }
}

/// A plane that touches the sphere.
struct Plane {
    middle: Vector,
    right: Vector,
    up: Vector,
}

impl Plane {
    fn at(middle: Vector) -> Plane {
        // Any direction that is not the middle's own.
        let away = if middle[2].abs() < 0.9 { [0.0, 0.0, 1.0] } else { [1.0, 0.0, 0.0] };
        let right = unit(cross(away, middle)).expect("the two are far from parallel");
        Plane { middle, right, up: cross(middle, right) }
    }

    /// How far above the rim a place lies.
    fn height(&self, v: Vector) -> f64 {
        dot(self.middle, v) - RIM
    }

    fn place(&self, v: Vector) -> XY {
        let depth = dot(self.middle, v);
        XY { x: dot(self.right, v) / depth, y: dot(self.up, v) / depth }
    }

    /// A ring without what lies beyond the rim; empty if all of it does.
    fn ring(&self, ring: &Ring) -> Ring {
        let vectors: Vec<Vector> = ring.iter().map(|corner| vector(*corner)).collect();
        let next = vectors.iter().cycle().skip(1);
        let mut drawn = Vec::with_capacity(ring.len());
        for (from, to) in vectors.iter().zip(next) {
            let (h1, h2) = (self.height(*from), self.height(*to));
            if h1 >= 0.0 {
                drawn.push(self.place(*from));
            }
            if (h1 >= 0.0) != (h2 >= 0.0) {
                let t = h1 / (h1 - h2);
                let at = |axis: usize| from[axis] + (to[axis] - from[axis]) * t;
                drawn.push(self.place([at(0), at(1), at(2)]));
            }
        }
        drawn
    }
}

/// A shape on the plane at its own middle.
pub fn around_itself(shape: &Shape) -> Result<Shape, String> {
    let too_large = || "invalid geometry: the shape does not fit into a hemisphere".to_owned();
    match draw(shape, shape) {
        Some((drawn, true)) => Ok(drawn),
        _ => Err(too_large()),
    }
}

/// A shape on the plane at the middle of another, and whether it is all there; none if nothing of it is seen.
pub fn draw(shape: &Shape, around: &Shape) -> Option<(Shape, bool)> {
    let plane = Plane::at(middle(around)?);
    match shape {
        Shape::Point(point) => {
            let v = vector(*point);
            (plane.height(v) >= 0.0).then(|| (Shape::Point(plane.place(v)), true))
        }
        Shape::Polygon(outline) => {
            let whole = outline.corners().all(|corner| plane.height(vector(corner)) >= 0.0);
            let (outer, holes) = outline.rings().split_first()?;
            let outer = Some(plane.ring(outer)).filter(|ring| ring.len() >= 3)?;
            let holes = holes.iter().map(|hole| plane.ring(hole)).filter(|ring| ring.len() >= 3);
            let rings = std::iter::once(outer).chain(holes).collect();
            Some((Shape::Polygon(Outline::new(rings)), whole))
        }
    }
}

/// A box of space that holds the shape: that of the cap around its middle. Edges do not leave a cap that is less than
/// a hemisphere.
pub fn bounds(shape: &Shape) -> Bounds {
    let all = Bounds { min: [-1.1; 3], max: [1.1; 3] };
    let Some(middle) = middle(shape) else { return all };
    let least = shape.corners().map(|corner| dot(middle, vector(corner))).fold(1.0, f64::min);
    if least <= 0.0 {
        return all;
    }
    // The straight distance from the middle to the rim of the cap.
    let chord = (2.0 - 2.0 * least).max(0.0).sqrt() + 1e-9;
    let corner = |sign: f64| middle.map(|part| part + sign * chord);
    Bounds::around([corner(-1.0), corner(1.0)].into_iter())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shape::{Question, Relation, Surface};

    proptest! {
        /// A circle of corners around a middle holds what is clearly nearer and not what is clearly farther.
        #[test]
        fn a_ring_of_corners_is_a_cap(
            lon in -180.0..180.0f64, lat in -85.0..85.0f64, degrees in 1.0..60.0f64,
            bearing in 0.0..6.0f64, part in prop_oneof![0.0..0.95f64, 1.05..3.0f64],
        ) {
            let go = |bearing: f64, degrees: f64| {
                let (lat, angle) = (lat.to_radians(), degrees.to_radians());
                let sine = lat.sin() * angle.cos() + lat.cos() * angle.sin() * bearing.cos();
                let there = sine.clamp(-1.0, 1.0).asin();
                let east = (bearing.sin() * angle.sin() * lat.cos()).atan2(angle.cos() - lat.sin() * sine);
                let mut lon = lon + east.to_degrees();
                lon -= 360.0 * ((lon + 180.0) / 360.0).floor();
                (lon, there.to_degrees())
            };
            let corners: Vec<String> = (0..64)
                .map(|at| go(f64::from(at) / 64.0 * std::f64::consts::TAU, degrees))
                .map(|(lon, lat)| format!("{lon} {lat}"))
                .collect();
            let cap = format!("POLYGON(({}))", corners.join(", "));
            let degrees = (part * degrees).min(179.0);
            let (lon, lat) = go(bearing, degrees);
            let point = Shape::parse(format!("POINT({lon} {lat})").as_bytes(), Surface::Spherical).unwrap();
            let question = Question::new(Relation::Intersects, cap.as_bytes(), Surface::Spherical).unwrap();
            prop_assert_eq!(question.matches(&point), part < 1.0);
            let turned = format!("POINT({lon} {lat})");
            let question = Question::new(Relation::Contains, turned.as_bytes(), Surface::Spherical).unwrap();
            let cap = Shape::parse(cap.as_bytes(), Surface::Spherical).unwrap();
            prop_assert_eq!(question.matches(&cap), part < 1.0);
            if part < 1.0 {
                prop_assert!(question.bounds().touches(&cap.bounds(Surface::Spherical)));
            }
        }
    }
}
