//! Recognises files of other programs, so that one error says so instead of fifty.
//!
//! It is used only for invalid files. A file with `listeners:` or `pools:` at its top level is taken for one of
//! rondel's, whatever else it contains, unless those are in a template.

use crate::problem::{Finding, Quoted};
use crate::span::Span;
use crate::tokens::{TokenKind, Tokens};

/// The message for a file of another program, or for a template.
pub(crate) fn recognise(text: &str) -> Option<Finding> {
    if let Some(opening) = template(text) {
        let finding = Finding::at(opening, "this is a template that was not rendered");
        return Some(finding.help("use the rendered file"));
    }
    let is_ours = |line: Line<'_>| line.indent == 0 && matches!(line.yaml_key(), Some("listeners" | "pools"));
    if lines(text).any(is_ours) {
        return None;
    }
    let (program, line) = [
        ("HAProxy", haproxy(text)),
        ("nginx", nginx(text)),
        ("Envoy", envoy(text)),
        ("Kubernetes", kubernetes(text)),
    ]
    .into_iter()
    .find_map(|(program, line)| Some((program, line?)))?;
    let span = Span::of_bytes(text, line.start..line.start + line.text.len());
    let message = format!("this looks like a file of {program}: {}", Quoted(line.text));
    let help = "rondel has a format of its own, in YAML: README.md shows the smallest file, and \
                `rondel check FILE` tries it";
    Some(Finding::at(span, message).help(help))
}

/// Where `{{` or `{%` starts something that is not a YAML value. Between quotes, they are text.
fn template(text: &str) -> Option<Span> {
    let mut before = None;
    for token in Tokens::new(text, 0) {
        let opens = token.kind == TokenKind::Open && text[token.start..].starts_with('{');
        if let Some(start) = before.filter(|start| start + 1 == token.start) {
            let behind = &text[token.start..];
            let inner = if opens { &behind[1..] } else { "" };
            // With an extra brace, keys follow.
            let end = inner.find(['{', '}', '\n']).filter(|end| !inner[..*end].contains(": "));
            if end.is_some_and(|end| inner[end..].starts_with("}}")) || behind.starts_with('%') {
                return Some(Span::of_bytes(text, start..start + 2));
            }
        }
        before = opens.then_some(token.start);
    }
    None
}

/// The first section of an HAProxy configuration that contains a directive.
fn haproxy(text: &str) -> Option<Line<'_>> {
    let is_section = |line: &Line<'_>| {
        let mut words = line.text.split_whitespace();
        match (words.next(), words.next()) {
            (Some("global" | "defaults"), None) => true,
            (
                Some("frontend" | "backend" | "listen" | "defaults" | "peers" | "resolvers" | "userlist"),
                Some(name),
            ) => !name.starts_with(['{', '=']) && !line.text.ends_with([':', ';', '{']),
            _ => false,
        }
    };
    let is_directive = |line: &Line<'_>| {
        let mut words = line.text.split_whitespace();
        let known = words.next().is_some_and(|word| HAPROXY_DIRECTIVES.contains(&word));
        known && words.next().is_some() && !line.text.ends_with([';', '{'])
    };
    let section = lines(text).find(is_section)?;
    lines(text).any(|line| line.start > section.start && is_directive(&line)).then_some(section)
}

/// The first block of an nginx configuration, if a directive ends as in nginx.
fn nginx(text: &str) -> Option<Line<'_>> {
    let is_block = |line: &Line<'_>| {
        let Some((words, _)) = line.text.split_once('{') else { return false };
        let mut words = words.split_whitespace();
        matches!(
            (words.next(), words.next()),
            (Some("events" | "stream" | "http" | "server"), None) | (Some("upstream" | "location"), Some(_))
        )
    };
    let block = lines(text).find(is_block)?;
    let ends = |line: Line<'_>| line.text.trim_end_matches([' ', '}']).ends_with(';');
    lines(text).any(ends).then_some(block)
}

/// The key that identifies an Envoy configuration.
fn envoy(text: &str) -> Option<Line<'_>> {
    let key_of_envoy = |key: &str| ["static_resources", "dynamic_resources", "@type"].contains(&key);
    lines(text).find(|line| line.yaml_key().is_some_and(key_of_envoy))
}

/// The kind of a Kubernetes object.
fn kubernetes(text: &str) -> Option<Line<'_>> {
    let is = |line: &Line<'_>, key: &str| line.indent == 0 && line.yaml_key() == Some(key);
    let kind = lines(text).find(|line| is(line, "kind"))?;
    lines(text).any(|line| is(&line, "apiVersion")).then_some(kind)
}

