//! FT.INFO, and what INFO says of the module.

use mortise_module::{
    Access, Arg, Arity, Command, CommandResult, Context, Flag, InfoWriter, Reply, Writer,
};

use crate::commands::{cursor, loading, permission};
use crate::docs;
use crate::error::Error;
use crate::index::{Sizes, Statistics};
use crate::schema::{Field, FieldKind, Schema, Source};
use crate::shape::Surface;
use crate::storage::loading::Origin;
use crate::storage::saving;
use crate::vector::{self, Algorithm};
use crate::{registry, settings};

/// FT.INFO.
pub const INFO: Command = Command {
    name: "FT.INFO",
    summary: "Tells what an index follows, holds and weighs",
    arity: Arity::Exactly(2),
    args: docs::ONE_INDEX,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: info,
    ..Command::DEFAULT
};

/// What FT.INFO shows, taken out of the index at one moment.
struct Snapshot {
    schema: std::sync::Arc<Schema>,
    documents: usize,
    sizes: Sizes,
    statistics: Statistics,
    uses: u64,
    dialects: u8,
    indexing_us: u64,
    scan: Option<registry::Progress>,
    origin: Origin,
    rebuild: Option<Rebuild>,
}

/// What it shows of an index that is being built.
struct Rebuild {
    fields: usize,
    documents: usize,
    sizes: Sizes,
    scan: registry::Progress,
}

fn info(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let snapshot = registry::with(|all| {
        let entry = all.get(args[1].as_bytes())?;
        entry.index.expire(registry::now_ms());
        entry.index.settle_jobs();
        entry.uses += 1;
        Some(Snapshot {
            schema: std::sync::Arc::clone(entry.index.schema()),
            documents: entry.index.len(),
            sizes: entry.index.sizes(),
            statistics: entry.index.statistics().clone(),
            uses: entry.uses,
            dialects: entry.dialects,
            indexing_us: entry.indexing_us,
            scan: entry.scan,
            origin: entry.origin,
            rebuild: entry.rebuild.as_mut().map(|rebuild| {
                rebuild.index.settle_jobs();
                Rebuild {
                    fields: rebuild.index.schema().fields.len(),
                    documents: rebuild.index.len(),
                    sizes: rebuild.index.sizes(),
                    scan: rebuild.scan,
                }
            }),
        })
    });
    let snapshot = snapshot.ok_or(Error::Text("Unknown index name"))?;
    permission::check(ctx, &snapshot.schema, Access::Read)?;
    let resp3 = ctx.is_resp3();
    let writer = ctx.reply();
    writer.begin_map();
    definition(writer, &snapshot.schema);
    attributes(writer, &snapshot.schema, resp3);
    numbers(writer, &snapshot);
    if let Some(words) = snapshot.schema.stop_words.given() {
        writer.simple("stopwords_list");
        writer.array(words.len());
        words.iter().for_each(|word| writer.bulk(word));
    }
    errors(writer, &snapshot.statistics);
    field_statistics(writer, &snapshot.schema, &snapshot.statistics);
    writer.end();
    Ok(Reply::Written)
}

fn definition(writer: Writer<'_>, schema: &Schema) {
    writer.simple("index_name");
    writer.bulk(&schema.name);
    writer.simple("index_options");
    let options: Vec<&str> = schema.options().collect();
    writer.array(options.len());
    options.iter().for_each(|option| writer.simple(option));
    writer.simple("index_definition");
    writer.begin_map();
    writer.simple("key_type");
    writer.simple(match schema.source {
        Source::Hash => "HASH",
        Source::Json => "JSON",
    });
    writer.simple("prefixes");
    writer.array(schema.prefixes.len());
    schema.prefixes.iter().for_each(|prefix| writer.bulk(prefix));
    if let Some(filter) = &schema.filter {
        writer.simple("filter");
        writer.bulk(&filter.text);
    }
    if schema.language_given {
        writer.simple("default_language");
        writer.simple(schema.language.name());
    }
    if let Some(field) = &schema.language_field {
        writer.simple("language_field");
        writer.bulk(field);
    }
    writer.simple("default_score");
    writer.double(schema.score);
    if let Some(field) = &schema.score_field {
        writer.simple("score_field");
        writer.bulk(field);
    }
    if let Some(field) = &schema.payload_field {
        writer.simple("payload_field");
        writer.bulk(field);
    }
    writer.simple("indexes_all");
    writer.simple(if schema.indexes_all { "true" } else { "false" });
    writer.end();
}

