//! An OpenID provider in the test: its keys, and tokens signed with them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the tokens say about their origin and their goal.
pub const ISSUER: &str = "https://login.example";
/// Us.
pub const AUDIENCE: &str = "baremetal";

/// A key pair with its name.
pub struct SigningKey {
    id: String,
    algorithm: Algorithm,
    private: EncodingKey,
    /// What the provider publishes.
    pub public: Value,
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl SigningKey {
    /// Ed25519.
    pub fn ed25519(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let public = json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": base64url(pair.public_key_raw())});
        let private = EncodingKey::from_ed_der(&pair.serialize_der());
        SigningKey { id: id.into(), algorithm: Algorithm::EdDSA, private, public }
    }

    /// The NIST curve.
    pub fn p256(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let public =
            json!({"kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256", "x": base64url(x), "y": base64url(y)});
        let private = EncodingKey::from_ec_der(&pair.serialize_der());
        SigningKey { id: id.into(), algorithm: Algorithm::ES256, private, public }
    }

    /// RSA.
    pub fn rsa(id: &str) -> Self {
        let pair = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
        let public = json!({"kty": "RSA", "kid": id, "use": "sig",
            "n": base64url(&pair.n().to_bytes_be()), "e": base64url(&pair.e().to_bytes_be())});
        let private = EncodingKey::from_rsa_der(pair.to_pkcs1_der().unwrap().as_bytes());
        SigningKey { id: id.into(), algorithm: Algorithm::RS256, private, public }
    }

    /// A token with these claims besides (or instead of) the usual ones; null takes one away.
    pub fn token(&self, claims: Value) -> String {
        let mut all = json!({"iss": ISSUER, "aud": [AUDIENCE], "exp": now() + 600, "sub": "somebody"});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let head = Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) };
        encode(&head, &all, &self.private).unwrap()
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a provider publishes.
pub fn published(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.public.clone()).collect::<Vec<_>>()}).to_string()
}
