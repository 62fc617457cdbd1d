//! Are the values of a block those of its rows?

use proptest::prelude::*;

use super::block::{Columns, Places};
use super::lane::{Lane, Numbers};
use super::tests::tree;
use super::value::Value;
use super::*;

/// Kinds of properties, by slot modulo their number.
const KINDS: usize = 6;

/// What a row has in a slot: the slot's kind says what it can be.
fn value(slot: usize, seed: u32) -> Option<Value<'static>> {
    const TEXTS: [&[u8]; 6] = [b"", b"7", b"abc", b"-2.5", b"b,c", b"2018-01-31T16:45:44Z"];
    let text = Value::text(TEXTS[seed as usize % TEXTS.len()]);
    let number = Value::Number(match seed % 7 {
        0 => f64::NAN,
        1 => -0.0,
        2 => 1_517_417_144.0,
        other => f64::from(other) - 4.0,
    });
    match slot % KINDS {
        // Numbers, of which all rows have one.
        0 => Some(number),
        // Numbers, some of them missing.
        1 => (!seed.is_multiple_of(3)).then_some(number),
        2 => Some(text),
        3 => (!seed.is_multiple_of(4)).then_some(text),
        // Anything.
        4 => match seed % 5 {
            0 => None,
            1 => Some(Value::Null),
            2 => Some(Value::List([Value::Number(f64::from(seed))].into())),
            3 => Some(text),
            _ => Some(number),
        },
        // The same for all rows.
        _ => Some(Value::text(b"7")),
    }
}

/// Rows by slot, each with a seed of its own.
struct Rows {
    seeds: Vec<[u32; 7]>,
}

impl Rows {
    fn row(&self, at: usize) -> Vec<Option<Value<'static>>> {
        self.seeds[at].iter().enumerate().map(|(slot, seed)| value(slot, *seed)).collect()
    }
}

impl<'v> Columns<'v> for Rows {
    fn lane(&self, slot: usize, places: Places<'_>) -> Lane<'v> {
        let value = |at: usize| value(slot, self.seeds[at][slot]);
        let values: Vec<Option<Value<'static>>> = match places {
            Places::All(rows) => (0..rows).map(value).collect(),
            Places::Some(places) => places.iter().map(|at| value(*at as usize)).collect(),
        };
        match slot % KINDS {
            0 => {
                let numbers = values.iter().flatten().filter_map(Value::to_number).collect();
                Lane::Numbers(Numbers { values: numbers, gaps: None })
            }
            1 => match Lane::merged(
                &values.iter().map(Option::is_some).collect::<Vec<_>>(),
                Lane::Numbers(Numbers {
                    values: values.iter().flatten().filter_map(Value::to_number).collect(),
                    gaps: None,
                }),
                Lane::Same(None),
            ) {
                lane @ (Lane::Numbers(_) | Lane::Same(None)) => lane,
                other => panic!("numbers and gaps are numbers: {other:?}"),
            },
            2 | 3 => {
                let text = |value: Option<Value<'static>>| match value {
                    Some(Value::Text(std::borrow::Cow::Borrowed(text))) => Some(text),
                    _ => None,
                };
                Lane::Texts(values.into_iter().map(text).collect())
            }
            5 => Lane::Same(value_of_all(slot)),
            _ => Lane::Values(values),
        }
    }
}

fn value_of_all(slot: usize) -> Option<Value<'static>> {
    value(slot, 0)
}

