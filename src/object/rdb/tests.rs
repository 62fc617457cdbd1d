//! Are values of every type read back as they were written, and foreign bytes read or refused?

use std::sync::LazyLock;

use proptest::prelude::*;

use super::read::Reader;
use super::write::{Style, Writer};
use super::*;
use crate::object::hash::HashEntry;
use crate::object::list::End;
use crate::object::listpack::Listpack;
use crate::object::stream::{NodeLimits, Pending, StreamId};

static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    hash: HashLimits { entries_max: 8, value_max: 16 },
    set: SetLimits { intset_entries_max: 8, listpack_entries_max: 6, listpack_value_max: 16 },
    zset: ZsetLimits { entries_max: 8, value_max: 16 },
    list: ListLimits::new(4, 100),
});

fn context(dialect: Dialect) -> LoadContext<'static> {
    let (key, check) = (KeyName { name: None, db: 0 }, Check::Whole);
    LoadContext { limits: *LIMITS, types: &NoTypes, key, dialect, check }
}

fn read(kind: u8, bytes: &[u8]) -> Result<Loaded, RdbError> {
    let mut reader = Reader::new(bytes);
    let loaded = load(kind, &mut reader, &context(Dialect::Redis))?;
    assert_eq!(reader.position(), bytes.len(), "all was read");
    Ok(loaded)
}

/// A blob as RDB has strings.
fn blob(bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Style { version: 11, compress: false });
    writer.blob(bytes);
    writer.into_bytes()
}

fn styles() -> impl Strategy<Value = Style> {
    (9..=12u32, any::<bool>()).prop_map(|(version, compress)| Style { version, compress })
}

/// Texts, many of them integers or repetitive.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (-300..300i32).prop_map(|n| n.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(b'a'..b'c', 0..200),
    ]
}

