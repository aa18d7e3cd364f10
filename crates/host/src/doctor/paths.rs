//! Findings about the admin socket and the access log.

use super::facts::{AccessLogFact, AdminSocketFact, HostFacts};
use super::finding::{Finding, Level, finding, ok};

pub(super) fn assess(facts: &HostFacts) -> Vec<Finding> {
    let admin = facts.admin_socket.as_ref().map(admin_socket);
    admin.into_iter().chain(facts.access_log.as_ref().map(access_log)).collect()
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
        ),
        (Some(error), false) => finding(
            Level::Fail,
            subject,
            format!("{path}: {error}"),
            "set another path in `admin.socket`, or `off`",
        ),
    }
}

fn access_log(fact: &AccessLogFact) -> Finding {
    let path = fact.path.display();
    match &fact.error {
        None => ok("access log", format!("{path} can be written")),
        Some(error) => finding(
            Level::Fail,
            "access log",
            format!("{path}: {error}"),
            "set another path in `access_log`; `LogsDirectory=rondel` in the unit creates /var/log/rondel",
        ),
    }
}
