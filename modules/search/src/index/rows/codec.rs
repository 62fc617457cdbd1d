//! How do packed rows become bytes, and bytes packed rows?

use std::io;

use super::Rows;
use crate::columns::Column;
use crate::columns::codec::check_ends;
use crate::schema::ColumnKind;
use crate::storage::codec::{Broken, Decoder, Encoder, ensure};

/// Rows of one piece.
const ROWS_MAX: usize = 1 << 31;

impl Rows {
    /// Writes the rows.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.list(&self.numbers)?;
        out.list(&self.key_ends)?;
        out.bytes(&self.keys)?;
        out.list(&self.lengths)?;
        out.list(&self.frequencies_max)?;
        out.list(&self.scores)?;
        out.length(self.columns.len())?;
        self.columns.iter().try_for_each(|column| column.encode(out))
    }

    /// Reads rows whose columns are the first ones, or all, of these kinds.
    pub fn decode(bytes: &mut Decoder<'_>, kinds: &[ColumnKind]) -> Result<Rows, Broken> {
        let numbers: Vec<u32> = bytes.list()?;
        let rising = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        ensure(rising && numbers.len() < ROWS_MAX, "numbers are not in order")?;
        let length = numbers.len();
        let key_ends: Vec<u32> = bytes.list_of(length)?;
        let keys = bytes.bytes()?.to_vec();
        check_ends(&key_ends, keys.len())?;
        let lengths = bytes.list_of(length)?;
        let frequencies_max = bytes.list_of(length)?;
        let scores: Vec<f32> = bytes.list()?;
        ensure(scores.is_empty() || scores.len() == length, "scores and rows are not as many")?;
        let rows = u32::try_from(length).map_err(|_| Broken("too many rows"))?;
        let count = bytes.length(1)?;
        let kinds = kinds.get(..count).ok_or(Broken("more columns than the schema has"))?;
        let columns = kinds.iter().map(|kind| Column::decode(bytes, *kind, rows));
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(Rows { numbers, key_ends, keys, lengths, frequencies_max, scores, columns })
    }
}
