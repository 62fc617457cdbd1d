//! How does a server come to be? From its command line to an engine with its modules loaded and its
//! sockets open; [`super::run`] takes over from there.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use super::appending::Appender;
use super::host::ProcessHost;
use super::libraries::LibraryFile;
use super::sockets::{Exchange, Sockets};
use super::{clock, libraries, listener, log, process, users};
use crate::commands;
use crate::commands::server::{MORTISE_VERSION, REDIS_VERSION};
use crate::config::Config;
use crate::config::command_line::CommandLine;
use crate::config::file::{self, Directive, Loaded};
use crate::config::include;
use crate::config::params::Param;
use crate::config::value::Value;
use crate::engine::client::Session;
use crate::engine::ctx::{Env, ExclusiveCtx};
use crate::engine::durable::Durable;
use crate::engine::effects::{Request, Unit};
use crate::engine::errands::Errands;
use crate::engine::evict::Evictor;
use crate::engine::expire_walk::ExpireWalk;
use crate::engine::functions::Functions;
use crate::engine::lock::Engine;
use crate::engine::log::EffectLog;
use crate::engine::outbox::Post;
use crate::engine::registry::{Command, Registry};
use crate::engine::replication::Replication;
use crate::engine::state::{Limits, Shared, State};
use crate::engine::stats::WorkerStats;
use crate::keyspace::Keyspace;
use crate::module::host::host;
use crate::module::loader;

/// A server that is ready to run.
#[derive(Debug)]
pub struct Prepared {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The libraries of functions to load after the data set.
    pub libraries: Vec<LibraryFile>,
    /// The listening TCP sockets.
    pub tcp: Vec<TcpListener>,
    /// Where sockets arrive that are to take their place.
    pub exchanges: mpsc::UnboundedReceiver<Exchange>,
    /// The listening unix socket and its path.
    pub unix: Option<(UnixListener, String)>,
    /// How many worker threads serve connections.
    pub workers: usize,
    /// The append-only file.
    pub appender: Arc<Appender>,
    /// Where the engine's requests arrive.
    pub requests: mpsc::UnboundedReceiver<Request>,
    /// The file that names the process, to be removed at the end.
    pub pid_file: Option<String>,
}

/// Why a server cannot start, in one clear line or as Redis prints it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// What `--version` prints, in Redis's form.
pub fn version_line() -> String {
    format!(
        "Mortise server v={REDIS_VERSION} sha=00000000:0 malloc=jemalloc-5.3.0 bits={} \
         build=mortise-{MORTISE_VERSION}",
        usize::BITS
    )
}

/// What standard input holds, if the command line asks for it.
pub fn read_stdin(line: &CommandLine) -> Result<Vec<u8>, StartError> {
    let mut text = Vec::new();
    if line.from_stdin {
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut text).map_err(|error| {
            StartError(format!("Fatal error, can't read standard input: {error}"))
        })?;
    }
    Ok(text)
}

/// Reads the configuration that a command line names.
pub fn read_config(line: &CommandLine, stdin: &[u8]) -> Result<Loaded, StartError> {
    let text = match &line.config_file {
        Some(path) => include::read(path).map_err(|error| {
            let path = String::from_utf8_lossy(path);
            StartError(format!("Fatal error, can't open config file '{path}': {error}"))
        })?,
        None => Vec::new(),
    };
    let full = line.full_text(&text, stdin);
    file::load(&full, &mut include::read)
        .map_err(|error| StartError(error.report(&format!("Mortise {MORTISE_VERSION}"))))
}

