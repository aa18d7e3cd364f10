//! The `probe` of a pool as written: one key for the kind, and others for the schedule and the thresholds.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::defaults;
use crate::duration;
use crate::escaped;
use crate::fields::{Fields, Value};
use crate::foreign;
use crate::limits;
use crate::probe::{
    Exchange, Http, Kind, Login, Method, Mysql, Postgres, Probe, Question, Redis, Rhythm, Secret, Tls,
};
use crate::problem::{Finding, Problems, Quoted, Wrong};
use crate::proxy::{HeaderVersion, ProbeHeader};
use crate::scalar;
use crate::sections::{EXCHANGE, EXPECT, HTTP, MYSQL, POSTGRES, PROBE, REDIS, ROLES, Section, TCP, TLS};
use crate::span::At;

/// Reads a probe; none if it was invalid and has been reported.
pub(crate) fn probe(value: Value<'_>, others: &[&Section], problems: &mut Problems) -> Option<Probe> {
    let others: Vec<&Section> = others.iter().copied().chain([&HTTP, &EXCHANGE, &POSTGRES]).collect();
    let fields = match value.scalar() {
        // Only a kind, with defaults for everything else.
        Some(word) => {
            let kind = kind_alone(value, word, problems)?;
            let (rhythm, thresholds, damping) = (defaults::RHYTHM, defaults::THRESHOLDS, defaults::DAMPING);
            let send_proxy = AS_ITS_POOL;
            return Some(Probe { kind, port: None, source: None, send_proxy, rhythm, thresholds, damping });
        }
        None => value.fields(&PROBE, &others, problems)?,
    };
    let port = fields.get("port").filter(|value| !value.is_nothing());
    let port = port.and_then(|value| value.number(1..=u16::MAX, problems));
    let send_proxy = fields.get("send_proxy").is_none_or(|value| {
        !value.is_off() && value.choice("`send_proxy`", ProbeHeader::ALL, problems) != Some(ProbeHeader::Off)
    });
    let send_proxy = AS_ITS_POOL.filter(|_| send_proxy);
    let rhythm = rhythm(&fields, problems);
    let mut thresholds = defaults::THRESHOLDS;
    if let Some(rise) = fields.get("rise").and_then(|value| value.number(limits::PROBE_ANSWERS, problems)) {
        thresholds.rise = rise;
    }
    if let Some(fall) = fields.get("fall").and_then(|value| value.number(limits::PROBE_ANSWERS, problems)) {
        thresholds.fall = fall;
    }
    let kind = kind(&fields, problems)?;
    Some(Probe { kind, port, source: None, send_proxy, rhythm, thresholds, damping: defaults::DAMPING })
}

/// The header of a probe that sends that of its pool, whatever it is: the pool replaces it.
const AS_ITS_POOL: Option<HeaderVersion> = Some(HeaderVersion::V2);

fn rhythm(fields: &Fields<'_>, problems: &mut Problems) -> Rhythm {
    let mut rhythm = defaults::RHYTHM;
    let interval = fields.get("interval").and_then(|value| value.duration(limits::PROBE_INTERVAL, problems));
    if let Some(interval) = interval {
        rhythm.interval = interval;
        rhythm.interval_in_transition = rhythm.interval_in_transition.min(interval);
    }
    let timeout = fields.get("timeout").and_then(|value| value.duration(limits::PROBE_TIMEOUT, problems));
    if let Some(timeout) = timeout {
        rhythm.timeout = timeout;
    }
    if let Some(value) = fields.get("fast_interval")
        && let Some(fast) = value.duration(limits::PROBE_INTERVAL, problems)
    {
        rhythm.interval_in_transition = fast;
        if fast > rhythm.interval {
            let interval = duration::show(rhythm.interval);
            let message = format!("`fast_interval` is longer than `interval`, which is {interval}");
            problems.push(
                Finding::at(value.span(), message)
                    .help("it applies while answers disagree with the verdict: make it shorter"),
            );
        }
    }
    if let Some(At { value, .. }) =
        fields.get("jitter").and_then(|value| value.parse("a percentage", percent, problems))
    {
        rhythm.jitter_percent = value;
    }
    rhythm
}

