//! Cases of the grammar and of each function, and properties over random expressions.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::functions;
use super::value::{Value, number_text};
use super::*;

/// A row with `n` = 10, `t` = "Hello World", `s` = "7", `e` = "", and a list of terms. `m` is missing.
static SAMPLE: LazyLock<[Option<Value<'static>>; 6]> = LazyLock::new(|| {
    [
        Some(Value::Number(10.0)),
        Some(Value::text(b"Hello World")),
        Some(Value::text(b"7")),
        Some(Value::text(b"")),
        Some(Value::List([Value::text(b"hello"), Value::text(b"world")].into())),
        None,
    ]
});

fn bound(text: &str) -> Result<Expression, String> {
    let mut expression = Expression::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    expression.bind(&mut |wanted| match wanted {
        Wanted::Property(b"n") => Ok(0),
        Wanted::Property(b"t") => Ok(1),
        Wanted::Property(b"s") => Ok(2),
        Wanted::Property(b"e") => Ok(3),
        Wanted::MatchedTerms => Ok(4),
        Wanted::Property(b"m") => Ok(5),
        Wanted::Property(name) => Err(String::from_utf8_lossy(name).into_owned()),
    })?;
    Ok(expression)
}

/// The value as text: `nil` for NULL, `-` for none.
fn eval(text: &str) -> String {
    let expression = bound(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    match expression.evaluate(SAMPLE.as_slice()) {
        Ok(Some(value)) => shown(&value),
        Ok(None) => "-".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Number(number) => number_text(*number),
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join("|"))
        }
        other => format!("{other:?}"),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(eval(text), *expected, "{text}");
    }
}

