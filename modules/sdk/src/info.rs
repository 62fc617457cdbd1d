//! What does the module add to INFO?

use crate::error::Error;
use crate::raw::Info;

/// The module's part of an INFO text. Names appear behind the module's own.
pub struct InfoWriter<'i> {
    info: Info<'i>,
    for_crash_report: bool,
}

impl<'i> InfoWriter<'i> {
    pub(crate) fn new(info: Info<'i>, for_crash_report: bool) -> InfoWriter<'i> {
        InfoWriter { info, for_crash_report }
    }

    /// Whether the text is for a crash report: then nothing should be locked or allocated.
    pub fn for_crash_report(&self) -> bool {
        self.for_crash_report
    }

    /// Begins a section; an empty name stands for the module's main one. False: it is not wanted,
    /// and fields until the next section are left out.
    pub fn section(&mut self, name: &str) -> Result<bool, Error> {
        self.info.section(name)
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: impl InfoValue) -> Result<(), Error> {
        value.write(&mut self.info, name)
    }

    /// Adds a field that holds several values, which `fill` adds.
    pub fn dict(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.info.begin_dict(name)?;
        let filled = fill(self);
        self.info.end_dict()?;
        filled
    }
}

/// What can be the value of an INFO field: integers, doubles and texts.
pub trait InfoValue: sealed::Sealed {
    #[doc(hidden)]
    fn write(self, info: &mut Info<'_>, name: &str) -> Result<(), Error>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! info_values {
    ($($type:ty: |$info:ident, $name:ident, $value:ident| $write:expr;)*) => { $(
        impl sealed::Sealed for $type {}
        impl InfoValue for $type {
            fn write(self, $info: &mut Info<'_>, $name: &str) -> Result<(), Error> {
                let $value = self;
                $write
            }
        }
    )* };
}

info_values! {
    &str: |info, name, value| info.field_text(name, value);
    i64: |info, name, value| info.field_i64(name, value);
    u64: |info, name, value| info.field_u64(name, value);
    usize: |info, name, value| info.field_u64(name, value as u64);
    f64: |info, name, value| info.field_f64(name, value);
}
