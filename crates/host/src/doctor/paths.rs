//! Findings about the user, the file of the configuration, the admin interface and the access log.

use std::path::PathBuf;

use config::{TokenError, Warning};

use super::facts::{AccessLogFact, AdminSocketFact, Found, HostFacts, TokenFact, UserFact};
use super::finding::{CONFIG, Finding, Level, PLACE, finding, ok};

pub(super) fn assess(facts: &HostFacts) -> Vec<Finding> {
    let Found { file, probes, admin_socket, token, access_log, .. } = &facts.found;
    let reads_files = !probes.is_empty() || token.is_some();
    let mut findings: Vec<_> = user(&facts.user, reads_files).into_iter().collect();
    findings.extend(file.as_ref().map(configuration));
    findings.extend(admin_socket.as_ref().map(self::admin_socket));
    findings.extend(token.as_ref().map(self::token));
    findings.extend(access_log.as_ref().map(self::access_log));
    findings
}

/// The user that files were read as, if that says anything.
fn user(fact: &UserFact, reads_files: bool) -> Option<Finding> {
    match &fact.name {
        Some(name) => Some(ok("user", format!("files were read as {name}"))),
        None if fact.is_root && reads_files => Some(ok(
            "user",
            "files were read as root: `--user NAME` reads them as the user that rondel runs as",
        )),
        None => None,
    }
}

fn configuration(file: &Result<PathBuf, String>) -> Finding {
    match file {
        Ok(path) => ok("configuration", format!("{} can be read", path.display())),
        Err(error) => {
            let cure = "make the file readable for the user that rondel runs as";
            finding(Level::Fail, "configuration", error, cure).exits(CONFIG)
        }
    }
}

fn admin_socket(fact: &AdminSocketFact) -> Finding {
    let subject = "admin socket";
    let path = fact.path.display();
    match (&fact.error, fact.is_default) {
        (None, _) => ok(subject, format!("{path} can be created")),
        (Some(error), true) => finding(
            Level::Warn,
            subject,
            format!("{path}: {error}: `rondel status` and other commands cannot reach the process"),
            "`RuntimeDirectory=rondel` in the unit creates the directory; or set another path in `admin.socket`",
        )
        .starts("has no admin socket"),
        (Some(error), false) => finding(
            Level::Fail,
            subject,
            format!("{path}: {error}"),
            "set another path in `admin.socket`, or `off`",
        )
        .exits(PLACE),
    }
}

fn token(TokenFact { path, read }: &TokenFact) -> Finding {
    let subject = "admin token";
    match read {
        Ok(None) => ok(subject, format!("{} has one", path.display())),
        Ok(Some(Warning { found, cure, .. })) => finding(Level::Warn, subject, found, cure),
        Err(TokenError { path, what, cure }) => {
            finding(Level::Fail, subject, format!("{}: {what}", path.display()), cure).exits(CONFIG)
        }
    }
}

fn access_log(fact: &AccessLogFact) -> Finding {
    let path = &fact.to;
    match &fact.error {
        None => ok("access log", format!("{path} can be written")),
        Some(error) => finding(
            Level::Fail,
            "access log",
            format!("{path}: {error}"),
            "set another target in `access_log`; `LogsDirectory=rondel` in the unit creates /var/log/rondel",
        )
        .exits(PLACE),
    }
}