fn attributes(writer: Writer<'_>, schema: &Schema, resp3: bool) {
    writer.simple("attributes");
    writer.array(schema.fields.len());
    for field in &schema.fields {
        // RESP2 shows the flags behind the pairs of one flat list, RESP3 as a list under a key of their own.
        if resp3 {
            writer.begin_map();
        } else {
            writer.begin_array();
        }
        attribute(writer, field);
        let flags = flags(field);
        if resp3 {
            writer.simple("flags");
            writer.array(flags.len());
        }
        flags.iter().for_each(|flag| writer.simple(flag));
        writer.end();
    }
}

fn attribute(writer: Writer<'_>, field: &Field) {
    writer.simple("identifier");
    writer.bulk(&field.path);
    writer.simple("attribute");
    writer.bulk(&field.name);
    writer.simple("type");
    match &field.kind {
        FieldKind::Text { weight, .. } => {
            writer.simple("TEXT");
            writer.simple("WEIGHT");
            writer.double(*weight);
        }
        FieldKind::Tag { separator, .. } => {
            writer.simple("TAG");
            writer.simple("SEPARATOR");
            writer.bulk(separator.as_slice());
        }
        FieldKind::Numeric => writer.simple("NUMERIC"),
        FieldKind::Nested => writer.simple("NESTED"),
        FieldKind::Geo => writer.simple("GEO"),
        FieldKind::GeoShape(surface) => {
            writer.simple("GEOSHAPE");
            writer.simple("coord_system");
            writer.simple(match surface {
                Surface::Flat => "FLAT",
                Surface::Spherical => "SPHERICAL",
            });
        }
        FieldKind::Vector { options, .. } => {
            writer.simple("VECTOR");
            vector_attribute(writer, options);
        }
    }
}

fn vector_attribute(writer: Writer<'_>, options: &vector::Options) {
    let int = |name: &str, value: usize| {
        writer.simple(name);
        writer.int(i64::try_from(value).unwrap_or(i64::MAX));
    };
    writer.simple("algorithm");
    writer.simple(options.algorithm_name());
    writer.simple("data_type");
    writer.simple(options.element.name());
    int("dim", options.dimensions);
    writer.simple("distance_metric");
    writer.simple(options.metric.name());
    match &options.algorithm {
        Algorithm::Flat => {}
        Algorithm::Hnsw(graph) => {
            int("M", graph.links);
            int("ef_construction", graph.ef_construction);
        }
        Algorithm::Vamana(graph, vamana) => {
            int("graph_max_degree", vamana.degree);
            int("construction_window_size", graph.ef_construction);
            writer.simple("compression");
            writer.simple(vamana.compression.unwrap_or("NO_COMPRESSION"));
        }
    }
}

