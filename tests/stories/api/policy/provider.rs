//! An OpenID provider and a Keystone that live in the test and fail as real ones do: slow, hanging, away, changing keys.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// What both of them know and do.
pub struct Provider {
    /// Its address.
    pub base: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    base: Mutex<String>,
    keys: Mutex<Value>,
    /// Who says this is the issuer, if not we.
    issuer: Mutex<Option<String>>,
    hangs: AtomicBool,
    asked: AtomicUsize,
}

impl Shared {
    /// Counts, and never comes back while it hangs.
    async fn turn(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        while self.hangs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn described(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.turn().await;
    let base = shared.base.lock().unwrap().clone();
    let issuer = shared.issuer.lock().unwrap().clone().unwrap_or_else(|| base.clone());
    Json(json!({"issuer": issuer, "jwks_uri": format!("{base}/keys")}))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.turn().await;
    Json(shared.keys.lock().unwrap().clone())
}

/// A Keystone's answer about a token: `reader` reads everything.
fn token() -> Value {
    let expires = (jiff::Timestamp::now() + Duration::from_secs(3600)).to_string();
    json!({"token": {"expires_at": expires, "roles": [{"id": "r", "name": "reader"}], "system": {"all": true},
        "user": {"id": "u", "name": "somebody", "domain": {"id": "default", "name": "Default"}}}})
}

async fn log_in(State(shared): State<Arc<Shared>>) -> Response {
    shared.turn().await;
    (StatusCode::CREATED, [("X-Subject-Token", "our-own")], Json(token())).into_response()
}

async fn check(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    shared.turn().await;
    let good = headers.get("x-subject-token").is_some_and(|token| token.as_bytes().starts_with(b"good"));
    if good { Json(token()).into_response() } else { StatusCode::NOT_FOUND.into_response() }
}

impl Provider {
    /// Starts one with these keys.
    pub async fn start(keys_of: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        Self::on(listener, &base, keys_of).await
    }

    /// The same behind any listener.
    pub async fn on<L>(listener: L, base: &str, keys_of: &str) -> Self
    where
        L: Listener<Addr = SocketAddr>,
    {
        let base = base.to_owned();
        let shared = Arc::new(Shared::default());
        *shared.keys.lock().unwrap() = serde_json::from_str(keys_of).unwrap();
        *shared.base.lock().unwrap() = base.clone();
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(described))
            .route("/keys", get(keys))
            .route("/v3/auth/tokens", post(log_in).get(check))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Provider { base, shared }
    }

    /// Publishes other keys.
    pub fn publish(&self, keys: &str) {
        *self.shared.keys.lock().unwrap() = serde_json::from_str(keys).unwrap();
    }

    /// Pretends to be another.
    pub fn call_itself(&self, issuer: &str) {
        *self.shared.issuer.lock().unwrap() = Some(issuer.into());
    }

    /// Takes every question and answers none, or goes on.
    pub fn hang(&self, hangs: bool) {
        self.shared.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}
