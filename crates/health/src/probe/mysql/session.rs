//! A session with MySQL or MariaDB: greeting, login, text queries, goodbye.
//!
//! `mysql_async` was used before. It reserves memory for as many columns as a server announces, indexes into
//! packets that may be empty, and continues with an abandoned connection in a separate task; a broken or hostile
//! server could end this process, or exhaust its memory. Here every length is checked.
//!
//! The protocol: <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::files::Files;
use super::super::stream::{Stream, Wire, farewell};
use super::super::talk::ANSWER_MAX;
use super::super::tls;
use super::bytes::Bytes;
use super::proof::{NATIVE, is_known, proof};
use crate::answer::{ProbeError, Text};
use config::probe::Tls;

/// A session with a server.
pub(in crate::probe) struct Session {
    wire: Box<dyn Wire>,
    /// The number of the next packet. It restarts with each command.
    sequence: u8,
}

/// Why a request failed.
pub(in crate::probe) enum Failure {
    /// The server reported an error.
    Said {
        /// Its number.
        code: u16,
        /// Its text.
        text: Text,
    },
    /// There is no session.
    Probe(ProbeError),
}

/// One row of a result, as text.
pub(super) struct Row {
    columns: Vec<(String, Option<Vec<u8>>)>,
}

impl Session {
    /// A session on a new connection.
    pub(in crate::probe) fn new(stream: Stream) -> Self {
        Self { wire: Box::new(stream), sequence: 0 }
    }

    /// Reads the greeting of the server.
    pub(in crate::probe) async fn greeting(&mut self) -> Result<Greeting, Failure> {
        let packet = self.receive().await?;
        Greeting::parse(&packet).ok_or_else(broken)
    }

    /// Logs in after the greeting.
    pub(in crate::probe) async fn log_in(
        mut self,
        greeting: &Greeting,
        user: &str,
        tls: Option<&Tls>,
        files: &Files,
    ) -> Result<Self, Failure> {
        let password = files.password.as_deref();
        let mut capabilities = CAPABILITIES;
        if let Some(tls) = tls {
            if greeting.capabilities & CAPABILITY_TLS == 0 {
                Box::pin(self.be_refused(greeting)).await;
                return Err(Failure::Probe(ProbeError::Tls(Text::new("the server does not offer it"))));
            }
            capabilities |= CAPABILITY_TLS;
            self = self.secure(capabilities, tls, files).await?;
        }
        // If this account has another method, or the server does not support it, the server requests another one.
        let method = if is_known(&greeting.method) { &greeting.method } else { NATIVE };
        let proof = proof(method, password, &greeting.nonce)?;
        self.send(&response(capabilities, user, &proof, method)).await?;
        self.authenticate(password, tls.is_some()).await?;
        Ok(self)
    }

    /// Ends the session after the greeting, by a login that the server rejects. A client that just disconnects is
    /// counted, and after a hundred of them (`max_connect_errors`) the server blocks this host.
    pub(in crate::probe) async fn be_refused(self, greeting: &Greeting) {
        if let Ok(session) = self.log_in(greeting, NOBODY, None, &Files::default()).await {
            session.quit().await;
        }
    }

    async fn secure(mut self, capabilities: u32, tls: &Tls, files: &Files) -> Result<Self, Failure> {
        self.send(&response_head(capabilities)).await?;
        let wire = tls::connect(self.wire, tls, files).await?;
        Ok(Self { wire: Box::new(wire), sequence: self.sequence })
    }

    /// Answers the requests of the server until the login succeeds.
    async fn authenticate(&mut self, password: Option<&str>, is_secure: bool) -> Result<(), Failure> {
        for _ in 0..AUTHENTICATION_PACKETS_MAX {
            let packet = self.receive().await?;
            match packet.split_first() {
                Some((&OK, _)) => return Ok(()),
                Some((&SWITCH, rest)) => {
                    let mut rest = Bytes(rest);
                    let method = rest.until_zero().ok_or_else(broken)?.to_vec();
                    let nonce = rest.0.strip_suffix(&[0]).unwrap_or(rest.0);
                    match proof(&method, password, nonce) {
                        Ok(proof) => self.send(&proof).await?,
                        Err(error) => return Err(self.decline(error).await),
                    }
                }
                Some((&MORE, [SHA2_KNOWN])) => {}
                // The server has not cached this password since it started, and requests it in full.
                Some((&MORE, [SHA2_FULL])) if is_secure => {
                    let full = [password.unwrap_or_default().as_bytes(), &[0]].concat();
                    self.send(&full).await?;
                }
                Some((&MORE, [SHA2_FULL])) => {
                    let text =
                        Text::new("caching_sha2_password requests the password in full, which needs TLS");
                    return Err(self.decline(ProbeError::Authentication(text)).await);
                }
                _ => return Err(broken()),
            }
        }
        Err(broken())
    }

