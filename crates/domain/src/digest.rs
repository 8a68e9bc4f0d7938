//! SHA-256 in hex, and digests over lists of fields with unambiguous field boundaries.

use sha2::{Digest as _, Sha256};

/// SHA-256 of `bytes`, 64 lowercase hex digits (FIPS 180-4).
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Digest of a list of fields. Each field is preceded by its length, so that
/// `["ab","c"]` and `["a","bc"]` differ.
pub fn digest_fields<S: AsRef<str>>(fields: impl IntoIterator<Item = S>) -> String {
    let mut hasher = Sha256::new();
    for field in fields {
        let bytes = field.as_ref().as_bytes();
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hex(&hasher.finalize())
}

/// Bytes as lowercase hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(DIGITS[usize::from(b >> 4)] as char);
        out.push(DIGITS[usize::from(b & 15)] as char);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_test_vector_holds() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn field_boundaries_change_the_digest() {
        assert_ne!(digest_fields(["ab", "c"]), digest_fields(["a", "bc"]));
        assert_ne!(digest_fields(["a"]), digest_fields(["a", ""]));
    }
}
