//! The pages of `docs/reference`, each made of the code that it describes.
//!
//! ```sh
//! RONDEL_UPDATE=1 cargo test --package rondel --test docs reference   # writes them
//! ```

use std::fmt::Write as _;
use std::process::Command;
use std::{env, fs};

use config::LogField;
use config::reference::{Absent, Key};
use connection::{CloseReason, Termination};

use crate::root;

#[test]
fn close_reasons_are_current() {
    let rows = CloseReason::ALL.iter().map(|reason| {
        let codes = Termination::of_reason(*reason).map(|termination| code(termination.code));
        [code(reason.name()), reason.meaning().to_owned(), codes.collect::<Vec<_>>().join(", ")]
    });
    let text = "Each accepted connection ends for exactly one of these reasons. The counters \
                `rondel_listener_connections_closed_total` and `rondel_backend_connections_closed_total` \
                have the reason as a label, the access log in JSON has it as a field, and `rondel explain \
                REASON` prints its meaning. A code is the short form in the access log, see \
                [Codes](codes.md).";
    check("close-reasons", "Close reasons", &paragraph(text), &table(["reason", "meaning", "codes"], rows));
}

#[test]
fn codes_are_current() {
    let rows = Termination::ALL.iter().map(|termination| {
        let is_its = |reason: &CloseReason| Termination::of_reason(*reason).any(|of| of == termination);
        let reasons = CloseReason::ALL.into_iter().filter(is_its).map(|reason| code(reason.name()));
        let (text, check) = (termination.text.to_owned(), termination.check.to_owned());
        [code(termination.code), text, check, reasons.collect::<Vec<_>>().join(", ")]
    });
    let text = "Each line of the access log has two letters, as in HAProxy's log. The first says what \
                ended the connection: `C` the client, `S` the server, `c` a timeout of the client, `s` a \
                timeout of the server, `P` a limit of the proxy, `R` resources, `K` an operator, `D` a \
                backend that went down or lost its role, `U` a tier that stopped serving. The second says \
                how far the connection was: `R` before the client had shown itself by a PROXY header, `Q` \
                queued or held, `C` connecting, `D` transferring data, `L` after the backend had finished. `rondel explain CODE` prints the same.";
    let rows = table(["code", "meaning", "what to check", "reasons"], rows);
    check("codes", "Codes of the access log", &paragraph(text), &rows);
}

#[test]
fn exit_codes_are_current() {
    let help = help(&[]);
    let text = "The exit codes of every command, the signals that `rondel run` and `rondel tcp` handle, \
                and the environment variables that are read. Restarting the process does not help after 2, \
                3 or 5: `RestartPreventExitStatus=2 3 5`. [Signals](../operations.md#signals) has the \
                details.";
    let mut body = table(["code", "meaning"], rows_of(&help, "Exit codes:").into_iter().map(cells));
    for (title, head) in [("Signals", "signal"), ("Environment", "variable")] {
        let rows = rows_of(&help, &format!("{title}:"));
        let rows = table([head, "meaning"], rows.into_iter().map(cells));
        write!(body, "\n## {title}\n\n{rows}").unwrap();
    }
    check("exit-codes", "Exit codes, signals and environment", &paragraph(text), &body);
}

#[test]
fn commands_are_current() {
    let text = "What `rondel COMMAND --help` prints. A backend is written as `POOL/BACKEND`, by its name \
                or its address. Commands for a running process use its [admin socket](../admin.md).";
    let mut body = String::new();
    for (name, _) in rows_of(&help(&[]), "Commands:") {
        write!(body, "\n## rondel {name}\n\n```text\n{}\n```\n", help(&[&name]).trim_end()).unwrap();
    }
    check("commands", "Commands", &paragraph(text), body.trim_start());
}

#[test]
fn configuration_is_current() {
    let text = "Every key of the configuration file. [Configuration](../configuration.md) explains them by \
                topic; `rondel check FILE` prints what a file means. *Required* keys have no default. A \
                value of `null` is the same as no key.";
    let mut body = String::new();
    for section in config::reference::sections() {
        let name = if section.path.is_empty() { "The file".to_owned() } else { code(section.path) };
        let rows =
            table(["key", "type", "default", "range", "meaning"], section.keys.iter().map(cells_of_key));
        write!(body, "\n## {name}\n\n{}\n{rows}", paragraph(section.about)).unwrap();
    }
    check("configuration", "Configuration keys", &paragraph(text), body.trim_start());
}