proptest! {
    #[test]
    fn strings_are_read_back(text in text(), style in styles()) {
        let mut writer = Writer::new(style);
        writer.string(&text);
        let bytes = writer.into_bytes();
        let mut skipping = Reader::new(&bytes);
        prop_assert_eq!(skipping.skip_string(), Ok(()));
        prop_assert_eq!(skipping.position(), bytes.len());
        let Loaded::Str(back) = read(kind::STRING, &bytes).unwrap() else { panic!("a string") };
        prop_assert_eq!(back, text);
    }

    #[test]
    fn hashes_are_read_back(
        fields in prop::collection::btree_map(text(), (text(), prop::option::of(1..1u64 << 45)), 1..20),
        style in styles(),
    ) {
        let mut hash = Hash::new();
        for (field, (value, expire_at)) in &fields {
            hash.set(field, value, 0, LIMITS.hash);
            if expire_at.is_some() {
                hash.set_field_expire(field, *expire_at, 0);
            }
        }
        let mut writer = Writer::new(style);
        hash::save(&hash, &mut writer);
        let bytes = writer.into_bytes();
        let Loaded::Hash(back) = read(hash::kind_of(&hash, style.version), &bytes).unwrap() else {
            panic!("a hash")
        };
        prop_assert_eq!(back.len(), fields.len());
        for HashEntry { field, value, expire_at } in back.entries() {
            let (expected, expire) = &fields[&field.to_vec()];
            prop_assert_eq!((value.to_vec(), expire_at), (expected.clone(), *expire));
        }
    }

    #[test]
    fn sets_are_read_back(
        members in prop_oneof![
            prop::collection::btree_set(text(), 1..20),
            prop::collection::btree_set(any::<i32>().prop_map(|n| n.to_string().into_bytes()), 1..12),
        ],
        style in styles(),
    ) {
        let mut set = Set::new();
        for member in &members {
            set.add(member, LIMITS.set);
        }
        let mut writer = Writer::new(style);
        set::save(&set, &mut writer);
        let bytes = writer.into_bytes();
        let Loaded::Set(back) = read(set::kind_of(&set, style.version), &bytes).unwrap() else {
            panic!("a set")
        };
        if style.version >= 11 {
            prop_assert_eq!(back.encoding(), set.encoding());
        }
        let back: std::collections::BTreeSet<Vec<u8>> =
            back.iter().map(|member| member.to_vec()).collect();
        prop_assert_eq!(back, members);
    }

    #[test]
    fn zsets_are_read_back(
        members in prop::collection::btree_map(text(), score(), 1..20),
        style in styles(),
    ) {
        let mut zset = Zset::new();
        for (member, score) in &members {
            zset.set(member, *score, LIMITS.zset);
        }
        let mut writer = Writer::new(style);
        zset::save(&zset, &mut writer);
        let bytes = writer.into_bytes();
        let Loaded::Zset(back) = read(zset::kind_of(&zset, style.version), &bytes).unwrap() else {
            panic!("a zset")
        };
        if style.version >= 10 {
            prop_assert_eq!(back.encoding(), zset.encoding());
        }
        let back: std::collections::BTreeMap<Vec<u8>, f64> =
            back.iter().map(|(member, score)| (member.to_vec(), score)).collect();
        prop_assert_eq!(back, members);
    }

    #[test]
    fn lists_are_read_back(
        elements in prop::collection::vec(text(), 1..30),
        style in styles(),
    ) {
        let mut list = List::new();
        for element in &elements {
            let one = [element.as_slice()];
            list.grow(&one, LIMITS.list);
            list.push(End::Tail, &one, LIMITS.list);
        }
        let mut writer = Writer::new(style);
        list::save(&list, &mut writer);
        let bytes = writer.into_bytes();
        let Loaded::List(back) = read(list::kind_of(style.version), &bytes).unwrap() else {
            panic!("a list")
        };
        let back: Vec<Vec<u8>> = back.iter().map(|element| element.to_vec()).collect();
        prop_assert_eq!(back, elements);
    }

    #[test]
    fn streams_are_read_back(
        entries in prop::collection::vec(prop::collection::vec((text(), text()), 1..4), 0..30),
        deleted in prop::collection::vec(1..30u64, 0..5),
        pending in prop::collection::btree_map(1..30u64, (any::<bool>(), 1..5u64), 0..10),
        style in styles(),
    ) {
        let stream = stream_of(&entries, &deleted, &pending);
        let mut writer = Writer::new(style);
        stream::save(&stream, &mut writer);
        let bytes = writer.into_bytes();
        let Loaded::Stream(back) = read(stream::kind_of(style.version), &bytes).unwrap() else {
            panic!("a stream")
        };
        prop_assert_eq!(describe(&back, style.version), describe(&stream, style.version));
        // A stream without an end asks for more, whatever is there.
        for end in 0..bytes.len() {
            let layout = stream::Layout::Third;
            if style.version >= 11 {
                let cut = stream::load(&mut Reader::new(&bytes[..end]), layout).map(drop);
                prop_assert_eq!(cut, Err(RdbError::Truncated));
            }
        }
    }

    #[test]
    fn damaged_collections_are_read_or_refused(
        entries in prop::collection::vec(prop::collection::vec((text(), text()), 1..4), 1..10),
        flip in any::<prop::sample::Index>(),
        mask in 1..=255u8,
    ) {
        let texts: Vec<&[u8]> =
            entries.iter().flatten().map(|(field, _)| field.as_slice()).collect();
        let mut list = List::new();
        list.grow(&texts, LIMITS.list);
        list.push(End::Tail, &texts, LIMITS.list);
        let (mut set, mut zset) = (Set::new(), Zset::new());
        for (number, text) in texts.iter().enumerate() {
            set.add(text, LIMITS.set);
            zset.set(text, number as f64 / 2.0, LIMITS.zset);
        }
        let stream = stream_of(&entries, &[1], &[(1, (true, 1)), (2, (false, 1))].into());
        let style = Style { version: 11, compress: false };
        let written = |write: &dyn Fn(&mut Writer<'_>)| {
            let mut writer = Writer::new(style);
            write(&mut writer);
            writer.into_bytes()
        };
        for (kind, mut bytes) in [
            (list::kind_of(11), written(&|writer| list::save(&list, writer))),
            (set::kind_of(&set, 11), written(&|writer| set::save(&set, writer))),
            (zset::kind_of(&zset, 11), written(&|writer| zset::save(&zset, writer))),
            (stream::kind_of(11), written(&|writer| stream::save(&stream, writer))),
        ] {
            let at = flip.index(bytes.len());
            bytes[at] ^= mask;
            let mut reader = Reader::new(&bytes);
            match load(kind, &mut reader, &context(Dialect::Redis)) {
                // What was accepted can be used.
                Ok(Loaded::List(list)) => prop_assert_eq!(list.iter().count(), list.len()),
                Ok(Loaded::Set(set)) => prop_assert_eq!(set.iter().count(), set.len()),
                Ok(Loaded::Zset(zset)) => prop_assert_eq!(zset.iter().count(), zset.len()),
                Ok(Loaded::Stream(stream)) => {
                    let all = stream.log.range(StreamId::MIN, StreamId::MAX);
                    prop_assert_eq!(all.count(), stream.len());
                    describe(&stream, 11);
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => {}
            }
        }
    }

    #[test]
    fn foreign_bytes_are_read_or_refused(
        kind in 0..30u8,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        valkey in any::<bool>(),
    ) {
        let dialect = if valkey { Dialect::Valkey } else { Dialect::Redis };
        let _ = load(kind, &mut Reader::new(&bytes), &context(dialect));
        let _ = load(kind, &mut Reader::new(&blob(&bytes)), &context(dialect));
    }

    /// Every prefix of a value asks for more, and no damaged byte does harm.
    #[test]
    fn damaged_values_are_read_or_refused(
        fields in prop::collection::btree_map(text(), text(), 1..12),
        flip in any::<prop::sample::Index>(),
        mask in 1..=255u8,
    ) {
        let mut hash = Hash::new();
        for (field, value) in &fields {
            hash.set(field, value, 0, LIMITS.hash);
        }
        let mut writer = Writer::new(Style::default());
        hash::save(&hash, &mut writer);
        let kind = hash::kind_of(&hash, 11);
        let mut bytes = writer.into_bytes();
        for end in 0..bytes.len() {
            let cut = load(kind, &mut Reader::new(&bytes[..end]), &context(Dialect::Redis)).map(drop);
            prop_assert_eq!(cut, Err(RdbError::Truncated));
        }
        let at = flip.index(bytes.len());
        bytes[at] ^= mask;
        let _ = load(kind, &mut Reader::new(&bytes), &context(Dialect::Redis));
    }
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        (-1000..1000i32).prop_map(f64::from),
        any::<f64>().prop_filter("no score", |score| !score.is_nan()),
    ]
}

