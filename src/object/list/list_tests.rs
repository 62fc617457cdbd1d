//! Does a list behave as a sequence of texts, whatever its nodes are?

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Change {
    Push(End, Vec<Vec<u8>>),
    Pop(End),
    Set(usize, Vec<u8>),
    Insert(usize, Side, Vec<u8>),
    Delete(usize, usize),
    Remove(usize, End, usize),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Head), Just(End::Tail)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Before), Just(Side::After)]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-50i64..50).prop_map(|v| v.to_string().into_bytes()),
        2 => any::<i64>().prop_map(|v| v.to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..80),
        2 => (0usize..3000).prop_map(|len| vec![b'x'; len]),
        1 => (0usize..70_000).prop_map(|len| vec![b'y'; len]),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<usize>;
    prop_oneof![
        6 => (end(), prop::collection::vec(text(), 1..6)).prop_map(|(e, t)| Change::Push(e, t)),
        3 => end().prop_map(Change::Pop),
        2 => (at(), text()).prop_map(|(at, text)| Change::Set(at, text)),
        3 => (at(), side(), text()).prop_map(|(at, s, text)| Change::Insert(at, s, text)),
        1 => (at(), 0usize..40).prop_map(|(at, count)| Change::Delete(at, count)),
        1 => (at(), end(), 1usize..4).prop_map(|(at, from, n)| Change::Remove(at, from, n)),
    ]
}

fn limits() -> impl Strategy<Value = ListLimits> {
    let size = prop_oneof![Just(-1i64), Just(-2), Just(-5), Just(-9), 0i64..40, Just(i64::MAX)];
    let plain = prop_oneof![4 => Just(PLAIN_BYTES_MIN), 1 => Just(1), 1 => Just(40)];
    (size, plain).prop_map(|(size, plain)| ListLimits::new(size, plain))
}

fn remove_from_model(model: &mut Vec<Vec<u8>>, text: &[u8], from: End, limit: usize) -> usize {
    let mut found: Vec<usize> = (0..model.len()).filter(|at| model[*at] == text).collect();
    if from == End::Tail {
        found.reverse();
    }
    found.truncate(limit);
    found.sort_unstable();
    found.iter().rev().for_each(|at| _ = model.remove(*at));
    found.len()
}

fn apply(change: &Change, list: &mut List, model: &mut Vec<Vec<u8>>, limits: ListLimits) {
    let len = model.len();
    match change {
        Change::Push(end, texts) => {
            let all: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            list.push(*end, &all, limits);
            match end {
                End::Head => texts.iter().for_each(|text| model.insert(0, text.clone())),
                End::Tail => model.extend(texts.iter().cloned()),
            }
        }
        Change::Pop(end) => {
            let mut shown = None;
            assert_eq!(list.pop(*end, |element| shown = Some(element.to_vec())), len > 0);
            let expected = match end {
                End::Head if len > 0 => Some(model.remove(0)),
                End::Head => None,
                End::Tail => model.pop(),
            };
            assert_eq!(shown, expected);
            list.shrink(limits);
        }
        Change::Set(at, text) if len > 0 => {
            list.set(at % len, text, limits);
            model[at % len].clone_from(text);
            list.shrink(limits);
        }
        Change::Insert(at, side, text) if len > 0 => {
            let pivot = model[at % len].clone();
            assert!(list.insert(&pivot, *side, text, limits));
            let first = model.iter().position(|one| *one == pivot).unwrap();
            model.insert(first + usize::from(*side == Side::After), text.clone());
        }
        Change::Delete(at, count) if len > 0 => {
            let (at, count) = (at % len, (*count).min(len - at % len));
            list.delete(at, count);
            model.drain(at..at + count);
            list.shrink(limits);
        }
        Change::Remove(at, from, limit) if len > 0 => {
            let text = model[at % len].clone();
            let removed = list.remove(&text, *from, *limit);
            assert_eq!(removed, remove_from_model(model, &text, *from, *limit));
            list.shrink(limits);
        }
        Change::Set(..) | Change::Insert(..) | Change::Delete(..) | Change::Remove(..) => {
            assert!(!list.insert(b"", Side::Before, b"x", limits));
        }
    }
}

