//! Machines that nobody has enrolled become nodes when their ramdisk sends an inventory (`[auto_discovery]`; rest-api
//! section 14.3). Node, ports and data are one write: a machine that sends them again is known then, also after a kill.

use super::lookup::{owners, unknown};
use super::{Caller, Conductor, RequestError, create_node};
use crate::flow::{inspect, wake};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::plan::ARRIVED;
use crate::model::port::Port;
use crate::store::NodeFilter;
use crate::store::records::RecordChange;
use common::heartbeat::InspectionData;
use common::mac::Mac;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// Marks what was found so, as the reference does.
const FLAG: &str = "auto_discovered";
/// Nodes in enroll, at most: whoever reaches the API can send inventories, and no disk takes any number of them.
const MOST: usize = 10_000;

/// Enrols the machine with these data and has them looked at. The text of a refusal tells the machine nothing; the log does.
///
/// # Errors
/// 404 for a machine without a NIC that becomes a port: by those it is known when it calls again; 503 when too many nodes wait in
/// enroll; 500 when no such node can be made.
pub async fn enroll(
    conductor: &Arc<Conductor>,
    mut data: InspectionData,
    macs: &[Mac],
    caller: &Caller,
) -> Result<Uuid, RequestError> {
    let _one = conductor.discovery.lock().await;
    // Since it was looked for, it may have called twice.
    if !owners(conductor, macs).await?.is_empty() {
        return Err(unknown());
    }
    let ports = inspect::usable_macs(&data.inventory, &conductor.config.inspector.add_ports);
    if ports.is_empty() {
        tracing::warn!(
            ?macs,
            "an unknown machine is not enrolled: none of its NICs becomes a port ([inspector] add_ports)"
        );
        return Err(unknown());
    }
    let waiting = NodeFilter { provision_states: vec![State::Enroll], include_children: true, ..NodeFilter::default() };
    if conductor.store.count_nodes(&waiting, MOST).await? >= MOST {
        tracing::error!(
            most = MOST,
            "unknown machines are not enrolled any more: too many nodes are in enroll; move or delete them"
        );
        return Err(RequestError::Unavailable("The machine cannot be enrolled now.".into()));
    }
    let mut node = Node::new(Uuid::new_v4(), conductor.config.auto_discovery.driver.clone().unwrap_or_default());
    node.conductor_group.clone_from(&conductor.config.conductor.conductor_group);
    node.flow.stage = ARRIVED.into();
    data.plugin_data.insert(FLAG.into(), json!(true));
    let data = serde_json::to_value(&data).map_err(|error| RequestError::Invalid(error.to_string()))?;
    let mut along = vec![RecordChange::PutArrival(node.uuid, data)];
    along.extend(ports.iter().map(|mac| RecordChange::NewPort(Box::new(Port::new(node.uuid, *mac)))));
    let node = create_node(conductor, node, along, caller).await.map_err(|error| {
        tracing::error!(%error, "an unknown machine cannot be enrolled ([auto_discovery] driver)");
        RequestError::Internal("The machine cannot be enrolled.".into())
    })?;
    tracing::info!(node = %node.uuid, driver = node.driver, ?macs, "an unknown machine was enrolled");
    wake(conductor, node.uuid, "discovered").await?;
    Ok(node.uuid)
}