/// A stream with a group of two consumers, of which each pending entry names one.
fn stream_of(
    entries: &[Vec<(Vec<u8>, Vec<u8>)>],
    deleted: &[u64],
    pending: &std::collections::BTreeMap<u64, (bool, u64)>,
) -> Stream {
    let mut stream = Stream::default();
    for (number, pairs) in entries.iter().enumerate() {
        let pairs: Vec<[&[u8]; 2]> =
            pairs.iter().map(|(field, value)| [field.as_slice(), value.as_slice()]).collect();
        let limits = NodeLimits { bytes_max: 500, entries_max: 5 };
        stream.log.append(StreamId::new(number as u64 + 1, 7), &pairs, limits).unwrap();
    }
    let deleted: Vec<StreamId> = deleted.iter().map(|ms| StreamId::new(*ms, 7)).collect();
    stream.log.delete(&deleted);
    let mut group = crate::object::stream::Group::new(StreamId::new(3, 7), None);
    let owners = [b"one", b"two"].map(|name| group.add_consumer(name, 1000, Some(900)).unwrap());
    for (ms, (second, count)) in pending {
        let owner = owners[usize::from(*second)];
        group.assign(StreamId::new(*ms, 7), Pending { delivered_ms: 5000, count: *count, owner });
    }
    stream.groups.add(b"group", group);
    stream
}

