//! Which trees do texts give, and which errors?

use proptest::prelude::*;

use super::*;
use crate::query::ast::TagItem;
use crate::schema::parse::create;

fn schema() -> Schema {
    let line =
        "SCHEMA title TEXT body TEXT tag TAG cs TAG CASESENSITIVE num NUMERIC m TAG INDEXMISSING";
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    create(b"idx", &words).unwrap()
}

fn read(text: &str, dialect: u32) -> Result<Node, String> {
    let schema = schema();
    let parameters =
        Parameters::from([(b"p".to_vec(), b"Hello".to_vec()), (b"n".to_vec(), b"7".to_vec())]);
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
    };
    if node.fields < 8 && matches!(node.kind, Kind::Word { .. } | Kind::Pattern(_)) {
        text = format!("{}:{text}", node.fields);
    }
    if node.weight != 1.0 {
        text = format!("{text}^{}", node.weight);
    }
    text
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
    check("@nope:foo", 1, "<>");
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
