//! What is asked and answered when a client wants to log in and modules have a say in that?

use crate::resp::reply::Reply;

/// As whom a client wants to log in.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// The user's name.
    pub username: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

/// The credentials, and where a module may reply itself.
pub type Wish<'a, 'r> = (Credentials<'a>, &'a mut Reply<'r>);

/// What modules say to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogIn {
    /// Nothing.
    NotHandled,
    /// It has logged in.
    Done,
    /// It must not, for this reason, if they give one.
    Denied(Option<Vec<u8>>),
    /// They will say later: the client waits, and the command runs again.
    Later,
}
