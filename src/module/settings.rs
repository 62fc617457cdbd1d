//! Which parameters have modules registered, and how are they read and set?
//!
//! The value lives in the module: it is read and written by the module's own functions, which run under
//! the exclusive lock and while no lock of the host is held. A name is `module.parameter`, in lower case,
//! unless the module asked for it to stand alone.
#![expect(unsafe_code, reason = "calls the functions of a module's parameter")]

use std::ffi::{CString, c_int, c_longlong, c_uint};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mortise_module_abi as abi;

use super::crash;
use super::handle::{ModString, ModuleCtx};
use super::host::{Foreign, Module, host};
use crate::base::glob::{Case, glob_match};
use crate::base::number::{format_memory, parse_i64, parse_memory};
use crate::base::quoting::append_quoted;
use crate::config::rewrite::Extra;
use crate::config::{ConfigError, SetContext};
use crate::engine::ctx::ExclusiveCtx;

/// A parameter of a module.
#[derive(Debug)]
pub struct Setting {
    /// Whose it is.
    pub module: Arc<Module>,
    /// The name that administrators use.
    pub name: String,
    /// The name that its functions get.
    pub own_name: CString,
    /// `CONFIG_*` flags.
    pub flags: c_uint,
    /// What it holds, and how to get at it.
    pub kind: Kind,
    /// Called once after a change of it and of others with the same function and data.
    pub apply: abi::ConfigApplyFunc,
    /// What its functions get.
    pub data: Foreign,
}

// SAFETY: the function pointers and the data belong to the module and are used under the exclusive lock.
unsafe impl Send for Setting {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Setting {}

/// What a parameter holds.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are those of the functions that register parameters")]
pub enum Kind {
    /// `yes` or `no`.
    Bool { default: bool, get: abi::ConfigGetBoolFunc, set: abi::ConfigSetBoolFunc },
    /// A number within bounds.
    Number {
        default: i64,
        min: i64,
        max: i64,
        get: abi::ConfigGetNumericFunc,
        set: abi::ConfigSetNumericFunc,
    },
    /// A text.
    Text { default: Option<Vec<u8>>, get: abi::ConfigGetStringFunc, set: abi::ConfigSetStringFunc },
    /// One of several words, or some of them.
    Choice {
        default: c_int,
        words: Vec<(String, c_int)>,
        get: abi::ConfigGetEnumFunc,
        set: abi::ConfigSetEnumFunc,
    },
}

/// A value on its way between text and module.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Number(i64),
    Text(Option<Vec<u8>>),
}

impl Kind {
    fn default(&self) -> Value {
        match self {
            Kind::Bool { default, .. } => Value::Number(i64::from(*default)),
            Kind::Number { default, .. } => Value::Number(*default),
            Kind::Choice { default, .. } => Value::Number(i64::from(*default)),
            Kind::Text { default, .. } => Value::Text(default.clone()),
        }
    }

    fn parse(&self, flags: c_uint, text: &[u8]) -> Result<Value, String> {
        match self {
            Kind::Bool { .. } if text.eq_ignore_ascii_case(b"yes") => Ok(Value::Number(1)),
            Kind::Bool { .. } if text.eq_ignore_ascii_case(b"no") => Ok(Value::Number(0)),
            Kind::Bool { .. } => Err("argument must be 'yes' or 'no'".into()),
            Kind::Number { min, max, .. } => {
                let number = if flags & abi::CONFIG_MEMORY != 0 {
                    parse_memory(text)
                        .and_then(|bytes| i64::try_from(bytes).ok())
                        .ok_or("argument must be a memory value")?
                } else {
                    parse_i64(text).ok_or("argument couldn't be parsed into an integer")?
                };
                if !(*min..=*max).contains(&number) {
                    return Err(format!("argument must be between {min} and {max} inclusive"));
                }
                Ok(Value::Number(number))
            }
            Kind::Choice { words, .. } => {
                let several = flags & abi::CONFIG_BITFLAGS != 0;
                parse_words(words, several, text).map(|bits| Value::Number(i64::from(bits)))
            }
            Kind::Text { .. } => Ok(Value::Text(Some(text.to_vec()))),
        }
    }

    fn show(&self, value: &Value) -> Vec<u8> {
        match (self, value) {
            (Kind::Bool { .. }, Value::Number(number)) => {
                (if *number != 0 { "yes" } else { "no" }).into()
            }
            (Kind::Choice { words, .. }, Value::Number(number)) => show_words(words, *number),
            (_, Value::Number(number)) => number.to_string().into_bytes(),
            (_, Value::Text(text)) => text.clone().unwrap_or_default(),
        }
    }
}

