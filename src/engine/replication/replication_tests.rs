//! One seed is one story: a primary, its replicas and theirs, with writes, cuts, restarts and promotions; at its end all have
//! the same history.

use std::sync::Arc;

use super::{Refusal, Replication};
use crate::base::random::Random;
use crate::engine::effects::Targets;
use crate::engine::log::Bond;
use crate::engine::records::Records;

/// Stories that are told.
const STORIES: u64 = 2_000;
/// Steps of a story.
const STEPS: usize = 120;
/// Servers of a story.
const SERVERS: usize = 4;

/// A server: its facts, and all bytes that it has applied of the history that it is in.
struct Server {
    facts: Replication,
    data: Vec<u8>,
    /// Whom it follows, and how many bytes of the link are still on their way.
    follows: Option<usize>,
    link: Vec<u8>,
    linked: bool,
    /// Whether it may ask to go on: what it has is a history that somebody may know.
    resumes: bool,
}

impl Server {
    fn new(seed: u64, number: usize, backlog_bytes: usize) -> Self {
        let facts = Replication::new(&format!("{seed}-{number}"), backlog_bytes);
        Self { facts, data: vec![], follows: None, link: vec![], linked: false, resumes: false }
    }
}

/// What is told.
struct Story {
    servers: Vec<Server>,
    random: Random,
    full: usize,
    partial: usize,
}

impl Story {
    fn below(&mut self, bound: usize) -> usize {
        (self.random.draw() % bound as u64) as usize
    }

    /// Ends the hold of a server: its stream goes to the backlog, and to those who are linked to it.
    fn send(&mut self, at: usize) {
        let bytes = std::mem::take(&mut self.servers[at].facts.stream.bytes);
        if bytes.is_empty() {
            return;
        }
        let backlog = self.servers[at].facts.backlog.as_mut().expect("bytes are made for one only");
        backlog.push(&Arc::new(bytes.clone()));
        backlog.trim(u64::MAX);
        for server in self.servers.iter_mut().filter(|s| s.follows == Some(at) && s.linked) {
            server.link.extend_from_slice(&bytes);
        }
    }

    /// A primary writes.
    fn write(&mut self, at: usize) {
        let server = &mut self.servers[at];
        if server.facts.is_replica() {
            return;
        }
        let value = self.random.draw().to_string();
        let db = (self.random.draw() % 3) as u32;
        let mut records = Records::default();
        records.push(db, Targets::REPLICAS, &[b"SET", value.as_bytes()]);
        let before = server.facts.stream.bytes.len();
        if server.facts.feed(&records, Bond::Together) {
            let made = server.facts.stream.bytes[before..].to_vec();
            server.data.extend_from_slice(&made);
        }
        self.send(at);
    }

    /// A replica applies some of what has arrived, and relays it.
    fn apply(&mut self, at: usize, bytes_max: usize) {
        let server = &mut self.servers[at];
        let count = server.link.len().min(bytes_max);
        let applied: Vec<u8> = server.link.drain(..count).collect();
        server.data.extend_from_slice(&applied);
        server.facts.relay(&applied);
        self.send(at);
    }

    /// The connection to the primary is lost, with what was on its way.
    fn cut(&mut self, at: usize) {
        self.servers[at].linked = false;
        self.servers[at].link.clear();
    }

    /// Those who follow a server lose it.
    fn cut_followers(&mut self, at: usize) {
        for other in 0..SERVERS {
            if self.servers[other].follows == Some(at) {
                self.cut(other);
            }
        }
    }

    /// A replica connects to its primary and asks for what it lacks.
    fn connect(&mut self, at: usize) {
        let Some(to) = self.servers[at].follows.filter(|_| !self.servers[at].linked) else {
            return;
        };
        if self.servers[to].follows.is_some() && !self.servers[to].linked {
            // It says that it has no link itself.
            return;
        }
        let (id, next) = match self.servers[at].resumes {
            true => (self.servers[at].facts.id.clone(), self.servers[at].facts.offset() + 1),
            false => ("?".to_owned(), 0),
        };
        let answer = self.servers[to].facts.can_continue(&id, next.cast_signed());
        match answer {
            Ok(offset) => self.go_on(at, to, offset),
            Err(refusal) => {
                assert!(refusal == Refusal::Requested || self.servers[at].resumes);
                self.load(at, to);
            }
        }
        self.servers[at].linked = true;
        self.servers[at].resumes = true;
    }

