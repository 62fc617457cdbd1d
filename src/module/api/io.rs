//! Saving and loading values of module types: the streams that a type's callbacks write to, read from
//! and emit commands into.
//!
//! A stream lives on the host's stack for the time of one callback. Reading past what is there, or an
//! item of another type than the module asks for, marks the stream as broken: modules that said that
//! they handle such errors see nothing (null), the others an empty value that they cannot trip over,
//! and whatever they make of it is thrown away by [`NativeType::load_value`].
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mortise_module_abi as abi;

use super::super::encoding::{Reader, Writer};
use super::super::handle::{ModString, ModuleCtx, c_slice, c_text};
use super::super::host::Module;
use super::super::native::NativeType;
use super::call::{ShimArg, gather};
use crate::object::module::KeyName;
use crate::object::rdb::write::Style;

/// Commands that one value may be rewritten to. What a type emits is its own affair, but memory ends.
const REWRITE_COMMANDS_MAX: usize = 16 << 20;

/// What a stream does.
#[derive(Debug)]
enum Direction<'a> {
    Save(Writer),
    Load(Reader<'a>),
    Rewrite(Vec<Vec<Vec<u8>>>),
}

/// The target of `IO` handles.
pub struct Stream<'a> {
    direction: Direction<'a>,
    module: Arc<Module>,
    /// The type's name, for the log.
    type_name: String,
    key: *mut abi::ModuleString,
    db: c_int,
    failed: bool,
    /// Made when the module asks for it.
    ctx: Option<Box<ModuleCtx>>,
}

impl<'a> Stream<'a> {
    fn new(native: &NativeType, key: KeyName<'_>, direction: Direction<'a>) -> Self {
        let make = |key| ModString::handle(ModString::create(key));
        Self {
            direction,
            module: Arc::clone(&native.module),
            type_name: native.name.clone(),
            key: key.name.map_or(std::ptr::null_mut(), make),
            db: key.db,
            failed: false,
            ctx: None,
        }
    }

    fn handle(&mut self) -> *mut abi::IO {
        std::ptr::from_mut(self).cast()
    }

    /// The stream behind a handle; None for null.
    ///
    /// # Safety
    /// `io` is null or the handle that the module's callback got.
    unsafe fn borrow<'b>(io: *mut abi::IO) -> Option<&'b mut Stream<'b>> {
        // SAFETY: the caller promises it; the lifetime is shortened to that of the callback.
        unsafe { io.cast::<Stream<'b>>().as_mut() }
    }

    fn writer(&mut self) -> Option<&mut Writer> {
        match &mut self.direction {
            Direction::Save(writer) => Some(writer),
            Direction::Load(_) | Direction::Rewrite(_) => None,
        }
    }

    /// Reads an item, unless the stream is broken already; None breaks it.
    fn read<T>(&mut self, read: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Option<T> {
        if self.failed {
            return None;
        }
        let value = match &mut self.direction {
            Direction::Load(reader) => read(reader),
            Direction::Save(_) | Direction::Rewrite(_) => None,
        };
        if value.is_none() {
            self.failed = true;
            let at = match &self.direction {
                Direction::Load(reader) => reader.position(),
                Direction::Save(_) | Direction::Rewrite(_) => 0,
            };
            tracing::warn!(
                "module {} asked for what is not in a value of type {}, after {at} bytes of it",
                self.module.name,
                self.type_name
            );
        }
        value
    }

    fn handles_errors(&self) -> bool {
        self.module.options.load(Ordering::Relaxed) & abi::OPTIONS_HANDLE_IO_ERRORS != 0
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if let Some(ctx) = &mut self.ctx {
            ctx.finish();
        }
        // SAFETY: null, or made by `new` with one reference.
        unsafe { ModString::release(self.key) };
    }
}

impl NativeType {
    /// The items that stand for a value, without an end mark; None if the type cannot be saved.
    pub fn save_value(&self, key: KeyName<'_>, value: usize, style: Style) -> Option<Vec<u8>> {
        let save = self.methods.rdb_save?;
        let mut stream = Stream::new(self, key, Direction::Save(Writer::new(style)));
        let handle = stream.handle();
        // SAFETY: the value is alive and of this type; the stream lives during the call.
        unsafe { save(handle, value as *mut c_void) };
        match std::mem::replace(&mut stream.direction, Direction::Rewrite(Vec::new())) {
            Direction::Save(writer) if !stream.failed => Some(writer.into_bytes()),
            _ => None,
        }
    }

