//! Which values does a parameter refuse that its type would take? One function per rule; the texts
//! are those of Redis.

use crate::config::choices::{SHUTDOWN_NOSAVE, SHUTDOWN_SAVE};

/// What a check answers.
pub type Checked = Result<(), &'static str>;

/// Host names are shorter than this.
const HOSTNAME_LEN_MAX: usize = 256;

/// Variables of `proc-title-template`.
pub const TITLE_VARIABLES: [&[u8]; 7] =
    [b"title", b"listen-addr", b"server-mode", b"config-file", b"port", b"tls-port", b"unixsocket"];

/// `activedefrag`: cannot be turned on where jemalloc was left out.
pub fn active_defrag(on: bool) -> Checked {
    if on && cfg!(sanitized) {
        return Err(
            "Active defragmentation cannot be enabled: it requires a Redis server compiled \
                    with a modified Jemalloc like the one shipped by default with the Redis source \
                    distribution",
        );
    }
    Ok(())
}

fn is_path(name: &[u8]) -> bool {
    name.iter().any(|b| matches!(b, b'/' | b'\\'))
}

/// `dbfilename`
pub fn db_filename(name: &[u8]) -> Checked {
    if is_path(name) { Err("dbfilename can't be a path, just a filename") } else { Ok(()) }
}

/// `appendfilename`
pub fn aof_filename(name: &[u8]) -> Checked {
    if name.is_empty() {
        return Err("appendfilename can't be empty");
    }
    if is_path(name) { Err("appendfilename can't be a path, just a filename") } else { Ok(()) }
}

/// `appenddirname`
pub fn aof_dirname(name: &[u8]) -> Checked {
    if name.is_empty() {
        return Err("appenddirname can't be empty");
    }
    if is_path(name) { Err("appenddirname can't be a path, just a dirname") } else { Ok(()) }
}

/// `shutdown-on-sigint`, `shutdown-on-sigterm`
pub fn shutdown(bits: u32) -> Checked {
    if bits & SHUTDOWN_SAVE != 0 && bits & SHUTDOWN_NOSAVE != 0 {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously");
    }
    Ok(())
}

/// `cluster-announce-hostname`
pub fn hostname(name: &[u8]) -> Checked {
    if name.len() >= HOSTNAME_LEN_MAX {
        return Err("Hostnames must be less than 256 characters");
    }
    if name.iter().any(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'-' | b'.')) {
        return Err("Hostnames may only contain alphanumeric characters, hyphens or dots");
    }
    Ok(())
}

/// `cluster-announce-human-nodename`: it must survive in the fields of nodes.conf.
pub fn nodename(name: &[u8]) -> Checked {
    if name.iter().any(|b| b"!#$%&()*+:;<>?@[]^{|}~".contains(b)) {
        return Err("Announced human node name contained invalid character");
    }
    Ok(())
}

/// `proc-title-template`: not empty, braces closed, variables known.
pub fn title_template(template: &[u8]) -> Checked {
    const BAD: Checked = Err("template format is invalid or contains unknown variables");
    if template.iter().all(|&b| b == b' ') {
        return BAD;
    }
    let mut rest = template;
    while let Some(open) = rest.iter().position(|&b| b == b'{') {
        rest = &rest[open + 1..];
        if let [b'{', after @ ..] = rest {
            // Two braces stand for one.
            rest = after;
            continue;
        }
        let Some(close) = rest.iter().position(|&b| b == b'}') else { return BAD };
        if !TITLE_VARIABLES.contains(&&rest[..close]) {
            return BAD;
        }
        rest = &rest[close + 1..];
    }
    Ok(())
}

/// `module-threads`
pub fn module_threads(value: &[u8]) -> Checked {
    let mut words = value.split(|&b| b == b' ');
    match (words.next(), words.next()) {
        (Some(b"any"), None) | (Some(b"main"), _) => Ok(()),
        _ => Err("argument must be 'any' or 'main' with names of modules"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        for good in ["{title}", "x", "--my--title", "{title} {{literal {port}"] {
            assert!(title_template(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", "  ", "{nothing}", "{title", "{}"] {
            assert!(title_template(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(hostname(b"a-b.example.org").is_ok());
        assert!(hostname(b"a_b").is_err());
        assert!(hostname(&[b'a'; 256]).is_err());
        assert!(nodename(b"node-1 of 3").is_ok());
        assert!(nodename(b"a:b").is_err());
        assert!(db_filename(b"../x").is_err());
        assert!(aof_dirname(b"").is_err());
    }
}
