//! The agent's own certificate and its TLS server settings (agent-protocol section 4).
//!
//! Each boot makes a new key and a self-signed certificate for one address; the conductor learns the certificate with the
//! first heartbeat and trusts nothing else. Signed with SHA-384, which every verifier accepts (the reference's SHA-512 on P-384 is refused by some).

mod client;

pub use client::ClientFiles;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SerialNumber};
use rustls::crypto::CryptoProvider;
use rustls::sign::SigningKey;
use rustls::{ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Where key, certificate and token are left for an agent that is restarted within the boot.
pub const RUN_DIR: &str = "/run/ironic-python-agent";

/// How long a certificate holds; the ramdisk never runs so long.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A certificate with its key.
pub struct Identity {
    /// The certificate as the heartbeat carries it.
    pub certificate_pem: String,
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    key_pem: Zeroizing<String>,
}

/// The private key of a certificate, for signatures. Cheap to clone, never printed.
#[derive(Clone)]
pub struct Signer(Arc<dyn SigningKey>);

/// What keys sign with, and what proofs call it.
const ALGORITHMS: [(SignatureScheme, &str); 4] = [
    (SignatureScheme::ECDSA_NISTP384_SHA384, "ecdsa-p384-sha384"),
    (SignatureScheme::ECDSA_NISTP256_SHA256, "ecdsa-p256-sha256"),
    (SignatureScheme::ED25519, "ed25519"),
    (SignatureScheme::RSA_PSS_SHA512, "rsa-pss-sha512"),
];

impl Signer {
    /// Name of the algorithm, and the signature.
    ///
    /// # Errors
    /// [`TlsError::Settings`] for a kind of key that has no name here.
    pub fn sign(&self, message: &[u8]) -> Result<(&'static str, Vec<u8>), TlsError> {
        let signer = self.0.choose_scheme(&ALGORITHMS.map(|(scheme, _)| scheme));
        let signer = signer.ok_or_else(|| TlsError::Settings("the key is of a kind that signs no proofs".into()))?;
        let name = ALGORITHMS.iter().find(|(scheme, _)| *scheme == signer.scheme()).map_or("", |(_, name)| name);
        let value = signer.sign(message).map_err(|cause| TlsError::Settings(cause.to_string()))?;
        Ok((name, value))
    }
}

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The generator refused.
    #[error("making the agent's certificate")]
    Generate(#[from] rcgen::Error),
    /// A file of the operator.
    #[error("reading certificate and key from {files}: {why}")]
    Files {
        /// Both names.
        files: String,
        /// What is wrong.
        why: String,
    },
    /// The TLS library refused key, version or suites.
    #[error("TLS settings: {0}")]
    Settings(String),
}

/// What to put into the certificate.
pub struct Wish<'a> {
    /// The advertised address: the only name in the certificate.
    pub address: IpAddr,
    /// Becomes CN.
    pub hostname: &'a str,
    /// `p256` or `p384`; anything else is `p384`.
    pub curve: &'a str,
    /// How far the conductor's clock may be behind.
    pub skew: Duration,
}

