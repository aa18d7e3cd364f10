//! A probe of PostgreSQL, which logs in and queries the role.

mod errors;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, NoTls, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Connection, SimpleQueryMessage, SimpleQueryRow};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::files::{Files, Shown};
use super::stream::{Stream, connect};
use super::talk::{BackgroundIo, Talk};
use super::tls;
use crate::answer::{Answer, ProbeError};
use crate::answer::{Claim, History, Progress, Role, Text};
use crate::target::Target;
use config::probe::Postgres;

/// One query for everything: a standby may be promoted between two.
///
/// A standby that is disconnected from its primary has applied all it received, and still falls behind; therefore
/// the lag is 0 only while it receives.
const QUERY: &str = "
SELECT pg_is_in_recovery(),
       current_setting('default_transaction_read_only'),
       (SELECT system_identifier FROM pg_control_system()),
       CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                            ELSE pg_current_wal_lsn() END, '0/0'),
       CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN EXISTS (SELECT FROM pg_stat_wal_receiver)
                 AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE floor(greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) * 1000) END";

pub(super) async fn ask(target: &Target, postgres: &Postgres, files: &Files) -> Result<Talk, ProbeError> {
    let mut config = Config::new();
    config.user(&postgres.login.user).dbname(&postgres.database).application_name("rondel");
    if let Some(password) = &files.password {
        config.password(password);
    }
    match &postgres.tls {
        None => {
            let stream = connect(target).await?;
            let login = config.ssl_mode(SslMode::Disable).connect_raw(stream, NoTls).await;
            Ok(converse(login).await)
        }
        Some(tls) => {
            let secure = Secure {
                connector: tls::connector(tls, files)?,
                name: tls::name(tls)?,
                shown: Shown::clone(&files.shown),
            };
            let stream = connect(target).await?;
            let login = config.ssl_mode(SslMode::Require).connect_raw(stream, secure).await;
            Ok(converse(login).await)
        }
    }
}

async fn converse<T>(login: Result<(Client, Connection<Stream, T>), tokio_postgres::Error>) -> Talk
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let answer = |role: Result<Role, ProbeError>| role.map(|role| Answer { role: Some(role) });
    match login {
        Ok((client, connection)) => {
            let mut background = BackgroundIo::new(async { drop(connection.await) });
            let role = background.beside(role(&client)).await;
            // When its client is dropped, the connection sends Terminate and closes.
            drop(client);
            Talk { answer: answer(role), goodbye: Box::pin(background.end()) }
        }
        Err(error) => Talk { answer: answer(errors::role(&error)), goodbye: Box::pin(async {}) },
    }
}

async fn role(client: &Client) -> Result<Role, ProbeError> {
    let messages = match client.simple_query(QUERY).await {
        Ok(messages) => messages,
        Err(error) => return errors::role(&error),
    };
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.and_then(role_of).ok_or_else(|| {
        ProbeError::UnexpectedAnswer(Text::new("the role is not what PostgreSQL 10 and later say"))
    })
}

fn role_of(row: &SimpleQueryRow) -> Option<Role> {
    let column = |index| row.try_get(index).ok().flatten();
    let position = column(4).and_then(|bytes: &str| bytes.parse().ok());
    match (column(0)?, column(1)?) {
        ("t", _) => {
            let lag = column(5).and_then(|millis| millis.parse().ok()).map(Duration::from_millis);
            Some(Role::Replica(Progress { position, lag }))
        }
        ("f", "off") => Some(Role::Primary(Claim { history: history(column(2), column(3)), position })),
        // Writes are disabled by its settings.
        ("f", _) => Some(Role::Neither),
        _ => None,
    }
}

/// The timeline is the first eight digits of a segment's name.
fn history(system: Option<&str>, segment: Option<&str>) -> Option<History> {
    let timeline = u32::from_str_radix(segment?.get(..8)?, 16).ok()?;
    Some(History::Timeline { system: system?.parse().ok()?, timeline })
}

/// Switches to TLS when the server has agreed to it.
struct Secure {
    connector: TlsConnector,
    name: ServerName<'static>,
    shown: Shown,
}

impl TlsConnect<Stream> for Secure {
    type Stream = SecureStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<SecureStream>> + Send>>;

    fn connect(self, stream: Stream) -> Self::Future {
        let connecting = self.connector.connect(self.name, stream);
        let shown = self.shown;
        Box::pin(async move {
            let stream = connecting.await?;
            tls::remember(&stream, &shown);
            Ok(SecureStream(stream))
        })
    }
}

/// A connection in the form that `tokio-postgres` accepts.
struct SecureStream(tokio_rustls::client::TlsStream<Stream>);

impl TlsStream for SecureStream {
    fn channel_binding(&self) -> ChannelBinding {
        // The certificate was verified against the configured authority; channel binding would need another
        // dependency, to parse it.
        ChannelBinding::none()
    }
}

impl AsyncRead for SecureStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for SecureStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
