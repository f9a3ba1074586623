//! A conductor in this process with its store in a folder of its own, and a client that knows the version headers.

use conductor::api::Site as Api;
use conductor::api::auth::Auth;
use conductor::api::listen::Listeners;
use conductor::config::Config;
use conductor::flow::conductor::Conductor;
use conductor::service::Service;
use conductor::store::Store;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Longest time that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The newest version.
pub const NEW: &str = "1.115";

/// A running conductor.
pub struct Site {
    /// Where it listens.
    pub base: String,
    client: reqwest::Client,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    service: Option<Service>,
    folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers by lower-case name.
    pub headers: reqwest::header::HeaderMap,
    /// JSON, or null when there is none.
    pub body: Value,
}

impl Reply {
    /// The inner document of an error, which is JSON in JSON.
    pub fn error(&self) -> Value {
        let text = self.body["error_message"].as_str().unwrap_or_else(|| panic!("no error in {self:?}"));
        serde_json::from_str(text).expect("the inner document is JSON")
    }

    /// The sentence of an error by a handler.
    pub fn fault(&self) -> String {
        self.error()["faultstring"].as_str().unwrap_or_else(|| panic!("no faultstring in {self:?}")).to_owned()
    }

    /// The sentence of an error; nothing when there is none.
    pub fn fault_or_nothing(&self) -> String {
        if self.status < 400 { String::new() } else { self.fault() }
    }

    /// One header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl Site {
    /// Fake hardware, loopback, no credentials.
    pub async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    /// Options changed before the start; the folder is the data folder.
    pub async fn with(change: impl FnOnce(&mut Config, &Path)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), change).await
    }

    /// The next process on the folder that [`Site::stop`] left.
    pub async fn again(folder: TempDir) -> Self {
        Self::on(folder, |_, _| {}).await
    }

    async fn on(folder: TempDir, change: impl FnOnce(&mut Config, &Path)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::default();
        config.api.port = 0;
        config.top.host = Some("here".into());
        config.conductor.node_locked_retry_interval.0 = 0.05;
        change(&mut config, folder.path());
        let client = match (&config.api.unix_socket, &config.api.cert_file) {
            (Some(socket), _) => reqwest::Client::builder().tls_certs_only([]).unix_socket(socket.clone()),
            (None, Some(certificate)) => {
                let pem = std::fs::read(certificate).unwrap();
                reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            }
            (None, None) => reqwest::Client::builder().tls_certs_only([]),
        };
        let config = Arc::new(config);
        let auth = Auth::open(&config).unwrap();
        let listeners = Listeners::bind(&config).await.unwrap();
        let scheme = if config.api.enable_ssl_api { "https" } else { "http" };
        let base = listeners
            .local()
            .first()
            .map_or_else(|| "http://localhost".to_owned(), |address| format!("{scheme}://{address}"));
        let service = Service::open(config, folder.path()).await.unwrap();
        let stop = CancellationToken::new();
        let api = Arc::new(Api { conductor: service.conductor.clone(), auth });
        let serving = tokio::spawn(listeners.run(api, stop.clone()));
        let client = client.timeout(PATIENCE).build().unwrap();
        Site { base, client, stop, serving, service: Some(service), folder }
    }

    /// What stands behind the API: to hold a node, or to put records where no request can.
    pub fn conductor(&self) -> &Arc<Conductor> {
        &self.service.as_ref().expect("the site runs").conductor
    }

    /// What SIGTERM does.
    pub fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops, and waits for the end.
    pub async fn stop(mut self) -> TempDir {
        self.ask_to_stop();
        (&mut self.serving).await.unwrap();
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
        self.folder
    }

    /// Any request, with any headers.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Reply {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response: Response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let json = headers.get("content-type").is_some_and(|kind| kind == "application/json");
        // A HEAD says what a GET would carry, and carries nothing.
        let body = if json && !bytes.is_empty() { serde_json::from_slice(&bytes).expect("JSON") } else { Value::Null };
        Reply { status, headers, body }
    }

    /// A request in one version, with or without a JSON body.
    pub async fn at(&self, version: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let mut headers = vec![("X-OpenStack-Ironic-API-Version", version)];
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        self.send(method, path, &headers, body.map(|body| body.to_string().into_bytes())).await
    }

    /// GET in the newest version.
    pub async fn get(&self, path: &str) -> Reply {
        self.at(NEW, "GET", path, None).await
    }

    /// POST in the newest version.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.at(NEW, "POST", path, Some(body)).await
    }

    /// PUT in the newest version.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.at(NEW, "PUT", path, Some(body)).await
    }

    /// PATCH in the newest version.
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.at(NEW, "PATCH", path, Some(body)).await
    }

    /// DELETE in the newest version.
    pub async fn delete(&self, path: &str) -> Reply {
        self.at(NEW, "DELETE", path, None).await
    }

    /// A node of fake hardware; its UUID.
    pub async fn node(&self, name: &str) -> String {
        let body = json!({"driver": "fake-hardware", "name": name});
        let reply = self.post("/v1/nodes", body).await.expect(201);
        reply.body["uuid"].as_str().unwrap().to_owned()
    }

    /// A verb, and the state it must lead to.
    pub async fn provision(&self, node: &str, verb: &str, state: &str) {
        self.put(&format!("/v1/nodes/{node}/states/provision"), json!({"target": verb})).await.expect(202);
        self.reaches(node, state).await;
    }

    /// Waits until what a GET shows is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let now = self.get(path).await.expect(200).body;
            if wanted(&now) {
                return now;
            }
            assert!(begin.elapsed() < PATIENCE, "{path} did not become what was awaited: {now}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The conductor's store, for what the API does not show.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.service.as_ref().expect("it runs").conductor.store)
    }

    /// Waits until the node rests in the state; fails the test when it rests elsewhere or takes too long.
    pub async fn reaches(&self, node: &str, state: &str) {
        let begin = Instant::now();
        loop {
            let now = self.get(&format!("/v1/nodes/{node}")).await.expect(200).body;
            let rests = now["target_provision_state"].is_null() && now["reservation"].is_null();
            if now["provision_state"] == state && rests {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{node} did not reach {state}: {now}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One replacement as a patch.
pub fn replace(path: &str, value: Value) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}
