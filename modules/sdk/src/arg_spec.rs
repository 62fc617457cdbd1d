//! What does a command say of its arguments? COMMAND DOCS shows it, and clients complete what people type by it.

/// One argument, or several that belong together.
///
/// ```
/// use mortise_module::ArgSpec;
///
/// /// key [LIMIT count] [ASC | DESC] member [member ...]
/// const ARGS: &[ArgSpec] = &[
///     ArgSpec::key("key"),
///     ArgSpec::integer("count").token("LIMIT").optional(),
///     ArgSpec::one_of("order", &[ArgSpec::flag("asc", "ASC"), ArgSpec::flag("desc", "DESC")])
///         .optional()
///         .since("1.2.0"),
///     ArgSpec::string("member").multiple(),
/// ];
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgSpec {
    /// Its name, in lower case by custom.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgKind,
    /// The word before it, or that it is.
    pub token: Option<&'static str>,
    /// One line; empty for none.
    pub summary: &'static str,
    /// The version of the module that introduced it, if that is later than the command's.
    pub since: Option<&'static str>,
    /// The version that deprecated it.
    pub deprecated: Option<&'static str>,
    /// What usage lines show, if not the name.
    pub shown_as: Option<&'static str>,
    /// It may be left out.
    pub optional: bool,
    /// It may be repeated.
    pub multiple: bool,
    /// If repeated, then together with its word.
    pub multiple_token: bool,
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// A key, of the entry of [`Command::keys`](crate::Command::keys) with this index.
    Key(usize),
    /// Any text.
    String,
    /// An integer.
    Integer,
    /// A floating point number.
    Double,
    /// A glob-style pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// Nothing but its word.
    PureToken,
    /// One of these.
    OneOf(&'static [ArgSpec]),
    /// All of these, in this order.
    Block(&'static [ArgSpec]),
}

impl ArgSpec {
    const fn of(name: &'static str, kind: ArgKind) -> ArgSpec {
        ArgSpec {
            name,
            kind,
            token: None,
            summary: "",
            since: None,
            deprecated: None,
            shown_as: None,
            optional: false,
            multiple: false,
            multiple_token: false,
        }
    }

    /// A key of the command's first run of keys.
    pub const fn key(name: &'static str) -> ArgSpec {
        ArgSpec::of(name, ArgKind::Key(0))
    }

    /// A key of another run of keys.
    pub const fn key_of(name: &'static str, spec: usize) -> ArgSpec {
        ArgSpec::of(name, ArgKind::Key(spec))
    }

    /// A text.
    pub const fn string(name: &'static str) -> ArgSpec {
        ArgSpec::of(name, ArgKind::String)
    }

    /// An integer.
    pub const fn integer(name: &'static str) -> ArgSpec {
        ArgSpec::of(name, ArgKind::Integer)
    }

    /// A floating point number.
    pub const fn double(name: &'static str) -> ArgSpec {
        ArgSpec::of(name, ArgKind::Double)
    }

    /// A glob-style pattern.
    pub const fn pattern(name: &'static str) -> ArgSpec {
        ArgSpec::of(name, ArgKind::Pattern)
    }

    /// A point in time.
    pub const fn unix_time(name: &'static str) -> ArgSpec {
        ArgSpec::of(name, ArgKind::UnixTime)
    }

    /// A word that stands for itself.
    pub const fn flag(name: &'static str, token: &'static str) -> ArgSpec {
        ArgSpec::of(name, ArgKind::PureToken).token(token)
    }

    /// One of several.
    pub const fn one_of(name: &'static str, choices: &'static [ArgSpec]) -> ArgSpec {
        ArgSpec::of(name, ArgKind::OneOf(choices))
    }

    /// Several in a row.
    pub const fn block(name: &'static str, parts: &'static [ArgSpec]) -> ArgSpec {
        ArgSpec::of(name, ArgKind::Block(parts))
    }

    /// Behind a word (or several, with blanks between them).
    pub const fn token(mut self, token: &'static str) -> ArgSpec {
        self.token = Some(token);
        self
    }

    /// May be left out.
    pub const fn optional(mut self) -> ArgSpec {
        self.optional = true;
        self
    }

    /// May be repeated, behind one word.
    pub const fn multiple(mut self) -> ArgSpec {
        self.multiple = true;
        self
    }

    /// May be repeated, each time with its word.
    pub const fn multiple_token(mut self) -> ArgSpec {
        self.multiple = true;
        self.multiple_token = true;
        self
    }

    /// Explained by one line.
    pub const fn about(mut self, summary: &'static str) -> ArgSpec {
        self.summary = summary;
        self
    }

    /// Introduced by this version of the module.
    pub const fn since(mut self, version: &'static str) -> ArgSpec {
        self.since = Some(version);
        self
    }

    /// Deprecated by this version of the module.
    pub const fn deprecated(mut self, version: &'static str) -> ArgSpec {
        self.deprecated = Some(version);
        self
    }

    /// Shown otherwise in usage lines.
    pub const fn shown_as(mut self, text: &'static str) -> ArgSpec {
        self.shown_as = Some(text);
        self
    }

    /// What it consists of.
    pub(crate) fn parts(&self) -> &'static [ArgSpec] {
        match self.kind {
            ArgKind::OneOf(parts) | ArgKind::Block(parts) => parts,
            _ => &[],
        }
    }
}
