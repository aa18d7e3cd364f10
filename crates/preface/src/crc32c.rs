//! CRC-32C (Castagnoli), the checksum of a header.

/// Adds bytes to a checksum. The first is [`START`], and the last is inverted: [`finish`].
pub(crate) fn add(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ (sum >> 8))
}

pub(crate) fn finish(sum: u32) -> u32 {
    !sum
}

pub(crate) const START: u32 = !0;

/// The polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut sum = byte;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { POLYNOMIAL ^ (sum >> 1) } else { sum >> 1 };
            bit += 1;
        }
        table[byte as usize] = sum;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{START, add, finish};

    /// The values of RFC 3720, B.4, and the check value of the polynomial.
    #[test]
    fn it_has_the_values_of_the_standard() {
        check(b"", 0);
        check(b"123456789", 0xe306_9283);
        check(&[0; 32], 0x8a91_36aa);
        check(&[0xff; 32], 0x62a8_ab43);
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: u32) {
        assert_eq!(finish(add(START, bytes)), expected);
        let (head, tail) = bytes.split_at(bytes.len() / 3);
        assert_eq!(finish(add(add(START, head), tail)), expected, "in two parts");
    }
}
