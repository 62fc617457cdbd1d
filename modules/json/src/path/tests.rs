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

proptest! {
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
        prop_assert_eq!(ours, theirs, "{} on {}", path, text);
    }

    #[test]
    fn any_text_is_a_path_or_an_error(text in "[$.@?()\\[\\]a-c0-2'\"*:,=!<>~&| {}-]{0,30}") {
        if let Ok(path) = compiled(&text) {
            let document = value(SHOP);
            let _ = path.select(document.view());
        }
        let _ = compiled(&format!("$[?{text}]"));
        let _ = compiled(&format!("$[{text}]"));
    }
}
