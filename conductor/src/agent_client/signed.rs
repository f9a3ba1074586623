//! Whether a text was signed by the holder of an agent's certificate (the one that is pinned, see `pin`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::erase_proof::Signature;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Compares; the time of the certificate does not matter: it was valid when the connection was made.
///
/// # Errors
/// Why the signature does not hold.
pub fn verify(certificate_pem: &str, message: &[u8], signature: &Signature) -> Result<(), String> {
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
        .map_err(|error| format!("the pinned certificate is not PEM: {error}"))?;
    let (_, certificate) =
        X509Certificate::from_der(&der).map_err(|error| format!("the pinned certificate cannot be read: {error}"))?;
    let algorithm: &'static dyn VerificationAlgorithm = match signature.algorithm.as_str() {
        "ecdsa-p384-sha384" => &ECDSA_P384_SHA384_ASN1,
        "ecdsa-p256-sha256" => &ECDSA_P256_SHA256_ASN1,
        "ed25519" => &ED25519,
        "rsa-pss-sha512" => &RSA_PSS_2048_8192_SHA512,
        other => return Err(format!("its algorithm `{}` is not known", other.chars().take(40).collect::<String>())),
    };
    let value = BASE64.decode(&signature.value).map_err(|_| "its signature is no base64".to_string())?;
    let key = UnparsedPublicKey::new(algorithm, &certificate.public_key().subject_public_key.data);
    key.verify(message, &value).map_err(|_| "its signature is not that of the agent's pinned certificate".to_string())
}
