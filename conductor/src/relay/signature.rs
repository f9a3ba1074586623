//! The signature of a webhook: HMAC-SHA256 over time, dot and body, so that a receiver knows the sender and the age.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write;

/// How the header begins; another scheme would have another word.
const SCHEME: &str = "v1=";

fn digest(secret: &[u8], timestamp: i64, body: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length.
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).ok()?;
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac)
}

/// The header `X-Wrought-Signature` for a body sent at `timestamp` (seconds since 1970, in `X-Wrought-Timestamp`).
pub fn sign(secret: &[u8], timestamp: i64, body: &[u8]) -> String {
    let mut text = String::from(SCHEME);
    for byte in digest(secret, timestamp, body).map(|mac| mac.finalize().into_bytes()).into_iter().flatten() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What a receiver does; takes the same time wherever the first wrong digit is.
pub fn verify(secret: &[u8], timestamp: i64, body: &[u8], header: &str) -> bool {
    let Some(digits) = header.strip_prefix(SCHEME).filter(|digits| digits.len() == 64 && digits.is_ascii()) else {
        return false;
    };
    let bytes: Option<Vec<u8>> = (0..32).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()).collect();
    match (digest(secret, timestamp, body), bytes) {
        (Some(mac), Some(bytes)) => mac.verify_slice(&bytes).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac 'a secret of some length'`
    const OPENSSL: &str = "b2f3890587148a3da11f9090d86e84bf4389debcfa35944d2f893e5402b253bd";

    #[test]
    fn signatures_are_those_of_openssl_and_anything_else_is_refused() {
        let (secret, body) = (b"a secret of some length", br#"{"id":1}"#);
        assert_eq!(sign(secret, 1_700_000_000, body), format!("v1={OPENSSL}"));
        let header = sign(secret, 1_700_000_000, body);
        assert!(verify(secret, 1_700_000_000, body, &header));
        assert!(!verify(secret, 1_700_000_001, body, &header), "another time");
        assert!(!verify(secret, 1_700_000_000, b"{}", &header), "another body");
        assert!(!verify(b"another secret", 1_700_000_000, body, &header));
        for wrong in ["", "v1=", "v2=00", &header[3..], &header[..header.len() - 1]] {
            assert!(!verify(secret, 1_700_000_000, body, wrong), "{wrong}");
        }
    }
}
