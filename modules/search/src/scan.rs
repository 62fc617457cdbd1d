//! How do keys that exist already get into an index?
//!
//! By a walk over the keyspace, in slices between which the server does other things. The first slice is part of the
//! command that asks for it, so that a small keyspace is complete when the command returns; a timer brings the others,
//! and FT.INFO shows how far they have come. Keys that are written meanwhile get in as always, and the walk passes
//! them over. A walk fills the index, or the one that is to take its place (FT.ALTER ... DROP, MODIFY); at the end of the
//! latter they are exchanged, between two commands. The names of a step are taken first and the keys read afterwards, since reading a JSON document is a
//! call into another module.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mortise_module::{Context, Error, LogLevel, ScanCursor};

use crate::index::worker::{self, Lane};
use crate::index::{Index, Work};
use crate::registry::{Progress, Rebuild, Target};
use crate::schema::Schema;
use crate::{registry, source};

/// Documents that the command itself puts in.
const FIRST_DOCUMENTS: usize = 1_000;
/// How long the command itself may walk over keys that are no documents.
const FIRST_TIME: Duration = Duration::from_millis(20);
/// How long the server stands still for a later slice, and how long it goes on in between.
const SLICE_TIME: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(1);

/// A walk under way.
struct Scan {
    index: Box<[u8]>,
    target: Target,
    keys: Keys,
    /// Of the index, then of the walk: it ends when either is another one.
    ids: (u64, u64),
    /// Documents of this number or a higher one are newer than the walk.
    since: u32,
    db: i32,
    cursor: ScanCursor,
}

/// What a slice leaves to be done.
enum Left {
    Nothing,
    More,
}

/// Which keys a walk puts in, of those that the index follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// All of them.
    All,
    /// Those that are documents of the index whose place is to be taken.
    Known,
}

/// Puts all keys that an index follows into it. A walk that is under way begins anew.
pub fn begin(ctx: &mut Context<'_>, schema: &Arc<Schema>) -> Result<(), Error> {
    begin_for(ctx, schema, Keys::All, |entry, scan| {
        entry.scan = Some(scan);
        Some(Target::Current)
    })
}

/// Builds an index of this definition, to take the place of the one of this name, and of the one that is being built.
pub fn begin_rebuild(ctx: &mut Context<'_>, schema: &Arc<Schema>, keys: Keys) -> Result<(), Error> {
    begin_for(ctx, schema, keys, |entry, scan| {
        let index = Index::new(Arc::clone(schema), Work::Background);
        entry.rebuild = Some(Rebuild { index, scan });
        Some(Target::Next)
    })
}

/// Walks over all keys again for the index that is being built, if one is.
pub fn restart_rebuild(ctx: &mut Context<'_>, schema: &Arc<Schema>) -> Result<(), Error> {
    begin_for(ctx, schema, Keys::All, |entry, scan| {
        entry.rebuild.as_mut()?.scan = scan;
        Some(Target::Next)
    })
}

/// Begins a walk that `enter` has entered into the registry.
fn begin_for(
    ctx: &mut Context<'_>,
    schema: &Schema,
    keys: Keys,
    enter: impl FnOnce(&mut registry::Entry, Progress) -> Option<Target>,
) -> Result<(), Error> {
    source::in_db(ctx, schema.db, |ctx| {
        let (count, cursor) = (ctx.db_size()?, ScanCursor::new()?);
        let scan = registry::with(|all| {
            let entry = all.get(&schema.name)?;
            let progress = Progress { id: registry::next_id(), seen: 0, keys: count };
            let target = enter(entry, progress)?;
            let ids = (entry.id, progress.id);
            let since = entry.filled(target)?.0.next_number();
            Some(Scan {
                index: schema.name.clone(),
                target,
                keys,
                ids,
                since,
                db: schema.db,
                cursor,
            })
        });
        let Some(scan) = scan else { return Ok(()) };
        let end = Instant::now() + FIRST_TIME;
        let more = |documents: usize| documents < FIRST_DOCUMENTS && Instant::now() < end;
        let left = scan.slice(ctx, more)?;
        scan.go_on(ctx, left)
    })
}

