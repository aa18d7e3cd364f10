//! A line with the fields that the configuration selects, in its order.

use std::io::Write as _;
use std::net::SocketAddr;

use api::{ConnectionCounts, Termination};
use config::{LogField, LogFormat};

use crate::line::Line;

/// Writes the line. `ended_at` is when the connection ended, if a field needs it.
pub(crate) fn write(
    line: &Line<'_>,
    format: LogFormat,
    fields: &[LogField],
    ended_at: &str,
    to: &mut Vec<u8>,
) {
    match format {
        LogFormat::Text => {
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    to.push(b' ');
                }
                value(line, *field, ended_at).write_text(to);
            }
        }
        LogFormat::Json => {
            to.push(b'{');
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    to.push(b',');
                }
                write!(to, "\"{field}\":").expect("a Vec takes everything");
                value(line, *field, ended_at).write_json(to);
            }
            to.push(b'}');
        }
    }
    to.push(b'\n');
}

/// The value of a field.
enum Value<'a> {
    None,
    Text(&'a str),
    Address(SocketAddr),
    Millis(f64),
    Number(u64),
    Termination(&'a Termination<&'a str>),
    Connections(ConnectionCounts),
}

fn value<'a>(line: &'a Line<'a>, field: LogField, ended_at: &'a str) -> Value<'a> {
    let Line(ended) = line;
    let text = |text: Option<&'a str>| text.map_or(Value::None, Value::Text);
    let address = |address: Option<SocketAddr>| address.map_or(Value::None, Value::Address);
    let millis = |millis: Option<f64>| millis.map_or(Value::None, Value::Millis);
    match field {
        LogField::AcceptedAt => Value::Text(ended.accepted_at),
        LogField::EndedAt => Value::Text(ended_at),
        LogField::Client => address(ended.client),
        LogField::Via => address(ended.via),
        LogField::Listener => Value::Text(ended.listener),
        LogField::Pool => Value::Text(ended.pool),
        LogField::Backend => text(ended.backend),
        LogField::BackendAddress => address(ended.backend_address),
        LogField::Route => text(ended.route),
        LogField::Sni => text(ended.sni),
        LogField::Alpn => text(ended.alpn.as_deref()),
        LogField::OpeningMs => millis(ended.opening_ms),
        LogField::WaitedMs => Value::Millis(ended.waited_ms),
        LogField::ConnectMs => millis(ended.connect_ms),
        LogField::DurationMs => Value::Millis(ended.duration_ms),
        LogField::BytesToBackend => Value::Number(ended.bytes_to_backend),
        LogField::BytesToClient => Value::Number(ended.bytes_to_client),
        LogField::Termination => Value::Termination(&ended.termination),
        LogField::Code => Value::Text(ended.termination.code),
        LogField::Reason => Value::Text(ended.termination.reason),
        LogField::Retries => Value::Number(ended.retries.into()),
        LogField::WaitedBehind => Value::Number(ended.waited_behind.into()),
        LogField::Connections => Value::Connections(ended.connections),
        LogField::Worker => Value::Number(ended.worker as u64),
        LogField::UniqueId => text(ended.unique_id.as_deref()),
    }
}

impl Value<'_> {
    /// `-` if there is none.
    fn write_text(&self, to: &mut Vec<u8>) {
        match self {
            Self::None => write!(to, "-"),
            // Quoted, unlike none.
            Self::Text("-") => write!(to, "\"-\""),
            Self::Text(text) => {
                write_word(text, to);
                Ok(())
            }
            Self::Address(address) => write!(to, "{address}"),
            Self::Millis(millis) => write!(to, "{millis}"),
            Self::Number(number) => write!(to, "{number}"),
            Self::Termination(termination) => write!(to, "{}", termination.code),
            Self::Connections(ConnectionCounts { process, listener, pool, backend }) => {
                write!(to, "{process}/{listener}/{pool}/{backend}")
            }
        }
        .expect("a Vec takes everything");
    }

    /// `null` if there is none.
    fn write_json(&self, to: &mut Vec<u8>) {
        match self {
            Self::None => serde_json::to_writer(to, &()),
            Self::Text(text) => serde_json::to_writer(to, text),
            Self::Address(address) => serde_json::to_writer(to, address),
            Self::Millis(millis) => serde_json::to_writer(to, millis),
            Self::Number(number) => serde_json::to_writer(to, number),
            Self::Termination(termination) => serde_json::to_writer(to, termination),
            Self::Connections(connections) => serde_json::to_writer(to, connections),
        }
        .expect("a Vec takes everything, and keys are strings");
    }
}