/// How a value is told from others: numbers that are none are alike, the two zeros are not.
fn shown(value: Option<&Value<'_>>) -> String {
    format!("{value:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_block_has_the_values_of_its_rows(
        mut tree in tree(),
        first in 0usize..7,
        seeds in proptest::collection::vec(any::<[u32; 7]>(), 1..20),
        filter in any::<bool>(),
    ) {
        let mut next = first;
        let bound: Result<(), ()> = tree.bind(&mut |_| {
            next = (next + 1) % 7;
            Ok(next)
        });
        prop_assert_eq!(bound, Ok(()));
        let rows = Rows { seeds };
        let count = rows.seeds.len();
        let evens: Vec<u32> = (0..count as u32).step_by(2).collect();
        for places in [Places::All(count), Places::Some(&evens)] {
            let at = |number: usize| match places {
                Places::All(_) => number,
                Places::Some(places) => places[number] as usize,
            };
            if filter {
                let Ok(truths) = tree.holds_block(&rows, places) else { continue };
                prop_assert_eq!(truths.len(), places.len());
                for (number, truth) in truths.into_iter().enumerate() {
                    let row = rows.row(at(number));
                    prop_assert_eq!(tree.holds(row.as_slice()), Ok(truth), "{} of {:?}", tree, row);
                }
                continue;
            }
            let Ok(lane) = tree.evaluate_block(&rows, places) else { continue };
            let kept = lane.clone().or_null();
            let picked = lane.pick(&[0]);
            for number in 0..places.len() {
                let row = rows.row(at(number));
                let expected = tree.evaluate(row.as_slice());
                prop_assert!(expected.is_ok(), "{} of {:?}: {:?}", tree, row, expected);
                let expected = expected.unwrap();
                prop_assert_eq!(
                    shown(lane.get(number).as_ref()), shown(expected.as_ref()),
                    "{} of {:?}", tree, row
                );
                let expected = expected.unwrap_or_default();
                prop_assert_eq!(shown(kept.get(number).as_ref()), shown(Some(&expected)));
            }
            prop_assert_eq!(shown(picked.get(0).as_ref()), shown(lane.get(0).as_ref()));
        }
    }
}

/// An expression in which `@a` is the first slot, and so on.
fn bound(text: &str) -> Expression {
    let mut expression = Expression::parse(text.as_bytes()).unwrap();
    let slot = |wanted: Wanted<'_>| match wanted {
        Wanted::Property(name) => Ok(usize::from(name[0] - b'a')),
        Wanted::MatchedTerms => Err(()),
    };
    expression.bind(&mut { slot }).unwrap();
    expression
}

#[test]
fn what_meets_no_error_runs_in_blocks() {
    let rows = Rows { seeds: (0..40).map(|seed| [seed; 7]).collect() };
    let texts = [
        "@a * 2 + @b / 3 - 1",
        "2 ^ @b % 3",
        "@a == 2 || @b != 3 || @c == 'abc'",
        "@a < @b && @b <= @a + 1 && 3 > @a && @a >= @b",
        "@d == '7' || @d > 'b' || 'b' >= @d",
        "@e == NULL || @b == NULL || @e < @a || @d == @f",
        "!@a || !@b || !@d || !(@a > 1)",
        "exists(@b) && exists(@d) && exists(@e) && exists(@a)",
        "case(exists(@b), @b, @a) + case(@a > 0, 1, NULL)",
        "case(@a > 0, @d, @b)",
        "abs(@b) + sqrt(@a) + floor(@f) + log(@d)",
        "format('%s-%s', @d, @b)",
        "upper(@d)",
        "strlen(@c) > 2 && substr(@c, 0, 1) == 'a'",
        "year(@a)",
        "@f + 1",
    ];
    for text in texts {
        let expression = bound(text);
        let lane = expression.evaluate_block(&rows, Places::All(40)).expect(text);
        for at in 0..40 {
            let row = rows.row(at);
            let expected = expression.evaluate(row.as_slice()).unwrap();
            assert_eq!(shown(lane.get(at).as_ref()), shown(expected.as_ref()), "{text}: {row:?}");
        }
    }
}

#[test]
fn an_operand_is_worked_out_only_for_rows_that_need_it() {
    let rows = Rows { seeds: (0..40).map(|seed| [seed; 7]).collect() };
    // The fifth slot holds anything, on which strlen() fails; the third holds texts.
    let all = Places::All(40);
    assert!(bound("strlen(@e) > 0").holds_block(&rows, all).is_err());
    assert!(bound("strlen(@c) >= 0 && strlen(@e) > 0").holds_block(&rows, all).is_err());
    assert!(bound("strlen(@c) > 99 && strlen(@e) > 0").holds_block(&rows, all).is_ok());
    assert!(bound("strlen(@c) >= 0 || strlen(@e) > 0").holds_block(&rows, all).is_ok());
    assert!(bound("case(@c == 'nosuch', strlen(@e), 1)").evaluate_block(&rows, all).is_ok());
    assert!(bound("case(@c == '7', strlen(@c), strlen(@e))").evaluate_block(&rows, all).is_err());
}
