//! Does a saved document load, whatever wrote it, and does it come back the same?
//!
//! The first byte chooses the encoding; the rest is what the pieces are read from: integers and doubles in eight bytes,
//! strings behind a length in two, but a string that is the whole document takes all that is left.
//! Properties: loading ends in a value within the limits or in an error; what was loaded saves as text, and that text
//! loads as the same value, which saves as the same text.

use mortise_json::codec::DEPTH_MAX;
use mortise_json::saved::{Source, TEXT, load};
use mortise_json::write::{Format, to_text};
use mortise_module::Error;

struct Pieces<'b> {
    rest: &'b [u8],
    whole: bool,
}

impl<'b> Pieces<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8], Error> {
        let taken = self.rest.split_at_checked(len);
        let (taken, rest) = taken.ok_or_else(|| Error::new("short read"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn eight(&mut self) -> Result<[u8; 8], Error> {
        Ok(self.take(8)?.try_into().expect("eight were taken"))
    }
}

impl Source for Pieces<'_> {
    type Bytes = Vec<u8>;

    fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.eight()?))
    }

    fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_le_bytes(self.eight()?))
    }

    fn f64(&mut self) -> Result<f64, Error> {
        Ok(f64::from_le_bytes(self.eight()?))
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        if self.whole {
            return Ok(std::mem::take(&mut self.rest).to_vec());
        }
        let len = self.take(2)?;
        Ok(self.take(usize::from(u16::from_le_bytes([len[0], len[1]])))?.to_vec())
    }
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let encver = i32::from(kind % 6);
    let whole = encver == TEXT || encver == 4;
    let Ok(value) = load(&mut Pieces { rest, whole }, encver) else { return };
    assert!(value.view().depth() <= DEPTH_MAX);
    let text = to_text(value.view(), Format::COMPACT);
    let again = load(&mut Pieces { rest: &text, whole: true }, TEXT).expect("saved text loads");
    assert!(again.view().same(value.view()));
    assert_eq!(to_text(again.view(), Format::COMPACT), text);
}
