//! A module that uses everything the SDK has, for `tests/servers.rs` to look at from outside.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mortise_module::{
    Access, AofWriter, Arg, ArgSpec, Argument, Arity, AuxWhen, BeginKeys, BoolConfig, CallFlags,
    Command, CommandResult, Config, Context, ContextFlags, DigestWriter, EnumConfig, Error,
    FindKeys, Flag, InfoWriter, IntConfig, KeyFlag, KeySpec, KeyspaceEvent, KeyspaceSubscription,
    LogLevel, Module, ModuleAllocator, Native, NotifyClass, RdbReader, RdbWriter, Reply,
    ServerEvent, ServerEventKind, ServerSubscription, ServiceSpec, StringConfig, Type, Value,
    prefetch,
};

#[global_allocator]
static ALLOCATOR: ModuleAllocator = ModuleAllocator;

// A native type that holds a text, counts its living values, and has data beside the keys.

struct Note {
    text: String,
}

static NOTE: Type<Note> = Type::new();
static LIVING: AtomicI64 = AtomicI64::new(0);
static FETCHED: AtomicI64 = AtomicI64::new(0);
static AUX: AtomicU64 = AtomicU64::new(0);

impl Note {
    fn new(text: String) -> Note {
        LIVING.fetch_add(1, Ordering::Relaxed);
        Note { text }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Native for Note {
    const NAME: &'static str = "probeNote";
    const ENCVER: i32 = 2;
    const AUX: AuxWhen = AuxWhen::BeforeKeys;

    fn rdb_save(&self, writer: &mut RdbWriter<'_>) {
        writer.u64(u64::MAX);
        writer.i64(-1);
        writer.f64(0.5);
        writer.bytes(&self.text);
    }

    fn rdb_load(reader: &mut RdbReader<'_>, encver: i32) -> Result<Note, Error> {
        let (unsigned, signed, float) = (reader.u64()?, reader.i64()?, reader.f64()?);
        if (encver, unsigned, signed, float) != (2, u64::MAX, -1, 0.5) {
            return Err(Error::new("not a note"));
        }
        match reader.text()?.as_str() {
            "panic on load" => panic!("asked to, on load"),
            text => Ok(Note::new(text.to_owned())),
        }
    }

    const FETCHES: bool = true;

    fn fetch(&self) {
        FETCHED.fetch_add(1, Ordering::Relaxed);
        prefetch(self.text.as_ptr().cast());
    }

    fn mem_usage(&self) -> usize {
        size_of::<Note>() + self.text.capacity()
    }

    fn copy(&self, from: &Arg<'_>, to: &Arg<'_>) -> Option<Note> {
        let names = [from, to].map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        (self.text != "single").then(|| Note::new(format!("{} {}", self.text, names.join(">"))))
    }

    fn digest(&self, digest: &mut DigestWriter<'_>) {
        digest.bytes(&self.text);
        digest.i64(7);
        digest.end_sequence();
    }

    fn aof_rewrite(&self, writer: &mut AofWriter<'_>, key: &Arg<'_>) {
        writer.emit("probe.note", &[key, &self.text]);
    }

    fn aux_save(writer: &mut RdbWriter<'_>) {
        writer.u64(AUX.load(Ordering::Relaxed));
    }

    fn aux_load(reader: &mut RdbReader<'_>, _encver: i32) -> Result<(), Error> {
        AUX.store(reader.u64()? + 1, Ordering::Relaxed);
        let end = Instant::now() + Duration::from_secs(20);
        while PATIENCE.load(Ordering::Relaxed) == 1 {
            if Instant::now() > end {
                return Err(Error::new("nobody was let in"));
            }
            thread::sleep(Duration::from_millis(1));
            reader.give_way();
        }
        Ok(())
    }
}

/// 1: what belongs to no key is not loaded until it is 2.
static PATIENCE: AtomicU64 = AtomicU64::new(0);

fn patience(_: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    Ok(Reply::Int(PATIENCE.fetch_add(1, Ordering::Relaxed) as i64 + 1))
}

fn note(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let text = args[2].to_str()?.to_owned();
    let mut key = ctx.open_write(&args[1])?;
    if key.exists() {
        let old = key.value_mut(&NOTE)?.ok_or(Error::WrongType)?;
        old.text = text;
        key.context().reply().simple("CHANGED");
    } else {
        key.set_value(&NOTE, Note::new(text))?;
        key.context().reply().simple("CREATED");
    }
    drop(key);
    ctx.replicate_verbatim()?;
    ctx.notify(NotifyClass::MODULE, "probe.note", &args[1])?;
    Ok(Reply::Written)
}

fn read_note(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let key = ctx.open_read(&args[1]);
    Ok(Reply::from(key.value(&NOTE)?.map(|note| note.text.as_str())))
}

fn living(_: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    let aux = i64::try_from(AUX.load(Ordering::Relaxed)).map_err(Error::new)?;
    Ok(Reply::Array(vec![LIVING.load(Ordering::Relaxed).into(), aux.into()]))
}

// Replies.

fn replies(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let w = ctx.reply();
    Ok(match args[1].to_str()? {
        "ok" => Reply::Ok,
        "null" => Reply::Null,
        "nullarray" => Reply::NullArray,
        "int" => Reply::Int(-42),
        "double" => Reply::Double(2.5),
        "true" => Reply::Bool(true),
        "simple" => Reply::Simple("two\r\nlines".into()),
        "bulk" => Reply::Bulk(b"a\0b\r\n".to_vec()),
        "verbatim" => Reply::Verbatim { format: *b"mkd", text: b"*x*".to_vec() },
        "big" => Reply::BigNumber("123456789012345678901234567890".to_owned()),
        "map" => Reply::Map(vec![("a".into(), 1.into()), ("b".into(), Reply::Null)]),
        "set" => Reply::Set(vec![1.into(), 2.into()]),
        "nested" => {
            w.begin_array();
            w.int(1);
            w.begin_map();
            w.bulk("k");
            w.array(2);
            w.array(0);
            w.null();
            w.end();
            w.begin_set();
            w.end();
            w.end();
            Reply::Written
        }
        "error" => Reply::Array(vec![Reply::Error(Error::with_code("CODE of\r\nits own"))]),
        "nothing" => Reply::Written,
        // The rest break their promises.
        "short" => {
            w.array(3);
            w.int(1);
            Reply::Written
        }
        "broken" => {
            w.array(2);
            w.begin_map();
            w.bulk("k");
            return Err(Error::new("changed my mind"));
        }
        "panic" => {
            w.array(2);
            panic!("asked to, with 100% of {}", "arguments");
        }
        "protocol" => Reply::Int(if ctx.is_resp3() { 3 } else { 2 }),
        _ => return Err(Error::WrongArity),
    })
}

// Keys of the server's own types.

fn keys(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let [_, operation, name, rest @ ..] = args else { return Err(Error::WrongArity) };
    Ok(match (operation.to_str()?, rest) {
        ("kind", _) => {
            let key = ctx.open_read(name);
            Reply::from(format!("{:?} {}", key.kind(), key.value_length()))
        }
        ("get", _) => Reply::from(ctx.open_read(name).string()?),
        ("set", [value]) => {
            ctx.open_write(name)?.set_string(value)?;
            Reply::Ok
        }
        ("shout", _) => {
            let mut key = ctx.open_write(name)?;
            key.string_mut()?.unwrap_or_default().make_ascii_uppercase();
            Reply::from(key.string()?)
        }
        ("hget", [field]) => Reply::from(ctx.open_read(name).hash_get(field)?),
        ("hexpiring", _) => Reply::from(ctx.open_read(name).hash_has_expiring()),
        ("hexpires", [field]) => {
            let at_ms = ctx.open_read(name).hash_expires_at_ms(field)?;
            at_ms.and_then(|at_ms| i64::try_from(at_ms).ok()).into()
        }
        ("hset", [field, value]) => {
            ctx.open_write(name)?.hash_set(field, value)?;
            Reply::Ok
        }
        ("hdel", [field]) => ctx.open_write(name)?.hash_delete(field)?.into(),
        ("hall", _) => {
            let mut pairs = Vec::new();
            ctx.open_read(name).hash_each(|field, value| {
                pairs.push(format!("{}={}", field.escape_ascii(), value.escape_ascii()));
            })?;
            pairs.sort();
            Reply::from(pairs.join(","))
        }
        ("sall", _) => {
            let mut members = Vec::new();
            ctx.open_read(name)
                .set_each(|member| members.push(member.escape_ascii().to_string()))?;
            members.sort();
            Reply::from(members.join(","))
        }
        ("score", [member]) => Reply::from(ctx.open_read(name).zset_score(member)?),
        ("ttl", [ms]) => {
            let mut key = ctx.open_write(name)?;
            let ms = ms.to_u64()?;
            key.set_ttl((ms > 0).then(|| Duration::from_millis(ms)))?;
            Reply::from(key.ttl().map(|ttl| i64::from(ttl.as_millis() <= u128::from(ms))))
        }
        ("expireat", [ms]) => {
            let mut key = ctx.open_write(name)?;
            key.set_expires_at_ms(Some(ms.to_u64()?))?;
            Reply::from(key.expires_at_ms()?.map(|at| at.to_string()))
        }
        ("delete", _) => ctx.open_write(name)?.delete()?.into(),
        ("unlink", _) => ctx.open_write(name)?.unlink()?.into(),
        ("exists", _) => ctx.key_exists(name)?.into(),
        // Two handles of one key: reading a string in place is refused.
        ("twice", _) => {
            let (first, second) = (ctx.open_read(name), ctx.open_read(name));
            let refused = first.string().is_err() && second.string().is_err();
            drop(second);
            Reply::Array(vec![refused.into(), Reply::from(first.string()?)])
        }
        _ => return Err(Error::WrongArity),
    })
}

fn scan(ctx: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    let mut found = Vec::new();
    ctx.scan(|name, key| {
        found.push(format!("{}:{:?}", name.as_bytes().escape_ascii(), key.kind()))
    })?;
    found.sort();
    found.dedup();
    Ok(found.into_iter().map(Reply::from).collect::<Vec<_>>().into())
}

// Calls.

fn flags_of(text: &str) -> CallFlags {
    let letters = [
        ('!', CallFlags::REPLICATE),
        ('3', CallFlags::RESP3),
        ('0', CallFlags::CLIENT_PROTOCOL),
        ('C', CallFlags::AS_USER),
        ('S', CallFlags::SCRIPT_MODE),
        ('W', CallFlags::NO_WRITES),
        ('M', CallFlags::DENY_OOM),
        ('D', CallFlags::DRY_RUN),
    ];
    let chosen = letters.iter().filter(|(letter, _)| text.contains(*letter));
    chosen.fold(CallFlags::NONE, |all, (_, flag)| all.and(*flag))
}

fn call(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let flags = flags_of(args[1].to_str()?);
    let call_args: Vec<&dyn Argument> = args[3..].iter().map(|arg| arg as &dyn Argument).collect();
    let reply = ctx.call(args[2].to_str()?, &call_args, flags)?;
    if args[1].is("0") { reply.forward(ctx) } else { Ok(copied(reply.value())) }
}

/// Rebuilds a reply, naming what RESP2 cannot show.
fn copied(value: Value<'_>) -> Reply {
    match value {
        Value::Null => Reply::Null,
        Value::Int(value) => Reply::Int(value),
        Value::String(bytes) => Reply::from(bytes),
        Value::Error(text) => Reply::from(format!("error {}", text.escape_ascii())),
        Value::Array(elements) => Reply::Array(elements.map(copied).collect()),
        Value::Set(elements) => {
            Reply::Array([Reply::from("set")].into_iter().chain(elements.map(copied)).collect())
        }
        Value::Map(pairs) => {
            Reply::Map(pairs.map(|(key, value)| (copied(key), copied(value))).collect())
        }
        Value::Bool(value) => Reply::from(format!("bool {value}")),
        Value::Double(value) => Reply::from(format!("double {value}")),
        Value::BigNumber(digits) => Reply::from(format!("big {}", digits.escape_ascii())),
        Value::Verbatim(text) => Reply::from(format!("verbatim {}", text.escape_ascii())),
        other => Reply::from(format!("{other:?}")),
    }
}

fn replicate(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    ctx.replicate("SET", &[&args[1], &"replicated", &b"EX", &100.to_string()])?;
    Ok(Reply::Ok)
}

// Events.

static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn record(text: String) {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}

fn on_key_event(ctx: &mut Context<'_>, event: &KeyspaceEvent<'_>) {
    let key = event.key.as_bytes().escape_ascii().to_string();
    record(format!("{} {key} {}", event.name, ctx.db()));
    if key == "panic" {
        panic!("asked to, in an event");
    }
    if event.name == "expired" {
        // An outer handler that looks at a key must not have it changed under its feet.
        let outcome = ctx.call("DEL", &[&"watched"], CallFlags::NONE).map(|_| ());
        record(format!("del {outcome:?}"));
    }
    if key == "later" {
        let job = |ctx: &mut Context<'_>| {
            let done = ctx.call("SET", &[&"after", &"1"], CallFlags::REPLICATE).is_ok();
            record(format!("job {done}"));
        };
        if let Err(error) = ctx.after_notification(job) {
            record(error.to_string());
        }
    }
}

fn on_server_event(_: &mut Context<'_>, event: &ServerEvent<'_>) {
    record(format!("{event:?}"));
}

fn events(_: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    let mut events = EVENTS.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Reply::Array(std::mem::take(&mut *events).into_iter().map(Reply::from).collect()))
}

