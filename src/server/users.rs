//! Where do users come from when the server starts, and how does their file get to disk?
//!
//! They come from `user` lines of the configuration or from the file that `aclfile` names, not from both.
//! Lines are looked at before the server does anything else, and count once the modules are loaded, whose
//! commands they may name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::startup::StartError;
use crate::commands::server::MORTISE_VERSION;
use crate::config::file::{Directive, Loaded};
use crate::config::params::Param;
use crate::engine::acl::file;
use crate::engine::acl::rule::{RuleCtx, RuleError, has_blanks, join_selectors};
use crate::engine::acl::user::Rules;
use crate::engine::lock::Engine;
use crate::engine::registry::Registry;
use crate::engine::state::SaveFailed;

/// Why a `user` line is wrong, if it is. Names of commands are not looked at yet.
pub fn check_lines(loaded: &Loaded, registry: &Registry) -> Result<(), StartError> {
    let ctx = RuleCtx { registry, all_channels: false };
    let mut known = std::collections::HashSet::new();
    for directive in &loaded.users {
        let [name, rules @ ..] = directive.words.as_slice() else { continue };
        if !known.insert(name) {
            let why = "Duplicate user found. A user can only be defined once in config files";
            return Err(wrong_line(directive, name, why));
        }
        let joined = join_selectors(rules.iter().map(Vec::as_slice))
            .map_err(|at| wrong_line(directive, &rules[at], "Unmatched parenthesis"))?;
        let mut probe = Rules::new(false);
        for op in joined {
            match probe.apply(&op, ctx) {
                Ok(()) | Err(RuleError::Unknown) => {}
                Err(why) => return Err(wrong_line(directive, name, &why.to_string())),
            }
        }
    }
    Ok(())
}

fn wrong_line(directive: &Directive, what: &[u8], why: &str) -> StartError {
    let what = String::from_utf8_lossy(what);
    let error = directive.line.error(format!("Error in user declaration '{what}': {why}"));
    StartError(error.report(&format!("Mortise {MORTISE_VERSION}")))
}

/// Sets the users of the configuration, or loads their file.
pub fn load(engine: &Engine, loaded: &Loaded) -> Result<(), StartError> {
    let path = loaded.config.text(Param::Aclfile);
    if !path.is_empty() && !loaded.users.is_empty() {
        return Err(StartError(
            "Configuring Redis with users defined in redis.conf and at the same setting an ACL file \
             path is invalid. This setup is very likely to lead to configuration errors and security \
             holes, please define either an ACL file or declare users directly in your redis.conf, \
             but not both."
                .into(),
        ));
    }
    let state = engine.write_patiently();
    let users = &engine.shared.users;
    let ctx = users.rule_ctx(&state.registry);
    for directive in &loaded.users {
        set_user(engine, directive, ctx)?;
    }
    if path.is_empty() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(path);
    let aborted =
        |why: String| StartError(format!("Aborting Redis startup because of ACL errors: {why}"));
    let text = read(&shown)
        .map_err(|why| aborted(format!("Error loading ACLs, opening file '{shown}': {why}")))?;
    let read = file::read(&text, path, ctx)
        .map_err(|errors| aborted(String::from_utf8_lossy(&errors).into_owned()))?;
    users.replace(read);
    Ok(())
}

fn set_user(engine: &Engine, directive: &Directive, ctx: RuleCtx<'_>) -> Result<(), StartError> {
    let [name, rules @ ..] = directive.words.as_slice() else { return Ok(()) };
    if has_blanks(name) {
        return Err(StartError("Spaces not allowed in ACL usernames".into()));
    }
    let shown = String::from_utf8_lossy(name);
    let joined = join_selectors(rules.iter().map(Vec::as_slice))
        .map_err(|_| StartError(format!("a selector of user '{shown}' is not closed")))?;
    // The default user, who exists already, begins anew like the others.
    let mut new = Rules::new(ctx.all_channels);
    for op in joined {
        new.apply(&op, ctx).map_err(|why| {
            let op = String::from_utf8_lossy(&op);
            StartError(format!(
                "Error loading ACL rule '{op}' for the user named '{shown}': {why}\nCritical error \
                 while loading ACLs. Exiting."
            ))
        })?;
    }
    if !new.enabled {
        tracing::info!(
            "The user '{shown}' is disabled (there is no 'on' modifier in the user description). Make \
             sure this is not a configuration error."
        );
    }
    engine.shared.users.set(name, new);
    Ok(())
}

/// The text of the file of users.
pub fn read(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        let text = error.to_string();
        text.split(" (os error").next().unwrap_or_default().to_owned()
    })
}

/// Writes the file of users aside and moves it into place, so that a crash leaves one of the two whole.
pub fn write(path: &str, text: &[u8]) -> Result<(), SaveFailed> {
    let aside = format!("{path}.tmp-{}", std::process::id());
    replace(path, &aside, text).map_err(|(step, error)| {
        tracing::warn!("{step} for ACL SAVE: {error}");
        let _ = fs::remove_file(&aside);
        SaveFailed
    })
}

fn replace(path: &str, aside: &str, text: &[u8]) -> Result<(), (&'static str, io::Error)> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o644);
    let mut file = options.open(aside).map_err(|error| ("Opening temp ACL file", error))?;
    file.write_all(text).map_err(|error| ("Writing ACL file", error))?;
    file.sync_all().map_err(|error| ("Syncing ACL file", error))?;
    fs::rename(aside, path).map_err(|error| ("Renaming ACL file", error))?;
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(|error| ("Syncing ACL directory", error))
}
