//! INFO: the server's figures as sections of `field:value` lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::{MORTISE_VERSION, REDIS_VERSION, latency, role};
use crate::allocator::fragmentation;
use crate::commands::scripting;
use crate::config::params::Param;
use crate::engine::acl::log::Reason;
use crate::engine::args;
use crate::engine::client::Mode;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::persistence::{AofMode, Bgsave, Progress};
use crate::engine::pubsub::Kind;
use crate::engine::registry::Command;
use crate::engine::spec::{Argv, Outcome};
use crate::engine::stats::WorkerStats;
use crate::resp::reply::Reply;

/// Segments of a key table that the mean time to live is taken from.
const TTL_SEGMENTS: usize = 16;

type Section = fn(&mut ExclusiveCtx<'_>, &mut String);

/// Which INFO shows a section, besides one that asks for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    /// None.
    Asked,
    /// `everything`.
    Everything,
    /// `all`, too.
    All,
    /// One without arguments, too.
    Default,
}

/// The sections in order.
const SECTIONS: &[(&str, Section, Shown)] = &[
    ("server", server, Shown::Default),
    ("clients", clients, Shown::Default),
    ("memory", memory, Shown::Default),
    ("persistence", persistence, Shown::Default),
    ("stats", stats, Shown::Default),
    ("replication", role::info, Shown::Default),
    ("cpu", cpu, Shown::Default),
    ("modules", modules, Shown::Default),
    ("commandstats", command_stats, Shown::All),
    ("scriptstats", scripting::figures::info, Shown::Everything),
    ("errorstats", error_stats, Shown::Default),
    ("latencystats", latency_stats, Shown::All),
    ("cluster", cluster, Shown::Default),
    ("keyspace", keyspace, Shown::Default),
    ("debug", debug, Shown::Asked),
];

pub(super) fn info(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let asked =
        |name: &str| argv[1..].iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let everything = asked("everything");
    let all = everything || asked("all");
    let defaults = argv.len() == 1 || asked("default");
    let mut text = String::new();
    let least = if everything {
        Some(Shown::Everything)
    } else if all {
        Some(Shown::All)
    } else {
        defaults.then_some(Shown::Default)
    };
    for (name, section, shown) in SECTIONS {
        if least.is_some_and(|least| *shown >= least) || asked(name) {
            open(&mut text, name);
            section(ctx, &mut text);
        }
    }
    module_sections(ctx, &mut text, |name, module| {
        everything || asked(name) || asked(module) || (asked("modules") && argv.len() > 1)
    });
    reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn open(text: &mut String, name: &str) {
    if !text.is_empty() {
        text.push_str("\r\n");
    }
    let mut name = name.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let name = match name.as_str() {
        "Cpu" => "CPU",
        name => name,
    };
    let _ = write!(text, "# {name}\r\n");
}

/// The sections that modules add, under `<module>_<section>`.
fn module_sections(
    ctx: &mut ExclusiveCtx<'_>,
    text: &mut String,
    wanted: impl Fn(&str, &str) -> bool,
) {
    let Some(hooks) = ctx.state.hooks.clone() else { return };
    for (name, lines) in hooks.info(ctx) {
        let module = name.split('_').next().unwrap_or_default();
        if wanted(&name, module) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n{lines}");
        }
    }
}

/// Appends `field:value` lines.
macro_rules! lines {
    ($text:expr, $($name:literal: $value:expr),* $(,)?) => {
        $( let _ = write!($text, concat!($name, ":{}\r\n"), $value); )*
    };
}

