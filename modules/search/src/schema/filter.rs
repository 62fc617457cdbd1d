//! Which documents does an index take, of the keys that it follows?
//!
//! Those for which the expression of FILTER holds. It sees all fields of a key, in the schema or not, and `@__key`. A
//! document for which it cannot be worked out is not taken.

use crate::error::Error;
use crate::expression::value::Value;
use crate::expression::{Expression, Wanted};
use crate::schema::Schema;

/// The property that is the document's key.
const KEY: &[u8] = b"__key";

/// The condition of FT.CREATE ... FILTER.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// How it was written.
    pub text: Box<[u8]>,
    expression: Expression,
    /// Names of the properties that it looks at, by slot.
    names: Vec<Box<[u8]>>,
}

impl Filter {
    /// Reads the condition.
    pub fn parse(text: &[u8]) -> Result<Filter, Error> {
        let mut expression = Expression::parse(text)?;
        let mut names: Vec<Box<[u8]>> = Vec::new();
        expression.bind(&mut |wanted| {
            // No query has been asked, so no term has matched: the name finds nothing.
            let name = match wanted {
                Wanted::Property(name) => name,
                Wanted::MatchedTerms => b"",
            };
            let known = names.iter().position(|known| **known == *name);
            Ok::<_, Error>(known.unwrap_or_else(|| {
                names.push(name.into());
                names.len() - 1
            }))
        })?;
        Ok(Filter { text: text.into(), expression, names })
    }

    /// The hash fields or JSON paths that it looks at, in the order in which [`Filter::accepts`] asks for them.
    pub fn looks_at<'a>(&'a self, schema: &'a Schema) -> impl Iterator<Item = &'a [u8]> {
        let names = self.names.iter().map(|name| &**name);
        names
            .filter(|name| !matches!(*name, KEY | b""))
            .map(|name| schema.field(name).map_or(name, |(_, field)| &*field.path))
    }

    /// Names of the properties that it looks at.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether it holds for the document of a key, of which `get` gives values by hash field or JSON path.
    pub fn accepts(
        &self,
        schema: &Schema,
        key: &[u8],
        mut get: impl FnMut(&[u8]) -> Option<Value<'static>>,
    ) -> bool {
        let values = self.names.iter().map(|name| match &**name {
            KEY => Some(Value::text(key)),
            b"" => None,
            name => get(schema.field(name).map_or(name, |(_, field)| &*field.path)),
        });
        let values: Vec<Option<Value<'_>>> = values.collect();
        self.expression.holds(values.as_slice()).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::parse::create;

    #[test]
    fn conditions_see_fields_aliases_and_the_key() {
        let words: Vec<&[u8]> = "SCHEMA a AS alias TEXT".split(' ').map(str::as_bytes).collect();
        let schema = create(b"idx", &words).unwrap();
        let accepts =
            |text: &str| {
                Filter::parse(text.as_bytes()).unwrap().accepts(&schema, b"thing:1", |field| {
                    match field {
                        b"a" => Some(Value::text(b"yes")),
                        b"age" => Some(Value::text(b"17")),
                        _ => None,
                    }
                })
            };
        assert!(accepts("startswith(@__key, 'thing:')") && !accepts("startswith(@__key, 'x')"));
        assert!(accepts("@alias == 'yes' && @a == 'yes'"));
        assert!(accepts("@age > 16") && !accepts("@age > 17"));
        assert!(!accepts("@missing > 1") && !accepts("!startswith(@missing, 'a')"));
        assert!(accepts("!exists(@missing)") && accepts("@missing == NULL"));
        assert!(!accepts("strlen(1)") && !accepts("matched_terms()"));
        assert!(Filter::parse(b"nope(1)").is_err());
    }
}
