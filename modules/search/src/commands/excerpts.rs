//! HIGHLIGHT and SUMMARIZE of FT.SEARCH.

use std::collections::HashMap;

use crate::args::Args;
use crate::commands::options::Options;
use crate::error::Error;
use crate::highlight::{Limits, Summary, Tags, Wanted};
use crate::schema::{FieldKind, Schema, Source};

/// What happens to the texts of a reply.
#[derive(Debug, Default)]
pub struct Excerpts<'a> {
    /// To fields that are named.
    fields: HashMap<&'a [u8], Treatment<'a>>,
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
            change(self.fields.entry(*name).or_default());
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

    /// What happens to the fields of a reply.
    pub fn treatments<'s>(
        &'s self,
        schema: &'s Schema,
        options: &'s Options<'a>,
    ) -> Treatments<'s> {
        let mut texts = HashMap::new();
        // A name goes before a path, and an earlier field before a later one.
        let paths = schema.fields.iter().rev().map(|field| (&*field.path, field));
        let names = schema.fields.iter().rev().map(|field| (&*field.name, field));
        for (name, field) in paths.chain(names) {
            let id = match field.kind {
                FieldKind::Text { id, .. } => Some(id),
                _ => None,
            };
            texts.insert(name, id);
        }
        Treatments {
            named: &self.fields,
            others: &self.others,
            returned: options.fields.iter().flatten().rev().map(|f| (f.name, f.path)).collect(),
            texts,
        }
    }
}

/// What happens to the fields of a reply, by their names.
pub struct Treatments<'s> {
    named: &'s HashMap<&'s [u8], Treatment<'s>>,
    others: &'s Treatment<'s>,
    /// Where fields that RETURN names are found.
    returned: HashMap<&'s [u8], &'s [u8]>,
    /// The numbers of TEXT fields, and none for others.
    texts: HashMap<&'s [u8], Option<u8>>,
}

impl Treatments<'_> {
    /// What happens to a field. Once fields are named, or returned by name, only those are touched at all.
    fn of(&self, name: &[u8]) -> Treatment<'_> {
        match self.named.get(name) {
            Some(own) => Treatment {
                tags: own.tags.clone().or_else(|| self.others.tags.clone()),
                summary: own.summary.clone().or_else(|| self.others.summary.clone()),
            },
            None if self.named.is_empty() || self.returned.contains_key(name) => {
                self.others.clone()
            }
            None => Treatment::default(),
        }
    }

    /// Puts excerpts in place of the texts of one result.
    pub fn apply(
        &self,
        fields: &mut [(Vec<u8>, Vec<u8>)],
        wanted: &Wanted<'_>,
        limits: &mut Limits,
    ) {
        for (name, text) in fields {
            let treatment = self.of(name);
            if treatment.is_none() {
                continue;
            }
            // A field is known by its name, by its path, or by what RETURN calls it.
            let path = self.returned.get(&**name).copied().unwrap_or(name);
            let Some(Some(id)) = self.texts.get(path) else { continue };
            let tags = treatment.tags.as_ref();
            let changed = match (&treatment.summary, tags) {
                (Some(summary), tags) => wanted.summarize(text, *id, summary, tags, limits),
                (None, Some(tags)) => wanted.highlight(text, *id, tags, limits),
                (None, None) => None,
            };
            if let Some(changed) = changed {
                *text = changed;
            }
        }
    }
}

/// `[FIELDS n name...]`.
fn fields<'a>(args: &mut Args<'a>) -> Option<&'a [&'a [u8]]> {
    if args.take("FIELDS") { args.list("FIELDS").ok() } else { Some(&[]) }
}

fn number(args: &mut Args<'_>) -> Option<usize> {
    let number = crate::args::parse_integer(args.next_arg()?)?;
    u32::try_from(number).ok().and_then(|number| usize::try_from(number).ok())
}
