//! What does a document keep of the elements of a NESTED field?
//!
//! The members' values, as they would be indexed if each element were a document of its own, so that a condition means
//! the same of an element and of a document. The form is that of [`elements`](crate::index::elements).

use crate::columns::Value;
use crate::index::analysis::{Analysis, FieldValue, Takes, each_tag, each_text, numeric_value};
use crate::index::elements::{put_member, put_number, put_run, put_value};
use crate::index::places;
use crate::query::plan::STEM_MARK;
use crate::schema::nested::{Group, Member};
use crate::schema::{FieldKind, Schema};
use crate::settings;

impl Analysis {
    /// The value of a NESTED field, by its number.
    pub(super) fn elements(
        &mut self,
        schema: &Schema,
        number: u16,
        value: &FieldValue<'_>,
    ) -> Result<Value, String> {
        let (FieldValue::Elements(elements), Some(group)) = (value, schema.group(number)) else {
            return Ok(Value::Absent);
        };
        let marks = (self.text.len(), self.tokens.len(), self.length, self.position);
        let mut out = Vec::new();
        let put = self.put_elements(schema, group, elements, &mut out);
        // Their words are the document's already, by the fields themselves.
        self.text.truncate(marks.0);
        self.tokens.truncate(marks.1);
        (self.length, self.position) = (marks.2, marks.3);
        put.map(|()| Value::Text(out))
    }

    fn put_elements(
        &mut self,
        schema: &Schema,
        group: &Group,
        elements: &[Vec<FieldValue<'_>>],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let (mut body, mut values) = (Vec::new(), Vec::new());
        for element in elements {
            body.clear();
            self.position = 0;
            for (member, value) in group.members.iter().zip(element) {
                if matches!(value, FieldValue::Missing) {
                    continue;
                }
                values.clear();
                self.put_member(schema, member, value, &mut values)?;
                put_member(&mut body, member.field, &values);
            }
            put_run(out, &body);
        }
        Ok(())
    }

    fn put_member(
        &mut self,
        schema: &Schema,
        member: &Member,
        value: &FieldValue<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let field = &schema.fields[member.field as usize];
        match (&field.kind, value) {
            (FieldKind::Text { id, no_stem, phonetic, .. }, _) => {
                let first = self.tokens.len();
                let gap = u32::try_from(settings::MULTI_TEXT_SLOP.get()).unwrap_or(u32::MAX);
                each_text(value, Takes::Text, &mut |text| {
                    if self.tokens.len() > first {
                        self.position = self.position.saturating_add(gap);
                    }
                    let before = self.tokens.len();
                    self.words(schema, text, *id, 1, !no_stem);
                    if *phonetic {
                        self.sounds(before);
                    }
                    if text.is_empty() && field.index_empty {
                        self.empty_word(*id, 1);
                    }
                })?;
                self.put_terms(first, out);
            }
            (FieldKind::Tag { separator, case_sensitive, .. }, _) => {
                each_text(value, Takes::Tags, &mut |text| {
                    each_tag(text, *separator, *case_sensitive, field.index_empty, |tag| {
                        put_run(out, tag);
                    });
                })?;
            }
            (FieldKind::Numeric, _) => match numeric_value(value)? {
                Value::Number(number) => put_value(out, number),
                Value::Numbers(numbers) => {
                    numbers.iter().for_each(|number| put_value(out, *number));
                }
                _ => {}
            },
            (FieldKind::Geo, _) => {
                if let Value::Points(codes) = places::points(value)? {
                    codes.iter().for_each(|code| out.extend_from_slice(&code.to_le_bytes()));
                }
            }
            (FieldKind::Nested, FieldValue::Elements(elements)) => {
                if let Some(group) = &member.group {
                    let position = self.position;
                    self.put_elements(schema, group, elements, out)?;
                    self.position = position;
                }
            }
            // No clause asks for these.
            (FieldKind::Nested | FieldKind::GeoShape(_) | FieldKind::Vector { .. }, _) => {}
        }
        Ok(())
    }

    /// The terms of the tokens from `first` on.
    fn put_terms(&self, first: usize, out: &mut Vec<u8>) {
        for token in &self.tokens[first..] {
            let word = &self.text[token.start as usize..token.end as usize];
            put_number(out, token.position);
            put_run(out, word.as_bytes());
            let stem = token.stemmed.then(|| self.language.stem(word)).flatten();
            if let Some(stem) = stem.filter(|stem| !stem.is_empty() && stem != word) {
                put_number(out, token.position);
                put_run(out, format!("{STEM_MARK}{stem}").as_bytes());
            }
        }
    }
}
