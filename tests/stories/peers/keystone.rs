//! A real Keystone says who asks: administrator, readers, owner, lessee, stranger; tokens that are revoked, a Keystone that dies.

mod lists;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tests::peers::ours::OurConductor;
use tests::peers::program::Running;
use tests::peers::{require_client, venv};
use tests::story::{Stage, story_after};

const KEYSTONE: &str = "http://127.0.0.1:5000";
const OURS: &str = "http://127.0.0.1:6385";
/// Its tables are made first; another build may want the processors, too.
const START: Duration = Duration::from_secs(180);
/// How long our conductor remembers tokens in this story.
const MEMORY: Duration = Duration::from_secs(2);
/// Everybody's.
const PASSWORD: &str = "correct horse";

/// Name, role, and project (none: the whole site).
const PEOPLE: &[(&str, &str, Option<&str>)] = &[
    ("wrought", "service", Some("service")),
    ("site-admin", "admin", None),
    ("site-reader", "reader", None),
    ("owner-member", "member", Some("own")),
    ("owner-reader", "reader", Some("own")),
    ("site-manager", "manager", None),
    ("owner-manager", "manager", Some("own")),
    ("owner-admin", "admin", Some("own")),
    ("lessee-reader", "reader", Some("lease")),
    ("lessee-member", "member", Some("lease")),
    ("lessee-manager", "manager", Some("lease")),
    ("stranger-reader", "reader", Some("strange")),
    ("stranger-admin", "admin", Some("strange")),
];

struct Site {
    client: Client,
    keystone: Option<Running>,
    /// The administrator's token at the Keystone.
    root: String,
    projects: Value,
}