/// What a stream holds, as far as a version of the format can tell.
fn describe(stream: &Stream, version: u32) -> Vec<String> {
    let log = &stream.log;
    let mut lines = vec![format!("{} {}", log.len(), log.last_id)];
    if version >= 10 {
        lines.push(format!("{} {}", log.max_deleted_id, log.entries_added));
    }
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        lines.push(format!("{} {:?}", entry.id, entry.fields.collect::<Vec<_>>()));
    }
    for (name, group) in stream.groups.iter() {
        lines.push(format!("{name:?} {}", group.last_id));
        if version >= 10 {
            lines.push(format!("read {:?}", group.entries_read));
        }
        for (id, pending) in group.pending_from(StreamId::MIN) {
            let owner = group.owner_name(*pending);
            lines.push(format!("{id} {owner:?} {} {}", pending.delivered_ms, pending.count));
        }
        for consumer in group.consumers() {
            let active = consumer.active_ms.filter(|_| version >= 11);
            lines.push(format!("{:?} {} {active:?}", consumer.name(), consumer.seen_ms));
        }
    }
    lines
}

/// A ziplist of short texts.
fn ziplist(texts: &[&[u8]]) -> Vec<u8> {
    let mut entries = Vec::new();
    let (mut before, mut tail) = (0, 10);
    for text in texts {
        tail = 10 + entries.len();
        entries.extend_from_slice(&[before as u8, text.len() as u8]);
        entries.extend_from_slice(text);
        before = text.len() + 2;
    }
    let total = entries.len() as u32 + 11;
    let mut bytes = total.to_le_bytes().to_vec();
    bytes.extend_from_slice(&(tail as u32).to_le_bytes());
    bytes.extend_from_slice(&(texts.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&entries);
    bytes.push(0xff);
    bytes
}

fn complaint(kind: u8, bytes: &[u8]) -> String {
    match read(kind, bytes) {
        Ok(loaded) => panic!("{loaded:?} was read"),
        Err(error) => error.to_string(),
    }
}

fn hash_of(loaded: Result<Loaded, RdbError>) -> Vec<(Vec<u8>, Vec<u8>, Option<u64>)> {
    let Ok(Loaded::Hash(hash)) = loaded else { panic!("no hash: {loaded:?}") };
    hash.entries().map(|e| (e.field.to_vec(), e.value.to_vec(), e.expire_at)).collect()
}

#[test]
fn ziplists_and_zipmaps_become_hashes() {
    let bytes = blob(&ziplist(&[b"a", b"1", b"b", b"text"]));
    let pairs = hash_of(read(kind::HASH_ZIPLIST, &bytes));
    assert_eq!(
        pairs,
        [(b"a".to_vec(), b"1".to_vec(), None), (b"b".to_vec(), b"text".to_vec(), None)]
    );
    let zipmap = blob(b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world  \xff");
    let pairs = hash_of(read(kind::HASH_ZIPMAP, &zipmap));
    assert_eq!(
        pairs,
        [(b"foo".to_vec(), b"bar".to_vec(), None), (b"hello".to_vec(), b"world".to_vec(), None)]
    );
}

#[test]
fn integers_of_ziplists_have_all_widths() {
    let mut body = Vec::new();
    let mut before = 0u8;
    for entry in [
        &[0xf1][..],
        &[0xfd],
        &[0xfe, 0x80],
        &[0xc0, 0, 0x80],
        &[0xf0, 0, 0, 0x80],
        &[0xd0, 0, 0, 0, 0x80],
        &[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80],
    ] {
        body.push(before);
        body.extend_from_slice(entry);
        before = entry.len() as u8 + 1;
    }
    let tail = 10 + body.len() as u32 - 10;
    let mut bytes = (body.len() as u32 + 11).to_le_bytes().to_vec();
    bytes.extend_from_slice(&tail.to_le_bytes());
    bytes.extend_from_slice(&7u16.to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes.push(0xff);
    let listpack = ziplist::to_listpack(&bytes).unwrap();
    let numbers: Vec<i64> = listpack.iter().filter_map(|element| element.as_i64()).collect();
    let wide = [8, 16, 24, 32, 64].map(|bits| i64::MIN >> (64 - bits));
    assert_eq!(numbers, [&[0, 12][..], &wide].concat());
}

#[test]
fn each_part_of_a_ziplist_is_checked() {
    let good = ziplist(&[b"a", b"1", b"b", b"2"]);
    assert!(ziplist::elements(&good).is_some());
    // Total, tail, count, length before, length, end.
    for (at, value) in [(0, 99), (4, 11), (8, 3), (13, 2), (11, 40), (good.len() - 1, 0)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(ziplist::elements(&bad), None, "byte {at}");
        assert_eq!(
            complaint(kind::HASH_ZIPLIST, &blob(&bad)),
            "Hash ziplist integrity check failed."
        );
    }
    let odd = blob(&ziplist(&[b"a", b"1", b"b"]));
    assert_eq!(complaint(kind::HASH_ZIPLIST, &odd), "Hash ziplist integrity check failed.");
    let twice = blob(&ziplist(&[b"a", b"1", b"a", b"2"]));
    assert_eq!(
        complaint(kind::HASH_ZIPLIST, &twice),
        "Hash ziplist integrity check failed. listpack with dup elements"
    );
}

#[test]
fn old_encodings_of_lists_and_zsets_are_read() {
    let texts: &[&[u8]] = &[b"a", b"1", b"b", b"2.5"];
    let elements = |loaded| {
        let Ok(Loaded::List(list)) = loaded else { panic!("no list: {loaded:?}") };
        list.iter().map(|element| element.to_vec()).collect::<Vec<_>>()
    };
    let node = blob(&ziplist(texts));
    assert_eq!(elements(read(kind::LIST_ZIPLIST, &node)), texts);
    let twice = [&[2][..], &node, &node].concat();
    assert_eq!(elements(read(kind::LIST_QUICKLIST, &twice)), [texts, texts].concat());
    let members = |loaded| {
        let Ok(Loaded::Zset(zset)) = loaded else { panic!("no zset: {loaded:?}") };
        zset.iter().map(|(member, score)| (member.to_vec(), score)).collect::<Vec<_>>()
    };
    let expected = [(b"a".to_vec(), 1.0), (b"b".to_vec(), 2.5)];
    assert_eq!(members(read(kind::ZSET_ZIPLIST, &node)), expected);
    let old = [&[2, 1, b'b', 3][..], b"2.5", &[1, b'a', 1], b"1"].concat();
    assert_eq!(members(read(kind::ZSET, &old)), expected);
    let edges = [2, 1, b'a', 255, 1, b'b', 254];
    let infinite = [(b"a".to_vec(), f64::NEG_INFINITY), (b"b".to_vec(), f64::INFINITY)];
    assert_eq!(members(read(kind::ZSET, &edges)), infinite);
    assert_eq!(complaint(kind::ZSET, &[1, 1, b'a', 253]), "Zset with NAN score detected");
    let dup = [2, 1, b'a', 255, 1, b'a', 254];
    assert_eq!(complaint(kind::ZSET, &dup), "Duplicate zset fields detected");
    assert_eq!(
        complaint(kind::LIST_QUICKLIST_2, &[1, 3, 1, b'a']),
        "Quicklist integrity check failed."
    );
    assert_eq!(
        complaint(kind::LIST_QUICKLIST_2, &[1, 2, 1, b'a']),
        "Listpack integrity check failed."
    );
    let empty = [&[1, 2][..], &blob(Listpack::new().as_bytes())].concat();
    assert_eq!(complaint(kind::LIST_QUICKLIST_2, &empty), "empty key");
    assert_eq!(complaint(kind::SET, &[2, 1, b'a', 1, b'a']), "Duplicate set members detected");
    assert_eq!(complaint(kind::SET_INTSET, &blob(b"x")), "Intset integrity check failed.");
}

#[test]
fn complaints_are_those_of_redis() {
    assert_eq!(complaint(kind::HASH, &[0]), RdbError::Empty.to_string());
    assert_eq!(
        complaint(kind::HASH, &[2, 1, b'a', 1, b'1', 1, b'a', 1, b'2']),
        "Duplicate hash fields detected"
    );
    assert_eq!(
        complaint(kind::HASH_LISTPACK, &blob(b"x")),
        "Hash listpack integrity check failed."
    );
    let empty = Listpack::new();
    assert_eq!(complaint(kind::HASH_LISTPACK, &blob(empty.as_bytes())), "empty key");
    assert_eq!(complaint(kind::HASH_ZIPMAP, &blob(b"\x00\xff")), "Zipmap integrity check failed.");
    assert_eq!(
        complaint(kind::HASH_ZIPMAP, &blob(b"\x02\x01a\x01\x00b\x01a\x01\x00b\xff")),
        "Hash zipmap with dup elements, or big length (1)"
    );
    assert_eq!(complaint(8, &[]), "Unknown RDB encoding type 8");
}

#[test]
fn expiring_fields_of_all_dialects_are_read() {
    let first = 1_700_000_000_000u64;
    let expected =
        [(b"f".to_vec(), b"v".to_vec(), Some(first + 4)), (b"g".to_vec(), b"w".to_vec(), None)];
    let mut bytes = first.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[2, 5, 1, b'f', 1, b'v', 0, 1, b'g', 1, b'w']);
    assert_eq!(hash_of(read(kind::HASH_METADATA, &bytes)), expected);

    let mut bytes = vec![2, 1, b'f', 1, b'v'];
    bytes.extend_from_slice(&(first + 4).to_le_bytes());
    bytes.extend_from_slice(&[1, b'g', 1, b'w']);
    bytes.extend_from_slice(&(-1i64).to_le_bytes());
    let loaded = load(kind::HASH_TTL_VALKEY, &mut Reader::new(&bytes), &context(Dialect::Valkey));
    assert_eq!(hash_of(loaded), expected);

    let mut listpack = Listpack::new();
    for text in ["f", "v", &(first + 4).to_string(), "g", "w", "0"] {
        listpack.push_back(text.as_bytes());
    }
    let packed = blob(listpack.as_bytes());
    assert_eq!(hash_of(read(kind::HASH_LISTPACK_EX_PRE_GA, &packed)), expected);
    let with_first = [&first.to_le_bytes()[..], &packed].concat();
    assert_eq!(hash_of(read(kind::HASH_LISTPACK_EX, &with_first)), expected);
}

#[test]
fn claimed_sizes_make_no_room() {
    // A gigabyte from ten bytes, and a table of 2^60 fields.
    let lzf = [&[0xc3, 5, 0x80, 0x40, 0, 0, 0][..], &[1, 2, 3, 4, 5]].concat();
    assert_eq!(complaint(kind::STRING, &lzf), "Invalid LZF compressed string");
    let table = [&[0x81, 0x10, 0, 0, 0, 0, 0, 0, 0][..], &[1, b'a', 1, b'b']].concat();
    assert_eq!(read(kind::HASH, &table).map(drop), Err(RdbError::Truncated));
}
