//! Tests of `fetch`.

use super::{Download, PIECE};
use crate::stream::error::{FetchError, StreamError};
use crate::stream::origin::Authorization;
use crate::stream::request::{DownloadRules, Request};
use crate::stream::test_server::{Fault, Server, noise};
use crate::sys::progress::Progress;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

pub(crate) fn rules() -> DownloadRules {
    DownloadRules {
        timeout: Duration::from_millis(1000),
        retries: 3,
        pause: Duration::from_millis(10),
        whole: None,
        deadline: None,
        insecure: false,
        ca_file: None,
        client: None,
        tls13_only: false,
    }
}

fn get(request: Request) -> Result<Vec<u8>, FetchError> {
    Download::small(request, rules(), 64 << 20, &Progress::default()).map_err(|error| match error {
        StreamError::Fetch(error) => error,
        other => panic!("{other}"),
    })
}

#[test]
fn a_dropped_connection_is_resumed_where_it_broke() {
    let body = noise(3 * PIECE + 17, 1);
    let server = Server::new(body.clone()).fault(Fault::DropAfter(PIECE + 5)).fault(Fault::DropAfter(77)).start();
    assert_eq!(get(server.request("/a")).unwrap(), body);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert!(
        seen[1].contains(&format!("range: bytes={}-", PIECE + 5)) && seen[1].contains("if-range: \"1\""),
        "{seen:?}"
    );
}

#[test]
fn a_server_without_ranges_is_read_again_from_the_front() {
    let body = noise(2 * PIECE, 2);
    let server = Server::new(body.clone()).without_ranges().fault(Fault::DropAfter(PIECE + 5)).start();
    assert_eq!(get(server.request("/a")).unwrap(), body);
}

#[test]
fn a_file_that_changes_under_way_is_an_error() {
    let server = Server::new(noise(PIECE, 3)).fault(Fault::DropAfter(1000)).fault(Fault::NewTag).start();
    assert!(matches!(get(server.request("/a")), Err(FetchError::Changed { .. })));
}

#[test]
fn attempts_are_bounded_and_4xx_is_final() {
    let server = Server::new(noise(10, 4)).always(Fault::Status(503)).start();
    assert!(matches!(get(server.request("/a")), Err(FetchError::GaveUp { attempts: 4, .. })));
    assert_eq!(server.seen().len(), 4);
    let server = Server::new(noise(10, 4)).always(Fault::Status(404)).start();
    assert!(matches!(get(server.request("/a")), Err(FetchError::Status { status: 404, .. })));
    assert_eq!(server.seen().len(), 1);
    let server = Server::new(noise(10, 4)).always(Fault::Status(204)).start();
    assert!(matches!(get(server.request("/a")), Err(FetchError::Status { status: 204, .. })));
}

#[test]
fn the_next_url_takes_over() {
    let body = noise(PIECE, 5);
    let gone = Server::new(Vec::new()).always(Fault::Status(404)).start();
    let breaks = Server::new(body.clone()).always(Fault::DropAfter(1000)).start();
    let good = Server::new(body.clone()).start();
    let mut request = gone.request("/a");
    request.urls.extend(breaks.request("/a").urls);
    request.urls.extend(good.request("/a").urls);
    assert_eq!(get(request).unwrap(), body);
    assert!(good.seen()[0].contains("range: bytes=1000-"));
}

