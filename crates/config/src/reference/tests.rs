//! The table against the parser, key by key.

use std::time::Duration;

use super::{Absent, Key, Value, sections};
use crate::config::Config;
use crate::duration::show;
use crate::sections::{self as of_parser, Section};

#[test]
fn sections_and_keys_are_those_of_the_parser() {
    let known: [(&str, &Section); 29] = [
        ("", &of_parser::FILE),
        ("runtime", &of_parser::RUNTIME),
        ("admin", &of_parser::ADMIN),
        ("admin.http", &of_parser::ADMIN_HTTP),
        ("access_log", &of_parser::ACCESS_LOG),
        ("access[]", &of_parser::ACCESS),
        ("access[].rules[]", &of_parser::ACCESS_RULE),
        ("limits[]", &of_parser::LIMITS),
        ("limits[].source", &of_parser::SOURCE),
        ("listeners[]", &of_parser::LISTENER),
        ("listeners[].hold", &of_parser::HOLD),
        ("listeners[].proxy_protocol", &of_parser::PROXY_PROTOCOL),
        ("listeners[].opening", &of_parser::OPENING),
        ("listeners[].routes[]", &of_parser::ROUTE),
        ("pools[]", &of_parser::POOL),
        ("pools[].keepalive", &of_parser::KEEPALIVE),
        ("pools[].eject", &of_parser::EJECT),
        ("pools[].queue", &of_parser::QUEUE),
        ("pools[].send_proxy", &of_parser::SEND_PROXY),
        ("pools[].backends[]", &of_parser::BACKEND),
        ("pools[].probe", &of_parser::PROBE),
        ("pools[].probe.http", &of_parser::HTTP),
        ("pools[].probe.http.expect", &of_parser::EXPECT),
        ("pools[].probe.http.roles", &of_parser::ROLES),
        ("pools[].probe.exchange", &of_parser::EXCHANGE),
        ("pools[].probe.postgres", &of_parser::POSTGRES),
        ("pools[].probe.mysql", &of_parser::MYSQL),
        ("pools[].probe.redis", &of_parser::REDIS),
        ("pools[].probe.*.tls", &of_parser::TLS),
    ];
    let listed: Vec<_> = sections()
        .iter()
        .map(|section| (section.path, section.keys.iter().map(|key| key.name).collect::<Vec<_>>()))
        .collect();
    assert_eq!(listed, known.map(|(path, section)| (path, section.keys.to_vec())));
}

#[test]
fn defaults_are_what_the_parser_gives() {
    each_key(|path, key| {
        let without = parse(path, key.name, None);
        match key.absent {
            Absent::Required => assert!(without.is_err(), "{path} {} is not required", key.name),
            Absent::Written(default) => {
                let with = parse(path, key.name, Some(default));
                assert_eq!(without.unwrap(), with.unwrap(), "{path} {}", key.name);
            }
            Absent::Otherwise(_) => assert!(without.is_ok(), "{path} {}: {without:?}", key.name),
        }
    });
}

#[test]
fn ranges_are_what_the_parser_accepts() {
    each_key(|path, key| {
        for value in accepted(path, key) {
            if let Err(error) = parse(path, key.name, Some(&value)) {
                panic!("{path} {}: {value}: {error}", key.name);
            }
        }
        for value in refused(key) {
            let parsed = parse(path, key.name, Some(&value));
            assert!(parsed.is_err(), "{path} {}: {value} is accepted", key.name);
        }
    });
}

#[test]
fn sentences_end_with_a_full_stop() {
    for section in sections() {
        assert!(section.about.ends_with('.'), "{}", section.path);
        for key in section.keys {
            assert!(key.meaning.ends_with('.') || key.meaning.ends_with('`'), "{}", key.meaning);
            assert!(!key.meaning.contains('|'), "{}: it is a cell of a table", key.meaning);
        }
    }
}

fn each_key(check: impl Fn(&str, &Key)) {
    for section in sections() {
        section.keys.iter().for_each(|key| check(section.path, key));
    }
}

