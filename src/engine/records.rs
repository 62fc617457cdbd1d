//! Which commands does a call, or a unit, leave behind for the log? Encoded as they will be sent, one behind the other, so that
//! a command costs no allocation of its own and is encoded once for all who get it.
//!
//! Invariant: the commands stand in the order in which they take effect.

use super::effects::Targets;
use super::log::encode;
use super::spec::Argv;

/// Commands on their way to the effect log.
#[derive(Clone, Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

/// What is known of a command beside its bytes.
#[derive(Clone, Copy, Debug)]
struct Head {
    db: u32,
    targets: Targets,
    /// Where its bytes end; they begin where those of the one before do.
    end: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The db it applies to.
    pub db: u32,
    /// Where it goes.
    pub targets: Targets,
    /// The command, encoded.
    pub bytes: &'a [u8],
}

impl Records {
    /// Adds a command.
    pub fn push(&mut self, db: u32, targets: Targets, argv: Argv<'_>) {
        encode(&mut self.bytes, argv);
        self.heads.push(Head { db, targets, end: self.bytes.len() });
    }

    /// Adds those of another list, which is empty then.
    pub fn append(&mut self, other: &mut Records) {
        let before = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        let moved = other.heads.drain(..);
        self.heads.extend(moved.map(|head| Head { end: before + head.end, ..head }));
    }

    /// Forgets all, and keeps the room for others.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The commands, in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let mut begin = 0;
        self.heads.iter().map(move |head| {
            let bytes = &self.bytes[begin..head.end];
            begin = head.end;
            Record { db: head.db, targets: head.targets, bytes }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_joined_in_order() {
        let (mut first, mut second) = (Records::default(), Records::default());
        first.push(1, Targets::AOF, &[b"DEL", b"a"]);
        second.push(2, Targets::all(), &[b"SET", b"b", b""]);
        second.push(3, Targets::REPLICAS, &[b"PING"]);
        first.append(&mut second);
        assert!(second.is_empty());
        let want = [
            (1, Targets::AOF, &b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"[..]),
            (2, Targets::all(), b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$0\r\n\r\n"),
            (3, Targets::REPLICAS, b"*1\r\n$4\r\nPING\r\n"),
        ];
        let want = want.map(|(db, targets, bytes)| Record { db, targets, bytes });
        assert_eq!(first.iter().collect::<Vec<_>>(), want);
        first.clear();
        assert_eq!((first.len(), first.iter().next()), (0, None));
    }
}
