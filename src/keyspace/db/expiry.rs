//! Which keys of a db are past their time, and how long do the others have? Walks over the entries with an expiry.

use super::{Db, is_past};
use crate::keyspace::hash::KeyHash;
use crate::keyspace::scan::Walked;

impl<H: KeyHash> Db<H> {
    /// Appends copies of the keys that have expired in up to `segments_max` segments from
    /// `position` on, and moves the position; the active expiry cycle removes them and comes back.
    pub fn collect_expired(
        &self,
        position: &mut u64,
        now_ms: i64,
        segments_max: usize,
        out: &mut Vec<Box<[u8]>>,
    ) -> Walked {
        if self.volatile_len() == 0 {
            *position = 0;
            return Walked { wrapped: true, ..Walked::default() };
        }
        self.table.walk_volatile(position, segments_max, |entry| {
            if is_past(entry.expire_at(), now_ms) {
                out.push(entry.key().into());
            }
        })
    }

    /// Mean time to live, in milliseconds, of the unexpired keys among those with an expiry in
    /// `segments_max` segments from a random position on; none if there are none.
    pub fn avg_ttl_ms(&self, random: u64, now_ms: i64, segments_max: usize) -> Option<i64> {
        let mut position = random >> 16;
        let (mut sum, mut count) = (0i128, 0i128);
        for _ in 0..2 {
            let walked = self.table.walk_volatile(&mut position, segments_max, |entry| {
                if let Some(at) = entry.expire_at().filter(|at| *at > now_ms) {
                    sum += i128::from(at) - i128::from(now_ms);
                    count += 1;
                }
            });
            if count > 0 || !walked.wrapped {
                break;
            }
        }
        // The mean of 64-bit times to live fits 64 bits, unless they span more than a clock can.
        (count > 0).then(|| i64::try_from(sum / count).unwrap_or(i64::MAX))
    }
}
