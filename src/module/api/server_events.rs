//! Which of the ABI's events is each of the server's, and who is told? All subscribers of it, in the order in which
//! they came, with a struct that lives during the call.
#![expect(unsafe_code, reason = "calls modules, and hands them structs")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Arc;

use mortise_module_abi as abi;

use super::super::crash;
use super::super::handle::{ModString, ModuleCtx};
use super::super::host::{Module, ServerSubscription, host};
use super::{clients, keys};
use crate::engine::client::Client;
use crate::engine::ctx::{Env, ExclusiveCtx};
use crate::engine::events::Departure;
use crate::engine::hooks::{Change, FileStep, Origin, ServerEvent};

const NOTHING: *mut c_void = std::ptr::null_mut();

/// How many kinds of this event there are.
pub(super) fn kinds(event: u64) -> u64 {
    match event {
        abi::EVENT_PERSISTENCE => 6,
        abi::EVENT_LOADING => 5,
        abi::EVENT_KEY => 4,
        abi::EVENT_REPL_ASYNC_LOAD => 3,
        abi::EVENT_REPLICATION_ROLE_CHANGED
        | abi::EVENT_FLUSHDB
        | abi::EVENT_CLIENT_CHANGE
        | abi::EVENT_REPLICA_CHANGE
        | abi::EVENT_MASTER_LINK_CHANGE
        | abi::EVENT_MODULE_CHANGE
        | abi::EVENT_LOADING_PROGRESS
        | abi::EVENT_FORK_CHILD
        | abi::EVENT_EVENTLOOP => 2,
        abi::EVENT_CONFIG => 1,
        // These have no kinds in the ABI: 0 is what is asked for, and is not supported.
        _ => 0,
    }
}

/// Who wants to hear of an event.
fn subscribers(event: u64) -> Vec<ServerSubscription> {
    let records = host().records.lock();
    records.server_subscriptions.iter().filter(|one| one.event == event).cloned().collect()
}

/// Calls one subscriber.
fn call(
    ctx: &mut ExclusiveCtx<'_>,
    subscription: &ServerSubscription,
    sub: u64,
    data: impl FnOnce(*mut abi::Ctx, &mut dyn FnMut(*mut c_void)),
) {
    let Some(callback) = subscription.callback else { return };
    let event = abi::Event { id: subscription.event, dataver: 1 };
    crash::next_is("server event");
    ModuleCtx::with(
        &subscription.module,
        ctx,
        None,
        |_| {},
        |handle| {
            // SAFETY: the module is alive; `data` is null or the event's struct, which lives during the call.
            data(handle, &mut |data| unsafe { callback(handle, event, sub, data) });
        },
    );
}

/// Calls every subscriber of an event with the same data.
pub(in crate::module) fn server(ctx: &mut ExclusiveCtx<'_>, id: u64, sub: u64, data: *mut c_void) {
    let db = ctx.session.db;
    for subscription in subscribers(id) {
        // One before may have selected another.
        ctx.session.db = db;
        call(ctx, &subscription, sub, |_, tell| tell(data));
    }
    ctx.session.db = db;
}

fn plain(ctx: &mut ExclusiveCtx<'_>, id: u64, sub: u64) {
    server(ctx, id, sub, NOTHING);
}

/// The kind of an event that has two.
fn of_change(change: Change) -> u64 {
    match change {
        Change::Up => 0,
        Change::Down => 1,
    }
}

