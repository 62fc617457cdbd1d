//! How does a data set come over from a server that runs? `mortise import` goes through its keys with SCAN, takes each as
//! DUMP has it, with its time to live, and gives it to another server with RESTORE. It works from any Redis or Valkey whose values
//! the other server can read, and changes nothing at the source.
//!
//! Keys that are written at the source meanwhile come as they are when their turn is, or not at all if they were not there
//! when it began; so for an exact copy the writers are stopped first, or it is run a second time.
//!
//! Invariants: what is on its way is bounded: the next commands are as many as fit `GROUP_BYTES` by the mean size so far,
//! and one value at a time is held here.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::remote::{Address, Remote, Reply};

/// Keys that a SCAN asks for.
const SCAN_COUNT: &[u8] = b"1000";
/// Keys that are asked for at a time, at most and at first.
const GROUP_KEYS_MAX: usize = 1000;
const GROUP_KEYS_FIRST: usize = 16;
/// Bytes of payloads that are asked for at a time, as far as one can tell.
const GROUP_BYTES: u64 = 4 << 20;
/// How long each step may take: a single value may be large, and a server busy.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two lines about the progress.
const PROGRESS: Duration = Duration::from_secs(1);
/// Failures that are told one by one.
const FAILURES_TOLD_MAX: u64 = 10;
/// Bytes of a key that are told.
const KEY_BYTES_TOLD_MAX: usize = 100;

const USAGE: &str = "--from redis://[[user]:password@]host[:port][/db] [--to redis://...]";

/// Runs the tool with the arguments behind its name; its exit code.
pub fn import(name: &str, args: &[Vec<u8>], out: &mut dyn Write) -> io::Result<u8> {
    let route = match Route::parse(args) {
        Ok(route) => route,
        Err(why) => {
            eprintln!("{why}\nUsage: {name} {USAGE}");
            return Ok(1);
        }
    };
    let began = Instant::now();
    let mut copy = match Copy::begin(&route) {
        Ok(copy) => copy,
        Err(why) => {
            eprintln!("{why}");
            return Ok(1);
        }
    };
    let outcome = copy.run();
    let Counts { copied, bytes, gone, failed } = copy.counts;
    let seconds = began.elapsed().as_secs_f64();
    writeln!(
        out,
        "{copied} keys copied from {} to {} ({:.1} MB in {seconds:.1} seconds), {gone} gone meanwhile, \
         {failed} failed.",
        route.from,
        route.to,
        bytes as f64 / 1e6,
    )?;
    if let Err(why) = &outcome {
        eprintln!("Import stopped: {why}");
    }
    Ok(u8::from(outcome.is_err() || failed > 0))
}

/// From where to where.
struct Route {
    from: Address,
    to: Address,
}

impl Route {
    fn parse(args: &[Vec<u8>]) -> Result<Self, String> {
        let (mut from, mut to) = (None, None);
        for pair in args.chunks(2) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let name = text(&pair[0]);
            let slot = match name.as_str() {
                "--from" => &mut from,
                "--to" => &mut to,
                _ => return Err(format!("Unknown option '{name}'.")),
            };
            let [_, value] = pair else { return Err(format!("{name} wants an address.")) };
            *slot = Some(Address::parse(&text(value))?);
        }
        let from = from.ok_or("There is no --from.")?;
        let to = to.map_or_else(|| Address::parse("redis://"), Ok)?;
        if to.db.is_some() && from.db.is_none() {
            return Err("A db to copy to wants a db to copy from.".into());
        }
        if (&from.host, from.port, from.db) == (&to.host, to.port, to.db.or(from.db)) {
            return Err("A server cannot be copied onto itself.".into());
        }
        Ok(Self { from, to })
    }
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    copied: u64,
    /// Bytes of the payloads.
    bytes: u64,
    gone: u64,
    failed: u64,
}

/// Both servers, and how far it is.
struct Copy {
    source: Remote,
    target: Remote,
    /// The dbs to copy: their number at the source, at the target, and how many keys there are.
    dbs: Vec<(u32, u32, u64)>,
    counts: Counts,
    told: Instant,
}

/// The keys that are still to be copied of a db.
struct Scan {
    /// Where the next SCAN begins; none at the end.
    cursor: Option<Vec<u8>>,
    /// Whether its reply is still to come.
    asked: bool,
    keys: VecDeque<Vec<u8>>,
}

