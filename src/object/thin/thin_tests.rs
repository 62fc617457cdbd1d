//! Are thin bytes a vector that begins with its length, and the words that own them what they say?

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn bytes_are_a_vector_that_begins_with_its_length(
        steps in proptest::collection::vec((4..700usize, any::<u8>(), any::<bool>()), 1..30)
    ) {
        let mut model = vec![0u8; LENGTH_BYTES];
        let mut bytes = ThinBytes::new(&model);
        for (len, fill, mark) in steps {
            model.resize(len, 0);
            bytes.resize(len);
            if let Some(last) = model[LENGTH_BYTES..].last_mut() {
                *last = fill;
                *bytes.tail_mut(LENGTH_BYTES).last_mut().expect("as long as the model") = fill;
            }
            bytes.set_mark(mark);
            let copy = bytes.clone();
            prop_assert_eq!((copy.mark(), bytes.mark()), (mark, mark));
            prop_assert_eq!(&bytes.as_slice()[LENGTH_BYTES..], &model[LENGTH_BYTES..]);
            prop_assert_eq!(copy.as_slice(), bytes.as_slice());
            prop_assert_eq!(&bytes.as_slice()[..LENGTH_BYTES], &(len as u32).to_le_bytes());
            prop_assert!(bytes.capacity() >= len);
        }
    }
}

#[test]
fn a_word_owns_one_thing_or_the_other() {
    let mut small = Listpack::new();
    small.push_back(b"text");
    small.set_mark(true);
    let mut one: Compact<Listpack, Vec<u64>> = Compact::small(small);
    assert_eq!(size_of_val(&one), 8);
    if let FormMut::Small(listpack) = one.form_mut() {
        (0..100).for_each(|n| listpack.push_back_i64(n));
    }
    let copy = one.clone();
    assert!(matches!(copy.form(), Form::Small(l) if l.len() == 101 && l.mark()));
    one = Compact::large(Box::new(vec![1, 2, 3]));
    if let FormMut::Large(vector) = one.form_mut() {
        vector.push(4);
    }
    let copy = one.clone();
    assert!(copy.is_large() && matches!(copy.form(), Form::Large(v) if v.len() == 4));
}

#[test]
fn a_pack_is_an_intset_or_a_listpack() {
    let mut intset = Intset::new();
    intset.add(7);
    let mut one: Compact<Pack, Vec<u64>> = Compact::small(intset.into());
    assert_eq!(size_of_val(&one), 8);
    for value in [i64::MAX, 300, 70_000] {
        let FormMut::Small(pack) = one.form_mut() else { panic!("it is small") };
        let PackMut::Ints(intset) = pack.get_mut() else {
            panic!("it stays an intset as it widens")
        };
        intset.add(value);
    }
    let copy = one.clone();
    let Form::Small(pack) = copy.form() else { panic!("a copy is as small") };
    let PackRef::Ints(intset) = pack.get() else { panic!("the copy of an intset is one") };
    assert_eq!(intset.iter().collect::<Vec<_>>(), [7, 300, 70_000, i64::MAX]);
    let mut listpack = Listpack::new();
    listpack.set_mark(true);
    one = Compact::small(listpack.into());
    let FormMut::Small(pack) = one.form_mut() else { panic!("it is small") };
    let PackMut::List(listpack) = pack.get_mut() else { panic!("a pack clears the mark") };
    (0..100).for_each(|n| listpack.push_back_i64(n));
    let Form::Small(pack) = one.form() else { panic!("it is small") };
    assert!(matches!(pack.get(), PackRef::List(listpack) if listpack.len() == 100));
}
