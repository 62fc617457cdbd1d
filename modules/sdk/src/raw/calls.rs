//! How does a module run commands and look at their replies?

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use mortise_module_abi as abi;

use super::bound;
use super::context::Ctx;
use super::strings::{Text, bytes};

/// A reply tree of the server; it dies with the context.
pub struct Reply<'h> {
    reply: NonNull<abi::CallReply>,
    lender: PhantomData<&'h abi::Ctx>,
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        // SAFETY: `Reply` is only made for roots, and the context is still live.
        unsafe { (bound().core.FreeCallReply)(self.reply.as_ptr()) };
    }
}

impl<'h> Ctx<'h> {
    /// Runs a command. `format` is `v` and flags. None: the server refused and set errno.
    pub(crate) fn call(
        self,
        command: &CStr,
        format: &CStr,
        args: &[Text<'_>],
    ) -> Option<Reply<'h>> {
        let mut argv: Vec<_> = args.iter().map(Text::ptr).collect();
        // SAFETY: all pointers are live; "v" takes a vector of strings and its length.
        let reply = unsafe {
            (bound().core.Call)(
                self.ptr(),
                command.as_ptr(),
                format.as_ptr(),
                argv.as_mut_ptr(),
                argv.len(),
            )
        };
        NonNull::new(reply).map(|reply| Reply { reply, lender: PhantomData })
    }
}

impl<'h> Reply<'h> {
    pub(crate) fn root(&self) -> Node<'_> {
        Node { reply: self.reply, root: PhantomData }
    }

    /// Writes the reply to the client as it is.
    pub(crate) fn forward(&self, ctx: Ctx<'_>) -> bool {
        match bound().api.ReplyWithCallReply {
            // SAFETY: both are live.
            Some(forward) => unsafe { forward(ctx.ptr(), self.reply.as_ptr()) == abi::OK },
            None => false,
        }
    }
}

/// A reply inside a tree.
#[derive(Clone, Copy)]
pub struct Node<'r> {
    reply: NonNull<abi::CallReply>,
    root: PhantomData<&'r abi::CallReply>,
}

/// What a node holds; containers are walked by index.
pub enum ReplyKind<'r> {
    Unknown,
    String(&'r [u8]),
    Error(&'r [u8]),
    Integer(i64),
    Array(usize),
    Null,
    Map(usize),
    Set(usize),
    Bool(bool),
    Double(f64),
    BigNumber(&'r [u8]),
    Verbatim(&'r [u8]),
}

impl<'r> Node<'r> {
    pub(crate) fn kind(self) -> ReplyKind<'r> {
        let core = &bound().core;
        let api = &bound().api;
        // SAFETY: the node is live, and asked only for what its type has.
        match unsafe { (core.CallReplyType)(self.ptr()) } {
            abi::REPLY_STRING => ReplyKind::String(self.string(core.CallReplyStringPtr)),
            abi::REPLY_ERROR => ReplyKind::Error(self.string(core.CallReplyStringPtr)),
            abi::REPLY_INTEGER => {
                // SAFETY: as above.
                ReplyKind::Integer(unsafe { (core.CallReplyInteger)(self.ptr()) })
            }
            abi::REPLY_ARRAY => ReplyKind::Array(self.len()),
            abi::REPLY_NULL => ReplyKind::Null,
            abi::REPLY_MAP => ReplyKind::Map(self.len()),
            abi::REPLY_SET => ReplyKind::Set(self.len()),
            abi::REPLY_BOOL => match api.CallReplyBool {
                // SAFETY: as above.
                Some(get) => ReplyKind::Bool(unsafe { get(self.ptr()) } != 0),
                None => ReplyKind::Unknown,
            },
            abi::REPLY_DOUBLE => match api.CallReplyDouble {
                // SAFETY: as above.
                Some(get) => ReplyKind::Double(unsafe { get(self.ptr()) }),
                None => ReplyKind::Unknown,
            },
            abi::REPLY_BIG_NUMBER => match api.CallReplyBigNumber {
                Some(get) => ReplyKind::BigNumber(self.string(get)),
                None => ReplyKind::Unknown,
            },
            abi::REPLY_VERBATIM_STRING => match api.CallReplyVerbatim {
                Some(get) => ReplyKind::Verbatim(self.verbatim(get)),
                None => ReplyKind::Unknown,
            },
            _ => ReplyKind::Unknown,
        }
    }

    fn ptr(self) -> *mut abi::CallReply {
        self.reply.as_ptr()
    }

    fn len(self) -> usize {
        // SAFETY: the node is live.
        unsafe { (bound().core.CallReplyLength)(self.ptr()) }
    }

    fn string(
        self,
        get: unsafe extern "C" fn(*mut abi::CallReply, *mut usize) -> *const c_char,
    ) -> &'r [u8] {
        let mut len = 0;
        // SAFETY: the node is live; the text belongs to the root, so it lives during `'r`.
        unsafe {
            let data = get(self.ptr(), &raw mut len);
            bytes(data, len)
        }
    }

    fn verbatim(self, get: abi::api::CallReplyVerbatim) -> &'r [u8] {
        let mut len = 0;
        let mut format: *const c_char = ptr::null();
        // SAFETY: as in `string`.
        unsafe {
            let data = get(self.ptr(), &raw mut len, &raw mut format);
            bytes(data, len)
        }
    }

    /// An element of an array or a set.
    pub(crate) fn element(self, index: usize) -> Option<Node<'r>> {
        // SAFETY: the node is live; the server checks type and index.
        let element = unsafe { (bound().core.CallReplyArrayElement)(self.ptr(), index) };
        let element = match (NonNull::new(element), bound().api.CallReplySetElement) {
            (None, Some(set_element)) => {
                // SAFETY: as above.
                NonNull::new(unsafe { set_element(self.ptr(), index) })
            }
            (element, _) => element,
        };
        element.map(|reply| Node { reply, root: PhantomData })
    }

    /// A pair of a map.
    pub(crate) fn pair(self, index: usize) -> Option<(Node<'r>, Node<'r>)> {
        let get = bound().api.CallReplyMapElement?;
        let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the node is live; the server checks type and index.
        let status = unsafe { get(self.ptr(), index, &raw mut key, &raw mut value) };
        if status != abi::OK {
            return None;
        }
        let node = |reply| NonNull::new(reply).map(|reply| Node { reply, root: PhantomData });
        Some((node(key)?, node(value)?))
    }
}