impl Scan {
    /// Takes steps while `more` says so of the documents that were put in.
    fn slice(
        &self,
        ctx: &mut Context<'_>,
        mut more: impl FnMut(usize) -> bool,
    ) -> Result<Left, Error> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut documents = 0;
        loop {
            let Some(schema) = self.schema() else { return Ok(Left::Nothing) };
            let mut seen = 0;
            let unfinished = ctx.scan_step(&self.cursor, |name, _| {
                seen += 1;
                if schema.follows(self.db, name.as_bytes()) {
                    names.push(name.as_bytes().to_vec());
                }
            })?;
            for name in names.drain(..) {
                if self.takes(&name) {
                    source::refresh_in(ctx, &schema, &name);
                    documents += 1;
                }
            }
            self.count(seen, unfinished);
            if !unfinished {
                return Ok(Left::Nothing);
            }
            if !more(documents) {
                return Ok(Left::More);
            }
        }
    }

    /// Leaves what is left to a timer.
    fn go_on(self, ctx: &mut Context<'_>, left: Left) -> Result<(), Error> {
        if let Left::Nothing = left {
            return Ok(());
        }
        let next = move |ctx: &mut Context<'_>| {
            let end = Instant::now() + SLICE_TIME;
            let left = ctx
                .select_db(self.db)
                .and_then(|()| self.slice(ctx, |_| Instant::now() < end))
                .and_then(|left| self.go_on(ctx, left));
            if let Err(error) = left {
                let text = format!("keys could not be put into an index: {error}");
                ctx.log(LogLevel::Warning, &text);
            }
        };
        ctx.set_timer(PAUSE, next).map(drop)
    }

    /// The index's definition as it is now; none if the walk has lost its purpose.
    fn schema(&self) -> Option<Arc<Schema>> {
        registry::with(|all| {
            let entry = all.get(&self.index)?;
            let id = entry.id;
            let (index, progress) = entry.filled(self.target)?;
            ((id, progress.id) == self.ids).then(|| Arc::clone(index.schema()))
        })
    }

    /// Whether a key is to be put in: the walk wants it, and it was not written after the walk began.
    fn takes(&self, key: &[u8]) -> bool {
        registry::with(|all| {
            let Some(entry) = all.get(&self.index) else { return false };
            if self.keys == Keys::Known && !entry.index.contains(key) {
                return false;
            }
            let number = entry.filled(self.target).and_then(|(index, _)| index.number(key));
            number.is_none_or(|number| number < self.since)
        })
    }

    fn count(&self, seen: u64, unfinished: bool) {
        let old = registry::with(|all| {
            let entry = all.get(&self.index)?;
            entry.filled(self.target)?.1.seen += seen;
            if unfinished { None } else { entry.finish(self.target) }
        });
        if let Some(old) = old {
            // Giving a large index's memory back takes a while.
            worker::submit(Lane::Merge, Box::new(move || drop(old)));
        }
    }
}

/// Empties the indexes of some databases and fills them from the keyspace.
pub fn refill(ctx: &mut Context<'_>, dbs: &[i32]) {
    let schemas = registry::with(|all| {
        let names = all.names();
        let schemas = names.iter().filter_map(|name| {
            let schema = all.get(name)?.latest();
            if !dbs.contains(&schema.db) {
                return None;
            }
            let schema = schema.as_ref().clone();
            all.take(name);
            all.create(schema).ok()
        });
        schemas.collect::<Vec<_>>()
    });
    for schema in schemas {
        if let Err(error) = begin(ctx, &schema) {
            let text = format!("an index could not be filled again: {error}");
            ctx.log(LogLevel::Warning, &text);
        }
    }
}