/// Holds a note open while another key is looked up, which may expire just then.
fn nested(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let note = ctx.open_read(&"watched");
    let text = note.value(&NOTE)?.map(|note| note.text.as_str());
    let other = ctx.open_read(&args[1]);
    Ok(Reply::Array(vec![Reply::from(other.exists()), Reply::from(text)]))
}

// Waiting.

fn wait(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    if !ctx.may_block() {
        return Err(ctx.block_client().err().unwrap_or(Error::new("it blocked after all")));
    }
    match args[1].to_str()? {
        "thread" => {
            let client = ctx.block_client()?;
            thread::spawn(move || {
                let size = client.lock(|ctx| ctx.db_size());
                client.unblock(move |ctx| {
                    ctx.reply().int(i64::try_from(size??).map_err(Error::new)?);
                    Ok(Reply::Written)
                });
            });
        }
        "value" => {
            let client = ctx.block_client()?;
            thread::spawn(move || client.reply(Ok(Reply::from("ready"))));
        }
        "panic" => {
            let client = ctx.block_client()?;
            thread::spawn(move || client.unblock(|_| panic!("asked to, in an answer")));
        }
        "write" => {
            let client = ctx.block_client()?;
            thread::spawn(move || {
                let size = client.lock(|ctx| ctx.db_size());
                client.reply_with(|writer| {
                    writer.array(3);
                    writer.int(i64::try_from(size??).map_err(Error::new)?);
                    writer.map(1);
                    writer.bulk("half");
                    writer.double(0.5);
                    writer.begin_array();
                    (0..3).for_each(|number| writer.int(number));
                    writer.end();
                    Ok(Reply::Written)
                });
            });
        }
        "write-error" => {
            let client = ctx.block_client()?;
            thread::spawn(move || client.reply_with(|_| Err(Error::new("written"))));
        }
        "write-panic" => {
            let client = ctx.block_client()?;
            thread::spawn(move || {
                client.reply_with(|writer| {
                    writer.array(2);
                    writer.int(1);
                    panic!("asked to, while writing");
                });
            });
        }
        "write-late" => {
            let late = |_: &mut Context<'_>| Ok(Reply::from("too late"));
            let client = ctx.block_client_for(Duration::from_millis(1), late)?;
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(100));
                client.reply_with(|_| unreachable!("nobody waits any more"));
            });
        }
        "drop" => drop(ctx.block_client()?),
        "again" => {
            let client = ctx.block_client()?;
            let second = ctx.block_client().err();
            client.reply(Ok(Reply::from(second.map(|error| error.to_string()))));
        }
        "timeout" => {
            let (ms, work_ms) = (args[2].to_u64()?, args[3].to_u64()?);
            let late = |_: &mut Context<'_>| Ok(Reply::from("too late"));
            let client = ctx.block_client_for(Duration::from_millis(ms), late)?;
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(work_ms));
                client.reply(Ok(Reply::from("in time")));
            });
        }
        _ => return Err(Error::WrongArity),
    }
    Ok(Reply::Written)
}

