//! TLS of the API: two clients of different libraries, renewal without a restart, files that cannot be used.

use crate::site::Site;
use rcgen::{CertificateParams, KeyPair};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The system's Python, which speaks TLS by OpenSSL: GET of a URL, with this file of authorities.
const PYTHON: &str = "import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
with urllib.request.urlopen(sys.argv[1], context=context, timeout=20) as answer:
    print(answer.status, answer.read().decode()[:40])";

/// A certificate for this machine that signed itself.
pub fn issue(folder: &Path) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    // As tools renew: a new file is moved over the old one.
    for (path, text) in [(&key_file, key.serialize_pem()), (&cert_file, certificate.pem())] {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }
    (cert_file, key_file)
}

async fn site(minimum: &'static str) -> (Site, PathBuf) {
    let mut place = PathBuf::new();
    let site = Site::with(|config, folder| {
        place = folder.to_owned();
        let (certificate, key) = issue(folder);
        config.api.enable_ssl_api = true;
        config.api.cert_file = Some(certificate);
        config.api.key_file = Some(key);
        config.api.server_tls_minimum_version = minimum.into();
    })
    .await;
    (site, place)
}

fn python(base: &str, authority: &Path) -> Result<String, String> {
    let mut command = Command::new("python3");
    command.args(["-c", PYTHON, &format!("{base}/v1")]).arg(authority).stdin(Stdio::null());
    let output = command.output().expect("python3 is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A client that trusts what is in the file now.
async fn rustls(base: &str, authority: &Path) -> Result<u16, reqwest::Error> {
    let pem = std::fs::read(authority).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()]);
    let client = client.timeout(Duration::from_secs(20)).build().unwrap();
    Ok(client.get(format!("{base}/v1")).send().await?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_two_libraries_are_served_and_a_renewal_needs_no_restart() {
    let (site, folder) = site("1.2").await;
    let authority = folder.join("cert.pem");
    let node = site.node("by-tls").await;
    let links = site.get(&format!("/v1/nodes/{node}")).await.expect(200).body["links"].clone();
    assert_eq!(links[0]["href"], format!("{}/v1/nodes/{node}", site.base), "and the links say https");
    assert!(python(&site.base, &authority).unwrap().starts_with("200 "), "OpenSSL");
    let old = folder.join("old.pem");
    std::fs::copy(&authority, &old).unwrap();
    // A file that is no certificate: the old one stays in service.
    std::fs::write(&authority, "-----BEGIN NOTHING-----").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(rustls(&site.base, &old).await.unwrap(), 200);
    assert!(python(&site.base, &old).unwrap().starts_with("200 "));
    // A new one, and its key: taken up by itself.
    issue(&folder);
    let begin = Instant::now();
    while rustls(&site.base, &authority).await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the new certificate is not in service");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(python(&site.base, &authority).unwrap().starts_with("200 "));
    assert!(python(&site.base, &old).unwrap_err().contains("CERTIFICATE_VERIFY_FAILED"), "who trusts the old one");
    // Who was connected all the while stays so.
    site.get("/v1/nodes").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_are_too_old_and_peers_that_say_nothing_are_turned_away() {
    let (site, folder) = site("1.3").await;
    assert_eq!(rustls(&site.base, &folder.join("cert.pem")).await.unwrap(), 200);
    let old = "import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.maximum_version = ssl.TLSVersion.TLSv1_2
with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as raw:
    context.wrap_socket(raw, server_hostname='localhost')";
    let port = site.base.rsplit(':').next().unwrap();
    let mut command = Command::new("python3");
    command.args(["-c", old, port]).arg(folder.join("cert.pem")).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("PROTOCOL_VERSION"), "{said}");
    // Plain HTTP is no handshake.
    let plain = reqwest::Client::builder().tls_certs_only([]).timeout(Duration::from_secs(20)).build().unwrap();
    assert!(plain.get(format!("http://127.0.0.1:{port}/v1")).send().await.is_err());
    site.get("/v1").await.expect(200);
}
