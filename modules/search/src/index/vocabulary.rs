//! Which terms do the living documents have, and how many of them have each?
//!
//! Dictionaries also list what only dead documents have, until the piece is rewritten; whoever shows terms to users
//! asks here. Every posting is looked at where a piece has dead rows or only some fields count.

use std::collections::BTreeMap;

use crate::index::bits::Bits;
use crate::index::deadline::Deadline;
use crate::index::snapshot::Snapshot;
use crate::index::tier::{Cursor, Detail, END, Tier};
use crate::query::plan::{Leaf, Plan, Shape, Space, Term};
use crate::schema::{ALL_FIELDS, FieldMask};
use crate::score::Rarity;

/// How many living documents have each term of a shape, in some TEXT field of a set; terms without any are left out.
pub type Vocabulary = BTreeMap<Vec<u8>, u64>;

impl Snapshot {
    /// The terms of a shape; some may be missing if the time was over.
    pub fn vocabulary(
        &self,
        shape: &Shape,
        fields: FieldMask,
        deadline: &mut Deadline,
    ) -> Vocabulary {
        let mut found = Vocabulary::new();
        for piece in &self.sealed {
            gather(&*piece.tier, &piece.dead, shape, fields, &mut found, deadline);
        }
        for piece in &self.frozen {
            gather(&*piece.tier, &piece.dead, shape, fields, &mut found, deadline);
        }
        gather(&*self.fresh, &self.fresh_dead, shape, fields, &mut found, deadline);
        found
    }

    /// How rare the terms of a plan's leaves are, in the rough measure of the older formulas. A shape has many terms,
    /// and counts as if it had one that all documents have.
    pub fn rarities(&self, plan: &Plan) -> Vec<f64> {
        let total = self.len() as u64;
        let rarity = |leaf: &Leaf| match leaf {
            Leaf::Term(term) => Rarity::of(self.documents_with(term, ALL_FIELDS), total).rough(),
            Leaf::Shape(_) => Rarity::of(total, total).rough(),
        };
        plan.leaves.iter().map(rarity).collect()
    }

    /// How many living documents have a term.
    pub fn documents_with(&self, term: &Term, fields: FieldMask) -> u64 {
        let mut count = 0;
        for piece in &self.sealed {
            count += count_of(&*piece.tier, &piece.dead, term, fields);
        }
        for piece in &self.frozen {
            count += count_of(&*piece.tier, &piece.dead, term, fields);
        }
        count + count_of(&*self.fresh, &self.fresh_dead, term, fields)
    }
}

fn gather<T: Tier>(
    tier: &T,
    dead: &Bits,
    shape: &Shape,
    fields: FieldMask,
    found: &mut Vocabulary,
    deadline: &mut Deadline,
) {
    let fields = if shape.space == Space::Tags { ALL_FIELDS } else { fields };
    tier.expand(shape, deadline, &mut |term, handle, documents| {
        let count = living(tier, dead, &handle, documents, fields);
        if count > 0 {
            *found.entry(term.to_vec()).or_default() += count;
        }
        true
    });
}

fn count_of<T: Tier>(tier: &T, dead: &Bits, term: &Term, fields: FieldMask) -> u64 {
    let fields = if term.space == Space::Tags { ALL_FIELDS } else { fields };
    let found = tier.find(term);
    found.map_or(0, |(handle, documents)| living(tier, dead, &handle, documents, fields))
}

/// Rows of a list that are alive and have the term in one of some fields.
fn living<T: Tier>(
    tier: &T,
    dead: &Bits,
    handle: &T::Handle,
    documents: u32,
    fields: FieldMask,
) -> u64 {
    if dead.is_empty() && fields == ALL_FIELDS {
        return documents.into();
    }
    let detail = if fields == ALL_FIELDS { Detail::Rows } else { Detail::Positions };
    let mut cursor = tier.open(handle, detail);
    let mask = (1u32 << tier.field_bits()) - 1;
    let mut positions = Vec::new();
    let mut count = 0;
    while cursor.row() != END {
        if !dead.contains(cursor.row()) {
            positions.clear();
            if fields != ALL_FIELDS {
                cursor.positions(&mut positions);
            }
            let in_fields = fields == ALL_FIELDS
                || positions.iter().any(|encoded| fields >> (encoded & mask) & 1 == 1);
            count += u64::from(in_fields);
        }
        cursor.advance();
    }
    count
}
