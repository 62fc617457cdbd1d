//! How does the server hold values of a module's own type? Over the functions that the module
//! registered for it.
#![expect(unsafe_code, reason = "calls the functions of a module's type")]

use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use mortise_module_abi as abi;

use super::crash;
use super::handle::ModString;
use super::host::Module;
use crate::base::moving::Mover;
use crate::keyspace::table::segment::prefetch;
use crate::object::module::{DigestSink, KeyName, KeyNames, TypeVtable};
use crate::object::rdb::write::Style;

/// A registered type.
pub struct NativeType {
    /// Whose it is.
    pub module: Arc<Module>,
    /// The nine-character name.
    pub name: String,
    /// Name and encoding version in 64 bits.
    pub id: u64,
    /// The module's functions; those that its version does not have are None.
    pub methods: abi::TypeMethods,
    /// Its function that asks for the memory of a value, if it has told one.
    pub fetch: OnceLock<unsafe extern "C" fn(*const c_void)>,
}

impl std::fmt::Debug for NativeType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeType").field("name", &self.name).finish_non_exhaustive()
    }
}

// SAFETY: the table holds function pointers and numbers, which no thread owns.
unsafe impl Send for NativeType {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for NativeType {}

/// Packs a type's name and encoding version into 64 bits, as RDB has them: nine digits of six bits,
/// then ten bits. None if the name is not nine of `A-Z a-z 0-9 - _` or the version is out of range.
pub fn type_id(name: &str, encver: i32) -> Option<u64> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if name.len() != 9 || !(0..=1023).contains(&encver) {
        return None;
    }
    let mut id = 0u64;
    for byte in name.bytes() {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        id = id << 6 | digit as u64;
    }
    Some(id << 10 | encver as u64)
}

/// What callbacks learn of the keys they are about; the target of `KeyOptCtx` handles.
#[derive(Debug)]
pub struct KeyOptions {
    /// The key, or the one copied from.
    pub from: *mut abi::ModuleString,
    /// The key copied to.
    pub to: *mut abi::ModuleString,
    /// The db of `from`, -1 if unknown.
    pub from_db: i32,
    /// The db of `to`, -1 if unknown.
    pub to_db: i32,
}

impl KeyOptions {
    fn with<R>(
        from: KeyName<'_>,
        to: Option<KeyName<'_>>,
        f: impl FnOnce(&mut KeyOptions) -> R,
    ) -> R {
        let make = |key: Option<&[u8]>| {
            key.map_or(std::ptr::null_mut(), |key| ModString::handle(ModString::create(key)))
        };
        let mut options = KeyOptions {
            from: make(from.name),
            to: make(to.and_then(|to| to.name)),
            from_db: from.db,
            to_db: to.map_or(-1, |to| to.db),
        };
        let result = f(&mut options);
        for string in [options.from, options.to] {
            // SAFETY: null, or made above with one reference, given up here.
            unsafe { ModString::release(string) };
        }
        result
    }

    fn handle(&mut self) -> *mut abi::KeyOptCtx {
        std::ptr::from_mut(self).cast()
    }
}

/// The parts of a digest on their way out; the target of `Digest` handles.
pub struct DigestWriter<'a> {
    /// Where they go.
    pub sink: &'a mut dyn DigestSink,
    /// The key the value stands at.
    pub key: *mut abi::ModuleString,
    /// Its db.
    pub db: i32,
}

fn pointer(value: usize) -> *mut c_void {
    value as *mut c_void
}

impl TypeVtable for NativeType {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn changes_seen(&self) -> bool {
        let options = self.module.options.load(Ordering::Relaxed);
        options & abi::OPTIONS_SNAPSHOT_SAFE != 0
    }

    fn fetch(&self, value: usize) {
        prefetch(pointer(value).cast());
    }

    fn fetch_inside(&self, value: usize) {
        if let Some(fetch) = self.fetch.get().filter(|_| value != 0) {
            // SAFETY: the value is alive and of this type; the caller holds the server's lock.
            unsafe { fetch(pointer(value)) };
        }
    }

    fn free(&self, value: usize) {
        let _note = crash::note(&self.module, "type callback free");
        if let Some(free) = self.methods.free {
            // SAFETY: the value was made by this type's module, is freed once, and modules with types
            // cannot be unloaded.
            unsafe { free(pointer(value)) };
        }
    }