/// Makes a server of a configuration.
pub fn prepare(
    mut loaded: Loaded,
    config_file: Option<String>,
    supervisor: Option<Result<&'static str, String>>,
) -> Result<Prepared, StartError> {
    // First, because the paths of the other files are relative to it.
    let dir = String::from_utf8_lossy(loaded.config.text(Param::Dir)).into_owned();
    std::env::set_current_dir(&dir)
        .map_err(|error| StartError(format!("Can't chdir to '{dir}': {error}")))?;
    start_log(&loaded)?;
    match supervisor {
        Some(Ok(text)) => tracing::info!("{text}"),
        Some(Err(text)) => tracing::warn!("{text}"),
        None => {}
    }
    print_banner(&loaded, config_file.is_some());
    make_room(&mut loaded.config)?;
    let (tcp, unix) = open_sockets(&loaded)?;
    let copies = tcp.iter().map(TcpListener::try_clone).collect::<std::io::Result<_>>();
    let copies = copies.map_err(|error| StartError(format!("cannot share a socket: {error}")))?;
    let (sockets, exchanges) = Sockets::new(copies);
    let appender = Arc::new(Appender::default());
    let (host, requests) = ProcessHost::start(sockets, Arc::clone(&appender))
        .map_err(|error| StartError(format!("cannot start a thread: {error}")))?;
    let workers = loaded.config.size(Param::IoThreads).max(1);
    let engine = Arc::new(build_engine(&loaded, config_file, workers, host)?);
    load_modules(&engine, &loaded)?;
    let libraries = libraries::read(&loaded.config)?;
    users::load(&engine, &loaded)?;
    engine.shared.startup_memory.store(crate::allocator::used_memory(), Ordering::Relaxed);
    tracing::info!("Server initialized");
    let pid_file = write_pid_file(&loaded);
    Ok(Prepared { engine, libraries, tcp, exchanges, unix, workers, appender, requests, pid_file })
}

fn start_log(loaded: &Loaded) -> Result<(), StartError> {
    let path = String::from_utf8_lossy(loaded.config.text(Param::Logfile)).into_owned();
    let format = match loaded.config.choice(Param::LogFormat) {
        1 => log::Format::Json,
        _ => log::Format::Human,
    };
    log::set_level(&loaded.config.choice_name(Param::Loglevel));
    log::set_format(format);
    log::init(&path).map_err(|error| {
        StartError(format!("*** FATAL CONFIG FILE ERROR ***\nCan't open the log file: {error}"))
    })
}

/// Lowers `maxclients` to what the limit of open files allows.
fn make_room(config: &mut Config) -> Result<(), StartError> {
    let wanted = config.size(Param::Maxclients);
    let room = process::room_for_clients(wanted);
    if room == 0 {
        return Err(StartError(format!(
            "Your current 'ulimit -n' of {} is not enough for the server to start. Please increase \
             your open file limit. Exiting.",
            process::open_files()
        )));
    }
    if room < wanted {
        tracing::warn!(
            "maxclients has been reduced to {room} from {wanted} to compensate for low ulimit: at \
             most {} files may be open. If you need higher maxclients increase 'ulimit -n'.",
            process::open_files()
        );
        config.put(Param::Maxclients, Value::Number(room as i64));
    }
    Ok(())
}