fn parse_error(text: &str) -> String {
    Expression::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn operators_bind_as_in_redisearch() {
    check(&[
        ("1 + 2 * 3", "7"),
        ("1 + 2 * 3 ^ 2", "19"),
        ("2 ^ 3 ^ 2", "512"),
        ("10 - 3 - 2", "5"),
        ("(1 + 2) * 3", "9"),
        ("7 % 4 * 2", "6"),
        ("@n -1", "9"),
        ("@n-1", "9"),
        ("5-3", "2"),
        ("2 * -3", "-6"),
        ("1 / 0", "inf"),
        ("0 / 0", "nan"),
        ("!@n == 1", "1"),
        ("!0 && 0", "0"),
        ("1 || 0 && 0", "1"),
        ("1 + !2 == 3", "2"),
        ("!!5", "5"),
        ("1 == 1 && 2 ==2 ", "1"),
        ("inf > 1e300", "1"),
        ("-inf < 0", "1"),
        ("'it\\'s'", "it's"),
        ("\"a b\"", "a b"),
    ]);
}

#[test]
fn comparisons_mix_numbers_and_texts() {
    check(&[
        ("@s < @n", "1"),
        ("@s == 7", "1"),
        ("@t == 'Hello World'", "1"),
        ("1 != 'foo'", "1"),
        ("1 == NULL", "0"),
        ("1 != NULL", "1"),
        ("NULL == NULL", "1"),
        ("!NULL", "1"),
        ("'foo' < 'goo'", "1"),
        ("@t > 1", "1"),
        ("@e", ""),
        ("!@e", "1"),
    ]);
}

#[test]
fn what_hangs_on_a_missing_property_is_missing() {
    check(&[
        ("@m", "-"),
        ("@m + 1", "-"),
        ("@m > 1", "0"),
        ("@m < 1", "0"),
        ("@m != 1", "0"),
        ("@m == NULL", "1"),
        ("@m != NULL", "0"),
        ("!@m", "-"),
        ("!(@m > 1)", "1"),
        ("upper(@m)", "-"),
        ("exists(@m)", "0"),
        ("exists(@n)", "1"),
        ("!exists(@m) && 1", "1"),
        ("@m || 1", "1"),
        ("@m && 1", "0"),
        ("case(exists(@m), @m, 'none')", "none"),
        ("case(@m, 1, 2)", "2"),
        ("NULL + 1", "nil"),
        ("format('%s', @m)", "(null)"),
    ]);
}

#[test]
fn functions_of_numbers() {
    check(&[
        ("abs(-3.5)", "3.5"),
        ("ceil(1.2)", "2"),
        ("floor(-1.2)", "-2"),
        ("sqrt(@n)", "3.16227766017"),
        ("log(@n)", "2.30258509299"),
        ("log2(8)", "3"),
        ("exp(0)", "1"),
        ("ABS(-1)", "1"),
        ("log('x')", "nan"),
        ("log(@s)", "1.94591014906"),
        ("floor(log2(35) + sqrt(4) % 10) - abs(-5/20)", "6.75"),
        ("to_number('12.5')", "12.5"),
        ("to_number('abc')", "error: to_number: cannot convert string 'abc'"),
        ("'abc' + 1", "error: Invalid numeric value"),
        ("'2' + 1", "3"),
    ]);
}

#[test]
fn functions_of_texts() {
    check(&[
        ("upper(@t)", "HELLO WORLD"),
        ("lower(@t)", "hello world"),
        ("upper(1)", "nil"),
        ("strlen(@t)", "11"),
        ("substr(@t, 0, 5)", "Hello"),
        ("substr(@t, -5, 3)", "Wor"),
        ("substr(@t, 6, -1)", "Worl"),
        ("substr(@t, 6, 100)", "World"),
        ("substr(@t, 100, 1)", ""),
        ("substr(@t, -100, -100)", ""),
        ("substr(1, 0, 1)", "error: Invalid type for substr. Expected string"),
        ("startswith(@t, 'Hel')", "1"),
        ("startswith(@t, 'hel')", "0"),
        ("startswith(@t, '')", "1"),
        ("contains('aaa', 'aa')", "2"),
        ("contains('abc', '')", "4"),
        ("contains('abc', 'x')", "0"),
        ("format('%s|%s|%%', @t, 1.5)", "Hello World|1.5|%"),
        ("format('%s', NULL)", "(null)"),
        ("format('%')", "error: Bad format string!"),
        ("format('%s')", "error: Not enough arguments for format"),
        ("format('%d', 1)", "error: Unknown format specifier passed"),
        ("format('%s%s%s%s%s', 1, 2, 3, 4, 5)", "12345"),
        ("to_str(10)", "10"),
        ("to_str(split(''))", ""),
        ("matched_terms()", "[hello|world]"),
        ("matched_terms(1)", "[hello]"),
        ("strlen(1)", "error: Invalid type for argument 0 in function 'strlen'. Expected a string"),
    ]);
}

#[test]
fn split_follows_its_separators() {
    check(&[
        ("split('hello world,  foo,,,bar,', ',', ' ')", "[hello world|foo|bar]"),
        ("split('hello world,  foo,,,bar,', ' ', ',')", "[hello|world|foo,,,bar]"),
        ("split('hello world,  foo,,,bar,', '', '')", "[hello world,  foo,,,bar,]"),
        ("split('hello world,  foo,,,bar,')", "[hello world|foo|bar]"),
        ("split('a;b,c', ';,')", "[a|b|c]"),
        ("split('')", "[]"),
    ]);
}

#[test]
fn functions_of_times() {
    check(&[
        ("timefmt(1517417144)", "2018-01-31T16:45:44Z"),
        ("timefmt(1517417144, '%Y')", "2018"),
        ("timefmt('x')", "nil"),
        ("timefmt(1, '')", "nil"),
        ("parsetime('2018-01-31T16:45:44Z', '%FT%TZ')", "1517417144"),
        ("parsetime('x', '%F')", "nil"),
        ("minute(1517417144)", "1517417100"),
        ("hour(1517417144)", "1517414400"),
        ("day(1709230599)", "1709164800"),
        ("month(1709230599)", "1706745600"),
        ("year(1709230599)", "2024"),
        ("dayofweek(1517417144)", "3"),
        ("dayofmonth(1709230599)", "29"),
        ("dayofyear(1709230599)", "59"),
        ("monthofyear(1709230599)", "1"),
        ("day(-1)", "nil"),
        ("year('x')", "nil"),
    ]);
}

#[test]
fn distances_between_points() {
    check(&[
        ("geodistance('13.361389,38.115556', '15.087269,37.502669')", "166274.26"),
        ("geodistance('13.361389 38.115556', 15.087269, 37.502669)", "166274.26"),
        ("geodistance(13.361389, 38.115556, '15.087269,37.502669')", "166274.26"),
        ("geodistance(13.361389, 38.115556, 15.087269, 37.502669)", "166274.26"),
        ("geodistance('x', '1,1')", "nan"),
    ]);
}

#[test]
fn errors_are_those_of_redisearch() {
    let cases = [
        ("banana(1, 2)", "Unknown function name 'banana'"),
        ("!!banana(@x)", "Unknown function name 'banana'"),
        ("bad filter", "Syntax error at offset 4 near 'filter': Unknown symbol 'bad'"),
        ("null", "Unknown symbol 'null'"),
        ("@price++", "Syntax error at offset 7 near 'price'"),
        ("1 +", "Syntax error at offset 3 near '1'"),
        ("", "Syntax error at offset 0 near ''"),
        ("(1", "Syntax error at offset 2 near '1'"),
        ("1 < 2 < 3", "Syntax error at offset 6 near '2'"),
        ("@a @b", "Syntax error at offset 3 near 'b'"),
        ("upper()", "Function 'upper' expects 1 arguments, but got 0"),
        ("split(1,2,3,4)", "Function 'split' expects between 1 and 3 arguments, but got 4"),
        ("upper(1,)", "Syntax error at offset 8 near '1'"),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_error(text), expected, "{text}");
    }
}

