//! Does a stream do what a plain list of entries and maps of pending ones do, also after it was cloned?

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::object::listpack::Listpack;

type Texts = Vec<(Vec<u8>, Vec<u8>)>;

/// A stream as one would first think of it.
#[derive(Clone, Debug, Default)]
struct Model {
    entries: BTreeMap<StreamId, Texts>,
    last_id: StreamId,
    max_deleted_id: StreamId,
    added: u64,
}

const LIMITS: NodeLimits = NodeLimits { bytes_max: 200, entries_max: 7 };

fn texts(entry: Entry<'_>) -> (StreamId, Texts) {
    (entry.id, entry.fields.map(|(field, value)| (field.to_vec(), value.to_vec())).collect())
}

fn compare(log: &Log, model: &Model, probes: &[StreamId]) {
    assert_eq!(log.len(), model.entries.len() as u64);
    assert_eq!(log.last_id, model.last_id);
    assert_eq!(log.max_deleted_id, model.max_deleted_id);
    assert_eq!(log.entries_added, model.added);
    assert_eq!(log.first_id(), model.entries.keys().next().copied().unwrap_or(StreamId::MIN));
    assert_eq!(log.last_entry_id(), model.entries.keys().next_back().copied());
    let owned = |(id, texts): (&StreamId, &Texts)| (*id, texts.clone());
    for &start in probes {
        assert_eq!(log.contains(start), model.entries.contains_key(&start));
        for &end in probes {
            let expected: Vec<_> = match start <= end {
                true => model.entries.range(start..=end).map(owned).collect(),
                false => Vec::new(),
            };
            assert_eq!(log.range(start, end).map(texts).collect::<Vec<_>>(), expected);
            let mut back: Vec<_> = log.range_back(start, end).map(texts).collect();
            back.reverse();
            assert_eq!(back, expected);
        }
    }
    restored(log);
}

/// What is written to a file and read again is the same.
fn restored(log: &Log) -> Log {
    let mut again = Log::default();
    for (id, pack) in log.nodes() {
        assert!(again.restore_node(id, pack.as_bytes().to_vec()));
    }
    assert_eq!(again.len(), log.len());
    assert_eq!(again.first_id(), log.first_id());
    assert_eq!(again.node_count(), log.node_count());
    let all = |log: &Log| log.range(StreamId::MIN, StreamId::MAX).map(texts).collect::<Vec<_>>();
    assert_eq!(all(&again), all(log));
    again
}

#[derive(Clone, Debug)]
enum Step {
    Add { id: NewId, now: u64, texts: Texts },
    Delete(Vec<usize>),
    TrimLength { length: u64, approximate: bool, limit: Option<u64> },
    TrimMinId { at: usize, approximate: bool },
    Clone,
    Restore,
}

