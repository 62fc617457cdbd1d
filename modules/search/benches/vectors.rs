//! What do distances, the nearest vectors, circles and shapes cost?
//!
//!     cargo bench -p mortise-search --bench vectors [VECTORS]
//!
//! One line each: distances per type, then a scan and a walk over as many vectors as given (20,000), with the share of
//! the true nearest ten that the walk finds; then circles and shapes beside looking at every row.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use mortise_search::geo::points::Points;
use mortise_search::geo::{Circle, Point};
use mortise_search::shape::shapes::Shapes;
use mortise_search::shape::{Question, Relation, Shape, Surface};
use mortise_search::vector::element::{Brain, Element, Half};
use mortise_search::vector::store::{Clock, Store, Wanted};
use mortise_search::vector::{Algorithm, ElementType, GraphOptions, Metric, Options};

/// Even numbers in 0..1, from a seed.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / 2f64.powi(53)
    }
}

/// Nanoseconds of `job`, the least of five stretches.
fn measure(times: u32, mut job: impl FnMut()) -> f64 {
    let mut stretch = || {
        let start = Instant::now();
        (0..times).for_each(|_| job());
        start.elapsed().as_nanos() as f64 / f64::from(times)
    };
    (0..5).map(|_| stretch()).fold(f64::INFINITY, f64::min)
}

fn distances<E: Element>(name: &str, random: &mut Random) {
    for dimensions in [128, 768] {
        let mut row = || -> Vec<E> {
            (0..dimensions).map(|_| E::narrow((random.unit() * 200.0).floor() - 72.0)).collect()
        };
        let (a, b) = (row(), row());
        let l2 = measure(100_000, || {
            black_box(E::squared_distance(black_box(&a), black_box(&b)));
        });
        let dot = measure(100_000, || {
            black_box(E::dot(black_box(&a), black_box(&b)));
        });
        println!("{name:9} {dimensions:4} numbers: L2 {l2:7.1} ns, product {dot:7.1} ns");
    }
}

fn stores(count: u32, random: &mut Random) {
    const DIMENSIONS: usize = 128;
    let graph = GraphOptions { links: 16, ef_construction: 200, ef_runtime: 10, epsilon: 0.01 };
    let make = |algorithm| {
        let (element, metric) = (ElementType::Float32, Metric::L2);
        Store::new(Arc::new(Options { algorithm, element, dimensions: DIMENSIONS, metric }))
    };
    let (mut flat, mut hnsw) = (make(Algorithm::Flat), make(Algorithm::Hnsw(graph)));
    // Vectors of real texts lie in clusters; so do these.
    let centers: Vec<Vec<f64>> =
        (0..100).map(|_| (0..DIMENSIONS).map(|_| random.unit()).collect()).collect();
    let mut vector = || -> Vec<u8> {
        let center = &centers[(random.unit() * 100.0) as usize];
        let near = center.iter().map(|c| (c + (random.unit() - 0.5) * 0.5) as f32);
        near.flat_map(f32::to_le_bytes).collect()
    };
    let vectors: Vec<Vec<u8>> = (0..count).map(|_| vector()).collect();
    let queries: Vec<Vec<u8>> = (0..100).map(|_| vector()).collect();
    for (name, store) in [("FLAT", &mut flat), ("HNSW", &mut hnsw)] {
        let start = Instant::now();
        for (number, vector) in (0u32..).zip(&vectors) {
            store.insert(number, vector);
        }
        let each = start.elapsed().as_nanos() as f64 / f64::from(count) / 1000.0;
        let bytes = store.memory() as f64 / f64::from(count);
        println!(
            "{name} {count} x {DIMENSIONS}: {each:.1} us per insertion, {bytes:.0} bytes each"
        );
    }
    let ask = |store: &Store, query: &[u8], ef| {
        let wanted = Wanted { vector: query, k: 10, ef, slots: None };
        store.nearest(&wanted, &mut Clock::never())
    };
    let exact: Vec<_> = queries.iter().map(|query| ask(&flat, query, None)).collect();
    let scan = measure(1, || queries.iter().for_each(|query| drop(ask(&flat, query, None))));
    println!("FLAT nearest 10: {:.1} us", scan / 1e5);
    for ef in [10, 50, 100, 200] {
        let walk = measure(1, || queries.iter().for_each(|q| drop(ask(&hnsw, q, Some(ef)))));
        let hits = queries.iter().zip(&exact).map(|(query, exact)| {
            let found = ask(&hnsw, query, Some(ef));
            exact.iter().filter(|near| found.contains(near)).count()
        });
        let recall = hits.sum::<usize>() as f64 / (10 * queries.len()) as f64;
        println!("HNSW nearest 10, ef {ef}: {:.1} us, recall {recall:.3}", walk / 1e5);
    }
    let start = Instant::now();
    (0..count / 10).for_each(|slot| hnsw.remove(slot));
    let each = start.elapsed().as_nanos() as f64 / f64::from(count / 10) / 1000.0;
    println!("HNSW: {each:.1} us per removal");
}

