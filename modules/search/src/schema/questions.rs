//! What is asked of a JSON document so that it can be put into an index?
//!
//! One list for the whole schema, in the form in which the JSON module's service takes it, so that a document is one
//! call. The list is made once for a schema and kept with it.

use std::sync::OnceLock;

use crate::schema::nested::Group;
use crate::schema::{FieldKind, Schema};

/// A path and what is wanted of what it finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The path, from the root of the document or of the element.
    pub path: Box<[u8]>,
    /// What is wanted.
    pub ask: Ask,
}

/// What is wanted of what a path finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// All values.
    All,
    /// The first value, arrays and objects as text.
    First,
    /// The text that JSON.GET answers.
    Text,
    /// The answers to these, of each object.
    Elements(Vec<Question>),
}

/// A list of questions in both forms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// The questions, in the order in which they are answered.
    pub list: Vec<Question>,
    /// As the service takes them.
    pub bytes: Vec<u8>,
}

/// What is worked out of a schema when it is asked for first. A copy of a schema, which may be changed, begins anew.
#[derive(Debug, Default)]
pub struct Kept(OnceLock<(Questions, Vec<Group>)>);

impl Clone for Kept {
    fn clone(&self) -> Kept {
        Kept::default()
    }
}

impl Questions {
    /// A list in both forms.
    pub fn new(list: Vec<Question>) -> Questions {
        let mut bytes = Vec::new();
        list.iter().for_each(|question| question.encode(&mut bytes));
        Questions { list, bytes }
    }
}

impl Question {
    /// A question.
    pub fn new(path: &[u8], ask: Ask) -> Question {
        Question { path: path.into(), ask }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(match self.ask {
            Ask::All => 0,
            Ask::First => 1,
            Ask::Text => 2,
            Ask::Elements(_) => 3,
        });
        put_len(bytes, self.path.len());
        bytes.extend_from_slice(&self.path);
        if let Ask::Elements(questions) = &self.ask {
            put_len(bytes, questions.len());
            questions.iter().for_each(|question| question.encode(bytes));
        }
    }
}

fn put_len(bytes: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("arguments of commands are shorter than 4 GiB");
    bytes.extend_from_slice(&len.to_le_bytes());
}

impl Schema {
    /// What is asked of each document: what the condition looks at, the language, the score, then the fields.
    pub fn questions(&self) -> &Questions {
        &self.worked_out().0
    }

    /// What belongs to the elements of a NESTED field.
    pub fn group(&self, field: u16) -> Option<&Group> {
        self.worked_out().1.iter().find(|group| group.field == field)
    }

    fn worked_out(&self) -> &(Questions, Vec<Group>) {
        self.kept_questions.0.get_or_init(|| {
            let numbered = (0u16..).zip(&self.fields);
            let nested = numbered.filter(|(_, field)| field.kind == FieldKind::Nested);
            let groups: Vec<Group> = nested.map(|(number, _)| self.group_of(number)).collect();
            (self.list_questions(&groups), groups)
        })
    }

    fn list_questions(&self, groups: &[Group]) -> Questions {
        let first = |path: &[u8]| Question::new(path, Ask::First);
        let mut list: Vec<Question> = Vec::new();
        if let Some(filter) = &self.filter {
            list.extend(filter.looks_at(self).map(first));
        }
        list.extend(self.language_field.iter().map(|path| first(path)));
        list.extend(self.score_field.iter().map(|path| first(path)));
        for (number, field) in (0u16..).zip(&self.fields) {
            list.push(match groups.iter().find(|group| group.field == number) {
                Some(group) => group.question(&field.path),
                None => Question::new(&field.path, Ask::All),
            });
        }
        Questions::new(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::alter::alter;
    use crate::schema::parse::create;

    #[test]
    fn all_that_is_read_is_asked_for_at_once() {
        let line = "ON JSON FILTER @n>1&&@__key=='k'&&@other==1 SCORE_FIELD $.s LANGUAGE_FIELD $.l SCHEMA $.n AS n NUMERIC";
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let schema = create(b"idx", &words).unwrap();
        let paths = |schema: &Schema| -> Vec<String> {
            let list = schema.questions().list.iter();
            list.map(|question| String::from_utf8_lossy(&question.path).into_owned()).collect()
        };
        assert_eq!(paths(&schema), ["$.n", "other", "$.l", "$.s", "$.n"]);
        assert!(schema.questions().bytes.starts_with(b"\x01\x03\0\0\0$.n\x01\x05\0\0\0other"));
        let words: Vec<&[u8]> = vec![b"SCHEMA", b"ADD", b"$.t", b"AS", b"t", b"TEXT"];
        assert_eq!(paths(&alter(&schema, &words).unwrap().schema).last().unwrap(), "$.t");
    }
}
