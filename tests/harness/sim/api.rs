//! A client of the conductor's API.

use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// The newest version that stories use.
const VERSION: (&str, &str) = ("X-OpenStack-Ironic-API-Version", "1.112");
/// One call.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status; 0: nobody answered.
    pub status: u16,
    /// JSON, or null.
    pub body: Value,
}

impl Answer {
    /// The answer has this status.
    ///
    /// # Panics
    /// When it has another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The fault's text.
    pub fn error(&self) -> String {
        let shown = &self.body["error_message"];
        // Ironic wraps JSON in JSON for old clients.
        let inner = shown.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let text = inner.as_ref().unwrap_or(shown)["faultstring"].as_str().map(str::to_owned);
        text.unwrap_or_else(|| self.body.to_string())
    }
}

/// Where the API is. Clones share connections.
#[derive(Clone)]
pub struct Api {
    /// `http://ADDRESS:PORT`.
    pub base: String,
    http: reqwest::Client,
}

impl Api {
    /// A client without trust in anybody: loopback needs none.
    ///
    /// # Panics
    /// When the HTTP library refuses its own settings.
    pub fn client() -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().tls_certs_only([]).no_proxy().timeout(TIMEOUT);
        builder.build().expect("an HTTP client")
    }

    /// For this address.
    pub fn new(base: String, http: reqwest::Client) -> Self {
        Self { base, http }
    }

    /// One call, body as JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).header(VERSION.0, VERSION.1);
        if let Some(body) = body {
            request = request.json(body);
        }
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let text = answer.text().await.unwrap_or_default();
                let plain = |text: String| if text.is_empty() { Value::Null } else { Value::String(text) };
                Answer { status, body: serde_json::from_str(&text).unwrap_or_else(|_| plain(text)) }
            }
            Err(error) => Answer { status: 0, body: Value::String(error.to_string()) },
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }
}
