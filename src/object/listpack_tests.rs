//! Does the listpack keep its format and behave as a list of texts?

use proptest::prelude::*;

use super::*;

fn listpack(texts: &[&[u8]]) -> Listpack {
    let mut listpack = Listpack::new();
    for text in texts {
        listpack.push_back(text);
    }
    listpack
}

fn texts(listpack: &Listpack) -> Vec<Vec<u8>> {
    listpack.iter().map(Element::to_vec).collect()
}

#[test]
fn encodings_are_those_of_the_format() {
    for (text, expected) in [
        (&b"0"[..], &[0u8, 1][..]),
        (b"127", &[0x7f, 1]),
        (b"128", &[0xc0, 0x80, 2]),
        (b"-1", &[0xdf, 0xff, 2]),
        (b"-4096", &[0xd0, 0x00, 2]),
        (b"4096", &[0xf1, 0x00, 0x10, 3]),
        (b"-32768", &[0xf1, 0x00, 0x80, 3]),
        (b"32768", &[0xf2, 0x00, 0x80, 0x00, 4]),
        (b"-8388609", &[0xf3, 0xff, 0xff, 0x7f, 0xff, 5]),
        (b"2147483648", &[0xf4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]),
        (b"", &[0x80, 1]),
        (b"ab", &[0x82, b'a', b'b', 3]),
        (b"01", &[0x82, b'0', b'1', 3]),
    ] {
        let listpack = listpack(&[text]);
        let bytes = listpack.as_bytes();
        assert_eq!(&bytes[HEADER_LEN..bytes.len() - 1], expected, "{text:?}");
        assert_eq!(bytes[0] as usize, bytes.len());
        assert_eq!(&bytes[4..6], &[1, 0]);
        assert_eq!(texts(&listpack), [text.to_vec()]);
    }
}

#[test]
fn long_texts_have_long_lengths() {
    for len in [63, 64, 126, 127, 128, 4095, 4096, 16_378, 16_379, 16_383, 2_097_146, 2_097_151] {
        let text = vec![b'x'; len];
        let listpack = listpack(&[b"a", &text, b"b"]);
        assert_eq!(Listpack::from_bytes(listpack.as_bytes().to_vec()).as_ref(), Ok(&listpack));
        let back: Vec<_> = listpack.iter().rev().map(Element::text_len).collect();
        assert_eq!(back, [1, len, 1]);
    }
}

#[test]
fn more_elements_than_the_header_can_count() {
    let mut listpack = Listpack::new();
    for i in 0..70_000 {
        listpack.push_back_i64(i % 100);
    }
    assert_eq!(listpack.len(), 70_000);
    assert_eq!(listpack.view().header_count(), COUNT_UNKNOWN);
    listpack.delete(listpack.first().unwrap(), 60_000);
    assert_eq!(listpack.view().header_count(), 10_000);
    assert!(Listpack::from_bytes(listpack.as_bytes().to_vec()).is_ok());
}

#[test]
fn finding_skips_by_stride() {
    let listpack = listpack(&[b"a", b"b", b"b", b"7", b"7", b"c"]);
    let first = listpack.first().unwrap();
    assert_eq!(listpack.find(first, b"b", 2), listpack.seek(2));
    assert_eq!(listpack.find(first, b"b", 1), listpack.seek(1));
    assert_eq!(listpack.find(first, b"7", 2), listpack.seek(4));
    assert_eq!(listpack.find(first, b"c", 2), None);
    assert_eq!(listpack.find(first, b"07", 1), None);
}

#[test]
fn foreign_bytes_are_checked() {
    let good = listpack(&[b"abc", b"1234", b""]).as_bytes().to_vec();
    for at in 0..good.len() {
        for value in 0..=255 {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(listpack) = Listpack::from_bytes(bytes) {
                assert_eq!(listpack.iter().count(), listpack.iter().rev().count());
            }
        }
        assert!(Listpack::from_bytes(good[..at].to_vec()).is_err());
    }
}

#[derive(Clone, Debug)]
enum Change {
    Push(Vec<u8>),
    PushFront(Vec<u8>),
    InsertBefore(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    ReplaceInt(usize, i64),
    Delete(usize, usize),
    SplitAndJoin(usize),
    Append(Vec<Vec<u8>>),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|v| v.to_string().into_bytes()),
        (-5000i64..40_000).prop_map(|v| v.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..150),
        (0usize..5000).prop_map(|len| vec![b'z'; len]),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        text().prop_map(Change::Push),
        text().prop_map(Change::PushFront),
        (0usize..20, text()).prop_map(|(i, t)| Change::InsertBefore(i, t)),
        (0usize..20, text()).prop_map(|(i, t)| Change::InsertAfter(i, t)),
        (0usize..20, text()).prop_map(|(i, t)| Change::Replace(i, t)),
        (0usize..20, any::<i64>()).prop_map(|(i, v)| Change::ReplaceInt(i, v)),
        (0usize..20, 0usize..4).prop_map(|(i, n)| Change::Delete(i, n)),
        (0usize..20).prop_map(Change::SplitAndJoin),
        prop::collection::vec(text(), 0..4).prop_map(Change::Append),
    ]
}