fn server(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let shared = ctx.env.shared;
    let uptime = (ctx.env.now_ms() - shared.started_ms) / 1000;
    let hz = ctx.state.config.int(Param::Hz);
    let os = rustix::system::uname();
    let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    lines!(text,
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0",
        "redis_mode": "standalone",
        "server_name": "mortise",
        "mortise_version": MORTISE_VERSION,
        "os": format_args!("{} {} {}", word(os.sysname()), word(os.release()), word(os.machine())),
        "arch_bits": usize::BITS,
        "monotonic_clock": "X86 TSC or system clock",
        "multiplexing_api": "epoll",
        "atomicvar_api": "c11-builtin",
        "gcc_version": "0.0.0",
        "process_id": std::process::id(),
        "process_supervised": shared.host.supervisor(),
        "run_id": shared.run_id,
        "tcp_port": shared.port.load(Relaxed),
        "server_time_usec": ctx.env.now_us,
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime / 86_400,
        "hz": hz,
        "configured_hz": hz,
        "lru_clock": crate::engine::ctx::access_clock(ctx.env.now_us),
        "executable": shared.executable,
        "config_file": shared.config_file.as_deref().unwrap_or_default(),
        "io_threads_active": i32::from(shared.workers.len() > 2),
    );
    ending(ctx, text);
}

/// How long the process waits for replicas before it ends, if it does.
fn ending(ctx: &ExclusiveCtx<'_>, text: &mut String) {
    let deadline_ms = ctx.env.shared.ending.deadline_ms.load(Relaxed);
    if deadline_ms != 0 {
        lines!(text, "shutdown_in_milliseconds": (deadline_ms - ctx.now_ms()).max(0));
    }
}

fn clients(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let shared = ctx.env.shared;
    let own = ctx.env.client.map(|client| client.id);
    let (mut input, mut output, mut blocked) = (0, 0, 0);
    for client in shared.clients.lock().iter() {
        input = input.max(client.query_bytes.load(Relaxed));
        output = output.max(client.output_bytes.load(Relaxed));
        let is_busy = Some(client.id) == own || shared.visits.is_host(client.id);
        if !is_busy && client.session.lock().mode.contains(Mode::BLOCKED) {
            blocked += 1;
        }
    }
    let (keys, keys_on_deletion) = shared.waiters.lock().keys();
    lines!(text,
        "connected_clients":
            shared.connections.load(Relaxed).saturating_sub(ctx.state.replication.replicas().len()),
        "cluster_connections": 0,
        "maxclients": shared.limits.clients.load(Relaxed),
        "client_recent_max_input_buffer": input,
        "client_recent_max_output_buffer": output,
        "blocked_clients": blocked,
        "tracking_clients": shared.tracking.figures().clients,
        "pubsub_clients": shared.pubsub.clients(),
        "watching_clients": shared.watching.load(Relaxed),
        "clients_in_timeout_table": blocked,
        "total_watched_keys": shared.watch.lock().len(),
        "total_blocking_keys": keys,
        "total_blocking_keys_on_nokey": keys_on_deletion,
    );
}

/// A number of bytes as people read it.
fn human(bytes: usize) -> String {
    let units = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.2}{unit}")
}

