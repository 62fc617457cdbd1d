//! What else is a word of a query looked up as?
//!
//! As the groups of its synonyms, as its sound, as its stem, and as a word that is equal to the stem. Documents carry
//! the first three beside their words, each with a mark of its own, so one look-up finds all words that share it.

use crate::error::Error;
use crate::phonetics::{SOUND_MARK, sound};
use crate::query::ast::Node;
use crate::query::plan::STEM_MARK;
use crate::schema::{ALL_FIELDS, FieldKind, FieldMask, Schema};
use crate::synonyms::GROUP_MARK;
use crate::tokenize::Language;

/// Which expansions a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expander {
    /// All that the index has.
    #[default]
    All,
    /// Stems.
    Stems,
    /// Groups of synonyms.
    Synonyms,
    /// Sounds.
    Sounds,
}

impl Expander {
    /// The expander of this name.
    pub fn find(name: &[u8]) -> Result<Expander, Error> {
        Ok(match name.to_ascii_uppercase().as_slice() {
            b"DEFAULT" => Expander::All,
            b"SBSTEM" => Expander::Stems,
            b"SYNONYM" => Expander::Synonyms,
            b"PHONETIC" => Expander::Sounds,
            _ => return Err(Error::NoSuchExpander(String::from_utf8_lossy(name).into_owned())),
        })
    }

    fn wants(self, other: Expander) -> bool {
        self == Expander::All || self == other
    }
}

/// Another term that a word is looked up as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The term, with its mark.
    pub term: String,
    /// In which TEXT fields.
    pub fields: FieldMask,
}

/// The other terms of a word of `node`, in RediSearch's order.
pub fn expand(
    word: &str,
    node: &Node,
    schema: &Schema,
    expander: Expander,
    language: Language,
) -> Result<Vec<Expansion>, Error> {
    let fields = node.fields;
    let mut found = Vec::new();
    if expander.wants(Expander::Synonyms) {
        let groups = schema.synonyms.groups(word).iter();
        found
            .extend(groups.map(|group| Expansion { term: format!("{GROUP_MARK}{group}"), fields }));
    }
    if wants_sound(node, schema, expander)?
        && let Some(code) = sound(word)
    {
        found.push(Expansion { term: format!("{SOUND_MARK}{code}"), fields });
    }
    let fields = stem_fields(fields, schema);
    if expander.wants(Expander::Stems)
        && fields != 0
        && let Some(stem) = language.stem(word).filter(|stem| !stem.is_empty())
    {
        found.push(Expansion { term: format!("{STEM_MARK}{stem}"), fields });
        if stem != word {
            found.push(Expansion { term: stem, fields });
        }
    }
    Ok(found)
}

/// Whether a term is one of those that stand beside words.
pub fn is_marked(term: &[u8]) -> bool {
    const MARKS: [u8; 3] = [STEM_MARK as u8, GROUP_MARK as u8, SOUND_MARK as u8];
    term.first().is_some_and(|first| MARKS.contains(first))
}

fn wants_sound(node: &Node, schema: &Schema, expander: Expander) -> Result<bool, Error> {
    match expander {
        Expander::Sounds => return Ok(true),
        Expander::All => {}
        Expander::Stems | Expander::Synonyms => return Ok(false),
    }
    let has_sounds = schema.fields.iter().any(|field| match field.kind {
        FieldKind::Text { id, phonetic, .. } => phonetic && node.fields >> id & 1 == 1,
        _ => false,
    });
    match node.phonetic {
        Some(_) if !has_sounds => Err(Error::Text("field does not support phonetics")),
        Some(wanted) => Ok(wanted),
        None => Ok(has_sounds),
    }
}

/// The fields in which stems count: those without NOSTEM, unless no field was named.
fn stem_fields(fields: FieldMask, schema: &Schema) -> FieldMask {
    if fields == ALL_FIELDS {
        return fields;
    }
    let unstemmed = schema.fields.iter().filter_map(|field| match field.kind {
        FieldKind::Text { id, no_stem: true, .. } => Some(1 << id),
        _ => None,
    });
    unstemmed.fold(fields, |fields, bit: FieldMask| fields & !bit)
}