fn print_banner(loaded: &Loaded, has_file: bool) {
    let pid = std::process::id();
    tracing::info!("oO0OoO0OoO0Oo Mortise is starting oO0OoO0OoO0Oo");
    tracing::info!(
        "Mortise version={MORTISE_VERSION}, redis={REDIS_VERSION}, bits={}, pid={pid}, just started",
        usize::BITS
    );
    if has_file {
        tracing::info!("Configuration loaded");
    } else {
        tracing::warn!(
            "Warning: no config file specified, using the default config. In order to specify a \
             config file use mortise /path/to/redis.conf"
        );
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let port = loaded.config.int(Param::Port);
    if loaded.config.flag(Param::AlwaysShowLogo) {
        // Test suites find the process by these lines.
        tracing::info!(
            "\n   _______\n  |  ___  |   Mortise {MORTISE_VERSION} ({} bit)\n  | |   | |\n  | |___| |   \
             Running in standalone mode\n  |___ ___|   Port: {port}\n     | |      PID: {pid}\n     \
             |_|\n",
            usize::BITS
        );
    } else {
        tracing::info!("Running mode=standalone, port={port}.");
    }
}

type Opened = (Vec<TcpListener>, Option<(UnixListener, String)>);

fn open_sockets(loaded: &Loaded) -> Result<Opened, StartError> {
    let config = &loaded.config;
    let port = config.int(Param::Port) as u16;
    let tcp = listener::bind_configured(config, &[]).map_err(|error| {
        tracing::warn!("Warning: {error}");
        StartError(format!("Failed listening on port {port} (tcp), aborting."))
    })?;
    let path = String::from_utf8_lossy(config.text(Param::Unixsocket)).into_owned();
    let unix = if path.is_empty() {
        None
    } else {
        let mode = config.uint(Param::Unixsocketperm) as u32;
        Some((listener::bind_unix(&path, mode).map_err(StartError)?, path))
    };
    if tcp.is_empty() && unix.is_none() {
        return Err(StartError("Configured to not listen anywhere, exiting.".into()));
    }
    Ok((tcp, unix))
}

/// Forty random hexadecimal digits.
fn random_id() -> Result<String, StartError> {
    let mut bytes = [0u8; 20];
    getrandom::fill(&mut bytes)
        .map_err(|error| StartError(format!("no random numbers to be had: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn build_engine(
    loaded: &Loaded,
    config_file: Option<String>,
    workers: usize,
    host: ProcessHost,
) -> Result<Engine, StartError> {
    let config = &loaded.config;
    let registry = Arc::new(build_registry(&loaded.renames, workers + 1)?);
    users::check_lines(loaded, &registry)?;
    let databases = config.size(Param::Databases);
    let shared = Shared {
        clock: clock::CLOCK,
        started_ms: (clock::CLOCK.unix_us)() / 1000,
        run_id: random_id()?,
        executable: std::env::current_exe()
            .map(|path| path.display().to_string())
            .unwrap_or_default(),
        config_file,
        port: AtomicU64::new(config.uint(Param::Port)),
        registry_generation: AtomicU64::new(registry.generation()),
        registry: RwLock::new(Arc::clone(&registry)),
        limits: Limits::default(),
        databases: databases as u32,
        modules: Mutex::default(),
        heard: Default::default(),
        attached: Default::default(),
        pubsub: Default::default(),
        tracking: Default::default(),
        monitors: Default::default(),
        pause: Default::default(),
        post: Post::new(workers + 1),
        errands: Errands::new(workers + 1),
        durable: Durable::new(workers + 1),
        users: Default::default(),
        writes_denied: Default::default(),
        replicas_missing: Default::default(),
        role_refusals: Default::default(),
        busy: Default::default(),
        visits: Default::default(),
        modules_log_in: Default::default(),
        function_counts: Default::default(),
        loading: Default::default(),
        clients: Mutex::default(),
        client_memory: Default::default(),
        watch: Mutex::default(),
        watching: AtomicUsize::new(0),
        waiters: Mutex::default(),
        waiting: AtomicUsize::new(0),
        next_client: AtomicU64::new(1),
        connections: AtomicUsize::new(0),
        workers: (0..=workers).map(|_| WorkerStats::default()).collect(),
        new_scripts: Mutex::default(),
        expired: Mutex::default(),
        has_expired: AtomicBool::new(false),
        used_memory: crate::allocator::used_memory,
        peak_memory: AtomicUsize::new(0),
        startup_memory: AtomicUsize::new(0),
        replica_bytes: AtomicUsize::new(0),
        host: Box::new(host),
        rates: Default::default(),
        slow: Default::default(),
        ending: Default::default(),
        debug: Default::default(),
        defrag: Default::default(),
    };
    commands::server::config::mirror(config, &shared);
    shared.users.set_default_password(config.text(Param::Requirepass));
    let mut state = State {
        keyspace: Keyspace::new(databases),
        config: config.clone(),
        registry,
        log: EffectLog::default(),
        replication: Replication::new(&shared.run_id, config.size(Param::ReplBacklogSize)),
        hooks: None,
        scripts: Default::default(),
        functions: Functions::new(Arc::clone(&shared.function_counts)),
        dirty: 0,
        saved_at: shared.started_ms / 1000,
        persistence: Default::default(),
        evictor: Evictor::default(),
        expired_keys: 0,
        expired_fields: 0,
        active_expire: true,
        expire_walk: ExpireWalk::new(databases),
        defrag: Default::default(),
    };
    if let Some((host, port)) = config.replica_of() {
        let host = String::from_utf8_lossy(host);
        state.replication.begin_as_replica(&host, port);
        shared.host.show_role(true);
    }
    shared.note_replicas(&state, shared.started_ms);
    shared.note_role(&state);
    shared.host.show_title(config, shared.config_file.as_deref());
    // What goes wrong is in the log, and no reason not to start.
    let _ = shared.host.adjust_oom_score(config);
    Ok(Engine::new(state, shared))
}

/// All built-in commands under the names that `rename-command` gives them.
fn build_registry(renames: &[Directive], workers: usize) -> Result<Registry, StartError> {
    let mut named: Vec<(Option<Box<str>>, &'static Command)> = commands::TABLES
        .iter()
        .flat_map(|table| table.iter())
        .map(|spec| (None, Command::new(spec, None, None, workers)))
        .collect();
    let mut hidden = Vec::new();
    for rename in renames {
        let [from, to] = rename.words.as_slice() else { continue };
        let is_from = |command: &Command| from.eq_ignore_ascii_case(command.spec.name.as_bytes());
        let Some(at) = named.iter().position(|(_, command)| is_from(command)) else {
            return Err(StartError(
                rename.line.error("No such command in rename-command").report(MORTISE_VERSION),
            ));
        };
        if to.is_empty() {
            hidden.push(named.swap_remove(at).1);
        } else {
            named[at].0 = Some(String::from_utf8_lossy(to).into());
        }
    }
    Ok(Registry::new(named, 1).with_hidden(hidden))
}

/// Loads the modules of the configuration, then the shipped ones that are found.
fn load_modules(engine: &Arc<Engine>, loaded: &Loaded) -> Result<(), StartError> {
    // A process has one server; only tests make several engines, and they load no modules.
    let _ = host().engine.set(Arc::clone(engine));
    let given = loaded.module_settings.iter().cloned();
    host().given.lock().extend(given.map(|(name, value)| (name.to_ascii_lowercase(), value)));
    let shared = &engine.shared;
    let mut state = engine.write_patiently();
    let now_us = (shared.clock.unix_us)();
    let env = Env { shared, stats: &shared.workers[0], worker: 0, client: None, now_us };
    let mut session = Session::default();
    let mut unit = Unit::default();
    let mut ctx = ExclusiveCtx { state: &mut state, session: &mut session, unit: &mut unit, env };
    for directive in &loaded.modules {
        let Some((path, args)) = directive.words.split_first() else { continue };
        let path = String::from_utf8_lossy(path);
        loader::load(&mut ctx, &path, args).map_err(|error| StartError(error.to_string()))?;
    }
    if loaded.config.flag(Param::DefaultModules) {
        for path in shipped_modules() {
            loader::load_shipped(&mut ctx, &path).map_err(|error| StartError(error.to_string()))?;
        }
    }
    if let Some(name) = host().given.lock().keys().next() {
        if let Some(error) = loaded.refusal(name) {
            return Err(StartError(error.report(&format!("Mortise {MORTISE_VERSION}"))));
        }
        let name = String::from_utf8_lossy(name);
        return Err(StartError(format!(
            "Module Configuration detected without loadmodule directive or no ApplyConfig call: \
             aborting ('{name}')"
        )));
    }
    Ok(())
}

/// The shipped modules that are there: beside the program, or in `../lib/mortise` from it.
fn shipped_modules() -> Vec<String> {
    const FILES: [&str; 2] = ["libmortise_json.so", "libmortise_search.so"];
    let Ok(program) = std::env::current_exe().and_then(std::fs::canonicalize) else {
        return Vec::new();
    };
    let Some(beside) = program.parent() else { return Vec::new() };
    let installed = beside.join("../lib/mortise");
    let find = |file: &str| {
        let mut places = [beside.join(file), installed.join(file)].into_iter();
        places.find(|path| path.is_file()).map(|path| path.display().to_string())
    };
    FILES.into_iter().filter_map(find).collect()
}

/// Where a server in the background leaves its number unless told otherwise, as Redis does.
const PID_FILE_DEFAULT: &str = "/var/run/redis.pid";

/// The file that names the process; without one the server runs all the same, as Redis does.
fn write_pid_file(loaded: &Loaded) -> Option<String> {
    let mut path = String::from_utf8_lossy(loaded.config.text(Param::Pidfile)).into_owned();
    if path.is_empty() {
        if !loaded.config.flag(Param::Daemonize) {
            return None;
        }
        path = PID_FILE_DEFAULT.into();
    }
    match std::fs::write(&path, format!("{}\n", std::process::id())) {
        Ok(()) => Some(path),
        Err(error) => {
            tracing::warn!("Failed to write PID file: {error}");
            None
        }
    }
}
