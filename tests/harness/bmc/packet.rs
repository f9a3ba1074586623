//! Datagrams as the BMC reads and writes them.

use super::crypto::{Suite, decrypt, encrypt};

const RMCP: [u8; 4] = [6, 0, 0xff, 7];

/// A datagram that came in.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// An IPMI 1.5 packet outside of a session: its message.
    Old(&'a [u8]),
    /// RMCP+.
    Plus {
        /// With its two flags.
        kind: u8,
        /// Our id of the session.
        session: u32,
        /// The console's count.
        sequence: u32,
        /// Payload.
        payload: &'a [u8],
    },
}

/// Takes a datagram apart.
pub fn read(datagram: &[u8]) -> Option<Incoming<'_>> {
    let rest = datagram.strip_prefix(&RMCP)?;
    let word = |bytes: &[u8]| Some(u32::from_le_bytes(*bytes.first_chunk::<4>()?));
    match rest.first()? {
        0 => {
            let length = usize::from(*rest.get(9)?);
            Some(Incoming::Old(rest.get(10..10 + length)?))
        }
        6 => {
            let length = usize::from(u16::from_le_bytes([*rest.get(10)?, *rest.get(11)?]));
            Some(Incoming::Plus {
                kind: rest[1],
                session: word(&rest[2..])?,
                sequence: word(&rest[6..])?,
                payload: rest.get(12..12 + length)?,
            })
        }
        _ => None,
    }
}

/// An answer outside of a session, version 1.5.
pub fn write_old(message: &[u8]) -> Vec<u8> {
    [&RMCP[..], &[0; 9], &[message.len() as u8], message].concat()
}

/// An answer outside of a session, RMCP+.
pub fn write_open(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&RMCP[..], &[6, kind], &[0; 8], &(payload.len() as u16).to_le_bytes(), payload].concat()
}

/// The protection of a session.
pub struct Keys {
    /// Suite.
    pub suite: Suite,
    /// K1.
    pub integrity: Vec<u8>,
    /// K2, 16 bytes.
    pub encryption: [u8; 16],
}

impl Keys {
    /// Seals an answer.
    pub fn seal(&self, session: u32, sequence: u32, message: &[u8]) -> Vec<u8> {
        let sealed = encrypt(&self.encryption, message);
        let mut signed = vec![6, 0xc0];
        signed.extend_from_slice(&session.to_le_bytes());
        signed.extend_from_slice(&sequence.to_le_bytes());
        signed.extend_from_slice(&(sealed.len() as u16).to_le_bytes());
        signed.extend_from_slice(&sealed);
        let mut pad = 0;
        while !(signed.len() + 2).is_multiple_of(4) {
            signed.push(0xff);
            pad += 1;
        }
        signed.extend_from_slice(&[pad, 7]);
        let code = self.suite.hmac(&self.integrity, &[&signed]);
        [&RMCP[..], &signed, &code[..self.suite.code_len()]].concat()
    }

    /// Checks and opens a datagram already read.
    pub fn open(&self, datagram: &[u8], kind: u8, payload: &[u8]) -> Option<Vec<u8>> {
        if kind != 0xc0 {
            return None;
        }
        let (signed, code) = datagram.split_at_checked(datagram.len().checked_sub(self.suite.code_len())?)?;
        let signed = signed.get(4..)?;
        let pad_right = signed.len().is_multiple_of(4) && signed.ends_with(&[7]);
        let expected = self.suite.hmac(&self.integrity, &[signed]);
        (pad_right && expected[..self.suite.code_len()] == *code).then(|| decrypt(&self.encryption, payload))?
    }
}
