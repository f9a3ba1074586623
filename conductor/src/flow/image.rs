//! Which image a node gets: instance_info checked, and the agent's `image_info` made of it (agent-protocol section 11).

use crate::boot::images::request::ImageRequest;
use crate::flow::conductor::Conductor;
use crate::model::node::Node;
use crate::model::partitions;
use crate::model::secret_map::SecretMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::image_ref::ImageInfo;
use serde_json::{Map, Value};

/// Checks without fetching anything, but opens a local file.
///
/// # Errors
/// A text in Ironic's words: what is missing in instance_info and how to set it.
pub fn check(conductor: &Conductor, node: &Node) -> Result<ImageRequest, String> {
    partition_info(conductor, node)?;
    let uuid = node.uuid.to_string();
    conductor.images.check(&uuid, &node.instance_info, &node.driver_info).map_err(|error| error.to_string())
}

/// What the agent is told. May take as long as a download when the conductor serves the image itself; the node must be in
/// the boot directory then.
///
/// # Errors
/// As [`check`], and what the image server or the checksum says.
pub async fn resolve(conductor: &Conductor, node: &Node) -> Result<ImageInfo, String> {
    let request = check(conductor, node)?;
    let mut info = conductor.images.resolve(node.uuid, &request).await.map_err(|error| error.to_string())?;
    info.other.extend(partition_info(conductor, node)?);
    // A member of its own: everything else about partitions is passed on as it is.
    info.image_type = info.other.shift_remove("image_type").and_then(|kind| kind.as_str().map(str::to_owned));
    Ok(info)
}

/// The container image that `bootc` installs.
///
/// # Errors
/// There is none.
pub fn container(node: &Node) -> Result<&str, String> {
    let source = node.instance_info.text("image_source").map(str::trim).unwrap_or_default();
    if source.strip_prefix("oci://").is_some_and(|name| !name.is_empty()) {
        return Ok(source);
    }
    let shown: String = source.chars().take(200).collect();
    Err(format!(
        "Invalid image href {shown}. The deploy interface bootc installs container images: set instance_info.image_source \
         to oci://REGISTRY/NAME:TAG, or the node's deploy_interface to direct"
    ))
}

/// What the registry wants to see, in base64 as the agent takes it: `image_pull_secret` of the instance, else of the node.
/// `user:secret` is that secret.
pub fn pull_secret(node: &Node) -> Option<String> {
    let of = |map: &SecretMap| map.text("image_pull_secret").filter(|text| !text.is_empty()).map(str::to_owned);
    let text = of(&node.instance_info).or_else(|| of(&node.driver_info))?;
    let secret = text.split_once(':').map_or(text.as_str(), |(_, secret)| secret);
    Some(STANDARD.encode(secret))
}

/// What the agent is told about partitions; nothing for an image of a whole disk.
fn partition_info(conductor: &Conductor, node: &Node) -> Result<Map<String, Value>, String> {
    match is_whole_disk(node) {
        Some(false) => {
            let mode = node.wanted_boot_mode().unwrap_or_else(|| conductor.config.deploy.default_boot_mode.clone());
            partitions::of(&node.instance_info, &mode)
        }
        _ => Ok(Map::new()),
    }
}

/// What the instance's image is, by what is said about it: with a kernel and a ramdisk of its own it is a partition. `None`:
/// there is no image.
pub fn is_whole_disk(node: &Node) -> Option<bool> {
    let has = |key: &str| node.instance_info.text(key).is_some_and(|text| !text.is_empty());
    has("image_source").then(|| match node.instance_info.text("image_type") {
        Some(kind) => kind == "whole-disk",
        None => !(has("kernel") && has("ramdisk")),
    })
}
