//! How do shapes become bytes, and bytes shapes?
//!
//! By their corners. Their boxes and the groups of these are worked out anew, which costs less than a second for a
//! million.

use std::io;
use std::sync::Arc;

use crate::shape::plane::{Outline, Ring, XY};
use crate::shape::shapes::Shapes;
use crate::shape::{CORNERS_MAX, Shape, Surface};
use crate::storage::codec::{Broken, Decoder, Encoder, ensure};

impl Shape {
    fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let mut ring = |corners: &[XY]| {
            out.length(corners.len())?;
            corners.iter().try_for_each(|corner| out.elements(&[corner.x, corner.y]))
        };
        match self {
            // A polygon has at least one ring.
            Shape::Point(point) => {
                ring(&[])?;
                out.elements(&[point.x, point.y])
            }
            Shape::Polygon(outline) => {
                outline.rings().iter().try_for_each(|corners| ring(corners))?;
                ring(&[])
            }
        }
    }

    fn decode(bytes: &mut Decoder<'_>) -> Result<Shape, Broken> {
        let mut rings: Vec<Ring> = Vec::new();
        let mut corners = 0;
        loop {
            let count = bytes.length(16)?;
            if count == 0 {
                break;
            }
            corners += count;
            ensure(count >= 3 && corners <= CORNERS_MAX, "a ring is none")?;
            rings.push((0..count).map(|_| place(bytes)).collect::<Result<_, _>>()?);
        }
        match rings.is_empty() {
            true => place(bytes).map(Shape::Point),
            false => Ok(Shape::Polygon(Outline::new(rings))),
        }
    }
}

fn place(bytes: &mut Decoder<'_>) -> Result<XY, Broken> {
    let (x, y): (f64, f64) = (bytes.number()?, bytes.number()?);
    ensure(x.is_finite() && y.is_finite(), "a place is none")?;
    Ok(XY { x, y })
}

impl Shapes {
    /// Writes the shapes.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.list(self.rows())?;
        self.shapes().iter().try_for_each(|shape| shape.encode(out))
    }

    /// Reads the shapes of so many rows.
    pub fn decode(bytes: &mut Decoder<'_>, surface: Surface, rows: u32) -> Result<Shapes, Broken> {
        let present: Vec<u32> = bytes.list()?;
        let rising = present.windows(2).all(|pair| pair[0] < pair[1]);
        ensure(rising && present.last() < Some(&rows), "rows are not in order")?;
        let mut shapes = Shapes::new(surface);
        let mut present = present.into_iter().peekable();
        for row in 0..rows {
            match present.next_if_eq(&row) {
                Some(_) => shapes.push(Some(&Arc::new(Shape::decode(bytes)?))),
                None => shapes.push(None),
            }
        }
        shapes.pack();
        Ok(shapes)
    }
}