fn flags(field: &Field) -> Vec<&'static str> {
    let mut flags = Vec::new();
    let (mut no_stem, mut case_sensitive, mut suffix_trie) = (false, false, false);
    match &field.kind {
        FieldKind::Text { no_stem: n, suffix_trie: s, .. } => (no_stem, suffix_trie) = (*n, *s),
        FieldKind::Tag { case_sensitive: c, suffix_trie: s, .. } => {
            (case_sensitive, suffix_trie) = (*c, *s)
        }
        FieldKind::Numeric
        | FieldKind::Geo
        | FieldKind::GeoShape(_)
        | FieldKind::Vector { .. }
        | FieldKind::Nested => {}
    }
    let mut add = |is_set: bool, name| {
        if is_set {
            flags.push(name);
        }
    };
    add(case_sensitive, "CASESENSITIVE");
    add(field.sortable, "SORTABLE");
    add(field.sortable && field.unnormalized, "UNF");
    add(no_stem, "NOSTEM");
    add(field.no_index, "NOINDEX");
    add(suffix_trie, "WITHSUFFIXTRIE");
    add(field.index_empty, "INDEXEMPTY");
    add(field.index_missing, "INDEXMISSING");
    flags
}

fn numbers(writer: Writer<'_>, snapshot: &Snapshot) {
    let sizes = &snapshot.sizes;
    let documents = snapshot.documents;
    let int = |name: &str, value: u64| {
        writer.simple(name);
        writer.int(i64::try_from(value).unwrap_or(i64::MAX));
    };
    let double = |name: &str, value: f64| {
        writer.simple(name);
        writer.double(value);
    };
    let megabytes = |name: &str, bytes: usize| double(name, bytes as f64 / f64::from(1 << 20));
    int("num_docs", documents as u64);
    int("max_doc_id", sizes.number_max.into());
    int("num_terms", sizes.words as u64);
    int("num_records", sizes.postings.records);
    megabytes("inverted_sz_mb", sizes.postings.bytes);
    megabytes("vector_index_sz_mb", sizes.vectors);
    int("total_inverted_index_blocks", sizes.segments as u64);
    megabytes("offset_vectors_sz_mb", sizes.postings.position_bytes);
    megabytes("doc_table_size_mb", sizes.document_table);
    megabytes("sortable_values_size_mb", sizes.columns);
    megabytes("key_table_size_mb", sizes.key_table);
    megabytes("tag_overhead_sz_mb", 0);
    megabytes("text_overhead_sz_mb", 0);
    let rebuilt = snapshot.rebuild.as_ref().map_or(0, |rebuild| rebuild.sizes.total());
    megabytes("total_index_memory_sz_mb", sizes.total() + rebuilt);
    megabytes("geoshapes_sz_mb", 0);
    let records = sizes.postings.records as f64;
    let occurrences = sizes.postings.occurrences as f64;
    let ratio = |a: f64, b: f64| if b == 0.0 { 0.0 } else { a / b };
    double("records_per_doc_avg", ratio(records, documents as f64));
    double("bytes_per_record_avg", ratio(sizes.postings.bytes as f64, records));
    double("offsets_per_term_avg", ratio(occurrences, records));
    let position_bits = sizes.postings.position_bytes as f64 * 8.0;
    double("offset_bits_per_record_avg", ratio(position_bits, occurrences));
    int("hash_indexing_failures", snapshot.statistics.failures);
    double("total_indexing_time", snapshot.indexing_us as f64 / 1000.0);
    let scan = snapshot.rebuild.as_ref().map(|rebuild| rebuild.scan).or(snapshot.scan);
    int("indexing", scan.is_some().into());
    double("percent_indexed", scan.map_or(1.0, |progress| progress.share()));
    if let Some(rebuild) = &snapshot.rebuild {
        writer.simple("rebuild");
        writer.map(4);
        double("percent_indexed", rebuild.scan.share());
        int("num_attributes", rebuild.fields as u64);
        int("num_docs", rebuild.documents as u64);
        megabytes("total_index_memory_sz_mb", rebuild.sizes.total());
    }
    int("segments_loaded", snapshot.origin.segments as u64);
    int("segments_loaded_bytes", snapshot.origin.bytes);
    int("number_of_uses", snapshot.uses);
    int("cleaning", 0);
    let cursors = cursor::counts(&snapshot.schema.name);
    writer.simple("cursor_stats");
    writer.map(5);
    int("global_idle", cursors.all as u64);
    int("global_total", cursors.all as u64);
    int("index_capacity", settings::size(&settings::INDEX_CURSOR_LIMIT) as u64);
    int("index_total", cursors.of_index as u64);
    int("index_bytes", cursors.bytes_of_index as u64);
    writer.simple("dialect_stats");
    writer.map(4);
    for dialect in 1..=4 {
        int(&format!("dialect_{dialect}"), (snapshot.dialects >> dialect & 1).into());
    }
}

