//! Which fields belong to the elements of which array?
//!
//! `$.orders[*] AS orders NESTED` declares that each object which the path finds is an element. A field whose path goes
//! on behind it by names and `[*]` alone (`$.orders[*].price`, `$.orders[*]['sku']`, `$.orders[*].lines[*].qty`) is a
//! member of it, whether it was declared before or after; so is a NESTED field, whose elements are then elements of an
//! element. Members stay fields of the document as well.

use crate::schema::questions::{Ask, Question};
use crate::schema::{Field, FieldKind, Schema, Source};

/// NESTED fields of one index. Values of a field are kept once for each that it is a member of.
pub const NESTED_MAX: usize = 32;
/// NESTED fields that lie in one another.
pub const NESTED_DEEP_MAX: usize = 3;

/// One step of a path from an element to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of this name.
    Name(String),
    /// Everything in it.
    All,
}

/// A NESTED field with what belongs to its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The field's number.
    pub field: u16,
    /// Its members, in the order of the schema.
    pub members: Vec<Member>,
}

/// A field of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The field's number.
    pub field: u16,
    /// Its path from the element, which is `$`.
    pub path: Box<[u8]>,
    /// What it consists of, if it is a NESTED field.
    pub group: Option<Group>,
}

impl Group {
    /// What is asked of the elements that `path` finds.
    pub fn question(&self, path: &[u8]) -> Question {
        let ask = |member: &Member| match &member.group {
            Some(group) => group.question(&member.path),
            None => Question::new(&member.path, Ask::All),
        };
        Question::new(path, Ask::Elements(self.members.iter().map(ask).collect()))
    }
}

impl Schema {
    /// The group of a NESTED field.
    pub(super) fn group_of(&self, number: u16) -> Group {
        let group = &self.fields[number as usize];
        let member = |(at, field): (usize, &Field)| {
            let rest = below(&group.path, &field.path)?;
            let field_number = u16::try_from(at).expect("FIELDS_MAX fits");
            let is_group = field.kind == FieldKind::Nested;
            Some(Member {
                field: field_number,
                path: [b"$", rest].concat().into(),
                group: is_group.then(|| self.group_of(field_number)),
            })
        };
        Group {
            field: number,
            members: self.fields.iter().enumerate().filter_map(member).collect(),
        }
    }

    /// Whether a field is a member of a NESTED one.
    pub fn is_member(&self, group: u16, field: u16) -> bool {
        below(&self.fields[group as usize].path, &self.fields[field as usize].path).is_some()
    }

    /// Why a NESTED field cannot be added behind the others, if it cannot.
    pub(super) fn refuse_nested(&self, path: &[u8]) -> Option<&'static str> {
        let nested = |field: &&Field| field.kind == FieldKind::Nested;
        if self.source != Source::Json {
            return Some("NESTED fields are for JSON documents");
        }
        if !path.starts_with(b"$") || !path.ends_with(b"]") {
            return Some(
                "The path of a NESTED field finds the elements of an array, as `$.orders[*]` does",
            );
        }
        if self.fields.iter().filter(nested).count() == NESTED_MAX {
            return Some("An index has at most 32 NESTED fields");
        }
        None
    }

    /// Whether too many NESTED fields lie in one another.
    pub(super) fn is_too_nested(&self) -> bool {
        let mut nested = (0u16..).zip(&self.fields).filter(|(_, f)| f.kind == FieldKind::Nested);
        // Each takes twice what the one inside it takes, so the deepest must not be worked out before it is refused.
        nested.any(|(_, outer)| {
            let inside = self.fields.iter().filter(|f| f.kind == FieldKind::Nested);
            inside.filter(|inner| below(&inner.path, &outer.path).is_some()).count()
                >= NESTED_DEEP_MAX
        })
    }
}

/// How `path` goes on behind the path of a NESTED field, if it does, by names and `[*]` alone.
pub fn below<'p>(group: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(group).filter(|rest| !rest.is_empty())?;
    steps(rest).map(|_| rest)
}