/// Reads a kind without settings in the place of a probe: `probe: tcp`.
fn kind_alone(value: Value<'_>, word: &str, problems: &mut Problems) -> Option<Kind> {
    let path = word.find('/').map(|start| &word[start..]).filter(|path| self::path(path).is_ok());
    let help = match word {
        "tcp" => return Some(Kind::Tcp),
        "http" => return Some(Kind::Http(http(&value.no_fields(&HTTP), problems))),
        "redis" => return Some(redis(&value.no_fields(&REDIS), problems)),
        "exchange" => format!("write it as `probe: {{ {} }}`", EXCHANGE.example),
        "postgres" => format!("write it as `probe: {{ {} }}`", POSTGRES.example),
        "mysql" => format!("write it as `probe: {{ {} }}`", MYSQL.example),
        _ => match (path, foreign::word("probe", word)) {
            (Some(path), _) => format!("write it as `probe: {{ http: {path} }}`"),
            (None, Some(help)) => help,
            (None, None) => format!("write it as `{}`, or as `probe: tcp`", PROBE.example),
        },
    };
    problems.push(value.mismatch("the keys of `probe`").help(help));
    None
}

/// Reads the one key that selects the kind.
fn kind(fields: &Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let mut written = KINDS.iter().filter_map(|name| Some((*name, fields.get_or_null(name)?)));
    let Some((name, value)) = written.next() else {
        let finding = Finding::at(fields.span(), "the probe has no kind");
        problems.push(finding.help(format!("add one of `{}`", KINDS.join("`, `"))));
        return None;
    };
    if let Some((other, second)) = written.next() {
        let message = format!("a probe has one kind, and this one has `{name}` and `{other}`");
        problems
            .push(Finding::at(second.span(), message).see(value.span(), "the other one").help("keep one"));
    }
    match name {
        "tcp" => value.fields_or_on(&TCP, &[&PROBE], problems).map(|_| Kind::Tcp),
        "http" => match value.scalar().filter(|text| text.starts_with('/')) {
            Some(_) => value.parse("a path", path, problems).map(|path| {
                let mut http = self::http(&value.no_fields(&HTTP), problems);
                if let Question::Health { path: asked, .. } = &mut http.question {
                    *asked = path.value;
                }
                Kind::Http(http)
            }),
            None => value
                .fields_or_on(&HTTP, &[&PROBE], problems)
                .map(|http| Kind::Http(self::http(&http, problems))),
        },
        "exchange" => {
            value.fields(&EXCHANGE, &[&PROBE], problems).and_then(|fields| exchange(&fields, problems))
        }
        "postgres" => {
            value.fields(&POSTGRES, &[&PROBE], problems).and_then(|fields| postgres(&fields, problems))
        }
        "mysql" => {
            value.fields(&MYSQL, &[&PROBE, &POSTGRES], problems).and_then(|fields| mysql(&fields, problems))
        }
        _ => {
            value.fields_or_on(&REDIS, &[&PROBE, &POSTGRES], problems).map(|fields| redis(&fields, problems))
        }
    }
}

fn http(fields: &Fields<'_>, problems: &mut Problems) -> Http {
    let method = fields.get("method").and_then(|value| value.choice("method", Method::ALL, problems));
    let host = fields.get("host").and_then(|value| value.parse("a host", host, problems));
    let question = match fields.get_or_null("roles") {
        Some(value) => {
            for key in ["path", "expect"] {
                if let Some(other) = fields.get(key) {
                    let message = format!("`{key}` has no meaning beside `roles`");
                    problems.push(
                        Finding::at(other.span(), message)
                            .see(value.span(), "the roles")
                            .help("`roles` has a path for each role, and a status of 200 to 299 says yes"),
                    );
                }
            }
            roles(value, problems)
        }
        None => health(fields, problems),
    };
    Http {
        method: method.unwrap_or(Method::Get),
        host: host.map_or_else(|| defaults::HTTP_HOST.to_owned(), |host| host.value),
        question,
        tls: tls(fields, problems),
    }
}

