//! The body of a response while it arrives: with a length, in chunks, or until the connection ends.

use httparse::{Header, Status, parse_chunk_size};

use super::super::talk::ANSWER_MAX;
use config::probe::Method;

/// The received part of a body.
pub(super) struct Body {
    framing: Framing,
    text: Vec<u8>,
}

/// How the body ends.
enum Framing {
    /// This many bytes are missing.
    Length(u64),
    /// This many bytes of a chunk are missing. Then its end and the length of the next chunk follow.
    Chunks(u64),
    /// With the connection.
    Connection,
}

impl Body {
    /// The body after these headers, of the response to a request by `method`.
    pub(super) fn new(method: Method, status: u16, headers: &[Header<'_>]) -> Self {
        let value = |name: &str| {
            let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok().map(str::trim)
        };
        let framing = if method == Method::Head || matches!(status, 204 | 304) {
            Framing::Length(0)
        } else if value("transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"))
        {
            Framing::Chunks(0)
        } else {
            let length = value("content-length").and_then(|length| length.parse().ok());
            length.map_or(Framing::Connection, Framing::Length)
        };
        Self { framing, text: Vec::new() }
    }

    /// A body of unknown length.
    pub(super) fn without_length() -> Self {
        Self { framing: Framing::Connection, text: Vec::new() }
    }

    /// The received part, at most [`ANSWER_MAX`].
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Takes the body from the front of `received`, and returns whether that was its end.
    pub(super) fn take(&mut self, received: &mut Vec<u8>) -> bool {
        loop {
            let left = match &mut self.framing {
                Framing::Connection => {
                    append(&mut self.text, received, u64::MAX);
                    return false;
                }
                Framing::Length(left) => {
                    *left -= append(&mut self.text, received, *left);
                    return *left == 0;
                }
                Framing::Chunks(left) => left,
            };
            *left -= append(&mut self.text, received, *left);
            if *left > 0 {
                return false;
            }
            let ends = received.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            received.drain(..ends);
            match parse_chunk_size(received) {
                Ok(Status::Complete((length, size))) => {
                    received.drain(..length);
                    *left = size;
                    if size == 0 {
                        return true;
                    }
                }
                Ok(Status::Partial) if received.len() < ANSWER_MAX => return false,
                // The rest cannot be parsed.
                Ok(Status::Partial) | Err(_) => return true,
            }
        }
    }
}

/// Moves the front of `from`, at most `most` bytes, to the end of `to`, and drops what `to` has no room for.
/// Returns how many bytes were taken.
fn append(to: &mut Vec<u8>, from: &mut Vec<u8>, most: u64) -> u64 {
    let count = usize::try_from(most).map_or(from.len(), |most| most.min(from.len()));
    let room = ANSWER_MAX - to.len();
    to.extend(from.drain(..count).take(room));
    count as u64
}

#[cfg(test)]
mod tests {
    use httparse::Header;
    use proptest::prelude::*;

    use super::super::super::talk::ANSWER_MAX;
    use super::Body;
    use config::probe::Method;

    /// The result of a body that arrives in pieces: its text, and whether its end was seen.
    fn read(headers: &[(&str, &str)], pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let mut body = Body::new(Method::Get, 200, &headers);
        let (mut received, mut has_ended) = (Vec::new(), false);
        for piece in pieces {
            received.extend_from_slice(piece);
            has_ended = body.take(&mut received);
        }
        (body.text, has_ended)
    }

    const CHUNKED: &[(&str, &str)] = &[("Transfer-Encoding", "gzip, Chunked")];

    #[test]
    fn bodies_are_framed_as_servers_do() {
        let text = |text: &str, has_ended| (text.as_bytes().to_vec(), has_ended);
        assert_eq!(read(&[], &[b"we", b"ll"]), text("well", false));
        assert_eq!(read(&[("content-length", " 4")], &[b"we", b"ll, and more"]), text("well", true));
        assert_eq!(read(&[("content-length", "5")], &[b"well"]), text("well", false));
        assert_eq!(read(&[("content-length", "-1")], &[b"well"]), text("well", false));
        assert_eq!(read(CHUNKED, &[b"2\r\nwe\r\n2;x=y\r\nll\r\n0\r\n\r\n"]), text("well", true));
        assert_eq!(read(CHUNKED, &[b"2\r\nwe\r\n"]), text("we", false));
        assert_eq!(read(CHUNKED, &[b"no length"]), text("", true));
        assert_eq!(read(CHUNKED, &[b"fffffffffffffffff\r\nwell"]), text("", true));
    }

    #[test]
    fn some_answers_have_no_body() {
        for (method, status) in [(Method::Head, 200), (Method::Get, 204), (Method::Get, 304)] {
            let headers = [Header { name: "content-length", value: b"4" }];
            assert!(Body::new(method, status, &headers).take(&mut Vec::new()), "{method:?} {status}");
        }
    }

    proptest! {
        #[test]
        fn chunks_are_put_together_wherever_they_are_cut(cuts in prop::collection::vec(1..9_usize, 0..20)) {
            let mut rest: &[u8] = b"4\r\nwell\r\n1\r\n,\r\nA\r\n all of it\r\n0\r\n\r\n";
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            let (text, _) = read(CHUNKED, &pieces);
            prop_assert_eq!(text, b"well, all of it");
        }

        #[test]
        fn no_more_is_kept_than_is_searched(size in 0..4 * ANSWER_MAX, cut in 1..ANSWER_MAX) {
            let bytes = vec![b'x'; size];
            let pieces: Vec<_> = bytes.chunks(cut).collect();
            prop_assert_eq!(read(&[], &pieces).0.len(), size.min(ANSWER_MAX));
        }
    }
}
