//! A server of a group that claims a role chosen by the test, in the protocol of its probe: PostgreSQL, Redis or
//! MariaDB.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::lb::Lb;
use crate::peers::{Backend, Client};
use crate::place::eventually;
use crate::setup::Target;

/// Its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Redis,
    MariaDb,
}

/// The answer to probes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Claim {
    Primary,
    Replica,
    /// It is at its connection limit for probes. Only PostgreSQL reports that here.
    Full,
}

/// It sends its name to clients: in its greeting if the protocol has one, otherwise for each line that they send.
pub(crate) struct Claimant {
    backend: Backend,
    state: Arc<State>,
}

struct State {
    kind: Kind,
    name: String,
    claim: AtomicU8,
    timeline: AtomicU32,
    /// The delay of its answers to probes, in milliseconds.
    delay: AtomicU32,
    /// The number of answers to probes.
    answered: AtomicUsize,
}

impl Claimant {
    pub(crate) fn new(kind: Kind, name: &str, port: u16, claim: Claim, timeline: u32) -> Self {
        let state = Arc::new(State {
            kind,
            name: name.to_owned(),
            claim: AtomicU8::new(claim as u8),
            timeline: timeline.into(),
            delay: 0.into(),
            answered: 0.into(),
        });
        let script = Arc::clone(&state);
        // A peer that has already left is ignored.
        let backend = Backend::scripted(name, port, move |peer| {
            peer.0.set_read_timeout(None).unwrap();
            drop(script.converse(&peer.0));
        });
        Self { backend, state }
    }

    /// Sets the claim, and the timeline that it has as the primary.
    pub(crate) fn claims(&self, claim: Claim, timeline: u32) {
        self.state.timeline.store(timeline, Ordering::SeqCst);
        self.state.claim.store(claim as u8, Ordering::SeqCst);
    }

    /// Sets the delay of its answers to probes.
    pub(crate) fn takes(&self, delay: Duration) {
        self.state.delay.store(delay.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    /// Waits until it has answered this many more probes.
    #[track_caller]
    pub(crate) fn answers(&self, more: usize) {
        let until = self.state.answered.load(Ordering::SeqCst) + more;
        eventually("it is probed again", || self.state.answered.load(Ordering::SeqCst) >= until);
    }

    pub(crate) fn target(&self) -> Target {
        self.backend.target()
    }
}

/// A client of the balancer, and the server that it got.
#[track_caller]
pub(crate) fn served(kind: Kind, lb: &Lb) -> (String, Client) {
    let mut client = lb.connect();
    if kind != Kind::MariaDb {
        let name = client.send(b"who?\n").line();
        return (name, client);
    }
    let head = client.receive(4);
    let greeting = client.receive(usize::from(head[0]) + 256 * usize::from(head[1]));
    let name = greeting[1..].split(|byte| *byte == 0).next().unwrap();
    (String::from_utf8(name.to_vec()).unwrap(), client)
}

/// The probe key of such servers.
pub(crate) fn asked(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "postgres: { user: probe }",
        Kind::Redis => "redis: {}",
        Kind::MariaDb => "mysql: { user: probe }",
    }
}

impl State {
    fn converse(&self, peer: &TcpStream) -> io::Result<()> {
        match self.kind {
            Kind::MariaDb => self.mariadb(peer),
            Kind::Postgres | Kind::Redis => {
                let first: [u8; 4] = read(peer)?;
                match (&first, self.kind) {
                    (b"who?", _) => self.tell_name(peer),
                    (_, Kind::Postgres) => self.postgres(peer, first),
                    _ => self.redis(peer, &first),
                }
            }
        }
    }

    fn tell_name(&self, mut peer: &TcpStream) -> io::Result<()> {
        loop {
            let [newline] = read(peer)?;
            assert_eq!(newline, b'\n');
            peer.write_all(format!("{}\n", self.name).as_bytes())?;
            let _: [u8; 4] = read(peer)?;
        }
    }