fn roles(value: Value<'_>, problems: &mut Problems) -> Question {
    let fields = value.fields_or_none(&ROLES, &[&HTTP], problems);
    let mut read = |key, default: &str| {
        let value = fields.as_ref().and_then(|fields| fields.get(key));
        let path = value.and_then(|value| value.parse("a path", path, problems));
        path.map_or_else(|| default.to_owned(), |path| path.value)
    };
    Question::Role {
        primary: read("primary", defaults::HTTP_PRIMARY),
        replica: read("replica", defaults::HTTP_REPLICA),
    }
}

fn health(fields: &Fields<'_>, problems: &mut Problems) -> Question {
    let path = fields.get("path").and_then(|value| value.parse("a path", path, problems));
    let expect = fields.get("expect").and_then(|value| value.fields(&EXPECT, &[&HTTP], problems));
    let statuses =
        expect.as_ref().and_then(|expect| expect.get("status")).and_then(|value| statuses(value, problems));
    let body = expect.as_ref().and_then(|expect| expect.get("body"));
    let body = body.and_then(|value| value.parse("text", words, problems));
    Question::Health {
        path: path.map_or_else(|| defaults::HTTP_PATH.to_owned(), |path| path.value),
        statuses: statuses.unwrap_or_else(|| vec![defaults::HTTP_STATUSES]),
        body: body.map_or_else(String::new, |body| body.value),
    }
}

/// Reads a status, a range of them, or a list of both.
fn statuses(value: Value<'_>, problems: &mut Problems) -> Option<Vec<RangeInclusive<u16>>> {
    if value.scalar().is_some() {
        return value.parse("a status", status, problems).map(|status| vec![status.value]);
    }
    let items = value.items("statuses", None, problems)?;
    if items.len() == 0 || items.len() > limits::STATUSES_MAX {
        let message = format!("a list of {} statuses", items.len());
        let help = format!("name 1 to {}, or a range such as `200-399`", limits::STATUSES_MAX);
        problems.push(Finding::at(value.span(), message).help(help));
        return None;
    }
    let statuses: Vec<_> = items.map(|value| value.parse("a status", status, problems)).collect();
    statuses.into_iter().map(|status| status.map(|status| status.value)).collect()
}

fn exchange(fields: &Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let read = |key, problems: &mut Problems| {
        let value = fields.get(key)?;
        value.parse("text", escaped::parse, problems).map(|At { value, .. }| value)
    };
    let send = read("send", problems).unwrap_or_default();
    let goodbye = read("goodbye", problems).unwrap_or_default();
    let value = fields.require("expect", "expect: \"+PONG\"", problems)?;
    let expect = value.parse("text", escaped::parse, problems)?;
    if expect.value.is_empty() {
        problems.push(
            Finding::at(expect.span, "`expect` is empty, so every answer would pass")
                .help("write a part of the answer, or use `tcp: {}`, which only connects"),
        );
    }
    Some(Kind::Exchange(Exchange { send, expect: expect.value, goodbye, tls: tls(fields, problems) }))
}

fn postgres(fields: &Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let database = fields.get("database").and_then(|value| value.parse("a database", words, problems));
    let database = database.map_or_else(|| defaults::POSTGRES_DATABASE.to_owned(), |database| database.value);
    let (login, tls) = (login(fields, problems), tls(fields, problems));
    Some(Kind::Postgres(Postgres { login: login?, database, tls }))
}

fn mysql(fields: &Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let (login, tls) = (login(fields, problems), tls(fields, problems));
    Some(Kind::Mysql(Mysql { login: login?, tls }))
}

fn redis(fields: &Fields<'_>, problems: &mut Problems) -> Kind {
    let user = fields.get("user").and_then(|value| value.parse("a user", words, problems));
    let password = secret(fields, problems);
    let login = (user.is_some() || password != Secret::None)
        .then(|| Login { user: user.map_or_else(String::new, |user| user.value), password });
    Kind::Redis(Redis { login, tls: tls(fields, problems) })
}

