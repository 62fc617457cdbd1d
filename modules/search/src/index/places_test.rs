//! Does an index with places, shapes and vectors find what a scan of all documents finds?
//!
//! As `model_test`, for the fields whose values lie beside the postings: documents are put in, replaced and removed,
//! batches sealed and merged and snapshots kept at random moments.

use std::sync::Arc;

use proptest::prelude::*;

use crate::geo::{Circle, Point};
use crate::index::analysis::FieldValue;
use crate::index::search::Order;
use crate::index::snapshot::Snapshot;
use crate::index::storing::tests::reloaded;
use crate::index::testing::{self, all, attributes, planned};
use crate::index::tier::Tier;
use crate::index::{Index, Work};
use crate::query::parser::Parameters;
use crate::schema::Schema;
use crate::shape::{Question, Relation, Shape, Surface};

const SCHEMA: &str = "ON JSON SCHEMA $.g AS g GEO $.s AS s GEOSHAPE FLAT $.t AS t TAG SORTABLE \
    $.f AS f VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2 \
    $.h AS h VECTOR HNSW 8 TYPE INT8 DIM 2 DISTANCE_METRIC L2 M 4";

#[derive(Debug, Clone)]
struct Document {
    places: Vec<(i8, i8)>,
    shape: Option<(i8, i8, u8)>,
    red: bool,
    vectors: Vec<[i8; 2]>,
}

#[derive(Debug, Clone)]
enum Ask {
    Nearest { hnsw: bool, vector: [i8; 2], k: usize, filter: Filter },
    Within { hnsw: bool, vector: [i8; 2], radius: u8 },
    Match(Filter),
}

#[derive(Debug, Clone)]
enum Filter {
    All,
    Red,
    Circle(i8, i8, u16),
    NotCircle(i8, i8, u16),
    Shape(Relation, i8, i8, u8),
}

#[derive(Debug, Clone)]
enum Operation {
    Put(u8, Document),
    Remove(u8),
    Seal,
    Keep(Ask),
    Search(Ask),
    Reload,
}

fn square(x: i8, y: i8, size: u8) -> String {
    let (x, y, size) = (i32::from(x), i32::from(y), i32::from(size) + 1);
    let (right, top) = (x + size, y + size);
    format!("POLYGON(({x} {y}, {right} {y}, {right} {top}, {x} {top}))")
}

fn document() -> impl Strategy<Value = Document> {
    let vector = [-5..6i8, -5..6i8];
    (
        proptest::collection::vec((-100..100i8, -80..80i8), 0..3),
        proptest::option::of((-20..20i8, -20..20i8, 0..9u8)),
        any::<bool>(),
        proptest::collection::vec(vector, 0..3),
    )
        .prop_map(|(places, shape, red, vectors)| Document { places, shape, red, vectors })
}