    /// Makes a value of items that a version of the type has saved. Says also how many bytes of them
    /// the type has read. None if they are not its.
    pub fn load_value(
        &self,
        key: KeyName<'_>,
        bytes: &[u8],
        encver: i32,
    ) -> Option<(usize, usize)> {
        let load = self.methods.rdb_load?;
        let mut stream = Stream::new(self, key, Direction::Load(Reader::new(bytes)));
        let handle = stream.handle();
        // SAFETY: the stream lives during the call.
        let value = unsafe { load(handle, encver) };
        if value.is_null() {
            return None;
        }
        match &stream.direction {
            Direction::Load(reader) if !stream.failed => Some((value as usize, reader.position())),
            _ => {
                // What it made of a broken stream is not the value that was saved.
                use crate::object::module::TypeVtable;
                self.free(value as usize);
                None
            }
        }
    }

    /// What the type keeps beside the keys, on the side of them that `when` says; None if that is
    /// nothing.
    pub fn save_data(&self, when: c_int) -> Option<Vec<u8>> {
        if self.methods.aux_save_triggers & when == 0 {
            return None;
        }
        let (save, may_be_empty) = match (self.methods.aux_save2, self.methods.aux_save) {
            (Some(save), _) => (save, false),
            (None, save) => (save?, true),
        };
        let mut stream = Stream::new(self, NO_KEY, Direction::Save(Writer::new(Style::default())));
        let handle = stream.handle();
        // SAFETY: the stream lives during the call.
        unsafe { save(handle, when) };
        match std::mem::replace(&mut stream.direction, Direction::Rewrite(Vec::new())) {
            Direction::Save(writer) => {
                Some(writer.into_bytes()).filter(|items| may_be_empty || !items.is_empty())
            }
            _ => None,
        }
    }

    /// Gives such data back; how many bytes of it the type has read. None if it refuses.
    pub fn load_data(&self, items: &[u8], when: c_int, encver: c_int) -> Option<usize> {
        let load = self.methods.aux_load?;
        let mut stream = Stream::new(self, NO_KEY, Direction::Load(Reader::new(items)));
        let handle = stream.handle();
        // SAFETY: the stream lives during the call.
        let outcome = unsafe { load(handle, encver, when) };
        match &stream.direction {
            Direction::Load(reader) if outcome == abi::OK && !stream.failed => {
                Some(reader.position())
            }
            _ => None,
        }
    }

