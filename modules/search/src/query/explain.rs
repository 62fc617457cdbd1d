//! How is a query shown to who wants to know what it means?
//!
//! As RediSearch shows it: one clause a line, what belongs to a clause two blanks further in, words with all that they
//! are looked up as.

use std::fmt::Write;

use crate::args::lossy;
use crate::error::Error;
use crate::query::ast::{Kind, Node, TagItem, VectorClause};
use crate::query::expand::expand;
use crate::query::pattern::Pattern;
use crate::query::plan::Options;
use crate::schema::{ALL_FIELDS, FieldKind, FieldMask, Schema};

/// Bytes of the text at most: a line may be indented by hundreds of blanks.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// The text of a tree.
pub fn explain(node: &Node, schema: &Schema, options: &Options) -> Result<String, Error> {
    let mut explainer = Explainer { schema, options, text: String::new() };
    explainer.node(node, 0)?;
    Ok(explainer.text)
}

struct Explainer<'a> {
    schema: &'a Schema,
    options: &'a Options,
    text: String,
}

impl Explainer<'_> {
    fn node(&mut self, node: &Node, depth: usize) -> Result<(), Error> {
        if self.text.len() > TEXT_BYTES_MAX {
            return Err(Error::Text("Query is too long to be explained"));
        }
        match &node.kind {
            Kind::Word { word, verbatim } => return self.word(node, word, *verbatim, depth),
            Kind::Nothing => self.line(depth, node.fields, "<empty>"),
            Kind::All => self.line(depth, ALL_FIELDS, "<WILDCARD>"),
            Kind::Pattern(pattern) => self.line(depth, node.fields, &shape(pattern)),
            Kind::And { children, exact } => {
                let name = if *exact { "EXACT {" } else { "INTERSECT {" };
                self.block(depth, node.fields, name, children)?;
            }
            Kind::Or(children) => self.block(depth, node.fields, "UNION {", children)?,
            Kind::Not(child) => {
                self.block(depth, ALL_FIELDS, "NOT{", std::slice::from_ref(child))?
            }
            Kind::Optional(child) => {
                self.block(depth, ALL_FIELDS, "OPTIONAL{", std::slice::from_ref(child))?;
            }
            Kind::Tags { field, items } => {
                self.line(depth, ALL_FIELDS, &format!("TAG:@{} {{", self.name(*field)));
                self.text.push('\n');
                for item in items {
                    let text = match item {
                        TagItem::Value(value) => lossy(value),
                        TagItem::Pattern(pattern) => shape(pattern),
                    };
                    self.line(depth + 1, ALL_FIELDS, &text);
                    self.text.push('\n');
                }
                self.line(depth, ALL_FIELDS, "}");
            }
            Kind::Range { field, range } => {
                let sign = |exclusive: bool| if exclusive { "<" } else { "<=" };
                let text = format!(
                    "NUMERIC {{{:.6} {} @{} {} {:.6}}}",
                    range.min,
                    sign(range.min_exclusive),
                    self.name(*field),
                    sign(range.max_exclusive),
                    range.max
                );
                self.line(depth, ALL_FIELDS, &text);
            }
            Kind::Circle { .. }
            | Kind::Shape { .. }
            | Kind::Around { .. }
            | Kind::Nearest { .. } => {
                self.place(&node.kind, depth)?;
            }
            Kind::Nested { field, child } => {
                let head = format!("NESTED:@{} {{", self.name(*field));
                self.block(depth, ALL_FIELDS, &head, std::slice::from_ref(child))?;
            }
            Kind::Missing(field) => {
                self.line(depth, ALL_FIELDS, &format!("ISMISSING{{{}}}", self.name(*field)));
            }
        }
        self.attributes(node);
        self.text.push('\n');
        Ok(())
    }

    /// A clause about places or vectors.
    fn place(&mut self, kind: &Kind, depth: usize) -> Result<(), Error> {
        match kind {
            Kind::Circle { field, circle } => {
                let center = circle.center;
                let text = format!(
                    "GEO {}:{{{:.6},{:.6} --> {:.6} m}}",
                    self.name(*field),
                    center.longitude,
                    center.latitude,
                    circle.metres
                );
                self.line(depth, ALL_FIELDS, &text);
            }
            Kind::Shape { field, .. } => {
                self.line(depth, ALL_FIELDS, &format!("GEOSHAPE{{@{}}}", self.name(*field)));
            }
            Kind::Around { clause, radius } => {
                let parameter = lossy(&clause.parameter);
                let head = format!(
                    "VECTOR {{Vectors that are within {radius} distance radius from `${parameter}` "
                );
                self.line(depth, ALL_FIELDS, &head);
                self.vector(clause);
            }
            Kind::Nearest { clause, k, filter } => {
                self.line(depth, ALL_FIELDS, "VECTOR {");
                if let Some(filter) = filter {
                    self.text.push('\n');
                    self.node(filter, depth + 1)?;
                    self.line(depth, ALL_FIELDS, "} => {");
                }
                let parameter = lossy(&clause.parameter);
                let _ = write!(self.text, "K={k} nearest vectors to `${parameter}` ");
                self.vector(clause);
            }
            _ => unreachable!("node() sends no other here"),
        }
        Ok(())
    }

    /// The end of a clause about vectors.
    fn vector(&mut self, clause: &VectorClause) {
        let name = self.name(clause.field);
        let _ = write!(self.text, "in vector index associated with field @{name}");
        if let Some(ef) = clause.ef {
            let _ = write!(self.text, ", EF_RUNTIME = {ef}");
        }
        if let Some(epsilon) = clause.epsilon {
            let _ = write!(self.text, ", EPSILON = {epsilon}");
        }
        if let Some(yields) = &clause.yields {
            let _ = write!(self.text, ", yields distance as `{}`", lossy(yields));
        }
        self.text.push('}');
    }

    fn block<'n, N>(
        &mut self,
        depth: usize,
        fields: FieldMask,
        head: &str,
        children: &'n [N],
    ) -> Result<(), Error>
    where
        N: std::borrow::Borrow<Node> + 'n,
    {
        self.line(depth, fields, head);
        self.text.push('\n');
        for child in children {
            self.node(child.borrow(), depth + 1)?;
        }
        self.line(depth, ALL_FIELDS, "}");
        Ok(())
    }

    fn word(&mut self, node: &Node, word: &str, verbatim: bool, depth: usize) -> Result<(), Error> {
        let expansions = match verbatim || self.options.verbatim {
            true => Vec::new(),
            false => {
                let Options { expander, language, .. } = self.options;
                expand(word, node, self.schema, *expander, *language)?
            }
        };
        if expansions.is_empty() {
            self.token(depth, node.fields, word, node.weight);
            return Ok(());
        }
        self.line(depth, node.fields, "UNION {");
        self.text.push('\n');
        self.token(depth + 1, node.fields, word, node.weight);
        for expansion in expansions {
            let text = format!("{}(expanded)", expansion.term);
            self.token(depth + 1, expansion.fields, &text, 1.0);
        }
        self.line(depth, ALL_FIELDS, "}");
        self.text.push('\n');
        Ok(())
    }

    fn token(&mut self, depth: usize, fields: FieldMask, word: &str, weight: f64) {
        self.line(depth, fields, if word.is_empty() { "\"\"" } else { word });
        if weight != 1.0 {
            let _ = write!(self.text, " => {{$weight: {weight};}}");
        }
        self.text.push('\n');
    }

    /// The beginning of a line: blanks, the fields unless they are all, and `text`.
    fn line(&mut self, depth: usize, fields: FieldMask, text: &str) {
        self.text.extend(std::iter::repeat_n("  ", depth));
        if fields == 0 {
            self.text.push_str("@NULL:");
        } else if fields != ALL_FIELDS {
            let named = self.schema.fields.iter().filter(|field| match field.kind {
                FieldKind::Text { id, .. } => fields >> id & 1 == 1,
                _ => false,
            });
            let names: Vec<String> = named.map(|field| lossy(&field.name)).collect();
            let _ = write!(self.text, "@{}:", names.join("|"));
        }
        self.text.push_str(text);
    }

    fn attributes(&mut self, node: &Node) {
        let slop = node.slop.filter(|slop| *slop >= 0);
        let in_order = node.in_order.unwrap_or(false);
        if node.weight == 1.0 && slop.is_none() && !in_order {
            return;
        }
        self.text.push_str(" => {");
        if node.weight != 1.0 {
            let _ = write!(self.text, " $weight: {};", node.weight);
        }
        if let Some(slop) = slop {
            let _ = write!(self.text, " $slop: {slop};");
        }
        if in_order || slop.is_some() {
            let _ = write!(self.text, " $inorder: {in_order};");
        }
        self.text.push_str(" }");
    }

    fn name(&self, field: u16) -> String {
        lossy(&self.schema.fields[field as usize].name)
    }
}

fn shape(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Prefix(text) => format!("PREFIX{{{}*}}", lossy(text)),
        Pattern::Suffix(text) => format!("SUFFIX{{*{}}}", lossy(text)),
        Pattern::Contains(text) => format!("INFIX{{*{}*}}", lossy(text)),
        Pattern::Wildcard(text) => format!("WILDCARD{{{}}}", lossy(text)),
        Pattern::Fuzzy { word, .. } => format!("FUZZY{{{word}}}"),
    }
}
