//! When are keys read?
//!
//! As late as can be, and for as few rows as can be: a LOAD is put behind all FILTERs, APPLYs, SORTBYs and LIMITs that do
//! not look at what it loads, and in front of a GROUPBY that does not it is left out. So `LOAD 1 @title SORTBY 2 @price
//! DESC` reads ten keys however many documents there are.
//!
//! What a LOAD drops, rows whose keys have gone since the index was looked at, is dropped later as well: the answer may
//! have fewer rows than LIMIT asks for. That is rare, since documents leave the index together with their keys.

use crate::aggregate::pipeline::{Load, LoadField, Stage};
use crate::expression::Expression;

/// Puts the loading stages where they cost least.
pub fn defer(stages: Vec<Stage>) -> Vec<Stage> {
    let mut out = Vec::with_capacity(stages.len());
    let mut waiting: Vec<LoadField> = Vec::new();
    for stage in stages {
        match stage {
            Stage::Load(Load::Fields(fields)) => {
                for field in fields {
                    waiting.retain(|known| known.slot != field.slot);
                    waiting.push(field);
                }
                continue;
            }
            Stage::Load(Load::All) => flush(&mut waiting, &mut out),
            Stage::Filter(condition) => {
                filter(condition, &mut waiting, &mut out);
                continue;
            }
            Stage::Group(_) if !looks_at(&stage, &waiting) => waiting.clear(),
            _ if looks_at(&stage, &waiting) => flush(&mut waiting, &mut out),
            _ => {}
        }
        out.push(stage);
    }
    flush(&mut waiting, &mut out);
    out
}

fn flush(waiting: &mut Vec<LoadField>, out: &mut Vec<Stage>) {
    if !waiting.is_empty() {
        out.push(Stage::Load(Load::Fields(std::mem::take(waiting))));
    }
}

/// The operands of `&&` in front of the first one that looks at what is to be loaded can drop rows before.
fn filter(condition: Expression, waiting: &mut Vec<LoadField>, out: &mut Vec<Stage>) {
    if !uses(&condition, waiting) {
        out.push(Stage::Filter(condition));
        return;
    }
    let mut operands = match condition {
        Expression::And(operands) => operands,
        condition => vec![condition],
    };
    let free = operands.iter().take_while(|operand| !uses(operand, waiting)).count();
    let late = operands.split_off(free);
    if !operands.is_empty() {
        out.push(Stage::Filter(Expression::And(operands)));
    }
    flush(waiting, out);
    out.push(Stage::Filter(match <[Expression; 1]>::try_from(late) {
        Ok([condition]) => condition,
        Err(operands) => Expression::And(operands),
    }));
}

fn is_among(slot: usize, waiting: &[LoadField]) -> bool {
    waiting.iter().any(|field| field.slot == slot)
}

fn uses(expression: &Expression, waiting: &[LoadField]) -> bool {
    expression.any_slot(&mut |slot| is_among(slot, waiting))
}

fn looks_at(stage: &Stage, waiting: &[LoadField]) -> bool {
    match stage {
        Stage::Load(_) => unreachable!("loads are taken by themselves"),
        Stage::Apply { expression, slot } => is_among(*slot, waiting) || uses(expression, waiting),
        Stage::Filter(condition) => uses(condition, waiting),
        Stage::Group(grouper) => grouper.slots().any(|slot| is_among(slot, waiting)),
        Stage::Sort(sorter) => sorter.slots().any(|slot| is_among(slot, waiting)),
        Stage::Page { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::aggregate::binding::{Options, bind};
    use crate::aggregate::pipeline::{Load, Stage};
    use crate::aggregate::steps;
    use crate::args::Args;
    use crate::query::plan::{Plan, Step};
    use crate::schema::parse::create;

    /// The stages of some steps; `t` and `u` have to be loaded, `n` and `g` have columns.
    fn stages(line: &str) -> String {
        let words = "SCHEMA t TEXT u TAG n NUMERIC g TAG SORTABLE UNF";
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let schema = Arc::new(create(b"idx", &words).unwrap());
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut args = Args::new(&words);
        let mut parsed = Vec::new();
        while !args.is_empty() {
            assert!(steps::take(&mut parsed, &mut args).unwrap(), "{line}");
        }
        let plan =
            Plan { root: Step::All { weight: 1.0 }, leaves: Vec::new(), vectors: Vec::new() };
        let options = Options { add_scores: false, dialect: 2, limits: Default::default() };
        let bound = bind(&schema, &plan, parsed, options).unwrap();
        let shown = |stage: &Stage| match stage {
            Stage::Load(Load::All) => "load*".to_owned(),
            Stage::Load(Load::Fields(fields)) => {
                let paths = fields.iter().map(|field| String::from_utf8_lossy(&field.path));
                format!("load:{}", paths.collect::<Vec<_>>().join(","))
            }
            Stage::Apply { .. } => "apply".to_owned(),
            Stage::Filter(condition) => format!("filter{condition}").replace(' ', ""),
            Stage::Group(_) => "group".to_owned(),
            Stage::Sort(_) => "sort".to_owned(),
            Stage::Page { offset, limit, .. } => format!("page:{offset}+{limit}"),
        };
        bound.stages.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_are_read_last() {
        let cases = [
            ("LOAD 1 @t SORTBY 2 @n DESC", "sort load:t"),
            ("LOAD 1 @t LIMIT 5 3", "page:5+3 load:t"),
            ("LOAD 1 @t SORTBY 1 @n LIMIT 5 3", "sort page:5+3 load:t"),
            ("LOAD 2 @t @u FILTER @n>1 FILTER @t>1", "filter(@n>1) load:t,u filter(@t>1)"),
            ("LOAD 1 @t LOAD 1 @u LOAD 1 @other", "load:t,u,other"),
            ("FILTER @n>1&&@t>1&&@n>2", "filter((@n>1)) load:t filter((@t>1)&&(@n>2))"),
            ("FILTER @n>1&&@t>1", "filter((@n>1)) load:t filter(@t>1)"),
            ("FILTER @t>1||@n>1", "load:t filter((@t>1)||(@n>1))"),
            ("LOAD 1 @t APPLY @n+1 AS m APPLY upper(@t) AS s", "apply load:t apply"),
            ("LOAD 1 @t APPLY @n+1 AS t", "load:t apply"),
            ("LOAD 1 @t SORTBY 1 @t LOAD 1 @u", "load:t sort load:u"),
            ("LOAD 1 @t GROUPBY 1 @g REDUCE COUNT 0", "group"),
            ("LOAD 1 @t GROUPBY 1 @g REDUCE TOLIST 1 @t", "load:t group"),
            ("LOAD 1 @t GROUPBY 1 @t SORTBY 1 @t", "load:t group sort"),
            ("LOAD * FILTER @n>1", "load* filter(@n>1)"),
            ("LOAD 1 @t LOAD * FILTER @n>1", "load:t load* filter(@n>1)"),
        ];
        for (line, expected) in cases {
            assert_eq!(stages(line), expected, "{line}");
        }
    }
}