fn fields() -> impl Strategy<Value = Texts> {
    let text = prop_oneof![
        Just(b"a".to_vec()),
        Just(b"name".to_vec()),
        Just(b"12".to_vec()),
        prop::collection::vec(any::<u8>(), 0..90),
    ];
    prop_oneof![
        3 => text.clone().prop_map(|value| vec![(b"a".to_vec(), value)]),
        1 => prop::collection::vec((text.clone(), text), 1..4),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id = prop_oneof![
        4 => Just(NewId::Auto),
        1 => (0..30u64).prop_map(NewId::Within),
        1 => (0..30u64, 0..3u64).prop_map(|(ms, seq)| NewId::Exact(StreamId::new(ms, seq))),
    ];
    prop_oneof![
        10 => (id, 0..30u64, fields()).prop_map(|(id, now, texts)| Step::Add { id, now, texts }),
        3 => prop::collection::vec(0..60usize, 1..4).prop_map(Step::Delete),
        1 => (0..40u64, any::<bool>(), prop::option::of(0..20u64))
            .prop_map(|(length, approximate, limit)| Step::TrimLength { length, approximate, limit }),
        1 => (0..60usize, any::<bool>())
            .prop_map(|(at, approximate)| Step::TrimMinId { at, approximate }),
        1 => Just(Step::Clone),
        1 => Just(Step::Restore),
    ]
}

fn model_next(model: &Model, wanted: NewId, now: u64) -> Option<StreamId> {
    let id = match wanted {
        NewId::Exact(id) => id,
        NewId::Within(ms) if ms == model.last_id.ms => model.last_id.next()?,
        NewId::Within(ms) => StreamId::new(ms, 0),
        NewId::Auto => model.last_id.next()?.max(StreamId::new(now, 0)),
    };
    (id > model.last_id).then_some(id)
}

fn nth(model: &Model, at: usize) -> StreamId {
    model.entries.keys().nth(at).copied().unwrap_or(StreamId::new(at as u64, 1))
}

fn add(log: &mut Log, model: &mut Model, wanted: NewId, now: u64, texts: &Texts) {
    let expected = model_next(model, wanted, now);
    assert_eq!(log.next_id(wanted, now).ok(), expected);
    let Some(id) = expected else { return };
    let pairs: Vec<[&[u8]; 2]> =
        texts.iter().map(|(field, value)| [&field[..], &value[..]]).collect();
    assert_eq!(log.append(id, &pairs, LIMITS), Ok(()));
    model.entries.insert(id, texts.clone());
    model.last_id = id;
    model.added += 1;
}

/// Trims, and checks that just the first entries went and no more than allowed.
fn trim(log: &mut Log, model: &mut Model, trim: Trim) {
    let excess = match trim.to {
        TrimTo::Length(length) => (model.entries.len() as u64).saturating_sub(length),
        TrimTo::MinId(min) => model.entries.range(..min).count() as u64,
    };
    let trimmed = log.trim(&trim);
    assert!(trimmed <= excess.min(trim.limit.unwrap_or(u64::MAX)));
    if !trim.approximate && trim.limit.is_none() {
        assert_eq!(trimmed, excess);
    }
    for _ in 0..trimmed {
        model.entries.pop_first();
    }
}

fn apply(log: &mut Log, model: &mut Model, step: &Step) {
    match step {
        Step::Add { id, now, texts } => add(log, model, *id, *now, texts),
        Step::Delete(at) => {
            let ids: Vec<StreamId> = at.iter().map(|at| nth(model, *at)).collect();
            let mut deleted = 0;
            for id in &ids {
                if model.entries.remove(id).is_some() {
                    model.max_deleted_id = model.max_deleted_id.max(*id);
                    deleted += 1;
                }
            }
            assert_eq!(log.delete(&ids), deleted);
        }
        Step::TrimLength { length, approximate, limit } => {
            let (to, approximate) = (TrimTo::Length(*length), *approximate || limit.is_some());
            trim(log, model, Trim { to, approximate, limit: *limit });
        }
        Step::TrimMinId { at, approximate } => {
            let to = TrimTo::MinId(nth(model, *at));
            trim(log, model, Trim { to, approximate: *approximate, limit: None });
        }
        Step::Clone => {}
        Step::Restore => {
            let mut again = restored(log);
            again.last_id = log.last_id;
            again.max_deleted_id = log.max_deleted_id;
            again.entries_added = log.entries_added;
            *log = again;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_list_of_entries(steps in prop::collection::vec(step(), 1..80), at in 0..60usize) {
        let (mut log, mut model) = (Log::default(), Model::default());
        let mut kept = Vec::new();
        let probes = |model: &Model| {
            [StreamId::MIN, StreamId::new(10, 0), nth(model, at), nth(model, at / 2), StreamId::MAX]
        };
        for step in &steps {
            if let Step::Clone = step {
                kept.push((log.clone(), model.clone()));
            }
            apply(&mut log, &mut model, step);
            compare(&log, &model, &probes(&model));
        }
        for (log, model) in &kept {
            compare(log, model, &probes(model));
        }
    }

    #[test]
    fn foreign_bytes_are_refused_or_readable(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        numbers in prop::collection::vec(-1..8i64, 0..20),
    ) {
        let mut log = Log::default();
        log.restore_node(StreamId::new(1, 1), bytes);
        let mut pack = Listpack::new();
        numbers.iter().for_each(|number| pack.push_back_i64(*number));
        log.restore_node(StreamId::new(2, 2), pack.as_bytes().to_vec());
        let count = log.range(StreamId::MIN, StreamId::MAX).map(texts).count();
        prop_assert_eq!(count as u64, log.len());
    }
}

/// The owners of pending entries, by ID: (consumer, time, count).
type Owners = BTreeMap<StreamId, (u8, i64, u64)>;

#[derive(Clone, Debug)]
enum Claim {
    Assign { id: u64, consumer: u8, at: i64, count: u64 },
    Acknowledge(u64),
    AddConsumer(u8),
    RemoveConsumer(u8),
    Clone,
    Restore,
}

fn claim() -> impl Strategy<Value = Claim> {
    let (id, consumer) = (0..400u64, 0..5u8);
    prop_oneof![
        6 => (id.clone(), consumer.clone(), 0..9i64, 0..9u64)
            .prop_map(|(id, consumer, at, count)| Claim::Assign { id, consumer, at, count }),
        4 => id.prop_map(Claim::Acknowledge),
        1 => consumer.clone().prop_map(Claim::AddConsumer),
        1 => consumer.prop_map(Claim::RemoveConsumer),
        1 => Just(Claim::Clone),
        1 => Just(Claim::Restore),
    ]
}

fn compare_group(group: &Group, owners: &Owners, consumers: &[u8]) {
    assert!(group.is_complete());
    assert_eq!(group.pending_len(), owners.len());
    let shown: Vec<_> = group
        .pending_from(StreamId::MIN)
        .map(|(id, own)| (id, (group.owner_name(*own)[0], own.delivered_ms, own.count)))
        .collect();
    assert!(shown.into_iter().eq(owners.iter().map(|(id, own)| (*id, *own))));
    assert!(group.consumers().map(|own| own.name()[0]).eq(consumers.iter().copied()));
    for consumer in group.consumers() {
        let own = owners.iter().filter(|(_, own)| own.0 == consumer.name()[0]).map(|(id, _)| *id);
        assert!(consumer.pending_from(StreamId::MIN).eq(own));
    }
}

/// The group as a file would bring it back.
fn restored_group(group: &Group) -> Group {
    let mut again = Group::new(group.last_id, group.entries_read);
    for (id, own) in group.pending_from(StreamId::MIN) {
        assert!(again.restore_pending(id, own.delivered_ms, own.count));
        assert!(!again.restore_pending(id, 0, 0));
    }
    for own in group.consumers() {
        let slot = again.add_consumer(own.name(), own.seen_ms, own.active_ms).unwrap();
        assert_eq!(again.add_consumer(own.name(), 0, None), None);
        for id in own.pending_from(StreamId::MIN) {
            assert!(!again.is_complete());
            assert!(again.restore_owner(id, slot));
            assert!(!again.restore_owner(id, slot));
        }
    }
    again
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_group_is_a_map_of_owners(steps in prop::collection::vec(claim(), 1..150)) {
        let (mut group, mut owners) = (Group::default(), Owners::new());
        let mut consumers: Vec<u8> = Vec::new();
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Claim::Assign { id, consumer, at, count } => {
                    let id = StreamId::new(id, 0);
                    let Some(owner) = group.find_consumer(&[consumer]) else { continue };
                    group.assign(id, Pending { delivered_ms: at, count, owner });
                    owners.insert(id, (consumer, at, count));
                }
                Claim::Acknowledge(id) => {
                    let id = StreamId::new(id, 0);
                    prop_assert_eq!(group.acknowledge(id), owners.remove(&id).is_some());
                }
                Claim::AddConsumer(name) => {
                    let is_new = !consumers.contains(&name);
                    prop_assert_eq!(group.add_consumer(&[name], 1, None).is_some(), is_new);
                    if is_new {
                        consumers.push(name);
                        consumers.sort_unstable();
                    }
                }
                Claim::RemoveConsumer(name) => {
                    let own = owners.values().filter(|own| own.0 == name).count();
                    let is_there = consumers.contains(&name);
                    prop_assert_eq!(group.remove_consumer(&[name]), is_there.then_some(own));
                    consumers.retain(|other| *other != name);
                    owners.retain(|_, own| own.0 != name);
                }
                Claim::Clone => kept.push((group.clone(), owners.clone(), consumers.clone())),
                Claim::Restore => group = restored_group(&group),
            }
            compare_group(&group, &owners, &consumers);
        }
        for (group, owners, consumers) in &kept {
            compare_group(group, owners, consumers);
        }
    }
}

#[test]
fn clones_of_a_stream_share_their_nodes() {
    let mut stream = Stream::default();
    for ms in 1..=5000 {
        let id = StreamId::new(ms, 0);
        stream.log.append(id, &[[b"field", b"value"]], NodeLimits::default()).unwrap();
    }
    stream.groups.add(b"g", Group::new(StreamId::MIN, Some(0)));
    let before = stream.clone();
    let shared = |a: &Stream, b: &Stream| {
        let own = |stream: &Stream| -> Vec<*const u8> {
            stream.log.nodes().map(|(_, pack)| pack.as_bytes().as_ptr()).collect()
        };
        own(a).iter().zip(own(b)).filter(|(a, b)| **a == *b).count()
    };
    assert_eq!(stream.log.node_count(), 50);
    assert_eq!(shared(&stream, &before), 50);
    stream.log.delete(&[StreamId::new(2345, 0)]);
    stream.log.append(StreamId::MAX, &[[b"field", b"value"]], NodeLimits::default()).unwrap();
    // Of the fifty only the one that was written to is another now: the full tail was left alone.
    assert_eq!(shared(&stream, &before), 49);
    let group = stream.groups.get_mut(b"g").unwrap();
    let owner = group.add_consumer(b"c", 1, None).unwrap();
    group.assign(StreamId::new(1, 0), Pending { delivered_ms: 1, count: 1, owner });
    assert_eq!(before.groups.get(b"g").unwrap().pending_len(), 0);
    assert_eq!(before.len(), 5000);
    assert_eq!(stream.log.next_id(NewId::Auto, 1), Err(AddError::Exhausted));
}

#[test]
fn what_a_group_has_read_is_counted_as_redis_counts() {
    let mut stream = Stream::default();
    for ms in 1..=5 {
        stream.log.append(StreamId::new(ms, 0), &[[b"f", b"v"]], NodeLimits::default()).unwrap();
    }
    let id = |ms| StreamId::new(ms, 0);
    let mut group = Group::new(StreamId::MIN, None);
    assert_eq!(stream.lag(&group), Some(5));
    assert!(group.advance(&stream.log, id(1)));
    assert_eq!((group.entries_read, stream.lag(&group)), (Some(1), Some(4)));
    assert!(!group.advance(&stream.log, id(1)));
    stream.log.delete(&[id(3)]);
    // Behind a gap the counter is lost until the end.
    assert!(group.advance(&stream.log, id(2)));
    assert_eq!((group.entries_read, stream.lag(&group)), (None, None));
    assert!(group.advance(&stream.log, id(5)));
    assert_eq!((group.entries_read, stream.lag(&group)), (Some(5), Some(0)));
}
