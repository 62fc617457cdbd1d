//! How do configuration parameters, INFO sections and the data of server events look in C?

use std::ffi::{c_char, c_int, c_longlong, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use mortise_module_abi as abi;

use super::context::{Ctx, ok};
use super::strings::{Arg, OwnedString};
use super::{bound, boundary, c_string, need};
use crate::config::{BoolConfig, ConfigFlags, EnumConfig, IntConfig, StringConfig};
use crate::error::Error;
use crate::events::{Phase, Saving, ServerEvent};

/// What all kinds of parameters are registered with.
pub(crate) struct ConfigRegistration {
    pub(crate) name: &'static str,
    pub(crate) flags: ConfigFlags,
}

/// The string that a getter lent to the server last; freed when the next one is made.
pub struct LentString(AtomicPtr<abi::ModuleString>);

impl LentString {
    pub(crate) const fn new() -> LentString {
        LentString(AtomicPtr::new(ptr::null_mut()))
    }

    fn lend(&self, bytes: &[u8]) -> *mut abi::ModuleString {
        let string = OwnedString::new(bytes).into_ptr();
        let last = self.0.swap(string, Ordering::AcqRel);
        // SAFETY: the last string was ours, and the server is done with it when it asks again.
        drop(unsafe { OwnedString::from_ptr(last) });
        string
    }
}

impl Ctx<'_> {
    pub(crate) fn register_bool(
        self,
        registration: &ConfigRegistration,
        config: &'static BoolConfig,
    ) -> Result<(), Error> {
        let register = need!(RegisterBoolConfig);
        let name = c_string(registration.name);
        let data = ptr::from_ref(config).cast_mut().cast();
        // SAFETY: the context is live; the server copies the name and hands `data`, which is
        // static, only to the two callbacks, which read it as what it is.
        let status = unsafe {
            register(
                self.ptr(),
                name.as_ptr(),
                config.default.into(),
                registration.flags.bits(),
                Some(get_bool),
                Some(set_bool),
                None,
                data,
            )
        };
        ok(status, "RegisterBoolConfig")
    }

    pub(crate) fn register_int(
        self,
        registration: &ConfigRegistration,
        config: &'static IntConfig,
    ) -> Result<(), Error> {
        let register = need!(RegisterNumericConfig);
        let name = c_string(registration.name);
        let data = ptr::from_ref(config).cast_mut().cast();
        // SAFETY: as in `register_bool`.
        let status = unsafe {
            register(
                self.ptr(),
                name.as_ptr(),
                config.default,
                registration.flags.bits(),
                config.min,
                config.max,
                Some(get_int),
                Some(set_int),
                None,
                data,
            )
        };
        ok(status, "RegisterNumericConfig")
    }

    pub(crate) fn register_string(
        self,
        registration: &ConfigRegistration,
        config: &'static StringConfig,
    ) -> Result<(), Error> {
        let register = need!(RegisterStringConfig);
        let (name, default) = (c_string(registration.name), c_string(config.default));
        let data = ptr::from_ref(config).cast_mut().cast();
        // SAFETY: as in `register_bool`; the server copies the default too.
        let status = unsafe {
            register(
                self.ptr(),
                name.as_ptr(),
                default.as_ptr(),
                registration.flags.bits(),
                Some(get_string),
                Some(set_string),
                None,
                data,
            )
        };
        ok(status, "RegisterStringConfig")
    }

    pub(crate) fn register_enum(
        self,
        registration: &ConfigRegistration,
        config: &'static EnumConfig,
    ) -> Result<(), Error> {
        let register = need!(RegisterEnumConfig);
        let name = c_string(registration.name);
        let names: Vec<_> = config.values.iter().map(|(name, _)| c_string(name)).collect();
        let mut name_ptrs: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let numbers: Vec<c_int> = config.values.iter().map(|(_, number)| *number).collect();
        let count = c_int::try_from(numbers.len()).map_err(|_| Error::new("too many values"))?;
        let data = ptr::from_ref(config).cast_mut().cast();
        // SAFETY: as in `register_bool`; the server copies the values too.
        let status = unsafe {
            register(
                self.ptr(),
                name.as_ptr(),
                config.default,
                registration.flags.bits(),
                name_ptrs.as_mut_ptr(),
                numbers.as_ptr(),
                count,
                Some(get_enum),
                Some(set_enum),
                None,
                data,
            )
        };
        ok(status, "RegisterEnumConfig")
    }

    /// Sets the registered parameters to what the server's configuration says.
    pub(crate) fn load_configs(self) -> Result<(), Error> {
        let load = need!(LoadConfigs);
        // SAFETY: the context is live.
        ok(unsafe { load(self.ptr()) }, "LoadConfigs")
    }

    pub(crate) fn register_info(self) -> Result<(), Error> {
        let register = need!(RegisterInfoFunc);
        // SAFETY: the context is live.
        ok(unsafe { register(self.ptr(), Some(info_entry)) }, "RegisterInfoFunc")
    }
}

