//! The ramdisk's logs of a failed deployment, kept where a person finds them.

use crate::flow::agent_talk;
use crate::flow::conductor::Conductor;
use crate::flow::machine;
use crate::model::node::Node;
use base64::Engine;
use serde_json::{Map, Value};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Folder below the data directory.
const FOLDER: &str = "deploy-logs";
/// Largest bundle that is kept.
const MAX: usize = 32 * 1024 * 1024;

/// Fetches and keeps them; a failure to do so is only logged, the deployment has failed anyway.
pub async fn keep(conductor: &Conductor, node: &Node) {
    let Some(agent) = agent_talk::address(node) else { return };
    let result = conductor.agents.run(&agent, "log.collect_system_logs", Map::new(), true).await;
    let text = match &result {
        Ok(result) => result.command_result.as_ref().and_then(|value| value.get("system_logs")).and_then(Value::as_str),
        Err(error) => {
            tracing::info!(node = %node.uuid, %error, "no logs from the ramdisk");
            return;
        }
    };
    let Some(bundle) = text.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok()) else {
        return;
    };
    if bundle.len() > MAX {
        tracing::warn!(node = %node.uuid, bytes = bundle.len(), "the ramdisk's logs are too large to keep");
        return;
    }
    let name = format!("{}_{}.tar.gz", node.uuid, machine::plain_time().replace(':', "-"));
    match write(&conductor.data_dir.join(FOLDER), &name, &bundle) {
        Ok(()) => tracing::info!(node = %node.uuid, file = name, "the ramdisk's logs are kept"),
        Err(error) => tracing::warn!(node = %node.uuid, %error, "the ramdisk's logs could not be kept"),
    }
}

fn write(folder: &Path, name: &str, bundle: &[u8]) -> std::io::Result<()> {
    // Logs may show a tenant's addresses and names: nobody else reads them.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
    file.write_all(bundle)
}
