//! A session of IPMI 1.5: authentication codes, no encryption (IPMI 1.5 section 6.11, 12.9 and 18.12-18.18). Pure.

use super::packet::{Old, Packet, decode, encode_old};
use super::secret::{Secret, same};
use super::window::Window;
use md5::{Digest, Md5};

/// Passwords and codes have this length.
const FIELD: usize = 16;

/// How packets of a session are proven, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthType {
    /// A digest with the password in it.
    Md5,
    /// The password itself, readable by anybody on the way.
    Password,
    /// Nothing.
    None,
}

impl AuthType {
    /// Of the bits in Get Channel Authentication Capabilities, the best. MD2 and OEM types are not spoken here.
    pub fn best_of(bits: u8) -> Option<AuthType> {
        [AuthType::Md5, AuthType::Password, AuthType::None].into_iter().find(|kind| bits & 1 << kind.number() != 0)
    }

    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            AuthType::None => 0,
            AuthType::Md5 => 2,
            AuthType::Password => 4,
        }
    }
}

/// An IPMI 1.5 session, also while it is being activated.
pub struct OldSession {
    kind: AuthType,
    password: Secret,
    id: u32,
    /// The number of the next packet sent; 0 until the session is active.
    next: u32,
    window: Window,
    /// The BMC said that it does not prove each packet.
    unproven_answers: bool,
}

impl OldSession {
    /// The temporary session that carries Activate Session.
    pub fn temporary(kind: AuthType, password: &Secret, id: u32) -> Self {
        let password = password.padded(FIELD);
        Self { kind, password, id, next: 0, window: Window::before(0), unproven_answers: false }
    }

    /// After Activate Session: the BMC's session id, our first number, its first number.
    pub fn activated(self, id: u32, next: u32, first_answer: u32, unproven_answers: bool) -> Self {
        Self { id, next, window: Window::before(first_answer), unproven_answers, ..self }
    }

    /// The BMC's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Seals a message.
    pub fn seal(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let sequence = self.next;
        if sequence != 0 {
            self.next = sequence.checked_add(1).unwrap_or(1);
        }
        let code = self.code(self.id, sequence, message);
        let kind = self.kind.number();
        encode_old(&Old { auth_type: kind, sequence, session: self.id, code: code.as_ref(), payload: message })
    }

    /// Opens a datagram of the active session.
    pub fn unseal(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let Packet::Old(old) = decode(datagram)? else { return None };
        if old.session != self.id || !self.is_proven(&old) || !self.window.take(old.sequence) {
            return None;
        }
        Some(old.payload.to_vec())
    }

    /// Opens the answer to Activate Session: its number is the one we chose, and nothing else is known yet.
    pub fn unseal_activation(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let Packet::Old(old) = decode(datagram)? else { return None };
        // BMCs differ in whether this answer is proven; what it says is proven by the session working afterwards.
        (old.auth_type == 0 || self.is_proven(&old)).then(|| old.payload.to_vec())
    }

    fn is_proven(&self, old: &Old<'_>) -> bool {
        if old.auth_type == 0 {
            return self.kind == AuthType::None || self.unproven_answers;
        }
        let expected = self.code(old.session, old.sequence, old.payload);
        old.auth_type == self.kind.number()
            && matches!((expected, old.code), (Some(expected), Some(code)) if same(&expected, code))
    }

    fn code(&self, session: u32, sequence: u32, message: &[u8]) -> Option<[u8; FIELD]> {
        let password = self.password.expose();
        match self.kind {
            AuthType::None => None,
            AuthType::Password => password.first_chunk::<FIELD>().copied(),
            AuthType::Md5 => Some(
                Md5::new()
                    .chain_update(password)
                    .chain_update(session.to_le_bytes())
                    .chain_update(message)
                    .chain_update(sequence.to_le_bytes())
                    .chain_update(password)
                    .finalize()
                    .into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AuthType, OldSession};
    use crate::driver::ipmi::secret::Secret;
    use proptest::prelude::{any, proptest};

    fn session(kind: AuthType) -> OldSession {
        OldSession::temporary(kind, &Secret::new(b"secret".to_vec()), 7).activated(7, 1, 1, false)
    }

    #[test]
    fn the_best_kind_is_chosen() {
        assert_eq!(AuthType::best_of(0b1_0111), Some(AuthType::Md5));
        assert_eq!(AuthType::best_of(0b1_0011), Some(AuthType::Password));
        assert_eq!(AuthType::best_of(0b0_0010), None, "MD2 alone");
    }

    proptest! {
        #[test]
        fn a_message_comes_through_once_and_no_changed_bit_does(
            message in proptest::collection::vec(any::<u8>(), 1..100), at: usize, bit in 0u8..8,
        ) {
            let (mut here, mut there) = (session(AuthType::Md5), session(AuthType::Md5));
            let packet = here.seal(&message).unwrap();
            let mut broken = packet.clone();
            // From the session header to the end of the message; a pad byte may follow.
            let at = 4 + at % (26 + message.len() - 4);
            broken[at] ^= 1 << bit;
            assert_eq!(there.unseal(&broken), None, "changed at {at}");
            assert_eq!(there.unseal(&packet), Some(message));
            assert_eq!(there.unseal(&packet), None, "replayed");
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut ours = vec![6, 0, 0xff, 7];
            ours.extend_from_slice(&bytes);
            session(AuthType::Md5).unseal(&ours);
            session(AuthType::Md5).unseal_activation(&ours);
        }
    }
}
