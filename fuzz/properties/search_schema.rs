//! Does a definition mean the same when it is read again?
//!
//! Input: the arguments of FT.CREATE, one a line; behind an empty line those of FT.ALTER. Properties: what a schema keeps as
//! its definition makes the same schema, also after fields were added, dropped and changed; fields keep their numbers if
//! the index is not built anew.

use mortise_search::schema::Schema;
use mortise_search::schema::alter::{Change, alter};
use mortise_search::schema::parse::create;
use mortise_search::tokenize::StopWords;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let split = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let Ok(schema) = create(b"index", &lines[..split]) else { return };
    same_again(&schema);
    let more = lines.get(split + 1..).unwrap_or_default();
    let Ok(altered) = alter(&schema, more) else { return };
    let shown = |schema: &Schema| format!("{:?}", schema.fields);
    let before = shown(&schema);
    let kept = shown(&altered.schema).starts_with(before.trim_end_matches(']'));
    assert!(kept || altered.change == Change::Rebuilt, "fields moved");
    same_again(&altered.schema);
}

fn same_again(schema: &Schema) {
    let definition: Vec<&[u8]> = schema.definition.iter().map(|word| &**word).collect();
    let again = create(&schema.name, &definition).expect("a definition is accepted again");
    assert_eq!(again.stop_words.given(), schema.stop_words.given());
    // A set of words is in no order.
    let shown = |schema: &Schema| {
        format!("{:?}", Schema { stop_words: StopWords::none(), ..schema.clone() })
    };
    assert_eq!(shown(&again), shown(schema));
}
