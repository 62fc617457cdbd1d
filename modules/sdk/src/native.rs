//! What is a native data type, and how is it saved?

use crate::dispatch;
use crate::error::Error;
use crate::raw::{self, Arg, Digest, Io, Mover, Text};
use crate::string::Argument;

/// A value that a key can hold.
///
/// The server frees large values on a thread of its own and walks them while saving, hence `Send`
/// and `Sync`.
pub trait Native: Sized + Send + Sync + 'static {
    /// The type's name in the server's files: exactly nine letters, digits, `-` or `_`, unique among
    /// all modules.
    const NAME: &'static str;

    /// The version of what `rdb_save` writes, below 1024.
    const ENCVER: i32;

    /// When `aux_save` runs.
    const AUX: AuxWhen = AuxWhen::Never;

    /// Writes the value for RDB files, DUMP and replicas. A panic ends the process, because half a
    /// value must not be written.
    fn rdb_save(&self, writer: &mut RdbWriter<'_>);

    /// Reads back what `rdb_save` of version `encver` wrote. Any bytes may come; an error stops
    /// loading.
    fn rdb_load(reader: &mut RdbReader<'_>, encver: i32) -> Result<Self, Error>;

    /// The memory that the value takes, itself included, for MEMORY USAGE.
    fn mem_usage(&self) -> usize {
        size_of::<Self>()
    }

    /// How much work it is to free the value, in allocations. Above 64 the server may free it in
    /// the background.
    fn free_effort(&self) -> usize {
        1
    }

    /// The value is about to leave the keyspace; it is dropped later, perhaps on another thread.
    fn unlink(&self, _key: &Arg<'_>) {}

    /// Whether [`Native::fetch`] asks for anything.
    const FETCHES: bool = false;

    /// Asks for the memory behind the value that commands will read, by [`prefetch`](crate::prefetch). Mortise calls this
    /// for the values that the commands of a batch name before it runs the first of them, perhaps beside readers;
    /// nothing may be changed here, and nothing called that takes long.
    fn fetch(&self) {}

    /// A copy for COPY. None: values of this type cannot be copied.
    fn copy(&self, _from: &Arg<'_>, _to: &Arg<'_>) -> Option<Self> {
        None
    }

    /// Moves the blocks that the value owns to better memory, if the server wants that (`activedefrag`): each is handed to the
    /// [`Mover`]. A large value stops when the mover says so, at a place of its own ([`Mover::stop_at`]), and is called
    /// again; it may have changed meanwhile. The value's own box is moved already.
    fn move_blocks(&mut self, _mover: &mut Mover<'_>) {}

    /// Adds what makes the value up to a digest, for DEBUG DIGEST.
    fn digest(&self, _digest: &mut DigestWriter<'_>) {}

    /// Emits commands that create the value, for append-only files without an RDB part.
    fn aof_rewrite(&self, writer: &mut AofWriter<'_>, key: &Arg<'_>);

    /// Writes what belongs to the module but to no key.
    fn aux_save(_writer: &mut RdbWriter<'_>) {}

    /// Whether `aux_save` would save nothing of note. Servers that can leave it out of the file then do, so
    /// that the file loads where the module is not; others have it called all the same.
    fn aux_is_empty() -> bool {
        false
    }

    /// Reads back what `aux_save` of version `encver` wrote.
    fn aux_load(_reader: &mut RdbReader<'_>, _encver: i32) -> Result<(), Error> {
        Ok(())
    }
}

/// When data that belongs to no key is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuxWhen {
    /// There is none.
    Never,
    /// Before the keys, so that it is there when they are loaded.
    BeforeKeys,
    /// After the keys.
    AfterKeys,
}

/// Where values are saved to. What is written in some order is read back in the same.
pub struct RdbWriter<'i>(Io<'i>);

impl<'i> RdbWriter<'i> {
    pub(crate) fn new(io: Io<'i>) -> RdbWriter<'i> {
        RdbWriter(io)
    }

    /// Writes an unsigned integer.
    pub fn u64(&mut self, value: u64) {
        self.0.save_u64(value);
    }

    /// Writes an integer.
    pub fn i64(&mut self, value: i64) {
        self.0.save_i64(value);
    }

    /// Writes a double.
    pub fn f64(&mut self, value: f64) {
        self.0.save_f64(value);
    }

    /// Writes bytes with their length.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.save_bytes(bytes.as_ref());
    }
}

/// Where values are loaded from. All functions fail on a stream that ends early or holds something
/// else; the value is then to be given up.
pub struct RdbReader<'i>(Io<'i>);

impl<'i> RdbReader<'i> {
    pub(crate) fn new(io: Io<'i>) -> RdbReader<'i> {
        RdbReader(io)
    }

    /// Reads an unsigned integer.
    pub fn u64(&mut self) -> Result<u64, Error> {
        self.0.load_u64()
    }

    /// Reads an integer.
    pub fn i64(&mut self) -> Result<i64, Error> {
        self.0.load_i64()
    }

    /// Reads a double.
    pub fn f64(&mut self) -> Result<f64, Error> {
        self.0.load_f64()
    }

    /// Reads bytes.
    pub fn bytes(&mut self) -> Result<RdbBytes, Error> {
        self.0.load_bytes().map(RdbBytes)
    }

    /// Reads text; an error if it is not UTF-8.
    pub fn text(&mut self) -> Result<String, Error> {
        Ok(std::str::from_utf8(&self.bytes()?)?.to_owned())
    }

    /// As [`Context::hear_keyspace_events`](crate::Context::hear_keyspace_events), for a module that has
    /// loaded something which follows keys.
    pub fn hear_keyspace_events(&mut self) -> Result<(), Error> {
        dispatch::hear_keyspace_events(self.0.context()?)
    }

    /// Lets the server answer its clients, that it is loading mostly, when reading takes long. Nothing of the module may be
    /// borrowed meanwhile that its handlers want. Servers that cannot do that leave their clients waiting.
    pub fn give_way(&mut self) {
        if let Ok(ctx) = self.0.context() {
            let _ = ctx.yield_to_clients();
        }
    }

    /// The key that the value will be in.
    pub fn key(&self) -> Option<Arg<'_>> {
        self.0.key_name()
    }
}

/// Bytes read from a stream, in memory of the server.
pub struct RdbBytes(raw::LoadedBytes);

impl std::ops::Deref for RdbBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Where commands are emitted to when the append-only file is rewritten.
pub struct AofWriter<'i>(Io<'i>);

impl<'i> AofWriter<'i> {
    pub(crate) fn new(io: Io<'i>) -> AofWriter<'i> {
        AofWriter(io)
    }

    /// Emits a command.
    pub fn emit(&mut self, command: &str, args: &[&dyn Argument]) {
        let args: Vec<Text<'_>> = args.iter().map(|arg| arg.text()).collect();
        self.0.emit(command, &args);
    }
}

/// A digest under construction.
pub struct DigestWriter<'d>(Digest<'d>);

impl<'d> DigestWriter<'d> {
    pub(crate) fn new(digest: Digest<'d>) -> DigestWriter<'d> {
        DigestWriter(digest)
    }

    /// Adds bytes to the present run.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.add_bytes(bytes.as_ref());
    }

    /// Adds an integer to the present run.
    pub fn i64(&mut self, value: i64) {
        self.0.add_i64(value);
    }

    /// Ends a run. Within a run order matters, between runs it does not.
    pub fn end_sequence(&mut self) {
        self.0.end_sequence();
    }
}