/// Reads a callback's data as the parameter it was registered with.
///
/// # Safety
/// `data` is what a `register_` function above passed for a parameter of type `T`.
unsafe fn config<T>(data: *mut c_void) -> &'static T {
    // SAFETY: by the caller; parameters are static.
    unsafe { &*data.cast_const().cast::<T>() }
}

/// Reports the outcome of a setter.
///
/// # Safety
/// `error` is NULL or a place for a string that the server takes over.
unsafe fn outcome(
    result: Result<Result<(), Error>, String>,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    let text = match result {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(problem)) => problem.to_string(),
        Err(panic) => panic,
    };
    if !error.is_null() {
        let text = text.strip_prefix("ERR ").unwrap_or(&text);
        // SAFETY: by the caller.
        unsafe { *error = OwnedString::new(text.as_bytes()).into_ptr() };
    }
    abi::ERR
}

unsafe extern "C" fn get_bool(_name: *const c_char, data: *mut c_void) -> c_int {
    // SAFETY: registered with a `BoolConfig`.
    unsafe { config::<BoolConfig>(data) }.get().into()
}

unsafe extern "C" fn set_bool(
    _name: *const c_char,
    value: c_int,
    data: *mut c_void,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: registered with a `BoolConfig`; `error` is the server's.
    unsafe { outcome(boundary(|| config::<BoolConfig>(data).set(value != 0)), error) }
}

unsafe extern "C" fn get_int(_name: *const c_char, data: *mut c_void) -> c_longlong {
    // SAFETY: registered with an `IntConfig`.
    unsafe { config::<IntConfig>(data) }.get()
}

unsafe extern "C" fn set_int(
    _name: *const c_char,
    value: c_longlong,
    data: *mut c_void,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: registered with an `IntConfig`; `error` is the server's.
    unsafe { outcome(boundary(|| config::<IntConfig>(data).set(value)), error) }
}

unsafe extern "C" fn get_enum(_name: *const c_char, data: *mut c_void) -> c_int {
    // SAFETY: registered with an `EnumConfig`.
    unsafe { config::<EnumConfig>(data) }.get()
}

unsafe extern "C" fn set_enum(
    _name: *const c_char,
    value: c_int,
    data: *mut c_void,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: registered with an `EnumConfig`; `error` is the server's.
    unsafe { outcome(boundary(|| config::<EnumConfig>(data).set(value)), error) }
}

unsafe extern "C" fn get_string(_name: *const c_char, data: *mut c_void) -> *mut abi::ModuleString {
    // SAFETY: registered with a `StringConfig`.
    let config = unsafe { config::<StringConfig>(data) };
    boundary(|| config.lent.lend(config.get().as_bytes())).unwrap_or(ptr::null_mut())
}

unsafe extern "C" fn set_string(
    _name: *const c_char,
    value: *mut abi::ModuleString,
    data: *mut c_void,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: the server lends the value during this call.
    let Some(value) = (unsafe { Arg::from_ptr(value) }) else { return abi::ERR };
    // SAFETY: registered with a `StringConfig`; `error` is the server's.
    unsafe { outcome(boundary(|| config::<StringConfig>(data).set(value.to_str()?)), error) }
}

/// An INFO text under construction, live during the callback that got it.
pub struct Info<'i> {
    info: NonNull<abi::InfoCtx>,
    lender: PhantomData<&'i abi::InfoCtx>,
}

unsafe extern "C" fn info_entry(info: *mut abi::InfoCtx, for_crash_report: c_int) {
    // SAFETY: the server's context is live during this call.
    if let Some(info) = NonNull::new(info) {
        let info = Info { info, lender: PhantomData };
        boundary(|| crate::dispatch::info(info, for_crash_report != 0)).ok();
    }
}

impl Info<'_> {
    /// True if the section is wanted: fields that follow are then part of it.
    pub(crate) fn section(&mut self, name: &str) -> Result<bool, Error> {
        let add = need!(InfoAddSection);
        let name = c_string(name);
        // SAFETY: both are live; the server copies the name.
        Ok(unsafe { add(self.info.as_ptr(), name.as_ptr()) } == abi::OK)
    }

    pub(crate) fn field_text(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let add = need!(InfoAddFieldCString);
        let (name, value) = (c_string(name), c_string(value));
        // SAFETY: all are live; the server copies them. ERR means that the section is not wanted.
        unsafe { add(self.info.as_ptr(), name.as_ptr(), value.as_ptr()) };
        Ok(())
    }

    pub(crate) fn field_i64(&mut self, name: &str, value: i64) -> Result<(), Error> {
        let add = need!(InfoAddFieldLongLong);
        let name = c_string(name);
        // SAFETY: as above.
        unsafe { add(self.info.as_ptr(), name.as_ptr(), value) };
        Ok(())
    }

    pub(crate) fn field_u64(&mut self, name: &str, value: u64) -> Result<(), Error> {
        let add = need!(InfoAddFieldULongLong);
        let name = c_string(name);
        // SAFETY: as above.
        unsafe { add(self.info.as_ptr(), name.as_ptr(), value) };
        Ok(())
    }

    pub(crate) fn field_f64(&mut self, name: &str, value: f64) -> Result<(), Error> {
        let add = need!(InfoAddFieldDouble);
        let name = c_string(name);
        // SAFETY: as above.
        unsafe { add(self.info.as_ptr(), name.as_ptr(), value) };
        Ok(())
    }

    pub(crate) fn begin_dict(&mut self, name: &str) -> Result<(), Error> {
        let begin = need!(InfoBeginDictField);
        let name = c_string(name);
        // SAFETY: as above.
        unsafe { begin(self.info.as_ptr(), name.as_ptr()) };
        Ok(())
    }

    pub(crate) fn end_dict(&mut self) -> Result<(), Error> {
        let end = need!(InfoEndDictField);
        // SAFETY: the context is live.
        unsafe { end(self.info.as_ptr()) };
        Ok(())
    }
}