#[test]
fn depth_and_length_are_limited() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::parse(nested(200).as_bytes()).is_ok());
    assert_eq!(parse_error(&nested(1000)), Error::TooDeep.to_string());
    assert_eq!(parse_error(&"!(@a +".repeat(500)), Error::TooDeep.to_string());
    assert_eq!(parse_error(&"2 ^ @a ^ ".repeat(500)), Error::TooDeep.to_string());
    assert_eq!(parse_error(&format!("@a{}", " + @a".repeat(500))), Error::TooDeep.to_string());
    assert!(Expression::parse(format!("@a{}", " || @a == 1".repeat(5000)).as_bytes()).is_ok());
    assert_eq!(parse_error(&" ".repeat(TEXT_BYTES_MAX + 1)), Error::TooLong.to_string());
}

const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::Unequal,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
];
const OPERATORS: [Operator; 6] = [
    Operator::Add,
    Operator::Subtract,
    Operator::Multiply,
    Operator::Divide,
    Operator::Modulo,
    Operator::Power,
];
const FUNCTIONS: &str = "abs lower substr format split startswith contains strlen matched_terms to_number to_str \
    exists case geodistance timefmt parsetime minute hour day month year dayofyear";

/// Random trees of what the grammar can express.
pub(super) fn tree() -> impl Strategy<Value = Expression> {
    let text = proptest::collection::vec(any::<char>(), 0..6)
        .prop_map(|chars| chars.into_iter().collect::<String>().into_bytes().into());
    let name = prop_oneof!["[nstem]", "[a-z_.$ ]{1,4}", "\\PC{1,3}"]
        .prop_map(|name: String| Property { name: name.into_bytes().into(), slot: 0 });
    let leaf = prop_oneof![
        Just(Expression::Null),
        (-1e6f64..1e6).prop_map(Expression::Number),
        (-5i32..2_000_000_000).prop_map(|number| Expression::Number(f64::from(number))),
        text.prop_map(Expression::Text),
        name.prop_map(Expression::Property),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let two = (inner.clone(), inner.clone()).prop_map(|(a, b)| Box::new([a, b]));
        let comparison = prop::sample::select(&COMPARISONS[..]);
        let operator = prop::sample::select(&OPERATORS[..]);
        let names = prop::sample::select(FUNCTIONS.split_whitespace().collect::<Vec<_>>());
        let many = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            inner.clone().prop_map(|child| match child {
                Expression::Not(child) => *child,
                child => Expression::Not(Box::new(child)),
            }),
            many().prop_map(Expression::And),
            many().prop_map(Expression::Or),
            (comparison, two.clone()).prop_map(|(c, sides)| Expression::Compare(c, sides)),
            (operator, two).prop_map(|(operator, sides)| match &*sides {
                [Expression::Number(a), Expression::Number(b)] => folded(operator.apply(*a, *b)),
                _ => Expression::Arithmetic(operator, sides),
            }),
            (names, proptest::collection::vec(inner.clone(), 4)).prop_map(|(name, mut all)| {
                let function = functions::find(name.as_bytes()).unwrap();
                all.truncate(function.arity().1.min(3).max(function.arity().0));
                Expression::Call(Call { function, arguments: all, slot: 0 })
            }),
        ]
    })
}

/// What the grammar can write of a number.
fn folded(number: f64) -> Expression {
    match number.is_finite() {
        true => Expression::Number(number),
        false => Expression::Null,
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_read(tree in tree()) {
        let text = tree.to_string();
        let read = Expression::parse(text.as_bytes());
        prop_assert_eq!(read.as_ref(), Ok(&tree), "{}", text);
    }

    #[test]
    fn evaluation_ends_well(mut tree in tree(), slots in 0usize..6) {
        let mut next = slots;
        let bound: Result<(), ()> = tree.bind(&mut |_| {
            next = (next + 1) % 7;
            Ok(next)
        });
        prop_assert_eq!(bound, Ok(()));
        // An error is fine; a panic is not.
        let _ = tree.evaluate(SAMPLE.as_slice());
        let _ = tree.holds(SAMPLE.as_slice());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+*/%^=!<>&|()@,.'\"\\\\a-c0-9 enfNUL]{0,30}") {
        if let Ok(tree) = Expression::parse(text.as_bytes()) {
            let shown = tree.to_string();
            let again = Expression::parse(shown.as_bytes());
            // A number that is none is unlike itself; its text is not.
            prop_assert_eq!(again.map(|tree| tree.to_string()), Ok(shown));
        }
    }
}