fn parse_words(words: &[(String, c_int)], several: bool, text: &[u8]) -> Result<c_int, String> {
    let find = |word: &[u8]| {
        words.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word)).map(|w| w.1)
    };
    let parts: Vec<&[u8]> =
        text.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty()).collect();
    let found = match parts.as_slice() {
        [one] => find(one),
        [] => None,
        many if several => many.iter().try_fold(0, |bits, part| Some(bits | find(part)?)),
        _ => None,
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
        format!("argument(s) must be one of the following: {}", known.join(", "))
    })
}

fn show_words(words: &[(String, c_int)], number: i64) -> Vec<u8> {
    if let Some((word, _)) = words.iter().find(|(_, known)| i64::from(*known) == number) {
        return word.clone().into_bytes();
    }
    // A word counts if it says something that those before it have not said.
    let mut rest = number;
    let mut said = Vec::new();
    for (word, bits) in words {
        let bits = i64::from(*bits);
        if bits != 0 && bits & rest == bits {
            said.push(word.as_str());
            rest &= !bits;
        }
    }
    said.join(" ").into_bytes()
}

impl Setting {
    /// The value now, as the module has it.
    fn value(&self) -> Value {
        let _note = crash::note(&self.module, "config getter");
        let (name, data) = (self.own_name.as_ptr(), self.data.0);
        match &self.kind {
            Kind::Bool { get: Some(get), .. } => {
                // SAFETY: the module is alive; the name lives during the call.
                Value::Number(i64::from(unsafe { get(name, data) } != 0))
            }
            // SAFETY: as above.
            Kind::Number { get: Some(get), .. } => Value::Number(unsafe { get(name, data) }),
            Kind::Choice { get: Some(get), .. } => {
                // SAFETY: as above.
                Value::Number(i64::from(unsafe { get(name, data) }))
            }
            Kind::Text { get: Some(get), .. } => {
                // SAFETY: as above.
                let string = unsafe { get(name, data) };
                // SAFETY: null or a live string, which the module keeps.
                let bytes = unsafe { ModString::borrow(string) };
                Value::Text(bytes.map(|bytes| bytes.as_bytes().to_vec()))
            }
            kind => kind.default(),
        }
    }

    /// Hands a value to the module, which may refuse it.
    fn store(&self, value: &Value) -> Result<(), String> {
        let _note = crash::note(&self.module, "config setter");
        let (name, data) = (self.own_name.as_ptr(), self.data.0);
        let mut error: *mut abi::ModuleString = std::ptr::null_mut();
        let code = match (&self.kind, value) {
            (Kind::Bool { set: Some(set), .. }, Value::Number(number)) => {
                // SAFETY: the module is alive; name and variable live during the call.
                unsafe { set(name, *number as c_int, data, &raw mut error) }
            }
            (Kind::Number { set: Some(set), .. }, Value::Number(number)) => {
                // SAFETY: as above.
                unsafe { set(name, *number as c_longlong, data, &raw mut error) }
            }
            (Kind::Choice { set: Some(set), .. }, Value::Number(number)) => {
                // SAFETY: as above.
                unsafe { set(name, *number as c_int, data, &raw mut error) }
            }
            (Kind::Text { set: Some(set), .. }, Value::Text(text)) => {
                let string = text.as_deref().map(ModString::create);
                let string = string.map_or(std::ptr::null_mut(), ModString::handle);
                // SAFETY: as above; the string too, of which the module may keep a reference.
                let code = unsafe { set(name, string, data, &raw mut error) };
                // SAFETY: our reference is given up.
                unsafe { ModString::release(string) };
                code
            }
            _ => abi::OK,
        };
        finish(code, error)
    }

    /// The text that CONFIG GET shows.
    pub fn show(&self) -> Vec<u8> {
        self.kind.show(&self.value())
    }

    fn has(&self, flag: c_uint) -> bool {
        self.flags & flag != 0
    }
}

/// The outcome of a function of the module, with the error that it may have left.
fn finish(code: c_int, error: *mut abi::ModuleString) -> Result<(), String> {
    // SAFETY: null, or a string whose reference the module hands over.
    let text = unsafe { ModString::borrow(error) }
        .map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
    // SAFETY: as above.
    unsafe { ModString::release(error) };
    if code == abi::ERR { Err(text.unwrap_or_default()) } else { Ok(()) }
}

/// Tells the module once per function and data that its parameters are in place.
fn apply(ctx: &mut ExclusiveCtx<'_>, changed: &[Arc<Setting>]) -> Result<(), ConfigError> {
    let mut done: Vec<(usize, usize)> = Vec::new();
    for setting in changed {
        let Some(function) = setting.apply else { continue };
        let key = (function as usize, setting.data.0 as usize);
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        let mut error: *mut abi::ModuleString = std::ptr::null_mut();
        crash::next_is("config apply");
        let code = ModuleCtx::with(
            &setting.module,
            ctx,
            None,
            |_| {},
            |handle| {
                // SAFETY: the module is alive; context and variable live during the call.
                unsafe { function(handle, setting.data.0, &raw mut error) }
            },
        );
        finish(code, error).map_err(|message| failed(setting, message))?;
    }
    Ok(())
}

