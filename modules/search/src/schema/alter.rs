//! Which schema does an index have after FT.ALTER?
//!
//! `ADD` appends fields, so what was indexed before stays readable. `DROP` and `MODIFY` change what is there: the index
//! has to be built anew, beside the old one. The definition of the new schema is that of an FT.CREATE, so an index is
//! after a restart what it was before.

use std::sync::Arc;

use crate::args::{Args, lossy};
use crate::error::Error;
use crate::schema::parse::{Extent, create, field, fields, spans};
use crate::schema::{Field, Schema};

/// What FT.ALTER asks for.
#[derive(Debug)]
pub struct Alter {
    /// The schema as it is to be.
    pub schema: Schema,
    /// What has to be done for it.
    pub change: Change,
    /// Existing keys that are no documents yet do not become some.
    pub skip_initial_scan: bool,
}

/// What a new schema means for the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It goes on, with more fields.
    Grown,
    /// It must be built anew.
    Rebuilt,
}

/// Reads what follows the index's name in FT.ALTER.
pub fn alter(schema: &Schema, args: &[&[u8]]) -> Result<Alter, Error> {
    let mut args = Args::new(args);
    let skip_initial_scan = args.take("SKIPINITIALSCAN");
    if !args.take("SCHEMA") {
        return Err(Error::Text("ALTER must be followed by SCHEMA"));
    }
    // One of them only: behind each, every word may be a field's name.
    let action = if args.take("ADD") {
        add
    } else if args.take("DROP") {
        drop_fields
    } else if args.take("MODIFY") {
        modify
    } else {
        return Err(Error::Text("Unknown action passed to ALTER SCHEMA"));
    };
    if args.is_empty() {
        return Err(Error::Text("No fields provided"));
    }
    let (schema, change) = action(schema, &mut args)?;
    Ok(Alter { schema, change, skip_initial_scan })
}

fn add(schema: &Schema, args: &mut Args<'_>) -> Result<(Schema, Change), Error> {
    let mut schema = schema.clone();
    // SCHEMA is the last option of a definition, so new fields go to its end.
    schema.definition.extend(args.rest().iter().map(|arg| Box::from(*arg)));
    fields(&mut schema, args, Extent::Existing)?;
    Ok((schema, Change::Grown))
}

/// `DROP name...`
fn drop_fields(schema: &Schema, args: &mut Args<'_>) -> Result<(Schema, Change), Error> {
    let names = args.rest();
    for (at, name) in names.iter().enumerate() {
        let field = known(schema, name)?;
        if names[..at].contains(name) {
            return Err(Error::DuplicateField(lossy(name)));
        }
        // The condition would look for a hash field or path of that name instead.
        let filter = schema.filter.as_ref().filter(|filter| filter.names().any(|n| n == *name));
        if filter.is_some() && field.path != field.name {
            let name = lossy(name);
            return Err(Error::Formatted(format!("Field `{name}` is used by FILTER")));
        }
    }
    if names.len() == schema.fields.len() {
        return Err(Error::Text("An index must keep a field"));
    }
    let new = remade(schema, |field, arguments| match names.contains(&&*field.name) {
        true => Vec::new(),
        false => arguments.to_vec(),
    })?;
    Ok((new, Change::Rebuilt))
}

/// `MODIFY name type options...`, several times: places and names stay, the rest is as FT.CREATE reads it.
fn modify(schema: &Schema, args: &mut Args<'_>) -> Result<(Schema, Change), Error> {
    let mut changes: Vec<(&[u8], &[&[u8]])> = Vec::new();
    // How many fields there are counts once all are known.
    let empty = Schema { fields: Vec::new(), ..schema.clone() };
    while let Some(name) = args.next_arg() {
        let old = known(schema, name)?;
        if changes.iter().any(|(other, _)| *other == name) {
            return Err(Error::DuplicateField(lossy(name)));
        }
        let rest = args.rest();
        field(&empty, &old.path, name, args)?;
        changes.push((name, &rest[..rest.len() - args.len()]));
    }
    let new = remade(schema, |field, arguments| {
        match changes.iter().find(|(name, _)| *name == &*field.name) {
            None => arguments.to_vec(),
            Some((_, kind)) => {
                let renamed = arguments.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(b"AS"));
                let head = &arguments[..if renamed { 3 } else { 1 }];
                [head, kind].concat()
            }
        }
    })?;
    Ok((new, Change::Rebuilt))
}

fn known<'s>(schema: &'s Schema, name: &[u8]) -> Result<&'s Field, Error> {
    let unknown = || Error::Formatted(format!("Unknown field: `{}`", lossy(name)));
    schema.field(name).map(|(_, field)| field).ok_or_else(unknown)
}

