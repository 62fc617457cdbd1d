//! Which documents do the questions about vectors find?
//!
//! They are answered before the plan is run, since the nearest vectors are a property of the whole index, not of a
//! piece; the plan then treats the answers as lists of documents. The filter of a question for the nearest is run first,
//! over all pieces, and gives the slots that count. Whether these are looked at one by one or a graph is walked that
//! leaves out the others is the store's decision, by what each would cost.

use crate::columns::Column;
use crate::index::bits::Bits;
use crate::index::deadline::Deadline;
use crate::index::matching::Op;
use crate::index::opening::listed;
use crate::index::rows::Rows;
use crate::index::snapshot::Snapshot;
use crate::index::tier::Cursor;
use crate::query::plan::{VectorAsk, VectorQuery};
use crate::vector::store::{Clock, Wanted};

/// Documents that a question found, and how far each is.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    /// By rising number.
    entries: Vec<(u32, f64)>,
}

impl Matches {
    /// The documents, by rising number.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|(number, _)| *number)
    }

    /// How far a document is; none if it was not found.
    pub fn distance(&self, number: u32) -> Option<f64> {
        let at = self.entries.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.entries[at].1)
    }
}

impl Snapshot {
    /// Answers a question; `slots` are those of the documents that match its filter, if it has one.
    pub(super) fn ask(
        &self,
        query: &VectorQuery,
        slots: Option<&Bits>,
        deadline: &mut Deadline,
    ) -> Matches {
        let Some(store) = self.vectors.get(query.id as usize) else { return Matches::default() };
        let (clause, mut clock) = (&query.clause, Clock::new(deadline));
        let mut entries = match &query.ask {
            VectorAsk::Within(radius) => {
                store.within(&clause.vector, *radius, clause.epsilon, &mut clock)
            }
            VectorAsk::Nearest { k, .. } => {
                let wanted = Wanted { vector: &clause.vector, k: *k, ef: clause.ef, slots };
                store.nearest(&wanted, &mut clock)
            }
        };
        entries.sort_unstable_by_key(|(number, _)| *number);
        Matches { entries }
    }

    /// About how many steps of some nanoseconds it takes to answer a question.
    pub(super) fn ask_cost(&self, query: &VectorQuery) -> u64 {
        let candidates = match query.ask {
            VectorAsk::Within(_) => None,
            VectorAsk::Nearest { k, .. } => Some(k.max(query.clause.ef.unwrap_or(0))),
        };
        self.vectors.get(query.id as usize).map_or(0, |store| store.cost(candidates))
    }
}

/// Adds the slots of the rows that match a filter, which has been opened on them; `only` are the numbers of the
/// documents to which the search is restricted.
pub fn filter_slots<C: Cursor>(
    mut filter: Op<'_, C>,
    rows: &Rows,
    column: u16,
    dead: &Bits,
    only: Option<&[u32]>,
    found: &mut Bits,
    deadline: &mut Deadline,
) {
    let Some(Column::Numbers(slots)) = rows.column(column) else { return };
    let mut only = only.map(|numbers| listed(numbers.iter().copied(), rows, 0.0));
    let mut row = filter.next(0);
    while row < rows.len() && !deadline.step() {
        let wanted = only.as_mut().is_none_or(|only| only.contains(row));
        if wanted && !dead.contains(row) && filter.matches(row) {
            slots.all(row).for_each(|slot| {
                found.insert(slot as u32);
            });
        }
        row = filter.next(row + 1);
    }
}