fn apply(change: Change, listpack: &mut Listpack, model: &mut Vec<Vec<u8>>) {
    let at = |listpack: &Listpack, i: usize| listpack.seek(i as i64);
    match change {
        Change::Push(text) => {
            listpack.push_back(&text);
            model.push(text);
        }
        Change::PushFront(text) => {
            listpack.push_front(&text);
            model.insert(0, text);
        }
        Change::InsertBefore(i, text) => {
            if let Some(position) = at(listpack, i) {
                listpack.insert_before(position, &text);
                model.insert(i, text);
            }
        }
        Change::InsertAfter(i, text) => {
            if let Some(position) = at(listpack, i) {
                listpack.insert_after(position, &text);
                model.insert(i + 1, text);
            }
        }
        Change::Replace(i, text) => {
            if let Some(position) = at(listpack, i) {
                listpack.replace(position, &text);
                model[i] = text;
            }
        }
        Change::ReplaceInt(i, value) => {
            if let Some(position) = at(listpack, i) {
                listpack.replace_i64(position, value);
                model[i] = value.to_string().into_bytes();
            }
        }
        Change::Append(texts) => {
            listpack.append_all(|out| texts.iter().for_each(|text| out.text(text)));
            listpack.append_all(|out| {
                out.int(texts.len() as i64 - 1);
            });
            model.extend(texts.iter().cloned());
            model.push((texts.len() as i64 - 1).to_string().into_bytes());
        }
        Change::Delete(i, count) => {
            if let Some(position) = at(listpack, i) {
                let next = listpack.delete(position, count);
                model.drain(i..(i + count).min(model.len()));
                assert_eq!(next.map(|p| listpack.get(p).to_vec()), model.get(i).cloned());
            }
        }
        Change::SplitAndJoin(i) => {
            if let Some(position) = at(listpack, i) {
                assert_eq!(listpack.iter_from(position).count(), model.len() - i);
                let tail = listpack.split_off(position);
                assert_eq!(texts(listpack), model[..i]);
                assert_eq!(texts(&tail), model[i..]);
                for part in [&tail, listpack] {
                    assert_eq!(Listpack::from_bytes(part.as_bytes().to_vec()).as_ref(), Ok(part));
                }
                listpack.append(tail.view());
            }
        }
    }
}

proptest! {
    #[test]
    fn behaves_as_a_list_of_texts(changes in prop::collection::vec(change(), 0..60)) {
        let mut listpack = Listpack::new();
        let mut model = Vec::new();
        for change in changes {
            apply(change, &mut listpack, &mut model);
            prop_assert_eq!(listpack.len(), model.len());
            prop_assert_eq!(listpack.is_empty(), model.is_empty());
        }
        prop_assert_eq!(&texts(&listpack), &model);
        let mut backwards: Vec<_> = listpack.iter().rev().map(Element::to_vec).collect();
        backwards.reverse();
        prop_assert_eq!(&backwards, &model);
        for (i, text) in model.iter().enumerate() {
            let from_back = i as i64 - model.len() as i64;
            prop_assert_eq!(listpack.seek(i as i64), listpack.seek(from_back));
            let found = listpack.find(listpack.first().unwrap(), text, 1).unwrap();
            prop_assert!(listpack.get(found).is(text));
        }
        prop_assert_eq!(listpack.seek(model.len() as i64), None);
        prop_assert_eq!(listpack.seek(-(model.len() as i64) - 1), None);
        prop_assert_eq!(Listpack::from_bytes(listpack.as_bytes().to_vec()), Ok(listpack));
    }

    #[test]
    fn any_bytes_are_refused_or_readable(
        mut bytes in prop::collection::vec(any::<u8>(), 0..40),
        fix in any::<bool>(),
    ) {
        if fix {
            // With a right frame the elements get looked at.
            bytes.push(END);
            let total = (bytes.len() + HEADER_LEN) as u32;
            let mut framed = total.to_le_bytes().to_vec();
            framed.extend([0xff, 0xff]);
            framed.extend(bytes);
            bytes = framed;
        }
        if let Ok(listpack) = Listpack::from_bytes(bytes) {
            let texts = texts(&listpack);
            prop_assert_eq!(listpack.iter().rev().count(), texts.len());
        }
    }
}