    /// The commands that make a value anew; None if the type does not say.
    pub fn rewrite_value(&self, key: KeyName<'_>, value: usize) -> Option<Vec<Vec<Vec<u8>>>> {
        let rewrite = self.methods.aof_rewrite?;
        let mut stream = Stream::new(self, key, Direction::Rewrite(Vec::new()));
        let (name, handle) = (stream.key, stream.handle());
        // SAFETY: the value is alive and of this type; stream and name live during the call.
        unsafe { rewrite(handle, name, value as *mut c_void) };
        match std::mem::replace(&mut stream.direction, Direction::Rewrite(Vec::new())) {
            Direction::Rewrite(commands) if !stream.failed => Some(commands),
            _ => None,
        }
    }
}

/// Writes an item.
///
/// # Safety
/// `io` is null or the handle that the module's callback got.
unsafe fn write(io: *mut abi::IO, write: impl FnOnce(&mut Writer)) {
    // SAFETY: the caller promises it.
    if let Some(writer) = unsafe { Stream::borrow(io) }.and_then(|stream| stream.writer()) {
        write(writer);
    }
}

pub(super) unsafe extern "C" fn save_unsigned(io: *mut abi::IO, value: u64) {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { write(io, |writer| writer.unsigned(value)) }
}

pub(super) unsafe extern "C" fn save_signed(io: *mut abi::IO, value: i64) {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { write(io, |writer| writer.signed(value)) }
}

pub(super) unsafe extern "C" fn save_double(io: *mut abi::IO, value: f64) {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { write(io, |writer| writer.double(value)) }
}

pub(super) unsafe extern "C" fn save_float(io: *mut abi::IO, value: f32) {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { write(io, |writer| writer.float(value)) }
}

pub(super) unsafe extern "C" fn save_string(io: *mut abi::IO, string: *mut abi::ModuleString) {
    // SAFETY: modules pass the handle that their callback got, and a live string.
    unsafe {
        let bytes = ModString::borrow(string).map_or(&[][..], ModString::as_bytes);
        write(io, |writer| writer.string(bytes));
    }
}

pub(super) unsafe extern "C" fn save_string_buffer(
    io: *mut abi::IO,
    data: *const c_char,
    len: usize,
) {
    // SAFETY: modules pass the handle that their callback got, and `len` bytes.
    unsafe {
        let bytes = c_slice(data, len);
        write(io, |writer| writer.string(bytes));
    }
}

/// Reads an item; the type's zero if there is none of its kind.
///
/// # Safety
/// `io` is null or the handle that the module's callback got.
unsafe fn read<T: Default>(io: *mut abi::IO, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> T {
    // SAFETY: the caller promises it.
    unsafe { Stream::borrow(io) }.and_then(|stream| stream.read(read)).unwrap_or_default()
}

pub(super) unsafe extern "C" fn load_unsigned(io: *mut abi::IO) -> u64 {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { read(io, |reader| reader.unsigned()) }
}

pub(super) unsafe extern "C" fn load_signed(io: *mut abi::IO) -> i64 {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { read(io, |reader| reader.signed()) }
}

pub(super) unsafe extern "C" fn load_double(io: *mut abi::IO) -> f64 {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { read(io, |reader| reader.double()) }
}

pub(super) unsafe extern "C" fn load_float(io: *mut abi::IO) -> f32 {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { read(io, |reader| reader.float()) }
}

/// Reads a string; None if there is none and the module handles that.
///
/// # Safety
/// `io` is null or the handle that the module's callback got.
unsafe fn read_string(io: *mut abi::IO) -> Option<Vec<u8>> {
    // SAFETY: the caller promises it.
    let stream = unsafe { Stream::borrow(io) }?;
    match stream.read(Reader::string) {
        None if !stream.handles_errors() => Some(Vec::new()),
        read => read,
    }
}

pub(super) unsafe extern "C" fn load_string(io: *mut abi::IO) -> *mut abi::ModuleString {
    // SAFETY: modules pass the handle that their callback got.
    match unsafe { read_string(io) } {
        Some(bytes) => ModString::handle(ModString::create(&bytes)),
        None => std::ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn load_string_buffer(
    io: *mut abi::IO,
    len: *mut usize,
) -> *mut c_char {
    // SAFETY: modules pass the handle that their callback got.
    let Some(bytes) = (unsafe { read_string(io) }) else { return std::ptr::null_mut() };
    // The module frees it. At least a byte, so that empty strings are not null.
    let block = crate::allocator::module_alloc(bytes.len().max(1), false).cast::<u8>();
    if block.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the block is new and has room for so many bytes.
    unsafe { block.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    // SAFETY: null, or the module's variable for the length.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = bytes.len();
    }
    block.cast()
}

/// What the C shim of SaveLongDouble calls.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_save_text(io: *mut abi::IO, data: *const c_char, len: usize) {
    // SAFETY: passed on.
    unsafe { save_string_buffer(io, data, len) }
}

/// What the C shim of LoadLongDouble calls: reads a string of at most `room` bytes; how many it has, 0 if
/// there is none.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_load_text(
    io: *mut abi::IO,
    buffer: *mut c_char,
    room: usize,
) -> usize {
    // SAFETY: the shim passes the handle that the module's callback got.
    let text = unsafe { read_string(io) }.unwrap_or_default();
    let len = text.len().min(room);
    // SAFETY: the shim's buffer has room for so many bytes, and is not ours.
    unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), len) };
    len
}

