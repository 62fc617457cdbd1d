//! `@orders:(@sku:{a} @price:[10 20])`: what must hold of one element?
//!
//! Behind a NESTED field stand conditions in parentheses, of the grammar of the whole query. They may name the field's
//! members alone; words without a field are looked for in its TEXT members.

use crate::error::Error;
use crate::query::ast::{Kind, Node};
use crate::query::lexer::Token;
use crate::query::parser::fields::field_name;
use crate::query::parser::{Clause, Parser};
use crate::schema::{Field, FieldKind, FieldMask};

impl Parser<'_> {
    /// The conditions behind the name of a NESTED field and its colon.
    pub(super) fn nested(
        &mut self,
        field: u16,
        token: Token<'_>,
        depth: usize,
    ) -> Result<Clause, Error> {
        if !self.take(b'(') {
            return Err(Error::At {
                message: "Expected conditions in parentheses for a NESTED field",
                offset: token.offset,
                near: field_name(token),
            });
        }
        let around = self.group.replace(field);
        let clause = self.union(depth + 1)?;
        self.expect(b')')?;
        self.group = around;
        let words = self.words_of(field);
        let node = clause.node.map(|mut child| {
            child.restrict(words);
            Node::new(Kind::Nested { field, child: Box::new(child) })
        });
        Ok(Clause { node, is_text: false })
    }

    /// Fails for a field that cannot be asked for where the parser stands.
    pub(super) fn check_member(
        &self,
        (number, field): (u16, &Field),
        token: Token<'_>,
    ) -> Result<(), Error> {
        let Some(group) = self.group else { return Ok(()) };
        let message = if !self.context.schema.is_member(group, number) {
            "Not a member of the NESTED field"
        } else if matches!(field.kind, FieldKind::GeoShape(_) | FieldKind::Vector { .. }) {
            "GEOSHAPE and VECTOR cannot be asked of elements"
        } else {
            return Ok(());
        };
        Err(Error::At { message, offset: token.offset, near: field_name(token) })
    }

    /// The TEXT members of a NESTED field.
    fn words_of(&self, group: u16) -> FieldMask {
        let schema = self.context.schema;
        let text = |(number, field): (u16, &Field)| match field.kind {
            FieldKind::Text { id, .. } if schema.is_member(group, number) => Some(1 << id),
            _ => None,
        };
        (0u16..).zip(&schema.fields).filter_map(text).fold(0, |mask, bit: FieldMask| mask | bit)
    }
}

#[cfg(test)]
mod tests {
    use crate::query::parser::{Context, Parameters, parse};
    use crate::schema::parse::create;

    fn refused(text: &str, dialect: u32) -> String {
        let line = "ON JSON SCHEMA $.o[*] AS o NESTED $.o[*].t AS t TAG $.o[*].s AS s GEOSHAPE $.o[*].l[*] AS l NESTED \
                    $.o[*].l[*].q AS q NUMERIC $.k AS k TAG $.o[*].w AS w TEXT";
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        let schema = create(b"idx", &words).unwrap();
        let parameters = Parameters::new();
        let context = Context {
            schema: &schema,
            stop_words: &schema.stop_words,
            parameters: &parameters,
            dialect,
        };
        parse(text.as_bytes(), context).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn errors_say_where() {
        let cases = [
            ("@o:(@k:{x})", "Not a member of the NESTED field at offset 4 near k"),
            ("@l:(@t:{x})", "Not a member of the NESTED field at offset 4 near t"),
            ("@l:(@o:(@t:{x}))", "Not a member of the NESTED field at offset 4 near o"),
            ("@o:(@o:(@t:{x}))", "Not a member of the NESTED field at offset 4 near o"),
            ("@o:(@w|k:x)", "Not a member of the NESTED field at offset 7 near k"),
            (
                "@o:(@s:[WITHIN $p])",
                "GEOSHAPE and VECTOR cannot be asked of elements at offset 4 near s",
            ),
            (
                "@t:{a} @o:{x}",
                "Expected conditions in parentheses for a NESTED field at offset 7 near o",
            ),
            (
                "@o:[1 2]",
                "Expected conditions in parentheses for a NESTED field at offset 0 near o",
            ),
            ("@o:x", "Expected conditions in parentheses for a NESTED field at offset 0 near o"),
            ("@o:(@t:{x}", "Syntax error at offset 7 near t"),
            ("@o:()", "Syntax error at offset 4 near o"),
            ("@o==3", "Expected a NUMERIC field at offset 0 near o"),
            ("@w|o:x", "Expected a TEXT field at offset 3 near o"),
        ];
        for (text, expected) in cases {
            assert_eq!(refused(text, 2), expected, "{text}");
        }
        for text in [
            "@o:(@t:{x})",
            "@o:(x @l:(@q>3))=>{$weight:2}",
            "-@o:(-@t:{x}|~\"a b\")",
            "(@o:(x)) @k:{y}",
            "@o:(the) x",
        ] {
            assert_eq!(refused(text, 2), "", "{text}");
            assert_eq!(refused(text, 1), "", "{text}");
        }
    }
}