fn failed(setting: &Setting, message: impl Into<String>) -> ConfigError {
    ConfigError::Failed { name: setting.name.clone().into_bytes(), message: message.into() }
}

/// The parameter of this name, whatever its case.
fn find(name: &[u8]) -> Option<Arc<Setting>> {
    let records = host().records.lock();
    records.settings.iter().find(|one| one.name.as_bytes().eq_ignore_ascii_case(name)).cloned()
}

/// The parameters of a module.
fn of(module: &Arc<Module>) -> Vec<Arc<Setting>> {
    let records = host().records.lock();
    records.settings.iter().filter(|one| Arc::ptr_eq(&one.module, module)).cloned().collect()
}

/// Whether a module has parameters that it did not have loaded.
pub fn are_unloaded(module: &Arc<Module>) -> bool {
    !module.configured.load(Ordering::Acquire) && !of(module).is_empty()
}

/// Gives the parameters of a module their defaults. What the administrator set is still to come ([`load`]).
pub fn load_defaults(module: &Arc<Module>) -> Result<(), FirstValue> {
    for setting in of(module) {
        let stored = setting.store(&setting.kind.default());
        stored.map_err(|message| FirstValue::Default { name: setting.name.clone(), message })?;
    }
    Ok(())
}

/// Why a parameter did not get its first value.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each variant says what it means")]
pub enum FirstValue {
    #[error("Issue during loading of configuration {name} : {message}")]
    Given { name: String, message: String },
    #[error("Issue attempting to set default value of configuration {name} : {message}")]
    Default { name: String, message: String },
    #[error("{0}")]
    Apply(ConfigError),
}

/// Gives the parameters of a module their first values: those that the administrator set, else the
/// defaults.
pub fn load(ctx: &mut ExclusiveCtx<'_>, module: &Arc<Module>) -> Result<(), FirstValue> {
    let settings = of(module);
    for setting in &settings {
        let name = setting.name.as_bytes().to_ascii_lowercase();
        let given = host().given.lock().remove(&name);
        let name = setting.name.clone();
        match given {
            None => setting
                .store(&setting.kind.default())
                .map_err(|message| FirstValue::Default { name, message })?,
            Some(text) => {
                let value = setting.kind.parse(setting.flags, &text);
                let stored = value.and_then(|value| setting.store(&value));
                stored.map_err(|message| FirstValue::Given { name, message })?;
            }
        }
    }
    apply(ctx, &settings).map_err(FirstValue::Apply)?;
    module.configured.store(true, Ordering::Release);
    Ok(())
}

/// Names and values of all parameters of modules that match one of the patterns.
pub fn matching(patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let settings: Vec<Arc<Setting>> = host().records.lock().settings.clone();
    let matches = |setting: &Setting| {
        patterns.iter().any(|pattern| {
            let is_plain = !pattern.iter().any(|b| matches!(b, b'[' | b'*' | b'?'));
            let name = setting.name.as_bytes();
            if is_plain {
                return name.eq_ignore_ascii_case(pattern);
            }
            !setting.has(abi::CONFIG_HIDDEN) && glob_match(pattern, name, Case::Insensitive)
        })
    };
    settings
        .iter()
        .filter(|setting| matches(setting))
        .map(|setting| (setting.name.clone().into_bytes(), setting.show()))
        .collect()
}

/// The type of a module's parameter, as `CONFIG_TYPE_*`.
pub fn type_of(name: &[u8]) -> Option<c_int> {
    find(name).map(|setting| match setting.kind {
        Kind::Bool { .. } => abi::CONFIG_TYPE_BOOL,
        Kind::Number { .. } => abi::CONFIG_TYPE_NUMERIC,
        Kind::Text { .. } => abi::CONFIG_TYPE_STRING,
        Kind::Choice { .. } => abi::CONFIG_TYPE_ENUM,
    })
}

/// The value of a module's parameter, as CONFIG GET shows it.
pub fn show(name: &[u8]) -> Option<Vec<u8>> {
    find(name).map(|setting| setting.show())
}

/// What CONFIG REWRITE writes of the parameters of modules.
pub fn extras() -> Vec<Extra> {
    let settings: Vec<Arc<Setting>> = host().records.lock().settings.clone();
    let extra = |setting: &Arc<Setting>| {
        let value = setting.value();
        let mut line = [setting.name.as_bytes(), b" "].concat();
        match (&setting.kind, &value) {
            (Kind::Text { .. }, _) => append_quoted(&mut line, &setting.show()),
            (Kind::Number { .. }, Value::Number(bytes)) if setting.has(abi::CONFIG_MEMORY) => {
                line.extend_from_slice(format_memory(*bytes as u64).as_bytes());
            }
            _ => line.extend_from_slice(&setting.show()),
        }
        let name = setting.name.to_ascii_lowercase();
        Extra { name, lines: vec![line], force: value != setting.kind.default() }
    };
    settings.iter().map(extra).collect()
}

