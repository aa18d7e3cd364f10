//! Every term has its advice, and what the advice names exists.

use std::collections::HashSet;

use super::*;
use crate::config::Config;
use crate::sections::{
    ACCESS_LOG, ADMIN, ADMIN_HTTP, BACKEND, EJECT, EXCHANGE, EXPECT, FILE, HOLD, HTTP, KEEPALIVE, LISTENER,
    MYSQL, POOL, POSTGRES, PROBE, QUEUE, REDIS, ROLES, ROUTE, RUNTIME, TCP, TLS,
};

/// A key that is named must exist, and no key of a section may be listed as another program's term.
#[test]
fn a_word_of_another_program_is_no_key_of_ours_and_says_which_is() {
    let mut ours = Vec::new();
    for Foreign { words, within, here } in KEYS {
        assert!(!words.is_empty() && !within.is_empty(), "{words:?}");
        for (word, section) in
            words.split_whitespace().flat_map(|word| within.iter().map(move |of| (word, of)))
        {
            if section.keys.iter().any(|key| same(key, word)) {
                ours.push(format!("`{word}` is a key of {}", section.name));
            }
        }
        if let Here::Key { section, key, example } = here {
            assert!(section.keys.contains(key), "{key} of {}", section.name);
            assert!(example.starts_with(&format!("{key}: ")), "{example}");
        }
    }
    assert_eq!(ours, Vec::<String>::new());
}

/// Examples are pasted, so they must be valid where they belong.
#[test]
fn an_example_is_right_where_it_belongs() {
    for Foreign { words, here, .. } in KEYS {
        let Here::Key { section, example, .. } = here else { continue };
        let text = document(section.name, example);
        if let Err(error) = Config::parse("rondel.yaml", text.as_bytes()) {
            panic!("{words:?}\n{text}\n{error}");
        }
    }
}

/// What the advice names in backquotes is a key, or plainly something else.
#[test]
fn a_sentence_names_what_there_is() {
    let sections = [
        &FILE,
        &RUNTIME,
        &ADMIN,
        &ADMIN_HTTP,
        &LISTENER,
        &POOL,
        &BACKEND,
        &PROBE,
        &HTTP,
        &KEEPALIVE,
        &EJECT,
        &QUEUE,
        &HOLD,
        &ACCESS_LOG,
    ];
    let keys: HashSet<_> = sections.iter().flat_map(|section| section.keys).copied().collect();
    let elsewhere = ["LimitNOFILE=", "ulimit -n", "CPUAffinity=", "RUST_LOG", "configs/full.yaml", "#"];
    let sentences = KEYS.iter().filter_map(|foreign| match foreign.here {
        Here::NotYet(sentence) => {
            assert!(sentence.starts_with("rondel does not ") && sentence.contains(" yet: "), "{sentence}");
            Some(sentence)
        }
        Here::Other(sentence) => Some(sentence),
        Here::Key { .. } => None,
    });
    for sentence in sentences {
        for word in sentence.split('`').skip(1).step_by(2) {
            let key = word.split(':').next().expect("there is always a first");
            assert!(keys.contains(key) || elsewhere.contains(&word), "`{word}` in: {sentence}");
        }
    }
}

/// Each term, written where it is likely, gets its advice.
#[test]
fn a_word_of_another_program_is_answered_where_it_is_written() {
    let mut answered = 0;
    for Foreign { words, within, .. } in KEYS {
        for (word, section) in
            words.split_whitespace().flat_map(|word| within.iter().map(move |of| (word, of)))
        {
            let text = document(section.name, &format!("{word}: x"));
            let error = Config::parse("rondel.yaml", text.as_bytes()).expect_err(&text);
            let help = key(word, section).expect("it is in the table");
            let expected = format!("unknown key `{word}`; {help}");
            let lines: Vec<_> = error.lines().collect();
            assert!(lines.iter().any(|line| line.ends_with(&expected)), "{text}\n{expected}\n{lines:#?}");
            answered += 1;
        }
    }
    assert!(answered > 500, "{answered}");
}

#[test]
fn a_value_of_another_program_is_answered_by_one_of_ours() {
    for (of, words, meant) in WORDS {
        for (what, word) in of.iter().flat_map(|what| words.split_whitespace().map(move |word| (what, word)))
        {
            let Some((section, key)) = choice(what) else { panic!("{what}") };
            let line = |word: &str| {
                if key == "fields" { format!("{key}: [{word}]") } else { format!("{key}: {word}") }
            };
            let text = document(section, &line(word));
            let error = Config::parse("rondel.yaml", text.as_bytes()).expect_err(&text);
            let help = super::word(what, word).expect("it is in the table");
            assert!(error.lines().any(|line| line.ends_with(&help)), "{text}\n{help}\n{error}");
            if !meant.contains(' ') {
                let text = document(section, &line(meant));
                assert!(Config::parse("rondel.yaml", text.as_bytes()).is_ok(), "{text}");
            }
        }
    }
}