fn memory(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let shared = ctx.env.shared;
    // Frees what waits for replicas that are gone.
    ctx.state.replication.tidy(shared);
    let used = (shared.used_memory)();
    let peak = shared.peak_memory.fetch_max(used, Relaxed).max(used);
    let own = fragmentation::figures();
    let ratio = |part: usize, whole: usize| format!("{:.2}", part as f64 / whole.max(1) as f64);
    let rss = resident_bytes();
    let limit = shared.limits.memory_bytes.load(Relaxed) as usize;
    scripting::collect_garbage(ctx.state);
    let scripts = scripting::memory(ctx.state, shared);
    let (caches, machines) = (scripts.caches(), scripts.machines());
    let lazy = shared.host.lazy_free();
    let backlog = ctx.state.replication.backlog();
    let (stream, excess) = backlog.map_or((0, 0), |own| (own.memory_bytes(), own.excess()));
    lines!(text,
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": rss,
        "used_memory_rss_human": human(rss),
        "used_memory_peak": peak,
        "used_memory_peak_human": human(peak),
        "used_memory_startup": shared.startup_memory.load(Relaxed),
        "used_memory_peak_perc": format_args!("{:.2}%", used as f64 * 100.0 / peak.max(1) as f64),
        "allocator_allocated": own.allocated,
        "allocator_active": own.active,
        "allocator_resident": own.resident,
        "allocator_muzzy": own.muzzy,
        "total_system_memory": system_memory(),
        "total_system_memory_human": human(system_memory()),
        "used_memory_lua": scripts.eval_vm,
        "used_memory_vm_eval": scripts.eval_vm,
        "used_memory_lua_human": human(scripts.eval_vm),
        "used_memory_scripts_eval": scripts.eval_texts,
        "number_of_cached_scripts": ctx.state.scripts.len(),
        "number_of_functions": ctx.state.functions.libraries().functions_len(),
        "number_of_libraries": ctx.state.functions.libraries().len(),
        "used_memory_vm_functions": scripts.function_vm,
        "used_memory_vm_total": machines,
        "used_memory_vm_total_human": human(machines),
        "used_memory_functions": scripts.libraries,
        "used_memory_scripts": caches,
        "used_memory_scripts_human": human(caches),
        "maxmemory": limit,
        "maxmemory_human": human(limit),
        "maxmemory_policy": ctx.state.config.choice_name(Param::MaxmemoryPolicy),
        "allocator_frag_ratio": ratio(own.allocated + own.wasted, own.allocated),
        "allocator_frag_bytes": own.wasted,
        "allocator_rss_ratio": ratio(own.resident, own.active),
        "allocator_rss_bytes": own.resident as i64 - own.active as i64,
        "rss_overhead_ratio": ratio(rss, own.resident),
        "rss_overhead_bytes": rss as i64 - own.resident as i64,
        "mem_fragmentation_ratio": format_args!("{:.2}", rss as f64 / used.max(1) as f64),
        "mem_fragmentation_bytes": rss as i64 - used as i64,
        "mem_not_counted_for_evict": shared.uncounted_memory(),
        "mem_clients_normal": shared.client_memory.total(),
        "mem_clients_slaves": excess,
        "mem_total_replication_buffers": stream,
        "mem_replication_backlog": stream.saturating_sub(excess),
        "mem_cluster_links": 0,
        "mem_aof_buffer": ctx.env.shared.host.aof_bytes(&ctx.env.shared.durable).1,
        "mem_allocator": "jemalloc-5.3.0",
        "active_defrag_running": shared.defrag.running.load(Relaxed),
        "lazyfree_pending_objects": lazy.pending,
        "lazyfreed_objects": lazy.freed,
    );
}

/// The process's resident memory, in bytes.
pub(super) fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * rustix::param::page_size()
}

fn system_memory() -> usize {
    let info = rustix::system::sysinfo();
    (info.totalram as usize).saturating_mul(info.mem_unit as usize)
}