impl Identity {
    /// A fresh key and certificate.
    ///
    /// # Errors
    /// [`TlsError::Generate`].
    pub fn generate(wish: &Wish<'_>, now: SystemTime) -> Result<Self, TlsError> {
        let algorithm = match wish.curve {
            "p256" => &rcgen::PKCS_ECDSA_P256_SHA256,
            _ => &rcgen::PKCS_ECDSA_P384_SHA384,
        };
        let pair = KeyPair::generate_for(algorithm)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name(wish.hostname));
        params.serial_number = Some(SerialNumber::from_slice(&serial()));
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + since_epoch.saturating_sub(wish.skew);
        params.not_after = epoch + since_epoch + LIFETIME;
        let mut name = CustomExtension::from_oid_content(&[2, 5, 29, 17], alternative_name(wish.address));
        name.set_criticality(true);
        params.custom_extensions.push(name);
        let certificate = params.self_signed(&pair)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            certificates: vec![certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(pair.serialize_der().into()),
            key_pem: Zeroizing::new(pair.serialize_pem()),
        })
    }

    /// The operator's own certificate and key.
    ///
    /// # Errors
    /// [`TlsError::Files`].
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let fail =
            |why: String| TlsError::Files { files: format!("{} and {}", certificate.display(), key.display()), why };
        let certificate_pem = std::fs::read_to_string(certificate).map_err(|cause| fail(cause.to_string()))?;
        let key_pem = Zeroizing::new(std::fs::read_to_string(key).map_err(|cause| fail(cause.to_string()))?);
        let certificates = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| fail(format!("{cause:?}")))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|cause| fail(format!("{cause:?}")))?;
        Ok(Self { certificate_pem, certificates, key, key_pem })
    }

    /// What [`Identity::leave_files`] left in `dir`.
    ///
    /// # Errors
    /// [`TlsError::Files`].
    pub fn left_in(dir: &Path) -> Result<Self, TlsError> {
        Self::from_files(&dir.join("agent.crt"), &dir.join("agent.key"))
    }

    /// Leaves `agent.crt` and `agent.key` in `dir`, readable by root only: a restarted agent takes them up again.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn leave_files(&self, dir: &Path) -> std::io::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        for (name, text) in [("agent.crt", self.certificate_pem.as_str()), ("agent.key", self.key_pem.as_str())] {
            let path = dir.join(name);
            // A new inode: an old file's mode, or a link planted there, must not decide who reads the key.
            let _ = std::fs::remove_file(&path);
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    /// The key, for signing what is no connection.
    ///
    /// # Errors
    /// [`TlsError::Settings`] when the library cannot use the key.
    pub fn signer(&self) -> Result<Signer, TlsError> {
        let key = rustls::crypto::ring::sign::any_supported_type(&self.key)
            .map_err(|cause| TlsError::Settings(cause.to_string()))?;
        Ok(Signer(key))
    }

    /// Settings for the server: at least `min_version`, suites as named (TLS 1.2 only; none: the four ECDHE AES-GCM ones).
    ///
    /// # Errors
    /// [`TlsError::Settings`] when the library refuses.
    pub fn server_config(&self, min_version: &str, suites: Option<&str>) -> Result<Arc<ServerConfig>, TlsError> {
        let versions: &[&rustls::SupportedProtocolVersion] = match min_version {
            "1.3" => &[&rustls::version::TLS13],
            _ => &[&rustls::version::TLS12, &rustls::version::TLS13],
        };
        let refuse = |cause: rustls::Error| TlsError::Settings(cause.to_string());
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider(suites)))
            .with_protocol_versions(versions)
            .map_err(refuse)?
            .with_no_client_auth()
            .with_single_cert(self.certificates.clone(), self.key.clone_key())
            .map_err(refuse)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// ring, with the TLS 1.2 suites narrowed. Names are OpenSSL's (`ECDHE-ECDSA-AES256-GCM-SHA384`); a list without a usable name is ignored.
fn provider(suites: Option<&str>) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    let wanted: Vec<&str> = suites.unwrap_or_default().split(':').filter(|name| !name.is_empty()).collect();
    let is_13 = |suite: &rustls::SupportedCipherSuite| matches!(suite, rustls::SupportedCipherSuite::Tls13(_));
    let is_wanted = |suite: &rustls::SupportedCipherSuite| {
        let name = openssl_name(*suite);
        if wanted.is_empty() { name.contains("GCM") } else { wanted.contains(&name.as_str()) }
    };
    if wanted.is_empty() || provider.cipher_suites.iter().any(is_wanted) {
        provider.cipher_suites.retain(|suite| is_13(suite) || is_wanted(suite));
    } else {
        tracing::warn!(
            suites = suites.unwrap_or_default(),
            "none of the TLS cipher suites asked for is supported; all are allowed"
        );
    }
    provider
}

