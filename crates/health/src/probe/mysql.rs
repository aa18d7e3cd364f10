//! A probe of MySQL or MariaDB, which logs in and asks for the role.

mod bytes;
mod proof;
mod session;

use std::time::Duration;

use self::session::{Failure, Row, Session};
use super::files::Files;
use super::{Answer, ProbeError, Talk, Target};
use crate::answer::{Claim, History, Progress, Role, Text};
use config::probe::Mysql;

pub(super) async fn ask(target: &Target, mysql: &Mysql, files: &Files) -> Result<Talk, ProbeError> {
    let login = Session::login(target, &mysql.login.user, mysql.tls.as_ref(), files);
    let mut session = login.await?;
    let answer = role(&mut session).await;
    Ok(Talk {
        answer: answer.map(|role| Answer { role: Some(role) }).map_err(ProbeError::from),
        goodbye: Box::pin(session.quit()),
    })
}

async fn role(session: &mut Session) -> Result<Role, Failure> {
    let writable = is_writable(session).await?;
    let source = source(session).await?;
    Ok(match (writable, source) {
        (true, Source::Hidden) => Role::Primary(Claim::default()),
        (true, Source::Nobody) => primary(History::Source { follows: false }),
        (true, Source::Other { .. }) => primary(History::Source { follows: true }),
        (false, Source::Hidden) => Role::Replica(Progress::default()),
        (false, Source::Nobody) => Role::Neither,
        (false, Source::Other { lag }) => Role::Replica(Progress { position: None, lag }),
    })
}

fn primary(history: History) -> Role {
    Role::Primary(Claim { history: Some(history), position: None })
}

/// Whether it takes writes from everyone.
async fn is_writable(session: &mut Session) -> Result<bool, Failure> {
    let row = match session.first_row("SELECT @@global.read_only, @@global.super_read_only").await {
        // MariaDB has one of them.
        Err(Failure::Said { code: ER_UNKNOWN_SYSTEM_VARIABLE, .. }) => {
            session.first_row("SELECT @@global.read_only").await?
        }
        row => row?,
    };
    let row = row.ok_or_else(|| ProbeError::UnexpectedAnswer(Text::new("no value of read_only")))?;
    Ok(row.values().all(|value| value.is_some_and(is_off)))
}

/// Whatever is not off is on: later versions have more values.
fn is_off(value: &[u8]) -> bool {
    value == b"0" || value.eq_ignore_ascii_case(b"OFF")
}

/// Whom a server is set up to follow.
enum Source {
    /// The probe's user may not see it.
    Hidden,
    Nobody,
    Other {
        /// How far it is behind; none while replication is broken.
        lag: Option<Duration>,
    },
}

async fn source(session: &mut Session) -> Result<Source, Failure> {
    let status = match session.first_row("SHOW REPLICA STATUS").await {
        // MySQL before 8.0.22.
        Err(Failure::Said { code: ER_PARSE_ERROR, .. }) => session.first_row("SHOW SLAVE STATUS").await,
        status => status,
    };
    match status {
        Ok(Some(row)) => Ok(Source::Other { lag: lag(&row) }),
        Ok(None) => Ok(Source::Nobody),
        Err(Failure::Said { code: ER_SPECIFIC_ACCESS_DENIED, .. }) => Ok(Source::Hidden),
        Err(failure) => Err(failure),
    }
}

fn lag(row: &Row) -> Option<Duration> {
    let seconds = row.value("Seconds_Behind_Source").or_else(|| row.value("Seconds_Behind_Master"))?;
    std::str::from_utf8(seconds).ok()?.parse().ok().map(Duration::from_secs)
}

impl From<Failure> for ProbeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Probe(error) => error,
            Failure::Said { code, text } => match code {
                ER_CON_COUNT_ERROR | ER_TOO_MANY_USER_CONNECTIONS | ER_USER_LIMIT_REACHED => {
                    Self::Overloaded(text)
                }
                ER_SERVER_SHUTDOWN => Self::NotReady(text),
                ER_DBACCESS_DENIED
                | ER_ACCESS_DENIED
                | ER_ACCESS_DENIED_NO_PASSWORD
                | ER_HOST_IS_BLOCKED
                | ER_HOST_NOT_PRIVILEGED
                | ER_SPECIFIC_ACCESS_DENIED => Self::Authentication(text),
                _ => Self::UnexpectedAnswer(text),
            },
        }
    }
}

// The server's errors, <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>.
const ER_CON_COUNT_ERROR: u16 = 1040;
const ER_DBACCESS_DENIED: u16 = 1044;
const ER_ACCESS_DENIED: u16 = 1045;
const ER_SERVER_SHUTDOWN: u16 = 1053;
const ER_PARSE_ERROR: u16 = 1064;
const ER_HOST_IS_BLOCKED: u16 = 1129;
const ER_HOST_NOT_PRIVILEGED: u16 = 1130;
const ER_UNKNOWN_SYSTEM_VARIABLE: u16 = 1193;
const ER_TOO_MANY_USER_CONNECTIONS: u16 = 1203;
const ER_USER_LIMIT_REACHED: u16 = 1226;
const ER_SPECIFIC_ACCESS_DENIED: u16 = 1227;
const ER_ACCESS_DENIED_NO_PASSWORD: u16 = 1698;
