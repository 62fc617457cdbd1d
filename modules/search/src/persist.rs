//! How do indexes survive a restart?
//!
//! Their definitions are written into RDB files, as the arguments of the FT.CREATE that makes them; FT.ALTER appends
//! its fields to those. Documents are not written: each key that is loaded is put in anew. Definitions come before
//! the keys in the file, so they are there in time.

use mortise_module::{
    AofWriter, Arg, AuxWhen, Error, LogLevel, Native, RdbReader, RdbWriter, Type,
};

use crate::registry;
use crate::schema::{Schema, parse};

/// Definitions in one file; more would be a broken file.
const INDEXES_MAX: u64 = 100_000;
/// Arguments of one definition; 1,024 fields with all options have fewer.
const ARGUMENTS_MAX: u64 = 100_000;

/// The type that no key ever holds: the server asks types, not modules, for what belongs to no key.
pub struct Definitions;

/// Its declaration.
pub static DEFINITIONS: Type<Definitions> = Type::new();

impl Native for Definitions {
    const NAME: &'static str = "mortiseFT";
    const ENCVER: i32 = 2;
    const AUX: AuxWhen = AuxWhen::BeforeKeys;

    fn rdb_save(&self, _writer: &mut RdbWriter<'_>) {
        unreachable!("no key holds this type");
    }

    fn rdb_load(_reader: &mut RdbReader<'_>, _encver: i32) -> Result<Definitions, Error> {
        Err(Error::new("no key holds index definitions"))
    }

    fn aof_rewrite(&self, _writer: &mut AofWriter<'_>, _key: &Arg<'_>) {}

    fn aux_save(writer: &mut RdbWriter<'_>) {
        registry::with(|all| {
            let names = all.names();
            writer.u64(names.len() as u64);
            for entry in all.iter_mut() {
                // An index that is being built anew is complete under its new definition once the keys are loaded.
                let schema = entry.latest();
                writer.bytes(&schema.name);
                writer.u64(u64::try_from(schema.db).unwrap_or(0));
                writer.u64(schema.definition.len() as u64);
                schema.definition.iter().for_each(|argument| writer.bytes(argument));
            }
        });
    }

    fn aux_is_empty() -> bool {
        registry::with(|all| all.names().is_empty())
    }

    fn aux_load(reader: &mut RdbReader<'_>, encver: i32) -> Result<(), Error> {
        let indexes = reader.u64()?;
        if indexes > INDEXES_MAX {
            return Err(Error::new("too many index definitions"));
        }
        if indexes > 0 {
            reader.hear_keyspace_events()?;
        }
        for _ in 0..indexes {
            let name = reader.bytes()?.to_vec();
            // Before the second version all indexes were of database 0.
            let db = if encver >= 2 { reader.u64()? } else { 0 };
            let db = i32::try_from(db).map_err(|_| Error::new("an index of no database"))?;
            let count = reader.u64()?;
            if count > ARGUMENTS_MAX {
                return Err(Error::new("an index definition is too long"));
            }
            let arguments = (0..count).map(|_| Ok(reader.bytes()?.to_vec()));
            let arguments: Vec<Vec<u8>> = arguments.collect::<Result<_, Error>>()?;
            create(&name, db, &arguments);
        }
        Ok(())
    }
}

/// Makes an index anew. One that this version cannot make is left out and named in the log; its keys are safe.
fn create(name: &[u8], db: i32, arguments: &[Vec<u8>]) {
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let created = parse::create(name, &arguments).and_then(|schema| {
        registry::with(|all| {
            all.take(name);
            all.create(Schema { db, ..schema })
        })
    });
    if let Err(error) = created {
        let name = String::from_utf8_lossy(name);
        mortise_module::log(LogLevel::Warning, &format!("index {name} was not loaded: {error}"));
    }
}
