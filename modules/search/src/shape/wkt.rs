//! Which shape does a well-known text stand for?
//!
//! `POINT(x y)` and `POLYGON((x y, ...), (hole), ...)`, in any case; a ring that is not closed is.

use crate::shape::plane::{Outline, Ring, XY};
use crate::shape::{CORNERS_MAX, Shape};

/// Reads a shape.
pub fn parse(text: &str) -> Result<Shape, String> {
    let mut reader = Reader { text, at: 0 };
    let name = reader.word();
    let shape = if name.eq_ignore_ascii_case("POINT") {
        reader.expect(b'(')?;
        let point = reader.place()?;
        reader.expect(b')')?;
        Shape::Point(point)
    } else if name.eq_ignore_ascii_case("POLYGON") {
        Shape::Polygon(reader.outline()?)
    } else {
        return Err("unknown geometry type".to_owned());
    };
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.wrong("Too many tokens"));
    }
    Ok(shape)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn blanks(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    /// The bytes up to the next blank, comma or parenthesis.
    fn word(&mut self) -> &'a str {
        self.blanks();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, ',' | '(' | ')'));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        match self.take(byte) {
            true => Ok(()),
            false => Err(self.wrong(&format!("Expected '{}'", char::from(byte)))),
        }
    }

    /// An error about what stands here; long texts are not shown whole.
    fn wrong(&self, what: &str) -> String {
        let shown: String = self.text.chars().take(64).collect();
        format!("{what} in '{shown}'")
    }

    fn number(&mut self) -> Result<f64, String> {
        let word = self.word();
        // C's strtod and Rust's parse take names too; a place is made of digits.
        let plain = word.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let number = word.parse::<f64>().ok().filter(|number| plain && number.is_finite());
        number.ok_or_else(|| self.wrong("Expected a number"))
    }

    fn place(&mut self) -> Result<XY, String> {
        Ok(XY { x: self.number()?, y: self.number()? })
    }

    fn outline(&mut self) -> Result<Outline, String> {
        let mut rings = Vec::new();
        let mut corners = 0;
        self.expect(b'(')?;
        loop {
            let ring = self.ring(&mut corners)?;
            rings.push(ring);
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b')')?;
        Ok(Outline::new(rings))
    }

    fn ring(&mut self, corners: &mut usize) -> Result<Ring, String> {
        let mut ring: Ring = Vec::new();
        self.expect(b'(')?;
        loop {
            let place = self.place()?;
            if ring.last() != Some(&place) {
                ring.push(place);
            }
            *corners += 1;
            if *corners > CORNERS_MAX {
                return Err(format!("a shape may have at most {CORNERS_MAX} corners"));
            }
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b')')?;
        // The last corner repeats the first; here a ring is closed without it.
        if ring.len() > 1 && ring.first() == ring.last() {
            ring.pop();
        }
        if ring.len() < 3 {
            return Err("invalid geometry: Geometry has too few points".to_owned());
        }
        ring.shrink_to_fit();
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read() {
        assert_eq!(parse(" point ( -1.5 2e1 ) ").unwrap(), Shape::Point(XY { x: -1.5, y: 20.0 }));
        let Shape::Polygon(outline) =
            parse("POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 1))").unwrap()
        else {
            unreachable!()
        };
        assert_eq!(outline.corners().count(), 7);
        assert_eq!(parse("LINE(1 1)").unwrap_err(), "unknown geometry type");
        assert!(parse("POINT(1 x)").unwrap_err().starts_with("Expected a number in"));
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "(POINT|POLYGON|)[ (),0-9.eE+-]{0,60}|.{0,40}") {
            let _ = Shape::parse(text.as_bytes(), crate::shape::Surface::Flat);
            let _ = Shape::parse(text.as_bytes(), crate::shape::Surface::Spherical);
        }
    }
}