/// Values that the parser is to accept, the ends of the range among them.
fn accepted(path: &str, key: &Key) -> Vec<String> {
    match &key.value {
        Value::Number(range) => vec![range.start().to_string(), range.end().to_string()],
        Value::NumberOrAuto(range) => vec![range.start().to_string(), range.end().to_string(), "auto".into()],
        Value::Duration(range) | Value::Seconds(range) => vec![show(*range.start()), show(*range.end())],
        Value::Word(words) => words.clone(),
        Value::Switch => vec!["true".into(), "false".into()],
        Value::List(_, most) => vec![list(key.name, 1), list(key.name, *most)],
        // Its keys are tried.
        Value::Section => Vec::new(),
        Value::Text(..) => samples(path, key.name).iter().map(|sample| (*sample).to_owned()).collect(),
    }
}

/// Values just outside of the range.
fn refused(key: &Key) -> Vec<String> {
    let millisecond = Duration::from_millis(1);
    match &key.value {
        Value::Number(range) | Value::NumberOrAuto(range) => {
            let below = range.start().checked_sub(1).map(|number| number.to_string());
            below.into_iter().chain([(range.end() + 1).to_string()]).collect()
        }
        Value::Duration(range) => {
            let below = range.start().checked_sub(millisecond).map(show);
            below.into_iter().chain([show(*range.end() + millisecond)]).collect()
        }
        Value::Seconds(range) => {
            let second = Duration::from_secs(1);
            vec!["0s".into(), show(*range.end() + second), show(second + millisecond)]
        }
        Value::Word(_) | Value::Switch => vec!["other".into()],
        Value::List(_, most) => vec!["[]".into(), list(key.name, most + 1)],
        Value::Section | Value::Text(..) => Vec::new(),
    }
}

/// A list of so many for one of the keys that take one.
fn list(key: &str, number: usize) -> String {
    let item = |number: usize| match key {
        "rules" => "{ deny: '10.0.0.0/8' }".to_owned(),
        "listeners" => format!("{{ address: '127.0.0.1:{}', pool: db }}", number + 1),
        "routes" => format!("{{ sni: [r{number}.example], pool: db }}"),
        "sni" => format!("n{number}.example"),
        "alpn" => format!("p{number}"),
        "pools" => format!(
            "{{ name: {}, backends: ['10.0.0.1:80'] }}",
            ["db".into(), format!("p{number}")][number.min(1)]
        ),
        _ => format!("'10.1.{}.{}:80'", number / 250, number % 250),
    };
    format!("[{}]", (0..number).map(item).collect::<Vec<_>>().join(", "))
}

/// What a key that takes a text may say.
fn samples(path: &str, key: &str) -> &'static [&'static str] {
    match (path, key) {
        ("", "version") => &["1"],
        ("", "access_log") | ("access_log", "to") => &[
            "off",
            "stderr",
            "syslog",
            "syslog:/run/log",
            "syslog://10.0.0.9",
            "'syslog://[::1]:5514'",
            "/a.log",
        ],
        ("access_log", "fields") => &["[client]", "[duration_ms, client, code]"],
        ("", "access") => &["[]", "[{ name: own, rules: [{ deny: '10.0.0.0/8' }] }]"],
        ("", "limits") => &["[]", "[{ name: own, connections: 1 }]"],
        ("access[].rules[]", "allow" | "deny") => &["'10.0.0.0/8'", "['10.0.0.0/8', '::1']"],
        ("access[].rules[]", _) => &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/blocked.cidr")],
        ("limits[]", "connections") => &["off", "1", "65535"],
        ("limits[]", "rate") => &["off", "1/m", "1000/s"],
        ("limits[]", "exempt") => &["[]", "['10.0.0.0/8', '::1']"],
        ("listeners[]", "access" | "limits") => &["own"],
        ("listeners[]", "rate") => &["off", "1/m", "1000000/s"],
        ("runtime", "state") => &["off", "/var/lib/rondel", "/var/lib/rondel/"],
        ("admin", "socket") => &["auto", "off", "/run/a.sock"],
        ("admin", "http") => &["off", "'127.0.0.1:9907'", "':9907'", "{ address: ':9907' }"],
        ("admin.http", "address") => &["'127.0.0.1:80'", "':80'"],
        ("listeners[]", "address") => &["'127.0.0.1:80'", "':80'", "[':80', '127.0.0.1:90-1112']"],
        ("pools[].backends[]", "address") => &["'127.0.0.1:80'", "'[::1]:80'"],
        ("listeners[].proxy_protocol", "from") => &["any", "['10.0.0.0/8', '::1']"],
        ("listeners[].proxy_protocol", "versions") => &["[v1]", "[v1, v2]"],
        ("pools[]", "send_proxy") => &["off", "v1", "v2", "{ version: v1 }"],
        ("pools[].send_proxy", "tlvs") => &["[unique_id, crc32c, pass, pass_authority, pass_ssl]"],
        ("pools[]", "source") => &["10.0.0.9"],
        ("pools[]", "probe") => &["tcp", "http", "redis", "{ tcp: {} }"],
        ("pools[]", "max_lag") => &["1B", "16MiB"],
        ("pools[].probe", "http") => &["/health", "{ path: /health }"],
        ("pools[].probe", "jitter") => &["0%", "50%"],
        ("pools[].probe.http" | "pools[].probe.http.roles", "path" | "primary" | "replica") => &["/a?b"],
        ("pools[].probe.http.expect", "status") => &["100", "100-599", "[200, 300-302]"],
        ("pools[].probe.exchange", _) => &[r"'a\r\n\t\0\\\x0d'"],
        ("listeners[]" | "listeners[].routes[]", "pool") | ("pools[]", "name") => &["db"],
        (_, "user" | "database" | "body" | "password_file" | "token_file" | "authority") => &["/a b"],
        (_, "password_env") => &["A_1"],
        (_, "name" | "host") => &["'a-_.:/[]%'"],
        _ => panic!("what may {path} {key} say?"),
    }
}

