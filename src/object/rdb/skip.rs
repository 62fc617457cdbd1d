//! Where does a value end? Found without making anything of it, for values that are plain sequences of strings and numbers;
//! the others must be read to know.

use super::RdbError;
use super::kind;
use super::module::skip_items;
use super::read::Reader;

/// Passes over the value of a kind; false if that takes reading it. Then the reader has not moved.
pub fn skip(kind: u8, reader: &mut Reader<'_>) -> Result<bool, RdbError> {
    match kind {
        kind::STRING
        | kind::HASH_ZIPMAP
        | kind::LIST_ZIPLIST
        | kind::SET_INTSET
        | kind::ZSET_ZIPLIST
        | kind::HASH_ZIPLIST
        | kind::HASH_LISTPACK
        | kind::ZSET_LISTPACK
        | kind::SET_LISTPACK => reader.skip_string()?,
        kind::LIST | kind::SET | kind::LIST_QUICKLIST => {
            for _ in 0..reader.number()? {
                reader.skip_string()?;
            }
        }
        kind::HASH => {
            for _ in 0..reader.number()? {
                reader.skip_string()?;
                reader.skip_string()?;
            }
        }
        kind::ZSET_2 => {
            for _ in 0..reader.number()? {
                reader.skip_string()?;
                reader.take(size_of::<f64>())?;
            }
        }
        kind::LIST_QUICKLIST_2 => {
            for _ in 0..reader.number()? {
                reader.number()?;
                reader.skip_string()?;
            }
        }
        kind::MODULE_2 => {
            reader.number()?;
            skip_items(reader)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