    fn go_on(&mut self, at: usize, to: usize, offset: u64) {
        self.partial += 1;
        let primary = &self.servers[to].facts;
        let pieces =
            primary.backlog().and_then(|b| b.from(offset)).expect("it was said to be there");
        let id = primary.id.clone();
        let server = &mut self.servers[at];
        server.link = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        let renamed = server.facts.id != id;
        if renamed {
            server.facts.rename_history(id);
        }
        server.facts.begin_backlog();
        if renamed {
            self.cut_followers(at);
        }
    }

    fn load(&mut self, at: usize, to: usize) {
        self.full += 1;
        let primary = &mut self.servers[to].facts;
        if primary.backlog().is_none() {
            if !primary.is_replica() {
                primary.begin_history();
            }
            primary.begin_backlog();
        }
        primary.forget_selected();
        let (id, offset) = (primary.id.clone(), primary.offset());
        let data = self.servers[to].data.clone();
        let server = &mut self.servers[at];
        server.facts.adopt_history(id, offset);
        server.data = data;
        self.cut_followers(at);
    }

    /// A server follows another one, unless that follows it.
    fn follow(&mut self, at: usize, to: usize) {
        let mut above = Some(to);
        while let Some(server) = above {
            if server == at {
                return;
            }
            above = self.servers[server].follows;
        }
        self.cut(at);
        let server = &mut self.servers[at];
        // A primary goes on with its own history.
        server.resumes |= !server.facts.is_replica();
        server.follows = Some(to);
        server.facts.begin_as_replica("h", 1);
    }

    /// A replica leads.
    fn lead(&mut self, at: usize) {
        if self.servers[at].follows.take().is_none() {
            return;
        }
        self.cut(at);
        self.servers[at].facts.role = super::Role::Primary;
        self.servers[at].facts.fork_history();
        self.cut_followers(at);
    }

    /// The process ends after it has saved, and comes back.
    fn restart(&mut self, at: usize, seed: u64, number: usize) {
        self.cut(at);
        self.cut_followers(at);
        let server = &mut self.servers[at];
        let backlog_bytes = server.facts.backlog_bytes;
        let (id, offset) = (server.facts.id.clone(), server.facts.offset());
        let moment = server.facts.current_db();
        let follows = server.follows;
        server.facts = Replication::new(&format!("{seed}-again-{number}"), backlog_bytes);
        server.resumes = false;
        if follows.is_some() {
            server.facts.begin_as_replica("h", 1);
        }
        if let Some(db) = moment {
            if follows.is_none() {
                server.facts.begin_backlog();
            }
            server.facts.take_up(id, offset, db);
            server.resumes = server.facts.resumes;
        }
    }

    fn step(&mut self, seed: u64, number: usize) {
        let (at, other) = (self.below(SERVERS), self.below(SERVERS));
        match self.below(20) {
            0..=7 => self.write(at),
            8..=11 => {
                let some = self.below(200);
                self.apply(at, some);
            }
            12..=14 => self.connect(at),
            15 => self.cut(at),
            16 | 17 => self.follow(at, other),
            18 => self.lead(at),
            _ => self.restart(at, seed, number),
        }
    }

    /// All come to rest behind server 0, and have what it has.
    fn end(&mut self) {
        self.lead(0);
        for at in 1..SERVERS {
            self.lead(at);
        }
        for at in 1..SERVERS {
            self.follow(at, at - 1);
        }
        for _ in 0..SERVERS {
            for at in 1..SERVERS {
                self.connect(at);
                self.apply(at, usize::MAX);
            }
        }
        self.write(0);
        for at in 1..SERVERS {
            self.apply(at, usize::MAX);
        }
    }
}

fn tell(seed: u64) -> Story {
    let mut random = Random::new(seed);
    let backlog_bytes = [1, 300, 20_000, 1 << 20][(random.draw() % 4) as usize];
    let servers = (0..SERVERS).map(|number| Server::new(seed, number, backlog_bytes)).collect();
    let mut story = Story { servers, random, full: 0, partial: 0 };
    for at in 1..SERVERS {
        story.follow(at, 0);
    }
    for number in 0..STEPS {
        story.step(seed, number);
    }
    story.end();
    story
}

#[test]
fn all_have_the_same_in_the_end() {
    let (mut full, mut partial) = (0, 0);
    for seed in 0..STORIES {
        let story = tell(seed);
        let primary = &story.servers[0];
        for (number, server) in story.servers.iter().enumerate() {
            let place = format!("seed {seed}, server {number}");
            assert_eq!(server.facts.id, primary.facts.id, "{place}");
            assert_eq!(server.facts.offset(), primary.facts.offset(), "{place}");
            assert!(server.data == primary.data, "{place}: other data");
        }
        full += story.full;
        partial += story.partial;
    }
    // Both ways were gone often.
    assert!(
        full > STORIES as usize && partial > STORIES as usize,
        "{full} full, {partial} partial"
    );
}