fn errors(writer: Writer<'_>, statistics: &Statistics) {
    let (error, key) = match &statistics.last_failure {
        Some((refusal, key)) => (refusal.reason.as_str(), &**key),
        None => ("N/A", &b"N/A"[..]),
    };
    writer.simple("Index Errors");
    writer.map(4);
    refused(writer, statistics.failures, error, key);
    writer.simple("background indexing status");
    writer.simple(if statistics.last_job_error.is_some() { "FAILED" } else { "OK" });
}

/// Three pairs of a map: how many documents were refused, and why and which was the last.
fn refused(writer: Writer<'_>, count: u64, error: &str, key: &[u8]) {
    writer.simple("indexing failures");
    writer.int(i64::try_from(count).unwrap_or(i64::MAX));
    writer.simple("last indexing error");
    writer.bulk(error);
    writer.simple("last indexing error key");
    writer.bulk(key);
}

fn field_statistics(writer: Writer<'_>, schema: &Schema, statistics: &Statistics) {
    writer.simple("field statistics");
    writer.array(schema.fields.len());
    for field in &schema.fields {
        writer.map(3);
        writer.simple("identifier");
        writer.bulk(&field.path);
        writer.simple("attribute");
        writer.bulk(&field.name);
        writer.simple("Index Errors");
        writer.map(3);
        match statistics.by_field.get(&field.name) {
            Some(failures) => refused(writer, failures.count, &failures.reason, &failures.key),
            None => refused(writer, 0, "N/A", b"N/A"),
        }
    }
}

/// The module's section of INFO.
pub fn server_info(writer: &mut InfoWriter<'_>) {
    if writer.for_crash_report() {
        return;
    }
    let (indexes, documents, memory, segments, bytes) = registry::with(|all| {
        let mut sums = (0usize, 0usize, 0usize, 0usize, 0u64);
        for entry in all.iter_mut() {
            sums.0 += 1;
            sums.1 += entry.index.len();
            entry.each_index(|index| sums.2 += index.sizes().total());
            sums.3 += entry.origin.segments;
            sums.4 += entry.origin.bytes;
        }
        sums
    });
    // INFO cannot answer an error; what the server refuses to take is left out.
    let _ = writer.section("version").and_then(|_| writer.field("version", "8.0.0"));
    let _ = writer.section("index").and_then(|_| writer.field("number_of_indexes", indexes));
    let _ = writer.field("total_documents", documents);
    let _ = writer.section("memory").and_then(|_| writer.field("used_memory_indexes", memory));
    let (cursors, held) = cursor::totals();
    let _ = writer.section("cursors").and_then(|_| writer.field("global_total", cursors));
    let _ = writer.field("used_memory_cursors", held);
    let (rows, holds) = loading::counts();
    let _ = writer.section("loading").and_then(|_| writer.field("loaded_rows", rows));
    let _ = writer.field("load_holds", holds);
    let saved = saving::figures();
    let _ = writer.section("persistence").and_then(|_| writer.field("segments_loaded", segments));
    let fields = [
        ("segments_loaded_bytes", bytes),
        ("segments_saves", saved.saves),
        ("segments_save_failures", saved.failures),
        ("segments_last_save_bytes", saved.bytes),
        ("segments_last_save_bytes_written", saved.written),
        ("segments_last_save_ms", saved.ms),
    ];
    for (name, value) in fields {
        let _ = writer.field(name, value);
    }
}
