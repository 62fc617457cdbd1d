//! Do scans and graphs find what a slow model finds?

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::vector::{Algorithm, GraphOptions};

const GRAPH: GraphOptions =
    GraphOptions { links: 4, ef_construction: 40, ef_runtime: 10, epsilon: 0.01 };

fn options(
    algorithm: Algorithm,
    element: ElementType,
    dimensions: usize,
    metric: Metric,
) -> Arc<Options> {
    Arc::new(Options { algorithm, element, dimensions, metric })
}

fn blob(element: ElementType, vector: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(vector.iter().all(|number| element.write(*number, &mut bytes)));
    bytes
}

/// Distance by the formula, of numbers as the type holds them: whole numbers are held by all.
fn distance(metric: Metric, a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    match metric {
        Metric::L2 => a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum(),
        Metric::InnerProduct => 1.0 - dot(a, b),
        Metric::Cosine => {
            let norms = (dot(a, a) * dot(b, b)).sqrt();
            if norms > 0.0 { 1.0 - dot(a, b) / norms } else { 1.0 }
        }
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Put(u8, Vec<[i8; 3]>),
    Remove(u8),
    Copy,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let vector = [-9..10i8, -9..10i8, -9..10i8];
    let operation = prop_oneof![
        6 => (0..40u8, proptest::collection::vec(vector, 1..3)).prop_map(|(key, vectors)| Operation::Put(key, vectors)),
        2 => (0..40u8).prop_map(Operation::Remove),
        1 => Just(Operation::Copy),
    ];
    proptest::collection::vec(operation, 1..120)
}

/// Documents by number, with vectors and slots.
type Model = BTreeMap<u32, (Vec<Vec<f64>>, Vec<u32>)>;

fn check(
    store: &Store,
    model: &Model,
    query: &[f64],
    allowed: Option<u32>,
) -> Result<(), TestCaseError> {
    let (element, metric) = (store.options().element, store.options().metric);
    let best = |vectors: &[Vec<f64>]| {
        vectors.iter().map(|vector| distance(metric, query, vector)).fold(f64::INFINITY, f64::min)
    };
    let wanted = model.iter().filter(|(number, _)| allowed.is_none_or(|rest| **number % 3 != rest));
    let mut expected: Vec<f64> = wanted.clone().map(|(_, (vectors, _))| best(vectors)).collect();
    expected.sort_by(f64::total_cmp);
    let mut bits = Bits::default();
    wanted.flat_map(|(_, (_, slots))| slots).for_each(|slot| {
        bits.insert(*slot);
    });
    let vector = blob(element, query);
    let wanted = Wanted { vector: &vector, k: 5, ef: Some(200), slots: allowed.map(|_| &bits) };
    let found = store.nearest(&wanted, &mut Clock::never());
    prop_assert_eq!(found.len(), expected.len().min(5));
    for ((number, found), expected) in found.iter().zip(&expected) {
        prop_assert!(
            (found - expected).abs() < 2e-2 * (1.0 + expected.abs()),
            "{} is not {}",
            found,
            expected
        );
        prop_assert!((best(&model[number].0) - found).abs() < 2e-2 * (1.0 + found.abs()));
    }
    let radius = 20.5;
    let within = store.within(&vector, radius, None, &mut Clock::never());
    if metric == Metric::L2 {
        let expected = model.iter().filter(|(_, (vectors, _))| best(vectors) <= radius);
        let expected: Vec<u32> = expected.map(|(number, _)| *number).collect();
        let mut within: Vec<u32> = within.into_iter().map(|(number, _)| number).collect();
        within.sort_unstable();
        prop_assert_eq!(within, expected);
    }
    Ok(())
}

fn run(
    options: Arc<Options>,
    operations: &[Operation],
    query: &[f64],
) -> Result<(), TestCaseError> {
    let mut store = Store::new(Arc::clone(&options));
    let mut model = Model::new();
    let mut numbers: BTreeMap<u8, u32> = BTreeMap::new();
    let mut copies: Vec<(Store, Model)> = Vec::new();
    let mut next = 0;
    for operation in operations {
        let key = match operation {
            Operation::Put(key, _) | Operation::Remove(key) => *key,
            Operation::Copy => {
                copies.push((store.clone(), model.clone()));
                continue;
            }
        };
        if let Some((_, slots)) = numbers.remove(&key).and_then(|number| model.remove(&number)) {
            slots.iter().for_each(|slot| store.remove(*slot));
        }
        if let Operation::Put(_, vectors) = operation {
            let vectors: Vec<Vec<f64>> =
                vectors.iter().map(|v| v.iter().map(|n| f64::from(*n)).collect()).collect();
            let slots = vectors
                .iter()
                .map(|vector| store.insert(next, &blob(options.element, vector)))
                .collect();
            model.insert(next, (vectors, slots));
            numbers.insert(key, next);
            next += 1;
        }
        prop_assert_eq!(
            store.len(),
            model.values().map(|(vectors, _)| vectors.len()).sum::<usize>()
        );
    }
    store.vectors.check();
    copies.push((store, model));
    for (store, model) in &copies {
        check(store, model, query, None)?;
        check(store, model, query, Some(1))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_nearest_are_those_of_a_model(
        operations in operations(), query in [-9..10i8, -9..10i8, -9..10i8],
        graph in any::<bool>(),
        element in proptest::sample::select(&[ElementType::Float32, ElementType::Float64, ElementType::Float16, ElementType::BFloat16, ElementType::Int8][..]),
        metric in proptest::sample::select(&[Metric::L2, Metric::InnerProduct, Metric::Cosine][..]),
    ) {
        let algorithm = if graph { Algorithm::Hnsw(GRAPH) } else { Algorithm::Flat };
        let query: Vec<f64> = query.iter().map(|n| f64::from(*n)).collect();
        run(options(algorithm, element, 3, metric), &operations, &query)?;
    }
}

/// Even numbers in 0..1, from a seed.
fn random(seed: &mut u64) -> f64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) as f64 / 2f64.powi(53)
}

