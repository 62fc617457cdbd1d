//! What happens to an index when something happens to a key?
//!
//! The server tells of every change inside the command that made it, so the next FT.SEARCH sees it. It is asked to
//! when the first index comes into being, from FT.CREATE or from a file; after the last has gone, an event costs a
//! call and one atomic read.

use mortise_module::{
    Context, KeyspaceEvent, KeyspaceSubscription, NotifyClass, Phase, ServerEvent, ServerEventKind,
    ServerSubscription,
};

use crate::schema::Source;
use crate::storage::{loading, saving};
use crate::{registry, scan, source, temporary};

/// What the module hears of keys.
pub const KEYS: KeyspaceSubscription = KeyspaceSubscription {
    classes: NotifyClass::GENERIC
        .and(NotifyClass::HASH)
        .and(NotifyClass::MODULE)
        .and(NotifyClass::EXPIRED)
        .and(NotifyClass::EVICTED)
        .and(NotifyClass::LOADED)
        // These overwrite keys of any type: SET, SUNIONSTORE, ZRANGESTORE, SORT ... STORE.
        .and(NotifyClass::STRING)
        .and(NotifyClass::SET)
        .and(NotifyClass::ZSET)
        .and(NotifyClass::LIST),
    handler: on_key,
};

/// What the module hears of the server.
pub const SERVER: [ServerSubscription; 6] = [
    ServerSubscription { event: ServerEventKind::FlushDb, handler: on_flush },
    ServerSubscription { event: ServerEventKind::SwapDb, handler: on_swap },
    ServerSubscription { event: ServerEventKind::CronLoop, handler: temporary::on_cron },
    ServerSubscription { event: ServerEventKind::Persistence, handler: saving::on_persistence },
    ServerSubscription { event: ServerEventKind::Loading, handler: loading::on_loading },
    ServerSubscription { event: ServerEventKind::Shutdown, handler: saving::on_shutdown },
];

fn on_key(ctx: &mut Context<'_>, event: &KeyspaceEvent<'_>) {
    if registry::is_empty() {
        return;
    }
    let (db, key) = (ctx.db(), event.key.as_bytes());
    if event.class.intersects(NotifyClass::HASH) {
        source::refresh(ctx, key, Some(Source::Hash));
    } else if event.class.intersects(NotifyClass::MODULE) {
        if event.name.starts_with("json.") {
            source::refresh(ctx, key, Some(Source::Json));
        }
    } else if event.class.intersects(NotifyClass::GENERIC.and(NotifyClass::LOADED)) {
        on_generic(ctx, event.name, key);
    } else {
        registry::with(|all| all.forget(db, key));
    }
}

fn on_generic(ctx: &mut Context<'_>, name: &str, key: &[u8]) {
    let db = ctx.db();
    match name {
        "del" | "rename_from" | "move_from" => registry::with(|all| all.forget(db, key)),
        "expire" | "persist" => {
            let Some(at_ms) = source::expires_at_ms(ctx, key) else { return };
            registry::with(|all| {
                for entry in all.iter_mut() {
                    if entry.index.schema().follows(db, key) {
                        entry.each_index(|index| {
                            index.set_expiry(key, at_ms);
                        });
                    }
                }
            });
        }
        "rename_to" | "restore" | "copy_to" | "move_to" => {
            source::refresh(ctx, key, None);
        }
        "loaded" => loading::on_loaded(ctx, key),
        // What RedisJSON and ours tell as events of modules, valkey-json tells as generic ones.
        name if name.starts_with("json.") => source::refresh(ctx, key, Some(Source::Json)),
        _ => {}
    }
}

fn on_flush(_ctx: &mut Context<'_>, event: &ServerEvent<'_>) {
    match event {
        ServerEvent::FlushDb { phase: Phase::End, db: None } => registry::with(|all| all.clear()),
        ServerEvent::FlushDb { phase: Phase::End, db: Some(db) } => {
            registry::with(|all| all.clear_db(*db));
        }
        _ => {}
    }
}

/// Indexes stay with the number of their database, and get what is there now.
fn on_swap(ctx: &mut Context<'_>, event: &ServerEvent<'_>) {
    if let ServerEvent::SwapDb { first, second } = event
        && !registry::is_empty()
    {
        scan::refill(ctx, &[*first, *second]);
    }
}
