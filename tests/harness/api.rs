//! A client of the API that knows nothing of the conductor's types: it sends and reads JSON, as any client does.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// The newest version the lab speaks.
const VERSION: &str = "1.115";

/// The API. Clones share connections.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    client: Client,
}

/// An answer that was not the one hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API refused.
    #[error("{method} {path}: {status}: {body}")]
    Refused {
        /// What was asked.
        method: Method,
        /// Of what.
        path: String,
        /// The status.
        status: StatusCode,
        /// The body, as sent.
        body: String,
    },
    /// No answer.
    #[error("{method} {path}: {source}")]
    Silent {
        /// What was asked.
        method: Method,
        /// Of what.
        path: String,
        /// Why.
        source: reqwest::Error,
    },
}

impl Api {
    /// A client of the API at `base`.
    ///
    /// # Panics
    /// When there is no TLS provider; stories install one.
    pub fn new(base: &str) -> Self {
        let client = Client::builder().tls_certs_only([]).timeout(Duration::from_secs(30)).build();
        Api { base: base.to_owned(), client: client.expect("a client needs no more than a TLS provider") }
    }

    /// GET.
    ///
    /// # Errors
    /// No answer, or not a good one.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.call(Method::GET, path, None).await
    }

    /// POST.
    ///
    /// # Errors
    /// No answer, or not a good one.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PUT. A node that is held for a moment (409) is asked again, as every client of this API does.
    ///
    /// # Errors
    /// No answer, or not a good one.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.patiently(Method::PUT, path, body).await
    }

    /// PATCH, with the same patience.
    ///
    /// # Errors
    /// No answer, or not a good one.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.patiently(Method::PATCH, path, body).await
    }

    async fn patiently(&self, method: Method, path: &str, body: &Value) -> Result<Value, ApiError> {
        for _ in 0..20 {
            match self.call(method.clone(), path, Some(body)).await {
                Err(ApiError::Refused { status: StatusCode::CONFLICT, .. }) => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                answer => return answer,
            }
        }
        self.call(method, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let silent = |source| ApiError::Silent { method: method.clone(), path: path.to_owned(), source };
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        request = request.header("X-OpenStack-Ironic-API-Version", VERSION).header("Accept", "application/json");
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        let body = answer.text().await.map_err(silent)?;
        if !status.is_success() {
            return Err(ApiError::Refused { method, path: path.to_owned(), status, body });
        }
        Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}
