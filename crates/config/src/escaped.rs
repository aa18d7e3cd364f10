//! Bytes as text with escapes: `PING\r\n`, `\x00\xff`.

use crate::limits::PROBE_TEXT_BYTES_MAX;
use crate::problem::{Quoted, Wrong};

/// Reads the bytes of a text with escapes.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, Wrong> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, length) = unescape(escape)?;
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    if bytes.len() > PROBE_TEXT_BYTES_MAX {
        return Err(Wrong::new(format!("the text is longer than {PROBE_TEXT_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// The byte of an escape, given without its backslash, and the length of the escape.
fn unescape(escape: &str) -> Result<(u8, usize), Wrong> {
    let byte = match escape.bytes().next() {
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'0') => 0,
        Some(b'\\') => b'\\',
        Some(b'x') => {
            let digits =
                escape.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            return byte.map(|byte| (byte, 3)).ok_or_else(|| {
                Wrong::new("`\\x` without two hexadecimal digits").help("write a byte as `\\x0d`")
            });
        }
        _ => {
            let shown: String = "\\".chars().chain(escape.chars().take(1)).collect();
            return Err(Wrong::new(format!("unknown escape {}", Quoted(&shown)))
                .help("the escapes are `\\r`, `\\n`, `\\t`, `\\0`, `\\\\` and `\\x0d`"));
        }
    };
    Ok((byte, 1))
}

/// Formats bytes as a file would.
pub(crate) fn show(bytes: &[u8]) -> String {
    // The same escapes except for quotes, which need none here.
    bytes.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{parse, show};

    #[test]
    fn escapes_stand_for_bytes() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("PING\\r\\n", b"PING\r\n"),
            ("\\0\\x00\\xfF\\\\x41", b"\0\0\xff\\x41"),
            ("\u{e9}", b"\xc3\xa9"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(bytes), "{text}");
        }
        for text in ["\\", "a\\", "\\q", "\\x", "\\x1", "\\xg0", "\\x\u{e9}", "\\\u{e9}", &"a".repeat(4097)] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(parse(&show(&bytes)), Ok(bytes));
        }
    }
}