fn background(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let key = args[1].as_bytes().to_vec();
    let context = ctx.thread_context()?;
    let deadlock = context.lock(|_| ()).err().map(|error| error.to_string());
    thread::spawn(move || {
        let set = |ctx: &mut Context<'_>| {
            let flags = CallFlags::REPLICATE;
            ctx.call("SET", &[&key, &"from a thread"], flags).map(|_| ctx.may_block())
        };
        while let Ok(None) = context.try_lock(set) {
            thread::yield_now();
        }
        // A string that leaves the lock is given back later.
        let shared = context.lock(|ctx| {
            let name = ctx.random_key().ok().flatten()?;
            let _ = ctx.call("SET", &[&"kept", &name], CallFlags::NONE);
            Some(name)
        });
        drop(shared);
    });
    Ok(Reply::from(deadlock))
}

fn timer(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let key = args[1].as_bytes().to_vec();
    let job = move |ctx: &mut Context<'_>| {
        let _ = ctx.call("SET", &[&key, &"from a timer"], CallFlags::NONE);
    };
    ctx.set_timer(Duration::from_millis(10), job)?;
    let stopped = ctx.set_timer(Duration::from_millis(1), |_| record("must not run".to_owned()))?;
    Ok(Reply::Array(vec![ctx.stop_timer(stopped)?.into(), ctx.stop_timer(stopped)?.into()]))
}

