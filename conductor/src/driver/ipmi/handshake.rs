//! Opening an RMCP+ session: Open Session and RAKP 1 to 4, their bytes and their proofs (IPMI 2.0 sections 13.17-13.28).
//!
//! Pure: `login` sends and waits.

use super::crypto::hmac;
use super::secret::{Secret, same};
use super::suite::Suite;

/// What both sides know once RAKP 2 came; every proof is made from it.
pub struct Exchange<'a> {
    /// The suite asked for.
    pub suite: Suite,
    /// Password, the key of the first proofs.
    pub password: &'a Secret,
    /// K_g where the BMC has one, else the password stands in.
    pub kg: Option<&'a Secret>,
    /// Our session id and random number.
    pub console_id: u32,
    /// See above.
    pub console_random: [u8; 16],
    /// The BMC's session id.
    pub managed_id: u32,
    /// Role byte as sent in RAKP 1.
    pub role: u8,
    /// As sent in RAKP 1.
    pub user: &'a [u8],
}

/// Keys of a session.
pub struct Keys {
    /// K1: integrity.
    pub integrity: Secret,
    /// K2, its first 16 bytes: AES.
    pub encryption: [u8; 16],
}

impl Drop for Keys {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.encryption);
    }
}

/// Open Session request.
pub fn open_request(tag: u8, privilege: u8, console_id: u32, suite: Suite) -> Vec<u8> {
    let mut bytes = vec![tag, privilege, 0, 0];
    bytes.extend_from_slice(&console_id.to_le_bytes());
    for (kind, code) in suite.algorithm_codes().into_iter().enumerate() {
        bytes.extend_from_slice(&[kind as u8, 0, 0, 8, code, 0, 0, 0]); // three kinds
    }
    bytes
}

/// Status of a reply that is not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub u8);

/// Takes an Open Session response apart: the BMC's session id and the algorithms it took. `None` = not ours.
pub fn open_response(bytes: &[u8], tag: u8, console_id: u32) -> Option<Result<(u32, [u8; 3]), Refused>> {
    accept_head(bytes, tag, console_id, |bytes| {
        let managed_id = u32::from_le_bytes(*bytes.get(8..)?.first_chunk::<4>()?);
        let code = |at: usize| bytes.get(at).map(|code| code & 0x3f);
        Some((managed_id, [code(16)?, code(24)?, code(32)?]))
    })
}

/// RAKP 1. `user` is at most 16 bytes by validation.
pub fn rakp_1(tag: u8, exchange: &Exchange<'_>) -> Vec<u8> {
    let mut bytes = vec![tag, 0, 0, 0];
    bytes.extend_from_slice(&exchange.managed_id.to_le_bytes());
    bytes.extend_from_slice(&exchange.console_random);
    bytes.extend_from_slice(&[exchange.role, 0, 0, exchange.user.len() as u8]);
    bytes.extend_from_slice(exchange.user);
    bytes
}

/// What RAKP 2 brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rakp2 {
    random: [u8; 16],
    guid: [u8; 16],
    proof: Vec<u8>,
}

/// Takes RAKP 2 apart. `None` = not ours.
pub fn rakp_2(bytes: &[u8], tag: u8, exchange: &Exchange<'_>) -> Option<Result<Rakp2, Refused>> {
    accept_head(bytes, tag, exchange.console_id, |bytes| {
        let (random, rest) = bytes.get(8..)?.split_first_chunk::<16>()?;
        let (guid, rest) = rest.split_first_chunk::<16>()?;
        let proof = rest.get(..exchange.suite.hash.digest_len())?.to_vec();
        Some(Rakp2 { random: *random, guid: *guid, proof })
    })
}

/// Takes RAKP 4 apart: the BMC's last proof. `None` = not ours.
pub fn rakp_4(bytes: &[u8], tag: u8, exchange: &Exchange<'_>) -> Option<Result<Vec<u8>, Refused>> {
    accept_head(bytes, tag, exchange.console_id, |bytes| {
        Some(bytes.get(8..8 + exchange.suite.hash.code_len())?.to_vec())
    })
}

/// Tag, status, two bytes, our session id: the head of every reply. Refusals may end after it (or even before the id).
fn accept_head<T>(
    bytes: &[u8],
    tag: u8,
    console_id: u32,
    body: impl FnOnce(&[u8]) -> Option<T>,
) -> Option<Result<T, Refused>> {
    let (&[their_tag, status], _) = bytes.split_first_chunk::<2>()?;
    if their_tag != tag {
        return None;
    }
    if status != 0 {
        return Some(Err(Refused(status)));
    }
    let id = u32::from_le_bytes(*bytes.get(4..)?.first_chunk::<4>()?);
    if id != console_id {
        return None;
    }
    body(bytes).map(Ok)
}