fn texts<'a>(elements: impl Iterator<Item = Element<'a>>) -> Vec<Vec<u8>> {
    elements.map(Element::to_vec).collect()
}

fn compare(list: &List, model: &[Vec<u8>], limits: ListLimits) {
    assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
    assert_eq!(texts(list.iter()), model);
    let mut backwards = texts(list.iter().rev());
    backwards.reverse();
    assert_eq!(backwards, model);
    for number in 0..list.nodes() {
        match list.node(number) {
            NodeRef::Packed(listpack) => {
                // A listpack may outgrow the limit by what its elements need besides their texts.
                let (bytes, len) = (listpack.as_bytes().len(), listpack.len());
                assert!(len > 0 || model.is_empty());
                assert!(len <= limits.len_max);
                assert!(len == 1 || bytes <= limits.bytes_max + 1000, "{bytes} bytes of {len}");
            }
            NodeRef::Plain(text) => assert!(text.len() >= limits.plain_min),
        }
    }
}

fn compare_places(list: &List, model: &[Vec<u8>]) {
    for (at, text) in model.iter().enumerate() {
        assert!(list.get(at).unwrap().is(text));
        assert_eq!(list.index(at as i64), Some(at));
        assert_eq!(list.index(at as i64 - model.len() as i64), Some(at));
    }
    assert!(list.get(model.len()).is_none());
    assert_eq!(list.index(model.len() as i64), None);
    assert_eq!(list.index(-(model.len() as i64) - 1), None);
    assert_eq!(list.index(i64::MIN), None);
    for (from, count) in [(0, model.len()), (model.len() / 3, model.len() / 2), (0, 0)] {
        let mut shown = Vec::new();
        list.each(from, count, |element| shown.push(element.to_vec()));
        assert_eq!(shown, &model[from..from + count]);
    }
}

proptest! {
    #[test]
    fn behaves_as_a_sequence(
        limits in limits(),
        changes in prop::collection::vec(change(), 0..120),
        held_at in 0usize..120,
    ) {
        let (mut list, mut model) = (List::new(), Vec::new());
        let mut held = None;
        for (at, change) in changes.iter().enumerate() {
            if at == held_at {
                held = Some((list.clone(), model.clone()));
            }
            apply(change, &mut list, &mut model, limits);
            compare(&list, &model, limits);
        }
        compare_places(&list, &model);
        if let Some((list, model)) = held {
            compare(&list, &model, limits);
        }
    }

    #[test]
    fn limits_may_change(changes in prop::collection::vec((limits(), change()), 0..120)) {
        let (mut list, mut model) = (List::new(), Vec::new());
        for (limits, change) in changes {
            apply(&change, &mut list, &mut model, limits);
            prop_assert_eq!(texts(list.iter()), &model[..]);
        }
        compare_places(&list, &model);
    }

    #[test]
    fn can_be_built_from_its_nodes(
        limits in limits(),
        changes in prop::collection::vec(change(), 0..80),
    ) {
        let (mut list, mut model) = (List::new(), Vec::new());
        changes.iter().for_each(|change| apply(change, &mut list, &mut model, limits));
        let mut built = List::new();
        for number in 0..list.nodes() {
            match list.node(number) {
                NodeRef::Packed(listpack) => built.append_listpack(listpack.to_listpack()),
                NodeRef::Plain(text) => built.append_plain(text.to_vec()),
            }
        }
        built.settle(limits);
        compare(&built, &model, limits);
        compare_places(&built, &model);
        prop_assert!(built.encoding() == list.encoding() || list.nodes() <= 1);
    }
}

fn list_of(texts: &[&[u8]], limits: ListLimits) -> List {
    let mut list = List::new();
    texts.iter().for_each(|text| list.push(End::Tail, &[text], limits));
    list
}

