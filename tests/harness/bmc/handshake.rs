//! The BMC's part of Open Session and RAKP.

use super::crypto::Suite;
use super::packet::Keys;

/// The BMC's identity.
pub const GUID: [u8; 16] = *b"wrought-test-bmc";

/// Who may come in.
pub struct Account<'a> {
    /// The one user.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// K_g, where one is set.
    pub kg: Option<&'a [u8]>,
    /// Highest level.
    pub level: u8,
}

/// A session from Open Session on.
pub struct Session {
    /// The console's id.
    pub console_id: u32,
    /// Ours.
    pub id: u32,
    suite: Suite,
    random: [u8; 16],
    console_random: [u8; 16],
    role: u8,
    user: Vec<u8>,
    /// Set when the handshake is done.
    pub keys: Option<Keys>,
    /// Present level: USER at first.
    pub level: u8,
    /// Our count.
    pub sent: u32,
    /// The console's highest count.
    pub seen: u32,
}

/// What Open Session asks for: tag, console id, suite.
pub fn read_open(payload: &[u8]) -> Option<(u8, u32, Option<Suite>)> {
    let codes = [*payload.get(12)?, *payload.get(20)?, *payload.get(28)?];
    let id = u32::from_le_bytes(*payload.get(4..)?.first_chunk::<4>()?);
    Some((payload[0], id, Suite::by_codes(codes)))
}

/// A refusal of any handshake message.
pub fn refuse(tag: u8, status: u8, console_id: u32) -> Vec<u8> {
    [&[tag, status, 0, 0][..], &console_id.to_le_bytes()].concat()
}

impl Session {
    /// A new one.
    pub fn new(console_id: u32, id: u32, suite: Suite) -> Self {
        Self {
            console_id,
            id,
            suite,
            random: rand::random(),
            console_random: [0; 16],
            role: 0,
            user: Vec::new(),
            keys: None,
            level: 2,
            sent: 0,
            seen: 0,
        }
    }

    /// The answer to Open Session.
    pub fn opened(&self, tag: u8) -> Vec<u8> {
        let codes: [u8; 3] = if self.suite == Suite::Three { [1, 1, 1] } else { [3, 4, 1] };
        let mut reply = vec![tag, 0, 4, 0];
        reply.extend_from_slice(&self.console_id.to_le_bytes());
        reply.extend_from_slice(&self.id.to_le_bytes());
        for (kind, code) in (0u8..).zip(codes) {
            reply.extend_from_slice(&[kind, 0, 0, 8, code, 0, 0, 0]);
        }
        reply
    }

    /// RAKP 1 in, RAKP 2 out.
    pub fn rakp_1(&mut self, payload: &[u8], account: &Account<'_>) -> Option<Vec<u8>> {
        let tag = *payload.first()?;
        self.console_random = *payload.get(8..)?.first_chunk::<16>()?;
        self.role = *payload.get(24)?;
        let length = usize::from(*payload.get(27)?);
        self.user = payload.get(28..28 + length)?.to_vec();
        if self.user != account.user.as_bytes() {
            return Some(refuse(tag, 0x0d, self.console_id));
        }
        if self.role & 0x0f > account.level {
            return Some(refuse(tag, 0x0a, self.console_id));
        }
        let proof = self.suite.hmac(
            account.password.as_bytes(),
            &[
                &self.console_id.to_le_bytes(),
                &self.id.to_le_bytes(),
                &self.console_random,
                &self.random,
                &GUID,
                &[self.role, length as u8],
                &self.user,
            ],
        );
        Some([&refuse(tag, 0, self.console_id)[..], &self.random, &GUID, &proof].concat())
    }

    /// RAKP 3 in, RAKP 4 out; the session has keys afterwards. `Err` = the console gave up.
    pub fn rakp_3(&mut self, payload: &[u8], account: &Account<'_>) -> Option<Result<Vec<u8>, ()>> {
        let (&[tag, status], _) = payload.split_first_chunk::<2>()?;
        if status != 0 {
            return Some(Err(()));
        }
        let name = [self.role, self.user.len() as u8];
        let expected = self
            .suite
            .hmac(account.password.as_bytes(), &[&self.random, &self.console_id.to_le_bytes(), &name, &self.user]);
        if payload.get(8..)? != expected {
            return Some(Ok(refuse(tag, 0x0f, self.console_id)));
        }
        let key = account.kg.unwrap_or(account.password.as_bytes());
        let sik = self.suite.hmac(key, &[&self.console_random, &self.random, &name, &self.user]);
        let derived = |byte: u8| self.suite.hmac(&sik, &[&[byte; 20]]);
        let encryption = *derived(2).first_chunk::<16>()?;
        self.keys = Some(Keys { suite: self.suite, integrity: derived(1), encryption });
        let proof = self.suite.hmac(&sik, &[&self.console_random, &self.id.to_le_bytes(), &GUID]);
        Some(Ok([&refuse(tag, 0, self.console_id)[..], &proof[..self.suite.code_len()]].concat()))
    }
}
