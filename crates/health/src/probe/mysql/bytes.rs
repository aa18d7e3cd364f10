//! Parses packets. Missing data is `None`.

/// The rest of a packet.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The bytes before the next zero, which is consumed.
    pub(super) fn until_zero(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let taken = self.take(end)?;
        self.take(1)?;
        Some(taken)
    }

    /// A length-encoded integer.
    pub(super) fn length(&mut self) -> Option<u64> {
        let width = match self.take(1)?[0] {
            small @ 0..=0xfa => return Some(u64::from(small)),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xfb | 0xff => return None,
        };
        let mut number = [0; 8];
        number[..width].copy_from_slice(self.take(width)?);
        Some(u64::from_le_bytes(number))
    }

    /// A length-encoded string.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.length()?).ok()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Bytes;

    #[test]
    fn lengths() {
        for (bytes, length) in [
            (&[][..], None),
            (&[0], Some(0)),
            (&[0xfa], Some(250)),
            (&[0xfb], None),
            (&[0xfc, 1, 2], Some(0x0201)),
            (&[0xfc, 1], None),
            (&[0xfd, 1, 2, 3], Some(0x03_0201)),
            (&[0xfe, 255, 255, 255, 255, 255, 255, 255, 255], Some(u64::MAX)),
            (&[0xff, 0, 0], None),
        ] {
            assert_eq!(Bytes(bytes).length(), length, "{bytes:?}");
        }
    }

    #[test]
    fn strings() {
        assert_eq!(Bytes(b"\x03abcd").string(), Some(&b"abc"[..]));
        assert_eq!(Bytes(b"\x05abcd").string(), None);
        assert_eq!(Bytes(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xffabcd").string(), None);
        assert_eq!(Bytes(b"ab\0c").until_zero(), Some(&b"ab"[..]));
        assert_eq!(Bytes(b"ab").until_zero(), None);
    }

    proptest! {
        #[test]
        fn missing_bytes_are_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut rest = Bytes(&bytes);
            while let Some(string) = rest.string() {
                prop_assert!(string.len() < bytes.len());
            }
        }
    }
}
