//! How do the blocks of a document move to better memory?
//!
//! Depth first, each node before its children. What a clone shares stays, with all below it. When time is up the walk remembers the
//! location that comes next; the document may have changed until it goes on there, so positions are looked for, not trusted:
//! something may then be left out, until the next round.

use triomphe::{Arc, ThinArc};

use super::object::Object;
use super::{Node, Value};

/// Children of a node that are moved before time is asked for.
const CHILDREN_PER_QUESTION: u32 = 16;

/// Who moves blocks. The server's way is [`mortise_module::Mover`].
pub trait Blocks {
    /// Moves the elements of a vector, not what they own.
    fn vec<T>(&mut self, vec: &mut Vec<T>);
    /// Moves what is in a box, not what that owns.
    fn boxed<T>(&mut self, boxed: &mut Box<T>);
    /// Moves what is shared, if nobody else holds it, and hands it out.
    fn shared<'s, T>(&mut self, shared: &'s mut Arc<T>) -> Option<&'s mut T>;
    /// Moves bytes, if nobody else holds them.
    fn bytes(&mut self, bytes: &mut ThinArc<(), u8>);
    /// Whether there is time for more.
    fn goes_on(&mut self) -> bool;
}

impl Blocks for mortise_module::Mover<'_> {
    fn vec<T>(&mut self, vec: &mut Vec<T>) {
        mortise_module::Mover::vec(self, vec);
    }

    fn boxed<T>(&mut self, boxed: &mut Box<T>) {
        mortise_module::Mover::boxed(self, boxed);
    }

    fn shared<'s, T>(&mut self, shared: &'s mut Arc<T>) -> Option<&'s mut T> {
        mortise_module::Mover::shared(self, shared)
    }

    fn bytes(&mut self, bytes: &mut ThinArc<(), u8>) {
        mortise_module::Mover::bytes(self, bytes);
    }

    fn goes_on(&mut self) -> bool {
        mortise_module::Mover::goes_on(self)
    }
}

/// What has children at positions.
trait Parent {
    /// How many positions there are.
    fn places(&self) -> u32;
    /// The child at one of them.
    fn child(&mut self, at: u32) -> Option<&mut Value>;
}

impl Parent for Vec<Value> {
    fn places(&self) -> u32 {
        self.len() as u32
    }

    fn child(&mut self, at: u32) -> Option<&mut Value> {
        self.get_mut(at as usize)
    }
}

impl Parent for Object {
    fn places(&self) -> u32 {
        self.place_count()
    }

    fn child(&mut self, at: u32) -> Option<&mut Value> {
        self.value_mut(at)
    }
}

impl Value {
    /// Moves the blocks from the location `from` on, all of them if it is the root; the location to go on from, if
    /// there is more.
    pub fn move_blocks(&mut self, from: &[u32], mover: &mut impl Blocks) -> Option<Vec<u32>> {
        let mut location = Vec::new();
        self.move_below(from, &mut location, mover).then_some(location)
    }

    /// The same below `location`, which is where this value is; whether time was up, `location` being the next one
    /// then.
    fn move_below(
        &mut self,
        from: &[u32],
        location: &mut Vec<u32>,
        mover: &mut impl Blocks,
    ) -> bool {
        // What leads to the place has been moved.
        let moves = from.is_empty();
        match &mut self.0 {
            Node::Inline(_) => false,
            Node::Block(block) => {
                mover.bytes(block);
                false
            }
            Node::Ints(items) => {
                if let Some(items) = mover.shared(items) {
                    mover.vec(items);
                }
                false
            }
            Node::Floats(items) => {
                if let Some(items) = mover.shared(items) {
                    mover.vec(items);
                }
                false
            }
            Node::Array(items) => {
                let own = if moves { mover.shared(items) } else { Arc::get_mut(items) };
                let Some(items) = own else { return false };
                if moves {
                    mover.vec(items);
                }
                move_children(items, from, location, mover)
            }
            Node::Object(object) => {
                let own = if moves { mover.shared(object) } else { Arc::get_mut(object) };
                let Some(object) = own else { return false };
                if moves {
                    object.move_members(mover);
                }
                move_children(object, from, location, mover)
            }
        }
    }

    /// About how many allocations the value has, at most `limit`: those that are found by going through that many.
    pub fn allocations(&self, limit: usize) -> usize {
        let below = |own: usize, children: &mut dyn Iterator<Item = &Value>| {
            let mut sum = own;
            while sum < limit
                && let Some(child) = children.next()
            {
                // A step of its own, or values without blocks would be gone through without end.
                sum += 1 + child.allocations(limit - sum);
            }
            sum
        };
        match &self.0 {
            Node::Inline(_) => 0,
            Node::Block(_) => 1,
            Node::Ints(_) | Node::Floats(_) => 2,
            Node::Array(items) => below(2, &mut items.iter()),
            Node::Object(object) => below(3, &mut object.values()),
        }
    }
}

