//! Where do random inputs come from? A small generator whose seed is printed, and taken back from `SEED`.

/// xorshift64*: enough for choosing inputs, of no use for secrets.
#[derive(Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Seeds from `SEED` or the clock, and prints the seed so that a failure can be run again.
    pub fn new(what: &str) -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Random::seeded(what, now.map_or(1, |since| since.as_nanos() as u64))
    }

    /// The same for tests that take the same inputs each time unless `SEED` says otherwise.
    pub fn seeded(what: &str, seed: u64) -> Random {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(seed);
        println!("{what}: SEED={seed}");
        // Two seeds that follow each other shall have nothing in common.
        Random { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// The next 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the given things.
    pub fn pick<'a, T: ?Sized>(&mut self, things: &[&'a T]) -> &'a T {
        things[self.below(things.len())]
    }
}