impl Copy {
    fn begin(route: &Route) -> Result<Self, String> {
        let mut source = join(&route.from)?;
        let target = join(&route.to)?;
        let sizes = source_dbs(&mut source).map_err(|why| format!("{}: {why}", route.from))?;
        let dbs = match route.from.db {
            None => sizes.into_iter().map(|(db, keys)| (db, db, keys)).collect(),
            Some(db) => {
                let keys =
                    sizes.iter().find(|(other, _)| *other == db).map_or(0, |(_, keys)| *keys);
                vec![(db, route.to.db.unwrap_or(db), keys)]
            }
        };
        Ok(Self { source, target, dbs, counts: Counts::default(), told: Instant::now() })
    }

    fn run(&mut self) -> Result<(), String> {
        for (from, to, keys) in self.dbs.clone() {
            for (server, db) in [(&mut self.source, from), (&mut self.target, to)] {
                expect_ok(server.call(&[b"SELECT", db.to_string().as_bytes()]))?;
            }
            let before = self.counts;
            self.copy_db(from, keys).map_err(|error| error.to_string())?;
            self.tell(from, keys, before);
        }
        Ok(())
    }

    fn copy_db(&mut self, db: u32, keys: u64) -> io::Result<()> {
        let before = self.counts;
        let mut scan = Scan { cursor: Some(b"0".to_vec()), asked: false, keys: VecDeque::new() };
        self.ask(&mut scan)?;
        self.take_scan(&mut scan)?;
        let mut group = self.ask_group(&mut scan)?;
        while !group.is_empty() || scan.asked {
            let sent = self.pass_on(&group)?;
            self.take_scan(&mut scan)?;
            // The source works on the next ones while the target is waited for.
            let next = self.ask_group(&mut scan)?;
            self.confirm(&sent)?;
            group = next;
            if self.told.elapsed() >= PROGRESS {
                self.tell(db, keys, before);
            }
        }
        Ok(())
    }

    /// Asks for more keys, if there are more and few are left.
    fn ask(&mut self, scan: &mut Scan) -> io::Result<()> {
        if let Some(cursor) = scan.cursor.take() {
            self.source.add(&[b"SCAN", &cursor, b"COUNT", SCAN_COUNT])?;
            scan.asked = true;
        }
        self.source.flush()
    }

    /// Reads the keys that were asked for.
    fn take_scan(&mut self, scan: &mut Scan) -> io::Result<()> {
        if !std::mem::take(&mut scan.asked) {
            return Ok(());
        }
        let reply = self.source.read()?;
        let Reply::Array(items) = &reply else { return Err(unexpected("SCAN", &reply)) };
        let [Reply::Bulk(Some(cursor)), Reply::Array(keys)] = &items[..] else {
            return Err(unexpected("SCAN", &reply));
        };
        scan.cursor = (cursor != b"0").then(|| cursor.clone());
        scan.keys.extend(keys.iter().filter_map(|key| match key {
            Reply::Bulk(Some(key)) => Some(key.clone()),
            _ => None,
        }));
        Ok(())
    }

    /// Asks for the values of the next keys; which they are.
    fn ask_group(&mut self, scan: &mut Scan) -> io::Result<Vec<Vec<u8>>> {
        let count = match self.counts.bytes.checked_div(self.counts.copied) {
            None => GROUP_KEYS_FIRST,
            Some(mean) => usize::try_from(GROUP_BYTES / mean.max(1)).unwrap_or(GROUP_KEYS_MAX),
        };
        let count = count.clamp(1, GROUP_KEYS_MAX).min(scan.keys.len());
        let group: Vec<Vec<u8>> = scan.keys.drain(..count).collect();
        for key in &group {
            // In this order: a key that went between the two is seen to be gone.
            self.source.add(&[b"DUMP", key])?;
            self.source.add(&[b"PTTL", key])?;
        }
        if scan.keys.len() < GROUP_KEYS_MAX {
            self.ask(scan)?;
        }
        self.source.flush()?;
        Ok(group)
    }

