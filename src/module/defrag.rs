//! How do modules take part in defragmentation? What they hold is moved by their own code, which asks for each block.
//!
//! A type's callback is called for each value of it: for a small one to do all at once, without a cursor; for one whose effort to
//! free is above `active-defrag-max-scan-fields` again and again, with a cursor, as long as it says that there is more. What
//! belongs to no key has callbacks of its own, at the end of a round.
//!
//! Invariant: callbacks run under the exclusive lock, with no borrow of the keyspace alive, in a thread that
//! moves blocks (`allocator/fragmentation.rs`).
#![expect(unsafe_code, reason = "calls modules with a handle of ours")]

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mortise_module_abi as abi;

use super::crash;
use super::handle::ModString;
use super::host::{Module, ModuleHost};
use super::native::NativeType;
use crate::base::moving::Mover;
use crate::engine::hooks::DefragPart;
use crate::object::module::KeyName;

/// The target of `DefragCtx` handles.
#[derive(Debug)]
pub struct Defragging<'a, 'm> {
    /// Who decides what moves.
    pub mover: &'a mut Mover<'m>,
    /// Where the callback has stopped, if it may stop.
    pub cursor: Option<u64>,
    /// The value's key; null for what belongs to none.
    pub key: *mut abi::ModuleString,
    /// Its db, or -1.
    pub db: c_int,
}

impl Defragging<'_, '_> {
    fn handle(&mut self) -> *mut abi::DefragCtx {
        std::ptr::from_mut(self).cast()
    }

    /// What is behind a handle; None for null.
    ///
    /// # Safety
    /// `ctx` is null or the handle that the callback which is running now has got, and nobody else refers to it during
    /// `'a`.
    pub unsafe fn borrow<'a>(ctx: *mut abi::DefragCtx) -> Option<&'a mut Defragging<'a, 'a>> {
        // SAFETY: the caller promises it; the struct lives as long as the callback runs.
        unsafe { ctx.cast::<Defragging<'a, 'a>>().as_mut() }
    }
}

/// What a module has registered for what belongs to no key.
#[derive(Clone, Debug)]
pub struct Globals {
    /// Whose it is.
    pub module: Arc<Module>,
    /// Does all at once.
    pub whole: abi::DefragFunc,
    /// Says whether there is more.
    pub pieces: abi::DefragFunc2,
    /// A round begins.
    pub begin: abi::DefragFunc,
    /// It is over.
    pub end: abi::DefragFunc,
}

/// How far a round has come with the modules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Those before it in the list are done.
    module: usize,
    cursor: u64,
}

impl NativeType {
    /// Has the type's module move what a value owns; see [`crate::object::module::TypeVtable::move_blocks`].
    pub(super) fn defragment(
        &self,
        key: KeyName<'_>,
        value: usize,
        from: Option<u64>,
        mover: &mut Mover<'_>,
    ) -> (usize, Option<u64>) {
        let Some(callback) = self.methods.defrag else { return (value, None) };
        let _note = crash::note(&self.module, "type callback defrag");
        let name =
            key.name.map_or(std::ptr::null_mut(), |key| ModString::handle(ModString::create(key)));
        let mut ctx = Defragging { mover, cursor: from, key: name, db: key.db };
        let mut place = value as *mut c_void;
        // SAFETY: the value is alive and of this type; context, name and place live during the call.
        let more = unsafe { callback(ctx.handle(), name, &raw mut place) } != 0;
        let next = ctx.cursor.filter(|_| more);
        // SAFETY: null, or made above with one reference, given up here.
        unsafe { ModString::release(name) };
        (place as usize, next)
    }
}

impl ModuleHost {
    /// Registers what a module moves of what belongs to no key: one of each for a module.
    pub fn register_globals(&self, module: &Arc<Module>, set: impl FnOnce(&mut Globals)) {
        let globals = &mut self.records.lock().globals;
        let at = globals.iter().position(|own| Arc::ptr_eq(&own.module, module));
        let at = at.unwrap_or_else(|| {
            let module = Arc::clone(module);
            globals.push(Globals { module, whole: None, pieces: None, begin: None, end: None });
            globals.len() - 1
        });
        set(&mut globals[at]);
    }

    /// Calls the callbacks for this part of a round; whether there is more.
    pub(super) fn defragment(&self, part: DefragPart, mover: &mut Mover<'_>) -> bool {
        let all = self.records.lock().globals.clone();
        match part {
            DefragPart::Begin => {
                *self.globals_at.lock() = Place::default();
                all.iter().for_each(|own| own.run(own.begin, mover));
                false
            }
            DefragPart::End => {
                all.iter().for_each(|own| own.run(own.end, mover));
                false
            }
            DefragPart::Globals => {
                let place = *self.globals_at.lock();
                let next =
                    all.get(place.module).map(|own| match own.next_piece(place.cursor, mover) {
                        Some(cursor) => Place { cursor, ..place },
                        None => Place { module: place.module + 1, cursor: 0 },
                    });
                *self.globals_at.lock() = next.unwrap_or_default();
                next.is_some()
            }
        }
    }
}

impl Globals {
    fn run(&self, callback: abi::DefragFunc, mover: &mut Mover<'_>) {
        let Some(callback) = callback.filter(|_| self.module.alive.load(Ordering::Relaxed)) else {
            return;
        };
        let _note = crash::note(&self.module, "defrag callback");
        let mut ctx = Defragging { mover, cursor: None, key: std::ptr::null_mut(), db: -1 };
        // SAFETY: the module is alive; the context lives during the call.
        unsafe { callback(ctx.handle()) };
    }

    /// Where to go on if the module has more.
    fn next_piece(&self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        if from == 0 {
            self.run(self.whole, mover);
        }
        let callback = self.pieces.filter(|_| self.module.alive.load(Ordering::Relaxed))?;
        let _note = crash::note(&self.module, "defrag callback");
        let key = std::ptr::null_mut();
        let mut ctx = Defragging { mover, cursor: Some(from), key, db: -1 };
        // SAFETY: the module is alive; the context lives during the call.
        let more = unsafe { callback(ctx.handle()) } != 0;
        ctx.cursor.filter(|_| more)
    }
}