fn persistence(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let (files, durable) = (&ctx.state.persistence, &ctx.env.shared.durable);
    let aof = &files.aof;
    let status = |ok: bool| if ok { "ok" } else { "err" };
    let now_ms = ctx.env.now_ms();
    let seconds_of =
        |job: &Option<Bgsave>| job.as_ref().map_or(-1, |job| (now_ms - job.began_ms) / 1000);
    let job = files.bgsave.as_ref().or(aof.rewrite.as_ref());
    let (keys, keys_total, handed_bytes) = job.map_or((0, 0, 0), |job| {
        let Progress { keys, keys_total, handed_bytes, .. } = &*job.progress;
        (keys.load(Relaxed), keys_total.load(Relaxed), handed_bytes.load(Relaxed))
    });
    let percent = if keys_total == 0 { 0.0 } else { keys as f64 * 100.0 / keys_total as f64 };
    lines!(text,
        "loading": u8::from(ctx.env.shared.loading.is_on()),
        "async_loading": u8::from(ctx.env.shared.loading.is_beside()),
        "current_cow_peak": handed_bytes,
        "current_cow_size": handed_bytes,
        "current_cow_size_age": 0,
        "current_fork_perc": format!("{percent:.2}"),
        "current_save_keys_processed": keys,
        "current_save_keys_total": keys_total,
        "rdb_changes_since_last_save": ctx.state.dirty,
        "rdb_bgsave_in_progress": u8::from(files.bgsave.is_some()),
        "rdb_last_save_time": ctx.state.saved_at,
        "rdb_last_bgsave_status": status(files.last_ok),
        "rdb_last_bgsave_time_sec": files.last_seconds.unwrap_or(-1),
        "rdb_current_bgsave_time_sec": seconds_of(&files.bgsave),
        "rdb_saves": files.saves,
        "rdb_last_cow_size": files.last_handed_bytes,
        "rdb_last_load_keys_expired": files.keys_expired,
        "rdb_last_load_keys_loaded": files.keys_loaded,
        "aof_enabled": u8::from(aof.mode != AofMode::Off),
        "aof_rewrite_in_progress": u8::from(aof.rewrite.is_some() && !aof.is_ending()),
        "aof_rewrite_scheduled": u8::from(aof.scheduled),
        "aof_last_rewrite_time_sec": aof.last_seconds.unwrap_or(-1),
        "aof_current_rewrite_time_sec": seconds_of(&aof.rewrite),
        "aof_last_bgrewrite_status": status(aof.last_ok),
        "aof_rewrites": aof.rewrites,
        "aof_rewrites_consecutive_failures": aof.failures,
        "aof_last_write_status": status(!durable.is_failing()),
        "aof_last_cow_size": 0,
        "module_fork_in_progress": u8::from(files.module_child.runs),
        "module_fork_last_cow_size": files.module_child.unshared_bytes,
    );
    if aof.mode != AofMode::Off {
        let (bytes, buffered) = ctx.env.shared.host.aof_bytes(durable);
        lines!(text,
            "aof_current_size": aof.other_bytes + bytes,
            "aof_base_size": aof.base_bytes,
            "aof_pending_rewrite": 0,
            "aof_buffer_length": buffered,
            "aof_pending_bio_fsync": u8::from(durable.synced() < durable.written()),
            "aof_delayed_fsync": 0,
        );
    }
    let loading = &ctx.env.shared.loading;
    if loading.is_on() || loading.is_beside() {
        let figures = loading.figures(now_ms / 1000);
        lines!(text,
            "loading_start_time": figures.started,
            "loading_total_bytes": figures.total,
            "loading_rdb_used_mem": figures.used_memory,
            "loading_loaded_bytes": figures.loaded,
            "loading_loaded_perc": format_args!("{:.2}", figures.percent),
            "loading_eta_seconds": figures.seconds_left,
        );
    }
}

