//! How do two shapes of a plane stand to each other?
//!
//! A polygon is what an odd number of its rings surround: the outer ring less the holes. Its border belongs to it.
//! "Within" wants the inside: a point on the border of a polygon is not within it, but two polygons may share borders.
//! Places nearer to a line than rounding errors reach count as on it.

use crate::shape::Shape;

/// A place of the plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct XY {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
}

/// Corners, each joined to the next and the last one to the first.
pub type Ring = Vec<XY>;

/// A polygon: the outer ring, then the holes.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    rings: Vec<Ring>,
}

/// Where a place lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Inside,
    Border,
    Outside,
}

/// Relative size of the rounding errors of `turn`.
const ROUNDING: f64 = 8.0 * f64::EPSILON;

/// On which side of the line from `a` to `b` the place `c` lies: positive to the left, zero on it.
fn turn(a: XY, b: XY, c: XY) -> f64 {
    let left = (b.x - a.x) * (c.y - a.y);
    let right = (b.y - a.y) * (c.x - a.x);
    // Differences of coordinates carry errors of the size of the coordinates themselves.
    let size = |p: XY| p.x.abs().max(p.y.abs());
    let coordinates = size(a).max(size(b)).max(size(c));
    let spread = (b.x - a.x).abs() + (b.y - a.y).abs() + (c.x - a.x).abs() + (c.y - a.y).abs();
    let error = ROUNDING * (left.abs() + right.abs() + coordinates * spread);
    let turn = left - right;
    if turn.abs() <= error { 0.0 } else { turn }
}

/// Whether `c`, on the line through `a` and `b`, lies between them.
fn between(a: XY, b: XY, c: XY) -> bool {
    let inside = |from: f64, to: f64, value: f64| from.min(to) <= value && value <= from.max(to);
    inside(a.x, b.x, c.x) && inside(a.y, b.y, c.y)
}

/// Whether two stretches have a place in common.
fn meet(a: XY, b: XY, c: XY, d: XY) -> bool {
    let apart = |p: f64, q: f64, r: f64, s: f64| p.max(q) < r.min(s) || r.max(s) < p.min(q);
    if apart(a.x, b.x, c.x, d.x) || apart(a.y, b.y, c.y, d.y) {
        return false;
    }
    let (t1, t2) = (turn(a, b, c), turn(a, b, d));
    let (t3, t4) = (turn(c, d, a), turn(c, d, b));
    if t1 * t2 < 0.0 && t3 * t4 < 0.0 {
        return true;
    }
    (t1 == 0.0 && between(a, b, c))
        || (t2 == 0.0 && between(a, b, d))
        || (t3 == 0.0 && between(c, d, a))
        || (t4 == 0.0 && between(c, d, b))
}

fn edges(ring: &[XY]) -> impl Iterator<Item = (XY, XY)> + '_ {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(from, to)| (*from, *to))
}

impl Outline {
    /// A polygon of these rings, each of at least three corners.
    pub fn new(rings: Vec<Ring>) -> Outline {
        debug_assert!(rings.iter().all(|ring| ring.len() >= 3));
        Outline { rings }
    }

    /// All its corners.
    pub fn corners(&self) -> impl Iterator<Item = XY> {
        self.rings.iter().flatten().copied()
    }

    /// The polygon with each corner moved.
    pub fn map(&self, mut to: impl FnMut(XY) -> XY) -> Outline {
        let ring = |ring: &Ring| ring.iter().map(|corner| to(*corner)).collect();
        Outline { rings: self.rings.iter().map(ring).collect() }
    }

    /// Its rings.
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    fn edges(&self) -> impl Iterator<Item = (XY, XY)> {
        self.rings.iter().flat_map(|ring| edges(ring))
    }

    /// Refuses rings that cross or touch themselves or each other along a stretch, and holes outside.
    pub fn check(&self) -> Result<(), String> {
        let invalid = |why: &str| Err(format!("invalid geometry: {why}"));
        if self.has_crossing() {
            return invalid("Geometry has invalid self-intersections");
        }
        for ring in &self.rings {
            let doubled_area: f64 = edges(ring).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
            if doubled_area == 0.0 || !doubled_area.is_finite() {
                return invalid("Geometry has spikes or wrong topological dimension");
            }
        }
        let outer = Outline { rings: self.rings[..1].to_vec() };
        let inside = |hole: &Ring| hole.iter().all(|corner| outer.side(*corner) != Side::Outside);
        if !self.rings[1..].iter().all(inside) {
            return invalid("Geometry has interior rings defined outside the outer boundary");
        }
        Ok(())
    }

