//! An HTTP/1.1 response while it arrives, in pieces of any size.
//!
//! ```text
//! StatusLine > Headers > Body     so many bytes, as Content-Length says
//!                      > ToEnd    until the server closes, where it does not say
//! ```
//!
//! The body is counted, not kept. Chunked bodies and interim responses are not supported, because they are not
//! requested.

/// The received part of a response.
#[derive(Debug)]
pub(crate) struct Response {
    part: Part,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    status: u16,
    length: Option<u64>,
    closes: bool,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    StatusLine,
    Headers,
    Body { left: u64 },
    ToEnd,
}

/// Whether a response is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is missing.
    Whole,
    /// More has to arrive.
    Part,
}

/// It is not a response, or not a supported one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Default for Response {
    fn default() -> Self {
        Self { part: Part::StatusLine, line: Vec::new(), status: 0, length: None, closes: false, bytes: 0 }
    }
}

impl Response {
    /// Starts the next response.
    pub(crate) fn restart(&mut self) {
        self.line.clear();
        *self = Self { line: std::mem::take(&mut self.line), ..Self::default() };
    }

    /// Adds these bytes.
    ///
    /// # Errors
    ///
    /// If they do not belong to a response.
    pub(crate) fn on_bytes(&mut self, mut bytes: &[u8]) -> Result<Progress, Malformed> {
        self.bytes += bytes.len() as u64;
        while matches!(self.part, Part::StatusLine | Part::Headers) {
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                return self.keep(bytes);
            };
            let (line, rest) = bytes.split_at(end + 1);
            self.on_piece(line)?;
            bytes = rest;
        }
        match &mut self.part {
            Part::Body { left } => {
                // More than the body: the server sends what was not requested.
                *left = left.checked_sub(bytes.len() as u64).ok_or(Malformed)?;
                Ok(if *left == 0 { Progress::Whole } else { Progress::Part })
            }
            Part::StatusLine | Part::Headers | Part::ToEnd => Ok(Progress::Part),
        }
    }

    /// The server closed. Returns whether that completes the response.
    pub(crate) fn on_end(&self) -> Progress {
        if self.part == Part::ToEnd { Progress::Whole } else { Progress::Part }
    }

    /// Whether its status is one of success.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the server closes the connection after it.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// The number of its received bytes, including the head.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        if self.bytes > HEAD_MAX {
            return Err(Malformed);
        }
        self.line.extend_from_slice(bytes);
        Ok(Progress::Part)
    }

    /// A line, or the rest of the kept one.
    fn on_piece(&mut self, piece: &[u8]) -> Result<(), Malformed> {
        if self.line.is_empty() {
            return self.on_line(piece);
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(piece);
        let result = self.on_line(&line);
        line.clear();
        self.line = line;
        result
    }

    fn on_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = line.trim_ascii_end();
        if self.part == Part::StatusLine {
            self.on_status(line)?;
            self.part = Part::Headers;
        } else if line.is_empty() {
            self.part = self.part_after_head()?;
        } else {
            self.on_header(line)?;
        }
        Ok(())
    }

    fn on_status(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let Some([minor, b' ', rest @ ..]) = line.strip_prefix(b"HTTP/1.") else {
            return Err(Malformed);
        };
        let (status, reason) = rest.split_at_checked(3).ok_or(Malformed)?;
        if !reason.is_empty() && reason[0] != b' ' {
            return Err(Malformed);
        }
        self.closes = *minor == b'0';
        self.status = u16::try_from(number(status)?).map_err(|_| Malformed)?;
        if self.status < 200 { Err(Malformed) } else { Ok(()) }
    }

    fn on_header(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let colon = line.iter().position(|&byte| byte == b':').ok_or(Malformed)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length = Some(number(value)?);
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut words = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            self.closes |= words.any(|word| word.eq_ignore_ascii_case(b"close"));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(Malformed);
        }
        Ok(())
    }

    fn part_after_head(&self) -> Result<Part, Malformed> {
        match (self.status, self.length) {
            (204 | 304, _) => Ok(Part::Body { left: 0 }),
            (_, Some(left)) => Ok(Part::Body { left }),
            (_, None) if self.closes => Ok(Part::ToEnd),
            (_, None) => Err(Malformed),
        }
    }
}

