//! How do aliases, dictionaries and synonyms survive a restart?
//!
//! In RDB files, as a section of their own behind the definitions of the indexes and before the keys, since what a
//! document is indexed under depends on synonyms. The section is a list of parts, each with a tag; a tag that this
//! version does not know ends the load, as everywhere in RDB files.
//!
//! | tag | part |
//! |---|---|
//! | 1 | aliases: their number, then alias and index |
//! | 2 | dictionaries: their number, then name, number of words, words |
//! | 3 | synonyms of one index: its name, number of words, then word, number of groups, groups |
//! | 0 | the end |

use std::sync::Arc;

use mortise_module::{AofWriter, Arg, AuxWhen, Error, Native, RdbReader, RdbWriter, Type};

use crate::registry;
use crate::synonyms::Synonyms;

const END: u64 = 0;
const ALIASES: u64 = 1;
const DICTIONARIES: u64 = 2;
const SYNONYMS: u64 = 3;

/// Entries of one list; more would be a broken file.
const ENTRIES_MAX: u64 = 100_000_000;

/// The type that no key ever holds.
pub struct Words;

/// Its declaration.
pub static WORDS: Type<Words> = Type::new();

impl Native for Words {
    const NAME: &'static str = "mortiseFW";
    const ENCVER: i32 = 1;
    const AUX: AuxWhen = AuxWhen::BeforeKeys;

    fn rdb_save(&self, _writer: &mut RdbWriter<'_>) {
        unreachable!("no key holds this type");
    }

    fn rdb_load(_reader: &mut RdbReader<'_>, _encver: i32) -> Result<Words, Error> {
        Err(Error::new("no key holds words of the search module"))
    }

    fn aof_rewrite(&self, _writer: &mut AofWriter<'_>, _key: &Arg<'_>) {}

    fn aux_save(writer: &mut RdbWriter<'_>) {
        registry::with(|all| {
            writer.u64(ALIASES);
            writer.u64(all.aliases.iter().len() as u64);
            for (alias, index) in all.aliases.iter() {
                writer.bytes(alias);
                writer.bytes(index);
            }
            writer.u64(DICTIONARIES);
            writer.u64(all.dictionaries.iter().len() as u64);
            for (name, words) in all.dictionaries.iter() {
                writer.bytes(name);
                writer.u64(words.len() as u64);
                words.iter().for_each(|word| writer.bytes(word));
            }
            for entry in all.iter_mut() {
                let schema = entry.index.schema();
                if !schema.synonyms.is_empty() {
                    writer.u64(SYNONYMS);
                    writer.bytes(&schema.name);
                    save_synonyms(writer, &schema.synonyms);
                }
            }
            writer.u64(END);
        });
    }

    fn aux_is_empty() -> bool {
        registry::with(|all| {
            let no_synonyms = all.iter_mut().all(|entry| entry.index.schema().synonyms.is_empty());
            no_synonyms && all.aliases.iter().len() == 0 && all.dictionaries.iter().len() == 0
        })
    }

    fn aux_load(reader: &mut RdbReader<'_>, _encver: i32) -> Result<(), Error> {
        registry::with(|all| {
            all.aliases.clear();
            all.dictionaries.clear();
        });
        loop {
            match reader.u64()? {
                END => return Ok(()),
                ALIASES => {
                    for _ in 0..count(reader)? {
                        let (alias, index) = (reader.bytes()?, reader.bytes()?);
                        registry::with(|all| all.aliases.set(&alias, &index));
                    }
                }
                DICTIONARIES => {
                    for _ in 0..count(reader)? {
                        let name = reader.bytes()?;
                        for _ in 0..count(reader)? {
                            let word = reader.bytes()?;
                            registry::with(|all| all.dictionaries.add(&name, &[&*word]));
                        }
                    }
                }
                SYNONYMS => {
                    let name = reader.bytes()?;
                    let synonyms = load_synonyms(reader)?;
                    registry::with(|all| {
                        // The index may be one that this version could not make.
                        let Some(entry) = all.get(&name) else { return };
                        let mut schema = entry.index.schema().as_ref().clone();
                        schema.synonyms = Arc::new(synonyms);
                        entry.index.redefine(Arc::new(schema));
                    });
                }
                tag => {
                    return Err(Error::new(format_args!("a part of an unknown kind: {tag}")));
                }
            }
        }
    }
}

fn count(reader: &mut RdbReader<'_>) -> Result<u64, Error> {
    let count = reader.u64()?;
    if count > ENTRIES_MAX { Err(Error::new("a list is too long")) } else { Ok(count) }
}

fn save_synonyms(writer: &mut RdbWriter<'_>, synonyms: &Synonyms) {
    writer.u64(synonyms.len() as u64);
    for (word, groups) in synonyms.iter() {
        writer.bytes(word);
        writer.u64(groups.len() as u64);
        groups.iter().for_each(|group| writer.bytes(group.as_bytes()));
    }
}

fn load_synonyms(reader: &mut RdbReader<'_>) -> Result<Synonyms, Error> {
    let mut synonyms = Synonyms::default();
    for _ in 0..count(reader)? {
        let word = reader.bytes()?.to_vec();
        for _ in 0..count(reader)? {
            let group = reader.text()?;
            synonyms.insert(&group, &word).map_err(Error::new)?;
        }
    }
    Ok(synonyms)
}
