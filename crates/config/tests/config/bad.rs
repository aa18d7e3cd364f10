//! Each file of `tests/bad` and the report it gets.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use config::{Action, Config, ConfigError};

#[test]
fn reports() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../bad/reports");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let files = files();
    assert!(files.len() > 40, "{files:?}");
    settings.bind(|| {
        for path in files {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let text = fs::read(&path).unwrap();
            let Err(error) = Config::parse("rondel.yaml", &text) else { panic!("{name} is no bad file") };
            consistent(&error, &text);
            insta::assert_snapshot!(name, report(&error));
        }
    });
}

/// The report for a terminal, then the lines for a log.
fn report(error: &ConfigError) -> String {
    let mut report = format!("{error}\n\n");
    for line in error.lines() {
        writeln!(report, "{line}").unwrap();
    }
    report
}

/// Checks every error: its parts agree, and it contains nothing that controls a terminal.
#[track_caller]
pub(crate) fn consistent(error: &ConfigError, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let drawn = error.to_string();
    assert!(!error.problems().is_empty());
    assert!(error.problems().len() <= 50);
    assert_eq!(error.lines().count(), error.problems().len());
    assert!(!drawn.chars().any(|character| character.is_control() && character != '\n'), "{drawn:?}");
    for (problem, line) in error.problems().iter().zip(error.lines()) {
        assert!(line.contains(&problem.message));
        assert!(!line.chars().any(char::is_control), "{line:?}");
        let Some(position) = problem.position else { continue };
        assert!(line.contains(&format!(":{}:{}: ", position.line, position.column)), "{line}");
        let line = text.split('\n').nth(position.line - 1).expect("the line is in the file");
        assert!(position.column <= line.chars().count() + 1, "{position:?} {line:?}");
    }
    let positions: Vec<_> = error.problems().iter().map(|problem| problem.position).collect();
    assert!(positions.is_sorted(), "{positions:?}");
}

#[test]
fn a_line_of_a_prefix_file_is_reported_with_its_place() {
    let list = std::env::temp_dir().join(format!("rondel-prefixes-{}.cidr", std::process::id()));
    let path = list.display();
    let text = format!(
        "access: [{{ name: internet, rules: [{{ deny_file: {path} }}] }}]\n\
         listeners: [{{ address: ':80', pool: web, access: internet }}]\n\
         pools: [{{ name: web, backends: ['10.0.0.1:80'] }}]\n"
    );
    let parse = |lines: &str| {
        fs::write(&list, lines).unwrap();
        Config::parse("rondel.yaml", text.as_bytes())
    };
    let config = parse("# empty\n").unwrap();
    assert_eq!(config.access[0].prefixes(), 0);
    let config = parse("198.51.100.0/24\n2001:db8::/32\n").unwrap();
    assert_eq!(config.access[0].action("198.51.100.7".parse().unwrap()), Action::Deny);
    assert_eq!(config.access[0].action("198.51.101.7".parse().unwrap()), Action::Allow);

    let error = parse("198.51.100.0/24\n198.51.100.7/24\n").unwrap_err();
    let [line] = &error.lines().collect::<Vec<_>>()[..] else { panic!("{error}") };
    let place = format!("rondel.yaml:1:49: {path}:2: `198.51.100.7/24` has bits beyond its prefix; ");
    assert!(line.starts_with(&place), "{line}");
    let error = parse(&"nonsense\n".repeat(20)).unwrap_err();
    assert_eq!(error.problems().len(), 6, "{error}");
    assert!(error.to_string().contains("15 more lines are not prefixes"), "{error}");
    fs::remove_file(&list).unwrap();
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    for (path, message, help) in [
        (folder.join("nowhere.yaml"), "No such file", "check the path"),
        (folder.clone(), "it is a directory", "name the file in it"),
        (folder.join("empty.yaml/inside"), "Not a directory", "was not checked"),
        (PathBuf::from("/dev/zero"), "it is a device", "into a file"),
    ] {
        let error = Config::load(&path).unwrap_err();
        let line = error.lines().next().unwrap();
        assert!(line.starts_with(&format!("{}: ", path.display())), "{line}");
        assert!(line.contains(message) && line.contains(help), "{line}");
        assert!(error.to_string().contains(help));
    }
    // A command that reads once accepts other files too, within a bound.
    let text = Config::text_of(Path::new("/dev/zero")).unwrap();
    let error = Config::parse("/dev/zero", &text).unwrap_err();
    assert!(error.to_string().contains("longer than 1024 KiB"), "{error}");
    let loaded = Config::load(&folder.join("empty.yaml")).unwrap_err();
    assert!(loaded.lines().next().unwrap().contains("empty.yaml: the file is empty"));
}