fn login(fields: &Fields<'_>, problems: &mut Problems) -> Option<Login> {
    let user = fields.require("user", "user: rondel", problems);
    let user = user.and_then(|value| value.parse("a user", words, problems));
    let password = secret(fields, problems);
    Some(Login { user: user?.value, password })
}

/// Reads where the password is. A password in the file itself is reported with the unknown keys.
fn secret(fields: &Fields<'_>, problems: &mut Problems) -> Secret {
    let file = fields.get("password_file");
    let variable = fields.get("password_env");
    if let (Some(file), Some(variable)) = (file, variable) {
        problems.push(
            Finding::at(variable.span(), "a probe has one password, and this one has two sources for it")
                .see(file.span(), "the other one")
                .help("keep one"),
        );
    }
    if let Some(value) = file {
        return value
            .parse("a path", file_path, problems)
            .map_or(Secret::None, |path| Secret::File(path.value));
    }
    let name = variable.and_then(|value| value.parse("the name of a variable", variable_name, problems));
    name.map_or(Secret::None, |name| Secret::Environment(name.value))
}

fn tls(fields: &Fields<'_>, problems: &mut Problems) -> Option<Tls> {
    let value = fields.get("tls").filter(|value| !value.is_nothing() && !value.is_off())?;
    let fields = value.fields(&TLS, &[], problems)?;
    let authority = fields.require("authority", "authority: /etc/rondel/ca.pem", problems);
    let authority = authority.and_then(|value| value.parse("a path", file_path, problems));
    let name = fields.require("name", "name: db.example.org", problems);
    let name = name.and_then(|value| value.parse("a name", host, problems));
    Some(Tls { authority: authority?.value, name: name?.value })
}

fn percent(text: &str) -> Result<u8, Wrong> {
    let most = limits::PROBE_JITTER_PERCENT_MAX;
    if scalar::switch(text) == Some(false) || text == "0" {
        return Ok(0);
    }
    let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
    number.filter(|number| *number <= most).ok_or_else(|| {
        let meant = text.parse().ok().filter(|number: &u8| *number <= most).unwrap_or(10);
        Wrong::new(format!("{} is not a percentage from 0% to {most}%", Quoted(text)))
            .help(format!("write it as `{meant}%`"))
    })
}

fn status(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    let number = |text: &str| text.parse().ok().filter(|status| (100..=599).contains(status));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(Wrong::new(format!("{} is not a status of HTTP", Quoted(text)))
            .help("write one from 100 to 599, such as `200`, or a range, such as `200-399`")),
    }
}

fn path(text: &str) -> Result<String, Wrong> {
    if !text.starts_with('/') {
        return Err(Wrong::new(format!("{} is not a path", Quoted(text))).help("a path begins with `/`"));
    }
    visible(text, "path")
}

fn host(text: &str) -> Result<String, Wrong> {
    visible(text, "host")
}

/// Reads a part of a request line or header, which a space or a line end would break.
fn visible(text: &str, what: &str) -> Result<String, Wrong> {
    let text = words(text)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text);
    }
    Err(Wrong::new(format!("a {what} with characters other than visible ASCII"))
        .help("write other characters as `%20`"))
}

/// Reads text that is neither empty nor too long.
fn words(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Err(Wrong::new("the text is empty").help("to send or expect nothing, leave the key out"));
    }
    if text.len() > limits::PROBE_TEXT_BYTES_MAX {
        return Err(Wrong::new(format!("the text is longer than {} bytes", limits::PROBE_TEXT_BYTES_MAX)));
    }
    if text.contains('\0') {
        return Err(Wrong::new("a text with a NUL byte in it").help("remove it"));
    }
    Ok(text.to_owned())
}

/// Reads the path of a file.
pub(crate) fn file_path(text: &str) -> Result<PathBuf, Wrong> {
    words(text).map(PathBuf::from)
}

fn variable_name(text: &str) -> Result<String, Wrong> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !text.is_empty() {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} is not the name of an environment variable", Quoted(text)))
        .help("it is letters, digits and `_`, without `$`"))
}

/// The keys that select the kind.
const KINDS: &[&str] = &["tcp", "http", "exchange", "postgres", "mysql", "redis"];
