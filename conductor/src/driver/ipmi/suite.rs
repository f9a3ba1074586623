//! Cipher suites (IPMI 2.0 table 22-20): which of them this client speaks, and with which algorithms.

/// Hash used by RAKP and by the integrity code of the same suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// RAKP-HMAC-SHA1, HMAC-SHA1-96.
    Sha1,
    /// RAKP-HMAC-SHA256, HMAC-SHA256-128.
    Sha256,
}

impl Hash {
    /// Bytes of a whole digest.
    pub fn digest_len(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
        }
    }

    /// Bytes of the shortened code in RAKP 4 and in session trailers.
    pub fn code_len(self) -> usize {
        match self {
            Hash::Sha1 => 12,
            Hash::Sha256 => 16,
        }
    }
}

/// One suite: RAKP always has the hash; integrity and AES-CBC-128 may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// The number people write in `ipmi_cipher_suite`.
    pub id: u8,
    /// For RAKP, and for integrity where there is any.
    pub hash: Hash,
    /// Packets carry an integrity code.
    pub integrity: bool,
    /// Payloads are encrypted.
    pub encrypted: bool,
}

/// Suite 0 is left out on purpose: it lets anybody in. Those with MD5 or xRC4 are broken and served by nothing here.
#[rustfmt::skip]
const TABLE: &[Suite] = &[
    Suite { id: 1,  hash: Hash::Sha1,   integrity: false, encrypted: false },
    Suite { id: 2,  hash: Hash::Sha1,   integrity: true,  encrypted: false },
    Suite { id: 3,  hash: Hash::Sha1,   integrity: true,  encrypted: true },
    Suite { id: 15, hash: Hash::Sha256, integrity: false, encrypted: false },
    Suite { id: 16, hash: Hash::Sha256, integrity: true,  encrypted: false },
    Suite { id: 17, hash: Hash::Sha256, integrity: true,  encrypted: true },
];

impl Suite {
    /// By number; `None` = not spoken here.
    pub fn by_id(id: u8) -> Option<Suite> {
        TABLE.iter().copied().find(|suite| suite.id == id)
    }

    /// The numbers spoken here, for messages.
    pub fn known_ids() -> String {
        TABLE.iter().map(|suite| suite.id.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Codes of authentication, integrity and confidentiality as Open Session carries them (tables 13-17 to 13-19).
    pub fn algorithm_codes(self) -> [u8; 3] {
        let (authentication, integrity) = match self.hash {
            Hash::Sha1 => (1, 1),
            Hash::Sha256 => (3, 4),
        };
        [authentication, if self.integrity { integrity } else { 0 }, u8::from(self.encrypted)]
    }

    /// Bytes of the integrity code in each packet; 0 without one.
    pub fn code_len(self) -> usize {
        if self.integrity { self.hash.code_len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Suite;

    #[test]
    fn suites_3_and_17_have_the_codes_of_the_specification() {
        assert_eq!(Suite::by_id(3).unwrap().algorithm_codes(), [1, 1, 1]);
        assert_eq!(Suite::by_id(17).unwrap().algorithm_codes(), [3, 4, 1]);
        assert_eq!(Suite::by_id(0), None, "suite 0 authenticates nobody");
    }
}
