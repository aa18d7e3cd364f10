//! A probe of MySQL or MariaDB, which logs in and queries the role.

mod bytes;
mod errors;
mod proof;
mod session;

use std::time::Duration;

use self::session::Row;
pub(super) use self::session::{Failure, Greeting, Session};
use super::error_class::ErrorClass;
use super::files::Files;
use super::stream::connect;
use super::talk::Talk;
use crate::answer::{Answer, ProbeError};
use crate::answer::{Claim, History, Progress, Role, Text};
use crate::target::Target;
use config::probe::Mysql;

pub(super) async fn ask(target: &Target, mysql: &Mysql, files: &Files) -> Result<Talk, ProbeError> {
    let stream = connect(target).await?;
    let login = async {
        let mut session = Session::new(stream);
        let greeting = session.greeting().await?;
        session.log_in(&greeting, &mysql.login.user, mysql.tls.as_ref(), files).await
    };
    let answer =
        |role: Result<Role, Failure>| role.or_else(Failure::role).map(|role| Answer { role: Some(role) });
    Ok(match login.await {
        Ok(mut session) => {
            let role = role(&mut session).await;
            Talk { answer: answer(role), goodbye: Box::pin(session.quit()) }
        }
        Err(failure) => Talk { answer: answer(Err(failure)), goodbye: Box::pin(async {}) },
    })
}

async fn role(session: &mut Session) -> Result<Role, Failure> {
    let Writable { now: writable, maker } = is_writable(session).await?;
    let source = source(session, maker).await?;
    Ok(match (writable, source) {
        (true, Source::Hidden) => Role::Primary(Claim::default()),
        (true, Source::None) => primary(History::Source { follows: false }),
        (true, Source::Others { .. }) => primary(History::Source { follows: true }),
        (false, Source::Hidden) => Role::Replica(Progress::default()),
        (false, Source::None) => Role::Neither,
        (false, Source::Others { lag }) => Role::Replica(Progress { position: None, lag }),
    })
}

fn primary(history: History) -> Role {
    Role::Primary(Claim { history: Some(history), position: None })
}

struct Writable {
    /// Whether it accepts writes from every account.
    now: bool,
    maker: Maker,
}

/// Which of the two it is, as far as queries differ.
#[derive(Clone, Copy)]
enum Maker {
    Oracle,
    /// Or MySQL before 5.7.8.
    MariaDb,
}

async fn is_writable(session: &mut Session) -> Result<Writable, Failure> {
    let (row, maker) = match session.first_row("SELECT @@global.read_only, @@global.super_read_only").await {
        // MariaDB has only one of them.
        Err(Failure::Said { code: ER_UNKNOWN_SYSTEM_VARIABLE, .. }) => {
            (session.first_row("SELECT @@global.read_only").await?, Maker::MariaDb)
        }
        row => (row?, Maker::Oracle),
    };
    let row = row.ok_or_else(|| ProbeError::UnexpectedAnswer(Text::new("no value of read_only")))?;
    Ok(Writable { now: row.values().all(|value| value.is_some_and(is_off)), maker })
}

/// Every value but off means on: later versions have more values.
fn is_off(value: &[u8]) -> bool {
    value == b"0" || value.eq_ignore_ascii_case(b"OFF")
}

/// The servers that it is configured to follow.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// The account of the probe has no privilege to see it.
    Hidden,
    None,
    /// One or several, each with its own connection or channel.
    Others {
        /// The largest lag; none while replication from any of them is stopped.
        lag: Option<Duration>,
    },
}

impl Source {
    /// Adds another connection.
    fn add(&mut self, row: &Row) {
        let lag = match self {
            // It stops after it has brought a member of a group up to date, and reports no lag.
            _ if row.value("Channel_Name") == Some(b"group_replication_recovery") => return,
            Self::Others { lag: before } => before.zip(lag(row)).map(|(one, other)| one.max(other)),
            Self::Hidden | Self::None => lag(row),
        };
        *self = Self::Others { lag };
    }
}

/// Queries all connections. MariaDB shows named ones only with `ALL`.
async fn source(session: &mut Session, maker: Maker) -> Result<Source, Failure> {
    let (first, second) = match maker {
        Maker::MariaDb => ("SHOW ALL SLAVES STATUS", "SHOW SLAVE STATUS"),
        // Versions before 8.0.22 have only the second statement.
        Maker::Oracle => ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"),
    };
    let mut source = Source::None;
    let asked = match session.rows(first, |row| source.add(&row)).await {
        Err(Failure::Said { code: ER_PARSE_ERROR, .. }) => session.rows(second, |row| source.add(&row)).await,
        asked => asked,
    };
    match asked {
        Ok(()) => Ok(source),
        Err(failure) if failure.class() == Some(ErrorClass::Account) => Ok(Source::Hidden),
        Err(failure) => Err(failure),
    }
}

fn lag(row: &Row) -> Option<Duration> {
    let seconds = row.value("Seconds_Behind_Source").or_else(|| row.value("Seconds_Behind_Master"))?;
    std::str::from_utf8(seconds).ok()?.parse().ok().map(Duration::from_secs)
}

impl Failure {
    /// The class of a server's error.
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Said { code, .. } => errors::class(*code),
            Self::Probe(_) => None,
        }
    }

    /// The role of a server that failed in this way, if it shows one.
    pub(super) fn role(self) -> Result<Role, ProbeError> {
        let class = self.class();
        match self {
            Self::Said { text, .. } => ErrorClass::of(class, text),
            Self::Probe(error) => Err(error),
        }
    }
}

/// The default port of these servers.
pub(super) const PORT: u16 = 3306;

// Errors for a query of another version,
// <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>.
const ER_PARSE_ERROR: u16 = 1064;
const ER_UNKNOWN_SYSTEM_VARIABLE: u16 = 1193;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Row, Source};

    /// The result of `Source` for connections with these lags in seconds, or NULL.
    fn of(connections: &[Option<&str>]) -> Source {
        let mut source = Source::None;
        for (place, lag) in connections.iter().enumerate() {
            let name = place.to_string();
            source.add(&Row::of(&[("Connection_name", Some(&name)), ("Seconds_Behind_Master", *lag)]));
        }
        source
    }

    #[test]
    fn the_lag_of_a_replica_is_that_of_its_worst_connection() {
        let behind = |seconds| Source::Others { lag: Some(Duration::from_secs(seconds)) };
        assert_eq!(of(&[]), Source::None);
        assert_eq!(of(&[Some("3")]), behind(3));
        for connections in [[Some("3"), Some("0"), Some("7")], [Some("7"), Some("3"), Some("0")]] {
            assert_eq!(of(&connections), behind(7));
        }
    }

    #[test]
    fn the_lag_is_unknown_if_one_connection_is_stopped() {
        for connections in
            [&[None][..], &[None, Some("0")], &[Some("0"), None], &[Some("0"), None, Some("0")]]
        {
            assert_eq!(of(connections), Source::Others { lag: None }, "{connections:?}");
        }
    }

    #[test]
    fn a_finished_group_recovery_is_not_a_stopped_connection() {
        let mut source = Source::None;
        for (name, lag) in [("group_replication_applier", Some("2")), ("group_replication_recovery", None)] {
            source.add(&Row::of(&[("Channel_Name", Some(name)), ("Seconds_Behind_Source", lag)]));
        }
        assert_eq!(source, Source::Others { lag: Some(Duration::from_secs(2)) });
    }
}