fn places(random: &mut Random) {
    const ROWS: usize = 100_000;
    let mut points = Points::default();
    for _ in 0..ROWS {
        let place = Point {
            longitude: random.unit() * 360.0 - 180.0,
            latitude: random.unit() * 160.0 - 80.0,
        };
        points.push(&[place.code()]);
    }
    let every_row = points.clone();
    points.pack();
    for kilometres in [10, 100, 1000, 10_000] {
        let center = Point { longitude: 2.35, latitude: 48.86 };
        let circle = Circle { center, metres: f64::from(kilometres) * 1000.0 };
        let found = points.within(&circle).len();
        let indexed = measure(20, || drop(points.within(black_box(&circle))));
        let fresh = measure(20, || drop(every_row.within(black_box(&circle))));
        let all = measure(5, || {
            let inside = |row: &u32| {
                every_row.of_row(*row).iter().any(|code| circle.contains(Point::of_code(*code)))
            };
            black_box((0..ROWS as u32).filter(inside).count());
        });
        let us = |ns: f64| ns / 1000.0;
        println!(
            "circle of {kilometres:5} km, {found:5} of {ROWS}: {:8.1} us, by ranges alone {:8.1}, by distances alone {:8.1}",
            us(indexed),
            us(fresh),
            us(all)
        );
    }
    let mut shapes = Shapes::new(Surface::Flat);
    for _ in 0..ROWS {
        let (x, y) = (random.unit() * 1000.0, random.unit() * 1000.0);
        let text = format!("POLYGON(({x} {y}, {} {y}, {x} {}))", x + 3.0, y + 3.0);
        shapes.push(Some(&Arc::new(
            Shape::parse(text.as_bytes(), Surface::Flat).expect("it is one"),
        )));
    }
    let every_row = shapes.clone();
    shapes.pack();
    let text = b"POLYGON((500 500, 520 500, 520 520, 500 520))";
    let question = Question::new(Relation::Intersects, text, Surface::Flat).expect("it is one");
    let found = shapes.matching(&question, &mut || false).len();
    let indexed = measure(20, || drop(shapes.matching(&question, &mut || false)));
    let fresh = measure(20, || drop(every_row.matching(&question, &mut || false)));
    println!(
        "shapes, {found} of {ROWS}: {:.1} us, by boxes alone {:.1}",
        indexed / 1e3,
        fresh / 1e3
    );
}

fn main() {
    let count = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(20_000);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    distances::<f32>("FLOAT32", &mut random);
    distances::<f64>("FLOAT64", &mut random);
    distances::<Half>("FLOAT16", &mut random);
    distances::<Brain>("BFLOAT16", &mut random);
    distances::<i8>("INT8", &mut random);
    distances::<u8>("UINT8", &mut random);
    stores(count, &mut random);
    places(&mut random);
}