/// The steps of a path from an element, without the `$` in front; none if it has other steps than these.
pub fn steps(rest: &[u8]) -> Option<Vec<Step>> {
    let mut rest = std::str::from_utf8(rest).ok()?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix("[*]").or_else(|| rest.strip_prefix(".*")) {
            steps.push(Step::All);
            rest = behind;
            continue;
        }
        let (name, behind) = if let Some(quoted) = rest.strip_prefix("['") {
            quoted.split_once("']")?
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            quoted.split_once("\"]")?
        } else {
            let bare = rest.strip_prefix('.')?;
            let end = bare.find(|c: char| c != '_' && c.is_ascii() && !c.is_ascii_alphanumeric());
            bare.split_at(end.unwrap_or(bare.len()))
        };
        // What a path may write in other ways is left to paths.
        if name.is_empty() || name.contains(['\'', '"', '\\']) {
            return None;
        }
        steps.push(Step::Name(name.to_owned()));
        rest = behind;
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::parse::create;

    #[test]
    fn paths_go_on_by_names_and_stars() {
        let name = |name: &str| Step::Name(name.to_owned());
        assert_eq!(below(b"$.o[*]", b"$.o[*].a_1"), Some(&b".a_1"[..]));
        assert_eq!(
            steps(b".a['b c'][*][\"d\"].*"),
            Some(vec![name("a"), name("b c"), Step::All, name("d"), Step::All])
        );
        assert_eq!(steps(".größe".as_bytes()), Some(vec![name("größe")]));
        for other in [
            "$.o[*]",
            "$.o[*]x",
            "$.o[*]..a",
            "$.o[*][0]",
            "$.o[*].a-b",
            "$.o[*].a[?(@.b)]",
            "$.o[*].",
            "$.o[*]['a\\'b']",
            "$.p[*].a",
        ] {
            assert_eq!(below(b"$.o[*]", other.as_bytes()), None, "{other}");
        }
    }

    fn schema(line: &str) -> Result<Schema, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        create(b"idx", &words).map_err(|error| error.to_string())
    }

    #[test]
    fn members_are_found_wherever_they_stand() {
        let schema = schema(
            "ON JSON SCHEMA $.o[*].p AS p NUMERIC $.o[*] AS o NESTED $.x AS x TAG $.o[*].l[*] AS l NESTED $.o[*].l[*].q AS q NUMERIC",
        )
        .unwrap();
        let o = schema.group_of(1);
        let members: Vec<u16> = o.members.iter().map(|member| member.field).collect();
        assert_eq!(members, [0, 3, 4]);
        assert_eq!(o.members[1].group.as_ref().unwrap().members[0].field, 4);
        assert_eq!(&*o.members[1].group.as_ref().unwrap().members[0].path, b"$.q");
        assert!(
            schema.is_member(1, 0)
                && schema.is_member(1, 4)
                && !schema.is_member(1, 2)
                && !schema.is_member(3, 0)
        );
        let questions = &schema.questions().list;
        assert_eq!(questions[1], o.question(b"$.o[*]"));
        assert_eq!(questions[0], Question::new(b"$.o[*].p", Ask::All));
    }

    #[test]
    fn what_is_no_array_of_objects_is_refused() {
        let refused = |line: &str| schema(line).unwrap_err();
        assert_eq!(refused("SCHEMA o[*] AS o NESTED"), "NESTED fields are for JSON documents");
        let path =
            "The path of a NESTED field finds the elements of an array, as `$.orders[*]` does";
        assert_eq!(refused("ON JSON SCHEMA $.o AS o NESTED"), path);
        assert_eq!(refused("ON JSON SCHEMA o[*] AS o NESTED"), path);
        assert_eq!(
            refused(
                "ON JSON SCHEMA $.a[*] AS a NESTED $.a[*].b[*] AS b NESTED $.a[*].b[*].c[*] AS c NESTED $.a[*].b[*].c[*].d[*] AS d NESTED"
            ),
            "NESTED fields lie in one another at most 3 deep",
        );
        let many: String = (0..33).map(|i| format!(" $.f{i}[*] AS f{i} NESTED")).collect();
        assert_eq!(
            refused(&format!("ON JSON SCHEMA{many}")),
            "An index has at most 32 NESTED fields"
        );
        assert_eq!(
            refused("ON JSON SCHEMA $.o[*] AS o NESTED SORTABLE"),
            "Field `SORTABLE` does not have a type"
        );
    }
}
