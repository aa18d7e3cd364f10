//! A syslog server over UDP: one datagram for each line, as in RFC 5424 and RFC 5426. Nothing here waits.
//!
//! The kernel learns from an answer of the server's host that nothing listens there, and reports that at the next
//! call. So each call may report the loss of an earlier datagram. One that was lost on the way is never noticed.

use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use crate::line::Calendar;

/// The socket that sends to a syslog server.
pub(crate) struct UdpSyslog {
    to: SocketAddr,
    socket: UdpSocket,
    /// When it was opened.
    opened_at: Instant,
    /// The header of a message behind its time: host, program, process, kind.
    identity: String,
    priority: u8,
    calendar: Calendar,
    /// The time of the message, and the message; kept to reuse their memory.
    stamp: String,
    message: Vec<u8>,
    /// When a line was lost last.
    lost_at: Option<Instant>,
}

/// The longest message, in bytes: RFC 5426 expects receivers to take so many. A longer one is cut between characters.
const MESSAGE_BYTES_MAX: usize = 2048;

/// The longest name of a host, RFC 5424.
const HOST_CHARS_MAX: usize = 255;

/// How long no line may be lost before the server counts as there again.
const RECOVERED_AFTER: Duration = Duration::from_secs(1);

/// The least time between two sockets. Another one finds another source address.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);

impl UdpSyslog {
    pub(crate) fn connect(to: SocketAddr, priority: u8) -> io::Result<Self> {
        let uname = rustix::system::uname();
        let name = uname.nodename().to_string_lossy();
        let host = host(&name);
        Ok(Self {
            to,
            socket: socket(to)?,
            opened_at: now(),
            identity: format!(" {host} rondel {} access - ", std::process::id()),
            priority,
            calendar: Calendar::default(),
            stamp: String::new(),
            message: Vec::new(),
            lost_at: None,
        })
    }

    /// Sends the first of the lines as one datagram. Returns its length, and why a line is lost if one is.
    pub(crate) fn send(&mut self, lines: &[u8]) -> (usize, Option<io::Error>) {
        let end = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
        self.compose(SystemTime::now(), &lines[..end]);
        let lost = self.send_message().err();
        if lost.is_some() {
            self.lost_at = Some(now());
        }
        (end, lost)
    }

    /// Whether lines may still be lost, although the last one was not.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.lost_at.is_some_and(|at| now().saturating_duration_since(at) < RECOVERED_AFTER)
    }

    fn compose(&mut self, time: SystemTime, line: &[u8]) {
        self.calendar.write(time, &mut self.stamp);
        self.message.clear();
        write!(self.message, "<{}>1 {}{}", self.priority, self.stamp, self.identity)
            .expect("a Vec takes everything");
        let room = MESSAGE_BYTES_MAX.saturating_sub(self.message.len());
        self.message.extend_from_slice(cut(line.trim_ascii_end(), room));
    }

    fn send_message(&mut self) -> io::Result<()> {
        match self.socket.send(&self.message) {
            // The answer of a server on this host is there already.
            Ok(_) => match self.socket.take_error()? {
                None => Ok(()),
                Some(error) => Err(error),
            },
            // It is the answer to an earlier datagram, and this one was not sent. The server may be there again.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                let _ = self.socket.send(&self.message);
                let _ = self.socket.take_error();
                Err(error)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(io::Error::new(error.kind(), "the send buffer of the socket is full"))
            }
            Err(error) => {
                if now().saturating_duration_since(self.opened_at) >= REOPEN_INTERVAL {
                    self.opened_at = now();
                    self.socket = socket(self.to)?;
                }
                Err(error)
            }
        }
    }
}

/// A socket that sends to `to`, and never waits.
fn socket(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    Ok(socket)
}

/// The name of the host as a message has it.
fn host(name: &str) -> &str {
    let is_host = name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_host && (1..=HOST_CHARS_MAX).contains(&name.len()) { name } else { "-" }
}

/// As much of a text as fits, and no part of a character.
fn cut(text: &[u8], max: usize) -> &[u8] {
    if text.len() <= max {
        return text;
    }
    let is_inside = |end: &usize| text[*end] & 0b1100_0000 == 0b1000_0000;
    let end = (1..=max).rev().find(|end| !is_inside(end)).unwrap_or(0);
    &text[..end]
}

#[expect(clippy::disallowed_methods, reason = "the socket of a log, not of a worker")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::time::{Duration, SystemTime};

    use super::{MESSAGE_BYTES_MAX, UdpSyslog, cut, host};

    const PRIORITY: u8 = 16 << 3 | 6;

    #[test]
    fn a_line_is_a_message_with_time_host_program_and_process() {
        let server = server("127.0.0.1:0");
        let mut syslog = UdpSyslog::connect(server.local_addr().unwrap(), PRIORITY).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_637_702_123_456);
        syslog.compose(time, b"one\n");
        let host = host(rustix::system::uname().nodename().to_str().unwrap()).to_owned();
        let expected =
            format!("<134>1 2026-11-25T20:15:02.123456Z {host} rondel {} access - one", std::process::id());
        assert_eq!(String::from_utf8_lossy(&syslog.message), expected);

        let (length, lost) = syslog.send(b"one\ntwo\n");
        assert!((length, lost.is_none()) == (4, true));
        assert!(received(&server).ends_with(" access - one"));
        syslog.send(b"two\n");
        assert!(received(&server).ends_with(" access - two"));
        // More than any line has.
        let long = [&b"a"[..], "\u{e9}".repeat(MESSAGE_BYTES_MAX).as_bytes(), b"\n"].concat();
        assert_eq!(syslog.send(&long).0, long.len());
        let message = received(&server);
        assert!(
            message.ends_with('\u{e9}')
                && (MESSAGE_BYTES_MAX - 1..=MESSAGE_BYTES_MAX).contains(&message.len())
        );
    }

    #[test]
    fn a_server_that_is_gone_loses_each_line_and_gets_those_after_its_return() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let gone = server(address);
            let at = gone.local_addr().unwrap();
            let mut syslog = UdpSyslog::connect(at, PRIORITY).unwrap();
            assert!(syslog.send(b"zero\n").1.is_none());
            assert!(!syslog.is_doubtful());
            drop(gone);
            for line in ["one\n", "two\n", "three\n"] {
                let (length, lost) = syslog.send(line.as_bytes());
                assert_eq!(length, line.len());
                assert_eq!(
                    lost.map(|error| error.kind()),
                    Some(std::io::ErrorKind::ConnectionRefused),
                    "{line}"
                );
            }
            assert!(syslog.is_doubtful());
            let back = server(&at.to_string());
            assert!(syslog.send(b"four\n").1.is_none());
            assert!(received(&back).ends_with("four"));
        }
    }

    #[test]
    fn a_name_that_a_message_cannot_have_is_left_out() {
        assert_eq!(host("lb-1.example.org"), "lb-1.example.org");
        for name in ["", "a b", "h\u{e9}", &"a".repeat(256)] {
            assert_eq!(host(name), "-");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let text = "a\u{e9}\u{20ac}".as_bytes();
        let lengths: Vec<_> = (0..=text.len() + 1).map(|max| cut(text, max).len()).collect();
        assert_eq!(lengths, [0, 1, 1, 3, 3, 3, 6, 6]);
    }

    fn server(address: &str) -> UdpSocket {
        let server = UdpSocket::bind(address.parse::<SocketAddr>().unwrap()).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        server
    }

    fn received(server: &UdpSocket) -> String {
        let mut message = [0; 4096];
        let length = server.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}
