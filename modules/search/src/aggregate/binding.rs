//! Where does each step find the properties that it names?
//!
//! Names become slots. Before the first GROUPBY a property of the schema may be named without being loaded: it comes from
//! its column if it has one (of texts that is the form that sorting sees, lower-cased unless UNF), else from the key, which
//! is loaded in front of the step. Behind a GROUPBY there are only what it gave and what was computed since.

use crate::aggregate::grouping::Grouper;
use crate::aggregate::pipeline::{Load, LoadField, Stage};
use crate::aggregate::reducers::Kind;
use crate::aggregate::reducing::Reducer;
use crate::aggregate::sorting::Sorter;
use crate::aggregate::sources::Source;
use crate::aggregate::steps::{Arrange, Group, Loaded, Step};
use crate::aggregate::{Error as StepError, Limits, SORT_ROWS_DEFAULT, deferring};
use crate::args::lossy;
use crate::error::Error;
use crate::expression::{Expression, Wanted};
use crate::query::plan::{Plan, VectorAsk};
use crate::schema::{ColumnKind, Field, FieldKind, Schema, Source as KeyType};

/// The property that ADDSCORES adds.
pub const SCORE: &[u8] = b"__score";
/// The property that is the document's key.
pub const KEY: &[u8] = b"__key";
/// The name of the slot for the words that a document matched; no property can have it.
const TERMS: &[u8] = b"\0terms";

/// The steps, ready to run.
#[derive(Debug, Default)]
pub struct Bound {
    /// What rows run through.
    pub stages: Vec<Stage>,
    /// Names of the slots before the first GROUPBY.
    pub names: Vec<Box<[u8]>>,
    /// Where the index has the values of these slots.
    pub sources: Vec<Option<Source>>,
    /// Names of the slots behind the last GROUPBY, if there is one.
    pub group_names: Option<Vec<Box<[u8]>>>,
    /// Rows are only counted.
    pub count_only: bool,
    /// What it all may hold.
    pub limits: Limits,
}

/// What matters besides the steps.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Documents have a property for their score.
    pub add_scores: bool,
    /// The grammar of the query.
    pub dialect: u32,
    /// What the steps may hold.
    pub limits: Limits,
}

/// Binds steps to a schema and to what a query gives its documents.
pub fn bind(
    schema: &Schema,
    plan: &Plan,
    steps: Vec<Step<'_>>,
    options: Options,
) -> Result<Bound, Error> {
    let mut binder = Binder::new(schema, options);
    binder.distances(plan);
    if options.add_scores {
        binder.slot(SCORE, Origin::Index, Some(Source::Score));
    }
    binder.steps(steps)
}

/// Binds steps to rows that bring values by these names, in these slots; keys have the rest.
pub fn bind_rows(
    schema: &Schema,
    given: &[&[u8]],
    steps: Vec<Step<'_>>,
    options: Options,
) -> Result<Bound, Error> {
    let mut binder = Binder { has_columns: false, ..Binder::new(schema, options) };
    given.iter().for_each(|name| {
        binder.slot(name, Origin::Index, None);
    });
    binder.steps(steps)
}

/// Whether a slot's name belongs to a property that clients see.
pub fn is_visible(name: &[u8]) -> bool {
    name != TERMS
}

struct Slot {
    name: Box<[u8]>,
    origin: Origin,
}

/// Where a slot's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The index, as the key has it.
    Index,
    /// A column of texts that have been lower-cased.
    Normalized,
    /// The key.
    Loaded,
    /// A step.
    Computed,
}

struct Binder<'s> {
    schema: &'s Schema,
    options: Options,
    bound: Bound,
    slots: Vec<Slot>,
    /// Whether a GROUPBY lies behind.
    grouped: bool,
    /// Whether LOAD * lies behind.
    all_loaded: bool,
    /// What has to be loaded before the next stage.
    loads: Vec<LoadField>,
    /// Rows come out of the index, so that its columns can be read.
    has_columns: bool,
}

