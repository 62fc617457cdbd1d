//! Which shapes lie in, around, across or apart from a shape?
//!
//! Shapes are points and polygons with holes, on a plane (FLAT) or on a sphere (SPHERICAL, edges being parts of great
//! circles). On the sphere both shapes are laid onto the plane that touches it in the middle of the query's shape:
//! straight lines there are great circles here, so one set of tests serves both. That plane shows a hemisphere, so a
//! query's shape must fit into one; what a document's polygon has beyond it is cut off first.

mod codec;
mod plane;
pub mod shapes;
mod sphere;
mod wkt;

use crate::shape::plane::{Outline, XY};

/// Corners of one shape, all rings together: checking a polygon takes more than linear time.
pub const CORNERS_MAX: usize = 10_000;

/// A shape, as it was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A single place.
    Point(XY),
    /// An outer ring and holes.
    Polygon(Outline),
}

/// Which geometry coordinates belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// A plane.
    Flat,
    /// A sphere, by degrees of longitude and latitude.
    Spherical,
}

/// What is asked about the shape of a document and the query's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The document's lies in the query's.
    Within,
    /// The document's has the query's in it.
    Contains,
    /// They have a place in common.
    Intersects,
    /// They have none in common.
    Disjoint,
}

impl Relation {
    /// The relation of this name.
    pub fn find(name: &[u8]) -> Option<Relation> {
        Some(match name.to_ascii_uppercase().as_slice() {
            b"WITHIN" => Relation::Within,
            b"CONTAINS" => Relation::Contains,
            b"INTERSECTS" => Relation::Intersects,
            b"DISJOINT" => Relation::Disjoint,
            _ => return None,
        })
    }
}

impl Shape {
    /// Reads well-known text.
    pub fn parse(text: &[u8], surface: Surface) -> Result<Shape, String> {
        let text = std::str::from_utf8(text).map_err(|_| "the text is not UTF-8".to_owned())?;
        let shape = wkt::parse(text)?;
        if surface == Surface::Spherical {
            sphere::check(&shape)?;
        }
        if let Shape::Polygon(outline) = &shape {
            let drawn = match surface {
                Surface::Flat => None,
                Surface::Spherical => Some(sphere::around_itself(&shape)?),
            };
            match &drawn {
                Some(Shape::Polygon(drawn)) => drawn.check()?,
                _ => outline.check()?,
            }
        }
        Ok(shape)
    }

    /// All its corners.
    fn corners(&self) -> impl Iterator<Item = XY> {
        let (point, outline) = match self {
            Shape::Point(point) => (Some(*point), None),
            Shape::Polygon(outline) => (None, Some(outline)),
        };
        point.into_iter().chain(outline.into_iter().flat_map(Outline::corners))
    }

    /// A box that holds it.
    pub fn bounds(&self, surface: Surface) -> Bounds {
        match surface {
            Surface::Flat => Bounds::around(self.corners().map(|corner| [corner.x, corner.y, 0.0])),
            Surface::Spherical => sphere::bounds(self),
        }
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        match self {
            Shape::Point(_) => 0,
            Shape::Polygon(outline) => outline.memory(),
        }
    }
}

/// A box: of the plane, or of the space around the sphere. Rounded outwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    min: [f32; 3],
    max: [f32; 3],
}

impl Bounds {
    /// Nothing.
    pub const EMPTY: Bounds = Bounds { min: [f32::INFINITY; 3], max: [f32::NEG_INFINITY; 3] };

    fn around(points: impl Iterator<Item = [f64; 3]>) -> Bounds {
        points.fold(Bounds::EMPTY, |mut bounds, point| {
            for (axis, value) in point.into_iter().enumerate() {
                let near = value as f32;
                bounds.min[axis] = bounds.min[axis].min(near.next_down());
                bounds.max[axis] = bounds.max[axis].max(near.next_up());
            }
            bounds
        })
    }