fn stats(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let now_ns = (ctx.env.shared.clock.mono_ns)();
    let defrag_ms = ctx.env.shared.defrag.millis(now_ns);
    let exceeded_ms = ctx.state.evictor.exceeded_ms((ctx.env.shared.clock.mono_ns)());
    let shared = ctx.env.shared;
    let tracked = shared.tracking.figures();
    let users = &shared.users;
    let kbps = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    lines!(text,
        "total_connections_received": shared.sum(|w| w.connections.get()),
        "total_commands_processed": shared.sum(|w| w.commands.get()),
        "instantaneous_ops_per_sec": shared.rates.ops.load(Relaxed),
        "total_net_input_bytes": shared.sum(|w| w.net_input.get()),
        "total_net_output_bytes": shared.sum(|w| w.net_output.get()),
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": kbps(shared.rates.input.load(Relaxed)),
        "instantaneous_output_kbps": kbps(shared.rates.output.load(Relaxed)),
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": shared.sum(|w| w.rejected_connections.get()),
        "sync_full": ctx.state.replication.counts.full,
        "sync_partial_ok": ctx.state.replication.counts.partial,
        "sync_partial_err": ctx.state.replication.counts.partial_refused,
        "expired_keys": ctx.state.expired_keys,
        "expired_subkeys": ctx.state.expired_fields,
        "expired_stale_perc": format_args!("{:.2}", ctx.state.expire_walk.stale_percent),
        "expired_time_cap_reached_count": ctx.state.expire_walk.budgets_used,
        "expire_cycle_cpu_milliseconds": ctx.state.expire_walk.nanos / 1_000_000,
        "evicted_keys": ctx.state.evictor.evicted_keys,
        "evicted_clients": shared.client_memory.evicted(),
        "evicted_scripts": ctx.state.scripts.evicted,
        "total_eviction_exceeded_time": exceeded_ms.1,
        "current_eviction_exceeded_time": exceeded_ms.0,
        "keyspace_hits": shared.sum(|w| w.hits.get()),
        "keyspace_misses": shared.sum(|w| w.misses.get()),
        "pubsub_channels": shared.pubsub.len(Kind::Channel),
        "pubsub_patterns": shared.pubsub.len(Kind::Pattern),
        "pubsubshard_channels": shared.pubsub.len(Kind::Shard),
        "latest_fork_usec": ctx.state.persistence.last_fork_us,
        "total_forks": ctx.state.persistence.forks,
        "migrate_cached_sockets": shared.host.kept_connections(),
        "slave_expires_tracked_keys": ctx.state.replication.own_keys.len(),
        "active_defrag_hits": shared.defrag.hits.load(Relaxed),
        "active_defrag_misses": shared.defrag.misses.load(Relaxed),
        "active_defrag_key_hits": shared.defrag.key_hits.load(Relaxed),
        "active_defrag_key_misses": shared.defrag.key_misses.load(Relaxed),
        "total_active_defrag_time": defrag_ms.0,
        "current_active_defrag_time": defrag_ms.1,
        "tracking_total_keys": tracked.keys,
        "tracking_total_items": tracked.items,
        "tracking_total_prefixes": tracked.prefixes,
        "unexpected_error_replies": ctx.state.replication.errors,
        "total_error_replies": shared.sum(|w| w.errors.get()),
        "dump_payload_sanitizations": ctx.state.persistence.payloads_checked,
        "total_reads_processed": shared.sum(|w| w.reads_processed.get()),
        "total_writes_processed": shared.sum(|w| w.writes_processed.get()),
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "effect_log_records": ctx.state.log.records(),
        "eventloop_cycles": shared.cycles(),
        "eventloop_duration_sum": shared.cycle_micros(),
        "eventloop_duration_cmd_sum": command_micros(ctx),
        "instantaneous_eventloop_cycles_per_sec": shared.rates.cycles.load(Relaxed),
        "instantaneous_eventloop_duration_usec": shared.rates.cycle_micros.load(Relaxed),
        "acl_access_denied_auth": users.denied(Reason::Auth),
        "acl_access_denied_cmd": users.denied(Reason::Command),
        "acl_access_denied_key": users.denied(Reason::Key),
        "acl_access_denied_channel": users.denied(Reason::Channel),
    );
}

/// Time that all commands took, in microseconds.
fn command_micros(ctx: &ExclusiveCtx<'_>) -> u64 {
    let commands = ctx.state.registry.commands().iter();
    let all = commands.flat_map(|command| std::iter::once(command).chain(&command.subcommands));
    all.flat_map(|command| &command.stats).map(|stat| stat.nanos.get()).sum::<u64>() / 1000
}

fn debug(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let shared = ctx.env.shared;
    let most = |figure: fn(&WorkerStats) -> u64| shared.workers.iter().map(figure).max();
    lines!(text,
        "eventloop_duration_aof_sum": 0,
        "eventloop_duration_cron_sum": shared.rates.cron_micros.load(Relaxed),
        "eventloop_duration_max": most(|w| w.hold_nanos_max.get()).unwrap_or(0) / 1000,
        "eventloop_cmd_per_cycle_max": most(|w| w.hold_commands_max.get()).unwrap_or(0),
    );
}