    /// The claim in an answer to a probe.
    fn claim(&self) -> (u8, u32) {
        thread::sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst).into()));
        (self.claim.load(Ordering::SeqCst), self.timeline.load(Ordering::SeqCst))
    }

    fn answered(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    // PostgreSQL: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

    fn postgres(&self, mut peer: &TcpStream, length: [u8; 4]) -> io::Result<()> {
        skip(peer, u32::from_be_bytes(length) - 4)?;
        if self.claim.load(Ordering::SeqCst) == Claim::Full as u8 {
            self.answered();
            let fields = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0";
            return peer.write_all(&message(b'E', fields));
        }
        // Logged in, and ready.
        peer.write_all(&[message(b'R', &0u32.to_be_bytes()), message(b'Z', b"I")].concat())?;
        loop {
            let [kind, length @ ..]: [u8; 5] = read(peer)?;
            skip(peer, u32::from_be_bytes(length) - 4)?;
            if kind != b'Q' {
                return Ok(());
            }
            let (claim, timeline) = self.claim();
            let segment = format!("{timeline:08X}0000000000000001");
            let row = if claim == Claim::Primary as u8 {
                [Some("f"), Some("off"), Some("7"), Some(&segment), Some("1000"), None]
            } else {
                [Some("t"), Some("off"), Some("7"), None, Some("1000"), Some("0")]
            };
            let columns: Vec<u8> = row
                .iter()
                .flat_map(|_| [b"?\0".as_slice(), &[0; 6], &25u32.to_be_bytes(), &[255; 6], &[0; 2]].concat())
                .collect();
            let values: Vec<u8> = row
                .iter()
                .flat_map(|value| match value {
                    Some(text) => {
                        [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
                    }
                    None => vec![255; 4],
                })
                .collect();
            let count = 6u16.to_be_bytes();
            self.answered();
            peer.write_all(
                &[
                    message(b'T', &[&count, columns.as_slice()].concat()),
                    message(b'D', &[&count, values.as_slice()].concat()),
                    message(b'C', b"SELECT 1\0"),
                    message(b'Z', b"I"),
                ]
                .concat(),
            )?;
        }
    }

    // Redis: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

    fn redis(&self, mut peer: &TcpStream, first: &[u8]) -> io::Result<()> {
        let mut lines = first.chain(peer);
        loop {
            let count: usize = line(&mut lines)?.trim_start_matches('*').parse().unwrap();
            let mut words = Vec::new();
            for _ in 0..count {
                line(&mut lines)?;
                words.push(line(&mut lines)?);
            }
            let answer = match words[0].to_uppercase().as_str() {
                "ROLE" => {
                    let (claim, _) = self.claim();
                    self.answered();
                    if claim == Claim::Primary as u8 {
                        "*3\r\n$6\r\nmaster\r\n:1000\r\n*0\r\n".to_owned()
                    } else {
                        "*5\r\n$5\r\nslave\r\n$1\r\nx\r\n:1\r\n$9\r\nconnected\r\n:1000\r\n".to_owned()
                    }
                }
                "INFO" => {
                    let timeline = self.timeline.load(Ordering::SeqCst);
                    let (id, none) = (format!("{timeline:040}"), "0".repeat(40));
                    let info =
                        format!("master_replid:{id}\r\nmaster_replid2:{none}\r\nmaster_repl_offset:1000\r\n");
                    format!("${}\r\n{info}\r\n", info.len())
                }
                _ => "+OK\r\n".to_owned(),
            };
            peer.write_all(answer.as_bytes())?;
            if words[0].eq_ignore_ascii_case("QUIT") {
                return Ok(());
            }
        }
    }

    // MariaDB: <https://mariadb.com/docs/server/reference/clientserver-protocol>.

    fn mariadb(&self, mut peer: &TcpStream) -> io::Result<()> {
        let capabilities = 0x0008_a201_u32.to_le_bytes();
        let greeting = [
            &[10],
            self.name.as_bytes(),
            &[0, 1, 0, 0, 0],
            b"12345678\0",
            &capabilities[..2],
            &[33, 2, 0],
            &capabilities[2..],
            &[21],
            &[0; 10],
            b"123456789012\0mysql_native_password\0",
        ];
        peer.write_all(&packet(0, &greeting.concat()))?;
        mariadb_packet(peer)?;
        peer.write_all(&packet(2, OK))?;
        loop {
            let said = mariadb_packet(peer)?;
            let Some((3, query)) = said.split_first() else { return Ok(()) };
            let rows: Vec<&[u8]> = if query.starts_with(b"SELECT") {
                let (claim, _) = self.claim();
                vec![if claim == Claim::Primary as u8 { b"\x010" } else { b"\x011" }]
            } else {
                self.answered();
                let follows = self.claim.load(Ordering::SeqCst) == Claim::Replica as u8;
                if follows { vec![b"\x010"] } else { Vec::new() }
            };
            let name = b"Seconds_Behind_Master";
            let length = [u8::try_from(name.len()).unwrap()];
            let column = [
                b"\x03def\0\0\0",
                length.as_slice(),
                name,
                &length,
                name,
                b"\x0c",
                &[33, 0, 9, 0, 0, 0, 253, 0, 0, 0, 0, 0],
            ];
            let end: &[u8] = &[0xfe, 0, 0, 2, 0];
            let column = column.concat();
            let all = [&[1], column.as_slice(), end].into_iter().chain(rows).chain([end]);
            let packets: Vec<u8> = (1..).zip(all).flat_map(|(number, body)| packet(number, body)).collect();
            peer.write_all(&packets)?;
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..3], &[number], body].concat()
}

fn mariadb_packet(mut peer: &TcpStream) -> io::Result<Vec<u8>> {
    let [one, two, three, _number]: [u8; 4] = read(peer)?;
    let mut body = vec![0; usize::try_from(u32::from_le_bytes([one, two, three, 0])).unwrap()];
    peer.read_exact(&mut body)?;
    Ok(body)
}

fn read<const LENGTH: usize>(mut peer: &TcpStream) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    peer.read_exact(&mut bytes).map(|()| bytes)
}

fn skip(peer: &TcpStream, length: u32) -> io::Result<()> {
    io::copy(&mut peer.take(length.into()), &mut io::sink()).map(drop)
}

/// The next line, without its end. It reads byte by byte: there are few.
fn line(from: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
