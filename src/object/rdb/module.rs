//! How are values of module types read and written? As items, each led by an opcode that says its type, closed
//! by an end mark, so that a value can be passed over without its module.

use super::kind::item;
use super::read::Reader;
use super::write::Writer;
use super::{LoadContext, RdbError, corrupt};
use crate::object::ModuleValue;
use crate::object::module::KeyName;

/// Writes a value; false if its type cannot be saved.
pub fn save(value: &ModuleValue, key: KeyName<'_>, writer: &mut Writer<'_>) -> bool {
    let items = value.vtable().save(key, value.pointer(), writer.style);
    let Some(items) = items else { return false };
    writer.number(value.vtable().id());
    writer.raw(&items);
    writer.number(item::END);
    true
}

/// Passes over items and their end mark.
pub fn skip_items(reader: &mut Reader<'_>) -> Result<(), RdbError> {
    loop {
        match reader.number()? {
            item::END => return Ok(()),
            item::SIGNED | item::UNSIGNED => drop(reader.number()?),
            item::FLOAT => drop(reader.take(4)?),
            item::DOUBLE => drop(reader.take(8)?),
            item::STRING => reader.skip_string()?,
            _ => return Err(corrupt("Error reading module value: unknown opcode")),
        }
    }
}

/// The bytes of a value, which its module does not see.
pub fn raw(reader: &mut Reader<'_>) -> Result<Vec<u8>, RdbError> {
    let rest = reader.rest();
    let before = reader.position();
    reader.number()?;
    skip_items(reader)?;
    Ok(rest[..reader.position() - before].to_vec())
}

/// Reads a value. Its module sees it only when all of it is there.
pub fn load(reader: &mut Reader<'_>, ctx: &LoadContext<'_>) -> Result<ModuleValue, RdbError> {
    let id = reader.number()?;
    let items = reader.rest();
    let before = reader.position();
    skip_items(reader)?;
    let items = &items[..reader.position() - before];
    let Some(vtable) = ctx.types.find(id) else {
        let text = format!(
            "The RDB file contains module data I can't load: no matching module type '{}'",
            type_name(id)
        );
        return Err(RdbError::Corrupt(text.into()));
    };
    let Some((value, read)) = vtable.load(ctx.key, items, (id & 1023) as i32) else {
        let text = format!(
            "The RDB file contains module data for the module type '{}', that the responsible module \
             is not able to load. Check for modules log above for additional clues.",
            vtable.name()
        );
        return Err(RdbError::Corrupt(text.into()));
    };
    let value = ModuleValue::new(vtable, value);
    let mut rest = Reader::new(items.get(read..).unwrap_or_default());
    if !matches!(rest.number(), Ok(item::END)) || !rest.rest().is_empty() {
        let text = format!(
            "The RDB file contains module data for the module '{}' that is not terminated by the \
             proper module value EOF marker",
            value.vtable().name()
        );
        return Err(RdbError::Corrupt(text.into()));
    }
    Ok(value)
}

/// The name that a type's id spells: nine digits of six bits above the encoding version.
pub fn type_name(id: u64) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |at: u32| char::from(DIGITS[(id >> (10 + 6 * (8 - at)) & 63) as usize]);
    (0..9).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Check, Dialect, Limits, ModuleTypes};
    use super::*;
    use crate::object::module::{KeyNames, TypeVtable};

    /// A type whose values are single bytes, each taken as it is.
    struct Byte;

    impl TypeVtable for Byte {
        fn name(&self) -> &str {
            "byte-type"
        }
        fn id(&self) -> u64 {
            1 << 10
        }
        fn free(&self, _: usize) {}
        fn load(&self, _: KeyName<'_>, items: &[u8], _: i32) -> Option<(usize, usize)> {
            items.first().map(|byte| (usize::from(*byte), 2))
        }
        fn copy(&self, _: KeyNames<'_>, _: usize) -> Option<usize> {
            None
        }
        fn memory_bytes(&self, _: KeyName<'_>, _: usize, _: usize) -> Option<usize> {
            None
        }
    }

    impl ModuleTypes for Byte {
        fn find(&self, id: u64) -> Option<Arc<dyn TypeVtable>> {
            (id == self.id()).then(|| Arc::new(Byte) as Arc<dyn TypeVtable>)
        }
    }

    #[test]
    fn a_value_ends_with_its_mark_in_whatever_width_that_is_written() {
        let id = [0x44, 0];
        let read = |tail: &[u8]| {
            let bytes = [&id, tail].concat();
            let key = KeyName { name: None, db: 0 };
            let ctx = LoadContext {
                limits: Limits::default(),
                types: &Byte,
                key,
                dialect: Dialect::Redis,
                check: Check::Whole,
            };
            load(&mut Reader::new(&bytes), &ctx).map(|value| value.pointer()).ok()
        };
        assert_eq!(read(&[2, 7, 0]), Some(2));
        assert_eq!(read(&[2, 7, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]), Some(2));
        assert_eq!(read(&[2, 7, 2, 7, 0]), None, "there is more than the type has read");
        assert_eq!(read(&[2, 7]), None);
    }
}