    /// Ends a login that cannot succeed with a wrong answer, for the reason given at
    /// [`be_refused`](Self::be_refused).
    async fn decline(&mut self, error: ProbeError) -> Failure {
        if self.send(&[0]).await.is_ok() {
            let _ = self.receive().await;
        }
        Failure::Probe(error)
    }

    /// Runs a query and returns the first row of the result, if there is one.
    pub(super) async fn first_row(&mut self, query: &str) -> Result<Option<Row>, Failure> {
        let mut first = None;
        self.rows(query, |row| first = first.take().or(Some(row))).await?;
        Ok(first)
    }

    /// Runs a query and passes each row of the result on. Their number is bounded by the size of an answer.
    pub(super) async fn rows(&mut self, query: &str, mut take: impl FnMut(Row)) -> Result<(), Failure> {
        self.sequence = 0;
        self.send(&[&[COMMAND_QUERY], query.as_bytes()].concat()).await?;
        let head = self.receive().await?;
        if head.first() == Some(&OK) {
            return Ok(());
        }
        let count =
            Bytes(&head).length().filter(|count| (1..=COLUMNS_MAX).contains(count)).ok_or_else(broken)?;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(column_name(&self.receive().await?).ok_or_else(broken)?);
        }
        if !is_end(&self.receive().await?) {
            return Err(broken());
        }
        loop {
            let packet = self.receive().await?;
            if is_end(&packet) {
                return Ok(());
            }
            take(Row::read(&names, &packet).ok_or_else(broken)?);
        }
    }

    /// Leaves a server that is not a MySQL server.
    pub(in crate::probe) async fn leave(self) {
        farewell(self.wire).await;
    }

    /// Says goodbye, so that the server does not count an aborted client.
    pub(in crate::probe) async fn quit(mut self) {
        self.sequence = 0;
        if self.send(&[COMMAND_QUIT]).await.is_ok() {
            farewell(self.wire).await;
        }
    }

    /// The next packet. A packet with an error is a failure.
    async fn receive(&mut self) -> Result<Vec<u8>, Failure> {
        let mut head = [0; 4];
        self.wire.read_exact(&mut head).await?;
        let [low, middle, high, sequence] = head;
        let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
        if length > ANSWER_MAX || sequence != self.sequence {
            return Err(broken());
        }
        self.sequence = sequence.wrapping_add(1);
        let mut packet = vec![0; length];
        self.wire.read_exact(&mut packet).await?;
        match packet.split_first() {
            Some((&ERROR, rest)) => Err(said(rest).unwrap_or_else(broken)),
            _ => Ok(packet),
        }
    }

    async fn send(&mut self, packet: &[u8]) -> Result<(), Failure> {
        let length = u32::try_from(packet.len()).expect("what is sent is short").to_le_bytes();
        let head = [length[0], length[1], length[2], self.sequence];
        self.sequence = self.sequence.wrapping_add(1);
        self.wire.write_all(&[&head, packet].concat()).await?;
        Ok(self.wire.flush().await?)
    }
}

impl Row {
    /// The value of a column: none if there is no such column, or if it is NULL.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(name))?;
        value.as_deref()
    }

    /// All values in order.
    pub(super) fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.columns.iter().map(|(_, value)| value.as_deref())
    }

    #[cfg(test)]
    pub(super) fn of(columns: &[(&str, Option<&str>)]) -> Self {
        let owned = |(name, value): &(&str, Option<&str>)| {
            ((*name).to_owned(), value.map(|value| value.as_bytes().to_vec()))
        };
        Self { columns: columns.iter().map(owned).collect() }
    }

    fn read(names: &[String], packet: &[u8]) -> Option<Self> {
        let mut rest = Bytes(packet);
        let mut columns = Vec::new();
        for name in names {
            let value = if rest.0.first() == Some(&NULL) {
                rest.take(1)?;
                None
            } else {
                Some(rest.string()?.to_vec())
            };
            columns.push((name.clone(), value));
        }
        rest.0.is_empty().then_some(Self { columns })
    }
}