// The rest.

static SWITCH: BoolConfig = BoolConfig::new("switch", true);
static LIMIT: IntConfig = IntConfig::new("limit", 10, 1, 100)
    .with_check(|value| if value == 13 { Err(Error::new("13 is unlucky")) } else { Ok(()) });
static COLOR: EnumConfig = EnumConfig::new("color", 1, &[("red", 1), ("green", 2)]);
static TITLE: StringConfig = StringConfig::new("title", "none");

fn configs(_: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    Ok(format!("{} {} {} {}", SWITCH.get(), LIMIT.get(), COLOR.get(), TITLE.get()).into())
}

fn info(writer: &mut InfoWriter<'_>) {
    let fill = |writer: &mut InfoWriter<'_>| {
        if writer.section("things")? {
            writer.field("living", LIVING.load(Ordering::Relaxed))?;
            writer.field("crash", if writer.for_crash_report() { "yes" } else { "no" })?;
            writer.dict("parts", |writer| {
                writer.field("count", 2_u64)?;
                writer.field("share", 0.5)
            })?;
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = fill(writer) {
        mortise_module::log(LogLevel::Warning, &error.to_string());
    }
}

fn echo_service(
    ctx: &mut Context<'_>,
    request: &[u8],
    answer: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    match request {
        b"error" => Err(Error::with_code("ECHO refused")),
        b"panic" => panic!("asked to, in a service"),
        _ => {
            answer(request);
            answer(format!(" in {}", ctx.db()).as_bytes());
            Ok(())
        }
    }
}

fn service(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    if ctx.service("nobody.1")?.is_some() {
        return Err(Error::new("found a service that nobody offers"));
    }
    let service = ctx.service("probe.echo.1")?.ok_or(Error::new("no service"))?;
    let mut answer = Vec::new();
    service.call(ctx, args[1].as_bytes(), |chunk| answer.extend_from_slice(chunk))?;
    Ok(answer.into())
}

fn log(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    ctx.log(LogLevel::Notice, args[1].to_str()?);
    Ok(Reply::Ok)
}

static HELD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn hold(_: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let size = usize::try_from(args[1].to_u64()?).map_err(Error::new)?;
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = vec![1; size];
    Ok(Reply::Ok)
}

/// Allocates, grows and frees blocks of several alignments, here and on other threads.
fn align(_: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(blocks_are_sound)).collect();
    let good = threads.into_iter().all(|thread| thread.join().unwrap_or(false));
    Ok(Reply::from(good && blocks_are_sound()))
}

