//! When are batches sealed and segments merged, and how do the results get in?
//!
//! Called by the owner of the index between its operations; the work itself is done by `worker`. At most one batch
//! is being sealed and one merge is running per index.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use crate::error::Error;
use crate::index::bits::Bits;
use crate::index::fresh::Batch;
use crate::index::sealed::Segment;
use crate::index::snapshot::Piece;
use crate::index::tier::Tier;
use crate::index::worker::{self, Lane};
use crate::index::{BATCH_DOCUMENTS, BATCH_DOCUMENTS_MAX, Index, Work};

/// Neighbouring segments of about a size that are merged into one.
const MERGE_FAN_IN: usize = 8;
/// Segments of at least this many documents are not merged with others any more.
const SEGMENT_DOCUMENTS_MAX: u32 = 8_000_000;
/// Strings of a segment, in bytes per arena; offsets are 32-bit.
const SEGMENT_ARENA_MAX: usize = 2 << 30;

/// What is under way for one index.
#[derive(Debug)]
pub struct Jobs {
    work: Work,
    sealing: Option<Pending>,
    merging: Option<Pending>,
    /// A merge failed: the next one waits for the next sealed batch.
    merge_failed: bool,
}

/// A job that has not come back.
#[derive(Debug)]
struct Pending {
    /// Ids of the pieces that it turns into one, in their order, and what was dead in them when it began.
    inputs: Vec<(u64, Arc<Bits>)>,
    channel: Receiver<Result<Segment, Error>>,
    result: Option<Result<Segment, Error>>,
}

impl Jobs {
    /// Nothing is under way.
    pub fn new(work: Work) -> Jobs {
        Jobs { work, sealing: None, merging: None, merge_failed: false }
    }

    fn run(
        &self,
        lane: Lane,
        inputs: Vec<(u64, Arc<Bits>)>,
        make: impl FnOnce() -> Result<Segment, Error> + Send + 'static,
    ) -> Pending {
        let (sender, channel) = channel();
        let job = move || {
            // Whoever waited may have been dropped.
            let _ = sender.send(make());
        };
        match self.work {
            Work::Background => worker::submit(lane, Box::new(job)),
            Work::Inline => job(),
        }
        Pending { inputs, channel, result: None }
    }
}

impl Index {
    /// Takes in what the threads have finished. Cheap when there is nothing.
    pub fn settle_jobs(&mut self) {
        if let Some(pending) = self.jobs.sealing.take_if(|pending| pending.is_done()) {
            self.settle_seal(pending);
        }
        if let Some(pending) = self.jobs.merging.take_if(|pending| pending.is_done()) {
            self.settle_merge(pending);
        }
    }

    /// Waits for everything that is under way, and for what follows from it.
    pub fn finish_jobs(&mut self) {
        loop {
            if let Some(pending) = self.jobs.sealing.take() {
                self.settle_seal(pending);
            } else if let Some(pending) = self.jobs.merging.take() {
                self.settle_merge(pending);
            } else {
                return;
            }
        }
    }

    /// Closes the fresh batch, unless the thread is still busy with the one before and this one may grow further.
    pub(super) fn close_batch(&mut self) {
        let rows = self.now.fresh.rows().len();
        if self.jobs.sealing.is_some() && rows < BATCH_DOCUMENTS_MAX {
            return;
        }
        if let Some(pending) = self.jobs.sealing.take() {
            self.settle_seal(pending);
        }
        // A few documents that are updated again and again would fill batch after batch with dead rows.
        if rows - self.now.fresh_dead.count() < BATCH_DOCUMENTS / 4 {
            self.rewrite_fresh();
        } else {
            self.freeze();
        }
    }

    /// Replaces the fresh batch by one without its dead rows.
    fn rewrite_fresh(&mut self) {
        let fresh = Batch::rewrite(&self.now.fresh, &self.now.fresh_dead);
        let now = self.change();
        now.fresh = Arc::new(fresh);
        now.fresh_dead = Arc::default();
    }

    /// Closes the fresh batch and has it sealed.
    pub(super) fn freeze(&mut self) {
        let (id, empty) = (self.next_piece(), Arc::new(Batch::new(self.layout.clone())));
        let now = self.change();
        let tier = std::mem::replace(&mut now.fresh, empty);
        let dead = std::mem::take(&mut now.fresh_dead);
        now.frozen.push(Piece { id, tier, dead });
        self.searched = false;
        self.seal_next();
    }

    fn next_piece(&mut self) -> u64 {
        self.next_piece += 1;
        self.next_piece
    }

    /// Has the oldest frozen batch sealed.
    fn seal_next(&mut self) {
        if self.jobs.sealing.is_some() {
            return;
        }
        while self.now.frozen.first().is_some_and(|piece| piece.is_dead()) {
            self.change().frozen.remove(0);
        }
        let Some(piece) = self.now.frozen.first() else { return };
        let (tier, dead) = (Arc::clone(&piece.tier), Arc::clone(&piece.dead));
        let inputs = vec![(piece.id, Arc::clone(&dead))];
        let pending = self.jobs.run(Lane::Seal, inputs, move || Segment::seal(&tier, &dead));
        self.jobs.sealing = Some(pending);
        if self.jobs.work == Work::Inline {
            self.settle_jobs();
        }
    }

