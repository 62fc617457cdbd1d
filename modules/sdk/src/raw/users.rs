//! How are users asked for, checked and made?

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use mortise_module_abi as abi;

use super::context::{Ctx, ok};
use super::strings::{OwnedString, Text};
use super::{bound, c_string, need};
use crate::error::Error;

/// A user of the server, as it is now.
pub struct UserHandle<'c> {
    user: NonNull<abi::User>,
    context: PhantomData<&'c abi::Ctx>,
}

impl Drop for UserHandle<'_> {
    fn drop(&mut self) {
        if let Some(free) = bound().api.FreeModuleUser {
            // SAFETY: the handle is ours, and freed once; the user itself stays.
            unsafe { free(self.user.as_ptr()) };
        }
    }
}

impl UserHandle<'_> {
    pub(crate) fn may_run(&self, argv: &[Text<'_>]) -> Result<bool, Error> {
        let check = need!(ACLCheckCommandPermissions);
        let mut argv: Vec<_> = argv.iter().map(Text::ptr).collect();
        let count = c_int::try_from(argv.len()).map_err(Error::new)?;
        // SAFETY: all are live; there are `count` strings.
        Ok(unsafe { check(self.user.as_ptr(), argv.as_mut_ptr(), count) } == abi::OK)
    }

    pub(crate) fn may_access(&self, key: &Text<'_>, flags: u64) -> Result<bool, Error> {
        let check = need!(ACLCheckKeyPermissions);
        let flags = c_int::try_from(flags).map_err(Error::new)?;
        // SAFETY: both are live.
        Ok(unsafe { check(self.user.as_ptr(), key.ptr(), flags) } == abi::OK)
    }

    pub(crate) fn may_use_channel(&self, channel: &Text<'_>, flags: u64) -> Result<bool, Error> {
        let check = need!(ACLCheckChannelPermissions);
        let flags = c_int::try_from(flags).map_err(Error::new)?;
        // SAFETY: both are live.
        Ok(unsafe { check(self.user.as_ptr(), channel.ptr(), flags) } == abi::OK)
    }
}

/// A user of the module's own, which lives as long as the process.
pub struct OwnUser {
    user: NonNull<abi::User>,
}

// SAFETY: never freed, and only used with a context at hand, that is under the server's lock.
unsafe impl Send for OwnUser {}
// SAFETY: as above.
unsafe impl Sync for OwnUser {}

impl<'h> Ctx<'h> {
    pub(crate) fn current_user(self) -> Result<Option<OwnedString>, Error> {
        let get = need!(GetCurrentUserName);
        // SAFETY: the context is live; the server gives the string away.
        Ok(unsafe { OwnedString::from_ptr(get(self.ptr())) })
    }

    pub(crate) fn user(self, name: &Text<'_>) -> Result<Option<UserHandle<'h>>, Error> {
        let get = need!(GetModuleUserFromUserName);
        need!(FreeModuleUser);
        // SAFETY: the name is live; the handle is ours.
        let user = NonNull::new(unsafe { get(name.ptr()) });
        Ok(user.map(|user| UserHandle { user, context: PhantomData }))
    }

    pub(crate) fn new_user(self, name: &str, rules: &[&str]) -> Result<OwnUser, Error> {
        let (create, set) = (need!(CreateModuleUser), need!(SetModuleUserACL));
        let free = need!(FreeModuleUser);
        let name = c_string(name);
        // SAFETY: the server copies the name.
        let user = NonNull::new(unsafe { create(name.as_ptr()) });
        let user = user.ok_or(Error::Refused("CreateModuleUser"))?;
        for rule in rules {
            let text = c_string(rule);
            // SAFETY: both are live.
            if unsafe { set(user.as_ptr(), text.as_ptr()) } != abi::OK {
                // SAFETY: nobody else has the user.
                unsafe { free(user.as_ptr()) };
                return Err(Error::new(format_args!("no rule of a user: {rule}")));
            }
        }
        Ok(OwnUser { user })
    }

    pub(crate) fn log_in_by_name(self, name: &str) -> Result<(), Error> {
        let log_in = need!(AuthenticateClientWithACLUser);
        let (data, id) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the context is live; the server reads `len` bytes and calls nobody.
        let status =
            unsafe { log_in(self.ptr(), name.as_ptr().cast(), name.len(), None, data, id) };
        ok(status, "AuthenticateClientWithACLUser")
    }

    pub(crate) fn log_in_as(self, user: &OwnUser) -> Result<(), Error> {
        let log_in = need!(AuthenticateClientWithUser);
        let (data, id) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: both are live, the user for ever.
        let status = unsafe { log_in(self.ptr(), user.user.as_ptr(), None, data, id) };
        ok(status, "AuthenticateClientWithUser")
    }

    pub(crate) fn act_as(self, user: &OwnUser) -> Result<(), Error> {
        let set = need!(SetContextUser);
        // SAFETY: both are live, the user for ever.
        unsafe { set(self.ptr(), user.user.as_ptr()) };
        Ok(())
    }
}
