//! Where does the walk stand that deletes keys whose time is over, and what has it found?

/// A position for each db, and figures for INFO.
#[derive(Debug)]
pub struct ExpireWalk {
    db: usize,
    /// Where it goes on in each db, in the table's hash space.
    pub positions: Box<[u64]>,
    /// Keys with an expiry that were past it, percent of those looked at; a mean in which the last look counts a twentieth.
    pub stale_percent: f64,
    /// How often a visit ended because its time was over.
    pub budgets_used: u64,
    /// Time that it took, nanoseconds.
    pub nanos: u64,
}

impl ExpireWalk {
    /// A walk that begins with the first of so many dbs.
    pub fn new(dbs: usize) -> Self {
        let positions = vec![0; dbs].into();
        Self { db: 0, positions, stale_percent: 0.0, budgets_used: 0, nanos: 0 }
    }

    /// The db that it is in, and the position in there.
    pub fn at(&self) -> (u32, u64) {
        (self.db as u32, self.positions[self.db])
    }

    /// Of so many keys so many were past their time, and it goes on from there.
    pub fn note(&mut self, position: u64, keys: usize, expired: usize) {
        self.positions[self.db] = position;
        if keys > 0 {
            let percent = expired as f64 * 100.0 / keys as f64;
            self.stale_percent = self.stale_percent * 0.95 + percent * 0.05;
        }
    }

    /// Goes on in the next db.
    pub fn next_db(&mut self) {
        self.db = (self.db + 1) % self.positions.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_db_keeps_its_position() {
        let mut walk = ExpireWalk::new(2);
        walk.note(7, 10, 0);
        walk.next_db();
        assert_eq!(walk.at(), (1, 0));
        walk.note(9, 10, 0);
        walk.next_db();
        assert_eq!(walk.at(), (0, 7));
        walk.next_db();
        assert_eq!(walk.at(), (1, 9));
    }

    #[test]
    fn the_share_of_stale_keys_follows_what_is_found() {
        let mut walk = ExpireWalk::new(1);
        walk.note(0, 0, 0);
        assert_eq!(walk.stale_percent, 0.0);
        walk.note(0, 50, 25);
        assert_eq!(walk.stale_percent, 2.5);
        for _ in 0..500 {
            walk.note(0, 50, 25);
        }
        assert!((walk.stale_percent - 50.0).abs() < 1e-6);
    }
}