impl Exchange<'_> {
    fn name(&self) -> [u8; 2] {
        [self.role, self.user.len() as u8]
    }

    /// The BMC knows the password: false means that it has another one.
    pub fn proves_password(&self, reply: &Rakp2) -> bool {
        let expected = hmac(
            self.suite.hash,
            self.password.expose(),
            &[
                &self.console_id.to_le_bytes(),
                &self.managed_id.to_le_bytes(),
                &self.console_random,
                &reply.random,
                &reply.guid,
                &self.name(),
                self.user,
            ],
        );
        same(&expected, &reply.proof)
    }

    /// RAKP 3 with our proof.
    pub fn rakp_3(&self, tag: u8, reply: &Rakp2) -> Vec<u8> {
        let proof = hmac(
            self.suite.hash,
            self.password.expose(),
            &[&reply.random, &self.console_id.to_le_bytes(), &self.name(), self.user],
        );
        let mut bytes = self.rakp_3_refusing(tag, 0);
        bytes.extend_from_slice(&proof);
        bytes
    }

    /// RAKP 3 that tells the BMC to forget this attempt: it need not keep a session slot for it.
    pub fn rakp_3_refusing(&self, tag: u8, status: u8) -> Vec<u8> {
        let mut bytes = vec![tag, status, 0, 0];
        bytes.extend_from_slice(&self.managed_id.to_le_bytes());
        bytes
    }

    /// The session integrity key: everything else is made from it.
    fn session_key(&self, reply: &Rakp2) -> Secret {
        let key = self.kg.unwrap_or(self.password);
        let parts: &[&[u8]] = &[&self.console_random, &reply.random, &self.name(), self.user];
        Secret::new(hmac(self.suite.hash, key.expose(), parts))
    }

    /// Checks the BMC's last proof; the keys if it holds (it does not when K_g is wrong).
    pub fn keys(&self, reply: &Rakp2, last_proof: &[u8]) -> Option<Keys> {
        let sik = self.session_key(reply);
        let expected =
            hmac(self.suite.hash, sik.expose(), &[&self.console_random, &self.managed_id.to_le_bytes(), &reply.guid]);
        if !same(expected.get(..self.suite.hash.code_len())?, last_proof) {
            return None;
        }
        let constant = |byte: u8| Secret::new(hmac(self.suite.hash, sik.expose(), &[&[byte; 20]]));
        let encryption = *constant(2).expose().first_chunk::<16>()?;
        Some(Keys { integrity: constant(1), encryption })
    }
}

/// What a refusal means and what to do (IPMI 2.0 table 13-15).
pub fn status_text(status: u8) -> String {
    let text = match status {
        0x01 | 0x0b => "all session slots of the BMC are taken: close other IPMI sessions or reset the BMC",
        0x02 | 0x08 => "the BMC no longer knows the session it has just opened",
        0x03 | 0x12 => "the BMC did not understand the request",
        0x04..=0x07 | 0x10 | 0x11 => "the BMC refuses this cipher suite: set ipmi_cipher_suite to one it has enabled",
        0x09 | 0x0a => {
            "this user may not have the privilege level asked for: correct ipmi_priv_level or the user's rights"
        }
        0x0c => "the user name is too long for this BMC: correct ipmi_username",
        0x0d => "the BMC does not know this user: correct ipmi_username",
        0x0e => "the BMC refuses its own GUID: update its firmware",
        0x0f => "the proof of the password or of K_g is wrong: correct ipmi_password or ipmi_hex_kg_key",
        _ => return format!("the BMC refused with the unknown status {status:#04x}"),
    };
    format!("{text} (RMCP+ status {status:#04x})")
}

/// Another cipher suite may do.
pub fn is_suite_refusal(status: u8) -> bool {
    matches!(status, 0x03..=0x07 | 0x10..=0x12)
}

/// Trying again later may do.
pub fn is_passing(status: u8) -> bool {
    matches!(status, 0x01 | 0x02 | 0x08 | 0x0b)
}

#[cfg(test)]
mod tests {
    use super::{Exchange, open_response, rakp_2, rakp_4};
    use crate::driver::ipmi::secret::Secret;
    use crate::driver::ipmi::suite::Suite;
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn any_reply_is_taken_apart_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), suite in 0usize..2) {
            let password = Secret::new(b"x".to_vec());
            let suite = Suite::by_id([3, 17][suite]).unwrap();
            let exchange = Exchange {
                suite, password: &password, kg: None, console_id: 1, console_random: [0; 16], managed_id: 2, role: 0x14, user: b"admin",
            };
            let mut ours = vec![9, 0, 0, 0, 1, 0, 0, 0];
            ours.extend_from_slice(&bytes);
            for bytes in [&bytes, &ours] {
                let _ = open_response(bytes, 9, 1);
                let _ = rakp_4(bytes, 9, &exchange);
                if let Some(Ok(reply)) = rakp_2(bytes, 9, &exchange) {
                    assert!(!exchange.proves_password(&reply), "a proof by chance");
                    assert!(exchange.keys(&reply, &bytes[..0]).is_none());
                }
            }
        }
    }
}