    /// Whether two edges cross that are not neighbours. A sweep from left to right: only edges above the same stretch
    /// of the axis are compared.
    fn has_crossing(&self) -> bool {
        let mut all: Vec<(XY, XY)> = self.edges().collect();
        let left = |edge: &(XY, XY)| edge.0.x.min(edge.1.x);
        all.sort_unstable_by(|a, b| left(a).total_cmp(&left(b)));
        let mut open: Vec<(XY, XY)> = Vec::new();
        for (a, b) in all {
            let from = a.x.min(b.x);
            open.retain(|(c, d)| c.x.max(d.x) >= from);
            if open.iter().any(|(c, d)| cross(a, b, *c, *d)) {
                return true;
            }
            open.push((a, b));
        }
        false
    }

    /// Where a place lies: by the number of edges to its right.
    pub fn side(&self, place: XY) -> Side {
        let mut inside = false;
        for (a, b) in self.edges() {
            let between_y = a.y.min(b.y) <= place.y && place.y <= a.y.max(b.y);
            if !between_y || a.x.max(b.x) < place.x {
                continue;
            }
            let turn = turn(a, b, place);
            if turn == 0.0 && between(a, b, place) {
                return Side::Border;
            }
            // Of two edges that meet at the height of the place, only the one above counts.
            if (a.y > place.y) != (b.y > place.y) && (turn > 0.0) == (b.y > a.y) {
                inside = !inside;
            }
        }
        if inside { Side::Inside } else { Side::Outside }
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.rings.capacity() * size_of::<Ring>()
            + self.rings.iter().map(|ring| ring.capacity() * size_of::<XY>()).sum::<usize>()
    }
}

/// Whether two edges of a polygon stand as they must not: they may only share an end.
fn cross(a: XY, b: XY, c: XY, d: XY) -> bool {
    let shared = (a == c || a == d, b == c || b == d);
    match shared {
        (false, false) => {
            if !meet(a, b, c, d) {
                return false;
            }
            // A corner of a hole may touch another ring.
            let touches = [turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)];
            touches.iter().filter(|turn| **turn == 0.0).count() != 1
        }
        (true, true) => true,
        // They go on from the shared end; back along each other is wrong.
        (true, false) => overlap(a, b, if a == c { d } else { c }),
        (false, true) => overlap(b, a, if b == c { d } else { c }),
    }
}

/// Whether the stretches from `shared` to `a` and to `b` lie on each other.
fn overlap(shared: XY, a: XY, b: XY) -> bool {
    let same_way = (a.x - shared.x) * (b.x - shared.x) + (a.y - shared.y) * (b.y - shared.y) > 0.0;
    same_way && turn(shared, a, b) == 0.0
}

/// Whether the shapes have a place in common.
pub fn intersects(a: &Shape, b: &Shape) -> bool {
    match (a, b) {
        (Shape::Point(a), Shape::Point(b)) => a == b,
        (Shape::Point(point), Shape::Polygon(outline))
        | (Shape::Polygon(outline), Shape::Point(point)) => outline.side(*point) != Side::Outside,
        (Shape::Polygon(a), Shape::Polygon(b)) => {
            // Without meeting borders one lies in the other or they are apart; one corner tells.
            a.edges().any(|(p, q)| b.edges().any(|(r, s)| meet(p, q, r, s)))
                || b.side(a.rings[0][0]) != Side::Outside
                || a.side(b.rings[0][0]) != Side::Outside
        }
    }
}

/// Whether `a` lies in `b`. Nothing lies in a point.
pub fn within(a: &Shape, b: &Shape) -> bool {
    match (a, b) {
        (_, Shape::Point(_)) => false,
        (Shape::Point(point), Shape::Polygon(outline)) => outline.side(*point) == Side::Inside,
        (Shape::Polygon(a), Shape::Polygon(b)) => polygon_within(a, b),
    }
}

/// `a` lies in `b` if its border does and it surrounds none of the holes of `b`.
fn polygon_within(a: &Outline, b: &Outline) -> bool {
    let border_inside = a.edges().all(|(from, to)| {
        pieces(from, to, b).into_iter().all(|middle| b.side(middle) != Side::Outside)
    });
    border_inside
        && b.rings[1..].iter().all(|hole| {
            // If the hole's own place is in `a`, so is some of the hole: the border of `a` does not cross it.
            let hole = Outline { rings: vec![hole.clone()] };
            hole.some_place_inside().is_none_or(|place| a.side(place) != Side::Inside)
        })
}

/// The middles of the pieces into which the border of `b` cuts a stretch, and its ends.
fn pieces(from: XY, to: XY, b: &Outline) -> Vec<XY> {
    let at = |t: f64| XY { x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t };
    let mut cuts = vec![0.0, 1.0];
    for (c, d) in b.edges() {
        if !meet(from, to, c, d) {
            continue;
        }
        let (t1, t2) = (turn(c, d, from), turn(c, d, to));
        if t1 != t2 {
            cuts.push((t1 / (t1 - t2)).clamp(0.0, 1.0));
        }
        // Where corners of `b` lie on the stretch, the side may change too.
        let length = (to.x - from.x).powi(2) + (to.y - from.y).powi(2);
        for corner in [c, d] {
            if turn(from, to, corner) == 0.0 && between(from, to, corner) {
                let along =
                    (corner.x - from.x) * (to.x - from.x) + (corner.y - from.y) * (to.y - from.y);
                cuts.push((along / length).clamp(0.0, 1.0));
            }
        }
    }
    cuts.sort_unstable_by(f64::total_cmp);
    let mut places = vec![from, to];
    let long_enough = cuts.windows(2).filter(|pair| pair[1] - pair[0] > 1e-9);
    places.extend(long_enough.map(|pair| at((pair[0] + pair[1]) / 2.0)));
    places
}

