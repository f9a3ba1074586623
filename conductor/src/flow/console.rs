//! Consoles that are on: what `fake-graphical` keeps in the record, and its sessions that end by themselves (rest-api section 7.4).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::{let_go, machine};
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::store::StoreError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The reference's graphical console for tests: no container runs, the address is one of TEST-NET-1.
const GRAPHICAL: &str = "fake-graphical";
const ADDRESS: (&str, u16) = ("192.0.2.1", 5900);
/// Where the record says so.
const HOST: &str = "vnc_host";
const PORT: &str = "vnc_port";
const TOKEN: &str = "novnc_secret_token";
const CREATED: &str = "novnc_secret_token_created";

fn is_graphical(node: &Node) -> bool {
    node.interface(InterfaceKind::Console) == GRAPHICAL
}

/// Puts the console on or off in the record.
pub fn switch(node: &mut Node, on: bool) {
    node.console_enabled = on;
    let info = &mut node.driver_internal_info;
    for key in [HOST, PORT, TOKEN, CREATED] {
        info.remove(key);
    }
    if on && is_graphical(node) {
        let info = &mut node.driver_internal_info;
        info.insert(HOST.into(), json!(ADDRESS.0));
        info.insert(PORT.into(), json!(ADDRESS.1));
        info.insert(TOKEN.into(), json!(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())));
        info.insert(CREATED.into(), json!(machine::plain_time()));
    }
}

/// Undeployment: a graphical session ends with the instance. Others stay on for the next one.
pub fn leave(node: &mut Node) {
    if node.console_enabled && is_graphical(node) {
        switch(node, false);
    }
}

/// How a person gets to the console of a node that has it on.
pub fn info(conductor: &Conductor, node: &Node) -> Value {
    let Some(token) = node.driver_internal_info.text(TOKEN).filter(|_| is_graphical(node)) else { return json!({}) };
    // The path is one value of the page's query; the token's alphabet needs no escapes.
    let path = format!("websockify%3Fnode%3D{}%26token%3D{token}", node.uuid);
    json!({"type": "vnc", "url": format!("{}?path={path}", conductor.config.vnc.public_url)})
}

/// When the session of this node ends.
fn end(conductor: &Conductor, node: &Node) -> Option<Timestamp> {
    let created = machine::noted_time(node, CREATED).filter(|_| node.console_enabled && is_graphical(node))?;
    created.checked_add(conductor.config.vnc.token_timeout.duration()).ok()
}

/// Ends the node's session in time. The time itself is in the record: a restart sets the clock again.
pub fn watch(conductor: &Arc<Conductor>, node: &Node) {
    if let Some(end) = end(conductor, node) {
        watch_for(conductor, node.uuid, Duration::try_from(end - Timestamp::now()).unwrap_or_default());
    }
}

fn watch_for(conductor: &Arc<Conductor>, node: Uuid, pause: Duration) {
    let shared = Arc::clone(conductor);
    conductor.later(pause, async move {
        let again = shared.config.vnc.expire_console_session_interval.duration();
        match close(&shared, node).await {
            Ok(true) => {}
            // Held, or given a new session meanwhile.
            Ok(false) => watch_for(&shared, node, again),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => {
                tracing::warn!(%node, %error, "the end of a console session was missed; it is looked at again");
                watch_for(&shared, node, again);
            }
        }
    });
}

/// `false`: not yet.
async fn close(conductor: &Arc<Conductor>, node: Uuid) -> Result<bool, StoreError> {
    let Some(end) = end(conductor, &conductor.store.node(&node.to_string()).await?) else { return Ok(true) };
    if end > Timestamp::now() {
        return Ok(false);
    }
    let Ok(mut claim) = Claim::take(&conductor.holder, node, "ending a console session").await else {
        return Ok(false);
    };
    switch(&mut claim.node, false);
    claim.note(Severity::Info, "console", "the console's session is over; it was stopped");
    let saved = claim.save().await;
    let_go(conductor, claim).await;
    saved.map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graphical_session_leaves_nothing_behind() {
        let mut node = Node::default();
        node.interfaces.insert(InterfaceKind::Console, GRAPHICAL.into());
        switch(&mut node, true);
        let first = node.driver_internal_info.text(TOKEN).unwrap().to_owned();
        assert_eq!((first.len(), node.driver_internal_info.get(PORT)), (43, Some(&json!(5900))));
        switch(&mut node, true);
        assert_ne!(node.driver_internal_info.text(TOKEN), Some(first.as_str()), "each session has its own");
        leave(&mut node);
        assert!(!node.console_enabled && node.driver_internal_info.is_empty());
        node.interfaces.insert(InterfaceKind::Console, "fake".into());
        switch(&mut node, true);
        assert!(node.driver_internal_info.is_empty());
        leave(&mut node);
        assert!(node.console_enabled, "comes back with the next instance");
    }
}
