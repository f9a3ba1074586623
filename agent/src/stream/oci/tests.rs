//! Tests of `oci` against a small registry: manifests by digest, tokens, and the lies of each.

use crate::stream::checksum::Choice;
use crate::stream::error::StreamError;
use crate::stream::origin::Authorization;
use crate::stream::pour::tests::{Memory, job};
use crate::stream::pour::{Job, pour};
use crate::stream::test_server::{Server, noise};
use crate::sys::progress::Progress;
use common::digest::Hasher;
use common::image_ref::DigestKind;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

fn digest(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(DigestKind::Sha256);
    hasher.update(bytes);
    format!("sha256:{}", hasher.hex())
}

/// Answers GETs by path; asks for a token if it knows one.
struct Registry {
    port: u16,
    files: BTreeMap<String, Vec<u8>>,
    token: Option<&'static str>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    fn new(image: &[u8], token: Option<&'static str>) -> (Self, String) {
        let blob = digest(image);
        let manifest = json!({"schemaVersion": 2, "layers": [{"digest": blob, "size": image.len()}]}).to_string();
        let other = json!({"schemaVersion": 2, "layers": []}).to_string();
        let index = json!({"schemaVersion": 2, "manifests": [
            {"digest": digest(other.as_bytes()), "size": 1, "platform": {"architecture": "s390x"}},
            {"digest": digest(manifest.as_bytes()), "size": 1, "platform": {"architecture": std::env::consts::ARCH}}]})
        .to_string();
        let pin = digest(index.as_bytes());
        let mut files = BTreeMap::from([(format!("/v2/os/disk/blobs/{blob}"), image.to_vec())]);
        files.insert(format!("/v2/os/disk/manifests/{}", digest(manifest.as_bytes())), manifest.into_bytes());
        files.insert("/v2/os/disk/manifests/9".into(), index.clone().into_bytes());
        files.insert(format!("/v2/os/disk/manifests/{pin}"), index.into_bytes());
        (Self { port: 0, files, token, seen: Arc::default() }, pin)
    }

    fn start(mut self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.port = listener.local_addr().unwrap().port();
        let (port, files, token, seen) = (self.port, self.files.clone(), self.token, Arc::clone(&self.seen));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = Vec::new();
                for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                    if line.is_empty() {
                        break;
                    }
                    head.push(line);
                }
                let path = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
                let authorization = head.iter().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or("");
                seen.lock().unwrap().push(format!("{path} {authorization}"));
                let (status, more, body) = match &path {
                    path if path.starts_with("/token?") => {
                        ("200", String::new(), json!({"token": token}).to_string().into_bytes())
                    }
                    _ if token.is_some_and(|token| authorization != format!("Bearer {token}")) => {
                        let ask = format!(
                            "www-authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"r\"\r\n"
                        );
                        ("401", ask, Vec::new())
                    }
                    path => match files.get(path) {
                        Some(body) => ("200", String::new(), body.clone()),
                        None => ("404", String::new(), Vec::new()),
                    },
                };
                let head =
                    format!("HTTP/1.1 {status} X\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        self
    }

    fn job(&self, rest: &str) -> Job {
        let mut job = job(&Server::new(Vec::new()).start(), b"");
        job.request.urls = vec![format!("oci://127.0.0.1:{}/os/disk{rest}", self.port).parse().unwrap()];
        job.checksum = Choice::Manifest;
        job
    }
}

fn disk(job: &Job) -> Result<Vec<u8>, StreamError> {
    let mut memory = Memory::default();
    pour(job, &mut memory, &Progress::default()).map(|_| memory.disk)
}

#[test]
fn an_image_is_found_by_tag_and_by_digest_and_its_manifest_has_the_checksum() {
    let image = noise(3 << 20, 1);
    let (registry, pin) = Registry::new(&image, None);
    let mut registry = registry.start();
    assert!(disk(&registry.job(":9")).unwrap() == image);
    assert!(disk(&registry.job(&format!("@{pin}"))).unwrap() == image);
    let gone = disk(&registry.job(":8")).unwrap_err().to_string();
    assert!(gone.contains("404"), "{gone}");

    let other = digest(b"other");
    registry.files.insert(format!("/v2/os/disk/manifests/{other}"), registry.files["/v2/os/disk/manifests/9"].clone());
    let blob = format!("/v2/os/disk/blobs/{}", digest(&image));
    registry.files.insert(blob, noise(3 << 20, 2));
    let registry = registry.start();
    let error = disk(&registry.job(&format!("@{other}"))).unwrap_err().to_string();
    assert!(error.contains("does not have the digest"), "{error}");
    assert!(matches!(disk(&registry.job(":9")).unwrap_err(), StreamError::Checksum(_)));
}

#[test]
fn a_token_is_fetched_with_the_credentials_and_shown_with_every_call() {
    let image = noise(1 << 20, 3);
    let registry = Registry::new(&image, Some("t0ken")).0.start();
    let mut job = registry.job(":9");
    job.request.authorization = Some(Authorization::basic("me", "secret", &job.request.urls).unwrap());
    assert!(disk(&job).unwrap() == image);
    let seen = registry.seen.lock().unwrap().clone();
    assert!(seen[1].starts_with("/token?service=r&scope=repository%3Aos%2Fdisk%3Apull Basic "), "{seen:?}");
    assert!(seen.last().unwrap().ends_with("Bearer t0ken"), "{seen:?}");
    let mut ready = registry.job(":9");
    ready.request.authorization = Some(Authorization::bearer("t0ken", &[]).unwrap());
    assert!(disk(&ready).unwrap() == image, "a token that was given is shown as it is");
}

#[test]
fn a_registry_that_fails_is_followed_by_the_next_source() {
    let image = noise(1 << 20, 4);
    let registry = Registry::new(&image, None).0.start();
    let server = Server::new(image.clone()).start();
    let mut job = registry.job(":gone");
    job.request.urls.extend(server.request("/image").urls);
    job.checksum = super::super::pour::tests::job(&server, &image).checksum;
    assert!(disk(&job).unwrap() == image);
    job.request.urls.reverse();
    assert!(disk(&job).unwrap() == image);
}