impl<'s> Binder<'s> {
    fn new(schema: &'s Schema, options: Options) -> Binder<'s> {
        Binder {
            schema,
            options,
            bound: Bound { limits: options.limits, ..Bound::default() },
            slots: Vec::new(),
            grouped: false,
            all_loaded: false,
            loads: Vec::new(),
            has_columns: true,
        }
    }

    fn steps(mut self, steps: Vec<Step<'_>>) -> Result<Bound, Error> {
        for step in steps {
            self.step(step)?;
        }
        let mut bound = self.bound;
        bound.stages = deferring::defer(bound.stages);
        let names = self.slots.into_iter().map(|slot| slot.name).collect();
        match self.grouped {
            true => bound.group_names = Some(names),
            false => bound.names = names,
        }
        Ok(bound)
    }

    /// Distances are properties of all rows; the nearest come first.
    fn distances(&mut self, plan: &Plan) {
        for (at, query) in plan.vectors.iter().enumerate() {
            let Some(name) = &query.clause.yields else { continue };
            let slot = self.slot(name, Origin::Index, Some(Source::Distance(at)));
            if let VectorAsk::Nearest { k, .. } = &query.ask {
                let sorter = Sorter::new(vec![(slot, false)], *k, true, self.options.limits);
                self.bound.stages.push(Stage::Sort(sorter));
            }
        }
    }

    fn step(&mut self, step: Step<'_>) -> Result<(), Error> {
        match step {
            Step::LoadAll => {
                self.forbid_load()?;
                self.all_loaded = self.schema.source == KeyType::Hash;
                self.bound.stages.push(Stage::Load(Load::All));
            }
            Step::Load(fields) => {
                self.forbid_load()?;
                fields.iter().for_each(|field| self.load(field));
                self.flush_loads();
            }
            Step::Group(group) => self.group(group)?,
            Step::Arrange(arrange) => self.arrange(arrange)?,
            Step::Apply { mut expression, name } => {
                self.bind_expression(&mut expression)?;
                let slot = match self.find(name) {
                    Some(slot) => {
                        self.slots[slot].origin = Origin::Computed;
                        slot
                    }
                    None => self.slot(name, Origin::Computed, None),
                };
                self.bound.stages.push(Stage::Apply { expression, slot });
            }
            Step::Filter(mut expression) => {
                self.bind_expression(&mut expression)?;
                self.bound.stages.push(Stage::Filter(expression));
            }
        }
        Ok(())
    }

    fn forbid_load(&self) -> Result<(), Error> {
        match self.grouped {
            true => Err(Error::Text("LOAD cannot be applied after projectors or reducers")),
            false => Ok(()),
        }
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.slots.iter().position(|slot| &*slot.name == name)
    }

    fn slot(&mut self, name: &[u8], origin: Origin, source: Option<Source>) -> usize {
        self.slots.push(Slot { name: name.into(), origin });
        if !self.grouped {
            self.bound.sources.push(source);
        }
        self.slots.len() - 1
    }

    fn bind_expression(&mut self, expression: &mut Expression) -> Result<(), Error> {
        expression.bind(&mut |wanted| match wanted {
            Wanted::Property(name) => {
                self.property(name).ok_or_else(|| StepError::NotLoaded(lossy(name)).into())
            }
            Wanted::MatchedTerms => Ok::<_, Error>(match self.find(TERMS) {
                Some(slot) => slot,
                None => self.slot(TERMS, Origin::Index, Some(Source::Terms)),
            }),
        })?;
        self.flush_loads();
        Ok(())
    }

    /// The slot of a property that a step names.
    fn property(&mut self, name: &[u8]) -> Option<usize> {
        if let Some(slot) = self.find(name) {
            return Some(slot);
        }
        if self.grouped {
            return None;
        }
        if self.all_loaded {
            // Rows that have it will have it here.
            return Some(self.slot(name, Origin::Loaded, None));
        }
        let (_, field) = self.schema.field(name)?;
        let path = field.path.clone();
        let numeric = field.kind == FieldKind::Numeric;
        let (origin, source) = self.column(field);
        let slot = self.slot(name, origin, source);
        if origin == Origin::Loaded {
            self.loads.push(LoadField { slot, path, numeric });
        }
        Some(slot)
    }

    /// Whether a field can be read from its column.
    fn column(&self, field: &Field) -> (Origin, Option<Source>) {
        let Some(number) = field.column.filter(|_| self.has_columns) else {
            return (Origin::Loaded, None);
        };
        let shows_all = self.options.dialect >= 3 || !is_path_of_many(&field.path);
        let source = Some(Source::Column { number, shows_all });
        match (field.column_kind(), self.schema.source) {
            (ColumnKind::Numbers, _) => (Origin::Index, source),
            // A column has only the first text of a JSON array.
            (ColumnKind::Texts, KeyType::Json) => (Origin::Loaded, None),
            (ColumnKind::Texts, KeyType::Hash) if field.unnormalized => (Origin::Index, source),
            (ColumnKind::Texts, KeyType::Hash) => (Origin::Normalized, source),
            _ => (Origin::Loaded, None),
        }
    }

    /// LOAD of one field.
    fn load(&mut self, loaded: &Loaded<'_>) {
        let field = self.schema.field(loaded.path).map(|(_, field)| field);
        let (origin, source) = match field {
            Some(field) => self.column(field),
            None if loaded.path == KEY => (Origin::Index, Some(Source::Key)),
            None => (Origin::Loaded, None),
        };
        let slot = match self.find(loaded.name) {
            // What is there already stays, but for what was changed for sorting.
            Some(slot) if self.slots[slot].origin != Origin::Normalized => return,
            Some(slot) => {
                self.slots[slot].origin = Origin::Loaded;
                slot
            }
            None if origin == Origin::Index => {
                self.slot(loaded.name, origin, source);
                return;
            }
            None => self.slot(loaded.name, Origin::Loaded, None),
        };
        let path = field.map_or_else(|| Box::from(loaded.path), |field| field.path.clone());
        let numeric = field.is_some_and(|field| field.kind == FieldKind::Numeric);
        self.loads.push(LoadField { slot, path, numeric });
    }

    fn flush_loads(&mut self) {
        if !self.loads.is_empty() {
            let loads = std::mem::take(&mut self.loads);
            self.bound.stages.push(Stage::Load(Load::Fields(loads)));
        }
    }

    fn group(&mut self, group: Group<'_>) -> Result<(), Error> {
        let mut keys = Vec::with_capacity(group.properties.len());
        for name in &group.properties {
            let slot = self.property(name);
            keys.push(slot.ok_or_else(|| StepError::NoSuchProperty(lossy(name)))?);
        }
        let mut reducers = Vec::with_capacity(group.reductions.len());
        let mut names = Vec::with_capacity(group.reductions.len());
        for mut reduction in group.reductions {
            let mut inputs = Vec::with_capacity(reduction.inputs.len());
            for name in &reduction.inputs {
                let slot = self.property(name);
                inputs.push(slot.ok_or_else(|| StepError::NotLoaded(lossy(name)))?);
            }
            if let Kind::Collect(collecting) = &mut reduction.kind
                && collecting.fields.is_none()
            {
                if self.all_loaded {
                    return Err(Error::Unsupported("COLLECT FIELDS * behind LOAD *".to_owned()));
                }
                let visible = self.slots.iter().filter(|slot| is_visible(&slot.name));
                collecting.fields = Some(visible.map(|slot| slot.name.clone()).collect());
                let all = (0..self.slots.len()).filter(|at| is_visible(&self.slots[*at].name));
                inputs.splice(0..0, all);
            }
            reducers.push(Reducer::new(reduction.kind, inputs));
            names.push(reduction.name);
        }
        self.flush_loads();
        self.bound.stages.push(Stage::Group(Box::new(Grouper::new(
            keys,
            reducers,
            self.options.limits,
        ))));
        let slots = std::mem::take(&mut self.slots);
        if !self.grouped {
            self.bound.names = slots.into_iter().map(|slot| slot.name).collect();
        }
        self.grouped = true;
        let names = group.properties.into_iter().chain(names.iter().map(Vec::as_slice));
        for name in names {
            if self.find(name).is_some() {
                return Err(StepError::Twice(lossy(name)).into());
            }
            self.slot(name, Origin::Computed, None);
        }
        Ok(())
    }

    fn arrange(&mut self, arrange: Arrange<'_>) -> Result<(), Error> {
        let mut keys = Vec::with_capacity(arrange.keys.len());
        for (name, descending) in &arrange.keys {
            let slot = self.property(name);
            let slot = slot.ok_or_else(|| Error::NoSuchProperty(lossy(name)))?;
            keys.push((slot, *descending));
        }
        self.flush_loads();
        if arrange.limit == Some(0) {
            self.bound.count_only = true;
        }
        let (offset, sorted) = (arrange.offset, !keys.is_empty());
        if sorted {
            let limit = arrange.limit.unwrap_or(SORT_ROWS_DEFAULT);
            let keep = offset.saturating_add(limit);
            let sorter = Sorter::new(keys, keep, !self.grouped, self.options.limits);
            self.bound.stages.push(Stage::Sort(sorter));
        }
        match arrange.limit {
            Some(limit) if !sorted || offset > 0 || limit == 0 => {
                self.bound.stages.push(Stage::Page { offset, limit, seen: 0 });
            }
            None if offset > 0 => {
                let limit = SORT_ROWS_DEFAULT;
                self.bound.stages.push(Stage::Page { offset, limit, seen: 0 });
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a JSON path may find several values.
fn is_path_of_many(path: &[u8]) -> bool {
    let many: [&[u8]; 5] = [b"*", b"..", b"?", b":", b","];
    many.iter().any(|part| path.windows(part.len()).any(|window| window == *part))
}
