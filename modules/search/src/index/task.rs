//! How does a search get from the command that asks to the thread that runs it?
//!
//! As one value that owns all it needs. How long it will take is estimated first, so that what is short can be run at
//! once; looking the terms up is itself part of it, if the query has shapes that the whole dictionary must be asked
//! about.

use std::sync::Arc;

use crate::index::deadline::Deadline;
use crate::index::profile::Profile;
use crate::index::search::{Found, Leaves, Order, Request};
use crate::index::snapshot::Snapshot;
use crate::query::plan::Plan;
use crate::score::Scorer;

/// A search that can be run anywhere.
pub struct Task {
    /// Where.
    pub snapshot: Arc<Snapshot>,
    /// What matches; shared with those who measure what its steps cost.
    pub plan: Arc<Plan>,
    /// Only documents of these numbers, if given.
    pub only: Option<Vec<u32>>,
    /// See [`Request`].
    pub scorer: Scorer,
    /// See [`Request`].
    pub with_scores: bool,
    /// See [`Request`].
    pub order: Order,
    /// See [`Request`].
    pub offset: usize,
    /// See [`Request`].
    pub limit: usize,
    /// When to stop.
    pub deadline: Deadline,
    /// The terms, once they have been found.
    pub leaves: Option<Leaves>,
}

impl Task {
    /// About how many steps of some nanoseconds it will take; nothing more exact is worked out if that alone takes
    /// more than `enough` of them.
    pub fn cost(&mut self, enough: u64) -> u64 {
        let look_up = self.snapshot.look_up_cost(&self.plan);
        if look_up > enough {
            return look_up;
        }
        let leaves = self.snapshot.look_up(&self.plan, &mut self.deadline);
        let run = self.snapshot.run_cost(&self.plan, &leaves);
        self.leaves = Some(leaves);
        match &self.only {
            Some(only) => run.min(only.len() as u64),
            None => run,
        }
    }

    /// Runs it, and measures what the parts of the query cost; the terms have been found.
    pub fn run_measured(&self, leaves: &Leaves, profile: &Profile<'_>) -> Found {
        self.snapshot.search_measured(&self.request(), leaves, Some(profile))
    }

    /// Runs it.
    pub fn run(&self) -> Found {
        let request = self.request();
        match &self.leaves {
            Some(leaves) => self.snapshot.search_leaves(&request, leaves),
            None => self.snapshot.search(&request),
        }
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            plan: &self.plan,
            scorer: self.scorer,
            with_scores: self.with_scores,
            order: self.order,
            offset: self.offset,
            limit: self.limit,
            only: self.only.as_deref(),
            deadline: self.deadline,
        }
    }
}
