//! How do a command's arguments become values?
//!
//! A type says what it is read from ([`FromArgs`]), and so how many arguments there may be; a
//! [`TypedCommand`] names such a type and gets its value. [`Args`] is the cursor that they read from,
//! for types of a module's own, such as a struct of options.

use crate::command::{Arity, Command};
use crate::context::Context;
use crate::error::Error;
use crate::raw::Arg;
use crate::reply::CommandResult;

/// The arguments that are still to be read.
#[derive(Clone)]
pub struct Args<'a> {
    rest: &'a [Arg<'a>],
}

impl<'a> Args<'a> {
    /// A cursor at the first of these.
    pub fn new(args: &'a [Arg<'a>]) -> Args<'a> {
        Args { rest: args }
    }

    /// The next argument as it is; an error if there is none.
    pub fn next_arg(&mut self) -> Result<Arg<'a>, Error> {
        let (first, rest) = self.rest.split_first().ok_or(Error::WrongArity)?;
        self.rest = rest;
        Ok(*first)
    }

    /// Reads a value of the type that the caller wants.
    pub fn read<T: FromArgs<'a>>(&mut self) -> Result<T, Error> {
        T::from_args(self)
    }

    /// Whether the next argument is this word, in any case; if so, goes past it.
    pub fn take_word(&mut self, word: &str) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if first.is(word) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// An error if any is left: the end of what reads options.
    pub fn end(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Error::new("syntax error")) }
    }
}

/// What can be read from one argument or several.
///
/// Integers take Redis's strict spelling, `f64` no NaN, `&str` and `String` UTF-8 alone; [`Arg`] and `&[u8]`
/// any bytes. An `Option` is read if an argument is left, a `Vec` takes all that are
/// left. Tuples are read from left to right. A struct of options implements this itself:
///
/// ```
/// use mortise_module::{Args, Error, FromArgs};
///
/// /// `[LIMIT count] [REV]`, in any order.
/// struct Options {
///     limit: Option<u64>,
///     reverse: bool,
/// }
///
/// impl<'a> FromArgs<'a> for Options {
///     const MIN: usize = 0;
///     const MAX: Option<usize> = Some(3);
///
///     fn from_args(args: &mut Args<'a>) -> Result<Options, Error> {
///         let mut options = Options { limit: None, reverse: false };
///         while !args.is_empty() {
///             if args.take_word("LIMIT") {
///                 options.limit = Some(args.read()?);
///             } else if args.take_word("REV") {
///                 options.reverse = true;
///             } else {
///                 return Err(Error::new("syntax error"));
///             }
///         }
///         Ok(options)
///     }
/// }
/// ```
pub trait FromArgs<'a>: Sized {
    /// How many arguments it needs at least.
    const MIN: usize;

    /// How many it takes at most; None: any number.
    const MAX: Option<usize>;

    /// Reads it. The server has been told of `MIN` and `MAX`, but an option may still lack its value.
    fn from_args(args: &mut Args<'a>) -> Result<Self, Error>;
}

macro_rules! from_one {
    ($($type:ty: |$arg:ident| $read:expr;)*) => { $(
        impl<'a> FromArgs<'a> for $type {
            const MIN: usize = 1;
            const MAX: Option<usize> = Some(1);

            fn from_args(args: &mut Args<'a>) -> Result<$type, Error> {
                let $arg = args.next_arg()?;
                $read
            }
        }
    )* };
}

from_one! {
    Arg<'a>: |arg| Ok(arg);
    &'a [u8]: |arg| Ok(arg.as_bytes());
    &'a str: |arg| arg.to_str();
    String: |arg| arg.to_str().map(str::to_owned);
    i64: |arg| arg.to_i64();
    u64: |arg| arg.to_u64();
    u32: |arg| in_range(arg.to_u64()?);
    i32: |arg| in_range(arg.to_i64()?);
    usize: |arg| in_range(arg.to_u64()?);
    f64: |arg| arg.to_f64();
}

fn in_range<T, U: TryFrom<T>>(value: T) -> Result<U, Error> {
    U::try_from(value).map_err(|_| Error::new("value is not an integer or out of range"))
}

impl<'a, T: FromArgs<'a>> FromArgs<'a> for Option<T> {
    const MIN: usize = 0;
    const MAX: Option<usize> = T::MAX;

    fn from_args(args: &mut Args<'a>) -> Result<Option<T>, Error> {
        if args.is_empty() { Ok(None) } else { T::from_args(args).map(Some) }
    }
}