/// The greeting of the server.
pub(in crate::probe) struct Greeting {
    capabilities: u32,
    /// The salt of the password proof.
    nonce: Vec<u8>,
    /// The method of the proof.
    method: Vec<u8>,
}

impl Greeting {
    fn parse(packet: &[u8]) -> Option<Self> {
        let mut rest = Bytes(packet);
        rest.take(1).filter(|version| version[0] == 10)?;
        rest.until_zero()?; // The version of the server.
        rest.take(4)?; // The connection number.
        let mut nonce = rest.take(8)?.to_vec();
        rest.take(1)?;
        let low = rest.take(2)?;
        rest.take(3)?; // The collation, and the status.
        let high = rest.take(2)?;
        let nonce_length = usize::from(rest.take(1)?[0]);
        rest.take(10)?;
        nonce.extend_from_slice(rest.take(nonce_length.saturating_sub(8).max(13))?);
        // The last byte is a zero that is not part of it.
        nonce.pop();
        let capabilities = u32::from_le_bytes([low[0], low[1], high[0], high[1]]);
        let method = rest.until_zero().unwrap_or(rest.0).to_vec();
        Some(Self { capabilities, nonce, method })
    }
}

/// The client's response to the greeting.
fn response(capabilities: u32, user: &str, proof: &[u8], method: &[u8]) -> Vec<u8> {
    let length = u8::try_from(proof.len()).expect("a hash is short");
    [&response_head(capabilities), user.as_bytes(), &[0, length], proof, method, &[0]].concat()
}

/// The part that is also sent before TLS.
fn response_head(capabilities: u32) -> Vec<u8> {
    let packet_max = u32::try_from(ANSWER_MAX).expect("it fits").to_le_bytes();
    [&capabilities.to_le_bytes()[..], &packet_max, &[UTF8MB4], &[0; 23]].concat()
}

/// Reads the rest of an error packet. Before the login it has no SQL state.
fn said(rest: &[u8]) -> Option<Failure> {
    let mut rest = Bytes(rest);
    let code = rest.take(2).map(|code| u16::from_le_bytes([code[0], code[1]]))?;
    if rest.0.first() == Some(&b'#') {
        rest.take(6)?;
    }
    let text = Text::new(format_args!("{code}: {}", String::from_utf8_lossy(rest.0)));
    Some(Failure::Said { code, text })
}

/// The fifth string of a column definition.
fn column_name(packet: &[u8]) -> Option<String> {
    let mut rest = Bytes(packet);
    for _ in 0..4 {
        rest.string()?;
    }
    Some(String::from_utf8_lossy(rest.string()?).into_owned())
}

/// Whether a packet ends the columns or the rows. A row that begins with the same byte is much longer.
fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&SWITCH) && packet.len() < 9
}

fn broken() -> Failure {
    Failure::Probe(ProbeError::Protocol(Text::new("not what MySQL says")))
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        Self::Probe(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Probe(error.into())
    }
}

/// The largest number of packets of a login: it takes two, and three after a switch of the method.
const AUTHENTICATION_PACKETS_MAX: usize = 8;

/// The largest number of columns; the status of a replica has about sixty.
const COLUMNS_MAX: u64 = 200;

/// The capabilities: the protocol of 4.1 with its errors (`0x200`), logins (`0x8000`) and authentication methods
/// (`0x8_0000`), and none of MariaDB's extensions (`0x1`). All servers of this century support these.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;
const CAPABILITY_TLS: u32 = 0x800;

// First bytes of packets.
const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const NULL: u8 = 0xfb;
const SWITCH: u8 = 0xfe;
const ERROR: u8 = 0xff;

// Further bytes of caching_sha2_password.
const SHA2_KNOWN: u8 = 0x03;
const SHA2_FULL: u8 = 0x04;

/// An account that should not exist. The server logs its name, if it logs rejected logins, so the name explains
/// itself.
const NOBODY: &str = "rondel-tcp-probe";

const COMMAND_QUIT: u8 = 0x01;
const COMMAND_QUERY: u8 = 0x03;

/// The collation `utf8mb4_general_ci`.
const UTF8MB4: u8 = 45;