/// A text as one word: in quotes where it would be none, with `\` before quotes and backslashes.
fn write_word(text: &str, to: &mut Vec<u8>) {
    let is_word = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if !text.is_empty() && text.bytes().all(is_word) {
        return to.extend_from_slice(text.as_bytes());
    }
    to.push(b'"');
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(to, "\\{character}"),
            _ if character.is_control() => write!(to, "{}", character.escape_default()),
            _ => write!(to, "{character}"),
        }
        .expect("a Vec takes everything");
    }
    to.push(b'"');
}

#[cfg(test)]
mod tests {
    use config::{LogField, LogFormat};
    use connection::{CloseReason, Direction, Stage};
    use proptest::prelude::*;
    use serde_json::Value;
    use worker::{Asked, Introduction, Record};

    use super::write;
    use crate::line::tests::{RELAYED, lines, record, with_line};

    const ENDED_AT: &str = "2026-11-25T20:15:01.623457Z";

    fn selected(record: &Record, format: LogFormat, fields: &[LogField]) -> String {
        let mut to = Vec::new();
        with_line(record, |line| write(line, format, fields, ENDED_AT, &mut to));
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_line_has_the_selected_fields_in_their_order() {
        use LogField::{
            AcceptedAt, BytesToClient, Client, Code, ConnectMs, Connections, DurationMs, EndedAt, Reason,
            Sni, Termination, Via,
        };
        let record = record(CloseReason::Done, RELAYED, true);
        let text = |fields: &[LogField]| selected(&record, LogFormat::Text, fields);
        let json = |fields: &[LogField]| selected(&record, LogFormat::Json, fields);
        assert_eq!(
            text(&[EndedAt, Client, Via, DurationMs, ConnectMs, Termination, Reason, Connections]),
            "2026-11-25T20:15:01.623457Z 192.0.2.7:4711 - 1500.001 12 -- done 0/1/0/0\n"
        );
        assert_eq!(text(&[BytesToClient, AcceptedAt]), "20 2026-11-25T20:15:00.123456Z\n");
        assert_eq!(
            json(&[DurationMs, Client, Sni, Code, Connections]),
            "{\"duration_ms\":1500.001,\"client\":\"192.0.2.7:4711\",\"sni\":null,\"code\":\"--\",\
             \"connections\":{\"process\":0,\"listener\":1,\"pool\":0,\"backend\":0}}\n"
        );
    }

    #[test]
    fn a_value_that_is_no_word_is_quoted() {
        let mut record = record(CloseReason::NoRoute, Stage::Opening, false);
        let mut sni = |name: &str| {
            let mut introduction: Box<Introduction> = Box::default();
            introduction.asked =
                Some(Asked::Hello { name: Some(name.into()), protocols: b"\x03a b"[..].into() });
            record.introduction = Some(introduction);
            selected(&record, LogFormat::Text, &[LogField::Sni, LogField::Alpn])
        };
        assert_eq!(sni("a.example"), "a.example \"a b\"\n");
        assert_eq!(sni("a\"b\\c"), "\"a\\\"b\\\\c\" \"a b\"\n");
        assert_eq!(sni("-"), "\"-\" \"a b\"\n");
    }

    /// The keys of an object in their order.
    fn keys(line: &str) -> Vec<String> {
        let keys = LogField::ALL.iter().map(|field| field.name());
        let mut places: Vec<_> =
            keys.filter_map(|key| Some((line.find(&format!("\"{key}\":"))?, key.to_owned()))).collect();
        places.sort();
        places.into_iter().map(|(_, key)| key).collect()
    }

    /// The words of a line, with what is quoted as one.
    fn words(line: &str) -> usize {
        let (mut words, mut is_quoted, mut is_escaped) = (1, false, false);
        for character in line.trim_end_matches('\n').chars() {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words += 1,
                _ => {}
            }
        }
        words
    }

