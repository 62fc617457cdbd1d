//! What has each script and function cost? A section of INFO, and its return to zero.
//!
//! Figures stand beside the script's text, so there are as many as scripts are cached and functions loaded, and they go
//! with those: a script that is forgotten, a library that is loaded again, starts anew.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::engine::ctx::ExclusiveCtx;
use crate::engine::stats::{ScriptStats, ScriptSum};

/// Calls `f` with the kind, the name and the figures of each script and function.
fn each(ctx: &ExclusiveCtx<'_>, mut f: impl FnMut(&str, &[u8], &ScriptStats)) {
    let scripts = &ctx.state.scripts;
    for source in scripts.iter() {
        f("script", &source.sha, &source.stats);
    }
    for source in ctx.env.shared.new_scripts.lock().iter() {
        // One that was found while it waited is the same in both.
        if scripts.get(&source.sha).is_none() {
            f("script", &source.sha, &source.stats);
        }
    }
    for library in ctx.state.functions.libraries().iter() {
        for (function, stats) in library.functions.iter().zip(&library.stats) {
            f("function", &function.name, stats);
        }
    }
}

/// `INFO scriptstats`: what has run, the most expensive first.
pub fn info(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let mut rows: Vec<(ScriptSum, String)> = Vec::new();
    each(ctx, |kind, name, stats| {
        let sum = stats.sum();
        if sum.calls > 0 {
            let name: Cow<'_, str> = String::from_utf8_lossy(name);
            rows.push((sum, format!("{kind}_{name}")));
        }
    });
    rows.sort_by(|(a, a_name), (b, b_name)| b.nanos.cmp(&a.nanos).then(a_name.cmp(b_name)));
    for (ScriptSum { calls, nanos, nanos_max }, name) in rows {
        let each = nanos as f64 / 1000.0 / calls as f64;
        let (usec, slowest) = (nanos / 1000, nanos_max / 1000);
        let _ = write!(
            text,
            "{name}:calls={calls},usec={usec},usec_per_call={each:.2},slowest_usec={slowest}\r\n"
        );
    }
}

/// CONFIG RESETSTAT.
pub fn reset(ctx: &ExclusiveCtx<'_>) {
    each(ctx, |_, _, stats| stats.reset());
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestEngine;

    fn field(engine: &TestEngine, section: &str, name: &str) -> usize {
        let text = engine.run(&format!("INFO {section}"));
        let at = text.find(&format!("{name}:")).expect("the section has it") + name.len() + 1;
        let digits: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    }

    #[test]
    fn memory_of_vms_of_workers_is_counted() {
        let engine = TestEngine::new();
        assert_eq!(field(&engine, "memory", "used_memory_vm_eval"), 0);
        engine.run("EVAL_RO return(1) 0");
        let own = field(&engine, "memory", "used_memory_vm_eval");
        assert!(own > 10_000, "{own}");
        assert_eq!(field(&engine, "memory", "used_memory_vm_total"), own);
        engine.run("EVAL return(1) 0");
        assert!(field(&engine, "memory", "used_memory_vm_eval") > own + 10_000);
        assert_eq!(field(&engine, "memory", "used_memory_vm_functions"), 0);
    }
}
