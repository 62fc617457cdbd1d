//! Is what Redis takes over unchecked taken over here, as bytes, and nothing else?

use proptest::prelude::*;

use super::read::Reader;
use super::write::{Style, Writer};
use super::*;
use crate::object::list::End;
use crate::object::listpack::Listpack;
use crate::object::stream::NewId;
use crate::object::stream::NodeLimits;
use crate::object::unchecked::{Collection, Trouble};

const STYLE: Style = Style { version: 11, compress: false };

fn context(check: Check) -> LoadContext<'static> {
    let key = KeyName { name: None, db: 0 };
    let limits = Limits::default();
    LoadContext { limits, types: &NoTypes, key, dialect: Dialect::Redis, check }
}

fn read(kind: u8, bytes: &[u8], check: Check) -> Result<Loaded, RdbError> {
    let mut reader = Reader::new(bytes);
    let loaded = load(kind, &mut reader, &context(check))?;
    assert_eq!(reader.position(), bytes.len(), "all was read");
    Ok(loaded)
}

/// What becomes of a payload when frames are checked: the unchecked value, if it is one.
fn taken_over(kind: u8, bytes: &[u8]) -> Result<Unchecked, String> {
    assert!(read(kind, bytes, Check::Whole).is_err());
    match read(kind, bytes, Check::Frames) {
        Ok(Loaded::Unchecked(value)) => {
            assert_eq!((value.kind(), value.payload()), (kind, bytes));
            Ok(*value)
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut writer = Writer::new(STYLE);
    write(&mut writer);
    writer.into_bytes()
}

fn pack(texts: &[&str]) -> Listpack {
    let mut pack = Listpack::new();
    texts.iter().for_each(|text| pack.push_back(text.as_bytes()));
    pack
}

/// The bytes of a listpack as RDB has them, after `damage`.
fn damaged(texts: &[&str], damage: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = pack(texts).as_bytes().to_vec();
    damage(&mut bytes);
    written(|writer| writer.blob(&bytes))
}

fn stream(entries: usize) -> Stream {
    let mut stream = Stream::default();
    for number in 0..entries {
        let id = stream.log.next_id(NewId::Auto, 1).unwrap();
        let text = number.to_string();
        let pairs = [[&b"f"[..], text.as_bytes()]];
        stream.log.append(id, &pairs, NodeLimits { bytes_max: 64, entries_max: 3 }).unwrap();
    }
    stream.groups.add(b"g", crate::object::stream::Group::new(stream.log.last_id, None));
    stream
}

#[test]
fn a_wrong_element_in_a_right_frame_is_taken_over() {
    let spoil = |bytes: &mut [u8]| bytes[7] = 99;
    for (kind, collection) in [
        (kind::SET_LISTPACK, Collection::Set),
        (kind::HASH_LISTPACK, Collection::Hash),
        (kind::ZSET_LISTPACK, Collection::Zset),
    ] {
        let value = taken_over(kind, &damaged(&["1", "2", "3", "4"], spoil)).unwrap();
        assert_eq!((value.collection(), value.encoding()), (collection, "listpack"));
        assert!(matches!(value.trouble(), Trouble::Assertion(text) if text.contains("listpack")));
    }
    let node = pack(&["1", "2"]).as_bytes().to_vec();
    let list = |nodes: u64| {
        written(|writer| {
            writer.number(nodes);
            for _ in 0..nodes {
                let mut node = node.clone();
                spoil(&mut node);
                writer.number(2);
                writer.blob(&node);
            }
        })
    };
    assert_eq!(taken_over(kind::LIST_QUICKLIST_2, &list(1)).unwrap().encoding(), "listpack");
    assert_eq!(taken_over(kind::LIST_QUICKLIST_2, &list(2)).unwrap().encoding(), "quicklist");
    let intset = [2, 0, 0, 0, 2, 0, 0, 0, 7, 0, 3, 0];
    let intset = taken_over(kind::SET_INTSET, &written(|writer| writer.blob(&intset))).unwrap();
    assert_eq!((intset.collection(), intset.encoding()), (Collection::Set, "intset"));
}

#[test]
fn a_field_that_comes_twice_is_taken_over_unless_it_must_be_converted() {
    let bytes = damaged(&["a", "1", "a", "2"], |_| {});
    taken_over(kind::HASH_LISTPACK, &bytes).unwrap();
    let mut ctx = context(Check::Frames);
    ctx.limits.hash.entries_max = 1;
    let error = load(kind::HASH_LISTPACK, &mut Reader::new(&bytes), &ctx).unwrap_err();
    assert!(error.to_string().contains("listpack with dup elements"), "{error}");
}

#[test]
fn a_member_that_comes_twice_is_a_member_twice() {
    let bytes = damaged(&["a", "b", "a"], |_| {});
    assert!(read(kind::SET_LISTPACK, &bytes, Check::Whole).is_err());
    let Ok(Loaded::Set(mut set)) = read(kind::SET_LISTPACK, &bytes, Check::Frames) else {
        panic!("no set")
    };
    assert_eq!((set.len(), set.iter().count()), (3, 3));
    assert!(set.remove(b"a") && set.contains(b"a") && set.remove(b"a") && !set.remove(b"a"));
    let mut ctx = context(Check::Frames);
    ctx.limits.set.listpack_entries_max = 2;
    assert!(load(kind::SET_LISTPACK, &mut Reader::new(&bytes), &ctx).is_err());
}

#[test]
fn wrong_frames_are_refused() {
    for damage in [0, 1, 14] {
        let bytes = damaged(&["1", "2", "3", "4"], |bytes| bytes[damage] ^= 1);
        for kind in [kind::SET_LISTPACK, kind::HASH_LISTPACK, kind::ZSET_LISTPACK] {
            assert!(taken_over(kind, &bytes).is_err(), "kind {kind}, byte {damage}");
        }
    }
    // The header counts no elements, or does not say how many.
    let bytes = damaged(&["1", "2"], |bytes| bytes[4] = 0);
    assert_eq!(taken_over(kind::SET_LISTPACK, &bytes).unwrap_err(), "empty key");
    let bytes = damaged(&["1", "2"], |bytes| bytes[4..8].copy_from_slice(&[255, 255, 1, 9]));
    assert!(taken_over(kind::SET_LISTPACK, &bytes).is_err());
    // Older forms are converted, so all of them is looked at.
    let ziplist = written(|writer| writer.blob(&[11, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0xff]));
    assert!(taken_over(kind::HASH_ZIPLIST, &ziplist).is_err());
}

#[test]
fn streams_are_taken_over_with_their_groups() {
    let bytes = written(|writer| stream::save(&stream(7), writer));
    assert!(matches!(read(kind::STREAM_LISTPACKS_3, &bytes, Check::Frames), Ok(Loaded::Stream(_))));
    // The length behind the first element of the first node.
    let at = 1 + 1 + 16 + 1 + 6 + 1;
    assert_eq!(bytes[at], 1);
    let mut wrong = bytes.clone();
    wrong[at] = 9;
    let value = taken_over(kind::STREAM_LISTPACKS_3, &wrong).unwrap();
    assert_eq!((value.collection(), value.encoding()), (Collection::Stream, "stream"));
    // What is wrong in a group is not taken over.
    let group = bytes.len() - 1;
    wrong[group] = 77;
    assert!(read(kind::STREAM_LISTPACKS_3, &wrong, Check::Frames).is_err());
}

#[test]
fn an_old_stream_whose_first_entry_cannot_be_read_is_refused() {
    let style = Style { version: 9, compress: false };
    let mut writer = Writer::new(style);
    stream::save(&stream(2), &mut writer);
    let bytes = writer.into_bytes();
    let node = 1 + 1 + 16 + 1;
    // Behind the header: live, deleted, fields, "f", 0, flags, ...
    let mut wrong = bytes.clone();
    wrong[node + 6 + 1] = 9;
    let error = taken_over(kind::STREAM_LISTPACKS, &wrong).unwrap_err();
    assert!(error.contains("=== ASSERTION FAILED ==="), "{error}");
    // What comes behind that ID is not needed.
    let last = node + usize::from(bytes[node]) - 2;
    let mut wrong = bytes.clone();
    wrong[last] = 9;
    taken_over(kind::STREAM_LISTPACKS, &wrong).unwrap();
}

#[test]
fn a_stream_without_entries_that_says_it_has_some_is_told_apart() {
    let mut bytes = written(|writer| stream::save(&stream(1), writer));
    let node = 1 + 1 + 16 + 1;
    // The last element of the entry, which counts the others.
    let last = node + usize::from(bytes[node]) - 3;
    assert_eq!((bytes[last], bytes[last + 1]), (4, 1));
    bytes[last] = 0;
    let value = taken_over(kind::STREAM_LISTPACKS_3, &bytes).unwrap();
    assert_eq!(*value.trouble(), Trouble::NoLastId(1));
}

fn values() -> Vec<(u8, Vec<u8>)> {
    let texts: Vec<String> = (0..9).map(|number| format!("text {number}")).collect();
    let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    let (mut list, mut set, mut ints) = (List::new(), Set::new(), Set::new());
    let (mut zset, mut hash) = (Zset::new(), Hash::new());
    let limits = Limits::default();
    list.push(End::Tail, &texts, limits.list);
    for (number, text) in texts.iter().enumerate() {
        set.add(text, limits.set);
        ints.add(number.to_string().as_bytes(), limits.set);
        zset.set(text, number as f64, limits.zset);
        hash.set(text, b"1", 0, limits.hash);
    }
    vec![
        (list::kind_of(11), written(|writer| list::save(&list, writer))),
        (set::kind_of(&set, 11), written(|writer| set::save(&set, writer))),
        (set::kind_of(&ints, 11), written(|writer| set::save(&ints, writer))),
        (zset::kind_of(&zset, 11), written(|writer| zset::save(&zset, writer))),
        (hash::kind_of(&hash, 11), written(|writer| hash::save(&hash, writer))),
        (stream::kind_of(11), written(|writer| stream::save(&stream(7), writer))),
    ]
}

proptest! {
    /// A set with a member that comes twice can be loaded again, whatever version it is saved for.
    #[test]
    fn repeated_members_are_read_back(
        members in prop::collection::vec("[ab1-3]{1,2}", 1..12),
        version in 9..=12u32,
        compress in any::<bool>(),
    ) {
        let mut pack = Listpack::new();
        members.iter().for_each(|member| pack.push_back(member.as_bytes()));
        let set = Set::with_repetitions(pack);
        let mut writer = Writer::new(Style { version, compress });
        set::save(&set, &mut writer);
        let read = read(set::kind_of(&set, version), &writer.into_bytes(), Check::Frames);
        let Ok(Loaded::Set(back)) = read else { panic!("{read:?}") };
        let texts = |set: &Set| -> Vec<Vec<u8>> { set.iter().map(|member| member.to_vec()).collect() };
        let (mut back, mut want) = (texts(&back), texts(&set));
        if version < 11 {
            back.sort();
            want.sort();
            want.dedup();
        }
        prop_assert_eq!(back, want);
    }

    /// Whatever is damaged: what is good stays an ordinary value, what is taken over is the bytes as they came, and the
    /// reader stands behind them.
    #[test]
    fn damage_is_refused_taken_over_or_harmless(
        which in 0..6usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let (kind, mut bytes) = values().swap_remove(which);
        for (at, mask) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        bytes.extend(behind);
        let (mut whole, mut frames) = (Reader::new(&bytes), Reader::new(&bytes));
        let strict = load(kind, &mut whole, &context(Check::Whole));
        let lenient = load(kind, &mut frames, &context(Check::Frames));
        match (strict, lenient) {
            (Ok(_), Ok(Loaded::Unchecked(_))) => prop_assert!(false, "it was good"),
            (Ok(_), Ok(_)) => prop_assert_eq!(whole.position(), frames.position()),
            (Ok(_), Err(error)) => prop_assert!(false, "{error}"),
            (Err(error), Ok(Loaded::Unchecked(value))) => {
                prop_assert!(matches!(error, RdbError::Corrupt(_)), "{}", error);
                prop_assert_eq!(value.payload(), &bytes[..frames.position()]);
            }
            (Err(_), Ok(Loaded::Set(set))) => {
                // A member comes twice.
                prop_assert!(set.iter().count() == set.len());
            }
            (Err(_), Ok(other)) => prop_assert!(false, "{other:?}"),
            (Err(_), Err(_)) => {}
        }
    }
}