fn blocks_are_sound() -> bool {
    macro_rules! sound {
        ($($align:literal)*) => { $({
            #[derive(Clone, PartialEq)]
            #[repr(align($align))]
            struct Block([u8; $align]);

            (1..200).step_by(13).all(|len: usize| {
                let mut blocks = vec![Block([0xa5; $align]); len];
                blocks.extend_from_within(..);
                let zeroed = vec![0_u8; len * $align];
                blocks.as_ptr().addr().is_multiple_of($align)
                    && blocks.iter().all(|block| *block == Block([0xa5; $align]))
                    && zeroed.iter().all(|byte| *byte == 0)
            })
        })&&* };
    }
    sound!(1 8 16 32 64 4096)
}

fn facts(ctx: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    let db = ctx.db();
    ctx.select_db(3)?;
    let other = ctx.db_size()?;
    ctx.select_db(db)?;
    let flags = ctx.flags();
    Ok(Reply::Array(vec![
        db.into(),
        i64::try_from(other).map_err(Error::new)?.into(),
        (ctx.client_id()? > 0).into(),
        flags.contains(ContextFlags::PRIMARY).into(),
        flags.contains(ContextFlags::LUA).into(),
        (ctx.server_version() >> 16).into(),
        Reply::from(ctx.random_key()?),
    ]))
}

