//! A probe of MySQL or MariaDB, which logs in and asks for the role.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, IoError, OptsBuilder, Row, ServerError, SslOpts, Value};

use super::{ANSWER_MAX, Answer, ProbeError, Talk, Target, secret};
use crate::answer::{Claim, History, Progress, Role, Text};
use crate::settings::{Mysql, Tls};

pub(super) async fn ask(target: &Target, mysql: &Mysql) -> Result<Talk, ProbeError> {
    let mut connection = Conn::new(options(target, mysql)?).await?;
    let answer = role(&mut connection).await;
    Ok(Talk {
        answer: answer.map(|role| Answer { role: Some(role) }),
        goodbye: Box::pin(async { drop(connection.disconnect().await) }),
    })
}

fn options(target: &Target, mysql: &Mysql) -> Result<OptsBuilder, ProbeError> {
    let to = target.probed_address();
    Ok(OptsBuilder::default()
        .ip_or_hostname(to.ip().to_string())
        .tcp_port(to.port())
        .user(Some(&mysql.login.user))
        .pass(secret::read(&mysql.login.password)?)
        .ssl_opts(mysql.tls.as_ref().map(tls))
        // Otherwise it would ask the server for these, and go over to a local socket.
        .max_allowed_packet(Some(ANSWER_MAX))
        .wait_timeout(Some(WAIT_SECONDS))
        .prefer_socket(false)
        .stmt_cache_size(0))
}

fn tls(tls: &Tls) -> SslOpts {
    SslOpts::default()
        .with_root_certs(vec![tls.authority.clone().into()])
        .with_disable_built_in_roots(true)
        .with_danger_tls_hostname_override(Some(tls.name.clone()))
}

async fn role(connection: &mut Conn) -> Result<Role, ProbeError> {
    let writable = is_writable(connection).await?;
    let source = source(connection).await?;
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

/// Whether it takes writes from everyone.
async fn is_writable(connection: &mut Conn) -> Result<bool, ProbeError> {
    let both = connection.query_first("SELECT @@global.read_only, @@global.super_read_only").await;
    let row: Option<Row> = match both {
        // MariaDB has one of them.
        Err(Error::Server(ServerError { code: ER_UNKNOWN_SYSTEM_VARIABLE, .. })) => {
            connection.query_first("SELECT @@global.read_only").await?
        }
        other => other?,
    };
    let values = row.map(Row::unwrap_raw).unwrap_or_default();
    if values.is_empty() {
        return Err(ProbeError::UnexpectedAnswer(Text::new("no value of read_only")));
    }
    Ok(values.iter().all(|value| value.as_ref().is_some_and(is_off)))
}

/// Whatever is not off is on: later versions have more values.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Int(number) => *number == 0,
        Value::UInt(number) => *number == 0,
        Value::Bytes(word) => word.eq_ignore_ascii_case(b"OFF") || word == b"0",
        _ => false,
    }
}

async fn source(connection: &mut Conn) -> Result<Source, ProbeError> {
    let status: Result<Option<Row>, Error> = match connection.query_first("SHOW REPLICA STATUS").await {
        // MySQL before 8.0.22.
        Err(Error::Server(ServerError { code: ER_PARSE_ERROR, .. })) => {
            connection.query_first("SHOW SLAVE STATUS").await
        }
        status => status,
    };
    match status {
        Ok(Some(row)) => Ok(Source::Other { lag: lag(&row) }),
        Ok(None) => Ok(Source::Nobody),
        Err(Error::Server(ServerError { code: ER_SPECIFIC_ACCESS_DENIED, .. })) => Ok(Source::Hidden),
        Err(error) => Err(error.into()),
    }
}

fn lag(row: &Row) -> Option<Duration> {
    let names = ["Seconds_Behind_Source", "Seconds_Behind_Master"];
    let column = row
        .columns_ref()
        .iter()
        .position(|column| names.iter().any(|name| column.name_str().eq_ignore_ascii_case(name)))?;
    let seconds = match row.as_ref(column)? {
        Value::UInt(seconds) => Some(*seconds),
        Value::Int(seconds) => u64::try_from(*seconds).ok(),
        Value::Bytes(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    };
    seconds.map(Duration::from_secs)
}

impl From<Error> for ProbeError {
    fn from(error: Error) -> Self {
        let text = Text::new(&error);
        match error {
            Error::Server(said) => match said.code {
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
            Error::Io(IoError::Io(io)) => io.into(),
            Error::Io(IoError::Tls(_)) => Self::Tls(text),
            Error::Driver(DriverError::ConnectionClosed) => Self::Closed,
            Error::Driver(_) | Error::Other(_) | Error::Url(_) => Self::Protocol(text),
        }
    }
}

/// How long the library believes a silent connection to live. A probe is over long before.
const WAIT_SECONDS: usize = 60;

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
