//! Trust in exactly one certificate: the one that came with the agent's first heartbeat.
//!
//! The real agent signs its P-384 certificate with SHA-512, which the ring provider refuses to verify, and it has no
//! basicConstraints. Comparing bytes needs neither and is stricter; the handshake signature proves that the peer has the
//! key (agent-protocol section 4).

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::net::IpAddr;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A client that accepts `pem` and nothing else. Without a certificate only plain HTTP works.
pub fn client_config(pem: Option<&str>) -> Result<ClientConfig, String> {
    let pinned = match pem {
        Some(text) => Some(
            CertificateDer::from_pem_slice(text.as_bytes())
                .map_err(|error| format!("the stored agent certificate is not PEM: {error}"))?,
        ),
        None => None,
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Pinned { pinned, provider: Arc::clone(&provider) });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

#[derive(Debug)]
struct Pinned {
    pinned: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(pinned) = &self.pinned else {
            return Err(Error::General(
                "the agent sent no certificate with its heartbeat; only it could be trusted".into(),
            ));
        };
        if pinned.as_ref() != end_entity.as_ref() {
            return Err(Error::General("this is not the certificate that came with the agent's heartbeat".into()));
        }
        let (_, certificate) = X509Certificate::from_der(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let validity = certificate.validity();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if seconds < validity.not_before.timestamp() {
            return Err(Error::General(
                "the agent's certificate is not valid yet: its clock is ahead of this conductor's; correct the clocks"
                    .into(),
            ));
        }
        if seconds > validity.not_after.timestamp() {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        let names = certificate.subject_alternative_name().ok().flatten();
        let fits = names.is_some_and(|names| names.value.general_names.iter().any(|name| is(name, server_name)));
        if fits {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is(name: &GeneralName<'_>, wanted: &ServerName<'_>) -> bool {
    match (name, wanted) {
        (GeneralName::IPAddress(bytes), ServerName::IpAddress(address)) => match IpAddr::from(*address) {
            IpAddr::V4(address) => address.octets() == **bytes,
            IpAddr::V6(address) => address.octets() == **bytes,
        },
        (GeneralName::DNSName(name), ServerName::DnsName(wanted)) => name.eq_ignore_ascii_case(wanted.as_ref()),
        _ => false,
    }
}