#[test]
fn short_endless_and_stalled_bodies_end() {
    let server = Server::new(noise(100, 6)).always(Fault::ClaimLonger(50)).start();
    let error = get(server.request("/a")).unwrap_err();
    assert!(matches!(&error, FetchError::GaveUp { .. }), "{error}");
    let server = Server::new(Vec::new()).always(Fault::Endless).start();
    let outcome = Download::small(server.request("/a"), rules(), 8 << 20, &Progress::default());
    assert!(matches!(outcome, Err(StreamError::Fetch(FetchError::TooLarge { .. }))));
    let server = Server::new(noise(100, 6)).always(Fault::StallAfter(10)).start();
    let mut patience = rules();
    patience.timeout = Duration::from_millis(100);
    match Download::small(server.request("/a"), patience.clone(), 1 << 20, &Progress::default()) {
        Err(StreamError::Fetch(error)) => assert!(error.is_timeout(), "{error}"),
        other => panic!("{other:?}"),
    }
    patience.timeout = Duration::from_secs(60);
    patience.whole = Some(Duration::from_millis(200));
    let outcome = Download::small(server.request("/a"), patience, 1 << 20, &Progress::default());
    assert!(matches!(outcome, Err(StreamError::Fetch(FetchError::OutOfTime { .. }))));
}

#[test]
fn a_part_that_is_not_the_one_asked_for_is_never_taken() {
    let body = noise(PIECE, 9);
    let server = Server::new(body.clone()).fault(Fault::DropAfter(1000)).always(Fault::WrongPart(7)).start();
    assert!(matches!(get(server.request("/a")), Err(FetchError::NoRanges { .. })));
    let mirror = Server::new(body.clone()).start();
    let server = Server::new(body.clone()).fault(Fault::DropAfter(1000)).always(Fault::WrongPart(7)).start();
    let mut request = server.request("/a");
    request.urls.extend(mirror.request("/a").urls);
    assert_eq!(get(request).unwrap(), body, "another server has the rest");
}

#[test]
fn servers_that_speak_nonsense_are_tried_again_and_given_up() {
    for fault in [Fault::HangUp, Fault::Nonsense, Fault::EndlessHead] {
        let server = Server::new(noise(100, 6)).always(fault.clone()).start();
        let began = Instant::now();
        let error = get(server.request("/a")).unwrap_err();
        assert!(matches!(error, FetchError::GaveUp { attempts: 4, .. }), "{fault:?}: {error}");
        assert!(began.elapsed() < Duration::from_secs(20), "{fault:?}");
        let server = Server::new(noise(100, 6)).fault(fault).start();
        assert_eq!(get(server.request("/a")).unwrap(), noise(100, 6));
    }
}