fn on_load(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), Error> {
    if args.first().is_some_and(|arg| arg.is("fail")) {
        return Err(Error::new("asked to fail"));
    }
    ctx.log(LogLevel::Notice, &format!("probe loaded with {} arguments", args.len()));
    Ok(())
}

const fn command(name: &'static str, arity: Arity, handler: mortise_module::Handler) -> Command {
    Command { name, arity, handler, ..Command::DEFAULT }
}

const WRITE: &[Flag] = &[Flag::Write, Flag::DenyOom];
const UPDATE_FIRST: &[KeySpec] = &[KeySpec::at(1, Access::Update)];

/// Keys of every kind, and arguments likewise: probe.documented number key [key ...] [LIMIT offset count] [BY pattern]
/// [NX | AT time] [STORE key].
const DOCUMENTED_KEYS: &[KeySpec] = &[
    KeySpec::counted(1, Access::Read).note("What is looked at."),
    KeySpec::behind("STORE", 3, Access::Overwrite).with(&[KeyFlag::Incomplete]),
    KeySpec::new(BeginKeys::Unknown, FindKeys::Unknown, Access::Peek).with(&[KeyFlag::NotKey]),
];
const DOCUMENTED_ARGS: &[ArgSpec] = &[
    ArgSpec::integer("number").shown_as("numkeys"),
    ArgSpec::key("key").multiple(),
    ArgSpec::block("limit", &[ArgSpec::integer("offset"), ArgSpec::integer("count")])
        .token("LIMIT")
        .optional()
        .since("1.1.0"),
    ArgSpec::pattern("pattern").token("BY").optional().multiple_token().deprecated("1.2.0"),
    ArgSpec::one_of("when", &[ArgSpec::flag("nx", "NX"), ArgSpec::unix_time("time").token("AT")])
        .optional(),
    ArgSpec::double("factor").optional().about("By which scores are multiplied."),
    ArgSpec::key_of("destination", 1).token("STORE").optional().since("1.2.0"),
];