/// Tells modules of what happens to the server.
pub(in crate::module) fn tell(ctx: &mut ExclusiveCtx<'_>, event: ServerEvent<'_>) {
    match event {
        ServerEvent::Flush { db, done } => {
            let mut info =
                abi::FlushInfo { version: 1, sync: 1, dbnum: db.map_or(-1, |db| db as i32) };
            let sub = if done { abi::SUBEVENT_FLUSHDB_END } else { abi::SUBEVENT_FLUSHDB_START };
            server(ctx, abi::EVENT_FLUSHDB, sub, (&raw mut info).cast());
        }
        ServerEvent::SwapDb(first, second) => {
            let (dbnum_first, dbnum_second) = (first as i32, second as i32);
            let mut info = abi::SwapDbInfo { version: 1, dbnum_first, dbnum_second };
            server(ctx, abi::EVENT_SWAPDB, 0, (&raw mut info).cast());
        }
        ServerEvent::Shutdown => plain(ctx, abi::EVENT_SHUTDOWN, 0),
        ServerEvent::Saving(_) | ServerEvent::Rewriting(_) => {
            plain(ctx, abi::EVENT_PERSISTENCE, saving(event));
        }
        ServerEvent::Loading(origin, step) => {
            plain(ctx, abi::EVENT_LOADING, loading(origin, step));
        }
        ServerEvent::LoadingBeside(step) => {
            let sub = match step {
                FileStep::Begins | FileStep::BeginsApart => abi::SUBEVENT_REPL_ASYNC_LOAD_STARTED,
                FileStep::Failed => abi::SUBEVENT_REPL_ASYNC_LOAD_ABORTED,
                FileStep::Done => abi::SUBEVENT_REPL_ASYNC_LOAD_COMPLETED,
            };
            plain(ctx, abi::EVENT_REPL_ASYNC_LOAD, sub);
        }
        ServerEvent::Progress { commands, share } => {
            let mut info = abi::LoadingProgress { version: 1, hz: hz(ctx.env), progress: share };
            let sub = u64::from(commands);
            server(ctx, abi::EVENT_LOADING_PROGRESS, sub, (&raw mut info).cast());
        }
        ServerEvent::Role => role(ctx),
        ServerEvent::PrimaryLink(change) => {
            plain(ctx, abi::EVENT_MASTER_LINK_CHANGE, of_change(change));
        }
        ServerEvent::Replica(change) => plain(ctx, abi::EVENT_REPLICA_CHANGE, of_change(change)),
        ServerEvent::Child(change) => plain(ctx, abi::EVENT_FORK_CHILD, of_change(change)),
        ServerEvent::Client(client, change) => client_changed(ctx, client, change),
        ServerEvent::Cron(hz) => {
            let mut info = abi::CronLoop { version: 1, hz };
            server(ctx, abi::EVENT_CRON_LOOP, 0, (&raw mut info).cast());
        }
        ServerEvent::Config(names) => config_changed(ctx, names),
        ServerEvent::KeyLeaves { db, key, how } => key_leaves(ctx, db, key, how),
    }
}

fn hz(env: Env<'_>) -> i32 {
    i32::try_from(env.shared.limits.cron_hz.load(std::sync::atomic::Ordering::Relaxed)).unwrap_or(1)
}

fn saving(event: ServerEvent<'_>) -> u64 {
    match event {
        ServerEvent::Rewriting(FileStep::BeginsApart) => abi::SUBEVENT_PERSISTENCE_AOF_START,
        ServerEvent::Rewriting(FileStep::Begins) => abi::SUBEVENT_PERSISTENCE_SYNC_AOF_START,
        ServerEvent::Saving(FileStep::BeginsApart) => abi::SUBEVENT_PERSISTENCE_RDB_START,
        ServerEvent::Saving(FileStep::Begins) => abi::SUBEVENT_PERSISTENCE_SYNC_RDB_START,
        ServerEvent::Saving(FileStep::Done) | ServerEvent::Rewriting(FileStep::Done) => {
            abi::SUBEVENT_PERSISTENCE_ENDED
        }
        _ => abi::SUBEVENT_PERSISTENCE_FAILED,
    }
}

fn loading(origin: Origin, step: FileStep) -> u64 {
    match (step, origin) {
        (FileStep::Done, _) => abi::SUBEVENT_LOADING_ENDED,
        (FileStep::Failed, _) => abi::SUBEVENT_LOADING_FAILED,
        (_, Origin::File) => abi::SUBEVENT_LOADING_RDB_START,
        (_, Origin::Log) => abi::SUBEVENT_LOADING_AOF_START,
        (_, Origin::Primary) => abi::SUBEVENT_LOADING_REPL_START,
    }
}

/// Tells of the role, with the histories that follow from it.
fn role(ctx: &mut ExclusiveCtx<'_>) {
    let replication = &ctx.state.replication;
    // A host with a NUL inside could not be reached either.
    let text = |text: &str| CString::new(text).unwrap_or_default();
    let (host, port) = replication
        .link()
        .map_or((CString::default(), 0), |link| (text(&link.host), c_int::from(link.port)));
    let earlier = replication.earlier.as_ref();
    let ids = [text(&replication.id), text(earlier.map_or("", |earlier| &earlier.id))];
    let follows = replication.is_replica();
    let mut info = abi::ReplicationInfo {
        version: 1,
        master: c_int::from(!follows),
        masterhost: host.as_ptr().cast_mut(),
        masterport: port,
        replid1: ids[0].as_ptr().cast_mut(),
        replid2: ids[1].as_ptr().cast_mut(),
        repl1_offset: replication.offset(),
        repl2_offset: earlier.map_or(0, |earlier| earlier.end),
    };
    let sub = match follows {
        true => abi::EVENT_REPLROLECHANGED_NOW_REPLICA,
        false => abi::EVENT_REPLROLECHANGED_NOW_MASTER,
    };
    server(ctx, abi::EVENT_REPLICATION_ROLE_CHANGED, sub, (&raw mut info).cast());
}