    /// Hands the values of a group to the target; those that were there.
    fn pass_on<'k>(&mut self, group: &'k [Vec<u8>]) -> io::Result<Vec<&'k [u8]>> {
        let mut sent = Vec::with_capacity(group.len());
        for key in group {
            let (payload, ttl) = (self.source.read()?, self.source.read()?);
            match (payload, ttl) {
                (Reply::Bulk(None), _) | (_, Reply::Int(-2)) => self.counts.gone += 1,
                (Reply::Bulk(Some(payload)), Reply::Int(ttl)) => {
                    // The time to live is told as of now, so only what the network takes is lost.
                    let at = if ttl < 0 { 0 } else { now_ms().saturating_add(ttl) }.to_string();
                    let at = at.as_bytes();
                    self.target.add(&[b"RESTORE", key, at, &payload, b"REPLACE", b"ABSTTL"])?;
                    self.counts.bytes += payload.len() as u64;
                    sent.push(key.as_slice());
                }
                (reply, other) => {
                    let reply = if matches!(reply, Reply::Error(_)) { reply } else { other };
                    self.fail(key, &reply);
                }
            }
        }
        self.target.flush()?;
        Ok(sent)
    }

    /// Reads what the target has to say.
    fn confirm(&mut self, sent: &[&[u8]]) -> io::Result<()> {
        for key in sent {
            match self.target.read()? {
                Reply::Status(_) => self.counts.copied += 1,
                reply => self.fail(key, &reply),
            }
        }
        Ok(())
    }

    fn fail(&mut self, key: &[u8], reply: &Reply) {
        self.counts.failed += 1;
        let told = &key[..key.len().min(KEY_BYTES_TOLD_MAX)];
        let told = String::from_utf8_lossy(told);
        match self.counts.failed {
            ..=FAILURES_TOLD_MAX => eprintln!("{told}: {}", words(reply)),
            n if n == FAILURES_TOLD_MAX + 1 => eprintln!("More failures are counted only."),
            _ => {}
        }
    }

    /// Tells how far a db is.
    fn tell(&mut self, db: u32, keys: u64, before: Counts) {
        self.told = Instant::now();
        let done = |counts: Counts| counts.copied + counts.gone + counts.failed;
        eprintln!(
            "db{db}: {} of some {keys} keys, {:.1} MB",
            done(self.counts) - done(before),
            (self.counts.bytes - before.bytes) as f64 / 1e6
        );
    }
}

/// Connects and logs in, and waits for a server that is loading its data set.
fn join(address: &Address) -> Result<Remote, String> {
    let fail = |why: String| format!("{address}: {why}");
    let mut remote = Remote::connect(address, TIMEOUT)
        .map_err(|error| fail(format!("cannot connect: {error}")))?;
    if !address.auth.is_empty() {
        let words: Vec<&[u8]> =
            std::iter::once(&b"AUTH"[..]).chain(address.auth.iter().map(Vec::as_slice)).collect();
        expect_ok(remote.call(&words)).map_err(fail)?;
    }
    let mut waits = false;
    loop {
        match remote.call(&[b"PING"]) {
            Ok(Reply::Error(error)) if error.starts_with(b"LOADING") => {
                if !std::mem::replace(&mut waits, true) {
                    eprintln!("{address}: waiting until its data set is loaded");
                }
                std::thread::sleep(PROGRESS / 10);
            }
            Ok(Reply::Error(error)) => {
                return Err(fail(String::from_utf8_lossy(&error).into_owned()));
            }
            Ok(_) => return Ok(remote),
            Err(error) => return Err(fail(error.to_string())),
        }
    }
}

/// The dbs of a server that have keys, and how many.
fn source_dbs(source: &mut Remote) -> Result<Vec<(u32, u64)>, String> {
    let reply = source.call(&[b"INFO", b"keyspace"]).map_err(|error| error.to_string())?;
    let Reply::Bulk(Some(text)) = reply else { return Err(words(&reply)) };
    // `db0:keys=1,expires=0,avg_ttl=0`
    let size = |line: &str| {
        let (db, figures) = line.trim().strip_prefix("db")?.split_once(":keys=")?;
        let keys = figures.split(',').next()?;
        Some((db.parse().ok()?, keys.parse().ok()?))
    };
    Ok(String::from_utf8_lossy(&text).lines().filter_map(size).collect())
}

fn expect_ok(reply: io::Result<Reply>) -> Result<(), String> {
    match reply {
        Ok(Reply::Status(_)) => Ok(()),
        Ok(reply) => Err(words(&reply)),
        Err(error) => Err(error.to_string()),
    }
}

fn unexpected(command: &str, reply: &Reply) -> io::Error {
    io::Error::other(format!("{command} was answered with {}", words(reply)))
}

/// A reply that is not the wanted one, for people.
fn words(reply: &Reply) -> String {
    match reply {
        Reply::Error(text) | Reply::Status(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("an unexpected reply: {other:?}").chars().take(200).collect(),
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_make_no_sense_are_refused() {
        let parse = |words: &[&str]| {
            let args: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            Route::parse(&args)
        };
        let route = parse(&["--from", "redis://a:1"]).expect("it is one");
        assert_eq!((route.from.to_string().as_str(), route.to.port), ("a:1", 6379));
        assert!(parse(&["--from", "redis://a/1", "--to", "redis://a/2"]).is_ok());
        for wrong in [
            &[][..],
            &["--from"],
            &["--to", "redis://a"],
            &["--from", "a"],
            &["--from", "redis://a", "--to", "redis://b/1"],
            &["--from", "redis://", "--to", "redis://127.0.0.1"],
            &["--from", "redis://a/1", "--to", "redis://a"],
            &["--form", "redis://a"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
