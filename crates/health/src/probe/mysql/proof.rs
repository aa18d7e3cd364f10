//! Proves to a server that the client has the password, without sending it.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::answer::{ProbeError, Text};

/// The method that every server supports.
pub(super) const NATIVE: &[u8] = b"mysql_native_password";
const SHA2: &[u8] = b"caching_sha2_password";

/// Whether `method` is supported.
pub(super) fn is_known(method: &[u8]) -> bool {
    matches!(method, NATIVE | SHA2)
}

/// The proof by a method that the server requests; empty for an empty password.
pub(super) fn proof(method: &[u8], password: Option<&str>, nonce: &[u8]) -> Result<Vec<u8>, ProbeError> {
    let password = password.unwrap_or_default().as_bytes();
    match method {
        NATIVE | SHA2 if password.is_empty() => Ok(Vec::new()),
        NATIVE => Ok(native(password, nonce)),
        SHA2 => Ok(sha2(password, nonce)),
        other => {
            let text = format_args!("the server requests {}, which is not supported", other.escape_ascii());
            Err(ProbeError::Authentication(Text::new(text)))
        }
    }
}

/// `SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password)))`
fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(password);
    let twice = Sha1::digest(once);
    xor(&once, &Sha1::new().chain_update(nonce).chain_update(twice).finalize())
}

/// `SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce)`
fn sha2(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = Sha256::digest(password);
    let twice = Sha256::digest(once);
    xor(&once, &Sha256::new().chain_update(twice).chain_update(nonce).finalize())
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

#[cfg(test)]
mod tests {
    use super::{NATIVE, SHA2, proof};

    /// Test vectors of `mysql_common`.
    #[test]
    fn proofs_equal_those_of_another_implementation() {
        let nonce = b"NR3HP:qIYa_9=db?Sd{`";
        assert_eq!(
            proof(NATIVE, Some("G!ider27"), nonce).unwrap(),
            *b"\x09\xcf\xf8\x85\x5e\x9e\x70\x53\x40\xff\x22\x70\xd8\xfb\x9f\xad\xba\x90\x6b\x70"
        );
        assert_eq!(
            proof(SHA2, Some("G!ider27"), nonce).unwrap(),
            *b"\x4f\x97\xbb\xfd\x20\x24\x01\xc4\x2a\x69\xde\xaa\xe5\x3b\xda\x07\
              \x7e\xd7\x57\x85\x63\xc1\xa8\x0e\xb8\x16\xc8\x21\x19\xb6\x8d\x2e"
        );
    }

    #[test]
    fn an_unknown_method_gives_no_proof() {
        for method in [&b"mysql_clear_password"[..], b"mysql_old_password", b"dialog", b"", b"\xff"] {
            assert!(proof(method, Some("s3cret"), b"nonce").is_err());
        }
    }
}