fn recall(hnsw: &Store, flat: &Store, ef: usize, slots: Option<&Bits>, seed: &mut u64) -> f64 {
    let dimensions = hnsw.options().dimensions;
    let (mut hits, mut all) = (0, 0);
    for _ in 0..50 {
        let query: Vec<f64> = (0..dimensions).map(|_| random(seed)).collect();
        let vector = blob(ElementType::Float32, &query);
        let wanted = Wanted { vector: &vector, k: 10, ef: Some(ef), slots };
        let found = hnsw.nearest(&wanted, &mut Clock::never());
        let exact = flat.nearest(&wanted, &mut Clock::never());
        all += exact.len();
        hits += exact.iter().filter(|near| found.contains(near)).count();
    }
    hits as f64 / all as f64
}

/// Evenly spread vectors are the hardest for a graph; after half of them were replaced it must be as good as before.
#[test]
fn a_graph_finds_nearly_all_that_a_scan_finds() {
    let graph = GraphOptions { links: 16, ef_construction: 200, ef_runtime: 10, epsilon: 0.01 };
    let make = |algorithm| Store::new(options(algorithm, ElementType::Float32, 16, Metric::L2));
    let (mut hnsw, mut flat) = (make(Algorithm::Hnsw(graph)), make(Algorithm::Flat));
    let mut seed = 42;
    let put = |hnsw: &mut Store, flat: &mut Store, number: u32, seed: &mut u64| {
        let vector: Vec<f64> = (0..16).map(|_| random(seed)).collect();
        let vector = blob(ElementType::Float32, &vector);
        assert_eq!(hnsw.insert(number, &vector), flat.insert(number, &vector));
    };
    for number in 0..4000 {
        put(&mut hnsw, &mut flat, number, &mut seed);
    }
    let measure = |hnsw: &Store, flat: &Store, seed: &mut u64| {
        let mut third = Bits::default();
        (0..4000).step_by(3).for_each(|slot| {
            third.insert(slot);
        });
        let of = |ef, slots| (ef, slots);
        let cases = [of(50, None), of(100, None), of(50, Some(&third))];
        let nearest = cases.map(|(ef, slots)| recall(hnsw, flat, ef, slots, seed));
        let query: Vec<f64> = (0..16).map(|_| random(seed)).collect();
        let vector = blob(ElementType::Float32, &query);
        let count = |store: &Store| store.within(&vector, 1.0, None, &mut Clock::never()).len();
        let (found, all) = (count(hnsw), count(flat));
        assert!(all > 10 && found * 100 >= all * 90, "{found} of {all} within a radius");
        nearest
    };
    let first = measure(&hnsw, &flat, &mut seed);
    for batch in 0..8 {
        let slots = batch * 500..(batch + 1) * 500;
        for slot in slots.clone() {
            hnsw.remove(slot);
            flat.remove(slot);
        }
        slots.for_each(|number| put(&mut hnsw, &mut flat, 4000 + number, &mut seed));
    }
    hnsw.vectors.check();
    let second = measure(&hnsw, &flat, &mut seed);
    eprintln!("recall at 10: {first:?}, after updates {second:?}");
    for [few, many, filtered] in [first, second] {
        assert!(few > 0.9 && many > 0.95 && filtered > 0.9);
    }
}

#[test]
fn a_clock_ends_a_scan() {
    let mut store = Store::new(options(Algorithm::Flat, ElementType::Float32, 1024, Metric::L2));
    let vector = blob(ElementType::Float32, &[0.5; 1024]);
    for number in 0..500 {
        store.insert(number, &vector);
    }
    let mut deadline = Deadline::after(std::time::Duration::ZERO);
    let mut clock = Clock::new(&mut deadline);
    let wanted = Wanted { vector: &vector, k: 500, ef: None, slots: None };
    let found = store.nearest(&wanted, &mut clock);
    assert!(clock.has_ended() && !found.is_empty() && found.len() < 100);
}

#[test]
fn memory_is_that_of_the_vectors() {
    let mut store = Store::new(options(Algorithm::Flat, ElementType::Float32, 100, Metric::L2));
    let vector = blob(ElementType::Float32, &[0.5; 100]);
    for number in 0..10_000 {
        store.insert(number, &vector);
    }
    let vectors = 10_000 * 400;
    assert!((vectors..vectors * 106 / 100).contains(&store.memory()), "{}", store.memory());
}