    fn without_nulls(mut value: Value) -> Value {
        if let Value::Object(entries) = &mut value {
            entries.retain(|_, value| !value.is_null());
        }
        value
    }

    /// Every reason at every stage.
    fn ends() -> Vec<(CloseReason, Stage)> {
        CloseReason::ALL
            .into_iter()
            .flat_map(|reason| Stage::of(reason).map(move |stage| (reason, stage)))
            .collect()
    }

    prop_compose! {
        fn any_record()(
            bytes in any::<[u64; 2]>(),
            (reason, stage) in proptest::sample::select(ends()),
            tried in any::<bool>(),
            client in any::<bool>(),
            via in any::<Option<[u8; 4]>>(),
            unique_id in any::<Option<[u8; 16]>>(),
            hello in proptest::option::of((proptest::option::of("[!-~]{1,80}"), any::<[u8; 3]>())),
        ) -> Record {
            let mut record = record(reason, stage, tried);
            record.stats.bytes = bytes;
            record.client = record.client.filter(|_| client);
            let mut introduction: Box<Introduction> = Box::default();
            introduction.via = via.map(|ip| (ip, 4711).into());
            introduction.unique_id = unique_id;
            introduction.asked = hello.map(|(name, protocol)| Asked::Hello {
                name: name.map(Into::into),
                protocols: [&[3][..], &protocol].concat().into(),
            });
            record.introduction = Some(introduction);
            record
        }
    }

    proptest! {
        /// A line without `fields` has the same values under the same names, and nothing else.
        #[test]
        fn the_fields_of_the_format_have_the_values_of_the_format(record in any_record()) {
            let by_default: Vec<LogField> = LogField::ALL.iter().copied().filter(|field| {
                !matches!(field, LogField::EndedAt | LogField::Code | LogField::Reason)
            }).collect();
            let (text, json) = lines(&record);
            let written = selected(&record, LogFormat::Json, &by_default);
            let parse = |line: &str| without_nulls(serde_json::from_str(line).unwrap());
            prop_assert_eq!(parse(&written), parse(&json));
            // Those that the text has.
            let fields = [LogField::Listener, LogField::BytesToClient, LogField::Code, LogField::Connections];
            let selected = selected(&record, LogFormat::Text, &fields);
            for word in selected.trim_end().split(' ') {
                prop_assert!(text.contains(word), "{} is not in {}", word, text);
            }
            prop_assert_eq!(record.stats.bytes[Direction::ToClient as usize].to_string(), selected.split(' ').nth(1).unwrap());
        }

        #[test]
        fn any_selection_has_its_fields_and_no_others(
            record in any_record(),
            fields in proptest::sample::subsequence(LogField::ALL.to_vec(), 1..=LogField::ALL.len()).prop_shuffle(),
        ) {
            let text = selected(&record, LogFormat::Text, &fields);
            prop_assert_eq!(words(&text), fields.len(), "{}", text);
            prop_assert_eq!(text.matches('\n').count(), 1);
            let json = selected(&record, LogFormat::Json, &fields);
            let object: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(object.as_object().unwrap().len(), fields.len());
            let simple = !fields.contains(&LogField::Termination) && !fields.contains(&LogField::Connections);
            if simple && !fields.contains(&LogField::Sni) && !fields.contains(&LogField::Alpn) {
                let names: Vec<_> = fields.iter().map(|field| field.name().to_owned()).collect();
                prop_assert_eq!(keys(&json), names);
            }
        }
    }
}
