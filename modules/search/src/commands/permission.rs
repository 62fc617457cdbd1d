//! May this user see what an index has?
//!
//! Only if he may see every key that the index may have: a result tells something about keys that are not in it, by
//! its total, its scores, its order. Servers can be asked about single keys, so each prefix is tried with endings that
//! only a pattern which ends in a star lets through.

use mortise_module::{Access, Context};

use crate::error::Error;
use crate::schema::Schema;

/// Endings that no pattern has by chance, of different lengths for those that count letters.
const ENDINGS: [&[u8]; 3] =
    [b"\x01", b"\x01\xfe:mortise:7f3a9c", b"\x01\xfe:mortise:7f3a9c51d0e84b26\x02\x03"];

/// Refuses users who may not do `access` with all keys that the index may have.
pub fn check(ctx: &Context<'_>, schema: &Schema, access: Access) -> Result<(), Error> {
    // Servers that know no users, and contexts without one, have nothing to refuse.
    let Ok(Some(name)) = ctx.current_user() else { return Ok(()) };
    let user = match ctx.user(&name) {
        Ok(Some(user)) => user,
        // A name that is in no list: nothing is known of what its bearer may do.
        Ok(None) => return Err(REFUSED),
        Err(_) => return Ok(()),
    };
    for prefix in &schema.prefixes {
        for ending in ENDINGS {
            let probe = [prefix, ending].concat();
            if !user.may_access(&probe, access).unwrap_or(true) {
                return Err(REFUSED);
            }
        }
    }
    Ok(())
}

const REFUSED: Error =
    Error::Text("NOPERM User does not have the required permissions to query the index");
