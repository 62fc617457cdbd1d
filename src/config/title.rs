//! What is the process called? `proc-title-template` with its variables filled in.
//!
//! That the template is in order was checked when it was set ([`super::check::title_template`]); what is not known is
//! left out.

use crate::config::Config;
use crate::config::params::Param;

/// The title of a process that was started as `program` with this configuration file.
pub fn title(config: &Config, program: &[u8], config_file: Option<&str>) -> Vec<u8> {
    let mut rest = config.text(Param::ProcTitleTemplate);
    let mut title = Vec::new();
    while let Some(open) = rest.iter().position(|&b| b == b'{') {
        title.extend_from_slice(&rest[..open]);
        rest = &rest[open + 1..];
        if let [b'{', after @ ..] = rest {
            // Two braces stand for one.
            title.push(b'{');
            rest = after;
            continue;
        }
        let Some(close) = rest.iter().position(|&b| b == b'}') else { break };
        title.extend_from_slice(&variable(&rest[..close], config, program, config_file));
        rest = &rest[close + 1..];
    }
    title.extend_from_slice(rest);
    let is_blank = |b: &u8| *b == b' ';
    let from = title.iter().position(|b| !is_blank(b)).unwrap_or(title.len());
    let upto = title.iter().rposition(|b| !is_blank(b)).map_or(from, |last| last + 1);
    title[from..upto].to_vec()
}

fn variable(name: &[u8], config: &Config, program: &[u8], config_file: Option<&str>) -> Vec<u8> {
    let (port, tls_port) = (config.uint(Param::Port), config.uint(Param::TlsPort));
    let socket = config.text(Param::Unixsocket);
    match name {
        b"title" => program.to_vec(),
        b"listen-addr" if port == 0 && tls_port == 0 => [b"unixsocket:", socket].concat(),
        b"listen-addr" => {
            let host = config.bind().first().map_or(&b"*"[..], |host| host);
            let port = if port != 0 { port } else { tls_port };
            [host, b":", port.to_string().as_bytes()].concat()
        }
        b"server-mode" if config.flag(Param::ClusterEnabled) => b"[cluster]".to_vec(),
        b"config-file" => config_file.unwrap_or("-").into(),
        b"port" => port.to_string().into_bytes(),
        b"tls-port" => tls_port.to_string().into_bytes(),
        b"unixsocket" => socket.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Value;

    #[test]
    fn variables_are_filled_in() {
        let mut config = Config::new();
        let mut of = |template: &str, port: i64| {
            config.put(Param::ProcTitleTemplate, Value::Text(template.into()));
            config.put(Param::Port, Value::Number(port));
            config.put(Param::Unixsocket, Value::Text(b"/s".to_vec()));
            String::from_utf8(title(&config, b"./mortise", Some("/a.conf"))).unwrap()
        };
        assert_eq!(of("{title} {listen-addr} {server-mode}", 7), "./mortise *:7");
        assert_eq!(of(" {{x} {port}{tls-port} {unixsocket} {config-file}", 7), "{x} 70 /s /a.conf");
        assert_eq!(of("{listen-addr}", 0), "unixsocket:/s");
        assert_eq!(of("  plain ", 0), "plain");
    }
}
