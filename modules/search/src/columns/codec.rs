//! How does a packed column become bytes, and bytes a packed column?
//!
//! As it lies in memory. What is read is checked for all that the questions to a column rely on, so that no bytes
//! whatsoever make one of them panic.

use std::io;

use super::numbers::{Numbers, Storage};
use super::{Column, TextCodes, Texts};
use crate::geo::points::Points;
use crate::schema::ColumnKind;
use crate::shape::shapes::Shapes;
use crate::storage::codec::{Broken, Decoder, Encoder, ensure};

const NUMBERS: u8 = 0;
const TEXTS: u8 = 1;
const POINTS: u8 = 2;
const SHAPES: u8 = 3;

const WIDE: u8 = 0;
const CODES_8: u8 = 1;
const CODES_16: u8 = 2;
const CODES_32: u8 = 3;

impl Column {
    /// Writes the column.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        match self {
            Column::Numbers(numbers) => {
                out.number(NUMBERS)?;
                numbers.encode(out)
            }
            Column::Texts(texts) => {
                out.number(TEXTS)?;
                texts.write(out)
            }
            Column::Points(points) => {
                out.number(POINTS)?;
                points.encode(out)
            }
            Column::Shapes(shapes) => {
                out.number(SHAPES)?;
                shapes.encode(out)
            }
        }
    }

    /// Reads a column of this kind that has so many rows.
    pub fn decode(bytes: &mut Decoder<'_>, kind: ColumnKind, rows: u32) -> Result<Column, Broken> {
        let tag = bytes.number::<u8>()?;
        Ok(match (tag, kind) {
            (NUMBERS, ColumnKind::Numbers | ColumnKind::Slots) => {
                Column::Numbers(Numbers::decode(bytes, rows)?)
            }
            (TEXTS, ColumnKind::Texts | ColumnKind::Elements) => {
                Column::Texts(Texts::decode(bytes, rows)?)
            }
            (POINTS, ColumnKind::Points) => Column::Points(Points::decode(bytes, rows)?),
            (SHAPES, ColumnKind::Shapes(surface)) => {
                Column::Shapes(Shapes::decode(bytes, surface, rows)?)
            }
            _ => return Err(Broken("a column is of another kind than the schema says")),
        })
    }
}

impl Numbers {
    fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        match &self.values {
            Storage::Wide(values) => {
                out.number(WIDE)?;
                out.list(values)?;
            }
            Storage::Codes8(base, codes) => {
                out.number(CODES_8)?;
                out.number(*base)?;
                out.list(codes)?;
            }
            Storage::Codes16(base, codes) => {
                out.number(CODES_16)?;
                out.number(*base)?;
                out.list(codes)?;
            }
            Storage::Codes32(base, codes) => {
                out.number(CODES_32)?;
                out.number(*base)?;
                out.list(codes)?;
            }
        }
        out.list(self.ends.as_deref().unwrap_or_default())
    }

    fn decode(bytes: &mut Decoder<'_>, rows: u32) -> Result<Numbers, Broken> {
        let values = match bytes.number::<u8>()? {
            WIDE => Storage::Wide(bytes.list()?),
            CODES_8 => Storage::Codes8(bytes.number()?, bytes.list()?),
            CODES_16 => Storage::Codes16(bytes.number()?, bytes.list()?),
            CODES_32 => Storage::Codes32(bytes.number()?, bytes.list()?),
            _ => return Err(Broken("numbers are stored in an unknown way")),
        };
        let ends: Vec<u32> = bytes.list()?;
        if ends.is_empty() {
            ensure(values.len() == rows as usize, "numbers and rows are not as many")?;
            return Ok(Numbers { values, ends: None });
        }
        ensure(ends.len() == rows as usize, "numbers are of other rows")?;
        check_ends(&ends, values.len())?;
        Ok(Numbers { values, ends: Some(ends) })
    }
}

impl Texts {
    fn write(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.list(&self.ends)?;
        out.bytes(&self.bytes)?;
        out.list(&self.absent)?;
        match &self.codes {
            None => out.number(WIDE),
            Some(TextCodes::Bytes(codes)) => {
                out.number(CODES_8)?;
                out.list(codes)
            }
            Some(TextCodes::Shorts(codes)) => {
                out.number(CODES_16)?;
                out.list(codes)
            }
        }
    }

    fn decode(bytes: &mut Decoder<'_>, rows: u32) -> Result<Texts, Broken> {
        let ends: Vec<u32> = bytes.list()?;
        let texts = bytes.bytes()?.to_vec();
        check_ends(&ends, texts.len())?;
        let absent: Vec<u32> = bytes.list()?;
        ensure(absent.is_sorted() && absent.last() < Some(&rows), "rows are not in order")?;
        let distinct = ends.len();
        let known = |code: usize, none: usize| code < distinct || code == none;
        let codes = match bytes.number::<u8>()? {
            WIDE => {
                ensure(distinct == rows as usize, "texts and rows are not as many")?;
                None
            }
            CODES_8 => {
                let codes: Vec<u8> = bytes.list_of(rows as usize)?;
                let all = codes.iter().all(|code| known((*code).into(), u8::MAX.into()));
                ensure(all, "a row has a text that is not there")?;
                Some(TextCodes::Bytes(codes))
            }
            CODES_16 => {
                let codes: Vec<u16> = bytes.list_of(rows as usize)?;
                let all = codes.iter().all(|code| known((*code).into(), u16::MAX.into()));
                ensure(all, "a row has a text that is not there")?;
                Some(TextCodes::Shorts(codes))
            }
            _ => return Err(Broken("texts are stored in an unknown way")),
        };
        Ok(Texts { ends, bytes: texts, absent, codes })
    }
}

/// An error unless these are the ends of pieces that make up so many bytes.
pub fn check_ends(ends: &[u32], length: usize) -> Result<(), Broken> {
    let last = ends.last().map_or(0, |end| *end as usize);
    ensure(ends.is_sorted() && last == length, "pieces do not make up their whole")
}
