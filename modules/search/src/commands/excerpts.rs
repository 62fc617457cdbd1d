//! HIGHLIGHT and SUMMARIZE of FT.SEARCH.

use crate::args::Args;
use crate::commands::options::Options;
use crate::error::Error;
use crate::highlight::{Summary, Tags, Wanted};
use crate::schema::{Field, FieldKind, Schema, Source};

/// What happens to the texts of a reply.
#[derive(Debug, Default)]
pub struct Excerpts<'a> {
    /// To fields that are named.
    fields: Vec<(&'a [u8], Treatment<'a>)>,
    /// To all others.
    others: Treatment<'a>,
}

/// What happens to one text.
#[derive(Debug, Default, Clone)]
struct Treatment<'a> {
    tags: Option<Tags<'a>>,
    summary: Option<Summary<'a>>,
}

impl Treatment<'_> {
    fn is_none(&self) -> bool {
        self.tags.is_none() && self.summary.is_none()
    }
}

impl<'a> Excerpts<'a> {
    /// Whether texts are shown as they are.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.others.is_none()
    }

    /// Reads what stands behind HIGHLIGHT.
    pub fn highlight(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        const BAD: Error = Error::Text("Bad arguments for HIGHLIGHT");
        let fields = fields(args).ok_or(BAD)?;
        let mut tags = Tags::default();
        while args.take("TAGS") {
            tags.open = args.next_arg().ok_or(BAD)?;
            tags.close = args.next_arg().ok_or(BAD)?;
        }
        self.treat(fields, |treatment| treatment.tags = Some(tags.clone()));
        Ok(())
    }

    /// Reads what stands behind SUMMARIZE.
    pub fn summarize(&mut self, args: &mut Args<'a>) -> Result<(), Error> {
        const BAD: Error = Error::Text("Bad arguments for SUMMARIZE");
        let fields = fields(args).ok_or(BAD)?;
        let mut summary = Summary::default();
        loop {
            if args.take("LEN") {
                summary.words = number(args).ok_or(BAD)?;
            } else if args.take("FRAGS") {
                summary.fragments = number(args).ok_or(BAD)?;
            } else if args.take("SEPARATOR") {
                summary.separator = args.next_arg().ok_or(BAD)?;
            } else {
                break;
            }
        }
        self.treat(fields, |treatment| treatment.summary = Some(summary.clone()));
        Ok(())
    }

    /// Changes what happens to some fields, or to all if none are named.
    fn treat(&mut self, fields: &[&'a [u8]], change: impl Fn(&mut Treatment<'a>)) {
        if fields.is_empty() {
            change(&mut self.others);
        }
        for name in fields {
            let at = self.fields.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                self.fields.push((*name, Treatment::default()));
                self.fields.len() - 1
            });
            change(&mut self.fields[at].1);
        }
    }

    /// What happens to a field. Once fields are named, or returned by name, only those are touched at all.
    fn of(&self, name: &[u8], options: &Options<'_>) -> Treatment<'a> {
        let named = self.fields.iter().find(|(known, _)| *known == name).map(|(_, own)| own);
        let returned =
            options.fields.as_ref().is_some_and(|list| list.iter().any(|f| f.name == name));
        match named {
            Some(own) => Treatment {
                tags: own.tags.clone().or_else(|| self.others.tags.clone()),
                summary: own.summary.clone().or_else(|| self.others.summary.clone()),
            },
            None if self.fields.is_empty() || returned => self.others.clone(),
            None => Treatment::default(),
        }
    }

    /// Checks that the index can do it.
    pub fn check(&self, schema: &Schema, options: &Options<'_>) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        if schema.source == Source::Json && options.fields.is_none() {
            return Err(Error::Text(
                "HIGHLIGHT/SUMMARIZE on JSON indexes requires RETURN with explicit field names",
            ));
        }
        if schema.omits.excerpts {
            return Err(Error::Text(
                "Cannot use HIGHLIGHT/SUMMARIZE because NOOFSETS was specified at index level",
            ));
        }
        Ok(())
    }

    /// Puts excerpts in place of the texts of one result.
    pub fn apply(
        &self,
        fields: &mut [(Vec<u8>, Vec<u8>)],
        wanted: &Wanted<'_>,
        schema: &Schema,
        options: &Options<'_>,
    ) {
        for (name, text) in fields {
            let treatment = self.of(name, options);
            if treatment.is_none() {
                continue;
            }
            let Some(Field { kind: FieldKind::Text { id, .. }, .. }) =
                shown_field(schema, name, options)
            else {
                continue;
            };
            let tags = treatment.tags.as_ref();
            let changed = match (&treatment.summary, tags) {
                (Some(summary), tags) => wanted.summarize(text, *id, summary, tags),
                (None, Some(tags)) => wanted.highlight(text, *id, tags),
                (None, None) => None,
            };
            if let Some(changed) = changed {
                *text = changed;
            }
        }
    }
}

/// The field of the schema that a reply shows as `name`: by its name, by its path, or by what RETURN calls it.
fn shown_field<'s>(schema: &'s Schema, name: &[u8], options: &Options<'_>) -> Option<&'s Field> {
    let returned = options.fields.iter().flatten().find(|field| field.name == name);
    let name = returned.map_or(name, |field| field.path);
    let by_name = schema.field(name).map(|(_, field)| field);
    by_name.or_else(|| schema.fields.iter().find(|field| *field.path == *name))
}

/// `[FIELDS n name...]`.
fn fields<'a>(args: &mut Args<'a>) -> Option<&'a [&'a [u8]]> {
    if args.take("FIELDS") { args.list("FIELDS").ok() } else { Some(&[]) }
}

fn number(args: &mut Args<'_>) -> Option<usize> {
    let number = crate::args::parse_integer(args.next_arg()?)?;
    u32::try_from(number).ok().and_then(|number| usize::try_from(number).ok())
}
