//! Which image a node gets: checks instance_info and makes the agent's `image_info` of it (agent-protocol section 11).

use crate::flow::conductor::Conductor;
use crate::model::node::Node;
use common::image_ref::{DigestKind, ImageInfo};

/// What the agent is told.
///
/// # Errors
/// A text in Ironic's words: what is missing in instance_info and how to set it.
pub async fn resolve(conductor: &Conductor, node: &Node) -> Result<ImageInfo, String> {
    from_instance_info(conductor, node)
}

/// The same checks without fetching anything.
///
/// # Errors
/// As [`resolve`].
pub fn check(conductor: &Conductor, node: &Node) -> Result<(), String> {
    from_instance_info(conductor, node).map(|_| ())
}

/// Reads instance_info.
///
/// # Errors
/// A text that names what is missing.
fn from_instance_info(conductor: &Conductor, node: &Node) -> Result<ImageInfo, String> {
    let info = &node.instance_info;
    let source = info.text("image_source").filter(|text| !text.is_empty()).ok_or_else(|| {
        format!("Node {} failed to validate deploy image info. Some parameters were missing. Missing are: ['instance_info.image_source']", node.uuid)
    })?;
    let checksum = info.text("image_checksum");
    let (algo, value) = (info.text("image_os_hash_algo"), info.text("image_os_hash_value"));
    if checksum.is_none() && (algo.is_none() || value.is_none()) {
        return Err("image_source's image_checksum must be provided in instance_info: set image_checksum, or image_os_hash_algo and image_os_hash_value".into());
    }
    if let Some(algo) = algo
        && DigestKind::from_name(algo).is_none()
    {
        return Err(format!("image_os_hash_algo `{algo}` is unknown; use sha256 or sha512"));
    }
    let id = source.rsplit('/').next().unwrap_or_default().split(['?', '#']).next().unwrap_or_default();
    Ok(ImageInfo {
        id: if id.is_empty() { "image".into() } else { id.to_owned() },
        urls: vec![source.to_owned()],
        disk_format: info.text("image_disk_format").map(str::to_owned),
        container_format: info.text("image_container_format").map(str::to_owned),
        stream_raw_images: conductor.config.agent.stream_raw_images,
        checksum: checksum.map(str::to_owned),
        os_hash_algo: algo.map(str::to_owned),
        os_hash_value: value.map(str::to_owned),
        image_request_authorization: None,
        image_server_auth_strategy: None,
        image_server_user: None,
        image_server_password: None,
        proxies: None,
        no_proxy: None,
        node_uuid: Some(node.uuid.to_string()),
        configdrive: None,
        image_type: None,
        other: serde_json::Map::new(),
    })
}