/// The section that has the choice, and its key.
fn choice(what: &str) -> Option<(&'static str, &str)> {
    Some(match what {
        "balancing policy" => (POOL.name, "balance"),
        "role" => (LISTENER.name, "role"),
        "tier" => (BACKEND.name, "tier"),
        "format" => (ACCESS_LOG.name, "format"),
        "facility" => (ACCESS_LOG.name, "facility"),
        "field" => (ACCESS_LOG.name, "fields"),
        "probe" => (POOL.name, "probe"),
        quoted => (POOL.name, quoted.strip_prefix('`')?.strip_suffix('`')?),
    })
}

/// A valid file, except for this line of this section.
fn document(section: &str, line: &str) -> String {
    let key = |line: &str| line.split(':').next().map(str::to_owned);
    let line_of = |name: &str, others: &[&str]| {
        let own = (section == name).then_some(line);
        let others = others.iter().copied().filter(|other| own.and_then(key) != key(other));
        others.chain(own).collect::<Vec<_>>().join(", ")
    };
    let within = |key: &str, own: &str, base: &str| {
        if section == own { format!("{key}: {{ {line} }}") } else { base.to_owned() }
    };
    let probe = probe(section, line, line_of);
    let backend = line_of(BACKEND.name, &["address: '10.0.0.1:80'"]);
    let backends = format!("backends: [{{ {backend} }}, {{ address: '10.0.0.2:80' }}]");
    let keepalive = within("keepalive", KEEPALIVE.name, "attempts: 1");
    let eject = within("eject", EJECT.name, "idle_timeout: 1m");
    let queue = within("queue", QUEUE.name, "half_closed_timeout: 1m");
    let pool = line_of(POOL.name, &["name: web", &probe, &keepalive, &eject, &queue, &backends]);
    let listener = line_of(LISTENER.name, &["address: ':80'", "pool: web"]);
    let hold = within("role: primary, hold", HOLD.name, "backlog: 1");
    let listener = if section == HOLD.name { format!("{listener}, {hold}") } else { listener };
    let route = line_of(ROUTE.name, &["sni: [a.example]", "pool: web"]);
    let listener =
        if section == ROUTE.name { format!("{listener}, routes: [{{ {route} }}]") } else { listener };
    let http = match line_of(ADMIN_HTTP.name, &["address: ':9907'"]) {
        http if section == ADMIN_HTTP.name => format!("http: {{ {http} }}"),
        _ => "http: off".to_owned(),
    };
    let mut file = vec![
        format!("runtime: {{ {} }}", line_of(RUNTIME.name, &["workers: auto"])),
        format!("admin: {{ {} }}", line_of(ADMIN.name, &["socket: off", &http])),
        format!("access_log: {{ {} }}", line_of(ACCESS_LOG.name, &["to: syslog"])),
        format!("listeners: [{{ {listener} }}]"),
        format!("pools: [{{ {pool} }}]"),
    ];
    if section == FILE.name {
        file.retain(|other| key(other) != key(line));
        file.push(line.to_owned());
    }
    file.join("\n")
}

/// The probe of that file, with the line if it belongs to one.
fn probe(section: &str, line: &str, line_of: impl Fn(&str, &[&str]) -> String) -> String {
    let asked: [(&str, &[&str]); 9] = [
        (HTTP.name, &[]),
        (EXCHANGE.name, &["expect: a"]),
        (POSTGRES.name, &["user: rondel"]),
        (MYSQL.name, &["user: rondel"]),
        (REDIS.name, &[]),
        (TLS.name, &[]),
        (EXPECT.name, &[]),
        (ROLES.name, &[]),
        (TCP.name, &[]),
    ];
    let kinds = ["tcp:", "http:", "exchange:", "postgres:", "mysql:", "redis:"];
    let kind = match asked.iter().find(|(name, _)| *name == section) {
        Some((name, base)) => format!("{}: {{ {} }}", name.trim_matches('`'), line_of(name, base)),
        None if section == PROBE.name && kinds.iter().any(|kind| line.starts_with(kind)) => {
            return format!("probe: {{ {line} }}");
        }
        None => "redis: {}".to_owned(),
    };
    format!("probe: {{ {} }}", line_of(PROBE.name, &[&kind]))
}
