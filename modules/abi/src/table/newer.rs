//! Which functions have releases after 7.4 added, and what is the C signature of each?
//!
//! The newer part of the table in `table.rs`, which says how to read it.

/// Calls `$callback!` with the older part of the table and with this one.
#[doc(hidden)]
#[macro_export]
macro_rules! with_newer_api {
    ($callback:ident $($older:tt)*) => {
        $callback! {
        $($older)*
        "config-access" {
            fixed ConfigIteratorCreate "8.2.0" (
                ctx: *mut Ctx, pattern: *const c_char
            ) -> *mut ConfigIterator;
            fixed ConfigIteratorNext "8.2.0" (iter: *mut ConfigIterator) -> *const c_char;
            fixed ConfigIteratorRelease "8.2.0" (ctx: *mut Ctx, iter: *mut ConfigIterator);
            fixed ConfigGetType "8.2.0" (name: *const c_char, res: *mut c_int) -> c_int;
            fixed ConfigGet "8.2.0" (
                ctx: *mut Ctx, name: *const c_char, res: *mut *mut ModuleString
            ) -> c_int;
            fixed ConfigGetBool "8.2.0" (
                ctx: *mut Ctx, name: *const c_char, res: *mut c_int
            ) -> c_int;
            fixed ConfigGetEnum "8.2.0" (
                ctx: *mut Ctx, name: *const c_char, res: *mut *mut ModuleString
            ) -> c_int;
            fixed ConfigGetNumeric "8.2.0" (
                ctx: *mut Ctx, name: *const c_char, res: *mut c_longlong
            ) -> c_int;
            fixed ConfigSet "8.2.0" (
                ctx: *mut Ctx, name: *const c_char, value: *mut ModuleString,
                err: *mut *mut ModuleString
            ) -> c_int;
            fixed ConfigSetBool "8.2.0" (
                ctx: *mut Ctx, name: *const c_char, value: c_int, err: *mut *mut ModuleString
            ) -> c_int;
            fixed ConfigSetEnum "8.2.0" (
                ctx: *mut Ctx, name: *const c_char, value: *mut ModuleString,
                err: *mut *mut ModuleString
            ) -> c_int;
            fixed ConfigSetNumeric "8.2.0" (
                ctx: *mut Ctx, name: *const c_char, value: c_longlong, err: *mut *mut ModuleString
            ) -> c_int;
        }
        "newer users and events" {
            fixed ACLCheckKeyPrefixPermissions "8.2.0" (
                user: *mut User, prefix: *mut ModuleString, flags: c_int
            ) -> c_int;
            fixed GetContextUser "8.6.0" (ctx: *mut Ctx) -> *const User;
            fixed GetUserUsername "8.6.0" (ctx: *mut Ctx, user: *const User) -> *mut ModuleString;
            fixed MustObeyClient "8.1.0" (ctx: *mut Ctx) -> c_int;
            fixed UnsubscribeFromKeyspaceEvents "8.4.0" (
                ctx: *mut Ctx, types: c_int, cb: NotificationFunc
            ) -> c_int;
        }
        }
    };
}
