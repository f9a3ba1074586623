//! The three algorithms of RMCP+: HMAC with SHA-1 or SHA-256, and AES-CBC-128 with IPMI's own padding.

use super::suite::Hash;
use aes::Aes128;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

const BLOCK: usize = 16;

/// HMAC over the parts, one after the other; the whole digest.
pub fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => digest::<Hmac<Sha1>>(key, parts),
        Hash::Sha256 => digest::<Hmac<Sha256>>(key, parts),
    }
}

fn digest<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length; the fallback keeps this free of a panic on a path fed by the network.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Initialisation vector, then the encrypted data with its pad (IPMI 2.0 table 13-20: 1, 2, 3 … and the pad's length).
pub fn encrypt(key: &[u8; BLOCK], plain: &[u8]) -> Vec<u8> {
    let vector: [u8; BLOCK] = rand::random();
    let pad = (BLOCK - (plain.len() + 1) % BLOCK) % BLOCK;
    let mut sealed = Vec::with_capacity(BLOCK + plain.len() + pad + 1);
    sealed.extend_from_slice(&vector);
    sealed.extend_from_slice(plain);
    sealed.extend((1..=pad).map(|byte| byte as u8)); // pad < 16
    sealed.push(pad as u8);
    let length = sealed.len() - BLOCK;
    let cipher = cbc::Encryptor::<Aes128>::new(&(*key).into(), &vector.into());
    if cipher.encrypt_padded::<NoPadding>(&mut sealed[BLOCK..], length).is_err() {
        return Vec::new(); // cannot happen: the length is a whole number of blocks
    }
    sealed
}

/// `None` when the data cannot be what [`encrypt`] makes. Called only after the integrity code held.
pub fn decrypt(key: &[u8; BLOCK], sealed: &[u8]) -> Option<Vec<u8>> {
    let (vector, data) = sealed.split_first_chunk::<BLOCK>()?;
    if data.is_empty() || data.len() % BLOCK != 0 {
        return None;
    }
    let mut plain = data.to_vec();
    cbc::Decryptor::<Aes128>::new(&(*key).into(), &(*vector).into()).decrypt_padded::<NoPadding>(&mut plain).ok()?;
    let pad = usize::from(plain.pop()?);
    // Only the length is held to: some BMCs fill the pad with whatever was there.
    plain.truncate(plain.len().checked_sub(pad).filter(|_| pad < BLOCK)?);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::{decrypt, encrypt, hmac};
    use crate::driver::ipmi::suite::Hash;
    use proptest::prelude::{any, proptest};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hmac_agrees_with_rfc_2202_and_rfc_4231() {
        let parts: &[&[u8]] = &[b"what do ya want ", b"for nothing?"];
        assert_eq!(hex(&hmac(Hash::Sha1, b"Jefe", parts)), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            hex(&hmac(Hash::Sha256, b"Jefe", parts)),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    proptest! {
        #[test]
        fn what_is_encrypted_comes_back(plain: Vec<u8>, key: [u8; 16]) {
            assert_eq!(decrypt(&key, &encrypt(&key, &plain)).unwrap(), plain);
        }

        #[test]
        fn any_bytes_are_decrypted_or_refused_without_a_panic(sealed in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decrypt(&[7; 16], &sealed);
        }
    }
}
