//! Where we are the client: webhooks, image servers and identity services by TLS, known by the authorities that were named.

use super::tls::issue;
use crate::policy::bearer::{AUDIENCE, SigningKey, published};
use crate::policy::provider::Provider;
use crate::site::{NEW, Site};
use axum::Router;
use axum::routing::{get, post};
use axum::serve::Listener;
use conductor::boot::images::fetch::{FetchLimits, Fetcher, Trust};
use conductor::config::{Secret, WebhookOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A listener whose certificate signed itself: nobody knows it who was not told.
pub struct Secured {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Secured {
    /// Takes a port; also says where it is, and which file makes it known.
    pub async fn bind(folder: &Path) -> (Self, String, PathBuf) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (certificate, key) = issue(folder);
        let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&key).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        (Secured { listener, acceptor: TlsAcceptor::from(Arc::new(config)) }, base, certificate)
    }
}

impl Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            // Who does not trust us hangs up here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

fn hook(url: &str) -> WebhookOptions {
    WebhookOptions {
        name: "secured".into(),
        url: url.into(),
        secret: Secret::from("a secret of some length"),
        types: vec!["node.create".into()],
        owner: None,
    }
}

#[tokio::test]
async fn webhooks_reach_a_receiver_whose_authority_was_named_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, base, authority) = Secured::bind(folder.path()).await;
    let (sender, mut received) = mpsc::unbounded_channel::<Value>();
    let router = Router::new().route(
        "/hook",
        post(move |body: String| async move {
            let _ = sender.send(serde_json::from_str(&body).unwrap());
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("{base}/hook");
    // Without the file the receiver is a stranger: nothing is handed over.
    let distrustful = Site::with(|config, _| {
        config.events.webhooks = vec![hook(&url)];
        config.events.webhook_retry_max.0 = 0.1;
    })
    .await;
    distrustful.node("for-nobody").await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(received.try_recv().is_err());
    drop(distrustful);
    let site = Site::with(|config, _| {
        config.events.webhooks = vec![hook(&url)];
        config.events.webhook_cafile = Some(authority);
    })
    .await;
    site.node("told").await;
    let event = tokio::time::timeout(Duration::from_secs(20), received.recv()).await.expect("a delivery").unwrap();
    assert_eq!((&event["type"], &event["name"]), (&json!("node.create"), &json!("told")));
}

#[tokio::test]
async fn image_servers_are_known_by_the_option() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, base, authority) = Secured::bind(folder.path()).await;
    let router = Router::new().route("/SHA256SUMS", get(async || "sums"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("{base}/SHA256SUMS").parse().unwrap();
    let fetch = async |option: &str| {
        let fetcher = Fetcher::new(&Trust::from_option(option), FetchLimits::default()).unwrap();
        fetcher.text(&url).await.map_err(|error| error.to_string())
    };
    assert_eq!(fetch(authority.to_str().unwrap()).await.unwrap(), "sums");
    assert_eq!(fetch("False").await.unwrap(), "sums");
    assert!(fetch("True").await.is_err(), "the system does not know it");
    assert!(Fetcher::new(&Trust::from_option("/no/such/file"), FetchLimits::default()).is_err());
}

#[tokio::test]
async fn identity_services_are_known_by_their_cafile() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::ed25519("k");
    let (listener, base, authority) = Secured::bind(folder.path()).await;
    let provider = Provider::on(listener, &base, &published(&[&key])).await;
    let ask = async |cafile: Option<PathBuf>, keystone: bool| {
        let site = Site::with(|config, _| {
            config.top.auth_strategy = Some(if keystone { "keystone" } else { "oidc" }.into());
            config.oidc.issuer = provider.base.clone();
            config.oidc.audience = vec![AUDIENCE.into()];
            config.oidc.cafile = cafile.clone();
            config.keystone_authtoken.auth_url = Some(provider.base.clone());
            config.keystone_authtoken.username = "wrought".into();
            config.keystone_authtoken.password = "secret".into();
            config.keystone_authtoken.cafile = cafile;
        })
        .await;
        let claims = json!({"iss": provider.base, "roles": ["reader"], "system_scope": "all"});
        let bearer = format!("Bearer {}", key.token(claims));
        let headers =
            [("X-OpenStack-Ironic-API-Version", NEW), ("X-Auth-Token", "good"), ("Authorization", bearer.as_str())];
        site.send("GET", "/v1/nodes", &headers, None).await.status
    };
    for keystone in [false, true] {
        assert_eq!(ask(Some(authority.clone()), keystone).await, 200);
        assert_eq!(ask(None, keystone).await, 503, "a stranger is asked nothing");
    }
}