    /// Takes in another box.
    pub fn join(&mut self, other: &Bounds) {
        for axis in 0..3 {
            self.min[axis] = self.min[axis].min(other.min[axis]);
            self.max[axis] = self.max[axis].max(other.max[axis]);
        }
    }

    /// Whether the boxes have a place in common.
    pub fn touches(&self, other: &Bounds) -> bool {
        (0..3).all(|axis| self.min[axis] <= other.max[axis] && other.min[axis] <= self.max[axis])
    }

    /// The middle on an axis.
    pub fn middle(&self, axis: usize) -> f32 {
        self.min[axis] / 2.0 + self.max[axis] / 2.0
    }
}

/// A question about shapes, ready to be asked of many.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    relation: Relation,
    surface: Surface,
    shape: Shape,
    /// The shape as it is laid onto the plane.
    drawn: Shape,
    bounds: Bounds,
}

impl Question {
    /// Which documents stand in a relation to this shape.
    pub fn new(relation: Relation, text: &[u8], surface: Surface) -> Result<Question, String> {
        let shape = Shape::parse(text, surface)?;
        let bounds = shape.bounds(surface);
        let drawn = match surface {
            Surface::Flat => shape.clone(),
            Surface::Spherical => sphere::around_itself(&shape)?,
        };
        Ok(Question { relation, surface, shape, drawn, bounds })
    }

    /// Whether a shape that does not touch the box of the query's matches.
    pub fn matches_apart(&self) -> bool {
        self.relation == Relation::Disjoint
    }