/// A server event with its data. None: one that the module does not know.
///
/// # Safety
/// `data` is what the server passes with this event, live during `'a`.
pub(super) unsafe fn server_event<'a>(
    id: u64,
    subevent: u64,
    data: *const c_void,
) -> Option<ServerEvent<'a>> {
    macro_rules! data {
        ($type:ident) => {
            // SAFETY: the server passes this struct with this event, or NULL.
            unsafe { data.cast::<abi::$type>().as_ref() }?
        };
    }
    Some(match id {
        abi::EVENT_REPLICATION_ROLE_CHANGED => {
            ServerEvent::RoleChanged { primary: subevent == abi::EVENT_REPLROLECHANGED_NOW_MASTER }
        }
        abi::EVENT_PERSISTENCE => ServerEvent::Persistence(match subevent {
            abi::SUBEVENT_PERSISTENCE_RDB_START => Saving::Rdb,
            abi::SUBEVENT_PERSISTENCE_SYNC_RDB_START => Saving::RdbAtOnce,
            abi::SUBEVENT_PERSISTENCE_AOF_START => Saving::Aof,
            abi::SUBEVENT_PERSISTENCE_SYNC_AOF_START => Saving::AofAtOnce,
            abi::SUBEVENT_PERSISTENCE_ENDED => Saving::Ended,
            _ => Saving::Failed,
        }),
        abi::EVENT_FLUSHDB => {
            let info = data!(FlushInfo);
            let phase =
                if subevent == abi::SUBEVENT_FLUSHDB_START { Phase::Start } else { Phase::End };
            ServerEvent::FlushDb { phase, db: (info.dbnum >= 0).then_some(info.dbnum) }
        }
        abi::EVENT_LOADING => ServerEvent::Loading(match subevent {
            abi::SUBEVENT_LOADING_ENDED => Phase::End,
            abi::SUBEVENT_LOADING_FAILED => Phase::Failed,
            _ => Phase::Start,
        }),
        abi::EVENT_CLIENT_CHANGE => ServerEvent::ClientChange {
            id: data!(ClientInfo).id,
            connected: subevent == abi::SUBEVENT_CLIENT_CHANGE_CONNECTED,
        },
        abi::EVENT_SHUTDOWN => ServerEvent::Shutdown,
        abi::EVENT_CRON_LOOP => ServerEvent::CronLoop { hz: data!(CronLoop).hz },
        abi::EVENT_MODULE_CHANGE => {
            let change = data!(ModuleChange);
            ServerEvent::ModuleChange {
                // SAFETY: the name is a C string that lives as long as the data.
                name: unsafe { super::entry::text(change.module_name) },
                version: change.module_version,
                loaded: subevent == abi::SUBEVENT_MODULE_LOADED,
            }
        }
        abi::EVENT_SWAPDB => {
            let info = data!(SwapDbInfo);
            ServerEvent::SwapDb { first: info.dbnum_first, second: info.dbnum_second }
        }
        abi::EVENT_CONFIG => {
            let change = data!(ConfigChange);
            ServerEvent::ConfigChange {
                // SAFETY: the names are C strings that live as long as the data.
                names: unsafe { texts(change.config_names, change.num_changes) },
            }
        }
        _ => return None,
    })
}

/// A C array of C strings.
///
/// # Safety
/// `names` is NULL or points to `count` C strings that live during `'a`.
unsafe fn texts<'a>(names: *const *const c_char, count: u32) -> Vec<&'a str> {
    if names.is_null() {
        return Vec::new();
    }
    // SAFETY: by the caller.
    let names = unsafe { slice::from_raw_parts(names, count as usize) };
    // SAFETY: by the caller.
    names.iter().map(|name| unsafe { super::entry::text(*name) }).collect()
}

/// Whether the server has a function, for tests and diagnostics.
pub(crate) fn has_configs() -> bool {
    bound().api.RegisterBoolConfig.is_some() && bound().api.LoadConfigs.is_some()
}
