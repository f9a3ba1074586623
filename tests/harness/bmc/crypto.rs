//! HMAC and AES of suites 3 and 17, for the BMC's side.

use aes::Aes128;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// Suite 3 or 17.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// HMAC-SHA1, HMAC-SHA1-96, AES.
    Three,
    /// HMAC-SHA256, HMAC-SHA256-128, AES.
    Seventeen,
}

impl Suite {
    /// By the codes of authentication, integrity and confidentiality.
    pub fn by_codes(codes: [u8; 3]) -> Option<Suite> {
        match codes {
            [1, 1, 1] => Some(Suite::Three),
            [3, 4, 1] => Some(Suite::Seventeen),
            _ => None,
        }
    }

    /// Its number.
    pub fn id(self) -> u8 {
        match self {
            Suite::Three => 3,
            Suite::Seventeen => 17,
        }
    }

    /// Bytes of the code in RAKP 4 and in trailers.
    pub fn code_len(self) -> usize {
        match self {
            Suite::Three => 12,
            Suite::Seventeen => 16,
        }
    }

    /// HMAC of the joined parts.
    pub fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let joined = parts.concat();
        match self {
            Suite::Three => {
                let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes any key");
                mac.update(&joined);
                mac.finalize().into_bytes().to_vec()
            }
            Suite::Seventeen => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
                mac.update(&joined);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }
}

/// Vector and data.
pub fn encrypt(key: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    let vector: [u8; 16] = rand::random();
    let mut data = plain.to_vec();
    let mut pad = 0u8;
    while !(data.len() + 1).is_multiple_of(16) {
        pad += 1;
        data.push(pad);
    }
    data.push(pad);
    let length = data.len();
    let cipher = cbc::Encryptor::<Aes128>::new(&(*key).into(), &vector.into());
    cipher.encrypt_padded::<NoPadding>(&mut data, length).expect("whole blocks");
    [&vector[..], &data].concat()
}

/// The other way; strict about the pad, as a real BMC may be.
pub fn decrypt(key: &[u8; 16], sealed: &[u8]) -> Option<Vec<u8>> {
    let (vector, data) = sealed.split_first_chunk::<16>()?;
    let mut plain = data.to_vec();
    cbc::Decryptor::<Aes128>::new(&(*key).into(), &(*vector).into()).decrypt_padded::<NoPadding>(&mut plain).ok()?;
    let pad = usize::from(plain.pop()?);
    let start = plain.len().checked_sub(pad)?;
    let right = plain[start..].iter().enumerate().all(|(at, byte)| usize::from(*byte) == at + 1);
    plain.truncate(start);
    (right && pad < 16).then_some(plain)
}
