//! Do paths select what they should? Against jsonpath-rust on the part of RFC 9535 that the dialect shares, and by
//! example where it goes its own way.

use jsonpath_rust::JsonPath;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::codec::parse;
use crate::value::View;
use crate::value::tests::{documents, value};
use crate::write::{Format, to_text};

/// All matches as one JSON array.
fn select(document: &str, path: &str) -> String {
    let document = parse(document).unwrap().value;
    let path = compiled(path).unwrap();
    let views = path.select(document.view()).unwrap();
    let located = path.locate(document.view()).unwrap();
    assert_eq!(views.len(), located.locations.len());
    for (i, view) in views.iter().enumerate() {
        assert!(document.at(located.locations.get(i)).unwrap().same(*view));
    }
    match path.first(document.view()).unwrap() {
        Some(first) => assert!(first.same(views[0])),
        None => assert!(views.is_empty()),
    }
    let text = |view: &View<'_>| String::from_utf8(to_text(*view, Format::COMPACT)).unwrap();
    format!("[{}]", views.iter().map(text).collect::<Vec<_>>().join(","))
}

const SHOP: &str = r#"{"store":{"book":[
    {"category":"reference","author":"N","title":"A","price":8.95,"size":[10,20,30,40]},
    {"category":"fiction","author":"E","title":"B","price":12.99,"size":[50,60,70,80]},
    {"category":"fiction","author":"H","title":"C","isbn":"0-553","price":8.99,"size":[5,10,20,30]}],
    "bicycle":{"color":"red","price":19.95}},"limit":10,"pattern":"^fi"}"#;