#[test]
fn fields_of_the_access_log_are_current() {
    let rows = LogField::ALL.iter().map(|field| [code(field.name()), field.meaning().to_owned()]);
    let text = "What `fields` of `access_log` may list, see [Access log](../access-log.md#fields). In a text, a value \
                that there is none of is `-`, and one that is no word is in double quotes, with `\\` before `\"` and \
                `\\` in it. In JSON it is `null`, and the key is the name of the field. Milliseconds have up to three \
                decimals.";
    check("log-fields", "Fields of the access log", &paragraph(text), &table(["field", "meaning"], rows));
}

#[test]
fn metrics_are_current() {
    let rows = admin::described_metrics().map(|metric| {
        let labels: Vec<_> = metric.labels.iter().copied().map(code).collect();
        [code(&metric.name), metric.kind.to_owned(), labels.join(", "), metric.help.to_owned()]
    });
    let text = "Everything at `/metrics`, in the older text format of Prometheus, or as OpenMetrics \
                for a scraper that asks for it. No label contains a client's \
                address. The series of a listener or backend that a reload removed disappear. \
                [Alerts](../operations.md#what-each-alert-means) uses them.";
    check("metrics", "Metrics", &paragraph(text), &table(["metric", "type", "labels", "meaning"], rows));
}

/// Writes a page where `RONDEL_UPDATE` is set, and compares it otherwise.
#[track_caller]
fn check(page: &str, title: &str, about: &str, body: &str) {
    let made =
        "<!-- Generated. Do not edit: RONDEL_UPDATE=1 cargo test --package rondel --test docs reference -->";
    let text = format!("# {title}\n\n{made}\n\n{about}\n{body}");
    let path = root().join(format!("docs/reference/{page}.md"));
    if env::var_os("RONDEL_UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/reference/{page}.md is not of this code; write it by\n  \
         RONDEL_UPDATE=1 cargo test --package rondel --test docs reference"
    );
}

/// What `rondel COMMAND --help` prints at a width of 100 columns.
pub(crate) fn help(command: &[&str]) -> String {
    let printed = Command::new(env!("CARGO_BIN_EXE_rondel"))
        .args(command)
        .arg("--help")
        .env("COLUMNS", "100")
        .env_remove("RONDEL_CONFIG")
        .env_remove("RONDEL_SOCKET")
        .output()
        .unwrap();
    assert!(printed.status.success(), "{command:?}");
    let text = String::from_utf8(printed.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The rows below a title of the help: a name, some spaces and a text, which may go on in the next lines.
#[track_caller]
pub(crate) fn rows_of(help: &str, title: &str) -> Vec<(String, String)> {
    let lines = help.lines().skip_while(|line| *line != title).skip(1).take_while(|line| !line.is_empty());
    let mut rows: Vec<(String, String)> = Vec::new();
    for line in lines {
        let row = line.strip_prefix("  ").filter(|line| !line.starts_with(' '));
        if let Some((name, text)) = row.and_then(|row| row.split_once("  ")) {
            rows.push((name.to_owned(), text.trim_start().to_owned()));
        } else {
            let (_, text) = rows.last_mut().expect("a row goes on");
            text.push(' ');
            text.push_str(line.trim());
        }
    }
    assert!(!rows.is_empty(), "{title}");
    rows
}

fn cells((name, text): (String, String)) -> [String; 2] {
    [code(&name), text]
}

fn cells_of_key(key: &Key) -> [String; 5] {
    let default = match key.absent {
        Absent::Required => "*required*".to_owned(),
        Absent::Written("null") => "none".to_owned(),
        Absent::Written("''") => "nothing".to_owned(),
        Absent::Written(default) => code(default),
        Absent::Otherwise(text) => text.to_owned(),
    };
    [code(key.name), key.value.type_name().to_owned(), default, key.value.range(), key.meaning.to_owned()]
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(N));
    for row in rows {
        assert!(row.iter().all(|cell| !cell.contains(['|', '\n'])), "{row:?}");
        writeln!(text, "| {} |", row.join(" | ")).unwrap();
    }
    text
}

/// The text in lines of at most 110 characters; spans of code stay whole.
fn paragraph(text: &str) -> String {
    let mut lines = vec![String::new()];
    let mut is_code = false;
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if is_code || (!line.is_empty() && line.len() + 1 + word.len() <= 110) {
            line.push(' ');
            line.push_str(word);
        } else if line.is_empty() {
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
        is_code ^= word.matches('`').count() % 2 == 1;
    }
    lines.join("\n") + "\n"
}
