//! The HTTP client of image downloads: certificates, TLS version, proxies, connect time-out.

use super::error::FetchError;
use super::request::{DownloadRules, Request};
use reqwest::{Certificate, Client, NoProxy, Proxy, redirect, tls};

/// Where distributions, and our ramdisk, keep the CA bundle.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A client by `rules`. It follows no redirect by itself ([`super::get`] does, with its eyes open), asks no environment
/// variable for proxies and decodes nothing.
///
/// # Errors
/// [`FetchError::Setup`] naming the file of certificates or proxy that cannot be used.
pub fn build(rules: &DownloadRules, request: &Request) -> Result<Client, FetchError> {
    // Harmless when somebody was first; without any provider the first handshake would panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let lowest = if rules.tls13_only { tls::Version::TLS_1_3 } else { tls::Version::TLS_1_2 };
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .http1_only()
        .user_agent(concat!("wrought-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(rules.timeout)
        .tls_version_min(lowest)
        .tls_certs_only(if rules.insecure { Vec::new() } else { certificates(rules)? });
    if rules.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if let Some(files) = &rules.client {
        let identity = files.identity().map_err(|cause| FetchError::Setup(cause.to_string()))?;
        builder = builder.identity(identity);
    }
    // Names, suffixes with or without a leading dot, addresses, networks; `*` is not known to reqwest.
    let exempt = request.proxies.no_proxy.as_deref().unwrap_or_default();
    let everything = exempt.split(',').any(|entry| entry.trim() == "*");
    let bypass = NoProxy::from_string(exempt);
    let wanted = [
        (&request.proxies.http, Proxy::http::<String> as fn(String) -> reqwest::Result<Proxy>),
        (&request.proxies.https, Proxy::https::<String>),
    ];
    for (address, make) in wanted {
        let Some(address) = address.as_ref().filter(|_| !everything) else { continue };
        // The address may hold a password: it is not repeated.
        let proxy = make(address.clone())
            .map_err(|_| FetchError::Setup("an address in image_info's `proxies` is not a URL".into()))?;
        builder = builder.proxy(proxy.no_proxy(bypass.clone()));
    }
    builder.build().map_err(|cause| FetchError::Setup(format!("cannot make an HTTP client: {}", chain(&cause))))
}

fn certificates(rules: &DownloadRules) -> Result<Vec<Certificate>, FetchError> {
    let (path, asked) = match &rules.ca_file {
        Some(path) => (path.as_path(), true),
        None => (std::path::Path::new(SYSTEM_BUNDLE), false),
    };
    let fail = |cause: String| FetchError::Setup(format!("CA certificates in {}: {cause}", path.display()));
    match std::fs::read(path) {
        Ok(pem) => Certificate::from_pem_bundle(&pem).map_err(|cause| fail(cause.to_string())),
        // Without a bundle every https server is refused, and that error names the certificate.
        Err(_) if !asked => Ok(Vec::new()),
        Err(cause) => Err(fail(cause.to_string())),
    }
}

/// An error with all its causes, without the URL.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