/// Whether a module has registered a parameter of this name.
pub fn is_known(name: &[u8]) -> bool {
    find(name).is_some()
}

/// What [`set_many`] did, for taking it back.
#[derive(Debug, Default)]
pub struct Changes {
    previous: Vec<(Arc<Setting>, Value)>,
}

/// CONFIG SET for parameters of modules: sets all of the pairs or none.
pub fn set_many(
    ctx: &mut ExclusiveCtx<'_>,
    pairs: &[(&[u8], &[u8])],
    context: SetContext,
) -> Result<Changes, ConfigError> {
    let mut chosen: Vec<(Arc<Setting>, &[u8])> = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        let setting = find(name).ok_or_else(|| ConfigError::UnknownOption(name.to_vec()))?;
        if setting.has(abi::CONFIG_IMMUTABLE) {
            return Err(failed(&setting, "can't set immutable config"));
        }
        if setting.has(abi::CONFIG_PROTECTED) && !context.protected_allowed {
            return Err(failed(&setting, "can't set protected config"));
        }
        if setting.has(abi::CONFIG_DENY_LOADING) && context.loading {
            return Err(ConfigError::Loading);
        }
        if chosen.iter().any(|(other, _)| Arc::ptr_eq(other, &setting)) {
            return Err(failed(&setting, "duplicate parameter"));
        }
        chosen.push((setting, value));
    }
    let mut changes = Changes::default();
    for (setting, text) in chosen {
        let before = setting.value();
        let stored = setting.kind.parse(setting.flags, text).and_then(|value| {
            if value == before {
                return Ok(false);
            }
            setting.store(&value).map(|()| true)
        });
        match stored {
            Ok(false) => {}
            Ok(true) => changes.previous.push((setting, before)),
            Err(message) => {
                let error = failed(&setting, message);
                revert(changes);
                return Err(error);
            }
        }
    }
    let changed: Vec<Arc<Setting>> =
        changes.previous.iter().map(|(setting, _)| Arc::clone(setting)).collect();
    if let Err(error) = apply(ctx, &changed) {
        revert(changes);
        let _ = apply(ctx, &changed);
        return Err(error);
    }
    Ok(changes)
}

/// Takes back what [`set_many`] did.
pub fn revert(changes: Changes) {
    for (setting, before) in changes.previous.into_iter().rev() {
        if let Err(error) = setting.store(&before) {
            tracing::warn!(
                "module {} refuses the former value of {}: {error}",
                setting.module.name,
                setting.name
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(flags: c_uint, text: &[u8]) -> Result<Value, String> {
        Kind::Number { default: 1, min: -5, max: 2048, get: None, set: None }.parse(flags, text)
    }

    #[test]
    fn numbers_have_bounds_and_perhaps_a_unit() {
        assert_eq!(number(0, b"-5"), Ok(Value::Number(-5)));
        assert_eq!(
            number(0, b"2049").unwrap_err(),
            "argument must be between -5 and 2048 inclusive"
        );
        assert_eq!(number(0, b"1kb").unwrap_err(), "argument couldn't be parsed into an integer");
        assert_eq!(number(abi::CONFIG_MEMORY, b"1kb"), Ok(Value::Number(1024)));
        assert_eq!(
            number(abi::CONFIG_MEMORY, b"x").unwrap_err(),
            "argument must be a memory value"
        );
    }

    #[test]
    fn choices_are_words_or_bits() {
        let words = vec![("one".to_owned(), 1), ("two".to_owned(), 2), ("none".to_owned(), 0)];
        assert_eq!(parse_words(&words, false, b"TWO"), Ok(2));
        assert_eq!(parse_words(&words, true, b"one two"), Ok(3));
        let error = parse_words(&words, false, b"one two").unwrap_err();
        assert_eq!(error, "argument(s) must be one of the following: one, two, none");
        assert!(parse_words(&words, true, b"").is_err());
        assert_eq!(show_words(&words, 0), b"none");
        assert_eq!(show_words(&words, 3), b"one two");
        let words = ["none", "five", "one", "two", "four"].map(str::to_owned);
        let words: Vec<(String, c_int)> = words.into_iter().zip([0, 5, 1, 2, 4]).collect();
        assert_eq!(show_words(&words, 7), b"five two");
        assert_eq!(show_words(&words, 6), b"two four");
        assert_eq!(show_words(&words, 5), b"five");
    }
}
