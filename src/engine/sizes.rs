//! Up to which size does a collection keep a compact form, and how large do its parts become? What the
//! configuration says, in the words of the types.

use std::sync::atomic::Ordering;

use super::ctx::WriteCtx;
use crate::config::params::Param;
use crate::object::hash::HashLimits;
use crate::object::list::{ListLimits, PLAIN_BYTES_MIN};
use crate::object::stream::NodeLimits;
use crate::object::zset::ZsetLimits;

impl WriteCtx<'_> {
    /// When a hash leaves its compact form.
    #[inline]
    pub fn hash_limits(&self) -> HashLimits {
        let config = self.config();
        HashLimits {
            entries_max: config.size(Param::HashMaxListpackEntries),
            value_max: config.size(Param::HashMaxListpackValue),
        }
    }

    /// How large the parts of a list may become.
    #[inline]
    pub fn list_limits(&self) -> ListLimits {
        let plain_min = match self.env.shared.limits.list_plain_bytes.load(Ordering::Relaxed) {
            0 => PLAIN_BYTES_MIN,
            bytes => bytes,
        };
        ListLimits::new(self.config().int(Param::ListMaxListpackSize), plain_min)
    }

    /// When a sorted set leaves its compact form.
    #[inline]
    pub fn zset_limits(&self) -> ZsetLimits {
        let config = self.config();
        ZsetLimits {
            entries_max: config.size(Param::ZsetMaxListpackEntries),
            value_max: config.size(Param::ZsetMaxListpackValue),
        }
    }

    /// When a node of a stream is full.
    #[inline]
    pub fn node_limits(&self) -> NodeLimits {
        let config = self.config();
        NodeLimits {
            bytes_max: config.size(Param::StreamNodeMaxBytes),
            entries_max: config.size(Param::StreamNodeMaxEntries),
        }
    }
}
