//! A node of a site and the machine behind it, as stories speak of them.

use super::api::Answer;
use super::machine::SimMachine;
use super::site::Site;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A state must be reached within this time, if nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(30);

/// An enrolled machine.
pub struct Node {
    site: Site,
    /// Its UUID.
    pub uuid: String,
    /// The machine.
    pub machine: SimMachine,
}

impl Node {
    pub(super) fn new(site: Site, uuid: String, machine: SimMachine) -> Self {
        Self { site, uuid, machine }
    }

    /// Its URL, and what follows.
    pub fn path(&self, rest: &str) -> String {
        format!("/v1/nodes/{}{rest}", self.uuid)
    }

    /// The record; `None` while the conductor is dead.
    pub async fn try_show(&self) -> Option<Value> {
        let answer = self.site.api().get(&self.path("")).await;
        (answer.status == 200).then_some(answer.body)
    }

    /// The record.
    ///
    /// # Panics
    /// When the API does not show it.
    pub async fn show(&self) -> Value {
        self.site.api().get(&self.path("")).await.expect(200)
    }

    /// `last_error`, or nothing.
    pub async fn last_error(&self) -> String {
        self.show().await["last_error"].as_str().unwrap_or_default().to_owned()
    }

    /// Asks for a verb.
    pub async fn ask(&self, verb: &str) -> Answer {
        self.ask_with(verb, json!({})).await
    }

    /// Asks for a verb with arguments.
    pub async fn ask_with(&self, verb: &str, mut arguments: Value) -> Answer {
        arguments["target"] = json!(verb);
        self.site.api().put(&self.path("/states/provision"), &arguments).await
    }

    /// Asks for a verb of a conductor that may die while it is asked: again, until the node has left `from`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn ask_until_taken(&self, verb: &str, from: &str) {
        self.ask_with_until_taken(verb, json!({}), from).await;
    }

    /// As [`Node::ask_until_taken`], with arguments.
    ///
    /// # Panics
    /// As there.
    pub async fn ask_with_until_taken(&self, verb: &str, arguments: Value, from: &str) {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "`{verb}` is never taken:\n{}", self.site.log_tail());
            if let Some(node) = self.try_show().await {
                if node["provision_state"] != from {
                    return;
                }
                let answer = self.ask_with(verb, arguments.clone()).await;
                // 409: the process that died held the node, or a knock holds it now.
                assert!([0, 202, 409].contains(&answer.status), "{verb}: {} {}", answer.status, answer.error());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sets a field. A conductor that dies meanwhile is asked again.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn set(&self, path: &str, value: Value) {
        let patch = json!([{"op": "add", "path": path, "value": value}]);
        let begun = Instant::now();
        loop {
            let answer = self.site.api().patch(&self.path(""), &patch).await;
            if answer.status != 0 || begun.elapsed() > PATIENCE {
                answer.expect(200);
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sets what is to be deployed.
    pub async fn wants(&self, image: &str) {
        let info = json!({
            "image_source": format!("http://127.0.0.1:9/{image}"), "image_disk_format": "raw",
            "image_os_hash_algo": "sha256", "image_os_hash_value": "0".repeat(64),
        });
        self.set("/instance_info", info).await;
    }

    /// Asks for a deployment of an image.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn deploy(&self, image: &str) {
        self.wants(image).await;
        self.ask("active").await.expect(202);
    }

    /// Waits for a provision state.
    ///
    /// # Panics
    /// When it is not reached in time, or the node failed instead; with the node's timeline and the conductor's log.
    pub async fn reaches(&self, state: &str) -> Value {
        self.reaches_within(state, PATIENCE).await
    }

    /// As [`Node::reaches`], with another patience.
    ///
    /// # Panics
    /// As there.
    pub async fn reaches_within(&self, state: &str, patience: Duration) -> Value {
        let begun = Instant::now();
        loop {
            let node = self.try_show().await;
            let now = node.as_ref().and_then(|node| node["provision_state"].as_str()).unwrap_or("unknown").to_owned();
            if let Some(node) = node
                && now == state
            {
                return node;
            }
            let failed = now.ends_with(" failed") || now == "error";
            if failed || begun.elapsed() > patience {
                panic!(
                    "the node should be `{state}`, it is `{now}` after {:.1?}\n{}",
                    begun.elapsed(),
                    self.story().await
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the record is as wanted.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn becomes(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            if let Some(node) = self.try_show().await
                && wanted(&node)
            {
                return node;
            }
            assert!(begun.elapsed() < PATIENCE, "the node should be {what}\n{}", self.story().await);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the machine has done this so often ([`SimMachine::diary`]).
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn does(&self, what: &str, times: usize) {
        let begun = Instant::now();
        while self.machine.did(what) < times {
            assert!(begun.elapsed() < PATIENCE, "the machine should `{what}`\n{}", self.story().await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The texts of its timeline, oldest first.
    pub async fn timeline(&self) -> Vec<String> {
        let list = self.site.api().get(&self.path("/history?detail=true")).await;
        let entries = list.body["history"].as_array().cloned().unwrap_or_default();
        let mut lines: Vec<String> =
            entries.iter().map(|entry| entry["event"].as_str().unwrap_or_default().to_owned()).collect();
        lines.reverse();
        lines
    }

    /// Everything that explains what happened.
    pub async fn story(&self) -> String {
        let shown = self.try_show().await.unwrap_or_default();
        format!(
            "last_error: {}\nwhat the machine did: {:?}, it runs {}\ntimeline:\n  {}\nlog:\n{}",
            shown["last_error"],
            self.machine.diary(),
            self.machine.runs(),
            self.timeline().await.join("\n  "),
            self.site.log_tail()
        )
    }
}