fn filter() -> impl Strategy<Value = Filter> {
    let circle = (-100..100i8, -80..80i8, 1..9000u16);
    let relation = proptest::sample::select(
        &[Relation::Within, Relation::Contains, Relation::Intersects, Relation::Disjoint][..],
    );
    prop_oneof![
        Just(Filter::All),
        Just(Filter::Red),
        circle.clone().prop_map(|(lon, lat, km)| Filter::Circle(lon, lat, km)),
        circle.prop_map(|(lon, lat, km)| Filter::NotCircle(lon, lat, km)),
        (relation, -20..20i8, -20..20i8, 0..20u8)
            .prop_map(|(r, x, y, s)| Filter::Shape(r, x, y, s)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let vector = [-5..6i8, -5..6i8];
    prop_oneof![
        (any::<bool>(), vector.clone(), 0..6usize, filter())
            .prop_map(|(hnsw, vector, k, filter)| Ask::Nearest { hnsw, vector, k, filter }),
        (any::<bool>(), vector, 0..40u8).prop_map(|(hnsw, vector, radius)| Ask::Within {
            hnsw,
            vector,
            radius
        }),
        filter().prop_map(Ask::Match),
    ]
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        8 => (0..20u8, document()).prop_map(|(key, document)| Operation::Put(key, document)),
        2 => (0..20u8).prop_map(Operation::Remove),
        2 => Just(Operation::Seal),
        1 => ask().prop_map(Operation::Keep),
        4 => ask().prop_map(Operation::Search),
        1 => Just(Operation::Reload),
    ];
    proptest::collection::vec(operation, 1..80)
}

fn put(index: &mut Index, key: u8, document: &Document) {
    let text = |text: String| FieldValue::Text(text.into_bytes().into());
    let numbers = |vector: &[i8; 2]| {
        FieldValue::Array(vector.iter().map(|n| FieldValue::Number((*n).into())).collect())
    };
    let places = document.places.iter().map(|(lon, lat)| text(format!("{lon},{lat}")));
    let vectors = FieldValue::Array(document.vectors.iter().map(numbers).collect());
    let vectors = if document.vectors.is_empty() { FieldValue::Missing } else { vectors };
    let values = [
        FieldValue::Array(places.collect()),
        document.shape.map_or(FieldValue::Missing, |(x, y, size)| text(square(x, y, size))),
        text(if document.red { "red" } else { "blue" }.to_owned()),
        vectors.clone(),
        vectors,
    ];
    index.put(&[key], &values, attributes(1.0)).unwrap();
}

fn matches(document: &Document, filter: &Filter) -> bool {
    let within = |lon: i8, lat: i8, km: u16| {
        let point = |lon: i8, lat: i8| Point { longitude: lon.into(), latitude: lat.into() };
        let circle = Circle { center: point(lon, lat), metres: f64::from(km) * 1000.0 };
        document
            .places
            .iter()
            .any(|(lon, lat)| circle.contains(Point::of_code(point(*lon, *lat).code())))
    };
    match filter {
        Filter::All => true,
        Filter::Red => document.red,
        Filter::Circle(lon, lat, km) => within(*lon, *lat, *km),
        Filter::NotCircle(lon, lat, km) => !within(*lon, *lat, *km),
        Filter::Shape(relation, x, y, size) => document.shape.is_some_and(|(dx, dy, ds)| {
            let shape = Shape::parse(square(dx, dy, ds).as_bytes(), Surface::Flat).unwrap();
            Question::new(*relation, square(*x, *y, *size).as_bytes(), Surface::Flat)
                .unwrap()
                .matches(&shape)
        }),
    }
}

fn distance(document: &Document, to: [i8; 2]) -> Option<f64> {
    let distance = |v: &[i8; 2]| {
        let square = |a: i8, b: i8| (f64::from(a) - f64::from(b)).powi(2);
        square(v[0], to[0]) + square(v[1], to[1])
    };
    document.vectors.iter().map(distance).min_by(f64::total_cmp)
}

fn filter_text(filter: &Filter) -> String {
    match filter {
        Filter::All => "*".into(),
        Filter::Red => "@t:{red}".into(),
        Filter::Circle(lon, lat, km) => format!("@g:[{lon} {lat} {km} km]"),
        Filter::NotCircle(lon, lat, km) => format!("-@g:[{lon} {lat} {km} km]"),
        Filter::Shape(relation, ..) => format!("@s:[{relation:?} $shape]"),
    }
}

/// The text of a question, with its parameters.
fn query(ask: &Ask) -> (String, Parameters) {
    let mut parameters = Parameters::new();
    let field = |hnsw: bool| if hnsw { "h" } else { "f" };
    let (Ask::Match(filter) | Ask::Nearest { filter, .. }) = ask else {
        let Ask::Within { hnsw, vector, radius } = ask else { unreachable!() };
        parameters.insert(b"v".to_vec(), blob(*hnsw, *vector));
        return (format!("@{}:[VECTOR_RANGE {radius} $v]", field(*hnsw)), parameters);
    };
    if let Filter::Shape(_, x, y, size) = filter {
        parameters.insert(b"shape".to_vec(), square(*x, *y, *size).into_bytes());
    }
    let mut text = filter_text(filter);
    if let Ask::Nearest { hnsw, vector, k, .. } = ask {
        parameters.insert(b"v".to_vec(), blob(*hnsw, *vector));
        text = format!("{text}=>[KNN {k} @{} $v EF_RUNTIME 500]", field(*hnsw));
    }
    (text, parameters)
}

fn blob(hnsw: bool, vector: [i8; 2]) -> Vec<u8> {
    match hnsw {
        true => vector.iter().map(|n| n.cast_unsigned()).collect(),
        false => vector.iter().flat_map(|n| f32::from(*n).to_le_bytes()).collect(),
    }
}

/// Keys in their order, the oldest first where nothing else decides.
fn expected(documents: &[(u8, Document)], ask: &Ask) -> Vec<u8> {
    let mut found: Vec<(f64, usize, u8)> = Vec::new();
    for (age, (key, document)) in documents.iter().enumerate() {
        let distance = match ask {
            Ask::Match(filter) => matches(document, filter).then_some(0.0),
            Ask::Nearest { vector, filter, .. } => {
                distance(document, *vector).filter(|_| matches(document, filter))
            }
            Ask::Within { vector, radius, .. } => {
                distance(document, *vector).filter(|distance| *distance <= f64::from(*radius))
            }
        };
        found.extend(distance.map(|distance| (distance, age, *key)));
    }
    if let Ask::Nearest { k, .. } = ask {
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        found.truncate(*k);
    }
    found.into_iter().map(|(_, _, key)| key).collect()
}

fn check(
    snapshot: &Snapshot,
    schema: &Schema,
    documents: &[(u8, Document)],
    ask: &Ask,
) -> Result<(), TestCaseError> {
    let (text, parameters) = query(ask);
    let plan = planned(&text, schema, &parameters).unwrap();
    let order = match plan.nearest() {
        Some(query) => Order::Distance { query, descending: false },
        None => Order::Age,
    };
    let found = snapshot.search(&all(&plan, order));
    let keys: Vec<u8> = found.hits.iter().map(|hit| hit.key[0]).collect();
    prop_assert_eq!(&keys, &expected(documents, ask), "{}", text);
    prop_assert_eq!(found.total, keys.len() as u64);
    if let Ask::Nearest { vector, .. } = ask {
        for hit in &found.hits {
            let (_, document) = documents.iter().find(|(key, _)| *key == hit.key[0]).unwrap();
            let (_, matches) = &found.distances[0];
            prop_assert_eq!(matches.distance(hit.number), distance(document, *vector));
        }
    }
    Ok(())
}

/// A snapshot, what was in the index then, and what it is asked at the end.
type Kept = (Arc<Snapshot>, Vec<(u8, Document)>, Ask);

fn run(work: Work, operations: &[Operation]) -> Result<(), TestCaseError> {
    let schema = testing::schema(SCHEMA);
    let mut index = Index::new(Arc::clone(&schema), work);
    // The numbers begin anew on the way.
    index.next_number = u32::MAX - 20;
    let mut documents: Vec<(u8, Document)> = Vec::new();
    let mut kept: Vec<Kept> = Vec::new();
    for operation in operations {
        match operation {
            Operation::Put(key, document) => {
                put(&mut index, *key, document);
                documents.retain(|(other, _)| other != key);
                documents.push((*key, document.clone()));
            }
            Operation::Remove(key) => {
                index.remove(&[*key]);
                documents.retain(|(other, _)| other != key);
            }
            Operation::Seal if !index.now.fresh.rows().is_empty() => index.freeze(),
            Operation::Seal => {}
            Operation::Search(ask) => check(&index.snapshot(), &schema, &documents, ask)?,
            Operation::Keep(ask) => kept.push((index.snapshot(), documents.clone(), ask.clone())),
            Operation::Reload => index = reloaded(&mut index, work),
        }
        let vectors = documents.iter().map(|(_, document)| document.vectors.len()).sum::<usize>();
        prop_assert!(index.now.vectors.iter().all(|store| store.len() == vectors));
    }
    index.finish_jobs();
    prop_assert!(index.statistics.last_job_error.is_none());
    for (snapshot, documents, ask) in &kept {
        check(snapshot, &schema, documents, ask)?;
        check(snapshot, &schema, documents, &Ask::Match(Filter::All))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_index_finds_the_places_that_a_scan_finds(operations in operations()) {
        run(Work::Inline, &operations)?;
    }

    #[test]
    fn threads_change_no_place(operations in operations()) {
        run(Work::Background, &operations)?;
    }
}
