//! `GET validate`: would each interface of the node work? (rest-api section 8.1)

use super::{Conductor, RequestError, find};
use crate::flow::{deploy, machine, ramdisk};
use crate::model::node::{InterfaceKind, Node};
use std::sync::Arc;

/// One answer per interface, in order, without vendor. `Err(reason)` per interface is not a failure of the call.
///
/// # Errors
/// Unknown node.
pub async fn validate(
    conductor: &Arc<Conductor>,
    ident: &str,
) -> Result<Vec<(InterfaceKind, Result<(), String>)>, RequestError> {
    let node = find(conductor, ident).await?;
    Ok(InterfaceKind::validated().map(|kind| (kind, one(conductor, &node, kind))).collect())
}

fn one(conductor: &Conductor, node: &Node, kind: InterfaceKind) -> Result<(), String> {
    let name = node.interface(kind);
    let target = machine::target(conductor, node);
    conductor.drivers.validate(&node.driver, kind, name, &target).map_err(|error| error.to_string())?;
    match (kind, name) {
        (InterfaceKind::Boot, "ipxe") => ramdisk::files(conductor, node).map(|_| ()),
        (InterfaceKind::Raid, _) if !node.target_raid_config.is_empty() => conductor
            .drivers
            .check_raid(&node.driver, name, &node.target_raid_config)
            .map_err(|error| error.to_string()),
        (InterfaceKind::Deploy, _) => deploy::check(conductor, node),
        _ => Ok(()),
    }
}
