//! How does an RDB file tell which segments on disk are those of its indexes?
//!
//! By an id of 16 bytes, in a section behind the definitions and the words, before the keys. Without segments the section
//! is left out, or its id is empty.

use mortise_module::{AofWriter, Arg, AuxWhen, Error, Native, RdbReader, RdbWriter, Type};

use crate::storage::{Uid, loading, saving};

/// The type that no key ever holds.
pub struct Segments;

/// Its declaration.
pub static SEGMENTS: Type<Segments> = Type::new();

impl Native for Segments {
    const NAME: &'static str = "mortiseFS";
    const ENCVER: i32 = 1;
    const AUX: AuxWhen = AuxWhen::BeforeKeys;

    fn rdb_save(&self, _writer: &mut RdbWriter<'_>) {
        unreachable!("no key holds this type");
    }

    fn rdb_load(_reader: &mut RdbReader<'_>, _encver: i32) -> Result<Segments, Error> {
        Err(Error::new("no key holds segments of indexes"))
    }

    fn aof_rewrite(&self, _writer: &mut AofWriter<'_>, _key: &Arg<'_>) {}

    fn aux_save(writer: &mut RdbWriter<'_>) {
        match saving::take() {
            Some(id) => writer.bytes(id.bytes()),
            None => writer.bytes([]),
        }
    }

    fn aux_is_empty() -> bool {
        saving::take().is_none()
    }

    fn aux_load(reader: &mut RdbReader<'_>, _encver: i32) -> Result<(), Error> {
        // An id that cannot be one leads to no segments; the keys are there all the same.
        if let Some(id) = Uid::of(&reader.bytes()?) {
            loading::restore(id, &mut || reader.give_way());
        }
        Ok(())
    }
}