mortise_module::module!(Module {
    commands: &[
        Command {
            flags: WRITE,
            keys: UPDATE_FIRST,
            summary: "Sets a note.",
            categories: &["probes"],
            ..command("probe.note", Arity::Exactly(3), note)
        },
        Command {
            flags: &[Flag::Write],
            keys: DOCUMENTED_KEYS,
            args: DOCUMENTED_ARGS,
            history: &[("1.1.0", "Takes LIMIT."), ("1.2.0", "Takes STORE.")],
            tips: &["nondeterministic_output", "request_policy:all_shards"],
            ..command("probe.documented", Arity::AtLeast(3), |_, args| Ok(args.len().into()))
        },
        Command {
            flags: &[Flag::ReadOnly, Flag::Fast],
            keys: &[KeySpec::at(1, Access::Read)],
            ..command("probe.read", Arity::Exactly(2), read_note)
        },
        command("probe.living", Arity::Exactly(1), living),
        Command {
            flags: &[Flag::Loading],
            ..command("probe.patience", Arity::Exactly(1), patience)
        },
        command("probe.reply", Arity::Exactly(2), replies),
        Command {
            keys: &[KeySpec::at(2, Access::Update)],
            ..command("probe.key", Arity::Between(3, 5), keys)
        },
        command("probe.scan", Arity::Exactly(1), scan),
        command("probe.call", Arity::AtLeast(3), call),
        Command { flags: WRITE, ..command("probe.replicate", Arity::Exactly(2), replicate) },
        command("probe.events", Arity::Exactly(1), events),
        command("probe.nested", Arity::Exactly(2), nested),
        command("probe.wait", Arity::AtLeast(2), wait),
        command("probe.background", Arity::Exactly(2), background),
        command("probe.timer", Arity::Exactly(2), timer),
        command("probe.configs", Arity::Exactly(1), configs),
        command("probe.service", Arity::Exactly(2), service),
        command("probe.log", Arity::Exactly(2), log),
        command("probe.hold", Arity::Exactly(2), hold),
        command("probe.align", Arity::Exactly(1), align),
        command("probe.facts", Arity::Exactly(1), facts),
        Command {
            subcommands: &[
                command("living", Arity::Exactly(2), living),
                command("fetched", Arity::Exactly(2), |_, _| {
                    Ok(FETCHED.load(Ordering::Relaxed).into())
                }),
                Command {
                    keys: &[KeySpec::counted(2, Access::Read)],
                    ..command("count", Arity::AtLeast(3), |_, args| Ok(args.len().into()))
                },
            ],
            ..command("probe.sub", Arity::AtLeast(2), Command::DEFAULT.handler)
        },
    ],
    types: &[&NOTE],
    configs: &[
        Config::Bool(&SWITCH),
        Config::Int(&LIMIT),
        Config::Enum(&COLOR),
        Config::String(&TITLE),
    ],
    categories: &["probes"],
    keyspace_events: &[KeyspaceSubscription { classes: NotifyClass::ALL, handler: on_key_event }],
    server_events: &[
        ServerSubscription { event: ServerEventKind::FlushDb, handler: on_server_event },
        ServerSubscription { event: ServerEventKind::SwapDb, handler: on_server_event },
        ServerSubscription { event: ServerEventKind::Loading, handler: on_server_event },
        ServerSubscription { event: ServerEventKind::ConfigChange, handler: on_server_event },
    ],
    services: &[ServiceSpec { name: "probe.echo.1", handler: echo_service }],
    info: Some(info),
    on_load: Some(on_load),
    ..Module::new("probe", 10203)
});