fn cpu(_: &mut ExclusiveCtx<'_>, text: &mut String) {
    // Fields 14 to 17 of the kernel's stat line: user and system ticks, own and of children.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: Vec<f64> =
        behind_name.split(' ').skip(11).take(4).filter_map(|tick| tick.parse().ok()).collect();
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let seconds = |i: usize| format!("{:.6}", ticks.get(i).copied().unwrap_or(0.0) / per_second);
    lines!(text,
        "used_cpu_sys": seconds(1),
        "used_cpu_user": seconds(0),
        "used_cpu_sys_children": seconds(3),
        "used_cpu_user_children": seconds(2),
    );
}

fn modules(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    for module in ctx.env.shared.modules.lock().iter() {
        let ties = ctx.state.hooks.as_ref().map(|hooks| hooks.module_ties(&module.name));
        let ties = ties.unwrap_or_default();
        let _ = write!(
            text,
            "module:name={},ver={},api=1,filters=0,usedby=[{}],using=[{}],options=[{}]\r\n",
            module.name,
            module.version,
            ties.used_by.join("|"),
            ties.uses.join("|"),
            ties.options.join("|")
        );
    }
}

fn command_stats(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    for command in ctx.state.registry.commands() {
        for command in std::iter::once(command).chain(&command.subcommands) {
            command_line(command, text);
        }
    }
}

fn command_line(command: &Command, text: &mut String) {
    let sum = |figure: fn(&crate::engine::stats::CommandStat) -> u64| -> u64 {
        command.stats.iter().map(figure).sum()
    };
    let (calls, nanos) = (sum(|s| s.calls.get()), sum(|s| s.nanos.get()));
    let (rejected, failed) = (sum(|s| s.rejected.get()), sum(|s| s.failed.get()));
    if calls + rejected + failed == 0 {
        return;
    }
    let each = if calls == 0 { 0.0 } else { nanos as f64 / 1000.0 / calls as f64 };
    // Names of modules' commands may have what means something else here.
    let name = command.name.replace(['#', ':', '\r', '\n'], "_");
    let _ = write!(
        text,
        "cmdstat_{name}:calls={calls},usec={},usec_per_call={each:.2},rejected_calls={rejected},\
         failed_calls={failed}\r\n",
        nanos / 1000
    );
}

fn latency_stats(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let percentiles = ctx.state.config.percentiles();
    for command in ctx.state.registry.commands() {
        for command in std::iter::once(command).chain(&command.subcommands) {
            if let Some(durations) = latency::durations(command) {
                let values = latency::percentiles(&durations, percentiles);
                let _ = write!(text, "latency_percentiles_usec_{}:{values}\r\n", command.name);
            }
        }
    }
}

fn error_stats(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let mut sums: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for worker in &ctx.env.shared.workers {
        for (code, count) in worker.error_codes.lock().iter() {
            *sums.entry(code.to_vec()).or_default() += count;
        }
    }
    for (code, count) in sums {
        let _ = write!(text, "errorstat_{}:count={count}\r\n", args::lossy(&code));
    }
}

fn cluster(_: &mut ExclusiveCtx<'_>, text: &mut String) {
    lines!(text, "cluster_enabled": 0);
}

fn keyspace(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let now_ms = ctx.now_ms();
    // Some segments from a place that moves with time are sample enough.
    let random = (ctx.env.now_us as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for (index, db) in ctx.state.keyspace.iter() {
        if !db.is_empty() {
            let _ = write!(
                text,
                "db{index}:keys={},expires={},avg_ttl={},subexpiry=0\r\n",
                db.len(),
                db.volatile_len(),
                db.avg_ttl_ms(random, now_ms, TTL_SEGMENTS).unwrap_or(0)
            );
        }
    }
}