#[test]
fn encodings_change_where_the_limits_say() {
    let counted = ListLimits::new(4, PLAIN_BYTES_MIN);
    let mut list = list_of(&[b"a", b"b", b"c", b"d"], counted);
    assert_eq!(list.encoding(), "listpack");
    list.push(End::Tail, &[b"e"], counted);
    assert_eq!((list.encoding(), list.nodes()), ("quicklist", 2));
    for (left, encoding) in [(4, "quicklist"), (3, "quicklist"), (2, "listpack")] {
        list.pop(End::Tail, |_| {});
        list.shrink(counted);
        assert_eq!((list.len(), list.encoding()), (left, encoding));
    }

    let sized = ListLimits::new(-1, PLAIN_BYTES_MIN);
    // The listpack itself takes seven bytes.
    let mut list = list_of(&[&[b'x'; 4096 - 7]], sized);
    assert_eq!(list.encoding(), "listpack");
    let longer = list_of(&[&[b'x'; 4096 - 6]], sized);
    assert_eq!(longer.encoding(), "quicklist");
    list.push(End::Head, &[b"y"], sized);
    assert_eq!((list.encoding(), list.nodes()), ("quicklist", 2));
    list.pop(End::Head, |_| {});
    list.shrink(sized);
    assert_eq!(list.encoding(), "quicklist", "it is more than half full");
    list.set(0, &[b'x'; 2000], sized);
    list.shrink(sized);
    assert_eq!(list.encoding(), "listpack");
}

#[test]
fn all_that_is_pushed_at_once_decides() {
    let limits = ListLimits::new(2, PLAIN_BYTES_MIN);
    let mut list = List::new();
    list.push(End::Tail, &[b"a", b"b", b"c"], limits);
    assert_eq!((list.encoding(), list.nodes()), ("quicklist", 2));
    assert_eq!(ListLimits::new(0, 1).len_max, 1);
    assert_eq!(ListLimits::new(i64::MIN, 1).bytes_max, 65_536);
}

#[test]
fn a_long_element_stands_alone_and_comes_back() {
    let limits = ListLimits::default();
    let mut list = List::new();
    let numbers: Vec<String> = (0..2000).map(|n| format!("element {n}")).collect();
    let all: Vec<&[u8]> = numbers.iter().map(String::as_bytes).collect();
    list.push(End::Tail, &all, limits);
    let nodes = list.nodes();
    list.set(100, &[b'x'; 100_000], limits);
    assert_eq!(list.nodes(), nodes + 2);
    assert_eq!(list.node(1).bytes(), 100_000 + 7 + 5 + 3);
    list.set(100, b"short", limits);
    assert_eq!(list.nodes(), nodes);
    assert!(list.insert(b"element 300", Side::After, &[b'x'; 20_000], limits));
    assert_eq!(list.nodes(), nodes + 2);
    assert_eq!(list.remove(&[b'x'; 20_000], End::Tail, usize::MAX), 1);
    assert_eq!(list.len(), 2000);
}

#[test]
fn a_clone_shares_the_nodes() {
    let limits = ListLimits::default();
    let mut list = List::new();
    for i in 0..100_000 {
        list.push(End::Tail, &[format!("element {i}").as_bytes()], limits);
    }
    let copy = list.clone();
    list.push(End::Tail, &[b"new"], limits);
    let shared = |number| match (list.node(number), copy.node(number)) {
        (NodeRef::Packed(one), NodeRef::Packed(other)) => {
            std::ptr::eq(one.as_bytes(), other.as_bytes())
        }
        _ => false,
    };
    // But for the two at the ends.
    assert_eq!((0..copy.nodes()).filter(|number| !shared(*number)).count(), 2);
    assert_eq!((list.len(), copy.len()), (100_001, 100_000));
    let measured = copy.memory_bytes();
    assert!((1_200_000..2_200_000).contains(&measured), "{measured}");
}