#[test]
fn names_indices_slices_and_unions() {
    let doc = r#"{"a":[0,1,2,3,4],"b":{"c":1,"d":2},"a-b":5,"1a":6,"$x":7,"it's":8}"#;
    for (path, selected) in [
        ("$.a[1]", "[1]"),
        ("$.a[-1]", "[4]"),
        ("$.a[-9]", "[0]"),
        ("$.a[9]", "[]"),
        ("$.a[99999999999999999999]", "[]"),
        ("$.a[1:3]", "[1,2]"),
        ("$.a[-2:]", "[3,4]"),
        ("$.a[::2]", "[0,2,4]"),
        ("$.a[4,0,0]", "[4,0,0]"),
        ("$.b['d','c','x']", "[2,1]"),
        ("$.b[0]", "[]"),
        ("$.a.b", "[]"),
        ("$.b.*", "[1,2]"),
        ("$.a-b", "[5]"),
        ("$.1a", "[6]"),
        ("$.$x", "[7]"),
        ("$x", "[7]"),
        ("$['it\\'s']", "[8]"),
        (".a[2]", "[2]"),
        ("a[2]", "[2]"),
        ("['a'][2]", "[2]"),
        (".", r#"[{"a":[0,1,2,3,4],"b":{"c":1,"d":2},"a-b":5,"1a":6,"$x":7,"it's":8}]"#),
    ] {
        assert_eq!(select(doc, path), selected, "{path}");
    }
}

#[test]
fn descent_goes_through_a_value_before_its_children() {
    assert_eq!(select(r#"{"a":1,"b":{"f":"g"},"c":3}"#, "$..*"), r#"[1,{"f":"g"},3,"g"]"#);
    assert_eq!(select(r#"[[1,[2]],[3]]"#, "$..[0]"), "[[1,[2]],1,2,3]");
    assert_eq!(select(r#"{"a":{"a":{"a":1}}}"#, "$..a..a"), r#"[{"a":1},1,1]"#);
    assert_eq!(select(r#"[{"t":1,"p":2},{"t":3,"p":4}]"#, "$[*]['t','p']"), "[1,2,3,4]");
}

#[test]
fn filters() {
    for (path, selected) in [
        ("$.store.book[?(@.price<10)].title", r#"["A","C"]"#),
        ("$.store.book[?@.isbn].title", r#"["C"]"#),
        ("$.store.book[?!@.isbn].title", r#"["A","B"]"#),
        ("$.store.book[?(@.price>$.limit)].title", r#"["B"]"#),
        ("$.store.book[?(@.category=='fiction' && @.price<10)].title", r#"["C"]"#),
        ("$.store.book[?(@.category=='reference' || @.price>10)].title", r#"["A","B"]"#),
        ("$.store.book[?(@.category=~'fic')].title", r#"["B","C"]"#),
        ("$.store.book[?(@.category=~'(?i)^FIC.*$')].title", r#"["B","C"]"#),
        ("$.store.book[?(@.category=~$.pattern)].title", r#"["B","C"]"#),
        ("$.store.book[?(@.category=~'(')].title", "[]"),
        ("$.store.book[?(@.size[*]>=80)].title", r#"["B"]"#),
        ("$.store.book[?(@.size==[5,10,20,30])].title", r#"["C"]"#),
        ("$.store.book[?(@.isbn!='x')].title", r#"["A","B","C"]"#),
        ("$.store.book[?(@.isbn<'x')].title", r#"["C"]"#),
        ("$.store[?(@.color)].price", "[19.95]"),
        ("$..[?(@.price>19)].color", r#"["red"]"#),
        ("$..[?(@price>19)].color", r#"["red"]"#),
        ("$.store.book[?length(@.isbn)==5].title", r#"["C"]"#),
        ("$.store.book[?length(@.size)>3 && length(@)==5].title", r#"["A","B"]"#),
        ("$.store.book[?count(@.*) > 5].title", r#"["C"]"#),
        ("$.store.book[?value(@..isbn)=='0-553'].title", r#"["C"]"#),
        ("$.store.book[?match(@.category, 'fic.*')].title", r#"["B","C"]"#),
        ("$.store.book[?match(@.category, 'fic')].title", "[]"),
        ("$.store.book[?search(@.category, 'ict')].title", r#"["B","C"]"#),
        ("$.store.book[?!search(@.category, $.pattern)].title", r#"["A"]"#),
        ("$.store.book[?unknown(@.category, 1)>0].title", "[]"),
        ("$.store.book[?length(@.title, 1)==1].title", "[]"),
    ] {
        assert_eq!(select(SHOP, path), selected, "{path}");
    }
    let mixed = r#"[1,1.0,"1",true,false,null,[1],{"a":1}]"#;
    for (path, selected) in [
        ("$[?@==1]", "[1,1.0]"),
        ("$[?@!=1]", r#"["1",true,false,null,[1],{"a":1}]"#),
        ("$[?@<2]", "[1,1.0]"),
        ("$[?@==true]", "[true]"),
        ("$[?@<true]", "[false]"),
        ("$[?@==null]", "[null]"),
        ("$[?@==[1]]", "[[1]]"),
        ("$[?@==[1.0]]", "[]"),
        ("$[?@=={'a':1}]", r#"[{"a":1}]"#),
        ("$[?@.a==1]", r#"[{"a":1}]"#),
        ("$[?1==1]", mixed),
    ] {
        assert_eq!(select(mixed, path), selected, "{path}");
    }
}

/// What JSON.GET would find, by any dialect.
fn found(
    document: &crate::value::Value,
    path: &str,
    dialect: Dialect,
) -> Result<Vec<Json>, String> {
    let json = |view: View<'_>| {
        let text = to_text(view, Format::COMPACT);
        serde_json::from_slice::<Json>(&text).expect("text is JSON")
    };
    match query(path, dialect).map_err(|error| error.to_string())? {
        Query::Path(path) => {
            let views = path.select(document.view()).map_err(|error| error.to_string())?;
            Ok(views.into_iter().map(json).collect())
        }
        Query::Computed(computed) => {
            let values = computed.values(document.view()).map_err(|error| error.to_string())?;
            Ok(values.iter().map(|value| json(value.view())).collect())
        }
    }
}

#[test]
fn commands_that_change_take_no_computed_expression() {
    for path in ["$.a + 1", "$.a.length()", "$~", "($.a * 2)", "length($.a)", "a + 1", "-$.a"] {
        let error = compiled(path).map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            error,
            "ERR computed/projection expressions are only supported by JSON.GET/JSON.MGET/JSON.RESP"
        );
    }
    assert!(compiled("($.a)").is_ok());
}

#[test]
fn errors_show_where_they_are() {
    let error = |path| compiled(path).map(|_| ()).unwrap_err().to_string();
    assert!(error("$.a[x]").starts_with("Error occurred at position 4, expected one of "));
    assert!(error("$.a[x]").ends_with(" --> $.a[^x]"));
    assert!(error("a[x]").ends_with(" --> a[^x]"));
    assert!(error("$.b.é\r\n").ends_with(" --> $.b.^é??"));
    let long = format!("$.{}é[x]{}", "a".repeat(100), "é".repeat(100));
    assert!(error(&long).contains(" --> ...aaaa"));
    assert!(error(&long).ends_with("é..."));
    assert!(error(&long).len() < 200);
}

#[test]
fn hostile_text_is_refused_or_read_in_little_time() {
    let document = value(SHOP);
    let times = |text: &str, count: usize| text.repeat(count);
    let paths = [
        format!("${}", times(".a", 500_000)),
        format!("${}", times("[", 10_000)),
        format!("${}", times("[0]", 20_000)),
        format!("$[?{}", times("(", 10_000)),
        format!("{}1{}", times("(", 30_000), times(")", 30_000)),
        format!("$[?{}@]", times("!", 60_000)),
        format!("$[?@=={}{}]", times("[", 10_000), times("]", 10_000)),
        format!("$[?@=={}", times("{\"a\":", 10_000)),
        format!("$[?{}", times("@.x[?", 10_000)),
        format!("$[?{}", times("@.x==1||", 8_000)),
        format!("$.a{}", times(".abs()", 10_000)),
        format!("{}1{}", times("abs(", 10_000), times(")", 10_000)),
        format!("$.a{}", times("~", 60_000)),
        format!("(1{})", times(" + 1", 16_000)),
        format!("({}1)", times("- ", 30_000)),
        format!("concat({}$.a)", times("$.a,", 16_000)),
        format!("$[{}0]", times("0,", 30_000)),
        format!("$[{}'a']", times("'a',", 15_000)),
        format!("$[{}", times(" ", 60_000)),
        format!("$[?@=~'{}']", times("a|", 30_000)),
        format!("$[?@=~'{}']", times("(", 60_000)),
        format!("$[?{}@=~'x']", times("@=~'x'||", 33)),
        "$..[?@=~'(?:(?:(?:a{100}){100}){100}){100}']".to_owned(),
        format!("$..[?@=~'{}']", times("\\w", 10_000)),
    ];
    for path in &paths {
        for dialect in [Dialect::RedisJson, Dialect::Rfc9535] {
            if let Err(error) = found(&document, path, dialect) {
                assert!(error.len() < 300, "{error}");
            }
        }
    }
}

#[test]
fn costly_expressions_end_with_an_error() {
    let items: Vec<String> = (0..400)
        .map(|i| format!(r#"{{"i":{i},"p":"a{{{i}}}","s":"{}"}}"#, "a".repeat(i)))
        .collect();
    let text = format!(r#"{{"l":[{}],"t":"{}"}}"#, items.join(","), "a".repeat(4_000_000));
    let document = value(&text);
    for path in [
        "$.l[?count($..*) > 1]",
        "$.l[?$.l == $.l]",
        "$.l[?$.l subsetof $.l]",
        "$.l[?$..i.sum() > 1]",
        "$.l[?$.l.append(1).append(1).length() > 1]",
        "$.l[?$.l[*].keys().length() > 1]",
        "$.l[?$.t == $.t]",
        "$.l[?$.t < $.t]",
        "$.l[?length($.t) > 1]",
        "$.l[?concat($.t, $.t) == '']",
        "$.l[?$.t =~ 'b']",
        "$.l[?$.t =~ '(?:a+a+)+b']",
        "$.t.match('(?:[ab]{1,100}){1,9}')",
        "$.l[?@.s =~ @.p]",
    ] {
        let found = found(&document, path, Dialect::RedisJson).map(|found| found.len());
        let error = found.expect_err(path);
        assert!(error.starts_with("path visits or matches too many"), "{path}: {error}");
    }
    for path in ["$.l[?count($..*) > 1]", "$.l[?search(@.s, @.p)]", "$.l[?$.l[0,1]][?$..*]"] {
        let outcome = found(&document, path, Dialect::Rfc9535);
        assert!(outcome.is_err() || path.ends_with("$..*]"), "{path}");
    }
}

#[test]
fn costly_paths_end_with_an_error() {
    let nested = value(&("[".repeat(120) + &"]".repeat(120)));
    let path = compiled("$..*..*..*..*..*..*..*").unwrap();
    assert_eq!(path.select(nested.view()).map(|_| ()), Err(TooCostly));
    let path = compiled("$[?@..*..*..*..*..*..*..* == 7]").unwrap();
    assert_eq!(path.select(nested.view()).map(|_| ()), Err(TooCostly));
    let path = format!("$..[?{}@{}]", "@..[?".repeat(100), "]".repeat(100));
    let path = compiled(&path).unwrap();
    assert_eq!(path.select(nested.view()).map(|_| ()), Err(TooCostly));
}

fn segment() -> impl Strategy<Value = String> {
    let name = "[a-e]";
    prop_oneof![
        4 => name.prop_map(|name| format!(".{name}")),
        1 => name.prop_map(|name| format!("['{name}']")),
        1 => name.prop_map(|name| format!("..{name}")),
        1 => (name, name).prop_map(|(a, b)| format!("[\"{a}\",'{b}']")),
        1 => (-1..4).prop_map(|i| format!("[{i}]")),
        1 => (0..4).prop_map(|i| format!("..[{i}]")),
        1 => (0..4, 0..4).prop_map(|(a, b)| format!("[{a},{b}]")),
        1 => (-3..4, -3..5, 1..3).prop_map(|(a, b, c)| format!("[{a}:{b}:{c}]")),
        1 => (-3..4).prop_map(|a| format!("[{a}:]")),
        2 => Just(".*".to_owned()),
        1 => Just("[*]".to_owned()),
        1 => Just("..*".to_owned()),
        3 => filter().prop_map(|filter| format!("[?{filter}]")),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    let single = prop_oneof![
        Just("@".to_owned()),
        "[a-e]".prop_map(|name| format!("@.{name}")),
        ("[a-e]", 0..3).prop_map(|(name, i)| format!("@.{name}[{i}]")),
        "[a-e]".prop_map(|name| format!("$.{name}")),
    ];
    let literal = prop_oneof![
        (-100..100i32).prop_map(|n| n.to_string()),
        "[a-c]{0,2}".prop_map(|text| format!("'{text}'")),
        Just("null".to_owned()),
    ];
    let operator =
        prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")];
    let test = prop_oneof![
        single.clone(),
        "[a-e]".prop_map(|name| format!("@..{name}")),
        (single.clone(), operator, literal).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        single.clone().prop_map(|a| format!("{a}==true")),
        (single.clone(), 0..6i32).prop_map(|(a, n)| format!("length({a})=={n}")),
        ("[a-e]", 0..3i32).prop_map(|(name, n)| format!("count(@..{name})>{n}")),
        "[a-e]".prop_map(|name| format!("value(@..{name})=='a'")),
        single.clone().prop_map(|a| format!("match({a}, 'a.*')")),
        single.prop_map(|a| format!("search({a},'b')")),
    ];
    test.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

/// Arithmetic, as text and as what it is worth.
#[derive(Clone, Debug)]
enum Sum {
    Int(i64),
    Float(f64),
    Binary(Box<Sum>, char, Box<Sum>),
    Negated(Box<Sum>),
}

impl Sum {
    fn text(&self) -> String {
        match self {
            Sum::Int(value) => value.to_string(),
            Sum::Float(value) => format!("{value:?}"),
            Sum::Binary(left, operator, right) => {
                format!("({} {operator} {})", left.text(), right.text())
            }
            Sum::Negated(inner) => format!("-({})", inner.text()),
        }
    }

    /// Integers as long as they fit, halves and zero divisors by hand.
    fn worth(&self) -> Option<Result<i64, f64>> {
        let float = |value: Result<i64, f64>| value.map_or_else(|float| float, |int| int as f64);
        match self {
            Sum::Int(value) => Some(Ok(*value)),
            Sum::Float(value) => Some(Err(*value)),
            Sum::Negated(inner) => Some(match inner.worth()? {
                Ok(value) => value.checked_neg().ok_or(-(value as f64)),
                Err(value) => Err(-value),
            }),
            Sum::Binary(left, operator, right) => {
                let (left, right) = (left.worth()?, right.worth()?);
                if let (Ok(a), Ok(b)) = (left, right) {
                    let (a, b) = (i128::from(a), i128::from(b));
                    let exact = match operator {
                        '+' => Some(a + b),
                        '-' => Some(a - b),
                        '*' => Some(a * b),
                        '%' => return (b != 0).then(|| Ok((a % b) as i64)),
                        _ => None,
                    };
                    if let Some(exact) = exact.and_then(|exact| i64::try_from(exact).ok()) {
                        return Some(Ok(exact));
                    }
                }
                let (a, b) = (float(left), float(right));
                match operator {
                    '+' => Some(Err(a + b)),
                    '-' => Some(Err(a - b)),
                    '*' => Some(Err(a * b)),
                    '/' => (b != 0.0).then(|| Err(a / b)),
                    _ => (b != 0.0).then(|| Err(a % b)),
                }
            }
        }
    }
}

fn sum() -> impl Strategy<Value = Sum> {
    let leaf = prop_oneof![
        4 => (-9..10i64).prop_map(Sum::Int),
        1 => any::<i64>().prop_filter("-2^63 has no literal", |n| *n != i64::MIN).prop_map(Sum::Int),
        2 => (-40..40i32).prop_map(|n| Sum::Float(f64::from(n) / 8.0)),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let operator = prop_oneof![Just('+'), Just('-'), Just('*'), Just('/'), Just('%')];
        prop_oneof![
            5 => (inner.clone(), operator, inner.clone())
                .prop_map(|(a, op, b)| Sum::Binary(Box::new(a), op, Box::new(b))),
            1 => inner.prop_map(|a| Sum::Negated(Box::new(a))),
        ]
    })
}

/// What the word operators say of two values, from their description.
fn relates(left: &Json, word: &str, right: &Json) -> bool {
    let elements = |value: &Json| value.as_array().cloned();
    let contains = |array: &Json, value: &Json| {
        elements(array).is_some_and(|array| array.iter().any(|element| element == value))
    };
    let length = |value: &Json| match value {
        Json::String(text) => Some(text.chars().count()),
        Json::Array(array) => Some(array.len()),
        Json::Object(object) => Some(object.len()),
        _ => None,
    };
    let any_of = elements(left).is_some_and(|left| left.iter().any(|one| contains(right, one)));
    match word {
        "in" => contains(right, left),
        "nin" => !contains(right, left),
        "subsetof" => {
            elements(left).is_some_and(|left| left.iter().all(|one| contains(right, one)))
        }
        "anyof" => any_of,
        "noneof" => !any_of,
        "sizeof" => length(left).is_some_and(|len| right.as_u64() == Some(len as u64)),
        "empty" => length(left).is_some_and(|len| right.as_bool() == Some(len == 0)),
        _ => unreachable!("the words are above"),
    }
}

fn small() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        (0..4i64).prop_map(Json::from),
        "[a-b]{0,2}".prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(Json::Null),
    ];
    scalar.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 0..4).prop_map(Json::from),
            1 => inner.prop_map(|value| serde_json::json!({ "k": value })),
        ]
    })
}

proptest! {
    #[test]
    fn arithmetic_is_worth_what_it_says(sum in sum()) {
        let document = value("{}");
        let computed = found(&document, &format!("({})", sum.text()), Dialect::RedisJson).unwrap();
        let expected = match sum.worth() {
            Some(Ok(int)) => vec![Json::from(int)],
            Some(Err(float)) if float.is_finite() => vec![Json::from(float)],
            _ => Vec::new(),
        };
        prop_assert_eq!(computed, expected, "{}", sum.text());
    }

    #[test]
    fn word_operators_say_what_they_mean(
        left in small(),
        word in prop_oneof![
            Just("in"), Just("nin"), Just("subsetof"), Just("anyof"), Just("noneof"),
            Just("sizeof"), Just("empty"),
        ],
        right in small(),
    ) {
        let document = value(&serde_json::json!([{ "l": left, "r": right }]).to_string());
        let expected = usize::from(relates(&left, word, &right));
        for path in [
            format!("$[?@.l {word} @.r]"),
            format!("$[?{left} {word} @.r]"),
            format!("$[?(@.l {word} {right})]"),
            format!("$[?!!({left} {word} {right})]"),
        ] {
            let selected = found(&document, &path, Dialect::RedisJson).unwrap();
            prop_assert_eq!(selected.len(), expected, "{}", path);
        }
    }

    #[test]
    fn the_shared_subset_means_what_the_rfc_says(
        document in documents(),
        segments in vec(segment(), 0..5),
    ) {
        let path = format!("${}", segments.concat());
        let text = document.to_string();
        let ours: Vec<Json> = serde_json::from_str(&select(&text, &path)).unwrap();
        let theirs = document.query(&path).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut ours: Vec<String> = ours.iter().map(Json::to_string).collect();
        let mut theirs: Vec<String> = theirs.iter().map(|value| value.to_string()).collect();
        // Behind a union the oracle goes by selector, the dialect by value.
        if path.contains(',') {
            ours.sort();
            theirs.sort();
        }
        prop_assert_eq!(&ours, &theirs, "{} on {}", path, text);
        // What both dialects read, both read alike, but for where negative indices stop.
        let strict = found(&parse(&text).unwrap().value, &path, Dialect::Rfc9535);
        let mut strict: Vec<String> = strict.unwrap().iter().map(Json::to_string).collect();
        if path.contains(',') {
            strict.sort();
        }
        prop_assert_eq!(&strict, &theirs, "{} on {}", path, text);
    }

    #[test]
    fn any_text_is_a_path_or_an_error(text in "[$.@?()\\[\\]a-c0-2in'\"*:,=!<>~&| {}+/%-]{0,30}") {
        if let Ok(path) = compiled(&text) {
            let document = value(SHOP);
            let _ = path.select(document.view());
        }
        let document = value(SHOP);
        for text in [format!("$[?{text}]"), format!("$[{text}]"), format!("({text})")] {
            for dialect in [Dialect::RedisJson, Dialect::Rfc9535] {
                let _ = found(&document, &text, dialect);
            }
        }
    }
}
