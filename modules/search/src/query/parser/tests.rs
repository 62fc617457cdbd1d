//! Which trees do texts give, and which errors?

use proptest::prelude::*;

use super::*;
use crate::query::ast::TagItem;
use crate::schema::parse::create;

fn schema() -> Schema {
    let line = "SCHEMA title TEXT body TEXT tag TAG cs TAG CASESENSITIVE num NUMERIC m TAG INDEXMISSING \
                g GEO s GEOSHAPE FLAT v VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2";
    let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    create(b"idx", &words).unwrap()
}

fn read(text: &str, dialect: u32) -> Result<Node, String> {
    let schema = schema();
    let parameters = [
        ("p", "Hello"),
        ("n", "7"),
        ("km", "km"),
        ("b", "12345678"),
        ("here", "POINT(1 2)"),
        ("ef", "20"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    let context = Context {
        schema: &schema,
        stop_words: &schema.stop_words,
        parameters: &parameters,
        dialect,
    };
    parse(text.as_bytes(), context).map_err(|error| error.to_string())
}

/// A tree in one line: AND as `(a b)`, OR as `(a|b)`, scopes as a mask in front.
fn show(node: &Node) -> String {
    let list = |nodes: &[Node], sep| nodes.iter().map(show).collect::<Vec<_>>().join(sep);
    let mut text = match &node.kind {
        Kind::Nothing => "<>".into(),
        Kind::All => "*".into(),
        Kind::Word { word, .. } => word.clone(),
        Kind::Pattern(pattern) => match pattern {
            Pattern::Prefix(text) => format!("{}*", lossy(text)),
            Pattern::Suffix(text) => format!("*{}", lossy(text)),
            Pattern::Contains(text) => format!("*{}*", lossy(text)),
            Pattern::Wildcard(text) => format!("w{}", lossy(text)),
            Pattern::Fuzzy { word, distance } => format!("%{word}%{distance}"),
        },
        Kind::And { children, exact: true } => format!("\"{}\"", list(children, " ")),
        Kind::And { children, exact: false } => format!("({})", list(children, " ")),
        Kind::Or(children) => format!("({})", list(children, "|")),
        Kind::Not(child) => format!("-{}", show(child)),
        Kind::Optional(child) => format!("~{}", show(child)),
        Kind::Tags { field, items } => {
            let item = |item: &TagItem| match item {
                TagItem::Value(value) => lossy(value),
                TagItem::Pattern(Pattern::Prefix(text)) => format!("{}*", lossy(text)),
                TagItem::Pattern(pattern) => format!("{pattern:?}"),
            };
            format!("{field}{{{}}}", items.iter().map(item).collect::<Vec<_>>().join("|"))
        }
        Kind::Range { field, range } => {
            let open = if range.min_exclusive { "(" } else { "" };
            let close = if range.max_exclusive { "(" } else { "" };
            format!("{field}[{open}{} {close}{}]", range.min, range.max)
        }
        Kind::Missing(field) => format!("missing{field}"),
        Kind::Circle { field, circle } => {
            let center = circle.center;
            format!("{field}@{} {} {}", center.longitude, center.latitude, circle.metres)
        }
        Kind::Shape { field, .. } => format!("{field}@shape"),
        Kind::Nested { field, child } => format!("{field}({})", show(child)),
        Kind::Around { clause, radius } => format!("{}<{radius}", show_vector(clause)),
        Kind::Nearest { clause, k, filter } => {
            let filter = filter.as_ref().map_or("*".into(), |filter| show(filter));
            format!("{filter}=>{k} {}", show_vector(clause))
        }
    };
    if node.fields < 8 && matches!(node.kind, Kind::Word { .. } | Kind::Pattern(_)) {
        text = format!("{}:{text}", node.fields);
    }
    if node.weight != 1.0 {
        text = format!("{text}^{}", node.weight);
    }
    text
}

fn show_vector(clause: &crate::query::ast::VectorClause) -> String {
    let yields =
        clause.yields.as_ref().map_or(String::new(), |name| format!(" as {}", lossy(name)));
    let ef = clause.ef.map_or(String::new(), |ef| format!(" ef {ef}"));
    let epsilon = clause.epsilon.map_or(String::new(), |epsilon| format!(" eps {epsilon}"));
    format!("{}~{}{ef}{epsilon}{yields}", clause.field, lossy(&clause.vector))
}

#[track_caller]
fn check(text: &str, dialect: u32, expected: &str) {
    let shown = read(text, dialect).map(|node| show(&node));
    assert_eq!(shown.as_deref().unwrap_or_else(|e| e), expected, "{text}");
}

#[test]
fn dialect_2_binds_blank_tighter_than_bar() {
    check("hello big|fat world", 2, "((hello big)|(fat world))");
    check("hello big|fat world", 1, "(hello (big|fat) world)");
    check("foo bar baz", 2, "(foo bar baz)");
    check("(foo|bar) baz", 2, "((foo|bar) baz)");
    check("foo -bar ~baz", 2, "(foo -bar ~baz)");
    check("--foo", 2, "foo");
    check("", 2, "<>");
    check("*", 1, "*");
    check("((*))", 2, "*");
    check("the of", 2, "<>");
    check("the king", 2, "king");
}

#[test]
fn fields_scope_one_clause_or_all_that_follow() {
    check("@title:foo bar", 2, "(1:foo bar)");
    check("@title:foo bar @body:baz", 1, "((1:foo 1:bar) 2:baz)");
    check("@title|body:(foo bar)", 2, "(3:foo 3:bar)");
    check("@title:(foo @body:bar)", 2, "Syntax error at offset 7 near title");
    check("@nope:foo", 2, "Unknown field at offset 0 near nope");
    check("@nope:foo", 1, "0:foo");
    check("@tag:(@num:[0 10])", 1, "4[0 10]");
    check("@tag:(@num:[0 10])", 2, "Syntax error at offset 5 near tag");
    check("@tag:(foo)", 2, "Expected a TEXT field at offset 0 near tag");
    check("$p", 1, "Syntax error at offset 0 near p");
    check("@num:foo", 2, "Expected a TEXT field at offset 0 near num");
    check("@title:[1 2]", 2, "Expected a NUMERIC field at offset 0 near title");
}

#[test]
fn ranges_tags_and_patterns() {
    check("@num:[1 (5]", 2, "4[1 (5]");
    check("@num:[-inf,+inf]", 2, "4[-inf inf]");
    check("@num:[$n]", 2, "4[7 7]");
    check("@num>=5 @num!=$n", 2, "(4[5 inf] -4[7 7])");
    check("@num:[5 1]", 2, "Invalid numeric range (min > max): @num:[5.000000 1.000000]");
    check("@tag:{Foo|bar baz|q*}", 2, "2{foo|bar baz|q*}");
    check("@tag:{foo-bar.x | a\\|b | \"c}d\" | $p}", 2, "2{foo-bar.x|a|b|c}d|hello}");
    check("@cs:{Foo}", 2, "3{Foo}");
    check("@tag:{}", 2, "Syntax error at offset 5 near tag");
    check("@tag:{foo", 2, "Syntax error at offset 5 near tag");
    check("hel* *llo *ell* %wrld% w'h?y*'", 2, "(hel* *llo *ell* %wrld%1 wh?y*)");
    check("ismissing(@m)", 2, "missing5");
    check(
        "ismissing(@tag)",
        2,
        "'ismissing' requires defining the field with 'INDEXMISSING' at offset 10 near tag",
    );
}

#[test]
fn phrases_attributes_and_parameters() {
    check("\"Hello the World\"", 2, "\"hello world\"");
    check("(foo bar)=>{$weight: 2; $slop:1; $inorder:true}", 2, "(foo bar)^2");
    check("$p $n", 2, "(hello 7)");
    check("$q", 2, "Parameter not found `q`");
    check("foo=>{$weight: x}", 2, "Invalid value (x) for `weight`");
}

#[test]
fn places_on_earth_and_shapes() {
    check("@g:[1.5 -2 3 km]", 2, "6@1.5 -2 3000");
    check("@g:[1.5 -2 3 km]", 1, "6@1.5 -2 3000");
    check("foo @g:[$n $n $n $km]", 2, "(foo 6@7 7 7000)");
    check("-@g:[1,2,3,m]", 2, "-6@1 2 3");
    check("@g:[1 2 3 parsec]", 2, "Invalid GeoFilter unit");
    check("@g:[1 200 3 m]", 2, "Invalid GeoFilter lat/lon");
    check("@g:[1 2 0 m]", 2, "Invalid GeoFilter radius");
    check("@g:[1 2 3]", 2, "Syntax error at offset 9 near 3");
    check("@g:[1 2]", 2, "Expected a NUMERIC field at offset 0 near g");
    check("@num:[1 2 3 m]", 2, "Expected a GEO field at offset 0 near num");
    check("@s:[WITHIN $here] foo", 2, "(7@shape foo)");
    check("@s:[disjoint $here]", 3, "7@shape");
    check("@s:[NEAR $here]", 2, "Syntax error at offset 9 near here");
    check("@s:[WITHIN $p]", 2, "Error querying geoshape index: unknown geometry type");
    check("@title:[WITHIN $here]", 2, "Expected a GEOSHAPE field at offset 0 near title");
    check("@s:[WITHIN here]", 2, "Syntax error at offset 11 near here");
}

#[test]
fn vectors() {
    check("*=>[KNN 3 @v $b]", 2, "*=>3 8~12345678 as __v_score");
    check("(*)=>[knn $n @v $b AS d]", 2, "*=>7 8~12345678 as d");
    check(
        "foo bar|cat=>[KNN 3 @v $b EF_RUNTIME $ef as d]",
        2,
        "((foo bar)|cat)=>3 8~12345678 ef 20 as d",
    );
    check(
        "foo=>{$weight:2}=>[KNN 3 @v $b]=>{$yield_distance_as: d; $ef_runtime: 5}",
        2,
        "foo^2=>3 8~12345678 ef 5 as d",
    );
    check("@v:[VECTOR_RANGE 0.5 $b]", 2, "8~12345678<0.5");
    check(
        "foo @v:[vector_range $n $b]=>{$epsilon: 0.1; $yield_distance_as: d}",
        2,
        "(foo 8~12345678 eps 0.1 as d<7)",
    );
    check("the=>[KNN 3 @v $b]", 2, "*=>3 8~12345678 as __v_score");
    check("*=>[KNN 3 @v $q]", 2, "Parameter not found `q`");
    check("*=>[KNN 3 @title $b]", 2, "Expected a VECTOR field at offset 10 near title");
    check("*=>[KNN 3 @x $b]", 2, "Unknown field at offset 10 near x");
    check("*=>[KNN 3.5 @v $b]", 2, "Syntax error at offset 8 near 3.5");
    check("*=>[FOO 3 @v $b]", 2, "Syntax error at offset 4 near FOO");
    check("(foo=>[KNN 3 @v $b])", 2, "Syntax error at offset 4 near foo");
    check("*=>[KNN 3 @v $b] foo", 2, "Syntax error at offset 17 near foo");
    check("*=>[KNN 3 @v $b]", 1, "Syntax error at offset 0 near ");
    check("*=>[KNN $p @v $b]", 2, "Invalid numeric value (Hello)");
    check(
        "*=>[KNN 288230376151711745 @v $b]",
        2,
        "Error parsing vector similarity query: query KNN K parameter is too large, must not exceed 288230376151711744",
    );
    check(
        "*=>[KNN 3 @v $b AS d]=>{$yield_distance_as: e}",
        2,
        "Distance field was specified twice for vector query: d and e",
    );
    for (attribute, why) in [
        ("EF_RUNTIME 0", "Invalid value was given"),
        ("EF_RUNTIME 1 EF_RUNTIME 2", "Parameter was specified twice"),
        ("EPSILON 0.1", "range query attributes were sent for a non-range query"),
        ("HYBRID_POLICY x", "invalid hybrid policy was given"),
        ("FOO 1", "Invalid option"),
    ] {
        check(
            &format!("*=>[KNN 3 @v $b {attribute}]"),
            2,
            &format!("Error parsing vector similarity parameters: {why}"),
        );
    }
}

#[test]
fn syntax_errors_name_the_last_word() {
    check("foo|", 2, "Syntax error at offset 3 near foo");
    check("(foo", 2, "Syntax error at offset 1 near foo");
    check("foo)", 2, "Syntax error at offset 3 near foo");
    check("foo \"bar", 2, "Syntax error at offset 4 near foo");
    check(
        &"(".repeat(1000),
        2,
        "Parser stack overflow. Try moving nested parentheses more to the left",
    );
    check(
        &"-".repeat(1000),
        2,
        "Parser stack overflow. Try moving nested parentheses more to the left",
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "[-a-c@$*\"'w|(){}\\[\\]:;~%=><!\\\\ .0-9]{0,60}", dialect in 1u32..5) {
        let _ = read(&text, dialect);
    }

    #[test]
    fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..80), dialect in 1u32..5) {
        let schema = schema();
        let context = Context { schema: &schema, stop_words: &schema.stop_words, parameters: &Parameters::new(), dialect };
        let _ = parse(&text, context);
    }
}