/// Moves what is below the children of a node from that on to which `from` leads; whether time was up.
fn move_children(
    parent: &mut impl Parent,
    from: &[u32],
    location: &mut Vec<u32>,
    mover: &mut impl Blocks,
) -> bool {
    let count = parent.places();
    let (first, mut below) = match from.split_first() {
        Some((first, below)) => (*first, below),
        None => (0, &[][..]),
    };
    for at in first..count {
        location.push(at);
        if let Some(child) = parent.child(at)
            && child.move_below(below, location, mover)
        {
            return true;
        }
        location.pop();
        below = &[];
        let is_asked = (at + 1).is_multiple_of(CHILDREN_PER_QUESTION);
        if is_asked && at + 1 < count && !mover.goes_on() {
            location.push(at + 1);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::mem::{replace, take};

    use proptest::prelude::*;

    use super::*;
    use crate::value::tests::{documents, value};

    /// Moves everything, and stops each so many questions.
    struct Everything {
        moved: usize,
        asked: usize,
        pieces: usize,
    }

    impl Blocks for Everything {
        fn vec<T>(&mut self, vec: &mut Vec<T>) {
            if vec.capacity() > 0 {
                let mut moved = Vec::with_capacity(vec.capacity());
                moved.append(vec);
                *vec = moved;
                self.moved += 1;
            }
        }

        fn boxed<T>(&mut self, _: &mut Box<T>) {
            self.moved += 1;
        }

        fn shared<'s, T>(&mut self, shared: &'s mut Arc<T>) -> Option<&'s mut T> {
            self.moved += usize::from(Arc::is_unique(shared));
            Arc::get_mut(shared)
        }

        fn bytes(&mut self, bytes: &mut ThinArc<(), u8>) {
            if ThinArc::strong_count(bytes) == 1 {
                let moved = ThinArc::from_header_and_slice((), &bytes.slice);
                drop(replace(bytes, moved));
                self.moved += 1;
            }
        }

        fn goes_on(&mut self) -> bool {
            self.asked += 1;
            !self.asked.is_multiple_of(self.pieces)
        }
    }

    /// An array of so many objects.
    fn numbered(count: usize) -> Value {
        let one = |n| format!("{{\"number\":{n},\"text\":\"{}\"}}", "x".repeat(60 + n % 40));
        let all: Vec<_> = (0..count).map(one).collect();
        value(&format!("{{\"all\":[{}]}}", all.join(",")))
    }

    /// Moves the whole document; how many blocks have moved, in how many pieces.
    fn move_all(value: &mut Value, pieces: usize) -> (usize, usize) {
        let mut mover = Everything { moved: 0, asked: 0, pieces };
        let (mut from, mut count) = (Vec::new(), 1);
        while let Some(next) = value.move_blocks(&take(&mut from), &mut mover) {
            (from, count) = (next, count + 1);
        }
        (mover.moved, count)
    }

    proptest! {
        #[test]
        fn a_move_changes_nothing(json in documents(), pieces in 1..5usize) {
            let (mut own, before) = (value(&json.to_string()), value(&json.to_string()));
            let (copy, bytes) = (own.clone(), own.memory_bytes());
            prop_assert_eq!(move_all(&mut own, pieces).0, 0, "what is shared stays");
            drop(copy);
            let whole = move_all(&mut own, usize::MAX);
            let in_pieces = move_all(&mut own, pieces);
            prop_assert_eq!(whole.0, in_pieces.0);
            prop_assert!(own == before && own.memory_bytes() == bytes);
        }
    }

    #[test]
    fn a_large_document_moves_in_pieces() {
        let mut value = numbered(20_000);
        let before = value.clone();
        assert_eq!(move_all(&mut value, 1).0, 0, "all of it is shared");
        drop(before);
        let before = numbered(20_000);
        let (moved, pieces) = move_all(&mut value, 1);
        assert!(moved > 20_000 && pieces > 1_000, "{moved} blocks in {pieces} pieces");
        assert!(value == before);
    }

    #[test]
    fn the_effort_counts_what_lies_below_up_to_a_limit() {
        let value = numbered(20_000);
        assert!(value.allocations(usize::MAX) > 20_000);
        assert!((2048..2100).contains(&value.allocations(2048)));
        assert_eq!(Value::int(1).allocations(2048), 0);
    }
}