fn number(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let digits = std::str::from_utf8(digits).expect("digits are ASCII");
    digits.parse().map_err(|_| Malformed)
}

/// The limit of a head.
const HEAD_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::{HEAD_MAX, Malformed, Progress, Response};

    #[test]
    fn whole_in_however_many_pieces() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "whole, success");
        check("HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH:0\r\n\r\n", "whole, success");
        check("HTTP/1.1 204\r\n\r\n", "whole, success");
        check("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1\r\n\r\n!", "whole, failure");
        check("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n!", "whole, success, closes");
        check(
            "HTTP/1.1 200 OK\r\nConnection: a , Close\r\nContent-Length: 0\r\n\r\n",
            "whole, success, closes",
        );
        check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n!", "whole, success, closes");
        check("HTTP/1.1 200 OK\nContent-Length: 2\n\n\n\n", "whole, success");
    }

    #[test]
    fn whole_once_the_server_closes() {
        check("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "whole at the end, success, closes");
        check("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", "whole at the end, success, closes");
    }

    #[test]
    fn in_part() {
        check("", "part");
        check("HTTP/1.1 200", "part");
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "part");
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "part");
    }

    #[test]
    fn malformed() {
        check("\r\n", "malformed");
        check("SSH-2.0-x\r\n", "malformed");
        check("HTTP/2 200 OK\r\n", "malformed");
        check("HTTP/1.1 20 OK\r\n", "malformed");
        check("HTTP/1.1 2000\r\n", "malformed");
        check("HTTP/1.1 100 Continue\r\n", "malformed");
        check("HTTP/1.1 200 OK\r\nno colon\r\n", "malformed");
        check("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n", "malformed");
        check("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", "malformed");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", "malformed");
        // The end of the body is unknown.
        check("HTTP/1.1 200 OK\r\n\r\n", "malformed");
        // More than was requested.
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "malformed");
    }

    /// In two pieces, cut at every position, and byte by byte.
    #[track_caller]
    fn check(bytes: &str, expected: &str) {
        for cut in 0..=bytes.len() {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(outcome(&[one.as_bytes(), other.as_bytes()]), expected, "cut at {cut}");
        }
        assert_eq!(outcome(&bytes.as_bytes().chunks(1).collect::<Vec<_>>()), expected);
    }

    fn outcome(pieces: &[&[u8]]) -> String {
        let mut response = Response::default();
        // The previous response leaves no trace.
        let _ = response.on_bytes(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Le");
        response.restart();
        let mut came = 0;
        let mut progress = Progress::Part;
        for piece in pieces {
            came += piece.len() as u64;
            match response.on_bytes(piece) {
                Ok(next) => progress = next,
                Err(Malformed) => return "malformed".to_owned(),
            }
        }
        assert_eq!(response.bytes(), came);
        let whole = match (progress, response.on_end()) {
            (Progress::Whole, _) => "whole",
            (Progress::Part, Progress::Whole) => "whole at the end",
            (Progress::Part, Progress::Part) => return "part".to_owned(),
        };
        let success = if response.is_success() { "success" } else { "failure" };
        let closes = if response.closes() { ", closes" } else { "" };
        format!("{whole}, {success}{closes}")
    }

    #[test]
    fn a_head_without_end() {
        let mut response = Response::default();
        response.on_bytes(b"HTTP/1.1 200 OK\r\nX: ").unwrap();
        let came = (0..HEAD_MAX).map(|_| response.on_bytes(b"x")).find(Result::is_err);
        assert_eq!(came, Some(Err(Malformed)));
    }

    #[test]
    fn a_large_body() {
        let mut response = Response::default();
        response.on_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n").unwrap();
        let piece = vec![b'\n'; 1_000_000];
        assert_eq!(response.on_bytes(&piece), Ok(Progress::Part));
        assert_eq!(response.on_bytes(&piece), Ok(Progress::Part));
        assert_eq!(response.on_bytes(&piece), Ok(Progress::Whole));
    }
}