    fn settle_seal(&mut self, pending: Pending) {
        let (id, was_dead) = pending.inputs[0].clone();
        let at = self.now.frozen.iter().position(|piece| piece.id == id);
        let at = at.expect("a batch stays until its seal comes back");
        match pending.finish() {
            Ok(segment) => {
                let id = self.next_piece();
                let now = self.change();
                let piece = now.frozen.remove(at);
                let mut dead = Bits::default();
                replay(piece.tier.rows(), &piece.dead, &was_dead, &segment, &mut dead);
                now.sealed.push(Piece { id, tier: Arc::new(segment), dead: Arc::new(dead) });
                self.jobs.merge_failed = false;
                self.plan_merge();
                self.seal_next();
            }
            // The batch stays searchable as it is; the next full one tries again.
            Err(error) => self.statistics.last_job_error = Some(error),
        }
    }

    /// Starts a merge if one is due.
    pub(super) fn plan_merge(&mut self) {
        if self.jobs.merging.is_some() || self.jobs.merge_failed {
            return;
        }
        if self.now.sealed.iter().any(|piece| piece.is_dead()) {
            self.change().sealed.retain(|piece| !piece.is_dead());
        }
        let Some(range) = self.due_merge() else { return };
        let pieces = &self.now.sealed[range];
        let inputs = pieces.iter().map(|piece| (piece.id, Arc::clone(&piece.dead))).collect();
        let parts: Vec<(Arc<Segment>, Arc<Bits>)> =
            pieces.iter().map(|piece| (Arc::clone(&piece.tier), piece.dead.clone())).collect();
        let layout = self.layout.clone();
        let pending = self.jobs.run(Lane::Merge, inputs, move || Segment::merge(&parts, &layout));
        self.jobs.merging = Some(pending);
        if self.jobs.work == Work::Inline {
            self.settle_jobs();
        }
    }

    /// The neighbours that are to be merged: the newest ones of which enough are of about a size, or one of which
    /// a third is dead.
    fn due_merge(&self) -> Option<std::ops::Range<usize>> {
        let len = self.now.sealed.len();
        let field_bits = self.now.sealed.last()?.tier.field_bits();
        let mut limit = u64::from(BATCH_DOCUMENTS) * MERGE_FAN_IN as u64 / 2;
        let mut start = len;
        while start > 0 {
            while start > 0 && self.joins(start - 1, limit, field_bits, len) {
                start -= 1;
            }
            if len - start >= MERGE_FAN_IN {
                return Some(start..len);
            }
            if limit > u64::from(SEGMENT_DOCUMENTS_MAX) {
                break;
            }
            limit *= MERGE_FAN_IN as u64;
        }
        self.now.sealed.iter().position(Piece::wants_rewrite).map(|at| at..at + 1)
    }

    /// Whether segment `at` may be merged with those behind it, up to `len`, none having more than `limit` rows.
    fn joins(&self, at: usize, limit: u64, field_bits: u32, len: usize) -> bool {
        let piece = &self.now.sealed[at];
        let documents: u64 = self.now.sealed[at..len].iter().map(|p| u64::from(p.alive())).sum();
        let arena: usize =
            self.now.sealed[at..len].iter().map(|p| p.tier.rows().arena_bytes()).sum();
        u64::from(piece.alive()) <= limit
            && piece.tier.field_bits() == field_bits
            && documents <= u64::from(SEGMENT_DOCUMENTS_MAX)
            && arena <= SEGMENT_ARENA_MAX
    }

    fn settle_merge(&mut self, pending: Pending) {
        let first = pending.inputs[0].0;
        let count = pending.inputs.len();
        let start = self.now.sealed.iter().position(|piece| piece.id == first);
        let start = start.expect("segments stay until their merge comes back");
        let inputs = pending.inputs.clone();
        match pending.finish() {
            Ok(segment) => {
                let mut dead = Bits::default();
                for (piece, (_, was_dead)) in
                    self.now.sealed[start..start + count].iter().zip(&inputs)
                {
                    replay(piece.tier.rows(), &piece.dead, was_dead, &segment, &mut dead);
                }
                let id = self.next_piece();
                let piece = Piece { id, tier: Arc::new(segment), dead: Arc::new(dead) };
                self.change().sealed.splice(start..start + count, [piece]);
                self.plan_merge();
            }
            Err(error) => {
                self.jobs.merge_failed = true;
                self.statistics.last_job_error = Some(error);
            }
        }
    }
}

/// Marks in `dead` the rows of `segment` whose documents died in `rows` after the job had begun.
fn replay(
    rows: &crate::index::rows::Rows,
    now_dead: &Bits,
    was_dead: &Bits,
    segment: &Segment,
    dead: &mut Bits,
) {
    for row in now_dead.since(was_dead) {
        let new_row = segment.rows().row(rows.number(row));
        dead.insert(new_row.expect("what was alive when the job began is in its result"));
    }
}

impl<T: Tier> Piece<T> {
    fn alive(&self) -> u32 {
        self.tier.rows().len() - self.dead.count()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.alive() == 0
    }

    /// Whether so much of it is dead that copying the rest is worth it.
    pub(super) fn wants_rewrite(&self) -> bool {
        let rows = self.tier.rows().len();
        self.is_dead() || (rows >= BATCH_DOCUMENTS && self.dead.count() > rows / 3)
    }
}

impl Pending {
    /// Looks whether the result has come.
    fn is_done(&mut self) -> bool {
        if self.result.is_none() {
            match self.channel.try_recv() {
                Ok(result) => self.result = Some(result),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => self.result = Some(Err(panicked())),
            }
        }
        true
    }

    /// The result, waited for if need be.
    fn finish(self) -> Result<Segment, Error> {
        let wait = || self.channel.recv().unwrap_or_else(|_| Err(panicked()));
        self.result.unwrap_or_else(wait)
    }
}

fn panicked() -> Error {
    Error::Internal("a job of the index panicked".to_owned())
}