/// Small inputs that could be expensive. They take milliseconds; the limit leaves room for a slow machine and none
/// for quadratic time. `RONDEL_LONG=1` makes them as long as a file may be.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn expensive_files_are_rejected_soon() {
    let size = if std::env::var_os("RONDEL_LONG").is_some() { 1 << 20 } else { 1 << 16 };
    let units = "[|{|- |? |a: |a: [|- a\n|&a |!a |\"|'|>\n| |\n|#\n|a,|[a,|{a: |*a |---\n|a\n|\t|é|-|{a|[?|{?|a: b\n|? a\n: b\n|[a,|{a,|[[],|- []\n|- {}\n|- [a]\n|? {}\n|a: []\n|- \"\\n\"\n|- !a\n|!!a |-\n|?\n|a:\n";
    for unit in units.split('|').chain([
        "|\n",
        "? [",
        "a:\n ",
        "- - - -\n",
        "[\"a\", ",
        "\u{1}",
        "\u{feff}",
        "[\n\"",
        "[ # \"\n",
    ]) {
        for prefix in ["", "[", "listeners:\n  ", "listeners:\n  - address: ", "pools: ["] {
            let text = prefix.to_owned() + &unit.repeat((size - prefix.len()) / unit.len());
            let start = Instant::now();
            let error = Config::parse("rondel.yaml", text.as_bytes()).unwrap_err();
            consistent(&error, text.as_bytes());
            let took = start.elapsed();
            assert!(took < Duration::from_secs(5), "{prefix:?} and {unit:?} repeated took {took:?}");
        }
    }
}

#[test]
fn aliases_do_not_multiply() {
    let backends = each(9000, |n| format!("{{address: '10.{}.{}.1:1'}},", n / 256, n % 256));
    let text = |pools| {
        let pools = each(pools, |n| format!("  - {{ name: p{n}, backends: *all }}\n"));
        format!(
            "listeners: [{{ address: ':80', pool: p }}]\npools:\n  - {{ name: p, backends: &all [{backends}] }}\n{pools}"
        )
    };
    check(&text(6), None);
    // The one too many is a backend of the anchor's list, where no alias is visible.
    check(&text(7), Some("rondel.yaml:3:64868: more than 65536 backends in all"));
    // Too many to parse the rest.
    check(
        &text(1000),
        Some(
            "rondel.yaml: more than 524288 keys and values; no configuration has that many; check for aliases of aliases, each of which counts",
        ),
    );
}

#[test]
fn lists_have_limits() {
    let pool = "pools: [{ name: web, backends: [{ address: '10.0.0.1:80' }] }]\n";
    let listeners = |count| each(count, |n| format!("  - {{ address: ':{}', pool: web }}\n", n + 1));
    let text = |count| format!("listeners:\n{}{pool}", listeners(count));
    check(&text(1024), None);
    check(
        &text(1025),
        Some(
            "rondel.yaml:1026:5: more than 1024 addresses to listen on, each port of a range counted; listen on fewer: each address takes a socket for each worker",
        ),
    );

    let pools =
        |count| each(count, |n| format!("  - {{ name: p{n}, backends: [{{ address: '10.0.0.1:80' }}] }}\n"));
    let text = |count| format!("listeners: [{{ address: ':80', pool: p1 }}]\npools:\n{}", pools(count));
    check(&text(1024), None);
    check(&text(1025), Some("rondel.yaml:1027:5: more than 1024 pools"));

    let backends = |count| each(count, |n| format!("  - {{ address: '10.0.{}.{}:80' }}\n", n / 256, n % 256));
    let before = "listeners: [{ address: ':80', pool: web }]\npools:\n- name: web\n  backends:\n";
    let text = |count| format!("{before}{}", backends(count));
    check(&text(10_000), None);
    check(&text(10_001), Some("rondel.yaml:10005:5: more than 10000 backends in one pool"));
}

fn each(count: usize, entry: impl Fn(usize) -> String) -> String {
    let entries: Vec<_> = (0..count).map(entry).collect();
    entries.concat()
}

#[track_caller]
fn check(text: &str, line: Option<&str>) {
    let lines: Vec<_> =
        Config::parse("rondel.yaml", text.as_bytes()).err().iter().flat_map(ConfigError::lines).collect();
    assert_eq!(lines, Vec::from_iter(line));
}

/// The files of `tests/bad`, sorted.
pub(crate) fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}
