//! Parents and children: a child that goes on wants its parent on, a parent that goes off takes its children along
//! (rest-api 17.10). Children with a power supply of their own are left out.

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::{let_go, machine};
use crate::model::history::Severity;
use crate::model::node::Node;
use crate::model::power::{PowerChange, PowerState, PowerTarget};
use crate::policy::Visible;
use crate::store::{NodeFilter, Page, StoreError};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use uuid::Uuid;

/// Machines in machines in machines: nobody builds more, and a circle ends here.
const DEEPEST: usize = 4;

/// The children of a node.
///
/// # Errors
/// The store's.
pub async fn children(conductor: &Conductor, node: Uuid) -> Result<Vec<Node>, StoreError> {
    let filter = NodeFilter { parent_node: Some(node.to_string()), ..NodeFilter::default() };
    conductor.store.nodes(&Visible::Everything, &filter, &Page::default()).await
}

/// Has the others of the family in the state that `want` needs. Nothing to do for most nodes, and for every other target
/// than on and off.
///
/// # Errors
/// A text: another of the family is held, or its BMC failed.
pub async fn before(conductor: &Arc<Conductor>, node: &Node, want: PowerTarget) -> Result<(), String> {
    arrange(conductor, node, want, 0).await
}

async fn arrange(conductor: &Arc<Conductor>, node: &Node, want: PowerTarget, depth: usize) -> Result<(), String> {
    if depth > DEEPEST || node.power_state == Some(want.end()) {
        return Ok(());
    }
    match want {
        PowerTarget::On => {
            let Some(parent) = node.parent_node.as_deref().filter(|_| !has_own_supply(node)) else { return Ok(()) };
            let parent = conductor.store.node(parent).await.map_err(|error| error.to_string())?;
            if is(conductor, &parent, PowerState::On).await {
                return Ok(());
            }
            switch(conductor, parent.uuid, want, depth + 1)
                .await
                .map_err(|error| explained(error, &format!("Node {} parent_node {}", node.uuid, parent.uuid)))
        }
        PowerTarget::Off => {
            for child in children(conductor, node.uuid).await.map_err(|error| error.to_string())? {
                if has_own_supply(&child) || is(conductor, &child, PowerState::Off).await {
                    continue;
                }
                switch(conductor, child.uuid, want, depth + 1)
                    .await
                    .map_err(|error| explained(error, &format!("Node {} child_node {}", node.uuid, child.uuid)))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn has_own_supply(node: &Node) -> bool {
    node.driver_info.flag("has_dedicated_power_supply") == Some(true)
}

/// The BMC reports this state; one that cannot be asked does not.
async fn is(conductor: &Conductor, node: &Node, state: PowerState) -> bool {
    match machine::open(conductor, node) {
        Ok(driver) => driver.power.state().await.is_ok_and(|now| now == state),
        Err(_) => false,
    }
}

/// Why another node was not switched.
enum NotSwitched {
    Held,
    Failed(String),
}

fn explained(error: NotSwitched, who: &str) -> String {
    match error {
        NotSwitched::Held => format!(
            "{who} is presently locked and we are unable to perform any action on it at this time. Please retry after the \
             current operation is completed."
        ),
        NotSwitched::Failed(text) => format!("{who}: {text}"),
    }
}

/// Boxed: a child's children come along.
fn switch(
    conductor: &Arc<Conductor>,
    node: Uuid,
    want: PowerTarget,
    depth: usize,
) -> Pin<Box<dyn Future<Output = Result<(), NotSwitched>> + Send + '_>> {
    Box::pin(async move {
        let mut claim = match Claim::take(&conductor.holder, node, "power of its family").await {
            Ok(claim) => claim,
            Err(StoreError::Held { .. }) => return Err(NotSwitched::Held),
            Err(error) => return Err(NotSwitched::Failed(error.to_string())),
        };
        let done = switch_held(conductor, &mut claim, want, depth).await;
        let saved = claim.save().await;
        let_go(conductor, claim).await;
        done?;
        saved.map_err(|error| NotSwitched::Failed(error.to_string()))
    })
}

async fn switch_held(
    conductor: &Arc<Conductor>,
    claim: &mut Claim,
    want: PowerTarget,
    depth: usize,
) -> Result<(), NotSwitched> {
    if claim.node.disable_power_off && want == PowerTarget::Off {
        return Err(NotSwitched::Failed("it has disable_power_off set and cannot be switched off".into()));
    }
    arrange(conductor, &claim.node, want, depth).await.map_err(NotSwitched::Failed)?;
    let timeout = conductor.config.conductor.power_state_change_timeout.duration();
    let driver = machine::open(conductor, &claim.node).map_err(|error| NotSwitched::Failed(error.to_string()))?;
    if machine::begin_power(&mut claim.node, PowerChange::Lent { lent: want }) == machine::Begun::ToBeSaved {
        claim.save().await.map_err(|error| NotSwitched::Failed(error.to_string()))?;
    }
    let done = driver.power.set(want, timeout).await;
    machine::end_power(&mut claim.node, want, done.is_ok());
    done.map_err(|error| NotSwitched::Failed(error.to_string()))?;
    claim.note(Severity::Info, "power", format!("switched with its family: {want}"));
    Ok(())
}