#[test]
fn a_dead_server_costs_as_many_attempts_as_the_rules_say_and_no_more() {
    // The reference nests two loops of ten (ipa-features 26, row 15).
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut patience = rules();
    (patience.retries, patience.pause) = (9, Duration::ZERO);
    let request = Request::plain(format!("http://{address}/a").parse().unwrap());
    match Download::small(request, patience, 100, &Progress::default()) {
        Err(StreamError::Fetch(FetchError::GaveUp { attempts: 10, last })) => assert!(!last.is_timeout(), "{last}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hosts_without_a_proxy_are_told_by_name_suffix_and_network() {
    let body = noise(1000, 8);
    let (proxy, server) = (Server::new(noise(10, 1)).start(), Server::new(body.clone()).start());
    let port = server.request("/a").urls[0].port().unwrap();
    let through = |host: &str, no_proxy: &str| {
        let mut request = Request::plain(format!("http://{host}:{port}/a").parse().unwrap());
        request.proxies.http = Some(proxy.url("/"));
        request.proxies.no_proxy = Some(no_proxy.into());
        get(request).unwrap() != body
    };
    for (host, no_proxy, is_used) in [
        ("127.0.0.1", "192.0.2.0/24", true),
        ("127.0.0.1", "192.0.2.0/24, 127.0.0.0/8", false),
        ("127.0.0.1", "*", false),
        ("localhost", "example", true),
        ("localhost", "localhost", false),
        ("images.example", ".other.example", true),
    ] {
        assert_eq!(through(host, no_proxy), is_used, "{host} with no_proxy={no_proxy}");
    }
}

#[test]
fn redirects_are_followed_without_the_credentials() {
    let body = noise(1000, 7);
    let target = Server::new(body.clone()).start();
    let first = Server::new(Vec::new()).always(Fault::Redirect(target.url("/b"))).start();
    let mut request = first.request("/a");
    request.authorization = Some(Authorization::basic("me", "secret", &request.urls).unwrap());
    assert_eq!(get(request).unwrap(), body);
    assert!(first.seen()[0].contains("authorization: Basic"));
    assert!(!target.seen()[0].contains("authorization"));
    let endless = Server::new(Vec::new()).always(Fault::Redirect("/again".into())).start();
    assert!(matches!(get(endless.request("/a")), Err(FetchError::Redirect { .. })));
    let evil = Server::new(Vec::new()).always(Fault::Redirect("file:///etc/passwd".into())).start();
    assert!(matches!(get(evil.request("/a")), Err(FetchError::Redirect { .. })));
}

#[test]
fn a_proxy_is_used_unless_the_host_is_exempt() {
    let body = noise(1000, 8);
    let proxy = Server::new(body.clone()).start();
    let mut request = Request::plain(crate::stream::origin::parse("http://images.invalid/a").unwrap());
    request.proxies.http = Some(proxy.url("/"));
    assert_eq!(get(request).unwrap(), body);
    assert!(proxy.seen()[0].starts_with("GET http://images.invalid/a"), "{:?}", proxy.seen());
    let mut direct = Server::new(body.clone()).start().request("/a");
    direct.proxies.http = Some("http://127.0.0.1:1/".into());
    direct.proxies.no_proxy = Some("127.0.0.1".into());
    assert!(get(direct).is_err(), "the server is gone, but the proxy was not asked");
    let server = Server::new(body.clone()).start();
    let mut direct = server.request("/a");
    direct.proxies.http = Some("http://127.0.0.1:1/".into());
    direct.proxies.no_proxy = Some("127.0.0.1".into());
    assert_eq!(get(direct).unwrap(), body);
}

#[test]
fn a_stop_is_heard_while_the_server_says_nothing() {
    let server = Server::new(noise(100, 6)).always(Fault::StallAfter(10)).start();
    let progress = Progress::default();
    let other = progress.clone();
    let began = Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        other.cancel();
    });
    let mut patience = rules();
    patience.timeout = Duration::from_secs(60);
    let outcome = Download::small(server.request("/a"), patience, 1 << 20, &progress);
    assert!(matches!(outcome, Err(StreamError::Cancelled)), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
}

/// One TLS connection, one answer, signed by a CA of its own. Returns the port and the CA in PEM.
fn https() -> (u16, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let signed = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let chain = vec![signed.der().clone()];
    let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS12]);
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let config = std::sync::Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream.unwrap());
            if stream.read(&mut [0; 4096]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
                let _ = stream.flush();
            }
        }
    });
    (port, signed.pem())
}

#[test]
fn https_servers_are_verified_by_the_rules() {
    let (port, ca) = https();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ca).unwrap();
    let get = |change: &dyn Fn(&mut DownloadRules)| {
        let mut rules = rules();
        rules.retries = 0;
        change(&mut rules);
        let url = format!("https://localhost:{port}/a").parse().unwrap();
        Download::small(Request::plain(url), rules, 100, &Progress::default()).map_err(|error| error.to_string())
    };
    let trusting = |rules: &mut DownloadRules| rules.ca_file = Some(file.path().to_path_buf());
    assert_eq!(get(&trusting).unwrap(), b"hi");
    assert_eq!(get(&|rules| rules.insecure = true).unwrap(), b"hi");
    let unknown = get(&|_| {}).unwrap_err();
    assert!(unknown.contains("certificate"), "{unknown}");
    let old = get(&|rules| (rules.insecure, rules.tls13_only) = (true, true)).unwrap_err();
    assert!(old.contains("ProtocolVersion") || old.contains("version"), "{old}");
    let missing = get(&|rules| rules.ca_file = Some("/nonexistent.pem".into())).unwrap_err();
    assert!(missing.contains("/nonexistent.pem"), "{missing}");
}