    /// The box of the query's shape.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Whether the shape of a document matches.
    pub fn matches(&self, shape: &Shape) -> bool {
        let drawn = match self.surface {
            Surface::Flat => None,
            Surface::Spherical => match sphere::draw(shape, &self.shape) {
                Some(drawn) => Some(drawn),
                // It lies on the other side of the world.
                None => return self.relation == Relation::Disjoint,
            },
        };
        // What was cut off lies outside of the query's shape.
        let whole = drawn.as_ref().is_none_or(|(_, whole)| *whole);
        let document = drawn.as_ref().map_or(shape, |(shape, _)| shape);
        match self.relation {
            Relation::Within => whole && plane::within(document, &self.drawn),
            Relation::Contains => plane::within(&self.drawn, document),
            Relation::Intersects => plane::intersects(document, &self.drawn),
            Relation::Disjoint => !plane::intersects(document, &self.drawn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(surface: Surface, relation: Relation, query: &str, document: &str) -> bool {
        let question = Question::new(relation, query.as_bytes(), surface).unwrap();
        let shape = Shape::parse(document.as_bytes(), surface).unwrap();
        let answer = question.matches(&shape);
        if !question.bounds().touches(&shape.bounds(surface)) {
            assert_eq!(answer, question.matches_apart(), "boxes lie apart: {query} {document}");
        }
        answer
    }

    /// The shapes of redis-py's tests.
    #[test]
    fn relations_are_those_of_redisearch() {
        let flat =
            |relation, query: &str, document: &str| ask(Surface::Flat, relation, query, document);
        let query = "POLYGON((15 15, 75 15, 50 70, 20 40, 15 15))";
        let (outside, inside) = ("POINT (10 10)", "POINT (50 50)");
        let (small, far) = (
            "POLYGON ((20 20, 25 35, 35 25, 20 20))",
            "POLYGON ((60 60, 65 75, 70 70, 65 55, 60 60))",
        );
        for relation in [Relation::Within, Relation::Intersects] {
            assert!(flat(relation, query, inside) && flat(relation, query, small));
            assert!(!flat(relation, query, outside) && !flat(relation, query, far));
        }
        assert!(flat(Relation::Disjoint, query, far) && !flat(Relation::Disjoint, query, small));
        assert!(flat(Relation::Contains, "POINT(25 25)", small));
        assert!(flat(Relation::Contains, "POLYGON((24 24, 24 26, 25 25, 24 24))", small));
        assert!(!flat(Relation::Contains, query, small));
        assert!(!flat(Relation::Within, "POINT (50 50)", "POINT (50 50)"));
        assert!(flat(Relation::Intersects, "POINT (50 50)", "POINT (50 50)"));
    }

    #[test]
    fn holes_are_outside() {
        let ring = "POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (2 2, 8 2, 8 8, 2 8, 2 2))";
        let flat =
            |relation, query: &str, document: &str| ask(Surface::Flat, relation, query, document);
        assert!(!flat(Relation::Intersects, ring, "POINT(5 5)"));
        assert!(!flat(Relation::Intersects, ring, "POLYGON((3 3, 7 3, 7 7, 3 3))"));
        assert!(flat(Relation::Intersects, ring, "POLYGON((1 1, 7 3, 7 7, 1 1))"));
        assert!(
            !flat(Relation::Within, ring, "POLYGON((1 1, 9 1, 9 9, 1 9, 1 1))"),
            "it covers the hole"
        );
        let same_hole = "POLYGON((1 1, 9 1, 9 9, 1 9, 1 1), (2 2, 8 2, 8 8, 2 8, 2 2))";
        assert!(flat(Relation::Within, ring, same_hole));
        assert!(
            flat(Relation::Within, ring, "POLYGON((0 0, 10 0, 2 2, 0 0))"),
            "edges may be shared"
        );
    }

    #[test]
    fn on_the_sphere_edges_bend_and_the_date_line_is_no_border() {
        let sphere = |relation, query: &str, document: &str| {
            ask(Surface::Spherical, relation, query, document)
        };
        // The great circle between two places at 60 degrees north runs far north of that parallel.
        let wide = "POLYGON((-40 60, 40 60, 40 0, -40 0, -40 60))";
        assert!(sphere(Relation::Within, wide, "POINT(0 63)"));
        assert!(!ask(Surface::Flat, Relation::Within, wide, "POINT(0 63)"));
        let pacific = "POLYGON((170 -10, -170 -10, -170 10, 170 10, 170 -10))";
        assert!(sphere(Relation::Within, pacific, "POINT(180 0)"));
        assert!(sphere(Relation::Within, pacific, "POINT(-175 5)"));
        assert!(!sphere(Relation::Intersects, pacific, "POINT(0 0)"));
        assert!(sphere(Relation::Disjoint, pacific, "POINT(0 0)"));
        let cap = "POLYGON((0 80, 90 80, 180 80, -90 80, 0 80))";
        assert!(sphere(Relation::Contains, "POINT(45 89)", cap));
        assert!(!sphere(Relation::Contains, "POINT(45 70)", cap));
        assert!(sphere(Relation::Contains, "POLYGON((10 10, 11 10, 11 11, 10 10))", wide));
        assert!(sphere(Relation::Intersects, "POLYGON((10 -5, 11 -5, 11 5, 10 -5))", wide));
        assert!(!sphere(Relation::Within, "POLYGON((10 -5, 11 -5, 11 5, 10 -5))", wide));
    }

    #[test]
    fn bad_shapes_are_refused() {
        for text in [
            "",
            "POINT",
            "POINT(1)",
            "POINT(1 2 3)",
            "POINT(1 2) x",
            "LINESTRING(1 1, 2 2)",
            "POLYGON()",
            "POLYGON((1 1, 2 2))",
            "POLYGON((1 1, 2 2, 3 3))",
            "POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))",
            "POLYGON((1 1, 1 2, 2 2, 1 1)",
            "POINT(nan 1)",
            "POINT(inf 1)",
        ] {
            assert!(Shape::parse(text.as_bytes(), Surface::Flat).is_err(), "{text}");
        }
        assert!(Shape::parse(b"POINT(1 91)", Surface::Spherical).is_err());
        assert!(
            Shape::parse(b"POLYGON((1 1, 1 2, 2 2))", Surface::Flat).is_ok(),
            "rings are closed"
        );
    }
}