/// The schema with other arguments for its fields, which `arguments` gives from those that they had.
fn remade<'s>(
    schema: &'s Schema,
    arguments: impl for<'d> Fn(&Field, &'d [&'s [u8]]) -> Vec<&'s [u8]>,
) -> Result<Schema, Error> {
    let definition: Vec<&[u8]> = schema.definition.iter().map(|arg| &**arg).collect();
    let spans = spans(&schema.name, &definition)?;
    let first = spans.first().map_or(definition.len(), |span| span.start);
    let mut new = definition[..first].to_vec();
    for (field, span) in schema.fields.iter().zip(spans) {
        new.extend(arguments(field, &definition[span]));
    }
    let made = create(&schema.name, &new)?;
    // These two are no part of a definition.
    Ok(Schema { db: schema.db, synonyms: Arc::clone(&schema.synonyms), ..made })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::FieldKind;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split_whitespace().map(str::as_bytes).collect()
    }

    fn parse(line: &str) -> Schema {
        create(b"idx", &words(line)).unwrap()
    }

    fn definition(schema: &Schema) -> String {
        let words = schema.definition.iter().map(|word| lossy(word));
        words.collect::<Vec<_>>().join(" ")
    }

    fn altered(schema: &Schema, line: &str) -> Result<String, String> {
        let altered = alter(schema, &words(line)).map_err(|error| error.to_string())?;
        assert_eq!(altered.change, Change::Rebuilt);
        Ok(definition(&altered.schema))
    }

    #[test]
    fn add_appends_and_keeps_numbers() {
        let schema = parse("SCHEMA a TEXT n NUMERIC");
        let altered = alter(&schema, &words("SCHEMA ADD b TEXT SORTABLE")).unwrap();
        assert_eq!(altered.change, Change::Grown);
        let altered = altered.schema;
        assert_eq!(altered.fields.len(), 3);
        assert!(matches!(altered.fields[2].kind, FieldKind::Text { id: 1, .. }));
        assert_eq!(altered.fields[2].column, Some(1));
        assert_eq!(altered.field_bits(), 1);
        assert_eq!(parse(&definition(&altered)).fields.len(), 3);
    }

    #[test]
    fn a_narrow_index_stops_at_32_text_fields() {
        let many = |count: usize| (0..count).map(|i| format!("f{i} TEXT ")).collect::<String>();
        let add = words("SCHEMA ADD x TEXT");
        let schema = parse(&format!("SCHEMA {}", many(32)));
        let refused = alter(&schema, &add).unwrap_err().to_string();
        assert!(refused.starts_with("Cannot add more fields"));
        let wide = parse(&format!("MAXTEXTFIELDS SCHEMA {}", many(32)));
        assert_eq!(alter(&wide, &add).unwrap().schema.text_fields(), 33);
    }

    #[test]
    fn drop_takes_the_arguments_of_fields_out() {
        let schema = Schema {
            db: 3,
            ..parse(
                "PREFIX 1 as: STOPWORDS 1 SCHEMA SCHEMA $.a AS a TEXT WEIGHT 2 SORTABLE g TAG SEPARATOR ; \
                 as AS AS NUMERIC v VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2 NOSTEM TEXT NOSTEM",
            )
        };
        let head = "PREFIX 1 as: STOPWORDS 1 SCHEMA SCHEMA";
        assert_eq!(
            altered(&schema, "SCHEMA DROP g v NOSTEM").unwrap(),
            format!("{head} $.a AS a TEXT WEIGHT 2 SORTABLE as AS AS NUMERIC")
        );
        assert_eq!(
            altered(&schema, "SCHEMA DROP a AS v g").unwrap(),
            format!("{head} NOSTEM TEXT NOSTEM")
        );
        let skips = alter(&schema, &words("SKIPINITIALSCAN SCHEMA DROP g")).unwrap();
        assert!(skips.skip_initial_scan && skips.schema.db == 3);
    }

    #[test]
    fn modify_keeps_places_and_names() {
        let schema = parse("SCHEMA $.a AS a TEXT n NUMERIC SORTABLE g TAG");
        assert_eq!(
            altered(&schema, "SCHEMA MODIFY n TAG SEPARATOR | a NUMERIC SORTABLE UNF").unwrap(),
            "SCHEMA $.a AS a NUMERIC SORTABLE UNF n TAG SEPARATOR | g TAG"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let schema = parse("FILTER @x=='1' SCHEMA $.x AS x TEXT n NUMERIC");
        let cases = [
            ("", "ALTER must be followed by SCHEMA"),
            ("SCHEMA", "Unknown action passed to ALTER SCHEMA"),
            ("SCHEMA DEL b", "Unknown action passed to ALTER SCHEMA"),
            ("SCHEMA DROP", "No fields provided"),
            ("SCHEMA MODIFY", "No fields provided"),
            ("SCHEMA DROP n y", "Unknown field: `y`"),
            ("SCHEMA DROP n n", "Duplicate field in schema - n"),
            ("SCHEMA DROP x", "Field `x` is used by FILTER"),
            ("SCHEMA MODIFY y TAG", "Unknown field: `y`"),
            ("SCHEMA MODIFY n", "Field `n` does not have a type"),
            ("SCHEMA MODIFY n AS m TAG", "Invalid field type for field `n`"),
            ("SCHEMA MODIFY n TAG n TAG", "Duplicate field in schema - n"),
            ("SCHEMA MODIFY n TAG foo", "Unknown field: `foo`"),
        ];
        for (line, expected) in cases {
            assert_eq!(altered(&schema, line).unwrap_err(), expected, "{line}");
        }
        let one = parse("SCHEMA a TEXT");
        assert_eq!(altered(&one, "SCHEMA DROP a").unwrap_err(), "An index must keep a field");
    }
}