impl<'a, T: FromArgs<'a>> FromArgs<'a> for Vec<T> {
    const MIN: usize = 0;
    const MAX: Option<usize> = None;

    fn from_args(args: &mut Args<'a>) -> Result<Vec<T>, Error> {
        const { assert!(T::MIN > 0, "an element is read from one argument at least") };
        let mut all = Vec::new();
        while !args.is_empty() {
            all.push(T::from_args(args)?);
        }
        Ok(all)
    }
}

macro_rules! from_several {
    ($(($($name:ident)*))*) => { $(
        #[expect(non_snake_case, reason = "each value is named as its type")]
        impl<'a, $($name: FromArgs<'a>),*> FromArgs<'a> for ($($name,)*) {
            const MIN: usize = 0 $(+ $name::MIN)*;
            const MAX: Option<usize> = sum(&[$($name::MAX),*]);

            fn from_args(args: &mut Args<'a>) -> Result<Self, Error> {
                $(let $name = args.read()?;)*
                Ok(($($name,)*))
            }
        }
    )* };
}

from_several! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

impl FromArgs<'_> for () {
    const MIN: usize = 0;
    const MAX: Option<usize> = Some(0);

    fn from_args(_: &mut Args<'_>) -> Result<(), Error> {
        Ok(())
    }
}

const fn sum(parts: &[Option<usize>]) -> Option<usize> {
    let (mut at, mut total) = (0, 0);
    while at < parts.len() {
        match parts[at] {
            Some(part) => total += part,
            None => return None,
        }
        at += 1;
    }
    Some(total)
}

/// A command that gets its arguments parsed.
///
/// ```
/// use mortise_module::{
///     Access, Arg, Command, CommandResult, Context, Flag, KeySpec, TypedCommand,
/// };
///
/// /// POINTS.ADD key member points [comment]
/// struct Add;
///
/// impl TypedCommand for Add {
///     type Args<'a> = (Arg<'a>, &'a str, i64, Option<&'a str>);
///
///     fn run(ctx: &mut Context<'_>, (key, member, points, _): Self::Args<'_>) -> CommandResult {
///         let mut key = ctx.open_write(&key)?;
///         key.hash_set(member, &points.to_string())?;
///         Ok(points.into())
///     }
/// }
///
/// const ADD: Command = Command {
///     name: "POINTS.ADD",
///     flags: &[Flag::Write],
///     keys: &[KeySpec::at(1, Access::Update)],
///     ..Command::typed::<Add>() // the handler, and the arity: four words or five
/// };
/// ```
pub trait TypedCommand {
    /// What is read from the arguments behind the name.
    type Args<'a>: FromArgs<'a>;

    /// How many words the name has: two for a subcommand.
    const NAME_WORDS: usize = 1;

    /// Runs the command; all its arguments have been read, and none is left.
    fn run(ctx: &mut Context<'_>, args: Self::Args<'_>) -> CommandResult;
}

impl Command {
    /// A command whose handler and arity come from a type; to be completed like [`Command::DEFAULT`].
    pub const fn typed<T: TypedCommand>() -> Command {
        let min = T::NAME_WORDS + <T::Args<'static> as FromArgs<'static>>::MIN;
        let arity = match <T::Args<'static> as FromArgs<'static>>::MAX {
            None => Arity::AtLeast(min),
            Some(max) if T::NAME_WORDS + max == min => Arity::Exactly(min),
            Some(max) => Arity::Between(min, T::NAME_WORDS + max),
        };
        Command { arity, handler: run_typed::<T>, ..Command::DEFAULT }
    }
}

fn run_typed<T: TypedCommand>(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let mut args = Args::new(args.get(T::NAME_WORDS..).unwrap_or_default());
    let read = args.read()?;
    args.end()?;
    T::run(ctx, read)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;
    impl TypedCommand for Nothing {
        type Args<'a> = ();
        fn run(_: &mut Context<'_>, (): ()) -> CommandResult {
            Ok(true.into())
        }
    }

    struct Some4;
    impl TypedCommand for Some4 {
        type Args<'a> = (Arg<'a>, i64, Option<(u64, f64)>);
        fn run(_: &mut Context<'_>, _: Self::Args<'_>) -> CommandResult {
            Ok(true.into())
        }
    }

    struct Many;
    impl TypedCommand for Many {
        type Args<'a> = (&'a str, Vec<(Arg<'a>, &'a [u8])>);
        const NAME_WORDS: usize = 2;
        fn run(_: &mut Context<'_>, _: Self::Args<'_>) -> CommandResult {
            Ok(true.into())
        }
    }

    #[test]
    fn arities_come_from_types() {
        assert_eq!(Command::typed::<Nothing>().arity, Arity::Exactly(1));
        assert_eq!(Command::typed::<Some4>().arity, Arity::Between(3, 5));
        assert_eq!(Command::typed::<Many>().arity, Arity::AtLeast(3));
    }
}