impl Outline {
    /// A place inside, if rounding leaves one: the middle of a stretch of a level line.
    fn some_place_inside(&self) -> Option<XY> {
        let mut heights: Vec<f64> = self.corners().map(|corner| corner.y).collect();
        heights.sort_unstable_by(f64::total_cmp);
        heights.dedup();
        for pair in heights.windows(2) {
            let y = pair[0] / 2.0 + pair[1] / 2.0;
            let mut crossings: Vec<f64> = self
                .edges()
                .filter(|(a, b)| (a.y > y) != (b.y > y))
                .map(|(a, b)| a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x))
                .collect();
            crossings.sort_unstable_by(f64::total_cmp);
            let widest =
                crossings.chunks_exact(2).max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0])));
            if let Some(stretch) = widest {
                let place = XY { x: stretch[0] / 2.0 + stretch[1] / 2.0, y };
                if self.side(place) == Side::Inside {
                    return Some(place);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A star around a middle: corners at rising angles, so no edges cross.
    fn star() -> impl Strategy<Value = Outline> {
        let corner = (1..40i32, 0..60u32);
        (proptest::collection::vec(corner, 3..9), -30..30i32, -30..30i32).prop_filter_map(
            "angles must differ",
            |(mut corners, x, y)| {
                corners.sort_by_key(|(_, angle)| *angle);
                corners.dedup_by_key(|(_, angle)| *angle);
                let ring: Ring = corners
                    .iter()
                    .map(|(length, angle)| {
                        let angle = f64::from(*angle) / 60.0 * std::f64::consts::TAU;
                        let length = f64::from(*length);
                        XY {
                            x: f64::from(x) + length * angle.cos(),
                            y: f64::from(y) + length * angle.sin(),
                        }
                    })
                    .collect();
                let outline = (ring.len() >= 3).then(|| Outline::new(vec![ring]))?;
                outline.check().is_ok().then_some(outline)
            },
        )
    }

    /// By the sum of the angles under which the edges are seen.
    fn winds_around(outline: &Outline, place: XY) -> bool {
        let angle = |(a, b): (XY, XY)| {
            let (a, b) = (
                XY { x: a.x - place.x, y: a.y - place.y },
                XY { x: b.x - place.x, y: b.y - place.y },
            );
            (a.x * b.y - a.y * b.x).atan2(a.x * b.x + a.y * b.y)
        };
        outline.edges().map(angle).sum::<f64>().abs() > 3.0
    }

    fn grid() -> impl Iterator<Item = XY> {
        // No corner and no edge of a star is likely to pass through these.
        (-40..40).flat_map(|x| {
            (-40..40)
                .map(move |y| XY { x: f64::from(x) * 1.77 + 0.013, y: f64::from(y) * 1.77 + 0.007 })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn places_inside_are_wound_around(outline in star()) {
            for place in grid() {
                let side = outline.side(place);
                if side != Side::Border {
                    prop_assert_eq!(side == Side::Inside, winds_around(&outline, place));
                }
            }
        }

        #[test]
        fn relations_agree_with_a_raster(a in star(), b in star()) {
            let (one, other) = (Shape::Polygon(a.clone()), Shape::Polygon(b.clone()));
            let inside = |outline: &Outline| grid().map(|p| outline.side(p) == Side::Inside).collect::<Vec<_>>();
            let (of_a, of_b) = (inside(&a), inside(&b));
            if of_a.iter().zip(&of_b).any(|(a, b)| *a && *b) {
                prop_assert!(intersects(&one, &other));
            }
            if of_a.iter().zip(&of_b).any(|(a, b)| *a && !*b) {
                prop_assert!(!within(&one, &other));
            }
            prop_assert_eq!(intersects(&one, &other), intersects(&other, &one));
            if within(&one, &other) {
                prop_assert!(intersects(&one, &other));
            }
            prop_assert!(within(&one, &one));
            let middle = XY { x: 0.31, y: -0.17 };
            let smaller = a.map(|c| XY { x: middle.x + (c.x - middle.x) * 0.5, y: middle.y + (c.y - middle.y) * 0.5 });
            if winds_around(&a, middle) && a.corners().count() == 3 {
                prop_assert!(within(&Shape::Polygon(smaller), &one), "a triangle shrunk about a place inside");
            }
        }

        #[test]
        fn a_place_inside_is_found(outline in star()) {
            if let Some(place) = outline.some_place_inside() {
                prop_assert!(winds_around(&outline, place));
            }
        }
    }
}
