//! One of the two: sends requests, remembers what it was told to keep, hides what cannot be equal.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;

use super::mask;
use super::script::Request;

/// What sweeping uses.
const NEWEST: &str = "1.115";
/// Collections whose entries stand for themselves, by their key; nodes take the rest with them.
const COLLECTIONS: &[(&str, &str)] = &[
    ("allocations", "uuid"),
    ("nodes", "uuid"),
    ("chassis", "uuid"),
    ("deploy_templates", "uuid"),
    ("runbooks", "uuid"),
    ("inspection_rules", "uuid"),
];
/// Headers that clients read.
const HEADERS: &[&str] = &[
    "location",
    "allow",
    "content-type",
    "www-authenticate",
    "x-openstack-ironic-api-version",
    "x-openstack-ironic-api-minimum-version",
    "x-openstack-ironic-api-maximum-version",
];

/// An answer, masked.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Those of [`HEADERS`] that are there, and whether there is a request ID.
    pub headers: BTreeMap<String, String>,
    /// The document; a string when it is none.
    pub body: Value,
}

/// One API and what was kept of its answers.
#[derive(Clone, Debug)]
pub struct Side {
    base: String,
    client: Client,
    kept: BTreeMap<String, String>,
}

impl Side {
    /// The API at `base`.
    pub fn new(base: &str) -> Self {
        let client = Client::builder().tls_certs_only([]).no_proxy().timeout(Duration::from_secs(60)).build();
        Self { base: base.to_owned(), client: client.expect("a plain HTTP client"), kept: BTreeMap::new() }
    }

    /// Sends one request of a fixture.
    pub async fn send(&mut self, request: &Request) -> Answer {
        let (path, body) = (self.filled(&request.path), request.body.as_deref().map(|body| self.filled(body)));
        let answer = self.raw(&request.method, &path, request.version.as_deref(), body, &request.headers).await;
        for (name, pointer) in &request.keep {
            if let Some(text) = answer.body.pointer(pointer).and_then(Value::as_str) {
                self.kept.insert(name.clone(), text.to_owned());
            }
        }
        self.masked(answer)
    }

    /// The newest form of a document.
    pub async fn get(&self, path: &str) -> Answer {
        self.raw("GET", &self.filled(path), Some(NEWEST), None, &[]).await
    }

    /// Removes everything: the next fixture begins with nothing.
    pub async fn sweep(&self) {
        let simple = async |method: &str, path: &str| self.raw(method, path, Some(NEWEST), None, &[]).await;
        for (collection, key) in COLLECTIONS {
            // A child hides from other lists and keeps its parent from going.
            let all = if *collection == "nodes" { "?include_children=true&sort_dir=desc" } else { "" };
            let list = simple("GET", &format!("/v1/{collection}{all}")).await.body;
            for entry in list[collection].as_array().into_iter().flatten() {
                let path = format!("/v1/{collection}/{}", entry[key].as_str().unwrap_or_default());
                if *collection == "nodes" {
                    simple("PUT", &format!("{path}/maintenance")).await;
                    let open = "[{\"op\":\"remove\",\"path\":\"/instance_uuid\"},{\"op\":\"replace\",\"path\":\"/protected\",\"value\":false}]";
                    self.raw("PATCH", &path, Some(NEWEST), Some(open.into()), &[]).await;
                }
                simple("DELETE", &path).await;
            }
        }
    }

    /// `$NAME`s replaced by what was kept.
    fn filled(&self, text: &str) -> String {
        // Longer names first: `$NODE` is not `$N` and `ODE`.
        let mut names: Vec<&String> = self.kept.keys().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.iter().fold(text.to_owned(), |text, name| text.replace(&format!("${name}"), &self.kept[*name]))
    }

    async fn raw(
        &self,
        method: &str,
        path: &str,
        version: Option<&str>,
        body: Option<String>,
        headers: &[(String, String)],
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(version) = version {
            request = request.header("X-OpenStack-Ironic-API-Version", version);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return Answer { status: 0, headers: BTreeMap::new(), body: Value::String(error.to_string()) };
            }
        };
        let status = answer.status().as_u16();
        let all = answer.headers().clone();
        let mut headers = BTreeMap::new();
        for name in HEADERS {
            if let Some(value) = all.get(*name) {
                headers.insert((*name).to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned());
            }
        }
        if all.contains_key("openstack-request-id") && all.contains_key("x-openstack-request-id") {
            headers.insert("openstack-request-id".into(), "there".into());
        }
        let text = answer.text().await.unwrap_or_default();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    fn masked(&self, mut answer: Answer) -> Answer {
        if let Some(inner) = answer.body["error_message"].as_str().and_then(|text| serde_json::from_str(text).ok()) {
            answer.body["error_message"] = inner;
        }
        if let Some(token) = answer.body.pointer_mut("/config/agent_token") {
            // 32 random bytes, or that there is one already.
            let random = token.as_str().is_some_and(|text| text.len() == 43);
            if random {
                *token = Value::String("<token>".into());
            }
        }
        let hide = |text: &str| mask::hide(text, &self.base, &self.kept);
        answer.headers.values_mut().for_each(|value| *value = hide(value));
        mask::each_text(&mut answer.body, &hide);
        mask::sort_sets(&mut answer.body);
        answer
    }
}