/// A file that is right without the key, unless it is required; with it, where it has a value.
fn parse(path: &str, key: &str, value: Option<&str>) -> Result<Config, String> {
    let probe = |kind: &str, inner: &[(&str, &str)]| format!("{{ {kind}: {} }}", section(inner, key, value));
    let mut listener = vec![("address", "'127.0.0.1:8080'".to_owned()), ("pool", "db".into())];
    let mut backend = "'10.0.0.1:80'".to_owned();
    let mut pool = vec![("name", "db".to_owned()), ("probe", "redis".into())];
    let mut file = Vec::new();
    let required: &[(&str, &str)] = match (path, key) {
        ("access_log", "facility") => &[("to", "syslog")],
        ("access_log", _) => &[("to", "stderr")],
        ("admin.http", _) => &[("address", "':9907'")],
        ("listeners[]", "hold") => &[("role", "primary")],
        ("listeners[]", "fallback") => &[("role", "replica")],
        ("listeners[]", "v6only") => &[("address", "'[::1]:8080'")],
        // As long as `max` and `interval` may be, or as short.
        ("pools[].eject", "max") => &[("for", "1s")],
        ("pools[].probe", "fast_interval") => &[("tcp", "{}"), ("interval", "1h")],
        // What the key sets is one of these.
        ("pools[].probe", "http" | "exchange" | "postgres" | "mysql" | "redis") if value.is_some() => &[],
        ("pools[].probe", "tcp") => &[("redis", "{}")],
        ("pools[].probe", _) => &[("tcp", "{}")],
        ("listeners[].proxy_protocol", _) => &[("from", "any")],
        ("access[]", _) => &[("name", "own"), ("rules", "[{ deny: '10.0.0.0/8' }]")],
        ("access[].rules[]", "allow") if value.is_none() => &[("deny", "'10.0.0.0/8'")],
        ("access[].rules[]", _) if value.is_none() => &[("allow", "'10.0.0.0/8'")],
        ("limits[]", "rate") => &[("name", "own"), ("connections", "1")],
        ("limits[]", _) => &[("name", "own"), ("rate", "1000/s")],
        ("pools[].send_proxy", _) => &[("version", "v2")],
        ("pools[].probe.exchange", _) => &[("expect", "a")],
        ("pools[].probe.postgres" | "pools[].probe.mysql", _) => &[("user", "a")],
        ("pools[].probe.*.tls", _) => &[("authority", "/a"), ("name", "a")],
        ("listeners[]", "unknown" | "silent") => &[("routes", "[{ alpn: [h2], pool: db }]")],
        ("listeners[].routes[]", "tls") if value.is_some() => &[("pool", "db")],
        ("listeners[].routes[]", "alpn") => &[("sni", "[a.example]"), ("pool", "db")],
        ("listeners[].routes[]", _) => &[("alpn", "[h2]"), ("pool", "db")],
        _ => &[],
    };
    let inner = section(required, key, value);
    match path {
        "" => {
            if let Some(value) = value {
                file.push((key.to_owned(), value.to_owned()));
            }
        }
        "access[]" => file.push(("access".into(), format!("[{inner}]"))),
        "access[].rules[]" => {
            file.push(("access".into(), format!("[{{ name: own, rules: [{inner}] }}]")));
        }
        "limits[]" => file.push(("limits".into(), format!("[{inner}]"))),
        "limits[].source" => {
            file.push(("limits".into(), format!("[{{ name: own, connections: 1, source: {inner} }}]")));
        }
        "listeners[]" if matches!(key, "access" | "limits") => {
            overlay(&mut listener, required, key, value);
            file.push(("access".into(), "[{ name: own, rules: [{ deny: '10.0.0.0/8' }] }]".into()));
            file.push(("limits".into(), "[{ name: own, connections: 1 }]".into()));
        }
        "runtime" | "admin" | "access_log" => file.push((path.to_owned(), inner)),
        "admin.http" => file.push(("admin".into(), format!("{{ http: {inner} }}"))),
        "listeners[]" => overlay(&mut listener, required, key, value),
        "listeners[].hold" => listener.extend([("role", "primary".to_owned()), ("hold", inner)]),
        "listeners[].proxy_protocol" => listener.push(("proxy_protocol", inner)),
        "listeners[].opening" => listener.push(("opening", inner)),
        "listeners[].routes[]" => listener.push(("routes", format!("[{inner}]"))),
        "pools[].send_proxy" => pool.push(("send_proxy", inner)),
        "pools[]" => overlay(&mut pool, required, key, value),
        "pools[].keepalive" => pool.push(("keepalive", inner)),
        "pools[].eject" => pool.push(("eject", inner)),
        "pools[].queue" => pool.push(("queue", inner)),
        "pools[].backends[]" => backend = section(&[("address", "'10.0.0.1:80'")], key, value),
        "pools[].probe" => pool[1].1 = inner,
        "pools[].probe.http.expect" => pool[1].1 = format!("{{ http: {} }}", probe("expect", required)),
        "pools[].probe.http.roles" => pool[1].1 = format!("{{ http: {} }}", probe("roles", required)),
        "pools[].probe.*.tls" => pool[1].1 = format!("{{ redis: {} }}", probe("tls", required)),
        _ => pool[1].1 = probe(path.rsplit('.').next().unwrap(), required),
    }
    if !(path == "pools[]" && key == "backends") {
        let more = if key == "min_active" { 9_999 } else { 1 };
        let others = (0..more).map(|number| format!("'10.1.{}.{}:80'", number / 250, number % 250));
        pool.push(("backends", format!("[{backend}, {}]", others.collect::<Vec<_>>().join(", "))));
    }
    if key != "listeners" {
        file.push(("listeners".into(), format!("[{}]", map(&listener))));
    }
    if key != "pools" {
        file.push(("pools".into(), format!("[{}]", map(&pool))));
    }
    let text: Vec<_> = file.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
    Config::parse("rondel.yaml", text.concat().as_bytes()).map_err(|error| error.to_string())
}

/// A section with what it requires, and with the key as it is to be.
fn section(required: &[(&str, &str)], key: &str, value: Option<&str>) -> String {
    let mut entries = Vec::new();
    overlay(&mut entries, required, key, value);
    map(&entries)
}

/// Sets what is required and the key, or takes the key out.
fn overlay<'a>(
    entries: &mut Vec<(&'a str, String)>,
    required: &[(&'a str, &str)],
    key: &'a str,
    value: Option<&str>,
) {
    for (name, value) in required.iter().copied().chain(value.map(|value| (key, value))) {
        entries.retain(|(entry, _)| *entry != name);
        entries.push((name, value.to_owned()));
    }
    if value.is_none() {
        entries.retain(|(entry, _)| *entry != key);
    }
}

fn map(entries: &[(&str, String)]) -> String {
    let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{ {} }}", entries.join(", "))
}