/// A line with content, without indentation and comments.
struct Line<'t> {
    text: &'t str,
    /// Its first byte.
    start: usize,
    indent: usize,
}

impl<'t> Line<'t> {
    /// The word before a colon, as in YAML and JSON.
    fn yaml_key(&self) -> Option<&'t str> {
        let (key, _) = self.text.trim_start_matches(['{', '-', ' ']).split_once(':')?;
        Some(key.trim_end().trim_matches(['"', '\'']))
    }
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let indent = line.len() - line.trim_start().len();
        let at = start + indent;
        start += line.len();
        let text = line.trim();
        (!text.is_empty() && !text.starts_with('#')).then_some(Line { text, start: at, indent })
    })
}

const HAPROXY_DIRECTIVES: &[&str] = &[
    "acl",
    "balance",
    "bind",
    "chroot",
    "default-server",
    "default_backend",
    "log",
    "maxconn",
    "mode",
    "nameserver",
    "nbthread",
    "option",
    "peer",
    "retries",
    "server",
    "server-template",
    "stats",
    "stick-table",
    "tcp-check",
    "tcp-request",
    "timeout",
    "use_backend",
    "user",
];

#[cfg(test)]
mod tests {
    use super::recognise;

    #[test]
    fn a_file_of_another_program_is_recognised() {
        for (program, text) in [
            ("HAProxy", "global\n    maxconn 2000\n\ndefaults\n    mode tcp\n    timeout connect 5s\n"),
            (
                "HAProxy",
                "# with a colon: here\r\nlisten db\r\n\tbind :5432\r\n\tserver a 10.0.0.1:5432 check\r\n",
            ),
            ("HAProxy", "defaults tcp\n  mode tcp\nfrontend web\n  bind *:80\n  default_backend web\n"),
            ("HAProxy", "resolvers local\n  nameserver dns 192.0.2.53:53\n"),
            ("nginx", "events { worker_connections 2048; }\nstream {\n  server {\n    listen 80;\n  }\n}\n"),
            ("nginx", "stream {\r\n  upstream web {\r\n    server 10.0.0.1:80;\r\n  }\r\n}\r\n"),
            ("nginx", "# conf.d\nupstream web { server 10.0.0.1:80; }\n"),
            ("Envoy", "static_resources:\n  listeners:\n  - name: web\n    address: {}\n"),
            ("Envoy", "{\n  \"static_resources\": {\n    \"listeners\": []\n  }\n}\n"),
            ("Envoy", "{ \"static_resources\": { \"listeners\": [] } }"),
            ("Envoy", "resources:\n- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n"),
            ("Kubernetes", "apiVersion: v1\nkind: ConfigMap\ndata:\n  rondel.yaml: |\n    listeners:\n"),
            ("template", "listeners:\n  - { address: {{ address }}, pool: web }\n"),
            (
                "template",
                "listeners:\n{% for port in ports %}\n  - { address: ':80', pool: web }\n{% endfor %}\n",
            ),
        ] {
            let finding = recognise(text).unwrap_or_else(|| panic!("{program}: {text}"));
            assert!(finding.message.contains(program), "{finding:?}");
        }
    }

    #[test]
    fn no_file_of_ours_is_taken_for_another() {
        let pools = "pools:\n  - name: web\n    backends: [\"10.0.0.1:80\"]\n";
        let nginx = format!("{pools}upstream web {{\n server a;\n}}\n");
        let object = format!("\"pools\": 1\n{pools}kind: a\napiVersion: b\n");
        for text in [
            "",
            "web",
            "global",
            "frontend web\n",
            "listen:\n  bind: x\n",
            "server { listen 80 }",
            "events: { a: b; }\n",
            "kind: web\n",
            "runtime: { workers: auto }\n",
            "listeners:\n  - { address: ':80', pool: web, tls: yes }\nstatic_resources: {}\n",
            "\"listeners\":\n  - server a b\n\nlisten db\n  bind :80\n",
            "frontend web\n  bind :80\npools: []\n",
            "pools:\n  - name: web\n    probe: { exchange: { send: '{{x}}', expect: \"{% a\" } } # {{ y }}\n",
            "listeners: [{{address: ':80', pool: web}}]\n",
            &nginx,
            &object,
        ] {
            assert!(recognise(text).is_none(), "{text}: {:?}", recognise(text));
        }
    }
}
