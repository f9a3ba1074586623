//! The API of either conductor, as far as a story watches a node with it.

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;

use super::program::Running;

/// A microversion that both conductors speak.
const VERSION: &str = "1.95";
/// Between two looks at a node of another process.
const LOOK: Duration = Duration::from_millis(100);

/// One API.
#[derive(Debug, Clone)]
pub struct Api {
    /// `http://host:port`.
    pub base: String,
    client: Client,
}

impl Api {
    /// The one at `base`.
    ///
    /// # Panics
    /// Never, while the TLS provider is installed, which a story does.
    pub fn new(base: &str) -> Self {
        let client = Client::builder().tls_certs_only([]).no_proxy().timeout(Duration::from_secs(30));
        // The real one closes a connection that nobody used for a while, perhaps in the moment in which it is used again.
        let client = client.pool_max_idle_per_host(0).build();
        Self { base: base.to_owned(), client: client.expect("a plain HTTP client") }
    }

    /// One document.
    ///
    /// # Errors
    /// No connection, or a status that is not good, with the body.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        let request = self.client.get(format!("{}{path}", self.base)).header("X-OpenStack-Ironic-API-Version", VERSION);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// Waits until it answers: the version document, which needs no credentials.
    ///
    /// # Panics
    /// When the server ends before, or does not answer in `limit`, with what it wrote.
    pub async fn answers(&self, limit: Duration, server: &mut Running) {
        let deadline = Instant::now() + limit;
        while let Err(error) = self.get("/v1").await {
            let alive = server.runs() && Instant::now() < deadline;
            assert!(alive, "{} does not answer ({error})\n{}", self.base, server.said());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The whole node.
    ///
    /// # Panics
    /// When the API does not know it.
    pub async fn node(&self, node: &str) -> Value {
        let answer = self.get(&format!("/v1/nodes/{node}")).await;
        answer.unwrap_or_else(|error| panic!("node {node}: {error}"))
    }

    /// Waits until the node is in `state` and nobody works on it.
    ///
    /// # Panics
    /// When it fails, or does not get there in `limit`, with `said`.
    pub async fn reaches(&self, node: &str, state: &str, limit: Duration, said: impl Fn() -> String) {
        let started = Instant::now();
        loop {
            let document = self.node(node).await;
            let now = document["provision_state"].as_str().unwrap_or_default();
            if now == state && document["reservation"].is_null() {
                println!("{state} after {:.1} s", started.elapsed().as_secs_f64());
                return;
            }
            let failed = now == "error" || now.ends_with(" failed") && now != state;
            assert!(
                !failed && started.elapsed() < limit,
                "{node} is in {now} after {:.1} s, not in {state}: {}\n{}",
                started.elapsed().as_secs_f64(),
                document["last_error"],
                said()
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}
