//! An open session: seals messages into datagrams and opens what comes back. Pure.

use super::crypto::{decrypt, encrypt, hmac};
use super::handshake::Keys;
use super::old_session::OldSession;
use super::packet::{Packet, Plus, SESSION_AT, decode, encode_plus, payload};
use super::secret::same;
use super::suite::Suite;
use super::window::Window;

/// Pad and "next header" of the trailer (IPMI 2.0 table 13-8).
const PAD: u8 = 0xff;
const NEXT_HEADER: u8 = 0x07;

/// A session of either version.
pub enum Session {
    /// RMCP+.
    Plus(PlusSession),
    /// IPMI 1.5.
    Old(OldSession),
}

impl Session {
    /// A datagram with the message; each one counts.
    pub fn seal(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Session::Plus(session) => session.seal(message),
            Session::Old(session) => session.seal(message),
        }
    }

    /// The message in a datagram; `None` for whatever is not proven to be of this session, and for repetitions.
    pub fn unseal(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        match self {
            Session::Plus(session) => session.unseal(datagram),
            Session::Old(session) => session.unseal(datagram),
        }
    }

    /// The BMC's id of the session: what Close Session names.
    pub fn managed_id(&self) -> u32 {
        match self {
            Session::Plus(session) => session.managed_id,
            Session::Old(session) => session.id(),
        }
    }

    /// The cipher suite, for logs; `None` in IPMI 1.5.
    pub fn suite(&self) -> Option<u8> {
        match self {
            Session::Plus(session) => Some(session.suite.id),
            Session::Old(_) => None,
        }
    }
}

/// An RMCP+ session.
pub struct PlusSession {
    suite: Suite,
    keys: Keys,
    console_id: u32,
    managed_id: u32,
    sent: u32,
    window: Window,
}

impl PlusSession {
    /// A session whose handshake is done.
    pub fn new(suite: Suite, keys: Keys, console_id: u32, managed_id: u32) -> Self {
        Self { suite, keys, console_id, managed_id, sent: 0, window: Window::before(1) }
    }

    fn seal(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        // 0 marks packets outside of a session, so the count goes round without it.
        self.sent = self.sent.checked_add(1).unwrap_or(1);
        let sealed = if self.suite.encrypted { encrypt(&self.keys.encryption, message) } else { message.to_vec() };
        let mut packet = encode_plus(&Plus {
            payload_type: payload::IPMI,
            encrypted: self.suite.encrypted,
            authenticated: self.suite.integrity,
            session: self.managed_id,
            sequence: self.sent,
            payload: &sealed,
        })?;
        if self.suite.integrity {
            // Everything from the session header up to and with "next header" is a multiple of four.
            let pad = (4 - (packet.len() - SESSION_AT + 2) % 4) % 4;
            packet.extend(std::iter::repeat_n(PAD, pad));
            packet.extend_from_slice(&[pad as u8, NEXT_HEADER]);
            let code = hmac(self.suite.hash, self.keys.integrity.expose(), &[&packet[SESSION_AT..]]);
            packet.extend_from_slice(code.get(..self.suite.code_len())?);
        }
        Some(packet)
    }

    fn unseal(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let Packet::Plus(plus) = decode(datagram)? else { return None };
        // A packet with less protection than was agreed on is not of this session, whoever sent it.
        if plus.session != self.console_id
            || plus.payload_type != payload::IPMI
            || plus.authenticated != self.suite.integrity
            || plus.encrypted != self.suite.encrypted
        {
            return None;
        }
        if self.suite.integrity {
            let (signed, code) = datagram.split_at_checked(datagram.len().checked_sub(self.suite.code_len())?)?;
            let expected = hmac(self.suite.hash, self.keys.integrity.expose(), &[signed.get(SESSION_AT..)?]);
            if !same(expected.get(..self.suite.code_len())?, code) {
                return None;
            }
        }
        if plus.sequence == 0 || !self.window.take(plus.sequence) {
            return None;
        }
        if self.suite.encrypted { decrypt(&self.keys.encryption, plus.payload) } else { Some(plus.payload.to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::PlusSession;
    use crate::driver::ipmi::handshake::Keys;
    use crate::driver::ipmi::secret::Secret;
    use crate::driver::ipmi::suite::Suite;
    use proptest::prelude::{any, proptest};

    /// Two ends of one session: the same keys, the ids crossed.
    fn ends(suite: u8) -> (PlusSession, PlusSession) {
        let suite = Suite::by_id(suite).unwrap();
        let keys = || Keys { integrity: Secret::new(vec![5; 20]), encryption: [6; 16] };
        (PlusSession::new(suite, keys(), 11, 22), PlusSession::new(suite, keys(), 22, 11))
    }

    proptest! {
        #[test]
        fn a_message_comes_through_once_and_no_changed_bit_does(
            message in proptest::collection::vec(any::<u8>(), 0..200), suite in 0usize..3, at: usize, bit in 0u8..8,
        ) {
            let (mut here, mut there) = ends([2, 3, 17][suite]);
            let packet = here.seal(&message).unwrap();
            let mut broken = packet.clone();
            let at = 4 + at % (broken.len() - 4); // the RMCP header is not covered
            broken[at] ^= 1 << bit;
            assert_eq!(there.unseal(&broken), None, "changed at {at}");
            assert_eq!(there.unseal(&packet), Some(message));
            assert_eq!(there.unseal(&packet), None, "replayed");
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), suite in 0usize..4) {
            let (mut here, _) = ends([1, 2, 3, 17][suite]);
            let mut ours = vec![6, 0, 0xff, 7, 6, 0xc0, 11, 0, 0, 0];
            ours.extend_from_slice(&bytes);
            here.unseal(&bytes);
            here.unseal(&ours);
        }
    }
}
