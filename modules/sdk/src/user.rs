//! Who may do what? The users of the server's access control list, and users of the module's own.

use mortise_module_abi as abi;

use crate::context::Context;
use crate::error::Error;
use crate::key_spec::Access;
use crate::raw::{OwnUser, OwnedString, Text, UserHandle};
use crate::string::Argument;

/// A user of the server's list. Redis 7.0.
pub struct User<'c>(UserHandle<'c>);

impl User<'_> {
    /// Whether the user may run a command: its name, then its arguments.
    pub fn may_run(&self, argv: &[&dyn Argument]) -> Result<bool, Error> {
        let argv: Vec<Text<'_>> = argv.iter().map(|arg| arg.text()).collect();
        self.0.may_run(&argv)
    }

    /// Whether the user may do this with a key.
    pub fn may_access(
        &self,
        key: &(impl Argument + ?Sized),
        access: Access,
    ) -> Result<bool, Error> {
        self.0.may_access(&key.text(), access.permissions())
    }

    /// Whether the user may publish to a channel.
    pub fn may_publish(&self, channel: &(impl Argument + ?Sized)) -> Result<bool, Error> {
        self.0.may_use_channel(&channel.text(), abi::CMD_CHANNEL_PUBLISH)
    }

    /// Whether the user may subscribe to a channel.
    pub fn may_subscribe(&self, channel: &(impl Argument + ?Sized)) -> Result<bool, Error> {
        self.0.may_use_channel(&channel.text(), abi::CMD_CHANNEL_SUBSCRIBE)
    }
}

/// A user of the module's own, which is in no list. It lives as long as the process, so it is made once and kept,
/// in a `OnceLock` for example.
pub struct ModuleUser(OwnUser);

impl Context<'_> {
    /// The name of the user whom the client is; None in contexts without a client. Redis 7.0.
    pub fn current_user(&self) -> Result<Option<OwnedString>, Error> {
        self.raw().current_user()
    }

    /// The user of this name; None if the list has none.
    pub fn user(&self, name: &(impl Argument + ?Sized)) -> Result<Option<User<'_>>, Error> {
        Ok(self.raw().user(&name.text())?.map(User))
    }

    /// Makes a user with rules such as `on`, `~prefix:*`, `+@read`; an error names one that is none.
    pub fn new_user(&mut self, name: &str, rules: &[&str]) -> Result<ModuleUser, Error> {
        self.writable()?;
        self.raw().new_user(name, rules).map(ModuleUser)
    }

    /// Logs the client in as a user of the server's list: the end of a command that has checked who it is.
    pub fn log_in(&mut self, name: &str) -> Result<(), Error> {
        self.writable()?;
        self.raw().log_in_by_name(name)
    }

    /// Logs the client in as a user of the module's own.
    pub fn log_in_as(&mut self, user: &'static ModuleUser) -> Result<(), Error> {
        self.writable()?;
        self.raw().log_in_as(&user.0)
    }

    /// From now on calls with [`CallFlags::AS_USER`](crate::CallFlags::AS_USER) have this user's rights. Redis 7.0.6.
    pub fn act_as(&mut self, user: &'static ModuleUser) -> Result<(), Error> {
        self.raw().act_as(&user.0)
    }
}