impl Site {
    async fn start(dir: &Path) -> Self {
        let home: PathBuf = dir.join("keystone");
        std::fs::create_dir_all(&home).unwrap();
        let mut command = Command::new(venv().join("bin/python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/peers/keystone_server.py"));
        command.arg(&home).arg("5000").arg(PASSWORD);
        let mut keystone = Running::start(command, &home.join("out.log"));
        let end = Instant::now() + START;
        while !keystone.said().lines().any(|line| line == "ready") {
            assert!(keystone.runs() && Instant::now() < end, "the Keystone does not start: {}", keystone.said());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let client = Client::builder().tls_certs_only([]).timeout(Duration::from_secs(60)).build().unwrap();
        let mut site = Site { client, keystone: Some(keystone), root: String::new(), projects: json!({}) };
        site.root = site.login("admin", None).await;
        site.populate().await;
        site
    }

    async fn send(&self, token: &str, method: Method, url: &str, body: Option<Value>) -> Response {
        let mut request = self.client.request(method, url).header("X-OpenStack-Ironic-API-Version", "1.115");
        if !token.is_empty() {
            request = request.header("X-Auth-Token", token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// A token for the whole site or for a project.
    async fn login(&self, name: &str, project: Option<&str>) -> String {
        let scope = match project {
            Some(project) => json!({"project": {"name": project, "domain": {"id": "default"}}}),
            None => json!({"system": {"all": true}}),
        };
        let user = json!({"name": name, "domain": {"id": "default"}, "password": PASSWORD});
        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}});
        let answer = self.send("", Method::POST, &format!("{KEYSTONE}/v3/auth/tokens"), Some(body)).await;
        assert_eq!(answer.status(), 201, "{name} logs in");
        answer.headers()["x-subject-token"].to_str().unwrap().to_owned()
    }

    async fn of(&self, name: &str) -> String {
        let (_, _, project) = PEOPLE.iter().find(|person| person.0 == name).unwrap();
        self.login(name, *project).await
    }

    async fn at_keystone(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.send(&self.root, method, &format!("{KEYSTONE}/v3/{path}"), body).await;
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    async fn populate(&mut self) {
        for name in ["service", "own", "lease", "strange"] {
            let made = self.at_keystone(Method::POST, "projects", Some(json!({"project": {"name": name}}))).await;
            self.projects[name] = made["project"]["id"].clone();
        }
        let roles = self.at_keystone(Method::GET, "roles", None).await;
        for (name, role, project) in PEOPLE {
            let user = json!({"user": {"name": name, "password": PASSWORD}});
            let made = self.at_keystone(Method::POST, "users", Some(user)).await;
            let user = made["user"]["id"].as_str().unwrap();
            let role = roles["roles"].as_array().unwrap().iter().find(|known| known["name"] == *role).unwrap();
            let role = role["id"].as_str().unwrap();
            let path = match project {
                Some(project) => {
                    format!("projects/{}/users/{user}/roles/{role}", self.projects[project].as_str().unwrap())
                }
                None => format!("system/users/{user}/roles/{role}"),
            };
            self.at_keystone(Method::PUT, &path, None).await;
        }
        let service = json!({"service": {"type": "baremetal", "name": "wrought"}});
        let made = self.at_keystone(Method::POST, "services", Some(service)).await;
        let endpoint = json!({"endpoint": {"service_id": made["service"]["id"], "interface": "public", "url": OURS,
            "region_id": "here"}});
        self.at_keystone(Method::POST, "endpoints", Some(endpoint)).await;
    }

    async fn ask(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let answer = self.send(token, method, &format!("{OURS}{path}"), body).await;
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn sees(&self, name: &str) -> usize {
        let (status, body) = self.ask(&self.of(name).await, Method::GET, "/v1/nodes", None).await;
        assert_eq!(status, 200, "{name}: {body}");
        body["nodes"].as_array().unwrap().len()
    }
}

fn configuration() -> String {
    format!(
        r#"auth_strategy = "keystone"
[api]
host_ip = "127.0.0.1"
[conductor]
sync_power_state_interval = 0.0
[keystone_authtoken]
www_authenticate_uri = "{KEYSTONE}"
auth_url = "{KEYSTONE}/v3"
username = "wrought"
password = "{PASSWORD}"
project_name = "service"
token_cache_time = {}
"#,
        MEMORY.as_secs_f64()
    )
}

#[test]
fn a_real_keystone_says_who_asks() {
    story_after(require_client, async |stage: Stage| {
        let mut site = Site::start(&stage.dir).await;
        let ours = OurConductor::start_configured(&stage.dir, OURS, &configuration()).await;
        unknown_people_are_told_where_to_log_in(&site).await;
        everybody_sees_and_does_what_the_policy_says(&site).await;
        the_real_client_logs_in(&stage.dir);
        lists::show_everybody_what_is_his(&site).await;
        lists::roles_end_where_they_end(&site).await;
        a_revoked_token_is_refused_soon(&site).await;
        a_dead_keystone_is_a_quick_503(&mut site).await;
        drop(ours);
    });
}

async fn unknown_people_are_told_where_to_log_in(site: &Site) {
    for token in ["", "nonsense", "gAAAAABnonsense"] {
        let answer = site.send(token, Method::GET, &format!("{OURS}/v1/nodes"), None).await;
        assert_eq!(answer.status(), 401, "{token}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert_eq!(challenge, format!("Keystone uri=\"{KEYSTONE}\""));
    }
    assert_eq!(site.ask("", Method::GET, "/v1", None).await.0, 200);
    // Somebody who may do nothing here is known all the same.
    let plain = site.login("admin", Some("admin")).await;
    assert_eq!(site.ask(&plain, Method::GET, "/v1/conductors", None).await.0, 403);
}

async fn everybody_sees_and_does_what_the_policy_says(site: &Site) {
    let admin = site.of("site-admin").await;
    let node = json!({"driver": "fake-hardware", "name": "mine", "owner": site.projects["own"],
        "lessee": site.projects["lease"], "driver_info": {"address": "192.0.2.9"}});
    assert_eq!(site.ask(&admin, Method::POST, "/v1/nodes", Some(node)).await.0, 201);
    let other = json!({"driver": "fake-hardware", "name": "nobodys"});
    assert_eq!(site.ask(&admin, Method::POST, "/v1/nodes", Some(other)).await.0, 201);
    for (name, count) in
        [("site-admin", 2), ("site-reader", 2), ("owner-reader", 1), ("lessee-reader", 1), ("stranger-admin", 0)]
    {
        assert_eq!(site.sees(name).await, count, "{name}");
    }
    let patch = || Some(json!([{"op": "add", "path": "/extra/by", "value": "x"}]));
    for (name, status) in [
        ("site-admin", 200),
        ("site-reader", 403),
        ("owner-member", 200),
        ("owner-reader", 403),
        ("lessee-reader", 403),
        ("stranger-admin", 404),
    ] {
        let token = site.of(name).await;
        assert_eq!(site.ask(&token, Method::PATCH, "/v1/nodes/mine", patch()).await.0, status, "{name}");
    }
    let seen =
        async |name: &str| site.ask(&site.of(name).await, Method::GET, "/v1/nodes/mine", None).await.1.to_string();
    assert!(seen("owner-reader").await.contains("192.0.2.9") && !seen("lessee-reader").await.contains("192.0.2.9"));
}

/// The service's address comes from the Keystone's catalogue.
fn the_real_client_logs_in(home: &Path) {
    let listed = |user: &str, project: &str| {
        let output = Command::new(venv().join("bin/baremetal"))
            .args(["node", "list", "-f", "value", "-c", "Name"])
            .env_clear()
            .envs([("HOME", home.to_str().unwrap()), ("OS_AUTH_URL", KEYSTONE), ("OS_IDENTITY_API_VERSION", "3")])
            .envs([("OS_USERNAME", user), ("OS_PASSWORD", PASSWORD), ("OS_PROJECT_NAME", project)])
            .envs([("OS_USER_DOMAIN_ID", "default"), ("OS_PROJECT_DOMAIN_ID", "default")])
            .stdin(Stdio::null())
            .output()
            .expect("the client's command line");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(listed("owner-reader", "own"), "mine\n");
    assert_eq!(listed("stranger-admin", "strange").trim(), "");
}

async fn a_revoked_token_is_refused_soon(site: &Site) {
    let token = site.of("owner-reader").await;
    assert_eq!(site.ask(&token, Method::GET, "/v1/nodes", None).await.0, 200);
    let request = site.client.delete(format!("{KEYSTONE}/v3/auth/tokens"));
    let request = request.header("X-Auth-Token", &site.root).header("X-Subject-Token", &token);
    assert_eq!(request.send().await.unwrap().status(), 204);
    let end = Instant::now() + MEMORY * 5;
    while site.ask(&token, Method::GET, "/v1/nodes", None).await.0 != 401 {
        assert!(Instant::now() < end, "a revoked token still opens the door");
        tokio::time::sleep(MEMORY / 10).await;
    }
}

async fn a_dead_keystone_is_a_quick_503(site: &mut Site) {
    drop(site.keystone.take());
    let begin = Instant::now();
    for number in 0..20 {
        let answer = site.send(&format!("new-token-{number}"), Method::GET, &format!("{OURS}/v1/nodes"), None).await;
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        let text = answer.text().await.unwrap();
        assert!(text.contains(KEYSTONE), "{text}");
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "nobody waits for it: {:?}", begin.elapsed());
    assert_eq!(site.ask("", Method::GET, "/v1", None).await.0, 200, "what is open stays open");
}
