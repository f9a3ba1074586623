//! After a start: leases of the process before are ended, boot entries are made again, every flow goes on where it was.

use crate::claim::Tries;
use crate::flow::conductor::Conductor;
use crate::flow::{allocate, console, memory_instance, power, ramdisk, wake};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::plan::{ARRIVED, RESTORE};
use crate::model::power::PowerChange;
use crate::policy::Visible;
use crate::store::{NodeFilter, Page, StoreError};
use std::convert::Infallible;
use std::sync::Arc;

/// Picks everything up. Called once, before the API listens.
///
/// # Errors
/// The store cannot be read.
pub async fn recover(conductor: &Arc<Conductor>) -> Result<(), StoreError> {
    let ended = conductor.store.end_leases(&conductor.host).await?;
    let filter = NodeFilter { include_children: true, ..NodeFilter::default() };
    let mut woken = 0;
    let nodes = conductor.store.nodes(&Visible::Everything, &filter, &Page::default()).await?;
    // Before any flow goes on: it switches what it was switching again, and must find it free.
    let lent = |node: &&Node| node.target_power_state.is_some_and(PowerChange::is_lent);
    for node in nodes.iter().filter(lent) {
        let change = |node: &mut Node| -> Result<(), Infallible> {
            node.target_power_state = None;
            Ok(())
        };
        if let Err(error) = conductor.holder.edit(node.uuid, Some(node.clone()), Tries::Once, change).await {
            tracing::warn!(node = %node.uuid, %error, "it still shows a power change that ended with the process before");
        }
    }
    for node in nodes {
        console::watch(conductor, &node);
        let state = node.provision_state;
        let stage = node.flow.stage.as_str();
        let asked =
            node.flow.abort.is_some() || matches!((state, stage), (State::Active, RESTORE) | (State::Enroll, ARRIVED));
        let works = state.is_busy() || state.is_wait() || asked;
        let purpose = match state {
            State::Inspecting | State::InspectWait => ramdisk::Purpose::Inspection,
            State::Rescuing | State::RescueWait => ramdisk::Purpose::Rescue,
            _ => ramdisk::Purpose::Steps,
        };
        // A node that is held has a ramdisk too, and nobody to wake.
        if node.flow.ramdisk
            && (works || state.is_hold())
            && node.interface(crate::model::node::InterfaceKind::Boot) == "ipxe"
            && let Err(error) = ramdisk::offer(conductor, &node, purpose).await
        {
            tracing::warn!(node = %node.uuid, error, "its ramdisk cannot be offered");
        }
        if memory_instance::is_there(&node)
            && let Err(error) = memory_instance::offer(conductor, &node).await
        {
            tracing::warn!(node = %node.uuid, error, "its instance, which lives in memory, cannot be booted");
        }
        if works {
            wake(conductor, node.uuid, "restart").await?;
            woken += 1;
        } else if let Some(PowerChange::Own(target)) = node.target_power_state {
            power::resume(conductor, &node, target).await;
        }
    }
    let allocations = allocate::resume(conductor).await?;
    if ended + woken + allocations > 0 {
        tracing::info!(leases_ended = ended, flows = woken, allocations, "picked up where the process before stopped");
    }
    Ok(())
}