pub(super) unsafe extern "C" fn is_error(io: *mut abi::IO) -> c_int {
    // SAFETY: modules pass the handle that their callback got.
    c_int::from(unsafe { Stream::borrow(io) }.is_some_and(|stream| stream.failed))
}

pub(super) unsafe extern "C" fn key_name(io: *mut abi::IO) -> *const abi::ModuleString {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { Stream::borrow(io) }.map_or(std::ptr::null(), |stream| stream.key)
}

pub(super) unsafe extern "C" fn db(io: *mut abi::IO) -> c_int {
    // SAFETY: modules pass the handle that their callback got.
    unsafe { Stream::borrow(io) }.map_or(-1, |stream| stream.db)
}

pub(super) unsafe extern "C" fn context(io: *mut abi::IO) -> *mut abi::Ctx {
    // SAFETY: modules pass the handle that their callback got.
    let Some(stream) = (unsafe { Stream::borrow(io) }) else { return std::ptr::null_mut() };
    let module = Arc::clone(&stream.module);
    let ctx = stream.ctx.get_or_insert_with(|| Box::new(ModuleCtx::detached(Some(module))));
    std::ptr::from_mut(&mut **ctx).cast()
}

/// What the C shim of LogIOError calls with the formatted text.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_log_io_text(
    io: *mut abi::IO,
    level: *const c_char,
    data: *const c_char,
    len: usize,
) {
    // SAFETY: the shim passes the handle that the module's callback got, a C string and `len` bytes.
    let (stream, level, text) = unsafe { (Stream::borrow(io), c_text(level), c_slice(data, len)) };
    let name = stream.map_or("module", |stream| &stream.module.name);
    super::context::log_line(name, &level, text);
}

/// What the C shim of EmitAOF calls with its arguments gathered.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_emit_aof(
    io: *mut abi::IO,
    name: *const c_char,
    args: *const ShimArg,
    count: usize,
) {
    // SAFETY: the shim passes the handle that the module's callback got, and a command.
    let (stream, argv) = unsafe { (Stream::borrow(io), gather(name, args, count)) };
    let Some(stream) = stream else { return };
    match &mut stream.direction {
        Direction::Rewrite(commands) if commands.len() < REWRITE_COMMANDS_MAX => {
            commands.push(argv.iter().map(|arg| arg.to_vec()).collect());
        }
        _ => stream.failed = true,
    }
}

/// The type behind a handle.
fn find(kind: *const abi::ModuleType) -> Option<Arc<NativeType>> {
    super::types::find(kind)
}

const NO_KEY: KeyName<'static> = KeyName { name: None, db: -1 };

pub(super) unsafe extern "C" fn save_to_string(
    ctx: *mut abi::Ctx,
    value: *mut c_void,
    kind: *const abi::ModuleType,
) -> *mut abi::ModuleString {
    let saved =
        find(kind).and_then(|native| native.save_value(NO_KEY, value as usize, Style::default()));
    match saved {
        // SAFETY: modules pass a live context or null; the type's callback has returned.
        Some(bytes) => ModuleCtx::new_string(unsafe { ModuleCtx::borrow(ctx) }, &bytes),
        None => std::ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn load_from_string_encver(
    string: *const abi::ModuleString,
    kind: *const abi::ModuleType,
    encver: c_int,
) -> *mut c_void {
    // SAFETY: modules pass a live string.
    let (Some(string), Some(native)) = (unsafe { ModString::borrow(string) }, find(kind)) else {
        return std::ptr::null_mut();
    };
    native
        .load_value(NO_KEY, string.as_bytes(), encver)
        .map_or(std::ptr::null_mut(), |(value, _)| value as *mut c_void)
}

pub(super) unsafe extern "C" fn load_from_string(
    string: *const abi::ModuleString,
    kind: *const abi::ModuleType,
) -> *mut c_void {
    // SAFETY: passed on.
    unsafe { load_from_string_encver(string, kind, 0) }
}
