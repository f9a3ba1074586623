//! The kinds of callers that the policy knows, each with a token, on a site that trusts their provider.

use super::bearer::{AUDIENCE, ISSUER, SigningKey, published};
use crate::site::{NEW, Reply, Site};
use reqwest::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The project that owns.
pub const OWN: &str = "own";
/// The project that leases.
pub const LEASE: &str = "lease";

/// What the real policy engine says: rule -> who may with a thing of [`OWN`] on lease to [`LEASE`], and with one of nobody.
pub fn reference() -> BTreeMap<String, [Vec<String>; 2]> {
    serde_json::from_str(include_str!("../../../fixtures/ironic/policy.json")).unwrap()
}

/// Every kind of caller, as the reference names them.
pub fn personas() -> Vec<String> {
    let mut all = vec!["nobody".to_owned()];
    for place in ["system", "owner", "lessee", "stranger"] {
        all.extend(["admin", "manager", "member", "reader", "service"].map(|role| format!("{place} {role}")));
    }
    all
}

/// Claims of a kind of caller. Implied roles are the conductor's to add.
pub fn claims(persona: &str) -> Value {
    let Some((place, role)) = persona.split_once(' ') else { return json!({}) };
    match place {
        "system" => json!({"roles": [role], "system_scope": "all"}),
        "owner" => json!({"roles": [role], "project_id": OWN}),
        "lessee" => json!({"roles": [role], "project_id": LEASE}),
        _ => json!({"roles": [role], "project_id": "strange"}),
    }
}

/// A site whose callers show tokens.
pub struct Guarded {
    /// The site.
    pub site: Site,
    key: SigningKey,
}

impl Guarded {
    /// Starts it.
    pub async fn start() -> Self {
        let key = SigningKey::ed25519("k");
        let keys = published(&[&key]);
        let site = Site::with(|config, folder| {
            let file = folder.join("keys.json");
            std::fs::write(&file, keys).unwrap();
            config.top.auth_strategy = Some("oidc".into());
            config.oidc.issuer = ISSUER.into();
            config.oidc.audience = vec![AUDIENCE.into()];
            config.oidc.jwks_file = Some(file);
        })
        .await;
        Guarded { site, key }
    }

    /// A request by a kind of caller.
    pub async fn ask(&self, persona: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.with(claims(persona), method, path, body).await
    }

    /// A request with any claims.
    pub async fn with(&self, claims: Value, method: &str, path: &str, body: Option<Value>) -> Reply {
        let bearer = format!("Bearer {}", self.key.token(claims));
        let mut headers = vec![("X-OpenStack-Ironic-API-Version", NEW), ("Authorization", &bearer)];
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        self.site.send(method, path, &headers, body.map(|body| body.to_string().into_bytes())).await
    }

    /// An open stream of events.
    pub async fn open_stream(&self, claims: Value, path: &str) -> Response {
        let answer = self.stream_from(claims, path, None).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer
    }

    /// The text of a stream of events that ends by itself.
    pub async fn stream(&self, claims: Value, path: &str, last: Option<i64>) -> String {
        let answer = self.stream_from(claims, path, last).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    /// What asking for a stream of events is answered.
    pub async fn events(&self, claims: Value, path: String) -> u16 {
        self.stream_from(claims, &path, None).await.status().as_u16()
    }

    async fn stream_from(&self, claims: Value, path: &str, last: Option<i64>) -> Response {
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let mut request = client.get(format!("{}{path}", self.site.base)).header("Accept", "text/event-stream");
        if let Some(id) = last {
            request = request.header("Last-Event-ID", id.to_string());
        }
        request.bearer_auth(self.key.token(claims)).send().await.unwrap()
    }

    /// A node with these fields; its UUID.
    pub async fn node(&self, fields: Value) -> String {
        let mut body = json!({"driver": "fake-hardware"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let reply = self.ask("system admin", "POST", "/v1/nodes", Some(body)).await.expect(201);
        reply.body["uuid"].as_str().unwrap().to_owned()
    }

    /// A port of the node; its UUID.
    pub async fn port(&self, node: &str, address: &str) -> String {
        let body = json!({"node_uuid": node, "address": address});
        let reply = self.ask("system admin", "POST", "/v1/ports", Some(body)).await.expect(201);
        reply.body["uuid"].as_str().unwrap().to_owned()
    }
}
