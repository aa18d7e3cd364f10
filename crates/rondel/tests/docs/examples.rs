//! What documents quote exists: files, commands, metrics and close reasons.

use connection::CloseReason;

use crate::reference::{help, rows_of};
use crate::text::{code, fences};
use crate::{documents, read};

#[test]
fn whole_files_are_configurations() {
    let mut files = 0;
    for document in documents() {
        let text = read(&document);
        let is_whole =
            |yaml: &&str| ["listeners:", "pools:", "backends:"].iter().all(|key| yaml.contains(key));
        for yaml in fences(&text, "yaml").into_iter().filter(is_whole) {
            files += 1;
            if let Err(error) = config::Config::parse(&document, yaml.as_bytes()) {
                panic!("{error}");
            }
        }
    }
    assert!(files >= 2, "{files} files were found");
}

#[test]
fn commands_exist() {
    let known: Vec<_> = rows_of(&help(&[]), "Commands:").into_iter().map(|(name, _)| name).collect();
    let mut quoted = 0;
    for document in documents() {
        for line in code(&read(&document)) {
            let Some(command) = line.strip_prefix("rondel ").and_then(|rest| rest.split_whitespace().next())
            else {
                continue;
            };
            if command.starts_with(|first: char| first.is_ascii_lowercase()) {
                quoted += 1;
                assert!(
                    known.iter().any(|name| name == command),
                    "{document}: `{line}`: there is no such command"
                );
            }
        }
    }
    assert!(quoted > 50, "{quoted} commands were found");
}

#[test]
fn metrics_exist() {
    let known: Vec<_> = admin::described_metrics().map(|metric| metric.name).collect();
    for document in documents() {
        for line in code(&read(&document)) {
            if line.starts_with("rondel_") {
                let name = line.split(['{', ' ']).next().expect("it has one");
                assert!(
                    known.iter().any(|known| known == name),
                    "{document}: `{line}`: there is no such metric"
                );
            }
        }
    }
}

#[test]
fn every_reason_has_its_row_of_how_sides_are_closed() {
    let text = read("docs/guarantees.md");
    let rows: Vec<_> =
        text.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 4).collect();
    for reason in CloseReason::ALL {
        let row = rows.iter().find(|row| row.contains(&format!("`{}`", reason.name())));
        // Those in no row are of the last one: there was no backend.
        let had_backend = connection::Parting::of(reason, connection::Direction::ToClient, true);
        assert_eq!(row.is_some(), had_backend == connection::Parting::Close, "{}", reason.name());
    }
}