/// `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384` as OpenSSL writes it.
fn openssl_name(suite: rustls::SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.trim_start_matches("TLS_")
        .replace("_WITH_", "-")
        .replace("AES_128", "AES128")
        .replace("AES_256", "AES256")
        .replace("_POLY1305_SHA256", "-POLY1305")
        .replace('_', "-")
}

/// GeneralNames with one iPAddress (RFC 5280, 4.2.1.6), in DER by hand: the generator can only mark it critical when it is given ready-made.
fn alternative_name(address: IpAddr) -> Vec<u8> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let length = octets.len() as u8; // 4 or 16
    let mut der = vec![0x30, length + 2, 0x87, length];
    der.extend(octets);
    der
}

/// 64 octets at most (RFC 5280, ub-common-name), never empty.
fn common_name(hostname: &str) -> String {
    let name: String = hostname.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
    if name.is_empty() { "agent".into() } else { name }
}

/// A random positive number of 16 octets.
fn serial() -> [u8; 16] {
    let mut serial: [u8; 16] = rand::random();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use std::os::unix::fs::PermissionsExt;

    fn wish(address: &str) -> Wish<'_> {
        Wish { address: address.parse().unwrap(), hostname: "deploy", curve: "p384", skew: Duration::from_secs(3600) }
    }

    /// The way a conductor checks: the certificate is the only anchor.
    fn verify(identity: &Identity, name: &str, at: Duration) -> Result<(), rustls::Error> {
        use rustls::client::danger::ServerCertVerifier;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(identity.certificates[0].clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = rustls_pki_types::UnixTime::since_unix_epoch(at);
        verifier.verify_server_cert(&identity.certificates[0], &[], &name, &[], now).map(|_| ())
    }

    #[test]
    fn the_certificate_holds_for_its_address_and_its_time_only() {
        let now = Duration::from_secs(1_790_000_000);
        for address in ["192.0.2.41", "2001:db8::41"] {
            let identity = Identity::generate(&wish(address), UNIX_EPOCH + now).unwrap();
            verify(&identity, address, now).unwrap();
            verify(&identity, address, now - Duration::from_secs(3500)).unwrap();
            verify(&identity, "192.0.2.42", now).unwrap_err();
            verify(&identity, address, now - Duration::from_secs(3700)).unwrap_err();
            verify(&identity, address, now + LIFETIME + Duration::from_secs(60)).unwrap_err();
        }
    }

    #[test]
    fn every_identity_has_its_own_key_and_serial() {
        let now = SystemTime::now();
        let (one, two) = (
            Identity::generate(&wish("192.0.2.1"), now).unwrap(),
            Identity::generate(&wish("192.0.2.1"), now).unwrap(),
        );
        assert_ne!(one.certificate_pem, two.certificate_pem);
    }

    #[test]
    fn files_are_readable_by_their_owner_only_and_can_be_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::generate(&wish("192.0.2.1"), SystemTime::now()).unwrap();
        for _ in 0..2 {
            identity.leave_files(dir.path()).unwrap();
        }
        let key = dir.path().join("agent.key");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let back = Identity::from_files(&dir.path().join("agent.crt"), &key).unwrap();
        assert_eq!(back.certificate_pem, identity.certificate_pem);
        back.server_config("1.2", None).unwrap();
    }

    #[test]
    fn suites_are_named_as_openssl_names_them() {
        let narrowed = provider(Some("ECDHE-ECDSA-AES256-GCM-SHA384:NONSENSE"));
        let names: Vec<String> = narrowed.cipher_suites.iter().map(|suite| openssl_name(*suite)).collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("ECDHE")).count(), 1, "{names:?}");
        let default = provider(None);
        assert_eq!(default.cipher_suites.iter().filter(|suite| openssl_name(**suite).starts_with("ECDHE")).count(), 4);
    }
}