/// Tells of a client that comes or goes; the context is the client's own.
fn client_changed(ctx: &mut ExclusiveCtx<'_>, client: &Arc<Client>, change: Change) {
    let Some(mut info) = clients::describe(client) else { return };
    let env = Env { client: Some(client), ..ctx.env };
    ctx.session.db = u32::from(info.db);
    let mut inner = ExclusiveCtx { state: ctx.state, session: ctx.session, unit: ctx.unit, env };
    let data = (&raw mut info).cast();
    server(&mut inner, abi::EVENT_CLIENT_CHANGE, of_change(change), data);
}

fn config_changed(ctx: &mut ExclusiveCtx<'_>, names: &[&str]) {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let mut info = abi::ConfigChange {
        version: 1,
        num_changes: pointers.len() as u32,
        config_names: pointers.as_mut_ptr(),
    };
    server(ctx, abi::EVENT_CONFIG, abi::SUBEVENT_CONFIG_CHANGE, (&raw mut info).cast());
}

/// Tells the other modules that one has come or gone.
pub(in crate::module) fn module_changed(
    ctx: &mut ExclusiveCtx<'_>,
    module: &Arc<Module>,
    change: Change,
) {
    let Ok(name) = CString::new(module.name.as_str()) else { return };
    let name: &CStr = &name;
    let mut info = abi::ModuleChange {
        version: 1,
        module_name: name.as_ptr(),
        module_version: module.version,
    };
    for subscription in subscribers(abi::EVENT_MODULE_CHANGE) {
        if !Arc::ptr_eq(&subscription.module, module) {
            let data = (&raw mut info).cast();
            call(ctx, &subscription, of_change(change), |_, tell| tell(data));
        }
    }
}

/// Tells of a key that is about to leave. Each subscriber gets it open for reading, with a context of its own.
fn key_leaves(ctx: &mut ExclusiveCtx<'_>, db: u32, key: &[u8], how: Departure) {
    let sub = match how {
        Departure::Deleted => abi::SUBEVENT_KEY_DELETED,
        Departure::Expired => abi::SUBEVENT_KEY_EXPIRED,
        Departure::Evicted => abi::SUBEVENT_KEY_EVICTED,
        Departure::Overwritten => abi::SUBEVENT_KEY_OVERWRITTEN,
    };
    let mode = abi::READ | abi::OPEN_KEY_NOSTATS | abi::OPEN_KEY_NOEFFECTS;
    for subscription in subscribers(abi::EVENT_KEY) {
        ctx.session.db = db;
        call(ctx, &subscription, sub, |handle, tell| {
            let name = ModString::handle(ModString::create(key));
            // SAFETY: a live context and a live string.
            let open = unsafe { keys::open(handle, name, mode) };
            let mut info = abi::KeyInfo { version: 1, key: open };
            if !open.is_null() {
                tell((&raw mut info).cast());
            }
            // SAFETY: opened above, and closed once; modules do not close what they did not open. The reference to the
            // name is ours.
            unsafe {
                keys::close(open);
                ModString::release(name);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_files_are_those_of_the_abi() {
        let saving = [
            ServerEvent::Saving(FileStep::BeginsApart),
            ServerEvent::Rewriting(FileStep::BeginsApart),
            ServerEvent::Saving(FileStep::Begins),
            ServerEvent::Saving(FileStep::Done),
            ServerEvent::Rewriting(FileStep::Failed),
            ServerEvent::Rewriting(FileStep::Begins),
        ];
        assert_eq!(saving.map(super::saving), [0, 1, 2, 3, 4, 5]);
        let steps = [
            (Origin::File, FileStep::Begins),
            (Origin::Log, FileStep::Begins),
            (Origin::Primary, FileStep::Begins),
            (Origin::Log, FileStep::Done),
            (Origin::Primary, FileStep::Failed),
        ];
        assert_eq!(steps.map(|(origin, step)| loading(origin, step)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn all_kinds_are_known_and_no_more() {
        assert_eq!((kinds(abi::EVENT_PERSISTENCE), kinds(abi::EVENT_KEY)), (6, 4));
        assert_eq!((kinds(abi::EVENT_SWAPDB), kinds(abi::EVENT_REPL_BACKUP)), (0, 0));
        assert_eq!(kinds(abi::EVENT_COUNT), 0);
    }
}