    fn save(&self, key: KeyName<'_>, value: usize, style: Style) -> Option<Vec<u8>> {
        let _note = crash::note(&self.module, "type callback rdb_save");
        self.save_value(key, value, style)
    }

    fn load(&self, key: KeyName<'_>, items: &[u8], version: i32) -> Option<(usize, usize)> {
        let _note = crash::note(&self.module, "type callback rdb_load");
        self.load_value(key, items, version)
    }

    fn rewrite(&self, key: KeyName<'_>, value: usize) -> Option<Vec<Vec<Vec<u8>>>> {
        let _note = crash::note(&self.module, "type callback aof_rewrite");
        self.rewrite_value(key, value)
    }

    fn copy(&self, names: KeyNames<'_>, value: usize) -> Option<usize> {
        let _note = crash::note(&self.module, "type callback copy");
        let copy = KeyOptions::with(names.from, Some(names.to), |options| {
            if let Some(copy) = self.methods.copy2 {
                // SAFETY: the value is alive and of this type; the options live during the call.
                unsafe { copy(options.handle(), pointer(value)) }
            } else if let Some(copy) = self.methods.copy {
                // SAFETY: as above; the strings are those of the options.
                unsafe { copy(options.from, options.to, pointer(value)) }
            } else {
                std::ptr::null_mut()
            }
        });
        (!copy.is_null()).then_some(copy as usize)
    }

    fn is_copied(&self) -> bool {
        self.methods.copy.is_some() || self.methods.copy2.is_some()
    }

    fn memory_bytes(&self, key: KeyName<'_>, value: usize, samples: usize) -> Option<usize> {
        let _note = crash::note(&self.module, "type callback mem_usage");
        if let Some(usage) = self.methods.mem_usage2 {
            return Some(KeyOptions::with(key, None, |options| {
                // SAFETY: the value is alive and of this type; the options live during the call.
                unsafe { usage(options.handle(), pointer(value), samples) }
            }));
        }
        let usage = self.methods.mem_usage?;
        // SAFETY: the value is alive and of this type.
        Some(unsafe { usage(pointer(value)) })
    }

    fn free_effort(&self, key: KeyName<'_>, value: usize) -> usize {
        let _note = crash::note(&self.module, "type callback free_effort");
        KeyOptions::with(key, None, |options| {
            if let Some(effort) = self.methods.free_effort2 {
                // SAFETY: the value is alive and of this type; the options live during the call.
                unsafe { effort(options.handle(), pointer(value)) }
            } else if let Some(effort) = self.methods.free_effort {
                // SAFETY: as above.
                unsafe { effort(options.from, pointer(value)) }
            } else {
                1
            }
        })
    }

    fn digest(&self, key: KeyName<'_>, value: usize, sink: &mut dyn DigestSink) {
        let _note = crash::note(&self.module, "type callback digest");
        let Some(digest) = self.methods.digest else { return };
        KeyOptions::with(key, None, |options| {
            let mut writer = DigestWriter { sink, key: options.from, db: options.from_db };
            // SAFETY: the value is alive and of this type; the writer lives during the call.
            unsafe { digest(std::ptr::from_mut(&mut writer).cast(), pointer(value)) };
        });
    }

    fn move_blocks(
        &self,
        key: KeyName<'_>,
        value: usize,
        from: Option<u64>,
        mover: &mut Mover<'_>,
    ) -> (usize, Option<u64>) {
        self.defragment(key, value, from, mover)
    }

    fn unlink(&self, key: KeyName<'_>, value: usize) {
        let _note = crash::note(&self.module, "type callback unlink");
        KeyOptions::with(key, None, |options| {
            if let Some(unlink) = self.methods.unlink2 {
                // SAFETY: the value is alive and of this type; the options live during the call.
                unsafe { unlink(options.handle(), pointer(value)) };
            } else if let Some(unlink) = self.methods.unlink {
                // SAFETY: as above.
                unsafe { unlink(options.from, pointer(value)) };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_ids_are_those_of_rdb_files() {
        assert_eq!(type_id("AAAAAAAAA", 0), Some(0));
        assert_eq!(type_id("AAAAAAAAB", 3), Some(1 << 10 | 3));
        assert_eq!(type_id("B_AAAAAAA", 0), Some((1 << 6 | 63) << 42 << 10));
        assert_eq!(type_id("short", 0), None);
        assert_eq!(type_id("ReJSON-RL", 1024), None);
        assert_eq!(type_id("ReJSON RL", 1), None);
    }
}
