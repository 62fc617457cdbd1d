//! How does a key hold suggestions?
//!
//! As a value of RediSearch's type `trietype0`, in its format: the number of texts, then for each the text and a zero
//! byte, the score, the payload and a zero byte (so that none is one byte long). Version 0 has no payloads, version 2
//! a number behind each payload; version 1 is written, which every release since 1.1 reads.

use mortise_module::{AofWriter, Arg, DigestWriter, Error, Native, RdbReader, RdbWriter, Type};

use crate::trie::{Put, Trie};

/// Texts in one file; more would be a broken file.
const TEXTS_MAX: u64 = 1 << 32;
/// The version of the format that is written, and the newest that is read.
const VERSION: i32 = 1;
const VERSION_MAX: i32 = 2;

/// What a key holds.
#[derive(Debug, Clone, Default)]
pub struct Suggestions {
    /// The texts.
    pub trie: Trie,
}

/// The type's identity in the server.
pub static SUGGESTIONS: Type<Suggestions> = Type::new();

impl Native for Suggestions {
    const NAME: &'static str = "trietype0";
    const ENCVER: i32 = VERSION;

    fn rdb_save(&self, writer: &mut RdbWriter<'_>) {
        writer.u64(self.trie.len() as u64);
        self.trie.each(&mut |text, entry| {
            writer.bytes([text.as_bytes(), b"\0"].concat());
            writer.f64(entry.score.into());
            writer.bytes([entry.payload.as_deref().unwrap_or_default(), b"\0"].concat());
        });
    }

    fn rdb_load(reader: &mut RdbReader<'_>, encver: i32) -> Result<Suggestions, Error> {
        if !(0..=VERSION_MAX).contains(&encver) {
            return Err(Error::new("suggestions of a newer version"));
        }
        let texts = reader.u64()?;
        if texts > TEXTS_MAX {
            return Err(Error::new("too many suggestions"));
        }
        let mut trie = Trie::default();
        for _ in 0..texts {
            let text = reader.bytes()?;
            let text = String::from_utf8_lossy(without_zero(&text)?).into_owned();
            let score = reader.f64()? as f32;
            let payload = if encver >= 1 { Some(reader.bytes()?) } else { None };
            let payload = payload.as_deref().map(without_zero).transpose()?;
            if encver >= VERSION_MAX {
                reader.u64()?;
            }
            let payload = payload.filter(|payload| !payload.is_empty());
            trie.insert(&text, score, Put::Replace, payload);
        }
        Ok(Suggestions { trie })
    }

    fn aof_rewrite(&self, writer: &mut AofWriter<'_>, key: &Arg<'_>) {
        self.trie.each(&mut |text, entry| {
            let score = entry.score.to_string();
            match &entry.payload {
                Some(payload) => {
                    let payload: &[u8] = payload;
                    writer.emit("FT.SUGADD", &[key, &text, &score, &"PAYLOAD", &payload]);
                }
                None => writer.emit("FT.SUGADD", &[key, &text, &score]),
            }
        });
    }

    fn copy(&self, _from: &Arg<'_>, _to: &Arg<'_>) -> Option<Suggestions> {
        Some(self.clone())
    }

    fn digest(&self, digest: &mut DigestWriter<'_>) {
        self.trie.each(&mut |text, entry| {
            digest.bytes(text);
            digest.bytes(entry.score.to_string());
            digest.bytes(entry.payload.as_deref().unwrap_or_default());
            digest.end_sequence();
        });
    }

    fn mem_usage(&self) -> usize {
        size_of::<Suggestions>() + self.trie.memory()
    }

    fn free_effort(&self) -> usize {
        self.trie.len()
    }
}

fn without_zero(text: &[u8]) -> Result<&[u8], Error> {
    text.strip_suffix(b"\0").ok_or(Error::new("a suggestion does not end with a zero byte"))
}
